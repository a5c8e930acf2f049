"""Every name of TensorRT that the code uses is in the real bindings of every version that is supported."""

import re
from pathlib import Path

import pytest
from tensorrt_bindings import RTX, VERSIONS, describe
from tensorrt_names import check

ROOM = Path(__file__).parents[4] / "runtime/engines/tensorrt"
SOURCES = {path.name: path.read_text() for path in sorted(ROOM.glob("*.py"))}


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """By version, each looked at once."""
    folder, known = tmp_path_factory.mktemp("libraries"), {}

    def of(version):
        if version not in known:
            known[version] = describe(version, folder)
        return known[version]

    return of


@pytest.mark.parametrize("version", [*VERSIONS, RTX])
def test_every_name_is_there(described, version):
    checked = check(SOURCES, described(version), rtx=version == RTX)
    assert not checked.faults
    assert len(checked.used) > 70


@pytest.mark.parametrize("version", [VERSIONS[-1], RTX])
def test_every_misspelt_name_would_be_found(described, version):
    """Each name that is used, spelt wrong in turn: a use that the check does not see would stay silent."""
    bindings, rtx = described(version), version == RTX
    for name in sorted({use.partition(".")[2] for use in check(SOURCES, bindings, rtx=rtx).used} - {"__init__"}):
        wrong = {file: re.sub(rf"(\.|def ){name}\b(?!=)", rf"\1{name}_x", text) for file, text in SOURCES.items()}
        assert check(wrong, bindings, rtx=rtx).faults, name


def faults_of(line, bindings):
    """Of one line of code, at the place where a builder would use it."""
    head = "def use(trt: TensorRT, config: IBuilderConfig, tensors: dict[str, ITensor]) -> None:\n"
    return check({"x.py": head + "".join(f"    {part}\n" for part in line.split("; "))}, bindings, rtx=False).faults


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("trt.BuilderFlag.FP16", "class BuilderFlag has no 'FP16'"),
        ("config.set_flag(trt.BuilderFlag.INT8)", "class BuilderFlag has no 'INT8'"),
        ("trt.IInt8Calibrator", "TensorRT has no 'IInt8Calibrator'"),
        ("config.set_timing_cache(config.get_timing_cache())", "set_timing_cache takes"),
        ("config.set_timing_cache(cache=None, ignore=True)", "set_timing_cache takes"),
        ("config.num_optimization_profiles = 2", "num_optimization_profiles cannot be set"),
        ("tensors['x'].type", "ITensor has no 'type'"),
        ("for tensor in tensors.values(): tensor.name", "annotate it"),
        ("self.something.set_tensor_address('x', 1)", "annotate it"),
        ("config.get_timing_cache().serialise()", "ITimingCache has no 'serialise'"),
    ],
)
def test_what_is_gone_or_called_wrongly_is_found(described, line, found):
    assert found in " ".join(faults_of(line, described("11.4.0.106")))


@pytest.mark.parametrize(
    "line",
    [
        "trt.BuilderFlag.FP16 if hasattr(trt.BuilderFlag, 'FP16') else None",
        "hasattr(trt.BuilderFlag, 'FP16') and config.set_flag(trt.BuilderFlag.FP16)",
        "tensors['x'].name",
        "config.get_timing_cache().serialize()",
    ],
)
def test_what_is_there_or_guarded_is_not(described, line):
    assert not faults_of(line, described("11.4.0.106"))
