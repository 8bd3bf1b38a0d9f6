"""Loading by assignment: the tensors of the state dict become those of the module.

``load_state_dict(state, assign=True)``, since torch 2.1 (:pull:`102212`), saves the copy. What the tensors
in the dict are (dtype, device, memory), the module then has.
"""

import copy
import io
import re
from collections import OrderedDict, UserDict
from types import MappingProxyType

import pytest
import torch
from torch import nn


@pytest.mark.since("2.1")
def test_the_memory_of_the_dict_is_taken():
    """After ``load_state_dict(assign=True)``, parameters and buffers share memory with the given dict.

    Training the module then changes the dict, and other modules that were given the same one. Without
    ``assign`` the values are copied.
    """
    net, copied, other = (nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3)) for _ in range(3))
    state = other.to(memory_format=torch.channels_last).state_dict()

    assert copied.load_state_dict(state) == ([], [])
    assert net.load_state_dict(state, assign=True) == ([], [])

    places = [value.data_ptr() for value in state.values()]
    assert [value.data_ptr() for value in net.state_dict().values()] == places
    assert {value.data_ptr() for value in copied.state_dict().values()}.isdisjoint(places)


@pytest.mark.since("2.1")
@pytest.mark.parametrize("kind", [type("NoCopy", (UserDict,), {"copy": None}), MappingProxyType])
def test_any_mapping_can_be_assigned(kind):
    """``load_state_dict(assign=True)`` takes any mapping, even a read-only one: ``MappingProxyType``."""
    layer, weight = nn.Linear(2, 1, bias=False), torch.tensor([[3.0, 4.0]])

    assert nn.Sequential(layer).load_state_dict(kind({"0.weight": weight}), assign=True) == ([], [])
    assert layer.weight.data_ptr() == weight.data_ptr()


@pytest.mark.since("2.1")
def test_parameters_are_replaced():
    """``load_state_dict(assign=True)`` wraps tensors in new parameters; buffers become the given tensors."""
    norm, other = nn.Sequential(nn.BatchNorm1d(2)), nn.Sequential(nn.BatchNorm1d(2))
    before, state = list(norm.parameters()), other.state_dict()

    norm.load_state_dict(state, True, True)

    assert [p is old for p, old in zip(norm.parameters(), before, strict=True)] == [False, False]
    assert [type(p) for p in norm.parameters()] == [nn.Parameter, nn.Parameter]
    assert [p.data_ptr() == state[name].data_ptr() for name, p in norm.named_parameters()] == [True, True]
    assert [id(b) for b in norm.buffers()] == [id(state[name]) for name, _ in norm.named_buffers()]


@pytest.mark.since("2.1")
def test_a_parameter_in_the_dict_is_taken_as_it_is():
    """``load_state_dict(assign=True)`` with a ``Parameter`` in the dict makes that object the module's
    parameter.
    """
    net, other = nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(2, 3))
    other[0].weight = type("Table", (nn.Parameter,), {})(torch.rand(3, 2))
    other[0].bias.requires_grad_(False)

    net.load_state_dict(other.state_dict(keep_vars=True), assign=True)

    assert net[0].weight is other[0].weight
    assert net[0].bias is other[0].bias


@pytest.mark.since("2.1")
@pytest.mark.parametrize("built_on", ["meta", "cpu"])
def test_dtype_and_device_of_the_dict_win(device, built_on):
    """After ``load_state_dict(assign=True)``, the module has the dtype and device of the dict's tensors.

    This is how a model that was built on the meta device gets its weights without a second copy of them in
    memory. Cast or move afterwards where the checkpoint is of another kind.
    """
    norm = nn.Sequential(nn.BatchNorm1d(2, device=built_on))
    other = nn.Sequential(nn.BatchNorm1d(2, dtype=torch.float16, device=device))
    other[0].num_batches_tracked = torch.tensor(3, dtype=torch.int32, device=device)

    norm.load_state_dict(other.state_dict(), assign=True)

    assert [p.dtype for p in norm.parameters()] == [torch.float16] * 2
    assert [b.dtype for b in norm.buffers()] == [torch.float16, torch.float16, torch.int32]
    assert [t.device.type for t in norm.state_dict().values()] == [device] * 5


