"""Input that the model cannot use: refused where it enters, reported once, and never the end of a run."""

import threading

import numpy as np
import pytest
from bundles import graph, senses_bundle, tensor, tokenizer
from onnx import TensorProto, helper
from sinks import Kept
from sources import END, Script, pictures, sounds

import mm_edge
from mm_edge.bundle.bundle import Bundle, digest
from mm_edge.bundle.manifest import Artefact, Manifest, Part, Read
from mm_edge.bundle.writer import write_bundle
from mm_edge.config import LoopConfig, RunConfig
from mm_edge.errors import InputError
from mm_edge.runtime.session.run import Run
from mm_edge.runtime.sound import SoundBlock, SoundRing
from mm_edge.runtime.source import Capture
from mm_edge.sample import Event
from mm_edge.spec import Bounds, ImageInput, ImagePrepare, ScoresOutput, Sync, TensorSpec, TextInput, TextPrepare

SOON_S = 10.0


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")


@pytest.fixture(scope="module")
def bundle(path):
    with Bundle.open(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def two_prompts(tmp_path_factory):
    """A bundle that takes two prompts, and gives the mean token of each."""
    image = ImageInput(name="image", prepare=ImagePrepare(size=(8, 8)))
    text = TextInput(name="text", prepare=TextPrepare(tokenizer="tokenizer.json", length=4, prompts=2))
    content = graph(
        "encode_text",
        [
            helper.make_node("Cast", ["text"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["each"], keepdims=0),
            helper.make_node("Unsqueeze", ["each", "front"], ["words"]),
        ],
        [tensor("text", TensorProto.INT64, "prompts", 4)],
        [tensor("words", TensorProto.FLOAT, "batch", "prompts")],
        {"axes": np.array([1], np.int64), "front": np.array([0], np.int64)},
    )
    files = {"parts/encode_text.onnx": content, "tokenizer.json": tokenizer()}
    part = Part(
        name="encode_text",
        kind="encode",
        reads={"text": Read(source="input:text")},
        takes=(TensorSpec(name="text", dtype="int64", shape=text.shape),),
        gives=(TensorSpec(name="words", dtype="float32", shape=("batch", "prompts")),),
        artefacts={"fp32": Artefact(file="parts/encode_text.onnx", sha256=digest(content).sha256)},
    )
    manifest = Manifest(
        format=1,
        name="prompts",
        version=1,
        inputs=(image, text),
        parts=(part,),
        outputs=(ScoresOutput(name="words", reads={"values": "part:encode_text.words"}),),
        sync=Sync(driver="image"),
        golden=None,
        parity=(),
        calibration=None,
        dims={"prompts": Bounds(1, 2, 4)},
        digests={name: digest(data) for name, data in files.items()},
    )
    written = tmp_path_factory.mktemp("bundle") / "prompts.mmb"
    write_bundle(written, manifest, files)
    return written


def run(bundle, sources, depth=2):
    kept = Kept()
    with Run(bundle, RunConfig(loop=LoopConfig(depth=depth)), sources, [kept]) as session:
        assert session.wait(SOON_S)
    session.raise_error()
    return kept


def refusals(kept):
    return [item.detail for item in kept.items if isinstance(item, Event) and item.state == "refused"]


BAD_TEXTS = {
    "one prompt too few": "red ball",
    "one prompt too many": "red|blue|green",
    "no text": 7,
    "bytes": b"red|blue",
    "lone surrogate": "red|\udc80",
    "a megabyte": "red|" + "x" * (1 << 20),
}


@pytest.mark.parametrize("bad", BAD_TEXTS.values(), ids=BAD_TEXTS)
@pytest.mark.parametrize("depth", [1, 3])
def test_a_text_that_the_model_cannot_use_is_refused_and_the_last_one_stays(two_prompts, bad, depth):
    texts = [Capture(0, "red|blue"), Capture(200_000_000, bad), Capture(400_000_000, "go|stop"), END]
    with Bundle.open(two_prompts) as bundle:
        kept = run(bundle, [Script("image", pictures(20)), Script("text", texts)], depth)
    assert len(kept.predictions) == 20
    assert len(refusals(kept)) == 1
    assert [item.inputs["text"].seq for item in kept.predictions] == [0] * 12 + [2] * 8
    assert kept.summary.dropped["text"]["refused"] == 1
    assert kept.summary.captured["text"] == 3
    assert ("text", "live") in kept.events[kept.events.index(("text", "refused")) :]


@pytest.mark.parametrize("bad", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_setting_a_text_that_the_model_cannot_use_raises_and_reports_it(two_prompts, bad):
    kept = Kept()
    with mm_edge.open(two_prompts, camera="synthetic", text="red|blue", sinks=[kept]) as session:
        with pytest.raises(InputError, match="preparing input 'text'"):
            session.text = bad
        assert session.text == "red|blue"
        session.text = "go | stop"
        assert any(prediction.inputs["text"].seq == 1 for prediction in session)
    session.raise_error()
    assert len(refusals(kept)) == 1


@pytest.mark.parametrize("bad", [value for value in BAD_TEXTS.values() if isinstance(value, str)])
def test_a_first_text_that_the_model_cannot_use_is_bad_input(two_prompts, bad):
    with pytest.raises(InputError, match="preparing input 'text'") as caught:
        mm_edge.open(two_prompts, camera="synthetic", text=bad)
    assert caught.value.exit_code == 2


def loud(value, hops=6, at=2, hop=1600, rate=16_000):
    """Blocks of sound, one of which contains `value`."""
    ring, made = SoundRing(6 * rate), []
    for k in range(hops):
        samples = np.full(hop, 0.1, np.float32)
        samples[5] = value if k == at else 0.1
        ring.write(samples)
        made.append(Capture(k * hop * 1_000_000_000 // rate, SoundBlock(ring, (k + 1) * hop, hop)))
    return made


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, -1e38, 30_000.0])
def test_sound_that_is_not_finite_or_far_too_loud_is_missing_until_it_has_passed(bundle, value):
    """The window of one second contains it for ten blocks."""
    kept = run(bundle, [Script("image", pictures(80)), Script("audio", [*loud(value, hops=26), END])])
    assert len(kept.predictions) == 80
    assert len(refusals(kept)) == 1
    assert all(np.isfinite(list(item.outputs["seen"].values())).all() for item in kept.predictions)
    states = [item.inputs["audio"].state for item in kept.predictions]
    assert "missing" in states[10:40]
    assert states[-1] != "missing"
    assert kept.summary.dropped["audio"]["refused"] == 10


@pytest.mark.parametrize("value", [np.nan, 1e38])
def test_bad_sound_that_drives_costs_its_moments_only(bundle, value):
    kept = run(bundle, [Script("audio", [*loud(value, hops=16), END])])
    assert (len(kept.predictions), kept.summary.dropped["audio"]["refused"]) == (6, 10)
    assert kept.summary.captured["audio"] == 16


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "<f4"), (1e38, "<f4"), (1e300, "<f8")])
def test_a_float_wav_with_bad_samples_is_played_to_its_end(path, tmp_path, value, dtype):
    samples = np.full((40_000, 2), 0.1, dtype)
    samples[8000] = value
    width = samples.itemsize
    head = b"WAVEfmt " + np.array([16], "<u4").tobytes() + np.array([3, 2], "<u2").tobytes()
    head += np.array([16_000, 32_000 * width], "<u4").tobytes() + np.array([2 * width, 8 * width], "<u2").tobytes()
    body = head + b"data" + np.array([samples.nbytes], "<u4").tobytes() + samples.tobytes()
    (tmp_path / "sound.wav").write_bytes(b"RIFF" + np.array([len(body)], "<u4").tobytes() + body)
    kept = Kept()
    speed = ["sources.speed=max"]
    with mm_edge.open(path, mic=str(tmp_path / "sound.wav"), text="go", settings=speed, sinks=[kept]) as session:
        assert session.wait(SOON_S)
    session.raise_error()
    assert session.summary.captured["audio"] == 25
    assert session.summary.dropped["audio"]["refused"] == 10
    assert session.summary.predictions == 15
    assert len(refusals(kept)) == 1


