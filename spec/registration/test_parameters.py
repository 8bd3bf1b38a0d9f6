"""Registering a parameter by name.

``register_parameter`` does what an assignment does, for a name that is computed. It replaces another
parameter and nothing else.
"""

import re

import pytest
import torch
from torch import nn


def test_register_parameter_registers():
    """:meth:`Module.register_parameter() <torch.nn.Module.register_parameter>` registers a parameter and
    returns ``None``.

    It is what an assignment calls. Use it for a name that is computed, and with ``None`` for a parameter
    that may be left out.
    """
    net = nn.Module()
    scale, shift = nn.Parameter(torch.rand(2)), nn.Parameter(torch.tensor([2, 3]), requires_grad=False)
    returned = [net.register_parameter("scale", scale), net.register_parameter(name="shift", param=shift)]

    assert returned == [None, None]
    assert net.scale is scale
    assert net._parameters == {"scale": scale, "shift": shift}


def test_any_other_name_will_do():
    """``register_parameter`` accepts an unused name such as ``"0"``, ``"class"`` or ``"my scale"``."""
    net = nn.Module()
    net.register_parameter("0", nn.Parameter(torch.rand(2)))
    net.register_parameter("my scale", nn.Parameter(torch.rand(2)))
    net.register_parameter("class", nn.Parameter(torch.rand(2)))

    assert [name for name, _ in net.named_parameters()] == ["0", "my scale", "class"]
    with pytest.raises(KeyError, match="attribute 'training' already exists"):
        net.register_parameter("training", nn.Parameter(torch.rand(2)))


@pytest.mark.claim("N2-09")
def test_none_registers_an_empty_parameter():
    """``register_parameter(name, None)`` registers a ``None`` parameter, which ``parameters()`` skips.

    Nothing is saved either. The attribute is ``None``, so that ``forward`` can ask for it, as layers with
    ``bias=False`` do.
    """
    net = nn.Module()
    net.register_parameter("bias", None)

    assert net._parameters == {"bias": None}
    assert net.bias is None
    for module in (net, nn.Sequential(net)):
        assert [*module.parameters(), *module.state_dict()] == []
    assert nn.Linear(2, 3, bias=False)._parameters["bias"] is None


def test_registering_again_replaces():
    """:meth:`Module.register_parameter() <torch.nn.Module.register_parameter>` with an existing parameter's
    name replaces it and keeps its position.
    """
    net = nn.Module()
    net.register_parameter("bias", None)
    net.a, net.b = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))
    bias, new = nn.Parameter(torch.rand(4)), nn.Parameter(torch.rand(2))
    net.register_parameter("a", new)
    net.register_parameter("bias", bias)

    assert list(net.named_parameters()) == [("bias", bias), ("a", new), ("b", net.b)]


def test_an_assignment_registers_by_name():
    """Assigning a parameter, ``net.scale = nn.Parameter(tensor)``, calls an overridden
    ``register_parameter``.
    """
    calls = []

    class Net(nn.Module):
        def register_parameter(self, name, param):
            calls.append((name, param))
            super().register_parameter(name, param)

    net = Net()
    net.scale = first = nn.Parameter(torch.rand(2))
    net.scale = second = nn.Parameter(torch.rand(3))
    net.scale = None

    assert calls == [("scale", first), ("scale", second), ("scale", None)]


@pytest.mark.parametrize("value", [nn.Parameter(torch.rand(2)), None], ids=["parameter", "None"])
@pytest.mark.parametrize(("name", "kind"), [(3, "int"), (None, "NoneType")], ids=["number", "none"])
def test_the_name_is_a_string(name, kind, value):
    """:meth:`Module.register_parameter() <torch.nn.Module.register_parameter>` raises ``TypeError`` for a
    name that is not a string.
    """
    net = nn.Module()

    with pytest.raises(TypeError, match=f"^parameter name should be a string. Got {kind}$"):
        net.register_parameter(name, value)

    assert list(net._parameters) == []