@pytest.mark.question("Q59")
@pytest.mark.since("2.3")
@pytest.mark.parametrize(
    "given",
    [lambda p: p.detach(), lambda p: p, lambda p: p.detach().requires_grad_(p.requires_grad)],
    ids=["tensors", "parameters", "tensors that require grad"],
)
def test_requires_grad_of_the_module_is_kept(given):
    """``load_state_dict(assign=True)`` keeps each parameter's ``requires_grad``, whatever the dict's tensor
    has.

    Up to torch 2.2 a tensor always became trainable and a parameter kept its own setting (:pull:`121157`).
    """
    layer = nn.Linear(2, 3)
    layer.weight.requires_grad_(False)
    other = nn.Linear(2, 3)
    other.bias.requires_grad_(False)

    state = {f"0.{name}": given(p) for name, p in other.named_parameters()}
    nn.Sequential(layer).load_state_dict(state, assign=True)

    assert [p.requires_grad for p in layer.parameters()] == [False, True]


@pytest.mark.question("Q59")
@pytest.mark.since("2.3")
def test_a_parameter_in_the_dict_is_changed():
    """``load_state_dict(assign=True)`` gives a ``Parameter`` in the dict the ``requires_grad`` of the one it
    replaces.

    Where they belong to another module, that module is frozen or unfrozen too.
    """
    layer, other = nn.Linear(2, 3), nn.Linear(2, 3)
    layer.weight.requires_grad_(False)
    other.bias.requires_grad_(False)

    nn.Sequential(layer).load_state_dict(nn.Sequential(other).state_dict(keep_vars=True), assign=True)

    assert [p.requires_grad for p in other.parameters()] == [False, True]


@pytest.mark.question("Q59")
@pytest.mark.before("2.3")
@pytest.mark.since("2.1")
def test_requires_grad_of_the_module_is_lost():
    """``load_state_dict(assign=True)`` of plain tensors makes a frozen parameter trainable."""
    layer = nn.Linear(2, 3).requires_grad_(False)

    layer.load_state_dict(nn.Linear(2, 3).state_dict(), assign=True)

    assert [p.requires_grad for p in layer.parameters()] == [True, True]


@pytest.mark.question("Q61")
@pytest.mark.since("2.1")
def test_tied_weights_are_untied():
    """``load_state_dict(assign=True)`` unties a tied weight: it becomes two parameters with two gradients.

    Where the tensors of the dict share memory, so do the two, but an optimizer sees both (:issue:`188346`).
    Tie the weights again after loading, or make the dict with ``keep_vars=True``.
    """
    net = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False), "b": nn.Linear(1, 1, bias=False)})
    net["b"].weight = net["a"].weight

    net.load_state_dict(net.state_dict(), assign=True)
    (net["a"](torch.tensor([3.0])) + net["b"](torch.tensor([5.0]))).backward()

    assert net["a"].weight is not net["b"].weight
    assert net["a"].weight.data_ptr() == net["b"].weight.data_ptr()
    assert [p.grad.item() for p in net.parameters()] == [3.0, 5.0]
    net["b"].weight = net["a"].weight
    net.load_state_dict(net.state_dict(keep_vars=True), assign=True)
    assert net["a"].weight is net["b"].weight


@pytest.mark.question("Q61")
@pytest.mark.since("2.1")
def test_a_tied_parameter_in_the_dict_stays_tied():
    """``load_state_dict(assign=True)`` keeps weights tied if the dict was made with ``keep_vars=True``."""
    net = nn.ModuleDict({"a": nn.Linear(3, 3, bias=False), "b": nn.Linear(3, 3, bias=False)})
    net["b"].weight = net["a"].weight
    other = copy.deepcopy(net)

    net.load_state_dict(other.state_dict(keep_vars=True), assign=True)

    assert net["a"].weight is other["a"].weight
    assert net["b"].weight is other["a"].weight


