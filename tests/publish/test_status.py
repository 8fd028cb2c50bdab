"""Status: what is told of a channel, and when it warns."""

from __future__ import annotations

from datetime import timedelta

from edgekit.publish.periods import remaining
from edgekit.publish.status import status_of
from edgekit.types.plain import to_plain
from tests.publish.lab import MODEL, NOW, Lab


def test_roles_and_models(lab: Lab) -> None:
    lab.publish(1)
    lab.publish(2, oldest=2)
    found = status_of(lab.records(), lab.now)
    roles = {role.role: role for role in found.roles}
    assert list(roles) == ["root", "timestamp", "snapshot", "targets", "vision"]
    assert (roles["root"].version, roles["root"].threshold, roles["root"].days_left) == (1, 2, 365)
    assert set(roles["root"].signed) == {str(key.public) for key in lab.root[:2]}
    assert roles["root"].unsigned == (str(lab.root[2].public),)
    assert (roles["vision"].version, roles["vision"].threshold, roles["vision"].days_left) == (3, 2, 90)
    (model,) = found.models
    assert (model.name, model.version, model.semver, model.oldest) == (MODEL, 2, "2.0.0", 2)
    assert model.signers == (str(lab.publisher.public),)
    assert model.release_digest == f"sha256:{lab.follow().release_digest}"
    assert to_plain(found)["roles"][0]["role"] == "root"


def test_warnings(lab: Lab) -> None:
    def warned() -> dict[str, str]:
        return {role.role: " ".join(role.warnings) for role in status_of(lab.records(), lab.now).roles if role.warnings}

    assert warned() == {"targets": "one stolen key is enough to sign for it: "
                        "edgekit channel rotate --role targets --threshold 2"}  # fmt: skip
    lab.now = NOW + timedelta(days=5, hours=12)
    assert warned()["timestamp"] == "expires in 36 hours: edgekit channel refresh --role timestamp"
    assert status_of(lab.records(), lab.now).expired == ()
    lab.now = NOW + timedelta(days=91)
    found = status_of(lab.records(), lab.now)
    assert found.expired == ("timestamp", "snapshot", "targets", "vision")
    assert warned()["vision"].startswith("expired 24 hours ago: ")


def test_remaining_time() -> None:
    assert remaining(NOW + timedelta(days=90), NOW) == "90 days"
    assert remaining(NOW - timedelta(days=3), NOW) == "expired 3 days ago"
