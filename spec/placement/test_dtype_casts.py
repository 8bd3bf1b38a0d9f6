"""Casting with ``float()``, ``double()``, ``half()``, ``bfloat16()`` and ``type()``.

The first four cast what is floating point and leave all else alone; ``type`` casts everything.
"""

import pytest
import torch
from torch import nn

CASTS = [
    ("float", torch.float32),
    ("double", torch.float64),
    ("half", torch.float16),
    ("bfloat16", torch.bfloat16),
]


@pytest.mark.parametrize(("cast", "dtype"), CASTS)
def test_floating_point_is_cast(cast, dtype):
    """Each cast changes floating point parameters and buffers, at any depth, and returns the module.

    They are :meth:`~torch.nn.Module.float`, :meth:`~torch.nn.Module.double`, :meth:`~torch.nn.Module.half`
    and :meth:`~torch.nn.Module.bfloat16`.
    """
    net = nn.Sequential(nn.Linear(2, 2, dtype=torch.float64), nn.BatchNorm1d(2, dtype=torch.float16))

    returned = getattr(net, cast)()

    assert returned is net
    assert [p.dtype for p in net.parameters()] == [dtype] * 4
    assert [b.dtype for b in net.buffers()] == [dtype, dtype, torch.int64]


@pytest.mark.question("Q73")
@pytest.mark.parametrize(("cast", "dtype"), CASTS)
def test_other_dtypes_are_left_alone(cast, dtype):
    """A cast leaves integer, boolean and complex tensors alone.

    ``double()`` and ``to(torch.float64)`` differ so on complex parameters: only the latter casts them.
    """
    net = nn.Module()
    net.scale = nn.Parameter(torch.tensor([1.5]))
    net.phase = nn.Parameter(torch.tensor([1.5 + 2.5j]))
    net.register_buffer("steps", torch.tensor([3, 4]))
    net.register_buffer("mask", torch.tensor([True, False]))

    getattr(net, cast)()

    assert [t.dtype for t in net.state_dict().values()] == [dtype, torch.complex64, torch.int64, torch.bool]


def test_precision_is_lost_for_good():
    """A cast to less precision rounds the values, and casting back does not bring them back."""
    net = nn.Module()
    net.scale = nn.Parameter(torch.tensor([0.1, 1.5], dtype=torch.float64))

    net.bfloat16().double()

    assert net.scale.tolist() == [0.10009765625, 1.5]


def test_a_range_is_lost_too():
    """``half()`` makes numbers from 65520 on infinite; ``bfloat16()`` keeps their size, roughly."""
    halved, kept = nn.Module(), nn.Module()
    halved.scale = nn.Parameter(torch.tensor([65519.0, 65520.0, 70000.0]))
    kept.scale = nn.Parameter(torch.tensor([65519.0, 65520.0, 70000.0]))
    halved.half()
    kept.bfloat16()

    assert halved.scale.tolist() == [65504.0, float("inf"), float("inf")]
    assert kept.scale.tolist() == [65536.0, 65536.0, 70144.0]


@pytest.mark.parametrize("dtype", [torch.float64, "torch.DoubleTensor"], ids=["dtype", "name"])
def test_type_casts_everything(dtype):
    """:meth:`~torch.nn.Module.type` casts every parameter and buffer, also those of integers."""
    norm = nn.BatchNorm1d(2)

    returned = norm.type(dtype)

    assert returned is norm
    assert {t.dtype for t in norm.state_dict().values()} == {torch.float64}


def test_type_needs_floating_point_for_gradients():
    """``type`` with an integer dtype raises ``RuntimeError`` where a parameter is trainable."""
    with pytest.raises(RuntimeError, match="must be floating point or complex dtype"):
        nn.Linear(2, 3).type(torch.int64)


def test_type_may_make_integers():
    """``type`` with an integer dtype, which ``to`` refuses, casts buffers and frozen parameters."""
    net = nn.Module()
    net.register_buffer("mean", torch.tensor([2.75, -1.5]))
    net.scale = nn.Parameter(torch.tensor([3.25]), requires_grad=False)

    net.type(torch.int32)

    assert (net.mean.dtype, net.mean.tolist()) == (torch.int32, [2, -1])
    assert (net.scale.dtype, net.scale.tolist()) == (torch.int32, [3])


def test_a_cast_to_the_present_dtype_keeps_every_tensor():
    """A cast to the dtype that the module has copies nothing."""
    norm = nn.BatchNorm1d(2)
    before = {key: (id(value), value.data_ptr()) for key, value in norm.state_dict(keep_vars=True).items()}

    norm.float()

    assert before == {key: (id(v), v.data_ptr()) for key, v in norm.state_dict(keep_vars=True).items()}


def test_inputs_must_have_the_dtype_of_the_weights():
    """A module that was cast does not cast its input: another dtype is an error of the layer."""
    layer = nn.Linear(2, 3).double()

    with pytest.raises(RuntimeError, match="mat1 and mat2 must have the same dtype"):
        layer(torch.rand(4, 2))


def test_outputs_have_the_dtype_of_the_weights():
    """A module that was cast computes in its new dtype."""
    assert nn.Linear(2, 3).double()(torch.rand(4, 2, dtype=torch.float64)).dtype == torch.float64


def test_recurrent_layers_are_cast_too():
    """A recurrent layer computes with its new weights after it was cast or moved."""
    layer = nn.LSTM(2, 3).double()

    output, _ = layer(torch.rand(5, 1, 2, dtype=torch.float64))

    assert output.dtype == torch.float64
    assert [a is b for a, b in zip(layer._flat_weights, layer.parameters(), strict=True)] == [True] * 4
