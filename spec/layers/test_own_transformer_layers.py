"""Transformer layers of one's own: methods that are overridden, parts that are exchanged or hooked.

In ``eval()`` without gradients a ``TransformerEncoderLayer`` with ``batch_first=True`` takes its fast path:
one fused function that reads the weights of its parts and calls none of them. When that happens is in
*fast_path*.
"""

import pytest
import torch
from torch import nn


def test_overridden_methods_are_skipped_on_the_fast_path():
    """On its fast path a ``TransformerEncoderLayer`` subclass does not call its own ``_sa_block`` or
    ``_ff_block``.

    To get at attention weights by overriding ``_sa_block``, stay off that path (:issue:`118628`).
    """
    calls = []

    class Layer(nn.TransformerEncoderLayer):
        def _sa_block(self, *args, **kwargs):
            calls.append("attention")
            return super()._sa_block(*args, **kwargs)

        def _ff_block(self, *args, **kwargs):
            calls.append("feed-forward")
            return super()._ff_block(*args, **kwargs)

    layer, x = Layer(4, 2, 8, batch_first=True).eval(), torch.rand(1, 3, 4)
    layer(x)
    assert calls == ["attention", "feed-forward"]

    calls.clear()
    with torch.no_grad():
        layer(x)
    assert calls == []


def test_overridden_methods_of_a_decoder_layer_are_called():
    """``TransformerDecoderLayer`` calls overridden ``_sa_block``, ``_mha_block`` and ``_ff_block``.

    So it does in ``eval()`` under ``no_grad``: a decoder layer has no fast path of its own.
    """
    calls = []

    class Layer(nn.TransformerDecoderLayer):
        def _sa_block(self, x, *args, **kwargs):
            calls.append("self")
            return x

        def _mha_block(self, x, *args, **kwargs):
            calls.append("memory")
            return x

        def _ff_block(self, x, *args, **kwargs):
            calls.append("feed-forward")
            return x

    layer = Layer(4, 2, 8, batch_first=True).eval()
    with torch.no_grad():
        layer(torch.rand(1, 3, 4), torch.rand(1, 3, 4))

    assert calls == ["self", "memory", "feed-forward"]


@pytest.mark.parametrize("name", ["linear1", "linear2", "norm1", "norm2"])
def test_the_fast_path_skips_parts_of_ones_own(name):
    """On its fast path ``TransformerEncoderLayer`` ignores the ``forward`` of a ``Linear`` or ``LayerNorm``.

    Only ``weight`` and ``bias`` of the part are read: an adapter in a subclass of ``nn.Linear`` is without
    effect.
    """
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.rand(1, 3, 4)
    plain = layer(x)

    class Tripled(type(getattr(layer, name))):
        def forward(self, x):
            return 3 * super().forward(x)

    getattr(layer, name).__class__ = Tripled

    assert not torch.allclose(layer(x), plain)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain)


@pytest.mark.parametrize("name", ["linear1", "linear2", "norm1", "norm2"])
def test_a_part_without_a_weight_raises_in_evaluation(name):
    """In ``eval()`` ``TransformerEncoderLayer(batch_first=True)`` raises ``AttributeError`` for a part
    without ``weight``.

    It reads ``weight`` of ``linear1`` and ``linear2`` and ``eps`` of ``norm1`` and ``norm2``, with gradients
    as well. In training, and with ``batch_first=False``, any module may stand there.
    """
    layer, x = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), torch.rand(1, 3, 4)
    plain = layer(x)
    setattr(layer, name, nn.Sequential(getattr(layer, name)))

    torch.testing.assert_close(layer(x), plain)
    layer.eval()
    with pytest.raises(AttributeError, match=r"no attribute '(weight|eps)'"):
        layer(x)
    layer.self_attn.batch_first = False
    torch.testing.assert_close(layer(x.transpose(0, 1)).transpose(0, 1), plain)


@pytest.mark.since("2.5")
@pytest.mark.parametrize("name", ["self_attn", "linear1", "linear2", "norm1", "norm2", "dropout", "dropout1"])
def test_a_hook_on_a_part_keeps_a_layer_off_the_fast_path(name):
    """A forward hook or pre-hook on a part of ``TransformerEncoderLayer`` runs in ``eval()`` under
    ``no_grad`` too.

    The layer stays off its fast path while one of its submodules has a hook (:issue:`128413`).
    """
    layer, x, calls = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.rand(1, 3, 4), []
    part = getattr(layer, name)

    handles = [
        part.register_forward_hook(lambda *given: calls.append("hook")),
        part.register_forward_pre_hook(lambda *given: calls.append("pre-hook")),
    ]
    for handle in handles:
        with torch.no_grad():
            layer(x)
        handle.remove()
    assert calls == ["pre-hook", "hook", "pre-hook"]


