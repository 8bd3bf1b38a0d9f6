"""What is not registered.

Whatever is neither a parameter nor a buffer nor a module becomes a plain attribute, even if it contains them.
It is not walked, trained, moved or saved.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N3-03")
@pytest.mark.question("Q01")
@pytest.mark.parametrize(
    "container",
    [list, tuple, set, lambda layers: dict(enumerate(layers))],
    ids=["list", "tuple", "set", "dict"],
)
def test_layers_in_a_container(container):
    """Layers in a list, a tuple, a set or a dict of Python are not registered.

    :class:`~torch.nn.ModuleList` and :class:`~torch.nn.ModuleDict` register what they hold.
    """
    net = nn.Module()
    net.layers = container([nn.Linear(2, 3), nn.Linear(3, 1)])

    assert list(net.modules()) == [net]
    assert list(net.parameters()) == []
    assert list(net.state_dict()) == []


@pytest.mark.question("Q01")
def test_layers_in_a_list_are_not_moved():
    """Layers in a list are neither moved nor switched to evaluation with the module."""
    net = nn.Module()
    net.hidden = [nn.Linear(2, 3)]
    net.head = nn.Linear(3, 1)
    net.to("meta", torch.float64).eval()

    assert [(net.head.weight.device.type, net.head.weight.dtype)] == [("meta", torch.float64)]
    assert [(p.device.type, p.dtype) for p in net.hidden[0].parameters()] == [("cpu", torch.float32)] * 2
    assert (net.head.training, net.hidden[0].training) == (False, True)


@pytest.mark.question("Q01")
def test_parameters_in_a_list():
    """Parameters in a list are not registered; :class:`~torch.nn.ParameterList` registers what it holds."""
    net = nn.Module()
    net.scales = [nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))]

    assert list(net.parameters()) == []

    net.scales = nn.ParameterList(net.scales)

    assert [name for name, _ in net.named_parameters()] == ["scales.0", "scales.1"]


def test_a_list_holds_without_registering():
    """A module in a list of one is held without being registered.

    So a teacher or a parent can be kept at hand.
    """
    student = nn.Linear(2, 3)
    student.teacher = [nn.Linear(2, 3)]

    assert [name for name, _ in student.named_parameters()] == ["weight", "bias"]
    assert isinstance(student.teacher[0], nn.Linear)


@pytest.mark.question("Q09")
def test_layers_made_in_forward():
    """A layer made in ``forward`` and kept nowhere has no parameters that an optimizer could train.

    Each call makes it anew, untrained. Make it in ``__init__``.
    """

    class Net(nn.Module):
        def forward(self, x):
            return nn.Linear(2, 3)(x)

    net = Net()
    net(torch.rand(4, 2))

    with pytest.raises(ValueError, match="optimizer got an empty parameter list"):
        torch.optim.SGD(net.parameters(), lr=0.1)


@pytest.mark.question("Q09")
def test_layers_assigned_in_forward():
    """A layer that ``forward`` assigns to the module is registered from its first call on."""

    class Net(nn.Module):
        def forward(self, x):
            self.head = nn.Linear(2, 3)
            return self.head(x)

    net = Net()
    before = [name for name, _ in net.named_parameters()]
    net(torch.rand(4, 2))

    assert before == []
    assert [name for name, _ in net.named_parameters()] == ["head.weight", "head.bias"]


@pytest.mark.claim("N2-16")
def test_a_plain_tensor_is_not_moved():
    """A plain tensor attribute is neither moved, nor cast, nor saved with the module.

    A buffer is all three.
    """
    net = nn.Module()
    net.hidden = torch.rand(2)
    net.register_buffer("mean", torch.rand(2))
    net.to("meta", torch.float64)

    assert [(t.device.type, t.dtype) for t in (net.hidden, net.mean)] == [
        ("cpu", torch.float32),
        ("meta", torch.float64),
    ]
    assert list(net.state_dict()) == ["mean"]


def test_functions_and_classes():
    """A function, a method of a module and a class of modules are plain attributes."""
    net = nn.Module()
    net.activation = torch.relu
    net.step = nn.Linear(2, 3).forward
    net.layer_class = nn.Linear

    assert [name for name, _ in net.named_modules()] == [""]
    assert {"activation", "step", "layer_class"} <= vars(net).keys()


def test_attributes_of_the_class():
    """A parameter or a module in the body of the class is read on every instance and registered on none."""

    class Net(nn.Module):
        scale = nn.Parameter(torch.rand(2))
        inner = nn.Linear(2, 3)

    net = Net()

    assert list(net.parameters()) == []
    assert net.scale is Net.scale


def test_a_value_of_another_type():
    """A plain attribute may be given values of any type, one after the other."""
    net = nn.Module()
    net.state = 2
    net.state = torch.rand(2)
    net.state = "done"

    assert vars(net)["state"] == "done"


def test_a_setter_is_used():
    """A property with a setter receives what is assigned, as in any other class."""

    class Net(nn.Module):
        @property
        def width(self):
            return self._width

        @width.setter
        def width(self, value):
            self._width = 2 * value

    net = Net()
    net.width = 3

    assert net.width == 6
    assert "width" not in vars(net)


@pytest.mark.observed
def test_a_setter_receives_no_module():
    """A module assigned to the name of a property is registered without its setter being called.

    The getter answers as before.
    """

    class Net(nn.Module):
        inner = property(lambda self: "from the getter", lambda self, value: None)

    net = Net()
    net.inner = nn.ReLU()

    assert list(net._modules) == ["inner"]
    assert net.inner == "from the getter"
