"""Hooks that run when a state dict is loaded: before a module loads its part and after.

A pre-hook may change what is loaded; a post-hook may change which keys count as missing or unexpected.
"""

import copy
import gc

import pytest
import torch
from torch import nn


@pytest.mark.question("Q67")
@pytest.mark.since("2.5")
def test_a_load_pre_hook_is_given_everything():
    """:meth:`~torch.nn.Module.register_load_state_dict_pre_hook`: the hook sees what is to be loaded.

    It is given the module, the dict, the prefix, the module's metadata, ``strict`` (always true) and three
    lists that are filled while loading: missing keys, unexpected keys, errors. It is public since torch 2.5.
    """
    calls = []
    net = nn.Sequential(nn.PReLU())
    state = net.state_dict()

    net[0].register_load_state_dict_pre_hook(lambda *args: calls.append(args))
    net.load_state_dict(state)

    assert calls == [(net[0], {"0.weight": state["0.weight"]}, "0.", {"version": 1}, True, [], [], [])]


@pytest.mark.question("Q67")
@pytest.mark.observed
def test_a_private_load_pre_hook_is_given_no_module():
    """A hook of ``_register_load_state_dict_pre_hook`` is given the same without the module."""
    calls = []
    layer = nn.PReLU()
    state = layer.state_dict()

    layer._register_load_state_dict_pre_hook(lambda *args: calls.append(args))
    layer.load_state_dict(state)

    assert calls == [({"weight": state["weight"]}, "", {"version": 1}, True, [], [], [])]


@pytest.mark.question("Q67")
@pytest.mark.observed
def test_a_private_load_pre_hook_may_ask_for_the_module():
    """With ``with_module=True`` a private load pre-hook is given the module first."""
    calls = []
    layer = nn.PReLU()

    layer._register_load_state_dict_pre_hook(lambda *args: calls.append(args[0]), True)
    layer.load_state_dict(layer.state_dict())

    assert calls == [layer]


@pytest.mark.observed
def test_a_load_pre_hook_may_rename_keys():
    """A load pre-hook may rename keys of the dict it is given; the caller's dict does not change."""
    layer = nn.Linear(2, 1, bias=False)
    state = {"kernel": torch.tensor([[3.0, 4.0]])}

    def rename(state_dict, prefix, *rest):
        state_dict[prefix + "weight"] = state_dict.pop(prefix + "kernel")

    layer._register_load_state_dict_pre_hook(rename)
    result = layer.load_state_dict(state)

    assert result == ([], [])
    assert layer.weight.tolist() == [[3.0, 4.0]]
    assert list(state) == ["kernel"]


@pytest.mark.question("Q67")
@pytest.mark.observed
def test_what_a_load_pre_hook_returns_is_ignored():
    """What a load pre-hook returns is ignored."""
    layer = nn.PReLU()
    layer._register_load_state_dict_pre_hook(lambda *args: {"weight": torch.tensor([9.0])})

    layer.load_state_dict({"weight": torch.tensor([0.75])})

    assert layer.weight.item() == 0.75


@pytest.mark.observed
@pytest.mark.parametrize("strict", [True, False])
def test_a_load_pre_hook_may_refuse(strict):
    """A text that a load pre-hook adds to the errors is raised with them, also with ``strict=False``."""
    layer = nn.PReLU()
    layer._register_load_state_dict_pre_hook(lambda *args: args[-1].append("too old, convert it first"))

    with pytest.raises(RuntimeError) as caught:
        layer.load_state_dict(layer.state_dict(), strict=strict)

    assert str(caught.value) == "Error(s) in loading state_dict for PReLU:\n\ttoo old, convert it first"


@pytest.mark.observed
def test_a_load_pre_hook_may_add_keys_to_the_lists():
    """What a load pre-hook adds to the lists of missing and of unexpected keys counts."""
    layer = nn.PReLU()

    def add(state_dict, prefix, metadata, strict, missing_keys, unexpected_keys, errors):
        missing_keys.append("lost")
        unexpected_keys.append("found")

    layer._register_load_state_dict_pre_hook(add)

    assert layer.load_state_dict(layer.state_dict(), strict=False) == (["lost"], ["found"])


@pytest.mark.observed
def test_load_pre_hooks_run_from_the_outside_in():
    """Load pre-hooks run in order of registration, those of a module before those of its submodules."""
    calls = []
    net = nn.Sequential(nn.ReLU())
    net[0]._register_load_state_dict_pre_hook(lambda state, prefix, *rest: calls.append(prefix))
    net._register_load_state_dict_pre_hook(lambda *args: calls.append("first"))
    net._register_load_state_dict_pre_hook(lambda *args: calls.append("second"))

    net.load_state_dict({})

    assert calls == ["first", "second", "0."]


