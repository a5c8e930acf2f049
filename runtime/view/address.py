"""The address of the page as seen from other machines, and the link with its QR code."""

from __future__ import annotations

import io
import socket


def reachable_host(host: str) -> str:
    """The address at which others reach this machine if it listens on all interfaces."""
    if host not in {"0.0.0.0", "::"}:  # noqa: S104  # compared, not bound
        return host
    # Addresses reserved for documentation, which no host has.
    family, nobody = (socket.AF_INET6, "2001:db8::1") if host == "::" else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((nobody, 9))  # on a datagram socket: selects a route and sends nothing
        except OSError:
            return socket.gethostname()
        address: str = probe.getsockname()[0]
        return address


def invitation(link: str, *, token: bool) -> str:
    """The text for the terminal: the link, and a QR code if other devices can reach the page."""
    if not token:
        return f"Live page: {link}"
    return (
        f"Live page: {link}\n"
        "Anyone with this link can see the cameras and change the prompt. The token is valid for this run.\n\n"
        f"{_code(link)}"
    )


def _code(link: str) -> str:
    import segno

    out = io.StringIO()
    segno.make(link, micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()
