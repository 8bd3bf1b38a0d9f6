"""A ResNet-34 of few numbers, for runs that measure nothing."""

import torch
from torch import nn


def thin_resnet34():
    """ResNet-34 with a sixteenth of the channels in each layer: as many modules."""
    import torchvision

    with torch.device("meta"):
        net = torchvision.models.resnet34()
    for module in list(net.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.Conv2d):
                channels = max(3, layer.in_channels // 16), layer.out_channels // 16
                sizes = layer.kernel_size, layer.stride, layer.padding
                setattr(module, name, nn.Conv2d(*channels, *sizes, bias=False))
            elif isinstance(layer, nn.BatchNorm2d):
                setattr(module, name, nn.BatchNorm2d(layer.num_features // 16))
            elif isinstance(layer, nn.Linear):
                setattr(module, name, nn.Linear(layer.in_features // 16, layer.out_features))
    return net
