"""Hooks of an optimizer: around its step, and around the saving and loading of its state.

They are registered on one optimizer, or for all optimizers at once.
"""

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim import optimizer as optimizers


class Descent(torch.optim.Optimizer):  # torch 2.1 and 2.2 lose step hooks of the classes in torch.optim
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            parameter.data.sub_(0.0 if parameter.grad is None else 0.5 * parameter.grad)
        return closure and closure()


def test_a_step_pre_hook_comes_before_the_step():
    """:meth:`Optimizer.register_step_pre_hook <torch.optim.Optimizer.register_step_pre_hook>` calls
    ``hook(optimizer, args, kwargs)`` before ``step()``.
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = Descent([weight], {})
    weight.grad = torch.tensor([2.0])
    calls = []
    optimizer.register_step_pre_hook(lambda *given: calls.append((*given, weight.item())))
    optimizer.step(None)
    optimizer.step(closure=None)

    assert calls[0] == (optimizer, (optimizer, None), {}, 3.0)
    assert calls[1:] == [(optimizer, (optimizer,), {"closure": None}, 2.0)]
    assert weight.item() == 1.0


def test_a_step_post_hook_comes_after_the_step():
    """:meth:`Optimizer.register_step_post_hook <torch.optim.Optimizer.register_step_post_hook>` calls
    ``hook(optimizer, args, kwargs)`` after ``step()``.
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = Descent([weight], {})
    weight.grad = torch.tensor([2.0])
    calls = []
    optimizer.register_step_post_hook(lambda *given: calls.append((*given, weight.item())))
    optimizer.step(None)
    optimizer.step(closure=None)

    assert calls[0] == (optimizer, (optimizer, None), {}, 2.0)
    assert calls[1:] == [(optimizer, (optimizer,), {"closure": None}, 1.0)]


def test_a_step_pre_hook_may_change_the_arguments():
    """A step pre-hook may return new ``args`` for ``Optimizer.step``, with the optimizer first, and
    ``kwargs``.

    They take the place of all that was passed. Forget the optimizer, and the first argument is taken for it.
    """
    optimizer = Descent([nn.Parameter(torch.tensor([3.0]))], {})
    handle = optimizer.register_step_pre_hook(lambda _, args, kwargs: ((*args, lambda: 4.5), kwargs))
    assert optimizer.step() == 4.5
    handle.remove()
    handle = optimizer.register_step_pre_hook(lambda _, args, kwargs: (args, {"closure": lambda: 5.5}))
    assert optimizer.step() == 5.5
    handle.remove()
    handle = optimizer.register_step_pre_hook(lambda _, args, kwargs: (args[:1], {}))
    assert optimizer.step(lambda: 7.5) is None
    assert optimizer.step(closure=lambda: 8.5) is None
    handle.remove()
    optimizer.register_step_pre_hook(lambda _, args, kwargs: ((lambda: 6.5,), kwargs))

    with pytest.raises(AttributeError, match="'function' object has no attribute"):
        optimizer.step()


@pytest.mark.parametrize(
    "hook",
    [
        lambda *given: [given[1], given[2]],
        lambda *given: (*given[1:], 3),
        lambda *given: given[1],
        lambda *given: (),
        lambda *given: False,
    ],
    ids=["list", "triple", "arguments alone", "empty tuple", "false"],
)
def test_a_step_pre_hook_returns_a_pair_or_nothing(hook):
    """``Optimizer.step`` raises ``RuntimeError`` if a step pre-hook returns anything but ``None`` or a
    2-tuple.
    """
    optimizer = Descent([nn.Parameter(torch.tensor([3.0]))], {})
    optimizer.register_step_pre_hook(hook)

    with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs\)"):
        optimizer.step()


@pytest.mark.parametrize("kind", ["pre", "post"])
def test_a_step_hook_may_be_removed(kind):
    """``remove()`` of the handle of a step hook of an :class:`~torch.optim.Optimizer` takes that hook off."""
    optimizer = Descent([nn.Parameter(torch.tensor([3.0]))], {})
    calls = []
    register = getattr(optimizer, f"register_step_{kind}_hook")
    handle = register(lambda *given: calls.append("removed"))
    register(lambda *given: calls.append("stays"))

    optimizer.step()
    handle.remove()
    optimizer.step()

    assert type(handle) is torch.utils.hooks.RemovableHandle
    assert calls == ["removed", "stays", "stays"]