@pytest.mark.since("2.1")
def test_a_tied_name_that_the_dict_lacks_stays_on_meta():
    """Loading one name of a tied weight on meta by ``load_state_dict(assign=True)`` leaves the other on meta.

    A plain load would have filled all. To tie them again assign the loaded weight to the name that was
    missing: the other way round what was loaded is lost, and no error says so.

    See also :ref:`state.ties.each_name_is_missed`
    """
    with torch.device("meta"):
        net = nn.ModuleDict({"embedding": nn.Embedding(2, 1), "head": nn.Linear(1, 2, bias=False)})
    net["head"].weight = net["embedding"].weight

    result = net.load_state_dict({"head.weight": torch.tensor([[3.0], [4.0]])}, assign=True, strict=False)

    assert result.missing_keys == ["embedding.weight"]
    assert [p.device.type for p in net.parameters()] == ["meta", "cpu"]

    net["embedding"].weight = net["head"].weight
    assert net["embedding"](torch.tensor([1])).item() == 4.0


@pytest.mark.since("2.1")
def test_the_optimizer_keeps_the_old_parameters():
    """After ``load_state_dict(assign=True)``, an optimizer made before no longer trains the module.

    The model stops learning without an error. Create the optimizer after loading.
    """
    net = nn.Sequential(nn.Linear(2, 1), nn.Sequential(nn.Linear(1, 1)))
    state = {name: torch.full_like(p, 3.0) for name, p in net.state_dict().items()}
    old = list(net.parameters())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)

    net.load_state_dict(state, assign=True)
    net(torch.tensor([[1.0, 2.0]])).sum().backward()
    optimizer.step()

    assert not {*net.parameters()} & {*old}
    assert [p.grad.flatten().tolist() for p in net.parameters()] == [[3.0, 6.0], [3.0], [12.0], [1.0]]
    assert [p.flatten().tolist() for p in net.parameters()] == [[3.0, 3.0], [3.0], [3.0], [3.0]]


