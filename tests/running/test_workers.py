"""How ``pytest -n`` shares out clauses."""

import pytest

from nnspec.running.workers import ByChapter


class Config:
    """As much of pytest's configuration as the sharing asks for."""

    def __init__(self, root):
        self.rootpath = root

    def getvalue(self, name):
        return ["popen"]


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """``shared(nodeid)`` is the scope of a clause: those of one scope go to one worker."""
    monkeypatch.setattr(ByChapter, "__init__", lambda self, config: setattr(self, "config", config))
    for chapter, text in {
        "test_a": "",
        "test_b": '@pytest.mark.needs("compile")',
        "test_c": '@pytest.mark.needs("compile")',
        "test_d": '@pytest.mark.needs("distributed")',
        "test_e": '@pytest.mark.needs("cuda")',
    }.items():
        (tmp_path / f"{chapter}.py").write_text(text)
    return ByChapter(Config(tmp_path))._split_scope


def test_a_chapter_stays_whole(shared):
    assert shared("test_a.py::test_x[1-2]") == shared("test_a.py::test_y") == "test_a.py"
    assert shared("test_e.py::test_x") == "test_e.py"


def test_chapters_that_are_slow_to_set_up_share_a_worker(shared):
    assert shared("test_b.py::test_x") == shared("test_c.py::test_y") == "compile"
    assert shared("test_d.py::test_x") == "distributed"
