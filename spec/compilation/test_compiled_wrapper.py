"""The module that torch.compile returns, looked at from outside.

It is a wrapper. Attributes are read from the original and set on it; what belongs to ``nn.Module`` itself,
its stores and methods, is the wrapper's own. *torch_compile* says what is usually needed of it.
"""

import inspect

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    ("register", "value"),
    [
        ("register_parameter", nn.Parameter(torch.ones(1))),
        ("register_buffer", torch.ones(1)),
        ("add_module", nn.ReLU()),
    ],
    ids=["parameter", "buffer", "submodule"],
)
@pytest.mark.needs("compile")
def test_what_is_registered_stays_with_the_wrapper(register, value):
    """A ``register_buffer`` buffer of the module from ``torch.compile`` raises ``AttributeError`` when read.

    ``register_buffer``, ``register_parameter`` and ``add_module`` register on the wrapper: the entry is in
    its ``state_dict()`` or ``modules()``, but attributes are read from the original. Register on the
    original. See :func:`torch.compile`.
    """
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")

    getattr(compiled, register)("extra", value)
    entries = [*compiled.named_parameters(), *compiled.named_buffers(), *compiled.named_modules()]

    assert any(name == "extra" and found is value for name, found in entries)
    saved = {"_orig_mod.weight", "_orig_mod.bias"} | ({"extra"} if isinstance(value, torch.Tensor) else set())
    assert (set(compiled.state_dict()), list(layer.state_dict())) == (saved, ["weight", "bias"])
    assert [len(layer._parameters), len(layer._buffers), len(layer._modules)] == [2, 0, 0]
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'extra'"):
        _ = compiled.extra


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_what_is_assigned_goes_to_the_original():
    """A layer or parameter assigned to the module that ``torch.compile`` returns is put into the original.

    A buffer as well, if it is an ``nn.Buffer``, which is there since 2.5. The wrapper has it under
    ``_orig_mod``. See :func:`torch.compile`.
    """
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")

    compiled.gain = nn.Parameter(torch.ones(1))
    compiled.shift = getattr(nn, "Buffer", nn.Parameter)(torch.ones(1))
    compiled.after = nn.ReLU()

    stores = layer._parameters if not hasattr(nn, "Buffer") else {**layer._parameters, **layer._buffers}
    assert list(stores) == ["weight", "bias", "gain", "shift"]
    assert set(compiled.state_dict()) == {f"_orig_mod.{name}" for name in stores}
    assert [name for name, _ in compiled.named_modules()] == ["", "_orig_mod", "_orig_mod.after"]
    for name in ("gain", "shift", "after"):
        assert getattr(compiled, name) is getattr(layer, name)


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_its_stores_are_empty():
    """``_parameters`` of the module that ``torch.compile`` returns is empty; ``_modules`` has ``_orig_mod``
    only.

    Setting ``_parameters`` sets that of the original, and reading it again gives the wrapper's: libraries
    that exchange the stores lose the parameters so (:issue:`141005`). Take ``compiled._orig_mod``. See
    :func:`torch.compile`.
    """
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")
    assert [compiled._parameters, compiled._buffers] == [{}, {}]
    assert list(compiled._modules) == ["_orig_mod"]

    other = {"weight": nn.Parameter(torch.ones(3, 2))}
    compiled._parameters = other

    assert layer._parameters is other
    assert compiled._parameters == {}


@pytest.mark.needs("compile")
def test_its_class_tells_nothing_about_forward():
    """``forward`` of the module that ``torch.compile`` returns has the signature ``(*args, **kwargs)``.

    Its class is no subclass of the original's and has no ``forward`` of its own. Code that looks up which
    arguments a model takes, such as labels, finds none (:issue:`134950`): look at ``compiled._orig_mod``. See
    :func:`torch.compile`.
    """

    class Net(nn.Linear):
        def forward(self, x, labels=None):
            return super().forward(x)

    net = Net(2, 3)
    compiled = torch.compile(net, backend="eager")

    assert str(inspect.signature(net.forward)) == "(x, labels=None)"
    assert str(inspect.signature(compiled.forward)) == "(*args, **kwargs)"
    assert "labels" not in inspect.signature(compiled.__class__.forward).parameters
    assert (compiled.__class__ is type(compiled), isinstance(compiled, Net)) == (True, False)
    assert "forward" not in vars(type(compiled))
    assert str(inspect.signature(compiled._orig_mod.forward)) == "(x, labels=None)"


@pytest.mark.needs("compile")
def test_parameters_are_found_by_both_names():
    """``get_parameter`` of the module that ``torch.compile`` returns finds ``weight`` and
    ``_orig_mod.weight``.

    Lists such as ``named_parameters()`` have the long name alone. See :meth:`~torch.nn.Module.get_parameter`.
    """
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")
    outer = torch.compile(nn.Sequential(layer), backend="eager")

    assert compiled.get_parameter("weight") is layer.weight
    assert compiled.get_parameter("_orig_mod.weight") is layer.weight
    assert outer.get_parameter("0.weight") is outer.get_parameter("_orig_mod.0.weight") is layer.weight
    assert [name for name, _ in compiled.named_parameters()] == ["_orig_mod.weight", "_orig_mod.bias"]
