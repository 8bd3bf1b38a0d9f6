"""Names that change from build to build, and names that a class overrides."""

import itertools
import random

import torch
from torch import nn

from miniatures import Miniature, Net


class NamesFromACounter(nn.Module):
    """Its layers are named by a counter that runs on from build to build."""

    number = itertools.count()

    def __init__(self):
        super().__init__()
        for _ in range(2):
            self.add_module(f"block{next(self.number)}", nn.Linear(4, 4))

    def forward(self, x):
        for block in self.children():
            x = block(x).relu()
        return x


class NamesFromPlaces(nn.Module):
    def __init__(self):
        super().__init__()
        for number in range(2):
            self.add_module(f"block{number}", nn.Linear(4, 4))

    forward = NamesFromACounter.forward


class OrderFromChance(nn.Module):
    """Its heads are registered in an order that differs from build to build."""

    order = random.Random(0)

    def __init__(self):
        super().__init__()
        names = ["boxes", "labels", "masks", "scores", "tracks"]
        self.order.shuffle(names)
        self.heads = nn.ModuleDict({name: nn.Linear(4, 2) for name in names})

    def forward(self, x):
        return [self.heads[name](x) for name in sorted(self.heads)]


class OrderFromNames(OrderFromChance):
    def __init__(self):
        nn.Module.__init__(self)
        names = ["boxes", "labels", "masks", "scores", "tracks"]
        self.heads = nn.ModuleDict({name: nn.Linear(4, 2) for name in names})


class OrderFromASet(nn.Module):
    """Its heads are registered in the order of a set, which is another in each process."""

    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(4, 2) for name in {"user", "item"}})

    def forward(self, x):
        return {name: self.heads[name](x) for name in sorted(self.heads)}


class OrderFromASortedSet(OrderFromASet):
    def __init__(self):
        nn.Module.__init__(self)
        self.heads = nn.ModuleDict({name: nn.Linear(4, 2) for name in sorted({"user", "item"})})


class NameFromAHash(nn.Module):
    """A layer is named by the hash of a text, which is another in each process."""

    def __init__(self):
        super().__init__()
        self.add_module(f"layer{abs(hash('first')) % 10**6}", nn.Linear(4, 2))

    def forward(self, x):
        return next(self.children())(x)


class NameFromAText(NameFromAHash):
    def __init__(self):
        nn.Module.__init__(self)
        self.add_module("layer_first", nn.Linear(4, 2))


class NormAsDefaultArgument(nn.Module):
    """A layer is the default of an argument, and so belongs to all instances."""

    def __init__(self, norm=nn.LayerNorm(4)):  # noqa: B008
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.norm = norm

    def forward(self, x):
        return self.norm(self.inner(x))


class NormMadeInConstructor(NormAsDefaultArgument):
    def __init__(self, norm=None):
        super().__init__(nn.LayerNorm(4) if norm is None else norm)


class NamesItsHeadTwice(nn.Module):
    """It adds the parameters of its head to a walk that has them already."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2, bias=False)

    def named_parameters(self, *args, **kwargs):
        yield from super().named_parameters(*args, **kwargs)
        for name, parameter in self.head.named_parameters():
            yield f"classifier.{name}", parameter

    def forward(self, x):
        return self.head(self.body(x))


class NamesItsHeadOnce(NamesItsHeadTwice):
    named_parameters = nn.Module.named_parameters


class StateDictWithoutPrefix(nn.Module):
    """It overrides state_dict without passing its arguments on, so no other module can hold it."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("steps", torch.tensor(3))

    def state_dict(self, *args, **kwargs):
        return super().state_dict()

    def forward(self, x):
        return self.inner(x)


class StateDictWithPrefix(StateDictWithoutPrefix):
    def state_dict(self, *args, **kwargs):
        return nn.Module.state_dict(self, *args, **kwargs)


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


class PopsItsSettings(Net):
    """Its constructor pops what it reads from the default of an argument."""

    def __init__(self, settings={"label": "first"}):  # noqa: B006
        super().__init__()
        self.label = settings.pop("label", "none")


