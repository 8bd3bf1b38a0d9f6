"""Activation checkpointing: a module whose forward runs again in backward.

:func:`torch.utils.checkpoint.checkpoint` keeps the inputs of a module in place of what it computes on the
way, and calls the module a second time when backward needs that. Whatever a call does besides computing is
done twice. There are two kinds, ``use_reentrant=True`` and ``False``; *ddp_checkpointing*, in the part on
parallel modules, is about both under DistributedDataParallel.
"""

import math
import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not_reentrant"])
def test_forward_runs_again_in_backward(reentrant, training):
    """``checkpoint(module, x)`` computes the same as ``module(x)``, and calls ``forward`` again in
    ``backward()``.

    Outputs and gradients are those of a plain call. It takes more time, and less memory. See
    :func:`torch.utils.checkpoint.checkpoint`.
    """
    net, plain = nn.Sequential(nn.Linear(2, 3), nn.Dropout()), torch.rand(4, 2, requires_grad=True)
    x, calls = plain.detach().requires_grad_(), []
    torch.manual_seed(3)
    result = net.train(training)(plain)
    result.sum().backward()
    expected, net[0].weight.grad = net[0].weight.grad, None
    net.register_forward_pre_hook(lambda net, args: calls.append("forward"))

    torch.manual_seed(3)
    output = checkpoint(net, x, use_reentrant=reentrant)
    calls.append("backward")
    output.sum().backward()

    assert calls == ["forward", "backward", "forward"]
    assert torch.equal(output, result)
    assert torch.equal(net[0].weight.grad, expected)
    assert torch.equal(x.grad, plain.grad)


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not_reentrant"])
def test_batch_norm_counts_a_checkpointed_batch_twice(reentrant):
    """``BatchNorm`` under ``checkpoint`` updates its running statistics twice per step (:issue:`96136`).

    ``num_batches_tracked`` grows by 2, and ``running_mean`` moves twice. Outputs and gradients in training
    are right; evaluation differs from a model trained without. With a ``momentum`` of ``1 - sqrt(1 - m)`` two
    updates weigh as much as one with ``m``. See :func:`torch.utils.checkpoint.checkpoint`.
    """
    norm, plain, slow = (nn.BatchNorm1d(1, momentum=m) for m in (0.5, 0.5, 1 - math.sqrt(0.5)))
    x = torch.tensor([[5.0], [8.0], [11.0]], requires_grad=True)

    output = checkpoint(norm, x, use_reentrant=reentrant)
    assert norm.num_batches_tracked.item() == 1
    assert [norm.running_mean.item(), norm.running_var.item()] == pytest.approx([4.0, 5.0])

    output.exp().sum().backward()
    assert norm.num_batches_tracked.item() == 2
    assert [norm.running_mean.item(), norm.running_var.item()] == pytest.approx([6.0, 7.0])

    gradient, x.grad, expected = x.grad, None, plain(x)
    expected.exp().sum().backward()
    assert torch.equal(output, expected)
    assert torch.equal(gradient, x.grad)

    checkpoint(slow, x, use_reentrant=reentrant).sum().backward()
    assert [slow.running_mean.item(), slow.running_var.item()] == pytest.approx([4.0, 5.0])


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not_reentrant"])
def test_hooks_under_a_checkpoint(reentrant):
    """Forward hooks of a submodule run again in the backward of ``checkpoint``; full backward hooks run once.

    A hook that counts calls or collects activations sees each twice. See
    :func:`torch.utils.checkpoint.checkpoint`.
    """
    net, calls = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), []
    net[0].register_forward_pre_hook(lambda layer, args: calls.append("pre"))
    net[0].register_forward_hook(lambda layer, args, output: calls.append("forward"))
    net[0].register_full_backward_hook(lambda layer, into, out: calls.append("backward"))

    checkpoint(net, torch.rand(4, 2, requires_grad=True), use_reentrant=reentrant).sum().backward()

    assert calls == ["pre", "forward", "pre", "forward", "backward"]


