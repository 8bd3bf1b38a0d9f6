"""Autocast on the CPU: layers that compute in bfloat16 while their parameters stay as they are.

:class:`torch.autocast` changes no module. Inside a region the heavy operations cast their inputs, weights
included, to a lower precision, and remember the cast of a weight until the region ends. What happens on a GPU
is in *cuda*.
"""

import pytest
import torch
from torch import nn


def test_weights_and_gradients_keep_their_dtype():
    """Inside ``torch.autocast("cpu")``, ``nn.Linear`` returns bfloat16; weights and gradients stay float32.

    So does the state dict. :meth:`Module.bfloat16() <torch.nn.Module.bfloat16>` casts the weights
    themselves. See :class:`torch.autocast`.
    """
    layer = nn.Linear(2, 3)

    with torch.autocast("cpu"):
        output, vector = layer(torch.rand(4, 2)), layer(torch.rand(2))
        state = layer.state_dict()
    output.sum().backward()

    assert [output.dtype, vector.dtype] == [torch.bfloat16, torch.bfloat16]
    assert {t.dtype for p in layer.parameters() for t in (p, p.grad)} == {torch.float32}
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert layer.bfloat16().weight.dtype is torch.bfloat16


def test_a_float32_copy_of_the_input_is_cast_back():
    """In ``torch.autocast("cpu")``, ``nn.Linear`` gives the same output for a bfloat16 ``x`` and for
    ``x.float()``.

    Output and gradients of the weights are equal: casting the input up first, as adapters in float32 do,
    costs memory and gains nothing. See :class:`torch.autocast`.
    """
    layer, x = nn.Linear(64, 3), torch.rand(5, 64).bfloat16()
    outputs, grads = [], []

    for given in (x, x.float()):
        layer.zero_grad()
        with torch.autocast("cpu"):
            outputs.append(layer(given))
        outputs[-1].sum().backward()
        grads.append(layer.weight.grad)

    assert torch.equal(*outputs)
    assert torch.equal(*grads)
    assert not torch.equal(outputs[1].float(), layer(x.float()))


