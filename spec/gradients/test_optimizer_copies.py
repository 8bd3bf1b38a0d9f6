"""The state of one optimizer in another: which tensors are shared, which are replaced.

An optimizer keeps its state in tensors of its own, such as the momentum of each parameter. Where they pass
through a file, nothing is shared. What a state dict holds is in *optimizer_state*.
"""

import copy

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam


def test_a_state_dict_changes_with_the_steps():
    """``Optimizer.state_dict()`` holds the live state tensors: the next ``step()`` changes them too.

    The options are copied. Keep a ``copy.deepcopy`` to go back to it later; :func:`torch.save` makes one. See
    :meth:`torch.optim.Optimizer.state_dict`.

    See also :ref:`state.state_dict.an_optimizer_step_changes_a_kept_state_dict`
    """
    parameter = nn.Parameter(torch.rand(1))
    optimizer = Adam([parameter], lr=0.5, betas=(0.5, 0.5))
    parameter.grad = torch.tensor([4.0])
    optimizer.step()

    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.25

    assert [each["state"][0]["exp_avg"].item() for each in (kept, state)] == [2.0, 3.0]
    assert [each["state"][0]["step"].item() for each in (kept, state)] == [1.0, 2.0]
    assert [each["param_groups"][0]["lr"] for each in (kept, state)] == [0.5, 0.5]


@pytest.mark.since("2.1")
def test_a_live_state_is_shared_by_two_optimizers():
    """``Optimizer.load_state_dict(other.state_dict())`` shares tensors: a step of either changes both states.

    So it is with momentum as well, as long as dtype and device are the same; a teacher and its student then
    spoil each other's state (:issue:`196083`). Up to torch 2.0 the dict was copied. Load a
    ``copy.deepcopy`` of it. See :meth:`torch.optim.Optimizer.load_state_dict`.
    """
    seen = {}
    for copied in (False, True):
        parameters = [nn.Parameter(torch.rand(1)) for _ in range(2)]
        first, second = (Adam([parameter], betas=(0.5, 0.5)) for parameter in parameters)
        for parameter in parameters:
            parameter.grad = torch.tensor([4.0])
        first.step()

        state = first.state_dict()
        second.load_state_dict(copy.deepcopy(state) if copied else state)
        second.step()
        mine = first.state[parameters[0]]
        seen[copied] = [mine["exp_avg"].item(), mine["step"].item()]

    assert seen == {False: [3.0, 2.0], True: [2.0, 1.0]}


@pytest.mark.before("2.1")
def test_a_live_state_was_copied():
    """``Optimizer.load_state_dict(other.state_dict())`` copies the tensors: a step of one leaves the
    other's.
    """
    parameters = [nn.Parameter(torch.rand(1)) for _ in range(2)]
    first, second = (Adam([parameter], betas=(0.5, 0.5)) for parameter in parameters)
    for parameter in parameters:
        parameter.grad = torch.tensor([4.0])
    first.step()

    second.load_state_dict(first.state_dict())
    second.step()

    states = [first.state[parameters[0]], second.state[parameters[1]]]
    assert [state["exp_avg"].item() for state in states] == [2.0, 3.0]
    assert [state["step"].item() for state in states] == [1.0, 2.0]


@pytest.mark.since("2.1")
def test_a_cast_shares_the_count_alone():
    """``Optimizer.load_state_dict`` for parameters of another dtype copies moments, but shares ``step``."""
    single, double = nn.Parameter(torch.rand(1)), nn.Parameter(torch.rand(1, dtype=torch.float64))
    first, second = (Adam([parameter], betas=(0.5, 0.5)) for parameter in (single, double))
    single.grad, double.grad = torch.tensor([4.0]), torch.tensor([4.0], dtype=torch.float64)
    first.step()

    second.load_state_dict(first.state_dict())
    second.step()

    assert [one["exp_avg"].item() for one in (first.state[single], second.state[double])] == [2.0, 3.0]
    assert [one["step"].item() for one in (first.state[single], second.state[double])] == [2.0, 2.0]


def test_loading_replaces_tensors_and_groups():
    """``Optimizer.load_state_dict`` replaces state tensors and ``param_groups`` by new objects.

    A momentum or a group that was kept from before belongs to nobody then: setting ``lr`` in it does nothing
    (:issue:`147288`). Take them anew from ``state`` and ``param_groups``. See
    :meth:`torch.optim.Optimizer.load_state_dict`.
    """
    layer = nn.Linear(1, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.5, momentum=0.5)
    layer.weight.grad = torch.tensor([[4.0]])
    optimizer.step()
    weight, group = layer.weight, optimizer.param_groups[0]
    momentum, state = optimizer.state[weight]["momentum_buffer"], copy.deepcopy(optimizer.state_dict())

    optimizer.load_state_dict(state)
    layer.load_state_dict({"weight": torch.tensor([[3.0]])})
    optimizer.step()
    group["lr"] = 9.0

    assert [momentum.item(), optimizer.state[weight]["momentum_buffer"].item()] == [4.0, 6.0]
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert weight is layer.weight
    assert weight.item() == 0.0


