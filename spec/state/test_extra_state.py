"""Extra state: what a module saves besides its tensors.

A class that defines :meth:`~torch.nn.Module.get_extra_state` and :meth:`~torch.nn.Module.set_extra_state` has
one more entry in its state dict, which may be any object.
"""

import pytest
import torch
from torch import nn


class Words(nn.Module):
    words = ("none",)

    def get_extra_state(self):
        return self.words

    def set_extra_state(self, state):
        self.words = state


def test_extra_state_has_a_key_of_its_own():
    """What :meth:`~torch.nn.Module.get_extra_state` returns is saved as it is, under ``_extra_state``.

    It comes after the module's own tensors and before its submodules. Whatever cannot be loaded with
    ``weights_only=True`` makes the checkpoint unloadable so: return tensors and plain data.
    """
    module = Words()
    module.words = ["sea", "sky"]
    module.inner = nn.PReLU()
    module.register_buffer("seen", torch.tensor(4))

    state = module.state_dict()

    assert list(state) == ["seen", "_extra_state", "inner.weight"]
    assert state["_extra_state"] is module.words


def test_extra_state_of_a_submodule_has_its_prefix():
    """``_extra_state`` of a submodule has the prefix of the submodule in ``state_dict()``."""
    state = nn.Sequential(nn.PReLU(), Words()).state_dict(prefix="net.")

    assert list(state) == ["net.0.weight", "net.1._extra_state"]


def test_extra_state_is_set_by_loading():
    """:meth:`~torch.nn.Module.load_state_dict` calls ``set_extra_state`` with what was saved.

    :meth:`~torch.nn.Module.set_extra_state` is called once for each module that defines it.
    """
    net = nn.Sequential(Words(), Words())
    saved = [["sea"], ["sky", "sun"]]

    result = net.load_state_dict({"0._extra_state": saved[0], "1._extra_state": saved[1]})

    assert result == ([], [])
    assert [module.words for module in net] == saved
    assert net[0].words is saved[0]


def test_none_is_an_extra_state_too():
    """A :meth:`~torch.nn.Module.get_extra_state` that returns ``None`` leaves a key with that value."""

    class Nothing(nn.Module):
        def get_extra_state(self):
            return None

    assert Nothing().state_dict() == {"_extra_state": None}


def test_extra_state_is_set_after_the_modules_tensors():
    """``set_extra_state`` is called after the module's own tensors are loaded, before its submodules."""
    seen = []

    class Watching(nn.Sequential):
        def set_extra_state(self, state):
            seen.append((state, self.scale.item(), self[0].weight.item()))

    module = Watching(nn.PReLU())
    module.scale = nn.Parameter(torch.tensor(1.5))
    module.load_state_dict({"0.weight": torch.tensor([0.75]), "scale": torch.tensor(9.0), "_extra_state": 5})

    assert seen == [(5, 9.0, 0.25)]
    assert module[0].weight.item() == 0.75


def test_missing_extra_state_is_a_missing_key():
    """``load_state_dict`` without ``_extra_state`` misses that key and does not call ``set_extra_state``."""
    module = Words()
    module.words = ["sea", "sky"]

    result = module.load_state_dict({}, strict=False)

    assert result == (["_extra_state"], [])
    assert module.words == ["sea", "sky"]


def test_extra_state_nobody_sets_is_an_unexpected_key():
    """``_extra_state`` of a module without ``set_extra_state`` is an unexpected key, told once."""
    result = nn.ModuleDict({"a": nn.PReLU()}).load_state_dict(
        {"a.weight": torch.rand(1), "a._extra_state": 5}, strict=False
    )

    assert result == ([], ["a._extra_state"])


def test_getting_without_setting_does_not_load():
    """A class with ``get_extra_state`` and no ``set_extra_state`` cannot load its own state dict."""

    class Half(nn.Module):
        def get_extra_state(self):
            return 5

    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "_extra_state"'):
        Half().load_state_dict(Half().state_dict())


def test_the_default_raises():
    """``get_extra_state()`` and ``set_extra_state()`` of a module that does not define them raise."""
    layer = nn.Linear(2, 3)

    with pytest.raises(RuntimeError, match=r"Module\.get_extra_state\(\) that should never be called"):
        layer.get_extra_state()
    with pytest.raises(RuntimeError, match=r"Module\.set_extra_state\(\) that should never be called"):
        layer.set_extra_state(5)


@pytest.mark.observed
def test_extra_state_is_a_matter_of_the_class():
    """A ``get_extra_state`` set on one module, not on its class, is not used by ``state_dict()``."""
    layer = nn.PReLU()
    layer.get_extra_state = lambda: 5

    assert list(layer.state_dict()) == ["weight"]


def test_a_parent_may_have_it_too():
    """A module and its submodule may both have extra state: ``_extra_state``, ``part._extra_state``."""
    model = Words()
    model.part = Words()

    model.load_state_dict({"_extra_state": ["outer"], "part._extra_state": ["inner"]})

    assert model.words == ["outer"]
    assert model.part.words == ["inner"]
    assert model.state_dict() == {"_extra_state": ["outer"], "part._extra_state": ["inner"]}
