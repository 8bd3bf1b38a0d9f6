"""What is in a file of torch.save, and what else torch.load can read.

A file is a zip archive with a pickle in it and the bytes of each storage. A few settings of
:mod:`torch.serialization` change how it is written and read.
"""

import inspect
import io
import mmap
import pickle
import sys
import zipfile
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensor, FakeTensorMode


def test_a_file_is_a_zip_archive():
    """:func:`torch.save` writes a zip archive: a pickle ``data.pkl``, and the bytes of each storage."""
    weight, bias = torch.tensor([1.5, 2.5]), torch.tensor([3.5])
    file = io.BytesIO()
    torch.save({"w": weight, "part": weight[1:], "b": bias}, file)

    archive = zipfile.ZipFile(file)
    names = {name.partition("/")[2]: name for name in archive.namelist()}

    assert sorted(name for name in names if name.startswith("data")) == ["data.pkl", "data/0", "data/1"]
    assert archive.read(names["data.pkl"]).startswith(pickle.PROTO)
    assert archive.read(names["data/0"]) == weight.numpy().tobytes()
    assert archive.read(names["data/1"]) == bias.numpy().tobytes()


def test_the_old_format_is_still_read_and_written():
    """``torch.save(_use_new_zipfile_serialization=False)`` writes no zip archive; :func:`torch.load` reads
    it.
    """
    old, new = io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.tensor([1.5, 2.5])}, old, _use_new_zipfile_serialization=False)
    torch.save({"w": torch.tensor([1.5, 2.5])}, new)

    assert zipfile.is_zipfile(new)
    assert not zipfile.is_zipfile(old)
    for weights_only in (True, False):
        old.seek(0)
        assert torch.load(old, weights_only=weights_only)["w"].tolist() == [1.5, 2.5]


def test_a_newer_pickle_protocol_cannot_be_loaded_safely():
    """``torch.load(weights_only=True)`` of ``torch.save(pickle_protocol=4)`` raises ``UnpicklingError``.

    ``weights_only=False`` reads it. Keep the default, 2.
    """
    file = io.BytesIO()
    torch.save({"w": torch.tensor([1.5, 2.5])}, file, pickle_protocol=4)
    file.seek(0)

    with pytest.raises(pickle.UnpicklingError, match="Unsupported operand 149"):
        torch.load(file, weights_only=True)
    file.seek(0)
    assert torch.load(file, weights_only=False)["w"].tolist() == [1.5, 2.5]
    assert inspect.signature(torch.save).parameters["pickle_protocol"].default == 2


def test_saving_needs_write_and_flush():
    """:func:`torch.save` to an object without ``write`` or ``flush`` raises ``AttributeError``."""

    class Writer:
        written = b""

        def write(self, data):
            self.written += bytes(data)
            return len(data)

    class Flushing(Writer):
        def flush(self):
            pass

    file = Flushing()
    torch.save(torch.tensor([1.5, 2.5]), file)

    assert torch.load(io.BytesIO(file.written), weights_only=True).tolist() == [1.5, 2.5]
    with pytest.raises(AttributeError, match="flush"):
        torch.save(torch.tensor([1.5, 2.5]), Writer())
    with pytest.raises(AttributeError, match="write"):
        torch.save(torch.tensor([1.5, 2.5]), SimpleNamespace(flush=file.flush))


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_loading_needs_four_methods(zipped, weights_only):
    """:func:`torch.load` accepts an object with only ``read``, ``readline``, ``tell`` and ``seek``."""
    file = io.BytesIO()
    torch.save(torch.tensor([1.5, 2.5]), file, _use_new_zipfile_serialization=zipped)
    file.seek(0)

    class Reader:
        def __init__(self):
            self.read, self.readline, self.tell, self.seek = file.read, file.readline, file.tell, file.seek

    assert torch.load(Reader(), weights_only=weights_only).tolist() == [1.5, 2.5]


