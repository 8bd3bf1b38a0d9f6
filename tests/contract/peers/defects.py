"""Sixty defects of modules, each with its repaired twin: what the page "Beside its peers" compares tools by.

Thirty are of the contract's own tests. Thirty are of kinds that the documentation of pytest-torch and of
torchtest2 says they find, as far as they are in the module, and not in the loss, the optimizer or the loop.
The code is our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from miniatures import Net, building, calling, copying, gradients, modes, moving, names
from miniatures import registration as registering
from miniatures import state as states
from torch import nn


class Defect(NamedTuple):
    """A defect and its repair.

    Attributes:
        name: what is wrong, in a few words.
        source: whose tests or documentation it is from.
        faulty: makes the module with the defect.
        repaired: makes its twin.
        inputs: makes a batch: a tensor, or a dict of named ones.
        told: what a user tells a tool beside the model and its inputs: the parameters that are ``frozen``,
            the ``range`` of the outputs, that a ``derivative`` is written by hand.
    """

    name: str
    source: str
    faulty: Callable[[], nn.Module]
    repaired: Callable[[], nn.Module]
    inputs: Callable[[], Any]
    told: Mapping[str, Any] = {}


def rows() -> torch.Tensor:
    """Eight rows of four features."""
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(3))


def sequences() -> torch.Tensor:
    """Eight sequences of five steps, each of four features."""
    return torch.randn(8, 5, 4, generator=torch.Generator().manual_seed(3))


def sentences() -> dict[str, torch.Tensor]:
    """Eight sentences of up to six words, every other one padded."""
    ids = torch.randint(1, 20, (8, 6), generator=torch.Generator().manual_seed(3))
    mask = torch.ones_like(ids)
    mask[::2, 4:] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


class NormUnused(Net):
    """A norm is made and not called."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(4)


class NormUsed(NormUnused):
    def forward(self, x):
        return self.head(self.norm(self.body(x).relu()))


class GraphCutByData(Net):
    def forward(self, x):
        return self.head(self.body(x).data.relu())


class AttentionOverTheBatch(nn.Module):
    """Its attention takes the batch for time."""

    def __init__(self, batch_first=False):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=batch_first)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.attention(x, x, x, need_weights=False)[0])


class LSTMOverTheBatch(nn.Module):
    """Its LSTM takes the batch for time."""

    def __init__(self, batch_first=False):
        super().__init__()
        self.inner = nn.LSTM(4, 6, batch_first=batch_first)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.inner(x)[0])


class HalfOfItsInputIgnored(nn.Module):
    """Both towers are given the first half of the features."""

    def __init__(self):
        super().__init__()
        self.user, self.item = nn.Linear(2, 3), nn.Linear(2, 3)

    def forward(self, x):
        return self.user(x[:, :2]) * self.item(x[:, :2])


class BothHalvesUsed(HalfOfItsInputIgnored):
    def forward(self, x):
        return self.user(x[:, :2]) * self.item(x[:, 2:])


class MaskIgnored(nn.Module):
    """The mean over a sentence counts its padding too."""

    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(20, 4), nn.Linear(4, 2)

    def forward(self, input_ids, attention_mask):
        return self.head(self.words(input_ids).mean(1))


class MaskedMean(MaskIgnored):
    def forward(self, input_ids, attention_mask):
        weight = attention_mask[..., None].to(self.words.weight.dtype)
        return self.head((self.words(input_ids) * weight).sum(1) / weight.sum(1))


class DividedByTheLength(MaskIgnored):
    """The padding is left out of the sum, and counts in the number it is divided by."""

    def forward(self, input_ids, attention_mask):
        weight = attention_mask[..., None].to(self.words.weight.dtype)
        return self.head((self.words(input_ids) * weight).mean(1))


class FreezesTheWrongPart(Net):
    """Its body is to be frozen, and its head is."""

    def __init__(self):
        super().__init__()
        self.head.requires_grad_(False)


class FreezesItsBody(Net):
    def __init__(self):
        super().__init__()
        self.body.requires_grad_(False)


class RootOfZero(Net):
    """A score is as far from itself as 0, where a root has no finite derivative."""

    def forward(self, x):
        scores = super().forward(x)
        apart = scores[:, :, None] - scores[:, None]
        return scores + 0.1 * apart.square().sqrt().mean(2)


class DistanceWithoutRoot(Net):
    def forward(self, x):
        scores = super().forward(x)
        apart = scores[:, :, None] - scores[:, None]
        return scores + 0.1 * apart.abs().mean(2)


class ConfidentAtFirst(Net):
    """Its head begins with weights of a hundred."""

    def __init__(self):
        super().__init__()
        nn.init.normal_(self.head.weight, std=100.0)


