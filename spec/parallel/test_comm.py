"""comm: copying tensors to several GPUs, and adding them up.

``torch.nn.parallel.comm`` is the layer below *replicate*: parameters are broadcast to the devices, and in
backward the gradients of all devices are added. The functions can be called by themselves, and know nothing
of autograd. A device that is named twice gets two tensors, so most of this shows on one GPU.
"""

import re
import warnings

import pytest
import torch
from torch.nn.parallel import comm


@pytest.mark.needs("cuda")
def test_broadcast_copies_to_each_device():
    """:func:`comm.broadcast <torch.nn.parallel.comm.broadcast>` returns a list with a copy for each device,
    of a tensor on the CPU or a GPU.

    On the GPU where the tensor is already, the copy is the tensor itself: changing one changes both.
    """
    x = torch.tensor([2.0, 3.0])
    on_gpu = x.cuda()

    copies = comm.broadcast(x, [0, "cuda:0"])

    assert type(copies) is list
    assert [str(copy.device) for copy in copies] == ["cuda:0", "cuda:0"]
    assert [copy.tolist() for copy in copies] == [[2.0, 3.0], [2.0, 3.0]]
    assert copies[0].data_ptr() != copies[1].data_ptr()
    assert comm.broadcast(on_gpu, (device for device in [0]))[0] is on_gpu


@pytest.mark.needs("cuda")
def test_broadcast_can_fill_tensors():
    """:func:`comm.broadcast(x, out=tensors) <torch.nn.parallel.comm.broadcast>` copies ``x`` into these GPU
    tensors and returns them in a list.

    A tensor on the CPU, or of another shape than ``x``, raises ``RuntimeError``.
    """
    x = torch.tensor([2.0, 3.0])
    first, second = out = torch.empty(2, device="cuda"), torch.empty(2, device="cuda")

    filled = comm.broadcast(x, out=out)

    assert type(filled) is list
    assert [id(tensor) for tensor in filled] == [id(first), id(second)]
    assert [tensor.tolist() for tensor in out] == [[2.0, 3.0], [2.0, 3.0]]
    with pytest.raises(RuntimeError, match="Expected all output tensors to be CUDA tensors"):
        comm.broadcast(x, out=[torch.empty(2)])
    with pytest.raises(RuntimeError, match="Expected all output tensors to have same shape"):
        comm.broadcast(x, out=[torch.empty(3, device="cuda")])


@pytest.mark.parametrize(
    "given",
    [{}, {"devices": [0], "out": []}, {"devices": [], "out": ["x"]}],
    ids=["neither", "both", "no device"],
)
def test_broadcast_goes_to_devices_or_tensors(given):
    """:func:`comm.broadcast <torch.nn.parallel.comm.broadcast>` raises ``RuntimeError`` if given both
    ``devices`` and ``out``, or neither.
    """
    told = f"but got devices={given.get('devices')} and out={given.get('out')}"

    with pytest.raises(
        RuntimeError, match=re.escape(f"Exactly one of 'devices' and 'out' must be specified, {told}")
    ):
        comm.broadcast(torch.tensor([2.0, 3.0]), **given)


@pytest.mark.needs("cuda")
def test_a_complex_tensor_is_broadcast_as_pairs():
    """:func:`comm.broadcast <torch.nn.parallel.comm.broadcast>` copies a complex tensor as real pairs.

    Make it complex again with :func:`torch.view_as_complex`, as *replicate* does.
    """
    x = torch.tensor([1 + 2j, 3 + 4j])

    (copy,) = comm.broadcast(x, [0])

    assert copy.dtype is torch.float32
    assert copy.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert torch.view_as_complex(copy).tolist() == [1 + 2j, 3 + 4j]


@pytest.mark.needs("cuda")
def test_broadcast_coalesced_returns_lists():
    """:func:`comm.broadcast_coalesced <torch.nn.parallel.comm.broadcast_coalesced>` returns a list of copies
    for each device, the given tensors for the first.

    The copies come in the order of the tensors, though each dtype travels by itself.
    """
    tensors = [torch.tensor([2.0, 3.0]), torch.tensor([5, 7]), torch.tensor([11.0])]
    tensors = tuple(tensor.cuda() for tensor in tensors)

    result = comm.broadcast_coalesced(tensors, (device for device in [0, "cuda:0"]))
    first, second = result

    assert [type(result), type(first), type(second)] == [list, list, list]
    assert [id(tensor) for tensor in first] == [id(tensor) for tensor in tensors]
    assert [tensor.tolist() for tensor in second] == [[2.0, 3.0], [5, 7], [11.0]]
    assert [str(tensor.device) for tensor in second] == ["cuda:0"] * 3
    assert second[0].data_ptr() != tensors[0].data_ptr()


