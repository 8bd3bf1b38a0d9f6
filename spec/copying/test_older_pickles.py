"""Pickles of an older torch.

``__setstate__`` takes the attributes from a pickle and adds those that modules did not have when it was
written.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn

HOOKS = [
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
    "_backward_pre_hooks",
]


def restored(net, without=()):
    """A module of the class of ``net`` made by ``__setstate__`` from its attributes, some left out."""
    new = type(net).__new__(type(net))
    new.__setstate__({name: value for name, value in vars(net).items() if name not in without})
    return new


@pytest.mark.parametrize("name", HOOKS)
def test_missing_dictionaries_of_hooks_are_added(name):
    """``Module.__setstate__`` adds an empty dict for each kind of hooks that an older pickle lacks.

    That is how a model saved as a whole by an older torch can be called: a call looks into each of them.
    """
    new, oldest = restored(nn.Linear(2, 3), [name]), restored(nn.Linear(2, 3), HOOKS)

    assert type(vars(new)[name]) is OrderedDict
    assert len(vars(new)[name]) == 0
    assert [other for other in HOOKS if vars(oldest)[other] is vars(oldest)[name]] == [name]
    assert new(torch.rand(4, 2)).shape == (4, 3)


@pytest.mark.since("2.1")
def test_missing_always_called_hooks_are_added():
    """``Module.__setstate__`` adds an empty ``_forward_hooks_always_called`` to an older pickle
    (:pull:`104278`).
    """
    new = restored(nn.Linear(2, 3), ["_forward_hooks_always_called"])

    assert type(new._forward_hooks_always_called) is OrderedDict
    assert len(new._forward_hooks_always_called) == 0


@pytest.mark.question("Q81")
def test_the_missing_set_of_buffers_is_added():
    """``Module.__setstate__`` makes all buffers persistent if a pickle lacks ``_non_persistent_buffers_set``.

    It adds the set, empty. A class whose ``__setstate__`` does not do so fails at ``state_dict()`` with an
    ``AttributeError``.
    """
    new = restored(nn.BatchNorm1d(3), ["_non_persistent_buffers_set"])

    assert vars(new)["_non_persistent_buffers_set"] == set()
    assert list(new.state_dict())[2:] == ["running_mean", "running_var", "num_batches_tracked"]


@pytest.mark.question("Q81")
def test_a_bypassed_setstate_adds_nothing():
    """A ``__setstate__`` that does not call ``Module.__setstate__`` adds no missing attributes to older
    pickles.

    That is when an older model loads and then complains of ``_non_persistent_buffers_set``. Call
    ``super().__setstate__(state)``.
    """

    class Bypassing(nn.BatchNorm1d):
        def __setstate__(self, state):
            self.__dict__.update(state)

    class Calling(nn.BatchNorm1d):
        def __setstate__(self, state):
            super().__setstate__(state)

    new = restored(Bypassing(3), ["_non_persistent_buffers_set"])

    with pytest.raises(
        AttributeError, match=r"^'Bypassing' object has no attribute '_non_persistent_buffers_set'$"
    ):
        new.state_dict()

    assert len(restored(Calling(3), ["_non_persistent_buffers_set"]).state_dict()) == 5


def test_the_missing_kind_of_hook_is_added():
    """``Module.__setstate__`` sets ``_is_full_backward_hook`` to ``None`` if an older pickle lacks it."""
    new = restored(nn.Linear(2, 3), ["_is_full_backward_hook"])

    assert vars(new)["_is_full_backward_hook"] is None
    assert new(torch.rand(4, 2)).shape == (4, 3)


@pytest.mark.parametrize("name", [*HOOKS, "_non_persistent_buffers_set", "_is_full_backward_hook"])
def test_what_a_pickle_has_is_kept(name):
    """``Module.__setstate__`` keeps the hook dicts and other attributes that a pickle has, as they are."""
    net = nn.Linear(2, 3)
    vars(net)[name] = kept = OrderedDict(there=True)

    assert vars(restored(net))[name] is kept


@pytest.mark.since("2.1")
def test_always_called_hooks_are_kept():
    """``Module.__setstate__`` keeps the ``_forward_hooks_always_called`` that a pickle has."""
    net = nn.Linear(2, 3)
    kept = net._forward_hooks_always_called
    kept["there"] = True
    new = restored(net)

    assert vars(new)["_forward_hooks_always_called"] is kept
    assert kept == {"there": True}


@pytest.mark.parametrize(
    "name", ["training", "_parameters", "_buffers", "_modules", "_forward_hooks", "_backward_hooks"]
)
def test_the_oldest_attributes_are_not_added(name):
    """``Module.__setstate__`` does not add missing ``_parameters``, ``_buffers``, ``_modules`` or
    ``training``.

    Every torch has saved them. A pickle without one of them gives a module without it.
    """
    assert name not in vars(restored(nn.Linear(2, 3), [name]))


def test_attributes_of_the_module_stay():
    """``Module.__setstate__(state)`` sets the attributes in ``state`` and keeps the module's others."""
    net = nn.Linear(2, 3)
    net.width, net.depth = 2, 3
    before = dict(vars(net))
    net.__setstate__({"width": 5})

    assert [net.width, net.depth, net.in_features] == [5, 3, 2]
    assert [name for name, value in before.items() if vars(net)[name] is not value] == ["width"]


