"""`follow` against a repository that signs whatever it is told: what is current, and the name of everything wrong."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import MetaFile

from edgekit.channel import client
from edgekit.channel.client import Followed, follow
from edgekit.errors import (
    AbsentError,
    ClockError,
    DigestError,
    EdgekitError,
    ExpiredError,
    InputError,
    LengthError,
    MalformedError,
    RollbackError,
    SignatureError,
    SourcesError,
    StalledError,
    TransferError,
    UnknownTargetError,
)
from tests.channel.memory import MemoryTransport
from tests.channel.repository import SIGNER, Repository

MODEL = "vision/lite0"


class Reader:
    """A node that follows one model: a folder, a clock, and the root that it was given."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.repository = repository
        self.folder = folder
        self.now = repository.now

    def follow(self, *mirrors: MemoryTransport, model: str = MODEL) -> Followed:
        return follow(
            model,
            mirrors or [self.repository.mirror()],
            self.folder,
            root=self.repository.first_root,
            clock=lambda: self.now,
        )


@pytest.fixture
def repository() -> Repository:
    made = Repository(thresholds={"root": 2, "vision": 2})
    made.release(MODEL, version=1)
    made.publish()
    return made


@pytest.fixture
def reader(repository: Repository, tmp_path: Path) -> Reader:
    return Reader(repository, tmp_path / "trust")


