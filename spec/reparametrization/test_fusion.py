"""Fusing a batch normalization into the layer before it.

In evaluation a batch normalization, here the *norm*, is a linear map of each channel; it can be made part of
the weights before it.
"""

import pytest
import torch
from torch import nn
from torch.ao.quantization import fuse_modules, fuse_modules_qat
from torch.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)

FUSED = [(fuse_conv_bn_eval, nn.Conv1d, (2, 3, 2)), (fuse_linear_bn_eval, nn.Linear, (2, 3))]


def settled(norm):
    for number, tensor in enumerate((norm.weight, norm.bias, norm.running_mean, norm.running_var), 2):
        tensor.data.add_(torch.rand_like(tensor) * number)
    return norm.eval()


@pytest.mark.parametrize(
    ("kind", "norms", "sizes"),
    [
        (nn.Conv1d, nn.BatchNorm1d, (5,)),
        (nn.Conv2d, nn.BatchNorm2d, (5, 4)),
        (nn.Conv3d, nn.BatchNorm3d, (5, 4, 3)),
    ],
    ids=["1d", "2d", "3d"],
)
@pytest.mark.parametrize(("groups", "bias"), [(1, True), (1, False), (2, True)])
def test_a_convolution_takes_in_its_norm(kind, norms, sizes, groups, bias, device):
    """:func:`fuse_conv_bn_eval <torch.nn.utils.fusion.fuse_conv_bn_eval>` fuses a convolution and a BatchNorm
    into one convolution.

    The new layer computes what both computed in eval mode, with one pass over the data less.
    """
    conv, norm = (
        kind(2, 4, 2, 2, 1, groups=groups, bias=bias).eval().to(device, torch.float64),
        settled(norms(4, eps=0.3)).to(device, torch.float64),
    )
    x = torch.rand(4, 2, *sizes, device=device, dtype=torch.float64)

    fused = fuse_conv_bn_eval(conv, norm)

    assert type(fused) is kind
    assert fused.training is False
    torch.testing.assert_close(fused(x), norm(conv(x)))


def test_the_layers_are_left_alone():
    """``fuse_conv_bn_eval`` returns a new convolution; the given convolution and BatchNorm are unchanged."""
    for bias in (True, False):
        pair = conv, norm = nn.Conv1d(2, 3, 2, bias=bias).eval(), settled(nn.BatchNorm1d(3))
        before = [(name, t.tolist()) for layer in pair for name, t in layer.state_dict().items()]

        fused = fuse_conv_bn_eval(conv, norm)

        assert fused is not conv
        assert fused.weight is not conv.weight
        assert [(name, t.tolist()) for layer in pair for name, t in layer.state_dict().items()] == before
        assert [layer.training for layer in pair] == [False, False]
        assert all(parameter.requires_grad for layer in pair for parameter in layer.parameters())


