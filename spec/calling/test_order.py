"""The order of all that happens in one call and in the backward pass through it.

Global hooks come before those of the module, and a pre-hook comes before what it is named after.
"""

import contextlib

import torch
import torch.nn.modules.module as source
from torch import nn


def note(calls, word):
    return lambda *given: calls.append(word)


def test_everything_in_one_call():
    """A call and its backward pass run each kind of hook at its place, global before local ones."""
    calls = []
    net = nn.Module()
    weight = torch.rand(2, requires_grad=True)
    weight.register_hook(note(calls, "gradient of weight"))
    net.forward = lambda x: note(calls, "forward")() or x * weight
    with contextlib.ExitStack() as stack:
        for kind in ("full_backward_hook", "forward_hook", "full_backward_pre_hook", "forward_pre_hook"):
            getattr(net, f"register_{kind}")(note(calls, kind))
            stack.enter_context(getattr(source, f"register_module_{kind}")(note(calls, f"global {kind}")))
        net(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == [
        "global forward_pre_hook",
        "forward_pre_hook",
        "forward",
        "global forward_hook",
        "forward_hook",
        "global full_backward_pre_hook",
        "full_backward_pre_hook",
        "gradient of weight",
        "global full_backward_hook",
        "full_backward_hook",
    ]


def test_legacy_hooks_come_between_pre_hooks_and_gradients():
    """A legacy backward hook beside a pre-hook fires right after it, before any gradient inside."""
    calls = []
    net = nn.Module()
    weight = torch.rand(2, requires_grad=True)
    weight.register_hook(note(calls, "gradient of weight"))
    net.forward = lambda x: x * weight
    net.register_backward_hook(note(calls, "legacy"))
    net.register_full_backward_pre_hook(note(calls, "pre-hook"))
    with (
        source.register_module_full_backward_hook(note(calls, "global full")),
        source.register_module_full_backward_pre_hook(note(calls, "global pre-hook")),
    ):
        net(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == ["global pre-hook", "pre-hook", "legacy", "gradient of weight", "global full"]


def test_hooks_of_nested_modules_nest():
    """Hooks of an outer module enclose those of an inner one, forward and backward."""
    calls = []
    net = nn.Sequential(nn.Linear(2, 3))
    for name, module in (("outer", net), ("inner", net[0])):
        module.register_forward_pre_hook(note(calls, f"{name} forward pre-hook"))
        module.register_forward_hook(note(calls, f"{name} forward hook"))
        module.register_full_backward_pre_hook(note(calls, f"{name} backward pre-hook"))
        module.register_full_backward_hook(note(calls, f"{name} backward hook"))
    net(torch.rand(1, 2, requires_grad=True)).sum().backward()

    assert calls == [
        "outer forward pre-hook",
        "inner forward pre-hook",
        "inner forward hook",
        "outer forward hook",
        "outer backward pre-hook",
        "inner backward pre-hook",
        "inner backward hook",
        "outer backward hook",
    ]


def test_backward_goes_through_modules_in_reverse():
    """The backward pass fires the hooks of the module that was called last first."""
    calls = []
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    for name, module in net.named_children():
        module.register_forward_hook(note(calls, f"forward {name}"))
        module.register_full_backward_hook(note(calls, f"backward {name}"))
    net(torch.rand(1, 2, requires_grad=True)).sum().backward()

    assert calls == ["forward 0", "forward 1", "forward 2", "backward 2", "backward 1", "backward 0"]


def test_hooks_see_the_output_before_it_is_hooked():
    """Forward hooks get the output as forward made it; backward hooks are put on what they return."""
    outputs = []
    identity = nn.Identity()
    identity.register_full_backward_hook(lambda *given: None)
    identity.register_forward_hook(lambda module, args, output: outputs.append(output) or output * 3)
    result = identity(torch.rand(2, requires_grad=True))

    assert result._base.grad_fn.name() == "MulBackward0"
    assert result.grad_fn.name() == "BackwardHookFunctionBackward"
    assert torch.equal(result, outputs[0] * 3)
