"""Lazy modules: modules that learn the shape of their parameters from their first input.

:class:`~torch.nn.modules.lazy.LazyModuleMixin` holds back the forward of a module until
:meth:`~torch.nn.modules.lazy.LazyModuleMixin.initialize_parameters` has seen the first input. After that,
most lazy modules turn into an ordinary class.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter


# A lazy module of one's own: one weight, as long as the input.
class LazyScale(LazyModuleMixin, nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = UninitializedParameter()

    def initialize_parameters(self, x, *args, **kwargs):
        self.weight.materialize((x.shape[-1],))
        self.seen = (args, kwargs)

    def forward(self, x, *args, **kwargs):
        return x * self.weight


def test_the_first_input_gives_the_shape():
    """The first call of a lazy module gives its parameters their shape, and runs forward with them."""
    layer = nn.LazyLinear(3)

    result = layer(torch.rand(2, 5))

    assert result.shape == (2, 3)
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (3, 5)), ("bias", (3,))]


def test_has_uninitialized_params():
    """:meth:`~torch.nn.modules.lazy.LazyModuleMixin.has_uninitialized_params` is true until the first
    call.
    """
    layer = LazyScale()

    before = layer.has_uninitialized_params()
    layer(torch.rand(2, 5))

    assert (before, layer.has_uninitialized_params()) == (True, False)


def test_uninitialized_buffers_count_too():
    """``has_uninitialized_params`` looks at buffers as well as at parameters."""
    layer = nn.LazyBatchNorm1d(affine=False)

    assert (list(layer.parameters()), layer.has_uninitialized_params()) == ([], True)


def test_the_class_changes():
    """After its first call a lazy module is of the class named by ``cls_to_become``, for good."""
    layer = nn.LazyLinear(3)

    before = repr(layer)
    layer(torch.rand(2, 5))

    assert nn.LazyLinear.cls_to_become is nn.Linear
    assert type(layer) is nn.Linear
    assert (before, repr(layer)) == (
        "LazyLinear(in_features=0, out_features=3, bias=True)",
        "Linear(in_features=5, out_features=3, bias=True)",
    )


def test_without_cls_to_become_the_class_stays():
    """A lazy module whose :attr:`~torch.nn.modules.lazy.LazyModuleMixin.cls_to_become` is ``None`` keeps its
    class.
    """
    layer = LazyScale()

    layer(torch.rand(2, 5))

    assert (LazyModuleMixin.cls_to_become, type(layer)) == (None, LazyScale)
    assert type(layer.weight) is nn.Parameter


def test_parameters_stay_the_same_objects():
    """The parameters of a lazy module stay the same objects when they get their shape."""
    layer = nn.LazyLinear(3)
    before = dict(layer.named_parameters())

    layer(torch.rand(2, 5))

    assert [p is before[name] for name, p in layer.named_parameters()] == [True, True]
    assert before["weight"].shape == (3, 5)


@pytest.mark.observed
def test_the_hooks_are_taken_off():
    """After the first call the two hooks of a lazy module are removed."""
    layer = nn.LazyLinear(3)
    stores = (layer._forward_pre_hooks, layer._load_state_dict_pre_hooks)

    before = [len(store) for store in stores]
    layer(torch.rand(2, 5))

    assert (before, [len(store) for store in stores]) == ([1, 1], [0, 0])
    assert [hasattr(layer, name) for name in ("_initialize_hook", "_load_hook")] == [False, False]


def test_the_second_input_must_fit():
    """The shape is inferred once: a second input of another size raises ``RuntimeError``."""
    layer = nn.LazyLinear(3)
    layer(torch.rand(2, 5))

    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied .2x6 and 5x3"):
        layer(torch.rand(2, 6))


def test_calling_forward_infers_nothing():
    """Calling ``forward`` directly infers nothing and raises ``ValueError``: a hook does the inferring."""
    layer = nn.LazyLinear(3)

    with pytest.raises(ValueError, match=r"Attempted to use an uninitialized parameter in .*linear"):
        layer.forward(torch.rand(2, 5))

    assert layer.has_uninitialized_params() is True


def test_a_network_is_initialised_by_one_dry_run():
    """One call of a network initialises every lazy module that the call passes."""
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(8), nn.LazyBatchNorm1d())

    net(torch.rand(2, 3, 6, 5))

    assert [type(layer) for layer in net] == [nn.Conv2d, nn.Flatten, nn.Linear, nn.BatchNorm1d]
    assert (net[0].in_channels, net[2].in_features, net[3].num_features) == (3, 48, 8)


def test_move_first_then_run(device):
    """A lazy module is moved before its first call; what it makes is on that device and of that dtype."""
    layer = nn.LazyLinear(3).to(device, torch.float64)

    layer(torch.rand(2, 5, device=device, dtype=torch.float64))

    assert [p.dtype for p in layer.parameters()] == [torch.float64, torch.float64]
    assert [p.device.type for p in layer.parameters()] == [torch.device(device).type] * 2


def test_an_optimizer_may_come_before_the_first_call():
    """An optimizer takes uninitialised parameters, and trains them once they have a shape."""
    net = nn.LazyLinear(3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)

    net(torch.tensor([[1.0, 2.0]])).sum().backward()
    before = net.weight.detach().clone()
    optimizer.step()

    assert optimizer.param_groups[0]["params"][0] is net.weight
    assert torch.allclose(before - net.weight, torch.tensor([[0.5, 1.0]]).expand(3, 2))


def test_counting_parameters_too_early_fails():
    """Counting the elements of an uninitialised parameter raises ``ValueError``; the count is not 0."""
    net = nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(4))

    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter in <method 'numel'"):
        sum(p.numel() for p in net.parameters())


def test_initialize_parameters_is_required():
    """A lazy module without :meth:`~torch.nn.modules.lazy.LazyModuleMixin.initialize_parameters` raises
    ``NotImplementedError`` at its first call.
    """

    class Forgetful(LazyModuleMixin, nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(NotImplementedError, match="initialize_parameters is not implemented for Forgetful"):
        Forgetful()(torch.rand(2))


def test_initialize_parameters_must_finish():
    """A parameter left uninitialised makes the first call raise ``RuntimeError``; the module stays lazy."""

    class Unfinished(LazyScale):
        def initialize_parameters(self, x):
            pass

    layer = Unfinished()

    with pytest.raises(RuntimeError, match="module Unfinished has not been fully initialized"):
        layer(torch.rand(2))

    assert (layer.has_uninitialized_params(), len(layer._forward_pre_hooks)) == (True, 1)


def test_initialize_parameters_sees_positional_ones():
    """``initialize_parameters`` is called with the positional arguments of the first call."""
    layer = LazyScale()

    layer(torch.rand(2), "mask")

    assert layer.seen == (("mask",), {})


@pytest.mark.question("Q97")
@pytest.mark.since("2.2")
def test_initialize_parameters_sees_the_keywords():
    """``initialize_parameters`` is called with the keyword arguments of the first call too
    (:issue:`59923`).
    """
    layer = LazyScale()

    layer(torch.rand(2), "mask", scale=3)

    assert layer.seen == (("mask",), {"scale": 3})


@pytest.mark.question("Q97")
@pytest.mark.before("2.2")
def test_initialize_parameters_saw_no_keywords():
    """``initialize_parameters`` is called with positional arguments only; ``forward`` gets the keywords."""
    layer = LazyScale()

    layer(torch.rand(2), "mask", scale=3)

    assert layer.seen == (("mask",), {})


@pytest.mark.question("Q97")
@pytest.mark.since("2.2")
def test_the_input_may_be_a_keyword():
    """A lazy module may be called with its input as a keyword from the first call on."""
    layer = nn.LazyLinear(3)

    assert (layer(input=torch.rand(2, 5)).shape, type(layer)) == ((2, 3), nn.Linear)


@pytest.mark.question("Q97")
@pytest.mark.before("2.2")
def test_the_input_had_to_be_positional():
    """A first call with the input as a keyword raises ``TypeError``: ``initialize_parameters`` misses it."""
    with pytest.raises(
        TypeError, match=r"initialize_parameters.. missing 1 required positional argument: 'input'"
    ):
        nn.LazyLinear(3)(input=torch.rand(2, 5))


def test_extra_arguments_are_an_error():
    """An argument that ``initialize_parameters`` does not take raises a ``TypeError`` naming that method."""
    with pytest.raises(
        TypeError, match=r"initialize_parameters\(\) takes 2 positional arguments but 3 were given"
    ):
        nn.LazyLinear(3)(torch.rand(2, 5), "mask")


@pytest.mark.before("2.4")
def test_a_warning_at_construction():
    """Building a lazy module gives a ``UserWarning`` that lazy modules are new and may change."""
    with pytest.warns(UserWarning, match="Lazy modules are a new feature under heavy development"):
        nn.LazyLinear(3)


@pytest.mark.since("2.4")
def test_no_warning_at_construction():
    """Building a lazy module gives no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nn.LazyLinear(3)

    assert caught == []


def test_constructor_arguments_reach_the_next_class():
    """The :class:`~torch.nn.modules.lazy.LazyModuleMixin` hands the arguments of its constructor on to the
    class it is mixed into.
    """

    class LazyLinearOfOne(LazyModuleMixin, nn.Linear):
        pass

    layer = LazyLinearOfOne(2, 3, bias=False)

    assert (layer.in_features, layer.out_features, layer.bias) == (2, 3, None)
