"""Clipping gradients, by their common norm or one by one.

:func:`~torch.nn.utils.clip_grad_norm_` scales all gradients by one factor, so that together they are no
longer than a given norm; :func:`~torch.nn.utils.clip_grad_value_` cuts every element.
"""

import inspect
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm, clip_grad_norm_, clip_grad_value_


def with_grads(*gradients, **options):
    parameters = [nn.Parameter(torch.zeros(len(values), **options)) for values in gradients]
    for parameter, values in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(values, **options)
    return parameters


def test_gradients_are_scaled_to_the_norm(device):
    """:func:`~torch.nn.utils.clip_grad_norm_` scales all gradients so that their norm is the maximum."""
    first, second = with_grads([2.0, 3.0], [-6.0], device=device)
    clip_grad_norm_([first, second], 3.5)

    gradients = torch.cat([first.grad, second.grad])
    assert torch.allclose(gradients, torch.tensor([1.0, 1.5, -3.0], device=device))


def test_gradients_within_the_norm_stay_as_they_are():
    """Gradients whose norm is not above the maximum are not changed."""
    first, second = with_grads([2.0, 3.0], [-6.0])
    clip_grad_norm_([first, second], max_norm=7.5)

    assert (first.grad.tolist(), second.grad.tolist()) == ([2.0, 3.0], [-6.0])


def test_the_norm_before_clipping_is_returned():
    """:func:`~torch.nn.utils.clip_grad_norm_` returns the norm from before clipping, as a tensor."""
    parameters = with_grads([2.0, 3.0], [-6.0])
    norm = clip_grad_norm_(parameters, 3.5)

    assert (norm.item(), norm.shape, norm.requires_grad) == (7.0, (), False)


def test_gradients_are_clipped_in_place():
    """Clipping changes the gradients in place: ``grad`` stays the same tensor."""
    (parameter,) = with_grads([3.0, 4.0])
    gradient = parameter.grad
    clip_grad_norm_([parameter], 2.5)
    clip_grad_value_([parameter], 1.75)

    assert parameter.grad is gradient
    assert torch.allclose(gradient, torch.tensor([1.5, 1.75]))


@pytest.mark.parametrize(
    ("kind", "norm"),
    [(1, 11.0), (2.0, 7.0), (3, 251 ** (1 / 3)), ("inf", 6.0), (math.inf, 6.0), ("2", 7.0)],
    ids=["1", "2", "3", "text_inf", "inf", "text_2"],
)
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "foreach", "one_by_one"])
def test_norms_of_every_order(kind, norm, foreach):
    """``norm_type`` is the order of the norm, and ``foreach`` does not change the result."""
    first, second = with_grads([2.0, 3.0], [-6.0])
    returned = clip_grad_norm_([first, second], norm / 2, kind, foreach=foreach)

    assert returned.item() == pytest.approx(norm)
    assert torch.allclose(torch.cat([first.grad, second.grad]), torch.tensor([1.0, 1.5, -3.0]))


@pytest.mark.observed
def test_the_norm_of_order_zero_counts_tensors():
    """The norm of order 0 is the number of gradients that are not all zero, not of elements.

    It is the norm of the norms of the single gradients.
    """
    parameters = with_grads([2.0, 3.0], [-6.0, 5.0, 4.0], [0.0, 0.0])

    assert clip_grad_norm_(parameters, 100.0, norm_type=0).item() == 2.0


@pytest.mark.observed
def test_a_tiny_number_keeps_from_dividing_by_zero():
    """The factor is the maximum divided by the norm plus 0.000001, so that zeros stay zeros."""
    (tiny,) = with_grads([1e-6, 0.0])
    clip_grad_norm_([tiny], 1e-6)
    (zeros,) = with_grads([0.0, 0.0])
    clip_grad_norm_([zeros], 0.0)

    assert tiny.grad.tolist() == pytest.approx([0.5e-6, 0.0])
    assert zeros.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["tensor", "list", "generator", "module"])
def test_what_may_be_clipped(kind):
    """:func:`~torch.nn.utils.clip_grad_norm_` takes one tensor or any iterable of tensors."""
    (parameter,) = with_grads([3.0, 4.0])
    iterables = {"tensor": parameter, "list": [parameter], "generator": (p for p in [parameter])}
    given = iterables.get(kind, nn.ParameterList([parameter]).parameters())

    assert clip_grad_norm_(given, 2.5).item() == 5.0
    assert torch.allclose(parameter.grad, torch.tensor([1.5, 2.0]))


def test_parameters_without_gradient_are_passed_over():
    """Parameters without a gradient are passed over, whichever way gradients are clipped."""
    (parameter,) = with_grads([3.0, 4.0])
    without = nn.Parameter(torch.rand(2))

    assert clip_grad_norm_([without, parameter], 2.5).item() == 5.0
    assert clip_grad_value_([without, parameter], 1.75) is None
    assert (without.grad, parameter.grad.tolist()[1]) == (None, 1.75)


