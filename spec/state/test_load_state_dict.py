"""Loading a state dict: its values are copied into the tensors that the module has.

The module is built first, by the same code; loading then fills its parameters and buffers.
"""

import warnings
from collections import OrderedDict, UserDict
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch import nn


def test_values_are_copied():
    """:meth:`~torch.nn.Module.load_state_dict` copies values into the module's existing parameters, in place.

    The parameters stay the same objects with the same memory, so an optimizer that was made before still
    trains them. What changes the objects instead is ``assign=True``.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    net[0].weight.requires_grad_(False)
    before = [(id(p), p.data_ptr()) for p in net.parameters()]
    weight, bias = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([7.0, 8.0, 9.0]).double()

    net.load_state_dict({"0.weight": weight, "0.bias": bias})

    assert [(id(p), p.data_ptr()) for p in net.parameters()] == before
    assert [p.tolist() for p in net.parameters()] == [weight.tolist(), bias.tolist()]


def test_later_changes_of_the_dict_do_not_reach_the_module():
    """After ``a.load_state_dict(b.state_dict())``, the modules ``a`` and ``b`` share no memory."""
    teacher, student = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    student.load_state_dict(teacher.state_dict())
    places = [{value.data_ptr() for value in net.state_dict().values()} for net in (teacher, student)]
    assert places[0] & places[1] == set()

    nn.init.constant_(teacher.weight, 7.0)
    teacher.running_mean.fill_(5.0)
    assert [student.weight.item(), student.running_mean.item()] == [1.0, 0.0]

    nn.init.constant_(student.weight, 9.0)
    student.running_mean.fill_(3.0)
    assert [teacher.weight.item(), teacher.running_mean.item()] == [7.0, 5.0]


def test_buffers_are_filled_in_place():
    """:meth:`~torch.nn.Module.load_state_dict` copies into buffers in place: they stay the same tensor
    objects.
    """
    net = nn.Sequential(nn.BatchNorm1d(2))
    buffers, memory = list(net.buffers()), net[0].running_mean.detach()
    values = {"0.running_mean": torch.tensor([0.5, 0.75]).double(), "0.num_batches_tracked": torch.tensor(7)}

    net.load_state_dict({**net.state_dict(), **values})

    assert [id(buffer) for buffer in net.buffers()] == [id(buffer) for buffer in buffers]
    assert memory.tolist() == [0.5, 0.75]
    assert buffers[2].item() == 7


def test_submodules_are_filled_too():
    """:meth:`~torch.nn.Module.load_state_dict` loads submodules at any depth by dotted names such as
    ``0.0.weight``.
    """
    net = nn.Sequential(nn.Sequential(nn.BatchNorm1d(1)), nn.Linear(2, 1, bias=False))
    values = {"1.weight": [[5.0, 6.0]], "0.0.weight": [7.0], "0.0.bias": [8.0]}
    values.update({"0.0.running_mean": [9.0], "0.0.running_var": [2.0], "0.0.num_batches_tracked": 3})

    net.load_state_dict({key: torch.tensor(value) for key, value in values.items()})

    assert {key: value.tolist() for key, value in net.state_dict().items()} == values


def test_loading_gives_no_warning():
    """``load_state_dict`` into a module on the CPU does not warn if keys, shapes and dtypes match."""
    net, other = nn.Sequential(nn.BatchNorm1d(2)), nn.Sequential(nn.BatchNorm1d(2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.load_state_dict(other.state_dict())
        net.load_state_dict(dict(other.state_dict()), strict=False)

    assert caught == []


def test_success_is_reported_in_words():
    """If all keys match, the result of ``load_state_dict`` prints as ``<All keys matched successfully>``."""
    layer = nn.Linear(2, 3)

    for result in [layer.load_state_dict(layer.state_dict(), strict) for strict in (True, False)]:
        assert [repr(result), str(result)] == ["<All keys matched successfully>"] * 2
        assert result == ([], [])


def test_the_result_is_a_named_tuple():
    """``load_state_dict`` returns a named tuple of two lists: ``missing_keys`` and ``unexpected_keys``."""
    layer = nn.Linear(2, 3)

    result = layer.load_state_dict({"weight": torch.rand(3, 2), "scale": torch.rand(1)}, strict=False)
    missing, unexpected = result

    assert result._fields == ("missing_keys", "unexpected_keys")
    assert missing == ["bias"]
    assert unexpected == ["scale"]

    result = layer.load_state_dict(layer.state_dict())
    assert result._fields == ("missing_keys", "unexpected_keys")
    assert (result.missing_keys, result.unexpected_keys) == ([], [])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["weight"], "(missing_keys=['bias'], unexpected_keys=[])"),
        (["weight", "bias", "x"], "(missing_keys=[], unexpected_keys=['x'])"),
    ],
    ids=["missing", "unexpected"],
)
def test_a_mismatch_is_printed_as_a_tuple(given, shown):
    """If keys do not match, the result of ``load_state_dict(strict=False)`` prints as
    ``_IncompatibleKeys(...)``.
    """
    layer = nn.Linear(2, 3)
    state = {**layer.state_dict(), "x": torch.rand(1)}

    result = layer.load_state_dict({key: state[key] for key in given}, strict=False)

    assert repr(result) == "_IncompatibleKeys" + shown
    assert str(result) == "_IncompatibleKeys" + shown


def test_values_take_the_dtype_and_device_of_the_module(device):
    """By default ``load_state_dict`` converts each value to its parameter's or buffer's dtype and device.

    A checkpoint in half precision does not make a module so; cast the module, or load with ``assign=True``.
    """
    norm = nn.BatchNorm1d(2, device=device, dtype=torch.float16)
    state = {**nn.BatchNorm1d(2).state_dict(), "weight": torch.tensor([1.5, 2.5], dtype=torch.float64)}
    state["num_batches_tracked"] = torch.tensor(3.9)

    nn.Sequential(norm).load_state_dict({f"0.{name}": value for name, value in state.items()})

    assert norm.weight.tolist() == [1.5, 2.5]
    assert [t.dtype for t in norm.state_dict().values()] == [torch.float16] * 4 + [torch.int64]
    assert {t.device.type for t in norm.state_dict().values()} == {device}
    assert norm.num_batches_tracked.item() == 3


def test_requires_grad_and_grad_stay():
    """By default ``load_state_dict`` changes neither ``requires_grad`` nor ``.grad`` of the module's
    parameters.
    """
    layer = nn.Linear(2, 3)
    layer(torch.tensor([[1.0, 2.0]])).sum().backward()
    layer.bias.requires_grad_(False)
    other = nn.Linear(2, 3, dtype=torch.float64)
    other.weight.requires_grad_(False)
    other.bias.grad = torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64)

    layer.load_state_dict(other.state_dict(keep_vars=True))

    assert [p.requires_grad for p in layer.parameters()] == [True, False]
    assert layer.weight.grad.tolist() == [[1.0, 2.0]] * 3
    assert layer.bias.grad.tolist() == [1.0, 1.0, 1.0]


def test_loading_is_not_recorded():
    """Autograd does not record :meth:`~torch.nn.Module.load_state_dict`: parameters remain leaves."""
    frozen, trained = nn.Linear(2, 1, bias=False).requires_grad_(False), nn.Linear(2, 1, bias=False)
    value = torch.tensor([[1.0, 2.0]], requires_grad=True) * 3

    for layer in (frozen, trained):
        layer.register_buffer("mean", torch.rand(1, 2))
        layer.load_state_dict({"weight": value, "mean": value})
        assert [layer.weight.is_leaf, layer.weight.requires_grad] == [True, layer is trained]
        assert [layer.mean.is_leaf, layer.mean.requires_grad] == [True, False]
        assert layer.weight.tolist() == layer.mean.tolist() == [[3.0, 6.0]]


def test_loading_before_backward_spoils_the_graph():
    """``load_state_dict`` after forward makes ``backward()`` raise ``RuntimeError`` if it needs the weights.

    Load before the forward pass, or compute the gradients first.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    loss = net(torch.rand(4, 2)).sum()

    net.load_state_dict(net.state_dict())

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()

    alone = nn.Linear(2, 1)
    loss = alone(torch.tensor([[5.0, 7.0]])).sum()
    alone.load_state_dict(alone.state_dict())
    loss.backward()
    assert alone.weight.grad.tolist() == [[5.0, 7.0]]


