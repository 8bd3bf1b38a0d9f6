"""Sequences of different length, padded to one tensor, and back.

Unlike a packed sequence, a padded tensor does not know where its sequences end: the lengths are kept beside
it.
"""

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_sequence, unpack_sequence, unpad_sequence


@pytest.mark.parametrize("trailing", [(), (4,), (4, 5)], ids=["none", "one", "two"])
def test_sequences_may_have_more_dimensions(trailing):
    """:func:`~torch.nn.utils.rnn.pad_sequence` pads tensors with any number of dimensions after the first."""
    long, short = torch.rand(3, *trailing), torch.rand(2, *trailing)

    padded = pad_sequence([long, short], padding_value=7.0)

    assert padded.shape == (3, 2, *trailing)
    assert torch.equal(padded[:, 0], long)
    assert torch.equal(padded[:2, 1], short)
    assert torch.equal(padded[2, 1], torch.full(trailing, 7.0))
    first = pad_sequence([long, short], batch_first=True, padding_value=7.0)
    assert torch.equal(first, padded.transpose(0, 1))


def test_any_iterable_of_tensors_is_padded():
    """``pad_sequence`` takes any iterable of tensors, such as a generator; a number raises ``RuntimeError``.

    So it does for ``None``, and for a list without tensors.
    """
    sequences = [torch.tensor([5.0]), torch.tensor([2.0, 3.0])]

    for given in (sequences, tuple(sequences), iter(sequences), (each for each in sequences)):
        assert pad_sequence(given).tolist() == [[5.0, 2.0], [0.0, 3.0]]
    for wrong in (5, 5.0, None):
        with pytest.raises(RuntimeError, match="Expected iterable for input sequences"):
            pad_sequence(wrong)
    with pytest.raises(RuntimeError, match="received an empty list of sequences"):
        pad_sequence([])


def test_the_first_sequence_says_dtype_and_sizes(recwarn):
    """``pad_sequence`` casts to the dtype of the first tensor and broadcasts trailing sizes of 1 to its own.

    Nothing warns, and fractions are lost if the first tensor holds integers.
    """
    integers, fractions = torch.tensor([1, 2]), torch.tensor([3.7])

    assert pad_sequence([integers, fractions]).tolist() == [[1, 3], [2, 0]]
    assert pad_sequence([torch.rand(2, 3), torch.tensor([[5.0]])])[0, 1].tolist() == [5.0, 5.0, 5.0]
    assert pad_sequence([torch.rand(2, 3), torch.tensor([[5.0]])], True)[1, 0].tolist() == [5.0, 5.0, 5.0]
    assert list(recwarn) == []
    with pytest.raises(RuntimeError, match=r"must match the size of tensor b \(2\)"):
        pad_sequence([torch.rand(2, 3), torch.rand(1, 2)])


@pytest.mark.since("2.5")
def test_the_padding_may_come_first():
    """``pad_sequence(padding_side="left")`` pads at the start, and raises ``RuntimeError`` for an unknown
    side.
    """
    sequences = [torch.tensor([1, 2]), torch.tensor([3])]

    assert pad_sequence(sequences, padding_side="left").tolist() == [[1, 0], [2, 3]]
    assert pad_sequence(sequences, True, 7, "left").tolist() == [[1, 2], [7, 3]]
    rows = pad_sequence([torch.ones(2, 3), torch.ones(1, 3)], padding_side="left")
    assert rows[:, 1].tolist() == [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    assert pad_sequence(sequences, padding_side="right").tolist() == [[1, 3], [2, 0]]
    with pytest.raises(RuntimeError, match="padding_side to be one of left or right, but got top"):
        pad_sequence(sequences, padding_side="top")


@pytest.mark.parametrize("options", [{}, {"batch_first": False}, {"batch_first": True}], ids=str)
def test_the_padding_is_taken_off(options):
    """:func:`~torch.nn.utils.rnn.unpad_sequence` returns a list of the sequences; the batch comes second by
    default.

    The tensors are copies.
    """
    given = [torch.tensor([4]), torch.tensor([1, 2, 3]), torch.tensor([5, 6])]
    padded = pad_sequence(given, **options)

    sequences = unpad_sequence(padded, torch.tensor([1, 3, 2]), **options)
    padded.fill_(7)

    assert type(sequences) is list
    assert [sequence.tolist() for sequence in sequences] == [[4], [1, 2, 3], [5, 6]]


@pytest.mark.since("2.1")
@pytest.mark.parametrize("options", [{}, {"batch_first": True}], ids=str)
def test_lengths_are_a_tensor(options):
    """``unpad_sequence`` raises ``AttributeError`` if the lengths are a list instead of a tensor."""
    padded, lengths = pad_sequence([torch.tensor([1, 2, 3]), torch.tensor([4])], **options), [3, 1]

    with pytest.raises(AttributeError, match="'list' object has no attribute 'device'"):
        unpad_sequence(padded, lengths, **options)


def test_unpadding_transposes_what_it_is_given():
    """``unpad_sequence`` transposes the given tensor in place, unless ``batch_first=True``.

    The second call with the same tensor then returns other sequences, or fails: pass a view,
    ``unpad_sequence(padded.transpose(0, 1), lengths, batch_first=True)``.
    """
    padded, lengths = torch.tensor([[1, 4], [2, 0], [3, 0]]), torch.tensor([3, 1])

    unpad_sequence(padded, lengths)
    assert padded.tolist() == [[1, 2, 3], [4, 0, 0]]

    unpad_sequence(padded, lengths, batch_first=True)
    assert padded.tolist() == [[1, 2, 3], [4, 0, 0]]


def test_a_packed_sequence_is_unpacked():
    """:func:`~torch.nn.utils.rnn.unpack_sequence` returns a list of the sequences in the order before
    packing.
    """
    given = [torch.tensor([1]), torch.tensor([2, 3, 4]), torch.tensor([5, 6])]

    sequences = unpack_sequence(pack_sequence(given, enforce_sorted=False))

    assert type(sequences) is list
    assert [sequence.tolist() for sequence in sequences] == [[1], [2, 3, 4], [5, 6]]
    assert [each.tolist() for each in unpack_sequence(pack_sequence(given[1:]))] == [[2, 3, 4], [5, 6]]


def test_only_a_packed_sequence_is_unpacked():
    """:func:`~torch.nn.utils.rnn.unpack_sequence` raises ``AttributeError`` for anything but a
    ``PackedSequence``.

    A padded tensor comes apart with :func:`~torch.nn.utils.rnn.unpad_sequence`.
    """
    padded = torch.tensor([[1, 2], [3, 0]])

    for given in (padded, [padded[0], padded[1]], (padded, torch.tensor([2, 1]))):
        with pytest.raises(AttributeError, match=f"'{type(given).__name__}' object has no attribute"):
            unpack_sequence(given)
