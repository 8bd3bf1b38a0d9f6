"""Forward hooks that run even when the call fails.

A forward hook registered with ``always_call=True`` is always called: it also runs when a pre-hook, forward or
another hook raises, so that what a pre-hook opened can be closed. The exception still reaches the caller.
"""

import warnings

import pytest
from torch import nn
from torch.nn.modules.module import register_module_forward_hook


class Failing(nn.Module):
    def forward(self, *args, **kwargs):
        raise ValueError("forward failed")


@pytest.mark.since("2.1")
def test_it_runs_when_forward_raises():
    """A forward hook with ``always_call=True`` runs even if ``forward`` raises, and gets ``None`` as the
    output.

    The exception reaches the caller all the same (:pull:`104278`). What a pre-hook opened, such as a span of
    a profiler, is closed in such a hook: an ordinary one does not run after an error.
    """
    failing, seen = Failing(), []
    net = nn.Sequential(failing)
    net.register_forward_hook(lambda *given: seen.append(given), always_call=True)
    failing.register_forward_hook(lambda *given: seen.append("ordinary"))
    failing.register_forward_hook(lambda *given: seen.append(given), always_call=True)
    failing.register_forward_hook(lambda *given: seen.append("second"), always_call=True)
    with pytest.raises(ValueError, match="forward failed"):
        failing(3, scale=5)
    with pytest.raises(ValueError, match="forward failed"):
        net.eval()(4)

    assert seen[:2] == [(failing, (3,), None), "second"]
    assert seen[2:] == [(failing, (4,), None), "second", (net, (4,), None)]


@pytest.mark.since("2.1")
def test_other_hooks_stay_silent_on_failure():
    """If ``forward`` raises, only the forward hooks registered with ``always_call=True`` run."""
    failing = Failing()
    calls = []
    failing.register_forward_hook(lambda *given: calls.append("plain"), always_call=False)
    failing.register_forward_hook(lambda *given: calls.append("first"), always_call=True)
    failing.register_forward_hook(lambda *given: calls.append("with kwargs"), with_kwargs=True)
    failing.register_forward_hook(lambda *given: calls.append("second"), always_call=True)
    with pytest.raises(ValueError, match="forward failed"):
        failing()

    assert calls == ["first", "second"]


@pytest.mark.since("2.1")
def test_it_runs_when_a_pre_hook_raises():
    """If a pre-hook raises, ``always_call=True`` forward hooks still run, with the arguments changed so
    far.
    """
    identity = nn.Identity()
    seen = []

    def failing(module, args):
        raise ValueError("pre-hook failed")

    def double(module, args, kwargs):
        return args, {"more": kwargs["more"] * 2}

    identity.register_forward_pre_hook(lambda module, args: args[0] * 10)
    identity.register_forward_pre_hook(double, with_kwargs=True)
    identity.register_forward_pre_hook(failing)
    identity.register_forward_hook(lambda *given: seen.append(given), always_call=True)
    identity.register_forward_hook(lambda *given: seen.append(given), always_call=True, with_kwargs=True)
    with pytest.raises(ValueError, match="pre-hook failed"):
        identity(4, more=5)

    assert seen == [(identity, (40,), None), (identity, (40,), {"more": 10}, None)]


@pytest.mark.since("2.1")
def test_it_runs_once_when_nothing_fails():
    """If nothing raises, an ``always_call=True`` forward hook behaves like any other forward hook."""
    identity = nn.Identity()
    calls = []
    identity.register_forward_hook(lambda module, args, output: calls.append(("before", output)))
    identity.register_forward_hook(lambda module, args, output: output + 1, always_call=True)
    identity.register_forward_hook(lambda *given: given[3] * 10, always_call=True, with_kwargs=True)
    identity.register_forward_hook(lambda module, args, output: calls.append(("after", output)))

    assert identity(4) == 50
    assert identity.eval()(-1) == 0
    assert calls == [("before", 4), ("after", 50), ("before", -1), ("after", 0)]


@pytest.mark.since("2.1")
def test_a_later_hook_that_raises_does_not_run_it_again():
    """An ``always_call=True`` forward hook that has run is not run again if a later hook raises."""
    identity = nn.Identity()
    seen = []

    def failing(module, args, output):
        raise ValueError("hook failed")

    for options in ({}, {"with_kwargs": True}):
        identity.register_forward_hook(lambda *given: seen.append(given[-1]), always_call=True, **options)
    identity.register_forward_hook(failing)
    identity.register_forward_hook(lambda *given: seen.append(("after", given[2])), always_call=True)
    with pytest.raises(ValueError, match="hook failed"):
        identity(4)

    assert seen == [4, 4, ("after", 4)]


