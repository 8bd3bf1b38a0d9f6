"""Removing parametrizations.

The tensor becomes a plain parameter or buffer again, with the value it had or with that of the original.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import (
    is_parametrized,
    register_parametrization,
    remove_parametrizations,
)


def test_by_default_the_value_stays():
    """:func:`~torch.nn.utils.parametrize.remove_parametrizations` leaves the tensor as computed."""
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", nn.ReLU())

    assert remove_parametrizations(layer, "weight") is layer
    assert layer.weight.tolist() == [[2.0, 0.0]]


def test_the_original_may_be_left():
    """With ``leave_parametrized=False`` the tensor has the value of the original again."""
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", nn.ReLU())

    remove_parametrizations(layer, "weight", leave_parametrized=False)

    assert layer.weight.tolist() == [[2.0, -3.0]]


@pytest.mark.parametrize("leave", [True, False])
def test_the_parameter_is_the_same_object(leave):
    """The parameter left by removing is the object that was registered at first."""
    layer = nn.Linear(2, 1)
    weight = layer.weight
    register_parametrization(layer, "weight", nn.ReLU())

    remove_parametrizations(layer, "weight", leave_parametrized=leave)

    assert layer.weight is weight
    assert list(layer._parameters) == ["bias", "weight"]


def test_the_class_is_the_old_one_again():
    """With the last parametrization the class of the module and ``parametrizations`` are undone."""
    layer = nn.Linear(2, 1)
    register_parametrization(layer, "weight", nn.ReLU())

    remove_parametrizations(layer, "weight")

    assert type(layer) is nn.Linear
    assert not hasattr(layer, "parametrizations")
    assert list(layer.children()) == []


def test_all_parametrizations_of_a_tensor_are_removed():
    """Removing takes off all parametrizations of the tensor at once."""
    layer = nn.Linear(2, 1)
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "weight", nn.Tanh())

    remove_parametrizations(layer, "weight")

    assert is_parametrized(layer) is False


def test_other_tensors_stay_parametrized():
    """Removing the parametrizations of one tensor leaves those of another."""
    layer = nn.Linear(2, 1)
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "bias", nn.ReLU())

    remove_parametrizations(layer, "weight")

    assert [is_parametrized(layer, name) for name in ("weight", "bias")] == [False, True]
    assert type(layer).__name__ == "ParametrizedLinear"
    assert isinstance(layer.weight, nn.Parameter)


def test_a_buffer_becomes_a_buffer():
    """A parametrized buffer becomes a buffer again."""
    norm = nn.BatchNorm1d(2)
    norm.running_mean.copy_(torch.tensor([3.0, -4.0]))
    register_parametrization(norm, "running_mean", nn.ReLU())

    remove_parametrizations(norm, "running_mean")

    assert norm._buffers["running_mean"].tolist() == [3.0, 0.0]


@pytest.mark.parametrize("requires_grad", [True, False])
def test_several_originals_become_one_parameter(requires_grad):
    """Several originals become one new tensor: a parameter if one of them required gradients."""

    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x - 10.0, torch.full_like(x, 10.0)

    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.0, 3.0]]), requires_grad=requires_grad)
    register_parametrization(layer, "weight", Sum())
    remove_parametrizations(layer, "weight")

    assert layer.weight.tolist() == [[2.0, 3.0]]
    assert "weight" in (layer._parameters if requires_grad else layer._buffers)
    assert layer.weight.is_leaf


def test_several_originals_cannot_be_left():
    """With ``leave_parametrized=False`` several originals raise ``ValueError``."""

    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x / 2.0, x / 2.0

    layer = register_parametrization(nn.Linear(2, 1), "weight", Sum())

    with pytest.raises(ValueError, match="that is parametrized in terms of a sequence of tensors"):
        remove_parametrizations(layer, "weight", False)
    assert is_parametrized(layer, "weight")


@pytest.mark.parametrize("name", ["bias", "wieght"])
def test_nothing_to_remove_is_an_error(name):
    """A tensor that is not parametrized raises ``ValueError``."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    with pytest.raises(ValueError, match=f"does not have a parametrization on {name}"):
        remove_parametrizations(layer, name)


def test_a_removed_one_may_be_registered_again():
    """A tensor may be parametrized anew after its parametrizations were removed."""
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", nn.Tanh())
    remove_parametrizations(layer, "weight", leave_parametrized=False)
    register_parametrization(layer, "weight", nn.ReLU())

    assert layer.weight.tolist() == [[2.0, 0.0]]


def test_a_plain_subclass_cannot_be_left_parametrized():
    """A parameter of a tensor subclass without ``set_`` raises ``RuntimeError`` when left as computed."""

    class Stubborn(torch.Tensor):
        def set_(self, source):
            if source is not self:
                raise RuntimeError("stubborn")

    layer = nn.Linear(2, 1)
    weight = torch.rand(1, 2).as_subclass(Stubborn)
    layer.weight = nn.Parameter(weight)
    register_parametrization(layer, "weight", nn.ReLU())

    with pytest.raises(
        RuntimeError, match=r"instance of a tensor subclass requires set_\(\) to be implemented"
    ):
        remove_parametrizations(layer, "weight")
