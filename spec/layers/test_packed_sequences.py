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
    """:func:`~torch.nn.utils.rnn.pack_padded_sequence` drops the padding and stores the batch time step by
    time step.

    ``batch_sizes`` says how many sequences each step has. A recurrent layer then spends nothing on padding,
    and its last state is that of the last real step.
    """
    padded = torch.tensor([[1, 4], [2, 5], [3, 0]])

    packed = pack_padded_sequence(padded, torch.tensor([3, 2]))

    assert type(packed) is PackedSequence
    assert packed.data.tolist() == [1, 4, 2, 5, 3]
    assert packed.batch_sizes.tolist() == [2, 2, 1]
    assert packed.sorted_indices is None
    assert packed.unsorted_indices is None


def test_batch_first_is_told():
    """``pack_padded_sequence(batch_first=True)`` expects a tensor whose first dimension is the batch.

    Without it the same tensor is read as another batch, and no error says so if the lengths fit.
    """
    padded = torch.tensor([[1, 2, 3], [4, 5, 0]])

    packed = pack_padded_sequence(padded, [3, 2], batch_first=True)

    assert packed.data.tolist() == [1, 4, 2, 5, 3]
    assert packed.batch_sizes.tolist() == [2, 2, 1]
    assert pack_padded_sequence(padded, [2, 2, 1]).data.tolist() == [1, 2, 3, 4, 5]


def test_sequences_are_sorted_by_length():
    """By default ``pack_padded_sequence`` raises ``RuntimeError`` unless lengths are in decreasing order."""
    packed = pack_padded_sequence(torch.tensor([[3, 1], [4, 0]]), [2, 1])
    assert packed.data.tolist() == [3, 1, 4]

    with pytest.raises(RuntimeError, match="`lengths` array must be sorted in decreasing order"):
        pack_padded_sequence(torch.tensor([[1, 3], [0, 4]]), [1, 2])


def test_without_enforce_sorted_they_are_sorted():
    """``pack_padded_sequence(enforce_sorted=False)`` sorts by length and stores the original order.

    Outputs and states of a recurrent layer come back in the order that was given.
    """
    packed = pack_padded_sequence(torch.tensor([[1, 3], [0, 4]]), [1, 2], enforce_sorted=False)

    assert packed.data.tolist() == [3, 1, 4]
    assert packed.sorted_indices.tolist() == [1, 0]
    assert packed.unsorted_indices.tolist() == [1, 0]


def test_padding_is_put_back():
    """:func:`~torch.nn.utils.rnn.pad_packed_sequence` returns the padded tensor and the lengths.

    The padding is zero unless ``padding_value`` is given, and the order is that from before packing.
    """
    packed = pack_padded_sequence(torch.tensor([[1, 3], [0, 4]]), [1, 2], enforce_sorted=False)

    padded, lengths = pad_packed_sequence(packed, batch_first=True, padding_value=-7)

    assert padded.tolist() == [[1, -7], [3, 4]]
    assert lengths.tolist() == [1, 2]
    assert pad_packed_sequence(packed)[0].tolist() == [[1, 3], [0, 4]]


def test_a_total_length_may_be_given():
    """``pad_packed_sequence`` pads up to ``total_length``, and raises ``ValueError`` if that is too small.

    :class:`~torch.nn.DataParallel` needs it, so that all replicas return the same length.
    """
    packed = pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])

    assert pad_packed_sequence(packed, total_length=3)[0].tolist() == [[1, 3], [2, 0], [0, 0]]
    with pytest.raises(ValueError, match="total_length=1 and max sequence length being 2"):
        pad_packed_sequence(packed, total_length=1)


def test_sequences_are_padded():
    """:func:`~torch.nn.utils.rnn.pad_sequence` pads tensors of different length with zeros at the end and
    stacks them.

    The batch is the second dimension unless ``batch_first=True``.
    """
    sequences = [torch.tensor([1, 2]), torch.tensor([3])]

    assert pad_sequence(sequences).tolist() == [[1, 3], [2, 0]]
    assert pad_sequence(sequences, True, 7.0).tolist() == [[1, 2], [3, 7]]


def test_sequences_are_packed_at_once():
    """:func:`~torch.nn.utils.rnn.pack_sequence` packs a list that is sorted by length, or any with
    ``enforce_sorted=False``.
    """
    short, long = torch.tensor([1]), torch.tensor([2, 3])

    assert pack_sequence([long, short]).data.tolist() == [2, 1, 3]
    assert pack_sequence([short, long], enforce_sorted=False).data.tolist() == [2, 1, 3]
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        pack_sequence([short, long])


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_a_recurrent_layer_gives_what_it_takes(make):
    """``nn.RNN``, ``LSTM`` and ``GRU`` given a ``PackedSequence`` return their output as one, in the same
    order.

    The final state, the second result, is that of each sequence's own last step.
    """
    layer = make(2, 3)
    short, long = torch.rand(1, 2), torch.rand(2, 2)

    out, last = layer(pack_sequence([short, long], enforce_sorted=False))
    if make is nn.LSTM:
        last, _ = last

    assert type(out) is PackedSequence
    padded, lengths = pad_packed_sequence(out)
    assert lengths.tolist() == [1, 2]
    torch.testing.assert_close(padded[:1, 0], layer(short)[0])
    torch.testing.assert_close(last[0, 1], layer(long)[0][-1])
