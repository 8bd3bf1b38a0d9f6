"""Keeping the state of a tree of modules: saving, loading, copying, casting.

The trees are those of the walks: wide, branching or deep, one parameter in each module. Where the largest
ones are left out, they take seconds.
"""

import copy
import pickle

import pytest
import torch

SMALL = [
    *[("wide", 10), ("wide", 100), ("wide", 1000)],
    *[("branching", 10), ("branching", 100), ("branching", 1000)],
    *[("deep", 10), ("deep", 30), ("deep", 100)],
]
TREES = [*SMALL, ("wide", 10000), ("branching", 10000)]


@pytest.mark.benchmark(group="state_dict()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_state_dict_of_a_tree(benchmark, tree, size):
    """``state_dict`` of a tree."""
    state = benchmark(tree.state_dict)

    assert [value.item() for value in state.values()] == [0.25] * size


@pytest.mark.benchmark(group="load_state_dict()")
@pytest.mark.parametrize(("shape", "size"), SMALL)
def bench_loading_into_a_tree(benchmark, grow, shape, size):
    """``load_state_dict`` of a tree, which looks through all keys of a parent for each of its children."""
    tree = grow(shape, size)
    before = list(tree.parameters())
    state = {name: torch.full_like(value, 0.5) for name, value in tree.state_dict().items()}

    benchmark(tree.load_state_dict, state)

    assert [parameter.item() for parameter in before] == [0.5] * size


@pytest.mark.since("2.1")
@pytest.mark.benchmark(group="load_state_dict(assign=True)")
@pytest.mark.parametrize(("shape", "size"), SMALL)
def bench_assigning_to_a_tree(benchmark, grow, shape, size):
    """``load_state_dict`` of a tree with ``assign=True``."""
    tree = grow(shape, size)
    before = list(tree.parameters())
    state = {name: torch.full_like(value, 0.5) for name, value in tree.state_dict().items()}

    benchmark(tree.load_state_dict, state, assign=True)

    assert [parameter.item() for parameter in tree.parameters()] == [0.5] * size
    assert [parameter.item() for parameter in before] == [0.25] * size


@pytest.mark.benchmark(group="deepcopy()")
@pytest.mark.parametrize(("shape", "size"), SMALL)
def bench_deepcopy_of_a_tree(benchmark, tree, size):
    """``copy.deepcopy`` of a tree."""
    copied = benchmark(copy.deepcopy, tree)

    assert len({*map(id, tree.parameters()), *map(id, copied.parameters())}) == 2 * size


@pytest.mark.benchmark(group="pickle")
@pytest.mark.parametrize(("shape", "size"), SMALL)
def bench_pickling_a_tree(benchmark, tree, size):
    """A tree through ``pickle.dumps`` and ``pickle.loads``."""
    loaded = benchmark(lambda: pickle.loads(pickle.dumps(tree)))

    assert [parameter.item() for parameter in loaded.parameters()] == [0.25] * size
    assert loaded is not tree


@pytest.mark.benchmark(group="to(dtype)")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_casting_a_tree(benchmark, tree, size):
    """The cast of a tree to ``float64`` and back."""
    benchmark(lambda: tree.to(torch.float64).to(torch.float32))

    assert [parameter.dtype for parameter in tree.parameters()] == [torch.float32] * size
