"""parse_torrent_url: what a `torrent:` URL says about where to find peers. Nobody else is asked than whom it names.

torrent:https://models.example.org/channel?tracker=https://t.example.org/announce&peer=192.0.2.7:6881&dht=on
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

from edgekit.errors import InputError

MOST_VALUES = 64
LONGEST_CHARACTERS = 8192
LEAST_PEER_PORT = 1024
"""Peers below it are not connected to: whoever lists peers could otherwise have us knock at mail or web servers."""
_HOST = r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}))"
_HOST_PORT = re.compile(rf"({_HOST}):([0-9]{{1,5}})")
_TRACKER = re.compile(rf"(?:https?://{_HOST}(?::[0-9]{{1,5}})?/[!-~]*|udp://{_HOST}:[0-9]{{1,5}}(?:/[!-~]*)?)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")

Endpoint = tuple[str, int]
"""A host, an IPv6 address without brackets, and a port."""


@dataclass(frozen=True)
class TorrentPlace:
    """Where to look for the peers that have a blob.

    Attributes:
        url: As the user wrote it.
        channel: URL of a channel that has `torrents/` and `blobs/`; None for none.
        trackers: URLs to announce to: http, https or udp.
        peers: Peers that are always tried.
        dht: Look in the distributed hash table of BitTorrent's users, and appear there.
        dht_nodes: Through whom to enter it; none for the nodes that libtorrent knows.
        lsd: Look in the local network by multicast (BEP 14).
        listen: Addresses of this machine, with ports, at which peers may connect; port 0 for any free one.
    """

    url: str
    channel: str | None = None
    trackers: tuple[str, ...] = ()
    peers: tuple[Endpoint, ...] = ()
    dht: bool = False
    dht_nodes: tuple[Endpoint, ...] = ()
    lsd: bool = False
    listen: tuple[Endpoint, ...] = ()

    @property
    def finds_peers(self) -> bool:
        """Whether anybody is named who could have the blob, the channel's web server apart."""
        return bool(self.trackers or self.peers or self.dht or self.lsd)

    @property
    def has_webseed(self) -> bool:
        """Whether the channel's files can be read by every peer: over http or https."""
        return self.channel is not None and self.channel.startswith(("http://", "https://"))


def parse_torrent_url(url: str) -> TorrentPlace:
    """Read a URL.

    Args:
        url: `torrent:[CHANNEL_URL][?...]` with any of `tracker=URL`, `peer=HOST:PORT`, `listen=ADDRESS:PORT`,
            `dht=on` or `dht=HOST:PORT`, `lsd=on`, each as often as wanted.

    Raises:
        InputError: It says something else, or names nobody who could be asked.
    """
    if len(url) > LONGEST_CHARACTERS or not url.startswith("torrent:") or not url.isprintable():
        raise InputError(f"'{url[:80]}' is no torrent URL", hint="write torrent:[CHANNEL_URL][?tracker=URL&...]")
    channel, _, query = url.removeprefix("torrent:").partition("?")
    _check_channel(channel)
    values = _values_of(query)
    dht = values["dht"]
    place = TorrentPlace(
        url,
        channel or None,
        tuple(_tracker(value) for value in values["tracker"]),
        _endpoints(values["peer"], "peer", _peer),
        bool(dht),
        _endpoints([value for value in dht if value != "on"], "dht", endpoint),
        _is_on(values["lsd"], "lsd"),
        _endpoints(values["listen"], "listen", listen_address),
    )
    if not place.channel and not place.finds_peers:
        raise InputError(
            f"'{url}' names nobody who could be asked",
            hint="write a channel's URL behind 'torrent:', or ?tracker=URL, ?peer=HOST:PORT, ?dht=on or ?lsd=on",
        )
    return place


def endpoint(text: str) -> Endpoint:
    """A host and a port; an IPv6 address stands in brackets.

    Raises:
        InputError: It is something else.

    >>> endpoint("[::1]:6881")
    ('::1', 6881)
    """
    found = _HOST_PORT.fullmatch(text)
    if not found or int(found[2]) > 65535:
        raise InputError(f"'{text[:80]}' is no HOST:PORT")
    return found[1].strip("[]"), int(found[2])


def listen_address(text: str) -> Endpoint:
    """An address of this machine and a port, 0 for any free one.

    Raises:
        InputError: It is something else: a name, for example.
    """
    host, port = endpoint(text)
    try:
        return str(ip_address(host)), port
    except ValueError as error:
        raise InputError(f"'{text[:80]}' is no address to listen at", hint="write 127.0.0.1:0 or [::]:6881") from error


def _peer(text: str) -> Endpoint:
    host, port = endpoint(text)
    if port < LEAST_PEER_PORT:
        raise InputError(f"the peer '{text[:80]}' has a port below {LEAST_PEER_PORT}, where no peer is looked for")
    return host, port


def _endpoints(values: Sequence[str], name: str, read: Callable[[str], Endpoint]) -> tuple[Endpoint, ...]:
    try:
        return tuple(read(value) for value in values)
    except InputError as error:
        raise InputError(f"{name}=: {error}", hint=error.hint) from error


def _values_of(query: str) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {"tracker": [], "peer": [], "dht": [], "lsd": [], "listen": []}
    if not query:
        return values
    try:
        pairs = parse_qsl(query, strict_parsing=True, max_num_fields=MOST_VALUES)
    except ValueError as error:
        raise InputError(f"'?{query[:80]}' is no list of name=value, at most {MOST_VALUES}") from error
    for name, value in pairs:
        if name not in values:
            raise InputError(f"a torrent URL knows no '{name[:40]}'", hint=f"known: {', '.join(values)}")
        values[name].append(value)
    return values


def _check_channel(channel: str) -> None:
    scheme = _SCHEME.match(channel)
    if scheme and scheme[0] in ("torrent:", "ipfs:"):
        raise InputError(f"'{channel[:80]}' is no channel: it has no files by name", hint="write an https:// URL")
    try:
        has_password = "@" in urlsplit(channel).netloc
    except ValueError as error:  # half an IPv6 address, or letters that stand for others
        raise InputError(f"'{channel[:80]}' is no URL of a channel") from error
    if has_password:
        raise InputError("a URL with a password in it is refused", hint="a password goes into ~/.netrc")


def _tracker(text: str) -> str:
    if not _TRACKER.fullmatch(text) or "@" in urlsplit(text).netloc or "#" in text:
        shown = re.sub(r"//[^/]*@", "//...@", text)[:80]
        raise InputError(
            f"tracker=: '{shown}' is no URL of a tracker",
            hint="write https://host/announce, http://host/announce or udp://host:port",
        )
    return text


def _is_on(values: Sequence[str], name: str) -> bool:
    if any(value != "on" for value in values):
        raise InputError(f"{name}= takes 'on' and nothing else")
    return bool(values)
