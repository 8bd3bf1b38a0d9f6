"""Moving a module.

A cast or a move takes all of a module along, and forward follows: what it makes on the way has the dtype and
the device of its inputs.
"""

import torch
from torch import nn

from nnspec.contract import nested, not_applicable, tree
from nnspec.contract.findings import building, half_precision, moving, registration, state_dicts


def test_a_cast_reaches_all(ready):
    """``double()`` casts every floating parameter and buffer."""
    net = ready()
    names = moving.second_names(net)
    net.double()

    yield moving.not_cast(net, torch.float64)
    yield moving.left_by_second_names(net, names)


def test_computing_in_float64(build, ready, example, unless):
    """In float64, with inputs in float64, the floating outputs are float64."""
    unless(
        not_applicable.not_registered(build, example) + not_applicable.without_floating_output(build, example)
    )
    net = registration.register(ready())
    unless(not_applicable.complex_numbers(net, example) + not_applicable.computed_and_kept(net))
    net.double()
    unless(moving.not_cast(net, torch.float64))

    found = not_applicable.wrong_in_float64(build, example)
    unless(moving.without_kernel(found))
    yield found


def test_a_cast_after_a_call(build, ready, example, unless):
    """A module that was called once computes in float64 after a cast all the same.

    A mask that the first call keeps has the dtype of that call.
    """
    unless(
        not_applicable.not_registered(build, example) + not_applicable.without_floating_output(build, example)
    )
    unless(not_applicable.one_call_only(build, example))
    net = registration.register(ready())
    unless(not_applicable.wrong_in_float64(build, example))
    nested.run(net, example)
    net.double()

    yield moving.not_computed_after_a_call(net, example, torch.float64)


def test_computing_in_bfloat16(build, example, unless):
    """A module that computes in float64 computes in bfloat16 too.

    A constant that is made in float32 unless the inputs are float64 goes with every dtype but the one that
    large models are trained in.
    """
    unless(
        not_applicable.not_registered(build, example) + not_applicable.without_floating_output(build, example)
    )
    unless(not_applicable.not_in_float64(build, example))
    there = half_precision.in_bfloat16(build, example)
    unless(there.uncast + moving.without_kernel(there.wrong))

    yield there.wrong


def test_angles_are_not_coarse(build, example, unless):
    """Sines and cosines are taken of angles that are known well enough.

    In bfloat16 the numbers from 256 on are two apart: positions times rates are angles in float32 only.
    """
    unless(
        not_applicable.not_registered(build, example) + not_applicable.without_floating_output(build, example)
    )
    unless(not_applicable.not_in_float64(build, example))
    there = half_precision.in_bfloat16(build, example)
    unless(there.uncast + there.wrong)

    yield there.coarse


def test_float16_keeps_numbers(build, example, unless):
    """What is a number in float32 is one in float16, with a row of zeros too.

    There 1e-8 is zero, and a quotient with it under the line is none.
    """
    unless(not_applicable.not_registered(build, example) + not_applicable.unrepeatable(build, example))
    unless(not_applicable.not_in_float64(build, example) + building.shadowed_methods(build()))

    yield half_precision.in_half(build, example).lost


def test_computing_in_float16(build, ready, example, unless):
    """No number in forward is too large for float16.

    A mask is often filled with -1e9, which float16 cannot hold.
    """
    unless(not_applicable.not_registered(build, example) + building.shadowed_methods(build()))
    unless(not_applicable.not_in_float64(build, example))
    if half_precision.in_half(build, example).ran:
        return
    net = registration.register(ready())
    net.half()

    yield half_precision.too_large_for_half(moving.not_computed_in(net, example, torch.float16))


def test_complex_numbers_stay(ready):
    """``to(torch.bfloat16)`` leaves complex buffers complex.

    torch casts them to real ones, and warns of it once. A module whose parameters are complex is not asked.
    """
    yield moving.imaginary_lost(ready())


def test_to_meta_and_back(ready):
    """``to("meta")`` takes every tensor along, and :meth:`~torch.nn.Module.to_empty` brings it back."""
    net = ready()
    names = moving.described(net)
    net.to("meta")

    yield building.left_behind(net, "meta")
    net.to_empty(device="cpu")
    yield building.left_behind(net, "cpu")
    yield moving.redescribed(names, moving.described(net))


def test_computing_on_meta(build, rebuild, ready, example, unless):
    """On the meta device a module computes its outputs there.

    Meta stands for any other device: a tensor that forward makes without ``device=`` is on the CPU.
    """
    unless(not_applicable.not_registered(build, example))
    net, before = moving.on_meta(rebuild, ready)
    registration.register(net)
    unless(building.left_behind(net, "meta"))
    call = moving.call_on_meta(net, example, before)
    unless(moving.reading_values(call))

    yield moving.not_computed_on_meta(call)


def test_as_a_part(ready):
    """Moved as a part of another module, a module takes along what it takes along by itself.

    The ``to()`` of a whole never calls that of its parts: an override of it is passed by.
    """
    net, part = ready(), ready()
    net.to("meta")
    nn.ModuleDict({"part": part}).to("meta")

    yield moving.left_as_a_part(net, part)


def test_cuda(ready, unless):
    """``cuda()`` takes every parameter and buffer along.

    A class that overrides it, and moves what its author thought of, leaves behind what came later.
    """
    net = ready()
    before = list(tree.tensors(net))
    unless(moving.cuda_refused(net))

    yield moving.left_by_cuda(net, before)


def test_every_device(build, ready, example, unless, device):
    """After :meth:`~torch.nn.Module.to` the state is on the device, and so are the outputs."""
    net = registration.register(ready())
    unless(not_applicable.not_registered(build, example))
    net.to(device)

    yield building.left_behind(net, device)
    yield moving.not_computed_there(net, example, device)


def test_a_cast_keeps_the_parameters(ready):
    """A cast leaves every parameter the object that it was, so an optimizer goes on with it."""
    net = ready()
    before = tree.parameters(net)
    net.double()

    yield state_dicts.replaced(before, tree.parameters(net), "double()")
