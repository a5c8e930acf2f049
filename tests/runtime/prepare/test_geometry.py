"""Geometry: there and back again, for every fit and size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_edge.runtime.prepare.geometry import fitted

sizes = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
fits = st.sampled_from(["stretch", "letterbox", "crop"])
units = st.floats(-0.5, 1.5)


@given(fits, sizes, sizes, units, units)
def test_a_point_comes_back_to_where_it_was(fit, source, prepared, across, down):
    geometry = fitted(fit, source, prepared)
    x, y = across * source[1], down * source[0]
    there = geometry.to_prepared(x, y)
    assert geometry.to_source(*there) == pytest.approx((x, y), abs=1e-6)


@given(fits, sizes, sizes)
def test_both_rectangles_lie_inside_their_pictures(fit, source, prepared):
    geometry = fitted(fit, source, prepared)
    for (left, top, width, height), (rows, columns) in (
        (geometry.source_box, geometry.source_size),
        (geometry.prepared_box, geometry.prepared_size),
    ):
        assert width >= 1
        assert height >= 1
        assert left >= 0
        assert top >= 0
        assert left + width <= columns
        assert top + height <= rows


@given(sizes, sizes)
def test_stretch_uses_all_of_both_letterbox_all_of_the_source_crop_all_of_the_prepared(source, prepared):
    whole_source, whole_prepared = (0, 0, source[1], source[0]), (0, 0, prepared[1], prepared[0])
    assert fitted("stretch", source, prepared).source_box == whole_source
    assert fitted("stretch", source, prepared).prepared_box == whole_prepared
    assert fitted("letterbox", source, prepared).source_box == whole_source
    assert fitted("crop", source, prepared).prepared_box == whole_prepared


def test_the_corners_of_a_letterboxed_frame():
    geometry = fitted("letterbox", (720, 1280), (224, 224))
    assert geometry.to_source(0, 49) == (0, 0)
    assert geometry.to_source(224, 49 + 126) == (1280, 720)
