"""Modules on a GPU.

A module is moved in place; its inputs are not moved with it and have to be sent to the same device.
"""

import io

import pytest
import torch
from torch import nn


@pytest.mark.claim("N5-25")
@pytest.mark.needs("cuda")
def test_cuda_moves_the_module():
    """:meth:`Module.cuda() <torch.nn.Module.cuda>` moves all parameters and buffers to the GPU, in place.

    Inputs stay where they are and have to be moved as well.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    net[0].register_buffer("cache", torch.tensor([5.0]), persistent=False)
    values = {key: value.tolist() for key, value in net.state_dict().items()}

    returned = net.cuda()

    assert returned is net
    assert [t.is_cuda for t in (*net.parameters(), *net.buffers())] == [True] * 8
    assert net[0].cache.tolist() == [5.0]
    assert {key: value.tolist() for key, value in net.state_dict().items()} == values


@pytest.mark.claim("N5-26")
@pytest.mark.needs("cuda")
def test_cuda_copies_a_tensor():
    """:meth:`Tensor.cuda() <torch.Tensor.cuda>` returns a copy on the GPU and leaves the tensor on the CPU,
    unlike ``Module.cuda``.

    ``x.cuda()`` without ``x =`` before it does nothing.
    """
    x, layer = torch.tensor([1.5, 2.5]), nn.Linear(2, 3)

    returned = x.cuda()

    assert x.device.type == "cpu"
    assert returned.device.type == "cuda"
    assert returned.tolist() == [1.5, 2.5]
    assert layer.cuda() is layer


@pytest.mark.needs("cuda")
def test_cuda_keeps_parameters_and_replaces_buffers():
    """:meth:`Module.cuda() <torch.nn.Module.cuda>` keeps the parameter objects and replaces the buffers."""
    norm = nn.BatchNorm1d(2)
    weight, mean = norm.weight, norm.running_mean

    norm.cuda()

    assert norm.weight is weight
    assert weight.device.type == "cuda"
    assert norm.running_mean is not mean
    assert mean.device.type == "cpu"


@pytest.mark.needs("cuda")
def test_parameters_stay_leaves():
    """After :meth:`Module.cuda() <torch.nn.Module.cuda>` parameters remain leaves; ``x.cuda()`` of a CPU
    ``x`` that requires grad is a non-leaf.

    An optimizer raises for a non-leaf: create a tensor that requires a gradient with ``device="cuda"``.
    """
    x = torch.rand(2, requires_grad=True)

    assert nn.Linear(2, 3).cuda().weight.is_leaf is True
    assert x.cuda().is_leaf is False


@pytest.mark.needs("cuda")
def test_gradients_are_moved_along():
    """:meth:`Module.cuda() <torch.nn.Module.cuda>` moves gradients too and keeps the gradient objects."""
    layer = nn.Linear(2, 3)
    layer(torch.tensor([[1.5, 2.5]])).sum().backward()
    weight, bias = layer.weight.grad, layer.bias.grad

    layer.cuda()

    assert layer.weight.grad is weight
    assert layer.bias.grad is bias
    assert [grad.device.type for grad in (weight, bias)] == ["cuda", "cuda"]
    assert [grad.tolist() for grad in (weight, bias)] == [[[1.5, 2.5]] * 3, [1.0] * 3]


@pytest.mark.needs("cuda")
def test_an_index_names_the_gpu():
    """``Module.cuda(0)`` and ``to("cuda:0")`` move to the first GPU; ``to("cuda")``, to the current one."""
    devices = [nn.Linear(2, 3).cuda(0).weight.device, nn.Linear(2, 3).to("cuda:0").weight.device]
    current = nn.Linear(2, 3).to("cuda").weight.device

    assert devices == [torch.device("cuda", 0)] * 2
    assert current == torch.device("cuda", torch.cuda.current_device())


@pytest.mark.needs("cuda")
def test_a_second_move_copies_nothing():
    """``Module.cuda`` copies nothing if the module is already on the GPU."""
    norm = nn.BatchNorm1d(2).cuda()
    before = {key: (id(value), value.data_ptr()) for key, value in norm.state_dict(keep_vars=True).items()}

    norm.cuda().to("cuda")

    assert {key: (id(v), v.data_ptr()) for key, v in norm.state_dict(keep_vars=True).items()} == before


@pytest.mark.needs("cuda")
def test_cpu_brings_the_module_back():
    """:meth:`Module.cpu() <torch.nn.Module.cpu>` moves parameters, gradients and buffers to the CPU."""
    norm = nn.BatchNorm1d(2).cuda()
    norm.weight.grad = torch.tensor([1.5, 2.5], device="cuda")
    weight = norm.weight

    norm.cpu()

    assert [t.device.type for t in norm.state_dict().values()] == ["cpu"] * 5
    assert norm.weight is weight
    assert weight.grad.device.type == "cpu"
    assert weight.grad.tolist() == [1.5, 2.5]


@pytest.mark.needs("cuda")
def test_leaving_the_gpu_frees_its_memory():
    """``Module.cpu`` returns the GPU memory of the module's tensors to torch's caching allocator.

    Other tensors can then use it; ``nvidia-smi`` shows it as used until ``torch.cuda.empty_cache()``.
    """
    layer = nn.Linear(1000, 1000, device="cuda")
    before = torch.cuda.memory_allocated()

    layer.cpu()

    assert before - torch.cuda.memory_allocated() >= 4 * 1000 * 1000


@pytest.mark.needs("cuda")
def test_inputs_on_the_cpu_are_refused():
    """A module moved to the GPU by ``Module.cuda`` raises ``RuntimeError`` for an input on the CPU.

    All tensors of an operation must be on one device: ``net(x.to(device))``.
    """
    layer = nn.Linear(2, 3).cuda()

    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        layer(torch.rand(4, 2))


@pytest.mark.needs("cuda")
def test_inputs_on_the_gpu_are_refused_by_the_cpu():
    """``nn.Linear`` on the CPU raises ``RuntimeError`` for an input on the GPU."""
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        nn.Linear(2, 3)(torch.rand(4, 2, device="cuda"))


@pytest.mark.needs("cuda")
def test_outputs_and_gradients_are_on_the_gpu():
    """After ``Module.cuda``, outputs and gradients for an input on the GPU are on the GPU."""
    layer = nn.Linear(2, 3).cuda()

    output = layer(torch.rand(4, 2).cuda())
    output.sum().backward()

    assert output.is_cuda is True
    assert [p.grad.device.type for p in layer.parameters()] == ["cuda", "cuda"]


@pytest.mark.question("Q69")
@pytest.mark.needs("cuda")
def test_an_optimizer_made_before_trains_on_the_gpu():
    """An optimizer made before :meth:`Module.cuda() <torch.nn.Module.cuda>` trains the module on the GPU."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9)
    layer.cuda()
    layer(torch.tensor([[2.0, 4.0]], device="cuda")).sum().backward()
    optimizer.step()

    assert optimizer.param_groups[0]["params"][0] is layer.weight
    assert layer.weight.tolist() == [[2.0, 1.0]]
    assert optimizer.state[layer.weight]["momentum_buffer"].device.type == "cuda"


