"""Recurrent layers: their parameters, and the sequences they take.

One set of parameters serves every step of a sequence. Their names tell what they multiply (``ih``: the input,
``hh``: the hidden state), the layer and the direction.
"""

import re

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence


@pytest.mark.parametrize(("make", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_the_parameters_of_a_recurrent_layer(make, gates):
    """By default ``RNN``, ``GRU`` and ``LSTM`` have two weights and two biases, with ``hidden_size`` rows per
    gate.

    The gates lie one below the other: an ``LSTM`` has four times as many rows as its hidden state has values.
    """
    layer = make(5, 3)

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        ("weight_ih_l0", (gates * 3, 5)),
        ("weight_hh_l0", (gates * 3, 3)),
        ("bias_ih_l0", (gates * 3,)),
        ("bias_hh_l0", (gates * 3,)),
    ]


@pytest.mark.parametrize(("make", "rows"), [(nn.RNN, 3), (nn.GRU, 9), (nn.LSTM, 12)])
def test_names_tell_layer_and_direction(make, rows):
    """Parameter names of ``nn.GRU`` end in the layer (``_l1``), and in ``_reverse`` for the backward
    direction.
    """
    layer = make(5, 3, num_layers=2, bidirectional=True, bias=False)

    assert [(name, p.shape) for name, p in layer.named_parameters()] == [
        ("weight_ih_l0", (rows, 5)),
        ("weight_hh_l0", (rows, 3)),
        ("weight_ih_l0_reverse", (rows, 5)),
        ("weight_hh_l0_reverse", (rows, 3)),
        ("weight_ih_l1", (rows, 6)),
        ("weight_hh_l1", (rows, 3)),
        ("weight_ih_l1_reverse", (rows, 6)),
        ("weight_hh_l1_reverse", (rows, 3)),
    ]


def test_an_lstm_with_projection():
    """``LSTM(proj_size=...)`` has a third weight, ``weight_hr_l0``, and a smaller hidden state and output."""
    layer = nn.LSTM(5, 4, 2, proj_size=2)

    output, (hidden, cell) = layer(torch.rand(7, 3, 5))

    assert [(name, p.shape) for name, p in layer.named_parameters() if "weight" in name] == [
        ("weight_ih_l0", (16, 5)),
        ("weight_hh_l0", (16, 2)),
        ("weight_hr_l0", (2, 4)),
        ("weight_ih_l1", (16, 2)),
        ("weight_hh_l1", (16, 2)),
        ("weight_hr_l1", (2, 4)),
    ]
    assert output.shape == (7, 3, 2)
    assert hidden.shape == (2, 3, 2)
    assert cell.shape == (2, 3, 4)


@pytest.mark.claim("N4-15")
@pytest.mark.parametrize("length", [1, 4, 30])
def test_sequences_of_any_length(length):
    """``nn.RNN``, ``GRU`` and ``LSTM`` accept sequences of any length above 0, with the same parameters.

    Sequences of one batch have one length: pad them, or pack them with
    :func:`~torch.nn.utils.rnn.pack_sequence`.
    """
    for layer in (nn.RNN(5, 3), nn.GRU(5, 3), nn.LSTM(5, 3)):
        parameters = [*layer.parameters()]
        assert layer(torch.rand(length, 2, 5))[0].shape == (length, 2, 3)
        assert layer(torch.rand(length + 1, 2, 5))[0].shape == (length + 1, 2, 3)
        assert all(p is before for p, before in zip(layer.parameters(), parameters, strict=True))

    for layer in (nn.RNN(5, 3), nn.GRU(5, 3)):
        for shape in ((0, 2, 5), (0, 5)):
            with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0"):
                layer(torch.rand(shape))


@pytest.mark.claim("N4-15")
def test_every_step_uses_the_same_parameters():
    """``nn.RNN`` computes at each step what ``nn.RNNCell`` with the same parameters computes.

    A cell is for loops of one's own; the layer runs the whole sequence at once and is faster.
    """
    layer, cell, x = nn.RNN(5, 3), nn.RNNCell(5, 3), torch.rand(4, 2, 5)
    cell.load_state_dict({name[:-3]: value for name, value in layer.state_dict().items()})

    hidden, steps = torch.zeros(2, 3), []
    for step in x:
        hidden = cell(step, hidden)
        steps.append(hidden)

    assert [name for name, _ in cell.named_parameters()] == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    assert torch.allclose(layer(x)[0], torch.stack(steps), atol=1e-6)


def test_one_step_of_a_recurrent_layer():
    """A step of :class:`~torch.nn.RNN` computes ``tanh(W_ih x + b_ih + W_hh h + b_hh)``.

    There are two biases for the sake of cuDNN; one would do.
    """
    layer, x, h = nn.RNN(5, 3), torch.rand(1, 2, 5), torch.rand(1, 2, 3)

    result = torch.tanh(
        x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
    )

    assert torch.allclose(layer(x, h)[0], result, atol=1e-6)


def test_relu_instead_of_tanh():
    """:class:`~torch.nn.RNN` accepts ``nonlinearity="relu"`` instead of ``"tanh"``; other values raise
    ``ValueError``.
    """
    layer, x, h = nn.RNN(5, 3, nonlinearity="relu"), torch.rand(1, 2, 5) * 10, torch.randn(1, 2, 3)
    scores = x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0

    assert torch.allclose(layer(x, h)[0], scores.relu(), atol=1e-5)
    with pytest.raises(ValueError, match="Unknown nonlinearity 'gelu'"):
        nn.RNN(5, 3, nonlinearity="gelu")


@pytest.mark.since("2.3")
def test_nonlinearity_is_the_fourth_argument():
    """``nonlinearity`` is the fourth argument of :class:`~torch.nn.RNN`, before ``bias``."""
    layer = nn.RNN(5, 3, 2, "relu", False)

    assert [layer.num_layers, layer.nonlinearity, layer.bias] == [2, "relu", False]


@pytest.mark.before("2.3")
def test_the_fourth_argument_was_bias():
    """The fourth argument of :class:`~torch.nn.RNN` is ``bias``; ``nonlinearity`` is passed by keyword."""
    layer = nn.RNN(5, 3, 2, False)

    assert [layer.num_layers, layer.nonlinearity, layer.bias] == [2, "tanh", False]
    assert nn.RNN(5, 3, nonlinearity="relu").nonlinearity == "relu"


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_batch_first_moves_the_batch_of_the_sequence_only(make):
    """``batch_first=True`` of ``nn.RNN``, ``LSTM`` and ``GRU`` is for input and output, not for the hidden
    state.

    The state has the layers first, so that its batch stays in dimension 1.

    See also :ref:`layers.recurrent_computation.the_state_is_one_of_each_sequence`
    """
    layer, other = make(5, 3, num_layers=2, batch_first=True), make(5, 3, num_layers=2)
    other.load_state_dict(layer.state_dict())
    x, state = torch.rand(7, 4, 5), torch.rand(2, 7, 3)
    given = (state, 2 * state) if make is nn.LSTM else state

    output, last = layer(x, given)
    result, expected = other(x.transpose(0, 1), given)

    assert output.shape == (7, 4, 3)
    assert torch.allclose(output, result.transpose(0, 1), atol=1e-6)
    assert torch.allclose(last[0], expected[0], atol=1e-6)
    assert torch.allclose(last[1], expected[1], atol=1e-6)


def test_the_two_directions_are_concatenated():
    """``LSTM(bidirectional=True)`` concatenates the outputs of both directions, and stacks their states.

    The state of the way back belongs to the first step, where it ends: ``output[-1]`` has seen one step of
    it.
    """
    layer, forward, x = nn.LSTM(5, 3, bidirectional=True), nn.LSTM(5, 3), torch.rand(4, 2, 5)
    forward.load_state_dict(layer.state_dict(), strict=False)

    output, (hidden, cell) = layer(x)

    assert output.shape == (4, 2, 6)
    assert cell.shape == (2, 2, 3)
    assert torch.allclose(cell[0], forward(x)[1][1][0], atol=1e-6)
    assert torch.equal(output[-1, :, :3], hidden[0])
    assert torch.equal(output[0, :, 3:], hidden[1])


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU])
def test_an_unbatched_sequence(make):
    """``nn.RNN`` and ``nn.GRU`` accept a sequence without a batch dimension and return an output without
    one.
    """
    for batch in (0, 1):
        layer, x = make(5, 3, num_layers=2, batch_first=batch == 0), torch.rand(4, 5)

        output, hidden = layer(x)
        outputs, states = layer(x.unsqueeze(batch))

        assert output.shape == (4, 3)
        assert hidden.shape == (2, 3)
        assert torch.allclose(output, outputs.squeeze(batch), atol=1e-6)
        assert torch.allclose(hidden, states[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dropout": 1.5}, "dropout should be a number in range .0, 1."),
        ({"dropout": -0.5}, "dropout should be a number in range .0, 1."),
        ({"dropout": True}, "dropout should be a number in range .0, 1."),
        ({"proj_size": 3}, "proj_size has to be smaller than hidden_size"),
        ({"proj_size": 4}, "proj_size has to be smaller than hidden_size"),
        ({"proj_size": -1}, "proj_size should be a positive integer or zero"),
    ],
    ids=["dropout", "negative dropout", "bool", "projection", "large projection", "negative projection"],
)
def test_what_a_recurrent_layer_refuses(arguments, message):
    """``nn.LSTM`` raises ``ValueError`` if ``dropout`` is not between 0 and 1, or
    ``proj_size >= hidden_size``.

    A negative ``proj_size`` raises it as well, and so does a ``dropout`` of ``True``.
    """
    with pytest.raises(ValueError, match=message):
        nn.LSTM(5, 3, **arguments)


