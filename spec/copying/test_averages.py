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
    averaged = AveragedModel(net)
    nn.init.constant_(net.weight, 5.0)
    nn.init.constant_(averaged.module.weight, 3.0)

    assert averaged(torch.tensor([2.0])).item() == 6.0
    assert net.weight.item() == 5.0
    assert sorted(averaged.state_dict()) == ["module.weight", "n_averaged"]
    assert net.load_state_dict(averaged.module.state_dict()) == ([], [])


def test_parameters_are_averaged():
    """``AveragedModel.update_parameters(net)`` first copies the parameters, then averages with equal weights.

    It does so under no grad, and only when called: call it after ``optimizer.step()``.
    """
    net = nn.Sequential(nn.Linear(1, 1))
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

    net = nn.Linear(1, 1, bias=False)
    averaged, seen = AveragedModel(net, avg_fn=exponential), []

    for value in (3.0, 5.0, 10.0):
        nn.init.constant_(net.weight, value)
        averaged.update_parameters(net)
        seen.append(averaged.module.weight.item())

    assert seen == [3.0, 3.5, 5.125]
    assert numbers == [1, 2]


@pytest.mark.since("2.1")
def test_an_exponential_average():
    """``AveragedModel`` with ``get_ema_multi_avg_fn(decay)`` as ``multi_avg_fn`` is an exponential average
    (EMA).

    See :func:`torch.optim.swa_utils.get_ema_multi_avg_fn` (:pull:`94820`).
    """
    net = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(net, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.75))

    for value in (3.0, 5.0, 10.0):
        nn.init.constant_(net.weight, value)
        averaged.update_parameters(net)

    assert averaged.module.weight.item() == 0.75 * (0.75 * 3.0 + 0.25 * 5.0) + 0.25 * 10.0


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
        averaged.update_parameters(norm)

    assert averaged.module.running_mean.item() == mean
    assert averaged.module.num_batches_tracked.item() == 5


@pytest.mark.parametrize("training", [False, True])
def test_statistics_may_be_computed_anew(training):
    """:func:`~torch.optim.swa_utils.update_bn` computes BatchNorm statistics anew, as the mean over batches.

    It forgets the old ones. ``momentum`` and the mode are put back; any model will do, not only an average.
    """
    norm = nn.BatchNorm1d(1, momentum=0.25)
    net = nn.Sequential(norm, nn.BatchNorm1d(1, momentum=0.5)).train(training)
    norm.running_mean.fill_(100.0)
    norm.num_batches_tracked.fill_(7)

    update_bn([torch.tensor([[2.0], [4.0]]), torch.tensor([[6.0], [10.0], [14.0]])], net)

    assert [norm.running_mean.item(), norm.running_var.item()] == [6.5, 9.0]
    assert norm.num_batches_tracked.item() == 2
    assert net[1].running_var.item() == pytest.approx(1.75, rel=1e-4)
    assert [(layer.momentum, layer.training) for layer in net] == [(0.25, training), (0.5, training)]
