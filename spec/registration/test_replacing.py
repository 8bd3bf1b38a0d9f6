"""A name that changes its kind.

A value assigned to a name that is already used replaces what was there, or raises an error. A module never
holds two things under one name.
"""

import re

import pytest
import torch
from torch import nn


def test_a_parameter_replaces_a_plain_attribute():
    """Assigning an :class:`nn.Parameter <torch.nn.Parameter>` to the name of a plain attribute replaces it
    with a registered parameter.

    So ``self.scale = None`` may come first and a parameter later.
    """
    net = nn.Module()
    net.scale, net.shift = None, torch.rand(2)
    net.scale = scale = nn.Parameter(torch.rand(2))
    net.shift = shift = nn.Parameter(torch.rand(2))

    assert [id(net.scale), id(net.shift)] == [id(scale), id(shift)]
    assert list(net._parameters) == ["scale", "shift"]
    assert {"scale", "shift"} & vars(net).keys() == set()


def test_a_parameter_replaces_a_submodule():
    """Assigning an :class:`nn.Parameter <torch.nn.Parameter>` to the name of a submodule replaces the
    submodule.
    """
    net = nn.Module()
    net.inner = nn.ReLU()
    net.add_module("empty", None)
    net.inner = net.empty = inner = nn.Parameter(torch.rand(2))

    assert net._parameters == {"inner": inner, "empty": inner}
    assert list(net._modules) == []


def test_a_parameter_replaces_a_buffer():
    """Assigning an :class:`nn.Parameter <torch.nn.Parameter>` to the name of a buffer replaces the buffer."""
    layer = nn.BatchNorm1d(4)
    layer.register_buffer("empty", None)
    layer.running_mean = layer.empty = mean = nn.Parameter(torch.rand(4))
    layer.running_var = var = nn.Parameter(torch.rand(4), requires_grad=False)

    assert list(layer._parameters) == ["weight", "bias", "running_mean", "empty", "running_var"]
    assert [layer.running_mean is mean, layer.empty is mean, layer.running_var is var] == [True] * 3
    assert list(layer._buffers) == ["num_batches_tracked"]


def test_a_module_replaces_a_plain_attribute():
    """Assigning an :class:`nn.Module <torch.nn.Module>` to the name of a plain attribute replaces it with a
    registered submodule.

    So ``self.downsample = None`` may come first and a module later.
    """
    net = nn.Module()
    net.downsample, net.layers = None, [nn.ReLU()]
    net.downsample = downsample = nn.Linear(2, 3)
    net.layers = layers = nn.ModuleList(net.layers)

    assert [net.downsample, net.layers] == [downsample, layers]
    assert list(net._modules) == ["downsample", "layers"]
    assert {"downsample", "layers"} & vars(net).keys() == set()


def test_a_module_replaces_a_buffer():
    """Assigning an :class:`nn.Module <torch.nn.Module>` to the name of a buffer replaces the buffer."""
    layer = nn.BatchNorm1d(4)
    layer.register_buffer("empty", None)
    layer.running_mean = layer.empty = mean = nn.ReLU()

    assert layer.running_mean is mean
    assert layer._modules == {"running_mean": mean, "empty": mean}
    assert list(layer._buffers) == ["running_var", "num_batches_tracked"]


@pytest.mark.parametrize("make", [lambda: nn.Parameter(torch.rand(2)), nn.ReLU], ids=["parameter", "module"])
def test_a_replaced_buffer_is_forgotten_entirely(make):
    """Replacing a buffer by a parameter or module removes its name from ``_non_persistent_buffers_set``.

    A buffer that is registered under the name later is persistent again.
    """
    net = nn.Module()
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net.register_buffer("mask", torch.rand(2), persistent=False)
    net.cache = make()

    assert list(net._buffers) == ["mask"]
    assert net._non_persistent_buffers_set == {"mask"}

    del net.cache
    net.register_buffer("cache", torch.rand(2))
    assert list(net.state_dict()) == ["cache"]


