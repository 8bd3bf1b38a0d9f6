"""On which device and of which dtype a module is built.

A layer accepts ``device`` and ``dtype``; without them, defaults that can be changed hold.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence


def test_a_layer_is_built_where_told(device):
    """``nn.BatchNorm1d(2, device=...)`` creates its parameters and buffers on that device."""
    for place in ("meta", device):
        norm = nn.BatchNorm1d(2, device=place)

        assert [t.device.type for t in norm.state_dict().values()] == [place] * 5


def test_a_layer_is_built_of_the_dtype_told():
    """A layer's ``dtype=`` argument sets its floating point tensors; integer buffers keep their dtype."""
    one = nn.PReLU, nn.LayerNorm
    two = nn.Linear, nn.Embedding, nn.EmbeddingBag, nn.LSTM, nn.GRUCell
    three = nn.Conv2d, nn.ConvTranspose1d, nn.Bilinear
    others = nn.ModuleList(
        [
            *[kind(2, dtype=torch.float64) for kind in one],
            *[kind(2, 3, dtype=torch.float64) for kind in two],
            *[kind(2, 3, 4, dtype=torch.float64) for kind in three],
            nn.GroupNorm(1, 2, dtype=torch.float64),
            nn.MultiheadAttention(2, 1, dtype=torch.float64),
            nn.TransformerDecoderLayer(2, 1, dtype=torch.float64),
            nn.TransformerEncoderLayer(2, 1, dtype=torch.float64),
            nn.Transformer(2, 1, 1, 1, dtype=torch.float64),
        ]
    )
    norms = nn.Sequential(
        nn.BatchNorm1d(2, dtype=torch.float64),
        nn.InstanceNorm1d(2, affine=True, track_running_stats=True, dtype=torch.float64),
    )

    assert {p.dtype for p in others.parameters()} == {torch.float64}
    assert [p.dtype for p in norms.parameters()] == [torch.float64] * 4
    assert [b.dtype for b in norms.buffers()] == [torch.float64, torch.float64, torch.int64] * 2


def test_a_layer_of_integers_cannot_be_built():
    """``nn.Linear(2, 3, dtype=torch.int64)`` raises ``RuntimeError``: integers cannot require gradients."""
    with pytest.raises(
        RuntimeError, match="Only Tensors of floating point and complex dtype can require grad"
    ):
        nn.Linear(2, 3, dtype=torch.int64)


def test_nothing_told_means_32_bits_on_the_cpu():
    """Without ``device`` and ``dtype``, layers such as ``nn.Linear`` are created on the CPU as
    ``torch.float32``.

    :func:`torch.set_default_device`, a device as context and :func:`torch.set_default_dtype` change that.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

    assert [t.device for t in net.state_dict().values()] == [torch.device("cpu")] * 7
    assert [t.dtype for t in net.state_dict().values()] == [torch.float32] * 6 + [torch.int64]

    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    finally:
        torch.set_default_dtype(torch.float32)
    assert [t.device for t in net.state_dict().values()] == [torch.device("meta")] * 7
    assert [t.dtype for t in net.state_dict().values()] == [torch.float64] * 6 + [torch.int64]


def test_a_device_is_a_context(device):
    """Inside a ``with torch.device(...)`` block, modules and tensors are created on that device.

    A large model is so built where it is to run, or on the meta device without any memory. See *meta*.
    """
    for place in ("meta", device):
        with torch.device(place):
            net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
            made = [torch.tensor([1.5, 2.5]), torch.full((2,), 1.5), torch.randint(3, (2,))]
            made += [make(2) for make in (torch.zeros, torch.ones, torch.empty, torch.rand, torch.randn)]
            made += [make(2) for make in (torch.arange, torch.eye, torch.randperm)]

        assert [t.device.type for t in [*net.state_dict().values(), *made]] == [place] * 18


def test_a_context_ends():
    """After a ``with torch.device(...)`` block, the previous default holds; modules made inside do not
    move.
    """
    with torch.device("meta"):
        inside = nn.Linear(2, 3)

    assert nn.Linear(2, 3).weight.device.type == "cpu"
    assert inside.weight.device.type == "meta"

    torch.set_default_device("meta")
    try:
        with pytest.raises(TypeError, match="missing 1 required"), torch.device("cpu"):
            nn.Linear(2)
        after = nn.Linear(2, 3)
    finally:
        torch.set_default_device(None)

    assert after.weight.device.type == "meta"


def test_the_innermost_context_holds():
    """With nested ``with torch.device(...)`` blocks, the innermost decides where a module is created."""
    with torch.device("meta"):
        with torch.device("cpu"):
            inner = nn.BatchNorm1d(3)
        outer = nn.BatchNorm1d(3)

    assert {tensor.device.type for tensor in inner.state_dict().values()} == {"cpu"}
    assert {tensor.device.type for tensor in outer.state_dict().values()} == {"meta"}


def test_an_explicit_device_wins():
    """A layer's ``device=`` overrides a ``with torch.device(...)`` block and ``torch.set_default_device``."""
    with torch.device("meta"):
        in_context = [kind(2, 3, device="cpu") for kind in (nn.Linear, nn.LSTM, nn.Embedding)]
        in_context.append(nn.BatchNorm1d(3, device="cpu"))
    torch.set_default_device("meta")
    try:
        by_default = [kind(2, 3, device="cpu") for kind in (nn.Linear, nn.LSTM, nn.Embedding)]
        by_default.append(nn.BatchNorm1d(3, device="cpu"))
    finally:
        torch.set_default_device(None)

    for layers in (in_context, by_default):
        assert [t.device.type for t in nn.ModuleList(layers).state_dict().values()] == ["cpu"] * 12


