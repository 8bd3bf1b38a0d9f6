"""Removing parametrizations.

The tensor becomes a plain parameter or buffer again, with the value it had or with that of the original.
"""

import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import (
    is_parametrized,
    register_parametrization,
    remove_parametrizations,
)


@pytest.mark.parametrize("training", [True, False])
def test_by_default_the_value_stays(training):
    """By default ``remove_parametrizations`` leaves the parameter with its parametrized value.

    The module then costs nothing extra and can be pickled; the original is gone.
    """
    layer = nn.Linear(2, 1).train(training)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", nn.ReLU())

    assert remove_parametrizations(layer, "weight") is layer
    assert type(layer.weight) is nn.Parameter
    assert layer.weight.tolist() == [[2.0, 0.0]]
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert pickle.loads(pickle.dumps(layer)).weight.tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize("training", [True, False])
def test_the_original_may_be_left(training):
    """``remove_parametrizations(leave_parametrized=False)`` restores the unparametrized, original value."""
    layer = nn.Linear(2, 1).train(training)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "weight", nn.Tanh())

    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(10.0)

    remove_parametrizations(layer, "weight", leave_parametrized=False)

    assert layer.weight.tolist() == [[20.0, -30.0]]


@pytest.mark.parametrize("leave", [True, False])
def test_the_parameter_is_the_same_object(leave):
    """``remove_parametrizations`` restores the same ``Parameter`` object, if there is only one ``original``.

    An optimizer that holds it keeps working. Its name comes last among the parameters.
    """
    for trained in (True, False):
        layer = nn.Linear(2, 1).requires_grad_(trained)
        weight = layer.weight
        register_parametrization(layer, "weight", nn.ReLU())
        if trained:
            register_parametrization(layer, "weight", nn.Tanh())

        remove_parametrizations(layer, "weight", leave_parametrized=leave)

        assert layer.weight is weight
        assert list(layer._parameters) == ["bias", "weight"]


@pytest.mark.parametrize("leave", [True, False])
@pytest.mark.parametrize("kind", [nn.Linear, type("Own", (nn.Linear,), {})], ids=["Linear", "subclass"])
def test_the_class_is_the_old_one_again(kind, leave):
    """``remove_parametrizations`` on the last parametrized tensor restores the module's original class."""
    layer = kind(2, 1)
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "bias", nn.ReLU())

    remove_parametrizations(layer, "weight", leave)
    assert type(layer) is not kind

    remove_parametrizations(layer, "bias", leave)
    assert type(layer) is kind
    assert not hasattr(layer, "parametrizations")
    assert list(layer.children()) == []


@pytest.mark.parametrize(("leave", "value"), [(True, [1.0, 0.0]), (False, [2.0, -3.0])])
def test_all_parametrizations_of_a_tensor_are_removed(leave, value):
    """``remove_parametrizations`` removes all parametrizations of a tensor, not just the last one.

    A single one cannot be removed: remove all and register the others again.
    """
    net = nn.Module()
    net.weight = nn.Parameter(torch.tensor([2.0, -3.0]))
    net.register_buffer("mean", torch.tensor([2.0, -3.0]))

    for name in ("weight", "mean"):
        for parametrization in (nn.ReLU(), nn.Hardtanh()):
            register_parametrization(net, name, parametrization)
        remove_parametrizations(net, name, leave)

        assert is_parametrized(net) is False
        assert getattr(net, name).tolist() == value


@pytest.mark.parametrize("leave", [True, False])
def test_other_tensors_stay_parametrized(leave):
    """``remove_parametrizations`` on one tensor leaves other tensors of the module parametrized."""
    norm, names = nn.BatchNorm1d(1), ("weight", "bias", "running_mean")
    for name in names:
        nn.init.constant_(getattr(norm, name), -3.0)
        register_parametrization(norm, name, nn.ReLU())

    remove_parametrizations(norm, "weight", leave)

    assert norm.bias.tolist() == norm.running_mean.tolist() == [0.0]
    assert [is_parametrized(norm, name) for name in names] == [False, True, True]
    assert type(norm).__name__ == "ParametrizedBatchNorm1d"
    assert isinstance(norm.weight, nn.Parameter)


