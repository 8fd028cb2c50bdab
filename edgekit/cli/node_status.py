"""How `edgekit node status` tells a node to a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgekit.types.receipt import Deployed, Receipt
from edgekit.units import counted, size

if TYPE_CHECKING:
    from edgekit.node.status import ChannelStatus, LogStatus, SlotStatus, Status


def tell(status: Status) -> Iterator[str]:
    """The lines, without their ends."""
    machine = status.machine
    yield status.did
    yield _row("machine", f"{machine.os}/{machine.arch}, {machine.cpu or 'unknown processor'}")
    yield _row("", f"{', '.join(machine.isa) or 'no extensions that matter'}")
    yield _row("", f"{size(machine.ram_bytes)} of memory, {size(machine.disk_bytes)} of disk free")
    yield _row("runtimes", ", ".join(f"{name} {version}" for name, version in machine.runtimes.items()) or "none")
    yield from _channel(status.model, status.channel)
    if status.download_bytes_per_s:
        yield _row("receives", f"{size(status.download_bytes_per_s)}/s at most")
    if status.log:
        yield from _log(status.log)
    yield _row("runs", _title(status.running) if status.running else "nothing")
    for slot in status.slots:
        yield _row(f"slot {slot.name}", _slot(slot))
    for entry in status.quarantine:
        for variant, reason in entry.variants.items():
            yield _row("quarantine", f"version {entry.version}, {variant}, since {entry.since}: {reason}")
    yield _row("receipts", str(status.receipts))
    if status.last_receipt:
        yield _row("last", _receipt(status.last_receipt))
    for fault in status.faults:
        yield _row("damaged", fault)


def _channel(model: str, channel: ChannelStatus) -> Iterator[str]:
    yield _row("model", model)
    for number, url in enumerate(channel.urls):
        yield _row("" if number else "channel", url)
    if not channel.checked:
        yield _row("", "not read yet")
        return
    versions = ", ".join(f"{role} {version}" for role, version in channel.versions.items())
    yield _row("metadata", f"{versions}; read {channel.checked}")
    yield _row("expires", f"{channel.expires}{': it has expired' if channel.is_expired else ''}")
    if channel.offer:
        offer = channel.offer
        yield _row("offers", f"{offer.semver} (version {offer.version}); {channel.oldest} is the oldest that may run")


def _log(log: LogStatus) -> Iterator[str]:
    seen = [f"{origin}, {counted(size, 'entry', 'entries')} seen" for origin, size in log.heads.items()]
    for number, head in enumerate(seen or ["not read yet"]):
        yield _row("" if number else "log", head)
    proven = "what runs is shown by it" if log.is_proven else "nothing that runs was shown by it"
    yield _row("", f"{proven}; quorum of witnesses: {log.quorum or 'unknown'}")
    for path in log.evidence:
        yield _row("", f"it signed two histories: {path}")
    if log.fault:
        yield _row("", log.fault)


def _slot(slot: SlotStatus) -> str:
    if slot.deployed is None:
        return slot.fault or "empty"
    mark = ", current" if slot.is_current else ""
    return f"{_title(slot.deployed)}{mark}{f': {slot.fault}' if slot.fault else ''}"


def _receipt(receipt: Receipt) -> str:
    about = f" {_title(receipt.deployed)}" if receipt.deployed else ""
    reason = f": {receipt.reason}" if receipt.reason else ""
    return f"{receipt.counter}, {receipt.time}, {receipt.event.value}{about}{reason}"


def _title(deployed: Deployed) -> str:
    return f"{deployed.semver} (version {deployed.version}, {deployed.variant})"


def _row(name: str, text: str) -> str:
    return f"{name:<10}  {text}"
