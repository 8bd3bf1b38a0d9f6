"""ParameterDict: parameters, and other values, in a dictionary.

Keys are strings and become names in the model. A tensor becomes a parameter on its way in; any other value
is kept as it is. Unlike ``ModuleDict`` it has nearly every method of a dict.
"""

import warnings
from collections import OrderedDict
from types import MappingProxyType

import pytest
import torch
from torch import nn


def test_its_keys_are_names_in_the_model():
    """An :class:`nn.ParameterDict <torch.nn.ParameterDict>` registers its parameters under their keys.

    Parameters in a plain dict are missing from the model, and no optimizer gets them.
    """
    net, left, right = nn.Module(), nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3), False)
    net.scales = nn.ParameterDict([("left", left), ("right", right)])
    net.lost = {"left": nn.Parameter(torch.rand(2))}

    assert list(net.named_parameters()) == [("scales.left", left), ("scales.right", right)]
    assert net.scales["left"] is net.scales.left


def test_a_tensor_value_becomes_a_parameter():
    """A ``ParameterDict`` wraps a tensor in a parameter that shares its memory; a parameter is kept."""
    tensor, leaf = torch.rand(2), torch.rand(4, requires_grad=True)
    parameter = nn.Parameter(torch.rand(3), requires_grad=False)
    table = nn.ParameterDict([("t", tensor), ("p", parameter), ("same", torch.rand(3))])
    table["leaf"], table["same"] = leaf, parameter

    for made, given in ((table["t"], tensor), (table["leaf"], leaf)):
        assert [type(made), made.requires_grad, made.data_ptr()] == [nn.Parameter, True, given.data_ptr()]
    assert [table["p"] is parameter, table["same"] is parameter] == [True, True]


@pytest.mark.question("Q25")
def test_other_values_are_kept_under_their_key():
    """A ``ParameterDict`` keeps values that are not tensors, but not as parameters.

    Such values are not in ``state_dict()`` and are lost when the dict is saved by it.
    """
    table = nn.ParameterDict([("p", torch.rand(2)), ("n", 0.5), ("s", "text"), ("l", [1.5, 2.5])])
    table["none"] = None

    assert [table["n"], table["s"], table["l"], table["none"]] == [0.5, "text", [1.5, 2.5], None]
    assert list(table) == ["p", "n", "s", "l", "none"]
    assert [name for name, _ in table.named_parameters()] == ["p"]
    assert list(table.state_dict()) == ["p"]


@pytest.mark.parametrize(
    "kind",
    [OrderedDict, nn.ParameterDict, list, iter, lambda pairs: map(list, pairs)],
    ids=["OrderedDict", "ParameterDict", "list of pairs", "iterator of pairs", "iterator of lists"],
)
def test_the_order_given_is_kept(kind):
    """A ``ParameterDict`` built from an ``OrderedDict``, a ``ParameterDict`` or pairs keeps their order."""
    pairs = [("z", nn.Parameter(torch.rand(2))), ("a", nn.Parameter(torch.rand(3))), ("m", "3")]
    table = nn.ParameterDict(kind(pairs))

    assert list(table.items()) == pairs
    assert list(table.named_parameters()) == pairs[:2]


@pytest.mark.parametrize("kind", [dict, MappingProxyType], ids=["dict", "other mapping"])
def test_a_plain_dict_is_sorted(kind):
    """A ``ParameterDict`` built from a plain ``dict`` or a ``MappingProxyType`` is sorted by its keys.

    A ``ModuleDict`` keeps their order. Where it counts, as for the state of an optimizer, give pairs.
    """
    table = nn.ParameterDict(kind({"z": "1", "a": "2", "m": "3"}))

    assert list(table.items()) == [("a", "2"), ("m", "3"), ("z", "1")]


def test_a_dict_of_nothing_is_empty():
    """``ParameterDict()`` and ``ParameterDict(None)`` are empty; an empty ``ParameterDict`` is falsy."""
    assert [len(nn.ParameterDict()), len(nn.ParameterDict(None)), len(nn.ParameterDict({}))] == [0, 0, 0]
    full = nn.ParameterDict({"a": torch.rand(2)})
    assert [bool(nn.ParameterDict()), bool(full), full.clear(), bool(full)] == [False, True, None, False]


