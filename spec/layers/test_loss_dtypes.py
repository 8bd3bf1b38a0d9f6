"""Losses: dtypes and shapes that come from a data loader.

NumPy hands out float64 and int64, a data set hands out labels as columns. Some losses take that, some raise
at the call, some only in ``backward()``. What helps is the same everywhere: ``target.to(prediction.dtype)``
for numbers, ``target.long()`` for classes.
"""

import math

import pytest
import torch
from torch import nn

SCORES = [[1.0, 2.0, 4.0], [0.5, 0.25, 3.0]]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("make", [nn.L1Loss, nn.SmoothL1Loss, nn.BCEWithLogitsLoss, nn.PoissonNLLLoss])
def test_a_wider_target_makes_a_wider_loss(make, reduction):
    """A float64 target makes the loss of ``L1Loss``, ``SmoothL1Loss`` or ``BCEWithLogitsLoss`` float64.

    The gradient of the prediction is float32 all the same. ``PoissonNLLLoss`` does so too. A target made of a
    NumPy array is float64 unless the array is of ``float32``.
    """
    target = torch.tensor([0.25, 3.0])
    prediction, same = (
        torch.tensor([1.0, 2.0], requires_grad=True),
        torch.tensor([1.0, 2.0], requires_grad=True),
    )

    loss = make(reduction=reduction)(prediction, target.double())
    loss.sum().backward()
    make(reduction=reduction)(same, target).sum().backward()

    assert loss.dtype is torch.float64
    assert prediction.grad.dtype is torch.float32
    torch.testing.assert_close(prediction.grad, same.grad)


@pytest.mark.since("2.12")
@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_mse_takes_a_target_of_another_dtype(dtype):
    """``backward()`` of ``nn.MSELoss`` works for a target of another dtype, such as float64 or int64.

    The gradient has the dtype of the prediction.
    """
    prediction = torch.tensor([1.0, 2.0], requires_grad=True)

    for reduction, expected in (("mean", [-1.0, -2.0]), ("sum", [-2.0, -4.0]), ("none", [-2.0, -4.0])):
        prediction.grad = None
        nn.MSELoss(reduction=reduction)(prediction, torch.tensor([2, 4]).to(dtype)).sum().backward()

        assert prediction.grad.dtype is torch.float32
        assert prediction.grad.tolist() == expected


@pytest.mark.before("2.12")
@pytest.mark.parametrize(("dtype", "name"), [(torch.float64, "Double"), (torch.int64, "Long")])
def test_mse_refused_a_target_of_another_dtype(dtype, name):
    """``backward()`` of ``nn.MSELoss`` raises ``RuntimeError`` for a target of another dtype; the call does
    not.

    "Found dtype Double but expected Float" speaks of the target: ``target.float()`` helps.
    """
    prediction = torch.tensor([1.0, 2.0], requires_grad=True)

    for reduction, total in (("mean", 2.5), ("sum", 5.0), ("none", 5.0)):
        loss = nn.MSELoss(reduction=reduction)(prediction, torch.tensor([2, 4]).to(dtype)).sum()

        assert loss.item() == total
        with pytest.raises(RuntimeError, match=f"Found dtype {name} but expected Float"):
            loss.backward()


@pytest.mark.parametrize(("dtype", "name"), [(torch.float64, "Double"), (torch.int64, "Long")])
def test_huber_refuses_a_target_of_another_dtype(dtype, name):
    """``backward()`` of ``nn.HuberLoss`` raises ``RuntimeError`` for a float64 or int64 target; the call does
    not.

    The message, "Found dtype Double but expected Float", comes far from the line that is wrong.
    """
    prediction = torch.tensor([1.0, 2.0], requires_grad=True)

    for reduction, total in (("mean", 1.0), ("sum", 2.0), ("none", 2.0)):
        loss = nn.HuberLoss(reduction=reduction)(prediction, torch.tensor([2, 4]).to(dtype)).sum()

        assert loss.item() == total
        with pytest.raises(RuntimeError, match=f"Found dtype {name} but expected Float"):
            loss.backward()


@pytest.mark.parametrize(
    ("dtype", "name"), [(torch.float64, "Double"), (torch.int64, "Long"), (torch.bool, "Bool")]
)
def test_bce_refuses_a_target_of_another_dtype(dtype, name):
    """``nn.BCELoss`` raises ``RuntimeError`` when called with a float64, integer or bool target.

    Labels 0 and 1 have to be given as ``labels.float()``.
    """
    probabilities, labels = torch.tensor([0.25, 0.5]), torch.tensor([1, 0])

    for reduction in ("mean", "sum", "none"):
        with pytest.raises(RuntimeError, match=f"Found dtype {name} but expected Float"):
            nn.BCELoss(reduction=reduction)(probabilities, labels.to(dtype))

    assert nn.BCELoss()(probabilities, labels.float()).item() == pytest.approx(1.5 * math.log(2))


@pytest.mark.parametrize(("dtype", "name"), [(torch.int64, "Long"), (torch.int32, "Int")])
def test_logits_refuse_integer_targets(dtype, name):
    """``nn.BCEWithLogitsLoss`` and ``KLDivLoss`` raise ``RuntimeError`` for a target of integers."""
    logits, integers = torch.tensor([0.25, 0.5]), torch.tensor([1, 0], dtype=dtype)
    message = f"result type Float can't be cast to the desired output type {name}"

    for reduction in ("mean", "sum", "none"):
        with pytest.raises(RuntimeError, match=message):
            nn.BCEWithLogitsLoss(reduction=reduction)(logits, integers)
        with pytest.raises(RuntimeError, match="Integral inputs not supported"):
            nn.KLDivLoss(reduction=reduction)(logits, integers)


