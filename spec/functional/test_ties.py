"""Tied tensors in a functional call.

Tensors are *tied* when one and the same is reached by several names. ``tie_weights`` says whether giving it
under one name gives it under all.
"""

import re

import pytest
import torch
from torch import nn
from torch.func import functional_call


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.tensor(2.0))
        self.two = self.one

    def forward(self, *args):
        return [self.one.item(), self.two.item()]


@pytest.mark.parametrize("name", ["one", "two"])
def test_one_name_stands_for_all(name):
    """``functional_call`` given one name of a tied parameter replaces the parameter under all its names."""
    given = {name: torch.tensor(5.0)}

    for dicts in (given, (given, {}), [{}, given]):
        assert functional_call(Tied(), dicts, ()) == [5.0, 5.0]
    assert functional_call(nn.Sequential(Tied()), {f"0.{name}": given[name]}, 0) == [5.0, 5.0]


def test_without_tie_weights_each_name_stands_alone():
    """``functional_call(tie_weights=False)`` replaces a tied parameter under the given name only."""
    one, two = {"one": torch.tensor(5.0)}, {"two": torch.tensor(7.0)}

    for given in (one, (one, {})):
        assert functional_call(Tied(), given, (), tie_weights=False) == [5.0, 2.0]
    for given in (two, [{}, two]):
        assert functional_call(Tied(), given, (), tie_weights=False) == [2.0, 7.0]
    assert functional_call(nn.Sequential(Tied()), {"0.one": one["one"]}, 0, tie_weights=False) == [5.0, 2.0]


def test_different_values_are_an_error():
    """``functional_call`` raises ``ValueError`` if the names of a tied parameter get different values.

    The error lists the tied names.
    """
    given = {"two": torch.tensor(5.0), "one": torch.tensor(7.0)}

    message = (
        "functional_call got multiple values for keys ['one', 'two'], which are tied. "
        "Consider using tie_weights=False"
    )
    for dicts in (given, ({"two": given["two"]}, {"one": given["one"]})):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            functional_call(Tied(), dicts, ())
    with pytest.raises(ValueError, match=r"values for keys \['0\.one', '0\.two'\], which are tied"):
        functional_call(nn.Sequential(Tied()), {f"0.{name}": value for name, value in given.items()}, ())


def test_equal_values_in_two_tensors_are_an_error():
    """``functional_call`` raises ``ValueError`` if tied names get two different tensors, even of equal
    values.
    """
    net = Tied()
    net.register_buffer("mean", torch.tensor(3.0))
    net.register_buffer("again", net.mean)

    for names in (("one", "two"), ("mean", "again")):
        with pytest.raises(ValueError, match="multiple values for keys"):
            functional_call(net, {name: torch.tensor(5.0) for name in names}, ())


def test_the_same_tensor_may_be_given_twice():
    """``functional_call`` accepts the same tensor under all names of a tied parameter."""
    value, net = torch.tensor(5.0), Tied()

    for dicts in ({"one": value, "two": value}, ({"one": value}, {"two": value})):
        assert functional_call(net, dicts, ()) == [5.0, 5.0]
    assert functional_call(nn.Sequential(net), {"0.one": value, "0.two": value}, 0) == [5.0, 5.0]

    net.three = net.one
    assert functional_call(net, dict.fromkeys(["one", "two", "three"], value), ()) == [5.0, 5.0]


def test_two_of_three_tied_names_are_an_error():
    """``functional_call`` raises ``KeyError`` if two of three tied names are given; one or all three work.

    The error names one that is missing. Give one of the names, or all.
    """
    net = Tied()
    net.three = net.one
    value = torch.tensor(5.0)

    for given, missing in ((["one", "two"], "three"), (["two", "three"], "one")):
        with pytest.raises(KeyError, match=missing):
            functional_call(net, dict.fromkeys(given, value), ())
    assert functional_call(net, {"one": value}, ()) == [5.0, 5.0]
    assert functional_call(net, {"one": value, "two": value, "three": value}, ()) == [5.0, 5.0]


def test_without_tie_weights_values_may_differ():
    """``functional_call(tie_weights=False)`` accepts different tensors for tied names."""
    net = Tied()
    net.register_buffer("mean", torch.tensor(3.0))
    net.register_buffer("again", net.mean)
    net.register_forward_hook(lambda *_: [b.item() for b in (net.one, net.two, net.mean, net.again)])
    values = {"one": 5.0, "two": 7.0, "mean": 11.0, "again": 13.0}
    given = {name: torch.tensor(value) for name, value in values.items()}

    assert functional_call(net, given, (), tie_weights=False) == [5.0, 7.0, 11.0, 13.0]
    nested = {f"0.{name}": value for name, value in given.items()}
    assert functional_call(nn.Sequential(net), nested, 0, tie_weights=False) == [5.0, 7.0, 11.0, 13.0]


