"""Dropout.

In training a dropout layer drops at random what it is given and scales up the rest; in evaluation it does
nothing. The layers differ in what they drop: single elements or whole channels.
"""

import math
import re
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

LAYERS = [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout]
PLAIN = [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d]


@pytest.mark.claim("N5-13", "N5-22")
def test_training_drops_and_scales(device):
    """In training :class:`~torch.nn.Dropout` drops a share ``p`` and divides the rest by ``1 - p``."""
    out = nn.Dropout(0.25)(torch.full((40, 50), 3.0, device=device))

    assert sorted(set(out.flatten().tolist())) == [0.0, 4.0]
    assert 0.2 < (out == 0).float().mean().item() < 0.3


@pytest.mark.claim("N5-13", "N5-22")
@pytest.mark.parametrize("layer", LAYERS)
def test_evaluation_does_nothing(layer):
    """In evaluation a dropout layer returns its input as it is."""
    x = torch.rand(2, 3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = layer(0.5).eval()(x)

    assert torch.equal(out, x)


@pytest.mark.claim("N5-13")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_dropout_layer_holds_no_state(layer):
    """A dropout layer has no parameters and no buffers; all that matters is its mode."""
    net = layer(0.25)

    assert [*net.parameters(), *net.buffers()] == []
    assert (net.p, net.inplace, net.training) == (0.25, False, True)


@pytest.mark.parametrize("layer", LAYERS)
def test_half_is_dropped_by_default(layer):
    """``p`` is 0.5 unless given."""
    assert (layer().p, layer().inplace) == (0.5, False)


def test_every_call_draws_anew():
    """Every call draws a mask of its own, the same one only after the same seed."""
    layer, x = nn.Dropout(0.5), torch.ones(100)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)

    assert not torch.equal(first, second)
    assert torch.equal(first, layer(x))


@pytest.mark.claim("N5-23")
def test_backward_uses_the_same_mask():
    """The mask is drawn in the forward pass; the backward pass goes through the same one."""
    x = torch.ones(100, requires_grad=True)
    out = nn.Dropout(0.75)(x)
    out.sum().backward()

    assert torch.equal(x.grad, out)
    assert sorted(set(x.grad.tolist())) == [0.0, 4.0]


@pytest.mark.parametrize(("p", "left"), [(0, 3.0), (0.0, 3.0), (1, 0.0), (1.0, 0.0)])
def test_nothing_or_everything_is_dropped(p, left):
    """``p`` may be 0, which drops nothing, and 1, which drops everything."""
    assert nn.Dropout(p)(torch.full((4,), 3.0)).tolist() == [left] * 4


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_p_is_a_probability(layer, p):
    """A ``p`` below 0 or above 1 raises ``ValueError``."""
    wanted = f"dropout probability has to be between 0 and 1, but got {p}"

    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        layer(p)


