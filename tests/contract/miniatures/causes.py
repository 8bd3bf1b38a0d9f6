"""Faults of which several causes are thinkable, and the one that was seen is told."""

import torch
from torch import nn

from miniatures import Miniature, Net, rows, sequences
from miniatures.calling import masked_steps
from miniatures.modes import masked_sequences


def longer_sequences():
    """Three sequences of six steps, each of five features: one step more than features, by chance."""
    return (torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(3)),), {}


class MeanByTheWholeMask(Net):
    """The sum over the places of a row is divided by how many there are in all rows."""

    def count(self, mask):
        return mask.sum()

    def forward(self, x, mask):
        return (super().forward(x) * mask[..., None]).sum(1) / self.count(mask)


class MeanByItsMask(MeanByTheWholeMask):
    def count(self, mask):
        return mask.sum(1, keepdim=True)


class WeighsOverTheBatch(Net):
    """Its weights add up to one over the rows of the batch, not over the steps of each."""

    dim = 0

    def forward(self, x):
        return (super().forward(x).softmax(self.dim)[..., :1] * x).sum(1)


class WeighsOverTheSteps(WeighsOverTheBatch):
    dim = 1


class PilesUpFeatures(Net):
    """It appends its features to a list in each call."""

    def __init__(self):
        super().__init__()
        self.features = []

    def forward(self, x):
        self.features.append(self.body(x))
        return self.head(self.features[-1])


class ReturnsFeatures(Net):
    def forward(self, x):
        features = self.body(x)
        return self.head(features), features


class OverwritesItsGate(Net):
    """It writes to what the gradient of a product needs."""

    def forward(self, x):
        gate = self.body(x).sigmoid()
        out = gate * x
        return self.head(out), self.moved(gate)

    def moved(self, gate):
        gate += 1
        return gate


class MovesItsGate(OverwritesItsGate):
    def moved(self, gate):
        return gate + 1


class DividesByNoSpread(Net):
    """It divides by a standard deviation, which is zero of equal numbers."""

    least = 0.0

    def forward(self, x):
        spread = x.std(-1, keepdim=True)
        return super().forward((x - x.mean(-1, keepdim=True)) / (spread + self.least))


class DividesByMoreThanNothing(DividesByNoSpread):
    least = 1e-3


class HidesEachFromItself(Net):
    """Its mask hides the diagonal too: the first place attends to nothing."""

    diagonal = 0

    def forward(self, x):
        scores = self.body(x) @ x.mT
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(self.diagonal)
        return self.head(scores.masked_fill(hidden, -torch.inf).softmax(-1) @ x)


class HidesWhatComesAfter(HidesEachFromItself):
    diagonal = 1


class TakesTheLastPlace(nn.Module):
    """The last place of what a recurrent layer gives: of a shorter row it is padding."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(4, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x, mask):
        return self.head(self.last(self.rnn(x * mask[..., None])[0], mask))

    def last(self, out, mask):
        return out[:, -1]


class TakesTheLastThatCounts(TakesTheLastPlace):
    def last(self, out, mask):
        return out[torch.arange(len(out), device=out.device), mask.sum(1) - 1]


class TakesTheLastState(TakesTheLastPlace):
    def forward(self, x, mask):
        return self.head(self.rnn(x * mask[..., None])[1][0])


class SwapsByReshape(nn.Module):
    """It has features and time change places by reshape, of six steps with five features."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x):
        return self.norm(x.reshape(x.shape[0], 5, x.shape[1])).mean(-1)


class SwapsByTranspose(SwapsByReshape):
    def forward(self, x):
        return self.norm(x.transpose(1, 2)).mean(-1)


class TiedToTheTransposed(nn.Module):
    """Its second weight is another parameter in the memory of the first."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 2, bias=False)
        self.back = nn.Parameter(self.body.weight.t())

    def forward(self, x):
        return self.body(x) @ self.back.t()


class TakesTheTransposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 2, bias=False)

    def forward(self, x):
        return self.body(x) @ self.body.weight


_DEPENDENT, _PADDING = "rows.rows_are_independent", "calling.more_padding_does_not_count"

MINIATURES = [
    Miniature(
        MeanByTheWholeMask,
        _DEPENDENT,
        "`output[0]` differs in 2 of 2 values",
        "name the dimension of time: mask.sum(dim=1, keepdim=True) for mask.sum()",
        MeanByItsMask,
        masked_sequences,
    ),
    Miniature(
        WeighsOverTheBatch,
        _DEPENDENT,
        "`output[0]` differs in 4 of 4 values",
        "or use running statistics in eval mode",
        WeighsOverTheSteps,
        sequences,
    ),
    Miniature(
        PilesUpFeatures,
        "calling.no_tensor_is_left_on_it",
        "`features` keeps what each call puts there, 1, 2 and 3 tensors after one, two and three calls",
        "return it, or keep the last alone, and its detach()",
        ReturnsFeatures,
    ),
    Miniature(
        OverwritesItsGate,
        "gradients.backward_runs",
        "backward raises RuntimeError: one of the variables needed for gradient computation",
        "`gate += 1` is needed for a gradient: write x = x + y for x += y, and clone() a tensor before it is "
        "written to",
        MovesItsGate,
    ),
    Miniature(
        DividesByNoSpread,
        "calling.nearly_equal_numbers",
        "with rows of equal numbers, such as a blank image, forward divides zero by zero at causes.py:",
        "add eps to it, x / (std + eps)",
        DividesByMoreThanNothing,
    ),
    Miniature(
        HidesEachFromItself,
        "calling.outputs_are_numbers",
        "`output` is NaN in 6 of 30 values, and nothing in this example is: the first NaN is what softmax",
        "hide what comes after it alone, torch.triu(mask, diagonal=1)",
        HidesWhatComesAfter,
        sequences,
    ),
    Miniature(
        TakesTheLastPlace,
        _PADDING,
        "`output` differs in 6 of 6 values",
        "take the last that is not, mask.sum(dim=1) - 1, or pack what the layer is given",
        TakesTheLastThatCounts,
        masked_steps,
    ),
    Miniature(
        TakesTheLastState,
        _PADDING,
        "`output` differs in 6 of 6 values",
        "take the last that is not, mask.sum(dim=1) - 1, or pack what the layer is given",
        TakesTheLastThatCounts,
        masked_steps,
    ),
    Miniature(
        SwapsByReshape,
        "calling.no_view_mixes_dimensions",
        "forward views (3, 3, 5) as (3, 5, 3) at causes.py:",
        "move dimensions with transpose or permute first, and merge neighbors only",
        SwapsByTranspose,
        longer_sequences,
    ),
    Miniature(
        TiedToTheTransposed,
        "state.memory_is_shared_by_ties_only",
        "`body.weight` and `back` are two tensors in one memory",
        "keep one alone, and take its .t() in forward, and else clone() one of them",
        TakesTheTransposed,
        rows,
    ),
]
