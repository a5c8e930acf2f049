"""The errors of mm-edge: each reports the action, what was found and a hint, and has an exit code.

MmEdgeError                  1   base class
+-- WorkFailedError          1   the result does not meet its requirement (a parity gate, a budget)
+-- UsageError (ValueError)  2   invalid usage
|   +-- ConfigError          2   an invalid configuration file or --set
|   +-- BundleError          2   a bundle that fails verification
|   +-- InputError           2   a value of the wrong type, shape or size
+-- UnavailableError         3   a requested device, engine or extra is unavailable
|   +-- DeviceError (OSError)
|   +-- EngineError
|   +-- MissingExtraError (ImportError)
|   +-- NotImplementedYetError
+-- SourceLostError (OSError)    a source stopped delivering; the session reopens it
"""

from __future__ import annotations

from typing import ClassVar

from .redact import redact


class MmEdgeError(Exception):
    """An error that a user can act on: `action` failed, because of `found`; `hint` is the way out."""

    exit_code: ClassVar[int] = 1

    def __init__(self, found: str, *, action: str = "", hint: str = "") -> None:
        self.found, self.action, self.hint = found, action, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        message = f"{self.action}: {self.found}" if self.action else self.found
        return redact(f"{message}. {self.hint}" if self.hint else message)


class WorkFailedError(MmEdgeError):
    """The work was done, but its result does not meet the requirement."""


class UsageError(MmEdgeError, ValueError):
    """Invalid usage."""

    exit_code = 2


class ConfigError(UsageError):
    """An invalid configuration; the message names the key."""


class BundleError(UsageError):
    """A bundle that fails verification; nothing of it was loaded."""


class InputError(UsageError):
    """A value of the wrong type, shape or size."""


class UnavailableError(MmEdgeError):
    """Something requested is unavailable."""

    exit_code = 3


class DeviceError(UnavailableError, OSError):
    """A camera, microphone or GPU that is missing or may not be used."""


class EngineError(UnavailableError):
    """An engine that does not load on this machine."""


class MissingExtraError(UnavailableError, ImportError):
    """A missing package of an optional extra."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"the package '{package}' is not installed",
            action=f"this requires the extra '{extra}'",
            hint=f"Install it: pip install 'mm-edge[{extra}]'",
        )


class NotImplementedYetError(UnavailableError):
    """A command or option that is not implemented yet."""


def as_exception(error: BaseException, *, action: str) -> Exception:
    """What foreign code raised in a thread: raised again elsewhere, a SystemExit or KeyboardInterrupt would end the
    process as intended.
    """
    if isinstance(error, Exception):
        return error
    return WorkFailedError(f"{type(error).__name__}: {error}", action=action)


class SourceLostError(MmEdgeError, OSError):
    """A source stopped delivering. Drivers raise it and never retry; the session retries for all of them."""
