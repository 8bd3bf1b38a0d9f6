"""Adaptive softmax: a loss for many classes of which few are frequent.

``nn.AdaptiveLogSoftmaxWithLoss`` has a head for the frequent classes and a smaller tail for each group of
rarer ones, so it has parameters, unlike most losses.
"""

import pytest
import torch
from torch import nn


def test_parts_of_an_adaptive_softmax():
    """``nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5])`` has a head of 2 classes and 2 groups, and two tails.

    The classes are ordered: those below the first cutoff are in the head. Tail ``i`` goes through
    ``in_features // div_value ** (i + 1)`` features. There is no bias, unless ``head_bias=True``.
    """
    loss = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5], div_value=2.0)

    assert {name: tuple(p.shape) for name, p in loss.named_parameters()} == {
        "head.weight": (4, 8),
        "tail.0.0.weight": (4, 8),
        "tail.0.1.weight": (3, 4),
        "tail.1.0.weight": (2, 8),
        "tail.1.1.weight": (5, 2),
    }
    biased = dict(nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2], head_bias=True).named_parameters())
    assert list(biased) == ["head.weight", "head.bias", "tail.0.0.weight", "tail.0.1.weight"]
    assert biased["head.bias"].shape == (3,)
    assert nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2]).tail[0][0].out_features == 2


def test_it_returns_two_things():
    """``nn.AdaptiveLogSoftmaxWithLoss`` returns ``output``, the targets' log-probabilities, and their
    ``loss``.

    The loss is the mean of what ``output`` holds, negated. Call ``backward()`` on ``.loss``, not on the pair.
    """
    module = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5])
    x, target = torch.randn(3, 8), torch.tensor([0, 3, 9])
    result = module(x, target)
    output, loss = result

    assert result.output is output
    assert torch.allclose(output, module.log_prob(x).gather(1, target[:, None]).squeeze(1), atol=1e-6)
    assert torch.allclose(loss, -output.mean())
    with pytest.raises(AttributeError, match="backward"):
        result.backward()


def test_all_log_probabilities():
    """``log_prob`` of ``nn.AdaptiveLogSoftmaxWithLoss`` returns them for all classes, ``predict`` the best.

    ``log_prob`` goes through every tail, so it costs more than a call does.
    """
    module = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5])
    x = torch.randn(20, 8) * 10

    assert module.log_prob(x).shape == (20, 10)
    assert torch.allclose(module.log_prob(x).exp().sum(1), torch.ones(20), atol=1e-5)
    best = module.log_prob(x).argmax(1).tolist()
    assert module.predict(x).tolist() == best
    assert [module.predict(row[None]).item() for row in x] == best


def test_cutoffs_rise():
    """Cutoffs of ``nn.AdaptiveLogSoftmaxWithLoss`` are increasing integers from 1 to ``n_classes - 1``.

    Others raise ``ValueError``. ``n_classes`` itself is appended and must not be given.
    """
    assert nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 9]).cutoffs == [2, 9, 10]
    for cutoffs in ([5, 2], [2, 2], [0, 2], [2, 10], [2.5], [-1, 2]):
        with pytest.raises(ValueError, match="sequence of unique, positive integers sorted in an increasing"):
            nn.AdaptiveLogSoftmaxWithLoss(8, 10, cutoffs)


def test_adaptive_targets():
    """``nn.AdaptiveLogSoftmaxWithLoss`` raises ``RuntimeError`` for a target outside the classes, even -100.

    It has no ``ignore_index``: leave such rows out yourself.
    """
    module = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5])
    x = torch.randn(3, 8)

    for wrong in (10, -1, -100):
        with pytest.raises(RuntimeError, match=r"Target values should be in \[0, 9\]"):
            module(x, torch.tensor([0, 3, wrong]))
    with pytest.raises(RuntimeError, match="same size in the batch dimension"):
        module(x, torch.tensor([0, 3]))
    with pytest.raises(RuntimeError, match="multi-target not supported"):
        module(x[None], torch.tensor([[0, 3, 9]]))