class VarianceBelowZero(Net):
    """The root of a variance is guarded by torch.where, and its gradient is not."""

    def __init__(self):
        super().__init__()
        self.variance = nn.Parameter(torch.tensor(0.04))

    def forward(self, x):
        scores = super().forward(x)
        if not self.training:
            return scores
        spread = torch.where(self.variance > 0, self.variance.sqrt(), torch.zeros_like(self.variance))
        return scores + spread * torch.randn_like(scores)


class VarianceAsALogarithm(VarianceBelowZero):
    def __init__(self):
        super().__init__()
        self.variance = nn.Parameter(torch.tensor(-4.0))

    def forward(self, x):
        scores = Net.forward(self, x)
        return scores + self.variance.exp() * torch.randn_like(scores) if self.training else scores


class Square(torch.autograd.Function):
    """x * x, whose derivative is said to be x."""

    factor = 1

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @classmethod
    def backward(cls, ctx, gradient):
        return gradient * ctx.saved_tensors[0]


class TrueSquare(Square):
    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2 * ctx.saved_tensors[0]


class WrongDerivative(Net):
    def forward(self, x):
        return super().forward(Square.apply(x))


class RightDerivative(Net):
    def forward(self, x):
        return super().forward(TrueSquare.apply(x))


class NoiseAlways(Net):
    """It adds noise in eval mode too."""

    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x))


class NoiseInTraining(Net):
    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x) if self.training else x)


class SoftmaxOverTheBatch(Net):
    def forward(self, x):
        return super().forward(x).softmax(0)


class SoftmaxOverARow(Net):
    def forward(self, x):
        return super().forward(x).softmax(1)


class LogarithmOfZero(Net):
    """What relu makes zero has no logarithm."""

    def forward(self, x):
        return super().forward(x).relu().log()


class LogarithmOfMore(Net):
    def forward(self, x):
        return (nn.functional.softplus(super().forward(x)) + 0.1).log()


class ViewForTranspose(nn.Module):
    """It brings time to the front with view, which mixes the rows."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.GRU(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        batch, time, width = x.shape
        return self.head(self.inner(x.reshape(time, batch, width))[0][-1])


class Transpose(ViewForTranspose):
    def forward(self, x):
        return self.head(self.inner(x.transpose(0, 1))[0][-1])


class DeadFromTheStart(Net):
    """Its first layer begins with so low a bias that relu lets nothing through."""

    def __init__(self):
        super().__init__()
        nn.init.constant_(self.body.bias, -100.0)


class SigmoidLeftOut(Net):
    """Its outputs are to be probabilities."""


class Sigmoid(Net):
    def forward(self, x):
        return super().forward(x).sigmoid()


class ExplodingDepth(nn.Sequential):
    """Twelve layers, each of which makes its input ten times as large."""

    def __init__(self, gain=10.0):
        super().__init__(*(nn.Linear(4, 4, bias=False) for _ in range(12)), nn.Linear(4, 2))
        for layer in list(self)[:-1]:
            nn.init.orthogonal_(layer.weight, gain)


class DropoutLeftOn(Net):
    """Its dropout stays in train mode."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.3)

    def train(self, mode=True):
        super().train(mode)
        self.dropout.train()
        return self

    def forward(self, x):
        return self.head(self.dropout(self.body(x).relu()))


class DropoutSwitched(DropoutLeftOn):
    train = nn.Module.train


