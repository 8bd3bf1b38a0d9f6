"""What stays the same object when a module is moved or cast.

As a rule a parameter stays and is given new data, a buffer is replaced, and a gradient goes with its
parameter. All methods of this part go through ``Module._apply``.
"""

import weakref

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensor, FakeTensorMode


@pytest.mark.parametrize(("dtype", "trained"), [(torch.float16, True), (torch.complex64, False)])
def test_a_parameter_stays_the_same_object(device, dtype, trained):
    """On CPU and GPU, ``Module.to`` changes a parameter's data and keeps the ``nn.Parameter`` object.

    An optimizer, a tie or a hook that was made before still works. The meta device and other kinds, such as
    XLA, get new parameters; *future_flags* has two flags that change this.
    """
    layer = nn.PReLU(2, init=0.75).requires_grad_(trained)
    weight = layer.weight
    weight.grad = torch.rand(2) if trained else None

    nn.Sequential(layer).to(device, dtype)

    assert layer.weight is weight
    assert type(weight) is nn.Parameter
    assert (weight.dtype, weight.device.type) == (dtype, device)
    assert weight.tolist() == [0.75, 0.75]


def test_attributes_of_a_parameter_stay():
    """``Module.double`` and other casts keep attributes that were set on a parameter.

    A move to the meta device makes new parameters, without them.
    """
    layer = nn.Linear(2, 3)
    layer.weight.group = "slow"

    nn.Sequential(layer).half().bfloat16().float().to(torch.float16).double()
    assert layer.weight.group == "slow"

    layer.to("meta")
    assert not hasattr(layer.weight, "group")


def test_a_buffer_is_replaced():
    """``Module.to`` with another dtype replaces buffers; the old buffer tensor does not change.

    What still refers to the old one does not follow: a buffer under two names becomes two.
    """
    norm = nn.BatchNorm1d(2)
    mean = norm.running_mean
    norm.register_buffer("again", mean, persistent=False)

    nn.Sequential(norm).to(torch.float64)

    assert norm.running_mean is not mean
    assert norm.running_mean is not norm.again
    assert norm.running_mean.dtype == torch.float64
    assert mean.dtype == torch.float32


def test_requires_grad_is_kept():
    """``Module.to`` and casts such as ``Module.double`` keep ``requires_grad`` of every parameter."""
    layer = nn.Linear(2, 3)
    layer.weight.requires_grad_(False)

    nn.Sequential(layer).half().bfloat16().float().double().to(torch.float16).to("meta")

    assert [p.requires_grad for p in layer.parameters()] == [False, True]


def test_gradients_go_along():
    """``Module.double`` and other casts convert gradients too and keep the gradient objects."""
    layer = nn.Linear(2, 3)
    layer(torch.tensor([[1.5, 2.5]])).sum().backward()
    grads = [p.grad for p in layer.parameters()]

    for cast in ("half", "bfloat16", "float", "double"):
        getattr(nn.Sequential(layer), cast)()
        dtype = getattr(torch, cast)
        assert [id(p.grad) for p in layer.parameters()] == [id(grad) for grad in grads]
        assert [grad.dtype for grad in grads] == [dtype, dtype]
    assert [grad.tolist() for grad in grads] == [[[1.5, 2.5]] * 3, [1.0] * 3]


def test_gradients_go_to_the_meta_device():
    """``Module.to("meta")`` moves gradients to the meta device too, where there are any."""
    layer = nn.Linear(2, 3)
    weight = layer.weight
    weight.grad = torch.rand(3, 2)

    nn.Sequential(layer).to("meta", torch.float64)

    assert layer.weight is not weight
    assert layer.weight.grad.device.type == "meta"
    assert layer.weight.grad.dtype == torch.float64
    assert layer.weight.grad.requires_grad is False
    assert layer.bias.grad is None


