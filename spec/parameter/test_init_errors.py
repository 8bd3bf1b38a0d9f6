"""What the functions of ``torch.nn.init`` raise errors for, and what they leave unchanged.

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
    """``nn.init.xavier_uniform_`` and ``kaiming_uniform_`` raise ``ValueError`` for a 1-D tensor, such as a
    bias.

    It comes up in a loop over all parameters. Skip parameters with fewer than two dimensions.
    """
    layer = nn.Linear(2, 3)

    for vector in (layer.bias, torch.empty(3)):
        with pytest.raises(
            ValueError, match="Fan in and fan out can not be computed for tensor with fewer than 2"
        ):
            function(vector)

    assert function(layer.weight) is layer.weight


@pytest.mark.parametrize("shape", [(2, 3), (4, 3, 2, 2)], ids=str)
@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
def test_an_unknown_mode(function, shape):
    """``nn.init.kaiming_uniform_`` raises ``ValueError`` for an unknown ``mode``, such as ``fan_avg``."""
    with pytest.raises(
        ValueError, match=r"^Mode fan_avg not supported, please use one of \['fan_in', 'fan_out'\]$"
    ):
        function(torch.empty(shape), mode="Fan_Avg")


@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
def test_kaiming_knows_few_nonlinearities(function):
    """``kaiming_uniform_`` and ``kaiming_normal_`` raise ``ValueError`` for ``nonlinearity="gelu"``.

    They take the names that :func:`~torch.nn.init.calculate_gain` knows. For functions like a ReLU, such as
    gelu or silu, ``"relu"`` is near enough. See :func:`~torch.nn.init.kaiming_uniform_` and
    :func:`~torch.nn.init.kaiming_normal_`.
    """
    weight = torch.full((3, 2), 7.0)

    for name in ("gelu", "silu", "elu", "hardtanh"):
        assert callable(getattr(nn.functional, name))
        with pytest.raises(ValueError, match=f"^Unsupported nonlinearity {name}$"):
            function(weight, nonlinearity=name)

    assert weight.tolist() == [[7.0, 7.0]] * 3
    assert function(weight, nonlinearity="relu").abs().max().item() < 7


@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
@pytest.mark.parametrize("sizes", [(0, 3), (3, 0)], ids=["no rows", "no columns"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
def test_kaiming_of_nothing_warns(mode, function, sizes):
    """``nn.init.kaiming_uniform_`` of an empty tensor does nothing and warns with a ``UserWarning``."""
    weight, before = torch.empty(sizes), torch.get_rng_state()

    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        result = function(weight, mode=mode)

    assert result is weight
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.since("2.10")
@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
@pytest.mark.parametrize("options", [{}, {"mode": "fan_out"}], ids=["fan_in", "fan_out"])
def test_the_warning_points_at_the_caller(function, options):
    """The empty-tensor warning of ``nn.init.kaiming_uniform_`` points to the caller's file."""
    with pytest.warns(UserWarning, match="zero-element") as caught:
        function(torch.empty(0, 3), **options)

    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.before("2.10")
@pytest.mark.parametrize("function", [nn.init.kaiming_uniform_, nn.init.kaiming_normal_])
@pytest.mark.parametrize("options", [{}, {"mode": "fan_out"}], ids=["fan_in", "fan_out"])
def test_the_warning_pointed_into_torch(function, options):
    """The empty-tensor warning of ``nn.init.kaiming_uniform_`` points to a file of torch itself."""
    with pytest.warns(UserWarning, match="zero-element") as caught:
        function(torch.empty(0, 3), **options)

    assert [warning.filename for warning in caught] == [nn.init.__file__]


