"""What is not registered.

Whatever is neither a parameter nor a buffer nor a module becomes a plain attribute, even if it contains them.
It is in neither ``modules()`` nor ``parameters()``, and is not trained, moved or saved.
"""

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn


@pytest.mark.claim("N3-03")
@pytest.mark.question("Q01")
@pytest.mark.parametrize(
    "container",
    [list, tuple, set, lambda layers: dict(enumerate(layers))],
    ids=["list", "tuple", "set", "dict"],
)
def test_layers_in_a_container(container):
    """Layers in a plain ``list``, ``tuple``, ``set`` or ``dict`` attribute of a module are not registered.

    The optimizer never gets their parameters, ``cuda()`` leaves them on the CPU, and no file has them.
    :class:`~torch.nn.ModuleList` and :class:`~torch.nn.ModuleDict` register what they hold.

    See also :ref:`containers.module_list.what_is_in_it_is_registered`
    """
    net = nn.Module()
    net.layers = container([nn.Linear(2, 3), nn.Linear(3, 1)])

    assert list(nn.Sequential(net).modules())[1:] == list(net.modules()) == [net]
    for module in (net, nn.Sequential(net)):
        assert [*module.parameters(), *module.state_dict()] == []

    net.list = nn.ModuleList([nn.Linear(2, 3, bias=False)])
    net.dict = nn.ModuleDict({"a": nn.Linear(2, 3, bias=False)})
    assert list(net.state_dict()) == ["list.0.weight", "dict.a.weight"]


@pytest.mark.question("Q01")
def test_layers_in_a_list_are_not_moved():
    """``to()`` and ``eval()`` of a module do not affect layers in a plain ``list`` attribute.

    "Expected all tensors to be on the same device" is how it shows; a :class:`~torch.nn.ModuleList` follows.
    """
    net = nn.Module()
    net.lost = [nn.Linear(2, 3)]
    net.kept = nn.ModuleList([nn.Linear(2, 3)])
    nn.Sequential(net).to("meta", torch.float64).eval()

    assert [(p.device.type, p.dtype) for p in net.lost[0].parameters()] == [("cpu", torch.float32)] * 2
    assert [(p.device.type, p.dtype) for p in net.kept[0].parameters()] == [("meta", torch.float64)] * 2
    assert net.lost[0].training is True
    assert net.kept[0].training is False


def test_a_list_holds_without_registering():
    """A module in a list, ``net.teacher = [teacher]``, is kept without being registered as a submodule.

    So a teacher or a parent can be kept at hand. It has to be moved and switched to evaluation by hand.
    """
    student, teacher = nn.Linear(2, 3), nn.Linear(2, 3)
    student.teacher = [teacher]
    student.double().eval()

    assert student.teacher[0] is teacher
    assert list(student.children()) == []
    assert [name for name, _ in student.named_parameters()] == ["weight", "bias"]
    assert teacher.weight.dtype is torch.float32
    assert teacher.training is True


@pytest.mark.question("Q09")
def test_layers_made_in_forward():
    """A layer created in ``forward`` and not assigned is missing from
    :meth:`Module.parameters() <torch.nn.Module.parameters>`.

    Each call makes a new, untrained layer, and an optimizer gets an empty list. Make it in ``__init__``.
    """

    class Net(nn.Module):
        def forward(self, x):
            return nn.Linear(2, 3)(x)

    net = Net()
    net(torch.rand(4, 2))

    assert list(net.parameters()) == []
    with pytest.raises(ValueError, match="optimizer got an empty parameter list"):
        torch.optim.SGD(net.parameters(), lr=0.1)


@pytest.mark.question("Q09")
def test_layers_assigned_in_forward():
    """A layer that ``forward`` assigns to ``self`` is not registered before the first call of the module.

    An optimizer made before lacks its parameters, and every call assigns a new one. Where the shape of the
    input is not known before, a lazy layer such as :class:`~torch.nn.LazyLinear` is meant.
    """

    class Net(nn.Module):
        def forward(self, x):
            self.head = nn.Linear(2, 3)
            return self.head(x)

    net = Net()
    assert list(net._modules) == []

    net(torch.rand(4, 2))
    assert list(net._modules) == ["head"]
    assert [name for name, _ in net.named_parameters()] == ["head.weight", "head.bias"]

    first = net.head
    net(torch.rand(4, 2))
    assert net.head is not first
    assert net._modules == {"head": net.head}


