"""torch.compile around what is compiled already, and not at all.

A net of which a part is compiled may be compiled as a whole, and a library may compile what its user has
compiled. What is inside is then compiled as a part of what is outside.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize("in_place", [False, True], ids=["torch.compile", "Module.compile"])
def test_a_compiled_layer_joins_the_outer_graph(in_place):
    """``torch.compile`` of a net takes a layer that is compiled already into its own graph and backend.

    The layer's own backend compiles it only where it is called from outside of that graph.
    """

    class Triple(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x) * 3

    graphs = []

    def backend(name):
        return lambda graph, inputs: graphs.append(name) or graph.forward

    layer, x = Triple(nn.Identity()), torch.tensor([2.0])
    net = Triple(layer)
    if in_place:
        layer.compile(backend=backend("inner"))
    else:
        net.inner = torch.compile(layer, backend=backend("inner"))
    assert torch.compile(net, backend=backend("outer"), fullgraph=True)(x).item() == 18.0
    assert graphs == ["outer"]
    assert net(x).item() == 18.0
    assert graphs == ["outer", "inner"]


@pytest.mark.needs("compile")
def test_a_wrapper_compiled_again_is_a_function():
    """``torch.compile`` of a module that ``torch.compile`` returned gives a function, not a module.

    It compiles ``forward`` of the original with the new ``backend``, and has no ``state_dict()``. Ask for
    ``_orig_mod`` before compiling again.
    """
    graphs, net, x = [], nn.Linear(2, 1), torch.rand(2)
    first = torch.compile(net, backend=lambda graph, inputs: graphs.append("first") or graph.forward)
    again = torch.compile(first, backend=lambda graph, inputs: graphs.append("second") or graph.forward)

    assert torch.equal(again(x), net(x))
    assert graphs == ["second"]
    assert (isinstance(first, nn.Module), isinstance(again, nn.Module)) == (True, False)
    with pytest.raises(AttributeError, match="'function' object has no attribute 'state_dict'"):
        again.state_dict()


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_wrapper_around_a_module_compiled_in_place():
    """``torch.compile`` of a module compiled by ``Module.compile`` uses the backend of ``Module.compile``."""

    class Net(nn.Module):
        def forward(self, x):
            return x * 3

    graphs, net = [], Net()
    net.compile(backend=lambda graph, inputs: graphs.append("inner") or graph.forward)
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append("outer") or graph.forward)

    assert compiled(torch.tensor([2.0])).item() == 6.0
    assert graphs == ["inner"]
    assert compiled._orig_mod is net


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_the_second_compilation_counts():
    """``Module.compile`` a second time puts the new ``backend`` in place of the first one.

    It does so before and after the first call. Up to 2.1 graphs that were made before stay in use.
    """

    class Net(nn.Module):
        def forward(self, x):
            return x * 3

    graphs, net = [], Net()
    net.compile(backend=lambda graph, inputs: graphs.append("first") or graph.forward)
    net.compile(backend=lambda graph, inputs: graphs.append("second") or graph.forward)

    assert net(torch.tensor([2.0])).item() == 6.0
    assert graphs == ["second"]

    net.compile(backend=lambda graph, inputs: graphs.append("third") or graph.forward)
    assert net(torch.tensor([2])).item() == 6
    assert graphs == ["second", "third"]


@pytest.mark.needs("compile")
def test_disable_returns_the_module_itself():
    """``torch.compile(net, disable=True)`` returns ``net`` itself, not a wrapper: no name gets longer.

    A function is returned as it is as well.
    """
    net = nn.Linear(2, 1)

    def function(x):
        return x * 2

    assert torch.compile(net, disable=True, backend="eager") is net
    assert torch.compile(function, disable=True) is function


@pytest.mark.needs("compile")
def test_a_compiled_sequential_has_no_index():
    """The module that ``torch.compile`` returns for a ``Sequential`` cannot be indexed or iterated over.

    Other methods, such as ``append``, act on the original, which is its ``_orig_mod``.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    compiled = torch.compile(net, backend="eager")

    with pytest.raises(TypeError, match="'OptimizedModule' object is not subscriptable"):
        compiled[0]
    with pytest.raises(TypeError, match="'OptimizedModule' object is not iterable"):
        list(compiled)
    assert compiled._orig_mod[0] is net[0]
    assert compiled.append(nn.ReLU()) is net
    assert compiled.insert(0, nn.Tanh()) is net
    assert [type(layer) for layer in net] == [nn.Tanh, nn.Linear, nn.ReLU]


