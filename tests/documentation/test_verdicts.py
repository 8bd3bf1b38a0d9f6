"""What the tables may say, and how they stand beside the documentation of the torch at hand."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nnspec import cli
from nnspec.clauses.releases import RELEASES
from nnspec.clauses.tables import TableError
from nnspec.documentation import command, objects, state
from nnspec.documentation.docstrings import sentence
from nnspec.documentation.verdicts import Row, read_tables
from nnspec.errors import UsageError

CLAUSE = '''
def test_a():
    """A layer of ``Linear`` has a weight."""
    assert nn.Linear(2, 3).weight.shape == (3, 2)
'''

TABLE = """
["torch.nn.Linear"]
0123456789 = {{words = "A layer", {row}}}
"""

WRONG_ROW = 'verdict = "false", clauses = ["a.b.c"]'


@pytest.fixture
def table(tmp_path):
    def write(text, name="linear"):
        folder = tmp_path / "docs" / "documentation"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.toml").write_text(text)
        return folder

    return write


def test_a_table_has_a_row_for_each_sentence(table):
    folder = table(TABLE.format(row=f'{WRONG_ROW}, instead = "It has none.", harm = "error"'))

    rows = {"0123456789": Row("A layer", "false", ("a.b.c",), "", "It has none.", "error")}
    assert read_tables(folder) == {"torch.nn.Linear": rows}


WRONG = {
    'verdict = "yes"': "the verdict 'yes' is none; say one of true, false",
    'verdict = "true"': "true, and no clause shows it; name one, or say 'open'",
    'verdict = "not testable"': "what is not testable, and nothing else, has a kind: advice",
    'verdict = "true", clauses = ["a.b.c"], kind = "plan"': "what is not testable, and nothing else",
    WRONG_ROW: "what is false or misleading, and nothing else, says",
    f'{WRONG_ROW}, instead = "No."': "says what is so instead, and its harm: silent",
    'verdict = "open", clauses = "a.b.c"': ".clauses is 'a.b.c', expected a list",
    'verdict = "open", why = "so"': " has an unknown entry 'why'",
}


@pytest.mark.parametrize("row", WRONG)
def test_a_row_that_says_too_much_or_too_little_is_refused(table, row):
    with pytest.raises(TableError) as caught:
        read_tables(table(TABLE.format(row=row)))

    assert WRONG[row] in str(caught.value)
    assert "linear.toml: torch.nn.Linear" in str(caught.value)


def test_an_object_has_one_table(table):
    table(TABLE.format(row='verdict = "open"'))
    with pytest.raises(TableError, match="has a table in another file"):
        read_tables(table(TABLE.format(row='verdict = "open"'), name="other"))


class Small(nn.Module):
    """A small layer. It is fast."""

    def grow(self):
        """Grow by one."""

    def _inner(self):
        """Not told."""

    def forward(self, x):
        return x


@pytest.fixture
def small(monkeypatch, write):
    """A checkout for a torch that documents one class."""
    monkeypatch.setattr(objects, "PARTS", {"linear": (__name__,)})
    monkeypatch.setattr(state, "PARTS", objects.PARTS)
    monkeypatch.setitem(objects.ONLY, __name__, ("Small",))
    monkeypatch.setattr(torch, "__version__", f"{RELEASES[-1]}.0")
    root = write(CLAUSE)
    (root / "docs" / "documentation").mkdir()
    monkeypatch.chdir(root)
    return root


def complete(root, **verdicts):
    """Rows for the sentences of the class; those that are named have another row."""
    rows = {"A small layer.": 'verdict = "true", clauses = ["mini.small.a"]'}
    rows |= {"It is fast.": 'verdict = "not testable", kind = "judgement"'}
    grow = verdicts.get("grow", 'verdict = "open"')
    lines = [f'{sentence(text).digest} = {{words = "{text}", {row}}}' for text, row in rows.items()]
    lines += [
        f'["{__name__}.Small.grow"]',
        f'{sentence("Grow by one.").digest} = {{words = "Grow by", {grow}}}',
    ]
    text = "\n".join([f'["{__name__}.Small"]', *lines])
    (root / "docs" / "documentation" / "linear.toml").write_text(text)


def test_sentences_without_a_verdict_are_printed_as_rows(small, capsys):
    assert cli.main(["documentation"]) == 1

    shown = capsys.readouterr().out
    assert "3 sentences without a verdict; rows to complete:" in shown
    assert f'["{__name__}.Small.grow"]\n# Grow by one.\n{sentence("Grow by one.").digest} = ' in shown
    assert "Not told" not in shown
    assert "documents 2 objects in 3 sentences:\n3 without a verdict" in shown


def test_what_no_clause_decides_is_listed_until_one_does(small, capsys):
    complete(small)
    assert cli.main(["documentation"]) == 1
    shown = capsys.readouterr().out
    assert f"1 that no clause decides:\n  {__name__}.Small.grow: " in shown
    assert "1 true, 1 not testable, 1 open" in shown

    complete(small, grow='verdict = "true", clauses = ["mini.small.a"]')
    assert cli.main(["documentation"]) == 0
    assert cli.main(["lint"]) == 0


def test_a_reworded_sentence_shows_its_old_verdict(small, capsys, monkeypatch):
    complete(small)
    monkeypatch.setattr(Small, "__doc__", "A small layer. It is fast, always.")

    assert cli.main(["documentation"]) == 1

    shown = capsys.readouterr().out
    digest = sentence("It is fast, always.").digest
    assert (
        f'{digest} = {{words = "It is fast, always.", verdict = "not testable", kind = "judgement"}}' in shown
    )
    assert "1 rows whose sentence torch" in shown
    assert cli.main(["lint"]) == 1
    assert "no verdict on 'It is fast, always.'" in capsys.readouterr().out


def test_a_row_whose_clause_went_is_told(small, capsys):
    complete(small, grow='verdict = "true", clauses = ["mini.small.gone"]')

    assert cli.main(["documentation"]) == 1
    assert "there is no clause mini.small.gone" in capsys.readouterr().out
    assert cli.main(["lint"]) == 1
    assert "there is no clause mini.small.gone" in capsys.readouterr().out


def test_an_older_release_may_say_other_things(small, capsys, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.6.0")

    assert cli.main(["documentation"]) == 0
    assert cli.main(["lint"]) == 0


def test_every_sentence_is_given_as_json(small, capsys):
    complete(small)
    cli.main(["documentation", "--json"])

    rows = json.loads(capsys.readouterr().out)
    assert [row["verdict"] for row in rows] == ["true", "not testable", "open"]
    assert rows[0] == {
        "object": f"{__name__}.Small",
        "about": "",
        "sentence": "A small layer.",
        "digest": sentence("A small layer.").digest,
        "verdict": "true",
        "clauses": ["mini.small.a"],
        "instead": "",
    }


def test_torch_documents_what_is_asked_for():
    names = {documented.name for part in objects.PARTS for documented in objects.documented(part)}

    assert {"torch.nn.Module", "torch.nn.Module.to", "torch.nn.LSTM", "torch.func.functional_call"} <= names
    assert {"torch.nn.utils.prune.identity", "torch.save", "torch.compile", "torch.nn.init.normal_"} <= names
    assert not any("._" in name.replace("._per_sample", "") for name in names)
    assert command.as_toml("01", Row("", ""), "A b") == '01 = {words = "A b"}'


def test_where_python_leaves_docstrings_out_nothing_seems_to_be_gone(monkeypatch):
    monkeypatch.setattr(sys, "flags", SimpleNamespace(optimize=2))

    with pytest.raises(UsageError, match="Python leaves docstrings out"):
        next(objects.documented("linear"))
