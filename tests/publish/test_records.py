"""What a writer believes of a channel before it signs more into it: the same as a reader, but for expiry."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from edgekit.errors import (
    DigestError,
    EdgekitError,
    LengthError,
    MalformedError,
    RollbackError,
    SignatureError,
    TransferError,
)
from edgekit.publish.records import has_channel, read_records
from tests.channel.repository import Repository
from tests.publish.lab import Lab


def test_what_another_program_wrote_is_read() -> None:
    """`Repository` writes with python-tuf alone; snapshot entries have no length and no hash there."""
    repository = Repository(thresholds={"root": 2, "vision": 2})
    repository.release("vision/lite0")
    repository.publish()
    records = read_records(repository.mirror())
    assert records.families == ("vision",)
    release = records.release("vision/lite0")
    assert release is not None
    assert release[1].version == 1


def test_expired_metadata_is_read(lab: Lab) -> None:
    lab.now += timedelta(days=4000)
    assert read_records(lab.place).root.version == 1


def test_no_channel_is_no_error_here(lab: Lab) -> None:
    assert has_channel(lab.place)
    lab.place.files.clear()
    assert not has_channel(lab.place)
    lab.place.faults["*"] = TransferError("refused", source="memory")
    with pytest.raises(TransferError):
        has_channel(lab.place)


@pytest.mark.parametrize("role", ["1.root", "timestamp", "1.snapshot", "1.targets", "1.vision"])
@pytest.mark.parametrize(
    ("alter", "errors"),
    [
        (lambda data: data.replace(b'"version":1', b'"version":2'), (SignatureError, DigestError)),
        (lambda data: data[:-1], (MalformedError, DigestError)),
        (lambda data: b"{}", (MalformedError, DigestError)),
        (lambda data: b" " * 2**21, (LengthError,)),
        (lambda data: json.dumps(json.loads(data) | {"signatures": []}).encode(), (SignatureError, DigestError)),
    ],
)
def test_an_altered_file_is_not_believed(lab: Lab, role: str, alter: object, errors: tuple[type[Exception]]) -> None:
    assert callable(alter)
    name = f"metadata/{role}.json"
    lab.place.files[name] = alter(lab.place.files[name])
    with pytest.raises(EdgekitError) as caught:
        read_records(lab.place)
    assert isinstance(caught.value, errors)


@pytest.mark.parametrize("role", ["timestamp", "1.snapshot", "1.targets", "1.vision"])
def test_an_absent_file_is_told(lab: Lab, role: str) -> None:
    del lab.place.files[f"metadata/{role}.json"]
    with pytest.raises(MalformedError, match="not complete"):
        read_records(lab.place)


def test_a_root_out_of_turn(lab: Lab) -> None:
    lab.place.files["metadata/2.root.json"] = lab.place.files["metadata/1.root.json"]
    with pytest.raises(RollbackError):
        read_records(lab.place)


def test_a_forged_root() -> None:
    repository = Repository()
    repository.signers["root"] = Repository().signers["root"]
    repository.root.version = 2
    repository.root.add_key(repository.signers["root"][0].public_key, "root")
    repository.write_root()
    with pytest.raises(SignatureError, match=r"2\.root\.json"):
        read_records(repository.mirror())


def test_a_family_that_the_snapshot_does_not_list() -> None:
    repository = Repository()
    repository.families.clear()
    repository.publish()
    with pytest.raises(MalformedError, match=r"lists no vision\.json"):
        read_records(repository.mirror())
