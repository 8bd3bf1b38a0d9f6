"""The order of a tensor in memory: ``channels_last`` and its kin.

``to(memory_format=...)`` changes how the parameters lie in memory, not what they hold nor their shapes.
"""

import pytest
import torch
from torch import nn


def test_channels_last_orders_the_weights():
    """``to(memory_format=torch.channels_last)`` stores the weight of a 2-d convolution channels last."""
    conv = nn.Conv2d(3, 5, (2, 4))
    weight, values = conv.weight, conv.weight.tolist()

    returned = conv.to(memory_format=torch.channels_last)

    assert returned is conv
    assert conv.weight is weight
    assert (weight.shape, weight.stride(), weight.tolist()) == ((5, 3, 2, 4), (24, 1, 12, 3), values)


def test_contiguous_format_goes_back():
    """``to(memory_format=torch.contiguous_format)`` brings the usual order back."""
    conv = nn.Conv2d(3, 5, (2, 4)).to(memory_format=torch.channels_last)

    conv.to(memory_format=torch.contiguous_format)

    assert conv.weight.stride() == (24, 8, 4, 1)


@pytest.mark.parametrize("kind", [torch.channels_last, torch.channels_last_3d])
def test_other_dimensions_are_left_alone(kind):
    """A memory format leaves tensors alone that have neither four nor five dimensions."""
    net = nn.Sequential(nn.Conv1d(3, 5, 2), nn.Linear(5, 4), nn.BatchNorm1d(4))
    before = {key: (id(value), value.stride()) for key, value in net.state_dict(keep_vars=True).items()}

    net.to(memory_format=kind)

    assert {key: (id(v), v.stride()) for key, v in net.state_dict(keep_vars=True).items()} == before


def test_channels_last_3d_orders_the_weights():
    """``torch.channels_last_3d`` stores the weight of a 3-d convolution channels last."""
    conv = nn.Conv3d(3, 5, (2, 4, 6)).to(memory_format=torch.channels_last_3d)

    assert conv.weight.stride() == (144, 1, 72, 18, 3)


@pytest.mark.parametrize(
    ("layer", "kind", "text"),
    [
        (nn.Conv3d, torch.channels_last, "required rank 4 tensor to use channels_last format"),
        (nn.Conv2d, torch.channels_last_3d, "required rank 5 tensor to use channels_last_3d format"),
    ],
    ids=["3d", "2d"],
)
def test_the_format_must_fit(layer, kind, text):
    """The format for four dimensions is refused by a 3-d convolution, that for five by a 2-d one."""
    with pytest.raises(RuntimeError, match=text):
        layer(3, 5, 2).to(memory_format=kind)


def test_buffers_are_ordered_too():
    """A memory format holds for buffers of four dimensions too."""
    net = nn.Module()
    net.register_buffer("kernel", torch.rand(5, 3, 2, 4))

    net.to(memory_format=torch.channels_last)

    assert net.kernel.stride() == (24, 1, 12, 3)


def test_gradients_are_ordered_too():
    """A memory format holds for gradients of four dimensions too."""
    conv = nn.Conv2d(3, 5, (2, 4))
    conv.weight.grad = torch.rand(5, 3, 2, 4)

    conv.to(memory_format=torch.channels_last)

    assert conv.weight.grad.stride() == (24, 1, 12, 3)


def test_format_and_dtype_together():
    """A memory format may be given with a device and a dtype; integers are ordered and not cast."""
    net = nn.Module()
    net.kernel = nn.Parameter(torch.rand(5, 3, 2, 4))
    net.register_buffer("table", torch.ones(5, 3, 2, 4, dtype=torch.int32))

    net.to("cpu", torch.float64, memory_format=torch.channels_last)

    assert [(t.dtype, t.stride()) for t in (net.kernel, net.table)] == [
        (torch.float64, (24, 1, 12, 3)),
        (torch.int32, (24, 1, 12, 3)),
    ]


def test_format_and_complex_dtype_together():
    """A complex dtype given with a memory format is applied to complex parameters, as it is without one."""
    conv = nn.Conv2d(3, 5, 2, dtype=torch.complex64)

    conv.to(torch.complex128, memory_format=torch.channels_last)

    assert [p.dtype for p in conv.parameters()] == [torch.complex128] * 2
    assert conv.weight.stride() == (12, 1, 6, 3)


@pytest.mark.observed
def test_how_a_tensor_is_ordered():
    """A tensor of four dimensions is asked ``to(device, dtype, non_blocking, memory_format=...)``."""
    calls = []

    class Spy(torch.Tensor):
        def to(self, *args, **kwargs):
            calls.append((args, kwargs))
            return self

    net = nn.Module()
    net.register_buffer("kernel", torch.rand(5, 3, 2, 4).as_subclass(Spy))
    net.register_buffer("table", torch.ones(5, 3, 2, 4, dtype=torch.int32).as_subclass(Spy))
    net.to("meta", torch.float64, True, memory_format=torch.channels_last)

    asked = {"memory_format": torch.channels_last}
    assert calls == [
        ((torch.device("meta"), torch.float64, True), asked),
        ((torch.device("meta"), None, True), asked),
    ]


def test_outputs_are_channels_last(device):
    """A convolution with such weights gives outputs that are channels last, whatever the input."""
    conv = nn.Conv2d(3, 5, 2, device=device).to(memory_format=torch.channels_last)

    output = conv(torch.rand(2, 3, 6, 4, device=device))

    assert output.is_contiguous(memory_format=torch.channels_last)
    assert output.stride() == (75, 1, 15, 5)
