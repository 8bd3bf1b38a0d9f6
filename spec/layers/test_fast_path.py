"""The fast path of attention and transformer encoders, and what it does otherwise than the modules.

In evaluation without gradients a fused function may do the whole work of a layer. Some masks mean something
else to it, and it takes *nested_tensors*. ``torch.backends.mha.set_fastpath_enabled(False)`` turns it off,
since torch 2.3.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F


def test_when_attention_takes_the_fast_path(monkeypatch):
    """The fast path of ``MultiheadAttention`` needs ``eval()``, ``batch_first=True`` and
    ``query is key is value``.

    A copy of the query as the key is another tensor. It needs a batch as well, and that nothing requires
    gradients: use ``torch.no_grad()``. Options such as ``add_bias_kv`` keep it off.
    """
    monkeypatch.setattr(torch, "_native_multi_head_attention", lambda *given: "fused")
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True).eval(), torch.rand(3, 5, 4)
    sequence_first, one = nn.MultiheadAttention(4, 2).eval(), torch.rand(5, 4)
    more = nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True).eval()

    assert layer(x, x, x) != "fused"
    with torch.no_grad():
        assert layer(x, x, x) == "fused"
        assert more(x, x, x) != "fused"
        assert layer(x, x.clone(), x) != "fused"
        assert layer(x.clone(), x, x) != "fused"
        assert layer(x, x, x[:]) != "fused"
        assert isinstance(layer(one, one, one), tuple)
        assert sequence_first(x, x, x) != "fused"
        assert layer.train()(x, x, x) != "fused"


@pytest.mark.parametrize(
    "options",
    [{"add_bias_kv": True}, {"add_zero_attn": True}, {"kdim": 3}, {"vdim": 3}],
    ids=lambda o: next(iter(o)),
)
def test_options_that_keep_attention_off_the_fast_path(options, monkeypatch):
    """``MultiheadAttention`` with ``add_bias_kv``, ``add_zero_attn``, ``kdim`` or ``vdim`` stays off its fast
    path.

    A ``kdim`` or ``vdim`` that is ``embed_dim`` does not count.
    """
    monkeypatch.setattr(torch, "_native_multi_head_attention", lambda *given: "fused")
    layer = nn.MultiheadAttention(4, 2, batch_first=True, **options).eval()
    usual, x = nn.MultiheadAttention(4, 2, batch_first=True, kdim=4, vdim=4).eval(), torch.rand(3, 5, 4)
    key, value = (x if size == 4 else x[..., :size] for size in (layer.kdim, layer.vdim))

    with torch.no_grad():
        assert usual(x, x, x) == "fused"
        assert layer(x, key, value) != "fused"


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("options", "masks"),
    [
        ({"bias": False}, {}),
        ({"num_heads": 3}, {}),
        ({}, {"attn_mask": torch.rand(5, 5)}),
        ({}, {"key_padding_mask": torch.rand(3, 5)}),
    ],
    ids=["no bias", "odd heads", "float mask", "float padding mask"],
)
def test_attention_that_the_fused_function_cannot_do(options, masks, monkeypatch):
    """``MultiheadAttention`` with ``bias=False``, an odd ``num_heads`` or a float mask stays off its fast
    path.

    Boolean masks do not keep it off.
    """
    monkeypatch.setattr(torch, "_native_multi_head_attention", lambda *given: "fused")
    layer = nn.MultiheadAttention(6, **{"num_heads": 2, **options}, batch_first=True).eval()
    usual, x = nn.MultiheadAttention(6, 2, batch_first=True).eval(), torch.rand(3, 5, 6)
    boolean = {"attn_mask": torch.eye(5) == 1, "key_padding_mask": torch.eye(3, 5) == 1}

    with torch.no_grad():
        assert usual(x, x, x, **boolean) == "fused"
        assert layer(x, x, x, **masks) != "fused"


@pytest.mark.before("2.1")
def test_a_float_mask_was_boolean_to_attention():
    """On its fast path ``MultiheadAttention`` takes any nonzero value of a float mask for ``-inf``."""
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True).eval(), torch.rand(3, 5, 4)
    bias = torch.zeros(5, 5)
    bias[:, 2] = 0.001

    with torch.no_grad():
        fast, _ = layer(x, x, x, attn_mask=bias)

    assert torch.allclose(fast, layer(x, x, x, attn_mask=bias != 0)[0], atol=1e-5)
    assert not torch.allclose(fast, layer(x, x, x, attn_mask=bias)[0], atol=1e-4)


def test_own_weights_keep_attention_off_the_fast_path(monkeypatch):
    """With gradients enabled ``MultiheadAttention`` takes its fast path only if its weights are frozen.

    That the input needs no gradient is not enough. For evaluation use ``torch.no_grad()``.
    """
    monkeypatch.setattr(torch, "_native_multi_head_attention", lambda *given: "fused")
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True).eval(), torch.rand(3, 5, 4)
    assert layer(x, x, x) != "fused"

    for p in layer.requires_grad_(False).parameters():
        assert layer(x, x, x) == "fused"
        p.requires_grad_(True)
        assert layer(x, x, x) != "fused"
        p.requires_grad_(False)

    x.requires_grad_()
    assert layer(x, x, x) != "fused"


def test_own_weights_keep_a_layer_off_the_fast_path(monkeypatch):
    """With gradients enabled ``TransformerEncoderLayer`` takes its fast path only if its weights are frozen.

    That the input needs no gradient is not enough. For evaluation use ``torch.no_grad()``.
    """
    monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", lambda *given: "fused")
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.rand(3, 5, 4)
    assert layer(x) != "fused"

    for p in layer.requires_grad_(False).parameters():
        assert layer(x) == "fused"
        p.requires_grad_(True)
        assert layer(x) != "fused"
        p.requires_grad_(False)

    assert layer(x.requires_grad_()) != "fused"


def test_autocast_on_the_cpu_keeps_the_fast_path(monkeypatch):
    """``MultiheadAttention`` takes its fast path under ``torch.autocast("cpu")`` as well.

    Only autocast on CUDA is looked at.
    """
    monkeypatch.setattr(torch, "_native_multi_head_attention", lambda *given: "fused")
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True).eval(), torch.rand(3, 5, 4)

    with torch.no_grad(), torch.autocast("cpu"):
        assert layer(x, x, x) == "fused"
        assert layer(x, x, x, torch.eye(3, 5) == 1, attn_mask=torch.eye(5) == 1) == "fused"

    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *given: True)
    with torch.no_grad():
        assert layer(x, x, x) != "fused"


def test_when_an_encoder_layer_takes_the_fast_path(monkeypatch):
    """The fast path of ``TransformerEncoderLayer`` needs ``eval()``, ``batch_first=True`` and a batch.

    One sequence without a batch does not take it. Nothing may require gradients either: use
    ``torch.no_grad()``.
    """
    monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", lambda *given: "fused")
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.rand(3, 5, 4)
    sequence_first = nn.TransformerEncoderLayer(4, 2, 8).eval()

    assert layer(x) != "fused"
    with torch.no_grad():
        assert layer(x) == "fused"
        assert isinstance(layer(x[0]), torch.Tensor)
        assert sequence_first(x) != "fused"
        assert layer.train()(x) != "fused"


@pytest.mark.since("2.3")
def test_the_fast_path_may_be_turned_off(monkeypatch):
    """``torch.backends.mha.set_fastpath_enabled(False)`` keeps attention and encoders off the fast path.

    It holds for all modules until it is set to ``True`` again; ``get_fastpath_enabled()`` tells. A
    ``TransformerEncoder`` then makes no nested tensors either: padded rows are computed, not 0
    (:pull:`112325`).
    """
    monkeypatch.setattr(torch, "_native_multi_head_attention", lambda *given: "fused")
    attention, x = nn.MultiheadAttention(4, 2, batch_first=True).eval(), torch.rand(2, 3, 4)
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    encoder, mask = nn.TransformerEncoder(layer, 1).eval(), torch.tensor([[False, False, True], [False] * 3])
    found = []

    with torch.no_grad():
        for enabled in (True, False, True):
            torch.backends.mha.set_fastpath_enabled(enabled)
            padded = encoder(x, src_key_padding_mask=mask)[0, 2]
            found.append(
                (
                    torch.backends.mha.get_fastpath_enabled(),
                    attention(x, x, x) == "fused",
                    padded.any().item(),
                )
            )

    assert found == [(True, True, False), (False, False, True), (True, True, False)]


def test_two_masks_keep_the_fast_path(monkeypatch):
    """``TransformerEncoderLayer`` takes its fast path with ``src_mask`` and ``src_key_padding_mask``
    together.
    """
    monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", lambda *given: "fused")
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.rand(3, 5, 4)

    with torch.no_grad():
        assert layer(x, src_mask=torch.eye(5) == 1, src_key_padding_mask=torch.eye(3, 5) == 1) == "fused"


def test_a_mask_for_each_head_on_the_fast_path():
    """A 3-D ``attn_mask`` of ``MultiheadAttention`` gives the same on the fast path as in training.

    It has one mask per head, entry after entry of the batch, in both. So it is for ``src_mask`` of
    :class:`~torch.nn.TransformerEncoderLayer` (:issue:`97409`).
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)
    encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    mask = torch.rand(6, 5, 5) > 0.5
    mask[..., 0] = False

    attended, encoded = layer(x, x, x, attn_mask=mask)[0], encoder(x, src_mask=mask)
    layer.eval()
    encoder.eval()
    with torch.no_grad():
        torch.testing.assert_close(layer(x, x, x, attn_mask=mask)[0], attended, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder(x, src_mask=mask), encoded, rtol=1e-4, atol=1e-5)


