"""Momentum: what SGD makes of ``momentum``, ``dampening`` and ``nesterov``.

With ``momentum`` an optimizer keeps a buffer for each parameter, and steps along it instead of the gradient.
What becomes of it if gradients are missing is in *freezing*, how it is saved in *optimizer_state*.
"""

import pytest
import torch
from torch import nn
from torch.optim import SGD


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_the_buffer_is_a_sum(foreach):
    """``SGD(momentum=m)`` steps along a buffer, ``m * momentum_buffer + grad``, which begins as the gradient.

    It is a sum and no mean: with a gradient that stays the same, steps grow up to ``1 / (1 - m)`` times the
    plain one, ten times for 0.9. See :class:`torch.optim.SGD`.
    """
    other, weight, seen = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.tensor([3.0, 10.0])), []
    optimizer = SGD([{"params": [other], "momentum": 0.0}, {"params": [weight]}], 0.5, 0.5, foreach=foreach)
    for grad in (2.0, 2.0, 4.0):
        other.grad, weight.grad = torch.ones(1), torch.tensor([7.0, grad])
        optimizer.step()
        seen.append((optimizer.state[weight]["momentum_buffer"][1].item(), weight[1].item()))

    assert seen == [(2.0, 9.0), (3.0, 7.5), (5.5, 4.75)]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_dampening_spares_the_first_gradient(foreach):
    """``dampening`` of ``SGD`` multiplies all gradients but the first by ``1 - dampening``.

    So the first step is as long as without it. It acts on the buffer: without ``momentum`` it does nothing.
    """
    found = {}
    for momentum in (0.5, 0.0):
        weight, seen = nn.Parameter(torch.tensor([10.0])), []
        optimizer = SGD([weight], lr=1.0, momentum=momentum, dampening=0.25, foreach=foreach)
        for grad in (2.0, 2.0, 4.0):
            weight.grad = torch.tensor([grad])
            before = weight.item()
            optimizer.step()
            seen.append(before - weight.item())
        found[momentum] = seen

    assert found == {0.5: [2.0, 2.5, 4.25], 0.0: [2.0, 2.0, 4.0]}


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_nesterov_looks_ahead(foreach):
    """``SGD(nesterov=True)`` steps along ``grad + momentum * momentum_buffer``, with the new buffer.

    The buffer itself is that of plain momentum. Gradients are not taken at another place than the weight's:
    the looking ahead is in the formula. See :class:`torch.optim.SGD`.
    """
    weight, seen = nn.Parameter(torch.tensor([10.0])), []
    optimizer = SGD([weight], lr=1.0, momentum=0.5, nesterov=True, foreach=foreach)
    for grad in (2.0, 2.0, 4.0):
        weight.grad = torch.tensor([grad])
        before = weight.item()
        optimizer.step()
        seen.append((optimizer.state[weight]["momentum_buffer"].item(), before - weight.item()))

    assert seen == [(2.0, 3.0), (3.0, 3.5), (5.5, 6.75)]


@pytest.mark.parametrize("options", [{}, {"momentum": 0.5, "dampening": 0.5}], ids=["alone", "dampened"])
def test_nesterov_wants_momentum(options):
    """``SGD(nesterov=True)`` raises ``ValueError`` without ``momentum``, or with ``dampening``.

    An option of a group is not examined: there, without momentum, it is ignored.
    """
    weight = nn.Parameter(torch.tensor([10.0]))
    with pytest.raises(ValueError, match=r"^Nesterov momentum requires a momentum and zero dampening$"):
        SGD([weight], lr=1.0, nesterov=True, **options)

    optimizer, weight.grad = SGD([{"params": [weight], "nesterov": True}], lr=1.0), torch.tensor([2.0])
    optimizer.step()
    assert weight.tolist() == [8.0]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_the_rate_is_not_in_the_buffer(foreach):
    """A new ``lr`` of ``SGD`` scales the whole next step: ``momentum_buffer`` holds gradients without a rate.

    Other libraries keep ``lr * grad`` in it, where the old rate lives on for some steps.
    """
    weight = nn.Parameter(torch.tensor([10.0]))
    optimizer = SGD([weight], lr=1.0, momentum=0.5, foreach=foreach)
    for rate, expected in [(1.0, 8.0), (0.25, 7.25)]:
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor([2.0])
        optimizer.step()
        assert weight.item() == expected

    assert optimizer.state[weight]["momentum_buffer"].tolist() == [3.0]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.parametrize(("nesterov", "expected"), [(False, [1.0, -2.0]), (True, [-0.5, -2.375])])
