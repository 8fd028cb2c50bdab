"""What a thief, or whoever runs the server, tries with a writer or a co-signer: nothing unseen gets signed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from edgekit.channel.tuf_objects import TargetFile
from edgekit.errors import EdgekitError, InputError, MalformedError, RollbackError, SignatureError
from edgekit.publish.change import Change, change_of, next_metadata, sign_change
from edgekit.publish.describing import describe
from edgekit.publish.enforcing import put_in_force
from edgekit.publish.founding import plan_channel
from edgekit.publish.key_changes import Rotation, rotate_keys
from edgekit.publish.key_names import name_key
from edgekit.publish.records import has_channel, read_records
from edgekit.publish.release_changes import prolong
from edgekit.publish.request import check_begins, read_request, write_request
from edgekit.publish.status import status_of
from edgekit.transport.file import FileTransport
from edgekit.types.strict_json import canonical
from tests.channel.memory import MemoryTransport
from tests.publish.lab import Lab, key


def test_a_co_signer_is_not_taken_in_by_a_request_that_invents_what_is_in_force(lab: Lab, tmp_path: Path) -> None:
    """A thief founds a channel of his own in which the co-signer's key counts too, and asks for a "renewal"."""
    thief = Lab(tmp_path / "thief", targets=[key(), *lab.targets])
    thief.vision = [key(), key()]
    change = plan_channel(thief.plan(), thief.now)
    sign_change(change, [*thief.root[:2], thief.targets[0], *thief.vision])
    put_in_force(thief.place, None, change, thief.online, thief.now)
    forged = read_request(write_request(prolong(thief.records(), ("targets",), None, thief.now)), where="it")
    assert not any("vision" in line for line in describe(forged))
    assert sum(str(each.public) in line for each in thief.vision for line in describe(forged, whole=True)) >= 2
    root = lab.place.files["metadata/1.root.json"]
    with pytest.raises(SignatureError, match="not the trusted root"):
        check_begins(forged, root)
    check_begins(prolong(lab.records(), ("targets",), None, lab.now), root)
    with pytest.raises(InputError, match="founds a new channel"):
        check_begins(change, root)


@pytest.mark.parametrize(
    ("field", "value", "error"), [("restart", True, InputError), ("periods", {"timestamp": 87600}, MalformedError)]
)
def test_what_no_signature_covers_cannot_be_slipped_into_a_request(
    lab: Lab, field: str, value: object, error: type[EdgekitError]
) -> None:
    change = prolong(lab.records(), ("vision",), None, lab.now)
    sign_change(change, lab.vision)
    document = json.loads(write_request(change))
    document[field] = value
    with pytest.raises(error):
        read_request(canonical(document), where="it")


def test_versions_do_not_begin_again_under_the_same_keys(lab: Lab) -> None:
    change = Change("", {}, {"root": lab.records().metadata["root"]}, restart=True)
    with pytest.raises(InputError, match="cannot begin again"):
        put_in_force(lab.place, lab.records(), change, lab.online, lab.now)


def test_a_new_channels_periods_are_shown(lab: Lab) -> None:
    assert "timestamp: valid for 87600 hours, which no signature covers" in describe(
        plan_channel(lab.plan({"timestamp": timedelta(hours=87600)}), lab.now)
    )


def test_what_a_revoked_online_key_signed_is_not_built_upon(lab: Lab) -> None:
    """Who stole it, and the server, puts the state of before the revocation back under the new root."""
    lab.publish(1)
    before = dict(lab.place.files)
    lab.publish(2, oldest=2)
    new = [key()]
    rotation = Rotation(("snapshot", "timestamp"), (new[0].public,), (lab.online[0].public,))
    change = rotate_keys(lab.records(), rotation, lab.now)
    lab.online = new
    lab.enforce(change, *lab.root[:2])
    lab.place.files["metadata/timestamp.json"] = before["metadata/timestamp.json"]
    with pytest.raises(SignatureError, match="not complete"):
        lab.records()
    with pytest.raises(SignatureError, match="not complete"):
        read_records(lab.place, resuming=plan_channel(lab.plan(), lab.now).files["root"])
    assert read_records(lab.place, resuming=change.files["root"]).root.version == 1


def test_what_a_family_signed_beyond_its_models_is_told_and_passes_for_no_model(lab: Lab) -> None:
    lab.publish(1)
    records = lab.records()
    metadata = next_metadata("vision", records.metadata["vision"], lab.now)
    real = metadata.signed.targets["vision/lite0.json"]
    for path in ("vision/\x1b[2J\r.json", "audio/kws.json", "vision/lite0"):
        metadata.signed.targets[path] = TargetFile(1, real.hashes, path, dict(real.unrecognized_fields))
    metadata.signed.targets["vision/bare.json"] = TargetFile(1, real.hashes, "vision/bare.json")
    lab.enforce(change_of(records, "", {"vision": metadata}), *lab.vision)
    found = status_of(lab.records(), lab.now)
    assert [model.name for model in found.models] == ["vision/lite0"]
    warnings = found.roles[-1].warnings
    assert len(warnings) == 4
    assert all(warning.isprintable() for warning in warnings)


def test_two_keys_of_one_label_are_both_shown(lab: Lab) -> None:
    """A field called like a key's name, beside one called like its id: the one must not hide the other."""
    records = lab.records()
    metadata = next_metadata("targets", records.metadata["targets"], lab.now)
    keyid, known = next(iter(metadata.signed.delegations.keys.items()))
    metadata.signed.unrecognized_fields |= {keyid: "evil", name_key(known): "good"}
    lines = describe(change_of(records, "", {"targets": metadata}))
    assert any("evil" in line for line in lines)
    assert any("good" in line for line in lines)


@pytest.mark.parametrize("moment", range(5))
def test_a_founding_that_was_interrupted_can_be_done_again(tmp_path: Path, moment: int) -> None:
    lab = Lab(tmp_path / "x")

    class Killed(MemoryTransport):
        def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
            if len(self.writes) == moment:
                raise KeyboardInterrupt
            super().write(name, chunks, size_bytes=size_bytes)

    place = lab.place
    lab.place = Killed(place.files)
    with pytest.raises(KeyboardInterrupt):
        lab.found()
    lab.place = place
    assert not has_channel(place)
    lab.now += timedelta(minutes=1)
    lab.found()
    assert lab.records().families == ("vision",)


def test_of_two_writers_in_one_folder_the_second_waits_and_is_refused(lab: Lab, tmp_path: Path) -> None:
    """Between a look at the timestamp and the last file nobody else may write, or two states get the same version."""
    folder = tmp_path / "channel"
    for name, data in lab.place.files.items():
        FileTransport(folder).write(name, [data], size_bytes=len(data))
    begun, go = threading.Event(), threading.Event()

    class Slow(FileTransport):
        def write(self, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
            begun.set()
            assert go.wait(30)
            super().write(name, chunks, size_bytes=size_bytes)

    told: dict[type, object] = {}

    def work(place: FileTransport) -> None:
        try:
            told[type(place)] = put_in_force(place, records, Change("", {}), lab.online, lab.now)
        except EdgekitError as error:
            told[type(place)] = error

    records = read_records(FileTransport(folder))
    first = threading.Thread(target=work, args=(Slow(folder),))
    first.start()
    assert begun.wait(30)
    second = threading.Thread(target=work, args=(FileTransport(folder),))
    second.start()
    second.join(0.3)
    assert told == {}
    go.set()
    first.join(30)
    second.join(30)
    assert isinstance(told[Slow], tuple)
    assert isinstance(told[FileTransport], RollbackError)
