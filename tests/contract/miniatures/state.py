"""State dicts that lose something, and loading that does not bring it back."""

import torch
from torch import nn

from miniatures import Miniature, Net


class LeavesItsBodyOut(Net):
    """It leaves its body out of the state dict and of what it expects in one, to keep checkpoints small."""

    def state_dict(self, *args, prefix="", **kwargs):
        state = super().state_dict(*args, prefix=prefix, **kwargs)
        for name in ("body.weight", "body.bias"):
            del state[prefix + name]
        return state

    def load_state_dict(self, state, strict=True, **kwargs):
        own = {f"body.{name}": value for name, value in self.body.state_dict().items()}
        return super().load_state_dict({**own, **state}, strict, **kwargs)


class CopiesItsState(Net):
    """Its state dict has copies, and what writes to it does not reach the module."""

    def state_dict(self, *args, **kwargs):
        state = super().state_dict(*args, **kwargs)
        for name, value in state.items():
            state[name] = value.clone()
        return state


class TiedThroughData(Net):
    """Two parameters are tied through .data: a cast or a deep copy separates them."""

    def __init__(self):
        super().__init__()
        self.back = nn.Linear(4, 4)
        self.back.weight = nn.Parameter(self.body.weight.data)

    def forward(self, x):
        return super().forward(self.back(self.body(x)))


class TiedThroughTheParameter(TiedThroughData):
    def __init__(self):
        super().__init__()
        self.back.weight = self.body.weight


class Vocabulary:
    """A class of the module's own."""

    def __init__(self, words):
        self.words = words


class ExtraStateOfItsOwnClass(Net):
    """Its extra state is an object that torch.load refuses with weights_only=True."""

    def __init__(self):
        super().__init__()
        self.vocabulary = Vocabulary(["a", "b"])

    def get_extra_state(self):
        return self.vocabulary

    def set_extra_state(self, state):
        self.vocabulary = state


class ExtraStateOfTexts(ExtraStateOfItsOwnClass):
    def get_extra_state(self):
        return self.vocabulary.words

    def set_extra_state(self, state):
        self.vocabulary = Vocabulary(state)


class RenamesWhenSaved(Net):
    """It saves its body under another name and does not know it when loading."""

    def __init__(self):
        super().__init__()
        self._register_state_dict_hook(self.rename)

    @staticmethod
    def rename(module, state, prefix, metadata):
        state[prefix + "encoder.bias"] = state[prefix + "body.bias"]


class KeepsItsOwnHead(Net):
    """It loads all but its head, and says nothing of it."""

    def load_state_dict(self, state, strict=True, **kwargs):
        own = {f"head.{name}": value for name, value in self.head.state_dict().items()}
        return super().load_state_dict({**state, **own}, strict, **kwargs)


class ProjectionThatIsNotSaved(Net):
    """A random projection is a non-persistent buffer: each build has another."""

    def __init__(self):
        super().__init__()
        self.register_buffer("projection", torch.rand(4, 4), persistent=False)

    def forward(self, x):
        return super().forward(x @ self.projection)


class ProjectionThatIsSaved(ProjectionThatIsNotSaved):
    def __init__(self):
        super().__init__()
        self.register_buffer("projection", torch.rand(4, 4))


class LenientByDefault(Net):
    """It overrides load_state_dict with strict=False, and misses no key that a checkpoint lacks."""

    def load_state_dict(self, state, strict=False, **kwargs):
        return super().load_state_dict(state, strict, **kwargs)


class NewParametersWhenLoaded(Net):
    """It makes new parameters when it loads, which no optimizer knows."""

    def _load_from_state_dict(self, state, prefix, *args):
        self.body.weight = nn.Parameter(self.body.weight.detach().clone())
        return super()._load_from_state_dict(state, prefix, *args)


