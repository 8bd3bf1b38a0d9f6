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
    parameters = [nn.Parameter(torch.zeros_like(torch.tensor(each, **options))) for each in gradients]
    for parameter, values in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(values, **options)
    return parameters


@pytest.mark.parametrize("foreach", [None, False], ids=["default", "one_by_one"])
def test_gradients_are_scaled_to_the_norm(foreach, device):
    """``clip_grad_norm_`` scales gradients down to ``max_norm`` if their total norm is larger.

    All are multiplied by the same factor, so the direction of the step stays. Call
    :func:`~torch.nn.utils.clip_grad_norm_` between ``backward()`` and ``step()``, for all parameters at once:
    for each layer alone it is another step.
    """
    first, second = with_grads([[2.0, 0.0], [0.0, 3.0]], [-6.0], device=device)
    clip_grad_norm_([first, second], 3.5, foreach=foreach)

    assert first.grad.flatten().tolist() == pytest.approx([1.0, 0.0, 0.0, 1.5])
    assert second.grad.tolist() == pytest.approx([-3.0])


@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "foreach", "one_by_one"])
def test_gradients_within_the_norm_stay_as_they_are(foreach):
    """``clip_grad_norm_`` changes no gradients whose norm is below ``max_norm`` by 0.000001 plus rounding.

    Where the norm is just ``max_norm``, they lose the last digit or so.
    """
    first, second = with_grads([2.0, 3.0], [-6.0])
    clip_grad_norm_([first, second], max_norm=7.000005, foreach=foreach)
    assert first.grad.tolist() == [2.0, 3.0]
    assert second.grad.tolist() == [-6.0]

    clip_grad_norm_([first, second], max_norm=7.0, foreach=foreach)
    assert second.grad.item() > -6.0
    assert second.grad.item() == pytest.approx(-6.0, rel=1e-6)


def test_the_norm_before_clipping_is_returned():
    """:func:`~torch.nn.utils.clip_grad_norm_` returns the total norm before clipping, as a tensor.

    It is what training loops log: a value above ``max_norm`` says that this step was clipped.
    """
    first, second = with_grads([[2.0, 0.0], [0.0, 3.0]], [-6.0])
    norm = clip_grad_norm_([first, second], 3.5)

    assert norm.item() == 7.0
    assert (norm.shape, norm.requires_grad) == ((), False)
    assert second.grad.item() == pytest.approx(-3.0)
    assert clip_grad_norm_([first, second], 9.0, foreach=False).item() == pytest.approx(3.5)


@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "foreach", "one_by_one"])
def test_gradients_are_clipped_in_place(foreach):
    """``clip_grad_norm_`` and ``clip_grad_value_`` change ``parameter.grad`` in place."""
    first, second = with_grads([3.0, 4.0], [12.0])
    gradients = [first.grad, second.grad]
    clip_grad_norm_([first, second], 6.5, foreach=foreach)
    assert [id(p.grad) for p in (first, second)] == [id(gradient) for gradient in gradients]
    assert torch.cat(gradients).tolist() == pytest.approx([1.5, 2.0, 6.0])

    clip_grad_value_([first, second], 1.75, foreach=foreach)
    assert [id(p.grad) for p in (first, second)] == [id(gradient) for gradient in gradients]
    assert torch.cat(gradients).tolist() == pytest.approx([1.5, 1.75, 1.75])


@pytest.mark.parametrize(
    ("kind", "norm"),
    [(1, 11.0), (2.0, 7.0), (3, 251 ** (1 / 3)), ("inf", 6.0), (math.inf, 6.0), ("2", 7.0)],
    ids=["1", "2", "3", "text_inf", "inf", "text_2"],
)
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "foreach", "one_by_one"])
def test_norms_of_every_order(kind, norm, foreach):
    """``norm_type`` of :func:`~torch.nn.utils.clip_grad_norm_` selects the norm, such as 2 or ``"inf"``.

    ``foreach`` does not change the result.
    """
    first, second = with_grads([[2.0, 0.0], [0.0, 3.0]], [-6.0])
    returned = clip_grad_norm_([first, second], norm / 2, kind, foreach=foreach)

    assert returned.item() == pytest.approx(norm)
    assert torch.allclose(first.grad, torch.tensor([[1.0, 0.0], [0.0, 1.5]]))
    assert second.grad.tolist() == pytest.approx([-3.0])


def test_the_norm_of_order_zero_counts_tensors():
    """``clip_grad_norm_(norm_type=0)`` counts the gradients that are not all zero, not their elements.

    It is the norm of the norms of the single gradients.
    """
    parameters = with_grads([2.0, 3.0], [-6.0, 5.0, 4.0], [0.0, 0.0])

    assert clip_grad_norm_(parameters, 100.0, norm_type=0).item() == 2.0


