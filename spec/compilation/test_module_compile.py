"""Compiling a module in place.

:meth:`torch.nn.Module.compile` compiles what a call of the module does. The module stays what it is: its
class, names and ``state_dict`` do not change. The other way, a module around the module, is in
*torch_compile*.
"""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook


class Double(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2.0


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
def test_a_call_runs_compiled_code(device):
    """After :meth:`Module.compile <torch.nn.Module.compile>`, calling the module runs the code that the
    backend compiled.

    The graph is made at the first call, so errors and the time that it takes show there, and is used again.
    """
    steps = []
    layer = Double(2, 3, device=device)
    x = torch.rand(4, 2, device=device)
    expected = layer(x)

    def backend(graph, inputs):
        def run(*args):
            steps.append("run")
            return graph(*args)

        steps.append(f"compile a {type(graph).__name__}")
        return run

    layer.compile(backend=backend)
    assert steps == []

    assert torch.equal(layer(x), expected)
    assert torch.equal(layer(x), expected)
    assert steps == ["compile a GraphModule", "run", "run"]


@pytest.mark.since("2.1")
@pytest.mark.question("Q105")
@pytest.mark.needs("compile")
def test_nothing_is_returned():
    """:meth:`Module.compile <torch.nn.Module.compile>` returns ``None``; the module keeps its class and its
    ``state_dict()`` keys.

    So ``net = net.compile()`` loses the module. Checkpoints fit with and without it, unlike those of a module
    that :func:`torch.compile` wraps.
    """
    layer = Double(2, 3)
    keys, before = list(layer.state_dict()), list(layer.modules())

    assert layer.compile(backend="eager") is None
    assert type(layer) is Double
    assert list(layer.state_dict()) == keys
    assert list(layer.modules()) == before


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_arguments_are_passed_on(monkeypatch):
    """:meth:`Module.compile <torch.nn.Module.compile>` passes its arguments on to :func:`torch.compile`.

    They are given by name.
    """
    graphs = []
    layer, disabled = Double(2, 3), Double(2, 3)

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    disabled.compile(backend=backend, disable=True)
    disabled(torch.rand(2))
    assert graphs == []
    layer.compile(backend=backend)
    layer(torch.rand(2))
    assert len(graphs) == 1

    with pytest.raises(TypeError, match="unexpected keyword argument 'backnd'"):
        layer.compile(backnd="eager")
    with pytest.raises(TypeError, match="positional argument"):
        layer.compile("eager")

    given = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: given.append(options))
    layer.compile(backend="eager", fullgraph=True, dynamic=False)
    assert given == [{"backend": "eager", "fullgraph": True, "dynamic": False}]


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_forward_called_by_name_is_not_compiled():
    """After :meth:`Module.compile <torch.nn.Module.compile>`, calling ``module.forward(x)`` directly still
    runs eagerly.

    Only a call, ``module(x)``, runs compiled code; so do not call ``forward`` by name.
    """
    graphs = []
    layer = Double(2, 3)

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    layer.compile(backend=backend)

    layer.forward(torch.rand(2))
    assert graphs == []
    layer(torch.rand(2))
    assert len(graphs) == 1


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_parameters_may_be_changed_later():
    """After :meth:`Module.compile <torch.nn.Module.compile>`, each call uses the current values of the
    parameters.

    One graph does for all values, and gradients reach the parameters.
    """
    graphs = []
    layer = Double(2, 1)

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    layer.compile(backend=backend)
    layer(torch.rand(2))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 3.0]]))
        layer.bias.fill_(5.0)
    out = layer(torch.tensor([10.0, 100.0]))
    out.backward()

    assert out.tolist() == [650.0]
    assert layer.weight.grad.tolist() == [[20.0, 200.0]]
    assert layer.bias.grad.tolist() == [2.0]
    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_a_replaced_parameter_is_followed():
    """After :meth:`Module.compile <torch.nn.Module.compile>`, calls use a parameter that was replaced.

    See also :ref:`compilation.compiled_changes.a_replaced_parameter_is_followed`
    """
    alone, inside = Double(2, 1, bias=False), Double(2, 1, bias=False)
    for net, layer in ((alone, alone), (nn.Sequential(inside), inside)):
        net.compile(backend="eager")
        net(torch.rand(2))

        layer.weight = nn.Parameter(torch.tensor([[5.0, 7.0]]))

        assert net(torch.tensor([10.0, 100.0])).tolist() == [1500.0]


@pytest.mark.since("2.14")
@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 3), nn.ReLU, lambda: nn.LayerNorm(2)])
def test_a_layer_of_torch_is_compiled_too(make):
    """:meth:`Module.compile <torch.nn.Module.compile>` also compiles a plain ``torch.nn`` layer, such as
    ``nn.Linear``.

    See :issue:`150915` and :pull:`185722`.
    """
    graphs, layer = [], make()

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    layer.compile(backend=backend)
    layer(torch.rand(2))

    assert len(graphs) == 1


