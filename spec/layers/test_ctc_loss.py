"""CTCLoss: sequences of labels against longer sequences of outputs.

Its arguments are many, and few of them are checked: what does not fit gives infinity, or some number.
"""

import pytest
import torch
from torch import nn

LABELS = [[1, 2, 3], [1, 1, 2]]


def test_ctc_defaults():
    """``nn.CTCLoss`` takes class 0 for the blank by default, and leaves ``zero_infinity`` off."""
    log_probs = torch.randn(6, 2, 4).log_softmax(2)
    labels, lengths = torch.tensor(LABELS), (torch.tensor([6, 6]), torch.tensor([3, 3]))

    assert nn.CTCLoss().blank == 0
    assert nn.CTCLoss().zero_infinity is False
    shifted = nn.CTCLoss(blank=3)(log_probs.roll(-1, 2), labels - 1, *lengths)
    assert torch.allclose(nn.CTCLoss()(log_probs, labels, *lengths), shifted)


def test_ctc_takes_logs_of_probabilities():
    """``CTCLoss`` does not apply ``log_softmax``: for logits it raises no error, and may be negative.

    Of one step and one label it is what stands there, negated. Call ``log_softmax`` on logits first.
    """
    logits, one = torch.tensor([[[0.5, 2.0, -1.0]]]), torch.tensor([1])
    log_probs = logits.log_softmax(2)

    assert nn.CTCLoss()(logits, torch.tensor([[1]]), one, one).item() == -2.0
    assert torch.allclose(nn.CTCLoss()(log_probs, torch.tensor([[1]]), one, one), -log_probs[0, 0, 1])


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_ctc_takes_integers_of_any_kind(dtype):
    """On the CPU ``CTCLoss`` takes targets and lengths of ``int32``, ``int16`` and ``uint8`` as well as
    ``long``.
    """
    log_probs, labels, loss = torch.randn(6, 2, 4).log_softmax(2), torch.tensor(LABELS), nn.CTCLoss()
    lengths = torch.tensor([6, 5]), torch.tensor([3, 2])

    wanted = loss(log_probs, labels, *lengths)

    for targets in (labels, labels.flatten()[:5]):
        result = loss(log_probs, targets.to(dtype), *[length.to(dtype) for length in lengths])
        assert torch.equal(result, wanted)


@pytest.mark.needs("cuda")
def test_ctc_uses_cudnn_for_255_labels():
    """Given tuples of lengths, ``CTCLoss`` uses cuDNN only for joined ``int32`` targets of up to 255 labels.

    That is on a GPU, but with the targets on the CPU, a float32 input, and 0 for the blank. All input lengths
    are that of the input then, and no target is longer. In all other cases torch computes the loss itself.
    """
    log_probs = torch.randn(300, 2, 5, device="cuda").log_softmax(2).requires_grad_()
    labels, long, short = torch.tensor([1, 2, 3] * 100, dtype=torch.int32), (300, 300), (255, 3)

    def uses_cudnn(log_probs, labels, steps=long, lengths=short, blank=0):
        loss = nn.CTCLoss(blank, reduction="none")(log_probs, labels, steps, lengths)
        return "Cudnn" in loss.grad_fn.name()

    assert uses_cudnn(log_probs, labels[:258]) is True
    assert uses_cudnn(log_probs, labels[:259], lengths=(256, 3)) is False
    assert uses_cudnn(log_probs, labels[:258], steps=(300, 299)) is False
    assert uses_cudnn(log_probs[:2], labels[:6], steps=(2, 2), lengths=(3, 3)) is False
    assert uses_cudnn(log_probs, labels[:258], blank=4) is False
    assert uses_cudnn(log_probs, labels[:258].long()) is False
    assert uses_cudnn(log_probs, labels[:258].cuda()) is False
    assert uses_cudnn(log_probs.double(), labels[:258]) is False
    assert uses_cudnn(log_probs, labels[:6].view(2, 3), lengths=(3, 3)) is False


