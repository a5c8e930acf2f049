"""Loading TensorRT: what is missing is named, what is too old refused."""

import sys
from types import ModuleType

import pytest

from mm_edge.errors import ConfigError, EngineError
from mm_edge.runtime.engines.tensorrt import library
from mm_edge.runtime.engines.tensorrt.library import ErrorLog, load_library
from mm_edge.runtime.engines.tensorrt.open import read_options
from mm_edge.runtime.engines.tensorrt.order import Options

load_anew = load_library.__wrapped__  # past the cache: the real ones stay loaded once, as TensorRT demands


def module(version):
    made = ModuleType("tensorrt")
    made.__version__ = version
    made.ILogger = type("ILogger", (), {"ERROR": 1, "INTERNAL_ERROR": 0, "WARNING": 2})
    return made


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.delitem(sys.modules, "tensorrt")
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(EngineError, match=r"loading TensorRT: the package 'tensorrt' is not installed\. On Jetson"):
        load_anew("tensorrt")


@pytest.mark.parametrize("kind", [ImportError, OSError])
def test_a_library_that_is_not_there_is_named(monkeypatch, kind):
    """As the two versions on record fail: the package is there and its libraries are not."""

    def fail(name):
        raise kind("libnvinfer.so.10: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(library, "import_module", fail)
    with pytest.raises(EngineError, match=r"libnvinfer\.so\.10: cannot open shared object file"):
        load_anew("tensorrt")


def test_what_is_too_old_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", module("8.5.2.2"))
    with pytest.raises(EngineError, match=r"found version 8\.5\.2\.2, required is 10 or later.*JetPack 6\.1"):
        load_anew("tensorrt")


@pytest.mark.parametrize("version", ["10.3.0", "10.13.3.9", "11.4.0"])
def test_what_is_new_enough_is_taken(monkeypatch, version):
    monkeypatch.setitem(sys.modules, "tensorrt", module(version))
    assert load_anew("tensorrt").title == f"TensorRT {version}"


def test_errors_are_heard_and_warnings_are_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", module("10.3.0"))
    loaded = load_anew("tensorrt")
    mark = loaded.errors.mark()
    loaded.logger.log(loaded.trt.ILogger.WARNING, "a warning")
    assert loaded.errors.since(mark) == "the library gave no reason"
    loaded.logger.log(loaded.trt.ILogger.ERROR, "the first\n  error")
    assert loaded.errors.since(mark) == "the first error"
    assert loaded.errors.since(loaded.errors.mark()) == "the library gave no reason"


@pytest.mark.parametrize("what", ["Builder", "Runtime"])
def test_a_library_that_does_not_come_up_on_the_device_says_why(monkeypatch, what):
    """As the bindings do it: the reason goes to the logger, and a TypeError tells of a null pointer."""

    def none(logger):
        logger.log(made.ILogger.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    made = module("10.3.0")
    setattr(made, what, none)
    monkeypatch.setitem(sys.modules, "tensorrt", made)
    loaded = load_anew("tensorrt")
    with pytest.raises(EngineError, match=r"starting TensorRT 10\.3\.0: CUDA initialization failure with error: 35"):
        loaded.builder() if what == "Builder" else loaded.runtime()


def test_what_was_heard_does_not_grow_without_end():
    errors = ErrorLog()
    for number in range(1000):
        errors.add(f"error {number}")
    assert errors.since(0) == "error 999"
    assert len(errors._errors) == 64


def test_options_are_read_and_refused():
    assert read_options({"level": 5}, "tensorrt") == (Options(level=5), True)
    assert read_options({"graphs": False}, "tensorrt") == (Options(level=3), False)
    with pytest.raises(ConfigError, match="unknown options: colour"):
        read_options({"colour": "red"}, "tensorrt")
    for wrong in (6, -1, True, "high"):
        with pytest.raises(ConfigError, match="level must be 0 to 5"):
            read_options({"level": wrong}, "tensorrt")


def test_the_real_one_is_loaded_once():
    pytest.importorskip("tensorrt_rtx")
    assert load_library("tensorrt-rtx").version.startswith("1.")
    assert load_library("tensorrt-rtx") is load_library("tensorrt-rtx")
