"""Networks at work, on the CPU and beside it.

Each benchmark runs on every device present, and a call is over when the device is done with it: on CUDA it
ends with a synchronisation. From the times of growing batches one sees where a GPU starts to win. While it
is measured, the CPU uses all its cores. Numbers that are compared are whole, so that every device computes
the same.
"""

import pytest
import torch
from torch import nn


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

    found = until_done(benchmark, lambda: layer(x))

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

    until_done(benchmark, there_and_back)

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

    until_done(benchmark, step)

    assert (layer.bias < before).all()
    assert layer.bias.device.type == device


@pytest.mark.benchmark(group="forward, Conv2d")
@pytest.mark.parametrize("batch", [1, 8, 64, 512])
def bench_forward_of_conv2d(benchmark, until_done, device, batch):
    """A call of a convolution from 3 to 8 channels on pictures of 16 by 16."""
    layer = nn.Conv2d(3, 8, 3)
    x = whole_numbers(layer, batch, 3, 16, 16)
    expected = layer(x)
    layer, x = layer.to(device), x.to(device)

    found = until_done(benchmark, lambda: layer(x))

    assert torch.equal(found.cpu().round(), expected)  # cuDNN may go through fractions on its way
    assert found.device.type == device


@pytest.mark.benchmark(group="forward and backward, Conv2d")
@pytest.mark.parametrize("batch", [1, 8, 64, 512])
def bench_forward_and_backward_of_conv2d(benchmark, until_done, device, batch):
    """``zero_grad``, a call and ``backward`` of a convolution on pictures of 16 by 16."""
    layer, x = nn.Conv2d(3, 8, 3).to(device), torch.rand(batch, 3, 16, 16).to(device)

    def there_and_back():
        layer.zero_grad()
        layer(x).sum().backward()

    until_done(benchmark, there_and_back)

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

    until_done(benchmark, step)

    assert (layer.bias < before).all()
    assert layer.bias.device.type == device


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="forward, ResNet-34")
@pytest.mark.parametrize("batch", [1, 4, 16])
def bench_forward_of_resnet34(benchmark, until_done, resnet34, device, batch):
    """A call of ResNet-34 in eval mode, without gradients, on pictures of 64 by 64."""
    net, x = resnet34.eval().to(device), torch.rand(batch, 3, 64, 64).to(device)

    with torch.no_grad():
        found = until_done(benchmark, lambda: net(x))

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

    until_done(benchmark, there_and_back)

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

    until_done(benchmark, step)

    assert (net.fc.bias < before).all()
    assert net.fc.bias.device.type == device


@pytest.mark.needs("cuda")
@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="move to the GPU, ResNet-34")
def bench_moving_resnet34_to_the_gpu(benchmark, resnet34):
    """The move of the 218 tensors of ResNet-34 from the CPU to the GPU."""

    def back():
        resnet34.to("cpu")

    def move():
        resnet34.to("cuda")
        torch.cuda.synchronize()

    benchmark.pedantic(move, setup=back, rounds=20, warmup_rounds=1)

    assert [value.device.type for value in resnet34.state_dict().values()] == ["cuda"] * 218


@pytest.mark.needs("cuda")
@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="move to the CPU, ResNet-34")
def bench_moving_resnet34_to_the_cpu(benchmark, resnet34):
    """The move of the 218 tensors of ResNet-34 from the GPU to the CPU."""

    def back():
        resnet34.to("cuda")
        torch.cuda.synchronize()

    def move():
        resnet34.to("cpu")
        torch.cuda.synchronize()

    benchmark.pedantic(move, setup=back, rounds=20, warmup_rounds=1)

    assert [value.device.type for value in resnet34.state_dict().values()] == ["cpu"] * 218


@pytest.mark.needs("cuda")
@pytest.mark.benchmark(group="one GPU, plain")
@pytest.mark.parametrize("batch", [8, 512])
def bench_calling_a_layer_on_the_gpu(benchmark, batch):
    """A call of a linear layer on the GPU with a batch that is there already."""
    layer = nn.Linear(256, 256)
    x = whole_numbers(layer, batch, 256)
    expected = layer(x)
    layer, x = layer.cuda(), x.cuda()

    def call():
        output = layer(x)
        torch.cuda.synchronize()
        return output

    assert torch.equal(benchmark(call).cpu(), expected)


@pytest.mark.needs("cuda")
@pytest.mark.benchmark(group="one GPU, DataParallel")
@pytest.mark.parametrize("batch", [8, 512])
def bench_calling_data_parallel_on_one_gpu(benchmark, batch):
    """A call of the same layer in ``DataParallel`` on one GPU."""
    layer = nn.Linear(256, 256)
    x = whole_numbers(layer, batch, 256)
    expected = layer(x)
    net, x = nn.DataParallel(layer.cuda(), device_ids=[0]), x.cuda()

    def call():
        output = net(x)
        torch.cuda.synchronize()
        return output

    assert torch.equal(benchmark(call).cpu(), expected)
