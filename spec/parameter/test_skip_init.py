"""Building a layer without first values: ``skip_init``.

:func:`~torch.nn.utils.skip_init` builds a layer on the meta device, where initialization costs nothing, and
then gives it memory whose content is arbitrary.
"""

import re

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode


def test_a_layer_without_first_values():
    """:func:`nn.utils.skip_init <torch.nn.utils.skip_init>` returns a layer, with parameters on the CPU by
    default.

    Their values are arbitrary, NaN included: fill or load every one of them.
    """
    layer, nested = nn.utils.skip_init(nn.Linear, 5, 3), nn.utils.skip_init(nn.MultiheadAttention, 4, 2)

    assert type(layer) is nn.Linear
    assert [
        (name, type(p), p.shape, p.device.type, p.requires_grad) for name, p in layer.named_parameters()
    ] == [
        ("weight", nn.Parameter, (3, 5), "cpu", True),
        ("bias", nn.Parameter, (3,), "cpu", True),
    ]
    assert [p.device.type for p in nested.parameters()] == ["cpu"] * 4


def test_nothing_is_drawn():
    """:func:`nn.utils.skip_init <torch.nn.utils.skip_init>` uses no random numbers, unlike constructing
    the layer.
    """
    before = torch.get_rng_state()

    nn.utils.skip_init(nn.Conv2d, 3, 4, 3)
    nn.utils.skip_init(nn.Conv2d, 3, 4, 3, device="cpu")
    nn.utils.skip_init(nn.Conv2d, 3, 4, 3, device="meta")

    assert torch.equal(torch.get_rng_state(), before)

    nn.Conv2d(3, 4, 3)

    assert torch.equal(torch.get_rng_state(), before) is False


def test_arguments_are_handed_on():
    """:func:`nn.utils.skip_init <torch.nn.utils.skip_init>` passes positional and keyword arguments on to
    the class of the layer.
    """
    for layer in (
        nn.utils.skip_init(nn.Linear, 5, out_features=3, bias=False, dtype=torch.float64),
        nn.utils.skip_init(nn.Linear, 5, 3, False, dtype=torch.float64),
    ):
        assert (layer.in_features, layer.out_features) == (5, 3)
        assert layer.bias is None
        assert layer.weight.dtype == torch.float64


def test_the_device_is_where_the_layer_ends_up(device):
    """``nn.utils.skip_init(cls, ..., device=device)`` creates parameters and buffers on that device."""
    for where in (torch.device(device), torch.device("meta")):
        layer = nn.utils.skip_init(nn.BatchNorm1d, 3, device=where)
        nested = nn.utils.skip_init(nn.MultiheadAttention, 4, 2, device=where)

        tensors = [*layer.parameters(), *layer.buffers(), *nested.parameters()]
        assert [t.device.type for t in tensors] == [where.type] * 9


def test_meta_is_a_device_too():
    """``nn.utils.skip_init(cls, ..., device="meta")`` returns a layer on the meta device."""
    norm = nn.utils.skip_init(nn.BatchNorm1d, 3, device="meta")

    assert [t.device.type for t in (*norm.parameters(), *norm.buffers())] == ["meta"] * 5
    assert [norm.weight.shape, norm.running_mean.shape] == [(3,), (3,)]


def test_the_layer_is_built_on_meta():
    """:func:`nn.utils.skip_init <torch.nn.utils.skip_init>` calls the class of the layer with
    ``device="meta"``.

    So what a constructor computes from its parameters is lost.
    """

    class Recording(nn.Linear):
        def __init__(self, *args, device=None):
            super().__init__(*args, device=device)
            self.built_on = device

    for options in ({}, {"device": "cpu"}):
        layer = nn.utils.skip_init(Recording, 5, 3, **options)

        assert layer.built_on == "meta"
        assert layer.weight.device.type == "cpu"


@pytest.mark.parametrize("cls", [int, torch.Tensor])
def test_it_takes_module_classes_only(cls):
    """:func:`nn.utils.skip_init <torch.nn.utils.skip_init>` raises ``RuntimeError`` for a class that is
    not a subclass of ``nn.Module``.
    """
    with pytest.raises(RuntimeError, match=f"^Expected a Module; got {re.escape(str(cls))}$"):
        nn.utils.skip_init(cls)


def test_the_class_must_take_a_device():
    """:func:`nn.utils.skip_init <torch.nn.utils.skip_init>` raises ``RuntimeError`` if the class does not
    accept a ``device`` argument.

    The class has to hand ``device`` on to what it builds.
    """

    class Head(nn.Module):
        def __init__(self, sizes):
            super().__init__()

    for options in ({}, {"device": "cpu"}, {"device": "meta"}):
        with pytest.raises(RuntimeError, match="Module must support a 'device' arg to skip initialization"):
            nn.utils.skip_init(Head, 3, **options)


def test_the_device_must_be_a_named_argument():
    """:func:`nn.utils.skip_init <torch.nn.utils.skip_init>` raises ``RuntimeError`` unless the class's
    ``__init__`` itself names ``device``.

    ``**kwargs`` that take it are not enough. Write ``device=None`` into the signature.
    """

    class Loose(nn.Linear):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    assert Loose(5, 3, device="meta").weight.device.type == "meta"
    with pytest.raises(RuntimeError, match="Module must support a 'device' arg to skip initialization"):
        nn.utils.skip_init(Loose, 5, 3)


def test_what_is_computed_on_the_way_stays_on_meta():
    """With ``nn.utils.skip_init``, what a constructor computes from weights is on meta: ``item()`` raises.

    It is a ``RuntimeError``. Compute such values after the parameters are filled.
    """

    class Summed(nn.Linear):
        def __init__(self, *args, read=False, device=None):
            super().__init__(*args, device=device)
            self.total = self.weight.sum()
            if read:
                self.total = self.total.item()

    layer = nn.utils.skip_init(Summed, 5, 3)

    assert layer.weight.device.type == "cpu"
    assert layer.total.device.type == "meta"
    with pytest.raises(RuntimeError, match=r"[Mm]eta"):
        nn.utils.skip_init(Summed, 5, 3, read=True)


def test_memory_is_asked_for_and_not_filled():
    """:func:`nn.utils.skip_init <torch.nn.utils.skip_init>` allocates parameters and buffers with
    ``empty_like`` and writes no values to them.

    So they hold what was in that memory; under :func:`torch.use_deterministic_algorithms` it may be NaN.
    """
    called = []  # that returned a tensor which is not on meta

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.device.type != "meta":
                called.append(function.overloadpacket)
            return result

    with Record():
        nn.utils.skip_init(nn.BatchNorm1d, 3, device="cpu")
        nn.utils.skip_init(nn.MultiheadAttention, 4, 2)

    assert called == [torch.ops.aten.empty_like] * 9
