"""The names of the tensors given to a functional call.

A name leads to a parameter or buffer as in a state dict. How much is asked of the names depends on
``strict``.
"""

import re

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils import parametrizations, parametrize


def test_a_missing_name_is_allowed():
    """``functional_call`` without ``strict=True`` uses the module's own tensors for missing names."""
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).eval()
    net[1].running_mean.fill_(4.0)
    x, shift = torch.rand(5, 2), torch.tensor([1.0, 2.0, 3.0])

    assert torch.equal(functional_call(net, {}, x), net(x))
    assert torch.allclose(functional_call(net, {"1.bias": shift}, x), net(x) + shift)


def test_an_unknown_name_becomes_an_attribute_for_the_call():
    """An unknown name given to ``functional_call`` becomes a module attribute during the call only.

    A misspelt name therefore goes unnoticed; ``strict=True`` finds it.
    """
    layer = nn.Linear(2, 1)
    seen = []
    layer.register_forward_pre_hook(lambda module, _: seen.append(module.wieght.tolist()))

    functional_call(layer, {"wieght": torch.tensor([3.0])}, torch.rand(2))
    functional_call(nn.Sequential(layer), {"0.wieght": torch.tensor([5.0])}, torch.rand(2))

    assert seen == [[3.0], [5.0]]
    assert not hasattr(layer, "wieght")
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\): 'wieght'"):
        functional_call(layer, {"wieght": torch.tensor([3.0])}, torch.rand(2), strict=True)


def test_a_plain_tensor_attribute_is_replaced_too():
    """``functional_call`` without ``strict=True`` also replaces a plain tensor attribute of the module."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.tensor(2.0)

        def forward(self, *args):
            return self.scale.item()

    net = Net()

    assert functional_call(net, {"scale": torch.tensor(5.0)}, ()) == 5.0
    assert functional_call(nn.Sequential(net), {"0.scale": torch.tensor(7.0)}, 0) == 7.0
    assert net() == 2.0
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\): 'scale'"):
        functional_call(net, {"scale": torch.tensor(5.0)}, (), strict=True)


def test_an_attribute_that_was_none_is_none_again():
    """``functional_call`` can replace a ``None`` attribute, such as a missing bias, during the call."""
    layer = nn.Linear(2, 1, bias=False)
    layer.extra = None
    nn.init.constant_(layer.weight, 2.0)

    given = {"bias": torch.tensor([7.0]), "extra": torch.rand(1)}
    out = functional_call(layer, given, torch.tensor([1.0, 10.0]))

    assert out.tolist() == [29.0]
    assert layer._parameters["bias"] is None
    assert layer.extra is None
    norm = nn.BatchNorm1d(1, eps=1.0, track_running_stats=False).eval()
    given = {"running_mean": torch.tensor([7.0]), "running_var": torch.tensor([3.0])}
    assert functional_call(norm, given, torch.tensor([[5.0]])).tolist() == [[-1.0]]
    nested = {f"0.{name}": tensor for name, tensor in given.items()}
    assert functional_call(nn.Sequential(norm), nested, torch.tensor([[5.0]])).tolist() == [[-1.0]]
    assert norm.running_mean is None


def test_none_may_be_given():
    """``functional_call`` accepts ``None`` instead of a tensor: ``{"bias": None}`` leaves out the bias."""
    layer = nn.Linear(2, 1)
    bias = nn.init.constant_(layer.bias, 3.0)
    nn.init.constant_(layer.weight, 2.0)

    assert functional_call(layer, {"bias": None}, torch.tensor([1.0, 10.0])).tolist() == [22.0]
    net = nn.Sequential(layer)
    assert functional_call(net, {"0.bias": None}, torch.tensor([1.0, 10.0])).tolist() == [22.0]
    assert layer.bias is bias
    norm, x = nn.BatchNorm1d(1, eps=3.0).eval(), torch.tensor([[5.0], [7.0]])
    assert functional_call(norm, {"running_mean": None, "running_var": None}, x).tolist() == [[-0.5], [0.5]]


@pytest.mark.parametrize("name", ["weight", "running_mean"])
def test_an_entry_deleted_during_the_call_is_put_back(name):
    """A given parameter or buffer that ``forward`` deletes during ``functional_call`` is restored
    afterwards.
    """

    class Net(nn.BatchNorm1d):
        def forward(self, x):
            delattr(self, name)

    net = Net(2)
    own = getattr(net, name)
    for module, path in ((net, name), (nn.Sequential(net), f"0.{name}")):
        functional_call(module, {path: torch.rand(2)}, torch.rand(3, 2))

        assert getattr(net, name) is own


@pytest.mark.parametrize(
    "place",
    [lambda layer: layer, nn.Sequential, lambda layer: nn.Sequential(layer, layer)],
    ids=["alone", "nested", "twice"],
)
def test_strict_accepts_all_names(place):
    """``functional_call(strict=True)`` accepts a state dict with all parameters and buffers.

    By default a tensor with two names, if given under both, has to be one object, as it is in
    ``state_dict(keep_vars=True)``.

    See also :ref:`functional.ties.equal_values_in_two_tensors_are_an_error`
    """
    norm, other = nn.BatchNorm1d(2).eval(), nn.BatchNorm1d(2).eval()
    other.running_mean += 3.0
    net, x, state = place(norm), torch.rand(4, 2), place(other).state_dict(keep_vars=True)

    assert torch.equal(functional_call(net, state, x, strict=True), place(other)(x))


def test_strict_names_what_is_missing():
    """``functional_call(strict=True)`` raises a ``RuntimeError`` that lists all missing names, sorted."""
    net = nn.Sequential(nn.InstanceNorm1d(2, affine=True, track_running_stats=True))

    names = "'0.bias', '0.num_batches_tracked', '0.running_mean', '0.running_var', '0.weight'"
    message = f"Error(s) in reparametrizing for Sequential:\n\tMissing key(s): {names}."
    for given in ({}, ({}, {})):
        with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
            functional_call(net, given, torch.rand(2), strict=True)


def test_strict_names_what_is_unexpected():
    """``functional_call(strict=True)`` raises a ``RuntimeError`` that lists all unexpected names, sorted."""
    layer = nn.Linear(2, 1, bias=False)
    given = {"weight": layer.weight, **dict.fromkeys(["scale", "gain", "bias", "wide"], torch.rand(1))}

    names = "'bias', 'gain', 'scale', 'wide'"
    message = f"Error(s) in reparametrizing for Linear:\n\tUnexpected key(s): {names}."
    for dicts in (given, [{}, given]):
        with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
            functional_call(layer, dicts, torch.rand(2), strict=True)


def test_strict_tells_both_at_once():
    """``functional_call(strict=True)`` lists unexpected and then missing names in one ``RuntimeError``."""
    layer, given = nn.Linear(2, 1, bias=False), {"wieght": torch.rand(1, 2)}

    message = "Linear:\n\tUnexpected key(s): 'wieght'.\n\tMissing key(s): 'weight'."
    for dicts in (given, (given, {})):
        with pytest.raises(RuntimeError, match=re.escape(message)):
            functional_call(layer, dicts, torch.rand(2), strict=True)


def test_strict_asks_for_non_persistent_buffers():
    """``functional_call(strict=True)`` requires non-persistent buffers too, which ``state_dict()`` omits.

    Give it ``named_parameters()`` and ``named_buffers()`` instead.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("cache", torch.tensor(2.0), persistent=False)

        def forward(self):
            return self.cache.item()

    net = Net()

    with pytest.raises(RuntimeError, match=r"Missing key\(s\): 'cache'"):
        functional_call(net, net.state_dict(), (), strict=True)
    assert list(net.state_dict()) == []
    assert functional_call(net, {"cache": torch.tensor(5.0)}, (), strict=True) == 5.0
    with pytest.raises(RuntimeError, match=r"Missing key\(s\): '0\.cache'"):
        functional_call(nn.Sequential(net), {}, (), strict=True)


