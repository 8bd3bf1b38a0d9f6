"""Hooks that run when a state dict is loaded: before a module loads its part and after.

A pre-hook may change what is loaded; a post-hook may change which keys count as missing or unexpected.
"""

import copy
import gc
import weakref
from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.question("Q67")
@pytest.mark.since("2.5")
def test_a_load_pre_hook_is_given_everything():
    """A hook of :meth:`~torch.nn.Module.register_load_state_dict_pre_hook` runs before the module's values
    are loaded.

    It is given the module, the dict, the prefix, the module's metadata, ``strict`` (always true) and three
    lists that are filled while loading: missing keys, unexpected keys, errors. It is public since torch 2.5.
    """
    calls = []
    layer = nn.PReLU(init=0.25)
    layer.shift = nn.Parameter(torch.rand(1))
    net = nn.ModuleDict({"body": nn.Sequential(layer)})
    state = OrderedDict({"body.0.weight": torch.tensor([0.75]), "body.0.gain": torch.rand(1)})
    state._metadata = {"": {"version": 1}, "body.0": {"version": 5}}
    layer.register_load_state_dict_pre_hook(lambda *args: calls.append((*args, layer.weight.item())))

    net.load_state_dict(state, strict=False)

    lists = [["body.0.shift"], ["body.0.gain"], []]
    assert calls == [(layer, dict(state), "body.0.", {"version": 5}, True, *lists, 0.25)]
    assert layer.weight.item() == 0.75


def test_strict_is_always_true_to_a_pre_hook():
    """A ``load_state_dict`` pre-hook gets ``strict=True`` even from ``load_state_dict(..., strict=False)``.

    So does an overridden ``_load_from_state_dict``: what is missing is always noted, and only
    :meth:`~torch.nn.Module.load_state_dict` itself decides if it raises (:issue:`156177`).
    """
    calls = []

    class Net(nn.Linear):
        def _load_from_state_dict(self, state, prefix, metadata, strict, *lists):
            calls.append(("method", strict))
            super()._load_from_state_dict(state, prefix, metadata, strict, *lists)

    net = nn.Sequential(Net(2, 3))
    for module in net.modules():
        module._register_load_state_dict_pre_hook(
            lambda state, prefix, metadata, strict, *lists: calls.append((prefix, strict))
        )
    result = net.load_state_dict({"0.bias": torch.rand(3)}, strict=False)

    assert calls == [("", True), ("method", True), ("0.", True)]
    assert result.missing_keys == ["0.weight"]


@pytest.mark.question("Q67")
def test_a_private_load_pre_hook_is_given_no_module():
    """``_register_load_state_dict_pre_hook`` does not pass the module to its hook by default.

    The hook gets the dict, the prefix, the module's metadata, ``strict`` and three lists.
    """
    calls = []
    layer = nn.PReLU()
    net = nn.ModuleDict({"body": nn.Sequential(layer)})
    state = net.state_dict()

    layer._register_load_state_dict_pre_hook(lambda *args: calls.append(args))
    net.load_state_dict(state)

    assert calls == [(dict(state), "body.0.", {"version": 1}, True, [], [], [])]


@pytest.mark.question("Q67")
def test_a_private_load_pre_hook_may_ask_for_the_module():
    """``_register_load_state_dict_pre_hook(hook, with_module=True)`` passes the module to the hook first."""
    calls = []
    layer = nn.PReLU()

    layer._register_load_state_dict_pre_hook(lambda *args: calls.append(args), True)
    layer._register_load_state_dict_pre_hook(lambda *args: calls.append(args), with_module=True)
    layer.load_state_dict(layer.state_dict())

    assert calls == [(layer, layer.state_dict(), "", {"version": 1}, True, [], [], [])] * 2


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_a_load_pre_hook_may_rename_keys(kind):
    """A ``load_state_dict`` pre-hook can rename keys; the caller's dict stays unchanged.

    This is how a class still reads checkpoints from before one of its attributes was renamed.
    """
    layer = nn.Linear(2, 1, bias=False)
    state = kind(kernel=torch.tensor([[3.0, 4.0]]))

    def rename(state_dict, prefix, *rest):
        state_dict[prefix + "weight"] = state_dict.pop(prefix + "kernel")

    layer._register_load_state_dict_pre_hook(rename)
    result = layer.load_state_dict(state)

    assert result == ([], [])
    assert layer.weight.tolist() == [[3.0, 4.0]]
    assert list(state) == ["kernel"]

    assert nn.Sequential(layer).load_state_dict({"0.kernel": torch.tensor([[5.0, 6.0]])}) == ([], [])
    assert layer.weight.tolist() == [[5.0, 6.0]]


