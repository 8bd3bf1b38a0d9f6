"""Parameters of other tensor types.

A tensor of a subclass stays of that subclass when it becomes a parameter: it is marked by a flag, and
``isinstance`` looks at the flag.
"""

import copy

import pytest
import torch
from torch import nn


class Tagged(torch.Tensor):
    """A tensor subclass that changes nothing."""


def tagged():
    return torch.tensor([1.5, 2.5]).as_subclass(Tagged)


def test_keeps_the_type_of_its_tensor():
    """A parameter built from a tensor subclass is of that subclass, and passes for a parameter too."""
    weight = nn.Parameter(tagged())

    assert (type(weight), isinstance(weight, nn.Parameter)) == (Tagged, True)
    assert (weight.tolist(), weight.requires_grad, weight.is_leaf) == ([1.5, 2.5], True, True)


def test_a_module_registers_it():
    """A module registers a parameter of a tensor subclass like any other."""
    net = nn.Module()

    net.scale = nn.Parameter(tagged())

    assert [(name, type(p)) for name, p in net.named_parameters()] == [("scale", Tagged)]


def test_subclass_takes_requires_grad():
    """A parameter built from a tensor subclass takes ``requires_grad`` as given."""
    assert nn.Parameter(tagged(), requires_grad=False).requires_grad is False


def test_subclass_source_is_left_alone():
    """The tensor of a subclass that became a parameter is none itself; both share the storage."""
    values = tagged()

    weight = nn.Parameter(values)

    assert (isinstance(values, nn.Parameter), values.requires_grad) == (False, False)
    assert weight.data_ptr() == values.data_ptr()


@pytest.mark.observed
def test_any_tensor_with_the_flag_passes():
    """A tensor whose ``_is_param`` is true passes for a parameter, one whose flag is false does not."""
    flagged, unflagged = torch.rand(2), torch.rand(2)
    flagged._is_param, unflagged._is_param = True, False

    assert [isinstance(t, nn.Parameter) for t in (flagged, unflagged)] == [True, False]


@pytest.mark.observed
def test_the_flag_is_for_tensors_only():
    """An object that is no tensor is no parameter, whatever flag it carries."""

    class Impostor:
        _is_param = True

    assert isinstance(Impostor(), nn.Parameter) is False


@pytest.mark.since("2.5")
@pytest.mark.observed
def test_the_flag_makes_no_subclass():
    """A flagged tensor passes for a parameter, but not for a subclass of parameter."""

    class Scale(nn.Parameter):
        pass

    weight = nn.Parameter(tagged())

    kinds = (nn.Parameter, Scale, nn.parameter.UninitializedParameter)
    assert [isinstance(weight, kind) for kind in kinds] == [True, False, False]


@pytest.mark.before("2.5")
@pytest.mark.observed
def test_the_flag_made_every_subclass():
    """A flagged tensor passes for every subclass of parameter, even for an uninitialised one."""

    class Scale(nn.Parameter):
        pass

    weight = nn.Parameter(tagged())

    kinds = (nn.Parameter, Scale, nn.parameter.UninitializedParameter)
    assert [isinstance(weight, kind) for kind in kinds] == [True, True, True]


@pytest.mark.observed
def test_prints_like_its_own_type():
    """A parameter of a tensor subclass prints as that subclass does, inside ``Parameter(...)``."""
    assert repr(nn.Parameter(tagged())) == "Parameter(Tagged([1.5000, 2.5000], requires_grad=True))"


def test_copies_like_its_own_type():
    """A parameter of a tensor subclass is deep-copied by the ``__deepcopy__`` of that subclass."""

    class Noted(Tagged):
        def __deepcopy__(self, memo):
            return "copied by Noted"

    weight = nn.Parameter(torch.rand(2).as_subclass(Noted))

    assert copy.deepcopy(weight) == "copied by Noted"


def test_detach_keeps_the_type_or_it_fails():
    """A tensor of a subclass whose ``detach`` returns another type raises ``RuntimeError`` as a parameter."""

    class Forgetful(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

    with pytest.raises(RuntimeError) as caught:
        nn.Parameter(torch.rand(2).as_subclass(Forgetful))

    assert "Creating a Parameter from an instance of type Forgetful" in str(caught.value)
    assert "return type Tensor was found instead" in str(caught.value)


def test_a_subclass_of_parameter_is_a_parameter():
    """A subclass of :class:`~torch.nn.parameter.Parameter` is built from a tensor or a parameter."""

    class Scale(nn.Parameter):
        pass

    scales = [Scale(torch.rand(2)), Scale(nn.Parameter(torch.rand(2)), False), Scale()]

    assert [type(scale) for scale in scales] == [Scale, Scale, Scale]
    assert [scale.requires_grad for scale in scales] == [True, False, True]
    assert [isinstance(value, Scale) for value in (scales[0], nn.Parameter(torch.rand(2)))] == [True, False]


@pytest.mark.observed
def test_no_parameter_from_a_subclass_of_parameter():
    """A parameter built from an instance of a subclass of parameter raises ``RuntimeError``."""

    class Scale(nn.Parameter):
        pass

    with pytest.raises(RuntimeError, match="Creating a Parameter from an instance of type Scale requires"):
        nn.Parameter(Scale(torch.rand(2)))
