"""Spectral normalisation as a parametrization.

The weight is divided by an estimate of its largest singular value. The estimate comes from two vectors, *u*
and *v*, that are improved by power iteration as the weight is read in training mode.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm


def test_the_largest_singular_value_becomes_one(device):
    """:func:`~torch.nn.utils.parametrizations.spectral_norm` divides by the largest singular value."""
    layer = nn.Linear(2, 3, device=device)
    layer.weight = nn.Parameter(torch.tensor([[0.0, 4.0], [2.0, 0.0], [0.0, 0.0]]).to(device))

    assert spectral_norm(layer) is layer
    wanted = torch.tensor([[0.0, 1.0], [0.5, 0.0], [0.0, 0.0]]).to(device)
    torch.testing.assert_close(layer.weight, wanted)


def test_the_original_is_the_parameter():
    """The weight is kept as the original, and the vectors as buffers of the parametrization."""
    layer = nn.Linear(2, 3)
    weight = layer.weight

    spectral_norm(layer)

    assert layer.parametrizations.weight.original is weight
    assert {name: tuple(value.shape) for name, value in layer.named_buffers()} == {
        "parametrizations.weight.0._u": (3,),
        "parametrizations.weight.0._v": (2,),
    }


def test_reading_in_training_improves_the_estimate():
    """In training mode each reading of the weight makes one power iteration.

    The estimate lags behind a weight that changes.
    """
    layer = spectral_norm(nn.Linear(2, 2))
    norm = layer.parametrizations.weight[0]
    matrix = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(matrix)
        norm._v.copy_(torch.tensor([0.6, 0.8]))

    weight = layer.weight

    u = F.normalize(matrix @ torch.tensor([0.6, 0.8]), dim=0)
    v = F.normalize(matrix.T @ u, dim=0)
    torch.testing.assert_close((norm._u, norm._v), (u, v))
    torch.testing.assert_close(weight.detach(), matrix / (u @ matrix @ v))


def test_reading_in_evaluation_changes_nothing():
    """In evaluation mode the vectors stay as they are."""
    layer = spectral_norm(nn.Linear(2, 2)).eval()
    matrix = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    u, v = torch.tensor([0.8, 0.6]), torch.tensor([0.6, 0.8])
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(matrix)
        layer.parametrizations.weight[0]._u.copy_(u)
        layer.parametrizations.weight[0]._v.copy_(v)

    weight = layer.weight

    torch.testing.assert_close(weight.detach(), matrix / (u @ matrix @ v))
    assert torch.equal(layer.parametrizations.weight[0]._v, v)


def test_more_iterations_at_each_reading():
    """Each reading of the weight makes ``n_power_iterations`` iterations."""
    layer = spectral_norm(nn.Linear(2, 2), "weight", 3)
    norm = layer.parametrizations.weight[0]
    matrix = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(matrix)
        norm._v.copy_(torch.tensor([0.6, 0.8]))

    _ = layer.weight

    v = torch.tensor([0.6, 0.8])
    for _ in range(3):
        v = F.normalize(matrix.T @ F.normalize(matrix @ v, dim=0), dim=0)
    torch.testing.assert_close(norm._v, v)


@pytest.mark.observed
def test_the_vectors_start_at_random():
    """The vectors are drawn at random, *u* first, and improved by fifteen iterations."""
    layer = nn.Linear(2, 3).eval()
    matrix = layer.weight.detach()
    torch.manual_seed(7)
    u, v = (F.normalize(torch.empty(size).normal_(), dim=0) for size in (3, 2))
    torch.manual_seed(7)

    spectral_norm(layer)

    for _ in range(15):
        u = F.normalize(matrix @ v, dim=0)
        v = F.normalize(matrix.T @ u, dim=0)
    torch.testing.assert_close(layer.parametrizations.weight[0]._u, u, rtol=0, atol=1e-7)


def test_two_forwards_before_one_backward():
    """Several forward passes in training may come before one backward pass."""
    layer = spectral_norm(nn.Linear(2, 3))

    (layer(torch.rand(2)).sum() + layer(torch.rand(2)).sum()).backward()

    assert layer.parametrizations.weight.original.grad.shape == (3, 2)


def test_a_vector_is_divided_by_its_length():
    """A parameter of one dimension is divided by its length, without buffers."""
    layer = nn.Linear(4, 2)
    layer.bias = nn.Parameter(torch.tensor([3.0, 4.0]))

    spectral_norm(layer, name="bias")

    torch.testing.assert_close(layer.bias.detach(), torch.tensor([0.6, 0.8]))
    assert list(layer.buffers()) == []


def test_eps_bounds_the_length_from_below():
    """In spectral normalisation lengths smaller than ``eps`` count as ``eps``."""
    layer = nn.Linear(4, 2)
    layer.bias = nn.Parameter(torch.tensor([3.0, 4.0]))

    spectral_norm(layer, "bias", 1, 10.0)

    torch.testing.assert_close(layer.bias.detach(), torch.tensor([0.3, 0.4]))


@pytest.mark.parametrize(
    ("layer", "sizes"),
    [
        (nn.Conv1d(2, 3, 5), (3, 10)),
        (nn.ConvTranspose1d(2, 3, 5), (3, 10)),
        (nn.ConvTranspose2d(2, 3, 5), (3, 50)),
        (nn.ConvTranspose3d(2, 3, 5), (3, 250)),
    ],
    ids=["Conv1d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"],
)
def test_a_weight_becomes_a_matrix_by_its_outputs(layer, sizes):
    """A weight of more dimensions is taken as a matrix with a row for each output channel."""
    norm = spectral_norm(layer).parametrizations.weight[0]

    assert (norm._u.shape, norm._v.shape) == (sizes[:1], sizes[1:])


@pytest.mark.parametrize(("dim", "sizes"), [(1, (3, 8)), (-1, (4, 6)), (-3, (2, 12))])
def test_dim_says_which_dimension_makes_the_rows(dim, sizes):
    """``dim`` names the dimension that makes the rows, from the end if it is negative."""
    net = nn.Module()
    net.weight = nn.Parameter(torch.rand(2, 3, 4))
    norm = spectral_norm(net, dim=dim).parametrizations.weight[0]

    assert (norm._u.shape, norm._v.shape) == (sizes[:1], sizes[1:])
    rows = net.parametrizations.weight.original.movedim(dim, 0).flatten(1)
    torch.testing.assert_close(net.weight.norm() * torch.linalg.matrix_norm(rows, 2), rows.norm())


@pytest.mark.parametrize("dim", [2, -3])
def test_dim_lies_within_the_weight(dim):
    """A ``dim`` that the weight does not have raises ``IndexError``."""
    with pytest.raises(IndexError, match=rf"to be in range of \[-2, 1\] but got {dim}\)"):
        spectral_norm(nn.Linear(2, 3), dim=dim)


@pytest.mark.parametrize("number", [0, -2])
def test_at_least_one_iteration(number):
    """``n_power_iterations`` of less than one raises ``ValueError``."""
    with pytest.raises(ValueError, match=f"to be positive, but got n_power_iterations={number}"):
        spectral_norm(nn.Linear(2, 3), n_power_iterations=number)


@pytest.mark.parametrize("name", ["wieght", "in_features"])
def test_it_needs_a_tensor(name):
    """A name that leads to no tensor raises ``ValueError``."""
    with pytest.raises(ValueError, match=f"has no parameter or buffer with name '{name}'"):
        spectral_norm(nn.Linear(2, 3), name)


def test_assigning_sets_the_original():
    """Assigning to the weight sets the original to that value."""
    layer = spectral_norm(nn.Linear(2, 2)).eval()

    layer.weight = torch.tensor([[2.0, 3.0], [5.0, 7.0]])

    assert layer.parametrizations.weight.original.tolist() == [[2.0, 3.0], [5.0, 7.0]]


def test_removing_leaves_the_divided_weight():
    """Removing leaves a parameter with the divided value."""
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[0.0, 4.0], [2.0, 0.0]]))
    spectral_norm(layer)

    parametrize.remove_parametrizations(layer, "weight")

    torch.testing.assert_close(layer.weight.tolist(), [[0.0, 1.0], [0.5, 0.0]])
    assert list(layer.state_dict()) == ["bias", "weight"]
