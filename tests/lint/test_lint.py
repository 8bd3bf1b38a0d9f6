"""Each rule is broken by a small project, is the only one that complains, and says what to do."""

import pytest

from nnspec.clauses.specification import read_specification
from nnspec.clauses.tables import TableError
from nnspec.lint import command
from nnspec.records import record
from nnspec.records.record import Record, Row

GOOD = '''
def test_a():
    """A layer of ``Linear`` has a weight."""
    assert nn.Linear(2, 3).weight.shape == (3, 2)
'''


def faults(root):
    return command.faults(read_specification(root))


def test_a_good_project_has_no_faults(write):
    assert faults(write(GOOD)) == []


BROKEN = {
    "words": (GOOD.replace("test_a", "test_aB"), "'aB' is not made of lower-case words"),
    "long name": (GOOD.replace("test_a", "test_" + "a" * 51), "the name has 51 characters, at most 50"),
    "twice": (
        GOOD + GOOD.replace("A layer", "Another layer"),
        "mini.small.a: 2 clauses have this id; only the last one runs",
    ),
    "nested": (
        GOOD + "\nif True:\n    def test_b():\n        pass\n",
        "test_b is no clause: a clause is a plain function",
    ),
    "no statement": (
        GOOD.replace('"""A layer of ``Linear`` has a weight."""', ""),
        "no statement; say in the docstring",
    ),
    "no full stop": (GOOD.replace("weight.", "weight"), "does not end with a full stop"),
    "two sentences": (GOOD.replace("weight.", "weight. It is big."), "more than one sentence"),
    "long": (GOOD.replace("a weight", "a " + "very " * 20 + "big weight"), "at most 100"),
    "should": (GOOD.replace("has a", "should have a"), "'should' speaks of testing"),
    "tests that": (GOOD.replace("A layer", "Tests that a layer"), "'Tests that' speaks of testing"),
    "same": (GOOD + GOOD.replace("test_a", "test_b"), "mini.small.b: the same statement as mini.small.a"),
    "role": (GOOD.replace("A layer", "A :klass:`torch.nn.Linear`"), "unknown role :klass:"),
    "target": (
        GOOD.replace("A layer", "A :class:`~torch.nn.Linnear`"),
        "torch.nn.Linnear does not exist on torch",
    ),
    "thread": (GOOD.replace("A layer", "A :issue:`x1` layer"), ":issue:`x1` is no number"),
    "mark": (GOOD.replace("def", "@pytest.mark.slow\ndef"), "unknown mark 'slow'; one of before, claim"),
    "need": (GOOD.replace("def", '@pytest.mark.needs("tpu")\ndef'), "needs('tpu') is unknown"),
    "how many": (
        GOOD.replace("def", '@pytest.mark.needs("cuda", True)\ndef'),
        "needs('cuda', True): how many, as a number from 1",
    ),
    "marks from afar": ('pytestmark = pytest.mark.since("2.5")\n' + GOOD, "pytestmark counts for no clause"),
    "no cases": (
        GOOD.replace("def", '@pytest.mark.parametrize("n", [])\ndef'),
        "mini.small.a: has no case, so it never runs; name one",
    ),
    "claim": (GOOD.replace("def", '@pytest.mark.claim("N9-99")\ndef'), "claim('N9-99') is no row of"),
    "question": (GOOD.replace("def", '@pytest.mark.question("Q0")\ndef'), "question('Q0') is no row of"),
    "long body": (GOOD + "    assert 1\n" * 26, "27 lines, at most 25"),
    "long chapter": (GOOD + "\n# more" * 400, "lines, at most 400; make two chapters of it"),
    "helpers": (
        "def helper():\n" + "    print()\n" * 150 + GOOD,
        "spec: 151 lines of helpers, at most 150",
    ),
    "asserts nothing": (GOOD.replace("assert ", ""), "asserts nothing, so it cannot fail"),
    "skips": (GOOD + '    pytest.skip("no")\n', "skips or fails by hand"),
    "catches": (
        GOOD + "    try:\n        print()\n    except ValueError:\n        pass\n",
        "catches an exception; use pytest.raises",
    ),
    "version": (GOOD + "    assert torch.__version__\n", "looks at the version"),
    "no name": (GOOD.replace(" of ``Linear``", ""), "the statement names no API"),
    "halves": (
        GOOD.replace("has a", "only has a").replace("shape == (3, 2)", "requires_grad"),
        "says 'only' and asserts one thing",
    ),
    "no thing": (GOOD.replace("has a weight", "is no leaf"), "'is no leaf'; say 'is not a'"),
    "spelling": (GOOD.replace("has a", "normalises a"), "'normalises'; torch spells it with z"),
    "any error": (
        GOOD + "    with pytest.raises(ValueError):\n        nn.Linear()\n",
        "pytest.raises(ValueError): any such error will do; add match",
    ),
    "imports": (GOOD + "    import nnspec.clause\n", "imports nnspec; they meet in pytest only"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_the_only_finding(write, name):
    source, message = BROKEN[name]

    found = faults(write(source))

    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(("method", "found"), [("forward", 0), ("__init__", 1)])
def test_only_the_forward_of_a_module_may_catch(write, method, found):
    source = f"""{GOOD}
    class Net(nn.Module):
        def {method}(self, x):
            try:
                return x
            except ValueError:
                return -x
"""
    assert len(faults(write(source))) == found


@pytest.mark.parametrize("folder", ["spec", "spec/mini/deeper"])
def test_a_chapter_that_lies_elsewhere(write, folder):
    root = write(GOOD)
    (root / folder).mkdir(exist_ok=True)
    (root / "spec/mini/.kept").mkdir()
    for place in (root / folder, root / "spec/mini/.kept"):
        (place / "test_stray.py").write_text("def test_b():\n    assert 1\n")

    (found,) = faults(root)

    assert found.startswith(f"{root / folder / 'test_stray.py'}: no chapter: one lies in spec/<part>")


def test_a_short_name_with_two_meanings_shows_its_owner(write):
    one = GOOD.replace("A layer", "A :meth:`~torch.nn.Module.zero_grad`")
    other = GOOD.replace("test_a", "test_b").replace("A layer", ":meth:`~torch.optim.Optimizer.zero_grad`")

    assert faults(write(one)) == []
    found = faults(write(one + other))
    assert len(found) == 2
    assert "'zero_grad' may be torch.nn.Module.zero_grad or torch.optim.Optimizer.zero_grad" in found[0]
    assert found[0].endswith("show the owner: `Module.zero_grad <torch.nn.Module.zero_grad>`")


def test_a_name_that_went_is_judged_only_where_the_clause_holds(write):
    source = GOOD.replace("A layer", "A :class:`~torch.nn.Linnear`")

    assert faults(write(source.replace("def", '@pytest.mark.before("2.1")\ndef'))) == [
        "docs/changes.toml: 2.1: does not list mini.small.a, which is bounded there"
    ]


def test_chapter_and_part_need_a_docstring(write):
    root = write(GOOD, head="import pytest\nfrom torch import nn\n\n")
    (root / "spec" / "mini" / "__init__.py").write_text("")

    found = faults(root)

    assert len(found) == 2
    assert found[0].endswith("the chapter has no docstring; it opens the page")
    assert found[1].endswith("the part has no docstring here; it is the part's opening page")


def test_a_chapter_needs_clauses(write):
    assert faults(write("WIDTH = 3"))[0].endswith("the chapter has no clauses")


CLAIMED = GOOD.replace("def", '@pytest.mark.claim("N1-01")\ndef')
ROW = '[N1-01]\nsaid = "A layer has a weight."\nverdict = "holds"\n'


def with_claims(root, text):
    (root / "docs" / "claims.toml").write_text(text)
    return root


def test_a_claim_with_its_clause(write):
    assert faults(with_claims(write(CLAIMED), ROW)) == []


@pytest.mark.parametrize(
    ("source", "row", "message"),
    [
        (GOOD, ROW, "N1-01: no clause decides it; mark one with claim('N1-01')"),
        (CLAIMED, ROW.replace("N1-01", "N1-02"), "claim('N1-01') is no row of docs/claims.toml"),
        (CLAIMED, ROW.replace('"holds"', '"true"'), "verdict 'true'; one of holds, changed"),
        (CLAIMED, ROW.replace('"holds"', '"wrong"'), "no 'instead'; say what is right"),
        (
            CLAIMED,
            ROW.replace('"holds"', '"changed"') + 'instead = "It did."\n',
            "'changed' asks for clauses bounded on both sides of the change",
        ),
    ],
)
def test_claims_and_marks_have_to_agree(write, source, row, message):
    found = faults(with_claims(write(source), row))

    assert message in " ".join(found)


def test_deleting_a_claimed_clause_is_found(write):
    root = with_claims(write(CLAIMED + GOOD.replace("test_a", "test_b").replace("A l", "One l")), ROW)
    assert faults(root) == []

    write(GOOD.replace("test_a", "test_b").replace("A l", "One l"))

    assert faults(root) == ["docs/claims.toml: N1-01: no clause decides it; mark one with claim('N1-01')"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[N1-01]\nverdict = 3\n", "N1-01.verdict is 3, expected a text"),
        ("N1-01 = 3\n", "N1-01 is 3, expected a table"),
        ("[N1-01\n", "cannot be read"),
        (ROW + "extra = 1\n", "N1-01 has an unknown entry 'extra'"),
    ],
)
def test_a_damaged_table_is_named(write, row, message):
    with pytest.raises(TableError, match=message):
        read_specification(with_claims(write(CLAIMED), row))


RUN = {"torch": "2.4.1", "torchvision": "0.19.1", "python": "3.11", "devices": ["cpu"]}


@pytest.fixture
def recorded(write):
    """A project in whose record an id stands that is no longer there."""
    root = write(GOOD)
    rows = {"mini.small.a": Row("holds", "0"), "mini.small.gone": Row("holds", "0")}
    record.write(Record({**RUN, "platform": "Linux"}, rows), root / "docs" / "records")
    return root


def test_a_recorded_id_may_not_vanish(recorded):
    assert faults(recorded) == [
        "mini.small.gone: recorded once, and no longer here; "
        "name its successor or say why in spec/RETIRED.toml"
    ]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ('["mini.small.gone"]\nsuccessor = "mini.small.a"\n', []),
        ('["mini.small.gone"]\nwhy = "It said nothing."\n', []),
        ('["mini.small.gone"]\n', ["spec/RETIRED.toml: mini.small.gone: needs a successor or a why"]),
        (
            '["mini.small.gone"]\nsuccessor = "mini.small.z"\n',
            ["spec/RETIRED.toml: mini.small.gone: its successor mini.small.z does not exist"],
        ),
        (
            '["mini.small.gone"]\nwhy = "So."\n["mini.small.a"]\nwhy = "So."\n',
            ["spec/RETIRED.toml: mini.small.a: used again; a retired id is never reused"],
        ),
        (
            '["mini.small.gone"]\nsuccessor = "mini.small.y"\n'
            '["mini.small.y"]\nsuccessor = "mini.small.z"\n["mini.small.z"]\nsuccessor = "mini.small.y"\n',
            [
                f"spec/RETIRED.toml: mini.small.{name}: its successors lead back to it; name one that is here"
                for name in "yz"
            ],
        ),
    ],
)
def test_retired_ids(recorded, row, found):
    (recorded / "spec" / "RETIRED.toml").write_text(row)

    assert faults(recorded) == found


