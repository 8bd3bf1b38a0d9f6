"""Adding, repeating and inserting layers of a Sequential.

``append``, ``insert``, ``extend``, ``+=`` and ``*=`` change the ``Sequential`` and return it; ``+`` and ``*``
make a new one that shares its layers with the old.
"""

import re
from collections import OrderedDict

import pytest
import torch
from torch import nn


def test_append_adds_at_the_end():
    """:meth:`Sequential.append <torch.nn.Sequential.append>` adds a layer at the end and returns the
    ``Sequential``.
    """
    relu, tanh, inner = nn.ReLU(), nn.Tanh(), nn.Sequential(nn.GELU(), nn.ELU())
    net = nn.Sequential(relu)

    result = net.append(tanh).append(inner)

    assert result is net
    assert list(net._modules.items()) == [("0", relu), ("1", tanh), ("2", inner)]


def test_append_names_by_the_number_of_layers():
    """``Sequential.append`` names the new layer by the number of layers, even if the others have names."""
    net = nn.Sequential(OrderedDict([("stem", nn.ReLU()), ("7", nn.Tanh())]))

    net.append(nn.GELU())

    assert list(net._modules) == ["stem", "7", "2"]


@pytest.mark.parametrize(
    "value",
    [torch.rand(2), torch.relu, nn.ReLU, 0, [nn.ReLU()]],
    ids=["tensor", "function", "class", "zero", "list"],
)
def test_append_takes_modules_only(value):
    """``Sequential.append`` raises ``TypeError`` for a value that is neither a module nor ``None``."""
    net = nn.Sequential()

    with pytest.raises(TypeError, match=r" is not a Module subclass$"):
        net.append(value)

    assert list(net.append(None)) == [None]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, [nn.GELU, nn.ReLU, nn.Tanh]),
        (1, [nn.ReLU, nn.GELU, nn.Tanh]),
        (2, [nn.ReLU, nn.Tanh, nn.GELU]),
        (-1, [nn.ReLU, nn.GELU, nn.Tanh]),
        (-2, [nn.GELU, nn.ReLU, nn.Tanh]),
    ],
    ids=["0", "1", "2", "-1", "-2"],
)
def test_insert_puts_a_layer_before_an_index(index, expected):
    """:meth:`Sequential.insert(index, layer) <torch.nn.Sequential.insert>` inserts the layer before that
    index.

    The later layers are renumbered, and the ``Sequential`` itself is returned.
    """
    net = nn.Sequential(nn.ReLU(), nn.Tanh())

    result = net.insert(index, nn.GELU())

    assert result is net
    assert list(net._modules) == ["0", "1", "2"]
    assert [type(layer) for layer in net] == expected


def test_insert_into_an_empty_sequential():
    """``Sequential.insert(0, layer)`` adds a layer to an empty ``Sequential``."""
    net, relu = nn.Sequential(), nn.ReLU()

    net.insert(0, relu)

    assert list(net._modules.items()) == [("0", relu)]


@pytest.mark.parametrize("index", [3, -3])
def test_insert_out_of_range_is_refused(index):
    """``Sequential.insert`` with an index out of range raises ``IndexError`` and inserts nothing.

    A list would put it at that end.
    """
    net = nn.Sequential(nn.ReLU(), nn.Tanh())

    with pytest.raises(IndexError, match=f"^Index out of range: {index}$"):
        net.insert(index, nn.GELU())

    assert [type(layer) for layer in net] == [nn.ReLU, nn.Tanh]


def test_insert_takes_modules_only():
    """``Sequential.insert`` raises ``AssertionError`` for anything but a module, even ``None``."""
    net = nn.Sequential(nn.ReLU())

    for_module = r"^module should be of type: <class 'torch\.nn\.modules\.module\.Module'>$"
    for value in (3, None, nn.ReLU, torch.relu, [nn.ReLU()]):
        with pytest.raises(AssertionError, match=for_module):
            net.insert(0, value)

    assert len(net) == 1


def test_insert_needs_numbered_layers():
    """``Sequential.insert`` before a layer that has a name from an ``OrderedDict`` raises ``KeyError``.

    ``nn.Sequential(*net)`` numbers the layers, and can be inserted into.
    """
    net = nn.Sequential(OrderedDict([("stem", nn.ReLU()), ("head", nn.Tanh())]))

    for index in (0, 1, -1):
        with pytest.raises(KeyError, match="'1'"):
            net.insert(index, nn.GELU())
    net.insert(2, nn.GELU())

    assert list(net._modules) == ["stem", "head", "2"]

    numbered = nn.Sequential(*net).insert(0, nn.ELU())
    assert [type(layer) for layer in numbered] == [nn.ELU, nn.ReLU, nn.Tanh, nn.GELU]


