"""What a loss makes of its values: their mean, their sum, or all of them.

Read *losses* first. Whoever sums or weights losses by hand has to know how many values there are: one for
each
element, or one for each sample.
"""

import inspect

import pytest
import torch
from torch import nn

BY_ELEMENT = [
    nn.L1Loss,
    nn.MSELoss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.PoissonNLLLoss,
    nn.GaussianNLLLoss,
    nn.KLDivLoss,
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.HingeEmbeddingLoss,
    nn.SoftMarginLoss,
]
BY_SAMPLE = [
    nn.NLLLoss,
    nn.CrossEntropyLoss,
    nn.MultiMarginLoss,
    nn.MultiLabelMarginLoss,
    nn.MultiLabelSoftMarginLoss,
    nn.CosineEmbeddingLoss,
    nn.MarginRankingLoss,
    nn.TripletMarginLoss,
    nn.TripletMarginWithDistanceLoss,
]
WITH_OLD_ARGUMENTS = [
    loss for loss in BY_ELEMENT + BY_SAMPLE if "size_average" in inspect.signature(loss).parameters
]


# What an instance of each class is called with: mostly two samples of three elements.
SCORES = torch.tensor([[0.5, -1.0, 0.25], [2.0, 1.5, -0.5]])
SHARES, CLASSES, SIGNS = SCORES.softmax(1), torch.tensor([1, 2]), torch.tensor([1.0, -1.0])
VALUES = dict.fromkeys(BY_ELEMENT + BY_SAMPLE, (SCORES, SHARES)) | {
    nn.GaussianNLLLoss: (SCORES, SHARES, SHARES + 1),
    nn.BCELoss: (SHARES, SCORES.sigmoid()),
    nn.NLLLoss: (SCORES.log_softmax(1), CLASSES),
    nn.CrossEntropyLoss: (SCORES, CLASSES),
    nn.MultiMarginLoss: (SCORES, CLASSES),
    nn.MultiLabelMarginLoss: (SCORES, torch.tensor([[1, -1, 0], [2, 0, -1]])),
    nn.CosineEmbeddingLoss: (SCORES, SHARES, SIGNS),
    nn.MarginRankingLoss: (SCORES[:, 0], SCORES[:, 1], SIGNS),
    nn.TripletMarginLoss: (SCORES, SHARES, SCORES + 0.1),
    nn.TripletMarginWithDistanceLoss: (SCORES, SHARES, SCORES + 0.1),
}


@pytest.mark.parametrize("loss", [*BY_ELEMENT, *BY_SAMPLE, nn.CTCLoss])
def test_every_loss_averages_by_default(loss):
    """``reduction`` of a loss such as ``nn.CTCLoss`` or ``nn.TripletMarginLoss`` is ``"mean"`` by default."""
    assert loss().reduction == "mean"
    assert loss(reduction="sum").reduction == "sum"


@pytest.mark.parametrize("loss", BY_ELEMENT)
def test_some_losses_have_a_value_per_element(loss):
    """With ``reduction="none"``, a loss such as ``nn.BCELoss`` has a value per element, not per sample.

    So its mean divides by the number of elements and not by the batch size: where samples have more elements,
    each counts less. For a mean over samples, sum the values of each sample first.
    """
    values = loss(reduction="none")(*VALUES[loss])

    assert values.shape == (2, 3)
    assert torch.allclose(loss()(*VALUES[loss]), values.sum() / 6)


@pytest.mark.parametrize("loss", BY_SAMPLE)
def test_some_losses_have_a_value_per_sample(loss):
    """With ``reduction="none"``, a loss such as ``nn.CrossEntropyLoss`` of ``(N, C)`` inputs has one value
    per sample.

    ``nn.MSELoss`` and its like have one per element instead. For inputs ``(N, C, d)`` ``nn.CrossEntropyLoss``
    has one for each of the ``(N, d)`` targets.
    """
    values = loss(reduction="none")(*VALUES[loss])

    assert values.shape == (2,)
    assert torch.allclose(loss()(*VALUES[loss]), values.sum() / 2)

    of_positions = nn.CrossEntropyLoss(reduction="none")(torch.rand(2, 3, 5), torch.ones(2, 5).long())
    assert of_positions.shape == (2, 5)


@pytest.mark.parametrize("loss", [nn.NLLLoss, nn.CrossEntropyLoss])
def test_the_mean_counts_every_position(loss):
    """``NLLLoss`` and ``CrossEntropyLoss`` of ``(N, C, d)`` inputs average over all ``N * d`` positions.

    With a ``weight``, the sum over all positions is divided by the sum of their weights.
    """
    weight, log_probs = torch.tensor([1.0, 2.0, 5.0]), torch.randn(2, 3, 5).log_softmax(1)
    classes = torch.tensor([[0, 1, 2, 2, 1], [2, 2, 0, 1, 2]])
    values = -log_probs.gather(1, classes[:, None])[:, 0]

    assert torch.allclose(loss(reduction="sum")(log_probs, classes), values.sum())
    assert torch.allclose(loss()(log_probs, classes), values.sum() / 10)
    weighted = (values * weight[classes]).sum() / weight[classes].sum()
    assert torch.allclose(loss(weight)(log_probs, classes), weighted)
    assert torch.allclose(loss(weight)(log_probs[..., None], classes[..., None]), weighted)