@pytest.mark.parametrize("target", [torch.float64, "meta"], ids=["cast", "meta"])
def test_requires_grad_of_gradients_is_kept(target):
    """``Module.to`` keeps ``requires_grad`` of gradients, whether true or false."""
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.rand(3, 2, requires_grad=True)
    layer.bias.grad = torch.rand(3)

    nn.Sequential(layer).to(target)

    assert layer.weight.grad.requires_grad is True
    assert layer.bias.grad.requires_grad is False


def test_a_cast_is_not_recorded():
    """Autograd does not record ``Module.double`` and other casts: parameters and gradients remain leaves."""
    for cast, dtype in (("double", torch.float64), ("half", torch.float16), ("bfloat16", torch.bfloat16)):
        layer = nn.Linear(2, 3)
        layer.weight.grad, layer.bias.grad = torch.rand(3, 2), torch.rand(3)

        getattr(nn.Sequential(layer), cast)()

        tensors = [*layer.parameters(), layer.weight.grad, layer.bias.grad]
        assert [t.dtype for t in tensors] == [dtype] * 4
        assert [t.is_leaf for t in tensors] == [True] * 4
        assert [t.grad_fn for t in tensors] == [None] * 4


@pytest.mark.question("Q71")
@pytest.mark.parametrize("frozen", [True, False])
def test_a_cast_keeps_ties(device, frozen):
    """On CPU and GPU, ``Module.to`` keeps tied parameters tied."""
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)).requires_grad_(not frozen)
    net[1].weight = net[1].again = net[0].weight

    net.to(device, torch.float16)

    assert net[1].again is net[1].weight is net[0].weight
    assert net[1].weight.dtype == torch.float16


@pytest.mark.question("Q71")
def test_the_meta_device_breaks_ties():
    """``Module.to("meta")``, and ``to_empty`` from meta, untie weights: each name gets a new parameter.

    So do moves to other kinds of device, such as XLA. Tie the weights again afterwards.
    """
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[0].own = net[1].weight = net[0].weight

    net.to("meta")
    assert len({id(weight) for weight in (net[0].own, net[0].weight, net[1].weight)}) == 3

    net[0].own = net[1].weight = net[0].weight
    net.to_empty(device="cpu")
    assert len({id(weight) for weight in (net[0].own, net[0].weight, net[1].weight)}) == 3


def test_a_move_to_meta_makes_new_parameters():
    """``Module.to("meta")`` makes new parameters; the old ones keep their values."""
    layer = nn.PReLU(init=0.75)
    weight = layer.weight

    nn.Sequential(layer).to("meta")

    assert layer.weight is not weight
    assert (type(layer.weight), layer.weight.device.type) == (nn.Parameter, "meta")
    assert weight.tolist() == [0.75]


@pytest.mark.since("2.2")
def test_a_parameter_of_several_tensors_is_swapped():
    """``Module.to`` keeps the object of a parameter that wraps other tensors, such as a jagged nested
    tensor.
    """
    jagged = torch.nested.nested_tensor([torch.rand(2, 3), torch.rand(1, 3)], layout=torch.jagged)
    for requires_grad in (True, False):
        net = nn.Module()
        net.rows = before = nn.Parameter(jagged, requires_grad)
        net.to(torch.float64)

        assert net.rows is before
        assert [net.rows.dtype, net.rows.requires_grad] == [torch.float64, requires_grad]
        assert [row.shape[0] for row in net.rows.unbind()] == [2, 1]


@pytest.mark.since("2.3")
def test_tensors_within_a_parameter_are_converted():
    """``Module.to`` converts the inner tensors of a parameter that is a wrapper subclass.

    The parameter stays the same object: it is swapped with what was made, flag or not.
    """
    from torch.testing._internal.two_tensor import TwoTensor

    net = nn.Module()
    net.pair = before = nn.Parameter(TwoTensor(torch.tensor([1.5, 2.5]), torch.tensor([3.5, 4.5])))

    net.to(torch.float64)

    assert net.pair is before
    assert [inner.dtype for inner in (net.pair.a, net.pair.b)] == [torch.float64, torch.float64]


