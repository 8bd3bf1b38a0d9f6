"""The small site that the tests of this folder look at."""

from __future__ import annotations

from pathlib import Path

import pytest
import site_builder


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the pages of a small site; its sources lie beside it."""
    return site_builder.build(site_builder.make_project(tmp_path_factory.mktemp("site")))