def test_replacing_leaves_the_other_names():
    """Assigning a parameter or module to an existing ``net.x`` leaves the other attributes of ``net``
    unchanged.
    """
    net = nn.Module()
    net.width, net.depth = 2, 3
    net.register_buffer("mean", torch.rand(2))
    net.register_buffer("var", torch.rand(2), persistent=False)
    net.inner = nn.ReLU()
    net.last = net.same = tanh = nn.Tanh()
    net.bias = net.twin = bias = nn.Parameter(torch.rand(5))

    net.width = nn.Parameter(torch.rand(3))
    net.bias = nn.Parameter(torch.rand(5))
    net.mean = nn.GELU()
    net.inner = nn.Parameter(torch.rand(4))
    net.last = nn.Sigmoid()

    assert net.depth == 3
    assert net.same is tanh
    assert net.twin is bias
    assert list(net._parameters) == ["bias", "twin", "width", "inner"]
    assert list(net._buffers) == ["var"]
    assert list(net._modules) == ["last", "same", "mean"]
    assert list(net.state_dict()) == ["bias", "twin", "width", "inner"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.rand(3), "torch.FloatTensor"),
        (torch.rand(3, requires_grad=True), "torch.FloatTensor"),
        (1.5, "float"),
        (0, "int"),
        (nn.ReLU(), "torch.nn.modules.activation.ReLU"),
    ],
    ids=["tensor", "leaf", "float", "zero", "module"],
)
def test_a_parameter_is_not_replaced(value, kind):
    """Assigning anything but an :class:`nn.Parameter <torch.nn.Parameter>` or ``None`` to a parameter raises
    ``TypeError``.

    To put a tensor into a parameter, copy it in under :class:`~torch.no_grad`; to put something else under
    the name, delete the parameter first.
    """
    layer = nn.Linear(2, 3)
    bias = layer.bias
    wanted = f"cannot assign '{kind}' as parameter 'bias' (torch.nn.Parameter or None expected)"

    with pytest.raises(TypeError, match=f"^{re.escape(wanted)}$"):
        layer.bias = value
    assert layer.bias is bias

    del layer.bias
    layer.bias = value
    assert layer.bias is value


def test_an_empty_parameter_is_not_replaced():
    """Assigning a plain tensor to a parameter that is ``None``, as with ``bias=False``, raises ``TypeError``.

    An ``nn.Parameter`` is accepted.
    """
    layer = nn.Linear(2, 3, bias=False)

    with pytest.raises(TypeError, match=r"cannot assign 'torch.FloatTensor' as parameter 'bias'"):
        layer.bias = torch.rand(3)
    assert layer.bias is None

    layer.bias = nn.Parameter(torch.rand(3))

    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.rand(3), "torch.FloatTensor"),
        ("relu", "str"),
        (0, "int"),
        (nn.ReLU, "torch.nn.modules.activation.ReLU"),
    ],
    ids=["tensor", "string", "zero", "class"],
)
def test_a_submodule_is_not_replaced(value, kind):
    """Assigning anything but a module, parameter or ``None`` to a submodule's name raises ``TypeError``.

    A class that is not called yet is not a module either. Delete the submodule first to put something else
    there.
    """
    net = nn.Module()
    net.inner = inner = nn.Tanh()
    net.add_module("empty", None)
    wanted = f"cannot assign '{kind}' as child module 'inner' (torch.nn.Module or None expected)"

    with pytest.raises(TypeError, match=f"^{re.escape(wanted)}$"):
        net.inner = value
    with pytest.raises(TypeError, match="as child module 'empty'"):
        net.empty = value
    assert net._modules == {"inner": inner, "empty": None}

    del net.inner
    net.inner = value
    assert net.inner is value


@pytest.mark.parametrize(
    ("value", "kind"),
    [(1.5, "float"), (0, "int"), ([2.5], "list"), ("text", "str"), (object(), "object")],
    ids=["float", "zero", "list", "text", "object"],
)
def test_a_buffer_is_not_replaced(value, kind):
    """Assigning a number, a list, a string or an ``object()`` to a buffer raises ``TypeError``."""
    mean, layer = torch.rand(2), nn.Module()
    layer.register_buffer("mean", mean)
    layer.register_buffer("cache", mean, persistent=False)
    layer.register_buffer("empty", None)

    for name in ("mean", "cache", "empty"):
        with pytest.raises(TypeError, match=rf"cannot assign '{kind}' as buffer '{name}' \(.* expected\)"):
            setattr(layer, name, value)

    assert layer._buffers == {"mean": mean, "cache": mean, "empty": None}


@pytest.mark.before("2.5")
def test_the_refusal_names_tensors_alone():
    """The ``TypeError`` for assigning a number to a buffer says ``torch.Tensor or None expected``."""
    layer = nn.BatchNorm1d(4)

    with pytest.raises(TypeError, match=r"as buffer 'running_mean' \(torch\.Tensor or None expected\)$"):
        layer.running_mean = 1.5


