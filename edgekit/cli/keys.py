"""`edgekit keys`: make keys, show them, and replace them before somebody else makes it necessary."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.passphrase import NEW_VARIABLE, passphrase_option, passphrase_source
from edgekit.cli.terminal import Terminal, output_options
from edgekit.errors import RecipeError

if TYPE_CHECKING:
    from edgekit.seal.keys import KeyKind, MemoryKey, PublicKey

KINDS = ("p256", "ed25519")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NUMBERED = re.compile(r"(.+)-([1-9][0-9]{0,5})")

EXAMPLES = """\b
Examples:
  edgekit keys new publisher                       (publisher.key signs models; publisher.pub is for everybody)
  edgekit keys new root-1 --type ed25519 --dir /media/stick
  edgekit keys show publisher.pub
  edgekit keys rotate publisher.key                (publisher-2.key, and what to do with it)
  edgekit keys rotate publisher.key --passphrase   (the same key under another passphrase)
"""
NEXT = {
    "p256": (
        "sign the next release with it: edgekit pack ... --key {new}",
        "tell the channel, which tells the nodes: edgekit publish ... --signer {new_public}",
        "who trusts the old key by hand (edgekit verify --trust) needs {new_public} as well",
        "when no release by the old key is in use any more, destroy {old} and its copies",
    ),
    "ed25519": (
        "put it in the old one's place: edgekit channel rotate --role ROLE --remove {old_public} --add {new} ...",
        "nodes follow the channel by themselves: nothing has to be sent to them",
        "when the channel no longer names the old key (edgekit channel status), destroy {old} and its copies",
    ),
}


@click.group(epilog=EXAMPLES, short_help="Make, show and replace the keys that sign models and channels.")
def keys() -> None:
    """Make, show and replace keys.

    A P-256 key signs models, so that other people's tools can verify them; an ed25519 key signs for a channel, or is a
    node. Private keys are files that only their owner can read, encrypted with a passphrase; or they stay in a token,
    behind PKCS #11 (docs/keys.md).
    """


@keys.command(epilog=EXAMPLES, short_help="Make a key.")
@click.argument("name")
@click.option(
    "--type", "kind", type=click.Choice(KINDS), default="p256", show_default=True, help="p256 for models, else ed25519."
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where it goes.  [default: this folder]",
)
@click.option("--no-passphrase", is_flag=True, help="Leave it open to whoever can read the file: for machines.")
@passphrase_option()
@output_options
@click.pass_obj
def new(
    terminal: Terminal, /, *, name: str, kind: KeyKind, folder: Path, no_passphrase: bool, passphrase_file: Path | None
) -> None:
    """Make a key: NAME.key, the private half, and NAME.pub, which everybody may have."""
    from edgekit.seal.key_files import PRIVATE_SUFFIX, check_new, write_key
    from edgekit.seal.keys import generate

    if not _NAME.fullmatch(name):
        raise RecipeError(
            f"{name!r} cannot be a key's name", hint="letters, digits, '.', '_' and '-', at most 64; --dir says where"
        )
    _check_one_protection(no_passphrase, passphrase_file)
    path = folder / (name.removesuffix(PRIVATE_SUFFIX) + PRIVATE_SUFFIX)
    check_new(path)
    passphrase = None if no_passphrase else passphrase_source(passphrase_file, key=path.name, confirm=True)()
    key = generate(kind)
    public = write_key(key, path, passphrase)
    _tell(terminal, key.public, _files(path, public, passphrase))


@keys.command(short_help="Show what a key is called.")
@click.argument("key")
@click.option("--pem", is_flag=True, help="Print the public key in PEM, and nothing else.")
@passphrase_option()
@output_options
@click.pass_obj
def show(terminal: Terminal, /, *, key: str, pem: bool, passphrase_file: Path | None) -> None:
    """Show the names of a key: fingerprint, did:key, and those that other tools use.

    KEY is a .pub or a .key file, a did:key, or the PKCS #11 URI of a key in a token.
    """
    public = _public(key, passphrase_file)
    if pem and not terminal.json:
        click.echo(public.pem, nl=False)
        return
    _tell(terminal, public, {})


@keys.command(epilog=EXAMPLES, short_help="Make a key's successor, or change its passphrase.")
@click.argument("key", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--passphrase", "only_passphrase", is_flag=True, help="Keep the key, and change its passphrase.")
@click.option("--no-passphrase", is_flag=True, help="With --passphrase: take it away.")
@passphrase_option()
@passphrase_option("--new-passphrase-file", variable=NEW_VARIABLE)
@output_options
@click.pass_obj
def rotate(
    terminal: Terminal,
    /,
    *,
    key: Path,
    only_passphrase: bool,
    no_passphrase: bool,
    passphrase_file: Path | None,
    new_passphrase_file: Path | None,
) -> None:
    """Make a key of the same kind beside KEY, called NAME-2, under the same passphrase; says what to do with it.

    With --passphrase the key stays what it is, and gets another passphrase.
    """
    from edgekit.seal.key_files import public_path, write_key
    from edgekit.seal.keys import generate

    if (no_passphrase or new_passphrase_file) and not only_passphrase:
        raise RecipeError("--no-passphrase and --new-passphrase-file are for --passphrase", hint="add --passphrase")
    _check_one_protection(no_passphrase, new_passphrase_file)
    old, used = _open(key, passphrase_file)
    if only_passphrase:
        name = f"{key.name}, the new one"
        ask = passphrase_source(new_passphrase_file, key=name, variable=NEW_VARIABLE, confirm=True)
        passphrase = None if no_passphrase else ask()
        public = write_key(old, key, passphrase, replace=True)
        _tell(terminal, old.public, _files(key, public, passphrase))
        return
    successor, path = generate(old.public.kind), _successor(key)
    public = write_key(successor, path, used)
    files = {"old": key, "old_public": public_path(key), "new": path, "new_public": public}
    words = {name: shlex.quote(str(file)) for name, file in files.items()}
    steps = [step.format(**words) for step in NEXT[old.public.kind]]
    _tell(terminal, successor.public, {**_files(path, public, used), "replaces": old.public.fingerprint}, steps)


def _open(key: Path, passphrase_file: Path | None) -> tuple[MemoryKey, bytes | None]:
    """A private key, and the passphrase it was encrypted with; None where it was not."""
    from edgekit.seal.key_files import read_private

    ask, used = passphrase_source(passphrase_file, key=key.name), None

    def remember() -> bytes:
        nonlocal used
        used = ask()
        return used

    return read_private(key, remember), used


def _files(private: Path, public: Path, passphrase: bytes | None) -> dict[str, Any]:
    return {"private_key_file": str(private), "public_key_file": str(public), "encrypted": passphrase is not None}


def _public(place: str, passphrase_file: Path | None) -> PublicKey:
    """The public half of a key, wherever it is; a private key file is opened for it."""
    from edgekit.seal.key_files import PRIVATE_SUFFIX
    from edgekit.seal.opening import TOKEN_SCHEME, open_key, open_public

    if place.startswith(TOKEN_SCHEME) or place.endswith(PRIVATE_SUFFIX):
        return open_key(place, passphrase_source(passphrase_file, key=place.partition("?")[0])).public
    return open_public(place)


def _successor(key: Path) -> Path:
    """`name.key` -> `name-2.key` -> `name-3.key`."""
    from edgekit.seal.key_files import PRIVATE_SUFFIX

    stem = key.name.removesuffix(PRIVATE_SUFFIX)
    counted = _NUMBERED.fullmatch(stem)
    name = f"{counted[1]}-{int(counted[2]) + 1}" if counted else f"{stem}-2"
    return key.with_name(name + PRIVATE_SUFFIX)


def _check_one_protection(no_passphrase: bool, file: Path | None) -> None:
    if no_passphrase and file is not None:
        raise RecipeError("a passphrase file and --no-passphrase contradict each other", hint="give one of them")


def _tell(terminal: Terminal, public: PublicKey, more: dict[str, Any], steps: list[str] | None = None) -> None:
    """What a key is called, on stdout; nothing of its private half."""
    from edgekit.seal.tuf_signer import tuf_key

    names = {"type": public.kind, "fingerprint": public.fingerprint, "did": public.did}
    if public.kind == "p256":
        names["model_signing_hint"] = public.hint
    names["tuf_key_id"] = tuf_key(public).keyid
    if terminal.json:
        terminal.result({**more, **names, "pem": public.pem, **({"next": steps} if steps else {})})
        return
    if terminal.quiet:
        return
    for label, value in {**more, **names}.items():
        shown = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        click.echo(f"{label.replace('_', ' '):20}{shown}")
    for number, step in enumerate(steps or [], start=1):
        click.echo(f"{number}. {step}")
