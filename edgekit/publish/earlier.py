"""Earlier releases of a model that a channel still has: what readers run that were off for a while.

Every version of a family's metadata stays in the channel until `channel prune` removes it together with what it alone
leads to. They are read backwards, and held against the keys that count today: whoever runs the server can withhold a
release, and add none.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.channel.mirror import LIMITS
from edgekit.channel.names import metadata_file, target_path
from edgekit.channel.tuf_objects import TargetFile
from edgekit.errors import AbsentError, MalformedError, TransportError, TrustError
from edgekit.publish.records import Records, check_signed, parse_metadata
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport

MOST_STEPS = 128
"""So many versions back; a family signs one for each release of each of its models, and to stay fresh."""


def releases(place: Transport, records: Records, name: str, notes: list[str]) -> Iterator[TargetFile]:
    """Release indexes of a model, the current one first, then those before it, each once; looked for as they are taken.

    Args:
        place: The channel.
        records: In force there.
        name: FAMILY/NAME.
        notes: Gets a line where there may be more that cannot be used.

    Raises:
        InputError: The channel has no such family.
    """
    family = name.partition("/")[0]
    current = records.family(family)
    seen: set[str] = set()
    for number in range(current.version, max(0, current.version - MOST_STEPS), -1):
        try:
            targets = _targets(place, records, family, number) if number < current.version else current.targets
        except AbsentError:
            return
        except (TransportError, TrustError) as error:
            notes.append(
                f"no deltas from releases before those that {metadata_file(family, number + 1)} names: {error}"
            )
            return
        target = targets.get(target_path(name))
        sha256 = target.hashes.get("sha256", "") if target else ""
        if target and sha256 not in seen:
            seen.add(sha256)
            yield target


def _targets(place: Transport, records: Records, family: str, number: int) -> dict[str, TargetFile]:
    """What a family signed in an earlier version of its metadata, with keys that count today."""
    name = metadata_file(family, number)
    metadata = parse_metadata(read_all(place, name, limit_bytes=LIMITS.targets_max_length), family, where=name)
    check_signed(metadata, family, records.targets, where=name)
    if metadata.signed.version != number:
        raise MalformedError(f"{name} has version {metadata.signed.version}")
    targets: dict[str, TargetFile] = metadata.signed.targets
    return targets
