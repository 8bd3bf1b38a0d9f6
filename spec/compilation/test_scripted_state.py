# ruff: noqa: UP006, UP035, UP045
"""What a scripted module holds.

:func:`torch.jit.script` turns the attributes of a module into attributes of a type of its own. Some become
constants, some lose what Python knew of them, and some methods of ``nn.Module`` are not there any more.
"""

import io
from typing import List, Optional

import pytest
import torch
from torch import Tensor, nn


def test_non_persistent_buffers_have_a_key():
    """The modules of ``torch.jit.script`` and ``torch.jit.trace`` save ``persistent=False`` buffers as well.

    So the original's ``state_dict()`` lacks a key that theirs has. A plain tensor attribute has none.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain = torch.tensor([2.0])
            self.register_buffer("kept", torch.tensor([3.0]))
            self.register_buffer("cache", torch.tensor([5.0]), persistent=False)

        def forward(self, x):
            return x * self.plain * self.kept * self.cache

    net, x = Net(), torch.tensor([7.0])
    scripted, traced = torch.jit.script(net), torch.jit.trace(net, x)

    assert [list(module.state_dict()) for module in (net, scripted)] == [["kept"], ["kept", "cache"]]
    assert list(traced.state_dict()) == ["kept", "cache"]
    assert [module(x).item() for module in (scripted, traced)] == [210.0, 210.0]
    for module in (scripted, traced):
        with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "cache"'):
            module.load_state_dict(net.state_dict())


@pytest.mark.parametrize(
    "name",
    [
        *("get_buffer", "get_parameter", "get_submodule", "requires_grad_", "to_empty"),
        *("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"),
    ],
)
def test_some_methods_are_not_supported(name):
    """``get_parameter``, ``requires_grad_`` and hooks of a ``torch.jit.script`` module raise
    ``RuntimeError``.

    So do ``get_buffer``, ``get_submodule`` and ``to_empty``. Read ``scripted.weight`` and freeze parameter by
    parameter. Hooks are registered before ``torch.jit.script``.
    """
    scripted = torch.jit.script(nn.Linear(2, 3))

    with pytest.raises(RuntimeError, match=f"^{name} is not supported on ScriptModules$"):
        getattr(scripted, name)("weight")

    scripted.weight.requires_grad = False
    assert [p.requires_grad for p in scripted.parameters()] == [False, True]


def test_final_attributes_are_constants():
    """``torch.jit.script`` makes constants of attributes typed ``Final`` or named in ``__constants__``.

    They cannot be set afterwards; other attributes can, and ``forward`` follows them.
    """

    class Net(nn.Module):
        __constants__ = ("named",)
        typed: torch.jit.Final[int]

        def __init__(self):
            super().__init__()
            self.named, self.typed, self.free = 3, 5, 7

        def forward(self, x):
            return x * self.named * self.typed * self.free

    scripted, x = torch.jit.script(Net()), torch.tensor([2.0])

    assert (scripted(x).item(), scripted.named, scripted.typed) == (210.0, 3, 5)
    for name in ("named", "typed"):
        with pytest.raises(RuntimeError, match=f"Can't set constant '{name}' which has value"):
            setattr(scripted, name, 11)
    scripted.free = 11
    assert scripted(x).item() == 330.0


def test_a_final_flag_cuts_a_branch_off():
    """``torch.jit.script`` does not compile a branch that a ``Final`` bool rules out, unlike a plain one.

    An attribute that is ``None`` rules its branch out as well.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.simple, self.extra = True, None

        def forward(self, x):
            if self.extra is not None:
                return self.extra.anything(x)
            if self.simple:
                return x * 2
            return self.nothing(x)

    class Decided(Net):
        simple: torch.jit.Final[bool]

    assert torch.jit.script(Decided())(torch.tensor([3.0])).tolist() == [6.0]
    with pytest.raises(RuntimeError, match=r"return self.nothing\(x\)"):
        torch.jit.script(Net())