@pytest.mark.needs("cuda")
@pytest.mark.since("2.5")
def test_ctc_uses_cudnn_for_inputs_of_any_length():
    """On a GPU ``CTCLoss`` uses cuDNN for input lengths that differ, if they are an ``int32`` tensor.

    Of lengths in tuples, all must be the length of the input.
    """
    log_probs = torch.randn(6, 2, 5, device="cuda").log_softmax(2).requires_grad_()
    labels, loss = torch.tensor([1, 2, 3, 1, 2], dtype=torch.int32), nn.CTCLoss(reduction="none")
    lengths = [torch.tensor(each, dtype=torch.int32, device="cuda") for each in ((6, 4), (3, 2))]

    of_tensors, of_tuples = loss(log_probs, labels.cuda(), *lengths), loss(log_probs, labels, (6, 4), (3, 2))

    assert "Cudnn" in of_tensors.grad_fn.name()
    assert "Cudnn" not in of_tuples.grad_fn.name()
    assert torch.allclose(of_tensors, of_tuples, atol=1e-4)


def test_ctc_divides_by_target_lengths():
    """``CTCLoss(reduction="mean")`` divides each loss by its target length, then averages over the batch.

    ``"sum"`` adds the losses up as they are, ``"none"`` keeps them all. Other losses average what ``"none"``
    returns.
    """
    log_probs = torch.randn(6, 2, 4).log_softmax(2)
    arguments = log_probs, torch.tensor(LABELS), torch.tensor([6, 6]), torch.tensor([3, 2])

    values = nn.CTCLoss(reduction="none")(*arguments)

    assert values.shape == (2,)
    assert torch.allclose(nn.CTCLoss(reduction="sum")(*arguments), values[0] + values[1])
    assert torch.allclose(nn.CTCLoss(reduction="mean")(*arguments), (values[0] / 3 + values[1] / 2) / 2)


def test_ctc_of_too_short_an_input_is_infinite():
    """``CTCLoss`` returns ``inf``, and raises no error, for a target that is longer than its input.

    A repeated label needs a blank in between, so ``[1, 1, 2]`` wants four steps.
    """
    log_probs = torch.randn(6, 2, 4).log_softmax(2)
    loss, labels, three = nn.CTCLoss(reduction="none"), torch.tensor(LABELS), torch.tensor([3, 3])

    assert loss(log_probs, labels, torch.tensor([2, 2]), three).isinf().tolist() == [True, True]
    assert loss(log_probs, labels, torch.tensor([3, 3]), three).isinf().tolist() == [False, True]
    assert loss(log_probs, labels, torch.tensor([4, 4]), three).isinf().tolist() == [False, False]
    for reduction in ("mean", "sum"):
        assert nn.CTCLoss(reduction=reduction)(log_probs, labels, three, three).item() == float("inf")


def test_zero_infinity_clears_the_gradients():
    """``CTCLoss(zero_infinity=True)`` turns infinite losses into 0, and their gradients from NaN into 0.

    One sample that is too short otherwise spoils the parameters of the whole net.
    """
    lengths = torch.tensor([2, 6]), torch.tensor([3, 3])
    given = torch.randn(6, 2, 4).log_softmax(2).requires_grad_()
    default = given.detach().clone().requires_grad_()

    cleared = nn.CTCLoss(reduction="none", zero_infinity=True)(given, torch.tensor(LABELS), *lengths)
    cleared.sum().backward()
    nn.CTCLoss(reduction="sum")(default, torch.tensor(LABELS), *lengths).backward()

    assert cleared[0] == 0
    assert cleared[1] > 0
    mean = nn.CTCLoss(zero_infinity=True)(given, torch.tensor(LABELS), *lengths)
    assert torch.allclose(mean, cleared[1] / 3 / 2)
    assert given.grad[:, 0].tolist() == [[0.0] * 4] * 6
    assert default.grad[:2, 0].isnan().all()
    assert torch.equal(given.grad[:, 1], default.grad[:, 1])


def test_ctc_does_not_look_for_blanks_in_targets():
    """``CTCLoss`` lets targets contain the blank: it returns some number for them, and raises nothing.

    With class 0 for the blank, labels begin at 1: a dataset whose classes begin at 0 trains wrongly in
    silence.
    """
    log_probs = torch.randn(6, 1, 4).log_softmax(2)

    for blank in (0, 2):
        for targets in (torch.tensor([[2, 0, 1]]), torch.tensor([2, 0, 1])):
            loss = nn.CTCLoss(blank)(log_probs, targets, torch.tensor([6]), torch.tensor([3]))

            assert loss.isfinite()
            assert loss > 0


