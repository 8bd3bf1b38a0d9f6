"""Layers that only reshape: ``Flatten`` and ``Unflatten``.

With them a network need not be cut into pieces where its tensors change their number of dimensions.
"""

import re

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-23")
def test_flatten_is_a_layer():
    """:class:`~torch.nn.Flatten` is a layer, so it can be used inside an ``nn.Sequential``.

    Without it the model is cut in two, with a ``view`` between them in forward.
    """
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 5, 2))

    x = torch.rand(7, 3, 8, 7)
    net(x).sum().backward()

    assert isinstance(net[1], nn.Module)
    assert torch.equal(net(x), net[2](net[0](x).reshape(7, 120)))
    assert torch.allclose(net[0].bias.grad, 7 * net[2].weight.sum(0).reshape(4, 30).sum(1), atol=1e-5)


@pytest.mark.claim("N2-23")
def test_unflatten_is_the_way_back():
    """:class:`~torch.nn.Unflatten` is a layer that splits one dimension into several.

    A decoder that goes from a vector back to an image starts with it.
    """
    net = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (4, 3, 2)))
    x = torch.rand(7, 4, 3, 2, requires_grad=True)
    net(x).pow(2).sum().backward()

    assert net[0](x).shape == (7, 24)
    assert torch.equal(net(x), x)
    assert torch.equal(x.grad, 2 * x)


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [((), (2, 60)), ((0,), (120,)), ((1, 2), (2, 12, 5)), ((0, -2), (24, 5)), ((2, 3), (2, 3, 20))],
    ids=["default", "from the first", "inner", "to the last but one", "end"],
)
def test_flatten_keeps_the_batch(arguments, shape):
    """By default :class:`~torch.nn.Flatten` keeps dimension 0, the batch; ``start_dim`` and ``end_dim``
    change that.

    Other than ``x.flatten()`` and ``torch.flatten(x)``, which flatten the batch too.
    """
    x = torch.rand(2, 3, 4, 5)

    assert nn.Flatten(*arguments)(x).shape == shape
    assert x.flatten().shape == (120,)


def test_flatten_keeps_the_values_in_order():
    """:class:`~torch.nn.Flatten` keeps the order of values, and returns a view if the input is contiguous.

    Otherwise it copies, for example what was transposed before.
    """
    x = torch.arange(12.0).view(2, 3, 2)
    turned = x.transpose(1, 2)

    assert nn.Flatten()(x).tolist() == [[0.0, 1, 2, 3, 4, 5], [6.0, 7, 8, 9, 10, 11]]
    assert nn.Flatten()(x).data_ptr() == x.data_ptr()
    assert nn.Flatten()(turned).tolist() == [[0.0, 2, 4, 1, 3, 5], [6.0, 8, 10, 7, 9, 11]]
    assert nn.Flatten()(turned).data_ptr() != x.data_ptr()


def test_one_size_of_unflatten_may_be_left_open():
    """:class:`~torch.nn.Unflatten` accepts one size of -1, and a list of sizes as well as a tuple."""
    x = torch.rand(2, 12)

    for sizes in ((3, 4), (3, -1), (-1, 4), [3, 4], [-1, 4]):
        for dim in (1, -1):
            assert torch.equal(nn.Unflatten(dim, sizes)(x), x.view(2, 3, 4))


def test_unflatten_takes_the_sizes_of_an_image():
    """:class:`~torch.nn.Unflatten` accepts a :class:`torch.Size`, such as ``image.shape``, as
    ``unflattened_size``.
    """
    image = torch.rand(4, 3, 2)

    layer = nn.Unflatten(1, image.shape)

    assert torch.equal(layer(image.reshape(1, 24)), image[None])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (12, "unflattened_size must be a tuple of ints, but found type int"),
        ((3, "4"), "unflattened_size must be tuple of ints, but found element of type str at pos 1"),
        ((3.0, 4), "unflattened_size must be tuple of ints, but found element of type float at pos 0"),
        ([3, 4.0], "unflattened_size must be tuple of ints, but found element of type float at pos 1"),
    ],
    ids=["number", "string", "float", "list"],
)
def test_unflatten_needs_whole_sizes(sizes, message):
    """``nn.Unflatten(1, sizes)`` raises ``TypeError`` if ``sizes`` is not a tuple or list of integers."""
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        nn.Unflatten(1, sizes)


@pytest.mark.before("2.13")
def test_unflatten_took_named_dimensions():
    """:class:`~torch.nn.Unflatten` of a named dimension accepts a tuple of (name, size) pairs."""
    layer = nn.Unflatten("features", (("c", 3), ("h", 4)))
    result = layer(torch.rand(2, 12, names=("n", "features")))

    assert result.names == ("n", "c", "h")
    assert result.shape == (2, 3, 4)


def test_how_reshaping_layers_print():
    """``repr`` of ``Flatten`` and ``Unflatten`` shows the dimensions and sizes they were given."""
    assert [repr(layer) for layer in (nn.Flatten(), nn.Flatten(0, 1), nn.Unflatten(1, (2, 3)))] == [
        "Flatten(start_dim=1, end_dim=-1)",
        "Flatten(start_dim=0, end_dim=1)",
        "Unflatten(dim=1, unflattened_size=(2, 3))",
    ]


@pytest.mark.claim("N2-24")
def test_lenet_flattens_to_400_features():
    """In LeNet ``nn.Flatten`` returns 400 features for a 32x32 image: 16 channels of 5x5.

    Send one batch through the convolutions to find such a number, or use :class:`~torch.nn.LazyLinear`.
    """
    features = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)
    )
    net = nn.Sequential(
        features, nn.Flatten(), nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 84), nn.Linear(84, 10)
    )
    x = torch.rand(2, 1, 32, 32)

    assert features(x).shape == (2, 16, 5, 5)
    assert net[:2](x).shape == (2, 400)
    assert net(x).shape == (2, 10)
    assert sum(p.numel() for p in net.parameters()) == 61_706
