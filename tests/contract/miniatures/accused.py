"""Clean modules that looked guilty, each beside a twin that is.

The repaired one of a pair is of a kind that real libraries have; the faulty one looks like it.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from miniatures import Miniature, Net, rows, sequences
from miniatures.carrying import PassesMessages
from miniatures.carrying import graphs as nodes


class PowerIteration(Net):
    """Each call in train mode goes a step on, as old spectral norm does."""

    def __init__(self):
        super().__init__()
        self.register_buffer("u", torch.ones(4))

    def forward(self, x):
        if self.training:
            self.u = nn.functional.normalize(self.body.weight.detach() @ self.u, dim=0)
        return super().forward(x) / (1 + self.u @ self.body.weight @ self.u)


class PowerIterationInARegistry(PowerIteration):
    registry: ClassVar = []

    def __init__(self):
        super().__init__()
        self.number = len(self.registry)
        self.registry.append(self.body)

    def forward(self, x):
        return super().forward(x) + self.registry[self.number](x).mean(1, keepdim=True)


class ActivationAsDefault(Net):
    """All instances share an activation, which has no state."""

    def __init__(self, act=nn.ReLU()):  # noqa: B008
        super().__init__()
        self.act = act

    def forward(self, x):
        return self.head(self.act(self.body(x)))


class ActivationCalledDirectly(ActivationAsDefault):
    def forward(self, x):
        return self.head(self.act.forward(self.body(x)))


class ActOfItsOwnCall(nn.ReLU):
    def __call__(self, x):
        return self.forward(x)


class CallOfTheChildOverridden(ActivationAsDefault):
    """A child overrides __call__."""

    def __init__(self):
        super().__init__(ActOfItsOwnCall())


class ReentrantCheckpoint(Net):
    """Its graph is made in backward, which torch.autograd.grad refuses."""

    def forward(self, x):
        return checkpoint(self.head, self.body(x), use_reentrant=True)


class ReentrantCheckpointOfInputs(Net):
    """No input of the checkpoint requires a gradient, and so none gets out of it."""

    def forward(self, x):
        return self.head(checkpoint(self.body, x, use_reentrant=True))


class TableMadeAnew(Net):
    """Its table grows with its first call, and a flag remembers it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.zeros(1), persistent=False)

    def forward(self, x):
        if self.table.shape[0] < x.shape[1]:
            self.table = torch.linspace(1, 2, x.shape[1], device=x.device, dtype=x.dtype)
        return super().forward(x * self.table.to(x))


class TableMadeOnceOfParameters(TableMadeAnew):
    """The same, and computed with a parameter."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def forward(self, x):
        if not self.kept:
            self.kept.append(self.body.weight.sum().relu() + 1)
        return super().forward(x * self.kept[0])


class StatesMovedByItself(Net):
    """It takes a plain tensor along in an _apply of its own, as metrics do."""

    def __init__(self):
        super().__init__()
        self.offset = torch.arange(4.0)

    def _apply(self, fn, *args, **kwargs):
        super()._apply(fn, *args, **kwargs)
        self.offset = fn(self.offset)
        return self

    def forward(self, x):
        return super().forward(x + self.offset)


class StatesLeftBehind(StatesMovedByItself):
    _apply = nn.Module._apply


class Graph:
    """An input that can be called and copies itself."""

    def __init__(self, x):
        self.x = x

    def __call__(self, name):
        return getattr(self, name)

    def __deepcopy__(self, memo):
        return Graph(self.x.clone())


def graphs():
    return (Graph(rows()[0][0]),), {}


class TakesAGraph(Net):
    def forward(self, graph):
        return super().forward(graph("x"))


class TakesAGraphToFloat32(TakesAGraph):
    def forward(self, graph):
        return super().forward(graph).float()


class Record:
    """An output that keeps books."""

    number = 0

    def __init__(self, scores):
        Record.number += 1
        self.scores, self.number = scores, Record.number


class ReturnsARecord(Net):
    def forward(self, x):
        return Record(super().forward(x))


class ReturnsARandomRecord(Net):
    def forward(self, x):
        return Record(nn.functional.dropout(super().forward(x), 0.5))


class Shapes(tuple):
    """A tuple whose length nobody may ask for."""

    __slots__ = ()

    def __len__(self):
        raise NotImplementedError("ask for its dimension")


class HoldsShapes(Net):
    def __init__(self):
        super().__init__()
        self.shapes = Shapes([2, 3])


class HoldsLayersInShapes(Net):
    def __init__(self):
        super().__init__()
        self.shapes = Shapes([nn.Linear(2, 2)])


class BufferOfTwoNames(Net):
    """One buffer has two names, which torch itself separates in a cast."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.tensor([0.5, 1.5]))
        self.register_buffer("factor", self.scale)

    def forward(self, x):
        return super().forward(x) * self.scale + self.factor


