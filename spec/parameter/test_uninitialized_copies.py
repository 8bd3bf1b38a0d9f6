"""Copies of uninitialised tensors: deep copies, pickles and saved files.

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
    """A deep copy of an uninitialised parameter is another one, with its device, dtype and
    ``requires_grad``.
    """
    weight = UninitializedParameter(False, "meta", torch.float16)

    twin = copy.deepcopy(weight)

    assert twin is not weight
    assert type(twin) is UninitializedParameter
    assert (twin.requires_grad, twin.device.type, twin.dtype) == (False, "meta", torch.float16)


def test_an_uninitialized_parameter_is_deep_copied_once():
    """Within one deep copy a shared uninitialised parameter is copied once; the memo decides."""
    weight, memo = UninitializedParameter(), {}

    twin = weight.__deepcopy__(memo)

    assert memo[id(weight)] is twin
    assert weight.__deepcopy__({id(weight): "noted"}) == "noted"


@pytest.mark.question("Q99")
@pytest.mark.observed
def test_an_uninitialized_buffer_is_not_deep_copied():
    """A deep copy of an uninitialised buffer raises ``ValueError``, on every release."""
    with pytest.raises(ValueError, match=r"Tensor.__deepcopy__.*torch.nn.parameter.UninitializedBuffer"):
        copy.deepcopy(UninitializedBuffer())


@pytest.mark.parametrize("kind", [UninitializedParameter, UninitializedBuffer], ids=["parameter", "buffer"])
@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_a_pickle_brings_back_an_uninitialized_tensor(kind, requires_grad):
    """A pickled uninitialised tensor comes back as one, with its ``requires_grad``."""
    twin = pickle.loads(pickle.dumps(kind(requires_grad)))

    assert (type(twin), twin.requires_grad) == (kind, requires_grad)


@pytest.mark.observed
def test_a_pickle_forgets_device_and_dtype():
    """A pickled uninitialised parameter forgets its device and dtype, which a deep copy keeps."""
    weight = UninitializedParameter(device="meta", dtype=torch.float64)

    twin = pickle.loads(pickle.dumps(weight))

    assert (twin.device.type, twin.dtype) == ("cpu", torch.float32)


@pytest.mark.since("2.5")
@pytest.mark.observed
def test_a_pickle_forgets_persistence():
    """A pickled uninitialised buffer forgets that it was not persistent."""
    cache = UninitializedBuffer(persistent=False)

    assert (cache.persistent, pickle.loads(pickle.dumps(cache)).persistent) == (False, True)


@pytest.mark.observed
def test_a_saved_one_is_no_weights_only_file(tmp_path):
    """A file with an uninitialised parameter raises ``UnpicklingError`` with ``weights_only=True``."""
    torch.save({"weight": UninitializedParameter()}, tmp_path / "state.pt")

    with pytest.raises(pickle.UnpicklingError, match="UninitializedParameter"):
        torch.load(tmp_path / "state.pt", weights_only=True)

    assert type(torch.load(tmp_path / "state.pt", weights_only=False)["weight"]) is UninitializedParameter


@pytest.mark.question("Q99")
@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (lambda: nn.LazyLinear(3), (2, 5)),
        (lambda: nn.LazyConv2d(3, 2), (2, 4, 5, 6)),
        (lambda: nn.LazyBatchNorm1d(track_running_stats=False), (2, 5)),
    ],
    ids=["linear", "convolution", "normalisation without statistics"],
)
def test_a_lazy_layer_is_deep_copied(make, sizes):
    """A lazy layer without uninitialised buffers is deep-copied, and copy and original live on apart.

    It failed before :pull:`83809` (:issue:`65051`).
    """
    layer = make()

    twin = copy.deepcopy(layer)
    twin(torch.rand(sizes))

    assert (layer.has_uninitialized_params(), type(twin)) == (True, type(layer).cls_to_become)
    assert (len(layer._forward_pre_hooks), len(twin._forward_pre_hooks)) == (1, 0)


@pytest.mark.question("Q99")
@pytest.mark.observed
@pytest.mark.parametrize("make", [nn.LazyBatchNorm1d, nn.LazyInstanceNorm2d], ids=["batch", "instance"])
def test_a_lazy_normalisation_is_not_deep_copied(make):
    """A deep copy of a lazy normalisation with statistics raises ``ValueError`` before its first call."""
    with pytest.raises(ValueError, match=r"Tensor.__deepcopy__.*UninitializedBuffer"):
        copy.deepcopy(make())


@pytest.mark.question("Q99")
def test_an_initialised_lazy_normalisation_is_deep_copied():
    """After its first call a lazy normalisation layer is an ordinary one and is deep-copied."""
    layer = nn.LazyBatchNorm1d()
    layer(torch.rand(3, 4))

    twin = copy.deepcopy(layer)

    assert (type(twin), twin.running_mean.tolist()) == (nn.BatchNorm1d, layer.running_mean.tolist())


def test_a_pickled_lazy_layer_is_lazy():
    """A pickled lazy layer comes back lazy and is initialised by its first call."""
    twin = pickle.loads(pickle.dumps(nn.LazyLinear(3)))

    assert (type(twin), twin.has_uninitialized_params()) == (nn.LazyLinear, True)
    assert (twin(torch.rand(2, 5)).shape, type(twin)) == ((2, 3), nn.Linear)
