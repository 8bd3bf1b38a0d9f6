"""ModuleList: modules in a list.

A ``ModuleList`` registers what is in it, so that the modules' parameters belong to the model. It says
nothing about how they are called: its owner's ``forward`` loops over them or picks one.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N3-04", "N5-06")
def test_what_is_in_it_is_registered():
    """An :class:`nn.ModuleList <torch.nn.ModuleList>` registers its modules; a plain list does not.

    The layers of a plain list are not trained, moved or saved, and nothing says so.
    """
    net = nn.Module()
    net.kept = nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 1, bias=False)])
    net.lost = [nn.Linear(4, 5)]

    assert [name for name, _ in net.named_parameters()] == ["kept.0.weight", "kept.0.bias", "kept.1.weight"]
    assert list(net.state_dict()) == ["kept.0.weight", "kept.0.bias", "kept.1.weight"]


@pytest.mark.claim("N3-07")
def test_it_cannot_be_called():
    """Calling a ``ModuleList`` raises ``NotImplementedError``: it has no ``forward``.

    A :class:`~torch.nn.Sequential` can be called.
    """
    for layers in (nn.ModuleList(), nn.ModuleList([nn.ReLU()]), nn.ModuleList([nn.ReLU(), nn.Tanh()])):
        for arguments in ((), (torch.rand(2),)):
            with pytest.raises(NotImplementedError, match=r"^Module \[ModuleList\] is missing the required"):
                layers(*arguments)


def test_its_owner_calls_the_modules():
    """A model's ``forward`` can loop over its ``ModuleList`` or index it, and call the modules itself."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Softplus(), nn.Tanh()])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return self.layers[0](x)

    x = torch.rand(3)
    softplus = nn.functional.softplus

    assert torch.equal(Net()(x), softplus(torch.tanh(softplus(x))))


@pytest.mark.parametrize(
    "kind",
    [list, tuple, iter, nn.ModuleList, lambda layers: nn.Sequential(*layers)],
    ids=["list", "tuple", "iterator", "ModuleList", "Sequential"],
)
def test_it_is_built_from_any_iterable(kind):
    """A ``ModuleList`` is built from any iterable of modules, which are named ``"0"``, ``"1"`` and so on."""
    elements = [nn.ReLU() for _ in range(11)]

    layers = nn.ModuleList(kind(elements))

    assert list(layers._modules.items()) == [(str(i), elements[i]) for i in range(11)]


@pytest.mark.parametrize("nothing", [(), (None,), ([],)], ids=["nothing", "None", "list"])
def test_it_is_empty_by_default(nothing):
    """``ModuleList()`` and ``ModuleList(None)`` are empty; an empty ``ModuleList`` is falsy.

    So ``if self.layers is not None:`` is what asks whether there is one at all.
    """
    layers = nn.ModuleList(*nothing)
    assert len(layers) == 0
    assert bool(layers) is False

    layers.append(nn.ReLU())
    assert len(layers) == 1
    assert bool(layers) is True


@pytest.mark.parametrize("value", [nn.Linear(2, 3), 3], ids=["Linear", "int"])
def test_a_single_module_is_no_iterable(value):
    """``ModuleList(module)`` and ``extend(module)`` raise ``TypeError`` if ``module`` is not iterable.

    Put it into a list. Of a :class:`~torch.nn.Sequential`, which is iterable, the layers are added.
    """
    text = f"^ModuleList.extend should be called with an iterable, but got {type(value).__name__}$"

    for add in (nn.ModuleList, nn.ModuleList().extend):
        with pytest.raises(TypeError, match=text):
            add(value)
    assert len(nn.ModuleList(nn.Sequential(nn.ReLU(), nn.Tanh()))) == 2


@pytest.mark.parametrize("element", [3, 0, torch.relu, nn.ReLU, [nn.Tanh()]], ids=lambda e: type(e).__name__)
def test_only_modules_are_elements(element):
    """Building a ``ModuleList`` with an element that is neither a module nor ``None`` raises ``TypeError``.

    Iterating a dict yields its keys, so a dict of modules raises too: use :class:`~torch.nn.ModuleDict`.
    """
    with pytest.raises(TypeError, match="is not a Module subclass"):
        nn.ModuleList([nn.ReLU(), element])
    with pytest.raises(TypeError, match="str is not a Module subclass"):
        nn.ModuleList({"act": nn.ReLU()})
    assert list(nn.ModuleList([None])) == [None]


def test_an_index_counts_from_either_side():
    """``layers[i]`` of a ``ModuleList`` is the module at position ``i``, from the end if negative."""
    elements = [nn.ReLU() for _ in range(12)]
    layers = nn.ModuleList(elements)

    assert [layers[i] for i in range(12)] == elements
    assert [layers[i] for i in range(-12, 0)] == elements


@pytest.mark.parametrize(("size", "index"), [(2, 2), (2, -3), (0, 0), (0, -1)])
def test_an_index_out_of_its_range_is_refused(size, index):
    """An out-of-range index of a ``ModuleList`` raises ``IndexError``, for getting, setting and deleting."""
    layers = nn.ModuleList(nn.ReLU() for _ in range(size))

    with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
        layers[index]
    with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
        layers[index] = nn.GELU()
    with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
        del layers[index]