def test_it_is_read_like_a_dict():
    """``len()``, ``in``, iteration and ``reversed()`` of a ``ParameterDict`` use its keys, as for a dict."""
    table = nn.ParameterDict([("z", "1"), ("a", "2")])

    assert len(table) == 2
    assert [key in table for key in ("a", "1", "keys", "training")] == [True, False, False, False]
    assert list(table) == ["z", "a"]
    assert list(reversed(table)) == ["a", "z"]


def test_values_and_items_are_generators():
    """``ParameterDict.keys()`` is a live view; ``values()`` and ``items()`` can be iterated only once.

    They are :meth:`~torch.nn.ParameterDict.keys`, :meth:`~torch.nn.ParameterDict.values` and
    :meth:`~torch.nn.ParameterDict.items`.
    """
    table = nn.ParameterDict([("z", "1"), ("a", "2")])
    keys, values, items = table.keys(), table.values(), table.items()

    assert list(values) == ["1", "2"]
    assert list(items) == [("z", "1"), ("a", "2")]
    assert [list(values), list(items)] == [[], []]

    table["m"] = "3"
    assert list(keys) == list(keys) == ["z", "a", "m"]


def test_setting_a_key_keeps_its_place():
    """Setting an existing key of a ``ParameterDict`` keeps its position; after ``del`` it goes to the end."""
    table = nn.ParameterDict([("z", torch.rand(2)), ("a", torch.rand(2)), ("m", "3")])

    table["z"] = weight = nn.Parameter(torch.rand(4))
    assert list(table.items()) == [("z", weight), ("a", table.a), ("m", "3")]
    table["z"] = torch.rand(4)
    assert ([*table], [name for name, _ in table.named_parameters()]) == (["z", "a", "m"], ["z", "a"])
    del table["z"]
    table["z"] = weight
    assert list(table.items()) == [("a", table.a), ("m", "3"), ("z", weight)]
    assert [name for name, _ in table.named_parameters()] == ["a", "z"]


def test_a_parameter_gives_way_to_no_plain_value():
    """``ParameterDict`` raises ``TypeError`` for replacing a parameter by anything but a tensor or ``None``.

    Delete the key first to give it another value.
    """
    parameter, table = nn.Parameter(torch.rand(4)), nn.ParameterDict([("p", torch.rand(2))])

    for other in (0, "text", nn.ReLU()):
        for put in (lambda x: table.__setitem__("p", x), lambda x: table.update({"p": x})):
            with pytest.raises(TypeError, match=f"cannot assign '{torch.typename(other)}' as parameter 'p'"):
                put(other)
    table["p"] = torch.rand(3)
    assert table["p"].shape == (3,)
    table["p"] = parameter
    assert table["p"] is parameter
    table["p"] = None
    assert list(table.items()) == [("p", None)]
    del table["p"]
    table["p"] = 7
    assert list(table.items()) == [("p", 7)]


@pytest.mark.parametrize("key", [3, ("a", 1), None], ids=repr)
def test_a_key_that_is_no_string_is_refused(key):
    """A ``ParameterDict`` key that is not a string raises ``TypeError``, for setting and getting.

    Use ``str(key)`` for a number or a tuple.
    """
    table = nn.ParameterDict()
    text = f"cannot be used as a key as it is not a string .type is '{type(key).__name__}'.. Open an issue"

    with pytest.raises(TypeError, match=text):
        table[key] = "value"
    with pytest.raises(TypeError, match=text):
        table[key]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("layer.1", r"parameter name can.*t contain"),
        ("", r"parameter name can.*t be empty string"),
        ("keys", r"attribute 'keys' already exists"),
    ],
)
def test_the_rules_for_names_hold_for_keys(key, text):
    """``ParameterDict`` raises ``KeyError`` for a tensor whose key is empty, has a dot or names a method."""
    with pytest.raises(KeyError, match=text):
        nn.ParameterDict([(key, torch.rand(2))])
    with pytest.raises(KeyError, match=text):
        nn.ParameterDict()[key] = torch.rand(2)


def test_an_attribute_of_the_object_gives_way():
    """A ``ParameterDict`` accepts a tensor at key ``"training"``; ``train()`` then raises ``TypeError``.

    The parameter replaces the attribute. A ``ModuleDict`` raises ``KeyError`` for such a key.
    """
    table = nn.ParameterDict([("training", torch.rand(2))])

    assert type(table.training) is nn.Parameter
    for switch in (table.train, table.eval):
        with pytest.raises(TypeError, match="cannot assign 'bool' as parameter 'training'"):
            switch()
    with pytest.raises(KeyError, match="attribute 'training' already exists"):
        nn.ModuleDict({"training": nn.ReLU()})