def memory(folder: Path) -> dict[str, bytes]:
    """What a reader remembers, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_current_release_is_found(repository: Repository, reader: Reader) -> None:
    index = repository.release(MODEL, version=2)
    repository.publish()
    found = reader.follow()
    assert (found.target, found.index, found.notice.version) == (MODEL, index, 2)
    assert found.notice.signers == (SIGNER,)
    assert found.notice.keys[0].pem == SIGNER
    assert found.versions == {"root": 1, "timestamp": 3, "snapshot": 3, "targets": 1, "vision": 3}
    assert found.expires == repository.timestamp.expires
    assert found.faults == {}


def test_an_unchanged_channel_costs_little(repository: Repository, reader: Reader) -> None:
    first, mirror = reader.follow(), repository.mirror()
    before = memory(reader.folder)
    assert reader.follow(mirror) == first
    assert [name for name, _ in mirror.reads] == ["metadata/2.root.json", "metadata/timestamp.json"]
    assert sum(size for _, size in mirror.reads) < 1000
    assert memory(reader.folder) == before


def test_a_new_release_replaces_the_old_one(repository: Repository, reader: Reader) -> None:
    reader.follow()
    index = repository.release(MODEL, version=2)
    repository.publish()
    assert reader.follow().index == index
    assert len(list((reader.folder / "index").iterdir())) == 1


def test_the_root_is_needed_once(repository: Repository, reader: Reader) -> None:
    with pytest.raises(MalformedError, match="trusts no channel yet"):
        follow(MODEL, [repository.mirror()], reader.folder)
    found = reader.follow()
    assert follow(MODEL, [repository.mirror()], reader.folder) == found


def test_a_root_damaged_on_the_disk_gives_way_to_the_one_handed_over(repository: Repository, reader: Reader) -> None:
    found = reader.follow()
    (reader.folder / "metadata" / "root.json").write_bytes(b"{")
    with pytest.raises(MalformedError, match=r"root\.json"):
        follow(MODEL, [repository.mirror()], reader.folder)
    assert reader.follow() == found


@pytest.mark.parametrize("file", ["timestamp", "snapshot", "targets", "vision"])
def test_other_damaged_files_are_fetched_again(reader: Reader, file: str) -> None:
    found = reader.follow()
    (reader.folder / "metadata" / f"{file}.json").write_bytes(b"\0")
    assert reader.follow() == found


def test_a_damaged_index_is_fetched_again(reader: Reader) -> None:
    found = reader.follow()
    next((reader.folder / "index").iterdir()).write_bytes(b"other")
    assert reader.follow() == found


# The attacks of TUF's specification, section 1.5.2, by the error that each must end in.


def rolled_back_timestamp(repository: Repository, mirror: MemoryTransport) -> None:
    repository.timestamp.version = 1
    mirror.files["metadata/timestamp.json"] = repository.sign("timestamp", repository.timestamp)


def rolled_back_snapshot(repository: Repository, mirror: MemoryTransport) -> None:
    repository.timestamp.version += 1
    repository.timestamp.snapshot_meta = MetaFile(1)
    mirror.files["metadata/timestamp.json"] = repository.sign("timestamp", repository.timestamp)


def rolled_back_family(repository: Repository, mirror: MemoryTransport) -> None:
    repository.families["vision"].version = 1
    repository.publish(bump=("snapshot", "timestamp"))
    mirror.files.update(repository.files)


def mixed_states(repository: Repository, mirror: MemoryTransport) -> None:
    repository.release(MODEL, version=2)
    repository.publish()
    mirror.files.update(repository.files)
    mirror.files["metadata/3.vision.json"] = mirror.files["metadata/2.vision.json"]


def altered_snapshot(repository: Repository, mirror: MemoryTransport) -> None:
    repository.publish()
    mirror.files.update(repository.files)
    data = mirror.files["metadata/3.snapshot.json"]
    mirror.files["metadata/3.snapshot.json"] = data.replace(b'"version":3', b'"version":4')


def altered_index(repository: Repository, mirror: MemoryTransport) -> None:
    index = repository.release(MODEL, version=2)
    repository.publish()
    mirror.files.update(repository.files)
    name = next(name for name, data in mirror.files.items() if data == index)
    mirror.files[name] = index.replace(b"2", b"3")


def endless_timestamp(repository: Repository, mirror: MemoryTransport) -> None:
    mirror.endless.add("metadata/timestamp.json")


def endless_index(repository: Repository, mirror: MemoryTransport) -> None:
    index = repository.release(MODEL, version=2)
    repository.publish()
    mirror.files.update(repository.files)
    mirror.endless |= {name for name, data in mirror.files.items() if data == index}


def truncated_index(repository: Repository, mirror: MemoryTransport) -> None:
    index = repository.release(MODEL, version=2)
    repository.publish()
    mirror.files.update({name: data[:-1] if data == index else data for name, data in repository.files.items()})


def foreign_key(repository: Repository, mirror: MemoryTransport) -> None:
    repository.signers["timestamp"] = [CryptoSigner.generate_ed25519()]
    repository.publish()
    mirror.files.update(repository.files)


def below_threshold(repository: Repository, mirror: MemoryTransport) -> None:
    repository.signers["vision"].pop()
    repository.publish()
    mirror.files.update(repository.files)


def forged_root(repository: Repository, mirror: MemoryTransport) -> None:
    repository.signers["root"] = [CryptoSigner.generate_ed25519() for _ in range(2)]
    repository.root.version = 2
    mirror.files["metadata/2.root.json"] = repository.write_root()


def skipped_root(repository: Repository, mirror: MemoryTransport) -> None:
    repository.root.version = 3
    mirror.files["metadata/2.root.json"] = repository.write_root()


def other_role(repository: Repository, mirror: MemoryTransport) -> None:
    mirror.files["metadata/timestamp.json"] = repository.sign("timestamp", repository.snapshot)


def no_metadata(repository: Repository, mirror: MemoryTransport) -> None:
    mirror.files["metadata/timestamp.json"] = b"<html>404</html>"


def key_twice(repository: Repository, mirror: MemoryTransport) -> None:
    data = mirror.files["metadata/timestamp.json"]
    mirror.files["metadata/timestamp.json"] = data.replace(b'"version":2', b'"version":2,"version":2')


def deep(repository: Repository, mirror: MemoryTransport) -> None:
    mirror.files["metadata/timestamp.json"] = b"[" * 8000


def no_object(repository: Repository, mirror: MemoryTransport) -> None:
    mirror.files["metadata/timestamp.json"] = b'{"signed":{"_type":[]},"signatures":7}'


def absent_snapshot(repository: Repository, mirror: MemoryTransport) -> None:
    repository.publish()
    mirror.files.update(repository.files)
    del mirror.files["metadata/3.snapshot.json"]


def dropped_family(repository: Repository, mirror: MemoryTransport) -> None:
    repository.families.clear()
    repository.publish()
    mirror.files.update(repository.files)


ATTACKS = [
    (rolled_back_timestamp, RollbackError),
    (rolled_back_snapshot, RollbackError),
    (rolled_back_family, RollbackError),
    (mixed_states, RollbackError),
    (altered_snapshot, DigestError),
    (altered_index, DigestError),
    (endless_timestamp, LengthError),
    (endless_index, LengthError),
    (truncated_index, LengthError),
    (foreign_key, SignatureError),
    (below_threshold, SignatureError),
    (forged_root, SignatureError),
    (skipped_root, RollbackError),
    (other_role, MalformedError),
    (no_metadata, MalformedError),
    (key_twice, MalformedError),
    (deep, MalformedError),
    (no_object, MalformedError),
    (absent_snapshot, AbsentError),
    (dropped_family, MalformedError),
]


@pytest.mark.parametrize(("attack", "error"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_an_attack_ends_in_its_error(
    repository: Repository, reader: Reader, attack: object, error: type[EdgekitError]
) -> None:
    reader.follow()
    index = memory(reader.folder / "index")
    mirror = repository.mirror(copy=True)
    assert callable(attack)
    attack(repository, mirror)
    with pytest.raises(EdgekitError) as caught:
        reader.follow(mirror)
    assert type(caught.value) is error, caught.value
    assert mirror.url in str(caught.value)
    assert memory(reader.folder / "index") == index


@pytest.mark.parametrize(("attack", "error"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_an_attack_by_one_mirror_is_passed_over_and_named(
    repository: Repository, reader: Reader, attack: object, error: type[EdgekitError]
) -> None:
    reader.follow()
    good, bad = repository.mirror("memory:good", copy=True), repository.mirror("memory:bad", copy=True)
    assert callable(attack)
    attack(repository, bad)
    if error in (DigestError, LengthError) and "index" in attack.__name__:
        good.files.update(repository.files)  # the attack is on the file, and the metadata is right everywhere
    found = reader.follow(bad, good)
    assert found.notice.version == (2 if "index" in attack.__name__ else 1)
    assert "memory:bad" in found.faults


def test_what_the_clock_calls_expired_names_the_way_out(repository: Repository, reader: Reader) -> None:
    reader.follow()
    for role, days in (("timestamp", 1.5), ("root", 400)):
        reader.now = repository.later(days)
        with pytest.raises(ExpiredError, match=f"the channel's {role} is expired") as caught:
            reader.follow()
        assert f"edgekit channel refresh --role {role}" in caught.value.hint
    expired = f"{repository.timestamp.expires:%Y-%m-%d %H:%M}"
    reader.now = repository.later(1.5)
    with pytest.raises(ExpiredError, match=expired):
        reader.follow()


@pytest.mark.parametrize("role", ["snapshot", "targets", "vision"])
def test_every_role_expires(repository: Repository, reader: Reader, role: str) -> None:
    signed = getattr(repository, role, None) or repository.families[role]
    signed.expires = repository.later(0.5)
    repository.publish(bump=("families", "targets", "snapshot", "timestamp"))
    reader.follow()
    reader.now = repository.later(0.75)
    with pytest.raises(ExpiredError, match=f"the channel's {role} is expired"):
        reader.follow()


def test_a_clock_that_went_back_is_told(reader: Reader) -> None:
    reader.follow()
    reader.now -= timedelta(minutes=4)
    reader.follow()
    reader.now -= timedelta(days=1)
    with pytest.raises(ClockError, match="this machine's clock says") as caught:
        reader.follow()
    assert "seen.json" in caught.value.hint
    (reader.folder / "seen.json").unlink()
    reader.follow()


def test_time_is_noted_only_where_the_channel_was_current(repository: Repository, reader: Reader) -> None:
    reader.follow()
    reader.now = repository.later(1000)
    with pytest.raises(ExpiredError):
        reader.follow()
    reader.now = repository.now
    reader.follow()


def test_models_that_are_not_there(repository: Repository, reader: Reader) -> None:
    with pytest.raises(UnknownTargetError, match="no model 'vision/other'"):
        reader.follow(model="vision/other")
    with pytest.raises(UnknownTargetError, match="no model 'audio/kws'"):
        reader.follow(model="audio/kws")
    for name in ("vision", "../lite0", "vision/../x", "Vision/lite0", "root/lite0", "vision/" + "a" * 200, ""):
        with pytest.raises(InputError):
            reader.follow(model=name)


def test_a_family_cannot_sign_for_another(repository: Repository, reader: Reader) -> None:
    repository.release("firmware/boot", role="vision")
    repository.publish()
    with pytest.raises(UnknownTargetError, match="firmware/boot"):
        reader.follow(model="firmware/boot")


def test_a_withdrawn_model_is_gone_though_a_stale_mirror_has_it(repository: Repository, reader: Reader) -> None:
    stale = repository.mirror("memory:stale", copy=True)
    reader.follow()
    repository.families["vision"].targets.clear()
    repository.publish()
    with pytest.raises(UnknownTargetError):
        reader.follow(stale, repository.mirror("memory:fresh"))
    with pytest.raises(RollbackError):
        reader.follow(stale)


def test_the_newest_mirror_wins_and_the_stale_one_is_named(repository: Repository, reader: Reader) -> None:
    stale = repository.mirror("memory:stale", copy=True)
    index = repository.release(MODEL, version=2)
    repository.publish()
    fresh = repository.mirror("memory:fresh")
    for mirrors in ((stale, fresh), (fresh, stale)):
        found = reader.follow(*mirrors)
        assert found.index == index
        assert list(found.faults) == ["memory:stale"]


def test_a_revoked_online_key_counts_nowhere_once_one_mirror_has_the_new_root(
    repository: Repository, reader: Reader
) -> None:
    reader.follow()
    evil = repository.mirror("memory:evil", copy=True)
    repository.timestamp.version = 1000
    evil.files["metadata/timestamp.json"] = repository.sign("timestamp", repository.timestamp)
    repository.timestamp.version = 2
    repository.renew_key("timestamp")
    repository.publish()
    found = reader.follow(evil, repository.mirror("memory:good"))
    assert found.versions["timestamp"] == 3
    assert "version 1 of the root, 2 is current" in found.faults["memory:evil"]
    with pytest.raises(SignatureError):
        reader.follow(evil)


def test_a_mirror_without_the_new_root_is_not_believed_though_no_other_is_whole(
    repository: Repository, reader: Reader
) -> None:
    reader.follow()
    evil = repository.mirror("memory:evil", copy=True)
    repository.renew_key("timestamp")
    half = repository.mirror("memory:half", copy=True)  # the new root, and a timestamp by the old key
    with pytest.raises(SignatureError):
        reader.follow(evil, half)


def test_a_new_root_is_remembered_even_if_the_rest_fails(repository: Repository, reader: Reader) -> None:
    reader.follow()
    repository.renew_key("timestamp")
    half = repository.mirror(copy=True)  # the new root, and a timestamp by the old key
    with pytest.raises(SignatureError):
        reader.follow(half)
    remembered = json.loads((reader.folder / "metadata" / "root.json").read_bytes())
    assert remembered["signed"]["version"] == 2


def test_new_online_keys_recover_from_versions_that_were_pushed_too_far(repository: Repository, reader: Reader) -> None:
    """The fast-forward attack: TUF's specification, 5.3.11."""
    repository.timestamp.version = repository.snapshot.version = 2**40
    repository.publish()
    reader.follow()
    repository.renew_key("timestamp")
    repository.renew_key("snapshot")
    repository.timestamp.version = repository.snapshot.version = 2
    index = repository.release(MODEL, version=2)
    repository.publish()
    found = reader.follow()
    assert (found.index, found.versions["timestamp"], found.versions["snapshot"]) == (index, 3, 3)


