"""Setting a node up: a folder with settings, the root of trust, and an identity of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgekit import digest
from edgekit.channel.names import check_model
from edgekit.errors import InputError, MalformedError, StorageError
from edgekit.node.disk import Disk, make_folders, save
from edgekit.node.folder import NodeFolder, locked
from edgekit.node.identity import FILE_NAME as KEY_NAME
from edgekit.node.identity import create_identity, read_did
from edgekit.node.log_policy import check_policy
from edgekit.node.opened import LARGEST_ROOT_BYTES
from edgekit.node.settings import NodeSettings, write_settings
from edgekit.transport.opening import open_transport
from edgekit.transport.torrent_url import parse_torrent_url
from edgekit.types.strict_json import read_strict


def set_up(
    path: Path,
    settings: NodeSettings,
    root: bytes,
    passphrase: bytes | None,
    *,
    disk: Disk,
    policy: bytes | None = None,
) -> str:
    """Make a node; nothing is installed yet, and nobody is contacted.

    `node.toml` is written last: a folder without one is no node, and can be set up again.

    Args:
        path: Its folder; made where it is absent.
        settings: What it follows. Paths among the channels, sources and logs are made absolute.
        root: The channel's root metadata, from whoever is trusted to hand it over.
        passphrase: Encrypts its key; None leaves that to the permissions of the folder. A key that lies in the folder
            already, from a set-up that was cut off or a copy that was restored, stays the node's.
        disk: Where to write.
        policy: Which logs and witnesses count, where `settings` asks for transparency; its digest is added to them.

    Returns:
        Its name, did:key.

    Raises:
        InputError: The folder is a node already, or what it was told cannot be.
        NodeStateError: Another process works in the folder.
        KeyFileError: The key that lies there cannot be used.
        StorageError: The system refuses.
    """
    check_model(settings.model)
    settings = _settled(settings.check(), policy)
    check_root(root)
    folder = NodeFolder.at(path)
    if folder.settings.exists():
        raise InputError(f"{path} is a node already", hint="edit its node.toml, or choose another folder")
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
    except OSError as error:
        raise StorageError(f"cannot make the folder {path}: {error.strerror}", hint="choose another folder") from error
    with locked(folder):
        own = folder.path
        make_folders(disk, folder.slots, below=own)
        make_folders(disk, folder.receipts, below=own)
        save(disk, folder.root, root)
        if settings.transparency is not None and policy is not None:
            save(disk, own / settings.transparency.policy, policy)
        did = read_did(own) if (own / KEY_NAME).exists() else create_identity(own, passphrase).public.did
        write_settings(disk, folder.settings, settings)
    return did


def check_root(data: bytes) -> None:
    """That some bytes look like TUF root metadata; whether they verify shows at the first update.

    Raises:
        InputError: They do not.
    """
    hint = "it is the file metadata/1.root.json of the channel, or a later one"
    if len(data) > LARGEST_ROOT_BYTES:
        raise InputError(f"the root of trust has more than {LARGEST_ROOT_BYTES} bytes", hint=hint)
    try:
        found = read_strict(data, where="the root of trust", limit_bytes=LARGEST_ROOT_BYTES)
    except MalformedError as error:
        raise InputError(f"the root of trust cannot be read: {error}", hint=hint) from error
    signed = found.get("signed") if isinstance(found, dict) else None
    if not isinstance(signed, dict) or signed.get("_type") != "root":
        raise InputError("the root of trust is no root metadata of TUF", hint=hint)


def _settled(settings: NodeSettings, policy: bytes | None) -> NodeSettings:
    """The settings as they are written.

    Raises:
        InputError: They ask for a log without a policy, or the policy cannot be read.
    """
    found = settings.transparency
    if (found is None) != (policy is None):
        raise InputError(
            "a node that asks a log about its releases needs a policy, and one that does not has no use for it",
            hint="give both, or neither",
        )
    if found is not None and policy is not None:
        check_policy(policy)
        found = replace(found, policy_sha256=digest.of_bytes(policy), logs=tuple(map(_absolute, found.logs)))
    for url in (*settings.channels, *settings.sources, *(found.logs if found else ())):
        _check_url(url)
    return replace(
        settings,
        channels=tuple(map(_absolute, settings.channels)),
        sources=tuple(map(_absolute, settings.sources)),
        transparency=found,
    ).check()


def _check_url(url: str) -> None:
    """That a place can be asked, as far as can be told without asking it.

    Raises:
        InputError: It cannot.
    """
    if url.startswith("torrent:"):
        parse_torrent_url(url)  # without the library that a swarm takes, which may be installed later
    else:
        open_transport(url).close()


def _absolute(url: str) -> str:
    """A path, with "file:" or "torrent:" before it or not, as it is from anywhere; a URL as it is."""
    if url.startswith("torrent:"):
        channel, mark, query = url.removeprefix("torrent:").partition("?")
        return f"torrent:{channel and _absolute(channel)}{mark}{query}"
    path = url.removeprefix("file:")
    return url if path.startswith("//") or ":" in path.split("/")[0] else str(Path(path).absolute())
