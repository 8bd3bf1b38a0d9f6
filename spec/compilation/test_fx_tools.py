"""What torch.fx offers to change and to run graphs.

Beside the :class:`~torch.fx.GraphModule` itself: arguments of ``forward``, an interpreter that runs a graph
node by node, a transformer that makes another one, and what edits a graph in place.
"""

import inspect
import operator

import pytest
import torch
from torch import fx, nn


def test_arguments_keep_their_defaults():
    """``fx.symbolic_trace`` keeps the defaults and names of the arguments of ``forward``.

    Those behind a ``*`` may be given by position as well then. ``*args`` and ``**kwargs`` stay as they are;
    each entry that ``forward`` reads is looked up by the graph.
    """

    class Net(nn.Module):
        def forward(self, x, y=3, *, z=2.0, shift=None):
            return x + y * z

    class Rest(nn.Module):
        def forward(self, *args, **kwargs):
            return args[0] * 10 + args[1] + kwargs["shift"]

    x = torch.tensor([5.0])
    graph, rest = fx.symbolic_trace(Net()), fx.symbolic_trace(Rest())

    assert [graph(x).item(), graph(x, 7).item(), graph(x, z=4, y=7).item()] == [11.0, 19.0, 33.0]
    assert str(inspect.signature(graph.forward)) == "(x, y=3, z=2.0, shift=None)"
    assert rest(x, x * 3, x * 7, shift=x * 2, other=x).item() == 75.0
    assert str(inspect.signature(rest.forward)) == "(*args, **kwargs)"


def test_an_argument_of_none_is_taken_for_given():
    """``fx.symbolic_trace`` takes an argument for given in ``if y is None``, even if ``None`` is its default.

    ``concrete_args={"y": None}`` decides it the other way.
    """

    class Net(nn.Module):
        def forward(self, x, y=None):
            if y is None:
                return x * 2
            return x + y

    x = torch.tensor([5.0])
    graph = fx.symbolic_trace(Net())

    assert graph(x, x).item() == 10.0
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \+: 'Tensor' and 'NoneType'"):
        graph(x)
    assert fx.symbolic_trace(Net(), concrete_args={"y": None})(x * 3).item() == 30.0


def test_methods_and_attributes_are_not_taken_over():
    """A ``GraphModule`` of ``fx.symbolic_trace`` lacks the module's plain attributes and other methods.

    Its class has the name of the original's, and is none of its subclasses.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = 3

        def forward(self, x):
            return x * self.scale

        def other(self):
            return 5

    graph = fx.symbolic_trace(Net())

    assert graph(torch.tensor([2.0])).item() == 6.0
    assert (type(graph).__name__, isinstance(graph, Net), isinstance(graph, fx.GraphModule)) == (
        "Net",
        False,
        True,
    )
    for name in ("scale", "other"):
        with pytest.raises(AttributeError, match=f"'Net' object has no attribute '{name}'"):
            getattr(graph, name)


def test_lists_of_layers_become_plain_modules():
    """``fx.symbolic_trace`` makes a plain ``nn.Module`` of a ``ModuleList``: it cannot be indexed.

    It holds the layers that ``forward`` uses, under their old names.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 3)])

        def forward(self, x):
            return self.layers[1](x)

    net = Net()
    graph = fx.symbolic_trace(net)

    assert type(graph.layers) is nn.Module
    assert [name for name, _ in graph.named_parameters()] == ["layers.1.weight", "layers.1.bias"]
    assert graph.get_submodule("layers.1") is net.layers[1]
    with pytest.raises(TypeError, match="'Module' object is not subscriptable"):
        graph.layers[1]


