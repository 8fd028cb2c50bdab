"""How long metadata is valid: a default per role, and what its last version says of itself.

Each metadata file carries its period in a field of its own, so that whoever signs the next version, on another machine
and months later, signs for as long. TUF clients leave fields alone that they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from edgekit.channel.tuf_objects import Signed
from edgekit.errors import InputError

FIELD = "x-edgekit-period-hours"
DEFAULTS: Mapping[str, timedelta] = {
    "root": timedelta(days=365),
    "targets": timedelta(days=90),
    "snapshot": timedelta(days=30),
    "timestamp": timedelta(days=7),
}
"""Of the four top roles; families are as targets."""
HOUR = timedelta(hours=1)
SHORTEST, LONGEST = HOUR, timedelta(days=3650)


def check_period(period: timedelta) -> timedelta:
    """A period of whole hours, an hour to ten years.

    Raises:
        InputError: It is none.
    """
    if not SHORTEST <= period <= LONGEST or period % HOUR:
        raise InputError(f"metadata cannot be valid for {period}", hint="give whole hours or days: 12h to 3650d")
    return period


def default_period(role: str) -> timedelta:
    """Of a role or a family that says nothing."""
    return DEFAULTS.get(role, DEFAULTS["targets"])


def period_of(role: str, signed: Signed) -> timedelta:
    """How long a role's metadata is valid from its signing on."""
    hours = signed.unrecognized_fields.get(FIELD)
    if type(hours) is int and SHORTEST <= timedelta(hours=min(hours, 10**6)) <= LONGEST:
        return timedelta(hours=hours)
    return default_period(role)


def set_period(signed: Signed, period: timedelta, now: datetime) -> None:
    """Let metadata expire `period` after `now`, and remember the period in it."""
    signed.unrecognized_fields[FIELD] = check_period(period) // HOUR
    signed.expires = now.astimezone(UTC).replace(microsecond=0) + period


def remaining(expires: datetime, now: datetime) -> str:
    """How long until then, for people.

    >>> remaining(datetime(2026, 1, 3, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    '2 days'
    """
    hours = abs((expires - now).total_seconds()) / 3600
    span = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours"
    return span if expires > now else f"expired {span} ago"
