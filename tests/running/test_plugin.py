"""The plugin runs miniature specifications, each wrong in one way, and says what is wrong."""

import re
import subprocess
import sys
import textwrap

import pytest

from nnspec.records import reading

pytest_plugins = ["pytester"]


def stderr(result):
    return result.stderr.str()


HOLDS = '''
def test_a():
    """A layer has two parameters."""
    assert len(list(nn.Linear(2, 3).parameters())) == 2
'''


def test_a_clause_that_holds(run):
    result = run(HOLDS)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["torch *, torchvision *, Python *, devices: cpu*", "1 clause: 1 holds"])
    assert result.ret == 0


def test_a_violated_clause_names_itself_and_the_difference_before_the_traceback(run):
    result = run(HOLDS.replace("== 2", "== 5"))

    result.stdout.fnmatch_lines(
        [
            "violated: A layer has two parameters.",
            "clause mini.small.a, torch *",
            "  assert 2 == 5",
            ">       assert len(list(nn.Linear(2, 3).parameters())) == 5",
            "1 clause: 1 violated",
        ]
    )
    assert result.ret == 1


def test_an_exception_of_torch_violates(run):
    result = run('def test_a():\n    """It adds."""\n    torch.ones(2) + torch.ones(3)\n    assert 1')

    result.stdout.fnmatch_lines(["1 clause: 1 violated"])


def test_a_clause_that_cannot_be_set_up_is_an_error(run):
    result = run('def test_a(absent_fixture):\n    """It is."""\n    assert 1')

    result.stdout.fnmatch_lines(["error: It is.", "1 clause: 1 error"])
    assert result.ret == 1


def test_verbose_shows_statements(run):
    result = run(HOLDS, "-v")

    result.stdout.fnmatch_lines(["A layer has two parameters. holds*"])
    result.stdout.no_fnmatch_line("*test_small.py::test_a*")


NEW = '''
@pytest.mark.since("2.5")
def test_new():
    """It is new."""
    assert nn.Linear.__module__ == {value!r}
'''


@pytest.mark.parametrize(
    ("version", "value", "tally"),
    [
        ("2.5.1", "torch.nn.modules.linear", "1 clause: 1 holds"),
        ("2.5.1", "other", "1 clause: 1 violated"),
        ("2.4.1", "other", "1 clause: 1 not yet"),
        ("2.4.1", "torch.nn.modules.linear", "1 clause: 1 violated"),
    ],
)
def test_a_bound_is_checked_on_both_sides(run, version, value, tally):
    result = run(NEW.format(value=value), version=version)

    result.stdout.fnmatch_lines([tally])
    assert result.ret == (1 if "violated" in tally else 0)


def test_holding_outside_its_bounds_says_so(run):
    result = run(NEW.format(value="torch.nn.modules.linear"), version="2.4.1")

    result.stdout.fnmatch_lines(["*it holds on torch 2.4, outside its bounds (since 2.5); move the bound*"])


def test_before_is_no_longer(run):
    source = NEW.replace("since", "before").format(value="other")

    run(source, version="2.6.0").stdout.fnmatch_lines(["1 clause: 1 no longer"])


@pytest.mark.parametrize(
    "body",
    [
        "assert nn.NoSuchLayer",
        "from torch import no_such_name; assert no_such_name",
        "assert nn.Linear(2, 3, no_such_argument=1)",
    ],
)
def test_what_does_not_exist_is_absent(run, body):
    result = run(f'@pytest.mark.since("2.5")\ndef test_a():\n    """It is."""\n    {body}', version="2.4.1")

    result.stdout.fnmatch_lines(["1 clause: 1 absent"])
    assert result.ret == 0


def test_a_type_error_for_another_reason_is_not_absence(run):
    source = '@pytest.mark.since("2.5")\ndef test_a():\n    """It is."""\n    raise TypeError("other")'

    run(source, version="2.4.1").stdout.fnmatch_lines(["1 clause: 1 not yet"])


