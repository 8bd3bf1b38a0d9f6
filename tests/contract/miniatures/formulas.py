"""Formulas that break for some numbers, losses of another kind of numbers, and what grows, stays or is "
"cut."""

import torch
from torch import nn
from torch.nn import functional as F

from miniatures import Miniature, Net, rows, sequences


def rows_and_numbers():
    """Three rows of four features, and a number for each."""
    return (rows()[0][0], torch.tensor([0.5, -1.0, 2.0])), {}


def rows_and_shares():
    """Three rows of four features, and shares of two classes for each."""
    return (rows()[0][0], torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])), {}


def rows_and_classes():
    """Three rows of four features, and the class of each."""
    return (rows()[0][0], torch.tensor([0, 1, 1])), {}


def signals():
    """Three signals of two channels and eight places."""
    return (torch.rand(3, 2, 8, generator=torch.Generator().manual_seed(3)),), {}


def masked():
    """Three sequences of five steps, with a mask of ones."""
    return (sequences()[0][0], torch.ones(3, 5, dtype=torch.bool)), {}


class TakesProbabilities(Net):
    """The divergence takes the logarithms of what it is given here."""

    def forward(self, x, target):
        return F.kl_div(super().forward(x).softmax(dim=-1), target, reduction="batchmean")


class TakesLogProbabilities(Net):
    def forward(self, x, target):
        return F.kl_div(super().forward(x).log_softmax(dim=-1), target, reduction="batchmean")


class TakesTheSoftmaxTwice(Net):
    def forward(self, x, target):
        return F.cross_entropy(super().forward(x).softmax(dim=-1), target)


class TakesTheSoftmaxOnce(Net):
    def forward(self, x, target):
        return F.cross_entropy(super().forward(x), target)


class TakesTheSigmoidTwice(Net):
    def forward(self, x, target):
        return F.binary_cross_entropy_with_logits(super().forward(x).sigmoid(), target)


class TakesTheSigmoidOnce(Net):
    def forward(self, x, target):
        return F.binary_cross_entropy_with_logits(super().forward(x), target)


class ComparesAllWithAll(nn.Module):
    """A column less a row."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 1)

    def forward(self, x, target):
        return (self.head(x) - target).square().mean()


class ComparesInPairs(ComparesAllWithAll):
    def forward(self, x, target):
        return (self.head(x).squeeze(-1) - target).square().mean()


class Layer(nn.Module):
    """A linear layer, and what is made of it."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)

    def forward(self, x):
        return self.made(self.lin(x))


class LogOfSoftmax(Layer):
    def made(self, x):
        return x.softmax(dim=-1).log()


class LogSoftmax(Layer):
    def made(self, x):
        return x.log_softmax(dim=-1)


class LogOfOnePlusExp(Layer):
    def made(self, x):
        return torch.log(1 + x.exp())


class Softplus(Layer):
    def made(self, x):
        return F.softplus(x)


class SoftmaxByHand(Layer):
    def made(self, x):
        shares = (x + 1).exp()
        return shares / shares.sum(dim=-1, keepdim=True)


class SoftmaxOfTorch(Layer):
    def made(self, x):
        return x.softmax(dim=-1)


class ShiftedByHand(Layer):
    """Less the largest, which is safe."""

    def made(self, x):
        shares = (x - x.amax(dim=-1, keepdim=True)).exp()
        return shares / shares.sum(dim=-1, keepdim=True)


class Angles(Layer):
    """The angles between all steps of a sequence, each with itself among them."""

    def made(self, x):
        x = F.normalize(x, dim=-1)
        return self.angle(x @ x.transpose(-2, -1))


class AnglesToOne(Angles):
    def angle(self, cosine):
        return torch.acos(cosine.clamp(-1, 1))


class AnglesNearlyToOne(Angles):
    def angle(self, cosine):
        return torch.acos(cosine.clamp(-1 + 1e-4, 1 - 1e-4))


class ScalesByTheFirst(Layer):
    """The scale of the first inputs of a shape."""

    def __init__(self):
        super().__init__()
        self.scales = {}

    def forward(self, x):
        if x.shape not in self.scales:
            self.scales[x.shape] = float(x.abs().max())
        return self.lin(x / self.scales[x.shape])


class ScalesByEach(Layer):
    def forward(self, x):
        return self.lin(x / x.abs().amax(dim=-1, keepdim=True))


class Queues(Layer):
    def __init__(self):
        super().__init__()
        self.register_buffer("queue", torch.zeros(self.start, 4))

    def made(self, x):
        if self.training:
            self.queue = self.queued(x.detach())
        return x


