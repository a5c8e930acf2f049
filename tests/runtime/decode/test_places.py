"""Boxes and points: against a slow reference, and back into the pixels of the frame."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mm_edge.errors import WorkFailedError
from mm_edge.runtime.decode import DecodeContext
from mm_edge.runtime.decode.boxes import BoxesDecoder, suppress
from mm_edge.runtime.decode.place import HeatmapDecoder, PointDecoder, shift
from mm_edge.spec import BoxesOutput, HeatmapOutput, PointOutput

HEIGHT, WIDTH = 128, 160


class Affine:
    """A frame of which the prepared picture is a scaled and padded copy."""

    def __init__(self, source_size, scale, pad):
        self.source_size, self.scale, self.pad = source_size, scale, pad

    def to_source(self, x, y):
        return (x - self.pad[0]) / self.scale[0], (y - self.pad[1]) / self.scale[1]

    def to_prepared(self, x, y):
        return x * self.scale[0] + self.pad[0], y * self.scale[1] + self.pad[1]


STRETCHED = Affine((720, 1280), (WIDTH / 1280, HEIGHT / 720), (0, 0))
LETTERBOXED = Affine((720, 1280), (0.125, 0.125), (0, 19))


def seen(geometry):
    return DecodeContext(geometry={"image": geometry})


# --- suppression -------------------------------------------------------------------------------------------------


def overlap_of(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_suppress(corners, scores, labels, overlap):
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(labels[i] != labels[j] or overlap_of(corners[i], corners[j]) <= overlap for j in kept):
            kept.append(i)
    return kept


@given(
    # Corners on a coarse grid and a threshold off it: no overlap can fall on the threshold and be decided by rounding.
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 10), st.integers(1, 10), st.integers(0, 2)),
        max_size=40,
    ),
    st.sampled_from([0.0101, 0.3011, 0.4503, 0.7001]),
    st.randoms(use_true_random=False),
)
def test_suppression_agrees_with_the_slow_reference(rows, overlap, random):
    corners = np.array([[x, y, x + w, y + h] for x, y, w, h, _ in rows], np.float32).reshape(-1, 4) * 8
    labels = np.array([row[4] for row in rows], np.int64)
    ranks = list(range(len(rows)))
    random.shuffle(ranks)
    scores = np.array([0.3 + 0.01 * rank for rank in ranks], np.float32)
    assert suppress(corners, scores, labels, overlap) == slow_suppress(corners.tolist(), scores, labels, overlap)


# --- boxes -------------------------------------------------------------------------------------------------------


def boxes_output(**other):
    reads = {"boxes": "part:a.b", "scores": "part:a.s"}
    return BoxesOutput(name="things", reads=reads, labels=("ball", "cup"), input="image", **other)


@pytest.mark.parametrize("layout", ["xyxy", "cxcywh"])
@pytest.mark.parametrize("scale", ["unit", "pixels"])
@pytest.mark.parametrize("geometry", [STRETCHED, LETTERBOXED], ids=["stretch", "letterbox"])
def test_a_box_comes_back_in_source_pixels(layout, scale, geometry):
    true = [100.0, 200.0, 400.0, 500.0]
    x0, y0 = geometry.to_prepared(*true[:2])
    x1, y1 = geometry.to_prepared(*true[2:])
    box = np.array([x0, y0, x1, y1]) if layout == "xyxy" else np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])
    if scale == "unit":
        box /= [WIDTH, HEIGHT, WIDTH, HEIGHT]
    tensors = {"boxes": np.array([[box]], np.float32), "scores": np.array([[[0.1, 0.75]]], np.float32)}
    decoder = BoxesDecoder(boxes_output(layout=layout, scale=scale), (HEIGHT, WIDTH))
    (out,) = decoder.decode(tensors, seen(geometry))
    assert out["box"] == pytest.approx(true, abs=0.02)
    assert (out["label"], out["score"]) == ("cup", 0.75)


def test_boxes_are_cut_to_the_frame_limited_and_best_first():
    n = 12
    left = np.arange(n) * 12.0 - 3
    boxes = np.stack([left, np.full(n, -5.0), left + 10, np.full(n, 200.0)], 1).astype(np.float32)
    scores = np.zeros((1, n, 2), np.float32)
    scores[0, :, 0] = np.linspace(0.3, 0.9, n)
    decoder = BoxesDecoder(boxes_output(scale="pixels", most=5), (HEIGHT, WIDTH))
    out = decoder.decode({"boxes": boxes[None], "scores": scores}, seen(STRETCHED))
    assert len(out) == 5
    assert [thing["score"] for thing in out] == sorted((thing["score"] for thing in out), reverse=True)
    for thing in out:
        x0, y0, x1, y1 = thing["box"]
        assert 0 <= x0 < x1 <= 1280
        assert (y0, y1) == (0, 720)


def test_logits_are_compared_with_the_threshold_after_the_sigmoid():
    boxes = np.array([[[0, 0, 0.1, 0.1], [0.5, 0.5, 0.6, 0.6]]], np.float32)
    scores = np.array([[[-9, math.log(0.26 / 0.74)], [-9, math.log(0.24 / 0.76)]]], np.float32)
    out = BoxesDecoder(boxes_output(activation="sigmoid"), (HEIGHT, WIDTH)).decode(
        {"boxes": boxes, "scores": scores}, seen(STRETCHED)
    )
    assert [round(thing["score"], 4) for thing in out] == [0.26]


def test_nothing_seen_and_nothing_to_see():
    tensors = {"boxes": np.zeros((1, 5, 4), np.float32), "scores": np.zeros((1, 5, 2), np.float32)}
    decoder = BoxesDecoder(boxes_output(), (HEIGHT, WIDTH))
    assert decoder.decode(tensors, seen(STRETCHED)) == []
    assert decoder.decode(tensors, DecodeContext()) == []


def test_a_score_that_is_not_a_number_is_an_error():
    scores = np.zeros((1, 5, 2), np.float32)
    scores[0, 3, 1] = np.nan
    with pytest.raises(WorkFailedError, match="not finite"):
        BoxesDecoder(boxes_output(), (HEIGHT, WIDTH)).decode(
            {"boxes": np.zeros((1, 5, 4), np.float32), "scores": scores}, seen(STRETCHED)
        )


# --- heat map and point ------------------------------------------------------------------------------------------


@given(st.floats(-0.499, 0.499), st.floats(0.5, 3.0))
def test_the_peak_of_a_bell_curve_is_found_within_a_thousandth_of_a_cell(offset, width):
    line = np.exp(-(((np.arange(9) - 4 - offset) / width) ** 2))
    assert shift(line, 4) == pytest.approx(offset, abs=1e-3)


@given(arrays.arrays(np.float32, 7, elements=st.floats(0, 1, width=32)))
def test_the_finer_place_stays_within_its_cell(line):
    assert abs(shift(line, int(line.argmax()))) <= 0.5


def heat_at(x, y, rows=32, columns=40):
    """Logits of a Gaussian around a place in prepared pixels."""
    across = (np.arange(columns) + 0.5) * WIDTH / columns
    down = (np.arange(rows) + 0.5) * HEIGHT / rows
    distance = (across[None] - x) ** 2 + (down[:, None] - y) ** 2
    probability = 0.98 * np.exp(-distance / (2 * 6.0**2)) + 1e-6
    return np.log(probability / (1 - probability)).astype(np.float32)


HEAT = HeatmapOutput(name="target", reads={"heatmap": "part:a.h"}, input="image")


@given(st.floats(20, WIDTH - 20), st.floats(20, HEIGHT - 20))
def test_a_heat_map_points_into_the_source_frame(x, y):
    out = HeatmapDecoder(HEAT, (HEIGHT, WIDTH)).decode({"heatmap": heat_at(x, y)[None]}, seen(LETTERBOXED))
    true_x, true_y = LETTERBOXED.to_source(x, y)
    assert out["x"] == pytest.approx(true_x, abs=0.5)  # a cell is 32 source pixels
    assert out["y"] == pytest.approx(min(max(true_y, 0), 720), abs=0.5)
    assert list(out) == ["x", "y", "score"]


@pytest.mark.parametrize("activation", ["sigmoid", "none"])
def test_the_map_is_left_for_whoever_draws_it_and_stays_as_it_was(activation):
    buffer = heat_at(80, 60)[None]
    if activation == "none":
        buffer = 1 / (1 + np.exp(-buffer))
    context = seen(LETTERBOXED)
    output = HeatmapOutput(name="target", reads=HEAT.reads, input="image", activation=activation)
    HeatmapDecoder(output, (HEIGHT, WIDTH)).decode({"heatmap": buffer}, context)
    kept = context.maps["target"]
    before = kept.values.copy()
    buffer[:] = 0.5  # the engine's next moment
    assert np.array_equal(kept.values, before)
    assert 0 <= kept.values.min() < kept.values.max() <= 1
    assert kept.box == (0.0, -152.0, 1280.0, 872.0)  # with the padding, which lies outside the frame


def test_the_score_of_its_own_output_goes_before_the_peak():
    decoder = HeatmapDecoder(HEAT, (HEIGHT, WIDTH))
    tensors = {"heatmap": heat_at(80, 60)[None], "score": np.array([[-2.0]], np.float32)}
    out = decoder.decode(tensors, seen(STRETCHED))
    assert out == {"x": None, "y": None, "score": pytest.approx(0.1192, abs=1e-4)}


def test_cells_so_sure_that_they_round_to_one_still_have_a_highest():
    logits = np.full((8, 8), 40.0, np.float32)
    logits[5, 2] = 41.0
    out = HeatmapDecoder(HEAT, (HEIGHT, WIDTH)).decode({"heatmap": logits[None]}, seen(STRETCHED))
    assert (out["x"], out["y"]) == (2.5 * 1280 / 8, 5.5 * 720 / 8)


POINT = PointOutput(name="target", reads={"point": "part:a.p", "score": "part:a.s"}, input="image")


@pytest.mark.parametrize("geometry", [STRETCHED, LETTERBOXED], ids=["stretch", "letterbox"])
def test_a_point_comes_back_in_source_pixels(geometry):
    x, y = geometry.to_prepared(900, 300)
    tensors = {
        "point": np.array([[x / WIDTH, y / HEIGHT]], np.float32),
        "score": np.array([[2.0]], np.float32),
    }
    out = PointDecoder(POINT, (HEIGHT, WIDTH)).decode(tensors, seen(geometry))
    assert (out["x"], out["y"]) == (pytest.approx(900, abs=0.02), pytest.approx(300, abs=0.02))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-10, 10))
def test_a_point_is_within_the_frame_or_is_not_there(x, y, score):
    tensors = {"point": np.array([[x, y]], np.float32), "score": np.array([[score]], np.float32)}
    out = PointDecoder(POINT, (HEIGHT, WIDTH)).decode(tensors, seen(LETTERBOXED))
    if out["score"] < POINT.score_threshold:
        assert (out["x"], out["y"]) == (None, None)
    else:
        assert 0 <= out["x"] <= 1280
        assert 0 <= out["y"] <= 720


def test_without_a_picture_there_is_no_place():
    tensors = {"point": np.array([[0.5, 0.5]], np.float32), "score": np.array([[9.0]], np.float32)}
    assert PointDecoder(POINT, (HEIGHT, WIDTH)).decode(tensors, DecodeContext())["x"] is None
