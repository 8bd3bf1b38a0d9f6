"""A batch normalization that is to stay as it is.

Fine-tuning often keeps the statistics of a pretrained network. Freezing its parameters does not do that, and
evaluation mode does it until the next call of ``train``.
"""

import pytest
import torch
from torch import nn


@pytest.mark.question("Q39")
def test_frozen_parameters_are_not_enough():
    """``BatchNorm`` with frozen parameters still updates its running statistics in training mode.

    :meth:`~torch.nn.Module.requires_grad_` freezes weight and bias. To keep the statistics, too, put the
    layer in evaluation mode.

    See also :ref:`modes.frozen_norm.an_overridden_train_keeps_it_asleep`
    """
    for momentum in (1.0, None):
        layer = nn.BatchNorm1d(2, momentum=momentum).requires_grad_(False)
        x = torch.randn(8, 2) + 4
        layer(x)

        assert [*layer.weight.tolist(), *layer.bias.tolist()] == [1, 1, 0, 0]
        torch.testing.assert_close(layer.running_mean, x.mean(0))
        torch.testing.assert_close(layer.running_var, x.var(0))
        assert layer.num_batches_tracked.item() == 1


@pytest.mark.question("Q39")
def test_train_wakes_a_layer_up():
    """``net.train()`` puts a ``BatchNorm`` layer that was in eval mode back in training mode.

    Its statistics are then updated. A loop that begins each epoch with ``net.train()`` does that: call
    ``eval()`` of the layer after it, or override ``train``.

    See also :ref:`modes.frozen_norm.an_overridden_train_keeps_it_asleep`
    """
    for trained in (True, False):
        net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).requires_grad_(trained))
        net[1].eval()
        net(torch.randn(8, 2))
        assert net[1].num_batches_tracked.item() == 0

        nn.Sequential(net).train()
        net(torch.randn(8, 2))
        assert net[1].training is True
        assert net[1].num_batches_tracked.item() == 1


@pytest.mark.question("Q39")
def test_an_overridden_train_keeps_it_asleep():
    """A module can keep its ``BatchNorm`` layer in eval mode by overriding ``train``.

    ``eval`` and ``train`` of any parent module call the overridden method. Only ``train`` called on the layer
    itself bypasses it.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.norm = nn.Dropout(), nn.BatchNorm1d(2)

        def train(self, mode=True):
            super().train(mode)
            self.norm.eval()
            return self

    net = nn.Sequential(Net())
    net.eval()
    net.train()
    assert [module.training for module in net.modules()] == [True, True, True, False]

    net[0].norm.train()
    assert net[0].norm.training is True


@pytest.mark.question("Q39")
def test_a_subclass_keeps_itself_asleep():
    """A ``BatchNorm`` whose ``train()`` calls ``super().train(False)`` is in eval mode after
    ``net.train()``.
    """

    class FrozenNorm(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    net = nn.Sequential(FrozenNorm(2), nn.BatchNorm1d(2))
    nn.Sequential(nn.Sequential(net)).train()
    assert [layer.training for layer in net] == [False, True]

    net.train()
    net[0].train()
    net(torch.randn(8, 2))
    assert net[0].training is False
    assert [layer.num_batches_tracked.item() for layer in net] == [0, 1]


def test_gradients_pass_through_a_sleeping_layer():
    """``BatchNorm`` in eval mode still gives gradients to its input, and to ``weight`` and ``bias`` unless
    frozen.

    Evaluation mode keeps the statistics, :meth:`~torch.nn.Module.requires_grad_` the parameters: a layer
    that is to stay as it is needs both.
    """
    layer = nn.BatchNorm1d(2, eps=0.25).eval()
    layer.running_var.fill_(3.75)
    x = torch.tensor([[3.0, 5.0], [6.0, 2.0]], requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    torch.testing.assert_close(layer.weight.grad, torch.tensor([4.5, 3.5]))
    assert layer.bias.grad.tolist() == [2, 2]

    for trained in ([False, True], [True, False], [False, False]):
        x.grad = layer.weight.grad = layer.bias.grad = None
        layer.weight.requires_grad_(trained[0])
        layer.bias.requires_grad_(trained[1])
        layer(x).sum().backward()
        assert [parameter.grad is not None for parameter in layer.parameters()] == trained
        assert x.grad.tolist() == [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.needs("torchvision")
def test_torchvision_has_one_without_a_mode():
    """``torchvision.ops.FrozenBatchNorm2d`` computes the same in training and eval mode and has no
    parameters.

    Use it instead of ``BatchNorm2d`` where neither statistics nor weights may change.
    """
    from torchvision.ops import FrozenBatchNorm2d

    layer = FrozenBatchNorm2d(2, eps=0.25)
    layer.running_mean.copy_(torch.tensor([3.0, 5.0]))
    layer.running_var.copy_(torch.tensor([2.0, 6.0]))
    x = torch.randn(4, 2, 3, 3)
    wanted = (x - layer.running_mean.view(2, 1, 1)) / (layer.running_var.view(2, 1, 1) + 0.25).sqrt()

    torch.testing.assert_close(layer.train()(x), wanted)
    torch.testing.assert_close(layer.eval()(x), wanted)
    assert layer.running_mean.tolist() == [3, 5]
    assert layer.running_var.tolist() == [2, 6]
    assert list(layer.parameters()) == []
