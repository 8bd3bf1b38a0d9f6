"""Selective checkpoints: which results are kept and which are computed again.

A policy is asked for each operation in a :func:`~torch.utils.checkpoint.checkpoint`, and says whether its
result is kept for backward. Made into a ``context_fn`` by
:func:`~torch.utils.checkpoint.create_selective_checkpoint_contexts`.
"""

import functools

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint


@pytest.mark.since("2.5")
@pytest.mark.parametrize(("saved", "times"), [("addmm", [1, 2]), ("sigmoid", [2, 1])])
def test_what_is_saved_does_not_run_again(saved, times):
    """An operation that ``create_selective_checkpoint_contexts`` is told to save runs once, the others twice.

    ``forward`` as a whole is still called again, with its hooks and side effects. A list of operations says
    what is saved; a policy returns a :class:`~torch.utils.checkpoint.CheckpointPolicy`. See
    :func:`torch.utils.checkpoint.create_selective_checkpoint_contexts`.
    """
    layer, calls, ran, x = nn.Linear(2, 3), [], [], torch.rand(4, 2, requires_grad=True)
    operations = [getattr(torch.ops.aten, saved).default]
    contexts = functools.partial(torch.utils.checkpoint.create_selective_checkpoint_contexts, operations)

    def forward(x):
        calls.append("forward")
        return layer(x).sigmoid().sin()

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            ran.append(operation.overloadpacket.__name__)
            return operation(*args, **(kwargs or {}))

    with Record():
        checkpoint(forward, x, use_reentrant=False, context_fn=contexts).sum().backward()

    assert [ran.count("addmm"), ran.count("sigmoid")] == times
    assert calls == ["forward"] * 2


@pytest.mark.since("2.13")
def test_a_policy_is_asked_in_the_first_forward():
    """The policy of ``create_selective_checkpoint_contexts`` is asked in the first forward alone.

    ``is_recompute`` of its context is always ``False``. A policy that counts operations, to save each second
    one, needs one counter. See :func:`torch.utils.checkpoint.create_selective_checkpoint_contexts`.
    """
    asked, x = [], torch.rand(4, requires_grad=True)

    def policy(context, operation, *args, **kwargs):
        asked.append((context.is_recompute, operation.overloadpacket.__name__))
        return torch.utils.checkpoint.CheckpointPolicy.PREFER_RECOMPUTE

    contexts = functools.partial(torch.utils.checkpoint.create_selective_checkpoint_contexts, policy)
    output = checkpoint(lambda x: x.sigmoid().sin(), x, use_reentrant=False, context_fn=contexts)
    output.sum().backward()

    assert asked == [(False, "sigmoid"), (False, "sin")]


@pytest.mark.since("2.5")
@pytest.mark.before("2.13")
def test_a_policy_was_asked_in_both_forwards():
    """The policy of ``create_selective_checkpoint_contexts`` is asked in both forwards.

    In the second, ``is_recompute`` of its context is ``True``. Its answers have to agree: a policy that
    counts needs a counter for each.
    """
    asked, x = [], torch.rand(4, requires_grad=True)

    def policy(context, operation, *args, **kwargs):
        asked.append((context.is_recompute, operation.overloadpacket.__name__))
        return torch.utils.checkpoint.CheckpointPolicy.PREFER_RECOMPUTE

    contexts = functools.partial(torch.utils.checkpoint.create_selective_checkpoint_contexts, policy)
    output = checkpoint(lambda x: x.sigmoid().sin(), x, use_reentrant=False, context_fn=contexts)
    output.sum().backward()

    assert (False, "sigmoid") in asked
    assert (True, "sigmoid") in asked


@pytest.mark.since("2.5")
def test_a_saved_result_may_not_be_changed():
    """If a result that a selective ``checkpoint`` saves is changed in place, ``backward()`` raises
    ``RuntimeError``.

    With ``allow_cache_entry_mutation=True`` it does not, and gradients may be wrong: then the changed value
    is what the second forward gets, and changes again (:issue:`96319`). See
    :func:`torch.utils.checkpoint.create_selective_checkpoint_contexts`.
    """
    make, saved = torch.utils.checkpoint.create_selective_checkpoint_contexts, [torch.ops.aten.sin.default]
    refused = functools.partial(make, saved)
    allowed = functools.partial(make, saved, allow_cache_entry_mutation=True)

    def forward(x):
        return x.sin().mul_(2).exp()

    x, y = (torch.tensor([0.5], requires_grad=True) for _ in range(2))
    output = checkpoint(forward, x, use_reentrant=False, context_fn=refused)
    with pytest.raises(RuntimeError, match="has been mutated"):
        output.backward()

    forward(x).backward()
    checkpoint(forward, y, use_reentrant=False, context_fn=allowed).backward()
    assert y.grad.item() != pytest.approx(x.grad.item(), rel=0.01)


@pytest.mark.since("2.5")
def test_contexts_need_the_form_without_reentry():
    """``checkpoint(use_reentrant=True)`` raises ``ValueError`` for a ``context_fn``.

    So selective checkpoints need ``use_reentrant=False``. See :func:`torch.utils.checkpoint.checkpoint`.
    """
    x, saved = torch.rand(4, requires_grad=True), [torch.ops.aten.sin.default]
    contexts = functools.partial(torch.utils.checkpoint.create_selective_checkpoint_contexts, saved)

    with pytest.raises(ValueError, match="is only supported when use_reentrant=False"):
        checkpoint(torch.sin, x, use_reentrant=True, context_fn=contexts)
    assert torch.equal(checkpoint(torch.sin, x, use_reentrant=False, context_fn=contexts), x.sin())
