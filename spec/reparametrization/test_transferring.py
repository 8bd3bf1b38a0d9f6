"""Copying, pickling and transferring parametrized modules.

A parametrized module is copied with its parametrizations, but cannot be pickled. Between two modules the
originals and parametrizations may be handed over.
"""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import (
    is_parametrized,
    register_parametrization,
    transfer_parametrizations_and_params,
    type_before_parametrizations,
)


def test_the_type_before():
    """:func:`type_before_parametrizations <torch.nn.utils.parametrize.type_before_parametrizations>` returns
    the original class of a parametrized module.
    """

    class Own(nn.Linear): ...

    layer = Own(2, 1)

    assert type_before_parametrizations(layer) is Own
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "bias", nn.ReLU())
    assert type_before_parametrizations(layer) is Own


def test_a_copy_has_originals_of_its_own():
    """``copy.deepcopy`` of a parametrized module copies ``original`` and keeps the parametrization.

    So it does with ``original0`` and ``original1`` of a parametrization of two tensors.
    """

    class Sum(nn.Module):
        def forward(self, left, right):
            return left + right

        def right_inverse(self, x):
            return x.clamp(min=0.0), x.clamp(max=0.0)

    for parametrization, wanted in ((nn.ReLU(), [2.0, 0.0]), (Sum(), [2.0, -3.0])):
        layer = nn.Module()
        layer.weight = nn.Parameter(torch.tensor([2.0, -3.0]))
        layer.register_buffer("mean", torch.tensor([2.0, -3.0]))
        register_parametrization(layer, "weight", parametrization)
        register_parametrization(layer, "mean", parametrization)

        other = copy.deepcopy(layer)
        for tensor in (*layer.parameters(), *layer.buffers()):
            tensor.data.fill_(7.0)

        assert other.weight.tolist() == other.mean.tolist() == wanted
        assert type(other) is type(layer)
        assert is_parametrized(other, "weight")


def test_a_copy_within_a_copy_is_made_once():
    """``copy.deepcopy`` of a network makes one copy of a parametrized module that occurs in it twice."""
    layer = register_parametrization(nn.Linear(2, 2), "weight", nn.ReLU())
    outer = register_parametrization(nn.Linear(2, 2), "weight", nn.ReLU())
    outer.inner = layer
    net = copy.deepcopy(nn.Sequential(layer, layer, outer))

    assert net[0] is net[1]
    assert net[0] is net[2].inner
    assert net[0] is not layer


def test_slots_are_copied():
    """``copy.deepcopy`` of a parametrized module also copies the values set in ``__slots__``."""

    class Noted(nn.Linear):
        __slots__ = ("note",)

    class Slotted(Noted):
        __slots__ = ("empty", "other")

    layer = Slotted(2, 1)
    layer.other = 5
    layer.note = ["kept"]
    other = copy.deepcopy(register_parametrization(layer, "weight", nn.ReLU()))

    assert other.note == ["kept"]
    assert other.note is not layer.note
    assert other.other == 5


def test_a_deepcopy_of_the_class_is_used():
    """``copy.deepcopy`` of a parametrized module uses the ``__deepcopy__`` that its class defines."""

    class Own(nn.Linear):
        def __deepcopy__(self, memo):
            return "a copy"

    class Heir(Own):
        pass

    for kind in (Own, Heir):
        layer = register_parametrization(kind(2, 1), "weight", nn.ReLU())
        assert copy.deepcopy(layer) == "a copy"


def test_a_parametrized_module_cannot_be_pickled():
    """``pickle.dumps`` and ``torch.save`` raise ``RuntimeError`` for a parametrized module.

    Save its ``state_dict()``, or call :func:`~torch.nn.utils.parametrize.remove_parametrizations` first.
    """
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    with pytest.raises(RuntimeError, match=r"parametrized modules is only supported through state_dict\(\)"):
        pickle.dumps(layer)
    with pytest.raises(RuntimeError, match=r"parametrized modules is only supported through state_dict\(\)"):
        torch.save(layer, io.BytesIO())
    assert list(pickle.loads(pickle.dumps(layer.state_dict()))) == list(layer.state_dict())


