"""Whatever is typed: the command does it, or says in which way it cannot; no error is this project's own."""

from __future__ import annotations

import contextlib
import io
import pkgutil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_up_files import TEXTS

from nnspec import cli
from nnspec.clauses.chapter import read_chapter
from nnspec.clauses.clause import ClauseError
from nnspec.errors import NnspecError, UsageError
from nnspec.records.files import ensure_writable
from nnspec.records.used import read_uses
from nnspec.running import devices

CLAUSE = '''"""A chapter.

It opens the page.
"""

import pytest
from torch import nn


@pytest.mark.since("2.5")
@pytest.mark.parametrize("size", [1, 2])
def test_a(size):
    """A :class:`~torch.nn.Module` is one (:pull:`129164`)."""
    assert isinstance(nn.Linear(size, 1), nn.Module)
'''

#: Those that read files and run nothing.
DONE = ("find", "check-records", "adopt", "compare", "bench-report", "lint")

#: Those of which only the parser is asked: they run clauses, or take long.
STUBBED = ("verify", "contract", "documentation", "releases", "cost", "measure", "mutate", "strength")

OPTIONS = ("--json", "--strict", "--fresh", "--used-in", "--most", "--record", "--output", "--only", "--jobs")
OPTIONS += ("--device", "--debug", "--help", "-h", "-v", "--", "-", "--sample", "--clauses", "--pending")

NAMES = ("docs", "docs/records", "docs/records/2.4.1-cpu.json", "docs/records/2.5.1-cpu.json", "bench.json")
NAMES += ("2.4", "2.4.1", "2.4.1-cpu", "2.x", "x.json", "docs/claims.toml", "nowhere", "a" * 5000, "-1", "0")
NAMES += ("9" * 5000, "\udcff", "a\nb", "a\0b", "\u202e", "", "nan", "1e999", "%s", "*", "[", "@nothing")


def is_harmless(word: str) -> bool:
    """Whether it leads to no other folder, and asks for no run."""
    return "/" not in word and not word.startswith((".", "~")) and word != "installed"


WORDS = st.one_of(st.sampled_from(NAMES), st.sampled_from(OPTIONS), st.text(max_size=10).filter(is_harmless))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A small project with a record, a damaged record and measured times."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "spec" / "mini").mkdir(parents=True)
    (root / "docs" / "records").mkdir(parents=True)
    (root / "spec" / "mini" / "__init__.py").write_text('"""A part."""\n')
    (root / "spec" / "mini" / "test_small.py").write_text(CLAUSE)
    (root / "docs" / "records" / "2.4.1-cpu.json").write_text(TEXTS["record"])
    (root / "docs" / "records" / "2.5.1-cpu.json").write_text(TEXTS["record"][:50])
    (root / "docs" / "claims.toml").write_text(TEXTS["claims"])
    (root / "bench.json").write_text(TEXTS["measured"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield root


def ended(arguments: list[str]) -> tuple[int, str, str]:
    """How a command ends, and what it writes on either stream."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(arguments)
        except SystemExit as end:
            code = end.code
    return code, out.getvalue(), err.getvalue()


def ends_well(arguments: list[str]) -> None:
    code, out, err = ended(arguments)

    assert code in (0, 1, 2), err
    assert "Traceback" not in out + err or "--debug" in arguments
    if code == 2:
        assert err


@given(command=st.sampled_from(DONE), words=st.lists(WORDS, max_size=4))
@example(command="compare", words=["2.4.1-cpu", "2.x"])
@example(command="compare", words=["", "2.4"])
@example(command="compare", words=["a\0b.json", "2.4"])
@example(command="compare", words=["a" * 5000 + ".json", "2.4"])
@example(command="compare", words=["2.4", "2.4", "--used-in", "docs/claims.toml"])
@example(command="check-records", words=["docs", "\udcff", "a\nb", "a" * 5000])
@example(command="check-records", words=["--fresh", "docs/records"])
@example(command="adopt", words=["docs/records", "nowhere"])
@example(command="bench-report", words=["bench.json", "bench.json"])
@example(command="find", words=["\u202e", "\udcff"])
@example(command="find", words=["--most", "9" * 5000, "x"])
def test_a_command_ends_well(checkout, command, words):
    if "--api" not in words:
        ends_well([command, *words])


@given(words=st.lists(st.sampled_from((*STUBBED, *DONE)) | WORDS, max_size=6))
def test_the_parser_takes_anything(checkout, words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pkgutil, "resolve_name", lambda name: lambda options: 0)
        ends_well(words)


@given(words=st.lists(st.text(max_size=10), max_size=3))
@example(words=["cpu", "cpu"])
@example(words=["cuda:99999999999999999999"])
def test_any_word_for_a_device(words):
    with contextlib.suppress(NnspecError):
        assert set(devices.select(words)) <= set(devices.present())


@given(name=st.text(max_size=20).filter(is_harmless) | st.sampled_from(NAMES))
def test_any_name_for_a_folder(tmp_path, name):
    with contextlib.suppress(NnspecError):
        ensure_writable(tmp_path / name)


@given(data=st.data())
@example(data=None)
def test_any_python_in_a_chapter(tmp_path, data):
    content = bytearray(CLAUSE.encode())
    if data is None:
        content += b"x = " + b"(" * 10_000
    else:
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 10))] = data.draw(st.binary(max_size=10))
    path = tmp_path / "test_small.py"
    path.write_bytes(content)

    with contextlib.suppress(ClauseError):
        read_chapter(path)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(UsageError):
        read_uses(tmp_path)
