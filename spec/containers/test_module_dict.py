"""ModuleDict: modules in a dictionary.

The keys of a ``ModuleDict`` are the names of its children, and so the rules for names of children hold
for them. It keeps the order of insertion.
"""

from collections import OrderedDict
from types import MappingProxyType

import pytest
import torch
from torch import nn


def test_a_key_is_the_name_of_a_child():
    """An :class:`nn.ModuleDict <torch.nn.ModuleDict>` registers its modules as submodules named by their
    keys.

    What is in a plain dict is missing from ``parameters()`` and stays on its device when the model moves.
    """
    net = nn.Module()
    net.heads = nn.ModuleDict({"left": nn.Linear(2, 3), "right": nn.Linear(2, 1, bias=False)})
    net.lost = {"left": nn.Linear(2, 3)}
    net.to("meta")

    assert net.lost["left"].weight.device.type == "cpu"
    assert net.heads["left"] is net.heads.left
    assert [name for name, _ in net.named_parameters()] == [
        "heads.left.weight",
        "heads.left.bias",
        "heads.right.weight",
    ]


@pytest.mark.parametrize(
    "kind",
    [
        dict,
        OrderedDict,
        nn.ModuleDict,
        MappingProxyType,
        lambda d: list(d.items()),
        lambda d: map(list, d.items()),
    ],
    ids=["dict", "OrderedDict", "ModuleDict", "other mapping", "pairs", "iterator of lists"],
)
@pytest.mark.question("Q21")
def test_it_is_built_from_mappings_and_pairs(kind):
    """A ``ModuleDict`` is built from a mapping, a ``ModuleDict`` or key/value pairs, and keeps their order.

    A :class:`~torch.nn.ParameterDict` sorts the keys of a plain dict.
    """
    tanh, relu, gelu = nn.Tanh(), nn.ReLU(), nn.GELU()

    table = nn.ModuleDict(kind({"z": tanh, "a": relu, "m": gelu}))

    assert list(table.items()) == [("z", tanh), ("a", relu), ("m", gelu)]


@pytest.mark.parametrize("nothing", [(), (None,), ({},)], ids=["nothing", "None", "dict"])
def test_nothing_makes_an_empty_dict(nothing):
    """``ModuleDict()`` and ``ModuleDict(None)`` are empty; an empty ``ModuleDict`` is falsy.

    So ``if self.heads is not None:`` is what asks whether there is one at all.
    """
    table = nn.ModuleDict(*nothing)
    assert len(table) == 0
    assert bool(table) is False

    table["a"] = nn.ReLU()
    assert len(table) == 1
    assert bool(table) is True

    table.clear()
    assert bool(table) is False


def test_a_dict_of_modules_cannot_be_called():
    """Calling a ``ModuleDict`` raises ``NotImplementedError``: call one of its modules, ``table[key](x)``."""
    table, x = nn.ModuleDict({"softplus": nn.Softplus(), "tanh": nn.Tanh()}), torch.rand(3)

    for call in (lambda: table(x), lambda: table("tanh", x), lambda: nn.ModuleDict({"tanh": nn.Tanh()})(x)):
        with pytest.raises(NotImplementedError, match=r"Module \[ModuleDict\] is missing the required"):
            call()
    assert torch.equal(table["tanh"](x), torch.tanh(x))


def test_it_reads_like_a_dict():
    """``len()``, ``in`` and iteration of a ``ModuleDict`` use its keys, as for a dict."""
    relu = nn.ReLU()
    table = nn.ModuleDict({"r": relu, "none": None})

    assert len(table) == 2
    assert [key in table for key in ("r", "none", "x", relu, "keys")] == [True, True, False, False, False]
    assert list(table) == ["r", "none"]


def test_keys_values_and_items_are_live():
    """``keys()``, ``values()`` and ``items()`` of a ``ModuleDict`` are live views that show modules added
    later.

    They are :meth:`~torch.nn.ModuleDict.keys`, :meth:`~torch.nn.ModuleDict.values` and
    :meth:`~torch.nn.ModuleDict.items`.
    """
    table = nn.ModuleDict({"r": nn.ReLU()})
    keys, values, items = table.keys(), table.values(), table.items()

    table["t"] = nn.Tanh()

    assert [len(keys), len(values), len(items)] == [2, 2, 2]
    assert list(keys) == list(keys) == ["r", "t"]
    assert list(values) == [table["r"], table["t"]]
    assert list(items) == [("r", table["r"]), ("t", table["t"])]


