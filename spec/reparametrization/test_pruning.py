"""Pruning a parameter.

Pruning multiplies a parameter by a mask of zeros and ones. The parameter is kept unpruned under another name,
and a hook computes the pruned tensor before each call.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune


@pytest.mark.parametrize("amount", [2, 1 / 3], ids=["number", "share"])
def test_the_smallest_entries_become_zero(amount):
    """``prune.l1_unstructured`` zeroes the entries with the smallest absolute value.

    After :func:`~torch.nn.utils.prune.l1_unstructured` the tensor keeps its shape and its memory: pruning
    makes nothing smaller or faster by itself.
    """
    layer = nn.Linear(3, 2)
    layer.weight = nn.Parameter(torch.tensor([[1.0, -6.0, 3.0], [-2.0, 5.0, -4.0]]))

    assert prune.l1_unstructured(layer, "weight", amount) is layer
    assert layer.weight.tolist() == [[0.0, -6.0, 3.0], [0.0, 5.0, -4.0]]


@pytest.mark.parametrize(
    "how",
    [
        lambda layer: prune.identity(layer, "weight"),
        lambda layer: prune.random_unstructured(layer, name="weight", amount=1),
        lambda layer: prune.l1_unstructured(layer, name="weight", amount=1),
        lambda layer: prune.random_structured(layer, name="weight", amount=1, dim=1),
        lambda layer: prune.ln_structured(layer, name="weight", amount=1, n=2, dim=1),
        lambda layer: prune.custom_from_mask(layer, "weight", torch.tensor([[0, 1, 1]])),
    ],
    ids=["identity", "random entries", "least entries", "random channels", "least channels", "mask"],
)
def test_the_parameter_and_a_mask_are_kept(how):
    """``torch.nn.utils.prune`` renames a pruned ``weight`` to ``weight_orig`` and adds ``weight_mask``.

    The mask is a buffer, and ``weight`` a plain tensor, their product. The parameter is the same object, so
    that an optimizer goes on.
    """
    layer = nn.Linear(3, 1)
    layer.weight = nn.Parameter(torch.tensor([[1.0, -6.0, 3.0]]))
    weight = layer.weight

    how(layer)

    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"]
    assert [name for name, _ in layer.named_buffers()] == ["weight_mask"]
    assert layer.weight_orig is weight
    assert weight.tolist() == [[1.0, -6.0, 3.0]]
    assert type(layer.weight) is torch.Tensor
    assert torch.equal(layer.weight, weight * layer.weight_mask)


@pytest.mark.parametrize(("training", "times"), [(True, 1), (False, 1), (True, 2)])
def test_the_pruned_tensor_is_computed_before_each_call(training, times):
    """A pruned ``weight`` is recomputed as ``weight_orig * weight_mask`` at each call of the module.

    Until then it is out of date: after a step of the optimizer, call the module before the weight is read.
    """
    layer = nn.Linear(3, 1).train(training)
    layer.weight = nn.Parameter(torch.tensor([[1.0, -6.0, 3.0]]))
    for _ in range(times):
        prune.custom_from_mask(layer, "weight", torch.tensor([[0, 1, 1]]))

    for before, value in (([[0.0, -6.0, 3.0]], 7.0), ([[0.0, 7.0, 7.0]], 5.0)):
        with torch.no_grad():
            layer.weight_orig.fill_(value)
        assert layer.weight.tolist() == before

        with torch.set_grad_enabled(training):
            layer(torch.rand(3))
        assert layer.weight.tolist() == [[0.0, value, value]]


def test_pruned_entries_get_no_gradient():
    """Pruned entries of ``weight_orig`` get a gradient of zero; the other entries get their gradient.

    An optimizer with weight decay or momentum may move them still; the mask hides it.
    """
    layer = nn.Linear(3, 1)
    layer.weight = nn.Parameter(torch.tensor([[1.0, -6.0, 3.0]]))
    prune.l1_unstructured(layer, "weight", 1)

    layer(torch.tensor([10.0, 20.0, 30.0])).backward()

    assert layer.weight_orig.grad.tolist() == [[0.0, 20.0, 30.0]]


@pytest.mark.parametrize(
    ("amount", "pruned"),
    [(0, 0), (0.0, 0), (1, 1), (0.15, 2), (0.25, 2), (0.35, 4), (5, 5), (1.0, 10)],
)
def test_a_fraction_is_rounded(amount, pruned):
    """A float ``amount`` of ``prune.l1_unstructured`` is a fraction, rounded; an int is a number of entries.

    So 1 is one entry, and 1.0 is all. A half is rounded to even.
    """
    layer = prune.l1_unstructured(nn.Linear(10, 1), "weight", amount)

    assert (layer.weight_mask == 0).sum() == pruned


@pytest.mark.parametrize("amount", [2, 0.5])
def test_entries_at_random(amount):
    """:func:`prune.random_unstructured <torch.nn.utils.prune.random_unstructured>` zeroes the given
    ``amount`` of entries at random.
    """
    masks = set()
    for _ in range(40):
        layer = nn.Linear(2, 2)
        assert prune.random_unstructured(layer, "weight", amount) is layer
        masks.add(tuple(layer.weight_mask.flatten().tolist()))

    assert {sum(mask) for mask in masks} == {2.0}
    assert len(masks) == 6


@pytest.mark.parametrize(("n", "least"), [(1, 0), (2, 1), ("fro", 1), (float("inf"), 2), (-float("inf"), 3)])
def test_channels_of_least_norm(n, least):
    """:func:`prune.ln_structured <torch.nn.utils.prune.ln_structured>` zeroes the channels with the smallest
    norm.
    """
    rows = [[4.5, 0.3, 0.3], [3.2, -2.0, 0.5], [2.4, 2.4, -2.4], [9.0, 0.1, 9.0]]
    layer = nn.Linear(3, 4)
    layer.weight = nn.Parameter(torch.tensor(rows))

    assert prune.ln_structured(layer, "weight", 1, n, 0) is layer
    assert layer.weight_mask.tolist() == [[float(row != least)] * 3 for row in range(4)]


@pytest.mark.parametrize(("n", "left"), [("fro", [0.0, 4.0, 4.0]), ("nuc", [4.0, 0.0, 4.0])])
def test_channels_of_least_matrix_norm(n, left):
    """``prune.ln_structured`` with ``n="fro"`` or ``n="nuc"`` uses the matrix norm if a channel is a
    matrix.
    """
    layer = nn.Conv1d(3, 2, 2)
    channels = torch.tensor([[[3.0, 0.0], [0.0, 3.0]], [[5.0, 0.0], [0.0, 0.0]], [[9.0, 9.0], [9.0, 9.0]]])
    layer.weight = nn.Parameter(channels.movedim(0, 1))

    prune.ln_structured(layer, "weight", amount=1, n=n, dim=1)

    assert layer.weight_mask.sum(dim=(0, 2)).tolist() == left


@pytest.mark.parametrize(
    ("dim", "left"), [(0, [[0, 0], [1, 1]]), (-2, [[0, 0], [1, 1]]), (1, [[1, 0]] * 2), (-1, [[1, 0]] * 2)]
)
def test_dim_says_what_channels_are(dim, left):
    """``dim`` of ``prune.ln_structured`` is the channel dimension, counted from the end if negative."""
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[2.0, 1.0], [4.0, 3.0]]))

    prune.ln_structured(layer, "weight", amount=0.5, n=2, dim=dim)

    assert layer.weight_mask.tolist() == left


@pytest.mark.parametrize("dim", [0, 1, -2])
def test_channels_at_random(dim):
    """:func:`prune.random_structured <torch.nn.utils.prune.random_structured>` zeroes the given ``amount`` of
    channels at random.
    """
    left = set()
    for _ in range(40):
        layer = nn.Linear(4, 4)
        assert prune.random_structured(layer, "weight", 3, dim) is layer
        rows = layer.weight_mask.movedim(dim, 0)
        assert sorted(rows.tolist()) == [[0.0] * 4] * 3 + [[1.0] * 4]
        left.add(int(rows[:, 0].argmax()))

    assert left == {0, 1, 2, 3}


@pytest.mark.parametrize("amount", [0, 0.1])
def test_no_channel_at_all(amount):
    """``prune.random_structured`` and ``ln_structured`` leave a mask of ones if ``amount`` rounds to 0."""
    layer = prune.random_structured(nn.Linear(3, 2), "weight", amount, dim=1)
    other = prune.ln_structured(nn.Linear(3, 2), "weight", amount, n=2, dim=1)

    assert layer.weight_mask.tolist() == [[1.0] * 3] * 2
    assert other.weight_mask.tolist() == [[1.0] * 3] * 2


def test_every_channel():
    """``prune.random_structured`` and ``ln_structured`` can prune all channels."""
    for amount in (1.0, 3):
        layer = prune.ln_structured(nn.Linear(3, 2), "weight", amount, n=2, dim=1)
        other = prune.random_structured(nn.Linear(3, 2), "weight", amount, dim=1)
        assert layer.weight_mask.tolist() == other.weight_mask.tolist() == [[0.0] * 3] * 2


def test_a_mask_may_be_given():
    """:func:`prune.custom_from_mask <torch.nn.utils.prune.custom_from_mask>` accepts a bool mask and stores
    ``weight_mask`` in the weight's dtype.
    """
    layer = nn.Linear(3, 1)
    layer.weight = nn.Parameter(torch.tensor([[1.0, -6.0, 3.0]], dtype=torch.float64))

    assert prune.custom_from_mask(layer, "weight", torch.tensor([[True, False, True]])) is layer
    assert layer.weight.tolist() == [[1.0, 0.0, 3.0]]
    assert layer.weight_mask.dtype is torch.float64


def test_nothing_is_pruned_by_identity():
    """:func:`prune.identity <torch.nn.utils.prune.identity>` prunes nothing, but adds the ``_orig`` and
    ``_mask`` tensors and the pruning hook.

    A state dict of a pruned module loads into one that went through it.
    """
    layer, pruned = nn.Linear(3, 2), prune.l1_unstructured(nn.Linear(3, 2), "bias", 1)

    nn.init.zeros_(layer.bias)
    assert prune.identity(layer, "bias") is layer
    assert list(layer.state_dict()) == ["weight", "bias_orig", "bias_mask"]
    assert layer.bias_mask.tolist() == [1.0, 1.0]
    assert len(layer._forward_pre_hooks) == 1
    layer.load_state_dict(pruned.state_dict())
    assert torch.equal(layer.bias_mask, pruned.bias_mask)


def test_importance_is_told_by_scores():
    """``prune.l1_unstructured`` ranks entries by ``importance_scores``, if passed, instead of by the
    weight.
    """
    layer = nn.Linear(3, 1)
    layer.weight = nn.Parameter(torch.tensor([[1.0, -6.0, 3.0]]))

    for left in ([[1.0, -6.0, 0.0]], [[1.0, 0.0, 0.0]]):
        prune.l1_unstructured(layer, "weight", 1, torch.tensor([[9.0, 7.0, -3.0]]))
        assert layer.weight.tolist() == left


def test_importance_of_channels_is_told_by_scores():
    """``prune.ln_structured`` ranks channels by the norm of ``importance_scores``, if passed, not of the
    weight.
    """
    layer, scores = nn.Linear(1, 3), torch.tensor([[-9.0], [1.0], [5.0]])
    layer.weight = nn.Parameter(torch.tensor([[2.0], [4.0], [6.0]]))

    for mask in ([[1.0], [0.0], [1.0]], [[1.0], [0.0], [0.0]]):
        prune.ln_structured(layer, "weight", 1, 2, 0, scores)
        assert layer.weight_mask.tolist() == mask


def test_pruning_again_acts_on_what_is_left():
    """A second ``prune.l1_unstructured`` prunes its fraction of the entries that are not yet pruned.

    Twice a half leaves a quarter.
    """
    layer = nn.Linear(8, 1)
    layer.weight = nn.Parameter(torch.arange(1.0, 9.0).unsqueeze(0))

    prune.l1_unstructured(layer, "weight", 0.5)
    prune.l1_unstructured(layer, "weight", 0.5)

    assert layer.weight_mask.tolist() == [[0.0] * 6 + [1.0] * 2]
    assert layer.weight_orig.tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]]
    assert len(layer._forward_pre_hooks) == 1


def test_pruning_channels_again_takes_other_channels():
    """A second ``prune.ln_structured`` skips channels that are already pruned."""
    rows, columns = nn.Linear(2, 3), nn.Linear(3, 2)
    rows.weight = nn.Parameter(torch.tensor([[1.0, 1.0], [5.0, 5.0], [3.0, 3.0]]))
    columns.weight = nn.Parameter(rows.weight.detach().T)
    for layer, dim in [(rows, 0), (rows, -2), (columns, 1), (columns, -1)]:
        prune.ln_structured(layer, "weight", amount=1, n=2, dim=dim)
    assert rows.weight_mask.T.tolist() == columns.weight_mask.tolist() == [[0.0, 1.0, 0.0]] * 2


def test_two_parameters_of_a_module():
    """``torch.nn.utils.prune`` can prune two parameters of one module, each with its own hook."""
    layer = prune.identity(prune.l1_unstructured(nn.Linear(3, 2), "weight", 2), "bias")

    hooks = list(layer._forward_pre_hooks.values())
    assert [hook._tensor_name for hook in hooks] == ["weight", "bias"]
    assert [type(hook) for hook in hooks] == [prune.L1Unstructured, prune.Identity]
    assert layer.weight_mask.sum() == 4.0
    assert layer.bias_mask.tolist() == [1.0, 1.0]
    assert list(prune.remove(layer, "bias")._forward_pre_hooks.values()) == hooks[:1]


def test_removing_makes_it_permanent():
    """``prune.remove`` makes pruning permanent: it keeps the zeros and removes the mask and the hook.

    :func:`prune.remove <torch.nn.utils.prune.remove>` does not undo the pruning: the values are lost.
    Training goes on with entries that may move away from zero.

    See also :ref:`reparametrization.pruning.removed_pruning_does_not_hold_in_training`
    """
    layer = nn.Linear(3, 1)
    layer.weight = nn.Parameter(torch.tensor([[1.0, -6.0, 3.0]]))
    weight = layer.weight
    prune.l1_unstructured(layer, "weight", 1)
    prune.l1_unstructured(layer, "weight", 1)

    assert prune.remove(layer, "weight") is layer
    assert layer.weight is weight
    assert weight.requires_grad is True
    assert weight.tolist() == [[0.0, -6.0, 0.0]]
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert dict(layer._forward_pre_hooks) == {}


def test_removed_pruning_does_not_hold_in_training():
    """After ``prune.remove``, ``optimizer.step()`` can move the pruned entries away from zero.

    Remove when training is over, or multiply by a mask that was kept.
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    prune.custom_from_mask(layer, "weight", torch.tensor([[0, 1]]))
    prune.remove(layer, "weight")
    assert layer.weight.tolist() == [[0.0, 3.0]]

    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.5).step()

    assert layer.weight.tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("training", [True, False])
