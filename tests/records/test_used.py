"""Which written changes concern somebody's code, and in which order they are told."""

import json
import os
from pathlib import Path

import pytest

from nnspec.clauses.specification import read_specification
from nnspec.clauses.tables import Change
from nnspec.cli import main
from nnspec.records.spoken import Names
from nnspec.records.upgrading import written_between
from nnspec.records.used import read_uses

CHANGES = """
["2.5"]
[["2.5".changes]]
what = "`Module.zero_grad` does something else."
hurts = "warns"
do = "Look."
clauses = ["mini.small.new"]

[["2.5".changes]]
what = "`load` reads less."
hurts = "breaks"
rank = 2
do = "Say `weights_only`."
clauses = ["mini.small.reading"]

[["2.5".changes]]
what = "Many meet this."
hurts = "breaks"
rank = 1
do = "Read."
why = "it is not of torch"
"""

CLAUSES = '''
@pytest.mark.since("2.5")
def test_new():
    """:meth:`~torch.nn.Module.zero_grad` is new (:pull:`129164`)."""
    assert 1


@pytest.mark.since("2.5")
def test_reading():
    """:func:`torch.load` reads less."""
    assert 1
'''


@pytest.fixture
def told(project, write, capsys):
    """Runs ``compare 2.4 2.5`` with more arguments and gives the exit code and what it printed."""
    write(CLAUSES)
    (project / "docs" / "changes.toml").write_text(CHANGES)

    def run(*arguments):
        code = main(["compare", "2.4", "2.5", *arguments])
        return code, capsys.readouterr().out

    return run


def test_what_breaks_and_most_people_meet_leads(told):
    _, out = told()

    places = [out.index(text) for text in ("Many meet this", "load reads less", "Module.zero_grad does")]
    assert places == sorted(places)
    assert "      do: Say weights_only.\n" in out


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import torch\ntorch.load('x')\n", {"load": 2}),
        ("from torch import load as read\nread('x')\n", {"load": 1}),
        ("import torch as t\nx = t.load\n", {"load": 2}),
        ("net.zero_grad()\n", {"zero_grad": 1}),
        ("class Net:\n    def zero_grad(self): ...\n", {"zero_grad": 2}),
        ("import json\njson.load(file)\njson.zero_grad()\n", {}),
        ("import torch\ntorch.hub.load('x')\n", {}),
    ],
    ids=[
        "called",
        "imported under a name",
        "module under a name",
        "method",
        "override",
        "another's",
        "a namesake",
    ],
)
def test_changes_are_kept_that_speak_of_what_is_used(told, tmp_path, code, found):
    file = tmp_path / "code.py"
    file.write_text(code)

    status, out = told("--json", "--used-in", str(file))

    written = json.loads(out)["written"]
    assert {change["what"].split("`")[1].rpartition(".")[2]: change["places"][0] for change in written} == {
        name: f"{file}:{line}" for name, line in found.items()
    }
    assert json.loads(out)["elsewhere"] == 3 - len(found)
    assert status == ("load" in found)


def test_clauses_are_left_out_where_code_is_read(told, tmp_path):
    (tmp_path / "code.py").write_text("import torch\n" + "torch.load('x')\n" * 5)

    _, out = told("--used-in", str(tmp_path / "code.py"))

    assert f"      {tmp_path / 'code.py'}:2\n" in out
    assert "      and 2 more places\n" in out
    assert "2 changes speak of nothing that this code uses" in out
    assert "newly holds" not in out


def test_a_folder_without_python_is_a_mistake(told, tmp_path, capsys):
    (tmp_path / "empty").mkdir()

    assert main(["compare", "2.4", "2.5", "--used-in", str(tmp_path / "empty")]) == 2
    assert "no Python files here" in capsys.readouterr().err


def test_a_notebook_is_no_code_that_uses_nothing(told, tmp_path, capsys):
    (tmp_path / "a.ipynb").write_text('{"cells": [{"source": ["x.zero_grad()"], "count": null}]}')

    assert main(["compare", "2.4", "2.5", "--used-in", str(tmp_path / "a.ipynb")]) == 2
    assert "a.ipynb: its name is not that of a Python file; name one in .py" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["train", "train.pyw"])
def test_a_script_needs_no_ending(tmp_path, name):
    (tmp_path / name).write_text("x.zero_grad()\n")

    assert set(read_uses(tmp_path / name)) == {".zero_grad"}


