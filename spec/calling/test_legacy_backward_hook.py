"""The legacy backward hook, which sees the last operation of forward rather than the module.

:meth:`~torch.nn.Module.register_backward_hook` is deprecated. Its hook hangs on the operation that made
the (first) output, so what it sees are the gradients of the inputs of that operation.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_backward_hook
from torch.utils.hooks import RemovableHandle

BOTH_KINDS = "^Cannot use both regular backward hooks and full backward hooks on a single Module. Please use"


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


def test_it_gets_gradients_of_one_operation():
    """A ``register_backward_hook`` hook is called as ``hook(module, grad_input, grad_output)``.

    ``grad_input`` is of the inputs of the operation that made the output, ``grad_output`` of that output.
    Register :meth:`~torch.nn.Module.register_full_backward_hook` instead, whose gradients are those of the
    module.
    """
    y = torch.tensor([5.0, 7.0], requires_grad=True)
    net = Apply(lambda x: x * y)
    seen = []
    net.register_backward_hook(lambda *given: seen.append(given))
    net(torch.tensor([2.0, 3.0], requires_grad=True)).sum().backward()

    [(module, grad_input, grad_output)] = seen
    assert module is net
    assert [gradient.tolist() for gradient in grad_input] == [[5.0, 7.0], [2.0, 3.0]]
    assert [gradient.tolist() for gradient in grad_output] == [[1.0, 1.0]]


def test_it_sees_the_last_operation_only():
    """A ``register_backward_hook`` hook gets ``grad_input`` of the last operation, unlike a full backward
    hook.

    So for a module of several operations what it calls ``grad_input`` is wrong without an error.
    """
    net, other = Apply(lambda x: (x * 2) * 3), Apply(lambda x: (x * 2) * 3)
    legacy, full = [], []
    net.register_backward_hook(lambda module, grad_input, grad_output: legacy.append(grad_input[0].tolist()))
    other.register_full_backward_hook(
        lambda module, grad_input, grad_output: full.append(grad_input[0].tolist())
    )
    net(torch.rand(2, requires_grad=True)).sum().backward()
    other(torch.rand(2, requires_grad=True)).sum().backward()

    assert legacy == [[3.0, 3.0]]
    assert full == [[6.0, 6.0]]


def test_for_a_linear_layer_it_starts_with_the_bias():
    """For a 2-D input, a ``register_backward_hook`` hook of ``Linear`` gets gradients of bias, input, weight.

    That is the order for an input of two dimensions; the gradient of the weight comes transposed.
    """
    layer = nn.Linear(2, 3)
    seen = []
    layer.register_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_input))
    x = torch.rand(4, 2, requires_grad=True)
    layer(x).sum().backward()

    assert [tuple(gradient.shape) for gradient in seen[0]] == [(3,), (4, 2), (2, 3)]
    assert torch.equal(seen[0][2], layer.weight.grad.T)


def test_what_a_legacy_hook_returns_replaces_gradients():
    """What a ``register_backward_hook`` hook returns replaces ``grad_input``."""
    net = Apply(torch.addcmul)
    net.register_backward_hook(lambda module, given, _: (given[0], given[1] * 10, given[2]))
    net.register_backward_hook(lambda module, given, _: None)
    net.register_backward_hook(lambda module, given, _: (given[0] * 3, given[1] + 1, None))
    x, y, z = torch.tensor([[1.0, 1.5], [2.0, 3.0], [5.0, 7.0]]).requires_grad_().unbind()
    for tensor in (x, y, z):
        tensor.retain_grad()
    net(x, y, z).sum().backward()

    assert x.grad.tolist() == [3.0, 3.0]
    assert y.grad.tolist() == [51.0, 71.0]
    assert z.grad is None


def test_registering_a_legacy_hook_returns_a_handle():
    """:meth:`~torch.nn.Module.register_backward_hook` returns a ``RemovableHandle`` that removes the hook."""
    net = Apply(torch.sin)
    calls = []
    handle = net.register_backward_hook(lambda *given: calls.append("hook"))
    x = torch.rand(2, requires_grad=True)
    net(x).sum().backward()
    handle.remove()
    net(x).sum().backward()

    assert type(handle) is RemovableHandle
    assert calls == ["hook"]


def test_registering_a_legacy_hook_gives_no_warning():
    """Calling ``register_backward_hook`` does not warn, although it is deprecated."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for module in (layer := nn.Linear(2, 3), layer, nn.Sequential(layer)):
            module.register_backward_hook(lambda *given: None)

    assert caught == []


def test_one_operation_gives_no_warning():
    """A ``register_backward_hook`` hook does not warn if ``forward`` is one operation on non-leaf tensors."""
    net, several = Apply(torch.mul), Apply(lambda x: x.unbind())
    for module in (net, several):
        module.register_backward_hook(lambda *given: None)
    x = torch.rand(2, requires_grad=True) * 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net(x, x * 2)
        several(x)

    assert caught == []