def test_what_does_not_exist_violates_inside_the_bounds(run):
    result = run('def test_a():\n    """It is."""\n    assert nn.NoSuchLayer')

    result.stdout.fnmatch_lines(["1 clause: 1 violated"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (NEW.replace('"2.5"', '"two"'), "since('two') is no release"),
        (NEW.replace('@pytest.mark.since("2.5")', '@pytest.mark.before("2.0")'), "exclude every supported"),
        (NEW.replace('since("2.5")', 'since(release="2.5")'), "since takes positional arguments only"),
        (HOLDS.replace("def test", '@pytest.mark.needs("tpu")\ndef test'), "needs('tpu') is unknown"),
        ('class TestX:\n    def test_a(self):\n        """It."""\n        assert 1', "test_a is no clause"),
    ],
)
def test_a_malformed_clause_stops_the_run_with_one_message(run, source, message):
    result = run(source.replace("{value!r}", "1"))

    assert message in stderr(result)
    assert "Traceback" not in stderr(result) + result.stdout.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_failure_that_is_not_written_as_a_clause_is_shown_and_not_recorded(run, tmp_path):
    result = run(
        'if torch:\n    def test_a():\n        """It is."""\n        assert 1 == 2', "--record", str(tmp_path)
    )

    result.stdout.fnmatch_lines(
        ["*assert 1 == 2*", "not recorded: *test_a is no clause; a clause is a function*"]
    )
    assert "INTERNALERROR" not in result.stdout.str()
    assert result.ret == 1


