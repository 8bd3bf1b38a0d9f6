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
        ([5, 6, 7, 8], [1, 2, 2, 2]),
        ([True, False, True, False], [1, 2, 2, 2]),
        (["a", "ab", "abc", "ab"], [1, 2, 3, 3]),
    ],
    ids=["int", "bool", "str"],
)
def test_a_value_as_an_argument(values, made):
    """``torch.compile`` makes one graph for the first value of an ``int`` argument, and one for all others.

    A ``bool`` or ``str`` has one for each value. So a step counter or an index costs a second compilation,
    not one for each step (:issue:`110048`).
    """
    graphs, counted = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    layer = nn.Linear(2, 2)
    compiled = torch.compile(lambda x, k: layer(x) * (len(k) if isinstance(k, str) else k), backend=backend)

    for value in values:
        compiled(torch.ones(2), value)
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
