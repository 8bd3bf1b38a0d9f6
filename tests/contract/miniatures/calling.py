"""Calls that leave a trace."""

import functools
from typing import ClassVar

import torch
from torch import nn

from miniatures import Miniature, Net, images, rows, sequences
from miniatures.moving import ConstantInItsDtype


def named_rows():
    """Rows in a dict, with a mask beside them."""
    return ({"x": rows()[0][0], "mask": torch.tensor([[True], [False], [True]])},), {}


class CallOverridden(Net):
    """It overrides __call__, and so has no hooks."""

    def __call__(self, x):
        return self.forward(x)


class ForwardCalledDirectly(Net):
    """It calls the forward of a layer, and so passes its hooks by."""

    def forward(self, x):
        return self.head(self.body.forward(x).relu())


class UsesUpItsLayers(Net):
    """It walks an iterator that __init__ made, and finds it at its end in the second call."""

    def __init__(self):
        super().__init__()
        self.layers = iter([0, 1])

    def forward(self, x):
        for _ in range(2):
            x = list(self.children())[next(self.layers)](x)
        return x


class WalksItsLayers(Net):
    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class AddsToItsInput(Net):
    """It adds to its input in place."""

    def forward(self, x):
        x += 1
        return super().forward(x)


class AddsToACopy(Net):
    def forward(self, x):
        return super().forward(x + 1)


class TakesFromItsDict(Net):
    """It pops an entry of the dict that it is given."""

    def forward(self, inputs):
        mask = inputs.pop("mask")
        return super().forward(inputs["x"]) * mask


class ReadsItsDict(Net):
    def forward(self, inputs):
        return super().forward(inputs["x"]) * inputs["mask"]


class ClampsItsWeight(Net):
    """It keeps its weight within bounds by writing to it in forward."""

    def forward(self, x):
        self.body.weight.data.clamp_(-0.25, 0.25)
        return super().forward(x)


class ComputesWithAClampedWeight(Net):
    def forward(self, x):
        weight = self.body.weight.clamp(-0.25, 0.25)
        return self.head(nn.functional.linear(x, weight, self.body.bias).relu())


class LayerMadeInForward(Net):
    """It makes a layer in its first call, when it knows the width of its input."""

    def forward(self, x):
        if not hasattr(self, "first"):
            self.first = nn.Linear(x.shape[1], 4, device=x.device, dtype=x.dtype)
        return super().forward(self.first(x))


class LayerMadeLazily(Net):
    def __init__(self):
        super().__init__()
        self.first = nn.LazyLinear(4)

    def forward(self, x):
        return super().forward(self.first(x))


class KeepsItsFeatures(Net):
    """It keeps an activation, to be looked at later."""

    def forward(self, x):
        features = self.body(x).relu()
        self.features = features.detach()
        return self.head(features)


class ReturnsItsFeatures(Net):
    def forward(self, x):
        features = self.body(x).relu()
        return self.head(features), features


class KeepsItsLoss(Net):
    """It keeps a loss with its graph, to be added later."""

    def forward(self, x):
        features = self.body(x).relu()
        self.penalty = features.pow(2).mean()
        return self.head(features)


class ReturnsItsLoss(Net):
    def forward(self, x):
        features = self.body(x).relu()
        return {"scores": self.head(features), "penalty": features.pow(2).mean()}


class CountsInPython(Net):
    """It counts its calls in a Python number, which no checkpoint has and which replicas lose."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class CountsInABuffer(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.tensor(0))

    def forward(self, x):
        if self.training:
            self.calls += 1
        return super().forward(x)


class SeedsInForward(Net):
    """It seeds the generator of the whole process, to get the same noise in each call."""

    def forward(self, x):
        torch.manual_seed(3)
        return super().forward(x)


class AsksForGradMode(Net):
    """It takes gradients being recorded for train mode."""

    def forward(self, x):
        scores = super().forward(x)
        return scores if torch.is_grad_enabled() else scores.softmax(1)


class AsksForMode(Net):
    def forward(self, x):
        scores = super().forward(x)
        return scores if self.training else scores.softmax(1)


class Kind(nn.Linear):
    """A layer that knows how it is computed."""

    def __init__(self):
        super().__init__(4, 4)
        self.kind = "sparse"


class SwitchesForGood(Net):
    """For short inputs it sets all its parts to another kind of computing, and they stay so."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Kind(), Kind()

    def forward(self, x):
        for part in (self.first, self.second):
            part.kind = "full"
        return super().forward(self.second(self.first(x)))


