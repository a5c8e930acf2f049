"""Limits numpy's BLAS to one thread while a run lasts.

By default it starts a thread for each core, and these compete with the workers: a spectrum that takes 0.13 ms alone
takes 11 ms beside another thread pool. Only the OpenBLAS that numpy itself calls is limited: torch and others have
their own (docs/decisions/0057).
"""

from __future__ import annotations

import ctypes
import logging
import threading
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)
PER_THREAD = 2  # what openblas_get_parallel answers for a build with OpenMP, where every thread has its own limit
_lock = threading.Lock()
_users = 0
_threads_before = 0


class OpenBlas:
    """The functions of the OpenBLAS that an extension module is linked to."""

    def __init__(self, extension: ctypes.CDLL, prefix: str, suffix: str) -> None:
        # The linker looks a name up in the extension and then in the libraries that it depends on, so this is the copy
        # that numpy calls, even if the process has loaded others.
        self.set_threads = extension[f"{prefix}openblas_set_num_threads{suffix}"]
        self.get_threads = extension[f"{prefix}openblas_get_num_threads{suffix}"]
        self.is_per_thread = extension[f"{prefix}openblas_get_parallel{suffix}"]() == PER_THREAD


@cache
def numpy_blas() -> OpenBlas | None:
    """None if numpy calls something else, whose threads are left as they are."""
    try:
        module = import_module("numpy._core._multiarray_umath")
    except ModuleNotFoundError:  # before numpy 2
        module = import_module("numpy.core._multiarray_umath")
    extension = ctypes.CDLL(str(module.__file__))
    for prefix, suffix in product(("scipy_", ""), ("64_", "_64", "")):
        try:
            return OpenBlas(extension, prefix, suffix)
        except AttributeError:
            continue
    log.info("numpy does not use OpenBLAS here: its threads are not limited, and may compete with the workers")
    return None


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """The limit belongs to the process: the first run sets it, and the last one to end restores what was there."""
    global _users, _threads_before  # noqa: PLW0603  # as the setting itself, they belong to the process
    blas = numpy_blas()
    with _lock:
        if _users == 0 and blas is not None:
            _threads_before = blas.get_threads()
            blas.set_threads(1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and blas is not None:
                blas.set_threads(_threads_before)


def limit_worker_thread() -> None:
    """Called in each worker's thread: with OpenMP the limit of the process does not reach it."""
    blas = numpy_blas()
    if blas is not None and blas.is_per_thread:
        blas.set_threads(1)
