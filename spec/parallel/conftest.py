"""The ranks: two processes that all clauses on distributed training share."""

import contextlib
import faulthandler
import importlib
import marshal
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import time
import traceback
import types
import unittest.mock
import warnings
from datetime import timedelta
from multiprocessing.connection import wait

import pytest
import torch
import torch.distributed as dist

with contextlib.suppress(ImportError, AttributeError):
    import torch.testing._internal.distributed.fake_pg  # the backend "fake"

PATIENCE = 15  # seconds until a rank that does not answer is given up
HIDDEN = {"CUDA_VISIBLE_DEVICES": "", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}  # ranks are on the CPU
SLOW = ("torch._dynamo", "torch.distributed.fsdp")  # to import, and no part of a clause

multiprocessing.set_forkserver_preload(list(SLOW))


def serve(rank, pipe, folder):
    """Be a rank: meet the other one in ``folder``, then run what comes through the pipe until pytest ends."""
    sys.stdout = sys.stderr = output = (folder / f"rank{rank}.txt").open("w", buffering=1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    torch.set_num_threads(1)
    for name in SLOW:
        importlib.import_module(name)
    importlib.import_module("torch._inductor.config").compile_threads = 1  # a daemon has no children
    store, limit = dist.FileStore(str(folder / "store"), 2), timedelta(seconds=2 * PATIENCE)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=limit)
    pipe.send_bytes(pickle.dumps((None, "ready")))
    while pipe in wait([pipe, multiprocessing.parent_process().sentinel]):
        faulthandler.dump_traceback_later(PATIENCE - 1, exit=True, file=output)
        module, code, args = pickle.loads(pipe.recv_bytes())
        torch.manual_seed(rank)
        try:
            function = types.FunctionType(marshal.loads(code), vars(importlib.import_module(module)))
            reply = (None, function(rank, *args))
        except BaseException as error:
            traceback.print_exc()
            reply = (AssertionError if isinstance(error, pytest.fail.Exception) else type(error), str(error))
        faulthandler.cancel_dump_traceback_later()
        pipe.send_bytes(pickle.dumps(reply))


class Ranks:
    """``ranks(function, *args)`` calls ``function(rank, *args)`` on both and returns both results."""

    def __init__(self, folder, method, hidden=HIDDEN):
        self.folder, self.context, self.hidden = folder, multiprocessing.get_context(method), hidden
        self.processes, self.pipes = [], []

    def __call__(self, function, *args):
        unknown = function.__code__.co_freevars
        assert not unknown, f"{function.__name__} runs in another process: pass it {unknown} as arguments"
        if not self.pipes:
            self.start()
        job = pickle.dumps((function.__module__, marshal.dumps(function.__code__), args))
        for pipe in self.pipes:
            with contextlib.suppress(OSError):
                pipe.send_bytes(job)
        return self.results(PATIENCE)

    def start(self):
        self.folder.mkdir()
        list(map(importlib.import_module, SLOW))  # once for all ranks that are forked
        for rank in range(2):
            pipe, theirs = self.context.Pipe()
            process = self.context.Process(target=serve, args=(rank, theirs, self.folder), daemon=True)
            with warnings.catch_warnings(), unittest.mock.patch.dict(os.environ, self.hidden):
                warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, about forking
                process.start()
            theirs.close()
            self.processes.append(process)
            self.pipes.append(pipe)
        self.results(PATIENCE if self.context.get_start_method() == "fork" else 60)

    def results(self, patience):
        results, waiting, deadline = [None, None], list(self.pipes), time.monotonic() + patience
        while waiting:
            pipe = (wait(waiting, deadline - time.monotonic()) or waiting)[0]
            waiting.remove(pipe)
            rank = self.pipes.index(pipe)
            error, results[rank] = ChildProcessError, f"rank {rank} died, or gave no answer for {patience} s"
            with contextlib.suppress(EOFError, ConnectionResetError):
                if pipe.poll():
                    error, results[rank] = pickle.loads(pipe.recv_bytes())
            if error:
                if error is ChildProcessError:
                    self.processes[1 - rank].join(0.5)  # so that it can write down where it hangs, too
                wrote = [f"{file.stem}:\n{file.read_text()}" for file in sorted(self.folder.glob("*.txt"))]
                self.close()
                raise error(results[rank]) from RuntimeError("\n".join(wrote))
        return results

    def close(self):
        for process, pipe in zip(self.processes, self.pipes, strict=True):
            process.kill()
            process.join()
            pipe.close()
        self.processes, self.pipes = [], []
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def ranks(tmp_path_factory):
    """Two processes that run the same function, each told its rank."""
    method = "forkserver" if torch._utils._get_available_device_type() else "fork"
    with contextlib.closing(Ranks(tmp_path_factory.mktemp("ranks") / "pair", method)) as ranks:
        yield ranks


@pytest.fixture(scope="session")
def gpu_ranks(tmp_path_factory):
    """Two processes like those of ``ranks``, on the GPUs that there are: both may use the first one."""
    with contextlib.closing(Ranks(tmp_path_factory.mktemp("gpu_ranks") / "pair", "spawn", {})) as ranks:
        yield ranks


@pytest.fixture
def no_accelerator(monkeypatch):
    """DataParallel finds no accelerator of any kind, as on a machine without one."""
    for names in (vars(torch._utils), torch.nn.DataParallel.__init__.__globals__):
        monkeypatch.setitem(names, "_get_available_device_type", lambda: None)


@pytest.fixture
def join():
    """``join("fake", 1, 4)`` makes this process rank 1 of four that exchange nothing, "nccl" of real ones."""
    store = dist.HashStore()
    yield lambda name, rank, size: dist.init_process_group(name, None, None, size, rank, store)
    if dist.is_initialized():
        dist.destroy_process_group()
