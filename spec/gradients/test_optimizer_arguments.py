"""What all optimizers have in common: rates, defaults, ``maximize``, and ways to compute the same step.

What single options do is in the chapters on *momentum*, *adam_moments* and *squared_gradients*; where they
have to be set is in *optimizer_options*.
"""

import pytest
import torch
from torch import nn, optim

OLDER = [
    *(optim.SGD, optim.Adam, optim.AdamW, optim.Adamax, optim.RMSprop, optim.Adagrad, optim.Adadelta),
    *(optim.ASGD, optim.Rprop),
]
ALL = [*OLDER, optim.NAdam, optim.RAdam]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.parametrize("make", OLDER)
def test_maximize_turns_the_gradient(make, foreach):
    """``maximize=True`` of ``Adam``, ``SGD`` and most optimizers steps as if ``grad`` had the other sign.

    ``grad`` itself stays as it is. That is not the same as a negative loss where code looks at ``grad``.
    """
    found = []
    for sign, maximize in [(-1.0, False), (1.0, True)]:
        weight = nn.Parameter(torch.tensor([3.0, -2.0]))
        optimizer = make([weight], lr=0.5, maximize=maximize, foreach=foreach)
        for grad in ([2.0, -1.0], [4.0, 3.0], [-1.0, 5.0]):
            weight.grad = sign * torch.tensor(grad)
            optimizer.step()
        assert weight.grad.tolist() == [sign * -1.0, sign * 5.0]
        found.append(weight.tolist())

    assert found[0] == found[1] != [3.0, -2.0]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.parametrize("make", [optim.NAdam, optim.RAdam])
@pytest.mark.since("2.4")
def test_nadam_and_radam_maximize(make, foreach):
    """``NAdam(maximize=True)`` and ``RAdam(maximize=True)`` step as if ``grad`` had the other sign."""
    found = []
    for sign, maximize in [(-1.0, False), (1.0, True)]:
        weight = nn.Parameter(torch.tensor([3.0, -2.0]))
        optimizer = make([weight], lr=0.5, maximize=maximize, foreach=foreach)
        for grad in ([2.0, -1.0], [4.0, 3.0], [-1.0, 5.0]):
            weight.grad = sign * torch.tensor(grad)
            optimizer.step()
        found.append(weight.tolist())

    assert found[0] == found[1] != [3.0, -2.0]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
def test_decay_is_not_maximized(foreach):
    """With ``maximize=True``, ``weight_decay`` of ``SGD`` and ``AdamW`` still shrinks weights."""
    found = []
    for make in (optim.SGD, optim.AdamW):
        weight = nn.Parameter(torch.tensor([4.0]))
        weight.grad = torch.tensor([1.0])
        make([weight], lr=0.25, weight_decay=0.5, maximize=True, foreach=foreach).step()
        found.append(weight.item())

    assert found == pytest.approx([4.0 - 0.25 * 0.5 * 4.0 + 0.25] * 2)