def test_an_attribute_of_none_needs_a_type():
    """``torch.jit.script`` lets ``forward`` fill an attribute that is ``None`` only if it is ``Optional``."""

    class Cache(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = None

        def forward(self, x):
            if self.seen is None:
                self.seen = x
            return x

    class Typed(Cache):
        seen: Optional[Tensor]

    scripted = torch.jit.script(Typed())
    for value in (3.0, 5.0):
        scripted(torch.tensor([value]))

    assert scripted.seen.tolist() == [3.0]
    with pytest.raises(RuntimeError, match="Expected NoneType but got Tensor"):
        torch.jit.script(Cache())


def test_an_optional_attribute_is_read_into_a_variable():
    """In ``torch.jit.script``, ``if self.x is not None`` proves nothing about an ``Optional`` ``self.x``.

    Assign it to a local variable and ask that.
    """

    class Direct(nn.Module):
        shift: Optional[Tensor]

        def __init__(self):
            super().__init__()
            self.shift = torch.tensor([5.0])

        def forward(self, x):
            if self.shift is not None:
                return x + self.shift
            return x

    class ByVariable(Direct):
        def forward(self, x):
            shift = self.shift
            return x + shift if shift is not None else x

    assert torch.jit.script(ByVariable())(torch.tensor([2.0])).tolist() == [7.0]
    with pytest.raises(RuntimeError, match=r"instead found type 'Optional\[Tensor\]'"):
        torch.jit.script(Direct())


def test_an_empty_list_needs_a_type():
    """``torch.jit.script`` keeps an attribute that is an empty list only if its type is declared."""

    class Log(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []

        def forward(self, x):
            self.seen.append(x)
            return x

    class Typed(Log):
        seen: List[Tensor]

    net = Typed()
    scripted = torch.jit.script(net)
    for value in (3.0, 5.0):
        scripted(torch.tensor([value]))

    assert [seen.item() for seen in scripted.seen] == [3.0, 5.0]
    assert net.seen == []
    with pytest.raises(RuntimeError, match="List trace inputs must have elements"):
        torch.jit.script(Log())


def test_an_assigned_buffer_parts_from_the_original():
    """A buffer that ``forward`` assigns to in a ``torch.jit.script`` module parts from the original's.

    One that is changed in place, as by ``BatchNorm``, changes in both: they are one tensor.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("assigned", torch.tensor([1.0]))
            self.register_buffer("changed", torch.tensor([1.0]))

        def forward(self, x):
            self.assigned = self.assigned + x
            self.changed += x
            return x

    net = Net()
    scripted = torch.jit.script(net)
    scripted(torch.tensor([3.0]))

    assert [value.item() for value in scripted.state_dict().values()] == [4.0, 4.0]
    assert [value.item() for value in net.state_dict().values()] == [1.0, 4.0]


def test_a_parameter_may_be_replaced():
    """A ``torch.jit.script`` module uses a parameter assigned later; a layer assigned has to be scripted."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1, bias=False)

        def forward(self, x):
            return self.layer(x)

    net, x = Net(), torch.tensor([2.0])
    scripted, weight = torch.jit.script(net), nn.Parameter(torch.tensor([[7.0]]))
    scripted.layer.weight = weight

    assert scripted(x).item() == 14.0
    assert net.layer.weight is not weight
    with pytest.raises(RuntimeError, match="Cannot re-assign modules in a ScriptModule with non-scripted"):
        scripted.layer = nn.Linear(1, 1, bias=False)
    scripted.layer = torch.jit.script(nn.Linear(1, 1, bias=False).requires_grad_(False))
    assert scripted(x).item() == 2 * scripted.layer.weight.item() != 14.0


def test_hooks_are_compiled_with_their_types():
    """``torch.jit.script`` compiles forward hooks and pre-hooks registered before; their types are declared.

    The input is a ``Tuple``. A hook without types raises ``RuntimeError``.
    """

    def pre_hook(self, input: tuple[Tensor]) -> tuple[Tensor]:
        return (input[0] * 10,)

    def hook(self, input: tuple[Tensor], output: Tensor) -> Tensor:
        return output + input[0]

    def untyped_before(self, input):
        return input

    def untyped(self, input, output):
        return output

    net, x = nn.ReLU(), torch.tensor([3.0])
    net.register_forward_pre_hook(pre_hook)
    net.register_forward_hook(hook)
    assert torch.jit.script(net)(x).item() == net(x).item() == 60.0

    net.register_forward_hook(untyped)
    with pytest.raises(RuntimeError, match="Hook 'untyped' on module 'ReLU' expected the input argument"):
        torch.jit.script(net)
    net = nn.ReLU()
    net.register_forward_pre_hook(untyped_before)
    with pytest.raises(RuntimeError, match="Pre-hook 'untyped_before' on module 'ReLU' expected the input"):
        torch.jit.script(net)


def test_backward_hooks_are_dropped():
    """``torch.jit.script`` drops full backward hooks of a module in silence: they never run."""
    calls = []
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda *args: calls.append("hook"))
    x = torch.rand(2, requires_grad=True)

    for net in (layer, nn.Sequential(layer)):
        torch.jit.script(net)(x).sum().backward()
    assert calls == []

    layer(x).sum().backward()
    assert calls == ["hook"]


def test_a_file_may_carry_more():
    """``torch.jit.save(module, f, _extra_files={...})`` saves texts beside the module.

    ``torch.jit.load`` fills the dict that it is given as ``_extra_files``, by its names, with bytes.
    """
    file, found = io.BytesIO(), {"config.json": ""}
    texts = {"config.json": '{"rate": 3}', "other.txt": "unread"}
    torch.jit.save(torch.jit.script(nn.Linear(2, 1)), file, _extra_files=texts)
    file.seek(0)

    torch.jit.load(file, _extra_files=found)

    assert found == {"config.json": b'{"rate": 3}'}
