"""What a parameter is.

:class:`~torch.nn.parameter.Parameter` is a subclass of :class:`torch.Tensor` that modules register and that
requires a gradient from the start. Apart from that it is a tensor.
"""

import itertools

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-15")
@pytest.mark.parametrize("trained", [True, False])
def test_a_parameter_is_a_tensor(trained):
    """An :class:`nn.Parameter <torch.nn.parameter.Parameter>` is built from a tensor and is itself a
    :class:`torch.Tensor`.

    A parameter can do all that tensors can; a module that it is assigned to registers it.
    """
    values = torch.tensor([[1.5, 2.5, 3.5]])

    weight = nn.Parameter(values, requires_grad=trained)

    assert type(weight) is nn.Parameter
    assert isinstance(weight, torch.Tensor)
    assert weight.tolist() == [[1.5, 2.5, 3.5]]
    assert (weight.shape, weight.dtype) == ((1, 3), torch.float32)
    assert (weight @ weight.T + 1).tolist() == [[21.75]]

    net = nn.Module()
    net.weight = weight
    assert [(name, p is weight) for name, p in net.named_parameters()] == [("weight", True)]


@pytest.mark.claim("N2-20")
def test_requires_grad_from_the_start():
    """A new :class:`nn.Parameter <torch.nn.parameter.Parameter>` has ``requires_grad=True`` unless it is
    constructed with ``requires_grad=False``.

    So an optimizer that is given a model trains everything in it. How to leave a
    part as it is: :ref:`chapter-gradients.freezing`.
    """
    for dtype in (torch.float32, torch.bfloat16, torch.complex64):
        values = torch.rand(2).to(dtype)
        assert nn.Parameter(values).requires_grad is True
        assert nn.Parameter(values, requires_grad=False).requires_grad is False
        assert nn.Parameter(values.requires_grad_(), requires_grad=False).requires_grad is False


@pytest.mark.claim("N2-17", "N2-20")
def test_a_plain_tensor_requires_no_grad():
    """A new plain :class:`torch.Tensor` has ``requires_grad=False`` by default, unlike an ``nn.Parameter``.

    An optimizer can train a plain tensor with ``requires_grad=True``, but a module does not register,
    move or save it.
    """
    plain, net = torch.tensor([1.5, 2.5]), nn.Module()

    assert plain.requires_grad is False
    assert torch.rand(2).requires_grad is False
    assert nn.Parameter(plain).requires_grad is True

    net.scale = scale = torch.tensor([1.5, 2.5], requires_grad=True)
    (net.scale * 3).sum().backward()
    torch.optim.SGD([scale], lr=0.5).step()
    net.to(torch.float64)

    assert scale.tolist() == [0.0, 1.0]
    assert (net.scale is scale, scale.dtype) == (True, torch.float32)
    assert (list(net.parameters()), net.state_dict()) == ([], {})


@pytest.mark.claim("N2-19")
def test_grad_is_none_at_first():
    """A new ``nn.Parameter``, like any new tensor, has ``grad`` ``None`` until ``backward`` sets it.

    ``grad`` is a tensor after the first ``backward`` that reaches the parameter.
    """
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))

    assert torch.rand(2).grad is None
    assert weight.grad is None

    (weight * 3).sum().backward()

    assert weight.grad.tolist() == [3.0, 3.0]
    assert nn.Parameter(weight).grad is None


def test_requires_grad_is_the_second_argument():
    """The second argument of :class:`nn.Parameter <torch.nn.parameter.Parameter>` is ``requires_grad``:
    ``nn.Parameter(x, False)`` is frozen.
    """
    for values in (torch.rand(2), torch.rand(2, requires_grad=True), nn.Parameter(torch.rand(2))):
        frozen = nn.Parameter(values, False)

        assert type(frozen) is nn.Parameter
        assert frozen.requires_grad is False
    assert nn.Parameter(torch.rand(2), True).requires_grad is True
    assert nn.Parameter(data=torch.rand(2), requires_grad=False).requires_grad is False


