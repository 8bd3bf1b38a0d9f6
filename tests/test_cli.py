"""How a command ends: with an exit code that says what happened, in one line where it could not be done."""

from __future__ import annotations

import errno
import io
import os
import pkgutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import packaging
import pytest

from nnspec import cli
from nnspec.decoding import read_toml
from nnspec.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]

RECORD = "docs/records/2.15.0-cpu.json"


@pytest.fixture
def fails_with(monkeypatch):
    """Lets every command fail with an error: ``fails_with(error)``."""

    def let_fail(error):
        def run(options):
            raise error

        monkeypatch.setattr(pkgutil, "resolve_name", lambda name: run)

    return let_fail


OURS = f"Tell it, with what --debug shows, at {cli.ISSUES}"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UsageError("say what"), 2, "say what"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), 2, "/a/b: Permission denied"),
        (MemoryError(), 2, "there is not enough memory for this"),
        (
            ModuleNotFoundError("No module named 'msgspec'", name="msgspec"),
            2,
            "msgspec is not installed, and this needs it: pip install msgspec",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("a\nb"), 3, f"an error of nnspec's own: ValueError: a b. {OURS}"),
        (GeneratorExit("x"), 3, f"an error of nnspec's own: GeneratorExit: x. {OURS}"),
        (
            SystemExit(0),
            3,
            f"an error of nnspec's own: RuntimeError: something ended the command with SystemExit(0). {OURS}",
        ),
        (RecursionError("deep"), 3, f"an error of nnspec's own: RecursionError: deep. {OURS}"),
        (
            ModuleNotFoundError("No module named 'nnspec.x'", name="nnspec.x"),
            3,
            f"an error of nnspec's own: ModuleNotFoundError: No module named 'nnspec.x'. {OURS}",
        ),
    ],
    ids=repr,
)
def test_an_error_is_one_line_and_an_exit_code(fails_with, capsys, error, code, told):
    fails_with(error)

    assert cli.main(["lint"]) == code
    assert capsys.readouterr().err == f"nnspec lint: {told}\n"


def test_a_library_that_lacks_a_part_is_told_with_its_file(monkeypatch, capsys):
    def let_import_fail(name):
        raise ModuleNotFoundError("No module named 'packaging.new'", name="packaging.new")

    monkeypatch.setattr(pkgutil, "resolve_name", let_import_fail)

    assert cli.main(["lint"]) == 2
    assert capsys.readouterr().err == (
        f"nnspec lint: {packaging.__file__}: has no packaging.new, and this needs it; if the file is yours, "
        "give it another name than packaging, else: pip install --upgrade packaging\n"
    )


def test_an_old_python_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 8, 18, "final", 0))

    assert cli.main(["lint"]) == 2
    assert capsys.readouterr().err == (
        "nnspec lint: Python 3.8 is too old for this; run it with 3.10 or newer\n"
    )


def test_nobody_reads_the_output_any_more(fails_with, capsys):
    fails_with(BrokenPipeError())

    assert cli.main(["lint"]) == 141
    assert capsys.readouterr().err == ""


def test_an_output_that_is_closed_meanwhile(monkeypatch, capsys):
    output = io.TextIOWrapper(io.BytesIO())

    def run(options):
        output.close()
        return 0

    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(pkgutil, "resolve_name", lambda name: run)

    assert cli.main(["lint"]) == 2
    assert capsys.readouterr().err == "nnspec lint: its output was closed while it ran\n"


@pytest.mark.parametrize("arguments", [["--debug", "lint"], ["lint", "--debug"]])
def test_debug_shows_where_an_error_comes_from(fails_with, capsys, arguments):
    fails_with(ValueError("x"))

    assert cli.main(arguments) == 3
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert "in run" in shown


WAITS = """
import pkgutil, subprocess, sys
from nnspec import cli

def run(options):
    subprocess.run([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"])

pkgutil.resolve_name = lambda name: run
sys.exit(cli.main(["lint"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_a_command_started_ends_with_it(number):
    command = [sys.executable, "-c", WAITS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    started = int(process.stdout.readline())

    process.send_signal(number)

    assert process.communicate(timeout=60)[1] == "nnspec lint: interrupted\n"
    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        for _ in range(100):  # whoever inherits it takes a moment to see that it has ended
            os.kill(started, 0)
            time.sleep(0.1)


def test_a_forked_process_is_ended_by_a_signal_as_ever(monkeypatch):
    ended = []
    reads, writes = os.pipe()

    def run(options):
        child = os.fork()
        if not child:
            os.write(writes, b"here")
            time.sleep(60)
            os._exit(3)
        os.read(reads, 4)
        os.kill(child, signal.SIGTERM)
        ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        return 0

    monkeypatch.setattr(pkgutil, "resolve_name", lambda name: run)

    assert cli.main(["lint"]) == 0
    assert ended == [-signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_cannot_be_shown_is_escaped(fails_with, capsys):
    fails_with(UsageError("\udcff \x1b[31m \u202e é"))

    assert cli.main(["lint"]) == 2
    assert capsys.readouterr().err == "nnspec lint: \\udcff \\x1b[31m \\u202e é\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["compare", "2.4"],
        ["find", "a\0b"],
        ["measure", ""],
        ["mutate", "--only", ""],
        ["strength", "--clauses", "--only", " "],
        ["verify", "--device", ""],
        ["lint", "--x"],
        [],
    ],
)
def test_misuse(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)

    assert end.value.code == 2
    assert "usage: nnspec" in capsys.readouterr().err


def test_errors_are_told_where_the_project_says():
    project = read_toml(ROOT / "pyproject.toml")["project"]

    assert project["urls"]["Issues"] == cli.ISSUES


def ask(line):
    """What a shell makes of a line in which ``nnspec`` is the command."""
    line = line.replace("nnspec", f"{sys.executable} -m nnspec")
    return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        (f"nnspec check-records {RECORD} > /dev/full", 2, "nnspec check-records: No space left on device\n"),
        (f"nnspec check-records {RECORD} <&- >&- 2>&-", 0, ""),
        (f"nnspec check-records {RECORD} >&-", 0, ""),
        ("nnspec lint 2>/dev/full --nothing", 2, ""),
        ("nnspec --help > /dev/full", 0, ""),
        ("set -o pipefail; nnspec find module --json --most 500 | head -c 1", 141, ""),
        (
            "PYTHONIOENCODING=ascii nnspec check-records $'\\xff'",
            2,
            "nnspec check-records: \\udcff: there is no such file; name a record, as "
            "docs/records/2.15.0-cpu.json\n",
        ),
    ],
)
def test_streams_that_take_nothing(line, code, told):
    ended = ask(line)

    assert (ended.returncode, ended.stderr) == (code, told)


def test_a_terminal_without_the_characters(tmp_path):
    name = tmp_path / "é→.json"

    name.write_text("[]")

    ended = ask(f"PYTHONIOENCODING=ascii nnspec check-records '{name}'")

    assert ended.returncode == 1
    assert "/\\xe9\\u2192.json: holds list" in ended.stdout
