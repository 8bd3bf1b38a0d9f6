"""Faults that people report of their own modules of images, and of teachers, caches and copies."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from miniatures import Miniature, Net, images, rows


def signed_rows():
    """Three rows of four features around zero."""
    return (rows()[0][0] - 0.5,), {}


def larger_images():
    """Four images of two channels, eight places high and wide."""
    return (torch.rand(4, 2, 8, 8, generator=torch.Generator().manual_seed(3)),), {}


class NormsInAList(Net):
    """Its batch norm is in a list: eval() does not reach it, nor do its statistics come into a checkpoint."""

    def __init__(self):
        super().__init__()
        self.norms = [nn.BatchNorm1d(4)]

    def forward(self, x):
        return self.head(self.norms[0](self.body(x)).relu())


class NormsInAModuleList(NormsInAList):
    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(self.norms)


class NormOnTheClass(Net):
    """One batch norm for all of its instances."""

    norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.head(self.norm(self.body(x)).relu())


class NormOnEach(Net):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.head(self.norm(self.body(x)).relu())


class ActivatesItsInput(Net):
    """A block that begins with an activation in place, and so changes what its shortcut adds."""

    def __init__(self):
        super().__init__()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return super().forward(self.act(x)) + x[:, :2]


class ActivatesACopy(ActivatesItsInput):
    def __init__(self):
        super().__init__()
        self.act = nn.ReLU()


class MakesADropout(Net):
    """It makes a dropout in each call, which is in train mode always."""

    def forward(self, x):
        return self.head(nn.Dropout(0.5)(self.body(x)))


class HasADropout(Net):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.head(self.drop(self.body(x)))


class MakesAProjection(Net):
    """It makes a layer in each call, with other random numbers in each."""

    def forward(self, x):
        return super().forward(x) + nn.Linear(4, 2)(x)


class HasAProjection(Net):
    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(4, 2)

    def forward(self, x):
        return super().forward(x) + self.projection(x)


class TeacherFollowsAlways(Net):
    """A frozen teacher takes a step towards its student in each call, in eval mode too."""

    def __init__(self):
        super().__init__()
        self.teacher = nn.Linear(4, 2).requires_grad_(False)

    def follows(self):
        return True

    @torch.no_grad()
    def follow(self):
        if self.follows():
            for its, other in zip(self.teacher.parameters(), self.head.parameters(), strict=True):
                its.lerp_(other, 0.1)

    def forward(self, x):
        self.follow()
        return super().forward(x), self.teacher(x)


class TeacherFollowsInTraining(TeacherFollowsAlways):
    def follows(self):
        return self.training


class QuietTeacherFollowsAlways(TeacherFollowsAlways):
    """The same, of a teacher that is asked in train mode only."""

    def forward(self, x):
        self.follow()
        out = super(TeacherFollowsAlways, self).forward(x)
        return (out, self.teacher(x)) if self.training else (out, out)


class TeacherIsTheStudent(Net):
    """Its teacher is its student, and no copy of it."""

    def __init__(self):
        super().__init__()
        self.teacher = self.head

    def forward(self, x):
        return super().forward(x), self.teacher(x).detach()


class TeacherIsACopy(TeacherIsTheStudent):
    def __init__(self):
        super().__init__()
        self.teacher = copy.deepcopy(self.head).requires_grad_(False)


class ShallowCopies(nn.Module):
    """Its blocks are copied by copy.copy, which copies no parameter and no hook."""

    def __init__(self):
        super().__init__()
        block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.blocks = nn.ModuleList(copy.copy(block) for _ in range(2))

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x)
        return x


class BlocksOfTheirOwn(ShallowCopies):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(2))


class Grids(nn.Module):
    """A head that adds to each place where it is."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(2, 2, 1)
        self.register_buffer("grid", None, persistent=False)

    def made(self, x):
        places = (torch.arange(size, dtype=x.dtype, device=x.device) for size in x.shape[2:])
        return torch.stack(torch.meshgrid(*places, indexing="ij"))

    def forward(self, x):
        out = self.head(x)
        return out + self.made(out)


class GridOfTheFirstHeight(Grids):
    """Its grid is of the height and width of the first call."""

    def forward(self, x):
        out = self.head(x)
        if self.grid is None:
            self.grid = self.made(out)
        return out + self.grid


class GridsBySize(Grids):
    """It keeps a grid for each size, where .to() does not reach it."""

    def __init__(self):
        super().__init__()
        self.cache = {}

    def forward(self, x):
        out = self.head(x)
        if out.shape[2:] not in self.cache:
            self.cache[out.shape[2:]] = self.made(out)
        return out + self.cache[out.shape[2:]]


class WidthOfItsImages(nn.Module):
    """It views rows of a written width: of larger images each makes several rows."""

    def __init__(self):
        super().__init__()
        self.near, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(192, 2)

    def rows(self, x):
        return x.reshape(-1, 192)

    def forward(self, x):
        return self.head(self.rows(self.near(x).relu()))


class RowsOfItsImages(WidthOfItsImages):
    def rows(self, x):
        return x.flatten(1)


class Center:
    """A running mean that is no module."""

    def __init__(self, mean):
        self.mean = mean

    def update(self, x):
        self.mean.lerp_(x.mean(0).to(self.mean.dtype), 0.1)


