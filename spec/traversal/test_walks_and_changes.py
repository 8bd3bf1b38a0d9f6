"""Changing a module while it is walked.

A walk reads the module as it goes. What it has not reached yet may be changed, what it stands on may
not grow or shrink, and what it hands out is the object itself, not the place where it is kept.
"""

import pytest
import torch
from torch import nn


@pytest.mark.question("Q15")
def test_assigning_to_the_loop_variable_does_nothing():
    """In ``for name, module in net.named_modules()``, assigning to ``module`` replaces nothing in ``net``.

    The variable is a name for the layer; the layer's place is an attribute of its parent, where
    :meth:`~torch.nn.Module.set_submodule` or ``setattr`` puts another.

    See also :ref:`traversal.walks_and_changes.setattr_on_the_parent_replaces_a_layer`
    """
    net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU()))
    before = list(net.modules())

    for _name, module in net.named_modules():
        if isinstance(module, nn.ReLU):
            module = nn.GELU()

    assert list(net.modules()) == before


@pytest.mark.question("Q15")
def test_setattr_on_the_parent_replaces_a_layer():
    """``setattr(parent, name, new)`` replaces the layer ``name`` of the module ``parent`` (:issue:`78744`).

    ``name`` is the last part of the layer's dotted name; :meth:`~torch.nn.Module.get_submodule` finds the
    parent by the rest. Iterate over a list, so that the loop does not come to the new layers.

    See also :ref:`traversal.set_submodule.a_submodule_is_replaced_in_place`
    """
    net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(2, 3), nn.ReLU()))

    for name, module in list(net.named_modules()):
        if isinstance(module, nn.ReLU):
            parent, _, child = name.rpartition(".")
            setattr(net.get_submodule(parent), child, nn.GELU())

    assert [type(m) for m in net.modules()] == [nn.Sequential, nn.GELU, nn.Sequential, nn.Linear, nn.GELU]


def test_a_value_may_be_replaced_during_the_walk():
    """During ``named_parameters()``, a parameter's replacement is yielded only if its name is still ahead."""
    layer = nn.Linear(2, 3)
    seen = []

    for name, parameter in layer.named_parameters():
        seen.append((name, tuple(parameter.shape)))
        layer.bias = nn.Parameter(torch.rand(7))

    assert seen == [("weight", (3, 2)), ("bias", (7,))]


def test_a_replaced_module_is_still_walked_down():
    """If a module is replaced when ``named_modules()`` yields it, the old one's submodules are still
    yielded.
    """
    net = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh())
    seen = []

    for name, module in net.named_modules():
        seen.append((name, type(module)))
        if name == "0":
            net[0] = nn.GELU()

    assert seen == [("", nn.Sequential), ("0", nn.Sequential), ("0.0", nn.ReLU), ("1", nn.Tanh)]


def test_what_lies_ahead_may_be_added():
    """A module added during ``named_modules()`` is yielded if its parent was not reached yet."""
    net = nn.Sequential(nn.ReLU(), nn.Sequential())
    seen = []

    for name, _module in net.named_modules():
        seen.append(name)
        if name == "0":
            net[1].append(nn.Tanh())

    assert seen == ["", "0", "1", "1.0"]


@pytest.mark.since("2.5")
def test_adding_a_parameter_stops_the_walk():
    """Adding a parameter in a loop over ``parameters()`` raises ``RuntimeError``: ``dictionary changed
    size``.

    ``_parameters`` is a plain dict (:pull:`129164`).
    """
    for bias in (True, False):
        layer = nn.Linear(2, 3, bias)
        with pytest.raises(RuntimeError, match="dictionary changed size during iteration"):
            for parameter in layer.parameters():
                if parameter is [*layer.parameters()][-1]:
                    layer.extra = nn.Parameter(torch.rand(2))


@pytest.mark.before("2.5")
def test_adding_a_parameter_mutates_the_ordered_dict():
    """Adding a parameter in a loop over ``parameters()`` raises ``RuntimeError``: ``OrderedDict mutated``."""
    layer = nn.Linear(2, 3)

    with pytest.raises(RuntimeError, match="OrderedDict mutated during iteration"):
        for _ in layer.parameters():
            layer.extra = nn.Parameter(torch.rand(2))


@pytest.mark.parametrize("name", ["0", "2"])
@pytest.mark.parametrize("walk", ["children", "named_children"])
def test_deleting_a_child_stops_the_walk(walk, name):
    """Deleting a child of ``net`` while iterating over ``net.children()`` raises ``RuntimeError``.

    Iterate over a list instead: ``for child in list(net.children())``.
    """
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.GELU())

    with pytest.raises(RuntimeError, match="during iteration"):
        for _ in getattr(net, walk)():
            delattr(net, name)


def test_at_the_module_itself_children_may_go():
    """A loop over ``net.modules()`` may delete or add children of ``net`` while it is at ``net`` itself."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    walk = net.modules()

    assert next(walk) is net
    del net[0]
    net.append(nn.GELU())
    assert [type(module) for module in walk] == [nn.Tanh, nn.GELU]


def test_a_list_of_the_walk_is_safe():
    """In a loop over ``list(net.named_children())``, children of ``net`` may be deleted without an error."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))

    for name, child in list(net.named_children()):
        if isinstance(child, nn.ReLU):
            delattr(net, name)

    assert [name for name, _ in net.named_children()] == ["0", "2"]