def test_many_roots_are_followed_and_no_more_than_256(repository: Repository, reader: Reader) -> None:
    for _ in range(40):
        repository.root.version += 1
        repository.write_root()
    assert reader.follow().versions["root"] == 41


def test_an_index_is_asked_of_good_mirrors_before_the_others(repository: Repository, reader: Reader) -> None:
    """One that was faulty may stall once more."""
    bad = repository.mirror("memory:bad", copy=True)
    del bad.files["metadata/timestamp.json"]
    newest = repository.mirror("memory:newest", copy=True)
    for name in [name for name in newest.files if name.startswith("targets/")]:
        del newest.files[name]
    found = reader.follow(bad, newest, repository.mirror("memory:good"))
    assert set(found.faults) == {"memory:bad", "memory:newest"}
    assert not any(name.startswith("targets/") for name, _ in bad.reads)


def test_mirrors_that_cannot_be_read(repository: Repository, reader: Reader) -> None:
    refused = TransferError("refused", source="memory:a", status=503)
    broken = repository.mirror("memory:a")
    broken.faults["*"] = refused
    with pytest.raises(TransferError) as caught:
        reader.follow(broken)
    assert caught.value is refused
    silent = repository.mirror("memory:b")
    silent.faults["*"] = StalledError("silent", source="memory:b")
    with pytest.raises(SourcesError) as told:
        reader.follow(broken, silent)
    assert set(told.value.faults) == {"memory:a", "memory:b"}
    assert set(reader.follow(broken, silent, repository.mirror("memory:c")).faults) == {"memory:a", "memory:b"}


