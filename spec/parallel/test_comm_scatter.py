"""comm.scatter and comm.gather: cutting a tensor up for several GPUs, and joining tensors of several.

They are below :func:`parallel.scatter <torch.nn.parallel.scatter>` and *gather*, take single tensors and no
containers, and know nothing of autograd. Here pieces may differ in size, and tensors may be given to be
filled.
"""

import itertools
import re
import warnings

import pytest
import torch
from torch.nn.parallel import comm


@pytest.mark.parametrize("place", ["cpu", "cuda"], ids=["from the CPU", "from a GPU"])
@pytest.mark.needs("cuda")
def test_chunks_have_the_sizes_given(place):
    """:func:`comm.scatter <torch.nn.parallel.comm.scatter>` returns a tuple of chunks of a tensor, one on
    each device.

    ``chunk_sizes`` are their sizes along ``dim``, by default 0. The tensor may be on the CPU or a GPU; a
    chunk for the GPU where it is already is a view.
    """
    x = torch.tensor([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0], [17.0, 19.0, 23.0]], device=place)

    columns = comm.scatter(x, [0, "cuda:0"], [1, 2], 1)
    rows = comm.scatter(x, (device for device in [0, 0]), [2, 1])

    assert type(columns) is tuple
    assert [str(chunk.device) for chunk in columns] == ["cuda:0", "cuda:0"]
    assert columns[0].tolist() == [[2.0], [7.0], [17.0]]
    assert columns[1].tolist() == [[3.0, 5.0], [11.0, 13.0], [19.0, 23.0]]
    assert [chunk.tolist() for chunk in rows] == [x.tolist()[:2], x.tolist()[2:]]
    assert (rows[0].data_ptr() == x.data_ptr()) is (place == "cuda")


@pytest.mark.needs("cuda")
def test_chunk_sizes_add_up():
    """:func:`comm.scatter <torch.nn.parallel.comm.scatter>` raises ``RuntimeError`` unless ``chunk_sizes``
    has an entry per device and sums up to the size.
    """
    x = torch.rand(6)

    with pytest.raises(RuntimeError, match="Expected devices and chunk_sizes to be of same length"):
        comm.scatter(x, [0, 0], [1, 2, 3])
    with pytest.raises(RuntimeError, match="expects split_sizes to sum exactly to 6"):
        comm.scatter(x, [0, 0], [1, 2])


@pytest.mark.needs("cuda")
def test_chunks_are_not_always_equal():
    """Without ``chunk_sizes``, :func:`comm.scatter <torch.nn.parallel.comm.scatter>` cuts like
    :func:`torch.chunk`: the last chunk may be smaller.

    There may be fewer chunks than devices, too.
    """
    chunks = comm.scatter(torch.tensor([2.0, 3.0, 5.0, 7.0, 11.0]), [0, 0, 0, 0])

    assert [chunk.tolist() for chunk in chunks] == [[2.0, 3.0], [5.0, 7.0], [11.0]]


@pytest.mark.needs("cuda")
def test_scatter_runs_on_the_current_stream():
    """:func:`comm.scatter <torch.nn.parallel.comm.scatter>` copies on the ``streams`` given, or by default on
    the current CUDA stream.

    The stream that a chunk was made on is the one its memory belongs to.
    """

    def stream_of(chunk):
        for segment in torch.cuda.memory_snapshot():
            if 0 <= chunk.data_ptr() - segment["address"] < segment["total_size"]:
                return segment["stream"]

    x, given, current = torch.tensor([2.0, 3.0]), torch.cuda.Stream(), torch.cuda.Stream()

    first = comm.scatter(x, [0], streams=[given])[0]
    with torch.cuda.stream(current):
        second = comm.scatter(x, [0])[0]
    third = comm.scatter(x, [0])[0]

    assert stream_of(first) == given.cuda_stream
    assert stream_of(second) == current.cuda_stream
    assert stream_of(third) == torch.cuda.default_stream().cuda_stream