def test_a_context_does_not_move_what_is_there():
    """A ``with torch.device(...)`` block does not move existing modules or the outputs they compute."""
    net, x = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), torch.rand(4, 2)

    with torch.device("meta"):
        outputs = [net(x), net.eval()(x)]

    assert [t.device.type for t in net.state_dict().values()] == ["cpu"] * 7
    assert [output.device.type for output in outputs] == ["cpu", "cpu"]


def test_the_default_device_can_be_set():
    """The device set by :func:`torch.set_default_device` holds until the next call; ``None`` restores the
    CPU.
    """
    torch.set_default_device("meta")
    try:
        layer = nn.Linear(2, 3)
        with torch.device("cpu"):
            inside = nn.Linear(2, 3)
        after = nn.Linear(2, 3)
        torch.set_default_device("cpu")
        later = nn.Linear(2, 3)
        torch.set_default_device(torch.device("meta"))
        last = nn.Linear(2, 3)
    finally:
        torch.set_default_device(None)

    assert [net.weight.device.type for net in (layer, after, last)] == ["meta"] * 3
    assert [net.weight.device.type for net in (inside, later)] == ["cpu"] * 2
    assert nn.Linear(2, 3).weight.device.type == "cpu"


@pytest.mark.since("2.3")
def test_the_default_device_can_be_read():
    """:func:`torch.get_default_device` returns the device set by ``torch.set_default_device``."""
    told = []
    try:
        for place in ("meta", "meta:1", "cpu"):
            torch.set_default_device(place)
            told.append(torch.get_default_device())
    finally:
        torch.set_default_device(None)

    assert told == [torch.device("meta"), torch.device("meta:1"), torch.device("cpu")]


@pytest.mark.since("2.10")
def test_without_a_default_device_it_is_the_cpu():
    """:func:`torch.get_default_device` returns the CPU once ``set_default_device(None)`` took a default back.

    Up to torch 2.9 it raised ``AttributeError`` then.
    """
    torch.set_default_device("meta")
    torch.set_default_device(None)

    assert torch.get_default_device() == torch.device("cpu")


@pytest.mark.since("2.3")
@pytest.mark.before("2.10")
def test_without_a_default_device_it_could_not_be_read():
    """:func:`torch.get_default_device` raises ``AttributeError`` after ``torch.set_default_device(None)``."""
    torch.set_default_device("meta")
    torch.set_default_device(None)

    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'device'"):
        torch.get_default_device()


@pytest.mark.since("2.8")
def test_the_device_of_a_context_can_be_read():
    """Inside a ``with torch.device(...)`` block, :func:`torch.get_default_device` returns that device.

    Up to torch 2.7 it saw the context only where a default was set, and failed once that was taken back.
    """
    for default in (None, "cpu"):
        torch.set_default_device(default)
        try:
            with torch.device("meta"):
                told = torch.get_default_device()
                with torch.device("cpu"):
                    inner = torch.get_default_device()
        finally:
            torch.set_default_device(None)

        assert told == torch.device("meta")
        assert inner == torch.device("cpu")


def test_the_default_dtype_can_be_set():
    """:func:`torch.set_default_dtype` sets the dtype of modules created later, not of existing ones."""
    before = nn.Linear(2, 3)
    torch.set_default_dtype(torch.float64)
    try:
        net, kept = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), before.weight.dtype
    finally:
        torch.set_default_dtype(torch.float32)

    assert [t.dtype for t in net.state_dict().values()] == [torch.float64] * 6 + [torch.int64]
    assert kept == torch.float32


def test_the_default_dtype_is_floating_point():
    """:func:`torch.set_default_dtype` raises ``TypeError`` for an integer dtype."""
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        with pytest.raises(TypeError, match="only floating-point types are supported as the default type"):
            torch.set_default_dtype(dtype)


