"""`edgekit channel`: a channel's life on the command line, with its signers at several machines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import click
import pytest

from edgekit.channel import client
from edgekit.cli.channel_values import Duration, split_family, split_roles
from edgekit.errors import RecipeError
from edgekit.transport.file import FileTransport
from tests.cli.channel_desk import INIT, PUBLISH, Desk, make_desk
from tests.seal.softhsm import PIN, software_token
from tests.transport.hostile_server import HostileServer


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Keys, and no channel."""
    monkeypatch.chdir(tmp_path)
    return make_desk(tmp_path, capsys)


@pytest.fixture
def desk(empty: Desk) -> Desk:
    """A channel."""
    empty.run(INIT)
    return empty


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Let some days pass."""
    now = client.utc_now() + timedelta(days=days)
    monkeypatch.setattr(client, "utc_now", lambda: now)


def test_init_with_every_key_at_hand(empty: Desk) -> None:
    assert "in force: found a channel (vision)" in empty.run(INIT)
    assert sorted(path.name for path in Path("channel/metadata").iterdir()) == [
        "1.root.json", "1.snapshot.json", "1.targets.json", "1.vision.json", "timestamp.json",
    ]  # fmt: skip
    assert "already" in empty.run(INIT, code=2)


def test_init_with_signers_elsewhere(empty: Desk) -> None:
    line = INIT.replace("vision-2.key", "vision-2.pub").replace("root-2.key", "root-2.pub")
    told = empty.run(f"{line} --expires timestamp=12h --expires vision=10d")
    assert "root has 1 of 2 signatures by root; 1 more of" in told
    assert not Path("channel").exists()
    shutil.copy("channel.request.json", "other.json")
    assert "complete" not in empty.run("channel sign channel.request.json --key vision-2.key")
    empty.run("channel sign other.json --key root-3.key")
    empty.run("channel apply channel.request.json other.json --to channel --online-key online.key")
    roles = {role["role"]: role for role in empty.data("channel status channel")["roles"]}
    assert roles["timestamp"]["days_left"] == pytest.approx(0.5, abs=0.01)
    assert roles["vision"]["days_left"] == pytest.approx(10, abs=0.01)


def test_status_tells_everything(desk: Desk) -> None:
    desk.run(f"publish {desk.bundle(1)} {PUBLISH} --signer publisher.pub")
    told = desk.run("channel status channel")
    for role in ("root", "timestamp", "snapshot", "targets", "vision"):
        assert role in told
    assert "(365 days left)" in told
    assert f"may sign too: {desk.keys['root-3'].public}" in told
    assert "warning: one stolen key is enough" in told
    assert "vision/lite0  version 1 (1.0.0)" in told
    found = desk.data("channel status channel")
    assert found["models"][0]["signers"] == [str(desk.publisher.public)]


def test_an_expired_channel_and_its_way_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    later(monkeypatch, 8)
    told = desk.run("channel status channel", code=6)
    assert "warning: expired 24 hours ago: edgekit channel refresh --role timestamp" in told
    assert "hint: sign it anew: edgekit channel refresh --role timestamp" in told
    assert desk.data("channel status channel", code=6)["roles"][1]["days_left"] < 0
    assert "in force: sign timestamp anew" in desk.run("channel refresh --to channel --online-key online.key")
    desk.run("channel status channel")


def test_refresh_of_what_is_signed_offline(desk: Desk) -> None:
    found = desk.data("channel refresh --role vision --expires 30d --to channel --key vision-1.key --key vision-2.key")
    assert (found["in_force"], found["request"], found["missing"]) == (False, "vision-2.request.json", [])
    desk.run("channel apply vision-2.request.json --to channel --online-key online.key")
    roles = {role["role"]: role for role in desk.data("channel status channel")["roles"]}
    assert roles["vision"]["days_left"] == pytest.approx(30, abs=0.01)
    found = desk.data("channel refresh --role online --expires 2d --to channel --online-key online.key")
    assert found["written"] == ["metadata/3.snapshot.json", "metadata/timestamp.json"]


def test_sign_shows_what_changes_and_signs_only_with_a_key(desk: Desk) -> None:
    desk.run(f"publish {desk.bundle(1)} --to channel --key vision-1.key --signer publisher.pub")
    before = Path("vision-2.request.json").read_bytes()
    told = desk.run("channel sign vision-2.request.json")
    assert "all that would be signed" in told
    assert "+ spec_version" in told
    shutil.copy("channel/metadata/1.root.json", "root.json")
    told = desk.run("channel sign vision-2.request.json --trust root.json")
    assert "vision: version 1 -> 2" in told
    assert "spec_version" not in told
    assert "+ targets vision/lite0.json custom edgekit version: 1" in told
    assert f"signers: {desk.publisher.public}" in told
    assert Path("vision-2.request.json").read_bytes() == before
    told = desk.run("channel sign vision-2.request.json --key vision-2.key --channel channel -o signed.json")
    assert f"{desk.keys['vision-2'].public} signed vision" in told
    assert "complete: edgekit channel apply signed.json" in told
    found = desk.data("channel sign signed.json --trust root.json")
    assert (found["missing"], found["signed"], found["whole"]) == ([], [], False)
    assert found["changes"][0] == "vision: version 1 -> 2"
    assert desk.data("channel sign signed.json")["whole"]


def test_a_request_that_others_may_have_signed_is_not_written_over(desk: Desk) -> None:
    line = f"publish {desk.bundle(1)} --to channel --key vision-1.key --signer publisher.pub"
    desk.run(line)
    desk.run("channel sign vision-2.request.json --key vision-2.key")
    signed = Path("vision-2.request.json").read_bytes()
    assert "is there already" in desk.run(line, code=2)
    assert Path("vision-2.request.json").read_bytes() == signed


def test_apply_refuses_below_the_threshold(desk: Desk) -> None:
    desk.run(f"publish {desk.bundle(1)} --to channel --key vision-1.key --signer publisher.pub")
    told = desk.run("channel apply vision-2.request.json --to channel --online-key online.key", code=6)
    assert f"vision has 1 of 2 signatures by vision; 1 more of {desk.keys['vision-2'].public}" in told


def test_a_request_that_came_too_late(desk: Desk) -> None:
    desk.run(f"publish {desk.bundle(1)} --to channel --key vision-1.key --signer publisher.pub")
    desk.run(f"publish {desk.bundle(2)} {PUBLISH} --signer publisher.pub")
    for line in ("sign vision-2.request.json --channel channel", "apply vision-2.request.json --to channel"):
        assert "something else came first" in desk.run(f"channel {line}", code=6)


def test_rotation_and_revocation(desk: Desk) -> None:
    desk.run(f"publish {desk.bundle(1)} {PUBLISH} --signer publisher.pub")
    desk.run(f"publish {desk.bundle(2)} {PUBLISH}")
    desk.run(f"channel revoke vision/lite0 --below 2 {PUBLISH}")
    lost = str(desk.keys["online"].public)
    desk.run(
        f"channel rotate --role online --remove {lost} --add spare.pub --to channel --key root-1.key --key root-2.key"
    )
    desk.run("channel apply root-2.request.json --to channel --online-key spare.key")
    assert "was given" in desk.run("channel refresh --to channel --online-key online.key", code=2)
    found = desk.data("channel status channel")
    assert found["models"][0]["oldest"] == 2
    assert found["roles"][1]["signed"] == [str(desk.keys["spare"].public)]
    desk.run(
        "channel rotate --role family:vision --remove vision-1.pub --threshold 1 --to channel --key targets.key "
        "--key vision-2.key --online-key spare.key"
    )
    roles = {role["role"]: role for role in desk.data("channel status channel")["roles"]}
    assert (roles["vision"]["threshold"], roles["vision"]["unsigned"]) == (1, [])
    desk.run("channel revoke vision/lite0 --withdraw --to channel --key vision-2.key --online-key spare.key")
    assert desk.data("channel status channel")["models"] == []


def test_a_new_family(desk: Desk) -> None:
    desk.run("channel family audio=spare.key --to channel --key targets.key --online-key online.key")
    assert [role["role"] for role in desk.data("channel status channel")["roles"]][-2:] == ["audio", "vision"]


def test_a_key_with_a_passphrase(empty: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_PASSPHRASE", "correct horse")
    empty.run("keys new locked --type ed25519")
    empty.run(INIT.replace("targets.key", "locked.key"))
    monkeypatch.setenv("EDGEKIT_PASSPHRASE", "wrong")
    told = empty.run("channel refresh --role targets --to channel --key locked.key", code=2)
    assert "passphrase" in told
    assert "wrong" not in told.replace("wrong passphrase", "").replace("passphrase is wrong", "")


def test_a_root_key_in_a_token(empty: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with software_token(tmp_path) as token:
        monkeypatch.setenv("EDGEKIT_PASSPHRASE", PIN.decode())
        uri = token.uri("token=tests;object=root")
        empty.run(INIT.replace("root-2.key", uri))
        signed = empty.data("channel status channel")["roles"][0]["signed"]
        assert len(signed) == 2
        assert str(empty.keys["root-1"].public) in signed
        line = "channel refresh --role root --to channel --key root-1.key --online-key online.key"
        assert "1 more of" in empty.run(line)
        empty.run(f"channel sign root-2.request.json --trust channel/metadata/1.root.json --key {uri}")
        empty.run("channel apply root-2.request.json --to channel --online-key online.key")
        assert empty.data("channel status channel")["roles"][0]["version"] == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("channel status nothing", "there is no channel at nothing"),
        ("channel revoke vision/lite0 --to channel", "--below N or --withdraw"),
        ("channel revoke vision/lite0 --below 2 --withdraw --to channel", "--below N or --withdraw"),
        ("channel revoke vision/lite0 --below 2 --to channel", "no model 'vision/lite0'"),
        ("channel revoke lite0 --below 2 --to channel", "no FAMILY/NAME"),
        ("channel rotate --role vision --to channel", "nothing is to change"),
        ("channel rotate --role vision --remove abcdef0123 --to channel", "vision has no key abcdef0123"),
        ("channel rotate --role vision --add nothing.pub --to channel", "nothing.pub"),
        ("channel family audio --to channel", "names no family"),
        ("channel refresh --role audio --to channel", "no family 'audio'"),
        ("channel refresh --expires 5x --to channel", "no duration"),
        ("channel refresh --to channel", "no key was given"),
        ("channel sign nothing.json", "cannot be read"),
        ("channel apply nothing.json --to channel", "cannot be read"),
        (f"{INIT} --expires vision", "no ROLE=DURATION"),
        (f"{INIT} --family vision=spare.key", "is given twice"),
    ],
)
def test_what_it_refuses(desk: Desk, line: str, message: str) -> None:
    assert message in desk.run(line, code=2)


def test_what_is_no_request(desk: Desk) -> None:
    Path("x.json").write_text(json.dumps({"schema": "other"}))
    assert "no signing request" in desk.run("channel sign x.json", code=6)


def test_help_has_examples(desk: Desk) -> None:
    told = desk.run("channel --help")
    for verb in ("init", "status", "refresh", "revoke", "rotate", "family", "sign", "apply", "prune"):
        assert f"  {verb} " in told
        assert "Usage: edgekit channel" in desk.run(f"channel {verb} --help")
    assert "edgekit channel init channel/" in told


@pytest.mark.parametrize(
    "line",
    [
        "refresh --online-key online.key",
        "revoke vision/lite0 --below 2",
        "rotate --role vision --threshold 1",
        "family audio=spare.key",
        "apply vision-2.request.json",
    ],
)
def test_a_server_says_nothing_before_it_is_known_which_channel_it_has(desk: Desk, line: str) -> None:
    """Whoever runs it could show another channel, in which the same keys count, to have it signed."""
    desk.run("channel refresh --role vision --to channel")
    with HostileServer({}) as server:
        told = desk.run(f"channel {line} --to {server.url}", code=2)
        assert "say which channel it has to be" in told
        assert server.seen == []


def test_a_channel_on_a_web_server(desk: Desk) -> None:
    """Founded, published to and refreshed by PUT."""
    with HostileServer({}) as server:
        desk.run(f"{INIT.replace('init channel', f'init {server.url}')}")
        Path("root.json").write_bytes(server.written["metadata/1.root.json"])
        line = PUBLISH.replace("--to channel", f"--to {server.url}")
        assert "say which channel" in desk.run(f"publish {desk.bundle(1)} {line} --signer publisher.pub", code=2)
        desk.run(f"publish {desk.bundle(1)} {line} --signer publisher.pub --trust root.json")
        desk.run(f"channel refresh --to {server.url} --online-key online.key --trust root.json")
        found = desk.data(f"channel status {server.url}")
        assert found["models"][0]["version"] == 1
        desk.run("channel init other --root-key spare.key --targets-key spare.key --online-key online.key")
        foreign = desk.run(f"channel status {server.url} --trust other/metadata/1.root.json", code=6)
        assert "error:" in foreign


def test_a_rotation_that_is_interrupted_leaves_its_request(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    line = (
        "channel rotate --role online --remove online.pub --add spare.key --to channel "
        "--key root-1.key --key root-2.key --online-key spare.key"
    )
    desk.run(
        line.replace("--online-key spare.key", "--online-key online.key").replace("spare.key", "spare.pub"), code=2
    )
    assert not Path("root-2.request.json").exists()
    with monkeypatch.context() as patch:
        write = FileTransport.write

        def killed(self: FileTransport, name: str, chunks: Iterable[bytes], *, size_bytes: int) -> None:
            if name.endswith("timestamp.json"):
                raise KeyboardInterrupt
            write(self, name, chunks, size_bytes=size_bytes)

        patch.setattr(FileTransport, "write", killed)
        desk.run(line, code=130)
    told = desk.run("channel refresh --to channel --online-key spare.key", code=6)
    assert "apply its request again" in told
    desk.run("channel apply root-2.request.json --to channel --online-key spare.key")
    desk.run("channel refresh --to channel --online-key spare.key")
    desk.run(
        line.replace("online.pub", "spare.pub").replace("add spare", "add online").replace("key spare", "key online")
    )
    assert not Path("root-3.request.json").exists()


def test_prune(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run(f"publish {desk.bundle(1)} {PUBLISH} --signer publisher.pub")
    desk.run(f"publish {desk.bundle(2)} {PUBLISH}")
    assert desk.data("channel prune channel")["files"] == []
    later(monkeypatch, 31)
    found = desk.data("channel prune channel --dry-run")
    assert not found["removed"]
    assert any(name.startswith("targets/vision/") for name in found["files"])
    told = desk.run("channel prune channel")
    assert all(name in told and not Path("channel", name).exists() for name in found["files"])
    assert "0 files, 0 B removed" in desk.run("channel prune channel")
    assert "no folder" in desk.run("channel prune http://127.0.0.1:1", code=2)
    assert "raise --keep" in desk.run("channel prune channel --keep 6d", code=2)
    assert desk.data("channel status channel", code=6)["models"][0]["version"] == 2


def test_values() -> None:
    assert split_family("vision=a.pub,b.pub:2") == ("vision", ["a.pub", "b.pub"], 2)
    assert split_family("vision=pkcs11:token=a;object=b") == ("vision", ["pkcs11:token=a;object=b"], 1)
    assert split_roles(["online", "timestamp", "family:vision", "root"]) == ("snapshot", "timestamp", "vision", "root")
    assert Duration().convert("36h", None, None) == timedelta(hours=36)
    for wrong in ("", "vision", "=a", "vision="):
        with pytest.raises(RecipeError):
            split_family(wrong)
    for wrong in ("", "1", "d", "-1d", "0d", "1w", "1.5d"):
        with pytest.raises(click.BadParameter):
            Duration().convert(wrong, None, None)
