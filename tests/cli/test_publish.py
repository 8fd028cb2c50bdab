"""`edgekit publish`: what it says, what it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.publish import registry
from tests.cli.channel_desk import INIT, PUBLISH, Desk, make_desk
from tests.publish.related import FILE, related


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    monkeypatch.chdir(tmp_path)
    made = make_desk(tmp_path, capsys)
    made.run(INIT)
    return made


def test_publishes(desk: Desk) -> None:
    told = desk.run(f"publish {desk.bundle(1)} {PUBLISH} --signer publisher.pub")
    assert "vision/lite0 version 1 (1.0.0)" in told
    assert f"model signature by {desk.publisher.public}: verified" in told
    assert f"{desk.keys['vision-1'].public} signed vision" in told
    assert "current in channel" in told
    assert "nothing to do" in desk.run(f"publish {desk.bundle(1)} {PUBLISH}")


def test_as_data(desk: Desk) -> None:
    found = desk.data(f"publish {desk.bundle(2)} {PUBLISH} --signer publisher.pub --oldest 2")
    assert (found["name"], found["version"], found["semver"], found["oldest"]) == ("vision/lite0", 2, "2.0.0", 2)
    assert found["current"] is found["in_force"] is True
    assert found["signers"] == [str(desk.publisher.public)]
    assert found["written"] == ["metadata/2.vision.json", "metadata/2.snapshot.json", "metadata/timestamp.json"]
    assert found["missing"] == []
    assert found["uploaded"]["present"] == 0
    assert Path(f"channel/targets/vision/{found['release_digest'][7:]}.lite0.json").is_file()
    again = desk.data(f"publish {desk.bundle(2)} {PUBLISH}")
    assert again["current"] is True
    assert again["uploaded"]["blobs"] == 0


def test_what_lacks_signatures_becomes_a_request(desk: Desk) -> None:
    some = "--to channel --key vision-1.key --online-key online.key"
    told = desk.run(f"publish {desk.bundle(1)} {some} --signer publisher.pub")
    assert f"1 more of {desk.keys['vision-2'].public}" in told
    assert "edgekit channel sign vision-2.request.json --key KEY" in told
    found = desk.data(f"publish {desk.bundle(1)} {some} --signer publisher.pub --request other.json")
    assert (found["current"], found["request"]) == (False, "other.json")
    assert found["missing"][0]["keys"] == [str(desk.keys["vision-2"].public)]
    desk.run("channel sign other.json --key vision-2.key")
    desk.run("channel apply other.json --to channel --online-key online.key")
    assert desk.data("channel status channel")["models"][0]["version"] == 1


def test_deltas(desk: Desk) -> None:
    for version in (1, 2, 3):
        related(Path(f"related-{version}"), desk.publisher, version, name="vision/lite0")
    desk.run(f"publish related-1/net.edgekit {PUBLISH} --signer publisher.pub")
    told = desk.run(f"publish related-2/net.edgekit {PUBLISH}")
    assert f"{FILE} from version 1: " in told
    assert "instead of 40.0 kB" in told
    assert "zstd " in told
    found = desk.data(f"publish related-3/net.edgekit {PUBLISH} --delta-releases 1 --delta-from related-1/net.edgekit")
    assert [each["from_version"] for each in found["deltas"]] == [2, 1]
    assert {"path", "codec", "size_bytes", "full_bytes", "tried"} < found["deltas"][0].keys()
    assert found["deltas"][0]["size_bytes"] == min(found["deltas"][0]["tried"].values())
    assert len(list(Path("channel/targets/vision").glob("*.lite0+deltas.json"))) == 2
    none = desk.data(f"publish related-3/net.edgekit {PUBLISH} --no-deltas")
    assert (none["deltas"], none["current"], none["log"]) == ([], True, None)
    for words, bases in (("--delta-releases 1", [2]), ("", [1])):
        found = desk.data(f"publish related-3/net.edgekit {PUBLISH} {words}")
        assert [each["from_version"] for each in found["deltas"]] == bases


def test_a_log(desk: Desk) -> None:
    desk.run("log init channel/log --origin log.example.org/models --key spare.key")
    line = f"publish {desk.bundle(1)} {PUBLISH} --signer publisher.pub --log channel/log --log-key spare.key"
    assert "logged in log.example.org/models as entry 0 of 1" in desk.run(line)
    found = desk.data(line)
    assert (found["log"]["index"], found["log"]["is_new"]) == (0, False)
    assert Path("channel", found["log"]["proof"]).is_file()


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("publish bundle-1/net.edgekit --to channel --key vision-1.key", 2, "--signer publisher.pub"),
        ("publish nothing --to channel --key vision-1.key", 2, "there is no bundle nothing"),
        ("publish bundle-1/net.edgekit --to nothing --key vision-1.key", 2, "there is no channel at nothing"),
        ("publish bundle-1/net.edgekit --to channel --key nothing.key", 2, "there is no private key nothing.key"),
        ("publish bundle-1/net.edgekit --to channel --key spare.key --signer publisher.pub", 2, "may sign none of"),
        ("publish bundle-1/net.edgekit --to channel --signer publisher.pub --trust nothing", 2, "cannot be read"),
        ("publish bundle-1/net.edgekit --to channel --signer publisher.pub --trust publisher.pub", 6, "no strict JSON"),
        ("publish bundle-1/net.edgekit --to channel --signer publisher.pub --oldest 2", 2, "--oldest 2 does not fit"),
        ("publish bundle-1/net.edgekit --to channel --signer root-1.pub", 2, "P-256"),
        ("publish x --to channel --delta-from bundle-1/net.edgekit --no-deltas", 2, "either --delta-from"),
        ("publish bundle-1/net.edgekit --to channel --log-key spare.key", 2, "add --log DIR"),
        ("publish bundle-1/net.edgekit --to oci://localhost:1/net --log l --log-key k", 2, "a plain registry is none"),
    ],
)  # fmt: skip
def test_what_it_refuses(desk: Desk, line: str, code: int, message: str) -> None:
    desk.bundle(1)
    assert message in desk.run(line, code=code)


def test_a_bundle_that_was_altered(desk: Desk) -> None:
    path = desk.folder / desk.bundle(1)
    largest = max((path / "blobs" / "sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))
    assert "error:" in desk.run(f"publish {desk.bundle(1)} {PUBLISH} --signer publisher.pub", code=6)
    assert not (desk.folder / "channel" / "blobs").exists()


def test_a_registry_without_a_channel(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry itself is in tests/interop; here, that it is chosen."""
    pushed = []

    def push(bundle: Path, url: str, *, progress: object) -> registry.Pushed:
        pushed.append((str(bundle), url))
        return registry.Pushed(f"{url}:1.0.0", "sha256:ab")

    monkeypatch.setattr(registry, "push_bundle", push)
    found = desk.data(f"publish {desk.bundle(1)} --to oci://localhost:1/lab/net")
    assert found == {"reference": "oci://localhost:1/lab/net:1.0.0", "digest": "sha256:ab"}
    assert "pushed oci://localhost:1/lab/net:1.0.0" in desk.run(
        f"publish {desk.bundle(1)} --to oci://localhost:1/lab/net"
    )
    assert pushed == [(desk.bundle(1), "oci://localhost:1/lab/net")] * 2


def test_help_has_examples(desk: Desk) -> None:
    assert "edgekit publish lite0.edgekit --to channel/" in desk.run("publish --help")
