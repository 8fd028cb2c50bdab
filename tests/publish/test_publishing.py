"""`publish`: what readers see, in which order it is written, and what is refused before anything is moved."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.bundle.opening import open_bundle
from edgekit.errors import (
    DigestError,
    EdgekitError,
    InputError,
    KeyFileError,
    RollbackError,
    SignatureError,
    TransferError,
    UnknownTargetError,
)
from edgekit.publish.publishing import publish
from edgekit.publish.upload import upload_blobs
from edgekit.seal.keys import generate
from edgekit.transport.file import FileTransport
from edgekit.types.progress import Silent
from tests.channel.memory import MemoryTransport
from tests.publish.lab import Lab, key


def test_a_release_is_found_by_readers(lab: Lab) -> None:
    done = lab.publish(1)
    found = lab.follow()
    assert done.is_current
    assert found.index == (lab.bundle(1) / "index.json").read_bytes()
    assert (found.notice.version, found.notice.semver, found.notice.oldest) == (1, "1.0.0", 1)
    assert found.notice.keys == (lab.publisher.public,)
    for blob in (lab.bundle(1) / "blobs" / "sha256").iterdir():
        assert lab.place.files[f"blobs/sha256/{blob.name}"] == blob.read_bytes()


def test_the_signers_stay_as_they_are(lab: Lab) -> None:
    lab.publish(1)
    done = publish(lab.bundle(2), lab.place, lab.settings(signers=()), now=lab.now)
    assert done.notice.keys == (lab.publisher.public,)
    assert lab.follow().notice.version == 2


def test_bytes_come_first_and_the_timestamp_last(lab: Lab) -> None:
    lab.place.writes.clear()
    lab.publish(1)
    kinds = [name.split("/")[0] for name in lab.place.writes]
    assert kinds == sorted(kinds, key=["blobs", "torrents", "targets", "metadata"].index)
    assert lab.place.writes[-3:] == [
        "metadata/2.vision.json", "metadata/2.snapshot.json", "metadata/timestamp.json",
    ]  # fmt: skip


def test_what_is_there_is_not_sent_again(lab: Lab) -> None:
    lab.publish(1)
    lab.place.writes.clear()
    done = publish(lab.bundle(2), lab.place, lab.settings(), now=lab.now)
    sent = [name for name in lab.place.writes if name.startswith("blobs/")]
    assert len(sent) == done.uploaded.blobs
    assert done.uploaded.present > 0
    assert done.uploaded.size_bytes == sum(len(lab.place.files[name]) for name in sent)


def test_a_blob_of_another_length_is_replaced(lab: Lab) -> None:
    blob = next((lab.bundle(1) / "blobs" / "sha256").iterdir())
    name = f"blobs/sha256/{blob.name}"
    for broken in (b"", blob.read_bytes()[:-1], blob.read_bytes() + b"x"):
        lab.place.files[name] = broken
        publish(lab.bundle(1), lab.place, lab.settings(), now=lab.now)
        assert lab.place.files[name] == blob.read_bytes()


def test_a_blob_that_changed_after_it_was_verified_is_not_published(lab: Lab) -> None:
    with open_bundle(lab.bundle(1)) as bundle:
        file = lab.bundles[1].file("model.v0.onnx")
        file.write_bytes(bytes(file.stat().st_size))
        with pytest.raises(DigestError, match="changed while it was published"):
            upload_blobs(lab.place, bundle, progress=Silent())
    assert f"blobs/sha256/{file.name}" not in lab.place.files


def test_publishing_the_same_again_changes_nothing(lab: Lab) -> None:
    lab.publish(1)
    before = dict(lab.place.files)
    done = lab.publish(1)
    assert (done.change, done.written) == (None, ())
    assert done.is_current
    assert lab.place.files == before


def test_another_notice_of_the_same_release(lab: Lab) -> None:
    lab.publish(1)
    lab.publish(2)
    lab.publish(2, oldest=2)
    assert lab.follow().notice.oldest == 2


def test_a_writer_that_is_killed_leaves_the_channel_as_it_was(lab: Lab) -> None:
    """At every moment readers see the old release or the new one; and the writer can begin again."""
    lab.publish(1)
    before = dict(lab.place.files)
    indexes = [(lab.bundle(version) / "index.json").read_bytes() for version in (1, 2)]
    for moment in range(100):
        lab.place.files = dict(before)
        try:
            publish(lab.bundle(2), KilledTransport(lab.place.files, moment), lab.settings(), now=lab.now)
        except TransferError:
            assert lab.follow(f"reader-{moment}").index == indexes[0]
            lab.publish(2)
            assert lab.follow(f"reader-{moment}").index == indexes[1]
        else:
            break
    assert moment > 8
    assert lab.follow("last").index == indexes[1]


class KilledTransport(MemoryTransport):
    """Fails from the n-th write on."""

    def __init__(self, files: object, moment: int) -> None:
        super().__init__(files)  # type: ignore[arg-type]
        self.left = moment

    def write(self, name: str, chunks: object, *, size_bytes: int) -> None:
        if self.left <= 0:
            raise TransferError("killed", source=self.url)
        self.left -= 1
        super().write(name, chunks, size_bytes=size_bytes)  # type: ignore[arg-type]


def test_versions_go_forward(lab: Lab) -> None:
    lab.publish(3)
    before = dict(lab.place.files)
    with pytest.raises(RollbackError, match="is at version 3") as caught:
        lab.publish(2)
    assert "--version 4" in caught.value.hint
    assert lab.place.files == before


def test_the_same_version_with_other_bytes(lab: Lab) -> None:
    lab.publish(1)
    other = generate("p256")
    path = lab.bundle(1, signer=other)
    with pytest.raises(RollbackError, match="is at version 1"):
        publish(path, lab.place, lab.settings(signers=(other.public,)), now=lab.now)


def test_oldest_never_goes_down(lab: Lab) -> None:
    lab.publish(2, oldest=2)
    with pytest.raises(RollbackError, match="cannot be undone"):
        lab.publish(3, oldest=1)
    with pytest.raises(InputError, match="--oldest 4"):
        lab.publish(3, oldest=4)
    assert lab.publish(3).notice.oldest == 2


def test_a_bundle_of_another_signer_is_refused_before_anything_is_moved(lab: Lab) -> None:
    before = dict(lab.place.files)
    with pytest.raises(SignatureError):
        publish(lab.bundle(1, signer=generate("p256")), lab.place, lab.settings(), now=lab.now)
    assert lab.place.files == before


def test_an_altered_bundle_is_refused(lab: Lab) -> None:
    lab.bundle(1)
    file = lab.bundles[1].file("model.v0.onnx")
    file.write_bytes(bytes(len(file.read_bytes())))
    before = dict(lab.place.files)
    with pytest.raises(DigestError):
        lab.publish(1)
    assert lab.place.files == before


def test_a_first_publication_names_its_signer(lab: Lab) -> None:
    with pytest.raises(InputError, match="does not know yet who signs") as caught:
        publish(lab.bundle(1), lab.place, lab.settings(signers=()), now=lab.now)
    assert "--signer" in caught.value.hint


def test_a_signer_of_models_is_a_p256_key(lab: Lab) -> None:
    with pytest.raises(InputError, match="P-256 key"):
        publish(lab.bundle(1), lab.place, lab.settings(signers=(key().public,)), now=lab.now)
    many = tuple(generate("p256").public for _ in range(17))
    with pytest.raises(InputError, match="17 signers"):
        publish(lab.bundle(1), lab.place, lab.settings(signers=many), now=lab.now)


def test_a_family_that_is_not_there(lab: Lab) -> None:
    with pytest.raises(InputError, match="no family 'audio'; it has vision") as caught:
        publish(lab.bundle(1, name="audio/kws"), lab.place, lab.settings(), now=lab.now)
    assert "edgekit channel family" in caught.value.hint


def test_a_key_that_may_not_publish_is_told_before_anything_is_moved(lab: Lab) -> None:
    before = dict(lab.place.files)
    with pytest.raises(KeyFileError, match="may sign none of vision") as caught:
        publish(lab.bundle(1), lab.place, lab.settings(keys=[key()]), now=lab.now)
    assert str(lab.vision[0].public) in caught.value.hint
    assert lab.place.files == before


def test_below_the_threshold_nobody_sees_it(lab: Lab) -> None:
    done = publish(lab.bundle(1), lab.place, lab.settings(keys=lab.vision[:1]), now=lab.now)
    assert not done.is_current
    assert done.change is not None
    assert done.written == ()
    with pytest.raises(UnknownTargetError):
        lab.follow()
    assert lab.enforce(done.change, lab.vision[1])[-1] == "metadata/timestamp.json"
    assert lab.follow().notice.version == 1


def test_without_the_online_key_nobody_sees_it(lab: Lab) -> None:
    done = publish(lab.bundle(1), lab.place, replace(lab.settings(), online=()), now=lab.now)
    assert not done.is_current


def test_the_wrong_online_key(lab: Lab) -> None:
    wrong = replace(lab.settings(), online=(key(),))
    with pytest.raises(KeyFileError, match="snapshot is signed by") as caught:
        publish(lab.bundle(1), lab.place, wrong, now=lab.now)
    assert "--online-key" in caught.value.hint


def test_a_channel_that_does_not_begin_with_the_trusted_root(lab: Lab, tmp_path: Path) -> None:
    other = Lab(tmp_path / "other")
    other.found()
    trust = other.place.files["metadata/1.root.json"]
    with pytest.raises(SignatureError):
        publish(lab.bundle(1), lab.place, replace(lab.settings(), trust=trust), now=lab.now)
    trust = lab.place.files["metadata/1.root.json"]
    assert publish(lab.bundle(1), lab.place, replace(lab.settings(), trust=trust), now=lab.now).is_current


def test_no_channel(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no channel at") as caught:
        publish(lab.bundle(1), FileTransport(tmp_path / "nothing"), lab.settings(), now=lab.now)
    assert "edgekit channel init" in caught.value.hint


def test_metadata_that_somebody_altered_is_not_signed_again(lab: Lab) -> None:
    """Whoever holds the server adds a target to the family's metadata, and waits for its signers to sign it in."""
    lab.publish(1)
    name = "metadata/2.vision.json"
    document = json.loads(lab.place.files[name])
    document["signed"]["targets"]["vision/evil.json"] = document["signed"]["targets"]["vision/lite0.json"]
    lab.place.files[name] = json.dumps(document).encode()
    with pytest.raises(EdgekitError) as caught:
        lab.publish(2)
    assert type(caught.value) in (SignatureError, DigestError)