def test_a_hook_for_all_optimizers():
    """``register_optimizer_step_pre_hook`` and ``register_optimizer_step_post_hook`` hook every optimizer.

    The global hook comes first before the step, and last after it. It also counts for optimizers that were
    there before; remove it by its handle.
    """
    weight, calls = nn.Parameter(torch.tensor([3.0])), []
    earlier = Descent([weight], {})
    earlier.register_step_pre_hook(lambda *given: calls.append("own before"))
    earlier.register_step_post_hook(lambda *given: calls.append("own after"))
    before = optimizers.register_optimizer_step_pre_hook(lambda *given: calls.append("before"))
    after = optimizers.register_optimizer_step_post_hook(lambda *given: calls.append("after"))

    earlier.step()
    Descent([weight], {}).step()
    after.remove()
    earlier.step()
    before.remove()
    earlier.step()

    assert calls[:6] == ["before", "own before", "own after", "after", "before", "after"]
    assert calls[6:] == ["before", "own before", "own after", "own before", "own after"]


@pytest.mark.parametrize(("kind", "first", "second"), [("pre", 3.0, 2.0), ("post", 2.0, 1.0)])
def test_a_global_step_hook_gets_the_arguments(kind, first, second):
    """``register_optimizer_step_pre_hook`` and its ``post`` twin call ``hook(optimizer, args, kwargs)``."""
    weight, calls = nn.Parameter(torch.tensor([3.0])), []
    optimizer = Descent([weight], {})
    weight.grad = torch.tensor([2.0])
    register = getattr(optimizers, f"register_optimizer_step_{kind}_hook")
    handle = register(lambda *given: calls.append((*given, weight.item())))
    optimizer.step(None)
    optimizer.step(closure=None)
    handle.remove()

    assert calls[0] == (optimizer, (optimizer, None), {}, first)
    assert calls[1:] == [(optimizer, (optimizer,), {"closure": None}, second)]


@pytest.mark.since("2.1")
def test_a_state_dict_pre_hook_may_prepare():
    """``Optimizer.register_state_dict_pre_hook`` calls ``hook(optimizer)`` before the state dict is made.

    What the hook changes in the optimizer is saved.
    """
    optimizer = SGD([nn.Parameter(torch.tensor([3.0]))], lr=0.5)
    calls = []

    def halve(*given):
        calls.append(given)
        given[0].param_groups[0]["lr"] /= 2

    optimizer.register_state_dict_pre_hook(halve)
    assert calls == []

    assert optimizer.state_dict()["param_groups"][0]["lr"] == 0.25
    assert calls == [(optimizer,)]


@pytest.mark.since("2.1")
def test_a_state_dict_post_hook_may_change_the_dict():
    """``Optimizer.state_dict()`` returns the dict that a post-hook changed in place, or the one it returns.

    The hook is called with the optimizer and the dict.
    """
    optimizer = SGD([nn.Parameter(torch.tensor([3.0]))], lr=0.5)
    calls = []

    def note(*given):
        calls.append(given)
        given[1]["epoch"] = 7

    optimizer.register_state_dict_post_hook(note)
    saved = optimizer.state_dict()
    assert list(saved) == ["state", "param_groups", "epoch"]
    assert calls == [(optimizer, saved)]
    assert calls[0][1] is saved

    optimizer.register_state_dict_post_hook(lambda _, state_dict: {"epoch": state_dict["epoch"] + 1})
    assert optimizer.state_dict() == {"epoch": 8}
    optimizer.register_state_dict_post_hook(lambda *given: {})
    assert optimizer.state_dict() == {}


