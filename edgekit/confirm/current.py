"""Whether a bundle is the release that a channel names right now."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgekit.bundle.release import Release
from edgekit.channel.client import Followed, follow
from edgekit.errors import DigestError, MalformedError, RollbackError
from edgekit.transport.transport import Transport


def follow_model(release: Release, mirrors: Sequence[Transport], *, root: bytes) -> Followed:
    """What a channel says of the model that a bundle claims to be; nothing is remembered of it.

    Args:
        release: The bundle's documents.
        mirrors: Copies of the channel.
        root: Its root metadata, which the caller trusts.

    Raises:
        TrustError: No mirror can be trusted, or the channel has no such model.
        TransportError: None can be read.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        return follow(release.manifest.name, mirrors, Path(folder), root=root)


def check_current(release: Release, followed: Followed) -> None:
    """That a bundle is the release that the channel names.

    Raises:
        RollbackError: It is older.
        DigestError: It is another.
        MalformedError: It says another version of itself than the channel does.
    """
    manifest, current = release.manifest, followed.notice
    if release.index_digest == followed.release_digest:
        if (manifest.version, manifest.semver) != (current.version, current.semver):
            raise MalformedError(
                f"the channel names this bundle as version {current.version} ({current.semver}) of {manifest.name}; "
                f"by itself it is version {manifest.version} ({manifest.semver})",
                hint="its publisher has to publish it anew",
            )
        return
    if manifest.version < current.version:
        raise RollbackError(
            f"{manifest.name} {manifest.semver} (version {manifest.version}) is not current: "
            f"the channel has {current.semver} (version {current.version})",
            hint="to verify an old release, trust its publisher's key: --trust KEY",
        )
    raise DigestError(
        f"the channel names another release of {manifest.name} (version {current.version}) than this bundle, "
        f"which says version {manifest.version}: sha256:{followed.release_digest}, not sha256:{release.index_digest}",
        hint="it is not published there; to verify it by itself: --trust KEY",
    )
