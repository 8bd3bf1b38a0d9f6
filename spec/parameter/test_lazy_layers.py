"""The lazy layers of torch: linear, convolution and normalization layers without the size of their input.

Each accepts the arguments of its ordinary class, all but the size of the input, and becomes that class at its
first call.
"""

import re

import pytest
import torch
from torch import nn

CONVOLUTIONS = [
    (nn.LazyConv1d, nn.Conv1d, 1),
    (nn.LazyConv2d, nn.Conv2d, 2),
    (nn.LazyConv3d, nn.Conv3d, 3),
    (nn.LazyConvTranspose1d, nn.ConvTranspose1d, 1),
    (nn.LazyConvTranspose2d, nn.ConvTranspose2d, 2),
    (nn.LazyConvTranspose3d, nn.ConvTranspose3d, 3),
]
NORMALIZATIONS = [
    (nn.LazyBatchNorm1d, nn.BatchNorm1d, 1),
    (nn.LazyBatchNorm2d, nn.BatchNorm2d, 2),
    (nn.LazyBatchNorm3d, nn.BatchNorm3d, 3),
    (nn.LazyInstanceNorm1d, nn.InstanceNorm1d, 1),
    (nn.LazyInstanceNorm2d, nn.InstanceNorm2d, 2),
    (nn.LazyInstanceNorm3d, nn.InstanceNorm3d, 3),
]


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS)
def test_a_lazy_convolution_by_default(lazy, ordinary, dimensions):
    """The first call of an ``nn.LazyConv2d`` makes it an ``nn.Conv2d`` with ``in_channels`` from the input.

    So it is with the other lazy convolutions. All other arguments have the defaults of the ordinary class.
    """
    model = ordinary(5, 4, 3)

    for training in (True, False):
        layer = lazy(4, 3).train(training)
        layer(torch.rand(2, 5, *[6] * dimensions))
        assert type(layer) is ordinary
        assert repr(layer) == repr(model)
        assert [p.shape for p in layer.parameters()] == [model.weight.shape, (4,)]


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS)
def test_a_lazy_convolution_has_weight_and_bias_to_come(lazy, ordinary, dimensions):
    """Before its first call ``weight`` and ``bias`` of ``nn.LazyConv2d`` are ``UninitializedParameter``."""
    layer = lazy(4, 3)

    assert [type(p) for p in (layer.weight, layer.bias)] == [nn.UninitializedParameter] * 2

    layer(torch.rand(2, 5, *[6] * dimensions))

    assert [type(p) for p in (layer.weight, layer.bias)] == [nn.Parameter] * 2


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS[:3])
def test_arguments_of_a_lazy_convolution(lazy, ordinary, dimensions):
    """``nn.LazyConv2d`` accepts the arguments of ``nn.Conv2d`` in the same order, without ``in_channels``."""
    arguments = (8, 3, 5, 1, 4, 2, False, "circular", None, torch.float64)
    layer, model = lazy(*arguments), ordinary(6, *arguments)

    layer(torch.rand(2, 6, *[9] * dimensions, dtype=torch.float64))

    assert repr(layer) == repr(model)
    assert (layer.weight.shape, layer.weight.dtype) == (model.weight.shape, torch.float64)
    assert layer.bias is None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS[3:])
def test_arguments_of_a_lazy_transposed_convolution(lazy, ordinary, dimensions):
    """``nn.LazyConvTranspose2d`` accepts the arguments of ``nn.ConvTranspose2d``, without ``in_channels``."""
    arguments = (8, 3, 5, 1, 4, 2, False, 6, "zeros", None, torch.float64)
    layer, model = lazy(*arguments), ordinary(6, *arguments)

    layer(torch.rand(2, 6, *[2] * dimensions, dtype=torch.float64))

    assert repr(layer) == repr(model)
    assert (layer.weight.shape, layer.weight.dtype) == (model.weight.shape, torch.float64)
    assert layer.bias is None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=["double", "half"])
