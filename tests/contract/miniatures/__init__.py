"""Tiny modules, each with one fault that is met in real code, and their repaired twins.

A file has the miniatures of one or two chapters of rules; its list ``MINIATURES`` says which rule a fault
violates and what the finding says.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn


def rows() -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Three rows of four features."""
    return (torch.rand(3, 4, generator=torch.Generator().manual_seed(3)),), {}


def numbers() -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Three rows of four whole numbers."""
    return (torch.tensor([[1, 0, 2, 4], [3, 3, 1, 0], [2, 4, 4, 1]]),), {}


def sequences() -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Three sequences of five steps, each of four features."""
    return (torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(3)),), {}


def images() -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Three images of two channels."""
    return (torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(3)),), {}


class Net(nn.Module):
    """Two linear layers: what many miniatures have in common."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).relu())


class Miniature(NamedTuple):
    """A fault and its repair.

    Attributes:
        faulty: makes the module with the fault.
        rule: the one rule that it violates, as ``chapter.rule``.
        finding: how the finding begins.
        cure: how it ends.
        repaired: makes its repaired twin.
        example: makes the inputs of both.
    """

    faulty: Callable[[], nn.Module]
    rule: str
    finding: str
    cure: str
    repaired: Callable[[], nn.Module]
    example: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]] = rows


def every_miniature() -> list[Miniature]:
    """The miniatures of all files beside this one."""
    modules = [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
    return [miniature for module in modules for miniature in getattr(module, "MINIATURES", [])]
