"""One call of a module beside one call of its function.

The input is small and the layers do little, so that what is left is the price of the call itself: the
machinery that looks for hooks, and what hooks, containers and wrappers add to it.
"""

import contextlib
import warnings

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrize


@pytest.mark.benchmark(group="an empty call, a function")
def bench_calling_a_function(benchmark):
    """A call of a function that returns its input."""
    x = torch.rand(2, 3)

    assert benchmark(lambda x: x, x) is x


@pytest.mark.benchmark(group="an empty call, forward")
def bench_calling_forward_itself(benchmark):
    """A call of the ``forward`` of an ``Identity``, past the machinery of the module."""
    layer, x = nn.Identity(), torch.rand(2, 3)

    assert benchmark(layer.forward, x) is x


@pytest.mark.benchmark(group="an empty call, a module")
def bench_calling_an_empty_module(benchmark):
    """A call of an ``Identity``: the machinery alone."""
    layer, x = nn.Identity(), torch.rand(2, 3)

    assert benchmark(layer, x) is x


@pytest.mark.benchmark(group="hooks, forward pre")
@pytest.mark.parametrize("count", [0, 1, 10])
def bench_calling_with_forward_pre_hooks(benchmark, count):
    """A call of an ``Identity`` with forward pre-hooks that note a number."""
    layer, x, called = nn.Identity(), torch.rand(2, 3), set()
    for number in range(count):
        layer.register_forward_pre_hook(lambda module, args, number=number: called.add(number))

    assert benchmark(layer, x) is x
    assert called == set(range(count))


@pytest.mark.benchmark(group="hooks, forward")
@pytest.mark.parametrize("count", [0, 1, 10])
def bench_calling_with_forward_hooks(benchmark, count):
    """A call of an ``Identity`` with forward hooks that note a number."""
    layer, x, called = nn.Identity(), torch.rand(2, 3), set()
    for number in range(count):
        layer.register_forward_hook(lambda module, args, output, number=number: called.add(number))

    assert benchmark(layer, x) is x
    assert called == set(range(count))


@pytest.mark.benchmark(group="hooks, global forward")
@pytest.mark.parametrize("count", [0, 1, 10])
def bench_calling_with_global_forward_hooks(benchmark, count):
    """A call of an ``Identity`` under global forward hooks that note a number."""
    layer, x, called = nn.Identity(), torch.rand(2, 3), set()

    with contextlib.ExitStack() as hooks:
        for number in range(count):
            handle = register_module_forward_hook(lambda *told, number=number: called.add(number))
            hooks.enter_context(handle)
        output = benchmark(layer, x)

    assert output is x
    assert called == set(range(count))


@pytest.mark.benchmark(group="hooks, full backward pre")
@pytest.mark.parametrize("count", [0, 1, 10])
def bench_going_back_with_full_backward_pre_hooks(benchmark, count):
    """A call of an ``Identity`` with full backward pre-hooks, and the way back through it."""
    layer, x, called = nn.Identity(), torch.rand(2, 3, requires_grad=True), set()
    gradient = torch.full((2, 3), 0.5)
    for number in range(count):
        layer.register_full_backward_pre_hook(lambda module, gradients, number=number: called.add(number))

    (found,) = benchmark(lambda: torch.autograd.grad(layer(x), x, gradient))

    assert torch.equal(found, gradient)
    assert called == set(range(count))


@pytest.mark.benchmark(group="hooks, full backward")
@pytest.mark.parametrize("count", [0, 1, 10])
def bench_going_back_with_full_backward_hooks(benchmark, count):
    """A call of an ``Identity`` with full backward hooks, and the way back through it."""
    layer, x, called = nn.Identity(), torch.rand(2, 3, requires_grad=True), set()
    gradient = torch.full((2, 3), 0.5)
    for number in range(count):
        layer.register_full_backward_hook(lambda module, before, after, number=number: called.add(number))

    (found,) = benchmark(lambda: torch.autograd.grad(layer(x), x, gradient))

    assert torch.equal(found, gradient)
    assert called == set(range(count))


@pytest.mark.benchmark(group="layers in a row, Sequential")
@pytest.mark.parametrize("size", [1, 10, 100])
def bench_calling_a_sequential(benchmark, size):
    """A call of a ``Sequential`` of as many ``Identity`` layers."""
    net, x = nn.Sequential(*(nn.Identity() for _ in range(size))), torch.rand(2, 3)

    assert benchmark(net, x) is x


@pytest.mark.benchmark(group="three layers, by hand")
def bench_calling_layers_written_by_hand(benchmark):
    """A call of a module whose ``forward`` calls three ``Identity`` layers by name."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.third = nn.Identity(), nn.Identity(), nn.Identity()

        def forward(self, x):
            return self.third(self.second(self.first(x)))

    net, x = Net(), torch.rand(2, 3)

    assert benchmark(net, x) is x


@pytest.mark.benchmark(group="three layers, Sequential")
def bench_calling_the_same_layers_in_a_sequential(benchmark):
    """A call of a ``Sequential`` of three ``Identity`` layers."""
    net, x = nn.Sequential(nn.Identity(), nn.Identity(), nn.Identity()), torch.rand(2, 3)

    assert benchmark(net, x) is x


@pytest.mark.benchmark(group="a small linear layer, plain")
def bench_calling_a_linear_layer(benchmark):
    """A call of a linear layer of 3 by 4."""
    layer, x = nn.Linear(3, 4), torch.rand(2, 3)

    found = benchmark(layer, x)

    torch.testing.assert_close(found, x @ layer.weight.T + layer.bias)


@pytest.mark.benchmark(group="a small linear layer, functional_call")
def bench_calling_a_linear_layer_by_functional_call(benchmark):
    """A ``functional_call`` of a linear layer of 3 by 4 with other parameters."""
    layer, x = nn.Linear(3, 4), torch.rand(2, 3)
    own = {name: torch.full_like(value, 0.5) for name, value in layer.named_parameters()}

    found = benchmark(torch.func.functional_call, layer, own, (x,))

    torch.testing.assert_close(found, x @ own["weight"].T + own["bias"])


@pytest.mark.benchmark(group="a small linear layer, parametrized")
def bench_calling_a_parametrized_linear_layer(benchmark):
    """A call of a linear layer of 3 by 4 whose weight is parametrized by ``Tanh``."""
    layer, x = nn.Linear(3, 4), torch.rand(2, 3)
    weight = layer.weight
    parametrize.register_parametrization(layer, "weight", nn.Tanh())

    found = benchmark(layer, x)

    torch.testing.assert_close(found, x @ weight.tanh().T + layer.bias)


@pytest.mark.needs("compile")
@pytest.mark.benchmark(group="a small linear layer, compiled (eager)")
def bench_calling_a_compiled_linear_layer(benchmark):
    """A call of a linear layer of 3 by 4, compiled for the backend ``"eager"`` before."""
    layer, x = nn.Linear(3, 4), torch.rand(2, 3)
    compiled = torch.compile(layer, backend="eager")
    with warnings.catch_warnings():  # up to torch 2.8 every compilation leaves a filter
        expected = compiled(x)

    found = benchmark(compiled, x)

    torch.testing.assert_close([found, expected], [layer(x), layer(x)])
