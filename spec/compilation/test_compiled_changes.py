"""A module that changes after its first compiled call.

The graph holds for what it was made with. What the compiler watches, it follows: by reading the present value
in each call, or by making another graph. What it does not watch keeps its old meaning in silence.
"""

import io

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda net: net[0].weight.data.fill_(5.0), id="in place"),
        pytest.param(lambda net: setattr(net[0].weight, "data", torch.full((1, 2), 5.0)), id=".data"),
        pytest.param(lambda net: net.load_state_dict({"0.weight": torch.full((1, 2), 5.0)}), id="loaded"),
    ],
)
def test_new_values_need_no_new_graph(change):
    """A module from :func:`torch.compile` uses new values of a parameter without a new graph.

    So it is for a change in place, for ``parameter.data = tensor`` and for ``load_state_dict``.
    """
    graphs, net = [], nn.Sequential(nn.Linear(2, 1, bias=False))
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    compiled(torch.ones(2))
    change(net)

    assert compiled(torch.ones(2)).tolist() == [10.0]
    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda layer: setattr(layer, "weight", nn.Parameter(torch.full((1, 2), 5.0))), id="set"),
        pytest.param(lambda layer: setattr(layer, "bias", nn.Parameter(torch.ones(1))), id="added"),
    ],
)
@pytest.mark.parametrize("inside", [True, False], ids=["submodule", "module"])
def test_a_replaced_parameter_is_followed(change, inside):
    """A compiled module uses a parameter that is replaced later, or that was ``None`` at first.

    See also :ref:`compilation.compiled_state.a_state_that_is_assigned_is_used`
    """
    layer, x = nn.Linear(2, 1, bias=False), torch.tensor([2.0, 3.0])
    compiled = torch.compile(nn.Sequential(layer) if inside else layer, backend="eager")
    before = compiled(x)
    change(layer)

    assert torch.equal(compiled(x), layer(x))
    assert not torch.equal(compiled(x), before)


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_a_replaced_layer_is_followed():
    """A compiled module follows a layer or a ``forward`` that is replaced, or a layer that is appended.

    It makes another graph (:issue:`129362`).
    """
    graphs, net, x = [], nn.Sequential(nn.Flatten(0)), torch.tensor([2.0, -3.0])
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    assert compiled(x).tolist() == [2.0, -3.0]
    net[0] = nn.ReLU()
    assert compiled(x).tolist() == [2.0, 0.0]
    net.append(nn.Threshold(5.0, 7.0))
    assert compiled(x).tolist() == [7.0, 7.0]
    net[0].forward = lambda x: x * 4
    assert compiled(x).tolist() == [8.0, 7.0]
    assert len(graphs) == 4


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
@pytest.mark.before("2.5")
def test_an_appended_layer_was_ignored():
    """``torch.compile`` ignores a layer appended to an ``nn.Sequential`` after the first compiled call."""
    net, x = nn.Sequential(nn.Flatten(0)), torch.tensor([2.0, -3.0])
    compiled = torch.compile(net, backend="eager")
    compiled(x)
    net.append(nn.ReLU())

    assert compiled(x).tolist() == [2.0, -3.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_a_switch_has_two_graphs():
    """``torch.compile`` makes one graph for each value of a bool attribute that ``forward`` reads.

    A value that had a graph before uses it again: so may an adapter be switched on and off
    (:issue:`124717`, :issue:`98928`).
    """
    graphs = []

    def backend(graph, inputs):
        return graphs.append(graph) or graph.forward

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.doubled = False

        def forward(self, x):
            return x * 2 if self.doubled else x + 1

    net = Net()
    compiled, results = torch.compile(net, backend=backend), []
    for net.doubled in (False, True, False, True):
        results.append(compiled(torch.tensor(3.0)).item())

    assert results == [4.0, 6.0, 4.0, 6.0]
    assert len(graphs) == 2


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
@pytest.mark.parametrize("value", [5.0, torch.tensor(5.0)], ids=["number", "tensor"])
@pytest.mark.parametrize("of_the_class", [True, False], ids=["class", "instance"])
@pytest.mark.parametrize("inside", [True, False], ids=["submodule", "module"])
def test_attributes_are_followed(value, of_the_class, inside):
    """A compiled module follows attributes that ``forward`` reads, changed on the module or its class.

    So it is for numbers and for plain tensors, such as a cache (:issue:`115774`).
    """

    class Net(nn.Module):
        scale = value - 3.0

        def forward(self, x):
            return x * self.scale

    net = Net()
    if not of_the_class:
        net.scale = value - 3.0
    compiled = torch.compile(nn.Sequential(net) if inside else net, backend="eager")
    assert compiled(torch.tensor(3.0)).item() == 6.0
    (Net if of_the_class else net).scale = value
    assert compiled(torch.tensor(3.0)).item() == 15.0


@pytest.mark.needs("compile")
@pytest.mark.before("2.4")
@pytest.mark.parametrize("of_the_class", [True, False], ids=["class", "instance"])
def test_attributes_were_ignored(of_the_class):
    """A compiled module ignores changes of attributes that ``forward`` reads after its first call."""

    class Net(nn.Module):
        scale = 2.0

        def forward(self, x):
            return x * self.scale

    net = Net()
    compiled = torch.compile(net, backend="eager")
    compiled(torch.tensor(3.0))
    (Net if of_the_class else net).scale = 5.0

    assert compiled(torch.tensor(3.0)).item() == 6.0


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_an_adapter_may_be_added_later():
    """A compiled module uses a submodule that is ``None`` in the first call and set or removed later.

    So an adapter such as LoRA may be put in after the first call (:issue:`120958`).
    """

    class Net(nn.Linear):
        def __init__(self):
            super().__init__(1, 1)
            self.adapter = None

        def forward(self, x):
            out = super().forward(x)
            return out if self.adapter is None else out + self.adapter(x)

    net, x = Net(), torch.tensor([3.0])
    compiled = torch.compile(net, backend="eager")
    before = compiled(x)
    net.adapter = nn.Identity()
    assert torch.equal(compiled(x), before + 3.0)
    net.adapter = None
    assert torch.equal(compiled(x), before)


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize("name", ["forward", "scaled"])
def test_a_method_of_a_class_is_not_watched(name, recwarn):
    """After ``torch.compile`` and a first call, a method replaced on a submodule's class is ignored.

    There is no warning, and the eager module does otherwise. Patch classes before the first call, or call
    ``torch.compiler.reset()`` afterwards.
    """

    class Inner(nn.Module):
        def forward(self, x):
            return self.scaled(x)

        def scaled(self, x):
            return x * 2

    net = nn.Sequential(Inner())
    compiled = torch.compile(net, backend="eager")
    compiled(torch.tensor(3.0))
    setattr(Inner, name, lambda self, x: x * 5)

    assert net(torch.tensor(3.0)).item() == 15.0
    recwarn.clear()
    assert compiled(torch.tensor(3.0)).item() == 6.0
    assert list(recwarn) == []
    torch.compiler.reset()
    assert compiled(torch.tensor(3.0)).item() == 15.0


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_without_guards_changes_are_ignored():
    """With a ``guard_filter_fn`` that drops all guards, ``torch.compile`` ignores attributes changed later.

    Nothing is compiled again, and what ``forward`` counts up stays as after the first call. Such is
    ``torch.compiler.skip_guard_on_all_nn_modules_unsafe`` for changes of modules.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor, self.steps = 2, 0

        def forward(self, x):
            self.steps += 1
            return x * self.factor

    for keep in (
        lambda guards: [False] * len(guards),
        torch.compiler.skip_guard_on_all_nn_modules_unsafe,
    ):
        net = Net()
        compiled = torch.compile(net, backend="eager", options={"guard_filter_fn": keep})
        compiled(torch.tensor(3.0))
        net.factor = 5

        assert [compiled(torch.tensor(3.0)).item() for _ in range(3)] == [6.0] * 3
        assert net.steps == 1
        torch._dynamo.reset()


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_a_counter_makes_a_graph_for_each_number():
    """An integer attribute that ``forward`` counts up makes a graph of ``torch.compile`` in each call, 8 at
    most.

    Then the module runs eagerly, slow and without an error. Count in a buffer, or outside ``forward``
    (:issue:`128319`, :issue:`115711`).

    See also :ref:`compilation.compiled_changes.a_counter_in_a_buffer_makes_one_graph`
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = 0

        def forward(self, x):
            self.steps += 1
            return x * 2

    net = Net()
    compiled, numbers = torch.compile(net, backend=backend), []
    for _ in range(10):
        compiled(torch.ones(1))
        numbers.append(len(graphs))

    assert numbers == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8]
    assert net.steps == 10


