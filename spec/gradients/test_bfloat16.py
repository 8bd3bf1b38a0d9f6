"""Training and averaging in bfloat16: what its few digits do to a small change.

A bfloat16 number has eight significant bits. Whatever is added to it has to reach half the distance to its
neighbor, 1/256 at 1.0, or nothing happens, and nothing says so. What a cast does to values is in the part on
placement.
"""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


@pytest.mark.parametrize(
    ("kind", "after"), [(torch.optim.SGD, 0.9375), (torch.optim.AdamW, pytest.approx(0.9375, abs=1e-3))]
)
def test_a_small_step_changes_nothing(kind, after):
    """``optimizer.step()`` leaves a bfloat16 weight as it is if the update is below half its last digit.

    However many steps follow: adapters or a whole model stay at their first values, mostly the large weights.
    Keep trained parameters in float32 and use autocast, or let the optimizer hold a float32 copy.
    """
    weights = []
    for dtype in (torch.float32, torch.bfloat16):
        weight, small = (nn.Parameter(torch.tensor([value], dtype=dtype)) for value in (1.0, 0.125))
        optimizer = kind([weight, small], lr=2**-10, **{"weight_decay": 0.0})
        for _ in range(64):
            weight.grad, small.grad = torch.ones_like(weight), torch.ones_like(small)
            optimizer.step()
        weights.append((weight.item(), small.item() < 0.125))

    assert weights == [(after, True), (1.0, True)]


def test_a_float32_copy_collects_small_steps():
    """``optimizer.step()`` on a float32 copy of a bfloat16 weight collects steps too small for bfloat16.

    Give the copy the gradient before each ``step()``, and copy it into the weight afterwards.
    """
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.bfloat16))
    master = nn.Parameter(weight.detach().float())
    optimizer, seen = torch.optim.SGD([master], lr=2**-10), []

    for _ in range(64):
        (weight * 1.0).sum().backward()
        master.grad, weight.grad = weight.grad.float(), None
        optimizer.step()
        with torch.no_grad():
            weight.copy_(master)
        seen.append(weight.item())

    assert (seen[0], seen[-1]) == (1.0, 0.9375)
    assert len(set(seen)) == 17


def test_accumulated_gradients_stop_growing():
    """``backward()`` adds to a bfloat16 ``grad`` in bfloat16: small gradients of later batches are lost.

    Accumulate in float32, or average over fewer batches.
    """
    grads = []
    for dtype in (torch.float32, torch.bfloat16):
        weight = nn.Parameter(torch.tensor([0.0], dtype=dtype))
        (weight * 256).sum().backward()
        for _ in range(64):
            weight.sum().backward()
        grads.append((weight.grad.dtype, weight.grad.item()))

    assert grads == [(torch.float32, 320.0), (torch.bfloat16, 256.0)]


def test_moments_have_the_dtype_of_the_weight():
    """``Adam`` keeps ``exp_avg`` and ``exp_avg_sq`` in the dtype of the parameter, ``step`` in float32."""
    for dtype in (torch.bfloat16, torch.float64):
        weight = nn.Parameter(torch.tensor([1.0], dtype=dtype))
        first, second = torch.optim.Adam([weight]), torch.optim.Adam([weight])
        weight.grad = torch.ones_like(weight)
        first.step()
        second.load_state_dict(first.state_dict())

        for optimizer in (first, second):
            dtypes = {name: value.dtype for name, value in optimizer.state[weight].items()}
            assert dtypes == {"step": torch.float32, "exp_avg": dtype, "exp_avg_sq": dtype}


def test_an_average_does_not_move():
    """``AveragedModel`` (EMA) with a decay near 1 stays unchanged if the weights are bfloat16.

    So it stays the first model. Average a float32 copy: ``AveragedModel(net.float())``.
    """
    averages = []
    for dtype in (torch.float32, torch.bfloat16):
        net = nn.Linear(1, 1, dtype=dtype)
        averaged = AveragedModel(net, avg_fn=lambda average, value, count: torch.lerp(average, value, 0.001))
        for value in (1.0, *[2.0] * 500):
            for p in net.parameters():
                nn.init.constant_(p, value)
            averaged.update_parameters(net)
        averages.append([p.item() for p in averaged.module.parameters()])

    assert averages == [pytest.approx([1.394, 1.394], abs=0.001), [1.0, 1.0]]


