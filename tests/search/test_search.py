"""What people type leads to the clause that answers, in the terminal as on the site."""

import json

import pytest

from nnspec.clauses.specification import read_specification
from nnspec.clauses.tables import TableError
from nnspec.cli import main
from nnspec.search.documents import asked_releases, documents
from nnspec.search.index import Index
from nnspec.search.words import read_words

CLAUSES = '''
@pytest.mark.question("Q1")
def test_clearing():
    """:meth:`~torch.nn.Module.zero_grad` sets every gradient to None.

    Formerly it left zeros.
    """
    assert nn.Linear(2, 3).zero_grad() is None


@pytest.mark.before("2.5")
def test_zeros():
    """:meth:`~torch.nn.Module.zero_grad` sets every gradient to zero."""
    assert 1


def test_strict():
    """:meth:`~torch.nn.Module.load_state_dict` refuses a dict without a weight."""
    with pytest.raises(RuntimeError, match=r"Missing key\\(s\\) in state_dict"):
        nn.Linear(2, 3).load_state_dict({})


def test_normalization():
    """A normalization is initialized with ones."""
    assert nn.LayerNorm(2).weight.tolist() == [1, 1]
'''

WORDS = """
[words]
empty = ["why", "is", "my", "a"]
[spellings]
isation = "ization"
ised = "ized"
[synonyms]
groups = [["gradient", "derivative"]]
"""


@pytest.fixture
def root(write, monkeypatch):
    """A project with four clauses, a question and words."""
    root = write(CLAUSES)
    (root / "docs" / "search.toml").write_text(WORDS)
    (root / "docs" / "questions.toml").write_text(
        '[Q1]\nasked = "Why does the optimizer fail?"\nsaid = ["what resets the buffers of autograd"]\n'
    )
    (root / "pyproject.toml").write_text('[project.urls]\nDocumentation = "https://example.org/"\n')
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def find(root):
    """The ids that a query finds, the best first."""
    specification = read_specification(root)
    (rules,) = specification.parts
    index = Index(documents(specification, rules), read_words(root / "docs" / "search.toml"))
    return lambda asked: [
        hit.document.id for hit in index.find(asked, 9) if hit.document.kind in ("clause", "question")
    ]


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("zero_grad", "mini.small.clearing"),
        ("mini.small.zeros", "mini.small.zeros"),
        ("why is my gradient None", "mini.small.clearing"),
        ("derivative none", "mini.small.clearing"),
        ("derivatives none", "mini.small.clearing"),
        ("resets autograd", "mini.small.clearing"),
        ("normalisation initialised", "mini.small.normalization"),
        ("normalizaton", "mini.small.normalization"),
        ("normali", "mini.small.normalization"),
        ('RuntimeError: Missing key(s) in state_dict: "fc.weight"', "mini.small.strict"),
        ("state dict weight", "mini.small.strict"),
        ("loadstatedict", "mini.small.strict"),
        (
            'Traceback (most recent call last): File "/home/me/zero_grad.py", line 7, in zero_grad '
            'gradient() File "module.py", line 9, in clearing raise e( '
            'RuntimeError: Missing key(s) in state_dict: "fc.bias"',
            "mini.small.strict",
        ),
    ],
)
def test_what_is_typed_leads_to_the_clause(find, asked, first):
    assert find(asked)[0] == first


def test_the_present_comes_before_the_past(find):
    assert [name for name in find("zero_grad gradient") if name.startswith("mini")] == [
        "mini.small.clearing",
        "mini.small.zeros",
    ]


def test_a_name_is_its_pieces_too(root):
    words = read_words(root / "docs" / "search.toml")

    assert words.split("load_state_dict a BatchNorm2d x") == [
        *("load_state_dict", "load_state", "state_dict", "load", "state", "dict", "loadstatedict"),
        *("batchnorm2d", "batch_norm", "batch", "norm"),
    ]


@pytest.mark.parametrize(
    ("asked", "sought"),
    [
        ('File "a.py", line 7, in go x.run() ValueError: no rows', ["valueerror", "no", "rows"]),
        ('File "a.py", line 7, in go', ["in", "go"]),
        ("some words before ValueError: no rows", ["some", "words", "before", "valueerror", "no", "rows"]),
    ],
)
def test_of_a_traceback_the_message_is_sought(root, asked, sought):
    words = read_words(root / "docs" / "search.toml")

    assert list(words.sought(asked, is_known=lambda name: True)) == sought


