"""Registering a parametrization.

From then on the tensor is computed from an original whenever it is read.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.parametrize import is_parametrized, register_parametrization


def test_the_tensor_passes_through_the_parametrization(device):
    """After ``register_parametrization``, ``layer.weight`` returns the output of the parametrization.

    :func:`~torch.nn.utils.parametrize.register_parametrization` stores and trains the original. Code that
    reads ``layer.weight`` needs no change.
    """

    class Double(nn.Module):
        def forward(self, weight):
            return 2 * weight

    layer = nn.Linear(2, 1, bias=False, device=device)
    weight = nn.init.constant_(layer.weight, 3.0)
    register_parametrization(layer, "weight", Double())
    layer(torch.tensor([10.0, 100.0]).to(device)).backward()

    assert layer.weight.tolist() == [[6.0, 6.0]]
    assert layer.parametrizations.weight.original is weight
    assert weight.tolist() == [[3.0, 3.0]]
    assert weight.grad.tolist() == [[20.0, 200.0]]
    with torch.no_grad():
        weight.fill_(5.0)
        assert layer.eval().weight.tolist() == [[10.0, 10.0]]


def test_the_module_is_returned():
    """:func:`register_parametrization(module, ...) <torch.nn.utils.parametrize.register_parametrization>`
    returns ``module`` itself.
    """
    layer = nn.Linear(2, 1)

    assert register_parametrization(layer, "weight", nn.ReLU()) is layer
    assert register_parametrization(layer, "weight", nn.Tanh(), unsafe=True) is layer


@pytest.mark.parametrize("trained", [True, False])
def test_the_original_is_the_parameter_itself(trained):
    """``register_parametrization`` keeps the ``Parameter`` object as ``original``, unless ``right_inverse``
    splits it.

    It is ``module.parametrizations.<name>.original``. An optimizer built before goes on to train it, unless
    ``right_inverse`` returns several tensors: those are new.
    """

    class Split(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, weight):
            return weight / 2, weight / 2

    layer, turned, split = layers = [nn.Linear(2, 1).requires_grad_(trained) for _ in range(3)]
    weights = [each.weight for each in layers]
    register_parametrization(layer, "weight", nn.ReLU())
    parametrizations.orthogonal(turned)
    register_parametrization(split, "weight", Split())

    assert layer.parametrizations.weight.original is weights[0]
    assert turned.parametrizations.weight.original is weights[1]
    assert all(parameter is not weights[2] for parameter in split.parameters())


@pytest.mark.parametrize("trained", [True, False])
def test_the_tensor_is_no_parameter_any_more(trained):
    """``register_parametrization`` renames the parameter to ``parametrizations.<name>.original``.

    The short name leaves the parameters and the state dict: a checkpoint from before no longer loads, and
    code that looks for ``weight`` in :meth:`~torch.nn.Module.named_parameters` misses it.
    """
    layer, names = nn.Linear(2, 1).requires_grad_(trained), ["bias", "parametrizations.weight.original"]
    weight = layer.weight
    register_parametrization(layer, "weight", nn.ReLU())

    assert list(layer._parameters) == ["bias"]
    assert list(dict(layer.named_parameters())) == list(layer.state_dict()) == names
    assert layer.parametrizations.weight.original is weight
    with pytest.raises(RuntimeError, match=r'Missing key.*"parametrizations\.weight\.original"'):
        layer.load_state_dict(nn.Linear(2, 1).state_dict())


def test_the_value_is_computed_at_each_reading():
    """Outside ``parametrize.cached()``, each access of a parametrized weight computes a new tensor.

    A parametrization with a costly ``forward`` runs at each access. Within ``cached()`` it runs once.

    See also :ref:`reparametrization.cached.a_tensor_is_computed_once`
    """
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())
    first = layer.weight
    with torch.no_grad():
        layer.parametrizations.weight.original.fill_(0.0)
        assert layer.eval().weight is not layer.weight
    assert layer.train().weight is not layer.weight
    assert layer.weight.tolist() == [[0.0, 0.0]]
    assert first.tolist() != [[0.0, 0.0]]
    with parametrize.cached():
        assert layer.weight is layer.weight


@pytest.mark.parametrize("training", [True, False])
def test_gradients_flow_to_the_original(training):
    """The gradient of a parametrized weight flows through the parametrization to ``original``."""
    layer = nn.Linear(2, 1, bias=False).train(training)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "weight", nn.ReLU())
    layer(torch.tensor([10.0, 100.0])).backward()
    with parametrize.cached():
        layer(torch.tensor([1.0, 5.0])).backward()

    assert layer.parametrizations.weight.original.grad.tolist() == [[11.0, 0.0]]


def test_buffers_may_be_parametrized():
    """``register_parametrization`` on a buffer keeps the original as a buffer, not as a parameter."""
    for persistent in (True, False):
        norm = nn.BatchNorm1d(2)
        norm.register_buffer("running_mean", torch.tensor([3.0, -4.0]), persistent)
        register_parametrization(norm, "running_mean", nn.ReLU())

        assert norm.running_mean.tolist() == [3.0, 0.0]
        assert "running_mean" not in norm._buffers
        assert norm.parametrizations.running_mean.original.tolist() == [3.0, -4.0]
        assert [name for name, _ in norm.parametrizations.named_buffers()] == ["running_mean.original"]
        assert list(norm.parametrizations.parameters()) == []


def test_parametrizations_are_applied_in_order():
    """Several parametrizations of a tensor are applied in the order of ``register_parametrization`` calls."""

    class AddOne(nn.Module):
        def forward(self, x):
            return x + 1.0

    net = nn.Module()
    net.weight = nn.Parameter(torch.tensor([2.0, -3.0]))
    net.register_buffer("mean", torch.tensor([2.0, -3.0]))
    for name in ("weight", "mean"):
        for parametrization in (AddOne(), AddOne(), nn.ReLU()):
            register_parametrization(net, name, parametrization)
        assert [type(module) for module in net.parametrizations[name]] == [AddOne, AddOne, nn.ReLU]
    assert net.weight.tolist() == net.mean.tolist() == [4.0, 0.0]


def test_the_lists_are_kept_in_a_module_dict():
    """``module.parametrizations`` holds a :class:`~torch.nn.utils.parametrize.ParametrizationList` for each
    parametrized tensor.
    """
    norm = nn.BatchNorm1d(2)
    register_parametrization(norm, "weight", nn.ReLU())
    register_parametrization(norm, "running_mean", nn.Tanh())

    lists = norm.parametrizations

    assert type(lists) is nn.ModuleDict
    assert list(lists) == ["weight", "running_mean"]
    assert [type(each) for each in lists.values()] == [parametrize.ParametrizationList] * 2
    assert isinstance(lists.weight, nn.ModuleList)


def test_the_class_is_renamed():
    """``register_parametrization`` changes the module's class to a new subclass, such as
    ``ParametrizedLinear``.

    It is a subclass of the old one, so that ``isinstance`` is still true, but ``type(layer) is nn.Linear``
    is false: :func:`~torch.nn.utils.parametrize.type_before_parametrizations` returns the old class.
    """
    layer, second, plain = nn.Linear(2, 1), nn.Linear(2, 1), nn.Linear(2, 1)
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "bias", nn.ReLU())
    register_parametrization(second, "weight", nn.ReLU())

    assert type(layer).__name__ == type(second).__name__ == "ParametrizedLinear"
    assert type(layer).__bases__ == type(second).__bases__ == (nn.Linear,)
    assert [type(second) is type(layer), type(plain) is nn.Linear] == [False, True]
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert isinstance(vars(type(layer))["weight"], property)


def test_two_modules_do_not_share_a_class():
    """``register_parametrization`` on one module does not affect other modules of the same class."""
    first = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())
    second = register_parametrization(nn.Linear(2, 1), "bias", nn.ReLU())

    assert type(first) is not type(second)
    assert [is_parametrized(first, name) for name in ("weight", "bias")] == [True, False]
    assert [is_parametrized(second, name) for name in ("weight", "bias")] == [False, True]


def test_printing_shows_the_parametrizations():
    """``repr`` of a parametrized ``Linear`` shows ``ParametrizedLinear`` and its ``parametrizations``."""
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
    """``register_parametrization`` puts the parametrization in the module's training or eval mode."""
    layer = nn.Linear(2, 1).train(training)
    chains = [nn.Sequential(nn.ReLU()).train(not training) for _ in range(2)]

    for chain in chains:
        register_parametrization(layer, "weight", chain)
        assert [module.training for module in chain.modules()] == [training, training]


