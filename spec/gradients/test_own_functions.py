"""Own functions: a subclass of ``torch.autograd.Function`` with a backward of its own.

A module calls such a function by its ``apply``. What ``backward`` returns is taken for the gradients of the
inputs of ``forward``; nothing checks that they are right.
"""

import pytest
import torch
from torch import nn


def test_apply_calls_them():
    """``Function.apply`` runs ``forward`` with a ``ctx``, and makes ``backward`` part of the graph.

    Tensors for it go to ``ctx.save_for_backward``, other things to attributes of ``ctx``. Inputs that are not
    tensors get ``None``.
    """

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(x)
            ctx.factor = factor
            return factor * x**2

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 2 * ctx.factor * x * grad, None

    weight = nn.Parameter(torch.tensor([3.0]))
    out = Scaled.apply(weight, 2.0)
    out.sum().backward()

    assert out.item() == 18.0
    assert weight.grad.item() == 12.0
    assert out.grad_fn.name() == "ScaledBackward"
    with torch.no_grad():
        assert Scaled.apply(weight, 2.0).requires_grad is False


def test_a_gradient_for_each_input():
    """``Function.backward`` returns a gradient per argument of ``forward``, else ``backward()`` raises.

    The shape has to be that of the input; the dtype is cast to it. Surplus values of ``None`` are allowed.
    """

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, grad):
            return gradients

    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    one = torch.tensor([3.0, 5.0])
    gradients = (one.double(), None, None)
    Product.apply(x, y).sum().backward()

    assert (x.grad.tolist(), x.grad.dtype, y.grad) == ([3.0, 5.0], torch.float32, None)
    for wrong, message in [
        ((one,), r"incorrect number of gradients \(expected 2, got 1\)"),
        ((one, one, one), r"incorrect number of gradients \(expected 2, got 3\)"),
        ((one[0], one), r"invalid gradient at index 0 - got \[\] but expected shape compatible with \[2\]"),
        ((1.0, one), "expected Variable or None"),
    ]:
        gradients = wrong
        with pytest.raises(RuntimeError, match=message):
            Product.apply(x, y).sum().backward()


def test_grad_mode_inside():
    """``Function.forward`` and ``backward`` run without grad mode: :func:`torch.autograd.grad` inside raises.

    With :func:`torch.enable_grad` and a detached copy it works; see :issue:`45405`.
    """
    modes = []

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            modes.append(torch.is_grad_enabled())
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            modes.append(((x**2).requires_grad, x.requires_grad))
            with pytest.raises(RuntimeError, match="does not require grad"):
                torch.autograd.grad(x**2, x, grad)
            with torch.enable_grad():
                y = x.detach().requires_grad_()
                return torch.autograd.grad(y**2, y, grad)[0]

    x = torch.tensor([3.0], requires_grad=True)
    Square.apply(x).backward()

    assert x.grad.item() == 6.0
    assert modes == [False, (False, True)]


def test_a_second_derivative():
    """A ``Function.backward`` of ordinary operations on saved tensors is differentiable itself.

    ``create_graph=True`` runs it with grad mode. What was computed in ``forward`` and kept on ``ctx`` is a
    constant then.
    """

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            ctx.square = x**2
            return x**3

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 3 * (x * x if recomputed else ctx.square) * grad

    x = torch.tensor([2.0], requires_grad=True)
    recomputed = True
    (first,) = torch.autograd.grad(Cube.apply(x), x, create_graph=True)

    assert first.item() == 12.0
    assert torch.autograd.grad(first, x)[0].item() == 12.0

    recomputed = False
    (first,) = torch.autograd.grad(Cube.apply(x), x, create_graph=True)

    assert first.item() == 12.0
    assert first.requires_grad is False


def test_a_straight_through_function():
    """A ``Function`` whose ``backward`` returns its argument passes gradients straight through a rounding."""

    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, grad):
            return grad

    x = torch.tensor([0.25, 1.75], requires_grad=True)
    out = Rounded.apply(x)
    (out * torch.tensor([3.0, 5.0])).sum().backward()

    assert out.tolist() == [0.0, 2.0]
    assert x.grad.tolist() == [3.0, 5.0]


def test_old_ways_of_calling():
    """An instance of a ``torch.autograd.Function`` raises ``RuntimeError`` when called: use ``apply``.

    Making one warns already. A ``Function`` without ``backward`` raises ``NotImplementedError`` in
    ``backward()`` only.
    """

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    x = torch.ones(1, requires_grad=True)

    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        instance = Doubled()
    with pytest.raises(RuntimeError, match="Legacy autograd function with non-static forward method"):
        instance(x)
    assert Doubled.apply(x).requires_grad is True
    with pytest.raises(NotImplementedError, match="You must implement either the backward or vjp method"):
        Doubled.apply(x).backward()


def test_only_tensors_are_saved():
    """``ctx.save_for_backward`` raises ``TypeError`` for a number, and notices later changes in place.

    A tensor kept as an attribute of ``ctx`` is not looked after.
    """

    class Kept(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, saved):
            ctx.save_for_backward(saved)
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0], None

    x, factor = torch.ones(1, requires_grad=True), torch.tensor([3.0])
    out = Kept.apply(x, factor)
    factor += 1

    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        out.backward()
    with pytest.raises(TypeError, match="save_for_backward can only save variables"):
        Kept.apply(x, 3)


def test_checking_a_backward():
    """:func:`torch.autograd.gradcheck` compares ``Function.backward`` with differences; it wants float64.

    With float32 it warns, and a right gradient may fail.
    """

    class Tripled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 3

        @staticmethod
        def backward(ctx, grad):
            return slope * grad

    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    slope = 3

    assert torch.autograd.gradcheck(Tripled.apply, x) is True
    with pytest.warns(UserWarning, match="is not a double precision floating point"):
        torch.autograd.gradcheck(Tripled.apply, x.detach().float().requires_grad_(), eps=0.125)
    slope = 4
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
        torch.autograd.gradcheck(Tripled.apply, x)


def test_transforms_want_another_form():
    """:func:`torch.func.grad` and :func:`torch.vmap` raise for a ``Function`` without ``setup_context``.

    With it, ``forward`` gets no ``ctx``. ``vmap`` also needs ``generate_vmap_rule = True`` or a ``vmap``
    method.
    """

    class Old(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

    class New(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(x):
            return x**2

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, grad):
            return 2 * ctx.saved_tensors[0] * grad

    x = torch.tensor([3.0, 5.0])
    for transformed in (torch.func.grad(lambda x: Old.apply(x).sum()), torch.vmap(Old.apply)):
        with pytest.raises(RuntimeError, match="must override the setup_context staticmethod"):
            transformed(x)
    assert torch.vmap(torch.func.grad(New.apply))(x).tolist() == [6.0, 10.0]
