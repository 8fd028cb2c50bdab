"""ask_witnesses: cosignatures for the head of a log, from all of its witnesses at once (C2SP tlog-witness).

Nothing that a witness answers is believed but a cosignature of the key that its operator handed out, over the very head
that it was asked about. One that lies, lags or is silent is passed over and named.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from edgekit.errors import (
    EdgekitError,
    InputError,
    LengthError,
    MalformedError,
    SignatureError,
    StalledError,
    WitnessError,
)
from edgekit.transparency.checkpoint import Checkpoint, open_checkpoint
from edgekit.transparency.cosignature import check_cosignature
from edgekit.transparency.note import NoteSignature, SignedNote, VerifierKey, read_note, write_note
from edgekit.transparency.witness_request import AddCheckpoint, read_told_size, write_request
from edgekit.transport.http import check_url
from edgekit.transport.patience import Patience
from edgekit.transport.web import Answer, Web

LARGEST_ANSWER_BYTES = 2**16
DEADLINE_S = 20.0
AHEAD_S = 300
"""A cosignature may be that far in the future of this machine's clock, in seconds."""
PATIENCE = Patience(connect_s=5.0, answer_s=10.0, silence_s=5.0, window_s=5.0)


@dataclass(frozen=True)
class WitnessPlace:
    """Where a witness answers.

    Attributes:
        url: Its submission prefix, http or https.
        keys: Whose cosignatures count from there; usually one.
    """

    url: str
    keys: tuple[VerifierKey, ...]


@dataclass(frozen=True)
class Asked:
    """What the witnesses answered.

    Attributes:
        note: The checkpoint with every cosignature that was got on it.
        times: Name of a witness's key -> when it cosigned, seconds since 1970.
        faults: URL of a witness -> why there is none of it.
    """

    note: bytes
    times: Mapping[str, int]
    faults: Mapping[str, str]


class _Proofs:
    """Consistency proofs from a log that is not made for several threads, one at a time and only until the end."""

    def __init__(self, prove: Callable[[int], Sequence[bytes]]) -> None:
        self._prove = prove
        self._lock = threading.Lock()
        self._over = False

    def __call__(self, old: int) -> tuple[bytes, ...]:
        with self._lock:
            if self._over:
                raise StalledError("answered too late")
            return tuple(self._prove(old))

    def end(self) -> None:
        with self._lock:
            self._over = True


@dataclass(frozen=True)
class _Question:
    """What all of them are asked."""

    note: SignedNote
    head: Checkpoint
    prove: _Proofs
    old_size: int
    now: float


def ask_witnesses(
    note: bytes,
    log: VerifierKey,
    places: Sequence[WitnessPlace],
    prove: Callable[[int], Sequence[bytes]],
    *,
    old_size: int = 0,
    deadline_s: float = DEADLINE_S,
) -> Asked:
    """Ask witnesses to cosign the head of a log.

    Args:
        note: The checkpoint, signed by the log.
        log: Whose it is.
        places: The witnesses.
        prove: Consistency proof from a tree of that size to the checkpoint's.
        old_size: The head that they are thought to know; one that knows another one says so and is asked again.
        deadline_s: What has not come by then is not waited for, in seconds.

    Raises:
        SignatureError: The log did not sign it.
        InputError: A URL is none.
    """
    head = open_checkpoint(note, log)
    question = _Question(read_note(note), head, _Proofs(prove), min(old_size, head.size), time.time())
    for place in places:
        check_url(place.url)
    webs = {place.url: Web(place.url, patience=PATIENCE) for place in places}
    if len(webs) != len(places):
        raise InputError("the same witness is named twice")
    try:
        answers = _gather(question, webs, places, deadline_s)
    finally:
        question.prove.end()
        for web in webs.values():
            web.close()
    signatures = [one for answer in answers.values() if not isinstance(answer, EdgekitError) for one in answer]
    cosigned = question.note.signed_also(signature for signature, _ in signatures)
    faults = {url: _told(answer, url) for url, answer in answers.items() if isinstance(answer, EdgekitError)}
    return Asked(write_note(cosigned), {signature.name: when for signature, when in signatures}, faults)


