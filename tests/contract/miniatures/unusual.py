"""Sound modules with unusual inputs and outputs, and what the rules cannot say of them.

``UNUSUAL`` has for each what makes it, what makes its inputs, and the reasons for which rules do not apply.
"""

import collections
import dataclasses
import threading
import warnings

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from miniatures import numbers, rows


@dataclasses.dataclass
class Scores:
    """The output of a module."""

    logits: torch.Tensor
    hidden: tuple


class ReturnsADataclass(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        hidden = self.inner(x)
        return Scores(hidden.relu(), (hidden, None))


class ReturnsNumbers(ReturnsADataclass):
    def forward(self, x):
        return super().forward(x).logits.argmax(1)


class ReturnsNoTensor(ReturnsADataclass):
    def forward(self, x):
        return float(super().forward(x).logits.sum())


class ReturnsADistribution(ReturnsADataclass):
    def forward(self, x):
        return torch.distributions.Normal(super().forward(x).logits, 1.0, validate_args=False)


class ReturnsALock(ReturnsADataclass):
    def forward(self, x):
        return super().forward(x).logits, threading.Lock()


class Sparse(nn.Module):
    """It has a parameter that cannot be deep-copied."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(4).to_sparse())

    def forward(self, x):
        return torch.sparse.mm(self.weight, x.t()).t()


class Tagged(torch.Tensor):
    """A class of its own, which torch cannot deep-copy."""


class HasATaggedWeight(nn.Module):
    """Likewise."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(3, 4).as_subclass(Tagged))

    def forward(self, x):
        return nn.functional.linear(x, self.weight)


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        return torch.jit.script(nn.Linear(4, 3))


def traced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # likewise
        return torch.jit.trace(nn.Linear(4, 3), torch.ones(3, 4))


class TakesNumbersByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.decoder = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
        self.decoder.weight = self.words.weight
        self.register_buffer("places", torch.arange(8), persistent=False)

    def forward(self, tokens, *, mask=None, mode="train"):
        x = self.words(tokens) + self.places[: tokens.shape[1], None]
        x = x if mask is None else x.masked_fill(mask[..., None], 0.0)
        return collections.OrderedDict(logits=self.decoder(x), mode=mode)


class TakesNothing(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(2, 3))

    def forward(self):
        return self.weight * 2


class TakesTwo(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Bilinear(4, 3, 2)

    def forward(self, x, *, other):
        return self.inner(x, other)


class TakesComplex(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, dtype=torch.cfloat))

    def forward(self, x):
        return x * self.weight


def tokens():
    mask = torch.tensor([[False, False, True, True]] * 3)
    return (), {"tokens": numbers()[0][0], "mask": mask, "mode": "eval"}


def packed():
    return (pack_padded_sequence(torch.rand(3, 5, 4), torch.tensor([5, 4, 2]), batch_first=True),), {}


UNTRAINED = "it has no parameter that requires a gradient"
NOT_FLOATING = "it has no floating output"

UNUSUAL = {
    "no parameters": (nn.ReLU, rows, {UNTRAINED}),
    "a loss": (
        nn.CrossEntropyLoss,
        lambda: ((rows()[0][0], torch.tensor([1, 0, 3])), {}),
        {UNTRAINED, "no output has a row for each row of its inputs"},
    ),
    "a dataclass": (ReturnsADataclass, rows, set()),
    "a distribution": (ReturnsADistribution, rows, set()),
    "a lock": (ReturnsALock, rows, set()),
    "whole numbers": (ReturnsNumbers, rows, {NOT_FLOATING}),
    "no tensor": (
        ReturnsNoTensor,
        rows,
        {
            NOT_FLOATING,
            "its output, a float, has no tensors to compare",
            "it does not run on the meta device: "
            "RuntimeError: Tensor.item() cannot be called on meta tensors",
        },
    ),
    "named numbers": (TakesNumbersByName, tokens, set()),
    "nothing": (TakesNothing, lambda: ((), {}), {"none of its inputs has rows"}),
    "two inputs": (TakesTwo, lambda: ((rows()[0][0],), {"other": torch.rand(3, 3)}), set()),
    "complex numbers": (
        TakesComplex,
        lambda: ((torch.randn(3, 4, dtype=torch.cfloat),), {}),
        {"`weight` has complex numbers, which double() leaves in their precision"},
    ),
    "a packed sequence": (
        lambda: nn.LSTM(4, 3, batch_first=True),
        packed,
        {"its inputs differ in their first dimension, so it does not count rows"},
    ),
    "sequences first": (
        lambda: nn.GRU(4, 3),
        lambda: ((torch.rand(5, 2, 4),), {}),
        {"`GRU` has batch_first=False, so the first dimension does not count rows"},
    ),
    "one row": (
        lambda: nn.Linear(4, 3),
        lambda: ((torch.rand(1, 4),), {}),
        {"its example has one row only"},
    ),
}
