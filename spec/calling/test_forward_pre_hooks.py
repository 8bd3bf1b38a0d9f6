"""Forward pre-hooks: what runs before forward, and may replace its arguments.

:meth:`~torch.nn.Module.register_forward_pre_hook` adds a function of the module and its positional
arguments. What it returns, unless ``None``, takes the place of the arguments.
"""

import re

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


class Echo(nn.Module):
    def forward(self, *args, **kwargs):
        return args, kwargs


def test_it_runs_before_forward():
    """A forward pre-hook is called as ``hook(module, args)`` before ``forward``, on each ``net(x)``."""
    calls = []

    class Net(nn.Module):
        def forward(self, x, y=11):
            calls.append("forward")

    net = Net()
    net.register_forward_pre_hook(lambda module, args: calls.append((module, args)))
    net(3, 5)
    with torch.no_grad():
        net.eval()(7)

    assert calls == [(net, (3, 5)), "forward", (net, (7,)), "forward"]


@pytest.mark.parametrize("options", [{}, {"prepend": True}, {"with_kwargs": True}], ids=str)
def test_registering_returns_a_handle(options):
    """:meth:`~torch.nn.Module.register_forward_pre_hook` returns a ``RemovableHandle`` that removes the
    hook.
    """
    echo = Echo()
    calls = []
    handle = echo.register_forward_pre_hook(lambda module, args, *rest: calls.append(args), **options)
    echo(1)
    handle.remove()
    echo(2)

    assert type(handle) is RemovableHandle
    assert calls == [(1,)]


def test_returning_none_keeps_the_arguments():
    """A forward pre-hook that returns ``None`` leaves the arguments of ``forward`` unchanged."""
    echo = Echo()
    echo.register_forward_pre_hook(lambda module, args: None)
    echo.register_forward_pre_hook(lambda module, args, kwargs: None, with_kwargs=True)
    given = torch.rand(2)

    args, kwargs = echo(3, given, scale=5)

    assert args[0] == 3
    assert args[1] is given
    assert kwargs == {"scale": 5}


def test_a_returned_tuple_replaces_the_arguments():
    """Without ``with_kwargs``, a tuple returned by a forward pre-hook replaces all positional arguments.

    To pass on one tuple as one argument, wrap it: ``return (value,)``.
    """
    echo = Echo()
    echo.register_forward_pre_hook(lambda module, args: (args[1], 30, 40))

    assert echo(3, 4, scale=5) == ((4, 30, 40), {"scale": 5})

    wrapping = Echo().eval()
    wrapping.register_forward_pre_hook(lambda module, args: (args,))

    assert torch.no_grad()(wrapping)(3, 4) == (((3, 4),), {})

    sizes = Echo()
    sizes.register_forward_pre_hook(lambda module, args: torch.Size(args[::-1]))  # a subclass of tuple

    assert sizes(3, 4) == ((4, 3), {})


@pytest.mark.parametrize(
    "value",
    [7, [3, 4], False, {"scale": 7}, torch.tensor([3, 4])],
    ids=["int", "list", "false", "dict", "tensor"],
)
def test_a_single_value_is_wrapped_into_a_tuple(value):
    """Without ``with_kwargs``, a single value that a forward pre-hook returns is the only positional
    argument.

    A list is one argument too. With ``with_kwargs=True`` a hook returns a pair.
    """
    echo = Echo()
    echo.register_forward_pre_hook(lambda module, args: value)

    assert echo(1, 2, scale=5) == ((value,), {"scale": 5})


def test_an_empty_tuple_leaves_no_arguments():
    """Without ``with_kwargs``, a forward pre-hook that returns ``()`` removes all positional arguments."""
    echo = Echo()
    echo.register_forward_pre_hook(lambda module, args: ())

    assert echo(1, 2, scale=5) == ((), {"scale": 5})


