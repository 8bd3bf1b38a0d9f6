"""What the options of optimizers do, and where they have to be set.

Options stand in ``param_groups``; ``defaults`` are for groups to come. Which group a parameter is in is in
*parameter_groups*, what is kept for it in *optimizer_state*.
"""

from importlib import import_module

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

ADAM = import_module("torch.optim.adam")


def test_the_rate_is_set_in_the_groups():
    """``optimizer.lr = x`` and ``optimizer.defaults["lr"] = x`` do not change the rate of a step.

    The former is a new attribute, the latter counts for groups added later. Set
    ``optimizer.param_groups[0]["lr"]``.
    """
    weight = nn.Parameter(torch.zeros(1))
    optimizer = SGD([weight], lr=1.0)
    weight.grad = torch.ones(1)

    optimizer.lr = 5.0
    optimizer.defaults["lr"] = 7.0
    optimizer.step()
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})

    assert weight.item() == -1.0
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 7.0]


def test_weight_decay_of_adam_is_not_that_of_adamw():
    """``AdamW`` multiplies weights by ``1 - lr * weight_decay``; ``Adam`` adds ``weight_decay`` to the
    gradient.

    There the moments take its size away: with a gradient of 0 the first step is ``lr``, however large the
    weight is.
    """
    results = []
    for kind in (AdamW, Adam, SGD):
        weight = nn.Parameter(torch.tensor([1.0, 2.0]))
        weight.grad = torch.zeros(2)
        kind([weight], lr=0.1, weight_decay=0.5).step()
        results.append(weight.tolist())

    assert results[0] == pytest.approx([0.95, 1.9])
    assert results[1] == pytest.approx([0.9, 1.9])
    assert results[2] == results[0]


def test_the_first_step_of_adam_has_the_size_of_the_rate():
    """The first step of ``Adam`` moves each element by ``lr``, against the sign of its gradient.

    Scaling the loss does not change it, and clipping gradients hardly.
    """
    weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    weight.grad = torch.tensor([0.001, -1000.0, 0.0])

    Adam([weight], lr=0.1).step()

    assert weight.tolist() == pytest.approx([0.9, 2.1, 3.0], abs=1e-5)


def test_one_nan_stays():
    """A gradient of NaN makes that element of the weight and of ``Adam``'s moments NaN for good.

    Other elements are not concerned, until the weight is used.
    """
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = Adam([weight], lr=0.1)
    for grad in ([torch.nan, 1.0], [1.0, 1.0]):
        weight.grad = torch.tensor(grad)
        optimizer.step()

    assert weight.isnan().tolist() == [True, False]
    for name in ("exp_avg", "exp_avg_sq"):
        assert optimizer.state[weight][name].isnan().tolist() == [True, False]
    assert weight[1].item() == pytest.approx(1.8)


@pytest.mark.parametrize("kind", [SGD, Adam], ids=lambda kind: kind.__name__)
def test_a_rate_may_be_a_tensor(kind):
    """``SGD`` and ``Adam`` take a tensor as ``lr``, and read its value in each step.

    Compiled steps need it, so that a new rate makes no new graph.
    """
    weight, rate, seen = nn.Parameter(torch.zeros(1)), torch.tensor(0.5), []
    optimizer = kind([weight], lr=rate)
    weight.grad = torch.ones(1)

    for value in (0.5, 0.0, 2.0):
        rate.fill_(value)
        optimizer.step()
        seen.append(weight.item())

    assert seen == pytest.approx([-0.5, -0.5, -2.5])
    assert optimizer.param_groups[0]["lr"] is rate


