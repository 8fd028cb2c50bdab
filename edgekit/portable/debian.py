"""Packages of Debian for any release and architecture, through the apt of this machine and without installing any.

apt is given a configuration with folders of its own and one source; mirror, proxy and certificates are those that the
machine has. apt itself checks the signature of the index and the digest of every package.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgekit.errors import DeviceError
from edgekit.portable.commands import find_program, run_program

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Of the package debian-archive-keyring, which every Debian has."""
ELSEWHERE = "do this on Debian 12 or 13, a container will do; the result can be copied"
CONFIGURATION = """\
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
"""


def find_mirror() -> str:
    """The Debian mirror that this machine's apt uses.

    Raises:
        DeviceError: It has no apt, or uses no mirror of Debian.
    """
    try:
        apt = find_program("apt-get", package="apt")
    except DeviceError as error:
        raise DeviceError("packages of Debian can only be fetched by apt, which is not here", hint=ELSEWHERE) from error
    listing = run_program(
        (apt, "indextargets", "--format", "$(ORIGIN) $(LABEL) $(CODENAME) $(REPO_URI)"), doing="ask apt for its mirror"
    )
    return choose_mirror(listing)


def choose_mirror(listing: str) -> str:
    """The first mirror of Debian's main archive.

    Args:
        listing: Lines of origin, label, code name and address.

    Raises:
        DeviceError: There is none.
    """
    for line in listing.splitlines():
        found = re.fullmatch(r"Debian Debian [a-z]+ (\S+)", line.strip())
        if found:
            return found[1]
    raise DeviceError(
        "apt of this machine knows no mirror of Debian", hint=f"on Debian, run apt-get update first; else {ELSEWHERE}"
    )


class DebianArchive:
    """One release for one architecture, as the mirror has it now."""

    def __init__(self, suite: str, architecture: str, folder: Path) -> None:
        """Fetch the index.

        Args:
            suite: Code name of the release: "bookworm".
            architecture: As Debian names it: "arm64".
            folder: An empty one for the index and the packages.

        Raises:
            DeviceError: No mirror of Debian, or no network.
        """
        mirror = find_mirror()
        self._suite = f"{suite} {architecture}"
        self._packages = folder / "packages"
        self._configuration = folder / "apt.conf"
        for name in ("state", "lists/partial", "cache/archives/partial", "packages"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        signed = f"[signed-by={KEYRING}] " if KEYRING.is_file() else ""
        (folder / "sources.list").write_text(f"deb {signed}{mirror} {suite} main\n")
        self._configuration.write_text(CONFIGURATION.format(folder=folder, architecture=architecture))
        self._apt("apt-get", "update", doing=f"fetch Debian's index of {self._suite}")

    def unpack(self, names: Sequence[str], to: Path) -> None:
        """Fetch packages and unpack all their files into one folder; nothing that they depend on comes along.

        Raises:
            DeviceError: No such package, or no network.
        """
        self._apt("apt-get", "download", *names, doing=f"fetch {', '.join(names)} of {self._suite}")
        unpacker = find_program("dpkg-deb", package="dpkg")
        for package in sorted(self._packages.glob("*.deb")):
            run_program((unpacker, "--extract", package, to), doing=f"unpack {package.name}")
            package.unlink()

    def resolve(self, name: str) -> str:
        """The package that stands behind one that has only a dependency: what "linux-image-arm64" is today.

        Raises:
            DeviceError: No such package, or it depends on nothing.
        """
        listing = self._apt("apt-cache", "depends", "--important", name, doing=f"look up {name} of {self._suite}")
        found = re.search(r"Depends: ([a-z0-9][a-z0-9.+-]*)", listing)
        if not found:
            raise DeviceError(f"the package {name} of {self._suite} depends on nothing")
        return found[1]

    def _apt(self, program: str, *words: str, doing: str) -> str:
        return run_program(
            (find_program(program, package="apt"), "--quiet", "--config-file", self._configuration, *words),
            doing=doing,
            hint="is there a network? The mirror is the one of this machine's apt: does apt-get update work?",
            folder=self._packages,
        )
