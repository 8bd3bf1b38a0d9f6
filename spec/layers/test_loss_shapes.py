"""The shapes that losses take, and what they return for each ``reduction``.

N is the number of samples, C that of classes, D the size of a vector, T the number of steps. What a value is
for is in *loss_reductions*.
"""

import math
import warnings

import pytest
import torch
from torch import nn

BY_ELEMENT = [
    nn.L1Loss,
    nn.MSELoss,
    nn.SmoothL1Loss,
    nn.HuberLoss,
    nn.SoftMarginLoss,
    nn.PoissonNLLLoss,
    nn.KLDivLoss,
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    nn.HingeEmbeddingLoss,
]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4, 5, 2)], ids=["scalar", "1d", "2d", "5d"])
@pytest.mark.parametrize("loss", BY_ELEMENT)
def test_losses_of_elements_take_any_shape(loss, shape):
    """Losses such as ``L1Loss``, ``BCELoss`` and ``HuberLoss`` take input and target of any shape, if it is
    the same.

    With ``reduction="none"`` they return that shape, otherwise a scalar.
    """
    x, y = torch.rand(shape), torch.rand(shape)

    assert loss(reduction="none")(x, y).shape == shape
    assert loss()(x, y).shape == loss(reduction="sum")(x, y).shape == ()
    assert torch.allclose(loss(reduction="sum")(x, y), loss(reduction="none")(x, y).sum())


@pytest.mark.parametrize(
    ("loss", "shapes", "left"),
    [
        (nn.MultiLabelSoftMarginLoss, [(2, 3), (2, 3)], (2,)),
        (nn.CosineEmbeddingLoss, [(2, 3), (2, 3), (2,)], (2,)),
        (nn.CosineEmbeddingLoss, [(3,), (3,), ()], ()),
        (nn.MarginRankingLoss, [(2,), (2,), (2,)], (2,)),
        (nn.MarginRankingLoss, [(), (), ()], ()),
        (nn.TripletMarginLoss, [(2, 3), (2, 3), (2, 3)], (2,)),
        (nn.TripletMarginLoss, [(3,), (3,), (3,)], ()),
        (nn.TripletMarginWithDistanceLoss, [(2, 3), (2, 3), (2, 3)], (2,)),
        (nn.TripletMarginWithDistanceLoss, [(2, 3, 4), (2, 3, 4), (2, 3, 4)], (2, 3)),
    ],
)
def test_losses_of_vectors(loss, shapes, left):
    """``CosineEmbeddingLoss``, ``TripletMarginLoss`` and the like have one value for each vector, or one
    scalar.

    ``MarginRankingLoss`` has one for each pair of numbers.
    """
    inputs = [torch.rand(shape) for shape in shapes]

    assert loss(reduction="none")(*inputs).shape == left
    assert loss()(*inputs).shape == loss(reduction="sum")(*inputs).shape == ()


