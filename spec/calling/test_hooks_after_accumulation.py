"""Hooks that run once the gradient of a parameter is there.

:meth:`torch.Tensor.register_post_accumulate_grad_hook` calls its hook after ``grad`` was set, where hooks of
:meth:`torch.Tensor.register_hook` and backward hooks of modules come before. It came with torch 2.1; before,
people hooked the node of the graph that accumulates.
"""

import copy

import pytest
import torch
from torch import nn


@pytest.mark.since("2.1")
def test_it_runs_after_grad_was_set():
    """A ``register_post_accumulate_grad_hook`` hook gets the parameter once ``backward()`` has set its
    ``grad``.

    A :meth:`torch.Tensor.register_hook` hook runs before, with the new gradient alone; ``grad`` is then still
    ``None``, or the sum so far.
    """
    layer, seen = nn.Linear(2, 1, bias=False), []
    weight = layer.weight
    weight.register_hook(lambda gradient: seen.append(("hook", gradient.tolist(), weight.grad is None)))
    weight.register_post_accumulate_grad_hook(lambda p: seen.append((p is weight, p.grad.tolist())))

    for _ in range(2):
        layer(torch.tensor([[3.0, 5.0]])).backward()

    first, second = [("hook", [[3.0, 5.0]], none) for none in (True, False)]
    assert seen == [first, (True, [[3.0, 5.0]]), second, (True, [[6.0, 10.0]])]