@pytest.mark.parametrize("name", ["weight", "running_mean"])
def test_is_parametrized_without_a_name(name):
    """:func:`is_parametrized(module) <torch.nn.utils.parametrize.is_parametrized>` returns whether the module
    has any parametrization.
    """
    layer = nn.BatchNorm1d(2)

    assert is_parametrized(layer) is False
    assert is_parametrized(register_parametrization(layer, name, nn.ReLU())) is True


def test_is_parametrized_with_a_name():
    """:func:`is_parametrized(module, name) <torch.nn.utils.parametrize.is_parametrized>` checks only the
    tensor of that name.
    """
    norm, names = nn.BatchNorm1d(2), ("weight", "running_mean", "parametrizations")
    register_parametrization(norm, "weight", nn.ReLU())
    assert [is_parametrized(norm, name) for name in names] == [True, False, False]
    register_parametrization(norm, "running_mean", nn.ReLU())
    assert [is_parametrized(norm, tensor_name=name) for name in names] == [True, True, False]


def test_an_attribute_named_parametrizations_is_not_enough():
    """``is_parametrized`` is true only if ``module.parametrizations`` is a non-empty ``ModuleDict``."""
    layer, listed, empty = nn.Linear(2, 1), nn.Linear(2, 1), nn.Linear(2, 1)
    layer.parametrizations = {"weight": nn.ReLU()}
    listed.parametrizations = nn.ModuleList([nn.ReLU()])
    empty.parametrizations = nn.ModuleDict()

    assert [is_parametrized(layer), is_parametrized(layer, "weight")] == [False, False]
    assert is_parametrized(listed) is False
    assert is_parametrized(empty) is False
    empty.parametrizations["weight"] = nn.ReLU()
    assert is_parametrized(empty) is True


