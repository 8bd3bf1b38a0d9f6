"""The methods named after a kind of device: ``cpu``, ``cuda``, ``xpu``, ``ipu`` and ``mtia``.

Each calls that method of every parameter and buffer, and so needs that kind of device. What happens
on a GPU is in *cuda*.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence


@pytest.mark.claim("N5-25")
@pytest.mark.parametrize("method", ["cuda", "xpu", "ipu"])
def test_each_tensor_is_asked_to_go(method):
    """``Module.cuda``, ``Module.xpu`` and ``Module.ipu`` call the tensor method of that name on each tensor.

    They are :meth:`~torch.nn.Module.cuda`, :meth:`~torch.nn.Module.xpu` and :meth:`~torch.nn.Module.ipu`;
    each returns the module. An index of a device is passed on.
    """
    calls = []

    class Spy(torch.Tensor):
        pass

    def go(tensor, *args):
        calls.append((len(tensor), *args))
        return tensor

    setattr(Spy, method, go)
    net = nn.Sequential(nn.Module())
    net.register_buffer("mask", torch.arange(3).as_subclass(Spy))
    net[0].register_buffer("mean", torch.rand(2).as_subclass(Spy))
    net[0].weight = nn.Parameter(torch.rand(4).as_subclass(Spy))

    assert getattr(net, method)(1) is net
    assert getattr(net, method)(device=2) is net
    assert getattr(net, method)() is net
    assert calls == [(size, device) for device in (1, 2, None) for size in (4, 2, 3)]


@pytest.mark.since("2.5")
def test_mtia_asks_each_tensor_too():
    """:meth:`Module.mtia() <torch.nn.Module.mtia>` calls ``Tensor.mtia`` on every tensor of the module."""
    calls = []

    class Spy(torch.Tensor):
        def mtia(self, device=None):
            calls.append((len(self), device))
            return self

    net = nn.Sequential(nn.Module())
    net.register_buffer("mask", torch.arange(3).as_subclass(Spy))
    net[0].register_buffer("mean", torch.rand(2).as_subclass(Spy))
    net[0].weight = nn.Parameter(torch.rand(4).as_subclass(Spy))
    returned = net.mtia(device=1)

    assert returned is net
    assert calls == [(4, 1), (2, 1), (3, 1)]


def test_cpu_asks_each_tensor_to_come_back():
    """:meth:`Module.cpu() <torch.nn.Module.cpu>` calls ``Tensor.cpu`` on every tensor and returns the
    module.
    """
    calls = []

    class Spy(torch.Tensor):
        def cpu(self, *args):
            calls.append((len(self), *args))
            return self

    net = nn.Sequential(nn.Module())
    net.register_buffer("mask", torch.arange(3).as_subclass(Spy), persistent=False)
    net[0].register_buffer("mean", torch.rand(2).as_subclass(Spy))
    net[0].weight = nn.Parameter(torch.rand(4).as_subclass(Spy))
    returned = net.cpu()

    assert returned is net
    assert calls == [(4,), (2,), (3,)]


@pytest.mark.claim("N5-25")
def test_a_gpu_that_is_not_there(monkeypatch):
    """``Module.cuda`` and ``to`` raise ``RuntimeError`` or ``AssertionError`` for a GPU that does not exist.

    The module stays on the CPU. What is raised depends on the build: without CUDA, without a driver, or with
    too few GPUs. Ask ``torch.cuda.is_available()`` first.
    """
    monkeypatch.setenv("CUDA_MODULE_LOADING", "LAZY")
    layer = nn.Linear(2, 3)
    place = layer.weight.data_ptr()

    with pytest.raises((RuntimeError, AssertionError), match=r"(?i)cuda|nvidia|accelerator"):
        layer.cuda(99)
    with pytest.raises((RuntimeError, AssertionError), match=r"(?i)cuda|nvidia|accelerator"):
        layer.to("cuda:99")

    assert layer.weight.device.type == "cpu"
    assert layer.weight.data_ptr() == place


def test_an_ipu_that_is_not_there():
    """``Module.ipu`` raises ``RuntimeError`` if torch was built without IPU support."""
    with pytest.raises(RuntimeError, match="PyTorch is not linked with support for ipu devices"):
        nn.Linear(2, 3).ipu()


@pytest.mark.since("2.1")
def test_a_backend_of_ones_own_gets_a_method(monkeypatch):
    """``generate_methods_for_privateuse1_backend`` gives every Module a method named after the backend.

    The new method calls the tensor method of that name on parameters and buffers, and returns the module.
    That one has to be there before, and the function may be called once only: else it raises
    ``RuntimeError``. See :func:`torch.utils.generate_methods_for_privateuse1_backend`.
    """
    name = torch.device("privateuseone").type
    for owner in (nn.Module, torch.Tensor, PackedSequence):
        for method in (name, f"is_{name}"):  # what is set is taken away at the end
            monkeypatch.setattr(owner, method, None, raising=False)
            monkeypatch.delattr(owner, method)
    with pytest.raises(RuntimeError, match=rf"torch.Tensor doesn't ha\w+ the method {name}"):
        torch.utils.generate_methods_for_privateuse1_backend(for_tensor=False)

    monkeypatch.setattr(torch.Tensor, name, lambda tensor, device=None: tensor.to("meta"), raising=False)
    monkeypatch.setattr(torch.Tensor, f"is_{name}", torch.Tensor.is_meta, raising=False)
    torch.utils.generate_methods_for_privateuse1_backend(for_tensor=False)
    net = nn.Sequential(nn.BatchNorm1d(2))
    assert getattr(net, name)() is net
    assert {str(tensor.device) for tensor in net.state_dict().values()} == {"meta"}
    with pytest.raises(RuntimeError, match=f"has already been registered with {name}"):
        torch.utils.generate_methods_for_privateuse1_backend(for_tensor=False)
