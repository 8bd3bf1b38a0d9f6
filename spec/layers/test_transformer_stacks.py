"""What a stack of transformer layers has to be given."""

import warnings

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    ("stack", "layer", "inputs"),
    [
        (nn.TransformerEncoder, nn.TransformerEncoderLayer, 1),
        (nn.TransformerDecoder, nn.TransformerDecoderLayer, 2),
    ],
    ids=["encoder", "decoder"],
)
def test_a_stack_needs_a_layer_and_a_number(stack, layer, inputs):
    """``TransformerEncoder`` and ``TransformerDecoder`` need a layer and a number, and call that many
    copies.

    Either argument left out is a ``TypeError``.
    """
    one = layer(4, 2, 8, dropout=0.0, batch_first=True)
    x = [torch.rand(2, 3, 4)] * inputs

    net = stack(one, 2)

    assert [type(copy) for copy in net.layers] == [layer, layer]
    assert one not in list(net.layers)
    assert len(list(net.parameters())) == 2 * len(list(one.parameters()))
    assert torch.allclose(net(*x), one(one(*x), *x[1:]), atol=1e-5)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        stack(one)
    with pytest.raises(TypeError, match="missing 2 required positional arguments"):
        stack()


@pytest.mark.parametrize("training", [True, False])
def test_masks_of_an_encoder_layer(training):
    """``TransformerEncoderLayer`` needs no mask; ``True`` in ``src_mask`` or ``src_key_padding_mask`` hides a
    step.

    ``src_mask`` says so for each position, ``src_key_padding_mask`` for each sequence of the batch.
    """
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), torch.rand(2, 3, 4)
    mask, padding = torch.zeros(3, 3, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool)
    mask[:2, 2] = padding[0, 2] = True
    layer.train(training)

    with torch.set_grad_enabled(training):
        everything, shorter = layer(x)[:, :2], layer(x[:, :2])
        masked, padded = layer(x, mask)[:, :2], layer(x, src_key_padding_mask=padding)[:, :2]

    assert torch.allclose(masked, shorter, atol=1e-6)
    assert torch.allclose(padded, torch.stack([shorter[0], everything[1]]), atol=1e-6)
    assert not torch.allclose(everything, shorter, atol=1e-4)


@pytest.mark.parametrize("stacked", [False, True], ids=["layer", "encoder"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_an_encoder_masks_nothing_by_default(stacked, mode):
    """``TransformerEncoder`` and its layers are not causal unless given a mask: each step sees later ones.

    A language model that is trained without the mask sees the words that it is to predict: its loss falls,
    and what it generates makes no sense.

    See also :ref:`layers.transformers.a_decoder_masks_nothing_by_default`
    """
    net = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    if stacked:
        net = nn.TransformerEncoder(net, 2)
    getattr(net, mode)()
    x, causal = torch.rand(3, 5, 4), nn.Transformer.generate_square_subsequent_mask(5)
    later = torch.cat([x[:, :4], -x[:, 4:]], dim=1)

    with torch.no_grad():
        plain, changed, masked, unchanged = net(x), net(later), net(x, causal), net(later, causal)

    assert not torch.allclose(plain[:, 0], changed[:, 0], atol=1e-4)
    assert torch.allclose(masked[:, :4], unchanged[:, :4], atol=1e-5)


def test_masks_of_a_stack_have_one_dtype():
    """In training ``TransformerEncoder`` and ``TransformerDecoder`` warn of a float mask with boolean
    padding.

    The mask of ``generate_square_subsequent_mask`` is of floats: make a boolean one by ``mask != 0``, which
    gives the same result, and no warning.
    """
    x, floats = torch.rand(2, 3, 4), nn.Transformer.generate_square_subsequent_mask(3)
    padding = torch.tensor([[False, False, False], [False, False, True]])
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, 0.0, batch_first=True), 2)

    with pytest.warns(
        UserWarning, match="Support for mismatched src_key_padding_mask and mask is deprecated"
    ):
        first = encoder(x, floats, padding)
    with pytest.warns(UserWarning, match="Support for mismatched"):
        second = decoder(x, x, floats, tgt_key_padding_mask=padding)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(encoder(x, floats != 0, padding), first)
        torch.testing.assert_close(decoder(x, x, floats != 0, tgt_key_padding_mask=padding), second)