@pytest.mark.claim("N2-16")
def test_a_plain_tensor_is_not_moved():
    """A plain tensor attribute of an :class:`nn.Module <torch.nn.Module>` is neither moved nor cast by
    ``to()``, nor in ``state_dict()``.

    A buffer is all three: :meth:`~torch.nn.Module.register_buffer`.

    See also :ref:`registration.buffers.register_buffer_registers`
    """
    net = nn.Module()
    net.hidden, net.leaf = torch.rand(2), torch.rand(2, requires_grad=True)
    net.register_buffer("mean", torch.rand(2))
    nn.Sequential(net).to("meta", torch.float64)

    assert [net.hidden.device.type, net.hidden.dtype] == ["cpu", torch.float32]
    assert [net.leaf.device.type, net.leaf.dtype] == ["cpu", torch.float32]
    assert [net.mean.device.type, net.mean.dtype] == ["meta", torch.float64]
    assert list(net.state_dict()) == ["mean"]


def test_a_device_that_was_stored_grows_stale():
    """A ``device`` or ``dtype`` that a module keeps as an attribute is not changed by ``to()``.

    What forward makes on ``self.device`` then clashes with the parameters. Take the device from an input or a
    parameter, or make it a ``property``.

    See also :ref:`placement.to.a_module_has_no_device_of_its_own`
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 3)
            self.device, self.dtype = self.inner.weight.device, self.inner.weight.dtype

        @property
        def place(self):
            return self.inner.weight.device

    net = Net().to("meta", torch.float64)

    assert [net.device.type, net.dtype] == ["cpu", torch.float32]
    assert [net.place.type, net.inner.weight.dtype] == ["meta", torch.float64]


def test_functions_and_classes():
    """A function, a bound method or a class assigned to an :class:`nn.Module <torch.nn.Module>` is a plain
    attribute.
    """
    net = nn.Module()
    step = nn.Linear(2, 3).forward
    net.activation, net.step, net.layer_class = F.relu, step, nn.Linear

    assert list(net.modules()) == [net]
    assert [*net._modules, *net._parameters, *net._buffers] == []
    assert vars(net)["activation"] is F.relu
    assert vars(net)["step"] is step
    assert vars(net)["layer_class"] is nn.Linear


def test_a_bound_method_keeps_its_module():
    """A module that holds a bound method of itself, ``self.run = self.fast``, is freed by ``gc`` only.

    The two refer to each other, so memory grows until the collector runs, on a GPU too (:issue:`128211`).
    Keep the name of the method, or a function that takes the module.
    """

    class Net(nn.Module):
        def __init__(self, hold):
            super().__init__()
            self.run = self.fast if hold else None

        def fast(self, x):
            return x

    gc.disable()
    nets = [Net(hold) for hold in (False, True)]
    watches = [weakref.ref(net) for net in nets]
    nets.clear()
    alive = [watch() is not None for watch in watches]
    gc.collect()
    gc.enable()

    assert alive == [False, True]
    assert watches[1]() is None


def test_attributes_of_the_class():
    """A parameter or layer in the class body of an ``nn.Module`` is readable on instances, but not
    registered.

    All instances share it, and none of them trains or saves it. Assign it in ``__init__``.
    """

    class Net(nn.Module):
        scale = nn.Parameter(torch.rand(2))
        inner = nn.Linear(2, 3)

    class Child(Net):
        pass

    for net in (Net(), Child()):
        assert net.scale is Net.scale
        assert net.inner is Net.inner
        assert [*net.parameters(), *net.children(), *net.state_dict()] == []


def test_a_value_of_another_type():
    """A plain attribute of an :class:`nn.Module <torch.nn.Module>` can be reassigned to a value of another
    type.
    """
    net = nn.Module()
    for value in [None, torch.rand(2), 2, [nn.ReLU()], "done", None]:
        net.state = value

        assert net.state is value
        assert vars(net)["state"] is value


def test_a_setter_is_used():
    """Assigning a plain value to a ``property`` of a module calls the setter of the property."""

    class Net(nn.Module):
        @property
        def width(self):
            return self._width

        @width.setter
        def width(self, value):
            self._width = 2 * value

    class Derived(Net):
        pass

    for net in (Net(), Derived()):
        net.width = 3

        assert [net.width, net._width] == [6, 6]


def test_a_setter_receives_no_module():
    """Assigning an ``nn.Module`` to a ``property`` of a module registers it without calling the setter.

    The getter answers as before, so what was registered is hidden. Assign it under another name in a method.
    """
    calls = []

    class Net(nn.Module):
        @property
        def inner(self):
            return "from the getter"

        @inner.setter
        def inner(self, value):
            calls.append(value)

    class Child(Net):
        pass

    net = Child()
    net.inner = "plain"
    net.inner = nn.ReLU()
    net.inner = nn.Tanh()

    assert calls == ["plain"]
    assert [(name, type(child)) for name, child in net._modules.items()] == [("inner", nn.Tanh)]
    assert net.inner == "from the getter"


def test_a_setter_receives_no_parameter():
    """Assigning an ``nn.Parameter`` to a ``property`` of a module registers it without calling the setter.

    If the getter gives a value, it raises ``KeyError`` instead. To keep a parameter of another module, assign
    ``self._other = [parameter]``, which the getter reads (:issue:`175372`).
    """
    calls, given = [], nn.Parameter(torch.rand(2))

    class Net(nn.Module):
        @property
        def other(self):
            return self._other[0]

        @other.setter
        def other(self, value):
            calls.append(value)
            self._other = [value]

    net = Net()
    net.other = given

    assert calls == []
    assert net._parameters["other"] is net.other is given

    net = Net()
    net.other = "plain"
    with pytest.raises(KeyError, match="attribute 'other' already exists"):
        net.other = given
    assert [calls, dict(net.named_parameters())] == [["plain"], {}]


def test_object_setattr_registers_nothing():
    """``object.__setattr__(net, "bias", parameter)`` makes a plain attribute, which hides a registered one.

    ``forward`` uses it, but no optimizer trains it and no file has it. Assign ``net.bias = parameter``.
    """
    layer = nn.Linear(2, 1)
    weight, bias = layer.parameters()
    object.__setattr__(layer, "bias", nn.Parameter(torch.tensor([5.0])))

    assert layer(torch.zeros(2)).item() == 5.0
    assert list(layer.named_parameters()) == [("weight", weight), ("bias", bias)]
    assert layer.state_dict()["bias"].item() == bias.item()

    empty = nn.Linear(2, 1, bias=False)
    object.__setattr__(empty, "bias", nn.Parameter(torch.tensor([5.0])))

    assert list(empty.state_dict()) == ["weight"]
    assert empty._parameters["bias"] is None


@pytest.mark.parametrize(
    "container",
    [list, tuple, set, lambda parameters: dict(enumerate(parameters))],
    ids=["list", "tuple", "set", "dict"],
)
def test_parameters_in_a_container(container):
    """Parameters in a plain ``list``, ``tuple``, ``set`` or ``dict`` of a module are not registered.

    No optimizer trains them, ``to()`` does not move them and no file has them. Use
    :class:`~torch.nn.ParameterList` or :class:`~torch.nn.ParameterDict`.

    See also :ref:`containers.parameter_list.its_parameters_belong_to_the_model`
    """
    net = nn.Module()
    weight = nn.Parameter(torch.rand(2))
    net.weights = container([weight])
    nn.Sequential(net).double()

    assert weight.dtype is torch.float32
    for module in (net, nn.Sequential(net)):
        assert [*module.parameters(), *module.state_dict()] == []
    net.single = nn.Parameter(torch.rand(2))
    assert [name for name, _ in net.named_parameters()] == ["single"]


def test_a_tensor_computed_in_init_grows_stale():
    """A tensor that ``__init__`` computes from a parameter keeps its first values while the parameter trains.

    Its graph serves one backward pass: the second raises. Compute it in ``forward``.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))
            self.weight = self.scale.exp()

        def forward(self, x):
            return x * self.weight

    net, x = Net(), torch.tensor(3.0)
    before = net(x).item()
    net(x).backward()
    torch.optim.SGD(net.parameters(), lr=0.5).step()

    assert net(x).item() == before
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        net(x).backward()