@pytest.mark.parametrize(
    ("loss", "scores", "target"),
    [
        (nn.MultiMarginLoss, (2, 3), (2,)),
        (nn.MultiMarginLoss, (3,), ()),
        (nn.CrossEntropyLoss, (3,), ()),
        (nn.CrossEntropyLoss, (2, 3), (2,)),
        (nn.CrossEntropyLoss, (2, 3, 4), (2, 4)),
        (nn.CrossEntropyLoss, (2, 3, 4, 5), (2, 4, 5)),
        (nn.NLLLoss, (3,), ()),
        (nn.NLLLoss, (2, 3), (2,)),
        (nn.NLLLoss, (2, 3, 4), (2, 4)),
        (nn.NLLLoss, (2, 3, 4, 5), (2, 4, 5)),
    ],
)
def test_losses_of_classes(loss, scores, target):
    """``CrossEntropyLoss``, ``NLLLoss`` and ``MultiMarginLoss`` have one value for each class index.

    The scores have one more dimension than the indices: the classes, behind the batch. Another size raises.
    """
    inputs = torch.rand(scores), torch.full(target, 2)

    assert loss(reduction="none")(*inputs).shape == target
    assert loss()(*inputs).shape == loss(reduction="sum")(*inputs).shape == ()
    with pytest.raises((RuntimeError, ValueError), match="target"):
        loss()(inputs[0], torch.full((*target, 5), 2))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_class_probabilities_have_the_shape_of_the_scores(shape):
    """Unreduced ``CrossEntropyLoss`` of class probabilities has the shape of its input without the classes.

    Probabilities of another shape are an error, as is anything else that is no class index: ``RuntimeError``,
    or ``ValueError`` from 2.9 to 2.11 without a batch.
    """
    scores, probabilities = torch.rand(shape), torch.rand(shape).softmax(int(len(shape) > 1))

    left = nn.CrossEntropyLoss(reduction="none")(scores, probabilities)

    assert left.shape == shape[:1][: len(shape) - 1] + shape[2:]
    with pytest.raises((RuntimeError, ValueError), match="target"):
        nn.CrossEntropyLoss()(scores, torch.cat([probabilities, probabilities], -1))


@pytest.mark.parametrize("shape", [(3,), (2, 3)], ids=["one sample", "batch"])
def test_multi_label_margin_shapes(shape):
    """``MultiLabelMarginLoss`` raises ``RuntimeError`` unless the target, padded by -1, has the input's
    shape.

    With ``reduction="none"`` it has one value per sample.
    """
    loss, x = nn.MultiLabelMarginLoss(reduction="none"), torch.rand(shape)

    assert loss(x, torch.tensor([2, 0, -1]).expand(shape)).shape == shape[:-1]
    assert nn.MultiLabelMarginLoss()(x, torch.tensor([2, 0, -1]).expand(shape)).shape == ()
    for wrong in ([2, -1], [2, 0, -1, -1]):
        with pytest.raises(RuntimeError, match=r"inconsistent (target )?size"):
            loss(x, torch.tensor(wrong).expand(*shape[:-1], -1))
    for wrong in ((4, 3), (3,) if len(shape) == 2 else (2, 3)):
        with pytest.raises(RuntimeError, match=r"inconsistent (target )?size"):
            loss(x, torch.tensor([2, 0, -1]).expand(wrong))


@pytest.mark.parametrize(
    ("target", "var"),
    [((2, 3), (2, 3)), ((2, 1), (2, 3)), ((1, 3), (2, 3)), ((2, 3), (2, 1)), ((2, 3), (2,)), ((1, 3), (2,))],
    ids=str,
)
def test_gaussian_nll_broadcasts_targets(target, var):
    """``GaussianNLLLoss`` broadcasts a target of size 1 in a dimension, and a ``var`` without the last
    dimension.

    With ``reduction="none"`` it returns the shape of the input, otherwise a scalar.
    """
    loss, x = nn.GaussianNLLLoss(reduction="none"), torch.rand(2, 3)
    y, variance = torch.rand(target), torch.rand(var) + 1
    full = variance[:, None] if variance.ndim == 1 else variance

    assert loss(x, y, variance).shape == (2, 3)
    assert torch.equal(loss(x, y, variance), loss(x, y.expand(2, 3), full.expand(2, 3)))
    assert nn.GaussianNLLLoss()(x, y, variance).shape == ()
    assert nn.GaussianNLLLoss()(x[0], x[1], torch.ones(3)).shape == ()


def test_gaussian_nll_takes_no_scalar_tensor():
    """``GaussianNLLLoss`` raises ``ValueError`` for a ``var`` of no dimension, unless the input has none."""
    loss = nn.GaussianNLLLoss(reduction="none")

    assert loss(torch.tensor(1.0), torch.tensor(2.0), torch.tensor(4.0)).shape == ()
    with pytest.raises(ValueError, match="var is of incorrect size"):
        loss(torch.rand(2, 3), torch.rand(2, 3), torch.tensor(4.0))


