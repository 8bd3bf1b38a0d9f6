"""Compiled modules where gradients are off.

What :func:`torch.compile` makes under :class:`~torch.no_grad` or in :class:`torch.inference_mode` serves
there only: outside it makes another graph. Tensors of ``inference_mode`` are for a compiled module what they
are for any other, unless a backend such as ``aot_eager``, or the default one, works out the gradients itself.
"""

import pytest
import torch
from torch import nn

MODES = [torch.no_grad, torch.inference_mode]


@pytest.mark.needs("compile")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("off", MODES)
def test_what_was_compiled_inside_is_trained(off, backend):
    """A module compiled and first called in ``inference_mode`` or under ``no_grad`` is trained afterwards.

    Gradients reach its parameters, and running statistics stay ordinary tensors (:issue:`146780`,
    :issue:`135892`).
    """
    net, x = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), torch.rand(4, 2)
    with off():
        compiled = torch.compile(net, backend=backend)
        compiled(x)

    compiled(x)[0, 0].backward()

    assert all(p.grad is not None for p in net.parameters())
    assert [value.is_inference() for value in net.state_dict(keep_vars=True).values()] == [False] * 7
    assert net[1].num_batches_tracked.item() == 2


@pytest.mark.needs("compile")
def test_each_mode_has_a_graph():
    """``torch.compile`` makes separate graphs for calls with gradients, in ``no_grad`` and in
    ``inference_mode``.

    Each serves again where it was made: alternating training and validation compiles nothing more.
    """
    graphs, numbers, layer = [], [], nn.Linear(2, 3)
    compiled = torch.compile(layer, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)

    for mode in (torch.enable_grad, *MODES) * 2:
        with mode():
            result = compiled(torch.rand(4, 2))
        numbers.append((len(graphs), result.requires_grad, result.is_inference()))

    assert numbers[:3] == [(1, True, False), (2, False, False), (3, False, True)]
    assert numbers[3:] == [(3, True, False), (3, False, False), (3, False, True)]


@pytest.mark.needs("compile")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("off", MODES)
def test_loaded_values_count(off, backend):
    """In ``eval()`` under ``no_grad`` a compiled module uses what ``load_state_dict`` loads after its first
    call.

    So it does in ``inference_mode``, and with other changes in place, such as ``optimizer.step()``
    (:issue:`104984`).
    """
    layer, x = nn.Linear(2, 1, bias=False), torch.ones(1, 2)
    net = nn.Sequential(layer, nn.BatchNorm1d(1, eps=3.0, affine=False))
    compiled = torch.compile(net, backend=backend).eval()
    with off():
        compiled(x)

    loaded = {"0.weight": torch.tensor([[5.0, 7.0]]), "1.running_mean": torch.tensor([2.0])}
    net.load_state_dict(loaded, strict=False)
    with off():
        loaded = compiled(x).item()
    layer.weight.grad = torch.tensor([[1.0, 2.0]])
    torch.optim.SGD(layer.parameters(), lr=1.0).step()
    with off():
        stepped = compiled(x).item()

    assert (loaded, stepped) == (5.0, 3.5)


@pytest.mark.needs("compile")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_cache_filled_inside_raises_later(backend):
    """A tensor that a compiled ``forward`` caches in ``inference_mode`` makes training raise
    ``RuntimeError``.

    It is a ``RuntimeError``, as without :func:`torch.compile`. Under :class:`~torch.no_grad` it does no harm.

    See also :ref:`gradients.inference_mode.a_tensor_cached_inside_raises_later`
    """

    class Net(nn.Linear):
        positions = None

        def forward(self, x):
            if self.positions is None:
                self.positions = torch.arange(3.0)
            return super().forward(x) * self.positions

    filled_inside, filled_without, x = Net(2, 3), Net(2, 3), torch.rand(4, 2)
    with torch.inference_mode():
        torch.compile(filled_inside, backend=backend)(x)
    with torch.no_grad():
        torch.compile(filled_without, backend=backend)(x)

    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        torch.compile(filled_inside, backend=backend)(x)
    assert torch.compile(filled_without, backend=backend)(x).requires_grad is True


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_a_module_built_inside_gets_gradients():
    """``torch.compile(backend="aot_eager")`` gives gradients to an ``nn.Linear`` built in ``inference_mode``.

    With the backend ``eager`` it gets none. The optimizer still cannot change it: build it outside.

    See also :ref:`gradients.inference_mode.a_module_built_inside_gets_no_gradient`
    """
    with torch.inference_mode():
        layer, eager = nn.Linear(2, 3), nn.Linear(2, 3)

    torch.compile(layer, backend="aot_eager")(torch.ones(4, 2)).sum().backward()
    torch.compile(eager, backend="eager")(torch.ones(4, 2)).sum().backward()

    assert layer.weight.grad.tolist() == [[4.0, 4.0]] * 3
    assert eager.weight.grad is None
    assert layer.bias.grad.tolist() == [4.0, 4.0, 4.0]
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"):
        torch.optim.SGD(layer.parameters(), lr=0.5).step()


@pytest.mark.needs("compile")
def test_forward_may_be_in_inference_mode():
    """A compiled ``forward`` decorated by ``torch.inference_mode()`` returns an inference tensor.

    So it is with ``backend="eager"``. See :func:`torch.compile`.
    """

    class Net(nn.Linear):
        @torch.inference_mode()
        def forward(self, x):
            return super().forward(x) * 2

    net, x = Net(2, 3), torch.rand(4, 2)

    result = torch.compile(net, backend="eager")(x)

    assert torch.allclose(result, 2 * (x @ net.weight.T + net.bias))
    assert (result.requires_grad, result.is_inference()) == (False, True)


@pytest.mark.needs("compile")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_slice_without_gradients(backend):
    """A compiled ``forward`` may slice its input under ``no_grad``, also in ``inference_mode`` around the
    call.

    A slice or another view made in ``inference_mode`` inside ``forward`` is refused by backends such as
    ``aot_eager``, and the failure can spoil the whole process (:issue:`169477`). See :func:`torch.compile`.
    """

    class Net(nn.Module):
        @torch.no_grad()
        def forward(self, x):
            return x[1:] * 2

    compiled, x = torch.compile(Net(), backend=backend), torch.tensor([1.0, 2.0, 3.0])

    assert compiled(x).tolist() == [4.0, 6.0]
    with torch.inference_mode():
        inside = compiled(x)
    assert (inside.tolist(), inside.is_inference()) == ([4.0, 6.0], True)
