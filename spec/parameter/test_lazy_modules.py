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
    """The first call of a lazy module, such as ``nn.LazyLinear``, sets the shapes of its parameters.

    Make that call, with a dummy batch, before parameters are counted, filled or printed.
    """
    layer, x = nn.LazyLinear(3), torch.rand(2, 5)

    result = layer(x)

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (3, 5)), ("bias", (3,))]
    assert torch.allclose(result, x @ layer.weight.T + layer.bias)

    convolution, scale = nn.LazyConv2d(4, (3, 2)).eval(), LazyScale()
    convolution(torch.rand(1, 5, 6, 7))
    scale(x)

    assert (convolution.weight.shape, scale.weight.shape) == ((4, 5, 3, 2), (5,))


def test_has_uninitialized_params():
    """:meth:`~torch.nn.modules.lazy.LazyModuleMixin.has_uninitialized_params` of a lazy module is true
    until its first call or ``load_state_dict``.
    """
    called, loaded = LazyScale(), LazyScale()

    assert [called.has_uninitialized_params(), loaded.has_uninitialized_params()] == [True, True]

    called(torch.rand(2, 5))
    loaded.load_state_dict({"weight": torch.rand(5)})

    assert [called.has_uninitialized_params(), loaded.has_uninitialized_params()] == [False, False]


def test_uninitialized_buffers_count_too():
    """``LazyModuleMixin.has_uninitialized_params()`` is also true if a buffer is uninitialized."""
    layer = nn.LazyBatchNorm1d(affine=False)
    layer.register_buffer("cache", nn.UninitializedBuffer(), persistent=False)

    assert list(layer.parameters()) == []
    for buffer in (layer.running_mean, layer.running_var, layer.cache):
        assert layer.has_uninitialized_params() is True
        buffer.materialize((5,))
    assert layer.has_uninitialized_params() is False


def test_the_class_changes():
    """The first call of an ``nn.LazyLinear`` changes its class to ``cls_to_become``, which is ``nn.Linear``.

    ``isinstance(layer, nn.LazyLinear)`` is then false, and the layer prints as an ``nn.Linear``.
    """
    for layer in (nn.LazyLinear(3), nn.LazyLinear(3).eval()):
        assert repr(layer) == "LazyLinear(in_features=0, out_features=3, bias=True)"
        layer(torch.rand(2, 5))
        assert type(layer) is nn.Linear
        assert repr(layer) == "Linear(in_features=5, out_features=3, bias=True)"
    assert nn.LazyLinear.cls_to_become is nn.Linear


def test_without_cls_to_become_the_class_stays():
    """A lazy module with :attr:`cls_to_become <torch.nn.modules.lazy.LazyModuleMixin.cls_to_become>`
    ``None`` keeps its class after its first call.
    """
    for layer in (LazyScale(), LazyScale().eval()):
        layer(torch.rand(2, 5))

        assert type(layer) is LazyScale
        assert type(layer.weight) is nn.Parameter
    assert LazyModuleMixin.cls_to_become is None


def test_parameters_stay_the_same_objects():
    """The parameters of an ``nn.LazyLinear`` stay the same objects when its first call sets their shapes.

    An optimizer that was given them before keeps working.
    """
    for layer in (nn.LazyLinear(3), nn.LazyLinear(3).eval()):
        before = dict(layer.named_parameters())

        layer(torch.rand(2, 5))

        assert [p is before[name] for name, p in layer.named_parameters()] == [True, True]
        assert before["weight"].shape == (3, 5)


@pytest.mark.parametrize("make", [lambda: nn.LazyLinear(3).eval(), LazyScale], ids=["linear", "scale"])
def test_the_hooks_are_taken_off(make):
    """The first call of a lazy module, such as ``nn.LazyLinear``, removes its two internal hooks."""
    layer = make()
    stores = [layer._forward_pre_hooks, layer._load_state_dict_pre_hooks]

    assert [len(store) for store in stores] == [1, 1]
    assert [hasattr(layer, name) for name in ("_initialize_hook", "_load_hook")] == [True, True]

    layer(torch.rand(2, 5))

    assert [len(store) for store in stores] == [0, 0]
    assert [hasattr(layer, name) for name in ("_initialize_hook", "_load_hook")] == [False, False]


def test_the_second_input_must_fit():
    """``nn.LazyLinear`` infers ``in_features`` once: a later input of another size raises
    ``RuntimeError``.
    """
    layer = nn.LazyLinear(3)
    layer(torch.rand(2, 5))

    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied .2x6 and 5x3"):
        layer(torch.rand(2, 6))

    assert layer(torch.rand(4, 5)).shape == (4, 3)


