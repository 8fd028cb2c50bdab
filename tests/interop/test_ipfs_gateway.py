"""`ipfs:` fetches from a gateway that is none of ours, what `edgekit share` wrote and what others cut in other ways.

The gateway is made with web3.storage's library of gateways. kubo's cannot be had: its library is built without it.
"""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.addressing.car import write_car
from edgekit.addressing.cid import parse_cid
from edgekit.bundle.verify import verify_bundle
from edgekit.errors import DigestError, MalformedError, SourcesError, TransferError
from edgekit.node.disk import Disk
from edgekit.node.settings import NodeSettings
from edgekit.node.setup import set_up
from edgekit.share.sharing import share_bundle
from edgekit.transport.fetch import Sources
from edgekit.transport.opening import opened
from edgekit.types.blob import Blob
from tests.bundle.building import Built
from tests.gateway.raw import ask
from tests.interop.ipfs_programs import Cut, cut, gateway_of, helia
from tests.node.scene import MODEL, Scene
from tests.transport.ipfs_blocks import InIpfs, called, in_ipfs

MIB = 2**20
SMALL = in_ipfs(70_000, seed=11)
LARGE = in_ipfs(5 * MIB + 77, seed=12)
OTHER_CUTS = (
    (Cut("chunks of 256 KiB", {"chunk": 2**18, "children": 1024}), "no node of a file with"),
    (Cut("few links", {"chunk": MIB, "children": 3}), "no node of a file with"),
    (Cut("trickle", {"chunk": MIB, "children": 3, "layout": "trickle"}), "no node of a file with"),
    (Cut("leaves with a frame", {"chunk": MIB, "children": 1024, "rawLeaves": False}), "no leaf of its tree"),
    (Cut("CIDv0", {"chunk": MIB, "children": 1024, "rawLeaves": False, "cidVersion": 0}), "no CIDv1"),
)


def cid_of(made: InIpfs) -> str:
    assert made.blob.addresses
    return made.blob.addresses.cid


def car_of(path: Path, made: InIpfs, *, without: Iterable[str] = (), instead: dict[str, bytes] | None = None) -> Path:
    """The CAR of a file; paths of blocks that it lacks, and of blocks that are others than they say."""
    blocks = {name: data for name, data in (made.blocks | (instead or {})).items() if name not in set(without)}
    with path.open("wb") as out:
        write_car(out, parse_cid(cid_of(made)), [(parse_cid(name[5:64]), data) for name, data in blocks.items()])
    return path


@contextmanager
def sources(*urls: str) -> Iterator[Sources]:
    with opened(urls) as transports:
        yield Sources(transports)


def read(url: str, blob: Blob) -> bytes:
    """A blob from a gateway alone, with the error of its transport where there is one."""
    with (
        opened([url]) as (transport,),
        transport.read_blob(blob, start=0, stop=blob.size_bytes, scratch=None) as chunks,
    ):
        return b"".join(chunks)


def mirror_of(folder: Path, made: InIpfs) -> str:
    """A folder that has the file by its sha256."""
    place = folder / "mirror" / made.blob.file_name
    place.parent.mkdir(parents=True)
    place.write_bytes(made.data)
    return str(folder / "mirror")


def test_files_come_from_it(tmp_path: Path) -> None:
    cars = [car_of(tmp_path / f"{made.blob.size_bytes}.car", made) for made in (SMALL, LARGE)]
    with gateway_of(*cars) as url, sources(f"ipfs:{url}") as found:
        for made in (SMALL, LARGE):
            found.fetch(made.blob, tmp_path / "got")
            assert (tmp_path / "got").read_bytes() == made.data
        assert not found.faults


def test_a_whole_bundle_comes_from_it(three_platforms: Built, tmp_path: Path) -> None:
    """All but the two files that have a name instead of a digest, which a channel has."""
    bundle, copy = three_platforms.path, tmp_path / "copy"
    shared = share_bundle(bundle, tmp_path / "shared")
    models = {file.sha256: file.blob for file in three_platforms.draft.manifest.files}
    names = sorted(place.name for place in (bundle / "blobs" / "sha256").iterdir())
    (copy / "blobs" / "sha256").mkdir(parents=True)
    for name in ("index.json", "oci-layout"):
        shutil.copy(bundle / name, copy)
    with gateway_of(shared.car) as url, sources(f"ipfs:{url}") as found:
        for name in names:
            blob = models.get(name) or Blob(name, three_platforms.blob(name).stat().st_size)
            found.fetch(blob, copy / "blobs" / "sha256" / name)
        assert not found.faults
    assert filecmp.cmpfiles(bundle / "blobs" / "sha256", copy / "blobs" / "sha256", names, shallow=False)[0] == names
    verify_bundle(copy, [three_platforms.key.public])


