"""Command lines, configurations, specs and takes that nobody would write: each ends with a documented code and message.

`make test` tries a few of each, `make fuzz` thousands.
"""

import json
import shutil
import wave

import onnx
import pytest
from bundles import graph, senses_bundle, tensor
from commands import Commands
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from videos import write_video

# A case takes up to a second where it comes to a run: far fewer of them than the profile asks for.
FUZZ = settings(
    max_examples=settings.default.max_examples // 15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    senses_bundle(folder / "senses.mmb", golden=True)
    sums = onnx.helper.make_node("Add", ["x", "x"], ["y"])
    ends = [tensor(name, onnx.TensorProto.FLOAT, "batch", 3) for name in "xy"]
    (folder / "sum.onnx").write_bytes(graph("sum", [sums], ends[:1], ends[1:]))
    made = Commands(folder)
    yield made
    made.close()


# Control characters other than NUL, which no argument can hold, halves of characters, other scripts, other forms of 1.
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=12).filter(
    lambda text: not any("\ud800" <= c <= "\udfff" for c in text)
)
NUMBERS = st.sampled_from(
    ["0", "1", "-1", "0.5", "1e-300", "1e300", "nan", "inf", "-inf", "9" * 5000, "0x10", "1_000", "", " ", "٣", "1,5"]
)
PATHS = st.sampled_from(
    ["", ".", "/proc", "/dev/null", "/dev/full", "nothing", "senses.mmb", "senses.mmb/x", "a" * 300, "~", "-", "--"]
)
SOURCES = st.sampled_from(
    ["synthetic", "none", "0", "99", "/dev/video99", "default", "rtsp://", "rtsp://u:p@127.0.0.1:1/x", "http://[::1",
     "gst:", "gst:nothing ! nothing", "csi://0", "images/%05d.jpg", "%s", "%d%d%n", "file.mp4", "x://y", "audio=none"]
)  # fmt: skip
ANY = st.one_of(WORDS, NUMBERS, PATHS, SOURCES)
KEYS = st.one_of(
    st.sampled_from(
        ["loop.depth", "loop.seconds", "loop.deadline_ms", "loop.workers", "loop.nvtx", "driver", "engine.name",
         "engine.threads", "engine.options.x", "engine.precision", "sources.speed", "sources.camera.fps",
         "sources.take",
         "sources.camera.width", "sources.camera.offset_ms", "sources.inputs.image", "sources.inputs.nobody",
         "sync.audio.max_age_ms", "sync.audio.missing", "sync.nobody.missing", "sync.audio", "trust.keys",
         "trust.minimum_version", "realtime.priority", "realtime.cores", "realtime", "loop", "a.b", "..", ""]
    ),
    WORDS,
)  # fmt: skip
OPTIONS = st.one_of(
    st.tuples(st.sampled_from(["--camera", "--mic", "--text"]), ANY),
    st.tuples(st.sampled_from(["--take", "--config", "--jsonl", "--trace", "--record"]), st.one_of(PATHS, WORDS)),
    st.tuples(st.sampled_from(["--engine", "--precision", "--speed", "--sink"]), ANY),
    st.tuples(st.sampled_from(["--seconds", "--depth", "--deadline-ms", "--view"]), st.one_of(NUMBERS, WORDS)),
    st.tuples(st.just("--set"), st.builds("{}={}".format, KEYS, st.one_of(ANY, st.just("[" * 2000), st.just("{a=1}")))),
    st.tuples(st.just("--set"), ANY),
    st.tuples(WORDS),
)
VERBS = ["inspect", "verify", "keygen", "export", "build", "train", "zoo", "view", "replay", "info", "service"]


@FUZZ
@given(st.lists(OPTIONS, min_size=1, max_size=4))
def test_run(commands, options):
    words = [word for option in options for word in option]
    assert commands.check("run", "senses.mmb", "--camera", "synthetic", "-q", "--seconds", "0.2", *words)


@FUZZ
@given(st.sampled_from(VERBS), st.lists(st.one_of(ANY, st.sampled_from(["--json", "-o", "--key"])), max_size=3))
def test_other_commands(commands, verb, words):
    assert commands.check(verb, *words)


@FUZZ
@given(st.lists(ANY, max_size=3))
def test_no_command(commands, words):
    assert commands.check(*words)


