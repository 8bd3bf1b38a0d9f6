"""Switching the mode.

``training`` is an attribute of every module. ``train`` and ``eval`` set it for a module and all below it.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-36", "N5-24")
def test_eval_sets_training_to_false():
    """:meth:`~torch.nn.Module.eval` sets ``training`` to false for a module and all its submodules.

    The mode of a module is its attribute :attr:`~torch.nn.Module.training`.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Dropout()))
    net.eval()

    assert [module.training for module in net.modules()] == [False, False, False, False]


@pytest.mark.claim("N2-36", "N5-24")
def test_train_sets_training_to_true():
    """:meth:`~torch.nn.Module.train` sets ``training`` to true for a module and all its submodules."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Dropout())).eval()
    net.train()

    assert [module.training for module in net.modules()] == [True, True, True, True]


def test_train_takes_the_mode():
    """``train(False)`` is the same as ``eval()``."""
    net = nn.Sequential(nn.Linear(2, 3))
    net.train(False)

    assert [module.training for module in net.modules()] == [False, False]

    net.train(mode=True)

    assert [module.training for module in net.modules()] == [True, True]


@pytest.mark.question("Q41")
def test_both_return_the_module():
    """:meth:`~torch.nn.Module.train` and :meth:`~torch.nn.Module.eval` return the module itself.

    So ``model = Model().eval()`` is fine.
    """
    net = nn.Sequential(nn.Linear(2, 3))

    assert (net.train() is net, net.train(False) is net, net.eval() is net) == (True, True, True)


@pytest.mark.parametrize(
    "mode", ["x", 1, None, torch.tensor(True)], ids=["string", "number", "none", "tensor"]
)
def test_the_mode_is_a_bool(mode):
    """A mode that is no ``bool`` raises ``ValueError`` and changes nothing.

    An optimizer or a data loader passed by mistake is caught that way.
    """
    net = nn.Sequential(nn.Linear(2, 3)).eval()

    with pytest.raises(ValueError, match=r"^training mode is expected to be boolean$"):
        net.train(mode)

    assert [module.training for module in net.modules()] == [False, False]


def test_a_submodule_alone_is_switched():
    """A submodule can be switched on its own, until the whole is switched again."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout())
    net[1].eval()

    assert [module.training for module in net.modules()] == [True, True, False]

    net.train()

    assert [module.training for module in net.modules()] == [True, True, True]


def test_the_attribute_can_be_set():
    """``training`` can be set by hand; submodules do not follow."""
    net = nn.Sequential(nn.Linear(2, 3))
    net.training = False

    assert [module.training for module in net.modules()] == [False, True]


def test_a_later_submodule_keeps_its_mode():
    """A submodule that is assigned to a module in evaluation mode keeps the mode it has."""
    net = nn.Module().eval()
    net.head = nn.Dropout()

    assert (net.training, net.head.training) == (False, True)


def test_every_submodule_is_asked():
    """:meth:`~torch.nn.Module.train` calls the ``train`` of each child, overridden or not, with the mode."""
    calls = []

    class Layer(nn.Module):
        def train(self, mode=True):
            calls.append(mode)
            return super().train(mode)

    net = nn.Sequential(Layer(), Layer())
    net.train()
    net.eval()

    assert calls == [True, True, False, False]


def test_eval_calls_train():
    """:meth:`~torch.nn.Module.eval` calls ``train(False)``, so that one override serves both."""
    calls = []

    class Net(nn.Module):
        def train(self, mode=True):
            calls.append(mode)
            return "what train returns"

    assert Net().eval() == "what train returns"
    assert calls == [False]


@pytest.mark.observed
def test_an_eval_of_a_child_is_not_called():
    """An ``eval`` overridden in a child is not called when the whole is switched; its ``train`` is."""
    calls = []

    class Layer(nn.Module):
        def eval(self):
            calls.append("eval")
            return super().eval()

    net = nn.Sequential(Layer())
    net.eval()

    assert calls == []
    assert net[0].training is False


def test_eval_leaves_gradients_on():
    """:meth:`~torch.nn.Module.eval` does not switch gradients off: :class:`~torch.no_grad` does."""
    net = nn.Linear(2, 3).eval()
    out = net(torch.rand(4, 2))
    out.sum().backward()

    assert out.requires_grad is True
    assert net.weight.grad.shape == (3, 2)
    assert torch.is_grad_enabled() is True


def test_no_grad_leaves_the_mode():
    """:class:`~torch.no_grad` and :class:`~torch.inference_mode` do not switch a module to evaluation."""
    layer = nn.Dropout(1.0)
    x = torch.rand(3) + 1
    with torch.no_grad():
        first = layer(x)
    with torch.inference_mode():
        second = layer(x)

    assert layer.training is True
    assert (first.tolist(), second.tolist()) == ([0, 0, 0], [0, 0, 0])


def test_freezing_leaves_the_mode():
    """:meth:`~torch.nn.Module.requires_grad_` does not switch a module to evaluation."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout()).requires_grad_(False)

    assert [module.training for module in net.modules()] == [True, True, True]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_the_mode_is_not_saved(training):
    """The mode is no part of the state dict: loading leaves it as it is."""
    saved = nn.Sequential(nn.Dropout(), nn.Linear(2, 3)).train(not training).state_dict()
    net = nn.Sequential(nn.Dropout(), nn.Linear(2, 3)).train(training)
    net.load_state_dict(saved)

    assert list(saved) == ["1.weight", "1.bias"]
    assert [module.training for module in net.modules()] == [training] * 3


@pytest.mark.parametrize(
    "layer", [nn.Linear(4, 4), nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.ReLU(), nn.Softmax(-1)], ids=repr
)
def test_most_layers_compute_the_same(layer):
    """Most layers compute the same in both modes, group and layer normalisation among them."""
    x = torch.randn(3, 4)

    assert torch.equal(layer.train()(x), layer.eval()(x))
