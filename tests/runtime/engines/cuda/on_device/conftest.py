"""The test driver's own interface, and a check after every test that nothing was left behind."""

import ctypes
import gc

import pytest

KEPT = ("device_bytes", "pinned_bytes", "streams", "events", "graphs")


class Driver:
    """Counts and faults of the driver that this process has loaded."""

    def __init__(self):
        self._library = ctypes.CDLL("libcuda.so.1")
        self._library.testcuda_count.restype = ctypes.c_int64

    def count(self, name):
        found = self._library.testcuda_count(name.encode())
        assert found >= 0, name
        return found

    def counts(self):
        gc.collect()  # what an error's traceback held
        return {name: self.count(name) for name in KEPT}

    def fault(self, function, code, after=0):
        self._library.testcuda_fault(function.encode(), after, code)

    def lose(self, code):
        self._library.testcuda_lose(code)

    def memory(self, size):
        self._library.testcuda_memory(ctypes.c_int64(size))

    def slow_copies(self, ms):
        self._library.testcuda_slow_copies(ctypes.c_int64(int(ms * 1e6)))

    def swallow(self):
        """From here on work on streams is over at once: what is left is what asking for it takes."""
        self._library.testcuda_swallow(1)

    def meet(self, *kinds, within_ms=20_000):
        """As many pieces of work of these kinds ("copy", "compute") have to be under way at once; "meetings" counts."""
        kinds_of_work = sum(1 << {"copy": 0, "compute": 4}[kind] for kind in set(kinds))
        self._library.testcuda_meet(kinds_of_work, len(kinds), within_ms)

    def heal(self):
        self._library.testcuda_heal()


@pytest.fixture(scope="session")
def the_driver():
    return Driver()


@pytest.fixture(scope="session")
def device(the_driver):
    from mm_edge.runtime.engines.cuda.device import open_device

    return open_device()


@pytest.fixture
def driver(the_driver, device):
    """Healed afterwards. Pushes and pops are even, and no address was touched that is nobody's."""
    yield the_driver
    the_driver.heal()
    assert the_driver.count("pushes") == the_driver.count("pops")
    assert the_driver.count("bad_addresses") == 0
