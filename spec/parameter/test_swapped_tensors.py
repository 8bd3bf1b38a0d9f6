"""Swapping the contents of two tensors: ``torch.utils.swap_tensors``.

It gives an existing parameter object other values, also of another shape, dtype or tensor type. Whoever holds
the object, the module, an optimizer, a tied layer, sees the new content. Libraries that quantize or offload
weights use it, and :meth:`Module.to <torch.nn.Module.to>` does for some parameters.
"""

import weakref

import pytest
import torch
from torch import nn


@pytest.mark.since("2.3")
def test_the_object_stays_and_its_content_changes():
    """``torch.utils.swap_tensors(a, b)`` gives parameter ``a`` the values, shape and dtype of ``b``.

    And the other way round. A tied layer and an optimizer hold the object, and see it; if ``layer.weight`` is
    assigned anew they keep the old one.

    See also :ref:`gradients.sharing.replacing_one_name_unties`
    """
    layer, tied = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    tied.weight = weight = layer.weight
    old = weight.tolist()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    new = nn.Parameter(torch.tensor([[3.0, 4.0, 5.0]], dtype=torch.float64))

    torch.utils.swap_tensors(weight, new)
    layer(torch.tensor([2.0, 4.0, 6.0], dtype=torch.float64)).backward()
    optimizer.step()

    assert layer.weight is tied.weight is weight
    assert (weight.dtype, weight.tolist()) == (torch.float64, [[2.0, 2.0, 2.0]])
    assert (new.dtype, new.tolist()) == (torch.float32, old)


@pytest.mark.since("2.3")
def test_class_and_attributes_are_swapped():
    """``torch.utils.swap_tensors`` swaps class and attributes of two tensors as well as their values."""

    class Scaled(nn.Parameter):
        pass

    layer, new = nn.Linear(2, 1, bias=False), Scaled(torch.tensor([[3.0, 4.0]]))
    layer.weight.note, new.scale, weight = "decay", 8, layer.weight

    torch.utils.swap_tensors(weight, new)

    assert layer.weight is weight
    assert (type(weight), vars(weight)) == (Scaled, {"scale": 8})
    assert (type(new), vars(new)) == (nn.Parameter, {"note": "decay"})


@pytest.mark.since("2.3")
def test_gradients_and_hooks_go_along():
    """``torch.utils.swap_tensors`` swaps ``grad`` and the hooks of the two tensors too."""
    layer, new, calls = nn.Linear(2, 1, bias=False), nn.Parameter(torch.tensor([[3.0, 4.0]])), []
    old_grad = layer.weight.grad = torch.tensor([[5.0, 6.0]])
    layer.weight.register_hook(lambda grad: calls.append("old"))
    layer.weight.register_post_accumulate_grad_hook(lambda p: calls.append("old, accumulated"))
    new.register_hook(lambda grad: calls.append("new"))

    torch.utils.swap_tensors(layer.weight, new)
    before = layer.weight.grad
    layer(torch.tensor([7.0, 8.0])).backward()

    assert before is None
    assert new.grad is old_grad
    assert calls == ["new"]
    assert layer.weight.grad.tolist() == [[7.0, 8.0]]
    new.sum().backward()
    assert (calls, new.grad.tolist()) == (["new", "old", "old, accumulated"], [[6.0, 7.0]])


@pytest.mark.since("2.3")
def test_the_state_of_an_optimizer_stays():
    """After ``torch.utils.swap_tensors(weight, new)`` an optimizer goes on with the momentum of ``weight``.

    It knows the object, which is the same. For a new shape its state does not fit, and ``step()`` raises:
    empty ``optimizer.state``, or make a new optimizer.
    """
    layer = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0, momentum=0.5)
    layer.weight.grad = torch.tensor([[2.0, 4.0]])
    optimizer.step()

    torch.utils.swap_tensors(layer.weight, nn.Parameter(torch.tensor([[10.0, 20.0]])))
    layer.weight.grad = torch.tensor([[1.0, 1.0]])
    optimizer.step()

    assert layer.weight.tolist() == [[10.0 - 2.0, 20.0 - 3.0]]

    torch.utils.swap_tensors(layer.weight, nn.Parameter(torch.rand(3, 2)))
    layer.weight.grad = torch.rand(3, 2)
    with pytest.raises(RuntimeError, match=r"shape \[1, 2\] doesn't match the broadcast shape \[3, 2\]"):
        optimizer.step()


@pytest.mark.since("2.3")
def test_a_plain_tensor_takes_the_place():
    """``torch.utils.swap_tensors(weight, tensor)`` with a plain tensor leaves a module without the parameter.

    The name is still walked and saved, but what is there is a plain tensor that is not trained. Make it
    an ``nn.Parameter`` first.
    """
    layer, values = nn.Linear(2, 1, bias=False), torch.tensor([[3.0, 4.0]])

    torch.utils.swap_tensors(layer.weight, values)

    assert [type(layer.weight), type(values)] == [torch.Tensor, nn.Parameter]
    assert [name for name, _ in layer.named_parameters()] == list(layer.state_dict()) == ["weight"]
    assert layer(torch.tensor([1.0, 1.0])).requires_grad is False


