"""Hooks for what is saved: tensors on their way into the graph and out of it.

``torch.autograd.graph.saved_tensors_hooks(pack, unpack)`` sees each tensor that forward saves;
``save_on_cpu`` and offloading of activations are made of it.
"""

import pytest
import torch
from torch import nn
from torch.autograd.graph import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks


def test_what_forward_saves_is_packed():
    """:class:`~torch.autograd.graph.saved_tensors_hooks` calls ``pack`` in forward, ``unpack`` in
    ``backward()``.

    Each is called once for each tensor that an operation saves: the output of a ReLU that a layer takes is
    saved by both. What is computed after the ``with`` block is not seen; ``backward()`` may come after it.
    """
    net, events = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), []

    with saved_tensors_hooks(lambda x: events.append("pack") or x, lambda x: events.append("unpack") or x):
        output = net(torch.rand(4, 2))
    packed = len(events)
    output.tanh().sum().backward()

    assert packed >= 4
    assert events == ["pack"] * packed + ["unpack"] * packed


@pytest.mark.since("2.1")
def test_weights_are_packed_too():
    """Hooks of ``saved_tensors_hooks`` see weights as well as activations: a layer saves both.

    The weight comes as a transposed view, which is no ``Parameter``: compare ``data_ptr()``. So
    ``save_on_cpu`` copies weights too. See :class:`~torch.autograd.graph.saved_tensors_hooks`.
    """
    first, second, seen = nn.Linear(2, 3), nn.Linear(3, 1), []
    net = nn.Sequential(first, second)

    with saved_tensors_hooks(lambda x: seen.append(x) or x, lambda x: x):
        net(torch.rand(4, 2))

    assert [tuple(x.shape) for x in seen] == [(4, 2), (4, 3), (3, 1)]
    assert [x.data_ptr() == second.weight.data_ptr() for x in seen] == [False, False, True]
    assert not any(isinstance(x, nn.Parameter) for x in seen)


def test_what_is_unpacked_counts():
    """Gradients are computed from what ``unpack`` of ``saved_tensors_hooks`` returns, whatever was saved.

    ``pack`` may return anything, such as the name of a file. See
    :class:`~torch.autograd.graph.saved_tensors_hooks`.
    """
    layer = nn.Linear(2, 1)

    with saved_tensors_hooks(lambda x: ("a shape", x.shape), lambda kept: torch.full(kept[1], 7.0)):
        output = layer(torch.tensor([[1.0, 2.0]]))
    output.sum().backward()

    assert layer.weight.grad.tolist() == [[7.0, 7.0]]


def test_saving_on_the_cpu_changes_no_gradient(device):
    """:class:`~torch.autograd.graph.save_on_cpu` changes no gradient: it is computed where the module is.

    What forward saves is copied to the CPU and comes back in ``backward()``.
    """
    net, x = (
        nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).to(device),
        torch.rand(4, 2).to(device),
    )
    net(x).sum().backward()
    usual = [p.grad for p in net.parameters()]
    net.zero_grad()

    with save_on_cpu():
        output = net(x)
    output.sum().backward()

    torch.testing.assert_close([p.grad for p in net.parameters()], usual)
    assert {p.grad.device.type for p in net.parameters()} == {device}


def test_changes_in_place_go_unnoticed(device):
    """After ``save_on_cpu`` no error tells that a weight was changed in place before ``backward()``.

    A module on the CPU then uses the new value, as nothing had to be copied, one elsewhere the old value.
    Without it ``backward()`` raises ``RuntimeError``. See :class:`~torch.autograd.graph.save_on_cpu`.
    """
    layer, x = nn.Linear(1, 1, bias=False).to(device), torch.ones(1, 1, device=device, requires_grad=True)
    nn.init.constant_(layer.weight, 2.0)

    with save_on_cpu():
        output = layer(x)
    usual = layer(x)
    nn.init.constant_(layer.weight, 5.0)

    output.backward()
    assert x.grad.item() == (5.0 if device == "cpu" else 2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        usual.backward()


def test_hooks_may_be_forbidden():
    """In ``disable_saved_tensors_hooks(message)`` hooks of ``saved_tensors_hooks`` raise ``RuntimeError``.

    The error has the message that was given. Where such hooks are set already, entering it raises the same.
    See :func:`torch.autograd.graph.disable_saved_tensors_hooks`.
    """
    layer = nn.Linear(1, 1)

    with disable_saved_tensors_hooks("not here"):
        for hooks in (save_on_cpu(), saved_tensors_hooks(lambda x: x, lambda x: x)):
            with pytest.raises(RuntimeError, match=r"^not here$"), hooks:
                pass
        assert layer(torch.ones(1)).requires_grad

    with save_on_cpu():
        assert layer(torch.ones(1)).requires_grad
        with pytest.raises(RuntimeError, match=r"^not here$"), disable_saved_tensors_hooks("not here"):
            pass
