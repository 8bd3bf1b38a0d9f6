"""Complex numbers in layers and losses.

``dtype=torch.complex64`` makes the parameters of a layer complex. What multiplies and adds then takes complex
inputs. What compares does not, and what squares where one thinks of a magnitude gives something else.
"""

import pytest
import torch
from torch import nn

X = torch.complex(torch.tensor([[1.0, 3.0], [2.0, -1.0]]), torch.tensor([[2.0, -1.0], [0.5, 4.0]]))


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        pytest.param(lambda dtype: nn.Linear(2, 3, dtype=dtype), X, id="Linear"),
        pytest.param(lambda dtype: nn.Conv1d(2, 3, 1, dtype=dtype), X.unsqueeze(2), id="Conv1d"),
    ],
)
def test_a_complex_layer(make, inputs):
    """``nn.Linear`` and ``nn.Conv1d`` with ``dtype=torch.complex64`` compute with complex parameters.

    Real and imaginary parts are both drawn. The gradient is complex as well, for a loss that is real.
    """
    layer = make(torch.complex64)
    weight = layer.weight.view(3, 2)

    output = layer(inputs)
    output.abs().sum().backward()

    assert torch.allclose(output.view(2, 3), X @ weight.T + layer.bias, atol=1e-5)
    assert weight.real.std() > 0.01
    assert weight.imag.std() > 0.01
    assert layer.weight.grad.dtype == torch.complex64
    assert layer.weight.grad.imag.abs().max() > 0.01


def test_both_have_to_be_complex():
    """A complex ``nn.Linear`` raises ``RuntimeError`` for a real input, a real one for a complex input.

    Nothing is converted: write ``x.to(torch.complex64)``.
    """
    for dtype, given in ((torch.complex64, X.real), (torch.float32, X)):
        for inputs in (given, given[0], given[None]):
            for bias in (True, False):
                with pytest.raises(RuntimeError, match=r"dtype|scalar type"):
                    nn.Linear(2, 3, bias, dtype=dtype)(inputs)


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(lambda dtype: nn.BatchNorm1d(2, dtype=dtype), id="BatchNorm1d"),
        pytest.param(lambda dtype: nn.BatchNorm1d(2, dtype=dtype).eval(), id="BatchNorm1d in eval"),
        pytest.param(lambda dtype: nn.LayerNorm(2, dtype=dtype), id="LayerNorm"),
        pytest.param(lambda dtype: nn.GroupNorm(1, 2, dtype=dtype), id="GroupNorm"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_normalisations_take_no_complex_numbers(layer, dtype):
    """``BatchNorm``, ``LayerNorm`` and ``GroupNorm`` raise ``RuntimeError`` for complex inputs.

    So they do with real and with complex parameters. Normalize ``torch.view_as_real(x)``, or write it with
    ``x.abs()`` (:issue:`101256`). See :class:`~torch.nn.BatchNorm1d`.
    """
    with pytest.raises(RuntimeError, match=r"omplex|mixed dtype"):
        layer(dtype)(X)
    layer(torch.float32)(X.real)


@pytest.mark.since("2.4")
def test_rms_norm_squares_complex_numbers():
    """``nn.RMSNorm`` divides a complex ``x`` by ``sqrt(mean(x ** 2))``, which is complex, not by its
    magnitude.

    The result has another phase than the input, without an error. See :class:`~torch.nn.RMSNorm`.
    """
    result = nn.RMSNorm(2, eps=1e-12)(X)

    assert torch.allclose(result, X / X.pow(2).mean(1, keepdim=True).sqrt(), atol=1e-5)
    assert not torch.allclose(result.angle(), X.angle(), atol=0.1)


@pytest.mark.parametrize(
    ("layer", "accepted"),
    [
        pytest.param(nn.Tanh(), True, id="Tanh"),
        pytest.param(nn.Sigmoid(), True, id="Sigmoid"),
        pytest.param(nn.SiLU(), True, id="SiLU"),
        pytest.param(nn.ReLU(), False, id="ReLU"),
        pytest.param(nn.LeakyReLU(), False, id="LeakyReLU"),
        pytest.param(nn.GELU(), False, id="GELU"),
        pytest.param(nn.Softmax(1), False, id="Softmax"),
        pytest.param(nn.MaxPool1d(2), False, id="MaxPool1d"),
    ],
)
def test_activations_of_complex_numbers(layer, accepted):
    """``Tanh``, ``Sigmoid`` and ``SiLU`` take complex inputs; ``ReLU`` and ``GELU`` raise ``RuntimeError``.

    A usual substitute is ``torch.complex(relu(x.real), relu(x.imag))``. See :class:`~torch.nn.ReLU`.
    """
    if accepted:
        assert torch.allclose(layer(X), layer(X.to(torch.complex128)).to(torch.complex64), atol=1e-5)
        assert layer(X).imag.abs().min() > 1e-4
    else:
        with pytest.raises(RuntimeError, match="omplex"):
            layer(X)


@pytest.mark.since("2.15")
def test_dropout_of_complex_numbers():
    """``nn.Dropout`` drops real and imaginary part of a complex number together, and scales both.

    So does ``nn.Dropout1d``, for a whole channel (:issue:`80256`).
    """
    for make in (nn.Dropout, nn.Dropout1d):
        for inplace in (False, True):
            result = make(0.75, inplace)(torch.full((1, 100, 1), 1 + 3j))

            assert set(result.flatten().tolist()) == {0j, 4 + 12j}


@pytest.mark.before("2.15")
def test_dropout_took_no_complex_numbers():
    """``nn.Dropout`` raises ``RuntimeError`` for complex inputs in training; in ``eval()`` it does not."""
    layer = nn.Dropout(0.5)

    with pytest.raises(RuntimeError, match="omplex"):
        layer(X)
    assert torch.equal(layer.eval()(X), X)


def test_losses_of_complex_numbers():
    """``nn.MSELoss`` and ``nn.SmoothL1Loss`` raise ``RuntimeError`` for complex inputs, unlike ``L1Loss``.

    Give them ``torch.view_as_real`` of both, which sums the squares of the real and imaginary differences.

    See also :ref:`layers.loss_arguments.l1_of_complex_numbers`
    """
    for reduction in ("none", "mean", "sum"):
        for inputs in (X, X.to(torch.complex128)):
            for loss in (nn.MSELoss(reduction=reduction), nn.SmoothL1Loss(reduction=reduction)):
                with pytest.raises(RuntimeError, match="omplex"):
                    loss(inputs, inputs * 2)
            assert nn.L1Loss(reduction=reduction)(inputs, inputs * 2).is_complex() is False

    parts = nn.MSELoss(reduction="sum")(torch.view_as_real(X), torch.view_as_real(X * 2))
    assert torch.allclose(parts, X.abs().pow(2).sum())


@pytest.mark.since("2.1")
def test_a_loss_has_to_be_real():
    """``backward()`` of a complex loss raises ``RuntimeError``: take its ``abs()`` or ``real`` first."""
    layer = nn.Linear(2, 1, dtype=torch.complex64)

    with pytest.raises(RuntimeError, match="only for real scalar outputs"):
        layer(X).sum().backward()
    for real in (torch.abs, torch.real):
        layer.zero_grad()
        real(layer(X).sum()).backward()
        assert layer.weight.grad.abs().min() > 0
