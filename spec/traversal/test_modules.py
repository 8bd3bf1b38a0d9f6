"""Walking all modules of a tree.

``modules()`` and ``named_modules()`` go through the whole tree: the module itself, its children, and
everything below them. Weights and biases are no modules and do not appear.
"""

import collections.abc
import copy
import inspect
import sys

import pytest
import torch
from torch import nn


@pytest.mark.claim("N1-07", "N3-09")
def test_the_module_itself_comes_first():
    """:meth:`Module.modules() <torch.nn.Module.modules>` yields the module itself first, then all submodules.

    A loop that needs only the layers tests their type, or uses :meth:`~torch.nn.Module.children`.
    """
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.Linear(3, 1), nn.ParameterList())

    assert list(net.modules()) == [net, net[0], net[0][0], net[0][1], net[1], net[2]]


@pytest.mark.claim("N1-03")
def test_both_forms_are_generators():
    """:meth:`Module.modules() <torch.nn.Module.modules>` and :meth:`~torch.nn.Module.named_modules` return
    generators.
    """
    layer = nn.Linear(2, 3)
    walk, named = layer.modules(), layer.named_modules()
    every = layer.named_modules(remove_duplicate=False)

    assert [inspect.isgenerator(it) for it in (walk, named, every)] == [True, True, True]
    assert [list(walk), list(named), list(every)] == [[layer], [("", layer)], [("", layer)]]
    assert [list(walk), list(named), list(every)] == [[], [], []]


@pytest.mark.claim("N3-11")
def test_names_join_the_path_with_dots():
    """:meth:`Module.named_modules() <torch.nn.Module.named_modules>` yields submodules with dotted names, and
    the module itself with ``""``.

    :meth:`~torch.nn.Module.get_submodule` accepts the dotted name, and keys of the state dict begin with it.
    """
    net = nn.Module()
    net.convBN1 = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    net.linear, net.empty = nn.Linear(8, 2), nn.ModuleDict()

    assert list(net.named_modules()) == [
        ("", net),
        ("convBN1", net.convBN1),
        ("convBN1.0", net.convBN1[0]),
        ("convBN1.1", net.convBN1[1]),
        ("linear", net.linear),
        ("empty", net.empty),
    ]
    assert net.get_submodule("convBN1.1") is net.convBN1[1]
    assert [key for key in net.state_dict() if key.startswith("convBN1.0.")] == [
        "convBN1.0.weight",
        "convBN1.0.bias",
    ]


@pytest.mark.claim("N1-06")
def test_modules_are_the_grain():
    """``named_modules()`` yields modules, but neither parameters nor buffers."""
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    net.scale = nn.Parameter(torch.rand(2))

    assert [name for name, _ in net.named_modules()] == ["", "0", "1"]
    assert len(list(net.named_parameters())) == 5


@pytest.mark.claim("N4-08")
def test_a_name_may_hold_a_space():
    """``add_module("block 0", module)`` is allowed: ``named_modules()`` yields names such as ``block
    0.0``.
    """
    net = nn.Sequential()
    net.add_module("block 0", nn.Sequential(nn.Linear(2, 3)))

    assert [name for name, _ in net.named_modules()] == ["", "block 0", "block 0.0"]
    assert [name for name, _ in net.named_parameters()] == ["block 0.0.weight", "block 0.0.bias"]
    assert list(net.state_dict()) == ["block 0.0.weight", "block 0.0.bias"]


def test_prefix_names_the_root():
    """``named_modules(prefix="body")`` yields the module itself as ``body``, and its child ``0`` as
    ``body.0``.
    """
    net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))

    for once in (True, False):
        walk = net.named_modules(prefix="body", remove_duplicate=once)
        assert [name for name, _ in walk] == ["body", "body.0", "body.1", "body.1.0"]


@pytest.mark.question("Q13")
def test_a_shared_module_is_walked_once():
    """``modules()`` and ``named_modules()`` yield a shared module once, the latter under its first name.

    Code that looks for its second name among ``named_modules()`` does not find it. Pass
    ``remove_duplicate=False`` to :meth:`~torch.nn.Module.named_modules`, or ask for the name with
    :meth:`~torch.nn.Module.get_submodule`.
    """
    act = nn.ReLU()
    net = nn.Sequential(act, nn.Linear(2, 3), nn.Sequential(act))

    assert [name for name, _ in net.named_modules()] == ["", "0", "1", "2"]
    assert list(net.modules()) == [net, act, net[1], net[2]]
    assert net.get_submodule("2.0") is act


