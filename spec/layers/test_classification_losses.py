"""Losses of classes: what they take as a target and as weights.

Read *losses* and *loss_reductions* first. Classes come as indices, as probabilities, or as a zero or one for
each class; a wrong kind mostly raises, but a weight or a target that broadcasts does not.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

SCORES = [[0.5, -1.0, 0.25], [2.0, 1.5, -0.5]]


@pytest.mark.parametrize("loss", [nn.NLLLoss, nn.CrossEntropyLoss])
@pytest.mark.parametrize("shape", [(1,), (2,), (4,), (1, 3), ()], ids=str)
def test_class_weights_are_one_per_class(loss, shape):
    """``NLLLoss``, ``CrossEntropyLoss`` of ``(N, C)`` raise ``RuntimeError`` unless ``weight`` is ``(C,)``.

    The constructor takes any tensor; it is the call that raises. For images ``(1, C)`` passes as well.
    """
    log_probs, classes = torch.tensor(SCORES).log_softmax(1), torch.tensor([1, 2])
    made = loss(torch.ones(shape))

    with pytest.raises(RuntimeError, match="weight tensor should be defined either for all"):
        made(log_probs, classes)

    weight, images = torch.tensor([[1.0, 2.0, 4.0]]), (log_probs[..., None], classes[:, None])
    assert torch.allclose(loss(weight)(*images), loss(weight[0])(log_probs, classes))


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        *[(loss, [1, 2]) for loss in (nn.NLLLoss, nn.CrossEntropyLoss, nn.MultiMarginLoss)],
        (nn.MultiLabelSoftMarginLoss, [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]),
    ],
)
def test_no_class_weights_are_ones(loss, target):
    """``nn.MultiMarginLoss`` and others give the same without ``weight`` as with a ``weight`` of ones."""
    arguments = torch.tensor(SCORES).log_softmax(1), torch.tensor(target)

    for reduction in ("mean", "sum", "none"):
        result = loss(reduction=reduction)(*arguments)
        assert torch.allclose(result, loss(weight=torch.ones(3), reduction=reduction)(*arguments))
        weight = torch.tensor([1.0, 2.0, 4.0])
        assert not torch.allclose(result, loss(weight=weight, reduction=reduction)(*arguments))


def test_nll_weights_divide_the_mean():
    """``NLLLoss(weight)`` divides its mean, not ``reduction="sum"``, by the sum of the targets' weights.

    ``CrossEntropyLoss`` of class indices does the same. Means of batches with other classes do not add up.
    """
    log_probs, classes = torch.tensor(SCORES).log_softmax(1), torch.tensor([1, 2])
    weight = torch.tensor([1.0, 2.0, 5.0])
    weighted = -log_probs[[0, 1], [1, 2]] * torch.tensor([2.0, 5.0])

    for loss in (nn.NLLLoss, nn.CrossEntropyLoss):
        assert torch.allclose(loss(weight, reduction="none")(log_probs, classes), weighted)
        assert torch.allclose(loss(weight, reduction="sum")(log_probs, classes), weighted.sum())
        assert torch.allclose(loss(weight)(log_probs, classes), weighted.sum() / 7)
        assert torch.allclose(loss(weight)(log_probs.T[None], classes[None]), weighted.sum() / 7)


def test_weights_do_not_divide_probabilities():
    """By default ``CrossEntropyLoss(weight)`` of ``(N, C)`` class probabilities divides by ``N``, not by the
    weights.

    So the same classes, one-hot in place of indices, give another loss as soon as there are weights.
    """
    scores, classes, weight = torch.tensor(SCORES), torch.tensor([1, 2]), torch.tensor([1.0, 2.0, 5.0])
    loss, total = nn.CrossEntropyLoss(weight), nn.CrossEntropyLoss(weight, reduction="sum")
    one_hot = F.one_hot(classes, 3).float()

    assert torch.allclose(total(scores, one_hot), total(scores, classes))
    assert torch.allclose(loss(scores, one_hot), total(scores, classes) / 2)
    assert torch.allclose(loss(scores, classes), total(scores, classes) / 7)


@pytest.mark.parametrize("loss", [nn.NLLLoss, nn.CrossEntropyLoss])
@pytest.mark.parametrize("wrong", [3, -1])
def test_unknown_classes_are_out_of_bounds(loss, wrong):
    """On CPU ``NLLLoss`` and ``CrossEntropyLoss`` raise ``IndexError`` for classes outside ``[0, C)`` except
    ``ignore_index``.

    By default ``ignore_index`` is -100. On a GPU the kernel stops at a device-side assert instead, and no
    later call works: try such a batch on the CPU.
    """
    log_probs = torch.tensor(SCORES, device="cpu").log_softmax(1)
    classes = torch.tensor([1, wrong], device="cpu")

    for reduction in ("mean", "sum", "none"):
        for given in ((log_probs, classes), (log_probs.T[None], classes[None]), (log_probs[0], classes[1])):
            with pytest.raises(IndexError, match=f"Target {wrong} is out of bounds"):
                loss(reduction=reduction)(*given)

    assert torch.allclose(loss(ignore_index=wrong)(log_probs, classes), -log_probs[0, 1])
    assert torch.allclose(loss()(log_probs, torch.tensor([1, -100], device="cpu")), -log_probs[0, 1])


@pytest.mark.parametrize("loss", [nn.NLLLoss, nn.CrossEntropyLoss])
def test_ignored_targets_get_no_gradient(loss):
    """Targets equal to ``ignore_index`` get zero gradients in ``nn.NLLLoss`` and ``nn.CrossEntropyLoss``."""
    for given, ignored in (({"ignore_index": 2}, 2), ({}, -100)):
        for reduction in ("mean", "sum", "none"):
            log_probs = torch.tensor(SCORES).log_softmax(1).requires_grad_()
            made, classes = loss(**given, reduction=reduction), torch.tensor([1, ignored])
            (made(log_probs, classes) + made(log_probs.T[None], classes[None])).sum().backward()
            assert log_probs.grad[1].tolist() == [0.0, 0.0, 0.0]
            assert log_probs.grad[0].abs().sum() > 0


@pytest.mark.parametrize("loss", [nn.NLLLoss, nn.CrossEntropyLoss])
def test_size_average_leaves_ignored_targets_out(loss):
    """``size_average=True`` of ``NLLLoss`` and ``CrossEntropyLoss`` averages over targets not ignored."""
    log_probs, classes = torch.tensor([*SCORES, [0.0, 1.0, 3.0]]).log_softmax(1), torch.tensor([1, 0, 2])
    with pytest.warns(UserWarning, match="please use reduction='mean' instead"):
        layer = loss(size_average=True, ignore_index=0)

    results = torch.stack([layer(log_probs, classes), layer(log_probs.T[None], classes[None])])
    assert torch.allclose(results, -(log_probs[0, 1] + log_probs[2, 2]) / 2)


@pytest.mark.parametrize("loss", [nn.NLLLoss, nn.CrossEntropyLoss])
def test_class_indices_may_be_bytes(loss):
    """``CrossEntropyLoss`` and ``NLLLoss`` of ``(N, C)`` take class indices as ``torch.long`` or ``uint8``.

    Other integers, such as NumPy's ``int32``, raise, and so does ``uint8`` for images: call ``long()``.
    """
    log_probs, classes = torch.tensor(SCORES).log_softmax(1), torch.tensor([1, 2])

    assert torch.equal(loss()(log_probs, classes.to(torch.uint8)), loss()(log_probs, classes))
    for dtype in (torch.int32, torch.int16, torch.int8):
        with pytest.raises(RuntimeError, match=r"expected .* Long .*but"):
            loss()(log_probs, classes.to(dtype))
    with pytest.raises(RuntimeError, match=r"expected .* Long .*but .*Byte"):
        loss()(log_probs[..., None], classes[:, None].to(torch.uint8))


@pytest.mark.parametrize("loss", [nn.NLLLoss, nn.CrossEntropyLoss])
def test_one_sample_without_a_batch(loss):
    """``NLLLoss`` and ``CrossEntropyLoss`` take an unbatched input of shape ``(C,)`` with a scalar target."""
    log_probs = torch.tensor(SCORES[0]).log_softmax(0)

    for reduction in ("mean", "sum", "none"):
        result = loss(reduction=reduction)(log_probs, torch.tensor(1))
        assert result.shape == ()
        assert torch.allclose(result, -log_probs[1])


def test_class_probabilities_are_floats():
    """``CrossEntropyLoss`` raises ``RuntimeError`` for an integer target that is shaped like the input.

    Such a target means probabilities: call ``float()`` on what ``F.one_hot`` returns.
    """
    scores, classes, loss = torch.tensor(SCORES), torch.tensor([1, 2]), nn.CrossEntropyLoss()
    one_hot = F.one_hot(classes, 3)

    for integers in (one_hot, one_hot.int(), one_hot.byte()):
        for given in ((scores, integers), (scores[..., None], integers[..., None]), (scores[0], integers[0])):
            with pytest.raises(RuntimeError, match="Expected floating point type for target with class prob"):
                loss(*given)

    assert torch.allclose(loss(scores, one_hot.float()), loss(scores, classes))


def test_class_probabilities_are_not_checked():
    """``CrossEntropyLoss`` neither raises nor warns if class probabilities are below 0, above 1 or sum to 3.

    Logits given in their place train silently towards nonsense: apply ``softmax`` to them.
    """
    scores, nonsense = torch.tensor(SCORES), torch.tensor([[4.0, -2.0, 1.0], [-1.0, 0.5, 3.5]])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = [nn.CrossEntropyLoss(reduction=how)(scores, nonsense) for how in ("none", "sum", "mean")]
    each = -(nonsense * scores.log_softmax(1)).sum(1)
    assert nonsense.sum(1).tolist() == [3.0, 3.0]
    assert all(map(torch.allclose, results, (each, each.sum(), each.mean())))


def test_probabilities_know_no_ignored_class():
    """``CrossEntropyLoss(ignore_index=1)`` raises ``RuntimeError`` for a target of class probabilities.

    A negative ``ignore_index``, as the default of -100, is passed over.
    """
    scores, shares = torch.tensor(SCORES), torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.0, 0.75]])

    with pytest.raises(RuntimeError, match="ignore_index is not supported for floating point target"):
        nn.CrossEntropyLoss(ignore_index=1)(scores, shares)

    assert torch.equal(
        nn.CrossEntropyLoss(ignore_index=-1)(scores, shares), nn.CrossEntropyLoss()(scores, shares)
    )


def test_multi_margin_weights_scale_samples():
    """``weight`` of ``MultiMarginLoss`` scales the loss of each sample by the weight of its class.

    The mean is over samples all the same; ``NLLLoss`` divides by the weights.
    """
    scores, classes = torch.tensor(SCORES), torch.tensor([1, 2])
    weighted = nn.MultiMarginLoss(reduction="none")(scores, classes) * torch.tensor([2.0, 5.0])

    loss = nn.MultiMarginLoss(weight=torch.tensor([1.0, 2.0, 5.0]), reduction="none")

    assert torch.allclose(loss(scores, classes), weighted)
    assert torch.allclose(nn.MultiMarginLoss(weight=loss.weight)(scores, classes), weighted.mean())


@pytest.mark.since("2.1")
def test_multi_margin_weights_are_one_per_class():
    """``MultiMarginLoss`` raises ``RuntimeError`` for a ``weight`` of another size, ``ValueError`` for 2D."""
    for size in (1, 2, 4):
        loss = nn.MultiMarginLoss(weight=torch.ones(size))
        with pytest.raises(RuntimeError, match="inconsistent weight size"):
            loss(torch.tensor(SCORES), torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="expected weight to be None or 1D tensor, got 2D instead"):
        nn.MultiMarginLoss(weight=torch.ones(1, 3))


@pytest.mark.before("2.1")
def test_multi_margin_asserted_one_dimension():
    """``MultiMarginLoss`` raises ``AssertionError`` for a ``weight`` that is not of one dimension."""
    with pytest.raises(AssertionError, match=r"^$"):
        nn.MultiMarginLoss(weight=torch.ones(1, 3))


def test_multi_margin_knows_two_powers():
    """``nn.MultiMarginLoss(p=3)`` raises ``ValueError``: ``p`` is 1 or 2."""
    values = [nn.MultiMarginLoss(p=p)(torch.tensor(SCORES[0]), torch.tensor(1)) for p in (1, 2)]
    assert values[0] != values[1]
    for p in (0, 1.5, 3):
        with pytest.raises(ValueError, match="only p == 1 and p == 2 supported"):
            nn.MultiMarginLoss(p=p)


def test_multi_label_margin_stops_at_minus_one():
    """``MultiLabelMarginLoss`` ignores the targets behind the first -1.

    ``[1, -1, 0]`` names class 1 only: move what pads a row to its end.
    """
    scores, loss = torch.tensor(SCORES[0]), nn.MultiLabelMarginLoss()

    result = loss(scores, torch.tensor([1, -1, 0]))

    assert torch.equal(result, loss(scores, torch.tensor([1, -1, -1])))
    assert torch.equal(result, loss(scores[None], torch.tensor([[1, -1, 0]])))
    assert not torch.allclose(result, loss(scores, torch.tensor([1, 0, -1])))


def test_multi_label_soft_margin_weights_broadcast():
    """``weight`` of ``MultiLabelSoftMarginLoss`` may have any shape that broadcasts, not only ``(C,)``."""
    scores, target = torch.tensor(SCORES), torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    plain = nn.MultiLabelSoftMarginLoss(reduction="none")(scores, target)

    by_sample = nn.MultiLabelSoftMarginLoss(torch.tensor([[2.0], [5.0]]), reduction="none")(scores, target)
    scalar = nn.MultiLabelSoftMarginLoss(torch.tensor(3.0), reduction="none")(scores, target)

    assert torch.allclose(by_sample, plain * torch.tensor([2.0, 5.0]))
    assert torch.allclose(scalar, plain * 3)


@pytest.mark.parametrize(
    "make",
    [nn.MultiLabelSoftMarginLoss, lambda weight: nn.BCEWithLogitsLoss(pos_weight=weight)],
    ids=["weight", "pos_weight"],
)
def test_weights_for_another_number_of_classes(make):
    """A ``pos_weight`` or ``MultiLabelSoftMarginLoss`` weight of size 2 or 4 is refused for 3 classes."""
    scores, target = torch.tensor(SCORES), torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])

    assert make(torch.ones(3))(scores, target).shape == ()
    for classes in (2, 4):
        with pytest.raises(RuntimeError, match="must match the size of tensor"):
            make(torch.ones(classes))(scores, target)


def test_multi_label_soft_margin_weights_scale_classes():
    """``weight`` of ``MultiLabelSoftMarginLoss`` scales the loss of each class, and does not divide the mean.

    Each class is a binary decision of its own, as in ``BCEWithLogitsLoss``.
    """
    scores, target = torch.tensor(SCORES), torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    weight = torch.tensor([1.0, 2.0, 5.0])

    result = nn.MultiLabelSoftMarginLoss(weight, reduction="none")(scores, target)

    by_class = nn.BCEWithLogitsLoss(reduction="none")(scores, target)
    assert torch.allclose(result, (by_class * weight).sum(1) / 3)
    assert torch.allclose(nn.MultiLabelSoftMarginLoss(weight)(scores, target), result.mean())


def test_multi_label_soft_margin_targets_broadcast():
    """``MultiLabelSoftMarginLoss`` broadcasts a target of another shape, without a warning.

    ``BCEWithLogitsLoss`` raises for it. A target that lacks its batch is then used for each sample.
    """
    scores, labels = torch.tensor(SCORES), torch.tensor([1.0, 0.0, 1.0])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = [nn.MultiLabelSoftMarginLoss()(scores, given) for given in (labels, labels[None])]

    expected = nn.MultiLabelSoftMarginLoss()(scores, torch.stack([labels, labels]))
    assert results == [expected, expected]
    with pytest.raises(ValueError, match="must be the same as input size"):
        nn.BCEWithLogitsLoss()(scores, labels)


@pytest.mark.parametrize("loss", [nn.BCELoss, nn.BCEWithLogitsLoss])
def test_bce_weights_broadcast(loss):
    """``weight`` of ``BCELoss`` broadcasts; ``(2,)`` raises ``RuntimeError`` for an input of ``(2, 3)``.

    A vector goes along the last dimension; for a weight per sample give it the shape ``(N, 1)``.
    """
    inputs = torch.tensor(SCORES).sigmoid()
    target = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    plain = loss(reduction="none")(inputs, target)

    by_class = loss(torch.tensor([2.0, 3.0, 5.0]), reduction="none")(inputs, target)
    by_sample = loss(torch.tensor([[2.0], [5.0]]), reduction="none")(inputs, target)

    assert torch.allclose(by_class, plain * torch.tensor([2.0, 3.0, 5.0]))
    assert torch.allclose(by_sample, plain * torch.tensor([[2.0], [5.0]]))
    with pytest.raises(RuntimeError, match=r"broadcast|must match"):
        loss(torch.tensor([2.0, 5.0]))(inputs, target)


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
def test_bce_with_logits_weights_are_not_larger(name):
    """``BCEWithLogitsLoss`` raises ``RuntimeError`` unless ``weight`` and ``pos_weight`` broadcast to the
    input's shape.

    The loss keeps the shape of the input: weights with more dimensions raise, even where they would
    broadcast with it.
    """
    scores, target = torch.tensor(SCORES), torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])

    assert nn.BCEWithLogitsLoss(**{name: torch.ones(1, 3)}, reduction="none")(scores, target).shape == (2, 3)
    for more in (1, 4):
        with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
            nn.BCEWithLogitsLoss(**{name: torch.ones(more, 2, 3)})(scores, target)


def test_pos_weight_may_be_a_scalar():
    """``pos_weight`` of ``BCEWithLogitsLoss`` may be a scalar or of shape ``(1,)``, to serve all classes.

    It need not have one value per class; it only has to broadcast.
    """
    scores, target = torch.tensor(SCORES), torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    by_class = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0, 3.0, 3.0]))(scores, target)

    assert torch.allclose(nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))(scores, target), by_class)
    assert torch.allclose(nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))(scores, target), by_class)
    assert not torch.allclose(nn.BCEWithLogitsLoss()(scores, target), by_class)


def test_pos_weight_scales_positive_targets():
    """``pos_weight`` of ``BCEWithLogitsLoss`` scales the losses of positive targets, class by class.

    It broadcasts with the target: a vector goes along its last dimension, the classes. Negative targets keep
    their loss.
    """
    scores, target = torch.tensor(SCORES), torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0, 3.0, 5.0]), reduction="none")
    for shape in ((2, 3), (2, 1, 3)):
        one, positive = scores.view(shape), target.view(shape)
        scale = loss(one, positive) / nn.BCEWithLogitsLoss(reduction="none")(one, positive)
        assert torch.allclose(scale, torch.tensor([[1.0, 3.0, 5.0], [2.0, 1.0, 5.0]]).view(shape))


def test_bce_is_100_at_most():
    """``BCELoss`` clamps its logarithms at -100: a probability of 0 for a target of 1 costs 100, not
    infinity.
    """
    loss = nn.BCELoss(reduction="none")

    assert loss(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])).tolist() == [100.0, 100.0]
    assert loss(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0])).tolist() == [0.0, 0.0]
    assert loss(*torch.tensor([1e-60, 1.0], dtype=torch.float64)).item() == 100.0


def test_bce_gradients_are_not_clamped_with_it():
    """At a probability of 0, ``BCELoss`` stays 100, but its gradient is -1e12 for a target of 1.

    Nor is its backward linear: the gradient grows with ``1 / p``. ``BCEWithLogitsLoss`` never exceeds 1.
    """
    p = torch.tensor([0.5, 0.25, 0.0], requires_grad=True)
    scores = torch.tensor([-1000.0], requires_grad=True)

    nn.BCELoss(reduction="sum")(p, torch.ones(3)).backward()
    nn.BCEWithLogitsLoss()(scores, torch.ones(1)).backward()

    assert p.grad[:2].tolist() == [-2.0, -4.0]
    assert p.grad[2].item() == pytest.approx(-1e12)
    assert scores.grad.item() == -1.0
