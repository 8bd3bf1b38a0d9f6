"""The gradients of a module.

Backward reaches every parameter that is to be trained. What it misses keeps ``grad=None``: no optimizer moves
it, and DistributedDataParallel stops with an error.
"""

import torch
from torch import nn

from nnspec.contract import nested, not_applicable, tree
from nnspec.contract.findings import gradients


def test_forward_uses_every_parameter(ready, example, unless):
    """Forward uses every parameter that requires a gradient.

    DistributedDataParallel waits for each of them, unless it is told to find the unused ones.
    """
    net = ready()
    unless(not_applicable.untrained(net))

    yield gradients.unused_parameters(net, example)


def test_backward_reaches_every_parameter(build, ready, example, unless):
    """Backward reaches every parameter that forward uses and that requires a gradient.

    ``detach()``, ``.data``, ``no_grad()`` and ``.item()`` cut the graph.
    """
    net = ready()
    unless(not_applicable.untrained(net) + not_applicable.without_floating_output(build, example))

    yield gradients.cut_off(net, example)


def test_a_second_step(build, ready, example, unless):
    """Two equal calls give equal gradients.

    A graph that is kept from the first call can be walked once only.
    """
    net = ready()
    unless(not_applicable.untrained(net) + not_applicable.without_floating_output(build, example))
    unless(not_applicable.one_call_only(build, example))

    yield gradients.gradients_differ(net, example)


def test_freezing(ready, example, unless):
    """``requires_grad_(False)`` freezes every parameter, and a call thaws none."""
    net = ready()
    unless(not_applicable.untrained(net))
    parameters = tree.parameters(net)
    net.requires_grad_(False)
    nested.run(net, example)

    yield gradients.not_frozen(parameters)


def test_zero_grad_clears_all(ready, unless):
    """:meth:`~torch.nn.Module.zero_grad` clears the gradient of every parameter."""
    net = ready()
    unless(not_applicable.untrained(net))
    for parameter in tree.parameters(net).values():
        if type(parameter) is nn.Parameter:  # a class of one's own may not know ones_like
            parameter.grad = torch.ones_like(parameter)
    net.zero_grad()

    yield gradients.not_cleared(net)
