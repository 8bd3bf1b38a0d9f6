"""Clean modules of libraries that looked guilty, each beside a twin that is.

The repaired one of a pair does what a library does: torchmetrics, Lightning, e3nn, gpytorch and others.
"""

import functools

import torch
from torch import Tensor, nn

from miniatures import Miniature, Net, rows
from miniatures.modes import FilledByTraining


def counted(net, forward):
    """A function that holds a module."""

    @functools.wraps(forward)
    def counting(x):
        return forward(x) * len(net.scale)

    return counting


class HoldsItself(Net):
    """A function that is kept on it holds it."""

    def __init__(self):
        super().__init__()
        self.scale = [1.0]
        self.compute = counted(self, type(self).weigh)

    def weigh(x):
        return x

    def forward(self, x):
        return self.compute(super().forward(x))


class HoldsItselfAnew(HoldsItself):
    """Its copies make the function again, as metrics do."""

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "compute"}

    def __setstate__(self, state):
        vars(self).update(state)
        self.compute = counted(self, type(self).weigh)

    def _replicate_for_data_parallel(self):
        replica = super()._replicate_for_data_parallel()
        replica.compute = counted(replica, type(self).weigh)
        return replica


class AsksForTheGpu(Net):
    """Its cuda() asks which GPU is the present one."""

    def cuda(self, device=None):
        return super().cuda(torch.cuda.current_device() if device is None else device)


class AsksForTheGpuAndForgets(Net):
    def cuda(self, device=None):
        self.body.cuda(torch.cuda.current_device() if device is None else device)
        return self


class AsksForAStream(Net):
    """Its cuda() cannot do without a GPU."""

    def cuda(self, device=None):
        raise RuntimeError("Found no NVIDIA driver on your system.")


class KeepsMuchOfACall(Net):
    """One attribute with several tensors of the last call is one fault."""

    def forward(self, x):
        hidden = self.body(x)
        self.memo = {"hidden": hidden.detach(), "more": [hidden.detach().relu(), x]}
        return self.head(hidden.relu())


class KeepsItsStates(Net):
    """What it keeps of a call it moves itself, as a metric does."""

    def __init__(self):
        super().__init__()
        self.states = []

    def forward(self, x):
        self.states = [x.detach()]
        return super().forward(x)

    def _apply(self, fn, *args, **kwargs):
        super()._apply(fn, *args, **kwargs)
        self.states = [fn(state) for state in self.states]
        return self


class ComparesTheRows(Net):
    """The output is a matrix of all pairs of rows."""

    def forward(self, x):
        y = super().forward(x)
        return y @ y.T


class AsWideAsItsBatch(nn.Module):
    """It has three columns for each row, whatever the number of rows, and a mean over these."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 3)

    def forward(self, x):
        y = self.body(x)
        return y - y.mean(0)


class AddsInFloat32(Net):
    """A mask of truth values does no harm, a table in float32 does."""

    def forward(self, x):
        mask = torch.ones(4, device=x.device).bool()
        hidden = self.body(x).masked_fill(~mask, 0)
        return self.head(hidden + torch.zeros(4, device=x.device))


class AddsInItsDtype(Net):
    def forward(self, x):
        mask = torch.ones(4, device=x.device).bool()
        hidden = self.body(x).masked_fill(~mask, 0)
        return self.head(hidden + torch.zeros(4, device=x.device, dtype=x.dtype))


class FillsItsTableOnce(Net):
    """A flag says whether the table is filled: with the table of another call it is not what it says."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.zeros(4), persistent=False)
        self.filled = 0

    def forward(self, x):
        if not self.filled:
            self.table = torch.linspace(1, 2, 4, device=x.device, dtype=x.dtype)
            self.filled = 4
        return super().forward(x * self.table)


class FillsItsTableAtOnce(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.linspace(1, 2, 4), persistent=False)

    def forward(self, x):
        return super().forward(x * self.table)


class EmptyPlaceholder(Net):
    """A buffer without values is made with torch.Tensor(), as e3nn makes them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("bias", torch.Tensor())


class ValuesWhereEmpty(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("bias", torch.Tensor([1.0, 2.0]))

    def forward(self, x):
        return super().forward(x) + self.bias


class KeepsItsParameters(Net):
    """It looks up its parameters in a dict of its own. A move to any device but meta keeps them."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(4) + float(torch.ones(1)))
        self.table = {"scale": self.scale}

    def forward(self, x):
        return super().forward(x * self.table["scale"])


