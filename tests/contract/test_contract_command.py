"""``nnspec contract`` from a folder of the user's, as its page shows it."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnspec import cli

ROOT = Path(__file__).resolve().parents[2]

MODELS = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.blocks = [nn.Linear(3, 3)]

    def forward(self, x):
        return self.blocks[0](self.inner(x))
"""

#: A set-up of the user's own that would break any run that it reached.
DISTURBING = {
    "pytest.ini": "[pytest]\naddopts = --no-such-option\n",
    "conftest.py": "raise RuntimeError('a conftest of the user')\n",
}


def contract(folder, *arguments, **files):
    """Runs the command in a folder with files; gives exit code and output."""
    for name, text in (DISTURBING | {"models.py": MODELS} | files).items():
        (folder / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "--no-such-option"}
    done = subprocess.run(
        [sys.executable, "-m", "nnspec", "contract", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_works_beside_any_other_set_up(tmp_path):
    code, output = contract(tmp_path, "models:Net", "--input", "4,2")

    assert "contract of models:Net, called with float32 (4, 2), torch 2.15.0" in output
    assert "`blocks` is a plain list with 1 module" in output
    assert code == 1
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {*DISTURBING, "models.py"}


def test_every_option_reaches_the_run(tmp_path):
    options = ["--only", "registration", "--skip", "objects", "--allow", "modules_in_containers"]
    code, output = contract(
        tmp_path, "models:Net", "--input", "4,2", *options, "--device", "cpu", "--json", "--junit", "c.xml"
    )

    report = json.loads(output)
    assert {rule["rule"]: rule["outcome"] for rule in report["rules"]} == {
        "registration.modules_in_containers": "allowed",
        "registration.tensors_in_containers": "holds",
        "registration.plain_attributes": "holds",
        "registration.buffers_need_no_gradient": "holds",
        "registration.closures": "holds",
    }
    assert 'skipped="1"' in (tmp_path / "c.xml").read_text()
    assert code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "tpu"], "--device tpu: no such device here; this torch finds cpu"),
        (["--allow", "nothing"], "--allow: 'nothing' is no rule of the contract; "),
        (["--limit", "nan"], "--limit nan: is no number of seconds to wait for"),
        (["--limit", "-1"], "--limit -1: is no number of seconds to wait for"),
        (["-n", "0"], "-n 0: is no number of processes"),
        (["--only", "closure"], "only: 'closure' is no rule of the contract; near it: registration.closures"),
        (["--only", "?"], "only: '?' is no rule of the contract; each is in a chapter, building, calling, "),
        (["--only", "modes", "--skip", "modes"], "only and skip leave no rule to judge by; skip fewer"),
        (["--junit", "."], "--junit .: is a folder; name the file in it"),
        (["--junit", "nowhere/c.xml"], "--junit nowhere/c.xml: there is no folder "),
    ],
)
def test_a_misuse_is_one_message(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)

    assert cli.main(["contract", "torch.nn:ReLU", "--input", "4,2", *options]) == 2
    assert capsys.readouterr().err.startswith(f"nnspec contract: {message}")


def test_warnings_count_if_they_are_to(tmp_path):
    options = ["torch.nn:ReLU", "--input", "2,3", "--only", "inputs_stay"]
    inplace = ["torch.nn:ReLU(inplace=True)", *options[1:]]

    assert [contract(tmp_path, *given)[0] for given in (options, inplace, [*inplace, "--strict"])] == [
        0,
        0,
        1,
    ]


def test_the_table_names_the_module_its_inputs_and_what_is_allowed(tmp_path):
    table = """
[tool.nnspec]
module = "models:Net"
input = ["4,2"]

[tool.nnspec.allow]
modules_in_containers = "the list is walked by hand"
"""
    code, output = contract(tmp_path, **{"pyproject.toml": table})

    assert "allowed: registration.modules_in_containers: the list is walked by hand\n" in output
    assert code == 0


SEVERAL = """
[tool.nnspec]
module = "models:Net"
input = ["4,2"]
allow.registration.modules_in_containers = "the list is walked by hand"

[[tool.nnspec.modules]]
module = "torch.nn:ReLU(inplace=True)"
input = ["4,2"]
allow = {inputs_stay = "it is meant so"}

[[tool.nnspec.modules]]
module = "models:Raising"
input = ["4,2"]
"""