@pytest.mark.parametrize("loss", BY_ELEMENT + BY_SAMPLE)
def test_mean_and_sum_are_those_of_the_values(loss):
    """Without weights or ignored targets, losses except ``CTCLoss`` average or sum what ``"none"`` returns.

    With class indices, weights and ``ignore_index`` change the mean of ``nn.NLLLoss`` and
    ``nn.CrossEntropyLoss``: they divide by the weights of the targets that are not ignored.
    """
    values = loss(reduction="none")(*VALUES[loss])

    assert len(values.unique()) > 1
    assert torch.allclose(loss(reduction="mean")(*VALUES[loss]), values.mean())
    assert torch.allclose(loss(reduction="sum")(*VALUES[loss]), values.sum())

    weight = torch.tensor([1.0, 2.0, 5.0])
    for other in (nn.NLLLoss, nn.CrossEntropyLoss):
        weighted = other(weight, reduction="sum")(*VALUES[other])
        assert torch.allclose(other(weight)(*VALUES[other]), weighted / (2 + 5))
        assert torch.allclose(other(weight, ignore_index=2)(*VALUES[other]), -SCORES.log_softmax(1)[0, 1])


@pytest.mark.parametrize("loss", WITH_OLD_ARGUMENTS)
def test_old_arguments_override_reduction_and_warn(loss):
    """``size_average`` or ``reduce`` of a loss such as ``nn.NLLLoss`` overrides ``reduction``, and warns.

    Write ``reduction="sum"`` or ``reduction="none"``.
    """
    for old, reduction, wanted in (
        ({"size_average": False}, "none", "sum"),
        ({"size_average": True}, "sum", "mean"),
        ({"reduce": False}, "sum", "none"),
        ({"reduce": True}, "sum", "mean"),
    ):
        with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
            assert loss(**old, reduction=reduction).reduction == wanted


@pytest.mark.parametrize("loss", WITH_OLD_ARGUMENTS)
def test_old_arguments_are_none_by_default(loss):
    """``size_average`` and ``reduce`` of losses default to ``None``; ``True`` for one alone sets
    ``reduction="mean"``.

    torch's documentation calls ``True`` the default; given, it means the mean whatever ``reduction`` says.
    ``False`` overrides ``reduction`` as well.
    """
    kept = [loss(reduction=name).reduction for name in ("none", "mean", "sum")]
    assert kept == ["none", "mean", "sum"]
    assert loss(size_average=None, reduce=None, reduction="sum").reduction == "sum"

    with pytest.warns(UserWarning, match="please use reduction='mean' instead"):
        assert loss(size_average=True, reduction="sum").reduction == "mean"
    with pytest.warns(UserWarning, match="please use reduction='mean' instead"):
        assert loss(reduce=True, reduction="sum").reduction == "mean"


@pytest.mark.parametrize("loss", WITH_OLD_ARGUMENTS)
def test_size_average_false_adds_everything_up(loss):
    """``size_average=False`` of a loss such as ``nn.BCELoss`` adds the values of the whole batch up.

    ``reduction="sum"`` does the same.
    """
    values = loss(reduction="none")(*VALUES[loss])
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        summed = loss(size_average=False)(*VALUES[loss])

    assert summed.shape == ()
    assert torch.allclose(summed, values.sum())


@pytest.mark.parametrize("loss", WITH_OLD_ARGUMENTS)
@pytest.mark.parametrize("size_average", [None, True, False])
def test_reduce_false_keeps_all_values(loss, size_average):
    """``reduce=False`` of a loss returns what ``reduction="none"`` does, whatever ``size_average`` is.

    That is a value per element, not per sample, of ``nn.MSELoss`` and its like.
    """
    with pytest.warns(UserWarning, match="please use reduction='none' instead"):
        keeping = loss(size_average=size_average, reduce=False)

    assert torch.equal(keeping(*VALUES[loss]), loss(reduction="none")(*VALUES[loss]))


def test_means_of_unequal_parts_are_not_the_mean():
    """The average of ``nn.CrossEntropyLoss`` over parts of unequal size is not its mean over the whole batch.

    Parts with unequal numbers of targets not ignored are such parts, even if they have equally many rows.
    When gradients are accumulated, sum with ``reduction="sum"`` and divide by the number of all targets.
    """
    x, target = torch.randn(6, 3), torch.tensor([0, 1, 2, -100, -100, 0])
    mean, total = nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum")
    parts = [slice(0, 3), slice(3, 6)]

    averaged = sum(mean(x[part], target[part]) for part in parts) / 2
    summed = sum(total(x[part], target[part]) for part in parts) / (target != -100).sum()

    torch.testing.assert_close(summed, mean(x, target))
    assert not torch.allclose(averaged, mean(x, target), atol=1e-3)


def test_the_mean_of_kl_is_over_elements():
    """By default ``KLDivLoss`` divides by the number of elements, not of distributions, with a warning.

    That is ``C`` times less than the divergence, of ``C`` classes: ``reduction="batchmean"`` divides by the
    size of the first dimension. Of losses with ``reduction="none"`` it is ``sum(1).mean()``, where
    ``mean(1)`` gives the smaller one.
    """
    model, shares = SCORES.log_softmax(1), torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    divergences = (shares * (shares.log() - model)).sum(1)

    with pytest.warns(
        UserWarning, match="reduction: 'mean' divides the total loss by both the batch size and"
    ):
        mean = nn.KLDivLoss()(model, shares)
    by_element = nn.KLDivLoss(reduction="none")(model, shares)

    assert torch.allclose(nn.KLDivLoss(reduction="batchmean")(model, shares), divergences.mean())
    assert torch.allclose(mean, divergences.mean() / 3)
    assert torch.allclose(by_element.sum(1), divergences)
    assert torch.allclose(by_element.mean(1), divergences / 3)
