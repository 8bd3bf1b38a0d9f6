"""What recurrent layers compute: gates, states, directions, layers on layers, and dropout between them.

The names and shapes of their parameters are in *recurrent*.
"""

import pytest
import torch
from torch import nn


def test_the_gates_of_an_lstm():
    """The rows of each weight and bias of ``nn.LSTM`` lie in the order input, forget, cell and output gate.

    To start with a forget gate that is open, fill the second quarter of one bias. Weights from libraries with
    another order have to be sorted.
    """
    lstm, x = nn.LSTM(5, 3, num_layers=2), torch.rand(1, 2, 5)
    h, c = torch.rand(2, 2, 3), torch.rand(2, 2, 3)
    output, (hidden, cell) = lstm(x, (h, c))

    for n, (weight_ih, weight_hh, bias_ih, bias_hh) in enumerate(lstm.all_weights):
        from_input = (x @ weight_ih.T + bias_ih).chunk(4, dim=-1)
        from_state = (h[n] @ weight_hh.T + bias_hh).chunk(4, dim=-1)
        i, f, g, o = (a + b for a, b in zip(from_input, from_state, strict=True))
        assert torch.allclose(cell[n], f.sigmoid() * c[n] + i.sigmoid() * g.tanh(), atol=1e-6)
        x = o.sigmoid() * cell[n].tanh()
        assert torch.allclose(hidden[n], x, atol=1e-6)
    assert torch.allclose(output, x, atol=1e-6)


def test_the_gates_of_a_gru():
    """The rows of each weight and bias of ``nn.GRU`` lie in the order reset gate, update gate and new
    value.

    The reset gate multiplies what comes from the state with its bias, so the two biases cannot be merged.
    """
    gru, x, h = nn.GRU(5, 3, num_layers=2), torch.rand(1, 2, 5), torch.rand(2, 2, 3)
    output, hidden = gru(x, h)

    for i, (weight_ih, weight_hh, bias_ih, bias_hh) in enumerate(gru.all_weights):
        reset, update, new = (x @ weight_ih.T + bias_ih).chunk(3, dim=-1)
        reset_h, update_h, new_h = (h[i] @ weight_hh.T + bias_hh).chunk(3, dim=-1)
        r, z = (reset + reset_h).sigmoid(), (update + update_h).sigmoid()
        x = (1 - z) * (new + r * new_h).tanh() + z * h[i]
        assert torch.allclose(x, hidden[i], atol=1e-6)
    assert torch.allclose(x, output, atol=1e-6)


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_two_layers_are_one_after_the_other(make):
    """``nn.RNN``, ``LSTM`` and ``GRU`` with ``num_layers=2`` compute what two single layers do one after the
    other.

    Each layer has its own state, and starts a step with its own state of the step before.
    """
    both, first, second = make(5, 3, num_layers=2), make(5, 3), make(3, 3)
    for name, value in both.named_parameters():
        layer = first if name.endswith("_l0") else second
        getattr(layer, name[:-1] + "0").data = value.data
    x, starts = torch.rand(4, 2, 5), [torch.rand(2, 2, 3), torch.rand(2, 2, 3)]

    def given(*layers):
        h, c = [start[list(layers)] for start in starts]
        return (h, c) if make is nn.LSTM else h

    output, state = both(x, given(0, 1))
    middle, lower = first(x, given(0))
    result, upper = second(middle, given(1))

    assert torch.allclose(output, result, atol=1e-6)
    ends = zip(state, lower, upper, strict=True) if make is nn.LSTM else [(state, lower, upper)]
    for end, *ours in ends:
        assert torch.allclose(end, torch.cat(ours), atol=1e-6)


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_the_second_direction_goes_back(make):
    """In a bidirectional ``RNN``, ``LSTM`` or ``GRU`` direction 0 goes forward and direction 1 back, also in
    ``h_n``.

    ``output.view(seq, batch, 2, hidden)`` splits them. ``output[-1]`` has the way back after one step:
    take its end from ``output[0]`` or from ``h_n[1]``.
    """
    both, forward, back = make(5, 3, bidirectional=True), make(5, 3), make(5, 3)
    for name, value in both.named_parameters():
        layer = back if name.endswith("_reverse") else forward
        getattr(layer, name.replace("_reverse", "")).data = value.data
    x = torch.rand(4, 2, 5)

    output, state = both(x)
    hidden = state[0] if make is nn.LSTM else state
    there, again = output.view(4, 2, 2, 3).unbind(2)

    assert torch.allclose(there, forward(x)[0], atol=1e-6)
    assert torch.allclose(again, back(x.flip(0))[0].flip(0), atol=1e-6)
    assert torch.allclose(again[-1], back(x[-1:])[0][0], atol=1e-6)
    assert torch.equal(hidden[0], there[-1])
    assert torch.equal(hidden[1], again[0])
    if make is nn.LSTM:
        cells = torch.cat([forward(x)[1][1], back(x.flip(0))[1][1]])
        assert torch.allclose(state[1], cells, atol=1e-6)


