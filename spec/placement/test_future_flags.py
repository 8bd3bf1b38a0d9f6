"""Two flags that change what becomes of parameters: overwrite and swap.

:func:`torch.__future__.set_overwrite_module_params_on_conversion` makes every conversion create new
parameters. :func:`torch.__future__.set_swap_module_params_on_conversion`, since torch 2.3, makes every
conversion keep them. Both are off unless set, and hold for the whole process.
"""

import contextlib
import runpy
import weakref

import pytest
import torch
from torch import nn


@contextlib.contextmanager
def converting_by(way):
    set_flag = getattr(torch.__future__, f"set_{way}_module_params_on_conversion")
    set_flag(True)
    try:
        yield
    finally:
        set_flag(False)


def test_overwriting_is_off():
    """:func:`torch.__future__.get_overwrite_module_params_on_conversion` returns ``False`` by default."""
    fresh = runpy.run_path(torch.__future__.__file__)

    assert fresh["get_overwrite_module_params_on_conversion"]() is False
    assert torch.__future__.get_overwrite_module_params_on_conversion() is False
    with converting_by("overwrite"):
        assert torch.__future__.get_overwrite_module_params_on_conversion() is True


@pytest.mark.since("2.3")
def test_swapping_is_off():
    """:func:`torch.__future__.get_swap_module_params_on_conversion` returns ``False`` by default."""
    fresh = runpy.run_path(torch.__future__.__file__)

    assert fresh["get_swap_module_params_on_conversion"]() is False
    assert torch.__future__.get_swap_module_params_on_conversion() is False
    with converting_by("swap"):
        assert torch.__future__.get_swap_module_params_on_conversion() is True


@pytest.mark.parametrize("cast", ["double", "half", "bfloat16"])
def test_overwriting_makes_new_parameters(cast):
    """With ``set_overwrite_module_params_on_conversion``, ``Module.double`` and other casts make new
    parameters.

    An optimizer that was made before still has the old ones: see *optimizer_and_devices*.
    """
    for net in (nn.Linear(2, 3), nn.Sequential(nn.Linear(2, 3))):
        before = list(net.parameters())
        before[1].requires_grad_(False)

        with converting_by("overwrite"):
            returned = getattr(net, cast)()

        assert returned is net
        assert {id(p) for p in before} & {id(p) for p in net.parameters()} == set()
        assert [type(p) for p in net.parameters()] == [nn.Parameter] * 2
        assert [p.dtype for p in net.parameters()] == [getattr(torch, cast)] * 2
        assert [p.requires_grad for p in net.parameters()] == [True, False]
        assert [p.dtype for p in before] == [torch.float32, torch.float32]


def test_overwriting_makes_new_gradients():
    """With ``set_overwrite_module_params_on_conversion``, a cast makes new gradients; old ones do not
    change.
    """
    layer = nn.Linear(2, 3)
    layer(torch.tensor([[1.5, 2.5]])).sum().backward()
    before = [(p, p.grad) for p in layer.parameters()]

    with converting_by("overwrite"):
        nn.Sequential(layer).double()

    assert [p.grad is grad for p, grad in before] == [True, True]
    assert [grad.dtype for _, grad in before] == [torch.float32, torch.float32]
    assert [p.grad.dtype for p in layer.parameters()] == [torch.float64, torch.float64]
    assert [p.grad.tolist() for p in layer.parameters()] == [[[1.5, 2.5]] * 3, [1.0] * 3]


def test_overwriting_keeps_requires_grad_of_gradients():
    """With ``set_overwrite_module_params_on_conversion``, a cast keeps ``requires_grad`` of gradients."""
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.rand(3, 2, requires_grad=True)
    layer.bias.grad = torch.rand(3)

    with converting_by("overwrite"):
        nn.Sequential(layer).double()

    assert [p.grad.dtype for p in layer.parameters()] == [torch.float64, torch.float64]
    assert [p.grad.requires_grad for p in layer.parameters()] == [True, False]


