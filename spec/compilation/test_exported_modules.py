"""What an exported program takes over from ``forward`` and from the module it was made of.

The graph is of a run, not of a class: what ``forward`` did to its inputs is in it, and names are those that
were met on the way.
"""

import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_an_input_that_forward_changes_is_changed():
    """If ``forward`` changes its input in place, so does the module of ``torch.export.export``.

    The example input of ``torch.export.export`` stays as it was. See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def forward(self, x):
            x[1:] = 0.0
            return x + 1.0

    example, x = torch.ones(3), torch.tensor([5.0, 6.0, 7.0])

    made = torch.export.export(Net(), (example,)).module()

    assert made(x).tolist() == [6.0, 1.0, 1.0]
    assert x.tolist() == [5.0, 0.0, 0.0]
    assert example.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.before("2.3")
def test_an_input_that_forward_changes_is_refused():
    """``torch.export.export`` or its module raises an error if ``forward`` changes its input in place.

    It is a ``RuntimeError`` or a ``ValueError``. Copy the input in ``forward``.
    """

    class Net(nn.Module):
        def forward(self, x):
            x[1:] = 0.0
            return x + 1.0

    with pytest.raises((RuntimeError, ValueError), match=r"mutated|tree_unflatten"):
        torch.export.export(Net(), (torch.ones(3),)).module()(torch.ones(3))


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_a_weight_that_is_used_twice_is_one_parameter():
    """If ``forward`` uses a weight by its layer and directly, ``torch.export.export`` keeps it as one
    parameter.

    An encoder whose transposed weight decodes is such a layer (:issue:`127357`). Training the module of
    the program changes it in both places. See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(2, 3, bias=False)

        def forward(self, x):
            return F.linear(self.encoder(x), self.encoder.weight.T)

    net, x = Net(), torch.tensor([2.0, 3.0])
    program = torch.export.export(net, (x,))
    made = program.module()

    assert list(program.state_dict) == ["encoder.weight"]
    with torch.no_grad():
        made.encoder.weight.fill_(0.5)
    assert made(x).tolist() == net(x).tolist() == [3.75, 3.75]


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
@pytest.mark.before("2.5")
def test_a_weight_that_is_used_twice_is_refused():
    """``torch.export.export`` raises ``IndexError`` if ``forward`` calls a layer and also uses its weight
    directly.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(2, 3, bias=False)

        def forward(self, x):
            return F.linear(self.encoder(x), self.encoder.weight.T)

    with pytest.raises(IndexError, match="pop from empty list"):
        torch.export.export(Net(), (torch.ones(2),))


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
def test_hooks_of_the_state_dict_rename_nothing():
    """An exported program's ``state_dict`` has the names of the modules, not those of a state dict hook.

    So the state dict of such a module does not load into the program's module: take the names from
    ``named_parameters()``. See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 1, bias=False)
            self._register_state_dict_hook(
                lambda module, state, *rest: state.update(w=state.pop("inner.weight"))
            )

        def forward(self, x):
            return self.inner(x)

    net = Net()
    program = torch.export.export(net, (torch.ones(2),))
    made = program.module()

    assert list(net.state_dict()) == ["w"]
    assert list(program.state_dict) == list(made.state_dict()) == ["inner.weight"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "inner\.weight"'):
        made.load_state_dict(net.state_dict())


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
@pytest.mark.before("2.6")
def test_renamed_parameters_are_refused():
    """``torch.export.export`` raises for a module whose state dict hook renames a parameter."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 1, bias=False)
            self._register_state_dict_hook(
                lambda module, state, *rest: state.update(w=state.pop("inner.weight"))
            )

        def forward(self, x):
            return self.inner(x)

    with pytest.raises(Exception, match=r"Parameter inner\.weight is not in the state dict"):
        torch.export.export(Net(), (torch.ones(2),))


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
@pytest.mark.before("2.8")
def test_layers_in_a_plain_list_are_refused():
    """``torch.export.export`` raises ``KeyError`` for a module that keeps its layers in a plain list.

    Put them into a ``ModuleList`` (:issue:`135227`). See :func:`torch.export.export`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(2, 3)]

        def forward(self, x):
            return self.layers[0](x)

    with pytest.raises(KeyError, match=r"layers_0\.weight"):
        torch.export.export(Net(), (torch.ones(2),))


