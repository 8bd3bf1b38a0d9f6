"""What losses compute: where one turns from a square to a line, and which margin counts.

Read *losses* and *loss_arguments* first. Each clause holds for every reduction; without one there is most to
see.
"""

import itertools
import math

import pytest
import torch
from torch import nn

ERRORS = torch.tensor([-5.0, -2.0, -1.0, -0.25, 0.0, 0.5, 1.5, 2.5, 4.0])


def test_absolute_and_squared_errors():
    """``L1Loss`` averages the absolute errors of the elements, ``MSELoss`` their squares."""
    x, y = torch.tensor([[1.0, -2.0], [3.0, 5.0]]), torch.tensor([[2.0, 1.0], [3.0, -2.0]])

    assert nn.L1Loss(reduction="none")(x, y).tolist() == [[1, 3], [0, 7]]
    assert nn.MSELoss(reduction="none")(x, y).tolist() == [[1, 9], [0, 49]]
    assert [nn.L1Loss()(x, y).item(), nn.MSELoss()(x, y).item()] == [11 / 4, 59 / 4]


@pytest.mark.parametrize("beta", [0.25, 1.0, 2.0, 3.0])
def test_a_square_below_a_line_above(beta):
    """``SmoothL1Loss`` and ``HuberLoss`` are quadratic for errors below ``beta`` or ``delta``, and linear
    above.

    ``SmoothL1Loss`` is ``HuberLoss`` divided by ``beta``, so both are equal for 1.
    """
    absolute = ERRORS.abs()
    wanted = torch.where(absolute < beta, 0.5 * absolute**2, beta * (absolute - 0.5 * beta))
    zeros = torch.zeros(9)

    huber = nn.HuberLoss(reduction="none", delta=beta)(ERRORS, zeros)
    smooth = nn.SmoothL1Loss(reduction="none", beta=beta)(ERRORS, zeros)

    assert torch.allclose(huber, wanted)
    assert torch.allclose(smooth, wanted / beta)
    assert torch.equal(huber, smooth) is (beta == 1)


@pytest.mark.parametrize("beta", [0.25, 1.0, 2.0])
def test_slopes_of_the_lines(beta):
    """For large errors the slope of ``SmoothL1Loss`` is 1 whatever ``beta``; that of ``HuberLoss`` is
    ``delta``.
    """
    errors, zeros = torch.tensor([-5.0, -3.0, 3.0, 5.0], requires_grad=True), torch.zeros(4)
    losses = nn.SmoothL1Loss(reduction="sum", beta=beta), nn.HuberLoss(reduction="sum", delta=beta)

    slopes = [torch.autograd.grad(loss(errors, zeros), errors)[0].tolist() for loss in losses]

    assert slopes == [[-1, -1, 1, 1], [-beta, -beta, beta, beta]]


def test_limits_of_smooth_l1_and_huber():
    """For small ``beta``, ``SmoothL1Loss`` is ``L1Loss``; for small ``delta``, ``HuberLoss`` is 0."""
    zeros, small = torch.zeros(9), 1e-6
    distance = ERRORS.abs()

    assert torch.allclose(nn.SmoothL1Loss(reduction="none", beta=small)(ERRORS, zeros), distance, atol=1e-5)
    assert torch.equal(nn.SmoothL1Loss(reduction="none", beta=0.0)(ERRORS, zeros), distance)
    assert nn.HuberLoss(reduction="none", delta=small)(ERRORS, zeros).max().item() < 1e-5


def test_poisson_nll_takes_logs_or_rates():
    """``PoissonNLLLoss`` is ``exp(x) - y * x``, with ``log_input=False`` ``x - y * log(x + eps)``."""
    x, y = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([2.0, 0.0, 3.0])

    of_logs = nn.PoissonNLLLoss(reduction="none", log_input=True)(x, y)
    of_rates = nn.PoissonNLLLoss(reduction="none", log_input=False, eps=0.25)(x, y)

    assert torch.allclose(of_logs, x.exp() - y * x)
    assert torch.allclose(of_rates, x - y * (x + 0.25).log())


