"""Registering a parametrization.

From then on the tensor is computed from an original whenever it is read.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import is_parametrized, register_parametrization


def test_the_tensor_passes_through_the_parametrization(device):
    """After :func:`~torch.nn.utils.parametrize.register_parametrization` a tensor is read through it."""
    layer = nn.Linear(2, 2, bias=False, device=device)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0], [-5.0, 7.0]]).to(device))

    register_parametrization(layer, "weight", nn.ReLU())

    assert layer.weight.tolist() == [[2.0, 0.0], [0.0, 7.0]]
    assert layer(torch.tensor([10.0, 100.0]).to(device)).tolist() == [20.0, 700.0]


def test_the_module_is_returned():
    """:func:`~torch.nn.utils.parametrize.register_parametrization` returns the module itself."""
    layer = nn.Linear(2, 1)

    assert register_parametrization(layer, "weight", nn.ReLU()) is layer


def test_the_original_is_the_parameter_itself():
    """The parameter becomes ``module.parametrizations.<name>.original`` and stays the same object.

    An optimizer built before goes on to train it.
    """
    layer = nn.Linear(2, 1)
    weight = layer.weight

    register_parametrization(layer, "weight", nn.ReLU())

    assert layer.parametrizations.weight.original is weight


def test_the_tensor_is_no_parameter_any_more():
    """The name leaves the module's parameters, and the original appears under a longer name."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    assert list(layer._parameters) == ["bias"]
    assert [name for name, _ in layer.named_parameters()] == ["bias", "parametrizations.weight.original"]
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]


def test_the_value_is_computed_at_each_reading():
    """Every reading computes a new tensor."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())
    first = layer.weight

    with torch.no_grad():
        layer.parametrizations.weight.original.fill_(0.0)

    assert layer.weight is not layer.weight
    assert layer.weight.tolist() == [[0.0, 0.0]]
    assert first.tolist() != [[0.0, 0.0]]


def test_gradients_flow_to_the_original():
    """Gradients pass through the parametrization to the original."""
    layer = nn.Linear(2, 1, bias=False)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", nn.ReLU())

    layer(torch.tensor([10.0, 100.0])).backward()

    assert layer.parametrizations.weight.original.grad.tolist() == [[10.0, 0.0]]


def test_buffers_may_be_parametrized():
    """A parametrized buffer leaves a buffer as its original."""
    norm = nn.BatchNorm1d(2)
    norm.running_mean.copy_(torch.tensor([3.0, -4.0]))

    register_parametrization(norm, "running_mean", nn.ReLU())

    assert norm.running_mean.tolist() == [3.0, 0.0]
    assert "running_mean" not in norm._buffers
    assert [name for name, _ in norm.parametrizations.named_buffers()] == ["running_mean.original"]


def test_parametrizations_are_applied_in_order():
    """Several parametrizations of one tensor are applied one after the other."""

    class AddOne(nn.Module):
        def forward(self, x):
            return x + 1.0

    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", AddOne())
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "weight", AddOne())

    assert layer.weight.tolist() == [[4.0, 1.0]]
    assert [type(module) for module in layer.parametrizations.weight] == [AddOne, nn.ReLU, AddOne]


def test_the_lists_are_kept_in_a_module_dict():
    """``parametrizations`` holds a :class:`~torch.nn.utils.parametrize.ParametrizationList` by name."""
    layer = nn.Linear(2, 1)
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "bias", nn.Tanh())

    lists = layer.parametrizations

    assert type(lists) is nn.ModuleDict
    assert list(lists) == ["weight", "bias"]
    assert [type(each) for each in lists.values()] == [parametrize.ParametrizationList] * 2
    assert isinstance(lists.weight, nn.ModuleList)


@pytest.mark.observed
def test_the_class_is_renamed():
    """The module gets a class of its own: a subclass of the old one, named ``Parametrized...``."""
    layer, other = nn.Linear(2, 1), nn.Linear(2, 1)
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "bias", nn.ReLU())

    assert type(layer).__name__ == "ParametrizedLinear"
    assert type(layer).__bases__ == (nn.Linear,)
    assert type(other) is nn.Linear
    assert isinstance(vars(type(layer))["weight"], property)


def test_two_modules_do_not_share_a_class():
    """A tensor parametrized in one module is not so in another of its class."""
    first = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())
    second = register_parametrization(nn.Linear(2, 1), "bias", nn.ReLU())

    assert type(first) is not type(second)
    assert [is_parametrized(first, name) for name in ("weight", "bias")] == [True, False]
    assert [is_parametrized(second, name) for name in ("weight", "bias")] == [False, True]


def test_printing_shows_the_parametrizations():
    """The printed module shows its parametrizations."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    assert repr(layer).splitlines() == [
        "ParametrizedLinear(",
        "  in_features=2, out_features=1, bias=True",
        "  (parametrizations): ModuleDict(",
        "    (weight): ParametrizationList(",
        "      (0): ReLU()",
        "    )",
        "  )",
        ")",
    ]


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_module_is_passed_on(training):
    """Registering puts the parametrization in the mode of the module."""
    layer = nn.Linear(2, 1).train(training)
    relu = nn.ReLU().train(not training)

    register_parametrization(layer, "weight", relu)

    assert relu.training is training


