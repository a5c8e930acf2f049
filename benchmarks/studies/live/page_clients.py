"""Clients of the live page that come and go: viewers, streams, readers of all files, and viewers that vanish."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp
    import numpy as np

log = logging.getLogger(__name__)
SHORTEST_S, LONGEST_S = 0.5, 12.0  # of one visit
ADDRESSES = ("/", "/page/main.js", "/api/state", "/metrics", "/healthz")
DRAWN = '{"kind":"drawn","frame":0}'
PIECE_BYTES = 1 << 16
UPGRADE = (
    "GET /live HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def come_and_go(port: int, seconds: float, clients: int, chance: np.random.Generator) -> Counter[str]:
    """`clients` at the same time; each leaves after a while and comes again as another. Counts visits by kind, frames,
    and what failed.
    """
    until_s, visits = time.monotonic() + seconds, Counter[str]()
    own_chances = chance.spawn(clients)
    await asyncio.gather(*(_one_after_another(port, until_s, own, visits) for own in own_chances))
    return visits


async def _one_after_another(port: int, until_s: float, chance: np.random.Generator, visits: Counter[str]) -> None:
    import aiohttp

    while (left_s := until_s - time.monotonic()) > 0:
        kind = str(chance.choice(sorted(KINDS)))
        stay_s = min(left_s, chance.uniform(SHORTEST_S, LONGEST_S))
        visits[kind] += 1
        try:
            frames = await KINDS[kind](port, time.monotonic() + stay_s)
            visits["frames"] += frames
        except (aiohttp.ClientError, OSError) as error:
            visits["failed"] += 1
            log.warning("a visit (%s) failed: %s", kind, error)
        await asyncio.sleep(chance.uniform(0.0, 0.5))


async def _viewer(port: int, until_s: float) -> int:
    """Draws each frame at once, as the page does."""
    import aiohttp

    frames = 0
    async with _client(port) as client, client.ws_connect("/live", max_msg_size=0) as page:
        async for message in page:
            if message.type is aiohttp.WSMsgType.BINARY:
                frames += 1
                await page.send_str(DRAWN)
            if time.monotonic() > until_s:
                return frames
    raise aiohttp.ClientConnectionError("the server closed the connection of a viewer that behaves")


async def _vanishing_viewer(port: int, until_s: float) -> int:
    """Draws nothing, and resets its connection instead of closing it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(UPGRADE.format(port=port).encode())
        while time.monotonic() < until_s:
            if not await reader.read(PIECE_BYTES):
                raise ConnectionError("the server closed the connection of a viewer that only reads")
    finally:
        writer.transport.abort()
    return 0


async def _stream(port: int, until_s: float) -> int:
    async with _client(port) as client, client.get("/stream.mjpg") as answer:
        answer.raise_for_status()
        while time.monotonic() < until_s:
            await answer.content.read(PIECE_BYTES)
    return 0


async def _reader(port: int, until_s: float) -> int:
    async with _client(port) as client:
        while time.monotonic() < until_s:
            for address in ADDRESSES:
                async with client.get(address) as answer:
                    answer.raise_for_status()
                    await answer.read()
            await asyncio.sleep(0.2)
    return 0


def _client(port: int) -> aiohttp.ClientSession:
    import aiohttp

    return aiohttp.ClientSession(f"http://127.0.0.1:{port}")


KINDS = {"viewer": _viewer, "vanishing_viewer": _vanishing_viewer, "stream": _stream, "reader": _reader}