def test_no_grad_does_not_freeze_it():
    """A :class:`~torch.nn.parameter.Parameter` created under :class:`torch.no_grad` still has
    ``requires_grad=True``.

    Pass ``requires_grad=False`` to make a frozen one.
    """
    with torch.no_grad():
        weight = nn.Parameter(torch.rand(2))
        frozen = nn.Parameter(torch.rand(2), requires_grad=False)

    assert weight.requires_grad is True
    assert frozen.requires_grad is False


def test_from_nothing_it_is_empty():
    """``nn.Parameter()`` without data is an empty tensor of shape ``(0,)`` and the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        empty = nn.Parameter()
    finally:
        torch.set_default_dtype(before)

    assert empty.shape == (0,)
    assert empty.dtype == torch.float64
    assert empty.requires_grad is True
    assert nn.Parameter(None, False).requires_grad is False


def test_shares_the_storage_of_its_tensor(device):
    """``nn.Parameter(tensor)`` shares memory with ``tensor``: nothing is copied.

    What is written into the tensor later is written into the parameter. Give it a ``clone()`` where that
    is not wanted.
    """
    values = torch.tensor([1.5, 2.5, 3.5], device=device)
    weight = nn.Parameter(values)

    values[1] = 7.0

    assert weight.data_ptr() == values.data_ptr()
    assert weight.tolist() == [1.5, 7.0, 3.5]
    assert weight.device == values.device
    for again in (nn.Parameter(values, requires_grad=False), nn.Parameter(values[::2])):
        assert again.data_ptr() == values.data_ptr()
    for dtype in (torch.bfloat16, torch.complex64):
        other = values.to(dtype)
        assert nn.Parameter(other).data_ptr() == other.data_ptr()


def test_the_tensor_is_left_as_it_was():
    """``nn.Parameter(tensor)`` leaves ``tensor`` a plain tensor with ``requires_grad=False``."""
    tensors = (torch.rand(2), torch.rand(2, dtype=torch.complex64), torch.rand(2, 3).half().T)
    for values, trained in itertools.product(tensors, (True, False)):
        weight = nn.Parameter(values, trained)

        assert weight is not values
        assert type(values) is torch.Tensor
        assert isinstance(values, nn.Parameter) is False
        assert values.requires_grad is False


def test_cut_off_from_its_source():
    """``nn.Parameter(x * 2)`` is a leaf: gradients do not flow back to ``x``.

    A gradient that reaches the parameter stops there.
    """
    source = torch.tensor([1.5, 2.5], requires_grad=True)
    result = source * 2
    weight = nn.Parameter(result)

    (weight * 3).sum().backward()

    for parameter in (weight, nn.Parameter(result, requires_grad=False)):
        assert (parameter.is_leaf, parameter.grad_fn) == (True, None)
    assert weight.grad.tolist() == [3.0, 3.0]
    assert source.grad is None


def test_from_a_frozen_parameter_it_is_not_frozen():
    """``nn.Parameter(frozen)`` of a frozen parameter is a new, unfrozen parameter on the same storage."""
    frozen = nn.Parameter(torch.rand(2), requires_grad=False)

    again = nn.Parameter(frozen)

    assert again is not frozen
    assert (type(again), again.requires_grad) == (nn.Parameter, True)
    assert again.data_ptr() == frozen.data_ptr()
    assert frozen.requires_grad is False


def test_integers_cannot_require_grad():
    """``nn.Parameter`` of an integer tensor raises ``RuntimeError`` unless ``requires_grad=False``.

    Whole numbers that belong to a module are better a buffer: see
    :meth:`~torch.nn.Module.register_buffer`.
    """
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
        values = torch.tensor([0, 1, 1]).to(dtype)
        with pytest.raises(
            RuntimeError, match="Only Tensors of floating point and complex dtype can require grad"
        ):
            nn.Parameter(values)

        counts = nn.Parameter(values, requires_grad=False)

        assert type(counts) is nn.Parameter
        assert counts.dtype == dtype


@pytest.mark.parametrize(("data", "kind"), [([1.5, 2.5], "list"), (1.5, "float")], ids=["list", "number"])
def test_data_is_a_tensor(data, kind):
    """``nn.Parameter([1.5, 2.5])``, with a list or a number instead of a tensor, raises ``AttributeError``.

    Wrap the values first: ``nn.Parameter(torch.tensor([1.5, 2.5]))``.
    """
    for requires_grad in (True, False):
        with pytest.raises(AttributeError, match=f"'{kind}' object has no attribute 'detach'"):
            nn.Parameter(data, requires_grad)


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
@pytest.mark.parametrize("requires_grad", [True, False], ids=["trained", "frozen"])
def test_results_are_plain_tensors(requires_grad, operation):
    """A tensor computed from an ``nn.Parameter`` is a plain tensor, which a module does not register.

    So ``self.weight = nn.Parameter(w) / 2`` leaves a module without the parameter. Compute first, then
    wrap.
    """
    weight = nn.Parameter(torch.rand(2, 3), requires_grad)
    net = nn.Module()

    net.result = operation(weight)
    net.wrapped = nn.Parameter(operation(weight))

    assert type(net.result) is torch.Tensor
    assert [name for name, _ in net.named_parameters()] == ["wrapped"]


def test_an_inplace_operation_returns_the_parameter():
    """Under ``torch.no_grad`` an in-place operation on an ``nn.Parameter`` returns that parameter, still a
    leaf.
    """
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))

    with torch.no_grad():
        result = weight.mul_(2)
        result -= 1

    assert result is weight
    assert type(weight) is nn.Parameter
    assert (weight.is_leaf, weight.requires_grad) == (True, True)
    assert weight.tolist() == [2.0, 4.0]


@pytest.mark.claim("N2-28")
@pytest.mark.parametrize(
    ("part", "name"),
    [(slice(0, 1), "SliceBackward0"), (slice(None), "SliceBackward0"), (0, "SelectBackward0")],
    ids=["rows", "everything", "one row"],
)
def test_a_slice_names_its_operation(part, name):
    """For an ``nn.Parameter``, ``p[0:1].grad_fn`` is ``SliceBackward0`` and ``p[0].grad_fn``
    ``SelectBackward0``.

    The ``0`` at the end belongs to the name on every release from 2.0 on.
    """
    weight = nn.Parameter(torch.rand(2, 3))

    assert weight[part].grad_fn.name() == name
    assert f"grad_fn=<{name}>" in repr(weight[part])


def test_repr_says_that_it_contains_a_tensor():
    """``repr`` of an ``nn.Parameter`` is ``Parameter containing:`` and, on the next line, the tensor."""
    assert repr(nn.Parameter(torch.tensor([1.5, 2.5]))) == (
        "Parameter containing:\ntensor([1.5000, 2.5000], requires_grad=True)"
    )


def test_repr_of_a_frozen_parameter():
    """A frozen ``nn.Parameter`` prints without ``requires_grad=True``."""
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))

    weight.requires_grad_(False)

    assert repr(weight) == "Parameter containing:\ntensor([1.5000, 2.5000])"


def test_attributes_of_the_tensor_are_lost():
    """``nn.Parameter(t)`` does not take over attributes set on ``t``, not even those of a parameter.

    Whoever replaces a weight so loses them, such as a ``weight_loader``. Assigning to ``weight.data`` keeps
    the parameter and its attributes.
    """
    tensor, weight = torch.tensor([1.0, 2.0]), nn.Parameter(torch.tensor([3.0, 4.0]))
    tensor.note = "shuffled"
    weight.note = "loaded"

    for new in (nn.Parameter(tensor), nn.Parameter(weight), nn.Parameter(weight, requires_grad=False)):
        assert not hasattr(new, "note")

    weight.data = tensor

    assert weight.note == "loaded"
    assert weight.tolist() == [1.0, 2.0]
