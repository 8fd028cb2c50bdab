"""IpfsTransport: blobs from an IPFS gateway that need not be trusted, block by block.

What is asked of it is what the Trustless Gateway specification (specs.ipfs.tech/http-gateways) demands of every one:
`GET /ipfs/CID?format=raw`. Each block is held against its CID while it comes, so a gateway that lies is caught within a
mebibyte. Files with names, metadata above all, a gateway does not have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

from edgekit.addressing.cid import Cid
from edgekit.addressing.unixfs import CHUNK_BYTES
from edgekit.errors import AbsentError, DigestError, InputError, TransferError
from edgekit.transport.credentials import authorize_read
from edgekit.transport.http import check_url
from edgekit.transport.ipfs_tree import Leaf, Trees
from edgekit.transport.names import check_name
from edgekit.transport.patience import Patience
from edgekit.transport.read_ahead import read_ahead
from edgekit.transport.web import Answer, Web
from edgekit.types.blob import Blob

SCHEME = "ipfs:"
BLOCKS_AT_ONCE = 4
"""Asked for, a mebibyte each: a connection of 100 Mbit/s is full at a round trip of up to 250 ms."""
MEDIA_TYPE = "application/vnd.ipld.raw"


def open_ipfs(url: str) -> IpfsTransport:
    """The transport of a gateway.

    Args:
        url: "ipfs:" and the gateway's own URL, for example "ipfs:https://gateway.example.org".

    Raises:
        InputError: There is no http or https URL behind "ipfs:", or one with a password, a query or a fragment.
    """
    return IpfsTransport(url)


class IpfsTransport:
    """Reads blobs by what IPFS calls them; see `BlobTransport`."""

    def __init__(self, url: str, *, patience: Patience | None = None) -> None:
        """Prepare; nothing is contacted yet.

        Args:
            url: "ipfs:" and the gateway's own URL.
            patience: Bounds on waiting.

        Raises:
            InputError: As `open_ipfs`.
        """
        self.url = url
        try:
            self._gateway = check_url(url.removeprefix(SCHEME)).rstrip("/")
        except InputError as error:
            raise InputError(
                f"no gateway of IPFS: {error}", hint="write ipfs:https://host[:port], without the path /ipfs"
            ) from error
        self._web = Web(url, home=self._gateway, patience=patience)
        self._trees = Trees(self._read_block, source=url)

    @contextmanager
    def read_blob(self, blob: Blob, *, start: int, stop: int, scratch: Path | None) -> Iterator[Iterator[bytes]]:
        """Some bytes of a blob as they come; see `BlobTransport.read_blob`.

        Bytes of a block are handed on before all of it is there, its last ones when it is known to be right.

        Raises:
            AbsentError: The gateway lacks a block of it, or nobody signed what IPFS calls it.
            DigestError: A block is another one than its CID says.
            MalformedError: Its tree is none of a file of its size: not the gateway's fault, for its digests are right.
            TransferError: The gateway refuses, or the connection breaks.
            StalledError: It is too slow.
        """
        chunks = self._chunks(blob, start, min(stop, blob.size_bytes))
        try:
            yield chunks
        finally:
            chunks.close()

    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> NoReturn:
        """No file has a name there.

        Raises:
            AbsentError: Always; MalformedError where no file could have that name.
        """
        raise AbsentError(f"there is no file {check_name(name)}: a gateway of IPFS has blocks only", source=self.url)

    def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> NoReturn:
        """Nothing can be put there.

        Raises:
            TransferError: Always.
        """
        raise TransferError(f"{check_name(name)} cannot be written: a gateway only gives", source=self.url)

    def close(self) -> None:
        """Let go of connections, and wake whoever waits on one."""
        self._web.close()

    def _chunks(self, blob: Blob, start: int, stop: int) -> Generator[bytes, None, None]:
        if stop <= start:
            return
        position = start - start % CHUNK_BYTES
        leaves = self._trees.leaves(blob, start, stop)
        with closing(read_ahead(leaves, self._read_leaf, width=BLOCKS_AT_ONCE)) as chunks:
            for chunk in chunks:
                wanted = chunk[max(start - position, 0) : max(stop - position, 0)]
                position += len(chunk)
                if wanted:
                    yield wanted

    def _read_leaf(self, leaf: Leaf) -> Generator[bytes, None, None]:
        return self._block(leaf.cid, leaf.stop - leaf.start)

    def _read_block(self, cid: Cid, limit_bytes: int) -> bytes:
        return b"".join(self._block(cid, limit_bytes, exact=False))

    def _block(self, cid: Cid, size_bytes: int, *, exact: bool = True) -> Generator[bytes, None, None]:
        """The bytes of a block of a size, or of at most that; the last of them once all are known to be right."""
        headers = {"accept": MEDIA_TYPE} | authorize_read(self._gateway)
        with self._web.ask("GET", f"{self._gateway}/ipfs/{cid}?format=raw", headers=headers) as answer:
            self._check_status(answer, cid)
            found, count, held = hashlib.sha256(), 0, b""
            for chunk in answer.body():
                count += len(chunk)
                if count > size_bytes:
                    raise DigestError(f"{self.url}: sends more than the {size_bytes} bytes that {cid} can have")
                found.update(chunk)
                if held:
                    yield held
                held = chunk
            if exact and count < size_bytes:
                raise TransferError(f"{cid} ended early, after {count} of {size_bytes} bytes", source=self.url)
            if found.digest() != cid.sha256:
                raise DigestError(
                    f"{self.url}: sent another block than {cid}: its sha256 is {found.hexdigest()[:12]}..., "
                    f"not {cid.sha256.hex()[:12]}..."
                )
            yield held

    def _check_status(self, answer: Answer, cid: Cid) -> None:
        if answer.status == 200:
            return
        if answer.status in (404, 410):
            raise AbsentError(f"there is no block {cid}", source=self.url, status=answer.status)
        raise TransferError(
            f"reading {cid} was refused with status {answer.status}",
            source=self.url,
            status=answer.status,
            hint="a password for the host goes into ~/.netrc" if answer.status in (401, 403) else "",
        )
