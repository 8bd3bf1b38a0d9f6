"""Recurrent cells: one step of a recurrent layer, for loops of one's own."""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(("make", "gates"), [(nn.RNNCell, 1), (nn.LSTMCell, 4), (nn.GRUCell, 3)])
def test_the_parameters_of_a_cell(make, gates):
    """``RNNCell``, ``LSTMCell``, ``GRUCell`` have two weights and two biases of ``hidden_size`` rows per
    gate.
    """
    assert [(name, p.shape) for name, p in make(5, 3).named_parameters()] == [
        ("weight_ih", (gates * 3, 5)),
        ("weight_hh", (gates * 3, 3)),
        ("bias_ih", (gates * 3,)),
        ("bias_hh", (gates * 3,)),
    ]


@pytest.mark.parametrize("make", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_a_cell_without_bias(make):
    """``RNNCell``, ``LSTMCell`` and ``GRUCell`` with ``bias=False`` have weights only; the biases are
    ``None``.
    """
    cell, zeros = make(5, 3, bias=False), make(5, 3)
    zeros.load_state_dict({**cell.state_dict(), "bias_ih": zeros.bias_ih * 0, "bias_hh": zeros.bias_hh * 0})
    x = torch.rand(2, 5)

    assert [name for name, _ in cell.named_parameters()] == ["weight_ih", "weight_hh"]
    assert cell.bias_ih is None
    assert cell.bias_hh is None
    assert torch.allclose(cell(x)[0], zeros(x)[0], atol=1e-6)


@pytest.mark.parametrize("batch", [(2,), ()], ids=["batch", "unbatched"])
@pytest.mark.parametrize("make", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_a_cell_starts_with_zeros(make, batch):
    """``RNNCell``, ``LSTMCell`` and ``GRUCell`` called without a state take zeros for it.

    A loop that forgets to pass the state starts anew at every step.
    """
    cell, x = make(5, 3), torch.rand(*batch, 5)
    zeros, ones = torch.zeros(*batch, 3), torch.ones(*batch, 3)
    given, other = ((zeros, zeros), (ones, ones)) if make is nn.LSTMCell else (zeros, ones)

    assert torch.equal(cell(x)[0], cell(x, given)[0])
    assert torch.equal(cell(x)[1], cell(x, given)[1])
    assert not torch.allclose(cell(x)[0], cell(x, other)[0], atol=1e-4)


def test_an_lstm_cell_returns_both_states():
    """``nn.LSTMCell`` takes and returns a hidden and a cell state, ``nn.GRUCell`` and ``RNNCell`` only a
    hidden one.

    They are what the layers of one step return.
    """
    x, h, c = torch.rand(2, 5), torch.rand(2, 3), torch.rand(2, 3)
    cell, layer = nn.LSTMCell(5, 3), nn.LSTM(5, 3)
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})

    hidden, state = cell(x, (h, c))
    _, (last, last_state) = layer(x[None], (h[None], c[None]))

    assert torch.allclose(hidden, last[0], atol=1e-6)
    assert torch.allclose(state, last_state[0], atol=1e-6)
    alone = cell(x[0], (h[0], c[0]))
    assert torch.allclose(torch.stack(alone), torch.stack([hidden[0], state[0]]), atol=1e-6)
    assert nn.GRUCell(5, 3)(x, h).shape == nn.RNNCell(5, 3)(x, h).shape == (2, 3)


@pytest.mark.parametrize(
    ("make", "whole", "options"),
    [
        (nn.RNNCell, nn.RNN, {}),
        (nn.RNNCell, nn.RNN, {"nonlinearity": "relu"}),
        (nn.GRUCell, nn.GRU, {}),
        (nn.GRUCell, nn.GRU, {"bias": False}),
    ],
    ids=["RNN", "RNN of relu", "GRU", "GRU without bias"],
)
def test_a_cell_in_a_loop_is_a_layer(make, whole, options):
    """``GRUCell`` returns the next hidden state of each sequence in the batch: in a loop it computes ``GRU``.

    ``RNNCell`` computes ``RNN`` likewise.
    """
    cell, layer = make(5, 3, **options), whole(5, 3, **options)
    layer.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})
    x, h = torch.rand(4, 2, 5), torch.rand(2, 3)
    outputs, _ = layer(x, h[None])

    for step in range(4):
        h = cell(x[step], h)
        assert torch.allclose(h, outputs[step], atol=1e-5)


def test_relu_in_a_cell():
    """``RNNCell(nonlinearity="relu")`` computes ``relu`` instead of ``tanh``."""
    cell, x, h = nn.RNNCell(5, 3, nonlinearity="relu"), torch.randn(2, 5) * 10, torch.randn(2, 3)
    scores = x @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh

    assert torch.allclose(cell(x, h), scores.relu(), atol=1e-5)
    cell.nonlinearity = "tanh"
    assert torch.allclose(cell(x, h), scores.tanh(), atol=1e-5)


def test_an_unknown_nonlinearity_is_found_at_the_call():
    """``nn.RNNCell`` accepts an unknown ``nonlinearity`` when constructed, and raises ``RuntimeError`` when
    called.

    :class:`~torch.nn.RNN` raises ``ValueError`` when constructed.
    """
    cell = nn.RNNCell(5, 3, nonlinearity="gelu")

    with pytest.raises(RuntimeError, match="Unknown nonlinearity: gelu"):
        cell(torch.rand(2, 5))
    with pytest.raises(ValueError, match="Unknown nonlinearity 'gelu'"):
        nn.RNN(5, 3, nonlinearity="gelu")


@pytest.mark.parametrize("make", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_sizes_of_a_cell_are_examined(make):
    """``RNNCell``, ``LSTMCell``, ``GRUCell`` raise ``RuntimeError`` for another input, hidden or batch size.

    See :class:`torch.nn.RNNCell`, :class:`torch.nn.LSTMCell` and :class:`torch.nn.GRUCell`.
    """
    cell = make(3, 4)

    def call(features, rows, hidden):
        state = torch.zeros(rows, hidden)
        return cell(torch.zeros(2, features), (state, state) if make is nn.LSTMCell else state)

    call(3, 2, 4)
    with pytest.raises(RuntimeError, match=r"inconsistent input_size: got 5,? expected 3"):
        call(5, 2, 4)
    with pytest.raises(RuntimeError, match=r"inconsistent hidden_size: got 6,? expected 4"):
        call(3, 2, 6)
    with pytest.raises(RuntimeError, match=r"batch size 2 doesn't match hidden0? batch size 7"):
        call(3, 7, 4)
    memories = ("inconsistent hidden_size: got 6", (2, 6)), ("batch size 2 doesn't match hidden", (7, 4))
    for message, shape in memories:
        with pytest.raises(RuntimeError, match=message):
            nn.LSTMCell(3, 4)(torch.zeros(2, 3), (torch.zeros(2, 4), torch.zeros(shape)))
