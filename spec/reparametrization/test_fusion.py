"""Fusing a batch normalisation into the layer before it.

In evaluation a batch normalisation, here the *norm*, is a linear map of each channel; it can be made part of
the weights before it.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)


def settled(norm):
    """The norm in evaluation mode, with statistics and parameters of its own."""
    for number, tensor in enumerate((norm.weight, norm.bias, norm.running_mean, norm.running_var), 2):
        tensor.data.add_(torch.rand_like(tensor) * number)
    return norm.eval()


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_takes_in_its_norm(bias, device):
    """:func:`~torch.nn.utils.fusion.fuse_conv_bn_eval` makes one layer of a convolution and its norm."""
    conv, norm = (
        nn.Conv2d(2, 3, 2, bias=bias).eval().to(device, torch.float64),
        settled(nn.BatchNorm2d(3, eps=0.3)).to(device, torch.float64),
    )
    x = torch.rand(4, 2, 5, 5, device=device, dtype=torch.float64)

    fused = fuse_conv_bn_eval(conv, norm)

    assert (type(fused), fused.training) == (nn.Conv2d, False)
    torch.testing.assert_close(fused(x), norm(conv(x)))


def test_the_layers_are_left_alone():
    """Fusing gives a new layer; the two given are left as they are."""
    conv, norm = nn.Conv1d(2, 3, 2).eval(), settled(nn.BatchNorm1d(3))
    weight, before = conv.weight, conv.weight.tolist()

    fused = fuse_conv_bn_eval(conv, norm)

    assert fused is not conv
    assert conv.weight is weight
    assert weight.tolist() == before


def test_a_transposed_convolution_has_to_be_told():
    """A transposed convolution takes in its norm with ``transpose=True`` only."""
    conv, norm = nn.ConvTranspose2d(3, 2, 2).eval(), settled(nn.BatchNorm2d(2))
    x = torch.rand(4, 3, 5, 5)

    fused = fuse_conv_bn_eval(conv, norm, True)

    torch.testing.assert_close(fused(x), norm(conv(x)), atol=1e-4, rtol=1e-4)
    with pytest.raises(RuntimeError, match="must match the size"):
        fuse_conv_bn_eval(conv, norm)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_takes_in_its_norm(bias, device):
    """:func:`~torch.nn.utils.fusion.fuse_linear_bn_eval` makes one layer of a linear layer and its norm."""
    linear, norm = (
        nn.Linear(2, 3, bias=bias).eval().to(device),
        settled(nn.BatchNorm1d(3, eps=0.3)).to(device),
    )
    x = torch.rand(4, 2, device=device)

    fused = fuse_linear_bn_eval(linear, norm)

    assert (type(fused), fused is linear) == (nn.Linear, False)
    torch.testing.assert_close(fused(x), norm(linear(x)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("fuse", [fuse_conv_bn_eval, fuse_linear_bn_eval])
@pytest.mark.parametrize("training", ["layer", "norm"])
def test_both_are_in_evaluation_mode(fuse, training):
    """Fusing raises ``AssertionError`` if either layer is in training mode."""
    layer = nn.Conv1d(2, 3, 2) if fuse is fuse_conv_bn_eval else nn.Linear(2, 3)
    norm = nn.BatchNorm1d(3)
    (norm if training == "layer" else layer).eval()

    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        fuse(layer, norm)


@pytest.mark.since("2.2")
@pytest.mark.parametrize("fuse", [fuse_conv_bn_eval, fuse_linear_bn_eval])
@pytest.mark.parametrize("lacking", ["running_mean", "running_var"])
def test_the_norm_has_statistics(fuse, lacking):
    """Fusing raises ``AssertionError`` if the norm lacks one of its statistics."""
    layer = nn.Conv1d(2, 3, 2) if fuse is fuse_conv_bn_eval else nn.Linear(2, 3)
    norm = nn.BatchNorm1d(3).eval()
    setattr(norm, lacking, None)

    with pytest.raises(AssertionError):
        fuse(layer.eval(), norm)


@pytest.mark.since("2.3")
def test_a_linear_layer_and_its_norm_agree_in_size():
    """A linear layer and a norm of different sizes raise ``AssertionError``, unless the norm has one."""
    linear = nn.Linear(2, 3).eval()

    with pytest.raises(
        AssertionError, match=r"linear\.out_features == bn\.num_features or bn\.num_features == 1"
    ):
        fuse_linear_bn_eval(linear, nn.BatchNorm1d(4).eval())
    norm = settled(nn.BatchNorm1d(1))
    x = torch.rand(5, 1, 2)
    torch.testing.assert_close(fuse_linear_bn_eval(linear, norm)(x), norm(linear(x)))


def test_conv_weights_are_scaled_by_channel():
    """:func:`~torch.nn.utils.fusion.fuse_conv_bn_weights` computes weight and bias from plain tensors."""
    weight, bias = fuse_conv_bn_weights(
        torch.tensor([[[2.0]], [[3.0]]]),
        torch.tensor([5.0, 7.0]),
        torch.tensor([1.0, 3.0]),
        torch.tensor([2.0, 14.0]),
        2.0,
        torch.tensor([6.0, 8.0]),
        torch.tensor([0.5, 0.25]),
    )

    assert (type(weight), type(bias)) == (nn.Parameter, nn.Parameter)
    assert weight.tolist() == [[[6.0]], [[6.0]]]
    assert bias.tolist() == [12.5, 8.25]


def test_what_a_conv_lacks_is_made_up():
    """A bias, or a scale or shift of the norm, that is lacking counts as zero, one and zero."""
    weight, bias = fuse_conv_bn_weights(
        torch.tensor([[[2.0]], [[3.0]]]),
        None,
        torch.tensor([1.0, 3.0]),
        torch.tensor([4.0, 16.0]),
        0.0,
        None,
        None,
    )

    assert weight.tolist() == [[[1.0]], [[0.75]]]
    assert bias.tolist() == [-0.5, -0.75]


def test_transposed_weights_are_scaled_by_column():
    """With ``transpose`` the second dimension of the weight is scaled."""
    weight, _ = fuse_conv_bn_weights(
        torch.tensor([[[2.0], [3.0]]]),
        None,
        torch.zeros(2),
        torch.tensor([4.0, 16.0]),
        0.0,
        None,
        None,
        transpose=True,
    )

    assert weight.tolist() == [[[1.0], [0.75]]]


def test_linear_weights_are_scaled_by_row():
    """:func:`~torch.nn.utils.fusion.fuse_linear_bn_weights` computes weight and bias of a linear layer."""
    weight, bias = fuse_linear_bn_weights(
        torch.tensor([[2.0, 3.0]]),
        torch.tensor([5.0]),
        torch.tensor([1.0]),
        torch.tensor([2.0]),
        2.0,
        torch.tensor([6.0]),
        torch.tensor([0.5]),
    )

    assert (type(weight), type(bias)) == (nn.Parameter, nn.Parameter)
    assert (weight.tolist(), bias.tolist()) == ([[6.0, 9.0]], [12.5])


def test_a_linear_layer_without_bias_gets_one():
    """In a linear layer, too, a bias that is lacking counts as zero."""
    weight, bias = fuse_linear_bn_weights(
        torch.tensor([[2.0, 3.0]]),
        None,
        torch.tensor([3.0]),
        torch.tensor([4.0]),
        0.0,
        *torch.tensor([[6.0], [0.5]]),
    )

    assert (weight.tolist(), bias.tolist()) == ([[6.0, 9.0]], [-8.5])


@pytest.mark.parametrize("fuse", [fuse_conv_bn_eval, fuse_linear_bn_eval])
@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_frozen_parameters_stay_frozen(fuse, frozen):
    """Weight and bias of the fused layer require gradients as those of the layer did."""
    layer = nn.Conv1d(2, 3, 2) if fuse is fuse_conv_bn_eval else nn.Linear(2, 3)
    getattr(layer, frozen).requires_grad_(False)

    fused = fuse(layer.eval(), nn.BatchNorm1d(3).eval())

    assert {name: value.requires_grad for name, value in fused.named_parameters()} == {
        "weight": frozen == "bias",
        "bias": frozen == "weight",
    }


@pytest.mark.observed
@pytest.mark.parametrize("fuse", [fuse_conv_bn_eval, fuse_linear_bn_eval])
def test_a_made_up_bias_is_frozen(fuse):
    """The bias of the fused layer requires no gradients if the layer had none."""
    layer = nn.Conv1d(2, 3, 2, bias=False) if fuse is fuse_conv_bn_eval else nn.Linear(2, 3, bias=False)

    fused = fuse(layer.eval(), nn.BatchNorm1d(3).eval())

    assert (fused.weight.requires_grad, fused.bias.requires_grad) == (True, False)


@pytest.mark.since("2.1")
@pytest.mark.parametrize("bias", [True, False])
def test_a_fused_convolution_keeps_its_dtype(bias):
    """A convolution keeps its dtype when it takes in a norm of another dtype."""
    conv, norm = nn.Conv1d(2, 3, 2, bias=bias).bfloat16().eval(), nn.BatchNorm1d(3).eval()

    fused = fuse_conv_bn_eval(conv, norm)

    assert (fused.weight.dtype, fused.bias.dtype) == (torch.bfloat16, torch.bfloat16)


@pytest.mark.since("2.5")
@pytest.mark.parametrize("bias", [True, False])
def test_a_fused_linear_layer_keeps_its_dtype(bias):
    """A linear layer keeps its dtype when it takes in a norm of another dtype."""
    linear, norm = nn.Linear(2, 3, bias=bias).bfloat16().eval(), nn.BatchNorm1d(3).eval()

    fused = fuse_linear_bn_eval(linear, norm)

    assert (fused.weight.dtype, fused.bias.dtype) == (torch.bfloat16, torch.bfloat16)
