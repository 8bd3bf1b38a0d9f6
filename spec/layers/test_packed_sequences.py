"""Sequences of different length, packed for recurrent layers.

A batch of sequences is kept in one tensor, step by step, without padding.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
)


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_steps_are_put_one_after_another(make):
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

    layer, x = make(1, 3), padded.unsqueeze(-1).float()
    _, last = layer(pack_padded_sequence(x, [3, 2]))
    last = last[0] if make is nn.LSTM else last
    torch.testing.assert_close(last[0], torch.stack([layer(x[:3, 0])[0][-1], layer(x[:2, 1])[0][-1]]))


def test_batch_first_is_told():
    """``pack_padded_sequence(batch_first=True)`` expects a tensor whose first dimension is the batch.

    Without it the same tensor is read as another batch, and no error says so if the lengths fit.
    """
    padded = torch.tensor([[1, 2, 3], [4, 5, 0]])

    for enforce_sorted in (True, False):
        packed = pack_padded_sequence(padded, [3, 2], batch_first=True, enforce_sorted=enforce_sorted)

        assert packed.data.tolist() == [1, 4, 2, 5, 3]
        assert packed.batch_sizes.tolist() == [2, 2, 1]
    assert pack_padded_sequence(padded, [2, 2, 1]).data.tolist() == [1, 2, 3, 4, 5]
    assert pack_padded_sequence(padded[:, :2], [2, 2]).data.tolist() == [1, 2, 4, 5]


def test_sequences_are_sorted_by_length():
    """By default ``pack_padded_sequence`` raises ``RuntimeError`` unless lengths are in decreasing order.

    See also :ref:`layers.packed_sequences.without_enforce_sorted_they_are_sorted`
    """
    packed = pack_padded_sequence(torch.tensor([[3, 1], [4, 0]]), [2, 1])
    assert packed.data.tolist() == [3, 1, 4]

    for lengths in ([1, 2], torch.tensor([1, 2])):
        for batch_first in (True, False):
            with pytest.raises(RuntimeError, match="`lengths` array must be sorted in decreasing order"):
                pack_padded_sequence(torch.tensor([[1, 3], [0, 4]]), lengths, batch_first)


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_without_enforce_sorted_they_are_sorted(make):
    """``pack_padded_sequence(enforce_sorted=False)`` sorts by length and stores the original order.

    Outputs and states of a recurrent layer come back in the order that was given.
    """
    padded = torch.tensor([[1, 3, 4], [2, 0, 5], [0, 0, 6]])

    packed = pack_padded_sequence(padded, [2, 1, 3], enforce_sorted=False)

    assert packed.data.tolist() == [4, 1, 3, 5, 2, 6]
    assert packed.sorted_indices.tolist() == [2, 0, 1]
    assert packed.unsorted_indices.tolist() == [1, 2, 0]

    layer, x = make(1, 3), padded.unsqueeze(-1).float()
    output, last = layer(pack_padded_sequence(x, [2, 1, 3], enforce_sorted=False))
    alone = [layer(x[:length, k])[0] for k, length in enumerate([2, 1, 3])]
    torch.testing.assert_close(pad_packed_sequence(output)[0], pad_sequence(alone))
    hidden = last[0] if make is nn.LSTM else last
    torch.testing.assert_close(hidden[0], torch.stack([steps[-1] for steps in alone]))


def test_padding_is_put_back():
    """:func:`~torch.nn.utils.rnn.pad_packed_sequence` returns the padded tensor and the lengths.

    The padding is zero unless ``padding_value`` is given, and the order is that from before packing.
    """
    given = torch.tensor([[1, 3, 4], [2, 0, 5], [0, 0, 6]])
    packed = pack_padded_sequence(given, [2, 1, 3], enforce_sorted=False)

    padded, lengths = pad_packed_sequence(packed, batch_first=True, padding_value=-7)

    assert padded.tolist() == [[1, 2, -7], [3, -7, -7], [4, 5, 6]]
    assert lengths.tolist() == [2, 1, 3]
    assert torch.equal(pad_packed_sequence(packed)[0], given)


def test_a_step_may_have_any_shape():
    """``pad_packed_sequence`` puts back steps of any shape, such as pictures: ``(T, B, *)`` or ``(B, T, *)``.

    A recurrent layer itself takes only vectors as steps.
    """
    film, shorter = torch.rand(3, 4, 5), torch.rand(2, 4, 5)
    packed = pack_sequence([film, shorter])

    padded, _ = pad_packed_sequence(packed)
    assert padded.shape == (3, 2, 4, 5)
    assert torch.equal(padded[:, 0], film)
    assert torch.equal(padded[:2, 1], shorter)

    by_batch, _ = pad_packed_sequence(packed, batch_first=True)
    assert torch.equal(by_batch, padded.transpose(0, 1))


def test_a_total_length_may_be_given():
    """``pad_packed_sequence`` pads up to ``total_length``, and raises ``ValueError`` if that is too small.

    :class:`~torch.nn.DataParallel` needs it, so that all replicas return the same length.
    """
    packed = pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])

    padded, lengths = pad_packed_sequence(packed, total_length=3)
    assert padded.tolist() == [[1, 3], [2, 0], [0, 0]]
    assert lengths.tolist() == [2, 1]
    assert pad_packed_sequence(packed, total_length=2)[0].tolist() == [[1, 3], [2, 0]]
    assert pad_packed_sequence(packed, True, 7, 3)[0].tolist() == [[1, 2, 7], [3, 7, 7]]
    with pytest.raises(ValueError, match="total_length=1 and max sequence length being 2"):
        pad_packed_sequence(packed, total_length=1)


def test_sequences_are_padded():
    """:func:`~torch.nn.utils.rnn.pad_sequence` pads tensors of different length with zeros at the end and
    stacks them.

    The batch is the second dimension unless ``batch_first=True``.
    """
    sequences = [torch.tensor([1, 2]), torch.tensor([3])]

    assert pad_sequence(sequences).tolist() == [[1, 3], [2, 0]]
    assert pad_sequence([*sequences[::-1], torch.tensor([4, 5, 6])]).tolist() == [
        [3, 1, 4],
        [0, 2, 5],
        [0, 0, 6],
    ]
    assert pad_sequence([torch.ones(2, 1), torch.ones(1, 1)]).tolist() == [[[1.0], [1.0]], [[1.0], [0.0]]]
    assert pad_sequence(sequences, True, 7.0).tolist() == [[1, 2], [3, 7]]


def test_sequences_are_packed_at_once():
    """:func:`~torch.nn.utils.rnn.pack_sequence` packs a list that is sorted by length, or any with
    ``enforce_sorted=False``.
    """
    short, long = torch.tensor([1]), torch.tensor([2, 3])

    assert pack_sequence([long, short]).data.tolist() == [2, 1, 3]
    packed = pack_sequence([short, long], enforce_sorted=False)
    assert packed.data.tolist() == [2, 1, 3]
    assert pad_packed_sequence(packed)[0].tolist() == [[1, 2], [0, 3]]
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        pack_sequence([short, long])
    rows = torch.rand(2, 3, 4), torch.rand(1, 3, 4)
    assert torch.equal(pack_sequence(rows).data, torch.stack([rows[0][0], rows[1][0], rows[0][1]]))


def test_a_default_device_breaks_packing():
    """Under a default device that is not the CPU, ``pack_sequence`` raises ``RuntimeError`` for its own
    lengths.

    After ``torch.set_default_device("cuda")`` it makes the lengths there, and refuses them. Call it under
    ``with torch.device("cpu"):``.
    """
    sequences = [torch.tensor([2, 3]), torch.tensor([1])]

    with torch.device("meta"), pytest.raises(RuntimeError, match="'lengths' argument should be a 1D CPU"):
        pack_sequence(sequences)
    with torch.device("meta"), pytest.raises(RuntimeError, match=r"'lengths' argument|out of meta tensor"):
        pack_sequence(sequences, enforce_sorted=False)
    with torch.device("meta"), torch.device("cpu"):
        assert pack_sequence(sequences).data.tolist() == [2, 1, 3]


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_a_recurrent_layer_gives_what_it_takes(make):
    """``nn.RNN``, ``LSTM`` and ``GRU`` given a ``PackedSequence`` return their output as one, in the same
    order.

    The final state, the second result, is that of each sequence's own last step.
    """
    layer, sequences = make(2, 3, num_layers=2), [torch.rand(length, 2) for length in (2, 1, 3)]

    first = (torch.rand(2, 3, 3), torch.rand(2, 3, 3)) if make is nn.LSTM else torch.rand(2, 3, 3)

    out, last = layer(pack_sequence(sequences, enforce_sorted=False), first)

    assert type(out) is PackedSequence
    padded, lengths = pad_packed_sequence(out)
    assert lengths.tolist() == [2, 1, 3]
    for k, sequence in enumerate(sequences):
        output, state = layer(sequence, tuple(s[:, k] for s in first) if make is nn.LSTM else first[:, k])
        torch.testing.assert_close(padded[: len(sequence), k], output)
        for both, own in zip(last, state, strict=True):
            torch.testing.assert_close(both[:, k] if make is nn.LSTM else both[k], own)


@pytest.mark.parametrize("trailing", [(), (5,), (5, 6)], ids=["none", "one", "two"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_any_number_of_trailing_dimensions(batch_first, trailing):
    """``pack_padded_sequence`` packs a padded batch with any number of dimensions after the first two."""
    padded = torch.rand(3, 2, *trailing)
    given = padded.transpose(0, 1) if batch_first else padded

    packed = pack_padded_sequence(given, [3, 1], batch_first)

    expected = torch.stack([padded[0, 0], padded[0, 1], padded[1, 0], padded[2, 0]])
    assert torch.equal(packed.data, expected)
    assert packed.batch_sizes.tolist() == [2, 1, 1]


def test_lengths_beyond_the_padding_are_taken():
    """``pack_padded_sequence`` accepts lengths above the padded size: ``batch_sizes`` then counts absent
    steps.

    Only a recurrent layer, or :func:`~torch.nn.utils.rnn.pad_packed_sequence`, raises ``RuntimeError`` later.
    Lengths from before a batch was cut are the usual reason.
    """
    padded = torch.tensor([[1, 4], [2, 5], [3, 0]])
    packed = pack_padded_sequence(padded, [4, 2])

    assert packed.batch_sizes.tolist() == [2, 2, 1, 1]
    assert packed.data.tolist() == [1, 4, 2, 5, 3]
    batches = pack_padded_sequence(padded.T, [4, 2], batch_first=True)
    assert [batches.batch_sizes.tolist(), batches.data.tolist()] == [[2, 2, 1, 1], [1, 4, 2, 5, 3]]
    with pytest.raises(RuntimeError, match=r"shape '\[2, 1\]' is invalid for input of size 1"):
        pad_packed_sequence(packed)
    for layer in (nn.RNN(1, 3), nn.LSTM(1, 3), nn.GRU(1, 3)):
        with pytest.raises(RuntimeError, match="exceeds dimension size"):
            layer(pack_padded_sequence(padded.unsqueeze(-1).float(), [4, 2]))


@pytest.mark.parametrize(
    ("sizes", "lengths", "message"),
    [((3, 2), [3, 0], "greater than 0"), ((3, 0), [], "Cannot pack empty tensors")],
    ids=["sequence", "batch"],
)
def test_an_empty_sequence_or_batch_is_an_error(sizes, lengths, message):
    """``pack_padded_sequence`` raises ``RuntimeError`` for a length of 0 and for an empty batch.

    Leave such samples out before packing.
    """
    sequences, lengths = torch.rand(*sizes), torch.tensor(lengths, dtype=torch.int64)

    for enforce_sorted in (True, False):
        with pytest.raises(RuntimeError, match=message):
            pack_padded_sequence(sequences, lengths, enforce_sorted=enforce_sorted)


def test_lengths_are_on_the_cpu():
    """``pack_padded_sequence`` raises ``RuntimeError`` for a tensor of lengths that is not on the CPU.

    With a batch on a GPU pass ``lengths.cpu()``, or a list.
    """
    padded = torch.tensor([[1, 4], [2, 5], [3, 0]])

    assert pack_padded_sequence(padded, [3, 2]).data.tolist() == [1, 4, 2, 5, 3]
    assert pack_padded_sequence(padded, torch.tensor([3, 2])).data.tolist() == [1, 4, 2, 5, 3]
    for enforce_sorted in (True, False):
        with pytest.raises(RuntimeError, match=r"'lengths' argument should be a 1D CPU|out of meta tensor"):
            pack_padded_sequence(padded, torch.tensor([3, 2], device="meta"), enforce_sorted=enforce_sorted)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_dtype_and_device_are_kept(dtype, enforce_sorted, device):
    """``pack_padded_sequence`` packs any dtype on any device; ``batch_sizes`` are ``int64`` on the CPU."""
    padded = torch.tensor([[1, 0], [1, 1], [0, 1]], device=device).to(dtype)

    packed = pack_padded_sequence(padded, [3, 2], enforce_sorted=enforce_sorted)

    assert packed.data.dtype == dtype
    assert packed.data.device == padded.device
    assert packed.data.tolist() == [1, 0, 1, 1, 0]
    assert packed.batch_sizes.dtype == torch.int64
    assert packed.batch_sizes.device.type == "cpu"

    elsewhere = pack_padded_sequence(padded.to("meta"), [3, 2], enforce_sorted=enforce_sorted)
    assert [elsewhere.data.device.type, elsewhere.batch_sizes.device.type] == ["meta", "cpu"]


def test_indices_are_where_the_data_are(device):
    """``pack_padded_sequence(enforce_sorted=False)`` gives ``int64`` indices on the device of the data."""
    for place in (device, "meta"):
        padded = torch.rand(2, 3, device=place, dtype=torch.float64)
        packed = pack_padded_sequence(padded, [1, 2, 2], enforce_sorted=False)

        for indices in (packed.sorted_indices, packed.unsorted_indices):
            assert indices.dtype == torch.int64
            assert indices.device == padded.device


def test_batch_sizes_off_the_cpu_are_refused():
    """:class:`~torch.nn.utils.rnn.PackedSequence` raises ``ValueError`` for ``batch_sizes`` off the CPU, but
    accepts ``int32``.

    The wrong dtype is an error only where the object is used: let the functions of
    ``torch.nn.utils.rnn`` build it.
    """
    with pytest.raises(ValueError, match="batch_sizes should always be on CPU"):
        PackedSequence(torch.rand(3), torch.tensor([2, 1], device="meta"))

    packed = PackedSequence(torch.rand(3), torch.tensor([2, 1], dtype=torch.int32))
    assert packed.batch_sizes.dtype == torch.int32
    with pytest.raises(RuntimeError, match="should be a 1D CPU int64 tensor, but got 1D cpu Int tensor"):
        pad_packed_sequence(packed)


def test_the_inverse_of_a_permutation():
    """:func:`~torch.nn.utils.rnn.invert_permutation` returns the inverse of a tensor of indices, and ``None``
    for ``None``.
    """
    permutation = torch.tensor([2, 0, 3, 1])

    inverse = invert_permutation(permutation)

    assert inverse.tolist() == [1, 3, 0, 2]
    assert permutation[inverse].tolist() == [0, 1, 2, 3]
    assert invert_permutation(None) is None


def test_the_two_orders_are_inverse():
    """``sorted_indices`` and ``unsorted_indices`` of a ``PackedSequence`` are inverse, by
    ``invert_permutation``.

    Data in the given order are sorted by the former, and brought back by the latter.
    """
    given = [torch.tensor([1, 2]), torch.tensor([3]), torch.tensor([4, 5, 6])]

    packed = pack_sequence(given, enforce_sorted=False)

    assert packed.sorted_indices.tolist() == [2, 0, 1]
    assert packed.unsorted_indices.tolist() == [1, 2, 0]
    assert torch.equal(invert_permutation(packed.sorted_indices), packed.unsorted_indices)
    assert torch.equal(invert_permutation(packed.unsorted_indices), packed.sorted_indices)


@pytest.mark.parametrize(
    ("layer", "cell"), [(nn.RNN, nn.RNNCell), (nn.LSTM, nn.LSTMCell), (nn.GRU, nn.GRUCell)]
)
def test_cells_take_no_packed_sequence(layer, cell):
    """:class:`nn.RNNCell <torch.nn.RNNCell>`, ``LSTMCell`` and ``GRUCell`` raise ``AttributeError`` for a
    ``PackedSequence``.

    A cell computes one step: pass it a tensor. ``RNN``, ``LSTM`` and ``GRU`` take a ``PackedSequence``.
    """
    packed = pack_sequence([torch.rand(3, 2), torch.rand(1, 2)])

    assert type(layer(2, 5)(packed)[0]) is PackedSequence
    with pytest.raises(AttributeError, match="'PackedSequence' object has no attribute 'dim'"):
        cell(2, 5)(packed)


@pytest.mark.since("2.3")
def test_another_input_size_of_a_packed_sequence():
    """For a wrong ``input_size``, the ``RuntimeError`` of ``nn.LSTM`` names both sizes, except for packed
    sequences.

    ``nn.RNN`` and ``GRU`` do in either case. ``nn.LSTM`` examines no packed sequence: what raises is a matrix
    product (:issue:`195803`). In 2.1 and 2.2 it took padded input of any size, without a state. See
    :func:`~torch.nn.utils.rnn.pack_padded_sequence`.
    """
    packed = pack_padded_sequence(torch.rand(4, 2, 6), [4, 2])

    for layer in (nn.RNN(5, 3), nn.GRU(5, 3)):
        with pytest.raises(RuntimeError, match=r"equal to input_size. Expected 5, got 6"):
            layer(packed)
    layer, state = nn.LSTM(5, 3), (torch.rand(1, 2, 3), torch.rand(1, 2, 3))
    for given in ((), (state,)):
        with pytest.raises(RuntimeError, match=r"equal to input_size. Expected 5, got 6"):
            layer(torch.rand(4, 2, 6), *given)
        with pytest.raises(RuntimeError, match=r"^(?!.*input_size)"):
            layer(packed, *given)
