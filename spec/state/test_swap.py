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
    """With ``set_swap_module_params_on_conversion(True)``, ``load_state_dict`` keeps every tensor object.

    That is so with ``assign=True`` too, so an optimizer made before still trains the module.
    """
    norm = nn.BatchNorm1d(2)
    weight, mean = norm.weight, norm.running_mean
    before = list(norm.state_dict(keep_vars=True).values())
    net = nn.Sequential(norm)
    state = {
        **net.state_dict(),
        "0.weight": torch.tensor([3.0, 4.0]),
        "0.running_mean": torch.tensor([5.0, 6.0]),
    }

    with swapping_parameters():
        net.load_state_dict(state, assign=assign)

    after = norm.state_dict(keep_vars=True).values()
    assert [id(value) for value in after] == [id(value) for value in before]
    assert weight.tolist() == [3.0, 4.0]
    assert mean.tolist() == [5.0, 6.0]


@pytest.mark.since("2.3")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_without_assign_the_memory_stays_when_swapping(dtype):
    """With ``set_swap_module_params_on_conversion``, ``load_state_dict(assign=False)`` keeps parameter
    memory.

    So it keeps the dtype and the device. Only a ``module_load`` that a subclass overrides may do otherwise.
    """
    layer = nn.Linear(2, 1)
    places = [p.data_ptr() for p in layer.parameters()]
    state = {"weight": torch.tensor([[3.0, 4.0]], dtype=dtype), "bias": torch.tensor([5.0], dtype=dtype)}

    with swapping_parameters():
        layer.load_state_dict(state)

    assert [p.data_ptr() for p in layer.parameters()] == places
    assert [p.dtype for p in layer.parameters()] == [torch.float32, torch.float32]
    assert [p.tolist() for p in layer.parameters()] == [[[3.0, 4.0]], [5.0]]


@pytest.mark.since("2.3")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_assign_takes_the_memory_when_swapping(dtype):
    """With ``set_swap_module_params_on_conversion``, ``load_state_dict(assign=True)`` uses the dict's memory.

    The parameter stays the same object, of the dtype of the tensor in the dict.
    """
    layer, state = nn.BatchNorm1d(2), nn.BatchNorm1d(2, dtype=dtype).state_dict()
    before = [*layer.parameters(), layer.running_mean, layer.running_var, layer.num_batches_tracked]

    with swapping_parameters():
        layer.load_state_dict(state, assign=True)

    assert [id(t) for t in (*layer.parameters(), *layer.buffers())] == [id(t) for t in before]
    assert [(type(p), p.dtype) for p in layer.parameters()] == [(nn.Parameter, dtype)] * 2
    assert [t.dtype for t in layer.buffers()] == [dtype, dtype, torch.int64]
    assert [t.data_ptr() for t in before] == [value.data_ptr() for value in state.values()]


@pytest.mark.since("2.3")
@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("keep_vars", [False, True], ids=["tensors", "parameters"])
def test_requires_grad_stays_when_swapping(keep_vars, assign):
    """With ``set_swap_module_params_on_conversion``, ``load_state_dict`` keeps each parameter's
    ``requires_grad``.
    """
    layer, other = nn.Linear(2, 3), nn.Linear(2, 3)
    layer.bias.requires_grad_(False)
    other.weight.requires_grad_(False)

    with swapping_parameters():
        nn.Sequential(layer).load_state_dict(
            nn.Sequential(other).state_dict(keep_vars=keep_vars), assign=assign
        )

    assert [p.requires_grad for p in layer.parameters()] == [True, False]


@pytest.mark.since("2.3")
def test_module_load_makes_the_new_tensor():
    """With ``set_swap_module_params_on_conversion``, :meth:`Tensor.module_load() <torch.Tensor.module_load>`
    returns the tensor that is loaded.

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
@pytest.mark.parametrize("given", ["self", "other"])
def test_module_load_must_return_a_new_tensor(given):
    """A ``load_state_dict`` that swaps tensors raises ``RuntimeError`` if ``module_load`` returns ``self``.

    So it does for ``other``. It swaps after ``torch.__future__.set_swap_module_params_on_conversion(True)``.
    Return a clone, or the tensor detached.
    """

    class Same(torch.Tensor):
        def module_load(self, other, assign=False):
            return self if given == "self" else other

    net = nn.Module()
    net.register_buffer("scale", torch.tensor([1.0, 2.0]).as_subclass(Same))

    with swapping_parameters(), pytest.raises(RuntimeError, match="While swapping the parameter") as caught:
        net.load_state_dict({"scale": torch.tensor([3.0, 5.0])})

    assert 'While swapping the parameter named "scale"' in str(caught.value)
    assert "module_load returned one of self or other, please .detach() the result" in str(caught.value)


@pytest.mark.since("2.3")
@pytest.mark.parametrize("wrapped", [False, True], ids=["tensor", "parameter"])
def test_module_load_may_return_a_parameter(wrapped):
    """What ``Tensor.module_load`` returns for a parameter becomes an ``nn.Parameter`` with the old
    ``requires_grad``.

    ``load_state_dict`` calls it under ``set_swap_module_params_on_conversion``.
    """

    class Table(nn.Parameter):
        def module_load(self, other, assign=False):
            return nn.Parameter(other.clone()) if wrapped else other.clone()

    net = nn.Module()
    net.rows = Table(torch.rand(2), requires_grad=False)
    net.columns = Table(torch.rand(2))
    with swapping_parameters():
        net.load_state_dict({"rows": torch.tensor([3.0, 5.0]), "columns": torch.tensor([7.0, 9.0])})

    assert [type(p) for p in net.parameters()] == [nn.Parameter, nn.Parameter]
    assert [p.requires_grad for p in net.parameters()] == [False, True]
    assert [p.tolist() for p in net.parameters()] == [[3.0, 5.0], [7.0, 9.0]]


@pytest.mark.parametrize("name", ["weight", "bias"])
@pytest.mark.since("2.3")
def test_a_watched_parameter_cannot_be_swapped(name):
    """A ``load_state_dict`` that swaps tensors raises ``RuntimeError`` if a parameter has a weakref.

    It swaps after ``torch.__future__.set_swap_module_params_on_conversion(True)``. Some caches keep a
    ``weakref`` to a parameter.
    """
    layer = nn.Linear(2, 3)
    watch, net = weakref.ref(getattr(layer, name)), nn.Sequential(layer)

    for assign in (False, True):
        with swapping_parameters(), pytest.raises(RuntimeError, match="While swapping the param") as caught:
            net.load_state_dict(nn.Sequential(nn.Linear(2, 3)).state_dict(), assign=assign)

        assert f'While swapping the parameter named "0.{name}"' in str(caught.value)
        assert "it has weakref associated with it" in str(caught.value)
        assert watch() is getattr(layer, name)
