"""Everything of a new file that is no span of numbers: copies out of the old file, and bytes that are new.

Names, shapes, attributes and single scalars hardly change from release to release, and mostly stay where they were. So
a copy is told by how far it is from going straight on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from edgekit.delta.residual_numbers import NumberReader, fold, unfold, write_number
from edgekit.errors import MalformedError

Span = tuple[int, int]
"""Begin and end of some bytes."""
_KEY = 8
"""Bytes that are looked up; so the shortest copy from elsewhere."""
_STRAIGHT = 3
"""Shortest copy that goes straight on."""
_MOST_KEYS = 2**19
_CHUNK = 2**12
_HASTE = 8


def write_skeleton(
    old: bytes, new: bytes, *, holes: Sequence[Span], unlike: Sequence[Span], moved: Mapping[int, int]
) -> tuple[bytes, bytes]:
    """Find the copies.

    Args:
        old: The old file.
        new: The new one.
        holes: Spans of the new file that others tell, in order.
        unlike: Spans of the old file, in order, in which nothing is looked up: they are weights.
        moved: Place in the new file -> in the old one, where something long that is the same begins.

    Returns:
        The instructions, and the new bytes.
    """
    places, anchors = _places(old, unlike), sorted(moved)
    instructions, literals = bytearray(), bytearray()
    expected = 0  # place in the old file, less that in the new one
    for begin, end in gaps(holes, len(new)):
        place = start = begin
        while place < end:
            source = moved.get(place, place + expected)
            source, length = _longest(old, new, place, end, source, places)
            if not length:
                further = place + 1 + (place - start >> _HASTE)  # where nothing was found for long, look less often
                place = min([further, *anchors[bisect_right(anchors, place) :][:1]])
                continue
            if place > start:
                write_number(instructions, (place - start) << 1)
                literals += new[start:place]
            write_number(instructions, length << 1 | 1)
            write_number(instructions, fold(source - place - expected))
            expected = source - place
            place = start = place + length
        if place > start:
            write_number(instructions, (place - start) << 1)
            literals += new[start:place]
    return bytes(instructions), bytes(literals)


def fill_skeleton(
    out: bytearray, old: memoryview, *, holes: Sequence[Span], told: tuple[memoryview, memoryview]
) -> None:
    """Write all of the new file but its holes.

    Args:
        out: The new file, of its full size.
        old: The old file.
        holes: As they were for `write_skeleton`.
        told: What it gave: instructions and new bytes.

    Raises:
        MalformedError: An instruction leads out of a file, or there are too few or too many.
    """
    reader, literals = NumberReader(told[0]), told[1]
    used = expected = 0
    for begin, end in gaps(holes, len(out)):
        place = begin
        while place < end:
            head = reader.number()
            length = head >> 1
            if not 0 < length <= end - place:
                raise MalformedError(f"a residual fills a gap of {end - place} bytes with {length}")
            if head & 1:
                expected += unfold(reader.number())
                source = place + expected
                if not 0 <= source <= len(old) - length:
                    raise MalformedError(f"a residual copies {length} bytes from byte {source} of {len(old)}")
                out[place : place + length] = old[source : source + length]
            else:
                if used + length > len(literals):
                    raise MalformedError("a residual has too few new bytes")
                out[place : place + length] = literals[used : used + length]
                used += length
            place += length
    reader.end()
    if used != len(literals):
        raise MalformedError("a residual has more new bytes than places for them")


def gaps(holes: Sequence[Span], size: int) -> Iterator[Span]:
    """What is between the holes, which are in order and do not overlap."""
    place = 0
    for begin, end in holes:
        if begin > place:
            yield place, begin
        place = max(place, end)
    if place < size:
        yield place, size


def _places(old: bytes, unlike: Sequence[Span]) -> dict[bytes, int]:
    """Where some bytes are first; every place is known unless there are very many."""
    spans = list(gaps(unlike, len(old)))
    step = sum(end - begin for begin, end in spans) // _MOST_KEYS + 1
    places: dict[bytes, int] = {}
    for begin, end in spans:
        for place in range(begin, end - _KEY + 1, step):
            places.setdefault(old[place : place + _KEY], place)
    return places


def _longest(old: bytes, new: bytes, place: int, end: int, straight: int, places: dict[bytes, int]) -> Span:
    """Place and length of the best copy for the new bytes from `place` on; length 0 when there is none."""
    length = _common(old, straight, new, place, end) if 0 <= straight < len(old) else 0
    if length >= _KEY:
        return straight, length
    found = places.get(new[place : place + _KEY]) if place + _KEY <= end else None
    if found is not None:
        other = _common(old, found, new, place, end)
        if other > length + _KEY // 2:
            return found, other
    return (straight, length) if length >= _STRAIGHT else (0, 0)


def _common(old: bytes, source: int, new: bytes, place: int, end: int) -> int:
    """How many bytes are the same from there on."""
    most = min(len(old) - source, end - place)
    length = 0
    while length < most:
        chunk = min(_CHUNK, most - length)
        mine, other = old[source + length : source + length + chunk], new[place + length : place + length + chunk]
        if mine == other:
            length += chunk
            continue
        for index, (one, two) in enumerate(zip(mine, other, strict=True)):
            if one != two:
                return length + index
    return length
