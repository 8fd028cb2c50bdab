from __future__ import annotations

import fcntl
import io
import json
import os
import shlex
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from edgekit.cli.app import run
from edgekit.cli.passphrase import NEW_VARIABLE, VARIABLE
from edgekit.seal.key_files import read_private, read_public
from edgekit.seal.keys import PublicKey
from tests.seal.softhsm import PIN, software_token
from tests.test_docs import ROOT, blocks, commands

SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, with no passphrase in the environment and no terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(NEW_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())


def secret_file(text: str = SECRET) -> str:
    Path("pass").write_text(text + "\n")
    Path("pass").chmod(0o600)
    return "pass"


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert run(["keys", *words, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("kind", ["p256", "ed25519"])
def test_a_new_key_is_encrypted_and_private(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "new", "it", "--type", kind, "--passphrase-file", secret_file())
    assert (found["private_key_file"], found["public_key_file"], found["encrypted"]) == ("it.key", "it.pub", True)
    public = read_public(Path("it.pub"))
    assert read_private(Path("it.key"), SECRET.encode).public == public
    assert Path("it.key").stat().st_mode & 0o777 == 0o600
    assert (found["type"], found["fingerprint"], found["did"]) == (kind, public.fingerprint, public.did)
    assert ("model_signing_hint" in found) == (kind == "p256")
    assert PublicKey.from_pem(found["pem"]) == public


def test_the_environment_gives_the_passphrase(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    assert told(capsys, "new", "it", "--dir", "sub/folder")["private_key_file"] == "sub/folder/it.key"
    assert told(capsys, "show", "sub/folder/it.key")["did"].startswith("did:key:zDn")
    monkeypatch.setenv(VARIABLE, "")
    assert "empty" in told(capsys, "show", "sub/folder/it.key", code=2)["error"]["message"]


def test_the_file_goes_before_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "another")
    told(capsys, "new", "it", "--passphrase-file", secret_file())
    assert read_private(Path("it.key"), SECRET.encode).public == read_public(Path("it.pub"))


def test_without_a_passphrase_only_when_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    error = told(capsys, "new", "it", code=2)["error"]
    assert error["type"] == "KeyFileError"
    assert VARIABLE in error["hint"]
    assert not Path("it.key").exists()
    assert told(capsys, "new", "it", "--no-passphrase")["encrypted"] is False
    assert told(capsys, "new", "it2", "--no-passphrase", "--passphrase-file", secret_file(), code=2)["error"]


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "a b", "x" * 70, "-a", "é"])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "new", "--no-passphrase", "--", name]) == 2
    assert f"{name!r} cannot be a key's name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_no_key_is_written_over(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "new", "it.key", "--no-passphrase")
    before = Path("it.key").read_bytes()
    assert "there already" in told(capsys, "new", "it", "--no-passphrase", code=2)["error"]["message"]
    assert Path("it.key").read_bytes() == before


def test_a_key_shows_its_names_however_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "new", "it", "--type", "ed25519", "--passphrase-file", secret_file())
    public = read_public(Path("it.pub"))
    for words in (("it.pub",), ("it.key", "--passphrase-file", "pass"), (public.did,)):
        found = told(capsys, "show", *words)
        assert found["fingerprint"] == public.fingerprint
    assert run(["keys", "show", "it.pub", "--pem"]) == 0
    assert capsys.readouterr().out == public.pem
    assert run(["keys", "show", "it.pub"]) == 0
    shown = capsys.readouterr().out
    assert f"fingerprint         {public.fingerprint}\n" in shown
    assert f"did                 {public.did}\n" in shown


def test_a_successor_is_of_the_same_kind_under_the_same_passphrase(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "new", "it", "--passphrase-file", secret_file())
    old = read_public(Path("it.pub"))
    for before, after in (("it.key", "it-2.key"), ("it-2.key", "it-3.key")):
        found = told(capsys, "rotate", before, "--passphrase-file", "pass")
        assert found["private_key_file"] == after
        assert found["encrypted"] is True
        assert any("--signer" in step and after.replace(".key", ".pub") in step for step in found["next"])
        assert read_private(Path(after), SECRET.encode).public != old
    assert read_private(Path("it.key"), SECRET.encode).public == old
    assert "there already" in told(capsys, "rotate", "it.key", "--passphrase-file", "pass", code=2)["error"]["message"]


