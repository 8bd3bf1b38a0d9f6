"""The tables beside the clauses come as they are written, and a row that cannot be used is named."""

import pytest

from nnspec.clauses import tables
from nnspec.clauses.tables import Change, Claim, Question, Release, Retired, Shown, Stage, TableError, Thread

CHANGES = """
["2.5"]
[["2.5".changes]]
what = "plain dicts"
hurts = "breaks"
rank = 1
do = "use them"
threads = ["#715", "other/one#2"]
clauses = ["a.b.c"]

[["2.5".changes]]
what = "an argument"
why = "it is internal"

["2.6"]
none = "nothing here"
"""


@pytest.fixture
def write_table(tmp_path):
    """Writes a table and gives its file."""

    def write(text):
        file = tmp_path / "table.toml"
        file.write_text(text)
        return file

    return write


@pytest.mark.parametrize(
    ("read", "text", "rows"),
    [
        (
            tables.read_claims,
            '[N1-01]\nsaid = "one"\nverdict = "holds"\n'
            '[N1-02]\nsaid = "two"\nverdict = "wrong"\ninstead = "2"\n',
            [Claim("N1-01", "one", "holds", ""), Claim("N1-02", "two", "wrong", "2")],
        ),
        (
            tables.read_questions,
            '[Q1]\nasked = "why?"\nsaid = ["what for?"]\nthreads = ["#715"]\n[Q2]\nasked = "how?"',
            [Question("Q1", "why?", ("what for?",), ("#715",)), Question("Q2", "how?", (), ())],
        ),
        (
            tables.read_threads,
            '["other/one#2"]\nasked = "why?"\nclauses = ["a.b.c"]',
            [Thread("other/one#2", "why?", ("a.b.c",))],
        ),
        (
            tables.read_phrasings,
            '[a]\n"b.c" = ["how?", "why?"]',
            {"a.b.c": ("how?", "why?")},
        ),
        (
            tables.read_tour,
            '["First"]\ntext = "It begins."\nclauses = ["a.b.c"]',
            [Stage("First", "It begins.", ("a.b.c",))],
        ),
        (
            tables.read_changes,
            CHANGES,
            [
                Release(
                    "2.5",
                    (
                        Change(
                            "plain dicts", "breaks", 1, "use them", ("#715", "other/one#2"), ("a.b.c",), ""
                        ),
                        Change("an argument", "", 3, "", (), (), "it is internal"),
                    ),
                    "",
                ),
                Release("2.6", (), "nothing here"),
            ],
        ),
        (
            tables.read_retired,
            '["a.b.c"]\nsuccessor = "a.b.d"\n["a.b.e"]\nwhy = "it went"',
            [Retired("a.b.c", "a.b.d", ""), Retired("a.b.e", "", "it went")],
        ),
        (tables.read_shown, '[front]\nclause = "a.b.c"', Shown("a.b.c", {}, {})),
        (tables.read_shown, '[answers]\n"why?" = "a.b.c"', Shown("", {"why?": "a.b.c"}, {})),
        (
            tables.read_shown,
            '[pictures]\nwalk = "a.b.c"\ntie = "a.b.d"',
            Shown("", {}, {"walk": "a.b.c", "tie": "a.b.d"}),
        ),
    ],
)
def test_rows_come_as_they_are_written(write_table, read, text, rows):
    assert read(write_table(text)) == rows


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (tables.read_claims, "[N1-01", "cannot be read: "),
        (tables.read_claims, "x = 1", "x is 1, expected a table, got 'int'"),
        (tables.read_claims, '[N1-01]\nsaid = "one"', "N1-01 lacks 'verdict'"),
        (
            tables.read_questions,
            '[Q1]\nasked = "why?"\nthread = 1',
            "Q1 has an unknown entry 'thread'",
        ),
        (
            tables.read_questions,
            '[Q1]\nasked = "why?"\nthreads = "#715"',
            "Q1.threads is '#715', expected a list, got 'str'",
        ),
        (
            tables.read_questions,
            '[Q1]\nasked = "why?"\nthreads = [715]',
            "Q1.threads[0] is 715, expected a text, got 'int'",
        ),
        (
            tables.read_changes,
            '["2.5"]\nchanges = [1]',
            "2.5.changes[0] is 1, expected a table, got 'int'",
        ),
        (tables.read_changes, '[["2.5".changes]]\nwhy = "so"', "2.5.changes[0] lacks 'what'"),
        (
            tables.read_changes,
            '[["2.5".changes]]\nwhat = "x"\nclauses = 1',
            "2.5.changes[0].clauses is 1, expected a list, got 'int'",
        ),
        (tables.read_changes, '["2.5"]\nnone = 1', "2.5.none is 1, expected a text, got 'int'"),
        (
            tables.read_changes,
            '[["2.5".changes]]\nwhat = "x"\nrank = 4',
            "2.5.changes[0].rank is 4, expected 'int' <= 3",
        ),
        (tables.read_shown, "[back]", "the file has an unknown entry 'back'"),
        (tables.read_shown, "[answers]\nq = 1", "answers.q is 1, expected a text, got 'int'"),
        (tables.read_shown, "[front]\nrule = 'x'", "front has an unknown entry 'rule'"),
        (tables.read_shown, "[front]\nclause = 1", "front.clause is 1, expected a text"),
        (tables.read_shown, "[pictures]\nwalk = 1", "pictures.walk is 1, expected a text"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(write_table, read, text, message):
    file = write_table(text)

    with pytest.raises(TableError) as error:
        read(file)

    assert str(error.value).startswith(f"{file}: {message}")


def test_a_table_that_is_not_there_is_empty(tmp_path):
    assert tables.read_questions(tmp_path / "none.toml") == []
