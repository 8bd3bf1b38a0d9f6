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
    net, x = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), torch.rand(4, 2)
    program = torch.export.export(net, (x,))
    made = program.module()

    assert isinstance(made, nn.Module)
    assert not isinstance(made, nn.Sequential)
    assert sorted(made.state_dict()) == sorted(net.state_dict())
    torch.testing.assert_close(made(x), net(x))
    with pytest.raises(RuntimeError, match="Unable to call ExportedProgram directly"):
        program(x)


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
@pytest.mark.parametrize("method", ["train", "eval"])
def test_the_mode_of_an_exported_module_is_fixed(method):
    """``train()`` and ``eval()`` of an exported program's ``module()`` raise ``NotImplementedError``.

    It computes in the mode of the original when it was exported: call ``net.eval()`` before
    (:issue:`151726`).
    """
    net, x = nn.Dropout(1.0), torch.tensor([2.0, -3.0])
    trained = torch.export.export(net, (x,)).module()
    evaluated = torch.export.export(net.eval(), (x,)).module()

    assert trained(x).tolist() == [0.0, 0.0]
    assert evaluated(x).tolist() == [2.0, -3.0]
    for made in (trained, evaluated):
        with pytest.raises(NotImplementedError, match=rf"Calling {method}\(\) is not supported yet"):
            getattr(made, method)()


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_parameters_of_an_exported_module_are_shared():
    """Parameters of an exported program's ``module()`` are those of the original, the same objects."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(2))
            self.inner = nn.Linear(2, 1)

        def forward(self, x):
            return self.inner(x * self.weight)

    net = Net()

    made = torch.export.export(net, (torch.rand(2),)).module()

    assert set(made.parameters()) == set(net.parameters())
    assert made.weight is net.weight
    with torch.no_grad():
        net.weight.copy_(torch.tensor([2.0, 3.0]))
        net.inner.weight.copy_(torch.tensor([[5.0, 7.0]]))
        net.inner.bias.fill_(1.0)
    assert made(torch.tensor([10.0, 100.0])).tolist() == [2201.0]


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

    for net, prefix in ((Net(), ""), (nn.Sequential(Net()), "0.")):
        program = torch.export.export(net, (torch.rand(2),))
        kept, left_out = f"{prefix}kept", f"{prefix}left_out"

        assert list(program.state_dict) == [kept]
        assert program.constants[left_out].tolist() == [4.0, 5.0]
        assert sorted(name for name, _ in program.named_buffers()) == [kept, left_out]
        assert list(program.module().state_dict()) == [kept]


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
    """A module from ``torch.export.export`` raises an error for inputs of other sizes than the example's."""
    made = torch.export.export(nn.ReLU(), (torch.rand(2, 3),)).module()

    assert made(torch.tensor([[2.0, -3.0, 4.0]] * 2)).tolist() == [[2.0, 0.0, 4.0]] * 2
    for sizes in ((5, 3), (2, 5)):
        with pytest.raises((RuntimeError, AssertionError), match=r"shape|Guard failed"):
            made(torch.rand(sizes))


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_a_buffer_that_forward_changes_is_kept():
    """If ``forward`` changes a buffer in place, the module of ``torch.export.export`` changes its buffer too.

    Each call goes on from the last one, as with a cache. The buffer is that of the original, which changes
    with it. See :func:`torch.export.export`.

    See also :ref:`compilation.export.a_buffer_that_forward_assigns_is_kept`
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls.add_(1)
            return x * self.calls

    net = Net()
    made = torch.export.export(net, (torch.ones(1),)).module()

    assert [made(torch.tensor([10.0])).item() for _ in range(3)] == [10.0, 20.0, 30.0]
    assert [made.calls.item(), net.calls.item()] == [3.0, 3.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_a_buffer_that_forward_assigns_is_kept():
    """If ``forward`` assigns to a buffer, the module of ``torch.export.export`` updates its buffer too.

    It writes the value into the buffer of the original. See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls = self.calls + 1
            return x * self.calls

    net = Net()
    made = torch.export.export(net, (torch.ones(1),)).module()

    assert [made(torch.tensor([10.0])).item() for _ in range(3)] == [10.0, 20.0, 30.0]
    assert [made.calls.item(), net.calls.item()] == [3.0, 3.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.9")
def test_a_parameter_that_forward_changes_is_kept():
    """If ``forward`` changes a parameter under ``no_grad``, the module of ``torch.export.export`` does it
    too.

    It is the parameter of the original. See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            with torch.no_grad():
                self.weight.mul_(2)
            return x * self.weight

    net = Net()
    made = torch.export.export(net, (torch.ones(1),)).module()

    assert [made(torch.tensor([10.0])).item() for _ in range(2)] == [20.0, 40.0]
    assert net.weight.item() == 4.0


@pytest.mark.needs("compile")
@pytest.mark.since("2.10")
def test_a_change_through_data_is_refused():
    """By default ``torch.export.export`` raises ``RuntimeError`` if ``forward`` changes a parameter through
    ``.data``.

    What is read or written there is not recorded; with ``strict=True`` the change is lost without an error.
    Change the parameter itself, under ``torch.no_grad()`` (:issue:`170672`). See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            self.weight.data.mul_(2)
            return x * self.weight

    with pytest.raises(RuntimeError, match="fake tensor in the exported program constant's list"):
        torch.export.export(Net(), (torch.ones(1),))


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
@pytest.mark.before("2.10")
def test_a_change_through_data_was_lost():
    """``torch.export.export`` leaves out what ``forward`` changes in a parameter through ``.data``, without
    an error.

    See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x):
            self.weight.data.mul_(2)
            return x * self.weight

    made = torch.export.export(Net(), (torch.ones(1),)).module()

    assert [made(torch.tensor([10.0])).item() for _ in range(2)] == [10.0, 10.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_what_forward_stores_while_exported():
    """``torch.export.export`` restores attributes that ``forward`` sets, but leaves a ``FakeTensor`` in a
    ``None`` buffer.

    ``forward`` runs on stand-ins. A :class:`FakeTensor <torch._subclasses.fake_tensor.FakeTensor>` is what a
    later call of the original then computes with (:issue:`155114`). See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain = None
            self.register_buffer("buffer", None)

        def forward(self, x):
            if self.plain is None:
                self.plain = x + 1
            self.buffer = x + 2
            return x * 3

    net = Net()
    torch.export.export(net, (torch.ones(1),))

    assert net.plain is None
    assert type(net.buffer).__name__ == "FakeTensor"


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_hooks_are_given_stand_ins():
    """During ``torch.export.export``, forward hooks get a ``FakeTensor`` in place of the real output.

    So it is for parameters that a hook finds on its module. Collect values in calls of the exported module
    or the original instead (:issue:`153062`). See :func:`torch.export.export`.
    """
    kept = []
    net = nn.Sequential(nn.Linear(2, 3))
    net[0].register_forward_hook(lambda module, args, output: kept.extend([output, module.weight]))

    torch.export.export(net, (torch.rand(2),))

    assert [type(value).__name__ for value in kept] == ["FakeTensor", "FakeTensor"]
    assert type(net[0].weight) is nn.Parameter


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_a_plain_tensor_is_a_constant():
    """``torch.export.export`` keeps a plain tensor attribute in ``constants``, and it is the tensor itself.

    It is in no state dict. A change in place shows in the program, another tensor assigned to the attribute
    does not. Register a buffer.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = torch.tensor([3.0])

        def forward(self, x):
            return x + self.shift

    net = Net()
    program = torch.export.export(net, (torch.tensor([1.0]),))
    made = program.module()

    assert list(program.state_dict) == []
    assert [value.tolist() for value in program.constants.values()] == [[3.0]]
    net.shift.fill_(10.0)
    assert made(torch.tensor([1.0])).item() == 11.0
    net.shift = torch.tensor([20.0])
    assert made(torch.tensor([1.0])).item() == 11.0


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_a_layer_that_is_no_submodule_is_frozen():
    """``torch.export.export`` makes constants of the weights of an unregistered layer, as in a plain list.

    They are in no state dict, and outputs require no grad; changes in place show in the program. Register the
    layer (:issue:`118410`). See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(2, 3)]

        def forward(self, x):
            return self.layers[0](x)

    net, x = Net(), torch.ones(2)
    program = torch.export.export(net, (x,))
    made = program.module()

    assert (list(program.state_dict), len(program.constants)) == ([], 2)
    assert (list(made.parameters()), made(x).requires_grad, net(x).requires_grad) == ([], False, True)
    with torch.no_grad():
        net.layers[0].weight.fill_(3.0)
    assert torch.equal(made(x), 6.0 + net.layers[0].bias)


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_a_tensor_made_in_forward_is_a_constant():
    """``torch.export.export`` puts a tensor that ``forward`` creates from numbers into ``constants``, not
    buffers.

    Neither ``state_dict`` nor ``buffers()`` has it (:issue:`110484`). See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def forward(self, x):
            return x + torch.tensor([3.0])

    program = torch.export.export(Net(), (torch.ones(1),))

    assert [value.tolist() for value in program.constants.values()] == [[3.0]]
    assert (dict(program.state_dict), list(program.buffers())) == ({}, [])
    assert program.module()(torch.tensor([10.0])).item() == 13.0


@pytest.mark.needs("compile")
@pytest.mark.since("2.14")
def test_a_foreign_parameter_is_a_constant():
    """``torch.export.export`` makes a constant of a parameter that no submodule holds, such as a global one.

    So does it with any tensor that ``forward`` finds outside. The output then requires no grad, and a state
    dict lacks it, without an error (:issue:`115916`). Register it. See :func:`torch.export.export`.
    """
    outside = nn.Parameter(torch.tensor([2.0]))

    class Net(nn.Module):
        def forward(self, x):
            return x * outside

    for strict in (False, True):
        program = torch.export.export(Net(), (torch.ones(1),), strict=strict)
        assert [value.tolist() for value in program.constants.values()] == [[2.0]]
        assert dict(program.state_dict) == {}
        assert not program.module()(torch.ones(1)).requires_grad
    assert Net()(torch.ones(1)).requires_grad
