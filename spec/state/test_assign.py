"""Loading by assignment: the module takes the tensors of the state dict themselves.

``load_state_dict(state, assign=True)``, since torch 2.1 (:pull:`102212`), saves the copy. What the tensors
in the dict are (dtype, device, memory), the module then has.
"""

import re

import pytest
import torch
from torch import nn


@pytest.mark.since("2.1")
def test_the_memory_of_the_dict_is_taken():
    """With ``assign=True`` parameters and buffers share memory with the state dict that was loaded.

    Training the module then changes the dict.
    """
    norm, state = nn.BatchNorm1d(2), nn.BatchNorm1d(2).state_dict()

    result = norm.load_state_dict(state, assign=True)

    assert result == ([], [])
    assert [t.data_ptr() for t in norm.state_dict().values()] == [t.data_ptr() for t in state.values()]


@pytest.mark.since("2.1")
def test_parameters_are_replaced():
    """With ``assign=True`` a plain tensor becomes a new parameter, and a buffer is the tensor given."""
    norm, state = nn.BatchNorm1d(2), nn.BatchNorm1d(2).state_dict()
    weight = norm.weight

    norm.load_state_dict(state, True, True)

    assert norm.weight is not weight
    assert type(norm.weight) is nn.Parameter
    assert norm.running_mean is state["running_mean"]


@pytest.mark.since("2.1")
def test_a_parameter_in_the_dict_is_taken_as_it_is():
    """With ``assign=True`` a parameter in the state dict becomes the module's parameter itself."""
    layer, other = nn.Linear(2, 3), nn.Linear(2, 3)

    layer.load_state_dict(other.state_dict(keep_vars=True), assign=True)

    assert (layer.weight is other.weight, layer.bias is other.bias) == (True, True)


@pytest.mark.since("2.1")
def test_dtype_and_device_of_the_dict_win(device):
    """With ``assign=True`` the module takes the dtype and the device of the tensors in the state dict."""
    layer = nn.Linear(2, 3, device="meta")

    layer.load_state_dict(nn.Linear(2, 3, dtype=torch.float16, device=device).state_dict(), assign=True)

    assert [(p.dtype, p.device.type) for p in layer.parameters()] == [(torch.float16, device)] * 2


@pytest.mark.question("Q59")
@pytest.mark.since("2.3")
@pytest.mark.parametrize("keep_vars", [False, True], ids=["tensors", "parameters"])
def test_requires_grad_of_the_module_is_kept(keep_vars):
    """With ``assign=True`` the module's own ``requires_grad`` is kept, whatever the dict holds.

    Up to torch 2.2 a tensor always became trainable and a parameter kept its own setting (:pull:`121157`).
    """
    layer = nn.Linear(2, 3)
    layer.weight.requires_grad_(False)
    other = nn.Linear(2, 3)
    other.bias.requires_grad_(False)

    layer.load_state_dict(other.state_dict(keep_vars=keep_vars), assign=True)

    assert [p.requires_grad for p in layer.parameters()] == [False, True]


@pytest.mark.question("Q59")
@pytest.mark.since("2.3")
@pytest.mark.observed
def test_a_parameter_in_the_dict_is_changed():
    """With ``assign=True`` the module's ``requires_grad`` is set on the parameters of the dict.

    Where they belong to another module, that module is frozen or unfrozen too.
    """
    layer, other = nn.Linear(2, 3).requires_grad_(False), nn.Linear(2, 3)

    layer.load_state_dict(other.state_dict(keep_vars=True), assign=True)

    assert [p.requires_grad for p in other.parameters()] == [False, False]


@pytest.mark.question("Q59")
@pytest.mark.before("2.3")
@pytest.mark.since("2.1")
def test_requires_grad_of_the_module_is_lost():
    """With ``assign=True`` a frozen parameter becomes trainable."""
    layer = nn.Linear(2, 3).requires_grad_(False)

    layer.load_state_dict(nn.Linear(2, 3).state_dict(), assign=True)

    assert [p.requires_grad for p in layer.parameters()] == [True, True]


@pytest.mark.question("Q61")
@pytest.mark.since("2.1")
def test_tied_weights_are_untied():
    """With ``assign=True`` a tied weight becomes two parameters, each with a gradient of its own.

    Where the tensors of the dict share memory, so do the two, but an optimizer sees both (:issue:`188346`).
    """
    net = nn.ModuleDict({"a": nn.Linear(3, 3, bias=False), "b": nn.Linear(3, 3, bias=False)})
    net["b"].weight = net["a"].weight

    net.load_state_dict(net.state_dict(), assign=True)

    assert net["a"].weight is not net["b"].weight
    assert net["a"].weight.data_ptr() == net["b"].weight.data_ptr()
    assert len(list(net.parameters())) == 2


