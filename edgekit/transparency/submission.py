"""submit: an entry into a log that is written here, its head cosigned, and the proof that somebody offline can check.

What is in a log cannot be taken out. So everything that can be refused is refused before, and an entry that is there
already is not written twice: whoever was cut off, or got too few cosignatures, does the same again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgekit.errors import InputError, RecipeError, StorageError, WitnessError
from edgekit.seal.keys import PrivateKey
from edgekit.transparency.checkpoint import Checkpoint
from edgekit.transparency.cosignature import check_cosignature
from edgekit.transparency.merkle import leaf_hash
from edgekit.transparency.note import SignedNote, VerifierKey, read_note, write_note
from edgekit.transparency.policy import Policy, PolicyLog
from edgekit.transparency.proof import LogProof, check_proof, write_proof
from edgekit.transparency.tile_log import TileLog
from edgekit.transparency.witness_client import WitnessPlace, ask_witnesses
from edgekit.transport.http import check_url

_TRIES = 3


@dataclass(frozen=True)
class Submitted:
    """An entry that is in a log.

    Attributes:
        index: Of the entry, from 0.
        checkpoint: Head of the log.
        is_new: Whether it was written now; otherwise it was there.
        proof: The `.tlog-proof` file.
        witnesses: Name in the policy, as it is shown -> when it cosigned the head, seconds since 1970.
        faults: URL of a witness -> why there is none of it.
    """

    index: int
    checkpoint: Checkpoint
    is_new: bool
    proof: bytes
    witnesses: Mapping[str, int]
    faults: Mapping[str, str]


def submit(
    log: TileLog, entry: bytes, key: PrivateKey, *, policy: Policy | None = None, witnesses: Sequence[str] = ()
) -> Submitted:
    """Have an entry in a log, and a proof of it.

    Args:
        log: Where.
        entry: What.
        key: The log's.
        policy: Whose cosignatures the proof has to carry; None asks nobody.
        witnesses: URLs that are asked beside those of the policy.

    Raises:
        SignatureError: The log has another key, or is none of the policy; nothing was written.
        RecipeError: Witnesses are to be asked, and no policy says whose cosignatures count; nothing was written.
        WitnessError: Too few witnesses cosigned; the entry is in the log. Doing the same again asks them again.
        ProofError: The log's own files are damaged; nothing was written.
        StorageError: The log cannot be written, or another process writes to it.
    """
    vkey = VerifierKey(log.origin, key.public)
    places = check_submission(log, key, policy=policy, witnesses=witnesses)
    log.finish(key)
    before = log.checkpoint.size
    index = log.find(leaf_hash(entry))
    is_new = index is None
    if index is None:
        log.append([entry], key)
        index = log.checkpoint.size - 1
    faults = gather(log, vkey, places, before=before)
    if policy is None:
        policy = Policy((PolicyLog(vkey),), (), (), "none")
    proof = prove(log, index)
    try:
        proven = check_proof(proof, entry, policy)
    except WitnessError as error:
        lines = "".join(f"\n  {url}: {fault}" for url, fault in faults.items())
        raise WitnessError(
            f"{error}{lines}", hint="the entry is in the log: do the same again to ask the witnesses again"
        ) from error
    return Submitted(index, log.checkpoint, is_new, proof, proven.witnesses, faults)


def check_submission(
    log: TileLog, key: PrivateKey, *, policy: Policy | None = None, witnesses: Sequence[str] = ()
) -> list[WitnessPlace]:
    """Whom `submit` would ask, with these arguments; what it would refuse before it writes is refused here.

    Raises:
        SignatureError, RecipeError: As `submit`.
        InputError: The URL of a witness is none.
    """
    places = witness_places(policy, witnesses)
    log.check_key(key)
    if policy is not None:
        policy.require(VerifierKey(log.origin, key.public))
    return places


def gather(log: TileLog, key: VerifierKey, places: Sequence[WitnessPlace], *, before: int = 0) -> Mapping[str, str]:
    """Ask witnesses for cosignatures of the present head, and keep those that come; who signed it is not asked again.

    Where another process appends meanwhile, the head that is there now is the present one.

    Args:
        log: The log.
        key: Its.
        places: The witnesses.
        before: Size of the head that they are thought to know.

    Returns:
        URL of a witness -> why there is none of it.

    Raises:
        SignatureError: The head is not signed by the log's key.
        StorageError: It cannot be kept, or others append faster than witnesses answer.
    """
    for _ in range(_TRIES):
        note, size = read_note(log.note), log.checkpoint.size
        missing = [place for place in places if not all(note.by(each) for each in place.keys)]
        if not missing:
            return {}
        asked = ask_witnesses(log.note, key, missing, log.prove_consistency, old_size=before)
        if not asked.times:
            return asked.faults
        try:
            log.keep(asked.note)
        except InputError:
            if log.checkpoint.size == size:
                raise
            before = size  # another process appended: who signed just now knows this size
        else:
            return asked.faults
    raise StorageError(f"other processes append to {log.folder} all the time", hint="let one at a time do so")


def adopt(log: TileLog, policy: Policy, notes: Iterable[bytes]) -> list[str]:
    """Take over cosignatures from copies of the present head that witnesses signed by themselves.

    Args:
        log: The log.
        policy: Whose cosignatures count; others are left out.
        notes: Signed checkpoints.

    Returns:
        Names in the policy of those that were taken over.

    Raises:
        InputError: One of them is another head.
        SignatureError: A cosignature in the name of a known witness does not verify.
        StorageError: They cannot be kept.
    """
    mine, taken = read_note(log.note), []
    for data in notes:
        note = read_note(data)
        if note.text != mine.text:
            raise InputError(f"this is not the log's head, {log.checkpoint}", hint="have the present one cosigned")
        for witness in policy.witnesses:
            signatures = note.by(witness.key)
            if signatures:
                check_cosignature(SignedNote(note.text, signatures), witness.key)
                mine = mine.signed_also(signatures)
                taken.append(witness.shown)
    if taken:
        log.keep(write_note(mine))
    return taken


def prove(log: TileLog, index: int) -> bytes:
    """The `.tlog-proof` file of an entry, with the log's present head and all signatures on it.

    Raises:
        InputError: There is no such entry.
        ProofError: The log's files are damaged.
    """
    return write_proof(LogProof(index, tuple(log.prove(index)), read_note(log.note)))


def witness_places(policy: Policy | None, urls: Sequence[str] = ()) -> list[WitnessPlace]:
    """Whom to ask: a policy's witnesses where it says that they are; at further URLs, whichever of the others answers.

    Raises:
        RecipeError: There are URLs, and no policy says whose cosignatures count.
        InputError: One is no URL of a witness.
    """
    known: dict[str, tuple[VerifierKey, ...]] = {}
    for witness in policy.witnesses if policy else ():
        url = witness.url.rstrip("/")
        known[url] = (*known.get(url, ()), witness.key)
    unplaced = known.pop("", ())
    more = [url for url in dict.fromkeys(url.rstrip("/") for url in urls) if url not in known]
    for url in (*known, *more):
        check_url(url)
    if more and not unplaced:
        raise RecipeError(
            f"nothing says whose cosignatures count at {more[0]}",
            hint="give a policy with a line for that witness: --policy FILE",
        )
    return [WitnessPlace(url, known.get(url, unplaced)) for url in (*known, *more)]
