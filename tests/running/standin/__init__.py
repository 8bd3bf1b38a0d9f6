"""Makes a device known to torch, as a plugin of pytest: an accelerator that is the CPU.

python -m pytest spec/ --device standin -p tests.running.standin
"""

import contextlib
from pathlib import Path
from types import ModuleType

import torch
from torch.utils.cpp_extension import load

COUNT = 2


class Current:
    """``torch.standin.device(1)``: the current device, for a while."""

    def __init__(self, device):
        self.index = index_of(device)

    def __enter__(self):
        self.before = index_of()
        torch.ops.standin.set_device(self.index)

    def __exit__(self, *_):
        torch.ops.standin.set_device(self.before)


class Stream:
    """The only stream there is: what it is given to do is done at once."""

    def synchronize(self):
        pass


def index_of(device=None):
    """The number of a device, which is given in any of torch's ways."""
    index = device if isinstance(device, int) or device is None else torch.device(device).index
    return torch.ops.standin.current_device() if index is None else index


def manual_seed_all(seed):
    for index in range(COUNT):
        torch.ops.standin.manual_seed(seed, index)


def module():
    """What torch and the specification look for in ``torch.standin``."""
    operators, standin, stream = torch.ops.standin, ModuleType("torch.standin"), Stream()
    standin.is_available = standin.is_initialized = lambda: True
    standin._is_in_bad_fork = lambda: False
    standin.device_count = lambda: COUNT
    standin.current_device = index_of
    standin.set_device = lambda device: operators.set_device(index_of(device))
    standin.device = Current
    standin.get_device_name = lambda device=None: "CPU"
    standin.synchronize = lambda device=None: None
    standin.current_stream = lambda device=None: stream
    standin.stream = contextlib.nullcontext
    standin.get_amp_supported_dtype = lambda: [torch.float16, torch.bfloat16]
    standin.manual_seed_all = manual_seed_all
    standin.get_rng_state = lambda device=None: operators.get_rng_state(index_of(device))
    standin.set_rng_state = lambda state, device=None: operators.set_rng_state(state, index_of(device))
    return standin


load("standin", [Path(__file__).with_name("device.cpp")], is_python_module=False, extra_cflags=["-O0"])
torch.utils.rename_privateuse1_backend("standin")
torch.ops.standin.register_hooks()
torch._register_device_module("standin", module())
torch.utils.generate_methods_for_privateuse1_backend(for_tensor=True, for_module=True, for_storage=True)