@pytest.mark.needs("compile")
@pytest.mark.before("2.8")
def test_a_counter_made_a_few_graphs():
    """An integer attribute that ``forward`` counts up makes two or four graphs of ``torch.compile``.

    The last is for all further numbers. There are four graphs up to torch 2.4, two in 2.5 to 2.7.
    """
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = 0

        def forward(self, x):
            self.steps += 1
            return x * 2

    net = Net()
    compiled = torch.compile(net, backend=backend)
    for _ in range(10):
        compiled(torch.ones(1))

    assert len(graphs) in (2, 4)
    assert net.steps == 10


@pytest.mark.needs("compile")
def test_a_counter_in_a_buffer_makes_one_graph():
    """A buffer that ``forward`` counts up needs one graph of ``torch.compile`` only."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("steps", torch.tensor(0))

        def forward(self, x):
            self.steps += 1
            return x * 2

    net = Net()
    compiled = torch.compile(net, backend=backend)
    for _ in range(10):
        compiled(torch.ones(1))

    assert len(graphs) == 1
    assert net.steps.item() == 10


@pytest.mark.needs("compile")
def test_what_forward_stores_arrives():
    """What a compiled ``forward`` assigns to an attribute or appends to a list of the module is kept."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.seen = None, []

        def forward(self, x):
            self.last = x * 2
            self.seen.append(x + 1)
            return x

    net = Net()
    compiled = torch.compile(net, backend="eager")
    compiled(torch.tensor(3.0))
    compiled(torch.tensor(4.0))

    assert net.last.item() == 8.0
    assert [value.item() for value in net.seen] == [4.0, 5.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_a_saved_wrapper_is_a_wrapper():
    """``torch.load`` of a whole module saved from ``torch.compile`` returns a wrapper around a copy.

    It is compiled again at its first call, and who loads it needs the class of the original, as for any whole
    module. Save ``compiled._orig_mod.state_dict()`` instead (:issue:`101651`).
    """
    compiled, file = torch.compile(nn.Linear(2, 3), backend="eager"), io.BytesIO()
    torch.save(compiled, file)
    file.seek(0)

    loaded, x = torch.load(file, weights_only=False), torch.rand(2)

    assert type(loaded) is type(compiled)
    assert type(loaded._orig_mod) is nn.Linear
    assert loaded._orig_mod.weight is not compiled._orig_mod.weight
    torch._dynamo.utils.counters.clear()
    assert torch.equal(loaded(x), compiled._orig_mod(x))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.needs("compile")
@pytest.mark.before("2.4")
def test_a_wrapper_could_not_be_saved():
    """Saving a whole module from ``torch.compile`` raises ``AttributeError``: it cannot be pickled."""
    with pytest.raises(AttributeError, match="Can't pickle local object 'convert_frame"):
        torch.save(torch.compile(nn.Linear(2, 3), backend="eager"), io.BytesIO())