def test_device_and_dtype_of_lazy_parameters(dtype):
    """``nn.LazyLinear`` and ``nn.LazyConv2d`` use ``device`` and ``dtype`` for their uninitialized
    parameters.
    """
    layers = [lazy(4, 3, device="meta", dtype=dtype) for lazy, _, _ in CONVOLUTIONS]
    layers.append(nn.LazyLinear(3, True, "meta", dtype))

    parameters = [p for layer in layers for p in layer.parameters()]

    assert [p.dtype for p in parameters] == [dtype] * 14
    assert [p.device.type for p in parameters] == ["meta"] * 14


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS)
def test_unbatched_input_of_a_lazy_convolution(lazy, ordinary, dimensions):
    """The first input of an ``nn.LazyConv2d`` may be unbatched: ``in_channels`` is then ``x.size(0)``."""
    for channels in (5, 1):
        layer = lazy(4, 3)
        output = layer(torch.rand(channels, *[6] * dimensions))

        assert type(layer) is ordinary
        assert layer.in_channels == channels
        assert len(output) == 4


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS)
@pytest.mark.parametrize("difference", [-1, 2], ids=["too few", "too many"])
def test_dimensions_of_a_lazy_convolution(lazy, ordinary, dimensions, difference):
    """``nn.LazyConv2d`` raises ``RuntimeError`` for a first input with the wrong ``ndim``, and stays lazy.

    The message names the dimensions allowed and the size of the input.
    """
    layer, x = lazy(4, 3), torch.rand([6] * (dimensions + 1 + difference))
    message = (
        f"Expected {dimensions + 1}D (unbatched) or {dimensions + 2}D (batched) input to {lazy.__name__}, "
        f"but got input of size: {x.shape}"
    )

    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        layer(x)

    assert (type(layer), layer.has_uninitialized_params()) == (lazy, True)


def test_groups_must_divide_the_channels_seen():
    """``nn.LazyConv2d`` raises ``ValueError`` if ``groups`` does not divide the channels of the first
    input.
    """
    for x in (torch.rand(2, 6, 6, 7), torch.rand(6, 6, 7)):
        with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
            nn.LazyConv2d(4, 3, groups=4)(x)

    assert nn.LazyConv2d(4, 3, groups=4)(torch.rand(2, 8, 6, 7)).shape == (2, 4, 4, 5)


@pytest.mark.since("2.4")
def test_output_size_of_a_lazy_transposed_convolution():
    """The first call of an ``nn.LazyConvTranspose2d`` accepts ``output_size``, by position or by keyword."""
    x = torch.rand(2, 5, 6, 7)

    by_position = nn.LazyConvTranspose2d(4, 3, 2)(x, [14, 15])
    by_keyword = nn.LazyConvTranspose2d(4, 3, 2)(x, output_size=[14, 16])

    assert by_position.shape == (2, 4, 14, 15)
    assert by_keyword.shape == (2, 4, 14, 16)


@pytest.mark.since("2.2")
@pytest.mark.before("2.4")
def test_output_size_was_an_unexpected_keyword():
    """The first call of an ``nn.LazyConvTranspose2d`` with the keyword ``output_size`` raises ``TypeError``.

    The keyword is passed to ``initialize_parameters``, which does not accept it. Make the first call without.
    """
    with pytest.raises(
        TypeError, match=r"initialize_parameters.. got an unexpected keyword argument 'output_size'"
    ):
        nn.LazyConvTranspose2d(4, 3, 2)(torch.rand(2, 5, 6, 7), output_size=[14, 15])


def test_lazy_linear_by_default():
    """``nn.LazyLinear(out_features)`` infers ``in_features`` from the last dimension of its first input."""
    layer, flat = nn.LazyLinear(3), nn.LazyLinear(3)

    output = layer(torch.rand(2, 7, 5))
    flat(torch.rand(4))

    assert output.shape == (2, 7, 3)
    assert (layer.in_features, layer.out_features) == (5, 3)
    assert [layer.weight.shape, layer.bias.shape] == [(3, 5), (3,)]
    assert flat.weight.shape == (3, 4)


def test_lazy_linear_without_bias():
    """``nn.LazyLinear(out_features, bias=False)`` has a ``weight``, and its ``bias`` is ``None``."""
    for layer in (nn.LazyLinear(3, bias=False), nn.LazyLinear(3, False)):
        layer(torch.rand(2, 5))

        assert layer.bias is None
        assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (3, 5))]


@pytest.mark.parametrize(
    ("lazy", "arguments", "in_size"),
    [
        (nn.LazyLinear, (3,), 6),
        (nn.LazyLinear, (3, False), 6),
        (nn.LazyConv1d, (4, 3), 5),
        (nn.LazyConvTranspose1d, (4, 3), 5),
    ],
    ids=["linear", "without bias", "convolution", "transposed convolution"],
)
def test_initialised_like_the_ordinary_layer(lazy, arguments, in_size):
    """The first call of an ``nn.LazyLinear`` draws the same weights as ``nn.Linear(...)`` from the same
    seed.
    """
    layer, x = lazy(*arguments), torch.rand(2, 5, 6)

    torch.manual_seed(7)
    layer(x)
    torch.manual_seed(7)
    model = lazy.cls_to_become(in_size, *arguments)

    assert [p.tolist() for p in layer.parameters()] == [p.tolist() for p in model.parameters()]