@pytest.mark.question("Q67")
@pytest.mark.parametrize("returned", [{"weight": torch.tensor([9.0])}, False], ids=["dict", "false"])
def test_what_a_load_pre_hook_returns_is_ignored(returned):
    """``load_state_dict`` ignores the return value of a pre-hook."""
    layer = nn.PReLU()
    layer._register_load_state_dict_pre_hook(lambda *args: returned)

    layer.load_state_dict({"weight": torch.tensor([0.75])})
    assert layer.weight.item() == 0.75

    nn.Sequential(layer).load_state_dict({"0.weight": torch.tensor([0.5])})
    assert layer.weight.item() == 0.5


@pytest.mark.parametrize("strict", [True, False])
def test_a_load_pre_hook_may_refuse(strict):
    """If a pre-hook appends to ``error_msgs``, ``load_state_dict`` raises ``RuntimeError``, even with
    ``strict=False``.

    The message has that text. ``error_msgs`` is the last argument of the hook.
    """
    layer = nn.PReLU()
    layer._register_load_state_dict_pre_hook(lambda *args: args[-1].append("too old, convert it first"))

    with pytest.raises(RuntimeError, match="too old, convert it first") as caught:
        layer.load_state_dict(layer.state_dict(), strict=strict)

    net = nn.Sequential(layer)
    with pytest.raises(RuntimeError, match="too old, convert it first"):
        net.load_state_dict(net.state_dict(), strict=strict)

    assert str(caught.value) == "Error(s) in loading state_dict for PReLU:\n\ttoo old, convert it first"


def test_a_load_pre_hook_may_add_keys_to_the_lists():
    """A ``load_state_dict`` pre-hook can add keys to ``missing_keys`` and ``unexpected_keys``.

    They count like others.
    """
    layer = nn.PReLU()

    def add(state_dict, prefix, metadata, strict, missing_keys, unexpected_keys, errors):
        missing_keys.append("lost")
        unexpected_keys.append("found")

    layer._register_load_state_dict_pre_hook(add)

    for net in (layer, nn.Sequential(layer)):
        assert net.load_state_dict(net.state_dict(), strict=False) == (["lost"], ["found"])
        with pytest.raises(RuntimeError, match=r'"lost"(.|\n)*"found"'):
            net.load_state_dict(net.state_dict())


def test_load_pre_hooks_run_from_the_outside_in():
    """``load_state_dict`` runs pre-hooks in order of registration, a module's before its submodules'."""
    calls = []
    net = nn.Sequential(nn.ReLU())
    net[0]._register_load_state_dict_pre_hook(lambda state, prefix, *rest: calls.append(prefix))
    net[0]._register_load_state_dict_pre_hook(lambda *args: calls.append("inner"))
    net._register_load_state_dict_pre_hook(lambda *args: calls.append("first"))
    net._register_load_state_dict_pre_hook(lambda *args: calls.append("second"))

    net.load_state_dict({})

    assert calls == ["first", "second", "0.", "inner"]


@pytest.mark.since("2.5")
def test_a_load_pre_hook_can_be_removed():
    """``handle.remove()`` of a ``register_load_state_dict_pre_hook`` hook removes that hook and no other."""
    calls = []
    layer, twice = nn.ReLU(), lambda *args: calls.append("twice")
    layer.register_load_state_dict_pre_hook(lambda *args: calls.append("first"))
    handle = layer.register_load_state_dict_pre_hook(twice)
    layer.register_load_state_dict_pre_hook(lambda *args: calls.append("middle"))
    layer.register_load_state_dict_pre_hook(twice)

    handle.remove()
    layer.load_state_dict({})

    assert calls == ["first", "middle", "twice"]


