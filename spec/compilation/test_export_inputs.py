"""Inputs of an exported program: which sizes and values it takes, and by which names.

All that is not named in ``dynamic_shapes`` is as in the example. What an exported module does with its state
is in *export* and *exported_modules*.
"""

import copy
import io
import pickle

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_a_dimension_may_be_free():
    """``torch.export.export(dynamic_shapes=({0: Dim("batch")},))`` gives a module for any size of 1 or more.

    Other dimensions stay as in the example.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    batch = torch.export.Dim("batch")

    made = torch.export.export(net, (torch.rand(4, 2),), dynamic_shapes=({0: batch},)).module()

    for size in (1, 2, 7):
        x = torch.rand(size, 2)
        torch.testing.assert_close(made(x), net(x))
    with pytest.raises((AssertionError, RuntimeError), match=r"Guard failed|to be equal to 2|same reduction"):
        made(torch.rand(4, 3))


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_a_dimension_has_bounds():
    """A module exported with ``Dim("batch", max=8)`` raises an error for a larger size.

    In ``RuntimeError``, since 2.9 in ``AssertionError``, the bound is named.
    """
    dynamic = ({0: torch.export.Dim("batch", max=8)},)
    made = torch.export.export(nn.Sequential(nn.Linear(2, 3)), (torch.rand(4, 2),), dynamic_shapes=dynamic)

    module = made.module()

    assert module(torch.rand(8, 2)).shape == (8, 3)
    with pytest.raises((AssertionError, RuntimeError), match=r"<= 8"):
        module(torch.rand(9, 2))


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
@pytest.mark.parametrize(
    ("example", "dimension"), [((1, 2), 0), ((4, 2), 1)], ids=["size 1", "features of a weight"]
)
def test_a_dimension_that_is_fixed_cannot_be_free(example, dimension):
    """``torch.export.export`` raises ``UserError`` if a ``Dim`` is fixed by the example's size 1 or a weight.

    "Constraints violated": give an example with a batch of 2 or more, or leave that dimension out.
    """
    dynamic = ({dimension: torch.export.Dim("size")},)

    with pytest.raises(torch._dynamo.exc.UserError, match=r"Constraints violated \(size\)"):
        torch.export.export(nn.Sequential(nn.Linear(2, 3)), (torch.rand(example),), dynamic_shapes=dynamic)


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
def test_torch_may_decide_which_dimensions_are_free():
    """``Dim.AUTO`` in ``dynamic_shapes`` frees a dimension if it can be; ``Dim.DYNAMIC`` raises where it
    cannot.
    """
    net, x = nn.Sequential(nn.Linear(2, 3)), torch.rand(4, 2)
    auto, dynamic = torch.export.Dim.AUTO, torch.export.Dim.DYNAMIC

    for shapes in ({0: auto, 1: auto}, {0: dynamic, 1: auto}):
        made = torch.export.export(net, (x,), dynamic_shapes=(shapes,)).module()
        assert made(torch.rand(7, 2)).shape == (7, 3)
        with pytest.raises((AssertionError, RuntimeError), match=r"Guard failed|to be equal to 2"):
            made(torch.rand(4, 3))
    with pytest.raises(torch._dynamo.exc.UserError, match=r"Constraints violated"):
        torch.export.export(net, (x,), dynamic_shapes=({1: dynamic},))


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_numbers_and_flags_are_fixed():
    """A module of ``torch.export.export`` raises an error for another ``int`` or ``bool`` than the example's.

    The branch that a flag decides is the only one there: export once for each, or give a tensor.
    """

    class Net(nn.Module):
        def forward(self, x, times, flag):
            return x * times if flag else x + times

    x = torch.tensor([5.0])
    made = torch.export.export(Net(), (x, 3, True)).module()

    assert made(x, 3, True).tolist() == [15.0]
    for given in ((x, 4, True), (x, 3, False)):
        with pytest.raises((AssertionError, RuntimeError), match=r"Guard failed|to be equal to"):
            made(*given)


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_keywords_stay_keywords():
    """A module of ``torch.export.export`` raises ``ValueError`` unless keywords are those of the example.

    An argument given by keyword there cannot be left out, even if it has a default, nor given by position;
    none can be added.
    """

    class Net(nn.Module):
        def forward(self, x, offset=None, scale=None):
            return x if offset is None else x - offset

    x = torch.tensor([5.0])
    made = torch.export.export(Net(), (x,), {"offset": torch.tensor([3.0])}).module()

    assert made(x, offset=torch.tensor([1.0])).tolist() == [4.0]
    for args, kwargs in [((x,), {}), ((x, x), {}), ((x,), {"scale": x}), ((x,), {"offset": x, "scale": x})]:
        with pytest.raises(ValueError, match=r"kwarg keyword mismatch|exported input tree spec"):
            made(*args, **kwargs)


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_a_condition_on_values_is_refused():
    """``torch.export.export(strict=True)`` raises an error for an ``if`` on a value; one on a shape is
    decided.

    Use :func:`torch.where` or ``torch.cond``.
    """

    class ByValue(nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x * 3

    class ByShape(nn.Module):
        def forward(self, x):
            return x * 2 if x.shape[0] > 3 else x * 3

    made = torch.export.export(ByShape(), (torch.ones(2),), strict=True).module()

    assert made(torch.ones(2)).tolist() == [3.0, 3.0]
    with pytest.raises(Exception, match=r"Data-dependent branching|[Dd]ynamic control flow"):
        torch.export.export(ByValue(), (torch.ones(2),), strict=True)


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_examples_are_a_tuple():
    """``torch.export.export`` raises ``UserError`` for a tensor in place of a tuple of example inputs.

    What is no module, such as a function, is a ``ValueError``.
    """
    net, x = nn.Linear(2, 3), torch.rand(4, 2)

    with pytest.raises(torch._dynamo.exc.UserError, match="Expecting `args` to be a tuple of example"):
        torch.export.export(net, x)
    with pytest.raises(ValueError, match=r"to be an instance of `torch.nn.Module`"):
        torch.export.export(lambda x: x + 1, (x,))


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_submodules_are_places_alone():
    """Submodules of a module from ``torch.export.export`` hold parameters and cannot be called.

    ``NotImplementedError``: they have no ``forward``. ``torch.export.unflatten`` makes ones that do.
    """
    net, x = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1))), torch.rand(4, 2)
    made = torch.export.export(net, (x,)).module()

    for name in ("0", "1", "1.0"):
        assert type(made.get_submodule(name)) is nn.Module
        with pytest.raises(NotImplementedError, match='missing the required "forward" function'):
            made.get_submodule(name)(x)
    assert {n: p.data_ptr() for n, p in made.named_parameters()} == {
        n: p.data_ptr() for n, p in net.named_parameters()
    }


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_a_program_is_saved_with_its_weights():
    """``torch.export.load`` of a saved program gives a module with parameters of its own, without the class.

    ``torch.export.save(program, file)`` is the way: ``pickle`` of ``program.module()`` raises, though
    ``copy.deepcopy`` of it works.
    """

    class Local(nn.Linear):
        pass

    net, x, file = nn.Sequential(Local(2, 3)), torch.rand(4, 2), io.BytesIO()
    program = torch.export.export(net, (x,))
    torch.export.save(program, file)
    file.seek(0)

    loaded = torch.export.load(file).module()

    torch.testing.assert_close(loaded(x), net(x))
    for name, parameter in net.named_parameters():
        assert loaded.get_parameter(name).requires_grad
        assert loaded.get_parameter(name).data_ptr() != parameter.data_ptr()
    assert not any(isinstance(module, Local) for module in loaded.modules())
    torch.testing.assert_close(copy.deepcopy(program.module())(x), net(x))
    with pytest.raises((AttributeError, RecursionError), match=r"pickle|recursion"):
        pickle.dumps(program.module())


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_no_grad_around_export_does_not_freeze():
    """A module exported under ``torch.no_grad()`` still computes gradients when it is called outside."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([2.0, 7.0]))

        def forward(self, x):
            return x * self.scale

    net, x = Net(), torch.tensor([3.0, 5.0])

    with torch.no_grad():
        made = torch.export.export(net, (x,)).module()
    made(x).sum().backward()

    assert net.scale.grad.tolist() == [3.0, 5.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
@pytest.mark.before("2.13")
def test_a_failed_export_spoilt_the_module():
    """After ``torch.export.export(strict=False)`` failed, a module that assigns to a buffer raises.

    What watched the assignments of the module stays (:issue:`172213`). A deep copy has none, and works. See
    :func:`torch.export.export`.
    """

    class Net(nn.BatchNorm1d):
        def forward(self, x):
            self.running_mean = self.running_mean + 1
            return x + self.running_mean if x.sum() > 0 else x

    net, x = Net(2), torch.ones(2)
    hooks = torch.nn.modules.module._global_buffer_registration_hooks
    before = dict(hooks)
    with pytest.raises(Exception, match="Could not guard on data-dependent expression"):
        torch.export.export(net, (x,), strict=False)

    try:
        with pytest.raises(AssertionError, match=r"^$|expected FakeTensor"):
            net(x)
        assert copy.deepcopy(net)(x).tolist() == [2.0, 2.0]
    finally:
        hooks.clear()
        hooks.update(before)
    assert net(x).tolist() == [2.0, 2.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_decomposing_gives_another_program():
    """``run_decompositions()`` of an exported program returns a new one, with the same parameters.

    Buffers and names are the same too. Only the graph is another: ``linear`` becomes ``addmm``
    (:issue:`114628`), which up to 2.3 it is already.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).eval()
    program = torch.export.export(net, (torch.rand(4, 2),))

    decomposed = program.run_decompositions()

    assert decomposed is not program
    assert decomposed.graph is not program.graph
    assert torch.ops.aten.linear.default not in [node.target for node in decomposed.graph.nodes]
    assert list(decomposed.state_dict) == list(net.state_dict())
    assert all(decomposed.state_dict[key] is value for key, value in net.state_dict(keep_vars=True).items())
    assert torch.ops.aten.addmm.default in [node.target for node in decomposed.graph.nodes]


@pytest.mark.since("2.2")
def test_decomposing_keeps_a_write_to_a_buffer():
    """After ``run_decompositions()``, a program of ``torch.export.export`` still writes into buffers.

    Its graph has no ``copy_`` where ``forward`` had one: the new value is an output of the graph, named by
    ``graph_signature.buffers_to_mutate``, and the call writes it.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("last", torch.zeros(2))

        def forward(self, x):
            self.last.copy_(x)
            return x + 1

    program = torch.export.export(Net(), (torch.zeros(2),)).run_decompositions()
    net = program.module()

    assert net(torch.tensor([3.0, 4.0])).tolist() == [4.0, 5.0]
    assert dict(net.named_buffers())["last"].tolist() == [3.0, 4.0]
    assert list(program.graph_signature.buffers_to_mutate.values()) == ["last"]
    assert not any("copy_" in str(node.target) for node in program.graph.nodes)


@pytest.mark.since("2.14")
def test_keywords_of_any_name_may_be_free():
    """``torch.export.export`` takes ``dynamic_shapes`` of ``**kwargs`` by name, or in a dict under its name.

    For ``forward(self, **tensors)`` it is ``{"x": {0: dim}}`` or ``{"tensors": {"x": {0: dim}}}``; another
    name for the dict is a ``UserError`` (:issue:`150022`).
    """

    class Net(nn.Module):
        def forward(self, **tensors):
            return tensors["x"] * 2 + tensors["y"].sum()

    given = {"x": torch.rand(4), "y": torch.ones(3)}
    shapes = {"x": {0: torch.export.Dim("length")}, "y": None}
    for chosen in (shapes, {"tensors": shapes}):
        net = torch.export.export(Net(), (), given, dynamic_shapes=chosen).module()
        assert net(x=torch.ones(7), y=torch.ones(3)).tolist() == [5.0] * 7
    with pytest.raises(torch._dynamo.exc.UserError, match="top-level keys must be the arg names"):
        torch.export.export(Net(), (), given, dynamic_shapes={"kwargs": shapes})
