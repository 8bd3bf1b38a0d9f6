"""The methods named after a kind of device: ``cpu``, ``cuda``, ``xpu``, ``ipu`` and ``mtia``.

Each asks every parameter and buffer of the module to go there, and so needs that kind of device. What happens
on a GPU is in *cuda*.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N5-25")
@pytest.mark.observed
@pytest.mark.parametrize("method", ["cuda", "xpu", "ipu"])
def test_each_tensor_is_asked_to_go(method):
    """Each method asks every tensor of the module to go to that kind of device, and returns the module.

    They are :meth:`~torch.nn.Module.cuda`, :meth:`~torch.nn.Module.xpu` and :meth:`~torch.nn.Module.ipu`. An
    index of a device is passed on.
    """
    calls = []
    spy = type("Spy", (torch.Tensor,), {method: lambda tensor, *args: calls.append(args) or tensor})
    net = nn.Sequential(nn.Module())
    net[0].register_buffer("mean", torch.rand(2).as_subclass(spy))

    first = getattr(net, method)(1)
    second = getattr(net, method)()

    assert (first is net, second is net) == (True, True)
    assert calls == [(1,), (None,)]


@pytest.mark.since("2.5")
@pytest.mark.observed
def test_mtia_asks_each_tensor_too():
    """:meth:`~torch.nn.Module.mtia` asks every tensor to go to an MTIA device."""
    calls = []

    class Spy(torch.Tensor):
        def mtia(self, device=None):
            calls.append(device)
            return self

    net = nn.Sequential(nn.Module())
    net[0].register_buffer("mean", torch.rand(2).as_subclass(Spy))
    returned = net.mtia(1)

    assert returned is net
    assert calls == [1]


@pytest.mark.observed
def test_cpu_asks_each_tensor_to_come_back():
    """:meth:`~torch.nn.Module.cpu` asks every tensor to come to the CPU, and returns the module."""
    calls = []

    class Spy(torch.Tensor):
        def cpu(self, *args):
            calls.append(args)
            return self

    net = nn.Sequential(nn.Module())
    net[0].register_buffer("mean", torch.rand(2).as_subclass(Spy))
    returned = net.cpu()

    assert returned is net
    assert calls == [()]


def test_cpu_on_the_cpu_changes_nothing():
    """``cpu()`` on a module that is on the CPU keeps every tensor."""
    norm = nn.BatchNorm1d(2)
    before = {key: (id(value), value.data_ptr()) for key, value in norm.state_dict(keep_vars=True).items()}

    norm.cpu()

    assert {key: (id(v), v.data_ptr()) for key, v in norm.state_dict(keep_vars=True).items()} == before


@pytest.mark.claim("N5-25")
@pytest.mark.parametrize("move", ["cuda", "to"])
def test_a_gpu_that_is_not_there(move, monkeypatch):
    """Moving to a GPU that is not there raises and leaves the module where it was.

    What is raised depends on the build: without CUDA, without a driver, or with too few GPUs.
    """
    monkeypatch.setenv("CUDA_MODULE_LOADING", "LAZY")
    layer = nn.Linear(2, 3)
    place = layer.weight.data_ptr()

    with pytest.raises((RuntimeError, AssertionError), match=r"(?i)cuda|nvidia|accelerator"):
        getattr(layer, move)({"cuda": 99, "to": "cuda:99"}[move])

    assert (layer.weight.device.type, layer.weight.data_ptr()) == ("cpu", place)


@pytest.mark.observed
def test_an_ipu_that_is_not_there():
    """``ipu()`` needs a build for such devices and raises in any other."""
    with pytest.raises(RuntimeError, match="PyTorch is not linked with support for ipu devices"):
        nn.Linear(2, 3).ipu()
