"""Channels as readers see them: metadata of every role, changed, and signed again or not; and a reader's memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from edgekit.channel.client import Followed, follow
from edgekit.channel.names import ReleaseNotice
from edgekit.publish.records import read_records
from edgekit.publish.status import status_of
from tests.channel.memory import MemoryTransport
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.folders import Tree, mutate_names, read_tree, write_tree
from tests.fuzz.json_mutation import is_json, mutate_json
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.resigning import ROLES, newest, resign
from tests.fuzz.specimens import Specimens
from tests.publish.lab import MODEL, NOW

LARGEST_TREES_BYTES = 4 * 24 * 2**20
"""A file of 1 MiB takes 22 MiB as a tree where it holds nothing but empty lists, and python-tuf makes more than one."""


@dataclass(frozen=True)
class Shown:
    """What a mirror shows, to a reader that knows something already.

    Attributes:
        files: Of the mirror.
        known: Its memory: "" nothing, "earlier" or "latest".
    """

    files: Mapping[str, bytes]
    known: str = ""


def channel_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    maker = _Channels(specimens)
    yield Kind(
        "channel",
        "it is a state that was published, not older than the one known; an honest mirror is believed afterwards",
        maker.draw_channel,
        maker.judge_channel,
        700,
    )
    yield Kind(
        "channel-resigned",
        "the index has the digest that was signed, and the notice keeps every rule",
        maker.draw_resigned,
        maker.judge_resigned,
        700,
        most_bytes=LARGEST_TREES_BYTES,
    )
    yield Kind("trust-folder", "it is the latest state", maker.draw_memory, maker.judge_memory, 300)
    yield Kind(
        "channel-records", "what a writer reads is what was signed", maker.draw_records, maker.judge_records, 350
    )


class _Channels:
    def __init__(self, specimens: Specimens) -> None:
        self._specimens = specimens

    @cached_property
    def _latest(self) -> Mapping[str, bytes]:
        return dict(self._specimens.lab.place.files)

    @cached_property
    def _root(self) -> bytes:
        return self._latest["metadata/1.root.json"]

    @cached_property
    def _memories(self) -> Mapping[str, Tree]:
        """What a reader remembers of each state."""
        made: dict[str, Tree] = {"": {}}
        for name, files in (("earlier", self._specimens.earlier), ("latest", self._latest)):
            place = Path(self._specimens.folder / f"reader-{name}")
            self._follow(files, place)
            made[name] = read_tree(place)
        return made

    @cached_property
    def _states(self) -> Mapping[str, tuple[object, ...]]:
        """What a reader says of each state."""
        folder = self._specimens.folder
        return {
            name: _said(self._follow(files, folder / f"state-{name}"))
            for name, files in (("earlier", self._specimens.earlier), ("latest", self._latest))
        }

    def prepare(self) -> None:
        """Make what is made once; it needs folders of its own."""
        _ = self._memories, self._states

    def draw_channel(self, random: Random) -> Shown:
        self.prepare()
        files, others = dict(self._latest), self._specimens.earlier
        metadata = [data for name, data in files.items() if name.startswith("metadata/")]
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            name = newest(files, random.choice(ROLES)) if random.random() < 0.8 else random.choice(sorted(files))
            how = random.random()
            if how < 0.15 and others:
                files[name] = others.get(name, random.choice(metadata))
            elif how < 0.22:
                files.pop(name)
                break
            elif how < 0.4 or not is_json(files[name]):
                files[name] = mutate_bytes(random, files[name], metadata)
            else:
                files[name] = mutate_json(random, files[name], metadata)
        return Shown(files, random.choice(("", "", "earlier", "latest")))

    def judge_channel(self, shown: Shown, place: Path) -> None:
        trust = place / "trust"
        write_tree(trust, self._memories[shown.known])
        try:
            said = _said(self._follow(shown.files, trust))
            allowed = [self._states["latest"]] if shown.known == "latest" else list(self._states.values())
            hold(said in allowed, "a state was believed that nobody published")
        finally:
            again = _said(self._follow(self._latest, trust))
            hold(again == self._states["latest"], "an honest mirror is not believed after a lying one")

    def draw_resigned(self, random: Random) -> Shown:
        self.prepare()
        role = random.choice(ROLES)
        metadata = [data for name, data in self._latest.items() if name.startswith("metadata/")]
        files = resign(
            self._specimens.lab, self._latest, role, lambda data: mutate_json(random, data, metadata, canonical=0.95)
        )
        return Shown(files, random.choice(("", "", "earlier", "latest")))

    def judge_resigned(self, shown: Shown, place: Path) -> None:
        trust = place / "trust"
        write_tree(trust, self._memories[shown.known])
        followed = self._follow(shown.files, trust)
        hold(hashlib.sha256(followed.index).hexdigest() == followed.release_digest, "the index has another digest")
        hold(followed.index in self._latest.values(), "an index was believed that nobody signed")
        notice = followed.notice
        again = ReleaseNotice.from_custom(notice.to_custom(), where="it")
        hold(again == notice and 1 <= notice.oldest <= notice.version, "a notice was accepted that breaks the rules")
        hold(not followed.faults or len(followed.faults) == 1, "there is one mirror")

    def draw_memory(self, random: Random) -> Tree:
        self.prepare()
        tree = dict(self._memories["latest"])
        others = self._memories["earlier"]
        for _ in range(random.choice((1, 1, 2, 3))):
            name = random.choice(sorted(tree)) if tree else ""
            entry = tree.get(name)
            if random.random() < 0.3 or not isinstance(entry, bytes):
                mutate_names(random, tree, others=others, is_foreign=False)
            elif random.random() < 0.5 and is_json(entry):
                tree[name] = mutate_json(random, entry)
            else:
                tree[name] = mutate_bytes(random, entry)
        return tree

    def judge_memory(self, tree: Tree, place: Path) -> None:
        write_tree(place / "trust", tree)
        said = _said(self._follow(self._latest, place / "trust"))
        hold(said == self._states["latest"], "an honest mirror is not believed")

    def draw_records(self, random: Random) -> Shown:
        if random.random() < 0.5:
            return Shown(self.draw_channel(random).files)
        return Shown(self.draw_resigned(random).files, "resigned")

    def judge_records(self, shown: Shown, place: Path) -> None:
        del place
        records = read_records(MemoryTransport(dict(shown.files)), trust=self._root)
        status_of(records, NOW)
        if not shown.known:
            published = [
                read_records(MemoryTransport(dict(files))) for files in (self._latest, self._specimens.earlier)
            ]
            said = {role: metadata.signed_bytes for role, metadata in records.metadata.items()}
            known = [{role: metadata.signed_bytes for role, metadata in one.metadata.items()} for one in published]
            hold(said in known, "records were read that nobody signed")

    def _follow(self, files: Mapping[str, bytes], trust: Path) -> Followed:
        return follow(MODEL, [MemoryTransport(dict(files))], trust, root=self._root, clock=lambda: NOW)


def _said(followed: Followed) -> tuple[object, ...]:
    """What counts of an answer."""
    versions = tuple(sorted(followed.versions.items()))
    return followed.release_digest, followed.index, followed.notice, versions, followed.expires
