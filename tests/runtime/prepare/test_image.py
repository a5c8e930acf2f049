"""Images: the right pixels in the caller's own memory, and no allocation."""

import threading

import cv2
import numpy as np
import pytest
from allocation import allocated

from mm_edge.errors import InputError
from mm_edge.runtime.prepare import preparer
from mm_edge.spec import ImageInput, ImagePrepare


def prepared(picture, into=None, **settings):
    spec = ImageInput("image", ImagePrepare(**settings))
    prepare = preparer(spec, lambda _: b"")
    assert prepare.fields[""].shape == spec.shape
    array = np.full((1, *settings["size"], 3), 7, np.uint8) if into is None else into
    return array[0], prepare.write(picture, {"": array})


def colourful(height, width):
    """Each channel has its own content."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 255, width, dtype=np.uint8)[None]
    picture[..., 1] = np.linspace(0, 255, height, dtype=np.uint8)[:, None]
    picture[..., 2] = 200
    return picture


@pytest.mark.parametrize("source", [(720, 1280), (480, 640), (33, 57), (224, 224), (448, 448), (100, 900)])
@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_a_stretched_picture_is_the_averaged_one(source, color):
    picture = colourful(*source)
    array, geometry = prepared(picture, size=(224, 224), color=color)
    wanted = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_AREA)
    wanted = wanted[..., ::-1] if color == "rgb" else wanted
    assert np.abs(array.astype(int) - wanted).max() <= 4
    assert geometry.source_size == source


def test_shrinking_averages_fine_detail():
    """Bars of one pixel are grey from afar; picked pixel by pixel they would stay bars or turn to one colour."""
    bars = np.zeros((720, 1280, 3), np.uint8)
    bars[:, ::2] = 255
    array, _ = prepared(bars, size=(160, 160))
    assert np.abs(array.astype(int) - 127).max() <= 2


def test_a_letterboxed_picture_has_grey_around_it_also_where_another_was():
    array = np.zeros((1, 64, 64, 3), np.uint8)
    spec = ImageInput("image", ImagePrepare((64, 64), fit="letterbox", pad=99))
    prepare = preparer(spec, lambda _: b"")
    prepare.write(np.full((100, 50, 3), 10, np.uint8), {"": array})
    prepare.write(np.full((50, 100, 3), 200, np.uint8), {"": array})
    assert (array[0, :16] == 99).all()
    assert (array[0, 48:] == 99).all()
    assert (array[0, 16:48] == 200).all()


def test_a_cropped_picture_is_the_middle_of_the_source():
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[:, 100:200] = 255
    array, geometry = prepared(picture, size=(50, 50), fit="crop")
    assert (array == 255).all()
    assert geometry.to_source(0, 0) == (100, 0)


def test_a_view_with_gaps_between_its_rows_is_a_picture_like_any_other():
    big = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    part = big[20:180, 30:250]
    np.testing.assert_array_equal(prepared(part, size=(64, 64))[0], prepared(part.copy(), size=(64, 64))[0])


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3)),
        np.zeros((0, 8, 3), np.uint8),
        "x",
    ],
)
def test_what_is_not_an_image_is_rejected(picture):
    with pytest.raises(InputError, match=r"BGR image uint8 \[height, width, 3\]"):
        prepared(picture, size=(8, 8))


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_nothing_of_a_pictures_size_is_allocated(fit):
    prepare = preparer(ImageInput("image", ImagePrepare((224, 224), fit=fit)), lambda _: b"")
    picture, arrays = colourful(720, 1280), {"": np.empty((1, 224, 224, 3), np.uint8)}
    peak, kept = allocated(lambda: prepare.write(picture, arrays))
    assert peak < 4096
    assert kept < 2048


def test_several_threads_prepare_at_once():
    prepare = preparer(ImageInput("image", ImagePrepare((64, 64))), lambda _: b"")
    wrong = []

    def work(value):
        picture, array = np.full((480, 640, 3), value, np.uint8), np.empty((1, 64, 64, 3), np.uint8)
        for _ in range(50):
            prepare.write(picture, {"": array})
            if not (array == value).all():
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(value,)) for value in (10, 120, 250)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
