"""Tied tensors in a functional call.

Tensors are *tied* when one and the same is reached by several names. ``tie_weights`` says whether giving it
under one name gives it under all.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.tensor(2.0))
        self.two = self.one

    def forward(self):
        return [self.one.item(), self.two.item()]


@pytest.mark.parametrize("name", ["one", "two"])
def test_one_name_stands_for_all(name):
    """A tied tensor given under any of its names is used under all of them."""
    assert functional_call(Tied(), {name: torch.tensor(5.0)}, ()) == [5.0, 5.0]


def test_without_tie_weights_each_name_stands_alone():
    """With ``tie_weights=False`` a tied tensor is replaced under the given name only."""
    assert functional_call(Tied(), {"one": torch.tensor(5.0)}, (), tie_weights=False) == [5.0, 2.0]


def test_different_values_are_an_error():
    """Different tensors for tied names raise ``ValueError``, which tells all the names."""
    given = {"two": torch.tensor(5.0), "one": torch.tensor(7.0)}

    with pytest.raises(ValueError) as caught:
        functional_call(Tied(), given, ())

    assert str(caught.value) == (
        "functional_call got multiple values for keys ['one', 'two'], which are tied. "
        "Consider using tie_weights=False"
    )


def test_equal_values_in_two_tensors_are_an_error():
    """Two tensors with equal values for tied names raise ``ValueError`` as well."""
    with pytest.raises(ValueError, match="multiple values for keys"):
        functional_call(Tied(), {"one": torch.tensor(5.0), "two": torch.tensor(5.0)}, ())


def test_the_same_tensor_may_be_given_twice():
    """One tensor may be given under several of its tied names."""
    value = torch.tensor(5.0)

    assert functional_call(Tied(), {"one": value, "two": value}, ()) == [5.0, 5.0]


def test_without_tie_weights_values_may_differ():
    """With ``tie_weights=False`` tied names may be given different tensors."""
    given = {"one": torch.tensor(5.0), "two": torch.tensor(7.0)}

    assert functional_call(Tied(), given, (), tie_weights=False) == [5.0, 7.0]


def test_the_tie_holds_again_afterwards():
    """After the call all names lead to the module's own tensor again."""
    net = Tied()
    own = net.one

    functional_call(net, {"two": torch.tensor(5.0)}, ())

    assert net.one is own
    assert net.two is own


def test_the_given_dict_gains_no_names():
    """The given dict is not filled up with the other names of a tied tensor."""
    given = {"one": torch.tensor(5.0)}

    functional_call(Tied(), given, ())

    assert list(given) == ["one"]


def test_strict_is_content_with_one_tied_name():
    """With ``strict=True`` one of the tied names is enough."""
    assert functional_call(Tied(), {"two": torch.tensor(5.0)}, (), strict=True) == [5.0, 5.0]


def test_strict_without_tie_weights_asks_for_all_names():
    """With ``strict=True`` and ``tie_weights=False`` every name is asked for."""
    with pytest.raises(RuntimeError, match=r"Missing key\(s\): 'one'\."):
        functional_call(Tied(), {"two": torch.tensor(5.0)}, (), strict=True, tie_weights=False)


def test_buffers_are_tied_too():
    """A tensor that is a buffer under two names is tied as a parameter is."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("one", torch.tensor(2.0))
            self.register_buffer("two", self.one)

        def forward(self):
            return [self.one.item(), self.two.item()]

    assert functional_call(Net(), {"one": torch.tensor(5.0)}, ()) == [5.0, 5.0]
    assert functional_call(Net(), {"two": torch.tensor(5.0)}, (), strict=True) == [5.0, 5.0]


def test_three_names_of_one_tensor():
    """A tensor with three names is replaced under all three."""
    net = Tied()
    net.inner = Tied()
    net.inner.one = net.inner.two = net.one
    seen = []
    net.register_forward_pre_hook(lambda *_: seen.extend(net.inner()))

    assert functional_call(net, {"inner.two": torch.tensor(5.0)}, ()) == [5.0, 5.0]
    assert seen == [5.0, 5.0]


@pytest.mark.question("Q85")
@pytest.mark.observed
def test_a_submodule_with_two_names_keeps_the_given_tensor():
    """A submodule held under two names keeps the given tensor; its own parameter is lost.

    The tensor is put in under both names, and what is put back under the second is what was put in under
    the first (:issue:`195593`). Ties between parameters of different modules are not affected.
    """
    net = nn.Module()
    net.left = nn.Linear(2, 1)
    net.right = net.left
    net.forward = lambda x: net.left(x)
    given = torch.rand(1, 2)

    functional_call(net, {"left.weight": given}, torch.rand(2))

    assert net.left.weight is given


@pytest.mark.question("Q85")
def test_without_tie_weights_such_a_submodule_is_restored():
    """With ``tie_weights=False`` a submodule held under two names has its own parameter again."""
    net = nn.Module()
    net.left = nn.Linear(2, 1)
    net.right = net.left
    net.forward = lambda x: net.right(x)
    own = net.left.weight
    given = {"left.weight": torch.tensor([[2.0, 3.0]]), "left.bias": torch.tensor([5.0])}

    out = functional_call(net, given, torch.tensor([10.0, 100.0]), tie_weights=False)

    assert out.tolist() == [325.0]
    assert net.left.weight is own