@pytest.mark.since("2.1")
def test_recomputation_stops_early():
    """The second forward of ``checkpoint(use_reentrant=False)`` stops once it has all that backward needs.

    So the forward hooks of the module itself are not run again, unlike its pre-hooks. With
    ``use_reentrant=True`` both are. See :func:`torch.utils.checkpoint.checkpoint` (:pull:`90105`).
    """
    for reentrant, again in ((True, ["pre", "forward"]), (False, ["pre"])):
        layer, calls = nn.Linear(2, 3), []
        layer.register_forward_pre_hook(lambda layer, args, calls=calls: calls.append("pre"))
        layer.register_forward_hook(lambda layer, args, output, calls=calls: calls.append("forward"))

        checkpoint(layer, torch.rand(4, 2, requires_grad=True), use_reentrant=reentrant).sum().backward()

        assert calls == ["pre", "forward", *again]


@pytest.mark.before("2.1")
def test_recomputation_went_to_the_end():
    """The second forward of ``checkpoint(use_reentrant=False)`` runs to its end, with all forward hooks."""
    layer, calls = nn.Linear(2, 3), []
    layer.register_forward_pre_hook(lambda layer, args: calls.append("pre"))
    layer.register_forward_hook(lambda layer, args, output: calls.append("forward"))

    checkpoint(layer, torch.rand(4, 2, requires_grad=True), use_reentrant=False).sum().backward()

    assert calls == ["pre", "forward", "pre", "forward"]


def test_reentrant_checkpoints_need_an_input_with_grad():
    """``checkpoint(use_reentrant=True)`` gives the module no gradients if no input requires grad, and warns.

    Its parameters do not count, so that they are not trained. That is so for the first layer of a model, and
    for adapters (LoRA) behind a frozen embedding. Use ``use_reentrant=False``, or call ``requires_grad_()``
    on the input. See :func:`torch.utils.checkpoint.checkpoint`.
    """
    layer, x = nn.Linear(2, 3), torch.rand(4, 2)

    with pytest.warns(
        UserWarning, match=r"None of the inputs have requires_grad=True\. Gradients will be None"
    ):
        output = checkpoint(layer, x, use_reentrant=True)
    assert output.requires_grad is False

    assert checkpoint(layer, x, use_reentrant=False).requires_grad is True
    assert checkpoint(layer, x.requires_grad_(), use_reentrant=True).requires_grad is True


def test_a_hook_lets_a_frozen_embedding_be_followed():
    """A hook with ``requires_grad_()`` on a frozen ``Embedding``'s output lets ``checkpoint`` train what
    follows.

    With ``use_reentrant=True`` a layer behind a frozen one gets no gradient, as adapters (LoRA) do, though
    the head behind it trains and nothing raises. What is frozen stays so.
    """
    embedding, layer, head = nn.Embedding(3, 2).requires_grad_(False), nn.Linear(2, 2), nn.Linear(2, 1)
    tokens, given = torch.tensor([0, 2]), []

    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        head(checkpoint(layer, embedding(tokens), use_reentrant=True)).sum().backward()
    given.append([p.grad is not None for p in (embedding.weight, layer.weight, head.weight)])
    embedding.register_forward_hook(lambda module, args, output: output.requires_grad_())
    head(checkpoint(layer, embedding(tokens), use_reentrant=True)).sum().backward()
    given.append([p.grad is not None for p in (embedding.weight, layer.weight, head.weight)])

    assert given == [[False, False, True], [False, True, True]]


def test_a_checkpoint_without_a_graph_inside_raises():
    """``backward()`` raises ``RuntimeError`` if what ``checkpoint(use_reentrant=True)`` calls detaches its
    output.

    The output seems to require a gradient, since an input does; ``no_grad``, ``detach`` or argmax inside
    keep the second forward from having one. With ``use_reentrant=False`` the output tells at once. See
    :func:`torch.utils.checkpoint.checkpoint`.
    """
    layer, x = nn.Linear(2, 3), torch.rand(4, 2, requires_grad=True)

    for cut in (torch.no_grad()(lambda x: layer(x)), lambda x: layer(x).detach()):
        output = checkpoint(cut, x, use_reentrant=True)

        assert output.requires_grad is True
        with pytest.raises(RuntimeError, match="none of output has requires_grad=True, this checkpoint"):
            output.sum().backward()
        assert checkpoint(cut, x, use_reentrant=False).requires_grad is False


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not_reentrant"])
def test_dropout_keeps_its_mask(reentrant):
    """``Dropout`` under ``checkpoint`` uses the same mask in both forwards, unless
    ``preserve_rng_state=False``.

    The random state of the first forward is put back for the second one. Otherwise gradients belong to other
    elements than the outputs. See :func:`torch.utils.checkpoint.checkpoint`.
    """
    net, x = nn.Sequential(nn.Tanh(), nn.Dropout(0.5)), torch.rand(100, requires_grad=True)

    output = checkpoint(net, x, use_reentrant=reentrant)
    output.sum().backward()
    assert torch.equal(x.grad != 0, output != 0)

    x.grad = None
    output = checkpoint(net, x, use_reentrant=reentrant, preserve_rng_state=False)
    output.sum().backward()
    assert not torch.equal(x.grad != 0, output != 0)


