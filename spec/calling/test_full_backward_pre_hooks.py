"""Full backward pre-hooks: what runs when the gradients of a module's outputs are known.

:meth:`~torch.nn.Module.register_full_backward_pre_hook` adds a function of the module and the gradients
of its outputs. What it returns, unless ``None``, takes the place of these gradients.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


@pytest.mark.parametrize("training", [True, False])
def test_it_gets_the_gradients_of_the_outputs(training):
    """A full backward pre-hook is called as ``hook(module, grad_output)``, with a tuple of gradients.

    The tuple holds the gradients of the module's outputs; the hook may scale or mask them for everything
    inside. For gradients of the inputs use :meth:`~torch.nn.Module.register_full_backward_hook`.
    """
    net, seen = nn.Module().train(training), []
    net.forward = lambda *args: args if len(args) > 1 else args[0]
    net.register_full_backward_pre_hook(lambda *given: seen.append(given))
    x, y = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)

    first, second = net(x, y)
    (first * 10 + second * 5).backward()
    (net(x) * 7).backward()

    assert seen == [(net, (10.0, 5.0)), (net, (7.0,))]


@pytest.mark.parametrize("needy", [True, False], ids=["needy", "not needy"])
def test_it_fires_before_the_gradients_of_the_module(needy):
    """A full backward pre-hook fires before ``backward()`` computes gradients of the module's parameters."""
    calls = []
    layer = nn.Linear(2, 1)
    for parameter in layer.parameters():
        parameter.register_hook(lambda gradient: calls.append("parameter"))
    layer.register_full_backward_pre_hook(lambda *given: calls.append("pre-hook"))
    output = layer(torch.rand(1, 2, requires_grad=needy))
    output.register_hook(lambda gradient: calls.append("output"))
    output.sum().backward()

    assert calls == ["output", "pre-hook", "parameter", "parameter"]


def test_registering_returns_a_handle():
    """:meth:`~torch.nn.Module.register_full_backward_pre_hook` returns a ``RemovableHandle`` that removes the
    hook.
    """
    identity = nn.Identity()
    calls = []
    handle = identity.register_full_backward_pre_hook(lambda *given: calls.append("hook"))
    x = torch.rand(2, requires_grad=True)
    identity(x).sum().backward()
    handle.remove()
    identity(x).sum().backward()

    assert type(handle) is RemovableHandle
    assert calls == ["hook"]


def test_what_it_returns_replaces_gradients():
    """What a full backward pre-hook returns replaces ``grad_output`` in the backward pass of the module.

    Gradients of inputs and of parameters follow from it, and full backward hooks are given it.
    """
    layer = nn.Linear(2, 1)
    seen = []
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    layer.register_full_backward_hook(
        lambda module, grad_input, grad_output: seen.append(grad_output[0].tolist())
    )
    x = torch.tensor([[5.0, 7.0]], requires_grad=True)
    layer(x).sum().backward()

    assert torch.equal(x.grad, layer.weight * 10)
    assert layer.weight.grad.tolist() == [[50.0, 70.0]]
    assert seen == [[[10.0]]]

    net, y = nn.Module(), torch.rand(2, requires_grad=True)
    net.forward = lambda y: ("text", y * 3)
    net.register_full_backward_pre_hook(lambda module, grad_output: (None, grad_output[1] * 10))
    net(y)[1].sum().backward()
    assert y.grad.tolist() == [30.0, 30.0]


def test_backward_pre_hooks_run_in_order_of_registration():
    """Without ``prepend``, full backward pre-hooks run in registration order, each on the last one's
    result.
    """
    identity = nn.Identity()
    identity.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] + 1,))
    identity.register_full_backward_pre_hook(lambda module, grad_output: None)
    identity.register_full_backward_pre_hook(lambda module, grad_output: [grad_output[0] * 10])
    x = torch.rand(2, requires_grad=True)
    identity(x).sum().backward()

    assert x.grad.tolist() == [20.0, 20.0]


