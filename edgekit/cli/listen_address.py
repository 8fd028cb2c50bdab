"""ListenAddress: a flag's address of this machine and port. A module of its own, for verbs that have to start fast."""

from __future__ import annotations

import click

from edgekit.errors import InputError


class ListenAddress(click.ParamType[tuple[str, int]]):
    """An IP address and a port, 0 for any free one; an IPv6 address stands in brackets."""

    name = "ADDRESS:PORT"

    def convert(
        self, value: str | tuple[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Both."""
        from edgekit.transport.torrent_url import listen_address

        if not isinstance(value, str):
            return value
        try:
            return listen_address(value)
        except InputError as error:
            self.fail(f"{error}: write 127.0.0.1:0 or [::]:6881", param, ctx)
