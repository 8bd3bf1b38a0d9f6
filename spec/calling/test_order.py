"""The order of all that happens in one call and in the backward pass through it.

Global hooks come before those of the module, and a pre-hook comes before what it is named after.
"""

import contextlib

import pytest
import torch
import torch.nn.modules.module as source
from torch import nn


def note(calls, word):
    return lambda *given: calls.append(word)


def test_everything_in_one_call():
    """In ``net(x)`` and in ``backward()``, pre-hooks run first, hooks last, and global ones before the
    module's.

    What a hook returns is what the next one gets, so the order decides who sees the changes of whom.
    """
    calls = []
    weight = torch.rand(2, requires_grad=True)
    weight.register_hook(note(calls, "gradient of weight"))

    class Scale(nn.Module):
        def forward(self, x):
            calls.append("forward")
            return x * weight

    net = Scale()
    with contextlib.ExitStack() as stack:
        for kind in ("full_backward_hook", "forward_hook", "full_backward_pre_hook", "forward_pre_hook"):
            getattr(net, f"register_{kind}")(note(calls, kind))
            stack.enter_context(getattr(source, f"register_module_{kind}")(note(calls, f"global {kind}")))
        net(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls[:2] == ["global forward_pre_hook", "forward_pre_hook"]
    assert calls[2:5] == ["forward", "global forward_hook", "forward_hook"]
    assert calls[5:7] == ["global full_backward_pre_hook", "full_backward_pre_hook"]
    assert calls[7:] == ["gradient of weight", "global full_backward_hook", "full_backward_hook"]


@pytest.mark.parametrize(
    "kind", ["forward_pre_hook", "forward_hook", "full_backward_pre_hook", "full_backward_hook"]
)
def test_prepend_puts_no_hook_before_a_global_one(kind):
    """A global hook runs before the module's hooks of its kind, even before those with ``prepend=True``."""
    calls = []
    net, options = nn.Identity(), {} if "backward" in kind else {"with_kwargs": True}
    getattr(net, f"register_{kind}")(note(calls, "local"))
    with getattr(source, f"register_module_{kind}")(note(calls, "global")):
        getattr(net, f"register_{kind}")(note(calls, "prepended"), prepend=True)
        getattr(net, f"register_{kind}")(note(calls, "first"), prepend=True, **options)
        net(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == ["global", "first", "prepended", "local"]


def test_legacy_hooks_come_between_pre_hooks_and_gradients():
    """In a module with both, a ``register_backward_hook`` hook fires right after the full backward pre-hook.

    So it fires before any gradient inside the module is computed.
    """
    calls = []

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            calls.append("gradient inside")
            return gradient * 2

    net = nn.Module()
    net.forward = Double.apply
    net.register_backward_hook(note(calls, "legacy"))
    net.register_full_backward_pre_hook(note(calls, "pre-hook"))
    with (
        source.register_module_full_backward_hook(note(calls, "global full")),
        source.register_module_full_backward_pre_hook(note(calls, "global pre-hook")),
    ):
        net(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == ["global pre-hook", "pre-hook", "legacy", "gradient inside", "global full"]


def test_hooks_of_nested_modules_nest():
    """If the input requires grad, a ``Sequential``'s pre-hooks run first, its hooks last, also in
    ``backward()``.

    The hooks of its layers run in between. If no input requires grad, the full backward hook of the
    ``Sequential`` fires before those of its layers.
    """
    calls = []
    net = nn.Sequential(nn.Linear(2, 3))
    for name, module in (("outer", net), ("inner", net[0])):
        module.register_forward_pre_hook(note(calls, f"{name} forward pre-hook"))
        module.register_forward_hook(note(calls, f"{name} forward hook"))
        module.register_full_backward_pre_hook(note(calls, f"{name} backward pre-hook"))
        module.register_full_backward_hook(note(calls, f"{name} backward hook"))
    net(torch.rand(1, 2, requires_grad=True)).sum().backward()

    assert calls[:2] == ["outer forward pre-hook", "inner forward pre-hook"]
    assert calls[2:4] == ["inner forward hook", "outer forward hook"]
    assert calls[4:6] == ["outer backward pre-hook", "inner backward pre-hook"]
    assert calls[6:] == ["inner backward hook", "outer backward hook"]

    calls.clear()
    net(torch.rand(1, 2)).sum().backward()
    assert calls[4:6] == ["outer backward pre-hook", "outer backward hook"]
    assert calls[6:] == ["inner backward pre-hook", "inner backward hook"]


def test_backward_goes_through_modules_in_reverse():
    """In a ``Sequential``, forward hooks run from first to last layer, full backward hooks from last to
    first.

    Lists that both kinds of hooks fill have to be read from opposite ends to match layers.
    """
    calls = []
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    for name, module in net.named_children():
        module.register_forward_hook(note(calls, f"forward {name}"))
        module.register_full_backward_hook(note(calls, f"backward {name}"))
    net(torch.rand(1, 2, requires_grad=True)).sum().backward()

    assert calls == ["forward 0", "forward 1", "forward 2", "backward 2", "backward 1", "backward 0"]


def test_hooks_see_the_output_before_it_is_hooked():
    """A full backward hook's ``grad_output`` is the gradient of what the forward hooks return.

    A forward hook gets the very output of ``forward``. If it scales the output, ``grad_output`` belongs to
    the scaled output.
    """
    outputs, gradients = [], []

    class Double(nn.Module):
        def forward(self, x):
            outputs.append(x * 2)
            return outputs[0]

    def triple(module, args, output):
        outputs.append(output)
        return output * 3

    net = Double()
    net.register_forward_hook(triple)
    net.register_full_backward_hook(lambda module, *given: gradients.extend(g[0].tolist() for g in given))
    net(torch.rand(2, requires_grad=True)).sum().backward()

    assert outputs[1] is outputs[0]
    assert gradients == [[6.0, 6.0], [1.0, 1.0]]