def test_overwriting_breaks_ties():
    """With ``set_overwrite_module_params_on_conversion``, a cast such as ``Module.double`` unties weights."""
    for cast in (nn.Module.double, nn.Module.half, lambda net: net.to(torch.float64)):
        net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3)))
        net.own = net.again = net[1][0].weight = net[0].weight
        with converting_by("overwrite"):
            cast(net)

        assert len({id(weight) for weight in (net.own, net.again, net[0].weight, net[1][0].weight)}) == 4


@pytest.mark.question("Q77")
def test_overwriting_needs_leaves():
    """With ``set_overwrite_module_params_on_conversion``, casting a non-leaf parameter raises
    ``AssertionError``.
    """
    layer = nn.Linear(2, 3).requires_grad_(False)
    layer.weight.mul_(torch.rand(3, 2, requires_grad=True))

    for net in (layer, nn.Sequential(layer)):
        for cast in (net.half, lambda net=net: net.to(torch.float64)):
            leaf = pytest.raises(AssertionError, match=r"^$|param must be a leaf tensor")
            with converting_by("overwrite"), leaf:
                cast()
            assert layer.weight.dtype == torch.float32


def test_overwriting_needs_gradients_that_are_leaves():
    """With ``set_overwrite_module_params_on_conversion``, a cast raises ``AssertionError`` for a non-leaf
    grad.

    ``backward(create_graph=True)`` makes such gradients, with a ``grad_fn``. The error comes when the
    parameter has been replaced, and leaves the module half converted.
    """
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.rand(3, 2, requires_grad=True) * 2

    with converting_by("overwrite"), pytest.raises(AssertionError, match=r"^$|param_grad must be a leaf"):
        nn.Sequential(layer).double()

    assert layer.weight.dtype == torch.float64
    assert layer.bias.dtype == torch.float32


@pytest.mark.since("2.11")
def test_the_gradient_error_says_so():
    """With ``set_overwrite_module_params_on_conversion``, casts of non-leaf grads say "must be a leaf
    tensor".

    The whole message is "param_grad must be a leaf tensor". Up to torch 2.10 the error had no text.
    """
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.rand(3, 2, requires_grad=True) * 2

    with (
        converting_by("overwrite"),
        pytest.raises(AssertionError, match=r"^param_grad must be a leaf tensor$"),
    ):
        layer.double()


@pytest.mark.since("2.3")
@pytest.mark.parametrize("target", [torch.float64, "meta"], ids=["cast", "meta"])
def test_swapping_keeps_parameters(target):
    """With ``set_swap_module_params_on_conversion``, ``Module.to`` keeps parameter objects, even for
    ``to("meta")``.

    It is torch's way to keep optimizers and tied weights intact.
    """
    layer = nn.Linear(2, 3)
    layer.bias.requires_grad_(False)
    weight, bias = layer.parameters()
    weight.grad = torch.rand(3, 2)
    net = nn.Sequential(layer)

    with converting_by("swap"):
        returned = net.to(target)

    assert returned is net
    assert layer.weight is weight
    assert layer.bias is bias
    assert target in (weight.dtype, weight.device.type)
    assert [type(p) for p in (weight, bias)] == [nn.Parameter, nn.Parameter]
    assert [p.requires_grad for p in (weight, bias)] == [True, False]


@pytest.mark.since("2.3")
def test_swapping_keeps_gradients():
    """With ``set_swap_module_params_on_conversion``, a cast converts gradients and keeps their objects."""
    layer = nn.Linear(2, 3)
    layer.weight.grad = torch.tensor([[1.5, 2.5]] * 3)
    layer.bias.grad = torch.rand(3, requires_grad=True)
    grads = [p.grad for p in layer.parameters()]

    with converting_by("swap"):
        nn.Sequential(layer).double()

    assert [p.grad is grad for p, grad in zip(layer.parameters(), grads, strict=True)] == [True, True]
    assert [grad.dtype for grad in grads] == [torch.float64, torch.float64]
    assert grads[0].tolist() == [[1.5, 2.5]] * 3
    assert [p.grad.requires_grad for p in layer.parameters()] == [False, True]


