"""What is asked of a parametrization.

A parametrized tensor keeps its dtype and shape. That is looked at when a parametrization is registered,
unless it is registered with ``unsafe=True``, and to a part when a value is assigned.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import (
    ParametrizationList,
    is_parametrized,
    register_parametrization,
)


class Custom(nn.Module):
    def __init__(self, forward, right_inverse=lambda x: x):
        super().__init__()
        self.forward, self.right_inverse = forward, right_inverse


class Noting(nn.Module):
    def __init__(self, calls, name=""):
        super().__init__()
        self.calls, self.name = calls, name

    def forward(self, x):
        self.calls.append(f"{self.name}forward")
        return x

    def right_inverse(self, x):
        self.calls.append(f"{self.name}inverse")
        return x


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (lambda x: [x], r"A parametrization must return a tensor\. Got list\."),
        (lambda x: x.double(), r"(?s)may not change the dtype.*torch\.float32.*torch\.float64"),
        (lambda x: x.T, r"(?s)may not change the shape.*torch\.Size\(\[1, 2\]\).*torch\.Size\(\[2, 1\]\)"),
    ],
    ids=["no tensor", "dtype", "shape"],
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_the_result_keeps_type_dtype_and_shape(forward, told, first):
    """By default ``register_parametrization`` raises ``ValueError`` if ``forward`` changes the dtype or
    shape.

    So it does if ``forward`` does not return a tensor. With ``unsafe=True`` nothing is checked.
    """
    layer = nn.Linear(2, 1)
    layer.register_buffer("scale", torch.rand(1, 2))

    for name in ("weight", "scale"):
        if not first:
            register_parametrization(layer, name, nn.Identity())
        with pytest.raises(ValueError, match=told):
            register_parametrization(layer, name, Custom(forward))
        register_parametrization(layer, name, Custom(forward), unsafe=True)
        assert len(layer.parametrizations[name]) == (1 if first else 2)


def test_a_refused_parametrization_leaves_the_module_alone():
    """If a module's first ``register_parametrization`` raises, the module keeps its class and parameter."""
    layer = nn.Linear(2, 1)
    weight, value = layer.weight, layer.weight.tolist()

    with pytest.raises(ValueError, match="shape"):
        register_parametrization(layer, "weight", nn.Flatten(0))
    with pytest.raises(ValueError, match="must return a tensor"):
        register_parametrization(layer, "weight", Custom(lambda x: [x]))
    with pytest.raises(ZeroDivisionError, match="division"):
        register_parametrization(layer, "weight", Custom(lambda x: 1 / 0))

    assert type(layer) is nn.Linear
    assert is_parametrized(layer) is False
    assert layer.weight is weight
    assert weight.tolist() == value


def test_a_refused_parametrization_may_change_the_value():
    """If ``register_parametrization`` raises ``ValueError`` for a shape, the parameter may hold
    ``right_inverse(x)``.

    The result of ``forward`` is checked only after the value is set. Go on with a copy, or load the weights
    again.
    """
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))

    with pytest.raises(ValueError, match="shape"):
        register_parametrization(layer, "weight", Custom(torch.Tensor.flatten, lambda x: x * 10.0))

    assert is_parametrized(layer) is False
    assert layer.weight.tolist() == [[20.0, -30.0]]


