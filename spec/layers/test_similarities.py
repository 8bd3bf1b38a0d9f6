"""Similarity and distance of vectors: along which dimension, and what happens at zero.

``nn.CosineSimilarity`` and ``nn.PairwiseDistance`` compare two tensors vector by vector; ``F.normalize``
gives the vectors of one the length 1.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

FIRST = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
SECOND = torch.tensor([[0.0, 2.0], [4.0, 3.0]])


def test_cosines_are_taken_along_one_dimension():
    """``nn.CosineSimilarity`` compares along ``dim=1`` by default, which is not the last one of 3D inputs.

    For sequences of shape ``(N, L, features)`` give ``dim=-1``.
    """
    sequences = torch.rand(2, 5, 4)

    assert nn.CosineSimilarity()(FIRST, SECOND).tolist() == pytest.approx([0.0, 0.96])
    assert nn.CosineSimilarity(dim=0)(FIRST, SECOND).tolist() == pytest.approx([12 / 160**0.5, 12 / 208**0.5])
    assert nn.CosineSimilarity()(sequences, sequences).shape == (2, 4)
    assert nn.CosineSimilarity(dim=-1)(sequences, sequences).shape == (2, 5)
    with pytest.raises(IndexError, match="Dimension out of range"):
        nn.CosineSimilarity()(FIRST[0], SECOND[0])


def test_cosines_of_all_pairs():
    """``nn.CosineSimilarity(dim=-1)(x[:, None], y[None])`` is the matrix of all pairs: inputs broadcast.

    It is the product of what :func:`torch.nn.functional.normalize` makes of both.
    """
    pairs = nn.CosineSimilarity(dim=-1)(FIRST[:, None], -SECOND[None])

    assert pairs.flatten().tolist() == pytest.approx([0.0, -0.8, -0.8, -0.96])
    assert torch.allclose(F.normalize(FIRST) @ F.normalize(-SECOND).T, pairs)


def test_a_zero_vector_has_a_cosine_of_zero():
    """``nn.CosineSimilarity`` is 0, not NaN, if one of the vectors is zero; its gradient is huge there.

    The product of the lengths is kept from being 0: each length is at least ``eps``, ``1e-8`` by default. So
    the gradient of a zero vector is ``1 / eps`` times the other one's direction. Vectors shorter than ``eps``
    have too small a cosine.
    """
    zeros = torch.zeros(2, requires_grad=True)
    cosine = F.cosine_similarity(zeros, torch.tensor([3.0, 0.0]), dim=0)
    cosine.backward()

    assert cosine.item() == 0.0
    for other in (FIRST[1], torch.zeros(2)):
        assert nn.CosineSimilarity(dim=0)(other, torch.zeros(2)).item() == 0.0
    assert zeros.grad.tolist() == pytest.approx([1e8, 0.0])
    assert F.cosine_similarity(FIRST * 1e-6, FIRST).tolist() == pytest.approx([1.0, 1.0])
    assert nn.CosineSimilarity(eps=10.0)(FIRST, FIRST).tolist() == pytest.approx([0.01, 0.25])


def test_cosines_of_huge_vectors():
    """``nn.CosineSimilarity`` is 0 or NaN for float32 vectors so long that their squares are infinite.

    See :issue:`51912`. In float64, or after a division by the largest element, they are right.
    """
    huge = FIRST * 1e20

    assert F.cosine_similarity(huge, FIRST).tolist() == [0.0, 0.0]
    assert F.cosine_similarity(huge.double(), FIRST.double()).tolist() == pytest.approx([1.0, 1.0])
    assert torch.isnan(F.cosine_similarity(FIRST * 2e38, FIRST)).tolist() == [False, True]


def test_distances_have_an_eps():
    """``nn.PairwiseDistance`` adds ``eps=1e-6`` to each difference: equal vectors are not 0 apart.

    It is added to ``x1 - x2`` as it is, so that the distance of ``y`` from ``x`` differs a little from that
    of ``x`` from ``y``.
    """
    distance = nn.PairwiseDistance()
    coarse = nn.PairwiseDistance(eps=1.0)

    assert distance(FIRST, SECOND).tolist() == pytest.approx([5**0.5, 2**0.5])
    assert distance(FIRST, FIRST).tolist() == pytest.approx([2**0.5 * 1e-6] * 2)
    assert nn.PairwiseDistance(eps=0.0)(FIRST, FIRST).tolist() == [0.0, 0.0]
    assert coarse(FIRST, SECOND).tolist() == pytest.approx([5**0.5, 2.0])
    assert coarse(SECOND, FIRST).tolist() == pytest.approx([3.0, 2.0])


def test_distances_are_taken_along_the_last_dimension():
    """``nn.PairwiseDistance`` reduces the last dimension, unlike ``nn.CosineSimilarity``; inputs broadcast.

    ``keepdim=True`` leaves a dimension of size 1 there, and ``p`` chooses the norm.
    """
    sequences = torch.rand(2, 5, 4)
    distance = nn.PairwiseDistance()

    assert distance(sequences, torch.rand(2, 5, 4)).shape == (2, 5)
    assert nn.PairwiseDistance(keepdim=True)(sequences, sequences).shape == (2, 5, 1)
    assert distance(FIRST[:, None], SECOND[None]).tolist() == [
        pytest.approx([5**0.5, 18**0.5]),
        pytest.approx([13**0.5, 2**0.5]),
    ]
    assert nn.PairwiseDistance(p=1)(FIRST, SECOND).tolist() == pytest.approx([3.0, 2.0], rel=1e-5)


def test_gradients_at_a_distance_of_zero():
    """``nn.PairwiseDistance`` of equal vectors has a finite gradient; the square root of a sum of squares
    NaN.

    ``torch.linalg.vector_norm`` and ``Tensor.norm`` have a gradient of 0 at the zero vector.
    """
    found = []
    for distance in (
        nn.PairwiseDistance(),
        lambda x, y: (x - y).pow(2).sum().sqrt(),
        lambda x, y: (x - y).norm(),
    ):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        distance(x, torch.tensor([1.0, 2.0])).backward()
        found.append(x.grad.tolist())

    assert found[0] == pytest.approx([0.5**0.5, 0.5**0.5])
    assert str(found[1]) == "[nan, nan]"
    assert found[2] == [0.0, 0.0]


def test_normalize_divides_by_the_length():
    """``F.normalize`` divides each vector along ``dim=1``, not the whole tensor, by its 2-norm.

    It subtracts no mean: that is what normalization layers do. Of a 1D tensor give ``dim=0``.
    """
    images = torch.rand(2, 3, 4, 4)

    assert F.normalize(FIRST)[1].tolist() == pytest.approx([0.6, 0.8])
    assert F.normalize(FIRST, dim=0)[:, 0].tolist() == pytest.approx([0.1**0.5, 0.9**0.5])
    assert F.normalize(FIRST, p=1)[1].tolist() == pytest.approx([3 / 7, 4 / 7])
    assert torch.allclose(F.normalize(images).norm(dim=1), torch.ones(2, 4, 4))
    with pytest.raises(IndexError, match="Dimension out of range"):
        F.normalize(FIRST[1])


def test_normalize_leaves_zeros():
    """``F.normalize`` returns zeros for a zero vector, not NaN, with gradients of ``1 / eps``.

    ``eps`` is ``1e-12``, which the norm is raised to: shorter vectors do not become of length 1. So a vector
    that is exactly zero can wreck a training step; see :issue:`184575`.
    """
    zeros = torch.zeros(1, 2, requires_grad=True)
    F.normalize(zeros).sum().backward()

    assert F.normalize(zeros).tolist() == [[0.0, 0.0]]
    assert zeros.grad.tolist() == [pytest.approx([1e12, 1e12])]
    assert F.normalize(FIRST * 1e-13)[1].tolist() == pytest.approx([0.3, 0.4])
    assert F.normalize(FIRST, eps=10.0)[1].tolist() == pytest.approx([0.3, 0.4])


@pytest.mark.since("2.1")
def test_normalize_of_half_precision_zeros():
    """``F.normalize`` returns NaN for a zero vector of float16, where ``eps=1e-12`` is 0; give a larger one.

    In bfloat16 it is not.
    """
    x = torch.tensor([[0.0, 0.0], [0.0, 4.0]])

    assert torch.isnan(F.normalize(x.half())).tolist() == [[True, True], [False, False]]
    assert torch.isnan(F.normalize(x[:1].half())).all()
    assert F.normalize(x.half(), eps=1e-4).tolist() == [[0.0, 0.0], [0.0, 1.0]]
    assert F.normalize(x.bfloat16()).tolist() == [[0.0, 0.0], [0.0, 1.0]]


@pytest.mark.before("2.1")
def test_normalize_took_no_half_precision():
    """On the CPU ``F.normalize`` raises ``RuntimeError`` for float16; it takes bfloat16."""
    assert F.normalize(FIRST.bfloat16()).dtype is torch.bfloat16
    with pytest.raises(RuntimeError, match="not implemented for 'Half'"):
        F.normalize(FIRST.half())
