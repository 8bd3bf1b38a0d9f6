"""Gradients that do not arrive, stay, or come twice."""

import functools
import itertools

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from miniatures import Miniature, Net, rows


class HeadThatNothingUses(Net):
    """It has a layer that forward does not use: DistributedDataParallel stops in the second step."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(4, 2)


class BodyCutOff(Net):
    """It detaches what its body computes, so the body is never trained."""

    def forward(self, x):
        return self.head(self.body(x).relu().detach())


class BodyFrozen(Net):
    def __init__(self):
        super().__init__()
        self.body.requires_grad_(False)

    forward = BodyCutOff.forward


class MixtureKeptFromTheFirstCall(Net):
    """It caches what it computes from a parameter: the second backward finds its graph gone."""

    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.rand(2))

    @functools.lru_cache  # noqa: B019
    def mixture(self):
        return self.alpha.softmax(0)

    def forward(self, x):
        return super().forward(x) * self.mixture()


class MixtureComputedAnew(MixtureKeptFromTheFirstCall):
    def mixture(self):
        return self.alpha.softmax(0)


class GradientGrowsWithEachCall(Net):
    """It weighs its gradients by the number of its calls."""

    def __init__(self):
        super().__init__()
        self.number_of_calls = itertools.count(1)

    def weight(self):
        return next(self.number_of_calls)

    def forward(self, x):
        x, weight = super().forward(x), self.weight()
        return weight * x + (1 - weight) * x.detach()


class GradientStaysTheSame(GradientGrowsWithEachCall):
    def weight(self):
        return 2


class ThawsInForward(Net):
    """It makes a frozen parameter trainable again in forward."""

    def forward(self, x):
        self.head.weight.requires_grad_(True)
        return super().forward(x)


class ClearsItsHeadOnly(Net):
    """Its zero_grad leaves the gradients of its body to be added to."""

    def zero_grad(self, set_to_none=True):
        self.head.zero_grad(set_to_none)


def a_row_of_zeros():
    """Three rows of four features, the second of zeros."""
    (x,), _ = rows()
    x[1] = 0
    return (x,), {}


class FreezesWithATypo(Net):
    """It sets an attribute that no one reads."""

    def __init__(self):
        super().__init__()
        for parameter in self.body.parameters():
            parameter.require_grad = False


class FreezesTheModule(Net):
    """It sets on a module what is an attribute of its parameters."""

    def __init__(self):
        super().__init__()
        self.body.requires_grad = False


class Freezes(Net):
    def __init__(self):
        super().__init__()
        self.body.requires_grad_(False)


class Damped(torch.autograd.Function):
    """Negative numbers, damped; its backward forgets the gradient that it is given."""

    @staticmethod
    def forward(ctx, x):
        slope = (1 + x.clamp(max=0) ** 2).rsqrt()
        ctx.save_for_backward(slope)
        return x * slope

    @staticmethod
    def backward(ctx, gradient):
        (slope,) = ctx.saved_tensors
        return slope**3


class DampedRight(Damped):
    @staticmethod
    def backward(ctx, gradient):
        return gradient * Damped.backward(ctx, gradient)


class ForgetsTheGradient(Net):
    """Its own activation ends backward with a gradient of its own."""

    function = Damped

    def forward(self, x):
        return self.head(self.function.apply(self.body(x)))


class PassesTheGradientOn(ForgetsTheGradient):
    function = DampedRight


class RootOfZero(nn.Module):
    """It divides by a norm, and adds eps after the root."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 4, bias=False)

    def forward(self, x):
        x = self.body(x)
        return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-6)


class RootOfMoreThanZero(RootOfZero):
    def forward(self, x):
        x = self.body(x)
        return x / (x.square().sum(1, keepdim=True) + 1e-6).sqrt()


