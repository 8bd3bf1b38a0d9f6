"""Backends of one's own: what torch asks of the module that a vendor registers for a PrivateUse1 device.

No tensor is on such a device here: a module takes the place of the backend's, and what torch asks it is seen.
"""

import types

import pytest
import torch
from torch import nn


@pytest.mark.since("2.4")
def test_autocast_asks_a_backend_for_its_dtypes(monkeypatch):
    """``torch.autocast`` on a PrivateUse1 backend allows the dtypes that its ``get_amp_supported_dtype``
    returns.

    Any other dtype warns and turns autocast off, so that a training loop goes on in full precision.
    """
    backend = types.ModuleType(torch.device("privateuseone").type)
    monkeypatch.setattr(torch, backend.__name__, backend, raising=False)
    backend.get_amp_supported_dtype = lambda: [torch.float16, torch.bfloat16]

    for dtype in (torch.float16, torch.bfloat16):
        with torch.autocast(backend.__name__, dtype=dtype):
            assert torch.is_autocast_enabled(backend.__name__) is True
            assert torch.get_autocast_dtype(backend.__name__) is dtype
    message = f"In {backend.__name__} autocast, but the target dtype .*Disabling"
    for dtype in (torch.float32, torch.float64):
        with pytest.warns(UserWarning, match=message), torch.autocast(backend.__name__, dtype=dtype):
            assert torch.is_autocast_enabled(backend.__name__) is False


@pytest.mark.since("2.1")
def test_autocast_needs_functions_of_a_backend(monkeypatch):
    """``torch.autocast`` raises ``AssertionError`` for a PrivateUse1 backend without
    ``get_amp_supported_dtype``.

    ``torch._register_device_module`` registers the module that has to have it.
    """
    backend = types.ModuleType(torch.device("privateuseone").type)
    monkeypatch.setattr(torch, backend.__name__, backend, raising=False)

    with pytest.raises(AssertionError, match="`get_amp_supported_dtype"):
        torch.autocast(backend.__name__)

    monkeypatch.delattr(torch, backend.__name__)
    with pytest.raises(AssertionError, match="the backend has not registered a module"):
        torch.autocast(backend.__name__)


@pytest.mark.since("2.1")
def test_data_parallel_asks_a_backend_for_its_devices(monkeypatch):
    """Without a GPU, :class:`~torch.nn.DataParallel` uses all devices of a PrivateUse1 backend that
    is available.

    It asks ``is_available()`` and ``device_count()`` of the module.
    """
    backend = types.ModuleType(torch.device("privateuseone").type)
    monkeypatch.setattr(torch, backend.__name__, backend, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    backend.is_available, backend.device_count = lambda: True, lambda: 2

    wrapped = nn.DataParallel(nn.Linear(2, 3))

    assert wrapped.device_ids == [0, 1]
    assert wrapped.src_device_obj == torch.device(backend.__name__, 0)
