"""The state of an optimizer by the names of parameters.

``torch.distributed.checkpoint.state_dict`` has functions that give an optimizer's state with the names of the
model, whatever wraps it, where :meth:`~torch.optim.Optimizer.state_dict` has numbers. They need no process
group.
"""

import warnings

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_the_keys_are_names():
    """``get_optimizer_state_dict(net, optimizer)`` has names of parameters where ``state_dict()`` has
    numbers.

    So it loads into an optimizer that was given the parameters in another order, by
    ``set_optimizer_state_dict``; ``load_state_dict`` goes by position.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    net, other = nn.Sequential(nn.Linear(1, 1)), nn.Sequential(nn.Linear(1, 1))
    weight, bias = other.parameters()
    groups = [{"params": [net[0].weight], "lr": 0.5}, {"params": [net[0].bias], "lr": 0.25}]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    by_name, by_number = (torch.optim.SGD([{"params": bias}, {"params": weight}], 0.1, 0.8) for _ in range(2))
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()

    state = get_optimizer_state_dict(net, optimizer)
    set_optimizer_state_dict(other, by_name, optim_state_dict=state)
    by_number.load_state_dict(optimizer.state_dict())

    assert list(optimizer.state_dict()["state"]) == [0, 1]
    assert list(state["state"]) == ["0.weight", "0.bias"]
    assert [group["params"] for group in state["param_groups"]] == [["0.weight"], ["0.bias"]]
    for loaded, momenta, rates in ((by_name, [1.0, 3.0], [0.25, 0.5]), (by_number, [3.0, 1.0], [0.5, 0.25])):
        assert [loaded.state[p]["momentum_buffer"].item() for p in (bias, weight)] == momenta
        assert [(group["lr"], group["momentum"]) for group in loaded.param_groups] == [
            (r, 0.9) for r in rates
        ]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_a_late_parameter_is_left_out():
    """``get_optimizer_state_dict`` leaves out a parameter without state if another one has some.

    So it is for one that was thawed after the last step, and for a group that was added. Nothing warns.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    net = nn.Linear(1, 1)
    net.scale = nn.Parameter(torch.tensor([2.0]))
    net.bias.requires_grad_(False)
    optimizer = torch.optim.Adam([net.weight, net.bias])
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()
    net.bias.requires_grad_(True)
    optimizer.add_param_group({"params": [net.scale]})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = get_optimizer_state_dict(net, optimizer)
    assert list(state["state"]) == ["weight"]
    assert [group["params"] for group in state["param_groups"]] == [["weight", "bias"], ["scale"]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_the_state_of_a_frozen_parameter_is_not_loaded():
    """``set_optimizer_state_dict`` drops the saved state of a parameter that does not require grad.

    ``get_optimizer_state_dict`` gives it, since it was trained before. Load first and freeze afterwards
    (:issue:`192202`); ``load_state_dict`` of the optimizer loads all.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    net, other = nn.Linear(1, 1), nn.Linear(1, 1)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()
    net.bias.requires_grad_(False)
    other.bias.requires_grad_(False)

    state = get_optimizer_state_dict(net, optimizer)
    by_name, by_number = (torch.optim.Adam(other.parameters()) for _ in range(2))
    set_optimizer_state_dict(other, by_name, optim_state_dict=state)
    by_number.load_state_dict(optimizer.state_dict())

    assert list(state["state"]) == ["weight", "bias"]
    assert [len(by_name.state.get(p, {})) for p in other.parameters()] == [3, 0]
    assert [len(by_number.state.get(p, {})) for p in other.parameters()] == [3, 3]
    assert by_name.state[other.weight]["exp_avg"].item() == pytest.approx(0.3)


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_a_fresh_optimizer_is_stepped():
    """``get_optimizer_state_dict`` makes the state of a fresh optimizer by a step with a rate of 0.

    Parameters stay, but ``step`` is 1 in the state of ``Adam``, and with its ``weight_decay`` the moments are
    those of the decay.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    net = nn.Linear(1, 1)
    groups = [{"params": [net.weight], "lr": 0.5}, {"params": [net.bias], "lr": 0.25}]
    for parameter, value in zip(net.parameters(), (4.0, 6.0), strict=True):
        nn.init.constant_(parameter, value)
    optimizer = torch.optim.Adam(groups, weight_decay=0.5)

    state = get_optimizer_state_dict(net, optimizer)["state"]

    assert list(state) == ["weight", "bias"]
    for parameter, moments, value in zip(net.parameters(), state.values(), (4.0, 6.0), strict=True):
        assert moments["step"].item() == 1.0
        assert moments["exp_avg"].item() == pytest.approx(0.1 * 0.5 * value)
        assert moments["exp_avg_sq"].item() == pytest.approx(0.001 * (0.5 * value) ** 2)
        assert (parameter.item(), parameter.grad) == (value, None)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
@pytest.mark.before("2.4")
def test_a_fresh_optimizer_changed_the_parameters():
    """``get_optimizer_state_dict`` makes the state of a fresh optimizer by a step at its full rate.

    With a gradient of zeros that moves parameters by weight decay.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 4.0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.5, weight_decay=0.5)

    get_optimizer_state_dict(net, optimizer)

    assert net.weight.item() == pytest.approx(3.5)


@pytest.mark.needs("distributed")
@pytest.mark.since("2.10")
def test_a_missing_state_is_an_error():
    """``set_optimizer_state_dict`` raises ``RuntimeError`` if a trainable parameter has no saved state.

    With ``StateDictOptions(strict=False)`` it loads what there is (:issue:`132628`). State of a name that the
    module lacks is left out either way, as keys of a module are not.
    """
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    net, loose = nn.Linear(1, 1), StateDictOptions(strict=False)
    optimizer, fresh = (torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.5) for _ in range(2))
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()
    net.zero_grad()
    state = get_optimizer_state_dict(net, optimizer)
    state["state"]["other"] = state["state"].pop("bias")

    with pytest.raises(RuntimeError, match="Missing optimizer state for parameter 'bias'"):
        set_optimizer_state_dict(net, fresh, optim_state_dict=state)
    set_optimizer_state_dict(net, fresh, optim_state_dict=state, options=loose)
    assert fresh.state[net.weight]["momentum_buffer"].item() == 3.0
    assert net.bias not in fresh.state


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
@pytest.mark.before("2.10")
def test_a_missing_state_was_a_key_error():
    """``set_optimizer_state_dict`` raises ``KeyError`` if a trainable parameter has no saved state.

    So it does with ``strict=False`` (:issue:`132628`).
    """
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    net = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.5)
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()
    net.zero_grad()
    state = get_optimizer_state_dict(net, optimizer)
    del state["state"]["bias"]

    for strict in (True, False):
        with pytest.raises(KeyError, match="bias"):
            set_optimizer_state_dict(
                net, optimizer, optim_state_dict=state, options=StateDictOptions(strict=strict)
            )


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_settings_come_with_the_state():
    """``set_optimizer_state_dict`` replaces ``lr`` and other settings of the groups by the saved ones.

    A new rate given to the constructor is lost, as with ``load_state_dict``: set it afterwards.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    net = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.75)
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()
    net.zero_grad()

    other = torch.optim.SGD(net.parameters(), lr=0.125, momentum=0.25)
    set_optimizer_state_dict(net, other, optim_state_dict=get_optimizer_state_dict(net, optimizer))

    assert [other.param_groups[0][name] for name in ("lr", "momentum")] == [0.5, 0.75]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_groups_divided_otherwise_lose_their_rate():
    """``set_optimizer_state_dict`` leaves a group without ``lr`` if the saved groups were divided otherwise.

    No error says so; ``step()`` raises ``KeyError`` later. Give the optimizer the same groups as the one that
    was saved.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    net = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.5)
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()
    net.zero_grad()

    other = torch.optim.SGD([{"params": [p]} for p in net.parameters()], lr=0.125, momentum=0.5)
    set_optimizer_state_dict(net, other, optim_state_dict=get_optimizer_state_dict(net, optimizer))

    assert [group.get("lr") for group in other.param_groups] == [None, 0.5]
    assert [len(group["params"]) for group in other.param_groups] == [1, 1]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_an_empty_group_keeps_its_settings():
    """``set_optimizer_state_dict`` keeps ``lr`` and other settings of a group without parameters.

    See also :ref:`gradients.optimizer_arguments.a_group_may_be_empty`.
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    net = nn.Linear(1, 1, bias=False)
    groups = [{"params": [net.weight]}, {"params": [], "lr": 0.25}]
    optimizer, other = (torch.optim.SGD(map(dict, groups), lr=0.5, momentum=0.5) for _ in range(2))
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()
    net.zero_grad()
    set_optimizer_state_dict(net, other, optim_state_dict=get_optimizer_state_dict(net, optimizer))

    assert [(len(group["params"]), group["lr"]) for group in other.param_groups] == [(1, 0.5), (0, 0.25)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
@pytest.mark.before("2.7")
def test_an_empty_group_lost_its_settings():
    """``set_optimizer_state_dict`` leaves a group without parameters without ``lr``.

    The next ``step()`` of some optimizers raises ``KeyError`` (:issue:`143828`).
    """
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    net = nn.Linear(1, 1, bias=False)
    groups = [{"params": [net.weight]}, {"params": [], "lr": 0.25}]
    optimizer, other = (torch.optim.SGD(map(dict, groups), lr=0.5, momentum=0.5) for _ in range(2))
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()
    net.zero_grad()
    set_optimizer_state_dict(net, other, optim_state_dict=get_optimizer_state_dict(net, optimizer))

    assert [group.get("lr") for group in other.param_groups] == [0.5, None]
