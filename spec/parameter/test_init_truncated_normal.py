"""The truncated normal distribution: ``trunc_normal_``.

:func:`~torch.nn.init.trunc_normal_` draws from a normal distribution, from ``a`` to ``b`` only. The bounds
are values, not multiples of the deviation.
"""

import warnings

import pytest
import torch
from torch import nn


def test_truncated_at_two_by_default():
    """:func:`nn.init.trunc_normal_ <torch.nn.init.trunc_normal_>` draws standard normal values between -2
    and 2 by default.
    """
    weight = torch.empty(100, 200)

    result = nn.init.trunc_normal_(weight)

    assert result is weight
    assert 1.9 < weight.max().item() <= 2
    assert -2 <= weight.min().item() < -1.9
    assert [weight.mean().item(), weight.std().item()] == pytest.approx([0.0, 0.8796], abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "mean", "std"),
    [
        ((1.0, 2.0, 0.0, 4.0), 1.7125, 1.0588),
        ((0.0, 1.0, 2.0, 3.0), 2.3157, 0.2475),
        ((0.0, 1.0, -3.0, -2.0), -2.3157, 0.2475),
        ((0.0, 2.0, 4.0, 6.0), 4.6314, 0.4950),
        ((2.0, 4.0, 1.0, 3.0), 2.0, 0.5743),
    ],
    ids=["wide", "upper tail", "lower tail", "wider tail", "narrow"],
)
def test_mean_deviation_and_bounds_are_taken(arguments, mean, std):
    """``nn.init.trunc_normal_(t, mean, std, a, b)`` draws normal values truncated to ``[a, b]``."""
    weight = nn.init.trunc_normal_(torch.empty(100, 200), *arguments)

    a, b = arguments[2:]
    assert weight.min().item() >= a
    assert weight.max().item() <= b
    assert [weight.min().item(), weight.max().item()] == pytest.approx([a, b], abs=0.05)
    assert [weight.mean().item(), weight.std().item()] == pytest.approx([mean, std], abs=0.03)