@pytest.mark.question("Q69")
@pytest.mark.needs("cuda")
def test_an_optimizer_that_has_stepped_is_left_behind():
    """``Module.cuda`` leaves an optimizer's momentum on the CPU, so its next ``step()`` raises
    ``RuntimeError``.

    Move before the first step, or load the optimizer's own state dict, which moves the state.
    """
    layer = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9, foreach=False)
    layer(torch.rand(4, 2)).sum().backward()
    optimizer.step()

    layer.cuda()

    assert optimizer.state[layer.weight]["momentum_buffer"].device.type == "cpu"
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        optimizer.step()


@pytest.mark.needs("cuda")
def test_loading_moves_an_optimizers_state():
    """``optimizer.load_state_dict(optimizer.state_dict())`` moves momentum to the GPU of the parameters."""
    layer = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9)
    layer(torch.tensor([[1.5, 2.5]])).sum().backward()
    optimizer.step()

    layer.cuda()
    optimizer.load_state_dict(optimizer.state_dict())

    momentum = optimizer.state[layer.weight]["momentum_buffer"]
    assert momentum.device.type == "cuda"
    assert momentum.tolist() == [[1.5, 2.5]]


@pytest.mark.needs("cuda")
def test_pinned_memory_may_be_copied_in_the_background():
    """What ``.to("cuda", non_blocking=True)`` copies from pinned memory has its values once synchronized.

    The copy may run in the background. Later work on the same stream sees the values too.
    """
    x = torch.arange(1000.0).pin_memory()

    y = x.to("cuda", non_blocking=True)
    torch.cuda.synchronize()

    assert x.is_pinned() is True
    assert y.device.type == "cuda"
    assert torch.equal(y.cpu(), torch.arange(1000.0))


@pytest.mark.needs("cuda")
def test_a_module_may_be_moved_in_the_background():
    """``Module.to("cuda", non_blocking=True)`` returns before parameters in pinned memory are copied."""
    layer, other = nn.Linear(20, 30)._apply(torch.Tensor.pin_memory), nn.Linear(20, 30)
    weight = layer.weight.detach().clone()
    torch.cuda._sleep(10**9)

    assert layer.to("cuda", non_blocking=True) is layer
    assert torch.cuda.current_stream().query() is False
    other.to("cuda")
    assert torch.cuda.current_stream().query() is True
    assert torch.equal(layer.weight.detach().cpu(), weight)


@pytest.mark.needs("cuda")
def test_the_gpu_has_its_own_generator():
    """``nn.Linear(..., device="cuda")`` uses the GPU's random generator and does not change the CPU's."""
    cpu, gpu = torch.get_rng_state(), torch.cuda.get_rng_state()

    nn.Linear(20, 30, device="cuda")

    assert torch.equal(torch.get_rng_state(), cpu)
    assert not torch.equal(torch.cuda.get_rng_state(), gpu)


