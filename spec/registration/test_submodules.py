"""Registering a submodule by name.

``add_module`` and its other name ``register_module`` do what an assignment does, for a name that is computed.
"""

import re

import pytest
import torch
from torch import nn

METHODS = ["add_module", "register_module"]


@pytest.mark.parametrize("method", METHODS)
def test_add_module_registers(method):
    """:meth:`Module.add_module() <torch.nn.Module.add_module>` registers a submodule and returns ``None``.

    :meth:`~torch.nn.Module.register_module` is another name for it.
    """
    net = nn.Module()
    inner, empty = nn.Linear(2, 3), nn.Sequential()
    returned = [getattr(net, method)("inner", inner), getattr(net, method)(name="empty", module=empty)]

    assert returned == [None, None]
    assert net.inner is inner
    assert net._modules == {"inner": inner, "empty": empty}


def test_register_module_calls_add_module():
    """:meth:`Module.register_module <torch.nn.Module.register_module>` calls an overridden ``add_module``."""
    calls = []

    class Net(nn.Module):
        def add_module(self, name, module):
            calls.append(name)
            super().add_module(name, module)

    net = Net()
    net.register_module("inner", nn.ReLU())
    net.register_module("empty", None)

    assert calls == ["inner", "empty"]
    assert list(net._modules) == ["inner", "empty"]


def test_an_assignment_does_not_add():
    """Assigning a submodule, ``net.inner = module``, does not call an overridden ``add_module``.

    To see every submodule that is registered, use the hook of
    :func:`~torch.nn.modules.module.register_module_module_registration_hook`.
    """
    calls = []

    class Net(nn.Module):
        def add_module(self, name, module):
            calls.append(name)
            super().add_module(name, module)

    net, seen = Net(), []
    with nn.modules.module.register_module_module_registration_hook(lambda *given: seen.append(given[1])):
        net.inner = nn.ReLU()
        net.inner = nn.Tanh()
        net.add_module("last", nn.ReLU())

    assert calls == ["last"]
    assert seen == ["inner", "inner", "last"]
    assert list(net._modules) == ["inner", "last"]


@pytest.mark.claim("N2-09")
def test_none_registers_an_empty_submodule():
    """``add_module(name, None)`` registers a ``None`` submodule, which ``named_children()`` skips."""
    net = nn.Module()
    net.add_module("inner", None)
    net.add_module("last", nn.ReLU())

    assert list(net._modules) == ["inner", "last"]
    assert net.inner is None
    assert [name for name, _ in net.named_children()] == ["last"]


def test_adding_again_replaces():
    """:meth:`Module.add_module() <torch.nn.Module.add_module>` with an existing submodule's name replaces it
    and keeps its position.
    """
    net = nn.Module()
    net.add_module("empty", None)
    net.first, net.last = nn.ReLU(), nn.Tanh()
    filled, new = nn.ELU(), nn.GELU()
    net.add_module("first", new)
    net.add_module("empty", filled)

    assert list(net.named_children()) == [("empty", filled), ("first", new), ("last", net.last)]


def test_any_other_name_will_do():
    """``add_module`` accepts an unused name such as ``"0"``, ``"lambda"`` or ``"my layer"``."""
    net = nn.Module()
    names = ["0", "my layer", "lambda", "my-layer", "layer/1", "Maß", " "]
    for name in names:
        net.add_module(name, nn.ReLU())

    assert [name for name, _ in net.named_children()] == names
    with pytest.raises(KeyError, match="attribute 'training' already exists"):
        net.add_module("training", nn.ReLU())


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (nn.ReLU, "torch.nn.modules.activation.ReLU"),
        (torch.rand(2), "torch.FloatTensor"),
        (len, "len"),
        ([nn.ReLU()], "list"),
        ("relu", "str"),
        (0, "int"),
    ],
    ids=["class", "tensor", "function", "list", "text", "zero"],
)
def test_only_a_module_is_taken(value, kind):
    """``add_module`` raises ``TypeError`` for a value that is neither an ``nn.Module`` nor ``None``.

    A class that is not called yet, ``nn.ReLU`` for ``nn.ReLU()``, is the usual case.
    """
    net = nn.Module()

    with pytest.raises(TypeError, match=f"^{re.escape(kind)} is not a Module subclass$"):
        net.add_module("inner", value)

    assert list(net._modules) == []


