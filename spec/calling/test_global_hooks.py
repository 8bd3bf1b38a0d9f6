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
    """A global forward hook runs for every module that is called, inner ones first."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    calls = []
    with register_module_forward_hook(lambda module, args, output: calls.append(type(module).__name__)):
        net(torch.rand(2))
        nn.Sigmoid()(torch.rand(2))

    assert calls == ["ReLU", "Tanh", "Sequential", "Sigmoid"]


def test_a_global_forward_pre_hook_runs_for_every_module():
    """A global forward pre-hook runs for every module that is called, outer ones first."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    calls = []
    with register_module_forward_pre_hook(lambda module, args: calls.append(type(module).__name__)):
        net(torch.rand(2))

    assert calls == ["Sequential", "ReLU", "Tanh"]


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
    """Every function that registers a global hook returns a handle that removes it."""
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
    """What a global forward pre-hook returns replaces the arguments that local pre-hooks then get.

    :func:`~torch.nn.modules.module.register_module_forward_pre_hook` registers it, and has no options.
    """
    identity = nn.Identity()
    identity.register_forward_pre_hook(lambda module, args: args[0] * 10)
    with register_module_forward_pre_hook(lambda module, args: args[0] + 1):
        assert identity(4) == 50

    assert identity(4) == 40


def test_a_global_forward_hook_replaces_the_output():
    """What a global forward hook returns replaces the output that local hooks then get.

    :func:`~torch.nn.modules.module.register_module_forward_hook` registers it, and has no ``prepend``.
    """
    identity = nn.Identity()
    identity.register_forward_hook(lambda module, args, output: output * 10, prepend=True)
    with register_module_forward_hook(lambda module, args, output: output + 1):
        assert identity(4) == 50

    assert identity(4) == 40


def test_global_hooks_do_not_see_keyword_arguments():
    """Global forward hooks and pre-hooks do not see keyword arguments."""
    layer = nn.Linear(2, 3)
    seen = []
    with (
        register_module_forward_pre_hook(lambda module, args: seen.append(args)),
        register_module_forward_hook(lambda module, args, output: seen.append(args)),
    ):
        layer(input=torch.rand(1, 2))

    assert seen == [(), ()]


@pytest.mark.since("2.6")
def test_a_global_forward_hook_may_see_keyword_arguments():
    """A global forward hook registered with ``with_kwargs=True`` gets the keyword arguments too."""
    net = nn.Module()
    net.forward = lambda x, scale: x * scale
    seen = []
    with register_module_forward_hook(lambda *given: seen.append(given), with_kwargs=True):
        net(2, scale=5)
    source._global_forward_hooks_with_kwargs.clear()

    assert seen == [(net, (2,), {"scale": 5}, 10)]


@pytest.mark.since("2.6")
@pytest.mark.observed
def test_removal_forgets_not_that_kwargs_were_asked_for():
    """Removing a global forward hook leaves behind that it asked for keyword arguments."""
    handle = register_module_forward_hook(lambda *given: None, with_kwargs=True, always_call=True)
    handle.remove()

    left = dict(source._global_forward_hooks_with_kwargs)
    source._global_forward_hooks_with_kwargs.clear()
    assert left == {handle.id: True}
    assert dict(source._global_forward_hooks_always_called) == {}


@pytest.mark.since("2.6")
@pytest.mark.observed
def test_on_failure_a_global_hook_gets_no_keyword_arguments():
    """When forward raises, a global hook is called without the keyword arguments it asked for.

    A hook that insists on four arguments fails then, and that failure becomes a warning.
    """
    seen = []
    with (
        register_module_forward_hook(lambda *given: seen.append(given), with_kwargs=True, always_call=True),
        pytest.raises(NotImplementedError),
    ):
        nn.Module()(3)
    source._global_forward_hooks_with_kwargs.clear()

    assert [given[1:] for given in seen] == [((3,), None)]


def test_options_of_a_global_forward_hook_are_keyword_only():
    """The options of a global forward hook go by keyword: by position they raise ``TypeError``."""
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        register_module_forward_hook(lambda module, args, output: None, True)


