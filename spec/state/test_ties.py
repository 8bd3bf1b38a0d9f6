"""Tied weights in the state dict: one tensor under several names.

Where two modules share a parameter, the state dict has it under each of its names.
"""

import io

import pytest
import torch
from torch import nn


@pytest.mark.question("Q63")
def test_every_name_is_a_key():
    """:meth:`~torch.nn.Module.state_dict` contains a tied weight under each of its names, in the same memory.

    Formats that refuse shared memory, such as safetensors, therefore refuse the state dict: drop all names
    but one before saving, and load with ``strict=False``.
    """
    net = nn.Sequential(nn.PReLU(), nn.PReLU(), nn.Sequential(nn.PReLU()))
    net[1].weight = net[2][0].weight = net[0].weight
    net.append(net[0])

    state = net.state_dict()

    assert [name for name, _ in net.named_parameters()] == ["0.weight"]
    assert list(state) == ["0.weight", "1.weight", "2.0.weight", "3.weight"]
    assert {value.data_ptr() for value in state.values()} == {net[0].weight.data_ptr()}


@pytest.mark.question("Q63")
def test_tied_values_are_different_objects():
    """``state_dict()`` holds a tied weight as two tensor objects; with ``keep_vars=True``, as one."""
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)).requires_grad_(False)
    net[1].weight = net[0].weight

    state, variables = net.state_dict(), net.state_dict(keep_vars=True)

    assert state["0.weight"] is not state["1.weight"]
    assert variables["0.weight"] is variables["1.weight"]


def test_a_shared_module_is_saved_under_each_name():
    """If a module is registered under two names, :meth:`~torch.nn.Module.state_dict` saves it under both."""
    layer = nn.PReLU()

    state = nn.Sequential(layer, layer, nn.Sequential(layer)).state_dict()

    assert list(state) == ["0.weight", "1.weight", "2.0.weight"]
    assert {value.data_ptr() for value in state.values()} == {layer.weight.data_ptr()}


def test_loading_keeps_weights_tied():
    """:meth:`~torch.nn.Module.load_state_dict` copies in place, so tied weights stay tied.

    With ``assign=True`` it does not: see *assign*.
    """
    net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False))
    net[1].weight = net[0].weight
    weight = net[0].weight
    view = weight.detach()

    values = [torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]], dtype=torch.float64)]
    net.load_state_dict(dict(zip(["0.weight", "1.weight"], values, strict=True)))

    assert net[0].weight is weight
    assert net[1].weight is weight
    assert weight.tolist() == view.tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize(
    "order",
    [["0.weight", "1.weight", "1.again"], ["1.again", "1.weight", "0.weight"]],
    ids=["as_is", "reversed"],
)
def test_the_last_name_wins(order):
    """Of two values for a tied weight, ``load_state_dict`` keeps that of the later key in
    ``net.state_dict()``.

    The order of the dict does not matter, and no key is reported.
    """
    net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False))
    net[1].weight = net[1].again = net[0].weight
    values = {
        "0.weight": torch.tensor([[3.0, 4.0]]),
        "1.weight": torch.tensor([[5.0, 6.0]]),
        "1.again": torch.tensor([[7.0, 8.0]]),
    }

    result = net.load_state_dict({key: values[key] for key in order})

    assert list(net.state_dict()) == ["0.weight", "1.weight", "1.again"]
    assert result == ([], [])
    assert net[0].weight.tolist() == [[7.0, 8.0]]


@pytest.mark.question("Q63")
def test_each_name_is_missed():
    """``load_state_dict`` reports a tied weight as missing under each name that the dict lacks.

    What was saved without duplicates is loaded with ``strict=False``.
    """
    net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False))
    net[1].weight = net[0].again = net[0].weight

    result = net.load_state_dict({"0.weight": torch.tensor([[3.0, 4.0]])}, strict=False)

    assert result == (["0.again", "1.weight"], [])
    assert net[1].weight.tolist() == [[3.0, 4.0]]
    assert net.load_state_dict({}, strict=False) == (["0.weight", "0.again", "1.weight"], [])


@pytest.mark.question("Q63")
@pytest.mark.parametrize("weights_only", [True, False])
def test_a_file_keeps_the_tie(weights_only):
    """After :func:`torch.save` and :func:`torch.load`, tied weights of a state dict still share memory."""
    net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False))
    net[1].weight = net[0].weight
    nn.init.constant_(net[0].weight, 3.0)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)

    state = torch.load(file, weights_only=weights_only)

    assert list(state) == ["0.weight", "1.weight"]
    assert state["1.weight"].tolist() == [[3.0, 3.0]]
    assert state["0.weight"].data_ptr() == state["1.weight"].data_ptr()


@pytest.mark.since("2.1")
def test_one_tensor_under_two_keys_is_shared():
    """``load_state_dict(assign=True)`` of one tensor under two keys gives two parameters that share memory.

    So weights that a class does not tie change together where the file had them tied. Both count in
    ``parameters()``, and an optimizer steps the values once for each. Copying, which is the default, keeps
    them apart; so does a ``clone()`` of one of them.
    """
    net = nn.ModuleDict({"embed": nn.Embedding(2, 1), "head": nn.Linear(1, 2, bias=False)})
    copied = nn.ModuleDict({"embed": nn.Embedding(2, 1), "head": nn.Linear(1, 2, bias=False)})
    table = torch.tensor([[2.0], [3.0]])
    state = {"embed.weight": table, "head.weight": table}

    net.load_state_dict(state, assign=True)
    copied.load_state_dict(state)
    for each in (net, copied):
        optimizer = torch.optim.SGD(each.parameters(), lr=1.0)
        each["embed"](torch.tensor([0])).sum().backward()
        each["head"](torch.tensor([5.0])).sum().backward()
        optimizer.step()

    assert len(list(net.parameters())) == 2
    assert [p.tolist() for p in net.parameters()] == [[[-4.0], [-2.0]]] * 2
    assert [p.tolist() for p in copied.parameters()] == [[[1.0], [3.0]], [[-3.0], [-2.0]]]
