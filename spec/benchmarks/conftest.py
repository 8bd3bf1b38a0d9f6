"""What benchmarks share: trees, a ResNet-34, stopwatches, and what a report has to know of each of them."""

import copy
import functools
import gc
import os
import statistics
from pathlib import Path

import pytest
import torch
from torch import nn

from .thin import thin_resnet34
from .waiting import accelerator_here, hardware_of, waits_for

HERE = Path(__file__).parent

#: The module that holds the module of a number, for each shape of tree; the root is number 0.
PARENTS = {
    "wide": lambda number: 0,
    "branching": lambda number: (number - 1) // 2,
    "deep": lambda number: number - 1,
}

#: Arguments that say how large a case is, and those that tell its kind from others.
SIZES = ("size", "batch", "count")
KINDS = ("shape", "memory", "how")
RESNET34 = 116  # modules

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info):
    """A file of times says on which torch and on which devices they were taken."""
    machine_info["torch"] = torch.__version__
    machine_info["cores"] = CORES
    machine_info["devices"] = ["cpu"]
    if (name := accelerator_here()) is not None:
        machine_info["devices"].append(name + hardware_of(name))


def size_of(item):
    """How large the case of an item is, None where there is only one."""
    cases = item.callspec.params if hasattr(item, "callspec") else {}
    return next((cases[name] for name in SIZES if name in cases), None)


def pytest_collection_modifyitems(config, items):
    """Unmeasured, each benchmark runs once: on its smallest case, on the first device."""
    if not config.option.benchmark_disable:
        return
    smallest = {}
    for item in items:
        if item.path.parent == HERE:
            rival = smallest.setdefault(item.function, item)
            if (size_of(item) or 0) < (size_of(rival) or 0):
                smallest[item.function] = item
    larger = {item for item in items if item.path.parent == HERE and smallest[item.function] is not item}
    if larger:
        config.hook.pytest_deselected(items=list(larger))
        items[:] = [item for item in items if item not in larger]


@pytest.fixture(autouse=True)
def facts(request):
    """Each benchmark carries what is done, to what kind of thing, its size and its device."""
    if "benchmark" not in request.fixturenames:
        return
    benchmark = request.getfixturevalue("benchmark")
    cases = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    operation, _, kind = benchmark.group.partition(", ")
    kind = ", ".join(word for word in (kind, *map(cases.get, KINDS)) if word)
    size = size_of(request.node)
    if kind == "ResNet-34" and size is None:
        size = RESNET34
    needs_cuda = any("cuda" in mark.args for mark in request.node.iter_markers("needs"))
    device = cases.get("device") or cases.get("accelerator") or ("cuda" if needs_cuda else "cpu")
    benchmark.extra_info.update(operation=operation, kind=kind, size=size, device=device)
    benchmark.group = f"{operation}, {kind}" if "shape" in cases else operation


@pytest.fixture(scope="session")
def grow():
    """Grows a tree of layers, each with one parameter: ``grow(shape, size)``."""

    def grow(shape, size):
        layers = [nn.PReLU() for _ in range(size)]
        for number in range(1, size):
            layers[PARENTS[shape](number)].add_module(str(number), layers[number])
        return layers[0]

    return grow


@pytest.fixture(scope="module")
def grown(grow):
    """Trees that the benchmarks of a file share: growing a large one takes longer than what is done to it."""
    gc.disable()
    yield functools.cache(grow)
    gc.enable()


@pytest.fixture
def tree(grown, shape, size):
    """A tree of ``size`` modules; a benchmark that does not leave it as it was grows its own."""
    return grown(shape, size)


@pytest.fixture(scope="session")
def one_resnet34(pytestconfig):
    import torchvision

    return thin_resnet34() if pytestconfig.option.benchmark_disable else torchvision.models.resnet34()


@pytest.fixture
def resnet34(one_resnet34):
    """A ResNet-34 of one's own."""
    return copy.deepcopy(one_resnet34)


@pytest.fixture
def until_done():
    """Times a call until a device is done: ``until_done(benchmark, call, device)``; a CPU uses all cores."""
    threads = torch.get_num_threads()

    def until_done(benchmark, call, device):
        wait = waits_for(device)

        def whole():
            output = call()
            wait()
            return output

        if benchmark.enabled:
            torch.set_num_threads(CORES)
            whole()  # what is set up once is no part of a call
        return benchmark(whole)

    yield until_done
    torch.set_num_threads(threads)


@pytest.fixture
def twice():
    """Times a call with a Timer too, before and after the benchmark itself: ``twice(benchmark, call)``."""
    from torch.utils.benchmark import Timer

    def twice(benchmark, call):
        timer = Timer("call()", globals={"call": call})
        if not benchmark.enabled:
            timer.timeit(1)
            return benchmark(call)
        times = timer.blocked_autorange(min_run_time=0.3).times
        output = benchmark(call)
        times += timer.blocked_autorange(min_run_time=0.3).times
        benchmark.extra_info["timer"] = statistics.median(times)
        return output

    return twice