def test_the_reverse_parameters_of_an_lstm():
    """``LSTM(bidirectional=True)`` has each parameter a second time for the way back, named ``..._reverse``.

    The second layer takes both outputs: ``2 * proj_size`` columns with a projection.
    """
    layer = nn.LSTM(5, 4, 2, bidirectional=True, proj_size=2)
    parameters = dict(layer.named_parameters())
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]

    assert list(parameters) == [
        f"{name}_l{k}{end}" for k in range(2) for end in ("", "_reverse") for name in names
    ]
    assert [parameters[f"{name}_l1_reverse"].shape for name in names] == [
        (16, 4),
        (16, 2),
        (16,),
        (16,),
        (2, 4),
    ]
    assert [parameters[f"{name}_l1"].shape for name in names] == [(16, 4), (16, 2), (16,), (16,), (2, 4)]
    assert [parameters[f"{name}_l0_reverse"].shape for name in names] == [
        (16, 5),
        (16, 2),
        (16,),
        (16,),
        (2, 4),
    ]


@pytest.mark.parametrize("shape", [(2,), ()], ids=["batch", "one sequence"])
@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_a_recurrent_layer_starts_with_zeros(make, shape):
    """``nn.RNN``, ``LSTM`` and ``GRU`` called without a state start with zeros, at each call anew.

    To go on where the last call ended, pass the state that it returned.
    """
    layer, x = make(5, 3, num_layers=2), torch.rand(4, *shape, 5)
    zeros, ones = torch.zeros(2, *shape, 3), torch.ones(2, *shape, 3)
    given, other = ((zeros, zeros), (ones, ones)) if make is nn.LSTM else (zeros, ones)

    first, state = layer(x[:2])
    rest, _ = layer(x[2:], state)

    assert torch.equal(layer(x)[0], layer(x, given)[0])
    assert not torch.allclose(layer(x)[0], layer(x, other)[0], atol=1e-4)
    assert torch.allclose(torch.cat([first, rest]), layer(x)[0], atol=1e-6)


