"""Watching registrations.

Three global hooks are called whenever a parameter, a buffer or a submodule is about to be registered, in
any module of the process. They may put something else in its place.
"""

import pytest
import torch
from torch import nn
from torch.nn.modules import module as hooks
from torch.utils.hooks import RemovableHandle


def test_the_parameter_hook():
    """The parameter hook is called with the module, the name and the parameter, however it is registered.

    :func:`~torch.nn.modules.module.register_module_parameter_registration_hook` registers it.
    """
    calls = []
    net, scale, shift = nn.Module(), nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2))
    with hooks.register_module_parameter_registration_hook(lambda *args: calls.append(args)):
        net.scale = scale
        net.register_parameter("shift", shift)

    assert [(args[0] is net, args[1]) for args in calls] == [(True, "scale"), (True, "shift")]
    assert [id(args[2]) for args in calls] == [id(scale), id(shift)]
    assert [id(p) for p in net.parameters()] == [id(scale), id(shift)]


def test_the_buffer_hook():
    """The buffer hook is called with the module, the name and the tensor, however it is registered.

    :func:`~torch.nn.modules.module.register_module_buffer_registration_hook` registers it.
    """
    calls = []
    net, mean, new = nn.Module(), torch.rand(2), torch.rand(2)
    with hooks.register_module_buffer_registration_hook(lambda *args: calls.append(args)):
        net.register_buffer("mean", mean)
        net.mean = new

    assert [(args[0] is net, args[1]) for args in calls] == [(True, "mean"), (True, "mean")]
    assert [id(args[2]) for args in calls] == [id(mean), id(new)]
    assert [id(b) for b in net.buffers()] == [id(new)]


@pytest.mark.since("2.5")
def test_the_buffer_hook_sees_buffer_objects():
    """The buffer hook is called for a :class:`~torch.nn.Buffer` that is assigned."""
    calls = []
    net = nn.Module()
    with hooks.register_module_buffer_registration_hook(lambda *args: calls.append(args)):
        net.mean = mean = nn.Buffer(torch.rand(2))

    assert [(args[0] is net, args[1], args[2] is mean) for args in calls] == [(True, "mean", True)]


def test_the_module_hook():
    """The module hook is called with the module, the name and the submodule, however it is registered.

    :func:`~torch.nn.modules.module.register_module_module_registration_hook` registers it.
    """
    calls = []
    net, first, last = nn.Module(), nn.ReLU(), nn.Tanh()
    with hooks.register_module_module_registration_hook(lambda *args: calls.append(args)):
        net.first = first
        net.add_module("last", last)

    assert [(args[0] is net, args[1]) for args in calls] == [(True, "first"), (True, "last")]
    assert [id(args[2]) for args in calls] == [id(first), id(last)]
    assert list(net.children()) == [first, last]


def test_every_module_is_watched():
    """The hooks see what torch's own layers register, containers included."""
    calls = []
    with (
        hooks.register_module_parameter_registration_hook(lambda module, name, p: calls.append(name)),
        hooks.register_module_buffer_registration_hook(lambda module, name, b: calls.append(name)),
        hooks.register_module_module_registration_hook(lambda module, name, m: calls.append(name)),
    ):
        nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False))

    assert calls == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked", "0", "1"]


def test_a_hook_comes_before_the_registration():
    """A hook is called before the name is registered."""
    found = []
    net = nn.Module()
    with (
        hooks.register_module_parameter_registration_hook(lambda m, name, p: found.append(hasattr(m, name))),
        hooks.register_module_buffer_registration_hook(lambda m, name, b: found.append(hasattr(m, name))),
        hooks.register_module_module_registration_hook(lambda m, name, c: found.append(hasattr(m, name))),
    ):
        net.scale = nn.Parameter(torch.rand(2))
        net.register_buffer("mean", torch.rand(2))
        net.inner = nn.ReLU()

    assert found == [False, False, False]


def test_a_parameter_hook_may_replace():
    """What a parameter hook returns is registered instead of the parameter."""
    net, other = nn.Module(), nn.Parameter(torch.rand(3))
    with hooks.register_module_parameter_registration_hook(lambda module, name, p: other):
        net.scale = nn.Parameter(torch.rand(2))
        net.register_parameter("shift", nn.Parameter(torch.rand(2)))

    assert (net.scale is other, net.shift is other) == (True, True)


def test_a_buffer_hook_may_replace():
    """What a buffer hook returns is registered instead of the tensor."""
    net, other = nn.Module(), torch.rand(3)
    net.register_buffer("var", torch.rand(2))
    with hooks.register_module_buffer_registration_hook(lambda module, name, b: other):
        net.register_buffer("mean", torch.rand(2))
        net.var = torch.rand(2)

    assert (net.mean is other, net.var is other) == (True, True)


