"""Which nodes a release sends to another variant than they run: they have no predecessor of its file, and no delta."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.types.manifest import Manifest


def changed_preferences(old: Manifest, new: Manifest) -> Iterator[str]:
    """A line for each variant whose nodes take another one now, though it is still there.

    A node that runs a variant could not run those that came before it, so that only the others of its machine are
    looked at. Whether it can run what comes first now is for each node to see.

    Args:
        old: The release that is current.
        new: The one that is to be.
    """
    for number, variant in enumerate(old.variants):
        passed_over = {each.name for each in old.variants[:number]}
        left = [
            each
            for each in new.variants
            if each.requires.arch == variant.requires.arch and each.name not in passed_over
        ]
        if left and left[0].name != variant.name and any(each.name == variant.name for each in left):
            yield (
                f"on {variant.requires.os}/{variant.requires.arch} {left[0].name} comes before {variant.name} now: "
                f"nodes that change fetch it whole; `edgekit pack --first {variant.format}` keeps them where they are"
            )
