"""Which rate a scheduler sets, and which one it starts from.

A scheduler is stepped after the optimizer. Some multiply the rate that they find, others compute it anew from
``initial_lr``, which the first scheduler of an optimizer writes into its groups. That decides what becomes of
a rate that is changed by hand, and of a second scheduler.
"""

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adagrad, Adam, lr_scheduler


def test_a_scheduler_comes_after_the_optimizer():
    """``scheduler.step()`` before the first ``optimizer.step()`` gives a ``UserWarning`` and skips the first
    rate.

    Put ``scheduler.step()`` at the end of the loop.
    """
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)

    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
    for _ in range(2):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()

    assert rates == [0.5, 0.25]


def test_a_replaced_step_is_warned_of():
    """A scheduler gives a ``UserWarning`` if ``optimizer.step`` was replaced after the scheduler was made.

    Wrappers of mixed precision and of profilers do so. Make the scheduler last; it works all the same.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    optimizer.step = lambda: None
    optimizer.step()

    with pytest.warns(UserWarning, match=r"`optimizer.step\(\)` has been overridden"):
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda one: lr_scheduler.StepLR(one, 1, 0.5), [50.0, 25.0]),
        (lambda one: lr_scheduler.ExponentialLR(one, 0.5), [50.0, 25.0]),
        (lambda one: lr_scheduler.LambdaLR(one, lambda epoch: 0.5**epoch), [0.25, 0.125]),
        (lambda one: lr_scheduler.CosineAnnealingWarmRestarts(one, 4), [0.5, 0.14645]),
    ],
    ids=["StepLR", "ExponentialLR", "LambdaLR", "CosineAnnealingWarmRestarts"],
)
def test_a_rate_set_by_hand(make, expected):
    """``StepLR`` goes on from an ``lr`` set by hand; ``LambdaLR`` and ``CosineAnnealingWarmRestarts``
    overwrite it.

    The former multiply the rate that they find, the latter compute it from ``base_lrs``: to change their rate
    for good, change ``scheduler.base_lrs``.
    """
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    scheduler = make(optimizer)
    for step in range(3):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
        if step == 0:
            optimizer.param_groups[0]["lr"] = 100.0

    assert rates[1:] == pytest.approx(expected, abs=1e-5)


def test_a_second_scheduler_starts_from_the_first_rate():
    """A new scheduler takes its ``base_lrs`` from ``initial_lr``, the rate before the first one, not from
    ``lr``.

    Delete ``initial_lr`` from the groups, or set it, to start from another rate.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    first = lr_scheduler.StepLR(optimizer, 1, 0.25)
    optimizer.step()
    first.step()
    group = optimizer.param_groups[0]

    second = lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)
    assert (group["initial_lr"], second.base_lrs, group["lr"]) == (1.0, [1.0], 1.0)

    group["lr"] = 0.25
    del group["initial_lr"]
    assert lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0).base_lrs == [0.25]


def test_a_new_cosine_at_zero_stays_there():
    """A new ``CosineAnnealingLR`` on an optimizer whose ``lr`` has reached 0 stays at 0 for ``T_max`` steps.

    It multiplies the rate that it finds, and rises to the first one after that (:issue:`78003`). Set ``lr``
    first, or use ``CosineAnnealingWarmRestarts``.
    """
    groups = [{"params": [nn.Parameter(torch.rand(2))], "lr": lr} for lr in (1.0, 0.25)]
    optimizer, rates = SGD(groups, lr=0.5), []
    for steps in (2, 4):
        scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
        for _ in range(steps):
            optimizer.step()
            scheduler.step()
            rates.append([group["lr"] for group in optimizer.param_groups])

    assert [first for first, _ in rates] == pytest.approx([0.5, 0.0, 0.0, 0.0, 0.5, 1.0])
    assert [4 * second for _, second in rates] == pytest.approx([first for first, _ in rates])


def test_warm_restarts_jump_back():
    """``CosineAnnealingWarmRestarts`` falls along a cosine and jumps back after ``T_0`` steps; ``T_mult``
    lengthens.

    It never reaches ``eta_min``: the step that would is the restart.
    """
    optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()

    assert rates == pytest.approx([1.0, 0.5, 1.0, 0.85355, 0.5, 0.14645, 1.0], abs=1e-5)


def test_two_schedulers_of_one_optimizer():
    """Two schedulers stepped in each epoch, such as ``StepLR`` and ``ExponentialLR``, multiply their
    factors.
    """
    make = (lambda sgd: lr_scheduler.StepLR(sgd, 2, 0.1)), (lambda sgd: lr_scheduler.ExponentialLR(sgd, 0.5))
    for order in (make, make[::-1]):
        optimizer, rates = SGD([nn.Parameter(torch.rand(2))], lr=1.0), []
        schedulers = [scheduler(optimizer) for scheduler in order]
        for _ in range(4):
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()
            rates.append(optimizer.param_groups[0]["lr"])
        assert rates == pytest.approx([0.5, 0.025, 0.0125, 0.000625])


