"""Saving and loading lazy modules.

A state dict may hold uninitialized tensors. Loading goes from an initialized module into a lazy one, not the
other way.
"""

import pytest
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter


def test_a_state_dict_holds_uninitialized_tensors():
    """``state_dict()`` of an uncalled lazy module contains its uninitialized parameters and buffers."""
    net = nn.Sequential(nn.LazyBatchNorm1d())

    for state in (net.state_dict(), net.state_dict(keep_vars=True)):
        assert {key: type(value) for key, value in state.items()} == {
            "0.weight": UninitializedParameter,
            "0.bias": UninitializedParameter,
            "0.running_mean": UninitializedBuffer,
            "0.running_var": UninitializedBuffer,
            "0.num_batches_tracked": torch.Tensor,
        }
        assert state["0.weight"] is net[0].weight
        assert state["0.running_mean"] is net[0].running_mean


def test_what_is_initialised_is_detached():
    """``state_dict()`` of a lazy module detaches its initialized tensors, unless ``keep_vars=True``."""
    layer = nn.LazyLinear(3)
    layer.scale = nn.Parameter(torch.rand(2))
    layer.register_buffer("shift", torch.rand(2, requires_grad=True))

    net = nn.Sequential(layer)
    state, kept = net.state_dict(), net.state_dict(keep_vars=True)

    assert type(state["0.scale"]) is torch.Tensor
    assert [state["0.scale"].requires_grad, state["0.shift"].requires_grad] == [False, False]
    assert state["0.scale"].data_ptr() == layer.scale.data_ptr()
    assert kept["0.scale"] is layer.scale
    assert kept["0.shift"] is layer.shift


def test_absent_and_non_persistent_entries_are_left_out():
    """``state_dict()`` of a lazy module omits ``None`` entries and non-persistent buffers."""
    layer = nn.LazyLinear(3, bias=False)
    layer.register_buffer("cache", torch.rand(2), persistent=False)
    layer.register_buffer("nothing", None)

    assert list(layer.state_dict()) == list(layer.state_dict(keep_vars=True)) == ["weight"]
    assert list(nn.Sequential(layer).state_dict()) == ["0.weight"]


def test_loading_initialises_a_lazy_module():
    """``load_state_dict`` with the state of an ``nn.Linear`` initializes an ``nn.LazyLinear``.

    So a lazy model can be restored without a dummy call.
    """
    source, inner = nn.Linear(5, 3), nn.LazyLinear(3)
    net = nn.Sequential(nn.LazyLinear(3), inner)
    before = list(net.parameters())

    keys = [net[0].load_state_dict(source.state_dict())]
    keys.append(net.load_state_dict(nn.Sequential(source, source).state_dict()))

    assert keys == [([], []), ([], [])]
    assert [layer.has_uninitialized_params() for layer in net] == [False, False]
    assert [p is old for p, old in zip(net.parameters(), before, strict=True)] == [True] * 4
    assert [type(p) for p in before] == [nn.Parameter] * 4
    assert [p.tolist() for p in before] == [source.weight.tolist(), source.bias.tolist()] * 2


def test_loading_initialises_buffers_too():
    """``load_state_dict`` also initializes the uninitialized buffers of a nested lazy module."""
    norm, lazy = nn.BatchNorm1d(4), nn.LazyBatchNorm1d()
    norm(torch.rand(6, 4))
    source, net = nn.Sequential(nn.Sequential(norm)), nn.Sequential(nn.Sequential(lazy))

    net.load_state_dict(source.state_dict())

    assert lazy.has_uninitialized_params() is False
    assert lazy.running_mean.tolist() == norm.running_mean.tolist()
    assert lazy.running_var.tolist() == norm.running_var.tolist()
    assert lazy.num_batches_tracked.item() == 1


def test_a_loaded_module_is_lazy_until_called():
    """A loaded ``nn.LazyLinear`` becomes an ``nn.Linear`` at its first call and keeps the loaded values."""
    source, x = nn.Linear(5, 3), torch.rand(2, 5)

    for training in (True, False):
        layer = nn.LazyLinear(3).train(training)
        layer.load_state_dict(source.state_dict())
        assert type(layer) is nn.LazyLinear

        result = layer(x)

        assert type(layer) is nn.Linear
        assert layer.weight.tolist() == source.weight.tolist()
        assert torch.allclose(result, source(x))


@pytest.mark.since("2.8")
def test_the_first_call_after_loading_sets_in_features():
    """The first call of an ``nn.LazyLinear`` after ``load_state_dict`` sets ``in_features``."""
    for training in (True, False):
        layer = nn.LazyLinear(3).train(training)
        layer.load_state_dict(nn.Linear(5, 3).state_dict())
        before = layer.in_features

        layer(torch.rand(2, 5))

        assert [before, layer.in_features] == [0, 5]


@pytest.mark.before("2.8")
def test_in_features_stayed_zero_after_loading():
    """``in_features`` of an ``nn.LazyLinear`` stays 0 after ``load_state_dict`` and a first call."""
    layer = nn.LazyLinear(3)
    layer.load_state_dict(nn.Linear(5, 3).state_dict())

    layer(torch.rand(2, 5))

    assert (layer.in_features, layer.weight.shape) == (0, (3, 5))


