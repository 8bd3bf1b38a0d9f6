"""Where torch.load puts what it loads: locations, what maps them, and the registry of those who know them.

A file keeps a tag for each storage that names its device. On loading the tag is turned into a device again.
"""

import io
import types

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("weights_only", [True, False])
def test_a_map_location_function_is_called_by_storage(device, weights_only):
    """:func:`torch.load` calls a ``map_location`` function once per storage, with the storage and its tag.

    The tag is ``"cpu"``, or such as ``"cuda:0"``. Tensors that share memory have one storage.
    """
    table = torch.tensor([1.5, 2.5, 3.5], device=device)
    file, calls = io.BytesIO(), []
    torch.save([table, table[1:], table.clone()[:2]], file)
    file.seek(0)

    def keep(storage, tag):
        calls.append((storage.device.type, storage.nbytes(), tag))
        return storage

    loaded = torch.load(file, map_location=keep, weights_only=weights_only)

    assert calls == [("cpu", 12, "cpu" if device == "cpu" else f"{device}:0")] * 2
    assert [value.device.type for value in loaded] == ["cpu"] * 3
    assert [value.tolist() for value in loaded] == [[1.5, 2.5, 3.5], [2.5, 3.5], [1.5, 2.5]]


@pytest.mark.parametrize("weights_only", [True, False])
def test_what_a_map_location_function_returns_is_used(device, weights_only):
    """:func:`torch.load` uses the storage that a ``map_location`` function returns, or the saved device for
    ``None``.
    """
    file = io.BytesIO()
    torch.save([torch.tensor([1.5], device=device), torch.tensor([2.5, 3.5], device=device)], file)
    file.seek(0)
    mine = torch.tensor([4.5, 5.5])

    def choose(storage, tag):
        return mine.untyped_storage() if storage.nbytes() == 8 else None

    kept, replaced = torch.load(file, map_location=choose, weights_only=weights_only)

    assert kept.tolist() == [1.5]
    assert kept.device.type == device
    assert replaced.device.type == "cpu"
    assert replaced.tolist() == [4.5, 5.5]
    assert replaced.data_ptr() == mine.data_ptr()


@pytest.mark.parametrize(
    "location",
    [
        "meta",
        torch.device("meta"),
        {"cpu": "meta"},
        lambda storage, tag: torch.UntypedStorage(storage.nbytes(), device="meta"),
    ],
    ids=["text", "device", "dict", "function"],
)
@pytest.mark.parametrize("weights_only", [True, False])
def test_a_location_may_be_told_in_four_ways(location, weights_only):
    """``map_location`` of :func:`torch.load` is a string, a device, a dict such as ``{"cuda:0": "cpu"}``, or
    a function.

    All tensors go there; with a dict, those whose tag is one of its keys.
    """
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3).state_dict(), file)
    file.seek(0)

    state = torch.load(file, map_location=location, weights_only=weights_only)

    assert [(value.device.type, tuple(value.shape)) for value in state.values()] == [
        ("meta", (3, 2)),
        ("meta", (3,)),
    ]
    file.seek(0)
    kept = torch.load(file, map_location={"cuda:0": "meta"}, weights_only=weights_only)
    assert [value.device.type for value in kept.values()] == ["cpu", "cpu"]


def test_a_missing_device_is_an_error():
    """:func:`torch.load` without ``map_location`` raises ``RuntimeError`` for a tensor of a GPU that is
    missing.

    ``map_location="cpu"`` loads it.
    """
    file = io.BytesIO()
    torch.save(torch.tensor([1.5, 2.5]), file, _use_new_zipfile_serialization=False)
    renamed = file.getvalue().replace(b"X\x03\x00\x00\x00cpu", b"X\x07\x00\x00\x00cuda:99")

    with pytest.raises(RuntimeError, match=r"Attempting to deserialize object on (a )?CUDA device"):
        torch.load(io.BytesIO(renamed), weights_only=False)
    loaded = torch.load(io.BytesIO(renamed), map_location="cpu", weights_only=True)
    assert loaded.tolist() == [1.5, 2.5]


def test_a_location_is_restored():
    """``default_restore_location(storage, tag)`` returns a storage on that device: for ``"cpu"`` the same
    one.

    It never returns ``None``: for a tag that nobody knows it raises an error.
    """
    restore = torch.serialization.default_restore_location
    storage = torch.tensor([1.5, 2.5]).untyped_storage()

    assert restore(storage, "cpu") is storage
    assert restore(storage, "meta").device.type == "meta"
    assert restore(storage, "meta").nbytes() == 8
    unknown = "don't know how to restore data location of .*tagged with moon|HPU device module is not loaded"
    with pytest.raises((RuntimeError, AssertionError), match=unknown):  # the latter on torch 2.1
        restore(storage, "moon")


