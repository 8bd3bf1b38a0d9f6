"""L-BFGS: an optimizer that calls the closure several times in a step.

Each of its iterations is a step along a direction that it works out from the gradients of the last ones. What
it takes for parameters is in *optimizer_options*, that it wants a closure in *optimizer_state*.
"""

import pytest
import torch
from torch import nn
from torch.optim import LBFGS


@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_the_first_direction_is_short(rate):
    """The first iteration of ``LBFGS`` goes along the gradient, ``lr`` in all: elements move by ``lr``
    together.

    Where the absolute gradients add up to less than 1, it moves by ``lr`` times the gradient instead.
    """
    found = []
    for start in (4.0, 0.125):
        weight = nn.Parameter(torch.tensor([start, -start / 4]))
        optimizer = LBFGS([weight], lr=rate, max_iter=1)

        def closure(weight=weight, optimizer=optimizer):
            optimizer.zero_grad()
            loss = weight[0] ** 2 + 12 * weight[1] ** 2
            loss.backward()
            return loss

        optimizer.step(closure)
        found.append((weight.grad.tolist(), (torch.tensor([start, -start / 4]) - weight).tolist()))

    assert found[0] == ([8.0, -24.0], pytest.approx([rate * 0.25, rate * -0.75]))
    assert found[1] == ([0.25, -0.75], pytest.approx([rate * 0.25, rate * -0.75]))


@pytest.mark.parametrize(
    ("rate", "places"),
    [(1.0, [4.0, 3.0, 0.0]), (0.5, [4.0, 3.5, 1.75, 0.875])],
    ids=["full", "half"],
)
def test_the_second_direction_knows_the_curvature(rate, places):
    """The second iteration of ``LBFGS`` ends in the minimum of a parabola if ``lr`` is 1, half way if it is
    0.5.

    From two gradients it knows the curvature; all iterations after the first go ``lr`` times that way.
    """
    weight, seen = nn.Parameter(torch.tensor([4.0])), []
    optimizer = LBFGS([weight], lr=rate, max_iter=20)

    def closure():
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward()
        seen.append(weight.item())
        return loss

    optimizer.step(closure)
    assert seen[: len(places)] == places


def test_the_gradient_left_behind_is_older():
    """After a step of ``LBFGS`` that ends at ``max_iter``, ``grad`` is not that of the weights it left.

    The closure is called before each iteration, and not after the last. Nor is the loss that it returns
    that of the end: call the closure once more.
    """
    weight, seen = nn.Parameter(torch.tensor([4.0])), []
    optimizer = LBFGS([weight], max_iter=1)

    def closure():
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward()
        seen.append(weight.item())
        return loss

    assert optimizer.step(closure).item() == 16.0
    assert (seen, weight.tolist(), weight.grad.tolist()) == ([4.0], [3.0], [8.0])


def test_the_next_step_goes_on():
    """A second ``LBFGS.step`` goes on with the directions of the first, and ``n_iter`` in the state counts
    on.

    So a loss that changes between the steps, with the batch, misleads it: use the same data for each step.
    """
    weight, places = nn.Parameter(torch.tensor([4.0])), []
    optimizer = LBFGS([weight], max_iter=1)

    def closure():
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)
        places.append(weight.item())
    state = optimizer.state[weight]

    assert places == [3.0, 0.0]
    assert (state["n_iter"], state["func_evals"], len(state["old_dirs"])) == (2, 2, 1)


def test_a_small_gradient_stops_it():
    """``LBFGS.step`` changes nothing if no element of the gradient is larger than ``tolerance_grad``."""
    found = {}
    for tolerance in (8.0, 7.9):
        weight, calls = nn.Parameter(torch.tensor([1.0, -4.0])), []
        optimizer = LBFGS([weight], tolerance_grad=tolerance, max_iter=1)

        def closure(weight=weight, optimizer=optimizer, calls=calls):
            optimizer.zero_grad()
            loss = (weight * weight).sum()
            loss.backward()
            calls.append(loss.item())
            return loss

        optimizer.step(closure)
        found[tolerance] = (calls, weight.tolist())

    assert found == {8.0: ([17.0], [1.0, -4.0]), 7.9: ([17.0], pytest.approx([0.8, -3.2]))}


def test_a_line_search_mends_a_large_rate():
    """``LBFGS`` with a large ``lr`` makes the loss rise, unless ``line_search_fn="strong_wolfe"`` is given.

    Without it each iteration is taken as it comes. With it the closure is called more often, and ``lr`` is
    the length that is tried first.
    """
    found = {}
    for search in (None, "strong_wolfe"):
        weight, losses = nn.Parameter(torch.tensor([4.0])), []
        optimizer = LBFGS([weight], lr=3.0, max_iter=8, line_search_fn=search)

        def closure(weight=weight, optimizer=optimizer, losses=losses):
            optimizer.zero_grad()
            loss = (weight * weight).sum()
            loss.backward()
            losses.append(loss.item())
            return loss

        optimizer.step(closure)
        found[search] = (losses, weight.item())

    assert found[None][0][:4] == [16.0, 1.0, 4.0, 16.0]
    assert abs(found[None][1]) > 4.0
    assert found["strong_wolfe"][1] == pytest.approx(0.0, abs=1e-3)


def test_one_line_search_is_known():
    """``LBFGS`` raises ``RuntimeError`` in ``step`` for a ``line_search_fn`` other than ``"strong_wolfe"``.

    The constructor takes any.
    """
    weight = nn.Parameter(torch.tensor([4.0]))
    optimizer = LBFGS([weight], line_search_fn="armijo")
    weight.grad = torch.tensor([8.0])

    with pytest.raises(RuntimeError, match=r"^only 'strong_wolfe' is supported$"):
        optimizer.step(lambda: torch.tensor(16.0))
    assert weight.tolist() == [4.0]


@pytest.mark.since("2.14")
@pytest.mark.parametrize("search", [None, "strong_wolfe"], ids=["plain", "line_search"])
def test_lbfgs_may_maximize(search):
    """``LBFGS(maximize=True)`` climbs, and returns the loss of the closure with its own sign."""
    weight = nn.Parameter(torch.tensor([4.0]))
    optimizer = LBFGS([weight], maximize=True, line_search_fn=search)

    def closure():
        optimizer.zero_grad()
        loss = 5.0 - (weight * weight).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == -11.0
    assert weight.item() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.before("2.14")
def test_lbfgs_did_not_maximize():
    """``LBFGS`` raises ``TypeError`` for ``maximize``: return the negative loss from the closure."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'maximize'"):
        LBFGS([nn.Parameter(torch.tensor([4.0]))], maximize=True)


def test_a_step_calls_the_closure_so_many_times():
    """A step of ``LBFGS`` calls its closure ``max_iter`` times, but ``max_eval`` times at most: 20 and 25.

    So it is without a line search, and unless the loss has converged. By default ``max_eval`` is a quarter
    more than ``max_iter``. See :class:`torch.optim.LBFGS`.
    """
    calls = {}
    for options in ({}, {"max_iter": 4}, {"max_iter": 8, "max_eval": 3}, {"max_iter": 1}):
        x, count = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64)), [0]
        never = {"tolerance_grad": 0, "tolerance_change": 0}
        optimizer = torch.optim.LBFGS([x], lr=0.01, **never, **options)

        def closure(x=x, count=count, optimizer=optimizer):
            count[0] += 1
            optimizer.zero_grad()
            loss = (x**4).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        calls[str(options)] = (count[0], optimizer.param_groups[0]["max_eval"])

    assert list(calls.values()) == [(20, 25), (4, 5), (3, 3), (1, 1)]