@pytest.mark.needs("cuda")
def test_a_buffer_may_exceed_its_size():
    """``comm.broadcast_coalesced`` adds tensors to a buffer until it has ``buffer_size`` bytes or more.

    The last one may thus go beyond it. By default a buffer takes 10 MiB, and the copies of small tensors
    are views of one buffer. See :func:`~torch.nn.parallel.comm.broadcast_coalesced`.
    """
    tensors = [torch.tensor([value, value + 1.0]).cuda() for value in (2.0, 5.0, 7.0, 11.0)]

    def buffers(*size):
        copies = [tensor.untyped_storage() for tensor in comm.broadcast_coalesced(tensors, [0, 0], *size)[1]]
        return len({buffer.data_ptr() for buffer in copies}), [buffer.nbytes() for buffer in copies]

    assert buffers() == (1, [32, 32, 32, 32])
    assert buffers(16) == (2, [16, 16, 16, 16])
    assert buffers(12) == (2, [16, 16, 16, 16])


@pytest.mark.parametrize(("place", "devices"), [("cpu", [0]), ("cuda", [1, 0])], ids=["CPU", "another GPU"])
@pytest.mark.needs("cuda")
def test_coalesced_tensors_are_on_the_first_device(place, devices):
    """``comm.broadcast_coalesced`` raises ``RuntimeError`` for tensors that are not on the first of the
    devices.

    So it takes none from the CPU, unlike ``comm.broadcast``. See
    :func:`~torch.nn.parallel.comm.broadcast_coalesced`.
    """
    with pytest.raises(RuntimeError, match=r"All tensors must be on devices\[0\]: "):
        comm.broadcast_coalesced([torch.tensor([2.0, 3.0], device=place)], devices)


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64], ids=str)
@pytest.mark.parametrize("layout", [torch.strided, torch.sparse_coo], ids=["strided", "sparse"])
@pytest.mark.needs("cuda")
def test_reduce_add_returns_the_sum(layout, dtype):
    """:func:`comm.reduce_add <torch.nn.parallel.comm.reduce_add>` returns the sum of tensors in their shape,
    dtype and layout, on ``destination``.

    A single tensor is returned as it is, not as a copy.
    """
    values = [[2, 0, 3]], [[5, 0, 7]], [[11, 0, 13]]
    tensors = [torch.tensor(value, dtype=dtype, device="cuda") for value in values]
    if layout is torch.sparse_coo:
        tensors = [tensor.to_sparse() for tensor in tensors]

    total = comm.reduce_add(tensors, 0)

    assert str(total.device) == "cuda:0"
    assert [total.dtype, total.layout] == [dtype, layout]
    assert total.to_dense().tolist() == [[18, 0, 23]]
    assert comm.reduce_add(tensors[:1], 0) is tensors[0]


@pytest.mark.needs("cuda")
def test_reduce_add_checks_only_sizes():
    """``comm.reduce_add`` raises ``ValueError`` for different sizes, but on one GPU adds different dtypes.

    The sum has the dtype of type promotion; nothing is broadcast. See
    :func:`~torch.nn.parallel.comm.reduce_add`.
    """
    whole, half, row = (torch.tensor(x, device="cuda") for x in ([2, 3], [0.5, 0.25], [[5, 7]]))

    with pytest.raises(ValueError, match="input 1 has invalid size: got 1x2, but expected 2"):
        comm.reduce_add([whole, row])
    with pytest.raises(ValueError, match="input 2 has invalid size: got 2, but expected 1x2"):
        comm.reduce_add([row, row, whole])

    total = comm.reduce_add([whole, half])

    assert total.dtype is torch.float32
    assert total.tolist() == [2.5, 3.25]