def test_construction_draws_nothing():
    """Constructing an ``nn.LazyLinear`` uses no random numbers; its first call does.

    So a seed set before a network is constructed gives other values than with ordinary layers. Set the
    seed before the first call.
    """
    x, before = torch.rand(2, 5), torch.get_rng_state()

    layer, _ = nn.LazyLinear(3), nn.LazyLinear(3, bias=False)
    nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm1d())

    assert torch.equal(torch.get_rng_state(), before)

    layer(x)

    assert torch.equal(torch.get_rng_state(), before) is False


@pytest.mark.parametrize(
    "layer",
    [nn.LazyLinear(3), *(row[0](4, 3) for row in CONVOLUTIONS), *(row[0]() for row in NORMALIZATIONS)],
    ids=lambda layer: type(layer).__name__,
)
def test_resetting_too_early_does_nothing(layer):
    """``reset_parameters()`` of a lazy layer, such as ``nn.LazyLinear``, does nothing before its first
    call.
    """
    before = torch.get_rng_state()

    assert layer.reset_parameters() is None
    assert layer.has_uninitialized_params() is True
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), NORMALIZATIONS)
def test_a_lazy_normalisation(lazy, ordinary, dimensions):
    """``nn.LazyBatchNorm2d`` infers ``num_features`` from dimension 1 of its first input."""
    layer, trained, x = lazy().eval(), lazy(), torch.rand(2, 5, *[6] * dimensions)
    layer(x)
    trained(x)

    assert [type(layer), type(trained)] == [ordinary, ordinary]
    assert [layer.num_features, trained.num_features] == [5, 5]
    assert {key: value.tolist() for key, value in layer.state_dict().items()} == {
        "weight": [1.0] * 5,
        "bias": [0.0] * 5,
        "running_mean": [0.0] * 5,
        "running_var": [1.0] * 5,
        "num_batches_tracked": 0,
    }


@pytest.mark.parametrize(
    ("lazy", "expected", "given"),
    [
        (nn.LazyBatchNorm1d, "2D or 3D", 4),
        (nn.LazyBatchNorm2d, "4D", 3),
        (nn.LazyBatchNorm2d, "4D", 5),
        (nn.LazyBatchNorm3d, "5D", 4),
        (nn.LazyBatchNorm3d, "5D", 6),
        (nn.LazyInstanceNorm1d, "2D or 3D", 4),
        (nn.LazyInstanceNorm2d, "3D or 4D", 2),
        (nn.LazyInstanceNorm2d, "3D or 4D", 5),
        (nn.LazyInstanceNorm3d, "4D or 5D", 3),
        (nn.LazyInstanceNorm3d, "4D or 5D", 6),
    ],
)
def test_dimensions_of_a_lazy_normalisation(lazy, expected, given):
    """``nn.LazyBatchNorm2d`` raises ``ValueError`` for a first input of wrong ``ndim``, yet is initialized.

    The hook that infers the size runs before the check in ``forward``. Construct a new layer after such an
    error.
    """
    layer = lazy()

    with pytest.raises(ValueError, match=f"^expected {expected} input .got {given}D input.$"):
        layer(torch.rand([2] * given))

    assert type(layer) is lazy.cls_to_become
    assert layer.num_features == 2


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), NORMALIZATIONS)
def test_arguments_of_a_lazy_normalisation(lazy, ordinary, dimensions):
    """``nn.LazyBatchNorm2d`` accepts the arguments of ``nn.BatchNorm2d`` in order, without
    ``num_features``.
    """
    layer, other = lazy(1e-3, 0.2, False, True, None, torch.float64), lazy(1e-3, 0.2, True, False)

    layer(torch.rand(4, 5, *[6] * dimensions, dtype=torch.float64))

    assert type(layer) is ordinary
    assert (layer.eps, layer.momentum, layer.affine, layer.track_running_stats) == (1e-3, 0.2, False, True)
    assert (other.affine, other.track_running_stats) == (True, False)
    assert (layer.weight, layer.bias) == (None, None)
    assert layer.running_mean.dtype == torch.float64
    assert layer.num_batches_tracked.dtype == torch.int64


