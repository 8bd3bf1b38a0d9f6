"""Sharing: one parameter used in several places.

A parameter is shared when one object is reached by two names or used twice in forward. Its gradient is
the sum over all uses.
"""

import copy

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-33")
def test_one_layer_may_stand_at_several_places():
    """``Sequential(linear, linear, linear, linear)`` prints four entries and has one parameter."""
    linear = nn.Linear(1, 1, bias=False)
    net = nn.Sequential(linear, linear, linear, linear)

    assert repr(net).count("Linear(in_features=1, out_features=1, bias=False)") == 4
    assert [name for name, _ in net.named_parameters()] == ["0.weight"]
    assert len(net) == 4


@pytest.mark.claim("N2-34", "N4-13")
def test_gradients_add_up_over_uses():
    """The gradient of a shared weight is the sum over its uses: four uses of 3 on 1 give 108."""
    linear = nn.Linear(1, 1, bias=False)
    nn.init.constant_(linear.weight, 3.0)
    output = nn.Sequential(linear, linear, linear, linear)(torch.ones(1, 1))
    output.backward()

    assert output.item() == 81.0
    assert linear.weight.grad.item() == 108.0


@pytest.mark.claim("N4-11")
def test_a_shared_layer_is_one_object():
    """A layer used twice is one object: changing its weight at one place changes it at the other."""
    shared = nn.Linear(2, 2)
    net = nn.Sequential(nn.Linear(3, 2), shared, nn.ReLU(), shared)
    with torch.no_grad():
        net[1].weight[0, 0] = 100.0

    assert net[1].weight is net[3].weight
    assert net[3].weight[0, 0].item() == 100.0


@pytest.mark.claim("N4-12")
def test_gradients_of_tied_layers_are_added():
    """The gradient of a tied parameter is the sum of the gradients it would have at each place."""
    tied = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    tied[2].weight = tied[0].weight
    untied = copy.deepcopy(tied)
    untied[2].weight = nn.Parameter(tied[0].weight.detach().clone())
    x = torch.tensor([[0.5, 2.0], [3.0, -0.25]])
    tied(x).sum().backward()
    untied(x).sum().backward()

    assert torch.allclose(tied[0].weight.grad, untied[0].weight.grad + untied[2].weight.grad)


def test_assigning_a_parameter_ties_it():
    """Assigning a parameter of one module to another ties them: both hold the same object."""
    encoder, decoder = nn.Linear(2, 3, bias=False), nn.Linear(2, 3, bias=False)
    decoder.weight = encoder.weight
    (encoder(torch.tensor([[5.0, 7.0]])) + decoder(torch.tensor([[10.0, 30.0]]))).sum().backward()

    assert decoder.weight is encoder.weight
    assert decoder.weight.grad.tolist() == [[15.0, 37.0]] * 3


def test_copying_values_does_not_tie():
    """Copying values from one parameter to another does not tie them: each keeps its own gradient."""
    first, second = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        second.weight.copy_(first.weight)
    first(torch.tensor([[5.0, 7.0]])).sum().backward()

    assert torch.equal(first.weight, second.weight)
    assert second.weight.grad is None


@pytest.mark.observed
def test_assigning_data_shares_memory_only():
    """Assigning the ``.data`` of one parameter to another shares values but not gradients."""
    first, second = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    second.weight.data = first.weight.data
    with torch.no_grad():
        first.weight.fill_(5)
    first(torch.rand(1, 2)).sum().backward()

    assert second.weight.tolist() == [[5.0, 5.0]]
    assert (second.weight is first.weight, second.weight.grad) == (False, None)


@pytest.mark.claim("N2-32", "N4-16")
def test_a_layer_may_use_its_weight_twice():
    """A layer may use one weight twice in forward, the second time transposed.

    The gradient is the sum of both uses.
    """

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([[2.0, 3.0]]))

        def forward(self, x):
            return (x @ self.weight.T) @ self.weight

    net = Autoencoder()
    x = torch.tensor([[5.0, 7.0]])
    output = net(x)
    output.sum().backward()

    assert output.tolist() == [[62.0, 93.0]]
    assert net.weight.grad.tolist() == [[5.0 * 5 + 31, 7.0 * 5 + 31]]


@pytest.mark.claim("N2-31")
def test_counting_by_layers_counts_shared_ones_again():
    """A sum over layers counts a shared parameter at each place, a sum over parameters once."""
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.Linear(2, 2), shared)
    layer_by_layer = sum(p.numel() for layer in net for p in layer.parameters())

    assert layer_by_layer == 18
    assert sum(p.numel() for p in net.parameters()) == 12


def test_freezing_one_name_freezes_all():
    """Freezing a tied parameter under one name freezes it under all of them."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    net[1].requires_grad_(False)

    assert net[0].weight.requires_grad is False
    assert net[0].bias.requires_grad is True


def test_replacing_one_name_unties():
    """Assigning a new parameter under one name unties it: the other name keeps the old one."""
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    old = net[0].weight
    net[1].weight = nn.Parameter(torch.rand(2, 2))

    assert net[0].weight is old
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "1.weight"]


def test_a_shared_parameter_is_stepped_once():
    """An optimizer made from ``parameters()`` takes one step for a shared parameter."""
    linear = nn.Linear(1, 1, bias=False)
    nn.init.constant_(linear.weight, 3.0)
    net = nn.Sequential(linear, linear)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    net(torch.ones(1, 1)).backward()
    optimizer.step()

    assert len(optimizer.param_groups[0]["params"]) == 1
    assert linear.weight.item() == 3.0 - 0.5 * 6.0
