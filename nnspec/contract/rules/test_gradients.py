"""The gradients of a module.

Backward reaches every parameter that is to be trained. What it misses keeps ``grad=None``: no optimizer moves
it, and DistributedDataParallel stops with an error.
"""

import torch


def test_forward_uses_every_parameter(ready, example, unless, findings):
    """Forward uses every parameter that requires a gradient.

    DistributedDataParallel waits for each of them, unless it is told to find the unused ones.
    """
    net = ready()
    unless(findings.untrained(net))

    assert findings.unused_parameters(net, example) == []


def test_backward_reaches_every_parameter(build, ready, example, unless, findings):
    """Backward reaches every parameter that forward uses and that requires a gradient.

    ``detach()``, ``.data``, ``no_grad()`` and ``.item()`` cut the graph.
    """
    net = ready()
    unless(findings.untrained(net) + findings.without_floating_output(build, example))

    assert findings.cut_off(net, example) == []


def test_a_second_step(build, ready, example, unless, findings):
    """Two equal calls give equal gradients.

    A graph that is kept from the first call can be walked once only.
    """
    net = ready()
    unless(findings.untrained(net) + findings.without_floating_output(build, example))
    unless(findings.one_call_only(build, example))

    assert findings.gradients_differ(net, example) == []


def test_freezing(ready, example, unless, findings):
    """``requires_grad_(False)`` freezes every parameter, and a call thaws none."""
    net = ready()
    unless(findings.untrained(net))
    parameters = findings.parameters(net)
    net.requires_grad_(False)
    findings.run(net, example)

    assert findings.not_frozen(parameters) == []


def test_zero_grad_clears_all(ready, unless, findings):
    """:meth:`~torch.nn.Module.zero_grad` clears the gradient of every parameter."""
    net = ready()
    unless(findings.untrained(net))
    for parameter in findings.parameters(net).values():
        parameter.grad = torch.ones_like(parameter)
    net.zero_grad()

    assert findings.not_cleared(net) == []