def test_a_mask_for_each_entry_passes_on_the_fast_path():
    """On its fast path ``MultiheadAttention`` with a ``key_padding_mask`` accepts an ``attn_mask`` ``(N, L,
    L)``.

    Such a mask serves all heads of its entry. In training it raises ``RuntimeError``: write
    ``mask.repeat_interleave(num_heads, dim=0)``, which gives the same in both (:issue:`97605`).
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(3, 5, 4)
    mask, padding = torch.rand(3, 5, 5) > 0.5, torch.eye(3, 5) == 1
    mask[..., 4] = False
    whole = mask.repeat_interleave(2, dim=0)

    trained = layer(x, x, x, attn_mask=whole, key_padding_mask=padding)[0]
    with pytest.raises(RuntimeError, match=r"The shape of the 3D attn_mask is .*\(6, 5, 5\)"):
        layer(x, x, x, attn_mask=mask, key_padding_mask=padding)
    layer.eval()
    with torch.no_grad():
        for given in (mask, whole):
            fast = layer(x, x, x, attn_mask=given, key_padding_mask=padding)[0]
            torch.testing.assert_close(fast, trained, rtol=1e-4, atol=1e-5)


def test_two_eps_keep_a_layer_off_the_fast_path(monkeypatch):
    """``TransformerEncoderLayer`` stays off its fast path if ``norm1.eps`` and ``norm2.eps`` differ."""
    monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", lambda *given: "fused")
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.rand(3, 5, 4)
    layer.norm2.eps = 0.5
    with torch.no_grad():
        assert layer(x) != "fused"

        layer.norm1.eps = 0.5
        assert layer(x) == "fused"


@pytest.mark.parametrize(
    ("activation", "fused"),
    [
        ("relu", True),
        ("gelu", True),
        (F.relu, True),
        (F.gelu, True),
        (nn.ReLU(), True),
        (nn.GELU(), True),
        (torch.relu, False),
        (F.silu, False),
        (nn.ReLU6(), False),
    ],
    ids=["relu", "gelu", "F.relu", "F.gelu", "nn.ReLU", "nn.GELU", "torch.relu", "F.silu", "nn.ReLU6"],
)
def test_activations_of_the_fast_path(activation, fused, monkeypatch):
    """``TransformerEncoderLayer`` takes its fast path with ``F.relu``, ``F.gelu``, ``nn.ReLU()`` and
    ``nn.GELU()`` only.

    The strings ``"relu"`` and ``"gelu"`` mean the functions. ``torch.relu`` does not count, though it
    computes the same.
    """
    monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", lambda *given: "fused")
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation=activation).eval()

    with torch.no_grad():
        assert (layer(torch.rand(3, 5, 4)) == "fused") is fused


def test_gelu_with_tanh_is_exact_on_the_fast_path():
    """``TransformerEncoderLayer(activation=nn.GELU("tanh"))`` computes the exact GELU on its fast path.

    The fused function is told that it is a GELU, not which.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation=nn.GELU("tanh")).double().eval()
    x = torch.rand(3, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        fast = layer(x)
    slow = layer(x)

    layer.activation = nn.GELU()
    assert torch.allclose(fast, layer(x), rtol=0, atol=1e-9)
    assert not torch.allclose(fast, slow, rtol=0, atol=1e-9)


def test_a_float_mask_is_boolean_on_the_fast_path():
    """On its fast path ``TransformerEncoderLayer`` takes any nonzero value of a float mask for ``-inf``.

    So a bias for positions, as in ALiBi, is added to the scores in training and hides keys in evaluation
    under ``no_grad``. Turn the fast path off for it, with ``torch.backends.mha.set_fastpath_enabled(False)``.
    """
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.rand(3, 5, 4)
    bias = torch.zeros(5, 5)
    bias[:, 2:4] = torch.tensor([0.001, -0.001])

    with torch.no_grad():
        fast = layer(x, src_mask=bias)

    assert torch.allclose(fast, layer(x, src_mask=bias != 0), atol=1e-5)
    assert not torch.allclose(fast, layer(x, src_mask=bias), atol=1e-3)
    assert torch.allclose(layer(x, src_mask=bias), layer(x), atol=1e-3)

    with torch.no_grad():
        padded = layer(x, src_key_padding_mask=bias[:3])
    assert torch.allclose(padded, fast, atol=1e-5)


def test_a_bias_without_zeros_is_nan_on_the_fast_path():
    """On its fast path ``TransformerEncoderLayer`` returns NaN for a float mask that has no zeros in a row.

    There every key of that query is hidden. A learned bias for positions is such a mask: training goes well,
    and evaluation under ``no_grad`` gives NaN (:issue:`118628`). See
    :class:`~torch.nn.TransformerEncoderLayer`.
    """
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.rand(3, 5, 4)
    bias = torch.zeros(5, 5)
    bias[1] = torch.tensor([0.5, -0.5, 0.25, 1.0, -1.0])

    with torch.no_grad():
        fast = layer(x, src_mask=bias)

    assert fast.isnan().all(-1).tolist() == [[False, True, False, False, False]] * 3
    assert layer(x, src_mask=bias).isfinite().all()


@pytest.mark.since("2.1")
def test_decoders_take_no_fast_path_for_float_masks():
    """In ``eval()`` a ``TransformerDecoder`` with float masks computes the same with and without gradients.

    Its layers have no fast path of their own, and that of ``MultiheadAttention`` leaves float masks alone
    (:issue:`106630`). See :class:`~torch.nn.TransformerDecoder`.
    """
    net = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, batch_first=True), 2).eval()
    x, memory, causal = torch.rand(3, 5, 4), torch.rand(3, 2, 4), torch.full((5, 5), -torch.inf).triu(1)

    for name, mask in (
        ("tgt_mask", 5 * torch.rand(5, 5)),
        ("tgt_mask", causal),
        ("memory_mask", 5 * torch.rand(5, 2)),
        ("tgt_key_padding_mask", 5 * torch.rand(3, 5)),
        ("memory_key_padding_mask", 5 * torch.rand(3, 2)),
    ):
        slow = net(x, memory, **{name: mask})
        with torch.no_grad():
            torch.testing.assert_close(net(x, memory, **{name: mask}), slow)
        assert not torch.allclose(slow, net(x, memory), atol=1e-4)
