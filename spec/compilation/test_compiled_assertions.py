"""Assertions in a compiled or exported ``forward``: on shapes, and on values.

In this file ``assert`` is Python's own (PYTEST_DONT_REWRITE): pytest writes assertions of tests anew, and
``torch.compile`` would see that instead.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_an_assertion_on_a_shape():
    """An ``assert`` on a shape in a ``forward`` of ``torch.compile`` raises ``AssertionError``, as it does
    eagerly.

    With ``fullgraph=True`` it is ``Unsupported``. It is decided while compiling, and is not in the graph.
    """

    class Net(nn.Module):
        def forward(self, x):
            assert x.shape[0] == 2, "two rows"
            return x * 2

    unsupported = torch._dynamo.exc.Unsupported
    for options, error, message in (
        ({}, AssertionError, "^two rows$"),
        ({"fullgraph": True}, unsupported, "ssert"),
    ):
        compiled = torch.compile(Net(), backend="eager", **options)
        assert compiled(torch.ones(2)).tolist() == [2.0, 2.0]
        with pytest.raises(error, match=message):
            compiled(torch.ones(3))
        torch.compiler.reset()


@pytest.mark.needs("compile")
def test_an_assertion_on_a_value():
    """An ``assert`` on a value stays in the graph of ``torch.compile``: a ``RuntimeError`` with the same
    message.

    Eagerly it is an ``AssertionError``. It does not break the graph, unlike an ``if``.
    """
    graphs = []

    class Net(nn.Module):
        def forward(self, x):
            assert x.sum() > 0, "a positive sum"
            return x * 2

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(Net(), backend=backend, fullgraph=True)
    assert compiled(torch.ones(2)).tolist() == [2.0, 2.0]
    for module, error in ((compiled, RuntimeError), (Net(), AssertionError)):
        with pytest.raises(error, match="a positive sum"):
            module(-torch.ones(2))
    assert len(graphs) == 1


@pytest.mark.since("2.5")
def test_a_check_decides_a_condition():
    """``torch.export.export`` takes an ``if`` on an ``item()`` that ``torch._check`` decides, and checks each
    call.

    Without ``torch._check`` the ``if`` is an error. A value that violates it raises ``RuntimeError``; that of
    the example is not looked at (:issue:`153179`).
    """

    class Net(nn.Module):
        def forward(self, x):
            count = x[0].item()
            torch._check(count > 1)
            if count > 0:
                return x * 2
            return x * 3

    net = torch.export.export(Net(), (torch.tensor([0, 2]),)).module()

    assert net(torch.tensor([7, 1])).tolist() == [14, 2]
    with pytest.raises(RuntimeError, match="Runtime assertion failed"):
        net(torch.tensor([1, 1]))
