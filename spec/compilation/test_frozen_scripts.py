"""Frozen TorchScript.

:func:`torch.jit.freeze` makes a copy of a scripted or traced module in evaluation mode, in which everything
that ``forward`` only reads is a constant.
"""

import io

import pytest
import torch
from torch import nn


def test_attributes_and_methods_go():
    """``torch.jit.freeze`` drops attributes, submodules and exported methods; ``forward`` alone stays."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.version = nn.Linear(1, 1, bias=False), 5
            nn.init.constant_(self.layer.weight, 3.0)

        def forward(self, x):
            return self.layer(x)

        @torch.jit.export
        def twice(self, x):
            return self.layer(self.layer(x))

    frozen = torch.jit.freeze(torch.jit.script(Net().eval()))

    assert frozen(torch.tensor([2.0])).item() == 6.0
    for name in ("version", "layer", "twice", "training"):
        with pytest.raises(AttributeError, match=f"'RecursiveScriptModule' object has no attribute '{name}'"):
            getattr(frozen, name)


def test_some_may_be_preserved():
    """``torch.jit.freeze(preserved_attrs=[...])`` keeps attributes and exported methods by name.

    An unknown name raises ``RuntimeError``.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.version = nn.Linear(1, 1, bias=False), 5
            nn.init.constant_(self.layer.weight, 3.0)

        def forward(self, x):
            return self.layer(x)

        @torch.jit.export
        def twice(self, x):
            return self.layer(self.layer(x))

    scripted = torch.jit.script(Net().eval())

    frozen = torch.jit.freeze(scripted, preserved_attrs=["version", "twice"])

    assert (frozen.version, frozen.twice(torch.tensor([2.0])).item()) == (5, 18.0)
    assert not hasattr(frozen, "training")
    with pytest.raises(RuntimeError, match="Unknown name: missing"):
        torch.jit.freeze(scripted, preserved_attrs=["missing"])


def test_the_scripted_module_stays():
    """``torch.jit.freeze`` returns another module: the scripted one keeps its parameters and attributes."""
    scripted = torch.jit.script(nn.Linear(2, 3).eval())

    frozen = torch.jit.freeze(scripted)

    assert frozen is not scripted
    assert list(scripted.state_dict()) == ["weight", "bias"]
    assert (scripted.in_features, scripted.training) == (2, False)
    assert not hasattr(frozen, "training")


def test_a_changed_weight_is_seen():
    """A weight changed in place after ``torch.jit.freeze`` changes the frozen module's result as well.

    The constant is the parameter's memory, not a copy of it. A replaced parameter is not seen.
    """
    layer = nn.Linear(1, 1, bias=False).eval()
    nn.init.constant_(layer.weight, 3.0)
    frozen, x = torch.jit.freeze(torch.jit.script(layer)), torch.tensor([2.0])
    assert frozen(x).item() == 6.0

    with torch.no_grad():
        layer.weight.fill_(5.0)
    assert frozen(x).item() == 10.0

    layer.weight = nn.Parameter(torch.tensor([[7.0]]))
    assert frozen(x).item() == 10.0


def test_outputs_require_no_grad():
    """Outputs of a module from ``torch.jit.freeze`` require grad for its input, no longer for its weights."""
    layer = nn.Linear(1, 1, bias=False).eval()
    nn.init.constant_(layer.weight, 3.0)
    scripted = torch.jit.script(layer)
    frozen, x = torch.jit.freeze(scripted), torch.tensor([2.0])
    leaf = torch.tensor([2.0], requires_grad=True)

    assert [module(x).requires_grad for module in (scripted, frozen)] == [True, False]
    frozen(leaf).sum().backward()
    assert leaf.grad.tolist() == [3.0]


def test_a_changed_buffer_stays_a_buffer():
    """``torch.jit.freeze`` keeps a buffer that ``forward`` changes in place, and saves it."""

    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.tensor([0.0]))
            self.register_buffer("scale", torch.tensor([3.0]))

        def forward(self, x):
            self.count += 1
            return x * self.count * self.scale

    frozen, x = torch.jit.freeze(torch.jit.script(Counter().eval())), torch.tensor([2.0])

    assert [frozen(x).item() for _ in range(2)] == [6.0, 12.0]
    assert list(frozen.state_dict()) == ["count"]
    file = io.BytesIO()
    torch.jit.save(frozen, file)
    file.seek(0)
    assert torch.jit.load(file)(x).item() == 18.0


def test_a_cast_misses_constants():
    """Casting a module of ``torch.jit.freeze`` leaves its constants alone: input of the new dtype raises."""
    layer = nn.Linear(1, 1, bias=False).eval()
    nn.init.constant_(layer.weight, 3.0)
    frozen = torch.jit.freeze(torch.jit.script(layer)).double()

    assert frozen(torch.tensor([2.0])).item() == 6.0
    with pytest.raises(RuntimeError, match=r"dtype|expected scalar type Double but found Float"):
        frozen(torch.tensor([2.0], dtype=torch.float64))


def test_only_scripted_modules_are_frozen():
    """``torch.jit.freeze`` raises ``RuntimeError`` for a plain ``nn.Module``: script or trace it first."""
    with pytest.raises(RuntimeError, match="Freezing expects a ScriptModule as input"):
        torch.jit.freeze(nn.Linear(2, 1).eval())

    traced = torch.jit.trace(nn.Linear(2, 1).eval(), torch.rand(2))
    assert list(torch.jit.freeze(traced).parameters()) == []


def test_optimizing_freezes_too():
    """``torch.jit.optimize_for_inference`` freezes a module that is not frozen, in training mode as well.

    Its ``other_methods`` are what ``preserved_attrs`` is for ``torch.jit.freeze``: other methods go.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.version = nn.Linear(1, 1, bias=False), 5
            nn.init.constant_(self.layer.weight, 3.0)

        def forward(self, x):
            return self.layer(x)

        @torch.jit.export
        def twice(self, x):
            return self.layer(self.layer(x))

    x = torch.tensor([2.0])
    for mode in (True, False):
        scripted = torch.jit.script(Net()).train(mode)
        plain = torch.jit.optimize_for_inference(scripted)
        wider = torch.jit.optimize_for_inference(scripted, other_methods=["twice"])

        assert (plain(x).item(), list(plain.parameters()), hasattr(plain, "twice")) == (6.0, [], False)
        assert (wider(x).item(), wider.twice(x).item(), list(wider.parameters())) == (6.0, 18.0, [])