def test_get_lr_is_for_step_alone():
    """``scheduler.get_lr()`` warns and may return the rate of the step to come; ``get_last_lr()`` returns
    ``lr``.

    It is what ``step()`` calls, and ``StepLR`` multiplies in it.
    """
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    optimizer.step()
    scheduler.step()

    with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`"):
        wrong = scheduler.get_lr()
    assert (wrong, scheduler.get_last_lr(), optimizer.param_groups[0]["lr"]) == ([0.25], [0.5], 0.5)


def test_functions_of_a_lambda_scheduler_are_not_saved():
    """``LambdaLR.state_dict()`` saves ``None`` for a function, and for a callable object its attributes.

    Make the scheduler with the same function before it is loaded.
    """

    class Warmup:
        def __init__(self, steps):
            self.steps = steps

        def __call__(self, epoch):
            return min(1.0, (epoch + 1) / self.steps)

    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)
    plain = lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    saved, loaded = lr_scheduler.LambdaLR(optimizer, Warmup(4)), lr_scheduler.LambdaLR(optimizer, Warmup(9))
    loaded.load_state_dict(saved.state_dict())

    assert plain.state_dict()["lr_lambdas"] == [None]
    assert saved.state_dict()["lr_lambdas"] == [{"steps": 4}]
    assert loaded.lr_lambdas[0].steps == 4


@pytest.mark.since("2.7")
def test_verbose_is_gone():
    """Schedulers raise ``TypeError`` for ``verbose``: print ``scheduler.get_last_lr()``."""
    optimizer = SGD([nn.Parameter(torch.rand(2))], lr=1.0)

    for make, options in (
        (lr_scheduler.StepLR, {"step_size": 1}),
        (lr_scheduler.LambdaLR, {"lr_lambda": float}),
        (lr_scheduler.OneCycleLR, {"max_lr": 1.0, "total_steps": 9}),
        (lr_scheduler.ReduceLROnPlateau, {}),
    ):
        with pytest.raises(TypeError, match="unexpected keyword argument 'verbose'"):
            make(optimizer, **options, verbose=True)


def test_momentum_cycles_by_default():
    """``OneCycleLR`` and ``CyclicLR`` also set ``momentum``, or the first of ``betas``, of the optimizer.

    The given value is lost: ``cycle_momentum=False`` keeps it. An optimizer without either, such as
    ``Adagrad``, raises ``ValueError``.
    """

    def make(kind, **options):
        return kind([nn.Parameter(torch.rand(2))], lr=1.0, **options)

    momentum, betas, kept = make(SGD, momentum=0.5), make(Adam, betas=(0.5, 0.7)), make(SGD, momentum=0.5)
    for optimizer in (momentum, betas):
        lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    lr_scheduler.CyclicLR(kept, 0.1, 1.0, cycle_momentum=False)

    assert momentum.param_groups[0]["momentum"] == 0.95
    assert betas.param_groups[0]["betas"] == (0.95, 0.7)
    assert kept.param_groups[0]["momentum"] == 0.5
    lr_scheduler.CyclicLR(kept, 0.1, 1.0)
    assert kept.param_groups[0]["momentum"] == 0.9
    with pytest.raises(ValueError, match=r"optimizer must support momentum or beta1|must support momentum"):
        lr_scheduler.OneCycleLR(make(Adagrad), max_lr=1.0, total_steps=10)


@pytest.mark.since("2.3")
def test_a_cyclic_rate_takes_adam():
    """``CyclicLR`` with its defaults takes ``Adam``, and cycles the first of its ``betas``."""
    optimizer = Adam([nn.Parameter(torch.rand(2))], lr=1.0, betas=(0.5, 0.7))

    lr_scheduler.CyclicLR(optimizer, 0.1, 1.0)

    assert optimizer.param_groups[0]["betas"] == (0.9, 0.7)


@pytest.mark.before("2.3")
def test_a_cyclic_rate_refused_adam():
    """``CyclicLR`` raises ``ValueError`` for ``Adam`` unless ``cycle_momentum=False`` is given."""
    optimizer = Adam([nn.Parameter(torch.rand(2))], lr=1.0)

    with pytest.raises(ValueError, match=r"optimizer must support momentum with `cycle_momentum` option"):
        lr_scheduler.CyclicLR(optimizer, 0.1, 1.0)
    lr_scheduler.CyclicLR(optimizer, 0.1, 1.0, cycle_momentum=False)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