RAISING = """
class Raising(Net):
    def forward(self, x):
        if not self.training:
            raise ValueError("not in eval mode")
        return super().forward(x)
"""


@pytest.mark.parametrize("processes", ["1", "2"])
def test_several_modules(tmp_path, processes):
    files = {"pyproject.toml": SEVERAL, "models.py": MODELS + RAISING}
    code, output = contract(tmp_path, "--json", "--junit", "c.xml", "-n", processes, **files)

    net, relu, raising = json.loads(output)
    assert [report["module"] for report in (net, relu, raising)] == [
        "models:Net",
        "torch.nn:ReLU(inplace=True)",
        "models:Raising",
    ]
    assert (net["findings"], relu["findings"]) == ([], [])
    assert (net["counts"]["allowed"], relu["counts"]["allowed"]) == (1, 1)
    assert [finding["rule"] for finding in raising["findings"]] == ["calling.in_eval_mode"]
    assert (tmp_path / "c.xml").read_text().count("<testsuite ") == 3
    assert code == 1


@pytest.mark.parametrize("processes", ["1", "2"])
def test_one_that_cannot_be_built_keeps_no_other_from_being_judged(tmp_path, processes):
    table = SEVERAL.replace('module = "models:Net"', 'module = "models:RAISED"')
    files = {"pyproject.toml": table, "models.py": f"{MODELS}{RAISING}\nRAISED = 3\n"}
    why = "models:RAISED: is an int; name a module's class, or a function that returns a module"

    for more in ([], ["--json"]):
        code, output = contract(
            tmp_path, "--only", "modes", "-n", processes, "--junit", "c.xml", *more, **files
        )

        assert output.endswith(f"nnspec contract: {why}\n")
        assert code == 2
        if more:
            refused, *judged = json.loads(output[: output.rindex("]") + 1])
            assert refused == {"module": "models:RAISED", "error": why}
            assert [one["module"] for one in judged] == ["torch.nn:ReLU(inplace=True)", "models:Raising"]
        else:
            assert output.count("contract of ") == 2
        assert (tmp_path / "c.xml").read_text().count("<testsuite ") == 3
        assert 'errors="1"' in (tmp_path / "c.xml").read_text()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_command_that_is_taken_away_leaves_no_file(tmp_path, processes):
    waiting = MODELS.replace("def forward(self, x):", "def forward(self, x):\n        mark()")
    waiting += """
import pathlib, tempfile, time

def mark():
    if any(pathlib.Path(tempfile.gettempdir()).iterdir()):  # while it is judged
        pathlib.Path("at_work").touch()
        time.sleep(100)
"""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / "models.py").write_text(waiting)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    command = ["-m", "nnspec", "contract", "models:Net", "--input", "4,2", "--only", "modes", "-n", processes]
    with subprocess.Popen([sys.executable, *command], cwd=tmp_path, env=environment) as process:
        while not (tmp_path / "at_work").exists() and process.poll() is None:
            time.sleep(0.1)
        process.terminate()

        assert process.wait(60) == 130
    assert list(temporary.iterdir()) == []


def test_processes_share_the_rules_of_one_module(tmp_path):
    options = ["models:Raising", "--input", "4,2"]
    alone = contract(tmp_path, *options, **{"models.py": MODELS + RAISING})
    shared = contract(tmp_path, *options, "-n", "2", **{"models.py": MODELS + RAISING})

    assert shared == alone
    assert "as calling.in_eval_mode says, the module raises ValueError: not in eval mode" in alone[1]


def test_a_process_that_is_killed(tmp_path):
    ending = MODELS.replace("def forward(self, x):", "def forward(self, x):\n        os.kill(os.getpid(), 9)")
    code, output = contract(
        tmp_path, "models:Net", "--input", "4,2", "-n", "2", **{"models.py": f"import os\n{ending}"}
    )

    assert "nnspec contract: a process that judged was ended from outside, as for want of memory" in output
    assert (code, output.count("Traceback")) == (2, 0)


def test_a_module_that_ends_the_process(tmp_path):
    way_out = "\n        os.fork() or os._exit(0)\n        os._exit(0)"
    ending = MODELS.replace("def forward(self, x):", f"def forward(self, x):{way_out}")
    code, output = contract(tmp_path, "models:Net", "--input", "4,2", **{"models.py": f"import os\n{ending}"})

    assert output.startswith("nnspec contract: models:Net: raised when called, in train mode")
    assert "SystemExit: os._exit(0)\n  models.py:" in output
    assert code == 2


