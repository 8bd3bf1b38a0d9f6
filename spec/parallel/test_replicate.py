"""Replicas: the copies of a module that DataParallel runs.

A replica is a shallow copy that holds tensors where the module has parameters. It lives for one call. Copying
tensors needs an accelerator; the rest can be seen on modules without any.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.parallel import comm, replicate
from torch.nn.parallel._functions import Broadcast


def test_a_replica_has_no_parameters(monkeypatch):
    """A replica of :class:`~torch.nn.DataParallel` has the class and attributes of its module, but no
    parameters.

    Its submodules have none either. Here the copies are on the CPU.
    """
    for net in (nn.Linear(2, 3), nn.BatchNorm1d(3).eval()):
        net.note = "first"
        replica = net._replicate_for_data_parallel()

        assert type(replica) is type(net)
        assert {**vars(net), "_parameters": {}, "_is_replica": True} == vars(replica)
        assert list(replica.parameters()) == []
        assert [name for name, _ in net.named_parameters()] == ["weight", "bias"]

    monkeypatch.setattr(comm, "broadcast_coalesced", lambda tensors, devices: [tensors] * len(devices))
    monkeypatch.setattr(
        Broadcast, "apply", lambda devices, *tensors: [t.clone() for _ in devices for t in tensors]
    )
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1).requires_grad_(False)))
    for replica in replicate(net, [0, 1]):
        assert [type(module) for module in replica.modules()] == [type(module) for module in net.modules()]
        assert list(replica.parameters()) == []


@pytest.mark.since("2.5")
def test_its_store_of_parameters_is_a_dict():
    """``_parameters`` of a replica of :class:`~torch.nn.DataParallel` is a plain ``dict``.

    See :pull:`129164`.
    """
    assert type(nn.Linear(2, 3)._replicate_for_data_parallel()._parameters) is dict


@pytest.mark.before("2.5")
def test_its_store_of_parameters_was_ordered():
    """``_parameters`` of a replica of :class:`~torch.nn.DataParallel` is an ``OrderedDict``."""
    assert type(nn.Linear(2, 3)._replicate_for_data_parallel()._parameters) is OrderedDict


def test_a_replica_is_marked():
    """A replica of :class:`~torch.nn.DataParallel` has ``_is_replica`` set to ``True``; the original lacks
    the attribute.
    """
    net = nn.Linear(2, 3)

    assert net._replicate_for_data_parallel()._is_replica is True
    assert hasattr(net, "_is_replica") is False


def test_attributes_are_set_on_the_replica_alone():
    """Assigning an attribute to a replica of :class:`~torch.nn.DataParallel` does not set it on the original
    module.

    A list that is changed in place is the module's own.
    """
    net = nn.Linear(2, 3)
    net.count, net.seen = 1, ["a"]
    replica = net._replicate_for_data_parallel()
    replica.count += 1
    replica.seen.append("b")

    assert replica.count == 2
    assert net.count == 1
    assert net.seen == ["a", "b"]


def test_stores_of_a_replica_are_its_own():
    """Replacing a buffer or submodule of a replica of :class:`~torch.nn.DataParallel` does not change the
    original.
    """
    net = nn.Sequential(nn.ReLU())
    net.register_buffer("mean", torch.tensor([2.0, 3.0]))
    mean, relu = net.mean, net[0]
    replica = net._replicate_for_data_parallel()

    assert replica.mean is mean
    assert replica[0] is relu
    replica.mean, replica[0] = torch.tensor([5.0, 6.0]), nn.Tanh()
    assert net.mean is mean
    assert net[0] is relu


@pytest.mark.parametrize(
    ("kind", "run_by"),
    [
        ("forward_hook", "replica, other, original"),
        ("forward_pre_hook", "replica, other, original"),
        ("full_backward_hook", "replica"),
    ],
)
def test_hooks_of_a_replica_are_those_of_its_module(kind, run_by):
    """A forward hook put on a replica of :class:`~torch.nn.DataParallel` also runs on other replicas and the
    original.

    So does a pre-hook. Parameters, buffers and submodules of a replica are in dicts of its own, hooks are
    not. So a ``forward`` that registers a hook and removes it adds it to every replica that runs meanwhile
    (:pull:`128272`). The first full backward hook runs on that replica alone: the others do not know that
    there is one.
    """
    net, calls = nn.Identity(), []
    replica, other = net._replicate_for_data_parallel(), net._replicate_for_data_parallel()
    names = {id(replica): "replica", id(other): "other", id(net): "original"}

    handle = getattr(replica, f"register_{kind}")(lambda module, *rest: calls.append(names[id(module)]))
    for _ in range(2):
        for module in (replica, other, net):
            module(torch.ones(1, requires_grad=True)).backward()
        handle.remove()

    assert ", ".join(calls) == run_by


def test_a_replica_is_in_the_mode_of_its_module():
    """A replica of :class:`~torch.nn.DataParallel` is in training or evaluation mode as the original module
    is.
    """
    net = nn.Dropout().eval()

    assert net._replicate_for_data_parallel().training is False
    assert net.train()._replicate_for_data_parallel().training is True


def test_lazy_modules_have_no_replicas(monkeypatch):
    """:class:`~torch.nn.DataParallel` raises ``RuntimeError`` when it replicates a lazy module before its
    first call.

    Call it once, on any input of the right size, before wrapping it. Here tensors are handed on, not copied.
    """
    monkeypatch.setattr(comm, "broadcast_coalesced", lambda tensors, devices: [tensors] * len(devices))
    monkeypatch.setattr(Broadcast, "apply", lambda devices, *tensors: tensors * len(devices))
    text = "Modules with uninitialized parameters can't be used with `DataParallel`. Run a dummy forward pass"

    for lazy, kind in ((nn.LazyLinear(3), nn.Linear), (nn.LazyBatchNorm1d(affine=False), nn.BatchNorm1d)):
        net = nn.Sequential(lazy)
        with pytest.raises(RuntimeError, match=text):
            replicate(net, [0, 1])
        net(torch.rand(4, 2))
        assert [type(replica[0]) for replica in replicate(net, [0, 1])] == [kind, kind]


@pytest.mark.since("2.11")
def test_one_replica_for_each_device():
    """:func:`parallel.replicate <torch.nn.parallel.replicate>` returns a new module with new submodules for
    each device.

    The devices are looked at only if there is a tensor to copy: these two are not there. Up to 2.10 they had
    to be.
    """
    net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))

    first, second = replicate(net, [98, 99])

    assert [type(module) for module in first.modules()] == [nn.Sequential, nn.ReLU, nn.Sequential, nn.Tanh]
    assert replicate(net, []) == []
    trees = [set(map(id, tree.modules())) for tree in (net, first, second)]
    assert len(set.union(*trees)) == 12


@pytest.mark.since("2.11")
def test_a_shared_submodule_stays_shared():
    """:func:`parallel.replicate <torch.nn.parallel.replicate>` copies a submodule that is registered under
    two names only once.
    """
    net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh()))
    net.add_module("again", net[0])
    net[1].add_module("deeper", net[0])

    for replica in replicate(net, [98, 99]):
        assert replica.again is replica[0]
        assert replica[1].deeper is replica[0]
        assert replica.again is not net.again


@pytest.mark.since("2.11")
def test_entries_of_none_are_copied():
    """:func:`parallel.replicate <torch.nn.parallel.replicate>` keeps parameters, buffers and submodules that
    are ``None``.
    """
    net = nn.Module()
    net.register_parameter("weight", None)
    net.register_buffer("mean", None)
    net.register_module("inner", None)

    for replica in (*replicate(net, [98, 99]), replicate(nn.Sequential(net), [99])[0][0]):
        assert replica._parameters == {"weight": None}
        assert replica._buffers == {"mean": None}
        assert replica._modules == {"inner": None}


def test_buffers_stay_in_their_submodules(monkeypatch):
    """:func:`parallel.replicate <torch.nn.parallel.replicate>` registers the copy of each buffer on the
    replica of its own submodule.

    Here a copy for device 98 is the buffer plus 98.
    """
    monkeypatch.setattr(
        comm,
        "broadcast_coalesced",
        lambda tensors, devices: [[tensor + device for tensor in tensors] for device in devices],
    )
    net = nn.Sequential(nn.ReLU(), nn.Module(), nn.Module())
    net[1].register_buffer("mean", torch.tensor([2.0]))
    net[2].register_buffer("mean", torch.tensor([3.0]), persistent=False)
    net.register_buffer("mean", torch.tensor([4.0]))

    first, second = replicate(net, [98, 99])

    assert dict(first.named_buffers()) == {"mean": 102.0, "1.mean": 100.0, "2.mean": 101.0}
    assert dict(second.named_buffers()) == {"mean": 103.0, "1.mean": 101.0, "2.mean": 102.0}


def test_modules_on_the_cpu_are_not_replicated():
    """:func:`parallel.replicate <torch.nn.parallel.replicate>` raises ``AssertionError`` if parameters are on
    the CPU.
    """
    with pytest.raises(AssertionError, match="Broadcast function not implemented for CPU tensors"):
        replicate(nn.Linear(2, 3), [0, 1])


@pytest.mark.needs("cuda")
def test_weights_of_a_replica_are_no_leaves():
    """Weights in replicas of :func:`parallel.replicate <torch.nn.parallel.replicate>` are non-leaf tensors
    computed from the parameters.

    They have a ``grad_fn`` and are not parameters.
    """
    net = nn.Linear(2, 3).cuda()

    for replica in replicate(net, [0, 0]):
        assert type(replica.weight) is torch.Tensor
        assert replica.weight.is_leaf is False
        assert torch.equal(replica.weight, net.weight)
        assert list(replica._former_parameters) == ["weight", "bias"]


@pytest.mark.needs("cuda")
def test_lists_and_dicts_of_parameters_hold_tensors():
    """In replicas of :class:`~torch.nn.DataParallel`, :class:`~torch.nn.ParameterList` and ``ParameterDict``
    hold plain tensors under the same keys.
    """
    values = nn.ParameterList([torch.tensor([1.0, 2.0]), torch.tensor([3.0])]).cuda()
    table = nn.ParameterDict({"scale": torch.tensor([4.0, 5.0])}).cuda()

    second = replicate(values, [0, 0])[1]
    assert [type(value) for value in second] == [torch.Tensor, torch.Tensor]
    assert [value.tolist() for value in second] == [[1.0, 2.0], [3.0]]

    second = replicate(table, [0, 0])[1]
    assert list(second) == ["scale"]
    assert second["scale"].tolist() == [4.0, 5.0]


@pytest.mark.needs("cuda")
def test_detached_replicas_have_no_graph():
    """With ``detach=True``, weights in replicas of :func:`parallel.replicate <torch.nn.parallel.replicate>`
    have no ``grad_fn``.

    :class:`~torch.nn.DataParallel` does so under :class:`~torch.no_grad`. The first replica then holds the
    parameters themselves.
    """
    net = nn.Linear(2, 3).cuda()

    first, second = replicate(net, [0, 0], detach=True)

    assert first.weight is net.weight
    assert type(second.weight) is torch.Tensor
    assert (second.weight.requires_grad, second.weight.grad_fn) == (False, None)
    assert torch.equal(second.weight, net.weight)


@pytest.mark.needs("cuda")
def test_the_first_replica_shares_its_buffers():
    """The first replica of :func:`parallel.replicate <torch.nn.parallel.replicate>` shares buffers with the
    module; other replicas get copies.
    """
    net = nn.BatchNorm1d(3).cuda()

    first, second = replicate(net, [0, 0])
    first.running_mean.fill_(5.0)
    second.running_mean.fill_(7.0)

    assert net.running_mean.tolist() == [5.0, 5.0, 5.0]


@pytest.mark.needs("cuda")
def test_a_device_named_twice_may_share_a_tensor():
    """With devices ``[0, 0]``, :func:`parallel.replicate <torch.nn.parallel.replicate>` does not copy a
    buffer that is the only one of its dtype.

    Tensors of one dtype are copied together; a single one is passed on as it is. So BatchNorm on a device
    that is named twice counts each batch twice.
    """
    net = nn.BatchNorm1d(3).cuda()

    second = replicate(net, [0, 0])[1]

    assert second.num_batches_tracked.data_ptr() == net.num_batches_tracked.data_ptr()
    assert second.running_mean.data_ptr() != net.running_mean.data_ptr()


@pytest.mark.needs("cuda")
@pytest.mark.since("2.11")
def test_complex_parameters_stay_complex():
    """:func:`parallel.replicate <torch.nn.parallel.replicate>` copies complex parameters and buffers as
    complex ones (:issue:`55375`).
    """
    net = nn.Module()
    net.weight = nn.Parameter(torch.tensor([1 + 2j, 3 + 4j]).cuda())
    net.register_buffer("turn", torch.tensor([5 + 6j]).cuda())

    for replica in [*replicate(net, [0, 0]), *replicate(net, [0, 0], detach=True)]:
        assert replica.weight.tolist() == [1 + 2j, 3 + 4j]
        assert replica.turn.tolist() == [5 + 6j]


@pytest.mark.needs("cuda")
@pytest.mark.before("2.11")
def test_complex_parameters_became_real():
    """:func:`parallel.replicate <torch.nn.parallel.replicate>` copies complex parameters as real tensors of
    pairs, not as complex ones.
    """
    net = nn.Module()
    net.weight = nn.Parameter(torch.tensor([1 + 2j, 3 + 4j]).cuda())

    for replica in replicate(net, [0, 0]):
        assert replica.weight.tolist() == [[1.0, 2.0], [3.0, 4.0]]
