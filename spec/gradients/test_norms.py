"""The total norm of tensors, and scaling gradients by a norm that is known.

These are the two halves of :func:`~torch.nn.utils.clip_grad_norm_`, for those who have to do something
in between, such as adding up norms over processes. They came with torch 2.6 (:pull:`139662`).
"""

import inspect
import math

import pytest
import torch
from torch import nn


@pytest.mark.since("2.6")
def test_the_norm_is_of_the_tensors_themselves():
    """:func:`~torch.nn.utils.get_total_norm` is the norm of the tensors, not of their gradients."""
    tensors = [torch.tensor([2.0, 3.0], requires_grad=True), torch.tensor([-6.0])]
    norm = nn.utils.get_total_norm(tensors)

    assert (norm.item(), norm.shape, norm.requires_grad) == (7.0, (), False)
    assert tensors[0].tolist() == [2.0, 3.0]


@pytest.mark.since("2.6")
@pytest.mark.parametrize(
    ("kind", "norm"), [(1, 11.0), (3, 251 ** (1 / 3)), ("inf", 6.0)], ids=["1", "3", "inf"]
)
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "foreach", "one_by_one"])
def test_total_norms_of_every_order(kind, norm, foreach):
    """:func:`~torch.nn.utils.get_total_norm` knows every order, and ``foreach`` changes nothing."""
    tensors = [torch.tensor([2.0, 3.0]), torch.tensor([-6.0])]

    assert nn.utils.get_total_norm(tensors, kind, False, foreach).item() == pytest.approx(norm)


@pytest.mark.since("2.6")
@pytest.mark.parametrize("kind", ["tensor", "generator"])
def test_the_norm_of_one_tensor_or_of_any_iterable(kind):
    """:func:`~torch.nn.utils.get_total_norm` takes one tensor or any iterable of tensors."""
    tensor = torch.tensor([3.0, 4.0])
    given = tensor if kind == "tensor" else (t for t in [tensor])

    assert nn.utils.get_total_norm(given).item() == 5.0


@pytest.mark.since("2.6")
def test_the_norm_of_nothing_is_zero():
    """:func:`~torch.nn.utils.get_total_norm` of no tensors is 0, as a tensor."""
    norm = nn.utils.get_total_norm([])

    assert (type(norm), norm.item()) == (torch.Tensor, 0.0)


@pytest.mark.since("2.6")
@pytest.mark.parametrize("value", [math.nan, math.inf], ids=["nan", "inf"])
def test_a_total_norm_that_is_not_finite_may_raise(value):
    """:func:`~torch.nn.utils.get_total_norm` raises ``RuntimeError`` for a norm not finite, if asked to."""
    tensors = [torch.tensor([2.0, value])]

    assert not nn.utils.get_total_norm(tensors).isfinite()
    with pytest.raises(RuntimeError, match=r"^The total norm of order 3.0 for .* is non-finite, so"):
        nn.utils.get_total_norm(tensors, 3, error_if_nonfinite=True)


@pytest.mark.since("2.6")
def test_the_norm_of_a_device_without_foreach():
    """:func:`~torch.nn.utils.get_total_norm` raises ``RuntimeError`` for ``foreach=True`` on a device without
    it.
    """
    tensors = [torch.empty(2, device="meta")]

    with pytest.raises(RuntimeError, match=r"^foreach=True was passed, but .* on meta tensors$"):
        nn.utils.get_total_norm(tensors, foreach=True)


@pytest.mark.since("2.6")
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "foreach", "one_by_one"])
def test_gradients_are_scaled_by_the_norm_given(foreach):
    """:func:`~torch.nn.utils.clip_grads_with_norm_` scales gradients by the maximum over that norm."""
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    first.grad, second.grad = torch.tensor([2.0, 3.0]), torch.tensor([-6.0])
    gradient = first.grad
    result = nn.utils.clip_grads_with_norm_([first, second], "5", torch.tensor(20.0), foreach)

    assert (result, first.grad is gradient) == (None, True)
    assert torch.allclose(torch.cat([first.grad, second.grad]), torch.tensor([0.5, 0.75, -1.5]))


@pytest.mark.since("2.6")
def test_a_small_norm_scales_nothing_up():
    """:func:`~torch.nn.utils.clip_grads_with_norm_` never makes gradients longer."""
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([2.0, 3.0])
    nn.utils.clip_grads_with_norm_(parameter, 5.0, torch.tensor(2.5))

    assert parameter.grad.tolist() == [2.0, 3.0]


@pytest.mark.since("2.6")
def test_a_single_tensor_is_scaled():
    """:func:`~torch.nn.utils.clip_grads_with_norm_` takes one tensor, and passes over missing gradients."""
    parameter = nn.Parameter(torch.zeros(2))
    nn.utils.clip_grads_with_norm_(parameter, 5.0, torch.tensor(10.0))
    assert parameter.grad is None

    parameter.grad = torch.tensor([2.0, 3.0])
    nn.utils.clip_grads_with_norm_(parameter, 5.0, torch.tensor(10.0))
    assert torch.allclose(parameter.grad, torch.tensor([1.0, 1.5]))


@pytest.mark.since("2.6")
def test_scaling_on_a_device_without_foreach():
    """:func:`~torch.nn.utils.clip_grads_with_norm_` raises ``RuntimeError`` for ``foreach=True`` on a device
    without it.
    """
    parameter = nn.Parameter(torch.empty(2, device="meta"))
    parameter.grad = torch.empty(2, device="meta")

    with pytest.raises(RuntimeError, match=r"^foreach=True was passed, but .* on meta tensors$"):
        nn.utils.clip_grads_with_norm_([parameter], 5.0, torch.tensor(10.0), foreach=True)


@pytest.mark.since("2.6")
@pytest.mark.observed
@pytest.mark.parametrize(
    ("foreach", "kind", "names"),
    [
        (None, torch.Tensor, ["_foreach_norm", "_foreach_mul_"]),
        (True, nn.Parameter, ["_foreach_norm", "_foreach_mul_"]),
        (False, torch.Tensor, []),
        (None, nn.Parameter, []),
    ],
    ids=["default", "foreach", "one_by_one", "subclass"],
)
def test_plain_tensors_are_taken_together(foreach, kind, names):
    """Plain tensors, or any with ``foreach=True``, are taken by functions for many tensors at once."""
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.Tensor.as_subclass(torch.tensor([3.0, 4.0]), kind)
    called = []

    class Record(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            called.append(function.__name__)
            return function(*args, **(kwargs or {}))

    with Record():
        norm = nn.utils.get_total_norm([parameter.grad], foreach=foreach)
        nn.utils.clip_grads_with_norm_([parameter], 2.5, norm, foreach=foreach)

    assert [name for name in called if name.startswith("_foreach")] == names


@pytest.mark.since("2.6")
@pytest.mark.parametrize("name", ["get_total_norm", "clip_grads_with_norm_"])
def test_foreach_of_norms_is_left_to_torch(name):
    """``foreach`` is ``None`` by default in both halves of clipping by norm."""
    assert inspect.signature(getattr(nn.utils, name)).parameters["foreach"].default is None
