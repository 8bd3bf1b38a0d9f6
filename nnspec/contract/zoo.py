"""Models of libraries by name, shrunk where they can be, with random weights, and inputs that go with them.

Nothing is downloaded.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from nnspec.contract.inputs import Inputs, drawn
from nnspec.contract.wording import brief
from nnspec.errors import UsageError

#: What a configuration of transformers is shrunk to: widths, depths and vocabularies, by their names there.
SMALL = {
    **dict.fromkeys(
        ("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "d_kv_model", "projection_size"), 32
    ),
    **dict.fromkeys(("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff", "hidden_dim"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads",), 2),
    **dict.fromkeys(("head_dim", "d_kv", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "qk_head_dim"), 16),
    "embedding_size": 32,
    "vocab_size": 99,
}

#: How many samples of sound a model is given: a dozen steps are left of them.
WAVE = 4800

#: How many frames of a spectrogram a model is given that halves them and takes as many as it has positions.
FRAMES = 48

_TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")


class Found(NamedTuple):
    """What makes a model, and what makes its inputs."""

    make: Callable[[], object]
    make_inputs: Callable[[], Inputs]


def find_model(name: str) -> Found | None:
    """The model that ``timm:NAME``, ``torchvision:NAME`` or ``hf:CONFIG`` names; none for any other name.

    Raises:
        UsageError: the library is not installed, or has no such model.
    """
    library, colon, rest = name.partition(":")
    if not colon or library not in _FINDERS:
        return None
    package, find = _FINDERS[library]
    try:
        module: Any = importlib.import_module(package)
    except ImportError as error:
        raise UsageError(f"{name}: {package} cannot be imported here: {error}; install it") from None
    return find(module, rest, name)


def _unknown(why: str) -> Callable[[], Inputs]:
    """Raises when it is asked for inputs: who gives inputs does not ask."""

    def refuse() -> Inputs:
        raise UsageError(why)

    return refuse


def _of_torchvision(models: Any, rest: str, name: str) -> Found:
    try:
        smallest = next(iter(models.get_model_weights(rest))).meta.get("min_size", (64, 64))
    except (ValueError, StopIteration):
        near = [known for known in models.list_models() if rest in known][:5]
        raise UsageError(
            f"{name}: torchvision has no model {rest!r}" + (f"; {', '.join(near)}" if near else "")
        ) from None
    size = 224 if rest.startswith(("vit", "swin", "maxvit")) else 299 if rest == "inception_v3" else 64
    size = max(size, *smallest)
    builder = models.get_model_builder(rest)
    none = [name for name in ("weights", "weights_backbone") if name in inspect.signature(builder).parameters]
    make = functools.partial(builder, **dict.fromkeys(none))
    if builder.__module__.split(".")[2] in ("detection", "optical_flow", "video"):
        why = f"{name}: takes more than one picture; write its inputs and name them with --inputs"
        return Found(make, _unknown(why))
    return Found(make, drawn([f"2,3,{size},{size}"]))


def _of_timm(timm: Any, rest: str, name: str) -> Found:
    if not timm.is_model(rest):
        near = timm.list_models(f"*{rest}*")[:5]
        raise UsageError(f"{name}: timm has no model {rest!r}" + (f"; {', '.join(near)}" if near else ""))
    settings = timm.get_pretrained_cfg(rest)
    channels, height, width = settings.input_size
    if not settings.fixed_input_size:
        height = width = max(64, min(height, 96))
    return Found(lambda: timm.create_model(rest, pretrained=False), drawn([f"2,{channels},{height},{width}"]))


def _of_transformers(transformers: Any, rest: str, name: str) -> Found:
    if Path(rest).exists():
        config = transformers.AutoConfig.from_pretrained(rest, local_files_only=True)
    elif isinstance(owner := getattr(transformers, rest, None), type) and rest.endswith("Config"):
        config = owner()
    else:
        known = [one for one in dir(transformers) if one.endswith("Config")]
        near = difflib.get_close_matches(f"{rest.removesuffix('Model')}Config", known, 1, 0.8) or [
            "BertConfig"
        ]
        raise UsageError(f"{name}: is no configuration; write hf:{near[0]}, or a file: hf:path/config.json")
    try:
        _shrink(config)
        takes = transformers.AutoModel.from_config(config).main_input_name
    except Exception as error:
        raise UsageError(
            f"{name}: shrunk, it cannot be built: {brief(error)}; write a function that builds it, and name "
            "that"
        ) from None
    return Found(lambda: transformers.AutoModel.from_config(config), _inputs_for(config, takes, name))


def _shrink(config: Any) -> None:
    """Make a configuration small enough for tests, as far as its names are known."""
    for part in _parts(config):
        _shrink(part)
    if hasattr(config, "depths"):  # such as ConvNext, whose stages have widths and strides that go together
        if not hasattr(config, "window_size"):  # windows have to fit
            config.image_size = 64
        return
    for key, value in SMALL.items():
        if isinstance(getattr(config, key, None), int) and not _is_computed(config, key):
            setattr(config, key, value)
    if hasattr(config, "kv_lora_rank"):  # its heads share no keys
        config.num_key_value_heads = SMALL["num_attention_heads"]
    if hasattr(config, "conv_stride"):  # of what hears a wave; one is as wide as the next
        config.conv_dim = [SMALL["hidden_size"]] * len(config.conv_stride)
    if hasattr(config, "num_mel_bins") and hasattr(config, "max_source_positions"):
        config.max_source_positions = FRAMES // 2
    for key in _TOKENS:
        token = getattr(config, key, None)
        if isinstance(token, int) and token >= SMALL["vocab_size"]:
            setattr(config, key, 1)
    if isinstance(vars(config).get("layer_types"), list):  # some configurations compute it
        config.layer_types = config.layer_types[: SMALL["num_hidden_layers"]]
    for key in ("image_size", "patch_size"):
        if isinstance(getattr(config, key, None), int):
            setattr(config, key, {"image_size": 32, "patch_size": 8}[key])


def _parts(config: Any) -> list[Any]:
    """The configurations within one, such as those of a text and a picture."""
    parts = [getattr(config, key, None) for key in ("text_config", "vision_config", "audio_config")]
    return [part for part in parts if hasattr(part, "model_type")]


def _is_computed(config: Any, key: str) -> bool:
    """Whether a setting follows from others, and cannot be set."""
    found = getattr(type(config), key, None)
    return isinstance(found, property) and found.fset is None


def _inputs_for(config: Any, takes: str, name: str) -> Callable[[], Inputs]:
    """Inputs for a configuration whose model names what it takes."""
    if takes == "pixel_values" and isinstance(getattr(config, "image_size", None), int):
        channels, size = getattr(config, "num_channels", 3), config.image_size
        return drawn([f"pixel_values=2,{channels},{size},{size}"])
    if takes == "input_values" and hasattr(config, "conv_stride"):
        return drawn([f"input_values=2,{WAVE}"])
    if pair := _text_and_picture(config):
        return drawn(pair)
    decoded = f"decoder_input_ids=2,12:int64:2..{getattr(config, 'vocab_size', 99)}"
    if takes == "input_features" and getattr(config, "max_source_positions", 0) == FRAMES // 2:
        return drawn([f"input_features=2,{config.num_mel_bins},{FRAMES}", decoded, "use_cache=value:False"])
    if takes != "input_ids" or not isinstance(getattr(config, "vocab_size", None), int):
        return _unknown(
            f"{name}: what it takes is not known well enough; give its inputs, as in --input {takes}=SHAPE, "
            "or name a function that returns them with --inputs"
        )
    texts = [f"input_ids=2,16:int64:2..{config.vocab_size}", "attention_mask=ones:2,16:int64"]
    if getattr(config, "is_encoder_decoder", False):
        texts += [decoded]
    return drawn([*texts, "use_cache=value:False"] if hasattr(config, "use_cache") else texts)


def _text_and_picture(config: Any) -> list[str]:
    """Inputs for a model of two towers, one that reads and one that sees; none for any other."""
    text, vision = getattr(config, "text_config", None), getattr(config, "vision_config", None)
    size, words = getattr(vision, "image_size", None), getattr(text, "vocab_size", None)
    mixes = hasattr(config, "image_token_id") or hasattr(config, "image_token_index")  # pictures among words
    if mixes or text is None or not isinstance(size, int) or not isinstance(words, int):
        return []
    channels, length = getattr(vision, "num_channels", 3), min(16, text.max_position_embeddings)
    return [f"input_ids=2,{length}:int64:2..{words}", f"pixel_values=2,{channels},{size},{size}"]


_FINDERS: dict[str, tuple[str, Callable[[Any, str, str], Found]]] = {
    "hf": ("transformers", _of_transformers),
    "timm": ("timm", _of_timm),
    "torchvision": ("torchvision.models", _of_torchvision),
}
