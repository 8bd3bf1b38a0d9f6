"""State dicts in files, by :func:`torch.save` and :func:`torch.load`.

The usual checkpoint is a dict with the state dict in it. What may be loaded safely is in *weights_only*.
"""

import copy
import io
import pickle
import struct

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("weights_only", [True, False])
def test_a_state_dict_comes_back_as_it_was(weights_only, tmp_path):
    """:func:`torch.load` returns a saved state dict with the same type, keys, order and values.

    Save ``model.state_dict()`` rather than the model: it can be read without the code of the class, and with
    ``weights_only=True``.
    """
    state = nn.BatchNorm1d(3).state_dict()
    state["running_mean"].copy_(torch.tensor([1.5, 2.5, 3.5]))
    torch.save(state, tmp_path / "norm.pt")

    loaded = torch.load(tmp_path / "norm.pt", weights_only=weights_only)

    assert type(loaded) is type(state)
    assert list(loaded) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [value.tolist() for value in loaded.values()] == [value.tolist() for value in state.values()]
    assert [value.dtype for value in loaded.values()] == [torch.float32] * 4 + [torch.int64]


@pytest.mark.parametrize("weights_only", [True, False])
def test_metadata_come_back(weights_only):
    """:func:`torch.save` and :func:`torch.load` keep the ``_metadata`` of a state dict."""
    state = nn.Sequential(nn.BatchNorm1d(3)).state_dict()
    alone, checkpoint = io.BytesIO(), io.BytesIO()
    torch.save(state, alone)
    torch.save({"epoch": 7, "model": state}, checkpoint)
    alone.seek(0)
    checkpoint.seek(0)

    loaded = torch.load(alone, weights_only=weights_only)
    part = torch.load(checkpoint, weights_only=weights_only)["model"]

    assert loaded._metadata == part._metadata == {"": {"version": 1}, "0": {"version": 2}}


def test_a_file_may_be_an_open_buffer(tmp_path):
    """:func:`torch.save` and :func:`torch.load` accept a path, an open binary file or an ``io.BytesIO``."""
    path, buffer = tmp_path / "w.pt", io.BytesIO()
    torch.save(torch.tensor([1.5, 2.5]), str(path))
    torch.save(torch.tensor([3.5, 4.5]), buffer)
    buffer.seek(0)

    assert torch.load(path, weights_only=True).tolist() == [1.5, 2.5]
    assert torch.load(buffer, weights_only=True).tolist() == [3.5, 4.5]
    with path.open("wb") as file:
        torch.save(torch.tensor([5.5, 6.5]), file)
    with path.open("rb") as file:
        assert torch.load(file, weights_only=True).tolist() == [5.5, 6.5]
    torch.save(torch.tensor([7.5, 8.5]), path)
    assert torch.load(str(path), weights_only=True).tolist() == [7.5, 8.5]


def test_a_checkpoint_may_hold_more(tmp_path):
    """:func:`torch.save` accepts a checkpoint dict of state dicts, numbers, strings and nested dicts.

    A checkpoint from which training goes on holds the optimizer's state and the epoch as well. It loads with
    ``weights_only=True`` as long as it holds tensors and plain data.
    """
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

    assert list(loaded) == ["epoch", "note", "model", "optimizer"]
    assert loaded["epoch"] == 7
    assert loaded["note"] == "best"
    assert loaded["model"]["weight"].item() == 1.75
    assert loaded["optimizer"]["state"][0]["momentum_buffer"].item() == -2.0


