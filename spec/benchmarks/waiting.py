"""When a device is done."""

import pytest
import torch


def waits_for(device):
    """What waits until a device is done; the CPU is done at once."""
    if device == "cpu":
        return lambda: None
    for module in (getattr(torch, device, None), getattr(torch, "accelerator", None)):
        if hasattr(module, "synchronize"):
            return module.synchronize
    pytest.skip(f"torch has nothing that waits for {device}")