class KeepsATableOfInferenceMode(Net):
    """Its table is made by the first call, whatever the mode."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.ones(0), persistent=False)

    def forward(self, x):
        if len(self.table) < 4 or self.table.dtype != x.dtype:
            self.table = torch.arange(1, 5, device=x.device).to(x.dtype)
        return self.head(self.body(x) * self.table)


class KeepsATableOfItsOwn(KeepsATableOfInferenceMode):
    def forward(self, x):
        return self.head(self.body(x) * torch.arange(1, 5, device=x.device).to(x.dtype))


class OverwritesASlope(Net):
    """An activation works in place on what the one before it needs for its gradient."""

    in_place = True

    def __init__(self):
        super().__init__()
        self.act = nn.ReLU(inplace=self.in_place)

    def forward(self, x):
        return self.head(self.act(self.body(x).tanh()))


class LeavesASlope(OverwritesASlope):
    in_place = False


class Again(torch.autograd.Function):
    """Computes a part again in backward, so that nothing of it has to be kept."""

    @staticmethod
    def forward(ctx, part, x, *parameters):
        ctx.part = part
        ctx.save_for_backward(x, *parameters)
        with torch.no_grad():
            return part(x)

    @staticmethod
    def backward(ctx, gradient):
        x, *parameters = ctx.saved_tensors
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = ctx.part(x)
        return None, *torch.autograd.grad(y, [x, *parameters], gradient)


class DropsOthersInBackward(Net):
    """It computes its body again in backward, where dropout drops others."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def part(self, x):
        return self.drop(self.body(x).tanh())

    def forward(self, x):
        return self.head(Again.apply(self.part, x, *self.body.parameters()))


class DropsTheSameInBackward(DropsOthersInBackward):
    def forward(self, x):
        return self.head(checkpoint(self.part, x, use_reentrant=False))


class Doubled(torch.autograd.Function):
    """Twice its input; its backward writes to the gradient that it is given."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        gradient *= 2
        return gradient


class DoubledRight(Doubled):
    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class WritesToItsGradient(Net):
    """A residual block, both ways through which get the same gradient, until one of them changes it."""

    function = Doubled

    def forward(self, x):
        x = self.body(x)
        return self.head(x + self.function.apply(x.tanh()))


class LeavesItsGradient(WritesToItsGradient):
    function = DoubledRight


class NormRunAgain(nn.Module):
    """Its norm is checkpointed, and counts each batch twice."""

    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def part(self, x):
        return self.norm(self.body(x)).tanh()

    def forward(self, x):
        return self.head(checkpoint(self.part, x, use_reentrant=False))


class NormRunOnce(NormRunAgain):
    def forward(self, x):
        return self.head(self.part(x))


class BothFactorsZero(Net):
    """A low-rank update of which both factors start at zero."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Parameter(torch.zeros(4, 2)), nn.Parameter(torch.zeros(2, 2))

    def forward(self, x):
        return super().forward(x) + x @ self.down @ self.up


class OneFactorZero(BothFactorsZero):
    def __init__(self):
        super().__init__()
        nn.init.normal_(self.down)


class WeighsTheBestByItself(nn.Module):
    """The weight of the only expert that is chosen is divided by itself."""

    def __init__(self):
        super().__init__()
        self.gate, self.experts = nn.Linear(4, 3), nn.Linear(4, 6)

    def weight(self, best):
        return best / best.sum(-1, keepdim=True)

    def forward(self, x):
        best, place = self.gate(x).softmax(-1).topk(1)
        outputs = self.experts(x).unflatten(-1, (3, 2))
        return outputs.gather(1, place[..., None].expand(-1, 1, 2))[:, 0] * self.weight(best)


class WeighsTheBest(WeighsTheBestByItself):
    def weight(self, best):
        return best