@pytest.mark.needs("bfloat16")
@pytest.mark.parametrize(
    "layer",
    [
        *(nn.Linear(4, 3), nn.MultiheadAttention(4, 2), nn.LSTM(4, 3), nn.Conv1d(4, 3, 1)),
        *(nn.Conv2d(5, 3, 1), nn.ConvTranspose1d(4, 3, 1), nn.ConvTranspose2d(5, 3, 1)),
        nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Conv3d(5, 3, 1)),
        nn.Sequential(nn.Unflatten(1, (4, 1)), nn.ConvTranspose3d(5, 3, 1)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_compute_in_bfloat16(layer):
    """Linear, convolution, attention and LSTM layers return bfloat16 in ``torch.autocast("cpu")``.

    Their input may be float32 or bfloat16. On a CPU without instructions for bfloat16 ``nn.LSTM`` raises
    ``RuntimeError`` instead. See :class:`torch.autocast`.
    """
    dtypes = []
    for x in (torch.rand(5, 4, 4), torch.rand(5, 4, 4).bfloat16()):
        with torch.autocast("cpu"):
            output = layer(x, x, x) if isinstance(layer, nn.MultiheadAttention) else layer(x)
        dtypes.append((output[0] if isinstance(output, tuple) else output).dtype)

    assert dtypes == [torch.bfloat16, torch.bfloat16]


@pytest.mark.parametrize(
    "layer",
    [
        *(nn.LayerNorm(4), nn.BatchNorm1d(4), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4), nn.ReLU()),
        *(nn.BatchNorm1d(4).eval(), nn.Softmax(-1), nn.AvgPool2d(2), nn.MaxPool2d(2)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_keep_the_dtype(layer):
    """In ``torch.autocast("cpu")``, LayerNorm, BatchNorm, ReLU, Softmax and MaxPool2d keep the input's dtype.

    After a linear layer that is bfloat16, although ``LayerNorm`` has float32 weights. So do ``GroupNorm``,
    ``InstanceNorm1d`` and ``AvgPool2d``, but ``AvgPool3d`` returns float32, and with it ``LocalResponseNorm``
    of images, as ``LayerNorm`` and ``Softmax`` do on a GPU. See :class:`torch.autocast`.
    """
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu"):
            assert layer(torch.rand(5, 4, 4, dtype=dtype)).dtype is dtype
    with torch.autocast("cpu"):
        for other in (nn.AvgPool3d(2), nn.LocalResponseNorm(2)):
            assert other(torch.rand(5, 4, 4, 4, dtype=torch.bfloat16)).dtype is torch.float32


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize(
    "loss", [nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.BCEWithLogitsLoss, nn.CrossEntropyLoss]
)
def test_losses_are_float32(loss, reduction):
    """In ``torch.autocast("cpu")``, losses such as ``nn.CrossEntropyLoss`` of bfloat16 inputs return float32.

    Not all do: ``nn.GaussianNLLLoss`` returns bfloat16. See :class:`torch.autocast`.
    """
    prediction, target = torch.rand(4, 3).bfloat16(), torch.rand(4, 3).bfloat16()

    with torch.autocast("cpu"):
        assert loss(reduction=reduction)(prediction, target).dtype is torch.float32
        assert nn.GaussianNLLLoss()(prediction, target, target).dtype is torch.bfloat16


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Linear(2, 2), (4, 2), "must have the same dtype"),
        (nn.Conv2d(2, 2, 1), (4, 2, 3, 3), r"Input type .* and bias type .* should be the same"),
    ],
    ids=["Linear", "Conv2d"],
)
def test_an_output_is_bfloat16_outside_as_well(layer, shape, message):
    """``nn.Linear`` and ``nn.Conv2d`` raise ``RuntimeError`` for an output of ``torch.autocast("cpu")`` after
    the region.

    So they do in an inner ``torch.autocast("cpu", enabled=False)``. Call ``output.float()`` first. A
    normalization takes such an output as it is. See :class:`torch.autocast`.
    """
    with torch.autocast("cpu"):
        output = layer(torch.rand(shape))
        with torch.autocast("cpu", enabled=False):
            with pytest.raises(RuntimeError, match=message):
                layer(output)
            assert layer(output.float()).dtype is torch.float32

    with pytest.raises(RuntimeError, match=message):
        layer(output)
    assert layer(output.float()).dtype is torch.float32
    assert nn.GroupNorm(1, 2)(output).dtype is torch.bfloat16


def test_float64_is_not_cast():
    """``torch.autocast("cpu")`` leaves float64 alone: ``nn.Linear`` raises ``RuntimeError`` for a float64
    input.

    A module after ``double()`` returns float64. See :class:`torch.autocast`.
    """
    layer, x = nn.Linear(2, 3), torch.rand(4, 2, dtype=torch.float64)

    with torch.autocast("cpu"):
        with pytest.raises(RuntimeError, match="must have the same dtype"):
            layer(x)
        assert layer.double()(x).dtype is torch.float64


@pytest.mark.since("2.2")
def test_autocast_to_float16():
    """``torch.autocast("cpu", dtype=torch.float16)`` computes ``nn.Linear`` in float16."""
    layer = nn.Linear(2, 3)

    with torch.autocast("cpu", dtype=torch.float16):
        output = layer(torch.rand(4, 2))

    assert [output.dtype, layer.weight.dtype] == [torch.float16, torch.float32]


@pytest.mark.before("2.2")
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=["float16", "float32"])
def test_autocast_to_float16_was_refused(dtype):
    """Entering ``torch.autocast("cpu", dtype=torch.float16)`` raises ``RuntimeError``: only bfloat16 is
    supported.
    """
    with pytest.warns(UserWarning, match="CPU Autocast only supports dtype of torch.bfloat16"):
        region = torch.autocast("cpu", dtype=dtype)

    with pytest.raises(RuntimeError, match="only support Bfloat16 as the autocast_cpu_dtype"), region:
        pass


