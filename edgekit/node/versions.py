"""Versions of Python packages, compared as PEP 440 orders them; the base installation has no `packaging`.

Epochs are not known, and what follows a "+" does not count: "1.22.0+cu12" is 1.22.0.
"""

from __future__ import annotations

import re

LONGEST = 64
_VERSION = re.compile(
    r"v?(\d{1,9}(?:\.\d{1,9}){0,7})"
    r"(?:[-_.]?(a|alpha|b|beta|c|rc|pre|preview)[-_.]?(\d{0,9}))?"
    r"(?:(?:[-_.]?(?:post|rev|r)[-_.]?|-(?=\d))(\d{0,9}))?"
    r"(?:[-_.]?(dev)[-_.]?(\d{0,9}))?"
    r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?"
)
_STAGES = {"a": 1, "alpha": 1, "b": 2, "beta": 2, "c": 3, "rc": 3, "pre": 3, "preview": 3}
_DEV, _FINAL = 0, 4

Order = tuple[tuple[int, ...], tuple[int, int], int, tuple[int, int]]


def version_order(text: str) -> Order:
    """What versions are sorted by.

    Args:
        text: For example "1.22.0", "1.10rc1", "2.3.0.dev20260101".

    Raises:
        ValueError: It is no version.

    >>> version_order("1.10") > version_order("1.9.3")
    True
    >>> version_order("2.0.0rc1") < version_order("2.0") == version_order("2.0.0")
    True
    """
    found = _VERSION.fullmatch(text.strip().lower()) if len(text) <= LONGEST else None
    if not found:
        raise ValueError(f"{text[:LONGEST]!r} is no version")
    release, stage, stage_number, post, dev, dev_number = found.groups()
    numbers = [int(part) for part in release.split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    without_stage = _DEV if dev and post is None else _FINAL
    pre = (_STAGES[stage], int(stage_number or 0)) if stage else (without_stage, 0)
    after = -1 if post is None else int(post or 0)
    return tuple(numbers), pre, after, (0, int(dev_number or 0)) if dev else (1, 0)


def is_at_least(version: str, minimum: str) -> bool:
    """Whether a version is the oldest one that will do, or newer.

    Raises:
        ValueError: One of them is no version.
    """
    return version_order(version) >= version_order(minimum)
