"""Verifies the guest itself: its camera, its microphone and its arithmetic."""

import json
import subprocess
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np

RUN = Path(__file__).parent / "guest" / "run"
SAMPLE_RATE = 16_000
REPEATS = 50


def run(command, *options):
    return subprocess.run([RUN, *options, "--", command], capture_output=True, text=True, check=False)


def test_it_runs_a_command_like_any_shell(guest_is_built, tmp_path):
    done = run("echo said; echo also >&2; echo kept >/mnt/out/kept; exit 7", "--out", tmp_path)
    assert (done.returncode, done.stdout.split()) == (7, ["said", "also"])
    assert (tmp_path / "kept").read_text() == "kept\n"


def test_it_throws_away_what_is_written_elsewhere(guest_is_built, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("as it was\n")
    assert run(f"cat {mine}; echo new >{mine}; cat {mine}").stdout == "as it was\nnew\n"
    assert mine.read_text() == "as it was\n"


def test_it_ends_what_runs_too_long(guest_is_built):
    assert run("sleep 60", "--timeout", "3").returncode == 124


def test_it_ends_with_whoever_started_it(guest_is_built, tmp_path):
    """A guest that is left behind would go on for ever: it is no child of the command that started it."""
    command = "echo up >/mnt/out/up; sleep 3; echo down >/mnt/out/down"
    started = subprocess.Popen([RUN, "--camera", "none", "--out", tmp_path, "--", command], stdout=subprocess.DEVNULL)
    while not (tmp_path / "up").exists():
        time.sleep(0.1)
    started.terminate()
    assert started.wait(10) == 130
    time.sleep(4)
    assert not (tmp_path / "down").exists()


def test_it_says_so_when_it_does_not_come_up(guest_is_built):
    done = run("true", "--memory", "8")
    assert done.returncode == 125
    assert "memory" in done.stderr


# --- arithmetic ------------------------------------------------------------------------------------------------------


def products(seed):
    rng = np.random.default_rng(seed)
    left, right = rng.standard_normal((2, 160, 160), dtype=np.float32)
    return np.stack([np.tanh(left @ right) for _ in range(REPEATS)])


def compute(lab):
    with ThreadPoolExecutor(3) as pool:
        np.save(lab.out / "products.npy", np.stack(list(pool.map(products, range(3))))[:, ::5])


def test_its_arithmetic_is_the_processors(guest):
    """The wide registers survive its switches between threads: what is computed again comes out the same."""
    inside = np.load(guest.play(compute).folder / "products.npy")
    assert np.all(inside == inside[:, :1])
    np.testing.assert_allclose(inside[:, 0], [products(seed)[0] for seed in range(3)], atol=1e-4)


# --- camera ----------------------------------------------------------------------------------------------------------


def look(lab, width, height, count=10):
    import cv2

    camera = cv2.VideoCapture(0, cv2.CAP_V4L2)
    camera.set(cv2.CAP_PROP_FRAME_WIDTH, int(width))
    camera.set(cv2.CAP_PROP_FRAME_HEIGHT, int(height))
    pictures = [camera.read() for _ in range(int(count))]
    assert all(good for good, _ in pictures)
    np.save(lab.out / "pictures.npy", np.stack([picture[::4, ::4] for _, picture in pictures]))
    np.save(lab.out / "size.npy", pictures[0][1].shape)


def test_the_camera_gives_moving_pictures_of_the_size_asked_for(guest):
    folder = guest.play(look, 640, 360, camera="vivid").folder
    assert np.load(folder / "size.npy").tolist() == [360, 640, 3]
    pictures = np.load(folder / "pictures.npy").astype(int)
    assert pictures.std() > 50  # colour bars, not a blank
    assert all(np.any(before != after) for before, after in pairwise(pictures))


def look_at_colors(lab):
    import cv2

    means = {}
    for color in ("red", "lime", "blue"):
        feeder = lab.feed_camera(f"color={color}:size=640x480:rate=25", "-pix_fmt", "yuyv422")
        camera = cv2.VideoCapture(0, cv2.CAP_V4L2)
        good, picture = [camera.read() for _ in range(5)][-1]
        assert good
        means[color] = picture.mean(axis=(0, 1))
        camera.release()
        feeder.kill()
        feeder.wait()
    np.savez(lab.out / "means.npz", **means)


def test_the_fed_camera_shows_what_it_is_fed(guest):
    means = np.load(guest.play(look_at_colors, camera="loopback").folder / "means.npz")
    for color, blue_green_red in {"red": (0, 0, 255), "lime": (0, 255, 0), "blue": (255, 0, 0)}.items():
        np.testing.assert_allclose(means[color], blue_green_red, atol=6)  # a round trip through 8-bit YUV


def look_while_it_is_unplugged(lab):
    import cv2

    camera = cv2.VideoCapture(0, cv2.CAP_V4L2)
    found = {"before": camera.read()[0]}
    lab.unplug_camera()
    found["unplugged"] = [camera.read()[0] for _ in range(5)]
    found["device_exists"] = Path("/dev/video0").exists()
    camera.release()
    lab.plug_camera()
    found["after"] = cv2.VideoCapture(0, cv2.CAP_V4L2).read()[0]
    (lab.out / "found.json").write_text(json.dumps(found))


def test_the_camera_can_be_unplugged_and_plugged_in_again(guest):
    played = guest.play(look_while_it_is_unplugged, camera="vivid")
    found = json.loads((played.folder / "found.json").read_text())
    assert found["before"]
    assert not found["unplugged"][-1], found
    assert not found["device_exists"]
    assert found["after"]


# --- microphone ------------------------------------------------------------------------------------------------------


def listen(lab, wav):
    import sounddevice

    heard = []

    def keep(block, frames, when, status):
        heard.append(block[:, 0].copy())

    with sounddevice.InputStream(device="default", channels=1, samplerate=SAMPLE_RATE, callback=keep):
        lab.play(wav)
        time.sleep(0.5)  # what is still on its way
    np.save(lab.out / "heard.npy", np.concatenate(heard))


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples * 32_767).astype("<i2").tobytes())


