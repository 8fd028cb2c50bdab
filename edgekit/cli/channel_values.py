"""Flags that `edgekit channel` and `edgekit publish` share, and how their values become keys and places."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgekit.cli.passphrase import passphrase_source
from edgekit.errors import InputError, KeyFileError, RecipeError

if TYPE_CHECKING:
    from edgekit.channel.tuf_objects import Metadata
    from edgekit.publish.founding import Signers
    from edgekit.publish.records import Records
    from edgekit.seal.keys import PrivateKey, PublicKey
    from edgekit.transport.transport import Transport

F = TypeVar("F", bound=Callable[..., object])

ONLINE = "online"
_FAMILY = re.compile(r"([^=]+)=(.+?)(?::([1-9][0-9]?))?")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([hd])")
FILE = click.Path(path_type=Path, dir_okay=False)


class Duration(click.ParamType[timedelta]):
    """Days or hours: "90d", "12h"."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Text to a span of time."""
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if not found:
            self.fail(f"{value!r} is no duration: give days or hours, such as 90d or 12h", param, ctx)
        return timedelta(hours=int(found[1])) if found[2] == "h" else timedelta(days=int(found[1]))


def trust_option(command: F) -> F:
    """`--trust ROOT`, the keyword `trust`."""
    return click.option(
        "--trust",
        type=FILE,
        metavar="ROOT",
        help="The newest root metadata of the channel that you have: it must begin with that.  "
        "Needed where CHANNEL is a URL.",
    )(command)


def channel_option(command: F) -> F:
    """`--to CHANNEL` and `--trust ROOT`, the keywords `place` and `trust`."""
    return click.option(
        "--to",
        "place",
        required=True,
        metavar="CHANNEL",
        help="The channel: a folder, or a URL that can be written to.",
    )(trust_option(command))


def signing_options(command: F) -> F:
    """`--key`, `--online-key` and `--request`: the keywords `keys`, `online_keys` and `request_file`."""
    for add in (
        click.option(
            "--request",
            "request_file",
            type=FILE,
            metavar="FILE",
            help="Where the signing request goes, if signatures are missing.  [default: ROLE-VERSION.request.json]",
        ),
        click.option(
            "--online-key",
            "online_keys",
            multiple=True,
            metavar="KEY",
            help="Key of snapshot and timestamp; without it a signing request is written.  Repeatable.",
        ),
        click.option(
            "--key", "keys", multiple=True, metavar="KEY", help="Key that signs, a file or a PKCS #11 URI.  Repeatable."
        ),
    ):
        command = add(command)
    return command


@contextmanager
def opened_place(place: str) -> Iterator[Transport]:
    """The channel of `--to`, closed at the end of the block."""
    from edgekit.transport.opening import open_transport

    transport = open_transport(place)
    try:
        yield transport
    finally:
        transport.close()


@contextmanager
def opened_channel(
    place: str, trust: Path | None, *, resuming: Metadata[Any] | None = None
) -> Iterator[tuple[Transport, Records]]:
    """A channel that is to be added to, and what is verified to be in force there."""
    from edgekit.publish.records import read_records

    with opened_place(place) as transport:
        yield transport, read_records(transport, trust=trusted_root(transport, trust), resuming=resuming)


def trusted_root(transport: Transport, trust: Path | None) -> bytes | None:
    """The root metadata of `--trust`; only a folder of this machine may do without.

    Raises:
        RecipeError: Nothing says which channel it has to be: whoever runs the server could show one of their own, made
            of public keys, and have anything signed that stands in it.
        InputError: The file cannot be read.
    """
    from edgekit.transport.file import FileTransport

    if trust is None and not isinstance(transport, FileTransport):
        raise RecipeError(
            f"{transport.url} is not of this machine: say which channel it has to be",
            hint="give the newest root metadata that you have, a copy of metadata/N.root.json: --trust ROOT",
        )
    return read_root(trust)


def read_root(path: Path | None) -> bytes | None:
    """The root metadata of `--trust`.

    Raises:
        InputError: It cannot be read.
    """
    from edgekit.channel.mirror import LIMITS

    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            return stream.read(LIMITS.root_max_length + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="give a root.json of the channel") from error


def open_keys(places: Sequence[str], passphrase_file: Path | None) -> tuple[PrivateKey, ...]:
    """The keys that sign; a passphrase is asked for each of them."""
    from edgekit.seal.opening import open_key

    return tuple(open_key(place, passphrase_source(passphrase_file, key=place)) for place in places)


def read_signers(
    places: Sequence[str], threshold: int, passphrase_file: Path | None
) -> tuple[Signers, tuple[PrivateKey, ...]]:
    """Who is to sign for a role, from keys that are here (private) or elsewhere (public).

    Returns:
        All of them; and those that can sign now.
    """
    from edgekit.publish.founding import Signers
    from edgekit.seal.opening import open_public

    publics: list[PublicKey] = []
    privates: list[PrivateKey] = []
    for place in places:
        try:
            publics.append(open_public(place))
        except KeyFileError:
            if place.endswith(".pub") or place.startswith("did:"):
                raise
            privates += open_keys([place], passphrase_file)
            publics.append(privates[-1].public)
    return Signers(tuple(publics), threshold), tuple(privates)


def named_key(place: str) -> PublicKey | str:
    """A key to be removed: its file, or the beginning of its fingerprint where the file is lost."""
    from edgekit.seal.key_files import public_path
    from edgekit.seal.opening import open_public

    path = Path(place)
    if place.startswith("did:") or path.is_file():
        beside = public_path(path)
        return open_public(str(beside) if path.suffix == ".key" and beside.is_file() else place)
    return place


def split_family(text: str) -> tuple[str, list[str], int]:
    """Name, keys and threshold, of "NAME=KEY[,KEY][:THRESHOLD]".

    >>> split_family("vision=a.pub,b.pub:2")
    ('vision', ['a.pub', 'b.pub'], 2)

    Raises:
        RecipeError: It is something else.
    """
    found = _FAMILY.fullmatch(text)
    if not found:
        raise RecipeError(f"{text!r} names no family and its keys", hint="write vision=KEY or vision=KEY,KEY:2")
    return found[1], [part for part in found[2].split(",") if part], int(found[3] or 1)


def split_roles(texts: Sequence[str]) -> tuple[str, ...]:
    """Roles as they are written on the command line: "online" is two, and "family:vision" is the family vision.

    >>> split_roles(["online", "family:vision"])
    ('snapshot', 'timestamp', 'vision')
    """
    found: list[str] = []
    for text in texts:
        found += ["snapshot", "timestamp"] if text == ONLINE else [text.removeprefix("family:")]
    return tuple(dict.fromkeys(found))
