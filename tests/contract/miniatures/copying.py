"""Copies that are no copies."""

import copy
from typing import ClassVar

import torch
from torch import nn

from miniatures import Miniature
from miniatures import Net as Plain


class Net(nn.Module):
    """Two linear layers and a factor: what the miniatures of this file have in common."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.body(x).relu()) * self.factor


class KeepsWhatItComputed(Net):
    """It keeps a tensor that it computed from a parameter: deepcopy refuses those."""

    def __init__(self):
        super().__init__()
        self.first_norm = self.body.weight.norm()

    def extra_repr(self):
        return f"norm at first: {self.first_norm:.3f}"


class KeepsADetachedTensor(KeepsWhatItComputed):
    def __init__(self):
        super().__init__()
        self.first_norm = self.body.weight.detach().norm()


class CopyWithDefaults(Net):
    """Its __deepcopy__ builds a new one with the default arguments."""

    def __deepcopy__(self, memo):
        copied = type(self)()
        copied.load_state_dict(self.state_dict())
        return copied


class CopyOfReferences(Net):
    """Its __deepcopy__ copies references only."""

    def __deepcopy__(self, memo):
        return copy.copy(self)


class FoundInARegistry(Net):
    """Forward finds the module in a registry, by a name that its copies have too."""

    registry: ClassVar = {}

    def __init__(self):
        super().__init__()
        self.key = f"layer {len(self.registry)}"
        self.registry[self.key] = self

    def forward(self, x):
        found = self.registry[self.key]
        return nn.functional.linear(self.body(x), found.head.weight, found.head.bias)


class ReluOfALambda(Net):
    """It keeps a lambda, which pickle refuses."""

    def __init__(self):
        super().__init__()
        self.act = lambda x: x.relu()

    def forward(self, x):
        return self.head(self.act(self.body(x)))


class ReluOfTorch(ReluOfALambda):
    def __init__(self):
        super().__init__()
        self.act = torch.relu


class TiedFromOutside(nn.Module):
    """Its __deepcopy__ builds a new one, in which what was tied after the constructor is not tied."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 4)

    def __deepcopy__(self, memo):
        copied = TiedFromOutside()
        copied.load_state_dict(self.state_dict())
        return copied

    def forward(self, x):
        return self.head(self.body(x).relu())


class TiedAndCopied(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 4)

    forward = TiedFromOutside.forward


def tied(net):
    net.head.weight = net.body.weight
    return net


class CopiesItself(Plain):
    """Its __deepcopy__ builds another one and gives it its state."""

    def __deepcopy__(self, memo):
        copied = memo[id(self)] = type(self)()
        copied.load_state_dict(self.state_dict())
        return copied.train(self.training)


class PassesCopyingOn(nn.Module):
    """It looks up on what it wraps whatever it does not have itself, and is copied as that."""

    def __init__(self):
        super().__init__()
        self.inner = CopiesItself()

    def is_passed_on(self, name):
        return name != "inner"

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            if not self.is_passed_on(name):
                raise
            return getattr(self.inner, name)

    def forward(self, x):
        return self.inner(x)


class PassesNamesOn(PassesCopyingOn):
    def is_passed_on(self, name):
        return name != "inner" and not name.startswith("__")


class LeavesItsNamesBehind(nn.Module):
    """A copy has its layers, and nothing else that its constructor set."""

    def __init__(self):
        super().__init__()
        self.body, self.names = nn.Linear(4, 2), {True: "train", False: "eval"}

    def train(self, mode=True):
        self.now = self.names[mode]
        return super().train(mode)

    def forward(self, x):
        return self.body(x)

    def __deepcopy__(self, memo):
        copied = type(self).__new__(type(self))
        nn.Module.__init__(copied)
        copied.body = copy.deepcopy(self.body, memo)
        return copied


class TakesItsNamesAlong(LeavesItsNamesBehind):
    def __deepcopy__(self, memo):
        copied = super().__deepcopy__(memo)
        copied.names, copied.training = dict(self.names), self.training
        return copied


class Positive(nn.Module):
    """It makes numbers positive, and what it says to be the inverse is none."""

    def forward(self, raw):
        return nn.functional.softplus(raw)

    def right_inverse(self, value):
        return value.clamp_min(1e-6).log()


class PositiveAndBack(Positive):
    def right_inverse(self, value):
        value = value.clamp_min(1e-6)
        return value + (-torch.expm1(-value)).log()


class PositiveWeight(Net):
    """The weight that its first layer is built with is lost when it is made positive."""

    positive = Positive

    def __init__(self):
        super().__init__()
        nn.init.uniform_(self.body.weight, 0.1, 1.0)
        torch.nn.utils.parametrize.register_parametrization(self.body, "weight", self.positive())


class PositiveWeightKept(PositiveWeight):
    positive = PositiveAndBack


MINIATURES = [
    Miniature(
        LeavesItsNamesBehind,
        "copying.a_deep_copy_computes_the_same",
        "a deep copy raises AttributeError: 'LeavesItsNamesBehind' object has no attribute 'names' at ",
        "or leave them away",
        TakesItsNamesAlong,
    ),
    Miniature(
        KeepsWhatItComputed,
        "copying.a_deep_copy",
        "`first_norm` is computed from parameters and kept, so that copy.deepcopy raises RuntimeError",
        "use a parametrization (torch.nn.utils.parametrizations), or compute in forward",
        KeepsADetachedTensor,
    ),
    Miniature(
        lambda: CopyWithDefaults(2.5),
        "copying.a_deep_copy_computes_the_same",
        "a deep copy computes something else: `output` differs in 6 of 6 values",
        "or leave them away",
        lambda: Net(2.5),
    ),
    Miniature(
        CopyOfReferences,
        "copying.a_deep_copy_shares_nothing",
        "a deep copy shares `body.weight`, `body.bias`, `head.weight`, `head.bias` with its original",
        "or leave __deepcopy__ away",
        Net,
    ),
    Miniature(
        FoundInARegistry,
        "copying.a_deep_copy_is_independent",
        "after a change of the original, the deep copy gives another output",
        "write functions kept on self as methods",
        Net,
    ),
    Miniature(
        ReluOfALambda,
        "copying.pickling",
        "`act` cannot be pickled",
        "when they are needed",
        ReluOfTorch,
    ),
    Miniature(
        lambda: tied(TiedFromOutside()),
        "copying.ties_are_kept",
        "`body.weight`, `head.weight` are one tensor, and in a deep copy they are several",
        "or leave both as they are",
        lambda: tied(TiedAndCopied()),
    ),
    Miniature(
        PassesCopyingOn,
        "copying.a_deep_copy",
        "copy.deepcopy gives a CopiesItself: its __getattr__ passes __deepcopy__ on to what it wraps",
        "let __getattr__ raise AttributeError for names that begin with two underscores",
        PassesNamesOn,
    ),
    Miniature(
        PositiveWeight,
        "replacing.a_parametrized_tensor",
        "`body.weight` differs in 16 of 16 values",
        "let right_inverse return what forward takes to give that value",
        PositiveWeightKept,
    ),
]
