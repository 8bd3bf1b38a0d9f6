"""Modules as exported programs.

:func:`torch.export.export` runs ``forward`` once with stand-ins for the inputs and gives an *exported
program*: a graph of torch's own operations with the state beside it. Its ``module()`` is a module again.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_an_exported_program_gives_a_module():
    """``torch.export.export(net, args).module()`` is an ``nn.Module`` with the results and names of ``net``.

    The exported program itself cannot be called, and the module is not of the original's class.
    """
    net, x = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), torch.tensor([2.0, -3.0])
    made = torch.export.export(net, (x,)).module()

    assert isinstance(made, nn.Module)
    assert not isinstance(made, nn.Sequential)
    assert list(made.state_dict()) == ["0.weight", "0.bias"]
    torch.testing.assert_close(made(x), net(x))


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
@pytest.mark.parametrize("method", ["train", "eval"])
def test_the_mode_of_an_exported_module_is_fixed(method):
    """``train()`` and ``eval()`` of the module of an exported program raise ``NotImplementedError``.

    It computes in the mode of the original when it was exported: call ``net.eval()`` before
    (:issue:`151726`).
    """
    net, x = nn.Dropout(1.0), torch.tensor([2.0, -3.0])
    trained = torch.export.export(net, (x,)).module()
    evaluated = torch.export.export(net.eval(), (x,)).module()

    assert trained(x).tolist() == [0.0, 0.0]
    assert evaluated(x).tolist() == [2.0, -3.0]
    with pytest.raises(NotImplementedError, match=rf"Calling {method}\(\) is not supported yet"):
        getattr(trained, method)()


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_parameters_of_an_exported_module_are_shared():
    """Parameters of an exported program's ``module()`` are those of the original, the same objects."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(1, 2))

        def forward(self, x):
            return torch.nn.functional.linear(x, self.weight)

    net = Net()

    made = torch.export.export(net, (torch.rand(2),)).module()

    assert made.weight is net.weight
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[2.0, 3.0]]))
    assert made(torch.tensor([10.0, 100.0])).tolist() == [320.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_non_persistent_buffers_are_constants():
    """``torch.export.export`` keeps a non-persistent buffer in ``constants``, not in ``state_dict``.

    It is among the ``named_buffers()`` of the program all the same.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("kept", torch.tensor([2.0, 3.0]))
            self.register_buffer("left_out", torch.tensor([4.0, 5.0]), persistent=False)

        def forward(self, x):
            return x * self.kept + self.left_out

    program = torch.export.export(Net(), (torch.rand(2),))

    assert list(program.state_dict) == ["kept"]
    assert program.constants["left_out"].tolist() == [4.0, 5.0]
    assert sorted(name for name, _ in program.named_buffers()) == ["kept", "left_out"]
    assert list(program.module().state_dict()) == ["kept"]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_what_hooks_of_submodules_compute_is_exported():
    """``torch.export.export`` records what forward hooks of submodules compute; the hooks are not kept."""
    calls = []
    net = nn.Sequential(nn.Identity())
    net[0].register_forward_hook(lambda module, args, output: calls.append("hook") or output * 10)

    made = torch.export.export(net, (torch.tensor([2.0]),)).module()
    calls.clear()

    assert made(torch.tensor([3.0])).tolist() == [30.0]
    assert calls == []


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_sizes_of_an_exported_module_are_fixed():
    """By default a module from ``torch.export.export`` raises for inputs of other sizes than the example."""
    made = torch.export.export(nn.ReLU(), (torch.rand(2, 3),)).module()

    assert made(torch.tensor([[2.0, -3.0, 4.0]] * 2)).tolist() == [[2.0, 0.0, 4.0]] * 2
    with pytest.raises((RuntimeError, AssertionError), match=r"shape|Guard failed"):
        made(torch.rand(5, 3))