@pytest.mark.before("2.5")
@pytest.mark.parametrize("name", ["self_attn", "linear1", "linear2", "norm1", "norm2", "dropout", "dropout1"])
def test_a_hook_on_a_part_was_skipped_on_the_fast_path(name):
    """On its fast path ``TransformerEncoderLayer`` does not run hooks of its parts, such as ``self_attn``."""
    layer, x, calls = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.rand(1, 3, 4), []
    part = getattr(layer, name)
    part.register_forward_hook(lambda *given: calls.append("hook"))
    part.register_forward_pre_hook(lambda *given: calls.append("pre-hook"))

    layer(x)
    assert calls == ["pre-hook", "hook"]
    with torch.no_grad():
        layer(x)
    assert calls == ["pre-hook", "hook"]


def test_attention_of_ones_own_in_a_layer():
    """``TransformerEncoderLayer`` calls a ``self_attn`` of your own with one tensor thrice, and keywords.

    These are ``attn_mask``, ``key_padding_mask``, ``is_causal`` and ``need_weights=False``. The first of what
    it returns is used. In ``eval()`` the
    layer asks for attributes of ``MultiheadAttention`` first: ``AttributeError``.
    """

    class Attention(nn.Module):
        batch_first = True

        def forward(self, query, key, value, **kwargs):
            assert query is key is value
            self.kwargs = kwargs
            return torch.zeros_like(query), None

    layer, x = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), torch.rand(1, 3, 4)
    layer.self_attn = Attention()
    layer(x)

    assert sorted(layer.self_attn.kwargs) == ["attn_mask", "is_causal", "key_padding_mask", "need_weights"]
    assert layer.self_attn.kwargs["need_weights"] is False
    layer.eval()
    with torch.no_grad(), pytest.raises(AttributeError, match="'Attention' object has no attribute"):
        layer(x)


def test_the_fast_path_skips_attention_of_ones_own():
    """On its fast path ``TransformerEncoderLayer`` does not call a ``forward`` assigned to its ``self_attn``.

    A wrapper that asks for ``need_weights=True`` sees nothing there.
    """
    layer, x, shapes = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval(), torch.rand(1, 3, 4), []
    forward = layer.self_attn.forward

    def with_weights(*args, **kwargs):
        output, weights = forward(*args, **{**kwargs, "need_weights": True})
        shapes.append(weights.shape)
        return output, weights

    layer.self_attn.forward = with_weights
    layer(x)
    assert shapes == [(1, 3, 3)]

    with torch.no_grad():
        layer(x)
    assert shapes == [(1, 3, 3)]


def test_keywords_that_an_encoder_passes_to_its_layers():
    """``TransformerEncoder`` calls each layer with ``src_mask``, ``is_causal`` and ``src_key_padding_mask``.

    A layer of one's own whose ``forward`` lacks one of them raises ``TypeError``. It is called with the
    output of the layer before, whatever that is: a tuple is not taken apart.
    """
    seen = []

    class Layer(nn.TransformerEncoderLayer):
        def forward(self, src, **kwargs):
            seen.append((type(src), sorted(kwargs)))
            return src, "weights"

    class Short(nn.TransformerEncoderLayer):
        def forward(self, src, src_mask=None, src_key_padding_mask=None):
            return src

    x = torch.rand(1, 3, 4)
    output, extra = nn.TransformerEncoder(Layer(4, 2, batch_first=True), 2)(x)

    keywords = ["is_causal", "src_key_padding_mask", "src_mask"]
    assert seen == [(torch.Tensor, keywords), (tuple, keywords)]
    assert (output[0] is x, output[1], extra) == (True, "weights", "weights")
    with pytest.raises(TypeError, match="unexpected keyword argument 'is_causal'"):
        nn.TransformerEncoder(Short(4, 2, batch_first=True), 1)(x)


@pytest.mark.since("2.1")
def test_keywords_that_a_decoder_passes_to_its_layers():
    """``TransformerDecoder`` calls each layer with masks, padding and causal hints of ``tgt`` and ``memory``.

    They are ``tgt_mask``, ``tgt_key_padding_mask``, ``tgt_is_causal`` and three for ``memory``, as keywords.
    """
    seen = []

    class Layer(nn.TransformerDecoderLayer):
        def forward(self, tgt, memory, **kwargs):
            seen.append((memory, sorted(kwargs)))
            return tgt + 1

    memory = torch.rand(1, 5, 4)
    output = nn.TransformerDecoder(Layer(4, 2, batch_first=True), 2)(torch.zeros(1, 3, 4), memory)

    parts = ["is_causal", "key_padding_mask", "mask"]
    keywords = ["memory_" + part for part in parts] + ["tgt_" + part for part in parts]
    assert [(given is memory, names) for given, names in seen] == [(True, keywords)] * 2
    assert output.tolist() == [[[2.0] * 4] * 3]
