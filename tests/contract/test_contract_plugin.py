"""The plugin on small rules: what a run judges, shows, accepts and refuses."""

import pytest

from nnspec.contract.command import RULES

pytest_plugins = ["pytester"]

MODELS = '''
import torch
from torch import nn

class Net(nn.Module):
    """One layer is registered, one hides in a list."""

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
        torch.manual_seed(3)
        return super().forward(x)
'''

HIDDEN = '''
def test_nothing_hides(build):
    """Every module is registered."""
    lists = {name: value for name, value in vars(build()).items() if isinstance(value, list)}
    assert [f"`{name}` is a list of {len(value)};\\nuse nn.ModuleList" for name, value in lists.items()] == []
'''

TRAINED = '''
def test_parameters_are_floats(build, unless):
    """Every parameter is a number with a fraction."""
    parameters = list(build().parameters())
    unless([] if parameters else ["it has no parameters"])
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
def run(tmp_path, pytester, monkeypatch):
    """Judges a module by rules: ``run(rules, *arguments)`` gives pytest's result."""

    def runs(rules, *arguments, table=""):
        folder = tmp_path / "rules"
        folder.mkdir()
        (folder / "test_small.py").write_text(f'"""A chapter."""\n\nimport pytest\nimport torch\n{rules}')
        (folder / "conftest.py").write_text((RULES / "conftest.py").read_text())
        (tmp_path / "models.py").write_text(MODELS)
        (tmp_path / "pyproject.toml").write_text(table)
        monkeypatch.chdir(tmp_path)
        options = ["-p", "nnspec.contract.plugin", "-p", "no:cacheprovider", "--rootdir", tmp_path]
        return pytester.runpytest_inprocess(*options, folder, *arguments)

    return runs


NET = ("--module", "models:Net", "--input", "4,2")
RELU = ("--module", "torch.nn:ReLU", "--input", "4,2")


def test_each_rule_is_named_by_its_statement_if_asked(run):
    result = run(CALLED, *NET, "-v", "--device", "cpu")

    result.stdout.fnmatch_lines(
        ["torch *, Python *, devices: cpu", "It computes the same twice. holds *", "1 rule: 1 holds"]
    )


def test_a_rule_that_says_nothing_of_a_module_gives_the_reason(run):
    result = run(TRAINED, *RELU)

    result.stdout.fnmatch_lines(
        [
            "contract of torch.nn:ReLU, called with float32 (4, 2)",
            "1 rule: 1 not applicable",
            "not applicable: small.parameters_are_floats",
            "  it has no parameters",
        ]
    )
    assert result.ret == pytest.ExitCode.OK


def test_a_rule_for_devices_is_judged_on_each_and_counts_once(run, monkeypatch):
    monkeypatch.setattr("nnspec.running.devices.present", lambda: ("cpu", "meta"))
    rule = '''
def test_it_moves(build, device):
    """It moves."""
    assert [name for name, one in build().to(device).named_parameters() if one.is_meta] == []
'''

    result = run(rule, *NET)

    result.stdout.fnmatch_lines(["1 rule: 1 violated", "violated: small.it_moves: It moves."])
    result.assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize("skip", ["@pytest.mark.skip('a disk')\ndef test", "def test"])
def test_what_cannot_be_judged_here_is_unmet(run, skip):
    rule = CALLED.replace("def test", skip).replace("net = ", "pytest.skip('a disk'); net = ")

    result = run(rule, *NET)

    result.stdout.fnmatch_lines(["1 rule: 1 unmet", "unmet: small.calls_agree: *a disk"])
    assert result.ret == pytest.ExitCode.OK


def test_findings_are_shown_one_by_one_and_without_a_traceback(run):
    result = run(HIDDEN + TRAINED, *NET)

    result.stdout.fnmatch_lines(
        [
            "violated: Every module is registered.",
            "rule small.nothing_hides, torch *",
            "  `blocks` is a list of 1;",
            "  use nn.ModuleList",
            "contract of models:Net, called with float32 (4, 2)",
            "2 rules: 1 holds, 1 violated",
            "violated: small.nothing_hides: Every module is registered.",
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


def test_a_fault_of_the_rule_is_no_violation_of_the_module(run):
    result = run(CALLED.replace("build()", "built()"), *NET)

    result.stdout.fnmatch_lines(
        [
            "error: It computes the same twice.",
            "  NameError: name 'built' is not defined",
            "1 rule: 1 error",
            "error: small.calls_agree: It computes the same twice.",
        ]
    )


def test_what_a_module_changes_in_the_process_is_put_back_for_the_next_rule(run):
    rule = '''
