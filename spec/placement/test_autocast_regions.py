"""Where an autocast region begins and ends: inside of another, around a function, in a thread.

What it casts is in *autocast* and *autocast_operations*.
"""

import threading
import warnings

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


def test_a_region_may_be_interrupted():
    """In ``torch.autocast("cpu", enabled=False)`` a layer casts nothing: bfloat16 raises ``RuntimeError``.

    Cast such inputs by hand: ``x.float()``. The outer region goes on behind it.
    """
    layer, x = nn.Linear(2, 2), torch.ones(2)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = layer(x)
        with torch.autocast("cpu", enabled=False):
            inside = layer(hidden.float())
            with pytest.raises(RuntimeError, match=r"same dtype|expected scalar type"):
                layer(hidden)
        behind = layer(hidden)

    assert [result.dtype for result in (hidden, inside, behind)] == [
        torch.bfloat16,
        torch.float32,
        torch.bfloat16,
    ]


def test_forward_may_be_a_region():
    """A ``forward`` decorated by ``torch.autocast("cpu", dtype=torch.bfloat16)`` is a region of its own.

    With ``enabled=False`` it is left out of the one around the call.
    """

    class Lower(nn.Linear):
        @torch.autocast("cpu", dtype=torch.bfloat16)
        def forward(self, x):
            return super().forward(x)

    class Exact(nn.Linear):
        @torch.autocast("cpu", enabled=False)
        def forward(self, x):
            return super().forward(x)

    x = torch.ones(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = [Lower(2, 1)(x).dtype, Exact(2, 1)(x).dtype, nn.Linear(2, 1)(x).dtype]

    assert inside == [torch.bfloat16, torch.float32, torch.bfloat16]
    assert [Lower(2, 1)(x).dtype, Exact(2, 1)(x).dtype] == [torch.bfloat16, torch.float32]


def test_a_region_is_of_one_thread():
    """A module called in another thread is not in the ``torch.autocast`` region of the one that started it.

    Enter the region in the function that the thread runs.
    """
    layer, seen = nn.Linear(2, 1), []

    def work():
        seen.append(layer(torch.ones(2)).dtype)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        work()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert seen == [torch.bfloat16, torch.float32]


def test_a_weight_is_cast_once_a_region():
    """An ``autocast`` block casts a trainable weight once; with ``cache_enabled=False``, once for each call.

    A frozen weight is cast for each call in any case, and so is all that is called in blocks of its own. See
    :class:`torch.autocast`.
    """

    class Casts(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            self.number += operation is torch.ops.aten._to_copy.default
            return operation(*args, **(kwargs or {}))

    def count(blocks, calls, **options):
        layer, x, casts = nn.Linear(2, 2, bias=False), torch.rand(3, 2, dtype=torch.bfloat16), Casts()
        layer.requires_grad_(trainable)
        casts.number = 0
        for _ in range(blocks):
            with torch.autocast("cpu", dtype=torch.bfloat16, **options), casts:
                for _ in range(calls):
                    layer(x)
        return casts.number

    trainable = True
    assert [count(1, 3), count(3, 1), count(1, 3, cache_enabled=False)] == [1, 3, 3]
    trainable = False
    assert [count(1, 3), count(3, 1), count(1, 3, cache_enabled=False)] == [3, 3, 3]


@pytest.mark.since("2.2")
def test_an_inner_region_takes_the_outer_dtype():
    """``torch.autocast("cpu")`` without ``dtype`` inside of another region computes in the dtype of that one.

    Outside of any it is bfloat16.
    """
    x, seen = torch.rand(2), []

    with torch.autocast("cpu", dtype=torch.float16):
        with torch.autocast("cpu"):
            seen.append(nn.Linear(2, 1)(x).dtype)
        with torch.autocast("cpu", enabled=False), torch.autocast("cpu"):
            seen.append(nn.Linear(2, 1)(x).dtype)
    with torch.autocast("cpu"):
        seen.append(nn.Linear(2, 1)(x).dtype)

    assert seen == [torch.float16, torch.float16, torch.bfloat16]


@pytest.mark.since("2.2")
def test_an_inner_region_of_another_dtype():
    """In an ``autocast`` block of another dtype, a layer that the outer one called raises ``RuntimeError``.

    The outer region keeps its weight as it was cast, unless it has ``cache_enabled=False``. A layer that is
    called in the inner region alone is cast there.
    """
    layer, x = nn.Linear(2, 1), torch.rand(2)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x)
        with torch.autocast("cpu", dtype=torch.float16):
            assert nn.Linear(2, 1)(x).dtype is torch.float16
            with pytest.raises(RuntimeError, match=r"must have the same dtype, but got Half and BFloat16"):
                layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        layer(x)
        with torch.autocast("cpu", dtype=torch.float16, cache_enabled=False):
            assert layer(x).dtype is torch.float16


def test_a_region_may_be_entered_again():
    """A ``torch.autocast`` object may be entered again; inside of itself it stays on after it is left.

    It remembers one state from before. Make a new one for an inner block.
    """
    region, layer, x, seen = torch.autocast("cpu"), nn.Linear(2, 1), torch.rand(2), []

    for _ in range(2):
        with region:
            seen.append(layer(x).dtype)
        seen.append(layer(x).dtype)
    assert seen == [torch.bfloat16, torch.float32] * 2

    with torch.autocast("cpu", enabled=False):
        with region, region:
            pass
        assert layer(x).dtype is torch.bfloat16
    assert layer(x).dtype is torch.float32


@pytest.mark.since("2.4")
def test_a_region_is_asked_for_by_device():
    """In ``torch.autocast("cpu")``, ``is_autocast_enabled("cpu")`` is true; without an argument it is false.

    It is about CUDA then. ``torch.get_autocast_dtype("cpu")`` is the dtype, outside of any region that which
    a region has by default.
    """
    ask, dtype = torch.is_autocast_enabled, torch.get_autocast_dtype

    with torch.autocast("cpu", dtype=torch.float16):
        assert [ask("cpu"), ask("cuda"), ask()] == [True, False, False]
        assert [dtype("cpu"), dtype("cuda")] == [torch.float16, torch.float16]
        with torch.autocast("cpu", enabled=False):
            assert [ask("cpu"), dtype("cpu")] == [False, torch.float16]
    assert [ask("cpu"), dtype("cpu")] == [False, torch.bfloat16]


@pytest.mark.before("2.4")
def test_is_autocast_enabled_took_no_device():
    """``torch.is_autocast_enabled`` takes no device; in ``torch.autocast("cpu")`` it is false."""
    with torch.autocast("cpu"):
        assert not torch.is_autocast_enabled()
        assert torch.is_autocast_cpu_enabled()
        with pytest.raises(TypeError, match="takes no arguments"):
            torch.is_autocast_enabled("cpu")


def test_the_device_is_a_name():
    """``torch.autocast`` raises an error for a ``torch.device`` in place of a name such as ``"cpu"``.

    Pass ``x.device.type``.
    """
    x = torch.rand(2)

    with pytest.raises((ValueError, RuntimeError), match="device_type"):
        torch.autocast(x.device)
    with pytest.raises((ValueError, RuntimeError), match="device_type"):
        torch.autocast(device_type=x.device)
    with torch.autocast(x.device.type):
        assert nn.Linear(2, 1)(x).dtype is torch.bfloat16


@pytest.mark.since("2.2")
def test_a_disabled_region_takes_any_dtype():
    """``torch.autocast("cpu", dtype=torch.float32, enabled=False)`` casts nothing, and gives no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with torch.autocast("cpu", dtype=torch.float32, enabled=False):
            assert nn.Linear(2, 1)(torch.rand(2)).dtype is torch.float32

    assert caught == []


@pytest.mark.before("2.2")
def test_a_disabled_region_took_few_dtypes():
    """``torch.autocast("cpu", dtype=torch.float32, enabled=False)`` raises ``RuntimeError`` when entered."""
    region = torch.autocast("cpu", dtype=torch.float32, enabled=False)

    with pytest.raises(RuntimeError, match="AutocastCPU only support Bfloat16"), region:
        pass
