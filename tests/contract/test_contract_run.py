"""The contract is run on exemplars or on a module of the user's, in a checkout and where it is installed."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from nnspec import cli
from nnspec.records import record
from nnspec.running import start

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[1]

EXEMPLARS = """
import torch
from torch import nn

def two_rows():
    return (torch.randn(4, 2),), {}

EXEMPLARS = {"linear": (lambda: nn.Linear(2, 3), two_rows), "relu": (nn.ReLU, two_rows)}
"""

MODELS = '''
import torch
from torch import nn

class Net(nn.Module):
    """One layer is registered, one hides in a list."""

    calls = 0

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.blocks = [nn.Linear(3, 3)]

    def forward(self, x):
        return self.blocks[0](self.inner(x))

class Moody(nn.Linear):
    """Its second call fails."""

    calls = 0

    def __init__(self):
        super().__init__(2, 3)

    def forward(self, x):
        Moody.calls += 1
        if Moody.calls > 1:
            raise ValueError("not again")
        return super().forward(x)

class Leaky(nn.Linear):
    """It changes the process for good."""

    def __init__(self):
        super().__init__(2, 3)

    def forward(self, x):
        torch.use_deterministic_algorithms(True)
        return super().forward(x)
'''

HIDDEN = '''
def test_nothing_hides(build):
    """Every module is registered."""
    lists = {name: value for name, value in vars(build()).items() if isinstance(value, list)}
    assert [f"`{name}` is a list of {len(value)};\\nuse nn.ModuleList" for name, value in lists.items()] == []
'''

TRAINED = '''
def test_parameters_are_floats(build, not_applicable):
    """Every parameter is a number with a fraction."""
    parameters = list(build().parameters())
    if not parameters:
        not_applicable("it has no parameters")
    assert all(one.is_floating_point() for one in parameters)
'''

CALLED = '''
def test_calls_agree(build, example):
    """It computes the same twice."""
    net = build()
    (args, kwargs), (same, _) = example(), example()
    assert torch.equal(net(*args, **kwargs), net(*same, **kwargs))
'''


@pytest.fixture
def run(write, pytester, monkeypatch):
    """Runs a contract: ``run(clauses, *arguments)`` gives pytest's result."""

    def runs(clauses, *arguments, conftest=EXEMPLARS, models=MODELS, table=""):
        root = write(clauses, part="contract")
        (root / "spec" / "contract" / "conftest.py").write_text(conftest)
        (root / "models.py").write_text(models)
        (root / "pyproject.toml").write_text(table)
        monkeypatch.chdir(root)
        return pytester.runpytest_inprocess(
            "--rootdir", root, "-p", "no:cacheprovider", root / "spec", *arguments
        )

    return runs


NET = ("--module", "models:Net", "--input", "4,2")


def test_a_clause_is_run_on_every_exemplar(run):
    result = run(CALLED, "-v")

    result.stdout.fnmatch_lines(
        ["It computes the same twice. ?linear? holds*", "It computes the same twice. ?relu? holds*"]
    )
    result.stdout.fnmatch_lines(["1 clause: 1 holds"])


def test_a_clause_that_says_nothing_of_one_exemplar_holds(run, tmp_path):
    result = run(TRAINED, "-v", "--record", tmp_path / "records")

    result.stdout.fnmatch_lines(["*?relu? not applicable*", "1 clause: 1 holds", "recorded in *"])
    (recorded,) = record.read_all(tmp_path / "records")
    assert [(row.outcome, row.reason) for row in recorded.rows.values()] == [("holds", "")]


RELU_ALONE = EXEMPLARS.replace('"linear": (lambda: nn.Linear(2, 3), two_rows), ', "")


