"""Clauses are read from source: id, text, example, marks, bounds, digest."""

import os

import pytest

from nnspec.clauses.chapter import is_chapter, read_chapter, read_chapters
from nnspec.clauses.clause import Bounds, ClauseError, Reference, plain_text, references_in
from nnspec.clauses.releases import RELEASES

ONE = '''
WIDTH = 3


def layer():
    return nn.Linear(2, WIDTH)


@pytest.mark.since("2.3")
@pytest.mark.needs("cuda", 2)
@pytest.mark.claim("N1-01", "N1-02")
def test_a_thing_happens():
    """:meth:`~torch.nn.Module.parameters` returns ``2`` things.

    Why it matters (:pull:`129164`).
    """
    made = layer()

    assert made
'''


def read(write, source):
    root = write(source)
    (chapter,) = read_chapters(root / "spec")
    return chapter


def only(write, source):
    (clause,) = read(write, source).clauses
    return clause


def test_all_parts_of_a_clause(write):
    clause = only(write, ONE)

    assert clause.id == "mini.small.a_thing_happens"
    assert clause.statement == ":meth:`~torch.nn.Module.parameters` returns ``2`` things."
    assert clause.plain == "Since 2.3: parameters() returns 2 things."
    assert clause.dated == "Since 2.3: :meth:`~torch.nn.Module.parameters` returns ``2`` things."
    assert clause.prose == "Why it matters (:pull:`129164`)."
    assert clause.body == "made = layer()\n\nassert made"
    assert (clause.line, clause.end_line) == (21, 28)
    assert clause.references == (
        Reference("meth", "torch.nn.Module.parameters"),
        Reference("pull", "129164"),
    )
    assert clause.answers("claim") == ("N1-01", "N1-02")
    assert (clause.has("since"), clause.has("before")) == (True, False)
    assert clause.needs == (("cuda", 2),)
    assert clause.bounds == Bounds("2.3", None)


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ('"""It is."""', ""),
        ("assert 1", "assert 1"),
        ('"""It is."""\n\n    # why\n    assert 1\n', "# why\nassert 1"),
        ("if 1:\n        assert 1", "if 1:\n    assert 1"),
    ],
)
def test_the_body_is_what_follows_the_docstring(write, source, body):
    assert only(write, f"def test_a():\n    {source}").body == body


def test_the_chapter_opens_with_docstring_and_preamble(write):
    chapter = read(write, ONE)

    assert chapter.id == "mini.small"
    assert chapter.docstring == "A chapter.\n\nIt opens the page."
    assert chapter.preamble.startswith("import pytest\nimport torch\nfrom torch import nn\n\n")
    assert chapter.preamble.endswith("WIDTH = 3\n\ndef layer():\n    return nn.Linear(2, WIDTH)")


def test_the_preamble_is_all_but_docstring_and_clauses(write):
    head = "import torch\n\ntorch.manual_seed(1)\n"
    clause = 'def test_a():\n    """It is."""\n    assert 1'

    assert read_chapters(write(clause, head=head) / "spec")[0].preamble == head.strip()
    assert read_chapters(write(clause, head=f'"""A."""\n\n{head}') / "spec")[0].preamble == head.strip()


@pytest.mark.parametrize(
    ("bounds", "heading"),
    [
        (Bounds(), ""),
        (Bounds(since="2.5"), "Since 2.5:"),
        (Bounds(before="2.5"), "Up to 2.4:"),
        (Bounds("2.1", "2.5"), "From 2.1 to 2.4:"),
        (Bounds("2.4", "2.5"), "On 2.4:"),
        (Bounds(before="2.10"), "Up to 2.9:"),
    ],
)
def test_a_statement_says_on_which_releases_it_holds(bounds, heading):
    assert bounds.heading == heading


FIXTURE = """
import pytest
import json, math
from torch import nn, fx


@pytest.fixture
def width():
    return math.prod([2, OTHER])


@pytest.fixture
def unused():
    return json


OTHER = 3
"""

CASES = '''
import torch.fx
import torch.jit


@pytest.mark.parametrize("more", [1, 2])
def test_a_thing_happens(width, more):
    """A thing happens."""
    assert torch.fx.Graph and width == 6
'''


