"""What one mirror shows of a channel, judged by python-tuf's client as if it were the only one.

python-tuf follows TUF's client workflow (specification 1.0.34, section 5.3): it verifies roots one by one, then
timestamp, snapshot, targets and the family. It works in a folder of its own, so that a mirror that lies spoils nothing.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from edgekit.channel.names import ROLE, TOP_ROLES, deltas_path, target_path
from edgekit.channel.tuf_objects import Metadata, Root, Signed, TargetFile
from edgekit.errors import (
    AbsentError,
    DigestError,
    EdgekitError,
    ExpiredError,
    MalformedError,
    RollbackError,
    SignatureError,
    StorageError,
    TransferError,
    TrustError,
)
from edgekit.transport.reading import read_all
from edgekit.transport.transport import Transport
from edgekit.types.strict_json import read_strict

LIMITS = UpdaterConfig(
    max_root_rotations=256,
    max_delegations=8,
    root_max_length=128 * 1024,
    timestamp_max_length=16 * 1024,
    snapshot_max_length=256 * 1024,
    targets_max_length=1024 * 1024,
)
"""Bytes that are read of each kind of metadata at most."""
FORBIDDEN, NOT_FOUND = 403, 404
LONGEST_NAME = 100
FILE = re.compile(rf"metadata/(?:[0-9]{{1,10}}\.)?({ROLE.pattern})\.json")


@dataclass
class Answer:
    """What one mirror showed.

    Attributes:
        mirror: Which.
        files: Its metadata by file name ("timestamp.json"), verified; at least the root that was known before.
        info: The target, where the metadata could be verified to the end; None where there is no such target.
        deltas: The target of its delta index; None where there is none.
        fault: Why it could not be.
    """

    mirror: Transport
    files: dict[str, bytes]
    info: TargetFile | None = None
    deltas: TargetFile | None = None
    fault: EdgekitError | None = None

    @property
    def root_version(self) -> int:
        """Of the newest root that was verified."""
        return read_signed(self.files["root.json"]).version

    @property
    def order(self) -> tuple[int, int]:
        """How new it is: versions of root and timestamp."""
        return self.root_version, read_signed(self.files["timestamp.json"]).version


def ask_mirror(mirror: Transport, name: str, known: Mapping[str, bytes], now: datetime) -> Answer:
    """Follow the channel on one mirror from what is known; never raises what is the mirror's fault.

    Args:
        mirror: Who is asked.
        name: FAMILY/NAME.
        known: Trusted metadata by file name; "root.json" at least.
        now: What is expired is decided by it.

    Raises:
        StorageError: This machine has no place for a few kilobytes.
    """
    answer = Answer(mirror, {"root.json": known["root.json"]})
    files = [f"{role}.json" for role in (*TOP_ROLES, name.partition("/")[0])]
    try:
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            for file in set(files) & known.keys() - {"root.json"}:
                Path(folder, file).write_bytes(known[file])
            try:
                answer.info, answer.deltas = _update(folder, _Fetcher(mirror), name, known["root.json"], now)
            except EdgekitError as error:
                answer.fault = error
            _collect(Path(folder), files, answer)
    except OSError as error:
        if isinstance(error, EdgekitError):
            raise
        raise StorageError(f"no temporary folder can be used: {error.strerror or error}") from error
    return answer


def check_root(data: bytes, *, where: str) -> bytes:
    """Root metadata that its own keys signed; whether they are the right ones is for its owner to say.

    Raises:
        MalformedError: It is no root metadata.
        SignatureError: Too few of its keys signed it.
    """
    read_strict(data, where=where, limit_bytes=LIMITS.root_max_length)
    try:
        metadata: Metadata[Root] = Metadata.from_bytes(data)
        if metadata.signed.type != Root.type:
            raise MalformedError(f"{where} is metadata of the role {metadata.signed.type}, not of root")
        metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
    except UnsignedMetadataError as error:
        raise SignatureError(f"{where} is not signed by enough of its own keys: {error}") from error
    except (RepositoryError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedError(f"{where} is no TUF root metadata: {error}") from error
    return data


def read_signed(data: bytes) -> Signed:
    """The signed part of metadata that has been verified before."""
    metadata: Metadata[Any] = Metadata.from_bytes(data)
    signed: Signed = metadata.signed
    return signed


def _update(
    folder: str, fetcher: _Fetcher, name: str, root: bytes, now: datetime
) -> tuple[TargetFile | None, TargetFile | None]:
    """TUF's client workflow, and what it leads to: the targets of the model's release index and of its delta index.

    Raises:
        TrustError: What the mirror shows cannot be trusted.
        TransportError: It cannot be read.
    """
    try:
        updater = Updater(folder, "metadata", fetcher=fetcher, config=LIMITS, bootstrap=root)
        updater._trusted_set.reference_time = now  # python-tuf has no other way to say what time it is
        updater.refresh()
        info = updater.get_targetinfo(target_path(name))
        return info, updater.get_targetinfo(deltas_path(name)) if info else None
    except ExpiredMetadataError as error:
        _raise_expired(error, fetcher, now)
    except (RepositoryError, DownloadError) as error:
        raise _fault(error, fetcher.url) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # What python-tuf's parsers did not foresee: they see only what the mirror sent.
        raise MalformedError(f"{fetcher.url}: {fetcher.last} cannot be read as TUF metadata: {error}") from error


def _collect(folder: Path, files: Sequence[str], answer: Answer) -> None:
    """What was verified: the root in any case, the rest where it was verified to its end."""
    for file in files if answer.fault is None else ("root.json",):
        if (folder / file).exists():
            answer.files[file] = (folder / file).read_bytes()


class _Fetcher(FetcherInterface):
    """Reads metadata through a Transport, for python-tuf.

    Attributes:
        url: Of the mirror.
        last: Name of the file that was asked for last.
        received: The last content by role.
    """

    def __init__(self, mirror: Transport) -> None:
        self._mirror = mirror
        self.url = mirror.url
        self.last = "its root"
        self.received: dict[str, bytes] = {}

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """A whole metadata file, as strict JSON.

        Args:
            url: "metadata/" and a file name.
            max_length: Bytes that it may have.

        Raises:
            DownloadHTTPError: There is no such root, which is how the newest is recognised.
            TransportError: The mirror cannot be read, or sends more.
            MalformedError: No strict JSON.
        """
        named = FILE.fullmatch(url)
        if not named or len(url) > LONGEST_NAME:
            raise MalformedError(f"{self.url}: a role has a name that no file can have: {url[:80]!r}")
        self.last = url
        try:
            data = read_all(self._mirror, url, limit_bytes=max_length)
        except TransferError as error:
            absent = isinstance(error, AbsentError) or error.status in (FORBIDDEN, NOT_FOUND)
            if named[1] == Root.type and absent:
                raise DownloadHTTPError(str(error), NOT_FOUND) from error
            raise
        read_strict(data, where=f"{self.url}: {url}", limit_bytes=max_length)
        self.received[named[1]] = data
        return data

    def _fetch(self, url: str) -> NoReturn:
        raise NotImplementedError("metadata is fetched by download_bytes, targets by the channel's client")


def _fault(error: RepositoryError | DownloadError, url: str) -> TrustError:
    """A word of edgekit's for one of python-tuf's."""
    text = f"{url}: {error}"
    if isinstance(error, BadVersionNumberError):
        return RollbackError(
            text, hint="the mirror shows an older state than the one known here, or parts of several; use another one"
        )
    if isinstance(error, LengthOrHashMismatchError):
        return DigestError(text, hint="the mirror mixes files of several states, or altered one; use another one")
    if isinstance(error, UnsignedMetadataError):
        return SignatureError(
            text, hint="it is not signed by the keys that this machine trusts: another channel, or a forgery"
        )
    return MalformedError(text)


def _raise_expired(error: ExpiredMetadataError, fetcher: _Fetcher, now: datetime) -> NoReturn:
    named = re.search(r"(\S+?)(?:\.json)? is expired", str(error))
    role = named[1] if named else "its metadata"
    when = ""
    if role in fetcher.received:
        expires = read_signed(fetcher.received[role]).expires
        when = f" since {expires:%Y-%m-%d %H:%M} UTC; this machine's clock says {now:%Y-%m-%d %H:%M} UTC"
    raise ExpiredError(
        f"{fetcher.url}: the channel's {role} is expired{when}",
        hint="if the clock is right, this mirror is stale (add another one), "
        f"or the channel's owner has to sign anew: edgekit channel refresh --role {role}",
    ) from error
