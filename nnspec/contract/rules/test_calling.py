"""Calling a module.

A call computes its outputs, and otherwise leaves no trace: not on the module, not on the inputs, not on the
process. Only buffers may change, and only in train mode.
"""

import weakref

from nnspec.contract import nested, not_applicable, tree
from nnspec.contract.findings import (
    calling,
    copying,
    formulas,
    gradients,
    keeping,
    modes,
    moving,
    padding,
    recurrent,
    using_inputs,
    values,
    viewing,
)


def test_in_eval_mode(ready, example):
    """In eval mode a module takes the inputs that it takes in train mode."""
    net = ready()
    net.eval()

    yield calling.refused_in_eval(net, example)


def test_its_hooks_run(ready, example):
    """A call runs the module's hooks, once each.

    A class that overrides ``__call__`` has no hooks, and all that is built on hooks fails silently.
    """
    net, calls = ready(), []
    net.register_forward_pre_hook(lambda module, args: calls.append("forward_pre"))
    net.register_forward_hook(lambda module, args, output: calls.append("forward"))
    nested.run(net, example)

    yield calling.hooks_missed(net, calls)


def test_hooks_of_submodules_run(ready, example):
    """The hooks of every submodule run as often as its forward does.

    ``self.layer(x)`` runs them, ``self.layer.forward(x)`` does not.
    """
    yield calling.hooks_passed_by(ready(), example)


def test_a_second_call(build, example):
    """After one call a module accepts a second."""
    yield not_applicable.one_call_only(build, example)


def test_outputs_are_numbers(ready, example):
    """Inputs without NaN give outputs without, in both modes."""
    yield calling.not_numbers(ready(), example)
    net = ready()
    net.eval()
    yield calling.not_numbers(net, example)


def test_inputs_stay(ready, example):
    """A call changes nothing in its inputs, neither tensors nor the dicts and lists around them.

    Whether a tensor requires a gradient is its owner's to say too.
    """
    net, (args, kwargs) = ready(), example()
    with calling.Writes((args, kwargs)) as writes:
        net(*args, **kwargs)

    yield calling.changed_inputs((args, kwargs), example(), writes)


def test_parameters_stay(build, ready, example, unless):
    """A call changes no parameter.

    The first may, as data-dependent initialisation does, if it is noted that it has. And what is frozen may
    follow other parameters in train mode.
    """
    net = ready()
    before, own = tree.copies(tree.parameters(net)), tree.parameters(net)
    nested.run(net, example)
    unless(calling.replaced_parameters(net, own))
    found = calling.changed_parameters(net, before)
    if found and not calling.initialised_once(ready(), example):
        yield found
    elif not found and calling.follows(net, before):
        net.eval()
        if not not_applicable.one_call_only(build, example):
            unless([one for one in modes.random_in_eval(net, example) if "since each changes" in one])
        before = tree.copies(tree.parameters(net))
        nested.run(net, example)
        yield calling.changed_parameters(net, before)


def test_nothing_is_registered(ready, example):
    """A call registers no parameter, no buffer and no submodule that was not there before.

    An optimizer made before the first call does not know what the call makes.
    """
    net = ready()
    before, own = tree.names(net), tree.parameters(net)
    nested.run(net, example)

    yield calling.newly_registered(net, before) + calling.replaced_parameters(net, own)


def test_hooks_do_not_pile_up(build, ready, example, unless):
    """A call leaves no hook behind that was not there before.

    One more in each call makes every call slower than the one before.
    """
    unless(not_applicable.one_call_only(build, example))

    yield calling.hooks_added(ready(), example)


def test_no_tensor_is_left_on_it(ready, example):
    """A call leaves no activation and no graph on the module.

    What is kept there fills memory until the next call, and a module with a graph on it cannot be
    deep-copied.
    """
    net = ready()
    before = keeping.kept_tensors(net)
    args, kwargs = example()
    net(*args, **kwargs)

    yield keeping.left_on_it(net, before, example)


def test_no_tensor_is_kept_elsewhere(ready, example):
    """Forward uses no tensor that is kept in a container on a class, in a default or at the top of a file.

    Such a cache is every module's, stays when the module has gone, and keeps the device and the dtype of the
    call that filled it.
    """
    yield keeping.kept_elsewhere(ready(), example)