@pytest.mark.parametrize("kind", [dict, type("NoCopy", (UserDict,), {"copy": None}), MappingProxyType])
def test_any_mapping_will_do(kind):
    """:meth:`~torch.nn.Module.load_state_dict` accepts any mapping, even a read-only one such as
    ``MappingProxyType``.
    """
    layer = nn.Linear(2, 1, bias=False)

    layer.load_state_dict(kind({"weight": torch.tensor([[3.0, 4.0]])}))
    assert layer.weight.tolist() == [[3.0, 4.0]]

    nn.Sequential(layer).load_state_dict(kind({"0.weight": torch.tensor([[5.0, 6.0]])}))
    assert layer.weight.tolist() == [[5.0, 6.0]]


@pytest.mark.parametrize(
    "given", ["model.pt", Path("model.pt"), [("weight", torch.rand(3, 2))], nn.Linear(2, 3)], ids=type
)
def test_what_is_no_mapping_is_refused(given):
    """``load_state_dict`` raises ``TypeError`` for a file path, a list or a module: it needs a mapping.

    Read the file first: ``net.load_state_dict(torch.load(path, weights_only=True))``.
    """
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like") as caught:
        nn.Linear(2, 3).load_state_dict(given)

    assert str(caught.value) == f"Expected state_dict to be dict-like, got {type(given)}."


