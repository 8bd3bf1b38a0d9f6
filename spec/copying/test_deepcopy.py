"""A deep copy of a module.

``copy.deepcopy`` makes a second, independent module: the usual way to keep a teacher, an average or the
best state so far.
"""

import copy

import pytest
import torch
from torch import nn


def test_a_deep_copy_is_equal_and_separate(device):
    """A deep copy has parameters and buffers of equal values in memory of its own, on the same device."""
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).to(device, torch.float64)
    copied = copy.deepcopy(net)
    old, new = net.state_dict(), copied.state_dict()

    assert [(name, value.tolist()) for name, value in new.items()] == [
        (n, v.tolist()) for n, v in old.items()
    ]
    assert [(v.dtype, v.device) for v in new.values()] == [(v.dtype, v.device) for v in old.values()]
    assert {v.data_ptr() for v in new.values()} & {v.data_ptr() for v in old.values()} == set()


def test_a_deep_copy_has_the_same_shape():
    """A deep copy is of the same class, with the same submodules, mode and plain attributes."""

    class Net(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.width = width
            self.inner = nn.Sequential(nn.Linear(2, width), nn.Dropout())

    net = Net(3).eval()
    copied = copy.deepcopy(net)

    assert [(n, type(m)) for n, m in copied.named_modules()] == [(n, type(m)) for n, m in net.named_modules()]
    assert [m.training for m in copied.modules()] == [False] * 4
    assert (type(copied), copied.width) == (Net, 3)
    assert {id(m) for m in copied.modules()} & {id(m) for m in net.modules()} == set()


def test_training_a_copy_leaves_the_original():
    """Training a deep copy leaves the original as it was, and the other way round."""
    net = nn.Linear(2, 3)
    copied = copy.deepcopy(net)
    before = net.weight.tolist()
    copied(torch.rand(4, 2) + 1).sum().backward()
    with torch.no_grad():
        copied.weight.sub_(copied.weight.grad)

    assert net.weight.tolist() == before
    assert copied.weight.tolist() != before
    assert net.weight.grad is None


def test_init_is_not_called():
    """A deep copy does not call ``__init__``."""
    calls = []

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            calls.append("init")

    copy.deepcopy(Net())

    assert calls == ["init"]


def test_ties_are_kept():
    """Within a deep copy what was shared stays shared: parameters, buffers and submodules alike."""
    net = nn.Module()
    net.encoder, net.decoder = nn.Linear(3, 3), nn.Linear(3, 3)
    net.decoder.weight = net.encoder.weight
    net.first = net.second = nn.ReLU()
    copied = copy.deepcopy(net)

    assert copied.decoder.weight is copied.encoder.weight
    assert copied.encoder.weight is not net.encoder.weight
    assert copied.first is copied.second


def test_ties_across_copies_are_cut():
    """Two deep copies made one after the other share nothing, though their originals did.

    To keep the tie, copy both in one go, as a tuple.
    """
    encoder, decoder = nn.Linear(3, 3), nn.Linear(3, 3)
    decoder.weight = encoder.weight
    first, second = copy.deepcopy(encoder), copy.deepcopy(decoder)
    both = copy.deepcopy((encoder, decoder))

    assert first.weight is not second.weight
    assert both[0].weight is both[1].weight


def test_frozen_parameters_stay_frozen():
    """A deep copy keeps for each parameter whether it requires a gradient."""
    net = nn.Linear(2, 3)
    net.bias.requires_grad_(False)

    assert [(n, p.requires_grad) for n, p in copy.deepcopy(net).named_parameters()] == [
        ("weight", True),
        ("bias", False),
    ]


def test_gradients_of_parameters_stay_behind():
    """The parameters of a deep copy start without gradients, whatever those of the original have."""
    net = nn.Linear(2, 3)
    net(torch.rand(4, 2)).sum().backward()
    copied = copy.deepcopy(net)

    assert [p.grad for p in copied.parameters()] == [None, None]
    assert [p.grad is None for p in net.parameters()] == [False, False]


@pytest.mark.observed
def test_gradients_of_other_tensors_come_along():
    """The gradient of a tensor that is no parameter is copied with it."""
    net = nn.Module()
    net.register_buffer("scale", torch.rand(2, requires_grad=True))
    (3 * net.scale).sum().backward()
    copied = copy.deepcopy(net)

    assert copied.scale.grad.tolist() == [3, 3]
    assert copied.scale.grad is not net.scale.grad


def test_buffers_keep_their_persistence():
    """A deep copy keeps for each buffer whether it is persistent."""
    net = nn.Module()
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("cache", torch.rand(2), persistent=False)
    copied = copy.deepcopy(net)

    assert [name for name, _ in copied.named_buffers()] == ["mean", "cache"]
    assert list(copied.state_dict()) == ["mean"]

    copied.register_buffer("other", torch.rand(2), persistent=False)

    assert net._non_persistent_buffers_set == {"cache"}


@pytest.mark.observed
def test_views_of_buffers_stay_views():
    """A buffer that is a view of another one is a view of the other's copy."""
    net = nn.Module()
    net.register_buffer("table", torch.tensor([2.0, 3.0, 5.0]))
    net.register_buffer("head", net.table[:2])
    copied = copy.deepcopy(net)
    copied.table.fill_(7)

    assert copied.head.tolist() == [7, 7]
    assert net.head.tolist() == [2, 3]


@pytest.mark.observed
def test_views_of_parameters_come_apart():
    """A parameter that shares memory with another one, without being it, has its own in a deep copy."""
    net = nn.Module()
    net.table = nn.Parameter(torch.tensor([2.0, 3.0, 5.0]))
    net.head = nn.Parameter(net.table.data[:2])
    copied = copy.deepcopy(net)
    with torch.no_grad():
        copied.table.fill_(7)

    assert copied.head.tolist() == [2, 3]


@pytest.mark.parametrize(
    "container",
    [
        nn.Sequential(nn.Linear(2, 3), nn.ReLU()),
        nn.ModuleList([nn.Linear(2, 3), nn.ReLU()]),
        nn.ModuleDict({"b": nn.Linear(2, 3), "a": nn.ReLU()}),
        nn.ParameterList([nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))]),
        nn.ParameterDict({"b": nn.Parameter(torch.rand(2)), "a": nn.Parameter(torch.rand(3))}),
    ],
    ids=lambda container: type(container).__name__,
)
def test_containers_are_copied(container):
    """A deep copy of a container has the same names in the same order, and grows on its own."""
    copied = copy.deepcopy(container)
    old, new = dict(container.named_parameters()), dict(copied.named_parameters())

    assert (type(copied), len(copied)) == (type(container), 2)
    assert {name: value.tolist() for name, value in new.items()} == {n: v.tolist() for n, v in old.items()}
    assert list(new) == list(old)

    copied.register_parameter("more", nn.Parameter(torch.rand(2)))

    assert "more" not in container._parameters