def test_ctc_lengths_are_of_one_kind():
    """``CTCLoss`` takes both lengths as tensors or both as tuples: a mix raises ``TypeError``."""
    log_probs, labels, loss = torch.randn(6, 2, 4).log_softmax(2), torch.tensor(LABELS), nn.CTCLoss()

    tensors = loss(log_probs, labels, torch.tensor([6, 5]), torch.tensor([3, 2]))

    assert torch.equal(loss(log_probs, labels, (6, 5), (3, 2)), tensors)
    with pytest.raises(TypeError, match="received an invalid combination of arguments"):
        loss(log_probs, labels, (6, 5), torch.tensor([3, 2]))
    with pytest.raises(TypeError, match="received an invalid combination of arguments"):
        loss(log_probs, labels, torch.tensor([6, 5]), (3, 2))


def test_ctc_input_lengths_fit_the_input():
    """``CTCLoss`` raises ``RuntimeError`` for an input length that is greater than the number of steps."""
    log_probs, labels, loss = torch.randn(6, 2, 4).log_softmax(2), torch.tensor(LABELS), nn.CTCLoss()

    message = "Expected input_lengths to have value at most 6, but got value 7"
    for lengths in ((torch.tensor([6, 7]), torch.tensor([3, 3])), ((6, 7), (3, 3))):
        for given in (labels, labels.flatten()):
            with pytest.raises(RuntimeError, match=message):
                loss(log_probs, given, *lengths)

    assert loss(log_probs, labels, torch.tensor([6, 4]), torch.tensor([3, 3])).isfinite()


def test_ctc_target_lengths_fit_the_targets():
    """On the CPU ``CTCLoss`` raises ``RuntimeError`` unless 1-D targets are as long as
    ``sum(target_lengths)``.

    Those are the targets of all samples, joined. Padded targets, of shape ``(N, S)``, raise for a target
    length greater than ``S``.
    """
    log_probs, labels, six = torch.randn(6, 2, 4).log_softmax(2), torch.tensor(LABELS), torch.tensor([6, 6])
    loss = nn.CTCLoss()

    with pytest.raises(
        RuntimeError, match="Expected tensor to have size at least 4 at dimension 1, but got size 3"
    ):
        loss(log_probs, labels, six, torch.tensor([3, 4]))
    with pytest.raises(RuntimeError, match="Expected tensor to have size 5 at dimension 0, but got size 6"):
        loss(log_probs, labels.flatten(), six, torch.tensor([3, 2]))
    with pytest.raises(RuntimeError, match="Expected tensor to have size 6 at dimension 0, but got size 5"):
        loss(log_probs, labels.flatten()[:5], six, torch.tensor([3, 3]))

    joined = loss(log_probs, labels.flatten(), six, torch.tensor([3, 3]))
    assert torch.equal(joined, loss(log_probs, labels, six, torch.tensor([3, 3])))


def test_ctc_does_not_read_padding():
    """``CTCLoss`` ignores what padded targets of shape ``(N, S)`` hold behind their target lengths.

    Targets of different length are padded to the longest and stacked. ``log_probs`` are ignored behind their
    input lengths likewise.
    """
    log_probs, loss = torch.randn(6, 2, 4).log_softmax(2), nn.CTCLoss(reduction="none")
    joined, lengths = torch.tensor([1, 2, 3, 1, 2]), (torch.tensor([6, 5]), torch.tensor([3, 2]))

    padded = torch.nn.utils.rnn.pad_sequence([joined[:3], joined[3:]], batch_first=True)
    other = torch.tensor([[1, 2, 3], [1, 2, 3]])
    shorter = log_probs.clone()
    shorter[5, 1] = -7.0

    result = loss(log_probs, joined, *lengths)
    assert padded.tolist() == [[1, 2, 3], [1, 2, 0]]
    assert torch.equal(loss(log_probs, padded, *lengths), result)
    assert torch.equal(loss(log_probs, other, *lengths), result)
    assert torch.equal(loss(shorter, padded, *lengths), result)
    assert not torch.allclose(loss(log_probs, other, lengths[0], torch.tensor([3, 3])), result)
