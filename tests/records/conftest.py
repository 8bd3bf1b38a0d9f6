"""A project with records of two releases."""

import pytest

from nnspec.clauses.chapter import read_chapters
from nnspec.records import record
from nnspec.records.record import Record, Row

CLAUSES = '''
@pytest.mark.since("2.5")
def test_new():
    """A :class:`~torch.nn.Module` is new (:pull:`129164`)."""
    assert 1


@pytest.mark.before("2.5")
def test_old():
    """It is old."""
    assert 1


def test_always():
    """It is always so."""
    assert 1


@pytest.mark.needs("cuda")
def test_far():
    """It is far."""
    assert 1
'''
RUN = {"torchvision": "0.1", "python": "3.11", "platform": "Linux", "devices": ["cpu"]}


@pytest.fixture
def project(write, monkeypatch):
    """A project with records of 2.4.1 and 2.5.1."""
    root = write(CLAUSES)
    digest = {
        clause.name: clause.digest for chapter in read_chapters(root / "spec") for clause in chapter.clauses
    }
    for version, new, old in (("2.4.1", "absent", "holds"), ("2.5.1", "holds", "no longer")):
        rows = {
            "mini.small.always": Row("holds", digest["always"]),
            "mini.small.far": Row("unmet", digest["far"], "need a CUDA device"),
            "mini.small.new": Row(new, digest["new"]),
            "mini.small.old": Row(old, digest["old"]),
        }
        record.write(Record({**RUN, "torch": version}, rows), root / "docs" / "records")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def change(write):
    """``change()`` gives one clause another body."""
    return lambda: write(CLAUSES.replace('always so."""\n    assert 1', 'always so."""\n    assert 2'))
