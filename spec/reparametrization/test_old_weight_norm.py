"""Weight normalization by a hook.

:func:`torch.nn.utils.weight_norm` is the form before parametrizations: a hook computes the weight at each
call.
"""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import remove_weight_norm, weight_norm
from torch.nn.utils.weight_norm import WeightNorm


@pytest.mark.parametrize("name", ["weight", "bias"])
@pytest.mark.since("2.4")
def test_it_warns_with_a_future_warning(name):
    """``torch.nn.utils.weight_norm`` warns with ``FutureWarning`` and names ``parametrizations.weight_norm``.

    It is :func:`parametrizations.weight_norm <torch.nn.utils.parametrizations.weight_norm>`, which loads
    the state dicts of the older form.
    """
    with pytest.warns(FutureWarning) as caught:
        weight_norm(nn.Linear(2, 1), name)

    assert [str(warning.message) for warning in caught] == [
        "`torch.nn.utils.weight_norm` is deprecated in favor of "
        "`torch.nn.utils.parametrizations.weight_norm`."
    ]


@pytest.mark.since("2.1")
@pytest.mark.before("2.4")
def test_it_warned_with_a_user_warning():
    """``torch.nn.utils.weight_norm`` warns with ``UserWarning`` and names
    ``parametrizations.weight_norm``.
    """
    with pytest.warns(UserWarning, match=r"favor of torch\.nn\.utils\.parametrizations\.weight_norm"):
        weight_norm(nn.Linear(2, 1))


