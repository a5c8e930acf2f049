"""How a run ends: its sinks take everything that was delivered; an interrupt gives up soon and counts what is lost."""

import threading
import time

import pytest
from bundles import senses_bundle
from sinks import Kept
from sources import END, Script, picture, pictures

from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.errors import UsageError, WorkFailedError
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sink import ItemLostError
from mm_edge.runtime.source import Capture
from mm_edge.sample import Prediction

SOON_S = 10.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    with Bundle.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")) as opened:
        yield opened


def words():
    return Script("text", [Capture(0, "the red ball")], ready=True, live=True)


def run(bundle, sources, sinks):
    with Run(bundle, RunConfig(), sources, sinks) as session:
        assert session.wait(SOON_S)
    return session


class Slow(Kept):
    """A sink that takes its time for each prediction."""

    name = "slow"
    wants_samples = True  # its queue is short: a worker waits for room

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def take(self, item):
        if isinstance(item, Prediction):
            time.sleep(self.seconds)
        super().take(item)


def test_a_played_run_delivers_everything_at_its_end(bundle):
    slow = Slow(0.3)
    with Run(bundle, RunConfig(), [Script("image", pictures(7)), words()], [slow]) as session:
        assert session.wait(SOON_S)
    assert [item.seq for item in slow.predictions] == list(range(7))
    assert slow.summary == session.summary
    assert sum(session.summary.sinks["slow"].values()) == 0
    assert slow.closed
    assert not session.left_behind


def test_a_played_run_that_is_left_early_delivers_what_it_predicted(bundle):
    slow = Slow(0.3)
    with Run(bundle, RunConfig(), [Script("image", pictures(7)), words()], [slow]) as session:
        _until(lambda: session.predictions > 2)
    assert len(slow.predictions) == session.summary.predictions
    dropped = sum(session.summary.dropped["image"].values())
    assert session.summary.captured["image"] == session.summary.predictions + dropped


def test_an_interrupt_gives_up_within_a_second_and_counts_what_sinks_lose(bundle):
    slow = Slow(0.3)
    session = Run(bundle, RunConfig(), [Script("image", pictures(40)), words()], [slow])
    with pytest.raises(KeyboardInterrupt), session:  # noqa: PT012  # the interrupt arrives inside
        _until(lambda: session.predictions > 4)
        raise KeyboardInterrupt
    lost = session.summary.sinks["slow"]
    assert lost["unfinished"] > 0
    assert len(slow.predictions) + sum(lost.values()) == session.summary.predictions
    assert slow.summary.sinks["slow"] == lost


def test_an_interrupt_while_a_sink_is_waited_for_gives_up(bundle):
    release = threading.Event()

    class Hanging(Kept):
        def take(self, item):
            release.wait(SOON_S)
            super().take(item)

    session = Run(bundle, RunConfig(), [Script("image", pictures(7)), words()], [Hanging()])
    threading.Timer(0.5, session.hurry).start()
    began = time.monotonic()
    with session:
        assert session.wait(SOON_S)
    assert 0.4 < time.monotonic() - began < 3
    assert session.left_behind
    assert session.summary.sinks["kept"]["unfinished"] >= 6
    release.set()


def test_what_a_failed_sink_misses_is_counted(bundle):
    class Full(Kept):
        name = "full"

        def take(self, item):
            if isinstance(item, Prediction) and item.seq == 5:
                raise OSError(28, "No space left on device")

    kept = run(bundle, [Script("image", pictures(20)), words()], [Full()])
    assert kept.summary.sinks["full"] == {"failed": 15}


def test_a_sink_that_does_not_open_holds_up_nobody(bundle):
    class Absent(Kept):
        name = "absent"

        def open(self, run):
            raise OSError(13, "Permission denied")

    kept = run(bundle, [Script("image", pictures(200)), words()], [Absent()])
    assert kept.summary.sinks["absent"] == {"failed": 200}


def test_a_sink_given_something_impossible_ends_the_run_at_its_start(bundle):
    class Misused(Kept):
        name = "misused"

        def open(self, run):
            raise UsageError("no such folder", action="writing", hint="Give another")

    sources = [Script("image", pictures(3)), words()]
    with pytest.raises(UsageError, match="no such folder"), Run(bundle, RunConfig(), sources, [Misused()]):
        pass


def test_a_sink_that_is_slow_to_open_is_reported_and_the_run_continues(bundle, monkeypatch):
    monkeypatch.setattr("mm_edge.runtime.session.run.SINKS_OPEN_WITHIN_S", 0.1)
    monkeypatch.setattr("mm_edge.runtime.session.sink_keeper.STUCK_NS", 1_000_000)
    opens = threading.Event()

    class Late(Kept):
        name = "late"

        def open(self, run):
            opens.wait(SOON_S)

    seen = Kept()
    camera = Script("image", [picture(1, 0)], live=True)  # it never ends by itself
    with Run(bundle, RunConfig(), [camera, words()], [Late(), seen]):
        _until(lambda: ("sink.late", "stalled") in seen.events)
        opens.set()
        _until(lambda: ("sink.late", "live") in seen.events)


def test_a_sink_that_never_opens_fails_the_run_at_its_end(bundle, monkeypatch):
    monkeypatch.setattr("mm_edge.runtime.session.run.SINKS_OPEN_WITHIN_S", 0.1)
    monkeypatch.setattr("mm_edge.runtime.session.shutdown.STUCK_WITHIN_S", 0.3)
    opens = threading.Event()

    class Never(Kept):
        name = "never"

        def open(self, run):
            opens.wait(SOON_S)

    camera = Script("image", [picture(1, 0), picture(2, 0), END], live=True)
    with Run(bundle, RunConfig(), [camera, words()], [Never()]) as session:
        session.wait(SOON_S)
    opens.set()
    with pytest.raises(
        WorkFailedError, match="writing to never: it was busy with one item for too long; predictions not delivered: "
    ):
        session.raise_error()


def test_a_sink_recovers_from_lost_items_and_they_are_counted(bundle):
    class Full(Kept):
        name, last = "full", -1

        def take(self, item):
            if isinstance(item, Prediction):
                self.last = item.seq
            if 5 <= self.last < 12:
                raise ItemLostError("no space", action="writing", hint="Free some")

    seen = Kept()
    done = run(bundle, [Script("image", pictures(20)), words()], [Full(), seen])
    done.raise_error()
    assert done.summary.sinks["full"] == {"failed": 7}
    assert [state for source, state in seen.events if source == "sink.full"] == ["failed", "live"]


def test_a_sink_that_has_not_recovered_by_the_end_fails_the_run(bundle):
    class Full(Kept):
        name = "full"

        def take(self, item):
            raise ItemLostError("no space", action="writing", hint="Free some")

    done = run(bundle, [Script("image", pictures(20)), words()], [Full()])
    with pytest.raises(ItemLostError, match="no space"):
        done.raise_error()


def _until(condition):
    """Waits for what another thread is about to do."""
    until_s = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < until_s, "it did not happen"
        time.sleep(0.001)
