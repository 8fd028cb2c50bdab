"""TUF metadata of a channel, changed and signed again by the keys of its role, with all that leads to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from securesystemslib.formats import encode_canonical

from edgekit.channel.tuf_objects import Metadata
from edgekit.seal.keys import MemoryKey
from edgekit.seal.tuf_signer import tuf_key, tuf_signer
from tests.fuzz.json_text import Pairs, Raw, read, write
from tests.publish.lab import Lab

ROLES = ("root", "targets", "vision", "snapshot", "timestamp")


def keys_of(lab: Lab, role: str) -> Sequence[MemoryKey]:
    """Private keys that sign for a role."""
    online = lab.online
    return {"root": lab.root[:2], "targets": lab.targets, "vision": lab.vision}.get(role, online)


def newest(files: Mapping[str, bytes], role: str) -> str:
    """Name of a role's newest file."""
    if role == "timestamp":
        return "metadata/timestamp.json"
    return max(
        (name for name in files if name.endswith(f".{role}.json")),
        key=lambda name: int(name.split("/")[1].split(".")[0]),
    )


def resign(lab: Lab, files: Mapping[str, bytes], role: str, alter: Callable[[bytes], bytes]) -> dict[str, bytes]:
    """A channel whose `role` says something else, which everything above it vouches for.

    Args:
        lab: Whose keys.
        files: The channel as it was.
        role: Whose metadata is changed; of the root, a new version.
        alter: Changes the text of its signed part.
    """
    found = dict(files)
    signed = json.loads(found[newest(found, role)])["signed"]
    if role == "root":
        signed["version"] += 1
    changed = read_odd(alter(write(_tree(signed))))
    data = seal(changed, keys_of(lab, role))
    version = _version(changed)
    if role == "timestamp":
        return found | {"metadata/timestamp.json": data}
    found[f"metadata/{version}.{role}.json"] = data
    if role == "root":
        return found
    snapshot_version = version
    if role != "snapshot":
        snapshot = json.loads(found[newest(found, "snapshot")])["signed"]
        snapshot["version"] += 1
        snapshot["meta"][f"{role}.json"] = _meta(version, data)
        snapshot_version = snapshot["version"]
        data = seal(_tree(snapshot), lab.online)
        found[f"metadata/{snapshot_version}.snapshot.json"] = data
    timestamp = json.loads(found["metadata/timestamp.json"])["signed"]
    timestamp["version"] += 1
    timestamp["meta"]["snapshot.json"] = _meta(snapshot_version, data)
    return found | {"metadata/timestamp.json": seal(_tree(timestamp), lab.online)}


def seal(signed: Any, keys: Sequence[MemoryKey]) -> bytes:
    """A metadata file: a signed part, and signatures over what python-tuf makes of it, if it makes anything."""
    said = said_by(signed)
    signatures = [
        {"keyid": tuf_key(key.public).keyid, "sig": tuf_signer(key).sign(said).signature if said else "00"}
        for key in keys
    ]
    return write(Pairs([["signatures", _tree(signatures)], ["signed", signed]]))


def said_by(signed: Any) -> bytes:
    """What signatures are over; b"" where python-tuf could not read it anyway."""
    try:
        document = {"signatures": [], "signed": json.loads(write(signed))}
        return bytes(Metadata.from_dict(document).signed_bytes)
    except Exception:  # it is no metadata, and python-tuf says so in many ways
        try:
            return str(encode_canonical(json.loads(write(signed)))).encode()
        except Exception:  # nor is it JSON
            return b""


def read_odd(data: bytes) -> Any:
    """The tree of a text that may be no JSON any more."""
    try:
        return read(data)
    except ValueError:
        return Raw(data.decode("utf-8", "replace"))


def _tree(plain: Any) -> Any:
    return read(json.dumps(plain).encode())


def _version(signed: Any) -> Any:
    found = next((value for key, value in signed if key == "version"), 1) if isinstance(signed, Pairs) else 1
    return found if type(found) is int else 1


def _meta(version: int, data: bytes) -> dict[str, Any]:
    return {"version": version, "length": len(data), "hashes": {"sha256": hashlib.sha256(data).hexdigest()}}
