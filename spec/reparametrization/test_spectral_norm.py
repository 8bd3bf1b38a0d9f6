"""Spectral normalization as a parametrization.

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
    """``parametrizations.spectral_norm`` divides a weight by an estimate of its largest singular value.

    :func:`parametrizations.spectral_norm <torch.nn.utils.parametrizations.spectral_norm>` limits how
    much the layer can stretch an input. The estimate gets better with each access in training mode.
    """
    layer = nn.Linear(2, 3, device=device)
    layer.weight = nn.Parameter(torch.tensor([[0.0, 4.0], [2.0, 0.0], [0.0, 0.0]]).to(device))

    assert spectral_norm(layer) is layer
    wanted = torch.tensor([[0.0, 1.0], [0.5, 0.0], [0.0, 0.0]]).to(device)
    torch.testing.assert_close(layer.weight, wanted)

    original = layer.parametrizations.weight.original
    original.data = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).to(device)
    for _ in range(15):
        estimated = layer.weight
    torch.testing.assert_close(estimated, original / torch.linalg.matrix_norm(original, 2))


def test_a_small_weight_is_scaled_up():
    """``parametrizations.spectral_norm`` also scales up a weight whose largest singular value is below 1.

    The value becomes 1, it is no upper bound. Layers often begin below 1, so that the net stretches its
    inputs more than without it. See :func:`~torch.nn.utils.parametrizations.spectral_norm`.
    """
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[0.5, 0.0], [0.0, 0.25]]))

    spectral_norm(layer)

    for training in (True, False):
        layer.train(training)
        torch.testing.assert_close(layer.weight, torch.tensor([[1.0, 0.0], [0.0, 0.5]]))


def test_the_original_is_the_parameter():
    """``parametrizations.spectral_norm`` keeps the parameter as ``original`` and adds buffers ``_u`` and
    ``_v``.
    """
    layer = nn.Linear(2, 3)
    weight = layer.weight

    spectral_norm(layer)

    assert layer.parametrizations.weight.original is weight
    assert {name: tuple(value.shape) for name, value in layer.named_buffers()} == {
        "parametrizations.weight.0._u": (3,),
        "parametrizations.weight.0._v": (2,),
    }


def test_reading_in_training_improves_the_estimate():
    """In training mode ``parametrizations.spectral_norm`` runs a power iteration at each access of the
    weight.

    The estimate lags behind a weight that changes, and looking at ``layer.weight`` changes the layer.
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
    torch.testing.assert_close(norm._u, u)
    torch.testing.assert_close(norm._v, v)
    torch.testing.assert_close(weight, matrix / (u @ matrix @ v))

    assert not torch.equal(layer.weight, weight)
    torch.testing.assert_close(norm._v, F.normalize(matrix.T @ F.normalize(matrix @ v, dim=0), dim=0))


def test_reading_in_evaluation_changes_nothing():
    """In eval mode ``parametrizations.spectral_norm`` divides by its current estimate and does not update
    it.
    """
    layer = spectral_norm(nn.Linear(2, 2)).eval()
    matrix = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    u, v = torch.tensor([0.8, 0.6]), torch.tensor([0.6, 0.8])
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(matrix)
        layer.parametrizations.weight[0]._u.copy_(u)
        layer.parametrizations.weight[0]._v.copy_(v)
        weight = layer.weight

    torch.testing.assert_close(weight, matrix / (u @ matrix @ v))
    torch.testing.assert_close(layer.weight.detach(), weight)
    assert torch.equal(layer.parametrizations.weight[0]._u, u)
    assert torch.equal(layer.parametrizations.weight[0]._v, v)


def test_more_iterations_at_each_reading():
    """``parametrizations.spectral_norm`` runs ``n_power_iterations`` iterations per weight access in
    training.
    """
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


@pytest.mark.parametrize("iterations", [1, 3])
def test_the_vectors_start_at_random(iterations):
    """When applied, ``parametrizations.spectral_norm`` draws ``_u`` and ``_v``, then iterates 15 times.

    So it does for any ``n_power_iterations``, which is the number at each reading.
    """
    layer = nn.Linear(2, 3).eval()
    matrix = torch.tensor([[1.0, 0.2], [0.0, 0.9], [0.1, 0.0]])
    layer.weight = nn.Parameter(matrix.clone())
    torch.manual_seed(7)
    u, v = (F.normalize(torch.empty(size).normal_(), dim=0) for size in (3, 2))
    torch.manual_seed(7)

    spectral_norm(layer, n_power_iterations=iterations)

    for _ in range(15):
        u = F.normalize(matrix @ v, dim=0)
        v = F.normalize(matrix.T @ u, dim=0)
    torch.testing.assert_close(layer.parametrizations.weight[0]._u, u, rtol=0, atol=1e-7)
    torch.testing.assert_close(layer.parametrizations.weight[0]._v, v, rtol=0, atol=1e-6)


