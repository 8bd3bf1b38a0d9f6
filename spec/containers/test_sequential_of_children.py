"""A Sequential made of another module's children: what it takes over, and what it leaves behind.

``nn.Sequential(*net.children())`` is a common way to cut a network. It knows the layers of ``net``, but not
its ``forward``: whether the two compute the same is a matter of luck.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn


def test_functions_between_layers_are_left_out():
    """``nn.Sequential(*net.children())`` leaves out what ``forward`` does between layers, like ``flatten``.

    Of a ResNet of torchvision it so loses the ``flatten`` before ``fc``, and raises for a size mismatch. Put
    an :class:`nn.Flatten <torch.nn.Flatten>` there, or keep ``net`` and replace its last layer.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.AdaptiveAvgPool2d(1)
            self.fc = nn.Linear(3, 5)

        def forward(self, x):
            return self.fc(torch.flatten(self.pool(x), 1))

    net, x = Net(), torch.rand(2, 3, 4, 4)

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        nn.Sequential(*net.children())(x)
    assert torch.equal(nn.Sequential(net.pool, nn.Flatten(1), net.fc)(x), net(x))


def test_the_order_is_that_of_registration():
    """``nn.Sequential(*net.children())`` runs layers in the order of registration, not of ``forward``."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm(2)
            self.linear = nn.Linear(2, 2)

        def forward(self, x):
            return self.norm(self.linear(x))

    net, x = Net(), torch.rand(3, 2)

    assert torch.equal(nn.Sequential(*net.children())(x), net.linear(net.norm(x)))
    assert not torch.allclose(net(x), net.linear(net.norm(x)))


def test_a_layer_that_is_used_twice_runs_once():
    """``nn.Sequential(*net.children())`` runs a layer once, however often ``forward`` of ``net`` calls it.

    One ``nn.ReLU`` behind several layers is such a layer, and so is one under two names: ``children()``
    yields it once.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = self.same = nn.Linear(2, 2)

        def forward(self, x):
            return self.same(self.layer(x))

    net, x = Net(), torch.rand(3, 2)

    assert torch.equal(nn.Sequential(*net.children())(x), net.layer(x))
    assert torch.equal(net(x), net.layer(net.layer(x)))


def test_tensors_of_the_module_itself_are_left_out():
    """``nn.Sequential(*net.children())`` leaves out parameters and buffers that ``net`` holds itself.

    So a vision transformer loses its class token and its positions.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.rand(2))
            self.register_buffer("scale", torch.tensor(3.0))
            self.linear = nn.Linear(2, 1)

        def forward(self, x):
            return self.linear(self.scale * x + self.token)

    net = Net()

    assert sorted(net.state_dict()) == ["linear.bias", "linear.weight", "scale", "token"]
    assert sorted(nn.Sequential(*net.children()).state_dict()) == ["0.bias", "0.weight"]


def test_the_layers_are_the_same_objects():
    """``nn.Sequential(*net.children())`` holds the layers of ``net`` themselves, not copies.

    To train or to freeze one is to train or to freeze the other. Where that is not wanted, ``deepcopy``
    first.
    """
    net = nn.ModuleDict({"body": nn.Linear(2, 3), "act": nn.ReLU(), "head": nn.Linear(3, 1)})
    body = nn.Sequential(*list(net.children())[:-1]).requires_grad_(False)

    assert list(body) == [net["body"], net["act"]]
    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["head.weight", "head.bias"]


def test_the_names_are_numbers():
    """``net.load_state_dict`` raises ``RuntimeError`` for the numbered keys of
    ``nn.Sequential(*net.children())``.

    Save the state dict of ``net``, or give the layers their names: see below.
    """
    net = nn.ModuleDict({"body": nn.Linear(2, 3), "head": nn.Linear(3, 1)})
    cut = nn.Sequential(*list(net.children())[:-1])

    assert list(cut.state_dict()) == ["0.weight", "0.bias"]
    with pytest.raises(
        RuntimeError, match=r'(?s)Missing key.*"body.weight", "body.bias", .*Unexpected key.*"0.weight"'
    ):
        net.load_state_dict(cut.state_dict())


def test_names_can_be_kept():
    """``nn.Sequential(OrderedDict(net.named_children()))`` keeps the names and so the state dict's keys.

    With ``strict=False`` each loads what the other has.
    """
    net = nn.ModuleDict({"fc1": nn.Linear(2, 3), "7": nn.Linear(3, 3, bias=False), "head": nn.Linear(3, 1)})
    cut = nn.Sequential(OrderedDict(list(net.named_children())[:-1]))

    assert list(cut.named_children()) == [("fc1", net["fc1"]), ("7", net["7"])]
    assert list(cut.state_dict()) == ["fc1.weight", "fc1.bias", "7.weight"]
    result = net.load_state_dict(cut.state_dict(), strict=False)
    assert result == (["head.weight", "head.bias"], [])


def test_the_mode_is_that_of_each():
    """``nn.Sequential(*net.children())`` is in training mode itself; its layers stay in the mode they are in.

    So after ``net.eval()`` the layers still evaluate, though ``training`` of the whole says ``True``; and
    ``train()`` of the new one switches the layers of ``net``.
    """
    net = nn.ModuleDict({"drop": nn.Sequential(nn.Dropout()), "head": nn.Linear(3, 1)}).eval()
    net["head"].train()
    cut = nn.Sequential(*net.children())

    assert [module.training for module in cut.modules()] == [True, False, False, True]
    cut.train()
    assert [net.training, net["drop"].training, net["drop"][0].training] == [False, True, True]


def test_hooks_of_the_module_are_left_out():
    """``nn.Sequential(*net.children())`` runs the hooks of the layers, but not those of ``net`` itself."""
    net, calls = nn.ModuleDict({"head": nn.Linear(2, 1)}), []
    net.register_forward_hook(lambda *given: calls.append("net"))
    net["head"].register_forward_hook(lambda *given: calls.append("head"))

    nn.Sequential(*net.children())(torch.rand(3, 2))

    assert calls == ["head"]


def test_modules_are_not_children():
    """``nn.Sequential(*net.modules())`` runs ``net`` itself first, and then each of its layers once more.

    :meth:`~torch.nn.Module.modules` yields the module itself, and layers at every depth beside the containers
    that hold them.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    everything, x = nn.Sequential(*net.modules()), torch.rand(3, 2)

    assert list(everything) == [net, net[0], net[1], net[1][0]]
    assert torch.equal(everything(x), net[1](net[1](net[0](net(x)))))


def test_an_identity_keeps_the_forward():
    """If the last layer of ``net`` is replaced by :class:`nn.Identity() <torch.nn.Identity>`, ``net(x)``
    returns that layer's input.

    ``forward``, names, hooks and the rest of ``net`` stay: the safe way to features. For those of a layer in
    the middle use a forward hook.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.fc = nn.Linear(2, 3), nn.Linear(3, 1)

        def forward(self, x):
            return self.fc(torch.relu(self.body(x)))

    net, x = Net(), torch.rand(4, 2)
    net.fc = nn.Identity()

    assert torch.equal(net(x), torch.relu(net.body(x)))
    assert list(net.state_dict()) == ["body.weight", "body.bias"]
