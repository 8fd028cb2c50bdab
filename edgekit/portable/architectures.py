"""The processors that a portable runtime can be built for, and what each part of the world calls them."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import InputError


@dataclass(frozen=True)
class Architecture:
    """One kind of processor.

    Attributes:
        name: What `uname -m` prints there.
        debian: Debian's name.
        loader: File name of glibc's dynamic loader.
        platforms: Tags of wheels that run there with glibc 2.36, newest first.
    """

    name: str
    debian: str
    loader: str

    @property
    def platforms(self) -> tuple[str, ...]:
        """See above."""
        return (
            *(f"manylinux_2_{minor}_{self.name}" for minor in (35, 34, 31, 28, 27, 24, 17)),
            f"manylinux2014_{self.name}",
        )


ARCHITECTURES = {
    known.name: known
    for known in (
        Architecture("aarch64", "arm64", "ld-linux-aarch64.so.1"),
        Architecture("x86_64", "amd64", "ld-linux-x86-64.so.2"),
    )
}


def find_architecture(name: str) -> Architecture:
    """The architecture of that name.

    Raises:
        InputError: No runtime can be built for it.
    """
    if name not in ARCHITECTURES:
        raise InputError(
            f"there is no portable runtime for '{name}'",
            hint=f"give what `uname -m` prints on the device: {' or '.join(ARCHITECTURES)}",
        )
    return ARCHITECTURES[name]