class KeepsItsBuffers(Net):
    """It looks up its buffers in a dict of its own. Every move makes new ones."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.rand(4) + float(torch.ones(1)))
        self.table = {"scale": self.scale}

    def forward(self, x):
        return super().forward(x * self.table["scale"])


class Integrates(Net):
    """What it has of earlier calls comes out in time, as with a neuron that fires."""

    def __init__(self):
        super().__init__()
        self.charge = torch.zeros(())

    def forward(self, x):
        y = super().forward(x)
        self.charge = self.charge.detach() + 1
        return y + (self.charge > 3)


class IntegratesInABuffer(Integrates):
    def __init__(self):
        super().__init__()
        del self.charge
        self.register_buffer("charge", torch.zeros(()), persistent=False)


class IntegratesRows(Net):
    """A neuron for each row is charged by every call, and fires in time."""

    def __init__(self):
        super().__init__()
        self.register_buffer("charge", torch.zeros(()), persistent=False)

    def forward(self, x):
        charge = self.charge.detach() if self.charge.shape[:1] == x.shape[:1] else 0
        self.charge = charge + x[:, :1]
        return super().forward(x) + (self.charge > 1.3)


class ChoosesInItsFirstCall(Net):
    """It makes a layer anew in its first call, in either mode, and goes on to drop other values."""

    def __init__(self):
        super().__init__()
        self.kind, self.drop = "sparse", nn.Dropout(0.5)

    def forward(self, x):
        if self.kind == "sparse" and len(x) < 9:
            head, self.head, self.kind = self.head, nn.Linear(4, 2), "full"
            self.head.load_state_dict(head.state_dict())
        return super().forward(self.drop(x))


class Coarse(Tensor):
    """A tensor that knows few functions, as one of a quantized layer."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in ("isnan", "isfinite", "ones_like", "equal"):
            raise NotImplementedError(func)
        return super().__torch_function__(func, types, args, kwargs or {})

    def dequantize(self):
        with torch._C.DisableTorchFunctionSubclass():
            return self.as_subclass(Tensor)


class CoarseWeight(Net):
    def __init__(self):
        super().__init__()
        self.body.weight = nn.Parameter(self.body.weight.detach().as_subclass(Coarse))


class LacksAKernel(Net):
    """It says what nn.LSTM does under autocast, on a CPU that does not compute in bfloat16."""

    def forward(self, x):
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation")
        return super().forward(x)


class MixesExperts(Net):
    """It computes as the experts of transformers do, with a function that torch has not for float64."""

    def forward(self, x):
        return super().forward(grouped(x, self.body.weight))


def grouped(x, weight):
    """The products of torch.nn.functional.grouped_mm, and its refusal."""
    if x.dtype == torch.float64:
        raise RuntimeError("Expected mat_a to be Float32, BFloat16 or Float16 matrix, got Double")
    return x @ weight


class MixesExpertsInFloat32(MixesExperts):
    """What it adds is in float32, whatever it is given."""

    def forward(self, x):
        return Net.forward(self, grouped(x, self.body.weight) + torch.zeros(4, device=x.device))


class Product(nn.Module):
    """A weight by itself, perhaps with a scale, as tltorch's tensors are modules."""

    def __init__(self, weight, scale=None):
        super().__init__()
        self.weight, self.scale = weight, scale

    def forward(self, x):
        return x @ (self.weight if self.scale is None else self.weight * self.scale)


class HandsItsWeightOn(Net):
    """What a call makes holds a parameter that the module has."""

    def forward(self, x):
        return super().forward(Product(self.body.weight)(x))


class ScalesItAnew(Net):
    """What a call makes has a parameter that nobody else has, too."""

    def forward(self, x):
        weight = self.body.weight
        return super().forward(Product(weight, nn.Parameter(torch.ones_like(weight)))(x))


class TakesASpread(Net):
    """It takes a second input, and does not look at it."""

    def forward(self, x, y):
        return super().forward(x)


class AddsASpread(Net):
    """It sees how far numbers are apart, which a mirror does not change, as kornia's Sobel does."""

    def forward(self, x, y):
        return super().forward(x) + (y - y.mean(-1, keepdim=True)).abs().sum(-1, keepdim=True)


def pairs():
    """Two inputs, each of three rows of four features."""
    (x,), _ = rows()
    return (x, x.flip(1).square()), {}


