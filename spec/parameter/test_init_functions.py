"""The functions of ``torch.nn.init`` that fill a tensor.

Each writes into the tensor it is given and returns that tensor. Autograd does not see it. This chapter has
the constants, the two plain distributions, and the older names without underscore.
"""

import pytest
import torch
from torch import nn

FILLERS = [
    pytest.param(lambda t: nn.init.uniform_(t), id="uniform_"),
    pytest.param(lambda t: nn.init.normal_(t), id="normal_"),
    pytest.param(lambda t: nn.init.trunc_normal_(t), id="trunc_normal_"),
    pytest.param(lambda t: nn.init.trunc_normal_(t, a=1.0, b=2.0), id="trunc_normal_ of a tail"),
    pytest.param(lambda t: nn.init.constant_(t, 0.3), id="constant_"),
    pytest.param(lambda t: nn.init.ones_(t), id="ones_"),
    pytest.param(lambda t: nn.init.zeros_(t), id="zeros_"),
    pytest.param(lambda t: nn.init.eye_(t), id="eye_"),
    pytest.param(lambda t: nn.init.xavier_uniform_(t), id="xavier_uniform_"),
    pytest.param(lambda t: nn.init.xavier_normal_(t), id="xavier_normal_"),
    pytest.param(lambda t: nn.init.kaiming_uniform_(t), id="kaiming_uniform_"),
    pytest.param(lambda t: nn.init.kaiming_normal_(t), id="kaiming_normal_"),
    pytest.param(lambda t: nn.init.orthogonal_(t), id="orthogonal_"),
    pytest.param(lambda t: nn.init.sparse_(t, 0.5), id="sparse_"),
]


@pytest.mark.claim("N2-26")
@pytest.mark.parametrize("fill", FILLERS)
def test_a_parameter_is_filled_in_place(fill):
    """A function of :mod:`torch.nn.init` fills a parameter in place, without ``no_grad``, and returns it."""
    weight = nn.Parameter(torch.full((3, 5), 50.0))

    result = fill(weight)

    assert result is weight
    assert (weight.requires_grad, weight.is_leaf, weight.grad_fn) == (True, True, None)
    assert weight.max().item() < 20


def test_a_plain_tensor_is_filled_too():
    """A plain tensor may be filled as well; its dtype is kept."""
    buffer = torch.zeros(2, 3, dtype=torch.float64)

    assert nn.init.ones_(buffer) is buffer
    assert (buffer.dtype, buffer.tolist()) == (torch.float64, [[1.0] * 3] * 2)


def test_constant_and_its_two_short_forms():
    """:func:`~torch.nn.init.constant_` fills with a value, :func:`~torch.nn.init.ones_` and
    :func:`~torch.nn.init.zeros_` with 1 and 0.
    """
    filled = [
        nn.init.constant_(torch.empty(2, 3), 0.25),
        nn.init.ones_(torch.empty(2, 3)),
        nn.init.zeros_(torch.rand(2, 3)),
    ]

    assert [t.tolist() for t in filled] == [[[value] * 3] * 2 for value in (0.25, 1.0, 0.0)]


def test_uniform_between_zero_and_one():
    """:func:`~torch.nn.init.uniform_` draws from 0 up to 1 unless told otherwise."""
    values = nn.init.uniform_(torch.empty(100, 100))

    torch.manual_seed(3)
    drawn = nn.init.uniform_(torch.empty(4, 5))
    torch.manual_seed(3)

    assert drawn.tolist() == torch.empty(4, 5).uniform_(0.0, 1.0).tolist()
    assert (values.min() >= 0, values.max() < 1, abs(values.mean() - 0.5) < 0.02) == (True, True, True)


def test_uniform_takes_its_bounds():
    """:func:`~torch.nn.init.uniform_` takes the lower and the upper bound."""
    torch.manual_seed(3)
    drawn = nn.init.uniform_(torch.empty(4, 5), -2.0, 7.0)
    torch.manual_seed(3)

    assert drawn.tolist() == torch.empty(4, 5).uniform_(-2.0, 7.0).tolist()


