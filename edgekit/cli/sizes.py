"""Size: a flag's number of bytes. In a module of its own, for verbs that have to start fast."""

from __future__ import annotations

import click

from edgekit.units import parse_size


class Size(click.ParamType[int]):
    """Bytes, as people write them; 0 is allowed."""

    name = "SIZE"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        if isinstance(value, int) or value.strip() == "0":
            return int(value)
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(f"{error}: write 500kB, 2MB, 1GiB", param, ctx)