@pytest.mark.question("Q79")
def test_a_stored_result_cannot_be_copied():
    """A module that keeps a result of ``forward`` as an attribute cannot be copied once it has run.

    The result has a history, and a deep copy of it would have to copy that too. Keep it detached.
    """

    class Net(nn.Linear):
        def forward(self, x):
            self.last = super().forward(x)
            return self.last

    net = Net(2, 3)
    copy.deepcopy(net)
    net(torch.rand(4, 2))

    with pytest.raises(
        RuntimeError, match=r"^Only Tensors created explicitly by the user \(graph leaves\) support"
    ):
        copy.deepcopy(net)

    net.last = net.last.detach()

    assert torch.equal(copy.deepcopy(net).last, net.last)


@pytest.mark.question("Q79")
def test_a_result_without_gradients_can_be_copied():
    """A result of ``forward`` that was computed under :class:`~torch.no_grad` is copied."""

    class Net(nn.Linear):
        def forward(self, x):
            self.last = super().forward(x)
            return self.last

    net = Net(2, 3)
    with torch.no_grad():
        net(torch.rand(4, 2))

    assert torch.equal(copy.deepcopy(net).last, net.last)


@pytest.mark.since("2.1")
@pytest.mark.observed
def test_a_compiled_call_is_left_out():
    """What :meth:`~torch.nn.Module.compile` has compiled is no part of the state that is copied."""
    net = nn.Linear(2, 3)
    net._compiled_call_impl = lambda x: "compiled"
    x = torch.rand(4, 2)

    assert net(x) == "compiled"
    assert copy.deepcopy(net)(x).shape == (4, 3)
    assert "_compiled_call_impl" not in net.__getstate__()
    assert net(x) == "compiled"


@pytest.mark.since("2.1")
@pytest.mark.observed
def test_the_state_is_a_copy():
    """``__getstate__`` returns a new dictionary of the attributes: changing it leaves the module."""
    net = nn.Linear(2, 3)
    state = net.__getstate__()

    assert state == vars(net)

    del state["_parameters"]

    assert [name for name, _ in net.named_parameters()] == ["weight", "bias"]