class QueuesWithoutEnd(Queues):
    start = 0

    def queued(self, x):
        return torch.cat([self.queue, x])


class QueuesToAnEnd(Queues):
    start = 8

    def queued(self, x):
        return torch.cat([x, self.queue])[: self.start]


class Doubles(nn.Module):
    """Half as long by a stride, and twice as long again."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv1d(2, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose1d(4, 2, 2, stride=2)

    def forward(self, x):
        return x + self.fitted(self.up(self.down(x).relu()), x.shape[-1])


class DoublesAlone(Doubles):
    def fitted(self, x, length):
        return x


class DoublesAndCuts(Doubles):
    def fitted(self, x, length):
        return x[..., :length]


class DropsNothing(nn.Module):
    """The dropout of a recurrent layer is between layers, of which there is one."""

    dropout = 0.5

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 3, dropout=self.dropout, batch_first=True)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.lstm(x)[0])


class DropsAfterwards(DropsNothing):
    dropout = 0.0


class RenewsOnReset(nn.Module):
    def __init__(self):
        super().__init__()
        self.reset_parameters()

    def reset_parameters(self):
        self.weight = nn.Parameter(torch.rand(4, 4))

    def forward(self, x):
        return x @ self.weight


class FillsOnReset(RenewsOnReset):
    def __init__(self):
        nn.Module.__init__(self)
        self.weight = nn.Parameter(torch.empty(4, 4))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.uniform_(self.weight)


class KeptOnTheClass(torch.autograd.Function):
    """The square of a number, which backward finds on the class."""

    @staticmethod
    def forward(ctx, x):
        KeptOnTheClass.x = x
        return x * x

    @staticmethod
    def backward(ctx, grad):
        return 2 * KeptOnTheClass.x * grad


class KeptOnTheContext(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        return 2 * ctx.saved_tensors[0] * grad


class SquaresOfTheLast(Layer):
    def made(self, x):
        return KeptOnTheClass.apply(x)


class SquaresOfEach(Layer):
    def made(self, x):
        return KeptOnTheContext.apply(x)


class StartsAlike(Net):
    """All units of the first layer compute the same."""

    def __init__(self):
        super().__init__()
        for layer in (self.body, self.head):
            nn.init.constant_(layer.weight, 0.1)
            nn.init.zeros_(layer.bias)


class StartsApart(StartsAlike):
    def __init__(self):
        super().__init__()
        for layer in (self.body, self.head):
            nn.init.xavier_uniform_(layer.weight)


class Steps(nn.Module):
    """A recurrent cell, step by step."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(4, 3)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], 3)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], self.passed(h))
        return h


class CutsBetweenSteps(Steps):
    def passed(self, h):
        return h.detach()


class PassesBetweenSteps(Steps):
    def passed(self, h):
        return h


class HasATemperature(Layer):
    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(self.start))

    def made(self, x):
        return x / self.temperature.clamp(min=0.1)


class StartsBelowItsBound(HasATemperature):
    start = 0.07


class StartsAboveItsBound(HasATemperature):
    start = 0.7


class Attends(nn.Module):
    """Attention of one head."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x, mask):
        return F.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x), attn_mask=self.laid(mask, x))


class AddsItsMask(Attends):
    def laid(self, mask, x):
        return mask[:, None, :].to(x.dtype)


class TakesTheFirstMask(Attends):
    def laid(self, mask, x):
        return mask[0].expand(x.shape[1], -1)


class TakesItsMask(Attends):
    def laid(self, mask, x):
        return mask[:, None, :]


class AlongTheQueries(Attends):
    dim = 1

    def forward(self, x, mask):
        scores = self.q(x) @ self.k(x).transpose(1, 2) / 2
        scores = scores.masked_fill(~mask[:, None, :], torch.finfo(scores.dtype).min)
        return scores.softmax(dim=self.dim) @ self.v(x)


class AlongTheKeys(AlongTheQueries):
    dim = 2


class Unpacks(nn.Module):
    """A recurrent layer of packed sequences."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 4, batch_first=True)

    def forward(self, x, mask):
        pack, unpack = nn.utils.rnn.pack_padded_sequence, nn.utils.rnn.pad_packed_sequence
        packed = pack(x, mask.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False)
        out, _ = unpack(self.gru(packed)[0], batch_first=True, **self.length(x))
        return out * mask.unsqueeze(-1)


class UnpacksTheLongest(Unpacks):
    def length(self, x):
        return {}


