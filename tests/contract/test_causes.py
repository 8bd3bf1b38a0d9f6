"""Causes that a finding names where it has seen them, of modules with other findings besides."""

import numpy as np
import pytest
import torch
from miniatures import Net, rows, sequences
from miniatures.formulas import masked
from torch import nn

from nnspec.contract import not_applicable
from nnspec.contract.findings import calling, cutting, gradients, modes, registration, using_inputs


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


def cut_off(net):
    return gradients.cut_off(net, rows, gradients.missed_by_backward(net, rows))


def test_a_line_that_calls_the_contract_is_not_the_module_s():
    net = nn.Sequential(nn.Linear(4, 4))
    net.forward = torch.no_grad()(net.forward)

    assert cutting.where_cut(net, rows, ["0.weight"]) == ""


class KeepsItsFirstOutput(Net):
    """A hook whose lambda returns something."""

    def __init__(self):
        super().__init__()
        found = self.found = {}
        self.body.register_forward_hook(lambda module, args, out: found.setdefault("body", out.detach()))


def test_a_hook_that_replaces_an_output_is_named():
    (told,) = cut_off(KeepsItsFirstOutput())

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


class Attends(nn.Module):
    """Its rate of dropout is given to attention in either mode."""

    def __init__(self):
        super().__init__()
        self.joined = nn.Linear(4, 12)

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(*self.joined(x).chunk(3, -1), dropout_p=0.5)


class GoesOn(nn.Module):
    """A state that each call leaves to the next."""

    def __init__(self):
        super().__init__()
        self.cell, self.state = nn.GRU(4, 4, batch_first=True), None

    def forward(self, x):
        out, state = self.cell(x, self.state)
        self.state = state.detach()
        return out


class DropsAlways(Net):
    """Its own layer of dropout is put into train mode by forward."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return super().forward(self.drop.train()(x))


@pytest.mark.parametrize(
    ("make", "seen", "cure"),
    [
        (Attends, "forward calls scaled_dot_product_attention at test_causes.py:", "unless self.training"),
        (GoesOn, "each call changes `state`, and computes with what the one before", "one call to the next"),
        (DropsAlways, "forward calls dropout at test_causes.py:", "the mode of `drop` to train() and eval()"),
    ],
)
def test_why_two_equal_calls_differ_is_told(make, seen, cure):
    net = make()
    net.eval()
    (told,) = modes.random_in_eval(net, sequences)

    assert f": {seen}" in told
    assert told.endswith(cure)


class KeepsNumbers(Net):
    """What the body computes is copied, number by number."""

    def forward(self, x):
        return self.head(torch.tensor([[float(one) for one in row] for row in self.body(x)]))


class Draws(Net):
    """What is drawn from a distribution does not hang on its mean."""

    def forward(self, x):
        return self.head(torch.distributions.Normal(self.body(x), 1.0).sample())


class DetachesForALook(Net):
    """It looks at what it computes, and computes on with what it was given."""

    def forward(self, x):
        return self.head(self.body(x) + self.body(x).detach().mean())


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (KeepsNumbers, "made a plain number by float() at test_causes.py:"),
        (Draws, "cut off by no_grad() at test_causes.py:"),
    ],
)
def test_where_the_graph_is_cut_is_told(make, seen):
    (told,) = cut_off(make())

    assert f"what is computed with it is {seen}" in told
    assert cut_off(DetachesForALook()) == []


def some_masked():
    """Three rows, and a mask that lets all places of the last one through."""
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    return (sequences()[0][0], mask), {}


class TakesOnesForPadding(AttendsToPadding):
    def forward(self, x, mask):
        return self.attention(x, x, x, key_padding_mask=mask.bool())[0]


def test_a_mask_that_is_taken_for_its_inverse_is_named():
    (told,) = calling.not_numbers(TakesOnesForPadding(), some_masked)

    assert told.startswith("`output` is NaN in 20 of 60 values")
    assert told.endswith("true means to leave out; give it the inverse, mask == 0")


class BeginsWithZeros(nn.Module):
    """The state of the first call is made when it is built, for three rows."""

    def __init__(self):
        super().__init__()
        self.cell, self.state = nn.LSTM(4, 4, batch_first=True), (torch.zeros(1, 3, 4), torch.zeros(1, 3, 4))

    def forward(self, x):
        out, (h, c) = self.cell(x, self.state)
        self.state = h.detach(), c.detach()
        return out


def test_a_state_is_not_told_to_be_registered():
    (told,) = registration.tensors_in_containers(BeginsWithZeros(), sequences)

    assert told.startswith("`state` is a plain tuple with 2 tensors in it that forward uses")
    assert told.endswith("and begin with x.new_zeros(...) where none is given")


class WeightOfTheStart(Net):
    """A weight that is computed once, when it is built."""

    def __init__(self):
        super().__init__()
        self.scaled = self.body.weight * 2

    def forward(self, x):
        return self.head(x @ self.scaled)


def test_what_was_computed_when_it_was_built_is_told_of_casts():
    (told,) = not_applicable.wrong_in_float64(WeightOfTheStart, rows)
    not_applicable.forget()

    assert told.startswith("`scaled` is computed from parameters and kept")


class AsksNumPy(Net):
    """It takes a sine with NumPy."""

    def forward(self, x):
        return self.head(torch.from_numpy(np.sin(self.body(x).detach().numpy())))


def test_what_numpy_cannot_take_under_autocast_is_told():
    (told,) = using_inputs.refused_under_autocast(AsksNumPy(), rows)

    assert told.endswith("NumPy has no bfloat16: write .float() before .numpy(), or compute with torch")
