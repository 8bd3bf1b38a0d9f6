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
PLAIN = [
    (nn.Dropout, (7,)),
    (nn.Dropout1d, (2, 3, 4)),
    (nn.Dropout2d, (2, 3, 4, 5)),
    (nn.Dropout3d, (2, 3, 4, 5, 6)),
]
SAMPLES = [(nn.Dropout1d, (3, 4)), (nn.Dropout3d, (3, 4, 5, 6))]
ALPHA = [(nn.AlphaDropout, (7,)), (nn.FeatureAlphaDropout, (2, 3, 4))]


@pytest.mark.claim("N5-13", "N5-22")
def test_training_drops_and_scales(device):
    """In training mode :class:`nn.Dropout <torch.nn.Dropout>` zeroes each element with probability ``p`` and
    divides the rest by ``1 - p``.

    Each is drawn on its own, and what is left is divided by ``1 - p``, so that the mean stays about the
    same and evaluation has nothing to correct.
    """
    for drop in (nn.Dropout(0.25), torch.no_grad()(nn.Dropout(0.25, inplace=True))):
        out = drop(torch.full((40, 50), 3.0, device=device)).cpu()

        assert out.unique().tolist() == [0.0, 4.0]
        assert 0.2 < (out == 0).float().mean().item() < 0.3
        assert len(out.unique(dim=0)) == 40
        assert len(out.unique(dim=1).T) == 50


@pytest.mark.claim("N5-13", "N5-22")
@pytest.mark.parametrize(("layer", "shape"), PLAIN + ALPHA)
def test_evaluation_does_nothing(layer, shape):
    """In eval mode :class:`nn.Dropout <torch.nn.Dropout>` and the other dropout layers return the input
    unchanged.

    A network that still gives another output at each call was not switched: call
    :meth:`~torch.nn.Module.eval`.

    See also :ref:`modes.dropout.functions_drop_by_default`
    """
    net, x = layer(1.0), torch.rand(shape) + 1

    assert torch.equal(net.eval()(x), x)
    assert torch.equal(torch.no_grad()(layer(0.99, inplace=True).eval())(x.clone()), x)
    assert not torch.equal(net.train()(x), x)


@pytest.mark.claim("N5-13")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_dropout_layer_holds_no_state(layer):
    """:class:`nn.Dropout <torch.nn.Dropout>` and the other dropout layers have no parameters and no buffers.

    All that matters is the mode.
    """
    net = layer(0.25)

    assert [*net.parameters(), *net.buffers()] == []
    assert (net.p, net.inplace, net.training) == (0.25, False, True)


@pytest.mark.parametrize("layer", LAYERS)
def test_half_is_dropped_by_default(layer):
    """:class:`nn.Dropout <torch.nn.Dropout>` and the other dropout layers default to ``p=0.5`` and
    ``inplace=False``.
    """
    assert (layer().p, layer().inplace) == (0.5, False)


@pytest.mark.parametrize(("layer", "shape"), PLAIN + ALPHA)
def test_every_call_draws_anew(layer, shape):
    """Each call of :class:`nn.Dropout <torch.nn.Dropout>` draws a new mask; after the same
    ``torch.manual_seed``, the same one.

    So do the others. With a seed set before each call, as is tempting, every mask is the same.
    """
    net, x = layer(0.5), torch.ones(100, *shape[1:])
    torch.manual_seed(3)
    first, second = net(x), net(x)
    torch.manual_seed(3)

    assert not torch.equal(first, second)
    assert torch.equal(first, net(x))


@pytest.mark.claim("N5-23")
def test_backward_uses_the_same_mask():
    """The backward pass of :class:`nn.Dropout <torch.nn.Dropout>` uses the same random mask as the forward
    pass.
    """
    for p, inplace, values in ((0.75, False, [0.0, 4.0]), (0.75, True, [0.0, 4.0]), (1.0, False, [0.0])):
        x = torch.ones(100, requires_grad=True)
        out = nn.Dropout(p, inplace)(x.clone())
        out.sum().backward()
        assert torch.equal(x.grad, out)
        assert x.grad.unique().tolist() == values