def test_two_forwards_before_one_backward():
    """``parametrizations.spectral_norm`` allows several forward passes before one backward pass.

    A discriminator that sees real and false images does so.
    """
    layer = spectral_norm(nn.Linear(2, 3))

    (layer(torch.rand(2)).sum() + layer(torch.rand(2)).sum()).backward()

    assert layer.parametrizations.weight.original.grad.shape == (3, 2)
    assert layer.parametrizations.weight.original.grad.count_nonzero() == 6


def test_a_vector_is_divided_by_its_length():
    """``parametrizations.spectral_norm`` divides a 1D tensor by its norm and adds no buffers."""
    layer = nn.Linear(4, 2)
    layer.bias = nn.Parameter(torch.tensor([3.0, 4.0]))

    spectral_norm(layer, name="bias")

    for training in (True, False):
        torch.testing.assert_close(layer.train(training).bias.detach(), torch.tensor([0.6, 0.8]))
    assert list(layer.buffers()) == []


def test_eps_bounds_the_length_from_below():
    """``parametrizations.spectral_norm`` divides by ``eps`` instead of a vector norm smaller than ``eps``."""
    layer = nn.Linear(4, 2)
    layer.bias = nn.Parameter(torch.tensor([3.0, 4.0]))

    layer.weight = nn.Parameter(torch.ones(2, 4))
    spectral_norm(layer, "bias", 1, 10.0)
    torch.testing.assert_close(layer.bias.detach(), torch.tensor([0.3, 0.4]))

    spectral_norm(layer, "weight", 1, 10.0)
    layer.parametrizations.weight[0]._v.fill_(0.5)
    _ = layer.weight
    torch.testing.assert_close(layer.parametrizations.weight[0]._u, torch.tensor([0.2, 0.2]))
    torch.testing.assert_close(layer.parametrizations.weight[0]._v, torch.tensor([0.04] * 4))


def test_eps_is_tiny_by_default():
    """By default ``parametrizations.spectral_norm`` has an ``eps`` of ``1e-12``."""
    layer = nn.Linear(4, 2)
    layer.bias = nn.Parameter(torch.tensor([3e-13, 4e-13]))

    spectral_norm(layer, "bias")

    torch.testing.assert_close(layer.bias.detach(), torch.tensor([0.3, 0.4]))

    layer.weight = nn.Parameter(torch.full((2, 4), 3e-13))
    norm = spectral_norm(layer).parametrizations.weight[0]
    norm._v.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    _ = layer.weight
    torch.testing.assert_close(norm._u, torch.tensor([0.3, 0.3]))


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [
        (nn.Conv1d, 0),
        (nn.Conv2d, 0),
        (nn.Conv3d, 0),
        (nn.ConvTranspose1d, 1),
        (nn.ConvTranspose2d, 1),
        (nn.ConvTranspose3d, 1),
        (type("Own", (nn.ConvTranspose1d,), {}), 1),
    ],
)
def test_a_weight_becomes_a_matrix_by_its_outputs(kind, outputs):
    """``parametrizations.spectral_norm`` reshapes a conv weight to a matrix with a row per output channel."""
    layer = kind(2, 3, 5)
    layer.weight.data.uniform_()
    rows = layer.weight.detach().movedim(outputs, 0).flatten(1)
    norm = spectral_norm(layer).parametrizations.weight[0]

    assert [len(norm._u), len(norm._v)] == [3, rows[0].numel()]
    torch.testing.assert_close(layer.weight.norm() * torch.linalg.matrix_norm(rows, 2), rows.norm())