@pytest.mark.since("2.5")
def test_the_refusal_names_buffers_too():
    """The ``TypeError`` for assigning a number to a buffer also lists ``torch.nn.Buffer`` as expected."""
    layer = nn.BatchNorm1d(4)
    wanted = "as buffer 'running_mean' (torch.nn.Buffer, torch.Tensor or None expected)"

    with pytest.raises(TypeError, match=f"{re.escape(wanted)}$"):
        layer.running_mean = 1.5


@pytest.mark.since("2.5")
@pytest.mark.parametrize("name", ["width", "forward"], ids=["plain", "method"])
def test_a_buffer_replaces_no_plain_attribute(name):
    """Assigning an :class:`nn.Buffer <torch.nn.Buffer>` to the name of a plain attribute or a method raises
    ``KeyError``.

    Here buffers differ from parameters and modules, which take its place. Delete the attribute first.
    """
    net = nn.Module()
    net.width = 2
    before = getattr(net, name)

    for persistent in (True, False):
        with pytest.raises(KeyError, match=f"attribute '{name}' already exists"):
            setattr(net, name, nn.Buffer(torch.rand(2), persistent=persistent))

    assert list(net._buffers) == []
    assert getattr(net, name) == before


@pytest.mark.since("2.5")
def test_a_buffer_replaces_no_parameter():
    """Assigning an :class:`nn.Buffer <torch.nn.Buffer>` to the name of a parameter raises ``TypeError``."""
    wanted = "cannot assign 'torch.FloatTensor' as parameter 'bias' (torch.nn.Parameter or None expected)"

    for layer in (nn.Linear(2, 3), nn.Linear(2, 3, bias=False)):
        bias = layer.bias
        for persistent in (True, False):
            with pytest.raises(TypeError, match=f"^{re.escape(wanted)}$"):
                layer.bias = nn.Buffer(torch.rand(3), persistent=persistent)

        assert layer.bias is bias
        assert list(layer._buffers) == []


@pytest.mark.since("2.5")
def test_a_buffer_replaces_no_submodule():
    """Assigning an :class:`nn.Buffer <torch.nn.Buffer>` to the name of a submodule raises ``TypeError``."""
    wanted = "cannot assign 'torch.FloatTensor' as child module 'inner' (torch.nn.Module or None expected)"

    for inner in (nn.ReLU(), None):
        net = nn.Module()
        net.register_module("inner", inner)
        for persistent in (True, False):
            with pytest.raises(TypeError, match=f"^{re.escape(wanted)}$"):
                net.inner = nn.Buffer(torch.rand(3), persistent=persistent)

        assert net.inner is inner
        assert list(net._buffers) == []


@pytest.mark.parametrize("name", ["forward", "dump_patches", "bias"])
def test_a_name_of_the_class_takes_no_parameter(name):
    """Assigning an :class:`nn.Parameter <torch.nn.Parameter>` to a name that the class defines, such as
    ``forward``, raises ``KeyError``.

    Such a name cannot be deleted either; choose another.
    """

    class Net(nn.Module):
        bias = None

    net = Net()

    with pytest.raises(KeyError, match=f"attribute '{name}' already exists"):
        setattr(net, name, nn.Parameter(torch.rand(2)))
    with pytest.raises(AttributeError, match=name):
        delattr(net, name)

    assert list(net._parameters) == []


@pytest.mark.parametrize("value", [3, None])
def test_a_name_of_the_class_hides_a_module(value):
    """A submodule named like a class attribute is registered, but ``net.name`` gives the class attribute.

    ``__getattr__`` is asked only when Python finds nothing else.
    """

    class Net(nn.Module):
        depth = value

    net = Net()
    net.depth = inner = nn.ReLU()

    assert [(name, id(m)) for name, m in net.named_children()] == [("depth", id(inner))]
    assert net.depth is value


def test_refusal_empties_the_name():
    """Assigning a non-leaf :class:`nn.Parameter <torch.nn.Parameter>` raises ``ValueError``, yet removes a
    submodule or buffer of that name.

    The old entry is removed before the new value is checked. A parameter of that name stays.
    """
    net = nn.Module()
    net.inner = nn.ReLU()
    net.weight = weight = nn.Parameter(torch.rand(2))
    net.register_buffer("mean", torch.rand(2))
    computed = nn.Parameter(torch.rand(2), requires_grad=False)
    computed.mul_(torch.rand(2, requires_grad=True))

    for name in ("inner", "mean", "weight"):
        with pytest.raises(ValueError, match=f"Cannot assign non-leaf Tensor to parameter '{name}'"):
            setattr(net, name, computed)

    assert [hasattr(net, name) for name in ("inner", "mean")] == [False, False]
    assert net.weight is weight
