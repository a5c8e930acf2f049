"""Pictures in planes become the same small picture as those in BGR, up to what their colour has lost."""

import itertools

import cv2
import numpy as np
import pytest
from allocation import allocated
from planar import natural, planes_of, smooth

from mm_edge.runtime.picture import colours
from mm_edge.runtime.prepare import preparer
from mm_edge.spec import ImageInput, ImagePrepare, VideoInput, VideoPrepare

FITS, ORDERS = ("stretch", "letterbox", "crop"), ("rgb", "bgr")
SIZES = [(720, 1280), (481, 641), (100, 901), (48, 64), (333, 57)]


def prepared(picture, **settings):
    prepare = preparer(ImageInput("image", ImagePrepare(**settings)), lambda _: b"")
    array = np.full((1, *settings["size"], 3), 7, np.uint8)
    geometry = prepare.write(picture, {"": array})
    return array[0].astype(int), geometry


def both(picture, ratio="420", *, size=(96, 160), **settings):
    """Prepared from planes and from BGR."""
    by_planes, geometry = prepared(planes_of(picture, ratio), size=size, **settings)
    by_bgr, same = prepared(picture, size=size, **settings)
    assert geometry == same
    return by_planes, by_bgr


@pytest.mark.parametrize(("fit", "color", "source"), list(itertools.product(FITS, ORDERS, SIZES)))
def test_a_smooth_picture_is_the_same(fit, color, source):
    by_planes, by_bgr = both(smooth(*source), fit=fit, color=color)
    assert np.abs(by_planes - by_bgr).max() <= 5
    assert np.abs(by_planes - by_bgr).mean() < 1


@pytest.mark.parametrize(("fit", "color", "ratio"), list(itertools.product(FITS, ORDERS, ("420", "422", "444"))))
def test_a_natural_picture_differs_at_coloured_edges_only(fit, color, ratio):
    difference = np.abs(np.subtract(*both(natural(720, 1280), ratio, fit=fit, color=color)))
    assert difference.mean() < 1
    assert np.percentile(difference, 95) <= 2
    assert difference.max() <= (60 if ratio != "444" else 8)


@pytest.mark.parametrize("size", [(224, 224), (96, 160)])
def test_it_is_as_near_to_the_mean_of_all_pixels(size):
    """Colour is averaged over more of them: nothing is lost by not converting the large picture."""
    noise = np.random.default_rng(1).normal(0, 20, (720, 1280, 3))
    picture = np.clip(natural(720, 1280) + noise, 0, 255).astype(np.uint8)
    by_planes, by_bgr = both(picture, size=size, color="bgr")
    truth = cv2.resize(picture.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(by_planes - truth).mean() < 1.02 * np.abs(by_bgr - truth).mean()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("shares", [(0.299, 0.114), (0.2126, 0.0722)])
def test_each_standard_has_its_own_mixture(shares, full):
    picture = np.full((32, 32, 3), (30, 90, 200), np.uint8)
    by_planes, _ = prepared(planes_of(picture, shares=shares, full=full), size=(16, 16), color="bgr")
    assert np.abs(by_planes - (30, 90, 200)).max() <= 1
    wrong, _ = prepared(planes_of(picture, shares=shares, full=full), size=(16, 16), color="rgb")
    assert np.abs(wrong - (200, 90, 30)).max() <= 1


def test_mixtures_are_those_of_the_standards():
    # ITU-R BT.601 and BT.709: red gets 1.402 and 1.5748 of V at full range, and 255/219 of brightness at the usual one.
    assert colours(0.299, 0.114, full=True).rgb[0].tolist() == pytest.approx([1, 0, 1.402, -179.456])
    assert colours(0.2126, 0.0722, full=True).rgb[0].tolist() == pytest.approx([1, 0, 1.5748, -201.5744])
    assert colours(0.299, 0.114, full=False).bgr[0].tolist() == pytest.approx([1.16438, 2.01723, 0, -276.836], abs=1e-3)


def test_fine_detail_is_averaged_in_planes_too():
    bars = np.zeros((720, 1280, 3), np.uint8)
    bars[:, ::2] = 255
    array, _ = prepared(planes_of(bars), size=(160, 160))
    assert np.abs(array - 127).max() <= 2


def test_a_letterbox_has_its_bars():
    array, _ = prepared(planes_of(np.full((50, 100, 3), 200, np.uint8)), size=(64, 64), fit="letterbox", pad=99)
    assert (array[:16] == 99).all()
    assert (array[48:] == 99).all()
    assert np.abs(array[16:48] - 200).max() <= 1


def test_a_video_takes_planes():
    prepare = preparer(VideoInput("film", VideoPrepare((16, 16), 2)), lambda _: b"")
    array = np.zeros((1, 2, 16, 16, 3), np.uint8)
    for level in (50, 150):
        prepare.write(planes_of(np.full((48, 64, 3), level, np.uint8)), {"": array})
    assert np.abs(array[0].astype(int) - np.array([50, 150])[:, None, None, None]).max() <= 1


def test_nothing_of_a_pictures_size_is_allocated():
    prepare = preparer(ImageInput("image", ImagePrepare((160, 160))), lambda _: b"")
    picture, arrays = planes_of(natural(720, 1280)), {"": np.empty((1, 160, 160, 3), np.uint8)}
    peak, kept = allocated(lambda: prepare.write(picture, arrays))
    assert peak < 8192
    assert kept < 2048