def test_a_transposed_convolution_has_to_be_told():
    """Without ``transpose=True``, ``fuse_conv_bn_eval`` fuses a ``ConvTranspose2d`` wrongly or raises
    ``RuntimeError``.

    Without it the wrong dimension is scaled. With as many input as output channels nothing is raised, and the
    result is wrong.
    """
    x = torch.rand(4, 3, 5, 5)
    for kind, norms, given in (
        (nn.ConvTranspose1d, nn.BatchNorm1d, x[..., 0]),
        (nn.ConvTranspose2d, nn.BatchNorm2d, x),
        (nn.ConvTranspose3d, nn.BatchNorm3d, x.unsqueeze(-1)),
    ):
        conv, norm = kind(3, 2, 2).eval(), settled(norms(2))

        fused = fuse_conv_bn_eval(conv, norm, True)

        torch.testing.assert_close(fused(given), norm(conv(given)), atol=1e-4, rtol=1e-4)
        with pytest.raises(RuntimeError, match="must match the size"):
            fuse_conv_bn_eval(conv, norm)

    square, norm = nn.ConvTranspose2d(2, 2, 2).eval(), settled(nn.BatchNorm2d(2))
    wrong = fuse_conv_bn_eval(square, norm)
    assert not torch.allclose(wrong(x[:, :2]), norm(square(x[:, :2])), atol=1e-2)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_takes_in_its_norm(bias, device):
    """:func:`fuse_linear_bn_eval <torch.nn.utils.fusion.fuse_linear_bn_eval>` fuses a ``Linear`` and a
    BatchNorm into one ``Linear``.
    """
    linear, norm = (
        nn.Linear(2, 3, bias=bias).eval().to(device),
        settled(nn.BatchNorm1d(3, eps=0.3)).to(device),
    )
    x = torch.rand(4, 2, device=device)

    fused = fuse_linear_bn_eval(linear, norm)

    assert type(fused) is nn.Linear
    assert fused is not linear
    torch.testing.assert_close(fused(x), norm(linear(x)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("fuse", "kind", "sizes"), FUSED, ids=["conv", "linear"])
@pytest.mark.parametrize("training", ["layer", "norm"])
def test_both_are_in_evaluation_mode(fuse, kind, sizes, training):
    """``fuse_conv_bn_eval`` and ``fuse_linear_bn_eval`` raise ``AssertionError`` for layers in training
    mode.
    """
    layer = kind(*sizes)
    norm = nn.BatchNorm1d(3)
    (norm if training == "layer" else layer).eval()

    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        fuse(layer, norm)


@pytest.mark.since("2.2")
@pytest.mark.parametrize(("fuse", "kind", "sizes"), FUSED, ids=["conv", "linear"])
@pytest.mark.parametrize("lacking", ["running_mean", "running_var"])
def test_the_norm_has_statistics(fuse, kind, sizes, lacking):
    """``fuse_conv_bn_eval`` and ``fuse_linear_bn_eval`` raise ``AssertionError`` if a running statistic is
    ``None``.
    """
    layer = kind(*sizes)
    norm = nn.BatchNorm1d(3).eval()
    assert type(fuse(layer.eval(), norm)) is type(layer)

    setattr(norm, lacking, None)
    with pytest.raises(AssertionError, match=r"^$|bn\.running_mean and bn\.running_var must not be None"):
        fuse(layer, norm)


@pytest.mark.since("2.3")
def test_a_linear_layer_and_its_norm_agree_in_size():
    """``fuse_linear_bn_eval`` raises ``AssertionError`` if ``num_features`` is neither ``out_features`` nor
    1.
    """
    linear = nn.Linear(2, 3).eval()

    told = r"linear\.out_features == bn\.num_features or bn\.num_features == 1"
    for other in (linear, nn.Linear(2, 1).eval()):
        with pytest.raises(AssertionError, match=told):
            fuse_linear_bn_eval(other, nn.BatchNorm1d(4).eval())
    norm = settled(nn.BatchNorm1d(1))
    x = torch.rand(5, 1, 2)
    torch.testing.assert_close(fuse_linear_bn_eval(linear, norm)(x), norm(linear(x)))


def test_conv_weights_are_scaled_by_channel():
    """:func:`fuse_conv_bn_weights <torch.nn.utils.fusion.fuse_conv_bn_weights>` computes the fused weight and
    bias from plain tensors.
    """
    weight, bias = fuse_conv_bn_weights(
        torch.tensor([[[2.0]], [[3.0]]]),
        torch.tensor([5.0, 7.0]),
        torch.tensor([1.0, 3.0]),
        torch.tensor([2.0, 14.0]),
        2.0,
        torch.tensor([6.0, -8.0]),
        torch.tensor([0.5, 0.25]),
    )

    assert type(weight) is type(bias) is nn.Parameter
    assert weight.tolist() == [[[6.0]], [[-6.0]]]
    assert bias.tolist() == [12.5, -7.75]


def test_what_a_conv_lacks_is_made_up():
    """``fuse_conv_bn_weights`` treats missing biases as 0 and a missing BatchNorm weight as 1."""
    given = torch.tensor([[[2.0]], [[3.0]]])
    statistics = (torch.tensor([1.0, 3.0]), torch.tensor([4.0, 16.0]), 0.0)
    weight, bias = fuse_conv_bn_weights(given, None, *statistics, None, None)
    _, biased = fuse_conv_bn_weights(given, torch.tensor([5.0, 7.0]), *statistics, None, None)
    _, shifted = fuse_conv_bn_weights(given, None, *statistics, None, torch.tensor([5.0, 7.0]))

    assert weight.tolist() == [[[1.0]], [[0.75]]]
    assert bias.tolist() == [-0.5, -0.75]
    assert biased.tolist() == [2.0, 1.0]
    assert shifted.tolist() == [4.5, 6.25]


def test_transposed_weights_are_scaled_by_column():
    """``fuse_conv_bn_weights(..., transpose=True)`` scales the weight along its second dimension."""
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
    """:func:`fuse_linear_bn_weights <torch.nn.utils.fusion.fuse_linear_bn_weights>` computes the fused weight
    and bias of a linear layer.
    """
    weight, bias = fuse_linear_bn_weights(
        torch.tensor([[2.0, 5.0], [3.0, 7.0]]),
        torch.tensor([5.0, 7.0]),
        torch.tensor([1.0, 3.0]),
        torch.tensor([2.0, 14.0]),
        2.0,
        torch.tensor([6.0, -8.0]),
        torch.tensor([0.5, 0.25]),
    )

    assert type(weight) is type(bias) is nn.Parameter
    assert weight.tolist() == [[6.0, 15.0], [-6.0, -14.0]]
    assert bias.tolist() == [12.5, -7.75]


def test_a_linear_layer_without_bias_gets_one():
    """``fuse_linear_bn_weights`` treats a missing bias of the linear layer as 0."""
    weight, bias = fuse_linear_bn_weights(
        torch.tensor([[2.0, 3.0]]),
        None,
        torch.tensor([3.0]),
        torch.tensor([4.0]),
        0.0,
        *torch.tensor([[6.0], [0.5]]),
    )

    assert weight.tolist() == [[6.0, 9.0]]
    assert bias.tolist() == [-8.5]


@pytest.mark.parametrize("size", [3, 1])
def test_a_linear_layer_needs_an_affine_norm(size):
    """``fuse_linear_bn_eval`` raises ``TypeError`` for a BatchNorm with ``affine=False``.

    :func:`~torch.nn.utils.fusion.fuse_conv_bn_eval` accepts one.
    """
    norm = nn.BatchNorm1d(size, affine=False).eval()

    with pytest.raises(TypeError, match="NoneType"):
        fuse_linear_bn_eval(nn.Linear(2, 3).eval(), norm)
    assert type(fuse_conv_bn_eval(nn.Conv1d(2, 3, 2).eval(), norm)) is nn.Conv1d


@pytest.mark.parametrize(("fuse", "kind", "sizes"), FUSED, ids=["conv", "linear"])
@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_frozen_parameters_stay_frozen(fuse, kind, sizes, frozen):
    """``fuse_conv_bn_eval`` and ``fuse_linear_bn_eval`` keep a frozen weight or bias frozen."""
    layer = kind(*sizes)
    getattr(layer, frozen).requires_grad_(False)

    fused = fuse(layer.eval(), nn.BatchNorm1d(3).eval())

    assert {name: value.requires_grad for name, value in fused.named_parameters()} == {
        "weight": frozen == "bias",
        "bias": frozen == "weight",
    }


@pytest.mark.parametrize(("fuse", "kind", "sizes"), FUSED, ids=["conv", "linear"])
def test_a_made_up_bias_is_frozen(fuse, kind, sizes):
    """A bias added by ``fuse_conv_bn_eval`` or ``fuse_linear_bn_eval`` does not require grad.

    Before training the fused layer, call ``requires_grad_()`` on the bias.
    """
    layer = kind(*sizes, bias=False)

    fused = fuse(layer.eval(), nn.BatchNorm1d(3).eval())

    assert fused.weight.requires_grad is True
    assert fused.bias.requires_grad is False


@pytest.mark.since("2.1")
@pytest.mark.parametrize("bias", [True, False])
def test_a_fused_convolution_keeps_its_dtype(bias):
    """``fuse_conv_bn_eval`` keeps the dtype of the convolution if the BatchNorm has another dtype."""
    for dtype, other in ((torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)):
        conv, norm = nn.Conv1d(2, 3, 2, bias=bias, dtype=dtype).eval(), nn.BatchNorm1d(3, dtype=other).eval()

        fused = fuse_conv_bn_eval(conv, norm)

        assert fused.weight.dtype is dtype
        assert fused.bias.dtype is dtype


@pytest.mark.since("2.5")
@pytest.mark.parametrize("bias", [True, False])
def test_a_fused_linear_layer_keeps_its_dtype(bias):
    """``fuse_linear_bn_eval`` keeps the dtype of the linear layer if the BatchNorm has another dtype."""
    for dtype, other in ((torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)):
        linear, norm = nn.Linear(2, 3, bias=bias, dtype=dtype).eval(), nn.BatchNorm1d(3, dtype=other).eval()

        fused = fuse_linear_bn_eval(linear, norm)

        assert fused.weight.dtype is dtype
        assert fused.bias.dtype is dtype


def test_layers_of_a_model_are_fused_by_name():
    """``torch.ao.quantization.fuse_modules`` puts the fused layer first, and ``nn.Identity`` in place of the
    rest.

    The norm becomes part of the convolution. Names stay, but keys of the state dict change, so a state from
    before no longer loads. By default the model is copied.
    """
    layers = nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1)
    net = nn.Sequential(*layers).eval()
    net[1].running_var.fill_(4.0)
    x = torch.rand(1, 2, 4, 4)

    fused = fuse_modules(net, [["0", "1", "2"], ["3", "4"]])

    kinds = [type(layer).__name__ for layer in fused]
    assert kinds == ["ConvReLU2d", "Identity", "Identity", "Conv2d", "Identity"]
    assert list(fused.state_dict()) == ["0.0.weight", "0.0.bias", "3.weight", "3.bias"]
    assert type(net[1]) is nn.BatchNorm2d
    torch.testing.assert_close(fused(x), net(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)),
        (nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.ReLU()),
        (nn.Linear(2, 3), nn.BatchNorm1d(3)),
    ],
    ids=["convolution", "with ReLU", "linear"],
)
def test_fusing_for_training_keeps_the_norm(layers):
    """In training mode ``torch.ao.quantization.fuse_modules`` raises ``AssertionError``; ``fuse_modules_qat``
    works.

    To train a fused model further, fuse with ``fuse_modules_qat``: it holds the norm, with its statistics,
    beside the layer.
    """
    settled(layers[1])
    net = nn.Sequential(*layers).train()
    names = [name for name, _ in net.named_children()]

    with pytest.raises(AssertionError, match="Fusion only for eval!"):
        fuse_modules(net, names)
    fused = fuse_modules_qat(net, names)

    assert [type(layer) for layer in fused[0]] == [type(layer) for layer in layers]
    assert torch.equal(fused[0][1].running_mean, net[1].running_mean)
    assert torch.equal(fused[0][1].running_var, net[1].running_var)
    assert type(fused[1]) is nn.Identity