class UnpacksAll(Unpacks):
    def length(self, x):
        return {"total_length": x.shape[1]}


class SavesTurned(nn.Module):
    """A weight that is saved in another layout than it is loaded in."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, 4))

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight"] = destination[prefix + "weight"].t()

    def forward(self, x):
        return x @ self.weight


class TurnsBack(SavesTurned):
    def _load_from_state_dict(self, state_dict, prefix, *args):
        if prefix + "weight" in state_dict:
            state_dict[prefix + "weight"] = state_dict[prefix + "weight"].t()
        super()._load_from_state_dict(state_dict, prefix, *args)


class RenamesInPlace(Net):
    """A load that renames the keys of the dict that it is given."""

    def load_state_dict(self, state_dict, *args, **kwargs):
        for name in list(state_dict):
            state_dict[name.removeprefix("module.")] = state_dict.pop(name)
        return super().load_state_dict(state_dict, *args, **kwargs)


class RenamesInACopy(Net):
    def load_state_dict(self, state_dict, *args, **kwargs):
        renamed = {name.removeprefix("module."): value for name, value in state_dict.items()}
        return super().load_state_dict(renamed, *args, **kwargs)


class LaysStrides(nn.Module):
    """Pairs of steps, by the strides of one layout."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(8, 2)

    def forward(self, x):
        return self.lin(self.pairs(x))

    def pairs(self, x):
        n, t, d = x.shape
        return x.as_strided((n, t - 1, 2 * d), (t * d, d, 1))


class PutsStepsTogether(LaysStrides):
    def pairs(self, x):
        return torch.cat([x[:, :-1], x[:, 1:]], dim=-1)


class HooksAll(Net):
    def __init__(self):
        super().__init__()
        nn.modules.module.register_module_forward_hook(silent)


class HooksItself(Net):
    def __init__(self):
        super().__init__()
        self.register_forward_hook(silent)


def silent(module, args, output):
    """Look at an output, and leave it."""


class RootOfAMean(Layer):
    """A root of what may be negative."""

    def made(self, x):
        return (self.kept(x).mean(dim=-1, keepdim=True)).pow(1 / 3) * x


class RootOfANegativeMean(RootOfAMean):
    def kept(self, x):
        return -x.square()


class RootOfAPositiveMean(RootOfAMean):
    def kept(self, x):
        return x.square() + 1e-6


_KIND, _FORMULA = "calling.losses_are_given_their_kind", "calling.formulas_hold_everywhere"
_PADDING = "calling.more_padding_does_not_count"

