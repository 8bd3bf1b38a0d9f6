"""The second forward of a checkpoint: what it must have in common with the first, and what tells them apart.

:func:`torch.utils.checkpoint.checkpoint` calls a module again in backward. *checkpointing* is about what that
means for the module.
"""

import contextlib

import pytest
import torch
from torch import nn
from torch.utils import checkpoint as checkpoints
from torch.utils.checkpoint import checkpoint


@pytest.mark.since("2.1")
def test_other_shapes_are_an_error():
    """``checkpoint(use_reentrant=False)`` raises ``CheckpointError`` if its second forward saves other
    shapes.

    Other dtypes and devices count too; values do not. Usual reasons are a random choice, or a mode or a list
    that changed in between. With ``determinism_check="none"`` the gradient may be wrong in silence, as here.
    """
    x, steps = torch.tensor([2.0, 3.0], requires_grad=True), []

    def forward(x):
        return steps.pop(0)(x).sin().sum()

    for other in (lambda x: x[:1], lambda x: x[None], torch.Tensor.double, lambda x: x.to("meta")):
        steps[:] = [torch.clone, other]
        with pytest.raises(checkpoints.CheckpointError, match="different metadata than during the forward"):
            checkpoint(forward, x, use_reentrant=False).backward()
    assert x.grad is None

    steps[:] = [torch.clone, lambda x: x[:1]]
    checkpoint(forward, x, use_reentrant=False, determinism_check="none").backward()
    assert torch.allclose(x.grad, torch.tensor([2.0, 2.0]).cos())

    x.grad, steps[:] = None, [lambda x: x + 1.0, lambda x: x + 5.0]
    checkpoint(forward, x, use_reentrant=False).backward()
    assert torch.allclose(x.grad, torch.tensor([7.0, 8.0]).cos())


@pytest.mark.before("2.1")
def test_other_shapes_were_not_noticed():
    """``checkpoint(use_reentrant=False)`` raises no error if its second forward saves tensors of other
    shapes.

    It computes with them, and the gradient is then wrong in silence.
    """
    x, shapes = torch.tensor([2.0, 3.0], requires_grad=True), [2, 1]

    def forward(x):
        return x[: shapes.pop(0)].sin().sum()

    checkpoint(forward, x, use_reentrant=False).backward()

    assert torch.allclose(x.grad, torch.tensor([2.0, 2.0]).cos())


def test_fewer_tensors_are_an_error():
    """``checkpoint(use_reentrant=False)`` raises ``RuntimeError`` if its second forward saves fewer tensors.

    Something that ``forward`` looks at has changed since the first.
    """
    x, depths = torch.tensor([2.0, 3.0], requires_grad=True), [2, 1]

    def forward(x):
        for _ in range(depths.pop(0)):
            x = x.sin()
        return x.sum()

    output = checkpoint(forward, x, use_reentrant=False)

    with pytest.raises(
        RuntimeError, match=r"different number of tensors was saved|saved by autograd multiple"
    ):
        output.backward()


@pytest.mark.parametrize(("reentrant", "enabled"), [(True, [False, True]), (False, [True, True])])
def test_grad_mode_of_both(reentrant, enabled):
    """The first forward of ``checkpoint(use_reentrant=True)`` runs without grad mode, the second one with it.

    With ``use_reentrant=False`` both run with grad: to tell them apart there, pass a ``context_fn``.
    """
    seen, x = [], torch.rand(2, requires_grad=True)

    class Net(nn.Module):
        def forward(self, x):
            seen.append(torch.is_grad_enabled())
            return x.sin()

    checkpoint(Net(), x, use_reentrant=reentrant).sum().backward()

    assert seen == enabled


@pytest.mark.since("2.1")
def test_a_context_for_each():
    """``context_fn`` of ``checkpoint(use_reentrant=False)`` gives a context for the first forward and the
    second.

    So a module learns in which of them it is, as for a counter that must not count twice.
    """
    current, seen = [], []

    class Net(nn.Module):
        def forward(self, x):
            seen.append(*current)
            return x.sin()

    @contextlib.contextmanager
    def named(name):
        current[:] = [name]
        yield

    def contexts():
        return named("first"), named("second")

    x = torch.rand(2, requires_grad=True)
    checkpoint(Net(), x, use_reentrant=False, context_fn=contexts).sum().backward()

    assert seen == ["first", "second"]


@pytest.mark.since("2.1")
def test_what_hooks_of_ones_own_save_is_kept():
    """``checkpoint(use_reentrant=False)`` does not recompute what ``forward`` saves in
    ``saved_tensors_hooks``.

    The innermost hooks get a tensor, and those of ``checkpoint(use_reentrant=False)`` never see it; what
    comes last is then not run again at all. So a part can be left out of a checkpoint, at the cost of its
    memory (:issue:`115255`). A reentrant one runs everything again. See
    :class:`torch.autograd.graph.saved_tensors_hooks`.
    """
    first, second, calls = nn.Linear(1, 1), nn.Linear(1, 1, bias=False), []
    first.register_forward_hook(lambda *_: calls.append("first"))
    second.register_forward_hook(lambda *_: calls.append("second"))

    def forward(x):
        x = first(x).sin()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t * 3, lambda t: t):
            return second(x)

    x, seen = torch.rand(1, requires_grad=True), {}
    for reentrant in (False, True):
        calls.clear()
        second.weight.grad = None
        out = checkpoint(forward, x, use_reentrant=reentrant)
        calls.append("backward")
        out.sum().backward()
        seen[reentrant] = [*calls, (second.weight.grad / first(x).sin()).item()]

    assert seen[False] == ["first", "second", "backward", "first", pytest.approx(3.0)]
    assert seen[True] == ["first", "second", "backward", "first", "second", pytest.approx(3.0)]
