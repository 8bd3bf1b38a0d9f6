"""Muon: an optimizer for matrices.

:class:`torch.optim.Muon` makes the update of a weight orthogonal, which is defined for matrices only. A model
needs a second optimizer for everything else.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Linear(2, 3), r"torch\.Size\(\[3\]\)"),
        (nn.LayerNorm(3), r"torch\.Size\(\[3\]\)"),
        (nn.Conv2d(1, 2, 3, bias=False), r"torch\.Size\(\[2, 1, 3, 3\]\)"),
        (nn.Conv1d(2, 3, 1, bias=False), r"torch\.Size\(\[3, 2, 1\]\)"),
    ],
    ids=["bias", "norm", "convolution", "kernel of one"],
)
@pytest.mark.since("2.9")
def test_only_matrices_are_accepted(layer, size):
    """``torch.optim.Muon`` raises ``ValueError`` for a parameter that is not 2D, like a bias or convolution.

    So ``Muon(net.parameters())`` rarely works. Give it the matrices, and the rest to ``AdamW``; a
    convolution's weight cannot be reshaped on the way (:issue:`166209`). See :class:`torch.optim.Muon`.
    """
    with pytest.raises(ValueError, match=f"Muon only supports 2D parameters .* with size: {size}"):
        torch.optim.Muon(layer.parameters())


@pytest.mark.since("2.9")
def test_embeddings_are_accepted():
    """``torch.optim.Muon`` accepts any matrix, also the weight of an ``nn.Embedding`` or of the last layer.

    Its documentation gives those to another optimizer: choose by the kind of layer, not by ``ndim`` alone.
    See :class:`torch.optim.Muon`.
    """
    net = nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    hidden = [m.weight for m in net[:-1].modules() if isinstance(m, nn.Linear)]
    matrices = [p for p in net.parameters() if p.ndim == 2]
    before, optimizer = [p.detach().clone() for p in matrices], torch.optim.Muon(matrices)

    assert [list(p.shape) for p in optimizer.param_groups[0]["params"]] == [[4, 2], [3, 2], [1, 3]]
    assert [p is net[1].weight for p in torch.optim.Muon(hidden).param_groups[0]["params"]] == [True]

    net(torch.tensor([1])).sum().backward()
    optimizer.step()
    assert [torch.equal(p, old) for p, old in zip(matrices, before, strict=True)] == [False] * 3


@pytest.mark.since("2.9")
def test_an_added_group_is_examined_late():
    """``torch.optim.Muon`` accepts a bias in ``add_param_group``; ``step()`` then raises ``ValueError``.

    Groups before it have been updated by then. See :class:`torch.optim.Muon`.
    """
    layer = nn.Linear(2, 3)
    before = layer.weight.detach().clone()
    optimizer = torch.optim.Muon([layer.weight])
    optimizer.add_param_group({"params": [layer.bias]})
    layer(torch.rand(4, 2)).sum().backward()

    with pytest.raises(ValueError, match="Param gradient must be a 2D matrix"):
        optimizer.step()
    assert not torch.equal(layer.weight, before)
