"""How a compiled ``forward`` reads and sets attributes.

Properties, a ``__setattr__`` of one's own, methods of another module and what ``forward`` does to a submodule
on the way. That a later change of an attribute is followed is in *compiled_changes*.
"""

import inspect

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
def test_properties_are_run():
    """A ``forward`` compiled by :func:`torch.compile` runs the getter and the setter of a ``property``.

    It does so in each call (:issue:`176599`).
    """

    class Net(nn.Module):
        @property
        def factor(self):
            return self.kept + 1.0

        @factor.setter
        def factor(self, value):
            self.kept = value * 10

        def forward(self, x):
            y = x * self.factor
            self.factor = 3.0
            return y

    net = Net()
    net.kept = 2.0
    compiled = torch.compile(net, backend="eager")

    assert [compiled(torch.tensor(1.0)).item() for _ in range(2)] == [3.0, 31.0]
    assert net.kept == 30.0


@pytest.mark.needs("compile")
def test_setattr_of_ones_own_is_run():
    """A ``forward`` compiled by ``torch.compile`` runs a ``__setattr__`` that the class of a module defines.

    Here the wrapper sets what the module inside has on that one (:issue:`107460`).
    """

    class Wrapper(nn.Sequential):
        def __setattr__(self, name, value):
            inner = self.__dict__.get("_modules", {}).get("0")
            if hasattr(inner, name):
                setattr(inner, name, value)
            else:
                super().__setattr__(name, value)

        def forward(self, x):
            self.calls = 7
            return self[0].layer(x)

    net = nn.Module()
    net.calls, net.layer = 5, nn.PReLU(init=2.0)
    wrapper = Wrapper(net)
    compiled = torch.compile(wrapper, backend="eager")

    assert compiled(torch.tensor(-1.0)).item() == -2.0
    assert net.calls == 7
    assert "calls" not in vars(wrapper)
    assert list(wrapper.state_dict()) == ["0.layer.weight"]


