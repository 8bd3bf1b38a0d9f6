"""The messages of torch are kept, or it is said that they are not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nnspec.cli import main
from nnspec.errors import FileError
from nnspec.search import messages

ROOT = Path(__file__).resolve().parents[2]

CLAUSE = """
import pytest

def test_division():
    with pytest.raises(ZeroDivisionError):
        1 / 0
"""


def listen(folder: Path, file: Path) -> subprocess.CompletedProcess[str]:
    """Run a clause and keep its messages in a file."""
    (folder / "test_errors.py").write_text(CLAUSE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "nnspec.search.messages", f"--messages={file}"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "-c", "/dev/null", str(folder / "test_errors.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_a_clause_expects_is_kept(tmp_path):
    ended = listen(tmp_path, tmp_path / "messages.json")

    kept = messages.read(tmp_path / "messages.json")
    assert kept == {f"{tmp_path.name}.errors.division": ["ZeroDivisionError: division by zero"]}
    assert ended.returncode == 0


def test_what_cannot_be_kept_is_no_success(tmp_path):
    (tmp_path / "taken").write_text("")

    ended = listen(tmp_path, tmp_path / "taken" / "messages.json")

    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{tmp_path / 'taken'}: nothing can be written here: " in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_where_nothing_can_be_written_nothing_is_run(monkeypatch, capsys):
    def refuse(folder: Path) -> None:
        raise FileError(f"{folder}: nothing can be written here")

    monkeypatch.setattr(messages, "ensure_writable", refuse)
    monkeypatch.setattr(messages.subprocess, "run", lambda *_, **__: pytest.fail("it was run"))

    assert main(["messages"]) == 2
    assert capsys.readouterr().err.endswith("docs: nothing can be written here\n")
