"""Tiny specifications to try the instrument on."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torchvision  # noqa: F401  (its imports would otherwise be undone after each inner run)

from nnspec.running import isolation

CHAPTER = '''
"""A chapter.

It opens the page.
"""

import pytest
import torch
from torch import nn

'''

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _process_is_put_back() -> Iterator[None]:
    """Some miniatures are made to change the process."""
    before = isolation.snapshot()
    yield
    isolation.restore(before, compiled=False)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a miniature project: ``write(clauses)`` makes one chapter of them and returns the root."""

    def miniature(clauses: str, *, chapter: str = "small", part: str = "mini", head: str = CHAPTER) -> Path:
        folder = tmp_path / "spec" / part
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docs" / "records").mkdir(parents=True, exist_ok=True)
        (tmp_path / "conftest.py").write_text('pytest_plugins = ["nnspec.running.plugin"]\n')
        (tmp_path / "spec" / "__init__.py").write_text('"""A miniature."""\n')
        (folder / "__init__.py").write_text('"""A part."""\n')
        source = head.lstrip() + "\n" + textwrap.dedent(clauses).strip() + "\n"
        (folder / f"test_{chapter}.py").write_text(source)
        return tmp_path

    return miniature
