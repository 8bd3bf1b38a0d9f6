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
    """An amount below zero, or a float above 1, raises ``ValueError``."""
    options = {"n": 2} if how is prune.LnStructured else {}

    with pytest.raises(
        ValueError, match=rf"amount={amount} should either be a float in the range \[0, 1\] or"
    ):
        how(amount, **options)


@pytest.mark.parametrize(
    "how", [prune.RandomUnstructured, prune.L1Unstructured, prune.RandomStructured, prune.LnStructured]
)
def test_an_amount_is_real(how):
    """An amount that is no real number raises ``TypeError``."""
    options = {"n": 2} if how is prune.LnStructured else {}

    with pytest.raises(TypeError, match=r"Invalid type for amount: half\. Must be int or float"):
        how("half", **options)


@pytest.mark.parametrize(
    ("how", "size"),
    [
        (lambda layer: prune.random_unstructured(layer, "weight", 7), 6),
        (lambda layer: prune.l1_unstructured(layer, "weight", 7), 6),
        (lambda layer: prune.random_structured(layer, "weight", 7, 0), 2),
        (lambda layer: prune.ln_structured(layer, "weight", 7, 2, 0), 2),
    ],
    ids=["random_unstructured", "l1_unstructured", "random_structured", "ln_structured"],
)
def test_a_number_above_the_size_is_an_error(how, size):
    """A number of entries or channels above what there is raises ``ValueError`` with both."""
    with pytest.raises(ValueError, match=f"amount=7 should be smaller than .* to prune={size}"):
        how(nn.Linear(3, 2))


@pytest.mark.parametrize(
    "how", [lambda *args: prune.random_structured(*args, 0), lambda *args: prune.ln_structured(*args, 2, 0)]
)
def test_channels_need_two_dimensions(how):
    """Pruning channels of a parameter of one dimension raises ``ValueError``."""
    with pytest.raises(
        ValueError, match=r"multidimensional tensors\. Found .* torch\.Size\(\[3\]\) with 1 dims"
    ):
        how(nn.Linear(2, 3), "bias", 1)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize(
    "how",
    [
        lambda dim, *args: prune.random_structured(*args, dim),
        lambda dim, *args: prune.ln_structured(*args, 2, dim),
    ],
)
def test_channels_need_a_dimension_that_exists(how, dim):
    """A ``dim`` beyond those of the parameter raises ``IndexError``."""
    with pytest.raises(IndexError, match=rf"Invalid index {dim} for tensor of size torch\.Size\(\[3, 2\]\)"):
        how(dim, nn.Linear(2, 3), "weight", 1)


def test_a_failed_pruning_leaves_the_parameter():
    """If the mask cannot be computed, the parameter is where it was and no hook is left."""
    layer = nn.Linear(2, 3)
    weight = layer.weight

    with pytest.raises(ValueError, match="amount=9"):
        prune.l1_unstructured(layer, "weight", 9)

    assert layer.weight is weight
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert dict(layer._forward_pre_hooks) == {}


@pytest.mark.observed
def test_a_failed_second_pruning_drops_the_hook():
    """If a second pruning fails, parameter and mask of the first stay, but its hook is gone."""
    layer = prune.l1_unstructured(nn.Linear(2, 3), "weight", 2)

    with pytest.raises(ValueError, match="amount=9"):
        prune.l1_unstructured(layer, "weight", 9)

    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"]
    assert prune.is_pruned(layer) is False


def test_scores_have_the_shape_of_the_parameter():
    """Scores of another shape raise ``AssertionError``."""
    with pytest.raises(AssertionError, match="importance_scores should have the same shape as parameter"):
        prune.l1_unstructured(nn.Linear(2, 3), "weight", 1, importance_scores=torch.rand(2, 3))


def test_a_mask_has_the_shape_of_the_parameter():
    """A mask of another shape raises ``AssertionError``."""
    layer = nn.Linear(2, 3)

    with pytest.raises(AssertionError):
        prune.custom_from_mask(layer, "weight", torch.ones(2, 3))
    assert sorted(layer.state_dict()) == ["bias", "weight"]


def test_two_hooks_for_one_parameter_are_an_error():
    """Two pruning hooks for one parameter raise ``AssertionError`` when it is pruned again."""
    layer = prune.identity(nn.Linear(2, 3), "weight")
    layer.register_forward_pre_hook(next(iter(layer._forward_pre_hooks.values())))

    with pytest.raises(AssertionError, match=r"multiple pruning hooks to the .*Use a PruningContainer"):
        prune.identity(layer, "weight")


def test_a_missing_parameter_is_an_error():
    """Pruning under a name that is no attribute raises ``AttributeError``."""
    with pytest.raises(AttributeError, match="wieght"):
        prune.identity(nn.Linear(2, 3), "wieght")