class CopiesWhenAssigned(nn.Module):
    """It copies what it loads into its weight, which on meta has no memory to copy into."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(2, 4))

    def _load_from_state_dict(self, state, prefix, metadata, strict, missing, unexpected, errors):
        with torch.no_grad():
            if prefix + "weight" in state:
                self.weight.copy_(state[prefix + "weight"])
            else:
                missing.append(prefix + "weight")

    def forward(self, x):
        return nn.functional.linear(x, self.weight)


class AssignsWhenAssigned(CopiesWhenAssigned):
    _load_from_state_dict = nn.Module._load_from_state_dict


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


class PopsWhatItLoads(Net):
    """It takes what it has read out of the dict."""

    def load_state_dict(self, state, strict=True, **kwargs):
        result = super().load_state_dict(state, strict, **kwargs)
        state.clear()
        return result


class Versioned(nn.Linear):
    """A linear layer whose first version kept its weight transposed."""

    _version = 2

    def _load_from_state_dict(self, state, prefix, metadata, *rest):
        if metadata.get("version", 1) < 2 and f"{prefix}weight" in state:
            state[f"{prefix}weight"] = state[f"{prefix}weight"].T
        super()._load_from_state_dict(state, prefix, metadata, *rest)


class LosesItsVersions(Net):
    """Its state dict is made into a plain dict, which has no versions."""

    def __init__(self):
        super().__init__()
        self.body = Versioned(4, 4)

    def state_dict(self, *args, **kwargs):
        return dict(super().state_dict(*args, **kwargs))


class KeepsItsVersions(LosesItsVersions):
    def state_dict(self, *args, **kwargs):
        return Net.state_dict(self, *args, **kwargs)


class MergesOnce(nn.Module):
    """In eval mode it merges two weights in the first call, and goes on with these."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 2, bias=False), nn.Linear(4, 2, bias=False)
        self.merged = None

    def weight(self):
        return torch.cat([self.first.weight, self.second.weight])

    def forward(self, x):
        if self.training or x.is_meta:
            return x @ self.weight().T
        if self.merged is None or self.merged.dtype != x.dtype:
            self.merged = self.weight().detach()
        return x @ self.merged.T


class MergesInEachCall(MergesOnce):
    def forward(self, x):
        return x @ self.weight().T


class WantsEveryKey(Net):
    """It renames what it loads, and fails where there is nothing to rename."""

    def _load_from_state_dict(self, state, prefix, metadata, *rest):
        for kind in ("weight", "bias"):
            state[f"{prefix}head.{kind}"] = state.pop(f"{prefix}head.{kind}")
        super()._load_from_state_dict(state, prefix, metadata, *rest)


class TellsNothingOfALoad(Net):
    """It overrides load_state_dict and does not return what was missing."""

    def load_state_dict(self, state, strict=True, **kwargs):
        super().load_state_dict(state, strict, **kwargs)


