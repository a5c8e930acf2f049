"""Which SPECs are several cameras: from --camera, from [sources.cameras], from Python; and what is refused."""

import pytest
from bundles import senses_bundle
from sources import Script, pictures

import mm_edge
from mm_edge.bundle.bundle import Bundle
from mm_edge.config import RunConfig, load_config
from mm_edge.errors import UsageError
from mm_edge.runtime.session.streams.cameras import MOST_CAMERAS, specs_of
from mm_edge.runtime.session.wiring import wire_sources, with_options


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")


@pytest.fixture(scope="module")
def manifest(path):
    with Bundle.open(path) as bundle:
        yield bundle.manifest


@pytest.mark.parametrize(
    ("texts", "cameras"),
    [
        ([], {}),
        (["0"], {}),
        (["image=0"], {}),
        (["rtsp://10.0.0.5/live?channel=1"], {}),
        (["gst:videotestsrc pattern=1 ! appsink"], {}),
        (["0", "1"], {"camera1": "0", "camera2": "1"}),
        (["image=0", "image=1"], {"camera1": "0", "camera2": "1"}),
        (["door=0", "rtsp://h/a?b=c"], {"door": "0", "camera2": "rtsp://h/a?b=c"}),
        (["door=gst:videotestsrc pattern=1", "yard=1"], {"door": "gst:videotestsrc pattern=1", "yard": "1"}),
        (["door=0"], {"door": "0"}),
        (["synthetic", "synthetic"], {"camera1": "synthetic", "camera2": "synthetic"}),
        (["a=x.mp4", "b=x.mp4"], {"a": "x.mp4", "b": "x.mp4"}),
    ],
)
def test_the_options_name_the_cameras(manifest, texts, cameras):
    assert specs_of(manifest, texts) == cameras


def test_a_file_whose_name_has_an_equals_sign_is_that_file(manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "door=1.mp4").touch()
    assert specs_of(manifest, ["door=1.mp4"]) == {}


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["0", "0"], "'0' is given 2 times"),
        (["door=0", "0"], "'0' is given 2 times"),
        (["door=0", "door=1"], "several have the name 'door'"),
        (["camera2=0", "1"], "several have the name 'camera2'"),
        (["audio=0", "1"], "the name 'audio' is in use"),
        (["0", "none"], "one of them is 'none'"),
        ([f"{k}" for k in range(MOST_CAMERAS + 1)], f"33 cameras; one run has at most {MOST_CAMERAS}"),
    ],
)
def test_wrong_options_are_refused_in_one_message(manifest, texts, found):
    with pytest.raises(UsageError, match=found):
        specs_of(manifest, texts)


def config(text, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(text)
    return load_config(RunConfig, file)


def test_the_configuration_names_the_cameras(manifest, tmp_path):
    made = config('[sources.cameras]\ndoor = "synthetic"\nyard = "synthetic"\n', tmp_path)
    sources, _ = wire_sources(manifest, made)
    assert [(source.name, source.input) for source in sources] == [("door", "image"), ("yard", "image")]


def test_options_go_before_the_configuration(manifest, tmp_path):
    several = config('[sources.cameras]\ndoor = "1"\nyard = "2"\n', tmp_path)
    one = config('[sources.inputs]\nimage = "1"\naudio = "default"\n', tmp_path)
    given = with_options(several, manifest, {"camera": ["0"]}).sources
    assert (given.inputs, given.cameras) == ({"image": "0"}, {})
    given = with_options(one, manifest, {"camera": ["0", "2"]}).sources
    assert (given.inputs, given.cameras) == ({"audio": "default"}, {"camera1": "0", "camera2": "2"})
    given = with_options(several, manifest, {"mic": ["default"]}).sources
    assert (given.inputs, given.cameras) == ({"audio": "default"}, {"door": "1", "yard": "2"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            '[sources.inputs]\nimage = "0"\n[sources.cameras]\ndoor = "1"\nyard = "2"\n',
            "'image' has another source too",
        ),
        ('[sources.cameras]\ndoor = "1"\nyard = "none"\n', "'yard' is 'none'"),
        ('[sources.cameras]\ntext = "1"\nyard = "2"\n', "the name 'text' is in use"),
    ],
)
def test_a_wrong_configuration_is_refused(manifest, tmp_path, text, found):
    with pytest.raises(UsageError, match=found):
        wire_sources(manifest, config(text, tmp_path))


def test_python_gives_cameras_by_name_or_by_place(path):
    for camera, names in (
        ({"door": "synthetic", "yard": "synthetic"}, {"door", "yard"}),
        (["synthetic", "synthetic"], {"camera1", "camera2"}),
    ):
        seen = set()
        with mm_edge.open(path, camera=camera, text="stop") as session:
            for prediction in session:
                seen.add(prediction.camera)
                if seen == names:
                    break
        assert set(session.summary.cameras) == names


def test_python_gives_sources_of_its_own(path):
    own = [Script("image", pictures(30), name="door"), Script("image", pictures(20), name="yard")]
    with mm_edge.open(path, sources={"image": own}) as session:
        cameras = [prediction.camera for prediction in session]
    assert cameras.count("door") == 30
    assert cameras.count("yard") == 20
    with mm_edge.open(path, sources={"image": [Script("image", pictures(3), name="door")]}) as session:
        assert {prediction.camera for prediction in session} == {None}


def test_cameras_and_sources_of_the_program_for_one_input_are_refused(path):
    own = [Script("image", name="door"), Script("image", name="yard")]
    with pytest.raises(UsageError, match="'image' has another source too"):
        mm_edge.open(path, camera=["synthetic", "synthetic"], sources={"image": own})
