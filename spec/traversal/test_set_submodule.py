"""Replacing a submodule by its dotted name.

``set_submodule`` came with torch 2.5 (:pull:`127714`) and became stricter in 2.7 (:pull:`143455`). Where it
does not exist, the parent is looked up and assigned to.
"""

import re
from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.question("Q15")
@pytest.mark.since("2.5")
def test_a_submodule_is_replaced_in_place():
    """:meth:`Module.set_submodule() <torch.nn.Module.set_submodule>` replaces the submodule at a dotted name
    and leaves the others.

    The order of the children stays too. An optimizer or hook that was given the old module keeps the old one:
    replace first, then build the optimizer.
    """
    net = nn.Module()
    net.body = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    first, last, act, other = net.body[0], net.body[2], nn.GELU(), nn.Sequential()
    net.body[1].register_forward_hook(lambda module, args, output: output * 2)

    result = net.set_submodule("body.1", act)

    assert result is None
    assert list(act._forward_hooks) == []
    assert list(net.body.named_children()) == [("0", first), ("1", act), ("2", last)]

    nn.ModuleDict({"a-1": net}).set_submodule("a-1.body.1", other)
    assert list(net.body.named_children()) == [("0", first), ("1", other), ("2", last)]


@pytest.mark.since("2.5")
def test_a_name_without_dots_is_a_child():
    """``net.set_submodule("1", module)``, without dots in the name, replaces a direct child of ``net``."""
    inner, act = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.GELU()
    net = nn.Sequential(inner, nn.ReLU())

    net.set_submodule("1", act)

    assert list(net.named_children()) == [("0", inner), ("1", act)]
    assert type(inner[1]) is nn.ReLU


@pytest.mark.since("2.5")
def test_a_new_child_is_added_at_the_end():
    """If the last part of the name is new, ``set_submodule`` adds a child after the existing ones."""
    net = nn.Sequential(nn.Sequential(nn.ReLU()))

    net.set_submodule("0.head", nn.Linear(2, 3))
    net.set_submodule("tail", nn.Tanh())

    assert [name for name, _ in net.named_modules()] == ["", "0", "0.0", "0.head", "tail"]


@pytest.mark.since("2.5")
def test_a_missing_parent_is_named():
    """If a parent in the dotted name is missing, ``set_submodule`` raises ``AttributeError`` and sets
    nothing.
    """
    net = nn.Sequential(nn.Linear(2, 3))

    with pytest.raises(AttributeError, match="Linear has no attribute `body`"):
        net.set_submodule("0.body.head", nn.ReLU())
    with pytest.raises(AttributeError, match="Sequential has no attribute `body`"):
        net.set_submodule("body.head", nn.ReLU())

    assert [name for name, _ in net.named_modules()] == ["", "0"]


@pytest.mark.since("2.5")
def test_a_parent_must_be_a_module():
    """If a parent in the dotted name is not a module, ``set_submodule`` raises ``AttributeError``."""
    net = nn.Sequential(nn.Linear(2, 3))

    with pytest.raises(AttributeError, match=r"`weight` is not an nn.Module"):
        net.set_submodule("0.weight.head", nn.ReLU())
    with pytest.raises(AttributeError, match=r"`training` is not an nn.Module"):
        net.set_submodule("training.head", nn.ReLU())


@pytest.mark.since("2.5")
def test_the_empty_name_cannot_be_set():
    """``net.set_submodule("", module)`` raises ``ValueError``: a module cannot replace itself."""
    with pytest.raises(ValueError, match=r"^Cannot set the submodule without a target name!$"):
        nn.Sequential(nn.ReLU()).set_submodule("", nn.Tanh())


@pytest.mark.since("2.5")
def test_a_shared_module_is_replaced_at_one_name():
    """``set_submodule`` replaces a shared module under the given name only.

    To find its other names, use ``named_modules(remove_duplicate=False)``.
    """
    act = nn.ReLU()
    net = nn.Sequential(act, nn.Linear(2, 3), act)

    net.set_submodule("2", nn.GELU())

    assert [type(child) for child in net] == [nn.ReLU, nn.Linear, nn.GELU]


@pytest.mark.since("2.7")
def test_strict_replaces_what_exists():
    """``set_submodule(name, module, strict=True)`` replaces an existing child or deeper submodule."""
    act, head = nn.GELU(), nn.Tanh()
    net = nn.Sequential(nn.ReLU(), nn.Sequential(OrderedDict(stem=nn.ReLU(), head=nn.ReLU())))

    net.set_submodule("0", act, strict=True)
    net.set_submodule("1.head", head, True)
    assert list(net.modules()) == [net, act, net[1], net[1].stem, head]

    outer, tail = nn.Sequential(nn.Sequential(net)), nn.Tanh()
    outer.set_submodule("0.0.1.head", tail, strict=True)
    assert list(outer.modules()) == [outer, outer[0], net, act, net[1], net[1].stem, tail]