def test_a_refused_key_is_counted_all_the_same():
    """A new key that a ``ParameterDict`` rejects with an error stays in its keys, without a value."""
    table = nn.ParameterDict()

    with pytest.raises(TypeError, match="it is not a string"):
        table[3] = "value"
    with pytest.raises(KeyError, match="parameter name can"):
        table["layer.1"] = torch.rand(2)

    assert list(table) == [3, "layer.1"]
    with pytest.raises(AttributeError, match=r"no attribute 'layer\.1'"):
        table["layer.1"]


def test_a_value_may_hide_a_method():
    """A non-tensor value under the key ``"keys"`` of a ``ParameterDict`` hides its method ``keys``."""
    table = nn.ParameterDict([("p", "1")])
    table["keys"] = 7

    assert table.keys == 7
    assert list(table) == ["p", "keys"]


def test_a_missing_key_differs_by_operation():
    """A missing ``ParameterDict`` key raises ``AttributeError`` if read or popped, ``KeyError`` if deleted.

    So ``except KeyError`` misses it; ``table.get(key)`` and ``key in table`` do not raise.
    """
    table = nn.ParameterDict([("p", "1")])

    with pytest.raises(AttributeError, match="'ParameterDict' object has no attribute 'x'"):
        table["x"]
    with pytest.raises(AttributeError, match="'ParameterDict' object has no attribute 'x'"):
        table.pop("x")
    with pytest.raises(KeyError, match="'x'"):
        del table["x"]
    assert [table.get("x"), "x" in table] == [None, False]


def test_reading_a_key_reads_an_attribute():
    """``table["training"]`` of a ``ParameterDict`` is ``True``: indexing returns attributes, too."""
    table = nn.ParameterDict()

    assert table["training"] is True
    assert ["training" in table, table.get("training")] == [False, None]


def test_an_attribute_is_no_key():
    """A parameter assigned to an attribute of a ``ParameterDict`` is registered, but is not a key."""
    table = nn.ParameterDict([("p", "1")])

    table.scale = nn.Parameter(torch.rand(2))

    assert list(table) == ["p"]
    assert [len(table), "scale" in table] == [1, False]
    assert [name for name, _ in table.named_parameters()] == ["scale"]


def test_deleting_removes_the_parameter():
    """``del table[key]`` removes the key and its parameter from a ``ParameterDict``."""
    frozen = nn.Parameter(torch.rand(2), requires_grad=False)
    table = nn.ParameterDict([("p", torch.rand(2)), ("f", frozen), ("q", torch.rand(3))])
    del table["p"], table["f"]

    assert list(table) == ["q"]
    assert not hasattr(table, "p")
    assert [name for name, _ in table.named_parameters()] == ["q"]


def test_pop_returns_the_value():
    """:meth:`torch.nn.ParameterDict.pop` removes and returns a value; it accepts no default argument."""
    weight = nn.Parameter(torch.rand(2))
    table = nn.ParameterDict([("p", weight), ("q", "2")])

    assert table.pop("p") is weight
    assert [list(table.items()), hasattr(table, "p")] == [[("q", "2")], False]
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        table.pop("q", None)
    with pytest.raises(TypeError, match="unexpected keyword argument 'default'"):
        table.pop("q", default=None)
    assert [table.pop("q"), list(table), hasattr(table, "q")] == ["2", [], False]


def test_popitem_takes_the_last():
    """:meth:`ParameterDict.popitem() <torch.nn.ParameterDict.popitem>` removes and returns the last item."""
    weight = nn.Parameter(torch.rand(2))
    table = nn.ParameterDict([("z", "1"), ("a", weight)])

    assert table.popitem() == ("a", weight)
    assert not hasattr(table, "a")
    assert table.popitem() == ("z", "1")
    assert list(table) == []
    with pytest.raises(KeyError, match="dictionary is empty"):
        table.popitem()


def test_clear_empties_the_dict():
    """:meth:`ParameterDict.clear <torch.nn.ParameterDict.clear>` removes all keys, not other attributes."""
    table = nn.ParameterDict([("p", torch.rand(2)), ("n", 7)])
    table.scale = nn.Parameter(torch.rand(3))
    table.clear()

    assert [len(table), hasattr(table, "n")] == [0, False]
    assert [name for name, _ in table.named_parameters()] == ["scale"]


