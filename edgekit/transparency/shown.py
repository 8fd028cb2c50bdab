"""What the mirrors of a log show at one time: their heads, held against each other. None of them is trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgekit.errors import (
    EdgekitError,
    MalformedError,
    ProofError,
    SignatureError,
    SourcesError,
    TransportError,
    TrustError,
)
from edgekit.transparency.log_reader import LogReader
from edgekit.transparency.memory import CheckpointMemory
from edgekit.transparency.note import VerifierKey
from edgekit.transparency.splitview import SignedHead, compare, open_head


@dataclass(frozen=True)
class Shown:
    """Heads of one history.

    Attributes:
        heads: Mirror -> its head, signed by the log; mirrors without one are absent.
        faults: Mirror -> what is wrong with it; whoever reads on adds to it.
        ordered: The mirrors that have a head, the largest first.
    """

    heads: Mapping[LogReader, SignedHead]
    faults: dict[LogReader, EdgekitError]
    ordered: tuple[LogReader, ...]

    @property
    def newest(self) -> SignedHead:
        """The largest head."""
        return self.heads[self.ordered[0]]


def look(readers: Sequence[LogReader], log: VerifierKey, memory: CheckpointMemory | None = None) -> Shown:
    """Read the heads of all mirrors, and see that they can all be true.

    Args:
        readers: One for each mirror, at least one.
        log: The log's key.
        memory: Where evidence of a fork is kept; nothing else is done with it.

    Raises:
        SplitViewError: Two of them cannot both be true.
        ProofError: Nobody shows that one of them continues another.
        TrustError: No mirror has a head that the log signed.
        SourcesError: No mirror can be read.
    """
    heads: dict[LogReader, SignedHead] = {}
    faults: dict[LogReader, EdgekitError] = {}
    for reader in readers:
        try:
            heads[reader] = open_head(reader.read_head(), log)
        except (TrustError, TransportError) as error:
            faults[reader] = error
    if not heads:
        raise nobody(faults, f"no mirror shows a head of {log.name}")
    ordered = sorted(heads, key=lambda reader: heads[reader].checkpoint.size, reverse=True)
    for larger, smaller in pairwise(ordered):
        histories = [larger, *(each for each in ordered if each is not larger)]
        evidence = compare(heads[smaller], heads[larger], log, histories)
        if evidence:
            raise evidence.error(kept=memory.keep_evidence(evidence) if memory else "")
    return Shown(heads, faults, tuple(ordered))


def told(reader: LogReader, error: EdgekitError) -> str:
    """A mirror's fault without its URL, which stands beside it wherever faults are shown."""
    return str(error).removeprefix(f"{reader.url}: ")


def nobody(faults: Mapping[LogReader, EdgekitError], message: str) -> EdgekitError:
    """The one error to raise where no mirror can be used: what cannot be trusted says more than what is not there."""
    broken = next((error for error in faults.values() if isinstance(error, TrustError)), None)
    if broken is None:
        lines = {reader.url: told(reader, error) for reader, error in faults.items()}
        return SourcesError(f"{message}:", faults=lines, hint="is the URL that of a log?")
    kind = type(broken) if type(broken) in (MalformedError, SignatureError) else ProofError
    return kind(
        message + ":" + "".join(f"\n  {reader.url}: {told(reader, error)}" for reader, error in faults.items()),
        hint=broken.hint,
    )
