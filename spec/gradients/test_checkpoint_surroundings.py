"""What is around a checkpoint: autocast, grad mode, other checkpoints, and what backward is asked for.

The second forward runs in backward, long after the first. Here is what of the first one's surroundings it
finds again, and what not.
"""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_autocast_is_restored_at_the_second_forward(use_reentrant):
    """The second forward of ``checkpoint`` is in the autocast region of the first, even if ``backward()`` is
    not.

    So both compute in the same dtype (:issue:`71124`).
    """
    layer, seen = nn.Linear(2, 2), []

    def forward(x):
        result = layer(x)
        seen.append((result.dtype, torch.is_autocast_cpu_enabled()))
        return result.sin()

    x = torch.rand(3, 2, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = checkpoint(forward, x, use_reentrant=use_reentrant)
    result.float().sum().backward()

    assert seen == [(torch.bfloat16, True)] * 2
    assert layer.weight.grad.dtype == torch.float32
    assert torch.is_autocast_cpu_enabled() is False


def test_inputs_of_backward_are_not_reached():
    """``backward(inputs=[weight])`` silently gives a weight under ``checkpoint(use_reentrant=True)`` no
    gradient.

    With ``use_reentrant=False`` it does (:issue:`51743`).
    """
    grads = []
    for use_reentrant in (True, False):
        layer, x = nn.Linear(2, 1), torch.tensor([3.0, 5.0], requires_grad=True)
        checkpoint(layer, x, use_reentrant=use_reentrant).backward(inputs=[layer.weight])
        grads.append((layer.weight.grad, x.grad))

    assert grads[0] == (None, None)
    assert (grads[1][0].tolist(), grads[1][1]) == ([[3.0, 5.0]], None)


def test_without_gradients_a_checkpoint_does_nothing():
    """Under ``no_grad``, ``checkpoint`` calls ``forward`` once and keeps no graph; with
    ``use_reentrant=True`` it warns.

    The warning that no input requires grad is without meaning in evaluation: use ``use_reentrant=False``, or
    call the module itself in ``eval()``.
    """
    layer, calls, x = nn.Linear(2, 1), [], torch.rand(3, 2)
    layer.register_forward_hook(lambda *given: calls.append(1))

    with torch.no_grad():
        with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
            first = checkpoint(layer, x, use_reentrant=True)
        second = checkpoint(layer, x, use_reentrant=False)

    assert (len(calls), first.grad_fn, second.grad_fn) == (2, None, None)
    assert torch.equal(first, second)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_a_part_without_gradients_runs_once(use_reentrant):
    """``checkpoint`` of a frozen module runs it again in ``backward()`` only if its input requires grad.

    The first blocks of a frozen backbone cost nothing twice.
    """
    frozen, last, calls = nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1), []
    frozen.register_forward_pre_hook(lambda *given: calls.append(1))

    for requires_grad, expected in ((False, 1), (True, 2)):
        calls.clear()
        x = torch.rand(3, 2, requires_grad=requires_grad)
        last(checkpoint(frozen, x, use_reentrant=use_reentrant)).sum().backward()
        assert len(calls) == expected
        assert (x.grad is None) is not requires_grad


def test_checkpoints_may_be_nested():
    """A ``checkpoint(use_reentrant=False)`` inside of another gives the gradients of a plain call.

    What is inside runs a third time.
    """
    layer, calls = nn.Linear(2, 2), []

    def inner(x):
        calls.append("inner")
        return layer(x).sin()

    def outer(x):
        calls.append("outer")
        return checkpoint(inner, x, use_reentrant=False).sin()

    x = torch.rand(3, 2, requires_grad=True)
    checkpoint(outer, x, use_reentrant=False).sum().backward()
    grads = [x.grad.clone(), layer.weight.grad.clone()]
    x.grad = layer.weight.grad = None
    inner(x).sin().sum().backward()

    assert calls == ["outer", "inner"] * 2 + ["inner"] * 2
    torch.testing.assert_close(grads, [x.grad, layer.weight.grad])


