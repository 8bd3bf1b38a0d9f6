"""A copy that averages what its original becomes in training.

:class:`~torch.optim.swa_utils.AveragedModel` is a module around a deep copy. It takes the parameters of the
original each time it is told to; what becomes of buffers, such as the statistics of BatchNorm, is another
matter.
"""

import pytest
import torch
from torch import nn
from torch.optim import swa_utils
from torch.optim.swa_utils import AveragedModel, update_bn


def test_an_averaged_model_holds_a_copy():
    """:class:`~torch.optim.swa_utils.AveragedModel` is a module with a deep copy of the model as ``module``.

    Its state dict has ``n_averaged`` besides, and ``module.`` before each key: a plain model loads that of
    ``averaged.module``.
    """
    net = nn.Linear(1, 1, bias=False)
    net.register_buffer("mean", torch.tensor([7.0]))
    averaged = AveragedModel(net)
    nn.init.constant_(net.weight, 5.0)
    nn.init.constant_(averaged.module.weight, 3.0)
    averaged.module.mean.fill_(9.0)

    assert averaged(torch.tensor([2.0])).item() == 6.0
    assert [net.weight.item(), net.mean.item()] == [5.0, 7.0]
    assert sorted(averaged.state_dict()) == ["module.mean", "module.weight", "n_averaged"]
    assert net.load_state_dict(averaged.module.state_dict()) == ([], [])


def test_parameters_are_averaged():
    """``AveragedModel.update_parameters(net)`` first copies the parameters, then averages with equal weights.

    It does so under no grad, and only when called: call it after ``optimizer.step()``.
    """
    net = nn.Sequential(nn.Linear(1, 1))
    net[0].bias.requires_grad_(False)
    averaged, seen = AveragedModel(net), []

    for value in (3.0, 5.0, 10.0, 14.0):
        nn.init.constant_(net[0].weight, value)
        nn.init.constant_(net[0].bias, 10 * value)
        averaged.update_parameters(net)
        seen.append([p.item() for p in averaged.module.parameters()])

    nn.init.constant_(net[0].weight, 99.0)
    assert averaged(torch.tensor([2.0])).item() == 96.0
    assert seen == [[3.0, 30.0], [4.0, 40.0], [6.0, 60.0], [8.0, 80.0]]
    assert averaged.n_averaged.item() == 4


def test_an_average_of_ones_own():
    """``AveragedModel(net, avg_fn=function)`` averages by ``function`` from the second ``update_parameters``
    on.

    The first one copies. The function gets the average, the new value and the number of values so far.
    """
    numbers = []

    def exponential(average, value, number):
        numbers.append(number.item())
        return 0.75 * average + 0.25 * value

    net = nn.Linear(1, 1)
    averaged, seen = AveragedModel(net, avg_fn=exponential), []

    for value in (3.0, 5.0, 10.0):
        nn.init.constant_(net.weight, value)
        nn.init.constant_(net.bias, -value)
        averaged.update_parameters(net)
        seen.append([p.item() for p in averaged.module.parameters()])

    assert seen == [[3.0, -3.0], [3.5, -3.5], [5.125, -5.125]]
    assert numbers == [1, 1, 2, 2]


@pytest.mark.since("2.1")
def test_an_exponential_average():
    """``AveragedModel`` with ``get_ema_multi_avg_fn(decay)`` as ``multi_avg_fn`` is an exponential average
    (EMA).

    See :func:`torch.optim.swa_utils.get_ema_multi_avg_fn` (:pull:`94820`).
    """
    net = nn.Linear(1, 1)
    averaged = AveragedModel(net, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.75))

    for value in (3.0, 5.0, 10.0):
        nn.init.constant_(net.weight, value)
        nn.init.constant_(net.bias, -value)
        averaged.update_parameters(net)

    expected = 0.75 * (0.75 * 3.0 + 0.25 * 5.0) + 0.25 * 10.0
    assert [p.item() for p in averaged.module.parameters()] == [expected, -expected]


@pytest.mark.parametrize(("use_buffers", "mean"), [(False, 6.0), (True, 4.0)])
def test_buffers_are_copied_unless_told(use_buffers, mean):
    """``AveragedModel`` copies buffers such as BatchNorm statistics; with ``use_buffers=True`` it averages
    them.

    By default the averaged weights are used with statistics of the latest ones: see
    :func:`~torch.optim.swa_utils.update_bn`.
    """
    norm = nn.BatchNorm1d(1)
    averaged = AveragedModel(norm, use_buffers=use_buffers)
    norm.num_batches_tracked.fill_(5)

    for value in (2.0, 6.0):
        norm.running_mean.fill_(value)
        norm.running_var.fill_(value + 1)
        averaged.update_parameters(norm)

    assert [averaged.module.running_mean.item(), averaged.module.running_var.item()] == [mean, mean + 1]
    assert averaged.module.num_batches_tracked.item() == 5