@pytest.mark.needs("cuda")
def test_scatter_can_fill_tensors():
    """:func:`comm.scatter(x, out=tensors) <torch.nn.parallel.comm.scatter>` fills these GPU tensors with
    chunks of their sizes.

    It returns them in a tuple.
    """
    x = torch.tensor([[2.0, 3.0, 5.0], [7.0, 11.0, 13.0]])
    first, second = out = [torch.empty(2, 1, device="cuda"), torch.empty(2, 2, device="cuda")]

    filled = comm.scatter(x, dim=1, out=out)

    assert type(filled) is tuple
    assert [id(tensor) for tensor in filled] == [id(first), id(second)]
    assert first.tolist() == [[2.0], [7.0]]
    assert second.tolist() == [[3.0, 5.0], [11.0, 13.0]]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(1, 2), (1, 3)], "index 0 has incorrect shape"),
        ([(1, 3), (2, 3)], "along scatter dim 0 does not match"),
    ],
    ids=["another dimension", "their sum"],
)
@pytest.mark.needs("cuda")
def test_filled_tensors_fit_together(shapes, message):
    """:func:`comm.scatter(x, out=tensors) <torch.nn.parallel.comm.scatter>` raises ``RuntimeError`` unless
    sizes of the tensors add up to that of ``x``.

    They add up along ``dim``, and are those of ``x`` elsewhere; all are on GPUs.
    """
    with pytest.raises(RuntimeError, match=message):
        comm.scatter(torch.rand(2, 3), out=[torch.empty(shape, device="cuda") for shape in shapes])
    with pytest.raises(RuntimeError, match="Expected all output tensors to be CUDA tensors"):
        comm.scatter(torch.rand(2, 3), out=[torch.empty(2, 3)])


def test_scatter_goes_to_devices_or_tensors():
    """:func:`comm.scatter <torch.nn.parallel.comm.scatter>` raises ``RuntimeError`` if given both ``devices``
    and ``out``, ``TypeError`` if given neither.
    """
    x = torch.rand(2)

    for devices, out in itertools.product(([0], []), ([x], [])):
        told = f"'devices' must not be specified when 'out' is specified, but got devices={devices}"
        with pytest.raises(RuntimeError, match=re.escape(told)):
            comm.scatter(x, devices, out=out)
    for sizes in (None, [2]):
        with pytest.raises(TypeError, match="'NoneType' object is not iterable"):
            comm.scatter(x, chunk_sizes=sizes)


def test_filled_tensors_have_their_own_sizes():
    """:func:`comm.scatter <torch.nn.parallel.comm.scatter>` raises ``RuntimeError`` for ``chunk_sizes`` with
    ``out``.
    """
    for sizes in ([2], []):
        told = f"'chunk_sizes' must not be specified when 'out' is specified, but got chunk_sizes={sizes}"
        with pytest.raises(RuntimeError, match=re.escape(told)):
            comm.scatter(torch.rand(2), chunk_sizes=sizes, out=[torch.empty(2)])


@pytest.mark.parametrize("place", ["cpu", 0, torch.device("cuda:0"), None], ids=str)
@pytest.mark.needs("cuda")
def test_gather_joins_on_its_destination(place):
    """:func:`comm.gather <torch.nn.parallel.comm.gather>` joins tensors along ``dim``, by default 0, on
    ``destination``.

    That is the CPU or a GPU, by default the current one.
    """
    x, y = torch.tensor([[2.0, 3.0], [5.0, 7.0]]), torch.tensor([[11.0, 13.0], [17.0, 19.0]])
    expected = "cpu" if place == "cpu" else "cuda:0"

    rows = comm.gather((tensor.cuda() for tensor in (x, y)), destination=place)
    columns = comm.gather([x.cuda(), y.cuda()], 1, place)

    assert [str(rows.device), str(columns.device)] == [expected, expected]
    assert rows.tolist() == [[2.0, 3.0], [5.0, 7.0], [11.0, 13.0], [17.0, 19.0]]
    assert columns.tolist() == [[2.0, 3.0, 11.0, 13.0], [5.0, 7.0, 17.0, 19.0]]


