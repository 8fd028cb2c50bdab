"""Policies: the specification's example, every rule of its text, and what satisfies one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, MalformedError, SignatureError, WitnessError
from edgekit.seal.did import write_did
from edgekit.seal.keys import MemoryKey, PublicKey, generate
from edgekit.transparency.checkpoint import Checkpoint, sign_checkpoint
from edgekit.transparency.cosignature import cosign
from edgekit.transparency.note import COSIGNATURE, MOST_SIGNATURES, NoteSignature, SignedNote, VerifierKey, sign
from edgekit.transparency.policy import LARGEST_POLICY_BYTES, MOST_LINES, PolicyGroup, read_policy

LOG = generate("ed25519")
WITNESSES = {name: generate("ed25519") for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")}
ORIGIN = "example.org/log"
LOG_KEY = str(VerifierKey(ORIGIN, LOG.public))
TEXT = Checkpoint(ORIGIN, 5, bytes(32)).text


def vkey(name: str, kind: int = COSIGNATURE) -> str:
    return str(VerifierKey(f"witness.example/{name}", WITNESSES[name].public, kind))


def lines(*names: str) -> str:
    return "".join(f"witness {name} {vkey(name)}\n" for name in names)


EXAMPLE = f"""log {LOG_KEY}

{lines("X1", "X2", "X3")}group X-witnesses 2 X1 X2 X3

{lines("Y1", "Y2", "Y3")}group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""
"""As in c2sp.org/tlog-policy, with keys."""


def head(witnesses: Iterable[str], *, key: MemoryKey = LOG, text: str = TEXT) -> SignedNote:
    cosigned = [cosign(text, f"witness.example/{name}", WITNESSES[name], 1000 + int(name[1])) for name in witnesses]
    return SignedNote(text, (sign(text, ORIGIN, key), *cosigned))


def test_the_example_of_the_specification() -> None:
    policy = read_policy(EXAMPLE)
    assert policy.groups[0] == PolicyGroup("X-witnesses", 2, ("X1", "X2", "X3"))
    assert policy.quorum == "X-and-Y"
    accepted = policy.check(head(["X1", "X3", "Y2"]))
    assert accepted.checkpoint == Checkpoint(ORIGIN, 5, bytes(32))
    assert accepted.witnesses == {"X1": 1001, "X3": 1003, "Y2": 1002}
    policy.require(accepted.log)
    with pytest.raises(SignatureError, match="does not know the log x"):
        policy.require(VerifierKey("x", LOG.public))
    for too_few in (["X1", "Y1", "Y2", "Y3"], ["X1", "X2", "X3"], []):
        with pytest.raises(WitnessError) as caught:
            policy.check(head(too_few))
        said, missing = str(caught.value).partition(": ")[2].split(" did, ")
        for name in WITNESSES:
            assert name in (said if name in too_few else missing)


@given(signed=st.sets(st.sampled_from(sorted(WITNESSES))), threshold=st.integers(1, 6))
def test_a_threshold_is_a_count(signed: set[str], threshold: int) -> None:
    policy = read_policy(f"log {LOG_KEY}\n{lines(*WITNESSES)}group g {threshold} {' '.join(WITNESSES)}\nquorum g\n")
    if len(signed) >= threshold:
        assert policy.check(head(signed)).witnesses.keys() == signed
    else:
        with pytest.raises(WitnessError):
            policy.check(head(signed))


def test_a_quorum_of_one_and_of_none() -> None:
    one = read_policy(f"log {LOG_KEY}\n{lines('X1', 'X2')}quorum X1\n")
    assert one.check(head(["X1"])).witnesses == {"X1": 1001}
    with pytest.raises(WitnessError):
        one.check(head(["X2"]))
    assert read_policy(f"log {LOG_KEY}\nquorum none\n").check(head(["X1"])).witnesses == {}


def test_white_space_comments_and_urls() -> None:
    text = f" \t\n# ü\n  # x\n\tlog\t{LOG_KEY}  https://a \n{lines('X1').rstrip()} https://b\nquorum \t X1\n"
    policy = read_policy(text)
    assert policy == read_policy(text.encode())
    assert (policy.logs[0].url, policy.witnesses[0].url) == ("https://a", "https://b")


def test_names_are_octets() -> None:
    """A name that is no UTF-8, and two that only Unicode would call the same."""
    kelvin = "\N{KELVIN SIGN}"
    text = f"log {LOG_KEY}\nwitness \udcff {vkey('X1')}\nwitness {kelvin} {vkey('X2')}\nwitness K {vkey('X3')}\n"
    policy = read_policy((text + f"group g 3 {kelvin} K \udcff\nquorum g\n").encode("utf-8", "surrogateescape"))
    assert policy.check(head(["X1", "X2", "X3"])).witnesses["K"] == 1003
    assert r"\xff" in policy.check(head(["X1", "X2", "X3"])).witnesses  # for people, and for JSON
    with pytest.raises(WitnessError, match=r"\\xff"):
        policy.check(head(["X2", "X3"]))


def colliding(number: int) -> VerifierKey:
    """Of 24666 and 46472 the ids are the same: found in a tenth of a second."""
    public = PublicKey.from_did(write_did("ed25519", number.to_bytes(32)))
    return VerifierKey("witness.example/w", public, COSIGNATURE)


def test_keys_that_were_made_to_fit_are_refused() -> None:
    """A witness whose key has the id of another one would spoil each note that both have signed."""
    one, two = colliding(24666), colliding(46472)
    assert one != two
    assert one.key_id == two.key_id
    text = f"log {LOG_KEY}\nwitness a {one}\n"
    assert read_policy(text + "quorum a\n").witnesses[0].key == one
    with pytest.raises(InputError, match=r"line 3 .* nobody can tell their signatures"):
        read_policy(f"{text}witness b {two}\nquorum a\n")


