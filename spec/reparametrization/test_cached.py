"""Computing a parametrized tensor once.

Within a context a parametrized tensor is computed at its first reading and kept until the end.
"""

import contextlib
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import register_parametrization


def test_a_tensor_is_computed_once():
    """Within ``parametrize.cached()``, each access of a parametrized weight returns the same tensor object.

    Put :func:`~torch.nn.utils.parametrize.cached` around the forward pass of a network that reads a weight
    several times, as a recurrent one does.
    """
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    for training in (True, False):
        layer.train(training)
        with torch.set_grad_enabled(training), parametrize.cached():
            first = layer.weight
            assert layer.weight is first
            layer(torch.rand(2))
            assert layer.weight is first
            with torch.set_grad_enabled(not training):
                assert layer.train(not training).weight is first
        assert layer.weight is not layer.weight


def test_changes_are_not_seen_within():
    """In ``parametrize.cached()``, a weight that was accessed before ignores later changes of ``original``.

    A step of the optimizer belongs outside.
    """
    relu = nn.ReLU()
    relu.right_inverse = lambda x: x
    layer = register_parametrization(nn.Linear(2, 1), "weight", relu)
    layer.weight = torch.tensor([[2.0, 3.0]])

    with parametrize.cached():
        assert layer.weight.tolist() == [[2.0, 3.0]]
        nn.init.constant_(layer.parametrizations.weight.original, 5.0)
        assert layer.weight.tolist() == [[2.0, 3.0]]
        layer.weight = torch.tensor([[7.0, 8.0]])
        assert layer.weight.tolist() == [[2.0, 3.0]]
    assert layer.weight.tolist() == [[7.0, 8.0]]


def test_each_context_starts_afresh():
    """``parametrize.cached()`` clears its cache at the end of the context."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    with parametrize.cached():
        kept = weakref.ref(layer.weight)
        assert kept() is layer.weight
    assert kept() is None

    with contextlib.suppress(KeyError), parametrize.cached():
        kept = weakref.ref(layer.weight)
        raise KeyError
    assert kept() is None

    with parametrize.cached():
        first = layer.weight
    with parametrize.cached():
        assert layer.weight is not first


def test_contexts_may_be_nested():
    """Leaving an inner ``parametrize.cached()`` context keeps the cache of the outer one."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    with parametrize.cached():
        first = layer.weight
        with parametrize.cached():
            within = layer.weight
        after = layer.weight
        with contextlib.suppress(KeyError), parametrize.cached():
            raise KeyError
        assert layer.weight is first

    assert within is first
    assert after is first


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_an_exception_ends_it(error):
    """An exception that leaves a ``parametrize.cached()`` context ends the caching."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    with pytest.raises(error, match="stop"), parametrize.cached():
        kept = layer.weight
        assert layer.weight is kept
        raise error("stop")

    assert layer.weight is not kept
    assert layer.weight is not layer.weight
    with parametrize.cached():
        assert layer.weight is not kept


def test_tensors_are_told_apart_by_module_and_name():
    """``parametrize.cached()`` caches each tensor of each module separately."""
    net, shared = nn.Sequential(nn.BatchNorm1d(1), nn.BatchNorm1d(1)), nn.ReLU()
    for number, norm in enumerate(net):
        nn.init.constant_(norm.bias, number + 2.0)
        norm.running_mean.fill_(number + 5.0)
        register_parametrization(norm, "bias", shared)
        register_parametrization(norm, "running_mean", shared)

    with parametrize.cached():
        values = [value for norm in net for value in (norm.bias, norm.running_mean)]
        again = [value for norm in net for value in (norm.bias, norm.running_mean)]

    assert [value.item() for value in values] == [2.0, 5.0, 3.0, 6.0]
    assert [id(value) for value in again] == [id(value) for value in values]


def test_tracing_within_is_an_error():
    """``torch.jit.trace`` of a parametrized module in ``parametrize.cached()`` raises ``RuntimeError``."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    for enabled in (True, False):
        with parametrize.cached(), torch.set_grad_enabled(enabled):
            layer.weight  # noqa: B018
            with pytest.raises(RuntimeError, match="Cannot trace a model while caching"):
                torch.jit.trace(layer, torch.rand(2), check_trace=False)


def test_tracing_without_it_is_possible():
    """``torch.jit.trace`` accepts a parametrized module outside ``parametrize.cached()``.

    The parametrization is part of what is traced.
    """
    layer = register_parametrization(nn.Linear(2, 1, bias=False), "weight", nn.ReLU())
    traced = torch.jit.trace(layer, torch.tensor([1.0, 2.0]))

    layer.parametrizations.weight.original.data = torch.tensor([[2.0, -3.0]])
    assert traced(torch.tensor([10.0, 100.0])).tolist() == [20.0]


def test_scripting_is_an_error():
    """A parametrized module compiled by ``torch.jit.script`` raises ``torch.jit.Error`` when called.

    Remove the parametrizations first, or trace.
    """
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    for net in (layer, nn.Sequential(layer)):
        scripted = torch.jit.script(net)
        with pytest.raises(torch.jit.Error, match="Parametrization is not working with scripting"):
            scripted(torch.rand(2))


def test_the_parametrized_tensor_has_no_grad():
    """After ``backward()`` a parametrized ``layer.weight`` has ``grad`` ``None``; its ``original`` has one.

    Each access gives a new tensor, which is no leaf of the graph, and torch warns of it. It is trained all
    the same.
    """
    layer = register_parametrization(nn.Linear(2, 1, bias=False), "weight", nn.Tanh())
    layer(torch.tensor([1.0, 2.0])).backward()

    with pytest.warns(UserWarning, match="not a leaf Tensor"):
        grad = layer.weight.grad

    assert grad is None
    assert layer.weight.is_leaf is False
    assert layer.parametrizations.weight.original.grad.shape == (1, 2)
