"""Losses and values outside of what they are meant for.

Some losses look at every value and refuse what does not fit; others compute whatever comes out, ``nan``, or a
number that is no error at all. Which does what is not told by the shapes.
"""

import math

import pytest
import torch
from torch import nn


@pytest.mark.since("2.1")
def test_bce_looks_at_every_value():
    """``BCELoss`` raises ``RuntimeError`` for an input or a target that is not between 0 and 1.

    On the CPU. An input above 1 or below 0 mostly means that a sigmoid was forgotten: take
    :class:`~torch.nn.BCEWithLogitsLoss`, which looks at neither.
    """
    fits, over, under = torch.tensor([[0.25, 0.5], [0.25, 1.5], [0.25, -0.5]])

    for reduction in ("mean", "sum", "none"):
        loss = nn.BCELoss(reduction=reduction)
        for wrong in (over, under):
            with pytest.raises(RuntimeError, match="all elements of input should be between 0 and 1"):
                loss(wrong, fits)
            with pytest.raises(RuntimeError, match="all elements of target should be between 0 and 1"):
                loss(fits, wrong)


def test_logits_are_not_looked_at():
    """``BCEWithLogitsLoss`` and ``CrossEntropyLoss`` accept targets below 0 and above 1.

    The loss may become negative and has no lower bound: training then goes on without end. See
    :class:`~torch.nn.BCEWithLogitsLoss`.
    """
    logits = torch.tensor([[3.0, -2.0]])

    for loss in (nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss()):
        near = loss(logits, torch.tensor([[2.0, -1.0]]))
        far = loss(logits * 100, torch.tensor([[2.0, -1.0]]))
        assert far < near < 0


def test_a_negative_rate_is_nan():
    """``PoissonNLLLoss(log_input=False)`` is NaN for a negative rate, without an error.

    One such value makes the mean and the gradients NaN. Feed rates from ``softplus`` or ``exp``, or take
    ``log_input=True``, the default, for which any input will do (:issue:`184030`). See
    :class:`~torch.nn.PoissonNLLLoss`.
    """
    rate = torch.tensor([-1.0, 0.5], requires_grad=True)
    target = torch.tensor([2.0, 3.0])

    each = nn.PoissonNLLLoss(log_input=False, reduction="none")(rate, target)
    mean = nn.PoissonNLLLoss(log_input=False)(rate, target)

    assert each.isnan().tolist() == [True, False]
    assert mean.isnan()
    assert nn.PoissonNLLLoss()(rate, target).isfinite()


def test_a_negative_variance_is_refused():
    """``GaussianNLLLoss`` raises ``ValueError`` for a negative ``var``; a ``var`` of 0 becomes ``eps``.

    A variance that a layer puts out needs ``softplus`` or ``exp``. See :class:`~torch.nn.GaussianNLLLoss`.
    """
    mean, target = torch.tensor([2.0, 1.0]), torch.tensor([4.0, 3.0])
    zero, at_eps = torch.tensor([[2.0, 0.0], [2.0, 0.5]])

    for reduction in ("mean", "sum", "none"):
        loss = nn.GaussianNLLLoss(eps=0.5, reduction=reduction)
        with pytest.raises(ValueError, match="var has negative entry/entries"):
            loss(mean, target, torch.tensor([2.0, -0.1]))
        assert torch.equal(loss(mean, target, zero), loss(mean, target, at_eps))


def test_a_negative_target_of_kl_is_nan():
    """``KLDivLoss`` is NaN where the target is negative; a target of 0 adds nothing.

    Targets given as logs need ``log_target=True``, which takes any. See :class:`~torch.nn.KLDivLoss`.
    """
    logs = torch.tensor([-1.0, -2.0, -3.0])
    target = torch.tensor([-0.5, 0.0, 0.5])

    assert nn.KLDivLoss(reduction="none")(logs, target).isnan().tolist() == [True, False, False]
    assert nn.KLDivLoss(reduction="none")(logs, target)[1].item() == 0.0
    assert [nn.KLDivLoss(reduction=how)(logs, target).isnan().item() for how in ("sum", "mean")] == [True] * 2
    assert nn.KLDivLoss(reduction="none", log_target=True)(logs, target).isfinite().all()


def test_nll_takes_any_number_for_a_log():
    """``NLLLoss`` takes the input as it is: probabilities or logits give a loss, without an error.

    It is the negative mean of the entries that the targets point at, so with probabilities it is between -1
    and 0. It needs ``log_softmax`` before it; :class:`~torch.nn.CrossEntropyLoss` has it inside. See
    :class:`~torch.nn.NLLLoss`.
    """
    probabilities, classes = torch.tensor([[0.25, 0.75], [0.5, 0.5]]), torch.tensor([1, 0])

    assert nn.NLLLoss()(probabilities, classes).item() == -0.625
    assert nn.NLLLoss(reduction="sum")(probabilities, classes).item() == -1.25
    assert nn.NLLLoss(reduction="none")(probabilities, classes).tolist() == [-0.75, -0.5]
    assert nn.NLLLoss()(probabilities * 100, classes).item() == -62.5
    logs = probabilities.log()
    torch.testing.assert_close(nn.NLLLoss()(logs, classes), nn.CrossEntropyLoss()(logs, classes))


