"""Hooks that run when a state dict is made: before and after.

A pre-hook prepares the module; a post-hook changes the finished dict in place. Each module runs its own.
"""

import functools
from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.question("Q67")
def test_a_pre_hook_runs_before_anything_is_saved():
    """A hook of :meth:`~torch.nn.Module.register_state_dict_pre_hook` runs before ``state_dict()`` saves the
    module's values.

    It is given the module, the prefix and ``keep_vars``; what it changes in the module is saved. It prepares
    a module, by merging weights for instance. Keys are renamed by a post-hook.
    """
    calls = []
    layer = nn.Linear(2, 1, bias=False)

    def merge(module, prefix, keep_vars):
        calls.append((module, prefix, keep_vars))
        module.weight = nn.Parameter(torch.tensor([[0.5, 0.25]]))

    layer.register_state_dict_pre_hook(merge)
    state = nn.Sequential(nn.ReLU(), layer).state_dict(prefix="head.", keep_vars=True)

    assert calls == [(layer, "head.1.", True)]
    assert state["head.1.weight"].tolist() == [[0.5, 0.25]]


@pytest.mark.question("Q67")
@pytest.mark.parametrize(
    "returned", [{"x": 1}, "other.", False, ("other.", True)], ids=["dict", "prefix", "false", "pair"]
)
def test_what_a_pre_hook_returns_is_ignored(returned):
    """The return value of a :meth:`~torch.nn.Module.register_state_dict_pre_hook` hook is ignored."""
    layer = nn.Linear(2, 3)
    layer.register_state_dict_pre_hook(lambda module, prefix, keep_vars: returned)
    state = layer.state_dict()

    assert list(state) == ["weight", "bias"]
    assert [value.requires_grad for value in state.values()] == [False, False]
    assert list(nn.Sequential(layer).state_dict()) == ["0.weight", "0.bias"]


def test_pre_hooks_run_from_the_outside_in():
    """``state_dict`` runs pre-hooks in order of registration, a module's before its submodules'."""
    calls = []
    net = nn.Sequential(nn.ReLU())
    net[0].register_state_dict_pre_hook(lambda module, prefix, keep_vars: calls.append(prefix))
    net[0].register_state_dict_pre_hook(lambda *args: calls.append("inner"))
    net.register_state_dict_pre_hook(lambda *args: calls.append("first"))
    net.register_state_dict_pre_hook(lambda *args: calls.append("second"))

    net.state_dict()

    assert calls == ["first", "second", "0.", "inner"]


def test_a_pre_hook_can_be_removed():
    """``handle.remove()`` of a :meth:`~torch.nn.Module.register_state_dict_pre_hook` hook removes that
    hook and no other.
    """
    calls = []
    layer = nn.ReLU()
    layer.register_state_dict_pre_hook(lambda *args: calls.append("first"))
    handle = layer.register_state_dict_pre_hook(lambda *args: calls.append("removed"))
    layer.register_state_dict_pre_hook(lambda *args: calls.append("last"))

    handle.remove()
    handle.remove()
    layer.state_dict()

    assert calls == ["first", "last"]


@pytest.mark.since("2.1")
def test_pre_hooks_run_where_saving_is_overridden():
    """``state_dict`` also runs pre-hooks of a module that overrides ``_save_to_state_dict``, as lazy modules
    do.

    In torch 2.0 pre-hooks of lazy modules were not run (:pull:`98964`).
    """
    calls = []

    class Table(nn.Module):
        def _save_to_state_dict(self, destination, prefix, keep_vars):
            calls.append("saved")

    net = nn.Sequential(nn.LazyLinear(3), Table())
    for layer in net:
        layer.register_state_dict_pre_hook(lambda module, prefix, keep_vars: calls.append(prefix))

    net.state_dict()

    assert calls == ["0.", "1.", "saved"]


@pytest.mark.before("2.1")
def test_pre_hooks_of_lazy_modules_do_not_run():
    """``state_dict`` does not run pre-hooks of lazy modules, which override ``_save_to_state_dict``."""
    calls = []
    layer = nn.LazyLinear(3)
    layer.register_state_dict_pre_hook(lambda module, prefix, keep_vars: calls.append(prefix))

    layer.state_dict()

    assert calls == []


@pytest.mark.question("Q67")
@pytest.mark.since("2.5")
def test_a_post_hook_changes_the_dict_in_place():
    """A hook of :meth:`~torch.nn.Module.register_state_dict_post_hook` can change the finished state dict in
    place.

    It is given the module, the dict, the prefix and the module's metadata. It is public since torch 2.5
    (:pull:`131690`); before, there was only ``_register_state_dict_hook``.
    """
    calls = []
    net = nn.Sequential(nn.Linear(2, 3))

    def rename(module, state_dict, prefix, local_metadata):
        calls.append((module, list(state_dict), prefix, local_metadata))
        state_dict[prefix + "kernel"] = state_dict.pop(prefix + "0.weight")

    net.register_state_dict_post_hook(rename)
    state = nn.ModuleDict({"body": net}).state_dict(prefix="head.")

    assert calls == [(net, ["head.body.0.weight", "head.body.0.bias"], "head.body.", {"version": 1})]
    assert list(state) == ["head.body.0.bias", "head.body.kernel"]