@pytest.mark.since("2.8")
def test_the_input_must_fit_what_was_loaded():
    """A loaded ``nn.LazyLinear`` raises ``AssertionError`` if its first input does not fit the loaded
    weight.
    """
    layer = nn.LazyLinear(3)
    layer.load_state_dict(nn.Linear(5, 3).state_dict())

    with pytest.raises(
        AssertionError, match=r"in_features inferred from input: 6 is not equal .*self.weight: 5"
    ):
        layer(torch.rand(2, 6))

    assert layer(torch.rand(2, 5)).shape == (2, 3)


def test_num_features_stays_zero_after_loading():
    """``num_features`` of an ``nn.LazyBatchNorm1d`` stays 0 after ``load_state_dict`` and a first call.

    So the layer prints as ``BatchNorm1d(0, ...)``; take the size from its weight.
    """
    for training in (True, False):
        layer = nn.LazyBatchNorm1d().train(training)
        layer.load_state_dict(nn.BatchNorm1d(4).state_dict())

        before = layer.num_features
        layer(torch.rand(3, 4))

        assert [before, layer.num_features] == [0, 0]
        assert repr(layer).startswith("BatchNorm1d(0, ")
        assert layer.weight.shape == (4,)


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_in_channels_stay_zero_after_loading(kind, dimensions):
    """``in_channels`` of an ``nn.LazyConv2d`` stays 0 after ``load_state_dict`` and a first call.

    So the layer prints as ``Conv2d(0, ...)``, and so it is for the other lazy convolutions. What it computes
    is right.
    """
    name = f"{kind}{dimensions}d"
    plain, x = getattr(nn, name)(2, 3, 2), torch.rand(1, 2, *[4] * dimensions)

    for training in (True, False):
        layer = getattr(nn, f"Lazy{name}")(3, 2).train(training)
        layer.load_state_dict(plain.state_dict())
        output = layer(x)

        assert layer.in_channels == 0
        assert repr(layer).startswith(f"{name}(0, 3")
        assert torch.equal(output, plain(x))


def test_lazy_into_lazy_stays_lazy():
    """``load_state_dict`` with the state of an uncalled ``nn.LazyLinear`` leaves a lazy layer
    uninitialized.
    """
    layer = nn.LazyLinear(3)

    keys = layer.load_state_dict(nn.LazyLinear(3).state_dict())

    assert (keys.missing_keys, keys.unexpected_keys) == ([], [])
    assert layer.has_uninitialized_params() is True
    assert layer(torch.rand(2, 5)).shape == (2, 3)


def test_lazy_into_initialised_fails():
    """``load_state_dict`` of an ``nn.Linear`` raises ``RuntimeError`` for the state of an uncalled
    ``nn.LazyLinear``.

    Such a state was saved before the first call, so it holds no values. The ``nn.Linear`` keeps its own
    values.
    """
    layer = nn.Linear(5, 3)
    before = [p.tolist() for p in layer.parameters()]

    for strict in (True, False):
        with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter or"):
            layer.load_state_dict(nn.LazyLinear(3).state_dict(), strict)

    assert [p.tolist() for p in layer.parameters()] == before


@pytest.mark.since("2.1")
def test_lazy_tensors_are_not_assigned_to_initialised_ones():
    """``nn.Linear.load_state_dict(lazy_state, assign=True)`` of uncalled ``LazyLinear`` raises
    ``RuntimeError``.

    It is the ``RuntimeError`` that is raised without ``assign``. Call the lazy module once before saving.
    """
    layer = nn.Linear(5, 3)
    weight, bias = layer.weight, layer.bias

    for strict in (True, False):
        with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter"):
            layer.load_state_dict(nn.LazyLinear(3).state_dict(), strict, assign=True)

    assert layer.weight is weight
    assert layer.bias is bias


@pytest.mark.since("2.1")
def test_assign_replaces_uninitialized_parameters():
    """``load_state_dict(assign=True)`` replaces uninitialized parameters with new parameter objects.

    An optimizer that was given the old ones trains nothing.
    """
    source = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))
    net = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    before = list(net.parameters())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)

    net.load_state_dict(source.state_dict(), assign=True)

    assert [layer.has_uninitialized_params() for layer in net] == [False, False]
    assert [p is old for p, old in zip(net.parameters(), before, strict=True)] == [False] * 4
    assert [type(p) for p in net.parameters()] == [nn.Parameter] * 4
    assert [p.data_ptr() for p in net.parameters()] == [p.data_ptr() for p in source.parameters()]

    values = [p.tolist() for p in net.parameters()]
    net(torch.rand(2, 5)).pow(3).sum().backward()
    optimizer.step()

    assert [p.tolist() for p in net.parameters()] == values


def test_half_loaded_is_never_initialised():
    """An ``nn.LazyLinear`` whose weight was loaded, but not its bias, raises ``AttributeError`` when called.

    The bias stays uninitialized, whatever the input. Load it too.
    """
    layer = nn.LazyLinear(3)
    keys = layer.load_state_dict({"weight": torch.rand(3, 5)}, strict=False)

    for size in (5, 6):
        with pytest.raises(AttributeError, match="'Parameter' object has no attribute 'materialize'"):
            layer(torch.rand(2, size))

    assert keys.missing_keys == ["bias"]
    assert type(layer.bias) is UninitializedParameter

    layer.load_state_dict({"bias": torch.rand(3)}, strict=False)

    assert layer(torch.rand(2, 5)).shape == (2, 3)