def test_pre_hooks_run_in_order_of_registration():
    """Without ``prepend``, forward pre-hooks run in registration order, each on the previous one's result."""
    echo = Echo()
    echo.register_forward_pre_hook(lambda module, args: args[0] + 1)
    echo.register_forward_pre_hook(lambda module, args: None)
    echo.register_forward_pre_hook(lambda module, args, more: ((args[0] * 10,), more), with_kwargs=True)

    assert echo(4) == ((50,), {})


def test_prepend_puts_a_pre_hook_first():
    """``register_forward_pre_hook(hook, prepend=True)`` runs the hook before those already on the module."""
    echo = Echo()
    calls = []
    echo.register_forward_pre_hook(lambda module, args: calls.append("first"))
    echo.register_forward_pre_hook(lambda module, args: calls.append("second"))
    echo.register_forward_pre_hook(lambda module, args: calls.append("prepended"), prepend=True)
    echo.register_forward_pre_hook(lambda *given: calls.append("kwargs"), prepend=True, with_kwargs=True)
    echo()

    assert calls == ["kwargs", "prepended", "first", "second"]


@pytest.mark.question("Q43")
def test_keyword_arguments_are_not_seen():
    """Without ``with_kwargs``, a forward pre-hook does not get the keyword arguments; ``forward`` does.

    A hook that reads ``args[0]`` fails with ``IndexError`` as soon as somebody calls ``net(input=x)``.
    Register it with
    :meth:`register_forward_pre_hook(hook, with_kwargs=True) <torch.nn.Module.register_forward_pre_hook>`.
    """
    echo = Echo()
    seen = []
    echo.register_forward_pre_hook(lambda module, args: seen.append(args))
    echo.register_forward_pre_hook(lambda module, args: (20,))

    assert echo(2, scale=3) == ((20,), {"scale": 3})
    assert echo(input=2) == ((20,), {"input": 2})
    assert seen == [(2,), ()]


@pytest.mark.question("Q43")
def test_with_kwargs_it_sees_keyword_arguments():
    """With ``with_kwargs=True``, a forward pre-hook is called as ``hook(module, args, kwargs)``."""
    echo = Echo()
    seen = []
    echo.register_forward_pre_hook(lambda *given: seen.append(given), with_kwargs=True)

    assert echo(2, scale=3) == ((2,), {"scale": 3})
    assert echo.eval()(4) == ((4,), {})
    assert seen == [(echo, (2,), {"scale": 3}), (echo, (4,), {})]


def test_with_kwargs_it_replaces_both():
    """With ``with_kwargs=True``, a forward pre-hook replaces the arguments by returning ``(args,
    kwargs)``.
    """
    echo = Echo()
    echo.register_forward_pre_hook(
        lambda module, args, kwargs: ((args[0], 7), {"shift": kwargs["scale"]}), with_kwargs=True
    )
    echo.register_forward_pre_hook(
        lambda module, args, kwargs: ((*args, 8), {**kwargs, "more": 9}), with_kwargs=True
    )

    assert echo(2, scale=3) == ((2, 7, 8), {"shift": 3, "more": 9})


@pytest.mark.parametrize(
    "returned",
    [(), (2,), (2, {}, 3), [(2,), {}], {"x": 2}, 5],
    ids=["empty_tuple", "tuple_of_one", "tuple_of_three", "list_of_two", "dict", "single_value"],
)
def test_with_kwargs_only_a_pair_may_be_returned(returned):
    """A ``with_kwargs=True`` forward pre-hook that returns neither a pair nor ``None`` raises
    ``RuntimeError``.

    The message shows what was returned.
    """
    echo = Echo()
    echo.register_forward_pre_hook(lambda module, args, kwargs: returned, with_kwargs=True)

    message = f"must return None or a tuple of (new_args, new_kwargs), but got {returned}."
    with pytest.raises(RuntimeError, match="^forward pre-hook " + re.escape(message) + "$"):
        echo(2)


def test_kwargs_changed_in_place_reach_forward():
    """With ``with_kwargs=True``, a forward pre-hook can change in place the ``kwargs`` that ``forward``
    gets.
    """
    echo = Echo()

    def change(module, args, kwargs):
        kwargs.update(scale=30, gain=5)
        del kwargs["shift"]

    echo.register_forward_pre_hook(change, with_kwargs=True)

    assert echo(scale=3, shift=4) == ((), {"scale": 30, "gain": 5})