@pytest.mark.parametrize(("p", "left"), [(0, 3.0), (0.0, 3.0), (1, 0.0), (1.0, 0.0)])
def test_nothing_or_everything_is_dropped(p, left):
    """In training mode :class:`nn.Dropout <torch.nn.Dropout>` with ``p=1`` zeroes everything; with ``p=0`` it
    drops nothing.
    """
    for inplace in (False, True):
        assert nn.Dropout(p, inplace)(torch.full((4,), 3.0)).tolist() == [left] * 4


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_p_is_a_probability(layer, p):
    """:class:`nn.Dropout <torch.nn.Dropout>` and the other dropout layers raise ``ValueError`` if ``p`` is
    below 0 or above 1.
    """
    wanted = f"dropout probability has to be between 0 and 1, but got {p}"

    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        layer(p)
    assert [layer(0.0).p, layer(1.0).p] == [0.0, 1.0]


@pytest.mark.parametrize(("layer", "shape"), PLAIN + SAMPLES)
def test_inplace_writes_to_the_input(layer, shape):
    """``Dropout``, ``Dropout1d``, ``Dropout2d`` and ``Dropout3d`` with ``inplace=True`` modify their input in
    training mode.
    """
    x, y = torch.full((2, *shape), 3.0)

    assert layer(1.0, True)(x) is x
    assert x.unique().tolist() == [0.0]
    assert layer(0.25, True)(y) is y
    assert 3.0 not in y.unique().tolist()


@pytest.mark.parametrize(("layer", "shape"), PLAIN + SAMPLES + ALPHA)
def test_the_input_is_left_alone_by_default(layer, shape):
    """Without ``inplace=True``, :class:`nn.Dropout <torch.nn.Dropout>` and the other dropout layers do not
    modify their input.
    """
    x = torch.full(shape, 3.0)

    for p in (0.25, 1.0):
        assert layer(p)(x).unique().tolist() != [3.0]
        assert x.tolist() == torch.full(shape, 3.0).tolist()


@pytest.mark.parametrize(("layer", "shape"), ALPHA)
def test_alpha_dropout_is_never_in_place(layer, shape):
    """:class:`nn.AlphaDropout <torch.nn.AlphaDropout>` and
    :class:`nn.FeatureAlphaDropout <torch.nn.FeatureAlphaDropout>` ignore ``inplace=True``: the input is
    unchanged.
    """
    x = torch.full(shape, 3.0)

    for p in (0.5, 1.0):
        assert 3.0 not in layer(p, inplace=True)(x).unique().tolist()
        assert x.unique().tolist() == [3.0]


def test_a_leaf_is_not_written_to():
    """``nn.Dropout(inplace=True)`` in training mode raises ``RuntimeError`` for a leaf that requires grad.

    So does every in-place operation. In eval mode nothing is written, and the leaf is returned.
    """
    layer, leaf = nn.Dropout(0.5, inplace=True), torch.rand(3, requires_grad=True)

    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        layer(leaf)
    assert layer.eval()(leaf) is leaf


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Dropout1d, (40, 50, 5)), (nn.Dropout2d, (40, 50, 4, 3)), (nn.Dropout3d, (40, 50, 4, 3, 2))],
)
def test_whole_channels_are_dropped(layer, shape):
    """:class:`nn.Dropout1d <torch.nn.Dropout1d>`, ``nn.Dropout2d`` and ``nn.Dropout3d`` zero whole channels
    of each sample, with probability ``p``.
    """
    for inplace in (False, True):
        out = layer(0.25, inplace)(torch.full(shape, 3.0)).flatten(2)
        assert out.unique().tolist() == [0.0, 4.0]
        assert torch.equal(out, out[:, :, :1].expand_as(out))
        assert 0.2 < (out == 0).float().mean().item() < 0.3
        assert (out.unique(dim=0).size(0), out.unique(dim=1).size(1)) == (40, 50)


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout1d, (72, 5)), (nn.Dropout3d, (72, 5, 4, 3))], ids=["1d", "3d"]
)
def test_a_sample_without_a_batch(layer, shape):
    """:class:`nn.Dropout1d <torch.nn.Dropout1d>` and :class:`nn.Dropout3d <torch.nn.Dropout3d>` accept a
    single sample without a batch dimension.
    """
    out, same = [layer(0.25).train(training)(torch.full(shape, 3.0)) for training in (True, False)]

    assert out.shape == same.shape == shape
    assert out.flatten(1)[:, 0].unique().tolist() == [0.0, 4.0]
    assert torch.equal(out.flatten(1), out.flatten(1)[:, :1].expand(-1, out[0].numel()))


