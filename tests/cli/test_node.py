"""`edgekit node` with a real model on the real runtime; the channel is a folder."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.cli.app import run
from edgekit.cli.node_seed import split
from edgekit.emit.exporter import emit
from edgekit.node import infer as infer_module
from edgekit.transparency.note import VerifierKey
from edgekit.transparency.witness_client import WitnessPlace, ask_witnesses
from edgekit.types.strict_json import read_strict
from tests.agent.profiled import net
from tests.bundle.building import Draft, describe_file
from tests.node.notary import ORIGIN, Notary
from tests.node.real_bundle import content
from tests.node.scene import MODEL, Publisher, flip
from tests.node.variants import OUTPUTS, change_answers
from tests.transport.hostile_server import HostileServer

Edgekit = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    emit(net(side=16, channels=8), folder / "net.onnx", format="onnx-int8", metadata={})
    return folder


@pytest.fixture
def publisher(tmp_path: Path, model: Path) -> Publisher:
    publisher = Publisher(tmp_path)
    publisher.put(content(model, 1))
    return publisher


@pytest.fixture
def edgekit(capsys: pytest.CaptureFixture[str]) -> Edgekit:
    """Runs `edgekit node WORDS --json`: the document, after the exit code was held against `code`."""

    def call(*words: object, code: int = 0) -> Any:
        capsys.readouterr()
        found = run(["node", *map(str, words), "--json"])
        out = capsys.readouterr()
        assert found == code, out.err
        return read_strict(out.out.encode(), where="stdout", limit_bytes=10**6)

    return call


@pytest.fixture
def node(tmp_path: Path, publisher: Publisher, edgekit: Edgekit) -> Path:
    root = publisher.folder / "metadata" / "1.root.json"
    told = edgekit(
        "init", tmp_path / "node", "--channel", publisher.folder, "--trust", root, "--model", MODEL, "--no-passphrase"
    )
    assert told["did"].startswith("did:key:z6Mk")
    return tmp_path / "node"


def test_the_life_of_a_node(node: Path, publisher: Publisher, model: Path, edgekit: Edgekit, tmp_path: Path) -> None:
    assert edgekit("update", node)["outcome"] == "installed"
    assert edgekit("update", node)["outcome"] == "unchanged"

    images = np.random.default_rng(0).random((3, 1, 3, 16, 16), np.float32)
    np.save(tmp_path / "x.npy", images)
    told = edgekit("infer", node, tmp_path / "x.npy", "--out", tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as answers:
        assert {name: list(array.shape) for name, array in answers.items()} == told["outputs"]

    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "net.onnx").write_bytes((model / "net.onnx").read_bytes())
    bad = content(wrong, 2)
    change_answers(wrong, lambda arrays: {name: array + 1 for name, array in arrays.items()})
    files = tuple(
        describe_file(bad.sources[file.path], file.path, file.role, file.media_type) for file in bad.manifest.files
    )
    publisher.put(Draft(replace(bad.manifest, files=files), bad.sources))
    told = edgekit("update", node, code=5)
    assert told["error"]["type"] == "SelfTestError"
    assert edgekit("update", node)["outcome"] == "quarantined"
    assert edgekit("update", node, "--retry", code=5)["error"]["type"] == "SelfTestError"

    publisher.put(content(model, 3))
    done = edgekit("run-once", node)
    assert (done["running"]["version"], done["tested"]["runtime"], done["error"]) == (3, "onnxruntime", None)
    found = edgekit("status", node, "--check")
    assert [slot["deployed"]["version"] for slot in found["slots"]] == [1, 3]
    assert found["last_receipt"]["event"] == "installed"
    assert found["receipts"] == 4
    assert found["faults"] == []
    assert OUTPUTS in found["running"]["files"]


def test_a_damaged_model_is_not_run(node: Path, edgekit: Edgekit, tmp_path: Path) -> None:
    edgekit("update", node)
    flip(node / "current" / "files" / "net.onnx")
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 3, 16, 16), np.float32))
    told = edgekit("infer", node, tmp_path / "x.npy", "--out", tmp_path / "y.npz", code=5)
    assert told["error"]["type"] == "NodeStateError"
    assert not (tmp_path / "y.npz").exists()
    assert edgekit("run-once", node)["updated"]["outcome"] == "installed"
    edgekit("infer", node, tmp_path / "x.npy", "--out", tmp_path / "y.npz")


def test_answers_of_a_model_that_was_replaced_meanwhile_are_not_given_out(
    node: Path, publisher: Publisher, model: Path, edgekit: Edgekit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second update during a long run puts another release where the files were hashed."""
    edgekit("update", node)

    def slow(folder: Path, *args: object, **kwargs: object) -> Any:
        for version in (2, 3):
            publisher.put(content(model, version))
            assert run(["node", "update", str(node), "--quiet"]) == 0
        return infer(folder, *args, **kwargs)

    infer = infer_module.infer
    monkeypatch.setattr(infer_module, "infer", slow)
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 3, 16, 16), np.float32))
    words = ("infer", node, tmp_path / "x.npy", "--out", tmp_path / "y.npz")
    assert run(["node", *map(str, words)]) == 5
    assert not (tmp_path / "y.npz").exists()


