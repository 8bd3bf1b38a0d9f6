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
