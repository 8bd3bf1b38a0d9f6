"""State dicts in files, by :func:`torch.save` and :func:`torch.load`.

The usual checkpoint is a dict with the state dict in it. What may be loaded safely is in *weights_only*.
"""

import io
import pickle

import pytest
import torch
from torch import nn


def test_a_state_dict_comes_back_as_it_was(tmp_path):
    """A state dict comes back from a file with its type, its order and its values."""
    state = nn.BatchNorm1d(3).state_dict()
    torch.save(state, tmp_path / "norm.pt")

    loaded = torch.load(tmp_path / "norm.pt", weights_only=True)

    assert type(loaded) is type(state)
    assert list(loaded) == list(state)
    assert [torch.equal(loaded[key], state[key]) for key in state] == [True] * 5
    assert [value.dtype for value in loaded.values()] == [torch.float32] * 4 + [torch.int64]


@pytest.mark.observed
def test_metadata_come_back():
    """The metadata of a state dict come back from a file."""
    file = io.BytesIO()
    torch.save(nn.Sequential(nn.BatchNorm1d(3)).state_dict(), file)
    file.seek(0)

    loaded = torch.load(file, weights_only=True)

    assert loaded._metadata == {"": {"version": 1}, "0": {"version": 2}}


def test_a_file_may_be_an_open_buffer():
    """:func:`torch.save` and :func:`torch.load` take a path, an open binary file or a buffer."""
    file = io.BytesIO()
    torch.save({"w": torch.tensor([1.5, 2.5])}, file)
    file.seek(0)

    assert torch.load(file, weights_only=True)["w"].tolist() == [1.5, 2.5]


def test_a_checkpoint_may_hold_more(tmp_path):
    """A checkpoint may hold numbers, texts and nested dicts beside the state dict."""
    layer = nn.PReLU(init=0.75)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9)
    layer(torch.tensor([[-2.0]])).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 7,
        "note": "best",
        "model": layer.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(checkpoint, tmp_path / "last.pt")

    loaded = torch.load(tmp_path / "last.pt", weights_only=True)

    assert (loaded["epoch"], loaded["note"], loaded["model"]["weight"].item()) == (7, "best", 1.75)
    assert loaded["optimizer"]["state"][0]["momentum_buffer"].item() == -2.0


@pytest.mark.parametrize(("keep_vars", "kind"), [(False, torch.Tensor), (True, nn.Parameter)])
def test_loaded_tensors_are_of_the_type_saved(keep_vars, kind):
    """A loaded state dict holds plain tensors; one saved with ``keep_vars=True`` holds parameters."""
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3).state_dict(keep_vars=keep_vars), file)
    file.seek(0)

    weight = torch.load(file, weights_only=True)["weight"]

    assert (type(weight), weight.requires_grad) == (kind, keep_vars)


def test_a_file_is_a_snapshot(tmp_path):
    """A saved state dict does not follow the module, unlike one that is kept in memory."""
    layer = nn.PReLU(init=0.75)
    torch.save(layer.state_dict(), tmp_path / "layer.pt")

    nn.init.constant_(layer.weight, 0.5)

    assert torch.load(tmp_path / "layer.pt", weights_only=True)["weight"].item() == 0.75


def test_views_share_memory_again():
    """Tensors that share memory when saved share it when loaded, also where one is a part of another."""
    table = torch.arange(6.0)
    file = io.BytesIO()
    torch.save({"all": table, "tail": table[4:]}, file)
    file.seek(0)

    loaded = torch.load(file, weights_only=True)
    loaded["tail"].fill_(9.0)

    assert loaded["all"].tolist() == [0.0, 1.0, 2.0, 3.0, 9.0, 9.0]


@pytest.mark.parametrize(("clone", "size"), [(False, 400), (True, 8)], ids=["view", "clone"])
def test_a_view_brings_its_whole_memory(clone, size):
    """Saving a part of a tensor saves all the memory it is part of; a clone saves the part alone."""
    part = torch.arange(100.0)[:2]
    file = io.BytesIO()
    torch.save(part.clone() if clone else part, file)
    file.seek(0)

    assert torch.load(file, weights_only=True).untyped_storage().nbytes() == size


def test_tensors_come_back_to_their_device(device):
    """Tensors come back to the device they were saved from, and with ``map_location`` to that one."""
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3, device=device).state_dict(), file)
    file.seek(0)
    kept = torch.load(file, weights_only=True)
    file.seek(0)
    mapped = torch.load(file, map_location="cpu", weights_only=True)

    assert [value.device.type for value in kept.values()] == [device] * 2
    assert [value.device.type for value in mapped.values()] == ["cpu"] * 2


def test_a_checkpoint_may_be_loaded_without_its_values():
    """With ``map_location="meta"`` names, shapes and dtypes are loaded, and no values."""
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3, dtype=torch.float64).state_dict(), file)
    file.seek(0)

    state = torch.load(file, map_location="meta", weights_only=True)

    assert {key: (value.device.type, tuple(value.shape), value.dtype) for key, value in state.items()} == {
        "weight": ("meta", (3, 2), torch.float64),
        "bias": ("meta", (3,), torch.float64),
    }


@pytest.mark.since("2.1")
def test_a_file_may_be_mapped(tmp_path):
    """With ``mmap=True`` tensors are read from the file when used; writing to them leaves it as it was."""
    path = str(tmp_path / "w.pt")
    torch.save({"w": torch.tensor([1.5, 2.5])}, path)

    mapped = torch.load(path, mmap=True, weights_only=True)
    mapped["w"].fill_(9.0)

    assert mapped["w"].tolist() == [9.0, 9.0]
    assert torch.load(path, weights_only=True)["w"].tolist() == [1.5, 2.5]


@pytest.mark.since("2.1")
def test_mapping_needs_a_path():
    """With ``mmap=True`` a path is needed: an open file or a buffer raises ``ValueError``."""
    file = io.BytesIO()
    torch.save({"w": torch.tensor([1.5, 2.5])}, file)
    file.seek(0)

    with pytest.raises(ValueError, match=r"^f must be a .* in order to use (the )?mmap argument"):
        torch.load(file, mmap=True, weights_only=True)


def test_a_whole_module_may_be_saved():
    """A whole module may be saved; it is pickled, and its classes are imported when it is loaded.

    The file breaks when that code moves or changes, which a state dict does not.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.3)).eval()
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)

    loaded = torch.load(file, weights_only=False)

    assert repr(loaded) == repr(net)
    assert (type(loaded[0].weight), loaded.training) == (nn.Parameter, False)
    assert torch.equal(loaded[0].weight, net[0].weight)


def test_a_module_of_a_local_class_cannot_be_saved():
    """A module whose class cannot be imported, such as a local one, cannot be saved whole."""

    def make():
        class Net(nn.Linear):
            pass

        return Net(2, 3)

    with pytest.raises((AttributeError, pickle.PicklingError), match=r"<locals>\.Net"):
        torch.save(make(), io.BytesIO())
