"""Scout as it ships, and a quick training of it: real worlds, real voices."""

import json
import shutil

import numpy as np
import pytest

from mm_edge import zoo
from mm_edge.cli.app import run
from mm_edge.zoo.catalog import entry
from mm_edge.zoo.training.loop import predictor
from mm_edge.zoo.worlds.tabletop.cache import CLEAN, labels_of, view_of
from mm_edge.zoo.worlds.tabletop.mesh import SHAPES
from mm_edge.zoo.worlds.tabletop.phrases import phrase, tokens
from mm_edge.zoo.worlds.tabletop.scene import COLORS

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def test_scout_points_at_what_it_is_asked_for():
    """Held-out pictures and wordings; no sound, so that no voice is needed."""
    if not zoo.is_trained("scout"):
        pytest.skip("scout has not been trained for shipping yet")
    rng = np.random.default_rng(5)
    pictures, texts, places = [], [], []
    for index in range(5000, 5060):
        scene, view = view_of(1, index, "held-out", CLEAN)
        things, _ = labels_of(scene, view)
        names = [tuple(pair) for pair in things.tolist() if min(pair) >= 0]
        alone = [pair for pair in names if things.tolist().count(list(pair)) == 1]
        if not alone:
            continue
        shape, color = alone[rng.integers(len(alone))]
        pictures.append(view.picture)
        texts.append(tokens(phrase(rng, COLORS[color], SHAPES[shape], held_out=True)))
        places.append(view.ids == things.tolist().index([shape, color]) + 1)
    presence = np.tile(np.float32([1, 0, 1]), (len(pictures), 1))
    sound = np.zeros((len(pictures), 16_000), np.float32)
    feeds = {"image": np.stack(pictures), "audio": sound, "text": np.stack(texts), "presence": presence}
    points = predictor(zoo.load("scout"))(feeds)["target"] * 160
    near = [
        mask[max(int(y) - 8, 0) : int(y) + 9, max(int(x) - 8, 0) : int(x) + 9].any()
        for mask, (x, y) in zip(places, points, strict=True)
    ]
    assert np.mean(near) > 0.6  # at chance it is the share of the table that a body covers, less than 0.15


def test_the_report_of_scout_says_how_it_was_made():
    path = entry("scout").weights.with_suffix(".json")
    if not path.is_file():
        pytest.skip("scout has not been trained for shipping yet")
    report = json.loads(path.read_text())
    assert report["made"]["commit"]
    assert len(report["data"]["digest"]) == 64
    assert report["held_out"]["scout"]["clean.command"] > report["chance"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_espeak
def test_a_quick_training_beats_chance_clearly(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert run(["train", "zoo:scout", "--quick", "--out", str(tmp_path / "run")]) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["tuning"]["command"] > report["chance"] + 0.15
    assert report["tuning"]["target_placed"] > 0.3
    assert set(report["alone"]) == {"image", "audio"}
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        "weights.safetensors",
        "curves.png",
        "confusion.png",
    }
    assert "only audio" in capsys.readouterr().out


@needs_espeak
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_calibration_feeds_are_what_the_graph_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    feeds = list(zoo.calibration("scout", 6))
    assert len(feeds) == 6
    shapes = {name: (value.dtype.name, value.shape) for name, value in feeds[0].items()}
    assert shapes == {
        "image": ("uint8", (1, 160, 160, 3)),
        "audio": ("float32", (1, 16_000)),
        "text": ("int64", (1, 16)),
        "presence": ("float32", (1, 3)),
    }
    assert not np.array_equal(feeds[0]["image"], feeds[1]["image"])
    _, answers = next(zoo.labelled("scout", "test", 3))
    assert set(answers) == {"command", "target"}
