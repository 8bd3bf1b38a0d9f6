"""Loading a state dict: its values are copied into the tensors that the module has.

The module is built first, by the same code; loading then fills its parameters and buffers.
"""

import warnings
from collections import OrderedDict
from types import MappingProxyType

import pytest
import torch
from torch import nn


def test_values_are_copied():
    """:meth:`~torch.nn.Module.load_state_dict` copies values into the parameters the module has.

    The parameters stay the same objects with the same memory, so an optimizer goes on training them.
    """
    layer = nn.Linear(2, 3, bias=False)
    weight, place = layer.weight, layer.weight.data_ptr()
    state = {"weight": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])}

    layer.load_state_dict(state)

    assert layer.weight is weight
    assert layer.weight.data_ptr() == place
    assert torch.equal(layer.weight, state["weight"])


def test_later_changes_of_the_dict_do_not_reach_the_module():
    """After loading, module and state dict share no memory."""
    layer = nn.Linear(2, 1, bias=False)
    state = {"weight": torch.tensor([[1.0, 2.0]])}
    layer.load_state_dict(state)

    state["weight"].fill_(9.0)

    assert layer.weight.tolist() == [[1.0, 2.0]]


def test_buffers_are_filled_in_place():
    """Buffers are filled in place like parameters."""
    norm = nn.BatchNorm1d(2)
    mean = norm.running_mean

    norm.load_state_dict({**norm.state_dict(), "running_mean": torch.tensor([0.5, 0.75])})

    assert norm.running_mean is mean
    assert mean.tolist() == [0.5, 0.75]


def test_submodules_are_filled_too():
    """The values of submodules at any depth are filled by their dotted names."""
    net = nn.Sequential(nn.Sequential(nn.Linear(1, 2, bias=False)), nn.Linear(2, 1, bias=False))

    net.load_state_dict({"1.weight": torch.tensor([[5.0, 6.0]]), "0.0.weight": torch.tensor([[7.0], [8.0]])})

    assert net[0][0].weight.tolist() == [[7.0], [8.0]]
    assert net[1].weight.tolist() == [[5.0, 6.0]]


def test_loading_gives_no_warning():
    """Loading a state dict into a module with data gives no warning."""
    layer = nn.Linear(2, 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer.load_state_dict(nn.Linear(2, 3).state_dict())

    assert caught == []


def test_success_is_reported_in_words():
    """A load without a mismatch returns an object that prints ``<All keys matched successfully>``."""
    layer = nn.Linear(2, 3)

    result = layer.load_state_dict(layer.state_dict())

    assert (repr(result), str(result)) == ("<All keys matched successfully>",) * 2


def test_the_result_is_a_named_tuple():
    """The result is a named tuple of two lists, ``missing_keys`` and ``unexpected_keys``."""
    layer = nn.Linear(2, 3)

    missing, unexpected = layer.load_state_dict(
        {"weight": torch.rand(3, 2), "scale": torch.rand(1)}, strict=False
    )

    assert (missing, unexpected) == (["bias"], ["scale"])
    assert layer.load_state_dict({}, strict=False)._fields == ("missing_keys", "unexpected_keys")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["weight"], "(missing_keys=['bias'], unexpected_keys=[])"),
        (["weight", "bias", "x"], "(missing_keys=[], unexpected_keys=['x'])"),
    ],
    ids=["missing", "unexpected"],
)
def test_a_mismatch_is_printed_as_a_tuple(given, shown):
    """A result with missing or with unexpected keys prints both lists."""
    layer = nn.Linear(2, 3)
    state = {**layer.state_dict(), "x": torch.rand(1)}

    result = layer.load_state_dict({key: state[key] for key in given}, strict=False)

    assert repr(result) == str(result) == "_IncompatibleKeys" + shown