def test_a_global_full_backward_hook_replaces_gradients():
    """What a global full backward hook returns replaces the gradients that local hooks then get.

    :func:`~torch.nn.modules.module.register_module_full_backward_hook` registers it.
    """
    identity = nn.Identity()
    identity.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 10,))
    x = torch.rand(2, requires_grad=True)
    with register_module_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] + 3,)):
        identity(x).sum().backward()

    assert x.grad.tolist() == [40.0, 40.0]


def test_a_global_backward_pre_hook_replaces_gradients():
    """What a global full backward pre-hook returns replaces the gradients that local ones then get.

    :func:`~torch.nn.modules.module.register_module_full_backward_pre_hook` registers it.
    """
    identity = nn.Identity()
    identity.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    x = torch.rand(2, requires_grad=True)
    with register_module_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] + 3,)):
        identity(x).sum().backward()

    assert x.grad.tolist() == [40.0, 40.0]


def test_global_legacy_hooks_come_before_local_ones():
    """A global legacy backward hook runs before the local ones of a module.

    :func:`~torch.nn.modules.module.register_module_backward_hook` is deprecated like the local one.
    """
    net = nn.Tanh()
    calls = []
    net.register_backward_hook(lambda *given: calls.append("local"))
    with register_module_backward_hook(lambda module, *given: calls.append(module)):
        net(torch.rand(2, requires_grad=True) * 1).sum().backward()

    assert calls == [net, "local"]


@pytest.mark.parametrize("kind", ["full", "legacy"])
def test_global_and_local_kinds_may_differ(kind):
    """Global hooks of one kind and local ones of the other may be mixed, and both fire."""
    net = nn.Tanh()
    calls = []
    local = net.register_backward_hook if kind == "full" else net.register_full_backward_hook
    everywhere = register_module_full_backward_hook if kind == "full" else register_module_backward_hook
    local(lambda *given: calls.append("local"))
    with everywhere(lambda *given: calls.append("global")):
        net(torch.rand(2, requires_grad=True) * 1).sum().backward()

    assert sorted(calls) == ["global", "local"]


def test_no_global_legacy_hook_after_a_full_one():
    """A global legacy backward hook raises ``RuntimeError`` where a global full one is registered."""
    with (
        register_module_full_backward_hook(lambda *given: None),
        pytest.raises(RuntimeError, match=BOTH_KINDS),
    ):
        register_module_backward_hook(lambda *given: None)


def test_no_global_full_hook_after_a_legacy_one():
    """A global full backward hook raises ``RuntimeError`` where a global legacy one is registered."""
    with (
        register_module_backward_hook(lambda *given: None),
        pytest.raises(RuntimeError, match=BOTH_KINDS),
    ):
        register_module_full_backward_hook(lambda *given: None)


def test_several_global_hooks_of_one_kind():
    """Several global backward hooks of one kind may be registered, and run in the order of registration."""
    calls = []
    with (
        register_module_full_backward_hook(lambda *given: calls.append("first")),
        register_module_full_backward_hook(lambda *given: calls.append("second")),
    ):
        nn.Identity()(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == ["first", "second"]


@pytest.mark.observed
def test_the_global_kind_is_remembered_after_removal():
    """The kind of the first global backward hook binds the process even after its removal."""
    register_module_backward_hook(lambda *given: None).remove()
    assert (dict(source._global_backward_hooks), source._global_is_full_backward_hook) == ({}, False)

    with pytest.raises(RuntimeError, match=BOTH_KINDS):
        register_module_full_backward_hook(lambda *given: None)


def test_global_backward_pre_hooks_bind_to_no_kind():
    """A global full backward pre-hook goes with global backward hooks of either kind."""
    calls = []
    with (
        register_module_full_backward_pre_hook(lambda *given: calls.append("pre-hook")),
        register_module_backward_hook(lambda *given: calls.append("legacy")),
    ):
        nn.Identity()(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == ["pre-hook", "legacy"]
