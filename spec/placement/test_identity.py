"""What stays the same object when a module is moved or cast.

As a rule a parameter stays and is given new data, a buffer is replaced, and a gradient goes with its
parameter. All methods of this part go through ``Module._apply``.
"""

import weakref

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensor, FakeTensorMode


def test_a_parameter_stays_the_same_object(device):
    """A cast or move between devices with data gives a parameter new data; the object stays."""
    layer = nn.PReLU(2, init=0.75)
    weight = layer.weight

    layer.to(device, torch.float16)

    assert layer.weight is weight
    assert (weight.dtype, weight.device.type, weight.tolist()) == (torch.float16, device, [0.75, 0.75])
    assert (type(weight), weight.is_leaf, weight.grad_fn) == (nn.Parameter, True, None)


def test_attributes_of_a_parameter_stay():
    """Attributes set on a parameter are still there after a cast."""
    layer = nn.Linear(2, 3)
    layer.weight.group = "slow"

    layer.double()

    assert layer.weight.group == "slow"


def test_a_buffer_is_replaced():
    """A cast or move replaces a buffer: what still refers to the old tensor does not follow."""
    norm = nn.BatchNorm1d(2)
    mean = norm.running_mean

    norm.double()

    assert norm.running_mean is not mean
    assert (norm.running_mean.dtype, mean.dtype) == (torch.float64, torch.float32)


def test_requires_grad_is_kept():
    """A cast or move keeps ``requires_grad`` of every parameter."""
    layer = nn.Linear(2, 3)
    layer.weight.requires_grad_(False)

    layer.double().to("meta")

    assert [p.requires_grad for p in layer.parameters()] == [False, True]


def test_gradients_go_along():
    """A gradient is cast with its parameter and stays the same object."""
    layer = nn.Linear(2, 3)
    layer(torch.tensor([[1.5, 2.5]])).sum().backward()
    grad = layer.weight.grad

    layer.double()

    assert layer.weight.grad is grad
    assert (grad.dtype, grad.tolist()) == (torch.float64, [[1.5, 2.5]] * 3)


def test_gradients_go_to_the_meta_device():
    """Where a move makes new parameters, as to the meta device, they get the moved gradients."""
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.rand(3, 2)

    layer.to("meta", torch.float64)

    assert (layer.weight.grad.device.type, layer.weight.grad.dtype) == ("meta", torch.float64)
    assert (layer.weight.grad.requires_grad, layer.bias.grad) == (False, None)


@pytest.mark.parametrize("target", [torch.float64, "meta"], ids=["cast", "meta"])
def test_requires_grad_of_gradients_is_kept(target):
    """A gradient that itself requires a gradient still does after a cast or move."""
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.rand(3, 2, requires_grad=True)

    layer.to(target)

    assert layer.weight.grad.requires_grad is True


def test_a_cast_is_not_recorded():
    """A cast is not recorded by autograd: parameters and gradients remain leaves."""
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.rand(3, 2)

    layer.double()

    assert [(t.is_leaf, t.grad_fn) for t in (layer.weight, layer.weight.grad)] == [(True, None)] * 2


@pytest.mark.question("Q71")
def test_a_cast_keeps_ties(device):
    """A cast or move between devices with data keeps tied parameters tied."""
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight

    net.to(device, torch.float16)

    assert net[1].weight is net[0].weight
    assert len(list(net.parameters())) == 1


@pytest.mark.question("Q71")
@pytest.mark.parametrize("move", ["to", "to_empty"])
def test_the_meta_device_breaks_ties(move):
    """A move to or from the meta device makes new parameters, one for each name: ties are lost.

    So do moves to other kinds of device, such as XLA. Tie the weights again afterwards.
    """
    start, end = {"to": ("cpu", "meta"), "to_empty": ("meta", "cpu")}[move]
    net = nn.Sequential(nn.Linear(3, 3, device=start), nn.Linear(3, 3, device=start))
    net[1].weight = net[0].weight

    getattr(net, move)(device=end)

    assert net[1].weight is not net[0].weight
    assert len(list(net.parameters())) == 4


