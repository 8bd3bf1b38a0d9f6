"""The functions of ``torch.nn.init`` that fill a tensor.

Each writes into the tensor it is given and returns that tensor. Autograd does not see it. This chapter has
the constants, the two plain distributions, and the older names without underscore.
"""

import pytest
import torch
from torch import nn

FILLERS = [
    pytest.param(nn.init.uniform_, {}, id="uniform_"),
    pytest.param(nn.init.normal_, {}, id="normal_"),
    pytest.param(nn.init.trunc_normal_, {}, id="trunc_normal_"),
    pytest.param(nn.init.trunc_normal_, {"a": 1.0, "b": 2.0}, id="trunc_normal_ of a tail"),
    pytest.param(nn.init.constant_, {"val": 0.3}, id="constant_"),
    pytest.param(nn.init.ones_, {}, id="ones_"),
    pytest.param(nn.init.zeros_, {}, id="zeros_"),
    pytest.param(nn.init.eye_, {}, id="eye_"),
    pytest.param(nn.init.xavier_uniform_, {}, id="xavier_uniform_"),
    pytest.param(nn.init.xavier_normal_, {}, id="xavier_normal_"),
    pytest.param(nn.init.kaiming_uniform_, {}, id="kaiming_uniform_"),
    pytest.param(nn.init.kaiming_normal_, {}, id="kaiming_normal_"),
    pytest.param(nn.init.orthogonal_, {}, id="orthogonal_"),
    pytest.param(nn.init.sparse_, {"sparsity": 0.5}, id="sparse_"),
]


@pytest.mark.claim("N2-26")
@pytest.mark.parametrize(("function", "arguments"), FILLERS)
def test_a_parameter_is_filled_in_place(function, arguments):
    """Functions such as :func:`nn.init.normal_ <torch.nn.init.normal_>` fill a parameter in place and return
    it; ``no_grad`` is not needed.

    So ``nn.init.normal_(layer.weight)`` is enough: the result need not be assigned.
    """
    weight = nn.Parameter(torch.full((3, 5), 50.0))
    memory = weight.data_ptr()

    result = function(weight, **arguments)

    assert result is weight
    assert weight.data_ptr() == memory
    assert (weight.requires_grad, weight.is_leaf, weight.grad_fn) == (True, True, None)
    assert weight.max().item() < 20


@pytest.mark.parametrize(("function", "arguments"), FILLERS)
def test_a_plain_tensor_is_filled_too(function, arguments):
    """Functions such as :func:`nn.init.normal_ <torch.nn.init.normal_>` also fill a plain tensor, for example
    one of ``float64``.
    """
    buffer = torch.full((3, 5), 50.0, dtype=torch.float64)

    assert function(buffer, **arguments) is buffer
    assert buffer.dtype == torch.float64
    assert buffer.max().item() < 20


@pytest.mark.parametrize(("function", "arguments"), FILLERS[:7])
def test_any_number_of_dimensions(function, arguments):
    """``nn.init.normal_``, ``uniform_``, ``trunc_normal_`` and constants fill tensors of any number of
    dimensions.

    So they suit a bias or a single number. Xavier and Kaiming initialization need two dimensions.
    """
    for sizes in ((), (3,), (3, 5), (2, 1, 3, 1, 2)):
        tensor = torch.full(sizes, 50.0)

        assert function(tensor, **arguments) is tensor
        assert tensor.shape == sizes
        assert tensor.max().item() < 20


def test_constant_and_its_two_short_forms():
    """:func:`nn.init.constant_ <torch.nn.init.constant_>` fills a tensor with a value,
    :func:`nn.init.ones_ <torch.nn.init.ones_>` with 1, :func:`nn.init.zeros_ <torch.nn.init.zeros_>` with
    0.
    """
    for value, dtype in ((0.1, torch.float64), (5, torch.int64)):
        tensors = torch.full((3, 2, 3), 7, dtype=dtype)

        nn.init.constant_(tensors[0], value)
        nn.init.ones_(tensors[1])
        nn.init.zeros_(tensors[2])

        assert tensors.tolist() == [[[number] * 3] * 2 for number in (value, 1, 0)]


def test_uniform_between_zero_and_one():
    """:func:`nn.init.uniform_ <torch.nn.init.uniform_>` draws values uniformly between 0 and 1 by default."""
    values = nn.init.uniform_(torch.empty(100, 100))

    assert values.min().item() >= 0
    assert values.max().item() < 1
    assert values.histc(5, 0, 1).tolist() == pytest.approx([2000] * 5, rel=0.1)


@pytest.mark.parametrize(("a", "b"), [(-7.0, -2.0), (3.0, 8.0)])
def test_uniform_takes_its_bounds(a, b):
    """``nn.init.uniform_(tensor, a, b)`` draws values uniformly between ``a`` and ``b``."""
    values = nn.init.uniform_(torch.empty(100, 100), a, b)

    assert values.min().item() >= a
    assert values.max().item() < b
    assert values.histc(5, a, b).tolist() == pytest.approx([2000] * 5, rel=0.1)


