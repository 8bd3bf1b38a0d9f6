"""Weight normalisation by a hook.

:func:`torch.nn.utils.weight_norm` is the form before parametrizations: a hook computes the weight at each
call.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import remove_weight_norm, weight_norm
from torch.nn.utils.weight_norm import WeightNorm


@pytest.mark.since("2.4")
def test_it_warns_with_a_future_warning():
    """:func:`~torch.nn.utils.weight_norm` gives a ``FutureWarning`` that names the parametrization."""
    with pytest.warns(FutureWarning) as caught:
        weight_norm(nn.Linear(2, 1))

    assert [str(warning.message) for warning in caught] == [
        "`torch.nn.utils.weight_norm` is deprecated in favor of "
        "`torch.nn.utils.parametrizations.weight_norm`."
    ]


@pytest.mark.since("2.1")
@pytest.mark.before("2.4")
def test_it_warned_with_a_user_warning():
    """:func:`~torch.nn.utils.weight_norm` gives a ``UserWarning`` that names the parametrization."""
    with pytest.warns(UserWarning, match=r"favor of torch\.nn\.utils\.parametrizations\.weight_norm"):
        weight_norm(nn.Linear(2, 1))


@pytest.mark.before("2.1")
def test_it_did_not_warn():
    """:func:`~torch.nn.utils.weight_norm` gives no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        weight_norm(nn.Linear(2, 1))

    assert caught == []


def test_two_parameters_take_the_place_of_one():
    """:func:`~torch.nn.utils.weight_norm` replaces ``weight`` by ``weight_g`` and ``weight_v``."""
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0], [5.0, 12.0]]))

    assert weight_norm(layer) is layer
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight_g", "weight_v"]
    assert layer.weight_g.tolist() == [[5.0], [13.0]]
    assert layer.weight_v.tolist() == [[3.0, 4.0], [5.0, 12.0]]


def test_the_weight_is_a_plain_tensor():
    """``weight`` stays as a plain tensor with the value it had."""
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0], [5.0, 12.0]]))

    weight_norm(layer)

    assert type(layer.weight) is torch.Tensor
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[3.0, 4.0], [5.0, 12.0]]))


def test_the_weight_is_computed_before_each_forward():
    """A change of ``weight_g`` or ``weight_v`` shows in ``weight`` at the next call only."""
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    weight_norm(layer)
    with torch.no_grad():
        layer.weight_g.fill_(10.0)

    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[3.0, 4.0]]))
    layer(torch.rand(2))
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[6.0, 8.0]]))


def test_gradients_flow_to_both():
    """Gradients reach ``weight_g`` and ``weight_v``."""
    layer = weight_norm(nn.Linear(2, 1, bias=False))

    layer(torch.tensor([10.0, 100.0])).backward()

    assert [(name, value.grad is None) for name, value in layer.named_parameters()] == [
        ("weight_g", False),
        ("weight_v", False),
    ]


@pytest.mark.parametrize(
    ("dim", "norms"),
    [(0, [[5.0], [13.0]]), (1, [[34.0**0.5, 160.0**0.5]]), (None, 194.0**0.5)],
)
def test_dim_has_the_same_meaning(dim, norms):
    """In the old form, too, norms are taken over all dimensions but ``dim``."""
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0], [5.0, 12.0]]))

    weight_norm(layer, "weight", dim)
    layer(torch.rand(2))

    torch.testing.assert_close(layer.weight_g.detach(), torch.tensor(norms))
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[3.0, 4.0], [5.0, 12.0]]))


def test_several_parameters_may_be_normalized():
    """Two parameters of a module may be normalised, each under its name."""
    layer = weight_norm(weight_norm(nn.Bilinear(2, 3, 4), "weight"), name="bias")

    assert list(layer._parameters) == ["weight_g", "weight_v", "bias_g", "bias_v"]


def test_twice_is_an_error():
    """Weight normalisation of one parameter twice raises ``RuntimeError`` with its name."""
    layer = weight_norm(nn.Linear(2, 1))

    with pytest.raises(
        RuntimeError, match="Cannot register two weight_norm hooks on the same parameter weight"
    ):
        weight_norm(layer)


def test_a_lazy_parameter_is_an_error():
    """Weight normalisation of a parameter without a shape raises ``ValueError``."""
    with pytest.raises(ValueError, match="`WeightNorm` can't have uninitialized parameters"):
        weight_norm(nn.LazyLinear(2))


def test_removing_leaves_the_weight():
    """:func:`~torch.nn.utils.remove_weight_norm` leaves one parameter, computed anew, and no hook."""
    layer = weight_norm(nn.Linear(2, 1))
    with torch.no_grad():
        layer.weight_g.fill_(10.0)
        layer.weight_v.copy_(torch.tensor([[0.3, 0.4]]))

    assert remove_weight_norm(layer) is layer
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight"]
    assert dict(layer._forward_pre_hooks) == {}
    torch.testing.assert_close(layer.weight, nn.Parameter(torch.tensor([[6.0, 8.0]])))


def test_removing_one_name_leaves_the_other():
    """Removing weight normalisation takes off that of the given name only."""
    layer = weight_norm(weight_norm(nn.Bilinear(2, 3, 4), "weight"), "bias")

    remove_weight_norm(layer, "bias")

    assert sorted(layer._parameters) == ["bias", "weight_g", "weight_v"]
    assert [hook.name for hook in layer._forward_pre_hooks.values()] == ["weight"]


@pytest.mark.parametrize("layer", [nn.Linear(2, 1), "normalized"], ids=["plain", "another name"])
def test_nothing_to_remove_is_an_error(layer):
    """Removing weight normalisation that is not there raises ``ValueError`` with name and module."""
    layer = weight_norm(nn.Linear(2, 1)) if layer == "normalized" else layer
    layer.register_forward_pre_hook(lambda *_: None)

    with pytest.raises(ValueError, match=r"weight_norm of 'bias' not found in Linear\(in_features=2"):
        remove_weight_norm(layer, "bias")


@pytest.mark.question("Q89")
def test_an_lstm_computes_with_the_normalized_weight():
    """An :class:`~torch.nn.LSTM` takes up its normalised weight at each call."""
    lstm = weight_norm(nn.LSTM(2, 3), "weight_hh_l0")
    x = torch.rand(4, 1, 2)
    before, _ = lstm(x)

    with torch.no_grad():
        lstm.weight_hh_l0_g.mul_(3.0)
    after, _ = lstm(x)
    after.sum().backward()

    assert not torch.equal(before, after)
    assert [lstm.weight_hh_l0_g.grad is None, lstm.weight_hh_l0_v.grad is None] == [False, False]


@pytest.mark.observed
def test_the_hook_is_an_object():
    """The hook is a ``WeightNorm`` that knows the name and the dimension; ``None`` becomes -1."""
    hooks = [WeightNorm("weight", 1), WeightNorm("bias", None)]

    assert [(hook.name, hook.dim) for hook in hooks] == [("weight", 1), ("bias", -1)]