@pytest.mark.since("2.1")
def test_a_difference_may_be_explained():
    """``checkpoint(use_reentrant=False, debug=True)`` names operations of both forwards in
    ``CheckpointError``.

    ``torch.utils.checkpoint.set_checkpoint_debug_enabled(True)`` turns it on for all. It is slow, and finds
    the operation from which the second forward goes another way.
    """
    calls = []

    def forward(x):
        calls.append(1)
        return x.sin().exp() if len(calls) % 2 else x.tanh()

    result = checkpoint(forward, torch.rand(3, requires_grad=True), use_reentrant=False, debug=True)

    with pytest.raises(torch.utils.checkpoint.CheckpointError, match="Detected non-determinism") as caught:
        result.sum().backward()
    names = ("aten.sin.default", "aten.exp.default", "aten.tanh.default")
    assert [name in str(caught.value) for name in names] == [True] * 3


@pytest.mark.since("2.1")
def test_recomputation_may_go_to_the_end():
    """Inside ``set_checkpoint_early_stop(False)``, the second forward of ``checkpoint`` runs to its end.

    So a counter or log at the end of ``forward`` is reached twice. The context is about the first forward.
    """
    seen = []

    def forward(x):
        seen.append("start")
        result = x.sin() * 2
        seen.append("end")
        return result

    for stop, expected in ((False, ["start", "end", "start", "end"]), (True, ["start", "end", "start"])):
        seen.clear()
        x = torch.rand(3, requires_grad=True)
        with torch.utils.checkpoint.set_checkpoint_early_stop(stop):
            result = checkpoint(forward, x, use_reentrant=False)
        result.sum().backward()
        assert seen == expected


def test_an_input_may_not_be_changed_in_place():
    """``checkpoint(use_reentrant=True)`` raises ``RuntimeError`` in backward if it starts with an in-place
    layer.

    The second forward gets a leaf in place of the input, which ``nn.ReLU(inplace=True)`` may not change.
    """
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 1))
    x = torch.rand(3, 2, requires_grad=True)

    result = checkpoint(net, x * 1, use_reentrant=True)

    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place"):
        result.sum().backward()
    checkpoint(nn.Sequential(nn.ReLU(), net[1]), x * 1, use_reentrant=True).sum().backward()
    torch.testing.assert_close(x.grad, net[1].weight.detach().expand(3, 2))


def test_a_weight_hook_runs_per_reentrant_checkpoint():
    """A ``Tensor.register_hook`` hook of a weight runs once for each ``checkpoint(use_reentrant=True)``.

    Each is a backward of its own, and the hook sees a part of the gradient; with ``use_reentrant=False`` it
    runs once, with all (:issue:`81296`). So averages taken in such a hook are of parts.
    """
    for reentrant, expected in ((True, [6.0, 6.0]), (False, [12.0])):
        layer, seen = nn.Linear(1, 1, bias=False), []
        nn.init.constant_(layer.weight, 2.0)
        layer.weight.register_hook(lambda grad, seen=seen: seen.append(grad.item()))
        inner = checkpoint(layer, torch.tensor([3.0], requires_grad=True), use_reentrant=reentrant)
        checkpoint(layer, inner, use_reentrant=reentrant).backward()

        assert seen == expected
        assert layer.weight.grad.item() == 12.0


@pytest.mark.since("2.11")
def test_autocast_casts_again_after_no_grad():
    """In an ``autocast`` block, ``checkpoint(use_reentrant=False)`` trains a module called in ``no_grad``
    before.
    """
    net = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            net(torch.rand(2, 4))
        result = checkpoint(net, torch.rand(2, 4, requires_grad=True), use_reentrant=False)
    result.sum().backward()

    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.since("2.1")
@pytest.mark.before("2.11")
def test_autocast_did_not_cast_again_after_no_grad():
    """In ``autocast``, ``checkpoint(use_reentrant=False)`` raises ``CheckpointError`` after a call in
    ``no_grad``.

    The first forward uses casts of weights that the call left, which have no graph; the second makes its own.
    Use ``cache_enabled=False``, or regions of their own.
    """
    net = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            net(torch.rand(2, 4))
        result = checkpoint(net, torch.rand(2, 4, requires_grad=True), use_reentrant=False)

    with pytest.raises(torch.utils.checkpoint.CheckpointError, match="have different metadata than during"):
        result.sum().backward()
