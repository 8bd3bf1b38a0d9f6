"""The ranks: two processes that all clauses on distributed training share."""

import contextlib
import ctypes
import faulthandler
import importlib
import marshal
import multiprocessing
import os
import pickle
import signal
import sys
import time
import traceback
import types
import warnings
from datetime import timedelta
from multiprocessing.connection import wait

import pytest
import torch
import torch.distributed as dist


def serve(rank, pipe, folder):
    """Be a rank: meet the other one in ``folder`` and run what comes through the pipe, until pytest ends."""
    sys.stdout = sys.stderr = output = (folder / f"rank{rank}.txt").open("w", buffering=1)
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    faulthandler.register(signal.SIGUSR1, output)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: end with pytest, even when busy
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=10))
    reply = (None, "ready", "")
    while True:
        pipe.send_bytes(pickle.dumps(reply))
        if pipe not in wait([pipe, multiprocessing.parent_process().sentinel]):
            return
        module, code, args = pickle.loads(pipe.recv_bytes())
        torch.manual_seed(rank)
        try:
            function = types.FunctionType(marshal.loads(code), vars(importlib.import_module(module)))
            reply = (None, pickle.dumps(function(rank, *args)), "")
        except BaseException as error:
            kinds = (AssertionError, AttributeError, ImportError, TypeError)
            kind = next((kind for kind in kinds if isinstance(error, kind)), RuntimeError)
            reply = (kind, str(error), traceback.format_exc())


class Ranks:
    """``ranks(function, *args)`` calls ``function(rank, *args)`` in both and returns both results."""

    def __init__(self, folder, patience=15, method=None):
        self.folder, self.patience = folder, patience
        self.context = multiprocessing.get_context(method or ("spawn" if torch.cuda.is_available() else "fork"))
        self.pairs = []

    def __call__(self, function, *args):
        if function.__code__.co_freevars:
            names = ", ".join(function.__code__.co_freevars)
            raise SyntaxError(f"{function.__name__} runs in another process: pass it {names} as arguments")
        if not self.pairs:
            self.start()
        job = pickle.dumps((function.__module__, marshal.dumps(function.__code__), args))
        for _, pipe in self.pairs:
            with contextlib.suppress(BrokenPipeError):
                pipe.send_bytes(job)
        return [pickle.loads(result) for result in self.replies(self.patience)]
