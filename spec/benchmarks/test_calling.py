"""One call of a module beside one call of its function."""

import pytest
import torch
from torch import nn


@pytest.mark.benchmark(group="call")
def test_calling_forward_itself(benchmark):
    """A call of ``forward`` goes past the machinery of the module."""
    layer, x = nn.Identity(), torch.rand(2, 3)

    assert benchmark(layer.forward, x) is x


@pytest.mark.benchmark(group="call")
def test_calling_an_empty_module(benchmark):
    """A call of a module that returns its input costs the machinery alone."""
    layer, x = nn.Identity(), torch.rand(2, 3)

    assert benchmark(layer, x) is x


@pytest.mark.benchmark(group="call with hooks")
@pytest.mark.parametrize("count", [1, 10])
def test_calling_with_forward_hooks(benchmark, count):
    """Each forward hook is called once in a call of a module."""
    layer, x, calls = nn.Identity(), torch.rand(2, 3), []
    for _ in range(count):
        layer.register_forward_hook(lambda module, args, output: calls.append(1))

    benchmark.pedantic(layer, args=(x,), rounds=20)

    assert len(calls) % count == 0
    assert len(calls) >= count


@pytest.mark.benchmark(group="sequential")
@pytest.mark.parametrize("depth", [1, 10, 100])
def test_calling_a_sequential(benchmark, depth):
    """A :class:`~torch.nn.Sequential` calls its layers one after the other."""
    net, x = nn.Sequential(*(nn.Identity() for _ in range(depth))), torch.rand(2, 3)

    assert benchmark(net, x) is x
