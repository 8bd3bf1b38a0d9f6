"""Walking trees of modules.

A wide tree holds all its layers in the root, a branching one two in each layer, a deep one nests each layer
in the one before. Every module has one parameter, and the size counts all modules, so that times for
different sizes can be compared: what does one module more cost?
"""

import copy
import sys

import pytest
import torch
from torch import nn

TREES = [
    *[("wide", 10), ("wide", 100), ("wide", 1000), ("wide", 10000)],
    *[("branching", 10), ("branching", 100), ("branching", 1000), ("branching", 10000)],
    *[("deep", 10), ("deep", 30), ("deep", 100)],
]


@pytest.mark.benchmark(group="construct")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_constructing_a_tree(benchmark, grow, shape, size):
    """A tree of layers is constructed, each with its parameter and its entry in its parent."""
    net = benchmark(grow, shape, size)

    assert len(list(net.modules())) == size


@pytest.mark.benchmark(group="parameters()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_parameters_of_a_tree(benchmark, tree, size):
    """A walk of :meth:`~torch.nn.Module.parameters` over a tree yields one for each layer."""
    found = benchmark(lambda: list(tree.parameters()))

    assert [parameter.item() for parameter in found] == [0.25] * size


@pytest.mark.benchmark(group="named_parameters()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_named_parameters_of_a_tree(benchmark, tree, size):
    """A walk of :meth:`~torch.nn.Module.named_parameters` over a tree names one weight for each layer."""
    found = benchmark(lambda: list(tree.named_parameters()))

    assert [name.rpartition(".")[2] for name, _ in found] == ["weight"] * size
    assert len(dict(found)) == size


@pytest.mark.benchmark(group="named_modules()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_named_modules_of_a_tree(benchmark, tree, size):
    """A walk of :meth:`~torch.nn.Module.named_modules` over a tree yields the root and each layer below."""
    found = benchmark(lambda: list(tree.named_modules()))

    assert found[0] == ("", tree)
    assert len(dict(found)) == size


@pytest.mark.benchmark(group="apply()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_apply_to_a_tree(benchmark, tree):
    """:meth:`~torch.nn.Module.apply` hands every module of a tree to its function."""
    handed = set()

    benchmark(tree.apply, handed.add)

    assert handed == set(tree.modules())


@pytest.mark.benchmark(group="train() and eval()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_switching_the_mode_of_a_tree(benchmark, tree, size):
    """:meth:`~torch.nn.Module.eval` and :meth:`~torch.nn.Module.train` visit every layer of a tree."""
    benchmark(lambda: tree.eval().train())

    assert [module.training for module in tree.modules()] == [True] * size


@pytest.mark.benchmark(group="requires_grad_()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_freezing_a_tree(benchmark, grow, shape, size):
    """:meth:`~torch.nn.Module.requires_grad_` freezes one parameter for each layer of a tree."""
    tree = grow(shape, size)

    benchmark(tree.requires_grad_, False)

    assert [parameter.requires_grad for parameter in tree.parameters()] == [False] * size


@pytest.mark.benchmark(group="zero_grad()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_forgetting_the_gradients_of_a_tree(benchmark, tree, size):
    """:meth:`~torch.nn.Module.zero_grad` forgets the gradient of every layer of a tree."""

    def fill():
        for parameter in tree.parameters():
            parameter.grad = parameter.detach()

    benchmark.pedantic(tree.zero_grad, setup=fill, rounds=30)

    assert [parameter.grad for parameter in tree.parameters()] == [None] * size


@pytest.mark.benchmark(group="zero_grad(False)")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_clearing_the_gradients_of_a_tree(benchmark, grow, shape, size):
    """With ``set_to_none=False`` ``zero_grad`` fills the gradient of every layer of a tree with zeros."""
    tree = grow(shape, size)
    for parameter in tree.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)

    benchmark(tree.zero_grad, set_to_none=False)

    assert [parameter.grad.item() for parameter in tree.parameters()] == [0.0] * size


@pytest.mark.benchmark(group="repr()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_printing_a_tree(benchmark, tree, size):
    """Printing a tree names the class of every layer, further in with each level."""
    printed = benchmark(repr, tree)

    assert printed.count("PReLU(") == size


@pytest.mark.parametrize(
    "walk",
    [lambda net: list(net.modules()), nn.Module.eval, nn.Module.state_dict, copy.deepcopy, repr],
    ids=["modules", "eval", "state_dict", "deepcopy", "repr"],
)
def bench_a_tree_deeper_than_python_can_recurse(walk):
    """A tree deeper than Python's recursion limit can be built, but neither walked, copied nor printed.

    Every walk goes down by recursion, and a copy needs several calls for each level. So the deep trees here
    end at 100 levels.
    """
    net = nn.Module()
    for _ in range(sys.getrecursionlimit()):
        outer = nn.Module()
        outer.inner = net
        net = outer

    with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
        walk(net)
