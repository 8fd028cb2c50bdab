"""Deltas: their index, patches of every codec, and their application as a node does it; all as a mad publisher signs.

Whoever signs a patch can make it say anything; it may cost no more memory than the index says, makes a file of the
signed size or none, and a file with another digest than the release's is never kept.
"""

from __future__ import annotations

import bz2
import dataclasses
import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import zstandard

from edgekit.delta import applying, applying_child
from edgekit.delta.applying import PROGRAM_BYTES, apply_delta
from edgekit.delta.codecs import CODECS
from edgekit.delta.index import (
    LARGEST_DELTA_BYTES,
    LARGEST_MEMORY_BYTES,
    MOST_DELTAS,
    Delta,
    choose_delta,
    read_index,
    write_index,
)
from edgekit.delta.making import describe
from edgekit.errors import EdgekitError
from edgekit.types.blob import Blob, Pieces
from tests.delta import small_nets
from tests.delta.files import BASE, moved, nudged
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.folders import Entry, Link, Odd, write_tree
from tests.fuzz.json_mutation import mutate_json
from tests.fuzz.kinds import Kind, hold, refusing_is_a_fault
from tests.fuzz.patch_mutation import Pair, mutate_patch
from tests.fuzz.specimens import Specimens

SPARE_BYTES = 2**21
"""Of this process's own: the judge's copies, and what its allocator keeps."""


@dataclass(frozen=True)
class Patch:
    """A patch that somebody signed: codec, base, its bytes, and the size of the new file in the signed manifest."""

    codec: str
    old: bytes
    data: bytes
    size_bytes: int

    @property
    def memory_bytes(self) -> int:
        """What its index says, and what this process needs beside it."""
        return CODECS[self.codec].memory(len(self.old), self.size_bytes, len(self.data)) + SPARE_BYTES


@dataclass(frozen=True)
class Application:
    """A delta, and what lies in a node's folder.

    Attributes:
        delta: As it was signed.
        blob: The file of the release.
        files: "base", "patch", and perhaps "out".
    """

    delta: Delta
    blob: Blob
    files: dict[str, Entry]


def delta_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    maker = _Deltas(specimens)
    yield Kind("delta-index", "it means the same once it is written again", maker.draw_index, _judge_index, 300)
    for codec in CODECS:
        yield Kind(
            f"delta-{codec}",
            "a file of the signed size, the same each time, of no more memory than the index says",
            lambda random, codec=codec: maker.draw_patch(random, codec),  # type: ignore[misc]
            _judge_patch,
            400,
            allowed=lambda found: found.memory_bytes,
        )
    yield Kind(
        "delta-applied", "it is the release's file, or there is none", maker.draw_application, _judge_applied, 300
    )


def index_specimens(specimens: Specimens) -> list[bytes]:
    """Valid indexes."""
    return _Deltas(specimens).indexes


def pairs(specimens: Specimens) -> list[Pair]:
    """Files that changed as files do, and two versions of a real net in each of its files."""
    folder = specimens.folder / "nets"
    if not folder.exists():
        folder.mkdir(parents=True)
        net = _narrow(small_nets.base(), 12)
        small_nets.write(net, folder / "before")
        small_nets.write(_narrow(small_nets.trained(net), 10), folder / "after")
    bases = [path.read_bytes() for path in (folder / "before" / "out" / name for name in small_nets.FILES)]
    after = [path.read_bytes() for path in (folder / "after" / "out" / name for name in small_nets.FILES)]
    found = [(BASE[:20_000], nudged(BASE[:20_000])), (BASE[:20_000], moved(BASE[:20_000])), (bytes(999), b"new")]
    return [Pair(old, new, _patches(old, new)) for old, new in (*found, *zip(bases, after, strict=True))]


def _narrow(net: small_nets.Net, hidden: int) -> small_nets.Net:
    """Few weights: what reads them takes a step for every two thousand, and as many for fewer."""
    axes = {"stem": (6, 3), "expand": (hidden, 6), "depthwise": (hidden, 1), "project": (8, hidden), "head": (10, 8)}
    weights = {}
    for name, (outputs, inputs) in axes.items():
        weights[name] = net.weights[name][:outputs, :inputs]
        weights[f"{name}.bias"] = net.weights[f"{name}.bias"][:outputs]
    return dataclasses.replace(net, weights=weights)


