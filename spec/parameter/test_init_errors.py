"""What the functions of ``torch.nn.init`` refuse, and what they pass over.

A tensor whose shape does not suit a function raises an error. A tensor without elements, or without memory,
is returned as it is.
"""

import warnings

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    "function",
    [nn.init.xavier_uniform_, nn.init.xavier_normal_, nn.init.kaiming_uniform_, nn.init.kaiming_normal_],
)
def test_a_vector_has_no_fans(function):
    """A vector has no fans: Xavier and Kaiming initialisation of it raises ``ValueError``.

    Often it is a bias, met in a loop over all parameters.
    """
    with pytest.raises(
        ValueError, match="Fan in and fan out can not be computed for tensor with fewer than 2"
    ):
        function(nn.Linear(2, 3).bias)


@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
def test_an_unknown_mode(function):
    """An unknown ``mode`` raises a ``ValueError`` that names it, in small letters, and those allowed."""
    with pytest.raises(ValueError) as caught:
        function(torch.empty(2, 3), mode="Fan_Avg")

    assert str(caught.value) == "Mode fan_avg not supported, please use one of ['fan_in', 'fan_out']"


@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
@pytest.mark.parametrize("sizes", [(0, 3), (3, 0)], ids=["no rows", "no columns"])
def test_kaiming_of_nothing_warns(function, sizes):
    """Kaiming initialisation of a tensor without elements does nothing, and gives a ``UserWarning``."""
    weight = torch.empty(sizes)

    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        result = function(weight)

    assert result is weight


@pytest.mark.since("2.10")
@pytest.mark.observed
@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
def test_the_warning_points_at_the_caller(function):
    """The warning about a tensor without elements points at the line that called the function."""
    with pytest.warns(UserWarning, match="zero-element") as caught:
        function(torch.empty(0, 3))

    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.before("2.10")
@pytest.mark.observed
@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
def test_the_warning_pointed_into_torch(function):
    """The warning about a tensor without elements points into torch itself."""
    with pytest.warns(UserWarning, match="zero-element") as caught:
        function(torch.empty(0, 3))

    assert [warning.filename for warning in caught] == [nn.init.__file__]


def test_xavier_of_nothing():
    """Xavier initialisation of a tensor without rows returns it and gives no warning."""
    weight = torch.empty(0, 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [nn.init.xavier_uniform_(weight), nn.init.xavier_normal_(weight)]

    assert [result is weight for result in results] == [True, True]
    assert caught == []


@pytest.mark.parametrize(
    "fill",
    [nn.init.eye_, nn.init.ones_, nn.init.orthogonal_, nn.init.kaiming_normal_, nn.init.trunc_normal_],
)
def test_a_meta_tensor_is_returned(fill):
    """On the meta device the functions of :mod:`torch.nn.init` do nothing and return the tensor."""
    weight = torch.empty(3, 5, device="meta")

    assert fill(weight) is weight
    assert (nn.init.dirac_(weight[None]).shape, nn.init.sparse_(weight, 0.5) is weight) == ((1, 3, 5), True)


@pytest.mark.since("2.12")
@pytest.mark.observed
def test_sparse_on_meta_draws_nothing():
    """:func:`~torch.nn.init.sparse_` of a meta tensor leaves the random state alone."""
    before = torch.get_rng_state()

    nn.init.sparse_(torch.empty(4, 3, device="meta"), 0.5)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.before("2.12")
@pytest.mark.observed
def test_sparse_on_meta_draws_all_the_same():
    """Filling a meta tensor sparsely moves the random state on, though no value is kept."""
    before = torch.get_rng_state()

    nn.init.sparse_(torch.empty(4, 3, device="meta"), 0.5)

    assert not torch.equal(torch.get_rng_state(), before)


@pytest.mark.observed
def test_integers_cannot_be_drawn():
    """Drawing normal values into integers raises a ``RuntimeError`` that names the type."""
    with pytest.raises(RuntimeError, match="not implemented for 'Long'"):
        nn.init.normal_(torch.zeros(3, dtype=torch.int64))
