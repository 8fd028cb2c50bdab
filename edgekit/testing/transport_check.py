"""check_transport, check_blob_transport: does a transport do what `Transport`, or `BlobTransport`, promises?

For people who write a transport: give the function that opens it, on a place that may be written to; or, where it can
only be read, the files that are there; or, where it finds blobs by other addresses, a blob that is there.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path

from edgekit.addressing.addressing import addresses_of
from edgekit.errors import AbsentError, CheckError, EdgekitError, MalformedError, TransportError
from edgekit.transport.fetch import Sources
from edgekit.transport.reading import read_all
from edgekit.transport.transport import BlobTransport, Transport
from edgekit.types.blob import Blob

Open = Callable[[], Transport]

THREADS = 8
SIZE_BYTES = 700_001
METADATA = "metadata/1.check.json"
ABSENT = "metadata/999999.check.json"
HOSTILE_NAMES = (
    "", ".", "..", "../up", "a/../../b", "/etc/passwd", "a//b", "a/", ".hidden", "-rf", "a\\b", "a\nb", "a\0b", "é",
    "a b", "a?b", "a#b", "%2e%2e/up", "http://elsewhere/x", "a/" * 400 + "a",
)  # fmt: skip


def check_transport(open_transport: Open, *, files: Mapping[str, bytes] | None = None) -> None:
    """Run every check.

    Args:
        open_transport: Opens the same place every time.
        files: name -> contents of what is there; at least one of some kilobytes. None where the place may be
            written to: the checks then put a blob and a file of metadata there, and leave them.

    Raises:
        CheckError: A promise is not kept; the message names it.
        TransportError: The transport itself failed.
    """
    transport = open_transport()
    try:
        if files is None:
            files = _write(transport)
            check_replacing(transport)
            check_lengths(transport)
        for name, contents in files.items():
            check_whole(transport, name, contents)
            check_parts(transport, name, contents)
            check_leaving(transport, name, contents)
            check_threads(transport, name, contents)
        check_absence(transport)
        check_names(transport)
    finally:
        transport.close()
    transport.close()  # a second time does nothing
    check_again(open_transport, files)


def check_blob_transport(open_transport: Open, blob: Blob, contents: bytes, *, folder: Path) -> None:
    """Run the checks of a transport that finds blobs by other addresses than their sha256, and has no other files.

    Args:
        open_transport: Opens the same place every time.
        blob: What is there, with its addresses and pieces; some mebibytes, so that it is of several pieces.
        contents: Its bytes.
        folder: An empty one, which the checks fill.

    Raises:
        CheckError: A promise is not kept; the message names it.
        TransportError: The transport itself failed.
    """
    transport = open_transport()
    try:
        check_spans(transport, blob, contents, folder / "spans")
        check_ending(transport, blob, contents, folder / "ending")
        check_crowd(transport, blob, contents, folder / "crowd")
        check_unknown(transport, blob, folder / "unknown")
        check_no_files(transport)
    finally:
        transport.close()
    transport.close()  # a second time does nothing
    check_fetch(open_transport, blob, contents, folder / "fetched")


def check_spans(transport: Transport, blob: Blob, contents: bytes, scratch: Path) -> None:
    """Any span comes as it is, and nothing beyond it, whether it begins with a piece or in one."""
    size = len(contents)
    length = blob.pieces.length_bytes if blob.pieces else size
    spans = (
        (0, size), (0, 1), (0, length), (length, min(2 * length, size)), (size - 1, size), (length - 1, length + 1),
        (size // 3, size // 2), (size // 2, size // 2), (size, size),
    )  # fmt: skip
    for start, stop in spans:
        found = _span(transport, blob, start, stop, scratch)
        _expect(f"bytes {start} to {stop} of the blob", found == contents[start:stop], True)


def check_ending(transport: Transport, blob: Blob, contents: bytes, scratch: Path) -> None:
    """Leaving the block ends the transfer, whatever was read of it, and the next one is none the worse."""
    for count in (0, 1):
        with _blobs(transport).read_blob(blob, start=0, stop=blob.size_bytes, scratch=scratch) as chunks:
            for _ in range(count):
                next(chunks, None)
    found = _span(transport, blob, 0, blob.size_bytes, scratch)
    _expect("the blob after a transfer that was left", found == contents, True)


def check_crowd(transport: Transport, blob: Blob, contents: bytes, scratch: Path) -> None:
    """Several threads read the same blob at once."""
    step = -(-len(contents) // THREADS)
    found: dict[int, bytes] = {}

    def work(start: int) -> None:
        found[start] = _span(transport, blob, start, min(start + step, len(contents)), scratch)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, len(contents), step)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _expect(f"the blob read by {THREADS} threads", b"".join(found[key] for key in sorted(found)) == contents, True)


def check_unknown(transport: Transport, blob: Blob, scratch: Path) -> None:
    """A blob that is not there is said to be absent, and so is one of which nobody says what it is called."""
    other = random.Random(8).randbytes(blob.size_bytes)
    named = Blob(sha256(other).hexdigest(), len(other), addresses=addresses_of(other))
    for unknown in (named, Blob(named.sha256, named.size_bytes)):
        try:
            _span(transport, unknown, 0, 1, scratch)
        except AbsentError as error:
            _expect("source of the error", error.source, transport.url)
            continue
        raise CheckError("reading a blob that is not there raised no AbsentError")


def check_no_files(transport: Transport) -> None:
    """There are no files with names, and nothing can be written."""
    check_absence(transport)
    check_names(transport)
    write = partial(transport.write, METADATA, [b"{}"], size_bytes=2)
    _expect_error(f"writing {METADATA}", write, TransportError)


def check_fetch(open_transport: Open, blob: Blob, contents: bytes, target: Path) -> None:
    """The blob can be fetched with this transport as the only source.

    Args:
        open_transport: Opens the place.
        blob: What is there.
        contents: Its bytes.
        target: Where to put it.
    """
    transport = open_transport()
    try:
        sources = Sources([transport])
        sources.fetch(blob, target)
        _expect("the blob that was fetched", target.read_bytes() == contents, True)
        _expect("faults of the source", dict(sources.faults), {})
    finally:
        transport.close()


def check_whole(transport: Transport, name: str, contents: bytes) -> None:
    """A file comes back as it is."""
    _expect(f"{name} read", read_all(transport, name, limit_bytes=len(contents)) == contents, True)


def check_parts(transport: Transport, name: str, contents: bytes) -> None:
    """Any span of a file can be read by itself; one that reaches beyond the end gives what is there."""
    size = len(contents)
    spans: list[tuple[int, int | None]] = [
        (0, 1), (0, size), (1, size), (size // 3, size // 2), (size - 1, size), (size // 2, None), (0, size + 1000),
        (size // 2, size // 2),
    ]  # fmt: skip
    for start, stop in spans:
        with transport.read(name, start=start, stop=stop) as chunks:
            found = b"".join(chunks)
        _expect(f"bytes {start} to {stop} of {name}", found == contents[start:stop], True)


def check_leaving(transport: Transport, name: str, contents: bytes) -> None:
    """Leaving the block ends the transfer, whatever was read of it, and the next read is none the worse."""
    for count in (0, 1):
        with transport.read(name) as chunks:
            for _ in range(count):
                next(chunks, None)
    check_whole(transport, name, contents)


def check_threads(transport: Transport, name: str, contents: bytes) -> None:
    """Several threads read at once."""
    step = -(-len(contents) // THREADS)
    found: dict[int, bytes] = {}

    def work(start: int) -> None:
        with transport.read(name, start=start, stop=min(start + step, len(contents))) as chunks:
            found[start] = b"".join(chunks)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, len(contents), step)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _expect(f"{name} read by {THREADS} threads", b"".join(found[key] for key in sorted(found)) == contents, True)


def check_absence(transport: Transport) -> None:
    """A file that is not there is said to be absent, by an error that names the source."""
    try:
        read_all(transport, ABSENT, limit_bytes=10)
    except AbsentError as error:
        _expect("source of the error", error.source, transport.url)
        return
    raise CheckError(f"reading {ABSENT}, which is not there, raised no AbsentError")


def check_names(transport: Transport) -> None:
    """A name that could leave the tree is refused, for reading and for writing."""
    for name in HOSTILE_NAMES:
        _expect_error(f"reading {name[:40]!r}", partial(read_all, transport, name, limit_bytes=10), MalformedError)
        write = partial(transport.write, name, [b"x"], size_bytes=1)
        _expect_error(f"writing {name[:40]!r}", write, (MalformedError, TransportError))


def check_replacing(transport: Transport) -> None:
    """A file of the same name is replaced, by a longer and by a shorter one, and by the same."""
    for contents in (b'{"first":1}', b'{"second":"longer than the first"}', b"{}", b"{}"):
        transport.write(METADATA, iter([contents[:1], contents[1:]]), size_bytes=len(contents))
        check_whole(transport, METADATA, contents)


def check_lengths(transport: Transport) -> None:
    """Fewer or more bytes than were announced, or chunks that end in an error, put nothing there."""

    def broken() -> Iterator[bytes]:
        yield b"{"
        raise MalformedError("the test broke it")

    for name, chunks, size_bytes in (
        ("metadata/2.check.json", [b"{}"], 3),
        ("metadata/3.check.json", [b"{", b"}\n"], 2),
        ("metadata/4.check.json", broken(), 2),
    ):
        _expect_error(f"{name} of another length", partial(transport.write, name, chunks, size_bytes=size_bytes))
        _expect_error(f"{name} after that", partial(read_all, transport, name, limit_bytes=10), AbsentError)


def check_again(open_transport: Open, files: Mapping[str, bytes]) -> None:
    """What was there is there for whoever opens the place next.

    Args:
        open_transport: Opens the same place.
        files: name -> contents.
    """
    transport = open_transport()
    try:
        for name, contents in files.items():
            check_whole(transport, name, contents)
    finally:
        transport.close()


def _blobs(transport: Transport) -> BlobTransport:
    if not isinstance(transport, BlobTransport):
        raise CheckError(f"{transport.url} has no read_blob")
    return transport


def _span(transport: Transport, blob: Blob, start: int, stop: int, scratch: Path) -> bytes:
    with _blobs(transport).read_blob(blob, start=start, stop=stop, scratch=scratch) as chunks:
        return b"".join(chunks)


def _write(transport: Transport) -> dict[str, bytes]:
    """A blob and a file of metadata, put there."""
    contents = random.Random(6).randbytes(SIZE_BYTES)
    files = {f"blobs/sha256/{sha256(contents).hexdigest()}": contents, "metadata/7.check.json": b'{"a":[1,2,3]}'}
    for name, data in files.items():
        middle = len(data) // 2
        transport.write(name, iter([data[:middle], data[middle:]]), size_bytes=len(data))
    return files


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise CheckError(f"{what}: {found!r:.200}, expected {expected!r:.200}")


def _expect_error(
    what: str, work: Callable[[], object], kind: type[Exception] | tuple[type[Exception], ...] = EdgekitError
) -> None:
    try:
        work()
    except kind:
        return
    raise CheckError(f"{what} raised no error of the right kind")