MINIATURES = [
    Miniature(
        TakesProbabilities,
        _KIND,
        "F.kl_div is given 0.",
        "give it F.log_softmax(x, dim)",
        TakesLogProbabilities,
        rows_and_shares,
    ),
    Miniature(
        TakesTheSoftmaxTwice,
        _KIND,
        "F.cross_entropy is given probabilities at formulas.py:",
        "give it the scores before the softmax",
        TakesTheSoftmaxOnce,
        rows_and_classes,
    ),
    Miniature(
        TakesTheSigmoidTwice,
        _KIND,
        "F.binary_cross_entropy_with_logits is given what sigmoid returns at formulas.py:",
        "give it the scores before sigmoid",
        TakesTheSigmoidOnce,
        rows_and_shares,
    ),
    Miniature(
        ComparesAllWithAll,
        _KIND,
        "forward takes each of 3 numbers of shape (3, 1) from each of 3 of shape (3,) at formulas.py:",
        "squeeze(-1) the first",
        ComparesInPairs,
        rows_and_numbers,
    ),
    Miniature(
        LogOfSoftmax,
        _FORMULA,
        "forward takes log of what softmax returns at formulas.py:",
        "take F.log_softmax(x, dim) of the same scores",
        LogSoftmax,
    ),
    Miniature(
        LogOfOnePlusExp,
        _FORMULA,
        "forward takes the logarithm of 1 + exp(x) at formulas.py:",
        "take F.softplus(x)",
        Softplus,
    ),
    Miniature(
        SoftmaxByHand,
        _FORMULA,
        "forward divides exp(x) by its sum at formulas.py:",
        "take torch.softmax(x, dim)",
        SoftmaxOfTorch,
    ),
    Miniature(
        SoftmaxByHand,
        _FORMULA,
        "forward divides exp(x) by its sum at formulas.py:",
        "take torch.softmax(x, dim)",
        ShiftedByHand,
    ),
    Miniature(
        AnglesToOne,
        _FORMULA,
        "forward takes acos of 1 at formulas.py:",
        "or take torch.atan2 of a sine and a cosine",
        AnglesNearlyToOne,
        sequences,
    ),
    Miniature(
        ScalesByTheFirst,
        "calling.a_call_computes_anew",
        "`output` differs in 12 of 12 values",
        "compute what hangs on them in each call",
        ScalesByEach,
    ),
    Miniature(
        QueuesWithoutEnd,
        "calling.buffers_do_not_grow",
        "the buffer `queue` has the shape (3, 4) after one call in train mode, (6, 4) after two",
        "and write over what is oldest",
        QueuesToAnEnd,
    ),
    Miniature(
        DoublesAlone,
        "calling.lengths_in_between",
        "inputs of 8 and of 6 places along dimension 2 are taken, and with 7 it raises RuntimeError",
        "or refuse such inputs with an error that says so",
        DoublesAndCuts,
        signals,
    ),
    Miniature(
        DropsNothing,
        "building.torch_has_no_warning",
        "torch warns when the module is built at formulas.py:",
        "or silence it where what it warns of is meant",
        DropsAfterwards,
        sequences,
    ),
    Miniature(
        RenewsOnReset,
        "building.reset_keeps_the_parameters",
        "after reset_parameters() of `self` `weight` is not the Parameter that it was",
        "and fill them in reset_parameters, as nn.init.normal_ does",
        FillsOnReset,
    ),
    Miniature(
        SquaresOfTheLast,
        "gradients.each_call_has_its_own",
        "the gradient of `lin.weight` differs in 16 of 16 values",
        "keep what backward needs on ctx, with ctx.save_for_backward(...)",
        SquaresOfEach,
    ),
    Miniature(
        StartsAlike,
        "gradients.units_start_apart",
        "the rows of `body.weight` are all alike, and so are their gradients",
        "and biases alone with a constant",
        StartsApart,
    ),
    Miniature(
        CutsBetweenSteps,
        "gradients.every_step_gets_a_gradient",
        "the outputs move with 4 of the 5 steps of a sequence that no gradient of theirs reaches",
        "if truncating is not meant",
        PassesBetweenSteps,
        sequences,
    ),
    Miniature(
        StartsBelowItsBound,
        "gradients.gradients_are_not_zero",
        "the gradient of `temperature` is zero: forward takes clamp of it at formulas.py:",
        "or take exp() or F.softplus() of a free number instead",
        StartsAboveItsBound,
    ),
    Miniature(
        AddsItsMask,
        _PADDING,
        "`output` differs in 60 of 60 values",
        "give it truth values, mask.bool()",
        TakesItsMask,
        masked,
    ),
    Miniature(
        AlongTheQueries,
        _PADDING,
        "`output` differs in 60 of 60 values",
        "take both along the keys, dim=-1",
        AlongTheKeys,
        masked,
    ),
    Miniature(
        UnpacksTheLongest,
        _PADDING,
        "with one more place in every row, which the mask leaves out, it raises RuntimeError: The size of",
        "or the number of places of what its output meets",
        UnpacksAll,
        masked,
    ),
    Miniature(
        TakesTheFirstMask,
        "rows.rows_are_independent",
        "`output[1:]` differs in 40 of 40 values",
        "leave it its rows, mask[:, None], where it takes mask[0]",
        TakesItsMask,
        masked,
    ),
    Miniature(
        SavesTurned,
        "loading.a_fresh_build_takes_the_state",
        "`weight` differs in ",
        "or let _save_to_state_dict save them as they are",
        TurnsBack,
    ),
    Miniature(
        RenamesInPlace,
        "loading.the_state_dict_stays",
        "load_state_dict writes to the dict that it is given at formulas.py:",
        "let it read the dict, or work on a copy",
        RenamesInACopy,
    ),
    Miniature(
        LaysStrides,
        "calling.in_another_layout",
        "`output` differs in 24 of 24 values",
        "or slices and torch.cat, or x.contiguous() first",
        PutsStepsTogether,
        sequences,
    ),
    Miniature(
        HooksAll,
        "building.building_leaves_the_process",
        "its constructor changes the number of hooks on all modules of the process from ",
        "and leave register_module_forward_hook and its like to the program",
        HooksItself,
    ),
    Miniature(
        RootOfANegativeMean,
        "calling.outputs_are_numbers",
        "`output` is NaN in 12 of 12 values, and nothing in this example is: the first NaN is what pow gives",
        "and keep quotients, roots and logarithms from zero and below",
        RootOfAPositiveMean,
    ),
]