@pytest.mark.needs("compile")
@pytest.mark.before("2.3")
def test_layers_in_a_plain_list_are_in_the_state_dict():
    """``torch.export.export`` of a module with layers in a plain list puts them into the state dict."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(2, 3)]

        def forward(self, x):
            return self.layers[0](x)

    program = torch.export.export(Net(), (torch.ones(2),))

    assert list(program.state_dict) == ["self___layers_0.weight", "self___layers_0.bias"]


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_inputs_are_named_by_the_signature():
    """:func:`torch.export.export` names inputs after the arguments of ``forward``, also of one assigned to a
    module.

    A wrapper ``forward(*args, **kwargs)`` set in place of it so loses the names of positional inputs, and
    ``dynamic_shapes`` does not find them. A registered forward hook leaves them. So does
    :func:`functools.wraps`.
    """

    class Net(nn.Module):
        def forward(self, hidden, step, extra=None):
            return hidden * step

    def names(net):
        exported = torch.export.export(net, (torch.tensor(3.0), torch.tensor(5.0)), strict=False)
        return list(exported.graph_signature.user_inputs)

    hooked, wrapped = Net(), Net()
    hooked.register_forward_hook(lambda module, args, output: output + 1)
    plain = wrapped.forward
    wrapped.forward = lambda *args, **kwargs: plain(*args, **kwargs)
    assert [names(Net()), names(hooked)] == [["hidden", "step"]] * 2
    assert names(wrapped) == ["args_0", "args_1"]

    wrapped.forward = functools.wraps(plain)(wrapped.forward)
    assert names(wrapped) == ["hidden", "step"]


@pytest.mark.needs("compile")
@pytest.mark.since("2.10")
def test_what_forward_does_not_read_is_left_out():
    """``torch.export.export(strict=True)`` leaves out buffers that ``forward`` does not read.

    ``num_batches_tracked`` of a ``BatchNorm`` in ``eval()`` is one: the state of the exported module lacks
    it, and the original's does not load. ``strict=False`` keeps it.
    """
    net, x = nn.Sequential(nn.BatchNorm1d(2)).eval(), (torch.rand(3, 2),)
    strict, loose = (torch.export.export(net, x, strict=strict).module() for strict in (True, False))

    assert sorted(loose.state_dict()) == sorted(net.state_dict())
    assert set(net.state_dict()) - set(strict.state_dict()) == {"0.num_batches_tracked"}
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "0.num_batches_tracked"'):
        strict.load_state_dict(net.state_dict())


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
@pytest.mark.before("2.10")
def test_what_forward_did_not_read_was_kept():
    """``torch.export.export(strict=True)`` keeps buffers that ``forward`` does not read, as ``strict=False``
    does.

    The state of the exported module is that of the original.
    """
    net, x = nn.Sequential(nn.BatchNorm1d(2)).eval(), (torch.rand(3, 2),)
    made = torch.export.export(net, x, strict=True).module()

    assert sorted(made.state_dict()) == sorted(net.state_dict())
    assert "0.num_batches_tracked" in made.state_dict()
    made.load_state_dict(net.state_dict())


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
@pytest.mark.before("2.5")
def test_what_forward_did_not_read_was_left_out():
    """:func:`torch.export.export` leaves out buffers that ``forward`` does not read, ``strict`` or not."""
    net, x = nn.Sequential(nn.BatchNorm1d(2)).eval(), (torch.rand(3, 2),)
    for strict in (True, False):
        made = torch.export.export(net, x, strict=strict).module()
        assert set(net.state_dict()) - set(made.state_dict()) == {"0.num_batches_tracked"}


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_a_container_that_forward_fills_stays_as_it_was():
    """If ``forward`` adds a key to its input dict, the module of ``torch.export.export`` leaves the dict
    alone.

    The output is right, and what the caller expects to find in the dict or list is not there; the original
    adds it. Return what is new. See :func:`torch.export.export` (:issue:`147213`).
    """

    class Net(nn.Module):
        def forward(self, given, kept):
            given["sum"] = given["x"] + 1.0
            kept.append(given["sum"])
            return kept[-1] * 2.0

    net = Net()

    def fill(module):
        given, kept = {"x": torch.tensor([3.0])}, [torch.tensor([5.0])]
        return module(given, kept).tolist(), list(given), len(kept)

    example = {"x": torch.tensor([1.0])}, [torch.tensor([1.0])]
    assert fill(net) == ([8.0], ["x", "sum"], 2)
    assert fill(torch.export.export(net, example).module()) == ([8.0], ["x"], 1)
    assert [list(example[0]), len(example[1])] == [["x"], 1]


@pytest.mark.needs("compile")
@pytest.mark.before("2.8")
def test_a_container_that_forward_fills_was_refused():
    """``torch.export.export`` raises ``IndexError`` if ``forward`` adds a key to its input dict."""

    class Net(nn.Module):
        def forward(self, given):
            given["sum"] = given["x"] + 1.0
            return given["sum"] * 2.0

    with pytest.raises(IndexError, match="list index out of range"):
        torch.export.export(Net(), ({"x": torch.ones(1)},)).module()({"x": torch.ones(1)})


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
@pytest.mark.parametrize("place", ["root", "child"])
def test_what_hooks_of_the_module_compute_is_exported(place):
    """``torch.export.export(strict=False)`` records forward hooks and pre-hooks, of ``net`` itself as well.

    The exported module computes what they did and has none of them. See :func:`torch.export.export`
    (:issue:`167329`).
    """

    class Net(nn.Module):
        def forward(self, x):
            return x + 1.0

    hooked, calls = Net(), []
    hooked.register_forward_pre_hook(lambda module, args: calls.append("pre") or (args[0] * 10.0,))
    hooked.register_forward_hook(lambda module, args, output: calls.append("post") or output * 2.0)
    net = hooked if place == "root" else nn.Sequential(hooked)

    made = torch.export.export(net, (torch.tensor([1.0]),), strict=False).module()

    calls.clear()
    assert made(torch.tensor([3.0])).tolist() == [62.0]
    assert calls == []
    assert net(torch.tensor([3.0])).tolist() == [62.0]
    assert calls == ["pre", "post"]


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_backward_hooks_are_not_exported():
    """``torch.export.export(strict=False)`` drops full backward hooks in silence; with ``strict=True`` it
    raises.

    The gradient of the exported module is that without the hook. See :func:`torch.export.export`.
    """
    net, calls = nn.Linear(1, 1, bias=False), []
    net.register_full_backward_hook(lambda *args: calls.append("hook"))
    example, x = (torch.ones(1, 1, requires_grad=True),), torch.ones(1, 1, requires_grad=True)

    made = torch.export.export(net, example, strict=False).module()
    made(x).sum().backward()
    assert [calls, net.weight.grad.tolist()] == [[], [[1.0]]]

    net(x).sum().backward()
    assert calls == ["hook"]
    with pytest.raises(Exception, match=r"(?i)hook|graph"):
        torch.export.export(net, example, strict=True)


@pytest.mark.needs("compile")
@pytest.mark.since("2.10")
def test_a_tensor_that_forward_assigns_stays():
    """``torch.export.export`` leaves a plain tensor attribute as it was if ``forward`` assigns another."""

    class Net(nn.Module):
        def forward(self, x):
            self.kept = self.kept.double()
            return x + self.kept

    net = Net()
    net.kept = torch.ones(1)
    program = torch.export.export(net, (torch.ones(1),))

    assert (type(net.kept), net.kept.dtype) == (torch.Tensor, torch.float32)
    assert program.module()(torch.ones(1)).tolist() == [2.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.before("2.10")
def test_a_tensor_that_forward_assigns_was_refused():
    """``torch.export.export`` raises an error if ``forward`` assigns to an attribute with a plain tensor."""

    class Net(nn.Module):
        def forward(self, x):
            self.kept = self.kept.double()
            return x + self.kept

    net, hooks = Net(), torch.nn.modules.module._global_buffer_registration_hooks
    net.kept, before = torch.ones(1), dict(hooks)
    try:
        with pytest.raises(Exception, match=r"Mutating module attribute kept|attribute self\.kept was"):
            torch.export.export(net, (torch.ones(1),))
    finally:
        hooks.clear()
        hooks.update(before)
