"""The shapes that recurrent layers and cells take and return, and what their last layer gives.

L is the length of a sequence, N the size of the batch. With ``proj_size`` the hidden state of an LSTM is of
that size. Read *recurrent* first.
"""

import pytest
import torch
from torch import nn

LAYERS = [nn.RNN, nn.LSTM, nn.GRU]
ORDERS = [
    pytest.param(False, (7, 4), (4,), id="sequence first"),
    pytest.param(True, (4, 7), (4,), id="batch first"),
    pytest.param(False, (7,), (), id="unbatched"),
    pytest.param(True, (7,), (), id="unbatched, batch first"),
]


@pytest.mark.parametrize(("batch_first", "leading", "batch"), ORDERS)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("layer", LAYERS)
def test_shapes_of_a_recurrent_layer(layer, bidirectional, batch_first, leading, batch):
    """``RNN``, ``GRU`` and ``LSTM`` take ``(L, N, input_size)`` and states ``(D * num_layers, N,
    hidden_size)``.

    ``D`` is 2 if bidirectional. The output has ``D * hidden_size`` features; with ``batch_first=True`` only
    sequence and output have the batch first, and without a batch nothing has one.
    """
    both = 1 + bidirectional
    net = layer(3, 5, num_layers=2, bidirectional=bidirectional, batch_first=batch_first)
    x, state = torch.rand(*leading, 3), torch.rand(2 * both, *batch, 5)

    output, last = net(x, (state, state + 1) if layer is nn.LSTM else state)

    assert output.shape == (*leading, both * 5)
    assert [part.shape for part in (last if layer is nn.LSTM else [last])] == [
        state.shape for _ in range(1 + (layer is nn.LSTM))
    ]


@pytest.mark.parametrize(("batch_first", "leading", "batch"), ORDERS)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
def test_shapes_with_a_projection(bidirectional, batch_first, leading, batch):
    """``LSTM(proj_size=p)`` takes and returns ``h`` and output of size ``p``, ``c`` of size
    ``hidden_size``.
    """
    both = 1 + bidirectional
    net = nn.LSTM(3, 5, 2, bidirectional=bidirectional, batch_first=batch_first, proj_size=2)
    x, (hidden, cell) = torch.rand(*leading, 3), [torch.rand(2 * both, *batch, size) for size in (2, 5)]

    output, (last, last_cell) = net(x, (hidden, cell))

    assert output.shape == (*leading, both * 2)
    assert (last.shape, last_cell.shape) == (hidden.shape, cell.shape)


def test_the_output_is_that_of_the_last_layer():
    """The output of ``RNN``, ``GRU`` and ``LSTM`` holds the last layer's state at each step; ``h_n`` every
    layer's.

    ``h_n`` holds them after the last step, so its last entry is the output's last one.
    """
    for layer in LAYERS:
        net, first = layer(3, 5, num_layers=2), layer(3, 5)
        first.load_state_dict({name: p for name, p in net.state_dict().items() if name.endswith("l0")})
        for x in (torch.rand(7, 4, 3), torch.rand(7, 3)):
            output, last = net(x)
            hidden = last[0] if layer is nn.LSTM else last

            assert torch.equal(hidden[1], output[-1])
            assert torch.allclose(hidden[0], first(x)[0][-1], atol=1e-6)
            for step in range(1, 7):
                assert torch.allclose(net(x[:step])[0][-1], output[step - 1], atol=1e-6)


def test_the_state_given_is_where_it_starts():
    """``RNN``, ``GRU``, ``LSTM`` start with the state given: two calls that pass it on compute what one call
    does.
    """
    for layer in LAYERS:
        net, x = layer(3, 5, num_layers=2, bidirectional=False), torch.rand(7, 4, 3)
        whole, at_the_end = net(x)
        first, state = net(x[:3])
        second, last = net(x[3:], state)

        torch.testing.assert_close(torch.cat([first, second]), whole)
        torch.testing.assert_close(last, at_the_end)


