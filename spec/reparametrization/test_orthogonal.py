"""Orthogonal weights.

The weight is computed as an orthogonal matrix: its columns, or its rows if it has more columns than rows, are
of length one and at right angles.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal
from torch.nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations


@pytest.mark.parametrize("sizes", [(3, 3), (2, 4), (4, 2)], ids=["square", "tall", "wide"])
@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder", None])
@pytest.mark.parametrize("trivialize", [True, False])
def test_the_weight_is_orthogonal(sizes, orthogonal_map, trivialize):
    """``parametrizations.orthogonal`` makes the weight an orthogonal matrix, with any ``orthogonal_map``.

    :func:`~torch.nn.utils.parametrizations.orthogonal` makes its rows, or its columns if it has more rows,
    of length one and at right angles.
    """
    layer = nn.Linear(*sizes)

    assert orthogonal(layer, "weight", orthogonal_map, use_trivialization=trivialize) is layer
    short = layer.weight if sizes[0] > sizes[1] else layer.weight.T
    assert layer.weight.shape == sizes[::-1]
    torch.testing.assert_close((short @ short.T).detach(), torch.eye(min(sizes)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("columns", [2, 3, 4])
def test_it_stays_orthogonal_in_training(orthogonal_map, columns):
    """``parametrizations.orthogonal`` keeps a weight orthogonal during training.

    Each step is taken on the original, from which the weight is computed.
    """
    layer = orthogonal(nn.Linear(columns, 3, bias=False), orthogonal_map=orthogonal_map)
    before = layer.weight.detach().clone()

    layer(torch.rand(5, columns)).pow(3).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.5).step()

    for weight in (layer.weight.detach(), layer.eval().weight.detach()):
        short = weight if columns > 2 else weight.T
        torch.testing.assert_close(short @ short.T, torch.eye(len(short)), atol=1e-5, rtol=0)
    assert (layer.weight - before).abs().max() > 0.01


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder", None])
def test_an_orthogonal_weight_keeps_its_value(orthogonal_map):
    """``parametrizations.orthogonal`` keeps the value of a weight that is already orthogonal."""
    square = torch.tensor([[0.0, 0.0, 1.0], [0.6, 0.8, 0.0], [0.8, -0.6, 0.0]])
    tall = torch.tensor([[0.0, 1.0], [-0.6, 0.0], [0.8, 0.0]])

    for weight in (square, tall, tall.T):
        layer = nn.Linear(*weight.T.shape)
        layer.weight = nn.Parameter(weight.clone())
        orthogonal(layer, orthogonal_map=orthogonal_map)
        torch.testing.assert_close(layer.weight.detach(), weight)


@pytest.mark.parametrize("sizes", [(2, 3), (3, 3), (3, 2)], ids=["tall", "square", "wide"])
def test_another_weight_is_made_orthogonal(sizes):
    """By default ``parametrizations.orthogonal`` sets the weight to the Q of its QR decomposition.

    It is the Q that goes with an R of positive diagonal. Of a wide weight the transpose is decomposed.

    See also :ref:`reparametrization.orthogonal.householder_starts_at_the_q_without_base`
    """
    layer = nn.Linear(*sizes)
    weight = layer.weight.detach().clone()

    value = orthogonal(layer).weight.detach()
    if sizes == (3, 2):
        value, weight = value.T, weight.T
    triangle = value.T @ weight
    torch.testing.assert_close(triangle, triangle.triu(), atol=1e-5, rtol=0)
    assert (triangle.diagonal() > 0).all()
    torch.testing.assert_close(value @ triangle, weight, atol=1e-5, rtol=0)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
def test_batches_of_matrices(orthogonal_map):
    """``parametrizations.orthogonal`` treats a 3D weight as a batch of matrices and makes each orthogonal.

    A convolution is not orthogonal as a whole: each of its kernels is.
    """
    for rows, one in ((2, torch.eye(2)), (3, torch.eye(3)), (4, torch.eye(3))):
        weight = orthogonal(nn.Conv1d(rows, 5, 3), "weight", orthogonal_map).weight.detach()
        product = weight @ weight.mT if rows < 4 else weight.mT @ weight
        torch.testing.assert_close(product, one.expand(5, -1, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("weight", "name"),
    [
        (torch.rand(2, 3, 3), "matrix_exp"),
        (torch.rand(3, 3, 2), "householder"),
        (torch.rand(2, 3), "householder"),
        (torch.rand(3, 2, dtype=torch.complex128), "matrix_exp"),
    ],
    ids=["square", "tall", "wide", "complex"],
)
def test_the_map_depends_on_the_weight(weight, name):
    """``parametrizations.orthogonal`` defaults to ``matrix_exp`` for square or complex weights, else
    ``householder``.

    All others get ``householder``. Pass ``orthogonal_map`` for another map.
    """
    net = nn.Module()
    net.weight = nn.Parameter(weight)

    assert orthogonal(net).parametrizations.weight[0].orthogonal_map.name == name


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", None])
@pytest.mark.parametrize("sizes", [(3, 2), (2, 2), (2, 3)])
def test_a_complex_weight_becomes_unitary(sizes, orthogonal_map):
    """``parametrizations.orthogonal`` makes a complex weight unitary."""
    net = nn.Module()
    net.weight = nn.Parameter(torch.rand(sizes, dtype=torch.complex64))
    orthogonal(net, "weight", orthogonal_map)
    net.parametrizations.weight.original.data = torch.rand(sizes, dtype=torch.complex64)
    short = net.weight.detach().mH if sizes == (3, 2) else net.weight.detach()
    torch.testing.assert_close(short @ short.mH, torch.eye(2, dtype=torch.complex64), atol=1e-5, rtol=0)


def test_the_exponential_map():
    """``parametrizations.orthogonal`` with ``matrix_exp`` computes ``matrix_exp(A - A.T)`` of ``A =
    original.tril()``.

    A real square weight is that for ``use_trivialization=False``, and ``base`` times that otherwise.
    """
    layer = orthogonal(nn.Linear(3, 3), orthogonal_map="matrix_exp", use_trivialization=False)
    lower = layer.parametrizations.weight.original.detach().tril()

    torch.testing.assert_close(layer.weight.detach(), torch.matrix_exp(lower - lower.T))

    based = orthogonal(nn.Linear(3, 3), orthogonal_map="matrix_exp").parametrizations.weight
    based.original.data.copy_(lower)
    torch.testing.assert_close(based().detach(), based[0].base @ torch.matrix_exp(lower - lower.T))


def test_the_cayley_map():
    """``parametrizations.orthogonal`` with ``cayley`` computes the Cayley map of ``A - A.T``, ``A =
    original.tril()``.

    A real square weight is that for ``use_trivialization=False``, and ``base`` times that otherwise.
    """
    layer = orthogonal(nn.Linear(3, 3), orthogonal_map="cayley", use_trivialization=False)
    lower = layer.parametrizations.weight.original.detach().tril()
    skew, one = lower - lower.T, torch.eye(3)

    torch.testing.assert_close(layer.weight.detach() @ (one - skew / 2), one + skew / 2)

    based = orthogonal(nn.Linear(3, 3), orthogonal_map="cayley").parametrizations.weight
    based.original.data.copy_(lower)
    torch.testing.assert_close(based().detach(), based[0].base @ layer.weight.detach())


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley"])
def test_a_tall_weight_takes_the_first_columns(orthogonal_map):
    """With ``matrix_exp`` or ``cayley`` ``parametrizations.orthogonal`` cuts tall weights from square
    orthogonal ones.

    The original is padded with zeros to a square matrix; the weight is the first columns of its map.
    """
    tall = orthogonal(nn.Linear(2, 3), orthogonal_map=orthogonal_map, use_trivialization=False)
    square = orthogonal(nn.Linear(3, 3), orthogonal_map=orthogonal_map, use_trivialization=False)
    with torch.no_grad():
        square.parametrizations.weight.original.zero_()
        square.parametrizations.weight.original[:, :2] = tall.parametrizations.weight.original

    torch.testing.assert_close(tall.weight, square.weight[:, :2])


def test_the_householder_map():
    """With ``householder``, ``parametrizations.orthogonal`` multiplies one reflection per column of a
    tall weight.
    """
    layer = orthogonal(nn.Linear(2, 3), orthogonal_map="householder", use_trivialization=False)
    with torch.no_grad():
        layer.parametrizations.weight.original.copy_(torch.tensor([[1.0, 9.0], [2.0, -1.0], [3.0, 4.0]]))

    expected = torch.eye(3)
    for column in (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 4.0])):
        expected = expected @ (torch.eye(3) - 2 * torch.outer(column, column) / (column @ column))
    torch.testing.assert_close(layer.weight.detach(), expected[:, :2] * torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
def test_a_base_is_kept(orthogonal_map):
    """By default ``parametrizations.orthogonal`` stores a square orthogonal matrix in a buffer named
    ``base``.

    Its first columns are the initial weight (transposed, if wide). The original starts as the negative
    identity, whatever the weight was.
    """
    layer, wide = [orthogonal(nn.Linear(*sizes), "weight", orthogonal_map) for sizes in [(2, 3), (3, 2)]]

    assert [name.rpartition("weight.")[2] for name in layer.state_dict()] == ["bias", "original", "0.base"]
    assert layer.parametrizations.weight.original.tolist() == [[-1.0, 0.0], [0.0, -1.0], [0.0, 0.0]]
    base = layer.parametrizations.weight[0].base
    torch.testing.assert_close(base.T @ base, torch.eye(3))
    torch.testing.assert_close(base[:, :2], layer.weight)
    torch.testing.assert_close(wide.parametrizations.weight[0].base[:, :2], wide.weight.T)


def test_the_original_means_nothing_without_its_base():
    """The ``original`` of ``parametrizations.orthogonal`` gives the weight only with the ``base`` it was
    saved with.

    To go on training, save and load both; the weight alone loads into a fresh layer by assignment.
    """
    torch.manual_seed(1)
    trained, half, whole = (orthogonal(nn.Linear(3, 3, bias=False)) for _ in range(3))
    state = trained.state_dict()
    half.load_state_dict({k: v for k, v in state.items() if "base" not in k}, strict=False)
    whole.load_state_dict(state)

    torch.testing.assert_close(whole.weight, trained.weight)
    assert not torch.allclose(half.weight, trained.weight, atol=0.1)


def test_without_trivialization_there_is_no_base():
    """``parametrizations.orthogonal(use_trivialization=False)`` adds no ``base`` buffer."""
    for name in ("matrix_exp", "cayley", "householder"):
        layer = orthogonal(nn.Linear(2, 3), orthogonal_map=name, use_trivialization=False)
        assert list(layer.buffers()) == []
        assert not hasattr(layer.parametrizations.weight[0], "base")


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
def test_an_orthogonal_matrix_may_be_assigned(orthogonal_map):
    """By default ``parametrizations.orthogonal`` keeps assigned orthogonal matrices and orthogonalizes
    others.
    """
    layer = orthogonal(nn.Linear(2, 2), orthogonal_map=orthogonal_map)
    layer.weight = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[0.6, -0.8], [0.8, 0.6]]))

    layer.weight = torch.tensor([[0.0, -2.0], [3.0, 5.0]])
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[0.0, -1.0], [1.0, 0.0]]))

    tall = -torch.eye(3)[:, [2, 0]]
    for matrix in (tall, tall.T):
        layer = orthogonal(nn.Linear(*matrix.T.shape), orthogonal_map=orthogonal_map)
        layer.weight = matrix
        torch.testing.assert_close(layer.weight.detach(), matrix)


@pytest.mark.parametrize("flip", [1.0, -1.0])
@pytest.mark.parametrize("wide", [False, True])
def test_householder_needs_no_base_for_assigning(flip, wide):
    """With ``householder``, ``parametrizations.orthogonal(use_trivialization=False)`` lets a weight be
    assigned.
    """
    matrix = flip * torch.tensor([[1.0, 0.0], [0.0, 0.6], [0.0, -0.8]])
    matrix = matrix.T.contiguous() if wide else matrix
    layer = nn.Linear(*matrix.shape[::-1])
    orthogonal(layer, orthogonal_map="householder", use_trivialization=False)

    layer.weight = matrix
    torch.testing.assert_close(layer.weight.detach(), matrix)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley"])
def test_without_base_other_maps_take_no_value(orthogonal_map):
    """Assigning to an ``orthogonal`` weight by ``cayley`` without trivialization raises
    ``NotImplementedError``.

    So it does by ``matrix_exp``. That is with ``use_trivialization=False``.
    """
    layer = orthogonal(nn.Linear(2, 2), orthogonal_map=orthogonal_map, use_trivialization=False)

    with pytest.raises(NotImplementedError, match="not possible to assign to the matrix exponential"):
        layer.weight = torch.eye(2)


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (4, 2), (3, 3)])
def test_an_assigned_value_has_the_shape(rows, columns):
    """Assigning a matrix of the wrong shape under ``parametrizations.orthogonal`` raises ``ValueError``."""
    layer = orthogonal(nn.Linear(2, 3))
    with pytest.raises(ValueError, match=rf"of shape .*\(\[3, 2\]\)\. Got .*\(\[{rows}, {columns}\]\)"):
        layer.weight = torch.rand(rows, columns)


def test_a_vector_is_an_error():
    """``parametrizations.orthogonal`` raises ``ValueError`` for a 1D tensor such as a bias."""
    with pytest.raises(ValueError, match=r"matrix or batch of matrices\. Got a tensor of 1 dimensions"):
        orthogonal(nn.Linear(2, 3), "bias")


@pytest.mark.parametrize("name", ["wieght", "in_features"])
def test_a_name_without_tensor_is_an_error(name):
    """``parametrizations.orthogonal`` raises ``ValueError`` for a name that is not a parameter or buffer."""
    with pytest.raises(ValueError, match=f"has no parameter or buffer with name '{name}'"):
        orthogonal(nn.Linear(2, 3), name)


def test_an_unknown_map_is_an_error():
    """``parametrizations.orthogonal`` raises ``ValueError`` for an unknown ``orthogonal_map`` and lists valid
    ones.
    """
    layer = nn.Linear(2, 3)
    with pytest.raises(ValueError, match=r'"matrix_exp", "cayley", "householder".* Got: givens'):
        orthogonal(layer, orthogonal_map="givens")
    assert not is_parametrized(layer)


def test_householder_takes_no_complex_weight():
    """``parametrizations.orthogonal`` with ``"householder"`` raises ``ValueError`` for a complex weight."""
    for dtype, rows, base in ((torch.complex64, 3, True), (torch.complex128, 2, False)):
        with pytest.raises(ValueError, match="householder parametrization does not support complex"):
            orthogonal(nn.Linear(2, rows).to(dtype), "weight", "householder", use_trivialization=base)


@pytest.mark.parametrize("training", [True, False])
def test_removing_leaves_an_orthogonal_weight(training):
    """Removing ``parametrizations.orthogonal`` leaves a ``Parameter`` with the orthogonal value."""
    layer = orthogonal(nn.Linear(2, 3)).train(training)
    value = layer.weight.detach().clone()
    remove_parametrizations(layer, "weight")

    assert type(layer.weight) is nn.Parameter
    torch.testing.assert_close(layer.weight.detach(), value)


@pytest.mark.parametrize(("orthogonal_map", "length"), [("householder", 0), ("matrix_exp", 1), ("cayley", 1)])
def test_weight_decay_undoes_householder(orthogonal_map, length):
    """With ``orthogonal_map="householder"``, a step of SGD with weight decay makes an orthogonal weight 0.

    The diagonal of the original holds signs, which are cut to integers: after one step of decay they count
    as 0. ``householder`` is the default for a weight that is not square: set ``weight_decay=0`` for it, or
    use another map.
    """
    layer = orthogonal(nn.Linear(3, 3, bias=False), orthogonal_map=orthogonal_map)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, weight_decay=0.1)
    layer(torch.rand(5, 3)).sum().backward()
    optimizer.step()

    torch.testing.assert_close(layer.weight.detach().norm(dim=0), torch.full((3,), float(length)))


@pytest.mark.parametrize("sizes", [(3, 3), (2, 3), (3, 2)], ids=["square", "tall", "wide"])
def test_a_weight_of_zeros_stays_zero(sizes):
    """``parametrizations.orthogonal`` makes a weight of zeros a weight of zeros, which is not orthogonal.

    A weight of lower rank gets columns of zeros likewise. Initialize it first, such as with
    :func:`~torch.nn.init.orthogonal_`.
    """
    zeros, ones = nn.Linear(*sizes), nn.Linear(*sizes)
    nn.init.zeros_(zeros.weight)
    nn.init.ones_(ones.weight)

    orthogonal(zeros)
    orthogonal(ones)

    assert zeros.weight.count_nonzero() == 0
    assert torch.linalg.matrix_rank(ones.weight) == 1


def test_householder_starts_at_the_q_without_base():
    """Without trivialization ``parametrizations.orthogonal`` by ``householder`` starts at Q of the weight's
    QR.

    That is with ``use_trivialization=False``. Q is the orthogonal factor of the QR decomposition of the
    weight, and the weight itself if that is orthogonal.
    """
    layer, square = nn.Linear(2, 3), nn.Linear(3, 3)
    wanted = torch.tensor([[0.0, 0.0, 1.0], [0.6, 0.8, 0.0], [0.8, -0.6, 0.0]])
    square.weight.data = wanted.clone()
    weight = layer.weight.detach().clone()

    orthogonal(layer, orthogonal_map="householder", use_trivialization=False)
    orthogonal(square, orthogonal_map="householder", use_trivialization=False)

    torch.testing.assert_close(square.weight.detach(), wanted)
    triangle = layer.weight.detach().T @ weight
    torch.testing.assert_close(triangle, triangle.triu(), atol=1e-5, rtol=0)
    torch.testing.assert_close(layer.weight.detach() @ triangle, weight, atol=1e-5, rtol=0)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
def test_a_parametrized_weight_has_no_base(orthogonal_map):
    """By default a weight parametrized before ``parametrizations.orthogonal`` raises ``TypeError`` when read.

    There is no base then. With ``use_trivialization=False`` it maps what the other parametrizations return.
    """
    layer = register_parametrization(nn.Linear(3, 3), "weight", nn.Tanh())

    orthogonal(layer, orthogonal_map=orthogonal_map)
    with pytest.raises(TypeError, match="NoneType"):
        layer(torch.rand(3))

    layer = register_parametrization(nn.Linear(3, 3), "weight", nn.Tanh())
    before = layer.weight.detach().clone()
    orthogonal(layer, orthogonal_map=orthogonal_map, use_trivialization=False)
    assert torch.equal(layer.weight, layer.parametrizations.weight[1](before))
