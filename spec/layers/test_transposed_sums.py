"""What a transposed convolution adds up: a convolution turned round, in three ways to see it.

Read *transposed_convolution* first. What is said of ``ConvTranspose2d`` holds for
:class:`~torch.nn.ConvTranspose1d` and :class:`~torch.nn.ConvTranspose3d`.
"""

import itertools

import pytest
import torch
from torch import nn

PAIRS = [
    pytest.param(nn.Conv1d, nn.ConvTranspose1d, (7,), id="1d"),
    pytest.param(nn.Conv2d, nn.ConvTranspose2d, (7, 9), id="2d"),
    pytest.param(nn.Conv3d, nn.ConvTranspose3d, (7, 9, 5), id="3d"),
]


@pytest.mark.parametrize(("convolution", "transposed", "sizes"), PAIRS)
def test_a_transposed_convolution_is_a_gradient(convolution, transposed, sizes):
    """``ConvTranspose2d`` computes the gradient of ``Conv2d`` with the same weight with respect to its input.

    It is not its inverse: nothing undoes the sums.
    """
    given = [each[: len(sizes)] for each in ((3, 3, 4), (2, 3, 1), (1, 0, 2))]
    down, up = convolution(2, 3, *given, bias=False), transposed(3, 2, *given, bias=False)
    up.weight.data = down.weight.detach()
    x = torch.rand(4, 2, *sizes, requires_grad=True)
    y = down(x)
    gradient = torch.rand_like(y)

    assert torch.allclose(up(gradient), torch.autograd.grad(y, x, gradient)[0], atol=1e-5)
    assert not torch.allclose(up(y), x, atol=0.1)


@pytest.mark.parametrize(("convolution", "transposed", "sizes"), PAIRS)
def test_each_value_scales_the_kernel(convolution, transposed, sizes):
    """``ConvTranspose2d`` multiplies its kernel by each input value, and sums these over all channels."""
    kernel = (2, 4, 3)[: len(sizes)]
    up, x = transposed(2, 3, kernel, bias=False), torch.rand(2, *sizes)
    wanted = torch.zeros(3, *[size + width - 1 for size, width in zip(sizes, kernel, strict=True)])
    for channel, *place in itertools.product(range(2), *map(range, sizes)):
        reached = [slice(start, start + width) for start, width in zip(place, kernel, strict=True)]
        wanted[(slice(None), *reached)] += x[(channel, *place)] * up.weight.detach()[channel]

    assert torch.allclose(up(x), wanted, atol=1e-5)


@pytest.mark.parametrize("padding", [(0, 2, 1), (1, 0, 4), (4, 1, 0)])
@pytest.mark.parametrize(("convolution", "transposed", "sizes"), PAIRS)
def test_padding_of_the_turned_convolution(convolution, transposed, sizes, padding):
    """With ``stride=1``, ``ConvTranspose2d`` pads by ``dilation * (kernel_size - 1) - padding`` zeros and
    convolves.

    It pads both sides so, and flips the kernel. So more ``padding`` makes the output smaller.
    """
    kernel, dilation, padding = (each[: len(sizes)] for each in ((3, 2, 3), (2, 3, 2), padding))
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    turned = tuple(r - p for r, p in zip(reach, padding, strict=True))
    up = transposed(2, 3, kernel, padding=padding, dilation=dilation, bias=False)
    plain = convolution(2, 3, kernel, padding=turned, dilation=dilation, bias=False)
    plain.weight.data = up.weight.detach().transpose(0, 1).flip(*range(2, 2 + len(sizes)))
    x = torch.rand(4, 2, *sizes)

    assert torch.allclose(up(x), plain(x), atol=1e-5)
    assert up(x).shape == (4, 3, *[s + r - 2 * p for s, r, p in zip(sizes, reach, padding, strict=True)])


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("convolution", "transposed", "sizes"), PAIRS)
def test_zeros_are_inserted_between_the_elements(convolution, transposed, sizes, padding):
    """With ``stride=s``, ``ConvTranspose2d`` inserts ``s - 1`` zeros between the elements, then applies its
    kernel.
    """
    for strides in ((3, 3, 3), (3, 2, 4)):
        stride = strides[: len(sizes)]
        up = transposed(2, 3, 2, stride=stride, padding=padding, bias=False)
        plain = transposed(2, 3, 2, padding=padding, bias=False)
        plain.load_state_dict(up.state_dict())
        x = torch.rand(4, 2, *sizes)
        spread = torch.zeros(4, 2, *[s * (size - 1) + 1 for s, size in zip(stride, sizes, strict=True)])
        spread[(..., *[slice(None, None, s) for s in stride])] = x

        assert torch.allclose(up(x), plain(spread), atol=1e-5)


@pytest.mark.parametrize(("convolution", "transposed", "sizes"), PAIRS)
def test_output_padding_chooses_between_two_sizes(convolution, transposed, sizes):
    """``output_padding=1`` of ``ConvTranspose2d`` makes each dimension longer by one, at its end only.

    ``Conv2d(stride=2)`` returns the same size for two inputs; so either can be had back.
    """
    down = convolution(2, 3, 3, stride=2, padding=1)
    up, more = (transposed(3, 2, 3, stride=2, padding=1, output_padding=extra) for extra in (0, 1))
    more.load_state_dict(up.state_dict())
    x, larger = torch.rand(1, 2, *sizes), torch.rand(1, 2, *[size + 1 for size in sizes])

    assert down(x).shape == down(larger).shape
    assert up(down(x)).shape == x.shape
    assert more(down(x)).shape == larger.shape

    both = more(down(x))[(..., *[slice(size) for size in sizes])]
    assert torch.allclose(both, up(down(x)), atol=1e-6)
