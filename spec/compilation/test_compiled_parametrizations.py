"""Compiled layers whose weight is computed from other tensors.

A parametrization computes it when it is read, the older forms in a hook before the call: both are part of the
graph.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations


@pytest.mark.needs("compile")
@pytest.mark.parametrize(
    "norm",
    [
        torch.nn.utils.spectral_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
    ],
    ids=["old spectral_norm", "spectral_norm", "orthogonal"],
)
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_a_parametrized_layer_is_compiled(norm, mode):
    """A compiled layer with ``spectral_norm`` or ``orthogonal`` computes its weight in each call.

    Gradients reach the tensors that it is computed from. All is as without ``torch.compile``, also in
    training mode, where ``spectral_norm`` changes its buffers.
    """
    layer, x, seen = norm(nn.Linear(2, 2, bias=False)).train(mode), torch.tensor([2.0, 3.0]), []
    for net in (layer, copy.deepcopy(layer)):
        call = net if seen else torch.compile(net, backend="eager")
        before = call(x)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.tensor([1.0, 3.0]))
        after = call(x)
        after.prod().backward()
        assert not torch.allclose(before, after)
        seen.append([before, after, *net.buffers(), *(parameter.grad for parameter in net.parameters())])

    torch.testing.assert_close(seen[0], seen[1])


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_weight_norm_is_compiled():
    """``torch.compile`` of a layer with ``weight_norm``, old or parametrized, computes the weight in the
    graph.

    So the layer follows its length and direction, and gradients reach them (:issue:`121304`,
    :issue:`121902`, :issue:`118742`).
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append([node.target.__name__ for node in graph.graph.nodes if node.op == "call_function"])
        return graph.forward

    x = torch.tensor([2.0, 3.0])
    for norm in (torch.nn.utils.weight_norm, parametrizations.weight_norm):
        layer = norm(nn.Linear(2, 2))
        compiled = torch.compile(layer, backend=backend)
        compiled(x)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(torch.tensor([1.0, 3.0])[: parameter.shape[-1]])
        torch.testing.assert_close(compiled(x), layer(x))
        found = torch.autograd.grad(compiled(x).prod(), layer.parameters())
        torch.testing.assert_close(found, torch.autograd.grad(layer(x).prod(), layer.parameters()))
    assert graphs == [["_weight_norm", "linear"]] * 2


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
@pytest.mark.before("2.3")
@pytest.mark.parametrize("forms", [torch.nn.utils, parametrizations], ids=["old", "new"])
def test_weight_norm_could_not_be_compiled(forms):
    """``torch.compile`` of a layer with ``weight_norm`` raises ``TorchRuntimeError`` at the first call."""
    compiled = torch.compile(forms.weight_norm(nn.Linear(2, 2)), backend="eager")

    with pytest.raises(torch._dynamo.exc.TorchRuntimeError, match="_weight_norm_interface"):
        compiled(torch.rand(2))
