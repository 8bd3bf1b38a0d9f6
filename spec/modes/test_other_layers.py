"""Other layers that depend on the mode.

Recurrent layers, attention and the transformer have a dropout inside. A randomised ReLU draws its slopes.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn


def test_rrelu_draws_slopes_in_training():
    """In training :class:`~torch.nn.RReLU` multiplies what is negative by slopes drawn between its bounds."""
    x = torch.full((200,), -2.0)
    slopes = nn.RReLU(0.25, 0.75)(x) / x

    assert 0.25 <= slopes.min().item() < 0.35
    assert 0.65 < slopes.max().item() <= 0.75


def test_rrelu_uses_the_mean_slope_in_evaluation():
    """In evaluation :class:`~torch.nn.RReLU` multiplies by the mean of its bounds."""
    x = torch.tensor([-2.0, 3.0])

    assert nn.RReLU(0.25, 0.75).eval()(x).tolist() == [-1.0, 3.0]
    assert nn.RReLU().eval()(x).tolist() == pytest.approx([-2 * (1 / 8 + 1 / 3) / 2, 3.0])


def test_the_function_of_rrelu_uses_the_mean():
    """:func:`~torch.nn.functional.rrelu` knows no mode: it uses the mean slope unless ``training=True``."""
    x = torch.full((200,), -2.0)

    assert set(F.rrelu(x, 0.25, 0.75).tolist()) == {-1.0}
    assert len(set(F.rrelu(x, 0.25, 0.75, True).tolist())) > 100


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_drop_in_between(layer):
    """A recurrent layer with ``dropout`` drops between its layers in training, in evaluation it does not."""
    torch.manual_seed(3)
    net = layer(2, 8, num_layers=2, dropout=0.5)
    x = torch.randn(5, 4, 2)

    assert not torch.equal(net(x)[0], net(x)[0])

    net.eval()

    assert torch.equal(net(x)[0], net(x)[0])


def test_one_recurrent_layer_has_no_between():
    """A recurrent layer with ``dropout`` and a single layer warns, and drops nothing."""
    message = "adds dropout after all but last recurrent layer.* got dropout=0.5 and num_layers=1"
    with pytest.warns(UserWarning, match=message):
        net = nn.GRU(2, 8, num_layers=1, dropout=0.5)
    x = torch.randn(5, 4, 2)

    assert torch.equal(net(x)[0], net(x)[0])


def test_attention_drops_in_training():
    """:class:`~torch.nn.MultiheadAttention` drops attention weights in training only."""
    net = nn.MultiheadAttention(4, 2, dropout=0.5)
    x = torch.randn(5, 3, 4)

    assert not torch.equal(net(x, x, x)[0], net(x, x, x)[0])

    net.eval()

    assert torch.equal(net(x, x, x)[0], net(x, x, x)[0])


def test_a_transformer_layer_in_evaluation():
    """In evaluation a :class:`~torch.nn.TransformerEncoderLayer` computes the same with gradients or without.

    Without gradients it may take a fast path of its own, which rounds differently.
    """
    layer = nn.TransformerEncoderLayer(4, 2, dim_feedforward=8, batch_first=True).eval()
    x = torch.randn(3, 5, 4)
    with torch.no_grad():
        fast = layer(x)

    assert torch.allclose(fast, layer(x).detach(), 1e-4, 1e-5)
    assert fast.requires_grad is False
