"""Nested tensors in attention and transformer encoders: sequences of different length without padding.

They are taken on the fast path only, that is in evaluation without gradients; an encoder makes them itself.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (nn.MultiheadAttention(4, 2, batch_first=True), 3),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 1),
    ],
    ids=["MultiheadAttention", "TransformerEncoderLayer"],
)
def test_a_nested_tensor_on_the_fast_path(layer, inputs):
    """On their fast path ``MultiheadAttention`` and ``TransformerEncoderLayer`` take and return nested
    tensors.

    That is in ``eval()`` under ``no_grad``, with ``batch_first=True``. Each sequence is computed as if it
    were alone. In training, or with gradients, they raise ``AssertionError``.
    """
    short, long = torch.rand(2, 4), torch.rand(5, 4)
    nested = torch.nested.nested_tensor([short, long])
    with torch.no_grad():
        result = layer.eval()(*[nested] * inputs)
        alone = [layer(*[each[None]] * inputs) for each in (short, long)]
    if inputs == 3:
        result, alone = result[0], [each for each, _ in alone]

    assert result.is_nested
    torch.testing.assert_close(result.unbind(), tuple(each[0] for each in alone))
    with torch.no_grad(), pytest.raises(AssertionError, match="not hit because training is enabled"):
        layer.train()(*[nested] * inputs)
    with pytest.raises(AssertionError, match="not hit because grad is enabled"):
        layer.eval()(*[nested] * inputs)


@pytest.mark.parametrize(
    ("layer", "inputs", "name"),
    [
        (nn.MultiheadAttention(4, 2, batch_first=True), 3, "attn_mask"),
        (nn.MultiheadAttention(4, 2, batch_first=True), 3, "key_padding_mask"),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 1, "src_mask"),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 1, "src_key_padding_mask"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_nested_tensor_with_a_mask(layer, inputs, name):
    """``MultiheadAttention`` and ``TransformerEncoderLayer`` raise ``AssertionError`` for a nested tensor
    with a mask.

    The padding is what a nested tensor leaves out, so that it needs no mask for it.
    """
    nested = torch.nested.nested_tensor([torch.rand(2, 4), torch.rand(5, 4)])
    mask = torch.eye(2, 5) == 1 if "padding" in name else torch.eye(5) == 1

    message = "does not support NestedTensor outside of its fast path"
    with torch.no_grad(), pytest.raises(AssertionError, match=message):
        layer.eval()(*[nested] * inputs, **{name: mask})


def test_an_encoder_fills_the_padding_with_zeros():
    """In ``eval()`` a ``TransformerEncoder`` without ``norm`` that makes nested tensors returns 0 for padded
    steps.

    It makes them without gradients, for layers with ``batch_first=True``, if ``src_key_padding_mask`` is
    ``True`` at the end only. With gradients it returns numbers for padded steps. Code that takes a mean over
    all steps gets another result in evaluation: leave the padding out of it.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    encoder, x = nn.TransformerEncoder(layer, 2).eval(), torch.rand(3, 5, 4)
    padding = torch.ones(3, 5).cumsum(1) > torch.tensor([[5], [3], [2]])

    with torch.no_grad():
        fast = encoder(x, src_key_padding_mask=padding)
    slow = encoder(x, src_key_padding_mask=padding)

    assert torch.equal(fast == 0, padding[..., None].expand(3, 5, 4))
    assert (slow != 0).all()
    torch.testing.assert_close(fast[~padding], slow[~padding].detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.since("2.1")
def test_an_encoder_keeps_the_length():
    """``TransformerEncoder`` on its fast path returns every step, even those padded in all sequences."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    encoder, padding = nn.TransformerEncoder(layer, 2).eval(), torch.arange(5).expand(3, 5) >= 3

    with torch.no_grad():
        result = encoder(torch.rand(3, 5, 4), src_key_padding_mask=padding)

    assert result.shape == (3, 5, 4)
    assert torch.equal(result == 0, padding[..., None].expand(3, 5, 4))


@pytest.mark.before("2.1")
def test_an_encoder_cut_to_the_longest_sequence():
    """On its fast path ``TransformerEncoder`` returns only as many steps as the longest sequence has.

    With gradients it returns all, so that what follows fits in training and not in evaluation.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    encoder, padding = nn.TransformerEncoder(layer, 2).eval(), torch.arange(5).expand(3, 5) >= 3
    x = torch.rand(3, 5, 4)

    with torch.no_grad():
        assert encoder(x, src_key_padding_mask=padding).shape == (3, 3, 4)
    assert encoder(x, src_key_padding_mask=padding).shape == (3, 5, 4)


def test_when_an_encoder_makes_nested_tensors():
    """``TransformerEncoder`` makes nested tensors only in ``eval()`` without grad and with all padding at the
    end.

    Its layers are given them, and the result is turned back. Without ``src_key_padding_mask``, with another
    mask, or with ``enable_nested_tensor=False``, it makes none. A hook on a layer sees what the layer is
    given.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    encoder, x = nn.TransformerEncoder(layer, 2).eval(), torch.rand(3, 5, 4)
    end = torch.ones(3, 5).cumsum(1) > torch.tensor([[5], [3], [2]])
    without, nested = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval(), []
    for each in (encoder, without):
        each.layers[1].register_forward_pre_hook(lambda layer, args: nested.append(args[0].is_nested))

    with torch.no_grad():
        assert encoder(x, src_key_padding_mask=end).is_nested is False
        encoder(x)
        encoder(x, src_key_padding_mask=end.flip(1))
        encoder(x, mask=torch.eye(5) == 1, src_key_padding_mask=end)
        without(x, src_key_padding_mask=end)
    encoder(x, src_key_padding_mask=end)
    with torch.no_grad():
        encoder.train()(x, src_key_padding_mask=end)

    assert nested == [True, False, False, False, False, False, False]


def test_no_nested_tensor_if_not_enabled():
    """``TransformerEncoder(enable_nested_tensor=False)`` makes no nested tensors; the default is ``True``."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    padding, nested = torch.ones(3, 5).cumsum(1) > torch.tensor([[5], [3], [2]]), []

    for options in ({}, {"enable_nested_tensor": False}):
        encoder = nn.TransformerEncoder(layer, 1, **options).eval()
        encoder.layers[0].register_forward_pre_hook(lambda layer, args: nested.append(args[0].is_nested))
        with torch.no_grad():
            encoder(torch.rand(3, 5, 4), src_key_padding_mask=padding)

    assert nested == [True, False]


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"batch_first": False}, "self_attn.batch_first was not True"),
        ({"norm_first": True}, "norm_first was True"),
        ({"nhead": 1}, "num_heads is odd"),
        ({"activation": F.silu}, "activation_relu_or_gelu was not True"),
    ],
    ids=["batch_first", "norm_first", "nhead", "activation"],
)
def test_an_encoder_warns_that_it_makes_no_nested_tensors(options, reason):
    """``TransformerEncoder(layer, n)`` warns if ``layer`` has ``batch_first=False`` or ``norm_first=True``.

    The ``UserWarning`` says that it makes no nested tensors. So it does for an odd ``nhead`` or another
    activation. ``enable_nested_tensor=False`` silences it.
    """
    layer = nn.TransformerEncoderLayer(4, **{"nhead": 2, "batch_first": True, **options})

    with pytest.warns(UserWarning, match=f"self.use_nested_tensor is False because .*{reason}"):
        nn.TransformerEncoder(layer, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)