def test_an_infinite_logit_is_nan_where_it_is_right():
    """``BCEWithLogitsLoss`` is NaN for an infinite logit that agrees with the target; ``BCELoss`` is 0 there.

    ``BCELoss`` of its sigmoid is 0 or 100. Clamp logits that were masked with ``-inf``
    (:issue:`102894`), or leave them out.
    """
    logits = torch.tensor([math.inf, -math.inf, math.inf, -math.inf])
    target = torch.tensor([1.0, 0.0, 0.0, 1.0])

    with_logits = nn.BCEWithLogitsLoss(reduction="none")(logits, target)
    plain = nn.BCELoss(reduction="none")(logits.sigmoid(), target)

    assert with_logits[:2].isnan().tolist() == [True, True]
    assert plain.tolist() == [0.0, 0.0, 100.0, 100.0]
    large = torch.tensor([1e9, -1e9, 1e9, -1e9])
    assert nn.BCEWithLogitsLoss(reduction="none")(large, target).tolist() == [0.0, 0.0, 1e9, 1e9]


def test_a_class_may_be_ruled_out():
    """``CrossEntropyLoss`` accepts a logit of ``-inf`` for a class; if that is the target, the loss is
    ``inf``.

    The class gets probability 0 and gradient 0. With probabilities as targets 0 times ``-inf`` is NaN, with
    ``label_smoothing`` the loss is ``inf``: take a large negative number there. A row of ``-inf`` alone is
    NaN.
    """
    logits = torch.tensor([[2.0, 1.0, -math.inf]], requires_grad=True)
    loss, without = nn.CrossEntropyLoss(), nn.CrossEntropyLoss()(logits[:, :2], torch.tensor([1]))

    loss(logits, torch.tensor([1])).backward()

    assert loss(logits, torch.tensor([1])).item() == pytest.approx(without.item())
    assert logits.grad[0, 2].item() == 0.0
    for other in (loss, nn.CrossEntropyLoss(reduction="none"), nn.CrossEntropyLoss(reduction="sum")):
        assert other(logits, torch.tensor([2])).item() == math.inf
        assert other(logits.T[None], torch.tensor([[2]])).item() == math.inf
    assert loss(logits, torch.tensor([[0.0, 1.0, 0.0]])).isnan()
    assert nn.CrossEntropyLoss(label_smoothing=0.1)(logits, torch.tensor([1])).item() == math.inf
    assert loss(torch.full((1, 2), -math.inf), torch.tensor([0])).isnan()


def test_a_negative_divergence():
    """``KLDivLoss`` can be negative: if its input is not log-probabilities, or its target sums to less than
    1.

    Otherwise it is below 0 by rounding only. Give it :func:`~torch.nn.functional.log_softmax`, not
    ``softmax``, or training goes astray (:issue:`60928`).
    """
    p, q = torch.tensor([[0.25, 0.75]]), torch.tensor([[0.5, 0.5]])

    for reduction in ("sum", "batchmean"):
        divergence = nn.KLDivLoss(reduction=reduction)

        assert divergence(p.log(), p).item() == pytest.approx(0.0, abs=1e-6)
        assert divergence(q.log(), p).item() > 0.0
        assert divergence(p, p).item() == pytest.approx(-(p * (p - p.log())).sum().item())
        assert divergence(q, p).item() < -1.0
        assert divergence(p.log(), p / 10).item() == pytest.approx(0.1 * math.log(0.1))


def test_a_sigmoid_before_logits_keeps_the_loss_up():
    """``BCEWithLogitsLoss`` of what a sigmoid returns does not fall below 0.313, however right it is.

    It applies the sigmoid itself: a probability of 1 is taken for a logit of 1, and 0 for a logit of 0, which
    is a loss of 0.693. Take the sigmoid out of the network, or :class:`~torch.nn.BCELoss`.
    """
    logits, target = torch.tensor([100.0, -100.0]), torch.tensor([1.0, 0.0])
    twice = nn.BCEWithLogitsLoss(reduction="none")(logits.sigmoid(), target)

    torch.testing.assert_close(twice, torch.tensor([math.log1p(math.exp(-1)), math.log(2)]))
    assert nn.BCEWithLogitsLoss()(logits, target).item() == pytest.approx(0.0, abs=1e-6)
    assert nn.BCELoss()(logits.sigmoid(), target).item() == pytest.approx(0.0, abs=1e-6)