def test_normal_is_standard_normal():
    """:func:`nn.init.normal_ <torch.nn.init.normal_>` draws with mean 0 and standard deviation 1 by
    default.
    """
    values = nn.init.normal_(torch.empty(500, 1000))

    assert values.mean().item() == pytest.approx(0, abs=0.01)
    assert values.std().item() == pytest.approx(1, abs=0.01)
    assert (values.abs() < 1).float().mean().item() == pytest.approx(0.683, abs=0.01)


@pytest.mark.parametrize("mean", [7.0, -7.0])
def test_normal_takes_mean_and_deviation(mean):
    """``nn.init.normal_(tensor, mean, std)`` draws values with that mean and standard deviation."""
    values = nn.init.normal_(torch.empty(500, 1000), mean, 0.5)

    assert values.mean().item() == pytest.approx(mean, abs=0.01)
    assert values.std().item() == pytest.approx(0.5, abs=0.005)
    assert ((values - mean).abs() < 0.5).float().mean().item() == pytest.approx(0.683, abs=0.01)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (nn.init.uniform_, {"a": -2.0, "b": 7.0}),
        (nn.init.normal_, {"mean": 7.0, "std": 0.5}),
        (nn.init.constant_, {"val": 0.25}),
        (nn.init.kaiming_uniform_, {"a": 0.5, "mode": "fan_out", "nonlinearity": "relu"}),
    ],
)
def test_a_tensor_subclass_may_take_over(function, arguments):
    """``nn.init.normal_`` of a tensor subclass calls its ``__torch_function__`` with keyword arguments.

    So do ``uniform_``, ``constant_`` and ``kaiming_uniform_``. Of the other functions of
    :mod:`torch.nn.init` the subclass sees the operations on the tensor.
    """

    class Recording(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func, types, {name: kwargs[name] for name in ("tensor", *arguments)}

    tensor = torch.rand(2, 3).as_subclass(Recording)
    func, types, kwargs = function(tensor, *arguments.values())

    assert func is function
    assert set(types) == {Recording}
    assert kwargs.pop("tensor") is tensor
    assert kwargs == arguments

    class Operated(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func

    assert nn.init.ones_(torch.rand(2, 3).as_subclass(Operated)) is torch.Tensor.fill_


DEPRECATED = [
    ("uniform", nn.init.uniform_, (4, 5), (-2.0, 7.0)),
    ("normal", nn.init.normal_, (4, 5), (7.0, 0.5)),
    ("constant", nn.init.constant_, (4, 5), (0.25,)),
    ("eye", nn.init.eye_, (4, 5), ()),
    ("dirac", nn.init.dirac_, (4, 5, 3), (2,)),
    ("xavier_uniform", nn.init.xavier_uniform_, (4, 5), (3.0,)),
    ("xavier_normal", nn.init.xavier_normal_, (4, 5), (3.0,)),
    ("kaiming_uniform", nn.init.kaiming_uniform_, (4, 5), (0.5, "fan_out", "tanh")),
    ("kaiming_normal", nn.init.kaiming_normal_, (4, 5), (0.5, "fan_out", "tanh")),
    ("orthogonal", nn.init.orthogonal_, (4, 5), (3.0,)),
    ("sparse", nn.init.sparse_, (4, 5), (0.5, 3.0)),
]


@pytest.mark.since("2.4")
@pytest.mark.parametrize(
    ("name", "function", "sizes", "arguments"), DEPRECATED, ids=[row[0] for row in DEPRECATED]
)
def test_names_without_underscore_are_deprecated(name, function, sizes, arguments):
    """``nn.init.normal`` and other names without underscore warn with a ``FutureWarning``, but still work.

    They are :func:`~torch.nn.init.uniform`, :func:`~torch.nn.init.normal`,
    :func:`~torch.nn.init.constant`, :func:`~torch.nn.init.eye`, :func:`~torch.nn.init.dirac`,
    :func:`~torch.nn.init.xavier_uniform`, :func:`~torch.nn.init.xavier_normal`,
    :func:`~torch.nn.init.kaiming_uniform`, :func:`~torch.nn.init.kaiming_normal`,
    :func:`~torch.nn.init.orthogonal` and :func:`~torch.nn.init.sparse`.
    """
    weight, model, old = torch.rand(sizes), torch.rand(sizes), getattr(nn.init, name)
    torch.manual_seed(3)
    function(model, *arguments)

    torch.manual_seed(3)
    message = f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`"
    with pytest.warns(FutureWarning, match=message) as caught:
        result = old(weight, *arguments)

    assert result is weight
    assert result.tolist() == model.tolist()
    assert old.__name__ == name
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.before("2.4")
@pytest.mark.parametrize(
    ("name", "function", "sizes", "arguments"), DEPRECATED, ids=[row[0] for row in DEPRECATED]
)
def test_names_without_underscore_gave_a_user_warning(name, function, sizes, arguments):
    """``nn.init.normal`` and other names without underscore warn with a ``UserWarning``."""
    message = f"nn.init.{name} is now deprecated in favor of nn.init.{name}_"
    with pytest.warns(UserWarning, match=message) as caught:
        getattr(nn.init, name)(torch.rand(sizes), *arguments)

    assert [warning.category for warning in caught] == [UserWarning]
