"""Lanes: devices side by side, but those that share this machine's processor one after another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from edgekit.devices.uri import DeviceUri, parse_uri
from edgekit.errors import InputError

T = TypeVar("T")

HERE = ("local", "qemu-user", "qemu-system")
"""Kinds of devices that compute on this machine, and so would disturb one another."""
LOOPBACK = ("127.", "localhost", "[::1]", "emulator-")
"""How an address on this machine begins; an Android emulator's is its serial."""


def named_devices(texts: Sequence[str]) -> list[DeviceUri]:
    """The devices that a user named.

    Raises:
        InputError: None, one of them twice, or something that is no URI.
    """
    uris = [parse_uri(text) for text in texts]
    if not uris:
        raise InputError("no device is named", hint="for example: --on local:")
    seen: set[str] = set()
    for uri in uris:
        if uri.display in seen:
            raise InputError(f"the device {uri.display} is named twice")
        seen.add(uri.display)
    return uris


def in_lanes(uris: Sequence[DeviceUri], work: Callable[[DeviceUri], T], stop: threading.Event) -> list[T]:
    """Work on each device: those on this machine one after another, each of the others beside them.

    Args:
        uris: The devices.
        work: What is done with each; called in threads.
        stop: Set when the user interrupts, or work on a device raises, so that the work on the others ends.

    Returns:
        What `work` returned, in the order of the devices.
    """
    here = [uri for uri in uris if computes_here(uri)]
    lanes = ([here] if here else []) + [[uri] for uri in uris if uri not in here]
    found: dict[str, T] = {}

    def drive(lane: Sequence[DeviceUri]) -> None:
        for uri in lane:
            found[uri.display] = work(uri)

    with ThreadPoolExecutor(len(lanes), thread_name_prefix="edgekit-device") as pool:
        futures = [pool.submit(drive, lane) for lane in lanes]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        except BaseException:
            stop.set()
            raise
    return [found[uri.display] for uri in uris]


def computes_here(uri: DeviceUri) -> bool:
    """Whether a device runs on this machine's processor."""
    if uri.kind in HERE:
        return True
    host = uri.address.removeprefix("//").rpartition("@")[2]
    return host.startswith(LOOPBACK)
