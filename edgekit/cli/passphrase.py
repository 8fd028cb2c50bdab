"""Passphrases and keys as every verb that signs takes them: one set of flags, one order of sources."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgekit.errors import KeyFileError

F = TypeVar("F", bound=Callable[..., object])

VARIABLE = "EDGEKIT_PASSPHRASE"
NEW_VARIABLE = "EDGEKIT_NEW_PASSPHRASE"
_SECRET_FILE = click.Path(path_type=Path, dir_okay=False)


def passphrase_option(flag: str = "--passphrase-file", *, variable: str = VARIABLE) -> Callable[[F], F]:
    """`--passphrase-file FILE`, the keyword `passphrase_file: Path | None` of a verb.

    Args:
        flag: Another name, where a verb takes two.
        variable: What is read without the flag, for the help text.
    """
    return click.option(
        flag,
        type=_SECRET_FILE,
        metavar="FILE",
        help=f"File whose first line is the passphrase, or a token's PIN.  [default: ${variable}, else you are asked]",
    )


def key_option(flag: str = "--key", *, help: str = "Key that signs.", required: bool = True) -> Callable[[F], F]:
    """`--key FILE|pkcs11:URI`, a text for `seal.opening.open_key`.

    Args:
        flag: Its name; the keyword follows from it.
        help: What the key is for.
        required: The verb does not go without.
    """
    return click.option(
        flag, required=required, metavar="KEY", help=f"{help}  A key file, or a PKCS #11 URI of a token."
    )


def passphrase_source(
    file: Path | None, *, key: str = "the key", variable: str = VARIABLE, confirm: bool = False
) -> Callable[[], bytes]:
    """Where a passphrase comes from: the file, else the environment, else the person at the terminal.

    Args:
        file: Its first line; others must not be able to read it.
        key: What the passphrase opens, for the prompt.
        variable: Of the environment.
        confirm: A person types it twice: it is a new one.

    Returns:
        Gives the passphrase when it is called, and then raises KeyFileError where there is none.
    """

    def give() -> bytes:
        if file is not None:
            from edgekit.seal.key_files import read_passphrase_file

            return _filled(read_passphrase_file(file), f"the first line of {file} is empty")
        if variable in os.environ:
            return _filled(os.environb[variable.encode()], f"${variable} is set, but empty")
        if not sys.stdin.isatty():
            raise KeyFileError(
                f"{key} needs a passphrase, and there is no terminal to ask at",
                hint=f"set {variable}, or give a file with the passphrase",
            )
        typed: Any = click.prompt(f"passphrase of {key}", hide_input=True, err=True, confirmation_prompt=confirm)
        return _filled(os.fsencode(typed), "the passphrase is empty")

    return give


def _filled(secret: bytes, otherwise: str) -> bytes:
    if not secret:
        raise KeyFileError(otherwise, hint="a key without a passphrase needs none of this")
    return secret