def test_a_load_pre_hook_does_not_keep_its_module():
    """A ``load_state_dict`` pre-hook with ``with_module=True`` does not keep the module alive.

    Once the module is gone, calling or copying the hook raises ``RuntimeError``.
    """
    layer = nn.PReLU()
    layer._register_load_state_dict_pre_hook(lambda *args: None, with_module=True)
    (hook,) = layer._load_state_dict_pre_hooks.values()
    watch = weakref.ref(layer)

    del layer
    gc.collect()

    assert watch() is None
    with pytest.raises(RuntimeError, match=r"^You are trying to call the hook of a dead Module!$"):
        hook()
    with pytest.raises(RuntimeError, match=r"^You are trying to revive the hook of a dead Module!$"):
        copy.copy(hook)


def test_a_load_pre_hook_keeps_its_name():
    """Wrappers in ``module._load_state_dict_pre_hooks`` have the hook's ``__name__`` and pass on all
    arguments.

    With ``with_module=True`` the module comes first.
    """
    layer = nn.PReLU()

    def rename(*args, **kwargs):
        return args, kwargs

    layer._register_load_state_dict_pre_hook(rename)
    layer._register_load_state_dict_pre_hook(rename, with_module=True)
    alone, with_module = layer._load_state_dict_pre_hooks.values()

    assert alone.__name__ == "rename"
    assert with_module.__name__ == "rename"
    assert alone(2, key=3) == ((2,), {"key": 3})
    assert with_module(2, key=3) == ((layer, 2), {"key": 3})


@pytest.mark.question("Q67")
def test_a_load_post_hook_is_given_the_keys():
    """A hook of :meth:`~torch.nn.Module.register_load_state_dict_post_hook` runs after the module's values
    are loaded.

    It is given the module and the missing and unexpected keys so far, which it may change: the way to accept
    an old checkpoint that lacks a key, with ``strict=True`` for all others.
    """
    calls, layer = [], nn.PReLU()
    layer.shift = nn.Parameter(torch.rand(1))
    net = nn.Sequential(layer)

    def hook(module, keys):
        calls.append((module, keys.missing_keys[:], keys.unexpected_keys[:], layer.weight.item()))
        keys[0].clear(), keys[1].clear()

    state = {"0.weight": torch.tensor([0.75]), "0.bias": torch.rand(1)}
    for module in (net, layer):
        nn.init.zeros_(layer.weight)
        handle = module.register_load_state_dict_post_hook(hook)
        assert net.load_state_dict(state, strict=True) == ([], [])
        handle.remove()

    assert calls == [(module, ["0.shift"], ["0.bias"], 0.75) for module in (net, layer)]


@pytest.mark.question("Q67")
def test_a_load_post_hook_may_excuse_keys():
    """If a ``load_state_dict`` post-hook clears ``missing_keys`` and ``unexpected_keys``, no error is raised.

    They are not returned either.
    """
    plain, excused = nn.Linear(2, 3), nn.Linear(2, 3)

    def excuse(module, incompatible_keys):
        incompatible_keys.missing_keys.clear()
        incompatible_keys.unexpected_keys.clear()

    excused.register_load_state_dict_post_hook(excuse)

    assert plain.load_state_dict({"x": torch.rand(1)}, strict=False) == (["weight", "bias"], ["x"])
    assert excused.load_state_dict({"x": torch.rand(1)}) == ([], [])


@pytest.mark.question("Q67")
def test_a_load_post_hook_may_add_keys():
    """A ``load_state_dict`` post-hook that adds to ``missing_keys`` makes ``strict=True`` raise
    ``RuntimeError``.

    A key added to ``unexpected_keys`` does the same.
    """
    layer, other = nn.PReLU(), nn.PReLU()
    layer.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.append("lost"))
    other.register_load_state_dict_post_hook(lambda module, keys: keys.unexpected_keys.append("found"))

    for losing, finding in ((layer, other), (nn.Sequential(layer), nn.Sequential(other))):
        assert losing.load_state_dict(losing.state_dict(), strict=False) == (["lost"], [])
        assert finding.load_state_dict(finding.state_dict(), strict=False) == ([], ["found"])
        with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "lost"'):
            losing.load_state_dict(losing.state_dict())
        with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "found"'):
            finding.load_state_dict(finding.state_dict())