def test_the_state_is_one_of_each_sequence():
    """``h_0`` and ``c_0`` of ``nn.LSTM`` have one state per layer, direction and sequence, whatever its
    length.
    """
    layer = nn.LSTM(5, 4, num_layers=2, bidirectional=True, proj_size=2)
    h, c = torch.rand(4, 3, 2), torch.rand(4, 3, 4)

    for length in (1, 7):
        _, (hidden, cell) = layer(torch.rand(length, 3, 5), (h, c))
        assert [hidden.shape, cell.shape] == [h.shape, c.shape]
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size \(4, 3, 2\), got \[4, 7, 2\]"):
        layer(torch.rand(7, 3, 5), (torch.rand(4, 7, 2), torch.rand(4, 7, 4)))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[1\] size \(4, 3, 4\), got \[4, 7, 4\]"):
        layer(torch.rand(7, 3, 5), (h, torch.rand(4, 7, 4)))


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_states_go_by_layer_then_direction(make):
    """``h_n`` of a bidirectional ``RNN``, ``LSTM`` or ``GRU`` splits by ``view(layers, 2, batch, size)``.

    First the layers, then the directions within each. The last layer's state is the end of its output for the
    way there, and the beginning for the way back (:pull:`182603`). See :class:`torch.nn.GRU`.
    """
    layer = make(5, 4, num_layers=3, bidirectional=True)
    output, state = layer(torch.rand(7, 2, 5))
    hidden = state[0] if make is nn.LSTM else state
    split = hidden.view(3, 2, 2, 4)

    torch.testing.assert_close(split[-1, 0], output[-1, :, :4])
    torch.testing.assert_close(split[-1, 1], output[0, :, 4:])
    assert not torch.allclose(hidden.view(2, 3, 2, 4)[1, -2], output[0, :, 4:])


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_batch_first_of_one_sequence(make):
    """``nn.RNN``, ``LSTM`` and ``GRU`` compute the same with and without ``batch_first`` for an unbatched
    sequence.

    A state that is given for it has no batch dimension either: it is ``(layers * directions, hidden_size)``.
    """
    options = {"num_layers": 2, "bidirectional": True}
    layer, other = make(5, 3, **options), make(5, 3, batch_first=True, **options)
    other.load_state_dict(layer.state_dict())
    x, h, c = torch.rand(4, 5), torch.rand(4, 3), torch.rand(4, 3)

    for state in (None, (h, c) if make is nn.LSTM else h):
        (output, hidden), (same, same_hidden) = layer(x, state), other(x, state)
        assert output.shape == (4, 6)
        assert torch.equal(output, same)
        if make is nn.LSTM:
            hidden, same_hidden = torch.stack(hidden), torch.stack(same_hidden)
        assert hidden.shape == ((2, 4, 3) if make is nn.LSTM else (4, 3))
        assert torch.equal(hidden, same_hidden)


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_dropout_of_a_recurrent_layer_is_no_module(make):
    """``nn.RNN``, ``LSTM`` and ``GRU`` with ``dropout`` have no ``nn.Dropout`` inside: their own mode counts.

    Code that switches all ``nn.Dropout`` of a model to training, to sample predictions, misses them; and what
    replaces their ``p`` as well. Set ``layer.dropout``.
    """
    layer, x = make(5, 3, num_layers=2, dropout=0.5), torch.rand(4, 2, 5)

    assert list(layer.modules()) == [layer]
    assert not torch.allclose(layer(x)[0], layer(x)[0])
    with torch.no_grad():
        assert not torch.allclose(layer(x)[0], layer(x)[0])

    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])

    layer.train().dropout = 0.0
    assert torch.equal(layer(x)[0], layer(x)[0])


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_what_is_kept_between_layers_is_scaled(make):
    """``dropout`` between the layers of ``RNN``, ``LSTM`` and ``GRU`` divides what it keeps by
    ``1 - dropout``.

    In evaluation it neither drops nor scales.
    """
    both, second = make(5, 1, num_layers=2, dropout=0.75), make(1, 1)
    for name in ("weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l"):
        getattr(second, name + "0").data = getattr(both, name + "1").data
    x = torch.rand(5).expand(1, 200, 5)
    first = both(x)[1]
    first = (first[0] if make is nn.LSTM else first)[0, 0].item()

    dropped, kept, plain = second(torch.tensor([[[0.0], [4 * first], [first]]]))[0].flatten()
    result = both(x)[0].flatten()

    is_dropped, is_kept = torch.isclose(result, dropped, atol=1e-6), torch.isclose(result, kept, atol=1e-6)
    assert (is_dropped | is_kept).all()
    assert is_dropped.sum() > is_kept.sum() > 0
    assert torch.allclose(both.eval()(x)[0].flatten(), plain, atol=1e-6)


@pytest.mark.parametrize(("mode", "layer"), [("RNN_TANH", nn.RNN), ("LSTM", nn.LSTM), ("GRU", nn.GRU)])
def test_the_base_of_recurrent_layers_has_no_forward(mode, layer):
    """``nn.RNNBase`` raises ``NotImplementedError`` when called: only ``RNN``, ``LSTM`` and ``GRU`` have a
    ``forward``.
    """
    base, other = nn.RNNBase(mode, 5, 3), layer(5, 3)

    assert {name: p.shape for name, p in base.named_parameters()} == {
        name: p.shape for name, p in other.named_parameters()
    }
    assert other(torch.rand(4, 2, 5))[0].shape == (4, 2, 3)
    with pytest.raises(NotImplementedError, match=r'RNNBase. is missing the required "forward" function'):
        base(torch.rand(4, 2, 5))


