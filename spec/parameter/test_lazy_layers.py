"""The lazy layers of torch: linear, convolution and normalisation layers without the size of their input.

Each takes the arguments of its ordinary class, all but the size of the input, and becomes that class at its
first call.
"""

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
NORMALISATIONS = [
    (nn.LazyBatchNorm1d, nn.BatchNorm1d, 1),
    (nn.LazyBatchNorm2d, nn.BatchNorm2d, 2),
    (nn.LazyBatchNorm3d, nn.BatchNorm3d, 3),
    (nn.LazyInstanceNorm1d, nn.InstanceNorm1d, 1),
    (nn.LazyInstanceNorm2d, nn.InstanceNorm2d, 2),
    (nn.LazyInstanceNorm3d, nn.InstanceNorm3d, 3),
]


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS)
def test_a_lazy_convolution_by_default(lazy, ordinary, dimensions):
    """A lazy convolution becomes the ordinary one with the same defaults, having seen the channels."""
    layer = lazy(4, 3)

    layer(torch.rand(2, 5, *[6] * dimensions))

    assert repr(layer) == repr(ordinary(5, 4, 3))
    assert layer.weight.shape == ordinary(5, 4, 3).weight.shape
    assert layer.bias.shape == (4,)


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS[:3])
def test_arguments_of_a_lazy_convolution(lazy, ordinary, dimensions):
    """A lazy convolution takes the arguments of the ordinary one, in the same order, without
    ``in_channels``.
    """
    arguments = (4, 3, 2, 1, 3, 2, False, "circular", None, torch.float64)
    layer, model = lazy(*arguments), ordinary(6, *arguments)

    layer(torch.rand(2, 6, *[9] * dimensions, dtype=torch.float64))

    assert repr(layer) == repr(model)
    assert (layer.weight.shape, layer.weight.dtype) == (model.weight.shape, torch.float64)
    assert (layer.bias, [name for name, _ in layer.named_parameters()]) == (None, ["weight"])


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS[3:])
def test_arguments_of_a_lazy_transposed_convolution(lazy, ordinary, dimensions):
    """A lazy transposed convolution takes the arguments of the ordinary one too, in its order."""
    arguments = (4, 3, 3, 1, 2, 2, False, 4, "zeros", None, torch.float64)
    layer, model = lazy(*arguments), ordinary(6, *arguments)

    layer(torch.rand(2, 6, *[5] * dimensions, dtype=torch.float64))

    assert repr(layer) == repr(model)
    assert (layer.weight.shape, layer.weight.dtype) == (model.weight.shape, torch.float64)
    assert (layer.bias, [name for name, _ in layer.named_parameters()]) == (None, ["weight"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=["double", "half"])
def test_device_and_dtype_of_lazy_parameters(device, dtype):
    """``device`` and ``dtype`` of a lazy layer are those of its uninitialised weight and bias."""
    layers = [nn.LazyLinear(3, True, device, dtype), nn.LazyConv2d(4, 3, device=device, dtype=dtype)]

    parameters = [p for layer in layers for p in layer.parameters()]

    assert [p.dtype for p in parameters] == [dtype] * 4
    assert [p.device.type for p in parameters] == [torch.device(device).type] * 4


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS)
def test_unbatched_input_of_a_lazy_convolution(lazy, ordinary, dimensions):
    """A lazy convolution takes an unbatched first input: the channels are then its first dimension."""
    layer = lazy(4, 3)

    layer(torch.rand(5, *[6] * dimensions))

    assert (type(layer), layer.in_channels) == (ordinary, 5)


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), CONVOLUTIONS)
@pytest.mark.parametrize("difference", [-1, 2], ids=["too few", "too many"])
def test_dimensions_of_a_lazy_convolution(lazy, ordinary, dimensions, difference):
    """A first input with other dimensions raises a ``RuntimeError`` that names those allowed and its size."""
    layer, x = lazy(4, 3), torch.rand([6] * (dimensions + 1 + difference))

    with pytest.raises(RuntimeError) as caught:
        layer(x)

    assert str(caught.value) == (
        f"Expected {dimensions + 1}D (unbatched) or {dimensions + 2}D (batched) input to {lazy.__name__}, "
        f"but got input of size: {x.shape}"
    )