def test_calling_forward_infers_nothing():
    """``layer.forward(x)`` of an uncalled ``nn.LazyLinear`` raises ``ValueError``: call ``layer(x)`` instead.

    The shape is inferred by a hook, which runs when the module itself is called.
    """
    for layer in (nn.LazyLinear(3), nn.LazyLinear(3).eval()):
        with pytest.raises(ValueError, match=r"Attempted to use an uninitialized parameter in .*linear"):
            layer.forward(torch.rand(2, 5))

        assert layer.has_uninitialized_params() is True
        assert type(layer) is nn.LazyLinear


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_initialised_by_one_dry_run(training):
    """One call of a network initializes each ``nn.LazyLinear`` that runs in it; unused ones stay lazy."""
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(8), nn.LazyBatchNorm1d())
    net[1].unused = nn.LazyLinear(2)
    with torch.set_grad_enabled(training):
        net.train(training)(torch.rand(2, 3, 6, 5))

    assert [type(layer) for layer in net] == [nn.Conv2d, nn.Flatten, nn.Linear, nn.BatchNorm1d]
    assert [net[0].in_channels, net[2].in_features, net[3].num_features] == [3, 48, 8]
    assert net[1].unused.has_uninitialized_params() is True


def test_move_first_then_run(device):
    """The parameters of ``nn.LazyLinear(3).to(device, dtype)`` are created with that device and dtype.

    The first input gives them neither: one of another dtype raises ``RuntimeError``, as with ``nn.Linear``.
    """
    with pytest.raises(RuntimeError, match="same dtype"):
        nn.LazyLinear(3)(torch.rand(2, 5, dtype=torch.float64))
    layer = nn.LazyLinear(3).to(device, torch.float64)

    layer(torch.rand(2, 5, device=device, dtype=torch.float64))

    assert [p.dtype for p in layer.parameters()] == [torch.float64, torch.float64]
    assert [p.device.type for p in layer.parameters()] == [torch.device(device).type] * 2


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.bfloat16(),
        lambda net: net.type(torch.float64),
        lambda net: net.to_empty(device="cpu"),
    ],
    ids=["bfloat16", "type", "to_empty"],
)
def test_what_cannot_be_done_before_the_first_call(change):
    """``nn.LazyLinear(3).bfloat16()`` raises ``ValueError``, as ``type()`` and ``to_empty()`` do.

    ``half()``, ``float()``, ``double()`` and ``to(torch.bfloat16)`` work before the first call.
    """
    with pytest.raises(ValueError, match=r"^Attempted to use an uninitialized parameter in"):
        change(nn.LazyLinear(3))

    layer = nn.LazyLinear(3).half().float().double().to(torch.bfloat16)
    layer(torch.rand(2, 5, dtype=torch.bfloat16))
    assert layer.weight.dtype is torch.bfloat16


def test_an_optimizer_may_come_before_the_first_call():
    """``torch.optim.SGD`` accepts uninitialized parameters and trains them after the module's first call.

    A ``step()`` before that call does nothing, as they have no gradient.
    """
    net = nn.LazyLinear(3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    optimizer.step()

    net(torch.tensor([[1.0, 2.0]])).sum().backward()
    weight, bias = (p.detach().clone() for p in net.parameters())
    optimizer.step()

    assert optimizer.param_groups[0]["params"][0] is net.weight
    assert torch.allclose(weight - net.weight, torch.tensor([[0.5, 1.0]] * 3))
    assert torch.allclose(bias - net.bias, torch.tensor([0.5] * 3))


def test_counting_parameters_too_early_fails():
    """``p.numel()`` of an uninitialized parameter raises ``ValueError`` until the module's first call."""
    net = nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(4))

    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter in <method 'numel'"):
        sum(p.numel() for p in net.parameters())

    net(torch.rand(5, 2))

    assert sum(p.numel() for p in net.parameters()) == 2 * 3 + 3 + 3 * 4 + 4


def test_initialize_parameters_is_required():
    """A lazy module without :meth:`~torch.nn.modules.lazy.LazyModuleMixin.initialize_parameters` raises
    ``NotImplementedError`` at its first call.
    """

    class Forgetful(LazyModuleMixin, nn.Module):
        def forward(self, x):
            return x

    layer = Forgetful()

    with pytest.raises(NotImplementedError, match="initialize_parameters is not implemented for Forgetful"):
        layer(torch.rand(2))


def test_initialize_parameters_must_finish():
    """If ``initialize_parameters`` leaves a parameter uninitialized, a lazy module raises
    ``RuntimeError``.
    """

    class Unfinished(LazyScale):
        def initialize_parameters(self, x):
            self.shift.materialize((x.shape[-1],))

    layer = Unfinished()
    layer.shift = UninitializedParameter()

    with pytest.raises(RuntimeError, match="module Unfinished has not been fully initialized"):
        layer(torch.rand(2))

    assert layer.has_uninitialized_params() is True
    assert len(layer._forward_pre_hooks) == 1


