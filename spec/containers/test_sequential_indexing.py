"""Indexing, slicing and deleting layers of a Sequential.

An index counts positions, not names. After a deletion the layers are renumbered; after slicing they keep
the names they had.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn


def test_an_index_counts_from_either_end():
    """``net[i]`` of a ``Sequential`` is the layer at position ``i``, counted from the end if negative.

    It counts positions, whatever the names are: a layer by its name is ``net.head``.
    """
    relu, tanh, gelu, others = nn.ReLU(), nn.Tanh(), nn.GELU(), [nn.ELU() for _ in range(9)]
    net = nn.Sequential(relu, tanh, gelu, *others)

    assert [net[i] for i in range(12)] == [relu, tanh, gelu, *others]
    assert [net[i] for i in range(-12, 0)] == [relu, tanh, gelu, *others]

    named = nn.Sequential(OrderedDict([("1", relu), ("head", tanh), ("0", gelu)]))
    assert [named[0], named[1], named[2], named[-1]] == [relu, tanh, gelu, gelu]
    assert named.head is tanh


@pytest.mark.claim("N4-10")
def test_nested_layers_are_indexed_in_turn():
    """A layer of a nested ``Sequential`` is accessed by repeated indexing, ``net[1][0]``."""
    inner = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    net = nn.Sequential(OrderedDict([("stem", nn.Tanh()), ("body", nn.Sequential(nn.GELU(), inner))]))

    assert net[1][1][0] is inner[0]
    assert net[-1][1][-1] is inner[1]


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range_is_refused(index):
    """An out-of-range index of a ``Sequential`` raises ``IndexError``, for getting, setting and deleting."""
    layers = [nn.ReLU(), nn.Tanh(), nn.GELU()]

    for net in (nn.Sequential(*layers), nn.Sequential(OrderedDict(zip("3ab", layers, strict=True)))):
        with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
            net[index]
        with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
            net[index] = nn.Tanh()
        with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
            del net[index]

        assert list(net) == layers


def test_an_index_is_an_integer_or_like_one():
    """A ``Sequential`` index may be an integer tensor; a float or a string raises ``TypeError``."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh())

    assert [net[torch.tensor(1)], net[torch.tensor(-2)]] == [net[1], net[0]]
    for take in (net.__getitem__, net.__delitem__, lambda index: net.__setitem__(index, None)):
        with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
            take(1.0)
        with pytest.raises(TypeError, match="'str' object cannot be interpreted as an integer"):
            take("0")

    net[torch.tensor(0)] = gelu = nn.GELU()
    del net[torch.tensor(-1)]
    assert list(net) == [gelu]


def test_a_slice_is_a_sequential_of_the_same_layers():
    """A slice of a ``Sequential`` is a new ``Sequential`` that shares the same layers.

    Training it trains the whole.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.Tanh())

    head = net[:-1]

    assert type(head) is nn.Sequential
    assert list(head) == [net[0], net[1], net[2]]
    assert list(net[::-2]) == [net[3], net[1]]
    assert list(net[9:]) == []
    assert type(net[1:2]) is nn.Sequential
    assert net[:] is not net
    assert len(net) == 4

    layers = [nn.ReLU() for _ in range(12)]
    assert list(nn.Sequential(*layers)[2:]) == layers[2:]


@pytest.mark.question("Q23")
def test_a_slice_keeps_the_names():
    """A slice of a ``Sequential`` keeps the layer names: the first layer of ``net[1:]`` is named ``"1"``.

    Its keys in a state dict are those of the whole.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))

    assert list(net[1:]._modules) == ["1", "2"]
    assert list(net[1:].state_dict()) == ["2.weight", "2.bias"]

    named = nn.Sequential(OrderedDict([("stem", nn.ReLU()), ("body", nn.Linear(2, 3)), ("0", nn.Tanh())]))
    assert list(named[1:]._modules) == ["body", "0"]
    assert list(named[::-1].state_dict()) == ["body.weight", "body.bias"]