class SwitchesForACall(SwitchesForGood):
    def forward(self, x):
        return Net.forward(self, self.second(self.first(x)))


class UsesUpItsStart(Net):
    """The first call deletes what only that call needs."""

    def __init__(self):
        super().__init__()
        self.offset = 0.5

    def forward(self, x):
        offset = getattr(self, "offset", 0.5)
        vars(self).pop("offset", None)
        return super().forward(x + offset)


class KeepsItsStart(UsesUpItsStart):
    def forward(self, x):
        return Net.forward(self, x + self.offset)


def sequences_with_masks():
    """Three sequences of five steps, the second of padding alone."""
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1] = False
    return (torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(3)), mask), {}


class MasksAll(nn.Module):
    """A sequence of padding alone has no step to attend to."""

    def __init__(self):
        super().__init__()
        self.query = nn.Linear(4, 4)

    def least(self, dtype):
        return -torch.inf

    def forward(self, x, mask):
        scores = self.query(x) @ x.transpose(1, 2)
        return scores.masked_fill(~mask[:, None], self.least(scores.dtype)).softmax(-1) @ x


class MasksAllButNotForever(MasksAll):
    def least(self, dtype):
        return torch.finfo(dtype).min


class CollectsItsCalls(Net):
    """It keeps a number of every call."""

    def __init__(self):
        super().__init__()
        self.history = [0.0]

    def forward(self, x):
        self.history.append(float(len(self.history)))
        return super().forward(x)


class NormMadeInForward(Net):
    """It makes a norm in each call, whose weights nobody trains."""

    def forward(self, x):
        return self.head(nn.LayerNorm(4, device=x.device, dtype=x.dtype)(self.body(x)))


class NormMadeBefore(Net):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        return self.head(self.norm(self.body(x)))


class DropsNoMoreAfterEval(Net):
    """Its dropout is 0 for good after one call in eval mode."""

    def __init__(self):
        super().__init__()
        self.rate = 0.5

    def forward(self, x):
        if not self.training:
            self.rate = 0.0
        return self.head(nn.functional.dropout(self.body(x).relu(), self.rate))


class DropsInTraining(DropsNoMoreAfterEval):
    def forward(self, x):
        return self.head(nn.functional.dropout(self.body(x).relu(), self.rate if self.training else 0.0))


class KeepsMasksInADefault(Net):
    """It keeps masks in the default of an argument of forward."""

    def forward(self, x, masks={}):  # noqa: B006
        key = (x.shape, x.dtype, x.device)
        if key not in masks:
            masks[key] = torch.ones(x.shape, dtype=x.dtype, device=x.device)
        return super().forward(x * masks[key])


class KeepsNoMasks(Net):
    def forward(self, x, masks=None):
        return super().forward(x * (torch.ones_like(x) if masks is None else masks))


class CountsOnTheClass(Net):
    """It counts its calls on the class."""

    calls = 0

    def forward(self, x):
        CountsOnTheClass.calls += 1
        return super().forward(x)


class KeepsMasksOnItsClass(Net):
    """It keeps a mask for each shape and device on its class."""

    masks: ClassVar = {}

    def forward(self, x):
        key = (x.shape, x.dtype, x.device)
        if key not in self.masks:
            self.masks[key] = torch.ones(x.shape, dtype=x.dtype, device=x.device)
        return super().forward(x * self.masks[key])