def test_removing_takes_the_latest_values(training):
    """``prune.remove`` applies the mask to the current values of ``weight_orig``."""
    layer = nn.Linear(3, 1).train(training)
    layer.weight = nn.Parameter(torch.tensor([[1.0, -6.0, 3.0]]))
    prune.l1_unstructured(layer, "weight", 1)
    with torch.no_grad():
        layer.weight_orig.fill_(7.0)

    prune.remove(layer, "weight")
    assert layer.weight.tolist() == [[0.0, 7.0, 7.0]]


def test_nothing_to_remove_is_an_error():
    """``prune.remove`` raises ``ValueError`` for a parameter that is not pruned."""
    layer = prune.identity(nn.Linear(3, 1), "weight")
    layer.register_forward_pre_hook(lambda *_: None)

    with pytest.raises(ValueError, match=r"Parameter 'bias' of module Linear\(.*\) has to be pruned before"):
        prune.remove(layer, "bias")
    prune.remove(layer, "weight")
    with pytest.raises(ValueError, match="Parameter 'weight'"):
        prune.remove(layer, "weight")


def test_is_pruned_looks_at_all_submodules():
    """:func:`prune.is_pruned(module) <torch.nn.utils.prune.is_pruned>` is true if the module or any submodule
    has a pruned parameter.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    net.apply(lambda module: module.register_forward_pre_hook(lambda *_: None))

    assert prune.is_pruned(net) is False
    prune.identity(net[1][0], "bias")
    assert [prune.is_pruned(module) for module in (net, net[0], net[1][0])] == [True, False, True]
    prune.remove(net[1][0], "bias")
    assert prune.is_pruned(net) is False


def test_a_pruned_module_cannot_be_deep_copied():
    """``copy.deepcopy`` of a pruned module raises ``RuntimeError``, because ``weight`` is a non-leaf tensor.

    Copy before pruning, or after :func:`prune.remove <torch.nn.utils.prune.remove>`.

    See also :ref:`reparametrization.pruning.removing_makes_it_permanent`
    """
    layer = prune.identity(nn.Linear(3, 1), "weight")

    for model in (layer, nn.Sequential(layer)):
        with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
            copy.deepcopy(model)
        model(torch.rand(3))
    assert type(copy.deepcopy(prune.remove(layer, "weight"))) is nn.Linear


def test_a_state_dict_goes_into_a_module_pruned_alike():
    """The ``state_dict()`` of a pruned module loads into another pruned module, not into an unpruned one.

    A module that is not pruned misses ``weight`` and does not know ``weight_orig`` and ``weight_mask``:
    prune it by :func:`~torch.nn.utils.prune.identity` first.
    """
    layer, x = prune.l1_unstructured(nn.Linear(3, 1), "weight", 2), torch.rand(3)
    other = prune.identity(nn.Linear(3, 1), "weight")

    other.load_state_dict(layer.state_dict())
    assert not torch.equal(other.weight, layer.weight)

    assert torch.equal(other(x), layer(x))
    assert torch.equal(other.weight, layer.weight)
    told = r'(?s)Missing key.*"weight".*Unexpected key.*"weight_orig", "weight_mask"'
    with pytest.raises(RuntimeError, match=told):
        nn.Linear(3, 1).load_state_dict(layer.state_dict())
