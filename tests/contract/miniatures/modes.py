"""Modes that do too little, too much, or nothing; and rows that depend on one another."""

import torch
from torch import nn

from miniatures import Miniature, images, numbers, sequences
from miniatures import Net as Plain


class Net(nn.Module):
    """A linear layer, batch norm and another linear layer: what most of this file has in common."""

    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.norm(self.body(x)).relu())


class TrainReturnsNothing(Net):
    """It overrides train and forgets to return self: ``net = net.eval()`` is None."""

    def train(self, mode=True):
        super().train(mode)


class ToReturnsNothing(Net):
    """It overrides to and forgets to return self."""

    def to(self, *args, **kwargs):
        super().to(*args, **kwargs)


class EvalOfItselfOnly(nn.Module):
    """It overrides eval, and leaves its submodules in train mode."""

    def __init__(self):
        super().__init__()
        self.body, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)

    def eval(self):
        self.training = False
        return self

    def forward(self, x):
        return self.norm(self.body(x))


class QuietInEval(Net):
    """It overrides eval to switch its noise off, which the eval() of a whole does not call."""

    def __init__(self):
        super().__init__()
        self.noise = 0.1

    def train(self, mode=True):
        self.noise = 0.1
        return super().train(mode)

    def eval(self):
        super().eval()
        self.noise = 0.0
        return self

    def forward(self, x):
        return super().forward(x + self.noise * torch.randn_like(x))


class QuietByItsMode(Net):
    """Its train is called by eval, and by that of a whole."""

    def train(self, mode=True):
        self.noise = 0.1 if mode else 0.0
        return super().train(mode)

    def forward(self, x):
        return super().forward(x + 0.1 * self.training * torch.randn_like(x))


class EvalOfAll(EvalOfItselfOnly):
    eval = nn.Module.eval


class NormKeptInEval(Net):
    """It overrides train to keep its batch norm in eval mode."""

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


class MergesInEval(nn.Module):
    """It adds its low-rank update to the weight in eval mode, and takes it away in train mode."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.down, self.up = nn.Parameter(torch.rand(1, 4)), nn.Parameter(torch.rand(4, 1))

    def train(self, mode=True):
        if mode != self.training:
            self.inner.weight.data += (-1 if mode else 1) * (self.up @ self.down).data
        return super().train(mode)

    def forward(self, x):
        update = (self.up @ self.down) * (1.0 if self.training else 0.0)
        return nn.functional.linear(x, self.inner.weight + update, self.inner.bias)


class AddsInForward(MergesInEval):
    train = nn.Module.train

    def forward(self, x):
        return nn.functional.linear(x, self.inner.weight + self.up @ self.down, self.inner.bias)


class ThawsInTrain(Net):
    """Its train makes every parameter trainable, and its eval none."""

    def train(self, mode=True):
        for parameter in self.parameters():
            parameter.requires_grad_(mode)
        return super().train(mode)


class FunctionalDropout(nn.Module):
    """It calls F.dropout without telling it the mode, and so drops in eval mode too."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 16)

    def forward(self, x):
        return nn.functional.dropout(self.inner(x))


class FunctionalDropoutInTrain(FunctionalDropout):
    def forward(self, x):
        return nn.functional.dropout(self.inner(x), training=self.training)


class NoiseInASubmodule(nn.Module):
    """A submodule adds noise in eval mode too."""

    def __init__(self):
        super().__init__()
        self.inner, self.noisy = nn.Linear(4, 4), FunctionalDropout()

    def forward(self, x):
        return self.noisy(self.inner(x))


class NoNoiseInEval(NoiseInASubmodule):
    def __init__(self):
        super().__init__()
        self.noisy = FunctionalDropoutInTrain()


class TakesTargetsInTrain(Net):
    """It refuses in eval mode what it takes in train mode."""

    def forward(self, x):
        if not self.training:
            raise ValueError("no targets in eval mode, please")
        return super().forward(x)


class CountsInEval(Net):
    """It counts its calls in a buffer, in eval mode too."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class CountsInTrain(CountsInEval):
    def forward(self, x):
        if self.training:
            self.calls += 1
        return Net.forward(self, x)


class CentresOverTheBatch(Net):
    """It takes away the mean of the batch, in eval mode too."""

    def forward(self, x):
        return super().forward(x - x.mean(0))


class CentresOverARow(Net):
    def forward(self, x):
        return super().forward(x - x.mean(1, keepdim=True))


class BatchSizeWrittenIn(Net):
    """It reshapes to a batch of three rows, whatever the batch is."""

    def forward(self, x):
        return super().forward(x.view(3, 4))


class BatchSizeLeftOpen(Net):
    def forward(self, x):
        return super().forward(x.view(-1, 4))


class FrozenUntilTrain(nn.Module):
    """It freezes a norm once, and the next train() lets its statistics go on."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), nn.Linear(4, 2)
        self.stem.requires_grad_(False).eval()

    def forward(self, x):
        return self.head(self.stem(x))


