"""Options of transformers and their layers: their defaults, and where they go."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.parametrize("make", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.Transformer])
def test_a_transformer_drops_a_tenth(make):
    """The default ``dropout`` of ``nn.Transformer`` and its layers is 0.1, in attention and in every
    ``Dropout``.
    """
    net, other = make(4, 2), make(4, 2, dropout=0.25)

    for part in net.modules():
        if isinstance(part, nn.Dropout):
            assert part.p == 0.1
        if isinstance(part, nn.MultiheadAttention):
            assert part.dropout == 0.1
    assert {part.p for part in other.modules() if isinstance(part, nn.Dropout)} == {0.25}
    assert {part.dropout for part in other.modules() if isinstance(part, nn.MultiheadAttention)} == {0.25}


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (nn.TransformerEncoderLayer, ["d_model", "nhead"]),
        (nn.TransformerDecoderLayer, ["d_model", "nhead"]),
        (nn.TransformerEncoder, ["encoder_layer", "num_layers"]),
        (nn.TransformerDecoder, ["decoder_layer", "num_layers"]),
    ],
)
def test_what_a_transformer_is_made_of(make, names):
    """``TransformerEncoderLayer`` and ``TransformerDecoderLayer`` raise ``TypeError`` without ``d_model`` and
    ``nhead``.

    ``TransformerEncoder`` and ``TransformerDecoder`` require a layer and ``num_layers``; ``nn.Transformer()``
    has a default for everything.
    """
    with pytest.raises(TypeError, match="missing 2 required positional arguments") as caught:
        make()

    assert re.findall(r"'(\w+)'", str(caught.value)) == names
    whole = nn.Transformer(device="meta")
    assert (whole.d_model, whole.nhead, whole.encoder.num_layers, whole.decoder.num_layers) == (512, 8, 6, 6)


@pytest.mark.parametrize("make", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_features_and_heads_of_a_layer(make):
    """``TransformerEncoderLayer(12, 3)`` has 3 heads in its attention, and takes inputs of 12 features only.

    So does ``TransformerDecoderLayer(12, 3)``.
    """
    layer, count = make(12, 3, 8), 1 if make is nn.TransformerEncoderLayer else 2
    parts = [part for part in layer.modules() if isinstance(part, nn.MultiheadAttention)]

    assert [(part.embed_dim, part.num_heads) for part in parts] == [(12, 3)] * count
    assert layer(*[torch.rand(5, 2, 12)] * count).shape == (5, 2, 12)
    for size in (1, 8, 24):
        with pytest.raises(AssertionError, match=f"expecting embedding dimension of 12, but got {size}"):
            layer(*[torch.rand(5, 2, size)] * count)


@pytest.mark.parametrize("make", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.Transformer])
def test_the_width_of_the_feed_forward_part(make):
    """The default ``dim_feedforward`` of ``nn.Transformer`` and its layers is 2048: the width between two
    ``Linear``.
    """
    rows = [p.shape for name, p in make(4, 2).named_parameters() if name.endswith("linear1.weight")]
    columns = [p.shape for name, p in make(4, 2).named_parameters() if name.endswith("linear2.weight")]

    assert set(rows) == {(2048, 4)}
    assert set(columns) == {(4, 2048)}


@pytest.mark.parametrize("make", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.Transformer])
def test_the_eps_of_every_normalization(make):
    """The default ``layer_norm_eps`` of ``nn.Transformer`` and its layers is 1e-5, for each ``LayerNorm``."""
    usual = [part.eps for part in make(4, 2).modules() if isinstance(part, nn.LayerNorm)]
    other = [part.eps for part in make(4, 2, layer_norm_eps=0.5).modules() if isinstance(part, nn.LayerNorm)]

    assert set(usual) == {1e-5}
    assert set(other) == {0.5}
    assert len(usual) == len(other)


@pytest.mark.parametrize("make", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.Transformer])
def test_the_activation_of_a_transformer(make):
    """``activation`` of ``nn.Transformer`` and its layers is ``"relu"``, ``"gelu"`` or a function; default
    ``F.relu``.

    Any other string raises ``RuntimeError``.
    """
    given = {"relu": F.relu, "gelu": F.gelu, torch.tanh: torch.tanh}

    for argument, function in given.items():
        net = make(4, 2, activation=argument)
        assert {part.activation for part in net.modules() if hasattr(part, "activation")} == {function}
    assert {part.activation for part in make(4, 2).modules() if hasattr(part, "activation")} == {F.relu}
    with pytest.raises(RuntimeError, match="activation should be relu/gelu, not tanh"):
        make(4, 2, activation="tanh")


@pytest.mark.parametrize("make", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_the_activation_stands_between_the_linear_layers(make):
    """``TransformerEncoderLayer``, ``TransformerDecoderLayer`` call ``activation`` between ``linear1`` and
    ``linear2``.
    """
    seen = []
    layer = make(4, 2, 8, 0.0, activation=lambda x: seen.append(x) or x.tanh()).eval()
    layer.linear1.register_forward_hook(lambda module, args, output: seen.append(output))
    layer.linear2.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    x = torch.rand(5, 3, 4)

    layer(*[x] * (1 if make is nn.TransformerEncoderLayer else 2))

    output, given, result = seen
    assert given is output
    assert torch.equal(result, output.tanh())


def test_the_heads_of_the_usual_transformer():
    """The default ``nhead`` of ``nn.Transformer`` is 8."""
    with torch.device("meta"):
        net = nn.Transformer(num_encoder_layers=1, num_decoder_layers=1)

    assert [part.num_heads for part in net.modules() if isinstance(part, nn.MultiheadAttention)] == [8, 8, 8]


def test_norm_first_of_a_transformer_is_for_its_layers():
    """``nn.Transformer(norm_first=True)`` makes all its layers with ``norm_first=True``; the default is
    ``False``.

    Its encoder and decoder end with a normalization of their own in either case.
    """
    usual, other = nn.Transformer(4, 2, 2, 2, 8), nn.Transformer(4, 2, 2, 2, 8, norm_first=True)

    for net, norm_first in ((usual, False), (other, True)):
        layers = [*net.encoder.layers, *net.decoder.layers]
        assert [layer.norm_first for layer in layers] == [norm_first] * 4
        assert [type(net.encoder.norm), type(net.decoder.norm)] == [nn.LayerNorm, nn.LayerNorm]


@pytest.mark.since("2.1")
@pytest.mark.parametrize("make", [nn.TransformerDecoderLayer, nn.Transformer])
def test_decoders_without_bias(make):
    """``Transformer(bias=False)`` and ``TransformerDecoderLayer(bias=False)`` have no bias in any
    submodule.

    By default every ``Linear``, attention and ``LayerNorm`` has one.
    """
    net, usual = make(4, 2, bias=False), make(4, 2)
    weights = [name for name, _ in net.named_parameters()]
    all_names = [name for name, _ in usual.named_parameters()]

    assert [name for name in weights if "bias" in name] == []
    assert [name.replace("bias", "weight") for name in all_names if "bias" in name] == weights


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_given_encoder_is_initialized_anew(part):
    """``nn.Transformer`` initializes the matrices of ``custom_encoder`` and ``custom_decoder`` anew.

    A trained encoder loses what it has learned, in place, and no warning says so: assign it to
    ``net.encoder`` afterwards. Biases and norms stay.
    """
    layer = nn.TransformerEncoderLayer if part == "encoder" else nn.TransformerDecoderLayer
    stack = nn.TransformerEncoder if part == "encoder" else nn.TransformerDecoder
    given = stack(layer(4, 2, 8), 1)
    before = {name: p.clone() for name, p in given.named_parameters()}

    net = nn.Transformer(4, 2, **{f"custom_{part}": given})

    assert getattr(net, part) is given
    for name, p in given.named_parameters():
        assert torch.equal(p, before[name]) is (p.dim() == 1)