@pytest.mark.parametrize("layer", PLAIN)
def test_inplace_writes_to_the_input(layer):
    """With ``inplace=True`` a dropout layer writes to its input and returns it."""
    x = torch.full((2, 3, 4), 3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = layer(1.0, True)(x)

    assert out is x
    assert x.tolist() == torch.zeros(2, 3, 4).tolist()


@pytest.mark.parametrize("layer", PLAIN)
def test_the_input_is_left_alone_by_default(layer):
    """Without ``inplace`` a dropout layer leaves its input alone."""
    x = torch.full((2, 3, 4), 3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer(1.0)(x)

    assert x.tolist() == torch.full((2, 3, 4), 3.0).tolist()


@pytest.mark.observed
@pytest.mark.parametrize("layer", [nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_alpha_dropout_is_never_in_place(layer):
    """:class:`~torch.nn.AlphaDropout` and :class:`~torch.nn.FeatureAlphaDropout` ignore ``inplace``."""
    x = torch.full((2, 3, 4), 3.0)
    out = layer(0.5, inplace=True)(x)

    assert out is not x
    assert x.tolist() == torch.full((2, 3, 4), 3.0).tolist()


def test_a_leaf_is_not_written_to():
    """``inplace=True`` refuses a leaf that requires a gradient, as every operation in place does."""
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        nn.Dropout(0.5, inplace=True)(torch.rand(3, requires_grad=True))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Dropout1d, (8, 9, 5)), (nn.Dropout2d, (8, 9, 5, 4)), (nn.Dropout3d, (8, 9, 5, 4, 3))],
)
def test_whole_channels_are_dropped(layer, shape):
    """:class:`~torch.nn.Dropout1d`, ``2d`` and ``3d`` keep or drop whole channels of a sample."""
    out = layer(0.25)(torch.full(shape, 3.0)).flatten(2)

    assert sorted(set(out[:, :, 0].flatten().tolist())) == [0.0, 4.0]
    assert torch.equal(out, out[:, :, :1].expand_as(out))


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout1d, (72, 5)), (nn.Dropout3d, (72, 5, 4, 3))], ids=["1d", "3d"]
)
def test_a_sample_without_a_batch(layer, shape):
    """:class:`~torch.nn.Dropout1d` and :class:`~torch.nn.Dropout3d` take a single sample without a batch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out = layer(0.25)(torch.full(shape, 3.0))

    assert caught == []
    assert out.shape == shape
    assert sorted(set(out.flatten(1)[:, 0].tolist())) == [0.0, 4.0]
    assert torch.equal(out.flatten(1), out.flatten(1)[:, :1].expand(-1, out[0].numel()))


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4, 5)], ids=["1d", "4d"])
def test_dropout1d_refuses_other_shapes(shape):
    """:class:`~torch.nn.Dropout1d` raises ``RuntimeError`` for an input of neither 2 nor 3 dimensions."""
    wanted = rf"dropout1d: Expected 2D or 3D input, but received a {len(shape)}D input\."

    with pytest.raises(RuntimeError, match=wanted):
        nn.Dropout1d(0.5)(torch.rand(shape))


def test_dropout2d_takes_3d_for_a_batch():
    """:class:`~torch.nn.Dropout2d` takes 3 dimensions for a batch of sequences, and warns."""
    x = torch.full((8, 9, 5), 3.0)

    with pytest.warns(
        UserWarning, match=r"^dropout2d: Received a 3D input to dropout2d and assuming"
    ) as caught:
        out = nn.Dropout2d(0.25)(x)

    assert len(caught) == 1
    assert sorted(set(out[:, :, 0].flatten().tolist())) == [0.0, 4.0]
    assert torch.equal(out, out[:, :, :1].expand_as(out))


@pytest.mark.parametrize(("layer", "shape"), [(nn.Dropout2d, (2, 3)), (nn.Dropout2d, (2, 3, 4, 5, 6))])
def test_dropout2d_warns_of_other_shapes(layer, shape):
    """:class:`~torch.nn.Dropout2d` warns for an input of neither 3 nor 4 dimensions."""
    with pytest.warns(
        UserWarning, match=f"^dropout2d: Received a {len(shape)}-D input to dropout2d"
    ) as caught:
        out = layer(0.5)(torch.rand(shape))

    assert len(caught) == 1
    assert out.shape == shape


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5, 6, 7)], ids=["3d", "6d"])
def test_dropout3d_warns_of_other_shapes(shape):
    """:class:`~torch.nn.Dropout3d` warns for an input of neither 4 nor 5 dimensions."""
    with pytest.warns(
        UserWarning, match=f"^dropout3d: Received a {len(shape)}-D input to dropout3d"
    ) as caught:
        out = nn.Dropout3d(0.5)(torch.rand(shape))

    assert len(caught) == 1
    assert out.shape == shape


def test_alpha_dropout_keeps_mean_and_spread():
    """:class:`~torch.nn.AlphaDropout` sets what it drops to the limit of SELU, then shifts and scales."""
    limit = -1.0507009873554805 * 1.6732632423543772
    a = 1 / math.sqrt(0.75 * (1 + 0.25 * limit**2))
    b = -a * 0.25 * limit
    out = nn.AlphaDropout(0.25)(torch.full((200,), 2.0))

    assert sorted(set(out.tolist())) == pytest.approx([a * limit + b, a * 2 + b])


def test_feature_alpha_dropout_drops_channels():
    """:class:`~torch.nn.FeatureAlphaDropout` treats whole channels as ``AlphaDropout`` treats elements."""
    limit = -1.0507009873554805 * 1.6732632423543772
    a = 1 / math.sqrt(0.75 * (1 + 0.25 * limit**2))
    b = -a * 0.25 * limit
    out = nn.FeatureAlphaDropout(0.25)(torch.full((8, 9, 5), 2.0))

    assert sorted(set(out.flatten().tolist())) == pytest.approx([a * limit + b, a * 2 + b])
    assert torch.equal(out, out[:, :, :1].expand_as(out))


@pytest.mark.parametrize(
    "function", [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d], ids=lambda function: function.__name__
)
def test_functions_drop_by_default(function):
    """:func:`~torch.nn.functional.dropout` and its relatives know no mode: they drop by default.

    In ``forward`` pass ``training=self.training``, or evaluation drops as well.
    """
    x = torch.full((72, 5), 3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_default, asked, told = function(x), function(x, 0.25), function(x, 0.25, False)

    assert sorted(set(by_default.flatten().tolist())) == [0.0, 6.0]
    assert sorted(set(asked.flatten().tolist())) == [0.0, 4.0]
    assert torch.equal(told, x)


@pytest.mark.parametrize(
    "function", [F.alpha_dropout, F.feature_alpha_dropout], ids=lambda function: function.__name__
)
def test_alpha_functions_do_not_drop_by_default(function):
    """:func:`~torch.nn.functional.alpha_dropout` and its feature form do nothing by default.

    They want ``training=True``, unlike :func:`~torch.nn.functional.dropout`.
    """
    x = torch.full((72, 5), 2.0)

    assert torch.equal(function(x, 0.5), x)
    assert len(set(function(x, 0.5, True).flatten().tolist())) == 2


@pytest.mark.parametrize(
    "function",
    [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_functions_want_a_probability_too(function, p):
    """A function of dropout raises ``ValueError`` for a ``p`` below 0 or above 1, in either mode."""
    wanted = f"dropout probability has to be between 0 and 1, but got {p}"

    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        function(torch.rand(2, 3, 4), p, False)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_prints_p(layer):
    """A dropout layer prints ``p`` and ``inplace``."""
    assert repr(layer(0.25, inplace=True)) == f"{layer.__name__}(p=0.25, inplace=True)"
