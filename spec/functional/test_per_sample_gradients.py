"""Per-sample gradients by a call: ``call_for_per_sample_grads``.

It returns a function to call in place of the module. After ``backward()`` each parameter has the gradient of
every sample in ``grad_sample``. It is in a private module of ``torch.nn.utils``; :func:`torch.vmap` over
:func:`torch.func.grad` computes the same for more layers.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads


def test_every_sample_has_a_gradient():
    """``call_for_per_sample_grads(net)(x)`` and ``backward()`` fill ``grad_sample`` and leave ``grad`` at
    ``None``.
    """
    layer = nn.Linear(2, 1)
    x = torch.tensor([[10.0, 100.0], [20.0, 200.0], [30.0, 300.0]])

    out = call_for_per_sample_grads(nn.Sequential(layer))(x)
    (out * torch.tensor([[1.0], [2.0], [3.0]])).sum().backward()

    torch.testing.assert_close(out, layer(x))
    assert layer.weight.grad_sample.tolist() == [[[10.0, 100.0]], [[40.0, 400.0]], [[90.0, 900.0]]]
    assert layer.bias.grad_sample.tolist() == [[1.0], [2.0], [3.0]]
    assert [layer.weight.grad, layer.bias.grad] == [None, None]


def test_unused_and_frozen_parameters_have_none():
    """``call_for_per_sample_grads`` gives no ``grad_sample`` to parameters that are unused or frozen.

    Reading the attribute raises ``AttributeError``: ask with ``hasattr``.
    """
    net = nn.ModuleDict({"used": nn.Linear(2, 3), "frozen": nn.Linear(3, 4), "unused": nn.Linear(2, 3)})
    net.frozen.requires_grad_(False)
    net.forward = lambda x: net.frozen(net.used(x))

    call_for_per_sample_grads(net)(torch.rand(5, 2)).sum().backward()

    has = [name for name, parameter in net.named_parameters() if hasattr(parameter, "grad_sample")]
    assert has == ["used.weight", "used.bias"]


@pytest.mark.parametrize(
    ("layer", "function", "sizes"),
    [
        (nn.BatchNorm1d(3), "batch_norm", (5, 3)),
        (nn.ConvTranspose2d(3, 2, 2), "conv_transpose2d", (5, 3, 4, 6)),
        (nn.PReLU(), "prelu", (5, 3)),
        (nn.Bilinear(3, 3, 2), "bilinear", (5, 3)),
    ],
    ids=["BatchNorm", "Transpose", "PReLU", "Bilinear"],
)
def test_some_layers_are_not_handled(layer, function, sizes):
    """``call_for_per_sample_grads`` raises ``RuntimeError`` for trainable BatchNorm, PReLU and Bilinear
    layers.

    Frozen, the layer may stay.
    """
    inputs = [torch.rand(*sizes)] * (2 if isinstance(layer, nn.Bilinear) else 1)

    with pytest.raises(RuntimeError, match=f"cannot handle function {function}"):
        call_for_per_sample_grads(layer)(*inputs)
    assert call_for_per_sample_grads(layer.requires_grad_(False))(*inputs).shape[0] == 5


@pytest.mark.parametrize("options", [{}, {"batch_size": None}], ids=["default", "None"])
def test_the_batch_size_is_that_of_the_inputs(options):
    """By default ``call_for_per_sample_grads`` raises ``RuntimeError`` if its inputs differ in batch size.

    It is the first size of each tensor. The error is ``RuntimeError``, also if there is no tensor among the
    arguments.
    """
    layer = nn.Bilinear(3, 2, 4).requires_grad_(False)
    layer.forward = lambda x, y: x.sum() + y.sum()

    call_for_per_sample_grads(layer, **options)(torch.rand(5, 3), y=torch.rand(5, 2))

    with pytest.raises(RuntimeError, match="with batch size 5 and one with batch size 6"):
        call_for_per_sample_grads(layer, **options)(torch.rand(5, 3), y=torch.rand(6, 2))
    with pytest.raises(RuntimeError, match="with batch size 5 and one with batch size 6"):
        call_for_per_sample_grads(layer, **options)([torch.rand(5, 3)], {"y": torch.rand(6, 2)})
    with pytest.raises(RuntimeError, match="Unable to find a tensor in the passed args and kwargs"):
        call_for_per_sample_grads(layer, **options)(5, y=6)


def test_a_batch_size_may_be_given():
    """``call_for_per_sample_grads(batch_size=5)`` does not compare the first sizes of the arguments.

    So an argument of another first size can come along, if it does not meet a parameter: ``nn.Linear`` still
    raises ``RuntimeError`` for an input with a first size other than 5.
    """
    layer = nn.Linear(3, 2)
    layer.forward = lambda x, scale: nn.Linear.forward(layer, x) * scale

    x, scale = torch.rand(5, 3), torch.tensor([[2.0, 3.0]])

    with pytest.raises(RuntimeError, match="with batch size 5 and one with batch size 1"):
        call_for_per_sample_grads(layer)(x, scale)
    call_for_per_sample_grads(layer, batch_size=5)(x, scale).sum().backward()

    assert layer.bias.grad_sample.tolist() == [[2.0, 3.0]] * 5
    with pytest.raises(RuntimeError, match="input batch size of 4 with ExpandedWeight of batch size 5"):
        call_for_per_sample_grads(nn.Linear(3, 2), batch_size=5)(torch.rand(4, 3))


@pytest.mark.parametrize(
    ("options", "factor"),
    [({}, 1.0), ({"loss_reduction": "sum"}, 1.0), ({"loss_reduction": "mean"}, 3.0)],
    ids=["default", "sum", "mean"],
)
def test_for_a_mean_they_are_scaled(options, factor):
    """``call_for_per_sample_grads(loss_reduction="mean")`` multiplies each ``grad_sample`` by the batch size.

    The default, ``"sum"``, does not. ``"mean"`` is to be used with a loss that is a mean over the batch.
    """
    layer = nn.Linear(2, 1)

    call_for_per_sample_grads(layer, **options)(
        torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    ).sum().backward()

    assert layer.weight.grad_sample.div(factor).tolist() == [[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]
    assert layer.bias.grad_sample.tolist() == [[factor]] * 3


def test_with_a_mean_each_sample_counts_alone():
    """``call_for_per_sample_grads(loss_reduction="mean")`` gives each sample's own gradient of a mean loss.

    After ``mean()`` and ``backward()``, ``grad_sample`` is what each sample alone would give. With the
    default it is smaller by the batch size.
    """
    layer, x = nn.Linear(2, 4), torch.rand(3, 2)
    other = copy.deepcopy(layer)

    call_for_per_sample_grads(layer, loss_reduction="mean")(x).mean().backward()
    call_for_per_sample_grads(other)(x).mean().backward()

    torch.testing.assert_close(other.weight.grad_sample * 3, layer.weight.grad_sample)
    for row, sample in enumerate(x):
        alone = torch.autograd.grad(layer(sample).mean(), [layer.weight, layer.bias])
        torch.testing.assert_close((layer.weight.grad_sample[row], layer.bias.grad_sample[row]), alone)


def test_reductions_have_two_names():
    """``call_for_per_sample_grads`` raises ``RuntimeError`` for a ``loss_reduction`` other than ``"sum"`` and
    ``"mean"``.
    """
    for name in ("none", "max", "Mean", None):
        with pytest.raises(
            RuntimeError, match=f"Expected loss_reduction argument to be sum or mean, got {name}"
        ):
            call_for_per_sample_grads(nn.Linear(2, 3), loss_reduction=name)


def test_the_batch_size_is_given_by_name():
    """``call_for_per_sample_grads(net, 5)`` raises ``TypeError``: all arguments after the module are
    keyword-only.
    """
    layer = nn.Linear(2, 3)

    with pytest.raises(TypeError, match="takes 1 positional argument but 2 "):
        call_for_per_sample_grads(layer, 5, loss_reduction="mean")
    with pytest.raises(TypeError, match="takes 1 positional argument but 3 "):
        call_for_per_sample_grads(layer, 5, "mean")
    assert call_for_per_sample_grads(layer, batch_size=5)(torch.rand(5, 2)).shape == (5, 3)


@pytest.mark.parametrize("options", [{}, {"batch_first": True}], ids=["default", "batch_first"])
def test_the_batch_comes_first(options):
    """By default ``call_for_per_sample_grads`` takes the first dimension of the input for the batch."""
    layer, x = nn.Linear(2, 1), torch.rand(4, 3, 2)

    call_for_per_sample_grads(layer, **options)(x).sum().backward()

    torch.testing.assert_close(layer.weight.grad_sample, x.sum(1, keepdim=True))


def test_only_recurrent_layers_have_the_batch_second():
    """With ``call_for_per_sample_grads(batch_first=False)``, ``nn.Linear`` still takes dimension 0 as the
    batch.

    ``nn.RNN`` takes dimension 1, from which the batch size is read, too. ``nn.Linear`` raises
    ``RuntimeError`` if the two sizes differ, and gives wrong gradients if not.
    """
    rnn, layer, x = nn.RNN(2, 3), nn.Linear(2, 1), torch.rand(4, 4, 2)

    call_for_per_sample_grads(rnn, batch_first=False)(torch.rand(4, 5, 2))[0].sum().backward()
    assert rnn.weight_ih_l0.grad_sample.shape == (5, 3, 2)

    with pytest.raises(RuntimeError, match="input batch size of 4 with ExpandedWeight of batch size 5"):
        call_for_per_sample_grads(layer, batch_first=False)(torch.rand(4, 5, 2))
    call_for_per_sample_grads(layer, batch_first=False)(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad_sample, x.sum(1, keepdim=True))
