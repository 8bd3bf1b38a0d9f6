"""The metadata of a state dict: a version for every module.

A state dict carries the version of each module's layout, so that a newer class can read what an older
one saved. It is kept in the attribute ``_metadata`` of the dict and is easily lost.
"""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn


def test_metadata_names_every_module():
    """``state_dict()._metadata`` has an entry for every module, even without parameters and buffers."""
    norm = nn.BatchNorm1d(2, affine=False, track_running_stats=False)
    state = nn.Sequential(nn.ReLU(), nn.Sequential(norm)).state_dict()

    assert list(state) == []
    assert state._metadata == {
        "": {"version": 1},
        "0": {"version": 1},
        "1": {"version": 1},
        "1.0": {"version": 2},
    }


def test_metadata_names_have_the_prefix():
    """With ``state_dict(prefix="head.")``, ``_metadata`` names begin with ``head``, without the trailing
    dot.
    """
    net = nn.Sequential(nn.Sequential(nn.ReLU()))

    assert list(net.state_dict(prefix="head.")._metadata) == ["head", "head.0", "head.0.0"]
    assert list(net.state_dict(prefix="big.head.")._metadata) == ["big.head", "big.head.0", "big.head.0.0"]


def test_a_class_has_a_version():
    """``state_dict()`` saves each module's class attribute ``_version`` in ``_metadata``.

    A class that changes the names or shapes of what it saves raises it, and converts what is older.
    """

    class Table(nn.Module):
        _version = 5

    class Wide(Table): ...

    net = nn.Sequential(Table(), nn.ReLU(), Wide())

    versions = {name: entry["version"] for name, entry in net.state_dict()._metadata.items()}
    assert versions == {"": 1, "0": 5, "1": 1, "2": 5}


def test_which_copies_keep_the_metadata():
    """``copy.copy`` and ``deepcopy`` of a state dict keep ``_metadata``; ``dict(state)`` and ``state.copy()``
    lose it.

    Without it every version counts as the oldest, and a newer class may misread what it loads.
    """
    state = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict()

    kept = [copy.copy(state), copy.deepcopy(state)]
    lost = [dict(state), state.copy()]

    assert [s._metadata for s in kept] == [{"": {"version": 1}, "0": {"version": 1}, "1": {"version": 2}}] * 2
    assert [hasattr(s, "_metadata") for s in lost] == [False, False]


def test_each_module_is_given_its_own_metadata():
    """``_load_from_state_dict`` gets the module's own ``_metadata`` entry, or an empty dict if there is
    none.
    """
    seen = []

    class Table(nn.Module):
        _version = 5

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
            seen.append((prefix, dict(local_metadata)))

    net, own = Table(), {"version": 5}
    net.words = Table()
    net.load_state_dict(net.state_dict())
    net.load_state_dict(dict(net.state_dict()))
    state = net.state_dict()
    del state._metadata["words"]
    net.load_state_dict(state)

    assert seen[:2] == [("", own), ("words.", own)]
    assert seen[2:] == [("", {}), ("words.", {}), ("", own), ("words.", {})]


def test_a_version_lets_a_module_read_old_state():
    """A module can override ``_load_from_state_dict`` to load what an older ``_version`` of its class saved.

    This is how torch's own layers change their layout and still load old checkpoints.
    """

    class Scale(nn.Module):
        _version = 2

        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.tensor([2.0, 3.0]))

        def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
            if local_metadata.get("version", 1) < 2:
                state_dict[prefix + "factor"] = state_dict.pop(prefix + "scale")
            super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    old, new = Scale(), Scale()

    assert old.load_state_dict({"scale": torch.tensor([5.0, 7.0])}) == ([], [])
    assert old.factor.tolist() == [5.0, 7.0]
    assert nn.Sequential(new).load_state_dict(nn.Sequential(old).state_dict()) == ([], [])
    assert new.factor.tolist() == [5.0, 7.0]


def test_the_metadata_stays_with_the_dict_while_loading():
    """``load_state_dict`` pre-hooks of the root get a dict with ``_metadata``, those of submodules a plain
    dict.

    Each is also given the metadata of its own module.
    """
    seen = []
    net = nn.Sequential(nn.BatchNorm1d(2))
    state = net.state_dict()
    for module in net.modules():
        module._register_load_state_dict_pre_hook(lambda state, prefix, data, *_: seen.append((state, data)))

    net.load_state_dict(state)

    assert seen[0][0]._metadata is state._metadata
    assert type(seen[1][0]) is dict
    assert [data for _, data in seen] == [{"version": 1}, {"version": 2}]


