"""What a graph keeps in memory, and until when.

Forward saves the tensors that backward will need. The output holds the graph, and the graph holds them: they
are let go by a backward pass, or with the last output that leads to them. Here they are counted with
:class:`torch.autograd.graph.saved_tensors_hooks`.
"""

import weakref

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks


@pytest.mark.since("2.1")
def test_a_linear_layer_saves_its_input():
    """``nn.Linear`` saves its input for ``backward()``, and its weight if the input requires grad.

    The weight is there anyway; the input is what a deep network pays with.
    """
    net, shapes = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), []

    with saved_tensors_hooks(lambda t: shapes.append(tuple(t.shape)) or t, lambda t: t):
        net(torch.rand(4, 2))

    assert shapes == [(4, 2), (4, 3), (3, 1)]


def test_a_backward_pass_frees_what_was_saved():
    """``backward()`` frees the tensors that its graph saved; with ``retain_graph=True`` they stay."""
    layer, saved = nn.Linear(2, 3), []

    def pack(tensor):
        copy = tensor.clone()
        saved.append(weakref.ref(copy))
        return copy

    with saved_tensors_hooks(pack, lambda t: t):
        loss = layer(torch.rand(4, 2)).pow(2).sum()

    assert [ref() is None for ref in saved] == [False, False]
    loss.backward(retain_graph=True)
    assert [ref() is None for ref in saved] == [False, False]
    loss.backward()
    assert [ref() is None for ref in saved] == [True, True]


def test_a_graph_goes_with_its_last_output():
    """An autograd graph is freed without ``backward()`` once no output that leads to it is left."""
    layer, saved = nn.Linear(2, 3), []

    def pack(tensor):
        copy = tensor.clone()
        saved.append(weakref.ref(copy))
        return copy

    with saved_tensors_hooks(pack, lambda t: t):
        loss = layer(torch.rand(4, 2)).pow(2).sum()
    value = loss.detach()
    assert [ref() is None for ref in saved] == [False, False]

    del loss
    assert [ref() is None for ref in saved] == [True, True]
    assert value.requires_grad is False


@pytest.mark.parametrize(
    ("total", "add"), [(0.0, lambda a, b: a + b), ([], lambda a, b: [*a, b])], ids=["sum", "list"]
)
def test_a_running_total_keeps_every_graph(total, add):
    """A sum or a list of losses keeps the graph of every loss in memory; a sum of ``loss.item()`` keeps none.

    A running total for a log, ``total += loss``, so grows from batch to batch. Add ``loss.item()`` or
    ``loss.detach()``. To train on the sum, call ``backward()`` on each loss: the gradients add up.
    """
    layer, saved, counts = nn.Linear(2, 3), [], []

    def pack(tensor):
        copy = tensor.clone()
        saved.append(weakref.ref(copy))
        return copy

    with saved_tensors_hooks(pack, lambda t: t):
        for _ in range(3):
            total = add(total, layer(torch.rand(4, 2)).pow(2).sum())
            counts.append(sum(ref() is not None for ref in saved))
        total = 0.0
        for _ in range(3):
            total += layer(torch.rand(4, 2)).pow(2).sum().item()
            counts.append(sum(ref() is not None for ref in saved))

    assert counts == [2, 4, 6, 0, 0, 0]


@pytest.mark.parametrize("detached", [False, True])
def test_a_stored_output_keeps_its_graph(detached):
    """An output that ``forward`` stores on ``self``, or in a list of the class, keeps its graph in memory.

    A list of the class keeps that of every call and of every instance. Store ``output.detach()``, which has
    the values only.
    """
    stored, saved = [], []

    class Net(nn.Linear):
        outputs = stored

        def forward(self, x):
            output = super().forward(x).pow(2)
            self.last = output.detach() if detached else output
            self.outputs.append(self.last)

    def pack(tensor):
        copy = tensor.clone()
        saved.append(weakref.ref(copy))
        return copy

    net = Net(2, 3)
    with saved_tensors_hooks(pack, lambda t: t):
        net(torch.rand(4, 2))
        stored.clear()
        Net(2, 3)(torch.rand(4, 2))

    assert [ref() is not None for ref in saved] == [not detached] * 4


def test_evaluation_saves_as_training_does():
    """``net.eval()`` does not stop forward from saving tensors for ``backward()``; ``no_grad`` does."""
    net, seen = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)), []

    for mode, grad in [(True, True), (False, True), (False, False)]:
        shapes = []
        hooks = saved_tensors_hooks(lambda t, shapes=shapes: shapes.append(tuple(t.shape)) or t, lambda t: t)
        with torch.set_grad_enabled(grad), hooks:
            net.train(mode)(torch.rand(4, 2))
        seen.append([shape for shape in shapes if shape[0] == 4])

    assert seen == [[(4, 2), (4, 3), (4, 3)], [(4, 2), (4, 3), (4, 3)], []]


@pytest.mark.parametrize(
    ("frozen", "saved"),
    [([0], [(4, 3)]), ([1], [(4, 2), (3, 1)]), ([0, 1], [])],
    ids=["the first", "the last", "both"],
)
def test_a_frozen_layer_saves_less(frozen, saved):
    """A frozen ``nn.Linear`` does not save its input; if no layer before it is trainable, it saves nothing.

    So freezing the layers next to the input saves memory, and freezing those next to the loss hardly does:
    gradients still pass through them.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    for index in frozen:
        net[index].requires_grad_(False)

    for x in (torch.rand(4, 2), torch.rand(2, 2, 2)):
        shapes = []
        hooks = saved_tensors_hooks(lambda t, shapes=shapes: shapes.append(tuple(t.shape)) or t, lambda t: t)
        with hooks:
            net(x)
        assert shapes == saved
