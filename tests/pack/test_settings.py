"""What a bundle may be called."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.pack.settings import UNSTATED, PackSettings, is_license, read_license


def test_defaults() -> None:
    settings = PackSettings("vision/lite0", 7)
    assert (settings.semver, settings.license) == ("7.0.0", UNSTATED)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "lite0"},
        {"name": "Vision/lite0"},
        {"name": "vision/../lite0"},
        {"name": "vision/lite0/x"},
        {"name": "vision/" + "x" * 200},
        {"version": 0},
        {"version": -3},
        {"version": 2**31},
        {"semver": "1.0"},
        {"semver": "1.0.0\n"},
        {"semver": "v1.0.0"},
        {"license": "free"},
        {"license": "MIT\nMIT"},
        {"license": "LicenseRef-"},
        {"seed": -1},
    ],
    ids=str,
)
def test_what_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        PackSettings(**{"name": "vision/lite0", "version": 1, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["MIT", "Apache-2.0 OR MIT", "LicenseRef-mine", "MIT AND LicenseRef-mine", UNSTATED])
def test_licences(text: str) -> None:
    assert is_license(text)
    PackSettings("vision/lite0", 1, license=text)


def test_a_licence_is_a_text(tmp_path: Path) -> None:
    for name, data in (("empty", b""), ("binary", b"\xff\xfe"), ("long", b"x" * (2**20 + 1))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match="licence"):
            read_license(tmp_path / name)
    with pytest.raises(InputError, match="cannot read"):
        read_license(tmp_path / "absent")
