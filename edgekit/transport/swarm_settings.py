"""SwarmSettings: how this process takes part in swarms, and what that is called in libtorrent.

Nothing announces this machine unless somebody asked for it: no distributed hash table, no multicast, no mapping of
ports at the router, no STUN server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgekit.errors import InputError
from edgekit.transport.patience import Patience
from edgekit.transport.torrent_url import Endpoint, TorrentPlace
from edgekit.version import __version__

ANY_PORT: tuple[Endpoint, ...] = (("0.0.0.0", 0), ("::", 0))
LARGEST_METADATA_BYTES = 2**22
"""Of an info dictionary that peers send: 20 bytes for each piece of the largest blob, and some more."""
_STOP_S = 1
_RATE_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class SwarmSettings:
    """How a process takes part in swarms.

    Attributes:
        listen: Addresses of this machine, with ports, at which peers may connect; port 0 for any free one.
        upload_bytes_per_s: Most that is sent, to peers on this machine and in its network too; 0 for no limit.
        download_bytes_per_s: Most that is received; 0 for no limit.
        dht: Take part in the distributed hash table of BitTorrent's users.
        dht_nodes: Through whom to enter it; none for the nodes that libtorrent knows.
        lsd: Look for peers in the local network by multicast.
        most_connections: Peers at the same time, in all swarms together.
        patience: Bounds on waiting for a peer, a tracker or a web server.
    """

    listen: tuple[Endpoint, ...] = ANY_PORT
    upload_bytes_per_s: int = 0
    download_bytes_per_s: int = 0
    dht: bool = False
    dht_nodes: tuple[Endpoint, ...] = ()
    lsd: bool = False
    most_connections: int = 200
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        for rate in (self.upload_bytes_per_s, self.download_bytes_per_s):
            if not 0 <= rate <= _RATE_LIMIT:
                raise InputError(f"{rate} bytes/s is no limit: 0, or up to {_RATE_LIMIT}")
        if not 1 <= self.most_connections <= 10_000:
            raise InputError(f"{self.most_connections} connections is no limit: 1 to 10000")
        if not self.listen:
            raise InputError("a swarm needs an address to listen at", hint="write 0.0.0.0:0 for any")

    def widened(self, other: SwarmSettings) -> SwarmSettings:
        """These, with what others ask for on top: ways to find peers, and limits where they set one."""
        return replace(
            self,
            upload_bytes_per_s=other.upload_bytes_per_s or self.upload_bytes_per_s,
            download_bytes_per_s=other.download_bytes_per_s or self.download_bytes_per_s,
            dht=self.dht or other.dht,
            dht_nodes=tuple(dict.fromkeys(self.dht_nodes + other.dht_nodes)),
            lsd=self.lsd or other.lsd,
        )


def settings_for(place: TorrentPlace) -> SwarmSettings:
    """What a URL asks of the swarm."""
    return SwarmSettings(listen=place.listen or ANY_PORT, dht=place.dht, dht_nodes=place.dht_nodes, lsd=place.lsd)


def session_settings(settings: SwarmSettings) -> Mapping[str, str | int | bool]:
    """The same as a settings pack of libtorrent 2.1; see its reference for each name."""
    patience = settings.patience
    answer_s, silence_s = max(1, round(patience.answer_s)), max(1, round(patience.silence_s))
    pack: dict[str, str | int | bool] = {
        "listen_interfaces": joined(settings.listen),
        "upload_rate_limit": settings.upload_bytes_per_s,
        "download_rate_limit": settings.download_bytes_per_s,
        "connections_limit": settings.most_connections,
        # A port that is taken is a fault, and not another port that nobody was told of.
        "max_retry_port_bind": 0,
        "listen_system_port_fallback": False,
        "enable_dht": settings.dht,
        "enable_lsd": settings.lsd,
        "enable_upnp": False,
        "enable_natpmp": False,
        "webtorrent_stun_server": "",
        # Of uTP and TCP, libtorrent tries uTP first, for 3 s, and many clients know TCP alone. Others who try it with
        # us must find it, though: while they try they refuse our own connection as their second one.
        "enable_outgoing_utp": False,
        "enable_incoming_utp": True,
        "user_agent": f"edgekit/{__version__}",
        # Several nodes stand behind one address: in a lab, behind a router, on this machine.
        "allow_multiple_connections_per_ip": True,
        # A peer that wants nothing at present will want something later: with the next span, or the metadata.
        "close_redundant_connections": False,
        "no_connect_privileged_ports": True,
        "ssrf_mitigation": True,
        "validate_https_trackers": True,
        "announce_to_all_trackers": True,
        "announce_to_all_tiers": True,
        "max_metadata_size": LARGEST_METADATA_BYTES,
        "alert_queue_size": 20_000,
        # Waiting.
        "peer_connect_timeout": max(1, round(patience.connect_s)),
        "handshake_timeout": silence_s,
        "request_timeout": silence_s,
        "piece_timeout": max(1, silence_s // 5),  # then others are asked for the same
        "peer_timeout": 6 * silence_s,
        "urlseed_timeout": silence_s,
        "urlseed_pipeline_size": 1,  # many a web server loses a request that comes before it has answered the last one
        "urlseed_wait_retry": silence_s,
        "tracker_completion_timeout": answer_s,
        "tracker_receive_timeout": silence_s,
        "stop_tracker_timeout": _STOP_S,
        "min_reconnect_time": 1,
        "min_announce_interval": 30,
        # Models are small: to choke for a quarter of a minute would be longer than most transfers.
        "unchoke_interval": 5,
        "optimistic_unchoke_interval": 10,
        "unchoke_slots_limit": 16,
    }
    if settings.dht_nodes:
        pack["dht_bootstrap_nodes"] = joined(settings.dht_nodes)
    return pack


def joined(endpoints: Sequence[Endpoint]) -> str:
    """Endpoints as libtorrent's settings have them: "127.0.0.1:0,[::1]:6881"."""
    return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in endpoints)
