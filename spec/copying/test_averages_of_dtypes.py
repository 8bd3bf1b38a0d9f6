"""Averages of a model whose dtype changes, and of values that are no floats.

The average keeps the dtypes that the model had when it was made. What it does otherwise is in *averages*.
"""

import pytest
import torch
from torch import nn
from torch.optim import swa_utils
from torch.optim.swa_utils import AveragedModel


@pytest.mark.since("2.12")
def test_a_model_that_is_cast_later_is_averaged():
    """By default ``AveragedModel`` averages a model cast to bfloat16 later; ``get_swa_multi_avg_fn`` raises.

    The average keeps its own dtype.
    """
    for options in ({}, {"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}):
        net = nn.Linear(1, 1, bias=False)
        averaged = AveragedModel(net, **options)
        nn.init.constant_(net.weight, 2.0)
        averaged.update_parameters(net)

        nn.init.constant_(net.bfloat16().weight, 4.0)
        if options:
            with pytest.raises(RuntimeError, match="expected dtype float"):
                averaged.update_parameters(net)
        else:
            averaged.update_parameters(net)
            assert (averaged.module.weight.item(), averaged.module.weight.dtype) == (3.0, torch.float32)


@pytest.mark.since("2.1")
@pytest.mark.before("2.12")
def test_a_model_that_is_cast_later_was_refused():
    """``AveragedModel.update_parameters`` raises ``RuntimeError`` once the model is cast to bfloat16.

    Cast the average as well, or give an ``avg_fn``.
    """
    net = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(net)
    averaged.update_parameters(net)

    with pytest.raises(RuntimeError, match="must be on the same device and the same dtype"):
        averaged.update_parameters(net.bfloat16())


@pytest.mark.since("2.1")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_an_exponential_average_wants_one_dtype(dtype):
    """``AveragedModel`` with ``get_ema_multi_avg_fn`` raises ``RuntimeError`` once the model is cast.

    With ``avg_fn=get_ema_avg_fn(decay)`` it works, and the average keeps its dtype.
    """
    for options in ("avg_fn", "multi_avg_fn"):
        net = nn.Linear(1, 1, bias=False)
        averaged = AveragedModel(net, **{options: getattr(swa_utils, f"get_ema_{options}")(0.25)})
        nn.init.constant_(net.weight, 8.0)
        averaged.update_parameters(net)

        nn.init.constant_(net.to(dtype).weight, 4.0)
        if options == "multi_avg_fn":
            with pytest.raises(RuntimeError, match=r"the same dtype|expected dtype float"):
                averaged.update_parameters(net)
        else:
            averaged.update_parameters(net)
            assert (averaged.module.weight.item(), averaged.module.weight.dtype) == (5.0, torch.float32)


def test_whole_numbers_are_averaged_and_cut():
    """``AveragedModel(use_buffers=True)`` averages an integer buffer as well, and cuts off the fraction."""
    net = nn.Linear(1, 1)
    net.register_buffer("steps", torch.tensor(0))
    averaged = AveragedModel(net, use_buffers=True)

    seen = []
    for steps in (4, 9, 20):
        net.steps.fill_(steps)
        averaged.update_parameters(net)
        seen.append(averaged.module.steps.item())

    assert seen == [4, 6, 10]
    assert averaged.module.steps.dtype == torch.int64


def test_a_mask_cannot_be_averaged():
    """``AveragedModel(use_buffers=True)`` raises ``RuntimeError`` in its second update for a bool buffer."""
    net = nn.Linear(1, 1)
    net.register_buffer("mask", torch.tensor([True, False]))
    averaged = AveragedModel(net, use_buffers=True)
    averaged.update_parameters(net)

    with pytest.raises(RuntimeError, match="Subtraction, the `-` operator, with two bool tensors"):
        averaged.update_parameters(net)
