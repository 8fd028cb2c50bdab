"""Deltas of a release: made for what readers have, signed with it, kept as long as they lead somewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.channel.client import fetch_deltas
from edgekit.delta import codecs
from edgekit.delta.applying import apply_delta
from edgekit.delta.index import Delta, read_index
from edgekit.errors import InputError, StorageError, UnknownTargetError
from edgekit.publish import deltas as module
from edgekit.publish.publishing import Published, publish
from edgekit.publish.release_changes import withdraw
from edgekit.publish.status import status_of
from tests.delta.files import blob_of
from tests.publish.lab import MODEL, Lab
from tests.publish.related import FILE, MODELS, related


def bundle(lab: Lab, version: int, *, model: bytes | None = None, name: str = MODEL) -> Path:
    """A bundle whose one model file is a change to that of the version before; made once."""
    folder = lab.folder / f"related-{version}-{name.replace('/', '-')}-{len(model or b'')}"
    if not folder.exists():
        related(folder, lab.publisher, version, name=name, model=model)
    return folder / "net.edgekit"


def put(lab: Lab, version: int, *, deltas: bool = True, last: int = 1, delta_from: tuple[Path, ...] = ()) -> Published:
    settings = replace(lab.settings(), deltas=deltas, delta_releases=last, delta_from=delta_from)
    return publish(bundle(lab, version), lab.place, settings, now=lab.now)


def offered(lab: Lab) -> tuple[Delta, ...]:
    """As a reader finds them."""
    return read_index(fetch_deltas(lab.follow(), [lab.place]))


def ways(lab: Lab) -> set[tuple[int, int]]:
    """Versions that the deltas lead from and to."""
    known = {blob_of(data).sha256: version for version, data in MODELS.items()}
    return {(known[delta.base], known[delta.target]) for delta in offered(lab)}


def test_the_first_release_has_none(lab: Lab) -> None:
    assert put(lab, 1).deltas.made == ()
    assert lab.follow().deltas is None
    with pytest.raises(UnknownTargetError):
        fetch_deltas(lab.follow(), [lab.place])


def test_a_reader_gets_from_one_release_to_the_next(lab: Lab, tmp_path: Path) -> None:
    put(lab, 1)
    (made,) = put(lab, 2).deltas.made
    assert (made.path, made.version, made.full_bytes) == (FILE, 1, len(MODELS[2]))
    assert {"zstd", "bsdiff"} <= made.tried.keys()
    (delta,) = offered(lab)
    assert delta == made.delta
    for name, data in (("base", MODELS[1]), ("patch", lab.place.files[delta.blob.file_name])):
        (tmp_path / name).write_bytes(data)
    apply_delta(delta, base=tmp_path / "base", patch=tmp_path / "patch", out=tmp_path / "out", blob=blob_of(MODELS[2]))
    assert (tmp_path / "out").read_bytes() == MODELS[2]


def test_from_other_releases_too(lab: Lab) -> None:
    for version in (1, 2):
        put(lab, version)
    put(lab, 3, delta_from=(bundle(lab, 1),))
    assert ways(lab) == {(2, 3), (1, 3)}
    put(lab, 4)
    assert ways(lab) == {(3, 4)}


@pytest.mark.parametrize(("last", "bases"), [(0, set()), (1, {3}), (2, {3, 2}), (3, {3, 2, 1}), (9, {3, 2, 1})])
def test_from_the_last_releases_of_the_channel(lab: Lab, last: int, bases: set[int]) -> None:
    for version in (1, 2, 3):
        put(lab, version, deltas=False)
    done = put(lab, 4, last=last)
    assert [each.version for each in done.deltas.made] == sorted(bases, reverse=True)
    assert done.deltas.notes == ()
    if last:
        assert ways(lab) == {(base, 4) for base in bases}


def test_three_releases_where_nothing_is_said(lab: Lab) -> None:
    for version in (1, 2, 3):
        put(lab, version)
    publish(bundle(lab, 4), lab.place, lab.settings(), now=lab.now)
    assert ways(lab) == {(3, 4), (2, 4), (1, 4)}


def test_publishing_again_looks_for_as_many_others(lab: Lab) -> None:
    """The release itself is none of the last ones."""
    for version in (1, 2, 3):
        put(lab, version, deltas=False)
    put(lab, 4)
    assert [each.version for each in put(lab, 4, last=2).deltas.made] == [2]
    assert ways(lab) == {(3, 4), (2, 4)}
    assert put(lab, 4, last=2).change is None


def test_an_earlier_release_that_is_lost_is_told_and_ends_nothing(lab: Lab) -> None:
    put(lab, 1)
    (index,) = (name for name in lab.place.files if name.startswith("targets/"))
    for version in (2, 3):
        put(lab, version)
    del lab.place.files[index]
    done = put(lab, 4, last=3)
    assert done.is_current
    assert ways(lab) == {(3, 4), (2, 4)}
    (note,) = done.deltas.notes
    assert "no deltas from an earlier release, which cannot be read" in note


def test_those_that_lead_to_a_file_that_stays_are_kept(lab: Lab) -> None:
    put(lab, 1)
    put(lab, 2)
    same = bundle(lab, 5, model=MODELS[2])
    done = publish(same, lab.place, lab.settings(), now=lab.now)
    assert len(done.deltas.kept) == 1
    assert ways(lab) == {(1, 2)}


def test_publishing_the_same_again_changes_nothing(lab: Lab) -> None:
    put(lab, 1)
    put(lab, 2)
    before = dict(lab.place.files)
    assert put(lab, 2).change is None
    assert lab.place.files == before


def test_more_ways_to_the_current_release(lab: Lab) -> None:
    put(lab, 1)
    put(lab, 2)
    put(lab, 3)
    assert ways(lab) == {(2, 3)}
    done = put(lab, 3, delta_from=(bundle(lab, 1), bundle(lab, 2)))
    assert done.is_current
    assert [each.version for each in done.deltas.made] == [1]
    assert ways(lab) == {(2, 3), (1, 3)}


def test_none_where_none_are_wanted(lab: Lab) -> None:
    put(lab, 1)
    put(lab, 2)
    before = set(lab.place.files)
    put(lab, 3, deltas=False)
    assert lab.follow().deltas is None
    assert not [name for name in set(lab.place.files) - before if "deltas" in name]


def test_they_go_with_the_model(lab: Lab) -> None:
    put(lab, 1)
    put(lab, 2)
    change = withdraw(lab.records(), MODEL, lab.now)
    assert change.files["vision"].signed.targets == {}


def test_the_status_takes_them_for_what_they_are(lab: Lab) -> None:
    put(lab, 1)
    put(lab, 2)
    found = status_of(lab.records(), lab.now)
    assert [model.name for model in found.models] == [MODEL]
    assert not any("no reader takes" in warning for role in found.roles for warning in role.warnings)


def test_a_lost_base_is_told_and_ends_nothing(lab: Lab) -> None:
    put(lab, 1)
    del lab.place.files[blob_of(MODELS[1]).file_name]
    done = put(lab, 2)
    assert done.is_current
    assert done.deltas.made == ()
    assert [f"no delta for {FILE} from version 1" in note for note in done.deltas.notes] == [True]


def test_a_current_release_that_is_damaged_is_told_and_ends_nothing(lab: Lab) -> None:
    put(lab, 1)
    index = next(name for name in lab.place.files if name.startswith("targets/"))
    lab.place.files[index] = lab.place.files[index].replace(b"sha256:", b"sha512:", 1)
    done = put(lab, 2)
    assert done.is_current
    assert "which cannot be read" in done.deltas.notes[0]


def test_an_index_that_is_damaged_is_made_anew(lab: Lab) -> None:
    put(lab, 1)
    put(lab, 2)
    index = next(name for name in lab.place.files if name.endswith("+deltas.json"))
    lab.place.files[index] = lab.place.files[index].replace(b"bsdiff", b"bsdifg")
    done = put(lab, 2, delta_from=(bundle(lab, 1),))
    assert "made anew" in done.deltas.notes[0]
    assert ways(lab) == {(1, 2)}


def test_what_is_not_installed_is_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lab, 1)
    monkeypatch.setattr(codecs, "find_spec", lambda name: None if name == "bsdiff4" else object())
    done = put(lab, 2)
    assert done.is_current
    assert "without bsdiff4: pip install 'edgekit-ml[delta]'" in done.deltas.notes[0]


def test_a_base_of_another_model(lab: Lab) -> None:
    put(lab, 1)
    before = dict(lab.place.files)
    with pytest.raises(InputError, match="holds vision/other, not vision/lite0"):
        put(lab, 2, delta_from=(bundle(lab, 1, name="vision/other"),))
    assert lab.place.files == before


def test_a_base_that_is_no_bundle(lab: Lab, tmp_path: Path) -> None:
    put(lab, 1)
    with pytest.raises(InputError, match="there is no bundle"):
        put(lab, 2, delta_from=(tmp_path / "nothing",))
    (tmp_path / "something").mkdir()
    with pytest.raises(InputError, match=r"deltas cannot be made from .*something: "):
        put(lab, 2, delta_from=(bundle(lab, 1), tmp_path / "something"))


def test_no_room_for_temporary_files(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lab, 1)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "best_delta", full)
    with pytest.raises(StorageError, match="No space left"):
        put(lab, 2)


def test_an_index_has_room_for_the_new_ones_first() -> None:
    new = Delta("a" * 64, "b" * 64, "zstd", "c" * 64, 1000, 1000)
    old = tuple(replace(new, base=f"{number:064x}") for number in range(2000))
    made = module.FileDelta("x", 1, 5000, new, b"", {})
    index = module.ReleaseDeltas((made,), old).index
    assert index is not None
    found = read_index(index)
    assert new in found
    assert len(found) == 512
