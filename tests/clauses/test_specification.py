"""The specification as a whole: its order, its tables, and the clauses behind a row."""

import pytest

from nnspec.clauses import parts, threads
from nnspec.clauses.parts import find_checkout
from nnspec.clauses.specification import read_specification
from nnspec.errors import UsageError

CLAUSE = '''
@pytest.mark.claim("N1-01")
@pytest.mark.question("Q1", "Q2")
def test_{name}():
    """It is {name}."""
    assert 1
'''


@pytest.fixture
def root(write):
    """A project of two parts and three chapters, whose openings name some of them."""
    write(CLAUSE.format(name="one"), part="first", chapter="a")
    write(CLAUSE.format(name="two"), part="first", chapter="b")
    root = write(CLAUSE.format(name="three"), part="zeroth", chapter="c")
    (root / "spec" / "__init__.py").write_text('"""Read *zeroth* before the others."""')
    (root / "spec" / "first" / "__init__.py").write_text('"""*b*, then *a*, then *b* again."""')
    (root / "docs" / "claims.toml").write_text('[N1-01]\nsaid = "so"\nverdict = "holds"')
    (root / "docs" / "questions.toml").write_text('[Q1]\nasked = "why?"')
    (root / "docs" / "changes.toml").write_text('["2.5"]\nnone = "x"')
    (root / "spec" / "RETIRED.toml").write_text('["a.b.c"]\nwhy = "x"')
    return root


def test_parts_and_chapters_stand_in_the_order_of_their_openings(root):
    read = read_specification(root)

    assert list(read.clauses) == ["zeroth.c.three", "first.b.two", "first.a.one"]
    assert [(part.name, part.docstring) for part in read.parts] == [
        ("zeroth", "A part."),
        ("first", "*b*, then *a*, then *b* again."),
    ]
    chapters = [read.chapter_of(clause).id for clause in read.clauses.values()]
    assert chapters == [
        "zeroth.c",
        "first.b",
        "first.a",
    ]


@pytest.mark.parametrize("opening", ["", None])
def test_a_part_that_says_nothing_has_no_docstring_and_its_chapters_by_name(root, opening):
    page = root / "spec" / "first" / "__init__.py"
    page.unlink()
    if opening is not None:
        page.write_text(opening)

    part = read_specification(root).parts[1]

    assert (part.docstring, [chapter.name for chapter in part.chapters]) == ("", ["a", "b"])


def test_each_table_is_read(root):
    read = read_specification(root)
    rows = [read.claims[0].id, read.questions[0].id, read.changes[0].name, read.retired[0].id]

    assert rows == ["N1-01", "Q1", "2.5", "a.b.c"]
    assert read.records_folder == root / "docs" / "records"


def test_the_clauses_behind_a_row(root):
    deciding = read_specification(root).deciding("question")

    assert {row: [clause.name for clause in clauses] for row, clauses in deciding.items()} == {
        "Q1": ["three", "two", "one"],
        "Q2": ["three", "two", "one"],
    }


def test_a_checkout_is_this_folder_or_the_one_of_the_package(root, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "__file__", str(root / "nnspec" / "clauses" / "parts.py"))
    monkeypatch.chdir(root)
    assert find_checkout() == root

    half = tmp_path / "half"
    (half / "docs").mkdir(parents=True)
    monkeypatch.chdir(half)
    assert find_checkout() == root

    monkeypatch.setattr(parts, "__file__", str(half / "a" / "b" / "c.py"))
    with pytest.raises(UsageError, match="half: no spec/ and docs/ here"):
        find_checkout()


def test_a_thread_is_one_of_torch_or_names_its_repository():
    assert threads.address("#715") == "https://github.com/pytorch/pytorch/issues/715"
    assert threads.address("other/one#2") == "https://github.com/other/one/issues/2"
