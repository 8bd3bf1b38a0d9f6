"""What the environment of a run may not change: a run gives the same record everywhere, or refuses.

Nothing here imports torch: what is set aside has to be so before torch is imported.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import pytest
from _pytest.config import apply_warning_filters

from nnspec.errors import UsageError

#: Variables that change what torch does or says, in a way that clauses see.
VARIABLES = (
    "PYTORCH_JIT",
    "TORCHDYNAMO_DISABLE",
    "TORCHDYNAMO_SUPPRESS_ERRORS",
    "TORCHDYNAMO_VERBOSE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_COMPILE_DEBUG",
    "TORCH_COMPILE_DISABLE",
    "TORCH_CPP_LOG_LEVEL",
    "TORCH_DISTRIBUTED_DEBUG",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD",
    "TORCH_LOGS",
    "TORCH_LOGS_FORMAT",
    "TORCH_LOGS_OUT",
    "TORCH_SHOW_CPP_STACKTRACES",
    "TORCH_TRACE",
)

#: Warnings as Python treats them where nobody asks for anything else.
_OF_PYTHON: tuple[tuple[str, None, type[Warning], str | None, int], ...] = (
    ("default", None, DeprecationWarning, "__main__", 0),
    ("ignore", None, DeprecationWarning, None, 0),
    ("ignore", None, PendingDeprecationWarning, None, 0),
    ("ignore", None, ImportWarning, None, 0),
    ("ignore", None, ResourceWarning, None, 0),
)

#: What pytest adds for each test where nobody asks for anything else.
_OF_PYTEST: tuple[tuple[str, None, type[Warning], None, int], ...] = (
    ("always", None, PendingDeprecationWarning, None, 0),
    ("always", None, DeprecationWarning, None, 0),
)


def ensure_assertions() -> None:
    """See that assertions are made.

    Raises:
        UsageError: Python leaves them out.
    """
    if sys.flags.optimize:
        raise UsageError(
            "Python leaves assertions out (-O or PYTHONOPTIMIZE), those in torch as well, so nothing can be "
            "judged; run without it"
        )


def set_aside() -> None:
    """Take out of this process and of those that it starts what the environment asks of torch.

    Raises:
        UsageError: assertions are off, or torch was imported with a variable that changes it.
    """
    ensure_assertions()
    named = [name for name in VARIABLES if name in os.environ]
    if named and "torch" in sys.modules:
        raise UsageError(
            f"torch was imported before the specification and with {', '.join(named)}, which change what it "
            "does; run without"
        )
    for name in (*named, "PYTHONWARNINGS"):
        os.environ.pop(name, None)


def ordinary_filters(config: pytest.Config) -> list[Any]:
    """The filters of warnings under which clauses run.

    They are Python's own, pytest's own and those of the libraries that were imported, without what a user
    asked for with ``-W``, ``PYTHONWARNINGS`` or settings of pytest.
    """
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings._processoptions(sys.warnoptions)  # type: ignore[attr-defined]
        apply_warning_filters(
            config.getini("filterwarnings"), config.known_args_namespace.pythonwarnings or []
        )
        wished = list(warnings.filters)
    known = [*wished, *_OF_PYTEST, *_OF_PYTHON]
    set_by_imports = [one for one in warnings.filters if one not in known]
    return [*_OF_PYTEST, *set_by_imports, *_OF_PYTHON]
