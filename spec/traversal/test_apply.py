"""Calling a function on every module.

``apply`` visits the children before their parent, where ``modules()`` yields the parent first. Its usual
task is to initialize parameters.
"""

import warnings

import pytest
import torch
from torch import nn


def test_children_come_before_their_parent():
    """:meth:`Module.apply(fn) <torch.nn.Module.apply>` calls ``fn`` on each module, children before their
    parent.

    So what ``fn`` does for a parent comes last and may overwrite what it did for the layers. A loop over
    :meth:`~torch.nn.Module.modules` comes to the parent first.
    """
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.Tanh(), nn.ParameterList())
    calls = []

    net.apply(calls.append)

    assert calls == [net[0][0], net[0][1], net[0], net[1], net[2], net]


def test_apply_returns_the_module():
    """:meth:`Module.apply(fn) <torch.nn.Module.apply>` returns the module itself and ignores what ``fn``
    returns.

    ``net = Net().apply(fill)`` is therefore common; results have to be kept by the function.
    """
    net, seen = nn.Sequential(nn.ReLU(), nn.Tanh()), []
    layers = list(net)

    assert net.apply(lambda module: seen.append(module) or False) is net
    assert seen == [*layers, net]
    assert layers[0].apply(lambda module: nn.Sigmoid()) is layers[0]
    assert list(net) == layers


@pytest.mark.claim("N2-30")
def test_apply_initialises_what_it_is_told_to():
    """In ``net.apply(fn)``, ``fn`` can initialize the layers of one type, such as every ``nn.Linear``.

    ``fn`` is called with modules, never with parameters.
    """

    calls = []

    def fill(module):
        calls.append(type(module))
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 0.5)

    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1), nn.PReLU(init=0.3)))
    net.apply(fill)

    assert calls == [nn.Linear, nn.Linear, nn.PReLU, nn.Sequential, nn.Sequential]
    assert torch.equal(net[0].weight, torch.full((3, 2), 0.5))
    assert torch.equal(net[1][0].weight, torch.full((1, 3), 0.5))
    assert torch.equal(net[1][1].weight, torch.tensor([0.3]))


@pytest.mark.claim("N2-30")
def test_apply_tells_nobody_what_was_missed():
    """In ``net.apply(fn)``, a module that ``fn`` does not handle keeps its values.

    There is no warning. Here ``fn`` compares types, and so misses a subclass; ``isinstance`` would find it.
    Count what was initialized, or look at the values afterwards.
    """

    def initialise(module):
        if type(module) is nn.Linear:
            nn.init.constant_(module.weight, 0.5)

    class Head(nn.Linear):
        pass

    net = nn.Sequential(nn.Linear(20, 2, bias=False), Head(20, 2, bias=False))
    before = net[1].weight.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.apply(initialise)

    assert net[0].weight.unique().tolist() == [0.5]
    assert net[1].weight.tolist() == before


def test_a_module_set_twice_on_one_parent():
    """``net.apply(fn)`` calls ``fn`` once for a module that is set twice on the same parent."""
    act = nn.ReLU()
    net = nn.Sequential(act, nn.Tanh(), act)
    calls = []

    net.apply(calls.append)

    assert calls == [act, net[1], net]


def test_a_module_under_two_parents_is_visited_twice():
    """``net.apply(fn)`` calls ``fn`` twice for a module under two parents; ``modules()`` yields it once.

    A function that is not idempotent, such as one that scales a weight, then acts twice. Loop over
    :meth:`~torch.nn.Module.modules` instead.
    """
    act = nn.ReLU()
    net = nn.Sequential(nn.Sequential(act), nn.Sequential(act))
    calls = []

    net.apply(calls.append)

    assert calls == [act, net[0], act, net[1], net]
    assert list(net.modules()) == [net, net[0], act, net[1]]


def test_an_empty_slot_is_passed_over():
    """``net.apply(fn)`` does not call ``fn`` for a child registered as ``None``."""
    net = nn.Module()
    net.add_module("head", None)
    net.tail = nn.ReLU()
    net.tail.register_module("inner", None)
    calls = []

    net.apply(calls.append)

    assert calls == [net.tail, net]


def test_the_function_may_change_the_children():
    """In ``net.apply(fn)``, ``fn`` may replace its module's children: they were visited before the module."""
    visited = []

    def swap(module):
        visited.append(type(module))
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.GELU())

    net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), nn.Tanh()))
    net.apply(swap)

    assert visited == [nn.ReLU, nn.ReLU, nn.Tanh, nn.Sequential, nn.Sequential]
    assert [type(m) for m in net.modules()] == [nn.Sequential, nn.GELU, nn.Sequential, nn.GELU, nn.Tanh]


def test_a_child_applies_for_itself():
    """``net.apply(fn)`` calls ``apply(fn)`` of each child, which the child's class may override."""

    class Frozen(nn.Sequential):
        def apply(self, fn):
            return self

    net = nn.Sequential(Frozen(nn.ReLU()), nn.Tanh(), Frozen())
    calls = []

    net.apply(calls.append)

    assert calls == [net[1], net]


def test_an_error_ends_the_visit():
    """An exception in ``fn`` stops ``net.apply(fn)``; modules visited before stay changed."""

    def refuse_tanh(module):
        module.visited = True
        if isinstance(module, nn.Tanh):
            raise ValueError("no Tanh here")

    net = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Tanh()), nn.GELU())

    with pytest.raises(ValueError, match="no Tanh here"):
        net.apply(refuse_tanh)
    visited = [module for module in net.modules() if hasattr(module, "visited")]
    assert visited == [net[0][0], net[0][1]]


def test_apply_does_not_end_on_a_cycle():
    """``net.apply(fn)`` raises ``RecursionError`` for a module that contains its own parent."""
    net = nn.Sequential(nn.Sequential())
    net[0].back = net

    with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
        net.apply(lambda module: None)


def test_a_class_name_matches_blocks_as_well():
    """In ``net.apply(fn)``, ``"Conv" in type(m).__name__`` also matches a block named so, without a
    ``weight``.

    It raises ``AttributeError``. Ask ``isinstance(m, nn.Conv2d)`` instead. See
    :meth:`torch.nn.Module.apply`.
    """

    class ConvBlock(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

    def by_name(m):
        if "Conv" in type(m).__name__:
            nn.init.constant_(m.weight, 3.0)

    def by_class(m):
        if isinstance(m, nn.Conv2d):
            nn.init.constant_(m.weight, 4.0)

    net = ConvBlock()
    with pytest.raises(AttributeError, match="'ConvBlock' object has no attribute 'weight'"):
        net.apply(by_name)
    assert net.conv.weight.item() == 3.0
    assert net.apply(by_class).conv.weight.item() == 4.0


def test_a_layer_without_bias_has_none_to_fill():
    """In ``net.apply(fn)``, ``m.bias.data`` raises ``AttributeError`` for a layer made with ``bias=False``.

    ``hasattr(m, "bias")`` is true all the same: ask ``m.bias is not None``. See
    :meth:`torch.nn.Module.apply`.
    """

    def fill(m):
        if hasattr(m, "bias"):
            m.bias.data.fill_(5.0)

    for without in (nn.Linear(1, 2, bias=False), nn.Conv2d(1, 2, 3, bias=False)):
        net = nn.Sequential(nn.Linear(2, 1), without)
        with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'data'"):
            net.apply(fill)
        assert net[0].bias.item() == 5.0
