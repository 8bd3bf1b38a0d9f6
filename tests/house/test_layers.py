"""The folders of nnspec import one another one way, and neither nnspec nor spec the other."""

from __future__ import annotations

LINT_IMPORTS = (
    "-c",
    "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))",
)


def test_the_layers_are_kept(ask):
    told = ask(*LINT_IMPORTS)

    assert (told.returncode, "2 kept, 0 broken" in told.stdout) == (0, True), told.stdout


def test_an_import_the_other_way_is_told(checkout, ask):
    added = {
        "nnspec/clauses/clause.py": "import nnspec.site",
        "nnspec/lint/ids.py": "import nnspec.strength",
        "nnspec/running/plugin.py": "import spec",
        "spec/state/test_ties.py": "import nnspec",
        "nnspec/helpers.py": "",
    }
    for file, line in added.items():
        with (checkout / file).open("a", encoding="utf-8") as written:
            written.write(f"\n{line}\n")

    told = ask(*LINT_IMPORTS)

    assert told.returncode == 1
    for line in (
        "nnspec.clauses is not allowed to import nnspec.site",
        "nnspec.lint is not allowed to import nnspec.strength",
        "nnspec is not allowed to import spec",
        "spec is not allowed to import nnspec",
        "- nnspec.helpers",
    ):
        assert line in told.stdout, told.stdout