@pytest.mark.parametrize(("leave", "value"), [(True, [3.0, 0.0]), (False, [3.0, -4.0])])
def test_a_buffer_becomes_a_buffer(leave, value):
    """:func:`remove_parametrizations <torch.nn.utils.parametrize.remove_parametrizations>` on a parametrized
    buffer makes it a plain buffer again.
    """
    norm = nn.BatchNorm1d(2)
    norm.running_mean.copy_(torch.tensor([3.0, -4.0]))
    register_parametrization(norm, "running_mean", nn.ReLU())

    remove_parametrizations(norm, "running_mean", leave)

    assert norm._buffers["running_mean"].tolist() == value
    assert norm.state_dict()["running_mean"].tolist() == value
    assert type(norm) is nn.BatchNorm1d


def test_several_originals_become_one_parameter():
    """``remove_parametrizations`` merges ``original0`` and ``original1`` into one parameter, or a buffer if
    frozen.

    What decides is whether the value requires a gradient: under :class:`~torch.no_grad` a trained weight
    becomes a buffer as well. The tensor is new: pass it to the optimizer.
    """

    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x - 10.0, torch.full_like(x, 10.0)

    trained, frozen, quiet = nn.Linear(2, 1), nn.Linear(2, 1).requires_grad_(False), nn.Linear(2, 1)
    for layer in (trained, frozen, quiet):
        layer.weight.data = torch.tensor([[2.0, 3.0]])
        register_parametrization(layer, "weight", Sum())
        parts = [*layer.parametrizations.weight.parameters()]
        with torch.set_grad_enabled(layer is not quiet):
            remove_parametrizations(layer, "weight")

        assert layer.weight.tolist() == [[2.0, 3.0]]
        assert layer.weight.is_leaf
        assert all(layer.weight is not part for part in parts)
    assert ["weight" in layer._parameters for layer in (trained, frozen, quiet)] == [True, False, False]
    assert ["weight" in layer._buffers for layer in (trained, frozen, quiet)] == [False, True, True]


def test_several_originals_cannot_be_left():
    """``remove_parametrizations(leave_parametrized=False)`` raises ``ValueError`` if there is an
    ``original1``.
    """

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
    """``remove_parametrizations`` raises ``ValueError`` for a tensor that is not parametrized."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())

    for module in (layer, nn.Linear(2, 1)):
        for leave in (True, False):
            with pytest.raises(ValueError, match=f"does not have a parametrization on {name}"):
                remove_parametrizations(module, name, leave)


@pytest.mark.parametrize("leave", [True, False])
def test_a_removed_one_may_be_registered_again(leave):
    """A tensor can be parametrized again after
    :func:`remove_parametrizations <torch.nn.utils.parametrize.remove_parametrizations>`.
    """
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", nn.Tanh())
    remove_parametrizations(layer, "weight", leave)
    value = layer.weight.detach().clone()
    register_parametrization(layer, "weight", nn.ReLU())

    assert torch.equal(layer.weight, value.relu())
    assert (value.tolist() == [[2.0, -3.0]]) is not leave


def test_a_plain_subclass_cannot_be_left_parametrized():
    """``remove_parametrizations`` raises ``RuntimeError`` for a tensor subclass that does not support
    ``set_()``.

    With ``leave_parametrized=False`` it does not need ``set_``.
    """

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
    remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert is_parametrized(layer) is False


def test_another_dtype_cannot_be_left():
    """``remove_parametrizations`` raises ``RuntimeError`` if the parametrization changes the dtype.

    The message is about tensor subclasses and ``set_()``. ``leave_parametrized=False`` works.
    """

    class Double(nn.Module):
        def forward(self, x):
            return x.double()

    layer = register_parametrization(nn.Linear(2, 1), "weight", Double(), unsafe=True)
    assert layer.weight.dtype == torch.float64

    with pytest.raises(RuntimeError, match=r"requires set_\(\) to be implemented"):
        remove_parametrizations(layer, "weight")
    remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight.dtype == torch.float32
