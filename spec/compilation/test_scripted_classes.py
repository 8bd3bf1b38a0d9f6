"""Classes of one's own in a scripted module: objects that ``forward`` makes, keeps and returns.

``torch.jit.script`` compiles the class of an object with the module, from the annotations of its methods.
"""

import enum
import io
from typing import NamedTuple

import pytest
import torch
from torch import nn


def test_forward_may_make_an_object():
    """A ``forward`` compiled by ``torch.jit.script`` may make an object of a plain class, and call its
    methods.

    The class is compiled with the module: ``@torch.jit.script`` on it is not needed. See
    :func:`torch.jit.script`.
    """

    class Scale:
        def __init__(self, factor: int):
            self.factor = factor

        def twice(self) -> int:
            return 2 * self.factor

    class Net(nn.Module):
        def forward(self, x):
            return x * Scale(3).twice()

    assert torch.jit.script(Net())(torch.ones(1)).item() == 6.0


def test_an_argument_without_a_type_is_a_tensor():
    """In ``torch.jit.script``, an argument of a class's ``__init__`` without annotation has to be a tensor.

    A number raises ``RuntimeError``. See :func:`torch.jit.script`.
    """

    class Untyped:
        def __init__(self, factor):
            self.factor = factor

    class Number(nn.Module):
        def forward(self, x):
            return x * Untyped(2).factor

    class Same(nn.Module):
        def forward(self, x):
            return x * Untyped(x).factor

    assert torch.jit.script(Same())(torch.tensor(3.0)).item() == 9.0
    with pytest.raises(RuntimeError, match="Expected a value of type 'Tensor"):
        torch.jit.script(Number())


def test_an_object_as_an_attribute_is_copied():
    """``torch.jit.script`` copies an object that a module holds as an attribute: the two change apart.

    The copy is saved with the module, and its class is not needed to load it. See :func:`torch.jit.script`.
    """

    class Scale:
        def __init__(self, factor: int):
            self.factor = factor

        def twice(self) -> int:
            return 2 * self.factor

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = Scale(3)

        def forward(self, x):
            self.scale.factor += 1
            return x * self.scale.twice()

    net = Net()
    scripted = torch.jit.script(net)
    assert [scripted(torch.ones(1)).item() for _ in range(2)] == [8.0, 10.0]
    assert net.scale.factor == 3

    net.scale.factor = 100
    torch.jit.save(scripted, file := io.BytesIO())
    loaded = torch.jit.load(io.BytesIO(file.getvalue()))
    assert [module(torch.ones(1)).item() for module in (scripted, loaded)] == [12.0, 12.0]


def test_a_class_is_scripted_or_refused():
    """``torch.jit.script`` of a class returns the class; it raises for subclasses, also of ``nn.Module``.

    Script an instance of a module. Classes for ``torch.jit.script`` inherit from nothing. An object of a
    plain class may be scripted as well.
    """

    class Scale:
        def __init__(self, factor: int):
            self.factor = factor

        def twice(self) -> int:
            return 2 * self.factor

    class Derived(Scale):
        def __init__(self):
            self.factor = 2

    assert torch.jit.script(Scale) is Scale
    assert torch.jit.script(Scale(4)).twice() == 8
    with pytest.raises(RuntimeError, match=r"cannot be compiled since it inherits from nn\.Module"):
        torch.jit.script(nn.Linear)
    with pytest.raises(RuntimeError, match="does not support inheritance"):
        torch.jit.script(Derived)


def test_named_tuples_and_enums():
    """``torch.jit.script`` compiles a ``NamedTuple`` that ``forward`` returns, and an ``Enum`` that it reads.

    What is returned has the names of the fields, but is not of the class. See :func:`torch.jit.script`.
    """

    class Pair(NamedTuple):
        y: torch.Tensor
        count: int

    class Mode(enum.Enum):
        DOUBLE = 2
        TRIPLE = 3

    class Net(nn.Module):
        def __init__(self, mode):
            super().__init__()
            self.mode = mode

        def forward(self, x):
            return Pair(x * 2 if self.mode == Mode.DOUBLE else x * 3, 5)

    found = [torch.jit.script(Net(mode))(torch.ones(1)) for mode in Mode]

    assert [(pair.y.item(), pair.count) for pair in found] == [(2.0, 5), (3.0, 5)]
    assert [(type(pair).__name__, isinstance(pair, Pair)) for pair in found] == [("Pair", False)] * 2


def test_a_layer_cannot_be_made_in_forward():
    """``torch.jit.script`` raises an error for a ``forward`` that makes a layer, such as ``nn.ReLU()``.

    Make it in ``__init__``, or call the function. See :func:`torch.jit.script`.
    """

    class Net(nn.Module):
        def forward(self, x):
            return nn.ReLU()(x)

    errors = torch.jit.frontend.FrontendError, RuntimeError  # that, if a ReLU was scripted before
    with pytest.raises(errors, match=r"Cannot instantiate class 'ReLU'|Class ReLU does not have an __init__"):
        torch.jit.script(Net())