def test_an_optimizer_is_copied_with_its_parameters():
    """``copy.deepcopy(optimizer)`` copies the parameters too: the copy trains none of the model.

    Copy model and optimizer in one call, as a tuple, and they belong together. Or make a new optimizer and
    load the state. See :class:`torch.optim.Optimizer`.
    """
    layer = nn.Linear(1, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.5)
    alone = copy.deepcopy(optimizer)
    twin, together = copy.deepcopy((layer, optimizer))

    assert alone.param_groups[0]["params"][0] is not layer.weight
    assert together.param_groups[0]["params"][0] is twin.weight

    before = layer.weight.item()
    layer.weight.grad = twin.weight.grad = torch.tensor([[4.0]])
    alone.step()
    together.step()

    assert layer.weight.item() == before
    assert twin.weight.item() == pytest.approx(before - 2.0)


@pytest.mark.parametrize(
    ("saved", "loading", "missing"),
    [
        (Adam, SGD, "momentum"),
        (Adam, torch.optim.RMSprop, "square_avg"),
        (torch.optim.RMSprop, Adam, "betas"),
        (torch.optim.Adagrad, Adam, "betas"),
    ],
)
def test_the_state_of_another_kind_is_loaded(saved, loading, missing):
    """``Optimizer.load_state_dict`` with the state of another kind raises ``KeyError``, or ``step()`` does.

    Mostly it is loaded: the groups then have the options of the other kind, and the state its tensors. But
    ``Adam`` looks for its ``step`` at once in what ``SGD`` keeps with momentum. ``AdamW`` takes the state of
    ``Adam``. To change the optimizer, begin with an empty state.
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    weight.grad = torch.tensor([2.0])
    first, second = saved([weight], lr=0.5), loading([weight], lr=0.25)
    first.step()
    second.load_state_dict(first.state_dict())

    assert second.param_groups[0]["lr"] == 0.5
    with pytest.raises(KeyError, match=f"^'{missing}'$"):
        second.step()

    momentum = SGD([weight], lr=0.5, momentum=0.5)
    momentum.step()
    with pytest.raises(KeyError, match=r"^'step'$"):
        Adam([weight]).load_state_dict(momentum.state_dict())


def test_adamw_goes_on_from_adam():
    """``AdamW`` goes on from a loaded state of ``Adam``, with its means, count and ``weight_decay``.

    What was saved, 0 by default, takes the place of the 0.01 of ``AdamW``; it is applied as ``AdamW`` does.
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    weight.grad = torch.tensor([0.0])
    saved, loading = Adam([weight], lr=0.5, weight_decay=0.25), torch.optim.AdamW([weight])
    saved.step()
    with torch.no_grad():
        weight.fill_(8.0)
    state = copy.deepcopy(saved.state_dict())
    state["state"][0]["exp_avg"].zero_()
    loading.load_state_dict(state)
    loading.step()

    assert weight.tolist() == [8.0 * (1 - 0.5 * 0.25)]
    assert loading.state[weight]["step"].item() == 2
    assert torch.optim.AdamW([weight]).param_groups[0]["weight_decay"] == 0.01


@pytest.mark.parametrize(
    ("make", "option", "missing"),
    [
        (Adam, {"amsgrad": True}, "max_exp_avg_sq"),
        (torch.optim.RMSprop, {"centered": True}, "grad_avg"),
        (torch.optim.RMSprop, {"momentum": 0.5}, "momentum_buffer"),
    ],
    ids=["amsgrad", "centered", "momentum"],
)
def test_an_option_that_needs_more_state(make, option, missing):
    """``amsgrad`` of ``Adam``, set in a group after the first ``step()``, makes the next raise ``KeyError``.

    So do ``centered`` and ``momentum`` of ``RMSprop``: the tensors they need are made with the state alone.
    Clear the state, or put them there.
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    weight.grad = torch.tensor([2.0])
    optimizer = make([weight], lr=0.5)
    optimizer.step()
    optimizer.param_groups[0].update(option)
    with pytest.raises(KeyError, match=f"^'{missing}'$"):
        optimizer.step()

    optimizer.state.clear()
    optimizer.step()
    assert missing in optimizer.state[weight]


def test_a_state_from_before_the_first_step():
    """``Optimizer.state_dict()`` has no state before the first ``step()``; loading it forgets the state there
    is.

    The next step is then a first one.
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    weight.grad = torch.tensor([2.0])
    optimizer = Adam([weight], lr=0.5)
    early = optimizer.state_dict()
    optimizer.step()
    assert early["state"] == {}
    assert len(optimizer.state) == 1

    optimizer.load_state_dict(early)
    assert len(optimizer.state) == 0
    optimizer.step()
    assert optimizer.state[weight]["step"].item() == 1
