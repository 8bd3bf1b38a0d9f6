"""A deep copy of a module.

``copy.deepcopy`` makes a second, independent module: the usual way to keep a teacher, an average or the
best state so far.
"""

import copy
import pickle

import pytest
import torch
from torch import nn


def test_a_deep_copy_is_equal_and_separate(device):
    """``copy.deepcopy(module)`` copies parameters and buffers into new memory on the same device.

    That is how a teacher, an average of weights or the best state so far is kept: ``best =
    model.state_dict()`` alone would follow the training.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).to(device, torch.float64)
    net.register_buffer("cache", torch.rand(2, device=device), persistent=False)
    net[0].weight.requires_grad_(False)
    copied = copy.deepcopy(net)
    old, new = [*net.parameters(), *net.buffers()], [*copied.parameters(), *copied.buffers()]

    assert list(copied.state_dict()) == list(net.state_dict())
    assert [value.tolist() for value in new] == [value.tolist() for value in old]
    assert [(value.dtype, value.device) for value in new] == [(value.dtype, value.device) for value in old]
    assert {value.data_ptr() for value in new}.isdisjoint(value.data_ptr() for value in old)


def test_a_deep_copy_has_the_same_shape():
    """``copy.deepcopy(module)`` copies submodules, and keeps classes, ``training`` and plain attributes."""

    class Net(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.width = width
            self.inner = nn.Sequential(nn.Linear(2, width), nn.Dropout())

    net = Net(3)
    net.inner[0].eval()
    copied = copy.deepcopy(net)

    assert [(name, type(module)) for name, module in copied.named_modules()] == [
        ("", Net),
        ("inner", nn.Sequential),
        ("inner.0", nn.Linear),
        ("inner.1", nn.Dropout),
    ]
    assert [module.training for module in copied.modules()] == [True, True, False, True]
    assert copied.width == 3
    assert {id(module) for module in copied.modules()} & {id(module) for module in net.modules()} == set()


def test_training_a_copy_leaves_the_original():
    """Training a ``copy.deepcopy`` of a module does not change the original, and vice versa."""

    def train(module):
        module(torch.tensor([[1.0, 2.0], [5.0, 8.0]])).square().sum().backward()
        torch.optim.SGD(module.parameters(), lr=0.5).step()

    def values(module):
        return [value.tolist() for value in module.state_dict().values()]

    net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3))
    copied = copy.deepcopy(net)
    before = values(net)

    train(copied)
    after = values(copied)

    assert [new == old for new, old in zip(after, before, strict=True)] == [False] * 7
    assert values(net) == before
    assert net[1].weight.grad is None

    train(net)

    assert values(net) != before
    assert values(copied) == after


def test_init_is_not_called():
    """``copy.deepcopy(module)`` copies the attributes and does not call ``__init__``."""
    calls = []

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            calls.append("init")
            self.width = 3

    net = Net()
    net.inner = Net()
    copied = copy.deepcopy(net)

    assert calls == ["init", "init"]
    assert [copied.width, copied.inner.width] == [3, 3]


def test_ties_are_kept():
    """In a ``copy.deepcopy``, a parameter, buffer or submodule that has two names is still one object."""
    net = nn.Module()
    net.encoder, net.decoder = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    net.decoder.weight = net.encoder.weight
    net.decoder.running_mean = net.encoder.running_mean
    net.first = net.second = nn.ReLU()
    copied = copy.deepcopy(net)

    assert copied.decoder.weight is copied.encoder.weight
    assert copied.decoder.running_mean is copied.encoder.running_mean
    assert copied.first is copied.second
    assert copied.encoder.weight is not net.encoder.weight
    assert copied.decoder.bias is not copied.encoder.bias


def test_ties_across_copies_are_cut():
    """Two modules that share a parameter no longer share it after two separate ``copy.deepcopy`` calls.

    To keep the tie, copy both in one go, as a tuple.
    """
    encoder, decoder = nn.Linear(3, 3), nn.Linear(3, 3)
    decoder.weight = encoder.weight
    first, second = copy.deepcopy(encoder), copy.deepcopy(decoder)
    both = copy.deepcopy((encoder, decoder))

    assert first.weight is not second.weight
    assert first.weight.data_ptr() != second.weight.data_ptr()
    assert both[0].weight is both[1].weight


def test_frozen_parameters_stay_frozen():
    """``copy.deepcopy(module)`` keeps the ``requires_grad`` of each parameter.

    A copy of a model that is trained, to serve as a teacher, is so trained as well until it is frozen.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.PReLU().requires_grad_(False))
    net[0].bias.requires_grad_(False)

    assert [(name, p.requires_grad) for name, p in copy.deepcopy(net).named_parameters()] == [
        ("0.weight", True),
        ("0.bias", False),
        ("1.weight", False),
    ]


