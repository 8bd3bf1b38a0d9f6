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
    """A :class:`~torch.nn.ParameterDict` registers its parameters under their keys."""
    net = nn.Module()
    net.scales = nn.ParameterDict(
        [("left", nn.Parameter(torch.rand(2))), ("right", nn.Parameter(torch.rand(3)))]
    )

    assert [name for name, _ in net.named_parameters()] == ["scales.left", "scales.right"]
    assert net.scales["left"] is net.scales.left


def test_a_tensor_value_becomes_a_parameter():
    """A tensor put into a ``ParameterDict`` becomes a parameter on its memory; a parameter stays itself."""
    tensor, parameter = torch.rand(2), nn.Parameter(torch.rand(3), requires_grad=False)
    table = nn.ParameterDict([("t", tensor)])

    table["p"] = parameter

    assert [type(table["t"]), table["t"].requires_grad] == [nn.Parameter, True]
    assert table["t"].data_ptr() == tensor.data_ptr()
    assert table["p"] is parameter


@pytest.mark.question("Q25")
def test_other_values_are_kept_under_their_key():
    """A value that is no tensor is kept as it is: it has a key, and is no parameter."""
    table = nn.ParameterDict([("p", torch.rand(2)), ("n", 7), ("s", "text")])
    table["none"] = None

    assert [table["n"], table["s"], table["none"]] == [7, "text", None]
    assert list(table) == ["p", "n", "s", "none"]
    assert [name for name, _ in table.named_parameters()] == ["p"]


@pytest.mark.parametrize(
    "kind",
    [OrderedDict, nn.ParameterDict, list, iter, lambda pairs: map(list, pairs)],
    ids=["OrderedDict", "ParameterDict", "list of pairs", "iterator of pairs", "iterator of lists"],
)
def test_the_order_given_is_kept(kind):
    """A ``ParameterDict`` keeps the order of an ``OrderedDict``, of another one, and of pairs."""
    table = nn.ParameterDict(kind([("z", "1"), ("a", "2"), ("m", "3")]))

    assert list(table.items()) == [("z", "1"), ("a", "2"), ("m", "3")]


@pytest.mark.parametrize("kind", [dict, MappingProxyType], ids=["dict", "other mapping"])
def test_a_plain_dict_is_sorted(kind):
    """A ``ParameterDict`` built from a plain dict, or another mapping, is sorted by its keys.

    A ``ModuleDict`` keeps their order.
    """
    table = nn.ParameterDict(kind({"z": "1", "a": "2", "m": "3"}))

    assert list(table.items()) == [("a", "2"), ("m", "3"), ("z", "1")]


def test_a_dict_of_nothing_is_empty():
    """A ``ParameterDict`` of nothing is empty, and false as an empty dict is."""
    one = nn.ParameterDict({"a": torch.rand(2)})

    assert [len(nn.ParameterDict()), len(nn.ParameterDict(None)), len(one)] == [0, 0, 1]
    assert [bool(nn.ParameterDict()), bool(one)] == [False, True]


def test_it_is_read_like_a_dict():
    """``len``, ``in``, iteration and ``reversed`` of a ``ParameterDict`` are those of a dict."""
    table = nn.ParameterDict([("z", "1"), ("a", "2")])

    assert [len(table), "a" in table, "x" in table] == [2, True, False]
    assert list(table) == ["z", "a"]
    assert list(reversed(table)) == ["a", "z"]


@pytest.mark.observed
def test_values_and_items_are_generators():
    """A ``ParameterDict`` has a live view of its keys, but its values and items can be walked once only.

    They are :meth:`~torch.nn.ParameterDict.keys`, :meth:`~torch.nn.ParameterDict.values` and
    :meth:`~torch.nn.ParameterDict.items`.
    """
    table = nn.ParameterDict([("z", "1"), ("a", "2")])
    keys, values, items = table.keys(), table.values(), table.items()

    assert [list(values), list(items)] == [["1", "2"], [("z", "1"), ("a", "2")]]
    assert [list(values), list(items)] == [[], []]
    assert list(keys) == list(keys) == ["z", "a"]


def test_setting_a_key_keeps_its_place():
    """Setting an existing key keeps its place; a key that was deleted comes back at the end."""
    table = nn.ParameterDict([("z", "1"), ("a", "2"), ("m", "3")])

    table["z"] = "4"
    assert list(table.items()) == [("z", "4"), ("a", "2"), ("m", "3")]

    del table["z"]
    table["z"] = "5"
    assert list(table.items()) == [("a", "2"), ("m", "3"), ("z", "5")]


