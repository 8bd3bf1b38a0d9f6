"""Moving and casting a packed sequence.

``PackedSequence.to`` and its kin change the data. What says how the data are ordered has a dtype and a device
of its own.
"""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence


def test_only_the_data_are_cast():
    """:meth:`PackedSequence.to(dtype) <torch.nn.utils.rnn.PackedSequence.to>` returns a new one with cast
    data and the same indices.

    The one it was called on stays as it is: ``packed = packed.to(dtype)``.
    """
    packed = pack_sequence([torch.tensor([1.0]), torch.tensor([2.0, 3.0])], enforce_sorted=False)

    double = packed.to(torch.float64)

    assert type(double) is PackedSequence
    assert double.data.dtype == torch.float64
    assert double.data.tolist() == [2.0, 1.0, 3.0]
    assert packed.data.dtype == torch.float32
    assert double.batch_sizes is packed.batch_sizes
    assert double.sorted_indices is packed.sorted_indices
    assert double.unsorted_indices is packed.unsorted_indices
    assert packed.to(dtype=torch.float64).data.dtype == torch.float64


def test_the_indices_are_moved_along():
    """``PackedSequence.to(device)`` moves the data and the indices, and leaves ``batch_sizes`` on the CPU."""
    packed = pack_sequence([torch.rand(1), torch.rand(2)], enforce_sorted=False)

    for moved in (packed.to("meta", torch.float64), packed.to(device="meta", dtype=torch.float64)):
        assert moved.data.device.type == "meta"
        assert moved.data.dtype == torch.float64
        assert moved.batch_sizes is packed.batch_sizes
        for indices in (moved.sorted_indices, moved.unsorted_indices):
            assert indices.device.type == "meta"
            assert indices.dtype == torch.int64


@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_with_nothing_to_do_it_returns_itself(enforce_sorted):
    """``PackedSequence.to`` returns the object itself if the data have the dtype and the device."""
    packed = pack_sequence([torch.rand(2), torch.rand(1)], enforce_sorted)

    assert packed.to(torch.float32) is packed
    assert packed.to("cpu") is packed
    assert packed.to(device="cpu", dtype=torch.float32) is packed
    assert packed.to(packed.data) is packed
    assert packed.to(torch.float16) is not packed


@pytest.mark.since("2.11")
def test_a_copy_cannot_be_asked_for():
    """``PackedSequence.to(copy=True)`` raises ``RuntimeError``, unlike ``Tensor.to``.

    For a copy call ``copy.deepcopy``.
    """
    packed = pack_sequence([torch.rand(2), torch.rand(1)])

    assert packed.data.to(torch.float32, copy=True) is not packed.data
    for given in ((torch.float32,), ("cpu",), (packed.data,)):
        with pytest.raises(RuntimeError, match=r"\.to\(\) does not accept copy argument"):
            packed.to(*given, copy=True)


@pytest.mark.before("2.11")
def test_a_copy_could_be_asked_for():
    """``PackedSequence.to(copy=True)`` copies the data."""
    packed = pack_sequence([torch.tensor([2.0, 3.0]), torch.tensor([1.0])])

    copied = packed.to(torch.float32, copy=True)

    assert copied.data is not packed.data
    assert copied.data.tolist() == [2.0, 1.0, 3.0]


def test_the_format_is_asked_of_the_indices_too():
    """Moving a ``PackedSequence`` with indices to ``memory_format=torch.channels_last`` raises
    ``RuntimeError``.

    Those are 1-d. Convert ``packed.data``, or pack sequences that are sorted. Where there is nothing to
    convert, it returns the object itself.
    """
    long, short = torch.rand(3, 2, 4, 5), torch.rand(1, 2, 4, 5)
    given = {"memory_format": torch.channels_last}
    packed = pack_sequence([short, long], enforce_sorted=False)

    assert pack_sequence([long, short]).to(**given).data.stride() == (40, 1, 10, 2)
    for kind in ({}, {"dtype": torch.float64}):
        with pytest.raises(RuntimeError, match="required rank 4 tensor to use channels_last format"):
            packed.to(**kind, **given)
    done = packed._replace(data=packed.data.to(**given))
    assert done.to(**given) is done


def test_it_says_where_the_data_are():
    """``PackedSequence.is_cuda`` and ``PackedSequence.is_pinned()`` are those of its ``data`` tensor.

    ``is_cuda`` is a property, ``is_pinned`` a method.
    """

    class Elsewhere(torch.Tensor):
        is_cuda = True

        def is_pinned(self):
            return True

    here = pack_sequence([torch.rand(2), torch.rand(1)])
    elsewhere = here._replace(data=torch.rand(3).as_subclass(Elsewhere))

    assert [here.is_cuda, here.is_pinned()] == [False, False]
    assert [elsewhere.is_cuda, elsewhere.is_pinned()] == [True, True]


@pytest.mark.needs("cuda")
def test_a_packed_sequence_on_the_gpu():
    """``PackedSequence.cuda()`` returns one with its data on the GPU; ``is_cuda`` is then ``True``."""
    packed = pack_sequence([torch.rand(1), torch.rand(2)], enforce_sorted=False)

    moved = packed.cuda()

    assert [packed.is_cuda, moved.is_cuda] == [False, True]
    assert [moved.data.is_cuda, moved.unsorted_indices.is_cuda] == [True, True]
    assert moved.batch_sizes.is_cuda is False
    assert [packed.is_pinned(), packed.pin_memory().is_pinned()] == [False, True]
