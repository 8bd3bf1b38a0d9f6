"""One weight in several places.

Sharing is assigning: a parameter that two modules hold is one parameter, stored once and trained by both.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N4-13")
def test_a_shared_weight_is_stored_once():
    """A weight shared by two layers is stored once: one object, one storage, counted once."""
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))

    net[1].weight = net[0].weight

    assert net[0].weight is net[1].weight
    assert len({p.untyped_storage().data_ptr() for p in net.parameters()}) == 1
    assert sum(p.numel() for p in net.parameters()) == 16


@pytest.mark.claim("N4-13")
def test_a_shared_layer_is_used_twice():
    """A layer used twice in a network gathers the gradients of both uses."""
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(3.0)

    nn.Sequential(layer, layer)(torch.tensor([[2.0]])).sum().backward()

    assert layer.weight.grad.tolist() == [[12.0]]


@pytest.mark.claim("N4-16")
def test_a_tied_autoencoder_transposes_in_forward():
    """An autoencoder ties its weights by using one parameter, transposed, in its forward."""

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([[1.0, 2.0, 3.0]]))

        def forward(self, x):
            return (x @ self.weight.T) @ self.weight

    net = Autoencoder()
    x = torch.tensor([[1.0, 0.0, 0.0]])
    net(x).sum().backward()

    assert net(x).tolist() == [[1.0, 2.0, 3.0]]
    assert ([name for name, _ in net.named_parameters()], net.weight.grad.tolist()) == (
        ["weight"],
        [[7.0, 1.0, 1.0]],
    )


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