def test_the_given_dict_is_not_changed():
    """``load_state_dict`` keeps the keys of the caller's dict, even if a module renames keys while loading.

    Modules and hooks that add to or take from what they load are given a copy of it. The metadata are not
    copied: see *assign*.
    """

    class Renaming(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, metadata, *args):
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")
            metadata["renamed"] = True
            super()._load_from_state_dict(state_dict, prefix, metadata, *args)

    state = OrderedDict(w=torch.tensor([[3.0, 4.0]]), bias=torch.tensor([5.0]))
    state._metadata = {"": {"version": 1}}
    layer = Renaming(2, 1)
    plain = dict(state)
    layer.load_state_dict(state)
    layer.load_state_dict(plain)

    assert list(plain) == list(state) == ["w", "bias"]
    assert state._metadata == {"": {"version": 1, "renamed": True}}
    assert layer.weight.tolist() == [[3.0, 4.0]]


def test_what_fits_is_loaded_before_the_error():
    """``load_state_dict`` that raises ``RuntimeError`` for a size mismatch has loaded the values that fit.

    Whoever catches the error has a module that is half loaded: build it again.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.PReLU())
    net.register_buffer("mean", torch.rand(1))
    value = torch.tensor([0.75])
    fits = {"0.bias": torch.tensor([1.0, 2.0, 3.0]), "1.weight": value, "mean": value}

    with pytest.raises(RuntimeError, match=r"size mismatch for 0\.weight"):
        net.load_state_dict({"0.weight": torch.rand(4, 2), **fits})

    assert net[0].bias.tolist() == [1.0, 2.0, 3.0]
    assert [net[1].weight.item(), net.mean.item()] == [0.75, 0.75]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("value", [[2.0], 2.0, None, np.ones((2, 1))], ids=type)
def test_a_value_that_is_no_tensor_is_refused(value, strict):
    """``load_state_dict`` raises ``RuntimeError`` if a parameter's value is not a tensor, even with
    ``strict=False``.

    The error names the key and the type of the value.
    """
    net = nn.Sequential(nn.Linear(1, 2))
    with pytest.raises(RuntimeError, match="or Tensor-like object") as caught:
        net.load_state_dict({"0.weight": value, "0.bias": torch.tensor([3.0, 5.0])}, strict=strict)

    assert net[0].bias.tolist() == [3.0, 5.0]
    assert str(caught.value) == (
        'Error(s) in loading state_dict for Sequential:\n\tWhile copying the parameter named "0.weight", '
        f"expected torch.Tensor or Tensor-like object from checkpoint but received {type(value)}"
    )


@pytest.mark.parametrize("strict", [True, False])
def test_a_failing_copy_is_reported(strict):
    """``load_state_dict`` raises ``RuntimeError`` if copying a value fails, and names the key and both
    shapes.

    The text of the exception is in the error too.
    """
    net = nn.Sequential(nn.Module())
    net[0].register_buffer("row", torch.zeros(1).expand(3))
    net[0].register_buffer("last", torch.zeros(1))

    with pytest.raises(RuntimeError, match="While copying the parameter named") as caught:
        net.load_state_dict({"0.row": torch.ones(3), "0.last": torch.tensor([5.0])}, strict=strict)

    assert str(caught.value).startswith(
        'Error(s) in loading state_dict for Sequential:\n\tWhile copying the parameter named "0.row", '
        "whose dimensions in the model are torch.Size([3]) "
        "and whose dimensions in the checkpoint are torch.Size([3]), "
        "an exception occurred : ('unsupported operation"
    )
    assert net[0].last.tolist() == [5.0]


def test_modules_are_loaded_before_their_submodules():
    """``load_state_dict`` calls ``_load_from_state_dict`` of a module before those of its submodules.

    Each is given only the keys that begin with its own name.
    """
    seen = []

    class Part(nn.Sequential):
        def _load_from_state_dict(self, state_dict, prefix, *args):
            seen.append((prefix, list(state_dict)))
            super()._load_from_state_dict(state_dict, prefix, *args)

    net = Part(Part(nn.PReLU()), Part())
    keys = ["0.0.weight", "1.x", "10.x"]
    net.load_state_dict({key: torch.rand(1) for key in keys}, strict=False)

    assert seen == [("", keys), ("0.", ["0.0.weight"]), ("1.", ["1.x"])]


@pytest.mark.parametrize("strict", [True, False])
def test_modules_are_always_asked_to_be_strict(strict):
    """``load_state_dict(strict=False)`` still passes ``strict=True`` to ``_load_from_state_dict`` of each
    module.

    Keys are collected always, and raised or not at the end (:issue:`156177`).
    """
    seen = []

    class Part(nn.Sequential):
        def _load_from_state_dict(self, state_dict, prefix, metadata, strict, *lists):
            seen.append((prefix, strict, lists))

    Part(Part(Part())).load_state_dict({}, strict=strict)

    assert seen == [(prefix, True, ([], [], [])) for prefix in ("", "0.", "0.0.")]


def test_a_module_asked_not_to_be_strict_collects_no_keys():
    """``_load_from_state_dict`` called with ``strict=False`` loads values and lists no missing or unexpected
    keys.

    Modules that load other modules themselves call it like this.
    """

    class Versioned(nn.Module):
        def set_extra_state(self, state):
            raise AssertionError("there is none")

    layer = nn.Linear(2, 1)
    missing, unexpected, errors = [], [], []
    state = {"weight": torch.tensor([[3.0, 4.0]]), "x": torch.rand(1), "_extra_state": 5}

    layer._load_from_state_dict(state, "", {}, False, missing, unexpected, errors)
    Versioned()._load_from_state_dict({}, "", {}, False, missing, unexpected, errors)

    assert layer.weight.tolist() == [[3.0, 4.0]]
    assert [missing, unexpected, errors] == [[], [], []]


def test_a_module_looks_at_keys_under_its_prefix():
    """``_load_from_state_dict`` reads the keys that begin with its ``prefix`` argument and ignores all
    others.
    """
    layer = nn.Linear(1, 2)
    state = {"head.bias": torch.tensor([3.0, 5.0]), "head.scale": torch.rand(1)}
    state.update({"bias": torch.rand(2), "tail.head.gain": torch.rand(7)})
    missing, unexpected, errors = [], [], []

    layer._load_from_state_dict(state, "head.", {}, True, missing, unexpected, errors)

    assert layer.bias.tolist() == [3.0, 5.0]
    assert [missing, unexpected, errors] == [["head.weight"], ["head.scale"], []]


def test_submodules_that_are_none_are_passed_over():
    """:meth:`~torch.nn.Module.load_state_dict` skips submodules that are ``None``."""
    net = nn.Module()
    net.register_module("head", None)
    net.body = nn.PReLU()
    net.body.register_module("inner", None)

    result = net.load_state_dict({"body.weight": torch.tensor([0.75])})

    assert result == ([], [])
    assert net.head is None
    assert net.body.weight.item() == 0.75
