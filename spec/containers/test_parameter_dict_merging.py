"""Copying and merging a ParameterDict.

``update`` and ``|=`` change a ``ParameterDict``; ``copy``, ``fromkeys`` and ``|`` make a new one.
"""

from collections import OrderedDict
from copy import deepcopy

import pytest
import torch
from torch import nn


def test_copy_shares_the_parameters():
    """:meth:`ParameterDict.copy() <torch.nn.ParameterDict.copy>` returns a new ``ParameterDict`` with the
    same parameter objects.

    ``copy.deepcopy`` copies the parameters too.
    """
    table = nn.ParameterDict([("z", torch.rand(2)), ("s", "text"), ("a", nn.Parameter(torch.rand(3), False))])

    copy = table.copy()
    copy["n"] = 7

    assert type(copy) is nn.ParameterDict
    assert list(table) == ["z", "s", "a"]
    assert list(copy) == ["z", "s", "a", "n"]
    assert copy["z"] is table["z"]
    assert copy["a"] is table["a"]
    assert deepcopy(table)["a"] is not table["a"]


def test_fromkeys_makes_a_new_dict():
    """:meth:`ParameterDict.fromkeys(keys, value) <torch.nn.ParameterDict.fromkeys>` returns a new
    ``ParameterDict`` with one value for all keys.

    It is a method of an object, but uses none of the object's entries.
    """
    table = nn.ParameterDict([("p", "1")])

    assert list(table.fromkeys(["z", "a"]).items()) == [("z", None), ("a", None)]
    assert list(table.fromkeys("xy", 0).items()) == [("x", 0), ("y", 0)]
    assert type(table.fromkeys(["z", "a"])) is nn.ParameterDict
    assert list(table) == ["p"]

    weight = nn.Parameter(torch.rand(2))
    shared = table.fromkeys("xy", weight)
    assert shared["x"] is weight
    assert shared["y"] is weight


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_tensor_of_fromkeys_is_shared(requires_grad):
    """``ParameterDict.fromkeys(keys, tensor)`` makes one parameter per key, all sharing the tensor's memory.

    A change of one changes all, and an optimizer steps once for each key. A parameter given instead is itself
    the value of every key. For values of their own give ``ParameterDict`` pairs of key and tensor.
    """
    tensor, parameter = torch.tensor([2.0, 3.0], requires_grad=requires_grad), nn.Parameter(torch.rand(2))

    table = nn.ParameterDict().fromkeys(["z", "a"], tensor)
    with torch.no_grad():
        table["a"].mul_(10)

    assert [name for name, _ in table.named_parameters()] == ["z", "a"]
    assert table["z"].tolist() == [20.0, 30.0]
    assert tensor.tolist() == [20.0, 30.0]

    for value in table.values():
        value.grad = torch.tensor([1.0, 0.0])
    torch.optim.SGD(table.parameters(), lr=2.0).step()
    assert tensor.tolist() == [16.0, 30.0]
    assert list(nn.ParameterDict().fromkeys("zy", parameter).values()) == [parameter, parameter]


@pytest.mark.parametrize(
    "kind", [OrderedDict, nn.ParameterDict, iter], ids=["OrderedDict", "ParameterDict", "pairs"]
)
@pytest.mark.question("Q21")
def test_update_overwrites_and_adds(kind):
    """:meth:`ParameterDict.update <torch.nn.ParameterDict.update>` overwrites existing keys and appends new
    ones.

    New keys come in the order of an ``OrderedDict``, a ``ParameterDict`` or pairs; those of a plain dict are
    sorted.
    """
    old, weight = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2))
    table = nn.ParameterDict([("m", old), ("b", "2")])

    result = table.update(kind([("z", "3"), ("m", weight), ("a", "5")]))

    assert result is None
    assert list(table.items()) == [("m", weight), ("b", "2"), ("z", "3"), ("a", "5")]

    table.update({"y": "7", "x": "6", "b": "8"})
    assert list(table.items())[1:] == [("b", "8"), ("z", "3"), ("a", "5"), ("x", "6"), ("y", "7")]


@pytest.mark.parametrize("value", [7, 0, nn.Linear(2, 3)], ids=["int", "zero", "Linear"])
def test_update_takes_an_iterable_only(value):
    """``ParameterDict(value)`` and ``ParameterDict.update(value)`` raise ``TypeError`` unless ``value`` is
    iterable.

    ``ParameterDict(None)`` alone is allowed, and is empty.
    """
    text = (
        "^ParametersDict.update should be called with an iterable of key/value pairs, "
        f"but got {type(value).__name__}$"
    )

    with pytest.raises(TypeError, match=text):
        nn.ParameterDict().update(value)
    with pytest.raises(TypeError, match=text):
        nn.ParameterDict(value)
    with pytest.raises(TypeError, match=r"but got NoneType$"):
        nn.ParameterDict(None).update(None)


def test_update_takes_pairs_only():
    """``ParameterDict.update`` raises ``TypeError`` or ``ValueError`` at the first non-pair; earlier pairs
    are set.
    """
    table = nn.ParameterDict()

    with pytest.raises(TypeError, match="ParameterDict update sequence element #1 should be Iterable; isint"):
        table.update([("p", "1"), 7, ("t", "4")])
    for other in (("r", "1", "2"), ("r",)):
        with pytest.raises(ValueError, match=f"element #1 has length {len(other)}; 2 is required"):
            table.update([("q", "2"), other, ("s", "3")])

    assert list(table.items()) == [("p", "1"), ("q", "2")]


def test_or_merges_into_a_new_dict():
    """``a | b`` merges two ``ParameterDict`` objects into a new one; for common keys ``b`` wins.

    The new keys of a plain dict are sorted.
    """
    weight, bias = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))
    a, b = nn.ParameterDict([("z", bias), ("m", "2")]), nn.ParameterDict([("m", weight), ("a", "4")])

    merged = a | b

    assert type(merged) is nn.ParameterDict
    assert list(merged.items()) == [("z", bias), ("m", weight), ("a", "4")]
    assert list((a | {"y": "5", "x": "6"}).items()) == [("z", bias), ("m", "2"), ("x", "6"), ("y", "5")]
    assert (a | nn.ParameterDict()) is not a
    assert (nn.ParameterDict() | b) is not b
    assert list(a.items()) == [("z", bias), ("m", "2")]
    assert list(b.items()) == [("m", weight), ("a", "4")]


def test_a_dict_on_the_left_makes_a_dict():
    """``dict | ParameterDict`` returns a plain dict; for common keys the ``ParameterDict`` wins."""
    weight = nn.Parameter(torch.rand(2))
    left = {"z": "1", "m": "2"}

    merged = left | nn.ParameterDict([("m", weight), ("a", "4")])

    assert type(merged) is type({} | nn.ParameterDict()) is dict
    assert list(merged.items()) == [("z", "1"), ("m", weight), ("a", "4")]
    assert list(left.items()) == [("z", "1"), ("m", "2")]


def test_or_equals_updates_in_place():
    """``a |= b`` updates the ``ParameterDict`` ``a`` in place."""
    weight = nn.Parameter(torch.rand(2))
    table = before = nn.ParameterDict([("z", "1"), ("m", "2")])

    table |= OrderedDict([("m", "3"), ("a", "4")])
    table |= nn.ParameterDict([("z", weight)])
    table |= {"n": "5"}

    assert table is before
    assert list(table.items()) == [("z", weight), ("m", "3"), ("a", "4"), ("n", "5")]
    assert [name for name, _ in table.named_parameters()] == ["z"]