@pytest.mark.since("2.1")
def test_a_load_state_dict_pre_hook_may_change_the_dict():
    """``Optimizer.load_state_dict`` loads the dict that a pre-hook changed in place, or the one it
    returns.

    The hook is called with the optimizer, before anything is loaded, and the dict.
    """
    optimizer = SGD([nn.Parameter(torch.tensor([3.0]))], lr=0.5)
    saved = optimizer.state_dict()
    calls = []

    def change(*given):
        calls.append((given[0], list(given[1]), optimizer.param_groups[0]["lr"]))
        given[1]["param_groups"] = [{**saved["param_groups"][0], "lr": 0.25}]

    handle = optimizer.register_load_state_dict_pre_hook(change)
    optimizer.load_state_dict(saved)
    assert calls == [(optimizer, ["state", "param_groups"], 0.5)]
    assert optimizer.param_groups[0]["lr"] == 0.25

    handle.remove()
    other = {"state": {}, "param_groups": [{**saved["param_groups"][0], "lr": 0.125}]}
    optimizer.register_load_state_dict_pre_hook(lambda *given: other)
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.125


@pytest.mark.since("2.1")
def test_a_load_pre_hook_gets_a_shallow_copy():
    """A ``load_state_dict`` pre-hook of an optimizer gets a shallow copy: nested dicts are the caller's.

    Replace what is nested, as in ``{**group, "lr": 0.1}``, instead of changing it.
    """
    optimizer = SGD([nn.Parameter(torch.tensor([3.0]))], lr=0.5)
    saved = optimizer.state_dict()

    def change(optimizer, state_dict):
        state_dict["epoch"] = 7
        state_dict["param_groups"][0]["lr"] = 0.25

    optimizer.register_load_state_dict_pre_hook(change)
    optimizer.load_state_dict(saved)

    assert list(saved) == ["state", "param_groups"]
    assert saved["param_groups"][0]["lr"] == 0.25


@pytest.mark.since("2.1")
def test_a_load_post_hook_sees_what_was_loaded():
    """``Optimizer.register_load_state_dict_post_hook`` calls ``hook(optimizer)`` after the state was
    loaded.
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    old, optimizer = SGD([weight], lr=0.25, momentum=0.5), SGD([weight], lr=0.5, momentum=0.5)
    weight.grad = torch.tensor([7.0])
    old.step()
    calls = []
    optimizer.register_load_state_dict_post_hook(
        lambda *given: calls.append((*given, optimizer.param_groups[0]["lr"], len(optimizer.state)))
    )

    optimizer.load_state_dict(old.state_dict())

    assert calls == [(optimizer, 0.25, 1)]


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    "kind", ["state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post"]
)
def test_hooks_run_in_order_unless_prepended(kind):
    """An optimizer's ``state_dict`` and ``load_state_dict`` hooks run in order, those with ``prepend=True``
    first.

    That is the order of registration, for pre-hooks as for post-hooks.
    """
    optimizer = SGD([nn.Parameter(torch.tensor([3.0]))], lr=0.5)
    calls = []
    register = getattr(optimizer, f"register_{kind}_hook")
    register(lambda *given: calls.append("first"))
    register(lambda *given: calls.append("second"))
    register(lambda *given: calls.append("prepended"), prepend=True)
    register(lambda *given: calls.append("last"), prepend=False)

    saved = optimizer.state_dict()
    if kind.startswith("load"):
        optimizer.load_state_dict(saved)

    assert calls == ["prepended", "first", "second", "last"]


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    "kind", ["state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post"]
)
def test_a_hook_for_the_state_may_be_removed(kind):
    """``remove()`` of its handle takes a ``state_dict`` or ``load_state_dict`` hook off an optimizer.

    That is so for pre-hooks and post-hooks.
    """
    optimizer = SGD([nn.Parameter(torch.tensor([3.0]))], lr=0.5)
    calls = []
    register = getattr(optimizer, f"register_{kind}_hook")
    handle = register(lambda *given: calls.append("removed"))
    register(lambda *given: calls.append("stays"))

    optimizer.load_state_dict(optimizer.state_dict())
    handle.remove()
    optimizer.load_state_dict(optimizer.state_dict())

    assert type(handle) is torch.utils.hooks.RemovableHandle
    assert calls == ["removed", "stays", "stays"]
