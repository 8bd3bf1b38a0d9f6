"""A layer made larger or smaller: more rows in an embedding, more classes in a head.

A layer computes with the tensors it has. Most take their sizes from these, some keep sizes of their own and
compare; what a layer prints never follows.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("kind", [nn.Embedding, lambda rows, size: nn.Linear(size, rows)])
def test_a_larger_layer_takes_rows_over(kind):
    """Under ``no_grad``, ``new.weight[:3] = old.weight`` fills a larger ``Embedding`` or ``Linear`` in part.

    The other rows keep their initial values. The new layer has new parameters: an optimizer has to be given
    them, and a layer that was tied to the old one has to be tied again.
    """
    old, new = kind(3, 2), kind(5, 2)
    rest = new.weight[3:].tolist()

    with torch.no_grad():
        new.weight[:3] = old.weight

    assert torch.equal(new.weight[:3], old.weight)
    assert new.weight[3:].tolist() == rest
    assert [new.weight.is_leaf, new.weight.requires_grad] == [True, True]


def test_a_saved_dict_can_be_enlarged():
    """``load_state_dict`` takes a dict whose tensor was enlarged by ``torch.cat`` to the size of the layer.

    Otherwise it raises for the size, also with ``strict=False``. So a checkpoint for three classes is loaded
    into a model for five.
    """
    old, net = nn.Linear(2, 3), nn.Linear(2, 5)
    state = old.state_dict()
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        net.load_state_dict(state, strict=False)

    state["weight"] = torch.cat([state["weight"], torch.full((2, 2), 7.0)])
    state["bias"] = torch.cat([state["bias"], torch.tensor([8.0, 9.0])])
    net.load_state_dict(state)

    assert net.weight.tolist() == [*old.weight.tolist(), [7.0, 7.0], [7.0, 7.0]]
    assert net.bias.tolist() == [*old.bias.tolist(), 8.0, 9.0]


@pytest.mark.parametrize(
    ("make", "weight", "x", "shape"),
    [
        (lambda: nn.Linear(2, 3), (5, 2), torch.rand(4, 2), (4, 5)),
        (lambda: nn.Embedding(3, 2), (5, 2), torch.tensor([4]), (1, 2)),
        (lambda: nn.EmbeddingBag(3, 2), (5, 2), torch.tensor([[4]]), (1, 2)),
        (lambda: nn.Conv1d(2, 3, 1), (5, 2, 1), torch.rand(1, 2, 4), (1, 5, 4)),
        (lambda: nn.ConvTranspose1d(2, 3, 1), (2, 5, 1), torch.rand(1, 2, 4), (1, 5, 4)),
        (lambda: nn.Conv2d(2, 3, 1), (5, 2, 1, 2), torch.rand(1, 2, 4, 4), (1, 5, 4, 3)),
        (lambda: nn.ConvTranspose2d(2, 3, 1), (2, 5, 1, 2), torch.rand(1, 2, 4, 4), (1, 5, 4, 5)),
        (lambda: nn.PReLU(3), (5,), torch.rand(4, 5), (4, 5)),
    ],
    ids=[
        "Linear",
        "Embedding",
        "EmbeddingBag",
        "Conv1d",
        "ConvTranspose1d",
        "Conv2d",
        "ConvTranspose2d",
        "PReLU",
    ],
)
def test_sizes_are_read_off_the_tensors(make, weight, x, shape):
    """``Linear``, ``Embedding``, convolutions and ``PReLU`` compute with a replaced weight of another size.

    ``out_features``, ``num_embeddings`` and the like, which they also print, stay as they were: set them for
    the reader. A bias has to be replaced too.
    """
    layer = make()
    printed = repr(layer)
    layer.weight = nn.Parameter(torch.rand(weight))
    if getattr(layer, "bias", None) is not None:
        layer.bias = nn.Parameter(torch.rand(5))

    assert layer(x).shape == shape
    assert repr(layer) == printed


def test_a_bias_of_the_old_size_raises():
    """``nn.Linear`` with a ``weight`` of more rows raises ``RuntimeError`` until ``bias`` has as many."""
    layer = nn.Linear(2, 3)
    layer.weight = nn.Parameter(torch.rand(5, 2))

    for shape in ((2,), (4, 2), (3, 4, 2)):
        with pytest.raises(RuntimeError, match=r"The .*size of .*tensor .*\(5\) must match .*\(3\)"):
            layer(torch.rand(shape))
    layer.bias = nn.Parameter(torch.rand(5))
    for shape in ((2,), (4, 2), (3, 4, 2)):
        assert layer(torch.rand(shape)).shape == (*shape[:-1], 5)


def test_batch_norm_needs_its_statistics_resized():
    """``BatchNorm1d`` with resized weights raises ``RuntimeError`` until ``running_mean`` and ``running_var``
    fit.
    """
    layer = nn.BatchNorm1d(3)
    layer.weight, layer.bias = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))

    for mode in (False, True):
        with pytest.raises(RuntimeError, match="running_mean should contain 5 elements not 3"):
            layer.train(mode)(torch.rand(4, 5))
    layer.running_mean = torch.zeros(5)
    with pytest.raises(RuntimeError, match="running_var should contain 5 elements not 3"):
        layer(torch.rand(4, 5))
    layer.running_var = torch.ones(5)
    assert layer(torch.rand(4, 5)).shape == (4, 5)
    assert layer.num_features == 3


def test_layer_norm_keeps_its_shape():
    """``nn.LayerNorm`` raises ``RuntimeError`` for a weight of another size than its ``normalized_shape``.

    That attribute counts: set it as well, a tuple.
    """
    layer = nn.LayerNorm(3)
    layer.weight, layer.bias = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))

    with pytest.raises(RuntimeError, match="weight to be of same shape as normalized_shape"):
        layer(torch.rand(4, 5))
    layer.normalized_shape = (5,)
    assert layer(torch.rand(4, 5)).shape == (4, 5)


@pytest.mark.since("2.4")
def test_rms_norm_keeps_its_shape():
    """``nn.RMSNorm`` raises ``RuntimeError`` for a weight of another size than its ``normalized_shape``."""
    layer = nn.RMSNorm(3)
    layer.weight = nn.Parameter(torch.ones(5))

    with pytest.raises(RuntimeError, match="weight to be of same shape as normalized_shape"):
        layer(torch.rand(4, 5))
    layer.normalized_shape = (5,)
    assert layer(torch.rand(4, 5)).shape == (4, 5)


def test_attention_keeps_its_embed_dim():
    """In training ``MultiheadAttention`` raises ``AssertionError`` for another size than its ``embed_dim``.

    Replacing its weights is not enough. Make a new layer, and copy. On the fast path it is a
    ``RuntimeError``.
    """
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    layer.in_proj_weight = nn.Parameter(torch.rand(18, 6))
    layer.in_proj_bias, layer.out_proj = nn.Parameter(torch.rand(18)), nn.Linear(6, 6)
    x = torch.rand(3, 1, 6)

    with pytest.raises(AssertionError, match="was expecting embedding dimension of 4, but got 6"):
        layer(x, x, x)
    with torch.no_grad(), pytest.raises(RuntimeError, match="embed_dim 4 didn't match last dim of query 6"):
        layer.eval()(x, x, x)


def test_a_negative_padding_idx_does_not_move():
    """``padding_idx=-1`` of ``nn.Embedding`` still means the old last row after the weight has grown.

    It was stored as a number from the start.
    """
    layer = nn.Embedding(3, 2, padding_idx=-1)
    layer.weight = nn.Parameter(torch.rand(5, 2))
    layer(torch.tensor([2, 4])).sum().backward()

    assert layer.padding_idx == 2
    assert layer.weight.grad[[2, 4]].tolist() == [[0.0, 0.0], [1.0, 1.0]]