def test_a_thread_without_an_end_keeps_no_command(tmp_path):
    thread = "threading.Thread(target=time.sleep, args=(10**6,)).start()"
    waiting = "import threading, time\n" + MODELS.replace(
        "super().__init__()", f"super().__init__(); {thread}"
    )
    options = ["--input", "4,2", "--only", "printing", "--only", "names"]
    runs = [
        contract(tmp_path, "models:Net", *options, *more, **{"models.py": waiting})
        for more in ([], ["-n", "2"])
    ]

    assert [(code, "10 rules: 10 holds" in output) for code, output in runs] == [(0, True)] * 2


def test_what_a_module_prints_is_no_part_of_the_json(tmp_path):
    noise = "print('in Python'); os.write(1, b'beside it')"
    noisy = "import os\n" + MODELS.replace("return self", f"{noise}; return self")
    options = ["--input", "4,2", "--only", "printing", "--json"]
    (tmp_path / "models.py").write_text(noisy)
    done = subprocess.run(
        [sys.executable, "-m", "nnspec", "contract", "models:Net", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert json.loads(done.stdout)["module"] == "models:Net"
    assert ("in Python" in done.stderr, "beside it" in done.stderr) == (True, True)


def test_a_junit_file_lies_where_it_was_named_and_the_report_is_out_before_it(tmp_path):
    moving = "import os\n" + MODELS.replace("super().__init__()", "super().__init__(); os.chdir('/')")
    options = ["--input", "4,2", "--only", "printing", "--junit"]
    code, _ = contract(tmp_path, "models:Net", *options, "c.xml", **{"models.py": moving})
    full, output = contract(tmp_path, "models:Net", *options, "/dev/full")

    assert (code, 'tests="1"' in (tmp_path / "c.xml").read_text()) == (0, True)
    assert "1 rule: 1 holds\n" in output
    assert "/dev/full: the JUnit file cannot be written: No space left on device" in output
    assert full == 2


def test_more_processes_than_rules_and_processors_are_not_started(tmp_path):
    options = ["--input", "4,2", "--only", "printing", "-n", "1000"]

    code, output = contract(tmp_path, "models:Net", *options)

    assert (code, output.endswith("\n1 rule: 1 holds\n")) == (0, True)


def test_a_crash_says_where_it_was(tmp_path):
    crashing = "import os\n" + MODELS.replace("return self", "os.abort(); return self")
    code, output = contract(tmp_path, "models:Net", "--input", "4,2", **{"models.py": crashing})

    assert code < 0
    assert "Fatal Python error: Aborted" in output
    assert 'models.py", line' in output


def test_a_property_that_ends_the_process(tmp_path):
    ending = f"import os\n{MODELS}\n    @property\n    def size(self):\n        os._exit(0)\n"
    code, output = contract(
        tmp_path, "models:Net", "--input", "4,2", "--only", "building", **{"models.py": ending}
    )

    assert "while this is tried, the module raises SystemExit: os._exit(0) at models.py:" in output
    assert code == 0


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (
            "builtins.print = None",
            "when it is built and called, it changes Python's builtins: print; leave them",
        ),
        ("builtins.len = builtins.isinstance = None", "it changes Python's builtins: isinstance, len; leave"),
        (
            "sys.stdout.close()",
            "raised when called, in train mode, on float32 (4, 2): RuntimeError: it closes",
        ),
        (
            "sys.stderr.close()",
            "raised when called, in train mode, on float32 (4, 2): RuntimeError: it closes",
        ),
    ],
)
def test_a_module_that_spoils_what_the_tool_needs(tmp_path, spoil, text):
    spoiling = MODELS.replace("def forward(self, x):", f"def forward(self, x):\n        {spoil}")
    code, output = contract(
        tmp_path, "models:Net", "--input", "4,2", **{"models.py": f"import builtins, sys\n{spoiling}"}
    )

    assert output.startswith("nnspec contract: models:Net: ")
    assert text in output
    assert (code, output.count("Traceback")) == (2, 0)


