"""Adding, repeating and inserting layers of a Sequential.

``append``, ``insert``, ``extend``, ``+=`` and ``*=`` change the ``Sequential`` and return it; ``+`` and ``*``
make a new one that shares its layers with the old.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn


def test_append_adds_at_the_end():
    """:meth:`~torch.nn.Sequential.append` adds a layer at the end and returns the ``Sequential``."""
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    net = nn.Sequential(relu)

    result = net.append(tanh).append(gelu)

    assert result is net
    assert list(net.named_children()) == [("0", relu), ("1", tanh), ("2", gelu)]


def test_append_names_by_the_number_of_layers():
    """An appended layer is named by the number of layers so far, whatever the others are called."""
    net = nn.Sequential(OrderedDict([("stem", nn.ReLU()), ("body", nn.Tanh())]))

    net.append(nn.GELU())

    assert [name for name, _ in net.named_children()] == ["stem", "body", "2"]


def test_append_takes_modules_only():
    """Appending anything but a module to a ``Sequential`` raises ``TypeError``."""
    with pytest.raises(TypeError, match=r"^torch\.FloatTensor is not a Module subclass$"):
        nn.Sequential().append(torch.rand(2))


@pytest.mark.parametrize(
    ("index", "expected"),
    [(0, "GRT"), (1, "RGT"), (2, "RTG"), (-1, "RGT"), (-2, "GRT")],
)
def test_insert_puts_a_layer_before_an_index(index, expected):
    """:meth:`~torch.nn.Sequential.insert` puts a layer before an index and numbers the later ones afresh."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh())

    result = net.insert(index, nn.GELU())

    assert result is net
    assert [name for name, _ in net.named_children()] == ["0", "1", "2"]
    assert "".join(type(layer).__name__[0] for layer in net) == expected


def test_insert_into_an_empty_sequential():
    """Into an empty ``Sequential`` a layer is inserted at 0."""
    net = nn.Sequential()

    net.insert(0, nn.ReLU())

    assert [name for name, _ in net.named_children()] == ["0"]


@pytest.mark.parametrize("index", [3, -3])
def test_insert_out_of_range_is_refused(index):
    """Inserting past either end raises ``IndexError``, unlike in a list, and changes nothing."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh())

    with pytest.raises(IndexError, match=f"^Index out of range: {index}$"):
        net.insert(index, nn.GELU())

    assert [type(layer) for layer in net] == [nn.ReLU, nn.Tanh]


@pytest.mark.observed
def test_insert_takes_modules_only():
    """Inserting anything but a module into a ``Sequential`` raises ``AssertionError``, even ``None``."""
    net = nn.Sequential(nn.ReLU())

    for_module = r"^module should be of type: <class 'torch\.nn\.modules\.module\.Module'>$"
    with pytest.raises(AssertionError, match=for_module):
        net.insert(0, 3)
    with pytest.raises(AssertionError, match=for_module):
        net.insert(0, None)

    assert len(net) == 1


@pytest.mark.observed
def test_insert_needs_numbered_layers():
    """Inserting before a layer that has a name instead of a number raises ``KeyError``."""
    net = nn.Sequential(OrderedDict([("stem", nn.ReLU()), ("head", nn.Tanh())]))

    with pytest.raises(KeyError, match="'1'"):
        net.insert(0, nn.GELU())
    net.insert(2, nn.GELU())

    assert [name for name, _ in net.named_children()] == ["stem", "head", "2"]


@pytest.mark.parametrize(
    "kind",
    [list, iter, nn.ModuleList, lambda layers: nn.Sequential(*layers)],
    ids=["list", "iterator", "ModuleList", "Sequential"],
)
def test_extend_takes_any_iterable(kind):
    """:meth:`~torch.nn.Sequential.extend` appends each layer of an iterable, and returns the net itself."""
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    net = nn.Sequential(relu)

    result = net.extend(kind([tanh, gelu]))

    assert result is net
    assert list(net.named_children()) == [("0", relu), ("1", tanh), ("2", gelu)]


def test_plus_makes_a_new_sequential():
    """``a + b`` is a new ``Sequential`` with the layers of both, numbered afresh; both stay as they are."""
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    a, b = nn.Sequential(OrderedDict(act=relu)), nn.Sequential(tanh, gelu)

    both = a + b

    assert list(both.named_children()) == [("0", relu), ("1", tanh), ("2", gelu)]
    assert [list(a.named_children()), len(b)] == [[("act", relu)], 2]


@pytest.mark.observed
def test_plus_and_times_forget_the_subclass():
    """``+`` and ``*`` give a plain ``Sequential``, also for objects of a subclass."""

    class Stack(nn.Sequential):
        pass

    a, b = Stack(nn.ReLU()), Stack(nn.Tanh())

    assert [type(a + b), type(a * 2), type(2 * a)] == [nn.Sequential] * 3


@pytest.mark.parametrize("other", [[nn.ReLU()], nn.ModuleList([nn.ReLU()])], ids=["list", "ModuleList"])
def test_plus_takes_a_sequential_only(other):
    """``+`` and ``+=`` take another ``Sequential`` only; a list raises ``ValueError``."""
    net = nn.Sequential(nn.Tanh())
    text = f"add operator supports only objects of Sequential class, but {type(other)} is given."

    with pytest.raises(ValueError) as plus:
        net + other
    with pytest.raises(ValueError) as plus_equals:
        net += other

    assert [str(plus.value), str(plus_equals.value)] == [text, text]
    assert len(net) == 1


@pytest.mark.observed
def test_nothing_but_a_sequential_comes_first():
    """A list on the left of ``+`` raises ``TypeError``."""
    net = nn.Sequential(nn.Tanh())

    with pytest.raises(TypeError, match="can only concatenate list"):
        [nn.ReLU()] + net  # noqa: RUF005


def test_plus_equals_extends_in_place():
    """``a += b`` appends the layers of ``b`` to ``a`` itself, named by their new positions."""
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    net = before = nn.Sequential(relu, tanh)

    net += nn.Sequential(OrderedDict([("x", gelu), ("y", elu)]))

    assert net is before
    assert list(net.named_children()) == [("0", relu), ("1", tanh), ("2", gelu), ("3", elu)]


@pytest.mark.observed
def test_plus_equals_itself_fails():
    """``a += a`` and ``a.extend(a)`` raise ``RuntimeError`` halfway: they change what they walk.

    ``a *= 2`` does what was meant.
    """
    net = nn.Sequential(nn.ReLU(), nn.Tanh())

    with pytest.raises(RuntimeError, match="during iteration"):
        net += net
    with pytest.raises(RuntimeError, match="during iteration"):
        net.extend(net)


def test_times_repeats_the_same_layers():
    """``net * 3`` is a new ``Sequential`` that runs the same layers three times, parameters shared."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())

    triple = net * 3

    assert list(triple) == [net[0], net[1]] * 3
    assert list(triple._modules) == ["0", "1", "2", "3", "4", "5"]
    assert [len(net), len(list(triple.parameters()))] == [2, 2]