@pytest.mark.since("2.2")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autocast_to_another_dtype_is_switched_off(dtype):
    """``torch.autocast("cpu", dtype=torch.float32)`` warns that it is disabled, and casts nothing.

    So does each dtype that it does not support: an inner region may thus be meant to compute in float32, but
    ``enabled=False`` says so without a warning.
    """
    layer, x = nn.Linear(2, 3), torch.rand(4, 2)

    with torch.autocast("cpu"):
        with pytest.warns(UserWarning, match="target dtype is not supported. Disabling autocast"):
            inner = torch.autocast("cpu", dtype=dtype)
        with inner:
            assert layer(x).dtype is torch.float32
        with torch.autocast("cpu", enabled=False):
            assert layer(x).dtype is torch.float32
        assert layer(x).dtype is torch.bfloat16


@pytest.mark.since("2.11")
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_call_without_gradients_leaves_later_ones(mode):
    """In one ``autocast`` block, a layer called under ``no_grad`` first still gets gradients from a later
    call.

    The cast of a weight that the first call remembers can be used for backward (:issue:`112583`). So it is
    after :class:`torch.inference_mode`. See :class:`torch.autocast`.
    """
    layer, x = nn.Linear(2, 3), torch.tensor([[1.5, 2.5], [0.5, 1.0]])

    with torch.autocast("cpu"):
        with mode():
            layer(x)
        layer(x).sum().backward()

    assert layer.weight.grad.tolist() == [[2.0, 3.5]] * 3
    assert layer.bias.grad.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.before("2.11")
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_call_without_gradients_spoilt_later_ones(mode):
    """In one ``autocast`` block, a layer called under ``no_grad`` first gets no gradients from later calls.

    The cast of a weight that the first call remembers has no graph. With other layers around there is no
    error, and the weight is silently not trained. Use regions of their own, or ``cache_enabled=False``. See
    :class:`torch.autocast`.
    """
    layer, x = nn.Linear(2, 3), torch.rand(4, 2)

    with torch.autocast("cpu"):
        with mode():
            layer(x)
        assert layer(x).requires_grad is False
    with torch.autocast("cpu"):
        assert layer(x).requires_grad is True


def test_without_the_cache_calls_are_independent():
    """In ``torch.autocast("cpu", cache_enabled=False)``, a call under ``no_grad`` does not spoil later
    gradients.

    Each call casts the weights anew. See :class:`torch.autocast`.
    """
    layer, x = nn.Linear(2, 3), torch.tensor([[1.5, 2.5], [0.5, 1.0]])

    with torch.autocast("cpu", cache_enabled=False):
        with torch.no_grad():
            layer(x)
        layer(x).sum().backward()

    assert layer.weight.grad.tolist() == [[2.0, 3.5]] * 3
    assert layer.bias.grad.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("how", ["in place", "load_state_dict", "optimizer"])
def test_a_changed_weight_is_not_seen_in_a_region(how):
    """In an ``autocast`` block, ``nn.Linear`` ignores in-place changes of its trainable weight after a first
    call.

    The region remembers the cast of a trainable weight until it ends: changes by ``load_state_dict`` or
    ``optimizer.step()`` are not seen. Leave the region before each step, or pass ``cache_enabled=False``. See
    :class:`torch.autocast`.
    """
    layer, x = nn.Linear(1, 1, bias=False), torch.ones(1, 1)
    nn.init.constant_(layer.weight, 2.0)
    layer.weight.grad = torch.full((1, 1), -6.0)

    with torch.autocast("cpu"):
        layer(x)
        if how == "in place":
            layer.weight.data.fill_(8.0)
        elif how == "load_state_dict":
            layer.load_state_dict({"weight": torch.full((1, 1), 8.0)})
        else:
            torch.optim.SGD(layer.parameters(), lr=1.0).step()
        assert layer.weight.item() == 8.0
        assert layer(x).item() == 2.0
    with torch.autocast("cpu"):
        assert layer(x).item() == 8.0


