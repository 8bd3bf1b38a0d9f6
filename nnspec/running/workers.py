"""The workers of ``pytest -n``: how clauses are shared out among them, and how they end."""

from __future__ import annotations

import atexit
import functools
import os
import sys
from pathlib import Path
from typing import Any

from xdist.scheduler import LoadScopeScheduling

#: Needs whose first clause imports much, or starts processes.
SLOW_TO_SET_UP = ("compile", "distributed", "torchvision")


class ByChapter(LoadScopeScheduling):  # type: ignore[misc]
    """Hands a chapter to one worker, and all chapters with one of :data:`SLOW_TO_SET_UP` to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return _slow_need(str(self.config.rootpath), file) or file

    def remove_node(self, node: Any) -> str | None:
        """Take out a worker that ended; the clause that it ran is not run again: it would end another.

        Returns:
            that clause.
        """
        for chapter in self.assigned_work[node].values():
            for clause, is_done in chapter.items():
                if not is_done:
                    chapter[clause] = True
                    super().remove_node(node)
                    return str(clause)
        super().remove_node(node)
        return None


def end_without_tidying() -> None:
    """Run what was registered for the end of a worker, then end it: to take torch apart takes seconds."""
    atexit.unregister(end_without_tidying)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


@functools.cache
def _slow_need(root: str, file: str) -> str:
    """The need of a chapter that is slow to set up, empty if it has none; its text is enough to see that."""
    chapter = Path(root, file)
    text = chapter.read_text(encoding="utf-8") if chapter.exists() else ""
    return next((need for need in SLOW_TO_SET_UP if f'needs("{need}")' in text), "")