@pytest.mark.since("2.11")
def test_reduce_add_is_for_gpus():
    """``comm.reduce_add`` raises ``AssertionError`` that names the first tensor on the CPU."""
    x = torch.tensor([2.0, 3.0])

    with pytest.raises(AssertionError, match="expects all inputs to be on GPUs, but input 0 is on CPU"):
        comm.reduce_add([x, x], 0)
    with pytest.raises(AssertionError, match="expects all inputs to be on GPUs, but input 1 is on CPU"):
        comm.reduce_add([x.to("meta"), x], 0)
    with pytest.raises(AssertionError, match="expects all inputs to be on GPUs, but input 0 is on CPU"):
        comm.reduce_add([x], 0)


def test_reduce_add_takes_no_generator():
    """:func:`comm.reduce_add <torch.nn.parallel.comm.reduce_add>` raises ``TypeError`` for a generator or an
    iterator: it needs a list or tuple.
    """
    x = torch.tensor([2.0, 3.0])

    with pytest.raises(TypeError, match="'generator' object is not subscriptable"):
        comm.reduce_add((tensor for tensor in [x, x]), 0)
    with pytest.raises(TypeError, match="'list_iterator' object is not subscriptable"):
        comm.reduce_add(iter([x, x]), 0)
    for tensors in ([x, x], (x, x)):  # are refused for being on the CPU only
        with pytest.raises((AssertionError, RuntimeError), match="reduce_add expects"):
            comm.reduce_add(tensors, 0)


def test_reduce_add_coalesced_of_an_iterator_is_empty():
    """``comm.reduce_add_coalesced`` of a generator or an iterator silently returns an empty tuple.

    It walks twice through ``inputs``, and finds nothing the second time. Give it a list. See
    :func:`~torch.nn.parallel.comm.reduce_add_coalesced`.
    """
    x = torch.tensor([2.0, 3.0])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert comm.reduce_add_coalesced(iter([[x], [x]]), 0) == ()
        assert comm.reduce_add_coalesced(([x] for _ in range(2)), 0) == ()
    with pytest.raises((AssertionError, RuntimeError), match="reduce_add expects"):  # no tensors on the CPU
        comm.reduce_add_coalesced([[x], [x]], 0)


@pytest.mark.parametrize("inputs", [list, iter], ids=["lists", "iterators"])
@pytest.mark.needs("cuda")
def test_reduce_add_coalesced_adds_group_by_group(inputs):
    """``comm.reduce_add_coalesced`` returns a tuple with the sums of all first tensors, all second ones, etc.

    They are on ``destination``. Each entry of ``inputs`` holds the tensors of one device, also as an
    iterator. See :func:`~torch.nn.parallel.comm.reduce_add_coalesced`.
    """
    first = torch.tensor([2.0, 3.0], device="cuda"), torch.tensor(5, device="cuda")
    second = torch.tensor([10.0, 20.0], device="cuda"), torch.tensor(30, device="cuda")

    sums = comm.reduce_add_coalesced([inputs(first), inputs(second)], 0)

    assert type(sums) is tuple
    assert [tensor.tolist() for tensor in sums] == [[12.0, 23.0], 35]
    assert [str(tensor.device) for tensor in sums] == ["cuda:0", "cuda:0"]


@pytest.mark.needs("cuda")
def test_sparse_tensors_may_be_among_them():
    """``comm.reduce_add_coalesced`` adds sparse tensors; a sum is sparse only if all of its tensors are.

    The sums come in the order of the groups. See :func:`~torch.nn.parallel.comm.reduce_add_coalesced`.
    """
    dense, other = torch.tensor([2.0, 0.0]).cuda(), torch.tensor([0.0, 7.0, 0.0]).cuda()

    sums = comm.reduce_add_coalesced(
        [[other, dense.to_sparse(), dense, dense], [other, dense.to_sparse(), dense.to_sparse(), 2 * dense]],
        0,
    )

    assert [total.layout for total in sums] == [torch.strided, torch.sparse_coo, torch.strided, torch.strided]
    assert [total.to_dense().tolist() for total in sums] == [
        [0.0, 14.0, 0.0],
        [4.0, 0.0],
        [4.0, 0.0],
        [6.0, 0.0],
    ]


@pytest.mark.needs("cuda")
def test_each_device_gives_as_many_tensors():
    """``comm.reduce_add_coalesced`` raises ``ValueError`` where devices give different numbers of tensors.

    See :func:`~torch.nn.parallel.comm.reduce_add_coalesced`.
    """
    x = torch.tensor([2.0, 3.0], device="cuda")

    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter than argument 1"):
        comm.reduce_add_coalesced([[x, x], [x]], 0)


