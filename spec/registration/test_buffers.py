"""Registering a buffer.

A buffer is a tensor that belongs to the state of a module without being trained: it moves with the module
and, if it is persistent, is saved with it.
"""

import re

import pytest
import torch
from torch import nn


@pytest.mark.claim("N5-19")
def test_register_buffer_registers():
    """:meth:`~torch.nn.Module.register_buffer` registers a tensor as a buffer and returns nothing.

    Buffers hold state such as running statistics. They are no cache for the backward pass.
    """
    net = nn.Module()
    mean = torch.rand(2)
    returned = net.register_buffer("mean", mean)

    assert returned is None
    assert net.mean is mean
    assert (list(net._buffers), list(net.parameters())) == (["mean"], [])


@pytest.mark.claim("N5-19")
def test_buffers_are_no_results_of_forward():
    """A forward pass adds no buffers to a module."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    net(torch.rand(4, 2))

    assert [len(module._buffers) for module in net.modules()] == [0, 0, 0, 0]


def test_buffers_are_persistent_by_default():
    """A buffer is persistent unless told otherwise: it is in the state dict."""
    net = nn.Module()
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("var", torch.rand(2), True)

    assert list(net.state_dict()) == ["mean", "var"]


def test_a_non_persistent_buffer():
    """With ``persistent=False`` a buffer moves with the module but is not in its state dict."""
    net = nn.Module()
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net.register_buffer("mask", torch.rand(2), False)
    net.double()

    assert list(net.state_dict()) == ["mean"]
    assert [name for name, _ in net.named_buffers()] == ["mean", "cache", "mask"]
    assert [b.dtype for b in net.buffers()] == [torch.float64] * 3


def test_registering_again_decides_anew():
    """:meth:`~torch.nn.Module.register_buffer` under a buffer's name replaces tensor and persistence."""
    net = nn.Module()
    net.register_buffer("first", torch.rand(2), persistent=False)
    net.register_buffer("second", torch.rand(2))
    net.register_buffer("first", torch.rand(3))
    net.register_buffer("second", torch.rand(3), persistent=False)

    assert [(name, b.shape) for name, b in net.named_buffers()] == [("first", (3,)), ("second", (3,))]
    assert list(net.state_dict()) == ["first"]


def test_none_registers_an_empty_buffer():
    """``None`` registers an empty buffer: the name exists, and nothing is walked or saved."""
    net = nn.Module()
    net.register_buffer("mean", None)

    assert net._buffers == {"mean": None}
    assert net.mean is None
    assert (list(net.buffers()), list(net.state_dict())) == ([], [])


@pytest.mark.question("Q07")
def test_an_empty_buffer_is_filled():
    """A tensor assigned to a buffer registered as ``None`` fills it: it is walked, moved and saved."""
    net = nn.Module()
    net.register_buffer("mean", None)
    net.mean = torch.rand(2)
    net.double()

    assert [(name, b.dtype) for name, b in net.named_buffers()] == [("mean", torch.float64)]
    assert list(net.state_dict()) == ["mean"]
    assert "mean" not in vars(net)


@pytest.mark.observed
def test_an_empty_buffer_keeps_its_persistence():
    """A non-persistent buffer registered as ``None`` is still non-persistent once it is filled."""
    net = nn.Module()
    net.register_buffer("cache", None, persistent=False)
    net.cache = torch.rand(2)

    assert [name for name, _ in net.named_buffers()] == ["cache"]
    assert list(net.state_dict()) == []


@pytest.mark.observed
def test_a_parameter_may_be_a_buffer():
    """A parameter given to :meth:`~torch.nn.Module.register_buffer` is a buffer, no parameter."""
    net = nn.Module()
    net.register_buffer("scale", nn.Parameter(torch.rand(2)))

    assert [name for name, _ in net.named_buffers()] == ["scale"]
    assert list(net.parameters()) == []


@pytest.mark.observed
def test_a_computed_tensor_may_be_a_buffer():
    """A tensor with a ``grad_fn`` is accepted as a buffer; as a parameter it would be refused."""
    net = nn.Module()
    net.register_buffer("doubled", 2 * torch.rand(2, requires_grad=True))

    assert not net.doubled.is_leaf
    assert list(net.state_dict()) == ["doubled"]


@pytest.mark.parametrize(("name", "kind"), [(3, "int"), (None, "NoneType")], ids=["number", "none"])
def test_the_name_is_a_string(name, kind):
    """A name of a buffer that is no string raises ``TypeError``."""
    net = nn.Module()

    with pytest.raises(TypeError, match=f"^buffer name should be a string. Got {kind}$"):
        net.register_buffer(name, torch.rand(2))


def test_no_dot_in_the_name():
    """A dot in the name of a buffer raises ``KeyError``."""
    net = nn.Module()

    with pytest.raises(KeyError, match=r"buffer name can.*t contain"):
        net.register_buffer("head.mean", torch.rand(2))

    assert list(net._buffers) == []


def test_the_name_is_not_empty():
    """An empty name of a buffer raises ``KeyError``."""
    net = nn.Module()

    with pytest.raises(KeyError, match=r"buffer name can.*t be empty string"):
        net.register_buffer("", torch.rand(2))


