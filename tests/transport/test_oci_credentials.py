"""What docker's config.json says of a registry."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit.transport.oci_credentials import Credentials, config_path, find_credentials


def write(folder: Path, config: Any) -> Path:
    place = folder / "config.json"
    place.write_text(config if isinstance(config, str) else json.dumps(config))
    return place


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("key", ["h:5000", "https://h:5000", "https://h:5000/v2/"])
def test_password_is_found_by_the_host(key: str, tmp_path: Path) -> None:
    place = write(tmp_path, {"auths": {"h": {"auth": encode("no:one")}, key: {"auth": encode("ann:a:b")}}})
    assert find_credentials("h:5000", place) == Credentials("ann", "a:b")
    assert find_credentials("h:5001", place) is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "ann", "password": "s"}, Credentials("ann", "s")),
        ({"auth": encode("ann:"), "identitytoken": "t"}, Credentials("ann", "", "t")),
        ({"identitytoken": "t"}, Credentials("", "", "t")),
        ({}, None),
        ({"username": "ann"}, None),
        ("nonsense", None),
    ],
)
def test_entries(entry: Any, expected: Credentials | None, tmp_path: Path) -> None:
    assert find_credentials("h", write(tmp_path, {"auths": {"h": entry}})) == expected


def test_no_file_is_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    assert config_path() == tmp_path / "none" / "config.json"
    assert find_credentials("h") is None


@pytest.mark.parametrize(
    "config",
    [
        "{", '{"auths": {}, "auths": {}}', "[" * 99, " " * (2**20 + 1),
        {"auths": {"h": {"auth": "s3cret!"}}}, {"auths": {"h": {"auth": encode("s3cret")}}},
        {"auths": {"h": {"auth": base64.b64encode(b"\xff:s3cret").decode()}}}, {"credsStore": "not-here"},
        {"credsStore": "not-installed-anywhere"},
    ],
)  # fmt: skip
def test_config_that_cannot_be_used_is_an_error_without_its_secrets(config: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        find_credentials("h", write(tmp_path, config))
    assert "s3cret" not in str(caught.value)


def test_helper_is_a_name_and_no_path(tmp_path: Path) -> None:
    for name in ("../x", "/bin/sh", "a b", "-x"):
        with pytest.raises(InputError, match="that is no name"):
            find_credentials("h", write(tmp_path, {"credsStore": name}))


def test_passwords_are_not_shown() -> None:
    assert "s3cret" not in repr(Credentials("ann", "s3cret", "s3cret"))


HELPER = """#!/bin/sh
read -r host || true
[ "$1 $host" = "get h:5000" ] || { echo "credentials not found"; exit 1; }
printf '%s' '{"ServerURL": "h:5000", "Username": "NAME", "Secret": "s"}'
"""


@pytest.mark.parametrize(
    ("user", "expected"), [("ann", Credentials("ann", "s")), ("<token>", Credentials("", "", "s"))]
)
@pytest.mark.parametrize("config", [{"credsStore": "mine"}, {"credHelpers": {"h:5000": "mine", "h": "other"}}])
def test_helper_is_asked(
    config: Any, user: str, expected: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-mine"
    helper.write_text(HELPER.replace("NAME", user))
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    place = write(tmp_path, config)
    assert find_credentials("h:5000", place) == expected
    if "credsStore" in config:
        assert find_credentials("elsewhere", place) is None


def test_helper_that_answers_nonsense_is_an_error_without_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-mine"
    helper.write_text("#!/bin/sh\necho 's3cret'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(InputError, match="did not answer with JSON") as caught:
        find_credentials("h", write(tmp_path, {"credsStore": "mine"}))
    assert "s3cret" not in str(caught.value)
