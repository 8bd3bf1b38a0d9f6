"""Walking trees of modules.

A wide tree holds all its layers itself, a deep one nests each layer in the one before. Both have one
parameter for each layer, so that times for different sizes can be compared.
"""

import pytest
import torch
from torch import nn


def wide(size):
    net = nn.Module()
    for number in range(size):
        net.add_module(str(number), nn.PReLU())
    return net


def deep(size):
    net = nn.Module()
    for _ in range(size):
        outer = nn.Module()
        outer.weight = nn.Parameter(torch.full((1,), 0.25))
        outer.inner = net
        net = outer
    return net


@pytest.mark.benchmark(group="construct")
@pytest.mark.parametrize("size", [10, 100, 1000])
def test_constructing_a_wide_tree(benchmark, size):
    """A wide tree of layers is constructed, each with its parameter and its entry in the parent."""
    net = benchmark(wide, size)

    assert len(net._modules) == size


@pytest.mark.benchmark(group="parameters, wide")
@pytest.mark.parametrize("size", [10, 100, 1000, 10000])
def test_parameters_of_a_wide_tree(benchmark, size):
    """A walk of :meth:`~torch.nn.Module.parameters` over a wide tree yields one for each layer."""
    net = wide(size)

    found = benchmark(lambda: list(net.parameters()))

    assert len(found) == size


@pytest.mark.benchmark(group="parameters, deep")
@pytest.mark.parametrize("size", [10, 100, 300])
def test_parameters_of_a_deep_tree(benchmark, size):
    """A walk of :meth:`~torch.nn.Module.parameters` over a deep tree yields one for each level."""
    net = deep(size)

    found = benchmark(lambda: list(net.parameters()))

    assert len(found) == size


@pytest.mark.benchmark(group="named_modules, wide")
@pytest.mark.parametrize("size", [10, 100, 1000, 10000])
def test_named_modules_of_a_wide_tree(benchmark, size):
    """A walk of :meth:`~torch.nn.Module.named_modules` over a wide tree yields the root and each layer."""
    net = wide(size)

    found = benchmark(lambda: list(net.named_modules()))

    assert len(found) == size + 1


@pytest.mark.benchmark(group="train and eval, wide")
@pytest.mark.parametrize("size", [10, 100, 1000, 10000])
def test_switching_the_mode_of_a_wide_tree(benchmark, size):
    """:meth:`~torch.nn.Module.eval` and :meth:`~torch.nn.Module.train` visit every layer of a wide tree."""
    net = wide(size)

    benchmark(lambda: net.eval().train())

    assert [module.training for module in net.modules()] == [True] * (size + 1)