def test_a_repeated_module_is_a_value_each_time():
    """A module under two keys of a ``ModuleDict`` is in ``values()`` twice, but in ``children()`` once."""
    relu = nn.ReLU()
    table = nn.ModuleDict({"a": relu, "b": relu})

    assert list(table.values()) == [relu, relu]
    assert list(table.children()) == [relu]


def test_setting_a_key_replaces_in_place():
    """Setting an existing key of a ``ModuleDict`` keeps its position; a new key is added at the end."""
    relu, tanh, gelu, elu = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    table = nn.ModuleDict({"none": None, "a": relu, "b": tanh})

    table["a"] = gelu
    table["c"] = elu
    table["none"] = relu

    assert list(table.items()) == [("none", relu), ("a", gelu), ("b", tanh), ("c", elu)]


def test_a_value_is_a_module_or_none():
    """Setting a value of a ``ModuleDict`` that is neither a module nor ``None`` raises ``TypeError``."""
    table = nn.ModuleDict()

    for value in (3, 0, nn.ReLU, nn.Parameter(torch.rand(2)), [nn.ReLU()]):
        with pytest.raises(TypeError, match=r"is not a Module subclass$"):
            table["a"] = value
        with pytest.raises(TypeError, match=r"is not a Module subclass$"):
            nn.ModuleDict({"a": value})
    table["a"] = None

    assert list(table.items()) == [("a", None)]


@pytest.mark.question("Q19")
@pytest.mark.parametrize("key", [3, ("a", 1), None], ids=repr)
def test_a_key_must_be_a_string(key):
    """A ``ModuleDict`` key that is not a string raises ``TypeError``.

    Use ``str(key)`` for a number or a tuple.
    """
    table = nn.ModuleDict()
    kind = "NoneType" if key is None else type(key).__name__

    with pytest.raises(TypeError, match=f"^module name should be a string. Got {kind}$"):
        table[key] = nn.ReLU()
    with pytest.raises(TypeError, match=f"^module name should be a string. Got {kind}$"):
        nn.ModuleDict({key: nn.ReLU()})

    assert len(table) == 0


@pytest.mark.question("Q19")
def test_a_key_has_no_dot_and_is_not_empty():
    """A ``ModuleDict`` key that is empty or contains a dot raises ``KeyError``.

    A name such as ``layer.1`` may be stored with another sign, ``name.replace(".", "/")``.
    """
    table, relu = nn.ModuleDict(), nn.ReLU()

    for put in (lambda key: table.__setitem__(key, relu), lambda key: nn.ModuleDict({key: relu})):
        with pytest.raises(KeyError, match=r'contain "\.", got: layer\.1'):
            put("layer.1")
        with pytest.raises(KeyError, match="be empty string"):
            put("")

    assert list(table.keys()) == []


@pytest.mark.question("Q19")
@pytest.mark.parametrize("key", ["keys", "pop", "type", "training", "forward", "_modules"])
def test_a_key_must_be_free_as_an_attribute(key):
    """A ``ModuleDict`` key that is a method or attribute name, such as ``"type"``, raises ``KeyError``.

    A prefix or suffix of one's own, ``"type_"``, avoids it.
    """
    table = nn.ModuleDict()

    with pytest.raises(KeyError, match=f"attribute '{key}' already exists"):
        table[key] = nn.ReLU()
    with pytest.raises(KeyError, match=f"attribute '{key}' already exists"):
        nn.ModuleDict({key: nn.ReLU()})
    table[f"{key}_"] = nn.ReLU()

    assert list(table) == [f"{key}_"]


@pytest.mark.parametrize("key", ["x", "training", 0])
def test_a_missing_key_is_a_key_error(key):
    """A missing key of a ``ModuleDict`` raises ``KeyError`` for ``table[key]``, ``del table[key]`` and
    ``pop(key)``.
    """
    table = nn.ModuleDict({"a": nn.ReLU()})

    with pytest.raises(KeyError, match=f"^{key!r}$"):
        table[key]
    with pytest.raises(KeyError, match=f"^{key!r}$"):
        del table[key]
    with pytest.raises(KeyError, match=f"^{key!r}$"):
        table.pop(key)


def test_deleting_a_key_removes_the_module():
    """``del table[key]`` removes a module from a ``ModuleDict``."""
    table = nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Tanh()})

    del table["a"]

    assert list(table) == ["b"]
    assert not hasattr(table, "a")

    del table["b"]
    assert list(table) == []