class CenterInAnObject(Net):
    """An object updates its buffer, and after a cast a tensor that nobody looks at."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.center = Center(self.mean)

    def update(self, x):
        self.center.update(x)

    def forward(self, x):
        body = self.body(x)
        if self.training:
            self.update(body.detach())
        return self.head(body - self.mean)


class CenterOfItsOwn(CenterInAnObject):
    def __init__(self):
        super().__init__()
        del self.center

    def update(self, x):
        self.mean.lerp_(x.mean(0).to(self.mean.dtype), 0.1)


class HidesHalf(Net):
    """An attribute in the place of half()."""

    def __init__(self):
        super().__init__()
        self.half = False


class HingeOfDistances(Net):
    """A loss that is zero where two inputs are further apart than its margin."""

    def forward(self, x, other):
        apart = (super().forward(x) - super().forward(other)).pow(2).sum(1)
        return F.relu(0.05 - (apart + 1e-6).sqrt()).sum()


def far_apart():
    """Pairs that are all further apart than the margin but for the first."""
    x = torch.randn(4, 4, generator=torch.Generator().manual_seed(3)) * 3
    other = torch.randn(4, 4, generator=torch.Generator().manual_seed(4)) * 3
    other[0] = x[0] + 0.01
    return (x, other), {}


class AppliesAndReturnsNothing(Net):
    """Its _apply moves what it keeps, and returns nothing: so does its to()."""

    def __init__(self):
        super().__init__()
        self.scale = torch.ones(2)

    def _apply(self, fn, recurse=True):
        self.scale = fn(self.scale)
        super()._apply(fn, recurse)

    def forward(self, x):
        return super().forward(x) * self.scale


class MovesAndReturnsNothing(AppliesAndReturnsNothing):
    """The same, of a to() alone."""

    _apply = nn.Module._apply

    def to(self, *args, **kwargs):
        super().to(*args, **kwargs)
        self.scale = self.scale.to(*args, **kwargs)


MINIATURES = [
    Miniature(
        NormsInAList,
        "registration.modules_in_containers",
        "`norms` is a plain list with 1 module in it: its 2 parameters are not registered",
        "use nn.ModuleList",
        NormsInAModuleList,
    ),
    Miniature(
        NormOnTheClass,
        "registration.plain_attributes",
        "`norm` is a module on the class NormOnTheClass: every instance shares it",
        "make it in __init__, on self",
        NormOnEach,
    ),
    Miniature(
        ActivatesItsInput,
        "calling.inputs_stay",
        "the input `args[0]` differs in",
        "make what is first to work on an input with inplace=False",
        ActivatesACopy,
        signed_rows,
    ),
    Miniature(
        MakesADropout,
        "modes.eval_is_deterministic",
        "two equal calls in eval mode differ, first in the forward of `MakesADropout`",
        "make it in __init__, on self, where eval() reaches it",
        HasADropout,
    ),
    Miniature(
        MakesAProjection,
        "calling.no_layer_is_made",
        "forward makes a Linear",
        "make it in __init__, on self",
        HasAProjection,
    ),
    Miniature(
        TeacherFollowsAlways,
        "modes.eval_is_deterministic",
        "two equal calls in eval mode differ, since each changes `teacher.weight`, `teacher.bias`",
        "change it only if self.training",
        TeacherFollowsInTraining,
    ),
    Miniature(
        TeacherIsTheStudent,
        "names.a_container_holds_each_part_once",
        "`head`, `teacher` are one module, with one set of parameters: what changes the one",
        "copy.deepcopy gives one of its own, unless that is meant",
        TeacherIsACopy,
    ),
    Miniature(
        ShallowCopies,
        "names.a_container_holds_each_part_once",
        "`blocks.0.0`, `blocks.1.0` are one module",
        "make one for each, unless that is meant",
        BlocksOfTheirOwn,
    ),
    Miniature(
        GridOfTheFirstHeight,
        "calling.inputs_of_another_length",
        "after a call with 4 places along dimension 2 one with 3 goes wrong, which goes well by itself",
        "make it in each call, or anew where the length is another",
        Grids,
        images,
    ),
    Miniature(
        GridsBySize,
        "calling.no_tensor_is_left_on_it",
        "`cache` keeps a tensor of shape (2, 4, 4) for the calls to come, which .to() does not move",
        "a buffer with persistent=False",
        Grids,
        images,
    ),
    Miniature(
        WidthOfItsImages,
        "rows.a_row_stays_whole",
        "given images twice as high and wide, forward views (4, 3, 16, 16) as (16, 192) at reported.py:",
        "write flatten(1), and make the next layer as wide as that is",
        RowsOfItsImages,
        larger_images,
    ),
    Miniature(
        CenterInAnObject,
        "moving.a_cast_reaches_all",
        "`center.mean` is the buffer `mean` by another name, and not any more after a cast or a move",
        "look it up by the name it is registered by, as getattr(self, 'mean'), in forward",
        CenterOfItsOwn,
    ),
    Miniature(
        HidesHalf,
        "building.no_method_is_shadowed",
        "`half` hides the method half() of nn.Module",
        "give it another name",
        Net,
    ),
]