def test_everything_is_transferred():
    """``transfer_parametrizations_and_params`` shares every parametrized tensor with another module.

    :func:`~torch.nn.utils.parametrize.transfer_parametrizations_and_params` returns the other module, which
    holds the very same originals and parametrizations: the two are tied from then on.
    """
    layer, other, names = nn.BatchNorm1d(2), nn.BatchNorm1d(2), ["weight", "bias", "running_mean"]
    for name in names:
        register_parametrization(layer, name, nn.ReLU())
    register_parametrization(layer, "weight", nn.Tanh())

    assert transfer_parametrizations_and_params(layer, other) is other
    assert list(other.parametrizations) == names
    for name in names:
        mine, theirs = layer.parametrizations[name], other.parametrizations[name]
        assert theirs.original is mine.original
        assert list(theirs) == list(mine)


def test_one_tensor_may_be_transferred():
    """``transfer_parametrizations_and_params`` with a ``tensor_name`` transfers only that tensor."""
    layer, other = nn.Linear(2, 1), nn.Linear(2, 1)
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "bias", nn.ReLU())

    transfer_parametrizations_and_params(layer, other, "bias")

    assert [is_parametrized(other, name) for name in ("weight", "bias")] == [False, True]
    assert other.parametrizations.bias.original is layer.parametrizations.bias.original


@pytest.mark.parametrize("names", [(), ("bias",)], ids=["all", "one"])
def test_a_missing_parameter_is_made(names):
    """``transfer_parametrizations_and_params`` creates a parameter that the target module lacks."""
    layer, other = nn.Linear(2, 1), nn.Linear(2, 1, bias=False)
    register_parametrization(layer, "bias", nn.ReLU())
    other._parameters.pop("bias")

    transfer_parametrizations_and_params(layer, other, *names)

    assert other.parametrizations.bias.original is layer.parametrizations.bias.original
    assert torch.equal(other.bias, layer.bias)


@pytest.mark.parametrize("names", [(), ("weight",)], ids=["all", "one"])
def test_several_originals_are_transferred(names):
    """If a tensor has several originals, ``transfer_parametrizations_and_params`` transfers all of them."""

    class Sum(nn.Module):
        def forward(self, a, b, c):
            return a + b + c

        def right_inverse(self, x):
            return x - 3.0, torch.full_like(x, 2.0), torch.ones_like(x)

    layer, other = nn.Linear(2, 1), nn.Linear(2, 1)
    register_parametrization(layer, "weight", Sum())
    transfer_parametrizations_and_params(layer, other, *names)

    mine, theirs = layer.parametrizations.weight, other.parametrizations.weight
    assert theirs.original0 is mine.original0
    assert theirs.original1 is mine.original1
    assert theirs.original2 is mine.original2


@pytest.mark.parametrize("names", [(), ("weight",)], ids=["all", "one"])
def test_a_plain_module_has_nothing_to_transfer(names):
    """``transfer_parametrizations_and_params`` from a module that is not parametrized does nothing."""
    layer, other = nn.Linear(2, 1), nn.Linear(2, 1)
    weight, before = other.weight, other.weight.tolist()

    assert transfer_parametrizations_and_params(layer, other, *names) is other
    assert other.weight is weight
    assert weight.tolist() == before
    assert type(other) is nn.Linear


@pytest.mark.parametrize("names", [(), ("bias",)], ids=["all", "one"])
def test_a_parameter_that_is_none_is_not_made(names):
    """``transfer_parametrizations_and_params`` raises ``AttributeError`` where the target's parameter is
    ``None``.

    So is the bias of a layer built with ``bias=False``. It makes only those that the target does not know by
    name: build both layers alike.
    """
    layer, other = nn.Linear(2, 1), nn.Linear(2, 1, bias=False)
    register_parametrization(layer, "bias", nn.ReLU())

    with pytest.raises(AttributeError, match="'NoneType' object has no attribute"):
        transfer_parametrizations_and_params(layer, other, *names)
    assert other.bias is None


@pytest.mark.parametrize("names", [(), ("running_mean",)], ids=["all", "one"])
def test_a_missing_buffer_is_not_made(names):
    """``transfer_parametrizations_and_params`` raises ``TypeError`` for a buffer that the target lacks."""
    layer, other = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    register_parametrization(layer, "running_mean", nn.ReLU())

    assert transfer_parametrizations_and_params(layer, other, *names) is other
    assert other.parametrizations.running_mean.original is layer.parametrizations.running_mean.original
    with pytest.raises(TypeError, match=r"cannot assign 'torch\.FloatTensor' as parameter 'original'"):
        transfer_parametrizations_and_params(layer, nn.Module(), *names)
