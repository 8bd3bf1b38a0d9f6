"""Jagged tensors, nested tensors for training: which layers take them.

``torch.nested.nested_tensor(list, layout=torch.jagged)`` holds sequences of several lengths without padding.
Layers that work on each step alone take it as if it were padded. The other layout, strided, is what the fast
path of transformers makes, see *nested_tensors*.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.mark.since("2.2")
@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(4, 3),
        nn.LayerNorm(4),
        nn.GELU(),
        nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_take_each_step_alone(layer):
    """``Linear``, ``LayerNorm``, activations and a ``Sequential`` of them take a jagged nested tensor.

    The output is jagged too, with the same lengths: ``unbind()`` gives one tensor for each sequence.
    """
    parts = [torch.rand(2, 4), torch.rand(3, 4)]
    jagged = torch.nested.nested_tensor(parts, layout=torch.jagged)

    result = layer.to(jagged.device)(jagged)

    assert (result.is_nested, result.layout) == (True, torch.jagged)
    for one, part in zip(result.unbind(), parts, strict=True):
        torch.testing.assert_close(one, layer(part))


@pytest.mark.since("2.2")
def test_an_embedding_takes_jagged_indices():
    """``nn.Embedding`` of a jagged nested tensor of indices returns a jagged one of vectors."""
    parts = [torch.tensor([1, 2]), torch.tensor([0, 3, 1])]
    layer = nn.Embedding(4, 5)

    result = layer(torch.nested.nested_tensor(parts, layout=torch.jagged))

    assert (result.is_nested, result.layout) == (True, torch.jagged)
    for one, part in zip(result.unbind(), parts, strict=True):
        assert torch.equal(one, layer(part))


@pytest.mark.since("2.6")
def test_gradients_come_from_every_step():
    """``backward()`` through a layer with a jagged nested tensor gives it the gradients of all steps.

    A loss is computed on ``values()``, all steps as one tensor, or on parts of ``unbind()``.
    """
    parts = [torch.rand(2, 4), torch.rand(3, 4)]
    layer, jagged = nn.Linear(4, 2), torch.nested.nested_tensor(parts, layout=torch.jagged)

    layer(jagged).values().sum().backward()

    torch.testing.assert_close(layer.weight.grad, torch.cat(parts).sum(dim=0).expand(2, 4))
    assert layer.bias.grad.tolist() == [5.0, 5.0]
    layer.zero_grad()
    layer(jagged).unbind()[1].sum().backward()
    assert layer.bias.grad.tolist() == [3.0, 3.0]


@pytest.mark.since("2.2")
def test_attention_layers_refuse_jagged_tensors():
    """In training ``MultiheadAttention`` and ``TransformerEncoderLayer`` raise ``AssertionError`` for jagged
    tensors.

    Outside of their fast path they take no nested tensor. ``F.scaled_dot_product_attention`` takes it.
    """
    jagged = torch.nested.nested_tensor([torch.rand(2, 4), torch.rand(3, 4)], layout=torch.jagged)
    attention = nn.MultiheadAttention(4, 2, batch_first=True)

    message = "MultiheadAttention does not support NestedTensor outside of its fast path"
    with pytest.raises(AssertionError, match=message):
        attention(jagged, jagged, jagged)
    with pytest.raises(AssertionError, match=message):
        nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)(jagged)


@pytest.mark.since("2.3")
def test_the_attention_function_takes_jagged_tensors():
    """``F.scaled_dot_product_attention`` of jagged nested tensors attends within each sequence alone.

    The heads are made by ``unflatten(-1, [heads, width])`` and ``transpose(1, 2)``.
    """
    parts = [torch.rand(2, 8), torch.rand(3, 8)]
    jagged = torch.nested.nested_tensor(parts, layout=torch.jagged)
    heads = jagged.unflatten(-1, [2, 4]).transpose(1, 2)

    result = F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(-2)

    for one, part in zip(result.unbind(), parts, strict=True):
        alone = part.unflatten(-1, [2, 4]).transpose(0, 1)
        attended = F.scaled_dot_product_attention(alone, alone, alone)
        torch.testing.assert_close(one, attended.transpose(0, 1).flatten(-2))


@pytest.mark.since("2.6")
@pytest.mark.parametrize(
    "layer",
    [nn.BatchNorm1d(4), nn.GRU(4, 2, batch_first=True), nn.Conv1d(4, 2, 1)],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_mix_steps_refuse_jagged_tensors(layer):
    """``BatchNorm1d``, recurrent layers and convolutions raise an error for a jagged nested tensor.

    ``torch.nested.to_padded_tensor(jagged, 0.0)`` makes a padded tensor, which they take.
    """
    jagged = torch.nested.nested_tensor([torch.rand(2, 4), torch.rand(3, 4)], layout=torch.jagged)

    with pytest.raises(
        (RuntimeError, ValueError), match=r"running_mean|Transpose|batch dimension|3-dimensional"
    ):
        layer(jagged)
    padded = torch.nested.to_padded_tensor(jagged, 7.0)
    assert padded[0, 2].tolist() == [7.0] * 4
    assert padded.shape == (2, 3, 4)