def _patches(old: bytes, new: bytes) -> dict[str, bytes]:
    made = {name: codec.make(old, new) for name, codec in CODECS.items()}
    return {name: data for name, data in made.items() if data}


class _Deltas:
    def __init__(self, specimens: Specimens) -> None:
        self._specimens = specimens

    @cached_property
    def _pairs(self) -> list[Pair]:
        return pairs(self._specimens)

    @cached_property
    def indexes(self) -> list[bytes]:
        listed = [_described(pair, codec) for pair in self._pairs for codec in sorted(pair.patches)]
        pieces = Pieces(2**20, ("ab" * 32, "cd" * 32, "ef" * 32))
        large = dataclasses.replace(listed[0], size_bytes=3 * 2**20 - 5, pieces=pieces)
        return [write_index(listed), write_index([large, listed[1]]), write_index([])]

    def draw_index(self, random: Random) -> bytes:
        data = random.choice(self.indexes)
        return mutate_bytes(random, data) if random.random() < 0.2 else mutate_json(random, data, self.indexes)

    def draw_patch(self, random: Random, codec: str) -> Patch:
        pair = random.choice([pair for pair in self._pairs if codec in pair.patches])
        data, size_bytes = mutate_patch(random, codec, pair)
        old = pair.old if random.random() < 0.95 else mutate_bytes(random, pair.old, [pair.new])
        return Patch(codec, old, data, size_bytes)

    def draw_application(self, random: Random) -> Application:
        pair = random.choice(self._pairs)
        codec = random.choice(sorted(pair.patches))
        data, size_bytes = pair.patches[codec], len(pair.new)
        delta, blob = _described(pair, codec), Blob(hashlib.sha256(pair.new).hexdigest(), size_bytes)
        files: dict[str, Entry] = {"base": pair.old}
        how = random.random()
        if how < 0.5:  # signed anew
            data, size_bytes = mutate_patch(random, codec, pair)
            delta = describe(data, codec=codec, base=pair.old, target=Blob(blob.sha256, size_bytes))
        elif how < 0.6:
            data = mutate_bytes(random, data)
        elif how < 0.7:
            files["base"] = mutate_bytes(random, pair.old)
            if random.random() < 0.5:
                delta = dataclasses.replace(delta, base=hashlib.sha256(files["base"]).hexdigest())
        elif how < 0.9:
            name = random.choice([field.name for field in dataclasses.fields(delta)][:4])
            other = random.choice((delta.base, delta.sha256, "quantum", "zstd", "bsdiff", "residual", ""))
            delta = dataclasses.replace(delta, **{name: other})
        if random.random() < 0.1:
            size_bytes = random.choice((0, 1, size_bytes + 1, 2**22, 2**27, 2**27 + 1, 2**40))
        files["patch"] = data
        if random.random() < 0.1:
            files["out"] = random.choice((b"old", Odd.FOLDER, Link("base"), Link("../outside/secret"), Link("nowhere")))
        if random.random() < 0.05:
            files[random.choice(("base", "patch"))] = random.choice((Odd.FOLDER, Link("base"), Link("../outside")))
        return Application(delta, dataclasses.replace(blob, size_bytes=size_bytes), files)


def _described(pair: Pair, codec: str) -> Delta:
    target = Blob(hashlib.sha256(pair.new).hexdigest(), len(pair.new))
    return describe(pair.patches[codec], codec=codec, base=pair.old, target=target)


def _judge_index(data: bytes, place: Path) -> None:
    del place
    found = read_index(data)
    with refusing_is_a_fault():
        again = read_index(write_index(found))
    hold(sorted(map(repr, again)) == sorted(map(repr, found)), "it says something else once it is written again")
    hold(len(found) <= MOST_DELTAS, "too many")
    for delta in found:
        hold(
            0 < delta.size_bytes <= LARGEST_DELTA_BYTES and 0 < delta.memory_bytes <= LARGEST_MEMORY_BYTES, "too large"
        )
        digests = (delta.base, delta.target, delta.sha256, *(delta.pieces.sha256 if delta.pieces else ()))
        hold(all(len(each) == 64 and int(each, 16) >= 0 for each in digests), "a digest is none")
        chosen = choose_delta(found, bases={delta.base}, target=delta.target, codecs={delta.codec})
        hold(chosen is not None and chosen.size_bytes <= delta.size_bytes, "a larger one is chosen")
        hold(chosen is not None and (chosen.base, chosen.target) == (delta.base, delta.target), "it leads elsewhere")