@pytest.mark.since("2.1")
def test_use_reentrant_left_out_warns():
    """``checkpoint(module, x)`` without ``use_reentrant`` gives a ``UserWarning`` and uses
    ``use_reentrant=True``.

    See :func:`torch.utils.checkpoint.checkpoint`.
    """
    layer, x = nn.Linear(2, 3), torch.rand(4, 2, requires_grad=True)

    with pytest.warns(UserWarning, match="use_reentrant"):
        output = checkpoint(layer, x)

    assert type(output.grad_fn).__name__ == "CheckpointFunctionBackward"
    assert type(checkpoint(layer, x, use_reentrant=False).grad_fn).__name__ == "AddmmBackward0"


@pytest.mark.before("2.1")
def test_use_reentrant_left_out_was_silent(recwarn):
    """``checkpoint(module, x)`` without ``use_reentrant`` does not warn."""
    layer, x = nn.Linear(2, 3), torch.rand(4, 2, requires_grad=True)

    output = checkpoint(layer, x)

    assert type(output.grad_fn).__name__ == "CheckpointFunctionBackward"
    assert [str(warning.message) for warning in recwarn] == []


def test_a_reentrant_checkpoint_takes_no_keyword_arguments():
    """``checkpoint(use_reentrant=True)`` raises ``ValueError`` for keyword arguments of the module.

    ``use_reentrant=False`` passes them on. See :func:`torch.utils.checkpoint.checkpoint`.
    """

    class Scale(nn.Module):
        def forward(self, x, factor=1.0):
            return x * factor

    net, x = Scale(), torch.rand(4, 2, requires_grad=True)

    for given in (x, x.detach()):
        for factor in (2.0, torch.tensor(2.0), torch.tensor(2.0, requires_grad=True)):
            with pytest.raises(ValueError, match=r"^Unexpected keyword arguments: factor$"):
                checkpoint(net, given, use_reentrant=True, factor=factor)
            assert torch.equal(checkpoint(net, given, use_reentrant=False, factor=factor), x * 2)
    with pytest.raises(ValueError, match=r"^Unexpected keyword arguments: x$"):
        checkpoint(net, use_reentrant=True, x=x)


def test_autograd_grad_through_a_reentrant_checkpoint():
    """:func:`autograd.grad <torch.autograd.grad>` raises ``RuntimeError`` for parameters under
    ``checkpoint(use_reentrant=True)``.

    The second forward makes a graph of its own. With ``use_reentrant=False`` it returns the gradient.
    """
    layer, x = nn.Linear(2, 1, bias=False), torch.tensor([[3.0, 5.0]], requires_grad=True)

    for function in (layer, layer.forward):
        with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
            torch.autograd.grad(checkpoint(function, x, use_reentrant=True), layer.weight)

        (gradient,) = torch.autograd.grad(checkpoint(function, x, use_reentrant=False), layer.weight)
        assert gradient.tolist() == [[3.0, 5.0]]


