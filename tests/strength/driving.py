"""Starts the file ``driver.py`` of a folder in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "driver.py", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def measure(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = start(folder, *arguments)
    shown, errors = process.communicate(timeout=300)
    return process.returncode, shown, errors
