"""Which normalization is a special case of another, and what is different in their parameters.

``GroupNorm`` stands between ``InstanceNorm``, where each channel is a group, and a ``LayerNorm`` over all
channels and positions, where all are one group.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    ("make", "shape"),
    [(nn.InstanceNorm1d, (2, 6, 5)), (nn.InstanceNorm2d, (2, 6, 5, 4)), (nn.InstanceNorm3d, (2, 6, 2, 3, 4))],
    ids=["1d", "2d", "3d"],
)
def test_a_group_for_each_channel(make, shape):
    """``GroupNorm(C, C)`` computes what ``InstanceNorm2d(C, affine=True)`` does, with the same state dict.

    It is affine by default, which an instance normalization is not, and has no running statistics: with
    ``track_running_stats=True`` an instance normalization in ``eval()`` uses those instead.
    """
    x, group = 3 * torch.randn(shape) + 2, nn.GroupNorm(6, 6)
    instance, plain, tracking = make(6, affine=True), make(6), make(6, track_running_stats=True)
    nn.init.normal_(group.weight)
    nn.init.normal_(group.bias)

    instance.load_state_dict(group.state_dict())

    torch.testing.assert_close(instance(x), group(x))
    torch.testing.assert_close(plain(x), nn.GroupNorm(6, 6, affine=False)(x))
    assert [list(plain.parameters()), len(list(group.parameters()))] == [[], 2]
    torch.testing.assert_close(tracking(x), plain(x))
    assert not torch.allclose(tracking.eval()(x), plain(x), atol=1e-2)


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 5), (2, 6, 5, 4)], ids=["2d", "3d", "4d"])
def test_one_group_has_a_weight_for_each_channel(shape):
    """``GroupNorm(1, C)`` is a ``LayerNorm`` over ``(C, H, W)`` whose weight is the same at all positions.

    Without affine parameters both are equal. With them a ``LayerNorm`` has a weight for each element, and its
    state dict does not fit. Only for inputs of shape ``(N, C)`` it is ``LayerNorm(C)``. See also
    :ref:`layers.normalisation.group_norm_of_one_group`
    """
    x, group, layer = 3 * torch.randn(shape) + 2, nn.GroupNorm(1, 6), nn.LayerNorm(shape[1:])
    plain = nn.GroupNorm(1, 6, affine=False), nn.LayerNorm(shape[1:], elementwise_affine=False)
    for name, parameter in group.named_parameters():
        nn.init.normal_(parameter)
        spread = parameter.detach().view(6, *[1] * (len(shape) - 2)).expand(shape[1:])
        layer.load_state_dict({name: spread}, strict=False)

    torch.testing.assert_close(layer(x), group(x))
    torch.testing.assert_close(plain[1](x), plain[0](x))
    assert group.weight.shape == (6,)
    assert layer.weight.shape == shape[1:]