def test_a_file_that_is_no_python_is_left_out_and_told(told, tmp_path, capsys):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("def (:\n")
    (tmp_path / "code" / "b.py").write_text("x.zero_grad()\n")

    main(["compare", "2.4", "2.5", "--used-in", str(tmp_path / "code")])

    told_of = capsys.readouterr()
    assert "a.py is left out" in told_of.err
    assert "b.py:1" in told_of.out


@pytest.mark.parametrize("content", ["def (:\n", "x = " + "-" * 100_000 + "1\n"])
def test_nothing_that_can_be_read_is_a_mistake(told, tmp_path, capsys, content):
    (tmp_path / "a.py").write_text(content)

    assert main(["compare", "2.4", "2.5", "--used-in", str(tmp_path / "a.py")]) == 2

    why, error = capsys.readouterr().err.splitlines()
    assert why.startswith(f"note: {tmp_path / 'a.py'} is left out: ")
    assert not why.endswith(": ")
    assert error.endswith("nothing here can be read as Python; name code that this Python can run")


def test_a_file_is_read_as_python_reads_it(tmp_path, capsys):
    (tmp_path / "a.py").write_bytes(b"\xef\xbb\xbfx.zero_grad()\n")
    (tmp_path / "b.py").write_bytes(b"# coding: latin-1\nx.state_dict('\xe9')\n")

    assert set(read_uses(tmp_path)) == {".zero_grad", ".state_dict"}
    assert capsys.readouterr().err == ""


def test_what_is_no_file_is_passed_over(tmp_path, capsys):
    (tmp_path / "a.py").write_text("module.state_dict()\n")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()

    assert read_uses(tmp_path) == {".state_dict": [(tmp_path / "a.py", 1)]}
    assert capsys.readouterr().err == ""


def test_what_breaks_most_programs_is_among_the_first_three():
    specification = read_specification(Path(__file__).resolve().parents[2])

    first = [written.change.what for written in written_between(specification, "2.4", "2.15")[:3]]

    assert any("weights_only" in what for what in first), first


@pytest.mark.parametrize(
    ("what", "statement", "names"),
    [
        ("`trunc_normal_` draws again.", "It.", ["torch.nn.init.trunc_normal_"]),
        ("InstanceNorm looks; a ValueError.", "It.", [f"torch.nn.InstanceNorm{at}d" for at in (1, 2)]),
        ("`load(path, strict=True)` is new.", ":func:`torch.load` is.", ["torch.load"]),
        ("`strict=True` and `copy` are new.", "``nn.GRU`` is of ``eval()``.", ["torch.nn.GRU"]),
        ("Stores are dicts.", "``_buffers`` is.", ["torch.nn.Module._buffers"]),
        (
            "`DDP(torch.compile(net))` trains.",
            "It.",
            ["torch.nn.parallel.DistributedDataParallel", "torch.compile"],
        ),
        ("An `nn.Module` trains by `forward()`.", "It.", []),
    ],
    ids=["code", "class of dimensions", "linked", "statement", "private", "alias", "everywhere"],
)
def test_a_change_names_what_it_speaks_of(write, what, statement, names):
    used = "nn.init.trunc_normal_(nn.InstanceNorm1d(2).weight)\n    nn.InstanceNorm2d(2)"
    root = write(f'def test_a():\n    """{statement}"""\n    {used}\n')

    assert Names(read_specification(root)).of(Change(what=what, clauses=("mini.small.a",))) == names


def test_what_breaks_or_warns_names_what_can_be_looked_for():
    specification = read_specification(Path(__file__).resolve().parents[2])
    names = Names(specification)
    changes = [change for release in specification.changes for change in release.changes]

    assert [
        change.what[:40] for change in changes if change.hurts in ("breaks", "warns") and not names.of(change)
    ] == [
        "A tensor flagged as a parameter passes f",
        "Assertions in torch.nn hold under `pytho",
        "An optimizer warns of a set of parameter",
    ]


def test_changes_that_name_nothing_are_counted_apart(told, tmp_path):
    (tmp_path / "code.py").write_text("import torch\ntorch.load('x')\n")

    _, out = told("--used-in", str(tmp_path / "code.py"))

    assert "1 of them name nothing that can be looked for" in out