def test_two_writers_at_once(lab: Lab) -> None:
    """The second one sees that the channel moved under it, and changes nothing."""

    class Racing(MemoryTransport):
        def write(self, name: str, chunks: object, *, size_bytes: int) -> None:
            if not lab.place.writes or "timestamp" not in lab.place.writes[-1]:
                lab.publish(2)
            super().write(name, chunks, size_bytes=size_bytes)  # type: ignore[arg-type]

    lab.place.writes.clear()
    with pytest.raises(RollbackError, match="by somebody else"):
        publish(lab.bundle(1), Racing(lab.place.files), lab.settings(), now=lab.now)
    assert lab.follow().notice.version == 2


def test_a_channel_in_a_folder(lab: Lab, tmp_path: Path) -> None:
    lab.place = FileTransport(tmp_path / "channel")  # type: ignore[assignment]
    lab.found()
    lab.publish(1)
    index = (lab.bundle(1) / "index.json").read_bytes()
    sha256 = hashlib.sha256(index).hexdigest()
    assert (tmp_path / "channel" / "targets" / "vision" / f"{sha256}.lite0.json").read_bytes() == index
    assert (tmp_path / "channel" / "metadata" / "timestamp.json").is_file()
    for blob in (lab.bundle(1) / "blobs" / "sha256").iterdir():
        written = tmp_path / "channel" / "blobs" / "sha256" / blob.name
        written.write_bytes(bytes(blob.stat().st_size))  # as a disk or an interrupted copy leaves it
        assert lab.publish(1).uploaded.blobs == 1
        assert written.read_bytes() == blob.read_bytes()
