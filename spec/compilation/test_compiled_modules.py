"""What a compiled ``forward`` may do with the modules it calls.

They may be made on the way, or be found by methods of one's own. Where the compiler cannot follow, it leaves
a part to Python; with ``fullgraph=True`` that is an error.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.parametrize("fullgraph", [False, True])
def test_a_module_without_parameters_is_made_on_the_way(fullgraph):
    """A ``forward`` compiled by :func:`torch.compile` may make a module without parameters, in one graph.

    See also :ref:`compilation.compiled_modules.a_layer_is_made_on_the_way`
    """

    class Net(nn.Module):
        def forward(self, x):
            return nn.Flatten(0)(x) * 2

    compiled = torch.compile(Net(), backend="eager", fullgraph=fullgraph)

    assert compiled(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [2.0, 4.0, 6.0, 8.0]


@pytest.mark.needs("compile")
def test_a_layer_is_made_on_the_way():
    """A ``forward`` compiled by :func:`torch.compile` may make a layer with parameters, new in each call.

    As in Python it is not registered and never trained: make layers in ``__init__``.
    """

    class Net(nn.Module):
        def forward(self, x):
            layer = nn.Linear(2, 1, bias=False)
            made = layer.weight.clone()
            nn.init.constant_(layer.weight, 3.0)
            return layer(x), made

    net, x = Net(), torch.tensor([1.0, 2.0])
    compiled = torch.compile(net, backend="eager")
    (result, first), (again, second) = compiled(x), compiled(x)

    assert result.tolist() == again.tolist() == [9.0]
    assert not torch.equal(first, second)
    assert 3.0 not in second
    assert list(net.parameters()) == []


@pytest.mark.needs("compile")
def test_getitem_of_ones_own_is_compiled():
    """``torch.compile(fullgraph=True)`` compiles a module that looks its layers up by its own
    ``__getitem__``.

    See :func:`torch.compile` (:issue:`97720`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.ModuleDict({"n0": nn.PReLU(init=2.0), "n1": nn.PReLU(init=3.0)})

        def __getitem__(self, number):
            return self.inner[f"n{number}"]

        def forward(self, x):
            return self[1](x)

    assert torch.compile(Net(), backend="eager", fullgraph=True)(torch.tensor([-5.0])).tolist() == [-15.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_iter_of_ones_own_is_compiled():
    """``torch.compile(fullgraph=True)`` compiles a loop over a module with its own ``__iter__``.

    See :func:`torch.compile` (:issue:`103831`).
    """

    class Layers(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.PReLU(init=2.0), nn.PReLU(init=3.0)

        def __iter__(self):
            yield self.second
            yield self.first

    class Pair(Layers):
        def __iter__(self):
            return iter([self.second, self.first])

    for layers in (Layers(), Pair()):
        net = nn.Module()
        net.layers, net.forward = layers, lambda x, layers=layers: [layer(x) for layer in layers]
        results = torch.compile(net, backend="eager", fullgraph=True)(torch.tensor([-5.0]))

        assert [result.item() for result in results] == [-15.0, -10.0]


@pytest.mark.needs("compile")
def test_keys_of_a_module_dict_are_walked():
    """``torch.compile(fullgraph=True)`` compiles a loop over the ``keys()`` or ``items()`` of a
    ``ModuleDict``.

    See :func:`torch.compile` (:issue:`95735`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = nn.ModuleDict({"a": nn.PReLU(init=2.0), "b": nn.PReLU(init=3.0)})

        def forward(self, x):
            by_key = {key: self.heads[key](x) for key in self.heads.keys()}  # noqa: SIM118
            return by_key, {key: head(x) for key, head in self.heads.items()}

    for result in torch.compile(Net(), backend="eager", fullgraph=True)(torch.tensor([-5.0])):
        assert {key: value.item() for key, value in result.items()} == {"a": -10.0, "b": -15.0}


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_tuples_may_be_keys_of_a_subclass():
    """``torch.compile(fullgraph=True)`` compiles a ``ModuleDict`` subclass whose ``__getitem__`` takes
    tuples.

    See :func:`torch.compile` (:issue:`111551`).
    """

    class Edges(nn.ModuleDict):
        def __getitem__(self, key):
            return super().__getitem__("__".join(key))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.edges = Edges({"author__paper": nn.PReLU(init=2.0)})

        def forward(self, x):
            return self.edges["author", "paper"](x)

    assert torch.compile(Net(), backend="eager", fullgraph=True)(torch.tensor([-5.0])).tolist() == [-10.0]


@pytest.mark.needs("compile")
def test_a_module_that_skips_setattr_is_made_on_the_way():
    """A ``forward`` compiled by ``torch.compile`` may make a module whose ``__setattr__`` bypasses
    ``nn.Module``.

    It sets attributes by ``object.__setattr__``, as results of metrics are kept. See :func:`torch.compile`.
    """

    class Result(nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def __setattr__(self, name, value):
            object.__setattr__(self, name, value)

        def forward(self, x):
            return x * self.factor

    class Net(nn.Module):
        def forward(self, x):
            return Result(3.0)(x)

    assert torch.compile(Net(), backend="eager")(torch.tensor([2.0])).tolist() == [6.0]


@pytest.mark.needs("compile")
@pytest.mark.parametrize(
    "walk",
    [
        pytest.param(lambda net: sum(p.sum() for p in net.parameters()), id="parameters"),
        pytest.param(lambda net: sum(p.sum() * len(key) for key, p in net.named_parameters()), id="named"),
        pytest.param(lambda net: sum(b.sum() for b in net.buffers()), id="buffers"),
        pytest.param(lambda net: dict(net.named_buffers())["norm.running_var"].sum(), id="named_buffers"),
        pytest.param(lambda net: sum(isinstance(m, nn.BatchNorm1d) for m in net.modules()), id="modules"),
        pytest.param(lambda net: sum(len(key) for key, _ in net.named_modules()), id="named_modules"),
        pytest.param(lambda net: len(list(net.children())), id="children"),
        pytest.param(lambda net: dict(net.named_children())["norm"].running_var.sum(), id="named_children"),
    ],
)
def test_a_module_walks_itself(walk):
    """``torch.compile(fullgraph=True)`` compiles ``parameters()``, ``buffers()``, ``modules()`` and the like
    in ``forward``.

    So are their named forms: a penalty on all weights may be computed there (:issue:`102877`). See
    :func:`torch.compile`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            return x * walk(self)

    net, x = Net(), torch.tensor([2.0, 5.0])

    assert torch.equal(torch.compile(net, backend="eager", fullgraph=True)(x), x * walk(net))


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
@pytest.mark.parametrize(
    "find",
    [
        pytest.param(lambda net: net.get_parameter("norm.weight").sum(), id="get_parameter"),
        pytest.param(lambda net: net.get_buffer("norm.running_var").sum(), id="get_buffer"),
        pytest.param(lambda net: net.get_submodule("norm").weight.sum(), id="get_submodule"),
    ],
)
def test_a_module_finds_its_parts(find):
    """``torch.compile(fullgraph=True)`` compiles ``get_parameter``, ``get_buffer`` and ``get_submodule``."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            return x * find(self)

    net, x = Net(), torch.tensor([2.0, 5.0])

    assert torch.equal(torch.compile(net, backend="eager", fullgraph=True)(x), x * find(net))


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_a_mode_has_a_graph_where_it_is_read():
    """``torch.compile`` of a net makes separate graphs for train and eval only if a layer reads ``training``.

    ``Dropout`` and ``BatchNorm`` do. Going back to ``train()`` after ``eval()`` uses the graph that is there
    (:issue:`110803`).
    """
    counted = {}
    for layer in (nn.Linear(2, 2), nn.ReLU(), nn.LayerNorm(2), nn.Dropout(0.5), nn.BatchNorm1d(2)):
        graphs, numbers = [], counted.setdefault(type(layer).__name__, [])

        def backend(graph, inputs, graphs=graphs):
            graphs.append(graph)
            return graph.forward

        net = nn.Sequential(nn.Linear(2, 2), layer)
        compiled = torch.compile(net, backend=backend)
        for mode in (True, False, True, False):
            net.train(mode)
            compiled(torch.rand(3, 2))
            numbers.append(len(graphs))

    assert [name for name, numbers in counted.items() if numbers == [1, 2, 2, 2]] == [
        "Dropout",
        "BatchNorm1d",
    ]
    assert all(counted[name] == [1, 1, 1, 1] for name in ("Linear", "ReLU", "LayerNorm"))


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_each_set_of_modes_has_a_graph():
    """``torch.compile`` makes a graph for each combination of the modes of layers that read ``training``.

    Two such layers switched on their own make four.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.Dropout(0.25))
    compiled = torch.compile(net, backend=backend)
    for first, second in [(True, True), (False, False), (True, False), (False, True), (True, True)]:
        net[1].train(first)
        net[2].train(second)
        compiled(torch.rand(3, 2))
    assert len(graphs) == 4


@pytest.mark.needs("compile")
@pytest.mark.before("2.5")
def test_every_mode_had_a_graph():
    """``torch.compile`` of a net makes separate graphs for train and eval, even if no layer reads
    ``training``.

    So has one ``nn.Linear`` in a container.
    """
    graphs, counted = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net = nn.Sequential(nn.Linear(2, 2))
    compiled = torch.compile(net, backend=backend)
    for mode in (True, False, True, False):
        net.train(mode)
        compiled(torch.rand(3, 2))
        counted.append(len(graphs))
    assert counted == [1, 2, 2, 2]


@pytest.mark.needs("compile")
@pytest.mark.before("2.4")
def test_one_graph_served_all_modes_of_a_layer():
    """``eval()`` of one layer in a net of ``torch.compile`` takes effect without a second graph.

    The graph calls the layer.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net = nn.Sequential(nn.Flatten(0), nn.Dropout(1.0))
    compiled = torch.compile(net, backend=backend)
    x = torch.tensor([2.0, 3.0])

    assert compiled(x).tolist() == [0.0, 0.0]
    net[1].eval()
    assert compiled(x).tolist() == [2.0, 3.0]
    assert len(graphs) == 1
