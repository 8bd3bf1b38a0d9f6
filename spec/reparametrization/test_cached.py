"""Computing a parametrized tensor once.

Within a context a parametrized tensor is computed at its first reading and kept until the end.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import register_parametrization


def test_a_tensor_is_computed_once():
    """Within :func:`~torch.nn.utils.parametrize.cached` every reading gives the same tensor."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight


def test_changes_are_not_seen_within():
    """Within :func:`~torch.nn.utils.parametrize.cached` a change of the original is not seen."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())
    with torch.no_grad():
        layer.parametrizations.weight.original.fill_(3.0)

        with parametrize.cached():
            before = layer.weight.tolist()
            layer.parametrizations.weight.original.fill_(5.0)
            within = layer.weight.tolist()

    assert [before, within, layer.weight.tolist()] == [[[3.0, 3.0]], [[3.0, 3.0]], [[5.0, 5.0]]]


def test_each_context_starts_afresh():
    """What :func:`~torch.nn.utils.parametrize.cached` kept is forgotten at the end of the context."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    with parametrize.cached():
        first = layer.weight
    with parametrize.cached():
        second = layer.weight

    assert first is not second


def test_contexts_may_be_nested():
    """Of nested :func:`~torch.nn.utils.parametrize.cached` contexts the outermost decides."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    with parametrize.cached():
        first = layer.weight
        with parametrize.cached():
            within = layer.weight
        after = layer.weight

    assert within is first
    assert after is first


def test_an_exception_ends_it():
    """An exception ends the context of :func:`~torch.nn.utils.parametrize.cached`."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    with pytest.raises(KeyError, match="stop"), parametrize.cached():
        raise KeyError("stop")

    assert layer.weight is not layer.weight


def test_tensors_are_told_apart_by_module_and_name():
    """Within :func:`~torch.nn.utils.parametrize.cached` each tensor of each module is kept on its own."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for number, layer in enumerate(net):
        nn.init.constant_(layer.weight, number + 2.0)
        nn.init.constant_(layer.bias, number + 5.0)
        register_parametrization(layer, "weight", nn.ReLU())
        register_parametrization(layer, "bias", nn.ReLU())

    with parametrize.cached():
        values = [value for layer in net for value in (layer.weight[0, 0].item(), layer.bias[0].item())]

    assert values == [2.0, 5.0, 3.0, 6.0]


def test_tracing_within_is_an_error():
    """Tracing within :func:`~torch.nn.utils.parametrize.cached` raises ``RuntimeError``."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    with parametrize.cached(), pytest.raises(RuntimeError, match="Cannot trace a model while caching"):
        torch.jit.trace(layer, torch.rand(2), check_trace=False)


def test_tracing_without_it_is_possible():
    """Outside :func:`~torch.nn.utils.parametrize.cached` a parametrized module can be traced."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())
    x = torch.rand(2)

    assert torch.equal(torch.jit.trace(layer, x)(x), layer(x))


def test_scripting_is_an_error():
    """A parametrized module that is scripted raises ``torch.jit.Error`` when it is called."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    with pytest.raises(torch.jit.Error, match="Parametrization is not working with scripting"):
        torch.jit.script(layer)(torch.rand(2))
