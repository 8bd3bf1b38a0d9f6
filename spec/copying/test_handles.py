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


def through_pickle(value):
    return pickle.loads(pickle.dumps(value))


@pytest.fixture(params=[copy.deepcopy, through_pickle], ids=["copy", "pickle"])
def twin_of(request):
    return request.param


@pytest.mark.parametrize("kind", ["forward_pre_hook", "forward_hook"])
def test_a_handle_in_a_module_goes_with_it(twin_of, kind):
    """A ``RemovableHandle`` copied or pickled with its module removes the hook of that copy alone.

    So keep the handle as an attribute of the module if copies are to be able to take the hook off.
    """
    net = nn.Linear(2, 3)
    net.handle = getattr(net, f"register_{kind}")(print, with_kwargs=True)
    copied = twin_of(net)

    assert list(getattr(copied, f"_{kind}s").values()) == [print]

    copied.handle.remove()

    stores = [f"_{kind}s", f"_{kind}s_with_kwargs"]
    assert copied.handle.id == net.handle.id
    assert [len(getattr(copied, store)) for store in stores] == [0, 0]
    assert [len(getattr(net, store)) for store in stores] == [1, 1]


@pytest.mark.observed
def test_a_handle_alone_is_dead():
    """A ``RemovableHandle`` pickled without its module removes nothing when it comes back: it leads
    nowhere.

    A handle holds its dictionary of hooks weakly. Pickle it together with the module.
    """
    net = nn.Linear(2, 3)
    handle = net.register_forward_pre_hook(print)
    loaded = pickle.loads(pickle.dumps(handle))

    loaded.remove()

    assert loaded.id == handle.id
    assert loaded.hooks_dict_ref() is None
    assert list(net._forward_pre_hooks.values()) == [print]


@pytest.mark.observed
def test_a_handle_of_a_dead_module(twin_of):
    """A ``RemovableHandle`` whose module is gone is copied and pickled all the same, and removes nothing."""
    handle = nn.Linear(2, 3).register_full_backward_hook(print)
    copied = twin_of(handle)

    assert copied.remove() is None
    assert copied.id == handle.id
    assert copied.hooks_dict_ref() is None


@pytest.mark.since("2.1")
@pytest.mark.observed
@pytest.mark.parametrize("kind", ["forward_pre_hook", "forward_hook"])
def test_a_handle_of_a_dead_forward_hook(twin_of, kind):
    """A ``RemovableHandle`` of a forward hook whose module is gone is neither copied nor read back.

    So keep handles and their modules together, or drop the handles.
    """
    handle = getattr(nn.Linear(2, 3), f"register_{kind}")(print)

    with pytest.raises(TypeError, match="cannot create weak reference to 'NoneType' object"):
        twin_of(handle)


@pytest.mark.before("2.1")
@pytest.mark.observed
def test_a_handle_of_a_dead_forward_hook_is_copied():
    """A ``RemovableHandle`` of a forward hook whose module is gone is copied like any other handle."""
    handle = nn.Linear(2, 3).register_forward_pre_hook(print)
    copied = copy.deepcopy(handle)

    assert copied is not handle
    assert copied.id == handle.id


@pytest.mark.observed
def test_numbers_are_not_given_twice():
    """A ``RemovableHandle`` that comes back raises the next ``id`` above its own: none is given twice."""
    hooks = OrderedDict()
    first = RemovableHandle(hooks)
    first.__setstate__((hooks, first.id + 5))
    second = RemovableHandle(hooks)

    assert first.hooks_dict_ref() is hooks
    assert second.id == first.id + 1


@pytest.mark.observed
def test_numbers_never_go_down():
    """A ``RemovableHandle`` that comes back with a low ``id`` leaves the next one as it is."""
    hooks = OrderedDict()
    first, second = RemovableHandle(hooks), RemovableHandle(hooks)

    first.__setstate__((None, first.id))

    assert RemovableHandle(hooks).id == second.id + 1


@pytest.mark.observed
@pytest.mark.parametrize("further", [(), (None,)], ids=["without", "none"])
def test_a_handle_of_an_older_torch(further):
    """A ``RemovableHandle`` pickled by an older torch, with a single dictionary, removes from that one."""
    hooks = OrderedDict({7: "mine", 8: "other"})
    handle = RemovableHandle(OrderedDict())
    handle.__setstate__((hooks, 7, *further))

    handle.remove()

    assert handle.id == 7
    assert hooks == {8: "other"}


@pytest.mark.since("2.1")
@pytest.mark.observed
def test_several_dictionaries_come_back():
    """A ``RemovableHandle`` of several dictionaries keeps them all through its state (:pull:`104278`)."""
    hooks, first, second = (OrderedDict({7: "mine", 8: "other"}) for _ in range(3))
    handle = RemovableHandle(OrderedDict())
    handle.__setstate__((hooks, 7, (first, second)))

    assert handle.__getstate__() == (hooks, 7, (first, second))

    handle.remove()

    assert [hooks, first, second] == [{8: "other"}, {8: "other"}, {8: "other"}]


def test_a_deep_copy_keeps_hooks_with_keywords():
    """A hook registered with ``with_kwargs=True`` goes on taking keyword arguments in a ``copy.deepcopy``."""
    calls = []

    def before(module, args, kwargs):
        calls.append((args, list(kwargs)))

    net = nn.Linear(2, 3)
    net.register_forward_pre_hook(before, with_kwargs=True)
    copy.deepcopy(net)(input=torch.rand(4, 2))

    assert calls == [((), ["input"])]
