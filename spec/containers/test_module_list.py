"""ModuleList: modules in a list.

A ``ModuleList`` registers what is in it, so that the modules' parameters belong to the model. It says
nothing about how they are called: its owner's ``forward`` loops over them or picks one.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N3-04", "N5-06")
def test_what_is_in_it_is_registered():
    """Modules in a :class:`~torch.nn.ModuleList` belong to the model; those in a plain list do not."""
    net = nn.Module()
    net.kept = nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 1, bias=False)])
    net.lost = [nn.Linear(4, 5)]

    assert [name for name, _ in net.named_parameters()] == ["kept.0.weight", "kept.0.bias", "kept.1.weight"]
    assert list(net.state_dict()) == ["kept.0.weight", "kept.0.bias", "kept.1.weight"]


@pytest.mark.claim("N3-07")
def test_it_cannot_be_called():
    """A ``ModuleList`` has no ``forward``: calling it raises ``NotImplementedError``."""
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    with pytest.raises(NotImplementedError, match=r'Module \[ModuleList\] is missing the required "forward"'):
        layers(torch.rand(2))


def test_its_owner_calls_the_modules():
    """A model loops over its ``ModuleList``, or picks from it by index, and calls the modules itself."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Softplus(), nn.Tanh()])

        def forward(self, x, depth):
            for layer in self.layers[:depth]:
                x = layer(x)
            return x

    x = torch.rand(3)

    assert torch.equal(Net()(x, 1), nn.functional.softplus(x))
    assert torch.equal(Net()(x, 2), torch.tanh(nn.functional.softplus(x)))


@pytest.mark.parametrize(
    "kind",
    [list, tuple, iter, nn.ModuleList, lambda layers: nn.Sequential(*layers)],
    ids=["list", "tuple", "iterator", "ModuleList", "Sequential"],
)
def test_it_is_built_from_any_iterable(kind):
    """A ``ModuleList`` is built from any iterable of modules, numbered from 0."""
    relu, tanh = nn.ReLU(), nn.Tanh()

    layers = nn.ModuleList(kind([relu, tanh]))

    assert list(layers.named_children()) == [("0", relu), ("1", tanh)]


def test_it_is_empty_by_default():
    """A ``ModuleList`` of nothing is empty, and false as an empty list is."""
    assert [len(nn.ModuleList()), len(nn.ModuleList(None)), len(nn.ModuleList([nn.ReLU()]))] == [0, 0, 1]
    assert [bool(nn.ModuleList()), bool(nn.ModuleList([nn.ReLU()]))] == [False, True]


@pytest.mark.parametrize("value", [nn.Linear(2, 3), 3], ids=["Linear", "int"])
def test_a_single_module_is_no_iterable(value):
    """The constructor and ``extend`` of a ``ModuleList`` raise ``TypeError`` for a single module.

    Put it into a list.
    """
    text = f"^ModuleList.extend should be called with an iterable, but got {type(value).__name__}$"

    with pytest.raises(TypeError, match=text):
        nn.ModuleList(value)
    with pytest.raises(TypeError, match=text):
        nn.ModuleList().extend(value)


def test_only_modules_are_elements():
    """An element that is no module raises ``TypeError``; of a dict the keys are the elements."""
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        nn.ModuleList([nn.ReLU(), 3])
    with pytest.raises(TypeError, match="str is not a Module subclass"):
        nn.ModuleList({"act": nn.ReLU()})


def test_an_index_counts_from_either_side():
    """``layers[i]`` is the element at that position, counted from the end if negative."""
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    layers = nn.ModuleList([relu, tanh, gelu])

    assert [layers[0], layers[1], layers[2]] == [relu, tanh, gelu]
    assert [layers[-3], layers[-2], layers[-1]] == [relu, tanh, gelu]


@pytest.mark.parametrize("index", [2, -3])
def test_an_index_out_of_its_range_is_refused(index):
    """An index past either end of a ``ModuleList`` raises ``IndexError``, to get, set and delete."""
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
        layers[index]
    with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
        layers[index] = nn.GELU()
    with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
        del layers[index]


