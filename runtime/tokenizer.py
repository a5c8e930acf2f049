"""Loads the tokenizer of a bundle. Its library is written in Rust and may panic, which `except Exception` misses."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from mm_edge.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Texts on which a pattern that panics usually does: nothing, words, other scripts, and a run that invites backtracking.
PROBES = ("", "the red ball", "\u00fcber \u6587\u5b57\t\U0001f642\n", "a" * 64 + "!", " " * 64 + "!")


@contextmanager
def panic_as_error(action: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # KeyboardInterrupt and the like; the class cannot be imported
            raise
        raise BundleError(f"it panicked: {error}", action=action, hint="Export the bundle again") from None


def load_tokenizer(content: bytes, action: str) -> Tokenizer:
    with panic_as_error(action):
        try:
            made = Tokenizer.from_str(content.decode())
        except Exception as error:  # noqa: BLE001  # the library raises bare Exception
            raise BundleError(
                f"not a valid tokenizer: {error}", action=action, hint="Export the bundle again"
            ) from None
        for probe in PROBES:
            with suppress(Exception):  # a word that is not in the vocabulary is no reason to refuse the others
                made.encode(probe)
        return made