def test_a_path_through_nothing_is_an_error():
    """``functional_call`` raises ``AttributeError`` for a name in a submodule that does not exist.

    The message names the type of the parent.
    """
    net = nn.Sequential(nn.Linear(2, 1))

    for name, parent in (("head", "Sequential"), ("0.head", "Linear")):
        with pytest.raises(AttributeError, match=f"^{parent} has no attribute `head`"):
            functional_call(net, {f"{name}.weight": torch.rand(1, 2)}, torch.rand(2))


def test_a_path_through_a_tensor_is_an_error():
    """``functional_call`` raises ``TypeError`` for a name below a tensor, such as ``0.bias.data``."""
    net = nn.Sequential(nn.BatchNorm1d(1))

    for name in ("0.bias", "0.running_mean"):
        told = rf"(?s)submodule `{name}`: .* is not an instance of torch\.nn\.Module"
        with pytest.raises(TypeError, match=told):
            functional_call(net, {f"{name}.data": torch.rand(1)}, torch.rand(2, 1))


def test_an_empty_name_is_an_error():
    """``functional_call`` raises ``KeyError`` for an empty tensor name: ``""``, or ``"0."`` in submodule
    ``0``.

    A dot after the name of a tensor is a path through the tensor, which raises ``TypeError``.
    """
    with pytest.raises(KeyError, match=r"can.{1,2}t be empty string"):
        functional_call(nn.Linear(2, 1), {"": torch.rand(1)}, torch.rand(2))
    with pytest.raises(KeyError, match=r"can.{1,2}t be empty string"):
        functional_call(nn.Sequential(nn.Linear(2, 1)), {"0.": torch.rand(1)}, torch.rand(2))
    with pytest.raises(TypeError, match=r"(?s)submodule `0\.weight`: .* is not an instance"):
        functional_call(nn.Sequential(nn.Linear(2, 1)), {"0.weight.": torch.rand(1, 2)}, torch.rand(2))


