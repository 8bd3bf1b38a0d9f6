"""Full backward pre-hooks: what runs when the gradients of a module's outputs are known.

:meth:`~torch.nn.Module.register_full_backward_pre_hook` adds a function of the module and the gradients
of its outputs. What it returns, unless ``None``, takes the place of these gradients.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


def test_it_gets_the_gradients_of_the_outputs():
    """A full backward pre-hook gets the module and a tuple of the gradients of its outputs."""
    identity = nn.Identity()
    seen = []
    identity.register_full_backward_pre_hook(lambda *given: seen.append(given))
    (identity(torch.rand(2, requires_grad=True)) * torch.tensor([10.0, 100.0])).sum().backward()

    [(module, grad_output)] = seen
    assert module is identity
    assert type(grad_output) is tuple
    assert [gradient.tolist() for gradient in grad_output] == [[10.0, 100.0]]


def test_it_fires_before_the_gradients_of_the_module():
    """A full backward pre-hook fires before the backward pass goes through the module."""
    calls = []
    layer = nn.Linear(2, 1)
    layer.weight.register_hook(lambda gradient: calls.append("weight"))
    layer.register_full_backward_hook(lambda *given: calls.append("hook"))
    layer.register_full_backward_pre_hook(lambda *given: calls.append("pre-hook"))
    layer(torch.rand(1, 2, requires_grad=True)).sum().backward()

    assert sorted(calls[1:]) == ["hook", "weight"]
    assert calls[0] == "pre-hook"


def test_registering_returns_a_handle():
    """:meth:`~torch.nn.Module.register_full_backward_pre_hook` returns a handle that removes it."""
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
    """What a full backward pre-hook returns is what the module's backward pass starts from.

    Gradients of inputs and of parameters follow from it, and full backward hooks are given it.
    """
    layer = nn.Linear(2, 1)
    seen = []
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    layer.register_full_backward_hook(lambda *given: seen.append(given[2][0].tolist()))
    x = torch.tensor([[5.0, 7.0]], requires_grad=True)
    layer(x).sum().backward()

    assert torch.equal(x.grad, layer.weight * 10)
    assert layer.weight.grad.tolist() == [[50.0, 70.0]]
    assert seen == [[[10.0]]]


def test_backward_pre_hooks_run_in_order_of_registration():
    """Full backward pre-hooks run in the order of registration, each on what the one before returned."""
    identity = nn.Identity()
    identity.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] + 1,))
    identity.register_full_backward_pre_hook(lambda module, grad_output: None)
    identity.register_full_backward_pre_hook(lambda module, grad_output: [grad_output[0] * 10])
    x = torch.rand(2, requires_grad=True)
    identity(x).sum().backward()

    assert x.grad.tolist() == [20.0, 20.0]


def test_prepend_puts_a_backward_pre_hook_first():
    """With ``prepend=True`` a full backward pre-hook runs before those already registered."""
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
    """A full backward pre-hook that returns more or fewer gradients than outputs raises ``RuntimeError``."""
    identity = nn.Identity()
    identity.register_full_backward_pre_hook(lambda module, grad_output: grad_output * count)
    output = identity(torch.rand(2, requires_grad=True))

    message = f"^Backward pre hook returned an invalid number of grad_output, got {count}, but expected 1$"
    with pytest.raises(RuntimeError, match=message):
        output.sum().backward()


@pytest.mark.since("2.3")
@pytest.mark.parametrize("hooked", [False, True], ids=["alone", "with_a_full_backward_hook"])
def test_it_replaces_gradients_without_needy_inputs(hooked):
    """Where no input requires a gradient, what a full backward pre-hook returns still counts."""
    layer = nn.Linear(2, 1)
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    if hooked:
        layer.register_full_backward_hook(lambda *given: None)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()

    assert layer.weight.grad.tolist() == [[50.0, 70.0]]


@pytest.mark.before("2.3")
@pytest.mark.observed
def test_without_needy_inputs_its_result_is_lost():
    """Where no input requires a gradient, what a full backward pre-hook returns is lost."""
    layer = nn.Linear(2, 1)
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()

    assert layer.weight.grad.tolist() == [[5.0, 7.0]]


def test_it_fires_without_needy_inputs():
    """A full backward pre-hook fires whether or not an input of the module requires a gradient."""
    layer = nn.Linear(2, 1)
    seen = []
    layer.register_full_backward_pre_hook(lambda *given: seen.append(given[1][0].tolist()))
    (layer(torch.rand(1, 2)) * 10).sum().backward()

    assert seen == [[[10.0]]]


@pytest.mark.since("2.14")
def test_alone_it_does_not_warn():
    """Where no input requires a gradient, full backward hooks warn and pre-hooks alone do not.

    Before, the warning came for pre-hooks as well (:issue:`189093`, :pull:`190685`).
    """
    counts = {}
    for kind in ("backward_hook", "backward_pre_hook"):
        layer = nn.Linear(2, 1)
        getattr(layer, f"register_full_{kind}")(lambda *given: None)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layer(torch.rand(1, 2)).sum().backward()
        counts[kind] = len(caught)

    assert counts == {"backward_hook": 1, "backward_pre_hook": 0}


@pytest.mark.since("2.8")
@pytest.mark.before("2.14")
@pytest.mark.observed
def test_alone_it_warns_of_full_hooks():
    """Where no input requires a gradient, a full backward pre-hook gives the warning of full hooks."""
    layer = nn.Linear(2, 1)
    layer.register_full_backward_pre_hook(lambda *given: None)
    output = layer(torch.rand(1, 2))

    with pytest.warns(UserWarning, match="^Full backward hook is firing .* since no inputs require grad"):
        output.sum().backward()


def test_places_without_gradient_hold_none():
    """A full backward pre-hook sees ``None`` for an output that is no tensor or is unused."""

    class Several(nn.Module):
        def forward(self, x):
            return x * 2, "text", x * 3

    several = Several()
    seen = []
    several.register_full_backward_pre_hook(lambda *given: seen.append(given[1]))
    several(torch.rand(2, requires_grad=True))[2].sum().backward()

    [(of_first, of_text, of_third)] = seen
    assert (of_first, of_text, of_third.tolist()) == (None, None, [1.0, 1.0])


def test_it_goes_with_either_kind_of_backward_hook():
    """A full backward pre-hook may be registered beside full and beside legacy backward hooks."""
    calls = []
    full, legacy = nn.Identity(), nn.Identity()
    full.register_full_backward_hook(lambda *given: calls.append("full"))
    full.register_full_backward_pre_hook(lambda *given: calls.append("pre-hook"))
    legacy.register_full_backward_pre_hook(lambda *given: calls.append("pre-hook"))
    legacy.register_backward_hook(lambda *given: calls.append("legacy"))
    full(torch.rand(2, requires_grad=True)).sum().backward()
    legacy(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == ["pre-hook", "full", "pre-hook", "legacy"]


@pytest.mark.observed
def test_the_store_of_backward_pre_hooks():
    """A module keeps its full backward pre-hooks by handle, in a store of their own."""
    identity = nn.Identity()

    def hook(module, grad_output): ...

    handle = identity.register_full_backward_pre_hook(hook)

    assert dict(identity._backward_pre_hooks) == {handle.id: hook}
    assert identity._is_full_backward_hook is None