def test_a_module_hook_may_replace():
    """What a module hook returns is registered instead of the submodule."""
    net, other = nn.Module(), nn.Tanh()
    with hooks.register_module_module_registration_hook(lambda module, name, m: other):
        net.first = nn.ReLU()
        net.add_module("last", nn.ReLU())

    assert (net.first is other, net.last is other) == (True, True)


@pytest.mark.parametrize("kind", ["parameter", "buffer", "module"])
def test_hooks_run_in_the_order_of_registration(kind):
    """Several hooks run in the order of registration, each on what the one before it returned."""
    seen = []
    values = {
        "parameter": lambda: nn.Parameter(torch.rand(2)),
        "buffer": lambda: torch.rand(2),
        "module": nn.ReLU,
    }
    given, first, second = (values[kind]() for _ in range(3))
    register = getattr(hooks, f"register_module_{kind}_registration_hook")
    net = nn.Module()
    with (
        register(lambda module, name, value: seen.append(value) or first),
        register(lambda module, name, value: seen.append(value)),
        register(lambda module, name, value: seen.append(value) or second),
    ):
        adder = {"parameter": net.register_parameter, "buffer": net.register_buffer, "module": net.add_module}
        adder[kind]("x", given)

    assert [id(value) for value in seen] == [id(given), id(first), id(first)]
    assert net.x is second


@pytest.mark.observed
def test_hooks_on_an_assignment_in_order():
    """Several hooks on an assigned submodule run in order, each on what the one before it returned."""
    seen = []
    given, first = nn.ReLU(), nn.Tanh()
    net = nn.Module()
    with (
        hooks.register_module_module_registration_hook(lambda m, name, value: seen.append(value) or first),
        hooks.register_module_module_registration_hook(lambda m, name, value: seen.append(value)),
    ):
        net.inner = given

    assert seen == [given, first]
    assert net.inner is first


@pytest.mark.observed
def test_none_is_shown_to_two_of_the_hooks():
    """The buffer hook and the module hook are called for ``None``, the parameter hook is not."""
    calls = []
    net = nn.Module()
    net.inner = nn.ReLU()
    with (
        hooks.register_module_parameter_registration_hook(lambda m, name, p: calls.append((name, p))),
        hooks.register_module_buffer_registration_hook(lambda m, name, b: calls.append((name, b))),
        hooks.register_module_module_registration_hook(lambda m, name, c: calls.append((name, c, m is net))),
    ):
        net.register_parameter("bias", None)
        net.register_buffer("mean", None)
        net.add_module("last", None)
        net.inner = None

    assert calls == [("mean", None), ("last", None, True), ("inner", None, True)]


@pytest.mark.observed
def test_a_module_hook_may_fill_an_emptied_name():
    """What a module hook returns for ``None`` assigned to a submodule is registered."""
    net, other = nn.Module(), nn.Tanh()
    net.inner = nn.ReLU()
    with hooks.register_module_module_registration_hook(lambda module, name, m: other):
        net.inner = None

    assert net.inner is other


def test_plain_attributes_are_not_watched():
    """No hook is called for a plain attribute."""
    calls = []
    net = nn.Module()
    with (
        hooks.register_module_parameter_registration_hook(lambda *args: calls.append(args)),
        hooks.register_module_buffer_registration_hook(lambda *args: calls.append(args)),
        hooks.register_module_module_registration_hook(lambda *args: calls.append(args)),
    ):
        net.hidden = torch.rand(2)
        net.layers = [nn.ReLU()]

    assert calls == []


@pytest.mark.observed
def test_a_replacement_is_not_looked_at():
    """What a hook returns is registered, whatever its type."""
    net = nn.Module()
    with hooks.register_module_parameter_registration_hook(lambda module, name, p: "anything"):
        net.scale = nn.Parameter(torch.rand(2))

    assert net._parameters == {"scale": "anything"}


@pytest.mark.observed
def test_a_hook_that_fails():
    """An error in a hook keeps the name from being registered."""
    net = nn.Module()

    def refuse(module, name, parameter):
        raise ValueError(f"{name} is refused")

    with (
        hooks.register_module_parameter_registration_hook(refuse),
        pytest.raises(ValueError, match=r"^scale is refused$"),
    ):
        net.scale = nn.Parameter(torch.rand(2))

    assert list(net._parameters) == []


@pytest.mark.parametrize("kind", ["parameter", "buffer", "module"])
def test_a_hook_is_removed(kind):
    """A hook is called until its :class:`~torch.utils.hooks.RemovableHandle` removes it."""
    calls = []
    handle = getattr(hooks, f"register_module_{kind}_registration_hook")(lambda *args: calls.append(kind))
    nn.Sequential(nn.BatchNorm1d(3))
    seen = len(calls)
    handle.remove()
    nn.Sequential(nn.BatchNorm1d(3))

    assert type(handle) is RemovableHandle
    assert (seen, len(calls)) == {"parameter": (2, 2), "buffer": (3, 3), "module": (1, 1)}[kind]