@pytest.mark.question("Q13")
def test_remove_duplicate_false_gives_every_name():
    """``named_modules(remove_duplicate=False)`` yields a shared module under each of its names."""
    block = nn.Sequential(nn.ReLU())
    net = nn.Sequential(block, block, block[0])

    walk = list(net.named_modules(remove_duplicate=False))

    assert [name for name, _ in walk] == ["", "0", "0.0", "1", "1.0", "2"]
    assert [module for _, module in walk] == [net, block, block[0], block, block[0], block[0]]


@pytest.mark.since("2.11")
def test_modules_takes_remove_duplicate():
    """:meth:`Module.modules() <torch.nn.Module.modules>` accepts ``remove_duplicate``, as ``named_modules()``
    does (:pull:`174383`).
    """
    act = nn.ReLU()
    inner = nn.Sequential(act, act)
    net = nn.Sequential(inner, act)

    assert list(net.modules(remove_duplicate=False)) == [net, inner, act, act, act]
    assert list(net.modules(False)) == [net, inner, act, act, act]
    assert list(net.modules(True)) == [net, inner, act]


@pytest.mark.before("2.11")
def test_modules_takes_no_argument():
    """:meth:`Module.modules() <torch.nn.Module.modules>` accepts no arguments, and yields a shared module
    once.
    """
    act = nn.ReLU()
    net = nn.Sequential(act, act)

    assert list(net.modules()) == [net, act]
    with pytest.raises(TypeError, match="unexpected keyword argument 'remove_duplicate'"):
        net.modules(remove_duplicate=False)


def test_memo_leaves_modules_out():
    """``named_modules(memo)`` skips modules in the set ``memo`` and what is reached only through them."""
    act = nn.Tanh()
    net = nn.Sequential(nn.Sequential(nn.ReLU(), act), nn.Linear(2, 3), act)

    for once in (True, False):
        walk = list(net.named_modules({net[0]}, remove_duplicate=once))
        assert walk == [("", net), ("1", net[1]), ("2", act)]
        names = [name for name, _ in net.named_modules({net[0][0]}, remove_duplicate=once)]
        assert names == (["", "0", "0.1", "1"] if once else ["", "0", "0.1", "1", "2"])
    assert list(net.named_modules({net})) == []


def test_memo_collects_what_was_walked():
    """``named_modules(memo)`` adds the modules it yields to ``memo``, so that a second call skips them."""
    act = nn.ReLU()
    encoder, decoder = nn.Sequential(nn.Linear(2, 3), act), nn.Sequential(act, nn.Linear(3, 2))
    memo = set()

    first = [name for name, _ in encoder.named_modules(memo)]
    second = [name for name, _ in decoder.named_modules(memo)]

    assert first == ["", "0", "1"]
    assert second == ["", "1"]
    assert memo == {encoder, encoder[0], act, decoder, decoder[1]}


def test_memo_is_read_but_not_filled_with_duplicates():
    """``named_modules(memo, "", False)`` skips modules in the set ``memo``, but adds none to it.

    The third argument is ``remove_duplicate``.
    """
    act = nn.ReLU()
    net = nn.Sequential(act, nn.Tanh(), act)
    memo = {net[1]}

    assert [name for name, _ in net.named_modules(memo, "", False)] == ["", "0", "2"]
    assert memo == {net[1]}


def test_each_walk_starts_afresh():
    """Without ``memo``, each call of ``named_modules()`` yields all modules again."""
    net = nn.Sequential(nn.ReLU())

    assert list(net.named_modules()) == [("", net), ("0", net[0])]
    assert list(net.named_modules()) == [("", net), ("0", net[0])]

    net.append(nn.Tanh())
    assert list(net.named_modules()) == [("", net), ("0", net[0]), ("1", net[1])]