def test_a_round_whose_update_fails_ends_with_its_code(node: Path, publisher: Publisher, edgekit: Edgekit) -> None:
    edgekit("update", node)
    publisher.folder.rename(publisher.folder.with_name("gone"))
    done = edgekit("run-once", node, code=7)
    assert done["running"]["version"] == 1
    assert done["error"]["exit_code"] == 7


def test_what_people_read(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["node", "update", str(node)]) == 0
    assert run(["node", "run-once", str(node)]) == 0
    assert run(["node", "status", str(node)]) == 0
    out = capsys.readouterr()
    for text in (
        "is installed, and runs",
        "is current",
        "is well: onnxruntime",
        "did:key:z6Mk",
        "1 is the oldest",
        "slot b",
    ):
        assert text in out.out
    assert "fetching net.onnx" in out.err


def test_a_passphrase_from_a_file(tmp_path: Path, publisher: Publisher, edgekit: Edgekit) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    root = publisher.folder / "metadata" / "1.root.json"
    words = ("--channel", publisher.folder, "--trust", root, "--model", MODEL)
    told = edgekit("init", tmp_path / "n", *words, "--passphrase-file", secret, "--no-passphrase", code=2)
    assert told["error"]["type"] == "RecipeError"
    edgekit("init", tmp_path / "n", *words, "--passphrase-file", secret)
    assert b"ENCRYPTED" in (tmp_path / "n" / "identity.key").read_bytes()
    assert edgekit("update", tmp_path / "n", code=2)["error"]["type"] == "KeyFileError"
    edgekit("update", tmp_path / "n", "--passphrase-file", secret)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["update", "absent"], 2),
        (["status", "absent"], 2),
        (["init", "n", "--channel", "c", "--trust", "absent.json", "--model", MODEL, "--no-passphrase"], 2),
    ],
    ids=["update", "status", "init"],
)
def test_refusals(
    words: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgekit: Edgekit
) -> None:
    monkeypatch.chdir(tmp_path)
    assert edgekit(*words, code=code)["error"]["exit_code"] == code


def test_a_node_with_a_policy(publisher: Publisher, edgekit: Edgekit, tmp_path: Path) -> None:
    """Set up by flags alone; nothing is installed before the log shows it."""
    notary = Notary(publisher.folder)
    (tmp_path / "policy").write_bytes(notary.policy())
    root = publisher.folder / "metadata" / "1.root.json"
    words = ["--channel", publisher.folder, "--trust", root, "--model", MODEL, "--no-passphrase"]
    extra = ["--policy", tmp_path / "policy", "--cosign", "--source", "torrent:https://a.example/c?dht=on"]
    node = tmp_path / "node"
    assert edgekit("init", node, *words, *extra)["policy"] is True
    found = edgekit("update", node, code=6)["error"]
    assert found["type"] == "ProofError"
    assert "edgekit log append" in found["hint"]
    notary.record(publisher.built[1].path)
    assert edgekit("update", node)["outcome"] == "installed"
    told = edgekit("status", node)["log"]
    assert (told["heads"], told["is_proven"]) == ({"log.example/models": 1}, True)


@pytest.mark.parametrize("words", [["--log", "https://log.example"], ["--cosign"]])
def test_a_log_without_a_policy(publisher: Publisher, edgekit: Edgekit, tmp_path: Path, words: list[str]) -> None:
    root = publisher.folder / "metadata" / "1.root.json"
    given = ["--channel", publisher.folder, "--trust", root, "--model", MODEL, "--no-passphrase"]
    found = edgekit("init", tmp_path / "node", *given, *words, code=2)["error"]
    assert "--policy" in found["message"]
    assert not (tmp_path / "node").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--source", "carrier:pigeon"],
        ["--source", "torrent:"],
        ["--source", "torrent:?peer=nobody"],
        ["--source", "ipfs:"],
        ["--channel", "gopher://example.org"],
    ],
)
def test_a_place_that_cannot_be_asked(publisher: Publisher, edgekit: Edgekit, tmp_path: Path, words: list[str]) -> None:
    """It is refused while somebody looks, and not passed over at every update."""
    root = publisher.folder / "metadata" / "1.root.json"
    given = ["--channel", publisher.folder, "--trust", root, "--model", MODEL, "--no-passphrase"]
    assert edgekit("init", tmp_path / "node", *given, *words, code=2)["error"]["message"]
    assert not (tmp_path / "node").exists()


