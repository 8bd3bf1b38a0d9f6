"""Normalization layers: what they learn, what they remember, what they take.

What training and evaluation mode change is in the part on modes, with the arguments of batch and instance
normalization.
"""

import pytest
import torch
from torch import nn


def test_batch_norm_has_parameters_and_buffers():
    """By default ``BatchNorm2d`` has two parameters, ``weight`` and ``bias``, and three buffers.

    The buffers are in the state dict, but not among the parameters: an average of weights has to copy them.
    """
    layer = nn.BatchNorm2d(3)

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (3,)), ("bias", (3,))]
    assert [(name, b.shape) for name, b in layer.named_buffers()] == [
        ("running_mean", (3,)),
        ("running_var", (3,)),
        ("num_batches_tracked", ()),
    ]
    assert list(layer.state_dict()) == ["weight", "bias", *dict(layer.named_buffers())]


@pytest.mark.since("2.12")
@pytest.mark.parametrize(
    ("layer", "sizes", "shape"),
    [
        (nn.BatchNorm1d, (4,), (3, 4)),
        (nn.BatchNorm2d, (4,), (3, 4, 5, 6)),
        (nn.BatchNorm3d, (4,), (3, 4, 5, 6, 2)),
        (nn.GroupNorm, (2, 4), (3, 4)),
    ],
    ids=["batch 1d", "batch 2d", "batch 3d", "group"],
)
def test_a_normalisation_without_bias(layer, sizes, shape):
    """``nn.BatchNorm1d`` and ``nn.GroupNorm`` with ``bias=False`` have a ``weight``, but no ``bias``
    (:issue:`157144`).
    """
    net, usual, x = layer(*sizes, bias=False), layer(*sizes), torch.randn(shape)
    net.weight.data = usual.weight.data = torch.tensor([2.0, 3.0, 4.0, 5.0])

    assert net.bias is None
    assert [name for name, _ in net.named_parameters()] == ["weight"]
    for training in (True, False):
        assert torch.allclose(net.train(training)(x), usual.train(training)(x), atol=1e-6)


@pytest.mark.since("2.1")
def test_layer_norm_without_bias():
    """``nn.LayerNorm(bias=False)`` has a ``weight``, but no ``bias``."""
    layer, usual, x = nn.LayerNorm(4, bias=False), nn.LayerNorm(4), torch.randn(3, 4)
    layer.weight.data = usual.weight.data = torch.tensor([2.0, 3.0, 4.0, 5.0])

    assert layer.bias is None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert torch.allclose(layer(x), usual(x), atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [
        (nn.BatchNorm1d, (3, 4)),
        (nn.BatchNorm1d, (3, 4, 5)),
        (nn.BatchNorm2d, (3, 4, 5, 6)),
        (nn.BatchNorm3d, (3, 4, 5, 6, 2)),
        (nn.InstanceNorm1d, (4, 5)),
        (nn.InstanceNorm1d, (3, 4, 5)),
        (nn.InstanceNorm2d, (4, 5, 6)),
        (nn.InstanceNorm3d, (4, 5, 6, 2)),
    ],
)
def test_shapes_pass_through_a_normalisation(layer, sizes):
    """The output of ``nn.BatchNorm1d``, ``nn.InstanceNorm2d`` and the like has the shape of the input.

    ``BatchNorm1d`` can do without the last dimension, ``InstanceNorm`` without the batch.
    """
    for net in (layer(4), layer(4).eval()):
        assert net(torch.rand(sizes)).shape == sizes


def test_layer_norm_covers_the_last_dimensions():
    """``LayerNorm`` normalizes over the last dimensions; its ``weight`` has the shape ``normalized_shape``.

    :class:`~torch.nn.LayerNorm` takes one mean and one biased variance over all of them, in each row of the
    batch alone, in training as in evaluation.
    """
    layer, x = nn.LayerNorm((3, 5), eps=0.25), 3 * torch.randn(2, 3, 5) + 4
    mean, var = x.mean((-2, -1), keepdim=True), x.var((-2, -1), correction=0, keepdim=True)
    wanted = (x - mean) / (var + 0.25).sqrt()

    assert layer.weight.shape == (3, 5)
    assert nn.LayerNorm(5).weight.shape == (5,)
    torch.testing.assert_close(layer(x), wanted)
    torch.testing.assert_close(layer.eval()(x[:1]), wanted[:1])


