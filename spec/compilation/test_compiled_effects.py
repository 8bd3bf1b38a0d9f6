"""What a compiled ``forward`` does besides computing its output.

A graph only computes. What ``forward`` changes around it, such as a list outside of the module, the compiler
writes down and does after the graph has run. What forward changes on the module itself is in
*compiled_changes*.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
def test_what_is_outside_of_the_class_changes_too():
    """A compiled ``forward`` also changes a list around it, and a dict and a counter of its class.

    It does so in each call. See :func:`torch.compile`.
    """
    seen = []

    class Net(nn.Module):
        calls = 0

        def forward(self, x):
            seen.append(x + 1)
            Net.latest["x"] = x
            Net.calls += 1
            return x * 2

    Net.latest = {}
    compiled = torch.compile(Net(), backend="eager")
    results = [compiled(torch.tensor(value)).item() for value in (3.0, 4.0)]

    assert results == [6.0, 8.0]
    assert [value.item() for value in seen] == [4.0, 5.0]
    assert Net.latest["x"].item() == 4.0
    assert Net.calls == 2


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
@pytest.mark.before("2.12")
def test_what_was_appended_to_a_list_of_the_class_was_lost():
    """What a compiled ``forward`` appends to a list of the module's class is lost, without a warning.

    See :func:`torch.compile` (:issue:`169253`).
    """

    class Net(nn.Module):
        def forward(self, x):
            Net.seen.append(x + 1)
            return x

    Net.seen = []
    compiled = torch.compile(Net(), backend="eager")
    for value in (3.0, 4.0):
        compiled(torch.tensor(value))

    assert Net.seen == []
