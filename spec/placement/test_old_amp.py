"""The older names of mixed precision, ``torch.cuda.amp`` and ``torch.cpu.amp``.

They stand for :class:`torch.autocast` and :class:`torch.amp.GradScaler` on one kind of device.
"""

import re
import warnings

import pytest
import torch
from torch import nn


@pytest.mark.since("2.4")
@pytest.mark.parametrize("name", ["autocast", "GradScaler"])
@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_the_older_names_warn(kind, name):
    """``torch.cuda.amp.autocast`` and ``GradScaler`` give a ``FutureWarning``: they are deprecated.

    Write ``torch.amp.autocast("cuda")`` and ``torch.amp.GradScaler("cuda")``, with the same arguments after
    the device; they do the same and are silent. So it is with ``torch.cpu.amp``.
    """
    message = (
        f"`torch.{kind}.amp.{name}(args...)` is deprecated. Please use `torch.amp.{name}('{kind}', args...)`"
    )

    with pytest.warns(FutureWarning, match=re.escape(message)):
        old = getattr(getattr(torch, kind).amp, name)(enabled=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        new = getattr(torch.amp, name)(kind, enabled=False)

    assert caught == []
    assert isinstance(old, type(new))


@pytest.mark.before("2.4")
def test_the_older_names_are_silent():
    """``torch.cuda.amp.autocast``, ``torch.cpu.amp.autocast`` and ``torch.cuda.amp.GradScaler`` give no
    warning.
    """
    for make in (torch.cuda.amp.autocast, torch.cpu.amp.autocast, torch.cuda.amp.GradScaler):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            make(enabled=False)

        assert caught == []


def test_the_older_autocast_is_the_same():
    """``torch.cpu.amp.autocast()`` and ``torch.cuda.amp.autocast()`` are ``torch.autocast`` of that device.

    Inside, ``nn.Linear`` returns bfloat16 on the CPU and float16 on a GPU, as it does with
    :class:`torch.autocast`.
    """
    layer, x = nn.Linear(2, 3, device="cpu"), torch.rand(4, 2, device="cpu")

    with torch.cpu.amp.autocast():
        old = layer(x)
    with torch.autocast("cpu"):
        new = layer(x)
    regions = [torch.cpu.amp.autocast(enabled=False), torch.cuda.amp.autocast(enabled=False)]

    assert old.dtype is torch.bfloat16
    assert torch.equal(old, new)
    assert [isinstance(region, torch.autocast) for region in regions] == [True, True]
    assert [(r.device, r.fast_dtype) for r in regions] == [("cpu", torch.bfloat16), ("cuda", torch.float16)]


@pytest.mark.since("2.3")
def test_the_older_scaler_is_the_same():
    """``torch.cuda.amp.GradScaler`` is a ``torch.amp.GradScaler`` for ``"cuda"``; ``torch.cpu.amp`` has one
    for the CPU.

    What one of them saved, the other loads. See :class:`torch.amp.GradScaler`.
    """
    old, new = torch.cpu.amp.GradScaler(init_scale=8.0), torch.amp.GradScaler("cpu")
    loss = torch.tensor(3.0, device="cpu")

    new.load_state_dict(old.state_dict())

    assert [old.scale(loss).item(), new.scale(loss).item()] == [24.0, 24.0]
    old.load_state_dict(torch.amp.GradScaler("cpu", init_scale=4.0).state_dict())
    assert old.scale(loss).item() == 12.0
    assert isinstance(old, torch.amp.GradScaler)
    assert issubclass(torch.cuda.amp.GradScaler, torch.amp.GradScaler)
    assert [old._device, torch.cuda.amp.GradScaler(enabled=False)._device] == ["cpu", "cuda"]


@pytest.mark.parametrize(
    "make", [lambda: torch.autocast("cuda"), lambda: torch.cuda.amp.autocast()], ids=["new", "old"]
)
def test_autocast_for_a_gpu_that_is_missing(make, monkeypatch):
    """Without a GPU, ``torch.autocast("cuda")`` gives a ``UserWarning`` and casts nothing.

    So does ``torch.cuda.amp.autocast()``. A script written for a GPU thus computes in float32 on the CPU:
    name the device that the model is on. See :class:`torch.autocast`.
    """
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    layer, x = nn.Linear(2, 3, device="cpu"), torch.rand(4, 2, device="cpu")

    with pytest.warns(UserWarning, match="CUDA is not available.* Disabling"):
        region = make()
    with region:
        inside = layer(x)

    assert torch.equal(inside, layer(x))
    assert inside.dtype is torch.float32


@pytest.mark.needs("cuda")
def test_the_older_autocast_casts_on_the_gpu():
    """In ``torch.cuda.amp.autocast()``, ``nn.Linear`` on the GPU returns float16, as in
    ``torch.autocast("cuda")``.

    That is the default dtype on a GPU.
    """
    layer, x = nn.Linear(2, 3, device="cuda"), torch.rand(4, 2, device="cuda")

    with torch.cuda.amp.autocast():
        old = layer(x)
    with torch.autocast("cuda"):
        new = layer(x)

    assert old.dtype is torch.float16
    assert torch.equal(old, new)