@pytest.mark.since("2.7")
def test_strict_adds_nothing():
    """``set_submodule(..., strict=True)`` raises ``AttributeError`` if the name does not exist
    (:issue:`143441`).

    Without it a misspelled name adds a module that ``forward`` never calls, and nothing warns.
    """
    net = nn.Sequential(nn.Sequential(nn.ReLU()))

    with pytest.raises(AttributeError, match="Sequential has no attribute `head`"):
        net.set_submodule("head", nn.Linear(2, 3), strict=True)
    with pytest.raises(AttributeError, match="Sequential has no attribute `7`"):
        net.set_submodule("0.7", nn.Linear(2, 3), strict=True)

    assert [name for name, _ in net.named_modules()] == ["", "0", "0.0"]

    net.set_submodule("head", nn.Linear(2, 3))
    assert list(net._modules) == ["0", "head"]


@pytest.mark.since("2.7")
@pytest.mark.parametrize(
    "value",
    [None, 3, nn.ReLU, torch.rand, nn.Parameter(torch.rand(2))],
    ids=["None", "int", "class", "function", "parameter"],
)
def test_only_a_module_can_be_set(value):
    """``set_submodule`` raises ``ValueError`` for anything but a module, such as ``None`` or a class.

    The class instead of an object, ``nn.ReLU`` instead of ``nn.ReLU()``, raises it as well.
    """
    net = nn.Sequential(nn.Sequential(nn.ReLU()))

    refused = re.escape(f"`module` is not an nn.Module, found {type(value)}")

    for name in ("0", "head", "0.0", "0.head"):
        with pytest.raises(ValueError, match=refused):
            net.set_submodule(name, value)

    assert [type(module) for module in net.modules()] == [nn.Sequential, nn.Sequential, nn.ReLU]


@pytest.mark.since("2.5")
@pytest.mark.before("2.7")
def test_none_empties_the_slot():
    """``set_submodule(name, None)`` replaces a child by ``None`` and keeps its name."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh())

    net.set_submodule("0", None)

    assert list(net._modules.items()) == [("0", None), ("1", net[1])]


@pytest.mark.since("2.5")
@pytest.mark.before("2.7")
def test_anything_is_set_under_a_new_name():
    """``set_submodule`` sets a value such as ``3`` under a new name, but raises ``TypeError`` for a child's
    name.
    """
    net = nn.Sequential(nn.ReLU())

    with pytest.raises(TypeError, match="cannot assign 'int' as child module '0'"):
        net.set_submodule("0", 3)
    net.set_submodule("depth", 3)

    assert net.depth == 3
    assert type(net[0]) is nn.ReLU


@pytest.mark.since("2.7")
def test_only_a_module_can_be_replaced():
    """``set_submodule`` raises ``AttributeError`` for the name of a parameter, plain attribute or ``None``
    child.
    """
    layer = nn.Linear(2, 3)
    layer.add_module("head", None)
    layer.depth = 3
    net = nn.Sequential(layer)

    for name in ("weight", "head", "depth"):
        with pytest.raises(AttributeError, match=rf"`{name}` is not an nn.Module"):
            layer.set_submodule(name, nn.ReLU())
        with pytest.raises(AttributeError, match=rf"`{name}` is not an nn.Module"):
            net.set_submodule(f"0.{name}", nn.ReLU())

    assert list(net.modules()) == [net, layer]


@pytest.mark.since("2.5")
@pytest.mark.before("2.7")
def test_a_plain_attribute_gives_way_to_a_module():
    """``set_submodule`` replaces a plain attribute by a module, but raises ``TypeError`` for a parameter's
    name.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    net.depth = 3

    net.set_submodule("depth", nn.ReLU())
    with pytest.raises(TypeError, match="ReLU' as parameter 'weight'"):
        net.set_submodule("0.weight", nn.ReLU())

    assert [name for name, _ in net.named_modules()] == ["", "0", "depth"]
    assert type(net.depth) is nn.ReLU


@pytest.mark.since("2.5")
@pytest.mark.before("2.7")
def test_an_empty_slot_can_be_filled():
    """``set_submodule`` replaces a child registered as ``None`` by a module."""
    net = nn.Module()
    net.add_module("head", None)

    net.set_submodule("head", nn.ReLU())

    assert type(net.head) is nn.ReLU