@pytest.mark.parametrize("content", [b"[a]\n[a]\n", b"<<<<<<< HEAD\n", b"\xef\xbb\xbf[a]\n", b"\xff"])
def test_a_table_that_lint_itself_does_not_need(write, content):
    root = write(GOOD)
    (root / "docs" / "survivors.toml").write_bytes(content)

    (found,) = faults(root)

    assert found.startswith(f"{root / 'docs' / 'survivors.toml'}")
    assert "cannot be read" in found


def test_a_thread_names_what_decides_it(write):
    root = write(GOOD)
    (root / "docs" / "threads.toml").write_text('["#715"]\nasked = "why?"\n')

    assert faults(root) == ["docs/threads.toml: [#715]: no clause decides it; name one, or leave it out"]


CHANGE = 'what = "It came."\nhurts = "new"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'[["2.5".changes]]\n{CHANGE}\nclauses = ["mini.small.a"]', ""),
        ("", "2.5: does not list mini.small.a, which is bounded there"),
        ('["2.5"]\nnone = "Nothing."', "2.5: does not list mini.small.a, which is bounded there"),
        (
            f'[["2.7".changes]]\n{CHANGE}\nclauses = ["mini.small.a"]',
            "2.7: lists mini.small.a, and no such clause is bounded there",
        ),
        (f'[["2.7".changes]]\n{CHANGE}', "'It came.' has neither clauses nor a why"),
        ('["2.0"]\nnone = "Nothing."', "2.0 is no release after 2.0"),
        ('[["2.7".changes]]\nwhat = "It came."', "hurts = ''; one of breaks, warns, new, internal"),
        (f'[["2.7".changes]]\n{CHANGE}'.replace("new", "warns"), "'do' says what to do about it"),
    ],
    ids=["listed", "no table", "left out", "misplaced", "no reason", "no release", "no rank", "no advice"],
)
def test_every_bounded_clause_is_among_the_changes(write, text, message):
    root = write(GOOD.replace("def", '@pytest.mark.since("2.5")\ndef'))
    (root / "docs" / "changes.toml").write_text(text)

    found = faults(root)

    assert (found == []) if not message else any(message in line for line in found)


def test_what_is_said_of_devices_names_clauses(write):
    root = write(GOOD)
    row = '[[own]]\nwhat = "It is far"\nwhy = "It has none."\nclauses = [{}]\n'
    table = root / "docs" / "differences.toml"

    table.write_text(row.format('"mini.small.a"'))
    assert faults(root) == []

    table.write_text(row.format('"mini.small.a", "mini.small.b"') + row.format('"mini.small.a"'))
    assert faults(root) == [
        "docs/differences.toml: own: 'It is far': there is no clause 'mini.small.b'; name one that exists",
        "docs/differences.toml: own: 'It is far': mini.small.a is explained twice; name it once",
    ]


def test_names_that_no_clause_speaks_of_are_listed(write):
    root = write(GOOD.replace("A layer", "An :class:`~torch.nn.Module`"))
    (root / "docs" / "left_out.toml").write_text('["torch.nn.Module.ipu"]\nwhy = "no such device"\n')

    missing, explained = command.unnamed(read_specification(root))

    assert "torch.nn.Module" not in missing
    assert "torch.nn.Module.parameters" in missing
    assert explained == ["torch.nn.Module.ipu: no such device"]
