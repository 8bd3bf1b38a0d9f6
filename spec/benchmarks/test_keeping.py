"""Keeping the state of a tree of modules: saving, loading, copying, casting."""

import copy

import pytest
import torch
from torch import nn


def wide(size):
    net = nn.Module()
    for number in range(size):
        net.add_module(str(number), nn.PReLU())
    return net


@pytest.mark.benchmark(group="state_dict")
@pytest.mark.parametrize("size", [10, 100, 1000])
def test_state_dict_of_a_wide_tree(benchmark, size):
    """:meth:`~torch.nn.Module.state_dict` of a wide tree has one entry for each layer."""
    net = wide(size)

    state = benchmark(net.state_dict)

    assert len(state) == size


@pytest.mark.benchmark(group="load_state_dict")
@pytest.mark.parametrize("size", [10, 100, 1000])
def test_loading_into_a_wide_tree(benchmark, size):
    """:meth:`~torch.nn.Module.load_state_dict` copies one tensor into each layer of a wide tree."""
    net = wide(size)
    state = {name: torch.full_like(value, 0.5) for name, value in net.state_dict().items()}

    benchmark(net.load_state_dict, state)

    assert {p.item() for p in net.parameters()} == {0.5}


@pytest.mark.benchmark(group="deepcopy")
@pytest.mark.parametrize("size", [10, 100])
def test_deepcopy_of_a_wide_tree(benchmark, size):
    """A deep copy of a wide tree has as many parameters, none of them shared."""
    net = wide(size)

    copied = benchmark(copy.deepcopy, net)

    assert len({*map(id, net.parameters()), *map(id, copied.parameters())}) == 2 * size


@pytest.mark.benchmark(group="to(dtype)")
@pytest.mark.parametrize("size", [10, 100, 1000])
def test_casting_a_wide_tree(benchmark, size):
    """Casting to another dtype and back visits every layer of a wide tree."""
    net = wide(size)

    benchmark(lambda: net.to(torch.float64).to(torch.float32))

    assert {p.dtype for p in net.parameters()} == {torch.float32}


@pytest.mark.benchmark(group="zero_grad")
@pytest.mark.parametrize("set_to_none", [True, False], ids=["none", "zero"])
def test_zero_grad_of_a_wide_tree(benchmark, set_to_none):
    """:meth:`~torch.nn.Module.zero_grad` of a wide tree forgets or clears the gradient of every layer."""
    net = wide(1000)

    def filled():
        for parameter in net.parameters():
            parameter.grad = torch.full_like(parameter, 2.0)
        return (), {"set_to_none": set_to_none}

    benchmark.pedantic(net.zero_grad, setup=filled, rounds=5)

    found = {None if p.grad is None else p.grad.item() for p in net.parameters()}
    assert found == ({None} if set_to_none else {0.0})
