"""Loading by swapping, for tensor subclasses and other tensors that cannot be copied into.

With :func:`torch.__future__.set_swap_module_params_on_conversion`, since torch 2.3 (:pull:`117913`), loading
makes a new tensor and swaps it with the one in the module, which stays the same Python object.
"""

import contextlib
import weakref

import pytest
import torch
from torch import nn


@contextlib.contextmanager
def swapping_parameters():
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


@pytest.mark.since("2.3")
@pytest.mark.parametrize("assign", [False, True])
def test_objects_stay_when_swapping(assign):
    """Under the flag parameters and buffers stay the same objects, also with ``assign=True``.

    An optimizer made before therefore still sees them.
    """
    norm = nn.BatchNorm1d(2)
    before = [norm.weight, norm.bias, norm.running_mean]
    state = {
        **norm.state_dict(),
        "weight": torch.tensor([3.0, 4.0]),
        "running_mean": torch.tensor([5.0, 6.0]),
    }

    with swapping_parameters():
        norm.load_state_dict(state, assign=assign)

    assert [a is b for a, b in zip(before, [norm.weight, norm.bias, norm.running_mean], strict=True)] == [
        True
    ] * 3
    assert (norm.weight.tolist(), norm.running_mean.tolist()) == ([3.0, 4.0], [5.0, 6.0])


@pytest.mark.since("2.3")
def test_without_assign_the_memory_stays_when_swapping():
    """Under the flag, without ``assign``, the parameter keeps its memory, dtype and device."""
    layer = nn.Linear(2, 3)
    place = layer.weight.data_ptr()

    with swapping_parameters():
        layer.load_state_dict(nn.Linear(2, 3, dtype=torch.float64).state_dict())

    assert (layer.weight.data_ptr(), layer.weight.dtype) == (place, torch.float32)


@pytest.mark.since("2.3")
def test_assign_takes_the_memory_when_swapping():
    """Under the flag, with ``assign=True``, the parameter takes dtype and memory of the tensor given."""
    layer, state = nn.Linear(2, 3), nn.Linear(2, 3, dtype=torch.float64).state_dict()

    with swapping_parameters():
        layer.load_state_dict(state, assign=True)

    assert (layer.weight.data_ptr(), layer.weight.dtype) == (state["weight"].data_ptr(), torch.float64)
    assert type(layer.weight) is nn.Parameter


@pytest.mark.since("2.3")
@pytest.mark.parametrize("assign", [False, True])
def test_requires_grad_stays_when_swapping(assign):
    """Under the flag ``requires_grad`` of the module is kept."""
    layer = nn.Linear(2, 3)
    layer.bias.requires_grad_(False)

    with swapping_parameters():
        layer.load_state_dict(nn.Linear(2, 3).state_dict(keep_vars=True), assign=assign)

    assert [p.requires_grad for p in layer.parameters()] == [True, False]


@pytest.mark.since("2.3")
def test_module_load_makes_the_new_tensor():
    """Under the flag :meth:`~torch.Tensor.module_load` of the module's tensor makes the new one.

    A subclass decides there what loading means. It is given the value from the dict and ``assign``.
    """
    calls = []

    class Half(torch.Tensor):
        def module_load(self, other, assign=False):
            calls.append((other.tolist(), assign))
            return (other / 2).as_subclass(Half)

    net = nn.Module()
    net.register_buffer("scale", torch.tensor([1.0, 2.0]).as_subclass(Half))
    with swapping_parameters():
        net.load_state_dict({"scale": torch.tensor([3.0, 5.0])})
        net.load_state_dict({"scale": torch.tensor([3.0, 5.0])}, assign=True)

    assert calls == [([3.0, 5.0], False), ([3.0, 5.0], True)]
    assert net.scale.tolist() == [1.5, 2.5]


@pytest.mark.since("2.3")
@pytest.mark.parametrize("returned", ["self", "other"])
def test_module_load_must_return_a_new_tensor(returned):
    """A ``module_load`` that returns the module's tensor or the one given raises ``RuntimeError``."""

    class Same(torch.Tensor):
        def module_load(self, other, assign=False):
            return {"self": self, "other": other}[returned]

    net = nn.Module()
    net.register_buffer("scale", torch.tensor([1.0, 2.0]).as_subclass(Same))

    with swapping_parameters(), pytest.raises(RuntimeError) as caught:
        net.load_state_dict({"scale": torch.tensor([3.0, 5.0])})

    assert 'While swapping the parameter named "scale"' in str(caught.value)
    assert "module_load returned one of self or other, please .detach() the result" in str(caught.value)


@pytest.mark.since("2.3")
@pytest.mark.parametrize("wrapped", [False, True], ids=["tensor", "parameter"])
def test_module_load_may_return_a_parameter(wrapped):
    """What ``module_load`` returns for a parameter becomes one, with the module's ``requires_grad``."""

    class Table(nn.Parameter):
        def module_load(self, other, assign=False):
            return nn.Parameter(other.clone()) if wrapped else other.clone()

    net = nn.Module()
    net.rows = Table(torch.rand(2), requires_grad=False)
    with swapping_parameters():
        net.load_state_dict({"rows": torch.tensor([3.0, 5.0])})

    assert (type(net.rows), net.rows.requires_grad, net.rows.tolist()) == (nn.Parameter, False, [3.0, 5.0])


@pytest.mark.since("2.3")
def test_a_watched_parameter_cannot_be_swapped():
    """Under the flag loading a parameter that a weak reference points to raises ``RuntimeError``."""
    layer = nn.Linear(2, 3)
    watch = weakref.ref(layer.weight)

    with swapping_parameters(), pytest.raises(RuntimeError) as caught:
        layer.load_state_dict(nn.Linear(2, 3).state_dict())

    assert 'While swapping the parameter named "weight"' in str(caught.value)
    assert "it has weakref associated with it" in str(caught.value)
    assert watch() is layer.weight