def test_layer_norm_has_a_weight_for_each_element():
    """``LayerNorm((2, 3))`` multiplies each element by its own ``weight`` and adds its own ``bias``.

    ``BatchNorm``, ``GroupNorm`` and ``InstanceNorm`` have one of each for a channel.
    """
    layer, plain = nn.LayerNorm((2, 3)), nn.LayerNorm((2, 3), elementwise_affine=False)
    weight, bias = torch.arange(2.0, 8.0).reshape(2, 3), torch.arange(11.0, 17.0).reshape(2, 3)
    layer.load_state_dict({"weight": weight, "bias": bias})
    x = torch.randn(4, 2, 3)

    torch.testing.assert_close(layer(x), plain(x) * weight + bias)
    for other in (nn.BatchNorm1d(2), nn.GroupNorm(1, 2), nn.InstanceNorm1d(2, affine=True)):
        assert [p.shape for p in other.parameters()] == [(2,), (2,)]


def test_layer_norm_wants_its_last_dimension():
    """``nn.LayerNorm(5)`` raises ``RuntimeError`` if the last dimension of the input is not 5.

    That is the number of features, which comes second in the output of a convolution: use
    :class:`~torch.nn.GroupNorm` there, or move the dimension.
    """
    layer = nn.LayerNorm(5)

    assert layer.normalized_shape == (5,)
    assert layer(torch.rand(4, 5)).shape == (4, 5)
    message = r"^Given normalized_shape=\[5\], expected input with shape \[\*, 5\]"
    for mode in (True, False):
        with pytest.raises(RuntimeError, match=message):
            layer.train(mode)(torch.rand(5, 4))


def test_group_norm_covers_a_group_of_channels():
    """``GroupNorm`` normalizes each group of channels of a sample by its mean and biased variance.

    A group has ``num_channels / num_groups`` neighboring channels, with all their positions.
    """
    x = 3 * torch.randn(3, 6, 5) + 4
    groups = x.reshape(3, 2, 15)
    mean, var = groups.mean(2, keepdim=True), groups.var(2, correction=0, keepdim=True)
    wanted = ((groups - mean) / (var + 0.25).sqrt()).reshape(3, 6, 5)

    layer = nn.GroupNorm(2, 6, eps=0.25)

    torch.testing.assert_close(layer(x), wanted)
    torch.testing.assert_close(layer.eval()(x[:1]), wanted[:1])


def test_group_norm_has_a_weight_for_each_channel():
    """``GroupNorm`` multiplies each channel by its own ``weight`` and adds its own ``bias``."""
    layer, plain = nn.GroupNorm(2, 4), nn.GroupNorm(2, 4, affine=False)
    weight, bias = torch.tensor([2.0, 3.0, 4.0, 5.0]), torch.tensor([7.0, 11.0, 13.0, 17.0])
    layer.load_state_dict({"weight": weight, "bias": bias})

    for positions in ((), (5,), (5, 6)):
        x, sizes = torch.randn(3, 4, *positions), (4, *[1] * len(positions))
        torch.testing.assert_close(layer(x), plain(x) * weight.view(sizes) + bias.view(sizes))


def test_group_norm_needs_groups_that_divide():
    """:class:`~torch.nn.GroupNorm` raises ``ValueError`` if ``num_groups`` does not divide
    ``num_channels``.
    """
    assert nn.GroupNorm(2, 4)(torch.rand(3, 4)).shape == (3, 4)

    for groups, channels in ((2, 3), (4, 2)):
        with pytest.raises(ValueError, match=r"num_channels.* must be divisible by num_groups"):
            nn.GroupNorm(groups, channels)


def test_group_norm_of_no_groups():
    """``GroupNorm(0, C)`` raises ``ZeroDivisionError``; ``GroupNorm(-2, C)`` raises ``RuntimeError`` when
    called.
    """
    with pytest.raises(ZeroDivisionError, match="modulo by zero"):
        nn.GroupNorm(0, 4)
    with pytest.raises(RuntimeError, match="Expected num groups to be greater than 0, got -2"):
        nn.GroupNorm(-2, 4)(torch.rand(3, 4))


def test_group_norm_of_one_group():
    """``GroupNorm(1, C)`` normalizes over channels and positions, ``LayerNorm(C)`` each position by itself.

    It computes what a ``LayerNorm`` over all dimensions but the batch does, though its ``weight`` is for
    channels and not for elements (:issue:`159736`).
    """
    x = torch.randn(2, 6, 5)

    normalized = nn.GroupNorm(1, 6)(x)

    assert torch.allclose(normalized, nn.LayerNorm((6, 5))(x), atol=1e-5)
    assert not torch.allclose(normalized, nn.LayerNorm(6)(x.mT).mT, atol=1e-2)
    assert [nn.GroupNorm(1, 6).weight.shape, nn.LayerNorm((6, 5)).weight.shape] == [(6,), (6, 5)]


