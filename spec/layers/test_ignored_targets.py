"""Losses: targets that do not count.

Padding, unlabeled pixels and prompts are left out of :class:`~torch.nn.CrossEntropyLoss` by ``ignore_index``.
What is left out is a sample or a position; its class stays.
"""

import pytest
import torch
from torch import nn

SCORES = [[1.0, 2.0, 4.0], [0.5, 0.25, 3.0]]


def test_nothing_is_left():
    """``CrossEntropyLoss`` whose targets are all ignored is NaN, with gradients of 0; its sum is 0.

    The loss to be shown is spoilt, the weights are not: take ``reduction="sum"`` and divide by
    ``count.clamp(min=1)``. A sum of losses of which one is NaN is NaN.
    """
    scores, ignored = torch.tensor(SCORES, requires_grad=True), torch.tensor([-100, -100])

    loss = nn.CrossEntropyLoss()(scores, ignored)
    loss.backward()

    assert loss.isnan()
    assert scores.grad.tolist() == [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert nn.CrossEntropyLoss(reduction="sum")(scores, ignored).item() == 0.0
    assert nn.CrossEntropyLoss(label_smoothing=0.25)(scores, ignored).isnan()
    assert nn.CrossEntropyLoss()(scores.T[None], ignored[None]).isnan()
    assert nn.CrossEntropyLoss(reduction="sum")(scores.T[None], ignored[None]).item() == 0.0


@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, nn.MSELoss, nn.BCEWithLogitsLoss])
def test_an_empty_batch(make):
    """The mean of ``CrossEntropyLoss``, ``MSELoss`` or ``BCEWithLogitsLoss`` over an empty batch is NaN, the
    sum 0.

    A mask that selects nothing makes such a batch: ``loss(prediction[mask], target[mask])``.
    """
    scores = torch.tensor(SCORES, requires_grad=True)
    target = torch.tensor([0, 1]) if make is nn.CrossEntropyLoss else torch.tensor(SCORES)
    nothing = torch.tensor([False, False])

    assert make()(scores[nothing], target[nothing]).isnan()
    assert make(reduction="sum")(scores[nothing], target[nothing]).item() == 0.0


def test_an_ignored_class_is_still_a_class():
    """``CrossEntropyLoss(ignore_index=1)`` ignores samples of class 1, but keeps it in the softmax of others.

    So class 1 is still pushed down by them. To take a class out, leave its column out of the scores, or make
    it ``-inf``.
    """
    scores = torch.tensor(SCORES, requires_grad=True)

    loss = nn.CrossEntropyLoss(ignore_index=1)(scores, torch.tensor([1, 2]))
    loss.backward()

    probabilities = torch.tensor(SCORES[1]).softmax(0)
    torch.testing.assert_close(loss, -probabilities[2].log())
    assert scores.grad[0].tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(scores.grad[1], probabilities - torch.tensor([0.0, 0.0, 1.0]))


def test_a_class_of_weight_zero():
    """By default ``CrossEntropyLoss`` with a class weight of 0 has the same mean as with ``ignore_index`` of
    it.

    With ``label_smoothing`` it has not: what the others get of that class is weighted by 0 too.
    """
    scores, target = torch.tensor([*SCORES, [3.0, 1.0, 2.0]]), torch.tensor([1, 2, 0])

    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.0, 1.0]))
    weighted = loss(scores, target)

    torch.testing.assert_close(weighted, nn.CrossEntropyLoss(ignore_index=1)(scores, target))
    torch.testing.assert_close(loss(scores.T[None], target[None]), weighted)
    loss.label_smoothing = 0.25
    ignoring = nn.CrossEntropyLoss(ignore_index=1, label_smoothing=0.25)
    assert not torch.allclose(loss(scores, target), ignoring(scores, target))
    torch.testing.assert_close(weighted, nn.CrossEntropyLoss()(scores[1:], target[1:]))
    assert nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.0, 1.0]))(scores[:1], target[:1]).isnan()


def test_the_weight_of_an_ignored_class_does_not_count():
    """``CrossEntropyLoss`` with ``weight`` and ``ignore_index`` divides by the weights of the targets that
    are left.
    """
    scores, target = torch.tensor([*SCORES, [3.0, 1.0, 2.0]]), torch.tensor([1, 2, 0])

    loss = nn.CrossEntropyLoss(weight=torch.tensor([4.0, 8.0, 1.0]), ignore_index=1)

    each = -scores.log_softmax(1)
    for given in ((scores, target), (scores.T[None], target[None])):
        torch.testing.assert_close(loss(*given), (1.0 * each[1, 2] + 4.0 * each[2, 0]) / 5.0)


def test_a_row_without_probabilities_counts():
    """A target row of zeros as class probabilities costs 0, but counts in the mean of ``CrossEntropyLoss``.

    Probabilities know no ignored sample: average what ``reduction="none"`` returns over the rows that count.
    """
    scores, target = torch.tensor(SCORES), torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.25, 0.75]])

    each = nn.CrossEntropyLoss(reduction="none")(scores, target)

    assert each[0].item() == 0.0
    torch.testing.assert_close(nn.CrossEntropyLoss()(scores, target), each[1] / 2)


@pytest.mark.parametrize("make", [nn.MSELoss, nn.L1Loss, nn.BCEWithLogitsLoss])
def test_masked_elements_still_divide(make):
    """The mean of ``nn.MSELoss`` or ``L1Loss`` of masked tensors, ``x * mask``, divides by the masked
    elements too.

    Take ``reduction="none"``, multiply, and divide by ``mask.sum()``. A masked element is not free of loss
    either where ``loss(0, 0)`` is not 0, as in ``BCEWithLogitsLoss``.
    """
    x, target, mask = (
        torch.tensor([3.0, 1.0, 8.0, 5.0]),
        torch.tensor([1.0, 0.5, 0.0, 1.0]),
        torch.tensor([1.0, 1, 0, 0]),
    )

    kept = make(reduction="none")(x, target) * mask
    at_zero = make()(torch.zeros(1), torch.zeros(1))

    torch.testing.assert_close(make()(x * mask, target * mask), (kept.sum() + 2 * at_zero) / 4)
    torch.testing.assert_close(kept.sum() / mask.sum(), make()(x[:2], target[:2]))