@pytest.mark.needs("compile")
def test_a_method_of_another_module_is_called():
    """A ``forward`` compiled by ``torch.compile`` may call a method of another module, kept as an attribute.

    It computes with the layers of that one, which the module itself does not register. In 2.5 such a call was
    no part of a graph, so that ``fullgraph=True`` failed (:issue:`137476`).
    """

    class Owner(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.PReLU(init=3.0)

        def run(self, x):
            return self.inner(x) + 1

    class Borrower(nn.Module):
        def forward(self, x):
            return self.run(x) * 2

    owner, borrower = Owner(), Borrower()
    borrower.run = owner.run
    compiled = torch.compile(borrower, backend="eager")

    results = [compiled(torch.tensor(-1.0)).item()]
    owner.inner.weight.data.fill_(5.0)
    results.append(compiled(torch.tensor(-1.0)).item())

    assert results == [-4.0, -8.0]
    assert list(borrower.parameters()) == []


@pytest.mark.needs("compile")
def test_the_mode_changes_on_the_way():
    """A ``forward`` compiled by ``torch.compile`` may call ``eval()`` and ``train()``, of submodules as well.

    Dropout follows within the call, and the mode stays as ``forward`` leaves it.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Sequential(nn.Dropout(1.0))

        def forward(self, x):
            self.eval()
            evaluated = self.drop(x)
            self.train()
            trained = self.drop(x)
            self.drop.eval()
            return evaluated, trained

    net = Net()
    results = torch.compile(net, backend="eager")(torch.tensor(3.0))

    assert [result.item() for result in results] == [3.0, 0.0]
    assert [net.training, net.drop.training, net.drop[0].training] == [True, False, False]


@pytest.mark.needs("compile")
def test_a_layer_is_frozen_on_the_way():
    """A ``forward`` compiled by ``torch.compile`` may freeze a layer by ``requires_grad_(False)``."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.PReLU(init=3.0)

        def forward(self, x):
            self.inner.requires_grad_(False)
            return self.inner(x)

    net = Net()
    output = torch.compile(net, backend="eager")(torch.tensor(-1.0))

    assert output.item() == -3.0
    assert output.requires_grad is False
    assert net.inner.weight.requires_grad is False


@pytest.mark.needs("compile")
def test_a_hook_is_registered_on_the_way():
    """A compiled ``forward`` may register and remove a hook; with ``fullgraph=True`` it is ``Unsupported``.

    Registering counts a number up in ``RemovableHandle``, which no graph does (:issue:`149921`). Register
    hooks before compiling with :func:`torch.compile`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.PReLU(init=3.0)

        def forward(self, x):
            handle = self.inner.register_forward_hook(lambda module, args, output: output * 10)
            y = self.inner(x)
            handle.remove()
            return y

    net = Net()

    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"(?i)unsupported|call_method|setattr"):
        torch.compile(net, backend="eager", fullgraph=True)(torch.tensor(-1.0))
    net.inner._forward_hooks.clear()

    assert torch.compile(net, backend="eager")(torch.tensor(-1.0)).item() == -30.0
    assert len(net.inner._forward_hooks) == 0


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_a_name_that_comes_to_hide_a_layer_is_missed():
    """After a first call ``torch.compile`` misses an ``object.__setattr__`` that hides a submodule.

    It goes on with the submodule, without a warning, where Python finds what hides it (:issue:`197859`).
    Assign as usual: a replaced layer is followed.

    See also :ref:`registration.plain_attributes.object_setattr_registers_nothing`
    """
    net = nn.Sequential(nn.Identity())
    net.forward = lambda x: net.scale(x)
    net.scale = nn.PReLU(init=2.0)
    compiled = torch.compile(net, backend="eager")

    results = [compiled(torch.tensor(-1.0)).item()]
    object.__setattr__(net, "scale", nn.PReLU(init=7.0))
    results.append(compiled(torch.tensor(-1.0)).item())

    assert results == [-2.0, -2.0]
    assert net(torch.tensor(-1.0)).item() == -7.0


@pytest.mark.needs("compile")
@pytest.mark.before("2.4")
def test_a_name_that_comes_to_hide_a_layer_was_noticed():
    """``torch.compile`` notices an ``object.__setattr__`` that hides a submodule after the first call."""
    net = nn.Sequential(nn.Identity())
    net.forward = lambda x: net.scale(x)
    net.scale = nn.PReLU(init=2.0)
    compiled = torch.compile(net, backend="eager")

    results = [compiled(torch.tensor(-1.0)).item()]
    object.__setattr__(net, "scale", nn.PReLU(init=7.0))
    results.append(compiled(torch.tensor(-1.0)).item())

    assert results == [-2.0, -7.0]


@pytest.mark.needs("compile")
def test_parameters_in_containers_are_read():
    """A ``forward`` compiled by ``torch.compile`` reads a ``ParameterDict`` and a ``ParameterList`` in one
    graph.

    By key, by index and in a loop (:issue:`99735`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.named = nn.ParameterDict({"scale": torch.tensor(3.0)})
            self.listed = nn.ParameterList([torch.tensor(5.0), torch.tensor(7.0)])

        def forward(self, x):
            return x * self.named["scale"] + self.listed[1] * 100 + sum(p * 10 for p in self.listed)

    compiled = torch.compile(Net(), backend="eager", fullgraph=True)

    assert compiled(torch.tensor(2.0)).item() == 826.0


@pytest.mark.needs("compile")
def test_dict_is_read_directly():
    """A ``forward`` compiled by ``torch.compile`` may read ``self.__dict__``, and follows a change there.

    See :issue:`106125`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = 3.0

        def forward(self, x):
            return x * self.__dict__["factor"]

    net = Net()
    compiled = torch.compile(net, backend="eager")

    results = [compiled(torch.tensor(1.0)).item()]
    net.factor = 5.0
    results.append(compiled(torch.tensor(1.0)).item())

    assert results == [3.0, 5.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.7")
def test_the_arguments_of_a_method_are_read():
    """``torch.compile(fullgraph=True)`` lets ``forward`` look up the arguments of a method by ``inspect``.

    Up to 2.11 such a call was left to Python, and in 2.12 and 2.13 it failed (:issue:`190171`). See
    :func:`torch.compile`.
    """

    class Net(nn.Module):
        def step(self, batch, index=None):
            return batch

        def forward(self, x):
            return x * len(inspect.getfullargspec(self.step).args)

    assert torch.compile(Net(), backend="eager", fullgraph=True)(torch.tensor([2.0])).tolist() == [6.0]


@pytest.mark.needs("compile")
def test_a_forward_of_the_instance_is_compiled():
    """``torch.compile(fullgraph=True)`` compiles a function assigned to ``module.forward``, side effects
    included.

    Such a function may call the old ``forward`` and change other objects: the change is kept
    (:issue:`113333`). See :func:`torch.compile`.
    """

    class Counter:
        calls = 0

        def count(self):
            self.calls += 1

    counter, layer = Counter(), nn.PReLU(init=2.0)
    plain = layer.forward

    def forward(x):
        counter.count()
        return plain(x) * 3

    layer.forward = forward
    compiled = torch.compile(layer, backend="eager", fullgraph=True)

    assert [compiled(torch.tensor([-5.0])).item() for _ in range(3)] == [-30.0] * 3
    assert counter.calls == 3


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_a_number_changed_between_calls():
    """An int attribute changed between calls makes a graph of :func:`torch.compile` for each value.

    After eight graphs the module runs eagerly. A schedule wants a float, which makes three graphs since 2.9,
    or a tensor (:issue:`140464`).

    See also :ref:`compilation.compiled_changes.a_counter_makes_a_graph_for_each_number`
    """
    graphs, seen = [], []

    class Net(nn.Module):
        scale = 1

        def forward(self, x):
            return x * self.scale

    net = Net()
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    for _ in range(10):
        assert compiled(torch.tensor(2.0)).item() == 2 * net.scale
        net.scale += 1
        seen.append(len(graphs))

    assert seen == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8]


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_layers_with_an_object_each():
    """Layers that hold separate objects of one class share a ``torch.compile`` graph if read values are
    equal.

    Objects are told apart by their class and by the attributes that ``forward`` reads, not by identity
    (:issue:`163329`).
    """
    graphs, counted = [], []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    class Scale:
        def __call__(self, x):
            return x * self.factor

    class Block(nn.Module):
        def forward(self, x):
            return self.scale(x)

    for factor in (2, 2, 2, 3):
        block, scale = Block(), Scale()
        block.scale, scale.factor, scale.unread = scale, factor, object()
        block.compile(backend=backend)
        assert block(torch.tensor(5.0)).item() == 5.0 * factor
        counted.append(len(graphs))
    assert counted == [1, 1, 1, 2]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.before("2.8")
def test_each_object_had_a_graph():
    """``torch.compile`` makes a graph per object for layers that hold separate objects of one class."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    class Triple:
        def __call__(self, x):
            return x * 3

    class Block(nn.Module):
        def forward(self, x):
            return self.triple(x)

    for _ in range(3):
        block = Block()
        block.triple = Triple()
        block.compile(backend=backend)
        assert block(torch.tensor(5.0)).item() == 15.0
    assert len(graphs) == 3