def test_what_cannot_be_trusted_is_told_before_what_cannot_be_read(repository: Repository, reader: Reader) -> None:
    broken = repository.mirror("memory:a")
    broken.faults["*"] = TransferError("refused", source="memory:a", status=503)
    reader.now = repository.later(2)
    with pytest.raises(ExpiredError) as caught:
        reader.follow(broken, repository.mirror("memory:b"))
    assert "memory:a: refused" in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("status", [403, 404])
def test_a_bucket_that_forbids_what_it_lacks(repository: Repository, reader: Reader, status: int) -> None:
    bucket = repository.mirror()
    bucket.faults["metadata/2.root.json"] = TransferError("no", source=bucket.url, status=status)
    assert reader.follow(bucket).notice.version == 1


def test_a_mirror_that_refuses_the_root_for_another_reason_is_not_believed(
    repository: Repository, reader: Reader
) -> None:
    bucket = repository.mirror()
    bucket.faults["metadata/2.root.json"] = TransferError("busy", source=bucket.url, status=503)
    with pytest.raises(TransferError, match="busy"):
        reader.follow(bucket)


def test_a_silent_mirror_is_not_waited_for(
    repository: Repository, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.2)
    silent = repository.mirror("memory:silent")
    silent.gate = threading.Event()
    start = time.monotonic()
    found = reader.follow(silent, repository.mirror("memory:good"))
    assert time.monotonic() - start < 10
    assert "did not answer" in found.faults["memory:silent"]
    silent.gate.set()


