"""Sampling at the points of a grid: where they lie, and what is read beyond the border.

``F.grid_sample`` reads an image at given points, and ``F.affine_grid`` makes the points of an affine map, as
a spatial transformer does.
"""

import math

import pytest
import torch
import torch.nn.functional as F

IMAGE = torch.arange(1.0, 10.0).view(1, 1, 3, 3)


def test_points_are_x_and_y():
    """``F.grid_sample`` takes points ``(x, y)`` from -1 to 1: x goes along the width, and y downward.

    ``(0, 0)`` is the middle. A grid of shape ``(N, H, W, 2)`` gives an image of ``(N, C, H, W)``.
    """
    points = torch.tensor([[[[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [0.0, 0.0], [0.5, 0.0]]]])

    assert F.grid_sample(IMAGE, points, align_corners=True).tolist() == [[[[1, 3, 7, 5, 5.5]]]]
    assert F.grid_sample(IMAGE, torch.zeros(1, 4, 5, 2), align_corners=True).shape == (1, 1, 4, 5)
    images, grids = IMAGE.expand(2, 4, 3, 3), torch.cat([points, points.flip(2)])
    assert F.grid_sample(images, grids, align_corners=True)[1].tolist() == [[[5.5, 5, 7, 3, 1]]] * 4
    assert F.grid_sample(IMAGE, points, mode="nearest", align_corners=True)[..., :4].tolist() == [
        [[[1, 3, 7, 5]]]
    ]


def test_where_the_corners_are():
    """With ``align_corners=True``, -1 in ``F.grid_sample`` is the middle of the first pixel, else its edge.

    By default it is ``False``, with a warning if it is not given. At the edge half of what is read is
    padding.
    """
    corners = torch.tensor([[[[-1.0, -1.0], [1.0, -1.0], [-2 / 3, -2 / 3]]]])

    assert F.grid_sample(IMAGE, corners, align_corners=False).flatten().tolist() == pytest.approx(
        [0.25, 0.75, 1.0]
    )
    with pytest.warns(UserWarning, match="behavior has changed to align_corners=False"):
        default = F.grid_sample(IMAGE, corners)
    assert torch.equal(default, F.grid_sample(IMAGE, corners, align_corners=False))


def test_both_have_to_agree():
    """``F.affine_grid`` and ``F.grid_sample`` return the image for the identity, if ``align_corners`` agree.

    Both default to ``False``, and warn.
    """
    identity = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    same = {}
    for made in (True, False):
        grid = F.affine_grid(identity, IMAGE.shape, align_corners=made)
        for read in (True, False):
            same[made, read] = torch.allclose(F.grid_sample(IMAGE, grid, align_corners=read), IMAGE)

    assert same == {(True, True): True, (True, False): False, (False, True): False, (False, False): True}


def test_the_map_says_where_to_read():
    """The matrix of ``F.affine_grid`` maps output to input points: a shift of x by +1 moves the image left.

    Its first row is for x, its second one for y, in halves of the image.
    """
    shift = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    flip = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    moved, flipped = (
        F.grid_sample(IMAGE, F.affine_grid(matrix, IMAGE.shape, align_corners=True), align_corners=True)
        for matrix in (shift, flip)
    )

    assert moved.tolist() == [[[[2, 3, 0], [5, 6, 0], [8, 9, 0]]]]
    assert torch.equal(flipped, IMAGE.flip(-1))
    with pytest.raises(NotImplementedError, match="only supports 4D and 5D sizes"):
        F.affine_grid(shift, (1, 1, 3), align_corners=True)


def test_beyond_the_border():
    """Beyond the border ``F.grid_sample`` reads zeros, or the edge or a reflection by ``padding_mode``.

    A point that is NaN gives NaN with zeros, and counts as -1 with ``"border"``.
    """
    points = torch.tensor([[[[2.0, 0.0], [-3.0, 0.0], [1.5, 0.0], [0.0, 2.0]]]])
    found = {
        mode: F.grid_sample(IMAGE, points, padding_mode=mode, align_corners=True).flatten().tolist()
        for mode in ("zeros", "border", "reflection")
    }
    lost = torch.tensor([[[[math.nan, 0.0]]]])

    assert found == {"zeros": [0, 0, 3, 0], "border": [6, 4, 6, 8], "reflection": [5, 6, 5.5, 5]}
    assert math.isnan(F.grid_sample(IMAGE, lost, align_corners=True).item())
    assert F.grid_sample(IMAGE, lost, padding_mode="border", align_corners=True).item() == 4.0


def test_gradients_of_a_grid():
    """``F.grid_sample`` gives gradients to the points too, but zeros with ``mode="nearest"``."""
    points = torch.tensor([[[[0.25, 0.5]]]], requires_grad=True)
    bilinear = F.grid_sample(IMAGE, points, align_corners=True)
    nearest = F.grid_sample(IMAGE, points, mode="nearest", align_corners=True)

    assert torch.autograd.grad(bilinear.sum(), points)[0].tolist() == [[[[1.0, 3.0]]]]
    assert torch.autograd.grad(nearest.sum(), points)[0].tolist() == [[[[0.0, 0.0]]]]


def test_what_grid_sample_refuses():
    """``F.grid_sample`` raises ``RuntimeError`` for another batch size, dtype or number of coordinates."""
    for grid, message in [
        (torch.zeros(2, 1, 1, 2), "expected grid and input to have same batch size"),
        (torch.zeros(1, 1, 1, 3), "expected grid to have size 2 in last dimension"),
        (torch.zeros(1, 1, 2), "expected 4D input and grid with same number of dimensions"),
        (torch.zeros(1, 1, 1, 2).double(), "expected scalar type"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            F.grid_sample(IMAGE, grid, align_corners=True)
    with pytest.raises(ValueError, match="expected mode to be 'bilinear', 'nearest' or 'bicubic'"):
        F.grid_sample(IMAGE, torch.zeros(1, 1, 1, 2), mode="linear", align_corners=True)
