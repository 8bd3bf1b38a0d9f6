"""The ``data`` of a parameter: the same values, outside autograd.

``parameter.data`` is a plain tensor on the storage of the parameter. What is written through it reaches the
parameter, and autograd does not notice.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-18", "N4-04")
def test_data_is_a_plain_tensor():
    """The ``data`` of a parameter is a plain tensor with its values."""
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        net[2].bias.fill_(2.5)

    assert type(net[2].bias) is torch.nn.parameter.Parameter
    assert type(net[2].bias.data) is torch.Tensor
    assert net[2].bias.data.tolist() == [2.5]


@pytest.mark.claim("N2-21")
def test_data_requires_no_grad():
    """The ``data`` of a parameter has ``requires_grad=False`` though the parameter has ``True``."""
    weight = nn.Parameter(torch.rand(2))

    assert (weight.requires_grad, weight.data.requires_grad) == (True, False)


def test_data_shares_the_storage(device):
    """What is written through ``data`` is written to the parameter, for both share one storage."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5], device=device))

    weight.data[0] = 7.0
    weight.data.mul_(2)

    assert weight.tolist() == [14.0, 5.0]
    assert weight.data.data_ptr() == weight.data_ptr()


def test_data_is_a_new_object_each_time():
    """Each access to ``data`` makes a new tensor object.

    An attribute set on one is lost.
    """
    weight = nn.Parameter(torch.rand(2))

    assert weight.data is not weight.data


def test_autograd_does_not_notice_writes_to_data():
    """A write through ``data`` between forward and backward goes unnoticed: the gradient uses the new
    values.
    """
    x, weight = torch.tensor(2.0, requires_grad=True), nn.Parameter(torch.tensor(3.0))
    result = x * weight

    weight.data.fill_(10.0)
    result.backward()

    assert (result.item(), x.grad.item()) == (6.0, 10.0)


def test_autograd_notices_writes_to_detach():
    """A write through ``detach()`` between forward and backward makes ``backward`` raise ``RuntimeError``."""
    x, weight = torch.tensor(2.0, requires_grad=True), nn.Parameter(torch.tensor(3.0))
    result = x * weight

    weight.detach().fill_(10.0)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


def test_assigning_data_keeps_the_parameter():
    """Assigning to ``data`` gives a parameter other values; it stays the object that optimizers know."""
    layer = nn.Linear(2, 1)
    weight, values = layer.weight, torch.tensor([[1.5, 2.5]])

    layer.weight.data = values

    assert layer.weight is weight
    assert (weight.tolist(), weight.data_ptr()) == ([[1.5, 2.5]], values.data_ptr())
    assert (type(weight), weight.requires_grad) == (nn.Parameter, True)


def test_assigned_data_may_differ_in_shape_and_dtype():
    """The tensor assigned to ``data`` may have another shape and another floating-point dtype."""
    weight = nn.Parameter(torch.rand(2, 3))

    weight.data = torch.rand(4, dtype=torch.float64)

    assert (weight.shape, weight.dtype) == ((4,), torch.float64)


def test_assigned_data_must_suit_a_gradient():
    """Assigning integers to the ``data`` of a parameter that requires a gradient raises ``RuntimeError``."""
    weight = nn.Parameter(torch.rand(2))

    with pytest.raises(RuntimeError, match="must be floating point or complex dtype"):
        weight.data = torch.arange(2)

    assert weight.dtype == torch.float32


def test_assigned_data_must_be_a_tensor():
    """Assigning anything but a tensor to the ``data`` of a parameter raises ``TypeError``."""
    weight = nn.Parameter(torch.rand(2))

    with pytest.raises(TypeError, match="Variable data has to be a tensor, but got float"):
        weight.data = 1.5


@pytest.mark.question("Q29")
@pytest.mark.parametrize(
    "move",
    [lambda p: p.to("meta"), lambda p: p.double(), lambda p: p.to(torch.float16)],
    ids=["device", "double", "dtype"],
)
def test_a_moved_parameter_is_none(move):
    """A parameter cast or moved to another device is a plain tensor, which a module does not register.

    ``nn.Parameter(...).cuda()`` in ``__init__`` is the usual way to lose a parameter.
    """
    net = nn.Module()

    net.scale = move(nn.Parameter(torch.rand(2)))

    assert (type(net.scale), net.scale.is_leaf) == (torch.Tensor, False)
    assert list(net.named_parameters()) == []


@pytest.mark.question("Q29")
def test_a_parameter_moved_nowhere_is_itself():
    """``to`` returns the parameter itself where it changes nothing: the loss shows on other machines only."""
    weight = nn.Parameter(torch.rand(2))

    assert weight.to("cpu") is weight
    assert weight.to(torch.float32) is weight


@pytest.mark.question("Q29")
def test_move_the_tensor_then_wrap_it(device):
    """A parameter built from a tensor that lies on the device already is registered."""
    net = nn.Module()

    net.scale = nn.Parameter(torch.rand(2).to(device, torch.float64))

    assert [name for name, _ in net.named_parameters()] == ["scale"]
    assert (net.scale.device.type, net.scale.dtype) == (torch.device(device).type, torch.float64)


@pytest.mark.question("Q29")
def test_moving_the_module_keeps_the_parameter():
    """Moving the module, with :meth:`~torch.nn.Module.to`, leaves its parameters parameters."""
    net = nn.Linear(2, 3)

    net.to(torch.float64)

    assert [(name, type(p), p.dtype) for name, p in net.named_parameters()] == [
        ("weight", nn.Parameter, torch.float64),
        ("bias", nn.Parameter, torch.float64),
    ]
