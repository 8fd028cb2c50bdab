"""`edgekit publish BUNDLE --to CHANNEL`: make a bundle the current release of its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.channel_signing import keep_request, next_steps, outcome
from edgekit.cli.channel_values import channel_option, open_keys, opened_place, signing_options, trusted_root
from edgekit.cli.log_values import log_options, log_settings
from edgekit.cli.passphrase import passphrase_option
from edgekit.cli.terminal import Terminal, output_options
from edgekit.errors import RecipeError
from edgekit.types.plain import to_plain
from edgekit.units import size

if TYPE_CHECKING:
    from edgekit.publish.publishing import Published

EXAMPLES = """\b
Examples:
  edgekit publish lite0.edgekit --to channel/ --key vision.key --online-key online.key --signer publisher.pub
  edgekit publish lite0.edgekit --to channel/ --key vision.key --online-key online.key
  edgekit publish lite0.edgekit --to https://models.example.org/channel --trust 1.root.json --key vision.key \\
      --online-key online.key
  edgekit publish lite0.edgekit --to channel/ --key vision.key --online-key online.key --delta-from lite0-1.edgekit
  edgekit publish lite0.edgekit --to channel/ --key vision.key --online-key online.key --log channel/log \\
      --log-key log.key
  edgekit publish lite0.edgekit --to channel/ --key vision-1.key              (the others sign the request)
  edgekit publish lite0.edgekit --to oci://localhost:5000/models/lite0        (a registry, without a channel)
"""
MOST_RELEASES = 32


@click.command(epilog=EXAMPLES, short_help="Publish a bundle in a channel or a registry.")
@click.argument("bundle", type=click.Path(path_type=Path), metavar="BUNDLE")
@channel_option
@signing_options
@click.option(
    "--signer", "signers", multiple=True, metavar="PUBLIC",
    help="Public key of whoever may sign this model, P-256.  [default: as before]  Repeatable.",
)  # fmt: skip
@click.option(
    "--oldest", type=click.IntRange(1), metavar="N", help="Lowest version that may run.  [default: as before]"
)
@click.option(
    "--delta-releases", type=click.IntRange(0, MOST_RELEASES), default=3, show_default=True, metavar="N",
    help="From how many of the channel's last releases nodes get deltas; more for nodes that were off for longer.",
)  # fmt: skip
@click.option(
    "--delta-from", "delta_from", multiple=True, type=click.Path(path_type=Path), metavar="BUNDLE",
    help="Another release that nodes may have: they get deltas from it too.  Repeatable.",
)  # fmt: skip
@log_options
@click.option("--no-deltas", is_flag=True, help="Make no deltas: nodes fetch whole files.")
@passphrase_option()
@output_options
@click.pass_obj
def publish(
    terminal: Terminal,
    /,
    *,
    bundle: Path,
    place: str,
    keys: tuple[str, ...],
    online_keys: tuple[str, ...],
    request_file: Path | None,
    signers: tuple[str, ...],
    oldest: int | None,
    delta_releases: int,
    delta_from: tuple[Path, ...],
    no_deltas: bool,
    log_folder: Path | None,
    log_key: str | None,
    policy_file: Path | None,
    witnesses: tuple[str, ...],
    trust: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Verify a bundle, and make it the current release of its model in a channel.

    The first publication of a model names who signs it (--signer); later ones are held against that. Bytes go out
    first and metadata last, so that readers see the old release or the new one at every moment. Where the family needs
    more signatures than there are keys here, the metadata becomes a signing request.

    With --log the release is logged before it becomes current, and the proof goes into the channel too.

    Files that changed since one of the channel's last releases are also offered as deltas, made by every codec that is
    installed (pip install 'edgekit-ml[delta]' brings two more); the smallest is kept where it saves a tenth of the file
    or more.

    Without --key, an oci:// destination is taken for a plain registry: the bundle is pushed there under its version,
    with its signatures as referrers.
    """
    if no_deltas and delta_from:
        raise RecipeError("say either --delta-from BUNDLE or --no-deltas")
    if place.startswith("oci://") and not (keys or online_keys):
        if log_folder or log_key or policy_file or witnesses:
            raise RecipeError(
                "a release is logged where it is published in a channel, and a plain registry is none",
                hint="give the channel's keys (--key), or log the bundle by itself: edgekit log append DIR BUNDLE",
            )
        _push(terminal, bundle, place)
        return
    from edgekit.channel.client import utc_now
    from edgekit.publish.publishing import PublishSettings
    from edgekit.publish.publishing import publish as put
    from edgekit.seal.opening import open_public

    named = tuple(open_public(signer) for signer in signers)
    signing, online = open_keys(keys, passphrase_file), open_keys(online_keys, passphrase_file)
    log = log_settings(log_folder, log_key, policy_file, witnesses, passphrase_file)
    with terminal.work() as progress, opened_place(place) as transport:
        root = trusted_root(transport, trust)
        settings = PublishSettings(
            signing, online, named, oldest, root,
            deltas=not no_deltas, delta_releases=delta_releases, delta_from=delta_from, log=log,
        )  # fmt: skip
        done = put(bundle, transport, settings, now=utc_now(), progress=progress)
    request = None
    if done.change and not done.written:
        request = keep_request(done.change, request_file)
    if terminal.json:
        terminal.result(_document(done, request))
    elif not terminal.quiet:
        _show(done, request, place)


