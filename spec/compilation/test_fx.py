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
    """The graph of :func:`fx.symbolic_trace() <torch.fx.symbolic_trace>` lists inputs, calls and the output
    in order.
    """

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
    """:func:`fx.symbolic_trace() <torch.fx.symbolic_trace>` returns a :class:`~torch.fx.GraphModule` that
    computes the same as the original module.

    It is a module, but not one of the original's class, whose other methods it lacks.
    """
    net, bag = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.EmbeddingBag(4, 2)

    traced, traced_bag = fx.symbolic_trace(net), fx.symbolic_trace(bag)

    kinds = (fx.GraphModule, nn.Module, nn.Sequential, nn.EmbeddingBag)
    for module in (traced, traced_bag):
        assert [isinstance(module, kind) for kind in kinds] == [True, True, False, False]
    assert not hasattr(traced, "append")
    assert torch.equal(traced(x := torch.rand(4, 2)), net(x))
    assert torch.equal(traced_bag(x := torch.tensor([[3, 1]])), bag(x))


def test_unused_modules_vanish():
    """:func:`fx.symbolic_trace() <torch.fx.symbolic_trace>` keeps only submodules that ``forward`` uses, and
    tied ones under one name.

    A plain tensor that ``forward`` uses becomes a buffer. So a checkpoint of the
    :class:`~torch.fx.GraphModule` may not load into the original, nor the other way round.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)
            self.tied = self.used
            self.offset = torch.tensor([2.0, 3.0])

        def forward(self, x):
            return self.tied(self.used(x)) + self.offset

    net = Net()
    traced = fx.symbolic_trace(net)

    assert set(traced.state_dict()) == {"used.weight", "used.bias", "offset"}
    with pytest.raises(RuntimeError, match=r'(?s)Missing key.*"unused\.weight".*Unexpected key.*"offset"'):
        net.load_state_dict(traced.state_dict())
    with pytest.raises(RuntimeError, match=r'(?s)Missing key.*"offset".*Unexpected key.*"unused\.weight"'):
        traced.load_state_dict(net.state_dict())
    assert [name for name, _ in traced.named_buffers()] == ["offset"]


def test_unused_tensors_vanish():
    """:func:`fx.symbolic_trace() <torch.fx.symbolic_trace>` drops parameters and buffers that ``forward``
    leaves out.

    So it does in every module that is taken apart, such as a normalization of one's own that counts its
    batches in training only (:issue:`99407`). Layers of ``torch.nn`` keep all of theirs.
    """

    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(2))
            self.register_buffer("batches", torch.tensor(0))

        def forward(self, x):
            return x * self.weight

    net = nn.Sequential(nn.BatchNorm1d(2), Norm()).eval()
    net.register_buffer("steps", torch.tensor(0))
    lost = set(net.state_dict()) - set(fx.symbolic_trace(net).state_dict())

    assert lost == {"steps", "1.bias", "1.batches"}


def test_parameters_are_the_same_objects():
    """A :class:`~torch.fx.GraphModule` from ``fx.symbolic_trace`` holds the same layers and parameters as the
    original.

    They are the same objects under the same names: who trains one trains both.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(2, 3)
            self.scale = nn.Parameter(torch.rand(3))

        def forward(self, x):
            return self.hidden(x) * self.scale

    net = Net()

    traced = fx.symbolic_trace(net)

    assert sorted(traced.state_dict()) == ["hidden.bias", "hidden.weight", "scale"]
    assert all(p is net.get_parameter(name) for name, p in traced.named_parameters())
    assert traced.hidden is net.hidden
    assert fx.symbolic_trace(nn.Sequential(net)).get_parameter("0.scale") is net.scale


def test_layers_of_torch_are_leaves():
    """:func:`fx.symbolic_trace() <torch.fx.symbolic_trace>` records a ``torch.nn`` layer as one call, and
    traces into your own modules.

    ``Sequential`` is taken apart like a module of one's own.
    """

    class Doubled(nn.ReLU):
        def forward(self, x):
            return 2 * super().forward(x)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x) + x

    encoder = nn.TransformerEncoderLayer(2, 1)
    nodes = fx.symbolic_trace(nn.Sequential(nn.Sequential(Block()), encoder, Doubled())).graph.nodes

    assert [(node.op, node.name) for node in nodes] == [
        ("placeholder", "input_1"),
        ("call_module", "_0_0_linear"),
        ("call_function", "add"),
        ("call_module", "_1"),
        ("call_function", "relu"),
        ("call_function", "mul"),
        ("output", "output"),
    ]


