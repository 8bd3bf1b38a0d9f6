"""Changing the memory format of convolution weights.

Unlike ``module.to(memory_format=...)`` these functions change the weights of convolutions only.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format


@pytest.mark.parametrize("conv", [nn.Conv2d(2, 3, 4), nn.ConvTranspose2d(2, 3, 4)], ids=["Conv", "Transpose"])
def test_the_weight_of_a_2d_convolution_is_converted(conv):
    """:func:`~torch.nn.utils.convert_conv2d_weight_memory_format` reorders the memory of the weight."""
    weight, before = conv.weight, conv.weight.detach().clone()

    assert convert_conv2d_weight_memory_format(conv, torch.channels_last) is conv
    assert conv.weight is weight
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(conv.weight, before)


def test_convolutions_inside_are_converted():
    """Convolutions anywhere inside are converted; other layers with such weights are not."""
    net = nn.Sequential(nn.Sequential(nn.Conv2d(2, 3, 4)), nn.Conv3d(2, 3, 4), nn.Module())
    net[2].weight = nn.Parameter(torch.rand(2, 3, 4, 5))

    convert_conv2d_weight_memory_format(net, torch.channels_last)

    assert net[0][0].weight.is_contiguous(memory_format=torch.channels_last)
    assert net[1].weight.is_contiguous()
    assert net[2].weight.is_contiguous()


def test_the_weight_is_converted_back():
    """With ``torch.contiguous_format`` the weight is converted back."""
    conv = convert_conv2d_weight_memory_format(nn.Conv2d(2, 3, 4), torch.channels_last)

    convert_conv2d_weight_memory_format(conv, torch.contiguous_format)

    assert conv.weight.is_contiguous()
    assert not conv.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.observed
def test_strides_are_set_even_where_sizes_are_one():
    """The strides are those of the format even where a size of one leaves a choice."""
    conv = convert_conv2d_weight_memory_format(nn.Conv2d(2, 3, 1), torch.channels_last)

    assert conv.weight.stride() == (2, 1, 2, 2)


@pytest.mark.since("2.3")
@pytest.mark.parametrize("conv", [nn.Conv3d(2, 3, 4), nn.ConvTranspose3d(2, 3, 4)], ids=["Conv", "Transpose"])
def test_the_weight_of_a_3d_convolution_is_converted(conv):
    """:func:`~torch.nn.utils.convert_conv3d_weight_memory_format` does so for three dimensions."""
    weight, before = conv.weight, conv.weight.detach().clone()

    assert nn.utils.convert_conv3d_weight_memory_format(conv, torch.channels_last_3d) is conv
    assert conv.weight is weight
    assert conv.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(conv.weight, before)


@pytest.mark.since("2.3")
def test_volumetric_convolutions_inside_are_converted():
    """Convolutions of three dimensions are converted anywhere inside, those of two are not."""
    net = nn.Sequential(nn.Sequential(nn.Conv3d(2, 3, 4)), nn.Conv2d(2, 3, 4))

    nn.utils.convert_conv3d_weight_memory_format(net, torch.channels_last_3d)

    assert net[0][0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert net[1].weight.is_contiguous()


@pytest.mark.since("2.3")
@pytest.mark.observed
def test_volumetric_strides_are_set_where_sizes_are_one():
    """In three dimensions, too, the strides are those of the format where a size is one."""
    conv = nn.utils.convert_conv3d_weight_memory_format(nn.Conv3d(2, 3, 1), torch.channels_last_3d)

    assert conv.weight.stride() == (2, 1, 2, 2, 2)