def test_gradients_of_parameters_stay_behind():
    """Parameters of a ``copy.deepcopy`` have ``grad`` ``None``, even if the original's have a ``grad``."""
    net = nn.Sequential(nn.Linear(2, 3))
    net(torch.rand(4, 2)).sum().backward()
    net[0].bias.requires_grad_(False)
    copied = copy.deepcopy(net)

    assert [p.grad for p in copied.parameters()] == [None, None]
    assert [p.grad is None for p in net.parameters()] == [False, False]


def test_gradients_of_other_tensors_come_along():
    """``copy.deepcopy(module)`` copies the ``grad`` of a buffer, unlike the ``grad`` of a parameter."""
    net = nn.Module()
    net.weight = nn.Parameter(torch.rand(2))
    net.register_buffer("scale", torch.rand(2, requires_grad=True))
    (3 * net.scale + net.weight).sum().backward()
    copied = copy.deepcopy(net)

    assert copied.scale.grad.tolist() == [3, 3]
    assert copied.scale.grad is not net.scale.grad
    assert copied.weight.grad is None


def test_buffers_keep_their_persistence():
    """``copy.deepcopy(module)`` keeps which buffers are persistent, in a new
    ``_non_persistent_buffers_set``.
    """
    net = nn.Module()
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net.inner = nn.Module()
    net.inner.register_buffer("mask", torch.rand(2), persistent=False)
    copied = copy.deepcopy(net)

    assert [name for name, _ in copied.named_buffers()] == ["mean", "cache", "inner.mask"]
    assert list(copied.state_dict()) == ["mean"]

    copied.register_buffer("other", torch.rand(2), persistent=False)

    assert net._non_persistent_buffers_set == {"cache"}


def test_views_of_buffers_stay_views():
    """In a ``copy.deepcopy``, a buffer that is a view of another buffer is a view of that buffer's copy."""
    net = nn.Module()
    net.register_buffer("table", torch.tensor([2.0, 3.0, 5.0]))
    net.register_buffer("head", net.table[:2])
    net.inner = nn.Module()
    net.inner.register_buffer("tail", net.table[1:])
    copied = copy.deepcopy(net)

    copied.table.copy_(torch.tensor([7.0, 11.0, 13.0]))

    assert [copied.head.tolist(), copied.inner.tail.tolist()] == [[7, 11], [11, 13]]
    assert [net.head.tolist(), net.inner.tail.tolist()] == [[2, 3], [3, 5]]


def test_views_of_parameters_come_apart():
    """In a ``copy.deepcopy``, parameters that shared memory no longer share it, unless they are one object.

    Tie by assigning the parameter itself, not a new one on its ``data``.
    """
    net = nn.Module()
    net.table = nn.Parameter(torch.tensor([2.0, 3.0, 5.0]))
    net.head, net.whole = nn.Parameter(net.table.data[:2]), nn.Parameter(net.table.data)
    net.tied = net.table
    copied = copy.deepcopy(net)

    with torch.no_grad():
        copied.table.fill_(7)
        net.table.fill_(9)

    assert copied.head.tolist() == [2, 3]
    assert copied.whole.tolist() == [2, 3, 5]
    assert copied.tied is copied.table
    assert net.head.tolist() == [9, 9]


@pytest.mark.parametrize(
    "container",
    [
        nn.Sequential(nn.Linear(2, 3), nn.ReLU()),
        nn.ModuleList([nn.Linear(2, 3), nn.ReLU()]),
        nn.ModuleDict({"b": nn.Linear(2, 3), "a": nn.PReLU()}),
        nn.ParameterList([nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))]),
        nn.ParameterDict({"b": nn.Parameter(torch.rand(2)), "a": nn.Parameter(torch.rand(3))}),
    ],
    ids=lambda container: type(container).__name__,
)
def test_containers_are_copied(container):
    """``copy.deepcopy`` of an ``nn`` container keeps names and order; adding to it does not change the
    original.
    """
    copied = copy.deepcopy(container)
    old, new = dict(container.named_parameters()), dict(copied.named_parameters())

    assert type(copied) is type(container)
    assert len(copied) == 2
    assert list(new) == list(old)
    assert [value.tolist() for value in new.values()] == [value.tolist() for value in old.values()]

    copied.register_parameter("more", nn.Parameter(torch.rand(2)))
    copied.add_module("another", nn.ReLU())

    assert "more" in copied._parameters
    assert "another" in copied._modules
    assert "more" not in container._parameters
    assert "another" not in container._modules


