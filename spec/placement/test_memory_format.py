"""The order of a tensor in memory: ``channels_last`` and the other formats.

``to(memory_format=...)`` changes how parameters and buffers lie in memory, not their values or shapes. The
functions of ``torch.nn.utils`` at the end do the same for the weights of convolutions only.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format


def test_channels_last_orders_the_weights():
    """``Module.to(memory_format=torch.channels_last)`` stores ``nn.Conv2d`` weights in channels-last order.

    Values, shape and the parameter object stay. Convolutions on a GPU are often faster so; the input may be
    ordered likewise.
    """
    conv = nn.Conv2d(3, 5, (2, 4))
    net = nn.Sequential(conv)
    weight, values = conv.weight, conv.weight.tolist()

    returned = net.to(memory_format=torch.channels_last)

    assert returned is net
    assert conv.weight is weight
    assert weight.shape == (5, 3, 2, 4)
    assert weight.stride() == (24, 1, 12, 3)
    assert weight.tolist() == values


def test_contiguous_format_goes_back():
    """``Module.to(memory_format=torch.contiguous_format)`` restores the default order of a weight."""
    conv = nn.Conv2d(3, 5, (2, 4)).to(memory_format=torch.channels_last)

    volume = nn.Conv3d(3, 5, (2, 4, 1)).to(memory_format=torch.channels_last_3d)

    nn.Sequential(conv, volume).to(memory_format=torch.contiguous_format)

    assert conv.weight.stride() == (24, 8, 4, 1)
    assert volume.weight.stride() == (24, 8, 4, 1, 1)


@pytest.mark.parametrize("kind", [torch.channels_last, torch.channels_last_3d])
def test_other_dimensions_are_left_alone(kind):
    """``Module.to(memory_format=...)`` does not change tensors that are neither 4-d nor 5-d."""
    net = nn.Sequential(nn.Conv1d(3, 5, 2), nn.Linear(5, 4), nn.BatchNorm1d(4))
    net.register_buffer("table", torch.rand(2, 3, 4))
    net.register_buffer("tiles", torch.rand(2, 3, 4, 1, 2, 3))
    before = {key: (id(value), value.stride()) for key, value in net.state_dict(keep_vars=True).items()}

    net.to(memory_format=kind)

    assert {key: (id(v), v.stride()) for key, v in net.state_dict(keep_vars=True).items()} == before


def test_channels_last_3d_orders_the_weights():
    """``Module.to(memory_format=torch.channels_last_3d)`` stores ``nn.Conv3d`` weights in channels-last
    order.
    """
    conv = nn.Conv3d(3, 5, (2, 4, 6))
    values = conv.weight.tolist()

    nn.Sequential(conv).to(memory_format=torch.channels_last_3d)

    assert conv.weight.stride() == (144, 1, 72, 18, 3)
    assert conv.weight.tolist() == values


def test_the_format_must_fit():
    """``Module.to`` raises ``RuntimeError`` for ``channels_last`` of ``Conv3d``, ``channels_last_3d`` of
    ``Conv2d``.

    A network with both kinds is converted layer by layer.
    """
    flat, volumetric = nn.Conv2d(3, 5, 2), nn.Conv3d(3, 5, 2)

    with pytest.raises(RuntimeError, match="required rank 4 tensor to use channels_last format"):
        volumetric.to(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match="required rank 5 tensor to use channels_last_3d format"):
        flat.to(memory_format=torch.channels_last_3d)


def test_buffers_are_ordered_too():
    """``Module.to(memory_format=torch.channels_last)`` also reorders 4-d buffers."""
    net = nn.Module()
    net.register_buffer("kernel", torch.rand(5, 3, 2, 4))
    values = net.kernel.tolist()

    nn.Sequential(net).to(memory_format=torch.channels_last)

    assert net.kernel.stride() == (24, 1, 12, 3)
    assert net.kernel.tolist() == values


def test_gradients_are_ordered_too():
    """``Module.to(memory_format=torch.channels_last)`` also changes the memory layout of 4-d gradients."""
    conv = nn.Conv2d(3, 5, (2, 4))
    conv.weight.grad = torch.rand(5, 3, 2, 4)
    values = conv.weight.grad.tolist()

    nn.Sequential(conv).to(memory_format=torch.channels_last)

    assert conv.weight.grad.stride() == (24, 1, 12, 3)
    assert conv.weight.grad.tolist() == values


def test_format_and_dtype_together():
    """``Module.to(device, dtype, memory_format=...)`` moves, casts and reorders; integers are not cast."""
    net = nn.Module()
    net.kernel = nn.Parameter(torch.rand(5, 3, 2, 4))
    net.register_buffer("table", torch.ones(5, 3, 2, 4, dtype=torch.int32))
    net.register_buffer("mean", torch.rand(5))

    net.to("meta", torch.float64, memory_format=torch.channels_last)

    assert [t.device.type for t in (net.kernel, net.table, net.mean)] == ["meta", "meta", "meta"]
    assert [t.dtype for t in (net.kernel, net.table, net.mean)] == [torch.float64, torch.int32, torch.float64]
    assert [t.stride() for t in (net.kernel, net.table)] == [(24, 1, 12, 3)] * 2


def test_format_and_complex_dtype_together():
    """``Module.to(torch.complex128, memory_format=torch.channels_last)`` applies both dtype and format."""
    conv = nn.Conv2d(3, 5, 2, dtype=torch.complex64)

    conv.to(torch.complex128, memory_format=torch.channels_last)

    assert [p.dtype for p in conv.parameters()] == [torch.complex128] * 2
    assert conv.weight.stride() == (12, 1, 6, 3)


def test_how_a_tensor_is_ordered():
    """Given ``memory_format``, ``Module.to`` passes it, ``device`` and ``non_blocking`` to ``Tensor.to``
    of 4-d tensors.

    It also passes the dtype, which is ``None`` for integers.
    """
    calls = []

    class Spy(torch.Tensor):
        def to(self, *args, **kwargs):
            calls.append((args, kwargs))
            return self

    net = nn.Module()
    net.register_buffer("kernel", torch.rand(5, 3, 2, 4).as_subclass(Spy))
    net.register_buffer("table", torch.ones(5, 3, 2, 4, dtype=torch.int32).as_subclass(Spy))
    net.register_buffer("mean", torch.rand(5).as_subclass(Spy))
    net.to("meta", torch.float64, True, memory_format=torch.channels_last)

    asked = {"memory_format": torch.channels_last}
    assert calls == [
        ((torch.device("meta"), torch.float64, True), asked),
        ((torch.device("meta"), None, True), asked),
        ((torch.device("meta"), torch.float64, True), {}),
    ]


def test_outputs_are_channels_last(device):
    """``nn.Conv2d`` with a channels-last weight returns channels-last outputs, even for a contiguous input.

    So one call of ``to(memory_format=torch.channels_last)`` is enough for a chain of convolutions.
    """
    conv = nn.Conv2d(3, 5, 2, device=device).to(memory_format=torch.channels_last)
    x = torch.rand(2, 3, 6, 4, device=device)

    assert conv(x).stride() == (75, 1, 15, 5)
    with torch.no_grad():
        assert conv.eval()(x).stride() == (75, 1, 15, 5)
        assert conv(x.to(memory_format=torch.channels_last)).stride() == (75, 1, 15, 5)


@pytest.mark.parametrize("training", [True, False])
def test_layers_that_keep_channels_last(training):
    """On the CPU ``BatchNorm2d`` and ``GroupNorm`` keep a channels-last layout, ``InstanceNorm2d`` does not.

    It stays through pooling, activations and ``nn.Upsample`` too. ``nn.LayerNorm`` over all dimensions
    returns a contiguous output (:issue:`111824`).
    """
    x = torch.rand(2, 4, 6, 5).to(memory_format=torch.channels_last)
    keeping = [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.ReLU(), nn.GELU()]
    losing = [nn.InstanceNorm2d(4), nn.LayerNorm([4, 6, 5])]

    for layers, kept in (
        ([*keeping, nn.AdaptiveAvgPool2d(2), nn.Upsample(scale_factor=2)], True),
        (losing, False),
    ):
        for layer in layers:
            output = layer.train(training)(x)
            assert output.is_contiguous(memory_format=torch.channels_last) is kept
            assert output.is_contiguous() is not kept


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d], ids=["Conv", "Transpose"])
def test_the_weight_of_a_2d_convolution_is_converted(kind):
    """:func:`~torch.nn.utils.convert_conv2d_weight_memory_format` changes only the memory layout of a 2-d
    conv weight.
    """
    conv = kind(2, 3, 4).requires_grad_(False)
    weight, values = conv.weight, conv.weight.tolist()
    grad = weight.grad = torch.rand_like(weight)

    returned = convert_conv2d_weight_memory_format(conv, torch.channels_last)

    assert returned is conv
    assert conv.weight is weight
    assert conv.weight.grad is grad
    assert conv.weight.requires_grad is False
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert conv.weight.tolist() == values


def test_convolutions_inside_are_converted():
    """``convert_conv2d_weight_memory_format`` converts 2-d convolutions at any depth, and no other layer."""

    class Own(nn.Conv2d): ...

    inner = nn.Sequential(Own(2, 3, 4), nn.ConvTranspose2d(3, 2, 4))
    net = nn.Sequential(inner, nn.Conv3d(2, 3, 4), nn.Module())
    net[2].weight = nn.Parameter(torch.rand(2, 3, 4, 5))

    convert_conv2d_weight_memory_format(net, torch.channels_last)

    assert inner[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert inner[1].weight.is_contiguous(memory_format=torch.channels_last)
    assert net[1].weight.is_contiguous()
    assert net[2].weight.is_contiguous()


def test_the_weight_is_converted_back():
    """``convert_conv2d_weight_memory_format(net, torch.contiguous_format)`` makes 2-d conv weights
    contiguous.
    """
    conv = convert_conv2d_weight_memory_format(nn.Conv2d(2, 3, 4), torch.channels_last)

    convert_conv2d_weight_memory_format(conv, torch.contiguous_format)

    assert conv.weight.is_contiguous()
    assert not conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_strides_are_set_even_where_sizes_are_one():
    """``convert_conv2d_weight_memory_format`` sets channels-last strides even for a 1x1 convolution."""
    conv = convert_conv2d_weight_memory_format(nn.Conv2d(2, 3, 1), torch.channels_last)

    assert conv.weight.stride() == (2, 1, 2, 2)


@pytest.mark.since("2.3")
@pytest.mark.parametrize("kind", [nn.Conv3d, nn.ConvTranspose3d], ids=["Conv", "Transpose"])
def test_the_weight_of_a_3d_convolution_is_converted(kind):
    """:func:`~torch.nn.utils.convert_conv3d_weight_memory_format` changes only the memory layout of a 3-d
    conv weight.
    """
    conv = kind(2, 3, 4).requires_grad_(False)
    weight, values = conv.weight, conv.weight.tolist()
    grad = weight.grad = torch.rand_like(weight)

    returned = nn.utils.convert_conv3d_weight_memory_format(conv, torch.channels_last_3d)

    assert returned is conv
    assert conv.weight is weight
    assert conv.weight.grad is grad
    assert conv.weight.requires_grad is False
    assert conv.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert conv.weight.tolist() == values


@pytest.mark.since("2.3")
def test_volumetric_convolutions_inside_are_converted():
    """``convert_conv3d_weight_memory_format`` converts 3-d convolutions at any depth, but not 2-d ones."""

    class Own(nn.Conv3d): ...

    inner = nn.Sequential(Own(2, 3, 4), nn.ConvTranspose3d(3, 2, 4))
    net = nn.Sequential(inner, nn.Conv2d(2, 3, 4))

    nn.utils.convert_conv3d_weight_memory_format(net, torch.channels_last_3d)

    assert inner[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert inner[1].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert net[1].weight.is_contiguous()


@pytest.mark.since("2.3")
def test_volumetric_strides_are_set_where_sizes_are_one():
    """``convert_conv3d_weight_memory_format`` sets channels-last strides even for a 1x1x1 convolution."""
    conv = nn.utils.convert_conv3d_weight_memory_format(nn.Conv3d(2, 3, 1), torch.channels_last_3d)

    assert conv.weight.stride() == (2, 1, 2, 2, 2)


@pytest.mark.since("2.1")
@pytest.mark.parametrize("kind", [nn.Conv3d, nn.ConvTranspose3d], ids=["Conv", "Transpose"])
def test_volumetric_outputs_are_channels_last(kind):
    """``nn.Conv3d`` with a ``channels_last_3d`` weight returns such outputs, even for a contiguous input.

    So does :class:`~torch.nn.ConvTranspose3d`.
    """
    conv = kind(3, 5, 2).to(memory_format=torch.channels_last_3d)
    x = torch.rand(2, 3, 4, 6, 8)

    for given in (x, x.to(memory_format=torch.channels_last_3d)):
        for output in (conv(given), torch.no_grad()(conv)(given)):
            assert output.is_contiguous(memory_format=torch.channels_last_3d)
            assert output.is_contiguous() is False


@pytest.mark.before("2.1")
@pytest.mark.parametrize("kind", [nn.Conv3d, nn.ConvTranspose3d], ids=["Conv", "Transpose"])
def test_volumetric_outputs_were_contiguous(kind):
    """``nn.Conv3d`` with a ``channels_last_3d`` weight returns contiguous outputs on the CPU."""
    conv = kind(3, 5, 2).to(memory_format=torch.channels_last_3d)

    assert conv(torch.rand(2, 3, 4, 6, 8).to(memory_format=torch.channels_last_3d)).is_contiguous()


@pytest.mark.parametrize(
    ("norm", "sizes", "last"),
    [
        (nn.BatchNorm2d, (2, 3, 6, 8), torch.channels_last),
        (nn.BatchNorm3d, (2, 3, 6, 8, 4), torch.channels_last_3d),
    ],
    ids=["2d", "3d"],
)
def test_layers_between_keep_the_format(norm, sizes, last):
    """:class:`nn.ReLU <torch.nn.ReLU>` and BatchNorm keep the memory format of their input, contiguous or
    channels-last.

    So once a layer returns a contiguous tensor, all that follow compute with that, up to the next
    convolution with a channels-last weight.
    """
    x = torch.rand(*sizes)

    for layer in (
        nn.ReLU(),
        nn.ReLU(inplace=True),
        norm(3),
        norm(3).eval(),
        nn.Sequential(norm(3), nn.ReLU()),
    ):
        assert layer(x).is_contiguous()
        assert layer(x.to(memory_format=last)).is_contiguous(memory_format=last)
        assert layer(x.to(memory_format=last)).is_contiguous() is False


@pytest.mark.since("2.3")
def test_other_volumetric_weights_are_left_alone():
    """``convert_conv3d_weight_memory_format`` leaves 5-d weights of other layers alone, unlike
    ``Module.to``.
    """
    net = nn.Module()
    net.weight = nn.Parameter(torch.rand(2, 3, 4, 5, 6))

    nn.utils.convert_conv3d_weight_memory_format(net, torch.channels_last_3d)
    assert net.weight.stride() == (360, 120, 30, 6, 1)

    net.to(memory_format=torch.channels_last_3d)
    assert net.weight.stride() == (360, 1, 90, 18, 3)


@pytest.mark.since("2.3")
def test_volumetric_weights_want_their_own_format():
    """``convert_conv3d_weight_memory_format`` raises ``RuntimeError`` for ``torch.channels_last``.

    The format of a volumetric weight is ``torch.channels_last_3d``.
    """
    conv = nn.Conv3d(2, 3, 4)

    with pytest.raises(RuntimeError, match="required rank 4 tensor to use channels_last format"):
        nn.utils.convert_conv3d_weight_memory_format(conv, torch.channels_last)
    nn.utils.convert_conv3d_weight_memory_format(conv, torch.channels_last_3d)
    assert conv.weight.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.since("2.1")
@pytest.mark.parametrize(("assign", "kept"), [(False, True), (True, False)])
def test_loading_and_the_memory_format(assign, kept):
    """``load_state_dict`` keeps the module's memory format; with ``assign=True`` it takes that of the dict.

    Call ``to(memory_format=torch.channels_last)`` after assigning.
    """
    net = nn.Sequential(nn.Conv2d(3, 4, 2)).to(memory_format=torch.channels_last)
    state = nn.Sequential(nn.Conv2d(3, 4, 2)).state_dict()

    net.load_state_dict(state, assign=assign)

    assert torch.equal(net[0].weight, state["0.weight"])
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last) is kept
    assert net[0].weight.is_contiguous() is not kept