def test_a_refused_second_one_leaves_the_first():
    """A second ``register_parametrization`` that raises adds nothing; the first parametrization stays."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())
    before = layer.weight.tolist()

    for refused in (nn.Flatten(0), Custom(torch.neg, torch.Tensor.flatten)):
        with pytest.raises(ValueError, match="shape"):
            register_parametrization(layer, "weight", refused)

    assert [type(module) for module in layer.parametrizations.weight] == [nn.Tanh]
    assert layer.weight.tolist() == before


def test_a_first_inverse_keeps_dtype():
    """A first ``register_parametrization`` raises ``ValueError`` if ``right_inverse`` gives a tensor of
    another dtype.

    ``unsafe=True`` does not help: the tensor is set as the value of the parameter.
    """
    inverse = Custom(torch.Tensor.float, torch.Tensor.double)

    for name, unsafe in (("weight", False), ("weight", True), ("running_mean", False)):
        with pytest.raises(
            ValueError, match=r"(?s)outputs one tensor, it may not change the dtype.*float32.*float64"
        ):
            register_parametrization(nn.BatchNorm1d(2), name, inverse, unsafe=unsafe)


@pytest.mark.since("2.10")
def test_a_first_inverse_keeps_the_device():
    """A first ``register_parametrization`` raises ``ValueError`` if ``right_inverse`` changes the
    tensor's device.
    """
    inverse = Custom(lambda x: x, lambda x: x.to("meta"))

    for name, unsafe in (("weight", False), ("weight", True), ("running_mean", False)):
        with pytest.raises(ValueError, match=r"(?s)may not change the device.*original\.device: cpu.*: meta"):
            register_parametrization(nn.BatchNorm1d(2), name, inverse, unsafe=unsafe)


@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_an_inverse_returns_tensors(first):
    """``register_parametrization`` raises ``ValueError`` if ``right_inverse`` returns a float, not a
    tensor.
    """
    layer = nn.Linear(2, 1)
    if not first:
        register_parametrization(layer, "weight", nn.Identity())

    for unsafe in (False, first):
        with pytest.raises(ValueError, match=r"(?s)right_inverse.* must return a .*Got:? float"):
            register_parametrization(layer, "weight", Custom(lambda x: x, lambda x: 3.0), unsafe=unsafe)


def test_a_later_inverse_returns_one_tensor():
    """By default a second ``register_parametrization`` raises ``ValueError`` if ``right_inverse`` returns
    a tuple.
    """
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Identity())
    once, twice = Custom(lambda x: x, lambda x: (x,)), Custom(lambda x: x, lambda x: (x, x))

    for given in (once, twice):
        with pytest.raises(ValueError, match=r"right_inverse must return a tensor\. Got: tuple"):
            register_parametrization(layer, "weight", given)
    register_parametrization(layer, "weight", twice, unsafe=True)
    assert layer.parametrizations.weight[1] is twice


@pytest.mark.parametrize(
    ("inverse", "told"),
    [
        (torch.Tensor.double, r"(?s)must have the same dtype as module\.weight.*torch\.float32.*float64"),
        (lambda x: x.T, r"(?s)must have the same shape as module\.weight.*\[1, 2\].*\[2, 1\]"),
    ],
    ids=["dtype", "shape"],
)
def test_a_later_inverse_keeps_dtype_and_shape(inverse, told):
    """A second ``register_parametrization`` raises ``ValueError`` if ``right_inverse`` changes dtype or
    shape.

    With ``unsafe=True`` it does not.
    """
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Identity())

    with pytest.raises(ValueError, match=told):
        register_parametrization(layer, "weight", Custom(lambda x: x, inverse))
    assert len(layer.parametrizations.weight) == 1
    register_parametrization(layer, "weight", Custom(lambda x: x, inverse), unsafe=True)
    assert len(layer.parametrizations.weight) == 2


def test_elements_of_a_sequence_are_tensors():
    """``register_parametrization`` raises ``ValueError`` if ``right_inverse`` returns a tuple with a number
    in it.
    """
    for place, kind, parts in ((1, "float", lambda x: (x, 3.0)), (0, "int", lambda x: (3, x))):
        for unsafe in (False, True):
            with pytest.raises(ValueError, match=rf"Got element {place} of the sequence with type {kind}\."):
                register_parametrization(nn.Linear(2, 1), "weight", Custom(torch.add, parts), unsafe=unsafe)


def test_unsafe_allows_another_dtype_and_shape():
    """``register_parametrization(unsafe=True)`` allows a parametrization to change the dtype and shape."""
    layer = nn.Linear(2, 1, bias=False)
    register_parametrization(layer, "weight", Custom(lambda x: x.T.double()), unsafe=True)

    assert (layer.weight.dtype, layer.weight.shape) == (torch.float64, (2, 1))
    original = layer.parametrizations.weight.original
    assert (original.dtype, original.shape) == (torch.float32, (1, 2))

    register_parametrization(layer, "weight", Custom(lambda x: x.flatten().half()), unsafe=True)
    assert (layer.weight.dtype, layer.weight.shape) == (torch.float16, (2,))


def test_unsafe_does_not_compute_at_registration():
    """With ``unsafe=True`` a first ``register_parametrization`` calls ``right_inverse``, but not ``forward``.

    A second one calls neither.
    """
    calls = []
    layer = nn.Linear(2, 1)

    register_parametrization(layer, "weight", Noting(calls, "first "), unsafe=True)
    register_parametrization(layer, "weight", Noting(calls, "second "), unsafe=True)
    assert calls == ["first inverse"]

    two = Custom(lambda a, b: calls.append("forward"), lambda x: calls.append("two") or [x, x])
    register_parametrization(nn.Linear(2, 1), "weight", two, unsafe=True)
    assert calls == ["first inverse", "two"]


def test_a_safe_registration_runs_both_once():
    """By default a first ``register_parametrization`` calls ``right_inverse`` before ``forward``, a second
    one after.

    What the ``right_inverse`` of a later parametrization returns is discarded.
    """
    calls = []
    layer = nn.Linear(2, 1)

    register_parametrization(layer, "weight", Noting(calls, "first "))
    assert calls == ["first inverse", "first forward"]

    register_parametrization(layer, "weight", Noting(calls, "second "))
    assert calls[2:] == ["first forward", "second forward", "second inverse"]

    two = Custom(lambda a, b: calls.append("sum") or a + b, lambda x: calls.append("two") or [x, x])
    register_parametrization(nn.Linear(2, 1), "weight", two)
    assert calls[5:] == ["two", "sum"]

    before = layer.weight.tolist()
    register_parametrization(layer, "weight", Custom(lambda x: x, lambda x: x + 10.0))
    assert layer.weight.tolist() == before


@pytest.mark.parametrize("flags", [(True, False), (False, True)])
def test_unsafe_once_is_unsafe_for_good(flags):
    """A ``ParametrizationList`` is ``unsafe`` if any of its parametrizations was registered with
    ``unsafe=True``.
    """
    layer = nn.Linear(2, 1)
    for unsafe in flags:
        register_parametrization(layer, "weight", nn.ReLU(), unsafe=unsafe)

    assert layer.parametrizations.weight.unsafe is True


def test_safe_by_default():
    """A ``ParametrizationList`` has ``unsafe=False`` by default."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())
    register_parametrization(layer, "weight", nn.ReLU())

    assert layer.parametrizations.weight.unsafe is False
    assert ParametrizationList([nn.ReLU()], torch.rand(2)).unsafe is False