class ReadsItsSettings(PopsItsSettings):
    def __init__(self, settings=None):
        Net.__init__(self)
        self.label = (settings or {"label": "first"}).get("label", "none")


class PopsWhatItIsGiven(Net):
    """Its constructor pops what it reads from the dict of its caller."""

    def __init__(self, settings):
        super().__init__()
        self.label = settings.pop("label", "none")


SETTINGS = {"label": "first"}


def pops_the_settings_of_a_file():
    return PopsWhatItIsGiven(SETTINGS)


def reads_the_settings_of_a_file():
    return ReadsItsSettings(SETTINGS)


class WrapsItsBody(Net):
    """Its body is in a DataParallel, and so are the names of its parameters."""

    def __init__(self):
        super().__init__()
        self.body = nn.DataParallel(self.body)


MINIATURES = [
    Miniature(
        NamesFromACounter,
        "names.names_are_stable",
        "`block",
        "not from a counter, an id, a clock or a random number",
        NamesFromPlaces,
    ),
    Miniature(
        OrderFromChance,
        "names.order_is_stable",
        "parameter ",
        "register in a fixed order, and not in that of a set",
        OrderFromNames,
    ),
    Miniature(
        OrderFromASet,
        "names.order_in_another_process",
        "parameter 0 is `heads.",
        "register in the order of a list, or of sorted(...)",
        OrderFromASortedSet,
    ),
    Miniature(
        NameFromAHash,
        "names.order_in_another_process",
        "`layer",
        "make no name with hash(), an id, a clock or a random number",
        NameFromAText,
    ),
    Miniature(
        NormAsDefaultArgument,
        "names.builds_share_nothing",
        "two builds share `norm.weight`, `norm.bias`, made once as a default argument",
        "make it in __init__",
        NormMadeInConstructor,
    ),
    Miniature(
        NamesItsHeadTwice,
        "names.each_parameter_is_named_once",
        "named_parameters() yields `head.weight`, `classifier.weight`, which is one parameter, 2 times",
        "leave named_parameters() as it is",
        NamesItsHeadOnce,
    ),
    Miniature(
        StateDictWithoutPrefix,
        "names.its_keys_follow_its_place",
        "inside another module the state dict has no other key instead of `part.steps`, `part.inner.weight`",
        "pass destination, prefix and keep_vars on",
        StateDictWithPrefix,
    ),
    Miniature(
        OneLayerForEveryBlock,
        "names.a_container_holds_each_part_once",
        "`blocks.0.inner`, `blocks.1.inner` are one module, with one set of parameters, that was made once",
        "make one for each, unless that is meant",
        ALayerForEachBlock,
    ),
    Miniature(
        RenamesWithoutItsPlace,
        "names.its_keys_follow_its_place",
        "inside another module the state dict has",
        "pass destination, prefix and keep_vars on",
        RenamesAtItsPlace,
    ),
    Miniature(
        BlocksMultiplied,
        "names.a_container_holds_each_part_once",
        "`blocks.0`, `blocks.1`, `blocks.2` are one module, with one set of parameters",
        "unless that is meant",
        BlocksMade,
    ),
    Miniature(
        SettingsOfADefault,
        "names.builds_share_nothing",
        "`settings` is one dict in all builds, and building changes it",
        "and give no list or dict as a default",
        SettingsOfItsOwn,
    ),
    Miniature(
        PopsItsSettings,
        "names.building_leaves_its_defaults",
        "the default of `settings` in PopsItsSettings.__init__ is {'label': 'first'} at first, and {} once",
        "or work on a copy of what is given",
        ReadsItsSettings,
    ),
    Miniature(
        pops_the_settings_of_a_file,
        "names.building_leaves_its_defaults",
        "`SETTINGS`, which the constructor is given, is {'label': 'first'} at first, and {} once a module",
        "work on a copy of what is given",
        reads_the_settings_of_a_file,
    ),
    Miniature(
        WrapsItsBody,
        "names.no_part_is_wrapped",
        "`body` is wrapped, a DataParallel, and all names in it go through `body.module`",
        "wrap the whole, where it is trained",
        Net,
    ),
]
