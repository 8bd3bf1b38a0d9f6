"""What activations compute, with their defaults, and what they make of zero, infinity and NaN.

That they are modules without state, and how they print, is in *activations*.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

INFINITE, NAN = math.inf, math.nan


def test_relu_at_zero():
    """The gradient of ``nn.ReLU`` at 0 is 0, that of ``nn.LeakyReLU`` its slope, and of ``nn.ELU`` 1.

    ``nn.ReLU`` passes gradients on only above 0, and ``nn.ReLU6`` only between 0 and 6.
    """
    x = torch.tensor([-1.0, 0.0, 2.0, 6.0, 8.0], requires_grad=True)
    slopes = [
        torch.autograd.grad(layer(x).sum(), x)[0].tolist()
        for layer in (nn.ReLU(), nn.LeakyReLU(0.25), nn.ELU(), nn.ReLU6())
    ]

    assert slopes == [
        [0, 0, 1, 1, 1],
        [0.25, 0.25, 1, 1, 1],
        [pytest.approx(math.exp(-1)), 1, 1, 1, 1],
        [0, 0, 1, 0, 0],
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_relu_of_not_a_number(dtype):
    """``nn.ReLU``, ``nn.ReLU6`` and ``nn.Hardtanh`` return NaN for NaN: they do not clear it.

    So do ``nn.Threshold``, ``nn.LeakyReLU`` and the smooth ones. Infinity stays where there is no upper
    bound.
    """
    x = torch.tensor([NAN, INFINITE, -INFINITE], dtype=dtype)
    found = [layer(x).tolist() for layer in (nn.ReLU(), nn.ReLU6(), nn.Hardtanh(), nn.LeakyReLU(0.5))]

    assert [str(row[0]) for row in found] == ["nan"] * 4
    assert [row[1:] for row in found] == [[INFINITE, 0], [6, 0], [1, -1], [INFINITE, -INFINITE]]
    assert torch.isnan(nn.Threshold(0.0, 5.0)(x)).tolist() == [True, False, False]


def test_smooth_activations_of_minus_infinity():
    """``nn.GELU``, ``SiLU``, ``Mish`` and ``Hardswish`` return NaN for minus infinity, ``nn.ReLU`` 0.

    They multiply the input by something that is 0 there. So a mask of ``-inf`` must not pass through them.
    """
    x = torch.tensor([-INFINITE, INFINITE])

    plain = (nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Hardswish())
    for layer in (*plain, nn.SiLU(inplace=True), nn.Mish(inplace=True), nn.Hardswish(inplace=True)):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            assert str(layer(x.to(dtype, copy=True)).tolist()) == "[nan, inf]"
    assert nn.ReLU()(x).tolist() == [0, INFINITE]
    assert nn.ELU()(x).tolist() == [-1, INFINITE]
    assert nn.Softplus()(x).tolist() == [0, INFINITE]


def test_the_slope_of_leaky_relu():
    """``nn.LeakyReLU`` multiplies negative inputs by ``negative_slope``, 0.01 by default.

    A negative slope is allowed, but not with ``inplace=True``: from the result alone the sign of the input
    could not be told, and ``backward()`` raises ``RuntimeError``.
    """
    x = torch.tensor([-1.0, 2.0], requires_grad=True)

    assert nn.LeakyReLU()(x).tolist() == pytest.approx([-0.01, 2.0])
    assert nn.LeakyReLU(-0.5)(x).tolist() == [0.5, 2.0]
    assert torch.autograd.grad(nn.LeakyReLU(-0.5)(x).sum(), x)[0].tolist() == [-0.5, 1.0]
    assert torch.autograd.grad(nn.LeakyReLU(0.0, inplace=True)(x * 1).sum(), x)[0].tolist() == [0, 1]

    out = nn.LeakyReLU(-0.5, inplace=True)(x * 1)

    assert out.tolist() == [0.5, 2.0]
    with pytest.raises(RuntimeError, match=r"In-place leakyReLu backward .* with a negative slope"):
        out.sum().backward()


def test_softmax_sums_to_one():
    """``nn.Softmax(dim)`` makes values along ``dim`` sum to 1; adding a number to all of them changes
    nothing.

    Large inputs therefore do not overflow. Along a dimension of size 1 every value is 1: a network with one
    output needs a sigmoid.
    """
    x = torch.tensor([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
    parts = nn.Softmax(dim=1)(x)

    assert parts.sum(1).tolist() == pytest.approx([1.0, 1.0])
    assert parts[1].tolist() == pytest.approx([1 / 3] * 3)
    assert parts[0].tolist() == pytest.approx([math.exp(n) / sum(map(math.exp, range(3))) for n in range(3)])
    assert torch.allclose(nn.Softmax(dim=1)(x + 1000), parts)
    assert torch.equal(nn.Softmax(dim=-1)(x), parts)
    assert torch.allclose(nn.Softmax(dim=0)(x.T), parts.T)
    assert nn.Softmax(dim=1)(x[:, :1]).tolist() == [[1.0], [1.0]]


def test_log_softmax_is_not_the_log_of_softmax():
    """``nn.LogSoftmax`` stays finite where the log of ``nn.Softmax`` is ``-inf``, with gradients of NaN."""
    x = torch.tensor([0.0, 200.0], requires_grad=True)
    logs, exact = torch.log(nn.Softmax(0)(x)), nn.LogSoftmax(0)(x)

    assert logs.tolist() == [-INFINITE, 0.0]
    assert exact.tolist() == [-200.0, 0.0]
    assert str(torch.autograd.grad(logs[0], x)[0].tolist()) == "[nan, nan]"
    assert torch.autograd.grad(exact[0], x)[0].tolist() == [1.0, -1.0]


def test_softmax_of_infinite_values():
    """``nn.Softmax`` is 0 at ``-inf``, and NaN everywhere if all are ``-inf`` or one is ``inf`` or NaN.

    So a row that is masked wholly gives NaN, and NaN as gradients; see :issue:`6864`.
    """
    softmax = nn.Softmax(0)
    part = torch.tensor([-INFINITE, 2.0, 2.0], requires_grad=True)
    whole = torch.tensor([-INFINITE, -INFINITE], requires_grad=True)
    softmax(part)[1].backward()
    softmax(whole)[1].backward()

    assert softmax(part).tolist() == [0.0, 0.5, 0.5]
    assert part.grad.tolist() == [0.0, 0.25, -0.25]
    assert str(whole.grad.tolist()) == "[nan, nan]"
    for row in ([-INFINITE, -INFINITE], [0.0, INFINITE], [0.0, NAN]):
        assert str(softmax(torch.tensor(row)).tolist()) == "[nan, nan]"


def test_softmax_over_channels_and_softmin():
    """``nn.Softmax2d`` is ``nn.Softmax(dim=-3)``, over channels at each position; ``nn.Softmin`` negates."""
    image = torch.rand(2, 3, 4, 5)

    assert torch.equal(nn.Softmax2d()(image), nn.Softmax(dim=1)(image))
    assert torch.equal(nn.Softmax2d()(image[0]), nn.Softmax(dim=0)(image[0]))
    assert torch.equal(nn.Softmin(dim=1)(image), nn.Softmax(dim=1)(-image))
    with pytest.raises((ValueError, AssertionError), match="3D or 4D"):
        nn.Softmax2d()(image[0, 0])


def test_softplus_is_linear_from_a_threshold_on():
    """``nn.Softplus`` is ``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x`` exceeds 20.

    There the difference is below the precision of float32.
    """
    x = torch.tensor([-1.0, 0.0, 3.0])

    assert torch.allclose(nn.Softplus()(x), torch.log1p(torch.exp(x)))
    assert torch.allclose(nn.Softplus(beta=2)(x), torch.log1p(torch.exp(2 * x)) / 2)
    assert nn.Softplus(threshold=1)(torch.tensor([1.0, 1.5])).tolist() == pytest.approx([1.313262, 1.5])
    assert nn.Softplus(beta=2, threshold=2)(torch.tensor([1.5])).item() == 1.5
    assert (nn.Softplus().beta, nn.Softplus().threshold) == (1, 20)


def test_two_ways_of_gelu():
    """``nn.GELU()`` is ``x * Phi(x)``, exactly; ``approximate="tanh"`` differs by less than 0.0005.

    GPT-2 used the approximation. An unknown name raises ``RuntimeError`` when the layer is called.
    """
    x = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    phi = (1 + torch.erf(x / 2**0.5)) / 2
    inner = (2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)

    assert torch.allclose(nn.GELU()(x), x * phi)
    assert torch.allclose(nn.GELU("tanh")(x), x * (1 + torch.tanh(inner)) / 2)
    assert 0.0004 < (nn.GELU()(x) - nn.GELU("tanh")(x)).abs().max() < 0.0005
    fast = nn.GELU("fast")
    with pytest.raises(RuntimeError, match="approximate argument must be either none or tanh"):
        fast(x)


def test_glu_halves_a_dimension():
    """``nn.GLU`` returns the first half times the sigmoid of the second half, along the last dimension.

    Its output has half the features, so the layer after it takes fewer.
    """
    x = torch.tensor([[1.0, 2.0, 0.0, 100.0]])

    for batch in (x[0], x, x[None], x[None, None]):
        assert nn.GLU()(batch).flatten().tolist() == [0.5, 2.0]
    assert nn.GLU(dim=0)(x.T).tolist() == [[0.5], [2.0]]
    with pytest.raises(RuntimeError, match="Halving dimension must be even, but dimension 1 is size 3"):
        nn.GLU()(x[:, :3])


def test_threshold_and_hardtanh():
    """``nn.Threshold(0.5, 20.0)`` puts 20 where the input is not above 0.5; ``nn.Hardtanh`` clamps to -1 and
    1.

    No gradient reaches what is replaced, nor what lies at the bounds.
    """
    x = torch.tensor([-2.0, -1.0, 0.5, 0.75, 1.0], requires_grad=True)
    replaced, clamped = nn.Threshold(0.5, 20.0)(x), nn.Hardtanh()(x)

    assert replaced.tolist() == [20, 20, 20, 0.75, 1]
    assert torch.autograd.grad(replaced.sum(), x)[0].tolist() == [0, 0, 0, 1, 1]
    assert clamped.tolist() == [-1, -1, 0.5, 0.75, 1]
    assert torch.autograd.grad(clamped.sum(), x)[0].tolist() == [0, 0, 1, 1, 0]
    assert nn.Hardtanh(-1.5, 0.5)(x).tolist() == [-1.5, -1, 0.5, 0.5, 0.5]


def test_shrinking():
    """``nn.Softshrink`` moves values toward 0 by ``lambd``; ``nn.Hardshrink`` keeps those beyond it."""
    x = torch.tensor([-3.0, -0.25, 0.25, 0.5, 2.0])

    assert nn.Softshrink()(x).tolist() == [-2.5, 0, 0, 0, 1.5]
    assert nn.Hardshrink()(x).tolist() == [-3, 0, 0, 0, 2]
    assert nn.Softshrink(1.0)(x).tolist() == [-2, 0, 0, 0, 1]
    assert nn.Hardshrink(2.0)(x).tolist() == [-3, 0, 0, 0, 0]
    assert torch.equal(nn.Tanhshrink()(x), x - torch.tanh(x))
    with pytest.raises(RuntimeError, match="lambda must be"):
        nn.Softshrink(-1.0)(x)


def test_elu_and_celu():
    """``nn.ELU(2.0)`` is ``2 * (exp(x) - 1)`` below 0, with a kink; ``nn.CELU(2.0)`` has ``exp(x / 2)``.

    With ``alpha=1``, the default of both, they are equal.
    """
    x = torch.tensor([-3.0, -1.0, 0.5])

    assert torch.allclose(nn.ELU(2.0)(x), torch.where(x > 0, x, 2 * torch.expm1(x)))
    assert torch.allclose(nn.CELU(2.0)(x), torch.where(x > 0, x, 2 * torch.expm1(x / 2)))
    assert torch.equal(nn.ELU()(x), nn.CELU()(x))

    zero = torch.zeros(1, requires_grad=True)

    assert torch.autograd.grad(nn.ELU(2.0)(zero), zero)[0].tolist() == [2.0]
    assert torch.autograd.grad(nn.CELU(2.0)(zero), zero)[0].tolist() == [1.0]
    with pytest.raises(RuntimeError, match="alpha cannot be 0 for CELU"):
        nn.CELU(0.0)(x)


def test_silu_and_its_piecewise_kin():
    """``nn.SiLU`` is ``x * sigmoid(x)``, also called swish; ``nn.Hardswish`` has ``relu6(x + 3) / 6`` for it.

    That is ``nn.Hardsigmoid``. ``nn.Mish`` multiplies by ``tanh(softplus(x))``.
    """
    x = torch.tensor([-4.0, -1.5, 0.0, 1.5, 4.0])

    for inplace in (False, True):
        assert torch.allclose(nn.SiLU(inplace)(x.clone()), x * torch.sigmoid(x))
        assert nn.Hardsigmoid(inplace)(x.clone()).tolist() == [0, 0.25, 0.5, 0.75, 1]
        assert nn.Hardswish(inplace)(x.clone()).tolist() == [0, -0.375, 0, 1.125, 4]
        assert torch.allclose(nn.Mish(inplace)(x.clone()), x * torch.tanh(F.softplus(x)))


def test_sigmoids_saturate():
    """The gradient of ``nn.Sigmoid`` and ``nn.Tanh`` is 0 for large float32 inputs: nothing is learned there.

    ``nn.LogSigmoid`` has gradients for them, where the log of a sigmoid has NaN.
    """
    x = torch.tensor([20.0, -200.0], requires_grad=True)
    logs = torch.log(nn.Sigmoid()(x))

    assert nn.Sigmoid()(x).tolist() == [1, 0]
    assert torch.autograd.grad(nn.Sigmoid()(x).sum(), x)[0].tolist() == [0, 0]
    assert torch.autograd.grad(nn.Tanh()(x).sum(), x)[0].tolist() == [0, 0]
    assert nn.LogSigmoid()(x).tolist() == [pytest.approx(-math.exp(-20)), -200]
    assert torch.autograd.grad(nn.LogSigmoid()(x).sum(), x)[0].tolist() == [pytest.approx(math.exp(-20)), 1]
    assert str(torch.autograd.grad(logs.sum(), x)[0].tolist()) == "[0.0, nan]"


def test_slopes_for_channels():
    """``nn.PReLU(3)`` has a slope for each channel, dimension 1 of the input; ``nn.PReLU()`` one for all.

    Other numbers of channels raise ``RuntimeError``. For features at the end of a sequence, use one slope.
    """
    layer = nn.PReLU(3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, 0.25, 0.125]))

    assert layer(torch.full((1, 3, 2), -8.0)).tolist() == [[[-4, -4], [-2, -2], [-1, -1]]]
    assert layer(torch.full((1, 3), -8.0)).tolist() == [[-4, -2, -1]]
    assert nn.PReLU(init=0.5)(torch.full((1, 2, 3), -8.0)).tolist() == [[[-4] * 3] * 2]
    for shape in [(1, 2, 3), (3,)]:
        with pytest.raises(RuntimeError, match="Found parameter numbers = 3 and channel size"):
            layer(torch.full(shape, -8.0))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_integers(dtype):
    """``nn.ReLU`` and ``nn.Hardtanh`` take signed integers; ``nn.Sigmoid`` and ``nn.Tanh`` return float32.

    ``nn.GELU``, ``nn.SiLU`` and ``nn.Softmax`` raise ``RuntimeError``, or its subclass
    ``NotImplementedError``, for integers.
    """
    numbers = torch.tensor([3, -2], dtype=dtype)

    clamped, bounded = nn.ReLU()(numbers), nn.Hardtanh()(numbers)
    assert [clamped.dtype, clamped.tolist()] == [dtype, [3, 0]]
    assert [bounded.dtype, bounded.tolist()] == [dtype, [1, -1]]
    for layer in (nn.Sigmoid(), nn.Tanh()):
        torch.testing.assert_close(layer(numbers), layer(torch.tensor([3.0, -2.0])))
    for layer in (nn.GELU(), nn.SiLU(), nn.Softmax(0), nn.ELU()):
        with pytest.raises(RuntimeError, match=r"not implemented for '(Char|Short|Int|Long)'"):
            layer(numbers)


@pytest.mark.since("2.15")
def test_hardtanh_takes_unsigned_integers():
    """``nn.Hardtanh`` with its default limits takes uint8, and clamps it to at most 1.

    Up to torch 2.14 it raised ``RuntimeError``, since its lower limit is negative.
    """
    numbers = torch.tensor([3, 0, 1], dtype=torch.uint8)

    clamped = nn.Hardtanh()(numbers)

    assert [clamped.dtype, clamped.tolist()] == [torch.uint8, [1, 0, 1]]
    assert nn.Hardtanh(-1.0, 2.0)(numbers).tolist() == [2, 0, 1]


@pytest.mark.before("2.15")
def test_hardtanh_refused_unsigned_integers():
    """``nn.Hardtanh`` with its default limits raises ``RuntimeError`` for uint8.

    Its lower limit is negative: ``nn.Hardtanh(0.0, 1.0)`` takes it.
    """
    numbers = torch.tensor([3, 0, 1], dtype=torch.uint8)

    with pytest.raises(RuntimeError, match="cannot do hardtanh on an unsigned type with negative limits"):
        nn.Hardtanh()(numbers)
    assert nn.Hardtanh(0.0, 1.0)(numbers).tolist() == [1, 0, 1]