def test_a_list_has_at_least_one():
    """Creating a :class:`~torch.nn.utils.parametrize.ParametrizationList` without any module raises
    ``ValueError``.
    """
    with pytest.raises(ValueError, match="ParametrizationList requires one or more modules"):
        ParametrizationList([], torch.rand(2))


@pytest.mark.parametrize(
    ("number", "later", "told"),
    [
        (1, [3.0], r"`right_inverse` should return a tensor\. Got list"),
        (1, (torch.rand(1, 2),), r"`right_inverse` should return a tensor\. Got tuple"),
        (1, torch.rand(1, 2).double(), r"dtype torch\.float64 while `original` has dtype torch\.float32"),
        (2, [torch.rand(1, 2), torch.rand(1, 2).double()], r"float64 while `original1` has dtype .*float32"),
    ],
    ids=["no tensor", "a tuple", "dtype", "dtype of the second"],
)
def test_assigning_takes_a_tensor_of_the_dtype(number, later, told):
    """Assigning to a parametrized weight raises ``ValueError`` if ``right_inverse`` changes the type or
    dtype.

    The shape is not checked.
    """
    first, shorter = torch.rand(1, 2), torch.rand(5)
    answers = [first if number == 1 else [first, first], later]
    layer = nn.Linear(2, 1)
    register_parametrization(layer, "weight", Custom(lambda *x: x[-1], lambda x: answers.pop(0)))

    with pytest.raises(ValueError, match=told):
        layer.weight = torch.rand(1, 2)

    answers.append(shorter if number == 1 else [shorter, shorter])
    layer.weight = torch.rand(1, 2)
    assert layer.weight.shape == (5,)


@pytest.mark.parametrize(
    ("later", "told"),
    [
        (torch.rand(2), r"must return a sequence of tensors\. Got Tensor"),
        ([torch.rand(1, 2)], r"sequence of tensors of length 2\. Got a sequence of length 1"),
        ([torch.rand(1, 2)] * 3, r"sequence of tensors of length 2\. Got a sequence of length 3"),
        ([torch.rand(1, 2), 3.0], r"must return a sequence of tensors.* Got element 1 of type float"),
        (
            [torch.rand(1, 2), torch.rand(1, 2).double()],
            r"Tensor 1 returned by `right_inverse` has dtype torch\.float64 while `original1` has",
        ),
    ],
    ids=["no sequence", "too few", "too many", "no tensor", "dtype"],
)
def test_assigning_takes_as_many_tensors(later, told):
    """Assigning to a parametrized weight raises ``ValueError`` if ``right_inverse`` gives more or fewer
    originals.

    Each has to be a tensor of the dtype of its original.
    """
    answers = [[torch.rand(1, 2), torch.rand(1, 2)], later]
    layer = nn.Linear(2, 1)
    register_parametrization(layer, "weight", Custom(lambda a, b: a + b, lambda x: answers.pop(0)))

    with pytest.raises(ValueError, match=told):
        layer.weight = torch.rand(1, 2)