def test_each_optimizer_has_a_rate_of_its_own():
    """The default ``lr`` is 0.001 for ``Adam`` and 0.01 for ``RMSprop``, but 1 for ``Adadelta`` and
    ``LBFGS``.

    So the same number is no comparison of two optimizers.
    """
    rates = {each.__name__: each([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"] for each in ALL[1:]}
    rates["LBFGS"] = optim.LBFGS([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"]
    rates["SparseAdam"] = optim.SparseAdam([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"]

    assert [name for name, rate in rates.items() if rate == 0.001] == ["Adam", "AdamW", "RAdam", "SparseAdam"]
    assert [name for name, rate in rates.items() if rate == 0.002] == ["Adamax", "NAdam"]
    assert [name for name, rate in rates.items() if rate == 0.01] == ["RMSprop", "Adagrad", "ASGD", "Rprop"]
    assert [name for name, rate in rates.items() if rate == 1] == ["Adadelta", "LBFGS"]


@pytest.mark.parametrize("foreach", [False, True], ids=["one_by_one", "foreach"])
@pytest.mark.parametrize(
    ("make", "kept"),
    [
        (optim.Adam, ["exp_avg", "exp_avg_sq", "step"]),
        (optim.RAdam, ["exp_avg", "exp_avg_sq", "step"]),
        (optim.NAdam, ["exp_avg", "exp_avg_sq", "mu_product", "step"]),
        (optim.Adamax, ["exp_avg", "exp_inf", "step"]),
        (optim.RMSprop, ["square_avg", "step"]),
        (optim.Adagrad, ["step", "sum"]),
        (optim.Adadelta, ["acc_delta", "square_avg", "step"]),
        (optim.ASGD, ["ax", "eta", "mu", "step"]),
        (optim.Rprop, ["prev", "step", "step_size"]),
    ],
)
def test_what_each_optimizer_keeps(make, kept, foreach):
    """``Adam`` keeps ``exp_avg``, ``exp_avg_sq`` and ``step``; ``RMSprop`` ``square_avg``, ``Adagrad``
    ``sum``.

    Tensors among these are as large as the parameter, or single numbers. Loading the state of another kind of
    optimizer raises no error: the first step does, with a ``KeyError`` for one of these names.
    """
    weight = nn.Parameter(torch.zeros(2, 3))
    weight.grad = torch.ones(2, 3)
    optimizer = make([weight], foreach=foreach)
    optimizer.step()
    state = optimizer.state[weight]
    single = ["step", "mu_product", "eta", "mu"]

    assert sorted(state) == kept
    large = [key for key in kept if key not in single]
    assert [list(state[key].shape) for key in large] == [[2, 3]] * len(large)


@pytest.mark.since("2.8")
@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.NAdam, optim.Adagrad, optim.Adadelta])
def test_a_rate_with_a_dimension_counts(make):
    """``Adam``, ``SGD`` and others take a one-dimensional ``lr`` of one element, and use it like a number."""
    found = []
    for rate in (0.5, torch.tensor([0.5])):
        weight = nn.Parameter(torch.tensor([3.0]))
        weight.grad = torch.tensor([2.0])
        optimizer = make([weight], lr=rate)
        optimizer.step()
        optimizer.step()
        found.append(weight.item())

    assert found[0] == pytest.approx(found[1])
    assert found[0] < 3.0


@pytest.mark.before("2.8")
@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.NAdam, optim.Adagrad, optim.Adadelta])
def test_a_rate_with_a_dimension_failed_later(make):
    """``Adam`` takes a one-dimensional ``lr`` of one element, and raises ``TypeError`` in ``step()``.

    A rate without dimensions works: ``torch.tensor(0.5)``, not ``torch.tensor([0.5])`` (:issue:`145461`).
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    weight.grad = torch.tensor([2.0])
    optimizer = make([weight], lr=torch.tensor([0.5]))

    with pytest.raises(TypeError, match="must be Number, not Tensor"):
        optimizer.step()


@pytest.mark.since("2.5")
@pytest.mark.parametrize("make", [*ALL, optim.SparseAdam, optim.LBFGS])
def test_a_rate_is_one_number(make):
    """Any optimizer such as ``Adam`` raises ``ValueError`` for an ``lr`` that is a tensor of two elements.

    A rate for each element of a weight cannot be given: scale the gradient in a hook.
    """
    weight = nn.Parameter(torch.tensor([3.0, 2.0]))
    with pytest.raises(ValueError, match=r"^Tensor lr must be 1-element$"):
        make([weight], lr=torch.tensor([0.5, 0.25]))


@pytest.mark.since("2.6")
@pytest.mark.parametrize("make", [optim.Adam, optim.AdamW])
def test_betas_may_be_tensors(make):
    """``betas`` of ``Adam`` and ``AdamW`` may be two tensors, if both are, and ``foreach`` is not asked for.

    With whole numbers such as ``betas=(0, 0.9)`` a ``ValueError`` is raised as well: write ``0.0``.
    """
    weight, seen = nn.Parameter(torch.tensor([0.0])), []
    betas = torch.tensor(0.5), torch.tensor(0.75)
    optimizer = make([weight], lr=1.0, betas=betas, weight_decay=0.0)
    for grad in (4.0, -4.0):
        before, weight.grad = weight.item(), torch.tensor([grad])
        optimizer.step()
        seen.append(before - weight.item())

    assert seen == pytest.approx([1.0, -1 / 3])
    for mixed in [(betas[0], 0.75), (0.5, betas[1]), (0, 0.75)]:
        with pytest.raises(ValueError, match=r"^betas must be either both floats or both Tensors$"):
            make([weight], betas=mixed)
    with pytest.raises(ValueError, match=r"betas\[0\] as a Tensor is not supported .* foreach=True"):
        make([weight], betas=betas, foreach=True)


@pytest.mark.since("2.4")
@pytest.mark.parametrize("make", [optim.Adam, optim.AdamW])
def test_fused_is_one_way_of_three(make):
    """``Adam`` and ``AdamW`` raise ``RuntimeError`` for ``fused`` with ``foreach`` or ``differentiable``.

    One of them at a time: they are ways to compute the same step.
    """
    weight = nn.Parameter(torch.tensor([3.0], device="cpu"))
    with pytest.raises(RuntimeError, match=r"^`fused` and `foreach` cannot be `True` together.$"):
        make([weight], lr=0.5, fused=True, foreach=True)
    with pytest.raises(RuntimeError, match=r"^`fused` does not support `differentiable`$"):
        make([weight], lr=0.5, fused=True, differentiable=True)


@pytest.mark.since("2.4")
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (optim.SGD, {"momentum": 0.5, "nesterov": True, "weight_decay": 0.25}),
        (optim.SGD, {"momentum": 0.5, "dampening": 0.25, "maximize": True}),
        (optim.Adam, {"amsgrad": True, "weight_decay": 0.25, "betas": (0.5, 0.75)}),
        (optim.AdamW, {"maximize": True, "weight_decay": 0.25, "eps": 0.5}),
        (optim.Adagrad, {"lr_decay": 0.5, "weight_decay": 0.25, "initial_accumulator_value": 1.0}),
    ],
    ids=["nesterov", "dampening", "adam", "adamw", "adagrad"],
)
def test_fused_steps_are_the_same(make, options):
    """``fused=True`` of ``SGD``, ``Adam``, ``AdamW`` and ``Adagrad`` on the CPU gives the usual steps.

    ``RMSprop`` and the others have no such argument: it is a ``TypeError``.
    """
    found = []
    for fused in (False, True):
        weight = nn.Parameter(torch.tensor([3.0, -2.0], device="cpu"))
        optimizer = make([weight], lr=0.5, fused=fused, **options)
        for grad in ([2.0, -1.0], [4.0, 3.0], [-1.0, 5.0]):
            weight.grad = torch.tensor(grad, device="cpu")
            optimizer.step()
        found.append(weight.tolist())

    assert found[0] == pytest.approx(found[1], rel=1e-4)
    with pytest.raises(TypeError, match="unexpected keyword argument 'fused'"):
        optim.RMSprop([weight], fused=True)


@pytest.mark.parametrize("make", [optim.SGD, optim.RMSprop, optim.Adam, optim.Adagrad])
def test_a_step_may_be_differentiated(make):
    """``differentiable=True`` lets autograd record ``step()``: gradients go through it to weights and
    ``grad``.

    The parameter must not be a leaf, such as a clone. Without it, steps run under ``no_grad``.
    """
    start = torch.tensor([3.0], requires_grad=True)
    grad = torch.tensor([2.0], requires_grad=True)
    weight = start.clone()
    weight.grad = grad * 1.0
    make([weight], lr=0.25, differentiable=True).step()
    weight.sum().backward()

    slope = -0.25 if make is optim.SGD else 0.0
    assert start.grad.tolist() == [1.0]
    assert grad.grad.tolist() == pytest.approx([slope], abs=1e-4)


def test_an_unknown_option_is_kept():
    """An :class:`~torch.optim.Optimizer` keeps an unknown option in a parameter group, and ignores it.

    So a misspelled ``"weigth_decay"`` or ``"learning_rate"`` does nothing, where the constructor raises
    ``TypeError``. Your own notes, like a name of the group, may stand there.
    """
    weight = nn.Parameter(torch.tensor([3.0]))
    weight.grad = torch.tensor([2.0])
    optimizer = optim.SGD([{"params": [weight], "learning_rate": 0.25, "name": "head"}], lr=0.5)
    optimizer.add_param_group({"params": [nn.Parameter(torch.rand(2))], "name": "body"})
    optimizer.step()

    assert weight.tolist() == [2.0]
    assert [group["name"] for group in optimizer.state_dict()["param_groups"]] == ["head", "body"]
    assert optimizer.param_groups[0]["learning_rate"] == 0.25
    with pytest.raises(TypeError, match="unexpected keyword argument 'learning_rate'"):
        optim.SGD([weight], lr=0.5, learning_rate=0.25)


def test_a_group_may_be_empty():
    """An optimizer raises ``ValueError`` for an empty list of parameters; a group may have empty ``params``.

    ``step()`` does nothing then. See :class:`torch.optim.Optimizer`.
    """
    with pytest.raises(ValueError, match=r"^optimizer got an empty parameter list$"):
        optim.SGD([], lr=0.5)
    optimizer = optim.SGD([{"params": []}, {"params": [], "lr": 0.25}], lr=0.5)
    optimizer.step()

    assert [(group["params"], group["lr"]) for group in optimizer.param_groups] == [([], 0.5), ([], 0.25)]
