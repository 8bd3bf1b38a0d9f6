"""Hook handles that are copied or pickled.

A :class:`~torch.utils.hooks.RemovableHandle` knows its dictionary of hooks and its own number in it. It is of
use after a copy only if the dictionary is copied with it.
"""

import copy
import pickle
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


@pytest.mark.parametrize(
    "take", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("kind", ["forward_pre_hook", "forward_hook"])
def test_a_handle_in_a_module_goes_with_it(take, kind):
    """A handle that is copied or pickled with its module removes the hook of that copy only."""
    net = nn.Linear(2, 3)
    net.handle = getattr(net, f"register_{kind}")(print, with_kwargs=True)
    copied = take(net)
    taken = list(getattr(copied, f"_{kind}s").values())
    copied.handle.remove()

    stores = (f"_{kind}s", f"_{kind}s_with_kwargs")
    assert (taken, copied.handle.id) == ([print], net.handle.id)
    assert [len(getattr(copied, store)) for store in stores] == [0, 0]
    assert [len(getattr(net, store)) for store in stores] == [1, 1]


@pytest.mark.observed
def test_a_handle_alone_is_dead():
    """A handle that comes back from a pickle alone removes nothing: its dictionary is gone."""
    net = nn.Linear(2, 3)
    handle = pickle.loads(pickle.dumps(net.register_forward_pre_hook(print)))
    handle.remove()

    assert handle.hooks_dict_ref() is None
    assert list(net._forward_pre_hooks.values()) == [print]


@pytest.mark.observed
@pytest.mark.parametrize(
    "take", [copy.deepcopy, lambda handle: pickle.loads(pickle.dumps(handle))], ids=["copy", "pickle"]
)
def test_a_handle_of_a_dead_module(take):
    """A handle whose module is gone is copied and pickled all the same, and removes nothing."""
    handle = nn.Linear(2, 3).register_full_backward_hook(print)
    copied = take(handle)

    assert copied.remove() is None
    assert (copied.id, copied.hooks_dict_ref()) == (handle.id, None)


@pytest.mark.since("2.1")
@pytest.mark.observed
@pytest.mark.parametrize(
    "take", [copy.deepcopy, lambda handle: pickle.loads(pickle.dumps(handle))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("kind", ["forward_pre_hook", "forward_hook"])
def test_a_handle_of_a_dead_forward_hook(take, kind):
    """A handle of a forward hook whose module is gone can be neither copied nor read back."""
    handle = getattr(nn.Linear(2, 3), f"register_{kind}")(print)

    with pytest.raises(TypeError, match="cannot create weak reference to 'NoneType' object"):
        take(handle)


@pytest.mark.before("2.1")
@pytest.mark.observed
def test_a_handle_of_a_dead_forward_hook_is_copied():
    """A handle of a forward hook whose module is gone is copied like any other handle."""
    handle = nn.Linear(2, 3).register_forward_pre_hook(print)

    assert copy.deepcopy(handle).id == handle.id


@pytest.mark.observed
def test_numbers_are_not_given_twice():
    """A handle that comes back raises the next number above its own, so that no number is given twice."""
    hooks = OrderedDict()
    first = RemovableHandle(hooks)
    first.__setstate__((hooks, first.id + 5))
    second = RemovableHandle(hooks)

    assert first.hooks_dict_ref() is hooks
    assert second.id == first.id + 1


@pytest.mark.observed
def test_numbers_never_go_down():
    """A handle with a low number leaves the next number as it is."""
    hooks = OrderedDict()
    first, second = RemovableHandle(hooks), RemovableHandle(hooks)
    first.__setstate__((None, first.id))

    assert RemovableHandle(hooks).id == second.id + 1


@pytest.mark.observed
@pytest.mark.parametrize("further", [(), (None,)], ids=["without", "none"])
def test_a_handle_of_an_older_torch(further):
    """A handle pickled by an older torch, without further dictionaries, removes from the one it has."""
    hooks = OrderedDict({7: "mine", 8: "other"})
    handle = RemovableHandle(OrderedDict())
    handle.__setstate__((hooks, 7, *further))
    handle.remove()

    assert (handle.id, hooks) == (7, {8: "other"})


@pytest.mark.since("2.1")
@pytest.mark.observed
def test_several_dictionaries_come_back():
    """A handle of several dictionaries keeps them all through its state (:pull:`104278`)."""
    hooks, first, second = (OrderedDict({7: "mine", 8: "other"}) for _ in range(3))
    handle = RemovableHandle(OrderedDict())
    handle.__setstate__((hooks, 7, (first, second)))

    assert handle.__getstate__() == (hooks, 7, (first, second))

    handle.remove()

    assert (hooks, first, second) == ({8: "other"}, {8: "other"}, {8: "other"})


def test_a_deep_copy_keeps_hooks_with_keywords():
    """A hook that takes keyword arguments goes on taking them in a deep copy."""
    calls = []
    net = nn.Linear(2, 3)
    net.register_forward_pre_hook(lambda module, args, kwargs: calls.append(list(kwargs)), with_kwargs=True)
    copy.deepcopy(net)(input=torch.rand(4, 2))

    assert calls == [["input"]]
