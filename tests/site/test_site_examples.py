"""Every example of the site runs: as it is copied from its page, and as ``clauses.json`` has it."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path
from unittest import mock

import pytest
import torch

from nnspec.clauses.chapter import read_chapters
from nnspec.running import devices, isolation
from nnspec.site import example

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = {chapter.id: chapter for chapter in read_chapters(ROOT / "spec")}


def left_out(clause, chapter):
    """Why an example cannot be tried here, empty if it can."""
    fixture = example.only_under_pytest(clause, chapter)
    if fixture:
        return f"{fixture} is there under pytest only"
    if clause.bounds.place(torch.__version__) != "inside":
        return f"it holds {clause.bounds}"
    reasons = [devices.lacking(name, count, devices.present()) for name, count in clause.needs]
    return next((f"needs {reason}" for reason in reasons if reason), "")


def paste(source, path):
    """Run a text as a program of its own."""
    path.write_text(source)
    before = isolation.snapshot()
    isolation.seed()
    try:
        with (
            warnings.catch_warnings(),
            pytest.MonkeyPatch.context() as patches,
            mock.patch.object(pytest, "MonkeyPatch", return_value=patches),
            mock.patch.object(torch.cuda, "is_available", torch.cuda.is_available),
            mock.patch.object(torch.backends.mps, "is_available", torch.backends.mps.is_available),
        ):
            warnings.simplefilter("ignore")
            torch.set_warn_always(True)
            runpy.run_path(str(path), run_name=path.stem)
    finally:
        isolation.restore(before)


@pytest.mark.parametrize("name", CHAPTERS)
def test_examples_run_when_pasted(name, tmp_path, record_property):
    chapter = CHAPTERS[name]
    failed = []
    reasons = [left_out(clause, chapter) for clause in chapter.clauses]
    record_property("left out", sum(map(bool, reasons)))
    for clause, reason in zip(chapter.clauses, reasons, strict=True):
        if reason:
            continue
        copied = f"{example.preamble(chapter)}\n\n\n{example.example(clause, chapter)}\n"
        texts = {"copied": copied, "alone": example.standalone(clause, chapter)}
        for way, text in texts.items():
            try:
                paste(text, tmp_path / f"{clause.name}_{way}.py")
            except BaseException as error:
                failed.append(f"{clause.id}, {way}: {type(error).__name__}: {error}")

    assert failed == []