def test_times_works_from_either_side():
    """``2 * net`` is the same as ``net * 2``, and ``net * 1`` is a new ``Sequential`` of the same layers."""
    relu, tanh = nn.ReLU(), nn.Tanh()
    net = nn.Sequential(relu, tanh)
    copy = net * 1

    assert list(2 * net) == list(net * 2) == [relu, tanh, relu, tanh]
    assert list(copy) == [relu, tanh]
    assert copy is not net


def test_times_equals_repeats_in_place():
    """``net *= 3`` repeats the layers in ``net`` itself; ``net *= 1`` changes nothing."""
    relu, tanh = nn.ReLU(), nn.Tanh()
    net = before = nn.Sequential(relu, tanh)

    net *= 1
    assert list(net) == [relu, tanh]

    net *= 3
    assert net is before
    assert list(net._modules.items()) == [(str(i), (relu, tanh)[i % 2]) for i in range(6)]


@pytest.mark.parametrize("factor", [1.5, "2", None], ids=repr)
def test_a_factor_must_be_an_integer(factor):
    """``*`` and ``*=`` with anything but an integer raise ``TypeError``."""
    net = nn.Sequential(nn.ReLU())
    text = f"unsupported operand type(s) for *: {nn.Sequential} and {type(factor)}"

    with pytest.raises(TypeError) as times:
        net * factor
    with pytest.raises(TypeError) as times_equals:
        net *= factor

    assert [str(times.value), str(times_equals.value)] == [text, text]


@pytest.mark.parametrize("factor", [0, -2])
def test_a_factor_must_be_positive(factor):
    """``*`` and ``*=`` with zero or less raise ``ValueError``, where a list would become empty."""
    net = nn.Sequential(nn.ReLU())
    text = f"Non-positive multiplication factor {factor} for {nn.Sequential}"

    with pytest.raises(ValueError) as times:
        net * factor
    with pytest.raises(ValueError) as times_equals:
        net *= factor

    assert [str(times.value), str(times_equals.value)] == [text, text]


@pytest.mark.observed
def test_times_equals_needs_numbered_layers():
    """``net *= 2`` raises ``KeyError`` for layers with names instead of numbers; ``net * 2`` does not."""
    net = nn.Sequential(OrderedDict([("stem", nn.ReLU()), ("head", nn.Tanh())]))

    with pytest.raises(KeyError, match="'0'"):
        net *= 2

    assert [type(layer) for layer in net * 2] == [nn.ReLU, nn.Tanh] * 2
