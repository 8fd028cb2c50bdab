"""What a `torrent:` URL may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.transport.swarm_settings import ANY_PORT, joined, settings_for
from edgekit.transport.torrent_url import endpoint, listen_address, parse_torrent_url


def test_everything_at_once() -> None:
    url = (
        "torrent:https://m.example.org/channel?tracker=https://t.example.org/announce%3Fkey%3D1&tracker=udp://t.example.org:6969"
        "&peer=192.0.2.7:6881&peer=[2001:db8::1]:6881&peer=node-7.example.org:51413&dht=on&dht=192.0.2.9:6881&lsd=on"
        "&listen=127.0.0.1:0&listen=[::1]:6881"
    )
    place = parse_torrent_url(url)
    assert place.url == url
    assert place.channel == "https://m.example.org/channel"
    assert place.trackers == ("https://t.example.org/announce?key=1", "udp://t.example.org:6969")
    assert place.peers == (("192.0.2.7", 6881), ("2001:db8::1", 6881), ("node-7.example.org", 51413))
    assert place.dht
    assert place.dht_nodes == (("192.0.2.9", 6881),)
    assert place.lsd
    assert place.has_webseed
    assert place.finds_peers
    assert joined(place.listen) == "127.0.0.1:0,[::1]:6881"


@pytest.mark.parametrize(("url", "channel", "webseed"), [
    ("torrent:https://m.example.org/c", "https://m.example.org/c", True),
    ("torrent:/srv/channel", "/srv/channel", False),
    ("torrent:file:channel", "file:channel", False),
    ("torrent:oci://host/name", "oci://host/name", False),
    ("torrent:?peer=192.0.2.7:6881", None, False),
])  # fmt: skip
def test_channels(url: str, channel: str | None, webseed: bool) -> None:
    place = parse_torrent_url(url)
    assert (place.channel, place.has_webseed) == (channel, webseed)
    assert settings_for(place).listen == ANY_PORT
    assert not settings_for(place).dht


@pytest.mark.parametrize("url", [
    "torrent:", "torrent:?", "torrent:?listen=127.0.0.1:0", "magnet:?xt=urn:btih:00", "torrent:https://m/c?peer",
    "torrent:?seed=1&peer=192.0.2.7:6881", "torrent:?peer=192.0.2.7", "torrent:?peer=192.0.2.7:80",
    "torrent:?peer=192.0.2.7:65536", "torrent:?peer=a b:6881", "torrent:?peer=[::1:6881", "torrent:?dht=off",
    "torrent:?dht=yes", "torrent:?lsd=1", "torrent:?tracker=ftp://t.example.org/announce",
    "torrent:?tracker=https://user:secret@t.example.org/announce", "torrent:?tracker=https://t.example.org/a%20b",
    "torrent:?tracker=udp://t.example.org", "torrent:?tracker=https://t.example.org/a%23b",
    "torrent:https://user:secret@m.example.org/c", "torrent:torrent:?dht=on", "torrent:ipfs:https://g.example.org",
    "torrent:?listen=localhost:0&dht=on", "torrent:?listen=127.0.0.1&dht=on", "torrent:?dht=on\n",
    "torrent:https://[::1", "torrent:https://m\u2100/c",
    "torrent:?" + "&".join(["peer=192.0.2.7:6881"] * 65), "torrent:?peer=" + "a" * 9000 + ":6881",
])  # fmt: skip
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_torrent_url(url)
    assert "secret" not in str(caught.value) + caught.value.hint


@given(st.text(max_size=60))
def test_no_text_is_anything_but_read_or_refused(text: str) -> None:
    try:
        place = parse_torrent_url(f"torrent:{text}")
    except InputError:
        return
    assert place.channel or place.finds_peers


@given(st.ip_addresses(), st.integers(0, 65535))
def test_addresses_are_read_as_they_are_written(address: object, port: int) -> None:
    text = joined([(str(address), port)])
    assert listen_address(text) == endpoint(text)
    assert joined([listen_address(text)]) == text
