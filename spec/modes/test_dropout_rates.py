"""Changing a dropout rate later: during training, for a schedule, or in a pretrained model.

The rate is a plain number on a layer. It is read at each call, so that a new value counts from then on; but
not every layer keeps it under the same name, and some keep several.
"""

import copy
import pickle

import pytest
import torch
from torch import nn

DROPOUTS = [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d]


@pytest.mark.parametrize("kind", DROPOUTS)
def test_a_new_p_counts_from_the_next_call(kind):
    """A new value of ``p`` of ``nn.Dropout``, ``Dropout1d``, ``2d`` or ``3d`` counts from the next call on.

    For all of a network, loop over :meth:`~torch.nn.Module.modules`. A number is no state: neither
    ``state_dict()`` nor an optimizer knows it.
    """
    layer, x = kind(p=0.0), torch.rand(3, 4, 5) + 1.0

    assert torch.equal(layer(x), x)
    layer.p = 1.0
    assert torch.equal(layer(x), torch.zeros(3, 4, 5))
    layer.p = 0.5
    out = layer(x)
    assert out.count_nonzero().item() > 0
    assert torch.equal(out, (out > 0) * 2 * x)
    assert layer.state_dict() == {}


@pytest.mark.parametrize("kind", [*DROPOUTS, nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_a_wrong_p_is_noticed_at_the_call(kind):
    """A ``p`` outside [0, 1] set on ``nn.Dropout`` and others raises ``ValueError`` at the next call only.

    The constructor checks its argument, an assignment does not. The call raises in eval mode as well.
    """
    layer = kind(p=0.5)

    for layer.p, mode in ((2.0, True), (2.0, False), (-0.5, True), (-0.5, False)):
        with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1"):
            layer.train(mode)(torch.rand(3, 4, 5))


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_recurrent_layer_reads_its_rate_at_each_call(kind):
    """A new value of ``dropout`` of ``nn.RNN``, ``GRU`` or ``LSTM`` counts from the next call on.

    It is a number of the layer itself: a loop that looks for ``nn.Dropout`` misses it. The warning of a
    ``dropout`` without a second layer comes from the constructor alone.
    """
    net, x = kind(2, 3, num_layers=2), torch.rand(5, 1, 2)
    assert [type(module) for module in net.modules()] == [kind]
    assert not torch.equal(net(x)[0], net(-x)[0])

    net.dropout = 1.0
    assert torch.equal(net(x)[0], net(-x)[0])
    assert not torch.equal(net.eval()(x)[0], net(-x)[0])


def test_an_attention_reads_its_rate_at_each_call():
    """A new value of ``dropout`` of ``nn.MultiheadAttention`` counts from the next call on.

    It is a number of the layer itself, as that of ``nn.LSTM`` is.
    """
    net, x = nn.MultiheadAttention(4, 2), torch.rand(3, 1, 4)
    assert [module for module in net.modules() if isinstance(module, nn.Dropout)] == []
    output, _ = net(x, x, x)
    assert output.abs().sum() > 0

    net.dropout = 1.0
    assert torch.equal(net(x, x, x)[0], torch.zeros(3, 1, 4))
    assert torch.equal(net(x, x, x, need_weights=False)[0], torch.zeros(3, 1, 4))


@pytest.mark.parametrize(
    ("kind", "attentions", "count"),
    [
        (nn.TransformerEncoderLayer, ["self_attn"], 3),
        (nn.TransformerDecoderLayer, ["self_attn", "multihead_attn"], 4),
    ],
)
def test_a_transformer_layer_has_its_rate_in_several_places(kind, attentions, count):
    """Setting ``p`` of all ``nn.Dropout`` in ``TransformerEncoderLayer`` leaves ``dropout`` of its attention.

    The same holds of ``TransformerDecoderLayer``. Set both, the former on ``nn.Dropout`` and the latter on
    ``nn.MultiheadAttention``.
    """
    layer = kind(4, 2, 8, dropout=0.25)
    dropouts = [module for module in layer.modules() if isinstance(module, nn.Dropout)]
    assert [module.p for module in dropouts] == [0.25] * count

    for module in dropouts:
        module.p = 0.0
    assert [layer.get_submodule(name).dropout for name in attentions] == [0.25] * len(attentions)
    x = torch.rand(3, 1, 4)
    given = (x,) if kind is nn.TransformerEncoderLayer else (x, x)
    assert not torch.equal(layer(*given), layer(*given))

    for name in attentions:
        layer.get_submodule(name).dropout = 0.0
    assert torch.equal(layer(*given), layer(*given))


def test_the_rate_is_not_loaded():
    """``load_state_dict`` leaves ``p`` of ``nn.Dropout`` as it is; ``deepcopy`` and pickle take it along.

    A schedule that goes on after a restart has to set it again.
    """
    net, other = nn.Sequential(nn.Dropout(0.25)), nn.Sequential(nn.Dropout(0.5))

    other.load_state_dict(net.state_dict())

    assert other[0].p == 0.5
    assert copy.deepcopy(net)[0].p == 0.25
    assert pickle.loads(pickle.dumps(net))[0].p == 0.25


def test_an_identity_takes_dropout_out():
    """Replacing ``nn.Dropout`` by :class:`nn.Identity() <torch.nn.Identity>` keeps the keys of the
    ``state_dict()``.

    It has no parameters, so that the state dict still fits. Deleting the dropout from a ``Sequential`` would
    rename those that follow.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(), nn.Linear(3, 1))
    names, x = list(net.state_dict()), torch.rand(4, 2)
    net[1] = nn.Identity()

    assert list(net.state_dict()) == names
    assert torch.equal(net(x), net[2](net[0](x)))


def test_dropout_alone_can_be_in_training_mode():
    """After ``net.eval()``, ``train()`` of its ``Dropout`` layers alone makes outputs random, and no more.

    For uncertainty by many passes, also called Monte Carlo dropout: a ``BatchNorm`` stays in eval mode and
    keeps its running statistics. Leaving ``eval()`` out would change those too.
    """
    net = nn.Sequential(nn.BatchNorm1d(64), nn.Dropout(0.5)).eval()
    x, before = torch.rand(8, 64), [buffer.tolist() for buffer in net.buffers()]
    assert torch.equal(net(x), net(x))

    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.train()

    assert not torch.equal(net(x), net(x))
    assert [buffer.tolist() for buffer in net.buffers()] == before
    assert [net.training, net[0].training, net[1].training] == [False, False, True]