@pytest.mark.since("2.1")
@pytest.mark.before("2.14")
@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
def test_a_layer_of_torch_ran_eagerly():
    """:meth:`Module.compile <torch.nn.Module.compile>` leaves a plain ``torch.nn`` layer, such as
    ``nn.Linear``, eager.

    A subclass with a ``forward`` of its own is compiled, and so is a layer given to :func:`torch.compile`
    (:issue:`150915`).
    """
    graphs = []
    layer, own = nn.Linear(2, 3), Double(2, 3)

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    layer.compile(backend=backend)
    layer(torch.rand(2))
    assert graphs == []

    own.compile(backend=backend)
    own(torch.rand(2))
    assert len(graphs) == 1


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_the_mode_is_followed():
    """After :meth:`Module.compile <torch.nn.Module.compile>`, a ``forward`` that uses ``self.training``
    follows ``train()`` and ``eval()``.

    The first call after ``train()`` or ``eval()`` makes a second graph; going back makes none.
    """
    graphs = []

    class Net(nn.Module):
        def forward(self, x):
            return x * 2.0 if self.training else x * 3.0

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net, x = Net(), torch.tensor([5.0])
    net.compile(backend=backend)

    assert [net(x).item(), net.eval()(x).item(), net.train()(x).item()] == [10.0, 15.0, 10.0]
    assert len(graphs) == 2


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_hooks_run_once():
    """After ``Module.compile``, forward hooks and pre-hooks run once per call, around ``forward``."""
    calls = []

    class Net(nn.Module):
        def forward(self, x):
            calls.append("forward")
            return x * 2.0

    net = Net()
    net.register_forward_pre_hook(lambda *_: calls.append("pre"))
    net.register_forward_hook(lambda *_: calls.append("post"))
    net.compile(backend="eager")
    net(torch.rand(2))
    net(torch.rand(2))

    assert calls == ["pre", "forward", "post"] * 2


@pytest.mark.since("2.4")
@pytest.mark.needs("compile")
@pytest.mark.question("Q109")
def test_a_global_hook_runs_once():
    """After ``Module.compile``, a global forward hook runs once for the module in each call.

    So it does without compilation. Around a module that :func:`torch.compile` wraps it also runs for the
    wrapper.
    """
    calls = []
    layer = Double(2, 3)

    handle = register_module_forward_hook(lambda module, *_: calls.append(type(module).__name__))
    try:
        layer(torch.rand(2))
        layer.compile(backend="eager")
        layer(torch.rand(2))
        layer(torch.rand(2))
    finally:
        handle.remove()

    assert calls == ["Double"] * 3


@pytest.mark.since("2.1")
@pytest.mark.before("2.4")
@pytest.mark.needs("compile")
@pytest.mark.question("Q109")
def test_a_global_hook_ran_for_the_graph_too():
    """After ``Module.compile``, global forward hooks also run for its ``GraphModule`` and
    ``OptimizedModule``.
    """
    calls = []
    layer = Double(2, 3)
    layer.compile(backend="eager")

    handle = register_module_forward_hook(lambda module, *_: calls.append(type(module).__name__))
    try:
        layer(torch.rand(2))
    finally:
        handle.remove()

    assert calls == ["GraphModule", "OptimizedModule", "Double"]


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
def test_a_submodule_may_be_compiled():
    """:meth:`Module.compile <torch.nn.Module.compile>` on a submodule leaves the rest of the network
    eager.
    """
    shapes = []
    net = nn.Sequential(Double(2, 3), Double(3, 1))
    x = torch.rand(4, 2)
    expected = net(x)

    def backend(graph, inputs):
        shapes.append([tuple(value.shape) for value in inputs])
        return graph.forward

    net[1].compile(backend=backend)

    assert torch.equal(net(x), expected)
    assert len(shapes) == 1
    assert (4, 3) in shapes[0]
    assert (4, 2) not in shapes[0]


def through_pickle(module):
    return pickle.loads(pickle.dumps(module))


@pytest.mark.since("2.1")
@pytest.mark.needs("compile")
@pytest.mark.parametrize("duplicate", [copy.deepcopy, through_pickle])
def test_a_copy_is_not_compiled(duplicate):
    """A ``copy.deepcopy`` or unpickled copy of a module compiled by ``Module.compile()`` runs eagerly.

    Compile the copy again.
    """
    graphs = []
    layer, x = Double(2, 3), torch.rand(2)

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    layer.compile(backend=backend)
    twin = duplicate(layer)

    assert torch.equal(twin(x), layer.forward(x))
    assert graphs == []
    layer(x)
    assert len(graphs) == 1
