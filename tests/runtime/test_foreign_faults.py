"""What own sources, sinks and engines may raise, also what is no Exception: the run never ends without an error."""

import pytest
from bundles import senses_bundle
from sources import Script, pictures

import mm_edge
from mm_edge.errors import WorkFailedError
from mm_edge.runtime.engines.stub import StubEngine


class PanicError(BaseException):
    """As a library in Rust raises it."""


FAULTS = (PanicError("broken"), SystemExit(0), KeyboardInterrupt(), ValueError("broken"))


class FaultySource(Script):
    """Raises at one call, after two pictures where it is `read`."""

    def __init__(self, call, fault):
        super().__init__("image", pictures(2)[: 2 if call == "read" else 3])
        self.call, self.fault = call, fault

    def _raise_at(self, call):
        if call == self.call:
            raise self.fault

    def open(self):
        self._raise_at("open")
        return super().open()

    def read(self):
        if self.items.empty():
            self._raise_at("read")
        return super().read()

    def interrupt(self):
        self._raise_at("interrupt")
        super().interrupt()

    def figures(self):
        self._raise_at("figures")
        return super().figures()

    def close(self):
        self._raise_at("close")
        super().close()


class FaultySink:
    name, wants_samples = "faulty", False

    def __init__(self, call, fault):
        self.call, self.fault = call, fault

    def _raise_at(self, call):
        if call == self.call:
            raise self.fault

    def open(self, run):
        self._raise_at("open")

    def take(self, item):
        self._raise_at("take")

    def close(self):
        self._raise_at("close")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")


def ended_with(session):
    """Runs it to its end, which must come, and returns what the run reports."""
    try:
        with session:
            assert session.wait(20)
        session.raise_error()
    except Exception as error:  # noqa: BLE001  # whatever it is
        return error
    return None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("call", ["open", "read", "interrupt", "figures", "close"])
def test_a_source_that_raises_anything_ends_the_run_with_an_error(path, call, fault):
    session = mm_edge.open(path, sources={"image": FaultySource(call, fault)})
    error = ended_with(session)
    assert isinstance(error, ValueError if isinstance(fault, ValueError) else WorkFailedError)
    assert session.summary is not None
    assert session.summary.predictions == (0 if call == "open" else 2)
    assert not session.left_behind


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("call", ["open", "take", "close"])
def test_a_sink_that_raises_anything_is_an_error_of_the_run(path, call, fault):
    sink = FaultySink(call, fault)
    session = mm_edge.open(path, sources={"image": Script("image", pictures(200))}, sinks=[sink])
    error = ended_with(session)
    assert isinstance(error, WorkFailedError)
    assert "faulty" in str(error)
    assert session.summary.predictions == 200
    assert not session.left_behind


def test_a_part_that_panics_costs_its_moment(path):
    calls = iter(range(1000))

    def panics(**_values):
        if next(calls) == 3:
            raise PanicError("once")
        return {}

    engine = StubEngine({"fuse": panics})
    session = mm_edge.open(path, sources={"image": Script("image", pictures(20))}, engine=engine)
    assert ended_with(session) is None
    assert session.summary.predictions == 19
    assert sum(session.summary.dropped["image"].values()) == 1