def test_a_move_to_meta_makes_new_parameters():
    """A move to the meta device replaces each parameter by a new one."""
    layer = nn.Linear(2, 3)
    weight = layer.weight

    layer.to("meta")

    assert layer.weight is not weight
    assert (type(layer.weight), weight.device.type) == (nn.Parameter, "cpu")


def test_a_missing_parameter_is_passed_over():
    """A parameter that is ``None`` is passed over, and those after it are converted."""
    net = nn.Module()
    net.register_parameter("bias", None)
    net.scale = nn.Parameter(torch.tensor([1.5, 2.5]))

    net.to(torch.float64)

    assert (net.bias, net.scale.dtype) == (None, torch.float64)


@pytest.mark.since("2.2")
@pytest.mark.observed
def test_a_parameter_of_several_tensors_is_swapped():
    """A parameter whose class wraps other tensors, such as a jagged one, stays the same object as well."""
    jagged = torch.nested.nested_tensor([torch.rand(2, 3), torch.rand(1, 3)], layout=torch.jagged)
    net = nn.Module()
    net.rows = before = nn.Parameter(jagged)

    net.to(torch.float64)

    assert net.rows is before
    assert (net.rows.dtype, [row.shape[0] for row in net.rows.unbind()]) == (torch.float64, [2, 1])


@pytest.mark.since("2.3")
@pytest.mark.observed
def test_tensors_within_a_parameter_are_converted():
    """Where a parameter wraps other tensors, these are converted, and the parameter stays the same object."""
    from torch.testing._internal.two_tensor import TwoTensor

    net = nn.Module()
    net.pair = before = nn.Parameter(TwoTensor(torch.tensor([1.5, 2.5]), torch.tensor([3.5, 4.5])))

    net.to(torch.float64)

    assert net.pair is before
    assert [inner.dtype for inner in (net.pair.a, net.pair.b)] == [torch.float64, torch.float64]


@pytest.mark.since("2.10")
@pytest.mark.observed
def test_a_fake_tensor_replaces_the_parameter():
    """A conversion to a fake tensor makes a new parameter; the old one keeps its values (:pull:`161291`)."""
    layer = nn.Linear(2, 3)
    weight = layer.weight
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    layer._apply(mode.from_tensor)

    assert [type(tensor) for tensor in (weight.data, layer.weight.data)] == [torch.Tensor, FakeTensor]


@pytest.mark.before("2.10")
@pytest.mark.observed
def test_a_fake_tensor_did_not_replace_the_parameter():
    """A conversion to a fake tensor keeps the parameter, and its values are real as before."""
    layer = nn.Linear(2, 3)
    weight = layer.weight
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    layer._apply(mode.from_tensor)

    assert layer.weight is weight
    assert type(weight.data) is torch.Tensor


@pytest.mark.since("2.8")
@pytest.mark.observed
def test_a_fake_parameter_is_swapped():
    """A fake parameter is swapped when it is cast, which a weak reference to it forbids (:pull:`152539`)."""
    with FakeTensorMode():
        layer = nn.Linear(2, 3, bias=False)
        held = weakref.ref(layer.weight)
        with pytest.raises(RuntimeError, match=r"_apply\(\): Couldn't swap Linear\.weight"):
            layer.to(torch.float64)

    assert held() is layer.weight


@pytest.mark.before("2.8")
@pytest.mark.observed
def test_a_fake_parameter_was_cast_in_place():
    """A fake parameter is cast in place, with a weak reference to it or without."""
    with FakeTensorMode():
        layer = nn.Linear(2, 3, bias=False)
        held = weakref.ref(layer.weight)
        layer.to(torch.float64)

    assert (held() is layer.weight, layer.weight.dtype) == (True, torch.float64)


def test_a_tensor_that_is_no_leaf_can_be_cast():
    """A parameter that has become part of a graph can be cast: it is given new data."""
    layer = nn.Linear(2, 3).requires_grad_(False)
    layer.weight.mul_(torch.rand(3, 2, requires_grad=True))

    layer.double()

    assert (layer.weight.is_leaf, layer.weight.dtype) == (False, torch.float64)


