"""Copies of a parameter: deep and shallow copies, pickles and saved files.

What is copied are the values and ``requires_grad``; a shallow copy shares the values. What autograd has put
on the parameter, its gradient and its hooks, stays behind.
"""

import copy
import pickle

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_deep_copy_is_a_parameter_of_its_own(requires_grad):
    """``copy.deepcopy`` of an ``nn.Parameter`` copies the values into new memory and keeps ``requires_grad``.

    The gradient is not copied, as it does when a whole module is copied: see
    :ref:`copying.deepcopy.gradients_of_parameters_stay_behind`
    """
    weight = nn.Parameter(torch.tensor([1.5, 2.5]), requires_grad)
    weight.grad = torch.tensor([3.0, 5.0])

    twin = copy.deepcopy(weight)
    with torch.no_grad():
        weight[0] = 9.0

    assert type(twin) is nn.Parameter
    assert (twin.requires_grad, twin.is_leaf, twin.grad) == (requires_grad, True, None)
    assert twin.tolist() == [1.5, 2.5]


def test_a_deep_copy_keeps_the_memory_format():
    """``copy.deepcopy`` of an ``nn.Parameter`` keeps its memory format, such as ``channels_last``."""
    weight = nn.Parameter(torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last))

    twin = copy.deepcopy(weight)

    assert twin.stride() == (60, 1, 15, 3)
    assert copy.deepcopy(nn.Parameter(torch.rand(2, 3, 4, 5))).stride() == (60, 20, 5, 1)
    volume = torch.rand(2, 3, 2, 4, 5).contiguous(memory_format=torch.channels_last_3d)
    assert copy.deepcopy(nn.Parameter(volume, requires_grad=False)).stride() == volume.stride()
    assert copy.deepcopy(nn.Parameter(torch.rand(2, 3).t())).stride() == (1, 3)


@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_deep_copy_drops_attributes(requires_grad):
    """``copy.deepcopy`` of an ``nn.Parameter`` drops the attributes that were set on it.

    An optimizer that sorts parameters by such a mark sees none in the copy of a model. A pickle keeps
    them.
    """
    weight = nn.Parameter(torch.tensor([1.5, 2.5]), requires_grad)
    weight.note = "weight decay off"
    weight.momentum = torch.tensor([0.5, 0.25])
    net = nn.ParameterList([weight])

    for twin in (copy.deepcopy(weight), copy.deepcopy(net)[0]):
        assert twin.tolist() == [1.5, 2.5]
        assert vars(twin) == {}
    loaded = pickle.loads(pickle.dumps(weight))
    assert [loaded.note, loaded.momentum.tolist()] == ["weight decay off", [0.5, 0.25]]


@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_shallow_copy_shares_the_memory(requires_grad):
    """``copy.copy`` of an ``nn.Parameter`` is a new parameter on the same memory, without ``grad``.

    It keeps the attributes. Values are shared, gradients are not: it ties nothing.

    See also :ref:`gradients.sharing.assigning_data_shares_memory_only`
    """
    weight = nn.Parameter(torch.tensor([1.5, 2.5]), requires_grad)
    weight.note, weight.grad = "decay", torch.tensor([3.0, 5.0])

    twin = copy.copy(weight)
    with torch.no_grad():
        weight[0] = 9.0

    assert twin is not weight
    assert type(twin) is nn.Parameter
    assert (twin.requires_grad, twin.is_leaf, twin.grad, twin.note) == (requires_grad, True, None, "decay")
    assert twin.tolist() == [9.0, 2.5]


def test_a_shallow_copy_has_no_hooks():
    """``copy.copy`` of an ``nn.Parameter`` does not take over hooks of ``register_hook``."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))
    weight.register_hook(lambda grad: 10 * grad)

    twin = copy.copy(weight)
    ((weight + twin) * 3).sum().backward()

    assert weight.grad.tolist() == [30.0, 30.0]
    assert twin.grad.tolist() == [3.0, 3.0]


def test_a_deep_copy_looks_into_the_memo():
    """``Parameter.__deepcopy__(memo)`` stores the copy in ``memo``, or returns the one that is there
    already.
    """
    weight, memo = nn.Parameter(torch.rand(2)), {}

    twin = weight.__deepcopy__(memo)

    assert type(twin) is nn.Parameter
    assert memo[id(weight)] is twin
    assert weight.__deepcopy__({id(weight): "noted"}) == "noted"


def test_a_deep_copy_keeps_a_subclass():
    """A deep copy of an instance of a subclass of :class:`~torch.nn.parameter.Parameter` is of that
    subclass too.
    """

    class Scale(nn.Parameter):
        pass

    for requires_grad in (True, False):
        twin = copy.deepcopy(Scale(torch.tensor([1.5, 2.5]), requires_grad))

        assert type(twin) is Scale
        assert twin.tolist() == [1.5, 2.5]
        assert twin.requires_grad is requires_grad


@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_pickle_brings_back_a_parameter(requires_grad):
    """Unpickling an ``nn.Parameter`` gives an ``nn.Parameter`` with the same values and ``requires_grad``."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]), requires_grad)

    twin = pickle.loads(pickle.dumps(weight))

    assert type(twin) is nn.Parameter
    assert twin.tolist() == [1.5, 2.5]
    assert twin.requires_grad is requires_grad


@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_pickle_keeps_attributes(requires_grad):
    """Pickling an ``nn.Parameter`` keeps the attributes that were set on it."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]), requires_grad)
    weight.note = "weight decay off"

    twin = pickle.loads(pickle.dumps(weight))

    assert type(twin) is nn.Parameter
    assert twin.note == "weight decay off"
    assert twin.tolist() == [1.5, 2.5]
    assert twin.requires_grad is requires_grad


@pytest.mark.parametrize("attributes", [{}, {"note": "weight decay off"}], ids=["bare", "with attribute"])
def test_a_pickle_drops_hooks(attributes):
    """An unpickled ``nn.Parameter`` no longer has the hooks registered with ``register_hook``."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))
    weight.register_hook(lambda grad: 10 * grad)
    vars(weight).update(attributes)

    twin = pickle.loads(pickle.dumps(weight))
    (weight * 3).sum().backward()
    (twin * 3).sum().backward()

    assert weight.grad.tolist() == [30.0, 30.0]
    assert twin.grad.tolist() == [3.0, 3.0]
    assert len(twin._backward_hooks) == 0


def test_a_saved_parameter_is_loaded_as_one(tmp_path):
    """An ``nn.Parameter`` saved with :func:`torch.save` is loaded as an ``nn.Parameter`` with the same
    ``requires_grad``.
    """
    torch.save(nn.Parameter(torch.tensor([1.5, 2.5]), requires_grad=False), tmp_path / "frozen.pt")
    torch.save(nn.Parameter(torch.tensor([3.5, 4.5])), tmp_path / "weight.pt")

    for weights_only in (True, False):
        frozen = torch.load(tmp_path / "frozen.pt", weights_only=weights_only)
        weight = torch.load(tmp_path / "weight.pt", weights_only=weights_only)

        assert [type(frozen), type(weight)] == [nn.Parameter, nn.Parameter]
        assert [frozen.requires_grad, weight.requires_grad] == [False, True]
        assert [frozen.tolist(), weight.tolist()] == [[1.5, 2.5], [3.5, 4.5]]
