"""Sizes that are marked as dynamic or static, and what contradicts a mark.

``torch._dynamo.mark_dynamic(x, 0)`` says of a tensor, before it is given to a compiled module, that its
first size varies.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_mark_saves_the_second_graph():
    """A compiled module whose first input was marked by ``mark_dynamic`` has one graph for sizes from 2 on.

    Inputs of later calls need no mark. Sizes of 0 and 1 have graphs of their own, even where they are marked.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled, first = torch.compile(nn.Linear(2, 2), backend=backend), torch.rand(4, 2)
    torch._dynamo.mark_dynamic(first, 0)
    for x in (first, torch.rand(5, 2), torch.rand(2, 2), torch.rand(700, 2)):
        compiled(x)
    assert len(graphs) == 1

    for size in (0, 1):
        small = torch.rand(size, 2)
        torch._dynamo.mark_dynamic(small, 0)
        for _ in range(2):
            compiled(small)
        assert len(graphs) == 2 + size
    compiled(torch.rand(6, 2))
    assert len(graphs) == 3


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_mark_that_a_weight_contradicts():
    """``mark_dynamic`` of a size that a weight fixes makes the compiled call raise
    ``ConstraintViolationError``.

    ``maybe_mark_dynamic`` does not: it is a hint, and the size is fixed.
    """
    error = torch.fx.experimental.symbolic_shapes.ConstraintViolationError
    compiled, x = torch.compile(nn.Linear(2, 2), backend="eager"), torch.rand(4, 2)
    torch._dynamo.mark_dynamic(x, 1)
    with pytest.raises(error, match="Constraints violated"):
        compiled(x)

    x = torch.rand(4, 2)
    torch._dynamo.maybe_mark_dynamic(x, 1)
    assert compiled(x).shape == (4, 2)


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_a_mark_may_have_bounds():
    """``mark_dynamic(x, 0, min=3, max=8)`` gives ``torch.compile`` one graph for these sizes, another beyond.

    An ``if`` on the size that the bounds decide needs no graph of its own. If ``x`` itself is out of bounds,
    the call raises ``ConstraintViolationError``.
    """

    class Net(nn.Module):
        def forward(self, x):
            return x * 2 if x.shape[0] > 2 else x * 3

    graphs, counts = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(Net(), backend=backend)
    first = torch.ones(4)
    torch._dynamo.mark_dynamic(first, 0, min=3, max=8)
    for x in (first, torch.ones(3), torch.ones(8), torch.ones(9), torch.ones(20)):
        assert compiled(x).sum() == 2 * len(x)
        counts.append(len(graphs))
    assert counts == [1, 1, 1, 2, 2]

    long = torch.ones(9)
    torch._dynamo.mark_dynamic(long, 0, min=3, max=8)
    torch.compiler.reset()
    error = torch.fx.experimental.symbolic_shapes.ConstraintViolationError
    with pytest.raises(error, match="9 not in range"):
        torch.compile(Net(), backend="eager")(long)


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_mark_that_another_input_contradicts():
    """``ConstraintViolationError`` is raised if one of two added inputs is marked by ``mark_dynamic``.

    The unmarked one has a fixed size, and so has the sum. Mark both.
    """
    error = torch.fx.experimental.symbolic_shapes.ConstraintViolationError
    compiled = torch.compile(lambda x, y: x + y, backend="eager")
    for marked in (0, 1):
        torch._dynamo.reset()
        inputs = [torch.rand(5), torch.rand(5)]
        torch._dynamo.mark_dynamic(inputs[marked], 0)
        with pytest.raises(error, match="Constraints violated"):
            compiled(*inputs)

    torch._dynamo.mark_dynamic(inputs[0], 0)
    torch.testing.assert_close(compiled(*inputs), inputs[0] + inputs[1])


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_condition_on_a_marked_size():
    """A compiled ``if x.shape[0] > 4`` on a size of ``mark_dynamic`` makes a graph for each side; ``== 5``
    raises.

    It is ``ConstraintViolationError`` where the condition leaves a single size.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(lambda x: x + 1 if x.shape[0] > 4 else x - 1, backend=backend)
    first = torch.zeros(5)
    torch._dynamo.mark_dynamic(first, 0)
    results = [compiled(x)[0].item() for x in (first, torch.zeros(6), torch.zeros(3), torch.zeros(2))]
    assert (results, len(graphs)) == ([1.0, 1.0, -1.0, -1.0], 2)

    error = torch.fx.experimental.symbolic_shapes.ConstraintViolationError
    with pytest.raises(error, match="Constraints violated"):
        torch.compile(lambda x: x + 1 if x.shape[0] == 5 else x - 1, backend=backend)(first)


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_mark_belongs_to_one_tensor():
    """A mark of ``mark_dynamic`` is lost by ``clone()``; inside a compiled ``forward`` it raises
    ``AssertionError``.

    It is an attribute of that tensor object: mark what is given to the compiled module.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(nn.Linear(2, 2), backend=backend, dynamic=False)
    for size in (4, 5, 6):
        x = torch.rand(size, 2)
        torch._dynamo.mark_dynamic(x, 0)
        compiled(x.clone())
    assert len(graphs) == 3

    def forward(x):
        torch._dynamo.mark_dynamic(x, 0)
        return x + 1

    with pytest.raises(AssertionError, match="forbidden callable"):
        torch.compile(forward, backend=backend)(torch.rand(3))


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize("dynamic", [None, True])
def test_a_size_may_be_marked_static(dynamic):
    """``mark_static`` makes :func:`torch.compile` make a graph for each size, even with ``dynamic=True``."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(nn.Linear(2, 2), backend=backend, dynamic=dynamic)
    for size in (4, 5, 6, 5):
        x = torch.rand(size, 2)
        torch._dynamo.mark_static(x, 0)
        compiled(x)
    assert len(graphs) == 3
