"""Bundles that are not what the publisher signed, T13 and T14: on a node, and for `edgekit verify` on the same bytes.

Stolen, where nothing else is said: the family's keys and the online key, so that the channel calls any bundle current;
but not the publisher's key, which the notice goes on naming. Every digest fits, as an attacker would see to.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.bundle.verify import verify_bundle
from edgekit.errors import (
    DigestError,
    EdgekitError,
    MalformedError,
    NodeStateError,
    RollbackError,
    SignatureError,
    SourcesError,
)  # fmt: skip
from edgekit.node.opened import look_at
from edgekit.node.status import read_status
from edgekit.node.update import Outcome
from edgekit.seal.dsse import sign_envelope
from edgekit.seal.keys import MemoryKey, generate
from edgekit.seal.oms import sign_files
from edgekit.types.strict_json import canonical
from tests.attacks.distribution.realm import Realm, ed25519
from tests.attacks.distribution.releases import MODEL, model_bytes
from tests.bundle.building import Built

Change = Callable[[Any], None]


def edited(change: Change) -> Callable[[bytes], bytes]:
    """Change a JSON document, and write it canonically again."""

    def work(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return canonical(document)

    return work


def resigned(change: Change, key: Callable[[Realm], MemoryKey]) -> Callable[[Realm], Callable[[bytes], bytes]]:
    """Change what a model signature says, and sign it again with some key, under the old hint."""

    def of(realm: Realm) -> Callable[[bytes], bytes]:
        def work(data: bytes) -> bytes:
            document = json.loads(data)
            payload = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
            change(payload)
            envelope = sign_envelope(canonical(payload), document["dsseEnvelope"]["payloadType"], key(realm))
            document["dsseEnvelope"] = envelope.to_dict()
            return canonical(document)

        return work

    return of


def the_publisher(realm: Realm) -> MemoryKey:
    return realm.keys.publisher


def signed_by(key: Callable[[Realm], MemoryKey]) -> Callable[[Realm], Built]:
    """A bundle as it should be, by another key."""
    return lambda realm: realm.bundle(3, key=key(realm))


def altered(where: str, change: Change) -> Callable[[Realm], Built]:
    """A bundle with one document changed on the way; signatures over other documents are made after that."""
    return lambda realm: realm.bundle(3, alter={where: edited(change)})


def sealed(change: Change, key: Callable[[Realm], MemoryKey] = the_publisher) -> Callable[[Realm], Built]:
    """A bundle whose first variant's signature says something else."""
    return lambda realm: realm.bundle(3, alter={"oms:first": resigned(change, key)(realm)})


def stranger(realm: Realm) -> MemoryKey:
    return generate("p256")


def narrator(realm: Realm) -> MemoryKey:
    """Its key is named by the channel, for another family."""
    realm.publish(1, name="audio/kws")
    return realm.keys.narrator


def sealed_by_ed25519(realm: Realm) -> Built:
    """A signature of the right form by the ed25519 key of a family, with its hint."""
    key = realm.keys.vision[0]

    def work(data: bytes) -> bytes:
        document = json.loads(data)
        payload = base64.b64decode(document["dsseEnvelope"]["payload"])
        document["dsseEnvelope"] = sign_envelope(payload, document["dsseEnvelope"]["payloadType"], key).to_dict()
        document["verificationMaterial"]["publicKey"]["hint"] = key.public.hint
        return canonical(document)

    return realm.bundle(3, alter={"oms:first": work})


def two_signatures(realm: Realm) -> Built:
    """The thief's beside the publisher's: stock tools look at the first one only."""

    def work(data: bytes) -> bytes:
        document = json.loads(data)
        envelope = document["dsseEnvelope"]
        other = sign_envelope(base64.b64decode(envelope["payload"]), envelope["payloadType"], generate("p256"))
        envelope["signatures"] += other.to_dict()["signatures"]
        return canonical(document)

    return realm.bundle(3, alter={"oms:first": work})


