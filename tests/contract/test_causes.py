"""Causes that a finding names where it has seen them, of modules with other findings besides."""

import torch
from miniatures import Net, rows
from miniatures.formulas import masked
from torch import nn

from nnspec.contract.findings import gradients, modes, using_inputs


class AttendsToPadding(nn.Module):
    """What is to be kept is what attention leaves out."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x, mask):
        return self.attention(x, x, x, key_padding_mask=mask, need_weights=False)[0]


def test_a_mask_that_leaves_all_out_is_named():
    (told,) = using_inputs.uncounted(AttendsToPadding(), masked)

    assert told.startswith("the input `x` counts for nothing")
    assert told.endswith(
        "`attention` is given a key_padding_mask that is true everywhere, and true means to leave out: give "
        "it the inverse, ~mask"
    )


class KeepsItsFirstOutput(Net):
    """A hook whose lambda returns something."""

    def __init__(self):
        super().__init__()
        found = self.found = {}
        self.body.register_forward_hook(lambda module, args, out: found.setdefault("body", out.detach()))


def test_a_hook_that_replaces_an_output_is_named():
    missed = gradients.missed_by_backward(KeepsItsFirstOutput(), rows)
    (told,) = gradients.cut_off(KeepsItsFirstOutput(), rows, missed)

    assert told.startswith("backward does not reach `body.weight`, `body.bias`: a forward hook of `body` ")


class GoesThroughOnce(nn.Module):
    """An iterator, which the first call uses up."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.pairs = zip(self.layers, (0.5, 2.0), strict=True)

    def forward(self, x):
        for layer, factor in self.pairs:
            x = layer(x) * factor
        return x


def test_an_iterator_that_is_used_up_is_named():
    net = GoesThroughOnce()
    net.eval()
    (told,) = modes.random_in_eval(net, rows)

    assert "`pairs` is an iterator, as zip, map and enumerate give" in told
    assert torch.equal(net(rows()[0][0]), rows()[0][0])
