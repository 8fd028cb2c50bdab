"""A witness behind HTTP: `POST /add-checkpoint` as C2SP tlog-witness says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from edgekit.errors import EdgekitError
from edgekit.transparency.witness import Reply, Witness
from edgekit.transparency.witness_request import LARGEST_BYTES
from edgekit.transport.bounded_server import BoundedHandler, BoundedServer, ServerLimits

PATH = "/add-checkpoint"
LIMITS = ServerLimits(most_connections=64, most_per_address=16, request_s=15.0, most_body_bytes=LARGEST_BYTES)
"""A web server before it has one address, and asks for one request at a time on each of its connections."""


def serve(
    witness: Witness,
    host: str,
    port: int,
    *,
    limits: ServerLimits = LIMITS,
    tell: Callable[[str], None] = lambda line: None,
) -> BoundedServer:
    """A server for a witness; it listens at once, and serves inside its block.

    Args:
        witness: Who answers.
        host: Address of this machine.
        port: 0 lets the system choose.
        limits: What strangers may ask.
        tell: Gets a line for every request that was understood, for whoever runs it.

    Raises:
        InputError: Nobody can listen there.

    >>> with serve(witness, "127.0.0.1", 0) as server:  # doctest: +SKIP
    ...     print(server.port)
    """

    class Handler(BoundedHandler):
        def do_POST(self) -> None:  # noqa: N802 (the standard library's name)
            if self.path != PATH:
                self.send_error(404)
                return
            data = self.body()
            if data is None:
                return
            reply = _reply(witness, data, tell)
            self.answer(reply.status, reply.body, content_type=reply.content_type)

    return BoundedServer(Handler, host, port, limits=limits)


def _reply(witness: Witness, data: bytes, tell: Callable[[str], None]) -> Reply:
    try:
        reply = witness.add_checkpoint(data)
    except EdgekitError as error:
        tell(f"error: {error}")
        return Reply(500, b"this witness cannot write down what it sees, and signs nothing\n")
    told = reply.body.decode(errors="replace").rstrip("\n") if reply.status != 200 else "cosigned"
    tell(f"{reply.status} {told}")
    return reply