def test_a_picture_that_the_model_cannot_use_is_refused(bundle):
    shown = [Capture(k, payload) for k, payload in enumerate([np.zeros((8, 8, 3), np.uint8), "a text", np.zeros(3)])]
    kept = run(bundle, [Script("image", [*shown, END])])
    assert (len(kept.predictions), kept.summary.dropped["image"]["refused"]) == (1, 2)


def test_health_is_degraded_while_captures_are_refused(bundle):
    camera, mic = Script("image", live=True), Script("audio", live=True)
    heard = loud(np.nan, hops=3)
    seen = threading.Event()
    kept = Kept()
    with Run(bundle, RunConfig(), [camera, mic], [kept]) as session:
        for block in heard:
            mic.items.put(block)
        while not refusals(kept):
            seen.wait(0.001)
        for capture in pictures(1)[:1]:
            camera.items.put(capture)
        camera.items.put(END)
        assert session.wait(SOON_S)
    assert kept.predictions[0].health == "degraded"


@pytest.mark.parametrize(
    "values",
    [
        {"text": 7},
        {"text": "\udc80"},
        {"audio": np.full(16_000, np.nan, np.float32)},
        {"audio": np.full(16_000, 1e38)},
        {"audio": ["loud"]},
    ],
)
def test_a_prediction_from_bad_values_is_refused_and_spoils_nothing(path, values):
    with mm_edge.open(path) as session:
        before = session.predict(text="go", audio=np.full(16_000, 0.5, np.float32))
        with pytest.raises(InputError):
            session.predict(**values)
        assert session.predict(text="go", audio=np.full(16_000, 0.5, np.float32)).outputs == before.outputs


def test_sound_at_full_scale_is_not_refused(bundle):
    kept = run(bundle, [Script("image", pictures(20)), Script("audio", [*loud(1.5), *sounds(0)])])
    assert refusals(kept) == []
