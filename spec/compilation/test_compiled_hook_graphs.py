"""What hooks cost a compiled module: breaks in its graph, and graphs.

That hooks run, and when not, is in *compiled_hooks*. Here it is about the graphs around them.
"""

# ruff: noqa: RUF043

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("kind", ["register_full_backward_hook", "register_full_backward_pre_hook"])
@pytest.mark.needs("compile")
def test_a_backward_hook_breaks_the_graph(kind):
    """A full backward hook on a submodule breaks the graph of ``torch.compile``: the submodule runs eagerly.

    So does its pre-hook, and both also under ``no_grad``. With ``fullgraph=True`` it raises ``Unsupported``;
    a hook on the parameter or on the whole module breaks nothing (:issue:`133303`). See
    :meth:`~torch.nn.Module.register_full_backward_hook`.
    """

    class Net(nn.Sequential):
        def forward(self, x):
            return self[0](x * 2).relu()

    def backend(graph, inputs):
        graphs.append([node.name for node in graph.graph.nodes if node.op.startswith("call_")])
        return graph.forward

    net, graphs, calls, x = Net(nn.Linear(2, 2)), [], [], torch.rand(4, 2)
    getattr(net, kind)(lambda *_: calls.append("whole"))
    net[0].weight.register_hook(lambda _: calls.append("weight"))
    torch.compile(net, backend=backend)(x).sum().backward()
    assert (len(graphs), sorted(calls)) == (1, ["weight", "whole"])

    net, graphs, calls = Net(nn.Linear(2, 2)), [], []
    getattr(net[0], kind)(lambda *_: calls.append("hook"))
    torch._dynamo.reset()
    torch.compile(net, backend=backend)(x).sum().backward()
    torch._dynamo.reset()
    with torch.no_grad():
        torch.compile(net, backend=backend)(x)
    assert (graphs, calls) == ([["mul"], ["relu"]] * 2, ["hook"])

    with pytest.raises(torch._dynamo.exc.Unsupported, match="(?i)backwards? ?hook"):
        torch.compile(net, backend=backend, fullgraph=True)(x)


@pytest.mark.needs("compile")
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_hooked_layer_of_a_sequential_runs_it_eagerly(index):
    """With a full backward hook on one of its layers a compiled ``nn.Sequential`` has no graph at all.

    Layers are called in a loop, and a break in a loop leaves the whole ``forward`` to Python. See
    :meth:`~torch.nn.Module.register_full_backward_hook`.
    """
    net, graphs, calls = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), [], []
    net[index].register_full_backward_hook(lambda *_: calls.append("hook"))
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)

    compiled(torch.rand(4, 2)).sum().backward()

    assert graphs == []
    assert calls == ["hook"]


@pytest.mark.parametrize(("compiled_autograd", "number"), [(False, 2), (True, 1)])
@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_other_hooks_break_nothing(compiled_autograd, number):
    """Forward hooks, parameter hooks and backward hooks of the whole module leave ``torch.compile`` one
    graph.

    The whole module is of a class of one's own here. A backward hook of a submodule breaks it, unless
    ``torch._dynamo.config.compiled_autograd`` is on. See :func:`torch.compile`.
    """

    class Net(nn.Sequential):
        def forward(self, x):
            return self[0](x * 2).relu()

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    net, graphs, calls, x = Net(nn.Linear(2, 2)), [], [], torch.rand(4, 2)
    net.register_full_backward_hook(lambda *_: calls.append("whole"))
    net[0].weight.register_hook(lambda _: calls.append("weight"))
    for module in (net, net[0]):
        module.register_forward_pre_hook(lambda *_: calls.append("before"))
        module.register_forward_hook(lambda *_: calls.append("forward"))
    torch.compile(net, backend=backend)(x).sum().backward()
    assert (len(graphs), sorted(calls)) == (1, ["before"] * 2 + ["forward"] * 2 + ["weight", "whole"])

    torch._dynamo.reset()
    net = Net(nn.Linear(2, 2))
    net[0].register_full_backward_hook(lambda *_: calls.append("inner"))
    with torch._dynamo.config.patch(compiled_autograd=compiled_autograd):
        torch.compile(net, backend=backend)(x).sum().backward()
    assert (len(graphs) - 1, calls.count("inner")) == (number, 1)


@pytest.mark.parametrize(("place", "number"), [("inner", 1), ("", 2)], ids=["inside", "on it"])
@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_equal_layers_with_hooks(place, number):
    """Modules of one class share ``torch.compile`` graphs even if each has its own hook on a submodule.

    A hook on the compiled layer itself is a graph of its own, shared as well (:issue:`125836`). The hooks are
    of one code here: ones of another code need a graph of their own. See :func:`torch.compile`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x):
            return self.inner(x)

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    graphs, x = [], torch.rand(1, 2)
    for _ in range(4):
        net = Net()
        net.get_submodule(place).register_forward_hook(lambda _, args, output: output * 2)
        torch.testing.assert_close(torch.compile(net, backend=backend)(x), net(x))
    assert len(graphs) == number

    net = Net()
    net.get_submodule(place).register_forward_hook(lambda _, args, output: output * 3)
    torch.testing.assert_close(torch.compile(net, backend=backend)(x), net(x))
    assert len(graphs) == number + 1


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
@pytest.mark.parametrize("method_first", [False, True])
@pytest.mark.parametrize("place", ["", "0"], ids=["on it", "inside"])
def test_functions_and_methods_may_be_hooks_together(place, method_first):
    """``torch.compile`` runs a function and a bound method as pre-hooks of one module, in their order.

    So it does where the module is compiled, and where a function that is given the module is
    (:issue:`170429`).
    """

    class Helper:
        def double(self, module, args):
            return (args[0] * 2,)

    hooks = [lambda module, args: (args[0] + 1,), Helper().double]
    net = nn.Sequential(nn.PReLU(init=0.5))
    for hook in reversed(hooks) if method_first else hooks:
        net.get_submodule(place).register_forward_pre_hook(hook)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    function = torch.compile(lambda module, x: module(x) * 10, backend="eager", fullgraph=True)

    results = [compiled(torch.tensor([3.0])).item(), function(net, torch.tensor([3.0])).item()]
    assert results == ([7.0, 70.0] if method_first else [8.0, 80.0])
