"""Faults that are easily missed."""

import functools

import torch
from torch import nn

from miniatures import Miniature, Net


class NeverFilled(Net):
    """A parameter is what was in memory."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(2))

    def forward(self, x):
        return super().forward(x) * self.scale


class Filled(NeverFilled):
    def __init__(self):
        super().__init__()
        nn.init.ones_(self.scale)


class TypeHidden(Net):
    """An attribute is called as a method of nn.Module is."""

    def __init__(self):
        super().__init__()
        self.type = "encoder"


class TypeOfAnotherName(Net):
    def __init__(self):
        super().__init__()
        self.kind = "encoder"


class PopsWhatItLoads(Net):
    """It takes what it has read out of the dict."""

    def load_state_dict(self, state, strict=True, **kwargs):
        result = super().load_state_dict(state, strict, **kwargs)
        state.clear()
        return result


class BufferToBeTrained(Net):
    """A buffer requires a gradient."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(2, requires_grad=True))

    def forward(self, x):
        return super().forward(x) * self.scale


class ParameterToBeTrained(Net):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return super().forward(x) * self.scale


class SqueezesAll(Net):
    """A batch of one loses its dimension."""

    def forward(self, x):
        return super().forward(x)[:, None].squeeze()


class SqueezesOne(Net):
    def forward(self, x):
        return super().forward(x)[:, None].squeeze(1)


class CountsOnTheClass(Net):
    """It counts its calls on the class."""

    calls = 0

    def forward(self, x):
        CountsOnTheClass.calls += 1
        return super().forward(x)


class Token:
    """What a cache knows an instance by; each copy has its own."""

    dtype = torch.float32


@functools.cache
def table_for(token, device):
    """A table that is kept for a module and a device, in the dtype of the first call."""
    return torch.eye(4, dtype=token.dtype, device=device)


class MaskOfTheFirstDtype(Net):
    """A table outside of the module keeps the dtype of the first call."""

    def __init__(self):
        super().__init__()
        self.token = Token()

    def forward(self, x):
        self.token.dtype = x.dtype
        return super().forward(x @ table_for(self.token, x.device))


class MaskOfEachDtype(MaskOfTheFirstDtype):
    def forward(self, x):
        return Net.forward(self, x @ torch.eye(4, dtype=x.dtype, device=x.device))


MINIATURES = [
    Miniature(
        NeverFilled,
        "building.values_are_filled",
        "`scale` has values that nobody gave",
        "in reset_parameters or with torch.nn.init",
        Filled,
    ),
    Miniature(
        TypeHidden,
        "building.no_method_is_shadowed",
        "`type` hides the method type() of nn.Module",
        "give it another name",
        TypeOfAnotherName,
    ),
    Miniature(
        PopsWhatItLoads,
        "loading.the_state_dict_stays",
        "load_state_dict takes `body.weight`, `body.bias`, `head.weight`, `head.bias` out of the dict",
        "or work on a copy",
        Net,
    ),
    Miniature(
        BufferToBeTrained,
        "registration.buffers_need_no_gradient",
        "`scale` is a buffer that requires a gradient",
        "make it an nn.Parameter",
        ParameterToBeTrained,
    ),
    Miniature(
        SqueezesAll,
        "rows.a_batch_of_one",
        "`output` has no row for a batch of one",
        "squeeze a dimension by its number: x.squeeze(-1)",
        SqueezesOne,
    ),
    Miniature(
        CountsOnTheClass,
        "calling.attributes_stay",
        "`CountsOnTheClass.calls` is ",
        "make it a buffer",
        Net,
    ),
    Miniature(
        MaskOfTheFirstDtype,
        "moving.a_cast_after_a_call",
        "after a call and a cast, with parameters and inputs in torch.float64 it raises RuntimeError",
        "or ask for the dtype before it is used again",
        MaskOfEachDtype,
    ),
]