@pytest.mark.since("2.10")
def test_a_fake_tensor_replaces_the_parameter():
    """``Module._apply`` with a function that returns a ``FakeTensor`` makes a new parameter.

    The old one keeps its values (:pull:`161291`).
    """
    layer = nn.PReLU(init=0.75)
    weight = layer.weight
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    layer._apply(mode.from_tensor)

    assert layer.weight is not weight
    assert weight.tolist() == [0.75]
    assert type(layer.weight.data) is FakeTensor


@pytest.mark.before("2.10")
def test_a_fake_tensor_did_not_replace_the_parameter():
    """``Module._apply`` with a function that returns a ``FakeTensor`` keeps the parameter and its real
    values.
    """
    layer = nn.Linear(2, 3)
    weight = layer.weight
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    layer._apply(mode.from_tensor)

    assert layer.weight is weight
    assert type(weight.data) is torch.Tensor


@pytest.mark.since("2.8")
def test_a_fake_parameter_is_swapped():
    """``Module.to`` raises ``RuntimeError`` for a ``FakeTensor`` parameter that has a weakref.

    It swaps such a parameter, which a weak reference forbids (:pull:`152539`).
    """
    with FakeTensorMode():
        layer = nn.Linear(2, 3, bias=False)
        held = weakref.ref(layer.weight)
        with pytest.raises(RuntimeError, match=r"_apply\(\): Couldn't swap Linear\.weight"):
            layer.to(torch.float64)

    assert held() is layer.weight


@pytest.mark.before("2.8")
def test_a_fake_parameter_was_cast_in_place():
    """``Module.to`` casts a ``FakeTensor`` parameter in place, even if the parameter has a weakref."""
    with FakeTensorMode():
        layer = nn.Linear(2, 3, bias=False)
        held = weakref.ref(layer.weight)
        layer.to(torch.float64)

    assert held() is layer.weight
    assert layer.weight.dtype == torch.float64


@pytest.mark.parametrize("cast", [nn.Module.double, nn.Module.half, lambda layer: layer.to(torch.float64)])
def test_a_tensor_that_is_no_leaf_can_be_cast(cast):
    """``Module.double`` and other casts convert a non-leaf parameter like any other.

    A parameter becomes a non-leaf when it is frozen and changed in place by what requires a gradient.
    """
    layer = nn.Linear(2, 3).requires_grad_(False)
    layer.weight.mul_(torch.rand(3, 2, requires_grad=True))

    cast(nn.Sequential(layer))

    assert layer.weight.is_leaf is False
    assert layer.weight.dtype == (torch.float16 if cast is nn.Module.half else torch.float64)


@pytest.mark.question("Q77")
def test_a_tensor_that_is_no_leaf_cannot_be_replaced():
    """``Module.to("meta")`` raises ``AssertionError`` for a non-leaf parameter.

    So does a move to a device of another kind. Detach the parameter first, or replace it by a new one.
    """
    layer = nn.Linear(2, 3).requires_grad_(False)
    layer.weight.mul_(torch.rand(3, 2, requires_grad=True))
    weight = layer.weight

    with pytest.raises(AssertionError, match=r"^$|param must be a leaf tensor"):
        nn.Sequential(layer).to("meta")

    assert layer.weight is weight
    assert [p.device.type for p in layer.parameters()] == ["cpu", "cpu"]


@pytest.mark.question("Q77")
@pytest.mark.since("2.11")
def test_the_leaf_error_says_so():
    """``Module.to("meta")`` of a non-leaf raises ``AssertionError``: "param must be a leaf tensor".

    For a plain tensor put into ``_parameters`` it raises "param must be a Parameter". Up to torch 2.10 these
    errors had no text.
    """
    layer, by_hand = nn.Linear(2, 3).requires_grad_(False), nn.Linear(2, 3)
    layer.weight.mul_(torch.rand(3, 2, requires_grad=True))
    by_hand._parameters["weight"] = torch.rand(3, 2)

    with pytest.raises(AssertionError, match=r"^param must be a leaf tensor$"):
        layer.to("meta")
    with pytest.raises(AssertionError, match=r"^param must be a Parameter$"):
        by_hand.to("meta")