def digest(write, source, fixtures=FIXTURE):
    root = write(source)
    (root / "spec" / "mini" / "conftest.py").write_text(fixtures)
    (clause,) = read_chapter(root / "spec" / "mini" / "test_small.py").clauses
    return clause.digest


def test_how_a_digest_is_made_stays_since_else_each_row_of_each_record_is_pending(write):
    assert digest(write, CASES) == "eaf3219509ae"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("assert made", "assert not made"),
        ("WIDTH = 3", "WIDTH = 4"),
        ("return nn.Linear(2, WIDTH)", "return nn.Linear(3, WIDTH)"),
    ],
)
def test_the_digest_changes_with_the_body_and_what_it_uses(write, old, new):
    assert digest(write, ONE.replace(old, new)) != digest(write, ONE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Why it matters", "Why it is so"),
        ("returns ``2`` things", "returns things"),
        ('since("2.3")', 'since("2.4")'),
        ('@pytest.mark.claim("N1-01", "N1-02")\n', ""),
        ("def layer():", "UNUSED = 1\n\n\ndef layer():"),
    ],
)
def test_the_digest_stays_with_other_words_marks_and_neighbours(write, old, new):
    assert digest(write, ONE.replace(old, new)) == digest(write, ONE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("[1, 2]", "[1, 3]"), ("import torch.fx\n", ""), ("width == 6", "width == 7")],
)
def test_the_digest_changes_with_cases_and_imports(write, old, new):
    assert digest(write, CASES.replace(old, new)) != digest(write, CASES)


def test_the_digest_stays_with_imports_that_are_not_used(write):
    assert digest(write, CASES.replace("import torch.jit\n", "import torch.onnx\n")) == digest(write, CASES)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("math.prod", "math.fsum", False),
        ("OTHER = 3", "OTHER = 4", False),
        ("import json, math", "import json\nimport numpy as math", False),
        ("@pytest.fixture\ndef unused", "@pytest.fixture(autouse=True)\ndef unused", False),
        ("return json", "return 1", True),
        ("import json, math", "import math, json", True),
        ("from torch import nn, fx\n", "", True),
    ],
)
def test_the_digest_follows_the_fixtures_that_are_used(write, old, new, same):
    assert (digest(write, CASES, FIXTURE.replace(old, new)) == digest(write, CASES)) is same


@pytest.mark.parametrize(
    ("version", "place"),
    [
        ("2.2.2", "not yet"),
        ("2.3.0a0+git123", "inside"),
        ("2.9.1+cu130", "inside"),
        ("2.10.0", "no longer"),
        ("3.0", "no longer"),
    ],
)
def test_bounds_place_a_version(version, place):
    assert Bounds("2.3", "2.10").place(version) == place


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (Bounds(), "every release"),
        (Bounds("2.3"), "since 2.3"),
        (Bounds(before="2.10"), "before 2.10"),
        (Bounds("2.3", "2.10"), "since 2.3, before 2.10"),
    ],
)
def test_bounds_in_words(bounds, text):
    assert str(bounds) == text


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ('since("two")', r"since\('two'\) is no release; write one as since"),
        ("since(2.5)", r"since\(2.5\) is no release"),
        ("since()", r"since\(\) is no release"),
        ('since("2.5.1")', "is no release"),
        ('since("2.4", "2.5")', r"since\('2.4', '2.5'\) is no release"),
        ('since("1.13")', f"not one of the supported releases, {RELEASES[0]} to {RELEASES[-1]}$"),
        ('before("2.0")', "exclude every supported release"),
        ('needs("gpu")', r"needs\('gpu'\) is unknown; one of cuda, "),
        ('needs("cuda", 0)', "how many, as a number from 1"),
        ("needs()", r"needs\(\) is unknown"),
        ('needs("cuda", 1, 2)', r"needs\('cuda', 1, 2\) is unknown"),
    ],
)
def test_malformed_marks_are_refused(write, mark, message):
    clause = only(write, f'@pytest.mark.{mark}\ndef test_a():\n    """It is."""\n    assert 1')

    with pytest.raises(ClauseError, match=message):
        clause.ensure_marks()


