"""Tensors of a compiled module that are exchanged: by assignment, by a cast, by a swap.

A graph of :func:`torch.compile` takes the tensors of a module as inputs, those which the module has at the
moment of each call.
"""

import weakref

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.parametrize("place", [lambda net: net, nn.Sequential], ids=["itself", "inside"])
def test_an_assigned_buffer_stays_a_buffer(place):
    """A buffer that a ``forward`` compiled by ``torch.compile`` assigns to stays a buffer, with the new
    tensor.

    It is in ``buffers()`` and, if it is persistent, ``state_dict()``, as without compilation; one graph does
    for all calls (:issue:`106060`). See :func:`torch.compile`.
    """
    graphs = []

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("total", torch.tensor([2.0]))
            self.register_buffer("last", torch.tensor([7.0]), persistent=False)

        def forward(self, x):
            self.total, self.last = self.total + x, self.total
            return self.total * 10

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net = Net()
    compiled, first = torch.compile(place(net), backend=backend), net.total

    assert [compiled(torch.tensor([1.0])).item() for _ in range(3)] == [30.0, 40.0, 50.0]
    assert {name: buffer.item() for name, buffer in net.named_buffers()} == {"total": 5.0, "last": 4.0}
    assert net.state_dict() == {"total": torch.tensor([5.0])}
    assert (first.item(), len(graphs)) == (2.0, 1)


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_another_slice_of_a_buffer_is_followed():
    """A module compiled by ``torch.compile`` uses the tensor that a plain attribute holds at the call.

    A cache kept as ``self.current = self.buffer[i]`` is one. Another slice of the same shape needs no new
    graph (:issue:`111785`). See :func:`torch.compile`.
    """
    graphs = []

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("rows", torch.zeros(4))
            self.current = self.rows

        def forward(self, x):
            self.current.copy_(x)
            return self.current * 10

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net = Net()
    compiled = torch.compile(net, backend=backend)
    for i in range(4):
        net.current = net.rows[i : i + 1]
        assert compiled(torch.tensor([i + 2.0])).item() == 10 * (i + 2.0)

    assert net.rows.tolist() == [2.0, 3.0, 4.0, 5.0]
    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.since("2.15")
def test_forward_may_cast_a_layer():
    """With ``set_swap_module_params_on_conversion``, a ``forward`` under ``torch.compile`` may cast a layer
    by ``to``.

    It is switched on by :func:`torch.__future__.set_swap_module_params_on_conversion` (:issue:`145529`). A
    cast is no part of a graph: with ``fullgraph=True`` it raises ``Unsupported``. See :func:`torch.compile`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 3)

        def forward(self, x):
            return self.inner.to(x.dtype)(x)

    net, x = Net(), torch.rand(1, 2, dtype=torch.float64)
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with pytest.raises(torch._dynamo.exc.Unsupported, match=r"Attempted to use `torch\.nn\.Parameter"):
            torch.compile(net, backend="eager", fullgraph=True)(x)
        result = torch.compile(net, backend="eager")(x)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    assert [p.dtype for p in net.parameters()] == [torch.float64] * 2
    torch.testing.assert_close(result, net.inner(x))


@pytest.mark.needs("compile")
@pytest.mark.since("2.11")
def test_compiled_parameters_can_be_swapped():
    """With ``torch.compile(backend="eager")``, ``torch.utils.swap_tensors`` works on parameters after a call.

    So it does with ``"aot_eager"``. No weak reference is left behind, and the next call computes with what
    was swapped in (:issue:`186796`). See :func:`torch.utils.swap_tensors`.
    """
    for backend in ("eager", "aot_eager"):
        layer, x = nn.Linear(2, 1), torch.tensor([[10.0, 100.0]])
        compiled = torch.compile(layer, backend=backend)
        compiled(x)

        assert [weakref.getweakrefcount(parameter) for parameter in layer.parameters()] == [0, 0]
        torch.utils.swap_tensors(layer.weight, nn.Parameter(torch.tensor([[2.0, 3.0]])))
        torch.utils.swap_tensors(layer.bias, nn.Parameter(torch.tensor([7.0])))
        assert compiled(x).item() == 327.0


@pytest.mark.parametrize("clear", [None, True])
@pytest.mark.needs("compile")
@pytest.mark.since("2.11")
def test_a_backend_of_ones_own_keeps_watching(clear):
    """After a call compiled with a function as ``backend``, ``swap_tensors`` of parameters raises
    ``RuntimeError``.

    A weak reference is left behind. ``torch._dynamo.config.invalidate_compile_context_weakrefs = True`` lets
    it go, as for backends that are named (:issue:`186796`). See :func:`torch.utils.swap_tensors`.
    """
    layer, new = nn.Linear(2, 1, bias=False), nn.Parameter(torch.tensor([[2.0, 3.0]]))
    compiled = torch.compile(layer, backend=lambda graph, inputs: graph.forward)

    with torch._dynamo.config.patch(invalidate_compile_context_weakrefs=clear):
        compiled(torch.ones(1, 2))

    if clear:
        torch.utils.swap_tensors(layer.weight, new)
        assert compiled(torch.ones(1, 2)).item() == 5.0
    else:
        with pytest.raises(RuntimeError, match="Cannot swap t1 because it has weakref associated with it"):
            torch.utils.swap_tensors(layer.weight, new)
