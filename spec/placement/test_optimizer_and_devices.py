"""Optimizers and modules that are moved or cast.

An optimizer holds the parameter objects it was given. Whether a module may be moved later depends on
whether its parameters stay the same objects, and on the state that the optimizer keeps.
"""

import pytest
import torch
from torch import nn


@pytest.mark.question("Q69")
def test_an_optimizer_follows_a_cast(device):
    """On CPU and GPU, an optimizer created before ``Module.to`` still trains the module afterwards.

    The parameters are still the objects that the optimizer holds. Older advice, to move first, is on the safe
    side: the meta device, XLA and the flags of *future_flags* make new parameters.
    """
    layer = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    nn.Sequential(layer).to(device, torch.float16)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
    layer.weight.grad = torch.tensor([[1.0, -1.0]], dtype=torch.float16, device=device)

    optimizer.step()

    assert optimizer.param_groups[0]["params"][0] is layer.weight
    assert layer.weight.tolist() == [[0.5, 2.5]]


def test_an_optimizer_does_not_follow_to_meta():
    """After ``Module.to("meta")``, or ``to_empty`` from meta, an earlier optimizer holds the old parameters.

    It trains nothing, without an error. Create the optimizer when the module has its values.
    """
    leaving, entering = nn.PReLU(device="meta"), nn.PReLU()
    first = torch.optim.SGD(leaving.parameters(), lr=0.5)
    second = torch.optim.SGD(entering.parameters(), lr=0.5)

    leaving.to_empty(device="cpu")
    entering.to("meta")
    nn.init.constant_(leaving.weight, 3.0)
    leaving(torch.tensor([-1.0])).sum().backward()
    first.step()

    assert leaving.weight.item() == 3.0
    assert first.param_groups[0]["params"][0] is not leaving.weight
    assert first.param_groups[0]["params"][0].device.type == "meta"
    assert second.param_groups[0]["params"][0] is not entering.weight
    assert second.param_groups[0]["params"][0].device.type == "cpu"


@pytest.mark.question("Q69")
def test_an_optimizers_state_is_not_cast():
    """``Module.to(torch.float64)`` does not cast optimizer state such as ``momentum_buffer``.

    Momentum and the like keep their dtype: load the optimizer's own state dict to cast them.
    """
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9)
    layer(torch.rand(4, 2)).sum().backward()
    optimizer.step()
    before = [optimizer.state[p]["momentum_buffer"] for p in layer.parameters()]

    layer.to(torch.float64)

    after = [optimizer.state[p]["momentum_buffer"] for p in layer.parameters()]
    assert [p.dtype for p in layer.parameters()] == [torch.float64, torch.float64]
    assert [id(momentum) for momentum in after] == [id(momentum) for momentum in before]
    assert [momentum.dtype for momentum in after] == [torch.float32, torch.float32]


def test_loading_casts_an_optimizers_state():
    """``optimizer.load_state_dict(optimizer.state_dict())`` casts momentum to the dtype of the parameters."""
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.SGD([{"params": [p]} for p in layer.parameters()], lr=0.5, momentum=0.9)
    layer(torch.tensor([[1.5, 2.5]])).sum().backward()
    optimizer.step()

    layer.double()
    optimizer.load_state_dict(optimizer.state_dict())

    momenta = [optimizer.state[p]["momentum_buffer"] for p in layer.parameters()]
    assert [momentum.dtype for momentum in momenta] == [torch.float64, torch.float64]
    assert [momentum.tolist() for momentum in momenta] == [[[1.5, 2.5]], [1.0]]


def test_loading_leaves_the_step_alone():
    """``load_state_dict`` of ``Adam`` casts moments to the dtype of the parameters, but not ``step``.

    In bfloat16 a count could not pass 256.
    """
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.Adam([{"params": [p]} for p in layer.parameters()])
    layer(torch.tensor([[1.5, 2.5]])).sum().backward()
    optimizer.step()

    layer.bfloat16()
    optimizer.load_state_dict(optimizer.state_dict())

    for p in layer.parameters():
        dtypes = {name: value.dtype for name, value in optimizer.state[p].items()}
        assert dtypes == {"step": torch.float32, "exp_avg": torch.bfloat16, "exp_avg_sq": torch.bfloat16}


@pytest.mark.since("2.1")
def test_loading_leaves_the_step_where_it_is():
    """``Adam.load_state_dict`` moves ``step`` to another device only if saved as ``capturable`` or ``fused``.

    What counts are the saved options, not those of the new optimizer. Otherwise ``step`` stays on the CPU,
    where each step reads it; whoever moves the whole state to the GPU makes every step wait for it. See
    :class:`torch.optim.Adam`.
    """
    layer, moved = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False, device="meta")
    layer.weight.grad = torch.ones(1, 2)
    trained = torch.optim.Adam(layer.parameters())
    trained.step()
    devices = []

    for options in ({}, {"capturable": True}, {"fused": True}):
        saved = trained.state_dict()
        saved["param_groups"][0].update(options)
        optimizer = torch.optim.Adam(moved.parameters())
        optimizer.load_state_dict(saved)
        state = optimizer.state[moved.weight]
        devices.append([state["step"].device.type, state["exp_avg"].device.type])

    assert devices == [["cpu", "meta"], ["meta", "meta"], ["meta", "meta"]]