def test_merging_a_small_product_loses_a_part():
    """Adding a small product, ``B @ A`` of LoRA, to a bfloat16 weight leaves its large elements unchanged.

    So a merged layer gives other results than the layer and its adapter. Merge into a float32 weight, and
    keep that; cast to bfloat16 it loses the same.
    """
    weight = torch.tensor([[1.0, 0.5], [0.125, 0.0625]], dtype=torch.bfloat16)
    a, b = torch.tensor([[1.0, 1.0]]), torch.tensor([[2**-10], [2**-10]])
    layer = nn.Linear(2, 2, bias=False, dtype=torch.bfloat16)
    layer.load_state_dict({"weight": weight})
    x = torch.tensor([[1.0, 1.0]])
    both = nn.functional.linear(x, weight.float()) + x @ a.T @ b.T

    merged = weight + (b @ a).to(torch.bfloat16)
    with torch.no_grad():
        layer.weight += (b @ a).to(torch.bfloat16)

    assert torch.equal(layer.weight, merged)
    assert (layer.weight != weight).tolist() == [[False, False], [True, True]]
    assert (layer(x.bfloat16()).float() == both).tolist() == [[False, True]]
    assert torch.equal(nn.functional.linear(x, weight.float() + b @ a), both)


def test_a_float32_adapter_makes_the_sum_float32():
    """A float32 adapter makes the sum float32: the next bfloat16 ``nn.Linear`` raises ``RuntimeError`` for
    it.

    The adapter itself raises ``RuntimeError`` for the bfloat16 input. Cast its input and its output, or call
    both in ``torch.autocast``, where all of it is bfloat16.
    """
    layer, after = (nn.Linear(3, 3, dtype=torch.bfloat16) for _ in range(2))
    adapter, x = nn.Linear(3, 3), torch.rand(2, 3, dtype=torch.bfloat16)

    with pytest.raises(RuntimeError, match="must have the same dtype"):
        adapter(x)
    total = layer(x) + adapter(x.float())
    assert total.dtype == torch.float32
    with pytest.raises(RuntimeError, match="must have the same dtype"):
        after(total)

    assert after(layer(x) + adapter(x.float()).to(x.dtype)).dtype == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert after(layer(x) + adapter(x)).dtype == torch.bfloat16


@pytest.mark.parametrize("loss", [nn.L1Loss(), nn.SmoothL1Loss(), nn.BCEWithLogitsLoss()])
def test_losses_take_a_wider_target(loss):
    """``L1Loss`` of a bfloat16 prediction and a float32 target is float32; gradients stay bfloat16.

    So do ``SmoothL1Loss`` and ``BCEWithLogitsLoss``.
    """
    layer, x = nn.Linear(2, 1, dtype=torch.bfloat16), torch.ones(4, 2, dtype=torch.bfloat16)

    value = loss(layer(x), torch.full((4, 1), 0.5))
    value.backward()

    assert [value.dtype, layer.weight.grad.dtype] == [torch.float32, torch.bfloat16]


@pytest.mark.since("2.12")
def test_mse_takes_a_wider_target():
    """``MSELoss`` of a bfloat16 prediction and a float32 target is trained; gradients are bfloat16."""
    x, target = torch.full((4,), 0.25, dtype=torch.bfloat16, requires_grad=True), torch.full((4,), 0.5)

    value = nn.MSELoss()(x, target)
    value.backward()

    assert [value.dtype, x.grad.dtype] == [torch.float32, torch.bfloat16]
    assert x.grad.tolist() == [-0.125] * 4


@pytest.mark.before("2.12")
def test_mse_refused_a_wider_target():
    """``MSELoss`` of a bfloat16 prediction and a float32 target raises ``RuntimeError`` in backward."""
    x, target = torch.full((4,), 0.25, dtype=torch.bfloat16, requires_grad=True), torch.full((4,), 0.5)

    value = nn.MSELoss()(x, target)
    with pytest.raises(RuntimeError, match="Found dtype Float but expected BFloat16"):
        value.backward()


def test_losses_that_refuse_a_wider_target():
    """``BCELoss`` raises ``RuntimeError`` for a bfloat16 input and a float32 target, ``HuberLoss`` in
    backward.

    The value of ``HuberLoss`` itself is computed, in bfloat16. Cast the input or the target.
    """
    x, target = torch.full((4,), 0.25, dtype=torch.bfloat16, requires_grad=True), torch.full((4,), 0.5)

    with pytest.raises(RuntimeError, match=r"Found dtype Float but expected BFloat16|expected scalar type"):
        nn.BCELoss()(x, target)
    value = nn.HuberLoss()(x, target)
    assert value.dtype == torch.bfloat16
    with pytest.raises(RuntimeError, match="Found dtype Float but expected BFloat16"):
        value.backward()

    for loss in (nn.BCELoss(), nn.HuberLoss()):
        x.grad = None
        loss(x.float(), target).backward()
        assert x.grad.dtype == torch.bfloat16