def test_helia_takes_the_folder_of_a_bundle_from_it(three_platforms: Built, tmp_path: Path) -> None:
    shared = share_bundle(three_platforms.path, tmp_path / "shared")
    with gateway_of(shared.car) as url:
        done = helia("get", url, shared.cid, tmp_path / "copy")
    assert done.returncode == 0, done.stderr
    verify_bundle(tmp_path / "copy", [three_platforms.key.public])


def test_a_node_installs_a_bundle_from_it(tmp_path: Path) -> None:
    """The channel has metadata alone; every other file, from the index to the model, comes as blocks of one CAR."""
    scene = Scene(tmp_path)
    built = scene.publisher.release(1, size_bytes=2_500_000)
    shutil.rmtree(scene.publisher.folder / "blobs")
    shared = share_bundle(built.path, tmp_path / "shared")
    with gateway_of(shared.car) as url:
        settings = NodeSettings(MODEL, (str(scene.publisher.folder),), sources=(f"ipfs:{url}",))
        set_up(scene.path, settings, scene.publisher.repository.first_root, None, disk=Disk())
        scene.update()
    assert scene.version() == 1
    slot = scene.serving().folder
    for file in built.draft.manifest.files:
        if (slot / "files" / file.path).is_file():  # those of this machine's variant
            assert (slot / "files" / file.path).read_bytes() == built.file(file.path).read_bytes()
    assert (slot / "files" / built.draft.manifest.variants[0].model).is_file()


def test_without_it_the_same_node_installs_nothing(tmp_path: Path) -> None:
    """The test above can fail."""
    scene = Scene(tmp_path)
    scene.publisher.release(1)
    shutil.rmtree(scene.publisher.folder / "blobs")
    scene.set_up()
    with pytest.raises(SourcesError):
        scene.update()


def test_a_block_that_it_lacks(tmp_path: Path) -> None:
    with gateway_of(car_of(tmp_path / "car", LARGE, without=[LARGE.leaf(3)])) as url:
        with pytest.raises(TransferError, match="was refused with status 500"):
            read(f"ipfs:{url}", LARGE.blob)
        with sources(f"ipfs:{url}") as found, pytest.raises(SourcesError) as caught:
            found.fetch(LARGE.blob, tmp_path / "got")
        assert LARGE.leaf(3)[5:64] in caught.value.faults[f"ipfs:{url}"]
        assert not (tmp_path / "got").exists()
        with sources(f"ipfs:{url}", mirror_of(tmp_path, LARGE)) as found:
            found.fetch(LARGE.blob, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == LARGE.data


def test_a_block_that_is_another_one(tmp_path: Path) -> None:
    """It passes on whatever is in its store."""
    car = car_of(tmp_path / "car", LARGE, instead={LARGE.leaf(3): bytes(MIB)})
    with gateway_of(car) as url:
        with pytest.raises(DigestError, match=f"sent another block than {LARGE.leaf(3)[5:64]}"):
            read(f"ipfs:{url}", LARGE.blob)
        with sources(f"ipfs:{url}") as found, pytest.raises(SourcesError):
            found.fetch(LARGE.blob, tmp_path / "got")
        assert found.dropped == (f"ipfs:{url}",)
        with sources(f"ipfs:{url}", mirror_of(tmp_path, LARGE)) as found:
            found.fetch(LARGE.blob, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == LARGE.data


def test_helia_cuts_a_file_as_we_do_when_it_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE.data)
    assert cut(tmp_path / "file", tmp_path / "car", Cut("ours", {"chunk": MIB, "children": 1024})) == cid_of(LARGE)
    with gateway_of(tmp_path / "car") as url:
        assert read(f"ipfs:{url}", LARGE.blob) == LARGE.data


@pytest.mark.parametrize(("how", "said"), OTHER_CUTS, ids=str)
def test_a_file_that_is_cut_in_another_way_is_refused(how: Cut, said: str, tmp_path: Path) -> None:
    """Nobody signs such a CID but by mistake; the gateway itself gives the file for it."""
    (tmp_path / "file").write_bytes(LARGE.data)
    cid = cut(tmp_path / "file", tmp_path / "car", how)
    assert LARGE.blob.addresses
    blob = replace(LARGE.blob, addresses=replace(LARGE.blob.addresses, cid=cid))
    with gateway_of(tmp_path / "car") as url:
        whole = ask(int(url.rpartition(":")[2]), f"/ipfs/{cid}")
        assert whole.body.endswith(LARGE.data[-1000:])
        with pytest.raises(MalformedError, match=said):
            read(f"ipfs:{url}", blob)
        with sources(f"ipfs:{url}", mirror_of(tmp_path, LARGE)) as found:
            found.fetch(blob, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == LARGE.data


def test_a_folder_over_several_nodes_is_no_file(tmp_path: Path) -> None:
    done = helia("shard", "3000", tmp_path / "car")
    assert done.returncode == 0, done.stderr
    with gateway_of(tmp_path / "car") as url, pytest.raises(MalformedError, match="spread over several nodes"):
        read(f"ipfs:{url}", called(LARGE.blob, done.stdout.strip()))
