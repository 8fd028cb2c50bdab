"""Mutations of a tar file at its seams: headers, sizes, links, extensions, order, and what follows the end."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.fuzz import hostile
from tests.fuzz.byte_mutation import mutate_bytes

BLOCK = 512
TYPEFLAGS = b"\x000123456789gxLKSDMNVAXz\xff"
FIELDS = {
    "name": (0, 100), "mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12),
    "linkname": (157, 100), "magic": (257, 8), "uname": (265, 32), "gname": (297, 32), "prefix": (345, 155),
}  # fmt: skip
SIZES = (
    b"77777777777\0", b"00000000000\0", b"00000000001 ", b"           \0", b"\0" * 12, b"-0000000001\0",
    b"0x000000010\0", b"\x80" + bytes(10) + b"\x05", b"\xff" * 12, b"1" * 12, b" 0000000144\0",
    b"0000000014\0\0", b"00000 00144\0",
)  # fmt: skip
MAGICS = (b"ustar\x0000", b"ustar  \x00", b"\0" * 8, b"ustar\x0001", b"USTAR\x0000", b"ustar\0\0\0")
EXTENSIONS = (
    b"path=../x", b"path=/edgekit-fuzz-escape", b"path=index.json", b"size=0", b"size=99999999999", b"linkpath=/etc",
    b"GNU.sparse.name=index.json", b"GNU.sparse.size=10", b"GNU.sparse.map=0,10", b"hdrcharset=BINARY", b"mtime=nan",
)  # fmt: skip


@dataclass
class Member:
    """One member: its header block and its content, which is filled up when it is written."""

    header: bytearray
    content: bytes

    def set(self, field: str, value: bytes) -> None:
        """Write a field of the header, cut to its width."""
        start, width = FIELDS[field]
        self.header[start : start + width] = value[:width].ljust(width, b"\0")

    def seal(self) -> None:
        """Make the checksum right."""
        self.header[148:156] = b" " * 8
        self.header[148:156] = b"%06o\0 " % sum(self.header)


def members_of(data: bytes) -> list[Member]:
    """The members of a tar file that is well and has no extensions."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [
            Member(bytearray(data[one.offset : one.offset + BLOCK]), data[one.offset_data : one.offset_data + one.size])
            for one in archive.getmembers()
        ]


def write_members(members: Sequence[Member]) -> bytes:
    """Members, one after the other, without an end."""
    parts = []
    for member in members:
        parts += [bytes(member.header), member.content, bytes(-len(member.content) % BLOCK)]
    return b"".join(parts)


def member(name: bytes, content: bytes, typeflag: bytes = b"0") -> Member:
    """A new member."""
    made = Member(bytearray(BLOCK), content)
    for field, value in (
        ("name", name),
        ("mode", b"0000644\0"),
        ("magic", MAGICS[0]),
        ("size", b"%011o\0" % len(content)),
    ):
        made.set(field, value)
    made.header[156:157] = typeflag
    made.seal()
    return made


def mutate_tar(random: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A changed tar file.

    Args:
        random: Decides.
        data: A tar file that is well.
        others: Tar files of which members may be taken.
    """
    if random.random() < 0.15:
        return mutate_bytes(random, data, others)
    members = members_of(data)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        _change(random, members, others)
    return write_members(members) + _end(random)


def _change(random: Random, members: list[Member], others: Sequence[bytes]) -> None:
    how = random.randrange(10)
    place = random.randrange(len(members)) if members else 0
    if how <= 3 and members:
        _change_header(random, members[place])
    elif how == 4 and members:
        one = members[place]
        one.content = mutate_bytes(random, one.content)
        if random.random() < 0.8:
            one.set("size", b"%011o\0" % len(one.content))
            one.seal()
    elif how == 5 and members:
        del members[place]
    elif how == 6 and members:
        members.insert(random.randrange(len(members)), Member(bytearray(members[place].header), members[place].content))
    elif how == 7:
        random.shuffle(members)
    elif how == 8 and others:
        members.insert(place, random.choice(members_of(random.choice(others))))
    else:
        members.insert(place, _stranger(random))


def _change_header(random: Random, one: Member) -> None:
    field = random.choice((*FIELDS, "name", "size", "type", "type"))
    if field == "type":
        one.header[156] = random.choice(TYPEFLAGS)
    elif field == "size":
        one.set("size", random.choice(SIZES))
    elif field == "magic":
        one.set("magic", random.choice(MAGICS))
    elif random.random() < 0.3 and field == "name":
        before = bytes(one.header[:100]).rstrip(b"\0")
        one.set(
            "name", random.choice((b"./" + before, before + b"/", b"/" + before, before + b"\0x", b"././" + before))
        )
    else:
        one.set(field, random.choice((hostile.name(random).encode("utf-8", "surrogatepass"), random.randbytes(12))))
    if random.random() < 0.9:
        one.seal()


def _stranger(random: Random) -> Member:
    """Something that no bundle holds."""
    how = random.randrange(5)
    if how == 0:
        line = random.choice(EXTENSIONS)
        text = b" " + line + b"\n"
        return member(b"pax", b"%d%s" % (len(text) + len(str(len(text) + 2)), text), random.choice((b"x", b"g")))
    if how == 1:
        return member(b"././@LongLink", hostile.name(random).encode("utf-8", "surrogatepass") + b"\0", b"L")
    if how == 2:
        made = member(hostile.name(random).encode("utf-8", "surrogatepass"), b"", random.choice((b"1", b"2")))
        made.set("linkname", random.choice((b"../x", b"/etc/passwd", b"index.json", b"blobs")))
        made.seal()
        return made
    if how == 3:
        return member(random.choice((b"blobs", b"blobs/", b"blobs/sha256/", b".", b"./", b"other/")), b"", b"5")
    return member(hostile.name(random).encode("utf-8", "surrogatepass"), random.randbytes(20))


def _end(random: Random) -> bytes:
    drawn = random.random()
    if drawn < 0.85:
        return bytes(2 * BLOCK + random.choice((0, 0, 20 * BLOCK)))
    return random.choice(
        (b"", bytes(BLOCK), bytes(3 * BLOCK - 1), bytes(2 * BLOCK) + b"x", bytes(2 * BLOCK) + random.randbytes(BLOCK))
    )