def test_only_parameters_can_be_replaced():
    """``Module.to("meta")`` raises ``AssertionError`` for a plain tensor put into ``_parameters``."""
    layer = nn.Linear(2, 3)
    layer._parameters["weight"] = torch.rand(3, 2)

    with pytest.raises(AssertionError, match=r"^$|param must be a Parameter"):
        nn.Sequential(layer).to("meta")

    assert layer.weight.device.type == "cpu"


def test_the_order_of_conversion():
    """``Module._apply`` converts submodules first, then each parameter and its gradient, then buffers.

    Entries that are ``None`` are skipped. Parameters and gradients are converted with gradients disabled,
    buffers under the caller's setting.
    """
    calls = []
    net = nn.Sequential(nn.PReLU(2))
    net.register_buffer("mask", None)
    net.register_buffer("mean", torch.rand(4))
    net.register_parameter("shift", None)
    net.scale, net.last = nn.Parameter(torch.rand(3)), nn.Parameter(torch.rand(5))
    net.scale.grad, net.last.grad = torch.rand(3), torch.rand(5)

    def record(tensor):
        calls.append((len(tensor), type(tensor) is nn.Parameter, torch.is_grad_enabled()))
        return tensor

    assert net._apply(record) is net
    with_gradients, calls[:] = calls[:], []
    with torch.no_grad():
        net._apply(record)

    own = [(3, True, False), (3, False, False), (5, True, False), (5, False, False)]
    assert with_gradients == [(2, True, False), *own, (4, False, True)]
    assert calls == [(2, True, False), *own, (4, False, False)]


def test_a_submodule_may_convert_itself():
    """A submodule can override ``_apply`` to skip casts of the whole module such as ``Module.double``.

    So a part that has to stay in 32 bits keeps its dtype.
    """
    calls = []

    class Fixed(nn.Linear):
        def _apply(self, fn):
            calls.append(fn(torch.rand(2)).dtype)
            return self

    net = nn.Sequential(Fixed(2, 3), nn.Linear(3, 1)).double()

    assert calls == [torch.float64]
    assert [p.dtype for p in net.parameters()] == [torch.float32] * 2 + [torch.float64] * 2

    net.to(torch.bfloat16)
    assert calls == [torch.float64, torch.bfloat16]
    assert [p.dtype for p in net.parameters()] == [torch.float32] * 2 + [torch.bfloat16] * 2


@pytest.mark.since("2.1")
def test_conversion_may_leave_submodules_out():
    """``Module._apply(fn, recurse=False)`` converts the module's own tensors, not its submodules'."""
    net = nn.Sequential(nn.PReLU())
    net.scale = nn.Parameter(torch.rand(3))
    net.scale.grad = torch.rand(3)
    net.register_buffer("mean", torch.rand(3))

    net._apply(lambda t: t.double(), recurse=False)

    assert [t.dtype for t in (net.scale, net.scale.grad, net.mean)] == [torch.float64] * 3
    assert net[0].weight.dtype == torch.float32


def test_a_cast_before_backward_leaves_the_old_dtype():
    """``Module.double`` between forward and ``backward()`` gives float64 parameters float32 gradients."""
    layer = nn.Linear(2, 3)
    loss = layer(torch.rand(4, 2)).sum()

    layer.double()
    loss.backward()

    assert [p.dtype for p in layer.parameters()] == [torch.float64, torch.float64]
    assert [p.grad.dtype for p in layer.parameters()] == [torch.float32, torch.float32]