def test_a_module_of_ones_own_takes_what_it_passes_on():
    """A custom module must pass ``device=`` on to its layers; ``with torch.device(...)`` works without that.

    What it creates itself, in :meth:`~torch.nn.Module.__init__`, has to be given the device too, unless it is
    built inside ``with torch.device(...)``.
    """

    class Net(nn.Module):
        def __init__(self, device=None):
            super().__init__()
            self.inner = nn.Linear(2, 3, device=device)
            self.norm = nn.BatchNorm1d(3, device=device)
            self.scale = nn.Parameter(torch.rand(3))

    told = Net(device="meta")
    with torch.device("meta"):
        inside = Net()

    assert [t.device.type for t in told.state_dict().values()] == ["cpu"] + ["meta"] * 7
    assert [t.device.type for t in inside.state_dict().values()] == ["meta"] * 8


def test_a_tensor_of_the_old_constructors_is_on_the_cpu():
    """``torch.Tensor(2, 3)`` is on the CPU even inside ``with torch.device(...)``, unlike ``torch.empty``.

    So does ``torch.FloatTensor``. A layer that makes its weight so is not built on the default device: use
    :func:`torch.empty`. An empty ``nn.Parameter()`` follows the default.
    """
    with torch.device("meta"):
        old = [torch.Tensor(2, 3), torch.Tensor([1.0]), torch.FloatTensor(2), nn.Parameter(torch.Tensor(2))]
        new = [torch.empty(2, 3), torch.tensor([1.0]), nn.Parameter()]

    assert {tensor.device.type for tensor in old} == {"cpu"}
    assert {tensor.device.type for tensor in new} == {"meta"}


def test_a_tie_is_made_on_any_device():
    """Weights tied inside ``with torch.device("meta")`` are one parameter, until the module is moved.

    :meth:`~torch.nn.Module.to_empty` unties them: tie them again afterwards, as after
    :ref:`state.assign.tied_weights_are_untied`.

    See also :ref:`placement.identity.the_meta_device_breaks_ties`
    """
    with torch.device("meta"):
        net = nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 3, bias=False))
        net[1].weight = net[0].weight

    assert net[1].weight is net[0].weight
    assert [name for name, _ in net.named_parameters()] == ["0.weight"]
    net.to_empty(device="cpu")
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "1.weight"]


@pytest.mark.since("2.1")
def test_lengths_stay_on_the_cpu():
    """``pack_padded_sequence`` takes a list of lengths whatever the default device.

    The lengths stay on the CPU. Up to torch 2.0 it raised (:issue:`103964`). A tensor of lengths that is made
    on the default device still has to be moved: ``lengths.cpu()``.
    """
    with torch.device("meta"):
        packed = pack_padded_sequence(torch.rand(3, 2), [3, 1])
        cpu = torch.tensor([[2.0, 3.0, 5.0], [7.0, 0.0, 0.0]], device="cpu")
        for enforce_sorted in (True, False):
            first = pack_padded_sequence(cpu, [3, 1], True, enforce_sorted)
            assert first.batch_sizes.tolist() == [2, 1, 1]
            assert first.data.tolist() == [2.0, 7.0, 3.0, 5.0]

        with pytest.raises(RuntimeError, match="'lengths' argument should be a 1D CPU int64 tensor"):
            pack_padded_sequence(torch.rand(3, 2), torch.tensor([3, 1]))

    assert packed.batch_sizes.tolist() == [2, 1, 1]
    assert [packed.data.device.type, packed.batch_sizes.device.type] == ["meta", "cpu"]


@pytest.mark.before("2.1")
def test_lengths_went_to_the_default_device():
    """``pack_padded_sequence`` raises ``RuntimeError`` for a list of lengths if the default device is
    meta.
    """
    with (
        torch.device("meta"),
        pytest.raises(RuntimeError, match="'lengths' argument should be a 1D CPU int64 tensor"),
    ):
        pack_padded_sequence(torch.rand(3, 2), [3, 1])


def test_an_error_leaves_the_default_dtype():
    """``torch.set_default_dtype`` outlives an error; ``with torch.device(...)`` ends with it.

    It holds for the whole process: where a model fails to be built in half precision, all that is made later
    is of half precision too. Set it back in ``finally``. ``with torch.float64:`` raises an error. See
    :func:`torch.set_default_dtype`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.set_default_dtype(torch.float64)
            raise FileNotFoundError("weights")

    try:
        with pytest.raises(FileNotFoundError, match="weights"), torch.device("meta"):
            Net()
        after = nn.Linear(2, 3).weight
    finally:
        torch.set_default_dtype(torch.float32)

    assert [after.dtype, after.device.type] == [torch.float64, "cpu"]
    with pytest.raises((AttributeError, TypeError), match=r"context manager|__enter__"), torch.float64:
        pass
