"""Modules whose class is made in another way than usual.

A class of modules may be a dataclass, be generic, make its objects itself or have slots. What it may not do
is assign modules before ``Module.__init__`` has run.
"""

import dataclasses
import typing

import pytest
import torch
from torch import nn


def test_a_dataclass_calls_init_after_its_fields():
    """A dataclass can be an ``nn.Module`` if it calls ``super().__init__()`` in ``__post_init__``.

    Fields are assigned before, and stay plain attributes; layers are made afterwards. Declare it with
    ``eq=False``.

    See also :ref:`traversal.modules.an_unhashable_module_cannot_be_walked`
    """

    @dataclasses.dataclass(eq=False)
    class Net(nn.Module):
        width: int

        def __post_init__(self):
            super().__init__()
            self.inner = nn.Linear(self.width, 1)

    net = Net(width=3)

    assert list(net.state_dict()) == ["inner.weight", "inner.bias"]
    assert net.inner.in_features == 3
    assert vars(net)["width"] == 3


def test_a_layer_as_a_field_comes_too_early():
    """A dataclass that is an ``nn.Module`` raises ``AttributeError`` if a layer is passed for one of its
    fields.

    Fields are assigned before ``__post_init__`` can call ``super().__init__()``.

    See also :ref:`registration.classes.new_may_initialise`
    """

    @dataclasses.dataclass(eq=False)
    class Net(nn.Module):
        inner: nn.Module

        def __post_init__(self):
            super().__init__()

    for layer in (nn.Linear(2, 1), nn.Sequential()):
        with pytest.raises(AttributeError, match=r"^cannot assign module before Module.__init__\(\) call$"):
            Net(layer)


def test_new_may_initialise():
    """If a class's ``__new__`` calls ``nn.Module.__init__``, its ``__init__`` need not call
    ``super().__init__()``.

    So a dataclass may have layers as fields.
    """

    class Ready(nn.Module):
        def __new__(cls, *args, **kwargs):
            self = super().__new__(cls)
            nn.Module.__init__(self)
            return self

    @dataclasses.dataclass(eq=False)
    class Net(Ready):
        inner: nn.Module

    class Forgetful(Ready):
        def __init__(self, width):
            self.inner = nn.Linear(width, 1)

    assert list(Net(nn.Linear(2, 1)).state_dict()) == ["inner.weight", "inner.bias"]
    assert list(Forgetful(2).state_dict()) == ["inner.weight", "inner.bias"]


def test_a_dataclass_prints_its_fields():
    """``repr()`` of a dataclass that is an ``nn.Module`` shows its fields, not its layers, unless
    ``repr=False``.
    """

    class Base(nn.Module):
        def __post_init__(self):
            super().__init__()
            self.inner = nn.ReLU()

    @dataclasses.dataclass(eq=False)
    class Net(Base):
        width: int

    @dataclasses.dataclass(eq=False, repr=False)
    class Quiet(Base):
        width: int

    assert repr(Net(3)).endswith("Net(width=3)")
    assert repr(Quiet(3)) == "Quiet(\n  (inner): ReLU()\n)"


def test_a_class_may_be_generic():
    """A class may inherit from ``nn.Module`` and ``typing.Generic``; ``nn.Module[...]`` raises ``TypeError``.

    ``Net[int]()`` makes a ``Net`` as ``Net()`` does. ``nn.Module`` itself takes no types: not those of what
    ``forward`` takes, nor of what it returns.
    """
    kind = typing.TypeVar("kind")

    class Net(nn.Module, typing.Generic[kind]):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 1)

    net = Net[int]()

    assert list(net.state_dict()) == list(Net().state_dict()) == ["inner.weight", "inner.bias"]
    with pytest.raises(TypeError, match="is not subscriptable"):
        nn.Module[torch.Tensor]


@pytest.mark.question("Q119")
def test_a_call_is_declared_to_return_anything():
    """``nn.Module`` declares ``__call__`` as ``Callable[..., Any]``, whatever ``forward`` is declared to
    return.

    To a type checker ``net(x)`` is ``Any``. Declare ``__call__`` in the class, and let it return
    ``super().__call__(x)``: hooks still run.
    """

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return super().__call__(x)

    net = Net()
    net.register_forward_hook(lambda module, args, output: output + 1)

    declared = typing.get_type_hints(nn.Module)["__call__"]
    assert [typing.get_args(declared)[0], typing.get_args(declared)[-1]] == [..., typing.Any]
    assert net(torch.tensor(3.0)).item() == 7.0


def test_a_slot_keeps_its_old_value():
    """A value in a slot (``__slots__``) of an ``nn.Module`` hides a layer assigned to the same name later.

    The layer is registered and saved, but ``net.inner`` still gives the old value. A slot that was empty
    hides nothing.
    """

    class Net(nn.Module):
        __slots__ = ("empty", "inner")

    net = Net()
    net.inner = None
    net.inner = nn.Linear(2, 1, bias=False)
    net.empty = layer = nn.Linear(3, 1, bias=False)

    assert list(net.state_dict()) == ["inner.weight", "empty.weight"]
    assert net.inner is None
    assert net.empty is layer
