"""Turning gradients off: what ``torch.no_grad`` and its relatives are about, and where they end.

They are about what is computed in a block, in one thread. Parameters keep their ``requires_grad``. Freezing,
which is about parameters, is in *freezing*, and ``torch.inference_mode`` in *inference_mode*.
"""

import threading

import pytest
import torch
from torch import nn


def test_a_call_alone_turns_nothing_off():
    """``torch.no_grad()`` on a line of its own changes nothing; ``torch.set_grad_enabled(False)`` does at
    once.

    The former needs ``with``, or stands as a decorator. The latter holds until it is set again.
    """
    torch.no_grad()
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    after = torch.is_grad_enabled()
    torch.set_grad_enabled(True)

    assert (before, after) == (True, False)


def test_parameters_made_without_gradients_require_them():
    """A module built under ``torch.no_grad()`` has parameters that require grad and are trained later.

    So building or loading a model in such a block does not freeze it.
    """
    with torch.no_grad():
        layer = nn.Linear(2, 1)
        inside = layer(torch.rand(2))

    layer(torch.tensor([3.0, 5.0])).backward()

    assert (inside.requires_grad, layer.weight.requires_grad) == (False, True)
    assert layer.weight.grad.tolist() == [[3.0, 5.0]]


def test_another_thread_has_gradients():
    """``torch.no_grad()`` and ``torch.inference_mode()`` hold in their own thread only.

    A model called in a thread of a pool builds a graph again: enter the context in the function it runs.
    """
    layer, seen = nn.Linear(2, 1), []

    def work():
        seen.append(layer(torch.rand(2)).requires_grad)

    for context in (torch.no_grad, torch.inference_mode):
        with context():
            work()
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()

    assert seen == [False, True] * 2


def test_forward_may_be_decorated():
    """A ``forward`` decorated by ``@torch.no_grad()`` returns outputs without a graph; other methods do
    not.

    The input's gradient ends there too. The backward of a loss raises ``RuntimeError`` if nothing else
    requires grad.
    """

    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        @torch.no_grad()
        def forward(self, x):
            return self.layer(x)

        def trained(self, x):
            return self.layer(x)

    net, x = Frozen(), torch.rand(2, requires_grad=True)

    assert (net(x).grad_fn, net(x).requires_grad, torch.is_grad_enabled()) == (None, False, True)
    assert net.trained(x).requires_grad is True
    assert torch.equal(net(x), net.trained(x))


@pytest.mark.since("2.1")
def test_a_decorator_needs_no_parentheses():
    """``@torch.no_grad`` without parentheses decorates a function as well."""

    @torch.no_grad
    def compute(x):
        return x * 2

    assert compute(torch.ones(1, requires_grad=True)).requires_grad is False
    assert torch.is_grad_enabled() is True


def test_a_generator_may_be_decorated():
    """A generator decorated by ``@torch.no_grad()`` computes without gradients; its consumer does not.

    Between two values the mode of the caller is back.
    """

    @torch.no_grad()
    def batches():
        yield torch.is_grad_enabled()
        yield torch.is_grad_enabled()

    walk = batches()

    assert [next(walk), torch.is_grad_enabled(), next(walk)] == [False, True, False]


def test_gradients_may_be_turned_on_inside():
    """``torch.enable_grad()`` inside ``torch.no_grad()`` records again, but not what came before.

    The gradient reaches the leaves used inside; a result of the outer block is a constant.
    """
    layer, x = nn.Linear(2, 1, bias=False), torch.tensor([3.0, 5.0])

    with torch.no_grad():
        scale = layer.weight.sum() * 2
        with torch.enable_grad():
            result = layer(x) * scale

    result.backward()
    torch.testing.assert_close(layer.weight.grad, (x * scale)[None])


def test_backward_hooks_do_not_run():
    """Under ``torch.no_grad()`` forward hooks of a module run, and full backward hooks never do."""
    layer, seen = nn.Linear(2, 1), []
    layer.register_forward_hook(lambda *given: seen.append("forward"))
    layer.register_full_backward_hook(lambda *given: seen.append("backward"))

    with torch.no_grad():
        layer(torch.rand(2))
    assert seen == ["forward"]

    layer(torch.rand(2)).backward()
    assert seen == ["forward", "forward", "backward"]


def test_a_step_by_hand_needs_no_grad():
    """Under ``torch.no_grad()``, ``weight -= step`` changes a parameter in place; outside it raises
    ``RuntimeError``.

    ``layer.weight = layer.weight - step`` is another thing: a tensor that is no parameter, which raises
    ``TypeError``.
    """
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 3.0)
    weight = layer.weight

    with torch.no_grad():
        weight -= 1.0

    assert (layer.weight is weight, weight.item(), weight.is_leaf) == (True, 2.0, True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place"):
        weight -= 1.0
    with (
        torch.no_grad(),
        pytest.raises(TypeError, match=r"cannot assign .* as parameter 'weight'"),
    ):
        layer.weight = layer.weight - 1.0