class MeanFollowedInEval(Net):
    """It keeps a running mean, and goes on with it in eval mode."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x):
        self.mean.lerp_(x.detach().mean(0), 0.1)
        return super().forward(x - self.mean)


class MeanFollowedInTraining(MeanFollowedInEval):
    def forward(self, x):
        if self.training:
            self.mean.lerp_(x.detach().mean(0), 0.1)
        return Net.forward(self, x - self.mean)


class StatisticsOfTheBatch(Net):
    """It divides by the standard deviation of the batch, in eval mode too."""

    def forward(self, x):
        return super().forward((x - x.mean(0)) / (x.std(0) + 0.1))


class StatisticsOfTheRow(Net):
    def forward(self, x):
        return super().forward((x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 0.1))


class ViewOfAnyLayout(Net):
    """It calls view on its input, which a transposed one refuses."""

    def forward(self, x):
        return super().forward(x.view(-1).view(-1, 4))


class ReshapeOfAnyLayout(Net):
    def forward(self, x):
        return super().forward(x.reshape(-1, 4))


class FeaturesNotSaved(Net):
    """Its random features are a plain tensor, which no checkpoint has."""

    def __init__(self):
        super().__init__()
        self.features = torch.randn(4, 4)

    def forward(self, x):
        return super().forward(x @ self.features)


class FeaturesSaved(FeaturesNotSaved):
    def __init__(self):
        super().__init__()
        features = self.features
        del self.features
        self.register_buffer("features", features)


class FrozenNormInEval(modes.NormFrozenByHalf):
    def __init__(self):
        super().__init__()
        self.norm.eval()

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


class ConstantOfFloat32(Net):
    """A factor is made in float32, whatever the module is in."""

    def forward(self, x):
        return super().forward(x @ torch.eye(4, dtype=torch.float32, device=x.device))


class ConstantOfItsDtype(Net):
    def forward(self, x):
        return super().forward(x @ torch.eye(4, dtype=x.dtype, device=x.device))


class StateFromCallToCall(Net):
    """It adds what it computed in the call before."""

    def __init__(self):
        super().__init__()
        self.last = None

    def forward(self, x):
        features = self.body(x).relu()
        if self.last is not None and self.last.shape == features.shape:
            features = features + 0.5 * self.last
        self.last = features.detach()
        return self.head(features)


class BatchOfEight(Net):
    def forward(self, x):
        return super().forward(x.reshape(8, 4))


class BatchOfAny(Net):
    def forward(self, x):
        return super().forward(x.reshape(-1, 4))


class AsksForAValue(Net):
    """Python decides by a value: torch.compile breaks the graph, and a GPU is waited for."""

    def forward(self, x):
        scores = super().forward(x)
        return scores / scores.abs().max() if scores.abs().max().item() > 1.0 else scores


class AsksNothing(Net):
    def forward(self, x):
        scores = super().forward(x)
        return scores / scores.abs().max(1, keepdim=True).values.clamp(min=1.0)


OURS, THEIRS, OTHERS = "nnspec", "torchtest2", "pytest-torch"

DEFECTS = [
    Defect("layers in a plain list", OURS, registering.LayersInAList, registering.LayersInAModuleList, rows),
    Defect("heads in a plain dict", OURS, registering.HeadsInADict, registering.HeadsInAModuleDict, rows),
    Defect(
        "parameters in a plain list",
        OURS,
        registering.ScalesInAList,
        registering.ScalesInAParameterList,
        rows,
    ),
    Defect("a table that is no buffer", OURS, registering.TableAsAttribute, registering.TableAsBuffer, rows),
    Defect(
        "a tensor to be trained that is no Parameter",
        OURS,
        registering.ScaleWithoutParameter,
        registering.ScaleWithParameter,
        rows,
    ),
    Defect(
        "a layer in an object that is no module",
        OURS,
        registering.LayerInAHelper,
        registering.LayerInAModule,
        rows,
    ),
    Defect(
        "a lambda that refers to the module",
        OURS,
        registering.LambdaWithItself,
        registering.MethodWithALayer,
        rows,
    ),
    Defect(
        "a device written into the constructor", OURS, building.DeviceWrittenIn, building.DeviceLeftOpen, rows
    ),
    Defect(
        "a constructor that seeds the process",
        OURS,
        building.SeedsItsConstructor,
        building.LeavesTheSeed,
        rows,
    ),
    Defect("a parameter from torch.empty, never filled", OURS, building.NeverFilled, building.Filled, rows),
    Defect("an attribute called type", OURS, building.TypeHidden, building.TypeOfAnotherName, rows),
    Defect("names from a counter", OURS, names.NamesFromACounter, names.NamesFromPlaces, rows),
    Defect(
        "a layer as default argument, shared by all",
        OURS,
        names.NormAsDefaultArgument,
        names.NormMadeInConstructor,
        rows,
    ),
    Defect(
        "a state dict without its prefix", OURS, names.StateDictWithoutPrefix, names.StateDictWithPrefix, rows
    ),
    Defect("__call__ overridden", OURS, calling.CallOverridden, Net, rows),
    Defect("forward of a layer called directly", OURS, calling.ForwardCalledDirectly, Net, rows),
    Defect("an input changed in place", OURS, calling.AddsToItsInput, calling.AddsToACopy, rows),
    Defect(
        "a weight clamped in forward", OURS, calling.ClampsItsWeight, calling.ComputesWithAClampedWeight, rows
    ),
    Defect("a layer made in the first call", OURS, calling.LayerMadeInForward, calling.LayerMadeLazily, rows),
    Defect(
        "a loss kept on the module with its graph", OURS, calling.KeepsItsLoss, calling.ReturnsItsLoss, rows
    ),
    Defect("a seed set in forward", OURS, calling.SeedsInForward, Net, rows),
    Defect("a lambda that cannot be pickled", OURS, copying.ReluOfALambda, copying.ReluOfTorch, rows),
    Defect("a copy that is none", OURS, copying.CopyOfReferences, copying.Net, rows),
    Defect(
        "a graph kept from the first call",
        OURS,
        gradients.MixtureKeptFromTheFirstCall,
        gradients.MixtureComputedAnew,
        rows,
    ),
    Defect("train() that returns None", OURS, modes.TrainReturnsNothing, modes.Net, rows),
    Defect("eval() that changes the weights", OURS, modes.MergesInEval, modes.AddsInForward, rows),
    Defect("a state dict without some of its keys", OURS, states.LeavesItsBodyOut, states.Net, rows),
    Defect("weights tied through .data", OURS, states.TiedThroughData, states.TiedThroughTheParameter, rows),
    Defect("load_state_dict with strict=False by default", OURS, states.LenientByDefault, states.Net, rows),
    Defect("cuda() that moves a part only", OURS, moving.MovesItsBodyOnly, moving.MovesAllAndSaysSo, rows),
    Defect("a norm that is made and never called", THEIRS, NormUnused, NormUsed, rows),
    Defect("the graph cut by .data", THEIRS, GraphCutByData, Net, rows),
    Defect(
        "attention over the batch (batch_first)",
        THEIRS,
        AttentionOverTheBatch,
        lambda: AttentionOverTheBatch(True),
        sequences,
    ),
    Defect(
        "an LSTM over the batch (batch_first)",
        THEIRS,
        LSTMOverTheBatch,
        lambda: LSTMOverTheBatch(True),
        sequences,
    ),
    Defect("half of the input ignored", THEIRS, HalfOfItsInputIgnored, BothHalvesUsed, rows),
    Defect("an attention mask ignored", THEIRS, MaskIgnored, MaskedMean, sentences),
    Defect("the wrong part frozen", THEIRS, FreezesTheWrongPart, FreezesItsBody, rows, {"frozen": "body"}),
    Defect("a root whose gradient is NaN", THEIRS, RootOfZero, DistanceWithoutRoot, rows),
    Defect("far too large first weights of the head", THEIRS, ConfidentAtFirst, Net, rows),
    Defect(
        "F.dropout in eval mode too", THEIRS, modes.FunctionalDropout, modes.FunctionalDropoutInTrain, rows
    ),
    Defect("a gradient that becomes NaN in training", THEIRS, VarianceBelowZero, VarianceAsALogarithm, rows),
    Defect(
        "a derivative written wrongly", THEIRS, WrongDerivative, RightDerivative, rows, {"derivative": True}
    ),
    Defect("noise in eval mode too", THEIRS, NoiseAlways, NoiseInTraining, rows),
    Defect("a softmax over the batch", THEIRS, SoftmaxOverTheBatch, SoftmaxOverARow, rows),
    Defect("a logarithm of zero", THEIRS, LogarithmOfZero, LogarithmOfMore, rows),
    Defect("view in the place of transpose", THEIRS, ViewForTranspose, Transpose, sequences),
    Defect("the same output for every row", THEIRS, DeadFromTheStart, Net, rows),
    Defect("a sigmoid left out", THEIRS, SigmoidLeftOut, Sigmoid, rows, {"range": (0.0, 1.0)}),
    Defect("exploding gradients", THEIRS, ExplodingDepth, lambda: ExplodingDepth(1.0), rows),
    Defect("dropout that eval() does not reach", OTHERS, DropoutLeftOn, DropoutSwitched, rows),
    Defect(
        "a running mean that moves in eval mode", OTHERS, MeanFollowedInEval, MeanFollowedInTraining, rows
    ),
    Defect("statistics of the batch in eval mode", OTHERS, StatisticsOfTheBatch, StatisticsOfTheRow, rows),
    Defect("padding that counts in a mean", OTHERS, DividedByTheLength, MaskedMean, sentences),
    Defect("an input of another layout refused", OTHERS, ViewOfAnyLayout, ReshapeOfAnyLayout, rows),
    Defect("random features that are not saved", OTHERS, FeaturesNotSaved, FeaturesSaved, rows),
    Defect(
        "a frozen norm whose statistics move",
        OTHERS,
        modes.NormFrozenByHalf,
        FrozenNormInEval,
        rows,
        {"frozen": "norm"},
    ),
    Defect("a constant of float32", OTHERS, ConstantOfFloat32, ConstantOfItsDtype, rows),
    Defect("a batch size written in", OTHERS, BatchOfEight, BatchOfAny, rows),
    Defect("a value that Python asks for", OTHERS, AsksForAValue, AsksNothing, rows),
    Defect("a state from the call before", OTHERS, StateFromCallToCall, Net, rows),
]
