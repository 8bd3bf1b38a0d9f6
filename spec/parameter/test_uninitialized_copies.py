"""Copies of uninitialized tensors: deep copies, pickles and saved files.

There are no values to copy. What a copy keeps is little, and differs from one way of copying to the next.
"""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter


@pytest.mark.question("Q99")
def test_a_deep_copy_of_an_uninitialized_parameter():
    """A deep copy of an ``UninitializedParameter`` is another, with device, dtype and ``requires_grad``.

    The two get their shapes apart: a lazy network and its copy may see inputs of different sizes.
    """
    weight = UninitializedParameter(False, "meta", torch.float16)

    twin = copy.deepcopy(weight)

    assert twin is not weight
    assert type(twin) is UninitializedParameter
    assert (twin.requires_grad, twin.device.type, twin.dtype) == (False, "meta", torch.float16)


def test_an_uninitialized_parameter_is_deep_copied_once():
    """Within one deep copy an ``UninitializedParameter`` in two places is copied once; the memo decides."""
    weight, memo = UninitializedParameter(), {}

    first, second = copy.deepcopy([weight, weight])
    twin = weight.__deepcopy__(memo)

    assert first is second
    assert first is not weight
    assert memo[id(weight)] is twin
    assert weight.__deepcopy__({id(weight): "noted"}) == "noted"


@pytest.mark.question("Q99")
@pytest.mark.observed
def test_an_uninitialized_buffer_is_not_deep_copied():
    """A deep copy of an :class:`~torch.nn.UninitializedBuffer` raises ``ValueError``, on every release.

    It has no ``__deepcopy__`` of its own, and that of a tensor is refused.
    """
    with pytest.raises(ValueError, match=r"Tensor.__deepcopy__.*torch.nn.parameter.UninitializedBuffer"):
        copy.deepcopy(UninitializedBuffer())


@pytest.mark.parametrize("kind", [UninitializedParameter, UninitializedBuffer], ids=["parameter", "buffer"])
@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_pickle_brings_back_an_uninitialized_tensor(kind, requires_grad):
    """A pickled uninitialized parameter or buffer comes back as one, with its ``requires_grad``."""
    twin = pickle.loads(pickle.dumps(kind(requires_grad)))

    assert type(twin) is kind
    assert twin.requires_grad is requires_grad


@pytest.mark.observed
def test_a_pickle_forgets_device_and_dtype():
    """A pickled ``UninitializedParameter`` forgets its device and dtype, which a deep copy keeps."""
    weight = UninitializedParameter(device="meta", dtype=torch.float64)

    twin, copied = pickle.loads(pickle.dumps(weight)), copy.deepcopy(weight)

    assert (twin.device.type, twin.dtype) == ("cpu", torch.float32)
    assert (copied.device.type, copied.dtype) == ("meta", torch.float64)


@pytest.mark.since("2.5")
@pytest.mark.observed
def test_a_pickle_forgets_persistence():
    """A pickled ``UninitializedBuffer`` forgets that it was not persistent."""
    cache = UninitializedBuffer(persistent=False)

    twin = pickle.loads(pickle.dumps(cache))

    assert cache.persistent is False
    assert twin.persistent is True


@pytest.mark.observed
def test_a_saved_one_is_no_weights_only_file(tmp_path):
    """``torch.load(..., weights_only=True)`` refuses a file with an uninitialized parameter.

    So the state of a lazy model that was never called is not loaded with the defaults. Save it after its
    first call.
    """
    torch.save({"weight": UninitializedParameter()}, tmp_path / "state.pt")

    with pytest.raises(pickle.UnpicklingError, match="UninitializedParameter"):
        torch.load(tmp_path / "state.pt", weights_only=True)

    state = torch.load(tmp_path / "state.pt", weights_only=False)
    assert type(state["weight"]) is UninitializedParameter


@pytest.mark.question("Q99")
@pytest.mark.parametrize(
    ("lazy", "arguments", "sizes"),
    [
        (nn.LazyLinear, {"out_features": 3}, (2, 5)),
        (nn.LazyConv2d, {"out_channels": 3, "kernel_size": 2}, (2, 4, 5, 6)),
        (nn.LazyBatchNorm1d, {"track_running_stats": False}, (2, 5)),
    ],
    ids=["linear", "convolution", "normalization without statistics"],
)
def test_a_lazy_layer_is_deep_copied(lazy, arguments, sizes):
    """A deep copy of a lazy layer without uninitialized buffers, such as ``nn.LazyLinear``, lives on
    apart.

    It failed before :pull:`83809` (:issue:`65051`).
    """
    layer = lazy(**arguments)

    twin = copy.deepcopy(layer)
    twin(torch.rand(sizes))

    assert layer.has_uninitialized_params() is True
    assert type(layer) is lazy
    assert type(twin) is lazy.cls_to_become
    assert [len(layer._forward_pre_hooks), len(twin._forward_pre_hooks)] == [1, 0]


@pytest.mark.question("Q99")
@pytest.mark.observed
@pytest.mark.parametrize("make", [nn.LazyBatchNorm1d, nn.LazyInstanceNorm2d], ids=["batch", "instance"])
def test_a_lazy_normalisation_is_not_deep_copied(make):
    """A deep copy of a lazy BatchNorm or InstanceNorm raises ``ValueError`` before its first call.

    Its running statistics are uninitialized buffers, which have no deep copy. Call it with a dummy batch
    first.
    """
    with pytest.raises(ValueError, match=r"Tensor.__deepcopy__.*UninitializedBuffer"):
        copy.deepcopy(make())


@pytest.mark.question("Q99")
def test_an_initialised_lazy_normalisation_is_deep_copied():
    """After its first call an ``nn.LazyBatchNorm1d`` is an ``nn.BatchNorm1d`` and is deep-copied like
    one.

    So run a lazy network on a dummy batch before it is copied.
    """
    layer = nn.LazyBatchNorm1d()
    layer(torch.rand(3, 4))

    twin = copy.deepcopy(layer)

    assert type(twin) is nn.BatchNorm1d
    assert twin.running_mean.tolist() == layer.running_mean.tolist()
    assert twin.running_mean is not layer.running_mean


def test_a_pickled_lazy_layer_is_lazy():
    """A pickled lazy layer, such as ``nn.LazyLinear``, comes back lazy and is initialized by its first
    call.
    """
    twin = pickle.loads(pickle.dumps(nn.LazyLinear(3)))

    assert type(twin) is nn.LazyLinear
    assert twin.has_uninitialized_params() is True

    output = twin(torch.rand(2, 5))

    assert output.shape == (2, 3)
    assert type(twin) is nn.Linear
