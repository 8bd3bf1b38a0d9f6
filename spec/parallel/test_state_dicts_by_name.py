"""The state of a module by the names of its parameters, whatever wraps it.

``get_model_state_dict`` of ``torch.distributed.checkpoint.state_dict`` gives the names that the module has
without DDP, FSDP or ``torch.compile``; ``set_model_state_dict`` takes them. They need no process group.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_the_values_are_those_of_the_module():
    """``get_model_state_dict(net)`` has the keys of ``net.state_dict()``, and its tensors share memory.

    A step of the optimizer changes them: make a deep copy to keep them. See
    :func:`torch.distributed.checkpoint.state_dict.get_model_state_dict`.
    """
    from torch.distributed.checkpoint.state_dict import get_model_state_dict

    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    net.register_buffer("cache", torch.ones(1), persistent=False)

    state = get_model_state_dict(net)
    with torch.no_grad():
        net[0].bias.fill_(5.0)
        net[1].running_mean.fill_(6.0)

    assert list(state) == list(net.state_dict())
    assert [state[key].tolist() for key in ("0.bias", "1.running_mean")] == [[5.0], [6.0]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_frozen_parameters_may_be_left_out():
    """``StateDictOptions(ignore_frozen_params=True)`` leaves out frozen parameters, but no buffers.

    So a checkpoint holds the trained part alone. Loading it again wants ``strict=False``. See
    :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1, affine=False))
    net[0].weight.requires_grad_(False)
    state = get_model_state_dict(net, options=StateDictOptions(ignore_frozen_params=True))

    assert list(state) == ["0.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_keys_have_to_match_unless_not_strict():
    """``set_model_state_dict`` raises ``RuntimeError`` for missing or unexpected keys, unless
    ``strict=False``.

    The option is one of ``StateDictOptions``; the result names the keys, as that of ``load_state_dict`` does.
    See :func:`torch.distributed.checkpoint.state_dict.set_model_state_dict`.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    net = nn.Linear(1, 1)
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "weight"'):
        set_model_state_dict(net, {"bias": torch.tensor([3.0])})
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "other"'):
        set_model_state_dict(net, {**net.state_dict(), "other": torch.tensor([3.0])})

    part = {"bias": torch.tensor([4.0]), "other": torch.tensor([3.0])}
    result = set_model_state_dict(net, part, options=StateDictOptions(strict=False))

    assert net.bias.tolist() == [4.0]
    assert result == (["weight"], ["other"])


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_values_are_cast_to_the_module():
    """``set_model_state_dict`` copies values into the parameters, which keep their dtype and identity.

    See :func:`torch.distributed.checkpoint.state_dict.set_model_state_dict`.
    """
    from torch.distributed.checkpoint.state_dict import set_model_state_dict

    net = nn.Linear(1, 1, bias=False)
    weight, value = net.weight, torch.tensor([[2.5]], dtype=torch.float64)
    set_model_state_dict(net, {"weight": value})
    value.fill_(9.0)

    assert net.weight is weight
    assert (weight.dtype, weight.tolist()) == (torch.float32, [[2.5]])


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_only_a_whole_state_is_broadcast():
    """``StateDictOptions(broadcast_from_rank0=True)`` raises ``ValueError`` without ``full_state_dict=True``.

    With both, rank 0 alone has to read the file; the others pass an empty dict. See
    :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    net = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="full_state_dict must be True when broadcast_from_rank0 is True"):
        set_model_state_dict(net, net.state_dict(), options=StateDictOptions(broadcast_from_rank0=True))


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_both_states_at_once():
    """``get_state_dict(net, optimizers)`` returns the model's state and that of all optimizers, as a pair.

    Those of several are one dict with the groups of all, in their order. See
    :func:`torch.distributed.checkpoint.state_dict.get_state_dict`.
    """
    from torch.distributed.checkpoint.state_dict import get_state_dict

    net = nn.Linear(1, 1)
    first = torch.optim.SGD([net.weight], lr=0.5, momentum=0.9)
    second = torch.optim.SGD([net.bias], lr=0.25, momentum=0.9)
    net(torch.tensor([3.0])).sum().backward()
    first.step()
    second.step()

    model, both = get_state_dict(net, [first, second])
    groups = [(group["lr"], group["params"]) for group in both["param_groups"]]
    buffers = {name: entry["momentum_buffer"].item() for name, entry in both["state"].items()}

    assert list(model) == ["weight", "bias"]
    assert groups == [(0.5, ["weight"]), (0.25, ["bias"])]
    assert buffers == {"weight": 3.0, "bias": 1.0}


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_optimizers_hold_parameters_of_the_module():
    """``get_optimizer_state_dict`` raises ``KeyError`` if the optimizer has a parameter that the module
    lacks.

    So it is for a learnable loss or a second network in one optimizer: put both into one module. See
    :func:`torch.distributed.checkpoint.state_dict.get_optimizer_state_dict`.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    net, temperature = nn.Linear(1, 1), nn.Parameter(torch.tensor(1.0))
    both = nn.Module()
    both.net, both.temperature = net, temperature
    optimizer = torch.optim.SGD([*net.parameters(), temperature], lr=0.5, momentum=0.9)
    (net(torch.tensor([3.0])) * temperature).sum().backward()
    optimizer.step()

    with pytest.raises(KeyError, match=r"^2$"):
        get_optimizer_state_dict(net, optimizer)
    state = get_optimizer_state_dict(both, optimizer)["state"]
    assert list(state) == ["net.weight", "net.bias", "temperature"]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_an_optimizer_state_may_be_flat():
    """``StateDictOptions(flatten_optimizer_state_dict=True)`` gives keys as ``"state.weight.exp_avg"``.

    Options of groups are there for each parameter. See
    :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

    net = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.5, betas=(0.5, 0.5))
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()
    options = StateDictOptions(flatten_optimizer_state_dict=True)
    state = get_optimizer_state_dict(net, optimizer, options=options)

    assert state["state.weight.exp_avg"].item() == 1.5
    assert [state[f"param_groups.weight.{name}"] for name in ("lr", "betas")] == [0.5, (0.5, 0.5)]
    assert {name.split(".")[0] for name in state} == {"state", "param_groups"}