def test_tracing_runs_what_no_input_takes_part_in():
    """``fx.symbolic_trace`` itself runs ``self.count += 1`` of a buffer; the ``GraphModule`` never does.

    It reads the buffer as it is in each call.
    """

    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.tensor([4.0]))

        def forward(self, x):
            self.count += 1
            return x * self.count

    net = Counter()
    graph = fx.symbolic_trace(net)

    assert net.count.item() == 5.0
    assert [graph(torch.tensor([3.0])).item() for _ in range(2)] == [15.0, 15.0]
    assert graph.count.item() == 5.0
    graph.count.fill_(7.0)
    assert graph(torch.tensor([3.0])).item() == 21.0


def test_no_grad_inside_is_lost():
    """``with torch.no_grad()`` in ``forward`` is lost in a ``GraphModule`` of ``fx.symbolic_trace``."""

    class Net(nn.Module):
        def forward(self, x):
            with torch.no_grad():
                constant = x * 2
            return constant + x * 3 + x.detach() * 5

    net, grads = Net(), []
    for module in (net, fx.symbolic_trace(net)):
        x = torch.tensor([7.0], requires_grad=True)
        module(x).backward()
        grads.append(x.grad.item())

    assert grads == [3.0, 5.0]


def test_an_interpreter_runs_node_by_node():
    """:class:`torch.fx.Interpreter` runs a ``GraphModule`` by a method for each kind of node.

    Override ``placeholder``, ``get_attr``, ``call_module``, ``call_function``, ``call_method`` or ``output``
    to watch or change what is computed.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.same, self.scale = nn.Identity(), nn.Parameter(torch.tensor(2.0))

        def forward(self, x):
            return torch.relu(self.same(x).neg() * self.scale)

    def ten_times(kind):
        def method(self, target, args, kwargs):
            calls.append((kind, getattr(target, "__name__", target)))
            return getattr(fx.Interpreter, kind)(self, target, args, kwargs) * 10

        return method

    kinds = ("placeholder", "get_attr", "call_module", "call_function", "call_method", "output")
    Watching = type("Watching", (fx.Interpreter,), {kind: ten_times(kind) for kind in kinds})
    calls = []

    assert Watching(fx.symbolic_trace(Net())).run(torch.tensor([-3.0])).item() == 6.0 * 10**7
    assert calls == [
        *[("placeholder", "x"), ("call_module", "same"), ("call_method", "neg"), ("get_attr", "scale")],
        *[("call_function", "mul"), ("call_function", "relu"), ("output", "output")],
    ]


def test_an_interpreter_runs_hooks_of_layers():
    """:class:`torch.fx.Interpreter` runs forward hooks of layers, not of the ``GraphModule`` itself."""
    calls = []
    graph = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 1)))
    graph.register_forward_hook(lambda *args: calls.append("graph"))
    graph.get_submodule("0").register_forward_hook(lambda *args: calls.append("layer"))

    fx.Interpreter(graph).run(torch.rand(2))
    assert calls == ["layer"]

    graph(torch.rand(2))
    assert calls == ["layer", "layer", "graph"]


def test_a_transformer_makes_another_graph_module():
    """:class:`torch.fx.Transformer` returns another ``GraphModule`` with the same layers."""

    class Sigmoid(fx.Transformer):
        def call_function(self, target, args, kwargs):
            return super().call_function(torch.sigmoid if target is torch.relu else target, args, kwargs)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            return torch.relu(self.layer(x))

    net, x = Net(), torch.rand(2)
    graph = fx.symbolic_trace(net)
    other = Sigmoid(graph).transform()

    assert torch.equal(other(x), torch.sigmoid(net.layer(x)))
    assert torch.equal(graph(x), net(x))
    assert other.layer is graph.layer is net.layer


def test_a_pattern_is_replaced():
    """:func:`torch.fx.replace_pattern` replaces a pattern of calls in a ``GraphModule``, and returns
    the matches.

    The graph is changed in place and recompiled.
    """

    class Net(nn.Module):
        def forward(self, a, b, c):
            return torch.add(torch.mul(a, b), torch.mul(b, c))

    graph = fx.symbolic_trace(Net())

    matches = fx.replace_pattern(graph, lambda a, b: torch.mul(a, b), lambda a, b: torch.sub(a, b))

    assert len(matches) == 2
    assert [node.name for node in graph.graph.nodes if node.op == "call_function"] == ["sub", "sub_1", "add"]
    assert graph(torch.tensor(7.0), torch.tensor(2.0), torch.tensor(3.0)).item() == 4.0


def test_a_node_is_inserted():
    """``graph.inserting_after(node)`` of ``torch.fx`` inserts a call, whose users are redirected by hand.

    ``node.replace_all_uses_with(new)`` redirects ``new`` itself as well, so its argument is set again.
    """
    net, x = nn.Sequential(nn.Linear(2, 1), nn.Tanh()), torch.rand(2)
    graph = fx.symbolic_trace(net)
    node = next(node for node in graph.graph.nodes if node.target == "0")
    with graph.graph.inserting_after(node):
        new = graph.graph.call_function(operator.mul, (node, 10))
    node.replace_all_uses_with(new)
    assert new.args == (new, 10)

    new.update_arg(0, node)
    graph.graph.lint()
    graph.recompile()

    assert torch.equal(graph(x), torch.tanh(net[0](x) * 10))


def test_a_node_that_is_used_cannot_be_erased():
    """``graph.erase_node`` of ``torch.fx`` raises ``RuntimeError`` for a node whose result is still used.

    Redirect its users first.
    """
    graph = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    relu = next(node for node in graph.graph.nodes if node.target == "1")

    with pytest.raises(RuntimeError, match=r"Tried to erase Node .* but it still had 1 users in the graph"):
        graph.graph.erase_node(relu)
    relu.replace_all_uses_with(relu.args[0])
    graph.graph.erase_node(relu)

    graph.recompile()
    x = torch.tensor([-1.0, -2.0])
    assert torch.equal(graph(x), graph.get_submodule("0")(x))


def test_dead_code_is_removed():
    """``graph.eliminate_dead_code()`` of ``torch.fx`` removes calls with unused results, not their layers.

    ``delete_all_unused_submodules`` removes those too.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            self.layer(x) * 3
            return x + 1

    graph = fx.symbolic_trace(Net())

    assert graph.graph.eliminate_dead_code()
    assert [node.name for node in graph.graph.nodes] == ["x", "add", "output"]
    assert [name for name, _ in graph.named_children()] == ["layer"]
    graph.delete_all_unused_submodules()
    assert [name for name, _ in graph.named_children()] == []
    assert not graph.graph.eliminate_dead_code()


