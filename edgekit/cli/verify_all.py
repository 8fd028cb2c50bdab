"""`edgekit verify --all`: what six systems call a bundle; every address computed anew, every proof checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.log_values import read_policy_file, read_small
from edgekit.cli.terminal import Terminal, visible
from edgekit.errors import RecipeError, TrustError
from edgekit.types.plain import to_plain
from edgekit.types.progress import Progress
from edgekit.units import size

SHORT = 40
"""Characters of what stands on the same line."""

if TYPE_CHECKING:
    from edgekit.cli.verify import Trust
    from edgekit.confirm.confirmation import Confirmation, Row


def verify_all(
    terminal: Terminal,
    path: Path,
    trust: Trust,
    *,
    progress: Progress,
    policy_file: Path | None,
    proof_file: Path | None,
) -> None:
    """Confirm a bundle in every system, and print the table.

    Args:
        terminal: Where to.
        path: The bundle, on this machine.
        trust: Has the channel's root metadata.
        progress: Who watches.
        policy_file: Which logs and witnesses count.
        proof_file: The `.tlog-proof`; None takes that of the channel.

    Raises:
        RecipeError: --trust names no root metadata, or --policy is missing.
        TrustError: Something could not be confirmed; the table was printed.
    """
    if trust.root is None:
        raise RecipeError(
            "--all needs a channel: whose signature counts, and which release is current, its metadata says",
            hint="give the channel's root metadata as --trust ROOT, its metadata/1.root.json",
        )
    policy = read_policy_file(policy_file)
    if policy is None:
        raise RecipeError(
            "--all needs --policy: which log has to show the release, and which witnesses have to have seen it",
            hint="edgekit log init prints one; docs/log.md tells how it is written",
        )
    from edgekit.bundle.opening import open_bundle
    from edgekit.confirm.confirming import confirm_bundle
    from edgekit.transparency.proof import LARGEST_PROOF_BYTES
    from edgekit.transport.opening import opened

    proof = read_small(proof_file, LARGEST_PROOF_BYTES + 1) if proof_file else None
    with open_bundle(path) as bundle, opened([trust.channel]) as mirrors:
        found = confirm_bundle(bundle, root=trust.root, mirrors=mirrors, policy=policy, proof=proof, progress=progress)
    if terminal.json:
        terminal.result(_document(found))
    elif not terminal.quiet:
        _tell(found)
    _raise_failed(found.failed)


def _raise_failed(failed: tuple[Row, ...]) -> None:
    if failed:
        first = failed[0]
        many = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise TrustError(
            f"not everything is confirmed: {_system(first)}, {first.what}: {first.how}{many}",
            hint="fetch anew what has other bytes; ask its publisher where a signature or a proof is missing",
        )


def _tell(found: Confirmation) -> None:
    """For people, on stdout."""
    from edgekit.confirm.confirmation import SYSTEMS

    click.echo(f"{found.name} {found.semver} (version {found.version})")
    for system, name in SYSTEMS.items():
        click.echo(f"\n{name}")
        for row in found.rows:
            if row.system == system:
                _show(row)
    systems = len({row.system for row in found.rows} - {row.system for row in found.failed})
    confirmed = len(found.rows) - len(found.failed)
    click.echo(
        f"\n{systems} of {len(SYSTEMS)} systems, {confirmed} of {len(found.rows)} addresses verified; "
        f"{size(found.size_bytes)} hashed"
    )


def _show(row: Row) -> None:
    line = f"  {'verified' if row.verified else 'FAILED  '}  {row.address or 'no address'}  {row.what}"
    how = visible(row.how)  # of what failed it may quote a stranger
    click.echo(f"{line}: {how}" if len(how) < SHORT else f"{line}\n            {how}")


def _system(row: Row) -> str:
    from edgekit.confirm.confirmation import SYSTEMS

    return SYSTEMS[row.system]


def _document(found: Confirmation) -> dict[str, object]:
    """For programs: what docs/formats.md lists under "What verify --all prints"."""
    return {
        "name": found.name,
        "version": found.version,
        "semver": found.semver,
        "size_bytes": found.size_bytes,
        "verified": not found.failed,
        "rows": [to_plain(row) for row in found.rows],
    }