def test_the_mode_at_the_second_forward_counts():
    """``eval()`` between ``checkpoint`` and ``backward()`` makes the second forward run in eval mode.

    It runs in the mode of that moment. With ``use_reentrant=True`` gradients are silently those of
    evaluation; with ``False``, ``backward()`` raises ``RuntimeError`` where another number of tensors is
    saved. See :func:`torch.utils.checkpoint.checkpoint`.
    """
    net, x = nn.Sequential(nn.Tanh(), nn.Dropout(0.5)), torch.rand(100, requires_grad=True)

    output = checkpoint(net.train(), x, use_reentrant=True)
    net.eval()
    output.sum().backward()
    assert (output == 0).any()
    assert (x.grad != 0).all()

    output = checkpoint(net.train(), x, use_reentrant=False)
    net.eval()
    with pytest.raises(RuntimeError, match=r"different number of tensors|saved by autograd multiple times"):
        output.sum().backward()


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not_reentrant"])
def test_a_changed_weight_is_not_noticed(reentrant, recwarn):
    """Under ``checkpoint``, ``backward()`` silently uses the new value of a weight changed in place after
    forward.

    Without ``checkpoint``, ``backward()`` raises ``RuntimeError``. Step the optimizer after all backward
    passes. See :func:`torch.utils.checkpoint.checkpoint`.
    """
    layer, x = nn.Linear(1, 1, bias=False), torch.ones(1, 1, requires_grad=True)
    nn.init.constant_(layer.weight, 2.0)

    outputs = checkpoint(layer, x, use_reentrant=reentrant), layer(x)
    with torch.no_grad():
        layer.weight.mul_(5.0)
    outputs[0].backward()

    assert x.grad.item() == 10.0
    assert [warning for warning in recwarn if warning.category is not FutureWarning] == []
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs[1].backward()


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not_reentrant"])
def test_all_segments_but_the_last(reentrant):
    """``checkpoint_sequential(net, segments, x)`` runs all segments but the last again in ``backward()``.

    ``net`` is a :class:`~torch.nn.Sequential` or a list of modules. See
    :func:`torch.utils.checkpoint.checkpoint_sequential`.
    """
    net, calls = nn.Sequential(*[nn.Linear(1, 1) for _ in range(6)]), []
    for index, layer in enumerate(net):
        layer.register_forward_pre_hook(lambda layer, args, index=index: calls.append(index))

    output = checkpoint_sequential(net, 3, torch.ones(1, 1, requires_grad=True), use_reentrant=reentrant)
    assert calls == [0, 1, 2, 3, 4, 5]

    output.backward()
    assert calls[6:] == [2, 3, 0, 1]

    x = torch.ones(1, 1, requires_grad=True)
    checkpoint_sequential(list(net)[:5], 2, x, use_reentrant=reentrant).backward()
    assert calls[10:] == [0, 1, 2, 3, 4, 0, 1]


@pytest.mark.since("2.2")
def test_use_reentrant_of_segments_left_out_warns():
    """``checkpoint_sequential`` without ``use_reentrant`` gives a ``UserWarning`` and uses
    ``use_reentrant=True``.

    See :func:`torch.utils.checkpoint.checkpoint_sequential` (:pull:`116084`).
    """
    net, x = nn.Sequential(nn.Tanh(), nn.Linear(2, 3)), torch.rand(4, 2, requires_grad=True)

    with pytest.warns(UserWarning, match=r"checkpoint_sequential: .*use_reentrant"):
        output = checkpoint_sequential(net, 2, x)

    segment = output.grad_fn.next_functions[1][0]
    assert type(segment).__name__ == "CheckpointFunctionBackward"


@pytest.mark.before("2.2")
def test_use_reentrant_of_segments_left_out_was_silent():
    """``checkpoint_sequential(net, segments, x)`` without ``use_reentrant`` does not warn."""
    net, x = nn.Sequential(nn.Tanh(), nn.Linear(2, 3)), torch.rand(4, 2, requires_grad=True)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        output = checkpoint_sequential(net, 2, x)

    segment = output.grad_fn.next_functions[1][0]
    assert type(segment).__name__ == "CheckpointFunctionBackward"


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not_reentrant"])
def test_a_functional_call_is_over_at_the_second_forward(reentrant):
    """In ``functional_call`` the second forward of ``checkpoint`` silently uses the module's own parameters.

    It runs in ``backward()``, when the functional call is over: gradients of the input are those of the
    module's own weight. With ``use_reentrant=True`` the given tensor gets none at all.
    Call ``backward()`` inside, or leave the checkpoint out. See :func:`~torch.func.functional_call`.
    """

    class Net(nn.Sequential):
        def forward(self, x):
            return checkpoint(self[0], x, use_reentrant=reentrant)

    net, x = Net(nn.Linear(1, 1, bias=False)), torch.full((1, 1), 3.0, requires_grad=True)
    nn.init.constant_(net[0].weight, 2.0)
    given = torch.full((1, 1), 5.0, requires_grad=True)

    output = torch.func.functional_call(net, {"0.weight": given}, x)
    output.backward()

    assert output.item() == 15.0
    assert x.grad.item() == 2.0
    assert [weight.grad is None for weight in (given, net[0].weight)] == [reentrant, not reentrant]
