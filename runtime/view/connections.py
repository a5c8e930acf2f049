"""Limits the connections of the page's server: their number, and the time without a request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MOST_CONNECTIONS = 256
SILENT_S = 5.0


class Connections:
    """Creates the protocol of each connection, and closes connections that send no request."""

    def __init__(self) -> None:
        self._silent: dict[web.RequestHandler, float] = {}  # since

    def factory(self, server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
        def accept() -> asyncio.BaseProtocol:
            if len(server.connections) >= MOST_CONNECTIONS:
                return _Refusal()
            handler = server()
            self._silent[handler] = asyncio.get_running_loop().time()
            return handler

        return accept

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self._silent.pop(request.protocol, None)
        return await handler(request)

    async def close_silent(self) -> None:
        while True:
            await asyncio.sleep(SILENT_S / 2)
            latest_s = asyncio.get_running_loop().time() - SILENT_S
            for handler, since_s in list(self._silent.items()):
                if since_s < latest_s:
                    del self._silent[handler]
                    handler.force_close()


class _Refusal(asyncio.Protocol):
    """Closes a connection over the limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