@pytest.mark.question("Q77")
def test_a_tensor_that_is_no_leaf_cannot_be_replaced():
    """Replacing a parameter that has become part of a graph raises ``AssertionError``.

    Moving to the meta device has to replace it, and so has a move to a device of another kind.
    """
    layer = nn.Linear(2, 3).requires_grad_(False)
    layer.weight.mul_(torch.rand(3, 2, requires_grad=True))
    weight = layer.weight

    with pytest.raises(AssertionError):
        layer.to("meta")

    assert layer.weight is weight
    assert (weight.device.type, layer.bias.device.type) == ("cpu", "cpu")


@pytest.mark.question("Q77")
@pytest.mark.since("2.11")
@pytest.mark.observed
def test_the_leaf_error_says_so():
    """The error about a parameter that is no leaf says ``param must be a leaf tensor``.

    Up to torch 2.10 it had no text.
    """
    layer = nn.Linear(2, 3).requires_grad_(False)
    layer.weight.mul_(torch.rand(3, 2, requires_grad=True))

    with pytest.raises(AssertionError, match="param must be a leaf tensor"):
        layer.to("meta")


@pytest.mark.observed
def test_only_parameters_can_be_replaced():
    """Replacing a plain tensor that was put into ``_parameters`` by hand raises ``AssertionError``."""
    layer = nn.Linear(2, 3)
    layer._parameters["weight"] = torch.rand(3, 2)

    with pytest.raises(AssertionError):
        layer.to("meta")

    assert layer.weight.device.type == "cpu"


@pytest.mark.since("2.11")
@pytest.mark.observed
def test_the_parameter_error_says_so():
    """The error about a plain tensor among the parameters says ``param must be a Parameter``."""
    layer = nn.Linear(2, 3)
    layer._parameters["weight"] = torch.rand(3, 2)

    with pytest.raises(AssertionError, match="param must be a Parameter"):
        layer.to("meta")


@pytest.mark.observed
def test_the_order_of_conversion():
    """Submodules come first, then each parameter with its gradient, then buffers; ``None`` is passed over.

    Parameters and gradients are converted without recording, buffers as the caller has it.
    """
    calls = []
    net = nn.Sequential(nn.PReLU(2))
    net.register_buffer("mean", torch.rand(4))
    net.register_buffer("mask", None)
    net.scale = nn.Parameter(torch.rand(3))
    net.scale.grad = torch.rand(3)
    net.register_parameter("shift", None)

    def record(tensor):
        calls.append((len(tensor), type(tensor) is nn.Parameter, torch.is_grad_enabled()))
        return tensor

    returned = net._apply(record)

    assert returned is net
    assert calls == [(2, True, False), (3, True, False), (3, False, False), (4, False, True)]


@pytest.mark.observed
def test_a_submodule_may_convert_itself():
    """A submodule that overrides ``_apply`` is asked to convert itself."""
    calls = []

    class Fixed(nn.Linear):
        def _apply(self, fn):
            calls.append("asked")
            return self

    net = nn.Sequential(Fixed(2, 3), nn.Linear(3, 1)).double()

    assert calls == ["asked"]
    assert [p.dtype for p in net.parameters()] == [torch.float32] * 2 + [torch.float64] * 2


@pytest.mark.since("2.1")
@pytest.mark.observed
def test_conversion_may_leave_submodules_out():
    """``_apply(fn, recurse=False)`` converts the module's own tensors only."""
    net = nn.Sequential(nn.PReLU())
    net.scale = nn.Parameter(torch.rand(3))

    net._apply(lambda t: t.double(), recurse=False)

    assert (net.scale.dtype, net[0].weight.dtype) == (torch.float64, torch.float32)


@pytest.mark.observed
def test_a_cast_before_backward_leaves_the_old_dtype():
    """A cast between forward and backward leaves the graph as it was: gradients have the old dtype."""
    layer = nn.Linear(2, 3)
    loss = layer(torch.rand(4, 2)).sum()

    layer.double()
    loss.backward()

    assert (layer.weight.dtype, layer.weight.grad.dtype) == (torch.float64, torch.float32)
