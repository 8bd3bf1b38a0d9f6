"""Copying a module.

A copy is a module of its own: it computes the same, and nothing that is done to the one is seen in the other.
"""

import copy

from nnspec.contract import nested, not_applicable, tree
from nnspec.contract.findings import copying, names, registration


def test_a_deep_copy(looked_at, unless):
    """``copy.deepcopy`` accepts a module.

    Tensors computed from parameters cannot be copied, nor can locks, open files and running generators.
    """
    net = looked_at()
    unless(registration.computed_from_unregistered(net))

    yield not_applicable.not_deep_copied(net)


def test_a_deep_copy_computes_the_same(build, ready, example, unless):
    """A deep copy computes the same as its original."""
    net = ready()
    unless(not_applicable.unrepeatable(build, example) + not_applicable.not_deep_copied(net))
    unless(registration.hooks_with_containers(net))
    copied = copy.deepcopy(net)

    yield copying.differs_in_a_copy(copied, net, example, "a deep copy")


def test_a_deep_copy_shares_nothing(ready, unless):
    """A deep copy shares no tensor with its original."""
    net = ready()
    unless(not_applicable.not_deep_copied(net))

    yield names.shared_by_copy(net, copy.deepcopy(net))


def test_a_deep_copy_is_independent(build, ready, example, unless):
    """A change of the original's parameters does not change what a deep copy computes."""
    net = ready()
    unless(not_applicable.unrepeatable(build, example) + not_applicable.not_deep_copied(net))
    copied = copy.deepcopy(net)
    unless(registration.closures(net) + names.shared_by_copy(net, copied))
    refused, expected = copying.called_in_eval(copied, example, "a deep copy")
    unless(refused)
    tree.disturb(net)

    yield copying.follows_the_original(copied, nested.run(copied, example), expected)


def test_pickling(build, ready, example, unless):
    """A module comes back from pickle and computes the same.

    torch itself refuses to pickle a module with parametrizations: its state dict is saved instead.
    """
    net = ready()
    unless(not_applicable.unpicklable_in_torch(net) + registration.closures(net))

    refused, back = copying.through_pickle(net)
    yield refused
    unless(not_applicable.unrepeatable(build, example))
    yield copying.differs_in_a_copy(back, net, example, "a copy from pickle")


def test_ties_are_kept(ready, unless):
    """What is tied stays tied in a deep copy and after a cast."""
    net = ready()
    unless(not_applicable.not_deep_copied(net))
    ties = copying.ties(net)
    copied = copy.deepcopy(net)
    net.double()

    yield copying.untied(ties, copying.ties(copied), "a deep copy")
    yield copying.untied(copying.tied_parameters(net, ties), copying.ties(net), "double()")