def test_initialize_parameters_sees_positional_ones():
    """``initialize_parameters`` of a lazy module receives the positional arguments of the first call."""
    layer = LazyScale()
    layer(torch.rand(2), "mask", 3)

    assert layer.seen == (("mask", 3), {})


@pytest.mark.question("Q97")
@pytest.mark.since("2.2")
def test_initialize_parameters_sees_the_keywords():
    """``initialize_parameters`` of a lazy module receives the keyword arguments of the first call too.

    The method has to accept all of them, even unused ones: ``def initialize_parameters(self, x, **kwargs)``.
    See :issue:`59923`.
    """

    class Narrow(LazyScale):
        def initialize_parameters(self, x):
            self.weight.materialize((x.shape[-1],))

    layer = LazyScale()

    layer(torch.rand(2), "mask", scale=3)

    assert layer.seen == (("mask",), {"scale": 3})
    with pytest.raises(TypeError, match=r"initialize_parameters\(\) got an unexpected keyword .* 'scale'"):
        Narrow()(torch.rand(2), scale=3)


@pytest.mark.question("Q97")
@pytest.mark.before("2.2")
def test_initialize_parameters_saw_no_keywords():
    """``initialize_parameters`` of a lazy module does not receive keyword arguments, though ``forward`` does.

    A size that depends on one has to be given by position.
    """
    forwarded = []

    class Listening(LazyScale):
        def forward(self, x, *args, **kwargs):
            forwarded.append(kwargs)
            return x

    layer = Listening()

    layer(torch.rand(2), "mask", scale=3)

    assert layer.seen == (("mask",), {})
    assert forwarded == [{"scale": 3}]


@pytest.mark.question("Q97")
@pytest.mark.since("2.2")
def test_the_input_may_be_a_keyword():
    """The first input of a lazy module may be a keyword argument: ``nn.LazyLinear(3)(input=x)``.

    The keyword has the name that ``initialize_parameters`` gives it.
    """
    layer = nn.LazyLinear(3)

    output = layer(input=torch.rand(2, 5))

    assert output.shape == (2, 3)
    assert type(layer) is nn.Linear
    assert LazyScale()(x=torch.rand(2, 5)).shape == (2, 5)


@pytest.mark.question("Q97")
@pytest.mark.before("2.2")
def test_the_input_had_to_be_positional():
    """``nn.LazyLinear(3)(input=x)`` raises ``TypeError``: the first input must be positional.

    Give the input of the first call by position.
    """
    with pytest.raises(
        TypeError, match=r"initialize_parameters.. missing 1 required positional argument: 'input'"
    ):
        nn.LazyLinear(3)(input=torch.rand(2, 5))


def test_extra_arguments_are_an_error():
    """A lazy module raises ``TypeError`` for arguments that its ``initialize_parameters`` does not accept.

    The message names that method, not ``forward``, even if ``forward`` accepts them all.
    """

    class Narrow(LazyScale):
        def initialize_parameters(self, x):
            self.weight.materialize((x.shape[-1],))

    with pytest.raises(
        TypeError, match=r"initialize_parameters\(\) takes 2 positional arguments but 3 were given"
    ):
        Narrow()(torch.rand(2, 5), "mask")

    assert Narrow()(torch.rand(2, 5)).shape == (2, 5)


@pytest.mark.before("2.4")
def test_a_warning_at_construction():
    """Constructing ``nn.LazyLinear`` warns with a ``UserWarning`` that lazy modules are a new feature."""
    with pytest.warns(UserWarning, match="Lazy modules are a new feature under heavy development"):
        nn.LazyLinear(3)


@pytest.mark.since("2.4")
def test_no_warning_at_construction():
    """Constructing a lazy module, such as ``nn.LazyLinear``, does not warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layers = [nn.LazyLinear(3), nn.LazyConv2d(4, 3), nn.LazyConvTranspose1d(4, 3)]
        layers += [nn.LazyBatchNorm1d(), nn.LazyInstanceNorm3d(), LazyScale()]

    assert caught == []
    assert [layer.has_uninitialized_params() for layer in layers] == [True] * 6


def test_constructor_arguments_reach_the_next_class():
    """:class:`~torch.nn.modules.lazy.LazyModuleMixin` passes constructor arguments on to the next base
    class.
    """

    class LazyLinearOfOne(LazyModuleMixin, nn.Linear):
        pass

    layer = LazyLinearOfOne(2, 3, bias=False)

    assert (layer.in_features, layer.out_features) == (2, 3)
    assert layer.bias is None