class FrozenInEveryMode(FrozenUntilTrain):
    def train(self, mode=True):
        super().train(mode)
        self.stem.eval()
        return self


class OneNormForTwoPlaces(nn.Module):
    """One norm is run before the activation and after it."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.norm = nn.Linear(4, 4), nn.Linear(4, 2), nn.BatchNorm1d(4)

    def forward(self, x):
        return self.head(self.norm(10 + 10 * self.norm(self.body(x))))


class ANormForEachPlace(OneNormForTwoPlaces):
    def __init__(self):
        super().__init__()
        self.last = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.head(self.last(10 + 10 * self.norm(self.body(x))))


class FollowsItsInputs(nn.Module):
    """It moves a mean in eval mode too, and computes with it."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 2)
        self.register_buffer("mean", torch.zeros(4))

    def follow(self, x):
        self.mean.lerp_(x.detach().mean(0), 0.5)

    def forward(self, x):
        self.follow(x)
        return self.body(x - self.mean)


class FollowsInTraining(FollowsItsInputs):
    def follow(self, x):
        if self.training:
            super().follow(x)


def many_rows():
    """Sixty-four rows of four features."""
    return (torch.rand(64, 4, generator=torch.Generator().manual_seed(3)),), {}


class PositionsOverTheBatch(Plain):
    """It adds a position to each row of the batch, and not to each step."""

    def __init__(self):
        super().__init__()
        self.register_buffer("positions", torch.arange(40.0).view(10, 1, 4).sin())

    def forward(self, x):
        return super().forward(x + self.positions[: x.shape[0]])


class PositionsOverTime(PositionsOverTheBatch):
    def forward(self, x):
        return Plain.forward(self, x + self.positions[: x.shape[1], 0])


class DrawsInEval(Plain):
    """It draws in eval mode too."""

    def forward(self, x):
        return super().forward(x) * (0.9 + 0.2 * torch.rand(()))


class DrawsInTraining(Plain):
    def forward(self, x):
        return super().forward(x) * (0.9 + 0.2 * torch.rand(()) if self.training else 1.0)


class SqueezesAll(Plain):
    """A batch of one loses its dimension."""

    def forward(self, x):
        return super().forward(x)[:, None].squeeze()


class SqueezesOne(Plain):
    def forward(self, x):
        return super().forward(x)[:, None].squeeze(1)


class NormFrozenByHalf(Plain):
    """The weights of its norm are frozen, and the statistics are not."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4).requires_grad_(False)

    def forward(self, x):
        return self.head(self.norm(self.body(x)).relu())


class NormWithoutWeights(NormFrozenByHalf):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4, affine=False)


class FilledByTraining(Plain):
    """What it subtracts is there after a call in train mode only."""

    persistent = False

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", self.first(), self.persistent)

    def first(self):
        return torch.zeros(0)

    def forward(self, x):
        if self.training:
            self.mean = x.detach().mean(0)
        return super().forward(x - self.mean)


class FilledFromTheStart(FilledByTraining):
    persistent = True

    def first(self):
        return torch.zeros(4)


class TimeFirst(nn.Module):
    """A recurrent layer that takes time first is given rows first."""

    batch_first = False

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(4, 4, batch_first=self.batch_first), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class RowsFirst(TimeFirst):
    batch_first = True

    def __init__(self):
        super().__init__()
        self.rnn.batch_first = True


class WordsTimeFirst(nn.Module):
    """An encoder that takes time first is given rows of words first, and what it gives is pooled."""

    batch_first = False

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5, 4)
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=self.batch_first)

    def forward(self, ids):
        return self.encoder(self.words(ids)).mean(1)[:, :2]


class WordsRowsFirst(WordsTimeFirst):
    batch_first = True


class SwapsByReshape(nn.Module):
    """It swaps rows and time with reshape, which mixes them."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(4, 4), nn.Linear(4, 2)

    def swapped(self, x):
        return x.reshape(x.shape[1], x.shape[0], 4)

    def forward(self, x):
        return self.head(self.rnn(self.swapped(x))[0][-1])


