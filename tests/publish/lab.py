"""Lab: a channel in memory with all of its keys, written by edgekit.publish and read by edgekit.channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgekit.channel.client import Followed, follow
from edgekit.publish.change import Change, sign_change
from edgekit.publish.enforcing import put_in_force
from edgekit.publish.founding import ChannelPlan, Signers, plan_channel
from edgekit.publish.publishing import Published, PublishSettings, publish
from edgekit.publish.records import Records, read_records
from edgekit.seal.keys import MemoryKey, PublicKey, generate
from tests.bundle.building import Built, build
from tests.channel.memory import MemoryTransport

MODEL = "vision/lite0"
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def key() -> MemoryKey:
    return generate("ed25519")


@dataclass
class Lab:
    """A channel.

    Attributes:
        folder: For bundles.
        now: The time, which tests set.
        place: The channel.
        root, targets, vision, online: Private keys of the roles.
        publisher: Signs models.
        bundles: Version -> bundle, made once.
    """

    folder: Path
    now: datetime = NOW
    place: MemoryTransport = field(default_factory=lambda: MemoryTransport({}))
    root: list[MemoryKey] = field(default_factory=lambda: [key() for _ in range(3)])
    targets: list[MemoryKey] = field(default_factory=lambda: [key()])
    vision: list[MemoryKey] = field(default_factory=lambda: [key() for _ in range(2)])
    online: list[MemoryKey] = field(default_factory=lambda: [key()])
    publisher: MemoryKey = field(default_factory=lambda: generate("p256"))
    bundles: dict[int, Built] = field(default_factory=dict)

    def plan(self, periods: Mapping[str, timedelta] | None = None) -> ChannelPlan:
        """Root 2 of 3, targets 1 of 1, vision 2 of 2."""
        return ChannelPlan(
            Signers(publics(self.root), 2),
            Signers(publics(self.targets)),
            Signers(publics(self.online)),
            {"vision": Signers(publics(self.vision), 2)},
            periods or {},
        )

    def found(self, periods: Mapping[str, timedelta] | None = None) -> tuple[str, ...]:
        """Write the channel."""
        change = plan_channel(self.plan(periods), self.now)
        sign_change(change, [*self.root[:2], *self.targets, *self.vision])
        return put_in_force(self.place, None, change, self.online, self.now)

    def records(self) -> Records:
        return read_records(self.place)

    def bundle(self, version: int = 1, *, name: str = MODEL, signer: MemoryKey | None = None) -> Path:
        """A bundle of that version; each has one file in common with the others."""
        if version not in self.bundles or signer or name != MODEL:
            folder = self.folder / f"{len(list(self.folder.iterdir())) if self.folder.exists() else 0}-{version}"
            folder.mkdir(parents=True)
            built = build(
                folder, signer or self.publisher, name=name, version=version, semver=f"{version}.0.0", variants=1
            )
            if signer or name != MODEL:
                return built.path
            self.bundles[version] = built
        return self.bundles[version].path

    def settings(
        self,
        *,
        keys: list[MemoryKey] | None = None,
        signers: tuple[PublicKey, ...] | None = None,
        oldest: int | None = None,
    ) -> PublishSettings:
        named = (self.publisher.public,) if signers is None else signers
        return PublishSettings(tuple(self.vision if keys is None else keys), tuple(self.online), named, oldest)

    def publish(self, version: int = 1, *, oldest: int | None = None) -> Published:
        """Publish a version with every key."""
        return publish(self.bundle(version), self.place, self.settings(oldest=oldest), now=self.now)

    def enforce(self, change: Change, *keys: MemoryKey) -> tuple[str, ...]:
        """Sign with those keys and put in force."""
        if keys:
            sign_change(change, keys)
        records = read_records(self.place, resuming=change.files.get("root"))
        return put_in_force(self.place, records, change, self.online, self.now)

    def follow(self, folder: str = "reader", model: str = MODEL) -> Followed:
        """As a reader that remembers."""
        return follow(
            model,
            [self.place],
            self.folder.parent / folder,
            root=self.place.files["metadata/1.root.json"],
            clock=lambda: self.now,
        )


def publics(keys: list[MemoryKey]) -> tuple[PublicKey, ...]:
    return tuple(each.public for each in keys)
