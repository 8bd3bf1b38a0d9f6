"""Operations of one's own under autocast on the CPU: what dtype comes out where no layer of torch is called.

Products are cast to bfloat16, and most else is left as it is. So where bfloat16 meets a float32 parameter,
what both have in common decides: the wider one, or an error.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.parametrize(
    "product",
    [
        lambda x, w: x @ w.T,
        lambda x, w: torch.einsum("bi,oi->bo", x, w),
        lambda x, w: torch.matmul(x, w.T),
        lambda x, w: torch.mm(x, w.T),
        lambda x, w: torch.bmm(x[None], w.T[None]),
        lambda x, w: torch.addmm(torch.rand(3), x, w.T),
        lambda x, w: torch.baddbmm(torch.rand(1, 1, 3), x[None], w.T[None]),
    ],
    ids=["@", "einsum", "matmul", "mm", "bmm", "addmm", "baddbmm"],
)
def test_products_are_computed_in_bfloat16(product):
    """In ``torch.autocast("cpu")`` matrix products, ``@`` and ``torch.einsum`` included, return bfloat16.

    They do so for parameters that a module multiplies itself, as for those of ``nn.Linear``.
    """
    x, weight = torch.rand(4, 2), nn.Parameter(torch.rand(3, 2))

    with torch.autocast("cpu"):
        output = product(x, weight)
    output.sum().backward()

    assert output.dtype is torch.bfloat16
    assert weight.grad.dtype is torch.float32


def test_a_bias_of_ones_own_gives_float32():
    """In ``torch.autocast("cpu")``, ``x @ weight.T + bias`` is float32 for a float32 ``bias``, unlike
    ``F.linear``.

    The sum is not cast, and bfloat16 and float32 make float32. So all that follows runs in float32 until the
    next product. Call :func:`F.linear <torch.nn.functional.linear>`, or cast the bias.
    """
    x, weight, bias = torch.rand(4, 2), nn.Parameter(torch.rand(3, 2)), nn.Parameter(torch.rand(3))

    with torch.autocast("cpu"):
        by_hand, linear = x @ weight.T + bias, F.linear(x, weight, bias)
        cast = x @ weight.T + bias.to(torch.bfloat16)
        scaled = (x @ weight.T) * bias

    assert [by_hand.dtype, linear.dtype] == [torch.float32, torch.bfloat16]
    assert [cast.dtype, scaled.dtype] == [torch.bfloat16, torch.float32]


def test_a_residual_connection_keeps_float32():
    """In ``torch.autocast("cpu")``, ``x + layer(x)`` of a float32 ``x`` is float32; ``layer(x)`` is bfloat16.

    So the sum along a residual network stays exact, while each branch computes in bfloat16.
    """
    layer, x = nn.Linear(2, 2), torch.rand(4, 2)

    with torch.autocast("cpu"):
        branch = layer(x)
        total = x + branch

    assert [branch.dtype, total.dtype] == [torch.bfloat16, torch.float32]


def test_an_addition_in_place_keeps_bfloat16():
    """In ``torch.autocast("cpu")``, ``output += bias`` leaves a bfloat16 output of ``nn.Linear`` bfloat16.

    The same sum out of place is float32: what looks like a saving of memory is a loss of digits.
    """
    layer, bias = nn.Linear(2, 2), torch.tensor([1e-3, 1e-3])

    with torch.autocast("cpu"):
        output = layer(torch.rand(4, 2))
        total = output + bias
        output += bias

    assert [output.dtype, total.dtype] == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("join", [torch.cat, torch.stack])
def test_joined_tensors_get_the_wider_dtype(join):
    """In ``torch.autocast("cpu")``, ``torch.cat`` and ``stack`` of bfloat16 and float32 give float32."""
    layer, x = nn.Linear(2, 2), torch.rand(4, 2)

    with torch.autocast("cpu"):
        assert join([layer(x), x]).dtype is torch.float32
        assert join([layer(x), layer(x)]).dtype is torch.bfloat16


@pytest.mark.since("2.2")
def test_attention_takes_several_dtypes():
    """In ``torch.autocast("cpu")``, ``F.scaled_dot_product_attention`` casts query, key, value to bfloat16.

    So a query that went through a norm in float32 may meet a value in bfloat16. Outside it raises
    ``RuntimeError`` for such a pair, and so may functions for attention that are not torch's own: cast the
    query and the key for them (:issue:`126053`). See :class:`torch.autocast`.
    """
    query, value = torch.rand(1, 3, 4), torch.rand(1, 3, 4, dtype=torch.bfloat16)
    cast = query.bfloat16()

    with torch.autocast("cpu"):
        output = F.scaled_dot_product_attention(query, query, value)

    assert torch.equal(output, F.scaled_dot_product_attention(cast, cast, value))
    with pytest.raises(RuntimeError, match="query, key, and value to have the same dtype"):
        F.scaled_dot_product_attention(query, query, value)


@pytest.mark.before("2.2")
def test_attention_took_one_dtype():
    """In CPU autocast ``F.scaled_dot_product_attention`` of float32 and bfloat16 raises ``RuntimeError``."""
    query, value = torch.rand(1, 3, 4), torch.rand(1, 3, 4, dtype=torch.bfloat16)

    with (
        torch.autocast("cpu"),
        pytest.raises(RuntimeError, match="query, key, and value to have the same dtype"),
    ):
        F.scaled_dot_product_attention(query, query, value)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda out, y: out.__setitem__([0], y),
            "Index put requires the source and destination dtypes match",
        ),
        (lambda out, y: out.__setitem__(torch.tensor([True, False]), y), "Index put requires"),
        (lambda out, y: out.index_add_(0, torch.tensor([0]), y), r"index_add_\(\)"),
        (lambda out, y: out.index_copy_(0, torch.tensor([0]), y), r"index_copy_\(\)"),
        (lambda out, y: out.scatter_(0, torch.tensor([[0, 0]]), y), r"scatter\(\)"),
    ],
    ids=["a list", "a mask", "index_add_", "index_copy_", "scatter_"],
)
def test_indexed_writes_are_not_cast(write, message):
    """In ``torch.autocast("cpu")``, ``out[index] = layer(x)`` raises ``RuntimeError`` for a float32 ``out``.

    Writing by an index of numbers, a mask, ``index_add_`` or ``scatter_`` casts nothing; a mixture of experts
    meets this. Make ``out`` of the dtype of what is written, or cast that. A slice and ``copy_`` do cast.
    """
    layer, out = nn.Linear(2, 2), torch.zeros(2, 2)

    with torch.no_grad(), torch.autocast("cpu"):
        y = layer(torch.rand(1, 2))
        with pytest.raises(RuntimeError, match=message):
            write(out, y)
        write(out.to(y.dtype), y)
        out[:1] = y
        out[1:].copy_(y)

    assert torch.equal(out, torch.cat([y, y]).float())


def test_probabilities_of_bfloat16_fit_float32_targets():
    """In ``torch.autocast("cpu")``, ``BCELoss`` takes bfloat16 probabilities with float32 targets.

    It computes in float32; outside it raises ``RuntimeError``. On a GPU it is refused in a region. See
    :class:`torch.autocast`.

    See also :ref:`placement.autocast_operations.bce_is_refused_on_the_gpu`
    """
    p, target = torch.tensor([0.25, 0.75]).bfloat16(), torch.tensor([0.0, 0.375])

    for given in (p, p.clone().requires_grad_()):
        with torch.autocast("cpu"):
            loss = nn.BCELoss()(given, target)
        assert loss.dtype is torch.float32
        assert torch.equal(loss, nn.BCELoss()(p.float(), target))
    loss.backward()
    assert given.grad.dtype is torch.bfloat16
    with pytest.raises(RuntimeError, match="Found dtype Float but expected BFloat16"):
        nn.BCELoss()(p, target)


@pytest.mark.needs("cuda")
def test_bce_is_refused_on_the_gpu():
    """In ``torch.autocast("cuda")``, ``BCELoss`` raises ``RuntimeError``: it is unsafe to autocast.

    It does so whatever the dtype: its gradient of a small probability may be too large for float16. Leave the
    sigmoid to ``BCEWithLogitsLoss``, or switch autocast off for the loss and cast to float32. See
    :class:`torch.autocast`.
    """
    scores, target = torch.tensor([-2.0, 3.0], device="cuda").half(), torch.tensor([0.0, 1.0], device="cuda")

    with torch.autocast("cuda"):
        for probabilities in (scores.sigmoid(), scores.float().sigmoid()):
            with pytest.raises(RuntimeError, match="BCELoss are unsafe to autocast"):
                nn.BCELoss()(probabilities, target)
        loss = nn.BCEWithLogitsLoss()(scores, target)
        with torch.autocast("cuda", enabled=False):
            outside = nn.BCELoss()(scores.float().sigmoid(), target)

    assert loss.dtype is torch.float32
    assert torch.allclose(loss, outside)


@pytest.mark.parametrize(
    ("layer", "lower"),
    [
        (nn.RNN, True),
        (lambda *sizes: nn.RNN(*sizes, nonlinearity="relu"), True),
        (nn.GRU, False),
        (lambda *sizes: nn.GRU(*sizes, num_layers=2, bidirectional=True), False),
        (nn.RNNCell, True),
        (lambda *sizes: nn.RNNCell(*sizes, nonlinearity="relu"), True),
        (nn.GRUCell, False),
        (nn.LSTMCell, False),
    ],
    ids=[
        "RNN",
        "RNN of relu",
        "GRU",
        "GRU of two layers",
        "RNNCell",
        "RNNCell of relu",
        "GRUCell",
        "LSTMCell",
    ],
)
def test_recurrent_layers_differ(layer, lower):
    """In ``torch.autocast("cpu")``, ``nn.RNN`` returns bfloat16; ``nn.GRU`` and ``LSTMCell`` keep float32.

    Of bfloat16 input all return bfloat16. See :class:`torch.autocast`.
    """
    x, dtypes = torch.rand(3, 2), []

    for value in (x, x.bfloat16()):
        with torch.autocast("cpu"):
            output = layer(2, 2)(value)
        dtypes.append((output[0] if isinstance(output, tuple) else output).dtype)

    assert dtypes == [torch.bfloat16 if lower else torch.float32, torch.bfloat16]


def test_embeddings_and_padding_return_float32():
    """In ``torch.autocast("cpu")``, ``nn.Embedding`` and ``nn.ReflectionPad1d`` return float32.

    ``nn.ReplicationPad1d`` does too, also of bfloat16 input; ``nn.ZeroPad2d`` keeps its dtype.
    """
    x = torch.rand(1, 2, 4)
    padding = [nn.ReflectionPad1d(1), nn.ReplicationPad1d(1)]

    with torch.autocast("cpu"):
        assert nn.Embedding(3, 2)(torch.tensor([1])).dtype is torch.float32
        for mode in ("mean", "sum", "max"):
            assert nn.EmbeddingBag(3, 2, mode=mode)(torch.tensor([[1, 2]])).dtype is torch.float32
        assert [layer(x.bfloat16()).dtype for layer in padding] == [torch.float32, torch.float32]
        assert nn.ZeroPad2d(1)(x.bfloat16()).dtype is torch.bfloat16


@pytest.mark.since("2.1")
def test_prelu_is_computed_in_bfloat16():
    """In ``torch.autocast("cpu")``, ``nn.PReLU`` returns bfloat16 of float32 and of bfloat16 input."""
    x = torch.rand(3, 2)

    with torch.autocast("cpu"):
        for layer in (nn.PReLU(), nn.PReLU(2)):
            assert [layer(value).dtype for value in (x, x.bfloat16())] == [torch.bfloat16, torch.bfloat16]


@pytest.mark.before("2.1")
def test_prelu_was_not_cast():
    """In ``torch.autocast("cpu")``, ``nn.PReLU`` raises ``RuntimeError`` for bfloat16 input."""
    x = torch.rand(2)

    with torch.autocast("cpu"):
        assert nn.PReLU()(x).dtype is torch.float32
        with pytest.raises(RuntimeError, match="Type promoting not supported"):
            nn.PReLU()(x.bfloat16())


@pytest.mark.since("2.3")
def test_bilinear_is_not_cast():
    """In ``torch.autocast("cpu")``, ``nn.Bilinear`` raises ``RuntimeError`` for bfloat16 input.

    Give it ``x.float()``.
    """
    layer, x = nn.Bilinear(2, 2, 1), torch.rand(2)

    with torch.autocast("cpu"):
        assert layer(x, x).dtype is torch.float32
        with pytest.raises(RuntimeError, match="All tensors must have the same dtype"):
            layer(x.bfloat16(), x.bfloat16())


@pytest.mark.before("2.3")
def test_bilinear_took_bfloat16():
    """In ``torch.autocast("cpu")``, ``nn.Bilinear`` returns float32 for bfloat16 input as well."""
    x = torch.rand(2)

    with torch.autocast("cpu"):
        assert [nn.Bilinear(2, 2, 1)(value, value).dtype for value in (x, x.bfloat16())] == [
            torch.float32
        ] * 2


@pytest.mark.since("2.7")
def test_rms_norm_keeps_its_dtype():
    """In ``torch.autocast("cpu")``, ``nn.RMSNorm`` keeps its input's dtype, with or without a weight.

    On a GPU it returns float32 since 2.12.
    """
    x = torch.rand(2, 4)

    for affine in (True, False):
        layer = nn.RMSNorm(4, elementwise_affine=affine)
        with torch.autocast("cpu"):
            assert [layer(value).dtype for value in (x, x.bfloat16())] == [torch.float32, torch.bfloat16]


@pytest.mark.since("2.4")
@pytest.mark.before("2.7")
def test_rms_norm_of_a_weight_returned_float32():
    """In ``torch.autocast("cpu")``, ``nn.RMSNorm`` with a weight returns float32; without one bfloat16 stays.

    So a bfloat16 output of a linear layer becomes float32 behind it.
    """
    x = torch.rand(2, 4).bfloat16()

    with torch.autocast("cpu"):
        assert nn.RMSNorm(4)(x).dtype is torch.float32
        assert nn.RMSNorm(4, elementwise_affine=False)(x).dtype is torch.bfloat16


@pytest.mark.since("2.2")
def test_an_attention_mask_is_cast():
    """In ``torch.autocast("cpu")``, ``MultiheadAttention(need_weights=False)`` takes a boolean or float32
    mask.

    It returns bfloat16, and hides the same keys (:issue:`111276`).
    """
    attention, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(1, 3, 4)
    mask = torch.tensor([[False, False, True]])

    with torch.autocast("cpu"):
        boolean, added = (
            attention(x, x, x, key_padding_mask=given, need_weights=False)[0]
            for given in (mask, torch.zeros(1, 3).masked_fill(mask, float("-inf")))
        )
        square = attention(x, x, x, attn_mask=mask.expand(3, 3), need_weights=False)[0]
        short = attention(x, x[:, :2], x[:, :2], need_weights=False)[0]

    assert boolean.dtype is torch.bfloat16
    assert torch.equal(boolean, added)
    assert torch.equal(boolean, square)
    torch.testing.assert_close(boolean, short)


@pytest.mark.before("2.2")
def test_an_attention_mask_was_not_cast():
    """In CPU autocast ``MultiheadAttention(need_weights=False)`` raises ``RuntimeError`` for a mask."""
    attention, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(1, 3, 4)

    with torch.autocast("cpu"), pytest.raises(RuntimeError, match="Expected attn_mask dtype to be bool or"):
        attention(x, x, x, key_padding_mask=torch.tensor([[False, False, True]]), need_weights=False)