@pytest.mark.before("2.1")
def test_loading_left_the_step_on_the_cpu():
    """``Adam.load_state_dict`` leaves ``step`` on the CPU, even if the state dict says
    ``capturable=True``.
    """
    layer, moved = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False, device="meta")
    layer.weight.grad = torch.ones(1, 2)
    trained = torch.optim.Adam(layer.parameters())
    trained.step()
    saved = trained.state_dict()
    saved["param_groups"][0]["capturable"] = True

    optimizer = torch.optim.Adam(moved.parameters())
    optimizer.load_state_dict(saved)

    state = optimizer.state[moved.weight]
    assert [state["step"].device.type, state["exp_avg"].device.type] == ["cpu", "meta"]


@pytest.mark.since("2.4")
def test_fused_optimizers_convert_the_step():
    """``load_state_dict`` of ``Adam(fused=True)`` makes ``step`` a float32 tensor where the parameter is.

    Without ``fused`` and ``capturable`` a ``step`` that is a tensor stays as it was saved; a number becomes a
    tensor. So a checkpoint read with ``map_location="cpu"`` serves a fused optimizer on a GPU
    (:issue:`103256`, :pull:`173901`). See :class:`torch.optim.Adam`.
    """
    plain = [torch.float64, torch.int64, torch.float32]
    for fused, loaded in [(False, plain), (True, [torch.float32] * 3)]:
        layer = nn.Linear(2, 1, bias=False)
        optimizer = torch.optim.Adam(layer.parameters(), fused=fused)
        layer(torch.tensor([[1.5, 2.5]])).sum().backward()
        optimizer.step()
        state, dtypes = optimizer.state_dict(), []

        for step in (torch.tensor(7.0, dtype=torch.float64), torch.tensor(7), 7.0):
            state["state"][0]["step"] = step
            optimizer.load_state_dict(state)
            assert optimizer.state[layer.weight]["step"].item() == 7
            dtypes.append(optimizer.state[layer.weight]["step"].dtype)
        assert dtypes == loaded


@pytest.mark.parametrize(
    ("kind", "options"),
    [("Adam", {}), ("Adam", {"amsgrad": True}), ("AdamW", {}), ("AdamW", {"amsgrad": True}), ("NAdam", {})],
    ids=["Adam", "Adam amsgrad", "AdamW", "AdamW amsgrad", "NAdam"],
)
def test_the_step_is_counted_on_the_cpu(kind, options):
    """``step`` of ``Adam`` is a CPU tensor without dimensions, on whichever device the parameter is.

    A kernel needs the number on the CPU. So a tool that moves all tensors of the state makes each step
    slower. With ``capturable=True`` or ``fused=True`` it is where the parameter is.
    """
    weight = nn.Parameter(torch.ones(3, device="meta"))
    optimizer = getattr(torch.optim, kind)([weight], lr=0.5, **options)

    weight.grad = torch.ones(3, device="meta")
    optimizer.step()

    state = {name: (value.device.type, value.dim()) for name, value in optimizer.state[weight].items()}
    assert state.pop("step") == ("cpu", 0)
    state.pop("mu_product", None)  # of NAdam, a number as well
    assert set(state.values()) == {("meta", 1)}


@pytest.mark.since("2.4")
def test_the_step_is_counted_in_the_default_dtype():
    """``step`` of ``Adam`` is float64 if that is the default dtype, else float32, whatever the parameters
    are.

    A count in float32 ends at 16,777,216, one in float16 would end at 2,048 (:issue:`110940`). See
    :class:`torch.optim.Adam`.
    """
    layer = nn.Linear(2, 1, bias=False, dtype=torch.float32)
    layer.weight.grad = torch.ones(1, 2)

    before, counted = torch.get_default_dtype(), []
    for kind in (
        torch.optim.Adam,
        torch.optim.AdamW,
        torch.optim.Adagrad,
        torch.optim.RMSprop,
        torch.optim.NAdam,
    ):
        for default in (torch.float64, torch.float32, torch.float16):
            torch.set_default_dtype(default)
            try:
                optimizer = kind(layer.parameters())
                optimizer.step()
            finally:
                torch.set_default_dtype(before)
            counted.append(optimizer.state[layer.weight]["step"].dtype)

    assert counted == [torch.float64, torch.float32, torch.float32] * 5
    assert layer.weight.dtype == torch.float32


@pytest.mark.question("Q69", "Q115")
@pytest.mark.parametrize("trained", [False, True], ids=["new", "with a gradient"])
def test_overwriting_leaves_the_optimizer_behind(trained):
    """With ``set_overwrite_module_params_on_conversion``, an earlier optimizer trains nothing after a cast.

    It holds the parameters that the module had before. Make the optimizer after the cast.
    """
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, 3.0)
    nn.init.constant_(layer.bias, 5.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    if trained:
        layer.weight.grad = torch.tensor([[0.5, 0.25]])
        layer.bias.grad = torch.tensor([0.75])

    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        layer.double()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
    layer(torch.tensor([[2.0, 4.0]]).double()).sum().backward()
    optimizer.step()

    before = optimizer.param_groups[0]["params"]
    assert [old is new for old, new in zip(before, layer.parameters(), strict=True)] == [False, False]
    assert layer.weight.tolist() == [[3.0, 3.0]]
    assert layer.bias.tolist() == [5.0]


@pytest.mark.since("2.3")
def test_swapping_keeps_the_optimizer():
    """With ``set_swap_module_params_on_conversion``, an earlier optimizer follows ``Module.to("meta")``."""
    layer = nn.Linear(2, 3, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)

    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        layer.to("meta")
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)

    assert optimizer.param_groups[0]["params"][0] is layer.weight
    assert layer.weight.device.type == "meta"