def test_pop_takes_a_key_only():
    """:meth:`ModuleDict.pop(key) <torch.nn.ModuleDict.pop>` removes and returns a module; it accepts no
    default.
    """
    relu = nn.ReLU()
    table = nn.ModuleDict({"a": relu, "b": nn.Tanh()})

    assert table.pop("a") is relu
    assert list(table) == ["b"]
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        table.pop("b", None)
    with pytest.raises(TypeError, match="unexpected keyword argument 'default'"):
        table.pop("b", default=None)


def test_clear_removes_everything():
    """:meth:`ModuleDict.clear <torch.nn.ModuleDict.clear>` removes all modules."""
    table = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh(), "none": None})

    table.clear()

    assert len(table) == 0
    assert list(table.children()) == []


@pytest.mark.parametrize(
    "kind",
    [dict, OrderedDict, nn.ModuleDict, MappingProxyType, lambda d: map(list, d.items())],
    ids=["dict", "OrderedDict", "ModuleDict", "other mapping", "pairs"],
)
@pytest.mark.question("Q21")
def test_update_merges_in_the_order_given(kind):
    """:meth:`ModuleDict.update <torch.nn.ModuleDict.update>` replaces the modules of existing keys and
    appends new keys.

    What it is given may be a mapping or pairs, and its order is kept. Merging one ``ModuleDict`` into another
    failed on old releases (:issue:`27441`, :pull:`27814`).
    """
    a, b, z, m = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.ELU()
    table = nn.ModuleDict({"a": a, "b": b})

    result = table.update(kind({"z": z, "b": None, "a": m, "c": b}))

    assert result is None
    assert list(table.items()) == [("a", m), ("b", None), ("z", z), ("c", b)]


@pytest.mark.parametrize("value", [3, 0, nn.Linear(2, 3)], ids=["int", "zero", "Linear"])
def test_update_needs_an_iterable(value):
    """``ModuleDict(value)`` and ``ModuleDict.update(value)`` raise ``TypeError`` if ``value`` is not
    iterable.

    ``ModuleDict(None)`` alone is allowed, and is empty.
    """
    text = (
        "^ModuleDict.update should be called with an iterable of key/value pairs, "
        f"but got {type(value).__name__}$"
    )

    with pytest.raises(TypeError, match=text):
        nn.ModuleDict().update(value)
    with pytest.raises(TypeError, match=text):
        nn.ModuleDict(value)
    with pytest.raises(TypeError, match=r"but got NoneType$"):
        nn.ModuleDict(None).update(None)


def test_update_needs_pairs():
    """``ModuleDict.update`` raises ``TypeError`` or ``ValueError`` at the first non-pair; earlier pairs are
    set.
    """
    table = nn.ModuleDict()

    with pytest.raises(TypeError, match="ModuleDict update sequence element #1 should be Iterable; isint"):
        table.update([("a", nn.ReLU()), 3, ("z", nn.ReLU())])
    for other in (("c", nn.ReLU(), nn.Tanh()), ("c",)):
        with pytest.raises(ValueError, match=f"element #1 has length {len(other)}; 2 is required"):
            table.update([("b", nn.ReLU()), other, ("d", nn.ReLU())])

    assert list(table) == ["a", "b"]


def test_an_attribute_is_a_key():
    """A module assigned to an attribute of a ``ModuleDict`` is also an entry under that name."""
    table = nn.ModuleDict({"a": nn.ReLU()})

    table.tail = tanh = nn.Tanh()
    table.a = gelu = nn.GELU()

    assert list(table.items()) == [("a", gelu), ("tail", tanh)]


def test_some_methods_of_a_dict_are_missing():
    """``ModuleDict`` has no methods ``copy``, ``fromkeys``, ``get``, ``popitem`` and ``setdefault``.

    ``table[key] if key in table else default`` does what ``get`` would. A ``ParameterDict`` has them all.
    """
    table = nn.ModuleDict()
    methods = [name for name in dir(dict) if not name.startswith("_")]

    assert [name for name in methods if not hasattr(table, name)] == [
        "copy",
        "fromkeys",
        "get",
        "popitem",
        "setdefault",
    ]
    assert [name for name in methods if not hasattr(nn.ParameterDict(), name)] == []


def test_keys_are_printed():
    """The ``repr`` of a ``ModuleDict`` shows each module with its key."""
    table = nn.ModuleDict({"act": nn.ReLU(), "b": nn.ReLU(), "out": nn.Dropout(0.25)})

    assert (
        repr(table)
        == "ModuleDict(\n  (act): ReLU()\n  (b): ReLU()\n  (out): Dropout(p=0.25, inplace=False)\n)"
    )
    assert repr(nn.ModuleDict({"act": nn.ReLU()})) == "ModuleDict(\n  (act): ReLU()\n)"
