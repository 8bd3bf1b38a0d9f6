"""Full backward hooks: what runs when the gradients of a module's inputs are known.

:meth:`~torch.nn.Module.register_full_backward_hook` adds a function of the module, the gradients of its
inputs and the gradients of its outputs. What it returns, unless ``None``, takes the place of the
gradients of the inputs.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


@pytest.mark.parametrize("training", [True, False])
def test_it_gets_gradients_of_inputs_and_outputs(training):
    """A full backward hook is called as ``hook(module, grad_input, grad_output)``, with tuples of gradients.

    The tuples hold the gradients of the module's inputs and outputs:
    :meth:`~torch.nn.Module.register_full_backward_hook` is for looking at gradients that flow through, not at
    those of parameters, which have :meth:`torch.Tensor.register_hook`.
    """
    net, seen = nn.Module().train(training), []
    net.forward = lambda x, y: (x * y, x + y)
    net.register_full_backward_hook(lambda *given: seen.append(given))
    x, y = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)

    product, total = net(x, y)
    (product * 10 + total * 5).backward()
    assert seen == [(net, (35.0, 25.0), (10.0, 5.0))]

    layer = nn.Linear(2, 1).train(training)
    layer.register_full_backward_hook(lambda *given: seen.append(given))
    layer(torch.rand(1, 2)).sum().backward()
    assert seen[1] == (layer, (None,), (torch.ones(1, 1),))


def test_it_fires_after_the_gradients_inside():
    """A full backward hook fires after hooks on tensors inside ``forward`` and before hooks on the inputs."""
    calls = []

    class Net(nn.Module):
        def forward(self, x):
            inner = x * 2
            inner.register_hook(lambda gradient: calls.append("inside"))
            return inner * 3

    net = Net()
    net.register_full_backward_hook(lambda *given: calls.append("hook"))
    net.register_full_backward_hook(lambda *given: calls.append("prepended"), prepend=True)
    x = torch.rand(2, requires_grad=True)
    x.register_hook(lambda gradient: calls.append("input"))
    output = net(x)
    output.register_hook(lambda gradient: calls.append("output"))
    output.sum().backward()

    assert calls == ["output", "inside", "prepended", "hook", "input"]


@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, True), (False, False)])
def test_grad_of_parameters_in_a_hook(needs):
    """In a full backward hook ``grad`` of the module's parameters is set only if an input requires grad.

    Without such an input, as in the first layer of a model, the hook runs before the gradients of parameters
    are there (:issue:`149938`). To see them use :meth:`torch.Tensor.register_hook` on the parameter, or look
    after ``backward()``.
    """
    layer, seen = nn.Bilinear(2, 2, 3), []
    for register in (layer.register_full_backward_hook, layer.register_full_backward_pre_hook):
        register(lambda layer, *_: seen.append([p.grad is not None for p in layer.parameters()]))

    layer(*(torch.rand(4, 2, requires_grad=need) for need in needs)).sum().backward()

    assert seen == [[False, False], [any(needs), any(needs)]]


def test_registering_a_full_backward_hook_returns_a_handle():
    """:meth:`~torch.nn.Module.register_full_backward_hook` returns a ``RemovableHandle`` that removes the
    hook.
    """
    identity = nn.Identity()
    calls = []
    handle = identity.register_full_backward_hook(lambda *given: calls.append("hook"))
    x = torch.rand(2, requires_grad=True)
    identity(x).sum().backward()
    handle.remove()
    identity(x).sum().backward()

    assert type(handle) is RemovableHandle
    assert calls == ["hook"]


@pytest.mark.claim("N5-21")
def test_what_it_returns_replaces_the_gradients_of_inputs():
    """What a full backward hook returns replaces ``grad_input``, not the gradients of the module's
    parameters.

    To change those of the parameters as well, change ``grad_output`` in a full backward pre-hook:
    :meth:`~torch.nn.Module.register_full_backward_pre_hook`.
    """
    layer = nn.Linear(2, 1)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 10,))
    x = torch.rand(1, 2, requires_grad=True)
    layer(x).sum().backward()

    assert torch.equal(x.grad, layer.weight * 10)
    assert torch.equal(layer.weight.grad, x)

    add, y, z = nn.Module(), torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    add.forward = lambda y, z: y + z
    add.register_full_backward_hook(lambda module, grad_input, grad_output: (None, grad_input[1] * 5))
    add(y, z).backward()
    assert [y.grad, z.grad.item()] == [None, 5.0]


def test_full_backward_hooks_run_in_order_of_registration():
    """Without ``prepend``, full backward hooks run in registration order, each on the previous one's
    result.
    """
    identity = nn.Identity()
    identity.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] + 3,))
    identity.register_full_backward_hook(lambda module, grad_input, grad_output: None)
    identity.register_full_backward_hook(lambda module, grad_input, grad_output: [grad_input[0] * 10])
    x = torch.rand(2, requires_grad=True)
    identity(x).sum().backward()

    assert x.grad.tolist() == [40.0, 40.0]


def test_prepend_puts_a_full_backward_hook_first():
    """``register_full_backward_hook(hook, prepend=True)`` runs the hook before those already on the
    module.
    """
    layer, calls = nn.Linear(2, 3), []
    layer.register_full_backward_hook(lambda *given: calls.append("first"))
    layer.register_full_backward_hook(lambda *given: calls.append("second"))
    layer.register_full_backward_hook(lambda *given: calls.append("prepended"), prepend=True)
    layer.register_full_backward_hook(lambda *given: calls.append("by position"), True)
    for requires_grad in (True, False):
        layer(torch.rand(2, requires_grad=requires_grad)).sum().backward()

    assert calls == ["by position", "prepended", "first", "second"] * 2


@pytest.mark.parametrize("count", [0, 2])
def test_one_gradient_for_each_input_may_be_returned(count):
    """A wrong number of gradients from a full backward hook raises ``RuntimeError`` if an input requires
    grad.

    There must be as many as positional arguments, ``None`` for those that are not tensors.
    """
    net = nn.Module()
    net.forward = lambda factor, x: x * factor
    net.register_full_backward_hook(lambda module, grad_input, grad_output: (None, grad_input[1] * 10))
    x = torch.rand(2, requires_grad=True)
    net(3, x).sum().backward()
    assert x.grad.tolist() == [30.0, 30.0]

    identity = nn.Identity()
    identity.register_full_backward_hook(lambda module, grad_input, grad_output: grad_input * count)
    output = identity(torch.rand(2, requires_grad=True))

    message = f"^Backward hook returned an invalid number of grad_input, got {count}, but expected 1$"
    with pytest.raises(RuntimeError, match=message):
        output.sum().backward()


@pytest.mark.parametrize(
    ("rows", "message"),
    [(4, "invalid number of grad_input, got 4, but expected 1"), (1, "has changed the size of value")],
)
def test_a_gradient_outside_a_tuple_is_taken_for_a_sequence(rows, message):
    """``backward()`` raises ``RuntimeError`` if a full backward hook returns a bare gradient, not a tuple.

    The rows of the tensor are taken for the gradients of the inputs. Write ``return (gradient,)``.
    """
    identity = nn.Identity()
    identity.register_full_backward_hook(lambda module, grad_input, grad_output: grad_input[0])
    output = identity(torch.rand(rows, 2, requires_grad=True))

    with pytest.raises(RuntimeError, match=message):
        output.sum().backward()


@pytest.mark.parametrize("shape", [(5,), (1,), (1, 2)])
def test_a_returned_gradient_keeps_its_shape(shape):
    """A full backward hook that returns a gradient of the wrong shape raises ``RuntimeError``."""
    identity = nn.Identity()
    identity.register_full_backward_hook(lambda module, grad_input, grad_output: (torch.rand(shape),))
    output = identity(torch.rand(2, requires_grad=True))

    with pytest.raises(RuntimeError, match="has changed the size of value"):
        output.sum().backward()


def test_an_error_in_a_backward_hook_reaches_the_caller():
    """An exception raised in a full backward hook reaches the caller of :meth:`~torch.Tensor.backward`."""
    identity = nn.Identity()

    def failing(module, grad_input, grad_output):
        raise KeyError("hook failed")

    linear = nn.Linear(2, 1)
    for module in (identity, linear):
        module.register_full_backward_hook(failing)
    output = identity(torch.rand(2, requires_grad=True))

    with pytest.raises(KeyError, match="hook failed"):
        output.sum().backward()
    with warnings.catch_warnings(), pytest.raises(KeyError, match="hook failed"):
        warnings.simplefilter("ignore")
        linear(torch.rand(2)).backward()


def test_it_fires_once_for_each_call():
    """If a module is called twice, ``backward()`` fires its full backward hook twice, for the last call
    first.
    """
    layer, seen = nn.Linear(2, 2), []
    nn.init.eye_(layer.weight)
    layer.register_full_backward_hook(lambda module, _, grad_output: seen.append(grad_output[0].tolist()))
    for requires_grad in (True, False):
        x = torch.rand(2, requires_grad=requires_grad)
        (layer(layer(x) * 5) * 3).sum().backward()

    assert seen == [[3.0, 3.0], [15.0, 15.0]] * 2


def test_what_a_forward_hook_kept_is_of_the_last_call():
    """In a module called twice, a ``register_full_backward_hook`` hook sees twice what the last call stored.

    Attribution methods that keep inputs on the module so mix up the calls of a reused ReLU. Use a layer for
    each place, or a stack: backward hooks run for the last call first.
    """
    layer, seen, stack, paired = nn.ReLU(), [], [], []

    def keep(module, args, output):
        module.kept = output.item()
        stack.append(output.item())

    def compare(module, grad_input, grad_output):
        seen.append((module.kept, grad_output[0].item()))
        paired.append((stack.pop(), grad_output[0].item()))

    layer.register_forward_hook(keep)
    layer.register_full_backward_hook(compare)
    x = torch.tensor(2.0, requires_grad=True)
    (layer(layer(x) * 3 + 1) * 5).backward()

    assert seen == [(7.0, 5.0), (7.0, 15.0)]
    assert paired == [(7.0, 5.0), (2.0, 15.0)]


def test_it_fires_in_every_backward_pass():
    """Each ``backward()`` through the same output fires the module's full backward hook again."""
    layer, seen = nn.Linear(2, 2), []
    layer.register_full_backward_hook(lambda module, _, grad_output: seen.append(grad_output[0].tolist()))
    for requires_grad in (True, False):
        output = layer(torch.rand(2, requires_grad=requires_grad))
        (output * torch.tensor([5.0, 7.0])).sum().backward(retain_graph=True)
        (output * torch.tensor([11.0, 13.0])).sum().backward()

    assert seen == [[5.0, 7.0], [11.0, 13.0]] * 2


