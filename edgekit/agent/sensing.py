"""Sensors read while a measurement runs: between rounds, never within one."""

from __future__ import annotations

import time

from edgekit.agent.events import tell
from edgekit.agent.probing import readings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


class Sensors:
    """Reads what the job lists when it is time; without a list, nothing."""

    def __init__(self, wanted: Mapping[str, Any] | None) -> None:
        self._wanted = wanted
        self._began = time.monotonic()
        self._due = 0.0

    def now(self) -> float:
        """Seconds since the sensors were set up: the clock of the events."""
        return time.monotonic() - self._began

    def look(self, *, due: bool = False) -> None:
        """Tell the readings, if their interval is over or they are due anyway."""
        if self._wanted is None or (not due and self.now() < self._due):
            return
        tell("sensors", at_s=self.now(), **readings(self._wanted["files"], self._wanted["commands"]))
        self._due = self.now() + float(self._wanted["interval_s"])
