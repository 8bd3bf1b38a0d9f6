"""Extra state: what a module saves besides its tensors.

A class that defines :meth:`~torch.nn.Module.get_extra_state` and :meth:`~torch.nn.Module.set_extra_state` has
one more entry in its state dict, which may be any object.
"""

import io
import threading

import pytest
import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin


class Words(nn.Module):
    words = ("none",)

    def get_extra_state(self):
        return self.words

    def set_extra_state(self, state):
        self.words = state


@pytest.mark.parametrize(
    "words", [["sea", "sky"], {"sea": 1}, torch.tensor([2.5])], ids=["list", "dict", "tensor"]
)
def test_extra_state_has_a_key_of_its_own(words):
    """``state_dict()`` saves the return value of :meth:`~torch.nn.Module.get_extra_state` under
    ``_extra_state``, unchanged.

    It comes after the module's own tensors and before its submodules. Whatever cannot be loaded with
    ``weights_only=True`` makes the checkpoint unloadable so: return tensors and plain data.
    """
    module = Words()
    module.words = words
    module.inner = nn.PReLU()
    module.register_buffer("seen", torch.tensor(4))

    state = module.state_dict()

    assert list(state) == ["seen", "_extra_state", "inner.weight"]
    assert state["_extra_state"] is words


def test_extra_state_of_a_submodule_has_its_prefix():
    """The ``_extra_state`` key of a submodule in ``state_dict()`` begins with the submodule's prefix."""
    state = nn.Sequential(nn.PReLU(), Words()).state_dict(prefix="net.")

    assert list(state) == ["net.0.weight", "net.1._extra_state"]


def test_extra_state_is_set_by_loading():
    """:meth:`~torch.nn.Module.load_state_dict` calls ``set_extra_state`` with the saved extra state.

    :meth:`~torch.nn.Module.set_extra_state` is called once for each module that defines it.
    """
    calls = []

    class Noting(Words):
        def set_extra_state(self, state):
            calls.append(state)
            super().set_extra_state(state)

    net = nn.Sequential(Noting(), nn.ReLU(), nn.Sequential(Noting()))
    saved = [None, ["sky", "sun"]]

    result = net.load_state_dict({"0._extra_state": saved[0], "2.0._extra_state": saved[1]})

    assert result == ([], [])
    assert calls == saved
    assert net[2][0].words is saved[1]
    assert net[0].words is saved[0]


def test_none_is_an_extra_state_too():
    """If :meth:`~torch.nn.Module.get_extra_state` returns ``None``, ``state_dict()`` has the key
    ``_extra_state`` with value ``None``.
    """

    class Nothing(nn.Module):
        def get_extra_state(self):
            return None

    assert Nothing().state_dict() == {"_extra_state": None}
    assert nn.Sequential(Nothing()).state_dict() == {"0._extra_state": None}


def test_extra_state_is_set_after_the_modules_tensors():
    """``load_state_dict`` calls ``set_extra_state`` after loading a module's tensors, before its
    submodules.
    """
    seen = []

    class Watching(nn.Sequential):
        def set_extra_state(self, state):
            seen.append((state, self.scale.item(), self.seen.item(), self[0].weight.item()))

    module = Watching(nn.PReLU())
    module.scale = nn.Parameter(torch.tensor(1.5))
    module.register_buffer("seen", torch.tensor(2))
    state = {"0.weight": torch.tensor([0.75]), "scale": torch.tensor(9.0), "seen": torch.tensor(7)}
    module.load_state_dict({**state, "_extra_state": 5})

    assert seen == [(5, 9.0, 7, 0.25)]
    assert module[0].weight.item() == 0.75


def test_missing_extra_state_is_a_missing_key():
    """If ``_extra_state`` is missing, ``load_state_dict`` reports the key and does not call
    ``set_extra_state``.
    """
    module = Words()
    module.words = ["sea", "sky"]

    assert module.load_state_dict({}, strict=False) == (["_extra_state"], [])
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "_extra_state"'):
        module.load_state_dict({})
    assert nn.Sequential(module).load_state_dict({}, strict=False) == (["0._extra_state"], [])
    assert module.words == ["sea", "sky"]


