"""Pictures where looking beats reading, each drawn from what a clause observed when it was run just now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any
from unittest import mock

import torch
from torch import nn

from nnspec.clauses.chapter import Chapter
from nnspec.clauses.clause import Clause
from nnspec.clauses.tables import TableError
from nnspec.running import isolation
from nnspec.site import example, svg

ROW = 26


def of_chapter(pictures: Mapping[str, str], chapter: Chapter) -> list[str]:
    """The pictures that open a chapter, as HTML.

    Args:
        pictures: drawing to the clause whose run it draws.
        chapter: the chapter.

    Raises:
        TableError: there is no such drawing.
    """
    unknown = sorted(pictures.keys() - DRAWINGS.keys())
    if unknown:
        raise TableError(f"docs/site.toml: no drawing {unknown[0]!r}; there are {', '.join(DRAWINGS)}")
    clauses = {clause.id: clause for clause in chapter.clauses}
    return [
        DRAWINGS[drawing](observe(clauses[name], chapter))
        for drawing, name in pictures.items()
        if name in clauses
    ]


def observe(clause: Clause, chapter: Chapter) -> dict[str, Any]:
    """Run the example of a clause and return its names with what they were bound to."""
    names: dict[str, Any] = {"__name__": clause.id}
    before = isolation.snapshot()
    isolation.seed()
    source = f"{example.preamble(chapter)}\n\n{example.example(clause, chapter)}"
    with _restored(torch.cuda), _restored(torch.backends.mps):
        exec(compile(source, f"<{clause.id}>", "exec"), names)
    isolation.restore(before)
    return names


def _restored(module: Any) -> Any:
    """A context that puts back whether a device is there, which some examples hide."""
    return mock.patch.object(module, "is_available", module.is_available)


def _order_of_a_call(names: dict[str, Any]) -> str:
    """All that happens in one call: who is asked, from top to bottom."""
    calls: list[str] = names["calls"]
    lanes = {"global hooks": 4, "hooks of the module": 222, "the module itself": 440}
    pieces = [svg.text(x, 20, lane, "quiet") for lane, x in lanes.items()]
    points = []
    for number, word in enumerate(calls, start=1):
        x = lanes[_lane(word)]
        y = number * 34 + 18
        points.append((x + 8.0, y - 5.0))
        pieces.append(svg.box(x, y - 20, 208, 28))
        pieces.append(svg.text(x + 8, y - 1, str(number), "number"))
        pieces.append(svg.text(x + 30, y - 1, word.removeprefix("global "), "code"))
    said = f"In this order: {', '.join(calls)}."
    caption = (
        "Hooks stand around what they belong to: pre-hooks before it, the others after it, global ones first."
    )
    size = (652, len(calls) * 34 + 40)
    pieces.insert(0, svg.path(points))
    return svg.figure("order", "One call and its backward pass", caption, size, pieces, said)


def _lane(word: str) -> str:
    if word.startswith("global"):
        return "global hooks"
    return "hooks of the module" if word.endswith("hook") else "the module itself"


def _walks(names: dict[str, Any]) -> str:
    """A small tree, and the place of each entry in each walk."""
    net: nn.Module = names["net"]
    walks = {
        f"{walk.__name__}()": {id(entry): at for at, entry in enumerate(walk())}
        for walk in (net.modules, net.children, net.parameters, net.buffers)
    }
    columns = {name: 330 + 92 * at for at, name in enumerate(walks)}
    pieces = [svg.text(x, 20, name, "quiet") for name, x in columns.items()]
    rows = list(_entries(net, "", 0))
    for at, (depth, name, entry) in enumerate(rows):
        y = 48 + at * ROW
        pieces.append(svg.text(8 + 22 * depth, y, f"{name or 'net'}", "code"))
        pieces.append(svg.text(18 + 22 * depth + 8.0 * len(name or "net"), y, type(entry).__name__, "quiet"))
        for walk, places in walks.items():
            if id(entry) in places:
                pieces.append(svg.text(columns[walk] + 12, y, str(places[id(entry)]), "number"))
    caption = "The number says when a walk hands out the entry, counted from 0; without a number it does not."
    return svg.figure("walks", "A module and its walks", caption, (670, 50 + ROW * len(rows)), pieces)


def _entries(module: nn.Module, name: str, depth: int) -> Iterator[tuple[int, str, object]]:
    """Modules, parameters and buffers of a tree, each below the module that holds it."""
    yield depth, name, module
    for kind in (module.named_parameters(recurse=False), module.named_buffers(recurse=False)):
        for own, entry in kind:
            yield depth + 1, own, entry
    for own, child in module.named_children():
        yield from _entries(child, own, depth + 1)


def _resnet34(names: dict[str, Any]) -> str:
    """ResNet-34: its children from top to bottom, the blocks of a layer from left to right."""
    net: nn.Module = names["net"]
    places = {id(entry): at for at, entry in enumerate(net.modules())}
    pieces = []
    y = 34.0
    for name, child in net.named_children():
        pieces.append(svg.text(8, y, name, "code"))
        pieces.append(svg.text(84, y, type(child).__name__, "quiet"))
        pieces.append(svg.text(204, y, _range(child, places), "number"))
        for at, (own, block) in enumerate(child.named_children()):
            x = 280 + at * 84
            pieces.append(svg.box(x, y - 18, 78, 26))
            pieces.append(svg.text(x + 8, y, own, "code"))
            pieces.append(svg.text(x + 26, y, _range(block, places), "number"))
        y += 36
    caption = (
        f"modules() hands out {len(places)} modules: 0 is the network itself, and the numbers say which "
        "ones lie in each child and in each block of a layer."
    )
    return svg.figure("resnet34", "The tree of ResNet-34", caption, (790, y), pieces)


def _range(module: nn.Module, places: dict[int, int]) -> str:
    numbers = sorted(places[id(entry)] for entry in module.modules())
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}\N{EN DASH}{numbers[-1]}"


def _routes(names: dict[str, Any]) -> str:
    """Where an assigned value ends, seen by assigning it."""
    stores = ("_parameters", "TypeError", "_modules", "_buffers", "__dict__")
    seen = [(value_in_words, _store(name, value)) for value_in_words, name, value in _assignments()]
    step = ROW + 12
    places = {store: 50 + at * 60 for at, store in enumerate(stores)}
    pieces = []
    for at, (value_in_words, store) in enumerate(seen):
        y, to = 30 + at * step, places[store]
        pieces.append(svg.path([(290, y - 5), (400, to)], "accent"))
        pieces.append(svg.text(8, y, value_in_words))
    for store, to in places.items():
        pieces += [svg.box(400, to - 15, 150, 30), svg.text(414, to + 5, store, "code")]
    said = "; ".join(f"{value_in_words} goes to {store}" for value_in_words, store in seen) + "."
    caption = "The kind of the value decides; a tensor may take the place of a buffer, but of no parameter."
    size = (560, 30 + step * len(seen))
    return svg.figure("routes", "Where an assigned value goes", caption, size, pieces, said)


def _assignments() -> Iterator[tuple[str, str, object]]:
    yield "nn.Parameter, to a new name", "new", nn.Parameter(torch.rand(2))
    yield "None, to the name of a parameter", "weight", None
    yield "a tensor, to the name of a parameter", "weight", torch.rand(2)
    yield "a module, to a new name", "new", nn.ReLU()
    yield "nn.Buffer, to a new name", "new", nn.Buffer(torch.rand(2))
    yield "a tensor, to the name of a buffer", "mean", torch.rand(2)
    yield "a tensor, to a new name", "new", torch.rand(2)
    yield "anything else, to a new name", "new", [nn.ReLU()]


def _store(name: str, value: object) -> str:
    """The store in which a module keeps a value after it was assigned, or the error."""
    net = nn.Module()
    net.weight = nn.Parameter(torch.rand(2))
    net.register_buffer("mean", torch.rand(2))
    try:
        setattr(net, name, value)
    except TypeError:
        return "TypeError"
    stores = ("_parameters", "_modules", "_buffers")
    return next((store for store in stores if name in getattr(net, store)), "__dict__")


def _data_parallel(names: dict[str, Any]) -> str:
    """What DataParallel does with a batch: a column for each step, a row for each device."""
    steps: list[tuple[str, Any]] = names["wrapped"].steps
    sizes = [len(output) for output in names["outputs"]]
    devices = dict(steps)["scatter"]
    words = {
        "scatter": [f"{_rows(size)} on {device}" for size, device in zip(sizes, devices, strict=True)],
        "replicate": [f"a copy on {device}" for device in devices],
        "parallel_apply": [f"output of {_rows(size)}" for size in sizes],
        "gather": [f"{_rows(sum(sizes))} on {dict(steps)['gather']}"],
    }
    pieces = [svg.box(8, 66, 100, 36), svg.text(20, 89, _rows(sum(sizes)))]
    before = [(108.0, 84.0)]
    for at, (step, _) in enumerate(steps):
        x = 150 + at * 172
        pieces.append(svg.text(x, 26, f"{at + 1}", "number"))
        pieces.append(svg.text(x + 16, 26, step, "code"))
        cells = words[step]
        middle = 84 if len(cells) == 1 else 60
        now = [(float(x), middle + 48.0 * row) for row in range(len(cells))]
        pairs = zip(before, now, strict=True) if len(before) == len(now) else product(before, now)
        pieces += [svg.path(pair) for pair in pairs]
        for (_, y), cell in zip(now, cells, strict=True):
            pieces += [svg.box(x, y - 18, 140, 36), svg.text(x + 12, y + 5, cell)]
        before = [(x + 140.0, y) for _, y in now]
    where = " and ".join(map(str, devices))
    what = ", then ".join(step for step, _ in steps)
    said = f"A batch of {_rows(sum(sizes))} on devices {where}: {what}."
    caption = "All four steps are taken in every call; the copies of the module live no longer than it."
    title = "What DataParallel does with a batch"
    return svg.figure("data-parallel", title, caption, (850, 150), pieces, said)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


#: Each drawing by its name in ``docs/site.toml``.
DRAWINGS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "order": _order_of_a_call,
    "walks": _walks,
    "resnet34": _resnet34,
    "routes": _routes,
    "data_parallel": _data_parallel,
}
