"""The older ``torch.nn.utils.stateless.functional_call``.

It does what :func:`torch.func.functional_call` does with one dict, and warns that it is deprecated.
"""

import re
import warnings

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils import stateless


@pytest.mark.since("2.4")
def test_it_warns_with_a_future_warning():
    """The deprecation warning of
    :func:`torch.nn.utils.stateless.functional_call <torch.nn.utils.stateless.functional_call>` is a
    ``FutureWarning``.

    Use :func:`torch.func.functional_call`, which accepts the same arguments and more, only its second is
    called ``parameter_and_buffer_dicts``.
    """
    message = (
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 "
        "and will be removed in a future version of PyTorch. "
        "Please use `torch.func.functional_call` instead which is a drop-in replacement."
    )
    with pytest.warns(FutureWarning, match=f"^{re.escape(message)}$"):
        stateless.functional_call(nn.Linear(2, 1), {}, torch.rand(2))
    out = functional_call(nn.Linear(2, 1), {}, torch.rand(2), None, tie_weights=True, strict=False)
    assert out.shape == (1,)


@pytest.mark.before("2.4")
def test_it_warned_with_a_user_warning():
    """The deprecation warning of ``torch.nn.utils.stateless.functional_call`` is a ``UserWarning``."""
    with pytest.warns(
        UserWarning, match=r"deprecated as of PyTorch 2\.0 .* use torch\.func\.functional_call"
    ):
        stateless.functional_call(nn.Linear(2, 1), {}, torch.rand(2))


def test_the_newer_form_does_not_warn():
    """``torch.func.functional_call`` does not warn, unlike ``torch.nn.utils.stateless.functional_call``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        functional_call(nn.Linear(2, 1), {}, torch.rand(2))
        functional_call(nn.Linear(2, 1), ({}, {}), torch.rand(2))
        functional_call(nn.ReLU(), {}, torch.rand(2), None, tie_weights=False, strict=True)
        assert caught == []

        stateless.functional_call(nn.Linear(2, 1), {}, torch.rand(2))
        assert len(caught) == 1


def test_it_computes_with_the_given_tensors_for_one_call():
    """``stateless.functional_call`` calls a module with given tensors as its parameters, then restores it."""
    layer = nn.Linear(2, 1)
    net, own = nn.Sequential(layer), [layer.weight, layer.bias]
    given = {"weight": torch.tensor([[2.0, 3.0]]), "bias": torch.tensor([5.0])}

    out = stateless.functional_call(layer, given, (), {"input": torch.tensor([10.0, 100.0])})
    nested = {f"0.{name}": value for name, value in given.items()}

    assert out.tolist() == [325.0]
    assert stateless.functional_call(net, nested, torch.tensor([10.0, 100.0])).tolist() == [325.0]
    with pytest.raises(RuntimeError, match="shape"):
        stateless.functional_call(layer, given, torch.rand(5))
    assert [p is old for p, old in zip(layer.parameters(), own, strict=True)] == [True, True]


def test_it_takes_one_dict_only():
    """``stateless.functional_call`` raises ``AttributeError`` for a tuple of dicts, unlike
    ``func.functional_call``.
    """
    layer, given = nn.Linear(2, 1), ({"weight": torch.tensor([[2.0, 3.0]])}, {"bias": torch.tensor([5.0])})
    x = torch.tensor([10.0, 100.0])

    for several in (given, given[:1], ()):
        with pytest.raises(AttributeError, match="'tuple' object has no attribute"):
            stateless.functional_call(layer, several, x)
    assert functional_call(layer, given, x).tolist() == [325.0]


def test_its_keyword_is_unknown_to_the_newer_form():
    """``torch.func.functional_call``, unlike ``nn.utils.stateless``, has no keyword
    ``parameters_and_buffers``.

    It raises ``TypeError`` for it: there the tensors are ``parameter_and_buffer_dicts``. By position both
    take them.
    """
    layer, x = nn.Linear(2, 1, bias=False), torch.tensor([10.0, 100.0])
    given = {"weight": torch.tensor([[2.0, 3.0]])}

    assert stateless.functional_call(layer, parameters_and_buffers=given, args=x).tolist() == [320.0]
    with pytest.raises(TypeError, match="unexpected keyword argument 'parameters_and_buffers'"):
        functional_call(layer, parameters_and_buffers=given, args=x)
    assert functional_call(layer, given, x).tolist() == [320.0]


def test_it_is_not_strict_unless_told():
    """``stateless.functional_call`` accepts missing names unless ``strict=True``."""
    norm = nn.BatchNorm1d(2).eval()
    x, given = torch.rand(3, 2), {"num_batches_tracked": torch.tensor(0)}

    assert torch.equal(stateless.functional_call(norm, given, x), norm(x))
    with pytest.raises(
        RuntimeError, match=r"Missing key\(s\): 'bias', 'running_mean', 'running_var', 'weight'\."
    ):
        stateless.functional_call(norm, given, x, strict=True)


def test_it_keeps_ties_unless_told():
    """``stateless.functional_call`` replaces a tied parameter under all names unless
    ``tie_weights=False``.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = self.two = nn.Parameter(torch.tensor(2.0))

        def forward(self):
            return [self.one.item(), self.two.item()]

    for name in ("one", "two"):
        assert stateless.functional_call(Net(), {name: torch.tensor(5.0)}, ()) == [5.0, 5.0]
    given = {"one": torch.tensor(5.0)}
    assert stateless.functional_call(Net(), given, (), tie_weights=False) == [5.0, 2.0]


def test_tied_names_take_one_value():
    """``stateless.functional_call`` raises ``ValueError`` if the names of a tied parameter get different
    values.
    """
    layers = nn.Sequential(nn.PReLU(), nn.PReLU())
    layers[1].weight = layers[0].weight
    given = {"0.weight": torch.tensor([0.5]), "1.weight": torch.tensor([0.75])}

    with pytest.raises(ValueError, match=r"got multiple values for keys \['0.weight', '1.weight'\]"):
        stateless.functional_call(layers, given, torch.tensor([-4.0]))
    assert stateless.functional_call(layers, given, torch.tensor([-4.0]), tie_weights=False).tolist() == [
        -1.5
    ]


@pytest.mark.since("2.6")
def test_arguments_may_be_left_out():
    """``stateless.functional_call`` with ``args=None``, or without ``args``, passes no positional
    arguments.
    """

    class Net(nn.Module):
        def forward(self, *args, scale=1):
            return args, scale

    assert stateless.functional_call(Net(), {}) == ((), 1)
    assert stateless.functional_call(Net(), {}, None) == ((), 1)
    assert stateless.functional_call(Net(), {}, kwargs={"scale": 3}) == ((), 3)