def test_attributes_stay(build, ready, example, unless):
    """A call changes no number, text or other plain attribute.

    Such state is missing from checkpoints, and in a replica of :class:`~torch.nn.DataParallel` it is lost.
    """
    net = ready()
    before = keeping.plain_values(net)
    nested.run(net, example)

    yield keeping.changed_attributes(before, keeping.plain_values(net))
    unless(not_applicable.one_call_only(build, example))
    net.eval()
    before = keeping.plain_values(net)
    nested.run(net, example)
    found = keeping.changed_attributes(before, keeping.plain_values(net))
    if found and not not_applicable.unrepeatable(build, example):
        unless(modes.other_in_training(ready(), ready(), example))
    yield found


def test_no_layer_is_made(build, ready, example, unless):
    """A call makes no layer with parameters.

    Each call would compute with new random numbers, which no optimizer knows and no checkpoint has.
    """
    unless(not_applicable.one_call_only(build, example))
    net = ready()
    nested.run(net, example)

    yield keeping.layers_made(net, example)


def test_the_process_stays(ready, example):
    """A call changes no default dtype, grad mode, seed or other setting of the process."""
    net, (args, kwargs) = ready(), example()
    before = moving.process_settings()
    net(*args, **kwargs)

    yield moving.changed_settings(before, "forward")
    net = ready()
    net.eval()
    nested.run(net, example)
    yield moving.changed_settings(before, "forward in eval mode")


def test_outputs_stay(build, ready, example, unless):
    """What a call has returned stays as it is when the module is called again.

    Who collects the outputs of several calls would have the last one many times.
    """
    unless(not_applicable.one_call_only(build, example))
    net = ready()
    net.eval()

    yield calling.overwritten(net, example)


def test_nothing_keeps_it(ready, example, unless):
    """After a call nothing outside keeps a module alive.

    ``functools.lru_cache`` on a method holds every module that it was called on.
    """
    net = ready()
    ref = weakref.ref(net)
    del net
    if keeping.kept_alive(ref):
        return  # the class keeps what it builds
    net = ready()
    ref = weakref.ref(net)
    nested.run(net, example)
    del net
    found = keeping.kept_alive(ref)
    if found:
        unless(gradients.gradients_differ(ready(), example))

    yield found


def test_every_input_counts(build, example, unless):
    """Every tensor that a module is given changes its outputs.

    A mask that is taken and not used lets everything through.
    """
    unless(not_applicable.unrepeatable(build, example))
    unless(not_applicable.kept_from_the_first_call(build, example))

    yield not_applicable.without_effect(build, example)


def test_what_is_masked_does_not_count(build, ready, example, unless):
    """What a mask leaves out does not change the outputs at the other places.

    A mask that is laid along the queries of attention instead of the keys hides nothing. And a recurrent
    layer of two directions starts in what lies past the lengths, unless it is packed.
    """
    unless(not_applicable.unrepeatable(build, example) + not_applicable.without_effect(build, example))

    yield padding.seen_through(ready(), example)
    yield padding.run_through(ready(), example)


def test_more_padding_does_not_count(build, ready, example, unless):
    """One more place that a mask leaves out changes no output.

    The mean over all places is smaller the further a batch is filled up.
    """
    unless(not_applicable.unrepeatable(build, example) + not_applicable.without_effect(build, example))
    unless(padding.seen_through(ready(), example))

    yield padding.padding_counted(ready(), example)


def test_inputs_of_another_length(build, ready, example, unless):
    """After a call a module takes longer and shorter inputs as a fresh one does.

    A table that the first call keeps has the length of that call.
    """
    unless(not_applicable.unrepeatable(build, example))
    unless(not_applicable.kept_from_the_first_call(build, example))

    yield using_inputs.kept_for_a_length(ready, example)


def test_under_autocast(build, ready, example, unless):
    """A module computes under :func:`torch.autocast`.

    There a linear layer returns bfloat16, and what it is put into is float32.
    """
    unless(not_applicable.not_in_float64(build, example))

    yield using_inputs.refused_under_autocast(ready(), example)


def test_in_another_layout(build, ready, example, unless):
    """A module takes images whose channels lie last in memory, and sequences that were transposed.

    ``view`` refuses what does not lie in one piece.
    """
    unless(not_applicable.unrepeatable(build, example))
    net = ready()
    net.eval()

    yield using_inputs.refused_in_another_layout(net, example)


def test_no_view_mixes_dimensions(ready, example):
    """No view of forward mixes dimensions.

    ``view`` and ``reshape`` swap nothing: heads that were not moved back are merged with time.
    """
    net = ready()
    net.eval()

    yield viewing.mixing(net, example)


def test_torch_has_no_warning(ready, example):
    """In a call torch warns of nothing, but for what is to go or is new.

    What it warns of computes something, and seldom what was meant.
    """
    yield calling.warned(ready(), example)


