"""What an argument of compiled code costs.

A graph is made for the arguments of a call: tensors by their dtype and shape, other values by what they are.
Sizes of tensors are in *recompiling*, attributes of modules in *compiled_attributes*.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.parametrize(
    ("values", "made"),
    [
        ([5, 6, -7, 800], [1, 2, 2, 2]),
        ([True, False, True, False], [1, 2, 2, 2]),
        (["a", "ab", "abc", "ab"], [1, 2, 3, 3]),
    ],
    ids=["int", "bool", "str"],
)
def test_a_value_as_an_argument(values, made):
    """``torch.compile`` makes one graph for the first value of an ``int`` argument, and one for all others.

    A ``bool`` or ``str`` has one for each value. It does not matter whether the argument is given by keyword.
    So a step counter or an index costs a second compilation, not one for each step (:issue:`110048`). Up to
    2.4 the numbers 0, 1 and 2 have graphs of their own.
    """
    graphs, counted = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    layer, x = nn.Linear(2, 2), torch.ones(2)
    compiled = torch.compile(lambda x, k: layer(x) * (len(k) if isinstance(k, str) else k), backend=backend)

    for value in values:
        result = compiled(x, k=value) if counted else compiled(x, value)
        torch.testing.assert_close(result, layer(x) * (len(value) if isinstance(value, str) else value))
        counted.append(len(graphs))
    assert counted == made


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_numbers_from_0_as_an_argument():
    """``torch.compile`` makes one graph for an ``int`` argument of 0, and one more for 1, 2, 3 and 4
    together.
    """
    graphs, counted = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(lambda x, k: x * (k + 1), backend=backend)
    for number in (0, 1, 2, 3, 4):
        assert compiled(torch.tensor(2.0), number).item() == 2.0 * (number + 1)
        counted.append(len(graphs))
    assert counted == [1, 2, 2, 2, 2]


@pytest.mark.needs("compile")
@pytest.mark.before("2.5")
def test_numbers_from_0_had_graphs_of_their_own():
    """``torch.compile`` makes one graph each for ``int`` arguments 0, 1 and 2, and one for all larger
    ones.
    """
    graphs, counted = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(lambda x, k: x * (k + 1), backend=backend)
    for number in (0, 1, 2, 3, 4):
        compiled(torch.tensor(2.0), number)
        counted.append(len(graphs))
    assert counted == [1, 2, 3, 4, 4]


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_equal_layers_share_a_graph():
    """A function compiled by :func:`torch.compile` makes one graph for all layers of a kind that it is given.

    Their parameters are inputs of the graph. What differs makes another one: a class, a bias or a plain
    attribute such as a number, also in layers that live for one call. See :func:`torch.compile`
    (:issue:`130776`).
    """
    graphs, x = [], torch.ones(1, 2)
    assert torch._dynamo.config.inline_inbuilt_nn_modules  # it is off before, and each layer makes a graph

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def call(layer, x):
        return layer(x) + 1.0

    compiled = torch.compile(call, backend=backend, fullgraph=True)
    for weight in (2.0, 3.0, 5.0, 7.0):
        layer = nn.Linear(2, 1, bias=False)
        nn.init.constant_(layer.weight, weight)
        assert compiled(layer, x).tolist() == [[2 * weight + 1.0]]
    assert len(graphs) == 1
    assert [node.op for node in graphs[0].graph.nodes].count("placeholder") == 2

    others = [nn.Linear(2, 1, bias=True), nn.ReLU(), nn.LeakyReLU(0.25), nn.LeakyReLU(0.5)]
    for number, layer in enumerate([*others, *others]):
        torch.testing.assert_close(compiled(layer, x), layer(x) + 1.0)
        assert len(graphs) == 1 + min(number + 1, 4)


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_a_number_for_each_layer():
    """Layers of one class whose ``forward`` reads an index of their own have a ``torch.compile`` graph each.

    Eight of them reach the limit of graphs: hand the number on as a tensor, or leave it out of ``forward``
    (:issue:`128071`). An index that ``forward`` does not read makes no difference.
    """

    class Layer(nn.Module):
        def __init__(self, index, read):
            super().__init__()
            self.index, self.read = index, read

        def forward(self, x):
            return x * self.index if self.read else x * 2

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    counts = []
    for read in (True, False):
        graphs = []
        layers = [torch.compile(Layer(index, read), backend=backend) for index in (2, 3, 4, 5)]
        assert [layer(torch.ones(1)).item() for layer in layers * 2] == (
            [2, 3, 4, 5] if read else [2] * 4
        ) * 2
        counts.append(len(graphs))
    assert counts == [4, 1]