def test_an_older_convolution():
    """Unpickling an older ``nn.Conv2d`` without ``padding_mode`` sets it to ``"zeros"``; otherwise it is
    kept.
    """
    net = nn.Conv2d(2, 3, 5, padding=1, padding_mode="reflect")

    assert restored(net, ["padding_mode"]).padding_mode == "zeros"
    assert restored(net).padding_mode == "reflect"


@pytest.mark.parametrize("layer", [nn.Softmax, nn.Softmin, nn.LogSoftmax])
def test_an_older_softmax(layer):
    """Unpickling an older ``nn.Softmax`` without ``dim`` sets it to ``None``; otherwise it is kept.

    So do ``nn.Softmin`` and ``nn.LogSoftmax``.
    """
    assert restored(layer(1), ["dim"]).dim is None
    assert restored(layer(1)).dim == 1


@pytest.mark.parametrize(
    ("layer", "name", "value"),
    [
        (nn.MultiheadAttention(4, 2, kdim=3), "_qkv_same_embed_dim", True),
        (nn.TransformerEncoderLayer(4, 2, 8, activation="gelu"), "activation", nn.functional.relu),
        (nn.TransformerDecoderLayer(4, 2, 8, activation="gelu"), "activation", nn.functional.relu),
        (nn.LSTM(2, 3, proj_size=1), "proj_size", 0),
        (nn.AvgPool3d(2, padding=1), "padding", 0),
        (nn.AvgPool3d(2, ceil_mode=True), "ceil_mode", False),
        (nn.AvgPool3d(2, count_include_pad=False), "count_include_pad", True),
    ],
    ids=["attention", "encoder", "decoder", "lstm", "padding", "ceil_mode", "count_include_pad"],
)
def test_what_older_layers_lack_is_filled_in(layer, name, value):
    """``MultiheadAttention``, ``LSTM``, ``AvgPool3d`` and transformer layers fill in what an older pickle
    lacks.

    They set what was meant before the attribute existed, in ``__setstate__``. Most layers fill in nothing.
    """
    assert getattr(restored(layer, [name]), name) is value
    assert getattr(restored(layer), name) is getattr(layer, name) is not value