@pytest.mark.parametrize(("dim", "sizes"), [(1, (3, 8)), (-1, (4, 6)), (-3, (2, 12))])
def test_dim_says_which_dimension_makes_the_rows(dim, sizes):
    """``dim`` of ``parametrizations.spectral_norm`` gives the rows of the weight as a matrix; it may be
    negative.
    """
    net = nn.Module()
    net.weight = nn.Parameter(torch.rand(2, 3, 4))
    norm = spectral_norm(net, dim=dim).parametrizations.weight[0]

    assert (norm._u.shape, norm._v.shape) == (sizes[:1], sizes[1:])
    rows = net.parametrizations.weight.original.movedim(dim, 0).flatten(1)
    torch.testing.assert_close(net.weight.norm() * torch.linalg.matrix_norm(rows, 2), rows.norm())


@pytest.mark.parametrize(
    ("name", "dim", "dims"), [("weight", 2, "-2, 1"), ("weight", -3, "-2, 1"), ("bias", 1, "-1, 0")]
)
def test_dim_lies_within_the_weight(name, dim, dims):
    """``parametrizations.spectral_norm`` raises ``IndexError`` for a ``dim`` out of range."""
    with pytest.raises(IndexError, match=rf"to be in range of \[{dims}\] but got {dim}\)"):
        spectral_norm(nn.Linear(2, 3), name, dim=dim)


@pytest.mark.parametrize("number", [0, -2])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_at_least_one_iteration(name, number):
    """``parametrizations.spectral_norm`` raises ``ValueError`` if ``n_power_iterations`` is below 1."""
    with pytest.raises(ValueError, match=f"to be positive, but got n_power_iterations={number}"):
        spectral_norm(nn.Linear(2, 3), name, n_power_iterations=number)


@pytest.mark.parametrize("name", ["wieght", "in_features", "bias"])
def test_it_needs_a_tensor(name):
    """``parametrizations.spectral_norm`` raises ``ValueError`` for a name that is not a parameter or
    buffer.
    """
    with pytest.raises(ValueError, match=f"has no parameter or buffer with name '{name}'"):
        spectral_norm(nn.Linear(2, 3, bias=False), name)


def test_assigning_sets_the_original():
    """Assigning to a weight under ``parametrizations.spectral_norm`` sets ``original`` to the assigned value.

    Accessing the weight returns that value divided, not the value itself.
    """
    layer = spectral_norm(nn.Linear(2, 2)).eval()

    norm, value = layer.parametrizations.weight[0], torch.tensor([[2.0, 3.0], [5.0, 7.0]])

    layer.weight = value.clone()

    assert layer.parametrizations.weight.original.tolist() == [[2.0, 3.0], [5.0, 7.0]]
    torch.testing.assert_close(layer.weight.detach(), value / (norm._u @ value @ norm._v))
    layer.train().weight = value.T.clone()
    assert layer.parametrizations.weight.original.tolist() == [[2.0, 5.0], [3.0, 7.0]]


def test_removing_leaves_the_divided_weight():
    """Removing ``parametrizations.spectral_norm`` in training mode runs ``n_power_iterations`` more
    iterations.

    The weight left is that of the next access, not the one that was used last: call ``eval()`` first to keep
    the latter (:issue:`68421`).
    """
    matrix, vector = torch.tensor([[2.0, 1.0], [0.0, 1.0]]), torch.tensor([0.6, 0.8])
    v = vector
    for _ in range(2):
        u = F.normalize(matrix @ v, dim=0)
        v = F.normalize(matrix.T @ u, dim=0)
    trained, evaluated = (spectral_norm(nn.Linear(2, 2), n_power_iterations=2) for _ in range(2))
    evaluated.eval()
    for layer in (trained, evaluated):
        layer.parametrizations.weight.original.data = matrix.clone()
        layer.parametrizations.weight[0]._u.copy_(vector)
        layer.parametrizations.weight[0]._v.copy_(vector)
        parametrize.remove_parametrizations(layer, "weight")

    torch.testing.assert_close(trained.weight.detach(), matrix / (u @ matrix @ v))
    torch.testing.assert_close(evaluated.weight.detach(), matrix / (vector @ matrix @ vector))
    assert [name for name, _ in trained.named_parameters()] == ["bias", "weight"]
    assert list(trained.buffers()) == []


def test_the_old_removal_does_not_find_it():
    """``remove_spectral_norm`` raises ``ValueError`` for ``parametrizations.spectral_norm``.

    Remove it by :func:`~torch.nn.utils.parametrize.remove_parametrizations`.
    """
    layer = spectral_norm(nn.Linear(2, 3))

    with pytest.raises(ValueError, match="spectral_norm of 'weight' not found in ParametrizedLinear"):
        torch.nn.utils.remove_spectral_norm(layer)

    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
