"""Configuration: one TOML file, --set overrides, and errors that name the key."""

import runpy
from pathlib import Path

import pytest

from mm_edge.config import RunConfig, load_config
from mm_edge.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def file(tmp_path):
    def write(text):
        (tmp_path / "run.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / "run.toml"

    return write


def test_nothing_given_is_the_defaults():
    assert load_config(RunConfig) == RunConfig()


def test_file_and_settings_on_top(file):
    path = file('[loop]\ndepth = 3\n[sources.inputs]\nimage = "0"\n[sync.audio]\nmissing = "mask"\n')
    config = load_config(RunConfig, path, ["loop.depth=1", "engine.name=onnxruntime", "sources.inputs.image=clip.mp4"])
    assert config.loop.depth == 1
    assert config.engine.name == "onnxruntime"
    assert config.sources.inputs == {"image": "clip.mp4"}
    assert config.sync["audio"].missing == "mask"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("a=1", 1), ("a=true", True), ("a=1.5", 1.5), ("a='1'", "1"), ("a=word", "word"), ("a=", ""), ("a=b=c", "b=c")],
)
def test_settings_are_toml_where_they_can_be(setting, value):
    assert load_config(RunConfig, settings=[f"engine.options.{setting}"]).engine.options == {"a": value}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[loop]\ndepth = 99\n", ["loop.depth", "64"]),
        ("[loop]\ndepth = 'two'\n", ["loop.depth", "int"]),
        ("[loop]\ndept = 2\n", ["loop", "dept"]),
        ("loop = 3\n", ["loop"]),
        ("nonsense = 1\n", ["nonsense"]),
        ("[sync.audio]\nmissing = 'perhaps'\n", ["sync.audio.missing", "perhaps"]),
        ("[sync.audio]\n[sync.text]\nwait_ms = -1\n", ["sync.text.wait_ms"]),
        ("[engine.options]\ngood = 1\nbad = [1]\n", ["engine.options.bad"]),
        ("[realtime]\naffinity = [0, 'one']\n", ["realtime.affinity[1]"]),
        ("[loop\n", ["not valid TOML"]),
        (b"\xff\xfe", ["not valid TOML"]),
    ],
)
def test_a_wrong_file_is_reported_with_its_key(file, text, words):
    path = file(text)
    with pytest.raises(ConfigError) as caught:
        load_config(RunConfig, path)
    message = str(caught.value)
    assert all(word in message for word in [*words, f"reading {path}"]), message
    assert "\n" not in message


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load_config(RunConfig, tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("loop", "expected KEY=VALUE"),
        ("=1", "expected KEY=VALUE"),
        ("loop..depth=1", "expected KEY=VALUE"),
        ("loop.depth=many", "loop.depth"),
        ("driver.x.y=1", "driver"),
        ("loop.depth=1\nloop.workers=2", "one --set sets one value"),
    ],
)
def test_a_wrong_setting_is_reported(setting, word):
    with pytest.raises(ConfigError, match=word.replace(".", r"\.")) as caught:
        load_config(RunConfig, settings=[setting])
    assert "--set" in str(caught.value)


def test_a_setting_inside_a_value_is_reported(file):
    with pytest.raises(ConfigError, match="'depth' is a value, not a table"):
        load_config(RunConfig, file("[loop]\ndepth = 1\n"), ["loop.depth.more=1"])


def test_an_error_of_the_file_is_not_attributed_to_a_setting(file):
    with pytest.raises(ConfigError) as caught:
        load_config(RunConfig, file("[loop]\ndepth = 99\n"), ["loop.workers=1"])
    assert "--set" not in str(caught.value)


def test_the_document_of_every_key_is_what_the_types_say():
    made = runpy.run_path(str(ROOT / "docs/configuration.py"))["document"]()
    assert (ROOT / "docs/configuration.md").read_text() == made, "write it again: make docs"
    assert "`loop.depth`" in made
    assert "`sync.NAME.missing`" in made
