"""Whatever a file holds: it is read, or refused in one line that begins with its name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_up_files import DAMAGES, FILES, READERS, TABLES, TEXTS, VALUES, read, replaced, toml_texts

from nnspec import decoding
from nnspec.errors import NnspecError

readers = pytest.mark.parametrize("name", TEXTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzing")


def is_read_or_refused(name: str, content: bytes, folder: Path) -> None:
    refusal = read(name, content, folder)
    if refusal:
        assert refusal.startswith(str(folder)), refusal
        assert len(refusal.splitlines()) == 1, refusal
        assert len(refusal) < 2000, refusal


@readers
def test_a_file_as_it_has_to_be_is_read(folder, name):
    assert read(name, TEXTS[name].encode(), folder) == ""


@readers
@given(content=st.binary(max_size=200))
@example(content=b"")
@example(content=b"\xff\xfe[\x00x\x00]\x00")
@example(content=b"\xef\xbb\xbf{}")
@example(content=b"[" * 100_000)
@example(content=b'{"a":' * 100_000)
@example(content=b"a = " + b"[" * 100_000)
@example(content=b"a = " + b"{b=" * 100_000)
@example(content=b"1" * 10_000)
@example(content=b'{"schema": ' + b"1" * 10_000 + b"}")
@example(content=b"a = " + b"1" * 10_000)
@example(content=b"null")
@example(content=b'{"schema": true}')
@example(content=b'{"schema": 2, "run": "\\ud800"}')
@example(content=b'{"schema": 1, "run": "\\ud800"}')
@example(content=b'["torch.nn.Linear".0123456789]\nverdict = "' + b"9" * 5000 + b'"')
@example(content=b'["' + b"9" * 5000 + b'".0123456789]\n')
@example(content=b'["torch.nn.Linear"."' + b"9" * 5000 + b'"]\n')
@example(content=b'{"schema": 2.0}')
@example(content=b"[project]\nurls = 3")
@example(content=b"project = 3")
@example(content=b"a\0b = 1")
def test_any_bytes(folder, name, content):
    is_read_or_refused(name, content, folder)


@readers
@given(data=st.data())
def test_a_file_in_which_something_was_overwritten(folder, name, data):
    content = bytearray(TEXTS[name].encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 30))] = data.draw(DAMAGES)
    is_read_or_refused(name, bytes(content), folder)


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if text.startswith("{")])
@given(data=st.data())
def test_a_table_with_another_value_at_some_place(folder, name, data):
    table = replaced(json.loads(TEXTS[name]), data)
    is_read_or_refused(name, json.dumps(table).encode(), folder)


VERSIONS = ("banana", "2.x", None, "", "2", "../2.4", "2.4.1\n", "9" * 5000, "1!2.4.1", 2.4, [], {}, True)
NUMBERS = ("1", None, [], [1], {}, True, -1, 0, 10**400, 1e400, float("nan"), 1e-320)
WORDS = ("x/../../y", "../../y", "", "a\nb", "a\0b", "\ud800", "\u202eabc", "a" * 5000, None, 3, ["cuda"])


@pytest.mark.parametrize("version", VERSIONS, ids=repr)
@pytest.mark.parametrize("name", ["record", "times", "measured", "strength", "assertions"])
def test_a_version_that_is_none(folder, name, version):
    table = json.loads(TEXTS[name])
    table["machine_info" if name == "measured" else "run"]["torch"] = version

    assert "torch is " in read(name, json.dumps(table).encode(), folder)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{number!r:.20}")
@pytest.mark.parametrize("name", ["times", "measured"])
def test_a_number_that_is_none(folder, name, number):
    table = json.loads(TEXTS[name])
    row = table["benchmarks"]["calling.x"] if name == "times" else table["benchmarks"][0]["stats"]
    row["median"] = number

    assert "median is " in read(name, json.dumps(table).encode(), folder)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: f"{word!r:.20}")
@pytest.mark.parametrize("name", ["record", "times", "measured", "strength", "assertions"])
def test_no_device_becomes_a_path(folder, name, word):
    table = json.loads(TEXTS[name])
    if name == "record":
        table["run"]["devices"] = ["cpu", word]
    elif name == "measured":
        table["benchmarks"][0]["extra_info"]["device"] = word
    elif name == "times":
        table["benchmarks"]["calling.x"]["device"] = word
    else:
        table["run"]["device"] = word

    assert "device" in read(name, json.dumps(table).encode(), folder)


def test_a_size_that_occurs_four_times(folder):
    table = json.loads(TEXTS["measured"])
    row = table["benchmarks"][0]
    table["benchmarks"] = [{**row, "fullname": f"bench_a.py::bench_{word}"} for word in "wxyz"]

    assert "a.x: times the same as a.w" in read("measured", json.dumps(table).encode(), folder)


@pytest.mark.parametrize("name", TABLES)
@given(text=toml_texts(VALUES))
def test_any_table(folder, name, text):
    is_read_or_refused(name, text.encode("utf-8", "surrogatepass"), folder)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", ["missing", "a folder", "no ordinary file", "too large", "too long a name"])
def test_what_is_no_file_to_read(tmp_path, monkeypatch, name, kind):
    path = tmp_path / FILES[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "missing":
        wanted = "no such file"
        if name in TABLES:
            pytest.skip("a table that is not there is empty")
    elif kind == "a folder":
        path.mkdir()
        wanted = "folder|directory"
    elif kind == "no ordinary file":
        os.mkfifo(path)
        wanted = "no ordinary file"
    elif kind == "too large":
        monkeypatch.setattr(decoding, "LARGEST", 10)
        path.write_text(TEXTS[name])
        wanted = "larger than"
    else:
        path = tmp_path / ("a" * 5000)
        wanted = "too long"
        if name == "verdicts":
            pytest.skip("it is read with its folder")
    with pytest.raises(NnspecError, match=wanted):
        READERS[name](path)
