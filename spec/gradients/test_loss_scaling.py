"""Scaling the loss, so that small gradients survive in float16.

A :class:`torch.amp.GradScaler` multiplies the loss by a large number before backward and divides the
gradients by it before the optimizer's step. Parameters stay in float32; the lower precision is that of
autocast, which is in the part on placement. Here all is on the CPU, where the same rules hold.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_


@pytest.mark.since("2.3")
def test_gradients_are_scaled_until_the_step():
    """After ``GradScaler.scale(loss).backward()`` gradients are multiplied by the scale, until ``step``.

    ``scaler.step(optimizer)`` divides them and calls ``optimizer.step()``; ``update()`` comes last. What
    looks at gradients before the step, such as a hook or a log, sees them scaled.
    """
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=2.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_factor=4.0, growth_interval=1)

    for scale in (8.0, 32.0):
        before = layer.weight.tolist()
        optimizer.zero_grad()
        scaler.scale(layer(torch.tensor([3.0, 5.0]))).backward()
        assert layer.weight.grad.tolist() == [[3.0 * scale, 5.0 * scale]]
        assert layer.bias.grad.tolist() == [scale]

        scaler.step(optimizer)
        assert [p.grad.tolist() for p in layer.parameters()] == [[[3.0, 5.0]], [1.0]]
        assert layer.weight.tolist() == [pytest.approx([before[0][0] - 6.0, before[0][1] - 10.0])]
        scaler.update()


@pytest.mark.since("2.3")
def test_clipping_comes_after_unscaling():
    """``clip_grad_norm_`` called before ``GradScaler.unscale_(optimizer)`` clips gradients that are still
    scaled.

    The bound is then too strict by that factor. Call ``unscale_`` first: ``step`` does not divide again.
    """
    norms, steps = [], []
    for unscaled in (False, True):
        weight = nn.Parameter(torch.zeros(2))
        optimizer = torch.optim.SGD([weight], lr=1.0)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_factor=4.0, growth_interval=1)
        for _ in range(2):
            weight.data.zero_()
            optimizer.zero_grad()
            scaler.scale(weight @ torch.tensor([3.0, 4.0])).backward()
            if unscaled:
                scaler.unscale_(optimizer)
            norms.append(clip_grad_norm_([weight], max_norm=10.0).item())
            scaler.step(optimizer)
            scaler.update()
            steps.append(weight.norm().item())

    assert norms == [40.0, 160.0, 5.0, 5.0]
    assert steps == pytest.approx([10.0 / 8, 10.0 / 32, 5.0, 5.0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.since("2.3")
def test_parameters_in_float16_are_refused(dtype):
    """``GradScaler.step`` and ``unscale_`` raise ``ValueError`` for gradients of float16 parameters.

    It says "Attempting to unscale FP16 gradients": what is trained has been cast to float16. Cast only the
    frozen part, or call ``float()`` on the trained one, and let autocast do the rest. Other dtypes pass.
    """
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for kind in (torch.float16, dtype):
        layer = nn.Linear(2, 1, dtype=kind)
        optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
        scaler.scale(layer(torch.tensor([[3.0, 5.0]], dtype=kind)).sum()).backward()
        if kind is torch.float16:
            for call in (scaler.unscale_, scaler.step):
                with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
                    call(optimizer)

    scaler.unscale_(optimizer)
    assert layer.weight.grad.tolist() == [[3.0, 5.0]]


@pytest.mark.since("2.3")
def test_an_infinite_gradient_skips_the_step():
    """If a gradient is infinite or NaN, ``GradScaler.step`` changes no weight, and ``update`` halves the
    scale.

    Now and then that is how the scaler works. If it happens in each step, the weights never change, and
    something else is wrong.
    """
    other, weight = nn.Parameter(torch.tensor(7.0)), nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer, scaler = torch.optim.SGD([other, weight], lr=1.0), torch.amp.GradScaler("cpu", init_scale=8.0)
    seen = []

    for value in (float("inf"), float("nan"), 5.0):
        optimizer.zero_grad()
        scaler.scale(other * 4.0 + weight @ torch.tensor([3.0, value])).backward()
        scaler.step(optimizer)
        scaler.update()
        seen.append((scaler.get_scale(), other.item(), weight.tolist()))

    assert seen == [(4.0, 7.0, [1.0, 2.0]), (2.0, 7.0, [1.0, 2.0]), (2.0, 3.0, [-2.0, -3.0])]


@pytest.mark.since("2.3")
def test_a_skipped_first_step_makes_the_scheduler_warn():
    """If ``GradScaler`` skips the first step, ``scheduler.step()`` warns that it came before the
    optimizer's.

    The order is right, and the warning may be ignored; but the learning rate changes without a step.
    """
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), torch.amp.GradScaler("cpu", init_scale=8.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)

    scaler.scale(weight @ torch.tensor([3.0, float("inf")])).backward()
    scaler.step(optimizer)

    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
    assert scheduler.get_last_lr() == [0.5]


@pytest.mark.since("2.3")
def test_the_scale_grows_after_good_steps():
    """``GradScaler.update`` doubles the scale after ``growth_interval`` steps without a skipped one."""
    weight, seen = nn.Parameter(torch.tensor([1.0, 2.0])), []
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)

    for value in (5.0, 5.0, 5.0, float("inf"), 5.0, 5.0):
        optimizer.zero_grad()
        scaler.scale(weight @ torch.tensor([3.0, value])).backward()
        scaler.step(optimizer)
        scaler.update()
        seen.append(scaler.get_scale())

    assert seen == [8.0, 16.0, 16.0, 8.0, 8.0, 16.0]


@pytest.mark.parametrize("name", ["unscale_", "step"])
@pytest.mark.since("2.3")
def test_each_comes_once_before_an_update(name):
    """``GradScaler.unscale_`` and ``step`` raise ``RuntimeError`` if called twice before ``update()``.

    A helper that clips gradients may have unscaled them already. Each optimizer has its own count.
    """
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer, other = (torch.optim.SGD([weight], lr=1.0) for _ in range(2))
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(weight @ torch.tensor([3.0, 5.0])).backward()
    call = getattr(scaler, name)

    call(optimizer)
    with pytest.raises(RuntimeError, match=rf"{name}\(\) has already been called"):
        call(optimizer)
    call(other)

    scaler.update()
    call(optimizer)


@pytest.mark.since("2.3")
def test_gradients_add_up_before_unscaling():
    """``backward()`` after ``GradScaler.unscale_`` adds scaled gradients to unscaled ones, without an
    error.

    Gradients of several batches have one scale only until then: call ``unscale_`` after the last of them,
    and ``update()`` after the step.
    """
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), torch.amp.GradScaler("cpu", init_scale=8.0)

    scaler.scale(weight @ torch.tensor([3.0, 5.0])).backward()
    scaler.unscale_(optimizer)
    scaler.scale(weight @ torch.tensor([3.0, 5.0])).backward()

    assert weight.grad.tolist() == [3.0 + 24.0, 5.0 + 40.0]


@pytest.mark.since("2.3")
def test_without_gradients_there_is_nothing_to_check():
    """``GradScaler.step`` without any gradient raises ``AssertionError``, unless the optimizer is fused.

    It says "No inf checks were recorded for this optimizer": ``backward()`` was not called, everything is
    frozen, or the optimizer holds other parameters than the model. One gradient is enough.
    """
    weight, other = nn.Parameter(torch.tensor([1.0, 2.0])), nn.Parameter(torch.tensor([7.0]))
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(weight @ torch.tensor([3.0, 5.0])).backward()

    frozen = nn.Parameter(torch.tensor([7.0]), requires_grad=False)
    usual, fused = ([torch.optim.SGD([p], 1.0, fused=f) for p in (other, frozen)] for f in (False, True))
    used = torch.optim.SGD([{"params": other}, {"params": weight}], lr=1.0)
    for optimizer in usual:
        with pytest.raises(AssertionError, match="No inf checks were recorded for this optimizer"):
            scaler.step(optimizer)
    for optimizer in (*fused, used):
        scaler.step(optimizer)

    assert (weight.tolist(), other.tolist()) == ([-2.0, -3.0], [7.0])


@pytest.mark.since("2.3")
def test_the_loss_has_to_be_scaled_first():
    """``GradScaler.step``, ``unscale_`` and ``update`` raise ``AssertionError`` before the first
    ``scale``.
    """
    optimizer = torch.optim.SGD([nn.Parameter(torch.tensor([1.0, 2.0]))], lr=1.0)
    scaler = torch.amp.GradScaler("cpu")

    for call in (lambda: scaler.step(optimizer), lambda: scaler.unscale_(optimizer), scaler.update):
        with pytest.raises(AssertionError, match="_scale is None"):
            call()


@pytest.mark.since("2.3")
def test_a_disabled_scaler_does_nothing():
    """``GradScaler(enabled=False)`` returns the loss itself, calls ``optimizer.step()`` and saves no state.

    So one loop serves both. Loading its empty state dict into an enabled one raises ``RuntimeError``.
    """
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), torch.amp.GradScaler("cpu", enabled=False)
    loss = weight @ torch.tensor([3.0, float("inf")])

    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.step(optimizer)
    assert weight.tolist() == [-2.0, -float("inf")]
    assert (scaler.get_scale(), scaler.state_dict()) == (1.0, {})
    with pytest.raises(RuntimeError, match="source state dict is empty"):
        torch.amp.GradScaler("cpu").load_state_dict(scaler.state_dict())


@pytest.mark.since("2.3")
def test_the_scale_is_saved():
    """``GradScaler.state_dict()`` holds the scale; a new scaler begins with 65536.

    Save it with the model and the optimizer: a new one may have to skip steps until its scale fits again.
    """
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=50)
    resumed = torch.amp.GradScaler("cpu")
    assert resumed.state_dict()["scale"] == 65536.0

    for scale in (8.0, 16.0):
        resumed.load_state_dict(scaler.state_dict())

        assert (resumed.get_scale(), resumed.get_growth_interval()) == (scale, 50)
        assert resumed.state_dict() == scaler.state_dict()
        scaler.scale(torch.tensor(1.0))
        scaler.update(16.0)


@pytest.mark.since("2.3")
def test_small_gradients_vanish_in_float16():
    """A small gradient in ``torch.autocast`` to float16 is 0, without an error, unless the loss is scaled.

    What is below 6e-8 is lost on its way back through a float16 output. bfloat16 has the range of float32 and
    needs no scaler. ``torch.autocast("cuda")`` takes float16 by default, on the CPU it takes bfloat16. See
    :class:`torch.amp.GradScaler`.
    """
    layer, x, found = nn.Linear(1, 1, bias=False), torch.tensor([[2.0]]), []
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    for dtype, scaled in ((torch.float16, False), (torch.float16, True), (torch.bfloat16, False)):
        scaler = torch.amp.GradScaler("cpu", enabled=scaled)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            out = layer(x)
        scaler.scale((out.float() * 1e-8).sum()).backward()
        scaler.unscale_(optimizer)
        found.append(layer.weight.grad.item())

    assert found == [0.0, pytest.approx(2e-8, rel=0.01), pytest.approx(2e-8, rel=0.01)]
