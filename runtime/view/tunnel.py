"""An ssh tunnel to a page that listens only on loopback, the safest way to reach a page."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mm_edge.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEME = "ssh://"
PAGE_PORT = 8700
OPEN_WITHIN_S = 30.0  # includes typing a password


@contextmanager
def tunnel(url: str) -> Iterator[int]:
    """`ssh://[user@]host[:port][/PAGE_PORT]`: yields the local port that forwards to the robot's page."""
    action = f"reaching {url}"
    try:
        parts = urlsplit(url)
        port, page_port = parts.port, int(parts.path.strip("/") or PAGE_PORT)
    except ValueError as error:
        raise UsageError(f"{error}", action=action, hint="Example: ssh://me@robot/8700") from None
    if not parts.hostname or parts.hostname.startswith("-") or (parts.username or "").startswith("-"):
        raise UsageError("the URL has no host", action=action, hint="Example: ssh://me@robot/8700")
    host = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
    local_port = _free_port()
    command = ["ssh", "-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{local_port}:127.0.0.1:{page_port}"]
    command += ["-p", str(port)] if port else []
    try:
        process = subprocess.Popen([*command, host], stdin=None)
    except FileNotFoundError:
        raise UnavailableError("ssh is not installed", action=action, hint="Install openssh-client") from None
    try:
        _wait_for(process, local_port, action)
        yield local_port
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[bytes], port: int, action: str) -> None:
    until_s = time.monotonic() + OPEN_WITHIN_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            raise UnavailableError(
                f"ssh exited with code {process.returncode}", action=action, hint="Check that you can log in with ssh"
            )
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise UnavailableError(f"ssh did not connect within {OPEN_WITHIN_S:.0f} s", action=action)