def test_stirling_begins_above_one():
    """``PoissonNLLLoss(full=True)`` adds Stirling's approximation only for targets greater than 1, not at 1.

    For the others it adds zeros.
    """
    x, targets = torch.zeros(4), torch.tensor([0.5, 1.0, 1.001, 4.0])

    full, short = (nn.PoissonNLLLoss(full=kind, reduction="none")(x, targets) for kind in (True, False))

    counts = targets[2:]
    stirling = counts * counts.log() - counts + 0.5 * (2 * math.pi * counts).log()
    assert (full - short)[:2].tolist() == [0, 0]
    assert torch.allclose((full - short)[2:], stirling, atol=1e-6)


def test_kl_divergence_has_the_model_first():
    """``KLDivLoss`` takes the model ``Q`` first and the observations ``P`` second, unlike ``KL(P || Q)``."""
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.125, 0.875])
    divergence = nn.KLDivLoss(reduction="sum")

    assert torch.allclose(divergence(q.log(), p), (p * (p / q).log()).sum())
    assert not torch.allclose(divergence(p.log(), q), (p * (p / q).log()).sum(), atol=0.01)


def test_the_log_of_zero_in_torch():
    """``torch.log(0)`` is ``-inf``, but ``BCELoss`` and ``F.binary_cross_entropy`` take -100 in its place."""
    zero, one = torch.zeros(1), torch.ones(1)

    assert zero.log().tolist() == [-math.inf]
    assert nn.BCELoss()(zero, one).item() == nn.functional.binary_cross_entropy(zero, one).item() == 100


def test_hinge_embedding_pulls_and_pushes():
    """``HingeEmbeddingLoss`` is the input for a target of 1, ``max(0, margin - input)`` for one of -1."""
    x, y = torch.tensor([0.5, 3.0, 0.5, 3.0]), torch.tensor([1.0, 1.0, -1.0, -1.0])

    for target in (y, y.long()):
        assert nn.HingeEmbeddingLoss(margin=2.0, reduction="none")(x, target).tolist() == [0.5, 3, 1.5, 0]
    assert nn.HingeEmbeddingLoss(margin=2.0, reduction="sum")(x, y).item() == 5


def test_soft_margin_is_logistic():
    """``SoftMarginLoss`` is ``log(1 + exp(-y * x))`` for targets ``y`` of 1 and -1: BCE of logits."""
    x, y = torch.tensor([0.5, 3.0, -0.5, 2.0]), torch.tensor([1.0, -1.0, -1.0, 1.0])

    terms = (1 + (-y * x).exp()).log()

    for reduction, expected in (("none", terms), ("sum", terms.sum()), ("mean", terms.mean())):
        loss = nn.SoftMarginLoss(reduction=reduction)(x, y)

        assert torch.allclose(loss, expected)
        assert torch.allclose(loss, nn.BCEWithLogitsLoss(reduction=reduction)(x, (y + 1) / 2))


def test_multi_label_soft_margin_is_one_against_all():
    """``MultiLabelSoftMarginLoss`` is the mean over the classes of the ``BCEWithLogitsLoss`` of each."""
    x, y = torch.randn(4, 3), torch.tensor([[0.0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]])

    loss = nn.MultiLabelSoftMarginLoss(reduction="none")(x, y)

    assert torch.allclose(nn.MultiLabelSoftMarginLoss()(x[0], y[0]), nn.BCEWithLogitsLoss()(x[0], y[0]))
    assert torch.allclose(loss, nn.BCEWithLogitsLoss(reduction="none")(x, y).mean(1))


@pytest.mark.parametrize("p", [1, 2])
def test_multi_margin_compares_with_the_target(p):
    """``MultiMarginLoss`` sums ``max(0, margin - x[y] + x[i]) ** p`` over the classes ``i`` other than ``y``.

    The sum is divided by the number of all classes, ``y`` included.
    """
    x, y = torch.tensor([[0.5, 2.0, -1.0], [1.5, 0.25, 1.0]]), torch.tensor([2, 0])
    wanted = [
        sum(max(0.0, 0.75 - row[right] + row[i]) ** p for i in range(3) if i != right) / 3
        for row, right in zip(x.tolist(), y.tolist(), strict=True)
    ]

    assert nn.MultiMarginLoss(p=p, margin=0.75, reduction="none")(x, y).tolist() == pytest.approx(wanted)
    with pytest.raises(RuntimeError, match="target out of range"):
        nn.MultiMarginLoss()(x, torch.tensor([2, 3]))