def test_the_hooks_are_fixed_by_the_call():
    """``backward()`` fires the full backward hooks that were registered when the module was called."""
    layer, calls = nn.Linear(2, 3), []
    for requires_grad in (True, False):
        early = layer.register_full_backward_hook(lambda *given: calls.append("early"))
        output = layer(torch.rand(2, requires_grad=requires_grad))
        early.remove()
        with layer.register_full_backward_hook(lambda *given: calls.append("late")):
            output.sum().backward()

    assert calls == ["early", "early"]


def test_it_needs_the_gradients_of_the_inputs():
    """If an input requires grad, ``torch.autograd.grad(loss, weight)`` fires no full backward hook."""
    layer = nn.Linear(2, 1)
    calls = []
    layer.register_full_backward_hook(lambda *given: calls.append("hook"))
    x = torch.tensor([[5.0, 7.0]], requires_grad=True)
    output = layer(x)

    (gradient,) = torch.autograd.grad(output.sum(), layer.weight, retain_graph=True)
    calls.append("after the weight")
    torch.autograd.grad(output.sum(), x)

    assert gradient.tolist() == [[5.0, 7.0]]
    assert calls == ["after the weight", "hook"]


def test_a_forward_hook_gets_the_output_before_it():
    """``autograd.grad`` of the output that a forward hook has stored fires no full backward hook.

    The module returns another tensor than the forward hook saw. To see gradients of a captured output, take
    that of the call, or use :meth:`torch.Tensor.register_hook` on what was captured (:issue:`57157`).
    """
    layer, seen, calls = nn.Linear(2, 1), [], []
    layer.register_forward_hook(lambda module, args, output: seen.append(output))
    layer.register_full_backward_hook(lambda *given: calls.append("hook"))
    x = torch.tensor([[5.0, 7.0]], requires_grad=True)
    output = layer(x)

    torch.autograd.grad(seen[0].sum(), x, retain_graph=True)
    calls.append("after the captured output")
    torch.autograd.grad(output.sum(), x)

    assert calls == ["after the captured output", "hook"]
    assert seen[0] is not output