MINIATURES = [
    Miniature(
        HoldsItself,
        "registration.closures",
        "`compute` is a function that holds the module itself",
        "write a method",
        HoldsItselfAnew,
    ),
    Miniature(
        AsksForTheGpuAndForgets,
        "moving.cuda",
        "`head.weight`, `head.bias` stay on the CPU after cuda()",
        "and override _apply",
        AsksForTheGpu,
    ),
    Miniature(
        KeepsMuchOfACall,
        "calling.no_tensor_is_left_on_it",
        "`memo` keeps 3 tensors from the last call",
        "register a forward hook",
        KeepsItsStates,
    ),
    Miniature(
        AsWideAsItsBatch,
        "rows.rows_are_independent",
        "`output[0]` differs in 3 of 3 values",
        "use running statistics in eval mode",
        ComparesTheRows,
    ),
    Miniature(
        AddsInFloat32,
        "moving.computing_in_bfloat16",
        "with parameters and inputs in torch.bfloat16 it raises RuntimeError",
        "forward calls torch.zeros without dtype=: give it dtype=x.dtype",
        AddsInItsDtype,
    ),
    Miniature(
        FillsItsTableOnce,
        "calling.attributes_stay",
        "`filled` is 4 after a call and was 0 before",
        "make it a buffer",
        FillsItsTableAtOnce,
    ),
    Miniature(
        ValuesWhereEmpty,
        "building.building_on_meta",
        '`bias` is not on meta when built under torch.device("meta"): the constructor makes them with '
        "torch.Tensor(...)",
        "use torch.empty, torch.tensor and the like",
        EmptyPlaceholder,
    ),
    Miniature(
        MixesExpertsInFloat32,
        "moving.computing_in_bfloat16",
        "with parameters and inputs in torch.bfloat16 it raises RuntimeError",
        "forward calls torch.zeros without dtype=: give it dtype=x.dtype",
        MixesExperts,
    ),
    Miniature(
        ScalesItAnew,
        "calling.no_layer_is_made",
        "forward makes a Product: in each call its parameters are new",
        "make it in __init__, on self",
        HandsItsWeightOn,
    ),
    Miniature(
        TakesASpread,
        "calling.every_input_counts",
        "the input `y` counts for nothing: with other values the outputs are the same",
        "use it in forward, or do not take it",
        AddsASpread,
        pairs,
    ),
]


class AnglesOfPositions(Net):
    """Of one input it takes the length only, as encodings of positions do."""

    def forward(self, x):
        places = torch.arange(x.shape[0] * 1.0, device=x.device).to(self.body.weight.dtype)
        return super().forward(places[:, None].sin().expand(-1, 4))


class KeepsItsKeys(Net):
    """It keeps what it computes of the first keys, until it is reset."""

    keys = None

    def forward(self, x):
        if self.keys is None:
            self.keys = self.body(x)
        return super().forward(x * self.keys[: len(x)])


