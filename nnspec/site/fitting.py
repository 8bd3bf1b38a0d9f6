"""Code as it is shown: lines that fit the column of a page."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

#: Characters of a line.
WIDTH = 72


def fit(sources: Mapping[str, str]) -> dict[str, str]:
    """Pieces of Python with lines as short as ruff can make them, by the names they were given under."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, f"{number}.py") for number, name in enumerate(sources)}
        for name, path in paths.items():
            path.write_text(sources[name], encoding="utf-8")
        command = [sys.executable, "-m", "ruff", "format", "--isolated", "--quiet", f"--line-length={WIDTH}"]
        subprocess.run([*command, folder], check=True)
        return {name: path.read_text(encoding="utf-8").strip() for name, path in paths.items()}
