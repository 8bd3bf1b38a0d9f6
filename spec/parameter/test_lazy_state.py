"""Saving and loading lazy modules.

A state dict may hold uninitialised tensors. Loading goes from an initialised module into a lazy one, not the
other way.
"""

import pytest
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter


def test_a_state_dict_holds_uninitialized_tensors():
    """The state dict of a lazy module holds its uninitialised tensors themselves, under the usual keys."""
    net = nn.Sequential(nn.LazyBatchNorm1d())

    state = net.state_dict()

    assert {key: type(value) for key, value in state.items()} == {
        "0.weight": UninitializedParameter,
        "0.bias": UninitializedParameter,
        "0.running_mean": UninitializedBuffer,
        "0.running_var": UninitializedBuffer,
        "0.num_batches_tracked": torch.Tensor,
    }
    assert state["0.weight"] is net[0].weight


def test_what_is_initialised_is_detached():
    """In the state dict of a lazy module what has a shape already is detached; ``keep_vars=True`` keeps
    it.
    """
    layer = nn.LazyLinear(3)
    layer.scale = nn.Parameter(torch.rand(2))
    layer.register_buffer("shift", torch.rand(2, requires_grad=True))

    state, kept = layer.state_dict(), layer.state_dict(keep_vars=True)

    assert [type(state["scale"]), state["scale"].requires_grad] == [torch.Tensor, False]
    assert (state["shift"].requires_grad, state["scale"].data_ptr()) == (False, layer.scale.data_ptr())
    assert (kept["scale"] is layer.scale, kept["shift"] is layer.shift) == (True, True)


def test_absent_and_non_persistent_entries_are_left_out():
    """The state dict of a lazy module leaves out what is ``None`` and what is not persistent."""
    layer = nn.LazyLinear(3, bias=False)
    layer.register_buffer("cache", torch.rand(2), persistent=False)
    layer.register_buffer("nothing", None)

    assert list(layer.state_dict()) == ["weight"]


def test_loading_initialises_a_lazy_module():
    """Loading the state of an initialised module into a lazy one gives it shapes and values."""
    source, layer = nn.Linear(5, 3), nn.LazyLinear(3)
    weight = layer.weight

    keys = layer.load_state_dict(source.state_dict())

    assert (keys.missing_keys, keys.unexpected_keys, layer.has_uninitialized_params()) == ([], [], False)
    assert (layer.weight is weight, type(weight)) == (True, nn.Parameter)
    assert (weight.tolist(), layer.bias.tolist()) == (source.weight.tolist(), source.bias.tolist())


def test_loading_initialises_buffers_too():
    """Loading initialises the uninitialised buffers of a lazy module too, at any depth."""
    source, net = nn.Sequential(nn.BatchNorm1d(4)), nn.Sequential(nn.LazyBatchNorm1d())
    source(torch.rand(6, 4))

    net.load_state_dict(source.state_dict())

    assert net[0].has_uninitialized_params() is False
    assert net[0].running_mean.tolist() == source[0].running_mean.tolist()
    assert net[0].num_batches_tracked.item() == 1


def test_a_loaded_module_is_lazy_until_called():
    """After loading, a lazy module keeps its class until its first call, which keeps the loaded values."""
    source, layer = nn.Linear(5, 3), nn.LazyLinear(3)
    layer.load_state_dict(source.state_dict())
    x = torch.rand(2, 5)

    before = type(layer)
    result = layer(x)

    assert (before, type(layer)) == (nn.LazyLinear, nn.Linear)
    assert torch.allclose(result, source(x))


@pytest.mark.since("2.8")
def test_the_first_call_after_loading_sets_in_features():
    """The first call after loading sets ``in_features`` of a :class:`~torch.nn.LazyLinear`."""
    layer = nn.LazyLinear(3)
    layer.load_state_dict(nn.Linear(5, 3).state_dict())

    layer(torch.rand(2, 5))

    assert layer.in_features == 5


@pytest.mark.before("2.8")
@pytest.mark.observed
def test_in_features_stayed_zero_after_loading():
    """The first call after loading leaves ``in_features`` of a :class:`~torch.nn.LazyLinear` at 0."""
    layer = nn.LazyLinear(3)
    layer.load_state_dict(nn.Linear(5, 3).state_dict())

    layer(torch.rand(2, 5))

    assert (layer.in_features, layer.weight.shape) == (0, (3, 5))


@pytest.mark.since("2.8")
def test_the_input_must_fit_what_was_loaded():
    """A first input that does not fit the loaded weight raises an ``AssertionError`` naming both sizes."""
    layer = nn.LazyLinear(3)
    layer.load_state_dict(nn.Linear(5, 3).state_dict())

    with pytest.raises(
        AssertionError, match=r"in_features inferred from input: 6 is not equal .*self.weight: 5"
    ):
        layer(torch.rand(2, 6))


@pytest.mark.observed
def test_num_features_stays_zero_after_loading():
    """A lazy normalisation that was loaded rather than called keeps ``num_features`` 0, even after a call."""
    layer = nn.LazyBatchNorm1d()
    layer.load_state_dict(nn.BatchNorm1d(4).state_dict())

    layer(torch.rand(3, 4))

    assert (type(layer), layer.num_features, layer.weight.shape) == (nn.BatchNorm1d, 0, (4,))


def test_lazy_into_lazy_stays_lazy():
    """Loading the state of a lazy module into a lazy one leaves it uninitialised."""
    layer = nn.LazyLinear(3)

    keys = layer.load_state_dict(nn.LazyLinear(3).state_dict())

    assert (keys.missing_keys, keys.unexpected_keys) == ([], [])
    assert layer.has_uninitialized_params() is True


def test_lazy_into_initialised_fails():
    """Loading the state of a lazy module into an initialised one raises ``RuntimeError``."""
    layer = nn.Linear(5, 3)

    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter or buffer"):
        layer.load_state_dict(nn.LazyLinear(3).state_dict())

    assert layer.weight.shape == (3, 5)


@pytest.mark.since("2.1")
def test_assign_replaces_uninitialized_parameters():
    """``load_state_dict(assign=True)`` puts the loaded tensors in the place of uninitialised parameters."""
    source, layer = nn.Linear(5, 3), nn.LazyLinear(3)

    layer.load_state_dict(source.state_dict(), assign=True)

    assert layer.has_uninitialized_params() is False
    assert (type(layer.weight), layer.weight.data_ptr()) == (nn.Parameter, source.weight.data_ptr())


@pytest.mark.observed
def test_half_loaded_is_never_initialised():
    """A lazy module loaded in part raises ``AttributeError`` at its first call, and stays uninitialised."""
    layer = nn.LazyLinear(3)
    keys = layer.load_state_dict({"weight": torch.rand(3, 5)}, strict=False)

    with pytest.raises(AttributeError, match="'Parameter' object has no attribute 'materialize'"):
        layer(torch.rand(2, 5))

    assert (keys.missing_keys, type(layer.bias)) == (["bias"], UninitializedParameter)
