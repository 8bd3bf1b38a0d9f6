"""Walking the direct children of a module.

A child is a module set on the module itself: one step down, no further. ``children()`` is the shallow
counterpart of ``modules()``.
"""

import inspect

import pytest
from torch import nn


@pytest.mark.claim("N3-08")
def test_direct_children_only():
    """:meth:`Module.children() <torch.nn.Module.children>` yields the direct children, neither the module
    itself nor deeper ones.

    For those below as well use :meth:`~torch.nn.Module.modules`.
    """
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.ModuleList(), nn.ParameterList())

    walk = list(net.children())

    assert [type(child) for child in walk] == [nn.Sequential, nn.ModuleList, nn.ParameterList]
    assert walk == [net[0], net[1], net[2]]


@pytest.mark.claim("N3-12")
def test_named_children_adds_the_name():
    """:meth:`Module.named_children() <torch.nn.Module.named_children>` yields the modules of ``children()``
    with their names.

    ``dict(net.named_children())`` finds a layer by its name; for names with dots there is
    :meth:`~torch.nn.Module.get_submodule`.
    """
    net = nn.Module()
    net.z = nn.Linear(2, 3)
    net.a, net.empty = nn.Sequential(nn.ReLU()), nn.Sequential()

    assert list(net.named_children()) == [("z", net.z), ("a", net.a), ("empty", net.empty)]
    assert list(net.children()) == [net.z, net.a, net.empty]


def test_children_are_generators():
    """``children()`` and ``named_children()`` return generators."""
    net = nn.Sequential(nn.ReLU())
    walk, named = net.children(), net.named_children()
    walks = [walk, named, net[0].children(), net[0].named_children()]

    assert [inspect.isgenerator(each) for each in walks] == [True] * 4
    assert [len(list(walk)), len(list(named))] == [1, 1]
    assert [list(walk), list(named)] == [[], []]


def test_a_layer_has_no_children():
    """``children()`` of a layer without submodules, such as ``nn.Linear``, is empty."""
    assert list(nn.Linear(2, 3).children()) == []
    assert list(nn.Linear(2, 3).named_children()) == []


@pytest.mark.question("Q13")
def test_a_child_set_twice_is_walked_once():
    """``named_children()`` yields a child with two names once; ``remove_duplicate=False`` raises
    ``TypeError``.
    """
    net = nn.Module()
    net.encoder = nn.Linear(3, 3)
    net.act = nn.ReLU()
    net.decoder = net.encoder

    assert list(net.named_children()) == [("encoder", net.encoder), ("act", net.act)]
    assert list(net.children()) == [net.encoder, net.act]
    with pytest.raises(TypeError, match="unexpected keyword argument 'remove_duplicate'"):
        net.named_children(remove_duplicate=False)


def test_a_child_shared_with_a_deeper_level():
    """``named_children()`` skips repeated direct children, but not a child that is also used deeper."""
    act = nn.ReLU()
    net = nn.Sequential(nn.Sequential(act), act, act)

    assert list(net.named_children()) == [("0", net[0]), ("1", act)]


def test_none_is_no_child():
    """``named_children()`` does not yield a child registered as ``None``."""
    net = nn.Module()
    net.add_module("stem", None)
    net.add_module("head", nn.ReLU())

    assert list(net.named_children()) == [("head", net.head)]
    assert list(net.children()) == [net.head]


def test_a_module_may_be_its_own_child():
    """After ``net.me = net``, ``named_children()`` yields ``net`` itself."""
    net = nn.Module()
    net.me = net

    assert list(net.named_children()) == [("me", net)]


def test_children_calls_named_children():
    """Overriding ``named_children`` in a class changes what its ``children()`` yields."""

    class Reversed(nn.Sequential):
        def named_children(self):
            yield from reversed(list(super().named_children()))

    net = Reversed(nn.ReLU(), nn.Tanh())

    assert list(net.children()) == [net[1], net[0]]
