"""Recurrent layers: batches, padding and states that go on.

A batch of sequences of different length is padded, and a layer that is not told reads the padding too.
*packed sequences* tell it; this chapter shows what happens without, and what a state does from call to call.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
def test_padding_is_read_too(make):
    """Without packing, ``h_n`` of ``RNN``, ``GRU`` and ``LSTM`` is the state after the padding of a sequence.

    The last step of its own is ``output[k, length - 1]``; ``output[k, -1]`` is one of padding. The outputs
    before are the same as without padding: one direction does not look ahead.
    """
    layer, x = make(2, 3, batch_first=True), torch.rand(2, 4, 2)
    x[1, 2:] = 0.0

    output, state = layer(x)
    alone, last = layer(x[1:, :2])

    h_n, h_alone = (state[0], last[0]) if make is nn.LSTM else (state, last)
    torch.testing.assert_close(output[1:, :2], alone)
    torch.testing.assert_close(output[1, 1], h_alone[0, 0])
    torch.testing.assert_close(h_n[0, 1], output[1, -1])
    assert not torch.allclose(h_n[0, 1], h_alone[0, 0])


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
def test_padding_comes_first_on_the_way_back(make):
    """With ``bidirectional=True`` padding changes every output of the backward direction; packing prevents
    it.

    It starts at the end, which is padding, and carries it into each step of ``RNN``, ``GRU`` and ``LSTM``.
    """
    layer, x = make(2, 3, batch_first=True, bidirectional=True), torch.rand(2, 4, 2)
    x[1, 2:] = 0.0
    alone, _ = layer(x[1:, :2])

    padded, _ = layer(x)
    packed, _ = layer(pack_padded_sequence(x, [4, 2], batch_first=True))

    torch.testing.assert_close(padded[1:, :2, :3], alone[..., :3])
    assert not torch.isclose(padded[1, :2, 3:], alone[0, :, 3:], atol=0.0).all(-1).any()
    torch.testing.assert_close(pad_packed_sequence(packed, batch_first=True)[0][1:, :2], alone)


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
def test_the_last_output_is_half_a_summary(make):
    """With ``bidirectional=True`` the backward half of the last output of ``RNN``, ``GRU``, ``LSTM`` saw one
    step.

    What has seen the whole sequence is ``h_n``: the forward half of the last output and the backward half of
    the first.
    """
    layer, x = make(2, 3, bidirectional=True), torch.rand(5, 1, 2)

    output, state = layer(x)
    one, _ = layer(x[-1:])

    h_n = state[0] if make is nn.LSTM else state
    torch.testing.assert_close(output[-1, :, 3:], one[0, :, 3:])
    torch.testing.assert_close(torch.cat([output[-1, :, :3], output[0, :, 3:]], 1), torch.cat([*h_n], 1))


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
def test_sequences_of_a_batch_do_not_meet(make):
    """Each sequence of a batch goes through ``RNN``, ``GRU`` or ``LSTM`` by itself, with a state of its
    own.
    """
    layer, x = make(2, 3, num_layers=2), torch.rand(4, 3, 2)

    output, state = layer(x)

    for k in range(3):
        alone, last = layer(x[:, k : k + 1])
        torch.testing.assert_close(output[:, k : k + 1], alone)
        for both, own in zip(state, last, strict=True):
            torch.testing.assert_close(both[:, k : k + 1] if make is nn.LSTM else both[k : k + 1], own)


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_sequential_hands_the_tuple_on(make):
    """``nn.Sequential(nn.LSTM(...), nn.Linear(...))`` raises ``TypeError``: the tuple goes into the next
    layer.

    It is so for ``RNN`` and ``GRU`` as well. A small module between that returns the first element mends it.
    """

    class Output(nn.Module):
        def forward(self, pair):
            return pair[0]

    layer, head, x = make(2, 3), nn.Linear(3, 1), torch.rand(4, 1, 2)

    with pytest.raises(TypeError, match=r"argument 'input' \(position 1\) must be Tensor, not tuple"):
        nn.Sequential(layer, head)(x)

    assert torch.equal(nn.Sequential(layer, Output(), head)(x), head(layer(x)[0]))


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
def test_the_first_state_can_be_learned(make):
    """A first state that is a parameter gets a gradient from ``RNN``, ``GRU`` and ``LSTM``, summed over the
    batch.

    It has one row, and ``expand`` gives it to each sequence: ``self.h_0.expand(-1, batch, -1).contiguous()``.
    """
    layer, x = make(2, 3), torch.rand(4, 2, 2)
    first = [
        nn.Parameter(torch.full((1, 1, 3), value)) for value in (0.5, -0.25)[: 2 if make is nn.LSTM else 1]
    ]

    def gradients(inputs):
        states = [p.expand(-1, inputs.size(1), -1).contiguous() for p in first]
        output, _ = layer(inputs, tuple(states) if make is nn.LSTM else states[0])
        return torch.autograd.grad(output.sum(), first)

    whole = gradients(x)
    assert [bool(g.any()) for g in whole] == [True] * len(first)
    for both, one, other in zip(whole, gradients(x[:, :1]), gradients(x[:, 1:]), strict=True):
        torch.testing.assert_close(both, one + other)


@pytest.mark.since("2.1")
def test_sequences_without_steps():
    """``nn.LSTM`` raises ``RuntimeError`` for sequences of length 0, as ``nn.RNN`` and ``GRU`` do.

    A text that is empty after cleaning makes such a sequence: leave it out.
    """
    for make in (nn.LSTM, nn.RNN, nn.GRU):
        for options, shape in (({}, (0, 4, 2)), ({"batch_first": True}, (4, 0, 2)), ({}, (0, 2))):
            with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0 in RNN"):
                make(2, 3, **options)(torch.rand(shape))


@pytest.mark.before("2.1")
def test_an_lstm_took_sequences_without_steps():
    """``nn.LSTM`` takes sequences of length 0, and returns an output without steps.

    ``nn.RNN`` and ``GRU`` raise ``RuntimeError``.
    """
    x = torch.rand(0, 4, 2)

    assert nn.LSTM(2, 3)(x)[0].shape == (0, 4, 3)
    for make in (nn.RNN, nn.GRU):
        with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0 in RNN"):
            make(2, 3)(x)


def test_states_of_another_batch():
    """``nn.LSTM`` raises ``RuntimeError`` naming ``hidden[0]`` or ``hidden[1]`` for a state of another batch
    size.

    It comes up with the last, smaller batch of an epoch if the state is kept: ``drop_last=True`` helps.
    """
    layer, x, right, wrong = nn.LSTM(2, 3), torch.rand(4, 5, 2), torch.zeros(1, 5, 3), torch.zeros(1, 8, 3)

    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size \(1, 5, 3\), got \[1, 8, 3\]"):
        layer(x, (wrong, right))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[1\] size \(1, 5, 3\), got \[1, 8, 3\]"):
        layer(x, (right, wrong))


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
def test_detaching_cuts_the_past(make):
    """A state that is detached between two calls of ``RNN``, ``GRU`` or ``LSTM`` keeps its values, not its
    past.

    That is truncated backpropagation: the first chunk still shapes the output of the second, but gets no
    gradient from it.
    """
    layer = make(2, 3)
    early, late = torch.rand(4, 1, 2, requires_grad=True), torch.rand(3, 1, 2)

    _, state = layer(early)
    cut = tuple(s.detach() for s in state) if make is nn.LSTM else state.detach()
    whole, _ = layer(late, state)
    output, _ = layer(late, cut)

    assert torch.equal(output, whole)
    assert torch.autograd.grad(output.sum(), early, allow_unused=True, retain_graph=True) == (None,)
    assert torch.autograd.grad(whole.sum(), early)[0].flatten(1).any(1).all()


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
def test_which_biases_count(make):
    """Of ``bias_ih`` and ``bias_hh`` of ``RNN`` and ``LSTM`` only the sum counts; not so in the new gate of
    ``GRU``.

    To start with a forget gate bias of 1, set one of them to 1 and the other to 0. ``GRU`` multiplies the new
    gate's ``bias_hh`` by the reset gate.
    """
    layer, x = make(2, 3), torch.rand(4, 1, 2)
    before, _ = layer(x)

    with torch.no_grad():
        layer.bias_ih_l0.add_(0.5)
        layer.bias_hh_l0.sub_(0.5)

    assert torch.allclose(layer(x)[0], before, atol=1e-6) is (make is not nn.GRU)
    with torch.no_grad():
        layer.bias_ih_l0[-3:].sub_(0.5)
        layer.bias_hh_l0[-3:].add_(0.5)
    torch.testing.assert_close(layer(x)[0], before)


def test_the_state_has_the_dtype_of_the_input():
    """``nn.LSTM`` and ``GRU`` in float64 raise an error for a float32 state: zeros made by hand are float32.

    Leave the state out, or make it with ``x.new_zeros(...)``, which has the dtype and the device of ``x``.
    """
    x, zeros = torch.rand(4, 1, 2).double(), torch.zeros(1, 1, 3)

    with pytest.raises((RuntimeError, ValueError), match=r"dtype|scalar type"):
        nn.GRU(2, 3).double()(x, zeros)
    with pytest.raises((RuntimeError, ValueError), match=r"dtype|scalar type"):
        nn.LSTM(2, 3).double()(x, (zeros, zeros))

    layer = nn.GRU(2, 3).double()
    assert torch.equal(layer(x, x.new_zeros(1, 1, 3))[0], layer(x)[0])
