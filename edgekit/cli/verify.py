"""`edgekit verify BUNDLE --trust KEY|ROOT`: what the bundle is, and which key says so, without trusting who sent it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.log_values import FILE, policy_option
from edgekit.cli.plain_progress import PlainProgress
from edgekit.cli.terminal import Terminal, output_options
from edgekit.errors import InputError, RecipeError
from edgekit.types.progress import Progress, Silent
from edgekit.units import size

if TYPE_CHECKING:
    from edgekit.bundle.opening import OpenBundle
    from edgekit.bundle.verify import Checked, Verdict
    from edgekit.channel.client import Followed
    from edgekit.seal.keys import PublicKey

LARGEST_ROOT_BYTES = 512_000
OCI = "oci://"

EXAMPLES = """\b
Examples:
  edgekit verify net.edgekit --trust publisher.pub
  edgekit verify net.tar --trust publisher.pub --trust publisher-2.pub
  edgekit verify net.edgekit --trust channel/metadata/1.root.json      (also: is it the current release?)
  edgekit verify net.edgekit --trust 1.root.json --channel https://models.example.org/channel
  edgekit verify oci://registry.example.org/lab/net:1.0.0 --trust publisher.pub
  edgekit verify net.edgekit --trust publisher.pub --variant arm64 --extract files --json
  edgekit verify net.edgekit --all --trust channel/metadata/1.root.json --policy policy.txt