@pytest.mark.question("Q23")
def test_append_to_a_slice_may_overwrite():
    """Appending to a slice of a ``Sequential``, such as ``net[1:]``, may overwrite its last layer.

    The new layer is named by the number of layers. ``nn.Sequential(*net[1:])`` renumbers them and is safe.
    """
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    tail = nn.Sequential(relu, relu, tanh)[1:]
    safe = nn.Sequential(*tail)

    tail.append(gelu)
    safe.append(gelu)

    assert list(tail._modules.items()) == [("1", relu), ("2", gelu)]
    assert list(safe._modules.items()) == [("0", relu), ("1", tanh), ("2", gelu)]


def test_a_slice_of_a_subclass_calls_its_constructor():
    """Slicing a ``Sequential`` subclass calls its ``__init__`` with a single ``OrderedDict``.

    A subclass whose ``__init__`` expects something else cannot be sliced: use
    ``nn.Sequential(*list(net)[:1])``.
    """

    given = []

    class Stack(nn.Sequential):
        def __init__(self, *args):
            given.append([type(arg) for arg in args])
            super().__init__(*args)

    class Block(nn.Sequential):
        def __init__(self, width, depth):
            super().__init__(*(nn.Linear(width, width) for _ in range(depth)))

    assert type(Stack(nn.ReLU(), nn.Tanh())[::-1]) is Stack
    assert given == [[nn.ReLU, nn.Tanh], [OrderedDict]]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'depth'"):
        Block(2, depth=3)[:1]


def test_assignment_replaces_and_keeps_the_name():
    """``net[i] = layer`` replaces the layer at position ``i`` of a ``Sequential`` and keeps its name."""
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()

    for names in (["stem", "body", "head"], ["0", "1", "2"], ["2", "0", "1"]):
        net = nn.Sequential(OrderedDict(zip(names, (relu, tanh, relu), strict=True)))
        net[1] = gelu
        net[-1] = elu

        assert list(net._modules.items()) == [(names[0], relu), (names[1], gelu), (names[2], elu)]


def test_only_a_module_or_none_is_assigned():
    """Assigning a number to a layer of a ``Sequential``, or a list to a slice, raises ``TypeError``.

    ``None`` is accepted, but the ``Sequential`` can then not be called.
    """
    net = nn.Sequential(nn.ReLU(), nn.Tanh())

    with pytest.raises(TypeError, match=r"cannot assign 'int' as child module '1' \(torch.nn.Module or None"):
        net[1] = 0
    with pytest.raises(TypeError, match="'slice' object cannot be interpreted as an integer"):
        net[0:1] = [nn.GELU()]
    net[0] = None

    assert net[0] is None
    assert type(net[1]) is nn.Tanh
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        net(torch.rand(2))


@pytest.mark.question("Q23")
def test_deletion_numbers_the_rest_afresh():
    """``del net[i]`` renumbers the remaining layers of a ``Sequential``; ``append`` then overwrites none.

    The keys of the state change with the names.
    """
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    net = nn.Sequential(relu, tanh, gelu)

    del net[1]
    assert list(net._modules.items()) == [("0", relu), ("1", gelu)]

    net.append(elu)
    assert list(net._modules.items()) == [("0", relu), ("1", gelu), ("2", elu)]

    del net[0]
    assert list(net._modules.items()) == [("0", gelu), ("1", elu)]

    net.extend([nn.ReLU() for _ in range(11)])
    rest = list(net)[1:]
    del net[0]
    assert list(net._modules.items()) == [(str(i), layer) for i, layer in enumerate(rest)]


def test_deletion_counts_from_the_end():
    """``del net[-2]`` deletes the second-to-last layer of a ``Sequential``."""
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    named = OrderedDict([("1", relu), ("head", tanh), ("0", gelu)])

    for net in (nn.Sequential(relu, tanh, gelu), nn.Sequential(named)):
        del net[-2]

        assert list(net._modules.items()) == [("0", relu), ("1", gelu)]