@pytest.mark.observed
def test_a_parameter_gives_way_to_no_plain_value():
    """The key of a parameter takes another parameter, a tensor or ``None``, and nothing else."""
    table = nn.ParameterDict([("p", torch.rand(2))])

    with pytest.raises(TypeError, match="cannot assign 'int' as parameter 'p'"):
        table["p"] = 7
    table["p"] = torch.rand(3)
    assert table["p"].shape == (3,)

    table["p"] = None
    assert list(table.items()) == [("p", None)]


@pytest.mark.parametrize("key", [3, ("a", 1)], ids=repr)
def test_a_key_that_is_no_string_is_refused(key):
    """A key of a ``ParameterDict`` that is no string raises ``TypeError``, to set and to get."""
    table = nn.ParameterDict()
    text = (
        "Index given to ParameterDict cannot be used as a key as it is not a string "
        f"(type is '{type(key).__name__}'). Open an issue on github if you need non-string keys."
    )

    with pytest.raises(TypeError) as setting:
        table[key] = "value"
    with pytest.raises(TypeError) as getting:
        table[key]

    assert [str(setting.value), str(getting.value)] == [text, text]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("layer.1", "can't contain"),
        ("", "can't be empty string"),
        ("keys", "attribute 'keys' already exists"),
    ],
)
def test_the_rules_for_names_hold_for_keys(key, text):
    """A parameter's key that is empty, has a dot or is an attribute already raises ``KeyError``."""
    with pytest.raises(KeyError) as refused:
        nn.ParameterDict([(key, torch.rand(2))])

    assert text in refused.value.args[0]


@pytest.mark.observed
def test_a_refused_key_is_counted_all_the_same():
    """A key that was refused stays in the ``ParameterDict`` without a value."""
    table = nn.ParameterDict()

    with pytest.raises(TypeError):
        table[3] = "value"
    with pytest.raises(KeyError):
        table["layer.1"] = torch.rand(2)

    assert list(table) == [3, "layer.1"]


@pytest.mark.observed
def test_a_value_may_hide_a_method():
    """A value that is no parameter may have the key of a method, and then hides it."""
    table = nn.ParameterDict([("p", "1")])

    table["keys"] = 7

    assert [table.keys, list(table)] == [7, ["p", "keys"]]


def test_a_missing_key_differs_by_operation():
    """A missing key raises ``AttributeError`` to read and to pop, and ``KeyError`` to delete."""
    table = nn.ParameterDict([("p", "1")])

    with pytest.raises(AttributeError, match="'ParameterDict' object has no attribute 'x'"):
        table["x"]
    with pytest.raises(AttributeError, match="'ParameterDict' object has no attribute 'x'"):
        table.pop("x")
    with pytest.raises(KeyError, match="'x'"):
        del table["x"]


@pytest.mark.observed
def test_reading_a_key_reads_an_attribute():
    """Reading a key reads the attribute of that name, so ``table["training"]`` is ``True``."""
    table = nn.ParameterDict()

    assert [table["training"], "training" in table] == [True, False]


def test_an_attribute_is_no_key():
    """A parameter set as an attribute belongs to the model, but has no key."""
    table = nn.ParameterDict([("p", "1")])

    table.scale = nn.Parameter(torch.rand(2))

    assert [list(table), len(table), "scale" in table] == [["p"], 1, False]
    assert [name for name, _ in table.named_parameters()] == ["scale"]


def test_deleting_removes_the_parameter():
    """``del table[key]`` removes the key and the parameter."""
    table = nn.ParameterDict([("p", torch.rand(2)), ("q", torch.rand(3))])

    del table["p"]

    assert [list(table), hasattr(table, "p")] == [["q"], False]
    assert [name for name, _ in table.named_parameters()] == ["q"]


def test_pop_returns_the_value():
    """:meth:`~torch.nn.ParameterDict.pop` removes a value and returns it; it takes no default."""
    table = nn.ParameterDict([("p", "1"), ("q", "2")])

    assert table.pop("p") == "1"
    assert list(table.items()) == [("q", "2")]
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        table.pop("q", None)


def test_popitem_takes_the_last():
    """:meth:`~torch.nn.ParameterDict.popitem` removes and returns the pair inserted last."""
    table = nn.ParameterDict([("z", "1"), ("a", "2")])

    assert [table.popitem(), table.popitem()] == [("a", "2"), ("z", "1")]
    assert [list(table), hasattr(table, "z")] == [[], False]
    with pytest.raises(KeyError, match="dictionary is empty"):
        table.popitem()


