"""Clipping at its edges: bounds that nobody checks, such as negative ones or NaN, and no gradient at all.

:func:`~torch.nn.utils.clip_grad_norm_` and :func:`~torch.nn.utils.clip_grad_value_` take any number for
their bound.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_


@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "together", "one_by_one"])
def test_a_negative_norm_turns_gradients_round(foreach):
    """``clip_grad_norm_`` with a negative ``max_norm`` reverses the gradients, without an error.

    The model then climbs. ``max_norm`` is not checked: see :func:`~torch.nn.utils.clip_grad_norm_`
    (:issue:`31367`).
    """
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, -4.0])

    assert clip_grad_norm_([weight], -10.0, foreach=foreach).item() == 5.0
    assert weight.grad.tolist() == pytest.approx([-6.0, 8.0])


@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "together", "one_by_one"])
def test_a_negative_value_sets_all_elements_to_it(foreach):
    """``clip_grad_value_`` with a negative ``clip_value`` sets every element of a gradient to it.

    The bounds are the wrong way round then, and no error says so. See
    :func:`~torch.nn.utils.clip_grad_value_`.
    """
    weight = nn.Parameter(torch.zeros(3))
    weight.grad = torch.tensor([3.0, -4.0, 0.5])

    clip_grad_value_([weight], -2.0, foreach)

    assert weight.grad.tolist() == [-2.0, -2.0, -2.0]


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "together", "one_by_one"])
def test_a_bound_of_zero_stops_training(clip, foreach):
    """A bound of 0 in ``clip_grad_norm_`` or ``clip_grad_value_`` makes all gradients 0; it is not "no
    limit".

    For no limit leave the call out, or pass infinity. See :func:`~torch.nn.utils.clip_grad_norm_`.
    """
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, -4.0])

    clip([weight], 0.0, foreach=foreach)

    assert weight.grad.abs().tolist() == [0.0, 0.0]


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "together", "one_by_one"])
def test_an_infinite_bound_changes_nothing(clip, foreach):
    """``clip_grad_norm_`` and ``clip_grad_value_`` with a bound of infinity leave finite gradients as they
    are.

    So ``clip_grad_norm_(parameters, math.inf)`` is a way to log the norm. A bound of NaN makes them NaN. See
    :func:`~torch.nn.utils.clip_grad_norm_`.
    """
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, -4.0])

    clip([weight], math.inf, foreach=foreach)
    assert weight.grad.tolist() == [3.0, -4.0]
    assert clip_grad_norm_([weight], math.inf).item() == 5.0

    clip([weight], math.nan, foreach=foreach)
    assert weight.grad.isnan().tolist() == [True, True]


@pytest.mark.since("2.1")
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "together", "one_by_one"])
def test_no_gradient_to_cut_is_an_error(foreach):
    """``clip_grad_value_``, unlike ``clip_grad_norm_``, raises ``RuntimeError`` if no parameter has a
    gradient.

    So it does when it is called for each parameter, or before the first ``backward()``. Leave out parameters
    whose ``grad`` is ``None``, and the call if none is left: :func:`~torch.nn.utils.clip_grad_value_`.
    """
    weight = nn.Parameter(torch.zeros(2))

    for given in (weight, [weight], []):
        with pytest.raises(RuntimeError, match="nested_tensorlist"):
            clip_grad_value_(given, 1.0, foreach)
        assert clip_grad_norm_(given, 1.0, foreach=foreach).item() == 0.0


@pytest.mark.before("2.1")
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "together", "one_by_one"])
def test_without_gradients_nothing_is_cut(foreach):
    """:func:`~torch.nn.utils.clip_grad_value_` does nothing if no parameter has a gradient."""
    weight = nn.Parameter(torch.zeros(2))

    for given in (weight, [weight], []):
        assert clip_grad_value_(given, 1.0, foreach) is None
    assert weight.grad is None


def test_each_layer_may_be_clipped_by_itself():
    """``clip_grad_norm_`` called layer by layer clips each to ``max_norm``; one call clips the norm of all.

    One call keeps the direction of the whole gradient. With several parameter groups, or several models,
    collect all parameters in one list.
    """
    found = []
    for together in (True, False):
        first, second = (nn.Parameter(torch.zeros(1)) for _ in range(2))
        first.grad, second.grad = torch.tensor([3.0]), torch.tensor([4.0])
        for parameters in [[first, second]] if together else [[first], [second]]:
            clip_grad_norm_(parameters, max_norm=2.5)
        found.append((first.grad.item(), second.grad.item()))

    assert found == [pytest.approx((1.5, 2.0)), pytest.approx((2.5, 2.5))]


def test_groups_are_not_clipped():
    """``clip_grad_norm_`` and ``clip_grad_value_`` raise ``AttributeError`` for ``optimizer.param_groups``.

    Take the parameters out: ``[p for group in optimizer.param_groups for p in group["params"]]``.
    """
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, -4.0])
    optimizer = torch.optim.SGD([weight], lr=1.0)
    for clip in (clip_grad_norm_, clip_grad_value_):
        with pytest.raises(AttributeError, match="'dict' object has no attribute 'grad'"):
            clip(optimizer.param_groups, 1.0)

    clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    assert weight.grad.tolist() == pytest.approx([0.6, -0.8])


@pytest.mark.since("2.1")
@pytest.mark.parametrize("foreach", [False, True])
def test_a_norm_in_float16_overflows(foreach):
    """``clip_grad_norm_`` of a float16 gradient with a norm above 65504 makes it 0, as its norm is infinite.

    The norm has the dtype of the gradients. In bfloat16 it is finite.
    """
    found = {}
    for dtype in (torch.float16, torch.bfloat16):
        weight = nn.Parameter(torch.zeros(2, dtype=dtype))
        weight.grad = torch.tensor([49152.0, -65504.0], dtype=dtype)
        norm = clip_grad_norm_([weight], max_norm=5.0, foreach=foreach)
        found[dtype] = (norm.item(), weight.grad.tolist())

    assert found[torch.float16] == (float("inf"), [0.0, 0.0])
    assert found[torch.bfloat16][0] == 81920.0
    assert found[torch.bfloat16][1] == pytest.approx([3.0, -4.0], rel=0.02)


@pytest.mark.parametrize("foreach", [False, True])
def test_complex_gradients_have_a_norm(foreach):
    """``clip_grad_norm_`` of a complex gradient takes absolute values, and keeps the angles."""
    weight = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    weight.grad = torch.tensor([3 - 4j, 12j])

    assert clip_grad_norm_([weight], max_norm=6.5, foreach=foreach).item() == pytest.approx(13.0)
    assert weight.grad.tolist() == pytest.approx([1.5 - 2j, 6j])