@pytest.mark.parametrize(
    ("asked", "sought"),
    [
        ("model.to a", {"module": False, "to": False}),
        ("to the Model", {"the": False, "model": False}),
        ("zero_grad of BatchNorm", {"zero_grad": True, "of": False, "batchnorm": True}),
        ("model.fc.weight", {"model": False, "fc": False, "weight": False}),
    ],
)
def test_a_method_is_sought_and_a_name_of_code_is_told_from_a_word(root, asked, sought):
    table = WORDS.replace('"a"]', '"a", "to"]\nowners = ["model"]')
    (root / "docs" / "search.toml").write_text(table)
    words = read_words(root / "docs" / "search.toml")

    assert words.sought(asked, is_known=lambda name: True) == sought


@pytest.mark.parametrize(
    ("asked", "releases"),
    [
        ("what changed in 2.8", ("2.8",)),
        ("What Changed in torch 2.10.1?", ("2.10",)),
        ("nn.Module between torch 2.7 and 2.10", ("2.8", "2.9", "2.10")),
        ("from 1.13 to 2.3, breaking changes", ("2.3",)),
        ("weights_only in 2.6", ()),
        ("what changed when dropout is 0.5", ()),
    ],
)
def test_changes_are_asked_for_by_their_release(asked, releases):
    assert asked_releases(asked) == releases


def test_what_is_long_beside_the_word_takes_nothing_from_it(root):
    """Each field is scored by itself: a clause about which people ask much is found no worse."""
    asked = ", ".join(f'"how can autograd{number} leave things{number}"' for number in range(99))
    (root / "docs" / "phrasings.toml").write_text(f'[mini]\n"small.clearing" = [{asked}]\n')
    specification = read_specification(root)
    (rules,) = specification.parts
    index = Index(documents(specification, rules), read_words(root / "docs" / "search.toml"))

    assert index.find("zero_grad", 1)[0].document.id == "mini.small.clearing"


def test_what_has_a_hyphen_is_found_without_it(root):
    words = read_words(root / "docs" / "search.toml")

    assert words.split("Fine-tuning") == ["fine", "tuning", "finetuning"]


def test_the_words_of_one_phrasing_count_together(root):
    (root / "docs" / "phrasings.toml").write_text(
        '[mini]\n"small.clearing" = ["gradient of what will explode", "layers vanish"]\n'
        '"small.strict" = ["gradient vanish"]\n'
    )
    specification = read_specification(root)
    (rules,) = specification.parts
    index = Index(documents(specification, rules), read_words(root / "docs" / "search.toml"))

    assert index.find("gradient vanish", 1)[0].document.id == "mini.small.strict"


def test_the_command_prints_statement_id_and_address(root, capsys):
    assert main(["find", "missing", "weights", "--most", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "load_state_dict() refuses a dict without a weight.",
        "    mini.small.strict",
        "    https://example.org/spec/mini/small.html#mini.small.strict",
    ]


def test_the_command_prints_json(root, capsys):
    assert main(["find", "missing weight", "--most", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "id": "mini.small.strict",
            "kind": "clause",
            "statement": "load_state_dict() refuses a dict without a weight.",
            "place": "A chapter",
            "address": "https://example.org/spec/mini/small.html#mini.small.strict",
        }
    ]


def test_nothing_found_is_said(root, capsys):
    assert main(["find", "zzzqqq"]) == 1
    assert capsys.readouterr().err == "nothing has any of these words: zzzqqq\n"
    assert main(["find", "q" * 10_000]) == 1
    assert len(capsys.readouterr().err) < 200


@pytest.mark.parametrize("asked", ["", "   "])
def test_nothing_asked_is_a_mistake(root, capsys, asked):
    assert main(["find", asked]) == 2
    assert "say what to find" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[word]\n", "the file has an unknown entry 'word'"),
        ("[words]\nempty = 1\n", r"words\.empty is 1, expected a list"),
        ("[synonyms]\ngroups = [1]\n", r"synonyms\.groups\[0\] is 1, expected a list"),
    ],
)
def test_a_table_of_words_that_cannot_be_used_is_named(root, text, message):
    (root / "docs" / "search.toml").write_text(text)

    with pytest.raises(TableError, match=message):
        read_words(root / "docs" / "search.toml")


def test_a_section_of_a_page_that_is_written_by_hand(root, capsys):
    (root / "docs" / "vendors.rst").write_text(
        "Your device\n===========\n\nFor vendors.\n\nBeside the CPU\n--------------\n\nSet ``--devices``.\n"
    )

    assert main(["find", "--json", "beside the cpu"]) == 0
    (found, *_) = json.loads(capsys.readouterr().out)
    assert found == {
        "id": "vendors#beside-the-cpu",
        "kind": "page",
        "statement": "Beside the CPU",
        "place": "Your device",
        "address": "https://example.org/vendors.html#beside-the-cpu",
    }