def test_submodules_do_not_count():
    """:func:`is_parametrized(module) <torch.nn.utils.parametrize.is_parametrized>` does not look at
    submodules.
    """
    net = nn.Sequential(register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU()))

    assert is_parametrized(net) is False
    assert is_parametrized(net[0]) is True
    assert is_parametrized(nn.Sequential(net)) is False


@pytest.mark.parametrize("name", ["wieght", "in_features", "scale", "child"])
def test_only_parameters_and_buffers(name):
    """``register_parametrization`` raises ``ValueError`` for a name that is not a parameter or buffer."""
    layer = nn.Linear(2, 1)
    layer.scale, layer.child = torch.rand(2), nn.ReLU()

    with pytest.raises(ValueError, match=f"does not have a parameter, a buffer, or .* with name '{name}'"):
        register_parametrization(layer, name, nn.ReLU())
    assert type(layer) is nn.Linear


def test_a_parameter_that_is_none_has_no_value():
    """``register_parametrization`` raises ``AttributeError`` for a parameter that is ``None``.

    So is the bias of a layer that was built with ``bias=False``.
    """
    layer = nn.Linear(2, 1, bias=False)

    with pytest.raises(AttributeError, match="'NoneType' object has no attribute"):
        register_parametrization(layer, "bias", nn.ReLU())


