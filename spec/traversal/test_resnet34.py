"""ResNet-34 as an example.

torchvision's ``resnet34`` is large enough to show what a walk is for: 36 convolutions with a batch
normalization each, and one linear layer. The clauses only look at it and so share one, which is built on the
meta device, without memory for weights.
"""

from collections import Counter
from functools import cache

import pytest
import torch
from torch import nn


@cache
def resnet34():
    import torchvision

    with torch.device("meta"):
        return torchvision.models.resnet34()


@pytest.mark.needs("torchvision")
@pytest.mark.claim("N1-08", "N1-09", "N1-05")
def test_it_has_110_parameters():
    """torchvision's ``resnet34`` has 110 parameter tensors, in ``parameters()`` and ``named_parameters()``.

    A weight for each of 36 convolutions, a weight and a bias for each of 36 batch normalizations and for
    ``fc``. What a count of parameters usually means is the sum of their :meth:`~torch.Tensor.numel`.
    """
    net = resnet34()

    assert len(list(net.parameters())) == 110
    assert len(list(net.named_parameters())) == 110
    assert sum(p.numel() for p in net.parameters()) == 21_797_672


@pytest.mark.needs("torchvision")
@pytest.mark.claim("N1-12")
def test_the_first_parameter_is_conv1_weight():
    """``named_parameters()`` of torchvision's ``resnet34`` starts with ``conv1.weight`` and ends with
    ``fc.bias``.
    """
    net = resnet34()
    named = list(net.named_parameters())

    assert [named[0][0], named[-1][0]] == ["conv1.weight", "fc.bias"]
    assert named[0][1] is net.conv1.weight
    assert type(named[0][1]) is nn.Parameter


@pytest.mark.needs("torchvision")
@pytest.mark.claim("N1-10")
def test_it_has_116_modules():
    """torchvision's ``resnet34`` has 116 ``modules()``: itself, its layers, and the blocks that hold them."""
    net = resnet34()
    kinds = Counter(type(module).__name__ for module in net.modules())

    assert len(list(net.named_modules())) == 116
    assert [kinds[name] for name in ("Conv2d", "BatchNorm2d", "Linear")] == [36, 36, 1]
    assert [kinds[name] for name in ("ResNet", "BasicBlock", "Sequential", "ReLU")] == [1, 16, 7, 17]
    assert sum(kinds.values()) == 116


@pytest.mark.needs("torchvision")
@pytest.mark.claim("N1-07", "N1-11")
def test_the_whole_comes_before_conv1():
    """``named_modules()`` of torchvision's ``resnet34`` starts with ``""``, the net itself, then
    ``conv1``.
    """
    net = resnet34()
    named = list(net.named_modules())

    assert named[0] == ("", net)
    assert named[1] == ("conv1", net.conv1)
    assert repr(named[1][1]) == (
        "Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False)"
    )


@pytest.mark.needs("torchvision")
def test_its_children_are_ten():
    """torchvision's ``resnet34`` has ten ``children()``: the stem's four, ``layer1`` to ``layer4``,
    ``avgpool``, ``fc``.
    """
    names = [name for name, _ in resnet34().named_children()]

    assert names[:4] == ["conv1", "bn1", "relu", "maxpool"]
    assert names[4:8] == ["layer1", "layer2", "layer3", "layer4"]
    assert names[8:] == ["avgpool", "fc"]


@pytest.mark.needs("torchvision")
def test_each_normalisation_has_three_buffers():
    """torchvision's ``resnet34`` has 108 ``buffers()``: three for each of its 36 batch normalizations."""
    net = resnet34()
    names = [name.rpartition(".")[2] for name, _ in net.named_buffers()]

    assert Counter(names) == {"running_mean": 36, "running_var": 36, "num_batches_tracked": 36}
    assert len(list(net.buffers())) == 108


@pytest.mark.needs("torchvision")
def test_a_deep_layer_is_found_by_name():
    """``get_submodule("layer3.5.conv2")`` finds a layer deep in torchvision's ``resnet34`` by its name."""
    net = resnet34()

    assert net.get_submodule("layer3.5.conv2") is net.layer3[5].conv2
    assert net.get_parameter("layer3.5.conv2.weight") is net.layer3[5].conv2.weight
    assert net.layer3[5].conv2.weight.shape == (256, 256, 3, 3)
