"""The gradients of a module.

Backward reaches every parameter that is to be trained. What it misses keeps ``grad=None``: no optimizer moves
it, and DistributedDataParallel stops with an error.
"""

import torch
from torch import nn

from nnspec.contract import nested, not_applicable, tree
from nnspec.contract.findings import first_step, flat, functions, gradients, registration


def test_backward_runs(build, looked_at, example, unless):
    """Backward runs.

    What works in place may overwrite what the step before it needs for its gradient.
    """
    unless(not_applicable.untrained(looked_at()) + not_applicable.without_floating_output(build, example))

    yield first_step.first_step(build, example).refused


def test_forward_uses_every_parameter(build, looked_at, example, unless):
    """Forward uses every parameter that requires a gradient.

    DistributedDataParallel waits for each of them, unless it is told to find the unused ones.
    """
    unless(not_applicable.untrained(looked_at()))

    yield gradients.unused_parameters(not_applicable.missed(build, example))


def test_backward_reaches_every_parameter(build, ready, looked_at, example, unless):
    """Backward reaches every parameter that forward uses and that requires a gradient.

    ``detach()``, ``.data``, ``no_grad()`` and ``.item()`` cut the graph.
    """
    unless(not_applicable.untrained(looked_at()) + not_applicable.without_floating_output(build, example))
    if missed := not_applicable.missed(build, example):
        yield gradients.cut_off(ready(), example, missed)


def test_a_second_step(build, ready, example, unless):
    """Two equal calls give equal gradients.

    A graph that is kept from the first call can be walked once only.
    """
    net = ready()
    unless(not_applicable.untrained(net) + not_applicable.without_floating_output(build, example))
    unless(not_applicable.one_call_only(build, example) + registration.computed_from_unregistered(net))

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
        # a class of one's own may not know ones_like, and sparse parameters do not
        if type(parameter) is nn.Parameter and parameter.layout == torch.strided:
            parameter.grad = torch.ones_like(parameter)
    net.zero_grad()

    yield gradients.not_cleared(net)


def test_what_is_frozen_is_not_trained(looked_at):
    """Where ``requires_grad`` is set, it is that of a parameter, and spelt so.

    A module and a tensor take any attribute: ``layer.requires_grad = False`` and ``p.require_grad = False``
    freeze nothing.
    """
    yield gradients.frozen_in_name_only(looked_at())


def test_backward_is_linear(ready, example, unless):
    """Twice the loss gives twice the gradients.

    The ``backward`` of an autograd.Function of one's own may forget the gradient that it is given.
    """
    net = ready()
    unless(not_applicable.untrained(net))

    yield gradients.not_linear(net, example)


def test_backward_gives_the_gradient(build, ready, example, unless):
    """The backward of an autograd.Function of one's own gives the gradient of its forward.

    A factor or a term that is left out trains, and worse. What rounds, or reverses a gradient and returns
    its input, has another backward on purpose.
    """
    net = ready()
    unless(not_applicable.untrained(net))
    told = functions.wrong_backward(net, example, first_step.first_step(build, example).functions)
    unless(gradients.not_linear(ready(), example) if told else [])

    yield told


def test_backward_goes_the_way_of_forward(build, ready, looked_at, example, unless):
    """Backward goes by what forward did, whatever is drawn since, and writes to no gradient it is given.

    What computes a part again in backward has to draw the same numbers for dropout.
    """
    unless(not_applicable.untrained(looked_at()) + not_applicable.without_floating_output(build, example))
    step = first_step.first_step(build, example)
    unless(step.refused)

    yield step.written
    if step.draws:
        yield first_step.hangs_on_draws(ready(), ready(), example)


def test_backward_changes_no_buffer(build, looked_at, example, unless):
    """Backward changes no buffer.

    A part that is checkpointed runs twice in a step, and batch norm in it counts the batch twice.
    """
    unless(not_applicable.untrained(looked_at()) + not_applicable.without_floating_output(build, example))
    step = first_step.first_step(build, example)
    unless(step.refused)

    yield step.changed


