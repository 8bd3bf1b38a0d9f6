"""Hooks of tensors and nodes in a backward pass: when each of them fires.

A hook of ``Tensor.register_hook`` gets the gradient of its tensor once all of it is there. What such a hook
returns, and what becomes of it in a copy, is in *hooks_of_tensors*; those that come after ``grad`` was set
are in *hooks_after_accumulation*.
"""

import pytest
import torch
from torch import nn
from torch.autograd.graph import register_multi_grad_hook


def test_hooks_of_a_tensor_run_in_order():
    """Hooks of ``Tensor.register_hook`` on one tensor run in the order given, each on the last one's result.

    One that returns ``None`` leaves the gradient to the next as it is.
    """
    weight, seen = nn.Parameter(torch.tensor([3.0])), []
    weight.register_hook(lambda grad: seen.append(grad.item()))
    weight.register_hook(lambda grad: grad + 1)
    weight.register_hook(lambda grad: grad * 10)
    weight.register_hook(lambda grad: seen.append(grad.item()))
    (weight * 2).sum().backward()

    assert seen == [2.0, 30.0]
    assert weight.grad.tolist() == [30.0]


def test_a_hook_gets_the_whole_gradient():
    """A ``Tensor.register_hook`` hook runs once in a ``backward()``, with the sum over all uses of its
    tensor.

    That is so for a parameter used in several layers, and for an activation that branches. Only under
    reentrant checkpoints it sees parts.

    See also :ref:`gradients.checkpoint_surroundings.a_weight_hook_runs_per_reentrant_checkpoint`
    """
    weight, seen = nn.Parameter(torch.tensor([3.0])), []
    branching = weight * 1.0
    weight.register_hook(lambda grad: seen.append(("weight", grad.item())))
    branching.register_hook(lambda grad: seen.append(("branching", grad.item())))
    (branching * 2 + branching * 5 + weight * 10).sum().backward()

    assert seen == [("branching", 7.0), ("weight", 17.0)]


def test_a_changed_gradient_flows_on():
    """What a hook of ``Tensor.register_hook`` on an activation returns reaches all that comes before it.

    Layers after it, and other branches, keep their gradients. So gradients are reversed or scaled at one
    place of a model.
    """
    first, second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(first.weight, 3.0)
    nn.init.constant_(second.weight, 5.0)
    inner = first(torch.tensor([2.0]))
    inner.register_hook(lambda grad: -10 * grad)
    second(inner).sum().backward()

    assert second.weight.grad.item() == 6.0
    assert first.weight.grad.item() == -10 * 5.0 * 2.0


def test_retain_grad_comes_last():
    """``retain_grad()`` keeps the gradient that ``register_hook`` hooks of the tensor return, in any order.

    It does so even if it was called before the hook was registered.
    """
    found = []
    for first in (True, False):
        inner = nn.Parameter(torch.tensor([3.0])) * 1.0
        if first:
            inner.retain_grad()
        inner.register_hook(lambda grad: grad * 10)
        inner.retain_grad()
        (inner * 2).sum().backward()
        found.append(inner.grad.item())

    assert found == [20.0, 20.0]


def test_a_hook_needs_a_gradient():
    """``Tensor.register_hook`` raises ``RuntimeError`` for a tensor that does not require grad.

    Such is an input of data, a frozen weight, and every output under ``no_grad``.
    """
    message = "^cannot register a hook on a tensor that doesn't require gradient$"
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        output = layer(torch.tensor([2.0]))
    for tensor in (torch.tensor([2.0]), layer.requires_grad_(False).weight, output):
        with pytest.raises(RuntimeError, match=message):
            tensor.register_hook(print)


def test_a_hook_returns_the_same_shape():
    """``backward()`` raises ``RuntimeError`` if a ``register_hook`` hook changes the shape, or the dtype.

    A hook that returns no tensor raises ``TypeError``.
    """
    cases = [
        (lambda grad: grad[:1], RuntimeError, "hook 'cut' has changed the size of value"),
        (lambda grad: grad.double(), RuntimeError, "hook 'cut' has changed the type of value"),
        (lambda grad: grad.sum().item(), TypeError, "expected Variable, but hook returned 'float'"),
    ]
    for hook, error, message in cases:
        hook.__name__ = "cut"
        for leaf in (True, False):
            weight = nn.Parameter(torch.tensor([3.0, 2.0]))
            tensor = weight if leaf else weight * 1.0
            tensor.register_hook(hook)
            with pytest.raises(error, match=message):
                (tensor * 2).sum().backward()
            assert weight.grad is None


