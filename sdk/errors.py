"""The errors of mm-edge, one tree; each says what was asked, what was found and what to do, and carries its exit code.

MmEdgeError                  1   anything of ours
+-- WorkFailedError          1   the work was done and its result is not good enough (a parity gate, a budget)
+-- UsageError (ValueError)  2   what was asked for makes no sense
|   +-- ConfigError          2   a configuration file or --set
|   +-- BundleError          2   a bundle that is refused
|   +-- InputError           2   a value of the wrong type, shape or size
+-- UnavailableError         3   a device, an engine or an extra that was asked for is not there
|   +-- DeviceError (OSError)
|   +-- EngineError
|   +-- MissingExtraError (ImportError)
|   +-- NotBuiltYetError
+-- SourceLostError (OSError)    a source stopped giving; the session decides when to open it again
"""

from __future__ import annotations

from typing import ClassVar


class MmEdgeError(Exception):
    """An error that its reader can act on. `found` is the fact, `asked` what led to it, `todo` the way out."""

    exit_code: ClassVar[int] = 1

    def __init__(self, found: str, *, action: str = "", hint: str = "") -> None:
        self.found, self.action, self.hint = found, action, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        message = f"{self.action}: {self.found}" if self.action else self.found
        return f"{message}. {self.hint}" if self.hint else message


class WorkFailedError(MmEdgeError):
    """The work was done, and its result does not pass."""


class UsageError(MmEdgeError, ValueError):
    """What was asked for makes no sense."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration that cannot be used; the message names the key's path."""


class BundleError(UsageError):
    """A bundle that is refused; nothing of it has been loaded."""


class InputError(UsageError):
    """A value of the wrong type, shape or size."""


class UnavailableError(MmEdgeError):
    """Something that was asked for is not there."""

    exit_code = 3


class DeviceError(UnavailableError, OSError):
    """A camera, a microphone or a GPU that is not there or may not be used."""


class EngineError(UnavailableError):
    """An engine that does not load here."""


class MissingExtraError(UnavailableError, ImportError):
    """A package that belongs to an optional part of mm-edge."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"the package '{package}' is not installed",
            action=f"this needs the extra '{extra}'",
            hint=f"Install it: pip install 'mm-edge[{extra}]'",
        )


class NotBuiltYetError(UnavailableError):
    """A verb of the command whose room does not stand yet."""


class SourceLostError(MmEdgeError, OSError):
    """A source stopped giving. Drivers raise it and never retry; the session does, once for all of them."""