def test_an_index_may_be_a_tensor():
    """A ``ModuleList`` index may be an integer tensor; a float or a string raises ``TypeError``."""
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    assert layers[torch.tensor(-1)] is layers[1]
    for take in (layers.__getitem__, layers.__delitem__, lambda index: layers.__setitem__(index, None)):
        with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
            take(1.0)
        with pytest.raises(TypeError, match="'str' object cannot be interpreted as an integer"):
            take("0")

    layers[torch.tensor(0)] = gelu = nn.GELU()
    del layers[torch.tensor(1)]
    assert list(layers) == [gelu]


def test_a_slice_is_numbered_afresh():
    """A slice of a ``ModuleList`` has the same class and the same modules, renumbered from 0."""

    class Stack(nn.ModuleList):
        pass

    elements = [nn.ReLU() for _ in range(12)]
    layers = Stack(elements)

    for part in (slice(1, None), slice(-3, None), slice(None, None, -2)):
        assert type(layers[part]) is Stack
        assert list(layers[part]._modules.items()) == [(str(i), e) for i, e in enumerate(elements[part])]
    assert len(layers) == 12


def test_an_element_is_replaced_by_its_index():
    """``layers[i] = module`` replaces the module at position ``i`` of a ``ModuleList``."""
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    layers = nn.ModuleList([relu, tanh, relu, tanh])

    layers[0] = gelu
    layers[-1] = elu

    assert list(layers._modules.items()) == [("0", gelu), ("1", tanh), ("2", relu), ("3", elu)]


def test_only_a_module_replaces_an_element():
    """Assigning a number to an element of a ``ModuleList``, or a list to a slice, raises ``TypeError``.

    ``None`` is accepted as an element.
    """
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    with pytest.raises(TypeError, match=r"cannot assign 'int' as child module '1' \(torch.nn.Module or None"):
        layers[1] = 0
    with pytest.raises(TypeError, match="'slice' object cannot be interpreted as an integer"):
        layers[:1] = [nn.GELU()]
    layers[0] = None

    assert [layers[0], type(layers[1])] == [None, nn.Tanh]


@pytest.mark.question("Q23")
def test_deletion_numbers_the_elements_afresh():
    """``del layers[i]`` renumbers the remaining modules of a ``ModuleList``; ``append`` then overwrites none.

    Keys of saved states change with the numbers.
    """
    elements = [nn.ReLU() for _ in range(13)]
    layers = nn.ModuleList(elements[:12])
    del layers[-12]
    del layers[4]
    layers.append(elements[12])

    assert list(layers._modules.items()) == [(str(i), e) for i, e in enumerate(elements[1:5] + elements[6:])]


def test_a_slice_of_elements_is_deleted():
    """``del layers[a:b:c]`` deletes a slice of a ``ModuleList`` and renumbers the remaining modules."""
    elements = [nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU(), nn.SELU()]
    layers = nn.ModuleList(elements)

    del layers[1:4:2]
    assert list(layers._modules.items()) == [("0", elements[0]), ("1", elements[2]), ("2", elements[4])]
    del layers[-1:]
    del layers[0::-1]
    assert list(layers._modules.items()) == [("0", elements[2])]


def test_iteration_yields_every_element():
    """Iterating over a ``ModuleList`` yields its modules in order, a repeated module each time."""
    relu, tanh, others = nn.ReLU(), nn.Tanh(), [nn.GELU() for _ in range(9)]
    layers = nn.ModuleList([relu, relu, tanh, relu, *others])

    assert list(layers) == [relu, relu, tanh, relu, *others]
    assert len(layers) == 13
    assert list(layers.children()) == [relu, tanh, *others]


def test_in_asks_for_the_very_module():
    """The ``in`` operator finds modules of a ``ModuleList`` by identity: a new ``nn.ReLU()`` is not found."""
    relu = nn.ReLU()
    layers = nn.ModuleList([nn.Linear(2, 3), relu])

    assert relu in layers
    assert [new in layers for new in (nn.ReLU(), nn.Linear(2, 3))] == [False, False]


def test_append_returns_the_list():
    """:meth:`ModuleList.append <torch.nn.ModuleList.append>` appends a module and returns the list."""
    relu, tanh, inner = nn.ReLU(), nn.Tanh(), nn.ModuleList([nn.GELU(), nn.ELU()])
    layers = nn.ModuleList([relu])
    result = layers.append(tanh).append(inner)

    assert result is layers
    assert list(layers._modules.items()) == [("0", relu), ("1", tanh), ("2", inner)]


def test_extend_returns_the_list():
    """:meth:`ModuleList.extend <torch.nn.ModuleList.extend>` appends modules and returns the list."""
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    layers = nn.ModuleList([relu])

    result = layers.extend(module for module in (tanh, gelu))

    assert layers.extend(nn.ModuleList([elu])) is layers.extend([]) is result is layers
    assert list(layers._modules.items()) == [("0", relu), ("1", tanh), ("2", gelu), ("3", elu)]