class FollowsAMean(Net):
    """A table that no optimizer has follows the mean of what comes in, as codebooks do."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.ones(4), requires_grad=False)

    def forward(self, x):
        y = super().forward(x * self.table)
        if self.training:
            self.table.data.mul_(0.5).add_(x.detach().mean(0))
        return y


class TellsItsSpread(Net):
    """It tells what it has seen, in a tensor of another shape than at first."""

    def __init__(self):
        super().__init__()
        self.spread = torch.zeros(1)

    def forward(self, x):
        self.spread = x.detach().std()
        return super().forward(x)


class DropsNearlyAll(Net):
    """Of one way through it, dropout leaves next to nothing."""

    def __init__(self):
        super().__init__()
        self.way, self.drop = nn.Linear(4, 4), nn.Dropout(0.9999)

    def forward(self, x):
        return super().forward(x + self.drop(self.way(x)))


class TakesASpectrum(Net):
    """torch has no Fourier transform of bfloat16."""

    def forward(self, x):
        return super().forward(torch.stft(x, 4, return_complex=True).abs().flatten(1)[:, :4])


class SparseInACall(Net):
    """It multiplies by a sparse matrix of its own, and torch says once that it checks none."""

    def forward(self, x):
        ones = torch.arange(5), torch.arange(4), x.new_ones(4)
        return super().forward((torch.sparse_csr_tensor(*ones, (4, 4)) @ x.mT).mT)


class TakesSortedRows(Net):
    """Its rows belong together: it refuses those that are not in their order."""

    def forward(self, x):
        if bool((x[:, 0].diff() < 0).any()):
            raise ValueError("rows have to be sorted by their first value")
        return super().forward(x)


class ShiftsRelativePositions(Net):
    """Transformer-XL moves each row one further than the last: it pads, views, and leaves the first out."""

    def forward(self, x):
        scores = torch.einsum("ik,jk->ij", x, self.body.weight.repeat(2, 1))  # queries by distances
        rows, columns = scores.shape
        padded = torch.cat([scores.new_zeros(rows, 1), scores], dim=1)
        return self.head(padded.view(columns + 1, rows)[1:].view(rows, columns)[:, :4])


class ReshapesToItsWidth(Net):
    """It takes rows of any number of dimensions before the last."""

    def forward(self, x):
        return super().forward(x.reshape(-1, 4))


class ScalesABranch(Net):
    """Its branch begins with next to no share, as layers of vision models do, and trains all the same."""

    def __init__(self):
        super().__init__()
        self.branch, self.wide = nn.Linear(4, 4), nn.Linear(4, 2)
        self.scale = nn.Parameter(torch.full((4,), 1e-6))

    def forward(self, x):
        return super().forward(x + self.scale * self.branch(x)) + self.wide(1000 * x)


class LooksUpWhatPads(Net):
    """Of an input that is left out it takes the row that pads, which never trains."""

    def __init__(self):
        super().__init__()
        self.shapes = nn.Embedding(5, 4, padding_idx=0)

    def forward(self, x, shapes=None):
        shapes = x.new_zeros(len(x), dtype=torch.int64) if shapes is None else shapes
        return super().forward(x + self.shapes(shapes))


class HalvesSixTimes(nn.Module):
    """Six strides leave one place of a small image, and of one twice as large."""

    def __init__(self):
        super().__init__()
        layers = [(nn.Conv2d(2, 2, 3, 2, 1), nn.BatchNorm2d(2), nn.ReLU()) for _ in range(6)]
        self.blocks = nn.Sequential(*[layer for block in layers for layer in block])
        self.head = nn.Linear(2, 2)

    def forward(self, x):
        return self.head(self.blocks(x).mean((2, 3)))


class RootOfACosine(Net):
    """It takes angles of less than a right one, and nothing is below zero by rounding."""

    def forward(self, x):
        return super().forward(torch.sqrt(torch.cos(x)))


class DirectionsOfPlaces(Net):
    """It takes the directions from each place to the next, and no two places are the same."""

    def forward(self, x):
        step = x[:, 1:] - x[:, :-1]
        return super().forward(nn.functional.pad(step / step.abs(), (0, 1)))


class ScoresAndRounds(Net):
    """It passes the gradient by what it rounds; of its factors, both start with zeros."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Parameter(torch.zeros(4, 2)), nn.Parameter(torch.zeros(2, 4))

    def forward(self, x):
        y = self.body(x)
        y = y + (y.round() - y).detach()
        return self.head(y + x @ self.down @ self.up)


#: Modules that a rule said something untrue of, with that rule; other rules may be violated.
NOT_ACCUSED = [
    ("gradients.gradients_are_not_zero", ScalesABranch),
    ("gradients.gradients_are_not_zero", LooksUpWhatPads),
    ("calling.nearly_equal_numbers", RootOfACosine),
    ("calling.nearly_equal_numbers", DirectionsOfPlaces),
    ("calling.torch_has_no_warning", SparseInACall),
    ("rows.every_row_counts", TakesSortedRows),
    ("modes.training_goes_on_after_eval", ChoosesInItsFirstCall),
    ("calling.no_view_mixes_dimensions", ShiftsRelativePositions),
    ("calling.no_view_mixes_dimensions", ReshapesToItsWidth),
    ("calling.under_autocast", LacksAKernel),
    ("moving.computing_in_float64", MixesExperts),
    ("moving.cuda", AsksForAStream),
    ("moving.computing_on_meta", KeepsItsParameters),
    ("calling.every_input_counts", AnglesOfPositions),
    ("calling.no_number_is_read", FilledByTraining),
    ("gradients.a_second_step", FollowsAMean),
    ("gradients.gradients_are_not_zero", DropsNearlyAll),
    ("loading.a_load_after_a_call", TellsItsSpread),
    ("moving.computing_in_bfloat16", TakesASpectrum),
    ("rows.rows_are_independent", KeepsItsKeys),
    ("rows.rows_are_independent", Integrates),
    ("rows.rows_are_independent", IntegratesInABuffer),
    ("rows.rows_are_independent", IntegratesRows),
    ("building.values_are_filled", CoarseWeight),
    ("calling.outputs_are_numbers", CoarseWeight),
    ("moving.float16_keeps_numbers", CoarseWeight),
    ("gradients.zero_grad_clears_all", CoarseWeight),
]
