"""How gradients come into being and add up.

A backward pass leaves a gradient on each parameter that the output depends on, in its attribute ``grad``. A
gradient that is there already is added to.
"""

import re
import warnings

import pytest
import torch
from torch import nn


@pytest.mark.claim("N4-05")
def test_before_backward_grad_is_none():
    """:attr:`Tensor.grad <torch.Tensor.grad>` of every parameter is ``None`` before the first backward pass.

    Code that reads it, such as a norm over all gradients, asks for ``None`` first.
    """
    layer = nn.Linear(2, 3)
    output = layer(torch.rand(1, 2)).sum()
    assert [p.grad for p in layer.parameters()] == [None, None]

    output.backward()
    assert [p.grad.shape for p in layer.parameters()] == [(3, 2), (3,)]


@pytest.mark.claim("N2-22")
def test_the_gradient_is_on_the_parameter():
    """``backward()`` stores the gradient in ``parameter.grad``; ``parameter.data.grad`` is ``None``.

    ``.data`` makes a new tensor each time it is read, which has no gradient. :meth:`~torch.Tensor.detach`
    is the way to values without a graph.
    """
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()

    assert layer.weight.grad.tolist() == [[5.0, 7.0]]
    assert layer.bias.grad.tolist() == [1.0]
    assert [p.data.grad for p in layer.parameters()] == [None, None]


def test_gradients_add_up_over_backward_passes():
    """``backward()`` accumulates gradients: it adds to ``parameter.grad`` instead of replacing it.

    Without :meth:`~torch.nn.Module.zero_grad` between two steps an optimizer follows the sum of all gradients
    since it was last called.
    """
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()
    layer(torch.tensor([[10.0, 30.0]])).sum().backward()

    assert layer.weight.grad.tolist() == [[15.0, 37.0]]
    assert layer.bias.grad.tolist() == [2.0]


def test_gradients_add_up_in_place():
    """A second ``backward()`` adds to the same ``parameter.grad`` tensor in place, unless
    ``create_graph=True``.
    """
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()
    first = layer.weight.grad
    layer(torch.tensor([[10.0, 30.0]])).sum().backward()

    assert layer.weight.grad is first
    assert first.tolist() == [[15.0, 37.0]]

    with pytest.warns(UserWarning, match="create_graph=True"):
        layer(torch.tensor([[1.0, 2.0]])).sum().backward(create_graph=True)
    assert layer.weight.grad.tolist() == [[16.0, 39.0]]
    assert first.tolist() == [[15.0, 37.0]]


def test_small_batches_add_up_to_a_large_one():
    """With a summed loss, ``backward()`` on two half batches gives the gradient of the whole batch.

    A mean over each half has to be divided by the number of halves. Layers that look at the whole batch, such
    as BatchNorm in training, compute something else.
    """
    layer = nn.Linear(2, 1)
    batch = torch.tensor([[1.0, 2.0], [3.0, 5.0], [7.0, 11.0], [13.0, 17.0]])
    for half in batch.split(2):
        layer(half).sum().backward()
    assert layer.weight.grad.tolist() == [[24.0, 35.0]]

    layer.zero_grad()
    layer(batch).sum().backward()
    assert layer.weight.grad.tolist() == [[24.0, 35.0]]

    layer.zero_grad()
    for half in batch.split(2):
        (layer(half).mean() / 2).backward()
    assert layer.weight.grad.tolist() == [[24.0 / 4, 35.0 / 4]]
    norm = nn.BatchNorm1d(2)
    assert not torch.allclose(torch.cat([norm(half) for half in batch.split(2)]), norm(batch))


def test_autograd_grad_leaves_grad_alone():
    """:func:`autograd.grad <torch.autograd.grad>` returns gradients and does not change
    ``parameter.grad``.
    """
    layer = nn.Linear(2, 1)
    layer.bias.grad = torch.tensor([3.0])
    weight, bias = torch.autograd.grad(layer(torch.tensor([[5.0, 7.0]])).sum(), layer.parameters())

    assert weight.tolist() == [[5.0, 7.0]]
    assert bias.tolist() == [1.0]
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [3.0]


def test_unused_parameters_keep_none():
    """``backward()`` does not change ``parameter.grad`` if the output does not depend on the parameter.

    ``None`` after a backward pass shows a parameter that is not used.
    """
    net = nn.ModuleDict({"used": nn.Linear(2, 1), "unused": nn.Linear(2, 1)})
    net["unused"].bias.grad = torch.tensor([3.0])
    net["used"](torch.tensor([[5.0, 7.0]])).sum().backward()

    assert net["used"].weight.grad.tolist() == [[5.0, 7.0]]
    assert net["unused"].weight.grad is None
    assert net["unused"].bias.grad.tolist() == [3.0]


@pytest.mark.parametrize("size", [(2,), (1, 2)], ids=["one dimension", "two dimensions"])
def test_only_a_single_number_has_a_gradient_of_its_own(size):
    """``backward()`` without an argument raises ``RuntimeError`` if the output has more than one element.

    Reduce it first, by ``sum()`` or ``mean()``, or give a weight for each element.
    """
    layer = nn.Linear(2, 3)

    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        layer(torch.rand(size)).backward()
    layer(torch.rand(1, 2)).backward(torch.tensor([[2.0, 3.0, 5.0]]))
    assert layer.bias.grad.tolist() == [2.0, 3.0, 5.0]
    layer(torch.rand(1, 2))[:, :1].backward()
    assert layer.bias.grad.tolist() == [3.0, 3.0, 5.0]


