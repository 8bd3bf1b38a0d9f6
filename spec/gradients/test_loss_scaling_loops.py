"""Loss scaling in more than the usual loop: several optimizers and losses, closures, penalties, resuming.

The usual loop is in *loss_scaling*.
"""

import pytest
import torch
from torch import nn


@pytest.mark.since("2.3")
def test_each_optimizer_is_skipped_on_its_own():
    """A ``GradScaler`` that steps two optimizers skips the one with an infinite gradient alone.

    One ``update()`` after both halves the scale. Calling it once for each optimizer is too often.
    """
    good, bad = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizers = [torch.optim.SGD([weight], lr=1.0) for weight in (good, bad)]
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(good * 3).backward()
    scaler.scale(bad * torch.inf).backward()

    for optimizer in reversed(optimizers):
        scaler.step(optimizer)
    scaler.update()

    assert (good.item(), bad.item(), scaler.get_scale()) == (-3.0, 0.0, 4.0)


@pytest.mark.since("2.3")
def test_a_skipped_step_returns_none():
    """``GradScaler.step`` returns what ``optimizer.step()`` returns, or ``None`` if it was skipped.

    ``optimizer.step()`` returns ``None`` itself: whether a step was skipped shows in ``get_scale()``, which
    is smaller after ``update()``.
    """

    class Telling(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            return "stepped"

    weight = nn.Parameter(torch.zeros(1))
    optimizer, scaler = Telling([weight], lr=1.0), torch.amp.GradScaler("cpu", init_scale=8.0)
    results = []
    for factor in (3.0, torch.inf):
        optimizer.zero_grad()
        scaler.scale(weight * factor).backward()
        results.append(scaler.step(optimizer))
        scaler.update()
        results.append(scaler.get_scale())

    assert results == ["stepped", 8.0, None, 4.0]


@pytest.mark.since("2.3")
def test_a_closure_is_refused():
    """``GradScaler.step`` raises ``RuntimeError`` for a ``closure``: LBFGS cannot be used with it.

    A disabled one passes it on.
    """
    weight = nn.Parameter(torch.zeros(1))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), torch.amp.GradScaler("cpu")
    scaler.scale(weight * 3).backward()

    with pytest.raises(RuntimeError, match="Closure use is not currently supported if GradScaler is enabled"):
        scaler.step(optimizer, closure=lambda: 5.0)
    assert torch.amp.GradScaler("cpu", enabled=False).step(optimizer, closure=lambda: 5.0) == 5.0


@pytest.mark.since("2.3")
def test_several_losses_are_scaled_at_once():
    """``GradScaler.scale`` also takes a list or tuple of losses, and returns one of the same kind."""
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)

    scaled = scaler.scale([torch.tensor(3.0), (torch.tensor(5.0), torch.tensor(7.0))])

    assert scaled == [torch.tensor(24.0), (torch.tensor(40.0), torch.tensor(56.0))]


@pytest.mark.since("2.3")
def test_gradients_of_a_penalty_are_scaled_too():
    """:func:`autograd.grad <torch.autograd.grad>` of a loss from ``GradScaler.scale`` gives scaled gradients.

    For a gradient penalty divide them by ``get_scale()``, and scale the sum of losses once more.
    """
    weight, scaler = nn.Parameter(torch.tensor([3.0])), torch.amp.GradScaler("cpu", init_scale=8.0)

    (grad,) = torch.autograd.grad(scaler.scale(weight**2), weight, create_graph=True)

    assert (grad.item(), (grad / scaler.get_scale()).item()) == (48.0, 6.0)
    assert weight.grad is None


@pytest.mark.since("2.3")
def test_the_state_of_a_disabled_scaler_cannot_be_loaded():
    """``GradScaler.load_state_dict`` raises ``RuntimeError`` for the empty dict of a disabled one.

    So it is if a run without mixed precision is resumed with it. A disabled one loads anything.
    """
    enabled, disabled = (torch.amp.GradScaler("cpu", enabled=enabled) for enabled in (True, False))
    state = torch.amp.GradScaler("cpu", init_scale=8.0).state_dict()

    with pytest.raises(RuntimeError, match="The source state dict is empty, possibly because it was saved"):
        enabled.load_state_dict(disabled.state_dict())
    disabled.load_state_dict(state)
    enabled.load_state_dict(state)
    assert (enabled.get_scale(), disabled.get_scale()) == (8.0, 1.0)


@pytest.mark.since("2.4")
@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD])
def test_a_fused_step_unscales_by_itself(make):
    """``GradScaler.step`` of a ``fused`` optimizer leaves unscaling and skipping to its ``step()``.

    The result is the same: ``grad`` is unscaled afterwards, and an infinite one changes neither the weight
    nor the state. Before clipping call ``unscale_`` all the same.
    """
    weight = nn.Parameter(torch.tensor([3.0], device="cpu"))
    optimizer, calls = make([weight], lr=0.5, fused=True), []
    optimizer.register_step_post_hook(lambda *given: calls.append(weight.item()))
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for factor in (2.0, float("inf")):
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        if factor == 2.0:
            assert weight.grad.tolist() == [2.0]
            trained = weight.item()

    assert trained == pytest.approx({torch.optim.Adam: 2.5, torch.optim.SGD: 2.0}[make])
    assert calls == [trained, trained]
    assert scaler.get_scale() == 2.0
    assert [float(each.get("step", 1)) for each in optimizer.state.values()] in ([1.0], [])


@pytest.mark.since("2.3")
def test_a_scale_may_be_set():
    """``GradScaler.update(new_scale)`` sets the scale, whether the last step was skipped or not."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), torch.amp.GradScaler("cpu", init_scale=8.0)

    scales = []
    for factor, new_scale in ((torch.inf, 10.0), (3.0, torch.tensor(20.0)), (torch.inf, None)):
        optimizer.zero_grad()
        scaler.scale(weight * factor).backward()
        scaler.step(optimizer)
        scaler.update(new_scale)
        scales.append(scaler.get_scale())

    assert scales == [10.0, 20.0, 10.0]
    assert weight.item() == -3.0


@pytest.mark.since("2.3")
def test_a_scale_may_fall_to_zero():
    """If every step is skipped, ``GradScaler`` halves its scale to 0, and a good step makes weights NaN.

    The cause is an infinite or NaN gradient in each step, not the scale: look for it with
    :func:`torch.autograd.set_detect_anomaly`.
    """
    weight = nn.Parameter(torch.zeros(1))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), torch.amp.GradScaler("cpu", init_scale=2.0**-147)

    scales = []
    for factor in (torch.inf, torch.inf, torch.inf, 3.0):
        optimizer.zero_grad()
        scaler.scale(weight * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())

    assert scales == [2.0**-148, 2.0**-149, 0.0, 0.0]
    assert weight.isnan().item()


@pytest.mark.since("2.3")
def test_sparse_and_bfloat16_gradients_are_unscaled():
    """``GradScaler.unscale_`` also takes sparse gradients, and those of bfloat16 parameters."""
    table = nn.Embedding(3, 1, sparse=True)
    weight = nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    optimizer = torch.optim.SGD([table.weight, weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(table(torch.tensor([1, 1])).sum() + (weight * 3).float()).backward()

    assert (table.weight.grad.to_dense().flatten().tolist(), weight.grad.item()) == ([0.0, 16.0, 0.0], 24.0)
    scaler.unscale_(optimizer)
    assert (table.weight.grad.to_dense().flatten().tolist(), weight.grad.item()) == ([0.0, 2.0, 0.0], 3.0)
