"""What a clause may change in the process is seen, reported and put back."""

import re
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

from nnspec.running import devices, isolation

pytest_plugins = ["pytester"]

FUTURE, FLAG = "torch.__future__", "overwrite_module_params_on_conversion"
#: What a clause may leave behind: the state, how it is changed, and what then looks different.
LEAKS = [
    ("grad mode", "torch._C._set_grad_enabled(False)", "torch.is_grad_enabled()"),
    ("default dtype", "torch.set_default_dtype(torch.float64)", "torch.ones(1).dtype"),
    ("default device", 'torch.set_default_device("meta")', "torch.ones(1).device"),
    ("global hooks", "register_module_forward_hook(print)", "len(_global_forward_hooks)"),
    ("attributes of nn.Module", "nn.Module.marker = 1", 'hasattr(nn.Module, "marker")'),
    ("attributes of nn.Module", "nn.Module.train = print", "nn.Module.train"),
    ("attributes of nn.Module", "del nn.Module.train", 'hasattr(nn.Module, "train")'),
    ("torch.__future__ flags", f"{FUTURE}.set_{FLAG}(True)", f"{FUTURE}.get_{FLAG}()"),
    ("anomaly mode", "torch.autograd.set_detect_anomaly(True)", "torch.is_anomaly_enabled()"),
    ("autocast", "torch.set_autocast_cpu_enabled(True)", "torch.is_autocast_cpu_enabled()"),
    ("autocast", "torch.set_autocast_cpu_dtype(torch.float16)", "torch.get_autocast_cpu_dtype()"),
    (
        "deterministic algorithms",
        "torch.use_deterministic_algorithms(True)",
        "torch.are_deterministic_algorithms_enabled()",
    ),
    (
        "safe globals",
        "torch.serialization.add_safe_globals([Made])",
        "Made in torch.serialization.get_safe_globals()",
    ),
    (
        "flags of mapped files",
        "torch.serialization.set_default_mmap_options(mmap.MAP_SHARED)",
        "torch.serialization.get_default_mmap_options()",
    ),
    ("backend switches", "torch.backends.cudnn.benchmark = True", "torch.backends.cudnn.benchmark"),
    (
        "backend switches",
        'torch.set_float32_matmul_precision("high")',
        "torch.get_float32_matmul_precision()",
    ),
    ("thread count", "torch.set_num_threads(2)", "torch.get_num_threads()"),
    ("threads", "threading.Thread(target=threading.end.wait).start()", "threading.active_count()"),
    ("function modes", 'DeviceContext("cpu").__enter__()', "torch.overrides._len_torch_function_stack()"),
    ("warnings filters", "warnings.simplefilter('error')", "list(warnings.filters)"),
    ("environment", 'os.environ["MARKER"] = "1"', 'os.environ.get("MARKER")'),
    ("environment", 'os.environ["PRESENT"] = "2"', 'os.environ.get("PRESENT")'),
    ("environment", 'del os.environ["PRESENT"]', 'os.environ.get("PRESENT")'),
    ("working directory", 'os.chdir("/")', "os.getcwd()"),
]


def test_every_state_has_a_clause_that_changes_it():
    assert {what for what, _, _ in LEAKS} == isolation.STATES.keys()


@pytest.mark.parametrize(("what", "change", "look"), LEAKS)
def test_a_clause_that_leaves_a_trace_is_reported_and_the_next_sees_none(
    run, monkeypatch, what, change, look
):
    source = f'''
    import mmap
    import os
    import threading
    import warnings

    from torch.nn.modules.module import _global_forward_hooks, register_module_forward_hook
    from torch.utils._device import DeviceContext

    class Made:
        pass

    def look():
        return {look}

    BEFORE = look()

    def test_a():
        """It changes something for good."""
        {change}
        assert look() != BEFORE

    def test_b():
        """It is as it was, but for a thread: only its owner can end that."""
        assert (look() == BEFORE) is {what != "threads"}
    '''
    monkeypatch.setenv("PRESENT", "1")
    monkeypatch.setattr(threading, "end", threading.Event(), raising=False)

    result = run(source, "-p", "no:warnings")
    threading.end.set()

    result.stdout.fnmatch_lines(["*ERROR at teardown of test_a*", f"*it leaves a trace: {what}. It was*"])
    result.assert_outcomes(passed=2, errors=1)


def test_every_clause_starts_from_the_same_seed(run):
    source = '''
    import random

    import numpy

    def test_a():
        """The first draws."""
        print("drawn", float(torch.rand(1)), random.random(), numpy.random.rand())
        assert 1

    def test_b():
        """The second draws."""
        print("drawn", float(torch.rand(1)), random.random(), numpy.random.rand())
        assert 1
    '''
    drawn = re.findall(r"drawn .*", run(source, "-s").stdout.str())

    assert len(drawn) == 2
    assert drawn[0] == drawn[1]


def test_what_is_drawn_on_an_accelerator_starts_from_the_seed_too(monkeypatch):
    seeds = []

    def module(**more):
        return SimpleNamespace(**more, manual_seed=lambda seed: seeds.append((more, seed)))

    modules = {
        "cuda": module(all=1, manual_seed_all=lambda seed: seeds.append(("all", seed))),
        "mps": module(one=1),
        "xpu": module(is_initialized=lambda: False),
        "own": SimpleNamespace(),
        "bare": None,
    }
    monkeypatch.setattr(devices, "present", lambda: ("cpu", *modules))
    monkeypatch.setattr(devices, "module_of", modules.get)

    isolation.seed()

    assert seeds == [("all", isolation.SEED), ({"one": 1}, isolation.SEED)]


def test_a_default_device_that_was_there_before_is_put_back():
    torch.set_default_device("meta")
    before = isolation.snapshot()
    torch.set_default_device("cpu")

    leaked, _ = isolation.restore(before, compiled=False)

    assert (leaked, torch.empty(0).device.type) == (["default device"], "meta")


def test_the_kind_of_global_hooks_is_forgotten(monkeypatch):
    monkeypatch.setattr(isolation.module_source, "_global_is_full_backward_hook", True)

    isolation.restore(isolation.snapshot(), compiled=False)

    assert isolation.module_source._global_is_full_backward_hook is None


@pytest.mark.parametrize(("compiled", "resets"), [(True, ["reset"]), (False, [])])
def test_compiled_code_is_forgotten_where_something_was_compiled(monkeypatch, compiled, resets):
    calls = []
    dynamo = SimpleNamespace(reset=lambda: calls.append("reset"))
    monkeypatch.setitem(sys.modules, "torch._dynamo", dynamo)

    isolation.restore(isolation.snapshot(), compiled=compiled)

    assert calls == resets


@pytest.mark.parametrize(("has_clear", "left"), [(False, {}), (True, {"Linear": True})])
def test_dynamic_classes_are_forgotten_where_a_reset_leaves_them(monkeypatch, has_clear, left):
    tracker = SimpleNamespace(dynamic_classes={"Linear": True}, **{"clear": print} if has_clear else {})
    guard = SimpleNamespace(GenerationTracker=tracker)
    monkeypatch.setitem(
        sys.modules, "torch._dynamo", SimpleNamespace(reset=lambda: None, mutation_guard=guard)
    )

    isolation.restore(isolation.snapshot(), compiled=True)

    assert tracker.dynamic_classes == left


def test_a_compiler_that_is_half_imported_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._dynamo", SimpleNamespace())

    assert isolation.restore(isolation.snapshot(), compiled=True)[0] == []