@pytest.mark.parametrize("training", [False, True])
def test_statistics_may_be_computed_anew(training):
    """:func:`~torch.optim.swa_utils.update_bn` computes BatchNorm statistics anew, as the mean over batches.

    It forgets the old ones. ``momentum`` and the mode are put back; any model will do, not only an average.
    """
    norm, last = nn.BatchNorm1d(1, momentum=0.25), nn.BatchNorm1d(1, momentum=0.5)
    net = nn.Sequential(norm, nn.Sequential(last)).train(training)
    norm.running_mean.fill_(100.0)
    norm.num_batches_tracked.fill_(7)

    update_bn([torch.tensor([[2.0], [4.0]]), torch.tensor([[6.0], [10.0], [14.0]])], net)

    assert [norm.running_mean.item(), norm.running_var.item()] == [6.5, 9.0]
    assert norm.num_batches_tracked.item() == 2
    assert last.running_var.item() == pytest.approx(1.75, rel=1e-4)
    assert [(each.momentum, each.training) for each in (norm, last)] == [(0.25, training), (0.5, training)]


def test_an_average_has_flags_of_its_own():
    """``AveragedModel`` of a model in eval mode is in training mode itself; its ``module`` keeps the mode.

    Its parameters require grad like those of the model. Before validation call ``eval()`` on it, not on the
    model.
    """
    net = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)).eval()
    net[0].bias.requires_grad_(False)
    averaged = AveragedModel(net)

    assert [m.training for m in averaged.modules()] == [True, False, False, False]
    assert [p.requires_grad for p in averaged.parameters()] == [True, False]
    net.train()
    assert [m.training for m in averaged.module.modules()] == [False] * 3
    averaged.train()
    assert [m.training for m in averaged.eval().modules()] == [False] * 4


def test_parameters_are_paired_in_order():
    """``AveragedModel.update_parameters`` pairs parameters in order, not by name; a surplus one is left out.

    No error says so. Parameters of other shapes raise ``RuntimeError``.
    """
    averaged, plain = AveragedModel(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))), nn.Linear(1, 1)
    second = averaged.module[1].weight.item()
    averaged.update_parameters(plain)

    assert torch.equal(averaged.module[0].weight, plain.weight)
    assert averaged.module[1].weight.item() == second
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        averaged.update_parameters(nn.Linear(1, 3))


@pytest.mark.since("2.1")
def test_an_average_is_resumed_by_its_count():
    """Loading the weights of ``AveragedModel.module`` alone makes the next ``update_parameters`` copy the
    model.

    ``n_averaged`` is 0 then, and the average so far is lost: load the whole state, with ``n_averaged``.
    """
    net = nn.Linear(1, 1, bias=False)
    found = {}
    for whole in (True, False):
        decaying = swa_utils.get_ema_multi_avg_fn(0.75)
        trained, resumed = (AveragedModel(net, multi_avg_fn=decaying) for _ in range(2))
        for value in (4.0, 8.0):
            nn.init.constant_(net.weight, value)
            trained.update_parameters(net)
        if whole:
            resumed.load_state_dict(trained.state_dict())
        else:
            resumed.module.load_state_dict(trained.module.state_dict())
        nn.init.constant_(net.weight, 9.0)
        resumed.update_parameters(net)
        found[whole] = (resumed.module.weight.item(), resumed.n_averaged.item())

    assert found == {True: (6.0, 3), False: (9.0, 1)}


def test_a_plain_model_does_not_load_an_average():
    """``load_state_dict`` of a model raises ``RuntimeError`` for the state of ``AveragedModel``: keys have
    ``module.``.

    ``n_averaged`` is unexpected, too. Save ``averaged.module.state_dict()``, or cut the prefix off.
    """
    net = nn.Linear(1, 1)
    state = AveragedModel(net).state_dict()
    with pytest.raises(
        RuntimeError, match=r'Missing key.*"weight", "bias"(.|\n)*Unexpected key.*"n_averaged"'
    ):
        net.load_state_dict(state)

    del state["n_averaged"]
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    assert net.load_state_dict(plain) == ([], [])