class BufferOfTwoNamesCopied(BufferOfTwoNames):
    def __deepcopy__(self, memo):
        copied = BufferOfTwoNames()
        copied.register_buffer("factor", self.scale.clone())
        copied.load_state_dict(self.state_dict())
        return copied


class LayersLeftOutByChance(Net):
    """Each call in train mode leaves layers out by chance."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x):
        for block in self.blocks:
            if not self.training or torch.rand(()) < 0.6:
                x = block(x)
        return super().forward(x)


class LayersLeftOutAlways(LayersLeftOutByChance):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(4, 4)


class AskedForItsDtype(Net):
    """Forward asks a parameter for its dtype only."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Parameter(torch.rand(2))

    def forward(self, x):
        return super().forward(x if self.spare.is_floating_point() else x * 2)


class ExpandedBuffer(Net):
    """A buffer is one number, seen many times."""

    def __init__(self):
        super().__init__()
        self.register_buffer("bias", torch.tensor(0.5).expand(2), persistent=False)

    def forward(self, x):
        return super().forward(x) + self.bias


def links():
    return torch.sparse_coo_tensor([[0, 1], [1, 2]], torch.ones(2), (4, 4))


class SparseBuffer(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer(
            "links", torch.sparse_coo_tensor([[0, 1], [1, 2]], torch.ones(2), (4, 4)), persistent=False
        )

    def forward(self, x):
        return super().forward((self.links @ x.T).T)


class SparseBufferAsAttribute(SparseBuffer):
    def __init__(self):
        super().__init__()
        del self.links
        self.links = links()


class AsksForItsVersion(Net):
    """It cannot do with what pickle gives it."""

    def __setstate__(self, state):
        super().__setstate__({**state, "version": state["version"]})

    def __deepcopy__(self, memo):
        copied = type(self)()
        copied.load_state_dict(self.state_dict())
        return copied


class KnowsItsVersion(AsksForItsVersion):
    def __init__(self):
        super().__init__()
        self.version = 2


class LegacyConstructor(Net):
    """torch.Tensor(...) follows no torch.device."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.Tensor(2).fill_(1.5))

    def forward(self, x):
        return super().forward(x) * self.scale


class FactoryFunction(LegacyConstructor):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.full((2,), 1.5))


class ResultThrownAway(Net):
    """It computes with a layer and returns something else."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(4, 2)

    def forward(self, x):
        self.spare(x)
        return super().forward(x)


class NoiseOfTheParent(Net):
    """The parent draws noise, and hands it to a child that is innocent."""

    def forward(self, x):
        return super().forward(x + torch.rand_like(x))


class LstmWithALambda(nn.Module):
    """What cannot be pickled is the lambda, and not the weak references of the LSTM."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 4, batch_first=True)
        self.lstm.act = lambda x: x.relu()

    def forward(self, x):
        return self.lstm.act(self.lstm(x[:, None])[0])


class LstmWithAMethod(LstmWithALambda):
    def __init__(self):
        super().__init__()
        self.lstm.act = torch.relu


class HookOnTheOriginal(Net):
    """A hook refers to the module that registered it."""

    def __init__(self):
        super().__init__()
        self.body.register_forward_hook(lambda module, args, output: output + self.body.bias)


def add_bias(module, args, output):
    return output + module.bias


class HookOnItsArgument(Net):
    def __init__(self):
        super().__init__()
        self.body.register_forward_hook(add_bias)


class CacheThatIsNotPersistent(Net):
    """The first call fills a buffer that is there from the start."""

    def __init__(self):
        super().__init__()
        self.register_buffer("cache", None, persistent=False)

    def forward(self, x):
        if self.cache is None or self.cache.device != x.device:
            self.cache = torch.arange(4, device=x.device)
        return super().forward(x * self.cache)


class CacheThatAsksForItsDevice(CacheThatIsNotPersistent):
    """No move takes it along, and none has to: where the inputs are elsewhere, it is made anew."""

    def __init__(self):
        super().__init__()
        del self.cache
        self.cache = None


class CacheInAnAttribute(CacheThatAsksForItsDevice):
    def forward(self, x):
        if self.cache is None:
            self.cache = torch.arange(4, device=x.device)
        return Net.forward(self, x * self.cache)


class AbsoluteValues(Net):
    """It has complex parameters, which double() leaves as they are."""

    def __init__(self):
        super().__init__()
        self.phase = nn.Parameter(torch.randn(2, dtype=torch.cfloat))

    def forward(self, x):
        return (super().forward(x) * self.phase).abs()


class TakesPictures(Net):
    """A list of pictures of three channels is no batch of three rows."""

    def forward(self, pictures):
        return [super(TakesPictures, self).forward(picture - picture.mean(0)) for picture in pictures]


class WithoutMemory(Tensor):
    """A tensor that does not tell where it lies."""

    def untyped_storage(self):
        raise NotImplementedError("it has none")

    def __deepcopy__(self, memo):
        return self.as_subclass(Tensor).clone().as_subclass(WithoutMemory)


class BufferWithoutMemory(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.tensor([0.5, 1.5]).as_subclass(WithoutMemory))

    def forward(self, x):
        return super().forward(x) * self.scale.as_subclass(Tensor)


class BufferOfANestedTensor(Net):
    def __init__(self):
        super().__init__()
        parts = [torch.ones(2), torch.ones(3)]
        self.register_buffer("parts", torch.nested.nested_tensor(parts, layout=torch.jagged), False)


class TakesASubclass(Net):
    """Its input is a tensor of a class of its own."""

    def forward(self, x):
        return super().forward(x.as_subclass(Tensor))


def subclassed():
    return (rows()[0][0].as_subclass(WithoutMemory),), {}


FIRST_IS = "`output` is torch.float32 though parameters and inputs are torch.float64"

MINIATURES = [
    Miniature(
        PowerIterationInARegistry,
        "copying.a_deep_copy_is_independent",
        "after a change of the original, the deep copy gives another output",
        "write functions kept on self as methods",
        PowerIteration,
    ),
    Miniature(
        ActivationCalledDirectly,
        "calling.hooks_of_submodules_run",
        "`act`.forward ran once, its hooks never: forward is called directly",
        "call the module itself",
        ActivationAsDefault,
    ),
    Miniature(
        CallOfTheChildOverridden,
        "calling.hooks_of_submodules_run",
        "`act`.forward ran once, its hooks never: ActOfItsOwnCall overrides __call__",
        "write forward instead",
        ActivationAsDefault,
    ),
    Miniature(
        ReentrantCheckpointOfInputs,
        "gradients.backward_reaches_every_parameter",
        "forward uses `body.weight`, `body.bias`, and backward does not get there",
        "or freeze with requires_grad_(False)",
        ReentrantCheckpoint,
    ),
    Miniature(
        StatesLeftBehind,
        "registration.plain_attributes",
        "`offset` is a plain tensor that forward uses",
        'use self.register_buffer("offset", ...)',
        StatesMovedByItself,
    ),
    Miniature(
        TakesAGraphToFloat32,
        "moving.computing_in_float64",
        FIRST_IS,
        "x.to(y.dtype) for .float()",
        TakesAGraph,
        graphs,
    ),
    Miniature(
        ReturnsARandomRecord,
        "modes.eval_is_deterministic",
        "two equal calls in eval mode differ, first in the forward of `ReturnsARandomRecord`: "
        "`output.scores` differs",
        "give it training=self.training",
        ReturnsARecord,
    ),
    Miniature(
        HoldsLayersInShapes,
        "registration.modules_in_containers",
        "`shapes` is a plain Shapes with 1 module in it",
        "use nn.ModuleList",
        HoldsShapes,
    ),
    Miniature(
        BufferOfTwoNamesCopied,
        "copying.ties_are_kept",
        "`scale`, `factor` are one tensor, and in a deep copy they are several",
        "or leave both as they are",
        BufferOfTwoNames,
    ),
    Miniature(
        LayersLeftOutAlways,
        "gradients.forward_uses_every_parameter",
        "with this example forward does not use 2 parameters: `spare.weight`, `spare.bias` get no gradient",
        "find_unused_parameters=True",
        LayersLeftOutByChance,
    ),
    Miniature(
        AskedForItsDtype,
        "gradients.forward_uses_every_parameter",
        "with this example forward does not use 1 parameter: `spare` gets no gradient",
        "find_unused_parameters=True",
        Net,
    ),
    Miniature(
        SparseBufferAsAttribute,
        "registration.plain_attributes",
        "`links` is a plain tensor that forward uses",
        'use self.register_buffer("links", ...)',
        SparseBuffer,
    ),
    Miniature(
        AsksForItsVersion,
        "copying.pickling",
        "it is pickled, and pickle.loads raises KeyError: 'version' at accused.py:",
        "without __getnewargs__",
        KnowsItsVersion,
    ),
    Miniature(
        LegacyConstructor,
        "building.building_on_meta",
        '`scale` is not on meta when built under torch.device("meta"): the constructor makes them with '
        "torch.Tensor(...)",
        "use torch.empty, torch.tensor and the like",
        FactoryFunction,
    ),
    Miniature(
        ResultThrownAway,
        "gradients.backward_reaches_every_parameter",
        "forward uses `spare.weight`, `spare.bias`, and backward does not get there: what is computed with "
        "it is not returned",
        "or freeze with requires_grad_(False)",
        Net,
    ),
    Miniature(
        NoiseOfTheParent,
        "modes.eval_is_deterministic",
        "two equal calls in eval mode differ, first in the forward of `NoiseOfTheParent`",
        "draw random numbers only if self.training",
        Net,
    ),
    Miniature(
        LstmWithALambda,
        "copying.pickling",
        "`lstm.act` cannot be pickled",
        "when they are needed",
        LstmWithAMethod,
    ),
    Miniature(
        HookOnTheOriginal,
        "registration.closures",
        "`body._forward_hooks` has a hook that holds 1 module of the module",
        "let it take the module from its arguments",
        HookOnItsArgument,
    ),
    Miniature(
        CacheInAnAttribute,
        "calling.no_tensor_is_left_on_it",
        "`cache` keeps a tensor of shape (4,) for the calls to come, which .to() does not move",
        "a buffer with persistent=False",
        CacheThatIsNotPersistent,
    ),
]


def pictures():
    generator = torch.Generator().manual_seed(3)
    return ([torch.rand(3, 4, generator=generator), torch.rand(3, 4, generator=generator)],), {}


class LooksUnlessCompiled(Net):
    """It looks whether there is anything to clip, and not where torch.compile would cut its graph."""

    def forward(self, x):
        if not torch.compiler.is_compiling() and bool((x < 9).all()):
            return super().forward(x)
        return super().forward(x.clamp(max=9))


class LooksUnlessCompiledByName(Net):
    """The same, with the function of torch itself, as who writes ``from torch.compiler import`` has it."""

    def __init__(self):
        super().__init__()
        self.is_compiling = torch.compiler.is_compiling

    def forward(self, x):
        if not self.is_compiling() and bool((x < 9).all()):
            return super().forward(x)
        return super().forward(x.clamp(max=9))


def probabilities():
    """Three rows and targets between zero and one."""
    generator = torch.Generator().manual_seed(3)
    return (torch.rand(3, 4, generator=generator), torch.rand(3, 4, generator=generator)), {}


def projecting():
    """A layer that one backend has no kernel for, as torch says in each call."""
    return nn.LSTM(4, 6, proj_size=3, batch_first=True)


#: Clean modules that have no twin here: that of :mod:`miniatures.modes`, or of another file, is guilty.
class Attends(nn.Module):
    """A mean of places that is weighted by scores."""

    def __init__(self):
        super().__init__()
        self.score, self.head = nn.Linear(4, 1), nn.Linear(4, 2)

    def forward(self, x, mask):
        weights = self.masked(self.score(x).squeeze(-1), mask).softmax(-1).unsqueeze(-1)
        return self.head((weights.to(x.dtype) * x).sum(1))


class AttendsWhereItIsNotZero(Attends):
    """Its mask is of floating numbers, of which zero leaves out: no other counts."""

    def masked(self, scores, mask):
        return scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)


class AttendsByASum(Attends):
    """Its mask is added to scores, which does not count where it is the same for all."""

    def masked(self, scores, mask):
        return scores + mask


class CountsPlacesBeforeItAttends(Attends):
    """Its softmax leaves out what the mask leaves out; its convolution has taken that in before."""

    def __init__(self):
        super().__init__()
        self.near = nn.Conv1d(4, 4, 3, padding=1)

    def masked(self, scores, mask):
        return scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)

    def forward(self, x, mask):
        return super().forward(self.near(x.mT).mT, mask)


def masked_by_whole_ones():
    """Three sequences, and a mask of whole numbers that leaves nothing out."""
    return (sequences()[0][0], torch.ones(3, 5, dtype=torch.int64)), {}


def masked_by_ones():
    """Three sequences, and a mask of floating numbers that leaves nothing out."""
    return (sequences()[0][0], torch.ones(3, 5)), {}


def masked_by_zeros():
    """Three sequences, and a mask that is added and leaves nothing out."""
    return (sequences()[0][0], torch.zeros(3, 5)), {}


CLEAN = {
    "a mask of ones": (AttendsWhereItIsNotZero, masked_by_ones),
    "a mask of zeros": (AttendsByASum, masked_by_zeros),
    "table made anew": (TableMadeAnew, rows),
    "a look unless compiled": (LooksUnlessCompiled, rows),
    "a look unless compiled, by name": (LooksUnlessCompiledByName, rows),
    "expanded buffer": (ExpandedBuffer, rows),
    "a cache that asks for its device": (CacheThatAsksForItsDevice, rows),
    "complex parameters": (AbsoluteValues, rows),
    "an input of a subclass": (TakesASubclass, subclassed),
    "a list of pictures": (TakesPictures, pictures),
    "inputs between zero and one": (nn.BCELoss, probabilities),
    "a layer that a backend lacks": (projecting, sequences),
    "an input for each pair of rows": (PassesMessages, nodes),
}
