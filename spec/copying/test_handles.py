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
    """A ``RemovableHandle`` deep-copied or pickled with its module removes only the copy's hook.

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


def test_a_handle_alone_is_dead():
    """If a ``RemovableHandle`` is pickled without its module, ``remove()`` does nothing after unpickling.

    A handle holds its dictionary of hooks weakly. Pickle it together with the module.
    """
    net = nn.Linear(2, 3)
    handle = net.register_forward_pre_hook(print)
    loaded = pickle.loads(pickle.dumps(handle))

    loaded.remove()

    assert loaded.id == handle.id
    assert loaded.hooks_dict_ref() is None
    assert list(net._forward_pre_hooks.values()) == [print]


def test_a_handle_of_a_dead_module(twin_of):
    """A ``RemovableHandle`` of a full backward hook can be copied and pickled after its module was
    deleted.
    """
    handle = nn.Linear(2, 3).register_full_backward_hook(print)
    copied = twin_of(handle)

    assert copied.remove() is None
    assert copied.id == handle.id
    assert copied.hooks_dict_ref() is None


@pytest.mark.since("2.1")
@pytest.mark.parametrize("kind", ["forward_pre_hook", "forward_hook"])
def test_a_handle_of_a_dead_forward_hook(twin_of, kind):
    """Copying or unpickling a ``RemovableHandle`` of a forward hook of a deleted module raises ``TypeError``.

    So keep handles and their modules together, or drop the handles.
    """
    handle = getattr(nn.Linear(2, 3), f"register_{kind}")(print)

    for twin in (twin_of, copy.copy):
        with pytest.raises(TypeError, match="cannot create weak reference to 'NoneType' object"):
            twin(handle)


@pytest.mark.before("2.1")
def test_a_handle_of_a_dead_forward_hook_is_copied():
    """A ``RemovableHandle`` of a forward pre-hook can be deep-copied after its module was deleted."""
    handle = nn.Linear(2, 3).register_forward_pre_hook(print)
    copied = copy.deepcopy(handle)

    assert copied is not handle
    assert copied.id == handle.id


def test_numbers_are_not_given_twice():
    """Unpickling a ``RemovableHandle`` sets ``RemovableHandle.next_id`` to at least its own ``id`` plus 1."""
    hooks = OrderedDict()
    first = RemovableHandle(hooks)
    first.__setstate__((hooks, first.id + 5))
    second = RemovableHandle(hooks)

    assert first.hooks_dict_ref() is hooks
    assert second.id == first.id + 1

    first.__setstate__((hooks, 0))
    assert RemovableHandle(hooks).id == second.id + 1


def test_numbers_never_go_down():
    """Unpickling a ``RemovableHandle`` whose ``id`` is below ``RemovableHandle.next_id`` keeps
    ``next_id``.
    """
    hooks = OrderedDict()
    first, second = RemovableHandle(hooks), RemovableHandle(hooks)

    first.__setstate__((None, first.id))

    assert RemovableHandle(hooks).id == second.id + 1


@pytest.mark.parametrize("further", [(), (None,)], ids=["without", "none"])
def test_a_handle_of_an_older_torch(further):
    """A ``RemovableHandle`` pickled by an older torch, without ``extra_dict``, still removes its hook."""
    hooks = OrderedDict({7: "mine", 8: "other"})
    handle = RemovableHandle(OrderedDict())
    handle.__setstate__((hooks, 7, *further))

    handle.remove()

    assert handle.id == 7
    assert hooks == {8: "other"}


@pytest.mark.since("2.1")
def test_several_dictionaries_come_back():
    """A ``RemovableHandle`` with several dicts as ``extra_dict`` keeps them all when pickled
    (:pull:`104278`).
    """
    hooks, first, second = (OrderedDict({7: "mine", 8: "other"}) for _ in range(3))
    handle, empty = RemovableHandle(OrderedDict()), OrderedDict()
    handle.__setstate__((hooks, 7, (first, empty, second)))

    assert handle.__getstate__() == (hooks, 7, (first, {}, second))

    handle.remove()

    assert [hooks, first, second] == [{8: "other"}, {8: "other"}, {8: "other"}]


def test_a_deep_copy_keeps_hooks_with_keywords():
    """After ``copy.deepcopy``, a hook registered with ``with_kwargs=True`` still gets the keyword
    arguments.
    """
    calls = []

    def note(module, args, kwargs, *output):
        calls.append((args, list(kwargs), len(output)))

    net = nn.Linear(2, 3)
    net.register_forward_pre_hook(note, with_kwargs=True)
    net.register_forward_hook(note, with_kwargs=True)
    copy.deepcopy(net)(input=torch.rand(4, 2))

    assert calls == [((), ["input"], 0), ((), ["input"], 1)]