@pytest.mark.needs("cuda")
def test_small_tensors_are_added_in_one_buffer():
    """``comm.reduce_add_coalesced`` adds small tensors in buffers of at most ``buffer_size`` bytes.

    By default that is 10 MiB. Only a larger tensor gets a larger one, of its own. The sums are views of the
    buffers. See :func:`~torch.nn.parallel.comm.reduce_add_coalesced`.
    """
    tensors = [torch.tensor([value, value + 1.0]).cuda() for value in (2.0, 5.0, 7.0)]

    def buffers(*size):
        sums = comm.reduce_add_coalesced([tensors, tensors], 0, *size)
        assert [tensor.tolist() for tensor in sums] == [[4.0, 6.0], [10.0, 12.0], [14.0, 16.0]]
        return [tensor.untyped_storage().nbytes() for tensor in sums]

    assert buffers() == [24, 24, 24]
    assert buffers(20) == [16, 16, 8]
    assert buffers(1) == [8, 8, 8]


@pytest.mark.parametrize(
    "add",
    [comm.reduce_add, lambda tensors, *to: comm.reduce_add_coalesced([[x] for x in tensors], *to)[0]],
    ids=["reduce_add", "reduce_add_coalesced"],
)
@pytest.mark.needs("cuda")
def test_sums_stay_where_a_tensor_is(add):
    """``comm.reduce_add`` and ``reduce_add_coalesced`` raise ``RuntimeError`` unless a tensor is on
    ``destination``.

    By default that is the current device. See :func:`~torch.nn.parallel.comm.reduce_add` and
    :func:`~torch.nn.parallel.comm.reduce_add_coalesced`.
    """
    tensors = [torch.tensor([2.0, 3.0], device="cuda:0"), torch.tensor([5.0, 7.0], device="cuda:0")]

    total = add(tensors)

    assert total.get_device() == torch.cuda.current_device()
    assert total.tolist() == [7.0, 10.0]
    with pytest.raises(RuntimeError, match="reduce_add expects destination to be on the same GPU with one"):
        add(tensors, 1)


@pytest.mark.needs("cuda", 2)
def test_broadcast_reaches_several_devices():
    """``comm.broadcast`` and ``broadcast_coalesced`` place copies of tensors on several GPUs.

    See :func:`~torch.nn.parallel.comm.broadcast` and :func:`~torch.nn.parallel.comm.broadcast_coalesced`.
    """
    x, y = torch.tensor([2.0, 3.0], device="cuda:1"), torch.tensor([5, 7], device="cuda:1")

    copies = comm.broadcast(x, [1, 0])
    coalesced = comm.broadcast_coalesced([x, y], [1, 0])

    assert [str(copy.device) for copy in copies] == ["cuda:1", "cuda:0"]
    assert [copy.tolist() for copy in copies] == [[2.0, 3.0], [2.0, 3.0]]
    assert [[str(copy.device) for copy in each] for each in coalesced] == [["cuda:1"] * 2, ["cuda:0"] * 2]
    assert [[copy.tolist() for copy in each] for each in coalesced] == [[[2.0, 3.0], [5, 7]]] * 2


@pytest.mark.parametrize(
    "add",
    [comm.reduce_add, lambda tensors, *to: comm.reduce_add_coalesced([[x] for x in tensors], *to)[0]],
    ids=["reduce_add", "reduce_add_coalesced"],
)
@pytest.mark.needs("cuda", 2)
def test_tensors_of_several_devices_are_added(add):
    """``comm.reduce_add`` and ``reduce_add_coalesced`` add tensors of several GPUs, by default on the current
    one.

    See :func:`~torch.nn.parallel.comm.reduce_add` and :func:`~torch.nn.parallel.comm.reduce_add_coalesced`.
    """
    tensors = [torch.tensor([2.0, 3.0], device="cuda:0"), torch.tensor([5.0, 7.0], device="cuda:1")]

    with torch.cuda.device(1):
        current, first = add(tensors), add(tensors, 0)

    assert [str(current.device), str(first.device)] == ["cuda:1", "cuda:0"]
    assert [current.tolist(), first.tolist()] == [[7.0, 10.0], [7.0, 10.0]]