@pytest.mark.since("2.1")
def test_hidden_size_must_be_positive():
    """``nn.GRU`` raises ``ValueError`` if ``hidden_size`` is 0, and ``TypeError`` if it is a float."""
    with pytest.raises(ValueError, match="hidden_size must be greater than zero"):
        nn.GRU(5, 0)
    with pytest.raises(TypeError, match="hidden_size should be of type int, got: float"):
        nn.GRU(5, 3.0)


@pytest.mark.since("2.11")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_size": 0}, ValueError, "input_size must be greater than zero"),
        ({"input_size": 5.0}, TypeError, "input_size should be of type int, got: float"),
        ({"bias": 1}, TypeError, "bias should be of type bool, got: int"),
        ({"batch_first": "yes"}, TypeError, "batch_first should be of type bool, got: str"),
    ],
    ids=["no input", "float", "bias", "batch_first"],
)
def test_types_of_the_arguments_are_examined(arguments, error, message):
    """``nn.GRU`` raises ``ValueError`` if ``input_size`` is 0, ``TypeError`` if ``bias`` is not a bool.

    It raises ``TypeError`` as well if ``batch_first`` is not a bool or ``input_size`` is a float.
    """
    with pytest.raises(error, match=message):
        nn.GRU(**{"input_size": 5, "hidden_size": 3, **arguments})


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_bidirectional_is_not_examined(make):
    """``nn.RNN``, ``LSTM`` and ``GRU`` accept an integer for ``bidirectional``, and raise ``TypeError`` when
    called.

    Pass a bool (:issue:`136954`).
    """
    layer = make(5, 3, bidirectional=1)

    assert layer.weight_ih_l0_reverse.shape == layer.weight_ih_l0.shape
    with pytest.raises(TypeError, match=r"received an invalid combination of arguments"):
        layer(torch.rand(4, 2, 5))
    assert make(5, 3, bidirectional=True)(torch.rand(4, 2, 5))[0].shape == (4, 2, 6)


