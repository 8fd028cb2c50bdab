"""A repository of a registry: its documents (manifests and indexes) and its blobs, by tag and by digest.

Source: OCI distribution specification 1.1, "Pull" and "Push". What comes by digest is held against it where it comes
whole; a blob that comes in pieces is judged by whoever asked for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from urllib.parse import quote

from edgekit.digest import of_bytes
from edgekit.errors import DigestError, LengthError, TransferError
from edgekit.oci import media_types
from edgekit.transport.oci_session import PULL, OciSession, read_capped
from edgekit.transport.ranges import ask_part, read_part
from edgekit.transport.web import Answer
from edgekit.types.blob import Descriptor

LARGEST_DOCUMENT_BYTES = 4 * 2**20
"""Registries must take documents of 4 MiB, and need not take larger ones (specification, "Pushing Manifests")."""
ACCEPTED = (media_types.IMAGE_INDEX, media_types.IMAGE_MANIFEST)
PIECE_BYTES = 8 * 2**20
"""A blob of at most this goes up in one request; a larger one in requests of this size, which proxies let through."""


@dataclass(frozen=True)
class Document:
    """A manifest or an index, as a registry gave it.

    Attributes:
        media_type: What the registry says that it is.
        data: Its bytes.
    """

    media_type: str
    data: bytes

    @property
    def descriptor(self) -> Descriptor:
        """What a reference to it says."""
        return Descriptor(self.media_type, of_bytes(self.data), len(self.data))


class Registry:
    """Documents and blobs of one repository.

    Attributes:
        session: What requests go through.
        source: Whom errors name.
        actions: PULL or PUSH.
    """

    def __init__(self, session: OciSession, *, actions: str = PULL) -> None:
        """Make no request yet.

        Args:
            session: What requests go through.
            actions: What the user must be allowed to do there. With PUSH, questions ask for it too: some registries do
                not tell anybody else that a repository is not there yet.
        """
        self.session = session
        self.source = str(session.place)
        self.actions = actions

    def read_document(self, reference: str) -> Document:
        """A manifest or an index.

        Args:
            reference: A tag, or "sha256:HEX".

        Raises:
            AbsentError: There is none.
            DigestError: The registry gave another one than the digest names.
            LengthError: It is larger than documents may be.
            TransferError: The registry refuses, or the connection breaks.
        """
        headers = {"Accept": ", ".join(ACCEPTED)}
        with self.session.request(
            "GET", self.session.url(f"manifests/{reference}"), headers=headers, actions=self.actions
        ) as answer:
            if answer.status != 200:
                raise self.session.refused(answer, f"manifest {reference}")
            data = read_capped(answer, LARGEST_DOCUMENT_BYTES)
            document = Document(answer.headers.get("content-type", "").partition(";")[0].strip(), data)
        if reference.startswith("sha256:") and document.descriptor.digest != reference:
            raise DigestError(f"{self.source}: the manifest {reference} came as {document.descriptor.digest}")
        return document

    def write_document(self, data: bytes, media_type: str, reference: str = "") -> Mapping[str, str]:
        """Put a manifest or an index there; everything that it names has to be there already.

        Args:
            data: Its bytes.
            media_type: What it is.
            reference: A tag, which is moved; "" for its digest alone.

        Returns:
            The headers of the answer: a registry that lists referrers says so in them.

        Raises:
            TransferError: The registry refuses, or the connection breaks.
        """
        where = reference or f"sha256:{of_bytes(data)}"
        url = self.session.url(f"manifests/{where}")
        headers = {"Content-Type": media_type}
        with self.session.request("PUT", url, content=data, headers=headers, actions=self.actions) as answer:
            if answer.status // 100 != 2:
                raise self.session.refused(answer, f"push of manifest {where}")
            return answer.headers

    @contextmanager
    def read_blob(self, sha256: str, *, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes of a blob as they come, not yet held against the digest.

        Args:
            sha256: Its digest, hex.
            start: First byte.
            stop: One past the last byte; None reads to the end.

        Raises:
            AbsentError: There is no such blob.
            TransferError: The registry refuses, or the connection breaks.
        """
        url = self.session.url(f"blobs/sha256:{sha256}")
        with self.session.request("GET", url, headers=ask_part(start, stop), actions=self.actions) as answer:
            if answer.status not in (200, 206, 416):
                raise self.session.refused(answer, f"blob sha256:{sha256}")
            yield read_part(answer, start, stop)

    def has_blob(self, sha256: str) -> bool:
        """Whether there is such a blob."""
        with self.session.request("HEAD", self.session.url(f"blobs/sha256:{sha256}"), actions=self.actions) as answer:
            if answer.status not in (200, 404):
                raise self.session.refused(answer, f"blob sha256:{sha256}")
            return answer.status == 200

    def write_blob(self, sha256: str, chunks: Iterable[bytes], size_bytes: int, *, mount_from: str = "") -> bool:
        """Put a blob there, unless it is there.

        Args:
            sha256: Its digest, hex.
            chunks: Its bytes; not touched when it is there.
            size_bytes: How many.
            mount_from: A repository of the same registry that may have it, for a registry that can link it.

        Returns:
            Whether bytes were sent.

        Raises:
            DigestError: The bytes are others than named; nothing was put there.
            LengthError: There are more of them, or fewer.
            TransferError: The registry refuses, or the connection breaks.
        """
        if self.has_blob(sha256):
            return False
        query = f"?mount=sha256:{sha256}&from={quote(mount_from, safe='')}" if mount_from else ""
        location = self.start_upload(query)
        if not location:
            return False
        upload = _Upload(self, sha256, size_bytes, location)
        upload.send(chunks)
        return True

    def start_upload(self, query: str = "") -> str:
        """Where the bytes go; "" when the registry has linked the blob instead."""
        url = self.session.url(f"blobs/uploads/{query}")
        with self.session.request("POST", url, content=b"", actions=self.actions) as answer:
            if answer.status == 201 and query:
                return ""
            if answer.status != 202:
                raise self.session.refused(answer, "upload")
            return self.session.follow(url, answer.headers.get("location", ""))