@pytest.mark.parametrize("given", [[], [torch.rand(2)]], ids=["nothing", "no_gradient"])
def test_without_gradients_the_norm_is_zero(given):
    """Where there is no gradient at all, the norm that is returned is 0."""
    norm = clip_grad_norm_(given, 3.5)

    assert (type(norm), norm.item(), norm.dtype) == (torch.Tensor, 0.0, torch.float32)


@pytest.mark.since("2.8")
def test_an_empty_generator_is_warned_of():
    """An empty generator gives a ``UserWarning``, as it may have been used up before."""
    parameters = nn.Linear(2, 3).parameters()
    list(parameters)

    with pytest.warns(UserWarning, match="^`parameters` is an empty generator, no gradient"):
        clip_grad_norm_(parameters, 3.5)


@pytest.mark.parametrize("kind", ["empty_list", "full_generator"])
def test_other_iterables_are_not_warned_of(kind):
    """An empty list, or a generator that is not empty, gives no warning."""
    given = [] if kind == "empty_list" else nn.Linear(2, 3).parameters()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clip_grad_norm_(given, 3.5)

    assert caught == []


@pytest.mark.parametrize("value", [math.nan, math.inf], ids=["nan", "inf"])
def test_a_norm_that_is_not_finite_may_raise(value):
    """With ``error_if_nonfinite=True`` a norm that is not finite raises ``RuntimeError``.

    No gradient is changed then.
    """
    first, second = with_grads([2.0, 3.0], [value])
    message = r"^The total norm of order 2.0 for gradients from `parameters` is non-finite, so it cannot"
    with pytest.raises(RuntimeError, match=message):
        clip_grad_norm_([first, second], 3.5, 2, True)

    assert first.grad.tolist() == [2.0, 3.0]
    assert clip_grad_norm_([first], 9.0, error_if_nonfinite=True).item() == pytest.approx(math.sqrt(13))


def test_a_norm_that_is_not_finite_spoils_gradients():
    """By default a gradient that is not finite spoils them all: infinity leaves zeros, NaN leaves NaN."""
    first, second = with_grads([2.0, 3.0], [math.inf])
    clip_grad_norm_([first, second], 3.5)
    third, fourth = with_grads([2.0, 3.0], [math.nan])
    clip_grad_norm_([third, fourth], 3.5)

    assert (first.grad.tolist(), second.grad.isnan().tolist()) == ([0.0, 0.0], [True])
    assert third.grad.isnan().tolist() == [True, True]


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_], ids=["norm", "value"])
def test_foreach_needs_a_device_that_has_it(clip):
    """``foreach=True`` raises ``RuntimeError`` on a device that has no such implementation."""
    parameter = nn.Parameter(torch.empty(2, device="meta"))
    parameter.grad = torch.empty(2, device="meta")

    message = "^foreach=True was passed, but can't use the foreach API on meta tensors$"
    with pytest.raises(RuntimeError, match=message):
        clip([parameter], 3.5, foreach=True)


