"""Faults that people reported of their own modules."""

import random
from typing import ClassVar

import torch
from torch import nn

from miniatures import Miniature, Net, numbers


def sequences():
    """Three sequences of five steps, each of four features."""
    return (torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(3)),), {}


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


class ParametersWithoutRecurse(Net):
    """Its parameters() takes nothing, and libraries ask for those of the module alone."""

    def parameters(self):
        return [parameter for parameter in super().parameters() if parameter.requires_grad]


class ParametersOfAnotherName(Net):
    def trained(self):
        return [parameter for parameter in super().parameters() if parameter.requires_grad]


class LoadWithoutAssign(Net):
    """Its load_state_dict was written when there was no assign."""

    def load_state_dict(self, state, strict=True):
        return super().load_state_dict(state, strict)


class LoadWithAll(Net):
    def load_state_dict(self, state, *args, **kwargs):
        return super().load_state_dict(state, *args, **kwargs)


class PaddingInitialised(nn.Module):
    """It initialises its words after they were made, and the padding with them."""

    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(5, 4, padding_idx=0), nn.Linear(4, 2)
        nn.init.normal_(self.words.weight)

    def forward(self, ids):
        return self.head(self.words(ids).sum(1))


class PaddingZero(PaddingInitialised):
    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self.words.weight[0].zero_()


class BlocksMultiplied(nn.Module):
    """Its three blocks are one."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(*[nn.Linear(4, 4)] * 3)

    def forward(self, x):
        return self.blocks(x)


class BlocksMade(BlocksMultiplied):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))


class TurnsByComplexNumbers(Net):
    """Its rotation is a buffer of complex numbers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("turn", torch.polar(torch.ones(2), torch.tensor([0.5, 1.5])), persistent=False)

    def forward(self, x):
        turned = torch.view_as_complex(x.float().reshape(-1, 2, 2)) * self.turn
        return super().forward(torch.view_as_real(turned).reshape(-1, 4).to(x.dtype))


class TurnsByAngles(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("angles", torch.tensor([0.5, 1.5]), persistent=False)

    def forward(self, x):
        cosine, sine = self.angles.cos(), self.angles.sin()
        first, second = x.reshape(-1, 2, 2).unbind(2)
        turned = torch.stack([first * cosine - second * sine, first * sine + second * cosine], 2)
        return super().forward(turned.reshape(-1, 4))


class MaskOfALargeNumber(Net):
    """It masks with a number that float16 cannot hold."""

    masked: ClassVar = -1e8

    def forward(self, x):
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        weights = (x @ x.transpose(1, 2)).masked_fill(later, self.masked).softmax(-1)
        return super().forward(weights @ x)


class MaskOfInfinity(MaskOfALargeNumber):
    masked = -torch.inf


class HeadsExpanded(Net):
    """The three heads of a parameter lie in one place."""

    def __init__(self):
        super().__init__()
        self.heads = nn.Parameter(torch.rand(1, 2).expand(3, 2))

    def forward(self, x):
        return super().forward(x)[:, None] * self.heads


class HeadsRepeated(HeadsExpanded):
    def __init__(self):
        super().__init__()
        self.heads = nn.Parameter(torch.rand(1, 2).repeat(3, 1))


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


class SettingsOfADefault(Net):
    """It counts in a dict that is the default of an argument, and so is that of every instance."""

    def __init__(self, settings={}):  # noqa: B006
        super().__init__()
        settings["uses"] = settings.get("uses", 0) + 1
        self.settings = settings


class SettingsOfItsOwn(Net):
    def __init__(self, settings=None):
        super().__init__()
        self.settings = {**(settings or {}), "uses": 1}


class PositionsOverTheBatch(Net):
    """It adds a position to each row of the batch, and not to each step."""

    def __init__(self):
        super().__init__()
        self.register_buffer("positions", torch.arange(40.0).view(10, 1, 4).sin())

    def forward(self, x):
        return super().forward(x + self.positions[: x.shape[0]])


class PositionsOverTime(PositionsOverTheBatch):
    def forward(self, x):
        return Net.forward(self, x + self.positions[: x.shape[1], 0])


class DrawsWithPython(Net):
    """It draws with Python's generator, in eval mode too."""

    def forward(self, x):
        return super().forward(x) * random.uniform(0.9, 1.1)


class DrawsWithPythonInTraining(Net):
    def forward(self, x):
        return super().forward(x) * (random.uniform(0.9, 1.1) if self.training else 1.0)


MINIATURES = [
    Miniature(
        NormMadeInForward,
        "calling.no_layer_is_made",
        "forward makes a LayerNorm: in each call its parameters are new",
        "make it in __init__, on self",
        NormMadeBefore,
    ),
    Miniature(
        ParametersWithoutRecurse,
        "building.overrides_take_the_same",
        "`parameters` is overridden and does not take what that of nn.Module takes: "
        "parameters(recurse=False) raises TypeError",
        "and pass them on, or another name",
        ParametersOfAnotherName,
    ),
    Miniature(
        LoadWithoutAssign,
        "building.overrides_take_the_same",
        "`load_state_dict` is overridden and does not take what that of nn.Module takes: "
        "load_state_dict({}, strict=True, assign=True) raises TypeError",
        "and pass them on, or another name",
        LoadWithAll,
    ),
    Miniature(
        PaddingInitialised,
        "building.padding_is_zero",
        "`words` is built with a row for padding that is not zero",
        "fill it with zeros after the others are initialised",
        PaddingZero,
        numbers,
    ),
    Miniature(
        BlocksMultiplied,
        "names.a_container_holds_each_part_once",
        "`blocks.0`, `blocks.1`, `blocks.2` are one module, with one set of parameters",
        "unless that is meant",
        BlocksMade,
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
        HeadsExpanded,
        "loading.a_fresh_build_takes_the_state",
        "`heads` is an expanded tensor, with several values in one place",
        "or clone() what expand() gives",
        HeadsRepeated,
    ),
    Miniature(
        DropsNoMoreAfterEval,
        "calling.attributes_stay",
        "`rate` is 0.0 after a call and was 0.5 before",
        "make it a buffer",
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
        SettingsOfADefault,
        "names.builds_share_nothing",
        "`settings` is one dict in all builds, and building changes it",
        "and give no list or dict as a default",
        SettingsOfItsOwn,
    ),
    Miniature(
        PositionsOverTheBatch,
        "rows.rows_are_independent",
        "`output` differs in",
        "take them along the dimension of time",
        PositionsOverTime,
        sequences,
    ),
    Miniature(
        DrawsWithPython,
        "modes.eval_is_deterministic",
        "two equal calls in eval mode differ, first in the forward of `DrawsWithPython`",
        "and keep nothing from one call to the next",
        DrawsWithPythonInTraining,
    ),
]
