"""What a packed sequence keeps beside its data: numbers of torch.int64, from whichever function.

Read *packed_sequences* first. Labels can be packed like inputs.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

SEQUENCES = [torch.rand(length, 3) for length in (2, 4, 1)]


@pytest.mark.parametrize(
    "make",
    [
        lambda packed: pack_padded_sequence(torch.rand(4, 3, 3), [2, 4, 1], enforce_sorted=False),
        lambda packed: pack_padded_sequence(torch.rand(4, 3), torch.tensor([2, 4, 1]).int(), False, False),
        lambda packed: packed,
        lambda packed: nn.RNN(3, 2)(packed)[0],
        lambda packed: nn.LSTM(3, 2)(packed)[0],
        lambda packed: nn.GRU(3, 2)(packed)[0],
        lambda packed: packed.to(torch.float64),
        lambda packed: packed.to(torch.zeros(1, dtype=torch.int32)),
        lambda packed: packed.int(),
        lambda packed: packed.half(),
        lambda packed: packed.cpu(),
        lambda packed: packed.to("meta"),
    ],
    ids=["padded", "int32", "list", "RNN", "LSTM", "GRU", "to", "to a tensor", "int", "half", "cpu", "meta"],
)
def test_each_way_to_a_packed_sequence(make):
    """Every way to a ``PackedSequence``, such as ``pack_sequence``, ``GRU`` or ``to``, gives int64 indices.

    They are where the data are; ``batch_sizes``, of int64 too, are on the CPU.
    """
    packed = make(pack_sequence(SEQUENCES, enforce_sorted=False))

    tensors = [packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices]
    assert [tensor.dtype for tensor in tensors] == [torch.int64] * 3
    assert [tensor.device.type for tensor in tensors] == ["cpu"] + [packed.data.device.type] * 2
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1]


def test_the_dtype_of_given_indices_is_not_checked():
    """``PackedSequence`` takes ``sorted_indices`` and ``unsorted_indices`` of int32, if both are given.

    Padding and ``nn.RNN`` use them as they are. Of ``sorted_indices`` alone the others cannot be computed.
    """
    right = pack_sequence(SEQUENCES, enforce_sorted=False)
    data, sizes, order, back = right.data, right.batch_sizes, right.sorted_indices, right.unsorted_indices

    packed = PackedSequence(data, sizes, order.int(), back.int())

    assert packed.sorted_indices.dtype == packed.unsorted_indices.dtype == torch.int32
    assert torch.equal(pad_packed_sequence(packed)[0], pad_packed_sequence(right)[0])
    assert nn.RNN(3, 2)(packed)[0].sorted_indices.dtype == torch.int32
    with pytest.raises(RuntimeError, match="scatter"):
        PackedSequence(data, sizes, order.int())


def test_labels_are_packed_like_outputs():
    """``pack_padded_sequence`` of labels puts them in the order of an RNN's packed output: no padding counts.

    The loss is that of each sequence alone.
    """
    net, lengths = nn.RNN(3, 5), [4, 2, 1]
    x, labels = torch.rand(4, 3, 3), torch.tensor([[1, 2, 0], [4, 3, 1], [0, 1, 4], [2, 2, 2]])
    loss = nn.CrossEntropyLoss(reduction="sum")

    scores, wanted = net(pack_padded_sequence(x, lengths))[0], pack_padded_sequence(labels, lengths)

    one_by_one = [loss(net(x[:length, n])[0], labels[:length, n]) for n, length in enumerate(lengths)]
    assert torch.allclose(loss(scores.data, wanted.data), torch.stack(one_by_one).sum(), atol=1e-5)
