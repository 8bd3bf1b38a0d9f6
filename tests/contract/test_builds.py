"""Rules get copies of one build, where these are as good as builds."""

import copy
import weakref
from typing import ClassVar

import pytest
import torch
from torch import nn

from nnspec.contract.builds import copied

LAYER = nn.Linear(2, 2)


class Net(nn.Module):
    """It has all that is copied: tied parameters, buffers, hooks, an empty container and plain attributes."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer, self.empty = nn.Linear(2, 2), nn.Linear(2, 2), nn.Sequential()
        self.outer.weight = self.inner.weight
        self.register_buffer("scale", torch.tensor([0.5, 1.5]))
        self.lstm, self.nothing, self.sizes = nn.LSTM(2, 2), None, {"width": [2, 3]}
        self.add_module("absent", None)
        self.inner.register_forward_hook(print)
        self.inner.requires_grad_(False)

    def forward(self, x):
        return self.outer(self.inner(x)) * self.scale


class TwoNamesForOne(Net):
    """Two of its attributes are one list, and two are one dict with nothing in it."""

    def __init__(self):
        super().__init__()
        self.sizes = self.widths = [2, 3]
        self.seen = self.kept = {}


class InARegistry(Net):
    registry: ClassVar = []

    def __init__(self):
        super().__init__()
        self.registry.append(self)


class WithADefault(Net):
    def __init__(self, layer=LAYER):
        super().__init__()
        self.inner = layer


class CopiesItself(Net):
    def __deepcopy__(self, memo):
        return self


class HoldsAClosure(Net):
    def __init__(self):
        super().__init__()
        self.act = lambda x: self.inner(x)


class HasASlot(Net):
    __slots__ = ("table",)


class HoldsATensor(Net):
    def __init__(self):
        super().__init__()
        self.table = torch.ones(2)


class SharesMemory(Net):
    def __init__(self):
        super().__init__()
        self.outer.bias.data = self.inner.bias.data


class MarksAParameter(Net):
    def __init__(self):
        super().__init__()
        self.outer.bias.is_marked = True


class Uninitialized(Net):
    def __init__(self):
        super().__init__()
        del self._forward_hooks


def counted(make):
    """What makes modules, and the list of those it has made."""
    made = []

    def build():
        made.append(None)
        return make()

    return build, made


def test_two_names_for_one_value_stay_two_names():
    fresh = copied(TwoNamesForOne)
    first = fresh()
    first.seen["first"] = first.sizes.pop()
    second = fresh()

    assert (first.kept, first.widths) == ({"first": 3}, [2])
    assert (second.kept, second.widths) == ({}, [2, 3])


def test_a_copy_is_what_deepcopy_gives():
    build, made = counted(Net)
    fresh = copied(build)
    first, second, deep = fresh(), fresh(), copy.deepcopy(fresh())

    assert len(made) == 1
    assert vars(first).keys() == vars(second).keys() == vars(deep).keys()
    for name, module in deep.named_modules():
        copy_of = first.get_submodule(name)
        assert type(copy_of) is type(module)
        assert {key: type(value) for key, value in vars(copy_of).items()} == {
            key: type(value) for key, value in vars(module).items()
        }
    assert {name: value.tolist() for name, value in first.state_dict().items()} == {
        name: value.tolist() for name, value in deep.state_dict().items()
    }
    assert [p.requires_grad for p in first.parameters()] == [p.requires_grad for p in deep.parameters()]
    assert first.outer.weight is first.inner.weight
    assert first.lstm._flat_weights[0] is first.lstm.weight_ih_l0
    assert list(first.inner._forward_hooks.values()) == [print]
    assert first.absent is None
    assert first.sizes == {"width": [2, 3]}


def test_nothing_of_a_copy_is_another_copys():
    fresh = copied(Net)
    first, second = fresh(), fresh()
    first.sizes["width"].append(4)
    first.inner.register_forward_pre_hook(print)
    first.empty.append(nn.ReLU())
    first.inner.weight.data.fill_(9.0)
    first.scale.fill_(9.0)

    assert second.sizes == {"width": [2, 3]}
    assert len(second.inner._forward_pre_hooks) == 0
    assert 9.0 not in second.inner.weight.tolist()[0]
    assert second.scale.tolist() == [0.5, 1.5]
    assert len(second.empty) == len(fresh().inner._forward_pre_hooks) == 0


@pytest.mark.parametrize(
    "make",
    [
        *(InARegistry, WithADefault, CopiesItself, HoldsAClosure, HoldsATensor, HasASlot, SharesMemory),
        *(MarksAParameter, Uninitialized, lambda: nn.LazyLinear(2)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2)),
    ],
)
def test_what_a_copy_would_not_be_is_built_again(make):
    build, made = counted(make)
    fresh = copied(build)
    modules = [fresh(), fresh(), fresh()]

    assert len(made) == 4  # the first was looked at and thrown away
    assert len({id(module) for module in modules}) == 3


def test_the_original_goes_with_what_makes_the_copies():
    kept = []

    def make():
        net = Net()
        kept.append(weakref.ref(net))
        return net

    fresh = copied(make)
    fresh()
    assert kept[0]() is not None
    del fresh
    assert kept[0]() is None