MINIATURES = [
    Miniature(
        HeadThatNothingUses,
        "gradients.forward_uses_every_parameter",
        "with this example forward does not use 2 parameters: `spare.weight`, `spare.bias` get no gradient",
        "or give DistributedDataParallel find_unused_parameters=True",
        Net,
    ),
    Miniature(
        BodyCutOff,
        "gradients.backward_reaches_every_parameter",
        "forward uses `body.weight`, `body.bias`, and backward does not get there: what is computed",
        "return it and cut nothing, or freeze with requires_grad_(False)",
        BodyFrozen,
    ),
    Miniature(
        MixtureKeptFromTheFirstCall,
        "gradients.a_second_step",
        "the backward of a second call raises RuntimeError: Trying to backward through the graph a second "
        "time",
        "not kept from the first",
        MixtureComputedAnew,
    ),
    Miniature(
        GradientGrowsWithEachCall,
        "gradients.a_second_step",
        "in a second equal call the gradient of `body.weight` differs in 12 of 16 values, by up to 0.2, and "
        "so with `body.bias`, `head.weight`, `head.bias`",
        "keep nothing from one call to the next",
        GradientStaysTheSame,
    ),
    Miniature(
        ThawsInForward,
        "gradients.freezing",
        "`head.weight` requires a gradient after requires_grad_(False) and a call",
        "set requires_grad neither in forward nor in an override of requires_grad_",
        Net,
    ),
    Miniature(
        ClearsItsHeadOnly,
        "gradients.zero_grad_clears_all",
        "`body.weight`, `body.bias` keep their gradients after zero_grad()",
        "call super().zero_grad() where it is overridden",
        Net,
    ),
    Miniature(
        FreezesWithATypo,
        "gradients.what_is_frozen_is_not_trained",
        "`body.weight`, `body.bias` have require_grad = False and are trained all the same",
        "or call requires_grad_(False)",
        Freezes,
    ),
    Miniature(
        FreezesTheModule,
        "gradients.what_is_frozen_is_not_trained",
        "`body` has requires_grad = False, which is a plain attribute of a module: its 2 parameters are",
        "call requires_grad_(False) on it",
        Freezes,
    ),
    Miniature(
        ForgetsTheGradient,
        "gradients.backward_is_linear",
        "the gradient of `body.weight` differs in 16 of 16 values",
        "multiply by that gradient, grad * ...",
        PassesTheGradientOn,
    ),
    Miniature(
        RootOfZero,
        "gradients.a_row_of_zeros",
        "if a row of the inputs is zero, the outputs are numbers, and the gradients of `body.weight` are NaN",
        "mind that torch.where does not hide the branch not taken",
        RootOfMoreThanZero,
    ),
    Miniature(
        RootOfZero,
        "gradients.gradients_are_numbers",
        "with this example the outputs are numbers, and the gradients of `body.weight` are NaN",
        "mind that torch.where does not hide the branch not taken",
        RootOfMoreThanZero,
        a_row_of_zeros,
    ),
    Miniature(
        KeepsATableOfInferenceMode,
        "gradients.after_inference_mode",
        "after a call under torch.inference_mode() a step of training raises RuntimeError: Inference tensors",
        "or under torch.inference_mode(False)",
        KeepsATableOfItsOwn,
    ),
    Miniature(
        OverwritesASlope,
        "gradients.backward_runs",
        "backward raises RuntimeError: one of the variables needed for gradient computation",
        "`act` overwrites a tensor that the step before needs for its gradient: make it with inplace=False",
        LeavesASlope,
    ),
    Miniature(
        DropsOthersInBackward,
        "gradients.backward_goes_the_way_of_forward",
        "the gradient of `body.weight`, `body.bias` are others if numbers are drawn",
        "use torch.utils.checkpoint, which puts the generator back",
        DropsTheSameInBackward,
    ),
    Miniature(
        WritesToItsGradient,
        "gradients.backward_goes_the_way_of_forward",
        "the backward of Doubled writes to the gradient that it is given",
        "compute a new one: grad * 2 for grad *= 2",
        LeavesItsGradient,
    ),
    Miniature(
        NormRunAgain,
        "gradients.backward_changes_no_buffer",
        "backward changes `norm.running_mean`, `norm.running_var`, `norm.num_batches_tracked`",
        "leave batch norm out of what is checkpointed",
        NormRunOnce,
    ),
    Miniature(
        BothFactorsZero,
        "gradients.gradients_are_not_zero",
        "the gradient of `down`, `up` is zero",
        "a softmax or a quotient of one number by itself is 1 whatever it is",
        OneFactorZero,
    ),
    Miniature(
        WeighsTheBestByItself,
        "gradients.gradients_are_not_zero",
        "the gradient of `gate.weight` is zero",
        "a softmax or a quotient of one number by itself is 1 whatever it is",
        WeighsTheBest,
    ),
]
