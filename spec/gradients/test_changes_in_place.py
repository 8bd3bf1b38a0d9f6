"""Changes in place: which of them ``backward()`` refuses.

Most layers save a tensor for their backward pass, the input or the output. If it has been overwritten by
then, the gradient could not be right, and autograd says so: "one of the variables needed for gradient
computation has been modified by an inplace operation".
"""

import re
import warnings

import pytest
import torch
from torch import nn

MODIFIED = "has been modified by an inplace operation"


def test_outputs_that_backward_needs():
    """``out += 1`` after Sigmoid, Tanh, ReLU or Softmax makes ``backward()`` raise: they save their output.

    After ``nn.Linear``, ``nn.GELU``, ``nn.LeakyReLU`` or a sum it is harmless. ``out = out + 1`` always
    works.
    """
    x = torch.tensor([[-0.5, 0.5], [-2.0, 3.0]], requires_grad=True)
    refused = (nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Softmax(1), torch.exp, torch.sqrt)
    harmless = (nn.Linear(2, 2), nn.GELU(), nn.SiLU(), nn.LeakyReLU(), nn.LayerNorm(2), lambda y: y + 2)
    for layer in refused + harmless:
        right, kept, changed = layer(x), layer(x), layer(x)
        changed += 1
        kept = kept + 1

        gradients = [torch.autograd.grad(out, x, x.detach())[0] for out in (right, kept)]
        if layer in refused:
            with pytest.raises(RuntimeError, match=MODIFIED):
                changed.sum().backward()
        else:
            gradients += torch.autograd.grad(changed, x, x.detach())
        for gradient in gradients:
            torch.testing.assert_close(gradient, gradients[0], equal_nan=True)


def test_inputs_that_backward_needs():
    """``x += 1`` after ``nn.Linear(x)`` makes ``backward()`` raise ``RuntimeError``: its input is saved.

    So do ``nn.GELU``, ``nn.LayerNorm`` and ``nn.MaxPool1d``; ``nn.Sigmoid``, ``nn.ReLU``, ``nn.Dropout`` and
    a sum do not save theirs. A frozen ``nn.Linear`` saves no input either.
    """
    for layer in (nn.Linear(2, 2), nn.GELU(), nn.LayerNorm(2), nn.MaxPool1d(1), nn.LeakyReLU()):
        x = torch.rand(2, 2, requires_grad=True) * 1
        out = layer(x)
        x += 1
        with pytest.raises(RuntimeError, match=MODIFIED):
            out.sum().backward()
    for layer in (
        nn.Sigmoid(),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(2, 2).requires_grad_(False),
        lambda y: y + 2,
    ):
        leaf, weights = torch.tensor([[-0.5, 0.5], [2.0, -3.0]], requires_grad=True), torch.rand(2, 2)
        x = leaf * 1
        out = layer(x)
        (right,) = torch.autograd.grad(out, leaf, weights, retain_graph=True)
        x += 1

        assert torch.equal(torch.autograd.grad(out, leaf, weights)[0], right)


def test_a_residual_added_in_place():
    """``out += x`` of a residual block works after ``nn.BatchNorm2d``, and raises after ``nn.ReLU``.

    ``nn.ReLU(inplace=True)`` on the sum is fine, as in ResNet.
    """
    x = torch.rand(2, 3, 4, 4, requires_grad=True)
    after_norm = nn.BatchNorm2d(3)(nn.Conv2d(3, 3, 1)(x))
    after_norm += x
    nn.ReLU(inplace=True)(after_norm).sum().backward()
    after_relu = nn.ReLU()(nn.Conv2d(3, 3, 1)(x))
    after_relu += x

    assert x.grad.abs().sum() > 0
    with pytest.raises(RuntimeError, match=MODIFIED):
        after_relu.sum().backward()


