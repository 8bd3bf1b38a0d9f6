"""What goes along with a deep copy, and what does not.

Plain attributes and hooks are copied as well as they can be. A function is not copied at all, and what it
closes over stays the original's.
"""

import copy
import functools
import weakref

import pytest
import torch
from torch import nn


def test_plain_attributes_are_copied_deeply():
    """``copy.deepcopy(module)`` also copies plain attributes deeply, such as lists and dicts."""
    net = nn.Module()
    net.sizes = {"hidden": [2, 3]}
    net.seen = [{"loss": 0.5}]
    net.table = torch.tensor([2.0, 3.0])
    copied = copy.deepcopy(net)
    copied.table.fill_(5)
    copied.sizes["hidden"].append(5)
    copied.seen[0]["loss"] = 0.25

    assert net.sizes == {"hidden": [2, 3]}
    assert copied.sizes == {"hidden": [2, 3, 5]}
    assert net.seen == [{"loss": 0.5}]
    assert copied.seen == [{"loss": 0.25}]
    assert [net.table.tolist(), copied.table.tolist()] == [[2, 3], [5, 5]]


def test_unregistered_modules_are_copied():
    """``copy.deepcopy(module)`` also copies an unregistered module in a plain list.

    A copy of a student that holds its teacher thus has another teacher, in new memory. To avoid that, hold
    the teacher by a weak reference, or give ``__deepcopy__`` to the class.
    """
    student, teacher = nn.Linear(2, 3), nn.Linear(2, 3)
    student.teacher = [teacher]
    copied = copy.deepcopy(student)

    assert copied.teacher[0] is not teacher
    assert copied.teacher[0].weight is not teacher.weight
    assert copied.teacher[0].weight.tolist() == teacher.weight.tolist()


def test_a_parent_is_taken_along():
    """``copy.deepcopy`` of a submodule that refers to its parent also copies the whole parent.

    A weak reference to the parent avoids it.
    """
    net = nn.Module()
    net.inner, net.head = nn.ReLU(), nn.PReLU()
    net.inner.parent = [net]
    copied = copy.deepcopy(net.inner)

    assert copied.parent[0] is not net
    assert copied.parent[0].inner is copied
    assert copied.parent[0].head.weight.tolist() == [0.25]
    assert copied.parent[0].head.weight is not net.head.weight


def test_a_weak_reference_is_not_followed():
    """``copy.deepcopy(module)`` keeps a ``weakref`` attribute, which still refers to the original object."""
    net = nn.Linear(2, 3)
    net.myself = weakref.ref(net)
    copied = copy.deepcopy(net)

    assert copied.myself is net.myself
    assert copied.myself() is net


def test_hooks_come_along():
    """``copy.deepcopy(module)`` copies forward hooks and pre-hooks, which are then called with the copy."""
    calls = []

    net = nn.Linear(2, 3)
    net.register_forward_pre_hook(lambda module, args: calls.append(("pre", module)))
    net.register_forward_pre_hook(lambda module, *given: calls.append(("pre", *given[1])), with_kwargs=True)
    net.register_forward_hook(lambda module, args, output: calls.append(("post", module)))
    net.register_forward_hook(lambda module, *given: calls.append(("post", *given[1])), with_kwargs=True)
    copied = copy.deepcopy(nn.ModuleList([net]))[0]
    copied(input=torch.rand(4, 2))

    assert calls == [("pre", copied), ("pre", "input"), ("post", copied), ("post", "input")]


def test_hooks_are_removed_from_one_only():
    """``handle.remove()`` removes a hook from the original module, not from an earlier ``copy.deepcopy``.

    A model that is copied while it is being watched goes on being watched: remove hooks first.
    """
    calls = []

    def after(module, args, output):
        calls.append(module)

    net = nn.Linear(2, 3)
    handle = net.register_forward_hook(after)
    copied = copy.deepcopy(net)

    handle.remove()
    net(torch.rand(4, 2))
    copied(torch.rand(4, 2))

    assert calls == [copied]


