"""tuf-js, a TUF client of other people, on a channel that `edgekit publish` wrote: it finds what nodes find."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.channel_desk import INIT, PUBLISH, Desk, make_desk
from tests.interop.parts import node_modules, program

CLIENT = """
const { Updater } = require('tuf-js');
const [base, folder, target] = process.argv.slice(2);
(async () => {
  const updater = new Updater({
    metadataDir: folder + '/metadata', metadataBaseUrl: base + '/metadata',
    targetDir: folder + '/targets', targetBaseUrl: base + '/targets',
  });
  await updater.refresh();
  const info = await updater.getTargetInfo(target);
  if (!info) { console.log(JSON.stringify({ found: null })); return; }
  const path = await updater.downloadTarget(info, folder + '/targets/index.json');
  console.log(JSON.stringify({ found: path, custom: info.custom, length: info.length }));
})().catch((error) => { console.log(JSON.stringify({ error: error.constructor.name, message: error.message })); });
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A channel with version 1 of a model."""
    node_modules()
    monkeypatch.chdir(tmp_path)
    made = make_desk(tmp_path, capsys)
    made.run(INIT)
    made.run(f"publish {made.bundle(1)} {PUBLISH} --signer publisher.pub")
    return made


@pytest.fixture
def url(desk: Desk) -> Iterator[str]:
    """The channel's URL on the loopback."""
    serve = functools.partial(Quiet, directory=str(desk.folder / "channel"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(10)


def ask(url: str, folder: Path, target: str = "vision/lite0.json") -> dict[str, object]:
    """What tuf-js finds; `folder` is its memory, and has the root that it trusts."""
    script = folder / "client.cjs"
    script.write_text(CLIENT)
    done = subprocess.run(
        [str(program("node")), str(script), url, str(folder), target],
        capture_output=True,
        text=True,
        timeout=60,
        env={"NODE_PATH": str(node_modules())},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture
def reader(desk: Desk, tmp_path: Path) -> Path:
    """A folder for tuf-js: it wants both of its folders, and root.json, to be there."""
    folder = tmp_path / "tuf-js"
    (folder / "metadata").mkdir(parents=True)
    (folder / "targets").mkdir()
    shutil.copy("channel/metadata/1.root.json", folder / "metadata" / "root.json")
    return folder


def test_it_downloads_the_release_that_is_current(desk: Desk, url: str, reader: Path) -> None:
    for version in (1, 2):
        if version == 2:
            desk.run(f"publish {desk.bundle(2)} {PUBLISH}")
        found = ask(url, reader)
        assert found["found"] == str(reader / "targets" / "index.json"), found
        index = (desk.folder / desk.bundle(version) / "index.json").read_bytes()
        assert (reader / "targets" / "index.json").read_bytes() == index
        custom = found["custom"]
        assert isinstance(custom, dict)
        assert custom["edgekit"]["version"] == version
        assert custom["edgekit"]["signers"] == [desk.publisher.public.pem]


def test_it_refuses_a_timestamp_that_was_rolled_back(desk: Desk, url: str, reader: Path) -> None:
    old = Path("channel/metadata/timestamp.json").read_bytes()
    desk.run(f"publish {desk.bundle(2)} {PUBLISH}")
    assert "found" in ask(url, reader)
    Path("channel/metadata/timestamp.json").write_bytes(old)
    assert ask(url, reader)["error"] == "BadVersionError"


def test_it_refuses_an_altered_release(desk: Desk, url: str, reader: Path) -> None:
    (target,) = Path("channel/targets/vision").iterdir()
    target.write_bytes(target.read_bytes().replace(b"1.0.0", b"1.0.1"))
    assert "error" in ask(url, reader)
    assert not (reader / "targets" / "index.json").exists()


def test_it_follows_a_rotation_of_every_key(desk: Desk, url: str, reader: Path) -> None:
    assert "found" in ask(url, reader)
    desk.run(
        "channel rotate --role root --remove root-1.pub --add spare.key --to channel --key root-1.key --key root-2.key "
        "--online-key online.key"
    )
    desk.run("keys new online-2 --type ed25519 --no-passphrase")
    desk.run(
        "channel rotate --role online --remove online.pub --add online-2.key --to channel --key spare.key "
        "--key root-2.key"
    )
    desk.run("keys new vision-3 --type ed25519 --no-passphrase")
    desk.run(
        "channel rotate --role vision --remove vision-1.pub --add vision-3.key --to channel --key targets.key "
        "--key vision-2.key --online-key online-2.key"
    )
    desk.run(f"publish {desk.bundle(2)} --to channel --key vision-2.key --key vision-3.key --online-key online-2.key")
    custom = ask(url, reader)["custom"]
    assert isinstance(custom, dict)
    assert custom["edgekit"]["version"] == 2


def test_a_model_that_is_not_there(desk: Desk, url: str, reader: Path) -> None:
    assert ask(url, reader, "vision/other.json") == {"found": None}
    assert ask(url, reader, "audio/kws.json") == {"found": None}
