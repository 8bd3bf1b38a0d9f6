"""The shapes that layers take and return, with and without a batch.

Those of convolutions are in *convolution_sums*, of recurrent layers in *recurrent_shapes*, of attention in
*attention_shapes*, of losses in *loss_shapes*.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (nn.Dropout, [(), (3,), (2, 0), (2, 3, 4, 5, 2, 3)]),
        (nn.AlphaDropout, [(), (3,), (2, 0), (2, 3, 4, 5, 2, 3)]),
        (nn.Dropout1d, [(2, 3, 4), (3, 4)]),
        (nn.Dropout2d, [(2, 3, 4, 5), (2, 3, 4)]),
        (nn.Dropout3d, [(2, 3, 4, 5, 2), (3, 4, 5, 2)]),
        (nn.FeatureAlphaDropout, [(2, 3, 4, 5, 2), (3, 4, 5, 2)]),
    ],
)
def test_dropout_keeps_the_shape(layer, shapes, training):
    """``nn.Dropout`` and ``AlphaDropout`` take input of any shape; every dropout layer returns its shape."""
    net = layer(0.25).train(training)

    assert [net(torch.rand(shape)).shape for shape in shapes] == shapes


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (lambda: nn.BatchNorm1d(3), [(2, 3), (2, 3, 4)]),
        (lambda: nn.BatchNorm2d(3), [(2, 3, 4, 5)]),
        (lambda: nn.BatchNorm3d(3), [(2, 3, 4, 5, 2)]),
        (lambda: nn.SyncBatchNorm(3), [(2, 3), (2, 3, 4), (2, 3, 4, 5)]),
        (lambda: nn.InstanceNorm1d(3), [(2, 3, 4), (3, 4)]),
        (lambda: nn.InstanceNorm2d(3), [(2, 3, 4, 5), (3, 4, 5)]),
        (lambda: nn.InstanceNorm3d(3), [(2, 3, 4, 5, 2), (3, 4, 5, 2)]),
        (lambda: nn.GroupNorm(1, 3), [(2, 3), (2, 3, 4), (2, 3, 4, 5, 2)]),
        (lambda: nn.LayerNorm((4, 5)), [(4, 5), (2, 4, 5), (2, 3, 4, 5)]),
        (lambda: nn.LocalResponseNorm(2), [(2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 2)]),
    ],
)
def test_a_normalisation_takes_and_keeps_these_shapes(make, shapes):
    """A normalization such as ``InstanceNorm2d`` or ``GroupNorm`` returns the shape of its input.

    ``InstanceNorm`` takes one sample without a batch dimension.
    """
    for net in (make(), make().eval()):
        assert [net(torch.rand(shape)).shape for shape in shapes] == shapes


@pytest.mark.since("2.4")
def test_rms_norm_keeps_the_shape():
    """``RMSNorm(normalized_shape)`` keeps the shape of its input, which has to end with
    ``normalized_shape``.
    """
    layer = nn.RMSNorm((4, 5))

    shapes = [(4, 5), (2, 4, 5), (2, 3, 4, 5)]
    assert [layer(torch.rand(shape)).shape for shape in shapes] == shapes
    with pytest.raises(RuntimeError, match="normalized_shape"):
        layer(torch.rand(5, 4))


@pytest.mark.parametrize("leading", [(), (4,), (4, 5), (0, 5)], ids=["none", "batch", "two", "empty"])
@pytest.mark.parametrize("bias", [True, False])
def test_bilinear_works_on_the_last_dimensions(leading, bias):
    """:class:`~torch.nn.Bilinear` joins the last dimensions of its inputs; all those before stay."""
    layer, x, y = nn.Bilinear(2, 3, 6, bias), torch.rand(*leading, 2), torch.rand(*leading, 3)
    wanted = torch.einsum("...i,kij,...j->...k", x, layer.weight, y) + (layer.bias if bias else 0)

    assert layer(x, y).shape == (*leading, 6)
    assert torch.allclose(layer(x, y), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("start", "end", "shape"),
    [(0, -1, (120,)), (0, 1, (6, 4, 5)), (1, 2, (2, 12, 5)), (2, 3, (2, 3, 20)), (2, 2, (2, 3, 4, 5))],
)
def test_flatten_leaves_what_stands_around(start, end, shape):
    """``Flatten(start_dim, end_dim)`` joins these dimensions, and keeps those before and after them."""
    x = torch.rand(2, 3, 4, 5)

    assert nn.Flatten(start, end)(x).shape == shape
    assert torch.equal(nn.Flatten(start, end)(x), x.reshape(shape))


@pytest.mark.parametrize(
    ("shape", "dim", "sizes"),
    [((6,), 0, (2, 3)), ((6, 5), 0, (2, 3)), ((4, 6), 1, (2, 3)), ((4, 12, 5, 7), 1, (3, 2, 2))],
)
def test_unflatten_leaves_what_stands_around(shape, dim, sizes):
    """``Unflatten(dim, sizes)`` replaces one dimension by ``sizes``, and keeps those before and after it.

    The product of the sizes must be the size of that dimension.
    """
    x = torch.rand(shape)

    split = nn.Unflatten(dim, sizes)(x)

    assert split.shape == (*shape[:dim], *sizes, *shape[dim + 1 :])
    assert torch.equal(split.reshape(shape), x)
    with pytest.raises(RuntimeError, match="don't multiply up to the size of dim"):
        nn.Unflatten(dim, (*sizes, 2))(x)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_a_bag_is_one_row(mode):
    """``EmbeddingBag`` returns ``(B, embedding_dim)``, a row for each of its ``B`` bags."""
    layer, indices = nn.EmbeddingBag(5, 4, mode=mode), torch.tensor([1, 2, 4, 3, 0, 2])

    assert layer(indices.view(3, 2)).shape == (3, 4)
    assert layer(indices, torch.tensor([0, 1, 1, 4])).shape == (4, 4)
    layer.include_last_offset = True
    assert layer(indices, torch.tensor([0, 1, 1, 6])).shape == (3, 4)
