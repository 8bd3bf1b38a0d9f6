"""Assigning an attribute.

The type of the value decides: a parameter, a submodule and a buffer are registered under the name of the
attribute, everything else becomes a plain attribute.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-11", "N5-02")
def test_a_parameter_is_registered():
    """Assigning an :class:`nn.Parameter <torch.nn.Parameter>` to a new attribute of a module registers it as
    a parameter.

    What is computed from one, ``nn.Parameter(...).double()`` for instance, is a plain tensor and not
    registered: make the tensor first and wrap it last. For a name that is computed there is
    :meth:`~torch.nn.Module.register_parameter`.
    """
    net = nn.Module()
    scale = nn.Parameter(torch.rand(2))
    net.scale = scale
    net.shift = nn.Parameter(torch.rand(2)).double()
    net.lazy = lazy = nn.parameter.UninitializedParameter()
    net.frozen = frozen = nn.Parameter(torch.tensor([2, 3]), requires_grad=False)

    assert list(net.named_parameters()) == [("scale", scale), ("lazy", lazy), ("frozen", frozen)]
    assert list(net._parameters) == ["scale", "lazy", "frozen"]
    assert type(net.shift) is torch.Tensor


@pytest.mark.claim("N2-11", "N5-18")
def test_a_module_is_registered():
    """Assigning an :class:`nn.Module <torch.nn.Module>` to a new attribute of a module registers it as a
    submodule.

    In a plain list or dict it does not: put it into a :class:`~torch.nn.ModuleList` or a
    :class:`~torch.nn.ModuleDict`.
    """
    net = nn.Module()
    inner, blocks = nn.Linear(2, 3), nn.ModuleList()
    net.inner, net.blocks = inner, blocks
    net.layers, net.heads = [nn.ReLU()], {"first": nn.ReLU()}

    assert list(net.named_children()) == [("inner", inner), ("blocks", blocks)]
    assert net._modules == {"inner": inner, "blocks": blocks}


@pytest.mark.question("Q31")
@pytest.mark.since("2.5")
def test_a_buffer_is_registered():
    """Assigning an :class:`nn.Buffer <torch.nn.Buffer>` to a new attribute of a module registers it as a
    buffer.

    It came with :pull:`125971`. Before torch 2.5 a buffer is registered by name only (:issue:`35735`), with
    :meth:`~torch.nn.Module.register_buffer`, which works on every release.
    """
    net = nn.Module()
    net.mean = mean = nn.Buffer(torch.rand(2))
    net.count = count = nn.Buffer(torch.tensor([2, 3]))
    net.cache = cache = nn.Buffer(torch.rand(2, requires_grad=True), persistent=False)

    assert list(net.named_buffers()) == [("mean", mean), ("count", count), ("cache", cache)]
    assert list(net.state_dict()) == ["mean", "count"]
    assert list(net.parameters()) == []


@pytest.mark.claim("N2-16", "N5-02")
@pytest.mark.question("Q31")
def test_a_tensor_is_a_plain_attribute():
    """A plain tensor assigned to a new attribute of an ``nn.Module`` is neither a parameter nor a buffer.

    So a module can keep a hidden state or a cache that is neither trained nor saved. What registers a tensor
    is its type, :class:`~torch.nn.Parameter`, not ``requires_grad``. A mask that has to move with the module
    is given to :meth:`~torch.nn.Module.register_buffer`.
    """
    net = nn.Module()
    net.hidden = torch.rand(2)
    net.learned = torch.rand(2, requires_grad=True)
    net.count = torch.tensor(3)

    assert list(net.parameters()) == []
    assert list(net.buffers()) == []
    assert list(net.state_dict()) == []
    assert {"hidden", "learned", "count"} <= vars(net).keys()


@pytest.mark.claim("N2-13")
def test_a_layer_of_ones_own():
    """Parameters assigned in a module's ``__init__`` are in ``_parameters``, layers in ``_modules``."""

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.rand(2, 3))
            self.b = nn.Parameter(torch.rand(3), requires_grad=False)
            self.layer_inner = nn.Conv2d(2, 3, 5)

    layer = Layer()

    assert list(layer._parameters) == ["w", "b"]
    assert list(layer._modules) == ["layer_inner"]


