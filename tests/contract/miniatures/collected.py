"""Faults that were told in public, of kinds that no rule saw."""

import copy

import torch
from torch import nn

from miniatures import Miniature, Net, rows


def a_row_of_zeros():
    """Three rows of four features, the second of zeros."""
    (x,), _ = rows()
    x[1] = 0
    return (x,), {}


def sequences_with_masks():
    """Three sequences of five steps, the second of padding alone."""
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[1] = False
    return (torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(3)), mask), {}


class TriesKernels(Net):
    """Its constructor lets cuDNN try kernels, in the whole process."""

    def __init__(self):
        super().__init__()
        torch.backends.cudnn.benchmark = True


class LayersOfOneCopy(nn.Module):
    """Its layers are deep copies of one."""

    def __init__(self):
        super().__init__()
        layer = nn.Linear(4, 4)
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(3))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).tanh()
        return x


class LayersOfTheirOwn(LayersOfOneCopy):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))


class WordsOfZeros(nn.Module):
    """The row for padding was to be zero, and the whole embedding is."""

    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(5, 4), nn.Linear(4, 2)
        nn.init.zeros_(self.words.weight[None])

    def forward(self, ids):
        return self.head(self.words(ids).sum(1))


class PaddingOfZeros(WordsOfZeros):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5, 4, padding_idx=0)


class Block(nn.Module):
    """A residual block around a layer that it is given."""

    def __init__(self, inner):
        super().__init__()
        self.body, self.inner = nn.Linear(4, 4), inner

    def forward(self, x):
        return x + self.inner(self.body(x).tanh())


class OneLayerForEveryBlock(nn.Module):
    """Each block is given the same layer."""

    def __init__(self):
        super().__init__()
        inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.blocks = nn.Sequential(*(Block(inner) for _ in range(2)))

    def forward(self, x):
        return self.blocks(x)


class ALayerForEachBlock(OneLayerForEveryBlock):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(*(Block(nn.Linear(4, 4)) for _ in range(2)))


class FreezesWithATypo(Net):
    """It sets an attribute that no one reads."""

    def __init__(self):
        super().__init__()
        for parameter in self.body.parameters():
            parameter.require_grad = False


class FreezesTheModule(Net):
    """It sets on a module what is an attribute of its parameters."""

    def __init__(self):
        super().__init__()
        self.body.requires_grad = False


class Freezes(Net):
    def __init__(self):
        super().__init__()
        self.body.requires_grad_(False)


class Damped(torch.autograd.Function):
    """Negative numbers, damped; its backward forgets the gradient that it is given."""

    @staticmethod
    def forward(ctx, x):
        slope = (1 + x.clamp(max=0) ** 2).rsqrt()
        ctx.save_for_backward(slope)
        return x * slope

    @staticmethod
    def backward(ctx, gradient):
        (slope,) = ctx.saved_tensors
        return slope**3


class DampedRight(Damped):
    @staticmethod
    def backward(ctx, gradient):
        return gradient * Damped.backward(ctx, gradient)


class ForgetsTheGradient(Net):
    """Its own activation ends backward with a gradient of its own."""

    function = Damped

    def forward(self, x):
        return self.head(self.function.apply(self.body(x)))


class PassesTheGradientOn(ForgetsTheGradient):
    function = DampedRight


class RootOfZero(nn.Module):
    """It divides by a norm, and adds eps after the root."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 4, bias=False)

    def forward(self, x):
        x = self.body(x)
        return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


class RootOfMoreThanZero(RootOfZero):
    def forward(self, x):
        x = self.body(x)
        return x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt()


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


class KeepsATableOfInferenceMode(Net):
    """Its table is made by the first call, whatever the mode."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.ones(0), persistent=False)

    def forward(self, x):
        if len(self.table) < 4 or self.table.dtype != x.dtype:
            self.table = torch.arange(1, 5, device=x.device).to(x.dtype)
        return self.head(self.body(x) * self.table)


class KeepsATableOfItsOwn(KeepsATableOfInferenceMode):
    def forward(self, x):
        return self.head(self.body(x) * torch.arange(1, 5, device=x.device).to(x.dtype))


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


class CollectsItsCalls(Net):
    """It keeps a number of every call."""

    def __init__(self):
        super().__init__()
        self.history = [0.0]

    def forward(self, x):
        self.history.append(float(len(self.history)))
        return super().forward(x)