@pytest.mark.parametrize(
    ("wrap", "others", "message"),
    [
        (lambda y: [y], [], "a single Tensor or a tuple of Tensors .* missing some of the grad_output"),
        (lambda y: (y, "a"), [], "does not return a single Tensor or a tuple of Tensors is deprecated"),
        (lambda y: y, [3], "does not take as input a single Tensor .* missing some of the grad_input"),
    ],
    ids=["list_of_outputs", "output_no_tensor", "input_no_tensor"],
)
def test_it_warns_of_what_is_no_tensor(wrap, others, message):
    """A ``register_backward_hook`` hook warns if an input or output is not a tensor, but still fires."""
    calls = []

    class Net(nn.Module):
        def forward(self, x, *others):
            self.result = x * 3
            return wrap(self.result)

    net = Net()
    net.register_backward_hook(lambda *given: calls.append("hook"))
    with pytest.warns((FutureWarning, UserWarning), match=message) as caught:
        net(torch.rand(2, requires_grad=True) * 1, *others)
    net.result.sum().backward()

    assert len(caught) == 1
    assert calls == ["hook"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: (x * 2, x * 3), "outputs are generated by different autograd Nodes .* some grad_output"),
        (lambda x: (x * 2) * 3, "the forward contains multiple autograd Nodes .* missing some grad_input"),
    ],
    ids=["outputs", "forward"],
)
def test_it_warns_of_several_operations(function, message):
    """With a ``register_backward_hook`` hook, ``net(x)`` warns if ``forward`` runs several autograd
    operations.
    """
    net = Apply(function)
    net.register_backward_hook(lambda *given: None)
    leaf = torch.rand(2, requires_grad=True)
    for x in (leaf, leaf * 1):
        with pytest.warns((FutureWarning, UserWarning), match=message) as caught:
            net(x)
        assert len(caught) == 1


@pytest.mark.since("2.4")
@pytest.mark.parametrize(
    ("function", "others"),
    [
        (lambda x: [x.sin()], []),
        (lambda x, y: x.sin(), [None]),
        (lambda x: (x * 2, x * 3), []),
        (lambda x: x * 2 * 3, []),
    ],
    ids=["output_no_tensor", "input_no_tensor", "several_outputs", "several_operations"],
)
def test_its_warnings_are_of_the_future(function, others):
    """Every warning of a ``register_backward_hook`` hook is a ``FutureWarning``."""
    net = Apply(function)
    net.register_backward_hook(lambda *given: None)
    with pytest.warns(FutureWarning, match="deprecated and will be removed") as caught:
        net(torch.rand(2, requires_grad=True) * 1, *others)

    assert [warning.category for warning in caught] == [FutureWarning]


@pytest.mark.before("2.4")
def test_its_warnings_are_for_users():
    """The warnings of a ``register_backward_hook`` hook have the category ``UserWarning``."""
    for function in (lambda x: x * 2 * 3, lambda x: [x.sin()], lambda x: (x * 2, x * 3)):
        net = Apply(function)
        net.register_backward_hook(lambda *given: None)
        with pytest.warns(Warning, match="deprecated and will be removed") as caught:
            net(torch.rand(2, requires_grad=True) * 1)

        assert [warning.category for warning in caught] == [UserWarning]


def test_a_leaf_input_counts_as_another_operation():
    """With a ``register_backward_hook`` hook, ``net(x)`` warns if ``x`` is a leaf tensor that requires
    grad.
    """
    net = Apply(torch.sin)
    net.register_backward_hook(lambda *given: None)
    leaf = torch.rand(2, requires_grad=True)

    with pytest.warns((FutureWarning, UserWarning), match="the forward contains multiple autograd Nodes"):
        net(leaf)


@pytest.mark.parametrize(
    "wrap",
    [lambda a, b: [[a], b], lambda a, b: {"n": [b], "a": a, "b": b}, lambda a, b: ({"a": a}, b)],
    ids=["nested_lists", "dict", "dict_in_tuple"],
)
def test_it_hangs_on_the_first_tensor(wrap):
    """A ``register_backward_hook`` hook attaches to the first element of the output, or a dict's first
    tensor.

    That is the first element of a list or tuple, again and again, and the first tensor among the values of a
    dict.
    """
    seen = []

    class Net(nn.Module):
        def forward(self, x):
            self.results = x * 5, x * 7
            return wrap(*self.results)

    net = Net()
    net.register_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_input[0].tolist()))
    with pytest.warns((FutureWarning, UserWarning), match="does not return a single Tensor or a tuple"):
        net(torch.rand(2, requires_grad=True))
    sum(net.results).sum().backward()

    assert seen == [[5.0, 5.0]]


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        (None, TypeError, "not subscriptable"),
        ([3], TypeError, "not subscriptable"),
        ((), IndexError, "out of range"),
        ({"a": 1}, StopIteration, r"^$"),
    ],
    ids=["none", "number", "empty_tuple", "dict"],
)
def test_without_a_tensor_the_call_fails(output, error, message):
    """With a ``register_backward_hook`` hook, ``net(x)`` raises ``TypeError`` if ``forward`` returns
    ``None``.

    So does a list of numbers. An empty tuple raises ``IndexError``, and a dict without a tensor
    ``StopIteration``, without a message.
    """
    net = Apply(lambda: output)
    net.register_backward_hook(lambda *given: None)
    for grad in (True, False):
        with torch.set_grad_enabled(grad), pytest.raises(error, match=message):
            net()