@pytest.mark.parametrize(("make", "expected"), [(nn.L1Loss, [0.5, -0.5]), (nn.SmoothL1Loss, [0.25, -0.5])])
def test_errors_are_taken_to_integers(make, expected):
    """``nn.L1Loss`` and ``SmoothL1Loss`` take a target of integers; the loss and its gradient are float32."""
    prediction = torch.tensor([1.5, 2.0], requires_grad=True)

    loss = make()(prediction, torch.tensor([1, 4]))
    loss.backward()

    assert loss.dtype is torch.float32
    assert prediction.grad.tolist() == expected


@pytest.mark.since("2.12")
@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, nn.NLLLoss])
@pytest.mark.parametrize(("dtype", "name"), [(torch.float32, "Float"), (torch.bool, "Bool")])
def test_class_indices_of_floats_are_named(make, dtype, name):
    """For float or bool class indices ``CrossEntropyLoss`` and ``NLLLoss`` say "to be Long or Byte".

    Labels read from a CSV file or through ``torch.Tensor(labels)`` are floats: call ``labels.long()``.
    """
    scores, classes = torch.tensor(SCORES), torch.tensor([0, 1]).to(dtype)

    for given in ((scores, classes), (scores[0], classes[0]), (scores.T[None], classes[None])):
        with pytest.raises(RuntimeError, match=f"expected target dtype to be Long or Byte, but got {name}"):
            make()(*given)


@pytest.mark.before("2.12")
@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, nn.NLLLoss])
@pytest.mark.parametrize(("dtype", "name"), [(torch.float32, "Float"), (torch.bool, "Bool")])
def test_class_indices_of_floats_were_named(make, dtype, name):
    """For float or bool class indices ``CrossEntropyLoss`` and ``NLLLoss`` say "expected scalar type Long".

    The target is meant, not the scores: call ``labels.long()``.
    """
    scores, classes = torch.tensor(SCORES), torch.tensor([0, 1]).to(dtype)

    for given in ((scores, classes), (scores[0], classes[0]), (scores.T[None], classes[None])):
        with pytest.raises(RuntimeError, match=f"expected scalar type Long but found {name}"):
            make()(*given)


@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_class_weights_have_the_dtype_of_the_scores(make):
    """``CrossEntropyLoss`` and ``NLLLoss`` raise ``RuntimeError`` for float64 class weights of float32
    scores.

    Weights that scikit-learn or NumPy computed are float64: ``torch.tensor(weights, dtype=torch.float32)``.
    """
    weights, target = torch.tensor([1.0, 2.0, 4.0]).double(), torch.tensor([0, 1])
    scores, loss = torch.tensor(SCORES), make(weight=weights)

    for given in ((scores, target), (scores[0], target[0]), (scores.T[None], target[None])):
        with pytest.raises(RuntimeError, match="expected scalar type Float but found Double"):
            loss(*given)

    assert loss(scores.double(), target).dtype is torch.float64


@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_a_column_of_classes_is_refused(make):
    """``CrossEntropyLoss`` and ``NLLLoss`` of ``(N, C)`` raise ``RuntimeError`` for classes ``(N, 1)``.

    "multi-target not supported" means one dimension too many: ``target.squeeze(1)``.
    """
    column = torch.tensor([[2], [1]])

    with pytest.raises(RuntimeError, match="0D or 1D target tensor expected, multi-target not supported"):
        make()(torch.tensor(SCORES), column)

    assert make(reduction="none")(torch.tensor(SCORES), column.squeeze(1)).shape == (2,)


def test_classes_in_the_last_dimension_are_steps():
    """``CrossEntropyLoss`` of ``(N, L, C)`` takes dimension 1 for the classes: without an error if L is C.

    Scores of a language model have their classes last: ``loss(scores.transpose(1, 2), target)``, or both
    flattened.
    """
    loss, target = nn.CrossEntropyLoss(), torch.tensor([[0, 1, 2, 0]])
    scores = torch.tensor([[[1.0, 2.0, 4.0], [0.5, 0.25, 3.0], [2.0, 7.0, 1.0], [0.0, 6.0, 5.0]]])
    flat = loss(scores.view(4, 3), target.view(4))

    torch.testing.assert_close(loss(scores.transpose(1, 2), target), flat)
    with pytest.raises(RuntimeError, match=r"Expected target size \[1, 3\], got \[1, 4\]"):
        loss(scores, target)

    square, right = scores[:, :3], target[:, :3]
    wrong = loss(square, right)
    torch.testing.assert_close(wrong, loss(square[0].T, right[0]))
    assert not torch.allclose(wrong, loss(square[0], right[0]))


@pytest.mark.parametrize("scores", [[[3.0], [5.0]], [[-7.0], [0.0]]], ids=["some", "others"])
def test_one_output_is_no_choice(scores):
    """``CrossEntropyLoss`` of one class, scores ``(N, 1)``, is 0 whatever the scores, and trains nothing.

    For a yes or no with one output, take ``BCEWithLogitsLoss``.
    """
    logits = torch.tensor(scores, requires_grad=True)

    loss = nn.CrossEntropyLoss()(logits, torch.tensor([0, 0]))
    loss.backward()

    assert loss.item() == 0.0
    assert logits.grad.tolist() == [[0.0], [0.0]]