def test_plus_equals_appends_an_iterable():
    """The ``+=`` operator appends the modules of an iterable to the same ``ModuleList`` object."""
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    layers = before = nn.ModuleList([relu])
    layers += iter([tanh, gelu])
    layers += nn.ModuleList([elu])

    assert layers is before
    assert list(layers._modules.items()) == [("0", relu), ("1", tanh), ("2", gelu), ("3", elu)]


def test_plus_joins_with_any_iterable():
    """``ModuleList + list`` returns a new ``ModuleList``; ``list + ModuleList`` raises ``TypeError``.

    The new one is a plain ``ModuleList`` even for a subclass; the old one is unchanged.
    """

    class Stack(nn.ModuleList):
        pass

    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    layers = Stack([relu])

    joined = layers + [tanh, gelu]  # noqa: RUF005

    assert type(joined) is nn.ModuleList
    assert list(joined._modules.items()) == [("0", relu), ("1", tanh), ("2", gelu)]
    assert [(layers + []) is layers, len(layers)] == [False, 1]  # noqa: RUF005
    with pytest.raises(TypeError, match="can only concatenate list"):
        [tanh] + layers  # noqa: RUF005


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, [nn.GELU, nn.ReLU, nn.Tanh]),
        (1, [nn.ReLU, nn.GELU, nn.Tanh]),
        (2, [nn.ReLU, nn.Tanh, nn.GELU]),
    ],
    ids=["0", "1", "2"],
)
def test_insert_shifts_the_later_ones(index, expected):
    """:meth:`ModuleList.insert <torch.nn.ModuleList.insert>` inserts a module before an index."""
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    result = layers.insert(index, nn.GELU())

    assert result is None
    assert list(layers._modules) == ["0", "1", "2"]
    assert [type(layer) for layer in layers] == expected


@pytest.mark.parametrize("index", [-1, -2])
def test_insert_at_a_negative_index_fails(index):
    """``ModuleList.insert`` with a negative index raises ``KeyError`` and leaves the first module duplicated.

    ``layers.insert(len(layers) - 1, module)`` is what ``-1`` means for a list.
    """
    relu, tanh = nn.ReLU(), nn.Tanh()
    layers = nn.ModuleList([relu, tanh])

    with pytest.raises(KeyError, match="'-1'"):
        layers.insert(index, nn.GELU())

    assert list(layers) == [relu, relu, tanh]


def test_insert_past_the_end_leaves_a_gap():
    """``ModuleList.insert`` with an index past the end uses the index as the name, which leaves a gap.

    The last element is then out of reach by its position.
    """
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    layers.insert(7, nn.GELU())

    assert list(layers._modules) == ["0", "1", "7"]
    with pytest.raises(KeyError, match="'2'"):
        layers[2]


def test_insert_takes_anything():
    """``ModuleList.insert`` does not check the type of the element: a number is accepted."""
    layers = nn.ModuleList([nn.ReLU()])
    for value in (3, "text", torch.relu):
        layers.insert(1, value)
        assert layers[1] is value


def test_pop_removes_and_returns():
    """:meth:`ModuleList.pop(i) <torch.nn.ModuleList.pop>` removes and returns a module; with a slice, a
    ``ModuleList``.

    Unlike ``list.pop`` it has no default index: ``layers.pop(-1)`` removes the last module.
    """
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    layers = nn.ModuleList([relu, tanh, gelu, elu])

    assert layers.pop(-3) is tanh
    popped = layers.pop(slice(1, None))
    assert type(popped) is nn.ModuleList
    assert list(popped.named_children()) == [("0", gelu), ("1", elu)]
    assert list(layers._modules.items()) == [("0", relu)]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'key'"):
        layers.pop()
    assert [popped.pop(0), *popped] == [gelu, elu]


def test_some_methods_of_a_list_are_missing():
    """Of the methods of ``list``, ``ModuleList`` has only ``append``, ``extend``, ``insert`` and ``pop``.

    ``list(layers)`` is a plain list, which has them all.
    """
    layers = nn.ModuleList([nn.ReLU()])
    methods = [name for name in dir(list) if not name.startswith("_")]

    assert [name for name in methods if hasattr(layers, name)] == ["append", "extend", "insert", "pop"]


def test_extending_with_itself_fails():
    """A ``ModuleList`` added to itself with ``+=`` raises ``RuntimeError``: it changes during iteration.

    ``layers += list(layers)`` appends each module once more.
    """
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    with pytest.raises(RuntimeError, match="during iteration"):
        layers += layers
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    layers += list(layers)
    assert list(layers) == [layers[0], layers[1], layers[0], layers[1]]


def test_dir_of_a_list_leaves_numbers_out():
    """``dir()`` of a ``ModuleList`` lists no elements, though ``getattr(layers, "1")`` finds one."""
    layers = nn.ModuleList(nn.ReLU() for _ in range(11))
    layers.tail = nn.GELU()

    assert {"tail", "append", "training"} <= set(dir(layers))
    assert [name for name in dir(layers) if name.isdigit()] == []
    assert getattr(layers, "1") is layers[1]
