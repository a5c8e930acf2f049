"""mm-edge tune: the search finds the best way that is right, and the next run uses it."""

import json

import pytest
from bundles import senses_bundle

from mm_edge.benchmarks.tune import trial, tune
from mm_edge.benchmarks.tune.load import Load
from mm_edge.benchmarks.tune.trial import Trial
from mm_edge.bundle.bundle import Bundle
from mm_edge.cli.app import run as command
from mm_edge.config import EngineConfig
from mm_edge.runtime.engines.selection.choice import Choice, is_open
from mm_edge.runtime.engines.selection.tuned import (
    Tuned,
    machine_of,
    recall_all,
    recall_best,
    recall_choice,
    remember_choice,
)

SAFE, FAST = Choice("onnxruntime"), Choice("openvino", options={"precision": "bf16", "streams": 2})


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb", golden=True)


@pytest.fixture
def bundle(path, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Bundle.open(path) as opened:
        yield opened


@pytest.fixture
def machine(monkeypatch):
    """A machine of one's own making: the engines that it has, how long each way takes, and which are refused."""
    took_ms, refused, tried = {}, {}, []

    def try_choice(_bundle, _load, choice, goal, _seconds):
        tried.append((choice, goal))
        ms = took_ms.get(str(choice), 10.0)
        return Trial(choice, ms, 2 * ms, 1000 / ms, ms / 2)

    monkeypatch.setattr(tune, "try_choice", try_choice)
    monkeypatch.setattr(tune, "Load", lambda _manifest: None)  # a second of drawing pictures that nobody looks at
    monkeypatch.setattr(tune, "engines", lambda _depth: [FAST])
    monkeypatch.setattr(tune.Search, "_refusal", lambda _search, choice: refused.get(str(choice), ""))
    monkeypatch.setattr(tune, "usable_cores", lambda: 4)
    return took_ms, refused, tried


def search(bundle, goal="latency"):
    return tune.Search(bundle, goal, 0.0, lambda _spent, _trial: None).run()


def test_the_fastest_way_is_chosen_and_its_gain_is_over_the_default(bundle, machine):
    machine[0].update({str(SAFE): 10.0, str(FAST): 5.0})
    result = search(bundle)
    assert result.tuned.choice == FAST
    assert result.tuned.gain == 0.5
    assert [trial.score("latency") for trial in result.trials] == sorted(
        trial.score("latency") for trial in result.trials
    )


def test_threads_and_depth_are_tried_for_the_best_engine(bundle, machine):
    threaded = tune.with_changes(FAST, threads=4, depth=1)
    machine[0].update({str(SAFE): 10.0, str(FAST): 5.0, str(threaded): 3.0})
    assert search(bundle).tuned.choice == threaded
    assert threaded.options == {"precision": "bf16", "streams": 1}


def test_a_gain_within_the_scatter_is_none(bundle, machine):
    machine[0].update({str(SAFE): 10.0, str(FAST): 9.9})
    assert search(bundle).tuned.choice == SAFE


@pytest.mark.parametrize("reason", ["it does not load", "its outputs decode to other answers than the export's"])
def test_what_is_not_right_is_not_even_timed(bundle, machine, reason):
    machine[0].update({str(SAFE): 10.0, str(FAST): 1.0})
    machine[1][str(FAST)] = reason
    result = search(bundle)
    assert result.tuned.choice == SAFE
    assert FAST not in [choice for choice, _ in machine[2]]
    assert next(trial for trial in result.trials if trial.choice == FAST).why_not == reason


def test_a_lucky_trial_is_measured_again_beside_the_default(bundle, machine, monkeypatch):
    """In the final both take turns, and only those trials count."""
    first = []

    def lucky(_bundle, _load, choice, _goal, _seconds):
        ms = 1.0 if choice == FAST and FAST not in first else 20.0 if choice == FAST else 10.0
        first.append(choice)
        return Trial(choice, ms, ms, 1000 / ms, ms)

    monkeypatch.setattr(tune, "try_choice", lucky)
    assert search(bundle).tuned.choice != FAST


def test_goals_look_at_what_they_name():
    way = Trial(SAFE, p50_ms=10.0, per_s=50.0, cpu_ms=4.0)
    assert [way.score(goal) for goal in ("latency", "throughput", "power")] == [10.0, 20.0, 4.0]
    assert Trial(SAFE, why_not="it does not load").score("latency") == float("inf")


@pytest.mark.parametrize("goal", ["latency", "throughput"])
def test_a_trial_is_a_real_run(bundle, goal):
    seen = trial.try_choice(bundle, Load(bundle.manifest), SAFE, goal, 0.2)
    assert not seen.why_not
    assert 0 < seen.p50_ms <= seen.p99_ms
    assert seen.per_s > (30 if goal == "throughput" else 10)
    assert seen.cpu_ms > 0


def test_a_trial_of_what_is_not_here_has_a_reason(bundle):
    seen = trial.try_choice(bundle, Load(bundle.manifest), Choice("tensorflow"), "latency", 0.1)
    assert "no such engine" in seen.why_not


def test_a_choice_is_remembered_by_bundle_machine_and_goal(bundle, monkeypatch):
    tuned = Tuned("senses", "latency", FAST, 0.5, "tune", machine_of())
    remember_choice(bundle, tuned)
    assert recall_choice(bundle, "latency") == tuned
    assert recall_choice(bundle, "throughput") is None
    assert recall_best(bundle, "throughput") == tuned
    assert recall_all() == [tuned]
    monkeypatch.setattr(bundle, "digest", "0" * 64)
    assert recall_best(bundle, "latency") is None


@pytest.mark.parametrize("changed", ["processor_name", "usable_cores", "_version"])
def test_on_another_machine_it_does_not_count(bundle, monkeypatch, changed):
    remember_choice(bundle, Tuned("senses", "latency", FAST, 0.5, "tune", machine_of()))
    monkeypatch.setattr(f"mm_edge.runtime.engines.selection.tuned.{changed}", lambda *_: 77)
    assert recall_best(bundle, "latency") is None
    assert recall_all() == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff\xfe"])
def test_a_damaged_file_does_not_count(bundle, tmp_path, content):
    remember_choice(bundle, Tuned("senses", "latency", FAST, 0.5, "tune", machine_of()))
    (file,) = (tmp_path / "cache/mm-edge/tuned").iterdir()
    file.write_bytes(content)
    assert recall_best(bundle, "latency") is None
    assert recall_all() == []


def test_the_command_shows_every_trial_and_remembers(bundle, path, machine, capsys):
    machine[0].update({str(SAFE): 10.0, str(FAST): 5.0})
    machine[1][str(FAST)] = ""
    assert command(["tune", str(path), "--budget-s", "5"]) == 0
    shown = capsys.readouterr().out
    assert "chosen" in shown
    assert "for latency: --engine openvino" in shown
    assert recall_choice(bundle, "latency").choice == FAST
    assert command(["tune", str(path), "--for", "throughput", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tuned"]["goal"] == "throughput"


def test_an_unknown_goal_is_one_message(path, capsys):
    assert command(["tune", str(path), "--for", "speed"]) == 2
    assert "expected latency, throughput, power, got 'speed'" in capsys.readouterr().err


def test_a_choice_reads_as_on_the_command_line():
    assert str(SAFE) == "--engine onnxruntime"
    threaded = tune.with_changes(FAST, threads=4, depth=1)
    assert str(threaded).startswith("--engine openvino --set engine.options.precision=bf16")
    assert str(threaded).endswith("--set engine.threads=4 --set loop.depth=1")
    assert is_open(EngineConfig())
    assert not any(map(is_open, (EngineConfig("openvino"), EngineConfig(threads=2), EngineConfig(precision="fp32"))))