@pytest.mark.parametrize(
    ("layer", "sizes", "option"),
    [(nn.LayerNorm, (4,), "elementwise_affine"), (nn.GroupNorm, (2, 4), "affine")],
    ids=["layer", "group"],
)
def test_a_normalisation_that_learns_nothing(layer, sizes, option):
    """``LayerNorm(elementwise_affine=False)`` and ``GroupNorm(affine=False)`` have no weight and no bias.

    Both attributes are there, and ``None``.
    """
    made, x = layer(*sizes, **{option: False}), torch.randn(3, 4)

    assert made.weight is None
    assert made.bias is None
    assert list(made.state_dict()) == []
    assert torch.allclose(made(x), layer(*sizes)(x), atol=1e-6)


@pytest.mark.since("2.12")
def test_normalisations_print_their_bias():
    """``repr`` of ``BatchNorm1d``, ``LayerNorm`` and ``GroupNorm`` shows whether the layer has a bias."""
    plain = nn.BatchNorm1d(4, affine=False, track_running_stats=False)
    layers = (nn.BatchNorm1d(4, 1e-3, 0.2), plain, nn.LayerNorm(4), nn.GroupNorm(2, 4))

    assert [repr(layer) for layer in layers] == [
        "BatchNorm1d(4, eps=0.001, momentum=0.2, affine=True, bias=True, track_running_stats=True)",
        "BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=False, bias=False, track_running_stats=False)",
        "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)",
        "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)",
    ]
    for layer in (nn.BatchNorm1d(4, bias=False), nn.LayerNorm(4, bias=False), nn.GroupNorm(2, 4, bias=False)):
        assert "affine=True, bias=False" in repr(layer)
    for layer in (nn.LayerNorm(4, elementwise_affine=False), nn.GroupNorm(2, 4, affine=False)):
        assert "affine=False, bias=False" in repr(layer)


@pytest.mark.before("2.12")
def test_normalisations_printed_no_bias():
    """``repr`` of ``BatchNorm1d``, ``LayerNorm`` and ``GroupNorm`` does not show whether the layer has a
    bias.
    """
    plain = nn.BatchNorm1d(4, affine=False, track_running_stats=False)
    layers = (nn.BatchNorm1d(4, 1e-3, 0.2), plain, nn.LayerNorm(4), nn.GroupNorm(2, 4))

    assert [repr(layer) for layer in layers] == [
        "BatchNorm1d(4, eps=0.001, momentum=0.2, affine=True, track_running_stats=True)",
        "BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False)",
        "LayerNorm((4,), eps=1e-05, elementwise_affine=True)",
        "GroupNorm(2, 4, eps=1e-05, affine=True)",
    ]


@pytest.mark.since("2.4")
def test_rms_norm_has_no_bias():
    """:class:`~torch.nn.RMSNorm` has no bias, and divides its input ``x`` by ``sqrt(mean(x**2) + eps)``.

    The mean is not subtracted. By default eps is the smallest step of the dtype that it computes in, which is
    float32 for float16 and bfloat16 too: see *rms_norm_of_half_has_the_eps_of_float32*.
    """
    layer = nn.RMSNorm(4, eps=0.75)
    x = torch.tensor([[0.5, -0.5, 0.5, 0.5], [1.0, 2.0, 3.0, 1.0]])

    assert [(name, p.tolist()) for name, p in layer.named_parameters()] == [("weight", [1.0] * 4)]
    assert layer(x)[0].tolist() == pytest.approx([0.5, -0.5, 0.5, 0.5])
    assert layer(x)[1].tolist() == pytest.approx([value / 4.5**0.5 for value in (1.0, 2.0, 3.0, 1.0)])
    assert nn.RMSNorm(4)(x)[0].tolist() == pytest.approx([1.0, -1.0, 1.0, 1.0])


@pytest.mark.since("2.4")
def test_rms_norm_covers_the_last_dimensions():
    """``RMSNorm((3, 5))`` divides by the root mean square over the last two dimensions.

    An integer stands for the last dimension alone, and another size there raises ``RuntimeError``.
    """
    x = 3 * torch.randn(2, 3, 5) + 4

    result = nn.RMSNorm((3, 5), eps=0.25)(x)

    torch.testing.assert_close(result, x / (x.square().mean((-2, -1), keepdim=True) + 0.25).sqrt())
    assert nn.RMSNorm(5).normalized_shape == (5,)
    assert nn.RMSNorm(5)(torch.rand(4, 5)).shape == (4, 5)
    with pytest.raises(RuntimeError, match=r"^Given normalized_shape=\[5\], expected input with shape \[\*"):
        nn.RMSNorm(5)(torch.rand(5, 4))


@pytest.mark.since("2.4")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_rms_norm_has_the_eps_of_its_dtype(dtype):
    """By default ``RMSNorm`` adds ``finfo(dtype).eps`` in float32 and float64; its ``eps`` is ``None``.

    That is far smaller than the ``1e-5`` or ``1e-6`` that most published models use: give ``eps`` to match
    them.
    """
    layer, eps = nn.RMSNorm(4, dtype=dtype), torch.finfo(dtype).eps

    result = layer(torch.full((4,), (eps / 2) ** 0.5, dtype=dtype))

    assert "eps=None" in repr(layer)
    assert result.tolist() == pytest.approx([3**-0.5] * 4)