@pytest.mark.since("2.1")
def test_it_is_not_run_again_for_its_own_error():
    """An ``always_call=True`` forward hook that raises is not run again for its own exception."""
    calls = []

    def failing(*given):
        calls.append("failing")
        raise ValueError("hook failed")

    for options in ({}, {"with_kwargs": True}):
        identity = nn.Identity()
        identity.register_forward_hook(failing, always_call=True, **options)
        with pytest.raises(ValueError, match="hook failed"):
            identity(4)

    assert calls == ["failing", "failing"]


@pytest.mark.since("2.1")
def test_its_own_error_becomes_a_warning():
    """If ``forward`` raises, an error in an ``always_call=True`` hook becomes a warning; later ones still
    run.

    Its own exception is lost but for the text in the warning.
    """
    failing = Failing()
    calls = []

    def failing_too(*given):
        raise KeyError("hook failed")

    failing.register_forward_hook(failing_too, always_call=True)
    failing.register_forward_hook(lambda *given: calls.append("other"), always_call=True)
    failing.register_forward_hook(failing_too, always_call=True, with_kwargs=True)
    failing.register_forward_hook(lambda *given: calls.append("last"), always_call=True, with_kwargs=True)
    message = r"^(global )?module forward hook with ``always_call=True`` raised .* in forward: 'hook failed'$"
    with (
        register_module_forward_hook(failing_too, always_call=True),
        register_module_forward_hook(lambda *given: calls.append("global"), always_call=True),
        pytest.warns(UserWarning, match=message) as told,
        pytest.raises(ValueError, match="forward failed"),
    ):
        failing(4)

    assert len(told) == 3
    assert calls == ["global", "other", "last"]


@pytest.mark.since("2.1")
def test_what_it_returns_on_failure_goes_to_the_next():
    """If ``forward`` raises, what an ``always_call=True`` hook returns is the output that the next one
    gets.
    """
    failing = Failing()
    seen = []
    for value, options in (("first", {}), (0, {"with_kwargs": True})):
        failing.register_forward_hook(lambda *given, value=value: value, always_call=True, **options)
        failing.register_forward_hook(lambda *given: None, always_call=True)
        failing.register_forward_hook(lambda module, args, output: seen.append(output), always_call=True)
    with pytest.raises(ValueError, match="forward failed"):
        failing()

    assert seen == ["first", 0]


@pytest.mark.since("2.1")
def test_on_failure_it_sees_keyword_arguments_as_asked():
    """If ``forward`` raises, an ``always_call=True`` hook with ``with_kwargs=True`` gets keyword
    arguments.
    """
    failing = Failing()
    seen = []
    failing.register_forward_hook(lambda *given: "first", always_call=True)
    failing.register_forward_hook(lambda *given: seen.append(given), with_kwargs=True, always_call=True)
    with pytest.raises(ValueError, match="forward failed"):
        failing(3, scale=5)

    assert seen == [(failing, (3,), {"scale": 5}, "first")]


@pytest.mark.since("2.1")
def test_an_interrupt_runs_no_hooks():
    """If ``forward`` raises ``KeyboardInterrupt``, not even forward hooks with ``always_call=True`` run.

    Only exceptions derived from ``Exception`` do.
    """

    class Raising(nn.Module):
        def forward(self, error):
            raise error

    raising = Raising()
    calls = []
    raising.register_forward_hook(lambda module, args, output: calls.append(args[0]), always_call=True)
    with (
        register_module_forward_hook(lambda *given: calls.append("global"), always_call=True),
        pytest.raises(KeyboardInterrupt, match=r"^$"),
    ):
        raising(KeyboardInterrupt)
    with pytest.raises(SystemExit, match=r"^$"):
        raising(SystemExit)
    with pytest.raises(OSError, match=r"^$"):
        raising(OSError)

    assert calls == [OSError]


