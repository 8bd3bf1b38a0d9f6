"""What a compiled ``forward`` may do with the modules it calls.

They may be made on the way, be found by methods of one's own, or belong to somebody else. Where the compiler
cannot follow, it leaves a part to Python; with ``fullgraph=True`` that is an error.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
def test_a_module_with_parameters_is_not_made_on_the_way():
    """A ``forward`` that makes a layer with parameters cannot be compiled by ``torch.compile(fullgraph=True)``.

    Without ``fullgraph`` it runs, and that part is left to Python. A module without parameters, or one made
    in ``__init__``, is no obstacle. See :func:`torch.compile`.
    """

    class Net(nn.Module):
        def forward(self, x):
            return nn.Linear(2, 3)(x)

    with pytest.raises(Exception, match="Parameter"):
        torch.compile(Net(), backend="eager", fullgraph=True)(torch.rand(2))

    assert torch.compile(Net(), backend="eager")(torch.rand(2)).shape == (3,)


@pytest.mark.needs("compile")
def test_a_module_without_parameters_is_made_on_the_way():
    """A ``forward`` compiled by ``torch.compile(fullgraph=True)`` may make a module without parameters.

    See :func:`torch.compile`.
    """

    class Net(nn.Module):
        def forward(self, x):
            return nn.Flatten(0)(x) * 2

    compiled = torch.compile(Net(), backend="eager", fullgraph=True)

    assert compiled(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [2.0, 4.0, 6.0, 8.0]


class ByNumber(nn.Module):
    """Layers that are found by methods of its own."""

    def __init__(self):
        super().__init__()
        self.inner = nn.ModuleDict({"n0": nn.PReLU(init=2.0), "n1": nn.PReLU(init=3.0)})

    def __getitem__(self, number):
        return self.inner[f"n{number}"]

    def __iter__(self):
        yield self[1]
        yield self[0]


@pytest.mark.needs("compile")
def test_getitem_of_ones_own_is_compiled():
    """``torch.compile(fullgraph=True)`` compiles a module that looks its layers up by its own
    ``__getitem__``.

    See :func:`torch.compile` (:issue:`97720`).
    """

    class Net(ByNumber):
        def forward(self, x):
            return self[1](x)

    assert torch.compile(Net(), backend="eager", fullgraph=True)(torch.tensor([-5.0])).tolist() == [-15.0]


@pytest.mark.needs("compile")
def test_iter_of_ones_own_is_compiled():
    """``torch.compile(fullgraph=True)`` compiles a loop over a module with its own ``__iter__``.

    See :func:`torch.compile` (:issue:`103831`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = ByNumber()

        def forward(self, x):
            return [layer(x) for layer in self.layers]

    results = torch.compile(Net(), backend="eager", fullgraph=True)(torch.tensor([-5.0]))

    assert [result.item() for result in results] == [-15.0, -10.0]


@pytest.mark.needs("compile")
def test_keys_of_a_module_dict_are_walked():
    """``torch.compile(fullgraph=True)`` compiles a loop over the ``keys()`` or ``items()`` of a
    ``ModuleDict``.

    See :func:`torch.compile` (:issue:`95735`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = nn.ModuleDict({"a": nn.PReLU(init=2.0), "b": nn.PReLU(init=3.0)})

        def forward(self, x):
            by_key = {key: self.heads[key](x) for key in self.heads.keys()}  # noqa: SIM118
            return by_key, {key: head(x) for key, head in self.heads.items()}

    for result in torch.compile(Net(), backend="eager", fullgraph=True)(torch.tensor([-5.0])):
        assert {key: value.item() for key, value in result.items()} == {"a": -10.0, "b": -15.0}


@pytest.mark.needs("compile")
def test_tuples_may_be_keys_of_a_subclass():
    """``torch.compile(fullgraph=True)`` compiles a ``ModuleDict`` subclass whose ``__getitem__`` takes
    tuples.

    See :func:`torch.compile` (:issue:`111551`).
    """

    class Edges(nn.ModuleDict):
        def __getitem__(self, key):
            return super().__getitem__("__".join(key))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.edges = Edges({"author__paper": nn.PReLU(init=2.0)})

        def forward(self, x):
            return self.edges["author", "paper"](x)

    assert torch.compile(Net(), backend="eager", fullgraph=True)(torch.tensor([-5.0])).tolist() == [-10.0]


@pytest.mark.needs("compile")
def test_a_method_of_another_module_is_compiled():
    """``torch.compile(fullgraph=True)`` compiles a call of a method that is bound to another module.

    A wrapper may take over the attributes of a module and keep one of its methods. See
    :func:`torch.compile` (:issue:`137476`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.PReLU(init=2.0)

        def twice(self, x):
            return self.layer(self.layer(x))

    class Wrapper(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.__dict__.update(vars(net))
            self.run = net.twice

        def forward(self, x):
            return self.run(x)

    compiled = torch.compile(Wrapper(Net()), backend="eager", fullgraph=True)

    assert compiled(torch.tensor([-5.0])).tolist() == [-20.0]


@pytest.mark.needs("compile")
def test_a_patched_setattr_is_no_obstacle(monkeypatch):
    """``torch.compile`` also works where ``Module.__setattr__`` was replaced by a function that calls it.

    Libraries do so to watch what is registered. See :func:`torch.compile` (:issue:`107460`).
    """
    names, original = [], nn.Module.__setattr__

    def watch(self, name, value):
        if isinstance(value, nn.Module):
            names.append(name)
        original(self, name, value)

    monkeypatch.setattr(nn.Module, "__setattr__", watch)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.PReLU(init=2.0)

        def forward(self, x):
            return nn.Identity()(self.layer(x))

    assert torch.compile(Net(), backend="eager")(torch.tensor([-5.0])).tolist() == [-10.0]
    assert "layer" in names