BAD: Sequence[tuple[str, str]] = [
    ("", "no quorum"),
    ("quorum a\n", "no witness or group"),
    ("quorum none\nquorum none\n", "second"),
    (f"quorum X1\n{lines('X1')}", "line 1"),
    (f"{lines('X1')}group g any X1 X2\n{lines('X2')}quorum g\n", "'X2'"),
    (f"{lines('X1')}group g any X1 X1\nquorum g\n", "already"),
    (f"{lines('X1', 'X2')}group g any X1\ngroup h any X1 X2\nquorum h\n", "already"),
    (f"{lines('X1')}group g any none\nquorum g\n", "'none'"),
    (f"{lines('X1')}group g any g\nquorum g\n", "'g'"),
    (f"{lines('X1')}group none any X1\nquorum none\n", "taken"),
    (f"{lines('X1')}group X1 any X1\nquorum X1\n", "taken"),
    (f"witness none {vkey('X1')}\nquorum none\n", "taken"),
    (f"witness a {vkey('X1')}\nwitness a {vkey('X2')}\nquorum a\n", "taken"),
    (f"witness a {vkey('X1')}\nwitness b {vkey('X1')}\nquorum a\n", "twice"),
    (f"log {LOG_KEY}\nlog {VerifierKey('b', LOG.public)}\nquorum none\n", "twice"),
    (f"{lines('X1')}group g 0 X1\nquorum g\n", "threshold"),
    (f"{lines('X1')}group g 2 X1\nquorum g\n", "never agree"),
    (f"{lines('X1')}group g 01 X1\nquorum g\n", "threshold"),
    (f"{lines('X1')}group g most X1\nquorum g\n", "threshold"),
    (f"{lines('X1')}group g any\nquorum none\n", "no line"),
    ("log\nquorum none\n", "no line"),
    (f"log {LOG_KEY} a b\nquorum none\n", "no line"),
    (f"witness {vkey('X1')}\nquorum none\n", "no line"),
    ("trust everybody\nquorum none\n", "no line"),
    ("quorum none none\n", "no line"),
    ("log abc\nquorum none\n", "vkey"),
    (f"log {vkey('X1')}\nquorum none\n", "type 0x04"),
    (f"witness a {vkey('X1', 1)}\nquorum none\n", "type 0x01"),
    (f"{lines('X1')}group none-of-them all X1\nquorum none", "may be missing"),
    ("quorum none\r\n", "CR"),
    ("quorum none\n\x1b[2J", "octet 1b"),
    ("#" * LARGEST_POLICY_BYTES + "\nquorum none\n", "bytes"),
]


@pytest.mark.parametrize(("text", "said"), BAD, ids=[said for _, said in BAD])
def test_what_is_no_policy(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_policy(text)
    assert said in f"{caught.value} {caught.value.hint}"


def test_more_lines_than_anybody_needs() -> None:
    assert 32 <= MOST_LINES < MOST_SIGNATURES
    keys = [str(VerifierKey(f"w{number}", generate("ed25519").public, COSIGNATURE)) for number in range(MOST_LINES + 1)]
    witnesses = "".join(f"witness w{number} {key}\n" for number, key in enumerate(keys))
    read_policy(witnesses.rsplit("witness", 1)[0] + "quorum w0\n")
    with pytest.raises(InputError, match="more than"):
        read_policy(witnesses + "quorum w0\n")


def test_what_satisfies_no_policy() -> None:
    policy = read_policy(EXAMPLE)
    stranger = generate("ed25519")
    with pytest.raises(SignatureError, match="no log of the policy"):
        policy.check(head(["X1", "X2", "Y1"], key=stranger))
    other = Checkpoint("example.org/other", 5, bytes(32))
    with pytest.raises(SignatureError, match="no log of the policy"):
        policy.check(sign_checkpoint(other, LOG))
    good = head(["X1", "X2", "Y1"])
    forged = NoteSignature(good.signatures[3].name, good.signatures[3].key_id, bytes(72))
    with pytest.raises(SignatureError, match="does not verify"):
        policy.check(SignedNote(TEXT, (*good.signatures, forged)))
    with pytest.raises(SignatureError, match="does not verify"):
        policy.check(SignedNote(TEXT, (NoteSignature(ORIGIN, good.signatures[0].key_id, bytes(64)),)))
    text = f"{ORIGIN}\nhello\n"
    with pytest.raises(MalformedError):
        policy.check(SignedNote(text, (sign(text, ORIGIN, LOG),)))


def test_one_witness_under_two_names_counts_once() -> None:
    """A key signs under the name of its vkey alone: what it signs in another's name is a stranger's."""
    policy = read_policy(f"log {LOG_KEY}\n{lines('X1', 'X2')}group g all X1 X2\nquorum g\n")
    twice = cosign(TEXT, "witness.example/X2", WITNESSES["X1"], 5)
    with pytest.raises(WitnessError):
        policy.check(SignedNote(TEXT, (*head(["X1"]).signatures, twice)))


def test_two_keys_of_one_log() -> None:
    """While a log changes its key, either counts."""
    second = generate("ed25519")
    policy = read_policy(f"log {VerifierKey(ORIGIN, second.public)}\nlog {LOG_KEY}\nquorum none\n")
    assert policy.check(head([])).log.public == LOG.public
    assert policy.check(head([], key=second)).log.public == second.public