def test_readline_is_for_the_old_format():
    """:func:`torch.load` calls ``readline`` of a file object only if the file has the old format, not zip.

    Old files are those from before 1.6, or saved with ``_use_new_zipfile_serialization=False``.
    """
    old, new = io.BytesIO(), io.BytesIO()
    torch.save(torch.tensor([1.5, 2.5]), old, _use_new_zipfile_serialization=False)
    torch.save(torch.tensor([1.5, 2.5]), new)

    class Reader:
        def __init__(self, file):
            self.read, self.tell, self.seek = file.read, file.tell, file.seek
            file.seek(0)

        def readline(self):
            raise KeyError("readline")

    for weights_only in (True, False):
        assert torch.load(Reader(new), weights_only=weights_only).tolist() == [1.5, 2.5]
        with pytest.raises(KeyError, match="readline"):
            torch.load(Reader(old), weights_only=weights_only)


@pytest.mark.parametrize("weights_only", [True, False])
def test_strings_of_python_2_are_decoded(weights_only):
    """:func:`torch.load` decodes a Python 2 ``str`` by ``encoding``, by default UTF-8; with ``"bytes"`` it
    stays ``bytes``.

    ``encoding`` works with ``weights_only=True`` too, although torch since 2.11 warns that it does not.
    """
    head = [torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, {}]
    text = b"\x80\x02U\x02\xc3\xa9."
    file = b"".join(pickle.dumps(part, 2) for part in head) + text + pickle.dumps([], 2)

    loaded = torch.load(io.BytesIO(file), weights_only=weights_only)
    latin = torch.load(io.BytesIO(file), encoding="latin1", weights_only=weights_only)
    kept = torch.load(io.BytesIO(file), encoding="bytes", weights_only=weights_only)

    assert loaded == "\u00e9"
    assert latin == "\u00c3\u00a9"
    assert kept == b"\xc3\xa9"


def test_other_arguments_of_pickle_need_full_loading():
    """``torch.load(errors="ignore")`` raises ``TypeError`` with ``weights_only=True``, and works with
    ``False``.
    """
    head = [torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, {}]
    file = b"".join(pickle.dumps(part, 2) for part in head) + b"\x80\x02U\x02a\xe9." + pickle.dumps([], 2)

    assert torch.load(io.BytesIO(file), errors="ignore", weights_only=False) == "a"
    with pytest.raises(TypeError, match="unexpected keyword argument 'errors'"):
        torch.load(io.BytesIO(file), errors="ignore", weights_only=True)


def test_a_pickle_module_allows_everything(tmp_path):
    """``torch.load(pickle_module=pickle)`` loads with ``weights_only=False``: the file may run any code."""
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3), file)
    file.seek(0)
    (tmp_path / "net.pt").write_bytes(file.getvalue())

    assert type(torch.load(file, pickle_module=pickle)) is nn.Linear
    assert type(torch.load(tmp_path / "net.pt", pickle_module=pickle)) is nn.Linear


def test_a_pickle_module_saves_as_well():
    """``torch.save(pickle_module=m)`` pickles with ``m.Pickler``, and the old format's header with
    ``m.dump``.

    The numbers in tensors are not pickled. A pickler of one's own may say how it saves a class.
    """
    seen, state = [], {"w": torch.tensor([1.5, 2.5])}

    class Noting(pickle.Pickler):
        def dump(self, obj):
            seen.append(obj)
            super().dump(obj)

    noting = SimpleNamespace(__name__="noting", Pickler=Noting, dump=lambda obj, *_, **__: seen.append(obj))

    torch.save(state, io.BytesIO(), pickle_module=noting)
    assert [obj is state for obj in seen] == [True]

    seen.clear()
    torch.save(state, io.BytesIO(), pickle_module=noting, _use_new_zipfile_serialization=False)
    assert [obj is state for obj in seen] == [False, False, False, True, False]
    assert sorted(seen[2]) == ["little_endian", "protocol_version", "type_sizes"]


@pytest.mark.since("2.14")
def test_sparse_tensors_are_checked():
    """``torch.load(weights_only=True)`` raises ``RuntimeError`` for a sparse tensor with an index out of
    range.

    With ``weights_only=False`` it is loaded as it is, and to use it may read memory of others.
    """
    values = torch.tensor([1.5, 2.5])
    coo = torch.sparse_coo_tensor([[0, 99]], values, (3,), check_invariants=False)
    csr = torch.sparse_csr_tensor([0, 2], [0, 99], values, (1, 3), check_invariants=False)

    for tensor, error in ((coo, "size is 3 but found index 99"), (csr, "0 <= col_indices < ncols")):
        file = io.BytesIO()
        torch.save(tensor, file)
        file.seek(0)
        with pytest.warns(UserWarning, match="Validating sparse"), pytest.raises(RuntimeError, match=error):
            torch.load(file, weights_only=True)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        assert (loaded.layout, loaded._nnz()) == (tensor.layout, 2)