@pytest.mark.parametrize("name", ["0.weight", "0.running_mean", "0.absent", "1.0.weight"])
def test_dotted_names_are_not_followed(name):
    """``register_parametrization`` raises ``ValueError`` for a dotted name such as ``"0.weight"``."""
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.PReLU()))

    with pytest.raises(ValueError, match=f"with name '{name}'"):
        register_parametrization(net, name, nn.ReLU())
    register_parametrization(net[0], "weight", nn.ReLU())
    assert is_parametrized(net[0], "weight")


def test_a_functional_call_may_give_the_original():
    """``functional_call`` with a value for ``parametrizations.weight.original`` applies the parametrization.

    The key is the long one, ``"parametrizations.weight.original"``.
    """
    layer = register_parametrization(nn.Linear(2, 1, bias=False), "weight", nn.ReLU())
    given = {"parametrizations.weight.original": torch.tensor([[2.0, -3.0]])}

    assert torch.func.functional_call(layer, given, torch.tensor([10.0, 100.0])).tolist() == [20.0]


def test_to_converts_the_original():
    """``Module.to`` and ``Module.double`` convert the ``original`` of a parametrized weight; the weight
    follows.
    """
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    nn.Sequential(layer).double()
    assert [layer.parametrizations.weight.original.dtype, layer.weight.dtype] == [torch.float64] * 2

    layer.to(torch.bfloat16)
    assert [layer.parametrizations.weight.original.dtype, layer.weight.dtype] == [torch.bfloat16] * 2


def test_a_frozen_original_gives_a_frozen_tensor():
    """``requires_grad_(False)`` on a parametrized module freezes ``original`` and the computed weight."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.PReLU())
    assert layer.weight.requires_grad is True

    layer.requires_grad_(False)
    assert layer.parametrizations.weight.original.requires_grad is False
    assert layer.weight.requires_grad is False
    assert layer.eval().weight.requires_grad is False


def test_a_state_dict_goes_into_a_module_parametrized_alike():
    """The ``state_dict()`` of a parametrized module loads into one parametrized the same way, not a plain
    one.

    Build the module, register the parametrizations, then load.
    """
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())
    alike = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    alike.load_state_dict(layer.state_dict())

    assert torch.equal(alike.parametrizations.weight.original, layer.parametrizations.weight.original)
    with pytest.raises(RuntimeError, match=r'(?s)Missing.*"weight".*Unexpected.*"parametrizations\.weight'):
        nn.Linear(2, 1).load_state_dict(layer.state_dict())


def test_an_attribute_is_not_deleted_by_name():
    """``del layer.weight`` raises ``AttributeError`` if the weight is parametrized.

    Call :func:`~torch.nn.utils.parametrize.remove_parametrizations` first.
    """
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    with pytest.raises(AttributeError, match=r"deleter|can't delete"):
        del layer.weight
    assert is_parametrized(layer, "weight")


def test_initializing_a_computed_weight_does_nothing():
    """``nn.init`` and ``reset_parameters()`` silently leave the weight of a parametrized layer as it is.

    They fill a tensor that was computed for them. Initialize before registering, or assign to
    ``layer.weight``, which goes through ``right_inverse`` (:issue:`180968`).
    """

    class Double(nn.Module):
        def forward(self, weight):
            return 2 * weight

        def right_inverse(self, weight):
            return weight / 2

    layer = nn.Linear(2, 3)
    register_parametrization(layer, "weight", Double())
    before = layer.weight.clone()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        returned = nn.init.constant_(layer.weight, 7.0)
        layer.reset_parameters()

    assert torch.equal(layer.weight, before)
    assert torch.equal(returned, torch.full((3, 2), 7.0))
    layer.weight = returned.detach()
    assert torch.equal(layer.weight, returned)