@pytest.mark.since("2.5")
def test_a_load_pre_hook_can_be_removed():
    """The handle that registering a load pre-hook returns removes that hook and no other."""
    calls = []
    layer = nn.ReLU()
    handle = layer.register_load_state_dict_pre_hook(lambda *args: calls.append("removed"))
    layer.register_load_state_dict_pre_hook(lambda *args: calls.append("kept"))

    handle.remove()
    layer.load_state_dict({})

    assert calls == ["kept"]


@pytest.mark.observed
def test_a_load_pre_hook_does_not_keep_its_module():
    """A load pre-hook that asks for the module holds it weakly; without it, it neither runs nor is copied."""
    layer = nn.PReLU()
    layer._register_load_state_dict_pre_hook(lambda *args: None, with_module=True)
    (hook,) = layer._load_state_dict_pre_hooks.values()

    del layer
    gc.collect()

    with pytest.raises(RuntimeError, match=r"^You are trying to call the hook of a dead Module!$"):
        hook()
    with pytest.raises(RuntimeError, match=r"^You are trying to revive the hook of a dead Module!$"):
        copy.copy(hook)


@pytest.mark.observed
def test_a_load_pre_hook_keeps_its_name():
    """A registered load pre-hook has the name of its function, and hands it all arguments."""
    layer = nn.PReLU()

    def rename(*args, **kwargs):
        return args, kwargs

    layer._register_load_state_dict_pre_hook(rename)
    layer._register_load_state_dict_pre_hook(rename, with_module=True)
    alone, with_module = layer._load_state_dict_pre_hooks.values()

    assert (alone.__name__, with_module.__name__) == ("rename", "rename")
    assert alone(2, key=3) == ((2,), {"key": 3})
    assert with_module(2, key=3) == ((layer, 2), {"key": 3})


@pytest.mark.question("Q67")
def test_a_load_post_hook_is_given_the_keys():
    """:meth:`~torch.nn.Module.register_load_state_dict_post_hook`: the hook runs after loading.

    It is given the module and the missing and unexpected keys so far, and sees the loaded values.
    """
    calls = []
    layer = nn.PReLU()
    layer.register_load_state_dict_post_hook(lambda *args: calls.append((*args, layer.weight.item())))

    layer.load_state_dict({"weight": torch.tensor([0.75]), "bias": torch.rand(1)}, strict=False)

    assert calls == [(layer, ([], ["bias"]), 0.75)]
    assert calls[0][1].unexpected_keys == ["bias"]


@pytest.mark.question("Q67")
def test_a_load_post_hook_may_excuse_keys():
    """Keys that a load post-hook takes from the lists are neither raised nor returned."""

    def excuse(module, incompatible_keys):
        incompatible_keys.missing_keys.clear()
        incompatible_keys.unexpected_keys.clear()

    layer = nn.Linear(2, 3)
    layer.register_load_state_dict_post_hook(excuse)

    assert layer.load_state_dict({"x": torch.rand(1)}) == ([], [])


@pytest.mark.question("Q67")
def test_a_load_post_hook_may_add_keys():
    """Keys that a load post-hook adds to the lists are raised with ``strict=True``."""
    layer = nn.PReLU()
    layer.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.append("lost"))

    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "lost"'):
        layer.load_state_dict(layer.state_dict())


@pytest.mark.question("Q67")
def test_a_load_post_hook_must_return_none():
    """A load post-hook that returns anything but ``None`` raises ``AssertionError``."""
    layer = nn.PReLU()
    layer.register_load_state_dict_post_hook(lambda module, keys: keys)

    with pytest.raises(AssertionError, match="Hooks registered with ``register_load_state_dict_post_hook``"):
        layer.load_state_dict(layer.state_dict())


def test_load_post_hooks_run_from_the_inside_out():
    """Load post-hooks run in order of registration, those of a module after those of its submodules."""
    calls = []
    net = nn.Sequential(nn.PReLU(), nn.PReLU())
    net.register_load_state_dict_post_hook(lambda *args: calls.append("first"))
    net.register_load_state_dict_post_hook(lambda *args: calls.append("second"))
    net[0].register_load_state_dict_post_hook(lambda module, keys: calls.append(list(keys.missing_keys)))

    net.load_state_dict({}, strict=False)

    assert calls == [["0.weight"], "first", "second"]


def test_a_load_post_hook_runs_before_the_error():
    """Load post-hooks run also where loading is going to raise."""
    calls = []
    layer = nn.PReLU()
    layer.register_load_state_dict_post_hook(lambda module, keys: calls.append(tuple(keys)))

    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        layer.load_state_dict({"weight": torch.rand(2)})

    assert calls == [([], [])]


def test_a_load_post_hook_can_be_removed():
    """The handle that registering a load post-hook returns removes that hook and no other."""
    calls = []
    layer = nn.ReLU()
    handle = layer.register_load_state_dict_post_hook(lambda *args: calls.append("removed"))
    layer.register_load_state_dict_post_hook(lambda *args: calls.append("kept"))

    handle.remove()
    layer.load_state_dict({})

    assert calls == ["kept"]
