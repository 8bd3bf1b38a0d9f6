"""Reading an attribute.

Python looks into the instance and the class first. What is not found there is looked for in ``_parameters``,
``_buffers`` and ``_modules``, by ``__getattr__``.
"""

import contextlib
import typing

import pytest
import torch
from torch import nn


def test_registered_attributes_are_read():
    """``net.name`` returns the same parameter, buffer or submodule object that was registered as ``name``."""
    net = nn.Module()
    scale, mean, inner = nn.Parameter(torch.rand(2)), torch.rand(2), nn.ReLU()
    net.scale, net.inner = scale, inner
    net.register_buffer("mean", mean)

    assert net.scale is scale
    assert net.mean is mean
    assert net.inner is inner
    assert getattr(net, "scale", None) is scale


def test_a_missing_attribute():
    """Accessing a missing attribute of an :class:`nn.Module <torch.nn.Module>` raises an ``AttributeError``
    naming class and attribute.

    So ``hasattr`` and a default for ``getattr`` work as for any other object.
    """

    class Layer(nn.Linear):
        pass

    net = Layer(2, 3)

    with pytest.raises(AttributeError, match=r"^'Layer' object has no attribute 'wieght'$"):
        net.wieght  # noqa: B018

    assert hasattr(net, "weight")
    assert not hasattr(net, "wieght")
    assert getattr(net, "wieght", "default") == "default"


def test_submodules_are_not_searched():
    """``net.weight`` does not search the submodules of ``net``: write ``net.inner.weight``."""
    net = nn.Module()
    net.inner = nn.BatchNorm1d(3)
    net.inner.act = nn.ReLU()

    with pytest.raises(AttributeError, match="'Module' object has no attribute 'weight'"):
        net.weight  # noqa: B018

    names = ("weight", "running_mean", "act", "eps")
    assert [hasattr(net, name) for name in names] == [False] * 4
    assert [hasattr(net.inner, name) for name in names] == [True] * 4


def test_dict_comes_before_the_stores():
    """Attribute access on a module looks in ``__dict__`` before parameters, buffers and submodules."""
    net = nn.Module()
    net.scale, net.inner = nn.Parameter(torch.rand(2)), nn.ReLU()
    net.register_buffer("mean", torch.rand(2))
    net.__dict__.update(scale="a", mean="b", inner="c")

    assert [net.scale, net.mean, net.inner] == ["a", "b", "c"]
    assert [*net._parameters, *net._buffers, *net._modules] == ["scale", "mean", "inner"]


def test_the_order_of_the_stores():
    """If normal attribute lookup fails, modules try ``_parameters``, then ``_buffers``, then ``_modules``."""
    net = nn.Module()
    scale, mean, inner = nn.Parameter(torch.rand(2)), torch.rand(2), nn.ReLU()
    net._modules["x"] = inner
    found = [net.x]
    net._buffers["x"] = mean
    found.append(net.x)
    net._parameters["x"] = scale
    found.append(net.x)

    assert [id(value) for value in found] == [id(inner), id(mean), id(scale)]


def test_before_init_nothing_is_found():
    """Accessing ``net.training`` before ``Module.__init__`` has run raises ``AttributeError``.

    The error is that of any missing name, and says nothing of ``super().__init__()``.
    """
    net = nn.Module.__new__(nn.Module)

    with pytest.raises(AttributeError, match=r"^'Module' object has no attribute 'scale'$"):
        net.scale  # noqa: B018
    with pytest.raises(AttributeError, match=r"^'Module' object has no attribute 'training'$"):
        net.training  # noqa: B018


def test_a_property_is_read():
    """A ``property`` of an :class:`nn.Module <torch.nn.Module>` subclass can access registered submodules."""

    class Net(nn.Module):
        @property
        def width(self):
            return self.inner.out_features

    net = Net()
    net.inner = nn.Linear(2, 3)

    assert net.width == 3


@pytest.mark.question("Q05")
def test_a_failing_property_seems_missing():
    """If a ``property`` of a module raises ``AttributeError``, the error names the property as missing.

    Python then asks ``__getattr__``, which knows nothing of the property. The attribute that was really
    missing is named nowhere; calling the getter by hand, ``Net.width.fget(net)``, names it.
    """

    class Net(nn.Module):
        @property
        def width(self):
            return self.missing.out_features

    class Child(Net):
        pass

    with pytest.raises(AttributeError, match=r"^'Child' object has no attribute 'width'$"):
        Child().width  # noqa: B018
    with pytest.raises(AttributeError, match=r"^'Net' object has no attribute 'width'$") as error:
        Net().width  # noqa: B018
    with pytest.raises(AttributeError, match=r"^'Net' object has no attribute 'missing'$"):
        Net.width.fget(Net())

    assert error.value.__cause__ is None
    assert error.value.__context__ is None


