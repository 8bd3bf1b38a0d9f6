"""Constructors that leave something out, or do too much."""

import torch
from torch import nn

from miniatures import Miniature


class StoresFilledByHand(nn.Module):
    """It sets the attributes of a module that some release had, instead of calling super().__init__()."""

    def __init__(self):
        vars(self).update(vars(nn.Identity()))
        del self._is_full_backward_hook
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(x)


class StoresFilledByModule(StoresFilledByHand):
    def __init__(self):
        nn.Module.__init__(self)
        self.inner = nn.Linear(4, 4)


class ShortRepr(nn.Module):
    """Its __repr__ hides what is in it."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def __repr__(self):
        return "ShortRepr()"

    def forward(self, x):
        return self.head(self.body(x))


class LongRepr(ShortRepr):
    __repr__ = nn.Module.__repr__


class ReprOfNothing(nn.Module):
    """Its extra_repr speaks of an attribute that it does not have."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def extra_repr(self):
        return f"width={self.width}"

    def forward(self, x):
        return self.inner(x)


class ReprOfWidth(ReprOfNothing):
    width = 4


class ReadsRatesFromATensor(nn.Module):
    """Its constructor reads numbers out of a tensor, which has none on meta."""

    def __init__(self):
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0.1, 0.3, 2)]
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(x) * self.rates[0] + self.rates[1]


class ReadsRatesFromAList(ReadsRatesFromATensor):
    def __init__(self):
        nn.Module.__init__(self)
        self.rates = [0.1, 0.3]
        self.inner = nn.Linear(4, 4)


class DeviceWrittenIn(nn.Module):
    """Its constructor says on which device a buffer is."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("table", torch.arange(4.0, device="cpu"))

    def forward(self, x):
        return self.inner(x) + self.table


class DeviceLeftOpen(DeviceWrittenIn):
    def __init__(self):
        super().__init__()
        self.table = torch.arange(4.0)


class SeedsItsConstructor(nn.Module):
    """Its constructor seeds the generator of the whole process."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(x)


class LeavesTheSeed(SeedsItsConstructor):
    def __init__(self):
        nn.Module.__init__(self)
        self.inner = nn.Linear(4, 4)


MINIATURES = [
    Miniature(
        StoresFilledByHand,
        "building.every_module_is_initialised",
        "`self`, a StoresFilledByHand, has no `_is_full_backward_hook`: nn.Module.__init__ has not run",
        "call super().__init__() first of all in __init__",
        StoresFilledByModule,
    ),
    Miniature(
        ShortRepr,
        "building.printing",
        "repr leaves out `body`, `head`",
        "override extra_repr, not __repr__",
        LongRepr,
    ),
    Miniature(
        ReprOfNothing,
        "building.printing",
        "repr raises AttributeError: 'ReprOfNothing' object has no attribute 'width'",
        "let extra_repr use what __init__ sets",
        ReprOfWidth,
    ),
    Miniature(
        ReadsRatesFromATensor,
        "building.building_on_meta",
        'built under torch.device("meta") it raises RuntimeError: Tensor.item() cannot be called on '
        "meta tensors "
        "at building.py:",
        "give no device of its own",
        ReadsRatesFromAList,
    ),
    Miniature(
        DeviceWrittenIn,
        "building.building_on_meta",
        '`table` is not on meta when built under torch.device("meta")',
        "leave device= away, or take it as an argument",
        DeviceLeftOpen,
    ),
    Miniature(
        SeedsItsConstructor,
        "building.building_leaves_the_process",
        "its constructor changes the seed of the process from 20 to 3",
        "draw from a torch.Generator of its own",
        LeavesTheSeed,
    ),
]
