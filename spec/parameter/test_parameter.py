"""What a parameter is.

:class:`~torch.nn.parameter.Parameter` is a subclass of :class:`torch.Tensor` that modules register and that
requires a gradient from the start. Apart from that it is a tensor.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-15")
def test_a_parameter_is_a_tensor():
    """A :class:`~torch.nn.parameter.Parameter` is a tensor, built from a tensor."""
    values = torch.tensor([[1.5, 2.5, 3.5]])

    weight = nn.Parameter(values)

    assert nn.Parameter.__mro__[:2] == (nn.Parameter, torch.Tensor)
    assert type(weight) is nn.Parameter
    assert (weight.tolist(), weight.shape, weight.dtype) == ([[1.5, 2.5, 3.5]], (1, 3), torch.float32)


@pytest.mark.claim("N2-20")
def test_requires_grad_from_the_start():
    """A :class:`~torch.nn.parameter.Parameter` starts with ``requires_grad=True``."""
    assert nn.Parameter(torch.rand(2)).requires_grad is True


@pytest.mark.claim("N2-17", "N2-20")
def test_a_plain_tensor_requires_no_grad():
    """A plain tensor starts with ``requires_grad=False``, unlike a parameter."""
    assert [torch.rand(2).requires_grad, torch.tensor([1.5]).requires_grad] == [False, False]


@pytest.mark.claim("N2-19")
def test_grad_is_none_at_first():
    """A tensor and a parameter both start with ``grad`` ``None``."""
    assert (torch.rand(2).grad, nn.Parameter(torch.rand(2)).grad) == (None, None)


def test_requires_grad_is_the_second_argument():
    """The second argument of :class:`~torch.nn.parameter.Parameter` says whether it requires a gradient."""
    frozen = nn.Parameter(torch.rand(2), False)

    assert (type(frozen), frozen.requires_grad) == (nn.Parameter, False)
    assert nn.Parameter(data=torch.rand(2), requires_grad=False).requires_grad is False


def test_no_grad_does_not_freeze_it():
    """A parameter made under :class:`torch.no_grad` requires a gradient all the same."""
    with torch.no_grad():
        weight = nn.Parameter(torch.rand(2))

    assert weight.requires_grad is True


def test_from_nothing_it_is_empty():
    """Without data a parameter is empty, with shape ``(0,)`` and the default dtype."""
    empty = nn.Parameter()

    assert (empty.shape, empty.dtype, empty.requires_grad) == ((0,), torch.get_default_dtype(), True)
    assert nn.Parameter(None, False).requires_grad is False


def test_shares_the_storage_of_its_tensor(device):
    """A parameter shares the storage of the tensor it is built from: nothing is copied."""
    values = torch.tensor([1.5, 2.5], device=device)
    weight = nn.Parameter(values)

    values[1] = 7.0

    assert weight.data_ptr() == values.data_ptr()
    assert weight.tolist() == [1.5, 7.0]
    assert weight.device == values.device


def test_the_tensor_is_left_as_it_was():
    """Building a parameter leaves the tensor itself a plain one that requires no gradient."""
    values = torch.rand(2)

    nn.Parameter(values)

    assert (type(values), values.requires_grad) == (torch.Tensor, False)


def test_cut_off_from_its_source():
    """A parameter built from the result of an operation is a leaf of its own, cut off from the graph.

    A gradient that reaches the parameter stops there; the source of the values sees none of it.
    """
    source = torch.tensor([1.5, 2.5], requires_grad=True)
    weight = nn.Parameter(source * 2)

    (weight * 3).sum().backward()

    assert (weight.is_leaf, weight.grad_fn) == (True, None)
    assert (weight.grad.tolist(), source.grad) == ([3.0, 3.0], None)


def test_from_a_frozen_parameter_it_is_not_frozen():
    """A parameter built from a frozen parameter is a new one, not frozen, on the same storage."""
    frozen = nn.Parameter(torch.rand(2), requires_grad=False)

    again = nn.Parameter(frozen)

    assert again is not frozen
    assert (type(again), again.requires_grad) == (nn.Parameter, True)
    assert again.data_ptr() == frozen.data_ptr()


def test_integers_cannot_require_grad():
    """A parameter of integers raises ``RuntimeError`` unless it is made with ``requires_grad=False``."""
    with pytest.raises(
        RuntimeError, match="Only Tensors of floating point and complex dtype can require grad"
    ):
        nn.Parameter(torch.arange(3))

    counts = nn.Parameter(torch.arange(3), requires_grad=False)
    assert (type(counts), counts.dtype) == (nn.Parameter, torch.int64)


@pytest.mark.observed
@pytest.mark.parametrize(("data", "kind"), [([1.5, 2.5], "list"), (1.5, "float")], ids=["list", "number"])
def test_data_is_a_tensor(data, kind):
    """A parameter is built from a tensor only: a list or a number raises ``AttributeError``."""
    with pytest.raises(AttributeError, match=f"'{kind}' object has no attribute 'detach'"):
        nn.Parameter(data)


@pytest.mark.parametrize(
    "operation",
    [
        lambda p: p * 2,
        lambda p: p.view(-1),
        lambda p: p.clone(),
        lambda p: p.detach(),
        lambda p: p.data,
        lambda p: p[0],
    ],
    ids=["multiply", "view", "clone", "detach", "data", "index"],
)
def test_results_are_plain_tensors(operation):
    """A tensor derived from a parameter is a plain tensor, so a module does not register it."""
    weight = nn.Parameter(torch.rand(2, 3))
    net = nn.Module()

    net.result = operation(weight)

    assert type(net.result) is torch.Tensor
    assert list(net.parameters()) == []


def test_an_inplace_operation_returns_the_parameter():
    """An in-place operation returns the parameter itself, a leaf that requires a gradient as before."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))

    with torch.no_grad():
        result = weight.mul_(2)

    assert result is weight
    assert (type(weight), weight.is_leaf, weight.requires_grad) == (nn.Parameter, True, True)
    assert weight.tolist() == [3.0, 5.0]


@pytest.mark.claim("N2-28")
@pytest.mark.observed
@pytest.mark.parametrize(
    ("part", "name"),
    [(slice(0, 1), "SliceBackward0"), (slice(None), "SliceBackward0"), (0, "SelectBackward0")],
    ids=["rows", "everything", "one row"],
)
def test_a_slice_names_its_operation(part, name):
    """A slice of a parameter carries a ``grad_fn`` named ``SliceBackward0``, one row ``SelectBackward0``.

    The ``0`` at the end belongs to the name on every release from 2.0 on.
    """
    weight = nn.Parameter(torch.rand(2, 3))

    assert weight[part].grad_fn.name() == name
    assert f"grad_fn=<{name}>" in repr(weight[part])


def test_repr_says_that_it_contains_a_tensor():
    """A parameter prints as ``Parameter containing:``, and the tensor on the line below."""
    assert repr(nn.Parameter(torch.tensor([1.5, 2.5]))) == (
        "Parameter containing:\ntensor([1.5000, 2.5000], requires_grad=True)"
    )


def test_repr_of_a_frozen_parameter():
    """A frozen parameter prints without ``requires_grad=True``."""
    frozen = nn.Parameter(torch.tensor([1.5, 2.5]), requires_grad=False)

    assert repr(frozen) == "Parameter containing:\ntensor([1.5000, 2.5000])"