@pytest.mark.since("2.7")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_rms_norm_of_half_has_the_eps_of_float32(dtype):
    """By default ``RMSNorm`` adds ``finfo(float32).eps`` in float16 and bfloat16 (:pull:`142848`).

    It computes in float32 there, and rounds the result.
    """
    layer, exact, eps = nn.RMSNorm(4, dtype=dtype), nn.RMSNorm(4), torch.finfo(torch.float32).eps

    result = layer(torch.full((4,), (eps / 2) ** 0.5, dtype=dtype))

    assert result.dtype is dtype
    assert result.tolist() == pytest.approx([3**-0.5] * 4, rel=0.01)

    x = torch.rand(32, 4, dtype=dtype)
    exact.load_state_dict({"weight": nn.init.uniform_(layer.weight)})
    assert torch.equal(layer(x), exact(x.float()).to(dtype))


@pytest.mark.since("2.4")
@pytest.mark.before("2.7")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_rms_norm_of_half_has_an_eps_of_its_own(dtype):
    """By default ``RMSNorm`` adds ``finfo(dtype).eps`` in float16 and bfloat16.

    That is nearly 0.001 in float16 and 0.008 in bfloat16, which changes the result of small inputs.
    """
    layer, eps = nn.RMSNorm(4, dtype=dtype), torch.finfo(dtype).eps

    result = layer(torch.full((4,), (eps / 2) ** 0.5, dtype=dtype))

    assert result.tolist() == pytest.approx([3**-0.5] * 4, rel=0.02)


@pytest.mark.since("2.7")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_rms_norm_keeps_the_dtype_of_its_input(dtype):
    """:class:`~torch.nn.RMSNorm` with a float32 ``weight`` returns half precision input in its own dtype.

    It computes in float32, also the product with the weight, and rounds once (:pull:`142848`).
    """
    layer, x = nn.RMSNorm(4, eps=1e-5), torch.rand(2, 4, dtype=dtype)
    nn.init.uniform_(layer.weight, 1.0, 3.0)

    result = layer(x)

    assert result.dtype is dtype
    assert torch.equal(result, layer(x.float()).to(dtype))


@pytest.mark.since("2.4")
@pytest.mark.before("2.7")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_rms_norm_returned_the_dtype_of_its_weight(dtype):
    """:class:`~torch.nn.RMSNorm` with a float32 ``weight`` returns float32 for half precision input.

    The next layer in half precision raises for it. Cast the layer as well.
    """
    assert nn.RMSNorm(4)(torch.rand(2, 4, dtype=dtype)).dtype is torch.float32


@pytest.mark.since("2.4")
def test_rms_norm_is_reset_to_ones():
    """:meth:`RMSNorm.reset_parameters() <torch.nn.RMSNorm.reset_parameters>` sets its ``weight`` to ones."""
    layer = nn.RMSNorm(3)
    layer.load_state_dict({"weight": torch.tensor([2.0, 3.0, 4.0])})

    layer.reset_parameters()

    assert layer.weight.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.since("2.4")
def test_how_rms_norm_prints():
    """``repr`` of ``RMSNorm`` shows ``normalized_shape``, ``eps`` and ``elementwise_affine``."""
    assert nn.RMSNorm(4).extra_repr() == "(4,), eps=None, elementwise_affine=True"
    assert repr(nn.RMSNorm((3, 4), 0.5, False)) == "RMSNorm((3, 4), eps=0.5, elementwise_affine=False)"


@pytest.mark.parametrize("layer", [nn.LocalResponseNorm, nn.CrossMapLRN2d])
def test_local_response_norm_defaults(layer):
    """``LocalResponseNorm`` and ``CrossMapLRN2d`` default to ``alpha=1e-4``, ``beta=0.75`` and ``k=1``."""
    made = layer(2)

    assert made.size == 2
    assert made.alpha == 1e-4
    assert made.beta == 0.75
    assert made.k == 1


@pytest.mark.parametrize("layer", [nn.LocalResponseNorm, nn.CrossMapLRN2d])
def test_local_response_norm_prints_its_arguments(layer):
    """``repr`` of ``LocalResponseNorm`` and ``CrossMapLRN2d`` shows ``size``, ``alpha``, ``beta`` and
    ``k``.
    """
    made = layer(2, 0.5, 0.25, 3.0)

    assert made.extra_repr() == "2, alpha=0.5, beta=0.25, k=3.0"
    assert repr(made) == f"{layer.__name__}(2, alpha=0.5, beta=0.25, k=3.0)"
