"""What may differ between the two forwards of a checkpoint, and backward more than once.

The first forward saves what goes in, the second one what is inside; here is what happens where the two do
not fit, and what is saved in all.
"""

import math

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_backward_twice_through_a_checkpoint(use_reentrant):
    """A second ``backward()`` through a ``checkpoint`` raises ``RuntimeError`` unless ``retain_graph=True``.

    With it the gradients add up, as without a checkpoint.
    """
    weight = nn.Parameter(torch.tensor(2.0))
    x = torch.tensor(3.0, requires_grad=True)
    loss = checkpoint(lambda x: (weight * x) ** 2, x, use_reentrant=use_reentrant)

    loss.backward(retain_graph=True)
    assert (weight.grad.item(), x.grad.item()) == (36.0, 24.0)
    loss.backward()
    assert (weight.grad.item(), x.grad.item()) == (72.0, 48.0)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_a_second_derivative_through_a_checkpoint():
    """``checkpoint(use_reentrant=False)`` has second derivatives; with ``True`` ``autograd.grad`` raises
    ``RuntimeError``.

    A gradient penalty needs the former.
    """
    x = torch.tensor(2.0, requires_grad=True)

    (slope,) = torch.autograd.grad(checkpoint(lambda x: x**3, x, use_reentrant=False), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope, x)

    assert (slope.item(), bend.item()) == (12.0, 12.0)
    with pytest.raises(RuntimeError, match=r"(incompatible|not compatible) with \.grad\(\)"):
        torch.autograd.grad(checkpoint(lambda x: x**3, x, use_reentrant=True), x, create_graph=True)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_what_is_no_tensor_passes_a_checkpoint(use_reentrant):
    """``checkpoint`` passes ``None``, numbers and strings to the function, and returns them as they are."""
    x = torch.tensor([2.0, 3.0], requires_grad=True)

    def forward(x, mask, factor, name):
        assert mask is None
        return x * factor, None, factor, name

    output, *others = checkpoint(forward, x, None, 5, "a", use_reentrant=use_reentrant)
    output.sum().backward()

    assert (output.tolist(), others) == ([10.0, 15.0], [None, 5, "a"])
    assert x.grad.tolist() == [5.0, 5.0]


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda x: (x[:1] * x[:1]).sin(), "different metadata"),
        (lambda x: (x * x).double().sin(), "different metadata"),
        (lambda x: x * 2, "different number of tensors"),
    ],
    ids=["shape", "dtype", "number"],
)
def test_a_second_forward_that_saves_something_else(second, message):
    """``backward()`` raises ``CheckpointError`` if the second forward of ``checkpoint`` saves other tensors.

    Number, shape and dtype of what ``checkpoint(use_reentrant=False)`` saved are compared, not values: a
    choice of experts, a cache that has grown, or a cast on the way.
    """
    functions = [lambda x: (x * x).sin(), second]
    x = torch.rand(3, requires_grad=True)
    output = checkpoint(lambda x: functions.pop(0)(x), x, use_reentrant=False)

    with pytest.raises(torch.utils.checkpoint.CheckpointError, match=message):
        output.sum().backward()


@pytest.mark.since("2.1")
def test_the_comparison_may_be_left_out():
    """``checkpoint(determinism_check="none")`` accepts a second forward of another dtype.

    ``backward()`` then uses what it is given; by default it raises ``CheckpointError``.
    """
    for check in ("default", "none"):
        functions = [lambda x: (x * x).sin(), lambda x: (x * x).double().sin()]
        x = torch.tensor([3.0], requires_grad=True)
        output = checkpoint(
            lambda x, f=functions: f.pop(0)(x), x, use_reentrant=False, determinism_check=check
        )
        if check == "default":
            with pytest.raises(torch.utils.checkpoint.CheckpointError, match="different metadata"):
                output.sum().backward()
        else:
            output.sum().backward()
            torch.testing.assert_close(x.grad, torch.tensor([6.0 * math.cos(9.0)]))


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_segments_are_at_most_the_layers(use_reentrant):
    """``checkpoint_sequential`` raises ``ValueError`` for more segments than layers; one runs no layer
    again.
    """
    calls, x = [], torch.rand(3, 2, requires_grad=True)
    net = nn.Sequential(nn.Tanh(), nn.Tanh(), nn.Tanh())
    for layer in net:
        layer.register_forward_pre_hook(lambda *given: calls.append(1))

    checkpoint_sequential(net, 1, x, use_reentrant=use_reentrant).sum().backward()
    assert len(calls) == 3
    checkpoint_sequential(net, 3, x, use_reentrant=use_reentrant).sum().backward()
    assert len(calls) == 3 + 5
    with pytest.raises(ValueError, match="must not be zero"):
        checkpoint_sequential(net, 4, x, use_reentrant=use_reentrant)


def test_a_wrapper_does_not_show_in_the_state_dict():
    """``checkpoint_wrapper`` adds ``_checkpoint_wrapped_module`` to names of modules, not to a
    ``state_dict``.

    So a plain net loads the state. But ``named_parameters()`` of a net with wrapped layers has the longer
    names.
    """
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    inner = nn.Linear(2, 2)
    net = nn.Sequential(checkpoint_wrapper(inner), nn.ReLU())
    long = "0._checkpoint_wrapped_module"

    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    assert [name for name, _ in net.named_modules()] == ["", "0", long, "1"]
    assert [name for name, _ in net.named_parameters()] == [f"{long}.weight", f"{long}.bias"]
    net.load_state_dict({"0.weight": torch.ones(2, 2), "0.bias": torch.zeros(2)})
    assert inner.weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert (net[0].in_features, net[0].weight is inner.weight) == (2, True)
