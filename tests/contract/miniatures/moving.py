"""Casts and moves that leave something behind, and forward that does not follow."""

import torch
from torch import nn

from miniatures import Miniature, numbers


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


MINIATURES = [
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
]