def test_an_open_key_has_an_open_successor(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "new", "node", "--type", "ed25519", "--no-passphrase")
    found = told(capsys, "rotate", "node.key")
    assert (found["type"], found["encrypted"]) == ("ed25519", False)
    assert found["replaces"] == read_public(Path("node.pub")).fingerprint
    assert any("channel rotate" in step for step in found["next"])
    assert run(["keys", "rotate", "node-2.key"]) == 0
    assert "\n1. put it in the old one's place" in capsys.readouterr().out


def test_a_passphrase_is_changed_and_the_key_stays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told(capsys, "new", "it", "--passphrase-file", secret_file())
    public = read_public(Path("it.pub"))
    monkeypatch.setenv(NEW_VARIABLE, "another one")
    told(capsys, "rotate", "it.key", "--passphrase", "--passphrase-file", "pass")
    assert read_private(Path("it.key"), b"another one".strip).public == public == read_public(Path("it.pub"))
    monkeypatch.setenv(VARIABLE, "another one")
    assert told(capsys, "rotate", "it.key", "--passphrase", "--no-passphrase")["encrypted"] is False
    assert told(capsys, "rotate", "it.key", "--no-passphrase", code=2)["error"]["type"] == "RecipeError"


def test_a_wrong_passphrase_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told(capsys, "new", "it", "--passphrase-file", secret_file())
    before = Path("it.key").read_bytes()
    monkeypatch.setenv(VARIABLE, "wrong and secret too")
    monkeypatch.setenv(NEW_VARIABLE, "new")
    for words in (("show", "it.key"), ("rotate", "it.key"), ("rotate", "it.key", "--passphrase")):
        assert run(["keys", *words, "--verbose"]) == 2
        shown = capsys.readouterr()
        assert "the passphrase is wrong" in shown.err
        assert "hint:" in shown.err
        assert "wrong and secret too" not in shown.out + shown.err
    assert Path("it.key").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it.key", "it.pub", "pass"]


def test_a_passphrase_file_that_others_may_read_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    secret_file()
    Path("pass").chmod(0o644)
    error = told(capsys, "new", "it", "--passphrase-file", "pass", code=2)["error"]
    assert error["hint"] == "chmod 600 pass"
    assert SECRET not in json.dumps(error)


def test_a_token_s_key_is_shown_and_a_pin_in_the_uri_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").mkdir()
    with software_token(tmp_path / "token") as token:
        monkeypatch.setenv(VARIABLE, PIN.decode())
        assert told(capsys, "show", token.uri("token=tests;object=root"))["type"] == "ed25519"
        error = told(capsys, "show", token.uri("object=root", "&pin-value=86420"), code=2)["error"]
        assert "must not hold the PIN" in error["message"]
        assert "86420" not in json.dumps(error)


def converse(*words: str, answers: list[str]) -> tuple[int, str]:
    """Run `edgekit keys` at a terminal of its own; each answer is typed when it is asked for."""
    ours, theirs = os.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-m", "edgekit", "keys", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=take_terminal,
    )  # fmt: skip
    os.close(theirs)
    shown, waiting, deadline = "", list(answers), time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            try:
                shown += os.read(ours, 4096).decode()
            except OSError:  # the other side has closed the terminal
                break
            if waiting and shown.endswith(": "):
                os.write(ours, f"{waiting.pop(0)}\n".encode())
        return process.wait(timeout=30), shown
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_person_is_asked_twice_for_a_new_passphrase_and_sees_nothing_of_it() -> None:
    code, shown = converse("new", "it", answers=[SECRET, "a slip", SECRET, SECRET])
    assert code == 0
    assert "passphrase of it.key: " in shown
    assert "Repeat for confirmation" in shown
    assert SECRET not in shown
    assert read_private(Path("it.key"), SECRET.encode).public == read_public(Path("it.pub"))


def test_a_person_is_asked_once_for_an_old_passphrase(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "new", "it", "--passphrase-file", secret_file())
    code, shown = converse("show", "it.key", answers=[SECRET])
    assert code == 0
    assert read_public(Path("it.pub")).fingerprint in shown
    code, shown = converse("show", "it.key", answers=["wrong and secret too"])
    assert code == 2
    assert "the passphrase is wrong" in shown
    assert "wrong and secret too" not in shown


def test_the_page_on_keys_works_from_top_to_bottom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.setenv(NEW_VARIABLE, "another one")
    page = ROOT / "docs" / "keys.md"
    assert all(run(shlex.split(line)[1:]) == 0 for line in commands(page))
    assert {"publisher-2.key", "offline"} <= {path.name for path in Path().iterdir()}
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, page.name, "exec"), {})
