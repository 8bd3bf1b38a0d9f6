"""Hooks of tensors, and the warning when a tensor with hooks is saved.

A hook registered on a tensor is called with its gradient. It is not saved with the tensor, and
``torch.utils.hooks`` holds the functions that warn of this.
"""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.utils.hooks import unserializable_hook, warn_if_has_hooks


def double(gradient):
    return gradient * 2


def test_a_tensor_hook_replaces_the_gradient():
    """What a ``Tensor.register_hook`` hook on a parameter returns replaces the parameter's gradient.

    :meth:`torch.Tensor.register_hook` is the way to look at or change gradients of parameters: backward hooks
    of the module are not given them.
    """
    layer = nn.Linear(2, 3)
    handle = layer.bias.register_hook(double)
    layer(torch.rand(1, 2)).sum().backward()
    assert layer.bias.grad.tolist() == [2.0, 2.0, 2.0]

    second = layer.bias.register_hook(double)
    layer(torch.rand(1, 2)).sum().backward()
    assert layer.bias.grad.tolist() == [6.0, 6.0, 6.0]

    handle.remove()
    second.remove()
    layer(torch.rand(1, 2)).sum().backward()
    assert layer.bias.grad.tolist() == [7.0, 7.0, 7.0]


def test_saving_a_tensor_with_a_hook_warns():
    """Pickling a tensor with a ``register_hook`` hook warns, by the hook's name, that the hook is not
    saved.
    """
    tensor = torch.rand(2, requires_grad=True)
    tensor.register_hook(double)
    message = "^backward hook <function double .* on tensor will not be serialized.  If this is expected"
    with pytest.warns(UserWarning, match=message) as caught:
        other = pickle.loads(pickle.dumps(tensor))

    assert len(caught) == 1
    assert torch.equal(other, tensor)
    assert not other._backward_hooks


def test_warn_if_has_hooks_warns_of_each():
    """:func:`~torch.utils.hooks.warn_if_has_hooks` warns once for each ``register_hook`` hook of a tensor."""
    tensor = torch.rand(2, requires_grad=True)
    for hook in (double, torch.neg, double):
        tensor.register_hook(hook)
    with pytest.warns(UserWarning, match="decorate the function with") as caught:
        warn_if_has_hooks(tensor)

    assert ["double" in str(warning.message) for warning in caught] == [True, False, True]


def test_warn_if_has_hooks_is_silent_without():
    """:func:`~torch.utils.hooks.warn_if_has_hooks` does not warn for a tensor without hooks."""
    tensor = torch.rand(2, requires_grad=True)
    tensor.register_hook(double).remove()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_has_hooks(tensor)
        warn_if_has_hooks(torch.rand(2))

    assert caught == []


@pytest.mark.since("2.4")
def test_a_marked_hook_is_left_out_of_the_warning():
    """Pickling a tensor does not warn about hooks decorated with
    :func:`~torch.utils.hooks.unserializable_hook`.

    The hook is dropped all the same; an unmarked hook of the same tensor still warns.
    """

    @unserializable_hook
    def marked(gradient):
        return gradient

    tensor = torch.rand(2, requires_grad=True)
    for hook in (double, marked, double):
        tensor.register_hook(hook)
    with pytest.warns(UserWarning, match="function double") as caught:
        other = pickle.loads(pickle.dumps(tensor))

    assert len(caught) == 2
    assert not other._backward_hooks


@pytest.mark.before("2.4")
def test_a_marked_hook_is_warned_of_all_the_same():
    """``warn_if_has_hooks`` warns even about a hook decorated with ``unserializable_hook``.

    The documentation of the decorator says that there is no warning then; that is so for pickling only.
    """
    tensor = torch.rand(2, requires_grad=True)
    tensor.register_hook(unserializable_hook(lambda gradient: gradient))
    with pytest.warns(UserWarning, match="will not be serialized"):
        warn_if_has_hooks(tensor)


def test_marking_a_hook_returns_it():
    """:func:`~torch.utils.hooks.unserializable_hook` sets ``__torch_unserializable__`` on a function and
    returns it.
    """

    def hook(gradient): ...

    assert unserializable_hook(hook) is hook
    assert hook.__torch_unserializable__ is True


@pytest.mark.parametrize(
    "duplicate", [lambda layer: pickle.loads(pickle.dumps(layer)), copy.deepcopy], ids=["pickle", "deepcopy"]
)
def test_a_copied_module_drops_hooks_silently(duplicate):
    """``pickle`` and ``copy.deepcopy`` of a module drop ``register_hook`` hooks of parameters without a
    warning.

    Register them on the copy again: gradients that a hook masked are not masked there.
    """
    layer = nn.Linear(2, 3)
    for parameter in layer.parameters():
        parameter.register_hook(double)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        other = duplicate(layer)

    assert caught == []
    assert [len(parameter._backward_hooks) for parameter in layer.parameters()] == [1, 1]
    assert [bool(parameter._backward_hooks) for parameter in other.parameters()] == [False, False]