def test_no_float64_comes_out(ready, example):
    """Where inputs and parameters are float32, no output is float64.

    NumPy computes in float64, and what is made of its arrays does too.
    """
    yield using_inputs.doubled(ready(), example)


def test_no_number_is_read(ready, example):
    """Forward reads no number out of a tensor.

    :func:`torch.compile` cuts its graph at ``.item()``, ``.tolist()`` and ``if`` on a tensor.
    """
    net = ready()
    net.eval()

    yield calling.numbers_read(net, example)


def test_without_gradients(build, ready, example, unless):
    """In eval mode a module computes the same with gradients and without."""
    unless(not_applicable.unrepeatable(build, example))
    unless(not_applicable.mismasked(build, example))
    net = ready()
    net.eval()
    expected = nested.run(net, example)

    yield copying.differs_without_gradients(net, example, expected)


def test_no_place_is_written_twice(build, ready, example, unless):
    """No write of forward gives one place several values.

    ``out[index] += x`` adds one of several rows that go to the same place, and loses the others.
    """
    unless(not_applicable.unrepeatable(build, example))
    net = ready()
    net.eval()

    yield values.written_twice(net, example)


def test_what_is_asked_for_is_written(ready, example):
    """No output hangs on what is in memory that forward asks for.

    :func:`torch.empty_like` gives whatever was there: rows that nobody writes are garbage.
    """
    net = ready()
    net.eval()

    yield values.left_empty(net, example)


def test_inputs_of_one_place(build, ready, example, unless):
    """Of a sequence of one step a module refuses to compute, or computes numbers.

    The spread of one number, and the mean of its differences, is 0 / 0.
    """
    unless(not_applicable.unrepeatable(build, example))
    net = ready()
    net.eval()

    yield values.not_numbers_of_one_place(net, example)


def test_nearly_equal_numbers(build, ready, example, unless):
    """Of rows of nearly equal numbers, such as a blank image, a module computes numbers.

    A variance that is the mean of squares less the square of the mean is below zero there, by rounding. And
    the standard deviation of equal numbers, by which they are divided, is zero.
    """
    unless(not_applicable.unrepeatable(build, example))
    net = ready()
    net.eval()

    yield values.not_numbers_of_even_rows(net, example)


def test_both_directions_see_all(ready, example):
    """Of a recurrent layer of two directions not only the last step is used.

    There the backward direction has just begun.
    """
    net = ready()
    net.eval()

    yield recurrent.half_read(net, example)


def test_chance_is_of_torch(ready, example):
    """Forward draws random numbers from torch alone.

    :func:`torch.manual_seed` seeds no other generator, and :func:`torch.utils.checkpoint.checkpoint` puts no
    other back.
    """
    yield values.drawn_elsewhere(ready, example)


def test_losses_are_given_their_kind(ready, example):
    """Losses are given the kind of numbers that they take, in pairs.

    Cross entropy takes logits, and a divergence logarithms; and a column less a row is a square.
    """
    yield formulas.misgiven(ready(), example)


def test_formulas_hold_everywhere(ready, example):
    """Forward takes no step that is inf or NaN for large or equal numbers, where torch has a better.

    The logarithm of a softmax is -inf for what trails far behind.
    """
    yield formulas.fragile(ready(), example)


def test_a_call_computes_anew(build, ready, example, unless):
    """What a call computes hangs on its inputs, and not on those of the call before.

    A cache with the shape for its key gives the first inputs of a shape their numbers back for all others.
    And the keys and values of a sequence that is over are attended to by the next.
    """
    unless(not_applicable.unlike(build, example))

    yield using_inputs.kept_of_other_inputs(ready(), ready(), example)


def test_buffers_do_not_grow(ready, example):
    """No buffer grows with each call.

    A queue without an end fills memory, and its checkpoint loads nowhere.
    """
    yield calling.growing_buffers(ready(), example)


def test_lengths_in_between(build, ready, example, unless):
    """Of two lengths that a module takes, it takes those in between too.

    An odd length is cut in halves by a stride, and doubled again one longer.
    """
    unless(not_applicable.unrepeatable(build, example))

    yield padding.lengths_left_out(ready(), example)


def test_masks_hide_what_comes(build, example, unless):
    """No mask shows a place just the next of what comes after it, or only what comes after it.

    ``torch.triu(mask, diagonal=2)`` leaves each place of a sequence the one that it is to predict. And what
    is true in a mask is left out by one kind of attention, and taken in by the other.
    """
    yield not_applicable.mismasked(build, example)
