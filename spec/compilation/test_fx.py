"""Modules as graphs.

:func:`torch.fx.symbolic_trace` runs ``forward`` with stand-ins for the inputs and gives a graph of what it
did, which can be looked at, changed and run.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn


def test_a_graph_lists_what_is_done():
    """:func:`~torch.fx.symbolic_trace` gives a graph of inputs, calls and the output, in order."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(2, 3)
            self.scale = nn.Parameter(torch.rand(3))

        def forward(self, x):
            return (F.relu(self.hidden(x)) * self.scale).sum()

    nodes = list(fx.symbolic_trace(Net()).graph.nodes)

    assert [(node.op, node.name) for node in nodes] == [
        ("placeholder", "x"),
        ("call_module", "hidden"),
        ("call_function", "relu"),
        ("get_attr", "scale"),
        ("call_function", "mul"),
        ("call_method", "sum_1"),
        ("output", "output"),
    ]


def test_a_graph_module_is_a_module():
    """What tracing gives is a :class:`~torch.fx.GraphModule`, a module with the same names and results."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    x = torch.rand(4, 2)

    traced = fx.symbolic_trace(net)

    assert (isinstance(traced, fx.GraphModule), isinstance(traced, nn.Module)) == (True, True)
    assert not isinstance(traced, nn.Sequential)
    assert list(traced.state_dict()) == list(net.state_dict())
    assert torch.equal(traced(x), net(x))


def test_parameters_are_the_same_objects():
    """A graph module holds the very submodules and parameters of the original."""
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())

    traced = fx.symbolic_trace(net)

    assert [id(value) for value in traced.parameters()] == [id(value) for value in net.parameters()]
    assert traced.get_submodule("0") is net[0]


def test_layers_of_torch_are_leaves():
    """Layers of ``torch.nn`` are single calls; modules of one's own are taken apart."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x) + x

    nodes = fx.symbolic_trace(nn.Sequential(Block(), nn.ReLU())).graph.nodes

    assert [node.target for node in nodes if node.op == "call_module"] == ["0.linear", "1"]
    assert [node.name for node in nodes if node.op == "call_function"] == ["add"]


def test_a_tracer_decides_on_leaves():
    """A :class:`~torch.fx.Tracer` of one's own may say which modules are leaves."""

    class Block(nn.Linear):
        def forward(self, x):
            return super().forward(x) + x

    class Whole(fx.Tracer):
        def is_leaf_module(self, module, name):
            return isinstance(module, Block) or super().is_leaf_module(module, name)

    graph = Whole().trace(nn.Sequential(Block(2, 2), nn.ReLU()))

    assert [node.target for node in graph.nodes] == ["input", "0", "1", "output"]


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_taken_over(training):
    """A graph module has the mode of the original, and its leaves follow a change."""
    traced = fx.symbolic_trace(nn.Sequential(nn.Dropout()).train(training))

    assert traced.training is training
    traced.train(not training)
    assert traced.get_submodule("0").training is not training


def test_conditions_on_values_are_an_error():
    """A condition on the value of an input raises ``TraceError``."""

    class Net(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(fx.proxy.TraceError, match="cannot be used as inputs to control flow"):
        fx.symbolic_trace(Net())


def test_a_changed_graph_is_compiled_anew():
    """A change of the graph takes effect with :meth:`~torch.fx.GraphModule.recompile`."""
    traced = fx.symbolic_trace(nn.Sequential(nn.ReLU()))
    x = torch.tensor([-2.0, 3.0])
    for node in traced.graph.nodes:
        if node.op == "call_module":
            node.op, node.target = "call_function", torch.neg

    assert traced(x).tolist() == [0.0, 3.0]
    traced.recompile()
    assert traced(x).tolist() == [2.0, -3.0]
    assert "torch.neg(" in traced.code


def test_a_copy_has_parameters_of_its_own():
    """A deep copy of a graph module has a graph and parameters of its own."""
    traced = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 3)))
    x = torch.rand(2)

    other = copy.deepcopy(traced)

    assert other.graph is not traced.graph
    assert other.get_parameter("0.weight") is not traced.get_parameter("0.weight")
    assert torch.equal(other(x), traced(x))