def test_multi_label_margin_compares_with_each_target():
    """``MultiLabelMarginLoss`` sums ``max(0, 1 - x[j] + x[i])`` over targets ``j`` and other classes ``i``.

    The sum is divided by the number of classes; several targets are named by their indices, then -1.
    """
    x, y = torch.tensor([[0.5, 2.0, -1.0, 0.25], [1.5, 0.25, 1.0, 0.0]]), torch.tensor([[3, 0], [1, -1]])
    wanted = [
        sum(max(0.0, 1 - row[j] + row[i]) for i in range(4) if i not in right for j in right if j >= 0) / 4
        for row, right in zip(x.tolist(), y.tolist(), strict=True)
    ]
    padded = nn.functional.pad(y, (0, 2), value=-1)

    assert nn.MultiLabelMarginLoss(reduction="none")(x, padded).tolist() == pytest.approx(wanted)


def test_multi_label_margin_refuses_unknown_classes():
    """On the CPU ``MultiLabelMarginLoss`` raises ``RuntimeError`` for a target class beyond those of the
    input.
    """
    loss, x = nn.MultiLabelMarginLoss(), torch.tensor([0.5, 2.0, -1.0], device="cpu")

    assert loss(x, torch.tensor([2, -1, -1], device="cpu")).shape == ()
    wrong = torch.tensor([3, -1, -1], device="cpu")
    for given in ((x, wrong), (x[None], wrong[None])):
        with pytest.raises(RuntimeError, match=r"target.* is out of range"):
            loss(*given)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_eps_of_a_triplet_distance(p):
    """``TripletMarginLoss`` adds ``eps`` to each difference, of which it takes the norm with exponent
    ``p``.
    """
    anchor, positive, negative = torch.tensor([[[1.0, 2.0]], [[1.0, 2.0]], [[0.0, 4.0]]])
    near = torch.tensor([0.5, 0.5]).norm(p)
    far = torch.tensor([1.5, -1.5]).norm(p)

    result = nn.TripletMarginLoss(margin=9.0, p=p, eps=0.5)(anchor, positive, negative)

    assert result.item() == pytest.approx((near - far + 9).item(), abs=1e-5)


def test_ctc_sums_over_all_alignments():
    """``CTCLoss`` is ``-log`` of the summed probability of all alignments that collapse to the target.

    An alignment has one class for each step; repeated ones count once, then blanks are left out.
    """
    logs = torch.randn(4, 3).log_softmax(1).requires_grad_()
    for target in ([1, 2], [1, 1]):
        wanted = torch.zeros(())
        for path in itertools.product(range(3), repeat=4):
            if [label for label, _ in itertools.groupby(path) if label != 0] == target:
                wanted = wanted + logs[range(4), path].sum().exp()

        loss = nn.CTCLoss(reduction="none")(logs, torch.tensor(target), torch.tensor(4), torch.tensor(2))

        assert torch.allclose(loss, -wanted.log(), atol=1e-6)
        (gradient,) = torch.autograd.grad(loss, logs)
        assert gradient.isfinite().all()
        assert gradient.count_nonzero() == 12


def test_binary_cross_entropy_of_probabilities():
    """``BCELoss`` is ``-(y * log(x) + (1 - y) * log(1 - x))``, also for targets between 0 and 1."""
    x, y = torch.tensor([0.25, 0.5, 0.75, 0.9]), torch.tensor([1.0, 0.0, 0.25, 0.5])

    wanted = -(y * x.log() + (1 - y) * (1 - x).log())

    assert torch.allclose(nn.BCELoss(reduction="none")(x, y), wanted)


def test_cosine_embedding_pulls_and_pushes():
    """``CosineEmbeddingLoss`` is ``1 - cos`` for a target of 1, and ``max(0, cos - margin)`` for -1.

    So training makes two vectors more alike for 1, and less alike for -1.
    """
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    b = torch.tensor([[3.0, 4.0], [3.0, 4.0], [-3.0, 4.0]], requires_grad=True)

    loss = nn.CosineEmbeddingLoss(margin=0.25, reduction="none")(a, b, torch.tensor([1.0, -1.0, -1.0]))
    loss.sum().backward()

    assert loss.tolist() == pytest.approx([0.4, 0.35, 0.0], abs=1e-6)
    alone = nn.CosineEmbeddingLoss(margin=0.25)(a[0], b[0], torch.tensor(-1.0))
    assert alone.item() == pytest.approx(0.35, abs=1e-6)
    assert b.grad[0, 0] < 0 < b.grad[1, 0]
    assert b.grad[2].tolist() == [0, 0]