_Got = list[tuple[NoteSignature, int]] | EdgekitError


def _gather(
    question: _Question, webs: Mapping[str, Web], places: Sequence[WitnessPlace], deadline_s: float
) -> Mapping[str, _Got]:
    """What each witness answered in time; a thread that is given up ends when its connections are closed."""
    arrived: queue.SimpleQueue[tuple[str, _Got | Exception]] = queue.SimpleQueue()

    def work(place: WitnessPlace) -> None:
        try:
            arrived.put((place.url, _ask(question, webs[place.url], place)))
        except EdgekitError as error:
            arrived.put((place.url, error))
        except Exception as error:  # raised below, where somebody sees it
            arrived.put((place.url, error))

    for place in places:
        threading.Thread(target=work, args=(place,), daemon=True).start()
    silent: _Got = StalledError(f"did not answer within {deadline_s:g} s, and was not waited for")
    found = {place.url: silent for place in places}
    deadline = time.monotonic() + deadline_s
    for _ in places:
        with suppress(queue.Empty):
            url, got = arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(got, Exception) and not isinstance(got, EdgekitError):
                raise got
            found[url] = got
    return found


def _ask(question: _Question, web: Web, place: WitnessPlace) -> list[tuple[NoteSignature, int]]:
    """The cosignatures of one witness.

    Raises:
        WitnessError: It refuses; says how.
        SignatureError: It signed something else.
        EdgekitError: It cannot be asked, or does not speak the protocol.
    """
    status, body = _post(question, web, place, question.old_size)
    if status == 409:
        known = read_told_size(body)
        if known > question.head.size:
            raise WitnessError(f"has seen this log with {known} entries; this head has {question.head.size}")
        status, body = _post(question, web, place, known)
        if status == 409 and known == question.head.size == read_told_size(body):
            raise WitnessError(
                f"has cosigned another tree of {known} entries: this log forked, or it is another log of that name"
            )
    if status != 200:
        said = "".join(each if each.isprintable() else " " for each in body[:200].decode(errors="replace")).strip()
        raise WitnessError(f"refused with status {status}" + (f": {said}" if said else ""))
    return _cosignatures(question, body, place.keys)


def _post(question: _Question, web: Web, place: WitnessPlace, old_size: int) -> tuple[int, bytes]:
    """Status and body of one request."""
    proof = question.prove(old_size) if 0 < old_size < question.head.size else ()
    request = write_request(AddCheckpoint(old_size, proof, write_note(question.note)))
    with web.ask("POST", f"{place.url.rstrip('/')}/add-checkpoint", content=request, redirects=False) as answer:
        return answer.status, _read(answer, place.url)


def _read(answer: Answer, url: str) -> bytes:
    parts = bytearray()
    for chunk in answer.body():
        parts += chunk
        if len(parts) > LARGEST_ANSWER_BYTES:
            raise LengthError(
                f"answers with more than {LARGEST_ANSWER_BYTES} bytes", limit_bytes=LARGEST_ANSWER_BYTES, source=url
            )
    return bytes(parts)


def _cosignatures(question: _Question, body: bytes, keys: Sequence[VerifierKey]) -> list[tuple[NoteSignature, int]]:
    """What a witness's keys signed of the head, out of an answer that anything may be in."""
    text = question.note.text
    try:
        answered = read_note(text.encode() + b"\n" + body)
    except MalformedError as error:
        raise MalformedError(f"its answer holds no signatures: {error}") from error
    if answered.text != text:  # an empty line in the answer would move the end of the text
        raise MalformedError("its answer holds more than signatures")
    found = []
    for key in keys:
        for signature in answered.by(key):
            when = check_cosignature(SignedNote(text, (signature,)), key)
            if when > question.now + AHEAD_S:
                raise SignatureError(
                    f"{key.name!r} cosigned {when - question.now:.0f} s in the future: is a clock wrong?"
                )
            found.append((signature, when))
    if not found:
        raise SignatureError("its answer holds no cosignature by a key that counts")
    return found


def _told(error: EdgekitError, url: str) -> str:
    return str(error).removeprefix(f"{url}: ")
