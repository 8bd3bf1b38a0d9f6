"""Copies of a parameter: deep copies, pickles and saved files.

What is copied are the values and ``requires_grad``. What autograd has put on the parameter, its gradient and
its hooks, stays behind.
"""

import copy
import pickle

import pytest
import torch
from torch import nn


def test_a_deep_copy_is_a_parameter_of_its_own():
    """A deep copy of a parameter is a parameter with the same values in a storage of its own."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))

    twin = copy.deepcopy(weight)
    with torch.no_grad():
        weight[0] = 9.0

    assert (type(twin), twin.requires_grad, twin.is_leaf) == (nn.Parameter, True, True)
    assert twin.tolist() == [1.5, 2.5]


def test_a_deep_copy_of_a_frozen_parameter_is_frozen():
    """A deep copy keeps :attr:`~torch.Tensor.requires_grad`: the copy of a frozen parameter is frozen."""
    assert copy.deepcopy(nn.Parameter(torch.rand(2), requires_grad=False)).requires_grad is False


def test_a_deep_copy_keeps_the_memory_format():
    """A deep copy of a parameter keeps its strides, such as those of ``channels_last``."""
    weight = nn.Parameter(torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last))

    twin = copy.deepcopy(weight)

    assert twin.stride() == weight.stride() == (60, 1, 15, 3)


def test_a_deep_copy_has_no_gradient():
    """A deep copy of a parameter starts with ``grad`` ``None``, whatever the original has gathered."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))
    (weight * 3).sum().backward()

    assert weight.grad.tolist() == [3.0, 3.0]
    assert copy.deepcopy(weight).grad is None


@pytest.mark.observed
def test_a_deep_copy_drops_attributes():
    """A deep copy of a parameter drops the attributes that were set on it."""
    weight = nn.Parameter(torch.rand(2))
    weight.note = "weight decay off"

    assert hasattr(copy.deepcopy(weight), "note") is False


def test_a_parameter_is_deep_copied_once():
    """Within one deep copy a shared parameter is copied once, so what was tied stays tied."""
    weight = nn.Parameter(torch.rand(2))

    first, second = copy.deepcopy([weight, weight])

    assert first is second
    assert first is not weight


def test_a_deep_copy_looks_into_the_memo():
    """A deep copy notes itself in the memo under the parameter's ``id``, and obeys what stands there."""
    weight, memo = nn.Parameter(torch.rand(2)), {}

    twin = weight.__deepcopy__(memo)

    assert memo[id(weight)] is twin
    assert weight.__deepcopy__({id(weight): "noted"}) == "noted"


def test_a_deep_copy_keeps_a_subclass():
    """A deep copy of a subclass of :class:`~torch.nn.parameter.Parameter` is of that subclass."""

    class Scale(nn.Parameter):
        pass

    twin = copy.deepcopy(Scale(torch.tensor([1.5, 2.5]), False))

    assert (type(twin), twin.tolist(), twin.requires_grad) == (Scale, [1.5, 2.5], False)


@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_pickle_brings_back_a_parameter(requires_grad):
    """A pickled parameter comes back as a parameter, with its values and ``requires_grad``."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]), requires_grad)

    twin = pickle.loads(pickle.dumps(weight))

    assert (type(twin), twin.tolist(), twin.requires_grad) == (nn.Parameter, [1.5, 2.5], requires_grad)


@pytest.mark.observed
@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_pickle_keeps_attributes(requires_grad):
    """A pickled parameter keeps the attributes set on it, which a deep copy drops."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]), requires_grad)
    weight.note = "weight decay off"

    twin = pickle.loads(pickle.dumps(weight))

    assert (type(twin), twin.note, twin.tolist()) == (nn.Parameter, "weight decay off", [1.5, 2.5])
    assert twin.requires_grad is requires_grad


@pytest.mark.observed
@pytest.mark.parametrize("note", [None, "weight decay off"], ids=["bare", "with attribute"])
def test_a_pickle_drops_hooks(note):
    """A pickled parameter comes back without its hooks."""
    seen = []
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))
    weight.register_hook(lambda grad: seen.append("hook"))
    if note is not None:
        weight.note = note

    twin = pickle.loads(pickle.dumps(weight))
    (twin * 3).sum().backward()

    assert (seen, len(twin._backward_hooks)) == ([], 0)
    assert twin.grad.tolist() == [3.0, 3.0]


def test_a_saved_parameter_is_loaded_as_one(tmp_path):
    """A parameter saved with :func:`torch.save` is loaded as a parameter."""
    torch.save(nn.Parameter(torch.tensor([1.5, 2.5]), requires_grad=False), tmp_path / "weight.pt")

    twin = torch.load(tmp_path / "weight.pt", weights_only=True)

    assert (type(twin), twin.tolist(), twin.requires_grad) == (nn.Parameter, [1.5, 2.5], False)
