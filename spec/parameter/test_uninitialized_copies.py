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
@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_deep_copy_of_an_uninitialized_parameter(requires_grad):
    """``copy.deepcopy`` of an ``UninitializedParameter`` keeps the device, dtype and ``requires_grad``.

    The two get their shapes independently: a lazy network and its copy may see inputs of different sizes.
    """
    weight = UninitializedParameter(requires_grad, "meta", torch.float16)

    twin = copy.deepcopy(weight)

    assert twin is not weight
    assert type(twin) is UninitializedParameter
    assert (twin.requires_grad, twin.device.type, twin.dtype) == (requires_grad, "meta", torch.float16)

    weight.materialize((2, 3))
    twin.materialize((5,))

    assert (weight.shape, twin.shape) == ((2, 3), (5,))


def test_an_uninitialized_parameter_is_deep_copied_once():
    """``copy.deepcopy`` copies an ``UninitializedParameter`` found in two places once, through the memo."""
    weight, memo = UninitializedParameter(), {}

    first, second = copy.deepcopy([weight, weight])
    twin = weight.__deepcopy__(memo)

    assert first is second
    assert first is not weight
    assert memo[id(weight)] is twin
    assert weight.__deepcopy__({id(weight): "noted"}) == "noted"


@pytest.mark.question("Q99")
def test_an_uninitialized_buffer_is_not_deep_copied():
    """``copy.deepcopy`` of an :class:`~torch.nn.UninitializedBuffer` raises ``ValueError``.

    The class does not define ``__deepcopy__``, and ``torch.Tensor.__deepcopy__`` raises for it.
    """
    with pytest.raises(ValueError, match=r"Tensor.__deepcopy__.*torch.nn.parameter.UninitializedBuffer"):
        copy.deepcopy(UninitializedBuffer())


@pytest.mark.parametrize("kind", [UninitializedParameter, UninitializedBuffer], ids=["parameter", "buffer"])
@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_pickle_brings_back_an_uninitialized_tensor(kind, requires_grad):
    """Unpickling an ``UninitializedParameter`` or ``UninitializedBuffer`` keeps its class and
    ``requires_grad``.
    """
    twin = pickle.loads(pickle.dumps(kind(requires_grad)))

    assert type(twin) is kind
    assert twin.requires_grad is requires_grad


def test_a_pickle_forgets_device_and_dtype():
    """Pickling an ``UninitializedParameter`` loses its device and dtype, which ``copy.deepcopy`` keeps."""
    for requires_grad in (True, False):
        weight = UninitializedParameter(requires_grad, "meta", torch.float64)

        twin, copied = pickle.loads(pickle.dumps(weight)), copy.deepcopy(weight)

        assert (twin.device.type, twin.dtype) == ("cpu", torch.float32)
        assert (copied.device.type, copied.dtype) == ("meta", torch.float64)


@pytest.mark.since("2.5")
def test_a_pickle_forgets_persistence():
    """Pickling an ``UninitializedBuffer`` loses ``persistent=False``: the unpickled buffer is persistent."""
    cache = UninitializedBuffer(persistent=False)

    twin = pickle.loads(pickle.dumps(cache))

    assert cache.persistent is False
    assert twin.persistent is True


def test_a_saved_one_is_no_weights_only_file(tmp_path):
    """``torch.load(weights_only=True)`` of an ``UninitializedParameter`` raises ``pickle.UnpicklingError``.

    So the state of a lazy model that was never called cannot be loaded like that. Save it after its first
    call.
    """
    torch.save(nn.LazyLinear(3).state_dict(), tmp_path / "state.pt")

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
    """A deep copy of an uncalled ``nn.LazyLinear`` or ``nn.LazyConv2d`` is independent of the original.

    So is one of any lazy layer without uninitialized buffers. It failed before :pull:`83809`
    (:issue:`65051`).
    """
    layer = lazy(**arguments)

    twin, other = copy.deepcopy(layer), copy.deepcopy(layer)
    twin(torch.rand(sizes))

    assert layer.has_uninitialized_params() is True
    assert type(layer) is lazy
    assert type(twin) is lazy.cls_to_become
    assert [len(layer._forward_pre_hooks), len(twin._forward_pre_hooks)] == [1, 0]

    layer(torch.rand(sizes))

    assert (type(other), other.has_uninitialized_params()) == (lazy, True)


@pytest.mark.question("Q99")
@pytest.mark.parametrize("make", [nn.LazyBatchNorm1d, nn.LazyInstanceNorm2d], ids=["batch", "instance"])
def test_a_lazy_normalisation_is_not_deep_copied(make):
    """``copy.deepcopy`` of an uncalled ``nn.LazyBatchNorm1d`` or ``nn.LazyInstanceNorm2d`` raises
    ``ValueError``.

    Its running statistics are uninitialized buffers, which have no deep copy. Call it with a dummy batch
    first.
    """
    with pytest.raises(ValueError, match=r"Tensor.__deepcopy__.*UninitializedBuffer"):
        copy.deepcopy(make())


@pytest.mark.question("Q99")
@pytest.mark.parametrize("training", [True, False])
def test_an_initialised_lazy_normalisation_is_deep_copied(training):
    """After its first call an ``nn.LazyBatchNorm1d`` can be deep-copied: it is an ``nn.BatchNorm1d`` then.

    So run a lazy network on a dummy batch before it is copied.
    """
    layer = nn.LazyBatchNorm1d().train(training)
    layer(torch.rand(3, 4))

    twin = copy.deepcopy(layer)

    assert type(twin) is nn.BatchNorm1d
    assert twin.running_mean.tolist() == layer.running_mean.tolist()
    assert twin.running_mean is not layer.running_mean


def test_a_pickled_lazy_layer_is_lazy():
    """An unpickled ``nn.LazyLinear`` is still lazy, and its first call initializes it."""
    twin = pickle.loads(pickle.dumps(nn.LazyLinear(3)))

    assert type(twin) is nn.LazyLinear
    assert twin.has_uninitialized_params() is True

    output = twin(torch.rand(2, 5))

    assert output.shape == (2, 3)
    assert type(twin) is nn.Linear
