"""Compiling a module in place.

:meth:`torch.nn.Module.compile` compiles what a call of the module does. The module stays what it is.
"""

import copy
import pickle

import pytest
import torch
from torch import nn


class Double(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2.0


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
def test_a_call_runs_compiled_code(device):
    """After :meth:`~torch.nn.Module.compile` a call hands a graph to the backend and runs it.

    The graph is made at the first call, and used again.
    """
    graphs = []
    layer = Double(2, 3, device=device)
    x = torch.rand(4, 2, device=device)
    expected = layer(x)

    layer.compile(backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    assert graphs == []

    assert torch.equal(layer(x), expected)
    assert torch.equal(layer(x), expected)
    assert [isinstance(graph, torch.fx.GraphModule) for graph in graphs] == [True]


@pytest.mark.since("2.1")
@pytest.mark.question("Q105")
@pytest.mark.needs("compile")
def test_nothing_is_returned():
    """:meth:`~torch.nn.Module.compile` changes the module in place and returns ``None``."""
    layer = Double(2, 3)
    keys, before = list(layer.state_dict()), list(layer.modules())

    assert layer.compile(backend="eager") is None
    assert type(layer) is Double
    assert list(layer.state_dict()) == keys
    assert list(layer.modules()) == before


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_arguments_are_passed_on():
    """:meth:`~torch.nn.Module.compile` passes its arguments on to :func:`torch.compile`."""
    graphs = []
    layer = Double(2, 3)

    layer.compile(backend=lambda graph, inputs: graphs.append(graph), disable=True)
    layer(torch.rand(2))

    assert graphs == []
    with pytest.raises(TypeError, match="unexpected keyword argument 'backnd'"):
        layer.compile(backnd="eager")
    with pytest.raises(TypeError, match="positional argument"):
        layer.compile("eager")


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_forward_called_by_name_is_not_compiled():
    """Only a call of the module is compiled: ``forward`` called by name runs eagerly."""
    graphs = []
    layer = Double(2, 3)
    layer.compile(backend=lambda graph, inputs: graphs.append(graph) or graph.forward)

    layer.forward(torch.rand(2))

    assert graphs == []


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_parameters_may_be_changed_later():
    """Compiled code uses the parameters as they are at the call, and gradients reach them."""
    layer = Double(2, 1, bias=False)
    layer.compile(backend="eager")
    layer(torch.rand(2))

    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 3.0]]))
    out = layer(torch.tensor([10.0, 100.0]))
    out.backward()

    assert out.tolist() == [640.0]
    assert layer.weight.grad.tolist() == [[20.0, 200.0]]


@pytest.mark.since("2.14")
@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
def test_a_layer_of_torch_is_compiled_too():
    """A layer of ``torch.nn`` compiled in place runs compiled code (:issue:`150915`, :pull:`185722`)."""
    graphs = []
    layer = nn.Linear(2, 3)
    layer.compile(backend=lambda graph, inputs: graphs.append(graph) or graph.forward)

    layer(torch.rand(2))

    assert len(graphs) == 1


@pytest.mark.since("2.1")
@pytest.mark.before("2.14")
@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
@pytest.mark.observed
def test_a_layer_of_torch_ran_eagerly():
    """A layer of ``torch.nn`` compiled in place runs eagerly (:issue:`150915`).

    A module with a ``forward`` of one's own is compiled, and so is a layer given to :func:`torch.compile`.
    """
    graphs = []
    layer = nn.Linear(2, 3)
    layer.compile(backend=lambda graph, inputs: graphs.append(graph) or graph.forward)

    layer(torch.rand(2))

    assert graphs == []


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_the_mode_is_followed():
    """A change of mode after the first call makes another graph."""
    graphs = []

    class Net(nn.Module):
        def forward(self, x):
            return x * 2.0 if self.training else x * 3.0

    net = Net()
    net.compile(backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    x = torch.tensor([5.0])

    assert [net(x).item(), net.eval()(x).item(), net.train()(x).item()] == [10.0, 15.0, 10.0]
    assert len(graphs) == 2


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_hooks_run_once():
    """Hooks of the module run once for a compiled call."""
    calls = []
    layer = Double(2, 3)
    layer.register_forward_pre_hook(lambda *_: calls.append("pre"))
    layer.register_forward_hook(lambda *_: calls.append("post"))

    layer.compile(backend="eager")
    layer(torch.rand(2))

    assert calls == ["pre", "post"]


@pytest.mark.since("2.4")
@pytest.mark.needs("compile")
@pytest.mark.question("Q109")
def test_a_global_hook_runs_once():
    """A global hook runs once for a call of a module compiled in place, as in eager mode."""
    calls = []
    layer = Double(2, 3)
    layer.compile(backend="eager")

    handle = nn.modules.module.register_module_forward_hook(
        lambda module, *_: calls.append(type(module).__name__)
    )
    try:
        layer(torch.rand(2))
    finally:
        handle.remove()

    assert calls == ["Double"]


@pytest.mark.since("2.1")
@pytest.mark.before("2.4")
@pytest.mark.needs("compile")
@pytest.mark.question("Q109")
@pytest.mark.observed
def test_a_global_hook_ran_for_the_graph_too():
    """A global hook runs for the graph and its wrapper as well, even if compiled in place."""
    calls = []
    layer = Double(2, 3)
    layer.compile(backend="eager")

    handle = nn.modules.module.register_module_forward_hook(
        lambda module, *_: calls.append(type(module).__name__)
    )
    try:
        layer(torch.rand(2))
    finally:
        handle.remove()

    assert calls == ["GraphModule", "OptimizedModule", "Double"]


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_a_submodule_may_be_compiled():
    """A submodule may be compiled on its own; the rest runs eagerly."""
    graphs = []
    net = nn.Sequential(Double(2, 3), Double(3, 1))
    backend = lambda graph, inputs: graphs.append([tuple(value.shape) for value in inputs]) or graph.forward  # noqa: E731

    net[1].compile(backend=backend)
    net(torch.rand(4, 2))

    assert len(graphs) == 1
    assert (4, 3) in graphs[0]
    assert (4, 2) not in graphs[0]


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["deepcopy", "pickle"]
)
def test_a_copy_is_not_compiled(duplicate):
    """A deep copy, or what comes back from a pickle, is not compiled."""
    graphs = []
    layer = Double(2, 3)
    layer.compile(backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    x = torch.rand(2)

    assert torch.equal(duplicate(layer)(x), layer.forward(x))
    assert graphs == []
    layer(x)
    assert len(graphs) == 1