@pytest.mark.parametrize("value", [nn.ReLU(), None], ids=["module", "None"])
@pytest.mark.parametrize(("name", "kind"), [(3, "int"), (None, "NoneType")], ids=["number", "none"])
def test_the_name_is_a_string(name, kind, value):
    """:meth:`Module.add_module() <torch.nn.Module.add_module>` raises ``TypeError`` for a name that is not a
    string.
    """
    net = nn.Module()

    with pytest.raises(TypeError, match=f"^module name should be a string. Got {kind}$"):
        net.add_module(name, value)

    assert list(net._modules) == []


@pytest.mark.parametrize("value", [nn.ReLU(), None], ids=["module", "None"])
@pytest.mark.parametrize("name", ["head.inner", ".inner", "inner."])
def test_no_dot_in_the_name(name, value):
    """:meth:`Module.add_module() <torch.nn.Module.add_module>` raises ``KeyError`` for a name with a dot, and
    the error quotes the name.

    To put a layer into a nested module, add it to that module: ``net.head.add_module("inner", layer)``.
    """
    net = nn.Module()

    with pytest.raises(KeyError, match=rf"module name can.*t contain .*, got: {re.escape(name)}"):
        net.add_module(name, value)

    assert list(net._modules) == []


@pytest.mark.parametrize("value", [nn.ReLU(), None], ids=["module", "None"])
def test_the_name_is_not_empty(value):
    """:meth:`Module.add_module() <torch.nn.Module.add_module>` raises ``KeyError`` for an empty name."""
    net = nn.Module()

    with pytest.raises(KeyError, match=r"module name can.*t be empty string"):
        net.add_module("", value)

    assert list(net._modules) == []


@pytest.mark.parametrize("name", ["width", "empty", "scale", "bias", "mean", "unset", "forward", "depth"])
def test_a_taken_name_is_refused(name):
    """``add_module`` raises ``KeyError`` if the name is already a plain attribute, a parameter or a buffer.

    So does a name that the class defines, such as ``forward``. An assignment would replace a plain attribute
    or a buffer.
    """

    class Net(nn.Module):
        depth = 3

    net = Net()
    net.width, net.empty = 2, None
    net.scale = nn.Parameter(torch.rand(2))
    net.register_buffer("mean", torch.rand(2))
    net.register_parameter("bias", None)
    net.register_buffer("unset", None)

    with pytest.raises(KeyError, match=f"attribute '{name}' already exists"):
        net.add_module(name, nn.ReLU())
    with pytest.raises(KeyError, match=f"attribute '{name}' already exists"):
        net.add_module(name, None)

    assert list(net._modules) == []
    net.width = net.mean = nn.ReLU()
    assert list(net._modules) == ["width", "mean"]


@pytest.mark.parametrize("name", ["head.inner", ""], ids=["dot", "empty"])
def test_setattr_does_not_look_at_the_name(name):
    """``setattr(net, name, module)`` accepts a name with a dot or an empty name, unlike ``add_module``.

    :meth:`~torch.nn.Module.get_submodule` looks for ``head`` first, and finds nothing. To replace a nested
    layer, assign to its parent.
    """
    net, layer = nn.Module(), nn.ReLU()
    setattr(net, name, layer)

    assert net._modules == {name: layer}
    with pytest.raises(KeyError, match="module name can"):
        nn.Module().add_module(name, layer)

    setattr(net, "head.inner", layer)
    with pytest.raises(AttributeError, match="Module has no attribute `head`"):
        net.get_submodule("head.inner")


def test_a_module_may_hold_itself():
    """:meth:`Module.add_module() <torch.nn.Module.add_module>` accepts the module itself; ``named_modules()``
    yields it once.

    What goes on to the children, such as ``train()``, ``double()`` or ``state_dict()``, raises
    ``RecursionError``.
    """
    net = nn.Module()
    net.add_module("again", net)

    assert net.again is net
    assert list(net.children()) == [net]
    assert [name for name, _ in net.named_modules()] == [""]
    for goes_on in (net.train, net.double, net.state_dict):
        with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
            goes_on()