def _judge_patch(found: Patch, place: Path) -> None:
    del place
    applier = CODECS[found.codec].applier
    old, data = memoryview(found.old), memoryview(found.data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy would say on standard error that it computes nonsense
        made = applier(old, data, size_bytes=found.size_bytes)
        hold(type(made) is bytes and len(made) == found.size_bytes, "the file has another size")
        with refusing_is_a_fault():
            hold(applier(old, data, size_bytes=found.size_bytes) == made, "it makes another file each time")
    if found.codec == "bsdiff":
        hold(_by_definition(found) == made, "bspatch makes another file")
    if found.codec == "zstd":
        words = zstandard.ZstdCompressionDict(found.old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        reader = zstandard.ZstdDecompressor(dict_data=words, max_window_size=2**28).decompressobj()
        with suppress(zstandard.ZstdError):  # read as a stream, a frame also has to keep to its window
            hold(reader.decompress(found.data) == made, "zstd makes another file")


def _by_definition(found: Patch) -> bytes:
    """What Colin Percival's bspatch does, stretch by stretch."""
    lengths = np.frombuffer(found.data, "<i8", 3, 8)
    middle, last = 32 + int(lengths[0]), 32 + int(lengths[0] + lengths[1])
    control, sums, news = (
        bz2.decompress(part) for part in (found.data[32:middle], found.data[middle:last], found.data[last:])
    )
    raw = np.frombuffer(control, "<u8")
    numbers = np.where(raw >> 63, -(raw & np.uint64(2**63 - 1)).astype(np.int64), raw.astype(np.int64))
    made, new_at, old_at, sum_at, news_at = bytearray(found.size_bytes), 0, 0, 0, 0
    base, added = np.frombuffer(found.old, np.uint8), np.frombuffer(sums, np.uint8)
    for add, copy, seek in numbers.reshape(-1, 3).tolist():
        if add:
            made[new_at : new_at + add] = (base[old_at : old_at + add] + added[sum_at : sum_at + add]).tobytes()
        made[new_at + add : new_at + add + copy] = news[news_at : news_at + copy]
        new_at, old_at, sum_at, news_at = new_at + add + copy, old_at + add + seek, sum_at + add, news_at + copy
    return bytes(made)


def _judge_applied(case: Application, place: Path) -> None:
    folder = place / "node"
    write_tree(folder, case.files)
    before = sorted(os.listdir(folder))
    base, out = _content(folder / "base"), folder / "out"
    try:
        with applied_here():
            apply_delta(case.delta, base=folder / "base", patch=folder / "patch", out=out, blob=case.blob)
    except EdgekitError:
        hold(sorted(os.listdir(folder)) == before or not os.path.lexists(out), "something is left of it")
        raise
    finally:
        hold(_content(folder / "base") == base, "the base was changed")
        hold(set(os.listdir(folder)) - {"out"} == set(before) - {"out"}, "something lies beside it")
    made = out.read_bytes()
    hold(not out.is_symlink() and len(made) == case.blob.size_bytes, "the file has another size")
    hold(hashlib.sha256(made).hexdigest() == case.blob.sha256 == case.delta.target, "it is another file")


@contextmanager
def applied_here() -> Iterator[None]:
    """Deltas are applied in this process, under the watch, and not in one of their own, which the watch forbids."""

    def run(delta: Delta, base: Path, patch_file: Path, out: Path, size_bytes: int) -> None:
        with redirect_stderr(io.StringIO()) as said:
            words = (str(base.absolute()), str(patch_file.absolute()), str(out.absolute()))
            code = applying_child._tell(delta.codec, *words, size_bytes)
        if code:
            line = applying._last_line(said.getvalue().encode(errors="replace"))
            raise applying._fault(delta, code, line, delta.memory_bytes + PROGRAM_BYTES)

    with patch.object(applying, "_run", run):
        yield


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
