"""LinearCrossEntropyLoss: the last linear layer of a classifier and its loss in one.

Without ``options`` it is a linear layer and a cross entropy; with them it goes through the batch in chunks,
computes gradients in the forward already, and not all of autograd works any more.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.since("2.13")
def test_linear_cross_entropy_defaults():
    """``LinearCrossEntropyLoss`` has ``out_features=()`` by default; ``ignore_index`` is ``None``.

    So are ``options``, ``device`` and ``dtype``: the layer is made like any other, of the default dtype.
    """
    loss = nn.LinearCrossEntropyLoss(5, 3)
    same = nn.LinearCrossEntropyLoss(5, 3, device=None, dtype=None)

    assert loss.out_features == ()
    assert [loss.ignore_index, loss.options] == [None, None]
    assert loss.linear.weight.dtype == same.linear.weight.dtype == torch.get_default_dtype()
    assert loss.linear.weight.device == same.linear.weight.device


@pytest.mark.since("2.13")
def test_linear_cross_entropy_device_and_dtype():
    """``LinearCrossEntropyLoss(device=..., dtype=...)`` makes its linear layer on that device, of that
    dtype.
    """
    loss = nn.LinearCrossEntropyLoss(5, 3, bias=True, device="meta", dtype=torch.float64)

    assert [(name, p.device.type, p.dtype) for name, p in loss.named_parameters()] == [
        ("linear.weight", "meta", torch.float64),
        ("linear.bias", "meta", torch.float64),
    ]


@pytest.mark.since("2.13")
def test_linear_cross_entropy_reduces():
    """``LinearCrossEntropyLoss`` averages by default; ``reduction`` may be ``"sum"`` or ``"none"`` as well.

    Without options and weights it is ``CrossEntropyLoss`` of what its linear layer returns, labels not
    smoothed.
    """
    inputs, classes = torch.randn(4, 5), torch.tensor([0, 2, 1, 2])
    mean = nn.LinearCrossEntropyLoss(5, 3)
    total, values = (nn.LinearCrossEntropyLoss(5, 3, reduction=name) for name in ("sum", "none"))
    total.load_state_dict(mean.state_dict())
    values.load_state_dict(mean.state_dict())

    expected = F.cross_entropy(mean.linear(inputs), classes, reduction="none", label_smoothing=0.0)

    assert torch.allclose(values(inputs, classes), expected)
    assert torch.allclose(total(inputs, classes), expected.sum())
    assert torch.allclose(mean(inputs, classes), expected.mean())
    for loss in (values, total, mean):
        assert torch.allclose(loss(inputs[0], classes[0]), expected[0])


@pytest.mark.since("2.13")
@pytest.mark.parametrize("chunked", [False, True])
def test_linear_cross_entropy_smooths_labels(chunked):
    """``LinearCrossEntropyLoss(label_smoothing=0.25)`` spreads 0.25 of each target over all classes.

    In chunks or at once; 0.0, the default, spreads nothing.
    """
    inputs, classes = torch.randn(4, 5), torch.tensor([0, 2, 1, 2])
    options = nn.LinearCrossEntropyOptions() if chunked else None
    smoothed = torch.full((4, 3), 0.25 / 3)
    smoothed[range(4), classes] += 0.75

    for how in ("mean", "sum", "none"):
        loss = nn.LinearCrossEntropyLoss(5, 3, label_smoothing=0.25, reduction=how, options=options)
        wanted = F.cross_entropy(loss.linear(inputs), smoothed, reduction=how)
        for target in (classes, F.one_hot(classes, 3).float()):
            assert torch.allclose(loss(inputs, target), wanted)
    assert nn.LinearCrossEntropyLoss(5, 3).label_smoothing == 0.0


@pytest.mark.since("2.13")
@pytest.mark.parametrize("given", [-0.5, 1.5])
def test_linear_cross_entropy_smooths_from_zero_to_one(given):
    """``LinearCrossEntropyLoss`` raises ``RuntimeError`` for a ``label_smoothing`` below 0 or above 1.

    Its constructor does. ``CrossEntropyLoss`` raises only when called, and not at all below 0.
    """
    with pytest.raises(RuntimeError, match=rf"label_smoothing to be in range \[0, 1\], got {given}"):
        nn.LinearCrossEntropyLoss(5, 3, label_smoothing=given)

    assert nn.CrossEntropyLoss(label_smoothing=given).label_smoothing == given
    assert nn.LinearCrossEntropyLoss(5, 3, label_smoothing=1.0).label_smoothing == 1.0


@pytest.mark.since("2.13")
def test_linear_cross_entropy_bias_is_flat():
    """``LinearCrossEntropyLoss(bias=True)`` has a flat ``linear.bias`` of size ``C * prod(out_features)``.

    The class comes first: ``linear.bias.view(C, *out_features)`` is the bias of each logit.
    """
    loss = nn.LinearCrossEntropyLoss(5, 4, out_features=(2, 3), bias=True)
    inputs, classes = torch.randn(6, 5), torch.randint(4, (6, 2, 3))

    logits = (inputs @ loss.linear.weight.T + loss.linear.bias).view(6, 4, 2, 3)

    assert [(name, p.shape) for name, p in loss.named_parameters()] == [
        ("linear.weight", (24, 5)),
        ("linear.bias", (24,)),
    ]
    assert nn.LinearCrossEntropyLoss(5, 4).linear.bias is None
    assert torch.allclose(loss(inputs, classes), F.cross_entropy(logits, classes))


@pytest.mark.since("2.13")
@pytest.mark.parametrize(
    "weight",
    [torch.ones(2), torch.ones(4), torch.ones(1, 3), torch.ones(())],
    ids=["2", "4", "1x3", "scalar"],
)
def test_linear_cross_entropy_weight_is_one_per_class(weight):
    """``LinearCrossEntropyLoss`` raises ``RuntimeError`` if ``weight`` has not the shape ``(num_classes,)``.

    Its constructor does; ``CrossEntropyLoss`` raises only when called.
    """
    with pytest.raises(RuntimeError, match=r"expected weight shape to be \(3,\)"):
        nn.LinearCrossEntropyLoss(5, 3, weight=weight)

    assert nn.CrossEntropyLoss(weight).weight is weight
    assert nn.LinearCrossEntropyLoss(5, 3, weight=torch.ones(3)).weight.shape == (3,)


@pytest.mark.since("2.13")
@pytest.mark.parametrize("chunked", [False, True])
def test_linear_cross_entropy_of_weighted_probabilities(chunked):
    """By default ``LinearCrossEntropyLoss(weight=w)`` of ``(N, C)`` probabilities divides by ``N``, not by
    weights.

    Of class indices it divides by the weights of the targets, as ``CrossEntropyLoss`` does.
    """
    inputs, classes, weight = torch.randn(2, 5), torch.tensor([1, 2]), torch.tensor([1.0, 2.0, 5.0])
    options = nn.LinearCrossEntropyOptions() if chunked else None
    loss = nn.LinearCrossEntropyLoss(5, 3, weight=weight, options=options)
    total = F.cross_entropy(loss.linear(inputs), classes, weight, reduction="sum")

    assert torch.allclose(loss(inputs, F.one_hot(classes, 3).float()), total / 2)
    assert torch.allclose(loss(inputs, classes), total / 7)


@pytest.mark.since("2.13")
@pytest.mark.parametrize("chunked", [False, True])
def test_linear_cross_entropy_ignores_a_class(chunked):
    """``LinearCrossEntropyLoss`` ignores targets of -100 by default: they get zero gradients.

    In chunks or at once. The attribute ``ignore_index`` is ``None`` then.
    """
    options = nn.LinearCrossEntropyOptions() if chunked else None
    for reduction in ("mean", "sum", "none"):
        loss = nn.LinearCrossEntropyLoss(5, 3, reduction=reduction, options=options)
        inputs = torch.randn(2, 5, requires_grad=True)

        result = loss(inputs, torch.tensor([1, -100])).sum()
        result.backward()

        assert torch.allclose(result, F.cross_entropy(loss.linear(inputs[:1]), torch.tensor([1])))
        assert inputs.grad[1].tolist() == [0.0] * 5
        assert inputs.grad[0].abs().sum() > 0


@pytest.mark.since("2.13")
@pytest.mark.parametrize("ignore_index", [1, -100])
def test_linear_probabilities_know_no_ignored_class(ignore_index):
    """``LinearCrossEntropyLoss`` with ``ignore_index`` raises ``RuntimeError`` for class probabilities.

    Even for -100, which ``CrossEntropyLoss`` passes over.
    """
    shares = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.0, 0.75]])

    for options in (None, nn.LinearCrossEntropyOptions()):
        loss = nn.LinearCrossEntropyLoss(5, 3, ignore_index=ignore_index, options=options)
        with pytest.raises(RuntimeError, match="ignore_index cannot be specified when target contains"):
            loss(torch.randn(2, 5), shares)


@pytest.mark.since("2.13")
@pytest.mark.parametrize("chunked", [False, True])
def test_linear_cross_entropy_indices_may_be_bytes(chunked):
    """By default ``LinearCrossEntropyLoss`` takes ``torch.long`` or ``uint8`` indices; ``int32`` raises
    ``RuntimeError``.

    With ``out_features``, ``uint8`` raises as well.
    """
    loss = nn.LinearCrossEntropyLoss(5, 3, options=nn.LinearCrossEntropyOptions() if chunked else None)
    inputs, classes = torch.randn(2, 5), torch.tensor([1, 2])

    for x, target in ((inputs, classes), (inputs[0], classes[0])):
        assert torch.equal(loss(x, target.to(torch.uint8)), loss(x, target))
        with pytest.raises(RuntimeError, match=r"expected .* Long .*but .* Int"):
            loss(x, target.to(torch.int32))
    with pytest.raises(RuntimeError, match=r"expected .* Long .*but .*Byte"):
        nn.LinearCrossEntropyLoss(5, 3, out_features=(1,))(inputs, classes[:, None].to(torch.uint8))


@pytest.mark.since("2.13")
@pytest.mark.parametrize("chunked", [False, True])
def test_linear_cross_entropy_probabilities_are_floats(chunked):
    """``LinearCrossEntropyLoss`` raises ``RuntimeError`` for an integer target of shape ``(N, C)``."""
    loss = nn.LinearCrossEntropyLoss(5, 3, options=nn.LinearCrossEntropyOptions() if chunked else None)
    inputs, one_hot = torch.randn(2, 5), F.one_hot(torch.tensor([1, 2]), 3)

    with pytest.raises(RuntimeError, match=r"Expected floating point type|same number of dimensions"):
        loss(inputs, one_hot)

    assert torch.allclose(loss(inputs, one_hot.float()), loss(inputs, torch.tensor([1, 2])))


@pytest.mark.since("2.13")
def test_linear_cross_entropy_takes_any_probabilities():
    """``LinearCrossEntropyLoss`` neither raises nor warns if class probabilities are below 0 or above 1."""
    loss, inputs = nn.LinearCrossEntropyLoss(5, 3), torch.randn(2, 5)
    nonsense = torch.tensor([[4.0, -2.0, 1.0], [-1.0, 0.5, 3.5]])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = loss(inputs, nonsense)

    assert torch.allclose(result, F.cross_entropy(loss.linear(inputs), nonsense))
    assert nonsense.sum(1).tolist() == [3.0, 3.0]


@pytest.mark.since("2.13")
@pytest.mark.parametrize("bias", [True, False])
def test_chunks_are_asked_for(bias):
    """``LinearCrossEntropyLoss`` computes all logits at once unless it is given ``options``.

    Pass ``options=nn.LinearCrossEntropyOptions()``, or no memory is saved.
    """
    inputs, classes = torch.randn(4, 5), torch.tensor([0, 2, 1, 2])
    whole = nn.LinearCrossEntropyLoss(5, 3, bias=bias)
    chunked = nn.LinearCrossEntropyLoss(5, 3, bias=bias, options=nn.LinearCrossEntropyOptions())
    chunked.load_state_dict(whole.state_dict())

    assert "NllLoss" in whole(inputs, classes).grad_fn.name()
    assert "chunked" in chunked(inputs, classes).grad_fn.name()
    assert torch.allclose(whole(inputs, classes), chunked(inputs, classes))


@pytest.mark.since("2.13")
@pytest.mark.parametrize("bias", [True, False])
def test_chunks_of_more_dimensions_fall_back(bias):
    """``LinearCrossEntropyLoss`` with non-empty ``out_features`` ignores ``options`` and warns when called.

    It then computes as without ``options``, with a bias or without one, and saves no memory.
    """
    loss = nn.LinearCrossEntropyLoss(
        5, 4, out_features=(2,), bias=bias, options=nn.LinearCrossEntropyOptions()
    )
    inputs, classes = torch.randn(6, 5), torch.randint(4, (6, 2))

    with pytest.warns(UserWarning, match="``options`` ignored; chunked path needs"):
        result = loss(inputs, classes)

    assert "NllLoss" in result.grad_fn.name()
    assert torch.allclose(result, F.cross_entropy(loss.linear(inputs).view(6, 4, 2), classes))


@pytest.mark.since("2.13")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_chunks_are_walked_back_once(reduction, bias):
    """By default ``LinearCrossEntropyLoss`` with ``options`` raises ``RuntimeError`` at a second
    ``backward()``.

    That is of a mean or a sum, not of ``reduction="none"``: with ``options``,
    :class:`~torch.nn.LinearCrossEntropyLoss` goes through the batch in chunks. Pass
    ``LinearCrossEntropyOptions(allow_retain_graph=True)`` to go back twice.
    """
    inputs, classes = torch.randn(4, 5, requires_grad=True), torch.tensor([0, 2, 1, 2])
    kinds = nn.LinearCrossEntropyOptions(), nn.LinearCrossEntropyOptions(allow_retain_graph=True)
    once, twice = (
        nn.LinearCrossEntropyLoss(5, 3, bias=bias, reduction=reduction, options=options) for options in kinds
    )

    result = once(inputs, classes)
    result.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="chunked backward called twice"):
        result.backward(retain_graph=True)

    result, given = twice(inputs, classes), list(twice.parameters())
    first = torch.autograd.grad(result, [inputs, *given], retain_graph=True)
    second = torch.autograd.grad(result, [inputs, *given], retain_graph=True)
    assert all(torch.equal(gradient, again) for gradient, again in zip(first, second, strict=True))


@pytest.mark.since("2.13")
@pytest.mark.parametrize("bias", [True, False])
def test_unreduced_chunks_are_walked_back_twice(bias):
    """With ``options``, ``LinearCrossEntropyLoss(reduction="none")`` allows ``backward(retain_graph=True)``
    twice.
    """
    inputs, classes = torch.randn(4, 5, requires_grad=True), torch.tensor([0, 2, 1, 2])
    loss = nn.LinearCrossEntropyLoss(
        5, 3, bias=bias, reduction="none", options=nn.LinearCrossEntropyOptions()
    )

    values = loss(inputs, classes)
    values.sum().backward(retain_graph=True)
    first = [tensor.grad.clone() for tensor in (inputs, *loss.parameters())]
    values.sum().backward(retain_graph=True)

    assert "chunked" in values.grad_fn.name()
    for tensor, gradient in zip((inputs, *loss.parameters()), first, strict=True):
        assert torch.allclose(tensor.grad, 2 * gradient)


@pytest.mark.since("2.13")
@pytest.mark.parametrize("bias", [True, False])
def test_chunks_have_no_second_derivative(bias):
    """``LinearCrossEntropyLoss`` chunked by ``options`` ignores ``create_graph=True``: no second derivative.

    The gradients do not require grad, so that a penalty on them is silently without effect if other terms of
    the loss require grad. Without ``options`` there is one.
    """
    inputs, classes = torch.randn(4, 5, requires_grad=True), torch.tensor([0, 2, 1, 2])
    whole = nn.LinearCrossEntropyLoss(5, 3, bias=bias)
    chunked = nn.LinearCrossEntropyLoss(5, 3, bias=bias, options=nn.LinearCrossEntropyOptions())

    gradients = [
        torch.autograd.grad(loss(inputs, classes), inputs, create_graph=True)[0] for loss in (whole, chunked)
    ]

    assert [g.requires_grad for g in gradients] == [True, False]
    assert torch.autograd.grad(gradients[0].norm(), inputs)[0].abs().sum() > 0


@pytest.mark.since("2.13")
@pytest.mark.needs("compile")
def test_chunks_are_left_out_of_a_graph():
    """``torch.compile`` runs a ``LinearCrossEntropyLoss`` that is chunked by ``options`` eagerly, without a
    graph.
    """
    inputs, classes, graphs = torch.randn(4, 5), torch.tensor([0, 2, 1, 2]), []
    whole = nn.LinearCrossEntropyLoss(5, 3)
    chunked = nn.LinearCrossEntropyLoss(5, 3, options=nn.LinearCrossEntropyOptions())
    chunked.load_state_dict(whole.state_dict())

    def backend(graph, example):
        graphs.append(graph)
        return graph.forward

    left_out = torch.compile(lambda x: chunked(x, classes), backend=backend)(inputs)
    assert graphs == []
    made = torch.compile(lambda x: whole(x, classes), backend=backend)(inputs)
    assert len(graphs) == 1
    torch.testing.assert_close(left_out, made)


@pytest.mark.since("2.13")
@pytest.mark.parametrize("bias", [True, False])
def test_forward_mode_of_chunks_is_silently_zero(bias):
    """``torch.func.jvp`` of a ``LinearCrossEntropyLoss`` chunked by ``options`` returns a zero tangent and no
    error.

    ``torch.func.grad`` raises. Without ``options`` both work.
    """
    inputs, classes = torch.randn(4, 5), torch.tensor([0, 2, 1, 2])
    whole = nn.LinearCrossEntropyLoss(5, 3, bias=bias)
    chunked = nn.LinearCrossEntropyLoss(5, 3, bias=bias, options=nn.LinearCrossEntropyOptions())

    tangents = [
        torch.func.jvp(lambda x, loss=loss: loss(x, classes), (inputs,), (inputs,))[1]
        for loss in (whole, chunked)
    ]

    assert tangents[0] != 0
    assert tangents[1] == 0
    assert torch.func.grad(lambda x: whole(x, classes))(inputs).abs().sum() > 0
    with pytest.raises(RuntimeError, match="setup_context"):
        torch.func.grad(lambda x: chunked(x, classes))(inputs)


@pytest.mark.since("2.13")
def test_linear_cross_entropy_is_not_scriptable():
    """``torch.jit.script`` of a ``LinearCrossEntropyLoss`` raises ``OSError``, even without ``options``.

    The class names its options in an annotation, and TorchScript looks for their source.
    """
    with (
        pytest.warns(),
        pytest.raises(OSError, match=r"Failed to get source for .*LinearCrossEntropyOptions"),
    ):
        torch.jit.script(nn.LinearCrossEntropyLoss(5, 3))