@pytest.mark.question("Q83")
def test_a_hook_closes_over_the_original():
    """In a ``copy.deepcopy``, a hook function with a closure still uses the tensors of the original.

    Use the tensors of the module that the hook gets as argument.
    """
    net = nn.Linear(2, 3)
    net.register_forward_hook(lambda module, args, output: output + 10 * net.weight.sum())
    copied = copy.deepcopy(net)
    with torch.no_grad():
        net.weight.fill_(1)
        copied.weight.fill_(0)
        copied.bias.fill_(2)

    assert copied(torch.rand(2)).tolist() == [62, 62, 62]


@pytest.mark.question("Q83")
def test_a_replaced_forward_is_the_originals():
    """In a ``copy.deepcopy``, a ``forward`` replaced by a function still uses the original's weights.

    Libraries that wrap ``forward`` on the instance do that; a copy then follows the training of its
    original. Replace ``forward`` by a bound method, or by a partial of one, which is bound to the copy.
    """

    class Net(nn.Linear):
        def run(self, x):
            return super().forward(x)

    net, copies = Net(2, 3), []
    for forward in (lambda x: net.run(x), net.run, functools.partial(net.run)):
        net.forward = forward
        copies.append(copy.deepcopy(net))
    with torch.no_grad():
        net.weight.fill_(1)
        net.bias.fill_(5)

    assert [copied(torch.ones(2)).tolist() == [7, 7, 7] for copied in copies] == [True, False, False]
    assert copies[0].bias.tolist() != [5, 5, 5]


@pytest.mark.question("Q83")
@pytest.mark.parametrize("wrap", [lambda method: method, functools.partial], ids=["method", "partial"])
def test_a_bound_method_changes_hands(wrap):
    """After ``copy.deepcopy``, a ``forward`` replaced by a bound method, or its ``partial``, uses the copy's
    weights.

    ``copy.deepcopy`` binds the method to the copy. A function that holds the module in a closure is not
    copied.
    """
    net = nn.Linear(2, 3)
    net.forward = wrap(net.forward)
    copied = copy.deepcopy(net)
    with torch.no_grad():
        net.bias.fill_(5)
        copied.weight.fill_(1)
        copied.bias.fill_(7)

    assert copied(torch.ones(2)).tolist() == [9, 9, 9]


def test_a_method_as_a_hook_changes_hands():
    """In a ``copy.deepcopy``, a hook that was a method of the module is a method of the copy."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []
            self.inner = nn.Linear(2, 3)
            self.inner.register_forward_hook(self.note)

        def note(self, module, args, output):
            self.seen.append(output.shape)

    net = Net()
    copied = copy.deepcopy(net)
    copied.inner(torch.rand(4, 2))

    assert net.seen == []
    assert copied.seen == [(4, 3)]


def test_hooks_on_parameters_stay_behind():
    """``copy.deepcopy(module)`` does not copy hooks on parameters, registered with ``Tensor.register_hook``.

    A mask or a clip on gradients is thus lost in the copy: register the hook there again.
    """
    net = nn.Linear(2, 1, bias=False)
    net.weight.register_hook(lambda grad: 10 * grad)
    early = copy.deepcopy(net)
    net(torch.tensor([3.0, 5.0])).backward()
    assert net.weight.grad.tolist() == [[30, 50]]

    for copied in (early, copy.deepcopy(net)):
        copied(torch.tensor([3.0, 5.0])).backward()
        assert copied.weight.grad.tolist() == [[3, 5]]


def test_a_loading_hook_is_given_the_copy():
    """In a ``copy.deepcopy``, a ``load_state_dict`` pre-hook with ``with_module=True`` is called with the
    copy.
    """
    calls = []

    def before_loading(module, state_dict, *args):
        calls.append((module, list(state_dict)))

    net = nn.Linear(2, 3)
    net._register_load_state_dict_pre_hook(before_loading, with_module=True)
    copied = copy.deepcopy(net)
    copied.load_state_dict(net.state_dict())

    assert calls == [(copied, ["weight", "bias"])]


def test_a_loading_hook_without_its_module():
    """In a ``copy.deepcopy``, a ``load_state_dict`` pre-hook without ``with_module`` still gets no module."""
    calls = []

    def before_loading(state_dict, prefix, local_metadata, *args):
        calls.append((list(state_dict), prefix, local_metadata))

    net = nn.Linear(2, 3)
    net._register_load_state_dict_pre_hook(before_loading)
    copied = copy.deepcopy(net)
    copied.load_state_dict(net.state_dict())

    assert calls == [(["weight", "bias"], "", {"version": 1})]
