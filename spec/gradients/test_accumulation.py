"""How gradients come into being and add up.

A backward pass leaves a gradient on each parameter that the output depends on, in its attribute ``grad``. A
gradient that is there already is added to.
"""

import re

import pytest
import torch
from torch import nn


@pytest.mark.claim("N4-05")
def test_before_backward_grad_is_none():
    """Before the first backward pass the :attr:`~torch.Tensor.grad` of every parameter is ``None``."""
    layer = nn.Linear(2, 3)
    output = layer(torch.rand(1, 2)).sum()
    assert [p.grad for p in layer.parameters()] == [None, None]

    output.backward()
    assert [p.grad.shape for p in layer.parameters()] == [(3, 2), (3,)]


@pytest.mark.claim("N2-22")
def test_the_gradient_is_on_the_parameter():
    """The gradient is stored on the parameter itself, not on its ``.data``."""
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()

    assert layer.weight.grad.tolist() == [[5.0, 7.0]]
    assert layer.weight.data.grad is None


def test_gradients_add_up_over_backward_passes():
    """Each backward pass adds to the gradients that are there."""
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()
    layer(torch.tensor([[10.0, 30.0]])).sum().backward()

    assert layer.weight.grad.tolist() == [[15.0, 37.0]]
    assert layer.bias.grad.tolist() == [2.0]


def test_gradients_add_up_in_place():
    """A second backward pass adds in place: ``grad`` stays the same tensor."""
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()
    first = layer.weight.grad
    layer(torch.tensor([[10.0, 30.0]])).sum().backward()

    assert layer.weight.grad is first
    assert first.tolist() == [[15.0, 37.0]]


def test_small_batches_add_up_to_a_large_one():
    """Gradients of the sums over two halves of a batch add up to that of the whole batch."""
    layer = nn.Linear(2, 1)
    batch = torch.tensor([[1.0, 2.0], [3.0, 5.0], [7.0, 11.0], [13.0, 17.0]])
    for half in batch.split(2):
        layer(half).sum().backward()
    halves = layer.weight.grad.clone()
    layer.zero_grad()
    layer(batch).sum().backward()

    assert halves.tolist() == layer.weight.grad.tolist() == [[24.0, 35.0]]


def test_autograd_grad_leaves_grad_alone():
    """:func:`~torch.autograd.grad` returns gradients and stores none."""
    layer = nn.Linear(2, 1)
    weight, bias = torch.autograd.grad(layer(torch.tensor([[5.0, 7.0]])).sum(), layer.parameters())

    assert (weight.tolist(), bias.tolist()) == ([[5.0, 7.0]], [1.0])
    assert [p.grad for p in layer.parameters()] == [None, None]


def test_unused_parameters_keep_none():
    """A parameter that the output does not depend on keeps ``None`` as gradient."""
    net = nn.ModuleDict({"used": nn.Linear(2, 1), "unused": nn.Linear(2, 1)})
    net["used"](torch.rand(1, 2)).sum().backward()

    with_gradient = [name for name, p in net.named_parameters() if p.grad is not None]
    assert with_gradient == ["used.weight", "used.bias"]


def test_only_a_single_number_has_a_gradient_of_its_own():
    """``backward`` without an argument raises ``RuntimeError`` for an output of more than one element."""
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        nn.Linear(2, 3)(torch.rand(1, 2)).backward()


def test_a_graph_serves_one_backward_pass():
    """A second backward pass through a graph raises ``RuntimeError``, unless the first retained it."""
    layer = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    x = torch.tensor([[5.0, 7.0]])
    layer(x).sum().backward()
    once = layer[0].weight.grad.clone()
    output = layer(x).sum()
    output.backward(retain_graph=True)
    output.backward()

    assert torch.allclose(layer[0].weight.grad, once * 3)
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        output.backward()


def test_outputs_without_a_graph_have_no_gradient():
    """``backward`` raises ``RuntimeError`` where no parameter requires a gradient."""
    layer = nn.Linear(2, 1).requires_grad_(False)
    message = "element 0 of tensors does not require grad and does not have a grad_fn"
    with pytest.raises(RuntimeError, match=message):
        layer(torch.rand(1, 2)).sum().backward()


def test_no_grad_builds_no_graph():
    """Under :class:`~torch.no_grad` a module computes without a graph; its parameters are not frozen."""
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        output = layer(torch.rand(1, 2))

    assert (output.requires_grad, output.grad_fn) == (False, None)
    assert [p.requires_grad for p in layer.parameters()] == [True, True]


def test_a_gradient_has_no_graph():
    """A gradient left by an ordinary backward pass requires no gradient itself."""
    layer = nn.Linear(2, 1)
    layer(torch.rand(1, 2)).pow(2).sum().backward()

    assert (layer.weight.grad.requires_grad, layer.weight.grad.grad_fn) == (False, None)


def test_create_graph_leaves_gradients_with_a_graph():
    """``backward(create_graph=True)`` leaves gradients with a graph of their own, and gives a
    ``UserWarning``.
    """
    layer = nn.Linear(1, 1, bias=False)
    x = torch.tensor([[3.0]])
    message = "backward() with create_graph=True will create a reference cycle"
    with pytest.warns(UserWarning, match=re.escape(message)):
        layer(x).pow(2).sum().backward(create_graph=True)
    (second,) = torch.autograd.grad(layer.weight.grad, layer.weight)
    layer.zero_grad()

    assert second.tolist() == [[18.0]]


@pytest.mark.parametrize("value", [torch.rand(5), torch.rand(3)], ids=["longer", "shorter"])
def test_an_assigned_gradient_has_the_same_shape(value):
    """A gradient may be assigned by hand if it has the shape of the parameter."""
    parameter = nn.Parameter(torch.rand(4))
    gradient = torch.rand(4)
    parameter.grad = gradient
    assert parameter.grad is gradient

    with pytest.raises(RuntimeError, match=r"assign.* size"):
        parameter.grad = value


def test_an_assigned_gradient_has_the_same_dtype():
    """Assigning a gradient of another dtype raises ``RuntimeError``."""
    parameter = nn.Parameter(torch.rand(4))

    with pytest.raises(RuntimeError, match=r"assign.* (dtype|type)"):
        parameter.grad = torch.rand(4, dtype=torch.float64)


def test_a_gradient_of_the_wrong_kind_is_refused():
    """Assigning anything but a tensor or ``None`` as gradient raises ``TypeError``."""
    parameter = nn.Parameter(torch.rand(4))

    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor or None"):
        parameter.grad = 3
    parameter.grad = torch.rand(4)
    parameter.grad = None
    assert parameter.grad is None