class GateTimesANumber(Net):
    """Its parameter is made smaller before it is assigned, and so is no parameter."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.rand(4)) * 0.1

    def forward(self, x):
        return super().forward(x * self.gate)


class GateThatIsAParameter(GateTimesANumber):
    def __init__(self):
        Net.__init__(self)
        self.gate = nn.Parameter(torch.rand(4) * 0.1)


class HookThatFillsADict(Net):
    """A hook fills a dict of the module, which a copy of the hook does not know."""

    def __init__(self):
        super().__init__()
        kept = self.kept = {}

        def keep(module, args, output):
            kept["body"] = output

        self.body.register_forward_hook(keep)

    def forward(self, x):
        y = super().forward(x)
        return y + self.kept.pop("body").sum(1, keepdim=True)


class CallsItsBody(Net):
    def forward(self, x):
        y = self.body(x)
        return self.head(y.relu()) + y.sum(1, keepdim=True)


class Scale(nn.Module):
    """A layer that equals any other of its size."""

    def __init__(self, size):
        super().__init__()
        self.size, self.scale = size, nn.Parameter(torch.rand(size))

    def __eq__(self, other):
        return isinstance(other, Scale) and self.size == other.size

    def __hash__(self):
        return hash(self.size)

    def forward(self, x):
        return x * self.scale


class ScaleOfItsOwn(Scale):
    __eq__, __hash__ = nn.Module.__eq__, nn.Module.__hash__


class EqualLayers(nn.Module):
    """Two of its layers are equal, and walks come to one of them only."""

    kind = Scale

    def __init__(self):
        super().__init__()
        self.first, self.second = self.kind(4), self.kind(4)

    def forward(self, x):
        return self.second(self.first(x))


class UnequalLayers(EqualLayers):
    kind = ScaleOfItsOwn


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


class RenamesWithoutItsPlace(Net):
    """A hook renames a key, and forgets that of the whole before it."""

    def __init__(self):
        super().__init__()
        self.register_state_dict_post_hook(self.rename)
        self.register_load_state_dict_pre_hook(self.name_back)

    @staticmethod
    def rename(module, state, prefix, local):
        if "head.weight" in state:
            state["table"] = state.pop("head.weight")

    @staticmethod
    def name_back(module, state, prefix, *rest):
        if "table" in state:
            state["head.weight"] = state.pop("table")


class RenamesAtItsPlace(RenamesWithoutItsPlace):
    @staticmethod
    def rename(module, state, prefix, local):
        state[f"{prefix}table"] = state.pop(f"{prefix}head.weight")

    @staticmethod
    def name_back(module, state, prefix, *rest):
        if f"{prefix}table" in state:
            state[f"{prefix}head.weight"] = state.pop(f"{prefix}table")


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


def numbers():
    """Three rows of two words."""
    return (torch.tensor([[1, 2], [3, 0], [4, 4]]),), {}


MINIATURES = [
    Miniature(
        TriesKernels,
        "building.building_leaves_the_process",
        "its constructor changes torch.backends.cudnn.benchmark of the process from False to True",
        "change it in a context, if at all",
        Net,
    ),
    Miniature(
        LayersOfOneCopy,
        "building.weights_start_apart",
        "`layers.0`, `layers.1`, `layers.2` start with the same random numbers",
        "or give them numbers of their own afterwards",
        LayersOfTheirOwn,
    ),
    Miniature(
        WordsOfZeros,
        "building.weights_start_apart",
        "`words` is an embedding of zeros alone",
        "or give the layer padding_idx",
        PaddingOfZeros,
        numbers,
    ),
    Miniature(
        OneLayerForEveryBlock,
        "names.a_container_holds_each_part_once",
        "`blocks.0.inner`, `blocks.1.inner` are one module, with one set of parameters, that was made once",
        "make one for each, unless that is meant",
        ALayerForEachBlock,
    ),
    Miniature(
        FreezesWithATypo,
        "gradients.what_is_frozen_is_not_trained",
        "`body.weight`, `body.bias` have require_grad = False and are trained all the same",
        "or call requires_grad_(False)",
        Freezes,
    ),
    Miniature(
        FreezesTheModule,
        "gradients.what_is_frozen_is_not_trained",
        "`body` has requires_grad = False, which is a plain attribute of a module: its 2 parameters are",
        "call requires_grad_(False) on it",
        Freezes,
    ),
    Miniature(
        ForgetsTheGradient,
        "gradients.backward_is_linear",
        "the gradient of `body.weight` differs in 16 of 16 values",
        "multiply by that gradient, grad * ...",
        PassesTheGradientOn,
    ),
    Miniature(
        RootOfZero,
        "gradients.a_row_of_zeros",
        "if a row of the inputs is zero, the outputs are numbers, and the gradients of `body.weight` are NaN",
        "mind that torch.where does not hide the branch not taken",
        RootOfMoreThanZero,
    ),
    Miniature(
        RootOfZero,
        "gradients.gradients_are_numbers",
        "with this example the outputs are numbers, and the gradients of `body.weight` are NaN",
        "mind that torch.where does not hide the branch not taken",
        RootOfMoreThanZero,
        a_row_of_zeros,
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
        KeepsATableOfInferenceMode,
        "gradients.after_inference_mode",
        "after a call under torch.inference_mode() a step of training raises RuntimeError: Inference tensors",
        "or under torch.inference_mode(False)",
        KeepsATableOfItsOwn,
    ),
    Miniature(
        FrozenUntilTrain,
        "modes.frozen_norms_stay",
        "`stem.1` has a weight that requires no gradient",
        "or build it with track_running_stats=False",
        FrozenInEveryMode,
    ),
    Miniature(
        CollectsItsCalls,
        "calling.attributes_stay",
        "`history` is a list that grows with each call, from 1 to 2",
        "let who wants it register a forward hook",
        Net,
    ),
    Miniature(
        GateTimesANumber,
        "registration.plain_attributes",
        "`gate` is computed from a parameter that is registered nowhere",
        "as the last thing that is done",
        GateThatIsAParameter,
    ),
    Miniature(
        HookThatFillsADict,
        "registration.closures",
        "`body._forward_hooks` has a hook that holds `kept` of the module",
        "let forward call the part and use what it returns",
        CallsItsBody,
    ),
    Miniature(
        EqualLayers,
        "building.modules_are_told_apart",
        "`second` equals `first` by the __eq__ of Scale",
        "and leave __eq__ and __hash__ as they are",
        UnequalLayers,
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
        RenamesWithoutItsPlace,
        "names.its_keys_follow_its_place",
        "inside another module the state dict has",
        "pass destination, prefix and keep_vars on",
        RenamesAtItsPlace,
    ),
    Miniature(
        FollowsItsInputs,
        "modes.eval_is_deterministic",
        "two equal calls in eval mode differ, since each changes `mean`",
        "change it only if self.training",
        FollowsInTraining,
    ),
]
