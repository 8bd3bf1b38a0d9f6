"""Layers with something random inside, which depend on the mode as dropout does.

Recurrent layers, attention and the transformer have a dropout inside. :class:`~torch.nn.RReLU` draws its
slopes. A ``dropout`` of 1 shows best what is dropped.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn


def test_rrelu_draws_slopes_in_training():
    """In training mode :class:`nn.RReLU <torch.nn.RReLU>` multiplies negative inputs by random slopes between
    ``lower`` and ``upper``.
    """
    x = torch.cat([torch.full((200,), -2.0), torch.full((200,), 2.0)])
    for inplace in (False, True):
        slopes = nn.RReLU(0.25, 0.75, inplace)(x.clone()) / x
        assert 0.25 <= slopes[:200].min().item() < 0.35
        assert 0.65 < slopes[:200].max().item() <= 0.75
        assert slopes[200:].unique().tolist() == [1.0]
    with torch.no_grad():
        assert len(nn.RReLU(0.25, 0.75)(x).unique()) > 100


def test_rrelu_uses_the_mean_slope_in_evaluation():
    """In eval mode :class:`nn.RReLU <torch.nn.RReLU>` multiplies negative inputs by the mean of ``lower`` and
    ``upper``.

    The bounds are 1/8 and 1/3 by default.
    """
    x = torch.tensor([-2.0, 3.0])

    assert nn.RReLU(0.25, 0.75).eval()(x).tolist() == [-1.0, 3.0]
    assert nn.RReLU(0.25, 0.75, inplace=True).eval()(x.clone()).tolist() == [-1.0, 3.0]
    mean = torch.no_grad()(nn.RReLU().eval())(x)
    assert mean.tolist() == pytest.approx([-2 * (1 / 8 + 1 / 3) / 2, 3.0])


def test_the_function_of_rrelu_uses_the_mean():
    """:func:`F.rrelu <torch.nn.functional.rrelu>` uses the mean of ``lower`` and ``upper`` as slope unless
    ``training=True`` is passed.

    It does not know a module's mode: pass ``training=self.training``.
    """
    x = torch.full((200,), -2.0)

    assert F.rrelu(x, 0.25, 0.75).unique().tolist() == [-1.0]
    assert F.rrelu(x.clone(), 0.25, 0.75, inplace=True).unique().tolist() == [-1.0]
    assert len(F.rrelu(x, 0.25, 0.75, True).unique()) > 100


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"batch_first": True}], ids=str)
@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_drop_in_between(layer, options):
    """In training mode ``nn.RNN``, ``LSTM`` and ``GRU`` apply ``dropout`` between layers, not after the last
    layer.

    For dropout on the output of the last layer, put a :class:`~torch.nn.Dropout` after it.
    """
    net = layer(2, 8, num_layers=2, dropout=1.0, **options)
    x = torch.randn(5, 4, 2)
    output, state = net(x)
    same, other = net(x + 1)

    assert torch.equal(same, output)
    assert torch.equal(torch.no_grad()(net)(x - 1)[0], output)
    assert (output != 0).all()
    assert not torch.equal(torch.cat([*other])[0], torch.cat([*state])[0])
    packed = [nn.utils.rnn.pack_sequence([sample, sample[:3]]) for sample in x[:2]]
    assert torch.equal(net(packed[0])[0].data, net(packed[1])[0].data)

    net.eval()
    assert not torch.allclose(net(x + 1)[0], net(x)[0])


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
def test_one_recurrent_layer_has_no_between(layer):
    """``nn.RNN``, ``LSTM`` and ``GRU`` with ``num_layers=1`` warn if ``dropout`` is above 0, and do not apply
    it.
    """
    message = "adds dropout after all but last recurrent layer.* got dropout=0.5 and num_layers=1"
    for both_ways in (False, True):
        with pytest.warns(UserWarning, match=message):
            net = layer(2, 8, num_layers=1, dropout=0.5, bidirectional=both_ways)
        x = torch.randn(5, 4, 2)

        torch.testing.assert_close(net.train()(x), net.eval()(x))


def test_attention_drops_in_training():
    """:class:`nn.MultiheadAttention <torch.nn.MultiheadAttention>` applies dropout to its attention weights
    in training mode only.
    """
    net = nn.MultiheadAttention(4, 2, dropout=1.0)
    net.out_proj.bias.data = torch.tensor([2.0, 3.0, 5.0, 7.0])
    x = torch.randn(5, 3, 4)

    out, weights = net(x, x, x)
    assert out.flatten(0, 1).unique(dim=0).tolist() == [[2.0, 3.0, 5.0, 7.0]]
    assert weights.count_nonzero() == 0
    assert torch.equal(net(x, x, x, need_weights=False)[0], out)
    assert torch.equal(torch.no_grad()(net)(x, x, x)[0], out)
    narrow, key = nn.MultiheadAttention(4, 2, dropout=1.0, kdim=2, vdim=3), torch.randn(5, 3, 2)
    assert narrow(x, key, x[..., :3])[1].count_nonzero() == 0

    out, weights = net.eval()(x, x, x)
    assert len(out.flatten(0, 1).unique(dim=0)) == 15
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 5))
    torch.testing.assert_close(net(x, x, x, need_weights=False)[0], out)


def test_a_transformer_layer_drops_in_training():
    """:class:`nn.TransformerEncoderLayer <torch.nn.TransformerEncoderLayer>` applies dropout to attention and
    feed-forward only in training mode.

    With ``dropout=1`` nothing but the two normalizations of the input is left.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=1.0, batch_first=True)
    without = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    without.load_state_dict(layer.state_dict())
    x = torch.randn(3, 5, 4)
    left = layer.norm2(layer.norm1(x))

    torch.testing.assert_close(layer(x), left)
    torch.testing.assert_close(torch.no_grad()(layer)(x), left)
    torch.testing.assert_close(layer.eval()(x), without(x))
    assert not torch.allclose(layer(x), left, atol=0.01)
    first = nn.TransformerEncoderLayer(4, 2, 8, dropout=1.0, batch_first=True, norm_first=True)
    assert torch.equal(first(x), x)