def test_prepend_puts_a_backward_pre_hook_first():
    """``register_full_backward_pre_hook(hook, prepend=True)`` runs the hook before those already there."""
    identity = nn.Identity()
    calls = []
    identity.register_full_backward_pre_hook(lambda *given: calls.append("first"))
    identity.register_full_backward_pre_hook(lambda *given: calls.append("second"))
    identity.register_full_backward_pre_hook(lambda *given: calls.append("prepended"), prepend=True)
    identity.register_full_backward_pre_hook(lambda *given: calls.append("by position"), True)
    identity(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == ["by position", "prepended", "first", "second"]


@pytest.mark.parametrize("count", [0, 2])
def test_one_gradient_for_each_output_may_be_returned(count):
    """A full backward pre-hook that returns too many or too few gradients raises ``RuntimeError``."""
    layer = nn.Linear(2, 1)
    layer.register_full_backward_pre_hook(lambda module, grad_output: grad_output * count)

    message = f"^Backward pre hook returned an invalid number of grad_output, got {count}, but expected 1$"
    for needy in (True, False):
        output = layer(torch.rand(1, 2, requires_grad=needy))
        with pytest.raises(RuntimeError, match=message):
            output.sum().backward()


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((2, 2), RuntimeError, "invalid number of grad_output, got 2, but expected 1$"),
        ((1, 2), RuntimeError, "has changed the size of value"),
        ((), TypeError, "of a 0-d tensor"),
    ],
)
def test_a_tensor_must_be_in_a_tuple(shape, error, message):
    """If a full backward pre-hook returns a bare tensor, ``backward()`` raises ``RuntimeError`` or
    ``TypeError``.

    Return ``(gradient,)``. A tensor is taken for a tuple of its rows, of which there are seldom as many as
    outputs; a scalar has none.
    """
    bare, wrapped = nn.Identity(), nn.Identity()
    bare.register_full_backward_pre_hook(lambda module, grad_output: grad_output[0] * 10)
    wrapped.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    x = torch.rand(shape, requires_grad=True)

    with pytest.raises(error, match=message):
        bare(x).sum().backward()
    wrapped(x).sum().backward()
    assert torch.equal(x.grad, torch.full(shape, 10.0))


@pytest.mark.parametrize("wrap", [lambda y: {"a": y}, lambda y: [y]], ids=["dict", "list"])
def test_a_dict_or_list_silences_it(wrap):
    """A full backward pre-hook never fires if ``forward`` returns a ``dict`` or ``list``; the call warns."""
    net, calls, x = nn.Module(), [], torch.rand(2, requires_grad=True)
    net.forward = lambda x: wrap(x * 2)
    net.register_full_backward_pre_hook(lambda *given: calls.append("hook"))
    x.register_hook(lambda gradient: calls.append(gradient.tolist()))

    with pytest.warns(
        UserWarning, match="^For backward hooks to be called, module output should be a Tensor"
    ):
        output = net(x)
    next(iter(output.values() if isinstance(output, dict) else output)).sum().backward()

    assert calls == [[2.0, 2.0]]


@pytest.mark.parametrize("needy", [True, False], ids=["needy", "not needy"])
def test_forward_gets_views(needy):
    """With a full backward pre-hook, ``forward`` gets views of positional tensors if one requires grad.

    Keyword arguments, and all of them if no positional tensor requires grad, arrive as they are.
    """
    inside = []
    net = nn.Module()
    net.forward = lambda x, y, scale: inside.extend([x, y, scale])
    net.register_full_backward_pre_hook(lambda *given: None)
    x, y, scale = torch.rand(2, requires_grad=needy), torch.rand(2), torch.rand(2, requires_grad=True)
    net(x, y, scale=scale)

    assert [inside[0] is x, inside[1] is y, inside[2] is scale] == [not needy, not needy, True]
    assert [tensor._is_view() for tensor in inside] == [needy, needy, False]
    assert not needy or inside[0]._base is x


@pytest.mark.parametrize("needy", [True, False], ids=["needy", "not needy"])
def test_the_caller_gets_a_view(needy):
    """With a full backward pre-hook, ``net(x)`` returns a view of the output if that requires grad.

    Otherwise it returns the output itself.
    """
    made = []
    net = nn.Module()
    net.forward = lambda x: made.append(x * 2) or made[0]
    net.register_full_backward_pre_hook(lambda *given: None)
    output = net(torch.rand(2, requires_grad=needy))

    assert output.requires_grad is needy
    assert output._is_view() is needy
    assert (output._base if needy else output) is made[0]


def test_a_nested_output_is_no_view():
    """With a full backward pre-hook, ``net(x)`` makes no views of tensors in a dict or an inner tuple.

    Only those of the outermost tuple become views: of an LSTM the outputs, but not the states. The hook gets
    no gradients of the others.
    """
    net, x = nn.Module(), torch.rand(2, requires_grad=True)
    net.forward = lambda outer, inner, wrap: wrap(outer, inner)
    net.register_full_backward_pre_hook(lambda *given: None)
    outer, inner = x * 2, x * 3

    output = net(wrap=lambda *made: (made[0], (made[1],), made[1] * 1), outer=outer, inner=inner)
    with pytest.warns(UserWarning, match="module output should be a Tensor or a tuple of Tensors"):
        named = net(wrap=lambda *made: {"outer": made[0]}, outer=outer, inner=inner)

    assert [output[0] is outer, output[0]._base is outer, output[1][0] is inner] == [False, True, True]
    assert output[2]._is_view()
    assert named["outer"] is outer