@pytest.mark.observed
def test_an_index_may_be_a_tensor():
    """An index may be a tensor of one integer, but no float and no string."""
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    assert layers[torch.tensor(-1)] is layers[1]
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        layers[1.0]
    with pytest.raises(TypeError, match="'str' object cannot be interpreted as an integer"):
        layers["0"]


def test_a_slice_is_numbered_afresh():
    """A slice of a ``ModuleList`` is a new one of the same class, with the same modules, numbered from 0."""

    class Stack(nn.ModuleList):
        pass

    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    layers = Stack([relu, tanh, gelu])

    assert type(layers[1:]) is Stack
    assert list(layers[1:].named_children()) == [("0", tanh), ("1", gelu)]
    assert list(layers[::-2]) == [gelu, relu]
    assert len(layers) == 3


def test_an_element_is_replaced_by_its_index():
    """``layers[i] = module`` replaces the element at that position."""
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    layers = nn.ModuleList([relu, tanh, relu])

    layers[0] = gelu
    layers[-1] = elu

    assert list(layers.named_children()) == [("0", gelu), ("1", tanh), ("2", elu)]


def test_only_a_module_replaces_an_element():
    """Setting an element to neither a module nor ``None``, or setting a slice, raises ``TypeError``."""
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    with pytest.raises(TypeError, match=r"cannot assign 'int' as child module '1' \(torch.nn.Module or None"):
        layers[1] = 3
    with pytest.raises(TypeError, match="'slice' object cannot be interpreted as an integer"):
        layers[:1] = [nn.GELU()]
    layers[0] = None

    assert [layers[0], type(layers[1])] == [None, nn.Tanh]


@pytest.mark.question("Q23")
def test_deletion_numbers_the_elements_afresh():
    """After ``del layers[i]`` the remaining elements are numbered afresh, so that append adds one."""
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    layers = nn.ModuleList([relu, tanh, gelu])

    del layers[-3]
    layers.append(elu)

    assert list(layers.named_children()) == [("0", tanh), ("1", gelu), ("2", elu)]


def test_a_slice_of_elements_is_deleted():
    """``del layers[a:b:c]`` deletes the elements of the slice and numbers the rest afresh."""
    elements = [nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU(), nn.SELU()]
    layers = nn.ModuleList(elements)

    del layers[1::2]
    assert list(layers.named_children()) == [("0", elements[0]), ("1", elements[2]), ("2", elements[4])]

    del layers[:2]
    assert list(layers.named_children()) == [("0", elements[4])]


def test_iteration_yields_every_element():
    """Iterating over a ``ModuleList`` yields every element in order, a repeated one each time."""
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    layers = nn.ModuleList([relu, tanh, relu, gelu])

    assert list(layers) == [relu, tanh, relu, gelu]
    assert len(layers) == 4
    assert list(layers.children()) == [relu, tanh, gelu]


@pytest.mark.observed
def test_in_asks_for_the_very_module():
    """``module in layers`` asks for that very object, not for one like it."""
    relu = nn.ReLU()

    assert [relu in nn.ModuleList([relu]), nn.ReLU() in nn.ModuleList([relu])] == [True, False]


def test_append_returns_the_list():
    """:meth:`~torch.nn.ModuleList.append` adds a module at the end and returns the ``ModuleList``."""
    relu, tanh = nn.ReLU(), nn.Tanh()
    layers = nn.ModuleList()

    result = layers.append(relu).append(tanh)

    assert result is layers
    assert list(layers.named_children()) == [("0", relu), ("1", tanh)]


def test_extend_returns_the_list():
    """:meth:`~torch.nn.ModuleList.extend` appends modules from an iterable and returns the ``ModuleList``."""
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    layers = nn.ModuleList([relu])

    result = layers.extend(module for module in (tanh, gelu))

    assert result is layers
    assert list(layers.named_children()) == [("0", relu), ("1", tanh), ("2", gelu)]


