"""What the functions of ``torch.nn.init`` refuse, and what they pass over."""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    "function",
    [nn.init.xavier_uniform_, nn.init.xavier_normal_, nn.init.kaiming_uniform_, nn.init.kaiming_normal_],
)
def test_a_vector_has_no_fans(function):
    """A vector has no fans: Xavier and Kaiming initialisation of it ends in a ``ValueError``.

    The usual culprit is a bias in a loop over all parameters.
    """
    with pytest.raises(
        ValueError, match="Fan in and fan out can not be computed for tensor with fewer than 2"
    ):
        function(nn.Linear(2, 3).bias)


@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
def test_an_unknown_mode(function):
    """An unknown ``mode`` ends in a ``ValueError`` that names it, in small letters, and those allowed."""
    with pytest.raises(ValueError) as caught:
        function(torch.empty(2, 3), mode="Fan_Avg")

    assert str(caught.value) == "Mode fan_avg not supported, please use one of ['fan_in', 'fan_out']"


@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
@pytest.mark.parametrize("sizes", [(0, 3), (3, 0)], ids=["no rows", "no columns"])
def test_kaiming_of_nothing_warns(function, sizes):
    """Kaiming initialisation of a tensor without elements does nothing, and warns of it."""
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
    """Xavier initialisation of a tensor without rows returns it without a word."""
    weight = torch.empty(0, 3)

    assert nn.init.xavier_uniform_(weight) is weight
    assert nn.init.xavier_normal_(weight) is weight


@pytest.mark.observed
def test_integers_cannot_be_drawn():
    """Drawing normal values into integers ends in a ``RuntimeError`` that names the type."""
    with pytest.raises(RuntimeError, match="not implemented for 'Long'"):
        nn.init.normal_(torch.zeros(3, dtype=torch.int64))