def test_the_process_is_as_it_was():
    """Nothing is left of the module."""
    assert (torch.are_deterministic_algorithms_enabled(), torch.initial_seed()) == (False, 20)
'''
    result = run(CALLED + rule, "--module", "models:Leaky", "--input", "4,2")

    result.stdout.fnmatch_lines(["2 rules: 2 holds"])


def test_every_build_and_every_example_starts_from_the_same_seed(run):
    rule = '''
def test_seed(build, example):
    """It is built the same each time."""
    weights = [build().inner.weight, build().inner.weight]
    rows = [example()[0][0], example()[0][0]]
    assert all(first is not second and first.equal(second) for first, second in (weights, rows))
'''
    run(rule, *NET).stdout.fnmatch_lines(["1 rule: 1 holds"])


@pytest.mark.parametrize("name", ["small.nothing_hides", "nothing_hides", "contract.small.nothing_hides"])
def test_an_allowed_violation_does_not_fail_the_run(run, name):
    result = run(HIDDEN, *NET, "--allow", name)

    result.stdout.fnmatch_lines(
        ["1 rule: 1 allowed", "allowed: small.nothing_hides: by --allow"], consecutive=False
    )
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    "name", ['"small.nothing_hides"', "small.nothing_hides", "contract.small.nothing_hides"]
)
def test_a_project_keeps_what_it_allows_with_the_reason(run, name):
    result = run(HIDDEN, *NET, table=f'[tool.nnspec.allow]\n{name} = "the list is walked by hand"')

    result.stdout.fnmatch_lines(["allowed: small.nothing_hides: the list is walked by hand"])
    assert result.ret == pytest.ExitCode.OK


def test_what_is_allowed_but_does_not_occur_is_said(run):
    table = '[tool.nnspec.allow]\nparameters_are_floats = "they were integers once"'

    result = run(TRAINED + CALLED, *NET, "--allow", "calls_agree", table=table)

    result.stdout.fnmatch_lines(
        [
            "allowed, but holds: small.parameters_are_floats; remove it from [[]tool*",
            "allowed, but holds: small.calls_agree; remove it from --allow",
        ]
    )
    assert result.ret == pytest.ExitCode.OK


def test_an_allowed_rule_allows_no_other(run):
    result = run(HIDDEN + CALLED, *NET, "--allow", "calls_agree")

    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("arguments", "table", "message"),
    [
        (
            ("--allow", "nothing_hidden"),
            "",
            "--allow: 'nothing_hidden' is no rule of the contract; near it: small.nothing_hides",
        ),
        (
            ("--allow", "zzz"),
            "",
            "--allow: 'zzz' is no rule of the contract; one of small.nothing_hides",
        ),
        (
            (),
            '[tool.nnspec.allow]\nhides = "why"',
            "[tool.nnspec.allow] in pyproject.toml: 'hides' is no rule of the contract; near it: small",
        ),
        (
            (),
            '[tool.nnspec.allow]\nnothing_hides = ""',
            'expected lines such as rule = "the reason"',
        ),
        (
            (),
            '[tool.nnspec]\nmodul = "x"',
            "[tool.nnspec] has no key 'modul'; it knows module, input, inputs",
        ),
        ((), '[tool.nnspec]\ninput = "2,3"', "[tool.nnspec] input = '2,3': expected a list of texts"),
        (("-n", "2"), "", "-n was given; leave it out: a module is judged in one process"),
        (("--device", "tpu"), "", "--device tpu: no such device here; this torch finds cpu"),
        (("--module", "models:Nett"), "", "--module models:Nett: models has no 'Nett'; did you mean Net?"),
    ],
)
def test_a_misuse_stops_the_run_with_one_message(run, arguments, table, message):
    result = run(HIDDEN, *NET, *arguments, table=table)

    output = result.stderr.str() + result.stdout.str()
    assert message in output
    assert "Traceback" not in output
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_run_without_a_module_asks_for_it(run):
    result = run(HIDDEN)

    assert "no module was named; name it with --module" in result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_what_is_no_rule_is_named(run):
    result = run(HIDDEN + "\nif True:\n    def test_under_an_if(): pass\n", *NET)

    assert (
        "test_small.py: test_under_an_if is no rule; a rule is a function at the top" in result.stderr.str()
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_fixture_that_fails_is_an_error_whatever_is_allowed(run):
    rule = """
@pytest.fixture
def broken(): assert [1] == []

def test_it(broken):
    'It is not reached.'
"""
    result = run(rule, *NET, "--allow", "it")

    result.stdout.fnmatch_lines(["1 rule: 1 error", "error: small.it: It is not reached."])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
