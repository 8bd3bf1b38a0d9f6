"""Results that a module keeps for its next call: hidden states, memories, membrane potentials.

What ``forward`` computes has a graph behind it. A module that keeps it and computes with it again ties its
calls together: backward then goes through all of them.
"""

import contextlib

import pytest
import torch
from torch import nn


def test_the_second_backward_reaches_the_first_call():
    """``backward()`` raises ``RuntimeError`` if ``forward`` uses a result kept from before the last
    ``backward()``.

    It says "Trying to backward through the graph a second time". Keep the result without its graph, as
    ``self.state = out.detach()``: then each call learns from itself alone.
    """

    class Cell(nn.Linear):
        def forward(self, x):
            self.state = self.state * 0.5 + super().forward(x)
            return self.state

    for keep, detached in ((setattr, False), (nn.Module.register_buffer, False), (setattr, True)):
        cell = Cell(1, 1, bias=False)
        keep(cell, "state", torch.zeros(1))
        cell(torch.tensor([3.0])).backward()
        if detached:
            cell.state = cell.state.detach()
            cell(torch.tensor([5.0])).backward()
        else:
            with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
                cell(torch.tensor([5.0])).backward()

    assert cell.weight.grad.tolist() == [[3.0 + 5.0]]


def test_one_backward_goes_through_all_calls():
    """If a module keeps its state between calls, one ``backward()`` goes back through all of these calls.

    So it is that a module learns over time. The graph of all calls stays in memory until then.
    """

    class Cell(nn.Linear):
        def forward(self, x):
            self.state = self.state * 0.5 + super().forward(x)

    for keep in (setattr, nn.Module.register_buffer):
        cell = Cell(1, 1, bias=False)
        keep(cell, "state", torch.zeros(1))
        for value in (3.0, 5.0, 7.0):
            cell(torch.tensor([value]))

        cell.state.backward()

        assert cell.weight.grad.tolist() == [[3.0 / 4 + 5.0 / 2 + 7.0]]


@pytest.mark.parametrize(
    ("reset", "cut"),
    [
        (lambda cell: cell.state.zero_(), False),
        (lambda cell: cell.state.data.zero_(), False),
        (lambda cell: cell.load_state_dict({"state": torch.zeros(1)}, strict=False), False),
        (lambda cell: cell.state.detach_().zero_(), True),
        (lambda cell: setattr(cell, "state", torch.zeros(1)), True),
    ],
    ids=["zero_", "data", "load_state_dict", "detach_", "assign"],
)
def test_zeroing_a_state_does_not_cut_its_graph(reset, cut):
    """``zero_()`` on a kept state does not cut its graph: the next ``backward()`` raises ``RuntimeError``.

    Nor does ``load_state_dict`` into it. The values are new, the history is not. Assign a new tensor, or call
    ``detach_()``.
    """

    class Cell(nn.Linear):
        def forward(self, x):
            self.state = self.state * 0.5 + super().forward(x)
            return self.state

    cell = Cell(1, 1, bias=False)
    cell.register_buffer("state", torch.zeros(1))
    cell(torch.tensor([3.0])).backward()

    reset(cell)

    assert cell.state.tolist() == [0.0]
    assert (cell.state.grad_fn is None) is cut
    expected = pytest.raises(RuntimeError, match="backward through the graph a second time")
    with contextlib.nullcontext() if cut else expected:
        cell(torch.tensor([5.0])).backward()


def test_a_retained_graph_does_not_survive_a_step():
    """If a state is kept between calls, ``backward(retain_graph=True)`` after ``step()`` raises
    ``RuntimeError``.

    The step changed weights in place that the retained graph needs: "modified by an inplace operation". That
    is so once backward reaches a call whose input had a graph: here in the third.
    """

    class Cell(nn.Linear):
        def forward(self, x):
            self.state = super().forward(self.state + x)
            return self.state

    cell = Cell(1, 1, bias=False)
    cell.state = torch.zeros(1)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.5)
    for value in (3.0, 5.0):
        cell(torch.tensor([value])).backward(retain_graph=True)
        optimizer.step()

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        cell(torch.tensor([7.0])).backward(retain_graph=True)


def test_a_state_written_under_no_grad_has_no_graph():
    """A buffer that ``forward`` fills by ``copy_`` under ``no_grad`` has the values, and no graph.

    It stays the same tensor, too. Return the result, not the buffer, from which there is no way back.
    """

    class Cell(nn.Linear):
        def forward(self, x):
            out = self.state * 0.5 + super().forward(x)
            with torch.no_grad():
                self.state.copy_(out)
            return out

    cell, state = Cell(1, 1, bias=False), torch.zeros(1)
    cell.register_buffer("state", state)
    nn.init.constant_(cell.weight, 2.0)
    for value in (3.0, 5.0):
        cell(torch.tensor([value])).backward()

    assert cell.state is state
    assert (state.tolist(), state.requires_grad) == ([3.0 + 10.0], False)
    assert cell.weight.grad.tolist() == [[3.0 + 5.0]]