@pytest.mark.before("2.1")
def test_it_did_not_warn():
    """``torch.nn.utils.weight_norm`` does not warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        weight_norm(nn.Linear(2, 1))

    assert caught == []


def test_two_parameters_take_the_place_of_one():
    """``torch.nn.utils.weight_norm`` replaces ``weight`` by the parameters ``weight_g`` and ``weight_v``.

    Both are new parameters: call :func:`utils.weight_norm <torch.nn.utils.weight_norm>` first, then build the
    optimizer.
    """
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0], [5.0, 12.0]]))
    weight = layer.weight

    assert weight_norm(layer) is layer
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight_g", "weight_v"]
    assert layer.weight_g.tolist() == [[5.0], [13.0]]
    assert layer.weight_v.tolist() == [[3.0, 4.0], [5.0, 12.0]]
    assert layer.weight_v is not weight

    conv = nn.Conv2d(2, 3, 4)
    weight = weight_norm(conv).weight.detach()
    torch.testing.assert_close(conv.weight_g.detach(), weight.flatten(1).norm(dim=1).view(3, 1, 1, 1))
    torch.testing.assert_close(conv.weight_v.detach(), weight)


def test_the_weight_is_a_plain_tensor():
    """After ``torch.nn.utils.weight_norm``, ``weight`` is a plain tensor with the same value."""
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0], [5.0, 12.0]]))

    weight_norm(layer)

    assert type(layer.weight) is torch.Tensor
    assert "weight" not in layer.state_dict()
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[3.0, 4.0], [5.0, 12.0]]))
    other = nn.ConvTranspose2d(2, 3, 2)
    value = other.weight.detach().clone()
    torch.testing.assert_close(weight_norm(other, dim=None).weight.detach(), value)


def test_the_weight_is_computed_before_each_forward():
    """With ``torch.nn.utils.weight_norm``, changing ``weight_g`` changes ``weight`` only at the next call.

    The same holds for ``weight_v``. Until then ``weight`` is out of date.
    """
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    weight_norm(layer)
    with torch.no_grad():
        layer.weight_g.fill_(10.0)

    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[3.0, 4.0]]))
    layer(torch.rand(2))
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[6.0, 8.0]]))

    with torch.no_grad():
        layer.weight_v.copy_(torch.tensor([[4.0, 3.0]]))
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[6.0, 8.0]]))
    with torch.no_grad():
        layer.eval()(torch.rand(2))
    torch.testing.assert_close(layer.weight, torch.tensor([[8.0, 6.0]]))


@pytest.mark.parametrize("training", [True, False])
def test_gradients_flow_to_both(training):
    """With ``torch.nn.utils.weight_norm``, gradients flow to ``weight_g`` and ``weight_v``."""
    layer = nn.Linear(2, 1, bias=False)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    weight_norm(layer).train(training)

    layer(torch.tensor([1.0, 0.0])).backward()

    torch.testing.assert_close(layer.weight_g.grad, torch.tensor([[0.6]]))
    torch.testing.assert_close(layer.weight_v.grad, torch.tensor([[0.64, -0.48]]))


@pytest.mark.parametrize(
    ("dim", "norms"),
    [(0, [[5.0], [13.0]]), (1, [[34.0**0.5, 160.0**0.5]]), (None, 194.0**0.5), (-1, 194.0**0.5)],
)
def test_dim_has_the_same_meaning(dim, norms):
    """``torch.nn.utils.weight_norm`` computes norms over all dimensions except ``dim``; over all if ``None``.

    A ``dim`` of -1 is taken for ``None``, not for the last dimension.
    """
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0], [5.0, 12.0]]))

    weight_norm(layer, "weight", dim)
    layer(torch.rand(2))

    torch.testing.assert_close(layer.weight_g.detach(), torch.tensor(norms))
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[3.0, 4.0], [5.0, 12.0]]))

    conv = weight_norm(nn.Conv1d(2, 3, 4), dim=1)
    torch.testing.assert_close(conv.weight_g, conv.weight_v.norm(dim=(0, 2), keepdim=True))


def test_several_parameters_may_be_normalized():
    """``torch.nn.utils.weight_norm`` can be applied to two parameters of one module."""
    layer = weight_norm(weight_norm(nn.Bilinear(2, 3, 4), "weight"), name="bias")

    assert list(layer._parameters) == ["weight_g", "weight_v", "bias_g", "bias_v"]
    assert [hook.name for hook in layer._forward_pre_hooks.values()] == ["weight", "bias"]


def test_twice_is_an_error():
    """``torch.nn.utils.weight_norm`` applied twice to the same parameter raises ``RuntimeError``."""
    layer = weight_norm(weight_norm(nn.Linear(2, 1)), "bias")

    for name in ("weight", "bias"):
        for dim in (0, None):
            with pytest.raises(RuntimeError, match=f"two weight_norm hooks on the same parameter {name}$"):
                weight_norm(layer, name, dim)


def test_a_lazy_parameter_is_an_error():
    """``torch.nn.utils.weight_norm`` raises ``ValueError`` for an ``UninitializedParameter``."""
    for name in ("weight", "bias"):
        with pytest.raises(ValueError, match="`WeightNorm` can't have uninitialized parameters"):
            weight_norm(nn.LazyLinear(2), name)


def test_removing_leaves_the_weight():
    """:func:`remove_weight_norm <torch.nn.utils.remove_weight_norm>` replaces ``weight_g`` and ``weight_v``
    by one parameter and removes the hook.

    The parameter is new: pass it to the optimizer.
    """
    layer = weight_norm(nn.Linear(2, 1))
    with torch.no_grad():
        layer.weight_g.fill_(10.0)
        layer.weight_v.copy_(torch.tensor([[0.3, 0.4]]))
    direction = layer.weight_v

    assert remove_weight_norm(layer) is layer
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight"]
    assert dict(layer._forward_pre_hooks) == {}
    torch.testing.assert_close(layer.weight, nn.Parameter(torch.tensor([[6.0, 8.0]])))
    assert layer.weight is not direction


def test_removing_one_name_leaves_the_other():
    """:func:`remove_weight_norm(module, name) <torch.nn.utils.remove_weight_norm>` affects only the parameter
    of that name.
    """
    for name, other in (("bias", "weight"), ("weight", "bias")):
        layer = weight_norm(weight_norm(nn.Bilinear(2, 3, 4), "weight"), "bias")
        remove_weight_norm(layer, name)
        assert sorted(layer._parameters) == sorted([name, f"{other}_g", f"{other}_v"])
        assert [hook.name for hook in layer._forward_pre_hooks.values()] == [other]


def test_nothing_to_remove_is_an_error():
    """``remove_weight_norm`` raises ``ValueError`` for a parameter name without ``weight_norm``."""
    for layer in (nn.Linear(2, 1), weight_norm(nn.Linear(2, 1), "weight")):
        layer.register_forward_pre_hook(lambda *_: None)

        with pytest.raises(ValueError, match=r"weight_norm of 'bias' not found in Linear\(in_features=2"):
            remove_weight_norm(layer, "bias")


@pytest.mark.question("Q89")
def test_an_lstm_computes_with_the_normalized_weight():
    """:class:`nn.LSTM <torch.nn.LSTM>` computes with a weight that has ``torch.nn.utils.weight_norm``.

    A change of ``weight_hh_l0_g`` shows in the next output, and gradients reach it.
    """
    lstm = weight_norm(nn.LSTM(2, 3), "weight_hh_l0")
    x = torch.rand(4, 1, 2)

    for training in (False, True):
        before, _ = lstm.train(training)(x)
        with torch.no_grad():
            lstm.weight_hh_l0_g.mul_(3.0)
        after, _ = lstm(x)
        assert not torch.equal(before, after)

    after.sum().backward()
    assert [lstm.weight_hh_l0_g.grad is None, lstm.weight_hh_l0_v.grad is None] == [False, False]


def test_the_hook_is_an_object():
    """``torch.nn.utils.weight_norm`` adds a ``WeightNorm`` hook with ``name`` and ``dim``; ``dim=None`` is
    stored as -1.
    """
    layer = weight_norm(weight_norm(nn.Bilinear(2, 3, 4), "weight", 1), "bias", None)
    hooks = list(layer._forward_pre_hooks.values())

    assert [type(hook) for hook in hooks] == [WeightNorm, WeightNorm]
    assert [(hook.name, hook.dim) for hook in hooks] == [("weight", 1), ("bias", -1)]


@pytest.mark.parametrize("kind", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_norms_of_transposed_convolutions(kind):
    """By default ``torch.nn.utils.weight_norm`` takes norms per input channel of a transposed convolution.

    There ``dim=0`` is the input channel: for output channels pass ``dim=1``.
    """
    by_default, by_output = weight_norm(kind(2, 3, 5)), weight_norm(kind(2, 3, 5), dim=1)

    inputs, outputs = by_default.weight_v, by_output.weight_v.transpose(0, 1)
    torch.testing.assert_close(by_default.weight_g.squeeze(), inputs.flatten(1).norm(dim=1))
    torch.testing.assert_close(by_output.weight_g.squeeze(), outputs.flatten(1).norm(dim=1))


def test_it_cannot_be_deep_copied():
    """``copy.deepcopy`` of a layer with ``torch.nn.utils.weight_norm`` raises ``RuntimeError``.

    Its ``weight`` is a computed tensor with a graph (:issue:`28594`). Pickling works, and so does
    ``copy.deepcopy`` after a call under :class:`~torch.no_grad`, or with
    :func:`torch.nn.utils.parametrizations.weight_norm`.

    See also :ref:`reparametrization.transferring.a_copy_has_originals_of_its_own`
    """
    for dim in (0, 1, None):
        layer = weight_norm(nn.Linear(2, 3), dim=dim)

        for model in (layer, nn.Sequential(layer.eval())):
            with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
                copy.deepcopy(model)
            model(torch.rand(2))

        assert torch.equal(pickle.loads(pickle.dumps(layer)).weight_v, layer.weight_v)
        with torch.no_grad():
            layer(torch.rand(2))
        assert torch.equal(copy.deepcopy(layer).weight_v, layer.weight_v)


def test_a_pickle_has_the_weight_as_a_leaf():
    """After pickling, ``weight`` of ``torch.nn.utils.weight_norm`` is a leaf until the next call.

    That call computes it from ``weight_g`` and ``weight_v`` as before, which are still the parameters
    (:issue:`102983`).
    """
    layer = pickle.loads(pickle.dumps(weight_norm(nn.Linear(2, 3, bias=False))))
    with torch.no_grad():
        layer.weight_g.mul_(2.0)
    stale = layer.weight

    assert [name for name, _ in layer.named_parameters()] == ["weight_g", "weight_v"]
    assert [stale.is_leaf, stale.grad_fn] == [True, None]

    layer(torch.rand(2)).sum().backward()

    assert torch.allclose(layer.weight, 2 * stale)
    assert layer.weight_g.grad is not None