@pytest.mark.parametrize(("keep_vars", "kind"), [(False, torch.Tensor), (True, nn.Parameter)])
def test_loaded_tensors_are_of_the_type_saved(keep_vars, kind):
    """:func:`torch.load` of a ``state_dict()`` returns tensors, or parameters if saved with
    ``keep_vars=True``.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.PReLU().requires_grad_(False)))
    file = io.BytesIO()
    torch.save(net.state_dict(keep_vars=keep_vars), file)

    for weights_only in (True, False):
        file.seek(0)
        state = torch.load(file, weights_only=weights_only)

        assert [type(value) for value in state.values()] == [kind] * 3
        assert [value.requires_grad for value in state.values()] == [keep_vars, keep_vars, False]


def test_a_file_is_a_snapshot(tmp_path):
    """A file saved by :func:`torch.save` does not change with the module, unlike a state dict in memory."""
    layer = nn.BatchNorm1d(1)
    kept = layer.state_dict()
    torch.save(kept, tmp_path / "layer.pt")

    nn.init.constant_(layer.weight, 0.5)
    layer.running_mean += 7.0

    loaded = torch.load(tmp_path / "layer.pt", weights_only=True)
    assert [loaded[name].item() for name in ("weight", "running_mean")] == [1.0, 0.0]
    assert [kept[name].item() for name in ("weight", "running_mean")] == [0.5, 7.0]


def test_views_share_memory_again():
    """Tensors that share memory when saved share memory again after :func:`torch.load`, views included.

    All have to be of one dtype: beside a view of another, :func:`torch.save` raises ``RuntimeError``.
    """
    table = torch.arange(6.0)
    file = io.BytesIO()
    torch.save({"all": table, "turned": table.view(2, 3).T, "tail": table[4:], "copy": table.clone()}, file)

    for weights_only in (True, False):
        file.seek(0)
        loaded = torch.load(file, weights_only=weights_only)
        loaded["tail"].fill_(9.0)

        assert loaded["all"].tolist() == [0.0, 1.0, 2.0, 3.0, 9.0, 9.0]
        assert loaded["turned"].tolist() == [[0.0, 3.0], [1.0, 9.0], [2.0, 9.0]]
        assert loaded["copy"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        torch.save({"all": table, "bits": table.view(torch.int32)}, io.BytesIO())


@pytest.mark.parametrize(
    "cut",
    [lambda table: table[:1], lambda table: table[:, :1], lambda table: nn.Parameter(table[1:])],
    ids=["rows", "columns", "a parameter"],
)
def test_a_view_brings_its_whole_memory(cut):
    """:func:`torch.save` of a slice saves the whole storage; saving its ``clone()`` saves the slice only.

    A slice of a large table makes a large file: save ``part.clone()``.
    """
    part = cut(torch.arange(100.0).view(2, 50))
    whole, alone = io.BytesIO(), io.BytesIO()
    torch.save(part, whole)
    torch.save(part.clone(), alone)
    whole.seek(0)
    alone.seek(0)

    assert torch.load(whole, weights_only=True).untyped_storage().nbytes() == 100 * 4
    assert torch.load(alone, weights_only=True).untyped_storage().nbytes() == part.numel() * 4


@pytest.mark.parametrize(
    ("change", "size"),
    [
        pytest.param(lambda part: part.cpu(), 400, id="cpu"),
        pytest.param(lambda part: part.contiguous(), 400, id="contiguous"),
        pytest.param(lambda part: part.detach(), 400, id="detach"),
        pytest.param(lambda part: nn.Parameter(part), 400, id="Parameter"),
        pytest.param(lambda part: copy.deepcopy(part), 400, id="deepcopy of a tensor"),
        pytest.param(lambda part: part.to("meta"), 8, id="another device"),
        pytest.param(lambda part: part.int(), 8, id="another dtype"),
        pytest.param(lambda part: part.clone(), 8, id="clone"),
        pytest.param(lambda part: copy.deepcopy(nn.Parameter(part)), 8, id="deepcopy of a parameter"),
    ],
)
def test_what_frees_a_view_of_its_memory(change, size):
    """A slice of rows keeps the whole storage until ``clone()`` or ``to()`` another device or dtype.

    So ``cpu()`` makes the file of a state dict smaller only if its tensors are slices on a GPU. A slice of
    columns is copied by ``contiguous()`` as well.
    ``copy.deepcopy`` clones a parameter, but copies a tensor with all of its memory (:issue:`128219`). See
    :func:`torch.save`.

    See also :ref:`state.files.a_view_brings_its_whole_memory`
    """
    part, column = torch.arange(100.0)[:2], torch.arange(100.0).view(2, 50)[:, :1]

    assert part.untyped_storage().nbytes() == column.untyped_storage().nbytes() == 400
    assert change(part).untyped_storage().nbytes() == size
    assert column.contiguous().untyped_storage().nbytes() == 8


def test_tensors_come_back_to_their_device(device):
    """:func:`torch.load` puts tensors on the device they were saved from, or on that of ``map_location``.

    Without ``map_location="cpu"`` what was saved on a GPU cannot be loaded where there is none.
    """
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3, device=device).state_dict(), file)
    file.seek(0)
    with torch.device("meta"):
        kept = torch.load(file, weights_only=True)
    file.seek(0)
    mapped = torch.load(file, map_location="meta", weights_only=True)

    assert [value.device.type for value in kept.values()] == [device, device]
    assert [value.device.type for value in mapped.values()] == ["meta", "meta"]


def test_a_checkpoint_may_be_loaded_without_its_values():
    """``torch.load(map_location="meta")`` loads names, shapes and dtypes without values."""
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
    """``torch.load(mmap=True)`` reads values from the file lazily; changing a tensor does not change the
    file.

    The file has to stay as it is meanwhile: whoever overwrites it changes the tensors.
    """
    path = tmp_path / "w.pt"
    torch.save({"w": torch.tensor([1.5, 2.5])}, path)
    ours, theirs = struct.pack("2f", 1.5, 2.5), struct.pack("2f", 3.5, 4.5)

    mapped = torch.load(str(path), mmap=True, weights_only=True)["w"]
    with path.open("r+b") as file:
        place = file.read().index(ours)
        file.seek(place)
        file.write(theirs)
    assert mapped.tolist() == [3.5, 4.5]

    mapped.fill_(9.0)
    assert mapped.tolist() == [9.0, 9.0]
    assert path.read_bytes()[place : place + 8] == theirs


@pytest.mark.since("2.1")
def test_mapping_needs_a_path(tmp_path):
    """``torch.load(mmap=True)`` needs a path: a file object such as ``io.BytesIO`` raises ``ValueError``."""
    path = tmp_path / "w.pt"
    torch.save({"w": torch.tensor([1.5, 2.5])}, path)

    with path.open("rb") as file:
        for given in (io.BytesIO(path.read_bytes()), file):
            with pytest.raises(ValueError, match=r"^f must be a .* in order to use (the )?mmap argument"):
                torch.load(given, mmap=True, weights_only=True)

    assert torch.load(str(path), mmap=True, weights_only=True)["w"].tolist() == [1.5, 2.5]


def test_a_whole_module_may_be_saved():
    """:func:`torch.save` can pickle a whole module; :func:`torch.load(weights_only=False) <torch.load>`
    imports its class.

    The file breaks when that code moves or changes, which a state dict does not. ``weights_only=False`` may
    run any code from the file.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.3)).eval()
    file = io.BytesIO()
    torch.save(net, file)

    assert b"torch.nn.modules.linear" in file.getvalue()
    file.seek(0)
    loaded = torch.load(file, weights_only=False)

    assert repr(loaded) == repr(net)
    assert type(loaded[0].weight) is nn.Parameter
    assert loaded.training is False
    assert torch.equal(loaded[0].weight, net[0].weight)