@pytest.mark.observed
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "foreach", "one_by_one"])
@pytest.mark.parametrize(
    ("clip", "names"),
    [
        (clip_grad_norm_, ["_foreach_norm", "_foreach_mul_"]),
        (clip_grad_value_, ["_foreach_clamp_min_", "_foreach_clamp_max_"]),
    ],
    ids=["norm", "value"],
)
def test_gradients_are_clipped_together(clip, names, foreach):
    """Gradients are clipped by functions for many tensors at once, unless ``foreach=False``."""
    (parameter,) = with_grads([3.0, 4.0])
    called = []

    class Record(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            called.append(function.__name__)
            return function(*args, **(kwargs or {}))

    with Record():
        clip([parameter], 2.5, foreach=foreach)

    assert [name for name in called if name.startswith("_foreach")] == ([] if foreach is False else names)


@pytest.mark.parametrize("foreach", [None, False], ids=["default", "one_by_one"])
def test_by_default_any_device_will_do(foreach):
    """Without ``foreach=True`` gradients are clipped one by one where a device has nothing else."""
    parameter = nn.Parameter(torch.empty(2, device="meta"))
    parameter.grad = torch.empty(2, device="meta")

    assert clip_grad_value_([parameter], 3.5, foreach) is None


def test_gradients_of_several_dtypes_are_clipped_together():
    """Gradients of several dtypes have one norm, and each keeps its dtype."""
    (single,) = with_grads([2.0, 3.0], dtype=torch.float32)
    (double,) = with_grads([6.0], dtype=torch.float64)

    assert clip_grad_norm_([single, double], 3.5).item() == pytest.approx(7.0)
    assert torch.allclose(single.grad, torch.tensor([1.0, 1.5]))
    assert torch.allclose(double.grad, torch.tensor([3.0], dtype=torch.float64))


@pytest.mark.parametrize("foreach", [None, False], ids=["foreach", "one_by_one"])
def test_values_are_cut_on_both_sides(foreach, device):
    """:func:`~torch.nn.utils.clip_grad_value_` cuts every element to the value on both sides."""
    first, second = with_grads([2.0, -3.0, 0.5], [-7.0, -0.25], device=device)
    result = clip_grad_value_([first, second], 1, foreach)

    assert result is None
    assert (first.grad.tolist(), second.grad.tolist()) == ([1.0, -1.0, 0.5], [-1.0, -0.25])


def test_values_of_a_single_tensor_are_cut():
    """:func:`~torch.nn.utils.clip_grad_value_` takes a single tensor and a number given as text too."""
    (parameter,) = with_grads([2.0, -3.0, 0.5])
    clip_grad_value_(parameter, "1.5")

    assert parameter.grad.tolist() == [1.5, -1.5, 0.5]


@pytest.mark.parametrize(
    ("clip", "foreach"),
    [(clip_grad_norm_, True), (clip_grad_norm_, False), (clip_grad_value_, False)],
    ids=["norm_foreach", "norm_one_by_one", "value_one_by_one"],
)
def test_clipping_is_not_recorded(clip, foreach):
    """Clipping a gradient that has a graph of its own leaves no trace in the graph."""
    parameter = nn.Parameter(torch.tensor([5.0, 7.0]))
    with pytest.warns(UserWarning, match="create_graph=True"):
        parameter.pow(2).sum().backward(create_graph=True)
    before = parameter.grad.grad_fn
    clip([parameter], 1.0, foreach=foreach)

    assert parameter.grad.grad_fn is before
    assert parameter.grad.max().item() <= 1.0


@pytest.mark.since("2.1")
@pytest.mark.before("2.3")
@pytest.mark.observed
def test_cutting_values_is_recorded():
    """Cutting the values of a gradient that has a graph of its own is recorded in that graph.

    It is so on torch 2.1 and 2.2 only; before and after, it leaves no trace.
    """
    parameter = nn.Parameter(torch.tensor([5.0, 7.0]))
    with pytest.warns(UserWarning, match="create_graph=True"):
        parameter.pow(2).sum().backward(create_graph=True)
    clip_grad_value_([parameter], 1.0)

    assert parameter.grad.grad_fn.name() == "ClampMaxBackward0"


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_, clip_grad_norm])
def test_foreach_is_left_to_torch(clip):
    """``foreach`` is ``None`` by default: torch decides."""
    assert inspect.signature(clip).parameters["foreach"].default is None


@pytest.mark.since("2.4")
def test_the_old_name_warns_of_the_future():
    """:func:`~torch.nn.utils.clip_grad_norm` is the old name, and gives a ``FutureWarning``."""
    (parameter,) = with_grads([3.0, 4.0])
    with pytest.warns(FutureWarning, match="clip_grad_norm` is now deprecated in favor"):
        clip_grad_norm(parameter, 2.5)


@pytest.mark.before("2.4")
def test_the_old_name_warns():
    """:func:`~torch.nn.utils.clip_grad_norm` is the old name, and gives a ``UserWarning``."""
    (parameter,) = with_grads([3.0, 4.0])
    with pytest.warns(UserWarning, match="clip_grad_norm is now deprecated in favor"):
        clip_grad_norm(parameter, 2.5)


def test_the_old_name_does_the_same():
    """:func:`~torch.nn.utils.clip_grad_norm` takes the same arguments and does the same."""
    first, second = with_grads([2.0, 3.0], [-6.0])
    with pytest.warns(Warning, match="deprecated"):
        norm = clip_grad_norm([first, second], 5.5, 1, False, False)
    (nan,) = with_grads([math.nan])
    with pytest.warns(Warning, match=r"deprecated"), pytest.raises(RuntimeError, match=r"order 3.0"):
        clip_grad_norm([nan], 5.5, 3, True)

    assert norm.item() == 11.0
    assert torch.allclose(torch.cat([first.grad, second.grad]), torch.tensor([1.0, 1.5, -3.0]))


def test_the_old_name_has_the_same_defaults():
    """:func:`~torch.nn.utils.clip_grad_norm` has order 2 and accepts what is not finite by default."""
    (parameter,) = with_grads([3.0, 4.0])
    (nan,) = with_grads([math.nan])
    with pytest.warns(Warning, match="deprecated"):
        norms = [clip_grad_norm(parameter, 2.5).item(), clip_grad_norm(nan, 2.5).item()]

    assert norms[0] == 5.0
    assert math.isnan(norms[1])
