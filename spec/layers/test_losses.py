"""Losses: modules that turn a prediction and a target into one number.

Nearly all of them have no parameters; what they hold are the reduction and, for some, weights in a buffer.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.claim("N5-08")
@pytest.mark.parametrize(
    "loss",
    [
        nn.BCELoss(),
        nn.BCEWithLogitsLoss(),
        nn.CosineEmbeddingLoss(),
        nn.CrossEntropyLoss(),
        nn.CTCLoss(),
        nn.GaussianNLLLoss(),
        nn.HingeEmbeddingLoss(),
        nn.HuberLoss(),
        nn.KLDivLoss(),
        nn.L1Loss(),
        nn.MarginRankingLoss(),
        nn.MSELoss(),
        nn.MultiLabelMarginLoss(),
        nn.MultiLabelSoftMarginLoss(),
        nn.MultiMarginLoss(),
        nn.NLLLoss(),
        nn.PoissonNLLLoss(),
        nn.SmoothL1Loss(),
        nn.SoftMarginLoss(),
        nn.TripletMarginLoss(),
        nn.TripletMarginWithDistanceLoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_loss_is_a_module(loss):
    """A loss such as ``nn.MSELoss()`` is a :class:`~torch.nn.Module` without parameters.

    Exceptions are those that hold a layer of their own, such as
    :class:`~torch.nn.AdaptiveLogSoftmaxWithLoss`.
    """
    assert isinstance(loss, nn.Module)
    assert list(loss.parameters()) == []
    assert list(loss.state_dict()) == []
    assert list(nn.BCEWithLogitsLoss(torch.ones(3), pos_weight=torch.ones(3)).parameters()) == []
    assert len(list(nn.AdaptiveLogSoftmaxWithLoss(4, 5, [2]).parameters())) == 3


@pytest.mark.claim("N5-08")
def test_a_loss_is_called_like_a_layer():
    """``nn.MSELoss()(prediction, target)`` computes the loss, a scalar to call ``backward()`` on.

    ``nn.MSELoss(prediction, target)`` is a common slip: the constructor takes the tensors for options, and
    raises ``RuntimeError`` if they have several elements.
    """
    prediction = torch.tensor([1.0, 5.0], requires_grad=True)

    loss = nn.MSELoss()(prediction, torch.tensor([2.0, 2.0]))
    loss.backward()

    assert loss.shape == ()
    assert loss.item() == 5.0
    assert prediction.grad.tolist() == [-1.0, 3.0]
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        nn.MSELoss(prediction, torch.tensor([2.0, 2.0]))


@pytest.mark.parametrize(
    ("reduction", "result"), [("mean", 2.0), ("sum", 4.0), ("none", [1.0, 3.0])], ids=["mean", "sum", "none"]
)
def test_reduction_says_what_becomes_of_the_values(reduction, result):
    """``reduction`` of a loss such as ``nn.L1Loss`` is ``"mean"``, ``"sum"``, or ``"none"`` to keep all
    values.
    """
    loss = nn.L1Loss(reduction=reduction)

    assert loss(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 2.0])).tolist() == result


def test_the_mean_is_the_default():
    """By default losses such as ``nn.MSELoss`` average over all elements: ``reduction`` is ``"mean"``."""
    losses = [
        nn.L1Loss(),
        nn.MSELoss(),
        nn.NLLLoss(),
        nn.BCELoss(),
        nn.HuberLoss(),
        nn.SmoothL1Loss(),
        nn.KLDivLoss(),
    ]

    assert [loss.reduction for loss in losses] == ["mean"] * 7
    prediction, target = torch.tensor([[1.0, 5.0], [2.0, 2.0]]), torch.full((2, 2), 2.0)
    assert nn.L1Loss()(prediction, target).item() == (1 + 3) / 4
    assert nn.MSELoss()(prediction, target).item() == (1 + 9) / 4


def test_an_unknown_reduction_is_found_at_the_call():
    """``nn.MSELoss`` accepts an invalid ``reduction`` when constructed, and raises ``ValueError`` when
    called.
    """
    for reduction in ("average", "MEAN", "", None):
        loss = nn.MSELoss(reduction=reduction)

        with pytest.raises(ValueError, match=f"^{reduction} is not a valid value for reduction$"):
            loss(torch.rand(2), torch.rand(2))


@pytest.mark.parametrize(
    ("size_average", "reduce", "reduction"),
    [
        (True, True, "mean"),
        (False, None, "sum"),
        (None, False, "none"),
        (False, True, "sum"),
        (None, True, "mean"),
    ],
)
def test_the_old_arguments_still_count(size_average, reduce, reduction):
    """``size_average`` and ``reduce`` of ``nn.MSELoss`` override ``reduction``, and give a
    ``UserWarning``.
    """
    with pytest.warns(UserWarning, match=f"please use reduction='{reduction}' instead"):
        loss = nn.MSELoss(size_average, reduce, "none" if reduction != "none" else "sum")

    assert loss.reduction == reduction


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (nn.CrossEntropyLoss, "weight"),
        (nn.NLLLoss, "weight"),
        (nn.BCELoss, "weight"),
        (nn.BCEWithLogitsLoss, "weight"),
        (nn.BCEWithLogitsLoss, "pos_weight"),
        (nn.MultiMarginLoss, "weight"),
        (nn.MultiLabelSoftMarginLoss, "weight"),
    ],
)
def test_weights_of_a_loss_are_a_buffer(loss, name):
    """``weight`` of a loss such as ``nn.CrossEntropyLoss`` is a buffer: moved and saved, but not trained.

    Call ``to(device)`` on the loss as well, or keep it in the model.
    """
    made = loss(**{name: torch.tensor([1.0, 2.0])}).to(torch.float64)

    assert [(key, value.dtype) for key, value in made.named_buffers()] == [(name, torch.float64)]
    assert list(made.state_dict()) == [name]
    assert list(made.parameters()) == []


def test_cross_entropy_takes_scores_and_classes():
    """By default ``CrossEntropyLoss`` of logits and class indices equals ``log_softmax`` followed by
    ``NLLLoss``.

    A softmax layer in front of it is a mistake that no error shows: the loss is then far from zero for ever.
    """
    scores, classes = torch.randn(4, 3), torch.tensor([0, 2, 1, 2])

    result = nn.CrossEntropyLoss()(scores, classes)

    assert torch.allclose(result, nn.NLLLoss()(scores.log_softmax(1), classes))
    assert torch.allclose(result, -scores.log_softmax(1)[range(4), classes].mean())

    pixels, labels = torch.randn(2, 3, 5), torch.tensor([[0, 2, 1, 2, 0], [1, 1, 0, 2, 2]])
    expected = nn.NLLLoss()(pixels.log_softmax(1), labels)
    assert torch.allclose(nn.CrossEntropyLoss()(pixels, labels), expected)

    sure = F.one_hot(classes, 3) * 100.0
    assert nn.CrossEntropyLoss()(sure, classes) == 0
    assert nn.CrossEntropyLoss()(sure.softmax(1), classes) > 0.5


def test_cross_entropy_ignores_a_class():
    """``CrossEntropyLoss`` leaves targets equal to ``ignore_index`` (default -100) out of the mean.

    With ``reduction="none"`` they have a value, which is 0. Where nothing is left, the mean is NaN.

    See also :ref:`layers.classification_losses.probabilities_know_no_ignored_class`
    """
    scores = torch.randn(4, 3)

    default = nn.CrossEntropyLoss()(scores, torch.tensor([0, 2, -100, -100]))
    given = nn.CrossEntropyLoss(ignore_index=1)(scores, torch.tensor([0, 2, 1, 1]))

    assert torch.allclose(default, -scores.log_softmax(1)[[0, 1], [0, 2]].mean())
    assert torch.equal(default, given)
    columns = nn.CrossEntropyLoss()(scores[..., None], torch.tensor([[0], [2], [-100], [-100]]))
    assert torch.allclose(columns, default)
    each = nn.CrossEntropyLoss(reduction="none")(scores, torch.tensor([0, 2, -100, -100]))
    assert each.shape == (4,)
    assert each[2:].tolist() == [0.0, 0.0]
    assert nn.CrossEntropyLoss()(scores[:1], torch.tensor([-100])).isnan()


def test_cross_entropy_hands_its_arguments_on():
    """``CrossEntropyLoss`` passes ``weight``, ``reduction`` and ``label_smoothing`` to
    ``F.cross_entropy``.
    """
    scores, classes, weight = torch.randn(4, 3), torch.tensor([0, 2, 1, 2]), torch.tensor([1.0, 2.0, 4.0])
    loss = nn.CrossEntropyLoss(weight, reduction="sum", label_smoothing=0.25)

    expected = F.cross_entropy(scores, classes, weight, reduction="sum", label_smoothing=0.25)

    assert torch.equal(loss(scores, classes), expected)


def test_smoothed_labels_are_partly_uniform():
    """``CrossEntropyLoss(label_smoothing=0.25)`` takes 0.25 of each target and spreads it over all classes.

    The true class of three keeps 0.75 and a third of 0.25. With 0.0, the default, nothing is spread.
    """
    scores, classes = torch.randn(4, 3), torch.tensor([0, 2, 1, 2])
    smoothed = torch.full((4, 3), 0.25 / 3)
    smoothed[range(4), classes] += 0.75

    result = nn.CrossEntropyLoss(label_smoothing=0.25)(scores, classes)

    assert torch.allclose(result, nn.CrossEntropyLoss()(scores, smoothed))
    assert torch.allclose(result, -(smoothed * scores.log_softmax(1)).sum(1).mean())
    pixels, labels = torch.randn(2, 3, 5), torch.tensor([[0, 2, 1, 2, 0], [1, 1, 0, 2, 2]])
    probabilities = 0.75 * F.one_hot(labels, 3).movedim(2, 1) + 0.25 / 3
    wanted = nn.CrossEntropyLoss()(pixels, probabilities)
    assert torch.allclose(nn.CrossEntropyLoss(label_smoothing=0.25)(pixels, labels), wanted)
    assert torch.equal(
        nn.CrossEntropyLoss(label_smoothing=0.0)(scores, classes), nn.CrossEntropyLoss()(scores, classes)
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 2.0, 5.0])], ids=["plain", "weighted"])
def test_ignored_targets_are_not_smoothed(weight, reduction):
    """``CrossEntropyLoss(label_smoothing=0.25)`` leaves targets of ``ignore_index`` out altogether.

    Neither their uniform part is added nor are they counted in the mean, with class weights or without
    (:issue:`73205`).
    """
    scores, classes = torch.randn(4, 3), torch.tensor([-100, 2, -100, 1])
    loss = nn.CrossEntropyLoss(weight, label_smoothing=0.25, reduction=reduction)

    left = loss(scores[[1, 3]], torch.tensor([2, 1]))

    torch.testing.assert_close(loss(scores, classes), left)
    torch.testing.assert_close(loss(scores.T[None], classes[None]), left)


def test_a_negative_smoothing_is_none():
    """``CrossEntropyLoss`` takes a negative ``label_smoothing`` for 0, and raises ``RuntimeError`` above 1.

    It raises only when called; the constructor takes any number.
    """
    scores, classes = torch.randn(4, 3), torch.tensor([0, 2, 1, 2])
    large = nn.CrossEntropyLoss(label_smoothing=1.5)

    negative = nn.CrossEntropyLoss(label_smoothing=-0.5)(scores, classes)

    assert torch.equal(negative, nn.CrossEntropyLoss()(scores, classes))
    shares = torch.randn(4, 3).softmax(1)
    negative = nn.CrossEntropyLoss(label_smoothing=-0.5)(scores, shares)
    assert torch.equal(negative, nn.CrossEntropyLoss()(scores, shares))
    for target in (classes, shares):
        with pytest.raises(RuntimeError, match=r"label_smoothing must be between 0.0 and 1.0. Got: 1.5"):
            large(scores, target)


def test_bce_with_logits_takes_scores():
    """:class:`~torch.nn.BCEWithLogitsLoss` expects logits where ``BCELoss`` expects probabilities.

    It puts the sigmoid into the loss, and so stays exact for large scores.

    See also :ref:`layers.losses.cross_entropy_takes_scores_and_classes`
    """
    scores, target = torch.randn(5), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])

    assert torch.allclose(nn.BCEWithLogitsLoss()(scores, target), nn.BCELoss()(scores.sigmoid(), target))
    assert nn.BCEWithLogitsLoss()(torch.tensor([-300.0]), torch.tensor([1.0])).item() == 300.0
    assert nn.BCELoss()(torch.tensor([-300.0]).sigmoid(), torch.tensor([1.0])).item() == 100.0


def test_mse_of_other_shapes_warns():
    """``MSELoss`` broadcasts a prediction and a target of different shapes, with a ``UserWarning``.

    A column against a row is compared each with each, and the mean of that trains towards the mean.
    """
    with pytest.warns(UserWarning, match="Using a target size .* that is different to the input size"):
        loss = nn.MSELoss()(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0]))

    assert loss.item() == 0.5
    assert nn.MSELoss()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0])).item() == 0.0


def test_a_loss_may_be_part_of_a_model():
    """``nn.CrossEntropyLoss(weight=w)`` assigned to a module is a submodule; ``weight`` is in
    ``state_dict()``.

    Without class weights it adds no key.
    """
    net = nn.Module()
    net.loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))

    assert [name for name, _ in net.named_modules()] == ["", "loss"]
    assert list(net.state_dict()) == ["loss.weight"]

    net.loss = nn.CrossEntropyLoss()
    assert list(net.state_dict()) == []


@pytest.mark.since("2.13")
def test_a_loss_with_parameters():
    """:class:`~torch.nn.LinearCrossEntropyLoss` contains a linear layer, and so has parameters.

    Give them to the optimizer together with those of the model.
    """
    loss = nn.LinearCrossEntropyLoss(5, 3)

    assert [(name, p.shape) for name, p in loss.named_parameters()] == [("linear.weight", (3, 5))]


def test_label_smoothing_with_class_weights():
    """With ``weight``, the smoothed part of ``CrossEntropyLoss`` weighs every class, not the target's alone.

    The mean divides by the weights of the targets, as without smoothing. Ignored targets count in neither
    sum.
    """
    weight, classes = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0, 2, -100])
    scores = torch.randn(3, 3)
    logs = scores.log_softmax(1)[:2]
    target = -(weight[[0, 2]] * logs[[0, 1], [0, 2]]).sum()
    spread = -(logs * weight).sum() / 3

    loss = nn.CrossEntropyLoss(weight, label_smoothing=0.25)

    for given in ((scores, classes), (scores.T[None], classes[None])):
        assert torch.allclose(loss(*given), (0.75 * target + 0.25 * spread) / (1.0 + 5.0))