def test_no_mirror_at_all(reader: Reader) -> None:
    with pytest.raises(InputError):
        follow(MODEL, [], reader.folder, root=reader.repository.first_root)


@pytest.mark.parametrize("root", [b"", b"{}", b"[]", b'{"signed":{},"signatures":[]}', b"\xff", b"nothing"])
def test_what_is_handed_over_as_root_must_be_one(repository: Repository, tmp_path: Path, root: bytes) -> None:
    with pytest.raises(MalformedError):
        follow(MODEL, [repository.mirror()], tmp_path, root=root)


def test_a_root_that_does_not_sign_itself(repository: Repository, tmp_path: Path) -> None:
    data = repository.sign("root", repository.root, repository.signers["root"][:1])
    with pytest.raises(SignatureError, match="own keys"):
        follow(MODEL, [repository.mirror()], tmp_path, root=data)
    with pytest.raises(MalformedError, match="role timestamp"):
        follow(MODEL, [repository.mirror()], tmp_path, root=repository.files["metadata/timestamp.json"])


def test_a_role_with_a_name_that_is_a_path(repository: Repository, reader: Reader) -> None:
    for number, name in enumerate(("../../evil", "..", "a b", "x" * 300, "\u00e9")):
        repository.signers[name] = repository.signers["vision"]
        repository.delegate(name, ["vision/*"])
        assert repository.targets.delegations is not None
        assert repository.targets.delegations.roles is not None
        repository.targets.delegations.roles = {name: repository.targets.delegations.roles[name]}
        repository.targets.version = number + 2
        repository.write("targets", repository.targets)
        repository.snapshot.meta = {"targets.json": MetaFile(number + 2), f"{name}.json": MetaFile(1)}
        repository.snapshot.meta["vision.json"] = MetaFile(10)
        repository.snapshot.version += 1
        repository.write("snapshot", repository.snapshot)
        repository.timestamp.version += 1
        repository.timestamp.snapshot_meta = MetaFile(repository.snapshot.version)
        repository.write("timestamp", repository.timestamp)
        with pytest.raises(MalformedError, match="a role has a name"):
            reader.follow()


NOTICE = {"version": 1, "semver": "1.0.0", "oldest": 1, "signers": [SIGNER]}


@pytest.mark.parametrize(
    "custom",
    [
        {},
        [],
        "x",
        {"edgekit": 1},
        {"edgekit": {}},
        {"edgekit": NOTICE | {"version": 0}},
        {"edgekit": NOTICE | {"version": True}},
        {"edgekit": NOTICE | {"version": 2**40}},
        {"edgekit": NOTICE | {"oldest": 2}},
        {"edgekit": NOTICE | {"semver": "1"}},
        {"edgekit": NOTICE | {"semver": 1}},
        {"edgekit": NOTICE | {"signers": []}},
        {"edgekit": NOTICE | {"signers": [SIGNER] * 17}},
        {"edgekit": NOTICE | {"signers": ["x" * 2000]}},
        {"edgekit": NOTICE | {"signers": SIGNER}},
    ],
)
def test_a_release_that_is_not_told_properly(repository: Repository, reader: Reader, custom: object) -> None:
    repository.release(MODEL, custom=custom)
    repository.publish()
    with pytest.raises(MalformedError):
        reader.follow()


def test_a_release_index_that_is_too_large(repository: Repository, reader: Reader) -> None:
    for index in (b"x" * (client.LARGEST_INDEX_BYTES + 1), b""):
        repository.release(MODEL, index=index)
        repository.publish()
        with pytest.raises(MalformedError, match="release index"):
            reader.follow()


def test_the_clock_is_aware_of_its_zone(reader: Reader) -> None:
    assert isinstance(client.utc_now(), datetime)
    assert client.utc_now().tzinfo is not None