@pytest.mark.since("2.1")
def test_a_step_inside_backward():
    """A ``register_post_accumulate_grad_hook`` hook can step an optimizer and set ``grad`` to ``None``.

    So the gradients of a model need not all be kept until the end of backward. Clipping by their common norm
    is not possible then. See :meth:`torch.Tensor.register_post_accumulate_grad_hook`.
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 10.0)
    optimizer = torch.optim.SGD([layer.weight], lr=1.0)

    def step(parameter):
        optimizer.step()
        parameter.grad = None

    layer.weight.register_post_accumulate_grad_hook(step)
    layer(torch.tensor([[3.0, 5.0]])).backward()

    assert layer.weight.tolist() == [[7.0, 5.0]]
    assert layer.weight.grad is None


@pytest.mark.since("2.1")
def test_a_step_inside_backward_takes_every_batch():
    """An ``optimizer.step()`` in a ``register_post_accumulate_grad_hook`` hook runs in each ``backward()``.

    Micro batches are not accumulated then: each finds the parameter as the one before left it, and adaptive
    optimizers count each. Let the hook do nothing but for the last one. See
    :meth:`torch.Tensor.register_post_accumulate_grad_hook`.
    """
    weight = nn.Parameter(torch.tensor(10.0))
    optimizer, gradients, last = torch.optim.SGD([weight], lr=1.0), [], [True]

    def step(parameter):
        if last[0]:
            gradients.append(parameter.grad.item())
            optimizer.step()
            parameter.grad = None

    weight.register_post_accumulate_grad_hook(step)
    for factor in (2.0, 3.0):
        (weight * factor).backward()
    assert [gradients, weight.item()] == [[2.0, 3.0], 5.0]

    for factor, last[0] in ((2.0, False), (3.0, True)):
        (weight * factor).backward()
    assert [gradients, weight.item()] == [[2.0, 3.0, 5.0], 0.0]


@pytest.mark.since("2.1")
def test_a_shared_parameter_runs_it_once():
    """A parameter used twice in ``forward`` runs its ``register_post_accumulate_grad_hook`` hook once.

    It runs with the sum of both gradients. A parameter that the loss does not depend on does not run it, nor
    does :func:`torch.autograd.grad`. See :meth:`torch.Tensor.register_post_accumulate_grad_hook`.
    """
    layer, unused, calls = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False), []
    nn.init.constant_(layer.weight, 3.0)
    for p in (layer.weight, unused.weight):
        p.register_post_accumulate_grad_hook(lambda p: calls.append(p.grad.item()))

    layer(layer(torch.tensor([[5.0]]))).backward()
    assert calls == [30.0]

    torch.autograd.grad(layer(torch.tensor([[5.0]])), layer.weight)
    assert calls == [30.0]


@pytest.mark.since("2.1")
def test_it_returns_none():
    """``backward()`` raises ``RuntimeError`` if a ``register_post_accumulate_grad_hook`` hook returns a
    tensor.

    Any other value but ``None`` is a ``TypeError``. To change the gradient, set or change ``p.grad`` in the
    hook. See :meth:`torch.Tensor.register_post_accumulate_grad_hook`.
    """
    layer = nn.Linear(2, 1, bias=False)
    handle = layer.weight.register_post_accumulate_grad_hook(lambda p: p.grad * 2)
    with pytest.raises(RuntimeError, match="Tensor post accumulate grad hooks should return None"):
        layer(torch.tensor([[3.0, 5.0]])).backward()

    handle.remove()
    handle = layer.weight.register_post_accumulate_grad_hook(lambda p: False)
    with pytest.raises(TypeError, match="hook returned 'bool'"):
        layer(torch.tensor([[3.0, 5.0]])).backward()

    handle.remove()
    layer.zero_grad()
    layer.weight.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", p.grad * 2))
    layer(torch.tensor([[3.0, 5.0]])).backward()
    assert layer.weight.grad.tolist() == [[6.0, 10.0]]


@pytest.mark.since("2.1")
def test_only_trainable_leaves_take_it():
    """``register_post_accumulate_grad_hook`` raises ``RuntimeError`` for non-leaf and for frozen tensors.

    See :meth:`torch.Tensor.register_post_accumulate_grad_hook`.
    """
    layer = nn.Linear(2, 3)

    with pytest.raises(RuntimeError, match="cannot be registered on non-leaf tensors"):
        (layer.weight * 2).register_post_accumulate_grad_hook(print)
    with pytest.raises(RuntimeError, match="on a tensor that doesn't require gradient"):
        layer.weight.requires_grad_(False).register_post_accumulate_grad_hook(print)


@pytest.mark.since("2.1")
def test_it_stays_with_the_parameter_object():
    """A ``register_post_accumulate_grad_hook`` hook survives casts of the module; a new ``Parameter`` lacks
    it.

    It belongs to the :class:`~torch.nn.Parameter` object: ``load_state_dict`` and ``Module.to(dtype)`` keep
    that; a new ``Parameter``, a move to meta and ``copy.deepcopy`` do not take the hook over.
    """
    layer, calls = nn.Linear(2, 3), []
    layer.weight.register_post_accumulate_grad_hook(lambda p: calls.append(p.dtype))
    layer.load_state_dict(nn.Linear(2, 3).state_dict())
    casts = [torch.bfloat16, torch.float32, torch.float64]
    for dtype in casts:
        layer.to(dtype)(torch.rand(1, 2, dtype=dtype)).sum().backward()
    assert calls == casts

    copy.deepcopy(layer)(torch.rand(1, 2, dtype=torch.float64)).sum().backward()
    layer.weight = nn.Parameter(layer.weight.detach())
    layer(torch.rand(1, 2, dtype=torch.float64)).sum().backward()
    assert calls == casts

    layer.weight.register_post_accumulate_grad_hook(lambda p: calls.append(p.dtype))
    layer.to("meta")(torch.rand(1, 2, dtype=torch.float64, device="meta")).sum().backward()
    assert calls == casts


def test_a_hook_on_the_node_is_lost_in_a_cast():
    """A hook on the ``AccumulateGrad`` node of a parameter is lost when the module is cast or moved.

    The node is for one dtype and device: ``Module.double`` ends it, and backward makes another; new
    ``parameter.data`` of the same dtype does not. A hook of :meth:`torch.Tensor.register_hook` stays. Since
    2.1 there is ``Tensor.register_post_accumulate_grad_hook``.
    """
    layer, calls = nn.Linear(2, 3), []
    node = layer.weight.view_as(layer.weight).grad_fn.next_functions[0][0]
    node.register_hook(lambda *grads: calls.append("node"))
    layer.weight.register_hook(lambda grad: calls.append("tensor"))

    layer(torch.rand(1, 2)).sum().backward()
    assert calls == ["tensor", "node"]

    layer.weight.data = torch.rand(3, 2)
    layer(torch.rand(1, 2)).sum().backward()
    assert calls == ["tensor", "node"] * 2

    layer.double()(torch.rand(1, 2, dtype=torch.float64)).sum().backward()
    assert calls == [*["tensor", "node"] * 2, "tensor"]


@pytest.mark.since("2.1")
def test_a_tensor_hook_runs_before_it():
    """A ``register_hook`` hook of a parameter gets the new gradient before it is added to ``grad``.

    One of ``register_post_accumulate_grad_hook`` finds the sum.
    """
    weight = nn.Parameter(torch.tensor(1.0))
    seen = []
    weight.register_post_accumulate_grad_hook(lambda p: seen.append(("after", p.grad.item())))
    weight.register_hook(lambda new: seen.append(("before", new.item(), weight.grad is None)))

    (weight * 3).backward()
    (weight * 2).backward()

    assert seen == [("before", 3.0, True), ("after", 3.0), ("before", 2.0, False), ("after", 5.0)]
