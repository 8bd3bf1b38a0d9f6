"""Registering a buffer.

A buffer is a tensor that belongs to the state of a module without being trained: it moves with the module
and, if it is persistent, is saved with it.
"""

import copy
import re

import pytest
import torch
from torch import nn


@pytest.mark.claim("N5-19")
def test_register_buffer_registers():
    """:meth:`Module.register_buffer() <torch.nn.Module.register_buffer>` registers a tensor as a buffer and
    returns ``None``.

    Buffers hold state that no optimizer trains, such as running statistics or a mask. An optimizer is given
    :meth:`~torch.nn.Module.parameters`, in which they are not.
    """
    net, mean, mask = nn.Module(), torch.rand(2, requires_grad=True), torch.tensor([True, False])
    returned = [net.register_buffer("mean", mean), net.register_buffer(name="mask", tensor=mask)]

    assert returned == [None, None]
    assert net.mean is mean
    assert net._buffers == {"mean": mean, "mask": mask}
    assert [*net.parameters(), *nn.Sequential(net).parameters()] == []


@pytest.mark.claim("N5-19")
def test_buffers_are_no_results_of_forward():
    """Calling an :class:`nn.Linear <torch.nn.Linear>` or an :class:`nn.BatchNorm1d <torch.nn.BatchNorm1d>`
    registers no new buffers.

    A buffer is there from ``register_buffer`` on. What the backward pass needs is kept by autograd.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    net(torch.rand(4, 2)).sum().backward()
    net.eval()(torch.rand(4, 2))

    assert [name for name, _ in net.named_buffers()] == [
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]
    assert list(net[0]._buffers) == []


def test_buffers_are_persistent_by_default():
    """:meth:`Module.register_buffer() <torch.nn.Module.register_buffer>` makes a buffer persistent by
    default: it is saved in ``state_dict()``.
    """
    net = nn.Module()
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("count", torch.tensor(3))

    assert [*net.state_dict(), *nn.Sequential(net).state_dict()] == ["mean", "count", "0.mean", "0.count"]


def test_a_non_persistent_buffer():
    """A buffer with ``persistent=False`` is converted by ``module.double()`` but is not in ``state_dict()``.

    Use it for what ``__init__`` can compute again, such as a table of positions: files stay small, and an
    older file that lacks it can be loaded.
    """
    net = nn.Module()
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net.register_buffer("mask", torch.rand(2), False)
    nn.Sequential(net).double()

    assert [*net.state_dict(), *nn.Sequential(net).state_dict()] == ["mean", "0.mean"]
    assert [name for name, _ in net.named_buffers()] == ["mean", "cache", "mask"]
    assert [b.dtype for b in net.buffers()] == [torch.float64] * 3

    net.load_state_dict({"mean": torch.tensor([2.0, 3.0])})
    assert net.mean.tolist() == [2.0, 3.0]


def test_registering_again_decides_anew():
    """:meth:`Module.register_buffer() <torch.nn.Module.register_buffer>` with an existing buffer's name
    replaces its tensor and its persistence.
    """
    net = nn.Module()
    net.register_buffer("first", torch.rand(2), persistent=False)
    net.register_buffer("second", torch.rand(2))
    new = torch.rand(2)
    net.register_buffer("first", new)
    net.register_buffer("second", torch.rand(3), persistent=False)

    assert [(name, b.shape) for name, b in net.named_buffers()] == [("first", (2,)), ("second", (3,))]
    assert net.first is new
    assert list(net.state_dict()) == ["first"]


def test_none_registers_an_empty_buffer():
    """``register_buffer(name, None)`` registers a ``None`` buffer, which ``buffers()`` and ``state_dict()``
    skip.
    """
    net = nn.Module()
    net.register_buffer("mean", None)

    assert net._buffers == {"mean": None}
    assert net.mean is None
    for module in (net, nn.Sequential(net)):
        assert [*module.buffers(), *module.state_dict()] == []


@pytest.mark.question("Q07")
def test_an_empty_buffer_is_filled():
    """After ``register_buffer("mean", None)``, a tensor assigned to ``net.mean`` is a buffer, and is saved.

    Assign it before ``load_state_dict``: for an empty buffer the saved tensor is an unexpected key.
    """
    for mean in (torch.rand(2), torch.tensor([2, 3]), torch.tensor([True, False])):
        net = nn.Module()
        net.register_buffer("mean", None)
        with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "mean"'):
            net.load_state_dict({"mean": mean})
        net.mean = mean
        net.type(torch.float64)

        assert [(name, b.dtype) for name, b in net.named_buffers()] == [("mean", torch.float64)]
        assert list(net.state_dict()) == ["mean"]
        assert "mean" not in vars(net)


def test_an_empty_buffer_keeps_its_persistence():
    """A buffer registered as ``None`` with ``persistent=False`` stays non-persistent once a tensor is
    assigned.
    """
    for cache in (torch.rand(2), torch.tensor([2])):
        net = nn.Module()
        net.register_buffer("cache", None, persistent=False)
        net.cache = cache
        assert [name for name, _ in net.named_buffers()] == ["cache"]
        assert list(net.state_dict()) == []


def test_a_parameter_may_be_a_buffer():
    """An :class:`nn.Parameter <torch.nn.Parameter>` passed to ``register_buffer`` is in ``named_buffers()``,
    but not in ``parameters()``.
    """
    net, scale = nn.Module(), nn.Parameter(torch.rand(2))
    net.register_buffer("scale", scale)

    for model, name in ((net, "scale"), (nn.Sequential(net), "0.scale")):
        assert list(model.named_buffers()) == [(name, scale)]
        assert list(model.parameters()) == []


def test_a_computed_tensor_may_be_a_buffer():
    """:meth:`Module.register_buffer() <torch.nn.Module.register_buffer>` accepts a non-leaf tensor, which
    keeps its ``grad_fn``.

    Such a module cannot be copied with ``deepcopy``. Register ``tensor.detach()`` if the graph is not wanted.
    """
    net = nn.Module()
    doubled = 2 * torch.rand(2, requires_grad=True)
    net.register_buffer("doubled", doubled)

    assert net.doubled is doubled
    assert net.doubled.grad_fn is not None
    with pytest.raises(RuntimeError, match="support the deepcopy protocol"):
        copy.deepcopy(net)


@pytest.mark.parametrize("value", [torch.rand(2), None], ids=["tensor", "None"])
@pytest.mark.parametrize(("name", "kind"), [(3, "int"), (None, "NoneType"), (b"x", "bytes")], ids=str)
def test_the_name_is_a_string(name, kind, value):
    """:meth:`Module.register_buffer() <torch.nn.Module.register_buffer>` raises ``TypeError`` for a name that
    is not a string.
    """
    net = nn.Module()

    with pytest.raises(TypeError, match=f"^buffer name should be a string. Got {kind}$"):
        net.register_buffer(name, value)

    assert list(net._buffers) == []


@pytest.mark.parametrize("value", [torch.rand(2), None], ids=["tensor", "None"])
@pytest.mark.parametrize("name", ["head.mean", ".mean", "mean."])
def test_no_dot_in_the_name(name, value):
    """:meth:`Module.register_buffer() <torch.nn.Module.register_buffer>` raises ``KeyError`` for a name with
    a dot.
    """
    net = nn.Module()

    with pytest.raises(KeyError, match=r"buffer name can.*t contain"):
        net.register_buffer(name, value)

    assert list(net._buffers) == []


@pytest.mark.parametrize("value", [torch.rand(2), None], ids=["tensor", "None"])
def test_the_name_is_not_empty(value):
    """:meth:`Module.register_buffer() <torch.nn.Module.register_buffer>` raises ``KeyError`` for an empty
    name.
    """
    net = nn.Module()

    with pytest.raises(KeyError, match=r"buffer name can.*t be empty string"):
        net.register_buffer("", value)

    assert list(net._buffers) == []


@pytest.mark.parametrize("name", ["width", "empty", "scale", "bias", "inner", "tail", "forward"])
def test_a_taken_name_is_refused(name):
    """:meth:`Module.register_buffer() <torch.nn.Module.register_buffer>` raises ``KeyError`` if the name is
    already an attribute other than a buffer.

    ``self.mean = tensor`` followed by ``register_buffer("mean", self.mean)`` fails for that reason.
    """
    net = nn.Module()
    net.width, net.empty = torch.rand(2), None
    net.scale, net.inner = nn.Parameter(torch.rand(2)), nn.ReLU()
    net.register_parameter("bias", None)
    net.register_module("tail", None)

    with pytest.raises(KeyError, match=f"attribute '{name}' already exists"):
        net.register_buffer(name, torch.rand(2))
    with pytest.raises(KeyError, match=f"attribute '{name}' already exists"):
        net.register_buffer(name, None)

    assert list(net._buffers) == []


@pytest.mark.parametrize(
    ("value", "kind"),
    [(1.5, "float"), (0, "int"), ([2.5], "list"), ("text", "str")],
    ids=["number", "zero", "list", "text"],
)
def test_only_a_tensor_is_taken(value, kind):
    """:meth:`Module.register_buffer() <torch.nn.Module.register_buffer>` raises ``TypeError`` if the value is
    a number, a list or a string.

    A number becomes a buffer as ``torch.tensor(1.5)``.
    """
    net = nn.Module()
    wanted = f"cannot assign '{kind}' object to buffer 'mean' (torch Tensor or None required)"

    with pytest.raises(TypeError, match=f"^{re.escape(wanted)}$"):
        net.register_buffer("mean", value)

    assert list(net._buffers) == []


@pytest.mark.since("2.9")
def test_a_tensor_like_object_is_taken():
    """A non-tensor with ``__torch_function__`` can be registered as a buffer or assigned to a buffer.

    Wrappers of tensors that are not tensors themselves can so be part of the state (:pull:`159455`).
    """

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
def test_a_tensor_like_object_is_refused():
    """A non-tensor with ``__torch_function__`` raises ``TypeError`` if registered or assigned as a buffer."""

    class TensorLike:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    net = nn.Module()
    net.register_buffer("var", None)

    with pytest.raises(TypeError, match="TensorLike' object to buffer 'mean'"):
        net.register_buffer("mean", TensorLike())
    with pytest.raises(TypeError, match="TensorLike' as buffer 'var'"):
        net.var = TensorLike()


@pytest.mark.since("2.5")
def test_an_assignment_registers_by_name():
    """Assigning a buffer, ``net.mean = nn.Buffer(tensor)``, calls an overridden ``register_buffer``."""
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
def test_a_function_of_the_instance_registers():
    """Assigning a buffer calls a ``register_buffer`` function that was set on the module instance."""
    calls, net = [], nn.BatchNorm1d(2)

    def note(name, tensor, persistent):
        calls.append((name, tensor, persistent))

    net.register_buffer = note
    net.cache = cache = nn.Buffer(torch.rand(2), persistent=False)
    net.running_mean = mean = torch.rand(2)

    assert calls == [("cache", cache, False), ("running_mean", mean, True)]
    assert "cache" not in net._buffers


@pytest.mark.before("2.5")
def test_an_assignment_fills_the_store_itself():
    """Assigning a tensor to a buffer replaces it without calling an overridden ``register_buffer``."""
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
def test_an_older_override_registers_too():
    """Assigning a persistent ``nn.Buffer`` calls an overridden ``register_buffer`` even if it lacks
    ``persistent``.
    """
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
def test_an_older_override_refuses_non_persistent():
    """Assigning ``nn.Buffer(x, persistent=False)`` raises ``RuntimeError`` if ``register_buffer`` lacks
    ``persistent``.

    That is for a class that overrides ``register_buffer``: it needs the parameter.
    """

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

    assert list(net._buffers) == []


def test_scripted_modules_save_every_buffer():
    """:class:`torch.jit.ScriptModule` raises ``RuntimeError`` for ``register_buffer`` with
    ``persistent=False``.
    """

    class Net(torch.jit.ScriptModule):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.rand(2))
            with pytest.raises(RuntimeError, match=r"^ScriptModule does not support non-persistent buffers$"):
                self.register_buffer("cache", torch.rand(2), persistent=False)

    assert [name for name, _ in Net().named_buffers()] == ["mean"]