def test_values_take_the_dtype_and_device_of_the_module(device):
    """Values are converted to the dtype and the device of the module."""
    norm = nn.BatchNorm1d(2, device=device, dtype=torch.float16)
    state = {**nn.BatchNorm1d(2).state_dict(), "weight": torch.tensor([1.5, 2.5], dtype=torch.float32)}
    state["num_batches_tracked"] = torch.tensor(3.9)

    norm.load_state_dict(state)

    assert (norm.weight.dtype, norm.weight.device.type) == (torch.float16, device)
    assert norm.weight.tolist() == [1.5, 2.5]
    assert (norm.num_batches_tracked.dtype, norm.num_batches_tracked.item()) == (torch.int64, 3)


def test_requires_grad_and_grad_stay():
    """Loading changes neither ``requires_grad`` nor the gradients of the module."""
    layer = nn.Linear(2, 3)
    layer(torch.tensor([[1.0, 2.0]])).sum().backward()
    layer.bias.requires_grad_(False)

    layer.load_state_dict(nn.Linear(2, 3).state_dict(keep_vars=True))

    assert [p.requires_grad for p in layer.parameters()] == [True, False]
    assert layer.weight.grad.tolist() == [[1.0, 2.0]] * 3


def test_loading_is_not_recorded():
    """Loading is not recorded by autograd: parameters remain leaves, whatever the values were."""
    layer = nn.Linear(2, 1, bias=False)
    value = torch.tensor([[1.0, 2.0]], requires_grad=True) * 3

    layer.load_state_dict({"weight": value})

    assert (layer.weight.is_leaf, layer.weight.grad_fn) == (True, None)
    assert layer.weight.tolist() == [[3.0, 6.0]]


def test_loading_before_backward_spoils_the_graph():
    """Loading between forward and backward changes saved weights in place, and backward raises."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    loss = net(torch.rand(4, 2)).sum()

    net.load_state_dict(net.state_dict())

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
def test_any_mapping_will_do(kind):
    """Any mapping may be loaded, also one that cannot be written to."""
    layer = nn.Linear(2, 1, bias=False)

    layer.load_state_dict(kind({"weight": torch.tensor([[3.0, 4.0]])}))

    assert layer.weight.tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("given", ["model.pt", [("weight", torch.ones(3, 2))], nn.Linear(2, 3)], ids=type)
def test_what_is_no_mapping_is_refused(given):
    """A path, a list or a module in place of the mapping raises a ``TypeError`` that names its type."""
    with pytest.raises(TypeError) as caught:
        nn.Linear(2, 3).load_state_dict(given)

    assert str(caught.value) == f"Expected state_dict to be dict-like, got {type(given)}."


def test_the_given_dict_is_not_changed():
    """The given dict is not changed, even where modules add to or take from what they load."""

    class Renaming(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *args):
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")
            super()._load_from_state_dict(state_dict, prefix, *args)

    state = OrderedDict(w=torch.tensor([[3.0, 4.0]]))
    layer = Renaming(2, 1, bias=False)
    layer.load_state_dict(state)

    assert list(state) == ["w"]
    assert layer.weight.tolist() == [[3.0, 4.0]]


def test_what_fits_is_loaded_before_the_error():
    """Where loading raises, the values that fit have been loaded all the same."""
    layer = nn.Linear(2, 3)

    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        layer.load_state_dict({"weight": torch.rand(4, 2), "bias": torch.tensor([1.0, 2.0, 3.0])})

    assert layer.bias.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("strict", [True, False])
def test_a_value_that_is_no_tensor_is_refused(strict):
    """A value that is no tensor raises a ``RuntimeError`` with key and type, also with ``strict=False``."""
    net = nn.Sequential(nn.Linear(1, 2))
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict({"0.weight": [2.0], "0.bias": torch.tensor([3.0, 5.0])}, strict=strict)

    assert net[0].bias.tolist() == [3.0, 5.0]
    assert str(caught.value) == (
        'Error(s) in loading state_dict for Sequential:\n\tWhile copying the parameter named "0.weight", '
        "expected torch.Tensor or Tensor-like object from checkpoint but received <class 'list'>"
    )


@pytest.mark.parametrize("strict", [True, False])
def test_a_failing_copy_is_reported(strict):
    """An exception while copying is reported with the key, both shapes and the exception's text."""
    net = nn.Module()
    net.register_buffer("row", torch.zeros(1).expand(3))
    net.register_buffer("last", torch.zeros(1))

    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict({"row": torch.ones(3), "last": torch.tensor([5.0])}, strict=strict)

    assert str(caught.value).startswith(
        'Error(s) in loading state_dict for Module:\n\tWhile copying the parameter named "row", '
        "whose dimensions in the model are torch.Size([3]) "
        "and whose dimensions in the checkpoint are torch.Size([3]), "
        "an exception occurred : ('unsupported operation"
    )
    assert net.last.tolist() == [5.0]


