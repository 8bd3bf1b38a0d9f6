"""Drawing with text: pieces of SVG whose words can be selected, searched and read aloud."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from nnspec.site.templates import render


def text(x: float, y: float, words: str, css: str = "plain") -> Markup:
    """A line of text that begins at a point."""
    return Markup('<text x="{}" y="{}" class="{}">{}</text>').format(x, y, css, words)


def box(x: float, y: float, width: float, height: float) -> Markup:
    """A box by its upper left corner."""
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="4" class="box"/>').format(
        x, y, width, height
    )


def path(points: Iterable[tuple[float, float]], css: str = "line") -> Markup:
    """A line through points."""
    through = " L".join(f"{x} {y}" for x, y in points)
    return Markup('<path d="M{}" class="{}"/>').format(through, css)


def figure(
    name: str,
    title: str,
    caption: str,
    size: tuple[float, float],
    pieces: Iterable[Markup],
    said: str = "",
) -> str:
    """A picture with its title, a caption, and a box in which it scrolls.

    Args:
        name: the id, unique on its page.
        title: a few words.
        caption: what to see in it.
        size: width and height.
        pieces: what is drawn.
        said: what is drawn, in words, for those who do not see it; else the caption says so.
    """
    names = {"name": name, "title": title, "caption": caption, "size": size, "said": said or caption}
    return render("picture.html.j2", **names, pieces=pieces)
