"""Exported programs with their submodules: unflatten.

:func:`torch.export.unflatten` makes a module of an exported program that has the submodules of the original
again, each with its part of the graph. They can be called, hooked and exchanged one by one.
"""

import copy
import inspect
import pickle

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_submodules_come_back():
    """``torch.export.unflatten(program)`` returns a module with the submodules of the original, by name.

    Their classes do not come back: each is an ``InterpreterModule``, which runs its part of the graph.
    ``program.module()`` is one graph instead, and its submodules cannot be called.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))
    program = torch.export.export(net, (torch.rand(4, 2),))
    made, x = torch.export.unflatten(program), torch.tensor([[2.0, -3.0]] * 4)

    assert [name for name, _ in made.named_modules()] == ["", "0", "1", "1.0", "1.1"]
    assert type(made.get_submodule("0")).__name__ == "InterpreterModule"
    torch.testing.assert_close(made(x), net(x))
    torch.testing.assert_close(made.get_submodule("0")(x), net[0](x))
    with pytest.raises(NotImplementedError, match='missing the required "forward" function'):
        program.module().get_submodule("0")(x)


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_a_submodule_may_be_exchanged():
    """A submodule of ``torch.export.unflatten(program)`` can be replaced by any other module.

    That is how a layer gets a faster version after export. The rest of the graph calls what is there.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x):
            return self.inner(x * 10) + 1

    class Negative(nn.Module):
        def forward(self, x):
            return -x

    made = torch.export.unflatten(torch.export.export(Net(), (torch.rand(2),)))
    made.inner = Negative()

    assert made(torch.tensor([2.0, 3.0])).tolist() == [-19.0, -29.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_parameters_are_copies():
    """``torch.export.unflatten(program)`` copies parameters and buffers, unlike ``program.module()``.

    Training it leaves the original alone, and so does BatchNorm in it. ``requires_grad`` is copied as well.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    net[0].bias.requires_grad_(False)
    program = torch.export.export(net, (torch.rand(4, 2),))
    made, shared = torch.export.unflatten(program), program.module()
    old, new = dict(net.state_dict()), dict(made.state_dict())

    assert [torch.equal(old[name], new[name]) for name in old] == [True] * 7
    assert {value.data_ptr() for value in old.values()}.isdisjoint(value.data_ptr() for value in new.values())
    assert [p.requires_grad for p in made.parameters()] == [True, False, True, True]
    assert shared.get_parameter("0.weight") is net[0].weight

    made(torch.tensor([[2.0, 3.0], [4.0, 7.0], [1.0, 0.0], [5.0, 2.0]])).sum().backward()
    assert (made.get_parameter("0.weight").grad is None, net[0].weight.grad) == (False, None)
    assert [made.state_dict()["1.num_batches_tracked"].item(), net[1].num_batches_tracked.item()] == [1, 0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_the_mode_changes_nothing():
    """``eval()`` of ``torch.export.unflatten(program)`` sets ``training``, but dropout stays on.

    No error says so, unlike that of ``program.module().eval()``. The graph is of the mode in which the
    original was exported: call ``net.eval()`` before ``torch.export.export``. See
    :func:`torch.export.unflatten`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.norm = nn.Dropout(1.0), nn.BatchNorm1d(2)

        def forward(self, x):
            return self.drop(x), self.norm(x)

    made = torch.export.unflatten(torch.export.export(Net(), (torch.rand(4, 2),)))
    made.eval()
    dropped, _ = made(torch.ones(4, 2))

    assert [made.training, made.drop.training] == [False, False]
    assert dropped.sum().item() == 0.0
    assert made.norm.num_batches_tracked.item() == 1


@pytest.mark.needs("compile")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.since("2.6")
def test_a_submodule_that_is_called_twice(strict):
    """A layer called twice is one submodule of ``torch.export.unflatten(program)``, with the same results.

    It does so also where one call feeds the next with nothing in between, and called alone
    (:issue:`132993`). See :func:`torch.export.unflatten`.
    """

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x):
            return self.inner(self.inner(x))

    class Between(Twice):
        def forward(self, x):
            return self.inner(self.inner(x) + 1)

    for net, x in [(Twice(), torch.tensor([2.0, -3.0])), (Between(), torch.tensor([2.0, -3.0]))]:
        made = torch.export.unflatten(torch.export.export(net, (torch.rand(2),), strict=strict))
        assert [name for name, _ in made.named_modules()] == ["", "inner"]
        torch.testing.assert_close(made(x), net(x))
        torch.testing.assert_close(made.inner(x), net.inner(x))