def test_get_has_a_default():
    """:meth:`ParameterDict.get() <torch.nn.ParameterDict.get>` returns the value of a key, or the default."""
    weight, bare = nn.Parameter(torch.rand(2)), torch.rand(2)
    table = nn.ParameterDict([("p", weight), ("n", 0), ("none", None)])
    assert [table.get("p"), table.get("p", "2")] == [weight, weight]
    assert [table.get("x"), table.get("x", "2"), table.get("x", default=bare) is bare] == [None, "2", True]
    assert [table.get("n", "2"), table.get("none", "2"), len(table)] == [0, None, 3]


def test_setdefault_sets_what_is_missing():
    """:meth:`ParameterDict.setdefault(key, default) <torch.nn.ParameterDict.setdefault>` returns the value; a
    missing key is set to the default.
    """
    table = nn.ParameterDict([("p", "1")])

    assert table.setdefault("p", "2") == table["p"] == "1"
    assert type(table.setdefault("q", torch.rand(2))) is nn.Parameter
    assert [table.setdefault("r"), table.setdefault("r", "3"), table["r"]] == [None, None, None]
    assert list(table) == ["p", "q", "r"]


@pytest.mark.question("Q27")
def test_train_of_a_dict_does_not_warn():
    """Creating a ``ParameterDict``, setting attributes on it and calling its ``train()`` emit no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = nn.ParameterDict({"p": torch.rand(2)})
        table.note, table.scale = "text", nn.Parameter(torch.rand(3))
        table.train(False)

    assert [str(warning.message) for warning in caught] == []
    assert [table.training, table.note] == [False, "text"]


def test_it_is_not_to_be_called():
    """Calling a ``ParameterDict`` with an argument raises ``RuntimeError``."""
    for given in ("p", 7, torch.rand(2)):
        with pytest.raises(RuntimeError, match=r"^ParameterDict should not be called\.$"):
            nn.ParameterDict([("p", "1")])(given)


def test_it_prints_type_and_size():
    """The ``repr`` of a ``ParameterDict`` shows type and size of tensors, and the type of other values."""
    number = torch.rand((), dtype=torch.float64)
    table = nn.ParameterDict([("w", torch.rand(2, 3)), ("s", "text"), ("x", number)])

    assert repr(table) == (
        "ParameterDict(\n"
        "    (w): Parameter containing: [torch.FloatTensor of size 2x3]\n"
        "    (s): Object of type: str\n"
        "    (x): Parameter containing: [torch.DoubleTensor of size ]\n"
        ")"
    )


def test_it_prints_a_plain_tensor():
    """The ``repr`` of a ``ParameterDict`` marks a plain tensor value with "Tensor containing".

    A tensor set as an attribute stays plain. The lines come from :meth:`~torch.nn.ParameterDict.extra_repr`.
    """
    table = nn.ParameterDict([("n", 7)])
    table.n = torch.rand(2, 3)

    assert table.extra_repr() == "  (n): Tensor containing: [torch.FloatTensor of size 2x3]"


@pytest.mark.needs("cuda")
@pytest.mark.since("2.1")
def test_it_prints_the_cuda_device_of_a_value():
    """The ``repr`` of a ``ParameterDict`` shows the device of a parameter on a GPU, such as ``cuda:0``."""
    table = nn.ParameterDict([("p", torch.rand(2, device="cuda:0"))])

    assert table.extra_repr() == "  (p): Parameter containing: [torch.cuda.FloatTensor of size 2 (cuda:0)]"


@pytest.mark.needs("cuda")
@pytest.mark.before("2.1")
def test_it_prints_the_gpu_number_of_a_value():
    """The ``repr`` of a ``ParameterDict`` shows the number of a parameter's GPU, such as ``GPU 0``."""
    table = nn.ParameterDict([("p", torch.rand(2, device="cuda:0"))])

    assert table.extra_repr() == "  (p): Parameter containing: [torch.cuda.FloatTensor of size 2 (GPU 0)]"


@pytest.mark.since("2.1")
@pytest.mark.parametrize("where", ["cuda:1", "privateuseone:0"])
def test_it_prints_where_a_value_says_it_is(where):
    """The ``repr`` of a ``ParameterDict`` shows the device of parameters on ``cuda`` and ``privateuseone``.

    The parameter here only says that it is there, so that the clause needs no such device.
    """

    class Far(nn.Parameter):
        device = torch.device(where)

    table = nn.ParameterDict([("p", Far(torch.rand(2)))])

    assert table.extra_repr().endswith(f" of size 2 ({Far.device})]")
