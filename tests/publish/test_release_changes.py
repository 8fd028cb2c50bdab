"""Revocation, withdrawal, and metadata that is signed anew before it expires, or after."""

from __future__ import annotations

from datetime import timedelta

import pytest

from edgekit.errors import ExpiredError, InputError, RollbackError, UnknownTargetError
from edgekit.publish.release_changes import prolong, revoke, withdraw
from tests.publish.lab import MODEL, Lab


def test_revocation_raises_the_floor(lab: Lab) -> None:
    lab.publish(1)
    lab.publish(2)
    lab.enforce(revoke(lab.records(), MODEL, 2, lab.now), *lab.vision)
    found = lab.follow()
    assert (found.notice.version, found.notice.oldest) == (2, 2)
    assert found.release_digest == lab.records().release(MODEL)[0].hashes["sha256"]  # type: ignore[index]
    assert lab.publish(3).notice.oldest == 2


def test_revocation_is_for_good_and_leaves_the_current_version(lab: Lab) -> None:
    lab.publish(2)
    with pytest.raises(InputError, match="nothing would be left to run"):
        revoke(lab.records(), MODEL, 3, lab.now)
    lab.enforce(revoke(lab.records(), MODEL, 2, lab.now), *lab.vision)
    for below in (1, 2):
        with pytest.raises(RollbackError, match="cannot be undone"):
            revoke(lab.records(), MODEL, below, lab.now)


def test_a_model_that_is_not_there(lab: Lab) -> None:
    for change in (lambda: revoke(lab.records(), MODEL, 2, lab.now), lambda: withdraw(lab.records(), MODEL, lab.now)):
        with pytest.raises(InputError, match="no model 'vision/lite0'"):
            change()
    with pytest.raises(InputError, match="no family 'audio'"):
        withdraw(lab.records(), "audio/kws", lab.now)


def test_withdrawal(lab: Lab) -> None:
    lab.publish(1)
    lab.follow()
    lab.enforce(withdraw(lab.records(), MODEL, lab.now), *lab.vision)
    with pytest.raises(UnknownTargetError):
        lab.follow()


def test_the_timestamp_is_signed_anew_and_the_snapshot_at_half_of_its_life(lab: Lab) -> None:
    lab.publish(1)
    lab.follow()
    for day in range(1, 40):
        lab.now += timedelta(days=1)
        written = lab.enforce(prolong(lab.records(), ("timestamp",), None, lab.now))
        assert (len(written) == 2) == (day in (16, 32))
    assert lab.follow().versions == {"root": 1, "targets": 1, "vision": 2, "snapshot": 4, "timestamp": 41}


def test_an_expired_channel_comes_back(lab: Lab) -> None:
    lab.publish(1)
    lab.follow()
    lab.now += timedelta(days=400)
    with pytest.raises(ExpiredError):
        lab.follow()
    change = prolong(lab.records(), ("root", "targets", "vision"), None, lab.now)
    lab.enforce(change, *lab.root[:2], *lab.targets, *lab.vision)
    found = lab.follow()
    assert found.notice.version == 1
    assert found.expires == lab.now + timedelta(days=7)


def test_periods_are_kept_until_others_are_given(lab: Lab) -> None:
    made = Lab(lab.folder / "other")
    made.found({"vision": timedelta(days=10), "timestamp": timedelta(hours=12)})
    assert made.records().metadata["vision"].signed.expires == made.now + timedelta(days=10)
    made.now += timedelta(days=3)
    made.publish(1)
    assert made.records().metadata["vision"].signed.expires == made.now + timedelta(days=10)
    assert made.records().metadata["timestamp"].signed.expires == made.now + timedelta(hours=12)
    made.enforce(prolong(made.records(), ("vision",), timedelta(days=20), made.now), *made.vision)
    made.enforce(prolong(made.records(), ("timestamp",), timedelta(days=1), made.now))
    made.publish(2)
    assert made.records().metadata["vision"].signed.expires == made.now + timedelta(days=20)
    assert made.records().metadata["timestamp"].signed.expires == made.now + timedelta(days=1)


@pytest.mark.parametrize("period", [timedelta(0), timedelta(minutes=90), timedelta(days=5000), -timedelta(days=1)])
def test_periods_that_cannot_be(lab: Lab, period: timedelta) -> None:
    with pytest.raises(InputError, match="cannot be valid for"):
        prolong(lab.records(), ("vision",), period, lab.now)


def test_the_snapshot_is_signed_anew_where_that_is_asked(lab: Lab) -> None:
    assert len(lab.enforce(prolong(lab.records(), ("snapshot",), None, lab.now))) == 2
    lab.enforce(prolong(lab.records(), ("snapshot",), timedelta(days=3), lab.now))
    assert lab.records().metadata["snapshot"].signed.expires == lab.now + timedelta(days=3)


def test_a_role_that_is_not_there(lab: Lab) -> None:
    with pytest.raises(InputError, match="no family 'audio'"):
        prolong(lab.records(), ("audio",), None, lab.now)
