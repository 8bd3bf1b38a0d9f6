"""Gradients as a result: :func:`torch.autograd.grad` and what it refuses.

It returns the gradients that ``backward()`` would add to ``grad``, and tells of inputs that have none.
"""

import pytest
import torch
from torch import nn


def test_an_unused_parameter_is_an_error():
    """:func:`torch.autograd.grad` raises ``RuntimeError`` for an unused parameter, unless
    ``allow_unused=True``.

    With it the gradient is ``None``. ``backward()`` leaves ``grad`` of such a parameter alone, in silence.
    """
    used, unused = nn.Linear(2, 1), nn.Linear(2, 1)
    x = torch.tensor([3.0, 5.0])

    for inputs in ([used.weight, unused.weight], [unused.bias, used.weight]):
        with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
            torch.autograd.grad(used(x), inputs)

    inputs = [unused.bias, used.weight, unused.weight]
    first, gradient, last = torch.autograd.grad(used(x), inputs, allow_unused=True)
    used(x).backward()
    assert gradient.tolist() == used.weight.grad.tolist() == [[3.0, 5.0]]
    assert (first, last, unused.bias.grad, unused.weight.grad) == (None, None, None, None)


@pytest.mark.since("2.1")
def test_zeros_for_an_unused_parameter():
    """``autograd.grad(materialize_grads=True)`` returns zeros for an unused parameter, not ``None``.

    ``allow_unused`` need not be given; ``False`` raises ``ValueError``. See :func:`torch.autograd.grad`.
    """
    used, unused = nn.Linear(2, 1), nn.Linear(2, 1, dtype=torch.float64)
    loss = used(torch.tensor([3.0, 5.0]))
    inputs = [unused.weight, used.weight, unused.bias]

    gradients = torch.autograd.grad(loss, inputs, materialize_grads=True, retain_graph=True)
    assert [gradient.tolist() for gradient in gradients] == [[[0.0, 0.0]], [[3.0, 5.0]], [0.0]]
    assert [gradient.dtype for gradient in gradients] == [p.dtype for p in inputs]

    with pytest.raises(ValueError, match="Expected allow_unused to be True or not passed"):
        torch.autograd.grad(loss, used.weight, materialize_grads=True, allow_unused=False)


def test_a_frozen_parameter_is_an_error():
    """``autograd.grad`` raises ``RuntimeError`` for a frozen parameter, even with ``allow_unused=True``.

    Give it ``[p for p in net.parameters() if p.requires_grad]``. See :func:`torch.autograd.grad`.
    """
    layer = nn.Linear(2, 1)
    layer.bias.requires_grad_(False)
    loss = layer(torch.tensor([3.0, 5.0]))

    for options in ({}, {"allow_unused": True}):
        with pytest.raises(RuntimeError, match="does not require grad"):
            torch.autograd.grad(loss, list(layer.parameters()), **options)

    (gradient,) = torch.autograd.grad(loss, [p for p in layer.parameters() if p.requires_grad])
    assert gradient.tolist() == [[3.0, 5.0]]


def test_what_is_computed_later_was_not_used():
    """``autograd.grad`` raises ``RuntimeError`` for a view or copy of an input that is made after forward.

    The gradient is that of the tensor which forward was given: ``x[0]`` or ``x.view(2)`` is another one. Take
    the gradient of ``x`` and index that. See :func:`torch.autograd.grad`.
    """
    x = torch.tensor([[3.0, 5.0]], requires_grad=True)
    loss = nn.Linear(2, 1)(x).sum()

    for other in (x[0], x.view(2), x.clone()):
        with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
            torch.autograd.grad(loss, other, retain_graph=True)

    assert torch.autograd.grad(loss, x)[0].shape == (1, 2)


def test_an_output_of_several_elements_needs_weights():
    """``autograd.grad`` of an output with several elements raises ``RuntimeError`` without ``grad_outputs``.

    ``grad_outputs`` has a weight for each element: ones give the gradient of the sum. See
    :func:`torch.autograd.grad`.
    """
    layer, x = nn.Linear(2, 3, bias=False), torch.tensor([5.0, 7.0], requires_grad=True)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))

    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        torch.autograd.grad(layer(x), x)

    weights = [[1.0, 1.0, 1.0], [0.0, 10.0, 1.0]]
    gradients = [torch.autograd.grad(layer(x), x, grad_outputs=torch.tensor(w))[0].tolist() for w in weights]
    assert gradients == [[9.0, 12.0], [35.0, 46.0]]


def test_several_outputs_are_added_up():
    """``autograd.grad`` of several outputs returns the sum of their gradients, one for each input.

    For the gradient of each output call it once for each, with ``retain_graph=True``. See
    :func:`torch.autograd.grad`.
    """
    first, second, x = nn.Linear(1, 1), nn.Linear(1, 1), torch.ones(1, requires_grad=True)
    nn.init.constant_(first.weight, 3.0)
    nn.init.constant_(second.weight, 5.0)
    outputs, inputs = [first(x), second(x)], [x, first.weight, second.weight]

    assert [torch.autograd.grad(output, x, retain_graph=True)[0].item() for output in outputs] == [3.0, 5.0]
    assert [gradient.item() for gradient in torch.autograd.grad(outputs, inputs)] == [8.0, 1.0, 1.0]


def test_many_weights_at_once():
    """``autograd.grad(is_grads_batched=True)`` takes a batch of ``grad_outputs`` and returns a batch of
    gradients.

    With the rows of an identity matrix it is the Jacobian. See :func:`torch.autograd.grad`.
    """
    layer, x = nn.Linear(2, 3), torch.rand(2, requires_grad=True)

    inputs = [x, layer.bias]
    gradients = torch.autograd.grad(layer(x), inputs, grad_outputs=torch.eye(3), is_grads_batched=True)

    torch.testing.assert_close(gradients, (layer.weight.detach(), torch.eye(3)))


def test_the_graph_is_freed_here_too():
    """``autograd.grad`` frees the graph: a second one, or ``backward()``, raises ``RuntimeError``.

    ``retain_graph=True`` or ``create_graph=True`` keeps it. See :func:`torch.autograd.grad`.
    """
    net, x = nn.Sequential(nn.Linear(1, 1), nn.Tanh()), torch.ones(1, requires_grad=True)

    for options in ({"retain_graph": True}, {"create_graph": True}):
        loss = net(x)
        (kept,) = torch.autograd.grad(loss, x, **options)
        (again,) = torch.autograd.grad(loss, x)
        assert torch.equal(kept, again)
        assert kept.requires_grad == ("create_graph" in options)
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            loss.backward()
