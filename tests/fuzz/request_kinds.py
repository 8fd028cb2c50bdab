"""Signing requests: what a signer is asked to sign, shown, signed, merged and put in force."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from edgekit.publish.change import Change, lacks_of, sign_change
from edgekit.publish.describing import describe
from edgekit.publish.enforcing import put_in_force
from edgekit.publish.founding import plan_channel
from edgekit.publish.key_changes import Rotation, rotate_keys
from edgekit.publish.publishing import publish
from edgekit.publish.records import read_records
from edgekit.publish.request import merge, read_request, write_request
from edgekit.publish.status import status_of
from edgekit.seal.keys import MemoryKey
from tests.channel.memory import MemoryTransport
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.json_mutation import is_json, mutate_json, mutate_tree
from tests.fuzz.json_text import Pairs, read, write
from tests.fuzz.kinds import Kind, hold
from tests.fuzz.resigning import keys_of, seal
from tests.fuzz.specimens import Specimens
from tests.publish.lab import NOW

LARGEST_TREE_BYTES = 32 * 4 * 2**20
"""A request has at most 4 MiB, and a JSON text of empty objects takes 24 times its length as a tree."""


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        data: Its file.
        is_resigned: What it changes was changed again, and signed by who may.
    """

    data: bytes
    is_resigned: bool = False


def request_kinds(specimens: Specimens) -> Iterator[Kind[Any]]:
    """All of them."""
    maker = _Requests(specimens)
    law = "what it calls the metadata in force is signed; written again it is the same; a signature so far still counts"
    yield Kind("sign-request", law, maker.draw, maker.judge, 600, most_bytes=LARGEST_TREE_BYTES)


class _Requests:
    def __init__(self, specimens: Specimens) -> None:
        self._specimens = specimens

    @cached_property
    def _requests(self) -> tuple[bytes, ...]:
        """A publication, without and with signatures; a rotation; a new channel."""
        lab = self._specimens.lab
        change = publish(lab.bundle(3), lab.place, lab.settings(keys=[]), now=NOW).change
        assert change is not None
        found = [write_request(change)]
        sign_change(change, lab.vision[:1])
        found.append(write_request(change))
        sign_change(change, lab.vision)
        found.append(write_request(change))
        rotation = Rotation(("root",), add=(self._specimens.node.public,), threshold=2)
        rotated = rotate_keys(lab.records(), rotation, NOW)
        sign_change(rotated, lab.root[:1])
        founding = plan_channel(lab.plan(), NOW)
        sign_change(founding, [*lab.root, *lab.targets])
        return (*found, write_request(rotated), write_request(founding))

    @cached_property
    def _signed(self) -> tuple[set[tuple[str, bytes]], set[tuple[str, bytes]]]:
        """Role and signed part of what the specimens call in force, and of what they change."""
        changes = [read_request(data, where="it") for data in self._requests]
        before = {(role, one.signed_bytes) for change in changes for role, one in change.before.items()}
        return before, {(role, one.signed_bytes) for change in changes for role, one in change.files.items()}

    @cached_property
    def _keys(self) -> list[MemoryKey]:
        lab = self._specimens.lab
        return [*lab.root, *lab.targets, *lab.vision, *lab.online, self._specimens.node]

    def draw(self, random: Random) -> Asked:
        data, others = random.choice(self._requests), self._requests
        how = random.random()
        if how < 0.15:
            return Asked(mutate_bytes(random, data, others))
        if how < 0.5:
            return Asked(mutate_json(random, data, others))
        tree = read(data)
        files = next(value for key, value in tree if key == "files")
        if not isinstance(files, Pairs) or not files:
            return Asked(data)
        pair = random.choice(files)
        signed = mutate_tree(random, next(value for key, value in pair[1] if key == "signed"), others)
        pair[1] = read(seal(signed, keys_of(self._specimens.lab, pair[0]))) if is_json(write(signed)) else signed
        return Asked(write(tree), is_resigned=True)

    def judge(self, asked: Asked, place: Path) -> None:
        del place
        change = read_request(asked.data, where="it")
        written = write_request(change)
        hold(write_request(read_request(written, where="it")) == written, "a request is read differently once written")
        before, files = self._signed
        for role, metadata in change.before.items():
            hold((role, metadata.signed_bytes) in before, f"it calls a {role} in force that nobody signed")
        for role, metadata in change.files.items():
            if metadata.signatures and not asked.is_resigned:
                hold((role, metadata.signed_bytes) in files, f"a signature counts for a {role} that nobody signed")
        lines = describe(change) + describe(change, whole=True)
        hold(all(line.isprintable() for line in lines), "a line that is shown holds what a terminal may obey")
        lacks_of(change)
        merge([change, read_request(written, where="it")])
        self._enforce(asked, change)

    def _enforce(self, asked: Asked, change: Change) -> None:
        """Sign it with every key, and put it in force on a copy of the channel."""
        lab = self._specimens.lab
        sign_change(change, self._keys, optional=True)
        is_new = not json.loads(asked.data)["before"]
        channel = MemoryTransport({} if is_new else dict(lab.place.files))
        put_in_force(channel, None if is_new else read_records(channel), change, lab.online, NOW)
        status_of(read_records(channel), NOW)