def test_gradients_are_not_zero(build, ready, looked_at, other, example, unless):
    """No weight has a gradient of zeros for good.

    Of two factors that both start at zero, neither ever moves.
    """
    unless(not_applicable.untrained(looked_at()) + not_applicable.without_floating_output(build, example))
    step = first_step.first_step(build, example)
    unless(step.refused)
    if flat.flat_at_first(step):
        unless(not_applicable.one_call_only(build, example) + gradients.gradients_differ(ready(), example))

        yield flat.always_zero(ready(), other(), example)


def test_gradients_are_numbers(build, ready, looked_at, example, unless):
    """Where the outputs are numbers, the gradients are."""
    unless(not_applicable.untrained(looked_at()) + not_applicable.without_floating_output(build, example))
    unless(not_applicable.one_call_only(build, example))
    if not first_step.are_finite(first_step.first_step(build, example)):
        yield gradients.not_numbers(ready(), example)


def test_a_row_of_zeros(build, ready, example, unless):
    """With a row of zeros, as padding is, the gradients are numbers where the outputs are.

    The root of zero is zero, and its slope there infinite.
    """
    net = ready()
    unless(not_applicable.untrained(net) + not_applicable.without_floating_output(build, example))
    unless(not_applicable.one_call_only(build, example))
    zeros = gradients.with_a_row_of_zeros(example)
    found = gradients.not_numbers(net, zeros, "if a row of the inputs is zero, ")
    if found:
        unless(gradients.not_numbers(ready(), example))

    yield found


def test_after_inference_mode(build, ready, example, unless):
    """A module can be trained after a call under :func:`torch.inference_mode`.

    A table that such a call keeps cannot be saved for backward.
    """
    net = ready()
    unless(not_applicable.untrained(net) + not_applicable.without_floating_output(build, example))
    unless(not_applicable.one_call_only(build, example))
    unless(gradients.refused_in_inference_mode(ready(), example))

    found = gradients.after_inference_mode(net, example)
    if found:
        unless(gradients.gradients_differ(ready(), example))
    yield found


def test_a_call_keeps_gradients(ready, example, unless):
    """A call changes no gradient of a parameter.

    Who adds up the gradients of several calls, to train with a larger batch, relies on it.
    """
    net = ready()
    unless(not_applicable.untrained(net))

    yield gradients.touched(net, example)


def test_backward_after_two_calls(build, ready, looked_at, example, unless):
    """Two calls in train mode, and then one backward through both, run.

    A loss that compares two views of an image does so. A buffer that is written to in place is another one
    for the graph of the call before.
    """
    unless(not_applicable.untrained(looked_at()) + not_applicable.without_floating_output(build, example))
    unless(not_applicable.one_call_only(build, example) + first_step.first_step(build, example).refused)

    yield gradients.refused_after_two_calls(ready(), example)


def test_each_call_has_its_own(build, ready, example, unless):
    """The gradients of a call are the same after another call.

    An autograd.Function that keeps on its class what backward needs has that of the last call alone.
    """
    net = ready()
    unless(not_applicable.untrained(net) + not_applicable.without_floating_output(build, example))
    unless(not_applicable.unrepeatable(build, example))

    yield gradients.of_the_last_call(net, example)


def test_units_start_apart(build, ready, example, unless):
    """No linear or convolutional layer starts with units that are all equal and have equal gradients.

    They compute one thing, and training does not part them.
    """
    net = ready()
    unless(not_applicable.untrained(net) + not_applicable.without_floating_output(build, example))

    yield gradients.starting_alike(net, example)


def test_every_step_gets_a_gradient(build, ready, example, unless):
    """Where outputs move with every step of a sequence, their gradients reach every step.

    A state that is detached in the loop over time is as if the past were given.
    """
    net = ready()
    unless(not_applicable.untrained(net) + not_applicable.without_floating_output(build, example))
    unless(not_applicable.unrepeatable(build, example))

    yield gradients.steps_without_gradient(net, example)