@pytest.mark.needs("cuda")
def test_gathered_tensors_fit_together():
    """:func:`comm.gather <torch.nn.parallel.comm.gather>` raises ``RuntimeError`` for tensors that differ in
    size in another dimension than ``dim``.

    Under :class:`~torch.nn.DataParallel` that is so for outputs padded to different lengths.
    """
    tensors = [torch.rand(2, 3, device="cuda"), torch.rand(4, 3, device="cuda")]

    assert comm.gather(tensors, 0).shape == (6, 3)
    with pytest.raises(RuntimeError, match=r"index 1 has invalid shape \[4, 3\], but expected \[2, 3\]"):
        comm.gather(tensors, 1)


@pytest.mark.parametrize("place", ["cpu", "cuda"])
@pytest.mark.needs("cuda")
def test_gather_can_fill_a_tensor(place):
    """:func:`comm.gather(tensors, out=x) <torch.nn.parallel.comm.gather>` fills ``x`` on the CPU or a GPU and
    returns it, if it has the joined shape.

    Another shape raises ``RuntimeError``.
    """
    first, second = torch.tensor([[2.0], [3.0]]).cuda(), torch.tensor([[5.0, 7.0], [11.0, 13.0]]).cuda()
    x = torch.empty(2, 3, device=place)

    joined = comm.gather([first, second], 1, out=x)

    assert joined is x
    assert x.tolist() == [[2.0, 5.0, 7.0], [3.0, 11.0, 13.0]]
    for shape in [(2, 2), (2, 4), (3, 3)]:
        with pytest.raises(RuntimeError, match=r"Expected out tensor to have shape \[2, 3\]"):
            comm.gather([first, second], 1, out=torch.empty(shape, device=place))


def test_gather_goes_to_a_device_or_a_tensor():
    """:func:`comm.gather <torch.nn.parallel.comm.gather>` raises ``RuntimeError`` for ``destination`` with
    ``out``.
    """
    x = torch.rand(2)

    for place in ("cpu", 0, -1):
        with pytest.raises(RuntimeError, match=f"'destination' must not be .* but got destination={place}$"):
            comm.gather([x], destination=place, out=x)


@pytest.mark.since("2.4")
def test_minus_one_is_deprecated_as_a_place(monkeypatch):
    """:func:`comm.gather <torch.nn.parallel.comm.gather>` gives a ``FutureWarning`` for ``destination=-1``,
    the CPU.

    Say ``"cpu"``. Here nothing is joined.
    """
    monkeypatch.setattr(torch._C, "_gather", lambda tensors, dim, device: device, raising=False)

    with pytest.warns(FutureWarning, match="Using -1 to represent CPU tensor is deprecated"):
        assert comm.gather([torch.rand(2)], destination=-1) == -1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert comm.gather([torch.rand(2)], destination="cpu") == -1


@pytest.mark.before("2.4")
def test_minus_one_warned_the_user(monkeypatch):
    """:func:`comm.gather <torch.nn.parallel.comm.gather>` gives a ``UserWarning``, and no
    ``FutureWarning``, for ``destination=-1``.
    """
    monkeypatch.setattr(torch._C, "_gather", lambda tensors, dim, device: device, raising=False)

    with pytest.warns(UserWarning, match="Using -1 to represent CPU tensor is deprecated") as warned:
        comm.gather([torch.rand(2)], destination=-1)
    assert [warning.category for warning in warned] == [UserWarning]


@pytest.mark.needs("cuda", 2)
def test_chunks_travel_to_several_devices_and_back():
    """``comm.scatter`` puts each chunk on its own GPU; ``comm.gather`` joins chunks of several GPUs.

    By default on the current GPU. See :func:`~torch.nn.parallel.comm.scatter` and
    :func:`~torch.nn.parallel.comm.gather`.
    """
    chunks = comm.scatter(torch.tensor([2.0, 3.0, 5.0]), [1, 0])

    with torch.cuda.device(1):
        joined = comm.gather(chunks)

    assert [str(chunk.device) for chunk in chunks] == ["cuda:1", "cuda:0"]
    assert [chunk.tolist() for chunk in chunks] == [[2.0, 3.0], [5.0]]
    assert str(joined.device) == "cuda:1"
    assert joined.tolist() == [2.0, 3.0, 5.0]
