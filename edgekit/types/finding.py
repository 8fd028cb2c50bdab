"""Finding: one plain sentence about something the user should know, with its cause."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much it matters."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """Something noticed on the way.

    Attributes:
        code: Stable kebab-case name, for example "int8-slower-than-float".
        message: What was found, with value and unit, and its cause, in a sentence.
        severity: How much it matters.
        where: File, torch module or input it is about; "" for the whole run.
        hint: What to do about it.
    """

    code: str
    message: str
    severity: Severity = Severity.WARNING
    where: str = ""
    hint: str = ""