def test_a_load_post_hook_sees_earlier_modules():
    """A ``load_state_dict`` post-hook of a submodule gets the missing keys of all modules loaded so far.

    A hook that clears them, as *a_load_post_hook_may_excuse_keys* does, excuses those modules too: remove the
    keys that are meant.
    """
    net, seen = nn.Sequential(nn.PReLU(), nn.PReLU(), nn.PReLU()), []
    net[1].register_load_state_dict_post_hook(lambda module, keys: seen.extend(keys.missing_keys))
    net.load_state_dict({}, strict=False)

    assert seen == ["0.weight", "1.weight"]


@pytest.mark.question("Q67")
@pytest.mark.parametrize("returned", ["text", False, 0, []], ids=["text", "false", "zero", "no_keys"])
def test_a_load_post_hook_must_return_none(returned):
    """``load_state_dict`` raises ``AssertionError`` if a post-hook returns anything but ``None``."""
    quiet, loud, same = nn.PReLU(), nn.PReLU(), nn.PReLU()
    quiet.register_load_state_dict_post_hook(lambda module, keys: None)
    loud.register_load_state_dict_post_hook(lambda module, keys: returned)
    same.register_load_state_dict_post_hook(lambda module, keys: keys)

    assert quiet.load_state_dict(quiet.state_dict()) == ([], [])
    for net in (loud, nn.Sequential(loud), same):
        with pytest.raises(
            AssertionError, match="Hooks registered with ``register_load_state_dict_post_hook``"
        ):
            net.load_state_dict(net.state_dict())


def test_load_post_hooks_run_from_the_inside_out():
    """``load_state_dict`` runs post-hooks in order of registration, a module's after its submodules'."""
    calls = []
    net = nn.Sequential(nn.PReLU(), nn.ReLU())
    net[1].register_load_state_dict_post_hook(lambda *args: calls.append("stateless"))
    net.register_load_state_dict_post_hook(lambda *args: calls.append("first"))
    net.register_load_state_dict_post_hook(lambda *args: calls.append("second"))
    net[0].register_load_state_dict_post_hook(lambda module, keys: calls.append(list(keys.missing_keys)))
    net[0].register_load_state_dict_post_hook(lambda *args: calls.append("inner"))

    net.load_state_dict({}, strict=False)

    assert calls == [["0.weight"], "inner", "stateless", "first", "second"]


def test_a_load_post_hook_runs_before_the_error():
    """``load_state_dict`` runs post-hooks before it raises ``RuntimeError`` for what does not fit."""
    calls = []
    layer = nn.PReLU()
    layer.register_load_state_dict_post_hook(lambda module, keys: calls.append(tuple(keys)))

    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        layer.load_state_dict({"weight": torch.rand(2)})
    with pytest.raises(RuntimeError, match="Missing key"):
        layer.load_state_dict({})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        layer.load_state_dict({"weight": torch.rand(1), "bias": torch.rand(1)})

    assert calls == [([], []), (["weight"], []), ([], ["bias"])]


def test_a_load_post_hook_can_be_removed():
    """``handle.remove()`` of a ``register_load_state_dict_post_hook`` hook removes that hook and no other."""
    calls = []
    layer = nn.ReLU()
    layer.register_load_state_dict_post_hook(lambda *args: calls.append("first"))
    handle = layer.register_load_state_dict_post_hook(lambda *args: calls.append("removed"))
    layer.register_load_state_dict_post_hook(lambda *args: calls.append("last"))

    handle.remove()
    layer.load_state_dict({})

    assert calls == ["first", "last"]


def test_a_submodule_is_not_asked_to_load():
    """``load_state_dict`` of a network does not call a ``load_state_dict`` that a submodule overrides.

    ``state_dict`` does call that of a submodule. What a submodule does in loading belongs in a hook, or in
    ``_load_from_state_dict``.
    """
    calls = []

    class Layer(nn.Linear):
        def state_dict(self, *args, **kwargs):
            calls.append("state_dict")
            return super().state_dict(*args, **kwargs)

        def load_state_dict(self, *args, **kwargs):
            calls.append("load_state_dict")
            return super().load_state_dict(*args, **kwargs)

    net = nn.Sequential(Layer(2, 1))
    net.load_state_dict({key: value + 1 for key, value in net.state_dict().items()})

    assert calls == ["state_dict"]
