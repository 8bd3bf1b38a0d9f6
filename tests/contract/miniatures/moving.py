"""Casts and moves that leave something behind, and forward that does not follow."""

import functools
from typing import ClassVar

import torch
from torch import nn

from miniatures import Miniature, numbers, sequences
from miniatures import Net as Plain


class Net(nn.Module):
    """A linear layer and a table: what the miniatures of this file have in common."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("table", torch.arange(4.0))

    def forward(self, x):
        return self.inner(x) + self.table


class TableKeptInFloat32(Net):
    """It overrides _apply to keep its table in float32."""

    def _apply(self, fn, *args, **kwargs):
        super()._apply(fn, *args, **kwargs)
        self.table = self.table.float()
        return self


class OutputCastToFloat32(Net):
    """It casts its output to float32, whatever it computes in."""

    def forward(self, x):
        return super().forward(x).float()


class EyeOfDefaultDtype(Net):
    """It makes a tensor in the default dtype, which does not go with float64."""

    def forward(self, x):
        return super().forward(x @ torch.eye(4, device=x.device))


class EyeOfItsInput(Net):
    def forward(self, x):
        return super().forward(x @ torch.eye(4, device=x.device, dtype=x.dtype))


class WeighsInFloat32(Net):
    """Its softmax is computed in float32, and stays so."""

    def forward(self, x):
        return super().forward(x.softmax(-1, dtype=torch.float32))


class WeighsInFloat32AndBack(Net):
    def forward(self, x):
        return super().forward(x.softmax(-1, dtype=torch.float32).to(x.dtype))


class TableMadeAnewOnTheCPU(Net):
    """It overrides _apply to make its table anew, on the CPU."""

    def _apply(self, fn, *args, **kwargs):
        super()._apply(fn, *args, **kwargs)
        self.table = torch.arange(4.0, dtype=self.table.dtype)
        return self


class PositionsOnTheCPU(nn.Module):
    """It makes positions without saying on which device."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(5, 3), nn.Embedding(4, 3)

    def forward(self, tokens):
        return self.words(tokens) + self.places(torch.arange(tokens.shape[1]))


class PositionsWhereItsInputIs(PositionsOnTheCPU):
    def forward(self, tokens):
        return self.words(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))


class NewParametersWhenCast(Net):
    """It makes new parameters when it is cast, which no optimizer knows."""

    def _apply(self, fn, *args, **kwargs):
        super()._apply(fn, *args, **kwargs)
        self.inner.weight = nn.Parameter(self.inner.weight.detach())
        return self


class SkipsWhatIsFrozen(Net):
    """Forward leaves a layer away if its weight requires no gradient."""

    def forward(self, x):
        return super().forward(x) if self.inner.weight.requires_grad else x + self.table


class WeightPutAside(Net):
    """Forward uses a weight that __init__ put into a list, whatever becomes of the layer."""

    def __init__(self):
        super().__init__()
        self.weights = [self.inner.weight]

    def forward(self, x):
        return nn.functional.linear(x, self.weights[0], self.inner.bias) + self.table


class AsksItsParameters(Net):
    """Forward asks the first of its parameters for a dtype; a replica of DataParallel has none."""

    def forward(self, x):
        return super().forward(x.to(next(self.parameters()).dtype))


class AsksItsWeight(Net):
    def forward(self, x):
        return super().forward(x.to(self.inner.weight.dtype))


