"""Margins, thresholds and variances: what losses of numbers, distributions and pairs are told.

The defaults of these arguments, the values that are refused, and when: some by the constructor, some only by
the
call. *losses* and *loss_reductions* come first.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.parametrize(
    ("loss", "margin", "given", "value"),
    [
        (nn.HingeEmbeddingLoss, 1.0, torch.tensor([[0.25], [-1.0]]), 0.75),
        (nn.MultiMarginLoss, 1.0, (torch.zeros(2), torch.tensor(0)), 0.5),
        (nn.TripletMarginLoss, 1.0, torch.ones(3, 1, 2), 1.0),
        (nn.TripletMarginWithDistanceLoss, 1.0, torch.ones(3, 1, 2), 1.0),
        (nn.CosineEmbeddingLoss, 0.0, (torch.ones(1, 2), torch.ones(1, 2), torch.tensor([-1.0])), 1.0),
        (nn.MarginRankingLoss, 0.0, torch.ones(3, 1), 0.0),
    ],
)
def test_margins_are_one_or_zero(loss, margin, given, value):
    """``margin`` of losses is 1 by default, but 0 in ``CosineEmbeddingLoss`` and ``MarginRankingLoss``."""
    assert loss().margin == margin
    assert loss()(*given).item() == pytest.approx(value)
    assert loss(margin=0.25).margin == 0.25


def test_eps_is_small():
    """``eps`` is 1e-6 by default in ``GaussianNLLLoss`` and ``TripletMarginLoss``, 1e-8 in
    ``PoissonNLLLoss``.
    """
    zero, one = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    losses = nn.PoissonNLLLoss(log_input=False), nn.GaussianNLLLoss(), nn.TripletMarginLoss()
    values = losses[0](zero, one), losses[1](zero, zero, zero), losses[2](zero, zero, one / 2)

    assert [loss.eps for loss in losses] == [1e-8, 1e-6, 1e-6]
    wanted = [-math.log(1e-8), 0.5 * math.log(1e-6), 0.5 + 2e-6]
    assert [value.item() for value in values] == pytest.approx(wanted, rel=1e-9)


def test_p_is_one_or_two():
    """``p`` is 1 by default in ``MultiMarginLoss``, and 2, the Euclidean distance, in
    ``TripletMarginLoss``.
    """
    anchor, positive = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])

    assert [nn.MultiMarginLoss().p, nn.TripletMarginLoss().p] == [1, 2]
    assert nn.MultiMarginLoss()(torch.tensor([0.5, -1.0, 0.25]), torch.tensor(1)).item() == pytest.approx(
        4.75 / 3
    )
    assert nn.TripletMarginLoss()(anchor, positive, anchor).item() == pytest.approx(5 + 1, abs=1e-4)


@pytest.mark.parametrize("loss", [nn.TripletMarginLoss, nn.TripletMarginWithDistanceLoss])
def test_swap_is_off(loss):
    """Triplet losses such as ``nn.TripletMarginLoss`` do not ``swap`` anchor and positive by default.

    With ``swap=True`` they do where the positive is closer to the negative than the anchor is.
    """
    anchor, positive, negative = torch.tensor([[[0.0, 0.0]], [[3.0, 0.0]], [[3.5, 0.0]]])

    assert loss()(anchor, positive, negative).item() == pytest.approx(3 - 3.5 + 1, abs=1e-4)
    assert loss(swap=True)(anchor, positive, negative).item() == pytest.approx(3 - 0.5 + 1, abs=1e-4)
    assert loss(swap=True)(anchor, positive, -negative).item() == pytest.approx(3 - 3.5 + 1, abs=1e-4)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_beta_and_delta_are_one(reduction):
    """``beta`` of ``SmoothL1Loss`` and ``delta`` of ``HuberLoss`` are 1.0 by default: the losses are then
    equal.
    """
    given = torch.tensor([0.5, 3.0, -4.0]), torch.tensor([0.25, 1.0, 0.0])
    smooth, huber = nn.SmoothL1Loss(reduction=reduction), nn.HuberLoss(reduction=reduction)

    assert (smooth.beta, huber.delta) == (1.0, 1.0)
    assert torch.equal(smooth(*given), huber(*given))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_beta_and_delta_are_checked_at_the_call(reduction):
    """``SmoothL1Loss(beta=-1.0)`` and ``HuberLoss(delta=0.0)`` can be built, and raise ``RuntimeError`` if
    called.

    A ``beta`` of 0 is allowed, and gives ``L1Loss``.
    """
    given = torch.tensor([0.5, 3.0]), torch.tensor([0.25, 1.0])
    negative, zero = (nn.SmoothL1Loss(reduction=reduction, beta=beta) for beta in (-1.0, 0.0))
    huber = nn.HuberLoss(reduction=reduction, delta=0.0)

    with pytest.raises(RuntimeError, match="does not support negative values for beta"):
        negative(*given)
    with pytest.raises(RuntimeError, match="does not support non-positive values for delta"):
        huber(*given)

    assert torch.equal(zero(*given), nn.L1Loss(reduction=reduction)(*given))


def test_smooth_l1_lies_below_l1():
    """For errors from ``beta`` on, ``nn.SmoothL1Loss`` is ``L1Loss`` less ``beta / 2``, not ``L1Loss``
    itself.

    Only the slopes are the same. Compare values of losses with different ``beta`` with care.
    """
    error, zero = torch.tensor([2.0, -5.0]), torch.zeros(2)

    smooth = nn.SmoothL1Loss(reduction="none", beta=2.0)(error, zero)

    assert nn.L1Loss(reduction="none")(error, zero).tolist() == [2.0, 5.0]
    assert smooth.tolist() == [1.0, 4.0]


def test_huber_becomes_half_of_mse():
    """With a large ``delta``, ``HuberLoss`` is half of ``MSELoss``: it has a factor of 0.5, MSE has not."""
    error, zero = torch.tensor([3.0, -4.0]), torch.zeros(2)

    assert nn.HuberLoss(reduction="none", delta=1e6)(error, zero).tolist() == [4.5, 8.0]
    assert nn.MSELoss(reduction="none")(error, zero).tolist() == [9.0, 16.0]


def test_l1_of_complex_numbers():
    """``nn.L1Loss`` of complex tensors is the mean of the absolute differences, a real number.

    ``nn.MSELoss`` takes no complex tensors.
    """
    prediction, target = torch.tensor([3 + 4j, 2 + 1j]), torch.tensor([0j, 2 + 4j])

    loss = nn.L1Loss()(prediction, target)

    assert loss.dtype == torch.float32
    assert loss.item() == 4.0
    with pytest.raises(RuntimeError, match=r"not implemented for|not supported"):
        nn.MSELoss()(prediction, target)


def test_kl_targets_are_probabilities():
    """``log_target`` of ``nn.KLDivLoss`` is ``False`` by default: the target holds probabilities, the input
    logs.
    """
    log_q, p = torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[0.5, 0.5]])
    each = p * (p.log() - log_q)

    assert nn.KLDivLoss().log_target is False
    for reduction, wanted in (("none", each), ("sum", each.sum()), ("batchmean", each.sum())):
        assert torch.allclose(nn.KLDivLoss(reduction=reduction)(log_q, p), wanted)
        assert torch.allclose(nn.KLDivLoss(reduction=reduction, log_target=True)(log_q, p.log()), wanted)


def test_batchmean_takes_the_first_dimension_for_the_batch():
    """``KLDivLoss(reduction="batchmean")`` of one distribution of shape ``(C,)`` divides by ``C``, not by 1.

    It divides by the size of the first dimension whatever that is: give one distribution the shape ``(1,
    C)``.
    """
    log_q, p = torch.tensor([0.25, 0.5, 0.25]).log(), torch.tensor([0.5, 0.125, 0.375])
    divergence = (p * (p.log() - log_q)).sum()
    loss = nn.KLDivLoss(reduction="batchmean")

    assert torch.allclose(loss(log_q, p), divergence / 3)
    assert torch.allclose(loss(log_q[None], p[None]), divergence)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_gaussian_nll_leaves_the_constant_out(reduction):
    """``full`` of ``GaussianNLLLoss`` is ``False`` by default: the constant ``0.5 * log(2 * pi)`` is left
    out.
    """
    mean, target, var = torch.tensor([0.5, 1.0]), torch.tensor([1.5, 3.0]), torch.tensor([2.0, 4.0])
    loss, full = (nn.GaussianNLLLoss(**options, reduction=reduction) for options in ({}, {"full": True}))

    expected = 0.5 * (var.log() + (mean - target) ** 2 / var)
    expected = expected.mean() if reduction == "mean" else expected

    assert loss.full is False
    assert torch.allclose(loss(mean, target, var), expected)
    assert torch.allclose(full(mean, target, var), expected + 0.5 * math.log(2 * math.pi))


def test_poisson_nll_leaves_stirling_out():
    """``PoissonNLLLoss(full=True)`` adds Stirling's approximation of ``log(target!)`` for targets above 1.

    Left out, as by default, it changes the values of the loss, and no gradient of the input.
    """
    log_rate, target = torch.tensor([0.5, 1.0, 2.0, -1.0]), torch.tensor([2.0, 5.0, 1.0, 0.5])

    short = nn.PoissonNLLLoss(reduction="none")(log_rate, target)
    full = nn.PoissonNLLLoss(full=True, reduction="none")(log_rate, target)

    counts = target[:2]
    stirling = counts * counts.log() - counts + 0.5 * (2 * math.pi * counts).log()
    assert torch.allclose(short, log_rate.exp() - target * log_rate)
    assert torch.allclose(full[:2], short[:2] + stirling)
    assert torch.equal(full[2:], short[2:])
    rates = [
        nn.PoissonNLLLoss(False, kind, reduction="none")(log_rate.exp(), target) for kind in (True, False)
    ]
    assert torch.allclose(rates[0] - rates[1], full - short, atol=1e-5)


def test_poisson_nll_adds_eps_to_rates():
    """``PoissonNLLLoss(log_input=False)`` takes ``log(input + eps)``, so that a rate of 0 has a finite loss.

    With ``log_input=True``, the default, ``eps`` is not used.
    """
    rate, target = torch.tensor([0.0, 3.0]), torch.tensor([2.0, 1.0])
    loss = nn.PoissonNLLLoss(log_input=False, eps=0.5, reduction="none")
    bare = nn.PoissonNLLLoss(log_input=False, eps=0.0, reduction="none")

    assert torch.allclose(loss(rate, target), rate - target * (rate + 0.5).log())
    assert nn.PoissonNLLLoss(log_input=False)(rate, target).isfinite()
    assert bare(rate, target).isinf().tolist() == [True, False]
    assert torch.equal(nn.PoissonNLLLoss(eps=0.5)(rate, target), nn.PoissonNLLLoss()(rate, target))


def test_gaussian_nll_clamps_gradients_as_well():
    """Where ``var`` is below ``eps``, gradients of ``GaussianNLLLoss`` are those at ``eps``, not at ``var``.

    The clamped variance still gets a gradient, as if it were ``eps``: it can recover.
    """
    loss = nn.GaussianNLLLoss(eps=0.5)
    small, at_eps = torch.tensor([0.25], requires_grad=True), torch.tensor([0.5], requires_grad=True)
    mean, other = torch.tensor([1.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)

    loss(mean, torch.tensor([0.0]), small).backward()
    loss(other, torch.tensor([0.0]), at_eps).backward()

    assert mean.grad.item() == other.grad.item() == 2.0
    assert small.grad.item() == at_eps.grad.item() == -1.0


@pytest.mark.since("2.6")
def test_gaussian_nll_takes_a_float():
    """``GaussianNLLLoss`` takes ``var`` as a float, and raises ``TypeError`` for an int."""
    mean, target = torch.tensor([0.5, 1.0]), torch.tensor([1.5, 3.0])
    loss = nn.GaussianNLLLoss()

    assert torch.equal(loss(mean, target, 4.0), loss(mean, target, torch.tensor([4.0, 4.0])))
    with pytest.raises(TypeError, match="received an invalid combination of arguments"):
        loss(mean, target, 4)


@pytest.mark.before("2.6")
def test_gaussian_nll_took_tensors_only():
    """``GaussianNLLLoss`` raises ``AttributeError`` for a ``var`` that is a float."""
    with pytest.raises(AttributeError, match="'float' object has no attribute 'size'"):
        nn.GaussianNLLLoss()(torch.tensor([0.5, 1.0]), torch.tensor([1.5, 3.0]), 4.0)


@pytest.mark.since("2.10")
def test_gaussian_nll_broadcasts_one_dimension():
    """``var`` of ``GaussianNLLLoss`` may have size 1 in any one dimension, not only in the last.

    Or lack the last one. Two dimensions of size 1, and a scalar tensor, raise: expand such a variance first.
    """
    mean, target = torch.tensor([[0.5, 1.0, 2.0], [0.0, 1.0, 3.0]]), torch.zeros(2, 3)
    loss, var = nn.GaussianNLLLoss(), torch.tensor([[1.0, 2.0, 4.0]])

    assert torch.equal(loss(mean, target, var), loss(mean, target, var.expand(2, 3)))
    assert torch.equal(loss(mean, target, var[:, :2].T), loss(mean, target, var[0, :2]))
    cubes = mean.reshape(1, 2, 3).expand(4, 2, 3), torch.zeros(4, 2, 3)
    for spread in (torch.rand(1, 2, 3), torch.rand(4, 1, 3), torch.rand(4, 2, 1)):
        assert torch.equal(loss(*cubes, spread), loss(*cubes, spread.expand(4, 2, 3)))
    for wrong in (torch.tensor([[2.0]]), torch.tensor(2.0)):
        with pytest.raises(ValueError, match="var is of incorrect size"):
            loss(mean, target, wrong)


@pytest.mark.before("2.10")
def test_gaussian_nll_broadcast_the_last_dimension():
    """``GaussianNLLLoss`` raises ``ValueError`` for a ``var`` of size 1 in another dimension than the
    last.
    """
    mean, target = torch.tensor([[0.5, 1.0, 2.0], [0.0, 1.0, 3.0]]), torch.zeros(2, 3)

    with pytest.raises(ValueError, match="var is of incorrect size"):
        nn.GaussianNLLLoss()(mean, target, torch.tensor([[1.0, 2.0, 4.0]]))


@pytest.mark.since("2.4")
@pytest.mark.parametrize("loss", [nn.TripletMarginLoss, nn.TripletMarginWithDistanceLoss])
@pytest.mark.parametrize("margin", [0, -1.0])
def test_triplet_margins_are_positive(loss, margin):
    """Triplet losses such as ``TripletMarginLoss`` raise ``ValueError`` for a ``margin`` of 0 or less."""
    with pytest.raises(
        ValueError, match=f"{loss.__name__}: expected margin to be greater than 0, got {margin}"
    ):
        loss(margin=margin)

    assert loss(margin=0.001).margin == 0.001


@pytest.mark.before("2.4")
def test_triplet_margins_were_any_number():
    """Triplet losses such as ``TripletMarginLoss`` accept a ``margin`` of 0 or less."""
    anchor, positive, negative = torch.tensor([[0.0]]), torch.tensor([[5.0]]), torch.tensor([[3.0]])

    assert nn.TripletMarginLoss(margin=0)(anchor, positive, negative).item() == pytest.approx(2.0)
    assert nn.TripletMarginWithDistanceLoss(margin=-1)(anchor, positive, negative).item() == pytest.approx(
        1.0
    )


def test_a_ranking_has_the_larger_first_for_one():
    """``MarginRankingLoss`` is 0 where the first input is larger for a target of 1, or smaller for one of -1.

    Larger or smaller by ``margin`` at least; a wrong order costs the difference and the margin.
    """
    first, second = torch.tensor([3.0, 1.0, 3.0, 1.0]), torch.tensor([1.0, 4.0, 1.0, 4.0])
    target = torch.tensor([1, 1, -1, -1])

    assert nn.MarginRankingLoss(reduction="none")(first, second, target).tolist() == [0.0, 3.0, 2.0, 0.0]
    assert nn.MarginRankingLoss(margin=2.5, reduction="none")(first, second, target).tolist() == [
        0.5,
        5.5,
        4.5,
        0.0,
    ]


@pytest.mark.parametrize("loss", [nn.TripletMarginLoss, nn.TripletMarginWithDistanceLoss])
def test_a_triplet_margin_keeps_negatives_away(loss):
    """``TripletMarginLoss`` is 0 if the negative is farther from the anchor than the positive by ``margin``.

    So is ``TripletMarginWithDistanceLoss``. A negative that is nearer costs what it lacks.
    """
    anchor, positive, negative = torch.zeros(3, 1), torch.full((3, 1), 2.0), torch.tensor([[3.0], [4], [6]])

    for margin, values in (2.0, [1.0, 0.0, 0.0]), (5.0, [4.0, 3.0, 1.0]):
        result = loss(margin=margin, reduction="none")(anchor, positive, negative)
        assert result.tolist() == pytest.approx(values, abs=1e-5)


@pytest.mark.parametrize(("p", "distances"), [(1, (7.0, 17.0)), (2, (5.0, 13.0)), (3, (4.498, 12.283))])
def test_triplet_distances_are_norms(p, distances):
    """``p`` of ``TripletMarginLoss`` is the norm of its distances: 1 sums differences, 2 is Euclidean."""
    anchor, positive, negative = torch.tensor([[0.0, 0.0], [3.0, -4.0], [5.0, -12.0]])[:, None]

    result = nn.TripletMarginLoss(margin=20.0, p=p)(anchor, positive, negative)

    assert result.item() == pytest.approx(distances[0] - distances[1] + 20, abs=1e-3)


@pytest.mark.parametrize(("shape", "left"), [((4,), ()), ((3, 4), (3,)), ((2, 3, 4), (2, 3))])
def test_triplets_have_any_number_of_dimensions(shape, left):
    """``TripletMarginLoss`` takes vectors and tensors of any number of dimensions, not only ``(N, D)``.

    The last dimension is that of the vectors; a value is left for each of the others.
    """
    anchor, positive, negative = torch.randn(3, *shape)

    values = nn.TripletMarginLoss(reduction="none")(anchor, positive, negative)

    difference = F.pairwise_distance(anchor, positive) - F.pairwise_distance(anchor, negative)
    assert values.shape == left
    assert torch.allclose(values, (difference + 1).clamp(min=0))


def test_triplet_distance_by_default():
    """Without ``distance_function``, ``TripletMarginWithDistanceLoss`` holds an ``nn.PairwiseDistance``.

    So it computes what ``TripletMarginLoss`` does. A module given in its place becomes a submodule as well.
    """
    anchor, positive, negative = torch.randn(3, 2, 4)

    for swap in (False, True):
        loss, plain = nn.TripletMarginWithDistanceLoss(swap=swap), nn.TripletMarginLoss(swap=swap)
        assert [(name, type(module)) for name, module in loss.named_children()] == [
            ("distance_function", nn.PairwiseDistance)
        ]
        assert torch.allclose(loss(anchor, positive, negative), plain(anchor, positive, negative))

    given = nn.PairwiseDistance(p=1)
    assert list(nn.TripletMarginWithDistanceLoss(distance_function=given).children()) == [given]


def test_triplet_distances_keep_their_shape():
    """Unreduced, ``TripletMarginWithDistanceLoss`` has the shape that its distance function returns.

    That is ``(N,)`` only if the function sums over the last dimension.
    """
    anchor, positive, negative = torch.randn(3, 2, 4)

    def by_element(a, b):
        return (a - b).abs()

    def by_row(a, b):
        return (a - b).norm(dim=-1, keepdim=True)

    by_element_loss = nn.TripletMarginWithDistanceLoss(distance_function=by_element, reduction="none")
    by_row_loss = nn.TripletMarginWithDistanceLoss(distance_function=by_row, reduction="none")
    default = nn.TripletMarginWithDistanceLoss(reduction="none")

    assert by_element_loss(anchor, positive, negative).shape == (2, 4)
    assert by_row_loss(anchor, positive, negative).shape == (2, 1)
    assert default(anchor, positive, negative).shape == (2,)
