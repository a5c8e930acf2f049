"""Limits the connections of the page's server: their number, also of one address, and the time without a request."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MOST_CONNECTIONS = 256
MOST_OF_ONE_ADDRESS = 128  # so that one client cannot keep all others out
SILENT_S = 5.0


class Connections:
    """Creates the protocol of each connection, and closes connections that send no whole request.

    The time counts anew after every response: half of a second request holds a connection no longer than half of a
    first one. A response that streams, as a websocket does, is not silence.
    """

    def __init__(self) -> None:
        self._silent: dict[web.RequestHandler, float] = {}  # since

    def factory(self, server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
        def accept() -> asyncio.BaseProtocol:
            return _Door(server, self._wait_for_request)

        return accept

    def _wait_for_request(self, handler: web.RequestHandler) -> None:
        self._silent[handler] = asyncio.get_running_loop().time()

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self._silent.pop(request.protocol, None)
        try:
            return await handler(request)
        finally:
            self._wait_for_request(request.protocol)

    async def close_silent(self) -> None:
        while True:
            await asyncio.sleep(SILENT_S / 2)
            latest_s = asyncio.get_running_loop().time() - SILENT_S
            for handler, since_s in list(self._silent.items()):
                if since_s < latest_s:
                    del self._silent[handler]
                    handler.force_close()


class _Door(asyncio.Protocol):
    """Hands a connection on to the server, or closes it where a limit is reached."""

    def __init__(self, server: web.Server, accepted: Callable[[web.RequestHandler], None]) -> None:
        self._server, self._accepted = server, accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        addresses = Counter(_address(each.transport) for each in self._server.connections)
        if addresses.total() >= MOST_CONNECTIONS or addresses[_address(transport)] >= MOST_OF_ONE_ADDRESS:
            transport.close()
            return
        handler = self._server()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        self._accepted(handler)


def _address(transport: asyncio.BaseTransport | None) -> str:
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if peer else ""


class BriefErrors(logging.Filter):
    """What clients send wrong is theirs to know; an error of ours is one line, with a traceback only for --debug."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or logging.getLogger("mm_edge").isEnabledFor(logging.DEBUG):
            return True
        if isinstance(error, (HttpProcessingError, web.RequestPayloadError, ConnectionError)):
            return False
        record.msg, record.args = f"{record.getMessage()}: {type(error).__name__}: {error}", ()
        record.exc_info = None
        return True
