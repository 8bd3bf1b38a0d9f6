"""What pruning refuses, and pruning of several parameters at once."""

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
    """The name of no attribute raises ``AttributeError``."""
    with pytest.raises(AttributeError, match="wieght"):
        prune.identity(nn.Linear(2, 3), "wieght")


def test_several_parameters_are_taken_as_one():
    """:func:`~torch.nn.utils.prune.global_unstructured` zeroes the smallest entries of all together."""
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    first.weight = nn.Parameter(torch.tensor([[1.0, 6.0], [3.0, 9.0]]))
    second.weight = nn.Parameter(torch.tensor([[2.0, 7.0]]))
    parameters = [(first, "weight"), (second, "weight")]

    assert prune.global_unstructured(parameters, prune.L1Unstructured, amount=3) is None
    assert first.weight.tolist() == [[0.0, 6.0], [0.0, 9.0]]
    assert second.weight.tolist() == [[0.0, 7.0]]


def test_global_pruning_counts_what_is_left():
    """Global pruning respects masks from before and takes its fraction of what is left."""
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    first.weight = nn.Parameter(torch.tensor([[1.0, 6.0], [3.0, 9.0]]))
    second.weight = nn.Parameter(torch.tensor([[2.0, 7.0]]))
    prune.custom_from_mask(first, "weight", torch.tensor([[1, 0], [1, 0]]))

    prune.global_unstructured([(first, "weight"), (second, "weight")], prune.L1Unstructured, amount=0.5)

    assert first.weight.tolist() == [[0.0, 0.0], [3.0, 0.0]]
    assert second.weight.tolist() == [[0.0, 7.0]]


def test_global_scores_are_given_by_parameter():
    """Scores for global pruning are a dict by module and name; other parameters count by value."""
    first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    first.weight = nn.Parameter(torch.tensor([[1.0, 6.0]]))
    second.weight = nn.Parameter(torch.tensor([[2.0, 7.0]]))
    parameters = ((first, "weight"), (second, "weight"))

    prune.global_unstructured(
        parameters, prune.L1Unstructured, {(second, "weight"): torch.tensor([[9.0, 0.5]])}, amount=2
    )

    assert first.weight.tolist() == [[0.0, 6.0]]
    assert second.weight.tolist() == [[2.0, 0.0]]


def test_global_scores_are_a_dict():
    """Scores for global pruning that are no dict raise ``TypeError``."""
    with pytest.raises(TypeError, match="importance_scores must be of type dict"):
        prune.global_unstructured([(nn.Linear(2, 1), "weight")], prune.L1Unstructured, [1.0], amount=1)


def test_global_parameters_are_iterable():
    """Parameters for global pruning that cannot be iterated over raise ``TypeError``."""
    with pytest.raises(TypeError, match=r"global_unstructured\(\): parameters is not an Iterable"):
        prune.global_unstructured(3, prune.L1Unstructured, amount=1)


def test_channels_are_not_pruned_globally():
    """Global pruning with a method for channels raises ``TypeError``."""
    with pytest.raises(
        TypeError, match=r'Only "unstructured" PRUNING_TYPE .*RandomStructured.* of type structured'
    ):
        prune.global_unstructured([(nn.Linear(2, 1), "weight")], prune.RandomStructured, amount=1)