class SwapsByTranspose(SwapsByReshape):
    def swapped(self, x):
        return x.transpose(0, 1)


class CentersOverTime(Plain):
    """It takes a mean over the first dimension, and says nowhere that this is time."""

    def forward(self, x):
        return super().forward(x - x.mean(0, keepdim=True))


class CentersOverTimeAndSaysSo(CentersOverTime):
    batch_first = False


class SortsItsRows(Plain):
    """It sorts its rows, and returns them so."""

    def back(self, y, order):
        return y

    def forward(self, x):
        order = x[:, 0].argsort()
        return self.back(super().forward(x[order]), order)


class SortsItsRowsBack(SortsItsRows):
    def back(self, y, order):
        return y[order.argsort()]


class VarianceOfOneRow(nn.Module):
    """A norm of its own, whose running variance is NaN once a batch of one came by."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.register_buffer("var", torch.ones(4))

    def variance(self, x):
        return x.var(0)

    def forward(self, x):
        x = self.body(x)
        if not self.training:
            return self.head(x * (self.var + 1e-5).rsqrt())
        var = self.variance(x)
        self.var.lerp_(var.detach().to(self.var.dtype), 0.1)
        return self.head(x * (var + 1e-5).rsqrt())


class VarianceOfAllRows(VarianceOfOneRow):
    def variance(self, x):
        return x.var(0, unbiased=False)


class MomentumOfTheOld(nn.Module):
    """The momentum of its norm is what other libraries call so."""

    momentum = 0.99

    def __init__(self):
        super().__init__()
        self.body, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=self.momentum)

    def forward(self, x):
        return self.norm(self.body(x))


class MomentumOfTheNew(MomentumOfTheOld):
    momentum = 0.01


class MergedInEval(Net):
    """It overrides eval to note that it is merged."""

    def train(self, mode=True):
        self.is_merged = False
        return super().train(mode)

    def eval(self):
        super().eval()
        self.is_merged = True
        return self


class PartMergedInEval(nn.Module):
    """A part of it overrides eval, which is not called with that of the whole."""

    part = MergedInEval

    def __init__(self):
        super().__init__()
        self.merged, self.last = self.part(), nn.Linear(2, 2)

    def forward(self, x):
        return self.last(self.merged(x))


class PartMergedByItsMode(PartMergedInEval):
    part = QuietByItsMode


class LastRowForLastStep(RowsFirst):
    """Rows come first, and it takes the last of them for the last step."""

    def forward(self, x):
        return self.head(self.rnn(x)[0][-1])


class WidthOfHalfARow(nn.Module):
    """Its second layer is half as wide as what it is given, and view makes two rows of each."""

    width = 8

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 2, 1), nn.Linear(self.width, 2)

    def forward(self, x):
        return self.head(self.conv(x).reshape(len(x) * 32 // self.width, self.width))


class WidthOfARow(WidthOfHalfARow):
    width = 32


class RowsMeetColumns(Plain):
    """It divides by a number for each row, laid along the columns, of which there are as many."""

    def forward(self, x):
        return super().forward(x / x.norm(dim=-1).add(1))


class RowsMeetRows(Plain):
    def forward(self, x):
        return super().forward(x / x.norm(dim=-1, keepdim=True).add(1))


def squares():
    """Four rows of four features."""
    return (torch.rand(4, 4, generator=torch.Generator().manual_seed(3)),), {}


def masked_sequences():
    """Three sequences of five steps, and a mask that lets all of them through."""
    return (*sequences()[0], torch.ones(3, 5, dtype=torch.bool)), {}


class MasksOfOtherRows(nn.Module):
    """It repeats the masks of all rows once for each head, where heads come first."""

    def __init__(self):
        super().__init__()
        self.inner, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

    def spread(self, mask):
        return mask.repeat(2, 1)

    def forward(self, x, mask):
        heads = self.inner(x).unflatten(-1, (2, 2)).transpose(1, 2).flatten(0, 1)
        scores = heads @ heads.mT
        scores = scores.masked_fill(~self.spread(mask)[:, None], torch.finfo(scores.dtype).min)
        values = (scores.softmax(-1) @ heads).unflatten(0, (x.shape[0], 2))
        return self.last(values.transpose(1, 2).flatten(2))


class MasksOfEachRow(MasksOfOtherRows):
    def spread(self, mask):
        return mask.repeat_interleave(2, dim=0)


class AddsForABatchOfThree(Net):
    """What it adds has a row for each of the three that it was written for."""

    def __init__(self):
        super().__init__()
        self.register_buffer("offsets", torch.ones(3, 4))

    def forward(self, x):
        return super().forward(x + self.offsets)


class AddsToAnyBatch(AddsForABatchOfThree):
    def __init__(self):
        super().__init__()
        self.offsets = torch.ones(4)


MINIATURES = [
    Miniature(
        AddsForABatchOfThree,
        "rows.another_batch_size",
        "with 2 rows instead of 3 it raises RuntimeError: The size of tensor a (2) must match the size of",
        "take the number of rows from x.shape[0], or write -1",
        AddsToAnyBatch,
    ),
    Miniature(
        QuietInEval,
        "modes.eval_is_train_of_false",
        "`noise` is other after eval() than after train(False): `self` overrides eval",
        "and leave eval as it is",
        QuietByItsMode,
    ),
    Miniature(
        TrainReturnsNothing,
        "modes.methods_return_it",
        "train() returns None instead of the module: `net = net.train()` loses it",
        "return self where it is overridden",
        Net,
    ),
    Miniature(
        ToReturnsNothing,
        "modes.methods_return_it",
        "to() returns None instead of the module: `net = net.to()` loses it",
        "return self where it is overridden",
        Net,
    ),
    Miniature(
        EvalOfItselfOnly,
        "modes.eval_reaches_every_submodule",
        "`body`, `norm` are in train mode after eval()",
        "call super().train(mode) and return self",
        EvalOfAll,
    ),
    Miniature(
        NormKeptInEval,
        "modes.train_reaches_every_submodule",
        "`norm` is in eval mode after train()",
        "and leave it at that",
        Net,
    ),
    Miniature(
        MergesInEval,
        "modes.modes_change_nothing_else",
        "eval() changes the values of `inner.weight`: what is saved depends on the mode",
        "and compute in forward, by self.training",
        AddsInForward,
    ),
    Miniature(
        ThawsInTrain,
        "modes.modes_change_nothing_else",
        "eval() sets requires_grad of `body.weight`, `body.bias`, `norm.weight`, ",
        "leave requires_grad alone there",
        Net,
    ),
    Miniature(
        FunctionalDropout,
        "modes.eval_is_deterministic",
        "two equal calls in eval mode differ, first in the forward of `FunctionalDropout`: `output` "
        "differs in",
        "give it training=self.training",
        FunctionalDropoutInTrain,
    ),
    Miniature(
        NoiseInASubmodule,
        "modes.eval_is_deterministic",
        "two equal calls in eval mode differ, first in the forward of `noisy`: `output` differs in",
        "give it training=self.training",
        NoNoiseInEval,
    ),
    Miniature(
        TakesTargetsInTrain,
        "calling.in_eval_mode",
        "in eval mode it raises ValueError: no targets in eval mode, please at modes.py:",
        "let forward take the same inputs in both modes",
        Net,
    ),
    Miniature(
        FilledByTraining,
        "calling.in_eval_mode",
        "in eval mode, before a call in train mode has passed, it raises RuntimeError: The size of tensor a",
        "in its full size and with values to start from, as BatchNorm does",
        FilledFromTheStart,
    ),
    Miniature(
        CountsInEval,
        "modes.buffers_stay_in_eval",
        "`calls` differs in 1 of 1 values after a call in eval mode",
        "change it only if self.training",
        CountsInTrain,
    ),
    Miniature(
        CentresOverTheBatch,
        "rows.rows_are_independent",
        "`output[0]` differs in 2 of 2 values",
        "use running statistics in eval mode",
        CentresOverARow,
    ),
    Miniature(
        BatchSizeWrittenIn,
        "rows.another_batch_size",
        "with 2 rows instead of 3 it raises RuntimeError: shape '[3, 4]' is invalid for input of "
        "size 8 at modes.py:",
        "or write -1",
        BatchSizeLeftOpen,
    ),
    Miniature(
        FrozenUntilTrain,
        "modes.frozen_norms_stay",
        "`stem.1` has a weight that requires no gradient",
        "or build it with track_running_stats=False",
        FrozenInEveryMode,
    ),
    Miniature(
        OneNormForTwoPlaces,
        "modes.statistics_are_of_one_place",
        "one call runs `norm` 2 times, on values of different mean and spread",
        "unless they are alike in training",
        ANormForEachPlace,
        many_rows,
    ),
    Miniature(
        FollowsItsInputs,
        "modes.eval_is_deterministic",
        "two equal calls in eval mode differ, since each changes `mean`",
        "change it only if self.training",
        FollowsInTraining,
    ),
    Miniature(
        PositionsOverTheBatch,
        "rows.rows_are_independent",
        "`output` differs in",
        "dimension of time; if time comes first and rows second, say so: self.batch_first = False",
        PositionsOverTime,
        sequences,
    ),
    Miniature(
        DrawsInEval,
        "modes.eval_is_deterministic",
        "two equal calls in eval mode differ, first in the forward of `DrawsInEval`",
        "draw random numbers only if self.training",
        DrawsInTraining,
    ),
    Miniature(
        SqueezesAll,
        "rows.a_batch_of_one",
        "`output` has no row for a batch of one",
        "squeeze a dimension by its number: x.squeeze(-1)",
        SqueezesOne,
    ),
    Miniature(
        NormFrozenByHalf,
        "modes.frozen_norms_stay",
        "`norm` has a weight that requires no gradient, and a call in train mode changes the running",
        "or build it with track_running_stats=False",
        NormWithoutWeights,
    ),
    Miniature(
        TimeFirst,
        "rows.rows_are_independent",
        "`output` differs in 6 of 6 values",
        "build it with batch_first=True, or give it x.transpose(0, 1)",
        RowsFirst,
        sequences,
    ),
    Miniature(
        WordsTimeFirst,
        "rows.rows_are_independent",
        "`output[0]` differs in 2 of 2 values",
        "build it with batch_first=True, or give it x.transpose(0, 1)",
        WordsRowsFirst,
        numbers,
    ),
    Miniature(
        SwapsByReshape,
        "calling.no_view_mixes_dimensions",
        "forward views (3, 5, 4) as (5, 3, 4) at modes.py:",
        "move dimensions with transpose or permute first, and merge neighbors only",
        SwapsByTranspose,
        sequences,
    ),
    Miniature(
        CentersOverTime,
        "rows.rows_are_independent",
        "`output[0]` differs in 10 of 10 values",
        "if time comes first and rows second, say so: self.batch_first = False",
        CentersOverTimeAndSaysSo,
        sequences,
    ),
    Miniature(
        SortsItsRows,
        "rows.rows_are_independent",
        "`output` differs in 4 of 6 values",
        "put them back in their order: out[order.argsort()]",
        SortsItsRowsBack,
    ),
    Miniature(
        VarianceOfOneRow,
        "modes.one_row_spoils_nothing",
        "with a batch of one in train mode `var`, `output` are NaN, and what is kept stays so",
        "or refuse a batch of one as nn.BatchNorm1d does",
        VarianceOfAllRows,
    ),
    Miniature(
        MomentumOfTheOld,
        "modes.statistics_are_of_many_batches",
        "`norm` has momentum=0.99, so that each call in train mode replaces 99% of the running statistics",
        "write momentum=0.01 for what others call 0.99",
        MomentumOfTheNew,
    ),
    Miniature(
        PartMergedInEval,
        "modes.eval_is_train_of_false",
        "`merged.is_merged` is other after eval() than after train(False): `merged` overrides eval",
        "do it in train(mode), where mode is false, and leave eval as it is",
        PartMergedByItsMode,
    ),
    Miniature(
        LastRowForLastStep,
        "rows.every_row_counts",
        "of the 3 rows of its inputs the last alone counts",
        "out[-1] is a row, and the last step out[:, -1]",
        RowsFirst,
        sequences,
    ),
    Miniature(
        WidthOfHalfARow,
        "rows.a_row_stays_whole",
        "forward views (3, 2, 4, 4) as (12, 8) at modes.py:",
        "write flatten(1), and make the next layer as wide as that is",
        WidthOfARow,
        images,
    ),
    Miniature(
        RowsMeetColumns,
        "rows.another_batch_size",
        "with 3 rows instead of 4 it raises RuntimeError: The size of tensor a (4) must match the size of",
        "give what is taken over a dimension keepdim=True, or [:, None]",
        RowsMeetRows,
        squares,
    ),
    Miniature(
        MasksOfOtherRows,
        "rows.rows_are_independent",
        "`output[0]` differs in 10 of 10 values",
        "write repeat_interleave(heads, dim=0) for repeat(heads, 1, 1), or mask[:, None]",
        MasksOfEachRow,
        masked_sequences,
    ),
]
