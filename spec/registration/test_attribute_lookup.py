"""Reading an attribute.

Python looks into the instance and the class first. What is not found there is looked for in the stores,
by ``__getattr__``.
"""

import typing

import pytest
import torch
from torch import nn


def test_registered_attributes_are_read():
    """A parameter, a buffer and a submodule are read as attributes: the very objects that were registered."""
    net = nn.Module()
    scale, mean, inner = nn.Parameter(torch.rand(2)), torch.rand(2), nn.ReLU()
    net.scale, net.inner = scale, inner
    net.register_buffer("mean", mean)

    assert (net.scale is scale, net.mean is mean, net.inner is inner) == (True, True, True)
    assert getattr(net, "scale", None) is scale


def test_a_missing_attribute():
    """An attribute that is found nowhere raises ``AttributeError``, which names class and attribute."""
    net = nn.Linear(2, 3)

    with pytest.raises(AttributeError, match=r"^'Linear' object has no attribute 'wieght'$"):
        net.wieght  # noqa: B018

    assert not hasattr(net, "wieght")
    assert getattr(net, "wieght", "default") == "default"


def test_submodules_are_not_searched():
    """An attribute of a submodule is read from the submodule only."""
    net = nn.Sequential(nn.Linear(2, 3))

    with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'weight'"):
        net.weight  # noqa: B018


@pytest.mark.observed
def test_dict_comes_before_the_stores():
    """What lies in the ``__dict__`` of the module is read before the stores are asked."""
    layer = nn.Linear(2, 3)
    layer.__dict__["weight"] = "plain"

    assert layer.weight == "plain"
    assert list(layer._parameters) == ["weight", "bias"]


@pytest.mark.observed
def test_the_order_of_the_stores():
    """The stores are asked in this order: parameters, buffers, submodules."""
    net = nn.Module()
    scale, mean, inner = nn.Parameter(torch.rand(2)), torch.rand(2), nn.ReLU()
    net._modules["x"] = inner
    found = [net.x]
    net._buffers["x"] = mean
    found.append(net.x)
    net._parameters["x"] = scale
    found.append(net.x)

    assert [id(value) for value in found] == [id(inner), id(mean), id(scale)]


@pytest.mark.observed
def test_before_init_nothing_is_found():
    """A module whose ``__init__`` has not run has no attributes: reading one raises ``AttributeError``."""
    net = nn.Module.__new__(nn.Module)

    with pytest.raises(AttributeError, match=r"^'Module' object has no attribute 'scale'$"):
        net.scale  # noqa: B018


def test_a_property_is_read():
    """A property of a module may use what is registered."""

    class Net(nn.Module):
        @property
        def width(self):
            return self.inner.out_features

    net = Net()
    net.inner = nn.Linear(2, 3)

    assert net.width == 3


@pytest.mark.question("Q05")
def test_a_failing_property_seems_missing():
    """A property that fails with ``AttributeError`` is reported as missing itself.

    Python then asks ``__getattr__``, which knows nothing of the property. The attribute that was really
    missing is named nowhere.
    """

    class Net(nn.Module):
        @property
        def width(self):
            return self.missing.out_features

    with pytest.raises(AttributeError, match=r"^'Net' object has no attribute 'width'$") as error:
        Net().width  # noqa: B018

    assert (error.value.__cause__, error.value.__context__) == (None, None)


@pytest.mark.question("Q05")
def test_another_error_passes_through():
    """A property that raises anything but ``AttributeError`` lets that error through."""

    class Net(nn.Module):
        @property
        def width(self):
            return {}["missing"]

    with pytest.raises(KeyError, match="missing"):
        Net().width  # noqa: B018


@pytest.mark.question("Q05")
def test_a_method_names_what_is_missing():
    """A method that fails with ``AttributeError`` names the attribute that is missing."""

    class Net(nn.Module):
        def width(self):
            return self.missing.out_features

    with pytest.raises(AttributeError, match=r"^'Net' object has no attribute 'missing'$"):
        Net().width()


def test_a_getattr_of_ones_own():
    """A ``__getattr__`` of one's own finds what is registered through ``Module.__getattr__``."""

    class Net(nn.Module):
        def __getattr__(self, name):
            return super().__getattr__(name) if name in ("_modules", "inner") else f"no {name}"

    net = Net()
    net.inner = inner = nn.ReLU()

    assert net.inner is inner
    assert net.outer == "no outer"


@pytest.mark.question("Q119")
@pytest.mark.observed
def test_an_annotation_registers_nothing():
    """A type written in the class body registers nothing and hides nothing.

    Type checkers take ``inner: nn.Linear`` over the declared result of ``__getattr__``, which cannot tell a
    buffer from a submodule.
    """

    class Net(nn.Module):
        inner: nn.Linear
        mean: torch.Tensor

    net = Net()

    assert not hasattr(net, "inner")

    net.inner = inner = nn.Linear(2, 3)

    assert net.inner is inner
    assert typing.get_type_hints(Net)["inner"] is nn.Linear


@pytest.mark.question("Q119")
@pytest.mark.since("2.1")
@pytest.mark.before("2.6")
@pytest.mark.observed
def test_getattr_is_annotated_as_any():
    """``Module.__getattr__`` is annotated to return anything (:pull:`104321`).

    In 2.0, and again from 2.6 on (:pull:`115074`), it is a tensor or a module: there a type checker asks for
    a narrower type before a buffer or a submodule is used.
    """
    assert typing.get_type_hints(nn.Module.__getattr__)["return"] is typing.Any