@pytest.mark.observed
def test_modules_are_loaded_before_their_submodules():
    """Each module loads its own part before its submodules do, each given only its own keys."""
    seen = []

    class Part(nn.Sequential):
        def _load_from_state_dict(self, state_dict, prefix, *args):
            seen.append((prefix, list(state_dict)))
            super()._load_from_state_dict(state_dict, prefix, *args)

    net = Part(Part(nn.PReLU()), Part())
    net.load_state_dict({"0.0.weight": torch.tensor([0.5])})

    assert seen == [("", ["0.0.weight"]), ("0.", ["0.0.weight"]), ("1.", [])]


@pytest.mark.observed
@pytest.mark.parametrize("strict", [True, False])
def test_modules_are_always_asked_to_be_strict(strict):
    """``_load_from_state_dict`` of each module is given ``strict=True``, whatever the caller said.

    Keys are collected always, and raised or not at the end (:issue:`156177`).
    """
    seen = []

    class Part(nn.Module):
        def _load_from_state_dict(self, state_dict, prefix, metadata, strict, *lists):
            seen.append((strict, lists))

    nn.Sequential(Part()).load_state_dict({}, strict=strict)

    assert seen == [(True, ([], [], []))]


@pytest.mark.observed
def test_a_module_asked_not_to_be_strict_collects_no_keys():
    """``_load_from_state_dict`` with ``strict=False`` loads what is there and collects no keys.

    Modules that load others by hand use it so.
    """

    class Versioned(nn.Module):
        def set_extra_state(self, state):
            raise AssertionError("there is none")

    layer = nn.Linear(2, 1)
    missing, unexpected, errors = [], [], []
    state = {"weight": torch.tensor([[3.0, 4.0]]), "x": torch.rand(1), "_extra_state": 5}

    returned = layer._load_from_state_dict(state, "", {}, False, missing, unexpected, errors)
    Versioned()._load_from_state_dict({}, "", {}, False, missing, unexpected, errors)

    assert (returned, missing, unexpected, errors) == (None, [], [], [])
    assert layer.weight.tolist() == [[3.0, 4.0]]


@pytest.mark.observed
def test_a_module_looks_at_keys_under_its_prefix():
    """A module asked by itself reads the keys that begin with its prefix, and calls no other unexpected."""
    layer = nn.Linear(1, 2)
    state = {"head.bias": torch.tensor([3.0, 5.0]), "head.scale": torch.rand(1), "tail.gain": torch.rand(7)}
    missing, unexpected, errors = [], [], []

    layer._load_from_state_dict(state, "head.", {}, True, missing, unexpected, errors)

    assert layer.bias.tolist() == [3.0, 5.0]
    assert (missing, unexpected, errors) == (["head.weight"], ["head.scale"], [])


def test_submodules_that_are_none_are_passed_over():
    """A submodule that is ``None`` is passed over."""
    net = nn.Module()
    net.register_module("head", None)
    net.body = nn.PReLU()

    assert net.load_state_dict({"body.weight": torch.tensor([0.75])}) == ([], [])
    assert net.body.weight.item() == 0.75
