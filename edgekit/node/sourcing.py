"""The places beside its channels from which a node takes blobs: swarms, gateways, other people's mirrors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from edgekit.errors import EdgekitError
from edgekit.node.opened import Node
from edgekit.transport.opening import opened
from edgekit.transport.transport import Transport


@contextmanager
def opened_sources(node: Node) -> Iterator[tuple[Transport, ...]]:
    """A node's sources, closed at the end of the block.

    One that cannot be used on this machine, such as a swarm without its library, is told and left out: the channels
    have everything too.
    """
    with ExitStack() as stack:
        found: list[Transport] = []
        for url in node.settings.sources:
            try:
                found.extend(stack.enter_context(opened([url])))
            except EdgekitError as error:
                node.world.tell(f"passed over {url}: {error}{f' ({error.hint})' if error.hint else ''}")
        yield tuple(found)
