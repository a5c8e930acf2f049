"""The study of several cameras: its cameras send pictures in time, and what falls short of a limit is reported."""

import time

import cv2
import pytest

from mm_edge.benchmarks.studies.live.cameras import LIMITS, not_met
from mm_edge.benchmarks.studies.live.mjpeg_cameras import mjpeg_cameras


def test_every_camera_sends_its_pictures_at_its_rate():
    with mjpeg_cameras(2, 20.0) as urls:
        for url in urls:
            video = cv2.VideoCapture(url)
            assert video.read()[0]
            began_s = time.monotonic()
            pictures = [video.read() for _ in range(20)]
            taken_s = time.monotonic() - began_s
            video.release()
            assert all(ok and picture.shape == (720, 1280, 3) for ok, picture in pictures)
            assert 0.7 < taken_s < 5.0  # twenty periods of 50 ms, less what the first read left in a buffer


def test_a_ratio_above_its_limit_is_reported():
    met = dict(LIMITS)
    assert not_met({"cameras": 4, "ratios": met}) == []
    (fault,) = not_met({"cameras": 4, "ratios": {**met, "pss_mb": 0.55}})
    assert fault == "pss_mb: 0.55 of that of 4 processes, more than 0.4"


@pytest.mark.parametrize("page", ["several-cameras.md", "decisions/0059-several-cameras.md"])
def test_the_pages_show_what_was_recorded(page):
    import json
    import runpy
    from pathlib import Path

    docs = Path(__file__).parents[2] / "docs"
    writer = runpy.run_path(str(docs / "cameras_figures.py"))
    found = json.loads((docs.parent / "benchmarks" / "results" / "cameras.json").read_text())
    block = writer["compared" if page == "several-cameras.md" else "batching"](found)
    text = (docs / page).read_text()
    assert writer["written"](text, block) == text