@pytest.mark.needs("compile")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.since("2.4")
def test_a_buffer_goes_into_submodules(strict):
    """``torch.export.unflatten`` hands a buffer of the root on to the submodules that are called with it.

    It remains the root's alone (:issue:`127643`). See :func:`torch.export.unflatten`.
    """

    class Shift(nn.Module):
        def forward(self, x, by):
            return x + by

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("by", torch.tensor([2.0, 3.0]))
            self.layers = nn.ModuleList([Shift(), Shift()])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x, self.by)
            return x

    made = torch.export.unflatten(torch.export.export(Net(), (torch.rand(2),), strict=strict))

    assert made(torch.tensor([10.0, 20.0])).tolist() == [14.0, 26.0]
    assert list(made.state_dict()) == ["by"]
    made.by.fill_(1.0)
    assert made(torch.tensor([10.0, 20.0])).tolist() == [12.0, 22.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.10")
def test_lists_of_lists_come_back():
    """``torch.export.unflatten`` keeps the names of layers in nested ``ModuleList`` and ``ModuleDict``
    objects.

    So it does where ``forward`` goes over a slice, and for layers that ``forward`` leaves out
    (:issue:`141939`). See :func:`torch.export.unflatten`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.ModuleList([nn.ModuleList([nn.Linear(2, 2)]), nn.ModuleList([nn.Linear(2, 2)])])
            self.byname = nn.ModuleDict({"left": nn.ModuleDict({"side": nn.Linear(2, 2)})})

        def forward(self, x):
            for row in self.rows[1:]:
                x = row[0](x)
            return self.byname["left"]["side"](x)

    net, x = Net(), torch.tensor([2.0, -3.0])

    for strict in (False, True):
        made = torch.export.unflatten(torch.export.export(net, (torch.rand(2),), strict=strict))
        assert sorted(made.state_dict()) == sorted(net.state_dict())
        assert sorted(dict(made.named_modules())) == sorted(dict(net.named_modules()))
        torch.testing.assert_close(made(x), net(x))


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_constants_are_taken_along():
    """``torch.export.unflatten`` keeps tensors that ``forward`` creates, and plain tensor attributes.

    They are in no ``state_dict()`` (:issue:`116914`). See :func:`torch.export.unflatten`.
    """

    class Net(nn.Module):
        def __init__(self, inner, factor):
            super().__init__()
            self.inner, self.factor = inner, torch.tensor(factor)

        def forward(self, x):
            return self.inner(x) * self.factor + torch.tensor([10.0, 20.0])

    net = Net(Net(nn.Identity(), [2.0, 3.0]), [5.0, 7.0])
    made = torch.export.unflatten(torch.export.export(net, (torch.rand(2),)))

    assert made(torch.tensor([1.0, 1.0])).tolist() == [70.0, 181.0]
    assert list(made.state_dict()) == []


@pytest.mark.needs("compile")
@pytest.mark.since("2.9")
def test_ties_come_back():
    """Tied layers are tied in ``torch.export.unflatten(program)``: one ``Parameter`` under both names.

    So is a layer that stands twice in a ``Sequential`` (:issue:`125192`). See :func:`torch.export.unflatten`.
    """
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    net[2].weight = net[0].weight
    again = nn.Sequential(net[0], nn.ReLU(), net[0])
    x = torch.tensor([2.0, -3.0])

    for each, strict in [(net, False), (net, True), (again, False), (again, True)]:
        made = torch.export.unflatten(torch.export.export(each, (torch.rand(2),), strict=strict))
        assert sorted(made.state_dict()) == ["0.weight", "2.weight"]
        assert len(list(made.parameters())) == 1
        torch.testing.assert_close(made(x), each(x))


@pytest.mark.needs("compile")
@pytest.mark.since("2.11")
def test_keywords_of_a_submodule():
    """Submodules of ``torch.export.unflatten`` take keywords only with ``preserve_module_call_signature``.

    By default a submodule takes what its part of the graph needs, in order, and raises ``AssertionError`` for
    a keyword argument. Name it in ``preserve_module_call_signature`` of :func:`torch.export.export`.
    """

    class Scaled(nn.Module):
        def forward(self, x, *, by):
            return x * by

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Scaled()

        def forward(self, x):
            return self.inner(x, by=3.0)

    x = torch.tensor([2.0, 5.0])
    plain = torch.export.export(Net(), (x,))
    kept = torch.export.export(Net(), (x,), preserve_module_call_signature=("inner",))

    assert torch.export.unflatten(kept).inner(x, by=3.0).tolist() == [6.0, 15.0]
    assert torch.export.unflatten(plain).inner(x).tolist() == [6.0, 15.0]
    with pytest.raises(AssertionError, match="kwarg_names length 0 does not match kwargs length 1"):
        torch.export.unflatten(plain).inner(x, by=3.0)


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_hooks_fire_again():
    """Forward hooks can be registered on submodules of ``torch.export.unflatten(program)``, and fire.

    What those of the original compute is part of the graph. A submodule that computes nothing, such as
    ``nn.Identity``, is there, but is not called. See :func:`torch.export.unflatten`.
    """
    net, seen = nn.Sequential(nn.ReLU(), nn.Identity()), []
    net[0].register_forward_hook(lambda module, args, output: output * 10)
    made = torch.export.unflatten(torch.export.export(net, (torch.ones(1),)))
    assert [len(made.get_submodule(name)._forward_hooks) for name in ("0", "1")] == [0, 0]

    for name in ("0", "1"):
        made.get_submodule(name).register_forward_hook(lambda _, args, output: seen.append(output.item()))

    assert made(torch.tensor([3.0])).item() == 30.0
    assert seen == [30.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_a_name_may_not_be_a_keyword():
    """``torch.export.unflatten`` raises ``SyntaxError`` for a submodule named like a Python keyword, such as
    ``in``.

    In an ``nn.ModuleDict`` such a name is easily given, and ``program.module()`` bears it. See
    :func:`torch.export.unflatten`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleDict({"in": nn.ReLU()})

        def forward(self, x):
            return self.parts["in"](x)

    program = torch.export.export(Net(), (torch.rand(2),))

    assert program.module()(torch.tensor([2.0, -3.0])).tolist() == [2.0, 0.0]
    with pytest.raises(SyntaxError, match="invalid syntax"):
        torch.export.unflatten(program)


@pytest.mark.needs("compile")
@pytest.mark.since("2.9")
def test_it_cannot_be_copied():
    """``copy.deepcopy`` and ``pickle`` of ``torch.export.unflatten(program)`` raise ``RuntimeError``.

    After it, a ``program.module()`` made anew cannot be copied either. Save the program with
    ``torch.export.save`` and unflatten it again instead. See :func:`torch.export.unflatten`.
    """
    program = torch.export.export(nn.Linear(2, 1), (torch.rand(1, 2),))
    before = program.module()
    made = torch.export.unflatten(program)

    for module in (made, program.module()):
        with pytest.raises(RuntimeError, match="Cannot access data pointer of Tensor"):
            copy.deepcopy(module)
    with pytest.raises(RuntimeError, match="is not pickle"):
        pickle.dumps(made)

    assert torch.equal(copy.deepcopy(before).weight, before.weight)


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_its_inputs_have_no_names():
    """``forward`` of ``torch.export.unflatten(program)`` takes ``(*args, **kwargs)``: names of inputs are
    lost.

    So for a second export the shapes of inputs are given as those of ``args``. ``program.module()`` keeps the
    names (:issue:`171964`). See :func:`torch.export.unflatten`.
    """
    x, sizes = torch.rand(3, 2), {0: torch.export.Dim("batch")}
    program = torch.export.export(nn.Sequential(nn.Linear(2, 1)), (x,), dynamic_shapes={"input": sizes})
    whole, parts = program.module(), torch.export.unflatten(program)

    assert list(inspect.signature(whole.forward).parameters) == ["input"]
    assert list(inspect.signature(parts.forward).parameters) == ["args", "kwargs"]
    with pytest.raises(Exception, match="arg names"):
        torch.export.export(parts, (x,), dynamic_shapes={"input": sizes}, strict=False)
    for again in (
        torch.export.export(whole, (x,), dynamic_shapes={"input": sizes}, strict=False),
        torch.export.export(parts, (x,), dynamic_shapes={"args": (sizes,)}, strict=False),
    ):
        assert again.module()(torch.rand(5, 2)).shape == (5, 1)


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_buffers_are_changed_in_place():
    """Calling ``torch.export.unflatten(program)`` changes its own buffers, not those of the program.

    A buffer counts on from call to call, as in the original (:issue:`117893`).
    """

    class Count(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.tensor(0.0))

        def forward(self, x):
            return x * self.calls.add_(1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.count = Count()

        def forward(self, x):
            return self.count(x)

    net, x = Net(), torch.tensor([3.0])
    program = torch.export.export(net, (x,))
    made = torch.export.unflatten(program)

    assert [made(x).item(), made(x).item()] == [3.0, 6.0]
    kept = [made.state_dict()["count.calls"], program.state_dict["count.calls"], net.count.calls]
    assert [value.item() for value in kept] == [2.0, 0.0, 0.0]