def test_a_tiny_number_keeps_from_dividing_by_zero():
    """``clip_grad_norm_`` multiplies gradients by ``max_norm / (norm + 0.000001)``, at most by 1."""
    (tiny,) = with_grads([1e-6, 0.0])
    clip_grad_norm_([tiny], 1e-6)
    (short,) = with_grads([3.0, 4.0])
    clip_grad_norm_([short], 10.0)
    (zeros,) = with_grads([0.0, 0.0])
    clip_grad_norm_([zeros], 0.0)

    assert tiny.grad.tolist() == pytest.approx([0.5e-6, 0.0])
    assert short.grad.tolist() == [3.0, 4.0]
    assert zeros.grad.tolist() == [0.0, 0.0]


def test_what_may_be_clipped():
    """:func:`~torch.nn.utils.clip_grad_norm_` accepts one tensor or any iterable of tensors."""
    both = first, second = with_grads([3.0, 4.0], [12.0])
    net = nn.ParameterList(both)

    for given in (both, tuple(both), set(both), net.parameters(), net):
        first.grad, second.grad = torch.tensor([3.0, 4.0]), torch.tensor([12.0])
        clip_grad_norm_(given, 6.5)
        assert torch.cat([first.grad, second.grad]).tolist() == pytest.approx([1.5, 2.0, 6.0])

    clip_grad_norm_(first, 1.25)
    assert torch.cat([first.grad, second.grad]).tolist() == pytest.approx([0.75, 1.0, 6.0])


def test_parameters_without_gradient_are_passed_over():
    """``clip_grad_norm_`` and ``clip_grad_value_`` skip parameters without ``grad`` if others have one."""
    (parameter,), without = with_grads([3.0, 4.0]), nn.Parameter(torch.rand(2))
    norms = [clip_grad_norm_(given, 2.5).item() for given in ([without, parameter], [without])]
    clip_grad_value_([without, parameter], 1.75)

    assert norms == [5.0, 0.0]
    assert without.grad is None
    assert parameter.grad.tolist() == pytest.approx([1.5, 1.75])


@pytest.mark.parametrize("given", [[], [nn.Parameter(torch.rand(2))]], ids=["nothing", "no_gradient"])
def test_without_gradients_the_norm_is_zero(given):
    """:func:`~torch.nn.utils.clip_grad_norm_` returns a tensor of 0 if no parameter has a gradient."""
    for norm_type in (2.0, 1, "inf"):
        norm = clip_grad_norm_(given, 3.5, norm_type)

        assert [type(norm), norm.dtype, norm.item()] == [torch.Tensor, torch.float32, 0.0]


@pytest.mark.since("2.8")
def test_an_empty_generator_is_warned_of():
    """``clip_grad_norm_`` gives a ``UserWarning`` for an empty or already exhausted generator.

    It clips nothing then. Call ``parameters()`` again for each use, or keep a list.
    """
    layer = nn.Linear(2, 3)
    layer.bias.grad = torch.tensor([30.0, 40.0, 50.0])
    exhausted = layer.parameters()
    list(exhausted)

    for parameters in (exhausted, nn.ReLU().parameters(), (p for p in layer.parameters() if p.dim() > 2)):
        with pytest.warns(UserWarning, match="^`parameters` is an empty generator, no gradient"):
            clip_grad_norm_(parameters, 3.5)
    assert layer.bias.grad.tolist() == [30.0, 40.0, 50.0]


