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
    """:func:`~torch.nn.utils.get_total_norm` computes the norm of the given tensors, not of their ``grad``.

    Give it ``[p.grad for p in net.parameters() if p.grad is not None]``; ``net.parameters()`` is something
    else.
    """
    first, second = torch.tensor([[2.0, 0.0], [0.0, 3.0]], requires_grad=True), torch.tensor([-6.0])
    first.grad = torch.tensor([[30.0, 0.0], [0.0, 40.0]])
    norm = nn.utils.get_total_norm([first, second])

    assert norm.item() == 7.0
    assert norm.shape == ()
    assert norm.requires_grad is False


@pytest.mark.since("2.6")
@pytest.mark.parametrize(
    ("kind", "norm"), [(1, 11.0), (3, 251 ** (1 / 3)), ("inf", 6.0)], ids=["1", "3", "inf"]
)
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "foreach", "one_by_one"])
def test_total_norms_of_every_order(kind, norm, foreach):
    """``norm_type`` of :func:`~torch.nn.utils.get_total_norm` is the order of the norm, for example 1, 3 or
    ``"inf"``.

    ``foreach`` does not change the result.
    """
    tensors = [torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([-6.0])]

    assert nn.utils.get_total_norm(tensors, kind, False, foreach).item() == pytest.approx(norm)


@pytest.mark.since("2.6")
def test_the_norm_of_one_tensor_or_of_any_iterable():
    """:func:`~torch.nn.utils.get_total_norm` accepts one tensor or any iterable of tensors."""
    first, second = torch.tensor([3.0, 4.0]), torch.tensor([12.0])

    assert nn.utils.get_total_norm(first).item() == 5.0
    assert nn.utils.get_total_norm([first, second]).item() == 13.0
    assert nn.utils.get_total_norm(tensor for tensor in [first, second]).item() == 13.0
    assert nn.utils.get_total_norm({"weight": first, "bias": second}.values()).item() == 13.0


@pytest.mark.since("2.6")
def test_the_norm_of_nothing_is_zero():
    """:func:`~torch.nn.utils.get_total_norm` of an empty list returns a tensor of 0."""
    norm = nn.utils.get_total_norm([])

    assert isinstance(norm, torch.Tensor)
    assert norm.item() == 0.0


@pytest.mark.since("2.6")
@pytest.mark.parametrize("value", [math.nan, math.inf], ids=["nan", "inf"])
def test_a_total_norm_that_is_not_finite_may_raise(value):
    """``get_total_norm(error_if_nonfinite=True)`` raises ``RuntimeError`` if the norm is inf or NaN."""
    tensors = [torch.tensor([2.0, value])]

    assert not nn.utils.get_total_norm(tensors).isfinite()
    with pytest.raises(RuntimeError, match=r"^The total norm of order 3.0 for .* is non-finite, so"):
        nn.utils.get_total_norm(tensors, 3, error_if_nonfinite=True)


@pytest.mark.since("2.6")
def test_the_norm_of_a_device_without_foreach():
    """``get_total_norm(foreach=True)`` raises ``RuntimeError`` for ``meta`` tensors, which have no foreach
    functions.
    """
    tensors = [torch.empty(2, device="meta")]

    with pytest.raises(RuntimeError, match=r"^foreach=True was passed, but .* on meta tensors$"):
        nn.utils.get_total_norm(tensors, foreach=True)


@pytest.mark.since("2.6")
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "foreach", "one_by_one"])
def test_gradients_are_scaled_by_the_norm_given(foreach):
    """:func:`~torch.nn.utils.clip_grads_with_norm_` scales gradients by ``max_norm / total_norm`` if
    ``total_norm`` is larger.

    It does so in place, and looks at no norm of its own.
    """
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    first.grad, second.grad = torch.tensor([2.0, 3.0]), torch.tensor([-6.0])
    gradient = first.grad
    result = nn.utils.clip_grads_with_norm_([first, second], "1", torch.tensor(4.0), foreach)

    assert result is None
    assert first.grad is gradient
    assert first.grad.tolist() == pytest.approx([0.5, 0.75])
    assert second.grad.tolist() == pytest.approx([-1.5])
    nn.utils.clip_grads_with_norm_([first, second], 10, torch.tensor(20.0), foreach)
    assert first.grad.tolist() == pytest.approx([0.25, 0.375])


