"""What hooks keep in memory.

A hook is a function, and a function keeps alive what it refers to. A module that is kept by its own hook is
freed late, by ``gc``, or never.
"""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook


def test_a_hook_keeps_no_inputs():
    """A ``register_forward_hook`` or global pre-hook keeps inputs and outputs alive only if it stores them.

    An output that is stored keeps its graph, and with it the input: store ``output.detach()``.
    """
    stored, layer = [], nn.Linear(2, 1)
    handle = register_module_forward_pre_hook(lambda module, args: None)

    def freed(hook):
        layer.register_forward_hook(lambda *given: None, with_kwargs=True)
        with layer.register_forward_hook(hook):
            x = torch.rand(3, 2)
            there = weakref.ref(x), weakref.ref(layer(x))
            del x
        return [tensor() is None for tensor in there]

    nothing = freed(lambda module, args, output: None)
    graph = freed(lambda module, args, output: stored.append(output))
    value = freed(lambda module, args, output: stored.append(output.detach()))
    handle.remove()

    assert [nothing, graph, value] == [[True, True], [False, False], [True, True]]


def test_a_hook_that_names_its_module():
    """A module whose forward hook refers to it, as in a closure, is freed by ``gc`` only.

    On a GPU its memory is not free until then. After ``handle.remove()`` it is freed at once; the hook is
    handed its module anyway, so it need not refer to it.

    See also :ref:`registration.plain_attributes.a_bound_method_keeps_its_module`
    """

    def watch(remove):
        net = nn.Sequential(nn.Linear(2, 1))
        handle = net[0].register_forward_hook(lambda module, args, output: output * len(net))
        if remove:
            handle.remove()
        return weakref.ref(net)

    gc.disable()
    watches = watch(remove=False), watch(remove=True)
    alive = [there() is not None for there in watches]
    gc.collect()
    gc.enable()

    assert alive == [True, False]
    assert watches[0]() is None


@pytest.mark.parametrize("where", ["tensor", "grad_fn"])
def test_a_kept_output_with_a_hook_is_never_freed(where):
    """A module that keeps an output with a hook that refers to the module is never freed, not even by ``gc``.

    So it is for a hook of the tensor and one of its ``grad_fn``, through which ``gc`` cannot look. Let the
    hook refer to the module through ``weakref.ref``.
    """

    def watch(weak):
        net = nn.Sequential(nn.Linear(2, 1))
        net.last = net(torch.rand(3, 2))
        named = weakref.ref(net) if weak else net
        (net.last if where == "tensor" else net.last.grad_fn).register_hook(lambda *given: named and None)
        return weakref.ref(net)

    strong, weak = watch(weak=False), watch(weak=True)
    gc.collect()

    assert strong() is not None
    assert weak() is None


def test_a_backward_hook_and_a_kept_output():
    """A module with a ``register_full_backward_hook`` hook that keeps its output and graph is never freed.

    The graph of the output refers to the module. Keep ``output.detach()``.
    """

    def watch(detach):
        net = nn.Sequential(nn.Linear(2, 1))
        net.register_full_backward_hook(lambda module, grad_input, grad_output: None)
        output = net(torch.rand(3, 2, requires_grad=True))
        net.last = output.detach() if detach else output
        return weakref.ref(net)

    attached, detached = watch(detach=False), watch(detach=True)
    gc.collect()

    assert attached() is not None
    assert detached() is None


def test_a_hook_of_a_parameter_is_collected():
    """A module is freed by ``gc`` if a ``register_hook`` hook of its parameter refers to it."""

    def watch():
        net = nn.Linear(2, 1)
        net.weight.register_hook(lambda gradient: net and None)
        return weakref.ref(net)

    gc.disable()
    there = watch()
    alive = there() is not None
    gc.collect()
    gc.enable()

    assert alive is True
    assert there() is None


@pytest.mark.since("2.1")
def test_a_hook_after_accumulation_is_never_freed():
    """A module is never freed if a ``register_post_accumulate_grad_hook`` hook of its parameter refers to it.

    An optimizer stepped inside backward is kept likewise, with all that it holds: remove the hook, or let it
    refer to the module through ``weakref.ref``.
    """

    def watch(weak):
        net = nn.Linear(2, 1)
        named = weakref.ref(net) if weak else net
        net.weight.register_post_accumulate_grad_hook(lambda parameter: named and None)
        return weakref.ref(net)

    strong, weak = watch(weak=False), watch(weak=True)
    gc.collect()

    assert strong() is not None
    assert weak() is None