@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
def test_a_gradient_keeps_a_fresh_optimizer_empty():
    """``get_optimizer_state_dict`` of a fresh optimizer has no state if a parameter has a ``grad``.

    A checkpoint is then loaded into it without its momentum, in silence (:issue:`140898`). Call
    ``zero_grad()`` before. See :func:`torch.distributed.checkpoint.state_dict.get_optimizer_state_dict`.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    net, seen = nn.Linear(1, 1, bias=False), []
    net(torch.tensor([3.0])).sum().backward()
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(2):
        seen.append(list(get_optimizer_state_dict(net, optimizer)["state"]))
        optimizer.zero_grad()

    assert seen == [[], ["weight"]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
@pytest.mark.before("2.5")
def test_a_gradient_forbade_the_state_of_a_fresh_optimizer():
    """``get_optimizer_state_dict`` of a fresh optimizer raises ``RuntimeError`` if a parameter has a
    ``grad``.

    Call ``zero_grad()`` before. See :func:`torch.distributed.checkpoint.state_dict.get_optimizer_state_dict`.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    net = nn.Linear(1, 1, bias=False)
    net(torch.tensor([3.0])).sum().backward()
    optimizer = torch.optim.Adam(net.parameters())
    with pytest.raises(RuntimeError, match="can only be used if the optimizer states are initialized"):
        get_optimizer_state_dict(net, optimizer)
    optimizer.zero_grad()
    assert list(get_optimizer_state_dict(net, optimizer)["state"]) == ["weight"]
