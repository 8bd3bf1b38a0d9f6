"""Two stopwatches on the same call.

pytest-benchmark takes the times of this part. PyTorch has a stopwatch of its own,
:class:`torch.utils.benchmark.Timer`. Each case here is timed by both in turn, so that a report can show them
side by side.
"""

import pytest
import torch
from torch import nn


@pytest.mark.benchmark(group="two stopwatches, state_dict()")
@pytest.mark.parametrize(("shape", "size"), [("wide", 10), ("wide", 100), ("branching", 1000)])
def bench_timing_a_state_dict(benchmark, twice, tree, size):
    """``state_dict`` of a tree under both stopwatches."""
    state = twice(benchmark, tree.state_dict)

    assert [value.item() for value in state.values()] == [0.25] * size


@pytest.mark.benchmark(group="two stopwatches, Linear(256, 256)")
@pytest.mark.parametrize("batch", [8, 512])
def bench_timing_a_layer(benchmark, twice, batch):
    """A call of a linear layer of 256 by 256 under both stopwatches."""
    layer, x = nn.Linear(256, 256), torch.rand(batch, 256)

    found = twice(benchmark, lambda: layer(x))

    torch.testing.assert_close(found, x @ layer.weight.T + layer.bias)