@pytest.mark.since("2.13")
@pytest.mark.parametrize("sizes", [(), (4,), (4, 5)], ids=["one", "row", "image"])
def test_linear_cross_entropy_shapes(sizes):
    """``LinearCrossEntropyLoss`` takes inputs ``(N, in_features)`` and class indices ``(N, *out_features)``.

    Class probabilities have the shape ``(N, C, *out_features)``. Without a batch, it takes
    ``(in_features,)``, and a target of shape ``()`` or ``(C,)`` if ``out_features`` is empty.
    """
    loss = nn.LinearCrossEntropyLoss
    none, mean = (loss(6, 3, out_features=sizes, reduction=reduction) for reduction in ("none", "mean"))
    x = torch.rand(2, 6)
    for target in [torch.full((2, *sizes), 1), torch.rand(2, 3, *sizes)]:
        assert none(x, target).shape == (2, *sizes)
        assert mean(x, target).shape == ()
    if not sizes:
        assert none(x[0], torch.tensor(1)).shape == none(x[0], torch.rand(3)).shape == ()
    with pytest.raises(IndexError, match="out of bounds"):
        mean(x, torch.full((2, *sizes), 3))


@pytest.mark.parametrize(
    ("targets", "lengths"),
    [([[1, 2], [3, 2], [2, 1]], [2, 1, 2]), ([1, 2, 3, 2, 1], [2, 1, 2])],
    ids=["padded", "joined"],
)
def test_ctc_shapes(targets, lengths):
    """``CTCLoss`` takes ``(T, N, C)`` and targets padded to ``(N, S)``, or all joined into one 1-D tensor.

    The target lengths say where the joined ones end. Without a batch it takes ``(T, C)``. It has one value
    for each sequence, ``targets[n, :s_n]``.
    """
    loss, logs = nn.CTCLoss(reduction="none"), torch.rand(5, 3, 4).log_softmax(2)
    alone = [
        loss(logs[:, n], torch.tensor(target), torch.tensor(5), torch.tensor(len(target)))
        for n, target in enumerate([[1, 2], [3], [2, 1]])
    ]

    values = loss(logs, torch.tensor(targets), torch.full((3,), 5), torch.tensor(lengths))

    assert values.shape == (3,)
    assert alone[0].shape == ()
    assert torch.allclose(values, torch.stack(alone), atol=1e-6)
    assert nn.CTCLoss()(logs, torch.tensor(targets), (5, 5, 5), tuple(lengths)).shape == ()


@pytest.mark.parametrize(
    "shape", [(4, 5, 6), (3, 4, 5, 6), (4, 1, 1)], ids=["across the batch", "each", "class"]
)
def test_pos_weight_for_each_element(shape):
    """``pos_weight`` of ``BCEWithLogitsLoss`` may differ for each element, or be the same across the batch.

    For a target of ``(B, C, H, W)`` it is then ``(B, C, H, W)`` or ``(C, H, W)``; for one weight per class,
    ``(C, 1, 1)``.
    """
    x, weight = torch.rand(3, 4, 5, 6), torch.rand(shape) + 1

    plain = nn.BCEWithLogitsLoss(reduction="none")(x, torch.ones(3, 4, 5, 6))
    weighted = nn.BCEWithLogitsLoss(reduction="none", pos_weight=weight)(x, torch.ones(3, 4, 5, 6))

    assert torch.allclose(weighted, plain * weight)


