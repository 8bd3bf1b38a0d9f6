"""What ``torch.jit.script`` makes of containers, attributes and methods.

It compiles the code of ``forward`` and what that calls, for one type of each attribute. TorchScript is
deprecated; what it does not take is still the most frequent question about it.
"""

import copy
import io
import pickle

import pytest
import torch
from torch import nn


def test_a_list_is_indexed_by_a_literal():
    """``torch.jit.script`` raises ``RuntimeError`` for ``self.layers[i]`` with a variable; a literal works.

    So it is for the keys of a ``ModuleDict``. Each entry may be of another class: loop over them instead.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
            self.named = nn.ModuleDict({"a": nn.Linear(1, 1)})

        def forward(self, x):
            return self.layers[0](x) + self.layers[-1](x) + self.named["a"](x)

    class ByNumber(Net):
        def forward(self, x, i: int):
            return self.layers[i](x)

    class ByName(Net):
        def forward(self, x, name: str):
            return self.named[name](x)

    net, x = Net(), torch.rand(1)

    assert torch.equal(torch.jit.script(net)(x), net(x))
    with pytest.raises(RuntimeError, match="Expected integer literal for index"):
        torch.jit.script(ByNumber())
    with pytest.raises(RuntimeError, match="Unable to extract string literal index"):
        torch.jit.script(ByName())


def test_containers_are_looped_over():
    """``torch.jit.script`` compiles loops over a ``ModuleList``, with ``enumerate`` too, ``ModuleDict`` and
    ``ParameterList``.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
            self.named = nn.ModuleDict({"b": nn.Linear(1, 1), "a": nn.Tanh()})
            self.scales = nn.ParameterList([nn.Parameter(torch.tensor(value)) for value in (2.0, 3.0)])

        def forward(self, x):
            for i, layer in enumerate(self.layers):
                x = layer(x) * (i + 1)
            for layer in self.layers:
                x = layer(x)
            for _, layer in self.named.items():
                x = layer(x)
            for scale in self.scales:
                x = x * scale
            return x * self.scales[0]

    net, x = Net(), torch.rand(1)

    torch.testing.assert_close(torch.jit.script(net)(x), net(x))


def test_an_argument_without_a_type_is_a_tensor():
    """A module of ``torch.jit.script`` raises ``RuntimeError`` for a number if the argument has no
    annotation.

    It is taken for a tensor: write ``n: int``.
    """

    class Plain(nn.Module):
        def forward(self, x, n):
            return x * n

    class Typed(nn.Module):
        def forward(self, x, n: int):
            return x * n

    x = torch.tensor([3.0])

    assert torch.jit.script(Typed())(x, 2).tolist() == [6.0]
    assert torch.jit.script(Plain())(x, torch.tensor(2.0)).tolist() == [6.0]
    with pytest.raises(RuntimeError, match=r"Expected a value of type 'Tensor .inferred.' for argument 'n'"):
        torch.jit.script(Plain())(x, 2)