@pytest.mark.parametrize(
    "options", [{}, {"norm_first": True}, {"activation": "gelu"}], ids=["last", "first", "gelu"]
)
def test_a_transformer_layer_in_evaluation(options):
    """In eval mode :class:`nn.TransformerEncoderLayer <torch.nn.TransformerEncoderLayer>` computes the same
    with and without ``torch.no_grad()``.

    Without gradients it may take a separate fast path, which rounds differently.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, **options).eval()
    x, padding = torch.randn(3, 5, 4), torch.ones(3, 5).triu(3).bool()
    for mask in (None, padding):
        with torch.no_grad():
            fast = layer(x, src_key_padding_mask=mask)
        slow = layer(x, src_key_padding_mask=mask)

        torch.testing.assert_close(fast, slow.detach(), rtol=1e-4, atol=1e-5)
        assert [fast.requires_grad, slow.requires_grad] == [False, True]


def test_the_function_of_attention_has_no_mode():
    """``F.scaled_dot_product_attention`` applies ``dropout_p`` even if the module that calls it is in eval
    mode.

    In ``forward`` pass ``dropout_p=self.p if self.training else 0.0``.
    :class:`nn.MultiheadAttention <torch.nn.MultiheadAttention>` does so itself (:issue:`124464`).
    """

    class Net(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x, x, dropout_p=0.5)

    net, x = Net().eval(), torch.rand(1, 2, 50, 4)

    assert not torch.equal(net(x), net(x))
    with torch.no_grad():
        assert not torch.equal(net(x), net(x))
    assert torch.equal(*[F.scaled_dot_product_attention(x, x, x) for _ in range(2)])

    attention, x = nn.MultiheadAttention(4, 2, dropout=0.5).eval(), torch.rand(50, 4)
    assert torch.equal(*[attention(x, x, x, need_weights=False)[0] for _ in range(2)])


@pytest.mark.needs("cuda")
def test_one_seed_drops_others_on_the_gpu():
    """After one :func:`torch.manual_seed`, ``nn.Dropout`` drops other elements on the GPU than on the CPU.

    Each device has a generator of its own. To compare both, draw the mask on the CPU, move it, and multiply.
    """
    masks = []
    for device in ("cuda", "cuda", "cpu"):
        torch.manual_seed(7)
        masks.append(nn.Dropout()(torch.ones(200, device=device)).cpu())

    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_dropout_of_attention_is_no_layer():
    """``nn.TransformerEncoderLayer`` keeps attention dropout as a float, ``self_attn.dropout``, not a
    ``Dropout``.

    A loop that sets ``p`` of all ``nn.Dropout`` misses it, and ``train()`` and ``eval()`` go on differing
    (:issue:`158012`).
    """
    layer, x = nn.TransformerEncoderLayer(8, 2, 16).eval(), torch.randn(50, 8)
    expected = layer(x)
    layer.train()
    drops = [name for name, module in layer.named_modules() if isinstance(module, nn.Dropout)]
    for name in drops:
        layer.get_submodule(name).p = 0.0

    assert drops == ["dropout", "dropout1", "dropout2"]
    assert layer.self_attn.dropout == 0.1
    assert not torch.allclose(layer(x), expected, atol=1e-3)
    layer.self_attn.dropout = 0.0
    torch.testing.assert_close(layer(x), expected)