@pytest.mark.parametrize(
    ("layer", "name", "inputs"),
    [
        (nn.GELU(), "approximate", [torch.rand(2)]),
        (nn.SiLU(), "inplace", [torch.rand(2)]),
        (nn.MultiheadAttention(4, 2), "batch_first", [torch.rand(3, 2, 4)] * 3),
        (nn.TransformerEncoderLayer(4, 2, 8), "norm_first", [torch.rand(3, 2, 4)]),
        (nn.CrossEntropyLoss(), "label_smoothing", [torch.rand(2, 3), torch.tensor([0, 2])]),
        (nn.KLDivLoss(), "log_target", [torch.rand(2, 3), torch.rand(2, 3)]),
        (nn.SmoothL1Loss(), "beta", [torch.rand(2), torch.rand(2)]),
        (nn.EmbeddingBag(3, 2), "padding_idx", [torch.tensor([[0, 2]])]),
        (nn.AvgPool2d(2), "divisor_override", [torch.rand(1, 4, 4)]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_other_layers_lack_fails_at_the_call(layer, name, inputs):
    """Calling ``GELU``, ``AvgPool2d`` and others raises ``AttributeError`` if their older pickle lacks an
    attribute.

    The model loads without a word and fails when it is called. Set the attribute by hand, or save state dicts
    instead of modules: they hold none of it (:issue:`81306`).
    """
    assert isinstance(layer(*inputs), torch.Tensor | tuple)
    new = restored(layer, [name])

    with pytest.raises(AttributeError, match=f"'{type(layer).__name__}' object has no attribute '{name}'"):
        new(*inputs)
    setattr(new, name, getattr(layer, name))
    assert isinstance(new(*inputs), torch.Tensor | tuple)


@pytest.mark.since("2.1")
def test_an_older_upsample():
    """Unpickling an older ``nn.Upsample`` without ``recompute_scale_factor`` sets it to ``True``."""
    layer, x = nn.Upsample(scale_factor=2), torch.rand(1, 2, 3)
    new = restored(layer, ["recompute_scale_factor"])

    assert new.recompute_scale_factor is True
    assert torch.equal(new(x), layer(x))
    assert restored(layer).recompute_scale_factor is None


@pytest.mark.before("2.1")
def test_an_older_upsample_could_not_be_called():
    """Calling an ``nn.Upsample`` of an older pickle without ``recompute_scale_factor`` raises
    ``AttributeError``.
    """
    new = restored(nn.Upsample(scale_factor=2), ["recompute_scale_factor"])

    with pytest.raises(AttributeError, match="'Upsample' object has no attribute 'recompute_scale_factor'"):
        new(torch.rand(1, 2, 3))


@pytest.mark.since("2.1")
def test_an_older_transformer_encoder():
    """A ``TransformerEncoder`` of an older pickle, without ``enable_nested_tensor``, makes no nested tensors.

    It can be called, but does not skip padding. Make a new one, and load the state dict into it.
    """
    layer, nested = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), []
    encoder = nn.TransformerEncoder(layer, 1).eval()
    new = restored(encoder, ["enable_nested_tensor", "use_nested_tensor", "mask_check"])
    new.layers[0].register_forward_pre_hook(lambda layer, args: nested.append(args[0].is_nested))
    x, padding = torch.rand(2, 3, 4), torch.tensor([[False, False, False], [False, False, True]])

    with torch.no_grad():
        outputs = [model(x, src_key_padding_mask=padding) for model in (new, encoder)]

    assert nested == [False, True]
    assert torch.allclose(outputs[0][~padding], outputs[1][~padding], atol=1e-6)


@pytest.mark.before("2.1")
def test_an_older_transformer_encoder_could_not_be_called():
    """Calling a ``TransformerEncoder`` of an older pickle without ``enable_nested_tensor`` raises
    ``AttributeError``.
    """
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 1).eval()
    new = restored(encoder, ["enable_nested_tensor", "mask_check"])

    with pytest.raises(AttributeError, match="no attribute 'enable_nested_tensor'"), torch.no_grad():
        new(torch.rand(2, 3, 4), src_key_padding_mask=torch.tensor([[False] * 3, [False, False, True]]))
