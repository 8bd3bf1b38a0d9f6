"""Where issues and pull requests are, of torch and of others: the one place that knows GitHub's addresses."""

from __future__ import annotations

TORCH = "pytorch/pytorch"

#: The address of a thread of torch by the role that names it; ``%s`` is its number.
ROLES = {
    "issue": f"https://github.com/{TORCH}/issues/%s",
    "pull": f"https://github.com/{TORCH}/pull/%s",
}


def address(thread: str) -> str:
    """The address of a thread.

    Args:
        thread: ``#715`` for one of torch, ``owner/repository#3`` for another's, or an address as it is.
    """
    if thread.startswith("https://"):
        return thread
    repository, _, number = thread.partition("#")
    return f"https://github.com/{repository or TORCH}/issues/{number}"


def short(thread: str) -> str:
    """A thread as a page names it: one of torch by its number, an address by the site it is on."""
    if thread.startswith("https://"):
        return thread.split("/")[2].removeprefix("www.")
    return thread.removeprefix(TORCH)
