"""The machinery on ResNet-34.

What is done to trees of growing size is done here to one real network: 116 modules, 110 parameters, 108
buffers, 21.8 million numbers. Where the numbers are moved too, as in a copy, they outweigh the modules.
"""

import copy
import pickle

import pytest
import torch


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="construct, ResNet-34")
def bench_constructing_it(benchmark):
    """The construction of ResNet-34, its weights drawn."""
    import torchvision

    net = benchmark(torchvision.models.resnet34)

    assert sum(parameter.numel() for parameter in net.parameters()) == 21_797_672


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="parameters(), ResNet-34")
def bench_its_parameters(benchmark, resnet34):
    """A whole walk of ``parameters`` over ResNet-34."""
    found = benchmark(lambda: list(resnet34.parameters()))

    assert len(found) == 110


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="named_parameters(), ResNet-34")
def bench_its_named_parameters(benchmark, resnet34):
    """A whole walk of ``named_parameters`` over ResNet-34."""
    found = benchmark(lambda: list(resnet34.named_parameters()))

    assert [len(found), found[-1][0]] == [110, "fc.bias"]


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="named_modules(), ResNet-34")
def bench_its_named_modules(benchmark, resnet34):
    """A whole walk of ``named_modules`` over ResNet-34."""
    found = benchmark(lambda: list(resnet34.named_modules()))

    assert [len(found), found[-1][0]] == [116, "fc"]


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="apply(), ResNet-34")
def bench_apply_to_it(benchmark, resnet34):
    """``apply`` on ResNet-34 of a function that notes each module."""
    handed = set()

    benchmark(resnet34.apply, handed.add)

    assert handed == set(resnet34.modules())


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="train() and eval(), ResNet-34")
def bench_switching_its_mode(benchmark, resnet34):
    """``train`` and ``eval`` of ResNet-34."""
    benchmark(lambda: resnet34.train().eval())

    assert [module.training for module in resnet34.modules()] == [False] * 116


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="requires_grad_(), ResNet-34")
def bench_freezing_it(benchmark, resnet34):
    """``requires_grad_(False)`` of ResNet-34."""
    benchmark(resnet34.requires_grad_, False)

    assert [parameter.requires_grad for parameter in resnet34.parameters()] == [False] * 110


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="zero_grad(), ResNet-34")
def bench_forgetting_its_gradients(benchmark, resnet34):
    """``zero_grad`` of ResNet-34 with all gradients there."""

    def fill():
        for parameter in resnet34.parameters():
            parameter.grad = parameter.detach()

    benchmark.pedantic(resnet34.zero_grad, setup=fill, rounds=100)

    assert [parameter.grad for parameter in resnet34.parameters()] == [None] * 110


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="zero_grad(False), ResNet-34")
def bench_clearing_its_gradients(benchmark, resnet34):
    """``zero_grad(set_to_none=False)`` of ResNet-34 with all gradients there."""
    for parameter in resnet34.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)

    benchmark(resnet34.zero_grad, set_to_none=False)

    assert [parameter.grad.any().item() for parameter in resnet34.parameters()] == [False] * 110


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="repr(), ResNet-34")
def bench_printing_it(benchmark, resnet34):
    """``repr`` of ResNet-34."""
    printed = benchmark(repr, resnet34)

    assert printed.count("Conv2d(") == 36


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="state_dict(), ResNet-34")
def bench_its_state_dict(benchmark, resnet34):
    """``state_dict`` of ResNet-34."""
    state = benchmark(resnet34.state_dict)

    assert len(state) == 218


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="load_state_dict(), ResNet-34")
def bench_loading_into_it(benchmark, resnet34):
    """``load_state_dict`` of ResNet-34."""
    weight = resnet34.fc.weight
    state = {name: torch.full_like(value, 3) for name, value in resnet34.state_dict().items()}

    benchmark(resnet34.load_state_dict, state)

    assert {value.sum().item() / value.numel() for value in resnet34.buffers()} == {3.0}
    assert [resnet34.fc.weight is weight, weight[0, 0].item()] == [True, 3.0]


@pytest.mark.since("2.1")
@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="load_state_dict(assign=True), ResNet-34")
def bench_assigning_to_it(benchmark, resnet34):
    """``load_state_dict`` of ResNet-34 with ``assign=True``."""
    state = {name: torch.full_like(value, 3) for name, value in resnet34.state_dict().items()}

    benchmark(resnet34.load_state_dict, state, assign=True)

    assert [state[name].data_ptr() == value.data_ptr() for name, value in resnet34.state_dict().items()] == [
        True
    ] * 218


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="deepcopy(), ResNet-34")
def bench_deepcopy_of_it(benchmark, resnet34):
    """``copy.deepcopy`` of ResNet-34."""
    copied = benchmark(copy.deepcopy, resnet34)

    places = {parameter.data_ptr() for net in (resnet34, copied) for parameter in net.parameters()}
    assert len(places) == 220


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="pickle, ResNet-34")
def bench_pickling_it(benchmark, resnet34):
    """ResNet-34 through ``pickle.dumps`` and ``pickle.loads``."""
    loaded = benchmark(lambda: pickle.loads(pickle.dumps(resnet34)))

    assert torch.equal(loaded.fc.weight, resnet34.fc.weight)
    assert len(loaded.state_dict()) == 218


@pytest.mark.needs("torchvision")
@pytest.mark.benchmark(group="to(dtype), ResNet-34")
def bench_casting_it(benchmark, resnet34):
    """The cast of ResNet-34 to ``float64`` and back."""
    benchmark(lambda: resnet34.to(torch.float64).to(torch.float32))

    dtypes = [value.dtype for value in resnet34.state_dict().values()]
    assert [dtypes.count(torch.float32), dtypes.count(torch.int64)] == [182, 36]
