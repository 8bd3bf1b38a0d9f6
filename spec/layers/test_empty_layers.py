"""Layers with nothing in them: no outputs, no inputs, no words.

A model that is cut down, or built from numbers that may be zero, has parameters without elements. Most of
torch takes them as they are; where it does not is said here.
"""

import pytest
import torch
from torch import nn


def test_a_linear_layer_of_no_outputs():
    """``nn.Linear(2, 0)`` returns a tensor without features for each input, and its parameters are empty.

    They are walked, saved and loaded like any other, and count as 0 elements.

    See also :ref:`parameter.reset_parameters.a_linear_layer_of_no_inputs`
    """
    layer = nn.utils.skip_init(nn.Linear, 2, 0)

    assert [layer(torch.rand(*n, 2)).shape for n in ((), (5,), (4, 5))] == [(0,), (5, 0), (4, 5, 0)]
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {"weight": (0, 2), "bias": (0,)}
    assert sum(p.numel() for p in layer.parameters()) == 0
    assert layer.load_state_dict(layer.state_dict()) == ([], [])
    assert layer.load_state_dict({}, strict=False).missing_keys == ["weight", "bias"]


def test_a_linear_layer_of_no_inputs_returns_its_bias():
    """``nn.Linear(0, 3)`` returns its bias for each input; without a bias, zeros."""
    layer, bare = nn.utils.skip_init(nn.Linear, 0, 3), nn.utils.skip_init(nn.Linear, 0, 3, bias=False)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([2.0, 3.0, 5.0]))

    assert layer(torch.rand(0)).tolist() == [2.0, 3.0, 5.0]
    assert layer(torch.rand(1, 2, 0)).tolist() == [[[2.0, 3.0, 5.0]] * 2]
    assert layer(torch.rand(2, 0)).tolist() == [[2.0, 3.0, 5.0]] * 2
    assert bare(torch.rand(2, 0)).tolist() == [[0.0, 0.0, 0.0]] * 2


@pytest.mark.parametrize(
    "optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop]
)
def test_empty_parameters_are_trained(optimizer):
    """An empty parameter gets an empty ``grad`` of its shape in ``backward()``; ``SGD`` and ``Adam`` step it.

    So an empty layer need not be kept away from the optimizer.
    """
    layer = nn.utils.skip_init(nn.Linear, 2, 0)
    step = optimizer(layer.parameters(), lr=0.5).step

    layer(torch.rand(5, 2)).sum().backward()
    step()

    assert [tuple(p.grad.shape) for p in layer.parameters()] == [(0, 2), (0,)]
    assert [tuple(p.shape) for p in layer.parameters()] == [(0, 2), (0,)]


def test_the_norm_of_empty_gradients_is_zero():
    """``clip_grad_norm_`` counts an empty gradient as 0; with ``norm_type=inf`` it raises ``RuntimeError``.

    The largest element of nothing is not defined, also where other gradients have elements. See
    :func:`torch.nn.utils.clip_grad_norm_`.
    """
    layer, other = nn.utils.skip_init(nn.Linear, 2, 0), nn.Linear(2, 1, bias=False)
    (layer(torch.rand(5, 2)).sum() + other(torch.tensor([3.0, 4.0]))).backward()
    parameters = [*layer.parameters(), other.weight]

    for foreach in (True, False):
        assert nn.utils.clip_grad_norm_(parameters, 10.0, foreach=foreach).item() == 5.0
        assert nn.utils.clip_grad_norm_(layer.parameters(), 10.0, foreach=foreach).item() == 0.0
        with pytest.raises(RuntimeError, match=r"operation does not have an|numel\(\) == 0"):
            nn.utils.clip_grad_norm_(parameters, 10.0, norm_type=float("inf"), foreach=foreach)


def test_empty_parameters_keep_their_shape_in_a_vector():
    """``vector_to_parameters`` gives a parameter without elements its own shape, and takes nothing for it."""
    net = nn.Sequential(nn.utils.skip_init(nn.Linear, 2, 0), nn.Linear(1, 1))
    net.append(nn.utils.skip_init(nn.Linear, 0, 2, bias=False))

    vector = nn.utils.parameters_to_vector(net.parameters())
    nn.utils.vector_to_parameters(torch.tensor([2.0, 3.0]), net.parameters())

    assert vector.shape == (2,)
    assert [tuple(p.shape) for p in net.parameters()] == [(0, 2), (0,), (1, 1), (1,), (2, 0)]
    assert [net[1].weight.item(), net[1].bias.item()] == [2.0, 3.0]


def test_other_layers_of_no_features():
    """``LayerNorm(0)``, ``PReLU(0)``, ``GRUCell(2, 0)``, ``Embedding(3, 0)`` return tensors without features.

    So does ``nn.Linear(2, 0)``.
    """
    cell, layer = nn.utils.skip_init(nn.GRUCell, 2, 0), nn.utils.skip_init(nn.Linear, 2, 0)

    for shape in ((5,), (4, 5)):
        assert nn.LayerNorm(0)(torch.rand(*shape, 0)).shape == (*shape, 0)
        assert nn.Embedding(3, 0)(torch.ones(shape, dtype=torch.long)).shape == (*shape, 0)
        assert layer(torch.rand(*shape, 2)).shape == (*shape, 0)
    assert nn.PReLU(0)(torch.rand(5, 0)).shape == (5, 0)
    assert cell(torch.rand(5, 2)).shape == (5, 0)


def test_a_table_of_no_words():
    """``nn.Embedding(0, 3)`` takes an input without indices, and raises ``RuntimeError`` for any index."""
    table = nn.Embedding(0, 3)

    assert table(torch.zeros(5, 0, dtype=torch.long)).shape == (5, 0, 3)
    with pytest.raises(RuntimeError, match="indexing axis dim should be positive"):
        table(torch.tensor([0]))


@pytest.mark.parametrize(
    ("cls", "args", "shape", "error", "message"),
    [
        (nn.BatchNorm1d, (0,), (5, 0), IndexError, "index 0 out of range for tensor of size"),
        (nn.Conv1d, (2, 0, 1), (1, 2, 3), RuntimeError, "expected weight to be at least 1 at dimension 0"),
        (nn.ConvTranspose1d, (2, 0, 1), (1, 2, 3), RuntimeError, "weight tensor expected, but got"),
    ],
)
def test_what_can_be_made_but_not_called(cls, args, shape, error, message):
    """``BatchNorm1d(0)`` raises ``IndexError``, ``Conv1d(2, 0, 1)`` raises ``RuntimeError``, but only when
    called.

    They can be made all the same, so that the error comes late. ``ConvTranspose1d(2, 0, 1)`` raises
    ``RuntimeError`` as well.
    """
    layer = nn.utils.skip_init(cls, *args)

    with pytest.raises(error, match=message):
        layer(torch.rand(shape))