def test_another_input_size_is_an_error():
    """``nn.GRU`` raises a ``RuntimeError`` naming both sizes if the input features are not ``input_size``."""
    for size in (4, 6):
        for x in (torch.rand(7, 2, size), torch.rand(7, size), pack_sequence([torch.rand(7, size)])):
            for layer in (nn.GRU(5, 3), nn.GRU(5, 3, 2, batch_first=True, bidirectional=True)):
                message = f"must be equal to input_size. Expected 5, got {size}"
                with pytest.raises(RuntimeError, match=message):
                    layer(x)


@pytest.mark.parametrize("size", [4, 6])
def test_another_input_size_without_a_state(size):
    """``nn.RNN`` and ``GRU`` raise ``RuntimeError`` for another ``input_size``; so does ``LSTM`` with a
    state.

    The error names both sizes (:issue:`114874`).

    See also :ref:`layers.packed_sequences.another_input_size_of_a_packed_sequence`
    """
    x, state = torch.rand(4, 2, size), torch.zeros(1, 2, 3)

    for batch in (x, x[:, 0]):
        given = state if batch is x else state[:, 0]
        for make in (nn.RNN, nn.GRU):
            with pytest.raises(RuntimeError, match=rf"equal to input_size. Expected 5, got {size}"):
                make(5, 3)(batch)
            with pytest.raises(RuntimeError, match=rf"equal to input_size. Expected 5, got {size}"):
                make(5, 3)(batch, given)
        with pytest.raises(RuntimeError, match=rf"equal to input_size. Expected 5, got {size}"):
            nn.LSTM(5, 3)(batch, (given, given))


