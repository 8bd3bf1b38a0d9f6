"""Gradients that do not arrive, stay, or come twice."""

import functools

import torch
from torch import nn

from miniatures import Miniature, Net


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


class ThawsInForward(Net):
    """It makes a frozen parameter trainable again in forward."""

    def forward(self, x):
        self.head.weight.requires_grad_(True)
        return super().forward(x)


class ClearsItsHeadOnly(Net):
    """Its zero_grad leaves the gradients of its body to be added to."""

    def zero_grad(self, set_to_none=True):
        self.head.zero_grad(set_to_none)


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
]
