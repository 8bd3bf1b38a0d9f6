"""Replicas: the copies of a module that DataParallel runs.

A replica is a shallow copy that holds tensors where the module has parameters. It lives for one call. Copying
tensors needs an accelerator; the rest can be seen on modules without any.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.parallel import replicate


@pytest.mark.observed
def test_a_replica_has_no_parameters():
    """A replica has the class and the attributes of its module, but none of its parameters."""
    net = nn.Linear(2, 3)
    replica = net._replicate_for_data_parallel()

    assert type(replica) is nn.Linear
    assert (replica.in_features, replica.out_features) == (2, 3)
    assert list(replica.parameters()) == []
    assert [name for name, _ in net.named_parameters()] == ["weight", "bias"]


@pytest.mark.observed
@pytest.mark.since("2.5")
def test_its_store_of_parameters_is_a_dict():
    """The empty store of parameters of a replica is a plain ``dict`` (:pull:`129164`)."""
    assert type(nn.Linear(2, 3)._replicate_for_data_parallel()._parameters) is dict


@pytest.mark.observed
@pytest.mark.before("2.5")
def test_its_store_of_parameters_was_ordered():
    """The empty store of parameters of a replica is an ``OrderedDict``."""
    assert type(nn.Linear(2, 3)._replicate_for_data_parallel()._parameters) is OrderedDict


@pytest.mark.observed
def test_a_replica_is_marked():
    """A replica carries ``_is_replica``; its module does not."""
    net = nn.Linear(2, 3)

    assert net._replicate_for_data_parallel()._is_replica is True
    assert hasattr(net, "_is_replica") is False


@pytest.mark.observed
def test_attributes_are_set_on_the_replica_alone():
    """An attribute assigned to a replica is not seen on the module; a list changed in place is."""
    net = nn.Linear(2, 3)
    net.count, net.seen = 1, ["a"]
    replica = net._replicate_for_data_parallel()
    replica.count += 1
    replica.seen.append("b")

    assert (net.count, net.seen) == (1, ["a", "b"])


@pytest.mark.observed
def test_stores_of_a_replica_are_its_own():
    """A replica holds the same buffers and submodules in stores of its own."""
    net = nn.Sequential(nn.ReLU())
    net.register_buffer("mean", torch.tensor([2.0, 3.0]))
    mean, relu = net.mean, net[0]
    replica = net._replicate_for_data_parallel()

    assert (replica.mean is mean, replica[0] is relu) == (True, True)
    replica.mean, replica[0] = torch.tensor([5.0, 6.0]), nn.Tanh()
    assert (net.mean is mean, net[0] is relu) == (True, True)


def test_lazy_modules_have_no_replicas():
    """Copying a lazy module for :class:`~torch.nn.DataParallel` before its first call raises
    ``RuntimeError``.
    """
    net = nn.LazyLinear(3)
    text = "Modules with uninitialized parameters can't be used with `DataParallel`. Run a dummy forward pass"

    with pytest.raises(RuntimeError, match=text):
        net._replicate_for_data_parallel()
    net(torch.rand(1, 2))
    assert type(net._replicate_for_data_parallel()) is nn.Linear


@pytest.mark.since("2.11")
@pytest.mark.observed
def test_one_replica_for_each_device():
    """:func:`~torch.nn.parallel.replicate` returns a new tree of modules for each device.

    Up to 2.10 it needed an accelerator even where there was no tensor to copy.
    """
    net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))

    first, second = replicate(net, [0, 1])

    assert [type(module) for module in first.modules()] == [nn.Sequential, nn.ReLU, nn.Sequential, nn.Tanh]
    assert replicate(net, []) == []
    trees = [set(map(id, tree.modules())) for tree in (net, first, second)]
    assert len(set.union(*trees)) == 12


@pytest.mark.since("2.11")
@pytest.mark.observed
def test_a_shared_submodule_stays_shared():
    """A submodule reachable by two names is one submodule in each replica too."""
    net = nn.Sequential(nn.ReLU())
    net.add_module("again", net[0])

    (replica,) = replicate(net, [0])

    assert replica.again is replica[0]
    assert replica.again is not net.again


@pytest.mark.since("2.11")
@pytest.mark.observed
def test_entries_of_none_are_copied():
    """Parameters, buffers and submodules registered as ``None`` are ``None`` in each replica."""
    net = nn.Module()
    net.register_parameter("weight", None)
    net.register_buffer("mean", None)
    net.register_module("inner", None)

    for replica in replicate(net, [0, 1]):
        assert replica._parameters == {"weight": None}
        assert replica._buffers == {"mean": None}
        assert replica._modules == {"inner": None}
        assert replica._former_parameters == {}


@pytest.mark.observed
def test_modules_on_the_cpu_are_not_replicated():
    """:func:`~torch.nn.parallel.replicate` copies parameters from an accelerator only."""
    with pytest.raises(AssertionError, match="Broadcast function not implemented for CPU tensors"):
        replicate(nn.Linear(2, 3), [0, 1])


@pytest.mark.needs("cuda")
def test_weights_of_a_replica_are_no_leaves():
    """Weights of a replica are tensors computed from the parameters, not parameters."""
    net = nn.Linear(2, 3).cuda()

    for replica in replicate(net, [0, 0]):
        assert (type(replica.weight), replica.weight.is_leaf) == (torch.Tensor, False)
        assert torch.equal(replica.weight, net.weight)
        assert list(replica._former_parameters) == ["weight", "bias"]


@pytest.mark.needs("cuda")
def test_detached_replicas_have_no_graph():
    """With ``detach=True``, as under :class:`~torch.no_grad`, further replicas hold plain copies."""
    net = nn.Linear(2, 3).cuda()

    second = replicate(net, [0, 0], detach=True)[1]

    assert (second.weight.requires_grad, second.weight.grad_fn) == (False, None)
    assert torch.equal(second.weight, net.weight)


@pytest.mark.needs("cuda")
def test_the_first_replica_shares_its_buffers():
    """The buffers of the first replica share memory with the module's; the next one holds copies."""
    net = nn.BatchNorm1d(3).cuda()

    first, second = replicate(net, [0, 0])
    first.running_mean.fill_(5.0)
    second.running_mean.fill_(7.0)

    assert net.running_mean.tolist() == [5.0, 5.0, 5.0]
