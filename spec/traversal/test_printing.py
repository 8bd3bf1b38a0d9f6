"""What ``print(net)`` shows.

A printed module is its name, what it says of itself (``extra_repr``), and its children, one below the other
and indented. Parameters and buffers are not shown.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N4-09")
def test_children_are_printed_indented():
    """``print(net)`` shows children below their parent, indented by two spaces per level.

    Each line opens with the child's name in parentheses; the order is that of registration, which need not be
    the order in which ``forward`` calls them.
    """
    net = nn.Module()
    net.tail = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU()))
    net.head, net.rest = nn.Dropout(0.25), nn.Sequential()

    assert str(net) == (
        "Module(\n"
        "  (tail): Sequential(\n"
        "    (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "    (1): Sequential(\n"
        "      (0): ReLU()\n"
        "    )\n"
        "  )\n"
        "  (head): Dropout(p=0.25, inplace=False)\n"
        "  (rest): Sequential()\n"
        ")"
    )
    assert repr(net) == str(net)


def test_nothing_to_say_gives_empty_parentheses():
    """``repr`` of a module without children or ``extra_repr`` is its class name and ``()``."""
    net = nn.Module()
    net.weight = nn.Parameter(torch.rand(2))
    net.register_buffer("mean", torch.rand(3))

    assert net.extra_repr() == ""
    assert [repr(net), repr(nn.Tanh())] == ["Module()", "Tanh()"]


def test_extra_repr_of_one_line_stays_inside():
    """``repr`` of a module without children shows a one-line ``extra_repr`` inside the parentheses.

    :meth:`~torch.nn.Module.extra_repr` is the place for sizes and options.
    """

    class Scale(nn.Module):
        def __init__(self, text):
            super().__init__()
            self.text = text

        def extra_repr(self):
            return self.text

    assert repr(Scale("factor=0.5")) == "Scale(factor=0.5)"
    assert repr(Scale("factor=0.5, " * 20)) == f"Scale({'factor=0.5, ' * 20})"


def test_extra_repr_of_more_lines_is_indented():
    """``repr`` of a module shows an ``extra_repr`` of several lines on lines indented by two spaces."""

    class Scale(nn.Sequential):
        def extra_repr(self):
            return "factor=0.5\nshift=2"

    assert repr(Scale()) == "Scale(\n  factor=0.5\n  shift=2\n)"
    assert repr(Scale(nn.ReLU())) == "Scale(\n  factor=0.5\n  shift=2\n  (0): ReLU()\n)"


def test_extra_repr_stands_above_the_children():
    """``repr`` of a module with children shows its ``extra_repr`` on a separate line above them."""

    class Block(nn.Sequential):
        def extra_repr(self):
            return "residual=True"

    net = nn.Sequential(Block(nn.ReLU(), nn.Tanh()))

    assert repr(net[0]) == "Block(\n  residual=True\n  (0): ReLU()\n  (1): Tanh()\n)"
    assert repr(net) == (
        "Sequential(\n  (0): Block(\n    residual=True\n    (0): ReLU()\n    (1): Tanh()\n  )\n)"
    )


@pytest.mark.claim("N5-05")
def test_names_of_children_are_printed():
    """``print(net)`` shows each child's name, also one from ``add_module``; a ``ModuleList`` shows positions.

    In any other module it does not matter whether a child was set as an attribute or with ``add_module``.
    """
    net, layers = nn.Module(), nn.ModuleList()
    net.act = layers.act = nn.ReLU()
    net.add_module("block 0", nn.Tanh())

    assert repr(net) == "Module(\n  (act): ReLU()\n  (block 0): Tanh()\n)"
    assert repr(layers) == "ModuleList(\n  (0): ReLU()\n)"


def test_an_empty_slot_is_printed():
    """``print(net)`` shows a child registered as ``None`` like this: ``(head): None``."""
    for net in (nn.Module(), nn.Sequential(), nn.ModuleDict()):
        net.add_module("head", None)

        assert repr(net) == f"{type(net).__name__}(\n  (head): None\n)"


def test_a_shared_child_is_printed_each_time():
    """``print(net)`` shows a shared module at each of its places, but not that it is shared.

    Lines counted in a print therefore count too much; ``len(list(net.modules()))`` does not.
    """
    act = nn.PReLU(num_parameters=3)
    net = nn.Sequential(act, nn.Sequential(act), act)

    assert repr(net) == (
        "Sequential(\n"
        "  (0): PReLU(num_parameters=3)\n"
        "  (1): Sequential(\n"
        "    (0): PReLU(num_parameters=3)\n"
        "  )\n"
        "  (2): PReLU(num_parameters=3)\n"
        ")"
    )
    assert len(list(net.modules())) == 3


def test_the_name_is_that_of_the_class():
    """``repr`` of a module starts with its class name, unless the class overrides ``_get_name``."""

    class Net(nn.Sequential):
        pass

    class Compiled(nn.Sequential):
        def _get_name(self):
            return "Net[compiled]"

    assert repr(Net()) == "Net()"
    assert repr(Compiled(nn.ReLU())) == "Net[compiled](\n  (0): ReLU()\n)"


def test_a_child_prints_itself():
    """``print(net)`` uses a child's own ``__repr__``, and indents its further lines by two spaces."""

    class Table(nn.Module):
        def __repr__(self):
            return "a table\nof two lines"

    net = nn.Sequential(Table(), nn.ReLU())

    assert repr(net) == "Sequential(\n  (0): a table\n  of two lines\n  (1): ReLU()\n)"
    assert repr(nn.Sequential(net)).splitlines()[2:4] == ["    (0): a table", "    of two lines"]