@pytest.mark.claim("N2-01")
def test_a_block_chains_its_layers():
    """A custom :class:`nn.Module <torch.nn.Module>` creates its layers in ``__init__`` and calls them in
    ``forward``.

    Call the block, ``block(x)``, not ``block.forward(x)``: only so its hooks run.
    """

    class DoubleConv(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 2, 3)
            self.second = nn.Conv2d(2, 4, 3)

        def forward(self, x):
            return self.second(torch.relu(self.first(x)))

    block = DoubleConv()
    x = torch.rand(1, 1, 8, 9)

    assert [name for name, _ in block.named_children()] == ["first", "second"]
    assert torch.equal(block(x), block.second(block.first(x).relu()))

    calls = []
    block.register_forward_hook(lambda *args: calls.append("hook"))
    block.forward(x)
    assert calls == []
    block(x)
    assert calls == ["hook"]


@pytest.mark.claim("N5-03")
def test_submodules_bring_their_parameters():
    """After ``net.head = nn.Linear(3, 1)``, ``net.named_parameters()`` includes ``head.weight`` and
    ``head.bias``.
    """
    net = nn.Module()
    net.reader = nn.GRU(2, 3)
    net.head = nn.Linear(3, 1)

    assert [name for name, _ in net.named_parameters()] == [
        "reader.weight_ih_l0",
        "reader.weight_hh_l0",
        "reader.bias_ih_l0",
        "reader.bias_hh_l0",
        "head.weight",
        "head.bias",
    ]


@pytest.mark.claim("N5-01")
def test_a_network_is_assigned_like_a_layer():
    """A :class:`~torch.nn.Sequential` assigned to a module is registered like a single layer."""
    net = nn.Module()
    net.body = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    net.rest, net.head = nn.Sequential(), nn.Linear(3, 1)

    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "rest", "head"]


@pytest.mark.claim("N2-12")
def test_registered_attributes_are_not_in_dict():
    """Parameters, buffers and submodules of a module are not in its ``__dict__``; plain attributes are.

    ``object.__setattr__`` is called for plain attributes only, and ``__getattr__`` finds the others.
    """
    net = nn.Module()
    before = set(vars(net))
    net.scale = nn.Parameter(torch.rand(2))
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("cache", torch.rand(3), persistent=False)
    net.inner = nn.ReLU()
    net.width = 2

    assert [net.scale.shape, net.mean.shape, type(net.inner), net.width] == [(2,), (2,), nn.ReLU, 2]
    assert set(vars(net)) - before == {"width"}
    assert [*net._parameters, *net._buffers, *net._modules] == ["scale", "mean", "cache", "inner"]


def test_a_frozen_parameter_is_registered():
    """An :class:`nn.Parameter <torch.nn.Parameter>` with ``requires_grad=False`` is registered and saved like
    any other parameter.
    """
    net = nn.Module()
    net.scale = scale = nn.Parameter(torch.rand(2), requires_grad=False)
    net.shift = shift = nn.Parameter(torch.rand(2))

    assert list(net.named_parameters()) == [("scale", scale), ("shift", shift)]
    assert list(net.state_dict()) == ["scale", "shift"]
    assert list(nn.Sequential(net).state_dict()) == ["0.scale", "0.shift"]
    assert scale.requires_grad is False


def test_two_names_for_one_parameter():
    """An :class:`nn.Parameter <torch.nn.Parameter>` or a module assigned to two attributes is registered
    under both names.
    """
    net = nn.Module()
    scale, layer = nn.Parameter(torch.rand(2)), nn.Linear(2, 3)
    net.scale = net.factor = scale
    net.first = net.second = layer

    assert net._parameters == {"scale": scale, "factor": scale}
    assert net._modules == {"first": layer, "second": layer}