@pytest.mark.since("2.3")
@pytest.mark.parametrize("watched", [0, 1])
def test_a_watched_tensor_is_refused(watched):
    """``torch.utils.swap_tensors`` raises ``RuntimeError`` for a tensor that has a weak reference to it.

    The error says which: ``t1`` or ``t2``.
    """
    tensors = [nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))]
    watch = weakref.ref(tensors[watched])

    with pytest.raises(RuntimeError, match=f"^Cannot swap t{watched + 1} because it has weakref"):
        torch.utils.swap_tensors(*tensors)

    assert watch() is tensors[watched]
    assert [len(tensor) for tensor in tensors] == [2, 3]


@pytest.mark.since("2.3")
def test_a_viewed_parameter_is_refused():
    """``torch.utils.swap_tensors`` raises ``RuntimeError`` for a parameter of which a view is alive.

    What ``detach()`` and ``data`` return does not count; it keeps the old values.
    """
    weight, new = nn.Parameter(torch.tensor([1.5, 2.5])), nn.Parameter(torch.tensor([3.5]))
    view = weight.view(2, 1)

    for pair in ((weight, new), (new, weight)):
        with pytest.raises(RuntimeError, match=r"^Expected .+ to "):
            torch.utils.swap_tensors(*pair)

    del view
    values = [weight.detach(), weight.data]
    torch.utils.swap_tensors(weight, new)

    assert weight.tolist() == [3.5]
    assert [value.tolist() for value in values] == [[1.5, 2.5]] * 2


@pytest.mark.since("2.4")
@pytest.mark.parametrize("used", ["weight", "new"])
def test_swapping_before_backward_spoils_the_graph(used):
    """``torch.utils.swap_tensors`` of a parameter makes ``backward()`` of earlier outputs raise
    ``RuntimeError``.

    Either tensor may be the one that was used. In torch 2.3 the swap itself raised.

    See also :ref:`placement.future_flags.swapping_before_backward_spoils_the_graph`
    """
    tensors = {name: nn.Parameter(torch.tensor([1.5, 2.5])) for name in ("weight", "new")}
    loss = (tensors[used] * 2).sum()

    torch.utils.swap_tensors(tensors["weight"], tensors["new"])

    with pytest.raises(RuntimeError, match="AccumulateGrad node that was poisoned by swap_tensors"):
        loss.backward()


@pytest.mark.since("2.3")
def test_slots_have_to_be_the_same():
    """``torch.utils.swap_tensors`` raises ``RuntimeError`` if the tensors' classes define different
    ``__slots__``.

    Between two tensors with the same slots the slots are swapped.
    """

    class Scaled(nn.Parameter):
        __slots__ = ("note", "scale")

    first, second = Scaled(torch.tensor([1.5])), Scaled(torch.tensor([2.5]))
    first.scale, first.note, second.note = 8, "decay", "no decay"

    plain = nn.Parameter(torch.tensor([3.5]))
    for pair in ((first, plain), (plain, first)):
        with pytest.raises(RuntimeError, match=r"^Cannot swap t1 and t2 if they have different slots"):
            torch.utils.swap_tensors(*pair)

    torch.utils.swap_tensors(first, second)

    assert [first.item(), second.item(), second.scale] == [2.5, 1.5, 8]
    assert hasattr(first, "scale") is False
    assert [first.note, second.note] == ["no decay", "decay"]


@pytest.mark.since("2.3")
def test_a_buffer_can_be_swapped():
    """``torch.utils.swap_tensors`` of a buffer and a tensor gives the buffer the tensor's values."""
    norm, values = nn.BatchNorm1d(2), torch.tensor([5.0, 6.0, 7.0], dtype=torch.float64)
    before = norm.running_mean

    torch.utils.swap_tensors(norm.running_mean, values)

    assert norm.running_mean is before
    assert norm.state_dict()["running_mean"].tolist() == [5.0, 6.0, 7.0]
    assert (before.dtype, values.dtype) == (torch.float64, torch.float32)
    assert values.tolist() == [0.0, 0.0]


@pytest.mark.since("2.3")
def test_a_parameter_of_several_tensors_is_filled():
    """``torch.utils.swap_tensors`` also fills a parameter that is a wrapper subclass, inner tensors and all.

    See also :ref:`parameter.swapped_tensors.data_does_not_reach_inner_tensors`
    """

    class Wrapper(torch.Tensor):
        def __new__(cls, inner):
            return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

        def __init__(self, inner):
            self.inner = inner

        @classmethod
        def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
            return cls(args[0].inner)

    weight = nn.Parameter(Wrapper(torch.tensor([1.5, 2.5])))
    new = nn.Parameter(Wrapper(torch.tensor([3.5])))

    torch.utils.swap_tensors(weight, new)

    assert [weight.shape, new.shape] == [(1,), (2,)]
    assert [weight.inner.tolist(), new.inner.tolist()] == [[3.5], [1.5, 2.5]]


def test_data_does_not_reach_inner_tensors():
    """``weight.data = new`` leaves the inner tensor of a wrapper subclass unchanged, without an error.

    Shape and dtype of the wrapper change all the same, so that they no longer fit what is inside: swap.

    See also :ref:`parameter.swapped_tensors.a_parameter_of_several_tensors_is_filled`
    """

    class Wrapper(torch.Tensor):
        def __new__(cls, inner):
            return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

        def __init__(self, inner):
            self.inner = inner

        @classmethod
        def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
            return cls(args[0].inner)

    weight = nn.Parameter(Wrapper(torch.tensor([1.5, 2.5])))

    weight.data = Wrapper(torch.rand(3, dtype=torch.float64))

    assert (weight.shape, weight.dtype) == ((3,), torch.float64)
    assert weight.inner.tolist() == [1.5, 2.5]