class _Upload:
    """One blob on its way up: whole in one request, or piece by piece (specification, "Pushing a blob in chunks")."""

    def __init__(self, registry: Registry, sha256: str, size_bytes: int, location: str) -> None:
        self._registry = registry
        self._session = registry.session
        self._actions = registry.actions
        self._sha256 = sha256
        self._size_bytes = size_bytes
        self._location = location
        self._hashed = hashlib.sha256()
        self._taken = 0

    def send(self, chunks: Iterable[bytes]) -> None:
        """Send it, and have the registry take it as this digest."""
        pieces = _pieces(self._counted(chunks))
        first = next(pieces, b"")
        if self._size_bytes <= PIECE_BYTES:
            for _ in pieces:  # more than there should be, which _counted refuses
                pass
            self._finish(first)
            return
        if not self._patch(first, 0):
            self._send_whole(chain([first], pieces))
            return
        start = len(first)
        for piece in pieces:
            if not self._patch(piece, start):
                raise TransferError("stops taking an upload halfway", source=self._registry.source)
            start += len(piece)
        self._finish(b"")

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks; an error instead of their end, when they are not what was promised."""
        for chunk in chunks:
            self._taken += len(chunk)
            if self._taken > self._size_bytes:
                break
            self._hashed.update(chunk)
            yield chunk
        if self._taken != self._size_bytes:
            raise LengthError(f"a blob to be sent should have {self._size_bytes} bytes", limit_bytes=self._size_bytes)
        if self._hashed.hexdigest() != self._sha256:
            raise DigestError(f"a blob to be sent is sha256:{self._hashed.hexdigest()}, not sha256:{self._sha256}")

    def _patch(self, piece: bytes, start: int) -> bool:
        """One piece; whether the registry has taken it."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{start}-{start + len(piece) - 1}",
        }
        with self._session.request(
            "PATCH", self._location, content=piece, headers=headers, actions=self._actions
        ) as answer:
            if answer.status != 202:
                return False
            self._location = self._session.follow(self._location, answer.headers.get("location", ""))
            return True

    def _finish(self, content: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"} if content else {}
        with self._session.request(
            "PUT", self._with_digest(), content=content, headers=headers, actions=self._actions
        ) as answer:
            self._check(answer)

    def _send_whole(self, chunks: Iterable[bytes]) -> None:
        """For a registry that takes no pieces: the first one, which is still here, and the others, in one request."""
        self._location = self._registry.start_upload()
        with self._session.send(
            "PUT", self._with_digest(), chunks, size_bytes=self._size_bytes, actions=self._actions
        ) as answer:
            self._check(answer)

    def _with_digest(self) -> str:
        return f"{self._location}{'&' if '?' in self._location else '?'}digest=sha256:{self._sha256}"

    def _check(self, answer: Answer) -> None:
        if answer.status // 100 != 2:
            raise self._session.refused(answer, f"upload of sha256:{self._sha256}")


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of PIECE_BYTES; the last one is shorter."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= PIECE_BYTES:
            yield bytes(waiting[:PIECE_BYTES])
            del waiting[:PIECE_BYTES]
    if waiting:
        yield bytes(waiting)