@pytest.mark.parametrize("shape", [(), (7,), (2, 3, 4, 5), (2, 1, 3, 1, 2)], ids=["0d", "1d", "4d", "5d"])
def test_dropout1d_refuses_other_shapes(shape):
    """:class:`nn.Dropout1d <torch.nn.Dropout1d>` accepts 2D or 3D input and raises ``RuntimeError`` for any
    other.
    """
    for training in (True, False):
        with pytest.raises(RuntimeError, match=f"dropout1d: Expected 2D or 3D .* a {len(shape)}D input"):
            nn.Dropout1d(0.5).train(training)(torch.rand(shape))
    assert [nn.Dropout1d(0.5)(torch.rand(size)).shape for size in [(3, 4), (2, 3, 4)]] == [(3, 4), (2, 3, 4)]


def test_dropout2d_takes_3d_for_a_batch():
    """:class:`nn.Dropout2d <torch.nn.Dropout2d>` treats 3D input as a batch of sequences, shape
    ``(N, C, L)``, and warns.
    """
    x = torch.full((8, 9, 5), 3.0)

    with pytest.warns(UserWarning, match="^dropout2d: Received a 3D input .* and assuming") as caught:
        out = nn.Dropout2d(0.25)(x)

    assert len(caught) == 1
    assert out[:, :, 0].unique().tolist() == [0.0, 4.0]
    assert torch.equal(out, out[:, :, :1].expand_as(out))
    assert not torch.equal(out, out[:, :1].expand_as(out))
    with pytest.warns(UserWarning, match="^dropout2d: Received a 3D input"):
        nn.Dropout2d(0.25).eval()(x)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5, 6)], ids=["2d", "5d"])
def test_dropout2d_warns_of_other_shapes(shape):
    """:class:`nn.Dropout2d <torch.nn.Dropout2d>` does not warn for 4D input, but warns for other input such
    as 2D or 5D.

    For 3D input it warns with another message: see *dropout2d_takes_3d_for_a_batch*.
    """
    with pytest.warns(
        UserWarning, match=f"^dropout2d: Received a {len(shape)}-D input to dropout2d"
    ) as caught:
        outs = [nn.Dropout2d(0.5).train(mode)(torch.rand(shape)) for mode in (True, False)]
    assert [len(caught), *(out.shape for out in outs)] == [2, shape, shape]

    with warnings.catch_warnings(record=True) as silent:
        warnings.simplefilter("always")
        nn.Dropout2d(0.5)(torch.rand(2, 3, 4, 5))
    assert silent == []


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 3, 4, 5, 6, 7)], ids=["2d", "3d", "6d"])
def test_dropout3d_warns_of_other_shapes(shape):
    """:class:`nn.Dropout3d <torch.nn.Dropout3d>` does not warn for 4D or 5D input, but warns for other input
    such as 3D or 6D.
    """
    with pytest.warns(
        UserWarning, match=f"^dropout3d: Received a {len(shape)}-D input to dropout3d"
    ) as caught:
        outs = [nn.Dropout3d(0.5).train(mode)(torch.rand(shape)) for mode in (True, False)]
    assert [len(caught), *(out.shape for out in outs)] == [2, shape, shape]

    with warnings.catch_warnings(record=True) as silent:
        warnings.simplefilter("always")
        nn.Dropout3d(0.5)(torch.rand(3, 4, 5, 6))
        nn.Dropout3d(0.5)(torch.rand(2, 3, 4, 5, 6))
    assert silent == []


def test_alpha_dropout_keeps_mean_and_spread():
    """:class:`nn.AlphaDropout <torch.nn.AlphaDropout>` sets dropped elements to SELU's negative limit, then
    scales and shifts all elements.
    """
    limit = -1.0507009873554805 * 1.6732632423543772
    a = 1 / math.sqrt(0.75 * (1 + 0.25 * limit**2))
    b = -a * 0.25 * limit
    out = nn.AlphaDropout(0.25)(torch.full((2000,), 2.0))

    assert out.unique().tolist() == pytest.approx([a * limit + b, a * 2 + b])
    assert 0.2 < (out < 0).float().mean().item() < 0.3