def test_a_module_of_a_local_class_cannot_be_saved():
    """:func:`torch.save` of a module of a local class raises ``PicklingError`` or ``AttributeError``.

    Move the class to the top of a file, or save the state dict.
    """

    def made_inside():
        class Net(nn.Linear):
            pass

        return Net(2, 3)

    with pytest.raises((AttributeError, pickle.PicklingError), match=r"<locals>\.Net"):
        torch.save(made_inside(), io.BytesIO())
    torch.save(made_inside().state_dict(), io.BytesIO())


@pytest.mark.parametrize(
    ("text", "number"),
    [("version https://git-lfs.github.com/spec/v1\noid sha256:2c26\nsize 3\n", 118), ("<!DOCTYPE html>", 60)],
    ids=["git lfs", "html"],
)
def test_a_text_is_no_checkpoint(text, number, tmp_path):
    """:func:`torch.load` raises ``UnpicklingError`` for a Git LFS pointer file or a web page saved as a
    checkpoint.

    The message is ``Unsupported operand 118`` or ``60``, the number of the first letter: the "v" of
    ``version`` or the "<" of ``<html>``. Download the file itself. With ``weights_only=False`` it is
    ``invalid load key``. Other texts may raise other errors: many a letter is an instruction of pickle.
    """
    path, file = tmp_path / "w.pt", io.BytesIO(text.encode())
    path.write_text(text)

    for given in (path, file):
        with pytest.raises(pickle.UnpicklingError, match=f"Unsupported operand {number}"):
            torch.load(given, weights_only=True)
        file.seek(0)
        with pytest.raises(pickle.UnpicklingError, match=f"invalid load key, '{text[0]}'"):
            torch.load(given, weights_only=False)


@pytest.mark.parametrize(
    ("length", "by_path", "from_buffer"),
    [(100, RuntimeError, RuntimeError), (10_000, OSError, ValueError), (-1, RuntimeError, RuntimeError)],
    ids=["a little", "10 KB", "all but the end"],
)
@pytest.mark.parametrize("weights_only", [True, False])
def test_a_file_cut_short_is_refused(length, by_path, from_buffer, weights_only, tmp_path):
    """:func:`torch.load` of a file that was cut short raises ``RuntimeError``, ``OSError`` or ``ValueError``.

    So it is after a download that was broken off, or a disk that was full: the zip archive is incomplete. If
    4 to 64 KB are left, it is "[Errno 22] Invalid argument" by a path, "negative seek value" from a buffer. A
    file without a byte raises ``EOFError``.
    """
    path, file = tmp_path / "w.pt", io.BytesIO()
    torch.save({"w": torch.rand(20_000)}, file)
    whole = file.getvalue()
    path.write_bytes(whole[:length])
    message = "failed finding central directory|Invalid argument|negative seek value"

    with pytest.raises(by_path, match=message):
        torch.load(path, weights_only=weights_only)
    with pytest.raises(from_buffer, match=message):
        torch.load(io.BytesIO(whole[:length]), weights_only=weights_only)
    with pytest.raises(EOFError, match=r"^(Ran out of input)?$"):
        torch.load(io.BytesIO(), weights_only=weights_only)
    assert torch.load(io.BytesIO(whole), weights_only=weights_only)["w"].shape == (20_000,)


def test_a_pickle_module_need_not_be_given_again():
    """``torch.load`` reads tensors without the ``pickle_module`` that they were saved with.

    It needs one only for objects that this module alone can restore.
    """
    file, picklers = io.BytesIO(), []

    class Pickler(pickle.Pickler):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            picklers.append(type(self))

    class Module:
        dump, dumps, load, loads = pickle.dump, pickle.dumps, pickle.load, pickle.loads

    Module.Pickler = Pickler
    torch.save({"w": torch.tensor([3.5])}, file, pickle_module=Module)
    assert issubclass(picklers[0], Pickler)

    for options in ({"weights_only": True}, {"weights_only": False}):
        file.seek(0)
        assert torch.load(file, **options)["w"].tolist() == [3.5]