def test_a_location_may_be_registered(monkeypatch):
    """:func:`torch.serialization.register_package` adds a function that tags storages and one that restores.

    :func:`torch.save` calls the first, with the storage; :func:`torch.load` the second, with the tag as well.
    With a priority below 10 they come before torch's own for the CPU.
    """
    monkeypatch.setattr(torch.serialization, "_package_registry", [*torch.serialization._package_registry])
    other, calls, file, older = torch.tensor([3.5, 4.5]), [], io.BytesIO(), io.BytesIO()
    torch.save(torch.tensor([1.5, 2.5]), older)
    older.seek(0)

    def tag(storage):
        calls.append(("tag", storage.nbytes()))
        return "moon"

    def restore(storage, location):
        calls.append((location, storage.nbytes()))
        return other.untyped_storage()

    assert torch.serialization.register_package(1, tag, restore) is None
    torch.save(torch.tensor([1.5, 2.5]), file)
    assert calls == [("tag", 8)]
    file.seek(0)

    assert torch.load(file, weights_only=True).tolist() == [3.5, 4.5]
    assert torch.load(older, weights_only=True).tolist() == [3.5, 4.5]
    assert calls == [("tag", 8), ("moon", 8), ("cpu", 8)]


def test_a_tagger_overrides_no_loading(monkeypatch):
    """A tagger of :func:`torch.serialization.register_package` changes what is saved, not how it is loaded.

    To load what is tagged ``"cpu"`` in another way, register a deserializer that takes this tag.
    """
    monkeypatch.setattr(torch.serialization, "_package_registry", [*torch.serialization._package_registry])
    file, other, tagged = io.BytesIO(), torch.tensor([3.5, 4.5]), []
    torch.save(torch.tensor([1.5, 2.5]), file)

    torch.serialization.register_package(2, lambda storage: tagged.append(storage) or "cpu", lambda *_: None)
    file.seek(0)
    assert torch.load(file, weights_only=True).tolist() == [1.5, 2.5]
    assert tagged == []

    torch.serialization.register_package(3, lambda storage: None, lambda *_: other.untyped_storage())
    file.seek(0)
    assert torch.load(file, weights_only=True).tolist() == [3.5, 4.5]


def test_registered_functions_are_asked_in_order(monkeypatch):
    """Functions of ``register_package`` run by priority, lowest first, until one does not return ``None``.

    That is so for the tags in :func:`torch.save` and for the storages in :func:`torch.load`.
    """
    monkeypatch.setattr(torch.serialization, "_package_registry", [*torch.serialization._package_registry])
    calls, file = [], io.BytesIO()

    def register(priority, name, own_tag):
        def tag(storage):
            calls.append(f"{name} tags")
            return own_tag

        def restore(storage, location):
            calls.append(f"{name} restores")
            return storage if own_tag else None

        torch.serialization.register_package(priority, tag, restore)

    register(5, "third", "moon")
    register(3, "second", "mars")
    register(1, "first", None)
    torch.save(torch.tensor([1.5, 2.5]), file)
    file.seek(0)
    torch.load(file, weights_only=True)

    assert calls == ["first tags", "second tags", "first restores", "second restores"]


def test_a_priority_is_used_once(monkeypatch):
    """:func:`torch.serialization.register_package` raises ``TypeError`` for a priority that is in use, such
    as 10.

    What was given stays in the list all the same, so that every later call raises as well.
    """
    monkeypatch.setattr(torch.serialization, "_package_registry", [*torch.serialization._package_registry])

    def nothing(*given):
        return None

    torch.serialization.register_package(11, nothing, nothing)
    with pytest.raises(TypeError, match="'<' not supported between instances of 'function' and 'function'"):
        torch.serialization.register_package(10, nothing, nothing)
    with pytest.raises(TypeError, match="'<' not supported between instances of 'function' and 'function'"):
        torch.serialization.register_package(12, nothing, nothing)


def test_a_version_is_compared_by_numbers():
    """``check_module_version_greater_or_equal(m, (1, 10))`` is true if ``m.__version__`` is 1.10 or later.

    It is in :mod:`torch.serialization`. Numbers are compared as numbers, and what comes after is left out.
    """
    met = torch.serialization.check_module_version_greater_or_equal
    module = types.SimpleNamespace(__name__="moon", __version__="1.10.rc1")

    assert met(module, (1, 9)) is True
    assert met(module, (1, 10)) is True
    assert met(module, (1, 11)) is False
    assert met(module, (2, 0)) is False
    assert met(types.SimpleNamespace(__version__="2.1"), (1, 10)) is True


@pytest.mark.parametrize("version", ["1.10.rc1", "1.10", ""], ids=["a word", "too short", "empty"])
def test_a_malformed_version_is_an_error_or_met(version):
    """``check_module_version_greater_or_equal(error_if_malformed=False)`` only warns of a malformed version.

    It takes the version for new enough. By default it raises ``RuntimeError``.
    """
    met = torch.serialization.check_module_version_greater_or_equal
    module = types.SimpleNamespace(__name__="moon", __version__=version)

    with pytest.raises(RuntimeError, match=f"^'moon' module version string is malformed '{version}'"):
        met(module, (9, 0, 0))
    with pytest.warns(UserWarning, match="but continuing assuming that requirement is met"):
        assert met(module, (9, 0, 0), error_if_malformed=False) is True