@pytest.mark.since("2.1")
def test_a_tensor_for_the_rate_excludes_foreach():
    """``Adam(lr=tensor, foreach=True)`` raises ``ValueError`` unless ``capturable=True``."""
    weight = nn.Parameter(torch.zeros(1))

    with pytest.raises(ValueError, match="lr as a Tensor is not supported for capturable=False and foreach"):
        Adam([weight], lr=torch.tensor(0.5), foreach=True)
    for options in ({"foreach": False, "capturable": False}, {"foreach": True, "capturable": True}):
        assert options.items() <= Adam([weight], lr=torch.tensor(0.5), **options).param_groups[0].items()


def test_foreach_is_not_the_default_on_the_cpu(monkeypatch):
    """On the CPU ``Adam`` steps parameter by parameter; with ``foreach=True`` all together, with the same
    result.

    It needs more memory, as much as the parameters. On a GPU it is the default.
    """
    calls, results, together = [], [], ADAM._multi_tensor_adam
    monkeypatch.setattr(
        ADAM,
        "_multi_tensor_adam",
        lambda *given, **more: calls.append(1) or together(*given, **more),
    )
    for options in ({}, {"foreach": True}):
        weight = nn.Parameter(torch.tensor([1.0, 2.0], device="cpu"))
        weight.grad = torch.tensor([3.0, -5.0], device="cpu")
        Adam([weight], lr=0.5, **options).step()
        results.append((len(calls), weight.tolist()))

    assert [count for count, _ in results] == [0, 1]
    assert results[0][1] == pytest.approx(results[1][1])


@pytest.mark.since("2.4")
def test_the_cpu_has_a_fused_step():
    """``Adam(fused=True)`` works on the CPU, with the result of the usual step."""
    results = []
    for options in ({}, {"fused": True}):
        weight = nn.Parameter(torch.tensor([1.0, 2.0], device="cpu"))
        weight.grad = torch.tensor([3.0, -5.0], device="cpu")
        optimizer = Adam([weight], lr=0.5, **options)
        for _ in range(3):
            optimizer.step()
        results.append(weight.detach())

    torch.testing.assert_close(*results)
    assert results[0].tolist() != [1.0, 2.0]


@pytest.mark.before("2.4")
def test_a_fused_step_was_for_the_gpu():
    """``Adam(fused=True)`` raises ``RuntimeError`` for parameters on the CPU."""
    with pytest.raises(RuntimeError, match="`fused=True` requires all the params to be"):
        Adam([nn.Parameter(torch.zeros(1, device="cpu"))], fused=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, r"Invalid learning rate: -1.0"),
        ({"betas": (1.0, 0.9)}, r"Invalid beta parameter at index 0: 1.0"),
        ({"betas": (0.9, 1.0)}, r"Invalid beta parameter at index 1: 1.0"),
        ({"weight_decay": -1.0}, r"Invalid weight_decay value: -1.0"),
        ({"eps": -1.0}, r"Invalid epsilon value: -1.0"),
    ],
    ids=["lr", "first beta", "second beta", "weight_decay", "eps"],
)
def test_options_are_examined_once(options, message):
    """``Adam`` raises ``ValueError`` for a negative ``lr``, ``eps`` or ``weight_decay`` and a beta of 1.

    It looks at arguments of the constructor, not at values in ``param_groups``.
    """
    weight = nn.Parameter(torch.zeros(1))

    with pytest.raises(ValueError, match=message):
        Adam([weight], **options)
    optimizer, weight.grad = Adam([weight]), torch.ones(1)
    optimizer.param_groups[0]["lr"] = -1.0
    optimizer.step()
    assert weight.item() == pytest.approx(1.0)


