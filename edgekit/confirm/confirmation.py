"""Confirmation: what every system calls a bundle, and whether that holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SIGNING, OCI, BITTORRENT, IPFS, TUF, LOG = "signing", "oci", "bittorrent", "ipfs", "tuf", "log"
SYSTEMS: Mapping[str, str] = {
    SIGNING: "OpenSSF model signing",
    OCI: "OCI image layout",
    BITTORRENT: "BitTorrent",
    IPFS: "IPFS",
    TUF: "TUF",
    LOG: "transparency log",
}
"""Word for programs -> name for people, in the order of a table."""


@dataclass(frozen=True)
class Row:
    """One address of a bundle or of a part of it.

    Attributes:
        system: Of SYSTEMS.
        what: A variant, a file's path, or the bundle's name.
        address: What the system calls it; "" where nobody says.
        verified: Whether it was recomputed, and is what was signed or published.
        how: What was done; where it failed, why.
        details: More for programs, by name: texts, numbers and lists of them.
    """

    system: str
    what: str
    address: str
    verified: bool
    how: str
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Confirmation:
    """A bundle in every system at once.

    Attributes:
        name: FAMILY/NAME.
        version: Counts up with every publication.
        semver: The version for people.
        rows: By system, in the order of SYSTEMS; each has one at least.
        size_bytes: What was read.
    """

    name: str
    version: int
    semver: str
    rows: Sequence[Row]
    size_bytes: int

    @property
    def failed(self) -> tuple[Row, ...]:
        """What could not be confirmed."""
        return tuple(row for row in self.rows if not row.verified)