def test_what_the_message_says():
    """The error of ``backward()`` about an inplace operation names shape, operation and versions.

    ``_version`` of a tensor counts its changes in place, also through views and ``detach()``. It does not say
    where the change was: look for ``+=``, a name that ends in ``_`` and an assignment to a slice.
    """
    x = torch.rand(3, 5, requires_grad=True)
    out = torch.sigmoid(x)

    assert out._version == 0

    out += 1
    out.detach()[0, 0] = 0.0

    assert out._version == 2
    message = (
        r"\[torch.FloatTensor \[3, 5\]\], which is output 0 of Sigmoid.*, is at version 2; expected version 0"
    )
    with pytest.raises(RuntimeError, match=message):
        out.sum().backward()


def test_changes_of_data_go_unnoticed():
    """``out.data.add_(1)`` is not noticed by ``backward()``, which gives wrong gradients; ``detach()`` is.

    ``.data`` has a version of its own. Under :class:`torch.no_grad` the change is noticed as well.
    """
    x = torch.tensor([0.0], requires_grad=True)
    right, wrong, noticed = torch.sigmoid(x), torch.sigmoid(x), torch.sigmoid(x)
    wrong.data.add_(1)
    with torch.no_grad():
        noticed.add_(1)

    assert torch.autograd.grad(right, x)[0].item() == 0.25
    assert torch.autograd.grad(wrong, x)[0].item() == 1.5 * (1 - 1.5)
    with pytest.raises(RuntimeError, match=MODIFIED):
        noticed.backward()


def test_leaves_are_not_changed_in_place():
    """``weight.add_(1)`` raises ``RuntimeError`` for a parameter that requires grad, also ``weight[0] = 0``.

    Under :class:`torch.no_grad`, or on a frozen parameter, it works.
    """
    weight = nn.Linear(2, 3).weight
    before = weight.tolist()

    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place"):
        weight.add_(1)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad is being used"):
        weight[0] = 0.0
    assert weight.tolist() == before

    with torch.no_grad():
        weight[0] = 7.0

    assert weight[0].tolist() == [7.0, 7.0]
    assert weight.requires_grad is True


def test_a_result_written_into_a_tensor():
    """Layers' outputs written into slices of a ``torch.zeros`` tensor get gradients; it becomes a non-leaf.

    Reading a slice for the next step and then writing another one makes ``backward()`` raise: the version
    counts for the whole tensor. A list and :func:`torch.stack` avoid it.
    """
    layer = nn.Linear(2, 2)
    x = torch.rand(2)
    outputs = torch.zeros(2, 2)
    outputs[0] = layer(x)
    outputs[1] = layer(x)
    outputs.sum().backward()

    assert outputs.is_leaf is False
    assert layer.bias.grad.tolist() == [2.0, 2.0]

    states = torch.zeros(3, 2)
    for step in range(2):
        states[step + 1] = layer(states[step])
    with pytest.raises(RuntimeError, match=MODIFIED):
        states.sum().backward()

    states = [torch.zeros(2)]
    for step in range(2):
        states.append(layer(states[step]))
    torch.stack(states).sum().backward()

    assert layer.weight.grad is not None


def test_anomaly_mode_finds_the_operation():
    """``torch.autograd.set_detect_anomaly(True)`` adds a warning with the line of forward that failed.

    It has to be on during forward. The line is that of the operation whose gradient failed, not of the change
    in place. It is slow: for debugging only.
    """

    def forward(x):
        out = torch.sigmoid(x)  # this line is found
        out += 1
        return out

    with torch.autograd.set_detect_anomaly(True), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError, match=re.escape("the backtrace further above shows the operation")):
            forward(torch.rand(2, requires_grad=True)).sum().backward()

    (message,) = [str(w.message) for w in caught if "Error detected in" in str(w.message)]

    assert "Error detected in SigmoidBackward0. Traceback of forward call that caused the error" in message
    assert "out = torch.sigmoid(x)  # this line is found" in message
    assert "out += 1" not in message
