"""The metadata of a state dict: a version for every module.

A state dict carries the version of each module's layout, so that a newer class can read what an older
one saved. It is kept in the attribute ``_metadata`` of the dict and is easily lost.
"""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.observed
def test_metadata_names_every_module():
    """``_metadata`` of a state dict has an entry for every module, also for those without a key."""
    metadata = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(2)).state_dict()._metadata

    assert type(metadata) is OrderedDict
    assert metadata == {"": {"version": 1}, "0": {"version": 1}, "1": {"version": 2}}


@pytest.mark.observed
def test_metadata_names_have_the_prefix():
    """With ``prefix="head."`` the names in ``_metadata`` begin with ``head``, without the last dot."""
    metadata = nn.Sequential(nn.ReLU()).state_dict(prefix="head.")._metadata

    assert list(metadata) == ["head", "head.0"]


def test_a_class_has_a_version():
    """The class attribute ``_version`` of a module is saved as the version of its layout."""

    class Table(nn.Module):
        _version = 5

    assert nn.Module._version == 1
    assert Table().state_dict()._metadata[""] == {"version": 5}


@pytest.mark.observed
def test_which_copies_keep_the_metadata():
    """``copy.copy`` and ``copy.deepcopy`` keep the metadata of a state dict, ``.copy()`` loses them."""
    state = nn.Linear(2, 3).state_dict()

    kept = [hasattr(s, "_metadata") for s in (copy.copy(state), copy.deepcopy(state))]
    lost = [hasattr(s, "_metadata") for s in (dict(state), state.copy())]

    assert (kept, lost) == ([True, True], [False, False])


def test_each_module_is_given_its_own_metadata():
    """Loading gives each module its own entry, and an empty dict where the state dict has none."""
    seen = []

    class Table(nn.Module):
        _version = 5

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
            seen.append((prefix, dict(local_metadata)))

    net = nn.ModuleDict({"words": Table()})
    net.load_state_dict(net.state_dict())
    net.load_state_dict(dict(net.state_dict()))
    state = net.state_dict()
    del state._metadata["words"]
    net.load_state_dict(state)

    assert seen == [("words.", {"version": 5}), ("words.", {}), ("words.", {})]


def test_a_version_lets_a_module_read_old_state():
    """A module may rename what an older version saved before it loads as usual."""

    class Scale(nn.Module):
        _version = 2

        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.tensor([2.0, 3.0]))

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
            if local_metadata.get("version", 1) < 2:
                state_dict[prefix + "factor"] = state_dict.pop(prefix + "scale")
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    scale = Scale()
    result = scale.load_state_dict({"scale": torch.tensor([5.0, 7.0])})

    assert scale.factor.tolist() == [5.0, 7.0]
    assert result == ([], [])


@pytest.mark.observed
def test_the_metadata_stays_with_the_dict_while_loading():
    """The dict that modules and hooks see while loading has the metadata of the dict given."""
    seen = []
    net = nn.Sequential(nn.ReLU())
    state = net.state_dict()

    net._register_load_state_dict_pre_hook(lambda *args: seen.append(args[0]._metadata))
    net.load_state_dict(state)

    assert seen == [{"": {"version": 1}, "0": {"version": 1}}]
    assert seen[0] is state._metadata


@pytest.mark.question("Q57")
@pytest.mark.parametrize("layer", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_a_missing_batch_count_is_an_error(layer):
    """Batch normalisation of version 2 misses ``num_batches_tracked`` where it is not in the state dict.

    The counter came with version 2; a state dict with current metadata has to hold it.
    """
    state = layer(2).state_dict()
    del state["num_batches_tracked"]

    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "num_batches_tracked"'):
        layer(2).load_state_dict(state)


@pytest.mark.question("Q57")
@pytest.mark.since("2.2")
@pytest.mark.parametrize(
    "metadata", [None, {"0": {"version": 1}}, {"0": {}}], ids=["none", "old", "no_version"]
)
def test_an_old_state_keeps_the_batch_count(metadata):
    """Where metadata are lacking or older than version 2, batch normalisation keeps its own count.

    Up to torch 2.1 it was set to zero (:issue:`110361`, :pull:`110850`).
    """
    net, other = nn.Sequential(nn.BatchNorm1d(2)), nn.Sequential(nn.BatchNorm1d(2))
    net[0].num_batches_tracked.fill_(7)
    state = OrderedDict((k, v) for k, v in other.state_dict().items() if "num" not in k)
    if metadata is not None:
        state._metadata = metadata

    result = net.load_state_dict(state)

    assert result == ([], [])
    assert net[0].num_batches_tracked.item() == 7


@pytest.mark.question("Q57")
@pytest.mark.before("2.2")
def test_an_old_state_resets_the_batch_count():
    """Where the metadata are lacking, batch normalisation sets a missing batch count to zero."""
    norm = nn.BatchNorm1d(2)
    norm.num_batches_tracked.fill_(7)
    state = {k: v for k, v in nn.BatchNorm1d(2).state_dict().items() if "num" not in k}

    norm.load_state_dict(state)

    assert norm.num_batches_tracked.item() == 0


@pytest.mark.question("Q57")
@pytest.mark.since("2.3")
def test_a_norm_without_a_real_count_starts_at_zero():
    """Assigned an old state, batch normalisation keeps a real count and begins one on meta at zero.

    In torch 2.2 the latter stayed on the meta device (:pull:`115285`).
    """
    real, meta = nn.BatchNorm1d(2), nn.BatchNorm1d(2, device="meta")
    real.num_batches_tracked.fill_(7)
    state = {k: v for k, v in nn.BatchNorm1d(2).state_dict().items() if "num" not in k}

    real.load_state_dict(state, assign=True)
    meta.load_state_dict(state, assign=True)

    counts = [norm.num_batches_tracked for norm in (real, meta)]
    assert [(count.device.type, count.dtype, int(count)) for count in counts] == [
        ("cpu", torch.int64, 7),
        ("cpu", torch.int64, 0),
    ]


def test_a_norm_without_statistics_needs_no_count():
    """Batch normalisation with ``track_running_stats=False`` loads an old state dict as it is."""
    norm = nn.BatchNorm1d(2, track_running_stats=False)

    result = norm.load_state_dict({"weight": torch.tensor([2.0, 3.0]), "bias": torch.tensor([4.0, 5.0])})

    assert result == ([], [])
    assert norm.weight.tolist() == [2.0, 3.0]


def test_an_instance_norm_refuses_very_old_statistics():
    """Without metadata, instance normalisation without statistics names those it finds in the state."""
    state = {"n.running_mean": torch.rand(2), "n.running_var": torch.rand(2)}

    with pytest.raises(RuntimeError) as caught:
        nn.ModuleDict({"n": nn.InstanceNorm1d(2)}).load_state_dict(state)

    assert 'stats buffer(s) "n.running_mean" and "n.running_var" for InstanceNorm1d' in str(caught.value)
    assert "Unexpected key(s)" not in str(caught.value)


def test_an_instance_norm_with_metadata_counts_keys():
    """With metadata, instance normalisation without statistics counts them as unexpected keys."""
    state = nn.InstanceNorm1d(2, track_running_stats=True).state_dict()
    del state["num_batches_tracked"]

    result = nn.InstanceNorm1d(2).load_state_dict(state, strict=False)

    assert result.unexpected_keys == ["running_mean", "running_var"]