@pytest.mark.parametrize(
    "spoil", ["sys.stdout = sys.stderr = None", "os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())"]
)
def test_a_module_that_leaves_the_process_no_output_or_folder(tmp_path, spoil):
    spoiling = MODELS.replace("super().__init__()", f"super().__init__(); {spoil}")
    options = ["--input", "4,2", "--only", "printing"]
    source = f"import os, sys, tempfile\n{spoiling}"
    code, output = contract(tmp_path, "models:Net", *options, **{"models.py": source})

    assert (code, output.endswith("\n1 rule: 1 holds\n")) == (0, True)


def test_a_class_that_hides_its_module(tmp_path):
    options = ["--input", "4,2", "--only", "registration", "--only", "names"]
    runs = [
        contract(tmp_path, "models:Net", *options, **{"models.py": source})
        for source in (MODELS, f"{MODELS}\n\nNet.__module__ = None\n")
    ]

    assert runs[0] == runs[1]


def test_inputs_without_a_module_are_of_none_of_several(tmp_path):
    code, output = contract(tmp_path, "--input", "4,2", **{"pyproject.toml": SEVERAL})

    assert output == "nnspec contract: inputs were given, and no module that takes them; name it\n"
    assert code == 2


def test_what_takes_too_long_is_no_pass(tmp_path):
    slow = "import time\n" + MODELS.replace("return self", "time.sleep(1.2); return self")
    options = ["--input", "4,2", "--only", "a_second_call", "--limit", "2"]
    code, output = contract(tmp_path, "models:Net", *options, **{"models.py": slow})

    assert "1 rule: 1 out of time\n" in output
    assert "not judged: calling.a_second_call\n  it took longer than 2 seconds" in output
    assert code == 3


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("return self", "its first call did not end within 1 seconds, in train mode, on float32 (4, 2)"),
        ("super().__init__()", "was not built within 1 seconds"),
    ],
)
def test_a_module_that_never_comes_to_an_end_is_exit_code_2(tmp_path, at, message):
    endless = "import time\n" + MODELS.replace(at, f"time.sleep(100); {at}")
    options = ["--input", "4,2", "--limit", "1"]
    code, output = contract(tmp_path, "models:Net", *options, **{"models.py": endless})

    assert output.startswith(f"nnspec contract: models:Net: {message}; give a higher limit")
    assert code == 2


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("module = 3", "tool.nnspec.module is 3, expected a text"),
        (
            'modle = "a"',
            "tool.nnspec has an unknown entry 'modle'; the entries of tool.nnspec are module, input",
        ),
        ('[[tool.nnspec.modules]]\ninput = ["2"]', "tool.nnspec.modules[0] lacks 'module'"),
        ('allow.registration.closures = ""', "tool.nnspec.allow.registration.closures"),
    ],
)
def test_a_table_with_what_it_cannot_have(tmp_path, monkeypatch, capsys, table, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(f"[tool.nnspec]\n{table}\n")

    assert cli.main(["contract"]) == 2
    assert message in capsys.readouterr().err.replace("`", "'")


def test_a_module_that_cannot_be_judged_is_exit_code_2(tmp_path):
    code, output = contract(tmp_path, "models:Net", "--input", "4,3")

    assert "models:Net: raised when called, in train mode, on float32 (4, 3): RuntimeError" in output
    assert "Traceback" not in output
    assert code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.nnspec", ": cannot be read: Expected ']'"),
        ("\ufeff[tool.nnspec]", ":1: cannot be read: it begins with a byte order mark; save it without one"),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path, monkeypatch, capsys, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")

    assert cli.main(["contract"]) == 2
    assert f"{tmp_path / 'pyproject.toml'}{message}" in capsys.readouterr().err


def test_no_module_at_all(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert cli.main(["contract"]) == 2
    assert capsys.readouterr().err.startswith("nnspec contract: no module was named; name one, as in: nnspec")


@pytest.mark.parametrize(
    ("file", "model", "expected"), [("good.txt", "Tagger", 0), ("broken.txt", "Hurried", 1)]
)
def test_the_page_shows_what_the_command_prints(tmp_path, file, model, expected):
    page = ROOT / "docs" / "contract"
    models = (page / "models.py").read_text()

    code, output = contract(tmp_path, f"models:{model}", "--input", "2,12:int64", **{"models.py": models})

    line, _, shown = (page / file).read_text().partition("\n")
    assert line == f"$ nnspec contract models:{model} --input 2,12:int64"
    assert re.sub(r"torch \d\S*", "torch 2.15.0", output) == shown, (
        f"make {file} anew: run its first line there"
    )
    assert code == expected