class TurnsByComplexNumbers(Plain):
    """Its rotation is a buffer of complex numbers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("turn", torch.polar(torch.ones(2), torch.tensor([0.5, 1.5])), persistent=False)

    def forward(self, x):
        turned = torch.view_as_complex(x.float().reshape(-1, 2, 2)) * self.turn
        return super().forward(torch.view_as_real(turned).reshape(-1, 4).to(x.dtype))


class TurnsByAngles(Plain):
    def __init__(self):
        super().__init__()
        self.register_buffer("angles", torch.tensor([0.5, 1.5]), persistent=False)

    def forward(self, x):
        cosine, sine = self.angles.cos(), self.angles.sin()
        first, second = x.reshape(-1, 2, 2).unbind(2)
        turned = torch.stack([first * cosine - second * sine, first * sine + second * cosine], 2)
        return super().forward(turned.reshape(-1, 4))


class MaskOfALargeNumber(Plain):
    """It masks with a number that float16 cannot hold."""

    masked: ClassVar = -1e8

    def forward(self, x):
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        weights = (x @ x.transpose(1, 2)).masked_fill(later, self.masked).softmax(-1)
        return super().forward(weights @ x)


class MaskOfInfinity(MaskOfALargeNumber):
    masked = -torch.inf


class Token:
    """What a cache knows an instance by; each copy has its own."""

    dtype = torch.float32


@functools.cache
def table_for(token, device):
    """A table that is kept for a module and a device, in the dtype of the first call."""
    return torch.eye(4, dtype=token.dtype, device=device)


class MaskOfTheFirstDtype(Plain):
    """A table outside of the module keeps the dtype of the first call."""

    def __init__(self):
        super().__init__()
        self.token = Token()

    def forward(self, x):
        self.token.dtype = x.dtype
        return super().forward(x @ table_for(self.token, x.device))


class MaskOfEachDtype(MaskOfTheFirstDtype):
    def forward(self, x):
        return Plain.forward(self, x @ torch.eye(4, dtype=x.dtype, device=x.device))


class ConstantInFloat32(Plain):
    """A constant is made in float64 for float64, and in float32 for any other dtype."""

    def forward(self, x):
        dtype = x.dtype if x.dtype == torch.float64 else torch.float32
        return super().forward(x @ torch.eye(4, dtype=dtype, device=x.device))


class ConstantInItsDtype(Plain):
    def forward(self, x):
        return super().forward(x @ torch.eye(4, dtype=x.dtype, device=x.device))


class MovesInTo(Plain):
    """Its to() takes a table along, which to() of a whole does not call."""

    def __init__(self):
        super().__init__()
        self.table = torch.arange(4.0)

    def to(self, *args, **kwargs):
        super().to(*args, **kwargs)
        self.table = self.table.to(*args, **kwargs)
        return self


class MovesInApply(MovesInTo):
    to = nn.Module.to

    def _apply(self, fn, *args, **kwargs):
        super()._apply(fn, *args, **kwargs)
        self.table = fn(self.table)
        return self


class MovesItsBodyOnly(Plain):
    """Its cuda() moves what its author thought of."""

    def cuda(self, device=None):
        self.body.cuda(device)
        return self


class MovesAllAndSaysSo(Plain):
    def cuda(self, device=None):
        return super().cuda(device)


def long_sequences():
    """Two sequences of sixty steps."""
    return (torch.rand(2, 60, 4, generator=torch.Generator().manual_seed(3)),), {}


class AnglesInItsDtype(Plain):
    """It computes angles in the dtype of its rates, which a cast changes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("rates", torch.tensor([1.0, 0.01]), persistent=False)

    def angles(self, places):
        return torch.outer(places.to(self.rates.dtype), self.rates)

    def forward(self, x):
        angles = self.angles(torch.arange(x.shape[1], device=x.device))
        return super().forward(x * torch.cat([angles.cos(), angles.sin()], -1).to(x.dtype))


class AnglesInFloat32(AnglesInItsDtype):
    def angles(self, places):
        return torch.outer(places.float(), torch.tensor([1.0, 0.01], device=places.device))


class EpsTooSmallForHalf(Plain):
    """It adds an eps to a norm that float16 cannot hold."""

    def least(self, dtype):
        return 1e-12

    def forward(self, x):
        return super().forward(x / (x.norm(dim=-1, keepdim=True) + self.least(x.dtype)))


class EpsOfItsDtype(EpsTooSmallForHalf):
    def least(self, dtype):
        return torch.finfo(dtype).eps


class ReturnsOnTheCPU(Plain):
    """It brings its output to the CPU, wherever it is."""

    def forward(self, x):
        return super().forward(x).to("cpu")


class ListsItsLayers(nn.Module):
    """Its layers are registered, and forward takes them from a tuple of its own: a new head is not used."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.layers = (self.body, self.head)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class NamesItsLayers(ListsItsLayers):
    def forward(self, x):
        return self.head(self.body(x))


class SumsInHalf(nn.Module):
    """It sums what float16 cannot hold, and divides by that."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 2)

    def share(self, x):
        return x / (1e8 * x.abs()).sum(-1, keepdim=True).add(1) * 1e8

    def forward(self, x):
        return self.share(self.inner(x))


class SharesInHalf(SumsInHalf):
    def share(self, x):
        return x / x.abs().sum(-1, keepdim=True).add(1e-3)