@pytest.mark.question("Q67")
@pytest.mark.since("2.5")
@pytest.mark.parametrize("returned", [{"x": 1}, {}, False], ids=["dict", "empty", "false"])
def test_a_post_hook_must_return_none(returned):
    """``state_dict()`` raises ``RuntimeError`` if a public post-hook returns anything but ``None``.

    It is a ``RuntimeError``: change the dict in place. Only hooks of ``_register_state_dict_hook`` may return
    another.
    """
    quiet, loud, same = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(2, 3)
    quiet.register_state_dict_post_hook(lambda module, state_dict, prefix, metadata: None)
    loud.register_state_dict_post_hook(lambda module, state_dict, prefix, metadata: returned)
    same.register_state_dict_post_hook(lambda module, state_dict, prefix, metadata: state_dict)

    assert list(quiet.state_dict()) == ["weight", "bias"]
    for net in (loud, nn.Sequential(loud), same):
        with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
            net.state_dict()


@pytest.mark.since("2.5")
def test_post_hooks_run_from_the_inside_out():
    """``state_dict`` runs post-hooks in order of registration, a module's after its submodules'."""
    calls = []
    net = nn.Sequential(nn.ReLU())
    net.register_state_dict_post_hook(lambda *args: calls.append("first"))
    net.register_state_dict_post_hook(lambda *args: calls.append("second"))
    net[0].register_state_dict_post_hook(lambda module, state, prefix, metadata: calls.append(prefix))
    net[0].register_state_dict_post_hook(lambda *args: calls.append("inner"))

    net.state_dict()

    assert calls == ["0.", "inner", "first", "second"]


@pytest.mark.since("2.5")
def test_a_post_hook_of_a_submodule_sees_the_whole_dict():
    """A ``register_state_dict_post_hook`` hook of a submodule gets the whole dict so far, with full keys."""
    seen = []
    net = nn.Sequential(nn.PReLU(), nn.PReLU(), nn.PReLU())
    net[1].register_state_dict_post_hook(lambda module, state, prefix, metadata: seen.append(list(state)))

    net.state_dict()

    assert seen == [["0.weight", "1.weight"]]


@pytest.mark.since("2.5")
def test_a_post_hook_can_be_removed():
    """``handle.remove()`` of a :meth:`~torch.nn.Module.register_state_dict_post_hook` hook removes that
    hook and no other.
    """
    calls = []
    layer = nn.ReLU()
    layer.register_state_dict_post_hook(lambda *args: calls.append("first"))
    handle = layer.register_state_dict_post_hook(lambda *args: calls.append("removed"))
    layer.register_state_dict_post_hook(lambda *args: calls.append("last"))

    handle.remove()
    handle.remove()
    layer.state_dict()

    assert calls == ["first", "last"]


@pytest.mark.since("2.5")
def test_a_bound_method_cannot_be_a_post_hook():
    """``register_state_dict_post_hook`` raises ``AttributeError`` for a bound method.

    It sets an attribute on the hook. Wrap the method in a function or a ``functools.partial``.
    """

    class Net(nn.ReLU):
        def rename(self, module, state_dict, prefix, local_metadata):
            pass

    net = Net()

    with pytest.raises(AttributeError, match="'method' object has no attribute '_from_public_api'"):
        net.register_state_dict_post_hook(net.rename)

    net.register_state_dict_post_hook(functools.partial(net.rename))
    assert net.state_dict() == {}


@pytest.mark.question("Q67")
def test_a_private_post_hook_of_the_root_may_return():
    """A ``_register_state_dict_hook`` hook of the module whose ``state_dict()`` is called can return another
    dict.

    The next hook is given that dict, and the caller the last one.
    """
    seen = []
    layer = nn.Linear(2, 3)
    layer._register_state_dict_hook(lambda *args: None)
    layer._register_state_dict_hook(lambda module, state, prefix, metadata: OrderedDict(kernel=1))
    layer._register_state_dict_hook(lambda *args: seen.append(args))

    state = layer.state_dict(prefix="head.")

    assert state == {"kernel": 1}
    assert seen == [(layer, {"kernel": 1}, "head.", {"version": 1})]
    layer._register_state_dict_hook(lambda *args: {})
    assert layer.state_dict() == {}


@pytest.mark.question("Q67")
def test_a_private_post_hook_of_a_submodule_may_not():
    """The return value of a ``_register_state_dict_hook`` hook of a submodule is ignored.

    Only what it changes in place arrives (:issue:`117437`).
    """
    layer = nn.PReLU()

    def rename(module, state_dict, prefix, local_metadata):
        state_dict[prefix + "slope"] = state_dict.pop(prefix + "weight")
        return OrderedDict(kernel=1)

    layer._register_state_dict_hook(rename)

    assert list(nn.Sequential(layer).state_dict(prefix="head.")) == ["head.0.slope"]


def test_a_private_post_hook_can_be_removed():
    """``handle.remove()`` of a ``_register_state_dict_hook`` hook removes that hook and no other."""
    calls = []
    layer = nn.ReLU()
    layer._register_state_dict_hook(lambda *args: calls.append("first"))
    handle = layer._register_state_dict_hook(lambda *args: calls.append("removed"))
    layer._register_state_dict_hook(lambda *args: calls.append("last"))

    handle.remove()
    handle.remove()
    layer.state_dict()

    assert calls == ["first", "last"]


@pytest.mark.since("2.5")
def test_a_public_post_hook_cannot_become_private():
    """``_register_state_dict_hook`` raises ``RuntimeError`` for a hook of
    ``register_state_dict_post_hook``.
    """
    layer = nn.ReLU()

    def hook(module, state_dict, prefix, local_metadata):
        pass

    layer.register_state_dict_post_hook(hook)

    with pytest.raises(RuntimeError, match="previously registered via register_state_dict_post_hook"):
        layer._register_state_dict_hook(hook)