def test_xavier_of_nothing():
    """``nn.init.xavier_uniform_`` does not warn for a tensor without rows, unlike ``kaiming_uniform_``."""
    weight = torch.empty(0, 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [nn.init.xavier_uniform_(weight), nn.init.xavier_normal_(weight)]
        silent = len(caught)
        nn.init.kaiming_uniform_(weight)

    assert [result is weight for result in results] == [True, True]
    assert [silent, len(caught)] == [0, 1]


@pytest.mark.parametrize(
    ("function", "arguments", "sizes"),
    [
        (nn.init.uniform_, (), (0, 3)),
        (nn.init.normal_, (), (3, 0)),
        (nn.init.trunc_normal_, (), (0, 3)),
        (nn.init.constant_, (2.0,), (0,)),
        (nn.init.ones_, (), (0,)),
        (nn.init.zeros_, (), (0,)),
        (nn.init.eye_, (), (0, 3)),
        (nn.init.xavier_normal_, (), (3, 0)),
        (nn.init.xavier_uniform_, (), (3, 0)),
        (nn.init.kaiming_normal_, (), (3, 0)),
        (nn.init.kaiming_uniform_, (), (3, 0)),
        (nn.init.orthogonal_, (), (3, 0)),
        (nn.init.sparse_, (0.5,), (0, 3)),
        (nn.init.dirac_, (), (0, 3, 3)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_tensor_without_elements_is_returned(function, arguments, sizes):
    """The functions of :mod:`torch.nn.init` accept a tensor without rows or columns and return it.

    The Kaiming functions warn besides: see :ref:`parameter.init_errors.kaiming_of_nothing_warns`.
    """
    for shape in (sizes, sizes[1::-1] + sizes[2:]):
        weight = torch.empty(shape)
        assert function(weight, *arguments) is weight
        assert weight.shape == shape


@pytest.mark.parametrize(
    ("function", "arguments", "sizes"),
    [
        (nn.init.uniform_, (), (3, 5)),
        (nn.init.normal_, (), (3, 5)),
        (nn.init.constant_, (2.0,), (3, 5)),
        (nn.init.ones_, (), (3, 5)),
        (nn.init.zeros_, (), (3, 5)),
        (nn.init.eye_, (), (3, 5)),
        (nn.init.xavier_uniform_, (), (3, 5)),
        (nn.init.xavier_normal_, (), (3, 5)),
        (nn.init.kaiming_uniform_, (), (3, 5)),
        (nn.init.kaiming_normal_, (), (3, 5)),
        (nn.init.trunc_normal_, (), (3, 5)),
        (nn.init.orthogonal_, (), (3, 5)),
        (nn.init.sparse_, (0.5,), (3, 5)),
        (nn.init.dirac_, (), (3, 5, 2)),
    ],
)
def test_a_meta_tensor_is_returned(function, arguments, sizes):
    """The functions of :mod:`torch.nn.init` accept a tensor on the meta device and return it.

    Nothing is written, as there is no memory: initialize a model on the meta device after ``to_empty``,
    not before.
    """
    weight = torch.empty(sizes, device="meta")

    assert function(weight, *arguments) is weight


@pytest.mark.since("2.12")
def test_sparse_on_meta_draws_nothing():
    """:func:`nn.init.sparse_ <torch.nn.init.sparse_>` of a tensor on the meta device uses no random
    numbers.
    """
    before = torch.get_rng_state()

    nn.init.sparse_(torch.empty(4, 3, device="meta"), 0.5)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.before("2.12")
def test_sparse_on_meta_draws_all_the_same():
    """:func:`nn.init.sparse_ <torch.nn.init.sparse_>` of a tensor on the meta device advances the random
    state, but stores no values.
    """
    before = torch.get_rng_state()

    nn.init.sparse_(torch.empty(4, 3, device="meta"), 0.5)

    assert not torch.equal(torch.get_rng_state(), before)


def test_integers_cannot_be_drawn():
    """:func:`nn.init.normal_ <torch.nn.init.normal_>` of an integer tensor raises a ``RuntimeError`` that
    names the type.
    """
    types = {"Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8}
    for name, dtype in {**types, "Byte": torch.uint8}.items():
        with pytest.raises(RuntimeError, match=f"not implemented for '{name}'"):
            nn.init.normal_(torch.zeros(3, dtype=dtype))
