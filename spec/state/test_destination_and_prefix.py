"""Where a state dict is put, and under which prefix.

The arguments of :meth:`~torch.nn.Module.state_dict` are meant for modules that save other modules.
"""

import warnings
from collections import OrderedDict

import pytest
import torch
from torch import nn


def test_prefix_is_put_before_every_key():
    """``state_dict(prefix=...)`` puts the prefix before every key as given, without adding a dot."""

    class Counter(nn.Linear):
        def get_extra_state(self):
            return 7

    net = nn.Sequential(Counter(2, 3, bias=False))
    net.register_buffer("mean", torch.rand(2))
    keys = ["mean", "0.weight", "0._extra_state"]

    for prefix in ("head.", "head"):
        assert list(net.state_dict(prefix=prefix)) == [prefix + key for key in keys]
        assert list(net[0].state_dict(prefix=prefix)) == [prefix + "weight", prefix + "_extra_state"]


def test_destination_is_filled_and_returned():
    """``state_dict(destination=d)`` adds its entries to the dict ``d`` and returns ``d``; old entries
    stay.
    """
    for destination in ({"epoch": 7}, OrderedDict(epoch=7), {}):
        before = list(destination)
        returned = nn.Sequential(nn.Linear(2, 3)).state_dict(destination=destination)

        assert returned is destination
        assert list(destination) == [*before, "0.weight", "0.bias"]


@pytest.mark.question("Q65")
def test_a_plain_dict_may_be_the_destination():
    """``state_dict(destination=...)`` accepts a plain ``dict``, or an ``OrderedDict`` without ``_metadata``.

    In old releases it needed a ``_metadata`` attribute and crashed without one (:issue:`72778`).
    """
    net = nn.Sequential(nn.Linear(2, 3))

    plain = net.state_dict(destination={})
    ordered = net.state_dict(destination=OrderedDict())

    assert type(plain) is dict
    assert list(plain) == ["0.weight", "0.bias"]
    assert list(ordered) == ["0.weight", "0.bias"]
    assert not hasattr(ordered, "_metadata")


def test_a_destination_with_metadata_receives_more():
    """``state_dict(destination=d)`` writes module versions to ``d._metadata`` if ``d`` has that attribute."""
    destination, metadata = OrderedDict(), OrderedDict(other={"version": 7})
    destination._metadata = metadata

    nn.Sequential(nn.ReLU()).state_dict(destination=destination, prefix="net.")

    plain = OrderedDict()
    nn.Sequential(nn.ReLU()).state_dict(destination=plain)

    assert hasattr(plain, "_metadata") is False
    assert destination._metadata is metadata
    assert metadata == {"other": {"version": 7}, "net": {"version": 1}, "net.0": {"version": 1}}


@pytest.mark.parametrize("keep_vars", [False, True])
def test_submodules_are_called_by_keyword(keep_vars):
    """:meth:`~torch.nn.Module.state_dict` calls each submodule's ``state_dict`` with ``destination``,
    ``prefix`` and ``keep_vars`` as keywords.

    An override has to accept them and pass them on.
    """
    calls = []

    class Part(nn.Module):
        def state_dict(self, *args, **kwargs):
            calls.append((args, kwargs))

    destination = {}
    nn.ModuleDict({"part": Part()}).state_dict(destination=destination, prefix="net.", keep_vars=keep_vars)

    assert calls == [((), {"destination": destination, "prefix": "net.part.", "keep_vars": keep_vars})]
    assert calls[0][1]["destination"] is destination


@pytest.mark.question("Q65")
def test_an_override_without_keywords_fails():
    """``state_dict()`` raises ``TypeError`` if a submodule overrides ``state_dict`` without keyword
    arguments.

    Override it as ``def state_dict(self, *args, **kwargs)``; better, change the dict in a hook
    (*state_dict_hooks*).
    """

    class Part(nn.Module):
        def state_dict(self, *args):
            return super().state_dict(*args)

    with pytest.raises(TypeError, match=r"state_dict\(\) got an unexpected keyword argument"):
        nn.ModuleDict({"part": Part()}).state_dict()


@pytest.mark.question("Q65")
@pytest.mark.since("2.4")
def test_positional_arguments_warn_of_the_future():
    """``state_dict`` with positional arguments gives a ``FutureWarning``.

    An override that passes its arguments on by position to ``super()`` gives it at every call.
    """
    with pytest.warns(FutureWarning, match="Positional args are being deprecated, use kw") as caught:
        nn.Linear(2, 3).state_dict({})
    with pytest.warns(FutureWarning, match="Positional args are being deprecated, use kw") as more:
        nn.Linear(2, 3).state_dict(None, "head.", True)

    assert [warning.filename for warning in [*caught, *more]] == [__file__, __file__]


@pytest.mark.before("2.4")
def test_positional_arguments_warn():
    """``state_dict`` with positional arguments gives a ``UserWarning``."""
    with pytest.warns(UserWarning, match="Positional args are being deprecated, use kwargs instead"):
        nn.Linear(2, 3).state_dict({})


def test_keywords_give_no_warning():
    """``state_dict`` with keyword arguments does not warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nn.Sequential(nn.Linear(2, 3)).state_dict(destination={}, prefix="a.", keep_vars=True)

    assert caught == []


@pytest.mark.parametrize(
    ("more", "keys", "kept"),
    [
        ((), ["weight", "bias"], False),
        (("head.",), ["head.weight", "head.bias"], False),
        (("head.", True), ["head.weight", "head.bias"], True),
    ],
    ids=["destination", "prefix", "keep_vars"],
)
def test_positional_order(more, keys, kept):
    """The positional arguments of ``state_dict`` are ``destination``, ``prefix`` and ``keep_vars``, in
    this order.
    """
    layer = nn.Linear(2, 3)
    destination = {}

    returned = layer.state_dict(destination, *more)

    assert returned is destination
    assert list(destination) == keys
    assert (destination[keys[0]] is layer.weight) is kept


def test_keywords_win_over_positions():
    """If ``state_dict`` gets an argument by position and by keyword, a keyword other than the default wins.

    ``prefix=""``, ``keep_vars=False`` and ``destination=None`` count as not given.
    """
    layer = nn.Linear(2, 3, bias=False)
    first, second = {}, {}

    layer.state_dict(first, "a.", False, destination=second, prefix="b.", keep_vars=True)

    assert first == {}
    assert list(second) == ["b.weight"]
    assert second["b.weight"] is layer.weight

    layer.state_dict(first, "a.", True, destination=None, prefix="", keep_vars=False)

    assert list(first) == ["a.weight"]
    assert first["a.weight"] is layer.weight


def test_prefix_and_destination_join_two_modules():
    """``state_dict(destination=d, prefix=...)`` of two modules saves both in one dict ``d``."""
    both = {}

    nn.Linear(2, 3, bias=False).state_dict(destination=both, prefix="encoder.")
    nn.Linear(3, 1, bias=False).state_dict(destination=both, prefix="decoder.")

    assert {key: tuple(value.shape) for key, value in both.items()} == {
        "encoder.weight": (3, 2),
        "decoder.weight": (1, 3),
    }
