"""Runs of miniature specifications."""

import pytest
import torch


@pytest.fixture
def run(write, pytester, monkeypatch):
    """Runs a miniature: ``run(clauses, *arguments, torch="2.4.1")`` gives pytest's result."""

    def runs(clauses, *arguments, version=None, **options):
        root = write(clauses, **options)
        monkeypatch.chdir(root)
        (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = ["--strict-markers"]\n')
        if version:
            monkeypatch.setattr(torch, "__version__", version)
        return pytester.runpytest_inprocess(
            "--rootdir", root, "-p", "no:cacheprovider", root / "spec", *arguments
        )

    return runs
