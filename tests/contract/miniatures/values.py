"""Values that are NaN, nobody's, lost or drawn elsewhere; and gradients that do not last."""

import random
import weakref

import torch
from torch import nn

from miniatures import Miniature, Net, images, rows, sequences


def edges():
    """Three nodes of four features, and the nodes that five edges lead to."""
    return (rows()[0][0], torch.tensor([0, 2, 2, 1, 2])), {}


class Graph(nn.Module):
    """Messages from nodes in turn, to those that edges lead to."""

    def __init__(self):
        super().__init__()
        self.message = nn.Linear(4, 4)

    def forward(self, x, target):
        source = torch.arange(len(target), device=x.device) % len(x)
        return x + self.gathered(torch.zeros_like(x), target, self.message(x)[source])


class LosesMessages(Graph):
    """Of several messages to one node one alone is added."""

    def gathered(self, out, target, messages):
        out[target] += messages.to(out.dtype)
        return out


class AddsMessages(Graph):
    def gathered(self, out, target, messages):
        return out.index_add(0, target, messages.to(out.dtype))


class LosesMessagesUnread(Graph):
    """What is written twice is not read again: of the first node there is one message."""

    def gathered(self, out, target, messages):
        kept = torch.zeros_like(out)
        kept[target] = messages.to(out.dtype)
        return kept[:1].expand(out.shape)


class Routed(nn.Module):
    """An expert for those rows alone whose gate is open."""

    def __init__(self):
        super().__init__()
        self.gate, self.expert = nn.Linear(4, 1), nn.Linear(4, 4)
        nn.init.zeros_(self.gate.bias)

    def forward(self, x):
        gate = self.gate(x - x.mean(-1, keepdim=True))
        out = self.made(x)
        chosen = (gate > 0).expand(out.shape)
        return torch.where(chosen, self.expert(x) * gate, out)


class LeavesRowsEmpty(Routed):
    """Rows that no expert takes hang on what was in memory, which seldom is 777."""

    def made(self, x):
        return (torch.empty_like(x) == 777).to(x.dtype)


class FillsRows(Routed):
    def made(self, x):
        return torch.zeros_like(x)


class Spread(nn.Module):
    """Mean and spread along time."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(torch.cat([x.mean(1), self.spread(x)], dim=-1))


class SpreadOfOne(Spread):
    def spread(self, x):
        return x.std(1)


class ChangeOfOne(Spread):
    """The mean of no differences."""

    def spread(self, x):
        return (x[:, 1:] - x[:, :-1]).abs().mean(1)


class SpreadByN(Spread):
    def spread(self, x):
        return (x.var(1, unbiased=False) + 1e-3).sqrt()


class Norm(nn.Module):
    """A norm of one's own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(self.variance(x, mean) + 1e-3) * self.weight


class NormBySquares(Norm):
    """The mean of squares less the square of the mean, which rounding brings below zero."""

    def variance(self, x, mean):
        return x.square().mean(-1, keepdim=True) - mean.square()


class NormByDifferences(Norm):
    def variance(self, x, mean):
        return (x - mean).square().mean(-1, keepdim=True)


class Normed(nn.Module):
    """The norm is a part, and what it is given was computed."""

    def __init__(self, norm):
        super().__init__()
        self.body, self.norm = nn.Linear(4, 4), norm()

    def forward(self, x):
        return self.norm(self.body(x))


class Encoder(nn.Module):
    """A recurrent layer of two directions."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(4, 3, batch_first=True, bidirectional=True), nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.last(*self.lstm(x)))


class TakesTheLastStep(Encoder):
    def last(self, output, states):
        return output[:, -1]


class TakesTheLastStates(Encoder):
    def last(self, output, states):
        return torch.cat([states[0][-2], states[0][-1]], dim=-1)


class DropsByPython(Net):
    """It leaves a layer out by Python's generator."""

    def forward(self, x):
        if self.training and random.random() < 0:
            return self.head(x)
        return super().forward(x)


class ClearsGradients(Net):
    """It begins each call with zero_grad."""

    def forward(self, x):
        self.zero_grad()
        return super().forward(x)


class Scaled(Net):
    """It divides by a running mean, which each call in train mode moves in place."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(2))

    def forward(self, x):
        y = super().forward(x)
        if self.training:
            self.scale.mul_(0.9).add_(y.detach().abs().mean(0), alpha=0.1)
        return y / self.taken()


class DividesByWhatMoves(Scaled):
    def taken(self):
        return self.scale


class DividesByACopy(Scaled):
    def taken(self):
        return self.scale.clone()


class Sampling(Net):
    """It draws several times in eval mode, from the same seed each time."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.0)

    def forward(self, x):
        if not self.training:
            self.drop.train()
        y = super().forward(self.drop(x))
        self.put_back()
        return y


class StaysInTrainMode(Sampling):
    def put_back(self):
        pass


class PutsTheModeBack(Sampling):
    def put_back(self):
        self.drop.train(self.training)