class BuffersInAList(nn.Module):
    """It keeps its buffers in a list too, and forward takes them from there."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("anchor", torch.ones(4))
        self.put_aside()

    def put_aside(self):
        self.anchors = [self.anchor]

    def forward(self, x):
        return self.inner(x) * self.anchors[0].to(x)


class BuffersByName(BuffersInAList):
    def put_aside(self):
        self.names = ("anchor",)

    def forward(self, x):
        return self.inner(x) * getattr(self, self.names[0])


MINIATURES = [
    Miniature(
        ListsItsLayers,
        "replacing.another_part",
        "`body` is called after another module was put in its place",
        "and keep them nowhere else",
        NamesItsLayers,
    ),
    Miniature(
        TableKeptInFloat32,
        "moving.a_cast_reaches_all",
        "`table` is torch.float32 after the cast to torch.float64",
        "which it does unless it is overridden",
        Net,
    ),
    Miniature(
        OutputCastToFloat32,
        "moving.computing_in_float64",
        "`output` is torch.float32 though parameters and inputs are torch.float64",
        "take the dtype from the inputs: x.to(y.dtype) for .float()",
        Net,
    ),
    Miniature(
        EyeOfDefaultDtype,
        "moving.computing_in_float64",
        "with parameters and inputs in torch.float64 it raises RuntimeError: ",
        "forward calls torch.eye without dtype=: give it dtype=x.dtype",
        EyeOfItsInput,
    ),
    Miniature(
        WeighsInFloat32,
        "moving.computing_in_float64",
        "with parameters and inputs in torch.float64 it raises RuntimeError: ",
        "forward calls softmax with dtype=torch.float32: write .to(x.dtype) behind it",
        WeighsInFloat32AndBack,
    ),
    Miniature(
        TableMadeAnewOnTheCPU,
        "moving.to_meta_and_back",
        "`table` is on cpu after the move to meta",
        "which it does unless it is overridden",
        Net,
    ),
    Miniature(
        PositionsOnTheCPU,
        "moving.computing_on_meta",
        "on another device forward calls embedding with tensors on meta and on cpu at moving.py:",
        "forward calls torch.arange without device=: give it device=x.device",
        PositionsWhereItsInputIs,
        numbers,
    ),
    Miniature(
        NewParametersWhenCast,
        "moving.a_cast_keeps_the_parameters",
        "`inner.weight` is another Parameter after double(): an optimizer goes on with the old",
        "or copy_ into it under no_grad()",
        Net,
    ),
    Miniature(
        SkipsWhatIsFrozen,
        "replacing.its_own_state",
        "`output` differs in 12 of 12 values",
        "and ask neither for requires_grad nor for what they are",
        Net,
    ),
    Miniature(
        WeightPutAside,
        "replacing.the_state_of_another",
        "called with the state of another build by torch.func.functional_call it does not compute what that "
        "build "
        "does: `output` differs in 12 of 12 values",
        "look each up on self, in forward",
        Net,
    ),
    Miniature(
        AsksItsParameters,
        "replacing.a_replica",
        "a replica, which has no parameters, raises StopIteration: without a text at moving.py:",
        "or from an attribute such as self.weight",
        AsksItsWeight,
    ),
    Miniature(
        TurnsByComplexNumbers,
        "moving.complex_numbers_stay",
        "`turn` has complex numbers, of which to(torch.bfloat16) keeps the real parts only",
        "or make them in forward",
        TurnsByAngles,
    ),
    Miniature(
        MaskOfALargeNumber,
        "moving.computing_in_float16",
        "with parameters and inputs in torch.float16 it raises RuntimeError: value cannot be converted",
        "use torch.finfo(x.dtype).min, or -torch.inf",
        MaskOfInfinity,
        sequences,
    ),
    Miniature(
        MaskOfTheFirstDtype,
        "moving.a_cast_after_a_call",
        "after a call and a cast, with parameters and inputs in torch.float64 it raises RuntimeError",
        "or ask for the dtype before it is used again",
        MaskOfEachDtype,
    ),
    Miniature(
        ConstantInFloat32,
        "moving.computing_in_bfloat16",
        "with parameters and inputs in torch.bfloat16 it raises RuntimeError",
        "give it dtype=x.dtype",
        ConstantInItsDtype,
    ),
    Miniature(
        MovesInTo,
        "moving.as_a_part",
        "`table` is on cpu after the move of a module that it is part of",
        "register it, or override _apply",
        MovesInApply,
    ),
    Miniature(
        MovesItsBodyOnly,
        "moving.cuda",
        "`head.weight`, `head.bias` stay on the CPU after cuda(), which is overridden",
        "or better leave it as it is and override _apply",
        MovesAllAndSaysSo,
    ),
    Miniature(
        AnglesInItsDtype,
        "moving.angles_are_not_coarse",
        "forward takes the cos of angles up to 59 in torch.bfloat16",
        "from positions and rates that are float32, and cast the sines and cosines",
        AnglesInFloat32,
        long_sequences,
    ),
    Miniature(
        EpsTooSmallForHalf,
        "moving.float16_keeps_numbers",
        "`output` is NaN or infinite in float16 and a number in float32",
        "or compute that part in torch.float32",
        EpsOfItsDtype,
    ),
    Miniature(
        ReturnsOnTheCPU,
        "moving.computing_on_meta",
        "`output` is on the CPU though parameters and inputs are not: forward brings it there at moving.py",
        "return it where it was computed, for who calls to move",
        Plain,
    ),
    Miniature(
        SumsInHalf,
        "moving.float16_keeps_numbers",
        "`output` is zero everywhere in float16",
        "take a mean for a sum, or compute that part in torch.float32",
        SharesInHalf,
    ),
    Miniature(
        BuffersInAList,
        "moving.a_cast_reaches_all",
        "`anchors[0]` is the buffer `anchor` by another name, and not any more after a cast or a move",
        "look it up by the name it is registered by, as getattr(self, 'anchor'), in forward",
        BuffersByName,
    ),
]