@pytest.mark.question("Q05")
def test_another_error_passes_through():
    """An error other than ``AttributeError`` that a ``property`` of a module raises reaches the caller."""

    class Net(nn.Module):
        @property
        def width(self):
            return {}["missing"]

    with pytest.raises(KeyError, match="missing"):
        Net().width  # noqa: B018


@pytest.mark.question("Q05")
def test_a_method_names_what_is_missing():
    """If a method of an :class:`nn.Module <torch.nn.Module>` accesses a missing attribute, the
    ``AttributeError`` names that attribute.

    So a method shows what a ``property`` hides.
    """

    class Net(nn.Module):
        def width(self):
            return self.missing.out_features

    with pytest.raises(AttributeError, match=r"^'Net' object has no attribute 'missing'$"):
        Net().width()


def test_a_getattr_of_ones_own():
    """A custom ``__getattr__`` of a module finds registered names by ``super().__getattr__(name)``.

    One that does not ask :class:`~torch.nn.Module` hides all parameters, buffers and submodules.
    """

    class Net(nn.Module):
        def __getattr__(self, name):
            if name == "width":
                return self.inner.out_features
            return super().__getattr__(name)

    class Hiding(nn.Module):
        def __getattr__(self, name):
            raise AttributeError(name)

    tensor, weight, inner = torch.rand(2), nn.Parameter(torch.rand(3)), nn.Linear(2, 3)
    for net in (Net(), Hiding()):
        net.register_buffer("mean", tensor)
        net.weight, net.inner = weight, inner
        found = [getattr(net, name, None) for name in ("mean", "weight", "inner")]
        expected = [tensor, weight, inner] if type(net) is Net else [None] * 3
        assert [a is b for a, b in zip(found, expected, strict=True)] == [True] * 3
        assert getattr(net, "width", None) == (3 if type(net) is Net else None)
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'depth'"):
        Net().depth  # noqa: B018


@pytest.mark.question("Q119")
def test_an_annotation_registers_nothing():
    """In a module class, an annotation without a value, such as ``inner: nn.Linear``, registers nothing.

    Type checkers take it over the declared result of ``__getattr__``, which cannot tell a buffer from a
    submodule. Annotate the buffers and submodules that a class uses.
    """

    class Net(nn.Module):
        inner: nn.Linear
        mean: torch.Tensor
        scale: nn.Parameter

    net = Net()

    assert [hasattr(net, name) for name in ("inner", "mean", "scale")] == [False] * 3
    assert [*net._modules, *net._buffers, *net._parameters] == []

    net.inner = inner = nn.Linear(2, 3)

    assert net.inner is inner


@pytest.mark.question("Q119")
@pytest.mark.since("2.1")
@pytest.mark.before("2.6")
def test_getattr_is_annotated_as_any():
    """``Module.__getattr__`` is annotated to return ``typing.Any`` (:pull:`104321`).

    In 2.0, and again from 2.6 on (:pull:`115074`), it is a tensor or a module: there a type checker asks for
    a narrower type before a buffer or a submodule is used.
    """
    assert typing.get_type_hints(nn.Module.__getattr__)["return"] is typing.Any


def test_a_getattr_that_reads_a_submodule_never_ends():
    """A custom ``__getattr__`` that reads ``self.inner`` raises ``RecursionError`` once that is registered.

    A submodule is found by ``__getattr__`` alone: assigning one takes the name out of ``__dict__``. There a
    wrapper may have put it at first, in order not to register it. Read ``super().__getattr__("inner")``.

    See also :ref:`registration.attribute_lookup.a_getattr_of_ones_own`
    """

    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.__dict__["inner"] = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

    net = Wrapper(nn.Linear(2, 3))
    before = net.out_features

    net.inner = nn.Linear(2, 3)

    assert before == 3
    assert "inner" not in vars(net)
    with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
        net.out_features  # noqa: B018


def test_a_getattr_that_falls_back_needs_its_submodule():
    """A custom ``__getattr__`` that falls back to ``self.inner`` raises ``RecursionError`` until that is
    registered.

    So does even ``hasattr``: before ``super().__init__()``, between that and the assignment, and once
    ``inner`` is deleted. Raise ``AttributeError`` for the name ``"inner"``.

    See also :ref:`registration.attribute_lookup.a_getattr_of_ones_own`
    """

    class Wrapper(nn.Module):
        own = ()

        def __getattr__(self, name):
            with contextlib.suppress(AttributeError):
                return super().__getattr__(name)
            if name in self.own:
                raise AttributeError(name)
            return getattr(self.inner, name)

    class Guarded(Wrapper):
        own = ("inner",)

    net = Wrapper()
    net.inner = nn.Linear(2, 3)
    assert (net.out_features, hasattr(net, "depth")) == (3, False)

    del net.inner
    for unfinished in (Wrapper.__new__(Wrapper), Wrapper(), net):
        with pytest.raises(RecursionError, match="maximum recursion depth exceeded"):
            hasattr(unfinished, "out_features")
    assert [hasattr(net, "out_features") for net in (Guarded.__new__(Guarded), Guarded())] == [False, False]
