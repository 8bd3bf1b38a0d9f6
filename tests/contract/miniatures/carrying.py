"""What a call carries on to the next, to the other mode or to another place, and not as it was meant."""

import torch
from torch import nn

from miniatures import Miniature, Net, numbers, sequences


def graphs():
    """Five nodes of four features, and how each is joined to each."""
    generator = torch.Generator().manual_seed(3)
    return (torch.rand(5, 4, generator=generator), torch.rand(5, 5, generator=generator)), {}


class FrozenTeacher(Net):
    """Its teacher is put into eval mode once, and dropout is awake there from the first train() on."""

    def __init__(self):
        super().__init__()
        self.teacher = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 2))
        self.teacher.requires_grad_(False).eval()

    def forward(self, x):
        return super().forward(x) - self.teacher(x)


class TeacherKeptInEval(FrozenTeacher):
    def train(self, mode=True):
        super().train(mode)
        self.teacher.eval()
        return self


class AttendsToThePast(nn.Module):
    """In eval mode it keeps keys and values, and lets the next sequence attend to them."""

    def __init__(self):
        super().__init__()
        self.joined = nn.Linear(4, 12)
        self.past = None

    def forward(self, x):
        query, key, value = self.joined(x).chunk(3, -1)
        if not self.training:
            if self.past is not None:
                key, value = (torch.cat(pair, 1) for pair in zip(self.past, (key, value), strict=True))
            self.past = key, value
        return (query @ key.transpose(1, 2)).softmax(-1) @ value


class TakesThePast(AttendsToThePast):
    def forward(self, x, past=None):
        query, key, value = self.joined(x).chunk(3, -1)
        if past is not None:
            key, value = (torch.cat(pair, 1) for pair in zip(past, (key, value), strict=True))
        return (query @ key.transpose(1, 2)).softmax(-1) @ value, (key, value)


class KeepsAMask(Net):
    """Its mask is kept, and asked for its length alone before it is used again."""

    def __init__(self):
        super().__init__()
        self.mask = None

    def fits(self, x):
        return self.mask is not None and len(self.mask) == x.shape[1]

    def forward(self, x):
        if not self.fits(x):
            self.mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        scores = (x @ x.transpose(1, 2)).masked_fill(self.mask, -torch.inf)
        return super().forward(scores.softmax(-1) @ x)


class KeepsAMaskForADevice(KeepsAMask):
    def fits(self, x):
        return super().fits(x) and self.mask.device == x.device


class MasksItsWeight(Net):
    """Each call puts a new Parameter in the place of its weight."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.ones(4, 4).tril())

    def forward(self, x):
        self.body.weight = nn.Parameter(self.body.weight * self.mask)
        return super().forward(x)


class ComputesWithAMask(MasksItsWeight):
    def forward(self, x):
        return self.head(nn.functional.linear(x, self.body.weight * self.mask, self.body.bias).relu())


class BufferOfTheFirstCall(Net):
    """Its running mean is None until a call in train mode makes it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", self.start())

    def start(self):
        return None

    def forward(self, x):
        if self.training:
            mean = x.detach().mean(0)
            self.mean = mean if self.mean is None else 0.9 * self.mean + 0.1 * mean
        return super().forward(x if self.mean is None else x - self.mean)


class BufferOfZeros(BufferOfTheFirstCall):
    def start(self):
        return torch.zeros(4)


class NormalizesItsWords(nn.Module):
    """An embedding with max_norm, which writes to its weight in each call."""

    longest: float | None = 0.5

    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(5, 4, max_norm=self.longest), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.words(x))


class LeavesItsWords(NormalizesItsWords):
    longest = None


class AddsPositionsInPlace(Net):
    """It adds positions to the embeddings that it is given, where they lie."""

    def __init__(self):
        super().__init__()
        self.places = nn.Embedding(5, 4)

    def forward(self, x):
        x += self.places.weight
        return super().forward(x)


class AddsPositions(AddsPositionsInPlace):
    def forward(self, x):
        return Net.forward(self, x + self.places.weight)


class SendsToItsDevice(Net):
    """Its device is named when it is built, and forward brings its inputs there."""

    def __init__(self):
        super().__init__()
        self.place = "cpu"

    def forward(self, x):
        return super().forward(x.to(self.place))


class SendsToTheDeviceOfItsWeight(SendsToItsDevice):
    def forward(self, x):
        return Net.forward(self, x.to(self.body.weight.device))


class PassesMessages(Net):
    """Each node takes what its neighbors have: a row for a node, and a place for each pair of nodes."""

    def forward(self, x, joined):
        return super().forward((joined + torch.eye(joined.shape[0]).to(joined)) @ x)


class RestoresWhatItDrops(Net):
    """In eval mode it takes the weight of its dropout away, and nothing brings it back."""

    def __init__(self):
        super().__init__()
        self.rates = [0.0]

    def forward(self, x):
        if not self.training:
            self.rates = []
        return super().forward(x) if not self.training else super().forward(x * (1 - self.rates[0]))


class KeepsItsRates(RestoresWhatItDrops):
    def forward(self, x):
        return Net.forward(self, x if not self.training else x * (1 - self.rates[0]))


MINIATURES = [
    Miniature(
        FrozenTeacher,
        "modes.what_is_built_in_eval_mode_stays",
        "`teacher.1` is in a part that is frozen and built in eval mode, and train() wakes it",
        "put the part into eval mode again, and return self",
        TeacherKeptInEval,
    ),
    Miniature(
        AttendsToThePast,
        "calling.a_call_computes_anew",
        "`output` differs in 60 of 60 values",
        "take it as an argument and return it, so that a new sequence begins with none",
        TakesThePast,
        sequences,
    ),
    Miniature(
        KeepsAMask,
        "calling.no_tensor_is_left_on_it",
        "`mask` keeps a tensor of shape (5, 5) for the calls to come, which .to() does not move",
        "a buffer with persistent=False",
        KeepsAMaskForADevice,
        sequences,
    ),
    Miniature(
        MasksItsWeight,
        "calling.nothing_is_registered",
        "each call puts a new Parameter in the place of `body.weight`",
        "weight = self.weight * mask",
        ComputesWithAMask,
    ),
    Miniature(
        BufferOfTheFirstCall,
        "calling.nothing_is_registered",
        "the buffer `mean` is made by the first call: a checkpoint that has it loads into no fresh build",
        "with its full shape and values to start from",
        BufferOfZeros,
    ),
    Miniature(
        NormalizesItsWords,
        "calling.parameters_stay",
        "`words.weight` differs in",
        "scale what comes out instead, or clone() the weight wherever else it is used",
        LeavesItsWords,
        numbers,
    ),
    Miniature(
        AddsPositionsInPlace,
        "calling.inputs_stay",
        "the input `args[0]` differs in 60 of 60 values",
        "work on a copy: x = x + 1 for x += 1",
        AddsPositions,
        sequences,
    ),
    Miniature(
        SendsToItsDevice,
        "moving.computing_on_meta",
        "on another device forward calls linear with tensors on meta and on cpu at __init__.py:",
        "take the device of the inputs, x.device, and none that was named when the module was built",
        SendsToTheDeviceOfItsWeight,
    ),
    Miniature(
        RestoresWhatItDrops,
        "modes.training_goes_on_after_eval",
        "once a call in eval mode has passed, one in train mode raises IndexError: list index out of range",
        "leave self as it is in forward, and what is registered there too",
        KeepsItsRates,
    ),
]