def test_decay_goes_into_the_buffer(nesterov, expected, foreach):
    """``weight_decay`` of ``SGD`` is added to the gradient before ``momentum``, so the buffer keeps it.

    For a decay apart from the momentum, multiply the weights under ``no_grad``, or take ``AdamW``.
    """
    weight, seen = nn.Parameter(torch.tensor([4.0])), []
    options = {"momentum": 0.5, "weight_decay": 0.5, "nesterov": nesterov, "foreach": foreach}
    optimizer = SGD([weight], lr=1.0, **options)
    for _ in range(2):
        weight.grad = torch.tensor([1.0])
        optimizer.step()
        seen.append(weight.item())

    assert seen == expected
    assert weight.grad.tolist() == [1.0]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_the_buffer_is_a_copy(foreach):
    """The first ``momentum_buffer`` of ``SGD`` is a copy of ``grad``: it does not change with that tensor.

    So ``zero_grad(set_to_none=False)`` and clipping leave it alone.
    """
    weight = nn.Parameter(torch.tensor([10.0]))
    optimizer = SGD([weight], lr=1.0, momentum=0.5, foreach=foreach)
    weight.grad = torch.tensor([2.0])
    optimizer.step()
    weight.grad.zero_()

    assert optimizer.state[weight]["momentum_buffer"].tolist() == [2.0]
    optimizer.step()
    assert weight.tolist() == [7.0]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_momentum_may_begin_later(foreach):
    """``momentum`` set in a group of ``SGD`` after some steps begins with the next gradient.

    Set to 0 again it leaves the buffer as it is, and a later step with momentum goes on from there.
    """
    weight, seen = nn.Parameter(torch.tensor([10.0])), []
    optimizer = SGD([weight], lr=1.0, foreach=foreach)
    for momentum in (0.0, 0.5, 0.5, 0.0, 0.5):
        optimizer.param_groups[0]["momentum"] = momentum
        weight.grad = torch.tensor([2.0])
        before = weight.item()
        optimizer.step()
        seen.append(before - weight.item())

    assert seen == [2.0, 2.0, 3.0, 2.0, 3.5]


def test_sparse_gradients_with_momentum():
    """``SGD`` with ``momentum`` goes on moving rows of a sparse ``nn.Embedding`` that a batch lacks.

    The buffer has the rows of all batches before. Plain ``SGD`` changes the rows of the batch alone.
    """
    found = {}
    for momentum in (0.5, 0.0):
        layer = nn.Embedding.from_pretrained(torch.full((3, 2), 4.0), freeze=False, sparse=True)
        optimizer = SGD(layer.parameters(), lr=1.0, momentum=momentum)
        for row in (0, 1):
            optimizer.zero_grad()
            layer(torch.tensor([row])).sum().backward()
            optimizer.step()
        found[momentum] = layer.weight.mean(1).tolist()

    assert found == {0.5: [2.5, 3.0, 4.0], 0.0: [3.0, 3.0, 4.0]}


def test_sparse_gradients_are_not_decayed():
    """``SGD`` and ``Adagrad`` with ``weight_decay`` raise ``RuntimeError`` for a sparse gradient.

    ``SparseAdam`` has no such option. Add a penalty on the rows of the batch to the loss.
    """
    layer = nn.Embedding(3, 1, sparse=True)
    layer(torch.tensor([0])).sum().backward()

    with pytest.raises(RuntimeError, match=r"^add\(sparse, dense\) is not supported"):
        SGD(layer.parameters(), lr=1.0, weight_decay=0.5).step()
    with pytest.raises(RuntimeError, match=r"^weight_decay option is not compatible with sparse gradients$"):
        torch.optim.Adagrad(layer.parameters(), weight_decay=0.5).step()
    with pytest.raises(TypeError, match="unexpected keyword argument 'weight_decay'"):
        torch.optim.SparseAdam(layer.parameters(), weight_decay=0.5)
