"""Pruning methods.

A pruning method is a class with a rule for the mask. The functions of the chapter on pruning apply the
methods that come with torch; a method of one's own says how to compute a mask.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune


def test_a_method_may_be_written():
    """A custom :class:`~torch.nn.utils.prune.BasePruningMethod` subclass defines ``PRUNING_TYPE`` and
    ``compute_mask``.

    The type is ``PRUNING_TYPE``; ``apply`` puts the method on a parameter.
    """

    class Negative(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            return default_mask * (t >= 0)

    layer = nn.Linear(3, 1)
    layer.weight = nn.Parameter(torch.tensor([[1.0, -6.0, 3.0]]))

    assert type(Negative.apply(layer, "weight")) is Negative
    assert layer.weight.tolist() == [[1.0, 0.0, 3.0]]
    assert len(Negative.apply(layer, "weight")) == 2


def test_compute_mask_is_abstract():
    """Instantiating a ``BasePruningMethod`` subclass without ``compute_mask`` raises ``TypeError``."""

    class Nothing(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

    class Heir(Nothing):
        def __init__(self, amount=1):
            self.amount = amount

    for method in (Nothing, Heir):
        with pytest.raises(TypeError, match="compute_mask"):
            method()


def test_arguments_go_to_the_constructor():
    """``BasePruningMethod.apply`` passes extra arguments to the constructor of the pruning method.

    ``importance_scores`` does not.
    """
    made = []

    class Custom(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def __init__(self, *args, **kwargs):
            made.append((args, kwargs))

        def compute_mask(self, t, default_mask):
            return default_mask

    Custom.apply(nn.Linear(2, 1), "weight", 3, 4, key=5, importance_scores=torch.rand(1, 2))

    assert made == [((3, 4), {"key": 5})]


def test_scores_and_a_mask_of_ones_are_given():
    """``compute_mask`` of a pruning method receives the scores, or else the parameter, and a mask of ones."""
    given = []

    class Custom(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            given.append((id(t), default_mask.tolist(), default_mask.dtype))
            return default_mask

    layer, scores = nn.Linear(2, 1), torch.tensor([5.0])
    weight, dtype = layer.weight, torch.float32
    Custom.apply(layer, "weight")
    Custom.apply(layer, "bias", importance_scores=scores)

    assert given == [(id(weight), [[1.0, 1.0]], dtype), (id(scores), [1.0], dtype)]


def test_every_method_has_a_type():
    """``PRUNING_TYPE`` of a pruning method is ``"unstructured"``, ``"structured"`` or ``"global"``.

    Entries are pruned by :class:`~torch.nn.utils.prune.Identity`,
    :class:`~torch.nn.utils.prune.RandomUnstructured` and :class:`~torch.nn.utils.prune.L1Unstructured`,
    channels by :class:`~torch.nn.utils.prune.RandomStructured` and
    :class:`~torch.nn.utils.prune.LnStructured`, by the whole tensor
    :class:`~torch.nn.utils.prune.CustomFromMask`.
    """
    methods = (
        prune.Identity,
        prune.RandomUnstructured,
        prune.L1Unstructured,
        prune.RandomStructured,
        prune.LnStructured,
        prune.CustomFromMask,
    )

    assert {method.__name__: method.PRUNING_TYPE for method in methods} == {
        "Identity": "unstructured",
        "RandomUnstructured": "unstructured",
        "L1Unstructured": "unstructured",
        "RandomStructured": "structured",
        "LnStructured": "structured",
        "CustomFromMask": "global",
    }


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        (prune.Identity, ()),
        (prune.RandomUnstructured, (1,)),
        (prune.L1Unstructured, (1, torch.rand(3, 2))),
        (prune.RandomStructured, (1, 0)),
        (prune.LnStructured, (1, 2, 0, torch.rand(3, 2))),
        (prune.CustomFromMask, (torch.ones(3, 2),)),
    ],
)
def test_apply_returns_the_method(method, arguments):
    """``BasePruningMethod.apply`` returns the pruning method, which is also the forward pre-hook."""
    layer = nn.Linear(2, 3)

    applied = method.apply(layer, "weight", *arguments)

    assert type(applied) is method
    assert list(layer._forward_pre_hooks.values()) == [applied]

    second = method.apply(layer, "weight", *arguments)
    assert list(layer._forward_pre_hooks.values()) == [second]


def test_channels_lie_along_the_last_dimension():
    """``prune.RandomStructured(amount)`` and ``prune.LnStructured(amount, n)`` default to ``dim=-1``.

    ``RandomStructured.apply`` has it too, while ``LnStructured.apply`` has to be told.
    """
    layer = nn.Conv1d(3, 2, 4)
    kept = [0, 0, 0, 6]

    for method in (prune.RandomStructured(3), prune.LnStructured(3, 2)):
        mask = method.compute_mask(torch.rand(2, 3, 4), torch.ones(2, 3, 4))
        assert sorted(mask.sum((0, 1)).tolist()) == kept
    prune.RandomStructured.apply(layer, "weight", 3)
    assert sorted(layer.weight_mask.sum((0, 1)).tolist()) == kept
    with pytest.raises(TypeError, match="'dim'"):
        prune.LnStructured.apply(layer, "bias", 2, 2)


def test_prune_computes_without_a_module():
    """``BasePruningMethod.prune(t)`` returns the pruned tensor and leaves ``t`` unchanged."""
    t = torch.tensor([[1.0, -6.0, 3.0]])

    mask, scores = torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[3.0, 1.0, 2.0]])
    assert prune.L1Unstructured(1).prune(t).tolist() == [[0.0, -6.0, 3.0]]
    assert prune.L1Unstructured(1).prune(t, mask, scores).tolist() == [[1.0, 0.0, 0.0]]
    assert t.tolist() == [[1.0, -6.0, 3.0]]


def test_prune_takes_mask_and_scores():
    """``BasePruningMethod.prune`` accepts a mask, and importance scores of the same shape as the tensor."""
    t = torch.tensor([[1.0, -6.0, 3.0, 4.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0, 1.0]])
    scores = torch.tensor([[9.0, 2.0, 8.0, 7.0]])

    assert prune.L1Unstructured(1).prune(t, mask).tolist() == [[0.0, -6.0, 0.0, 4.0]]
    assert prune.L1Unstructured(1).prune(t, mask, scores).tolist() == [[1.0, 0.0, 0.0, 4.0]]
    with pytest.raises(AssertionError, match="importance_scores should have the same shape as tensor t"):
        prune.L1Unstructured(1).prune(t, importance_scores=torch.rand(4))


@pytest.mark.parametrize("amount", [0, 1])
@pytest.mark.parametrize("method", [prune.RandomUnstructured, prune.L1Unstructured])
def test_the_mask_from_before_is_not_changed(method, amount):
    """``compute_mask`` of an unstructured pruning method returns a new mask that keeps earlier zeros."""
    before = torch.tensor([[1.0, 0.0, 1.0]])

    mask = method(amount).compute_mask(torch.tensor([[5.0, 9.0, 7.0]]), before)

    assert mask is not before
    assert before.tolist() == [[1.0, 0.0, 1.0]]
    assert mask[0, 1] == 0.0


@pytest.mark.parametrize("method", [prune.RandomStructured(1, 0), prune.LnStructured(1, 2, 0)])
def test_channels_keep_the_zeros_from_before(method):
    """``compute_mask`` of a structured pruning method keeps earlier zeros in channels it does not prune."""
    before = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])

    mask = method.compute_mask(torch.rand(3, 2), before)

    assert sorted(mask.tolist()) == [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]


def test_apply_mask_multiplies():
    """``BasePruningMethod.apply_mask`` returns ``weight_orig`` times the mask, in the dtype of
    ``weight_orig``.
    """
    layer = nn.Linear(3, 1)
    method = prune.CustomFromMask.apply(layer, "weight", torch.tensor([[1, 0, 1]]))
    layer.weight_orig.data = torch.tensor([[2.0, 3.0, 5.0]], dtype=torch.bfloat16)

    pruned = method.apply_mask(layer)

    assert pruned.tolist() == [[2.0, 0.0, 5.0]]
    assert pruned.dtype is torch.bfloat16


@pytest.mark.parametrize("times", [1, 2], ids=["a method", "a container"])
def test_remove_of_the_method_leaves_the_hook(times):
    """``BasePruningMethod.remove`` leaves its forward pre-hook on the module: ``module(x)`` raises
    ``AttributeError``.

    :func:`prune.remove <torch.nn.utils.prune.remove>` takes off both. This one,
    :meth:`BasePruningMethod.remove <torch.nn.utils.prune.BasePruningMethod.remove>`, is what it calls.
    """
    layer = nn.Linear(3, 1)
    for _ in range(times):
        method = prune.Identity.apply(layer, "weight")

    assert method.remove(layer) is None
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    assert len(layer._forward_pre_hooks) == 1
    with pytest.raises(AttributeError, match="weight_mask"):
        layer(torch.rand(3))


def test_methods_on_one_parameter_form_a_container():
    """Pruning methods on the same parameter are combined in a
    :class:`~torch.nn.utils.prune.PruningContainer`.
    """
    layer = nn.Linear(4, 1)
    first = prune.L1Unstructured.apply(layer, "weight", 1)
    second = prune.RandomUnstructured.apply(layer, "weight", 1)
    third = prune.Identity.apply(layer, "weight")

    assert type(second) is prune.PruningContainer
    assert third is second
    assert [type(method).__name__ for method in second] == [
        "L1Unstructured",
        "RandomUnstructured",
        "Identity",
    ]
    assert len(second) == 3
    assert second[0] is first
    assert list(layer._forward_pre_hooks.values()) == [second]


def test_only_the_last_method_computes():
    """``PruningContainer.compute_mask`` runs only the last pruning method, on top of the given mask."""
    container = prune.PruningContainer()
    container._tensor_name = "weight"
    for amount in (1, 2):
        method = prune.L1Unstructured(amount)
        method._tensor_name = "weight"
        container.add_pruning_method(method)

    mask = container.compute_mask(
        torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0])
    )

    assert mask.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_a_container_is_made_of_methods():
    """A :class:`~torch.nn.utils.prune.PruningContainer` can be created from a pruning method and accepts
    others of the same parameter.
    """
    method, second, third = prune.Identity(), prune.L1Unstructured(1), prune.RandomStructured(1)
    method._tensor_name = second._tensor_name = third._tensor_name = "weight"

    container = prune.PruningContainer(method)
    assert list(container) == [method]

    for other in (second, third):
        container.add_pruning_method(other)
    assert list(container) == [method, second, third]


def test_a_container_is_made_of_one_method():
    """A :class:`~torch.nn.utils.prune.PruningContainer` made from two methods raises ``AttributeError``.

    So does one made from a list. Make it from one, and add the others.
    """
    first, second = prune.L1Unstructured(1), prune.L1Unstructured(2)
    first._tensor_name = second._tensor_name = "weight"

    with pytest.raises(AttributeError, match="'PruningContainer' object has no attribute '_tensor_name'"):
        prune.PruningContainer(first, second)
    for given in ([first], [first, second]):
        with pytest.raises(AttributeError, match="'list' object has no attribute '_tensor_name'"):
            prune.PruningContainer(given)
    container = prune.PruningContainer(first)
    container.add_pruning_method(second)
    assert list(container) == [first, second]


def test_methods_of_another_parameter_are_refused():
    """``PruningContainer`` raises ``ValueError`` for a pruning method of another parameter, naming both."""
    method, other = prune.Identity(), prune.Identity()
    method._tensor_name, other._tensor_name = "weight", "bias"
    container = prune.PruningContainer(method)

    with pytest.raises(ValueError, match=r"parameter named 'weight' to PruningContainer .* Found 'bias'"):
        container.add_pruning_method(other)
    assert len(container) == 1


def test_a_container_takes_methods_only():
    """``PruningContainer.add_pruning_method`` raises ``TypeError`` for all but pruning methods
    and ``None``.
    """
    method = prune.Identity()
    method._tensor_name = "weight"

    container = prune.PruningContainer(method)

    for wrong in ("identity", prune.Identity, [method]):
        with pytest.raises(TypeError, match="is not a BasePruningMethod subclass"):
            container.add_pruning_method(wrong)
    container.add_pruning_method(None)
    assert list(container) == [method, None]


def test_a_global_method_sees_everything():
    """A pruning method with ``PRUNING_TYPE = "global"`` receives the whole tensor and the earlier mask."""
    given = []

    class Custom(prune.BasePruningMethod):
        PRUNING_TYPE = "global"

        def compute_mask(self, t, default_mask):
            given.append((t.tolist(), default_mask.tolist()))
            return torch.tensor([[1, 0, 1]])

    layer = nn.Linear(3, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.0, 1.0, 5.0]]))
    prune.custom_from_mask(layer, "weight", torch.tensor([[0, 1, 1]]))
    Custom.apply(layer, "weight")

    assert given == [([[0.0, 1.0, 5.0]], [[0.0, 1.0, 1.0]])]
    assert layer.weight_mask.tolist() == [[1.0, 0.0, 1.0]]


def test_a_method_for_entries_sees_what_is_left():
    """A second pruning method of type ``"unstructured"`` receives only the unpruned entries, flattened."""
    given = []

    class Custom(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            given.append((t.tolist(), default_mask.tolist()))
            return torch.tensor([0, 1])

    layer = nn.Linear(3, 1)
    layer.weight = nn.Parameter(torch.tensor([[0.0, 1.0, 5.0]]))
    prune.custom_from_mask(layer, "weight", torch.tensor([[1, 0, 1]]))
    Custom.apply(layer, "weight")

    assert given == [([0.0, 5.0], [1.0, 1.0])]
    assert layer.weight_mask.tolist() == [[0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("kind", "dim", "error", "told"),
    [
        ("rows", 0, ValueError, "Unrecognized PRUNING_TYPE rows"),
        ("structured", None, AttributeError, "need to have the attribute `dim` defined"),
        ("structured", -3, IndexError, "out of bounds for tensor with dimensions 2"),
        ("structured", 2, IndexError, "out of range"),
    ],
    ids=["type", "no dim", "too small", "too large"],
)
def test_what_a_container_asks_of_a_method(kind, dim, error, told):
    """``PruningContainer`` raises ``ValueError`` for a pruning method with an unknown ``PRUNING_TYPE``.

    For ``"structured"`` it raises ``AttributeError`` if ``dim`` is missing, ``IndexError`` if it is out of
    range.
    """

    class Custom(prune.Identity):
        PRUNING_TYPE = kind

    if dim is not None:
        Custom.dim = dim
    layer = prune.identity(nn.Linear(2, 3), "weight")

    with pytest.raises(error, match=told):
        Custom.apply(layer, "weight")