@pytest.mark.since("2.1")
def test_the_store_of_always_called_hooks():
    """``_forward_hooks_always_called`` has the ids of hooks with ``always_call=True`` until they are
    removed.
    """
    identity = nn.Identity()
    identity.register_forward_hook(lambda *given: None)
    handles = [
        identity.register_forward_hook(lambda *given: None, always_call=True, **{option: True})
        for option in ("prepend", "with_kwargs")
    ]
    assert dict(identity._forward_hooks_always_called) == {handle.id: True for handle in handles}

    for handle in handles:
        handle.remove()
    assert dict(identity._forward_hooks_always_called) == {}
    assert dict(identity._forward_hooks_with_kwargs) == {}


@pytest.mark.since("2.1")
def test_global_hooks_may_be_always_called_too():
    """If ``forward`` raises, global ``always_call=True`` forward hooks run before those of the module."""
    failing = Failing()
    seen = []
    failing.register_forward_hook(lambda *given: seen.append(("local", given)), always_call=True)
    with (
        register_module_forward_hook(lambda *given: seen.append("plain")),
        register_module_forward_hook(lambda *given: seen.append(("global", given)), always_call=True),
        register_module_forward_hook(lambda *given: "replaced", always_call=True),
        pytest.raises(ValueError, match="forward failed"),
    ):
        failing(3)

    assert seen == [("global", (failing, (3,), None)), ("local", (failing, (3,), "replaced"))]


@pytest.mark.since("2.1")
def test_a_global_one_is_not_run_twice():
    """A global ``always_call=True`` forward hook that has run is not run again if a later hook raises."""
    identity = nn.Identity()
    calls = []

    def failing(module, args, output):
        raise ValueError("hook failed")

    identity.register_forward_hook(failing)
    with register_module_forward_hook(lambda *given: calls.append("global"), always_call=True):
        with pytest.raises(ValueError, match="hook failed"):
            identity(3)
        assert calls == ["global"]

        with register_module_forward_hook(failing), pytest.raises(ValueError, match="hook failed"):
            nn.Identity()(3)
        assert calls == ["global", "global"]


@pytest.mark.since("2.1")
def test_a_global_one_runs_until_removed():
    """A hook of ``register_module_forward_hook(hook, always_call=True)`` also runs if ``forward`` raises."""
    seen, identity, net = [], nn.Identity(), nn.Sequential(Failing())
    handle = register_module_forward_hook(lambda *given: seen.append(given), always_call=True)
    for _ in range(2):
        identity(3)
        with pytest.raises(ValueError, match="forward failed"):
            net(3)
        handle.remove()

    assert seen == [(identity, (3,), 3), (net[0], (3,), None), (net, (3,), None)]


@pytest.mark.since("2.1")
def test_a_global_one_after_a_failing_one_gets_the_output():
    """If an earlier forward hook raises, a global ``always_call=True`` hook still runs and gets the
    output.
    """
    identity = nn.Identity()
    seen = []

    def failing(module, args, output):
        raise ValueError("hook failed")

    with (
        register_module_forward_hook(failing),
        register_module_forward_hook(lambda *given: seen.append(given), always_call=True),
        pytest.raises(ValueError, match="hook failed"),
    ):
        identity(3)

    assert seen == [(identity, (3,), 3)]


@pytest.mark.since("2.1")
def test_the_error_of_a_global_one_becomes_a_warning():
    """If ``forward`` raises, an error in a global ``always_call=True`` forward hook becomes a warning."""
    calls = []

    def failing_too(module, args, output):
        raise KeyError("hook failed")

    message = r"^global module forward hook with ``always_call=True`` raised .* in forward: 'hook failed'$"
    with (
        register_module_forward_hook(failing_too, always_call=True),
        register_module_forward_hook(lambda *given: calls.append("other"), always_call=True),
        pytest.warns(UserWarning, match=message),
        pytest.raises(ValueError, match="forward failed"),
    ):
        Failing()(3)

    assert calls == ["other"]


@pytest.mark.since("2.1")
def test_a_failed_call_warns_of_nothing():
    """If ``forward`` raises, ``always_call=True`` hooks that do not raise themselves cause no warning."""
    failing = Failing()
    failing.register_forward_hook(lambda *given: "replaced", always_call=True)
    failing.register_forward_hook(lambda *given: None, with_kwargs=True, always_call=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with (
            register_module_forward_hook(lambda *given: None, always_call=True),
            pytest.raises(ValueError, match="forward failed"),
        ):
            failing(3)

    assert caught == []
