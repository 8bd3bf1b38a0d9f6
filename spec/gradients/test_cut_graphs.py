"""Cut graphs: operations through which no gradient goes.

Some operations leave the graph, so that ``backward()`` raises or a parameter keeps a ``grad`` of ``None``;
others stay in it with a gradient of zero, which nothing reports.
"""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn


def test_operations_that_leave_the_graph():
    """``argmax``, ``>``, ``long()``, ``F.one_hot`` and the indices of ``topk`` give no gradient: no
    ``grad_fn``.

    A loss made of them raises in ``backward()``. The values of ``topk``, ``max`` and ``sort`` have one.
    """
    scores = nn.Linear(2, 3)(torch.rand(4, 2))
    choice = scores.argmax(1)

    for cut in (choice, scores > 0, scores.long(), F.one_hot(choice, 3), scores.topk(2).indices):
        assert cut.requires_grad is False
    for kept in (scores.max(1).values, scores.topk(2).values, scores.sort().values):
        assert kept.requires_grad is True
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        (choice == 1).float().mean().backward()


def test_operations_with_a_gradient_of_zero():
    """``torch.round``, ``floor``, ``ceil`` and ``sign`` have a gradient of zero: ``backward()`` trains
    nothing.

    It raises no error. ``clamp`` has one of zero outside its bounds only.
    """
    x = torch.tensor([-1.75, 0.25, 2.5], requires_grad=True)

    for operation in (torch.round, torch.floor, torch.ceil, torch.sign, torch.trunc):
        out = operation(x)
        assert out.requires_grad is True
        assert torch.autograd.grad(out.sum(), x)[0].tolist() == [0.0, 0.0, 0.0]
    assert torch.autograd.grad(x.clamp(-1, 1).sum(), x)[0].tolist() == [0.0, 1.0, 0.0]
    assert torch.autograd.grad((x % 1).sum(), x)[0].tolist() == [1.0, 1.0, 1.0]


def test_a_straight_through_estimator():
    """``x + (torch.round(x) - x).detach()`` has the rounded values and the gradient of ``x``.

    That is how quantization and hard choices are trained.
    """
    x = torch.tensor([0.25, 1.75], requires_grad=True)
    out = x + (torch.round(x) - x).detach()
    (out * torch.tensor([3.0, 5.0])).sum().backward()

    assert out.tolist() == [0.0, 2.0]
    assert x.grad.tolist() == [3.0, 5.0]


def test_numbers_and_new_tensors():
    """``torch.tensor(output)``, ``item()`` and ``torch.Tensor([a, b])`` copy values and cut the graph.

    :func:`torch.stack` of a list of outputs, and :func:`torch.as_tensor`, keep it.
    """
    output = nn.Linear(2, 2)(torch.rand(2))
    first, second = output

    with pytest.warns(UserWarning, match="To copy construct from a tensor"):
        assert torch.tensor(output).requires_grad is False
    assert torch.tensor([first.item(), second.item()]).tolist() == output.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some releases warn of the copy
        copied = torch.Tensor([first, second])
    assert (copied.tolist(), copied.requires_grad) == (output.tolist(), False)
    assert torch.stack([first, second]).requires_grad is True
    assert torch.as_tensor(output) is output
    assert torch.as_tensor(output, dtype=torch.float64).requires_grad is True


def test_numpy_wants_no_graph():
    """``numpy()`` raises ``RuntimeError`` for the output of a module, or a parameter, that requires grad.

    ``detach().numpy()`` works, and shares memory; under :class:`torch.no_grad` neither needs ``detach()``.
    """
    layer = nn.Linear(2, 2)
    message = r"Can't call numpy\(\) on Tensor that requires grad"

    with pytest.raises(RuntimeError, match=message):
        layer(torch.rand(2)).numpy()
    with pytest.raises(RuntimeError, match=message):
        layer.weight.numpy()

    values = layer.weight.detach().numpy()
    values[0, 0] = 5.0

    assert layer.weight[0, 0].item() == 5.0
    with torch.no_grad():
        assert layer(torch.rand(2)).numpy().shape == (2,)
        assert layer.weight.numpy()[0, 0] == 5.0


def test_casts_and_moves_keep_the_graph():
    """``half()``, ``double()``, ``cpu()`` and ``clone()`` of an output keep the graph; integers leave it.

    The gradient comes back in the dtype that the output had.
    """
    x = torch.tensor([1.5, 2.5], requires_grad=True)

    for kept in (x.half(), x.double(), x.cpu(), x.clone(), x.float()):
        (gradient,) = torch.autograd.grad(kept.sum(), x)
        assert gradient.dtype is torch.float32
        assert gradient.tolist() == [1.0, 1.0]
    assert x.int().float().requires_grad is False


def test_which_elements_get_a_gradient():
    """``max``, an index and :func:`torch.gather` give gradients to the chosen elements only, zeros to others.

    An element that is chosen twice gets both. Of equal maxima ``max(dim)`` chooses one; ``amax`` shares among
    all.
    """
    x = torch.tensor([1.0, 3.0, 3.0], requires_grad=True)

    assert torch.autograd.grad(x[torch.tensor([0, 0, 1])].sum(), x)[0].tolist() == [2.0, 1.0, 0.0]
    assert torch.autograd.grad(x.gather(0, torch.tensor([2, 2])).sum(), x)[0].tolist() == [0.0, 0.0, 2.0]
    assert sorted(torch.autograd.grad(x.max(0).values, x)[0].tolist()) == [0.0, 0.0, 1.0]
    assert torch.autograd.grad(x.amax(0), x)[0].tolist() == [0.0, 0.5, 0.5]


def test_hard_samples_with_gradients():
    """``F.gumbel_softmax(hard=True)`` returns one-hot samples with the gradient of the soft ones.

    :func:`torch.multinomial` and :func:`torch.bernoulli` pass no gradient on.
    """
    logits = torch.tensor([[1.0, 2.0, 0.5]], requires_grad=True)
    torch.manual_seed(0)
    hard = F.gumbel_softmax(logits, hard=True)
    torch.manual_seed(0)
    soft = F.gumbel_softmax(logits)
    weights = torch.tensor([[1.0, 2.0, 4.0]])

    assert sorted(hard.flatten().tolist()) == pytest.approx([0.0, 0.0, 1.0])
    assert hard.argmax() == soft.argmax()
    assert torch.allclose(
        torch.autograd.grad((hard * weights).sum(), logits)[0],
        torch.autograd.grad((soft * weights).sum(), logits)[0],
    )
    assert torch.multinomial(logits.softmax(1), 1).requires_grad is False
    (gradient,) = torch.autograd.grad(torch.bernoulli(logits.softmax(1)).sum(), logits)
    assert gradient.tolist() == [[0.0, 0.0, 0.0]]
