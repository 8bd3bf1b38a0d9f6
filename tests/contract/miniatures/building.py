"""Constructors that leave something out, or do too much."""

import copy

import torch
from torch import nn

from miniatures import Miniature, Net, numbers


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


def words():
    """Three rows of two words."""
    return (torch.tensor([[1, 2], [3, 0], [4, 4]]),), {}


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


class Symmetric(nn.Module):
    """Makes a weight symmetric."""

    def forward(self, weight):
        return (weight + weight.T) / 2


class InitialisedThroughAParametrization(Net):
    """It initialises a weight that a parametrization computes from another."""

    def __init__(self):
        super().__init__()
        nn.utils.parametrize.register_parametrization(self.body, "weight", Symmetric())
        nn.init.normal_(self.body.weight, std=0.1)


class InitialisedBeforeItsParametrization(Net):
    def __init__(self):
        super().__init__()
        nn.init.normal_(self.body.weight, std=0.1)
        nn.utils.parametrize.register_parametrization(self.body, "weight", Symmetric())


class NeverFilled(Net):
    """A parameter is what was in memory."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(2))

    def forward(self, x):
        return super().forward(x) * self.scale


class NeverFilledAfterOthers(Net):
    """A parameter is what was in memory, and that was NaN before."""

    def __init__(self):
        super().__init__()
        torch.full((512,), torch.nan)
        self.scale = nn.Parameter(torch.empty(512))

    def forward(self, x):
        return super().forward(x) + self.scale[:2].nan_to_num(0, 0, 0).clamp(-1, 1)


class FilledAfterOthers(NeverFilledAfterOthers):
    def __init__(self):
        super().__init__()
        nn.init.ones_(self.scale)


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


class LooksUpAnAlias(Net):
    """What is neither there nor an alias is a KeyError, which no default of getattr catches."""

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_"):
                raise
            return getattr(self, {"classifier": "head"}[name])


class PropertyWithATypo(Net):
    """A property asks for an attribute of a wrong name."""

    @property
    def width(self):
        return self.boddy.out_features


class PropertyWithout(Net):
    @property
    def width(self):
        return self.body.out_features


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
        "leave device= away, or take it as an argument, None by default",
        DeviceLeftOpen,
    ),
    Miniature(
        SeedsItsConstructor,
        "building.building_leaves_the_process",
        "its constructor changes the seed of the process from 20 to 3",
        "draw from a torch.Generator of its own",
        LeavesTheSeed,
    ),
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
        words,
    ),
    Miniature(
        EqualLayers,
        "building.modules_are_told_apart",
        "`second` equals `first` by the __eq__ of Scale",
        "and leave __eq__ and __hash__ as they are",
        UnequalLayers,
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
        InitialisedThroughAParametrization,
        "building.what_is_filled_counts",
        "the constructor calls normal_ on a tensor that is computed from parameters",
        "initialise before weight_norm and the like are applied",
        InitialisedBeforeItsParametrization,
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
        NeverFilled,
        "building.values_are_filled",
        "`scale` has values that nobody gave",
        "in reset_parameters or with torch.nn.init",
        Filled,
    ),
    Miniature(
        NeverFilledAfterOthers,
        "building.values_are_filled",
        "`scale` has values that nobody gave",
        "in reset_parameters or with torch.nn.init",
        FilledAfterOthers,
    ),
    Miniature(
        TypeHidden,
        "building.no_method_is_shadowed",
        "`type` hides the method type() of nn.Module",
        "give it another name",
        TypeOfAnotherName,
    ),
    Miniature(
        HasEverything,
        "building.a_missing_attribute",
        "`self` has any attribute that it is asked for",
        "let __getattr__ raise AttributeError",
        HasAliases,
    ),
    Miniature(
        LooksUpAnAlias,
        "building.a_missing_attribute",
        "`self` is asked for an attribute that is not there, and raises KeyError: 'an_attribute_that_is_not_",
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
]
