"""The errors that a person can mend."""


class NnspecError(Exception):
    """Something that was given cannot be used; the message says where, what was expected and what to do."""


class UsageError(NnspecError):
    """A command cannot be carried out as it was given."""


class FileError(NnspecError):
    """A file cannot be read or written; the message names the file, the place and the remedy."""