@pytest.mark.question("Q57")
@pytest.mark.parametrize("layer", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_a_missing_batch_count_is_an_error(layer):
    """``load_state_dict`` of ``BatchNorm`` needs ``num_batches_tracked`` if ``_metadata`` says ``version`` 2.

    The counter came with version 2. Without metadata, as in ``dict(state)``, it may be missing.
    """
    state = layer(2).state_dict()
    del state["num_batches_tracked"]

    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "num_batches_tracked"'):
        layer(2).load_state_dict(state)

    assert layer(2).load_state_dict(dict(state)) == ([], [])

    nested = nn.Sequential(layer(2)).state_dict()
    del nested["0.num_batches_tracked"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0.num_batches_tracked"'):
        nn.Sequential(layer(2)).load_state_dict(nested)


@pytest.mark.question("Q57")
@pytest.mark.since("2.2")
@pytest.mark.parametrize(
    "metadata", [None, {"0": {"version": 1}}, {"0": {}}], ids=["none", "old", "no_version"]
)
def test_an_old_state_keeps_the_batch_count(metadata):
    """``BatchNorm`` keeps its own ``num_batches_tracked`` when loading a dict without it and without
    ``_metadata``.

    So it does where ``_metadata`` gives the layer a ``version`` below 2, or none. Up to torch 2.1 the count
    was set to zero (:issue:`110361`, :pull:`110850`).
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
    """``BatchNorm`` sets ``num_batches_tracked`` to zero when loading a dict without it and without
    ``_metadata``.
    """
    norm = nn.BatchNorm1d(2)
    norm.num_batches_tracked.fill_(7)
    state = {k: v for k, v in nn.BatchNorm1d(2).state_dict().items() if k != "num_batches_tracked"}

    norm.load_state_dict(state)

    assert norm.num_batches_tracked.item() == 0


@pytest.mark.question("Q57")
@pytest.mark.since("2.3")
def test_a_norm_without_a_real_count_starts_at_zero():
    """``load_state_dict(assign=True)`` sets ``num_batches_tracked`` on meta to 0 if it and ``_metadata`` are
    missing.

    The new count of ``BatchNorm`` is on the CPU; one that is not on meta is kept. In torch 2.2 a count on the
    meta device stayed there (:pull:`115285`).
    """
    real, meta = nn.BatchNorm1d(2), nn.BatchNorm1d(2, device="meta")
    real.num_batches_tracked.fill_(7)
    state = {k: v for k, v in nn.BatchNorm1d(2).state_dict().items() if k != "num_batches_tracked"}

    real.load_state_dict(state, assign=True)
    nn.Sequential(meta).load_state_dict({f"0.{key}": value for key, value in state.items()}, assign=True)

    assert real.num_batches_tracked.item() == 7
    assert meta.num_batches_tracked.device.type == "cpu"
    assert meta.num_batches_tracked.dtype == torch.int64
    assert meta.num_batches_tracked.item() == 0


def test_a_norm_without_statistics_needs_no_count():
    """``BatchNorm`` with ``track_running_stats=False`` saves and loads only ``weight`` and ``bias``.

    With metadata or without, it looks for its weight and bias only.
    """
    norm = nn.BatchNorm1d(2, track_running_stats=False)
    state = norm.state_dict()

    result = norm.load_state_dict({"weight": torch.tensor([2.0, 3.0]), "bias": torch.tensor([4.0, 5.0])})

    assert result == ([], [])
    assert [norm.weight.tolist(), norm.bias.tolist()] == [[2.0, 3.0], [4.0, 5.0]]
    assert list(state) == ["weight", "bias"]
    assert norm.load_state_dict(state) == ([], [])


@pytest.mark.parametrize("layer", [nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d])
def test_an_instance_norm_refuses_very_old_statistics(layer):
    """Loading a dict with ``running_mean`` and no ``_metadata`` into a default ``InstanceNorm`` raises
    ``RuntimeError``.

    By default ``track_running_stats=False``. Before torch 0.4 the layer always saved them. Delete these keys
    to load the rest.
    """
    state = {"n.running_mean": torch.rand(2), "n.running_var": torch.rand(2)}

    with pytest.raises(RuntimeError, match="stats buffer") as caught:
        nn.ModuleDict({"n": layer(2)}).load_state_dict(state)
    with pytest.raises(RuntimeError, match=r'stats buffer\(s\) "running_mean" for'):
        layer(2).load_state_dict({"running_mean": torch.rand(2)})

    assert f'"n.running_mean" and "n.running_var" for {layer.__name__}' in str(caught.value)
    assert "Unexpected key(s)" not in str(caught.value)

    tracking = nn.ModuleDict({"n": layer(2, track_running_stats=True)})
    assert tracking.load_state_dict(state) == ([], [])


@pytest.mark.parametrize("layer", [nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d])
def test_an_instance_norm_with_metadata_counts_keys(layer):
    """With ``_metadata``, ``load_state_dict`` of a default ``InstanceNorm`` reports ``running_mean`` as
    unexpected.
    """
    state = nn.Sequential(layer(2, track_running_stats=True)).state_dict()
    del state["0.num_batches_tracked"]

    result = nn.Sequential(layer(2)).load_state_dict(state, strict=False)

    assert result == ([], ["0.running_mean", "0.running_var"])


def test_a_direct_load_runs_no_post_hooks():
    """``_load_from_state_dict`` called directly runs pre-hooks of the module, but not its post-hooks.

    Neither does it reach submodules: a loader that goes through the modules by itself, as some libraries do,
    has to run post-hooks by itself.
    """
    calls, net = [], nn.Sequential(nn.PReLU())
    net[0]._register_load_state_dict_pre_hook(lambda *args: calls.append("pre"))
    net[0].register_load_state_dict_post_hook(lambda module, keys: calls.append("post"))
    saved = {"weight": torch.tensor([3.0])}

    net._load_from_state_dict({"0.weight": saved["weight"]}, "", {}, True, [], [], [])
    assert (calls, net[0].weight.item()) == ([], 0.25)

    net[0]._load_from_state_dict(saved, "", {}, True, [], [], [])
    assert (calls, net[0].weight.item()) == (["pre"], 3.0)

    net[0].load_state_dict(saved)
    assert calls == ["pre", "pre", "post"]