def test_a_subclass_of_a_layer_is_taken_apart():
    """:func:`fx.symbolic_trace() <torch.fx.symbolic_trace>` traces into a subclass of a ``torch.nn`` layer.

    In the ``GraphModule`` it is a bare ``nn.Module`` that holds the tensors: what looks for the class, to
    freeze or to count, finds nothing. Make it a leaf.

    See also :ref:`compilation.fx.a_tracer_decides_on_leaves`
    """

    class Shifted(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    net = nn.Sequential(Shifted(2, 2, bias=False))

    traced = fx.symbolic_trace(net)

    assert [node.op for node in traced.graph.nodes][1:3] == ["get_attr", "call_function"]
    assert [type(module) for module in net.modules()] == [nn.Sequential, Shifted]
    assert [isinstance(module, nn.Linear) for module in traced.modules()] == [False, False]
    assert traced.get_parameter("0.weight") is net[0].weight


def test_a_tracer_decides_on_leaves():
    """``is_leaf_module`` of an :class:`fx.Tracer <torch.fx.Tracer>` decides which modules are recorded as one
    call.
    """

    class Block(nn.Linear):
        def forward(self, x):
            return super().forward(x) + x

    class Whole(fx.Tracer):
        def is_leaf_module(self, module, name):
            return isinstance(module, (Block, nn.Tanh))

    graph = Whole().trace(nn.Sequential(Block(2, 2), nn.Tanh(), nn.ReLU()))

    assert [node.target for node in graph.nodes] == ["input", "0", "1", F.relu, "output"]


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_taken_over(training):
    """A :class:`~torch.fx.GraphModule` starts in the original's mode; ``train()`` also sets its layers."""
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    traced = fx.symbolic_trace(net.train(training))

    assert [traced.get_submodule(name).training for name in ("", "0", "1.0")] == [training] * 3
    traced.train(not training)
    assert [module.training for module in traced.modules()] == [not training] * 4


def test_conditions_on_values_are_an_error():
    """:func:`fx.symbolic_trace() <torch.fx.symbolic_trace>` raises ``TraceError`` for an ``if`` on the value
    of an input.

    :func:`torch.jit.trace` takes the branch of its example, ``torch.jit.script`` keeps both.
    """

    class Net(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(fx.proxy.TraceError, match="cannot be used as inputs to control flow"):
        fx.symbolic_trace(Net())


def test_a_changed_graph_is_compiled_anew():
    """A change to the graph of a ``GraphModule`` takes effect only after
    :meth:`~torch.fx.GraphModule.recompile`.
    """
    traced = fx.symbolic_trace(nn.Sequential(nn.ReLU()))
    x = torch.tensor([-2.0, 3.0])
    node = next(node for node in traced.graph.nodes if node.op == "call_module")

    node.op, node.target = "call_function", torch.neg
    assert traced(x).tolist() == [0.0, 3.0]
    traced.recompile()
    assert traced(x).tolist() == [2.0, -3.0]
    assert "torch.neg(" in traced.code

    node.target = torch.abs
    assert traced(x).tolist() == [2.0, -3.0]
    traced.recompile()
    assert traced(x).tolist() == [2.0, 3.0]


def test_a_copy_has_parameters_of_its_own():
    """``copy.deepcopy`` of a :class:`~torch.fx.GraphModule` copies its graph and its parameters."""

    class Scaled(nn.Sequential):
        def __init__(self, *layers):
            super().__init__(*layers)
            self.scale = nn.Parameter(torch.tensor([2.0, 3.0, 4.0]), requires_grad=False)

        def forward(self, x):
            return self.scale * super().forward(x)

    traced = fx.symbolic_trace(Scaled(nn.Linear(2, 3)))
    x = torch.rand(2)

    other = copy.deepcopy(traced)

    assert type(other.graph) is fx.Graph
    assert other.graph is not traced.graph
    assert sorted(name for name, _ in other.named_parameters()) == ["0.bias", "0.weight", "scale"]
    assert set(other.parameters()).isdisjoint(traced.parameters())
    assert torch.equal(other(x), traced(x))


def test_hooks_of_modules_taken_apart_are_lost():
    """The :class:`~torch.fx.GraphModule` of ``fx.symbolic_trace`` runs hooks of layers it calls, not of the
    traced module.

    Those of a block that is traced into run while it is traced, and what they compute is in the graph. Those
    of the root are left out, so register them on the ``GraphModule``.
    """
    calls = []

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, x):
            return self.layer(x)

    net = nn.Sequential(Block())
    for name, module in net.named_modules():
        module.register_forward_pre_hook(lambda _, args, name=name: calls.append(f"into {name}"))
        module.register_forward_hook(lambda _, args, output, name=name: calls.append(name) or output * 10)

    traced = fx.symbolic_trace(net)
    assert calls == ["into 0", "0"]
    calls.clear()
    assert traced(torch.tensor(3.0)).item() == 300.0
    assert calls == ["into 0.layer", "0.layer"]
    assert net(torch.tensor(3.0)).item() == 3000.0


@pytest.mark.parametrize("cast", [nn.Module.double, lambda net: net.to(torch.float64)], ids=["double", "to"])
def test_a_later_cast_splits_buffers(cast):
    """Casting a module casts parameters of its ``GraphModule`` too, but not buffers that ``forward`` reads.

    Both hold the same objects at first. A cast changes parameters in place and replaces buffers: cast before
    ``fx.symbolic_trace``.
    """

    class Net(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.layer = inner, nn.BatchNorm1d(2)
            self.register_buffer("offset", torch.tensor([2.0, 3.0]))
            self.scale = nn.Parameter(torch.tensor([4.0, 5.0]))

        def forward(self, x):
            return self.layer(self.inner(x)) * self.scale + self.offset

    net = Net(Net(nn.Identity()))
    traced = fx.symbolic_trace(net)
    pairs = [(traced, net), (traced.inner, net.inner)]
    assert all(graph.offset is module.offset for graph, module in pairs)
    cast(net)

    for graph, module in pairs:
        assert (graph.scale is module.scale, graph.layer is module.layer) == (True, True)
        assert (graph.offset.dtype, module.offset.dtype) == (torch.float32, torch.float64)


@pytest.mark.since("2.14")
def test_buffers_stay_non_persistent():
    """A non-persistent buffer that ``forward`` uses is non-persistent in a :class:`~torch.fx.GraphModule`
    too.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("offset", torch.tensor([2.0, 3.0]), persistent=False)

        def forward(self, x):
            return x + self.offset

    for net, name in ((Net(), "offset"), (nn.Sequential(Net()), "0.offset")):
        traced = fx.symbolic_trace(net)
        assert [found for found, _ in traced.named_buffers()] == [name]
        assert list(traced.state_dict()) == []


@pytest.mark.before("2.14")
def test_buffers_became_persistent():
    """A non-persistent buffer that ``forward`` uses is persistent in a :class:`~torch.fx.GraphModule`.

    So its ``state_dict()`` does not load into the original.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("offset", torch.tensor([2.0, 3.0]), persistent=False)

        def forward(self, x):
            return x + self.offset

    assert list(fx.symbolic_trace(Net()).state_dict()) == ["offset"]


def test_a_copy_lacks_plain_attributes():
    """``copy.deepcopy`` of a ``GraphModule`` drops forward hooks and plain attributes, and keeps ``meta``.

    Other modules keep all of them. A subclass that holds more, such as a second graph, needs a
    ``__deepcopy__`` of its own.
    """
    net = nn.Sequential(nn.ReLU())
    traced = fx.symbolic_trace(net)
    traced.note, traced.meta["origin"], net.note = "kept", "here", "kept"
    for module in (net, traced):
        module.register_forward_hook(lambda module, args, output: output * 10)
        module.register_forward_pre_hook(lambda module, args: (args[0] + 1,))

    other, of_net = copy.deepcopy(traced), copy.deepcopy(net)

    assert not hasattr(other, "note")
    assert other.meta == {"origin": "here"}
    assert traced(torch.tensor([3.0])).tolist() == [40.0]
    assert other(torch.tensor([3.0])).tolist() == [3.0]
    assert of_net.note == "kept"
    assert of_net(torch.tensor([3.0])).tolist() == [40.0]