@pytest.mark.question("Q61")
@pytest.mark.since("2.1")
def test_a_tied_parameter_in_the_dict_stays_tied():
    """With ``assign=True`` and a dict made with ``keep_vars=True`` tied weights stay tied."""
    net = nn.ModuleDict({"a": nn.Linear(3, 3, bias=False), "b": nn.Linear(3, 3, bias=False)})
    net["b"].weight = net["a"].weight

    net.load_state_dict(net.state_dict(keep_vars=True), assign=True)

    assert net["a"].weight is net["b"].weight


@pytest.mark.since("2.1")
def test_the_optimizer_keeps_the_old_parameters():
    """With ``assign=True`` an optimizer made before goes on with parameters the module no longer has."""
    layer = nn.Linear(2, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)

    layer.load_state_dict(nn.Linear(2, 3).state_dict(), assign=True)

    ours = {id(p) for p in layer.parameters()}
    assert [id(p) in ours for p in optimizer.param_groups[0]["params"]] == [False, False]


@pytest.mark.since("2.1")
def test_gradients_are_not_taken_over():
    """With ``assign=True`` the new parameters have no gradient yet."""
    layer = nn.Linear(2, 3)
    layer(torch.rand(1, 2)).sum().backward()

    layer.load_state_dict(nn.Linear(2, 3).state_dict(), assign=True)

    assert [p.grad for p in layer.parameters()] == [None, None]


@pytest.mark.since("2.1")
def test_shapes_must_agree_when_assigning():
    """With ``assign=True`` another shape raises ``RuntimeError``, as it does without."""
    with pytest.raises(RuntimeError, match=r"size mismatch for weight: .*\[4, 2\].*\[3, 2\]"):
        nn.Linear(2, 3).load_state_dict(nn.Linear(2, 4).state_dict(), assign=True)


@pytest.mark.since("2.1")
def test_keys_must_agree_when_assigning():
    """With ``assign=True`` and ``strict=False`` parameters that are missing stay as they were."""
    layer = nn.Linear(2, 3, device="meta")

    result = layer.load_state_dict({"bias": torch.rand(3)}, strict=False, assign=True)

    assert result.missing_keys == ["weight"]
    assert (layer.weight.device.type, layer.bias.device.type) == ("meta", "cpu")


@pytest.mark.since("2.1")
def test_integers_cannot_become_trainable():
    """With ``assign=True`` an integer tensor cannot become a trainable parameter: the error names it."""
    state = {"weight": torch.tensor([[1, 2], [3, 4], [5, 6]]), "bias": torch.rand(3)}

    with pytest.raises(RuntimeError) as caught:
        nn.Linear(2, 3).load_state_dict(state, assign=True)

    assert re.findall(
        'While copying the parameter named "(.*)", .*exception occurred : (.*)', str(caught.value)
    ) == [("weight", "('Only Tensors of floating point and complex dtype can require gradients',).")]


@pytest.mark.since("2.1")
@pytest.mark.observed
def test_each_module_is_told_to_assign():
    """Modules and hooks learn of ``assign=True`` from ``assign_to_params_buffers`` in the metadata."""
    seen = []
    net = nn.Sequential(nn.ReLU())
    net[0]._register_load_state_dict_pre_hook(
        lambda state, prefix, metadata, *rest: seen.append(dict(metadata))
    )

    net.load_state_dict({}, assign=True)
    net.load_state_dict({}, assign=False)

    assert seen == [{"assign_to_params_buffers": True}, {}]


@pytest.mark.since("2.1")
@pytest.mark.observed
def test_a_dict_once_assigned_is_assigned_again():
    """Loading with ``assign=True`` marks the given dict, and its next load assigns without being asked.

    The mark is written to the dict's metadata and goes with it into a file (:issue:`188166`).
    """
    state = nn.Linear(2, 3).state_dict()
    nn.Linear(2, 3).load_state_dict(state, assign=True)
    layer = nn.Linear(2, 3)

    layer.load_state_dict(state)

    assert state._metadata == {"": {"version": 1, "assign_to_params_buffers": True}}
    assert layer.weight.data_ptr() == state["weight"].data_ptr()