def test_another_hidden_state_is_an_error():
    """``nn.GRU`` raises a ``RuntimeError`` naming both shapes if a size of the hidden state is wrong."""
    layer, packed = nn.GRU(5, 3), pack_sequence([torch.rand(4, 5), torch.rand(3, 5)])

    for sizes in ([1, 4, 3], [2, 2, 3], [1, 2, 4]):
        message = re.escape(f"Expected hidden size (1, 2, 3), got {sizes}")
        for x in (torch.rand(4, 2, 5), packed):
            with pytest.raises(RuntimeError, match=message):
                layer(x, torch.rand(sizes))
    for sizes in ([2, 3], [1, 4]):
        with pytest.raises(RuntimeError, match=r"Expected hidden size \(1, 1, 3\), got"):
            layer(torch.rand(4, 5), torch.rand(sizes))


@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("batched", [True, False], ids=["batched", "unbatched"])
def test_the_state_has_the_dimensions_of_the_input(make, batched):
    """``nn.RNN``, ``GRU`` and ``LSTM`` raise ``RuntimeError`` for a state of more or fewer dimensions than
    the input.

    The first dimension counts layers and directions together: ``(2, N, H)`` for both directions of one
    layer, not ``(1, 2, N, H)``. For a single sequence without a batch it is ``(layers, H)``.
    """
    layer, x = make(5, 3), torch.rand(4, 2, 5) if batched else torch.rand(4, 5)
    fitting = (1, 2, 3) if batched else (1, 3)
    kind = "batched 3-D" if batched else "unbatched 2-D"

    for sizes in ((1, *fitting), fitting[1:]):
        state = torch.rand(sizes)
        with pytest.raises(
            RuntimeError, match=rf"For {kind} input, hx .*should also be .* but got .*{len(sizes)}-D"
        ):
            layer(x, (state, state) if make is nn.LSTM else state)
    state = torch.rand(fitting)
    assert layer(x, (state, state) if make is nn.LSTM else state)[0].shape == (*x.shape[:-1], 3)


def test_how_a_recurrent_layer_prints():
    """``repr`` of ``GRU``, ``LSTM`` and ``RNN`` shows sizes and non-default arguments, but no
    ``nonlinearity``.
    """
    assert repr(nn.GRU(5, 3)) == "GRU(5, 3)"
    assert repr(nn.RNN(5, 3, 2, nonlinearity="relu")) == "RNN(5, 3, num_layers=2)"
    assert repr(nn.LSTM(5, 4, 2, False, True, 0.5, True, 2)) == (
        "LSTM(5, 4, proj_size=2, num_layers=2, bias=False, batch_first=True, dropout=0.5, bidirectional=True)"
    )


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_flattening_on_the_cpu_does_nothing(make):
    """``flatten_parameters()`` of ``nn.LSTM`` and the like changes nothing on the CPU."""
    layer = make(5, 3, num_layers=2)
    places = [(id(p), p.data_ptr()) for p in layer.parameters()]

    assert layer.flatten_parameters() is None
    assert [(id(p), p.data_ptr()) for p in layer.parameters()] == places
    assert len({p.untyped_storage().data_ptr() for p in layer.parameters()}) == 8


@pytest.mark.needs("cuda")
@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_flattened_parameters_are_in_one_storage(make):
    """On a GPU ``flatten_parameters()`` of ``nn.LSTM`` moves all parameters into one storage, if cuDNN is
    enabled.

    ``cuda()`` does it by itself. Where a parameter was replaced since, each call copies all of them, and
    warns: call ``flatten_parameters()`` once.
    """
    layer = make(5, 3, num_layers=2).cuda()
    moved = {p.untyped_storage().data_ptr() for p in layer.parameters()}
    layer.weight_hh_l1 = nn.Parameter(layer.weight_hh_l1.detach().clone())
    values = [p.tolist() for p in layer.parameters()]

    with torch.backends.cudnn.flags(enabled=False):
        layer.flatten_parameters()
    without = {p.untyped_storage().data_ptr() for p in layer.parameters()}
    layer.flatten_parameters()
    flat = {p.untyped_storage().data_ptr() for p in layer.parameters()}

    assert [len(moved), len(without), len(flat)] == [1, 2, 1]
    assert [p.tolist() for p in layer.parameters()] == values
