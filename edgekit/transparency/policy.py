"""Policies (c2sp.org/tlog-policy): which logs count, and which witnesses have to have seen what a log shows.

    log example.org/log+1a2b3c4d+AQ...
    witness ada witness.example/ada+5e6f7a8b+BA...
    witness bob witness.example/bob+9c0d1e2f+BA...
    group both all ada bob
    quorum both

The file is the owner's own, so its faults are InputErrors. Names in it are octets without a meaning outside of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgekit.errors import InputError, SignatureError, WitnessError
from edgekit.transparency.checkpoint import Checkpoint, open_checkpoint
from edgekit.transparency.cosignature import check_cosignature
from edgekit.transparency.note import COSIGNATURE, ED25519, SignedNote, VerifierKey

NONE = "none"
"""The quorum that asks for no witness."""
LARGEST_POLICY_BYTES = 256 * 1024
MOST_LINES = 64
"""Logs, witnesses, and groups, of each; so that all of them can sign one note."""
_OTHER_OCTETS = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
_DECIMAL = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class PolicyLog:
    """A log that counts.

    Attributes:
        key: Its key; the name is the log's origin.
        url: Where it may be read; "" where the policy says nothing.
    """

    key: VerifierKey
    url: str = ""


@dataclass(frozen=True)
class PolicyWitness:
    """A witness that counts.

    Attributes:
        name: In this policy.
        key: Its key, of the type of cosignatures.
        url: Where it may be asked; "" where the policy says nothing.
    """

    name: str
    key: VerifierKey
    url: str = ""

    @property
    def shown(self) -> str:
        """Its name for people: octets that are no UTF-8 as escapes."""
        return _shown(self.name)


@dataclass(frozen=True)
class PolicyGroup:
    """Some witnesses or groups, of which a number has to agree.

    Attributes:
        name: In this policy.
        threshold: How many, at least 1.
        members: Names, defined before.
    """

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Accepted:
    """A checkpoint that satisfies a policy.

    Attributes:
        checkpoint: What it says.
        log: Whose it is.
        witnesses: Name in the policy, as it is shown -> when it cosigned, seconds since 1970. Also those that the
            quorum did not need.
    """

    checkpoint: Checkpoint
    log: VerifierKey
    witnesses: Mapping[str, int]


@dataclass(frozen=True)
class Policy:
    """Who has to have signed a checkpoint.

    Attributes:
        logs: Any one of them.
        witnesses: All that are known.
        groups: In the order of the file.
        quorum: Name of a witness or a group; NONE for no witness.
    """

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[PolicyGroup, ...]
    quorum: str

    def check(self, note: SignedNote) -> Accepted:
        """What a checkpoint says, and who vouches for it.

        Raises:
            MalformedError: It is no checkpoint.
            SignatureError: No log of the policy signed it, or a signature in the name of a known key does not verify.
            WitnessError: Too few witnesses cosigned it; names those that did and those that did not.
        """
        log = self._log(note)
        checkpoint = open_checkpoint(note, log.key)
        times = {
            witness.name: check_cosignature(note, witness.key) for witness in self.witnesses if note.by(witness.key)
        }
        if not self._is_met(times):
            missing = [witness.name for witness in self.witnesses if witness.name not in times]
            raise WitnessError(
                f"{checkpoint}: the witnesses that cosigned it are too few for the quorum '{_shown(self.quorum)}': "
                f"{_listed(times)} did, {_listed(missing)} did not",
                hint="wait until more witnesses have seen it, or ask the log's owner to ask them",
            )
        return Accepted(checkpoint, log.key, {_shown(name): time for name, time in times.items()})

    def require(self, log: VerifierKey) -> None:
        """Do nothing where a log is one of this policy.

        Raises:
            SignatureError: It is not: no proof of it would satisfy the policy.
        """
        if all(each.key != log for each in self.logs):
            raise SignatureError(
                f"the policy does not know the log {log.name} with this key", hint=f"its line is: log {log}"
            )

    def _log(self, note: SignedNote) -> PolicyLog:
        origin = note.text.partition("\n")[0]
        for log in self.logs:
            if log.key.name == origin and note.by(log.key):
                return log
        known = ", ".join(repr(log.key.name) for log in self.logs) or "none"
        raise SignatureError(
            f"no log of the policy signed this checkpoint of {origin[:80]!r}; known are: {known}",
            hint="is it the right log, or does it have a new key? Then change the policy",
        )

    def _is_met(self, signed: Mapping[str, int]) -> bool:
        if self.quorum == NONE:
            return True
        met = set(signed)
        for group in self.groups:  # members stand before their groups
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(group.name)
        return self.quorum in met


def read_policy(text: str | bytes) -> Policy:
    """Read a policy.

    Args:
        text: The file. Octets that are no UTF-8 are kept as surrogates, so that names stay what they are.

    Raises:
        InputError: A line breaks the format or is cut off, a name or a key comes twice, a name is not defined before,
            there is not one quorum, or a key is of a type that edgekit cannot verify; says which line.
    """
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if len(data) > LARGEST_POLICY_BYTES:
        raise InputError(f"a policy of {len(data)} bytes; at most {LARGEST_POLICY_BYTES} are read")
    if found := _OTHER_OCTETS.search(data):
        raise InputError(
            f"the policy holds the octet {found[0].hex()} at byte {found.start()}",
            hint="line feeds and tabs are the only control characters in it; lines do not end with CR",
        )
    if data and not data.endswith(b"\n"):
        raise InputError(
            "the last line of the policy does not end with a line feed: the end of the file may be missing",
            hint="look whether it is whole, and end its last line",
        )
    reading = _Reading()
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), start=1):
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if words and not words[0].startswith("#"):
            try:
                reading.take(words)
            except InputError as error:
                raise InputError(f"line {number} of the policy: {error}", hint=error.hint) from error
    return reading.result()


class _Reading:
    """A policy, as far as it has been read."""

    def __init__(self) -> None:
        self._logs: list[PolicyLog] = []
        self._witnesses: list[PolicyWitness] = []
        self._groups: list[PolicyGroup] = []
        self._quorum = ""
        self._free: dict[str, bool] = {}
        """Names that were defined -> whether they are still no member of a group."""
        self._ids: set[tuple[str, bytes]] = set()
        """Name and id of every key: what a signature line names it by."""

    def take(self, words: list[str]) -> None:
        """One line."""
        match words:
            case ["log", vkey, *url] if len(url) <= 1:
                self._add_log(PolicyLog(_key(vkey, ED25519, "log"), *url))
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self._add_witness(PolicyWitness(name, _key(vkey, COSIGNATURE, "witness"), *url))
            case ["group", name, threshold, *members] if members:
                self._add_group(name, threshold, members)
            case ["quorum", name]:
                self._set_quorum(name)
            case _:
                raise InputError(
                    f"'{_shown(' '.join(words))}' is no line of a policy",
                    hint="log VKEY [URL]; witness NAME VKEY [URL]; group NAME all|any|K NAME ...; quorum NAME",
                )

    def result(self) -> Policy:
        """The whole."""
        if not self._quorum:
            raise InputError("the policy has no quorum", hint="its last line may be: quorum none")
        return Policy(tuple(self._logs), tuple(self._witnesses), tuple(self._groups), self._quorum)

    def _add_log(self, log: PolicyLog) -> None:
        if any(log.key.public == other.key.public for other in self._logs):
            raise InputError(f"the key of the log {log.key.name!r} comes twice")
        self._take_id(log.key)
        self._logs.append(log)
        _check_count(self._logs, "logs")

    def _add_witness(self, witness: PolicyWitness) -> None:
        if any(witness.key.public == other.key.public for other in self._witnesses):
            raise InputError(f"the key of the witness '{_shown(witness.name)}' comes twice")
        self._take_id(witness.key)
        self._define(witness.name)
        self._witnesses.append(witness)
        _check_count(self._witnesses, "witnesses")

    def _add_group(self, name: str, threshold: str, members: list[str]) -> None:
        for member in members:
            if not self._is_defined(member):
                raise InputError(f"'{_shown(member)}' is no witness or group of a line before")
            if not self._free[member]:
                raise InputError(f"'{_shown(member)}' is a member of a group already")
            self._free[member] = False
        words = {"any": 1, "all": len(members)}
        if threshold not in words and not _DECIMAL.fullmatch(threshold):
            raise InputError(f"'{_shown(threshold)}' is no threshold", hint="write all, any, or a number")
        count = words.get(threshold) or int(threshold)
        if count > len(members):
            raise InputError(f"{count} of {len(members)} members can never agree")
        self._define(name)
        self._groups.append(PolicyGroup(name, count, tuple(members)))
        _check_count(self._groups, "groups")

    def _set_quorum(self, name: str) -> None:
        if self._quorum:
            raise InputError("a policy has one quorum; this is a second one")
        if name != NONE and not self._is_defined(name):
            raise InputError(f"'{_shown(name)}' is no witness or group of a line before")
        self._quorum = name

    def _take_id(self, key: VerifierKey) -> None:
        """Ids are short, and whoever makes keys can make one to fit: each would then spoil the other's signatures."""
        if (key.name, key.key_id) in self._ids:
            raise InputError(
                f"two keys have the name {key.name!r} and the id {key.key_id.hex()}: nobody can tell their signatures",
                hint="ask the second one's owner for another key; somebody may have made it to fit",
            )
        self._ids.add((key.name, key.key_id))

    def _is_defined(self, name: str) -> bool:
        return name in self._free

    def _define(self, name: str) -> None:
        if name == NONE or self._is_defined(name):
            raise InputError(f"the name '{_shown(name)}' is taken")
        self._free[name] = True


def _key(vkey: str, kind: int, role: str) -> VerifierKey:
    key = VerifierKey.parse(vkey)
    if key.kind != kind:
        raise InputError(
            f"the key of {key.name!r} is of type {key.kind:#04x}; a {role}'s is of type {kind:#04x}",
            hint="a log's vkey has an A after its id, a witness's a B",
        )
    return key


def _check_count(found: list[PolicyLog] | list[PolicyWitness] | list[PolicyGroup], what: str) -> None:
    if len(found) > MOST_LINES:
        raise InputError(f"more than {MOST_LINES} {what}")


def _listed(names: Mapping[str, int] | list[str]) -> str:
    return ", ".join(_shown(name) for name in names) or "nobody"


def _shown(text: str) -> str:
    """A name for messages, without what a terminal could take for a command."""
    return text[:80].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