def test_hooks_of_tensors_and_nodes():
    """In ``backward()``, hooks of a tensor run first, then pre-hooks of its ``grad_fn``, then its other
    hooks.

    ``grad_fn.register_prehook`` calls ``hook(grad_outputs)``, ``grad_fn.register_hook`` after it
    ``hook(grad_inputs, grad_outputs)``. Each may return a tuple of new gradients.
    """
    weight, seen = nn.Parameter(torch.tensor([3.0])), []
    inner = weight * 5.0
    inner.grad_fn.register_hook(lambda given, got: seen.append(("node", given[0].item(), got[0].item())))
    inner.grad_fn.register_prehook(lambda got: (got[0] + 1,))
    inner.grad_fn.register_prehook(lambda got: seen.append(("before", got[0].item())))
    inner.register_hook(lambda grad: seen.append(("tensor", grad.item())))
    (inner * 2).sum().backward()

    assert seen == [("tensor", 2.0), ("before", 3.0), ("node", 15.0, 3.0)]
    assert weight.grad.tolist() == [15.0]


def test_autograd_grad_runs_tensor_hooks():
    """``autograd.grad`` to a tensor runs its ``register_hook`` hooks, and not the hooks of its ``grad_fn``.

    It returns what they return.
    """
    weight, seen = nn.Parameter(torch.tensor([3.0])), []
    inner = weight * 5.0
    inner.grad_fn.register_hook(lambda given, got: seen.append("node"))
    inner.register_hook(lambda grad: grad * 10)
    weight.register_hook(lambda grad: seen.append("weight") or grad * 10)
    (found,) = torch.autograd.grad((inner * 2).sum(), inner)

    assert found.tolist() == [20.0]
    assert seen == []

    (found,) = torch.autograd.grad((weight * 3).sum(), weight)
    assert found.tolist() == [30.0]
    assert weight.grad is None


def test_a_change_in_place_comes_after_a_hook():
    """A ``register_hook`` hook set before a change in place gets the gradient of the value before it.

    One set later gets that of the new value, as ``retain_grad()`` does whenever it was called.
    """
    seen = []
    inner = nn.Parameter(torch.tensor([3.0])) * 1.0
    inner.register_hook(lambda grad: seen.append(("before", grad.item())))
    inner.retain_grad()
    inner.mul_(5.0)
    inner.register_hook(lambda grad: seen.append(("after", grad.item())))
    (inner * 2).sum().backward()

    assert seen == [("after", 2.0), ("before", 10.0)]
    assert inner.grad.tolist() == [2.0]


def test_hooks_fire_from_the_last_layer_on():
    """Hooks of parameters fire in ``backward()`` from the last layer to the first, as gradients get ready.

    Gradients of the first layers are not there yet when those of the last are.
    """
    net, seen = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)), []
    nn.init.constant_(net[0].bias, 10.0)
    for name, parameter in net.named_parameters():
        parameter.register_hook(lambda _, layer=name[0]: seen.append((layer, net[0].weight.grad)))
    net(torch.ones(1, 2)).sum().backward()

    assert [layer for layer, _ in seen] == ["2", "2", "0", "0"]
    assert [grad for _, grad in seen[:2]] == [None, None]


def test_one_hook_for_several_tensors():
    """``register_multi_grad_hook(tensors, hook)`` calls ``hook`` once with all gradients, when the last is
    there.

    A tensor that the loss does not depend on gets ``None``. The next ``backward()`` calls it again.
    """
    first, second, unused = (nn.Parameter(torch.tensor([value])) for value in (3.0, 4.0, 5.0))
    seen = []
    handle = register_multi_grad_hook([first, second, unused], seen.append)
    (first * 2 + second * 7).sum().backward()
    (first * 3).sum().backward()
    handle.remove()
    (first * 4).sum().backward()

    found = [[grad if grad is None else grad.item() for grad in grads] for grads in seen]
    assert found == [[2.0, 7.0, None], [3.0, None, None]]


@pytest.mark.since("2.3")
def test_one_hook_for_the_first_of_several():
    """``register_multi_grad_hook(tensors, hook, mode="any")`` calls ``hook`` with the first gradient there
    is.

    It is called once in each ``backward()``. See :func:`torch.autograd.graph.register_multi_grad_hook`.
    """
    first, seen = nn.Parameter(torch.tensor([3.0])), []
    inner = first * 2
    register_multi_grad_hook([first, inner], seen.append, mode="any")
    for factor in (7, 5):
        (inner * factor).sum().backward(retain_graph=True)

    assert [grad.item() for grad in seen] == [7.0, 5.0]
    with pytest.raises(ValueError, match=r"Expects mode to be one of .* got other"):
        register_multi_grad_hook([first], seen.append, mode="other")
