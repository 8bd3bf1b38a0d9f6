"""A shallow copy of a module.

``copy.copy`` makes a second module that shares its stores with the first. That is seldom what is wanted.
"""

import copy

import torch
from torch import nn


def test_a_shallow_copy_shares_everything():
    """``copy.copy(module)`` is a new module that shares parameters, buffers and submodules with the original.

    Training the one trains the other. For an independent module use ``copy.deepcopy``.

    See also :ref:`copying.deepcopy.a_deep_copy_is_equal_and_separate`
    """
    net = nn.BatchNorm1d(3)
    net.register_buffer("cache", torch.rand(2), persistent=False)
    net.inner = nn.Linear(2, 3)
    copied = copy.copy(net)

    assert copied is not net
    assert type(copied) is nn.BatchNorm1d
    assert [id(p) for p in copied.parameters()] == [id(p) for p in net.parameters()]
    assert [id(b) for b in copied.buffers()] == [id(b) for b in net.buffers()]
    assert [id(m) for m in copied.children()] == [id(net.inner)]


def test_the_stores_are_shared():
    """Registering or deleting a parameter on a ``copy.copy`` of a module does the same on the original.

    ``_parameters``, ``_buffers`` and ``_modules`` are the very dictionaries of the original.
    """
    net = nn.Linear(2, 3)
    copied = copy.copy(net)
    scale = nn.Parameter(torch.rand(2))

    copied.scale = scale
    del copied.bias

    assert [name for name, _ in net.named_parameters()] == ["weight", "scale"]
    assert net.scale is scale
    assert copied._parameters is net._parameters
    assert copied._buffers is net._buffers
    assert copied._modules is net._modules


def test_hooks_are_shared():
    """A forward hook or pre-hook registered on a ``copy.copy`` of a module also runs for the original.

    The first backward hook does not: of which kind it is, ``_is_full_backward_hook``, the copy alone knows.
    """
    calls = []

    def note(module, args, output=None):
        calls.append(module)

    net = nn.Linear(2, 3)
    copied = copy.copy(net)
    copied.register_forward_pre_hook(note)
    copied.register_forward_hook(note)
    net(torch.rand(4, 2))
    copied(torch.rand(4, 2))

    assert calls == [net, net, copied, copied]

    copied.register_full_backward_hook(lambda module, *gradients: calls.append("backward"))
    net(torch.rand(4, 2, requires_grad=True)).sum().backward()
    assert calls[4:] == [net, net]

    copied(torch.rand(4, 2, requires_grad=True)).sum().backward()
    assert calls[6:] == [copied, copied, "backward"]


def test_plain_attributes_are_its_own():
    """Setting a plain attribute or the ``training`` flag of a ``copy.copy`` does not change the original
    module.
    """
    net = nn.Dropout()
    net.width = 2
    copied = copy.copy(net)
    copied.width = 3
    copied.eval()

    assert (net.width, net.training) == (2, True)
    assert (copied.width, copied.training) == (3, False)


def test_submodules_are_switched_for_both():
    """``copy.copy(net).eval()`` switches the submodules of ``net`` to evaluation mode, but not ``net``
    itself.
    """
    net = nn.Sequential(nn.Dropout())

    copy.copy(net).eval()

    assert net.training is True
    assert net[0].training is False


def test_moving_a_shallow_copy_moves_both():
    """``copy.copy(net).to(dtype)`` and ``copy.copy(net).double()`` also convert the parameters of ``net``."""
    net = nn.Linear(2, 3)
    net.inner = nn.PReLU()

    copy.copy(net).double()

    assert [p.dtype for p in net.parameters()] == [torch.float64] * 3

    copy.copy(net).to(torch.float16)

    assert [p.dtype for p in net.parameters()] == [torch.float16] * 3