@pytest.mark.since("2.11")
def test_a_blank_line_stays_empty():
    """``print(net)`` adds no indentation to blank lines in a child's ``repr`` (:pull:`172644`)."""

    class Table(nn.Module):
        def extra_repr(self):
            return "top\n\nbottom"

    net = nn.Sequential(Table())

    assert repr(net) == "Sequential(\n  (0): Table(\n    top\n\n    bottom\n  )\n)"
    assert repr(nn.Sequential(net)).splitlines()[3:6] == ["      top", "", "      bottom"]


@pytest.mark.before("2.11")
def test_a_blank_line_is_indented():
    """``print(net)`` turns a blank line in a child's ``repr`` into a line of spaces."""

    class Table(nn.Module):
        def extra_repr(self):
            return "top\n\nbottom"

    assert repr(nn.Sequential(Table())) == ("Sequential(\n  (0): Table(\n    top\n    \n    bottom\n  )\n)")


@pytest.mark.question("Q117")
def test_equal_blocks_of_a_list_are_folded():
    """``repr`` of a ``ModuleList`` folds consecutive modules with equal ``repr``: ``(0-5): 6 x Linear(...)``.

    They are different modules all the same, each with separate parameters (:pull:`90452`). The names are
    still ``0``, ``1`` and so on: ``net.get_submodule("0-5")`` finds nothing. See
    :class:`torch.nn.ModuleList`.
    """
    pair = [nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU())]
    blocks = nn.ModuleList([*(nn.Linear(2, 2) for _ in range(6)), *pair, nn.Linear(2, 2), nn.Linear(2, 3)])
    blocks[3].eval().requires_grad_(False)

    assert repr(blocks).splitlines() == [
        "ModuleList(",
        "  (0-5): 6 x Linear(in_features=2, out_features=2, bias=True)",
        "  (6-7): 2 x Sequential(",
        "    (0): ReLU()",
        "  )",
        "  (8): Linear(in_features=2, out_features=2, bias=True)",
        "  (9): Linear(in_features=2, out_features=3, bias=True)",
        ")",
    ]
    assert len(list(blocks.parameters())) == 16
    assert [name for name, _ in blocks.named_children()] == [str(place) for place in range(10)]
    with pytest.raises(AttributeError, match="has no attribute `0-5`"):
        blocks.get_submodule("0-5")


@pytest.mark.question("Q117")
def test_only_neighbours_are_folded():
    """``repr`` of a ``ModuleList`` folds modules with equal ``repr`` only if they are consecutive."""
    net = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.Tanh(), nn.Tanh(), nn.ReLU(), nn.GELU(), nn.GELU()])

    assert repr(net).splitlines() == [
        "ModuleList(",
        "  (0): ReLU()",
        "  (1-3): 3 x Tanh()",
        "  (4): ReLU()",
        "  (5-6): 2 x GELU(approximate='none')",
        ")",
    ]


@pytest.mark.question("Q117")
def test_folded_blocks_are_printed_in_full_once():
    """``repr`` of a ``ModuleList`` prints folded blocks of several lines in full once, indented."""
    net = nn.Module()
    activations = [nn.Tanh(), nn.Tanh(), nn.ReLU(), nn.ReLU()]
    net.layers = nn.ModuleList(nn.Sequential(nn.Dropout(0.5), activation) for activation in activations)

    assert repr(net) == (
        "Module(\n"
        "  (layers): ModuleList(\n"
        "    (0-1): 2 x Sequential(\n"
        "      (0): Dropout(p=0.5, inplace=False)\n"
        "      (1): Tanh()\n"
        "    )\n"
        "    (2-3): 2 x Sequential(\n"
        "      (0): Dropout(p=0.5, inplace=False)\n"
        "      (1): ReLU()\n"
        "    )\n"
        "  )\n"
        ")"
    )


@pytest.mark.question("Q117")
def test_a_sequential_folds_nothing():
    """``repr`` of a ``Sequential`` shows every child on a separate line, even if they print alike."""
    alike = nn.Sequential(*(nn.ReLU() for _ in range(40)))

    assert repr(alike).splitlines() == ["Sequential(", *(f"  ({i}): ReLU()" for i in range(40)), ")"]
    assert repr(nn.Sequential(alike, alike, alike)).count("): ReLU()") == 120


def test_an_empty_module_list_prints_its_name():
    """``repr`` of an empty ``ModuleList``, or of an empty subclass, is the class name and ``()``."""

    class Stack(nn.ModuleList):
        pass

    assert repr(nn.ModuleList()) == "ModuleList()"
    assert repr(Stack()) == "Stack()"
    assert repr(Stack([nn.ReLU()])) == "Stack(\n  (0): ReLU()\n)"


def test_a_module_list_shows_no_extra_repr():
    """``repr`` of a ``ModuleList`` subclass ignores its ``extra_repr``."""

    class Stack(nn.ModuleList):
        def extra_repr(self):
            return "depth=1"

    assert repr(Stack([nn.ReLU()])) == "Stack(\n  (0): ReLU()\n)"
    assert repr(Stack()) == "Stack()"


def test_a_module_list_indents_blank_lines():
    """``repr`` of a ``ModuleList`` turns a blank line in an element's ``repr`` into a line of spaces."""

    class Table(nn.Module):
        def extra_repr(self):
            return "top\n\nbottom"

    assert repr(nn.ModuleList([Table()])) == ("ModuleList(\n  (0): Table(\n    top\n    \n    bottom\n  )\n)")


def test_a_cycle_cannot_be_printed():
    """``print(net)`` raises ``RecursionError`` if a module in ``net`` contains its own parent."""
    for inner in (nn.Module(), nn.Sequential(), nn.ModuleList(), nn.ModuleDict()):
        inner.back = net = nn.Sequential(inner)

        with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
            repr(net)
