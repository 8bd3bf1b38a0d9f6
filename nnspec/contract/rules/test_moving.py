"""Moving a module.

A cast or a move takes all of a module along, and forward follows: what it makes on the way has the dtype and
the device of its inputs.
"""

import torch


def test_a_cast_reaches_all(ready, findings):
    """``double()`` casts every floating parameter and buffer."""
    net = ready()
    net.double()

    assert findings.not_cast(net, torch.float64) == []


def test_computing_in_float64(build, ready, example, unless, findings):
    """In float64, with inputs in float64, the floating outputs are float64."""
    unless(findings.not_registered(build, example) + findings.without_floating_output(build, example))
    net = ready()
    net.double()
    unless(findings.not_cast(net, torch.float64))

    assert findings.not_computed_in(net, example, torch.float64) == []


def test_to_meta_and_back(ready, findings):
    """``to("meta")`` takes every tensor along, and :meth:`~torch.nn.Module.to_empty` brings it back."""
    net = ready()
    names = findings.described(net)
    net.to("meta")

    assert findings.left_behind(net, "meta") == []
    net.to_empty(device="cpu")
    assert findings.left_behind(net, "cpu") == []
    assert findings.redescribed(names, findings.described(net)) == []


def test_computing_on_meta(build, example, unless, findings):
    """On the meta device a module computes its outputs there.

    Meta stands for any other device: a tensor that forward makes without ``device=`` is on the CPU.
    """
    unless(findings.not_built_on_meta(build) + findings.not_registered(build, example))
    with torch.device("meta"):
        net = build()
    call = findings.call_on_meta(net, example)
    unless(findings.reading_values(call))

    assert findings.not_computed_on_meta(call) == []


def test_every_device(build, ready, example, unless, device, findings):
    """After :meth:`~torch.nn.Module.to` the state is on the device, and so are the outputs."""
    net = ready()
    unless(findings.not_registered(build, example))
    net.to(device)

    assert findings.left_behind(net, device) == []
    assert findings.not_computed_there(net, example, device) == []


def test_a_cast_keeps_the_parameters(ready, findings):
    """A cast leaves every parameter the object that it was, so an optimizer goes on with it."""
    net = ready()
    before = findings.parameters(net)
    net.double()

    assert findings.replaced(before, findings.parameters(net), "double()") == []
