"""Global hooks: hooks of every module at once.

The functions of ``torch.nn.modules.module`` register a hook for all modules, those made later included.
They serve debugging and profiling: the hook stays until its handle removes it.
"""

import pytest
import torch
import torch.nn.modules.module as source
from torch import nn
from torch.nn.modules.module import (
    register_module_backward_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
)
from torch.utils.hooks import RemovableHandle

BOTH_KINDS = "^Cannot use both regular backward hooks and full backward hooks as a global Module hook. Please"


def test_a_global_forward_hook_runs_for_every_module():
    """A ``register_module_forward_hook`` hook runs for every module called, submodules before their parents.

    It also runs for modules made later, in every library of the process: remove it when the measurement is
    over.
    """
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    net[0].register_forward_hook(lambda *given: None)
    calls = []
    with register_module_forward_hook(lambda module, args, output: calls.append(type(module).__name__)):
        net(torch.rand(2))
        torch.no_grad()(nn.Sigmoid().eval())(torch.rand(2))

    assert calls == ["ReLU", "Tanh", "Sequential", "Sigmoid"]


def test_a_global_forward_pre_hook_runs_for_every_module():
    """A ``register_module_forward_pre_hook`` hook runs for every module called, parents before submodules."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    net[0].register_forward_pre_hook(lambda *given: None)
    calls = []
    with register_module_forward_pre_hook(lambda module, args: calls.append(type(module).__name__)):
        net(torch.rand(2))
        torch.no_grad()(nn.Sigmoid().eval())(torch.rand(2))

    assert calls == ["Sequential", "ReLU", "Tanh", "Sigmoid"]


def test_calling_forward_runs_no_global_hooks():
    """``net.forward(x)`` runs global forward hooks for submodules only; ``net(x)`` runs them for ``net`` too.

    So it is with global forward pre-hooks.
    """
    net = nn.Sequential(nn.ReLU())
    calls = []
    with (
        register_module_forward_pre_hook(lambda module, args: calls.append(f"{type(module).__name__} pre")),
        register_module_forward_hook(lambda module, args, output: calls.append(type(module).__name__)),
    ):
        net.forward(torch.rand(2))
        assert calls == ["ReLU pre", "ReLU"]

        calls.clear()
        net(torch.rand(2))
        assert calls == ["Sequential pre", "ReLU pre", "ReLU", "Sequential"]


@pytest.mark.parametrize(
    "register",
    [
        register_module_backward_hook,
        register_module_full_backward_pre_hook,
        register_module_full_backward_hook,
    ],
    ids=lambda function: function.__name__,
)
@pytest.mark.parametrize("needy", [True, False], ids=["input requires grad", "no input requires grad"])
def test_a_global_backward_hook_fires_for_every_module(register, needy):
    """A ``register_module_full_backward_hook`` hook fires for every module called, at any depth.

    So do its pre-hook and the legacy ``register_module_backward_hook``.
    """
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 3)), nn.Sigmoid())
    calls = []
    with register(lambda module, *given: calls.append(module)):
        net(torch.rand(1, 2, requires_grad=needy) * 1).sum().backward()

    assert len(calls) == 4
    assert set(calls) == {net, net[0], net[0][0], net[1]}


@pytest.mark.parametrize("needy", [True, False], ids=["input requires grad", "no input requires grad"])
@pytest.mark.parametrize("kind", ["full_backward_pre_hook", "full_backward_hook"])
def test_a_global_backward_hook_is_given_the_same(kind, needy):
    """A ``register_module_full_backward_hook`` hook gets the same arguments as a full backward hook.

    So does its pre-hook, also if no input requires grad, and with ``None`` for what is no tensor.
    """
    weight, seen = torch.rand(2, requires_grad=True), []
    net = nn.Module()
    net.forward = lambda x: (x * weight, "text")
    getattr(net, f"register_{kind}")(lambda *given: seen.append(given))
    with getattr(source, f"register_module_{kind}")(lambda *given: seen.append(given)):
        net(torch.rand(2, requires_grad=needy))[0].sum().backward()

    everywhere, local = seen
    assert everywhere[0] is net
    assert everywhere == local
    assert everywhere[-1][0].tolist() == [1.0, 1.0]
    assert everywhere[-1][1] is None


@pytest.mark.parametrize(
    "register",
    [
        register_module_forward_pre_hook,
        register_module_forward_hook,
        register_module_full_backward_pre_hook,
        register_module_full_backward_hook,
        register_module_backward_hook,
    ],
    ids=lambda function: function.__name__,
)
def test_registering_a_global_hook_returns_a_handle(register):
    """``register_module_forward_hook`` and its pre- and backward forms return a handle that removes the hook.

    After ``handle.remove()`` the hook runs for no module.
    """
    net = nn.Tanh()
    calls = []
    handle = register(lambda *given: calls.append("hook"))
    x = torch.rand(2, requires_grad=True) * 1
    net(x).sum().backward(retain_graph=True)
    handle.remove()
    net(x).sum().backward()

    assert type(handle) is RemovableHandle
    assert calls == ["hook"]


def test_a_global_forward_pre_hook_replaces_arguments():
    """A ``register_module_forward_pre_hook`` hook's result is passed to the module's own forward
    pre-hooks.
    """
    identity = nn.Identity()
    identity.register_forward_pre_hook(lambda module, args: args[0] * 10)
    identity.register_forward_pre_hook(lambda module, args, kw: ((args[0] + 3,), kw), with_kwargs=True)
    with register_module_forward_pre_hook(lambda module, args: args[0] + 1):
        assert [identity(4), identity(-1)] == [53, 3]

    assert identity(4) == 43


@pytest.mark.parametrize(
    ("returned", "arguments"),
    [((5, 7), (5, 7)), ((), ()), (0, (0,)), ([5, 7], ([5, 7],)), ({"x": 5}, ({"x": 5},))],
    ids=["tuple", "empty tuple", "one", "list", "dict"],
)
def test_a_tuple_replaces_all_positional_arguments(returned, arguments):
    """A tuple that a ``register_module_forward_pre_hook`` hook returns replaces all positional arguments.

    Anything else is put into a tuple: it replaces all of them by one.
    """
    net = nn.Module()
    net.forward = lambda *args: args
    with register_module_forward_pre_hook(lambda module, args: returned):
        assert net(2, 3, 4) == arguments

    assert net(2, 3, 4) == (2, 3, 4)


def test_a_global_forward_hook_replaces_the_output():
    """If a ``register_module_forward_hook`` hook returns a value, the module's own hooks get it as output.

    No ``prepend`` puts a local hook before it.
    """
    identity = nn.Identity()
    identity.register_forward_hook(lambda *given: given[3] + 3, with_kwargs=True)
    identity.register_forward_hook(lambda module, args, output: output * 10, prepend=True)
    with register_module_forward_hook(lambda module, args, output: output + 1):
        assert [identity(4), identity(-1)] == [53, 3]

    assert identity(4) == 43


def test_global_hooks_do_not_see_keyword_arguments():
    """Global forward pre-hooks, and global forward hooks without ``with_kwargs``, get no keyword
    arguments.
    """
    net = nn.Module()
    net.forward = lambda x, scale: x * scale
    seen = []
    with (
        register_module_forward_pre_hook(lambda module, args: seen.append(args)),
        register_module_forward_hook(lambda module, args, output: seen.append((args, output))),
    ):
        net(2, scale=5)

    assert seen == [(2,), ((2,), 10)]


@pytest.mark.since("2.6")
def test_a_global_forward_hook_may_see_keyword_arguments():
    """``register_module_forward_hook(hook, with_kwargs=True)`` also passes keyword arguments to the hook."""
    net = nn.Module()
    net.forward = lambda x, scale: x * scale
    seen = []
    with register_module_forward_hook(lambda *given: seen.append(given) or "mine", with_kwargs=True):
        assert net(2, scale=5) == "mine"
    source._global_forward_hooks_with_kwargs.clear()

    assert seen == [(net, (2,), {"scale": 5}, 10)]


@pytest.mark.since("2.6")
def test_removal_forgets_not_that_kwargs_were_asked_for():
    """Removing a global forward hook leaves the hook's id in ``_global_forward_hooks_with_kwargs``.

    The entry in ``_global_forward_hooks_always_called`` is removed.
    """
    handle = register_module_forward_hook(lambda *given: None, with_kwargs=True, always_call=True)
    handle.remove()

    left = dict(source._global_forward_hooks_with_kwargs)
    source._global_forward_hooks_with_kwargs.clear()
    assert left == {handle.id: True}
    assert dict(source._global_forward_hooks_always_called) == {}


@pytest.mark.since("2.6")
def test_on_failure_a_global_hook_gets_no_keyword_arguments():
    """If ``forward`` raises, a global ``always_call`` hook gets no keyword arguments despite
    ``with_kwargs=True``.

    A hook that insists on four arguments fails then, and that failure becomes a warning.
    """

    class Failing(nn.Module):
        def forward(self, x, scale):
            raise ValueError("forward failed")

    failing = Failing()
    seen = []
    with (
        register_module_forward_hook(lambda *given: seen.append(given), with_kwargs=True, always_call=True),
        pytest.raises(ValueError, match="forward failed"),
    ):
        failing(3, scale=5)
    with (
        register_module_forward_hook(
            lambda m, args, kwargs, output: None, with_kwargs=True, always_call=True
        ),
        pytest.warns(UserWarning, match="missing 1 required positional argument: 'output'"),
        pytest.raises(ValueError, match="forward failed"),
    ):
        failing(3, scale=5)
    source._global_forward_hooks_with_kwargs.clear()

    assert seen == [(failing, (3,), None)]


def test_options_of_a_global_forward_hook_are_keyword_only():
    """``register_module_forward_hook`` accepts its options by keyword: by position they raise
    ``TypeError``.
    """
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        register_module_forward_hook(lambda module, args, output: None, True)


def test_a_global_full_backward_hook_replaces_gradients():
    """A ``register_module_full_backward_hook`` hook's result is passed to the module's full backward
    hooks.
    """
    identity = nn.Identity()
    identity.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 10,))
    x = torch.rand(2, requires_grad=True)
    with register_module_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] + 3,)):
        identity(x).sum().backward()

    assert x.grad.tolist() == [40.0, 40.0]


def test_a_global_backward_pre_hook_replaces_gradients():
    """A ``register_module_full_backward_pre_hook`` hook's result is passed to the module's backward
    pre-hooks.
    """
    identity = nn.Identity()
    identity.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    x = torch.rand(2, requires_grad=True)
    with register_module_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] + 3,)):
        identity(x).sum().backward()

    assert x.grad.tolist() == [40.0, 40.0]


def test_global_legacy_hooks_come_before_local_ones():
    """A ``register_module_backward_hook`` hook runs before the module's own ``register_backward_hook`` hooks.

    It is deprecated like the local one, :meth:`~torch.nn.Module.register_backward_hook`.
    """
    net = nn.Tanh()
    calls = []
    net.register_backward_hook(lambda *given: calls.append("local"))
    with register_module_backward_hook(lambda module, *given: calls.append(module)):
        net(torch.rand(2, requires_grad=True) * 1).sum().backward()

    assert calls == [net, "local"]


@pytest.mark.parametrize(
    ("local", "everywhere"),
    [
        (nn.Module.register_backward_hook, register_module_full_backward_hook),
        (nn.Module.register_full_backward_hook, register_module_backward_hook),
    ],
    ids=["full", "legacy"],
)
def test_global_and_local_kinds_may_differ(local, everywhere):
    """With ``register_module_full_backward_hook`` and a module's ``register_backward_hook``, both hooks fire.

    So does a global legacy hook with local full ones.
    """
    early, late = nn.Tanh(), nn.Tanh()
    calls = []
    local(early, lambda *given: calls.append("local"))
    with everywhere(lambda *given: calls.append("global")):
        local(late, lambda *given: calls.append("local"))
        late(early(torch.rand(2, requires_grad=True) * 1)).sum().backward()

    assert sorted(calls) == ["global", "global", "local", "local"]


def test_no_global_legacy_hook_after_a_full_one():
    """``register_module_backward_hook`` raises ``RuntimeError`` if a global full backward hook is
    registered.
    """
    with (
        register_module_full_backward_hook(lambda *given: None),
        pytest.raises(RuntimeError, match=BOTH_KINDS),
    ):
        register_module_backward_hook(lambda *given: None)


def test_no_global_full_hook_after_a_legacy_one():
    """``register_module_full_backward_hook`` raises ``RuntimeError`` after
    ``register_module_backward_hook``.
    """
    with (
        register_module_backward_hook(lambda *given: None),
        pytest.raises(RuntimeError, match=BOTH_KINDS),
    ):
        register_module_full_backward_hook(lambda *given: None)


@pytest.mark.parametrize("needy", [True, False], ids=["input requires grad", "no input requires grad"])
def test_several_global_hooks_of_one_kind(needy):
    """Several ``register_module_full_backward_hook`` hooks run in the order of registration."""
    calls, net = [], nn.Linear(2, 3)
    with (
        register_module_full_backward_hook(lambda *given: calls.append("first")),
        register_module_full_backward_hook(lambda *given: calls.append("second")),
        register_module_full_backward_hook(lambda *given: calls.append("third")),
    ):
        net(torch.rand(1, 2, requires_grad=needy)).sum().backward()

    assert calls == ["first", "second", "third"]


def test_the_global_kind_is_remembered_after_removal():
    """``register_module_full_backward_hook`` raises ``RuntimeError`` even after an old-style hook is removed.

    ``_global_is_full_backward_hook`` keeps the kind of the first one for the whole process.
    """
    register_module_backward_hook(lambda *given: None).remove()
    assert dict(source._global_backward_hooks) == {}
    assert source._global_is_full_backward_hook is False

    with pytest.raises(RuntimeError, match=BOTH_KINDS):
        register_module_full_backward_hook(lambda *given: None)


@pytest.mark.parametrize(
    "register", [register_module_full_backward_hook, register_module_backward_hook], ids=["full", "legacy"]
)
def test_global_backward_pre_hooks_bind_to_no_kind(register):
    """``register_module_full_backward_pre_hook`` can be combined with global full or legacy backward
    hooks.
    """
    calls = []
    with (
        register_module_full_backward_pre_hook(lambda *given: calls.append("pre-hook")),
        register(lambda *given: calls.append("hook")),
        register_module_full_backward_pre_hook(lambda *given: calls.append("second pre-hook")),
    ):
        nn.Identity()(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == ["pre-hook", "second pre-hook", "hook"]
