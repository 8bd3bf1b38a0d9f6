"""Layers that ``torch.ao.quantization`` puts in place of others.

Eager quantization is a walk over the model that replaces layers by others of the same name. What one knows of
``nn.Linear`` does not hold for what stands there afterwards: its weight is no parameter, and its state has
other keys.
"""

import copy

import pytest
import torch
from torch import nn
from torch.ao import quantization


def test_a_copy_with_other_layers():
    """``torch.ao.quantization.quantize_dynamic`` returns a copy in which ``nn.Linear`` is replaced.

    ``nn.LSTM`` and ``nn.GRU`` are replaced by default too; convolutions and embeddings are not. The model
    itself stays as it is, unless ``inplace=True``.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2), nn.GRU(2, 2), nn.Embedding(3, 2), nn.Conv1d(1, 1, 1))

    copied = quantization.quantize_dynamic(net)

    kinds = [isinstance(layer, kind) for layer, kind in zip(copied, map(type, net), strict=True)]
    assert kinds == [False, False, False, True, True]
    assert [layer.__module__.startswith("torch.ao.nn.quantized.dynamic") for layer in copied[:3]] == [
        True
    ] * 3
    assert [type(layer) for layer in net[:2]] == [nn.Linear, nn.LSTM]
    assert quantization.quantize_dynamic(net, {nn.Linear}, inplace=True) is net
    assert [isinstance(layer, kind) for layer, kind in zip(net, (nn.Linear, nn.LSTM), strict=False)] == [
        False,
        True,
    ]


def test_it_has_no_parameters():
    """A quantized ``Linear`` has no parameters: ``weight`` is a method, and an optimizer finds nothing.

    Code that reads ``layer.weight.dtype`` or takes the first of ``parameters()`` fails for it.
    """
    layer = quantization.quantize_dynamic(nn.Sequential(nn.Linear(2, 3)))[0]

    assert list(layer.parameters()) == []
    assert callable(layer.weight)
    assert layer.weight().shape == (3, 2)
    assert layer.weight().dtype is torch.qint8


def test_weights_are_rounded():
    """``quantize_dynamic`` rounds the weights of ``nn.Linear`` to 8 bits with one scale, and keeps the bias.

    The scale follows the largest weight: here 127.5, so that it is 1.
    """
    net = nn.Sequential(nn.Linear(2, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[127.5, -3.25]]))
        net[0].bias.fill_(0.3)

    layer = quantization.quantize_dynamic(net)[0]

    assert layer.weight().int_repr().tolist() == [[127, -3]]
    assert layer.weight().q_scale() == pytest.approx(1.0)
    assert layer.bias().item() == pytest.approx(0.3)
    assert layer(torch.tensor([[0.0, 1.0]])).item() == pytest.approx(-2.7, abs=0.01)


def test_its_state_has_other_keys():
    """The state of a quantized ``Linear`` has ``_packed_params`` for ``weight``: neither loads into the
    other.

    Build the model, quantize it, and then load a quantized state.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    copied, again = (
        quantization.quantize_dynamic(net),
        quantization.quantize_dynamic(nn.Sequential(nn.Linear(2, 3))),
    )

    names = ["scale", "zero_point", "_packed_params.dtype", "_packed_params._packed_params"]
    assert list(copied.state_dict()) == [f"0.{name}" for name in names]
    with pytest.raises(KeyError, match=r"0\.scale"):
        copied.load_state_dict(net.state_dict())
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0.weight", "0.bias"'):
        net.load_state_dict(copied.state_dict())
    again.load_state_dict(copied.state_dict())
    assert torch.equal(again[0].weight().int_repr(), copied[0].weight().int_repr())


def test_hooks_stay_and_attributes_go():
    """``quantize_dynamic`` moves forward hooks of a layer to its replacement, but no other attributes."""
    net, calls = nn.Sequential(nn.Linear(2, 3), nn.LSTM(3, 1)), []
    for name, layer in net.named_children():
        layer.register_forward_pre_hook(lambda module, args, name=name: calls.append(f"pre {name}"))
        layer.register_forward_hook(lambda module, args, output, name=name: calls.append(f"post {name}"))
        layer.note = "mine"

    copied = quantization.quantize_dynamic(net)
    copied(torch.rand(4, 1, 2))

    assert calls == ["pre 0", "post 0", "pre 1", "post 1"]
    assert [hasattr(layer, "note") for layer in copied] == [False, False]


