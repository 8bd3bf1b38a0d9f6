"""A copy of the repository that a test may change."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the tools read of the repository: specification, instrument, tables, settings."""
    kept = shutil.ignore_patterns("__pycache__", "_build", "_generated")
    for folder in (".ci", "docs", "nnspec", "spec"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=kept)
    for file in ("conftest.py", "pyproject.toml", "tox.ini", "toxfile.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


@pytest.fixture
def ask(checkout: Path) -> Ask:
    """Runs Python in the copy: ``ask("-m", "nnspec", "lint")``."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], cwd=checkout, capture_output=True, text=True, check=False
        )

    return run