@pytest.mark.needs("cuda")
def test_one_seed_gives_other_weights_on_the_gpu():
    """:func:`torch.manual_seed` seeds the GPU too, but gives other weights there than on the CPU."""
    weights = []
    for device in ("cuda", "cuda", "cpu"):
        torch.manual_seed(7)
        weights.append(nn.Linear(20, 30, device=device).weight.detach().cpu())

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.needs("cuda")
def test_a_file_from_the_cpu_may_be_loaded_to_the_gpu():
    """``torch.load(map_location="cuda")`` loads tensors saved on the CPU onto the GPU."""
    file = io.BytesIO()
    torch.save({"w": torch.tensor([1.5, 2.5])}, file)
    file.seek(0)

    state = torch.load(file, map_location="cuda", weights_only=True)

    assert state["w"].device.type == "cuda"
    assert state["w"].tolist() == [1.5, 2.5]


@pytest.mark.needs("cuda")
def test_devices_in_a_file_may_be_renamed():
    """``torch.load(map_location={"cuda:0": "cpu"})`` loads tensors saved on the first GPU onto the CPU."""
    file = io.BytesIO()
    torch.save({"w": torch.tensor([1.5, 2.5], device="cuda:0")}, file)
    file.seek(0)

    state = torch.load(file, map_location={"cuda:0": "cpu"}, weights_only=True)

    assert state["w"].device.type == "cpu"
    assert state["w"].tolist() == [1.5, 2.5]


@pytest.mark.question("Q75")
@pytest.mark.needs("cuda")
def test_nothing_can_be_copied_from_meta_to_the_gpu():
    """``Module.to("cuda")`` and ``cuda()`` raise ``NotImplementedError`` for a module on the meta device.

    Give it memory on the GPU with ``to_empty``, or load it with ``assign=True``.
    """
    layer = nn.Linear(2, 3, device="meta")

    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
        layer.to("cuda")
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
        layer.cuda()


@pytest.mark.needs("cuda")
def test_autocast_leaves_the_weights():
    """Inside :class:`torch.autocast("cuda") <torch.autocast>`, ``nn.Linear`` returns ``float16``; weights
    and gradients stay ``float32``.
    """
    layer = nn.Linear(2, 3, device="cuda")

    with torch.autocast("cuda", dtype=torch.float16):
        output = layer(torch.rand(4, 2, device="cuda"))
    output.float().sum().backward()

    assert output.dtype == torch.float16
    assert [p.dtype for p in layer.parameters()] == [torch.float32] * 2
    assert [p.grad.dtype for p in layer.parameters()] == [torch.float32] * 2


@pytest.mark.needs("cuda")
def test_a_module_on_the_gpu_counts_as_shared():
    """:meth:`Module.share_memory() <torch.nn.Module.share_memory>` changes nothing on the GPU, where
    tensors already count as shared.
    """
    layer = nn.Linear(2, 3, device="cuda")
    places = [(True, p.data_ptr()) for p in layer.parameters()]
    assert [(p.is_shared(), p.data_ptr()) for p in layer.parameters()] == places

    assert layer.share_memory() is layer
    assert [(p.is_shared(), p.data_ptr()) for p in layer.parameters()] == places


@pytest.mark.needs("cuda")
@pytest.mark.since("2.6")
def test_the_accelerator_names_the_gpu():
    """``torch.accelerator.current_accelerator()`` returns a device that ``Module.to`` accepts."""
    device = torch.accelerator.current_accelerator()

    assert device.type == "cuda"
    assert nn.Linear(2, 3).to(device).weight.device.type == "cuda"


@pytest.mark.needs("cuda", 2)
def test_a_module_moves_between_gpus():
    """``Module.to("cuda:1")`` moves a module and its gradients from one GPU to another, in place.

    The parameter objects stay the same.
    """
    layer = nn.Linear(2, 3, device="cuda:0")
    layer.weight.grad = torch.ones(3, 2, device="cuda:0")
    weight = layer.weight

    layer.to("cuda:1")

    assert layer.weight is weight
    assert [t.device.index for t in (weight, weight.grad, layer.bias)] == [1, 1, 1]


@pytest.mark.needs("cuda", 2)
def test_the_current_gpu_is_a_context():
    """Inside :class:`torch.cuda.device`, ``Module.cuda()`` without an index moves to that GPU."""
    with torch.cuda.device(1):
        layer = nn.Linear(2, 3).cuda()

    assert layer.weight.device == torch.device("cuda", 1)


@pytest.mark.needs("cuda", 2)
def test_two_gpus_are_two_devices():
    """A module on ``cuda:0`` raises ``RuntimeError`` for an input on ``cuda:1``."""
    layer = nn.Linear(2, 3, device="cuda:0")

    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        layer(torch.rand(4, 2, device="cuda:1"))


@pytest.mark.needs("cuda", 2)
def test_parts_may_be_on_different_gpus():
    """Parts of a module can be on ``cuda:0`` and ``cuda:1`` if the activations are moved between them."""
    net = nn.Sequential(nn.Linear(2, 3, device="cuda:0"), nn.Linear(3, 1, device="cuda:1"))

    output = net[1](net[0](torch.rand(4, 2, device="cuda:0")).to("cuda:1"))
    output.sum().backward()

    assert [p.grad.device.index for p in net.parameters()] == [0, 0, 1, 1]