@pytest.mark.parametrize(
    ("others", "fused"),
    [
        ([nn.BatchNorm1d(1)], ["pre 0", "pre 0", "post 0", "post 1"]),
        ([nn.BatchNorm1d(1), nn.ReLU()], ["pre 0", "pre 0", "post 0", "pre 2", "post 2"]),
        ([nn.ReLU()], ["pre 0", "post 0", "pre 1", "post 1"]),
    ],
    ids=["norm", "norm and activation", "activation"],
)
def test_fusing_doubles_pre_hooks(others, fused):
    """After ``fuse_modules`` of a convolution and a norm, the convolution's forward pre-hooks run twice.

    That is in each call, and not where it is fused with an activation alone. Pre-hooks of the norm are lost;
    its forward hooks run behind those of the convolution unless an activation follows. Register hooks after
    fusing. See :func:`torch.ao.quantization.fuse_modules`.
    """
    net, calls = nn.Sequential(nn.Conv1d(1, 1, 1), *copy.deepcopy(others)).eval(), []
    names = [name for name, _ in net.named_children()]
    for name, layer in net.named_children():
        layer.register_forward_pre_hook(lambda module, args, name=name: calls.append(f"pre {name}"))
        layer.register_forward_hook(lambda module, args, output, name=name: calls.append(f"post {name}"))

    quantization.fuse_modules(net, names)(torch.rand(1, 1, 4))

    assert calls == fused
    calls.clear()
    net(torch.rand(1, 1, 4))
    assert calls == [f"{when} {name}" for name in names for when in ("pre", "post")]


def test_the_root_is_not_replaced():
    """``quantize_dynamic(nn.Linear(2, 3))`` replaces nothing: only submodules, and only of that very class.

    Put a single layer into an ``nn.Sequential``. A subclass of ``nn.Linear`` stays what it is.
    """

    class Mine(nn.Linear):
        pass

    assert type(quantization.quantize_dynamic(nn.Linear(2, 3))) is nn.Linear
    assert type(quantization.quantize_dynamic(nn.Sequential(Mine(2, 3)))[0]) is Mine
    assert (
        type(quantization.quantize_dynamic(nn.Sequential(nn.Sequential(nn.Linear(2, 3))))[0][0])
        is not nn.Linear
    )


def test_attention_is_left_alone():
    """``quantize_dynamic`` replaces no part of ``nn.MultiheadAttention``, not even its ``out_proj``.

    That is of a subclass of ``nn.Linear`` made for this purpose. The ``Linear`` layers of a
    ``TransformerEncoderLayer`` are replaced.
    """
    layer = quantization.quantize_dynamic(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True))

    kinds = [type(part) for part in nn.MultiheadAttention(4, 2).modules()]
    assert [type(part) for part in layer.self_attn.modules()] == kinds
    assert layer.self_attn.in_proj_weight.dtype is torch.float32
    assert [isinstance(part, nn.Linear) for part in (layer.linear1, layer.linear2)] == [False, False]


def test_a_cast_does_not_reach_it():
    """``double()`` of a model does not cast a quantized ``Linear``: it raises ``RuntimeError`` for
    float64.
    """
    net = quantization.quantize_dynamic(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3)))

    net.double()

    assert net[1].weight.dtype is torch.float64
    assert net[0](torch.rand(1, 2)).dtype is torch.float32
    with pytest.raises(RuntimeError, match="expected scalar type Float but found Double"):
        net(torch.rand(1, 2).double())


def test_a_second_name_stays_float():
    """``quantize_dynamic`` replaces a ``Linear`` that has two names in a model under the first name only.

    The second name keeps the float layer: nothing is shared between the two any more.
    """
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)

    copied = quantization.quantize_dynamic(net)

    assert [isinstance(part, nn.Linear) for part in copied] == [False, True]
    assert net[0] is net[1]


