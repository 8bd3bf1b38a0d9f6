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
    """A hook of ``register_module_parameter_registration_hook`` is called with module, name and parameter.

    :func:`~torch.nn.modules.module.register_module_parameter_registration_hook` watches all modules, those
    of torch and of other libraries too, whether a parameter is assigned or registered by name. Use it as a
    context manager, or remove it: it stays otherwise.
    """
    calls = []
    net, scale, shift = nn.Module(), nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2), False)
    with hooks.register_module_parameter_registration_hook(lambda *args: calls.append(args)):
        net.scale = scale
        net.register_parameter("shift", shift)
        net.scale = shift
    net.later = nn.Parameter(torch.rand(2))

    assert calls == [(net, "scale", scale), (net, "shift", shift), (net, "scale", shift)]
    assert list(net.parameters()) == [shift, net.later]


def test_the_buffer_hook():
    """A hook of ``register_module_buffer_registration_hook`` is called with module, name and tensor.

    :func:`~torch.nn.modules.module.register_module_buffer_registration_hook` registers it. It is called for a
    buffer that is registered and for a tensor that is assigned to one.
    """
    calls = []
    net, mean, new = nn.Module(), torch.rand(2), torch.rand(2)
    with hooks.register_module_buffer_registration_hook(lambda *args: calls.append(args)):
        net.register_buffer("mean", mean)
        net.mean = new
        net.register_buffer("cache", mean, persistent=False)

    assert [call[:2] for call in calls] == [(net, "mean"), (net, "mean"), (net, "cache")]
    assert [calls[0][2] is mean, calls[1][2] is new, calls[2][2] is mean] == [True, True, True]
    assert list(net.buffers()) == [new, mean]


@pytest.mark.since("2.5")
def test_the_buffer_hook_sees_buffer_objects():
    """A hook of ``register_module_buffer_registration_hook`` is called if an
    :class:`nn.Buffer <torch.nn.Buffer>` is assigned.
    """
    calls = []
    net = nn.Module()
    with hooks.register_module_buffer_registration_hook(lambda *args: calls.append(args)):
        net.mean = mean = nn.Buffer(torch.rand(2))
        net.mean = new = nn.Buffer(torch.rand(2))

    assert calls == [(net, "mean", mean), (net, "mean", new)]


def test_the_module_hook():
    """A hook of ``register_module_module_registration_hook`` is called with module, name and submodule.

    :func:`~torch.nn.modules.module.register_module_module_registration_hook` registers it. It is called for a
    submodule that is assigned and for one that is registered by name.
    """
    calls = []
    net, first, last = nn.Module(), nn.ReLU(), nn.Tanh()
    with hooks.register_module_module_registration_hook(lambda *args: calls.append(args)):
        net.first = first
        net.add_module("last", last)
        net.first = last

    assert calls == [(net, "first", first), (net, "last", last), (net, "first", last)]
    assert net._modules == {"first": last, "last": last}


def test_every_module_is_watched():
    """Hooks of ``register_module_*_registration_hook`` are global: they run for torch's own layers too.

    Containers are among them.
    """
    calls = []
    with (
        hooks.register_module_parameter_registration_hook(lambda module, name, p: calls.append(name)),
        hooks.register_module_buffer_registration_hook(lambda module, name, b: calls.append(name)),
        hooks.register_module_module_registration_hook(lambda module, name, m: calls.append(name)),
    ):
        nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False))
        nn.ModuleDict({"list": nn.ModuleList([nn.ReLU()])})
        nn.ParameterList([nn.Parameter(torch.rand(2))])
        nn.MultiheadAttention(2, 1)

    sequential = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked", "0", "1"]
    attention = ["in_proj_weight", "in_proj_bias", "weight", "bias", "out_proj"]
    assert calls == [*sequential, "0", "list", "0", *attention]