def test_an_unknown_mark_stops_the_run(run):
    result = run(HOLDS.replace("def test", "@pytest.mark.sinze('2.5')\ndef test"))

    result.stdout.fnmatch_lines(["*'sinze' not found in `markers` configuration option*"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_an_unknown_device_lists_those_there_are(run):
    result = run(HOLDS, "--device", "cudda")

    assert "--device cudda: no such device here; this torch finds cpu" in stderr(result)
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_the_device_fixture_runs_on_each_device(run, monkeypatch):
    monkeypatch.setattr("nnspec.running.devices.present", lambda: ("cpu", "meta"))
    source = '''
    def test_a(device):
        """It is there."""
        assert torch.ones(2, device=device).device.type == device
    '''

    run(source).assert_outcomes(passed=2)
    run(source, "--device", "meta").assert_outcomes(passed=1)


def test_an_unmet_need_is_told_with_its_reason(run, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    result = run(HOLDS.replace("def test", '@pytest.mark.needs("cuda", 2)\ndef test'))

    result.stdout.fnmatch_lines(["1 clause: 1 unmet", "unmet: 1 clause need 2 CUDA devices"])
    assert result.ret == 0


def test_a_clause_is_reported_once_and_a_shared_fixture_is_made_once(run, tmp_path):
    source = '''
    MADE = []

    @pytest.fixture(scope="module")
    def number():
        MADE.append("one")
        return len(MADE)

    def test_a(number):
        """It is the first."""
        assert number == 1

    def test_b(number):
        """It is the first still."""
        assert number == 1
    '''
    other = tmp_path / "test_other.py"
    other.write_text("def test_it():\n    pass\n")

    result = run(source, other)

    result.assert_outcomes(passed=3)
    reports = [report.when for report in result.reprec.getreports("pytest_runtest_logreport")]
    assert reports == ["call", "call", "setup", "call", "teardown"]


@pytest.mark.parametrize(("version", "outcomes"), [("2.4.1", {"skipped": 1}), ("2.5.0", {"passed": 1})])
def test_a_benchmark_is_run_within_its_bounds_alone(run, tmp_path, version, outcomes):
    file = tmp_path / "spec" / "mini" / "bench_small.py"
    file.parent.mkdir(parents=True)
    file.write_text('import pytest\n\n@pytest.mark.since("2.5")\ndef bench_a():\n    pass\n')
    names = ["-o", "python_files=bench_*.py", "-o", "python_functions=bench_*"]

    result = run(HOLDS, *names, "-rs", version=version)

    result.assert_outcomes(**outcomes)
    result.stdout.no_fnmatch_line("*clauses*")
    if "skipped" in outcomes:
        result.stdout.fnmatch_lines(["*is for torch since 2.5*"])


def test_skipping_by_hand_is_an_error(run):
    result = run('def test_a():\n    """It is."""\n    pytest.skip("no")\n    assert 1')

    result.stdout.fnmatch_lines(["*skips by hand*", "1 clause: 1 error"])
    assert result.ret == 1


@pytest.mark.parametrize(
    ("mark", "body"), [("@pytest.mark.xfail\n", "assert 0"), ("", "pytest.xfail('not here')")]
)
def test_a_violation_fails_the_run_even_if_it_was_expected(run, mark, body):
    result = run(f'{mark}def test_a():\n    """It is."""\n    {body}')

    result.stdout.fnmatch_lines(["violated: It is.", "1 clause: 1 violated"])
    assert result.ret == 1


TWO = HOLDS + NEW.replace("{value!r}", '"torch.nn.modules.linear"')


def test_a_record_has_a_row_for_each_clause(run, tmp_path):
    result = run(TWO, "--record", tmp_path / "records", version="2.5.1")

    found = reading.read(tmp_path / "records" / "2.5.1-cpu.json")
    assert {name: row.outcome for name, row in found.rows.items()} == {
        "mini.small.a": "holds",
        "mini.small.new": "holds",
    }
    result.stdout.fnmatch_lines(["recorded in *2.5.1-cpu.json"])


def test_cases_add_up_to_one_row(run, tmp_path):
    source = '@pytest.mark.parametrize("n", [1, 2])\ndef test_a(n):\n    """It is one."""\n    assert n == 1'

    run(source, "--record", tmp_path / "records", version="2.5.1")

    found = reading.read(tmp_path / "records" / "2.5.1-cpu.json")
    assert [(row.outcome, row.reason) for row in found.rows.values()] == [("violated", "AssertionError")]


def test_a_run_of_some_clauses_brings_their_rows(run, tmp_path):
    run(TWO, "--record", tmp_path / "records", "-k", "test_new", version="2.5.1")
    assert list(reading.read(tmp_path / "records" / "2.5.1-cpu.json").rows) == ["mini.small.new"]

    run(TWO, "--record", tmp_path / "records", "-k", "test_a", version="2.5.1")
    assert list(reading.read(tmp_path / "records" / "2.5.1-cpu.json").rows) == [
        "mini.small.a",
        "mini.small.new",
    ]


def test_a_run_of_some_clauses_on_another_python_is_not_recorded(run, tmp_path):
    run(TWO, "--record", tmp_path / "records", version="2.5.1")
    path = tmp_path / "records" / "2.5.1-cpu.json"
    path.write_text(re.sub(r'"python": "[\d.]+"', '"python": "3.1"', path.read_text()))
    before = path.read_text()

    result = run(TWO, "--record", tmp_path / "records", "-k", "test_new", version="2.5.1")

    assert "would be recorded: 2.5.1-cpu: was recorded with python '3.1', and this run has" in stderr(result)
    result.stdout.no_fnmatch_line("*holds*")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert path.read_text() == before


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_a_damaged_record_is_told_before_a_run_of_some_clauses(run, tmp_path, workers):
    made = run(TWO, "--record", tmp_path / "records")
    assert made.ret == 0
    (path,) = (tmp_path / "records").iterdir()
    path.write_text(path.read_text()[:50])

    some = run(TWO, "--record", tmp_path / "records", "-k", "test_new", *workers)

    assert f"nothing would be recorded: {path}:" in stderr(some)
    some.stdout.no_fnmatch_line("*holds*")
    assert some.ret == pytest.ExitCode.USAGE_ERROR
    assert run(TWO, "--record", tmp_path / "records", *workers).ret == 0


@pytest.mark.parametrize(("code", "status"), [("", pytest.ExitCode.INTERRUPTED), (", 7", 7)])
def test_an_interrupted_run_leaves_the_old_record(run, tmp_path, code, status):
    run(TWO, "--record", tmp_path / "records", version="2.5.1")
    path = tmp_path / "records" / "2.5.1-cpu.json"
    before = path.read_text()

    source = f"""
@pytest.fixture
def ending():
    pytest.exit("enough"{code})

def test_a(ending):
    \"\"\"It is.\"\"\"
"""
    result = run(source, "--record", tmp_path / "records", version="2.5.1")

    assert result.stdout.str().count("not recorded: the run did not come to its end") == 1
    assert result.ret == status
    assert path.read_text() == before


def test_a_place_that_cannot_be_written_is_refused_before_the_run(run, tmp_path):
    (tmp_path / "file").write_text("")

    result = run(HOLDS, "--record", tmp_path / "file")

    assert "nothing can be written here" in stderr(result)
    assert "Traceback" not in stderr(result)
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_record_wants_a_name(run):
    result = run(HOLDS, "--record", "")

    assert "--record: an empty text names no file and no folder" in stderr(result)
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_run_of_no_clause_is_not_recorded(run, tmp_path):
    result = run(HOLDS, "--record", tmp_path / "records", "-k", "no_such_name")

    result.stdout.fnmatch_lines(["not recorded: no clause was run"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("raise ImportError('undefined symbol: cuda\\nGet')", "ImportError: undefined symbol: cuda Get"),
        ("raise OSError('libcudart.so: no such file')", "OSError: libcudart.so: no such file"),
        (
            "import no_such_library",
            "no_such_library is not installed, and this needs it: pip install no_such",
        ),
    ],
)
@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_a_torch_that_cannot_be_imported_is_told_in_a_line(write, line, told, workers):
    root = write(HOLDS)
    (root / "torch.py").write_text(line)
    command = [sys.executable, "-m", "pytest", "spec", *workers]

    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    (said,) = result.stderr.strip().splitlines()
    assert told in said
    assert ("torch cannot be imported" in said) is (": " in told.partition(",")[0])
    assert "Traceback" not in result.stdout
    assert result.returncode == pytest.ExitCode.USAGE_ERROR


def test_a_clause_that_ends_its_worker_is_violated_and_run_once(run, tmp_path):
    source = '''
    def test_a():
        """It is a."""
        assert 1

    def test_b():
        """It is b."""
        import os
        os.kill(os.getpid(), 9)
        assert 1

    def test_c():
        """It is c."""
        assert 1
    '''
    result = run(textwrap.dedent(source), "--record", tmp_path, "-n", "1")

    result.stdout.fnmatch_lines(
        ["violated: It is b*", "*crashed while running*", "3 clauses: 2 holds, 1 violated"]
    )
    (seen,) = reading.read_all(tmp_path)
    assert {name: row.outcome for name, row in seen.rows.items()} == {
        "mini.small.a": "holds",
        "mini.small.b": "violated",
        "mini.small.c": "holds",
    }
    assert seen.rows["mini.small.b"].reason == "the process that ran it ended"


@pytest.mark.parametrize("status", [0, 3])
def test_no_clause_ends_the_run(run, status):
    source = f"""
import os

def test_a():
    \"\"\"It ends.\"\"\"
    os.waitpid(os.fork() or os._exit({status}), 0)
    os._exit({status})
{textwrap.dedent(HOLDS).replace("test_a", "test_b")}"""
    result = run(source)

    result.stdout.fnmatch_lines(["violated: It ends.", "2 clauses: 1 holds, 1 violated"])
    assert result.ret == 1


@pytest.mark.parametrize("arguments", [[], ["-n", "1"]], ids=["alone", "worker"])
def test_no_clause_asks_pytest_to_end_the_run(run, arguments):
    source = f"""
import pytest

def test_a():
    \"\"\"It ends.\"\"\"
    pytest.exit("enough", 0)
{textwrap.dedent(HOLDS).replace("test_a", "test_b")}"""
    result = run(source, *arguments)

    result.stdout.fnmatch_lines(["violated: It ends.", "2 clauses: 1 holds, 1 violated"])
    assert result.ret == 1


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        ("builtins.len = None", "it changes Python's builtins: len"),
        ("del builtins.isinstance", "it changes Python's builtins: isinstance"),
        ("sys.stdout.close()", "it closes the output"),
        ("sys.stderr.close()", "it closes the output"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["-s"], ["--capture=sys"]], ids=["fd", "no", "sys"])
def test_no_clause_spoils_what_the_run_needs(run, spoil, text, arguments):
    source = f"""
import builtins, sys

def test_a():
    \"\"\"It spoils.\"\"\"
    {spoil}
{textwrap.dedent(HOLDS).replace("test_a", "test_b")}"""
    result = run(source, *arguments)

    result.stdout.fnmatch_lines(["violated: It spoils.", f"*{text}", "2 clauses: 1 holds, 1 violated"])
    assert result.ret == 1


def test_workers_give_the_same_record(run, tmp_path):
    run(TWO, "--record", tmp_path / "alone")
    run(TWO, "--record", tmp_path / "shared", "-n", "2")

    (alone,), (shared,) = reading.read_all(tmp_path / "alone"), reading.read_all(tmp_path / "shared")
    assert alone == shared


def test_who_hands_out_the_clauses_does_not_import_torch(write):
    root = write(HOLDS)
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    watch = (
        "import sys\n\ndef pytest_unconfigure(config):\n    print('torch' in sys.modules, file=sys.stderr)\n"
    )
    (root / "watch.py").write_text(watch)
    command = [sys.executable, "-m", "pytest", "spec", "-n", "1", "-p", "watch"]

    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert "1 clause: 1 holds" in result.stdout
    assert result.stderr.splitlines()[-1:] == ["False"]


def test_other_tests_are_left_alone(run, tmp_path, pytester):
    root = tmp_path / "plain"
    root.mkdir()
    (root / "test_plain.py").write_text("class TestX:\n    def test_it(self):\n        pass\n")

    pytester.runpytest_inprocess("--rootdir", root, "-p", "nnspec.running.plugin", root).assert_outcomes(
        passed=1
    )