def test_plus_equals_appends_an_iterable():
    """``layers += iterable`` appends to the same list."""
    relu, tanh = nn.ReLU(), nn.Tanh()
    layers = before = nn.ModuleList([relu])

    layers += (tanh,)

    assert layers is before
    assert list(layers.named_children()) == [("0", relu), ("1", tanh)]


def test_plus_joins_with_any_iterable():
    """``layers + iterable`` is a new, plain ``ModuleList``; the list comes first and stays as it is."""

    class Stack(nn.ModuleList):
        pass

    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    layers = Stack([relu])

    joined = layers + [tanh, gelu]  # noqa: RUF005

    assert type(joined) is nn.ModuleList
    assert list(joined.named_children()) == [("0", relu), ("1", tanh), ("2", gelu)]
    assert len(layers) == 1
    with pytest.raises(TypeError, match="can only concatenate list"):
        [tanh] + layers  # noqa: RUF005


@pytest.mark.parametrize(("index", "expected"), [(0, "GRT"), (1, "RGT"), (2, "RTG")])
def test_insert_shifts_the_later_ones(index, expected):
    """:meth:`~torch.nn.ModuleList.insert` puts a module before an index, and returns nothing."""
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    result = layers.insert(index, nn.GELU())

    assert result is None
    assert [name for name, _ in layers.named_children()] == ["0", "1", "2"]
    assert "".join(type(layer).__name__[0] for layer in layers) == expected


@pytest.mark.observed
def test_insert_at_a_negative_index_fails():
    """Inserting at a negative index raises ``KeyError``, and leaves the first element in the list twice."""
    relu, tanh = nn.ReLU(), nn.Tanh()
    layers = nn.ModuleList([relu, tanh])

    with pytest.raises(KeyError, match="'-1'"):
        layers.insert(-1, nn.GELU())

    assert list(layers) == [relu, relu, tanh]


@pytest.mark.observed
def test_insert_past_the_end_leaves_a_gap():
    """Inserting past the end keeps the index as the name, and the list has a gap.

    The last element is then out of reach by its position.
    """
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    layers.insert(7, nn.GELU())

    assert [name for name, _ in layers.named_children()] == ["0", "1", "7"]
    with pytest.raises(KeyError, match="'2'"):
        layers[2]


@pytest.mark.observed
def test_insert_takes_anything():
    """``ModuleList.insert`` takes anything: what is no module becomes an element too."""
    layers = nn.ModuleList([nn.ReLU()])

    layers.insert(1, 3)

    assert list(layers)[1] == 3


@pytest.mark.observed
def test_pop_removes_and_returns():
    """:meth:`~torch.nn.ModuleList.pop` removes an element and returns it; a slice as a ``ModuleList``."""
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    layers = nn.ModuleList([relu, tanh, gelu, elu])

    assert layers.pop(-3) is tanh
    assert list(layers.pop(slice(1, None)).named_children()) == [("0", gelu), ("1", elu)]
    assert list(layers.named_children()) == [("0", relu)]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'key'"):
        layers.pop()


@pytest.mark.observed
@pytest.mark.parametrize("method", ["clear", "copy", "count", "index", "remove", "reverse", "sort"])
def test_some_methods_of_a_list_are_missing(method):
    """A ``ModuleList`` has no ``clear``, ``copy``, ``count``, ``index``, ``remove``, ``reverse``,
    ``sort``.
    """
    with pytest.raises(AttributeError, match=f"'ModuleList' object has no attribute '{method}'"):
        getattr(nn.ModuleList([nn.ReLU()]), method)


@pytest.mark.observed
def test_extending_with_itself_fails():
    """``layers += layers`` raises ``RuntimeError`` halfway: it changes what it walks."""
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    with pytest.raises(RuntimeError, match="during iteration"):
        layers += layers


@pytest.mark.observed
def test_dir_of_a_list_leaves_numbers_out():
    """``dir(layers)`` lists no element, though each is an attribute under its number."""
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    layers.tail = nn.GELU()

    assert {"tail", "append", "training"} <= set(dir(layers))
    assert [name for name in dir(layers) if name.isdigit()] == []
    assert getattr(layers, "1") is layers[1]
