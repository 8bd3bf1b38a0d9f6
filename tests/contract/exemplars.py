"""Well-behaved modules of many kinds: every rule holds for each, or does not apply to it.

``EXEMPLARS`` has for each what makes it and what makes its inputs.
"""

import torch
from torch import nn
from torch.nn.utils import parametrizations
from torchvision.models.resnet import BasicBlock, ResNet


class DoubleConv(nn.Module):
    """Two convolutions, each with batch norm, as a U-Net has them."""

    def __init__(self):
        super().__init__()
        self.doubleconv = nn.Sequential(
            *(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
            *(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        )

    def forward(self, x):
        return self.doubleconv(x)


class LeNet(nn.Module):
    """Convolutions, a reshape in the middle, and linear layers."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        )
        self.classifier = nn.Sequential(
            nn.Linear(16 * 5 * 5, 12), nn.Tanh(), nn.Dropout(0.5), nn.Linear(12, 10)
        )

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Parametrized(nn.Module):
    """A linear layer with a weight of norm 1, and named inputs and outputs."""

    def __init__(self):
        super().__init__()
        self.inner = parametrizations.spectral_norm(nn.Linear(4, 3))
        self.register_buffer("offset", torch.tensor([0.5, 1.5, 2.5]))
        self.register_parameter("scale", None)

    def forward(self, x, *, mask):
        scores = self.inner(x) + self.offset
        return {"scores": scores.masked_fill(mask, 0.0), "kept": (~mask).sum(1)}


def tied():
    """Two linear layers with one weight."""
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    net[2].weight = net[0].weight
    return net


class ThinResNet34(ResNet):
    """torchvision's ResNet34 with all of its layers, each of a sixteenth of the channels."""

    def __init__(self):
        super().__init__(BasicBlock, [3, 4, 6, 3], num_classes=7)
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4)
        self.fc = nn.Linear(32, 7)

    def _make_layer(self, block, planes, blocks, *args, **kwargs):
        self.inplanes = 4 if planes == 64 else self.inplanes
        return super()._make_layer(block, planes // 16, blocks, *args, **kwargs)


def of_shape(*shape):
    """Makes one float tensor."""
    return lambda: ((torch.rand(shape, generator=torch.Generator().manual_seed(3)),), {})


EXEMPLARS = {
    "double convolution": (DoubleConv, of_shape(3, 2, 6, 5)),
    "LeNet": (LeNet, of_shape(2, 1, 32, 32)),
    "tied Sequential": (tied, of_shape(3, 4)),
    "GRU": (lambda: nn.GRU(3, 4, num_layers=2, batch_first=True), of_shape(3, 5, 3)),
    "transformer encoder": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 6, batch_first=True), 2, enable_nested_tensor=False
        ),
        of_shape(3, 5, 8),
    ),
    "lazy network": (
        lambda: nn.Sequential(nn.LazyConv1d(3, 2), nn.LazyBatchNorm1d(), nn.Flatten(), nn.LazyLinear(2)),
        of_shape(4, 2, 6),
    ),
    "parametrized layer": (
        Parametrized,
        lambda: ((of_shape(3, 4)()[0]), {"mask": torch.tensor([[True, False, False]]).expand(3, 3)}),
    ),
    "ResNet34": (ThinResNet34, of_shape(2, 3, 32, 32)),
}
