"""The older ``torch.nn.utils.stateless.functional_call``.

It does what :func:`torch.func.functional_call` does with one dict, and tells that it is deprecated.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils import stateless


@pytest.mark.since("2.4")
def test_it_warns_with_a_future_warning():
    """:func:`~torch.nn.utils.stateless.functional_call` gives a ``FutureWarning``."""
    with pytest.warns(FutureWarning) as caught:
        stateless.functional_call(nn.Linear(2, 1), {}, torch.rand(2))

    assert [str(warning.message) for warning in caught] == [
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 "
        "and will be removed in a future version of PyTorch. "
        "Please use `torch.func.functional_call` instead which is a drop-in replacement."
    ]


@pytest.mark.before("2.4")
def test_it_warned_with_a_user_warning():
    """:func:`~torch.nn.utils.stateless.functional_call` gives a ``UserWarning``."""
    with pytest.warns(
        UserWarning, match=r"deprecated as of PyTorch 2\.0 .* use torch\.func\.functional_call"
    ):
        stateless.functional_call(nn.Linear(2, 1), {}, torch.rand(2))


def test_the_newer_form_does_not_warn():
    """:func:`~torch.func.functional_call` gives no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        functional_call(nn.Linear(2, 1), {}, torch.rand(2))

    assert caught == []


def test_it_computes_with_the_given_tensors_for_one_call():
    """The older form, too, calls the module with the given tensors and restores it."""
    layer = nn.Linear(2, 1)
    own = layer.weight
    given = {"weight": torch.tensor([[2.0, 3.0]]), "bias": torch.tensor([5.0])}

    out = stateless.functional_call(layer, given, (), {"input": torch.tensor([10.0, 100.0])})

    assert out.tolist() == [325.0]
    assert layer.weight is own


def test_it_takes_one_dict_only():
    """The older form takes no tuple of dicts."""
    with pytest.raises(AttributeError, match="'tuple' object has no attribute"):
        stateless.functional_call(nn.Linear(2, 1), ({}, {}), torch.rand(2))


def test_it_is_not_strict_unless_told():
    """The older form allows missing names unless ``strict=True``."""
    layer = nn.Linear(2, 1)
    x = torch.rand(2)

    assert torch.equal(stateless.functional_call(layer, {}, x), layer(x))
    with pytest.raises(RuntimeError, match=r"Missing key\(s\): 'bias', 'weight'"):
        stateless.functional_call(layer, {}, x, strict=True)


def test_it_keeps_ties_unless_told():
    """The older form keeps tied tensors tied unless ``tie_weights=False``."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = self.two = nn.Parameter(torch.tensor(2.0))

        def forward(self):
            return [self.one.item(), self.two.item()]

    given = {"one": torch.tensor(5.0)}

    assert stateless.functional_call(Net(), given, ()) == [5.0, 5.0]
    assert stateless.functional_call(Net(), given, (), tie_weights=False) == [5.0, 2.0]


@pytest.mark.since("2.6")
def test_arguments_may_be_left_out():
    """The older form, too, may be called without positional arguments."""
    x = torch.rand(2)
    layer = nn.Linear(2, 1)

    assert torch.equal(stateless.functional_call(layer, {}, kwargs={"input": x}), layer(x))