def test_without_a_graph_a_legacy_hook_does_nothing():
    """A ``register_backward_hook`` hook neither fires nor warns if the first output has no ``grad_fn``."""
    net = Apply(lambda x: (x.detach(), x * 2))
    calls = []
    net.register_backward_hook(lambda *given: calls.append("hook"))
    x = torch.rand(2, requires_grad=True)
    x.register_hook(lambda gradient: calls.append("x"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net(x)[1].sum().backward()
        torch.no_grad()(net)(x)

    assert calls == ["x"]
    assert caught == []


def test_a_legacy_hook_allows_changes_in_place():
    """``ReLU(inplace=True)`` works after a layer that has a ``register_backward_hook`` hook."""
    for layer in (nn.Linear(2, 3), nn.BatchNorm1d(2), nn.Sequential(nn.Linear(2, 3))):
        net, calls = nn.Sequential(layer, nn.ReLU(inplace=True)), []
        layer.register_backward_hook(lambda module, *gradients, calls=calls: calls.append(module.training))

        for training in (True, False):
            net.train(training)
            for requires_grad in (False, True):
                net(torch.rand(4, 2, requires_grad=requires_grad)).sum().backward()
        assert calls == [True, True, False, False]


def test_a_module_takes_no_full_hook_after_a_legacy_one():
    """``register_full_backward_hook`` raises ``RuntimeError`` if the module has a ``register_backward_hook``
    hook.
    """
    layer = nn.Linear(2, 3)
    layer.register_backward_hook(lambda *given: None)

    for prepend in (False, True):
        with pytest.raises(RuntimeError, match=BOTH_KINDS):
            layer.register_full_backward_hook(lambda *given: None, prepend=prepend)
    assert len(layer._backward_hooks) == 1


def test_a_module_takes_no_legacy_hook_after_a_full_one():
    """``register_backward_hook`` raises ``RuntimeError`` if the module has a full backward hook."""
    layer = nn.Linear(2, 3)
    layer.register_full_backward_hook(lambda *given: None)

    with pytest.raises(RuntimeError, match=BOTH_KINDS):
        layer.register_backward_hook(lambda *given: None)
    assert len(layer._backward_hooks) == 1


def test_each_kind_may_be_registered_again():
    """Several ``register_backward_hook`` hooks of a module, or several full ones, run in registration
    order.
    """
    legacy, full = nn.Identity(), nn.Identity()
    calls = []
    for name in ("first", "second"):
        legacy.register_backward_hook(lambda *given, name=name: calls.append(f"{name} legacy"))
        full.register_full_backward_hook(lambda *given, name=name: calls.append(f"{name} full"))
    full(legacy(torch.rand(2, requires_grad=True) * 1)).sum().backward()

    assert calls == ["first full", "second full", "first legacy", "second legacy"]


def test_the_kind_is_remembered_after_removal():
    """A removed ``register_backward_hook`` hook still makes ``register_full_backward_hook`` raise
    ``RuntimeError``.

    ``_is_full_backward_hook`` keeps the kind of the first one.
    """
    layer = nn.Linear(2, 3)
    layer.register_backward_hook(lambda *given: None).remove()
    assert dict(layer._backward_hooks) == {}
    assert layer._is_full_backward_hook is False

    with pytest.raises(RuntimeError, match=BOTH_KINDS):
        layer.register_full_backward_hook(lambda *given: None)


def test_a_legacy_hook_needs_its_module_alive():
    """``backward()`` raises ``RuntimeError`` if a module with a ``register_backward_hook`` hook was
    deleted.
    """
    net = Apply(torch.sin)
    net.register_backward_hook(lambda *given: None)
    output = net(torch.rand(2, requires_grad=True) * 1)
    del net

    with pytest.raises(RuntimeError, match=r"^You are trying to call the hook of a dead Module!$"):
        output.sum().backward()


def test_a_global_legacy_hook_does_not_warn():
    """``register_module_backward_hook``, documented as deprecated, gives no warning.

    Nor does its hook in ``backward()``. Use ``register_module_full_backward_hook``, whose ``grad_input`` is
    always that of the module.
    """
    net, calls = nn.Tanh(), []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with register_module_backward_hook(lambda module, *given: calls.append(module)):
            net(torch.rand(2, requires_grad=True) * 1).sum().backward()

    assert calls == [net]
