"""Buffers in the state dict: which are saved and which are not.

A buffer is saved unless it was registered with ``persistent=False``.
"""

import copy

import pytest
import torch
from torch import nn


def test_buffers_are_saved_and_loaded():
    """``state_dict()`` saves buffers and ``load_state_dict`` loads them, except those with
    ``persistent=False``.

    Statistics of BatchNorm, for instance, come back with a checkpoint though no optimizer knows of them.
    """
    net = nn.Sequential(nn.BatchNorm1d(2, affine=False))
    net[0].register_buffer("cache", torch.tensor([5.0, 6.0]), persistent=False)
    saved = copy.deepcopy(net.state_dict())

    values = {"0.running_mean": torch.tensor([3.0, 4.0]), "0.running_var": torch.tensor([0.5, 0.75])}
    values.update({"0.num_batches_tracked": torch.tensor(9), "0.cache": torch.tensor([7.0, 8.0])})
    net.load_state_dict(values, strict=False)

    assert list(saved) == ["0.running_mean", "0.running_var", "0.num_batches_tracked"]
    assert [value.tolist() for value in saved.values()] == [[0.0, 0.0], [1.0, 1.0], 0]
    assert [buffer.tolist() for buffer in net.buffers()] == [[3.0, 4.0], [0.5, 0.75], 9, [5.0, 6.0]]


def test_a_buffer_is_filled_with_the_tensor_it_was_made_of():
    """``load_state_dict`` also changes the tensor that was given to ``register_buffer``: it is the buffer.

    A default kept beside the buffer is lost so. Register a ``clone()``, or load with ``assign=True``
    (:issue:`112020`). See :meth:`~torch.nn.Module.register_buffer`.
    """
    net, default = nn.Module(), torch.tensor([0.5, 0.75])
    net.register_buffer("radius", default)
    net.register_buffer("copied", default.clone())

    values = {"radius": torch.tensor([2.0, 3.0]), "copied": torch.tensor([4.0, 5.0])}
    net.load_state_dict({name: value.double() for name, value in values.items()})

    assert net.radius is default
    assert default.tolist() == [2.0, 3.0]
    assert net.copied.tolist() == [4.0, 5.0]


def test_a_buffer_registered_later_is_the_objects_own():
    """``load_state_dict`` raises ``RuntimeError`` for a buffer that was registered on the saved object only.

    Statistics attached to a finished network are such buffers. Register them in ``__init__``, or on the new
    object before loading; with ``persistent=False`` they are not saved. See
    :meth:`~torch.nn.Module.register_buffer`.
    """
    layer, new = nn.Linear(2, 1), nn.Linear(2, 1)
    layer.register_buffer("scale", torch.tensor([2.0, 3.0]))
    saved = layer.state_dict()
    assert list(saved) == ["weight", "bias", "scale"]

    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "scale"'):
        new.load_state_dict(saved)
    new.register_buffer("scale", torch.zeros(2))
    new.load_state_dict(saved)

    assert new.scale.tolist() == [2.0, 3.0]


@pytest.mark.parametrize("keep_vars", [False, True])
def test_a_non_persistent_buffer_is_not_saved(keep_vars):
    """``state_dict()`` leaves out buffers registered with ``persistent=False``, even with ``keep_vars=True``.

    Use it for what can be computed again, such as a mask. See :meth:`~torch.nn.Module.register_buffer`.
    """
    net = nn.Sequential(nn.Module())
    net[0].register_buffer("cache", torch.rand(2), persistent=False)
    net[0].register_buffer("mean", torch.rand(2))

    assert [name for name, _ in net.named_buffers()] == ["0.cache", "0.mean"]
    assert list(net.state_dict(keep_vars=keep_vars)) == ["0.mean"]
    assert list(net[0].state_dict(keep_vars=keep_vars)) == ["mean"]


def test_a_non_persistent_buffer_is_not_missing():
    """``load_state_dict`` does not count a ``persistent=False`` buffer as missing, and does not change it."""
    net = nn.Sequential(nn.Module())
    net[0].register_buffer("cache", torch.tensor([1.0, 2.0]), persistent=False)

    assert net.load_state_dict({}) == ([], [])
    assert net[0].cache.tolist() == [1.0, 2.0]


def test_a_non_persistent_buffer_is_unexpected():
    """``load_state_dict`` reports the key of a ``persistent=False`` buffer as unexpected and does not load
    it.

    Making a buffer non-persistent in a later version of a class breaks its older checkpoints so: delete the
    key before loading, or load with ``strict=False``.
    """
    net = nn.Module()
    net.register_buffer("cache", torch.tensor([1.0, 2.0]), persistent=False)

    result = net.load_state_dict({"cache": torch.tensor([3.0, 4.0])}, strict=False)
    nested = nn.Sequential(net).load_state_dict({"0.cache": torch.tensor([3.0, 4.0])}, strict=False)

    assert (result, nested) == (([], ["cache"]), ([], ["0.cache"]))
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "cache"'):
        net.load_state_dict({"cache": torch.tensor([3.0, 4.0])})
    assert net.cache.tolist() == [1.0, 2.0]


def test_persistence_is_each_modules_own():
    """``register_buffer(name, persistent=False)`` does not affect buffers of the same name in other
    modules.
    """
    net = nn.Sequential(nn.Sequential(nn.Module()))
    net[0].register_buffer("cache", torch.rand(2), persistent=False)
    net.register_buffer("cache", torch.tensor([3.0, 4.0]))
    net[0][0].register_buffer("cache", torch.tensor([5.0, 6.0]))

    assert list(net.state_dict()) == ["cache", "0.0.cache"]

    net.load_state_dict({"cache": torch.tensor([1.0, 2.0]), "0.0.cache": torch.tensor([7.0, 8.0])})

    assert net.cache.tolist() == [1.0, 2.0]
    assert net[0][0].cache.tolist() == [7.0, 8.0]


@pytest.mark.question("Q07")
def test_a_buffer_of_none_is_neither_saved_nor_loaded():
    """A buffer that is ``None`` is not in ``state_dict()``; for ``load_state_dict``, its key is unexpected.

    Without the key it is not missing. Give the buffer a tensor of the right shape before loading.
    """
    net = nn.Module()
    net.register_buffer("mask", None)

    assert list(net.state_dict()) == list(nn.Sequential(net).state_dict()) == []
    assert net.load_state_dict({}) == ([], [])
    assert net.load_state_dict({"mask": torch.rand(2)}, strict=False) == ([], ["mask"])
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "mask"'):
        net.load_state_dict({"mask": torch.rand(2)})
    assert nn.Sequential(net).load_state_dict({"0.mask": torch.rand(2)}, strict=False) == ([], ["0.mask"])
    assert net.mask is None


def test_a_dtype_of_a_buffer_is_kept():
    """:meth:`~torch.nn.Module.load_state_dict` truncates floating point values that it loads into an
    integer buffer.
    """
    net = nn.Module()
    net.register_buffer("steps", torch.tensor([1, 2]))
    net.register_buffer("epoch", torch.tensor(1, dtype=torch.int8))

    net.load_state_dict({"steps": torch.tensor([3.7, -4.7]), "epoch": torch.tensor(6.7, dtype=torch.float64)})

    assert [net.steps.dtype, net.epoch.dtype] == [torch.int64, torch.int8]
    assert [net.steps.tolist(), net.epoch.item()] == [[3, -4], 6]