@pytest.mark.since("2.6")
@pytest.mark.parametrize("foreach", [None, True, False], ids=["default", "together", "one_by_one"])
def test_a_small_norm_scales_nothing_up(foreach):
    """``clip_grads_with_norm_`` changes nothing if ``total_norm`` is at least 0.000001 below ``max_norm``."""
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([2.0, 3.0])
    for total in (2.5, 4.999998):
        nn.utils.clip_grads_with_norm_(parameter, 5.0, torch.tensor(total), foreach)
        assert parameter.grad.tolist() == [2.0, 3.0]


@pytest.mark.since("2.6")
def test_an_exhausted_generator_scales_nothing(recwarn):
    """``clip_grads_with_norm_`` given an exhausted ``parameters()`` generator silently scales nothing.

    ``clip_grad_norm_`` warns then, since 2.8. A generator that ``get_total_norm`` has walked is exhausted:
    make a list of the parameters first. See :func:`~torch.nn.utils.clip_grads_with_norm_`.
    """
    layer = nn.Linear(1, 2, bias=False)
    layer.weight.grad = torch.tensor([[3.0], [4.0]])
    walk = layer.parameters()
    total = nn.utils.get_total_norm(p.grad for p in walk)

    nn.utils.clip_grads_with_norm_(walk, 1.0, total)
    assert layer.weight.grad.tolist() == [[3.0], [4.0]]
    assert [str(warning.message) for warning in recwarn] == []

    nn.utils.clip_grads_with_norm_(layer.parameters(), 1.0, total)
    assert layer.weight.grad.tolist() == [[pytest.approx(0.6)], [pytest.approx(0.8)]]


@pytest.mark.since("2.6")
def test_a_single_tensor_is_scaled():
    """:func:`~torch.nn.utils.clip_grads_with_norm_` accepts one tensor, and skips it if its ``grad`` is
    ``None``.
    """
    for foreach in (None, False, True):
        parameter = nn.Parameter(torch.zeros(2))
        nn.utils.clip_grads_with_norm_(parameter, 5.0, torch.tensor(10.0), foreach)
        assert parameter.grad is None

        parameter.grad = torch.tensor([2.0, 3.0])
        nn.utils.clip_grads_with_norm_(parameter, 5.0, torch.tensor(10.0), foreach)
        assert torch.allclose(parameter.grad, torch.tensor([1.0, 1.5]))


@pytest.mark.since("2.6")
def test_scaling_on_a_device_without_foreach():
    """``clip_grads_with_norm_(foreach=True)`` raises ``RuntimeError`` for ``meta`` tensors."""
    parameter = nn.Parameter(torch.empty(2, device="meta"))
    parameter.grad = torch.empty(2, device="meta")

    with pytest.raises(RuntimeError, match=r"^foreach=True was passed, but .* on meta tensors$"):
        nn.utils.clip_grads_with_norm_([parameter], 5.0, torch.tensor(10.0), foreach=True)


@pytest.mark.since("2.6")
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
    """``get_total_norm`` and ``clip_grads_with_norm_`` use ``torch._foreach`` functions for plain tensors.

    A tensor of a subclass is taken by itself, unless ``foreach=True``; ``foreach=False`` takes all one by
    one.
    """
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
    """``get_total_norm`` and ``clip_grads_with_norm_`` have ``foreach=None`` by default."""
    assert inspect.signature(getattr(nn.utils, name)).parameters["foreach"].default is None
