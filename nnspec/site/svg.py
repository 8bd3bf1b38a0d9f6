"""Drawing with text: pieces of SVG whose words can be selected, searched and read aloud."""

from __future__ import annotations

import html
from collections.abc import Iterable


def text(x: float, y: float, words: str, css: str = "") -> str:
    """A line of text that begins at a point."""
    return f'<text x="{x}" y="{y}"{_class(css)}>{html.escape(words)}</text>'


def box(x: float, y: float, width: float, height: float) -> str:
    """A box by its upper left corner."""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" class="box"/>'


def path(points: Iterable[tuple[float, float]], css: str = "line") -> str:
    """A line through points."""
    through = " L".join(f"{x} {y}" for x, y in points)
    return f'<path d="M{through}"{_class(css)}/>'


def figure(name: str, title: str, told: str, size: tuple[float, float], pieces: Iterable[str]) -> str:
    """A picture with its title, what it shows in words, and a box in which it scrolls.

    Args:
        name: the id, unique on its page.
        title: a few words.
        told: what is to be seen, also for those who do not see it.
        size: width and height.
        pieces: what is drawn.
    """
    width, height = size
    drawn = "".join(pieces)
    return (
        f'<figure class="picture">'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(title)}">'
        f'<svg role="group" aria-labelledby="{name}-title {name}-desc" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-desc">{html.escape(told)}</desc>{drawn}</svg></div>'
        f"<figcaption>{html.escape(title)}. {html.escape(told)}</figcaption></figure>"
    )


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""
