"""Handles: what registering a hook returns, and what removes it.

:class:`~torch.utils.hooks.RemovableHandle` remembers where its hook is kept, but keeps nothing alive.
"""

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


def test_remove_takes_one_hook_out():
    """:meth:`~torch.utils.hooks.RemovableHandle.remove` takes out its own hook and no other."""
    identity = nn.Identity()
    calls = []
    identity.register_forward_hook(lambda *given: calls.append("first"))
    handle = identity.register_forward_hook(lambda *given: calls.append("second"))
    identity.register_forward_hook(lambda *given: calls.append("third"))

    assert handle.remove() is None
    identity(3)
    assert calls == ["first", "third"]


def test_removing_twice_is_allowed():
    """Removing a hook that is gone already does nothing."""
    identity = nn.Identity()
    handle = identity.register_forward_hook(lambda *given: None, with_kwargs=True)
    handle.remove()
    handle.remove()

    assert dict(identity._forward_hooks) == {}


def test_a_handle_is_a_context():
    """As a context a handle removes its hook on leaving, also when an exception is raised."""
    identity = nn.Identity()
    calls = []
    with identity.register_forward_hook(lambda *given: calls.append("hook")) as handle:
        identity(3)
    identity(3)
    with pytest.raises(KeyError), identity.register_forward_hook(lambda *given: calls.append("raise")):
        raise KeyError

    assert type(handle) is RemovableHandle
    assert calls == ["hook"]
    assert dict(identity._forward_hooks) == {}


def test_every_handle_has_its_own_number():
    """Every handle of the process has a number of its own, one higher than the one before."""
    identity, other = nn.Identity(), nn.Tanh()
    first = identity.register_forward_hook(lambda *given: None)
    second = other.register_full_backward_hook(lambda *given: None)
    third = torch.rand(2, requires_grad=True).register_hook(lambda gradient: None)

    assert [second.id - first.id, third.id - first.id] == [1, 2]
    assert RemovableHandle.next_id == third.id + 1


def test_a_handle_keeps_no_module_alive():
    """A handle does not keep the module alive, and may be removed after the module is gone."""
    identity = nn.Identity()
    gone = weakref.ref(identity)
    handle = identity.register_forward_hook(lambda *given: None, with_kwargs=True)
    del identity
    gc.collect()

    assert gone() is None
    assert handle.remove() is None


def test_an_extra_store_forgets_the_number_too():
    """A handle made with ``extra_dict`` takes its number out of that dict as well."""
    hooks, extra = OrderedDict(), OrderedDict()
    handle = RemovableHandle(hooks, extra_dict=extra)
    for store in (hooks, extra):
        store.update({handle.id: "mine", handle.id + 1: "other"})
    handle.remove()

    assert [list(store.values()) for store in (hooks, extra)] == [["other"], ["other"]]


@pytest.mark.since("2.1")
def test_there_may_be_several_extra_stores():
    """A handle made with a list as ``extra_dict`` takes its number out of every dict in it."""
    hooks, first, second = OrderedDict(), OrderedDict(), OrderedDict()
    handle = RemovableHandle(hooks, extra_dict=[first, second])
    for store in (hooks, first, second):
        store.update({handle.id: "mine", handle.id + 1: "other"})
    handle.remove()

    assert [list(store.values()) for store in (hooks, first, second)] == [["other"]] * 3


def test_a_pickled_handle_goes_with_a_pickled_module():
    """A handle pickled together with its module removes the hook of the module read back."""
    identity = nn.Identity()
    handle = identity.register_forward_hook(print, with_kwargs=True)
    other, other_handle = pickle.loads(pickle.dumps((identity, handle)))
    assert list(other._forward_hooks.values()) == [print]
    other_handle.remove()

    assert (other_handle.id, dict(other._forward_hooks)) == (handle.id, {})
    assert dict(other._forward_hooks_with_kwargs) == {}
    assert list(identity._forward_hooks.values()) == [print]


@pytest.mark.observed
def test_a_copied_handle_goes_with_a_copied_module():
    """A deep copy of a module and a handle removes the hook of the copy only."""
    identity = nn.Identity()
    pair = (identity, identity.register_forward_pre_hook(print, with_kwargs=True))
    other, other_handle = copy.deepcopy(pair)
    other_handle.remove()

    assert (len(identity._forward_pre_hooks), len(other._forward_pre_hooks)) == (1, 0)
    stores = (identity._forward_pre_hooks_with_kwargs, other._forward_pre_hooks_with_kwargs)
    assert [len(store) for store in stores] == [1, 0]


@pytest.mark.observed
def test_a_handle_read_back_raises_the_next_number():
    """Reading a handle back raises the next number above its own, so that numbers stay unique."""
    hooks = OrderedDict()
    handle = RemovableHandle(hooks)
    handle.id = RemovableHandle.next_id + 5
    other = RemovableHandle.__new__(RemovableHandle)
    other.__setstate__(handle.__getstate__())

    assert (other.id, other.hooks_dict_ref() is hooks) == (handle.id, True)
    assert RemovableHandle.next_id == handle.id + 1


@pytest.mark.observed
@pytest.mark.parametrize("rest", [(), (None,)], ids=["without_extra", "with_none"])
def test_a_handle_of_an_older_torch_is_read_back(rest):
    """A handle pickled without extra stores removes its hook, and leaves the next number if higher."""
    hooks = OrderedDict({3: "mine", 5: "other"})
    next_id = RemovableHandle(hooks).id + 1
    handle = RemovableHandle.__new__(RemovableHandle)
    handle.__setstate__((hooks, 3, *rest))
    handle.remove()

    assert (handle.id, dict(hooks)) == (3, {5: "other"})
    assert RemovableHandle.next_id == next_id


@pytest.mark.observed
def test_a_handle_whose_module_is_gone_is_read_back_dead():
    """A handle whose module is gone can be pickled; read back, its removal does nothing."""
    handle = nn.Identity().register_full_backward_hook(print)
    gc.collect()
    other = pickle.loads(pickle.dumps(handle))

    assert (other.id, other.hooks_dict_ref()) == (handle.id, None)
    assert other.remove() is None


@pytest.mark.since("2.1")
@pytest.mark.observed
def test_a_forward_hook_handle_cannot_be_read_back():
    """The handle of a forward hook cannot be read back once its module is gone."""
    handle = nn.Identity().register_forward_hook(print)
    gc.collect()
    pickled = pickle.dumps(handle)

    with pytest.raises(TypeError, match="cannot create weak reference to 'NoneType' object"):
        pickle.loads(pickled)