def test_assigning_again_keeps_the_place():
    """Assigning ``net.a = new`` to an existing parameter or submodule replaces it and keeps its position."""
    net = nn.Module()
    net.a, net.b = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))
    net.c, net.d = nn.ReLU(), nn.Tanh()

    for emptied in (False, True):
        same, wide, gelu = nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(4)), nn.GELU()
        if emptied:
            net.a = net.c = None
        net.a, net.b, net.c = same, wide, gelu

        assert list(net.named_parameters()) == [("a", same), ("b", wide)]
        assert list(net.named_children()) == [("c", gelu), ("d", net.d)]


def test_a_tensor_fills_a_buffer():
    """Assigning a plain tensor to an existing buffer, ``net.mean = tensor``, replaces the buffer's tensor.

    So running statistics can be written as ``self.mean = 0.9 * self.mean + 0.1 * x.mean()``.
    """
    net = nn.Module()
    net.register_buffer("mean", torch.rand(2))

    for new in (torch.rand(2), torch.rand(3, requires_grad=True) * 2, torch.tensor(4)):
        net.mean = new
        assert list(net.named_buffers()) == [("mean", new)]
        assert "mean" not in vars(net)


def test_a_buffer_keeps_its_persistence():
    """A buffer made with ``persistent=False`` stays non-persistent when a new tensor is assigned to it."""
    net = nn.Module()
    net.register_buffer("saved", torch.rand(2))
    net.register_buffer("cache", torch.rand(2), persistent=False)

    for new in (torch.rand(3), None, torch.rand(4)):
        net.saved = net.cache = new
        assert list(net.state_dict()) == ([] if new is None else ["saved"])
        assert [net.saved, net.cache] == [new, new]


@pytest.mark.since("2.5")
def test_a_buffer_object_brings_persistence():
    """Assigning an :class:`nn.Buffer <torch.nn.Buffer>` to an existing buffer also overrides whether it is
    persistent.
    """
    net = nn.Module()
    net.register_buffer("first", torch.rand(2), persistent=False)
    net.register_buffer("second", torch.rand(2), persistent=True)
    net.first = nn.Buffer(torch.rand(3))
    net.second = nn.Buffer(torch.rand(3), persistent=False)

    assert list(net.state_dict()) == ["first"]
    assert [name for name, _ in net.named_buffers()] == ["first", "second"]


def test_none_empties_a_parameter():
    """After ``layer.bias = None``, ``bias`` stays in ``layer._parameters`` as ``None`` and can be set
    again.
    """
    layer = nn.Linear(2, 3)
    layer.bias = None

    assert layer._parameters["bias"] is None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]

    layer.bias = nn.Parameter(torch.rand(3))

    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_none_empties_a_submodule():
    """After ``net.inner = None``, ``inner`` stays in ``net._modules`` as ``None`` and can be set again."""
    net = nn.Module()
    net.inner = nn.ReLU()
    net.last = nn.Tanh()
    net.inner = None

    assert net._modules["inner"] is None
    assert [name for name, _ in net.named_children()] == ["last"]

    net.inner = nn.GELU()

    assert [name for name, _ in net.named_children()] == ["inner", "last"]


def test_none_empties_a_buffer():
    """After ``bn.running_mean = None``, ``running_mean`` stays in ``bn._buffers`` as ``None`` and can be set
    again.
    """
    layer = nn.BatchNorm1d(4)
    layer.running_mean = None

    assert layer._buffers["running_mean"] is None
    assert list(layer.state_dict()) == ["weight", "bias", "running_var", "num_batches_tracked"]

    layer.running_mean = torch.rand(4)

    assert "running_mean" in layer.state_dict()
