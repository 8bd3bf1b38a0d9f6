"""TensorFloat32: products of float32 with fewer digits, on a GPU.

Tensor cores of NVIDIA GPUs from Ampere on multiply float32 numbers fast if these may first be rounded, to 10
bits behind the point. Weights, inputs and results stay float32. An input of 1 + 2**-12 shows it: it
becomes 1.
"""

import pytest
import torch
from torch import nn

CONVOLUTIONS = [(nn.Conv1d, 1), (nn.Conv2d, 2), (nn.Conv3d, 3)]
TRANSPOSED = [(nn.ConvTranspose1d, 1), (nn.ConvTranspose2d, 2), (nn.ConvTranspose3d, 3)]


@pytest.mark.needs("cuda")
def test_linear_rounds_on_request():
    """On a GPU ``nn.Linear`` rounds to TF32 only if ``torch.backends.cuda.matmul.allow_tf32`` is ``True``.

    The default is ``False``. GPUs older than Ampere never round.
    """
    layer = nn.Linear(256, 256, bias=False, device="cuda")
    nn.init.ones_(layer.weight)
    x = torch.full((256, 256), 1 + 2**-12, device="cuda")
    exact, able = 256 + 2**-4, torch.cuda.get_device_capability() >= (8, 0)

    by_default = layer(x).unique().tolist()
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        allowed = layer(x).unique().tolist()
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False

    assert by_default == [exact]
    assert allowed == [256.0 if able else exact]


@pytest.mark.needs("cuda")
@pytest.mark.parametrize(("convolution", "dimensions"), CONVOLUTIONS)
def test_convolutions_round_unless_forbidden(convolution, dimensions):
    """On a GPU ``nn.Conv1d`` to ``Conv3d`` round to TF32 unless ``torch.backends.cudnn.allow_tf32`` is
    ``False``.

    Unlike ``nn.Linear`` they do so by default, a relative error of about 0.001. GPUs older than Ampere never
    round.
    """
    layer = convolution(64, 64, 3, bias=False, device="cuda")
    nn.init.ones_(layer.weight)
    x = torch.full((8, 64, *[16] * dimensions), 1 + 2**-12, device="cuda")
    inside, terms = (0, 0, *[8] * dimensions), 64 * 3**dimensions
    exact, able = terms * (1 + 2**-12), torch.cuda.get_device_capability() >= (8, 0)

    by_default = layer(x)[inside].item()
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        forbidden = layer(x)[inside].item()

    assert by_default == pytest.approx(terms if able else exact, rel=2e-5)
    assert forbidden == pytest.approx(exact, rel=2e-5)


@pytest.mark.needs("cuda")
@pytest.mark.parametrize(("convolution", "dimensions"), TRANSPOSED)
def test_transposed_convolutions_may_round(convolution, dimensions):
    """With ``torch.backends.cudnn.allow_tf32=False``, ``ConvTranspose1d`` to ``3d`` do not round to TF32 on a
    GPU.

    By default they may: cuDNN chooses how it computes them. With ``torch.backends.cudnn.allow_tf32``, the
    default, an H100 rounded in three dimensions and was exact in one and two.
    """
    layer = convolution(64, 64, 3, bias=False, device="cuda")
    nn.init.ones_(layer.weight)
    x = torch.full((8, 64, *[16] * dimensions), 1 + 2**-12, device="cuda")
    inside, terms = (0, 0, *[8] * dimensions), 64 * 3**dimensions
    exact, rounded = terms * (1 + 2**-12), terms

    by_default = layer(x)[inside].item()
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        forbidden = layer(x)[inside].item()

    assert by_default in (pytest.approx(exact, rel=2e-5), pytest.approx(rounded, rel=2e-5))
    assert forbidden == pytest.approx(exact, rel=2e-5)
