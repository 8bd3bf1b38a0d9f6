"""Which accelerator there is, and when a device is done."""

import sys

import pytest
import torch


def accelerator_here():
    """The type of the accelerator that torch finds, None if it finds none."""
    if torch.cuda.is_available():
        return "cuda"
    if hasattr(torch, "accelerator") and torch.accelerator.is_available():
        return torch.accelerator.current_accelerator().type
    return None


def hardware_of(device):
    """The name of a device's hardware in brackets, empty where torch does not tell it."""
    name_of = getattr(getattr(torch, device, None), "get_device_name", None)
    return f" ({name_of()})" if name_of else ""


def waits_for(device):
    """What waits until a device is done; the CPU is done at once."""
    if device == "cpu":
        return lambda: None
    module = getattr(torch, device, None)
    if hasattr(module, "synchronize"):
        return module.synchronize
    if accelerator_here() == device:
        return torch.accelerator.synchronize
    if device == "xla":  # it computes when it is asked for values or told to
        return lambda: sys.modules["torch_xla"].sync(wait=True)
    pytest.skip(f"need something that waits for {device}")
