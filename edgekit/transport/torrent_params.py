"""What libtorrent is told of a torrent: its file and its hashes, and who may be asked.

Trackers and web seeds come from `TorrentPlace` alone, that is from the URL that the node's owner wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edgekit.addressing.torrent import Torrent, write_torrent
from edgekit.transport.host_names import HostNames
from edgekit.transport.torrent_library import lt
from edgekit.transport.torrent_url import TorrentPlace
from edgekit.types.blob import Addresses, Blob

Act = Callable[[Callable[[Any], object]], None]
"""Has something done to the handle, if there still is one."""
Note = Callable[[str, str], None]
"""Is told who failed, and how."""

_ALONE = lt.torrent_flags.override_trackers | lt.torrent_flags.override_web_seeds
_UNANNOUNCED = lt.torrent_flags.disable_dht | lt.torrent_flags.disable_lsd


def fetch_params(torrent: Torrent, folder: Path) -> Any:
    """To fetch a file into a folder, nothing of it yet.

    What an earlier run left there is hashed and kept.
    """
    params = _params(folder)
    params.ti = lt.torrent_info(write_torrent(torrent))
    params.piece_priorities = [0] * torrent.piece_count
    return params


def ask_params(addresses: Addresses, folder: Path) -> Any:
    """To ask peers for the info dictionary (BEP 9), and for nothing else before that is there and was looked at."""
    params = _params(folder)
    params.flags |= lt.torrent_flags.upload_mode
    params.info_hashes = lt.info_hash_t(lt.sha256_hash(bytes.fromhex(addresses.infohash)))
    return params


def seed_params(torrent: Torrent, path: Path) -> Any:
    """To give a file out, and never to write to it, not even where it turns out to be damaged."""
    path = path.absolute()
    params = _params(path.parent)
    params.flags |= lt.torrent_flags.seed_mode | lt.torrent_flags.upload_mode
    params.ti = lt.torrent_info(write_torrent(torrent))
    params.renamed_files = {0: str(path)}
    return params


def introduce(place: TorrentPlace, blob: Blob, names: HostNames, *, act: Act, note: Note) -> None:
    """Tell libtorrent whom a place names.

    Names of hosts are looked up aside first, so that libtorrent is given none whose name server does not answer.

    Args:
        place: Who may be asked.
        blob: What for.
        names: Looks names up.
        act: Has something done to the torrent's handle.
        note: Is told who could not be found, and why.
    """
    for url in place.trackers:
        _when_known(_host(url), names, note, partial(_do, act, "add_tracker", {"url": url}))
    if place.has_webseed:
        webseed = f"{str(place.channel).rstrip('/')}/{blob.file_name}"
        _when_known(_host(webseed), names, note, partial(_do, act, "add_url_seed", webseed))
    introduce_peers(place, names, act=act, note=note)
    if place.dht:
        act(lambda handle: handle.unset_flags(lt.torrent_flags.disable_dht))
    if place.lsd:
        act(lambda handle: handle.unset_flags(lt.torrent_flags.disable_lsd))


def introduce_peers(place: TorrentPlace, names: HostNames, *, act: Act, note: Note) -> None:
    """The same for its peers alone, once more: libtorrent gives one up that could not be reached three times."""
    for host, port in place.peers:

        def connect(addresses: list[str], port: int = port) -> None:
            act(lambda handle: [handle.connect_peer((address, port)) for address in addresses])

        _when_known(host, names, note, connect)


def _params(folder: Path) -> Any:
    params = lt.add_torrent_params()
    params.save_path = str(folder.absolute())
    params.flags = _ALONE | _UNANNOUNCED
    return params


def _when_known(host: str, names: HostNames, note: Note, then: Callable[[list[str]], None]) -> None:
    names.find(host, then, failed=lambda fault: note(host, fault))


def _do(act: Act, verb: str, value: object, _: list[str]) -> None:
    act(lambda handle: getattr(handle, verb)(value))


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