def test_attributes_of_one_type_are_kept():
    """``torch.jit.script`` keeps attributes of one type, and raises ``RuntimeError`` once ``forward`` reads
    another.

    A dict with values of two types is such a one. What ``forward`` does not read may be anything.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.sizes, self.mixed = {"a": 2, "b": 3}, {"a": 2, "b": "text"}

        def forward(self, x):
            return x * self.sizes["b"]

    class Mixed(Net):
        def forward(self, x):
            return x * self.mixed["a"]

    scripted = torch.jit.script(Net())

    assert scripted(torch.tensor([5.0])).tolist() == [15.0]
    assert scripted.sizes == {"a": 2, "b": 3}
    assert not hasattr(scripted, "mixed")
    with pytest.raises(RuntimeError, match="we failed to convert Python type: 'dict' to a TorchScript type"):
        torch.jit.script(Mixed())


def test_a_counter_is_the_scripted_modules_own():
    """A module of ``torch.jit.script`` may change attributes in ``forward``; the original's stay.

    Parameters and buffers are shared. A new attribute in ``forward`` is a ``RuntimeError``: set it in
    ``__init__``.
    """

    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.count, self.scale = 0, nn.Parameter(torch.tensor([2.0]))
            self.register_buffer("shift", torch.tensor([0.0]))

        def forward(self, x):
            self.count += 1
            return x * self.count * self.scale + self.shift

    class New(nn.Module):
        def forward(self, x):
            self.last = x
            return x

    net, x = Counter(), torch.tensor([5.0])
    scripted = torch.jit.script(net)

    assert [scripted(x).item() for _ in range(2)] == [10.0, 20.0]
    assert (scripted.count, net.count) == (2, 0)
    assert (scripted.scale is net.scale, scripted.shift is net.shift) == (True, True)
    with pytest.raises(RuntimeError, match="Tried to set nonexistent attribute: last"):
        torch.jit.script(New())


def test_methods_that_forward_does_not_call():
    """``torch.jit.script`` keeps ``forward`` and what it calls; other methods need ``@torch.jit.export``."""

    class Net(nn.Module):
        def forward(self, x):
            return self.called(x)

        def called(self, x):
            return x * 2

        @torch.jit.export
        def exported(self, x):
            return x * 3

        def other(self, x):
            return x * 5

    scripted, x = torch.jit.script(Net()), torch.tensor([5.0])

    assert [scripted(x).item(), scripted.called(x).item(), scripted.exported(x).item()] == [10.0, 10.0, 15.0]
    with pytest.raises(AttributeError, match="'RecursiveScriptModule' object has no attribute 'other'"):
        scripted.other(torch.tensor([5.0]))


def test_ignored_methods_stay_python():
    """A method with ``@torch.jit.ignore`` runs in Python and cannot be saved; one with ``unused`` raises.

    Both let code be compiled around what TorchScript does not take.
    """

    class Net(nn.Module):
        @torch.jit.ignore
        def ignored(self, x: torch.Tensor) -> torch.Tensor:
            return x * float("".join(["3"]))

        @torch.jit.unused
        def unused(self, x: torch.Tensor) -> torch.Tensor:
            return x * float("".join(["5"]))

        def forward(self, x, which: bool):
            return self.ignored(x) if which else self.unused(x)

    scripted = torch.jit.script(Net())

    assert scripted(torch.tensor([2.0]), True).tolist() == [6.0]
    with pytest.raises(torch.jit.Error, match="operation failed in the TorchScript interpreter"):
        scripted(torch.tensor([2.0]), False)
    with pytest.raises(RuntimeError, match="Could not export Python function call 'ignored'"):
        torch.jit.save(scripted, io.BytesIO())


def test_a_frozen_module_has_no_parameters():
    """``torch.jit.freeze`` makes constants of all parameters, and raises ``RuntimeError`` in training mode.

    The result has an empty ``state_dict()``. Another mode changes it no longer.
    """
    net, x = nn.Sequential(nn.Linear(2, 1), nn.Dropout(1.0)), torch.rand(2)
    scripted = torch.jit.script(net)

    with pytest.raises(RuntimeError, match="Freezing is currently only implemented for modules in eval mode"):
        torch.jit.freeze(scripted)
    frozen = torch.jit.freeze(scripted.eval())

    assert (list(frozen.parameters()), list(frozen.state_dict())) == ([], [])
    assert torch.equal(frozen.train()(x), net[0](x))


def test_a_file_keeps_the_mode():
    """:func:`torch.jit.load` returns a scripted module in the mode it was saved in, with parameters to train.

    ``train()`` and ``eval()`` work on it, unlike on a traced one.
    """
    x = torch.ones(1)
    for mode in (True, False):
        file = io.BytesIO()
        torch.jit.save(torch.jit.script(nn.Sequential(nn.Linear(1, 1), nn.Dropout(1.0)).train(mode)), file)
        file.seek(0)

        loaded = torch.jit.load(file)

        assert [module.training for module in loaded.modules()] == [mode] * 3
        assert (loaded(x).item() == 0.0) == mode
        assert (loaded.eval()(x).item() == 0.0, loaded.train()(x).item() == 0.0) == (False, True)
        assert [p.requires_grad for p in loaded.parameters()] == [True, True]


def test_a_scripted_module_cannot_be_pickled():
    """``pickle.dumps`` and :func:`torch.save` of a module of ``torch.jit.script`` raise ``RuntimeError``.

    Use ``torch.jit.save``, or save its ``state_dict()``. ``copy.deepcopy`` works.
    """
    scripted = torch.jit.script(nn.Linear(2, 1))

    for save in (pickle.dumps, lambda module: torch.save(module, io.BytesIO())):
        with pytest.raises(RuntimeError, match=r"Tried to serialize object .* not have a __getstate__"):
            save(scripted)
    assert torch.equal(copy.deepcopy(scripted).weight, scripted.weight)


def test_a_scripted_module_is_not_of_the_class():
    """The module of ``torch.jit.script`` is not of the original's class; its ``original_name`` tells it.

    So ``isinstance(m, nn.Linear)`` in an initialization finds nothing. Casts
    work.
    """
    scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 1)))

    assert [isinstance(module, nn.Linear) for module in scripted.modules()] == [False, False]
    assert [module.original_name for module in scripted.modules()] == ["Sequential", "Linear"]
    assert scripted.double()(torch.rand(2, dtype=torch.float64)).dtype == torch.float64
