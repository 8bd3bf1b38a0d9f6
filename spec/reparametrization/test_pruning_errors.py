"""What pruning refuses.

A pruning that fails leaves the parameter as it was. On a parameter that was pruned before it drops the hook.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune


@pytest.mark.parametrize("amount", [-1, -0.1, 1.1])
@pytest.mark.parametrize(
    "how", [prune.RandomUnstructured, prune.L1Unstructured, prune.RandomStructured, prune.LnStructured]
)
def test_an_amount_is_a_number_or_a_fraction(how, amount):
    """Pruning methods raise ``ValueError`` if ``amount`` is negative, or a float above 1."""
    options = {"n": 2} if how is prune.LnStructured else {}

    with pytest.raises(
        ValueError, match=rf"amount={amount} should either be a float in the range \[0, 1\] or"
    ):
        how(amount, **options)


@pytest.mark.parametrize(
    "how", [prune.RandomUnstructured, prune.L1Unstructured, prune.RandomStructured, prune.LnStructured]
)
@pytest.mark.parametrize("amount", ["half", None, 1j])
def test_an_amount_is_real(how, amount):
    """Pruning methods raise ``TypeError`` if ``amount`` is not a number."""
    options = {"n": 2} if how is prune.LnStructured else {}

    with pytest.raises(TypeError, match=rf"Invalid type for amount: {amount}\. Must be int or float"):
        how(amount, **options)


def test_a_number_above_the_size_is_an_error():
    """Pruning raises ``ValueError`` if an int ``amount`` exceeds the number of entries or channels."""
    layer = nn.Linear(3, 2)

    with pytest.raises(ValueError, match=r"amount=7 should be smaller than .* to prune=6"):
        prune.random_unstructured(layer, "weight", 7)
    with pytest.raises(ValueError, match=r"amount=7 should be smaller than .* to prune=6"):
        prune.l1_unstructured(layer, "weight", 7)
    with pytest.raises(ValueError, match=r"amount=3 should be smaller than .* to prune=2"):
        prune.random_structured(layer, "weight", 3, dim=0)
    with pytest.raises(ValueError, match=r"amount=4 should be smaller than .* to prune=3"):
        prune.ln_structured(layer, "weight", 4, n=2, dim=1)


@pytest.mark.parametrize("dim", [0, -1])
def test_channels_need_two_dimensions(dim):
    """``prune.random_structured`` and ``ln_structured`` raise ``ValueError`` for a 1D tensor such as a
    bias.
    """
    layer = nn.Linear(2, 3)
    told = r"multidimensional tensors\. Found .* torch\.Size\(\[3\]\) with 1 dims"

    with pytest.raises(ValueError, match=told):
        prune.random_structured(layer, "bias", 1, dim=dim)
    with pytest.raises(ValueError, match=told):
        prune.ln_structured(layer, "bias", 1, n=2, dim=dim)


@pytest.mark.parametrize("dim", [2, 3])
def test_channels_need_a_dimension_that_exists(dim):
    """``prune.random_structured`` and ``ln_structured`` raise ``IndexError`` if ``dim`` is too large."""
    layer = nn.Linear(2, 3)
    told = rf"Invalid index {dim} for tensor of size torch\.Size\(\[3, 2\]\)"

    with pytest.raises(IndexError, match=told):
        prune.random_structured(layer, "weight", 1, dim=dim)
    with pytest.raises(IndexError, match=told):
        prune.ln_structured(layer, "weight", 1, n=2, dim=dim)


def test_a_failed_pruning_leaves_the_parameter():
    """If ``prune.l1_unstructured`` raises, an unpruned parameter stays as it is and no hook is added."""
    layer = nn.Linear(2, 3)
    weight, values = layer.weight, layer.weight.tolist()

    for amount in (9, -1):
        with pytest.raises(ValueError, match=f"amount={amount}"):
            prune.l1_unstructured(layer, "weight", amount)
    with pytest.raises(AssertionError, match="importance_scores should have the same shape"):
        prune.l1_unstructured(layer, "weight", 1, torch.rand(2, 3))

    assert layer.weight is weight
    assert weight.tolist() == values
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert dict(layer._forward_pre_hooks) == {}


def test_a_failed_second_pruning_drops_the_hook():
    """If a second ``prune.l1_unstructured`` raises, parameter and mask stay, but the pruning hook is lost.

    It is the hook of the first: ``weight`` no longer follows ``weight_orig``, and ``prune.remove`` finds
    nothing.
    """
    layer = prune.l1_unstructured(nn.Linear(2, 3), "weight", 2)
    state = {name: value.tolist() for name, value in layer.state_dict().items()}

    with pytest.raises(ValueError, match="amount=9"):
        prune.l1_unstructured(layer, "weight", 9)

    assert {name: value.tolist() for name, value in layer.state_dict().items()} == state
    assert list(state) == ["bias", "weight_orig", "weight_mask"]
    assert prune.is_pruned(layer) is False


@pytest.mark.parametrize("shape", [(2, 3), (3, 1)])
def test_scores_have_the_shape_of_the_parameter(shape):
    """``prune.l1_unstructured`` raises ``AssertionError`` if ``importance_scores`` has the wrong shape.

    So do ``ln_structured``, and ``apply`` of the two classes.
    """
    layer, scores, told = (
        nn.Linear(2, 3),
        torch.rand(shape),
        "importance_scores should have the same shape as",
    )

    with pytest.raises(AssertionError, match=told):
        prune.l1_unstructured(layer, "weight", 1, importance_scores=scores)
    with pytest.raises(AssertionError, match=told):
        prune.ln_structured(layer, "weight", 1, n=2, dim=0, importance_scores=scores)
    with pytest.raises(AssertionError, match=told):
        prune.L1Unstructured.apply(layer, "weight", 1, importance_scores=scores)
    with pytest.raises(AssertionError, match=told):
        prune.LnStructured.apply(layer, "weight", 1, n=2, dim=0, importance_scores=scores)
    assert sorted(layer.state_dict()) == ["bias", "weight"]


@pytest.mark.parametrize("shape", [(2, 3), (1, 2), (3, 1), (2,)])
def test_a_mask_has_the_shape_of_the_parameter(shape):
    """``prune.custom_from_mask`` raises ``AssertionError`` if the mask has the wrong shape."""
    layer = nn.Linear(2, 3)

    with pytest.raises(AssertionError, match=r"^$|default_mask shape .* must match"):
        prune.custom_from_mask(layer, "weight", torch.ones(shape))
    assert sorted(layer.state_dict()) == ["bias", "weight"]

    prune.custom_from_mask(layer, "weight", torch.ones(3, 2))
    assert sorted(layer.state_dict()) == ["bias", "weight_mask", "weight_orig"]


def test_two_hooks_for_one_parameter_are_an_error():
    """``prune.identity`` raises ``AssertionError`` for a parameter that has two pruning hooks.

    A :class:`~torch.nn.utils.prune.PruningContainer` holds several methods in one hook.
    """
    layer = prune.identity(nn.Linear(2, 3), "weight")
    layer.register_forward_pre_hook(next(iter(layer._forward_pre_hooks.values())))

    with pytest.raises(AssertionError, match=r"multiple pruning hooks to the .*Use a PruningContainer"):
        prune.identity(layer, "weight")


def test_a_missing_parameter_is_an_error():
    """``prune.identity`` raises ``AttributeError`` for a name that is not an attribute of the module.

    Nor is a name with dots, such as ``"0.weight"``: give it the submodule.
    """
    layer = nn.Linear(2, 3)

    with pytest.raises(AttributeError, match="wieght"):
        prune.identity(layer, "wieght")
    with pytest.raises(AttributeError, match=r"0\.weight"):
        prune.identity(nn.Sequential(layer), "0.weight")
