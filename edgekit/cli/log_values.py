"""Flags of `edgekit log` and `edgekit publish` that are about logs; how their values become keys and policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from edgekit.cli.passphrase import passphrase_source
from edgekit.durable import make_folder, replace_file
from edgekit.errors import (
    InputError,
    KeyFileError,
    RecipeError,
    SignatureError,
    StorageError,
    TransportError,
    TrustError,
)

if TYPE_CHECKING:
    from edgekit.publish.release_log import LogSettings
    from edgekit.transparency.log_reader import LogReader
    from edgekit.transparency.note import VerifierKey
    from edgekit.transparency.policy import Policy
    from edgekit.transport.transport import Transport

F = TypeVar("F", bound=Callable[..., object])

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


def policy_option(command: F) -> F:
    """`--policy FILE`, the keyword `policy_file`."""
    return click.option(
        "--policy",
        "policy_file",
        type=FILE,
        metavar="FILE",
        help="Which logs count, and whose cosignatures are needed (c2sp.org/tlog-policy).",
    )(command)


def witness_option(command: F) -> F:
    """`--witness URL`, the keyword `witnesses`."""
    return click.option(
        "--witness",
        "witnesses",
        multiple=True,
        metavar="URL",
        help="Where a witness of the policy answers, if the policy does not say it.  Repeatable.",
    )(command)


def log_options(command: F) -> F:
    """`--log`, `--log-key`, `--policy` and `--witness` of a verb that logs what it does.

    The keywords are `log_folder`, `log_key`, `policy_file` and `witnesses`, for `log_settings`.
    """
    for add in (
        witness_option,
        policy_option,
        click.option("--log-key", metavar="KEY", help="Key of the log, ed25519: a file or a PKCS #11 URI."),
        click.option(
            "--log",
            "log_folder",
            type=FOLDER,
            metavar="DIR",
            help="Log the release in the log of this folder first, and put the proof into the channel.",
        ),
    ):
        command = add(command)
    return command


def log_settings(
    log_folder: Path | None,
    log_key: str | None,
    policy_file: Path | None,
    witnesses: Sequence[str],
    passphrase_file: Path | None,
) -> LogSettings | None:
    """What `log_options` say; None without --log.

    Raises:
        RecipeError: They do not go together.
        KeyFileError: The key cannot be opened.
        InputError: The policy cannot be read.
    """
    if log_folder is None:
        if log_key or policy_file or witnesses:
            raise RecipeError("--log-key, --policy and --witness are about a log", hint="add --log DIR")
        return None
    if log_key is None:
        raise RecipeError("the log's head has to be signed", hint="add --log-key KEY")
    from edgekit.publish.release_log import LogSettings
    from edgekit.seal.opening import open_key

    key = open_key(log_key, passphrase_source(passphrase_file, key=log_key))
    return LogSettings(log_folder, key, read_policy_file(policy_file), tuple(witnesses))


def read_policy_file(path: Path | None) -> Policy | None:
    """The policy of `--policy`.

    Raises:
        InputError: It cannot be read; says why.
    """
    from edgekit.transparency.policy import LARGEST_POLICY_BYTES, read_policy

    return None if path is None else read_policy(read_small(path, LARGEST_POLICY_BYTES + 1))


def read_small(path: Path, limit_bytes: int) -> bytes:
    """The first bytes of a file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(limit_bytes)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Put a small file there, whole or not at all; folders above it are made.

    Raises:
        StorageError: It cannot be written, or something else than a file is there: a device would be gone.
    """
    try:
        if path.exists() and not path.is_file():
            raise StorageError(f"{path} is no regular file, and is not replaced", hint="choose another name")
        make_folder(path.parent)
        replace_file(path, data)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another folder") from error


def known_logs(policy: Policy | None, vkeys: Sequence[str]) -> list[VerifierKey]:
    """The logs of `--policy` and `--log`.

    Raises:
        RecipeError: There are none.
        KeyFileError: One is no vkey, or that of a witness.
    """
    from edgekit.transparency.note import ED25519, VerifierKey

    found = [each.key for each in policy.logs] if policy else []
    for text in vkeys:
        key = VerifierKey.parse(text)
        if key.kind != ED25519:
            raise KeyFileError(f"{key} is the key of a witness", hint="--log takes that of a log: log init showed it")
        found.append(key)
    if not found:
        raise RecipeError(
            "nothing says whose log it is", hint="give its key, as edgekit log init showed it: --log VKEY; or --policy"
        )
    return list(dict.fromkeys(found))


@contextmanager
def opened_log(places: Sequence[str], logs: Sequence[VerifierKey]) -> Iterator[tuple[VerifierKey, list[LogReader]]]:
    """Mirrors of a log, and which log it is: the first of `places` that shows a head says so.

    Raises:
        SignatureError: It is none of `logs`.
        TransportError: Nothing can be read.
    """
    from edgekit.transparency.log_reader import LogReader
    from edgekit.transport.opening import opened

    with opened(places) as transports:
        log = logs[0] if len(logs) == 1 else _log_of(transports, logs)
        yield log, [LogReader(transport, log) for transport in transports]


def _log_of(transports: Sequence[Transport], logs: Sequence[VerifierKey]) -> VerifierKey:
    """The log whose key signed what the first mirror shows; one name may have several keys."""
    from edgekit.transparency.log_reader import LogReader
    from edgekit.transparency.note import read_note

    fault: Exception | None = None
    for transport in transports:
        try:
            note = read_note(LogReader(transport, logs[0]).read_head())
        except (TrustError, TransportError) as error:
            fault = fault or error
            continue
        origin = note.text.partition("\n")[0]
        for log in logs:
            if log.name == origin and note.by(log):
                return log
        fault = SignatureError(
            f"{transport.url} is the log {origin[:80]!r} by a key that is not known; known are "
            + ", ".join(log.name for log in logs),
            hint="give its key, if you trust it: --log VKEY",
        )
    assert fault is not None
    raise fault


def told_time(seconds: int) -> str:
    """A time for people."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"