@pytest.mark.parametrize("name", ["width", "scale", "inner", "forward"])
def test_a_taken_name_is_refused(name):
    """A name that stands for anything but a buffer already raises ``KeyError``.

    ``self.mean = tensor`` followed by ``register_buffer("mean", self.mean)`` fails for that reason.
    """
    net = nn.Module()
    net.width = torch.rand(2)
    net.scale = nn.Parameter(torch.rand(2))
    net.inner = nn.ReLU()

    with pytest.raises(KeyError, match=f"attribute '{name}' already exists"):
        net.register_buffer(name, torch.rand(2))

    assert list(net._buffers) == []


@pytest.mark.parametrize(("value", "kind"), [(1.5, "float"), ([2.5], "list")], ids=["number", "list"])
def test_only_a_tensor_is_taken(value, kind):
    """A value that is neither a tensor nor ``None`` raises ``TypeError``."""
    net = nn.Module()
    wanted = f"cannot assign '{kind}' object to buffer 'mean' (torch Tensor or None required)"

    with pytest.raises(TypeError, match=f"^{re.escape(wanted)}$"):
        net.register_buffer("mean", value)

    assert list(net._buffers) == []


@pytest.mark.since("2.9")
def test_a_tensor_like_object_is_taken():
    """An object with ``__torch_function__`` is accepted as a buffer, named or assigned (:pull:`159455`)."""

    class TensorLike:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    net = nn.Module()
    first, second = TensorLike(), TensorLike()
    net.register_buffer("mean", first)
    net.register_buffer("var", None)
    net.var = second

    assert net._buffers == {"mean": first, "var": second}


@pytest.mark.before("2.9")
@pytest.mark.observed
def test_a_tensor_like_object_is_refused():
    """An object with ``__torch_function__`` that is no tensor is refused as a buffer."""

    class TensorLike:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    net = nn.Module()

    with pytest.raises(TypeError, match="TensorLike' object to buffer 'mean'"):
        net.register_buffer("mean", TensorLike())


@pytest.mark.since("2.5")
@pytest.mark.observed
def test_an_assignment_registers_by_name():
    """Assigning to a buffer calls the ``register_buffer`` of the module, overridden or not."""
    calls = []

    class Net(nn.Module):
        def register_buffer(self, name, tensor, persistent=True):
            calls.append((name, persistent))
            super().register_buffer(name, tensor, persistent)

    net = Net()
    net.mean = nn.Buffer(torch.rand(2))
    net.cache = nn.Buffer(torch.rand(2), persistent=False)
    net.cache = torch.rand(3)

    assert calls == [("mean", True), ("cache", False), ("cache", False)]
    assert list(net.state_dict()) == ["mean"]


@pytest.mark.since("2.5")
@pytest.mark.observed
def test_a_function_of_the_instance_registers():
    """Assigning to a buffer calls a ``register_buffer`` that is set on the instance."""
    calls = []
    net = nn.Module()
    net.register_buffer = lambda name, tensor, persistent: calls.append((name, persistent))
    net.cache = nn.Buffer(torch.rand(2), persistent=False)

    assert calls == [("cache", False)]
    assert list(net._buffers) == []


@pytest.mark.before("2.5")
@pytest.mark.observed
def test_an_assignment_fills_the_store_itself():
    """Assigning to a buffer fills the store without calling the ``register_buffer`` of the module."""
    calls = []

    class Net(nn.Module):
        def register_buffer(self, name, tensor, persistent=True):
            calls.append((name, persistent))
            super().register_buffer(name, tensor, persistent)

    net = Net()
    net.register_buffer("mean", torch.rand(2))
    net.mean = torch.rand(3)

    assert calls == [("mean", True)]
    assert net.mean.shape == (3,)


@pytest.mark.since("2.5")
@pytest.mark.observed
def test_an_older_override_registers_too():
    """A ``register_buffer`` overridden without ``persistent`` is still called for persistent buffers."""
    calls = []

    class Net(nn.Module):
        def register_buffer(self, name, tensor):
            calls.append(name)
            super().register_buffer(name, tensor)

    net = Net()
    net.mean = nn.Buffer(torch.rand(2))
    net.mean = torch.rand(3)

    assert calls == ["mean", "mean"]
    assert [(name, b.shape) for name, b in net.named_buffers()] == [("mean", (3,))]


@pytest.mark.since("2.5")
@pytest.mark.observed
def test_an_older_override_refuses_non_persistent():
    """A non-persistent buffer raises ``RuntimeError`` if ``register_buffer`` takes no ``persistent``."""

    class Net(nn.Module):
        def register_buffer(self, name, tensor):
            super().register_buffer(name, tensor)

    net = Net()
    wanted = (
        "Registering a non-persistent buffer on a Module subclass that implements register_buffer() "
        "without the persistent argument is not allowed."
    )

    with pytest.raises(RuntimeError, match=f"^{re.escape(wanted)}$"):
        net.cache = nn.Buffer(torch.rand(2), persistent=False)


def test_scripted_modules_save_every_buffer():
    """A :class:`~torch.jit.ScriptModule` raises ``RuntimeError`` for a buffer that is not persistent."""

    class Net(torch.jit.ScriptModule):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.rand(2))
            with pytest.raises(RuntimeError, match=r"^ScriptModule does not support non-persistent buffers$"):
                self.register_buffer("cache", torch.rand(2), persistent=False)

    assert [name for name, _ in Net().named_buffers()] == ["mean"]
