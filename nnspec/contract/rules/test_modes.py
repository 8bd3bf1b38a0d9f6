"""The modes of a module.

``train()`` and ``eval()`` set a flag on every submodule, and nothing else. In eval mode a module is a
function: the same inputs give the same outputs, and no call changes it.
"""

import copy

import torch


def test_methods_return_it(ready, findings):
    """``train``, ``eval``, ``requires_grad_`` and ``to`` return the module itself."""
    net = ready()
    returned = {
        "train()": net.train(),
        "eval()": net.eval(),
        "requires_grad_()": net.requires_grad_(),
        "to()": net.to(torch.float64),
    }

    assert findings.not_itself(net, returned) == []


def test_modes_reach_every_submodule(build, findings):
    """:meth:`~torch.nn.Module.eval` and :meth:`~torch.nn.Module.train` reach every submodule."""
    net = build()
    net.eval()
    left_in_train = findings.in_mode(net, True)
    net.train()

    assert findings.unreached_by_modes(left_in_train, findings.in_mode(net, False)) == []


def test_modes_change_nothing_else(ready, findings):
    """``eval()`` and ``train()`` change no parameter, no buffer and no ``requires_grad``."""
    net = ready()
    before = findings.snapshot(net)
    net.eval()
    after_eval = findings.snapshot(net)
    net.train()

    assert findings.changed_by_modes(before, after_eval, findings.snapshot(net)) == []


def test_eval_is_deterministic(build, ready, example, unless, findings):
    """In eval mode equal inputs give equal outputs, whatever the seed.

    :func:`torch.nn.functional.dropout` drops in eval too, unless it is told the mode.
    """
    unless(findings.one_call_only(build, example))
    net = ready()
    net.eval()

    assert findings.random_in_eval(net, example) == []


def test_buffers_stay_in_eval(ready, example, findings):
    """In eval mode a call changes no buffer."""
    net = ready()
    net.eval()
    before = copy.deepcopy(dict(net.named_buffers()))
    findings.run(net, example)

    assert findings.changed_buffers(net, before) == []
