"""The page's server as a sink: an event loop in its own thread, for which the run never waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import msgspec
from aiohttp import web

from mm_edge.errors import InputError, UsageError
from mm_edge.runtime.clock import MonotonicClock
from mm_edge.runtime.sinks.prometheus import PrometheusSink
from mm_edge.runtime.sinks.telemetry.status import Tally
from mm_edge.sample import Event, Prediction
from mm_edge.spec import AudioInput, TextInput

from .address import invitation, reachable_host
from .connections import BriefErrors, Connections
from .guard import Guard, is_loopback, new_token
from .hub import Hub
from .machine import machine_name
from .messages import Play, SetText
from .routes import Routes, application

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.runtime.sink import RunInfo, Summary

    from .routes import Controls

log = logging.getLogger(__name__)
http_log = logging.getLogger(f"{__name__}.http")
http_log.addFilter(BriefErrors())
RECENT_TEXTS = 8
END_WITHIN_S = 0.5


class ViewServer:
    """`start` opens the port and returns the link; `open` then sets the run that the page shows.

    `set_text` changes the live prompt, `controls` pauses and steps file playback; without them the page offers neither.
    Both are called from the server's thread and may be set any time before the run is opened.
    """

    name = "view"
    wants_samples = True

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 8700,
        *,
        set_text: Callable[[str], None] | None = None,
        controls: Controls | None = None,
        token: str | None = None,
    ) -> None:
        self.set_text, self.controls = set_text, controls
        self.host, self.port = host, port
        self.token = token or (None if is_loopback(host) else new_token())
        self._tally, self._prometheus = Tally(MonotonicClock()), PrometheusSink()
        self._machine = machine_name()
        self._texts: list[str] = []
        self._text_inputs: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hub: Hub | None = None
        self._over: asyncio.Event | None = None
        self._opened = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="mm-edge-view", daemon=True)

    def start(self) -> str:
        """Returns the link to the page. Raises if the port cannot be opened."""
        if not self._thread.ident:
            self._thread.start()
            self._opened.wait()
            if self._error:
                raise self._error
        return self.link

    def invitation(self) -> str:
        """The text for the terminal: the link, and a QR code if other devices can reach it."""
        return invitation(self.link, token=self.token is not None)

    @property
    def link(self) -> str:
        host = reachable_host(self.host)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    # --- the sink --------------------------------------------------------------------------------------------

    def open(self, run: RunInfo) -> None:
        self.start()
        self._tally.open(run)
        self._prometheus.open(run)
        self._text_inputs = [spec.name for spec in run.manifest.inputs if isinstance(spec, TextInput)]
        rates = {spec.name: spec.prepare.sample_rate for spec in run.manifest.inputs if isinstance(spec, AudioInput)}
        if self._hub:
            self._hub.rates, self._hub.cameras = rates, tuple(run.cameras)

    def take(self, item: Prediction | Event | Summary) -> None:
        if self._error:
            raise self._error
        self._tally.take(item)
        self._prometheus.take(item)
        if isinstance(item, Prediction):
            self._remember_texts(item)
        loop, hub = self._loop, self._hub
        if loop is None or hub is None or not hub.viewers:
            return
        with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
            if isinstance(item, Prediction):
                loop.call_soon_threadsafe(hub.offer, item)
            else:
                loop.call_soon_threadsafe(hub.refresh_state)

    def close(self) -> None:
        if self._loop and self._over and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(END_WITHIN_S)

    # --- the server's thread ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001  # raised at the next start() or take()
            self._error = error
        finally:
            self._opened.set()

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        connections = Connections()
        with ThreadPoolExecutor(1, thread_name_prefix="mm-edge-view-encode") as executor:
            self._hub = hub = Hub(self._state, executor)
            guard = Guard(self.host, self.port, self.token)
            routes = Routes(hub, self._tally.view, self._prometheus, self._act)
            runner = web.AppRunner(
                application(routes, guard, connections.middleware), access_log=None, logger=http_log, shutdown_timeout=0
            )
            await runner.setup()
            accept = connections.factory(cast("web.Server", runner.server))  # set after setup
            server = await self._listen(accept)
            self.port = server.sockets[0].getsockname()[1]
            self._opened.set()
            tasks = [
                asyncio.create_task(work) for work in (hub.make_frames(), hub.make_states(), connections.close_silent())
            ]
            over = asyncio.create_task(self._over.wait())
            try:
                done, _ = await asyncio.wait([*tasks, over], return_when=asyncio.FIRST_COMPLETED)
                for task in done - {over}:
                    task.result()  # none of them ends by itself: this raises its error
                if hub.viewers:  # the last state reports the end of the run
                    hub.refresh_state()
                    await asyncio.sleep(0)
            finally:
                for task in tasks:
                    task.cancel()
                server.close()
                await routes.end()
                await runner.cleanup()

    async def _listen(self, accept: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
        try:
            return await asyncio.get_running_loop().create_server(accept, self.host, self.port)
        except (OSError, UnicodeError) as error:  # UnicodeError: no host name, for example `..`
            raise UsageError(
                getattr(error, "strerror", None) or f"'{self.host}' is not a host",
                action=f"opening the live page at {self.host}:{self.port}",
                hint="Use another port: --view 8701",
            ) from None

    def _act(self, message: SetText | Play) -> None:
        if isinstance(message, SetText):
            if self.set_text is None or not self._text_inputs:
                return
            with contextlib.suppress(InputError):  # the session reports it as an event, which the page shows
                self.set_text(message.text)
        elif self.controls is not None:
            {"pause": self.controls.pause, "resume": self.controls.resume, "step": self.controls.step}[message.action]()
        if self._hub:
            self._hub.refresh_state()

    def _remember_texts(self, prediction: Prediction) -> None:
        """The prompts the model has used, newest first, from any client."""
        for name in self._text_inputs:
            sample = prediction.sources.get(name)
            if sample is not None and self._texts[:1] != [sample.payload]:
                others = [text for text in self._texts if text != sample.payload]
                self._texts = [sample.payload, *others[: RECENT_TEXTS - 1]]

    def _state(self) -> bytes:
        """The data of /api/state, plus what only the page needs."""
        page: dict[str, Any] = {
            "texts": self._texts,
            "can_type": self.set_text is not None and bool(self._text_inputs),
            "paused": self.controls.paused if self.controls else None,
            "machine": self._machine,
            "viewers": len(self._hub.viewers) if self._hub else 0,
        }
        return msgspec.json.encode({"run": self._tally.view(), "page": page})