def test_options_of_a_pre_hook_are_keyword_only():
    """``register_forward_pre_hook`` accepts its options by keyword: by position they raise ``TypeError``."""
    echo = Echo()
    echo.register_forward_pre_hook(lambda *given: None, prepend=True, with_kwargs=True)
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        echo.register_forward_pre_hook(lambda *given: None, True)


def test_an_error_in_a_pre_hook_keeps_forward_from_running():
    """If a forward pre-hook raises, ``forward`` and hooks without ``always_call`` do not run."""
    calls = []

    class Net(nn.Module):
        def forward(self, x):
            calls.append("forward")

    def failing(module, args):
        calls.append("pre")
        raise ValueError("pre-hook failed")

    net = Net()
    net.register_forward_pre_hook(failing)
    net.register_forward_pre_hook(lambda module, args: calls.append("second pre"))
    net.register_forward_hook(lambda module, args, output: calls.append("post"))
    net.register_forward_hook(lambda *given: calls.append("post with kwargs"), with_kwargs=True)
    with pytest.raises(ValueError, match="pre-hook failed"):
        net(1)

    assert calls == ["pre"]


@pytest.mark.parametrize("with_kwargs", [False, True])
def test_one_function_registered_twice_runs_twice(with_kwargs):
    """A function registered twice with ``register_forward_pre_hook`` runs twice; each handle removes
    one run.
    """
    echo = Echo()

    def add_one(module, args, kwargs=None):
        return args[0] + 1 if kwargs is None else ((args[0] + 1,), kwargs)

    first = echo.register_forward_pre_hook(add_one, with_kwargs=with_kwargs)
    second = echo.register_forward_pre_hook(add_one, with_kwargs=with_kwargs)
    assert echo(5) == ((7,), {})

    first.remove()
    assert echo(5) == ((6,), {})

    second.remove()
    assert echo(5) == ((5,), {})


@pytest.mark.parametrize("option", ["prepend", "with_kwargs"])
def test_a_pre_hook_may_remove_itself(option):
    """A forward pre-hook that calls ``remove()`` on its own handle does not run in later calls."""
    echo = Echo()
    calls = []

    def once(*given):
        calls.append("once")
        handle.remove()

    handle = echo.register_forward_pre_hook(once, **{option: True})
    echo.register_forward_pre_hook(lambda module, args: calls.append("always"))
    echo()
    echo()

    assert calls == ["once", "always", "always"]


def test_hooks_of_a_call_are_fixed_when_it_starts():
    """A forward pre-hook that adds or removes forward pre-hooks affects the next ``net(x)``, not this one."""
    echo = Echo()
    calls = []

    def change(module, args):
        changer.remove()
        other.remove()
        echo.register_forward_pre_hook(lambda module, args: calls.append("added"))

    changer = echo.register_forward_pre_hook(change)
    other = echo.register_forward_pre_hook(lambda module, args: calls.append("removed"))
    echo()
    calls.append("second call")
    echo()

    assert calls == ["removed", "second call", "added"]


def test_the_stores_of_a_pre_hook():
    """A module keeps its forward pre-hooks in ``_forward_pre_hooks``, a dict by handle ``id``, until removed.

    ``_forward_pre_hooks_with_kwargs`` says which of them take keyword arguments.
    """
    echo = Echo()

    def plain(module, args): ...
    def full(module, args, kwargs): ...

    first = echo.register_forward_pre_hook(plain)
    second = echo.register_forward_pre_hook(full, prepend=True, with_kwargs=True)

    assert list(echo._forward_pre_hooks.items()) == [(second.id, full), (first.id, plain)]
    assert dict(echo._forward_pre_hooks_with_kwargs) == {second.id: True}

    second.remove()
    assert dict(echo._forward_pre_hooks) == {first.id: plain}
    assert dict(echo._forward_pre_hooks_with_kwargs) == {}