def test_normal_is_standard_normal():
    """:func:`~torch.nn.init.normal_` draws with mean 0 and standard deviation 1 unless told otherwise."""
    values = nn.init.normal_(torch.empty(100, 100))

    torch.manual_seed(3)
    drawn = nn.init.normal_(torch.empty(4, 5))
    torch.manual_seed(3)

    assert drawn.tolist() == torch.empty(4, 5).normal_(0.0, 1.0).tolist()
    assert (abs(values.mean().item()) < 0.05, abs(values.std().item() - 1) < 0.05) == (True, True)


def test_normal_takes_mean_and_deviation():
    """:func:`~torch.nn.init.normal_` takes the mean and the standard deviation."""
    torch.manual_seed(3)
    drawn = nn.init.normal_(torch.empty(4, 5), 7.0, 0.5)
    torch.manual_seed(3)

    assert drawn.tolist() == torch.empty(4, 5).normal_(7.0, 0.5).tolist()


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (nn.init.uniform_, {"a": -2.0, "b": 7.0}),
        (nn.init.normal_, {"mean": 7.0, "std": 0.5}),
        (nn.init.constant_, {"val": 0.25}),
        (nn.init.kaiming_uniform_, {"a": 0.5, "mode": "fan_out", "nonlinearity": "relu"}),
    ],
)
@pytest.mark.observed
def test_a_tensor_subclass_may_take_over(function, arguments):
    """A tensor subclass with ``__torch_function__`` is handed the call, with every argument by name."""

    class Recording(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func, types, {name: kwargs[name] for name in ("tensor", *arguments)}

    tensor = torch.rand(2, 3).as_subclass(Recording)
    func, types, kwargs = function(tensor, *arguments.values())

    assert (func, set(types)) == (function, {Recording})
    assert kwargs.pop("tensor") is tensor
    assert kwargs == arguments


DEPRECATED = [
    ("uniform", nn.init.uniform_, (-2.0, 7.0)),
    ("normal", nn.init.normal_, (7.0, 0.5)),
    ("constant", nn.init.constant_, (0.25,)),
    ("eye", nn.init.eye_, ()),
    ("xavier_uniform", nn.init.xavier_uniform_, (3.0,)),
    ("xavier_normal", nn.init.xavier_normal_, (3.0,)),
    ("kaiming_uniform", nn.init.kaiming_uniform_, (0.5, "fan_out")),
    ("kaiming_normal", nn.init.kaiming_normal_, (0.5, "fan_out")),
    ("orthogonal", nn.init.orthogonal_, (3.0,)),
    ("sparse", nn.init.sparse_, (0.5, 3.0)),
]


@pytest.mark.since("2.4")
@pytest.mark.parametrize(("name", "function", "arguments"), DEPRECATED, ids=[row[0] for row in DEPRECATED])
def test_names_without_underscore_are_deprecated(name, function, arguments):
    """The names without underscore give a ``FutureWarning``, and do what the others do.

    They are :func:`~torch.nn.init.uniform`, :func:`~torch.nn.init.normal`, :func:`~torch.nn.init.constant`,
    :func:`~torch.nn.init.eye`, :func:`~torch.nn.init.dirac`, :func:`~torch.nn.init.xavier_uniform`,
    :func:`~torch.nn.init.xavier_normal`, :func:`~torch.nn.init.kaiming_uniform`,
    :func:`~torch.nn.init.kaiming_normal`, :func:`~torch.nn.init.orthogonal` and
    :func:`~torch.nn.init.sparse`.
    """
    weight, old = torch.rand(4, 5), getattr(nn.init, name)
    torch.manual_seed(3)
    model = function(torch.rand(4, 5), *arguments)

    torch.manual_seed(3)
    torch.rand(4, 5)
    message = f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`"
    with pytest.warns(FutureWarning, match=message) as caught:
        result = old(weight, *arguments)

    assert (result is weight, result.tolist(), old.__name__) == (True, model.tolist(), name)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.before("2.4")
@pytest.mark.parametrize("name", [row[0] for row in DEPRECATED])
def test_names_without_underscore_gave_a_user_warning(name):
    """The names without underscore give a ``UserWarning``."""
    arguments = {row[0]: row[2] for row in DEPRECATED}[name]

    with pytest.warns(
        UserWarning, match=f"nn.init.{name} is now deprecated in favor of nn.init.{name}_"
    ) as caught:
        getattr(nn.init, name)(torch.rand(4, 5), *arguments)

    assert [warning.category for warning in caught] == [UserWarning]
