"""State that nn.Module does not know of."""

import functools
from typing import ClassVar

import torch
from torch import nn

from miniatures import Miniature, Net


class LayersInAList(nn.Module):
    """Its layers are in a plain list."""

    def __init__(self):
        super().__init__()
        self.blocks = [nn.Linear(4, 4) for _ in range(3)]
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        for block in self.blocks:
            x = block(x).relu()
        return self.head(x)


class LayersInAModuleList(LayersInAList):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(self.blocks)


class HeadsInADict(nn.Module):
    """Its heads are in a plain dict."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.heads = {"boxes": nn.Linear(4, 2), "labels": nn.Linear(4, 3)}

    def forward(self, x):
        return {name: head(self.body(x)) for name, head in self.heads.items()}


class HeadsInAModuleDict(HeadsInADict):
    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleDict(self.heads)


class ScalesInAList(nn.Module):
    """Its parameters are in a plain list."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.scales = [nn.Parameter(torch.rand(4)), nn.Parameter(torch.rand(4))]

    def forward(self, x):
        return self.inner(x * self.scales[0]) * self.scales[1]


class ScalesInAParameterList(ScalesInAList):
    def __init__(self):
        super().__init__()
        self.scales = nn.ParameterList(self.scales)


class AnchorsInATuple(nn.Module):
    """Constant tensors that forward needs are in a tuple."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.anchors = (torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([4.0, 3.0, 2.0, 1.0]))

    def forward(self, x):
        return self.inner(x) * self.anchors[0] + self.anchors[1]


class AnchorsAsBuffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("small", torch.tensor([1.0, 2.0, 3.0, 4.0]))
        self.register_buffer("large", torch.tensor([4.0, 3.0, 2.0, 1.0]))

    def forward(self, x):
        return self.inner(x) * self.small + self.large


class TableAsAttribute(nn.Module):
    """A table that forward adds is a plain tensor, and stays on the CPU."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.table = torch.arange(4.0)

    def forward(self, x):
        return self.inner(x) + self.table


class TableAsBuffer(TableAsAttribute):
    def __init__(self):
        super().__init__()
        del self.table
        self.register_buffer("table", torch.arange(4.0))


class ScaleWithoutParameter(nn.Module):
    """A tensor that is to be trained is no nn.Parameter, so no optimizer sees it."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.scale = torch.rand(4, requires_grad=True)

    def forward(self, x):
        return self.inner(x) * self.scale


class ScaleWithParameter(ScaleWithoutParameter):
    def __init__(self):
        super().__init__()
        del self.scale
        self.scale = nn.Parameter(torch.rand(4))


class TableOnTheClass(nn.Module):
    """A table is an attribute of the class, shared by all instances."""

    table: ClassVar = torch.arange(4.0)

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return self.inner(x) + self.table


class Codec:
    """A helper that is no module and owns a layer."""

    def __init__(self):
        self.layer = nn.Linear(4, 4)

    def encode(self, x):
        return self.layer(x)


class LayerInAHelper(nn.Module):
    """A layer belongs to an object that is no module."""

    def __init__(self):
        super().__init__()
        self.codec = Codec()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.codec.encode(x))


class ModuleCodec(Codec, nn.Module):
    def __init__(self):
        nn.Module.__init__(self)
        Codec.__init__(self)


class LayerInAModule(LayerInAHelper):
    def __init__(self):
        super().__init__()
        self.codec = ModuleCodec()


class LambdaWithALayer(nn.Module):
    """A lambda holds a layer that nothing else holds."""

    def __init__(self):
        super().__init__()
        layer = nn.Linear(4, 4)
        self.project = lambda x: layer(x)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.project(x))


class MethodWithALayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def project(self, x):
        return self.layer(x)

    def forward(self, x):
        return self.head(self.project(x))


class LambdaWithItself(nn.Module):
    """A lambda refers to self: a deep copy computes with the original's weights."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.project = lambda x: self.layer(x)

    def forward(self, x):
        return self.head(self.project(x))


