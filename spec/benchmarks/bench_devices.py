"""Networks at work, on the CPU and beside it.

Each benchmark runs on every device present, and a call is over when the device is done with it: but for the
CPU it ends with a synchronisation. From the times of growing batches one sees where a GPU starts to win.
While it is measured, the CPU uses all its cores. Numbers that are compared are whole, so that every device
computes the same. The last ones set a network on one GPU beside the same in ``DataParallel``.
"""

import pytest
import torch
from torch import nn

#: How a network is called on one GPU: as it is, or what ``DataParallel`` is given.
DEVICE_IDS = {"plain": None, "device_ids=[0]": [0], "device_ids=[0, 0]": [0, 0]}


def whole_numbers(layer, *shape):
    """Fill a layer with whole numbers, and draw as many for its input."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randint(-4, 5, parameter.shape))
    return torch.randint(-4, 5, shape).float()


@pytest.mark.benchmark(group="forward, Linear")
@pytest.mark.parametrize("batch", [1, 8, 64, 512, 4096])
def bench_forward_of_linear(benchmark, until_done, device, batch):
    """A call of a linear layer of 256 by 256, until the device is done."""
    layer = nn.Linear(256, 256)
    x = whole_numbers(layer, batch, 256)
    expected = layer(x)
    layer, x = layer.to(device), x.to(device)

    found = until_done(benchmark, lambda: layer(x), device)

    assert torch.equal(found.cpu(), expected)
    assert found.device.type == device


@pytest.mark.benchmark(group="forward and backward, Linear")
@pytest.mark.parametrize("batch", [1, 8, 64, 512, 4096])
def bench_forward_and_backward_of_linear(benchmark, until_done, device, batch):
    """``zero_grad``, a call and ``backward`` of a linear layer of 256 by 256."""
    layer, x = nn.Linear(256, 256).to(device), torch.rand(batch, 256).to(device)

    def there_and_back():
        layer.zero_grad()
        layer(x).sum().backward()

    until_done(benchmark, there_and_back, device)

    assert torch.equal(layer.bias.grad, torch.full((256,), float(batch), device=device))


@pytest.mark.benchmark(group="training step, Linear")
@pytest.mark.parametrize("batch", [1, 8, 64, 512, 4096])
def bench_training_step_of_linear(benchmark, until_done, device, batch):
    """A training step of a linear layer of 256 by 256 with SGD."""
    layer, x = nn.Linear(256, 256).to(device), torch.rand(batch, 256).to(device)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-6)
    before = layer.bias.detach().clone()

    def step():
        optimizer.zero_grad()
        layer(x).sum().backward()
        optimizer.step()

    until_done(benchmark, step, device)

    assert (layer.bias < before).all()
    assert layer.bias.device.type == device


@pytest.mark.benchmark(group="forward, Conv2d")
@pytest.mark.parametrize("batch", [1, 8, 64, 512])
def bench_forward_of_conv2d(benchmark, until_done, device, batch):
    """A call of a convolution from 3 to 8 channels on pictures of 16 by 16."""
    layer = nn.Conv2d(3, 8, 3)
    x = whole_numbers(layer, batch, 3, 16, 16)
    expected = layer(x).round()
    layer, x = layer.to(device), x.to(device)

    found = until_done(benchmark, lambda: layer(x), device)

    assert torch.equal(found.cpu().round(), expected)  # some algorithms go through fractions
    assert found.device.type == device


@pytest.mark.benchmark(group="forward and backward, Conv2d")
@pytest.mark.parametrize("batch", [1, 8, 64, 512])
def bench_forward_and_backward_of_conv2d(benchmark, until_done, device, batch):
    """``zero_grad``, a call and ``backward`` of a convolution on pictures of 16 by 16."""
    layer, x = nn.Conv2d(3, 8, 3).to(device), torch.rand(batch, 3, 16, 16).to(device)

    def there_and_back():
        layer.zero_grad()
        layer(x).sum().backward()

    until_done(benchmark, there_and_back, device)

    assert torch.equal(layer.bias.grad, torch.full((8,), 14.0 * 14.0 * batch, device=device))


@pytest.mark.benchmark(group="training step, Conv2d")
@pytest.mark.parametrize("batch", [1, 8, 64, 512])
def bench_training_step_of_conv2d(benchmark, until_done, device, batch):
    """A training step of a convolution on pictures of 16 by 16 with SGD."""
    layer, x = nn.Conv2d(3, 8, 3).to(device), torch.rand(batch, 3, 16, 16).to(device)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-6)
    before = layer.bias.detach().clone()

    def step():
        optimizer.zero_grad()
        layer(x).sum().backward()
        optimizer.step()

    until_done(benchmark, step, device)

    assert (layer.bias < before).all()
    assert layer.bias.device.type == device


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="forward, ResNet-34")
@pytest.mark.parametrize("batch", [1, 4, 16])
def bench_forward_of_resnet34(benchmark, until_done, resnet34, device, batch):
    """A call of ResNet-34 in eval mode, without gradients, on pictures of 64 by 64."""
    net, x = resnet34.eval().to(device), torch.rand(batch, 3, 64, 64).to(device)

    with torch.no_grad():
        found = until_done(benchmark, lambda: net(x), device)

    assert [found.shape, found.device.type] == [(batch, 1000), device]
    assert found.isfinite().all()


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="forward and backward, ResNet-34")
@pytest.mark.parametrize("batch", [1, 4, 16])
def bench_forward_and_backward_of_resnet34(benchmark, until_done, resnet34, device, batch):
    """``zero_grad``, a call and ``backward`` of ResNet-34 on pictures of 64 by 64."""
    net, x = resnet34.to(device), torch.rand(batch, 3, 64, 64).to(device)

    def there_and_back():
        net.zero_grad()
        net(x).sum().backward()

    until_done(benchmark, there_and_back, device)

    assert [parameter.grad.device.type for parameter in net.parameters()] == [device] * 110
    assert torch.equal(net.fc.bias.grad, torch.full((1000,), float(batch), device=device))


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="training step, ResNet-34")
@pytest.mark.parametrize("batch", [1, 4, 16])
def bench_training_step_of_resnet34(benchmark, until_done, resnet34, device, batch):
    """A training step of ResNet-34 on pictures of 64 by 64 with SGD."""
    net, x = resnet34.to(device), torch.rand(batch, 3, 64, 64).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-6)
    before = net.fc.bias.detach().clone()

    def step():
        optimizer.zero_grad()
        net(x).sum().backward()
        optimizer.step()

    until_done(benchmark, step, device)

    assert (net.fc.bias < before).all()
    assert net.fc.bias.device.type == device


def as_called(net, how):
    """A network plain or in ``DataParallel``."""
    return net if how == "plain" else nn.DataParallel(net, DEVICE_IDS[how])


@pytest.mark.needs("cuda")
@pytest.mark.benchmark(group="DataParallel, Linear")
@pytest.mark.parametrize("how", DEVICE_IDS)
@pytest.mark.parametrize("batch", [8, 512])
def bench_data_parallel_of_linear(benchmark, until_done, how, batch):
    """A call of a linear layer on one GPU, plain or in ``DataParallel``."""
    layer = nn.Linear(256, 256)
    x = whole_numbers(layer, batch, 256)
    expected = layer(x)
    net, x = as_called(layer.cuda(), how), x.cuda()

    found = until_done(benchmark, lambda: net(x), "cuda")

    assert torch.equal(found.cpu(), expected)


@pytest.mark.needs("cuda")
@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="DataParallel, ResNet-34")
@pytest.mark.parametrize("how", DEVICE_IDS)
@pytest.mark.parametrize("batch", [4, 16])
def bench_data_parallel_of_resnet34(benchmark, until_done, resnet34, how, batch):
    """A call of ResNet-34 on one GPU without gradients, plain or in ``DataParallel``."""
    net, x = as_called(resnet34.eval().cuda(), how), torch.rand(batch, 3, 64, 64).cuda()

    with torch.no_grad():
        found = until_done(benchmark, lambda: net(x), "cuda")

    assert [found.shape, found.device.type] == [(batch, 1000), "cuda"]
    assert found.isfinite().all()
