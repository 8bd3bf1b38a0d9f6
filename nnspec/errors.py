"""The errors that a person can mend."""


class NnspecError(Exception):
    """Something that was given cannot be used; the message says where, what was expected and what to do."""


class UsageError(NnspecError):
    """A command cannot be carried out as it was given."""


class FileError(NnspecError):
    """A file cannot be read or written; the message names the file, the place and the remedy."""


def printable(text: str, keep: str = "") -> str:
    """A text whose every character can be shown, those to keep aside; others are escaped."""
    return "".join(one if one.isprintable() or one in keep else ascii(one)[1:-1] for one in text)


def shortened(text: str, most: int = 120) -> str:
    """A text, or its beginning and its end, in printable characters."""
    half = most // 2
    return printable(text if len(text) <= most else f"{text[:half]}...{text[-half:]}")
