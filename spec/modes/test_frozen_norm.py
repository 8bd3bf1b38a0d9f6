"""A batch normalisation that is to stay as it is.

Fine-tuning often keeps the statistics of a pretrained network. Freezing its parameters does not do that, and
evaluation mode does it until the next call of ``train``.
"""

import pytest
import torch
from torch import nn


@pytest.mark.question("Q39")
def test_frozen_parameters_are_not_enough():
    """A layer without trainable parameters updates its running statistics in training."""
    layer = nn.BatchNorm1d(2).requires_grad_(False)
    layer(torch.randn(8, 2) + 4)

    assert (layer.weight.tolist(), layer.bias.tolist()) == ([1, 1], [0, 0])
    assert all(mean > 0.2 for mean in layer.running_mean.tolist())
    assert layer.num_batches_tracked.item() == 1


@pytest.mark.question("Q39")
def test_train_wakes_a_layer_up():
    """A layer in evaluation mode is in training mode again once the whole is switched to training.

    Its statistics are then updated. A loop that begins each epoch with ``net.train()`` does that.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    net[1].eval()
    net(torch.randn(8, 2))
    counts = [net[1].num_batches_tracked.item()]
    net.train()
    net(torch.randn(8, 2))
    counts.append(net[1].num_batches_tracked.item())

    assert (net[1].training, counts) == (True, [0, 1])


@pytest.mark.question("Q39")
def test_an_overridden_train_keeps_it_asleep():
    """A ``train`` of one's own keeps a layer in evaluation mode for good.

    It is the place to do so: ``eval`` and the ``train`` of any parent end there.
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
    net.train()

    assert (net[0].training, net[0].head.training, net[0].norm.training) == (True, True, False)


@pytest.mark.question("Q39")
def test_a_subclass_keeps_itself_asleep():
    """A subclass of a layer whose ``train`` ignores the mode stays in evaluation wherever it is put."""

    class FrozenNorm(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    net = nn.Sequential(FrozenNorm(2), nn.BatchNorm1d(2)).train()
    net[0].eval()
    net.train()
    net(torch.randn(8, 2))

    assert [layer.training for layer in net] == [False, True]
    assert [layer.num_batches_tracked.item() for layer in net] == [0, 1]


def test_gradients_pass_through_a_sleeping_layer():
    """In evaluation mode weight and bias are trained unless they are frozen."""
    layer = nn.BatchNorm1d(2).eval()
    x = torch.randn(8, 2)
    layer(x).sum().backward()

    assert torch.allclose(layer.weight.grad, x.sum(0) / (1 + 1e-5) ** 0.5, atol=1e-6)
    assert layer.bias.grad.tolist() == [8, 8]


@pytest.mark.needs("torchvision")
def test_torchvision_has_one_without_a_mode():
    """The frozen batch normalisation of torchvision computes the same in both modes and has no parameters."""
    from torchvision.ops import FrozenBatchNorm2d

    layer = FrozenBatchNorm2d(2)
    layer.running_mean.copy_(torch.tensor([3.0, 5.0]))
    x = torch.randn(4, 2, 3, 3)

    assert torch.equal(layer.train()(x), layer.eval()(x))
    assert list(layer.parameters()) == []
    assert layer.running_mean.tolist() == [3, 5]