def test_groups_must_divide_the_channels_seen():
    """A lazy convolution whose groups do not divide the channels of its first input raises ``ValueError``."""
    with pytest.raises(ValueError, match="in_channels must be divisible by groups"):
        nn.LazyConv2d(4, 3, groups=2)(torch.rand(2, 5, 6, 7))


@pytest.mark.since("2.4")
def test_output_size_of_a_lazy_transposed_convolution():
    """The first call of a lazy transposed convolution takes ``output_size``, by position or by keyword."""
    x = torch.rand(2, 5, 6, 7)

    by_position = nn.LazyConvTranspose2d(4, 3, 2)(x, [14, 15])
    by_keyword = nn.LazyConvTranspose2d(4, 3, 2)(x, output_size=[14, 16])

    assert (by_position.shape, by_keyword.shape) == ((2, 4, 14, 15), (2, 4, 14, 16))


@pytest.mark.since("2.2")
@pytest.mark.before("2.4")
def test_output_size_was_an_unexpected_keyword():
    """The first call of a lazy transposed convolution raises ``TypeError`` over ``output_size``.

    Since 2.2 keywords are handed to ``initialize_parameters``, which took no ``output_size`` until 2.4.
    """
    with pytest.raises(
        TypeError, match=r"initialize_parameters.. got an unexpected keyword argument 'output_size'"
    ):
        nn.LazyConvTranspose2d(4, 3, 2)(torch.rand(2, 5, 6, 7), output_size=[14, 15])


def test_lazy_linear_by_default():
    """A :class:`~torch.nn.LazyLinear` takes the number of output features, and sees the rest in any input."""
    layer = nn.LazyLinear(3)

    result = layer(torch.rand(5))

    assert (type(layer), result.shape) == (nn.Linear, (3,))
    assert (layer.in_features, layer.out_features, layer.weight.shape, layer.bias.shape) == (
        5,
        3,
        (3, 5),
        (3,),
    )


def test_lazy_linear_without_bias():
    """A :class:`~torch.nn.LazyLinear` with ``bias=False`` has ``bias`` ``None``."""
    layer = nn.LazyLinear(3, False)

    layer(torch.rand(2, 5))

    assert (layer.bias, [name for name, _ in layer.named_parameters()]) == (None, ["weight"])


@pytest.mark.parametrize(
    ("lazy", "ordinary"),
    [
        (lambda: nn.LazyLinear(3), lambda: nn.Linear(6, 3)),
        (lambda: nn.LazyConv1d(4, 3), lambda: nn.Conv1d(5, 4, 3)),
        (lambda: nn.LazyConvTranspose1d(4, 3), lambda: nn.ConvTranspose1d(5, 4, 3)),
    ],
    ids=["linear", "convolution", "transposed convolution"],
)
def test_initialised_like_the_ordinary_layer(lazy, ordinary):
    """A lazy layer draws at its first call the values that the ordinary one draws at construction."""
    layer, x = lazy(), torch.rand(2, 5, 6)

    torch.manual_seed(7)
    layer(x)
    torch.manual_seed(7)
    model = ordinary()

    assert [p.tolist() for p in layer.parameters()] == [p.tolist() for p in model.parameters()]


def test_construction_draws_nothing():
    """Building a lazy layer draws no random numbers, so seeds give other networks than ordinary layers do."""
    before = torch.get_rng_state()

    nn.Sequential(nn.LazyLinear(3), nn.LazyConv2d(4, 3), nn.LazyBatchNorm1d())

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "make",
    [lambda: nn.LazyLinear(3), lambda: nn.LazyConv2d(4, 3), lambda: nn.LazyBatchNorm2d()],
    ids=["linear", "convolution", "normalisation"],
)
def test_resetting_too_early_does_nothing(make):
    """``reset_parameters`` of a lazy layer does nothing before its first call and returns ``None``."""
    layer = make()

    assert layer.reset_parameters() is None
    assert layer.has_uninitialized_params() is True