def test_is_parametrized_without_a_name():
    """:func:`~torch.nn.utils.parametrize.is_parametrized` tells whether anything is parametrized."""
    layer = nn.Linear(2, 1)

    assert is_parametrized(layer) is False
    assert is_parametrized(register_parametrization(layer, "weight", nn.ReLU())) is True


def test_is_parametrized_with_a_name():
    """:func:`~torch.nn.utils.parametrize.is_parametrized` with a name tells about that tensor."""
    layer = nn.Linear(2, 1)

    assert is_parametrized(layer, "weight") is False
    register_parametrization(layer, "weight", nn.ReLU())
    assert is_parametrized(layer, "weight") is True
    assert is_parametrized(layer, "bias") is False
    assert is_parametrized(layer, tensor_name="parametrizations") is False


def test_an_attribute_named_parametrizations_is_not_enough():
    """An attribute ``parametrizations`` counts only if it is a filled :class:`~torch.nn.ModuleDict`."""
    layer, empty = nn.Linear(2, 1), nn.Linear(2, 1)
    layer.parametrizations = ["weight"]
    empty.parametrizations = nn.ModuleDict()

    assert [is_parametrized(layer), is_parametrized(layer, "weight")] == [False, False]
    assert is_parametrized(empty) is False


def test_submodules_do_not_count():
    """A module is not parametrized because a submodule of it is."""
    net = nn.Sequential(register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU()))

    assert is_parametrized(net) is False
    assert is_parametrized(net[0]) is True


@pytest.mark.parametrize("name", ["wieght", "in_features"])
def test_only_parameters_and_buffers(name):
    """A name that is no parameter or buffer of the module raises ``ValueError``."""
    layer = nn.Linear(2, 1)

    with pytest.raises(ValueError, match=f"does not have a parameter, a buffer, or .* with name '{name}'"):
        register_parametrization(layer, name, nn.ReLU())
    assert type(layer) is nn.Linear


def test_dotted_names_are_not_followed():
    """A tensor of a submodule is parametrized on the submodule; a dotted name raises ``ValueError``."""
    net = nn.Sequential(nn.Linear(2, 1))

    with pytest.raises(ValueError, match=r"with name '0\.weight'"):
        register_parametrization(net, "0.weight", nn.ReLU())


def test_a_functional_call_may_give_the_original():
    """A functional call that gives the original applies the parametrization to it."""
    layer = register_parametrization(nn.Linear(2, 1, bias=False), "weight", nn.ReLU())
    given = {"parametrizations.weight.original": torch.tensor([[2.0, -3.0]])}

    assert torch.func.functional_call(layer, given, torch.tensor([10.0, 100.0])).tolist() == [20.0]


def test_to_converts_the_original():
    """Converting the module converts the original, and what is read follows."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    layer.double()

    assert layer.parametrizations.weight.original.dtype is torch.float64
    assert layer.weight.dtype is torch.float64


def test_a_frozen_original_gives_a_frozen_tensor():
    """The computed tensor requires gradients if the original does."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    assert layer.weight.requires_grad is True
    layer.requires_grad_(False)
    assert layer.weight.requires_grad is False


def test_a_state_dict_goes_into_a_module_parametrized_alike():
    """The state of a parametrized module loads into one parametrized alike, not into a plain one."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())
    alike = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    alike.load_state_dict(layer.state_dict())

    assert torch.equal(alike.parametrizations.weight.original, layer.parametrizations.weight.original)
    with pytest.raises(
        RuntimeError, match=r'(?s)Missing key.*"weight".*Unexpected key.*"parametrizations\.weight'
    ):
        nn.Linear(2, 1).load_state_dict(layer.state_dict())


def test_an_attribute_is_not_deleted_by_name():
    """Deleting a parametrized tensor raises ``AttributeError``."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    with pytest.raises(AttributeError):
        del layer.weight
    assert is_parametrized(layer, "weight")