def test_a_child_of_none_is_left_out():
    """``named_modules()`` does not yield a child registered as ``None``."""
    net = nn.Module()
    net.add_module("stem", nn.ReLU())
    net.add_module("head", None)
    net.add_module("tail", nn.Tanh())

    for once in (True, False):
        assert [name for name, _ in net.named_modules(remove_duplicate=once)] == ["", "stem", "tail"]
        walk = nn.Sequential(net).named_modules(remove_duplicate=once)
        assert [name for name, _ in walk] == ["", "0", "0.stem", "0.tail"]


def test_a_cycle_is_walked_once_round():
    """``named_modules()`` of a module that contains its own parent ends, and yields each module once."""
    net = nn.Module()
    net.inner = nn.Linear(2, 3)
    net.inner.back = net
    net.again = nn.Sequential(net.inner)

    assert list(net.named_modules()) == [("", net), ("inner", net.inner), ("again", net.again)]
    assert [name for name, _ in net.named_parameters()] == ["inner.weight", "inner.bias"]


def test_a_cycle_never_ends_with_duplicates():
    """``named_modules(remove_duplicate=False)`` raises ``RecursionError`` for a module that contains
    itself.
    """
    net = nn.Module()
    net.back = net

    with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
        list(net.named_modules(remove_duplicate=False))


def test_an_unhashable_module_cannot_be_walked():
    """``modules()`` raises ``TypeError`` for a module whose class defines ``__eq__`` but not ``__hash__``.

    A dataclass does so unless it is declared with ``eq=False``.
    """

    class Scale(nn.Module):
        def __eq__(self, other):
            return isinstance(other, Scale)

    with pytest.raises(TypeError, match="unhashable type: 'Scale'"):
        list(nn.Sequential(Scale()).modules())


def test_modules_that_compare_equal_count_as_one():
    """``named_modules()`` skips a module that compares and hashes equal to an earlier one.

    An optimizer then does not get its parameters. Do not define ``__eq__`` for a module.
    """

    class Scale(nn.Linear):
        def __eq__(self, other):
            return isinstance(other, Scale)

        def __hash__(self):
            return 7

    net = nn.Sequential(Scale(2, 3), Scale(3, 4))

    assert [name for name, _ in net.named_modules()] == ["", "0"]
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]


def test_a_child_walks_itself():
    """``named_modules()`` calls each child's own ``named_modules()``, so a class can hide its submodules."""

    class Sealed(nn.Sequential):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            yield prefix, self

    net = nn.Sequential(Sealed(nn.Linear(2, 3)), nn.ReLU())

    assert [name for name, _ in net.named_modules()] == ["", "0", "1"]
    assert list(net.parameters()) == []


@pytest.mark.parametrize(
    "walk",
    [lambda net: list(net.modules()), nn.Module.eval, nn.Module.state_dict, copy.deepcopy, repr],
    ids=["modules", "eval", "state_dict", "deepcopy", "repr"],
)
def test_a_tree_deeper_than_python_can_recurse(walk):
    """``modules()``, ``deepcopy`` and ``repr`` raise ``RecursionError`` for very deeply nested modules.

    They are recursive and raise ``RecursionError``, as do ``eval()`` and ``state_dict()``; a copy needs
    several calls for each level.
    """
    net = nn.Module()
    for _ in range(sys.getrecursionlimit()):
        outer = nn.Module()
        outer.inner = net
        net = outer

    with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
        walk(net)


def test_a_module_that_is_a_mapping_is_unhashable():
    """``parameters()`` raises ``TypeError`` for a module that inherits from ``collections.abc.Mapping``.

    ``Mapping`` defines ``__eq__``, which takes ``__hash__`` away; state_dict does not need it. Give the class
    ``__hash__ = nn.Module.__hash__``.
    """

    class Table(nn.Linear, collections.abc.Mapping):
        def __getitem__(self, key):
            return self._parameters[key]

        def __iter__(self):
            return iter(self._parameters)

        def __len__(self):
            return len(self._parameters)

    for walk in (Table(2, 3).parameters, Table(2, 3).named_buffers):
        with pytest.raises(TypeError, match="unhashable type: 'Table'"):
            list(walk())
    assert list(Table(2, 3).state_dict()) == ["weight", "bias"]

    Table.__hash__ = nn.Module.__hash__

    assert [name for name, _ in Table(2, 3).named_parameters()] == ["weight", "bias"]