@pytest.mark.parametrize(("lazy", "ordinary", "dimensions"), NORMALISATIONS)
def test_a_lazy_normalisation(lazy, ordinary, dimensions):
    """A lazy normalisation learns the number of channels, and starts with the usual values."""
    layer = lazy().eval()

    layer(torch.rand(2, 5, *[6] * dimensions))

    assert (type(layer), layer.num_features) == (ordinary, 5)
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
    """A lazy normalisation refuses a first input of other dimensions, and is initialised nevertheless."""
    layer = lazy()

    with pytest.raises(ValueError, match=f"^expected {expected} input .got {given}D input.$"):
        layer(torch.rand([2] * given))

    assert (type(layer), layer.num_features) == (lazy.cls_to_become, 2)


def test_arguments_of_a_lazy_normalisation():
    """A lazy normalisation takes the arguments of the ordinary one, in its order, but ``num_features``."""
    layer = nn.LazyBatchNorm1d(1e-3, 0.2, False, True, None, torch.float64)
    layer(torch.rand(4, 5, dtype=torch.float64))

    assert (layer.eps, layer.momentum, layer.affine, layer.track_running_stats) == (1e-3, 0.2, False, True)
    assert (layer.weight, layer.bias, layer.running_mean.dtype) == (None, None, torch.float64)
    assert layer.num_batches_tracked.dtype == torch.int64


def test_device_and_dtype_of_a_lazy_normalisation():
    """``device`` and ``dtype`` of a lazy normalisation are those of all its tensors but the batch count.

    The count is on the device too, and stays an integer.
    """
    layer = nn.LazyBatchNorm1d(device="meta", dtype=torch.float64)

    tensors = [*layer.parameters(), *layer.buffers()]
    assert [tensor.dtype for tensor in tensors] == [torch.float64] * 4 + [torch.int64]
    assert [tensor.device.type for tensor in tensors] == ["meta"] * 5


def test_defaults_of_a_lazy_normalisation():
    """A lazy normalisation has a learned scale and shift, and running statistics, by default."""
    layer = nn.LazyBatchNorm1d()

    assert (layer.eps, layer.momentum, layer.affine, layer.track_running_stats) == (1e-5, 0.1, True, True)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert [name for name, _ in layer.named_buffers()] == [
        "running_mean",
        "running_var",
        "num_batches_tracked",
    ]


def test_a_lazy_normalisation_without_statistics():
    """A lazy normalisation with ``track_running_stats=False`` has its buffers ``None``."""
    layer = nn.LazyBatchNorm1d(track_running_stats=False)
    layer(torch.rand(4, 5))

    assert (layer.running_mean, layer.running_var, layer.num_batches_tracked) == (None, None, None)
    assert (layer.weight.shape, list(layer.buffers())) == ((5,), [])


@pytest.mark.since("2.12")
def test_a_lazy_normalisation_without_bias():
    """A lazy normalisation with ``bias=False`` learns a scale only."""
    layer = nn.LazyBatchNorm1d(bias=False)
    layer(torch.rand(4, 5))

    assert (layer.weight.tolist(), layer.bias) == ([1.0] * 5, None)


@pytest.mark.contradicts("torch.nn.LazyInstanceNorm1d: affine and track_running_stats default to False")
@pytest.mark.parametrize("lazy", [nn.LazyInstanceNorm1d, nn.LazyInstanceNorm2d, nn.LazyInstanceNorm3d])
def test_a_lazy_instance_norm_differs_from_instance_norm(lazy):
    """Lazy instance normalisation is affine and keeps statistics by default; the ordinary one does not."""
    layer, ordinary = lazy(), lazy.cls_to_become(4)

    assert (layer.affine, layer.track_running_stats) == (True, True)
    assert (ordinary.affine, ordinary.track_running_stats) == (False, False)


@pytest.mark.since("2.1")
@pytest.mark.observed
def test_a_lazy_instance_norm_needs_a_batch_first():
    """A lazy instance normalisation refuses an unbatched first input: its channels are in dimension 1."""
    with pytest.raises(
        ValueError, match=r"expected input's size at dim=0 to match num_features .4., but got: 3"
    ):
        nn.LazyInstanceNorm1d()(torch.rand(3, 4))