def test_the_tie_holds_again_afterwards():
    """After ``functional_call`` a parameter tied by assignment is the original again under all its names.

    A submodule that has two names is an exception: see
    :ref:`functional.ties.a_submodule_with_two_names_keeps_the_given_tensor`
    """
    net, inner = Tied(), Tied()
    net.three, net.inner = net.one, inner
    inner.one = own = net.one

    functional_call(net, {"two": torch.tensor(5.0)}, ())
    functional_call(nn.Sequential(net), {"0.two": torch.tensor(7.0)}, 0)

    assert [p is own for p in (net.one, net.two, net.three, inner.one)] == [True] * 4
    assert [name for name, _ in net.named_parameters()] == ["one", "inner.two"]


def test_the_given_dict_gains_no_names():
    """``functional_call`` does not add the other names of tied parameters to the given dict."""
    given = {"one": torch.tensor(5.0)}

    functional_call(Tied(), given, ())

    assert list(given) == ["one"]


def test_strict_is_content_with_one_tied_name():
    """``functional_call(strict=True)`` accepts a tied parameter under just one of its names."""
    for name in ("one", "two"):
        given = {name: torch.tensor(5.0)}
        for dicts in (given, (given, {})):
            assert functional_call(Tied(), dicts, (), strict=True) == [5.0, 5.0]
        nested = {f"0.{name}": given[name]}
        assert functional_call(nn.Sequential(Tied()), nested, 0, strict=True) == [5.0, 5.0]


def test_strict_without_tie_weights_asks_for_all_names():
    """``functional_call(strict=True, tie_weights=False)`` requires every name of a tied parameter."""
    value = torch.tensor(5.0)
    options = {"strict": True, "tie_weights": False}

    for name, missing in (("one", "two"), ("two", "one")):
        for dicts in ({name: value}, ({name: value}, {})):
            with pytest.raises(RuntimeError, match=rf"Missing key\(s\): '{missing}'\."):
                functional_call(Tied(), dicts, (), **options)
        with pytest.raises(RuntimeError, match=rf"Missing key\(s\): '0\.{missing}'\."):
            functional_call(nn.Sequential(Tied()), {f"0.{name}": value}, 0, **options)
    for dicts in ({"one": value, "two": value}, ({"one": value}, {"two": value})):
        assert functional_call(Tied(), dicts, (), **options) == [5.0, 5.0]


def test_buffers_are_tied_too():
    """``functional_call`` replaces a tied buffer under both of its names, like a tied parameter."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("one", torch.tensor(2.0))
            self.register_buffer("two", self.one, persistent=False)

        def forward(self):
            return [self.one.item(), self.two.item()]

    assert functional_call(Net(), {"one": torch.tensor(5.0)}, ()) == [5.0, 5.0]
    assert functional_call(Net(), {"two": torch.tensor(5.0)}, (), strict=True) == [5.0, 5.0]

    outer = nn.ModuleDict({"inner": Net()})
    outer.forward = lambda: outer.inner()
    assert functional_call(outer, {"inner.two": torch.tensor(5.0)}, ()) == [5.0, 5.0]


def test_three_names_of_one_tensor():
    """``functional_call`` replaces a parameter that has four names in two modules under all four names."""
    net = Tied()
    net.inner = Tied()
    net.inner.one = net.inner.two = net.one
    seen = []
    net.register_forward_pre_hook(lambda *_: seen.extend(net.inner()))

    assert functional_call(net, {"inner.two": torch.tensor(5.0)}, ()) == [5.0, 5.0]
    assert seen == [5.0, 5.0]


@pytest.mark.question("Q85")
def test_a_submodule_with_two_names_keeps_the_given_tensor():
    """After ``functional_call`` a submodule with two names keeps the given tensor instead of its own.

    The tensor is put in under both names, and what is put back under the second is what was put in under
    the first (:issue:`195593`). ``tie_weights=False`` avoids it. Ties between parameters of different modules
    are not affected.
    """
    net = nn.Module()
    net.left = nn.BatchNorm1d(2).eval()
    net.right = net.left
    net.forward = lambda x: net.left(x)
    weight, mean, x = torch.rand(2), torch.rand(2), torch.rand(3, 2)

    functional_call(net, {"left.weight": weight, "right.running_mean": mean}, x)

    assert net.left.weight is weight
    assert net.left.running_mean is mean
    functional_call(net, {"left.weight": torch.rand(2), "left.running_mean": -mean}, x, tie_weights=False)
    assert net.left.weight is weight
    assert net.left.running_mean is mean

    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = own = tied[0].weight
    functional_call(tied, {"0.weight": torch.rand(2, 2)}, torch.rand(2))
    assert tied[0].weight is tied[1].weight is own


@pytest.mark.question("Q85")
def test_without_tie_weights_such_a_submodule_is_restored():
    """After ``functional_call(tie_weights=False)``, a submodule with two names has its own parameter again.

    The names under which its tensors are given are all that count then: give those that
    ``named_parameters()`` yields.
    """
    net = nn.Module()
    net.left = nn.Linear(2, 1)
    net.right = net.left
    net.forward = lambda x: net.right(x)
    own = net.left.weight
    given = {"left.weight": torch.tensor([[2.0, 3.0]]), "left.bias": torch.tensor([5.0])}

    out = functional_call(net, given, torch.tensor([10.0, 100.0]), tie_weights=False)

    assert out.tolist() == [325.0]
    assert net.left.weight is own