@pytest.mark.needs("compile")
def test_a_plain_state_dict_does_not_fit():
    """A module of ``torch.compile`` raises ``RuntimeError`` for the state dict of the plain module.

    Load it into the original, by the name ``_orig_mod`` or before ``torch.compile``; or take the prefix off
    the other way round.

    See also :ref:`compilation.torch_compile.its_state_dict_does_not_fit_the_module`
    """
    net, saved = nn.Linear(2, 1), {"weight": torch.tensor([[3.0, 5.0]]), "bias": torch.tensor([7.0])}
    compiled = torch.compile(net, backend="eager")

    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "_orig_mod.weight"') as caught:
        compiled.load_state_dict(saved)
    assert 'Unexpected key(s) in state_dict: "weight", "bias"' in str(caught.value)

    compiled._orig_mod.load_state_dict(saved)
    assert (net.weight.tolist(), net.bias.tolist()) == ([[3.0, 5.0]], [7.0])
    kept = compiled.state_dict()
    torch.nn.modules.utils.consume_prefix_in_state_dict_if_present(kept, "_orig_mod.")
    assert {key: value.tolist() for key, value in kept.items()} == {"weight": [[3.0, 5.0]], "bias": [7.0]}


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_reset_forgets_all_graphs():
    """``torch.compiler.reset()`` forgets all graphs of ``torch.compile``: the next call compiles anew."""
    graphs = []
    backend = lambda graph, inputs: graphs.append(graph) or graph.forward  # noqa: E731
    layers = [torch.compile(layer, backend=backend) for layer in (nn.Linear(2, 1), nn.Softplus())]

    for made in (2, 2):
        for compiled in layers:
            compiled(torch.rand(2))
        assert len(graphs) == made
    torch.compiler.reset()
    for made, compiled in enumerate(layers, start=3):
        compiled(torch.rand(2))
        assert len(graphs) == made


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
def test_new_cases_may_run_eagerly():
    """Inside ``torch.compiler.set_stance("eager_on_recompile")`` calls that need a new graph run eagerly.

    A module that was not called before runs eagerly as well. Graphs that fit are used.
    """
    graphs, runs = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return lambda *args: runs.append(1) or graph(*args)

    layer = nn.Linear(2, 1)
    compiled = torch.compile(layer, backend=backend, dynamic=False)
    with torch.compiler.set_stance("eager_on_recompile"):
        torch.testing.assert_close(compiled(torch.ones(3, 2)), layer(torch.ones(3, 2)))
        assert graphs == []
    compiled(torch.rand(3, 2))
    with torch.compiler.set_stance("eager_on_recompile"):
        for x in (torch.rand(3, 2), torch.rand(4, 2)):
            torch.testing.assert_close(compiled(x), layer(x))
    assert (len(graphs), len(runs)) == (1, 2)
    compiled(torch.rand(4, 2))
    assert (len(graphs), len(runs)) == (2, 3)


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
def test_an_unknown_stance_is_refused():
    """An unknown name in ``torch.compiler.set_stance`` raises ``RuntimeError`` at the next compiled call.

    It does so at every call, until another stance is set.
    """
    layer, x = nn.Linear(2, 1), torch.rand(2)
    compiled = torch.compile(layer, backend="eager")

    with torch.compiler.set_stance("lazy"):
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"invalid torch.compile stance .*lazy"):
                compiled(x)
        layer(x)
        torch.compiler.set_stance("default")
        assert torch.equal(compiled(x), layer(x))
    assert torch.equal(compiled(x), layer(x))


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
def test_earlier_graphs_serve_beyond_the_limit():
    """Beyond its limit of 8 graphs ``torch.compile`` uses those it has, and runs other cases eagerly."""
    graphs, runs = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return lambda *args: runs.append(1) or graph(*args)

    compiled = torch.compile(lambda x, text: x * len(text), backend=backend)
    for length in range(1, 11):
        compiled(torch.ones(1), "a" * length)
    assert (len(graphs), len(runs)) == (8, 8)

    assert compiled(torch.ones(1), "aaa").item() == 3.0
    assert (len(graphs), len(runs)) == (8, 9)
    assert compiled(torch.ones(1), "a" * 10).item() == 10.0
    assert (len(graphs), len(runs)) == (8, 9)


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
@pytest.mark.before("2.6")
def test_earlier_graphs_were_given_up_beyond_the_limit():
    """Beyond its limit of 8 graphs ``torch.compile`` runs all cases eagerly, even those with a graph."""
    graphs, runs = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return lambda *args: runs.append(1) or graph(*args)

    compiled = torch.compile(lambda x, text: x * len(text), backend=backend)
    for length in range(1, 11):
        compiled(torch.ones(1), "a" * length)
    assert (len(graphs), len(runs)) == (8, 8)

    assert compiled(torch.ones(1), "aaa").item() == 3.0
    assert (len(graphs), len(runs)) == (8, 8)


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
def test_code_may_ask_whether_it_is_compiled():
    """``torch.compiler.is_compiling()`` is true in a compiled ``forward``, and false in the eager one."""

    class Net(nn.Module):
        def forward(self, x):
            return x * 3 if torch.compiler.is_compiling() else x * 5

    net, x = Net(), torch.tensor([2.0])
    compiled = torch.compile(net, backend="eager", fullgraph=True)

    assert [net(x).item(), compiled(x).item(), compiled(x).item(), net(x).item()] == [10.0, 6.0, 6.0, 10.0]
    assert not torch.compiler.is_compiling()


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_function_may_stay_whole():
    """A function with ``torch.compiler.allow_in_graph`` is one call in the graph of ``torch.compile``.

    It is not looked into: it may hold what breaks a graph, and runs as Python in each call.
    """
    calls, graphs = [], []

    @torch.compiler.allow_in_graph
    def double(x):
        calls.append(type(x).__name__)
        return x * 2

    def backend(graph, inputs):
        graphs.append([node.name for node in graph.graph.nodes if node.op == "call_function"])
        return graph.forward

    compiled = torch.compile(lambda x: double(x) + 1, backend=backend, fullgraph=True)

    assert [compiled(torch.tensor([value])).item() for value in (3.0, 5.0)] == [7.0, 11.0]
    assert graphs == [["double", "add"]]
    assert calls[-2:] == ["Tensor", "Tensor"]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_result_may_be_taken_for_constant():
    """``torch.compile`` calls an ``assume_constant_result`` function once, when it compiles.

    Where it compiles again, as for another dtype, it calls the function again.
    """
    calls = []

    @torch.compiler.assume_constant_result
    def number():
        calls.append("number")
        return len(calls) + 2

    compiled = torch.compile(lambda x: x * number(), backend="eager")

    assert [compiled(torch.tensor([value])).item() for value in (2.0, 5.0)] == [6.0, 15.0]
    assert calls == ["number"]
    assert [compiled(torch.tensor([value])).item() for value in (2, 5)] == [8, 20]
    assert calls == ["number"] * 2


@pytest.mark.needs("compile")
def test_errors_of_the_backend_may_be_suppressed():
    """With ``torch._dynamo.config.suppress_errors``, calls whose backend fails to compile run eagerly.

    By default it raises ``BackendCompilerFailed``.
    """

    def backend(graph, inputs):
        raise ValueError("out of order")

    layer, x = nn.Linear(2, 1), torch.rand(2)
    with pytest.raises(Exception, match="out of order") as caught:
        torch.compile(layer, backend=backend)(x)
    assert type(caught.value).__name__ == "BackendCompilerFailed"

    torch._dynamo.reset()
    with torch._dynamo.config.patch(suppress_errors=True):
        compiled = torch.compile(layer, backend=backend)
        assert [torch.equal(compiled(x), layer(x)) for _ in range(2)] == [True, True]
