"""Mutations of JSON that keep it JSON: keys, values, types, numbers, names, nesting, and parts of other documents."""

from __future__ import annotations

import copy
import string
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tests.fuzz import hostile
from tests.fuzz.json_text import Pairs, Raw, read, write, write_loosely

LARGE_SHARE = 0.003
"""Of the mutations: they cost a hundred times as much as others."""

MOST_VALUES = 10_000
"""That a list is multiplied to."""


def mutate_json(random: Random, data: bytes, others: Sequence[bytes] = (), *, canonical: float = 0.9) -> bytes:
    """A changed document.

    Args:
        random: Decides.
        data: A specimen, JSON.
        others: Documents of which parts may be taken.
        canonical: How often the text is canonical, 0..1: readers of canonical JSON see nothing of the others.
    """
    tree = mutate_tree(random, read(data), others)
    return write(tree) if random.random() < canonical else write_loosely(tree, random)


def mutate_tree(random: Random, tree: Any, others: Sequence[bytes] = ()) -> Any:
    """The same of a tree of `json_text`, which is changed in place; returns what became of it."""
    holder = [tree]
    for _ in range(random.choice((1, 1, 1, 1, 2, 2, 4))):
        slots = _slots(holder)
        _change(random, *_pick(random, slots), others)
    return holder[0]


def is_json(data: bytes) -> bool:
    """Whether `mutate_json` can read it."""
    try:
        read(data)
    except ValueError:
        return False
    return True


def _slots(holder: list[Any]) -> list[tuple[list[Any], int, int]]:
    """Every place of a value: the list that holds it, the index there, and how deep it is."""
    found: list[tuple[list[Any], int, int]] = []
    waiting = [(holder, 0, 0)]
    while waiting:
        place = waiting.pop()
        found.append(place)
        value, depth = place[0][place[1]], place[2] + 1
        if isinstance(value, Pairs):
            waiting += [(pair, 1, depth) for pair in value]
        elif isinstance(value, list):
            waiting += [(value, index, depth) for index in range(len(value))]
    return found


def _weight(items: list[Any]) -> int:
    """How many values a list holds; a long text counts for as many as it takes the room of."""
    values = [holder[index] for holder, index, _ in _slots([items])]
    return sum(1 + len(value) // 100 if isinstance(value, str) else 1 for value in values)


def _pick(random: Random, slots: Sequence[tuple[list[Any], int, int]]) -> tuple[list[Any], int]:
    """One of the places; half of the time of those near the top, which long lists would crowd out."""
    if random.random() < 0.5:
        slots = [slot for slot in slots if slot[2] <= 2] or slots
    holder, index, _ = random.choice(slots)
    return holder, index


def _change(random: Random, holder: list[Any], index: int, others: Sequence[bytes]) -> None:
    value = holder[index]
    if random.random() < LARGE_SHARE:
        entries = random.choices((3_000, 30_000, 100_000, 330_000, 1_300_000), (30, 30, 30, 8, 2))[0]
        holder[index] = Raw(hostile.large(random.randrange(hostile.LARGE_KINDS), entries))
    elif random.random() < 0.12:
        holder[index] = Raw(hostile.token(random))
    elif random.random() < 0.06 and others:
        holder[index] = _part(random, random.choice(others))
    elif isinstance(value, Pairs):
        _change_object(random, value)
    elif isinstance(value, list):
        _change_list(random, value)
    elif isinstance(value, str) and not isinstance(value, Raw):
        holder[index] = _other_text(random, value)
    elif isinstance(value, bool | None | Raw):
        holder[index] = Raw(hostile.token(random))
    else:
        holder[index] = _other_number(random, value)


def _change_object(random: Random, pairs: Pairs) -> None:
    how = random.randrange(8)
    if how <= 1 and pairs:
        del pairs[random.randrange(len(pairs))]
    elif how == 2 and pairs:
        pairs.append(copy.deepcopy(random.choice(pairs)))
    elif how == 3 and pairs:
        pair = random.choice(pairs)
        pair[0] = random.choice((hostile.name(random), pair[0].upper(), pair[0] + " ", pair[0][:-1], f"{pair[0]}s"))
    elif how == 4 and len(pairs) > 1:
        first, second = random.sample(pairs, 2)
        first[1], second[1] = second[1], first[1]
    elif how == 5:
        random.shuffle(pairs)
    elif how == 6 and pairs:
        _, value = random.choice(pairs)
        pairs.append([hostile.name(random), copy.deepcopy(value)])
    else:
        pairs.append([random.choice((hostile.name(random), "urls", "data", "x")), Raw(hostile.token(random))])


def _change_list(random: Random, items: list[Any]) -> None:
    how = random.randrange(6)
    if how == 0 and items:
        del items[random.randrange(len(items))]
    elif how == 1 and items:
        items.insert(random.randrange(len(items) + 1), copy.deepcopy(random.choice(items)))
    elif how == 2 and len(items) > 1:
        random.shuffle(items)
    elif how == 3 and items:
        times = min(random.choice((2, 20, 300, 5000)), MOST_VALUES // _weight(items) + 1)
        items[:] = [copy.deepcopy(item) for _ in range(times) for item in items]  # else one more change were in each
    elif how == 4:
        items.clear()
    else:
        items.insert(random.randrange(len(items) + 1), Raw(hostile.token(random)))


def _other_text(random: Random, text: str) -> Any:
    place = random.randrange(len(text) + 1)
    changes: tuple[Callable[[], Any], ...] = (
        lambda: hostile.name(random),
        lambda: text[:place] + random.choice(string.hexdigits + string.punctuation) + text[place + 1 :],
        lambda: text[:place],
        lambda: text + random.choice((" ", "\n", "\0", "x", "/", "=", text)),
        lambda: text.swapcase(),
        lambda: hostile.name(random) + text,
        lambda: text[:place] + hostile.name(random) + text[place:],
        lambda: Raw(hostile.token(random)),
    )
    return random.choice(changes)()


def _other_number(random: Random, number: float) -> Any:
    changes: tuple[Callable[[], Any], ...] = (
        lambda: number + 1,
        lambda: number - 1,
        lambda: -number,
        lambda: number * random.choice((2, 10, 1000)),
        lambda: Raw(random.choice(hostile.NUMBERS)),
        lambda: str(number),
        lambda: [number],
    )
    return random.choice(changes)()


def _part(random: Random, data: bytes) -> Any:
    holder, index = _pick(random, _slots([read(data)]))
    return holder[index]