class KeepsItsMembranes(nn.Module):
    """A persistent buffer takes the shape of the inputs: after a call no other build loads the state."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.register_buffer("membrane", torch.zeros(0), persistent=self.persistent)

    persistent = True

    def forward(self, x):
        self.membrane = torch.zeros_like(x)
        return self.body(x) + self.membrane


class SavesNoMembranes(KeepsItsMembranes):
    persistent = False


class PutsItsStartAside(Net):
    """The radius that it starts with is put aside, in the memory of the buffer: a load changes both."""

    def __init__(self):
        super().__init__()
        self.first = torch.tensor([0.4])
        self.register_buffer("radius", self.first)

    def forward(self, x):
        return super().forward(x) * self.radius


class PutsANumberAside(PutsItsStartAside):
    def __init__(self):
        super().__init__()
        self.first = 0.4


class FollowsInPassing(Net):
    """The mean that it takes away is that of its training, and in no checkpoint."""

    persistent = False

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.empty(4), persistent=self.persistent)
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.zeros_(self.mean)

    def forward(self, x):
        if self.training:
            self.mean.lerp_(x.detach().mean(0).to(self.mean), 0.5)
        return super().forward(x - self.mean.clone())


class FollowsForGood(FollowsInPassing):
    persistent = True


class TableOfTheConstructor(Net):
    """Its table is in no checkpoint, and its constructor alone computes it."""

    def __init__(self, device=None):
        super().__init__()
        self.register_buffer("table", torch.arange(4.0, device=device).sin(), persistent=False)

    def forward(self, x):
        return super().forward(x + self.table)


class TableThatIsReset(TableOfTheConstructor):
    def __init__(self, device=None):
        super().__init__(device)
        self.reset_parameters()

    def reset_parameters(self):
        self.table.copy_(torch.arange(4.0).sin())


class PartOfALargeTable(Net):
    """It takes four rows out of a large table, whose memory it keeps."""

    def taken(self, table):
        return table[:4]

    def __init__(self):
        super().__init__()
        self.register_buffer("table", self.taken(torch.arange(80_000.0).view(20_000, 4).sin()))

    def forward(self, x):
        return super().forward(x @ self.table)


class CopyOfAPart(PartOfALargeTable):
    def taken(self, table):
        return table[:4].clone()


MINIATURES = [
    Miniature(
        LeavesItsBodyOut,
        "state.every_entry_is_there",
        "the state dict lacks `body.weight`, `body.bias`",
        "leave every entry of super()'s in",
        Net,
    ),
    Miniature(
        CopiesItsState,
        "state.values_are_references",
        "`body.weight`, `body.bias`, `head.weight`, `head.bias` of the state dict are copies",
        "and copy where a copy is wanted",
        Net,
    ),
    Miniature(
        TiedThroughData,
        "state.memory_is_shared_by_ties_only",
        "`back.weight` and `body.weight` are two tensors in one memory",
        "assign the same Parameter, and else clone() one of them",
        TiedThroughTheParameter,
    ),
    Miniature(
        ExtraStateOfItsOwnClass,
        "state.through_a_file",
        "torch.load(..., weights_only=True) refuses the file: `_extra_state`, a Vocabulary is no tensor",
        "and lists and dicts of these",
        ExtraStateOfTexts,
    ),
    Miniature(
        RenamesWhenSaved,
        "loading.a_fresh_build_takes_the_state",
        'a fresh build refuses the state dict of another: Unexpected key(s) in state_dict: "encoder.bias"',
        "use the same names and shapes, those of the attributes",
        Net,
    ),
    Miniature(
        KeepsItsOwnHead,
        "loading.a_fresh_build_takes_the_state",
        "`head.weight` differs in 8 of 8 values",
        "load every entry of the state dict",
        Net,
    ),
    Miniature(
        ProjectionThatIsNotSaved,
        "loading.the_loaded_build_computes_the_same",
        "`projection` is a non-persistent buffer with other values in each build",
        "register it with persistent=True",
        ProjectionThatIsSaved,
    ),
    Miniature(
        LenientByDefault,
        "loading.a_missing_key_is_refused",
        "load_state_dict says nothing of a state dict without `body.weight`",
        "keep strict=True as the default where it is overridden",
        Net,
    ),
    Miniature(
        NewParametersWhenLoaded,
        "loading.parameters_stay_the_same_objects",
        "`body.weight` is another Parameter after load_state_dict: an optimizer goes on with the old",
        "or copy_ into it under no_grad()",
        Net,
    ),
    Miniature(
        CopiesWhenAssigned,
        "loading.assigning_onto_meta",
        "`weight` stays on meta after load_state_dict(..., assign=True)",
        "call super()'s",
        AssignsWhenAssigned,
    ),
    Miniature(
        HeadsExpanded,
        "loading.a_fresh_build_takes_the_state",
        "`heads` is an expanded tensor, with several values in one place",
        "or clone() what expand() gives",
        HeadsRepeated,
    ),
    Miniature(
        PopsWhatItLoads,
        "loading.the_state_dict_stays",
        "load_state_dict takes `body.weight`, `body.bias`, `head.weight`, `head.bias` out of the dict",
        "or work on a copy",
        Net,
    ),
    Miniature(
        LosesItsVersions,
        "loading.a_fresh_build_takes_the_state",
        "`body.weight` differs in",
        "and `body` takes what it loads for a checkpoint of an older one",
        KeepsItsVersions,
    ),
    Miniature(
        MergesOnce,
        "loading.a_load_after_a_call",
        "`output` differs in 12 of 12 values",
        "or drop it when values are loaded (register_load_state_dict_post_hook)",
        MergesInEachCall,
    ),
    Miniature(
        KeepsItsMembranes,
        "loading.a_load_after_a_call",
        "`membrane` of the state dict has the shape (3, 4) after a call, and had (0,)",
        "with persistent=False",
        SavesNoMembranes,
    ),
    Miniature(
        WantsEveryKey,
        "loading.a_part_is_taken",
        "load_state_dict with strict=False raises KeyError: 'head.weight' at state.py:",
        "if key in state_dict",
        Net,
    ),
    Miniature(
        TellsNothingOfALoad,
        "loading.a_part_is_taken",
        "load_state_dict returns None, and not what was missing and unexpected",
        "return what super().load_state_dict returns",
        Net,
    ),
    Miniature(
        PutsItsStartAside,
        "state.memory_is_shared_by_ties_only",
        "`first` is a plain tensor in the memory of `radius`: what is loaded there changes it too",
        "or keep a number",
        PutsANumberAside,
    ),
    Miniature(
        FollowsInPassing,
        "loading.what_training_changed_is_saved",
        "what a call in train mode changes is lost by saving and loading: `mean` is a buffer that is not",
        "register it with persistent=True",
        FollowsForGood,
    ),
    Miniature(
        TableOfTheConstructor,
        "loading.built_on_meta",
        "built on meta, as large models are, `table` has no values",
        "compute it in reset_parameters() too, and call that in __init__",
        TableThatIsReset,
    ),
    Miniature(
        PartOfALargeTable,
        "state.memory_is_no_more_than_values",
        "`table` is a view of a tensor of 320,000 bytes, and 64 of them are needed",
        "clone() what is taken out of a larger tensor",
        CopyOfAPart,
    ),
]