def test_the_microphone_hears_what_is_played(guest, tmp_path):
    played = 0.3 * np.random.default_rng(5).uniform(-1, 1, 2 * SAMPLE_RATE)
    write_wav(tmp_path / "noise.wav", np.append(played, np.zeros(SAMPLE_RATE // 10)))  # aplay loses the last few ms
    heard = np.load(guest.play(listen, tmp_path / "noise.wav", mic="loopback").folder / "heard.npy")
    start = int(np.argmax(np.correlate(heard, played, "valid")))
    np.testing.assert_allclose(heard[start : start + len(played)], played, atol=1e-3)


def listen_while_it_is_unplugged(lab):
    import sounddevice

    def blocks_within(seconds):
        before = len(heard)
        time.sleep(seconds)
        return len(heard) - before

    def listening():
        return sounddevice.InputStream(device="default", channels=1, callback=lambda *block: heard.append(block[1]))

    heard = []
    stream = listening()
    stream.start()
    blocks = {"before": blocks_within(1.0)}
    lab.unplug_microphone()
    time.sleep(0.3)
    blocks["unplugged"] = blocks_within(1.0)
    stream.close()
    lab.plug_microphone()
    with listening():
        blocks["after"] = blocks_within(1.0)
    (lab.out / "blocks.json").write_text(json.dumps(blocks))


def test_the_microphone_can_be_unplugged_and_plugged_in_again(guest):
    played = guest.play(listen_while_it_is_unplugged, mic="loopback")
    blocks = json.loads((played.folder / "blocks.json").read_text())
    assert blocks["before"] > 0
    assert blocks["unplugged"] == 0
    assert blocks["after"] > 0