@pytest.mark.since("2.6")
def test_a_decay_lies_between_0_and_1():
    """``get_ema_multi_avg_fn`` and ``get_ema_avg_fn`` raise ``ValueError`` for a decay outside 0 to 1.

    The decay is the share of the old average, 0.999 by default. See
    :func:`torch.optim.swa_utils.get_ema_multi_avg_fn`.
    """
    for make in (swa_utils.get_ema_multi_avg_fn, swa_utils.get_ema_avg_fn):
        for decay in (1.5, -0.25):
            with pytest.raises(ValueError, match=f"Invalid decay value {decay} provided"):
                make(decay)
        make(0.0), make(1.0)

    average = swa_utils.get_ema_avg_fn()(torch.tensor([1000.0]), torch.tensor([0.0]), 1)
    assert average.item() == pytest.approx(999.0)


@pytest.mark.since("2.1")
@pytest.mark.before("2.6")
def test_any_decay_was_taken():
    """``get_ema_avg_fn`` takes a decay outside 0 to 1, and the average then leaves the values behind.

    See :func:`torch.optim.swa_utils.get_ema_multi_avg_fn`.
    """
    average = swa_utils.get_ema_avg_fn(1.5)(torch.tensor([4.0]), torch.tensor([2.0]), 1)

    assert average.tolist() == [5.0]


def test_what_batches_update_bn_takes():
    """``update_bn`` takes tensors, and the first element of tuples or lists; a dict goes to the model whole.

    It puts the model's mode and the ``momentum`` of its norms back. A model without BatchNorm gets no batch.
    """
    norm = nn.BatchNorm1d(1, momentum=0.25).eval()
    batch = torch.tensor([[2.0], [4.0]])
    found = []
    for given in (batch, (batch + 1, torch.tensor([7])), [batch + 2]):
        update_bn([given], norm)
        found.append(norm.running_mean.item())

    assert found == [3.0, 4.0, 5.0]
    assert (norm.training, norm.momentum) == (False, 0.25)
    with pytest.raises(AttributeError, match="'dict' object has no attribute 'dim'"):
        update_bn([{"x": batch}], norm)
    batches = iter([batch])
    update_bn(batches, nn.Linear(1, 1))
    assert next(batches) is batch


@pytest.mark.since("2.1")
def test_one_function_averages():
    """``AveragedModel`` raises ``AssertionError`` if both ``avg_fn`` and ``multi_avg_fn`` are given."""
    functions = {"avg_fn": swa_utils.get_ema_avg_fn(0.5), "multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.5)}

    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn should be provided"):
        AveragedModel(nn.Linear(1, 1), **functions)


def test_a_first_update_that_averages():
    """The first ``AveragedModel.update_parameters`` copies; with ``n_averaged`` at 1 or more it averages.

    ``averaged.n_averaged += 1`` makes it count what the model was when the average was made.
    """
    results = []
    for count in (0, 1, 3):
        net = nn.Linear(1, 1, bias=False)
        nn.init.constant_(net.weight, 8.0)
        averaged = AveragedModel(net)
        averaged.n_averaged += count
        nn.init.constant_(net.weight, 4.0)
        averaged.update_parameters(net)
        results.append((averaged.module.weight.item(), averaged.n_averaged.item()))

    assert results == [(4.0, 1), (6.0, 2), (7.0, 4)]


def test_a_lazy_model_is_averaged_after_its_first_call():
    """``AveragedModel`` of a lazy model raises ``ValueError`` in its update if made before the first call."""
    net = nn.LazyLinear(2)
    early = AveragedModel(net)
    net(torch.ones(1, 3))
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
        early.update_parameters(net)

    late = AveragedModel(net)
    late.update_parameters(net)
    assert torch.equal(late.module.weight, net.weight)


def test_freezing_does_not_reach_the_average():
    """Parameters of ``AveragedModel`` require grad as the model's did then, and have no ``grad``.

    Freezing the model later leaves them so, and a frozen parameter is averaged like any other.
    """
    net = nn.Linear(1, 1)
    net.bias.requires_grad_(False)
    net(torch.ones(1)).backward()
    averaged = AveragedModel(net)
    net.requires_grad_(False)
    for value in (2.0, 6.0):
        nn.init.constant_(net.bias, value)
        averaged.update_parameters(net)

    assert [(p.requires_grad, p.grad) for p in averaged.parameters()] == [(True, None), (False, None)]
    assert averaged.module.bias.item() == 4.0