def none_in_the_envelope(document: Any) -> None:
    document["dsseEnvelope"]["signatures"] = []


def no_entry(document: Any) -> None:
    keep = [
        entry for entry in document["manifests"] if entry.get("annotations", {}).get("dev.edgekit.variant") != "first"
    ]
    document["manifests"] = keep


def swap_entries(document: Any) -> None:
    """The signature manifests of the two variants change places."""
    entries = {entry["annotations"].get("dev.edgekit.variant"): entry for entry in document["manifests"]}
    first, second = entries["first"]["annotations"], entries["second"]["annotations"]
    first["dev.edgekit.variant"], second["dev.edgekit.variant"] = "second", "first"


def signature_of_the_other_variant(realm: Realm) -> Built:
    """Deeper: the first variant's signature manifest has the right subject, and the second's signature in it."""
    good = realm.bundle(3)
    manifest = json.loads(good.blob(good.signatures["second"].sha256).read_bytes())
    layer = manifest["layers"][0]

    def work(data: bytes) -> bytes:
        return good.blob(layer["digest"].removeprefix("sha256:")).read_bytes()

    return realm.bundle(3, alter={"oms:first": work})


def signature_of_the_release_before(realm: Realm) -> Built:
    """The publisher's signature over version 2, on the files of version 3."""
    before = realm.bundle(2)
    manifest = json.loads(before.blob(before.signatures["first"].sha256).read_bytes())
    old = before.blob(manifest["layers"][0]["digest"].removeprefix("sha256:")).read_bytes()
    return realm.bundle(3, alter={"oms:first": lambda data: old})


def model_of_a_thief(realm: Realm) -> Built:
    """Everything as the publisher packed it, but the model's file; the publisher's signature is kept."""
    good = realm.bundle(3)
    manifest = json.loads(good.blob(good.signatures["first"].sha256).read_bytes())
    seal = good.blob(manifest["layers"][0]["digest"].removeprefix("sha256:")).read_bytes()
    return realm.bundle(3, contents={"model.onnx": model_bytes(666)}, alter={"oms:first": lambda data: seal})


