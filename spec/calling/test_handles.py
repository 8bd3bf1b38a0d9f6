"""Handles: what registering a hook returns, and what removes it.

:class:`~torch.utils.hooks.RemovableHandle` remembers where its hook is kept, but keeps nothing alive. What
becomes of it in a copy or a pickle is the subject of *handles* in the part on copying.
"""

import gc
import weakref
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


@pytest.mark.parametrize(
    "kind", ["forward_pre_hook", "forward_hook", "full_backward_pre_hook", "full_backward_hook"]
)
def test_remove_takes_one_hook_out(kind):
    """:meth:`RemovableHandle.remove() <torch.utils.hooks.RemovableHandle.remove>` removes its hook and no
    other.

    Keep the handle that a ``register_...`` method returns: a hook that is left behind runs in every later
    call, and what it refers to stays in memory.
    """
    identity = nn.Identity()
    calls, register = [], getattr(identity, f"register_{kind}")
    register(lambda *given: calls.append("first"))
    handle = register(lambda *given: calls.append("second"))
    register(lambda *given: calls.append("third"))

    assert handle.remove() is None
    identity(torch.rand(2, requires_grad=True)).sum().backward()
    assert calls == ["first", "third"]


def test_a_hook_outlives_its_handle():
    """A hook stays on its module when its ``RemovableHandle`` is deleted without ``remove()``.

    So an object that registers hooks must keep the handles and remove them when it is done. Otherwise the
    hooks run on, and keep alive what they refer to.
    """
    calls = []
    net = nn.Identity()
    handle = net.register_forward_hook(lambda *given: calls.append("hook"))
    del handle
    gc.collect()

    net(torch.rand(2))

    assert calls == ["hook"]


def test_removing_twice_is_allowed(recwarn):
    """Calling ``RemovableHandle.remove`` a second time does nothing."""
    identity = nn.Identity()
    handle = identity.register_forward_hook(lambda *given: None, with_kwargs=True)
    other = identity.register_forward_hook(lambda *given: None, with_kwargs=True)
    backward = identity.register_full_backward_hook(lambda *given: None)
    for removed in (handle, handle, backward, backward):
        removed.remove()

    assert [str(warning.message) for warning in recwarn] == []
    assert [list(identity._forward_hooks), list(identity._backward_hooks)] == [[other.id], []]
    assert list(identity._forward_hooks_with_kwargs) == [other.id]


@pytest.mark.parametrize("error", [KeyError, RuntimeError])
def test_a_handle_is_a_context(error):
    """A ``RemovableHandle`` in a ``with`` statement removes its hook at the end, even after an exception.

    This is the safe form for a hook that serves one measurement: none is left behind to slow the module down.
    """
    identity = nn.Identity()
    calls = []
    with identity.register_forward_hook(lambda *given: calls.append("hook")) as handle:
        identity(3)
    identity(3)
    assert type(handle) is RemovableHandle
    assert calls == ["hook"]

    with (
        pytest.raises(error, match="inside"),
        identity.register_forward_hook(lambda *given: calls.append("raise")),
    ):
        raise error("inside")
    assert dict(identity._forward_hooks) == {}


def test_every_handle_has_its_own_number():
    """Each registered hook gets a ``RemovableHandle`` with the next ``id``, counted over the whole
    process.
    """
    identity, other = nn.Identity(), nn.Tanh()
    first = identity.register_forward_hook(lambda *given: None)
    second = other.register_full_backward_hook(lambda *given: None)
    third = other.register_load_state_dict_post_hook(print)
    fourth = torch.rand(2, requires_grad=True).register_hook(lambda gradient: None)

    assert [hook.id - first.id for hook in (second, third, fourth)] == [1, 2, 3]
    assert RemovableHandle.next_id == fourth.id + 1


@pytest.mark.parametrize(
    "kind", ["forward_pre_hook", "forward_hook", "full_backward_pre_hook", "full_backward_hook"]
)
def test_a_handle_keeps_no_module_alive(kind):
    """A ``RemovableHandle`` keeps neither module nor hook alive; ``remove()`` works after they are
    deleted.
    """

    def hook(*given): ...

    identity, options = nn.Identity(), {} if "backward" in kind else {"with_kwargs": True}
    handle = getattr(identity, f"register_{kind}")(hook, **options)
    module, function = weakref.ref(identity), weakref.ref(hook)
    del identity, hook
    gc.collect()

    assert module() is None
    assert function() is None
    assert handle.remove() is None


def test_an_extra_store_forgets_the_number_too():
    """``RemovableHandle.remove`` also deletes the handle's ``id`` from a dict given as ``extra_dict``."""
    hooks, extra = OrderedDict(), OrderedDict()
    handle = RemovableHandle(hooks, extra_dict=extra)
    for store in (hooks, extra):
        store.update({handle.id: "mine", handle.id + 1: "other"})
    handle.remove()

    assert [list(store.values()) for store in (hooks, extra)] == [["other"], ["other"]]


@pytest.mark.since("2.1")
def test_there_may_be_several_extra_stores():
    """``RemovableHandle.remove`` deletes the handle's ``id`` from every dict in a list given as
    ``extra_dict``.
    """
    hooks, first, second = OrderedDict(), OrderedDict(), OrderedDict()
    handle = RemovableHandle(hooks, extra_dict=[first, second])
    for store in (hooks, first, second):
        store.update({handle.id: "mine", handle.id + 1: "other"})
    handle.remove()

    assert [list(store.values()) for store in (hooks, first, second)] == [["other"]] * 3