@pytest.mark.since("2.3")
@pytest.mark.parametrize("hooked", [False, True], ids=["alone", "with_a_full_backward_hook"])
def test_it_replaces_gradients_without_needy_inputs(hooked):
    """A full backward pre-hook can replace ``grad_output`` even if no input requires grad."""
    layer = nn.Linear(2, 1)
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    if hooked:
        layer.register_full_backward_hook(lambda *given: None)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()

    assert layer.weight.grad.tolist() == [[50.0, 70.0]]


@pytest.mark.before("2.3")
def test_without_needy_inputs_its_result_is_lost():
    """If no input requires grad, the ``grad_output`` that a full backward pre-hook returns is ignored."""
    layer = nn.Linear(2, 1)
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()

    assert layer.weight.grad.tolist() == [[5.0, 7.0]]


def test_it_fires_without_needy_inputs():
    """A full backward pre-hook fires in ``backward()`` whether or not an input requires grad."""
    layer = nn.Linear(2, 1)
    seen = []
    layer.register_full_backward_pre_hook(lambda module, grad_output: seen.append(grad_output[0].tolist()))
    layer.register_full_backward_pre_hook(lambda module, _: seen.append("second"))
    (layer(torch.rand(1, 2)) * 10).sum().backward()
    (layer.eval()(torch.rand(1, 2, requires_grad=True)) * 100).sum().backward()

    assert seen == [[[10.0]], "second", [[100.0]], "second"]


@pytest.mark.since("2.14")
def test_alone_it_does_not_warn():
    """With a full backward pre-hook alone, ``backward()`` does not warn if no input requires grad.

    A full backward hook does (:issue:`189093`, :pull:`190685`).
    """
    layer = nn.Linear(2, 1)
    layer.register_full_backward_pre_hook(lambda *given: None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer(torch.rand(1, 2)).sum().backward()
    assert caught == []

    layer.register_full_backward_hook(lambda *given: None)
    output = layer(torch.rand(1, 2))
    with pytest.warns(UserWarning, match="^Full backward hook is firing .* since no inputs require grad"):
        output.sum().backward()


@pytest.mark.since("2.8")
@pytest.mark.before("2.14")
def test_alone_it_warns_of_full_hooks():
    """With a full backward pre-hook alone, ``backward()`` gives a ``UserWarning`` if no input requires
    grad.
    """
    layer = nn.Linear(2, 1)
    layer.register_full_backward_pre_hook(lambda *given: None)
    output = layer(torch.rand(1, 2))

    with pytest.warns(UserWarning, match="^Full backward hook is firing .* since no inputs require grad"):
        output.sum().backward()


@pytest.mark.parametrize("needy", [True, False], ids=["needy", "not needy"])
def test_places_without_gradient_hold_none(needy):
    """In a full backward pre-hook, ``grad_output`` is ``None`` for an output that is unused or not a
    tensor.
    """
    several, seen, weight = nn.Module(), [], torch.rand(2, requires_grad=True)
    several.forward = lambda x: (x * weight, "text", x + weight)
    several.register_full_backward_pre_hook(lambda module, grad_output: seen.append(grad_output))
    several(torch.rand(2, requires_grad=needy))[2].sum().backward()

    [(of_first, of_text, of_third)] = seen
    assert of_first is None
    assert of_text is None
    assert of_third.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("kind", ["full_backward_hook", "backward_hook"])
@pytest.mark.parametrize("step", [1, -1], ids=["pre-hook_first", "pre-hook_last"])
def test_it_goes_with_either_kind_of_backward_hook(kind, step):
    """A module can combine ``register_full_backward_pre_hook`` with full or ``register_backward_hook``
    hooks.
    """
    calls, kinds = [], ["full_backward_pre_hook", kind]
    identity = nn.Identity()
    for name in kinds[::step]:
        getattr(identity, f"register_{name}")(lambda *given, name=name: calls.append(name))
    identity(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == kinds


def test_the_store_of_backward_pre_hooks():
    """A module keeps its full backward pre-hooks in ``_backward_pre_hooks``, a dict by handle ``id``.

    They leave the kind of its backward hooks open: ``_is_full_backward_hook`` stays ``None``.
    """
    identity = nn.Identity()

    def hook(module, grad_output): ...

    handle = identity.register_full_backward_pre_hook(hook)

    assert dict(identity._backward_pre_hooks) == {handle.id: hook}

    other = identity.register_full_backward_pre_hook(repr, prepend=True)
    assert list(identity._backward_pre_hooks.items()) == [(other.id, repr), (handle.id, hook)]
    assert identity._is_full_backward_hook is None