def test_a_clause_that_says_nothing_of_any_gives_the_reason_and_no_record(run, tmp_path):
    result = run(TRAINED, "--record", tmp_path / "records", conftest=RELU_ALONE)

    result.stdout.fnmatch_lines(
        [
            "1 clause: 1 not applicable",
            "not applicable: contract.small.parameters_are_floats",
            "  it has no parameters",
            "not recorded: *parameters_are_floats is applicable to none of the exemplars*add one to *",
        ]
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert list((tmp_path / "records").iterdir()) == []


def test_one_exemplar_that_violates_is_enough(run):
    clause = CALLED.replace("torch.equal(", "not isinstance(net, nn.ReLU) and torch.equal(")

    result = run(clause)

    result.stdout.fnmatch_lines(["1 clause: 1 violated"])
    result.assert_outcomes(passed=1, failed=1)


def test_a_part_without_exemplars_says_where_they_belong(run):
    result = run(CALLED, conftest="")

    assert "conftest.py: defines no EXEMPLARS, a dict of name to (build, example)" in result.stdout.str()
    assert result.ret != pytest.ExitCode.OK


def test_findings_are_shown_one_by_one_and_without_a_traceback(run):
    result = run(HIDDEN + TRAINED, *NET)

    result.stdout.fnmatch_lines(
        [
            "violated: Every module is registered.",
            "clause contract.small.nothing_hides, torch *",
            "  `blocks` is a list of 1;",
            "  use nn.ModuleList",
            "contract of models:Net, called with float32 (4, 2)",
            "2 clauses: 1 holds, 1 violated",
            "violated: contract.small.nothing_hides: Every module is registered.",
        ]
    )
    result.stdout.no_fnmatch_line("*lists = *")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_traceback_is_shown_if_asked_for(run):
    result = run(HIDDEN, *NET, "--tb=long")

    result.stdout.fnmatch_lines(["  use nn.ModuleList", "    def test_nothing_hides(build):"])


def test_where_the_module_raises_its_error_and_its_own_line_come_first(run):
    result = run(CALLED, "--module", "models:Moody", "--input", "4,2")

    result.stdout.fnmatch_lines(
        [
            "violated: It computes the same twice.",
            "  ValueError: not again",
            '    models.py:*, in forward: raise ValueError("not again")',
            "models.py:*: in forward",
            "E   ValueError: not again",
        ]
    )
    result.stdout.no_fnmatch_line("*def test_calls_agree*")


def test_a_fault_of_the_clause_is_no_violation_of_the_module(run):
    result = run(CALLED.replace("build()", "built()"), *NET)

    result.stdout.fnmatch_lines(
        [
            "error: It computes the same twice.",
            "  NameError: name 'built' is not defined",
            "1 clause: 1 error",
            "error: contract.small.calls_agree: It computes the same twice.",
        ]
    )


def test_a_module_may_keep_to_a_clause_outside_its_bounds(run, monkeypatch):
    clause = CALLED.replace("def test", '@pytest.mark.since("2.5")\ndef test')
    monkeypatch.setattr(torch, "__version__", "2.4.1")

    run(clause, *NET).stdout.fnmatch_lines(["1 clause: 1 holds"])
    run(clause).stdout.fnmatch_lines(["1 clause: 1 violated"])


def test_what_a_module_changes_in_the_process_is_no_error_of_every_clause(run):
    result = run(CALLED, "--module", "models:Leaky", "--input", "4,2")

    result.stdout.fnmatch_lines(["1 clause: 1 holds"])


def test_every_build_and_every_example_starts_from_the_same_seed(run):
    clause = '''
    def test_seed(build, example):
        """It is built the same each time."""
        weights = [build().inner.weight, build().inner.weight]
        rows = [example()[0][0], example()[0][0]]
        assert all(first is not second and first.equal(second) for first, second in (weights, rows))
    '''
    run(clause, *NET).stdout.fnmatch_lines(["1 clause: 1 holds"])


@pytest.mark.parametrize("name", ["contract.small.nothing_hides", "small.nothing_hides", "nothing_hides"])
def test_an_allowed_violation_does_not_fail_the_run(run, name):
    result = run(HIDDEN, *NET, "--allow", name)

    result.stdout.fnmatch_lines(
        ["1 clause: 1 allowed", "allowed: contract.small.nothing_hides: by --allow"], consecutive=False
    )
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("name", ['"contract.small.nothing_hides"', "small.nothing_hides", "nothing_hides"])
def test_a_project_keeps_what_it_allows_with_the_reason(run, name):
    result = run(HIDDEN, *NET, table=f'[tool.nnspec.allow]\n{name} = "the list is walked by hand"')

    result.stdout.fnmatch_lines(["allowed: contract.small.nothing_hides: the list is walked by hand"])
    assert result.ret == pytest.ExitCode.OK


def test_what_is_allowed_but_does_not_occur_is_said(run):
    table = '[tool.nnspec.allow]\nparameters_are_floats = "they were integers once"'

    result = run(TRAINED + CALLED, *NET, "--allow", "calls_agree", table=table)

    result.stdout.fnmatch_lines(
        [
            "allowed, but holds: contract.small.parameters_are_floats; remove it from [[]tool*",
            "allowed, but holds: contract.small.calls_agree; remove it from --allow",
        ]
    )
    assert result.ret == pytest.ExitCode.OK


def test_an_allowed_clause_allows_no_other(run):
    result = run(HIDDEN + CALLED, *NET, "--allow", "calls_agree")

    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("arguments", "table", "message"),
    [
        (
            ("--allow", "nothing_hidden"),
            "",
            "--allow: 'nothing_hidden' is no clause of the contract; near it: contract.small.nothing_hides",
        ),
        (
            ("--allow", "zzz"),
            "",
            "--allow: 'zzz' is no clause of the contract; one of contract.small.nothing_hides",
        ),
        (
            (),
            '[tool.nnspec.allow]\nhides = "why"',
            "[tool.nnspec.allow] in pyproject.toml: 'hides' is no clause of the contract; near it: contract",
        ),
        (
            (),
            '[tool.nnspec.allow]\nnothing_hides = ""',
            'expected lines such as clause = "the reason"',
        ),
        (
            (),
            '[tool.nnspec]\nmodul = "x"',
            "[tool.nnspec] has no key 'modul'; it knows module, input, inputs",
        ),
        ((), '[tool.nnspec]\ninput = "2,3"', "[tool.nnspec] input = '2,3': expected a list of texts"),
        (("--record", "records"), "", "--record was given with --module; a record is about torch"),
        (("-n", "2"), "", "-n was given with --module; leave it out"),
        (("--module", "models:Nett"), "", "--module models:Nett: models has no 'Nett'; did you mean Net?"),
    ],
)
def test_a_misuse_stops_the_run_with_one_message(run, arguments, table, message):
    result = run(HIDDEN, *NET, *arguments, table=table)

    told = result.stderr.str() + result.stdout.str()
    assert message in told
    assert "Traceback" not in told
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("option", ["--input", "--inputs", "--allow"])
def test_options_of_a_module_ask_for_the_module(run, option):
    result = run(HIDDEN, option, "4,2")

    assert f"{option} was given without --module; name the module it is about" in result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_module_is_judged_by_the_contract_alone(run, write):
    write(TRAINED, part="other")

    result = run(HIDDEN, *NET)

    assert "--module judges a module by the contract, and " in result.stderr.str()
    assert "test_small.py is no part of it; run: pytest spec/contract --module" in result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR


DISTURBING = {
    "pytest.ini": "[pytest]\naddopts = --no-such-option\n",
    "conftest.py": "raise RuntimeError('a conftest of the user')\n",
    "models.py": MODELS,
}


def nnspec(folder, *arguments, path=ROOT, own=DISTURBING):
    """Runs the command in a folder with a set-up of its own; gives exit code and output."""
    for name, text in own.items():
        (folder / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTEST_ADDOPTS": "--no-such-option"}
    command = [sys.executable, "-m", "nnspec", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_works_beside_any_other_set_up(tmp_path):
    code, told = nnspec(tmp_path, "contract", "models:Net", "--input", "4,2")

    assert "contract of models:Net, called with float32 (4, 2)\n" in told
    assert "`blocks` is a plain list with 1 module" in told
    assert code == 1
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == set(DISTURBING)


def test_a_table_that_cannot_be_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.nnspec")

    assert cli.main(["contract"]) == 2
    assert f"{tmp_path / 'pyproject.toml'}: cannot be read: Expected ']'" in capsys.readouterr().err


def test_the_table_names_the_module_and_its_inputs(tmp_path):
    table = '[tool.nnspec]\nmodule = "models:Net"\ninput = ["4,3"]\n'
    (tmp_path / "pyproject.toml").write_text(table)

    code, told = nnspec(tmp_path, "contract")

    assert "--module models:Net: raised when called, in train mode, on float32 (4, 3): RuntimeError" in told
    assert code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("contract",), "nnspec contract: no module was named; name one, as in: nnspec contract mypkg"),
        (
            ("verify", "stat"),
            "nnspec verify: stat: the specification has no such part; one of benchmarks, call",
        ),
    ],
)
def test_a_misuse_of_the_command(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)

    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize("command", ["lint", "check-records", "compare 2.4 2.5", "releases", "mutate"])
def test_what_needs_a_checkout_says_so(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "nnspec" / "cli.py"))

    assert cli.main(command.split()) == 2
    assert f"{tmp_path}: no spec/ and docs/ here; run this command in a checkout" in capsys.readouterr().err


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package as it is installed: an unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (packed,) = folder.glob("*.whl")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_carries_the_whole_specification(wheel):
    spec = {path.relative_to(ROOT) for path in (ROOT / "spec").rglob("*.py")}

    assert {path.relative_to(wheel / "nnspec") for path in (wheel / "nnspec" / "spec").rglob("*.py")} == spec
    assert (wheel / "nnspec" / start.SETTINGS.name).exists()


def test_the_installed_command_runs_the_specification_from_any_folder(wheel, tmp_path):
    code, told = nnspec(tmp_path, "verify", "traversal/test_parameters.py", "--device", "cpu", path=wheel)

    assert f"rootdir: {wheel / 'nnspec'}" in told
    assert "24 clauses: 24 holds" in told
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == set(DISTURBING)


@pytest.mark.parametrize(
    ("file", "model", "expected"), [("good.txt", "Tagger", 0), ("broken.txt", "Hurried", 1)]
)
def test_the_page_shows_what_the_command_prints(tmp_path, file, model, expected):
    page = ROOT / "docs" / "contract"
    models = {"models.py": (page / "models.py").read_text()}

    code, told = nnspec(tmp_path, "contract", f"models:{model}", "--input", "2,12:int64", own=models)

    command, _, shown = (page / file).read_text().partition("\n")
    assert command == f"$ nnspec contract models:{model} --input 2,12:int64"
    assert re.sub(r"torch \d\S*", "torch 2.15.0", told) == shown, (
        f"make {file} anew: run its first line there"
    )
    assert code == expected
