"""PackSettings: what a bundle is called and how it is packed, checked before any work starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cyclonedx.spdx import is_expression

from edgekit.errors import InputError
from edgekit.types.manifest import NAME, SEMVER

LONGEST_NAME = 128
LARGEST_VERSION = 2**31 - 1
"""What readers that keep versions in 32 bits can count to: TUF metadata in other languages."""
UNSTATED = "LicenseRef-unstated"
"""The licence of a bundle whose publisher names none: nobody may take it for a free one."""
LARGEST_LICENSE_BYTES = 2**20
_OWN_LICENSE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
_SHOWN_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:() -]{0,255}")


@dataclass(frozen=True)
class PackSettings:
    """What a bundle is called, and how it is packed.

    Attributes:
        name: FAMILY/NAME, lower case.
        version: Counts up with every publication, from 1.
        semver: Version for people; "" takes VERSION.0.0.
        license: SPDX expression, or "LicenseRef-..." for one of its own.
        license_file: Text of the licence, which is packed too; None packs none.
        golden: An .npz of golden inputs; None draws them over the input range.
        seed: Of that draw.
        first: Formats whose files come before all others, in this order, whatever was measured.
        force: Pack although checks failed, and record which.
        tar: Write one .tar file instead of a folder.

    Raises:
        InputError: A field has an impossible value.
    """

    name: str
    version: int
    semver: str = ""
    license: str = UNSTATED
    license_file: Path | None = None
    golden: Path | None = None
    seed: int = 0
    first: tuple[str, ...] = ()
    force: bool = False
    tar: bool = False

    def __post_init__(self) -> None:
        if len(self.name) > LONGEST_NAME or not NAME.fullmatch(self.name):
            raise InputError(
                f"a bundle cannot be called {self.name[:LONGEST_NAME]!r}",
                hint="write FAMILY/NAME in lower case, for example vision/resnet8; letters, digits and . _ - between",
            )
        if not 1 <= self.version <= LARGEST_VERSION:
            raise InputError(f"a version counts from 1 to {LARGEST_VERSION}, found {self.version}")
        object.__setattr__(self, "semver", self.semver or f"{self.version}.0.0")
        if len(self.semver) > LONGEST_NAME or not SEMVER.fullmatch(self.semver):
            raise InputError(
                f"{self.semver[:LONGEST_NAME]!r} is no semantic version", hint="for example 1.4.0, see semver.org"
            )
        if not is_license(self.license):
            raise InputError(
                f"{self.license[:80]!r} is no SPDX licence expression",
                hint="for example Apache-2.0, or LicenseRef-NAME for one of your own, with its text by --license-file",
            )
        if not 0 <= self.seed < 2**32:
            raise InputError(f"a seed is a number from 0 to 2**32 - 1, found {self.seed}")


def is_license(text: str) -> bool:
    """Whether a text is an SPDX expression; LicenseRef- names count as known.

    >>> is_license("Apache-2.0 OR LicenseRef-mine"), is_license("free")
    (True, False)
    """
    return bool(_SHOWN_LICENSE.fullmatch(text)) and is_expression(_OWN_LICENSE.sub("MIT", text))


def is_own_license(text: str) -> bool:
    """Whether it is a single LicenseRef, which SPDX's list does not have."""
    return bool(_OWN_LICENSE.fullmatch(text))


def read_license(path: Path) -> bytes:
    """The text of a licence.

    Raises:
        InputError: It cannot be read, is no UTF-8 text, or is larger than 1 MiB.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_LICENSE_BYTES + 1)
        data.decode("utf-8")
    except OSError as error:
        raise InputError(f"cannot read the licence {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the licence {path} is no UTF-8 text: {error.reason}") from error
    if not 0 < len(data) <= LARGEST_LICENSE_BYTES:
        raise InputError(f"the licence {path} has to have 1 to {LARGEST_LICENSE_BYTES} bytes")
    return data