def test_what_recurrent_layers_override():
    """Of the methods ``nn.RNNBase`` defines, ``nn.GRU`` and ``nn.RNN`` override only ``__init__``,
    ``nn.LSTM`` two more.

    ``nn.LSTM`` deals with a state of two parts, in ``check_forward_args`` and ``permute_hidden``. ``forward``
    is not among them: ``nn.RNNBase`` defines none, and each of the three its own.
    """
    base = {name for name, value in vars(nn.RNNBase).items() if callable(value)}

    assert base & set(vars(nn.RNN)) == {"__init__"}
    assert base & set(vars(nn.GRU)) == {"__init__"}
    assert base & set(vars(nn.LSTM)) == {"__init__", "check_forward_args", "permute_hidden"}


@pytest.mark.parametrize(
    "replace",
    [
        lambda layer, name, value: setattr(layer, name, nn.Parameter(value)),
        lambda layer, name, value: setattr(getattr(layer, name), "data", value),
        lambda layer, name, value: layer._parameters.update({name: nn.Parameter(value)}),
        lambda layer, name, value: (delattr(layer, name), setattr(layer, name, value)),
    ],
    ids=["Parameter", "data", "_parameters", "plain tensor"],
)
@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_replaced_weights_are_used(make, replace):
    """``nn.RNN``, ``LSTM`` and ``GRU`` compute with weights that were replaced, in whatever way.

    By a new :class:`~torch.nn.Parameter`, through ``data``, or by a plain tensor: the next call finds them
    (:issue:`91111`).
    """
    layer, x = make(2, 3), torch.rand(4, 1, 2)
    assert layer(x)[0].abs().sum() > 0

    for name, p in list(layer.named_parameters()):
        replace(layer, name, torch.zeros_like(p))

    assert layer(x)[0].abs().sum() == 0


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_flatten_parameters_on_the_cpu(make):
    """``flatten_parameters()`` of ``nn.RNN``, ``LSTM`` and ``GRU`` on the CPU leaves every parameter where it
    is.
    """
    layer = make(5, 3, num_layers=2, bidirectional=True).cpu()
    before = {name: (id(p), p.data_ptr(), p.clone()) for name, p in layer.named_parameters()}

    assert layer.flatten_parameters() is None

    assert [(id(p), p.data_ptr()) for p in layer.parameters()] == [given[:2] for given in before.values()]
    assert all(torch.equal(p, before[name][2]) for name, p in layer.named_parameters())
    assert len({p.untyped_storage().data_ptr() for p in layer.parameters()}) == len(before)


@pytest.mark.parametrize("shape", [(5, 1, 2), (5, 2)], ids=["batch", "one sequence"])
@pytest.mark.parametrize("make", [nn.RNN, nn.GRU])
def test_a_number_is_no_state(make, shape):
    """``nn.RNN`` and ``GRU`` raise ``AttributeError`` for ``0`` as their state; ``None`` stands for zeros.

    A state that starts as ``self.h = 0`` works in a loop of one's own, where it is broadcast.
    """
    layer, x = make(2, 3), torch.rand(shape)

    with pytest.raises(AttributeError, match="'int' object has no attribute 'dim'"):
        layer(x, 0)
    assert torch.equal(layer(x, None)[0], layer(x)[0])


@pytest.mark.parametrize("batch", [(1,), ()], ids=["batch", "one sequence"])
def test_the_state_of_an_lstm_is_a_pair(batch):
    """``nn.LSTM`` takes a pair of tensors as state, or ``None``; a number or ``h_0`` alone raises an error.

    So do two ``None``. The errors are of different types and say nothing of the state. A tensor of both,
    ``torch.stack([h_0, c_0])``, raises with a batch, and is taken apart for one sequence without a batch.
    """
    layer, x = nn.LSTM(2, 3), torch.rand(5, *batch, 2)
    both = h, c = torch.rand(2, 1, *batch, 3)

    with pytest.raises(TypeError, match="'int' object is not subscriptable"):
        layer(x, 0)
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'dim'"):
        layer(x, (None, None))
    with pytest.raises(IndexError, match="index 1 is out of bounds for dimension 0"):
        layer(x, h)
    assert torch.equal(layer(x, None)[0], layer(x)[0])
    assert not torch.allclose(layer(x, (h, c))[0], layer(x)[0])
    if batch:
        with pytest.raises(TypeError, match="received an invalid combination of arguments"):
            layer(x, both)
    else:
        assert torch.equal(layer(x, both)[0], layer(x, (h, c))[0])
