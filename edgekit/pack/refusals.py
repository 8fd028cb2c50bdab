"""What keeps a result from being packed: checks that failed, in sentences that the manifest can record."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgekit import digest
from edgekit.errors import CheckError, InputError
from edgekit.pack.compressed import Compressed
from edgekit.types.finding import Severity

LONGEST = 300
MOST_RECORDED = 64
_PLACE = re.compile(r"(?<![\w./])(?:[A-Za-z]:|\.{1,2})?[/\\](?:[^\s/\\:'\"]+[/\\])*(?=[^\s/\\:'\"])")


def failed_checks(compressed: Compressed) -> tuple[str, ...]:
    """Every check of the report that failed, one sentence each; empty when all passed.

    A file that does not run, a limit of the budget that is missed, a finding that is an error, a file that is missing
    or is not the one that was checked.

    Raises:
        InputError: A file cannot be read.
    """
    told = compressed.told
    failed = [f"{entry.artifact.path} does not run: {entry.error}" for entry in told.check.artifacts if entry.error]
    failed += [f"the budget is missed: {judgement}" for judgement in told.judgements if not judgement.met]
    failed += [
        f"{finding.code}: {finding.message}" for finding in told.all_findings if finding.severity is Severity.ERROR
    ]
    failed += [text for entry in told.check.artifacts if (text := _changed(compressed, entry.artifact.format))]
    return tuple(as_record(text) for text in failed)


def refuse_failed(failed: Sequence[str], *, force: bool) -> None:
    """Do nothing where no check failed, or where that does not matter.

    Raises:
        CheckError: Naming each of them.
    """
    if failed and not force:
        lines = "".join(f"\n  {text}" for text in failed)
        raise CheckError(
            f"{len(failed)} check(s) failed, so nothing was packed:{lines}",
            hint="compress again, or pack it as it is with --force: the manifest then says what had failed",
        )


def as_record(text: str) -> str:
    """A sentence as the manifest holds it: one printable line that does not say where anything lies on this machine.

    >>> as_record("cannot read /home/me/net/model.onnx: it is a folder")
    'cannot read model.onnx: it is a folder'
    """
    line = "".join(letter if letter.isprintable() else " " for letter in without_folders(text)).strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def without_folders(text: str) -> str:
    """Some text with the folders taken off the paths in it.

    >>> without_folders("photos in ../data/set are 8 of 10, at 1/2 speed")
    'photos in set are 8 of 10, at 1/2 speed'
    """
    return _PLACE.sub("", text)


def _changed(compressed: Compressed, format: str) -> str:
    """Why the file of that format is not the one that was checked; "" when it is."""
    entry = compressed.check_of(format)
    assert entry is not None  # asked for each that is there
    file = entry.artifact
    parts = compressed.parts(file)
    if not parts[0].is_file():
        return f"{file.path} is missing"
    try:
        found = digest.of_files(parts)
    except OSError as error:
        raise InputError(f"cannot read {parts[0]}: {error.strerror or error}") from error
    if found == file.digest:
        return ""
    return f"{file.path} is not the file that was checked: its digest is {found[:12]}..., that in report.json is " + (
        f"{file.digest[:12]}..."
    )