def test_prepare_adds_an_observer():
    """``torch.ao.quantization.prepare`` adds a child ``activation_post_process`` to a layer with a
    ``qconfig``.

    It sees the layer's outputs through a forward hook. A layer whose ``qconfig`` is ``None`` gets none; the
    ``qconfig`` of a model holds for all layers in it that have no other.
    """
    net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 1))).eval()
    net[0].weight.data = torch.tensor([[1.0, -2.0]])
    net.qconfig, net[1].qconfig = quantization.default_qconfig, None

    ready = quantization.prepare(net)
    ready(torch.tensor([[1.0, 3.0], [4.0, 0.5]]))

    names = [[name for name, _ in layer.named_children()] for layer in (ready[0], ready[1], ready[2][0])]
    assert names == [["activation_post_process"], [], ["activation_post_process"]]
    observer = ready[0].activation_post_process
    assert (observer.min_val.item(), observer.max_val.item()) == (-5.0, 3.0)
    assert "0.activation_post_process.min_val" in ready.state_dict()
    assert list(net[0].children()) == []


def test_convert_replaces_what_was_prepared():
    """``torch.ao.quantization.convert`` replaces each prepared layer and its observer by a quantized layer.

    Between ``QuantStub`` and ``DeQuantStub`` tensors are quantized: without them the layer raises
    ``NotImplementedError``.
    """
    net = nn.Sequential(
        quantization.QuantStub(),
        nn.Linear(2, 3),
        nn.Sequential(nn.Linear(3, 2)),
        nn.Linear(2, 1),
        quantization.DeQuantStub(),
        nn.Linear(1, 1),
    ).eval()
    net.qconfig, net[5].qconfig = quantization.default_qconfig, None
    ready = quantization.prepare(net)
    ready(torch.rand(8, 2))

    done = quantization.convert(ready)

    kinds = [type(layer).__name__ for layer in done]
    assert kinds == ["Quantize", "Linear", "Sequential", "Linear", "DeQuantize", "Linear"]
    layers = [done[1], done[2][0], done[3], done[5]]
    assert [isinstance(layer, nn.Linear) for layer in layers] == [False, False, False, True]
    assert [name for name, _ in done.named_parameters()] == ["5.weight", "5.bias"]
    assert done(torch.rand(8, 2)).dtype is torch.float32
    with pytest.raises(NotImplementedError, match=r"Could not run 'quantized::linear'"):
        done[1](torch.rand(8, 2))


def test_layers_are_trained_rounded():
    """``torch.ao.quantization.prepare_qat`` replaces ``Linear`` by a subclass of it, with the same
    parameters.

    The subclass computes with rounded weights and trains the exact ones. In evaluation mode ``prepare_qat``
    raises ``AssertionError``.
    """
    net = nn.Sequential(nn.Linear(2, 1))
    net.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)

    ready = quantization.prepare_qat(net, inplace=True)

    assert isinstance(ready[0], nn.Linear)
    assert type(ready[0]) is not nn.Linear
    assert [id(p) for p in ready.parameters()] == [id(p) for p in optimizer.param_groups[0]["params"]]
    ready(torch.ones(1, 2)).backward()
    assert ready[0].weight.grad.shape == (1, 2)
    with pytest.raises(AssertionError, match="prepare_qat only works on models in training mode"):
        quantization.prepare_qat(net.eval())


@pytest.mark.since("2.8")
def test_it_is_deprecated():
    """``torch.ao.quantization.quantize_dynamic``, ``prepare`` and ``convert`` warn that they are deprecated.

    The successor is a package of its own, torchao, of which :meth:`~torch.nn.Module` knows nothing.
    """
    net = nn.Sequential(nn.Linear(2, 3)).eval()
    net.qconfig = quantization.default_qconfig

    for call in (quantization.quantize_dynamic, quantization.prepare, quantization.convert):
        with pytest.warns(DeprecationWarning, match=r"torch.ao.quantization is deprecated"):
            call(net)
