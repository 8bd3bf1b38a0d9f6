"""Copying a module.

A copy is a module of its own: it computes the same, and nothing that is done to the one is seen in the other.
"""

import copy
import pickle


def test_a_deep_copy(ready, findings):
    """``copy.deepcopy`` accepts a module.

    Tensors computed from parameters cannot be copied, nor can locks, open files and running generators.
    """
    net = ready()

    assert findings.not_deep_copied(net) == []


def test_a_deep_copy_computes_the_same(build, ready, example, unless, findings):
    """A deep copy computes the same as its original."""
    net = ready()
    unless(findings.unrepeatable(build, example) + findings.not_deep_copied(net))
    copied = copy.deepcopy(net)

    assert findings.differs_in_a_copy(copied, net, example, "a deep copy") == []


def test_a_deep_copy_shares_nothing(ready, unless, findings):
    """A deep copy shares no tensor with its original."""
    net = ready()
    unless(findings.not_deep_copied(net))

    assert findings.shared_by_copy(net, copy.deepcopy(net)) == []


def test_a_deep_copy_is_independent(build, ready, example, unless, findings):
    """A change of the original's parameters does not change what a deep copy computes."""
    net = ready()
    unless(findings.unrepeatable(build, example) + findings.not_deep_copied(net))
    copied = copy.deepcopy(net)
    unless(findings.closures(net) + findings.shared_by_copy(net, copied))
    expected = findings.run(copied, example)
    findings.disturb(net)

    assert findings.follows_the_original(findings.run(copied, example), expected) == []


def test_pickling(build, ready, example, unless, findings):
    """A module comes back from pickle and computes the same.

    torch itself refuses to pickle a module with parametrizations: its state dict is saved instead.
    """
    net = ready()
    unless(findings.unpicklable_in_torch(net) + findings.closures(net))

    assert findings.not_picklable(net) == []
    unless(findings.unrepeatable(build, example))
    back = pickle.loads(pickle.dumps(net))
    assert findings.differs_in_a_copy(back, net, example, "a copy from pickle") == []


def test_ties_are_kept(ready, unless, findings):
    """What is tied stays tied in a deep copy and after a cast."""
    net = ready()
    unless(findings.not_deep_copied(net))
    ties = findings.ties(net)
    copied = copy.deepcopy(net)
    net.double()

    assert findings.untied(ties, findings.ties(copied), "a deep copy") == []
    assert findings.untied(ties, findings.ties(net), "double()") == []