class PartialWithATensor(nn.Module):
    """A functools.partial holds a tensor, which stays on the CPU."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.shift = functools.partial(torch.add, torch.arange(4.0))

    def forward(self, x):
        return self.shift(self.layer(x))


class GateTimesANumber(Net):
    """Its parameter is made smaller before it is assigned, and so is no parameter."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.rand(4)) * 0.1

    def forward(self, x):
        return super().forward(x * self.gate)


class GateThatIsAParameter(GateTimesANumber):
    def __init__(self):
        Net.__init__(self)
        self.gate = nn.Parameter(torch.rand(4) * 0.1)


class HookThatFillsADict(Net):
    """A hook fills a dict of the module, which a copy of the hook does not know."""

    def __init__(self):
        super().__init__()
        kept = self.kept = {}

        def keep(module, args, output):
            kept["body"] = output

        self.body.register_forward_hook(keep)

    def forward(self, x):
        y = super().forward(x)
        return y + self.kept.pop("body").sum(1, keepdim=True)


class CallsItsBody(Net):
    def forward(self, x):
        y = self.body(x)
        return self.head(y.relu()) + y.sum(1, keepdim=True)


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


MINIATURES = [
    Miniature(
        LayersInAList,
        "registration.modules_in_containers",
        "`blocks` is a plain list with 3 modules in it: their 6 parameters are not registered",
        "use nn.ModuleList",
        LayersInAModuleList,
    ),
    Miniature(
        HeadsInADict,
        "registration.modules_in_containers",
        "`heads` is a plain dict with 2 modules in it: their 4 parameters are not registered",
        "use nn.ModuleDict",
        HeadsInAModuleDict,
    ),
    Miniature(
        ScalesInAList,
        "registration.tensors_in_containers",
        "`scales` is a plain list with 2 parameters in it",
        "use nn.ParameterList",
        ScalesInAParameterList,
    ),
    Miniature(
        AnchorsInATuple,
        "registration.tensors_in_containers",
        "`anchors` is a plain tuple with 2 tensors in it that forward uses",
        "register each with register_buffer",
        AnchorsAsBuffers,
    ),
    Miniature(
        TableAsAttribute,
        "registration.plain_attributes",
        "`table` is a plain tensor that forward uses: .to() does not move it",
        'use self.register_buffer("table", ...)',
        TableAsBuffer,
    ),
    Miniature(
        ScaleWithoutParameter,
        "registration.plain_attributes",
        "`scale` is a tensor that requires a gradient, and is no registered parameter",
        "use self.scale = nn.Parameter(...)",
        ScaleWithParameter,
    ),
    Miniature(
        TableOnTheClass,
        "registration.plain_attributes",
        "`table` is a tensor on the class TableOnTheClass: every instance shares it",
        "make it in __init__, on self",
        TableAsBuffer,
    ),
    Miniature(
        LayerInAHelper,
        "registration.objects",
        "`codec` is a Codec, no module, and holds 1 module",
        "make Codec an nn.Module",
        LayerInAModule,
    ),
    Miniature(
        LambdaWithALayer,
        "registration.closures",
        "`project` is a lambda that holds 1 module",
        "assign it to self and write a method",
        MethodWithALayer,
    ),
    Miniature(
        LambdaWithItself,
        "registration.closures",
        "`project` is a lambda that holds the module itself: copies of the module would go on computing with "
        "the original's weights",
        "write a method",
        MethodWithALayer,
    ),
    Miniature(
        PartialWithATensor,
        "registration.closures",
        "`shift` is a functools.partial that holds 1 tensor",
        "assign it to self and write a method",
        TableAsBuffer,
    ),
    Miniature(
        GateTimesANumber,
        "registration.plain_attributes",
        "`gate` is computed from a parameter that is registered nowhere",
        "as the last thing that is done",
        GateThatIsAParameter,
    ),
    Miniature(
        HookThatFillsADict,
        "registration.closures",
        "`body._forward_hooks` has a hook that holds `kept` of the module",
        "let forward call the part and use what it returns",
        CallsItsBody,
    ),
    Miniature(
        BufferToBeTrained,
        "registration.buffers_need_no_gradient",
        "`scale` is a buffer that requires a gradient",
        "make it an nn.Parameter",
        ParameterToBeTrained,
    ),
]
