"""A module through ``pickle``.

A pickle holds the attributes of a module and the name of its class, no code. ``torch.save(module)`` writes
the same into a file.
"""

import pickle
import weakref

import pytest
import torch
from torch import nn


def test_a_round_trip():
    """A module comes back from a pickle with submodules, values, mode and attributes."""
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).eval()
    net.width = 2
    loaded = pickle.loads(pickle.dumps(net))
    x = torch.rand(4, 2)

    assert [(n, type(m), m.training) for n, m in loaded.named_modules()] == [
        ("", nn.Sequential, False),
        ("0", nn.Linear, False),
        ("1", nn.BatchNorm1d, False),
    ]
    assert loaded.width == 2
    assert torch.equal(loaded(x), net(x))


def test_values_are_in_memory_of_their_own():
    """A module that comes back shares no memory with the one that was pickled."""
    net = nn.Linear(2, 3)
    loaded = pickle.loads(pickle.dumps(net))
    with torch.no_grad():
        loaded.weight.fill_(7)

    assert 7 not in net.weight.flatten().tolist()


def test_ties_are_kept():
    """What was shared within a pickle is shared when it comes back."""
    net = nn.Module()
    net.encoder, net.decoder = nn.Linear(3, 3), nn.Linear(3, 3)
    net.decoder.weight = net.encoder.weight
    net.first = net.second = nn.ReLU()
    loaded = pickle.loads(pickle.dumps(net))

    assert loaded.decoder.weight is loaded.encoder.weight
    assert loaded.first is loaded.second


def test_parameters_come_back_without_gradients():
    """Parameters come back frozen or not as they were, without gradients."""
    net = nn.Linear(2, 3)
    net.bias.requires_grad_(False)
    net(torch.rand(4, 2)).sum().backward()
    loaded = pickle.loads(pickle.dumps(net))

    assert [(type(p), p.requires_grad, p.grad) for p in loaded.parameters()] == [
        (nn.Parameter, True, None),
        (nn.Parameter, False, None),
    ]


def test_buffers_keep_their_persistence():
    """Buffers come back persistent or not as they were."""
    net = nn.Module()
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("cache", torch.rand(2), persistent=False)
    loaded = pickle.loads(pickle.dumps(net))

    assert [name for name, _ in loaded.named_buffers()] == ["mean", "cache"]
    assert list(loaded.state_dict()) == ["mean"]


@pytest.mark.observed
def test_a_stored_result_comes_back_as_a_leaf():
    """A stored result of ``forward``, which a deep copy refuses, comes back without its history."""
    net = nn.Linear(2, 3)
    net.last = net(torch.rand(4, 2))
    loaded = pickle.loads(pickle.dumps(net))

    assert torch.equal(loaded.last, net.last)
    assert (loaded.last.is_leaf, loaded.last.requires_grad) == (True, True)


def test_hooks_are_pickled_by_name():
    """A hook that can be found by its name comes back with the module."""
    net = nn.Linear(2, 3)
    net.register_forward_pre_hook(print)
    loaded = pickle.loads(pickle.dumps(net))

    assert list(loaded._forward_pre_hooks.values()) == [print]


@pytest.mark.parametrize("place", ["hook", "attribute"])
def test_a_lambda_cannot_be_pickled(place):
    """A lambda, as a hook or as an attribute, keeps a module from being pickled."""
    net = nn.Linear(2, 3)
    if place == "hook":
        net.register_forward_hook(lambda module, args, output: None)
    else:
        net.activation = lambda x: x

    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(net)


def test_a_local_class_cannot_be_pickled():
    """A module whose class is defined inside a function cannot be pickled: its name leads nowhere."""

    def make():
        class Net(nn.Module):
            pass

        return Net()

    with pytest.raises((AttributeError, pickle.PicklingError), match=r"<locals>\.Net"):
        pickle.dumps(make())


def test_a_weak_reference_cannot_be_pickled():
    """A weak reference among the attributes keeps a module from being pickled."""
    net = nn.Linear(2, 3)
    net.myself = weakref.ref(net)

    with pytest.raises(TypeError, match=r"cannot pickle .*weakref"):
        pickle.dumps(net)


def test_a_pickle_names_the_class():
    """A pickle names the class of each module and holds no code.

    The class has to be there, under that name, when the pickle is loaded.
    """
    written = pickle.dumps(nn.Sequential(nn.Linear(2, 3)))

    assert b"torch.nn.modules.container" in written
    assert b"torch.nn.modules.linear" in written
    assert b"in_features" in written
    assert b"def forward" not in written
