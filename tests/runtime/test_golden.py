"""The golden check: an engine that gives something else is not let run the bundle."""

import numpy as np
import pytest
from bundles import senses_bundle
from safetensors.numpy import save
from sources import Script, pictures

from mm_edge.bundle import Bundle
from mm_edge.config import RunConfig
from mm_edge.errors import EngineError
from mm_edge.runtime.engines.choose import load_parts
from mm_edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from mm_edge.runtime.engines.stub import StubEngine
from mm_edge.runtime.golden import check_golden
from mm_edge.runtime.session import Session


class Golden(Bundle):
    """A bundle with golden values that ONNX Runtime made of random inputs."""

    def read(self, name):
        return self.golden if name == "golden.safetensors" else super().read(name)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    import msgspec

    from mm_edge.manifest import Golden as GoldenRecord

    with Golden.open(senses_bundle(tmp_path_factory.mktemp("bundle") / "senses.mmb")) as opened:
        generator = np.random.default_rng(0)
        values = {
            "0/input:image": generator.integers(0, 255, (1, 32, 32, 3), np.uint8),
            "0/input:audio": generator.uniform(-1, 1, (1, 16_000)).astype(np.float32),
            "0/input:text": generator.integers(0, 12, (1, 8)),
            "0/presence": np.ones((1, 3), np.float32),
        }
        image, audio, text = values["0/input:image"], values["0/input:audio"], values["0/input:text"]
        values["0/part:encode_image.colour"] = (image / 255).mean((1, 2)).astype(np.float32)
        values["0/part:encode_audio.loudness"] = np.sqrt((audio**2).mean(1, keepdims=True))
        values["0/part:encode_text.words"] = text.mean(1, keepdims=True).astype(np.float32)
        encoded = [values[f"0/part:encode_{name}"] for name in ("image.colour", "audio.loudness", "text.words")]
        values["0/part:fuse.all"] = np.concatenate(encoded, axis=1)
        values["0/part:fuse.senses"] = values["0/presence"]
        opened.golden = save({name: np.ascontiguousarray(value) for name, value in values.items()})
        record = GoldenRecord(file="golden.safetensors", samples=1)
        msgspec.structs.force_setattr(opened.manifest, "golden", record)
        yield opened


def loaded(bundle, engine):
    names = [part.name for part in bundle.manifest.parts]
    return load_parts(bundle, engine, dict.fromkeys(names, "fp32"), dict.fromkeys(names, 1))


def test_the_engine_that_the_values_came_from_passes(bundle):
    engine = OnnxRuntimeEngine()
    shown = check_golden(bundle, engine, loaded(bundle, engine), 1e-4)
    assert {row.part for row in shown} == {"encode_image", "encode_audio", "encode_text", "fuse", "chain"}
    assert max(row.relative_error for row in shown) < 1e-5


@pytest.mark.parametrize("wrong", [np.nan, 1e9, 0.0])
def test_an_engine_that_gives_something_else_is_refused_with_the_worst_tensor(bundle, wrong):
    engine = StubEngine({"encode_audio": lambda audio: {"loudness": wrong}})
    with pytest.raises(EngineError, match=r"of the part '\w+' in fp32 is off by"):
        check_golden(bundle, engine, loaded(bundle, engine), 1e-3)


def test_parts_that_are_good_alone_and_wrong_together_are_refused(bundle):
    """An engine that hands stale values from part to part shows it only in the chain."""

    class Stale(OnnxRuntimeEngine):
        def load(self, part, *rest):
            made = super().load(part, *rest)
            if part.name == "fuse":
                slot = made.slot()
                made.slot = lambda: slot
                run = slot.run

                def once_too_late(inputs, kept=[]):  # noqa: B006  # it remembers on purpose
                    kept.append([value.host().copy() for value in inputs])
                    for value, old in zip(inputs, kept[0], strict=True):
                        value.host()[...] = old * (1 + 0.1 * (len(kept) > 1))
                    run(inputs)

                slot.run = once_too_late
            return made

    engine = Stale()
    with pytest.raises(EngineError, match="of the chained parts in fp32 is off by"):
        check_golden(bundle, engine, loaded(bundle, engine), 1e-3)


def test_a_session_does_not_start_on_an_engine_that_fails(bundle):
    engine = StubEngine()
    engine.golden_tolerance = 1e-3
    with pytest.raises(EngineError, match="the golden check of 'senses' on stub"):
        Session(bundle, RunConfig(), [Script("image", pictures(3))], [], engine=engine)


def test_a_bundle_without_golden_values_runs_only_where_it_was_proven(tmp_path):
    engine = StubEngine()
    path = senses_bundle(tmp_path / "senses.mmb")
    with Bundle.open(path) as plain, pytest.raises(EngineError, match="holds no golden values"):
        check_golden(plain, engine, loaded(plain, engine), 1e-3)