def test_one_of_a_need_is_meant_where_no_number_is_given(write):
    clause = only(write, '@pytest.mark.needs("cuda")\ndef test_a():\n    """It is."""\n    assert 1')

    assert clause.needs == (("cuda", 1),)


def test_bounds_that_exclude_everything_are_refused(write):
    clause = only(
        write,
        '@pytest.mark.since("2.5")\n@pytest.mark.before("2.5")\n'
        'def test_a():\n    """It is."""\n    assert 1',
    )

    with pytest.raises(ClauseError, match=r"since 2.5, before 2.5\) exclude every supported release"):
        clause.ensure_marks()


def test_a_bound_given_twice_is_refused(write):
    clause = only(
        write,
        '@pytest.mark.since("2.5")\n@pytest.mark.since("2.6")\ndef test_a():\n    """It is."""\n    assert 1',
    )

    with pytest.raises(ClauseError, match="since is given 2 times"):
        clause.ensure_marks()


def test_marks_with_keywords_are_refused(write):
    with pytest.raises(ClauseError, match="unknown argument 'release'"):
        read(write, '@pytest.mark.since(release="2.5")\ndef test_a():\n    """It is."""\n    assert 1')


def test_marks_with_names_are_refused(write):
    with pytest.raises(ClauseError, match=r"small.py:\d+: @pytest.mark.since\(X\): arguments of marks"):
        read(write, 'X = "2.5"\n\n@pytest.mark.since(X)\ndef test_a():\n    """It is."""\n    assert 1')


def test_cases_may_be_anything(write):
    case = '@pytest.mark.parametrize("layer", [nn.ReLU()], ids=str)'
    clause = only(write, f'{case}\ndef test_a(layer):\n    """It is."""\n    assert 1')

    assert (clause.cases, clause.marks, clause.arguments) == ((case,), (), ("layer",))


def test_other_decorators_are_refused(write):
    with pytest.raises(ClauseError, match="mark only; write helpers as plain functions"):
        read(write, '@torch.no_grad()\ndef test_a():\n    """It is."""\n    assert 1')


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_no_chapter(write, make):
    root = write('def test_a():\n    """It is."""\n    assert 1')
    make(root / "spec" / "mini" / "test_other.py")

    with pytest.raises(ClauseError, match=r"test_other.py: cannot be read as a chapter: it is no file"):
        read_chapters(root / "spec")


def test_a_file_that_is_no_python_is_named(write):
    root = write("def test_a(:")

    with pytest.raises(ClauseError, match=r"test_small.py: cannot be read as a chapter"):
        read_chapter(root / "spec" / "mini" / "test_small.py")


def test_an_empty_spec_is_refused(tmp_path):
    with pytest.raises(ClauseError, match="no chapters here"):
        read_chapters(tmp_path)


def test_only_files_two_below_spec_are_chapters(tmp_path):
    assert is_chapter(tmp_path / "spec" / "part" / "test_x.py")
    assert not is_chapter(tmp_path / "tests" / "test_x.py")
    assert not is_chapter(tmp_path / "spec" / "part" / "conftest.py")
    assert not is_chapter(tmp_path / "spec" / "test_x.py")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (":class:`~torch.nn.Sequential` runs", "Sequential runs"),
        (":meth:`torch.nn.Module.to` moves", "torch.nn.Module.to() moves"),
        (":func:`the norm <torch.nn.utils.clip_grad_norm_>` is", "the norm is"),
        (":func:`~torch.cat` joins", "cat() joins"),
        ("a :term:`~leaf`", "a leaf"),
        ("see :issue:`129164`", "see #129164"),
        ("a ``dict`` of :attr:`~torch.Tensor.grad`", "a dict of grad"),
    ],
)
def test_plain_text_has_no_roles(text, plain):
    assert plain_text(text) == plain


def test_references_are_targets_without_titles_and_signs():
    text = "A :func:`norm <torch.norm>` of :attr:`~torch.Tensor.grad`, :class:`!Thing`, see :issue:`129164`."

    assert list(references_in(text)) == [
        Reference("func", "torch.norm"),
        Reference("attr", "torch.Tensor.grad"),
        Reference("class", "Thing"),
        Reference("issue", "129164"),
    ]
