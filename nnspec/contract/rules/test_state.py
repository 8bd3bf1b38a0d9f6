"""The state dict of a module.

A state dict has every parameter and every persistent buffer, under the name that leads to it, and it refers
to them: it is no copy.
"""

import torch

from nnspec.contract.findings import state_dicts


def test_every_entry_is_there(build, other):
    """The state dict has every parameter and every persistent buffer.

    Under other names it has them too if another build takes it and then holds them: hooks may rename.
    """
    net = build()
    lost = state_dicts.not_in_state(net, net.state_dict())
    if lost and state_dicts.brought_back(net, other()):
        lost = []

    yield lost


def test_values_are_references(looked_at):
    """The values of the state dict share memory with the parameters and buffers."""
    net = looked_at()

    yield state_dicts.not_referred_to(net, net.state_dict())


def test_memory_is_shared_by_ties_only(looked_at):
    """Two entries share memory only if they are the same tensor, and none with a plain attribute.

    Memory shared through ``.data`` or a view looks like a tie, and parts company with the next cast.
    """
    net = looked_at()

    yield state_dicts.sharing_by_accident(net)
    yield state_dicts.sharing_with_attributes(net)


def test_memory_is_no_more_than_values(looked_at):
    """No entry of the state dict is a small part of a large tensor.

    ``torch.save`` writes the memory of a tensor, and not what is seen of it.
    """
    yield state_dicts.larger_than_values(looked_at())


def test_through_a_file(looked_at, tmp_path):
    """The state dict comes back whole from a file that :func:`torch.load` reads with ``weights_only=True``.

    This is the default from torch 2.6 on. Extra state of a class of one's own is refused.
    """
    state = looked_at().state_dict()
    torch.save(state, tmp_path / "state.pt")

    yield state_dicts.not_back_from_file(tmp_path / "state.pt", state)