@pytest.mark.since("2.1")
def test_the_order_of_bytes_is_little_by_default():
    """``get_default_load_endianness()`` is ``None`` by default: files without a byte order are little-endian.

    They are of torch 2.0 and older. ``set_default_load_endianness`` tells what else they are.
    """
    serialization = torch.serialization
    file, bare = io.BytesIO(), io.BytesIO()
    torch.save(torch.tensor([1], dtype=torch.int32), file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(bare, "w") as new:
        for name in old.namelist():
            if not name.endswith("byteorder"):
                new.writestr(name, old.read(name))

    assert sys.byteorder == "little"
    assert serialization.get_default_load_endianness() is None
    loaded = {}
    for order in (None, *serialization.LoadEndianness):
        serialization.set_default_load_endianness(order)
        assert serialization.get_default_load_endianness() is order
        bare.seek(0)
        file.seek(0)
        loaded[order and order.name] = torch.load(bare, weights_only=True).item()
        assert torch.load(file, weights_only=True).item() == 1
        serialization.set_default_load_endianness(None)

    assert loaded == {None: 1, "NATIVE": 1, "LITTLE": 1, "BIG": 1 << 24}


@pytest.mark.since("2.6")
def test_checksums_may_be_left_out(tmp_path):
    """After ``set_crc32_options(False)``, ``torch.save`` writes no CRC-32; ``torch.load`` reads the file.

    Other programs take it for damaged: Python's ``zipfile`` raises ``BadZipFile``.
    """
    assert torch.serialization.get_crc32_options() is True
    file, buffer, path = io.BytesIO(), io.BytesIO(), tmp_path / "w.pt"
    torch.save(torch.tensor([1.5, 2.5]), file)
    torch.serialization.set_crc32_options(False)
    off = torch.serialization.get_crc32_options()
    torch.save(torch.tensor([1.5, 2.5]), buffer)
    torch.save(torch.tensor([1.5, 2.5]), path)
    torch.serialization.set_crc32_options(True)

    assert off is False
    assert all(record.CRC for record in zipfile.ZipFile(file).infolist() if record.file_size)
    for bare in (buffer, io.BytesIO(path.read_bytes())):
        assert not any(record.CRC for record in zipfile.ZipFile(bare).infolist())
        with pytest.raises(zipfile.BadZipFile, match="Bad CRC-32"):
            zipfile.ZipFile(bare).read(zipfile.ZipFile(bare).namelist()[0])
        bare.seek(0)
        assert torch.load(bare, weights_only=True).tolist() == [1.5, 2.5]


@pytest.mark.since("2.5")
def test_flags_of_mapping_may_be_set(tmp_path):
    """With ``set_default_mmap_options(MAP_SHARED)``, ``torch.load(mmap=True)`` tensors write to the file.

    The default is ``mmap.MAP_PRIVATE``. As a context manager it is undone at the end.
    """
    serialization = torch.serialization
    torch.save(torch.tensor([1.5, 2.5]), tmp_path / "w.pt")
    assert serialization.get_default_mmap_options() == mmap.MAP_PRIVATE

    with serialization.set_default_mmap_options(mmap.MAP_SHARED):
        assert serialization.get_default_mmap_options() == mmap.MAP_SHARED
        torch.load(str(tmp_path / "w.pt"), mmap=True, weights_only=True).fill_(7.5)
    assert serialization.get_default_mmap_options() == mmap.MAP_PRIVATE
    assert torch.load(tmp_path / "w.pt", weights_only=True).tolist() == [7.5, 7.5]

    serialization.set_default_mmap_options(mmap.MAP_SHARED)
    kept = serialization.get_default_mmap_options()
    serialization.set_default_mmap_options(mmap.MAP_PRIVATE)
    assert kept == mmap.MAP_SHARED


@pytest.mark.since("2.4")
@pytest.mark.parametrize(
    "flags", [0, mmap.MAP_PRIVATE | mmap.MAP_SHARED, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS]
)
def test_other_flags_of_mapping_are_refused(flags):
    """``set_default_mmap_options`` raises ``ValueError`` except for ``MAP_PRIVATE`` and ``MAP_SHARED``."""
    with pytest.raises(ValueError, match=r"expected mmap\.MAP_PRIVATE or mmap\.MAP_SHARED, but got"):
        torch.serialization.set_default_mmap_options(flags)

    assert torch.serialization.get_default_mmap_options() == mmap.MAP_PRIVATE


@pytest.mark.since("2.5")
def test_values_may_be_filled_in_later(tmp_path):
    """Inside ``skip_data()``, :func:`torch.save` reserves space for a tensor without writing it: it loads as
    zeros.

    ``get_record_offset`` of a reader tells where its bytes can be filled in later.
    """
    path, weight = tmp_path / "w.pt", torch.tensor([1.5, 2.5])
    with torch.serialization.skip_data():
        torch.save({"w": weight}, path)
    assert torch.load(path, weights_only=True)["w"].tolist() == [0.0, 0.0]

    with path.open("r+b") as file:
        file.seek(torch._C.PyTorchFileReader(str(path)).get_record_offset("data/0"))
        file.write(weight.numpy().tobytes())
    assert torch.load(path, weights_only=True)["w"].tolist() == [1.5, 2.5]


@pytest.mark.since("2.7")
def test_values_may_be_left_in_the_file():
    """Inside ``skip_data()``, :func:`torch.load` makes tensors of the saved shape and dtype without their
    values.

    Their memory is not initialized: anything may be in it.
    """
    file, bare = io.BytesIO(), io.BytesIO()
    torch.save(torch.rand(3, 2, dtype=torch.float64), file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(bare, "w") as new:
        for name in old.namelist():
            if not name.endswith("data/0"):
                new.writestr(name, old.read(name))
    bare.seek(0)

    with torch.serialization.skip_data():
        loaded = torch.load(bare, weights_only=True)
    bare.seek(0)

    assert loaded.shape == (3, 2)
    assert loaded.dtype == torch.float64
    assert loaded.device.type == "cpu"
    with pytest.raises(RuntimeError, match="failed locating file data/0"):
        torch.load(bare, weights_only=True)


@pytest.mark.since("2.5")
def test_fake_tensors_are_saved_on_request():
    """Inside ``skip_data(materialize_fake_tensors=True)``, :func:`torch.save` saves a ``FakeTensor``.

    By default it cannot be pickled; type and words of that error are Python's. It is loaded as a plain
    tensor, whose values may be filled in later.
    """
    with FakeTensorMode():
        weight = torch.rand(3, 2, dtype=torch.float64)
    file = io.BytesIO()

    not_pickled = pytest.raises((AttributeError, pickle.PicklingError), match=r"Can't .* local object")
    with torch.serialization.skip_data(), not_pickled:
        torch.save(weight, io.BytesIO())
    with torch.serialization.skip_data(materialize_fake_tensors=True):
        torch.save(weight, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)

    assert type(weight) is FakeTensor
    assert type(loaded) is torch.Tensor
    assert loaded.dtype == torch.float64
    assert loaded.tolist() == [[0.0, 0.0]] * 3


@pytest.mark.since("2.7")
@pytest.mark.parametrize("asked", [False, True])
def test_fake_tensors_are_loaded_all_the_same(asked):
    """``skip_data(materialize_fake_tensors=True)`` changes nothing in :func:`torch.load`.

    Under a ``FakeTensorMode`` it still makes a ``FakeTensor``, and else a plain tensor.
    """
    file = io.BytesIO()
    torch.save(torch.rand(3, 2), file)
    file.seek(0)
    with torch.serialization.skip_data(materialize_fake_tensors=asked):
        real = torch.load(file, weights_only=True)
        file.seek(0)
        with FakeTensorMode():
            fake = torch.load(file, weights_only=True)

    assert [type(real), real.shape] == [torch.Tensor, (3, 2)]
    assert [type(fake), fake.shape] == [FakeTensor, (3, 2)]


@pytest.mark.since("2.4")
def test_flags_of_mapping_are_refused_on_windows(monkeypatch):
    """On Windows, :class:`~torch.serialization.set_default_mmap_options` raises ``RuntimeError``."""
    monkeypatch.setattr(torch.serialization, "IS_WINDOWS", True)
    with pytest.raises(RuntimeError, match="default mmap options is currently not supported for Windows"):
        torch.serialization.set_default_mmap_options(2)