@pytest.mark.parametrize("value", [nn.Parameter(torch.rand(2)), None], ids=["parameter", "None"])
@pytest.mark.parametrize("name", ["head.scale", ".scale", "scale."])
def test_no_dot_in_the_name(name, value):
    """:meth:`Module.register_parameter() <torch.nn.Module.register_parameter>` raises ``KeyError`` for a name
    with a dot.

    Dots separate the names of nested modules.
    """
    net = nn.Module()

    with pytest.raises(KeyError, match=r"parameter name can.*t contain"):
        net.register_parameter(name, value)

    assert list(net._parameters) == []


@pytest.mark.parametrize("value", [nn.Parameter(torch.rand(2)), None], ids=["parameter", "None"])
def test_the_name_is_not_empty(value):
    """:meth:`Module.register_parameter() <torch.nn.Module.register_parameter>` raises ``KeyError`` for an
    empty name.
    """
    net = nn.Module()

    with pytest.raises(KeyError, match=r"parameter name can.*t be empty string"):
        net.register_parameter("", value)

    assert list(net._parameters) == []


@pytest.mark.parametrize("name", ["width", "empty", "mean", "unset", "inner", "tail", "forward"])
def test_a_taken_name_is_refused(name):
    """``register_parameter`` raises ``KeyError`` if the name is already an attribute other than a parameter.

    An assignment would replace a plain attribute, a buffer or a submodule.
    """
    net = nn.Module()
    net.width, net.empty = 2, None
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("unset", None)
    net.inner = nn.ReLU()
    net.register_module("tail", None)

    with pytest.raises(KeyError, match=f"attribute '{name}' already exists"):
        net.register_parameter(name, nn.Parameter(torch.rand(2)))
    with pytest.raises(KeyError, match=f"attribute '{name}' already exists"):
        net.register_parameter(name, None)

    assert list(net._parameters) == []
    net.width = net.mean = net.inner = nn.Parameter(torch.rand(2))
    assert list(net._parameters) == ["width", "mean", "inner"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.rand(2), "torch.FloatTensor"),
        (torch.rand(2, requires_grad=True), "torch.FloatTensor"),
        ([2.5], "list"),
        (0, "int"),
    ],
    ids=["tensor", "leaf", "list", "zero"],
)
def test_only_a_parameter_is_taken(value, kind):
    """``register_parameter`` raises ``TypeError`` for a value that is neither an ``nn.Parameter`` nor
    ``None``.

    A tensor is wrapped first, ``nn.Parameter(tensor)``, also one that requires a gradient.
    """
    net = nn.Module()
    wanted = f"cannot assign '{kind}' object to parameter 'scale' (torch.nn.Parameter or None required)"

    with pytest.raises(TypeError, match=f"^{re.escape(wanted)}$"):
        net.register_parameter("scale", value)

    assert list(net._parameters) == []


def test_a_computed_parameter_is_refused():
    """:meth:`Module.register_parameter() <torch.nn.Module.register_parameter>` raises ``ValueError`` for a
    non-leaf parameter.

    An optimizer could not train it. Compute the value in ``forward``, or use
    :func:`~torch.nn.utils.parametrize.register_parametrization`.
    """
    net = nn.Module()
    computed = nn.Parameter(torch.rand(2), requires_grad=False)
    computed.mul_(torch.rand(2, requires_grad=True))
    wanted = (
        "Cannot assign non-leaf Tensor to parameter 'scale'. Model parameters must be created explicitly. "
        "To express 'scale' as a function of another Tensor, compute the value in the forward() method."
    )

    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        net.register_parameter("scale", computed)
    assert list(net._parameters) == []

    net.scale = kept = nn.Parameter(torch.rand(2))
    with pytest.raises(ValueError, match=f"^{re.escape(wanted)}$"):
        net.register_parameter("scale", computed)
    assert net.scale is kept


def test_the_name_is_looked_at_first():
    """:meth:`Module.register_parameter() <torch.nn.Module.register_parameter>` checks the name before the
    value.
    """
    net = nn.Module()
    net.width = 2

    with pytest.raises(KeyError, match="attribute 'width' already exists"):
        net.register_parameter("width", [2.5])
    for name in ("head.scale", ""):
        with pytest.raises(KeyError, match="parameter name can"):
            net.register_parameter(name, [2.5])
    with pytest.raises(TypeError, match="parameter name should be a string"):
        net.register_parameter(3, [2.5])
