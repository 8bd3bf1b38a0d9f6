"""The small changes to a function: what each operator changes, and what it leaves alone."""

import ast
import textwrap

import pytest

from nnspec.strength.edits import edits
from nnspec.strength.operators import OPERATORS

EXAMPLES = {
    "comparison": ("a == b", ["a != b"]),
    "negated-condition": ("if a:\n    b()", ["if not a:\n    b()"]),
    "and-or": ("a and b", ["a or b"]),
    "dropped-operand": ("a and b", ["b", "a"]),
    "dropped-not": ("not a", ["a"]),
    "boolean": ("f(True)", ["f(False)"]),
    "number": ("f(2)", ["f(3)"]),
    "string": ("f('key')", ["f('XX')"]),
    "message": ("raise KeyError(f'no {name} here')", ["raise KeyError(f'XX{name}')"]),
    "shown-value": ("f(f'no {name}')", ["f(f'no {None}')"]),
    "dropped-statement": ("del a.b", ["pass"]),
    "assigned-none": ("a = 3", ["a = None"]),
    "returned-none": ("return a", ["return None"]),
    "argument": ("f(a, b=c)", ["f(None, b=c)"]),
    "dropped-argument": ("f(*a, b=c)", ["f(b=c)", "f(*a)"]),
    "arithmetic": ("a + b", ["a", "b"]),
    "dropped-sign": ("f(-a)", ["f(a)"]),
    "dropped-bound": ("a[1:b]", ["a[:b]", "a[1:]"]),
    "raised-type": ("raise KeyError(a)", ["raise Exception(a)"]),
    "caught-type": ("try:\n    a()\nexcept KeyError:\n    b()", ["try:\n    a()\nexcept ():\n    b()"]),
    "loop": ("for a in b:\n    continue", ["for a in b:\n    break"]),
    "lambda-none": ("f(lambda a: a.b)", ["f(lambda a: None)"]),
    "dropped-element": ("f((a, b))", ["f((b,))", "f((a,))"]),
    "dropped-context": ("with a:\n    b()", ["if True:\n    b()"]),
}


def function(body: str, head: str = "def tried(self):") -> ast.FunctionDef:
    definition = ast.parse(f"{head}\n{textwrap.indent(body, '    ')}").body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


def changed(body: str, operator: str, head: str = "def tried(self):") -> list[str]:
    """The body of a function after each change that one operator makes to it."""
    definition = function(body, head)
    bodies = []
    for edit in edits(definition):
        if edit.operator == operator:
            with edit.applied():
                bodies.append("\n".join(map(ast.unparse, definition.body)))
    return bodies


@pytest.mark.parametrize("operator", EXAMPLES)
def test_an_operator_makes_its_change(operator):
    before, after = EXAMPLES[operator]

    assert changed(before, operator) == after


def test_every_operator_has_an_example_and_a_sentence():
    assert EXAMPLES.keys() - {"message"} == OPERATORS.keys()
    for operator in OPERATORS.values():
        assert (operator.__doc__ or "").endswith(".")


@pytest.mark.parametrize(
    ("before", "operator", "after"),
    [
        ("if a < b:\n    c()", "comparison", ["if a <= b:\n    c()"]),
        ("a is not None", "comparison", ["a is None"]),
        ("if a == b:\n    c()", "negated-condition", []),
        ("if not a:\n    c()", "negated-condition", []),
        ("f(b for b in c if d)", "negated-condition", ["f((b for b in c if not d))"]),
        ("self.a = b", "dropped-statement", ["pass"]),
        ("a = b\na = c", "dropped-statement", ["pass\na = c", "a = b\npass"]),
        ("raise KeyError(a)", "dropped-statement", ["pass"]),
        ("return", "dropped-statement", ["pass"]),
        ("'''What it does.'''\n...", "dropped-statement", []),
        ("a: 'B' = c", "string", []),
        ("isinstance(a, b)", "argument", []),
        ("getattr(a, 'b', c)", "dropped-argument", ["getattr(a, 'b')"]),
        ("a.get(b, 1)", "dropped-argument", ["a.get(b)"]),
        ("a.get(b, None)", "dropped-argument", []),
        ("a += b", "arithmetic", ["a = b"]),
        ("a * b", "arithmetic", ["a / b"]),
        ("a, b = c", "dropped-element", []),
        ("f({a: b, c: d})", "dropped-element", ["f({c: d})", "f({a: b})"]),
        ("with a as b:\n    c()", "dropped-context", []),
    ],
)
def test_an_operator_keeps_to_what_can_differ(before, operator, after):
    assert changed(before, operator) == after


def test_a_default_becomes_another():
    head = "def tried(self, a, b=None, *, c=True, d=2, e='x', f=g):"
    defaults = [edit.default for edit in edits(function("return a", head)) if edit.operator == "default"]

    assert defaults == [("b", True), ("c", False), ("d", 3), ("e", "XX")]


def test_a_tree_is_whole_again_after_a_change():
    definition = function("if a.b(c, d=-1) and not e:\n    raise KeyError(f'no {a} here')\nreturn a[1:]")
    before = ast.dump(definition, include_attributes=True)
    for edit in edits(definition):
        with edit.applied():
            assert ast.dump(definition) != before

    assert ast.dump(definition, include_attributes=True) == before


def test_the_text_of_an_error_or_a_warning_is_a_message():
    body = "raise KeyError('key ' + a)\nwarnings.warn('text', B, stacklevel=2)\nf(f'a text for {people}')"

    assert sorted({edit.difference for edit in edits(function(body)) if edit.place.is_message}) == [
        "'key ' + a becomes 'key '",
        "'key ' + a becomes a",
        "'key ' becomes 'XX'",
        "'text' becomes 'XX'",
        "2 becomes 3",
        "KeyError('key ' + a) becomes KeyError(None)",
        "f'a text for {people}' becomes f'XX{people}'",
        "{people} becomes {None}",
    ]


def test_of_long_code_only_the_difference_is_told():
    names = [f"condition_{number}" for number in range(10)]
    words = [
        edit.difference for edit in edits(function(" or ".join(names))) if edit.operator == "dropped-operand"
    ]

    assert words[5] == (
        "... 3 or condition_4 or condition_5 or condition_6 or condition_7 or condition_ ... "
        "becomes ... 3 or condition_4 or condition_6 or condition_7 or condition_ ..."
    )


def test_a_change_in_the_head_of_a_statement_needs_the_head_only():
    [edit] = [
        edit
        for edit in edits(function("if (\n    a\n    == b\n):\n    c()"))
        if edit.operator == "comparison"
    ]

    assert (edit.line, edit.place.first, edit.place.last) == (3, 2, 5)