def _push(terminal: Terminal, bundle: Path, place: str) -> None:
    from edgekit.publish.registry import push_bundle

    with terminal.work() as progress:
        pushed = push_bundle(bundle, place, progress=progress)
    if terminal.json:
        terminal.result({"reference": pushed.reference, "digest": pushed.digest})
    elif not terminal.quiet:
        click.echo(f"pushed {pushed.reference}\n  {pushed.digest}")


def _document(done: Published, request: Path | None) -> dict[str, object]:
    verdict, notice = done.verdict, done.notice
    return {
        "name": verdict.name,
        "version": notice.version,
        "semver": notice.semver,
        "oldest": notice.oldest,
        "bundle_digest": verdict.bundle_digest,
        "release_digest": verdict.release_digest,
        "signers": [str(key) for key in notice.keys],
        "uploaded": {
            "blobs": done.uploaded.blobs,
            "size_bytes": done.uploaded.size_bytes,
            "present": done.uploaded.present,
        },
        "deltas": [
            {
                "path": each.path,
                "from_version": each.version,
                "codec": each.delta.codec,
                "size_bytes": each.delta.size_bytes,
                "full_bytes": each.full_bytes,
                "tried": each.tried,
            }
            for each in done.deltas.made
        ],
        "deltas_kept": len(done.deltas.kept),
        "notes": list(done.deltas.notes),
        "log": to_plain(done.logged),
        "current": done.is_current,
        **(outcome(done.change, done.written, done.told, request) if done.change else {"in_force": True}),
    }


def _show(done: Published, request: Path | None, place: str) -> None:
    verdict, notice, uploaded = done.verdict, done.notice, done.uploaded
    click.echo(f"{verdict.name} version {notice.version} ({notice.semver})  {verdict.release_digest}")
    click.echo(f"  model signature by {' or '.join(str(key) for key in notice.keys)}: verified")
    click.echo(f"  {uploaded.blobs} blobs written ({size(uploaded.size_bytes)}), {uploaded.present} were there")
    for each in done.deltas.made:
        tried = ", ".join(f"{name} {size(found)}" for name, found in sorted(each.tried.items()))
        click.echo(
            f"  {each.path} from version {each.version}: {size(each.delta.size_bytes)} "
            f"instead of {size(each.full_bytes)}  ({tried})"
        )
    logged = [str(done.logged)] if done.logged else []
    for line in (*done.deltas.notes, *logged, *done.told):
        click.echo(f"  {line}")
    if done.change is None:
        click.echo(f"nothing to do: it is current in {place} already")
    elif done.written:
        click.echo(f"current in {place}")
    else:
        for line in next_steps(done.change, request):
            click.echo(line)
