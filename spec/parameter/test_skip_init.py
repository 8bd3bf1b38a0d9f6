"""Building a layer without first values: ``skip_init``.

:func:`~torch.nn.utils.skip_init` builds a layer on the meta device, where initialisation costs nothing, and
then gives it memory whose content is arbitrary.
"""

import pytest
import torch
from torch import nn


def test_a_layer_without_first_values():
    """:func:`~torch.nn.utils.skip_init` returns the layer with parameters of the usual shape, on the CPU."""
    layer = nn.utils.skip_init(nn.Linear, 5, 3)

    assert type(layer) is nn.Linear
    assert [
        (name, type(p), p.shape, p.device.type, p.requires_grad) for name, p in layer.named_parameters()
    ] == [
        ("weight", nn.Parameter, (3, 5), "cpu", True),
        ("bias", nn.Parameter, (3,), "cpu", True),
    ]


def test_nothing_is_drawn():
    """:func:`~torch.nn.utils.skip_init` draws no random numbers."""
    before = torch.get_rng_state()

    nn.utils.skip_init(nn.Conv2d, 3, 4, 3)

    assert torch.equal(torch.get_rng_state(), before)


def test_arguments_are_handed_on():
    """:func:`~torch.nn.utils.skip_init` hands positional and keyword arguments on to the class."""
    layer = nn.utils.skip_init(nn.Linear, 5, out_features=3, bias=False, dtype=torch.float64)

    assert (layer.in_features, layer.out_features, layer.bias) == (5, 3, None)
    assert layer.weight.dtype == torch.float64


def test_the_device_is_where_the_layer_ends_up(device):
    """``device`` given to :func:`~torch.nn.utils.skip_init` is where the layer ends up, buffers included."""
    layer = nn.utils.skip_init(nn.BatchNorm1d, 3, device=device)

    tensors = [*layer.parameters(), *layer.buffers()]
    assert [t.device.type for t in tensors] == [torch.device(device).type] * 5


def test_meta_is_a_device_too():
    """With ``device="meta"`` :func:`~torch.nn.utils.skip_init` returns a layer without memory."""
    assert nn.utils.skip_init(nn.Linear, 5, 3, device="meta").weight.device.type == "meta"


def test_the_layer_is_built_on_meta():
    """:func:`~torch.nn.utils.skip_init` calls the class itself with ``device="meta"``."""

    class Recording(nn.Linear):
        def __init__(self, *args, device=None):
            super().__init__(*args, device=device)
            self.built_on = device

    layer = nn.utils.skip_init(Recording, 5, 3, device="cpu")

    assert (layer.built_on, layer.weight.device.type) == ("meta", "cpu")


@pytest.mark.parametrize("cls", [int, torch.Tensor])
def test_it_takes_module_classes_only(cls):
    """:func:`~torch.nn.utils.skip_init` of a class that is no module raises ``RuntimeError``."""
    with pytest.raises(RuntimeError) as caught:
        nn.utils.skip_init(cls)

    assert str(caught.value) == f"Expected a Module; got {cls}"


def test_the_class_must_take_a_device():
    """:func:`~torch.nn.utils.skip_init` of a class without a ``device`` argument raises ``RuntimeError``."""

    class Head(nn.Module):
        def __init__(self, sizes):
            super().__init__()

    with pytest.raises(RuntimeError, match="Module must support a 'device' arg to skip initialization"):
        nn.utils.skip_init(Head, 3)