def test_extra_state_nobody_sets_is_an_unexpected_key():
    """``load_state_dict`` reports ``_extra_state`` as unexpected for a module without ``set_extra_state``."""
    net = nn.ModuleDict({"a": nn.PReLU()})
    state = {"a.weight": torch.rand(1), "a._extra_state": 5, "_extra_state": 7}

    assert net.load_state_dict(state, strict=False) == ([], ["_extra_state", "a._extra_state"])
    with pytest.raises(RuntimeError, match=r'Unexpected key.*: "_extra_state", "a\._extra_state"'):
        net.load_state_dict(state)


def test_getting_without_setting_does_not_load():
    """``load_state_dict`` raises ``RuntimeError`` if a class has ``get_extra_state`` but no
    ``set_extra_state``.
    """

    class Half(nn.Module):
        def get_extra_state(self):
            return 5

    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "_extra_state"'):
        Half().load_state_dict(Half().state_dict())
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "0\._extra_state"'):
        nn.Sequential(Half()).load_state_dict(nn.Sequential(Half()).state_dict())


def test_the_default_raises():
    """``get_extra_state()`` and ``set_extra_state()`` raise ``RuntimeError`` for modules that do not
    define them.
    """
    layer = nn.Linear(2, 3)

    with pytest.raises(RuntimeError, match=r"Module\.get_extra_state\(\) that should never be called"):
        layer.get_extra_state()
    with pytest.raises(RuntimeError, match=r"Module\.set_extra_state\(\) that should never be called"):
        layer.set_extra_state(5)


def test_extra_state_may_have_to_be_pickled(tmp_path):
    """``torch.save`` of a ``state_dict()`` raises ``TypeError`` for extra state such as a lock or a
    generator.

    They cannot be pickled. ``state_dict()`` itself takes any object, so the error comes only when the file is
    written.
    """
    model, file = Words(), io.BytesIO()
    for words in (threading.Lock(), (word for word in ["sea"])):
        model.words = words

        assert model.state_dict() == {"_extra_state": words}
        for place in (io.BytesIO(), tmp_path / "model.pt"):
            with pytest.raises(TypeError, match="cannot pickle"):
                torch.save(nn.Sequential(model).state_dict(), place)

    model.words = ["sea", "sky"]
    torch.save(model.state_dict(), file)
    file.seek(0)
    assert torch.load(file) == {"_extra_state": ["sea", "sky"]}


def test_extra_state_is_a_matter_of_the_class():
    """``state_dict()`` ignores a ``get_extra_state`` that is set on an instance instead of on its class."""
    layer = nn.PReLU()
    layer.get_extra_state = lambda: 5

    assert list(layer.state_dict()) == ["weight"]
    assert list(nn.Sequential(layer).state_dict()) == ["0.weight"]


def test_a_parent_may_have_it_too():
    """A module and its submodule can both have extra state: keys ``_extra_state`` and
    ``part._extra_state``.
    """
    model = Words()
    model.part = Words()

    model.load_state_dict({"_extra_state": ["outer"], "part._extra_state": ["inner"]})

    assert model.words == ["outer"]
    assert model.part.words == ["inner"]
    assert model.state_dict() == {"_extra_state": ["outer"], "part._extra_state": ["inner"]}


def test_a_lazy_module_saves_no_extra_state():
    """``state_dict()`` of a ``LazyModuleMixin`` module calls no ``get_extra_state``: no ``_extra_state`` key.

    So its own state dict lacks a key when loaded. The mixin saves parameters and buffers by itself.
    """

    class LazyWords(LazyModuleMixin, Words): ...

    words = LazyWords()
    words.scale = nn.Parameter(torch.rand(2))
    words.register_buffer("seen", torch.tensor(4))

    assert list(Words().state_dict()) == ["_extra_state"]
    assert list(words.state_dict()) == ["scale", "seen"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "_extra_state"'):
        words.load_state_dict(words.state_dict())
