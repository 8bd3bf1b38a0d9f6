"""A small file of each kind that is read, who reads it, and how one is damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from nnspec.benchmarks import runs
from nnspec.clauses import tables
from nnspec.contract import pyproject
from nnspec.documentation import verdicts
from nnspec.errors import NnspecError
from nnspec.records import reading
from nnspec.search import words
from nnspec.strength import reading as strength

_RUN = {"torch": "2.4.1", "python": "3.11", "platform": "Linux x86_64"}
_TIMES = {"median": 1e-6, "iqr": 1e-7, "rounds": 7}
_FACTS = {"operation": "a call", "kind": "a module", "size": 3, "device": "cpu"}
_STRENGTH = {**_RUN, "device": "cpu", "date": "2026-01-31"}

JSON: dict[str, tuple[str, Callable[[Path], object], dict[str, Any]]] = {
    "record": (
        "2.4.1-cpu.json",
        reading.read,
        {
            "schema": 2,
            "run": {**_RUN, "torchvision": "0.19.1", "devices": ["cpu"]},
            "clauses": {"a.b": {"c": ["holds", "0123456789ab"], "d": ["unmet", "0123456789ac", "a GPU"]}},
        },
    ),
    "times": (
        "bench-2.4.1-cpu.json",
        runs.read,
        {
            "schema": 2,
            "run": {**_RUN, "devices": ["cpu"], "cores": 2, "date": "2026-01-31"},
            "benchmarks": {"calling.x": {**_FACTS, **_TIMES}},
        },
    ),
    "measured": (
        "bench.json",
        runs.read,
        {
            "machine_info": {
                "torch": "2.4.1",
                "python_version": "3.11.7",
                "system": "Linux",
                "machine": "x86_64",
                "devices": ["cpu"],
                "cores": 2,
            },
            "datetime": "2026-01-31T00:00:00",
            "benchmarks": [
                {"fullname": "spec/bench_a.py::bench_b", "extra_info": _FACTS, "stats": _TIMES},
            ],
        },
    ),
    "strength": (
        "strength-2.4.1-cpu.json",
        strength.read_strength,
        {
            "schema": 1,
            "run": _STRENGTH,
            "files": {"module.py": {"changes": 2, "noticed": 1, "survived": 1, "not tried": 0}},
            "survivors": {"module.py:f:1:number": ["return 1", "1 becomes 2"]},
        },
    ),
    "assertions": (
        "assertions-2.4.1-cpu.json",
        strength.read_assertions,
        {
            "schema": 1,
            "run": _STRENGTH,
            "judged": {"a.b.c": ["12ab", 7], "a.b.d": ["12ab", 0]},
            "never fail": {"a.b.c": ["x is x"]},
            "not judged": {"a.b.d": "it is not run here"},
        },
    ),
}

TABLES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "claims": ("claims.toml", tables.read_claims, '[N1]\nsaid = "a"\nverdict = "wrong"\ninstead = "b"\n'),
    "questions": ("questions.toml", tables.read_questions, '[Q1]\nasked = "a"\nsaid = ["b"]\n'),
    "threads": ("threads.toml", tables.read_threads, '["#715"]\nasked = "a"\nclauses = ["a.b.c"]\n'),
    "changes": (
        "changes.toml",
        tables.read_changes,
        '["2.5"]\n[["2.5".changes]]\nwhat = "a"\nrank = 1\n["2.6"]\nnone = "b"\n',
    ),
    "retired": ("RETIRED.toml", tables.read_retired, '["a.b.c"]\nsuccessor = "a.b.d"\n'),
    "differences": (
        "differences.toml",
        tables.read_differences,
        '[[xla]]\nwhat = "a"\nwhy = "b"\nclauses = ["a.b.c"]\n',
    ),
    "tour": ("tour.toml", tables.read_tour, '[First]\ntext = "a"\nclauses = ["a.b.c"]\n'),
    "shown": ("site.toml", tables.read_shown, '[front]\nclause = "a"\n[answers]\nwhy = "b"\n'),
    "left out": ("left_out.toml", tables.read_left_out, '["torch.nn.Linear"]\nwhy = "a"\n'),
    "addresses": ("pyproject.toml", tables.read_addresses, '[project.urls]\nSource = "https://a.b"\n'),
    "modules": (
        "pyproject.toml",
        pyproject.read_table,
        '[tool.nnspec]\nmodule = "a:B"\ninput = ["2,3"]\nallow.a.b = "c"\n'
        '[[tool.nnspec.modules]]\nmodule = "a:C"\ninputs = "a:make"\nallow = {"a.b" = "c"}\n',
    ),
    "words": (
        "search.toml",
        words.read_words,
        '[words]\nempty = ["a"]\n[spellings]\nise = "ize"\n[synonyms]\ngroups = [["a", "b"]]\n',
    ),
    "survivors": (
        "survivors.toml",
        strength.read_explanations,
        '["module.py:f:1:number"]\nkind = "same behaviour"\nwhy = "a"\n',
    ),
    "unfailing": ("assertions.toml", strength.read_reasons, '["a.b.c: x is x"]\nwhy = "a"\n'),
    "verdicts": (
        "documentation/linear.toml",
        lambda path: verdicts.read_tables(path.parent),
        '["torch.nn.Linear"]\n0123456789 = {words = "A layer", verdict = "open"}\n',
    ),
}

FILES = {name: file for name, (file, *_) in (JSON | TABLES).items()}
READERS = {name: reader for name, (_, reader, _) in (JSON | TABLES).items()}
TEXTS = {name: json.dumps(table, indent=1) for name, (*_, table) in JSON.items()}
TEXTS |= {name: text for name, (*_, text) in TABLES.items()}


def read(name: str, content: bytes, folder: Path) -> str:
    """Read a file of a kind; why it is refused, empty if it is not."""
    path = folder / FILES[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        READERS[name](path)
    except NnspecError as error:
        return str(error)
    return ""


#: Bytes that something is overwritten with.
DAMAGES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [
            b"null",
            b"true",
            b"-1",
            b"1e999",
            b"NaN",
            b"[]",
            b"{}",
            b'""',
            b"9" * 5000,
            b"[" * 5000,
            b"\0",
            b"\n",
        ]
    ),
)

_ODD = st.sampled_from(
    ["banana", "2.x", "../../y", "a\nb", "a\0b", "\ud800", "\u202e", "", 10**400, 1e400, float("nan")]
)
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), _ODD)

#: Any value of JSON.
ANY_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def replaced(table: Any, data: st.DataObject) -> Any:
    """A table with another value, another name or one more entry, at some place."""
    if not isinstance(table, (dict, list)) or not table or data.draw(st.integers(0, 4)) == 0:
        return data.draw(ANY_JSON)
    entries = dict(enumerate(table)) if isinstance(table, list) else dict(table)
    key = data.draw(st.sampled_from(sorted(entries)))
    if isinstance(table, list):
        return [replaced(value, data) if at == key else value for at, value in entries.items()]
    how = data.draw(st.integers(0, 9))
    if how == 0:
        entries[data.draw(st.text(max_size=10))] = entries.pop(key)
    elif how == 1:
        entries[data.draw(st.text(max_size=10))] = data.draw(ANY_JSON)
    else:
        entries[key] = replaced(entries[key], data)
    return entries


#: Values as TOML writes them.
VALUES = st.one_of(
    st.text(max_size=20).map(json.dumps),
    st.integers().map(str),
    st.sampled_from(
        ["true", "inf", "nan", "1e999", "2026-01-31", "12:00:00", "[]", "[[1]]", '["a"]', "{}", "{a = 1}"]
    ),
    st.sampled_from(["9" * 5000, "[" * 3000 + "]" * 3000, "'''a\nb'''", "0x_", "+", '"\\ud800"']),
)


def toml_texts(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts of tables whose names and entries are mostly such as are known somewhere."""
    known = [
        "said",
        "verdict",
        "asked",
        "clauses",
        "threads",
        "changes",
        "what",
        "rank",
        "none",
        "why",
        "kind",
    ]
    known += ["text", "words", "empty", "groups", "project", "urls", "Source", "successor", "instead", "harm"]
    known += [
        "kind",
        "front",
        "clause",
        "answers",
        "pictures",
        "spellings",
        "synonyms",
        '"2.5"',
        '"a.b"',
        "tool",
        "nnspec",
        "modules",
        "module",
        "input",
        "allow",
    ]
    keys = st.sampled_from(known) | st.text(max_size=8).map(json.dumps)
    dotted = st.lists(keys, min_size=1, max_size=3).map(".".join)
    lines = st.one_of(
        dotted.map(lambda name: f"[{name}]"),
        dotted.map(lambda name: f"[[{name}]]"),
        st.tuples(dotted, values).map(" = ".join),
    )
    return st.lists(lines, max_size=8).map("\n".join)