def test_a_hook_comes_before_the_registration():
    """Hooks of ``register_module_*_registration_hook`` run before the new attribute exists."""
    found = []
    net = nn.Module()

    def look(module, name, value):
        found.append((name, hasattr(module, name)))

    with (
        hooks.register_module_parameter_registration_hook(look),
        hooks.register_module_buffer_registration_hook(look),
        hooks.register_module_module_registration_hook(look),
    ):
        net.scale = nn.Parameter(torch.rand(2))
        net.register_buffer("mean", torch.rand(2))
        net.inner = nn.ReLU()
        net.add_module("last", nn.ReLU())

    assert found == [("scale", False), ("mean", False), ("inner", False), ("last", False)]
    assert [*net._parameters, *net._buffers, *net._modules] == ["scale", "mean", "inner", "last"]


def test_a_parameter_hook_may_replace():
    """The parameter that a ``register_module_parameter_registration_hook`` hook returns is registered
    instead.
    """
    net, other = nn.Module(), nn.Parameter(torch.rand(3))
    net.gain = nn.Parameter(torch.rand(2))
    with hooks.register_module_parameter_registration_hook(lambda module, name, p: other):
        net.scale = net.gain = nn.Parameter(torch.rand(2))
        net.register_parameter("shift", nn.Parameter(torch.rand(3)))

    assert net._parameters == {"gain": other, "scale": other, "shift": other}


def test_a_buffer_hook_may_replace():
    """The tensor that a ``register_module_buffer_registration_hook`` hook returns is registered instead."""
    net, other = nn.Module(), torch.rand(3)
    net.register_buffer("var", torch.rand(3), persistent=False)
    with hooks.register_module_buffer_registration_hook(lambda module, name, b: other):
        net.register_buffer("mean", torch.rand(2))
        net.var = torch.rand(2)

    assert net.mean is other
    assert net.var is other


def test_a_module_hook_may_replace():
    """The module that a ``register_module_module_registration_hook`` hook returns is registered instead."""
    net, other = nn.Module(), nn.Sequential()
    net.inner = nn.ReLU()
    with hooks.register_module_module_registration_hook(lambda module, name, m: other):
        net.first = net.inner = nn.ReLU()
        net.add_module("last", nn.ReLU())

    assert net._modules == {"inner": other, "first": other, "last": other}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("parameter", [nn.Parameter(torch.zeros(n)) for n in (2, 3, 4)]),
        ("buffer", [torch.zeros(n) for n in (2, 3, 4)]),
        ("module", [nn.ReLU(), nn.Tanh(), nn.GELU()]),
    ],
    ids=["parameter", "buffer", "module"],
)
def test_hooks_run_in_the_order_of_registration(kind, values):
    """Hooks of ``register_module_*_registration_hook`` run in order; each gets the previous one's result.

    One that returns ``None`` passes on what it got.
    """
    given, first, second = values
    seen = []

    def replace(module, name, value):
        seen.append(value)
        return first

    def look(module, name, value):
        seen.append(value)

    def replace_again(module, name, value):
        seen.append(value)
        return second

    net = nn.Module()
    register = getattr(hooks, f"register_module_{kind}_registration_hook")
    with register(replace), register(look), register(replace_again):
        getattr(net, f"register_{kind}")("x", given)
        net.x = given

    assert [id(value) for value in seen] == [id(given), id(first), id(first)] * 2
    assert net.x is second


def test_hooks_on_an_assignment_in_order():
    """Several ``register_module_module_registration_hook`` hooks run in order for ``net.inner = module``."""
    seen = []
    given, other = nn.ReLU(), nn.Tanh()

    def replace(module, name, value):
        seen.append(value)
        return other

    def look(module, name, value):
        seen.append(value)

    net = nn.Module()
    with (
        hooks.register_module_module_registration_hook(replace),
        hooks.register_module_module_registration_hook(look),
    ):
        net.inner = given

    assert seen == [given, other]
    assert net.inner is other