@pytest.mark.since("2.1")
def test_gradients_are_not_taken_over():
    """After ``load_state_dict(assign=True)`` of plain tensors, ``.grad`` of the new parameters is
    ``None``.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    net(torch.rand(1, 2)).sum().backward()
    given = [torch.rand(3, 2, requires_grad=True), torch.rand(3)]
    given[0].sum().backward()

    net.load_state_dict({"0.weight": given[0], "0.bias": given[1]}, assign=True)

    assert [p.grad for p in net.parameters()] == [None, None]


@pytest.mark.since("2.1")
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("assign", [True, False])
def test_shapes_must_agree_when_assigning(assign, strict):
    """``load_state_dict(assign=True)`` raises ``RuntimeError`` for a size mismatch, as with
    ``assign=False``.
    """
    layer, state = nn.Linear(2, 3), {**nn.Linear(3, 2).state_dict(), "mean": torch.rand(1)}
    layer.register_buffer("mean", torch.rand(5))
    weight = layer.weight

    message = r"size mismatch for weight: .*\[2, 3\].*\[3, 2\](.|\n)*size mismatch for mean: .*\[1\].*\[5\]"
    with pytest.raises(RuntimeError, match=message):
        layer.load_state_dict(state, strict, assign)

    assert layer.weight is weight
    assert layer.weight.shape == (3, 2)


@pytest.mark.since("2.1")
def test_keys_must_agree_when_assigning():
    """``load_state_dict(strict=False, assign=True)`` leaves missing parameters unchanged."""
    layer = nn.Linear(2, 1)
    layer.head = nn.PReLU(init=0.75)
    weight = nn.init.constant_(layer.weight, 3.0)

    result = layer.load_state_dict({"bias": torch.tensor([5.0])}, strict=False, assign=True)

    assert (result.missing_keys, result.unexpected_keys) == (["weight", "head.weight"], [])
    assert layer.weight is weight
    assert layer.weight.tolist() == [[3.0, 3.0]]
    assert layer.bias.tolist() == [5.0]
    assert layer.head.weight.tolist() == [0.75]


@pytest.mark.since("2.1")
def test_integers_cannot_become_trainable():
    """``load_state_dict(assign=True)`` raises ``RuntimeError`` for an integer tensor for a trainable
    parameter.

    The error names the parameter.
    """
    state = {"weight": torch.tensor([[1, 2], [3, 4], [5, 6]]), "bias": torch.ones(3, dtype=torch.uint8)}

    with pytest.raises(RuntimeError, match='While copying the parameter named "weight"') as caught:
        nn.Linear(2, 3).load_state_dict(state, assign=True)

    message = "('Only Tensors of floating point and complex dtype can require gradients',)."
    assert re.findall(
        'While copying the parameter named "(.*)", .*exception occurred : (.*)', str(caught.value)
    ) == [("weight", message), ("bias", message)]


@pytest.mark.since("2.1")
def test_each_module_is_told_to_assign():
    """``load_state_dict(assign=True)`` puts ``assign_to_params_buffers`` into each module's
    ``local_metadata``.

    Modules that override ``_load_from_state_dict`` and hooks find it there.
    """
    seen, overriding = [], []

    class Own(nn.Module):
        def _load_from_state_dict(self, state, prefix, data, *rest):
            overriding.append({**data})

    net = nn.Sequential(nn.ReLU())
    for module in net.modules():
        module._register_load_state_dict_pre_hook(
            lambda state, prefix, data, *_: seen.append((prefix, {**data}))
        )

    net.load_state_dict({}, assign=True)
    net.load_state_dict({}, assign=False)

    nn.Sequential(Own()).load_state_dict({}, assign=True)
    told = {"assign_to_params_buffers": True}
    assert overriding == [told]
    assert seen == [("", told), ("0.", told), ("", {}), ("0.", {})]


@pytest.mark.since("2.1")
def test_a_dict_once_assigned_is_assigned_again():
    """After ``load_state_dict(sd, assign=True)``, ``load_state_dict(sd)`` assigns too if ``sd`` has
    ``_metadata``.

    A mark in ``_metadata`` does it, and goes with the dict into a file (:issue:`188166`). A plain ``dict``,
    without metadata, bears none.
    """
    nets, file = [nn.Sequential(nn.Linear(2, 3)) for _ in range(4)], io.BytesIO()
    state = nn.Sequential(nn.Linear(2, 3)).state_dict()
    plain = dict(state)
    nets[0].load_state_dict(state, assign=True)
    nets[1].load_state_dict(plain, assign=True)

    nets[2].load_state_dict(state)
    nets[3].load_state_dict(plain)

    assert nets[2][0].weight.data_ptr() == state["0.weight"].data_ptr()
    assert nets[3][0].weight.data_ptr() != plain["0.weight"].data_ptr()

    torch.save(state, file)
    file.seek(0)
    assert torch.load(file, weights_only=True)._metadata == state._metadata
    told = {"version": 1, "assign_to_params_buffers": True}
    assert state._metadata == {"": told, "0": told}


@pytest.mark.since("2.1")
def test_the_given_dict_keeps_its_keys():
    """``load_state_dict(assign=True)`` keeps the keys of the caller's dict, even if a module renames keys.

    Its tensors become those of the module. A second module that loads the dict shares them.
    """

    class Renaming(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *args):
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")
            super()._load_from_state_dict(state_dict, prefix, *args)

    state = OrderedDict(w=torch.tensor([[3.0, 4.0]]), bias=torch.tensor([5.0]))
    first, second = Renaming(2, 1), Renaming(2, 1)

    first.load_state_dict(state, assign=True)
    second.load_state_dict(state, assign=True)

    assert list(state) == ["w", "bias"]
    assert first.weight.data_ptr() == second.weight.data_ptr() == state["w"].data_ptr()


@pytest.mark.since("2.1")
def test_an_override_must_take_assign():
    """``load_state_dict(sd, assign=True)`` raises ``TypeError`` if a class overrides it without ``assign``.

    Libraries pass it when they load large models. Take ``**kwargs`` and hand them on.
    """

    class Old(nn.Linear):
        def load_state_dict(self, state_dict, strict=True):
            return super().load_state_dict(state_dict, strict)

    class New(nn.Linear):
        def load_state_dict(self, state_dict, *args, **kwargs):
            return super().load_state_dict(state_dict, *args, **kwargs)

    weight = torch.tensor([[2.0, 3.0]])

    with pytest.raises(TypeError, match="unexpected keyword argument 'assign'"):
        Old(2, 1, bias=False).load_state_dict({"weight": weight}, assign=True)

    net = New(2, 1, bias=False)
    net.load_state_dict({"weight": weight}, assign=True)
    assert net.weight.data_ptr() == weight.data_ptr()