@pytest.mark.parametrize(
    "kind",
    [list, iter, nn.ModuleList, lambda layers: nn.Sequential(*layers)],
    ids=["list", "iterator", "ModuleList", "Sequential"],
)
def test_extend_takes_any_iterable(kind):
    """:meth:`Sequential.extend <torch.nn.Sequential.extend>` appends all layers of an iterable.

    It returns the net itself.
    """
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    net = nn.Sequential(relu)

    result = net.extend(kind([tanh, gelu]))

    assert net.extend(kind([])) is result is net
    assert list(net._modules.items()) == [("0", relu), ("1", tanh), ("2", gelu)]


def test_plus_makes_a_new_sequential():
    """``a + b`` of two ``Sequential`` objects is a new one, renumbered; ``a`` and ``b`` are unchanged."""
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    a, b = nn.Sequential(OrderedDict(act=relu)), nn.Sequential(OrderedDict([("x", tanh), ("0", gelu)]))

    both = a + b

    assert list(both._modules.items()) == [("0", relu), ("1", tanh), ("2", gelu)]
    assert [(a + nn.Sequential()) is a, (nn.Sequential() + b) is b] == [False, False]
    assert list(a._modules.items()) == [("act", relu)]
    assert list(b._modules.items()) == [("x", tanh), ("0", gelu)]


def test_plus_and_times_forget_the_subclass():
    """``+`` and ``*`` on objects of a ``Sequential`` subclass return a plain ``nn.Sequential``."""

    class Stack(nn.Sequential):
        pass

    a, b, plain = Stack(nn.ReLU()), Stack(nn.Tanh()), nn.Sequential(nn.GELU())

    results = [a + b, a + plain, plain + a, a * 2, 2 * a]
    assert [type(result) for result in results] == [nn.Sequential] * 5


@pytest.mark.parametrize(
    "other", [[nn.ReLU()], [], nn.ModuleList([nn.ReLU()])], ids=["list", "empty", "ModuleList"]
)
def test_plus_takes_a_sequential_only(other):
    """Adding a list or a ``ModuleList`` to a ``Sequential`` with ``+`` or ``+=`` raises ``ValueError``.

    :meth:`Sequential.extend <torch.nn.Sequential.extend>` accepts a list.
    """
    net = nn.Sequential(nn.Tanh())
    kind = re.escape(str(type(other)))
    text = f"^add operator supports only objects of Sequential class, but {kind} is given"

    with pytest.raises(ValueError, match=text):
        net + other
    with pytest.raises(ValueError, match=text):
        net += other

    assert len(net) == 1


def test_nothing_but_a_sequential_comes_first():
    """``[layer] + net`` raises ``TypeError``: a ``Sequential`` cannot be added to a list.

    ``nn.Sequential(layer, *net)`` puts a layer in front.
    """
    net = nn.Sequential(nn.Tanh())

    with pytest.raises(TypeError, match="can only concatenate list"):
        [nn.ReLU()] + net  # noqa: RUF005


def test_plus_equals_extends_in_place():
    """``a += b`` appends the layers of one ``Sequential`` to another in place, named by their positions."""
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    net = before = nn.Sequential(relu, tanh)

    net += nn.Sequential()
    net += nn.Sequential(OrderedDict([("x", gelu), ("y", elu)]))

    assert net is before
    assert list(net._modules.items()) == [("0", relu), ("1", tanh), ("2", gelu), ("3", elu)]


def test_extending_a_slice_may_overwrite():
    """``Sequential.extend`` and ``+=`` on a slice such as ``net[1:]`` may overwrite its last layer.

    A slice keeps its names, and a new layer is named by the number of layers. ``extend`` then overwrites
    what it has just added as well, and keeps the last one only. ``nn.Sequential(*net[1:])`` is safe.
    """
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    net = nn.Sequential(relu, relu, tanh)

    extended = net[1:].extend([gelu, elu])
    added = net[1:]
    added += nn.Sequential(gelu, elu)

    assert list(extended._modules.items()) == [("1", relu), ("2", elu)]
    assert list(added._modules.items()) == [("1", relu), ("2", gelu), ("3", elu)]
    assert list(nn.Sequential(*net[1:]).extend([gelu, elu])) == [relu, tanh, gelu, elu]