def test_sparse_gradients_need_an_optimizer_of_their_own():
    """``Adam`` raises ``RuntimeError`` for sparse gradients, ``SparseAdam`` for dense ones; ``SGD`` takes
    both.

    ``nn.Embedding(sparse=True)`` has sparse ones.
    """
    sparse, dense = nn.Embedding(3, 2, sparse=True), nn.Parameter(torch.zeros(2))
    before, dense.grad = sparse.weight.detach().clone(), torch.ones(2)
    sparse(torch.tensor([1])).sum().backward()

    with pytest.raises(
        RuntimeError, match="Adam does not support sparse gradients, please consider SparseAdam"
    ):
        Adam(sparse.parameters()).step()
    with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients"):
        torch.optim.SparseAdam([dense]).step()
    SGD([*sparse.parameters(), dense], lr=1.0).step()
    torch.optim.SparseAdam(sparse.parameters(), lr=1.0).step()

    assert dense.tolist() == [-1.0, -1.0]
    torch.testing.assert_close(sparse.weight - before, torch.tensor([[0.0] * 2, [-2.0] * 2, [0.0] * 2]))


def test_lbfgs_has_one_group():
    """:class:`~torch.optim.LBFGS` raises ``ValueError`` for several parameter groups, and keeps one state
    for all.

    That stands under the first parameter. In a step it calls the closure up to ``max_iter * 5 / 4`` times.
    """
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer, calls = torch.optim.LBFGS([first, second], max_iter=4), []

    def closure():
        optimizer.zero_grad()
        loss = (first - 3).square().sum() + (second + 5).pow(4).sum()
        loss.backward()
        calls.append(loss.item())
        return loss

    assert optimizer.step(closure).item() == calls[0] == 634.0
    assert 1 < len(calls) <= 5
    assert list(optimizer.state) == [first]
    with pytest.raises(ValueError, match="LBFGS doesn't support per-parameter options"):
        torch.optim.LBFGS([{"params": [first]}, {"params": [second]}])


def test_a_parameter_put_into_a_group_by_hand():
    """``Optimizer.state_dict()`` raises ``KeyError`` if a parameter in ``param_groups`` was replaced.

    The state is still that of the old one. Move it: ``optimizer.state[new] = optimizer.state.pop(old)``.
    """
    old, new = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer, old.grad = SGD([old], lr=1.0, momentum=0.5), torch.ones(1)
    optimizer.step()
    optimizer.param_groups[0]["params"][0] = new

    with pytest.raises(KeyError, match=str(id(old))):
        optimizer.state_dict()
    optimizer.state[new] = optimizer.state.pop(old)
    assert optimizer.state_dict()["state"] == {0: {"momentum_buffer": torch.ones(1)}}


def test_a_state_may_be_cleared():
    """``optimizer.state.clear()`` forgets moments and steps: the next step begins as the first.

    ``optimizer.state.pop(parameter)`` does it for one. The options in the groups stay.
    """
    weight = nn.Parameter(torch.zeros(1))
    optimizer = Adam([weight], lr=0.5)
    for grad in (1.0, 1.0, -1.0):
        before, weight.grad = weight.item(), torch.tensor([grad])
        if grad < 0:
            optimizer.state.clear()
        optimizer.step()

    assert weight.item() - before == pytest.approx(0.5)
    assert optimizer.state[weight]["step"].item() == 1
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("optimizer", [Adam, AdamW])
def test_capturable_is_not_for_the_cpu(optimizer, foreach):
    """``step()`` of ``Adam(capturable=True)`` raises ``AssertionError`` for parameters on the CPU.

    So it does after loading the state of an optimizer that had it on: the options come with the state. Set
    it to ``False`` in the groups. See :class:`torch.optim.Adam`.
    """
    layer = nn.Linear(2, 1)
    layer(torch.ones(2)).backward()
    before = layer.weight.tolist()
    with_it = optimizer(layer.parameters(), capturable=True, foreach=foreach)
    loaded = optimizer(layer.parameters(), lr=0.5)
    loaded.load_state_dict(with_it.state_dict())

    for each in (with_it, loaded):
        with pytest.raises(AssertionError, match="If capturable=True, params and state_steps must be"):
            each.step()
    assert layer.weight.tolist() == before
    loaded.param_groups[0]["capturable"] = False
    loaded.step()
    assert layer.weight.tolist() != before
