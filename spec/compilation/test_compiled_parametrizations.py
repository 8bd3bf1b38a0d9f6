"""Compiled layers whose weight is computed from other tensors.

A parametrization computes it when it is read, the older forms in a hook before the call: both are part of the
graph.
"""

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
def test_a_parametrized_layer_is_compiled(norm):
    """A compiled layer with ``spectral_norm`` or ``orthogonal`` computes its weight in each call.

    Gradients reach the tensors that it is computed from.
    """
    layer = norm(nn.Linear(2, 2)).eval()
    compiled, x = torch.compile(layer, backend="eager"), torch.tensor([2.0, 3.0])
    before = compiled(x)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.tensor([1.0, 3.0])[: parameter.shape[-1]])
    after = compiled(x)
    after.sum().backward()

    torch.testing.assert_close(after, layer(x))
    assert not torch.allclose(after, before)
    assert all(parameter.grad is not None for parameter in layer.parameters())


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
                parameter.add_(2.0)
        torch.testing.assert_close(compiled(x), layer(x))
        compiled(x).sum().backward()
        assert all(parameter.grad is not None for parameter in layer.parameters())
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
