"""Calling a module.

A call computes its outputs, and otherwise leaves no trace: not on the module, not on the inputs, not on the
process. Only buffers may change, and only in train mode.
"""

import copy

import torch


def test_its_hooks_run(ready, example, findings):
    """A call runs the module's hooks, once each.

    A class that overrides ``__call__`` has no hooks, and all that is built on hooks fails silently.
    """
    net, calls = ready(), []
    net.register_forward_pre_hook(lambda module, args: calls.append("forward_pre"))
    net.register_forward_hook(lambda module, args, output: calls.append("forward"))
    findings.run(net, example)

    assert findings.hooks_missed(net, calls) == []


def test_hooks_of_submodules_run(ready, example, findings):
    """The hooks of every submodule run as often as its forward does.

    ``self.layer(x)`` runs them, ``self.layer.forward(x)`` does not.
    """
    assert findings.hooks_passed_by(ready(), example) == []


def test_a_second_call(ready, example, findings):
    """After one call a module accepts a second."""
    net = ready()

    assert findings.second_call_refused(net, example) == []


def test_inputs_stay(ready, example, findings):
    """A call changes nothing in its inputs, neither tensors nor the dicts and lists around them."""
    args, kwargs = example()
    ready()(*args, **kwargs)

    assert findings.changed_inputs((args, kwargs), example()) == []


def test_parameters_stay(ready, example, findings):
    """A call changes no parameter."""
    net = ready()
    before = copy.deepcopy(findings.parameters(net))
    findings.run(net, example)

    assert findings.changed_parameters(net, before) == []


def test_nothing_is_registered(ready, example, findings):
    """A call registers no parameter, no buffer and no submodule that was not there before.

    An optimizer made before the first call does not know what the call makes.
    """
    net = ready()
    before = findings.names(net)
    findings.run(net, example)

    assert findings.newly_registered(before, findings.names(net)) == []


def test_no_tensor_is_left_on_it(ready, example, findings):
    """A call leaves no activation and no graph on the module.

    What is kept there fills memory until the next call, and a module with a graph on it cannot be
    deep-copied.
    """
    net = ready()
    before = findings.kept_tensors(net)
    args, kwargs = example()
    net(*args, **kwargs)

    assert findings.left_on_it(before, findings.kept_tensors(net)) == []


def test_attributes_stay(ready, example, findings):
    """A call changes no number, text or other plain attribute.

    Such state is missing from checkpoints, and in a replica of :class:`~torch.nn.DataParallel` it is lost.
    """
    net = ready()
    before = findings.plain_values(net)
    findings.run(net, example)

    assert findings.changed_attributes(before, findings.plain_values(net)) == []


def test_the_process_stays(ready, example, findings):
    """A call changes no default dtype, grad mode or seed of the process."""
    net, (args, kwargs) = ready(), example()
    before = findings.settings()
    net(*args, **kwargs)

    assert findings.changed_settings(before, "forward") == []


def test_without_gradients(build, ready, example, unless, findings):
    """In eval mode a module computes the same with gradients and without."""
    unless(findings.unrepeatable(build, example))
    net = ready()
    net.eval()
    expected = findings.run(net, example)
    with torch.no_grad():
        output = findings.run(net, example)

    assert findings.differs_without_gradients(output, expected) == []
