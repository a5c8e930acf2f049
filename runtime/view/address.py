"""Where the page is to be had: the address that others reach, and the link with its QR code for people."""

from __future__ import annotations

import io
import socket


def reachable_host(host: str) -> str:
    """The address by which others reach this machine, where it listens on all of them."""
    if host not in {"0.0.0.0", "::"}:  # noqa: S104  # asked whether it is, not bound
        return host
    # Addresses that are set aside for documents: nobody has them.
    family, nobody = (socket.AF_INET6, "2001:db8::1") if host == "::" else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((nobody, 9))  # of a datagram socket: chooses a route and sends nothing
        except OSError:
            return socket.gethostname()
        address: str = probe.getsockname()[0]
        return address


def invitation(link: str, *, token: bool) -> str:
    """What the terminal says: the link, and for another device a code to point a phone at."""
    if not token:
        return f"The live page: {link}"
    return (
        f"The live page: {link}\n"
        "Whoever has this link sees what the robot sees and can change its prompt. The token holds for this run.\n\n"
        f"{_code(link)}"
    )


def _code(link: str) -> str:
    import segno

    out = io.StringIO()
    segno.make(link, micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()