@pytest.mark.question("Q79")
def test_a_stored_result_cannot_be_copied():
    """``copy.deepcopy(module)`` raises ``RuntimeError`` if an attribute is a non-leaf tensor, such as an
    output.

    So a model can be copied until it has run. Store the result detached.

    See also :ref:`copying.deepcopy.a_result_without_gradients_can_be_copied`
    """

    class Net(nn.Linear):
        def forward(self, x):
            self.last = super().forward(x)
            return self.last

    net = Net(2, 3)
    copy.deepcopy(net)
    output = net(torch.rand(4, 2))

    for net.last in (output, output[0], output.sum(), [output]):
        for module in (net, nn.Sequential(net)):
            with pytest.raises(RuntimeError, match=r"^Only Tensors created explicitly by the user"):
                copy.deepcopy(module)

    net.last = output.detach()

    assert copy.deepcopy(net).last.tolist() == net.last.tolist()


@pytest.mark.question("Q79")
def test_a_result_without_gradients_can_be_copied():
    """``copy.deepcopy(module)`` copies an output that ``forward`` stored on the module under
    :class:`~torch.no_grad`.

    So a model that was run for evaluation alone is copied, and the same model after a training step is
    not.
    """

    class Net(nn.Linear):
        def forward(self, x):
            self.last = super().forward(x)
            return self.last

    net = Net(2, 3)
    with torch.no_grad():
        net(torch.rand(4, 2))
    copied = copy.deepcopy(net)

    assert copied.last.tolist() == net.last.tolist()
    assert copied.last.data_ptr() != net.last.data_ptr()


@pytest.mark.since("2.1")
def test_a_compiled_call_is_left_out():
    """``Module.__getstate__()`` leaves out ``_compiled_call_impl``: copies and pickles are not compiled.

    Call :meth:`Module.compile <torch.nn.Module.compile>` on the copy. See also
    :ref:`compilation.module_compile.a_copy_is_not_compiled`
    """
    net = nn.Linear(2, 3)
    net._compiled_call_impl = lambda x: "compiled"
    x = torch.rand(4, 2)

    assert net(x) == "compiled"
    assert copy.deepcopy(net)(x).shape == (4, 3)
    assert pickle.loads(pickle.dumps(net))(x).shape == (4, 3)
    assert "_compiled_call_impl" not in net.__getstate__()
    assert net(x) == "compiled"


@pytest.mark.since("2.1")
def test_the_state_is_a_copy():
    """``Module.__getstate__()`` returns a new dict of the attributes: changing it does not change the
    module.
    """
    net = nn.Linear(2, 3)
    state = net.__getstate__()

    assert state == vars(net)
    assert state["_parameters"] is net._parameters

    del state["_parameters"]

    assert [name for name, _ in net.named_parameters()] == ["weight", "bias"]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_new_gets_no_arguments(duplicate):
    """``copy.copy`` and ``copy.deepcopy`` raise ``TypeError`` for a module whose ``__new__`` requires
    arguments.

    It is called without any. Unpickling does so too. Give the arguments of ``__new__`` defaults.
    """

    class Net(nn.Module):
        def __new__(cls, width):
            return super().__new__(cls)

        def __init__(self, width):
            super().__init__()
            self.inner = nn.Linear(width, 1)

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'width'"):
        duplicate(Net(2))


def test_a_wrapper_may_be_copied_as_what_it_wraps():
    """``copy.deepcopy`` of a module whose ``__getattr__`` forwards every name may copy only the module
    inside.

    It does if that one has a ``__deepcopy__``, as ``torch.fx.GraphModule`` has. Hand on no names that begin
    with two underscores.
    """

    class Inner(nn.Module):
        def __deepcopy__(self, memo):
            return Inner()

    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def __getattr__(self, name):
            inner = super().__getattr__("inner")
            return inner if name == "inner" else getattr(inner, name)

    assert type(copy.deepcopy(Wrapper(nn.Linear(2, 1)))) is Wrapper
    assert type(copy.deepcopy(Wrapper(Inner()))) is Inner
