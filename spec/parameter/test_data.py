"""The ``data`` of a parameter: the same values, outside autograd.

``parameter.data`` is a plain tensor on the storage of the parameter. What is written through it reaches the
parameter, and autograd does not notice.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-18", "N4-04")
def test_data_is_a_plain_tensor():
    """``parameter.data`` is a plain tensor with the parameter's values, not a parameter.

    Old code changes weights through ``data``. Under :class:`torch.no_grad` the parameter itself can be
    changed, and autograd notices what it has to.
    """
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    version = net[2].bias._version
    with torch.no_grad():
        net[2].bias.fill_(2.5)

    assert type(net[2].bias) is torch.nn.parameter.Parameter
    assert type(net[2].bias.data) is torch.Tensor
    assert type(nn.Parameter(torch.rand(2), requires_grad=False).data) is torch.Tensor
    assert net[2].bias.data.tolist() == [2.5]
    assert net[2].bias._version == version + 1


@pytest.mark.claim("N2-21")
def test_data_requires_no_grad():
    """``parameter.data`` has ``requires_grad=False`` even if the parameter has ``requires_grad=True``.

    What is computed from ``data`` is outside the graph, like what is computed from ``detach()``.
    """
    weight = nn.Parameter(torch.rand(2))

    assert weight.requires_grad is True
    assert weight.data.requires_grad is False
    assert [(weight.data * 2).grad_fn, (weight.detach() * 2).grad_fn] == [None, None]


def test_data_shares_the_storage(device):
    """``parameter.data`` shares memory with the parameter: writing to ``data`` changes the parameter."""
    values = torch.tensor([[1.5, 2.5], [3.5, 4.5]], device=device)

    frozen = nn.Parameter(values.clone(), requires_grad=False)
    for weight in (nn.Parameter(values.clone()), frozen, nn.Parameter(values.t())):
        weight.data[0] = 7.0
        weight.data.mul_(2)

        assert weight[0].tolist() == [14.0, 14.0]
        assert weight[1, 1].item() == 9.0
        assert weight.data.data_ptr() == weight.data_ptr()


def test_data_is_a_new_object_each_time():
    """Each access to ``parameter.data`` returns a new tensor object, so an attribute set on one is lost."""
    for requires_grad in (True, False):
        weight = nn.Parameter(torch.rand(2), requires_grad)

        weight.data.note = "kept?"

        assert weight.data is not weight.data
        assert hasattr(weight.data, "note") is False


def test_autograd_does_not_notice_writes_to_data():
    """Autograd does not notice a write through ``parameter.data``: ``backward`` uses the new values.

    The gradient is silently wrong. Write under :class:`torch.no_grad` instead, where autograd notices.
    """
    x, weight = torch.tensor(2.0, requires_grad=True), nn.Parameter(torch.tensor(3.0))
    result, other = x * weight, x * weight

    weight.data.fill_(10.0)
    result.backward()

    assert result.item() == 6.0
    assert x.grad.item() == 10.0

    with torch.no_grad():
        weight.fill_(20.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        other.backward()


def test_autograd_notices_writes_to_detach():
    """After a write through ``parameter.detach()``, ``backward`` raises ``RuntimeError`` if it needs the old
    values.

    Where ``backward`` does not need them, as for a sum, it gives the right gradients.
    """
    x, weight = torch.tensor(2.0, requires_grad=True), nn.Parameter(torch.tensor(3.0))
    product, total = x * weight, x + weight

    weight.detach().fill_(10.0)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()

    total.backward()

    assert x.grad.item() == 1.0


def test_assigning_data_keeps_the_parameter():
    """Assigning to ``parameter.data`` replaces the values but keeps the same parameter object."""
    for requires_grad in (True, False):
        layer = nn.Linear(2, 1).requires_grad_(requires_grad)
        weight, values = layer.weight, torch.tensor([[1.5, 2.5]])

        layer.weight.data = values

        assert layer.weight is weight
        assert (type(weight), weight.requires_grad) == (nn.Parameter, requires_grad)
        assert weight.tolist() == [[1.5, 2.5]]
        assert weight.data_ptr() == values.data_ptr()


def test_assigned_data_may_differ_in_shape_and_dtype():
    """A tensor assigned to ``parameter.data`` may have another shape and another floating-point dtype."""
    weight = nn.Parameter(torch.rand(2, 3))

    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        weight.data = torch.rand(4, dtype=dtype)

        assert (weight.shape, weight.dtype) == ((4,), dtype)


def test_assigned_data_must_suit_a_gradient():
    """Assigning an integer tensor to ``parameter.data`` raises ``RuntimeError`` if the parameter requires
    grad.
    """
    weight, frozen = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2), requires_grad=False)

    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        with pytest.raises(RuntimeError, match="must be floating point or complex dtype"):
            weight.data = torch.arange(2, dtype=dtype)

        frozen.data = torch.arange(2, dtype=dtype)

        assert weight.dtype == torch.float32
        assert frozen.dtype == dtype


def test_assigned_data_must_be_a_tensor():
    """Assigning a list or a number to ``parameter.data`` raises ``TypeError``."""
    weight = nn.Parameter(torch.tensor([2.5]))

    for data, kind in ((1.5, "float"), (2, "int"), ([1.5], "list")):
        with pytest.raises(TypeError, match=f"Variable data has to be a tensor, but got {kind}"):
            weight.data = data

    assert weight.tolist() == [2.5]


@pytest.mark.question("Q29")
@pytest.mark.parametrize(
    "move",
    [lambda p: p.to("meta"), lambda p: p.double(), lambda p: p.to(torch.float16)],
    ids=["device", "double", "dtype"],
)
def test_a_moved_parameter_is_none(move):
    """``nn.Parameter(x).to(...)`` that moves or casts returns a plain tensor, which modules do not register.

    ``nn.Parameter(...).cuda()`` in ``__init__`` is the usual way to lose a parameter: the optimizer never
    sees it. Move the tensor and wrap it then, or move the whole module.
    """
    net = nn.Module()

    net.scale = move(nn.Parameter(torch.rand(2)))
    net.frozen = move(nn.Parameter(torch.rand(2), requires_grad=False))

    assert [type(net.scale), type(net.frozen)] == [torch.Tensor, torch.Tensor]
    assert net.scale.is_leaf is False
    assert list(net.named_parameters()) == []


@pytest.mark.question("Q29")
def test_a_parameter_moved_nowhere_is_itself():
    """``parameter.to(...)`` that changes nothing returns the same parameter, which a module registers.

    So a parameter that is lost on the GPU is there on the CPU, where the tests run.
    """
    weight = nn.Parameter(torch.rand(2))
    net = nn.Module()

    net.scale = weight.to("cpu")

    assert net.scale is weight
    assert weight.to(torch.float32) is weight
    assert weight.to("cpu", torch.float32) is weight
    assert [name for name, _ in net.named_parameters()] == ["scale"]


@pytest.mark.question("Q29")
def test_move_the_tensor_then_wrap_it(device):
    """A module registers ``nn.Parameter(tensor.to(device))``: move the tensor first, then wrap it.

    Or leave the device out of ``__init__`` and move the module: :meth:`Module.to <torch.nn.Module.to>`.
    """
    net = nn.Module()

    net.scale = nn.Parameter(torch.rand(2).to(device, torch.float64))
    net.shift = nn.Parameter(torch.rand(2).to("meta"))

    assert [name for name, _ in net.named_parameters()] == ["scale", "shift"]
    assert [p.device.type for p in net.parameters()] == [torch.device(device).type, "meta"]
    assert [p.dtype for p in net.parameters()] == [torch.float64, torch.float32]


@pytest.mark.question("Q29")
def test_moving_the_module_keeps_the_parameter():
    """``module.to(...)`` moves and casts parameters and keeps them ``nn.Parameter``, unlike
    ``parameter.to(...)``.

    See :meth:`Module.to <torch.nn.Module.to>`.
    """
    cast, moved = (nn.Sequential(nn.Linear(2, 3)) for _ in range(2))
    cast[0].bias.requires_grad_(False)
    moved[0].bias.requires_grad_(False)
    cast.to(torch.float64)
    moved.to("meta", torch.float64)

    for net, device in ((cast, "cpu"), (moved, "meta")):
        assert [(name, type(p)) for name, p in net.named_parameters()] == [
            ("0.weight", nn.Parameter),
            ("0.bias", nn.Parameter),
        ]
        assert [(p.device.type, p.dtype) for p in net.parameters()] == [(device, torch.float64)] * 2
    assert [type(cast[0].weight.to(target)) for target in (torch.float32, "meta")] == [torch.Tensor] * 2


@pytest.mark.parametrize(("old", "new"), [("meta", "cpu"), ("cpu", "meta")])
def test_data_does_not_cross_the_meta_device(old, new):
    """Assigning to ``parameter.data`` raises ``RuntimeError`` if only one of the tensors is on the meta
    device.

    Replace the parameter: ``layer.weight = nn.Parameter(values)``, or load with ``assign=True``.
    """
    layer = nn.Linear(2, 1, device=old)

    for requires_grad in (True, False):
        layer.weight.requires_grad_(requires_grad)
        with pytest.raises(RuntimeError, match="incompatible tensor type"):
            layer.weight.data = torch.rand(1, 2, device=new)

    layer.weight = nn.Parameter(torch.rand(1, 2, device=new))
    assert layer.weight.device.type == new
