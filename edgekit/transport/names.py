"""check_name: the file names that a transport takes, so that none can leave the tree that its URL names.

Names come from metadata, which a stranger may have written: they are held against one pattern before a path or a URL
is made of them.
"""

from __future__ import annotations

import re

from edgekit.errors import MalformedError

LONGEST_CHARACTERS = 512
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.+@=,~-]*"
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


def check_name(name: str) -> str:
    """A name below a transport's URL: segments of letters, digits and `_.+@=,~-`, separated by "/".

    No segment is empty or starts with a dot or a dash, so that "..", hidden files and flags are no names. No character
    needs an escape in a URL.

    Args:
        name: For example "blobs/sha256/ab12".

    Returns:
        The name as it is.

    Raises:
        MalformedError: It is something else, or longer than 512 characters.

    >>> check_name("metadata/1.root.json")
    'metadata/1.root.json'
    """
    if len(name) > LONGEST_CHARACTERS or not _NAME.fullmatch(name):
        raise MalformedError(f"{name[:80]!r} is no name of a file of a channel or bundle")
    return name
