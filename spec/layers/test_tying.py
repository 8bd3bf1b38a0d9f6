"""One weight in several layers.

A weight is tied by assigning it: two layers then hold one parameter, stored once. What that does to its
gradient is in the part on gradients.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N4-13")
def test_a_shared_weight_is_stored_once():
    """A weight shared by two layers is one object in one storage, and counted once."""
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))

    net[1].weight = net[0].weight

    assert net[0].weight is net[1].weight
    assert len({p.untyped_storage().data_ptr() for p in net.parameters()}) == 1
    assert sum(p.numel() for p in net.parameters()) == 16


@pytest.mark.claim("N4-16")
def test_a_transposed_weight_shares_storage_only():
    """A parameter made of ``weight.T`` shares the storage, but has a gradient of its own."""
    encoder, decoder = nn.Linear(3, 1, bias=False), nn.Linear(1, 3, bias=False)
    decoder.weight = nn.Parameter(encoder.weight.T)

    decoder(encoder(torch.ones(1, 3))).sum().backward()

    assert decoder.weight.data_ptr() == encoder.weight.data_ptr()
    assert (decoder.weight.shape, decoder.weight is encoder.weight) == ((3, 1), False)
    assert (encoder.weight.grad.shape, decoder.weight.grad.shape) == ((1, 3), (3, 1))


@pytest.mark.claim("N4-16")
def test_tying_alone_makes_nothing_orthogonal():
    """Tying makes no weight orthogonal: the rows are whatever was drawn, until training changes them."""
    torch.manual_seed(3)
    weight = nn.Linear(5, 3, bias=False).weight

    assert torch.allclose(weight @ weight.T, torch.eye(3), atol=0.1) is False


def test_tying_an_embedding_and_its_output():
    """An embedding and the linear layer that scores its words may share one weight."""
    embedding, head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)

    head.weight = embedding.weight
    scores = head(embedding(torch.tensor([2])))

    assert scores.shape == (1, 7)
    assert torch.allclose(scores[0], embedding.weight @ embedding.weight[2])