def test_a_second_derivative_does_not_fire_it():
    """``backward()`` of a gradient made with ``create_graph=True`` does not fire the full backward hook
    again.

    If the loss also contains the output of the module, the hook fires for that.
    """

    class Square(nn.Module):
        def forward(self, x):
            return x**2

    square = Square()
    calls = []
    square.register_full_backward_hook(lambda *given: calls.append("hook"))
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    output = square(x)
    (gradient,) = torch.autograd.grad(output.sum(), x, create_graph=True)
    assert calls == ["hook"]

    gradient.sum().backward(retain_graph=True)
    assert calls == ["hook"]
    assert x.grad.tolist() == [2.0, 2.0]

    (gradient.sum() + output.sum()).backward()
    assert calls == ["hook", "hook"]


def test_without_gradients_it_does_nothing():
    """Under ``no_grad``, a full backward hook does nothing: ``forward`` gets the input tensors themselves."""
    net, x = nn.Module(), torch.rand(2, requires_grad=True)
    net.forward = lambda *args: args
    net.register_full_backward_hook(lambda *given: None)
    with torch.no_grad():
        assert [given is x for given in (*net(x), *net(x, x))] == [True, True, True]

    assert net(x)[0] is not x


def test_the_store_of_full_backward_hooks():
    """A module keeps full backward hooks in ``_backward_hooks`` and sets ``_is_full_backward_hook`` to
    ``True``.

    ``_is_full_backward_hook`` is ``True`` from the first one on, and ``None`` before.
    """
    identity = nn.Identity()
    assert identity._is_full_backward_hook is None

    def hook(module, grad_input, grad_output): ...

    handle = identity.register_full_backward_hook(hook)
    assert dict(identity._backward_hooks) == {handle.id: hook}
    assert identity._is_full_backward_hook is True

    other = identity.register_full_backward_hook(repr, prepend=True)
    assert list(identity._backward_hooks.items()) == [(other.id, repr), (handle.id, hook)]
    assert identity._is_full_backward_hook is True

    handle.remove()
    other.remove()
    assert dict(identity._backward_hooks) == {}
    assert identity._is_full_backward_hook is True


def test_forward_mode_differentiation_is_refused():
    """A full backward hook makes forward-mode AD of an input that requires grad raise
    ``NotImplementedError``.

    Other tensors pass. Remove the hook, or detach the input.
    """
    identity = nn.Identity()
    identity.register_full_backward_hook(lambda *given: None)
    primal = torch.rand(2, requires_grad=True)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(primal, torch.tensor([5.0, 7.0]))
        with pytest.raises(NotImplementedError, match="implement the jvp function"):
            identity(dual)

        other = torch.autograd.forward_ad.make_dual(primal.detach(), torch.tensor([5.0, 7.0]))
        assert torch.autograd.forward_ad.unpack_dual(identity(other)).tangent.tolist() == [5.0, 7.0]
