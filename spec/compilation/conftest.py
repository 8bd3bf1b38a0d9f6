"""What all chapters of this part share."""

import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def filters_are_put_back() -> Iterator[None]:
    """Up to torch 2.8 every compilation adds a warnings filter and leaves it."""
    with warnings.catch_warnings():
        yield
