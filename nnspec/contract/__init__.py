"""Rules that every well-behaved module keeps, and how a module of one's own is judged by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnspec.contract.api import Case, ContractWarning, check, parametrize
    from nnspec.contract.finding import Finding
    from nnspec.contract.report import ContractError, Report

__all__ = ["Case", "ContractError", "ContractWarning", "Finding", "Report", "check", "parametrize"]

_HOMES = {"Finding": "finding", "ContractError": "report", "Report": "report"}


def __getattr__(name: str) -> object:
    """Import what is asked for, when it is: who only reads the rules needs no torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'api')}"), name)
