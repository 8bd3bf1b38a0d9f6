"""Where issues and pull requests are, of torch and of others: the one place that knows GitHub's addresses."""

from __future__ import annotations

TORCH = "pytorch/pytorch"

#: The address of a thread of torch by the role that names it; ``%s`` is its number.
ROLES = {
    "issue": f"https://github.com/{TORCH}/issues/%s",
    "pull": f"https://github.com/{TORCH}/pull/%s",
}


def address(thread: str) -> str:
    """The address of a thread: ``#715`` is one of torch, others name their repository before the ``#``."""
    repository, _, number = thread.partition("#")
    return f"https://github.com/{repository or TORCH}/issues/{number}"