def test_a_limit_on_what_a_node_receives(
    publisher: Publisher, edgekit: Edgekit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it was told when it was set up, or is told now; all that comes counts, metadata too."""
    root, node = publisher.folder / "metadata" / "1.root.json", tmp_path / "node"
    words = ["--trust", root, "--model", MODEL, "--no-passphrase"]
    with HostileServer(publisher.folder) as server:
        told = edgekit("init", node, "--channel", server.url, *words, "--download-limit", "12kB")
        assert told["download_bytes_per_s"] == 12_000
        assert edgekit("status", node)["download_bytes_per_s"] == 12_000
        assert run(["node", "status", str(node)]) == 0
        assert "receives    12.0 kB/s at most\n" in capsys.readouterr().out
        took_s = []
        for verb, flag in (("update", []), ("run-once", ["--download-limit", "20kB"])):
            before, began = server.sent_bytes, time.monotonic()
            edgekit(verb, node, *flag)
            took_s.append(time.monotonic() - began)
            limit = 20_000 if flag else 12_000
            assert took_s[-1] > 0.9 * (server.sent_bytes - before) / limit - 0.1
        assert took_s[0] > 1.0, "there was something to fetch"


@pytest.mark.parametrize("verb", ["update", "run-once", "seed"])
@pytest.mark.parametrize(("value", "match"), [("5kB", "10000"), ("fast", "write 500kB"), ("-1", "write 500kB")])
def test_what_is_no_limit(node: Path, capsys: pytest.CaptureFixture[str], verb: str, value: str, match: str) -> None:
    words = ["--gateway", "127.0.0.1:0", "--for", "1"] if verb == "seed" else []
    assert run(["node", verb, str(node), *words, "--download-limit", value]) == 2
    assert match in capsys.readouterr().err


def test_half_of_a_byte_is_a_limit_too() -> None:
    """Each of two ways out has half of the upload; of one byte that must not be 0, which is no limit."""
    assert [split(rate, 2) for rate in (0, 1, 2_000_000)] == [0, 1, 1_000_000]


def test_a_node_that_seeds(node: Path, edgekit: Edgekit, capsys: pytest.CaptureFixture[str]) -> None:
    """It installs what is current, gives it out, and says how much of it went."""
    told = edgekit("seed", node, "--gateway", "127.0.0.1:0", "--for", "3", "--keep", "1MB", "--upload-limit", "5MB",
                   "--download-limit", "5MB")  # fmt: skip
    (outlet,) = told["outlets"]
    assert outlet["url"].startswith("http://127.0.0.1:")
    assert told["files"] > 8
    assert (node / "current").is_symlink()


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([], "--gateway"),
        (["--gateway", "localhost:80"], "'--gateway': 'localhost:80' is no address to listen at"),
        (["--listen", "127.0.0.1"], "'--listen': '127.0.0.1' is no HOST:PORT"),
        (["--gateway", "127.0.0.1:0", "--keep", "-1"], "not a size"),
        (["--gateway", "127.0.0.1:0", "--keep", "99999TB"], "not a size"),
        (["--gateway", "127.0.0.1:0", "--keep", "2000GB"], "keep_bytes is 0 to"),
        (["--gateway", "127.0.0.1:0", "--update-every", "nan"], "no number of seconds"),
        (["--gateway", "127.0.0.1:0", "--recheck-every", "0.5"], "from 1 on"),
        (["--gateway", "127.0.0.1:0", "--for", "inf"], "no number of seconds"),
        (["--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--upload-limit", "5000GB"], "bytes_per_s"),
        (["--gateway", "127.0.0.1:0", "--witness", "127.0.0.1:0"], "no policy"),
    ],
)
def test_a_node_that_cannot_seed(node: Path, capsys: pytest.CaptureFixture[str], words: list[str], match: str) -> None:
    assert run(["node", "seed", str(node), *words]) == 2
    assert match in capsys.readouterr().err


def test_a_node_that_witnesses(publisher: Publisher, edgekit: Edgekit, tmp_path: Path) -> None:
    """Its policy's log asks it, and gets a cosignature under the node's own name."""
    notary = Notary(publisher.folder, witnesses=0)
    notary.record(publisher.built[1].path)
    (tmp_path / "policy").write_bytes(notary.policy("none"))
    root = publisher.folder / "metadata" / "1.root.json"
    node = tmp_path / "node"
    words = ["--channel", publisher.folder, "--trust", root, "--model", MODEL, "--no-passphrase"]
    did = edgekit("init", node, *words, "--policy", tmp_path / "policy")["did"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    seed = [sys.executable, "-m", "edgekit", "node", "seed", str(node), "--gateway", "127.0.0.1:0"]
    child = subprocess.Popen([*seed, "--witness", f"127.0.0.1:{port}"], stderr=subprocess.PIPE, text=True)
    try:
        assert child.stderr is not None
        line = next(line for line in child.stderr if line.startswith("a witness at"))
        key = VerifierKey.parse(line.split()[-1])
        assert key.name == did
        place = WitnessPlace(f"http://127.0.0.1:{port}", (key,))
        asked = ask_witnesses(notary.log.note, VerifierKey(ORIGIN, notary.key.public), [place], lambda size: [])
        assert (dict(asked.faults), list(asked.times)) == ({}, [did])
    finally:
        child.terminate()
        assert child.wait(30) == 0
        child.stderr.close()