@pytest.mark.parametrize("lazy", [row[0] for row in NORMALIZATIONS])
def test_device_and_dtype_of_a_lazy_normalisation(lazy):
    """``nn.LazyBatchNorm1d`` uses ``device`` for all tensors, ``dtype`` for all but ``num_batches_tracked``.

    The count is on the device too, and stays an integer.
    """
    layer = lazy(device="meta", dtype=torch.float64)

    tensors = [*layer.parameters(), *layer.buffers()]
    assert [tensor.dtype for tensor in tensors] == [torch.float64] * 4 + [torch.int64]
    assert [tensor.device.type for tensor in tensors] == ["meta"] * 5


@pytest.mark.parametrize("lazy", [row[0] for row in NORMALIZATIONS])
def test_defaults_of_a_lazy_normalisation(lazy):
    """``nn.LazyBatchNorm1d()`` has ``affine=True`` and ``track_running_stats=True`` by default."""
    layer = lazy()

    assert (layer.eps, layer.momentum) == (1e-5, 0.1)
    assert (layer.affine, layer.track_running_stats) == (True, True)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    buffers = list(dict(layer.named_buffers()))
    assert buffers == ["running_mean", "running_var", "num_batches_tracked"]


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), NORMALIZATIONS)
def test_a_lazy_normalisation_without_statistics(lazy, ordinary, dimensions):
    """``running_mean`` of ``nn.LazyBatchNorm1d(track_running_stats=False)`` is ``None``, also after a
    call.
    """
    for layer in (lazy(affine=False, track_running_stats=False), lazy(track_running_stats=False)):
        assert (layer.running_mean, layer.running_var, layer.num_batches_tracked) == (None, None, None)

        layer(torch.rand(4, 5, *[6] * dimensions))

        assert (layer.running_mean, layer.running_var, layer.num_batches_tracked) == (None, None, None)
    assert layer.weight.shape == (5,)


@pytest.mark.since("2.12")
@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), NORMALIZATIONS)
def test_a_lazy_normalisation_without_bias(lazy, ordinary, dimensions):
    """``nn.LazyBatchNorm1d(bias=False)`` has a ``weight``, and its ``bias`` is ``None``."""
    layer = lazy(bias=False)

    layer(torch.rand(4, 5, *[6] * dimensions))

    assert type(layer) is ordinary
    assert layer.weight.tolist() == [1.0] * 5
    assert layer.bias is None


@pytest.mark.parametrize("lazy", [nn.LazyInstanceNorm1d, nn.LazyInstanceNorm2d, nn.LazyInstanceNorm3d])
def test_a_lazy_instance_norm_differs_from_instance_norm(lazy):
    """``nn.LazyInstanceNorm1d`` has ``affine`` and running statistics by default; ``nn.InstanceNorm1d`` does
    not.

    So it is with two and three dimensions. Exchanging one for the other changes what a network does in
    evaluation: pass both arguments.
    """
    layer, ordinary = lazy(), lazy.cls_to_become(4)

    assert (layer.affine, layer.track_running_stats) == (True, True)
    assert (ordinary.affine, ordinary.track_running_stats) == (False, False)


@pytest.mark.since("2.1")
def test_a_lazy_instance_norm_needs_a_batch_first():
    """``nn.LazyInstanceNorm1d`` takes ``num_features`` from dimension 1 of its first input, batched or not.

    So an unbatched one, whose channels are dimension 0, raises an error unless both have the same size, or
    ``affine`` and ``track_running_stats`` are ``False``. Later inputs may be unbatched.
    """
    for track in (True, False):
        layer = nn.LazyInstanceNorm1d(track_running_stats=track)
        with pytest.raises(ValueError, match=r"size at dim=0 to match num_features .4., but got: 3"):
            layer(torch.rand(3, 4))

        layer = nn.LazyInstanceNorm1d(track_running_stats=track)
        layer(torch.rand(2, 3, 4))
        assert layer.num_features == 3
        assert layer(torch.rand(3, 4)).shape == (3, 4)
    with pytest.warns(UserWarning, match="size at dim=0"):
        nn.LazyInstanceNorm1d(affine=False, track_running_stats=False)(torch.rand(3, 4))
    with pytest.warns(UserWarning, match="dim=0"), pytest.raises(RuntimeError, match="3 elements not 4"):
        nn.LazyInstanceNorm1d(affine=False)(torch.rand(3, 4))
