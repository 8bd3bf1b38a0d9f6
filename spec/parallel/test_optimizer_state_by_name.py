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
