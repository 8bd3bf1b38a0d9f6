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

    net = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.BatchNorm1d(1)))
    net.register_buffer("cache", torch.ones(1), persistent=False)
    net.scale, net.again = nn.Parameter(torch.ones(1), requires_grad=False), net[0]

    state, plain = get_model_state_dict(net), net.state_dict()
    with torch.no_grad():
        net[0].bias.fill_(5.0)
        net[1][0].running_mean.fill_(6.0)

    assert list(state) == list(plain)
    assert [state[key].tolist() for key in ("0.bias", "1.0.running_mean")] == [[5.0], [6.0]]
    assert [value.data_ptr() for value in state.values()] == [value.data_ptr() for value in plain.values()]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_frozen_parameters_may_be_left_out():
    """``StateDictOptions(ignore_frozen_params=True)`` leaves out frozen parameters, but no buffers.

    So a checkpoint holds the trained part alone. Loading it again wants ``strict=False``. See
    :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """
    import torch.distributed.checkpoint.state_dict as by_name

    net = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.BatchNorm1d(1)))
    net[0].weight.requires_grad_(False)
    net[1][0].bias.requires_grad_(False)
    trained, not_strict = (
        by_name.StateDictOptions(ignore_frozen_params=True),
        by_name.StateDictOptions(strict=False),
    )
    state = by_name.get_model_state_dict(net, options=trained)

    buffers = ["1.0.running_mean", "1.0.running_var", "1.0.num_batches_tracked"]
    assert list(state) == ["0.bias", "1.0.weight", *buffers]
    for options in (None, trained):
        with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0.weight", "1.0.bias"'):
            by_name.set_model_state_dict(net, state, options=options)
    assert by_name.set_model_state_dict(net, state, options=not_strict) == (["0.weight", "1.0.bias"], [])


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_keys_have_to_match_unless_not_strict():
    """``set_model_state_dict`` raises ``RuntimeError`` for missing or unexpected keys, unless
    ``strict=False``.

    The option is one of ``StateDictOptions``; the result names the keys, as that of ``load_state_dict`` does.
    See :func:`torch.distributed.checkpoint.state_dict.set_model_state_dict`.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    net = nn.Sequential(nn.Linear(1, 1))
    net.register_buffer("mean", torch.tensor([5.0]))
    state = net.state_dict()
    for key in state:
        with pytest.raises(RuntimeError, match=rf'Missing key\(s\) in state_dict: "{key}"'):
            set_model_state_dict(net, {name: state[name] for name in state if name != key})
    for key in ("other", "0.other"):
        with pytest.raises(RuntimeError, match=rf'Unexpected key\(s\) in state_dict: "{key}"'):
            set_model_state_dict(net, {**state, key: torch.tensor([3.0])})
    assert set_model_state_dict(net, net.state_dict()) == ([], [])

    part = {"0.bias": torch.tensor([4.0]), "0.other": torch.tensor([3.0])}
    result = set_model_state_dict(net, part, options=StateDictOptions(strict=False))

    assert net[0].bias.tolist() == [4.0]
    assert result == (["mean", "0.weight"], ["0.other"])


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_values_are_cast_to_the_module():
    """``set_model_state_dict`` copies values into the parameters, which keep their dtype and identity.

    See :func:`torch.distributed.checkpoint.state_dict.set_model_state_dict`.
    """
    from torch.distributed.checkpoint.state_dict import set_model_state_dict

    net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1, bias=False, dtype=torch.float16))
    net[0].bias.requires_grad_(False)
    before = [(parameter, parameter.dtype, parameter.requires_grad) for parameter in net.parameters()]
    state = {"0.weight": torch.tensor([[2.5]], dtype=torch.float64), "0.bias": torch.tensor([3])}
    state["1.weight"] = torch.tensor([[4.5]])
    set_model_state_dict(net, state)
    for value in state.values():
        value.fill_(9)

    for (parameter, *rest), now in zip(before, net.parameters(), strict=True):
        assert parameter is now
        assert [now.dtype, now.requires_grad] == rest
    assert [parameter.item() for parameter in net.parameters()] == [2.5, 3.0, 4.5]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_only_a_whole_state_is_broadcast(ranks):
    """``StateDictOptions(broadcast_from_rank0=True)`` raises ``ValueError`` without ``full_state_dict=True``.

    With both, rank 0 alone has to read the file; the others pass an empty dict. See
    :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """

    def load(rank):
        import torch.distributed.checkpoint.state_dict as by_name

        net, options = nn.Linear(1, 1), by_name.StateDictOptions(broadcast_from_rank0=True)
        optimizer, error = (
            torch.optim.SGD(net.parameters()),
            "full_state_dict must be True when broadcast_from_rank0",
        )
        with pytest.raises(ValueError, match=error):
            by_name.set_model_state_dict(net, net.state_dict(), options=options)
        with pytest.raises(ValueError, match=error):
            by_name.get_model_state_dict(net, options=options)
        with pytest.raises(ValueError, match=error):
            by_name.get_optimizer_state_dict(net, optimizer, options=options)
        state = {"weight": torch.tensor([[2.0]]), "bias": torch.tensor([3.0])} if rank == 0 else {}
        both = by_name.StateDictOptions(broadcast_from_rank0=True, full_state_dict=True)
        by_name.set_model_state_dict(net, state, options=both)
        return [parameter.item() for parameter in net.parameters()]

    assert ranks(load) == [[2.0, 3.0]] * 2


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

    weights, biases = (0.5, ["weight"]), (0.25, ["bias"])
    for optimizers, groups in (([first, second], [weights, biases]), ((second, first), [biases, weights])):
        model, both = get_state_dict(net, optimizers)

        assert model == net.state_dict()
        assert [(group["lr"], group["params"]) for group in both["param_groups"]] == groups
        buffers = {name: entry["momentum_buffer"].item() for name, entry in both["state"].items()}
        assert buffers == {"weight": 3.0, "bias": 1.0}
    assert list(get_state_dict(net, second)[1]["state"]) == ["bias"]


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
    optimizer.zero_grad()

    for optimizers in (optimizer, [torch.optim.SGD(net.parameters()), optimizer]):
        with pytest.raises(KeyError, match=r"^2$"):
            get_optimizer_state_dict(net, optimizers)
    fresh = torch.optim.SGD([{"params": [temperature.detach()]}, {"params": net.parameters()}], lr=0.5)
    with pytest.raises(KeyError, match=r"^0$"):
        get_optimizer_state_dict(net, fresh)
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

    net = nn.Sequential(nn.Linear(1, 1))
    groups = [{"params": [net[0].weight], "lr": 0.5}, {"params": [net[0].bias], "lr": 0.25}]
    optimizer = torch.optim.Adam(groups, betas=(0.5, 0.5))
    net(torch.tensor([3.0])).sum().backward()
    optimizer.step()
    options = StateDictOptions(flatten_optimizer_state_dict=True)
    state = get_optimizer_state_dict(net, optimizer, options=options)

    assert [state[f"state.0.{name}.exp_avg"].item() for name in ("weight", "bias")] == [1.5, 0.5]
    for name, lr in (("weight", 0.5), ("bias", 0.25)):
        assert [state[f"param_groups.0.{name}.{option}"] for option in ("lr", "betas")] == [lr, (0.5, 0.5)]
    assert {name.rpartition(".")[0] for name in state} == {
        f"{kind}.0.{name}" for kind in ("state", "param_groups") for name in ("weight", "bias")
    }


@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
def test_a_gradient_keeps_a_fresh_optimizer_empty(tmp_path):
    """``get_optimizer_state_dict`` of a fresh optimizer has no state if a parameter has a ``grad``.

    ``torch.distributed.checkpoint.load`` fills what is there: such a state gets no momentum, in silence
    (:issue:`140898`). Call ``zero_grad()`` before. See
    :func:`torch.distributed.checkpoint.state_dict.get_optimizer_state_dict`.
    """
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    net, seen = nn.Linear(1, 1), []
    dcp.save(get_optimizer_state_dict(net, torch.optim.Adam(net.parameters())), checkpoint_id=tmp_path)
    for gradients in ((True, True), (True, False), (False, True), (False, False)):
        for parameter, has_one in zip(net.parameters(), gradients, strict=True):
            parameter.grad = torch.ones_like(parameter) if has_one else None
        state = get_optimizer_state_dict(net, torch.optim.Adam(net.parameters()))
        dcp.load(state, checkpoint_id=tmp_path)
        seen.append(list(state["state"]))

    assert seen == [[], [], [], ["weight", "bias"]]


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