@pytest.mark.since("2.1")
def test_a_transformer_warns_by_default():
    """By default ``nn.Transformer`` warns that it makes no nested tensors; with ``batch_first=True`` it does
    not.

    A ``TransformerEncoder`` with ``enable_nested_tensor=False`` does not warn either. It means less speed in
    evaluation, no other result (:issue:`137173`).
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, norm_first=True)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nn.Transformer(4, 2, 1, 1, 8)
        by_default = [str(warning.message) for warning in caught]
        nn.Transformer(4, 2, 1, 1, 8, batch_first=True)
        nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    assert "self_attn.batch_first was not True" in by_default[0]
    assert [len(by_default), len(caught)] == [1, 1]


@pytest.mark.before("2.1")
def test_an_encoder_did_not_warn():
    """``TransformerEncoder(layer, n)`` does not warn if ``layer`` has ``batch_first=False``."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 1)

    assert encoder.enable_nested_tensor is True


@pytest.mark.since("2.5")
def test_a_batch_of_padding_alone():
    """``TransformerEncoder`` in ``eval()`` and ``no_grad`` raises ``RuntimeError`` for a batch that is all
    padding.

    If only some sequences are all padding, their output is 0, where a single layer gives NaN. With gradients
    neither happens. Leave such batches out, or pass ``enable_nested_tensor=False`` (:issue:`178677`). See
    :class:`~torch.nn.TransformerEncoder`.
    """
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), torch.rand(3, 5, 4)
    encoder = nn.TransformerEncoder(layer, 1).eval()
    some = torch.zeros(3, 5, dtype=torch.bool)
    some[1] = True

    with torch.no_grad():
        assert encoder(x, src_key_padding_mask=some)[1].tolist() == [[0.0] * 4] * 5
        assert encoder.layers[0](x, src_key_padding_mask=some)[1].isnan().all()
        with pytest.raises(RuntimeError, match="at least one constituent tensor should have non-zero numel"):
            encoder(x, src_key_padding_mask=some | True)

    assert encoder(x, src_key_padding_mask=some | True).isfinite().all()


@pytest.mark.since("2.6")
def test_nested_tensors_do_not_fit_into_autocast():
    """In ``torch.autocast("cpu")``, ``TransformerEncoder`` raises ``RuntimeError`` once it makes nested
    tensors.

    That is in ``eval()`` under ``no_grad`` with ``src_key_padding_mask``, so that a model trains and fails
    in evaluation. Make it with ``enable_nested_tensor=False``.
    """
    x, padding = torch.rand(2, 3, 8), torch.tensor([[False, False, True], [False, False, False]])

    for nested in (True, False):
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        net = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)
        with torch.autocast("cpu"):
            assert net(x, src_key_padding_mask=padding).dtype is torch.float32
            with torch.no_grad():
                net.eval()(x)
                if nested:
                    with pytest.raises(RuntimeError, match="expected scalar type Float but found BFloat16"):
                        net(x, src_key_padding_mask=padding)
                else:
                    assert net(x, src_key_padding_mask=padding).dtype is torch.bfloat16
