"""A picture in planes is an array to whoever asks for one, and gives its parts without a gap."""

import numpy as np
import pytest
from planar import natural, planes_of


def test_it_has_the_shape_of_the_picture_and_becomes_it():
    picture = natural(48, 64)
    planes = planes_of(picture)
    assert planes.shape == picture.shape
    np.testing.assert_array_equal(np.asarray(planes), picture)
    np.testing.assert_array_equal(planes.bgr(), picture)
    assert np.asarray(planes, np.float32).dtype == np.float32
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(ValueError, match="conversion"):
            np.asarray(planes, copy=False)


@pytest.mark.parametrize("ratio", ["420", "422", "444"])
def test_a_part_covers_its_box_and_no_more_than_colour_needs(ratio):
    planes = planes_of(natural(49, 65), ratio)
    y, u, v = planes.within(3, 5, 11, 20)
    np.testing.assert_array_equal(y, planes.planes[0][5:25, 3:14])
    down, across = (2 if ratio == "420" else 1), (1 if ratio == "444" else 2)
    assert u.shape == v.shape == (11 if down == 2 else 20, 6 if across == 2 else 11)
    np.testing.assert_array_equal(u, planes.planes[1][5 // down :, 3 // across :][: u.shape[0], : u.shape[1]])
    assert all(part.size for part in planes.within(64, 48, 1, 1))


def test_the_parts_are_views():
    planes = planes_of(natural(48, 64))
    assert all(
        np.shares_memory(part, whole) for part, whole in zip(planes.within(8, 8, 8, 8), planes.planes, strict=True)
    )