def test_clear_empties_the_dict():
    """:meth:`~torch.nn.ParameterDict.clear` removes all values, and leaves other attributes alone."""
    table = nn.ParameterDict([("p", torch.rand(2)), ("n", 7)])
    table.scale = nn.Parameter(torch.rand(3))

    table.clear()

    assert [len(table), hasattr(table, "n")] == [0, False]
    assert [name for name, _ in table.named_parameters()] == ["scale"]


def test_get_has_a_default():
    """:meth:`~torch.nn.ParameterDict.get` returns the value, or the default if the key is not there."""
    table = nn.ParameterDict([("p", "1")])

    assert [table.get("p"), table.get("p", "2"), table.get("x"), table.get("x", "2")] == ["1", "1", None, "2"]
    assert table.get("training") is None


def test_setdefault_sets_what_is_missing():
    """:meth:`~torch.nn.ParameterDict.setdefault` returns the value, setting the default if there is none."""
    table = nn.ParameterDict([("p", "1")])

    assert table.setdefault("p", "2") == "1"
    assert type(table.setdefault("q", torch.rand(2))) is nn.Parameter
    assert table.setdefault("r") is None
    assert list(table) == ["p", "q", "r"]


@pytest.mark.question("Q27")
def test_train_of_a_dict_does_not_warn():
    """Building a ``ParameterDict``, setting its attributes and calling ``train()`` give no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = nn.ParameterDict({"p": torch.rand(2)})
        table.note = "text"
        table.train(False)

    assert [str(warning.message) for warning in caught] == []
    assert [table.training, table.note] == [False, "text"]


def test_it_is_not_to_be_called():
    """Calling a ``ParameterDict`` with a value raises ``RuntimeError``."""
    with pytest.raises(RuntimeError, match=r"^ParameterDict should not be called\.$"):
        nn.ParameterDict()(7)


@pytest.mark.observed
def test_it_prints_type_and_size():
    """A ``ParameterDict`` prints each tensor's type and size, or the type of what is no tensor."""
    table = nn.ParameterDict(
        [("w", torch.rand(2, 3)), ("s", "text"), ("x", torch.rand((), dtype=torch.float64))]
    )

    assert repr(table) == (
        "ParameterDict(\n"
        "    (w): Parameter containing: [torch.FloatTensor of size 2x3]\n"
        "    (s): Object of type: str\n"
        "    (x): Parameter containing: [torch.DoubleTensor of size ]\n"
        ")"
    )


@pytest.mark.observed
def test_it_prints_a_plain_tensor():
    """A value that was overwritten with a plain tensor as an attribute is printed as a tensor.

    The lines come from :meth:`~torch.nn.ParameterDict.extra_repr`.
    """
    table = nn.ParameterDict([("n", 7)])
    table.n = torch.rand(2, 3)

    assert type(table["n"]) is torch.Tensor
    assert table.extra_repr() == "  (n): Tensor containing: [torch.FloatTensor of size 2x3]"


@pytest.mark.needs("cuda")
@pytest.mark.since("2.1")
@pytest.mark.observed
def test_it_prints_the_cuda_device_of_a_value():
    """A ``ParameterDict`` prints the device of a parameter on a GPU."""
    table = nn.ParameterDict([("p", torch.rand(2, device="cuda:0"))])

    assert table.extra_repr() == "  (p): Parameter containing: [torch.cuda.FloatTensor of size 2 (cuda:0)]"


@pytest.mark.needs("cuda")
@pytest.mark.before("2.1")
@pytest.mark.observed
def test_it_prints_the_gpu_number_of_a_value():
    """A ``ParameterDict`` prints the number of the GPU on which a parameter is."""
    table = nn.ParameterDict([("p", torch.rand(2, device="cuda:0"))])

    assert table.extra_repr() == "  (p): Parameter containing: [torch.cuda.FloatTensor of size 2 (GPU 0)]"


@pytest.mark.since("2.1")
@pytest.mark.observed
@pytest.mark.parametrize("where", ["cuda:1", "privateuseone:0"])
def test_it_prints_where_a_value_says_it_is(where):
    """A ``ParameterDict`` prints the device for CUDA and for the backend that a vendor registered.

    The parameter here only says that it is there, so that the clause needs no such device.
    """

    class Far(nn.Parameter):
        device = torch.device(where)

    table = nn.ParameterDict([("p", Far(torch.rand(2)))])

    assert table.extra_repr().endswith(f" of size 2 ({Far.device})]")