"""


@dataclass(frozen=True)
class Trust:
    """Whom the user believes: publishers' keys, or a channel by its root metadata.

    Attributes:
        keys: Of publishers.
        root: TUF root metadata; None where keys are given.
        channel: Folder or URL of the channel; "" where keys are given.
    """

    keys: Sequence[PublicKey]
    root: bytes | None
    channel: str


@click.command(epilog=EXAMPLES, short_help="Verify a bundle: every byte, and who signed it.")
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    required=True,
    metavar="KEY|ROOT",
    help="Public key (PEM) of a publisher, as often as there are; or a channel's root metadata.",
)
@click.option(
    "--channel",
    metavar="DIR|URL",
    help="Where the channel of ROOT is.  [default: the folder that ROOT's metadata/ lies in]",
)
@click.option(
    "--extract", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Then put the variants' files there."
)
@click.option("--variant", metavar="NAME", help="Extract this one only, into DIR itself.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Confirm it in six systems: model signature, OCI, BitTorrent, IPFS, TUF, transparency log.",
)
@policy_option
@click.option(
    "--proof",
    "proof_file",
    type=FILE,
    metavar="FILE",
    help="Proof that a log shows the release.  [default: the channel's, of its proofs/]",
)
@output_options
@click.pass_obj
def verify(
    terminal: Terminal,
    /,
    *,
    bundle: str,
    trusted: tuple[str, ...],
    channel: str | None,
    folder: Path | None,
    variant: str | None,
    everything: bool,
    **log: Path | None,
) -> None:
    """Verify a bundle: that every byte of it is what a trusted key signed, and nothing else is in it.

    BUNDLE is a folder or a .tar that `edgekit pack` wrote, or oci://HOST/REPOSITORY:TAG. With the root metadata of a
    channel as trust, the channel says whose signature counts, and the bundle has to be the release that is current
    there. Nothing is executed, and nothing is written before all of it is verified.

    With --all, every address that the bundle has in any system is computed anew, and a log has to show the release to
    everybody: needs a channel's root metadata as --trust, and --policy, which says which log and which witnesses count.
    """
    if variant and not folder:
        raise RecipeError("--variant says what to extract", hint="add --extract DIR")
    if not everything and any(log.values()):
        raise RecipeError("--policy and --proof are for --all", hint="add --all")
    if everything and folder:
        raise RecipeError("--all extracts nothing", hint="verify once more, with --extract and without --all")
    trust = _trust(trusted, channel)
    progress: Progress = Silent() if terminal.quiet else PlainProgress(sys.stderr)
    with _local(bundle, progress) as path:
        if everything:
            from edgekit.cli.verify_all import verify_all

            verify_all(terminal, path, trust, progress=progress, **log)
            return
        from edgekit.bundle.opening import open_bundle
        from edgekit.bundle.verify import verify_open

        with open_bundle(path) as opened:
            followed = _follow(opened, trust) if trust.root else None
            keys = followed.notice.keys if followed else trust.keys
            verdict = verify_open(opened, keys, progress=progress)
        extracted = _extract(path, verdict, folder, variant) if folder else []
    if terminal.json:
        terminal.result(_document(verdict, followed, extracted))
    elif not terminal.quiet:
        _tell(verdict, followed, extracted)


def _trust(places: Sequence[str], channel: str | None) -> Trust:
    """What --trust and --channel name.

    Raises:
        RecipeError: They do not go together.
        KeyFileError: A key cannot be read.
    """
    from edgekit.seal.opening import open_public

    roots = [place for place in places if _is_json(place)]
    if not roots:
        if channel:
            raise RecipeError("--channel needs the channel's root metadata as --trust", hint="its metadata/1.root.json")
        return Trust([open_public(place) for place in places], None, "")
    if len(places) > 1:
        raise RecipeError("a channel's root metadata is the only --trust there can be", hint="it names the signers")
    path = Path(roots[0])
    if not channel and path.absolute().parent.name != "metadata":
        raise RecipeError(f"{path} lies in no channel's metadata/", hint="say where the channel is: --channel DIR|URL")
    with path.open("rb") as stream:
        root = stream.read(LARGEST_ROOT_BYTES + 1)
    if len(root) > LARGEST_ROOT_BYTES:
        raise InputError(f"{path} is larger than {size(LARGEST_ROOT_BYTES)}, which no root metadata is")
    return Trust([], root, channel or str(path.absolute().parent.parent))


def _is_json(place: str) -> bool:
    """Whether a file begins as root metadata does; a key in PEM does not."""
    try:
        with Path(place).open("rb") as stream:
            return stream.read(64).lstrip().startswith(b"{")
    except OSError:
        return False  # no file at all, or a did:key: told by whoever reads it as a key


@contextmanager
def _local(bundle: str, progress: Progress) -> Iterator[Path]:
    """The bundle on this machine; one in a registry is pulled into a folder that is gone afterwards."""
    if not bundle.startswith(OCI):
        yield Path(bundle)
        return
    from edgekit.transport.oci_pull import pull_layout

    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        pull_layout(bundle, Path(folder) / "pulled", progress=progress)
        yield Path(folder) / "pulled"


def _follow(bundle: OpenBundle, trust: Trust) -> Followed:
    """What the channel says of the model that this bundle claims to be, which has to be current there.

    Raises:
        TrustError: It is not, or nothing that the channel says can be trusted.
    """
    from edgekit.bundle.release import read_release
    from edgekit.confirm.current import check_current, follow_model
    from edgekit.transport.opening import opened

    assert trust.root
    release = read_release(bundle.blobs, bundle.index_bytes)
    with opened([trust.channel]) as mirrors:
        followed = follow_model(release, mirrors, root=trust.root)
    check_current(release, followed)
    return followed


def _extract(path: Path, verdict: Verdict, folder: Path, variant: str | None) -> list[str]:
    from edgekit.bundle.extraction import extract

    return [str(place) for place in extract(path, verdict, folder, variant=variant)]


def _tell(verdict: Verdict, followed: Followed | None, extracted: Sequence[str]) -> None:
    """For people, on stdout."""
    manifest = verdict.release.manifest
    click.echo(f"{verdict.name} {manifest.semver} (version {verdict.version}), {manifest.license}")
    click.echo(f"bundle   {verdict.bundle_digest}")
    click.echo(f"release  {verdict.release_digest}")
    if followed:
        click.echo(f"current in the channel; its metadata holds until {followed.expires:%Y-%m-%d %H:%M} UTC")
    for failed in manifest.forced:
        click.echo(f"packed although a check had failed: {failed}")
    for key in dict.fromkeys(key for check in verdict.checks for key in check.keys):
        click.echo(f"\nby {key.kind} key {key.fingerprint}")
        for check in verdict.checks:
            if key in check.keys:
                click.echo(f"  {_line(check, verdict)}")
    if not verdict.release.provenance:
        click.echo("\nthere is no provenance: nobody says how it was made")
    click.echo(f"\nverified: {len(manifest.files)} files, {size(verdict.size_bytes)}, every byte")
    for place in extracted:
        click.echo(f"extracted to {place}")


def _line(check: Checked, verdict: Verdict) -> str:
    if check.what == "file":
        return f"file        {check.digest}  {size(check.size_bytes):>8}  {check.name}"
    if check.what == "provenance":
        return f"provenance  {check.digest}  of the bundle and its model files"
    requires = verdict.release.manifest.variant(check.name).requires
    runtime = f"{requires.runtime.name} {requires.runtime.minimum} or later"
    about = f"{requires.os}/{requires.arch}, {runtime}"
    return f"variant     {check.digest}  {size(check.size_bytes):>8}  {check.name} ({about})"


def _document(verdict: Verdict, followed: Followed | None, extracted: Sequence[str]) -> dict[str, Any]:
    """For programs: what `docs/formats.md` lists under "What verify prints"."""
    manifest = verdict.release.manifest
    keys = dict.fromkeys(key for check in verdict.checks for key in check.keys)
    return {
        "name": verdict.name,
        "version": verdict.version,
        "semver": manifest.semver,
        "license": manifest.license,
        "forced": list(manifest.forced),
        "bundle_digest": verdict.bundle_digest,
        "release_digest": verdict.release_digest,
        "size_bytes": verdict.size_bytes,
        "keys": [{"kind": key.kind, "fingerprint": key.fingerprint} for key in keys],
        "checks": [
            {
                "what": check.what,
                "name": check.name,
                "digest": check.digest,
                "size_bytes": check.size_bytes,
                "keys": [key.fingerprint for key in check.keys],
            }
            for check in verdict.checks
        ],
        "channel": None
        if followed is None
        else {
            "current": True,
            "oldest": followed.notice.oldest,
            "expires": followed.expires.isoformat(),
            "versions": dict(followed.versions),
        },
        "extracted": list(extracted),
    }