def test_a_value_that_is_no_tensor_is_an_error():
    """``functional_call`` raises ``TypeError`` for a value that is neither a tensor nor ``None``.

    The module keeps its own tensors.
    """
    layer = nn.Linear(2, 1)
    weight, bias = layer.weight, layer.bias

    for value in (3, [3.0], "text"):
        with pytest.raises(TypeError, match=rf"{re.escape(str(value))} is not an instance of torch\.Tensor"):
            functional_call(layer, {"weight": torch.rand(1, 2), "bias": value}, torch.rand(2))
        with pytest.raises(TypeError, match=rf"{re.escape(str(value))} is not an instance of torch\.Tensor"):
            functional_call(nn.Sequential(nn.BatchNorm1d(2)), {"0.running_mean": value}, torch.rand(3, 2))
    assert layer.weight is weight
    assert layer.bias is bias


def test_an_attribute_that_is_no_tensor_is_an_error():
    """``functional_call`` raises ``TypeError`` for the name of a non-tensor attribute, such as
    ``in_features``.
    """
    layer = nn.Linear(2, 1)

    for net, name in ((layer, "in_features"), (nn.Sequential(layer), "0.in_features")):
        with pytest.raises(
            TypeError, match=r"attribute `in_features`: 2 is not an instance of torch\.Tensor"
        ):
            functional_call(net, {name: torch.tensor(5)}, torch.rand(2))
    for net, name in ((nn.Conv1d(2, 1, 1), "padding_mode"), (nn.Dropout(), "p"), (nn.Sequential(layer), "0")):
        with pytest.raises(TypeError, match=rf"attribute `{name}`: .* is not an instance of torch\.Tensor"):
            functional_call(net, {name: torch.tensor(5)}, torch.rand(2))
    assert layer.in_features == 2


def test_the_plain_name_of_a_parametrized_tensor():
    """``functional_call`` given a parametrized ``weight`` writes to ``parametrizations.weight.original``
    (:issue:`186565`).

    It goes through ``right_inverse``, and the value from before goes back the same way: where that is not a
    true inverse, the module is changed. No gradient reaches the given tensor. Torch's documentation says that
    the plain name switches the parametrization off.
    """

    class Absolute(nn.Module):
        def forward(self, x):
            return x.abs()

        def right_inverse(self, x):
            return 2 * x

    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, -3.0)
    parametrize.register_parametrization(layer, "weight", Absolute())
    given = torch.tensor([[-5.0]], requires_grad=True)
    assert layer.parametrizations.weight.original.tolist() == [[-6.0]]

    out = functional_call(layer, {"weight": given}, torch.tensor([3.0]))

    assert out.tolist() == [30.0]
    assert layer.parametrizations.weight.original.tolist() == [[12.0]]
    assert torch.autograd.grad(out, given, allow_unused=True) == (None,)


def test_the_long_name_of_a_parametrized_tensor():
    """``functional_call`` replaces a parametrized weight given as ``parametrizations.weight.original``.

    The parametrization is applied to the given tensor, which gets the gradient. ``right_inverse`` is not
    called.
    """

    class Absolute(nn.Module):
        def forward(self, x):
            return x.abs()

        def right_inverse(self, x):
            raise NotImplementedError("right_inverse is called")

    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, -3.0)
    parametrize.register_parametrization(layer, "weight", Absolute())
    given, x = torch.tensor([[-5.0]], requires_grad=True), torch.tensor([2.0])

    functional_call(layer, {"parametrizations.weight.original": given}, x, strict=True).backward()
    assert given.grad.tolist() == [[-2.0]]
    assert layer.parametrizations.weight.original.tolist() == [[-3.0]]

    with pytest.raises(RuntimeError, match="Unexpected key"):
        functional_call(layer, {"weight": given}, x, strict=True)
    with pytest.raises(RuntimeError, match="right_inverse is called"):
        functional_call(layer, {"weight": given}, x)


@pytest.mark.since("2.1")
def test_weight_norm_has_no_original():
    """By default ``functional_call`` ignores ``parametrizations.weight.original`` of
    ``parametrizations.weight_norm``.

    A layer under :func:`~torch.nn.utils.parametrizations.weight_norm` has two tensors in its place,
    ``original0`` for the length and ``original1`` for the direction. ``strict=True`` finds the wrong name.
    """
    layer, x = parametrizations.weight_norm(nn.Linear(2, 1, bias=False)), torch.tensor([3.0, 4.0])
    given, path = torch.tensor([[6.0, 8.0]]), "parametrizations.weight."
    length = {path + "original0": torch.tensor([[2.0]])}

    assert [name for name, _ in layer.named_parameters()] == [path + "original0", path + "original1"]
    assert torch.equal(functional_call(layer, {path + "original": given}, x), layer(x))
    assert functional_call(layer, length | {path + "original1": given}, x).tolist() == pytest.approx([10.0])
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\): 'parametrizations.weight.original'"):
        functional_call(layer, {path + "original": given}, x, strict=True)