def test_a_projection_multiplies_the_hidden_state():
    """``LSTM(proj_size=...)`` multiplies each hidden state by ``weight_hr_l0``; the next step takes that."""
    net, x = nn.LSTM(3, 5, proj_size=2), torch.rand(6, 3)
    hidden, memory, outputs = torch.zeros(2), torch.zeros(5), []
    for step in x:
        gates = net.weight_ih_l0 @ step + net.bias_ih_l0 + net.weight_hh_l0 @ hidden + net.bias_hh_l0
        i, f, g, o = gates.chunk(4)
        memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
        hidden = net.weight_hr_l0 @ (o.sigmoid() * memory.tanh())
        outputs.append(hidden)

    assert torch.allclose(net(x)[0], torch.stack(outputs), atol=1e-6)
    assert net.weight_hr_l0.shape == (2, 5)


@pytest.mark.parametrize("layer", [nn.GRU, nn.GRUCell])
def test_the_reset_gate_comes_after_the_product(layer):
    """``nn.GRU`` and ``GRUCell`` multiply by the reset gate after the product with ``W_hn``, not before.

    The paper multiplies the hidden state before it; with the same weights the results differ.
    """
    net, x, hidden = layer(3, 5), torch.rand(1, 3), torch.rand(1, 5)
    weight_ih, weight_hh, bias_ih, bias_hh = net.parameters()
    (reset, update, new), (reset_h, update_h, new_h) = (
        (values @ weight.T + bias).chunk(3, 1)
        for values, weight, bias in [(x, weight_ih, bias_ih), (hidden, weight_hh, bias_hh)]
    )
    r, z = (reset + reset_h).sigmoid(), (update + update_h).sigmoid()
    before = (r * hidden) @ weight_hh.chunk(3)[2].T + bias_hh.chunk(3)[2]
    after, paper = ((1 - z) * (new + part).tanh() + z * hidden for part in (r * new_h, before))

    output = net(x, hidden)[0] if layer is nn.GRU else net(x, hidden)

    assert torch.allclose(output, after, atol=1e-6)
    assert not torch.allclose(output, paper, atol=1e-3)


@pytest.mark.parametrize("batch", [(4,), ()], ids=["batch", "unbatched"])
@pytest.mark.parametrize("cell", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_shapes_of_a_cell(cell, batch):
    """``RNNCell``, ``GRUCell`` and ``LSTMCell`` take ``(N, input_size)`` and states ``(N, hidden_size)``.

    They return states of that shape; one sample needs no batch dimension.
    """
    net, x, state = cell(3, 5), torch.rand(*batch, 3), torch.rand(*batch, 5)

    after = net(x, (state, state + 1)) if cell is nn.LSTMCell else [net(x, state)]

    assert [part.shape for part in after] == [(*batch, 5)] * (2 if cell is nn.LSTMCell else 1)
    with pytest.raises(RuntimeError, match="inconsistent input_size"):
        net(x[..., :2], (state, state) if cell is nn.LSTMCell else state)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_forgotten_batch_first_is_no_error(layer):
    """Without ``batch_first=True``, ``LSTM`` and ``GRU`` read the samples of ``(N, L, size)`` as time steps.

    Nothing raises, not even for states of ``L`` sequences, and the output has the shape that was expected.
    But a sample sees those before it, and no step of its own. See :class:`~torch.nn.LSTM`.
    """
    forgetful, right = layer(3, 4), layer(3, 4, batch_first=True)
    right.load_state_dict(forgetful.state_dict())
    x = torch.rand(2, 5, 3)
    changed = x.clone()
    changed[0] += 1.0  # the first sample

    outputs = [[net(given)[0] for given in (x, changed)] for net in (forgetful, right)]
    state = torch.zeros(1, 5, 4)
    given = (state, state) if layer is nn.LSTM else state

    assert {output.shape for pair in outputs for output in pair} == {(2, 5, 4)}
    assert [torch.equal(before[1], after[1]) for before, after in outputs] == [False, True]
    assert torch.equal(forgetful(x, given)[0], outputs[0][0])
    with pytest.raises(RuntimeError, match="Expected hidden"):
        right(x, given)
