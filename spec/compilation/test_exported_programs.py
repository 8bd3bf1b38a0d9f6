"""The exported program itself: an object that is no module, and what can be read off it.

``torch.export.export`` returns a program; ``program.module()`` makes a module of it. Both hold the tensors
of the module that was exported.
"""

import copy

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_a_program_is_no_module():
    """What ``torch.export.export`` returns is not an ``nn.Module``: calling it raises ``RuntimeError``.

    It has no ``to``, ``eval`` or ``load_state_dict`` either: ``program.module()`` returns a module.
    """
    net, x = nn.Linear(2, 1), torch.tensor([[3.0, 3.0]])
    program = torch.export.export(net, (x,))

    assert not isinstance(program, nn.Module)
    with pytest.raises(RuntimeError, match="Unable to call ExportedProgram directly"):
        program(x)
    for name in ("to", "eval", "train", "load_state_dict", "forward"):
        assert not hasattr(program, name)
    assert program.module()(x).tolist() == net(x).tolist()


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_the_state_dict_of_a_program_is_an_attribute():
    """``state_dict`` of an exported program is a dict, not a method: it holds the parameters themselves.

    Persistent buffers are there as well; other buffers are in ``constants``.
    """
    net = nn.BatchNorm1d(2)
    net.register_buffer("num_batches_tracked", torch.tensor(0), persistent=False)
    program = torch.export.export(net, (torch.rand(3, 2),))

    assert sorted(program.state_dict) == ["bias", "running_mean", "running_var", "weight"]
    assert all(value is getattr(net, name) for name, value in program.state_dict.items())
    assert program.constants == {"num_batches_tracked": net.num_batches_tracked}
    with pytest.raises(TypeError, match="object is not callable"):
        program.state_dict()


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_names_of_parameters_and_buffers_of_a_program():
    """``named_parameters()`` and ``named_buffers()`` of an exported program yield the module's own tensors.

    Buffers that are not saved are among them. ``parameters()`` and ``buffers()`` give the same without names.
    """
    net = nn.BatchNorm1d(2)
    net.register_buffer("num_batches_tracked", torch.tensor(0), persistent=False)
    program = torch.export.export(net, (torch.rand(3, 2),))

    parameters, buffers = dict(program.named_parameters()), dict(program.named_buffers())
    assert list(parameters) == ["weight", "bias"]
    assert [p is q for p, q in zip(net.parameters(), program.parameters(), strict=True)] == [True, True]
    assert (parameters["weight"] is net.weight, parameters["bias"] is net.bias) == (True, True)
    assert sorted(buffers) == ["num_batches_tracked", "running_mean", "running_var"]
    assert all(buffer is net.get_buffer(name) for name, buffer in buffers.items())
    assert [p is q for p, q in zip(buffers.values(), program.buffers(), strict=True)] == [True] * 3


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_the_signature_sorts_tensors():
    """``graph_signature`` of an exported program lists its ``parameters``, ``buffers`` and
    ``non_persistent_buffers``.

    ``inputs_to_parameters`` maps the names of inputs of the graph to those of parameters,
    ``lifted_tensor_constants`` are plain tensors.
    """

    class Shifted(nn.BatchNorm1d):
        def forward(self, x):
            return super().forward(x) + self.shift

    net = Shifted(2)
    net.shift = torch.tensor([5.0, 7.0])
    net.register_buffer("num_batches_tracked", torch.tensor(0), persistent=False)
    program = torch.export.export(net, (torch.rand(3, 2),))
    signature = program.graph_signature

    assert list(signature.parameters) == list(signature.inputs_to_parameters.values()) == ["weight", "bias"]
    inputs = [node.name for node in program.graph.nodes if node.op == "placeholder"]
    assert list(signature.inputs_to_parameters) == inputs[:2]
    assert sorted(signature.buffers) == ["num_batches_tracked", "running_mean", "running_var"]
    assert sorted(signature.inputs_to_buffers.values()) == sorted(signature.buffers)
    assert list(signature.non_persistent_buffers) == ["num_batches_tracked"]
    assert list(signature.lifted_tensor_constants) == ["shift"]
    assert (len(signature.user_inputs), len(signature.user_outputs)) == (1, 1)


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_the_graph_takes_parameters_as_inputs():
    """``graph_module`` of an exported program has no parameters: its graph takes them as inputs.

    Behind them come buffers, and what ``forward`` takes at the end. ``program.module()`` has
    the parameters again, and takes what ``forward`` took.
    """
    program = torch.export.export(nn.BatchNorm1d(2), (torch.rand(3, 2),))
    inputs = [node.name for node in program.graph.nodes if node.op == "placeholder"]
    signature = program.graph_signature

    assert list(program.graph_module.parameters()) == []
    assert list(program.graph_module.buffers()) == []
    assert len(inputs) == 6
    assert [signature.inputs_to_parameters[name] for name in inputs[:2]] == ["weight", "bias"]
    buffers = ["running_mean", "running_var", "num_batches_tracked"]
    assert [signature.inputs_to_buffers[name] for name in inputs[2:5]] == buffers
    assert inputs[5:] == list(signature.user_inputs)
    with pytest.raises(TypeError, match="missing 5 required positional arguments"):
        program.graph_module(torch.rand(3, 2))
    module = program.module()
    assert sorted(name for name, _ in module.named_parameters()) == ["bias", "weight"]
    assert module(torch.rand(3, 2)).shape == (3, 2)


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_modules_of_a_program_share_everything():
    """Each ``module()`` of an exported program is a new module with the original's parameters and buffers.

    What one of them counts in a buffer, all of them and the original have.
    """
    net, x = nn.BatchNorm1d(2), torch.rand(3, 2)
    program = torch.export.export(net, (x,))
    first, second = program.module(), program.module()

    first(x)
    first(x)

    assert first is not second
    for module in (first, second):
        assert {name: id(parameter) for name, parameter in module.named_parameters()} == {
            name: id(parameter) for name, parameter in net.named_parameters()
        }
    counts = [one.num_batches_tracked.item() for one in (net, second, program.module())]
    assert counts == [2, 2, 2]


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_loading_into_an_exported_module_loads_into_both():
    """``load_state_dict`` of an exported program's ``module()`` also changes the module that was exported.

    So does a step of an optimizer, or a cast: to be rid of that, export a ``copy.deepcopy``.
    """
    net, x = nn.BatchNorm1d(2).eval(), torch.tensor([[3.0, 3.0]])
    module, apart = (torch.export.export(one, (x,)).module() for one in (net, copy.deepcopy(net)))

    module.load_state_dict(
        {**module.state_dict(), "bias": torch.tensor([4.0, 6.0]), "running_mean": x[0].clone()}
    )

    assert (net.bias.tolist(), net.running_mean.tolist()) == ([4.0, 6.0], [3.0, 3.0])
    assert net(x).tolist() == module(x).tolist() == [[4.0, 6.0]]
    module(x).sum().backward()
    torch.optim.SGD(module.parameters(), lr=2.0).step()
    assert net.bias.tolist() == [2.0, 4.0]
    module.double()
    assert net.weight.dtype == torch.float64
    assert (apart.bias.tolist(), apart.bias.dtype) == ([0.0, 0.0], torch.float32)


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_values_changed_after_the_export_are_seen():
    """A module of ``torch.export.export`` sees in-place changes of the original's weights, not replaced
    ones.

    A new ``Parameter`` in the original is another object than the one that the program holds.
    """
    net, x = nn.Linear(2, 1, bias=False), torch.tensor([[3.0, 2.0]])
    program = torch.export.export(net, (x,))
    before = program.module()
    with torch.no_grad():
        net.weight.fill_(10.0)
    assert before(x).tolist() == program.module()(x).tolist() == [[50.0]]

    net.weight = nn.Parameter(torch.tensor([[0.0, 0.0]]))
    assert before(x).tolist() == program.module()(x).tolist() == [[50.0]]


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_a_tied_weight_has_two_names_in_a_program():
    """``state_dict`` of an exported program has a tied weight under both names; ``module()`` ties it again.

    It is one object there, and ``parameters()`` of the module yields it once.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    program = torch.export.export(net, (torch.rand(1, 2),))

    assert sorted(program.state_dict) == ["0.bias", "0.weight", "1.bias", "1.weight"]
    assert program.state_dict["0.weight"] is program.state_dict["1.weight"]
    assert len(list(program.module().parameters())) == 3


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_the_flag_of_an_exported_module_says_nothing():
    """``training`` of an exported program's ``module()`` is ``True`` even if the module was exported in
    ``eval()``.

    What counts is the mode at the export: dropout stays off, or on.
    """
    x = torch.ones(1, 4)
    for mode, expected in ((True, 0.0), (False, 4.0)):
        net = nn.Sequential(nn.Dropout(1.0)).train(mode)
        module = torch.export.export(net, (x,)).module()
        assert module.training is True
        assert module(x).sum().item() == expected


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_copy_of_a_program_is_independent():
    """``copy.deepcopy`` of an exported program, or of its ``module()``, copies the parameters as well."""
    net, x = nn.Linear(2, 1), torch.tensor([[3.0, 2.0]])
    program, expected = torch.export.export(net, (x,)), net(x).tolist()
    copies = [copy.deepcopy(program).module(), copy.deepcopy(program.module())]
    with torch.no_grad():
        net.weight.zero_()
        net.bias.zero_()

    assert [made(x).tolist() for made in copies] == [expected] * 2
    assert program.module()(x).tolist() == [[0.0]]


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_only_modules_are_exported():
    """``torch.export.export`` raises ``ValueError`` for a function: it has to be an ``nn.Module``."""
    for strict in (True, False):
        with pytest.raises(ValueError, match=r"Expected `mod` to be an instance of `torch\.nn\.Module`"):
            torch.export.export(lambda x: x + 1, (torch.rand(2),), strict=strict)


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_a_program_is_exported_again_by_its_module():
    """``torch.export.export`` refuses an exported program with ``ValueError``; it takes its ``module()``.

    The second program has the same state, and ``unflatten`` gives its submodules back (:issue:`117892`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(2, 1), nn.Linear(1, 1)

        def forward(self, x):
            return self.last(self.first(x))

    net, x = Net(), torch.tensor([[3.0, 5.0]])
    program = torch.export.export(net, (x,))
    with pytest.raises(ValueError, match=r"^Expected `mod` to be an instance of `torch.nn.Module`"):
        torch.export.export(program, (x,))
    again = torch.export.export(program.module(), (x,))
    made = torch.export.unflatten(again)

    assert sorted(again.state_dict) == sorted(net.state_dict())
    assert all(value is net.get_parameter(name) for name, value in again.state_dict.items())
    assert {"first", "last"} <= {name for name, _ in made.named_modules()}
    torch.testing.assert_close(made(x), net(x))