def test_weights_that_a_region_sees_change():
    """In an ``autocast`` block, ``nn.Linear`` notices a new ``Parameter``, and in-place changes of a frozen
    weight.

    Only casts of trainable float32 leaves are remembered; ``torch.clear_autocast_cache()`` forgets them. See
    :class:`torch.autocast`.
    """
    layer, frozen, x = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False), torch.ones(1, 1)
    nn.init.constant_(layer.weight, 2.0)
    frozen.requires_grad_(False).weight.fill_(2.0)

    with torch.autocast("cpu"):
        assert [layer(x).item(), frozen(x).item()] == [2.0, 2.0]
        layer.weight = nn.Parameter(torch.full((1, 1), 8.0))
        frozen.weight.fill_(8.0)
        assert [layer(x).item(), frozen(x).item()] == [8.0, 8.0]
        nn.init.constant_(layer.weight, 5.0)
        assert layer(x).item() == 8.0
        torch.clear_autocast_cache()
        assert layer(x).item() == 5.0


def test_backward_in_a_region_is_cast_too():
    """``backward()`` inside ``torch.autocast("cpu")`` computes the gradients of a layer in bfloat16.

    It follows the region it is called in, not that of ``forward``: a part for which autocast was switched off
    loses digits too. End the region before ``backward()``: it then computes in the dtypes of ``forward``
    (:issue:`105682`). See :class:`torch.autocast`.
    """
    layer, x, found = nn.Linear(1, 1, bias=False), torch.tensor([[1.001]]), []
    for inside in (False, True):
        layer.weight.grad = None
        with torch.autocast("cpu"):
            with torch.autocast("cpu", enabled=False):
                loss = layer(x).sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        found.append([layer.weight.grad.item(), layer.weight.grad.dtype])

    assert found == [[pytest.approx(1.001), torch.float32], [1.0, torch.float32]]


@pytest.mark.since("2.4")
def test_a_function_of_ones_own_may_keep_the_region():
    """:func:`torch.amp.custom_bwd` runs a function's ``backward`` in the autocast region of its ``forward``.

    Without it and :func:`torch.amp.custom_fwd`, products in ``backward`` are float32 after the region.
    """
    dtypes = []

    class Plain(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            dtypes.append((grad @ grad).dtype)
            return grad

    class Kept(Plain):
        forward = staticmethod(torch.amp.custom_fwd(Plain.forward, device_type="cpu"))
        backward = staticmethod(torch.amp.custom_bwd(Plain.backward, device_type="cpu"))

    x = torch.rand(2, 2, requires_grad=True)
    for function in (Plain, Kept):
        with torch.autocast("cpu"):
            inside = function.apply(x)
        inside.sum().backward()

    assert dtypes == [torch.float32, torch.bfloat16]


@pytest.mark.since("2.4")
def test_a_function_of_ones_own_may_leave_the_region():
    """``torch.amp.custom_fwd(cast_inputs=torch.float32)`` makes a function compute in float32 in autocast.

    Without it, ``forward`` saves what it is given, in float32, and ``backward`` gets a bfloat16 gradient for
    a bfloat16 output: a product of both raises ``RuntimeError``.
    """

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x)
            return x @ weight

        @staticmethod
        def backward(ctx, grad):
            return None, ctx.saved_tensors[0].T @ grad

    options = {"device_type": "cpu", "cast_inputs": torch.float32}

    class Kept(Product):
        forward = staticmethod(torch.amp.custom_fwd(Product.forward, **options))
        backward = staticmethod(torch.amp.custom_bwd(Product.backward, device_type="cpu"))

    x, weight = torch.ones(1, 2), torch.rand(2, 3, requires_grad=True)
    with torch.autocast("cpu"):
        plain, kept = Product.apply(x, weight), Kept.apply(x.bfloat16(), weight)

    assert [plain.dtype, kept.dtype] == [torch.bfloat16, torch.float32]
    with pytest.raises(RuntimeError, match="same dtype"):
        plain.sum().backward()
    kept.sum().backward()
    assert torch.equal(weight.grad, torch.ones(2, 3))