class Attention(nn.Module):
    """Attention that leaves the keys of padding out."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def masked(self, scores, mask):
        return scores.masked_fill(~mask[:, None, :], -1e4)

    def forward(self, x, mask):
        scores = self.query(x) @ self.key(x).transpose(1, 2)
        return self.head(self.masked(scores, mask).softmax(-1) @ x)


class MaskTakenAndNotUsed(Attention):
    """It takes a mask and does not look at it."""

    def masked(self, scores, mask):
        return scores


class MaskOverQueries(Attention):
    """It masks the queries and not the keys, so that padding is attended to."""

    def masked(self, scores, mask):
        return scores.masked_fill(~mask[:, :, None], -1e4)


def padded_sequences():
    """Three sequences of five steps, of which two end with padding."""
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[0, 3:] = mask[2, 4:] = False
    return (torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(3)), mask), {}


class RunsThroughPadding(nn.Module):
    """A recurrent layer of two directions, which starts its way back in the padding."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(4, 4, batch_first=True, bidirectional=True), nn.Linear(8, 2)

    def steps(self, x, lengths):
        return self.rnn(x)[0]

    def forward(self, x, lengths):
        there = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        return self.head(self.steps(x, lengths)) * there[..., None]


class PacksWhatIsThere(RunsThroughPadding):
    def steps(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        steps, _ = nn.utils.rnn.pad_packed_sequence(
            self.rnn(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        return steps


def sequences_with_lengths():
    """Three sequences of five steps, of which two end with padding."""
    return (torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(3)), torch.tensor([3, 5, 4])), {}


class FillsATensorOfItsInputs(Net):
    """It puts what a layer returns into a tensor with the dtype of its inputs."""

    def forward(self, x):
        y, large = torch.zeros_like(x), x[:, 0] > 0.3
        y[large] = self.body(x[large])
        return self.head(y)


class FillsATensorInItsDtype(Net):
    def forward(self, x):
        y, large = torch.zeros_like(x), x[:, 0] > 0.3
        y[large] = self.body(x[large]).to(y.dtype)
        return self.head(y)


class FillsWithTheLeastOfItsInput(Attention):
    """It fills scores with the least number of the input's dtype, which autocast makes another."""

    def masked(self, scores, mask):
        return scores.masked_fill(~mask[:, None, :], torch.finfo(self.head.weight.dtype).min)


class FillsWithTheLeastOfItsScores(Attention):
    def masked(self, scores, mask):
        return scores.masked_fill(~mask[:, None, :], torch.finfo(scores.dtype).min)


class HookInEachCall(Net):
    """Each call registers a hook on its body."""

    def forward(self, x):
        self.body.register_forward_pre_hook(self.look)
        return super().forward(x)

    @staticmethod
    def look(module, args):
        return None


class HookOnce(HookInEachCall):
    def __init__(self):
        super().__init__()
        self.body.register_forward_pre_hook(self.look)

    def forward(self, x):
        return Net.forward(self, x)


class FlattensByView(nn.Module):
    """It flattens by view, which channels that lie last do not allow."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(2, 4, 3), nn.Linear(16, 2)

    def flat(self, x):
        return x.view(x.shape[0], 16)

    def forward(self, x):
        return self.head(self.flat(self.body(x).relu()))


class Flattens(FlattensByView):
    def flat(self, x):
        return x.flatten(1)


class FlattensToTheRest(FlattensByView):
    """It flattens to as many columns as there are, which of no rows nobody knows."""

    def flat(self, x):
        return x.reshape(x.shape[0], -1)


class SpreadInFloat64(Net):
    """A buffer is float64, and so are its outputs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("spread", torch.tensor([0.5, 2.0], dtype=torch.float64))

    def forward(self, x):
        return super().forward(x) * self.spread


class SpreadInFloat32(SpreadInFloat64):
    def __init__(self):
        super().__init__()
        self.spread = self.spread.float()


class CachesAMethod(Net):
    """A cache on a method holds every module that it was called on."""

    @functools.lru_cache(maxsize=8)  # noqa: B019
    def table(self, size, dtype, device):
        return torch.arange(size, dtype=dtype, device=device).sin()

    def forward(self, x):
        return super().forward(x + self.table(x.shape[1], x.dtype, x.device))


class CachesNothing(Net):
    def forward(self, x):
        return super().forward(x + torch.arange(x.shape[1], dtype=x.dtype, device=x.device).sin())


class ReusesItsOutput(Net):
    """Without gradients, each call writes to the tensor that the call before has returned."""

    def __init__(self):
        super().__init__()
        self.out = None

    def forward(self, x):
        y = super().forward(x)
        if torch.is_grad_enabled():
            return y
        if self.out is None or self.out.shape != y.shape:
            self.out = y
        return self.out.copy_(y)


class MarksItsInput(Net):
    """Its input requires a gradient from then on."""

    def forward(self, x):
        if x.is_leaf and torch.is_grad_enabled():
            x.requires_grad_()
        return super().forward(x)


class GradModeOfItsMode(Net):
    """In eval mode it turns gradients off, for everyone and for good."""

    def forward(self, x):
        torch.set_grad_enabled(self.training)
        return super().forward(x)


class WaitsForACount(Net):
    """It asks for the number of positive values, and waits for it."""

    def forward(self, x):
        y = super().forward(x)
        return y / (1 + (y.detach() > 9).sum(1).tolist()[0])


class CountsInTensors(Net):
    def forward(self, x):
        y = super().forward(x)
        return y / (1 + (y.detach() > 9).sum(1, keepdim=True))


class MergesHeadsWithTime(nn.Module):
    """It merges heads without moving them back behind time."""

    def __init__(self):
        super().__init__()
        self.inner, self.last = nn.Linear(4, 12), nn.Linear(4, 2)

    def back(self, values):
        return values

    def forward(self, x):
        q, k, v = (one.unflatten(-1, (2, 2)).transpose(1, 2) for one in self.inner(x).chunk(3, dim=-1))
        values = self.back((q @ k.mT).softmax(-1) @ v)
        return self.last(values.reshape(x.shape[0], x.shape[1], 4))


class MergesHeads(MergesHeadsWithTime):
    def back(self, values):
        return values.transpose(1, 2)


class DropsOfThreeDimensions(Net):
    """It gives a sequence to what drops the channels of images, and torch says so."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout2d(0.5)

    def forward(self, x):
        return super().forward(self.drop(x))


class DropsOfTwoDimensions(DropsOfThreeDimensions):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout1d(0.5)


def masked_steps():
    """Three sequences of five steps, and a mask that leaves some of them out."""
    return (*sequences()[0], torch.arange(5) < torch.tensor([[5], [4], [2]])), {}


class MeanOfAllPlaces(Net):
    """Its mean divides by the number of places, those that are left out too."""

    def count(self, mask):
        return mask.shape[1]

    def forward(self, x, mask):
        return (super().forward(x) * mask[..., None]).sum(1) / self.count(mask)


class MeanOfPlacesThatCount(MeanOfAllPlaces):
    def count(self, mask):
        return mask.sum(1, keepdim=True)


class KeepsTheFirstLength(Net):
    """Its first call makes a table of the length of that call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", None, persistent=False)

    def is_to_be_made(self, x):
        return self.table is None

    def forward(self, x):
        if self.is_to_be_made(x):
            self.table = torch.arange(x.shape[1], dtype=x.dtype, device=x.device)[:, None]
        return super().forward(x + self.table[: x.shape[1]])


class KeepsTheLastLength(KeepsTheFirstLength):
    def is_to_be_made(self, x):
        return self.table is None or len(self.table) < x.shape[1]


MINIATURES = [
    Miniature(
        WaitsForACount,
        "calling.no_number_is_read",
        "forward reads a number out of a tensor at calling.py:",
        "unless that is meant",
        CountsInTensors,
    ),
    Miniature(
        CallOverridden,
        "calling.its_hooks_run",
        "one call ran these hooks of the module: none; CallOverridden overrides __call__",
        "write forward instead, and call it by self(x)",
        Net,
    ),
    Miniature(
        ForwardCalledDirectly,
        "calling.hooks_of_submodules_run",
        "`body`.forward ran once, its hooks never: forward is called directly",
        "call the module itself",
        Net,
    ),
    Miniature(
        UsesUpItsLayers,
        "calling.a_second_call",
        "the first call passes, and a second with equal inputs raises StopIteration: without a text "
        "at calling.py:",
        "let forward use up nothing that __init__ made",
        WalksItsLayers,
    ),
    Miniature(
        AddsToItsInput,
        "calling.inputs_stay",
        "the input `args[0]` differs in 12 of 12 values, by up to 1 after the call",
        "work on a copy: x = x + 1 for x += 1",
        AddsToACopy,
    ),
    Miniature(
        TakesFromItsDict,
        "calling.inputs_stay",
        "the input `args[0]` has the entries 'x' instead of 'x', 'mask' after the call",
        "work on a copy: x = x + 1 for x += 1",
        ReadsItsDict,
        named_rows,
    ),
    Miniature(
        ClampsItsWeight,
        "calling.parameters_stay",
        "`body.weight` differs in",
        "or use a parametrization",
        ComputesWithAClampedWeight,
    ),
    Miniature(
        LayerMadeInForward,
        "calling.nothing_is_registered",
        "the parameter `first.weight` is made by the first call",
        "make it in __init__, or use a lazy layer",
        LayerMadeLazily,
    ),
    Miniature(
        KeepsItsFeatures,
        "calling.no_tensor_is_left_on_it",
        "`features` keeps a tensor of shape (3, 4) from the last call",
        "or let who wants it register a forward hook",
        ReturnsItsFeatures,
    ),
    Miniature(
        KeepsItsLoss,
        "calling.no_tensor_is_left_on_it",
        "`penalty` keeps the graph of the last call (MeanBackward0)",
        "return it, or keep its detach()",
        ReturnsItsLoss,
    ),
    Miniature(
        CountsInPython,
        "calling.attributes_stay",
        "`calls` is 1 after a call and was 0 before: it is in no checkpoint",
        "make it a buffer",
        CountsInABuffer,
    ),
    Miniature(
        SwitchesForGood,
        "calling.attributes_stay",
        "`first.kind` is 'full' after a call and was 'sparse' before, and `second.kind` likewise: it",
        "make it a buffer",
        SwitchesForACall,
    ),
    Miniature(
        UsesUpItsStart,
        "calling.attributes_stay",
        "`offset` has a plain value before a call, and after it none: it is in no checkpoint",
        "make it a buffer",
        KeepsItsStart,
    ),
    Miniature(
        SeedsInForward,
        "calling.the_process_stays",
        "forward changes the seed of the process from 20 to 3",
        "draw from a torch.Generator of its own",
        Net,
    ),
    Miniature(
        AsksForGradMode,
        "calling.without_gradients",
        "`output` differs in 6 of 6 values",
        "let forward ask self.training, not torch.is_grad_enabled()",
        AsksForMode,
    ),
    Miniature(
        MasksAll,
        "calling.outputs_are_numbers",
        "`output` is NaN in 20 of 60 values, and nothing in this example is",
        "and keep quotients, roots and logarithms from zero and below",
        MasksAllButNotForever,
        sequences_with_masks,
    ),
    Miniature(
        CollectsItsCalls,
        "calling.attributes_stay",
        "`history` is a list that grows with each call, from 1 to 2",
        "let who wants it register a forward hook",
        Net,
    ),
    Miniature(
        NormMadeInForward,
        "calling.no_layer_is_made",
        "forward makes a LayerNorm: in each call its parameters are new",
        "make it in __init__, on self",
        NormMadeBefore,
    ),
    Miniature(
        DropsNoMoreAfterEval,
        "modes.training_goes_on_after_eval",
        "a call in eval mode changes what later calls in train mode compute, and `output` differs in",
        "give it to a local variable, and leave self as it is",
        DropsInTraining,
    ),
    Miniature(
        KeepsMasksInADefault,
        "calling.no_tensor_is_kept_elsewhere",
        "`KeepsMasksInADefault.forward.masks` keeps a tensor that forward uses",
        "or keep it in a buffer with persistent=False",
        KeepsNoMasks,
    ),
    Miniature(
        CountsOnTheClass,
        "calling.attributes_stay",
        "`CountsOnTheClass.calls` is ",
        "make it a buffer",
        Net,
    ),
    Miniature(
        KeepsMasksOnItsClass,
        "calling.no_tensor_is_kept_elsewhere",
        "`KeepsMasksOnItsClass.masks` keeps a tensor that forward uses, for every module and for good",
        "or keep it in a buffer with persistent=False",
        ConstantInItsDtype,
    ),
    Miniature(
        MaskTakenAndNotUsed,
        "calling.every_input_counts",
        "the input `mask` counts for nothing: with other values the outputs are the same",
        "use it in forward, or do not take it",
        Attention,
        padded_sequences,
    ),
    Miniature(
        MaskOverQueries,
        "calling.what_is_masked_does_not_count",
        "what `mask` leaves out of `x` changes the outputs at the other places, and the other way round",
        "in attention, mask the keys, mask[:, None, :]",
        Attention,
        padded_sequences,
    ),
    Miniature(
        RunsThroughPadding,
        "calling.what_is_masked_does_not_count",
        "`rnn` runs backwards through what lies past `lengths` in `x`",
        "and batch_first= as it has it",
        PacksWhatIsThere,
        sequences_with_lengths,
    ),
    Miniature(
        FillsATensorOfItsInputs,
        "calling.under_autocast",
        "under torch.autocast it raises RuntimeError: Index put requires",
        "cast what is put into another tensor to its dtype: out[i] = y.to(out.dtype)",
        FillsATensorInItsDtype,
    ),
    Miniature(
        FillsWithTheLeastOfItsInput,
        "calling.under_autocast",
        "under torch.autocast it raises RuntimeError: value cannot be converted to type",
        "and not the input: torch.finfo(scores.dtype).min",
        FillsWithTheLeastOfItsScores,
        padded_sequences,
    ),
    Miniature(
        HookInEachCall,
        "calling.hooks_do_not_pile_up",
        "each call registers one more hook on `body`",
        "or remove() its handle before forward returns",
        HookOnce,
    ),
    Miniature(
        FlattensByView,
        "calling.in_another_layout",
        "with an input whose channels lie last in memory (torch.channels_last), or transposed, it raises",
        "write reshape or flatten for view",
        Flattens,
        images,
    ),
    Miniature(
        FlattensToTheRest,
        "rows.an_empty_batch",
        "with 0 rows it raises RuntimeError: cannot reshape tensor of 0 elements",
        "write flatten(1) or unflatten(-1, (-1, width)), or the number of columns",
        Flattens,
        images,
    ),
    Miniature(
        SpreadInFloat64,
        "calling.no_float64_comes_out",
        "`output` is float64, and no input and no parameter is: `spread` is float64",
        "make it with dtype=torch.float32, or dtype=x.dtype",
        SpreadInFloat32,
    ),
    Miniature(
        CachesAMethod,
        "calling.nothing_keeps_it",
        "after a call the cache of CachesAMethod.table holds the module",
        "and keep modules by weakref",
        CachesNothing,
    ),
    Miniature(
        ReusesItsOutput,
        "calling.outputs_stay",
        "`output` differs in 6 of 6 values",
        "both lie in `out`; return a new tensor, or clone() what is kept",
        Net,
    ),
    Miniature(
        MarksItsInput,
        "calling.inputs_stay",
        "the input `args[0]` requires a gradient after the call, and did not before",
        "x = x.detach().requires_grad_()",
        Net,
    ),
    Miniature(
        GradModeOfItsMode,
        "calling.the_process_stays",
        "forward in eval mode changes grad mode of the process from True to False",
        "change it in a context, if at all",
        Net,
    ),
    Miniature(
        MergesHeadsWithTime,
        "calling.no_view_mixes_dimensions",
        "forward views (3, 2, 5, 2) as (3, 5, 4) at calling.py:",
        "move dimensions with transpose or permute first, and merge neighbors only",
        MergesHeads,
        sequences,
    ),
    Miniature(
        DropsOfThreeDimensions,
        "calling.torch_has_no_warning",
        "torch warns in a call at calling.py:",
        "or silence it where what it warns of is meant",
        DropsOfTwoDimensions,
        sequences,
    ),
    Miniature(
        MeanOfAllPlaces,
        "calling.more_padding_does_not_count",
        "`output` differs in 6 of 6 values",
        "divide by mask.sum(dim=1), and set places that are left out to zero before a sum or a convolution",
        MeanOfPlacesThatCount,
        masked_steps,
    ),
    Miniature(
        KeepsTheFirstLength,
        "calling.inputs_of_another_length",
        "after a call with 4 places along dimension 1 one with 5 goes wrong, which goes well by itself",
        "make it in each call, or anew where the length is another",
        KeepsTheLastLength,
        sequences,
    ),
]
