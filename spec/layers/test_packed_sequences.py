"""Sequences of different length, packed for recurrent layers.

A batch of sequences is kept in one tensor, step by step, without padding.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
)


def test_steps_are_put_one_after_another():
    """:func:`~torch.nn.utils.rnn.pack_padded_sequence` keeps what is not padding, step by step."""
    padded = torch.tensor([[1, 4], [2, 5], [3, 0]])

    packed = pack_padded_sequence(padded, torch.tensor([3, 2]))

    assert type(packed) is PackedSequence
    assert packed.data.tolist() == [1, 4, 2, 5, 3]
    assert packed.batch_sizes.tolist() == [2, 2, 1]
    assert (packed.sorted_indices, packed.unsorted_indices) == (None, None)


def test_batch_first_is_told():
    """With ``batch_first=True`` the first dimension of the padded tensor counts the sequences."""
    padded = torch.tensor([[1, 2, 3], [4, 5, 0]])

    packed = pack_padded_sequence(padded, [3, 2], batch_first=True)

    assert packed.data.tolist() == [1, 4, 2, 5, 3]


def test_sequences_are_sorted_by_length():
    """By default sequences come in order of length, the longest first; other orders raise an error."""
    with pytest.raises(RuntimeError, match="`lengths` array must be sorted in decreasing order"):
        pack_padded_sequence(torch.tensor([[1, 3], [0, 4]]), [1, 2])


def test_without_enforce_sorted_they_are_sorted():
    """With ``enforce_sorted=False`` the sequences are sorted, and the order is kept along."""
    packed = pack_padded_sequence(torch.tensor([[1, 3], [0, 4]]), [1, 2], enforce_sorted=False)

    assert packed.data.tolist() == [3, 1, 4]
    assert packed.sorted_indices.tolist() == [1, 0]
    assert packed.unsorted_indices.tolist() == [1, 0]


def test_padding_is_put_back():
    """:func:`~torch.nn.utils.rnn.pad_packed_sequence` gives the padded tensor and the lengths."""
    packed = pack_padded_sequence(torch.tensor([[1, 3], [0, 4]]), [1, 2], enforce_sorted=False)

    padded, lengths = pad_packed_sequence(packed, batch_first=True, padding_value=-7)

    assert padded.tolist() == [[1, -7], [3, 4]]
    assert lengths.tolist() == [1, 2]
    assert pad_packed_sequence(packed)[0].tolist() == [[1, 3], [0, 4]]


def test_a_total_length_may_be_given():
    """With ``total_length`` the result is padded up to it; a length too small raises ``ValueError``."""
    packed = pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])

    assert pad_packed_sequence(packed, total_length=3)[0].tolist() == [[1, 3], [2, 0], [0, 0]]
    with pytest.raises(ValueError, match="total_length=1 and max sequence length being 2"):
        pad_packed_sequence(packed, total_length=1)


def test_sequences_are_padded():
    """:func:`~torch.nn.utils.rnn.pad_sequence` stacks sequences of different length."""
    sequences = [torch.tensor([1, 2]), torch.tensor([3])]

    assert pad_sequence(sequences).tolist() == [[1, 3], [2, 0]]
    assert pad_sequence(sequences, True, 7.0).tolist() == [[1, 2], [3, 7]]


def test_sequences_are_packed_at_once():
    """:func:`~torch.nn.utils.rnn.pack_sequence` packs a list, sorted or with ``enforce_sorted=False``."""
    sequences = [torch.tensor([1]), torch.tensor([2, 3])]

    assert pack_sequence(sequences, enforce_sorted=False).data.tolist() == [2, 1, 3]
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        pack_sequence(sequences)


def test_a_recurrent_layer_gives_what_it_takes():
    """Given a packed sequence, an :class:`~torch.nn.RNN` gives a packed sequence in the same order."""
    rnn = nn.RNN(2, 3)
    short, long = torch.rand(1, 2), torch.rand(2, 2)

    out, last = rnn(pack_sequence([short, long], enforce_sorted=False))

    assert type(out) is PackedSequence
    padded, lengths = pad_packed_sequence(out)
    assert lengths.tolist() == [1, 2]
    torch.testing.assert_close(padded[:1, 0], rnn(short)[0])
    torch.testing.assert_close(last[0, 1], rnn(long)[0][-1])
