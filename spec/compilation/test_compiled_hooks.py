"""Hooks of a compiled module, and of the modules inside it.

The graph of a compiled call contains what the hooks of its submodules do, as they were at the first call.
Hooks of the module that is compiled itself run around the graph, unless it is a layer of ``torch.nn``.
"""

import pytest
import torch
from torch import nn

KINDS = ["forward_pre_hook", "forward_hook", "full_backward_pre_hook", "full_backward_hook"]
WAYS = [
    pytest.param(lambda net: torch.compile(net, backend="eager"), id="wrapped"),
    pytest.param(lambda net: net.compile(backend="eager") or net, id="in place"),
    pytest.param(lambda net: torch.compile(lambda x: net(x), backend="eager"), id="function"),
]


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
@pytest.mark.parametrize("compile_it", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_later_hook_is_ignored(compile_it, kind, recwarn):
    """After ``torch.compile`` and a first call, a hook added to a submodule never runs, without a warning.

    So it is for :func:`torch.compile` of a module or a function, for :meth:`torch.nn.Module.compile`, and for
    a ``torch.nn`` layer that is given to ``torch.compile`` itself. Add hooks before the first call
    (:issue:`117758`, :issue:`115750`).

    See also :ref:`compilation.compiled_hooks.guards_on_hooks_may_be_turned_on`
    """

    class Net(nn.Sequential):
        def forward(self, x):
            return self[0](x) * 2

    calls, x = [], torch.rand(2, requires_grad=True)
    net, layer = Net(nn.Linear(2, 2)), nn.Linear(2, 2)
    compiled, compiled_layer = compile_it(net), torch.compile(layer, backend="eager")
    for run in (compiled, compiled_layer):
        run(x)
    for module in (net[0], layer):
        getattr(module, f"register_{kind}")(lambda *given: calls.append("hook"))

    recwarn.clear()
    for run in (compiled, compiled_layer):
        run(x).sum().backward()
    assert calls == list(recwarn) == []
    layer(x).sum().backward()
    assert calls == ["hook"]


@pytest.mark.needs("compile")
@pytest.mark.before("2.5")
@pytest.mark.parametrize("compile_it", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_later_hook_was_seen(compile_it, kind):
    """After ``torch.compile`` and a first call, a hook added to a submodule runs."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x):
            return self.inner(x) * 2

    calls, net, x = [], Net(), torch.rand(2, requires_grad=True)
    compiled = compile_it(net)
    compiled(x)
    getattr(net.inner, f"register_{kind}")(lambda *given: calls.append("hook"))

    compiled(x).sum().backward()

    assert calls == ["hook"]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize("compile_it", WAYS)
def test_an_earlier_hook_is_compiled(compile_it):
    """Forward hooks on a submodule before the first call of ``torch.compile(net)`` run in each call."""
    net, x = nn.Sequential(nn.Identity()), torch.tensor(2.0)
    net[0].register_forward_pre_hook(lambda module, args: (args[0] + 3,))
    compiled = compile_it(net)
    net[0].register_forward_hook(lambda module, args, output: output * 10)

    assert [compiled(x).item() for _ in range(3)] == [50.0] * 3


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_a_removed_hook_is_followed():
    """``torch.compile`` follows the removal of a submodule's hook: it no longer runs.

    Unlike a hook that is added, which is not noticed.
    """
    net, x = nn.Sequential(nn.Identity(), nn.Tanh()), torch.tensor(-2.0)
    after = net[0].register_forward_hook(lambda module, args, output: output * 10)
    before = net[0].register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    compiled = torch.compile(net, backend="eager")
    compiled(x)

    net[1] = nn.Identity()
    assert compiled(x).item() == -10.0
    before.remove()
    assert compiled(x).item() == -20.0
    after.remove()
    assert compiled(x).item() == -2.0


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
@pytest.mark.before("2.4")
def test_a_removed_hook_still_ran():
    """After ``torch.compile`` and a first call, a submodule's forward hook that is removed still runs."""
    net, x = nn.Sequential(nn.Identity()), torch.tensor(2.0)
    handle = net[0].register_forward_hook(lambda module, args, output: output * 10)
    compiled = torch.compile(net, backend="eager")
    compiled(x)
    handle.remove()

    assert compiled(x).item() == 20.0


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize("compile_it", WAYS)
@pytest.mark.parametrize("kind", KINDS[2:])
def test_an_earlier_backward_hook_fires(compile_it, kind):
    """Backward hooks on a submodule before the first call of ``torch.compile(net)`` fire until removed."""
    calls = []
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    handle = getattr(net[0], f"register_{kind}")(lambda *given: calls.append("hook"))
    compiled = compile_it(net)
    for _ in range(3):
        compiled(torch.rand(2, requires_grad=True)).sum().backward()
    assert calls == ["hook"] * 3

    handle.remove()
    compiled(torch.rand(2, requires_grad=True)).sum().backward()
    assert calls == ["hook"] * 3


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize("compile_it", WAYS[:2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_later_hook_of_the_module_itself_runs(compile_it, kind):
    """A hook added to ``net`` once its ``torch.compile(net)`` was called runs, if the class of ``net`` is
    your own.

    ``torch.compile`` compiles ``forward`` of such a module and runs the hooks around it.
    """

    class Double(nn.Module):
        def forward(self, x):
            return x * 2

    calls = []
    net = Double()
    compiled = compile_it(net)
    compiled(torch.rand(2, requires_grad=True))

    getattr(net, f"register_{kind}")(lambda *given: calls.append("hook"))
    compiled(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == ["hook"]


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
@pytest.mark.parametrize("kind", ["forward_pre_hook", "forward_hook"])
def test_guards_on_hooks_may_be_turned_on(kind):
    """With ``torch._dynamo.config.skip_nnmodule_hook_guards=False``, hooks added after a compiled call run.

    It is ``True`` by default, and has to be set before the first call.
    """
    calls = []
    layer = nn.Linear(2, 2)
    compiled = torch.compile(layer, backend="eager")
    for skipped in (True, False):
        with torch._dynamo.config.patch(skip_nnmodule_hook_guards=skipped):
            compiled(torch.rand(2))
            handle = getattr(layer, f"register_{kind}")(lambda *given, skipped=skipped: calls.append(skipped))
            compiled(torch.rand(2))
        handle.remove()
        torch._dynamo.reset()

    assert torch._dynamo.config.skip_nnmodule_hook_guards is True
    assert calls == [False]


@pytest.mark.needs("compile")
@pytest.mark.parametrize("fullgraph", [False, True])
def test_hooks_of_the_module_itself_are_other_graphs(fullgraph):
    """If ``net`` is of your own class, ``torch.compile(net)`` makes separate graphs of its own forward hooks.

    ``fullgraph=True`` does not complain of it. Those of a submodule are part of its graph: compile a module
    that holds the one with hooks to have one graph (:issue:`117584`, :issue:`180379`).
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append([node.target.__name__ for node in graph.graph.nodes if node.op == "call_function"])
        return graph.forward

    class Double(nn.Module):
        def forward(self, x):
            return x * 2

    net = Double()
    net.register_forward_pre_hook(lambda module, args: (args[0] + 3,))
    net.register_forward_hook(lambda module, args, output: output - 5)

    assert torch.compile(net, backend=backend, fullgraph=fullgraph)(torch.ones(1)).tolist() == [3.0]
    assert graphs == [["add"], ["mul"], ["sub"]]
    torch._dynamo.reset()
    graphs.clear()
    assert torch.compile(nn.Sequential(net), backend=backend)(torch.ones(1)).tolist() == [3.0]
    assert graphs == [["add", "mul", "sub"]]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize("compile_it", WAYS)
def test_a_disabled_hook_runs_eagerly(compile_it):
    """A hook wrapped by ``torch.compiler.disable`` runs eagerly; the layers around it are still compiled.

    The module itself is compiled all the same (:issue:`142358`).
    """
    seen = []

    class Net(nn.Module):
        def forward(self, x):
            seen.append(torch._dynamo.is_compiling())
            return x * 2

    @torch.compiler.disable
    def hook(module, args):
        seen.append(torch._dynamo.is_compiling())
        return (args[0] + 3,)

    net = Net()
    net.register_forward_pre_hook(hook)

    assert compile_it(net)(torch.tensor(2.0)).item() == 10.0
    assert seen == [False, True]


@pytest.mark.needs("compile")
def test_options_of_hooks_are_kept():
    """``torch.compile`` respects ``with_kwargs=True`` and ``prepend=True`` of the hooks of a submodule.

    Such hooks are part of the one graph (:issue:`170110`, :issue:`160083`).
    """

    class Scale(nn.Module):
        def forward(self, x, *, by):
            return x * by

    class Net(nn.Sequential):
        def forward(self, x):
            return self[0](x, by=2.0)

    net = Net(Scale())
    net[0].register_forward_pre_hook(lambda _, args, kwargs: (args, {"by": args[0] + 1}), with_kwargs=True)
    net[0].register_forward_pre_hook(lambda _, args: args[0] * 2, prepend=True)
    net[0].register_forward_hook(lambda _, args, kwargs, output: output + kwargs["by"], with_kwargs=True)
    net[0].register_forward_hook(lambda _, args, output: output * 10, prepend=True)
    compiled = torch.compile(net, backend="eager", fullgraph=True)

    assert [compiled(torch.ones(1)).item() for _ in range(3)] == [63.0] * 3
    assert net(torch.ones(1)).item() == 63.0


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
@pytest.mark.before("2.11")
@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook"])
def test_a_hook_with_kwargs_made_a_graph_each_time(kind):
    """``torch.compile`` makes a new graph each time a submodule's ``with_kwargs=True`` hook is registered
    anew.

    A hook without keyword arguments does not. See :func:`torch.compile`.
    """
    graphs, counts = [], []

    class Double(nn.Module):
        def forward(self, x):
            return x * 2

    for with_kwargs in (True, False):
        torch._dynamo.reset()
        net = nn.Sequential(Double())
        compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
        for _ in range(3):
            handle = getattr(net[0], f"register_{kind}")(lambda *given: None, with_kwargs=with_kwargs)
            compiled(torch.ones(1))
            handle.remove()
        counts.append(len(graphs))

    assert counts == [3, 4]


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
@pytest.mark.parametrize(
    ("kind", "options"),
    [("full_backward_hook", {}), ("full_backward_hook", {"prepend": True}), ("backward_hook", {})],
)
def test_a_backward_hook_of_the_wrapper_never_fires(kind, options, recwarn):
    """A backward hook on the module that ``torch.compile`` returns never fires.

    There is no warning. It even decides which kind of backward hook the original accepts later: after a full
    one ``register_backward_hook`` raises there. Set it on the original.
    """

    class Double(nn.Module):
        def forward(self, x):
            return x * 2

    calls, net = [], Double()
    compiled = torch.compile(net, backend="eager")
    compiled(torch.rand(2, requires_grad=True))
    recwarn.clear()
    getattr(compiled, f"register_{kind}")(lambda *given: calls.append("wrapper"), **options)
    compiled(torch.rand(2, requires_grad=True)).sum().backward()
    assert calls == list(recwarn) == []

    other = {"full_backward_hook": "backward_hook", "backward_hook": "full_backward_hook"}[kind]
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full backward hooks"):
        getattr(net, f"register_{other}")(lambda *given: None)
    getattr(net, f"register_{kind}")(lambda *given: calls.append("original"))
    compiled(torch.rand(2, requires_grad=True)).sum().backward()
    assert calls == ["original"]


@pytest.mark.needs("compile")
def test_a_backward_pre_hook_of_the_wrapper_fires():
    """A full backward pre-hook on the module that ``torch.compile`` returns fires."""
    calls = []
    compiled = torch.compile(nn.Linear(2, 3), backend="eager")
    compiled.register_full_backward_pre_hook(lambda module, grad_output: calls.append(module is compiled))

    compiled(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == [True]


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_a_disabled_layer_stays_out_with_its_hooks():
    """``torch.compiler.disable(layer)`` wraps a layer in a module, which runs eagerly, with its hooks.

    The layer is then ``_orig_mod`` of a submodule, and its names get that prefix (:issue:`123979`).
    """
    seen, graphs = [], []

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.PReLU(init=2.0), nn.PReLU(init=3.0)

        def forward(self, x):
            return self.second(self.first(x))

    def backend(graph, inputs):
        graphs.append(len([node for node in graph.graph.nodes if node.op.startswith("call")]))
        return graph

    net = Net()
    net.first.register_forward_hook(lambda module, args, y: seen.append(torch._dynamo.is_compiling()))
    net.first = torch.compiler.disable(net.first)

    assert torch.compile(net, backend=backend)(torch.tensor(-1.0)).item() == -6.0
    assert seen == [False]
    assert graphs == [1]
    assert list(net.state_dict()) == ["first._orig_mod.weight", "second.weight"]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.before("2.4")
def test_a_disabled_layer_was_compiled():
    """``torch.compiler.disable(layer)`` keeps neither the layer nor its hooks from ``torch.compile``."""
    seen = []

    class Layer(nn.Module):
        def forward(self, x):
            seen.append(torch._dynamo.is_compiling())
            return x * 2

    net = nn.Sequential(Layer())
    net[0].register_forward_hook(lambda module, args, y: seen.append(torch._dynamo.is_compiling()))
    net[0] = torch.compiler.disable(net[0])
    net.forward = lambda x: net[0](x) + 1

    assert torch.compile(net, backend="eager")(torch.tensor(3.0)).item() == 7.0
    assert seen == [True, True]