def test_none_is_shown_to_two_of_the_hooks():
    """Hooks of ``register_module_*_registration_hook`` run for a ``None`` buffer or module, not a ``None``
    parameter.

    ``register_parameter(name, None)`` and ``net.bias = None`` go unseen.
    """
    calls = []
    net = nn.Module()
    net.inner = nn.ReLU()

    def note(module, name, value):
        calls.append((module is net, name, value))

    with (
        hooks.register_module_parameter_registration_hook(note),
        hooks.register_module_buffer_registration_hook(note),
        hooks.register_module_module_registration_hook(note),
    ):
        net.register_parameter("bias", None)
        net.register_buffer("mean", None)
        net.add_module("last", None)
        net.bias = net.mean = net.inner = None

    assert calls == [(True, name, None) for name in ("mean", "last", "mean", "inner")]


def test_a_module_hook_may_fill_an_emptied_name():
    """Setting a submodule to ``None`` registers what a ``register_module_module_registration_hook`` hook
    returns.
    """
    net, other = nn.Module(), nn.Sequential()
    net.inner = nn.ReLU()
    with hooks.register_module_module_registration_hook(lambda module, name, m: other):
        net.inner = None

    assert net.inner is other


def test_plain_attributes_are_not_watched():
    """Hooks of ``register_module_*_registration_hook`` are not called for plain attributes."""
    calls = []
    net = nn.Module()

    def note(module, name, value):
        calls.append(name)

    with (
        hooks.register_module_parameter_registration_hook(note),
        hooks.register_module_buffer_registration_hook(note),
        hooks.register_module_module_registration_hook(note),
    ):
        net.hidden = torch.rand(2)
        net.layers = [nn.ReLU()]
        net.inner = nn.ReLU()

    assert calls == ["inner"]


def test_a_replacement_is_not_looked_at():
    """The type of what a ``register_module_parameter_registration_hook`` hook returns is not checked."""
    net = nn.Module()
    with hooks.register_module_parameter_registration_hook(lambda module, name, p: "anything"):
        net.scale = nn.Parameter(torch.rand(2))

    assert net._parameters == {"scale": "anything"}


def test_a_hook_that_fails():
    """A ``register_module_parameter_registration_hook`` hook that raises keeps the parameter from
    registering.
    """
    net = nn.Module()
    net.shift = shift = nn.Parameter(torch.rand(2))

    def refuse(module, name, parameter):
        raise ValueError(f"{name} is refused")

    with (
        hooks.register_module_parameter_registration_hook(lambda module, name, parameter: parameter),
        hooks.register_module_parameter_registration_hook(refuse),
    ):
        for name in ("scale", "shift"):
            with pytest.raises(ValueError, match=f"^{name} is refused$"):
                setattr(net, name, nn.Parameter(torch.rand(2)))
            with pytest.raises(ValueError, match=f"^{name} is refused$"):
                net.register_parameter(name, nn.Parameter(torch.rand(2)))

    assert net._parameters == {"shift": shift}


@pytest.mark.parametrize(("kind", "number"), [("parameter", 2), ("buffer", 3), ("module", 1)])
def test_a_hook_is_removed(kind, number):
    """A hook of ``register_module_*_registration_hook`` is called until ``handle.remove()``.

    The handle is a :class:`~torch.utils.hooks.RemovableHandle`. A hook that is left behind is called for
    every module that is made later in the process.
    """
    calls, others = [], []
    register = getattr(hooks, f"register_module_{kind}_registration_hook")
    handle = register(lambda module, name, value: calls.append(name))
    with register(lambda module, name, value: others.append(name)):
        nn.Sequential(nn.BatchNorm1d(3))
        assert len(calls) == number

        handle.remove()
        nn.Sequential(nn.BatchNorm1d(3))
        assert [len(calls), len(others)] == [number, 2 * number]
    assert type(handle) is RemovableHandle
