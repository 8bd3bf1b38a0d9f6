"""The two variances of a batch normalization.

In training mode ``BatchNorm`` divides by the biased variance of the batch and keeps the unbiased one, by
which it divides in evaluation mode. So even the very same batch comes out a little smaller there.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    ("layer", "shape", "count"),
    [
        (nn.BatchNorm1d, (5, 2), 5),
        (nn.BatchNorm1d, (2, 2, 3), 6),
        (nn.BatchNorm2d, (2, 2, 1, 4), 8),
        (nn.BatchNorm3d, (1, 2, 3, 1, 1), 3),
    ],
    ids=["1d", "1d_with_positions", "2d", "3d"],
)
def test_the_same_batch_comes_out_smaller_in_evaluation(layer, shape, count):
    """With ``momentum=1``, the eval output of a new ``BatchNorm`` is ``sqrt((n - 1) / n)`` times that in
    training.

    That is for the same batch, up to ``eps``; a bias is added after it. ``n`` counts the values per channel:
    samples times positions. ``running_var`` is unbiased, divided by ``n - 1``; a batch is normalized by the
    biased variance, divided by ``n`` (:issue:`100048`). For small ``n`` a network trained on few values is
    visibly another one in evaluation.

    See also :ref:`modes.batch_norm.training_updates_the_running_statistics`
    """
    norm, x = layer(2, momentum=1.0), 3 * torch.randn(shape) + 4
    others = (0, *range(2, x.ndim))

    trained = norm(x)
    evaluated = norm.eval()(x)

    torch.testing.assert_close(norm.running_var, x.var(others, correction=1))
    torch.testing.assert_close(evaluated, trained * ((count - 1) / count) ** 0.5, rtol=1e-3, atol=1e-4)
