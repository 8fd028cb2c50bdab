"""LogDesk: a desk with a log in a channel's folder, witnesses that answer, and policies that name them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from edgekit.bundle.opening import open_bundle
from edgekit.bundle.release import read_release
from edgekit.seal.key_files import write_key
from edgekit.seal.keys import MemoryKey, generate
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.note import VerifierKey
from edgekit.transparency.witness import Witness
from edgekit.transparency.witness_server import serve
from tests.cli.channel_desk import Desk, make_desk

ORIGIN = "models.example.org/log"
INIT = f"log init channel/log --origin {ORIGIN} --key log.key"
APPEND = "log append channel/log --key log.key --policy policy.txt"


class LogDesk:
    """What the tests of `edgekit log` work with, in the current folder.

    Attributes:
        desk: Keys, bundles, the command line.
        log_key: Private key of the log: log.key.
        log: Its vkey.
        witnesses: Name -> witness; its memory lies in NAME-memory, its key in NAME.key.
        urls: Name -> where it answers.
    """

    def __init__(self, desk: Desk, stack: ExitStack) -> None:
        self.desk = desk
        self._stack = stack
        self.log_key = self._key("log")
        self.log = VerifierKey(ORIGIN, self.log_key.public)
        self.witnesses: dict[str, Witness] = {}
        self.urls: dict[str, str] = {}

    def witness(self, name: str, *, answers: bool = True) -> Witness:
        """One more witness."""
        memory = CheckpointMemory(self.desk.folder / f"{name}-memory")
        made = Witness(memory, f"{name}.example", self._key(name), [self.log])
        self.witnesses[name] = made
        if answers:
            server = self._stack.enter_context(serve(made, "127.0.0.1", 0))
            self.urls[name] = f"http://127.0.0.1:{server.port}"
        return made

    def bundle(self, version: int) -> tuple[str, bytes]:
        """Path of a bundle, and the entry that it makes."""
        path = self.desk.bundle(version)
        with open_bundle(Path(path)) as opened:
            return path, read_release(opened.blobs, opened.index_bytes).leaf.to_bytes()

    def evidence(self, name: str) -> tuple[Path, ...]:
        """What a witness kept of forks."""
        return CheckpointMemory(self.desk.folder / f"{name}-memory").evidence()

    def policy(self, quorum: str = "all", *, file: str = "policy.txt") -> None:
        """Write a policy that names every witness so far."""
        lines = [f"log {self.log}"]
        lines += [f"witness {name} {each.key} {self.urls.get(name, '')}" for name, each in self.witnesses.items()]
        if self.witnesses:
            lines += [f"group q {quorum} {' '.join(self.witnesses)}", "quorum q"]
        else:
            lines.append("quorum none")
        (self.desk.folder / file).write_text("\n".join([*lines, ""]))

    def _key(self, name: str) -> MemoryKey:
        key = generate("ed25519")
        write_key(key, self.desk.folder / f"{name}.key", None)
        return key


def make_log_desk(
    folder: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
) -> LogDesk:
    """A desk in a folder, which becomes the current one; the log is begun."""
    monkeypatch.chdir(folder)
    made = LogDesk(make_desk(folder, capture), stack)
    made.desk.run(INIT)
    made.policy()
    return made
