"""Units of the page's server: names, links, audio."""

import cv2
import numpy as np
import pytest
from planar import natural, planes_of

from mm_edge.runtime.sound import SoundBlock, SoundRing
from mm_edge.runtime.view.address import invitation, reachable_host
from mm_edge.runtime.view.frame import make_frame
from mm_edge.runtime.view.machine import machine_name
from mm_edge.runtime.view.server import ViewServer
from mm_edge.runtime.view.sound import newest_samples
from mm_edge.sample import Prediction, Sample


def test_a_board_is_named_by_its_model_and_a_computer_by_its_processor(tmp_path):
    board, processor = tmp_path / "model", tmp_path / "cpuinfo"
    assert machine_name(board, processor).count(", ") == 1
    processor.write_text("processor\t: 0\nmodel name\t: Some  Processor @ 3 GHz\nmodel name\t: another\n")
    assert machine_name(board, processor).endswith(", Some Processor @ 3 GHz")
    board.write_text("NVIDIA Jetson AGX Orin Developer Kit\0")
    assert machine_name(board, processor).endswith(", NVIDIA Jetson AGX Orin Developer Kit")


def test_a_link_for_others_names_an_address_that_others_reach():
    assert reachable_host("192.168.1.5") == "192.168.1.5"
    assert reachable_host("0.0.0.0") not in {"0.0.0.0", ""}
    assert ViewServer("::1", 8700).link == "http://[::1]:8700/"


def test_the_invitation_contains_the_link_and_a_qr_code_for_a_phone():
    here = ViewServer(port=8700)
    assert here.invitation() == "Live page: http://127.0.0.1:8700/"
    link = "http://192.168.1.5:8700/?token=abc"
    text = invitation(link, token=True)
    assert link in text
    assert sum(set(line) <= set(" █▀▄\x1b[0123456789;m") and len(line) > 20 for line in text.splitlines()) > 12


@pytest.mark.parametrize(("written", "shown"), [(100, 100), (4_000, 4_000), (50_000, 4_000)])
def test_the_newest_quarter_of_a_second_is_shown(written, shown):
    ring = SoundRing(16_000)
    ramp = (np.arange(written) % 1000 / 1000).astype(np.float32)
    ring.write(ramp)
    samples = newest_samples(SoundBlock(ring, written, 100), rate=16_000)
    assert (samples.end, len(samples.pcm)) == (written, 2 * shown)
    assert np.allclose(np.frombuffer(samples.pcm, "<i2") / 32767, ramp[-shown:], atol=1e-4)


def test_sound_that_was_overwritten_while_it_was_read_is_not_shown():
    ring = SoundRing(1_000)
    ring.write(np.ones(1_000, np.float32))
    block = SoundBlock(ring, 1_000, 100)
    ring.write(np.zeros(900, np.float32))
    assert newest_samples(block, rate=16_000) is None


def test_loud_sound_is_cut_and_does_not_turn_over():
    ring = SoundRing(1_000)
    ring.write(np.array([2.0, -2.0] * 50, np.float32))
    assert set(np.frombuffer(newest_samples(SoundBlock(ring, 100, 100), 1_000).pcm, "<i2")) == {32767, -32767}


def test_a_picture_in_planes_is_shown_like_any_other():
    picture = natural(144, 256)
    shown = [
        make_frame(0, Prediction(0, 0, {}, {}, {}, False, "ok", {"image": Sample("image", 0, 0, payload)}), {})
        for payload in (picture, planes_of(picture))
    ]
    assert shown[0].message == shown[1].message
    seen = cv2.imdecode(np.frombuffer(shown[1].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(seen.astype(float) - picture).mean() < 5
