"""Pickles of an older torch.

``__setstate__`` takes the attributes from a pickle and adds those that modules did not have when it was
written.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn

HOOKS = [
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
    "_backward_pre_hooks",
]


def restored(net, without=()):
    """A module of the class of ``net`` made by ``__setstate__`` from its attributes, some left out."""
    new = type(net).__new__(type(net))
    new.__setstate__({name: value for name, value in vars(net).items() if name not in without})
    return new


@pytest.mark.parametrize("name", HOOKS)
def test_missing_dictionaries_of_hooks_are_added(name):
    """A dictionary of hooks that a pickle does not have is added, empty."""
    new = restored(nn.Linear(2, 3), [name])

    assert (type(vars(new)[name]), len(vars(new)[name])) == (OrderedDict, 0)
    assert new(torch.rand(4, 2)).shape == (4, 3)


@pytest.mark.since("2.1")
def test_missing_always_called_hooks_are_added():
    """The dictionary of the hooks that are always called is added too (:pull:`104278`)."""
    new = restored(nn.Linear(2, 3), ["_forward_hooks_always_called"])

    assert (type(new._forward_hooks_always_called), len(new._forward_hooks_always_called)) == (OrderedDict, 0)


@pytest.mark.question("Q81")
def test_the_missing_set_of_buffers_is_added():
    """A pickle without ``_non_persistent_buffers_set`` gets an empty one: all its buffers are persistent."""
    new = restored(nn.BatchNorm1d(3), ["_non_persistent_buffers_set"])

    assert vars(new)["_non_persistent_buffers_set"] == set()
    assert list(new.state_dict())[2:] == ["running_mean", "running_var", "num_batches_tracked"]


@pytest.mark.question("Q81")
def test_a_bypassed_setstate_adds_nothing():
    """A class whose ``__setstate__`` passes that of :class:`~torch.nn.Module` by lacks what was to be added.

    That is when an older model loads and then complains of ``_non_persistent_buffers_set``.
    """

    class Net(nn.BatchNorm1d):
        def __setstate__(self, state):
            self.__dict__.update(state)

    new = restored(Net(3), ["_non_persistent_buffers_set"])

    with pytest.raises(
        AttributeError, match=r"^'Net' object has no attribute '_non_persistent_buffers_set'$"
    ):
        new.state_dict()


def test_the_missing_kind_of_hook_is_added():
    """A pickle without ``_is_full_backward_hook`` gets ``None``: no backward hook is registered yet."""
    new = restored(nn.Linear(2, 3), ["_is_full_backward_hook"])

    assert vars(new)["_is_full_backward_hook"] is None
    assert new(torch.rand(4, 2)).shape == (4, 3)


@pytest.mark.parametrize("name", [*HOOKS, "_non_persistent_buffers_set", "_is_full_backward_hook"])
def test_what_a_pickle_has_is_kept(name):
    """What a pickle has is taken as it is, not replaced by something empty."""
    net = nn.Linear(2, 3)
    vars(net)[name] = kept = OrderedDict(there=True)

    assert vars(restored(net))[name] is kept


@pytest.mark.since("2.1")
@pytest.mark.observed
def test_always_called_hooks_are_kept():
    """The dictionary of the hooks that are always called is taken as it is."""
    net = nn.Linear(2, 3)
    vars(net)["_forward_hooks_always_called"] = kept = OrderedDict(there=True)
    new = restored(net)

    assert vars(new)["_forward_hooks_always_called"] is kept
    assert vars(nn.Linear(2, 3))["_forward_hooks_always_called"] == {}


@pytest.mark.observed
@pytest.mark.parametrize(
    "name", ["training", "_parameters", "_buffers", "_modules", "_forward_hooks", "_backward_hooks"]
)
def test_the_oldest_attributes_are_not_added(name):
    """What every torch has written is not added: a pickle without it gives a module that lacks it."""
    assert name not in vars(restored(nn.Linear(2, 3), [name]))


@pytest.mark.observed
def test_attributes_of_the_module_stay():
    """``__setstate__`` adds to the attributes that a module has, and replaces those of the same name."""
    net = nn.Linear(2, 3)
    net.width, net.depth = 2, 3
    net.__setstate__({"width": 5})

    assert (net.width, net.depth, net.in_features) == (5, 3, 2)


@pytest.mark.observed
def test_an_older_convolution():
    """A convolution pickled without ``padding_mode`` pads with zeros; one that has it keeps it."""
    net = nn.Conv2d(2, 3, 5, padding=1, padding_mode="reflect")

    assert restored(net, ["padding_mode"]).padding_mode == "zeros"
    assert restored(net).padding_mode == "reflect"


@pytest.mark.observed
@pytest.mark.parametrize("layer", [nn.Softmax, nn.Softmin, nn.LogSoftmax])
def test_an_older_softmax(layer):
    """A softmax pickled without ``dim`` has the dimension ``None``; one that has it keeps it."""
    assert restored(layer(1), ["dim"]).dim is None
    assert restored(layer(1)).dim == 1
