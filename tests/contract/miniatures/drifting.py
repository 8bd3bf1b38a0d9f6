"""Faults that show in another dtype, another process, another place or after a while."""

from typing import ClassVar

import torch
from torch import nn

from miniatures import Miniature, Net


class ConstantInFloat32(Net):
    """A constant is made in float64 for float64, and in float32 for any other dtype."""

    def forward(self, x):
        dtype = x.dtype if x.dtype == torch.float64 else torch.float32
        return super().forward(x @ torch.eye(4, dtype=dtype, device=x.device))


class ConstantInItsDtype(Net):
    def forward(self, x):
        return super().forward(x @ torch.eye(4, dtype=x.dtype, device=x.device))


class NormFrozenByHalf(Net):
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


class HasEverything(Net):
    """Any attribute that is not there is None."""

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__"):
                raise
            return None


class HasAliases(Net):
    def __getattr__(self, name):
        return super().__getattr__({"classifier": "head"}.get(name, name))


class PropertyWithATypo(Net):
    """A property asks for an attribute of a wrong name."""

    @property
    def width(self):
        return self.boddy.out_features


class PropertyWithout(Net):
    @property
    def width(self):
        return self.body.out_features


class MovesInTo(Net):
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


class MovesItsBodyOnly(Net):
    """Its cuda() moves what its author thought of."""

    def cuda(self, device=None):
        self.body.cuda(device)
        return self


class MovesAllAndSaysSo(Net):
    def cuda(self, device=None):
        return super().cuda(device)


class KeepsMasksOnItsClass(Net):
    """It keeps a mask for each shape and device on its class."""

    masks: ClassVar = {}

    def forward(self, x):
        key = (x.shape, x.dtype, x.device)
        if key not in self.masks:
            self.masks[key] = torch.ones(x.shape, dtype=x.dtype, device=x.device)
        return super().forward(x * self.masks[key])


MINIATURES = [
    Miniature(
        ConstantInFloat32,
        "moving.computing_in_bfloat16",
        "with parameters and inputs in torch.bfloat16 it raises RuntimeError",
        "give it dtype=x.dtype",
        ConstantInItsDtype,
    ),
    Miniature(
        NormFrozenByHalf,
        "modes.frozen_norms_stay",
        "`norm` has a weight that requires no gradient, and a call in train mode changes the running",
        "or build it with track_running_stats=False",
        NormWithoutWeights,
    ),
    Miniature(
        HasEverything,
        "building.a_missing_attribute",
        "`self` has any attribute that it is asked for",
        "let __getattr__ raise AttributeError",
        HasAliases,
    ),
    Miniature(
        PropertyWithATypo,
        "building.a_missing_attribute",
        "`width` is a property that asks for 'boddy', which is not there",
        "mend the name, or set it in __init__",
        PropertyWithout,
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
        KeepsMasksOnItsClass,
        "calling.no_tensor_is_kept_elsewhere",
        "`KeepsMasksOnItsClass.masks` keeps a tensor that forward uses, for every module and for good",
        "or keep it in a buffer with persistent=False",
        ConstantInItsDtype,
    ),
]
