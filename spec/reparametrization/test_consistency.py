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
    """A parametrization that changes dtype or shape, or gives no tensor, raises ``ValueError``."""
    layer = nn.Linear(2, 1)
    if not first:
        register_parametrization(layer, "weight", nn.Identity())

    with pytest.raises(ValueError, match=told):
        register_parametrization(layer, "weight", Custom(forward))


def test_a_refused_parametrization_leaves_the_module_alone():
    """A module keeps its parameter and its class when its first parametrization is refused."""
    layer = nn.Linear(2, 1)
    weight = layer.weight

    with pytest.raises(ValueError, match="shape"):
        register_parametrization(layer, "weight", nn.Flatten(0))

    assert (type(layer), is_parametrized(layer)) == (nn.Linear, False)
    assert layer.weight is weight


def test_a_refused_second_one_leaves_the_first():
    """A second parametrization that is refused is not added to the first."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh())

    with pytest.raises(ValueError, match="shape"):
        register_parametrization(layer, "weight", nn.Flatten(0))

    assert [type(module) for module in layer.parametrizations.weight] == [nn.Tanh]


def test_a_first_inverse_keeps_dtype():
    """The first ``right_inverse`` raises ``ValueError`` if its one tensor has another dtype."""
    with pytest.raises(
        ValueError, match=r"(?s)outputs one tensor, it may not change the dtype.*float32.*float64"
    ):
        register_parametrization(nn.Linear(2, 1), "weight", Custom(lambda x: x.float(), torch.Tensor.double))


@pytest.mark.since("2.10")
def test_a_first_inverse_keeps_the_device():
    """The first ``right_inverse`` raises ``ValueError`` if its one tensor is on another device."""
    inverse = Custom(lambda x: x, lambda x: x.to("meta"))

    with pytest.raises(ValueError, match=r"(?s)may not change the device.*original\.device: cpu.*: meta"):
        register_parametrization(nn.Linear(2, 1), "weight", inverse)


@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_an_inverse_returns_tensors(first):
    """A ``right_inverse`` that returns no tensor raises ``ValueError`` with the type."""
    layer = nn.Linear(2, 1)
    if not first:
        register_parametrization(layer, "weight", nn.Identity())

    with pytest.raises(ValueError, match=r"(?s)right_inverse.* must return a .*Got:? float"):
        register_parametrization(layer, "weight", Custom(lambda x: x, lambda x: 3.0))


def test_a_later_inverse_returns_one_tensor():
    """The ``right_inverse`` of a later parametrization may not return a tuple."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Identity())

    with pytest.raises(ValueError, match=r"parametrization\.right_inverse must return a tensor\. Got: tuple"):
        register_parametrization(layer, "weight", Custom(lambda x: x, lambda x: (x, x)))


