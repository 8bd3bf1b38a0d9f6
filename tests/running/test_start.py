"""How pytest is started for a user: on the files of this package, with nothing of the folder's own set-up."""

import os
from types import SimpleNamespace

import pytest

from nnspec.cli import main
from nnspec.errors import UsageError
from nnspec.running import start


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a specification of two parts."""
    for part in ("", "one", "two"):
        folder = tmp_path / "nnspec" / "spec" / part
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
    (tmp_path / "nnspec" / "spec" / "nothing").mkdir()
    (tmp_path / "nnspec" / "pyproject.toml").write_text("")
    monkeypatch.setattr(start, "_PACKAGE", tmp_path / "nnspec")
    return tmp_path / "nnspec"


@pytest.fixture
def started(monkeypatch):
    """What pytest was started with, and the code that it ends with."""
    seen = SimpleNamespace(arguments=None, environment=None, code=pytest.ExitCode.OK)

    def run(arguments, plugins):
        seen.arguments, seen.environment = arguments, dict(os.environ)
        return seen.code

    monkeypatch.setattr(start.pytest, "main", run)
    return seen


def test_the_specification_in_the_package_or_beside_it(package, tmp_path):
    assert start.spec_folder() == package / "spec"

    (package / "spec").rename(tmp_path / "spec")
    assert start.spec_folder() == tmp_path / "spec"

    (tmp_path / "spec").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="nnspec: there is no spec in it; install the package anew with pip"):
        start.spec_folder()


def test_pytest_sees_its_own_settings_and_none_of_the_environment(package, started, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("MARKER", "kept")
    before = dict(os.environ)

    assert main(["verify"]) == 0

    storage = started.arguments.pop(13)
    assert storage.startswith("file:///")
    assert not os.path.exists(storage.removeprefix("file://"))
    assert started.arguments == [
        *("-c", str(package / "pyproject.toml"), "--rootdir", str(package.parent)),
        *("--confcutdir", str(package / "spec"), "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin"),
        *("-p", "nnspec.running.plugin", "--benchmark-storage"),
        str(package / "spec"),
    ]
    own = {name: value for name, value in started.environment.items() if name.startswith("PYTEST_")}
    assert own == {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    assert started.environment["MARKER"] == "kept"
    assert dict(os.environ) == before


def test_options_and_parts_are_handed_on(package, started, tmp_path):
    (package / "spec" / "one" / "test_a.py").write_text("")
    wish = ["--device", "cpu", "--device", "meta", "--record", str(tmp_path / "records"), "-v"]

    assert main(["verify", "one/test_a.py", "two", *wish]) == 0

    assert started.arguments[14:] == [
        *("--device", "cpu", "--device", "meta", "--record", str(tmp_path / "records"), "-v"),
        *(str(package / "spec" / part) for part in ("one/test_a.py", "two")),
    ]
    assert started.arguments[5] == str(package / "spec" / "one")


def test_a_part_that_is_not_there_lists_the_others(package, started, capsys):
    assert main(["verify", "one", "three"]) == 2
    assert capsys.readouterr().err.endswith("three: the specification has no such part; one of one, two\n")
    assert main(["verify", ""]) == 2
    assert "an empty text: the specification has no such part" in capsys.readouterr().err
    assert started.arguments is None


def test_an_interrupt_is_no_misuse(package, monkeypatch, capsys):
    def run(arguments, plugins):
        with pytest.raises(KeyboardInterrupt) as caught:
            raise KeyboardInterrupt
        for plugin in plugins:
            plugin.pytest_keyboard_interrupt(caught)
        return pytest.ExitCode.INTERRUPTED

    monkeypatch.setattr(start.pytest, "main", run)

    assert main(["verify"]) == 130
    assert capsys.readouterr().err == "nnspec verify: interrupted\n"


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (pytest.ExitCode.OK, 0),
        (pytest.ExitCode.TESTS_FAILED, 1),
        (pytest.ExitCode.INTERRUPTED, 2),
        (pytest.ExitCode.INTERNAL_ERROR, 3),
        (pytest.ExitCode.NO_TESTS_COLLECTED, 2),
    ],
)
def test_what_the_exit_code_says(package, started, ended, code):
    started.code = ended

    assert main(["verify"]) == code
