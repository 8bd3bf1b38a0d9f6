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
    """:meth:`~torch.nn.Module.add_module` registers a submodule and returns nothing.

    :meth:`~torch.nn.Module.register_module` is another name for it.
    """
    net = nn.Module()
    inner = nn.Linear(2, 3)
    returned = getattr(net, method)("inner", inner)

    assert returned is None
    assert net.inner is inner
    assert list(net._modules) == ["inner"]


@pytest.mark.observed
def test_register_module_calls_add_module():
    """:meth:`~torch.nn.Module.register_module` calls ``add_module``, overridden or not."""
    calls = []

    class Net(nn.Module):
        def add_module(self, name, module):
            calls.append(name)
            super().add_module(name, module)

    net = Net()
    net.register_module("inner", nn.ReLU())

    assert calls == ["inner"]
    assert list(net._modules) == ["inner"]


@pytest.mark.observed
def test_an_assignment_does_not_add():
    """Assigning a submodule does not call ``add_module``: an override of it is passed by."""
    calls = []

    class Net(nn.Module):
        def add_module(self, name, module):
            calls.append(name)
            super().add_module(name, module)

    net = Net()
    net.inner = nn.ReLU()

    assert calls == []
    assert list(net._modules) == ["inner"]


@pytest.mark.claim("N2-09")
def test_none_registers_an_empty_submodule():
    """``None`` registers an empty submodule: the name exists, and nothing is walked."""
    net = nn.Module()
    net.add_module("inner", None)
    net.add_module("last", nn.ReLU())

    assert list(net._modules) == ["inner", "last"]
    assert net.inner is None
    assert [name for name, _ in net.named_children()] == ["last"]


def test_adding_again_replaces():
    """:meth:`~torch.nn.Module.add_module` under the name of a submodule replaces it in its place."""
    net = nn.Module()
    net.first, net.last = nn.ReLU(), nn.Tanh()
    net.add_module("first", nn.GELU())

    assert [(name, type(m)) for name, m in net.named_children()] == [("first", nn.GELU), ("last", nn.Tanh)]


def test_any_other_name_will_do():
    """Any string that is not empty and has no dot can be the name of a submodule."""
    net = nn.Module()
    net.add_module("0", nn.ReLU())
    net.add_module("my layer", nn.ReLU())
    net.add_module("lambda", nn.ReLU())

    assert [name for name, _ in net.named_children()] == ["0", "my layer", "lambda"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [(nn.ReLU, "torch.nn.modules.activation.ReLU"), (torch.rand(2), "torch.FloatTensor"), (0, "int")],
    ids=["class", "tensor", "zero"],
)
def test_only_a_module_is_taken(value, kind):
    """A value that is neither a module nor ``None`` raises ``TypeError``.

    A class that is not called yet, ``nn.ReLU`` for ``nn.ReLU()``, is the usual case.
    """
    net = nn.Module()

    with pytest.raises(TypeError, match=f"^{re.escape(kind)} is not a Module subclass$"):
        net.add_module("inner", value)

    assert list(net._modules) == []


@pytest.mark.parametrize(("name", "kind"), [(3, "int"), (None, "NoneType")], ids=["number", "none"])
def test_the_name_is_a_string(name, kind):
    """A name of a submodule that is no string raises ``TypeError``."""
    net = nn.Module()

    with pytest.raises(TypeError, match=f"^module name should be a string. Got {kind}$"):
        net.add_module(name, nn.ReLU())


def test_no_dot_in_the_name():
    """A dot in the name of a submodule raises a ``KeyError`` with that name."""
    net = nn.Module()

    with pytest.raises(KeyError, match=r"module name can.*t contain .*, got: head\.inner"):
        net.add_module("head.inner", nn.ReLU())

    assert list(net._modules) == []


def test_the_name_is_not_empty():
    """An empty name of a submodule raises ``KeyError``."""
    net = nn.Module()

    with pytest.raises(KeyError, match=r"module name can.*t be empty string"):
        net.add_module("", nn.ReLU())


@pytest.mark.parametrize("name", ["width", "scale", "mean", "forward"])
def test_a_taken_name_is_refused(name):
    """A name that stands for anything but a submodule already raises ``KeyError``."""
    net = nn.Module()
    net.width = 2
    net.scale = nn.Parameter(torch.rand(2))
    net.register_buffer("mean", torch.rand(2))

    with pytest.raises(KeyError, match=f"attribute '{name}' already exists"):
        net.add_module(name, nn.ReLU())

    assert list(net._modules) == []


@pytest.mark.observed
@pytest.mark.parametrize("name", ["head.inner", ""], ids=["dot", "empty"])
def test_setattr_does_not_look_at_the_name(name):
    """``setattr`` registers a submodule under a name that ``add_module`` would refuse.

    Such a name cannot be looked up again. To replace a nested layer, assign to its parent.
    """
    net = nn.Module()
    setattr(net, name, nn.ReLU())

    assert list(net._modules) == [name]


@pytest.mark.observed
def test_a_module_may_hold_itself():
    """A module can be registered as its own submodule; ``named_modules()`` yields it once."""
    net = nn.Module()
    net.add_module("again", net)

    assert [name for name, _ in net.named_modules()] == [""]