def test_other_iterables_are_not_warned_of():
    """``clip_grad_norm_`` does not warn for an empty list, or for a generator that yields parameters."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clip_grad_norm_([], 3.5)
        clip_grad_norm_(nn.Linear(2, 3).parameters(), 3.5)

    assert caught == []


@pytest.mark.parametrize("value", [math.nan, math.inf], ids=["nan", "inf"])
def test_a_norm_that_is_not_finite_may_raise(value):
    """``clip_grad_norm_(error_if_nonfinite=True)`` raises ``RuntimeError`` if the total norm is inf or NaN.

    No gradient is changed then.
    """
    first, second = with_grads([2.0, 3.0], [value])
    message = r"^The total norm of order 2.0 for gradients from `parameters` is non-finite, so it cannot"
    with pytest.raises(RuntimeError, match=message):
        clip_grad_norm_([first, second], 3.5, 2, True)
    assert first.grad.tolist() == [2.0, 3.0]

    assert clip_grad_norm_([first], 9.0, error_if_nonfinite=True).item() == pytest.approx(math.sqrt(13))


def test_a_norm_that_is_not_finite_spoils_gradients():
    """By default ``clip_grad_norm_`` zeros other gradients if one is inf, and makes all NaN if one is NaN.

    The next step then changes nothing, or fills the model with NaN. ``error_if_nonfinite=True`` raises then.
    """
    first, second = with_grads([2.0, 3.0], [math.inf])
    clip_grad_norm_([first, second], 3.5)
    third, fourth = with_grads([2.0, 3.0], [math.nan])
    clip_grad_norm_([third, fourth], 3.5)

    assert first.grad.tolist() == [0.0, 0.0]
    assert second.grad.isnan().tolist() == [True]
    assert third.grad.isnan().tolist() == [True, True]
    assert fourth.grad.isnan().tolist() == [True]


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_], ids=["norm", "value"])
def test_foreach_needs_a_device_that_has_it(clip):
    """``clip_grad_norm_`` and ``clip_grad_value_`` with ``foreach=True`` raise ``RuntimeError`` for meta
    tensors.
    """
    (parameter,) = with_grads([3.0, 4.0], device="meta")
    message = "^foreach=True was passed, but can't use the foreach API on meta tensors$"
    with pytest.raises(RuntimeError, match=message):
        clip([parameter], 3.5, foreach=True)


@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "foreach", "one_by_one"])
@pytest.mark.parametrize(
    ("clip", "names"),
    [
        (clip_grad_norm_, ["_foreach_norm", "_foreach_mul_"]),
        (clip_grad_value_, ["_foreach_clamp_min_", "_foreach_clamp_max_"]),
    ],
    ids=["norm", "value"],
)
def test_gradients_are_clipped_together(clip, names, foreach, device):
    """``clip_grad_norm_`` and ``clip_grad_value_`` use ``torch._foreach`` functions, unless
    ``foreach=False``.

    These take many tensors in one call, and are there on the CPU and on most accelerators.
    """
    (parameter,) = with_grads([3.0, 4.0], device=device)
    called = []

    class Record(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            called.append(function.__name__)
            return function(*args, **(kwargs or {}))

    with Record():
        clip([parameter], 2.5, foreach=foreach)

    assert [name for name in called if name.startswith("_foreach")] == ([] if foreach is False else names)


@pytest.mark.parametrize("foreach", [None, False], ids=["default", "one_by_one"])
@pytest.mark.parametrize(
    ("clip", "name"), [(clip_grad_norm_, "mul_"), (clip_grad_value_, "clamp_")], ids=["norm", "value"]
)
def test_by_default_any_device_will_do(clip, name, foreach):
    """By default ``clip_grad_norm_`` and ``clip_grad_value_`` clip ``meta`` tensors one by one."""
    parameters = with_grads([3.0, 4.0], [2.0, 3.0, 5.0], device="meta")
    clipped = []

    class Record(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function.__name__ == name:
                clipped.append(len(args[0]))
            return function(*args, **(kwargs or {}))

    with Record():
        clip(parameters, 3.5, foreach=foreach)

    assert clipped == [2, 3]


@pytest.mark.parametrize("foreach", [None, False], ids=["default", "one_by_one"])
def test_gradients_of_several_dtypes_are_clipped_together(foreach):
    """``clip_grad_norm_`` computes one norm over gradients of several dtypes; each keeps its dtype."""
    (single,) = with_grads([2.0, 3.0], dtype=torch.float32)
    (double,) = with_grads([6.0], dtype=torch.float64)

    assert clip_grad_norm_([single, double], 3.5, foreach=foreach).item() == pytest.approx(7.0)
    assert single.grad.tolist() == pytest.approx([1.0, 1.5])
    assert double.grad.tolist() == pytest.approx([3.0])
    assert [single.grad.dtype, double.grad.dtype] == [torch.float32, torch.float64]


@pytest.mark.parametrize("foreach", [None, False], ids=["foreach", "one_by_one"])
def test_values_are_cut_on_both_sides(foreach, device):
    """``clip_grad_value_`` clamps each element of a gradient to between ``-clip_value`` and ``clip_value``.

    So the direction of the step changes, unlike with :func:`~torch.nn.utils.clip_grad_norm_`.
    """
    first, second = with_grads([2.0, -3.0, 0.5], [-7.0, -0.25], device=device)
    result = clip_grad_value_([first, second], 1, foreach)

    assert result is None
    assert first.grad.tolist() == [1.0, -1.0, 0.5]
    assert second.grad.tolist() == [-1.0, -0.25]


def test_values_of_a_single_tensor_are_cut():
    """:func:`~torch.nn.utils.clip_grad_value_` also accepts a single tensor and a string ``clip_value``."""
    (parameter,) = with_grads([2.0, -3.0, 0.5])
    clip_grad_value_(parameter, "1.5")

    assert parameter.grad.tolist() == [1.5, -1.5, 0.5]


@pytest.mark.parametrize(
    ("clip", "foreach"),
    [(clip_grad_norm_, True), (clip_grad_norm_, False), (clip_grad_value_, False)],
    ids=["norm_foreach", "norm_one_by_one", "value_one_by_one"],
)
def test_clipping_is_not_recorded(clip, foreach):
    """``clip_grad_norm_``, and ``clip_grad_value_`` with ``foreach=False``, are not recorded by autograd.

    A gradient has a graph after ``backward(create_graph=True)``.
    """
    parameter = nn.Parameter(torch.tensor([5.0, 7.0]))
    with pytest.warns(UserWarning, match="create_graph=True"):
        parameter.pow(2).sum().backward(create_graph=True)
    before = parameter.grad.grad_fn
    clip([parameter], 1.0, foreach=foreach)

    assert before is not None
    assert parameter.grad.grad_fn is before
    assert parameter.grad.max().item() <= 1.0


@pytest.mark.since("2.1")
@pytest.mark.before("2.3")
def test_cutting_values_is_recorded():
    """By default autograd records ``clip_grad_value_`` if the gradient has a ``grad_fn``."""
    parameter = nn.Parameter(torch.tensor([5.0, 7.0]))
    with pytest.warns(UserWarning, match="create_graph=True"):
        parameter.pow(2).sum().backward(create_graph=True)
    clip_grad_value_([parameter], 1.0)

    assert parameter.grad.grad_fn.name() == "ClampMaxBackward0"


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_, clip_grad_norm])
def test_foreach_is_left_to_torch(clip):
    """``clip_grad_norm_``, ``clip_grad_value_`` and ``clip_grad_norm`` have ``foreach=None`` by default.

    Torch then decides by the device and the kind of tensors.
    """
    assert inspect.signature(clip).parameters["foreach"].default is None


@pytest.mark.since("2.4")
def test_the_old_name_warns_of_the_future():
    """The deprecation warning of ``clip_grad_norm()``, without underscore, is a ``FutureWarning``."""
    (parameter,) = with_grads([3.0, 4.0])
    with pytest.warns(FutureWarning, match="clip_grad_norm` is now deprecated in favor"):
        clip_grad_norm(parameter, 2.5)

    assert parameter.grad.tolist() == pytest.approx([1.5, 2.0])


@pytest.mark.before("2.4")
def test_the_old_name_warns():
    """The deprecation warning of ``clip_grad_norm()``, without underscore, is a ``UserWarning``."""
    (parameter,) = with_grads([3.0, 4.0])
    with pytest.warns(UserWarning, match="clip_grad_norm is now deprecated in favor"):
        clip_grad_norm(parameter, 2.5)

    assert parameter.grad.tolist() == pytest.approx([1.5, 2.0])


def test_the_old_name_does_the_same():
    """:func:`~torch.nn.utils.clip_grad_norm` takes the arguments of ``clip_grad_norm_`` in the same order."""
    first, second = with_grads([2.0, 3.0], [-6.0])
    with pytest.warns(Warning, match="deprecated"):
        norm = clip_grad_norm([first, second], 5.5, 1, False, False)
    assert norm.item() == 11.0
    assert torch.cat([first.grad, second.grad]).tolist() == pytest.approx([1.0, 1.5, -3.0])

    (nan,) = with_grads([math.nan])
    with pytest.warns(Warning, match="deprecated"), pytest.raises(RuntimeError, match=r"order 3.0"):
        clip_grad_norm([nan], 5.5, 3, True)

    (meta,) = with_grads([3.0], device="meta")
    with pytest.warns(Warning, match="deprecated"), pytest.raises(RuntimeError, match=r"^foreach=True"):
        clip_grad_norm([meta], 5.5, 2, False, True)


def test_the_old_name_has_the_same_defaults():
    """By default :func:`~torch.nn.utils.clip_grad_norm` uses the 2-norm and does not raise for NaN."""
    parameters = with_grads([3.0, 4.0], [12.0])
    (nan,) = with_grads([math.nan])
    with pytest.warns(Warning, match="deprecated"):
        norms = [clip_grad_norm(parameters, 2.5).item(), clip_grad_norm(nan, 2.5).item()]

    assert norms[0] == 13.0
    assert math.isnan(norms[1])
