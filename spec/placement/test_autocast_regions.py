"""Where an autocast region begins and ends: inside of another, around a function, in a thread.

What it casts is in *autocast* and *autocast_operations*.
"""

import threading

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
