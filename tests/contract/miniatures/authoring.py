"""Faults of attention, of quantizers and of backwards written by hand, as authors report them."""

import torch
from torch import nn
from torch.nn import functional as F

from miniatures import Miniature, Net, sequences

DEVICE = torch.device("cpu")


class SendsToItsDevice(Net):
    """It numbers its places on a device that was chosen when its file was imported."""

    def forward(self, x):
        return super().forward(x + self.places(x))

    def places(self, x):
        return torch.arange(x.shape[-1], dtype=x.dtype).to(DEVICE)


class FollowsItsInput(SendsToItsDevice):
    def places(self, x):
        return torch.arange(x.shape[-1], dtype=x.dtype, device=x.device)


class Quantizes(Net):
    """Takes the nearest of its codes, and what has found it gets no gradient."""

    def __init__(self):
        super().__init__()
        self.codes = nn.Embedding(5, 4)

    def forward(self, x):
        x = self.body(x)
        nearest = (x[..., None, :] - self.codes.weight).square().sum(-1).argmin(-1)
        return self.head(self.passed(x, self.codes(nearest)))

    def passed(self, x, code):
        return code


class QuantizesStraightThrough(Quantizes):
    def passed(self, x, code):
        return x + (code - x).detach() + code - code.detach()


class RemembersAtRandom(Net):
    """Its memory is drawn at random, and never trained."""

    def __init__(self):
        super().__init__()
        self.memory = self.made(torch.randn(3, 4))

    def forward(self, x):
        return super().forward((x @ self.memory.mT).softmax(-1) @ self.memory)

    def made(self, memory):
        return memory


class LearnsItsMemory(RemembersAtRandom):
    def made(self, memory):
        return nn.Parameter(memory)


class SeesTheNext(Net):
    """Its mask begins one place too late: each place sees the one that it is to predict."""

    diagonal = 2

    def forward(self, x):
        scores = self.body(x) @ x.mT
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(self.diagonal)
        return self.head(scores.masked_fill(hidden, -torch.inf).softmax(-1) @ x)


class SeesWhatHasBeen(SeesTheNext):
    diagonal = 1


class LeavesOutWhatHasBeen(nn.Module):
    """True in its mask means to take in, and attention leaves out what is true."""

    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        mask = self.mask(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device))
        return self.head(self.attention(x, x, x, attn_mask=mask, need_weights=False)[0])

    def mask(self, ones):
        return ones.tril()


class LeavesOutWhatComes(LeavesOutWhatHasBeen):
    def mask(self, ones):
        return ones.triu(1)


class TakesInWhatComes(Net):
    """The same the other way round."""

    def forward(self, x):
        mask = self.mask(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device))
        return self.head(F.scaled_dot_product_attention(self.body(x), x, x, attn_mask=mask))

    def mask(self, ones):
        return ones.triu(1)


class TakesInWhatHasBeen(TakesInWhatComes):
    def mask(self, ones):
        return ones.tril()


class ExtendsItsDefault(nn.Module):
    """Each instance has more layers than the one before."""

    def __init__(self, sizes=[4, 4]):  # noqa: B006
        super().__init__()
        sizes.insert(0, 4)
        self.layers = nn.Sequential(*(nn.Linear(one, 4) for one in sizes))

    def forward(self, x):
        return self.layers(x)


class CopiesItsDefault(nn.Module):
    def __init__(self, sizes=(4, 4)):
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(one, 4) for one in [4, *sizes]))

    def forward(self, x):
        return self.layers(x)


class _Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        gate = x.sigmoid()
        return grad * (gate + gate * (1 - gate))


class _SwishWithItsTerm(_Swish):
    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        gate = x.sigmoid()
        return grad * (gate + x * gate * (1 - gate))


class LeavesATermOut(Net):
    """The backward of its activation lacks a factor."""

    activation = _Swish

    def forward(self, x):
        return self.head(self.activation.apply(self.body(x)))


class HasTheTerm(LeavesATermOut):
    activation = _SwishWithItsTerm


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.factor * grad, None


class _Round(torch.autograd.Function):
    """Rounds to a step that is learned, and passes another gradient to each on purpose."""

    @staticmethod
    def forward(x, step):
        return (x / step).round() * step

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        x, step = ctx.saved_tensors
        return grad, (grad * ((x / step).round() - x / step)).sum()


class _Clamp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(-0.2, 0.2)

    @staticmethod
    def backward(ctx, grad):
        return grad


class _Sign(torch.autograd.Function):
    """Signs times the mean of what is large; backward takes the mean for a constant."""

    @staticmethod
    def forward(ctx, x):
        scale = x.abs().mean()
        ctx.save_for_backward(scale)
        return scale * x.sign()

    @staticmethod
    def backward(ctx, grad):
        (scale,) = ctx.saved_tensors
        return grad * scale


class PassesOthersOnPurpose(Net):
    """A reversal, a rounding, a clamp and a sign whose backward is not the gradient, and is meant."""

    def __init__(self):
        super().__init__()
        self.step = nn.Parameter(torch.tensor(0.1))

    def forward(self, x):
        x = _Reverse.apply(self.body(x), 0.3)
        return self.head(_Sign.apply(_Clamp.apply(_Round.apply(x, self.step))))


MINIATURES = [
    Miniature(
        SendsToItsDevice,
        "moving.computing_on_meta",
        "on another device forward calls add with tensors on meta and on cpu at authoring.py:",
        "take the device of the inputs, x.device, and none that was named before",
        FollowsItsInput,
    ),
    Miniature(
        Quantizes,
        "gradients.backward_reaches_every_parameter",
        "forward uses `body.weight`, `body.bias`, and backward does not get there: what is computed with it "
        "is made whole numbers by argmin at authoring.py:",
        "lead the gradient past that, x + (y - x).detach(), or freeze with requires_grad_(False)",
        QuantizesStraightThrough,
    ),
    Miniature(
        RemembersAtRandom,
        "registration.plain_attributes",
        "`memory` is a plain tensor that forward uses",
        "or self.memory = nn.Parameter(...) if what is drawn at random is to learn",
        LearnsItsMemory,
    ),
    Miniature(
        SeesTheNext,
        "calling.masks_hide_what_comes",
        "softmax at authoring.py:",
        "hide all that comes after a place, torch.triu(mask, diagonal=1)",
        SeesWhatHasBeen,
        sequences,
    ),
    Miniature(
        ExtendsItsDefault,
        "names.names_are_stable",
        "`layers.",
        "give None as the default, or work on a copy of what is given",
        CopiesItsDefault,
    ),
    Miniature(
        LeavesATermOut,
        "gradients.backward_gives_the_gradient",
        "the backward of _Swish at authoring.py:",
        "or leave the backward to autograd",
        HasTheTerm,
    ),
]