def over(change: Callable[[dict[str, str]], None]) -> Callable[[Realm], Built]:
    """The publisher's own signature, over other names or digests than the variant's: the signer was made to."""

    def of(realm: Realm) -> Built:
        def work(data: bytes) -> bytes:
            payload = json.loads(base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"]))
            files = {item["name"]: item["digest"] for item in payload["predicate"]["resources"]}
            change(files)
            return sign_files(files, name=MODEL, key=realm.keys.publisher)

        return realm.bundle(3, alter={"oms:first": work})

    return of


def renamed(files: dict[str, str]) -> None:
    files["model.bin"] = files.pop("model.onnx")


def one_more(files: dict[str, str]) -> None:
    files["setup.py"] = "ab" * 32


def one_less(files: dict[str, str]) -> None:
    del files["golden.outputs.npz"]


def without_the_manifest(files: dict[str, str]) -> None:
    del files["manifest.json"]


def escape(payload: Any) -> None:
    payload["predicate"]["resources"][-1]["name"] = "../../evil"


def name_twice(payload: Any) -> None:
    payload["predicate"]["resources"][-1]["name"] = payload["predicate"]["resources"][0]["name"].upper()


def lie_about_the_root(payload: Any) -> None:
    payload["subject"][0]["digest"]["sha256"] = "ab" * 32


def say_something_else(payload: Any) -> None:
    payload["predicateType"] = "https://slsa.dev/provenance/v1"


def drop_layer(document: Any) -> None:
    document["layers"].pop()


def repeat_layer(document: Any) -> None:
    document["layers"].append(document["layers"][0])


def rename_layer(document: Any) -> None:
    document["layers"][-1]["annotations"]["org.opencontainers.image.title"] = "../../../evil"


def shrink_layer(document: Any) -> None:
    document["layers"][-1]["size"] = 1


def enlarge_layer(document: Any) -> None:
    document["layers"][-1]["size"] = 2**40


def lie_about_size(size: int) -> Change:
    def change(document: Any) -> None:
        for entry in document["manifests"]:
            entry["size"] = size

    return change


def foreign_manifest(realm: Realm) -> Built:
    """The image index is right, and says that its manifest.json is that of another release of the publisher's."""
    other = realm.bundle(2)
    index = json.loads(other.blob(other.image_index.sha256).read_bytes())

    def change(document: Any) -> None:
        for key in ("dev.edgekit.manifest", "dev.edgekit.manifest.size"):
            document["annotations"][key] = index["annotations"][key]

    built = realm.bundle(3, alter={"image_index": edited(change)})
    for blob in (other.path / "blobs" / "sha256").iterdir():
        built.blob(blob.name).write_bytes(blob.read_bytes())
    return built


def foreign_bundle(realm: Realm) -> Built:
    """A good bundle of another model by the same publisher, under this model's name in the channel."""
    return realm.bundle(3, name="vision/other")


Case = tuple[str, Callable[[Realm], Built], type[EdgekitError], type[EdgekitError] | None]
CASES: list[Case] = [
    ("signed by a stranger", signed_by(stranger), SignatureError, SignatureError),
    ("signed by another family's publisher", signed_by(narrator), SignatureError, SignatureError),
    ("signed with ed25519", sealed_by_ed25519, SignatureError, SignatureError),
    (
        "signed by a stranger under the publisher's hint",
        sealed(lambda payload: None, stranger),
        SignatureError,
        SignatureError,
    ),
    ("no signature listed", altered("index", no_entry), SignatureError, SignatureError),
    ("no signature in the envelope", altered("oms:first", none_in_the_envelope), MalformedError, MalformedError),
    ("two signatures", two_signatures, MalformedError, MalformedError),
    ("signatures of variants swapped in the index", altered("index", swap_entries), DigestError, DigestError),
    ("signature of the other variant", signature_of_the_other_variant, SignatureError, SignatureError),
    ("signature of the release before", signature_of_the_release_before, SignatureError, SignatureError),
    ("model of a thief", model_of_a_thief, SignatureError, SignatureError),
    ("signature over a renamed file", over(renamed), SignatureError, SignatureError),
    ("signature over one more file", over(one_more), SignatureError, SignatureError),
    ("signature over one file less", over(one_less), SignatureError, SignatureError),
    ("signature without manifest.json", over(without_the_manifest), SignatureError, SignatureError),
    ("signature over a path that escapes", sealed(escape), MalformedError, MalformedError),
    ("signature over names that differ in case", sealed(name_twice), MalformedError, MalformedError),
    ("signature whose subject is another", sealed(lie_about_the_root), MalformedError, MalformedError),
    ("signature of another kind", sealed(say_something_else), MalformedError, MalformedError),
    ("image with a file less", altered("image:first", drop_layer), MalformedError, MalformedError),
    ("image with a file twice", altered("image:first", repeat_layer), MalformedError, MalformedError),
    ("image with a file that escapes", altered("image:first", rename_layer), MalformedError, MalformedError),
    ("image with a smaller file", altered("image:first", shrink_layer), MalformedError, MalformedError),
    ("image with a file of a terabyte", altered("image:first", enlarge_layer), MalformedError, MalformedError),
    ("index with sizes of 1", altered("index", lie_about_size(1)), SourcesError, DigestError),
    ("index with sizes of a terabyte", altered("index", lie_about_size(2**40)), MalformedError, MalformedError),
    ("index with sizes below zero", altered("index", lie_about_size(-1)), MalformedError, MalformedError),
    ("manifest of another release", foreign_manifest, MalformedError, MalformedError),
    ("bundle of another model", foreign_bundle, MalformedError, None),
]


@pytest.mark.parametrize(("make", "error", "verdict"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_bundle_that_is_not_the_publishers(
    realm: Realm,
    make: Callable[[Realm], Built],
    error: type[EdgekitError],
    verdict: type[EdgekitError] | None,
) -> None:
    keys = realm.keys
    built = make(realm)
    thief = realm.mirror("mirror", *keys.vision, *keys.online)
    thief.offer(built, signers=[keys.publisher.public])
    with realm.refuses(error, learns=True):
        realm.update(thief.folder)
    assert not (realm.node / "slots" / "next" / "files").exists()
    if verdict is None:
        verify_bundle(built.path, [keys.publisher.public])
        return
    with pytest.raises(verdict) as caught:
        verify_bundle(built.path, [keys.publisher.public])
    assert type(caught.value) is verdict, caught.value


def test_an_old_release_under_a_new_number(realm: Realm) -> None:
    """The good bundle of version 1 is called version 3: what it says of itself counts too."""
    keys = realm.keys
    thief = realm.mirror("mirror", *keys.vision, *keys.online)
    thief.offer(realm.bundle(1), signers=[keys.publisher.public], version=3)
    with realm.refuses(MalformedError, match="version 1", learns=True):
        realm.update(thief.folder)


def test_an_old_release_under_its_own_number(realm: Realm) -> None:
    keys = realm.keys
    thief = realm.mirror("mirror", *keys.vision, *keys.online)
    thief.offer(realm.bundle(1), signers=[keys.publisher.public])
    with realm.refuses(RollbackError, match="version 1, after version 2", learns=True):
        realm.update(thief.folder)


# What somebody does to an installed slot.


def flip(files: Path) -> None:
    data = bytearray((files / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (files / "model.onnx").write_bytes(data)


def replace_by_a_link(files: Path) -> None:
    """The right bytes, elsewhere: today."""
    (files / "model.onnx").rename(files.parents[2] / "elsewhere")
    (files / "model.onnx").symlink_to(files.parents[2] / "elsewhere")


def add(files: Path) -> None:
    (files / "usercustomize.py").write_text("raise SystemExit")


def add_a_folder(files: Path) -> None:
    (files / "onnxruntime").mkdir()
    (files / "onnxruntime" / "__init__.py").write_text("raise SystemExit")


def remove(files: Path) -> None:
    (files / "golden.outputs.npz").unlink()


def rename(files: Path) -> None:
    (files / "golden.outputs.npz").rename(files / "golden.answers.npz")


def swap_signature(files: Path) -> None:
    other = next(path for path in files.parents[1].iterdir() if path != files.parent and path.name in "ab")
    (files.parent / "model.sig").write_bytes((other / "model.sig").read_bytes())


@pytest.mark.parametrize(
    "damage",
    [flip, replace_by_a_link, add, add_a_folder, remove, rename, swap_signature],
    ids=lambda damage: damage.__name__,
)
def test_a_slot_that_somebody_changed_is_not_used(realm: Realm, damage: Callable[[Path], None]) -> None:
    """Before use every file is hashed; the next round goes back to the other slot, or fetches the release anew."""
    slot = (realm.node / "current").resolve()
    damage(slot / "files")
    with pytest.raises(NodeStateError, match="must not run"):
        realm.answer()
    status = read_status(look_at(realm.node, realm.world), thorough=True)
    assert status.running is None
    realm.run_once()
    assert realm.answer() in (1, 2)
    assert realm.update().outcome in (Outcome.UNCHANGED, Outcome.INSTALLED)
    assert realm.answer() == 2


def test_keys_of_other_kinds_are_no_signers(realm: Realm) -> None:
    """The notice names an ed25519 key: nothing that it signed counts for a model."""
    keys, own = realm.keys, ed25519()
    thief = realm.mirror("mirror", *keys.vision, *keys.online)
    thief.offer(realm.bundle(3), signers=[own.public])
    with realm.refuses(SignatureError, match="P-256", learns=True):
        realm.update(thief.folder)