def test_feature_alpha_dropout_drops_channels():
    """:class:`nn.FeatureAlphaDropout <torch.nn.FeatureAlphaDropout>` drops whole channels the way
    ``nn.AlphaDropout`` drops single elements.
    """
    limit = -1.0507009873554805 * 1.6732632423543772
    a = 1 / math.sqrt(0.75 * (1 + 0.25 * limit**2))
    b = -a * 0.25 * limit
    out = nn.FeatureAlphaDropout(0.25)(torch.full((8, 9, 5), 2.0))

    assert out[:, :, 0].unique().tolist() == pytest.approx([a * limit + b, a * 2 + b])
    assert torch.equal(out, out[:, :, :1].expand_as(out))
    assert not torch.equal(out, out[:, :1].expand_as(out))


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.AlphaDropout, (40000,)), (nn.FeatureAlphaDropout, (200, 200, 3))]
)
def test_alpha_dropout_keeps_a_standard_normal(layer, shape):
    """In training ``nn.AlphaDropout`` keeps mean 0 and std 1 of its input, with a new mask at each call.

    So does ``nn.FeatureAlphaDropout``. They keep no other mean: input of mean 3 comes out with mean 1.95 if a
    quarter is masked.
    """
    x, drop = torch.randn(shape), layer(0.25)
    first, second = drop(x), drop(x)
    masks = [out == out.flatten().mode().values for out in (first, second)]

    assert first.mean().item() == pytest.approx(0, abs=0.05)
    assert first.std().item() == pytest.approx(1, abs=0.05)
    assert [mask.float().mean().item() for mask in masks] == pytest.approx([0.25, 0.25], abs=0.02)
    assert not torch.equal(*masks)
    assert drop(x + 3).mean().item() == pytest.approx(1.95, abs=0.05)


def test_feature_alpha_dropout_wants_a_batch():
    """``nn.FeatureAlphaDropout`` takes ``(C, D, H, W)`` for a batch: it masks ``x[i, j]``, not ``x[i]``.

    ``nn.Dropout3d`` takes it for a sample without a batch dimension. Add one with ``x[None]``.
    """
    x = torch.full((40, 5, 3, 2), 2.0)

    out, plain = nn.FeatureAlphaDropout(0.5)(x), nn.Dropout3d(0.5)(x)

    assert torch.equal(out, out[:, :, :1, :1].expand_as(out))
    assert not torch.equal(out, out[:, :1, :1, :1].expand_as(out))
    assert torch.equal(plain, plain[:, :1, :1, :1].expand_as(plain))


FUNCTIONS = [
    (F.dropout, (72, 5)),
    (F.dropout1d, (72, 5)),
    (F.dropout2d, (8, 9, 5, 4)),
    (F.dropout3d, (8, 9, 5, 4, 3)),
]


@pytest.mark.parametrize(("function", "shape"), FUNCTIONS, ids=[name.__name__ for name, _ in FUNCTIONS])
def test_functions_drop_by_default(function, shape):
    """:func:`F.dropout <torch.nn.functional.dropout>` drops elements whatever the mode of the module, unless
    ``training=False`` is passed.

    So do ``F.dropout1d`` to ``F.dropout3d``. In ``forward`` pass ``training=self.training``.
    """
    x = torch.full(shape, 3.0)

    assert function(x).unique().tolist() == [0.0, 6.0]
    assert function(x.clone(), 0.25, inplace=True).unique().tolist() == [0.0, 4.0]
    assert torch.equal(function(x, 0.25, False), x)


@pytest.mark.parametrize(
    "function", [F.alpha_dropout, F.feature_alpha_dropout], ids=lambda function: function.__name__
)
def test_alpha_functions_do_not_drop_by_default(function):
    """``F.alpha_dropout`` and ``F.feature_alpha_dropout`` default to ``training=False``, ``F.dropout`` to
    ``True``.

    Pass ``training=True`` to drop.
    """
    x = torch.full((72, 5), 2.0)

    assert [function(x).equal(x), function(x, 0.5).equal(x)] == [True, True]
    assert not torch.equal(F.dropout(x), x)
    assert len(function(x, 0.5, True).unique()) == 2


@pytest.mark.parametrize(
    "function",
    [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_functions_want_a_probability_too(function, p):
    """All dropout functions in ``F`` raise ``ValueError`` if ``p`` is not in [0, 1], even with
    ``training=False``.
    """
    wanted = f"dropout probability has to be between 0 and 1, but got {p}"

    for training in (True, False):
        with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
            function(torch.rand(2, 3, 4), p, training)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_prints_p(layer):
    """``repr`` of :class:`nn.Dropout <torch.nn.Dropout>` and the other dropout layers shows ``p`` and
    ``inplace``.
    """
    assert repr(layer(0.25, inplace=True)) == f"{layer.__name__}(p=0.25, inplace=True)"