@pytest.mark.question("Q71")
@pytest.mark.since("2.3")
def test_swapping_keeps_ties():
    """With ``set_swap_module_params_on_conversion``, ``Module.to("meta")`` keeps tied weights tied."""
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3)))
    net.own = net[1][0].weight = net[0].weight

    with converting_by("swap"):
        net.to("meta")

    assert net.own is net[0].weight is net[1][0].weight
    assert net.own.device.type == "meta"


@pytest.mark.since("2.3")
@pytest.mark.parametrize("target", [torch.float64, "meta"], ids=["cast", "meta"])
def test_swapping_goes_before_overwriting(target):
    """``set_swap_module_params_on_conversion`` overrides ``set_overwrite_module_params_on_conversion``."""
    layer = nn.Linear(2, 3)
    layer(torch.rand(4, 2)).sum().backward()
    before = [(p, p.grad) for p in layer.parameters()]

    with converting_by("overwrite"), converting_by("swap"):
        nn.Sequential(layer).to(target)

    after = [(p, p.grad) for p in layer.parameters()]
    assert [
        (p is old, grad is old_grad) for (p, grad), (old, old_grad) in zip(after, before, strict=True)
    ] == [(True, True)] * 2
    assert all(target in (tensor.dtype, tensor.device.type) for pair in before for tensor in pair)


@pytest.mark.since("2.3")
def test_a_watched_parameter_cannot_be_converted():
    """Casts with ``set_swap_module_params_on_conversion`` raise ``RuntimeError`` if a parameter has a
    weakref.

    The ``RuntimeError`` names the parameter, which keeps its dtype and its gradient.
    """
    for name in ("weight", "bias"):
        layer = nn.Linear(2, 3)
        layer(torch.rand(4, 2)).sum().backward()
        watch, grad = weakref.ref(getattr(layer, name)), getattr(layer, name).grad

        with converting_by("swap"), pytest.raises(RuntimeError, match="Couldn't swap") as caught:
            nn.Sequential(layer).double()

        assert str(caught.value) == f"_apply(): Couldn't swap Linear.{name}"
        assert "weakref associated with it" in str(caught.value.__cause__)
        assert watch().dtype == torch.float32
        assert watch().grad is grad


@pytest.mark.since("2.3")
def test_a_watched_gradient_cannot_be_converted():
    """Casts with ``set_swap_module_params_on_conversion`` raise ``RuntimeError`` if a gradient has a weakref.

    The ``RuntimeError`` names the gradient; its parameter has been cast already.
    """
    layer = nn.Linear(2, 3)
    grad = layer.weight.grad = torch.rand(3, 2)
    watch = weakref.ref(grad)

    with converting_by("swap"), pytest.raises(RuntimeError, match="Couldn't swap") as caught:
        layer.double()

    assert str(caught.value) == "_apply(): Couldn't swap Linear.weight.grad"
    assert "weakref associated with it" in str(caught.value.__cause__)
    assert layer.weight.dtype == torch.float64
    assert watch().dtype == torch.float32


@pytest.mark.since("2.4")
def test_swapping_before_backward_spoils_the_graph():
    """With ``set_swap_module_params_on_conversion``, a cast before ``backward()`` makes it raise
    ``RuntimeError``.

    In torch 2.3 the cast itself raised.
    """
    layer = nn.Linear(2, 3)
    loss = layer(torch.rand(4, 2)).sum()

    with converting_by("swap"):
        layer.double()

    with pytest.raises(RuntimeError, match="AccumulateGrad node that was poisoned by swap_tensors"):
        loss.backward()
