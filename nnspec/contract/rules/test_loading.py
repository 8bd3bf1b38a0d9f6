"""Loading a state dict.

A fresh build takes the state dict of another and is then the same module: the same keys, the same values, the
same outputs.
"""

from torch import nn

from nnspec.contract import not_applicable, tree
from nnspec.contract.findings import building, gradients, names, registration, state_dicts


def test_a_fresh_build_takes_the_state(ready, other, unless):
    """A fresh build takes the state dict of another, strictly, and then holds its values."""
    net, fresh = ready(), other()
    unless(names.names_differ(net, fresh))

    yield state_dicts.not_taken(fresh, net.state_dict())


def test_as_a_part(ready, other, unless):
    """As a part of another module, a build takes the state dict of another too.

    Its keys have a prefix there, which an override of ``_load_from_state_dict`` has to go by.
    """
    net, fresh = ready(), other()
    unless(names.names_differ(net, fresh) + state_dicts.not_in_state(net, net.state_dict()))
    unless(state_dicts.not_taken(other(), net.state_dict()))
    unless(names.misplaced(net.state_dict(), nn.ModuleDict({"part": net}).state_dict(), "part."))

    yield state_dicts.not_taken_as_a_part(fresh, net)


def test_the_loaded_build_computes_the_same(build, ready, other, example, unless):
    """A fresh build that has loaded the state dict of another computes the same."""
    unless(not_applicable.unrepeatable(build, example))
    net, fresh = registration.register(ready()), registration.register(other())
    unless(not_applicable.not_registered(build, example) + state_dicts.not_in_state(net, net.state_dict()))
    unless(state_dicts.not_taken(fresh, net.state_dict()))

    yield state_dicts.differs_after_loading(fresh, net, example)


def test_what_training_changed_is_saved(build, ready, other, example, unless):
    """What calls in train mode change comes back with the state dict.

    A running mean in a buffer that is not persistent is zero again after a load.
    """
    unless(not_applicable.unrepeatable(build, example))
    net, fresh = registration.register(ready()), registration.register(other())
    unless(not_applicable.not_registered(build, example) + state_dicts.not_in_state(net, net.state_dict()))
    unless(state_dicts.not_taken(fresh, net.state_dict()))
    found = state_dicts.lost_by_saving(fresh, net, example)
    if found:
        again, fresh = registration.register(ready()), registration.register(other())
        unless(state_dicts.not_taken(fresh, again.state_dict()))
        unless(state_dicts.differs_after_loading(fresh, again, example))

    yield found


def test_a_load_after_a_call(build, ready, other, example, unless):
    """A module that was called before it loads a state dict computes with what it has loaded.

    Weights that an earlier call has merged or normalized are those of before.
    """
    unless(not_applicable.unrepeatable(build, example))
    net, fresh = registration.register(ready()), registration.register(other())
    unless(not_applicable.not_registered(build, example) + state_dicts.not_in_state(net, net.state_dict()))
    unless(state_dicts.not_taken(registration.register(other()), net.state_dict()))
    found = state_dicts.stale_after_loading(fresh, net, example, set(ready().state_dict()))
    if found:
        unless(gradients.gradients_differ(ready(), example))
        again, fresh = registration.register(ready()), registration.register(other())
        unless(state_dicts.not_taken(fresh, again.state_dict()))
        unless(state_dicts.differs_after_loading(fresh, again, example))

    yield found


def test_a_missing_key_is_refused(ready):
    """:meth:`~torch.nn.Module.load_state_dict` refuses a state dict that lacks a key.

    A class that overrides it with ``strict=False`` trains on from random values, and nobody notices.
    """
    net = ready()

    yield state_dicts.accepted_without_a_key(net, net.state_dict())


def test_a_part_is_taken(ready, unless):
    """With ``strict=False`` a state dict may lack any key, and what it lacks is told.

    Who fine-tunes loads what fits and builds the rest anew.
    """
    net = ready()
    unless(building.narrowed(net, ["load_state_dict"]))

    yield state_dicts.part_refused(net)


def test_the_state_dict_stays(ready):
    """Loading a state dict takes no entry out of it.

    A class that pops what it has read spoils the dict for whoever loads it next.
    """
    net = ready()

    yield state_dicts.taken_out(net, tree.copied_state(net.state_dict()))


def test_parameters_stay_the_same_objects(ready, other, unless):
    """Loading a state dict leaves every parameter the object that it was.

    An optimizer holds the parameters it was given. It does not see new ones.
    """
    net = ready()
    unless(state_dicts.not_taken(other(), net.state_dict()))
    before = tree.parameters(net)
    net.load_state_dict(tree.copied_state(net.state_dict()), strict=False)

    yield state_dicts.replaced(before, tree.parameters(net), "load_state_dict")


def test_assigning_onto_meta(ready, other, unless):
    """On the meta device a module takes the tensors of a state dict with ``assign=True``."""
    unless(not_applicable.no_assign() + building.narrowed(ready(), ["load_state_dict"]))
    state, net = ready().state_dict(), ready()
    unless(state_dicts.not_taken(other(), state))
    net.to("meta")
    net.load_state_dict(state, strict=False, assign=True)

    yield state_dicts.not_assigned(net, state)


def test_built_on_meta(construct, ready, unless):
    """Built under ``torch.device("meta")`` and loaded, a module has all its values.

    A buffer that is in no checkpoint is computed by ``reset_parameters``, or it stays empty. Asked for are
    those of classes whose constructor takes a device.
    """
    unless(not_applicable.sharing(construct) + building.not_built_on_meta(construct))

    yield state_dicts.lost_on_meta(construct, ready())