class Loading(nn.Module):
    """It loads its weight itself."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        return x @ self.weight


class LoadsByBareNames(Loading):
    """It knows its key where it is the whole, and leaves the rest to torch only there."""

    def _load_from_state_dict(self, state_dict, prefix, *others):
        if not prefix:
            super()._load_from_state_dict(state_dict, prefix, *others)


class LoadsByPrefix(Loading):
    def _load_from_state_dict(self, state_dict, prefix, *others):
        super()._load_from_state_dict(state_dict, prefix, *others)


class HooksItsWeight(Net):
    """It registers a hook on a parameter in each call; this one changes nothing."""

    def forward(self, x):
        if self.head.weight.requires_grad:
            self.head.weight.register_hook(lambda gradient: None)
        return super().forward(x)


class HooksNothing(Net):
    pass


class Part(nn.Module):
    """It computes with a weight of its whole."""

    def __init__(self, whole):
        super().__init__()
        self.whole = weakref.ref(whole)

    def forward(self, x):
        return x @ self.whole().body.weight


class KnowsItsWhole(Net):
    """A copy's part knows the original."""

    def __init__(self):
        super().__init__()
        self.part = Part(self)

    def forward(self, x):
        return super().forward(self.part(x))


class Pooled(nn.Module):
    """What it has seen in all places weighs the channels."""

    def __init__(self, norm):
        super().__init__()
        self.pool, self.norm, self.head = nn.AdaptiveAvgPool2d(1), norm, nn.Conv2d(2, 2, 1)

    def forward(self, x):
        return x * self.head(self.norm(self.pool(x))).sigmoid()


MINIATURES = [
    Miniature(
        lambda: Pooled(nn.BatchNorm2d(2)),
        "modes.norms_have_places",
        "`norm` is given one place for each row, as after AdaptiveAvgPool2d(1)",
        "take nn.GroupNorm, or leave that norm out",
        lambda: Pooled(nn.GroupNorm(1, 2)),
        images,
    ),
    Miniature(
        LosesMessages,
        "calling.no_place_is_written_twice",
        "forward writes several values to one place at values.py:",
        "or write each place once",
        AddsMessages,
        edges,
    ),
    Miniature(
        LeavesRowsEmpty,
        "calling.what_is_asked_for_is_written",
        "`output` differs in ",
        "for what torch.empty, empty_like or new_empty gives",
        FillsRows,
    ),
    Miniature(
        SpreadOfOne,
        "calling.inputs_of_one_place",
        "`output` is NaN in 6 of 6 values for inputs of one place along dimension 1",
        "and divide by max(n, 1)",
        SpreadByN,
        sequences,
    ),
    Miniature(
        ChangeOfOne,
        "calling.inputs_of_one_place",
        "`output` is NaN in 6 of 6 values for inputs of one place along dimension 1",
        "and divide by max(n, 1)",
        SpreadByN,
        sequences,
    ),
    Miniature(
        NormBySquares,
        "calling.nearly_equal_numbers",
        "with rows of nearly equal numbers forward takes sqrt of -",
        "before a root, a logarithm or an arc cosine",
        NormByDifferences,
    ),
    Miniature(
        lambda: Normed(NormBySquares),
        "calling.nearly_equal_numbers",
        "with rows of nearly equal numbers forward takes sqrt of -",
        "before a root, a logarithm or an arc cosine",
        lambda: Normed(NormByDifferences),
    ),
    Miniature(
        TakesTheLastStep,
        "calling.both_directions_see_all",
        "of the output of `lstm` the last step alone counts",
        "torch.cat([h_n[-2], h_n[-1]], dim=-1)",
        TakesTheLastStates,
        sequences,
    ),
    Miniature(
        DropsByPython,
        "calling.chance_is_of_torch",
        "forward in train mode draws from Python's module random",
        "draw from torch, as torch.rand(()) does",
        HooksNothing,
    ),
    Miniature(
        ClearsGradients,
        "gradients.a_call_keeps_gradients",
        "a call changes the gradients of `body.weight`, `body.bias`, `head.weight`, `head.bias`",
        "use torch.autograd.grad where forward needs a gradient",
        HooksNothing,
    ),
    Miniature(
        DividesByWhatMoves,
        "gradients.backward_after_two_calls",
        "after two calls backward raises RuntimeError: one of the variables needed for gradient",
        "compute with a clone() of what is written to in place",
        DividesByACopy,
    ),
    Miniature(
        StaysInTrainMode,
        "modes.a_call_keeps_eval_mode",
        "a call in eval mode leaves `drop` in train mode",
        "F.dropout(x, p, training=True)",
        PutsTheModeBack,
    ),
    Miniature(
        LoadsByBareNames,
        "loading.as_a_part",
        "`weight` differs in 16 of 16 values",
        "look up state_dict[prefix + name], and call that of super()",
        LoadsByPrefix,
    ),
    Miniature(
        HooksItsWeight,
        "calling.hooks_do_not_pile_up",
        "each call registers one more hook on `head.weight`",
        "or remove() its handle before forward returns",
        HooksNothing,
    ),
]
