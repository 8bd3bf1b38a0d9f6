"""Anomaly mode: what it finds, and what it does not.

:func:`torch.autograd.set_detect_anomaly` looks for NaN in the gradients that each function returns, and keeps
the place in forward that made it. An example of each is in *not_a_number* and *changes_in_place*.
"""

import re
import warnings

import pytest
import torch
from torch import nn


def test_a_loss_of_nan_is_not_found():
    """``torch.autograd.detect_anomaly()`` does not look at forward: a loss that is NaN raises no error.

    Only gradients are examined, and those of a NaN may be finite: assert ``loss.isfinite().all()`` yourself
    (:issue:`160016`).
    """
    weight = nn.Parameter(torch.tensor([2.0]))
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        watched = torch.autograd.detect_anomaly()
    with watched:
        loss = torch.log(-weight).sum()
        loss.backward()

    assert loss.isnan().item()
    assert weight.grad.tolist() == [0.5]


def test_the_last_operation_is_named_first():
    """``set_detect_anomaly`` names the operation nearest to the loss with a gradient of NaN, not the first.

    ``backward()`` goes from the loss on, and stops there.
    """
    weight = nn.Parameter(torch.tensor([2.0]))
    with torch.autograd.set_detect_anomaly(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inner = torch.sqrt(weight - 5.0)
        loss = torch.exp(inner).sum()
        with pytest.raises(
            RuntimeError, match=r"^Function 'ExpBackward0' returned nan values in its 0th output"
        ):
            loss.backward()

    assert inner.isnan().item()
    assert weight.grad is None


def test_forward_has_to_be_watched():
    """Anomaly mode turned on after forward finds NaN in ``backward()``, but not the line that led to it.

    The warning says that there is no information on forward.
    """
    weight = nn.Parameter(torch.tensor([0.0]))
    loss = (torch.sqrt(weight) * 0).sum()
    with (
        torch.autograd.set_detect_anomaly(True),
        pytest.warns(UserWarning, match="No forward pass information available"),
        pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values"),
    ):
        loss.backward()


def test_anomaly_mode_is_a_switch_or_a_context():
    """``torch.autograd.set_detect_anomaly`` sets anomaly mode at once; in ``with`` it is put back at the end.

    ``torch.autograd.detect_anomaly`` is the context alone, and warns that it is slow. Both are off by
    default.
    """
    seen = [torch.is_anomaly_enabled()]
    torch.autograd.set_detect_anomaly(True, check_nan=False)
    seen.append((torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()))
    torch.autograd.set_detect_anomaly(False)
    seen.append(torch.is_anomaly_enabled())
    with torch.autograd.set_detect_anomaly(True):
        seen.append((torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()))
    seen.append(torch.is_anomaly_enabled())
    with pytest.warns(
        UserWarning, match=r"^Anomaly Detection has been enabled. This mode will increase the runtime"
    ):
        torch.autograd.detect_anomaly()

    assert seen == [False, (True, False), False, (True, True), False]
    assert not torch.is_anomaly_enabled()


def test_a_function_of_ones_own_is_named():
    """Anomaly mode names an ``autograd.Function`` of one's own whose ``backward`` returns NaN."""

    class Spoilt(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * torch.nan

    weight = nn.Parameter(torch.tensor([2.0]))
    with torch.autograd.set_detect_anomaly(True), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(
            RuntimeError, match="Function 'SpoiltBackward' returned nan values in its 0th output"
        ):
            Spoilt.apply(weight).sum().backward()

    (message,) = [str(each.message) for each in caught if "Error detected" in str(each.message)]
    assert re.search(r"Error detected in SpoiltBackward\. Traceback of forward call", message)
    assert "Spoilt.apply(weight)" in message