def test_bounds_are_not_relative_to_the_deviation():
    """``a`` and ``b`` of ``nn.init.trunc_normal_`` are cutoff values, not multiples of ``std``.

    They stay at -2 and 2 unless they are given: ``std=0.02`` means bounds a hundred deviations away. To
    cut at two deviations give ``a=-2 * std, b=2 * std``.
    """
    weight = nn.init.trunc_normal_(torch.empty(100, 200), std=0.02)

    assert weight.abs().max().item() > 0.05
    assert weight.std().item() == pytest.approx(0.02, abs=0.001)

    cut = nn.init.trunc_normal_(torch.empty(100, 200), std=0.02, a=-0.04, b=0.04)

    assert [cut.min().item(), cut.max().item()] == pytest.approx([-0.04, 0.04], rel=0.05)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, 2.5, 3.0),
        (0.0, 1.0, -3.0, -2.5),
        (0.0, 0.5, 1.25, 2.0),
        (0.0, 0.5, -2.0, -1.25),
        (3.0, 1.0, -1.0, 0.5),
    ],
    ids=["above", "below", "above, narrower", "below, narrower", "around zero"],
)
def test_a_mean_far_outside_warns(mean, std, a, b):
    """``nn.init.trunc_normal_`` gives a ``UserWarning`` if ``mean`` is more than 2 ``std`` outside ``[a,
    b]``.
    """
    with pytest.warns(UserWarning, match="mean is more than 2 std from .a, b. in nn.init.trunc_normal_"):
        weight = nn.init.trunc_normal_(torch.empty(5), mean, std, a, b)

    assert ((weight >= a) & (weight <= b)).tolist() == [True] * 5


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, 2.0, 3.0),
        (0.0, 1.0, -3.0, -2.0),
        (0.0, 2.0, 3.5, 5.0),
        (0.0, 2.0, -5.0, -3.5),
        (9.0, 1.0, 8.0, 9.5),
    ],
    ids=["above", "below", "above, wider", "below, wider", "within"],
)
def test_a_mean_two_deviations_outside_does_not_warn(mean, std, a, b):
    """``nn.init.trunc_normal_`` does not warn if ``mean`` is at most 2 ``std`` outside ``a`` and ``b``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        weight = nn.init.trunc_normal_(torch.empty(5), mean, std, a, b)

    assert caught == []
    assert ((weight >= a) & (weight <= b)).tolist() == [True] * 5


@pytest.mark.since("2.12")
def test_far_away_the_values_crowd_at_the_nearer_bound():
    """``nn.init.trunc_normal_`` with ``mean`` far above ``b`` draws values close to ``b``
    (:pull:`174997`).
    """
    with pytest.warns(UserWarning, match="The distribution of values may be incorrect"):
        weight = nn.init.trunc_normal_(torch.empty(100), 100.0, 1.0, -2.0, 2.0)

    assert weight.min().item() > 1.8
    assert weight.max().item() <= 2
    assert weight.unique().numel() > 90


@pytest.mark.before("2.12")
def test_far_away_every_value_was_the_wrong_bound():
    """``nn.init.trunc_normal_`` with ``mean`` far above ``b`` fills the tensor with ``a``, the wrong
    bound.
    """
    with pytest.warns(UserWarning, match="The distribution of values may be incorrect"):
        weight = nn.init.trunc_normal_(torch.empty(100), 100.0, 1.0, -2.0, 2.0)

    assert weight.unique().tolist() == [-2.0]


@pytest.mark.since("2.12")
def test_rejected_values_are_drawn_again():
    """If over 30% of the normal distribution lies in ``[a, b]``, ``nn.init.trunc_normal_`` redraws values
    outside.

    Where it is 30% or less, values are drawn evenly from ``[a, b]`` and some of them rejected.
    """
    torch.manual_seed(3)
    weight = nn.init.trunc_normal_(torch.empty(9999), 0.5, 2.0, 1.5, 6.5)  # 30.7% of the distribution
    torch.manual_seed(3)
    normal = torch.empty(9999).normal_(0.5, 2.0)

    inside = (normal >= 1.5) & (normal <= 6.5)
    assert (normal < 1.5).any()
    assert (normal > 6.5).any()
    assert weight[inside].tolist() == normal[inside].tolist()
    assert ((weight > 1.5) & (weight < 6.5)).all()

    torch.manual_seed(3)
    weight = nn.init.trunc_normal_(torch.empty(100), 0.5, 2.0, 1.6, 6.5)  # 29.0%
    torch.manual_seed(3)
    even = torch.empty(100).uniform_(1.6, 6.5)

    assert 20 < (weight == even).sum().item() < 80
    assert ((weight > 1.6) & (weight < 6.5)).all()


@pytest.mark.before("2.12")
def test_one_draw_was_enough_for_every_value():
    """``nn.init.trunc_normal_`` draws as many random numbers as ``uniform_``: one uniform draw per value."""
    torch.manual_seed(3)
    nn.init.trunc_normal_(torch.empty(100))
    state = torch.get_rng_state()
    torch.manual_seed(3)
    torch.empty(100).uniform_()

    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=["double", "bfloat16"])
def test_other_dtypes_stay_within_the_bounds(dtype):
    """:func:`nn.init.trunc_normal_ <torch.nn.init.trunc_normal_>` keeps ``bfloat16`` and ``float64``
    values within the bounds too.
    """
    weight = nn.init.trunc_normal_(torch.empty(100, 100, dtype=dtype), 0.0, 1.0, -0.75, 1.5)

    assert weight.dtype == dtype
    assert weight.min().item() == pytest.approx(-0.75, abs=0.05)
    assert weight.max().item() == pytest.approx(1.5, abs=0.05)
    assert ((weight >= -0.75) & (weight <= 1.5)).all()

    tail = nn.init.trunc_normal_(torch.empty(100, 100, dtype=dtype), 0.0, 1.0, 2.0, 3.0)
    assert ((tail >= 2.0) & (tail <= 3.0)).all()


@pytest.mark.since("2.12")
def test_bfloat16_keeps_the_deviation():
    """``nn.init.trunc_normal_`` with ``std=0.02`` sets no ``bfloat16`` value to the bounds, -2 and 2
    (:issue:`155588`).

    Drawing in ``float32`` and casting then does the same on every release.
    """
    weight = nn.init.trunc_normal_(torch.empty(100, 1000, dtype=torch.bfloat16), std=0.02)

    cast = nn.init.trunc_normal_(torch.empty(100, 1000), std=0.02).bfloat16()

    for values in (weight, cast):
        assert values.float().std().item() == pytest.approx(0.02, rel=0.05)
        assert values.abs().max().item() < 0.2


@pytest.mark.before("2.12")
def test_bfloat16_held_values_at_the_bounds():
    """``nn.init.trunc_normal_`` with ``std=0.02`` sets some ``bfloat16`` values to the bounds, -2 and 2
    (:issue:`155588`).

    They are a few in a thousand, which makes the deviation several times as large. Draw in ``float32`` and
    cast then.
    """
    torch.manual_seed(3)
    weight = nn.init.trunc_normal_(torch.empty(100, 1000, dtype=torch.bfloat16), std=0.02)

    at_a_bound = (weight.abs() == 2).sum().item()
    assert 50 < at_a_bound < 1000
    assert weight.float().std().item() > 0.05


def test_the_upper_tail_in_bfloat16():
    """``nn.init.trunc_normal_(t, 0, 1, 2, 8)`` has the right deviation, 0.34, in ``float32``, not in
    ``bfloat16``.

    ``uniform_`` of ``bfloat16``, which it draws with, has few values: on 2.15 the deviation is 0.6, as one
    value in a hundred is above 5. Draw in ``float32`` and cast.
    """
    exact = nn.init.trunc_normal_(torch.empty(200, 200), 0.0, 1.0, 2.0, 8.0)
    rough = nn.init.trunc_normal_(torch.empty(200, 200, dtype=torch.bfloat16), 0.0, 1.0, 2.0, 8.0)

    assert exact.std().item() == pytest.approx(0.34, abs=0.02)
    assert exact.bfloat16().float().std().item() == pytest.approx(0.34, abs=0.02)
    assert abs(rough.float().std().item() - 0.34) > 0.05


def test_near_bounds_make_the_deviation_smaller():
    """With bounds at 2 ``std``, values of ``nn.init.trunc_normal_`` have a standard deviation of 0.88
    ``std``.

    ``std`` is that of the normal distribution before it is cut. With the default bounds, -2 and 2, that is so
    for ``std=1``, and not for ``std=0.02``.
    """

    def deviation(std, bound):
        values = nn.init.trunc_normal_(torch.empty(100000), std=std, a=-bound, b=bound)
        return values.std().item() / std, values.abs().max().item() / std

    assert deviation(std=0.02, bound=0.04) == pytest.approx((0.88, 2.0), abs=0.02)
    assert deviation(std=0.02, bound=0.02) == pytest.approx((0.54, 1.0), abs=0.02)
    assert deviation(std=1.0, bound=2.0) == pytest.approx((0.88, 2.0), abs=0.02)
    assert deviation(std=0.02, bound=2.0)[0] == pytest.approx(1.0, abs=0.02)