def test_pos_weight_of_classes_is_aligned_at_the_end():
    """``BCEWithLogitsLoss`` aligns ``pos_weight`` of shape ``(C,)`` with the last dimension, not with
    channels.

    For images of ``(N, C, H, W)`` it raises, or weighs columns without an error where the width is ``C``.
    Give it the shape ``(C, 1, 1)``.
    """
    weight = torch.tensor([2.0, 5.0])
    loss = nn.BCEWithLogitsLoss(reduction="none", pos_weight=weight)
    square, wide = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 3)
    unit = math.log(2)

    columns = loss(square, torch.ones_like(square)) / unit
    assert columns.tolist() == [[[[2.0, 5.0], [2.0, 5.0]]] * 2]
    with pytest.raises(RuntimeError, match="must match the size of tensor b"):
        loss(wide, torch.ones_like(wide))
    loss = nn.BCEWithLogitsLoss(reduction="none", pos_weight=weight[:, None, None])
    assert torch.allclose((loss(wide, torch.ones_like(wide)) / unit)[0, :, 0, 0], weight)


@pytest.mark.parametrize("loss", [nn.L1Loss, nn.MSELoss, nn.SmoothL1Loss, nn.HuberLoss])
def test_regression_losses_broadcast_with_a_warning(loss):
    """``L1Loss``, ``MSELoss``, ``SmoothL1Loss`` and ``HuberLoss`` broadcast other shapes, with a
    ``UserWarning``.

    A prediction ``(N, 1)`` and a target ``(N,)`` become all pairs, ``(N, N)``; one target for many proposals
    is compared with each. If that is meant, ``target.expand_as(input)`` says so and does not warn.
    """
    column, row = torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0])

    with pytest.warns(UserWarning, match="Using a target size .* that is different to the input size"):
        pairs = loss(reduction="none")(column, row)
    for reduction in ("mean", "sum"):
        with pytest.warns(UserWarning, match="Using a target size .* that is different to the input size"):
            assert loss(reduction=reduction)(column, row).item() > 0
    with pytest.warns(UserWarning, match="Using a target size .* that is different to the input size"):
        samples = loss(reduction="none")(torch.zeros(4, 3, 2), torch.ones(4, 1, 2))

    assert [pairs.shape, samples.shape] == [(2, 2), (4, 3, 2)]
    assert pairs.diagonal().tolist() == [0.0, 0.0]
    assert pairs[0, 1] == pairs[1, 0] > 0
    assert loss()(column, row[:, None]).item() == 0.0


def test_poisson_loss_broadcasts_in_silence():
    """``PoissonNLLLoss`` broadcasts a prediction and a target of other shapes without a warning.

    A prediction ``(N, 1)`` and counts ``(N,)`` are compared each with each: squeeze one of them.
    """
    rates, counts = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([1.0, 2.0, 3.0])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = nn.PoissonNLLLoss(reduction="none")(rates, counts)

    assert torch.allclose(loss, rates.exp() - torch.outer(rates[:, 0], counts))
    assert nn.PoissonNLLLoss(reduction="none")(rates.squeeze(1), counts).shape == (3,)


def test_bce_wants_equal_shapes():
    """``BCELoss`` and ``BCEWithLogitsLoss`` raise ``ValueError`` if the target has another shape.

    Class indices ``(N,)`` are for ``CrossEntropyLoss``; here each output has a target of its own, of a
    floating dtype, so that two classes are one column or a target of two. See :class:`torch.nn.BCELoss`.
    """
    x, indices = torch.full((4, 2), 0.5), torch.tensor([0, 1, 1, 0])

    for given in (x, x[:, :1], x.view(2, 4)):
        with pytest.raises(ValueError, match=r"Using a target size .* that is different to the input size"):
            nn.BCELoss()(given, indices.float())
        with pytest.raises(ValueError, match=r"Target size \(torch.Size\(\[4\]\)\) must be the same as inp"):
            nn.BCEWithLogitsLoss()(given, indices.float())

    one_hot = nn.functional.one_hot(indices).float()
    assert nn.BCELoss(reduction="none")(x, one_hot).shape == (4, 2)
    assert nn.BCELoss(reduction="none")(x[:, 1], indices.float()).shape == (4,)