def test_plus_equals_itself_fails():
    """``a += a`` and ``a.extend(a)`` of a ``Sequential`` raise ``RuntimeError``: it changes during iteration.

    They fail halfway. ``a *= 2`` appends all layers once more.
    """
    net = nn.Sequential(nn.ReLU(), nn.Tanh())

    with pytest.raises(RuntimeError, match="during iteration"):
        net += net
    with pytest.raises(RuntimeError, match="during iteration"):
        net.extend(net)

    assert [type(layer) for layer in net][:3] == [nn.ReLU, nn.Tanh, nn.ReLU]

    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    net *= 2
    assert [type(layer) for layer in net] == [nn.ReLU, nn.Tanh, nn.ReLU, nn.Tanh]


def test_times_repeats_the_same_layers():
    """``net * 3`` is a new ``Sequential`` that repeats the same layers three times, with shared parameters.

    The model has no more parameters than before: for layers of their own copy each with ``copy.deepcopy``.
    """
    linear, tanh = nn.Linear(2, 2), nn.Tanh()
    net = nn.Sequential(OrderedDict([("stem", linear), ("act", tanh)]))

    triple = net * 3

    assert list(triple) == [linear, tanh] * 3
    assert list(triple._modules) == ["0", "1", "2", "3", "4", "5"]
    assert list(net) == [linear, tanh]
    assert len(list(triple.parameters())) == 2


def test_times_works_from_either_side():
    """For a ``Sequential``, ``2 * net`` has the same layers as ``net * 2``; ``net * 1`` is a new
    ``Sequential``.
    """
    relu, tanh = nn.ReLU(), nn.Tanh()
    net = nn.Sequential(relu, tanh)

    once = net * 1
    once.append(nn.GELU())

    assert list(2 * net) == [relu, tanh, relu, tanh]
    assert list(net * 2) == [relu, tanh, relu, tanh]
    assert list(once)[:2] == [relu, tanh]
    assert list(net) == [relu, tanh]


def test_times_equals_repeats_in_place():
    """``net *= 3`` repeats the layers of a ``Sequential`` in place; ``net *= 1`` changes nothing."""
    relu, tanh = nn.ReLU(), nn.Tanh()
    net = before = nn.Sequential(relu, tanh)

    net *= 1
    assert list(before) == [relu, tanh]

    net *= 3
    assert net is before
    assert list(before) == [relu, tanh, relu, tanh, relu, tanh]
    assert list(before._modules) == ["0", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize("factor", [1.5, 2.0, "2", None, torch.tensor(2)], ids=repr)
def test_a_factor_must_be_an_integer(factor):
    """Multiplying a ``Sequential`` by anything but an integer raises ``TypeError``, with ``*`` and ``*=``."""
    net = nn.Sequential(nn.ReLU())
    text = re.escape(f"unsupported operand type(s) for *: {nn.Sequential} and {type(factor)}")

    with pytest.raises(TypeError, match=f"^{text}$"):
        net * factor
    with pytest.raises(TypeError, match=f"^{text}$"):
        factor * net
    with pytest.raises(TypeError, match=f"^{text}$"):
        net *= factor

    assert len(net) == 1


@pytest.mark.parametrize("factor", [0, -2])
def test_a_factor_must_be_positive(factor):
    """Multiplying a ``Sequential`` by 0 or a negative number raises ``ValueError``, with ``*`` and ``*=``."""
    net = nn.Sequential(nn.ReLU())
    text = re.escape(f"Non-positive multiplication factor {factor} for {nn.Sequential}")

    with pytest.raises(ValueError, match=f"^{text}$"):
        net * factor
    with pytest.raises(ValueError, match=f"^{text}$"):
        factor * net
    with pytest.raises(ValueError, match=f"^{text}$"):
        net *= factor

    assert len(net) == 1


def test_times_equals_needs_numbered_layers():
    """``net *= 2`` of a ``Sequential`` with named layers raises ``KeyError``; ``net * 2`` does not."""
    net = nn.Sequential(OrderedDict([("stem", nn.ReLU()), ("head", nn.Tanh())]))

    with pytest.raises(KeyError, match="'0'"):
        net *= 2

    assert [type(layer) for layer in net * 2] == [nn.ReLU, nn.Tanh] * 2