def test_a_graph_serves_one_backward_pass():
    """A second ``backward()`` raises ``RuntimeError`` if the first freed tensors that the graph saved.

    ``retain_graph=True`` in the first retains them. A graph of sums alone saves none, and serves again.
    """
    layer = nn.Linear(2, 1)
    output = layer(torch.tensor([[5.0, 7.0]])).sum()
    output.backward(retain_graph=True)
    output.backward()
    assert layer.weight.grad.tolist() == [[10.0, 14.0]]

    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        output.backward()
    total = layer.bias.sum()
    total.backward()
    total.backward()
    assert layer.bias.grad.tolist() == [4.0]


def test_outputs_without_a_graph_have_no_gradient():
    """``backward()`` raises ``RuntimeError`` if neither a parameter nor an input requires grad."""
    layer = nn.Linear(2, 1).requires_grad_(False)
    x = torch.rand(1, 2)
    message = "element 0 of tensors does not require grad and does not have a grad_fn"

    with pytest.raises(RuntimeError, match=message):
        layer(x).sum().backward()
    layer(x.requires_grad_()).sum().backward()
    assert torch.equal(x.grad, layer.weight)


@pytest.mark.parametrize("training", [True, False])
def test_no_grad_builds_no_graph(training):
    """Under :class:`~torch.no_grad` the output of a module has no ``grad_fn``; its parameters still require
    grad.
    """
    layer = nn.Linear(2, 1).train(training)
    with torch.no_grad():
        output = layer(torch.rand(1, 2, requires_grad=True))

    assert output.requires_grad is False
    assert output.grad_fn is None
    assert [p.requires_grad for p in layer.parameters()] == [True, True]


def test_a_gradient_has_no_graph():
    """After ``backward()`` with its defaults, ``parameter.grad`` has no ``grad_fn`` and does not require
    grad.
    """
    layer = nn.Linear(2, 1)
    layer(torch.rand(1, 2)).pow(2).sum().backward()

    assert [p.grad.requires_grad for p in layer.parameters()] == [False, False]
    assert [p.grad.grad_fn for p in layer.parameters()] == [None, None]


def test_create_graph_leaves_gradients_with_a_graph():
    """``backward(create_graph=True)`` gives differentiable gradients, and warns of a reference cycle.

    The ``UserWarning`` is about a parameter and its gradient that keep each other alive:
    :func:`torch.autograd.grad` does without.
    """
    layer = nn.Linear(1, 1, bias=False)
    x = torch.tensor([[3.0]])
    message = "backward() with create_graph=True will create a reference cycle"
    with pytest.warns(UserWarning, match=re.escape(message)):
        layer(x).pow(2).sum().backward(create_graph=True)
    (second,) = torch.autograd.grad(layer.weight.grad, layer.weight)
    layer.zero_grad()

    assert second.tolist() == [[18.0]]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (first,) = torch.autograd.grad(layer(x).pow(2).sum(), layer.weight, create_graph=True)
    assert first.requires_grad is True


@pytest.mark.parametrize("sizes", [(5,), (3,), (1,), (2, 2)])
def test_an_assigned_gradient_has_the_same_shape(sizes):
    """Assigning a tensor of another shape to ``parameter.grad`` raises ``RuntimeError``; the same shape
    works.
    """
    parameter = nn.Parameter(torch.rand(4))
    gradient = torch.rand(4)
    parameter.grad = gradient

    with pytest.raises(RuntimeError, match=r"assign.* size"):
        parameter.grad = torch.rand(sizes)
    assert parameter.grad is gradient


@pytest.mark.parametrize(
    ("own", "dtype"),
    [
        (torch.float32, torch.float64),
        (torch.float32, torch.bfloat16),
        (torch.bfloat16, torch.float32),
        (torch.complex64, torch.float32),
    ],
    ids=str,
)
def test_an_assigned_gradient_has_the_same_dtype(own, dtype):
    """By default, assigning a tensor of another dtype to ``parameter.grad`` raises ``RuntimeError``."""
    parameter = nn.Parameter(torch.rand(4, dtype=own))

    with pytest.raises(RuntimeError, match=r"assign.* (dtype|type)"):
        parameter.grad = torch.rand(4, dtype=dtype)
    assert parameter.grad is None


@pytest.mark.parametrize("wrong", [0, [1.0, 2.0, 3.0, 5.0], "zeros"], ids=["number", "list", "string"])
def test_a_gradient_of_the_wrong_kind_is_refused(wrong):
    """Assigning anything but a tensor or ``None`` to ``parameter.grad`` raises ``TypeError``."""
    parameter = nn.Parameter(torch.rand(4))
    gradient = torch.rand(4)
    parameter.grad = gradient

    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor or None"):
        parameter.grad = wrong
    assert parameter.grad is gradient
    parameter.grad = None
    assert parameter.grad is None
