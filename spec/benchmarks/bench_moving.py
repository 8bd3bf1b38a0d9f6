"""Moves to the GPU, or another accelerator, and back.

A network moves tensor by tensor, so each of its tensors costs time besides its bytes. What a move costs at
all and what a byte costs is told by one tensor of growing size, in memory that is pageable, as usual, or
pinned; it is copied into a tensor that is there already. The size of what moves is counted in bytes.
"""

import pytest
import torch

from .waiting import waits_for

BYTES = [2**10, 2**14, 2**18, 2**22, 2**26]


def moved(benchmark, net, device, back):
    """Where the tensors of a network are after its move to a device was timed; each starts from ``back``."""
    wait = waits_for(back if device == "cpu" else device)
    benchmark.extra_info["size"] = sum(value.nbytes for value in net.state_dict().values())

    def move(place):
        net.to(place)
        wait()

    benchmark.pedantic(lambda: move(device), setup=lambda: move(back), rounds=20, warmup_rounds=2)

    return [value.device.type for value in net.state_dict().values()]


def on_the_cpu(size, memory, accelerator):
    """Bytes on the CPU, in memory that is pinned for a device if it can be."""
    here = torch.full((size,), 3, dtype=torch.uint8)
    if memory == "pageable":
        return here
    try:
        return here.pin_memory()
    except (RuntimeError, NotImplementedError):
        pytest.skip(f"need memory that can be pinned for {accelerator}")


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="move to the GPU, ResNet-34")
def bench_moving_resnet34_to_the_gpu(benchmark, resnet34, accelerator):
    """The move of the 218 tensors of ResNet-34 from the CPU to the GPU."""
    assert moved(benchmark, resnet34, accelerator, back="cpu") == [accelerator] * 218


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="move to the CPU, ResNet-34")
def bench_moving_resnet34_to_the_cpu(benchmark, resnet34, accelerator):
    """The move of the 218 tensors of ResNet-34 from the GPU to the CPU."""
    assert moved(benchmark, resnet34, "cpu", back=accelerator) == ["cpu"] * 218


@pytest.mark.benchmark(group="move to the GPU, a tensor")
@pytest.mark.parametrize("size", BYTES)
@pytest.mark.parametrize("memory", ["pageable", "pinned"])
def bench_copying_to_the_gpu(benchmark, until_done, accelerator, memory, size):
    """A copy of a tensor on the CPU into one on the GPU."""
    here = on_the_cpu(size, memory, accelerator)
    there = torch.full((size,), 5, dtype=torch.uint8, device=accelerator)

    until_done(benchmark, lambda: there.copy_(here), accelerator)

    assert [here.is_pinned(), here.nbytes, (there == 3).all().item()] == [memory == "pinned", size, True]


@pytest.mark.benchmark(group="move to the CPU, a tensor")
@pytest.mark.parametrize("size", BYTES)
@pytest.mark.parametrize("memory", ["pageable", "pinned"])
def bench_copying_to_the_cpu(benchmark, until_done, accelerator, memory, size):
    """A copy of a tensor on the GPU into one on the CPU."""
    here = on_the_cpu(size, memory, accelerator)
    there = torch.full((size,), 5, dtype=torch.uint8, device=accelerator)

    until_done(benchmark, lambda: here.copy_(there), accelerator)

    assert [here.is_pinned(), here.nbytes, (here == 5).all().item()] == [memory == "pinned", size, True]
