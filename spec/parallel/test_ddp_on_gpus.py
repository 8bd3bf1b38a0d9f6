"""DistributedDataParallel of modules on GPUs.

A rank usually has a GPU of its own. Here ``gpu_ranks`` runs a function on two ranks that share the first one,
and talk over gloo.
"""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


@pytest.mark.needs("cuda")
@pytest.mark.needs("distributed")
def test_device_ids_moves_the_inputs(gpu_ranks):
    """``DDP(net, device_ids=[0])`` moves inputs from the CPU to that GPU; without ``device_ids`` it does not.

    Gradients are averaged either way. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        seen, grads, x = [], [], torch.tensor([[rank + 1.0]])
        for devices in ([0], ["cuda:0"], None):
            net = nn.Linear(1, 1, bias=False).cuda()
            net.register_forward_pre_hook(lambda net, args: seen.append(str(args[0].device)))
            model = DDP(net, device_ids=devices)
            model(x if devices else x.cuda()).sum().backward()
            grads.append(net.weight.grad.item())
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            model(x)
        return seen, grads

    assert gpu_ranks(train) == [(["cuda:0", "cuda:0", "cuda:0", "cpu"], [1.5, 1.5, 1.5])] * 2


@pytest.mark.needs("cuda")
@pytest.mark.needs("distributed")
def test_output_device_moves_nothing(gpu_ranks):
    """``DDP`` ignores ``output_device``: outputs stay where the module leaves them.

    It need not even exist. By default it is the first of ``device_ids``, and ``None`` without them. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def call(rank):
        results = []
        for options in ({"device_ids": [0]}, {"device_ids": [0], "output_device": 9}, {}):
            model = DDP(nn.Linear(1, 1).cuda(), **options)
            output = model(torch.ones(1, 1).cuda())
            results.append((model.output_device, str(output.device)))
        return results

    assert gpu_ranks(call) == [[(0, "cuda:0"), (9, "cuda:0"), (None, "cuda:0")]] * 2


@pytest.mark.needs("cuda", 2)
@pytest.mark.needs("distributed")
def test_a_module_on_two_devices_has_no_device_ids(gpu_ranks):
    """``DDP`` of a module on several GPUs raises ``ValueError`` for ``device_ids`` and ``output_device``.

    The module takes its inputs from device to device itself. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Parameter(torch.tensor([2.0], device="cuda:0"))
                self.b = nn.Parameter(torch.tensor([3.0], device="cuda:1"))

            def forward(self, x):
                return (x.cuda(0) * self.a).cuda(1) * self.b

        net = Net()
        for options in ({"device_ids": [0]}, {"output_device": 1}):
            with pytest.raises(ValueError, match="device_ids and output_device arguments only work with"):
                DDP(net, **options)
        model = DDP(net, device_ids=[])
        model(torch.tensor([rank + 1.0])).sum().backward()
        return model.device_ids, net.a.grad.item(), net.b.grad.item()

    assert gpu_ranks(train) == [(None, 4.5, 3.0)] * 2


@pytest.mark.needs("cuda")
@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_finalization_runs_on_the_current_stream(gpu_ranks):
    """``DDP.finalize_backward()`` writes averaged gradients on the stream that is current when it is called.

    Here that stream is busy, so another one still reads the gradient of the rank. Make it wait for the stream
    first. See :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        net = nn.Linear(1, 1, bias=False).cuda()
        model = DDP(net, device_ids=[0])
        model.require_manual_backward_finalization = True
        model(torch.tensor([[rank + 1.0]])).sum().backward()
        torch.cuda.synchronize()
        busy = torch.cuda.Stream()
        with torch.cuda.stream(busy):
            torch.cuda._sleep(2_000_000_000)
            model.finalize_backward()
        early = net.weight.grad.item()
        busy.synchronize()
        return early, net.weight.grad.item()

    assert gpu_ranks(train) == [(1.0, 1.5), (2.0, 1.5)]


@pytest.mark.needs("cuda")
@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_mixed_precision_is_finalized_after_backward(gpu_ranks):
    """With ``mixed_precision``, ``should_finalize_after_backward`` of DDP is ``True`` in all iterations.

    Otherwise only the first one has to be finalized after backward. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        from torch.nn.parallel.distributed import _MixedPrecision

        seen = []
        for precision in (None, _MixedPrecision(param_dtype=torch.float16)):
            model = DDP(nn.Linear(1, 1).cuda(), device_ids=[0], mixed_precision=precision)
            model.require_manual_backward_finalization = True
            for _ in range(3):
                loss = model(torch.ones(1, 1)).sum()
                seen.append(model.should_finalize_after_backward)
                loss.backward()
                model.finalize_backward()
        return seen

    assert gpu_ranks(train) == [[True, False, False, True, True, True]] * 2