TOML = st.recursive(
    st.one_of(WORDS, st.integers(), st.floats(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(KEYS, inner, max_size=2)),
    max_leaves=6,
)


def as_toml(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return str(value) if isinstance(value, int | float) else json.dumps(value)


@FUZZ
@given(
    st.dictionaries(st.sampled_from(["loop", "sources", "sync", "driver", "engine", "trust", "x"]), TOML, max_size=3)
)
def test_configurations(commands, tree):
    text = "".join(f"{key} = {as_toml(value)}\n" for key, value in tree.items())
    (commands.folder / "c.toml").write_text(text, encoding="utf-8")
    assert commands.check("run", "senses.mmb", "--camera", "synthetic", "-q", "--seconds", "0.2", "--config", "c.toml")


BROKEN = [b"[" * 100_000, b"a=" + b"{b=" * 5000, b"a=" + b"9" * 5000, b"\xff\xfe", b"\0"]


@FUZZ
@given(st.one_of(st.binary(max_size=64), st.sampled_from(BROKEN)))
def test_configurations_of_any_bytes(commands, content):
    (commands.folder / "c.toml").write_bytes(content)
    assert commands.check("run", "senses.mmb", "--camera", "synthetic", "-q", "--seconds", "0.2", "--config", "c.toml")


SPEC = {
    "model": {
        "name": "m",
        "inputs": [{"modality": "vector", "name": "x", "prepare": {"size": 3}}],
        "outputs": [{"kind": "scores", "name": "y", "reads": {"values": "y"}}],
        "sync": {"driver": "x"},
    },
    "rename": {},
    "front_end": {},
    "tokenizers": {},
}


def places_of(tree, head=()):
    """Every place of a tree, as the keys that lead there."""
    for key, child in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*head, key)
        yield from places_of(child, (*head, key))


def changed(tree, place, value):
    copy = json.loads(json.dumps(tree))
    at = copy
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return copy


SPECS = st.one_of(
    st.just(SPEC),
    st.builds(changed, st.just(SPEC), st.sampled_from(list(places_of(SPEC))), TOML),
    st.dictionaries(WORDS, TOML, max_size=3),
).map(lambda tree: "".join(f"{json.dumps(key)} = {as_toml(value)}\n" for key, value in tree.items()).encode())


@FUZZ
@given(st.one_of(SPECS, st.binary(max_size=64), st.sampled_from(BROKEN)))
def test_specs(commands, content):
    (commands.folder / "spec.toml").write_bytes(content)
    assert commands.check("export", "sum.onnx", "-o", "x.mmb", "--dry-run", "--spec", "spec.toml")


class Take(dict):
    """The content of a take's files, by name; a failing example is reported without it."""

    def __repr__(self) -> str:
        return "Take()"


@pytest.fixture(scope="module")
def take(tmp_path_factory):
    """The bytes of a good take's files."""
    folder = tmp_path_factory.mktemp("take")
    write_video(folder / "camera.mp4", 5)
    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(16_000))
    return Take(
        {
            "camera.mp4": (folder / "camera.mp4").read_bytes(),
            "sound.wav": (folder / "sound.wav").read_bytes(),
            "text.jsonl": b'{"t_ms":0,"text":"the red ball"}\n{"t_ms":100,"text":"stop"}\n',
        }
    )


PLACE = st.floats(0, 1, exclude_max=True)  # in a file, whatever its length
# What happens to one file of a take: None is an absent one.
FATES = st.one_of(
    st.sampled_from(["good", "empty", "folder", None]),
    st.binary(max_size=200),
    st.tuples(st.just("cut"), PLACE),
    st.tuples(st.just("spoiled"), st.lists(st.tuples(PLACE, st.integers(0, 255)), min_size=1, max_size=16)),
)


@FUZZ
@given(st.fixed_dictionaries({"camera.mp4": FATES, "sound.wav": FATES, "text.jsonl": FATES}))
def test_takes(commands, take, fates):
    folder = commands.folder / "take"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, fate in fates.items():
        if fate == "folder":
            (folder / name).mkdir()
        elif fate is not None:
            (folder / name).write_bytes(as_bytes(take[name], fate))
    assert commands.check("run", "senses.mmb", "-q", "--speed", "max", "--take", "take", "--jsonl", "-")


def as_bytes(content: bytes, fate) -> bytes:
    if isinstance(fate, bytes):
        return fate
    if isinstance(fate, str):
        return content if fate == "good" else b""
    kind, detail = fate
    if kind == "cut":
        return content[: int(detail * len(content))]
    spoiled = bytearray(content)
    for place, value in detail:
        spoiled[int(place * len(spoiled))] = value
    return bytes(spoiled)
