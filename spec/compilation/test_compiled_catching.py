"""Errors that a compiled ``forward`` catches: of Python, and of operations.

``torch.compile`` follows a ``try`` while it compiles, and keeps the way that it went.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_an_error_of_python_is_caught():
    """A ``try`` in a ``forward`` of ``torch.compile(fullgraph=True)`` catches errors raised in Python.

    Which way it goes is decided while compiling (:issue:`174166`); ``finally`` runs too.
    """

    class Net(nn.Module):
        def forward(self, x, factor):
            try:
                if factor > 2:
                    raise ValueError("too large")
                return x * factor
            except ValueError:
                return -x
            finally:
                self.last = factor

    net = Net()
    compiled = torch.compile(net, backend="eager", fullgraph=True)

    results = [(compiled(torch.ones(1), factor).item(), net.last) for factor in (1, 2, 3)]

    assert results == [(1.0, 1), (2.0, 2), (-1.0, 3)]


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_an_attribute_that_try_found_missing():
    """``torch.compile`` misses an attribute set later if ``forward`` caught ``AttributeError`` at its first
    call.

    With ``hasattr`` or a default of ``getattr`` it is followed.
    """

    class Caught(nn.Module):
        def forward(self, x):
            try:
                return x * self.scale
            except AttributeError:
                return x * 3

    class Asked(nn.Module):
        def forward(self, x):
            return x * self.scale if hasattr(self, "scale") else x * 3

    class Default(nn.Module):
        def forward(self, x):
            return x * getattr(self, "scale", 3)

    results = []
    for net in (Caught(), Asked(), Default()):
        compiled = torch.compile(net, backend="eager")
        results.append([compiled(torch.ones(1)).item()])
        net.scale = 5
        results[-1].append(compiled(torch.ones(1)).item())

    assert results == [[3.0, 3.0], [3.0, 5.0], [3.0, 5.0]]


@pytest.mark.needs("compile")
@pytest.mark.since("2.14")
def test_an_error_of_an_operation_is_caught():
    """A ``try`` in a compiled ``forward`` catches the ``RuntimeError`` of an operation on wrong shapes.

    It is seen while compiling (:issue:`148475`).
    """

    class Net(nn.Module):
        def forward(self, x):
            try:
                return x @ torch.ones(3)
            except RuntimeError:
                return x * 3

    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(Net(), backend=backend, fullgraph=True)

    assert compiled(torch.ones(2)).tolist() == [3.0, 3.0]
    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.before("2.14")
def test_an_error_of_an_operation_was_not_caught():
    """A ``try`` in a compiled ``forward`` does not catch the error of an operation: ``TorchRuntimeError``.

    It arrives at the caller instead (:issue:`148475`).
    """

    class Net(nn.Module):
        def forward(self, x):
            try:
                return x @ torch.ones(3)
            except RuntimeError:
                return x * 3

    with pytest.raises(torch._dynamo.exc.TorchRuntimeError, match=r"matmul|inconsistent tensor size"):
        torch.compile(Net(), backend="eager")(torch.ones(2))
