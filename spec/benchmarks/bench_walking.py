"""Walking trees of modules.

A wide tree holds all its layers in the root, a branching one two in each layer, a deep one nests each layer
in the one before. Every module has one parameter, and the size counts all modules, so that times for
different sizes can be compared: what does one module more cost? Every walk goes down by recursion, so the
deep trees end at 100 levels, far from Python's limit.
"""

import pytest
import torch

TREES = [
    *[("wide", 10), ("wide", 100), ("wide", 1000), ("wide", 10000)],
    *[("branching", 10), ("branching", 100), ("branching", 1000), ("branching", 10000)],
    *[("deep", 10), ("deep", 30), ("deep", 100)],
]


@pytest.mark.benchmark(group="construct")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_constructing_a_tree(benchmark, grow, shape, size):
    """The construction of a tree, each layer with its parameter and its place in its parent."""
    net = benchmark(grow, shape, size)

    assert len(list(net.modules())) == size


@pytest.mark.benchmark(group="parameters()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_parameters_of_a_tree(benchmark, tree, size):
    """A whole walk of ``parameters`` over a tree."""
    found = benchmark(lambda: list(tree.parameters()))

    assert [parameter.item() for parameter in found] == [0.25] * size


@pytest.mark.benchmark(group="named_parameters()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_named_parameters_of_a_tree(benchmark, tree, size):
    """A whole walk of ``named_parameters`` over a tree."""
    found = benchmark(lambda: list(tree.named_parameters()))

    assert [name.rpartition(".")[2] for name, _ in found] == ["weight"] * size
    assert len(dict(found)) == size


@pytest.mark.benchmark(group="named_modules()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_named_modules_of_a_tree(benchmark, tree, size):
    """A whole walk of ``named_modules`` over a tree."""
    found = benchmark(lambda: list(tree.named_modules()))

    assert found[0] == ("", tree)
    assert len(dict(found)) == size


@pytest.mark.benchmark(group="apply()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_apply_to_a_tree(benchmark, tree):
    """``apply`` on a tree of a function that notes each module."""
    handed = set()

    benchmark(tree.apply, handed.add)

    assert handed == set(tree.modules())


@pytest.mark.benchmark(group="train() and eval()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_switching_the_mode_of_a_tree(benchmark, tree, size):
    """``eval`` and ``train`` of a tree."""
    benchmark(lambda: tree.eval().train())

    assert [module.training for module in tree.modules()] == [True] * size


@pytest.mark.benchmark(group="requires_grad_()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_freezing_a_tree(benchmark, grow, shape, size):
    """``requires_grad_(False)`` of a tree."""
    tree = grow(shape, size)

    benchmark(tree.requires_grad_, False)

    assert [parameter.requires_grad for parameter in tree.parameters()] == [False] * size


@pytest.mark.benchmark(group="zero_grad()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_forgetting_the_gradients_of_a_tree(benchmark, tree, size):
    """``zero_grad`` of a tree with all gradients there."""

    def fill():
        for parameter in tree.parameters():
            parameter.grad = parameter.detach()

    benchmark.pedantic(tree.zero_grad, setup=fill, rounds=30)

    assert [parameter.grad for parameter in tree.parameters()] == [None] * size


@pytest.mark.benchmark(group="zero_grad(False)")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_clearing_the_gradients_of_a_tree(benchmark, grow, shape, size):
    """``zero_grad(set_to_none=False)`` of a tree with all gradients there."""
    tree = grow(shape, size)
    for parameter in tree.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)

    benchmark(tree.zero_grad, set_to_none=False)

    assert [parameter.grad.item() for parameter in tree.parameters()] == [0.0] * size


@pytest.mark.benchmark(group="repr()")
@pytest.mark.parametrize(("shape", "size"), TREES)
def bench_printing_a_tree(benchmark, tree, size):
    """``repr`` of a tree."""
    printed = benchmark(repr, tree)

    assert printed.count("PReLU(") == size
