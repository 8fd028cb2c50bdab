"""docs/log.md: its commands work from top to bottom, and its limits are those of the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from edgekit.cli.app import run
from edgekit.seal.key_files import read_public
from edgekit.transparency import memory, note, policy, proof, splitview, tiles, witness_client, witness_request
from edgekit.transparency.note import COSIGNATURE, VerifierKey
from edgekit.transparency.policy import read_policy
from edgekit.transparency.witness_server import LIMITS
from edgekit.types import release_leaf

PAGE = (Path(__file__).parents[2] / "docs" / "log.md").read_text(encoding="utf-8")


def write_policy() -> None:
    """What the page says in words: the line of w1, and a quorum of it."""
    w1 = VerifierKey("witness.example.org/w1", read_public(Path("w1.pub")), COSIGNATURE)
    first = Path("policy.txt").read_text().partition("\n")[0]
    Path("witnessed.txt").write_text(f"{first}\nwitness w1 {w1}\nquorum w1\n")


def test_the_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^\$ (edgekit .*)$", PAGE, re.MULTILINE)
    assert len(lines) == 12
    for line in lines:
        if "witnessed.txt" in line and not Path("witnessed.txt").exists():
            write_policy()
        assert run(shlex.split(line)[1:]) == 0, line
    assert Path("key.tlog-proof").read_text().startswith("c2sp.org/tlog-proof@v1\nindex 1\n")


def test_the_policy_that_is_shown_is_one() -> None:
    """But for the keys, which are cut short there."""
    (text,) = re.findall(r"^```\n(# policy\.txt\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    keys = iter(range(9))

    def key(found: re.Match[str]) -> str:
        from edgekit.seal.keys import generate

        next(keys)
        kind = COSIGNATURE if found[3] == "BA" else note.ED25519
        return f"{found[1]} {VerifierKey(found[2], generate('ed25519').public, kind)}"

    found = read_policy(re.sub(r"(log|witness w\d) ([^+\n]+)\+[0-9a-f]{8}\+(AQ|BA)\.\.\.", key, text))
    assert (len(found.logs), len(found.witnesses), found.quorum) == (1, 3, "all-of-them")


def test_the_limits_are_those_of_the_code() -> None:
    for text in (
        f"a signed note | {note.LARGEST_NOTE_BYTES // 1024} KiB, its text {note.LARGEST_TEXT_BYTES // 1024} KiB, "
        f"{note.MOST_SIGNATURES} signatures",
        f"a `.tlog-proof` | {proof.LARGEST_PROOF_BYTES // 1024} KiB, ",
        f"{proof.LARGEST_EXTRA_BYTES // 1024} KiB of extra data",
        f"a policy | {policy.LARGEST_POLICY_BYTES // 1024} KiB; {policy.MOST_LINES} logs, witnesses and groups each",
        f"an entry | {tiles.LARGEST_ENTRY_BYTES} bytes",
        f"a request to a witness | {witness_request.LARGEST_BYTES // 1024} KiB, "
        f"{witness_request.MOST_PROOF_LINES} hashes, {LIMITS.request_s:g} s; {LIMITS.most_connections} connections "
        f"at a time, {LIMITS.most_per_address} of one address",
        f"an answer of a witness | {witness_client.LARGEST_ANSWER_BYTES // 1024} KiB",
        f"at most {witness_client.AHEAD_S // 60} minutes ahead",
        f"within {witness_client.DEADLINE_S:g} seconds",
        f"at most {release_leaf.LARGEST_LEAF_BYTES} bytes",
        f"`{release_leaf.SCHEMA}`",
        f"`{splitview.SCHEMA}`",
        f"canonical JSON, at most {splitview.LARGEST_BYTES // 2**20} MiB",
        f"at most {memory.MOST_EVIDENCE} files of each log",
    ):
        assert text in PAGE.replace("\n", " "), text