def test_submodules_are_added_at_any_depth():
    """``GraphModule.add_submodule("a.b.c", m)`` adds modules on the way; ``delete_submodule`` leaves them.

    Both return whether they did something.
    """
    graph, layer = fx.symbolic_trace(nn.Sequential(nn.ReLU())), nn.Linear(2, 1)

    assert graph.add_submodule("a.b.c", layer) is True
    assert graph.get_submodule("a.b.c") is layer
    assert graph.delete_submodule("a.b.c") is True
    assert [name for name, _ in graph.named_modules()] == ["", "0", "a", "a.b"]
    assert graph.delete_submodule("missing") is False
    graph.number = 3
    assert graph.add_submodule("number.c", layer) is False
    assert [name for name, _ in graph.named_modules()] == ["", "0", "a", "a.b"]


def test_a_graph_module_is_made_of_a_dict():
    """``fx.GraphModule(root, graph)`` takes layers from a module or a dict of names, without copying them."""
    layer = nn.Linear(2, 1)
    graph = fx.symbolic_trace(nn.Sequential(layer)).graph
    other = nn.Linear(2, 1)

    assert fx.GraphModule({"0": other}, graph).get_submodule("0") is other
    assert fx.GraphModule(nn.Sequential(other), graph).get_submodule("0") is other
    with pytest.raises(AttributeError, match="has no attribute '0'"):
        fx.GraphModule(nn.Module(), graph)
    with pytest.raises(RuntimeError, match="but that target was not provided in"):
        fx.GraphModule({}, graph)
