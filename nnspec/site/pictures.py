"""Pictures."""

from __future__ import annotations

from nnspec.chapter import Chapter


def of_chapter(chapter: Chapter) -> str:
    """The picture that opens a chapter, empty if it has none."""
    return ""