@pytest.mark.parametrize(
    ("inverse", "told"),
    [
        (torch.Tensor.double, r"(?s)must have the same dtype as module\.weight.*torch\.float32.*float64"),
        (lambda x: x.T, r"(?s)must have the same shape as module\.weight.*\[1, 2\].*\[2, 1\]"),
    ],
    ids=["dtype", "shape"],
)
def test_a_later_inverse_keeps_dtype_and_shape(inverse, told):
    """The ``right_inverse`` of a later parametrization may change neither dtype nor shape."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.Identity())

    with pytest.raises(ValueError, match=told):
        register_parametrization(layer, "weight", Custom(lambda x: x, inverse))


def test_elements_of_a_sequence_are_tensors():
    """A sequence from ``right_inverse`` with something else than tensors raises ``ValueError``."""
    with pytest.raises(ValueError, match=r"Got element 1 of the sequence with type float\."):
        register_parametrization(nn.Linear(2, 1), "weight", Custom(lambda a, b: a, lambda x: (x, 3.0)))


def test_unsafe_allows_another_dtype_and_shape():
    """With ``unsafe=True`` a parametrization may change dtype and shape."""
    layer = nn.Linear(2, 1, bias=False)
    register_parametrization(layer, "weight", Custom(lambda x: x.T.double()), unsafe=True)

    assert (layer.weight.dtype, layer.weight.shape) == (torch.float64, (2, 1))
    assert layer.parametrizations.weight.original.shape == (1, 2)


def test_unsafe_does_not_compute_at_registration():
    """With ``unsafe=True`` registering does not run ``forward``; a first ``right_inverse`` is run."""
    calls = []
    layer = nn.Linear(2, 1)

    for name in ("first", "second"):
        forward = lambda x, name=name: calls.append(f"{name} forward") or x  # noqa: E731
        inverse = lambda x, name=name: calls.append(f"{name} inverse") or x  # noqa: E731
        register_parametrization(layer, "weight", Custom(forward, inverse), unsafe=True)

    assert calls == ["first inverse"]


def test_a_safe_registration_runs_both_once():
    """Without ``unsafe`` registering runs ``right_inverse`` and then ``forward``, once each."""
    calls = []
    forward = lambda x: calls.append("forward") or x  # noqa: E731
    inverse = lambda x: calls.append("inverse") or x  # noqa: E731

    register_parametrization(nn.Linear(2, 1), "weight", Custom(forward, inverse))

    assert calls == ["inverse", "forward"]


@pytest.mark.parametrize("flags", [(True, False), (False, True)])
@pytest.mark.observed
def test_unsafe_once_is_unsafe_for_good(flags):
    """A list of parametrizations is unsafe once one of them was registered so."""
    layer = nn.Linear(2, 1)
    for unsafe in flags:
        register_parametrization(layer, "weight", nn.ReLU(), unsafe=unsafe)

    assert layer.parametrizations.weight.unsafe is True


@pytest.mark.observed
def test_safe_by_default():
    """A list of parametrizations is safe unless told."""
    layer = register_parametrization(nn.Linear(2, 1), "weight", nn.ReLU())
    register_parametrization(layer, "weight", nn.ReLU())

    assert layer.parametrizations.weight.unsafe is False
    assert ParametrizationList([nn.ReLU()], torch.rand(2)).unsafe is False


def test_a_list_has_at_least_one():
    """A :class:`~torch.nn.utils.parametrize.ParametrizationList` of nothing raises ``ValueError``."""
    with pytest.raises(ValueError, match="ParametrizationList requires one or more modules"):
        ParametrizationList([], torch.rand(2))


@pytest.mark.parametrize(
    ("later", "told"),
    [
        ([3.0], r"`right_inverse` should return a tensor\. Got list"),
        (torch.rand(1, 2).double(), r"dtype torch\.float64 while `original` has dtype torch\.float32"),
    ],
    ids=["no tensor", "dtype"],
)
def test_assigning_takes_a_tensor_of_the_dtype(later, told):
    """Assigning raises ``ValueError`` if ``right_inverse`` returns other than a tensor of that dtype."""
    answers = [torch.rand(1, 2), later]
    layer = nn.Linear(2, 1)
    register_parametrization(layer, "weight", Custom(lambda x: x, lambda x: answers.pop(0)))

    with pytest.raises(ValueError, match=told):
        layer.weight = torch.rand(1, 2)


@pytest.mark.parametrize(
    ("later", "told"),
    [
        (torch.rand(2), r"must return a sequence of tensors\. Got Tensor"),
        ([torch.rand(1, 2)], r"sequence of tensors of length 2\. Got a sequence of length 1"),
        ([torch.rand(1, 2), 3.0], r"must return a sequence of tensors.* Got element 1 of type float"),
        (
            [torch.rand(1, 2), torch.rand(1, 2).double()],
            r"Tensor 1 returned by `right_inverse` has dtype torch\.float64 while `original1` has",
        ),
    ],
    ids=["no sequence", "length", "no tensor", "dtype"],
)
def test_assigning_takes_as_many_tensors(later, told):
    """Assigning raises ``ValueError`` if ``right_inverse`` returns other than as many such tensors."""
    answers = [[torch.rand(1, 2), torch.rand(1, 2)], later]
    layer = nn.Linear(2, 1)
    register_parametrization(layer, "weight", Custom(lambda a, b: a + b, lambda x: answers.pop(0)))

    with pytest.raises(ValueError, match=told):
        layer.weight = torch.rand(1, 2)