def test_a_slice_is_deleted():
    """``del net[a:b:c]`` deletes a slice of a ``Sequential`` and renumbers the remaining layers."""
    layers = [nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU(), nn.SELU()]
    net = nn.Sequential(*layers)

    del net[1::2]
    assert list(net._modules.items()) == [("0", layers[0]), ("1", layers[2]), ("2", layers[4])]

    del net[:2]
    assert list(net._modules.items()) == [("0", layers[4])]

    named = nn.Sequential(OrderedDict(zip("abc", layers, strict=False)))
    del named[:1]
    assert list(named._modules.items()) == [("0", layers[1]), ("1", layers[2])]
    named = nn.Sequential(OrderedDict(zip("abcde", layers, strict=True)))
    del named[1::2]
    assert list(named._modules.items()) == [("0", layers[0]), ("1", layers[2]), ("2", layers[4])]


@pytest.mark.question("Q23")
def test_deletion_replaces_names_by_numbers():
    """``del net[i]`` replaces the layer names that an ``OrderedDict`` gave a ``Sequential`` by numbers.

    The keys in a state dict change with them. Assign ``nn.Identity()`` instead of deleting to keep the names.
    """
    net = nn.Sequential(OrderedDict([("stem", nn.ReLU()), ("body", nn.Tanh()), ("head", nn.GELU())]))
    stem, head = net.stem, net.head

    del net[1]

    assert list(net._modules.items()) == [("0", stem), ("1", head)]
    assert not hasattr(net, "head")


@pytest.mark.question("Q23")
def test_delattr_numbers_nothing():
    """``delattr(net, "1")`` leaves a gap in the numbers of a ``Sequential``; ``append`` then overwrites a
    layer.

    Use ``del net[1]``.
    """
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    net = nn.Sequential(relu, tanh, gelu)

    delattr(net, "1")
    net.append(elu)

    assert list(net._modules.items()) == [("0", relu), ("2", elu)]


def test_pop_returns_what_it_removes():
    """:meth:`Sequential.pop(i) <torch.nn.Sequential.pop>` removes and returns a layer; with a slice, a
    ``Sequential``.
    """
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    named = OrderedDict([("2", relu), ("act", tanh), ("0", gelu), ("head", elu)])

    for net in (nn.Sequential(relu, tanh, gelu, elu), nn.Sequential(named)):
        assert net.pop(1) is tanh
        assert list(net._modules.items()) == [("0", relu), ("1", gelu), ("2", elu)]
        popped = net.pop(slice(1, None))
        assert type(popped) is nn.Sequential
        assert list(popped.named_children()) == [("1", gelu), ("2", elu)]
        assert list(net._modules.items()) == [("0", relu)]


def test_pop_needs_to_be_told_which():
    """:meth:`Sequential.pop() <torch.nn.Sequential.pop>` without an index raises ``TypeError``; ``pop(-1)``
    removes the last layer.
    """
    relu, tanh = nn.ReLU(), nn.Tanh()

    for net in (nn.Sequential(relu, tanh), nn.Sequential(OrderedDict([("1", relu), ("head", tanh)]))):
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'key'"):
            net.pop()
        assert net.pop(-1) is tanh
        assert list(net._modules.items()) == [("0", relu)]


def test_pop_takes_no_name():
    """:meth:`Sequential.pop <torch.nn.Sequential.pop>` takes a position or a slice; the name of a layer
    raises ``TypeError``.

    ``ModuleDict.pop`` takes the name. ``delattr(net, "act")`` removes a layer by its name.
    """
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    net = nn.Sequential(OrderedDict([("stem", relu), ("act", tanh), ("head", gelu)]))

    with pytest.raises(TypeError, match="'str' object cannot be interpreted as an integer"):
        net.pop("act")
    with pytest.raises(TypeError, match="'str' object cannot be interpreted as an integer"):
        nn.Sequential(*net).pop("0")

    assert list(net) == [relu, tanh, gelu]
    delattr(net, "act")
    assert list(net._modules.items()) == [("stem", relu), ("head", gelu)]
    assert net.pop(1) is gelu
    assert list(net.pop(slice(0, 1))) == [relu]
    assert nn.ModuleDict({"stem": relu, "act": tanh}).pop("act") is tanh
