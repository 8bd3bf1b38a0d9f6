"""Python in a compiled ``forward``: what is drawn at random, passed in, returned and written to a log.

``torch.compile`` reads the code of ``forward`` and runs what it can while it compiles.
"""

import dataclasses
import logging
import random

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
def test_outputs_may_be_objects():
    """A ``forward`` that takes ``*args`` and returns a dataclass is compiled by
    ``torch.compile(fullgraph=True)``.

    ``**kwargs`` may be taken as well, and a dict be returned.
    """

    @dataclasses.dataclass
    class Output:
        y: torch.Tensor
        others: dict

    class Net(nn.Module):
        def forward(self, x, *args, flag=False, **kwargs):
            return Output(y=x * 2, others={"args": len(args), "flag": flag, "names": sorted(kwargs)})

    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    output = torch.compile(Net(), backend=backend, fullgraph=True)(torch.ones(1), 1, 2, flag=True, b=3, a=4)

    assert type(output) is Output
    assert (output.y.item(), output.others) == (2.0, {"args": 2, "flag": True, "names": ["a", "b"]})
    assert len(graphs) == 1


@pytest.mark.needs("compile")
def test_lists_and_texts_as_arguments():
    """``torch.compile`` makes a graph for each length of a list of tensors, and for each text as an argument.

    A text is a ``str``, such as the name of a mode.
    """

    class Net(nn.Module):
        def forward(self, xs, mode):
            return sum(x * 2 if mode == "double" else x * 3 for x in xs)

    graphs, counts = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(Net(), backend=backend)
    for length, mode in (
        (1, "double"),
        (2, "double"),
        (3, "double"),
        (2, "double"),
        (2, "a"),
        (2, "b"),
        (2, "a"),
    ):
        compiled([torch.ones(2)] * length, mode)
        counts.append(len(graphs))

    assert counts == [1, 2, 3, 3, 4, 5, 5]


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_numbers_are_drawn_anew():
    """``random.random()`` in a compiled ``forward`` draws anew in each call, also where an ``if`` reads it.

    So layers may be left out at random (LayerDrop).
    """

    class Net(nn.Module):
        def forward(self, x):
            return x * random.random()

    class Dropping(nn.Module):
        def forward(self, x):
            if random.random() < 0.5:
                return x * 2
            return x * 3

    compiled, dropping = torch.compile(Net(), backend="eager"), torch.compile(Dropping(), backend="eager")

    assert len({compiled(torch.ones(1)).item() for _ in range(5)}) == 5
    assert {dropping(torch.ones(1)).item() for _ in range(40)} == {2.0, 3.0}


@pytest.mark.needs("compile")
def test_a_message_breaks_the_graph():
    """A message by ``logging`` in a compiled ``forward`` breaks the graph, and is sent in every call.

    With ``fullgraph=True`` it is ``Unsupported``.
    """
    sent, logger = [], logging.Logger("a model")
    logger.addFilter(lambda record: sent.append(record.getMessage()))

    class Net(nn.Module):
        def forward(self, x):
            x = x * 2
            logger.error("half way")
            return x + 1

    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(Net(), backend=backend)
    assert [compiled(torch.ones(1)).item() for _ in range(3)] == [3.0] * 3
    assert (len(graphs), sent) == (2, ["half way"] * 3)

    torch.compiler.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"(?i)logg"):
        torch.compile(Net(), backend="eager", fullgraph=True)(torch.ones(1))


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_a_condition_on_a_value_in_the_graph():
    """``torch.cond`` chooses by a value within one graph of ``torch.compile``; eagerly it chooses too.

    Layers of the module may be called in both branches. See :func:`torch.cond`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])

        def forward(self, x):
            return torch.cond(x.sum() > 0, lambda x: self.layers[0](x), lambda x: self.layers[1](x), (x,))

    graphs, net = [], Net()

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(net, backend=backend, fullgraph=True)
    with torch.no_grad():
        for x, layer in ((torch.ones(1, 2), net.layers[0]), (-torch.ones(1, 2), net.layers[1])):
            for module in (net, compiled):
                torch.testing.assert_close(module(x), layer(x))

    assert len(graphs) == 1
