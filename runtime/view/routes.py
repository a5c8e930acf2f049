"""The routes of the page's server: the page, its websocket, and the endpoints for programs (docs/live-page.md)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from mm_edge.runtime.sinks.prometheus import CONTENT_TYPE

from .hub import Viewer
from .messages import MOST_MESSAGE_BYTES, Drawn, Play, SetText, Watch, read_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.runtime.sinks.prometheus import PrometheusSink
    from mm_edge.runtime.sinks.telemetry.status import RunView

    from .guard import Guard
    from .hub import Hub

log = logging.getLogger(__name__)
MOST_VIEWERS = 64
HEARTBEAT_S = 10.0
MOST_MESSAGES_PER_S = 200  # three times the rate of a page at 60 frames per second
STALLED_S = 5.0
LEAVE_WITHIN_S = 0.2
BOUNDARY = "frame"
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


class Controls(Protocol):
    """Pauses and steps file playback (a PlayClock)."""

    @property
    def paused(self) -> bool: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def step(self) -> None: ...


class Routes:
    """Everything runs in the server's event loop."""

    def __init__(
        self, hub: Hub, view: Callable[[], RunView], prometheus: PrometheusSink, act: Callable[[SetText | Play], None]
    ) -> None:
        self._hub, self._view, self._prometheus, self._act = hub, view, prometheus, act
        self._watching: set[asyncio.Task[Any]] = set()
        # Read once: no request can name any other file.
        self._page = {
            file.name: (file.read_bytes(), kind)
            for file in files(__package__).joinpath("page").iterdir()
            if (kind := TYPES.get(file.name[file.name.rfind(".") :]))
        }

    def add_to(self, app: web.Application) -> None:
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/page/{name}", self._file),
                web.get("/live", self._live),
                web.get("/stream.mjpg", self._mjpeg),
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._health),
                web.get("/api/state", self._state),
            ]
        )

    async def _index(self, _request: web.Request) -> web.Response:
        return self._answer("index.html")

    async def _file(self, request: web.Request) -> web.Response:
        return self._answer(request.match_info["name"])

    def _answer(self, name: str) -> web.Response:
        if name not in self._page:
            raise web.HTTPNotFound(text="No such file.\n")
        body, kind = self._page[name]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._prometheus.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _state(self, _request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._view()), content_type="application/json")

    async def _health(self, _request: web.Request) -> web.Response:
        """200 while predictions arrive, also if degraded; 503 before the first, after the end, and when stalled."""
        view = self._view()
        stalled = view.idle_s is None or view.idle_s > STALLED_S
        health = "stalled" if stalled and view.health in {"ok", "degraded"} else view.health
        status = 200 if health in {"ok", "degraded"} else 503
        body = msgspec.json.encode({"health": health, "idle_s": view.idle_s})
        return web.Response(body=body, status=status, content_type="application/json")

    async def end(self) -> None:
        """Closes all viewers; one that does not respond in time is abandoned."""
        for task in self._watching:
            task.cancel()
        if self._watching:
            await asyncio.wait(self._watching, timeout=LEAVE_WITHIN_S)

    # --- viewers ---------------------------------------------------------------------------------------------

    def _enter(self, camera: str | None = None, *, alone: bool = False) -> Viewer:
        if len(self._hub.viewers) >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(text=f"The limit of {MOST_VIEWERS} viewers is reached.\n")
        viewer = Viewer(camera or next(iter(self._hub.cameras), None), alone=alone)
        self._hub.enter(viewer)
        task = asyncio.current_task()
        if task is not None:
            self._watching.add(task)
            task.add_done_callback(self._watching.discard)
        return viewer

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, timeout=LEAVE_WITHIN_S / 2, max_msg_size=MOST_MESSAGE_BYTES, compress=False
        )
        if not request.headers.get("Sec-WebSocket-Key", "").isascii():  # aiohttp would raise while it encodes it
            raise web.HTTPBadRequest(text="The websocket key is not ASCII.\n")
        if not socket.can_prepare(request).ok:
            raise web.HTTPUpgradeRequired
        viewer = self._enter()
        sender: asyncio.Task[None] | None = None
        try:
            await socket.prepare(request)
            sender = asyncio.create_task(self._send(socket, viewer))
            await self._listen(socket, viewer)
        finally:
            self._hub.leave(viewer)
            if sender is not None:
                sender.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await sender
                await socket.close(code=WSCloseCode.GOING_AWAY, drain=False)
        return socket

    async def _send(self, socket: web.WebSocketResponse, viewer: Viewer) -> None:
        """Waits for a slow client here and nowhere else: nothing more is sent until it has the last message."""
        while not socket.closed:
            await viewer.news.wait()
            viewer.news.clear()
            if state := viewer.next_state(self._hub.state):
                await socket.send_str(state.decode())
            if frame := viewer.next_frame(self._hub.frames):
                await socket.send_bytes(frame.message)

    async def _listen(self, socket: web.WebSocketResponse, viewer: Viewer) -> None:
        clock = asyncio.get_running_loop().time
        second_began_s, messages = clock(), 0
        async for received in socket:
            if clock() - second_began_s > 1.0:
                second_began_s, messages = clock(), 0
            messages += 1
            if messages > MOST_MESSAGES_PER_S:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many messages")
                return
            if received.type is not WSMsgType.TEXT:
                await socket.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"not a message")
                return
            try:
                message = read_message(received.data)
            except msgspec.MsgspecError as error:
                log.debug("a page sent an invalid message: %s", error)
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"not a message")
                return
            if isinstance(message, Drawn):
                self._hub.drawn(viewer)
            elif isinstance(message, Watch):
                self._hub.watch(viewer, message.camera)
            else:
                self._act(message)

    async def _mjpeg(self, request: web.Request) -> web.StreamResponse:
        """Only the images, for a browser's <img>, VLC or OpenCV. Of several cameras `?camera=NAME`, or the first."""
        camera = request.query.get("camera")
        if camera is not None and camera not in self._hub.cameras:
            names = ", ".join(self._hub.cameras) or "this run has one camera, without a name"
            raise web.HTTPNotFound(text=f"No such camera. Cameras: {names}\n")
        viewer = self._enter(camera, alone=True)
        stream = web.StreamResponse(headers={"Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY}"})
        try:
            await stream.prepare(request)
            while True:
                await viewer.news.wait()
                viewer.news.clear()
                frame = viewer.next_frame(self._hub.frames)
                if frame and frame.jpeg:
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame.jpeg)}\r\n\r\n"
                    await stream.write(head.encode() + frame.jpeg + b"\r\n")
                if frame:
                    self._hub.drawn(viewer)
        except ConnectionError:
            log.debug("the reader of a stream disconnected")
        finally:
            self._hub.leave(viewer)
        return stream


def application(routes: Routes, guard: Guard, *middlewares: Any) -> web.Application:
    from .guard import HEADERS

    async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)

    app = web.Application(middlewares=[*middlewares, guard.middleware], client_max_size=MOST_MESSAGE_BYTES)
    app.on_response_prepare.append(add_headers)
    routes.add_to(app)
    return app
