"""Access control of the page's server: checks of Host, Origin and token, and security headers."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TOKEN_BYTES = 16
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


class Guard:
    """A server on loopback needs no token; any other requires one with every request.

    The token is sent as `?token=`, which becomes an HttpOnly cookie at the first request, or as `Authorization:
    Bearer`.
    """

    def __init__(self, host: str, port: int, token: str | None) -> None:
        self.token = token
        self._cookie = f"mm-edge-{port}"
        # Against DNS rebinding: a foreign page could rebind its own name to this address, but not an IP or our own
        # names.
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own}.local", host.lower()}

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not self._right_host(request):
            raise web.HTTPMisdirectedRequest(text="Unknown host name for this server.\n", headers=HEADERS)
        if not _right_origin(request):
            raise web.HTTPForbidden(text="Cross-origin requests are not allowed.\n", headers=HEADERS)
        if self.token and not self._knows_token(request, self.token):
            raise web.HTTPUnauthorized(
                text="Token required: open the link that mm-edge printed.\n",
                headers={**HEADERS, "WWW-Authenticate": "Bearer"},
            )
        if self.token and "token" in request.query and request.method == "GET" and request.path == "/":
            welcome = web.HTTPSeeOther("/", headers=HEADERS)
            welcome.set_cookie(self._cookie, self.token, httponly=True, samesite="Strict", path="/")
            raise welcome
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            refusal.headers.update(HEADERS)
            raise

    def _right_host(self, request: web.Request) -> bool:
        name = _host_name(request.headers.get("Host", ""))
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self.token is not None

    def _knows_token(self, request: web.Request, token: str) -> bool:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        given = (
            request.query.get("token", ""),
            request.cookies.get(self._cookie, ""),
            bearer if scheme.lower() == "bearer" else "",
        )
        # Headers may hold bytes that are no text; they are wrong like any other word.
        words = (word.encode("utf-8", "surrogateescape") for word in given)
        return any(secrets.compare_digest(word, token.encode()) for word in words)


def _host_name(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _right_origin(request: web.Request) -> bool:
    """Programs send no Origin; a browser sends that of the page, which must be this server."""
    origin = request.headers.get("Origin")
    if origin is None:
        followed_link = request.path == "/" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        return followed_link or request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
    try:
        return urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower()
    except ValueError:
        return False
