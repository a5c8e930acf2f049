"""Every fusion over every kind of input, whole and in parts, in every precision; TensorRT-RTX builds them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fusion_models import VOCABULARY, make  # noqa: E402

from mm_edge.bundle import Bundle  # noqa: E402
from mm_edge.export.engine_build import Target, build_engine  # noqa: E402
from mm_edge.export.feeds import graph_inputs, random_feed  # noqa: E402
from mm_edge.export.pipeline import export  # noqa: E402
from mm_edge.export.recipe import Recipe  # noqa: E402
from mm_edge.export.sources.torch_module import from_module  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
FUSIONS = ("concat", "attention", "interaction", "shared", "recurrent")
# Every kind of input stands in at least one case of every fusion, beside another and among all.
INPUTS = (("image", "audio", "text"), ("video", "vector", "text"), ("image", "audio", "text", "vector", "video"))
PRECISIONS = ("fp32", "fp16", "int8-cpu", "int8-trt")


@pytest.fixture(scope="module")
def source():
    """One trace a model, for whole and parts alike."""
    traced = {}

    def of(fusion, modalities):
        if fusion == "shared":
            modalities = (modalities[0], *modalities)  # two of a kind, through one encoder
        if (fusion, modalities) not in traced:
            module = make(modalities, fusion, presence=fusion == "concat")
            model = from_module(module, module.spec, "made in a test")
            names = {tensor.name for tensor in graph_inputs(module.spec)} - {state.name for state in module.spec.states}
            model.samples = lambda count: (
                {
                    name: array
                    for name, array in random_feed(module.spec, seed, None, {"text": VOCABULARY}).items()
                    if name in names
                }
                for seed in range(count)
            )
            traced[fusion, modalities] = model
        return traced[fusion, modalities]

    return of


@pytest.mark.parametrize("split", ["never", "always"])
@pytest.mark.parametrize("modalities", INPUTS, ids="-".join)
@pytest.mark.parametrize("fusion", FUSIONS)
def test_it_exports_and_passes_parity_in_every_precision(source, fusion, modalities, split, tmp_path):
    recipe = Recipe(split=split, precisions=PRECISIONS, samples=16, unseen=4, golden=1)
    exported = export(source(fusion, modalities), tmp_path / "x.mmb", recipe)
    assert (len(exported.split.parts) == 1) == (split == "never")
    rows = [row for row in exported.manifest.parity if row.scope == "chain"]
    assert {row.precision for row in rows} == set(PRECISIONS)
    assert all(row.passed for row in rows)
    assert max(row.relative_error for row in rows if row.precision == "fp32") < 1e-5
    trt = pytest.importorskip("tensorrt_rtx")
    assert trt
    with Bundle.open(tmp_path / "x.mmb") as bundle:
        for part in bundle.manifest.parts:
            for precision in ("fp32", "fp16", "int8-trt"):
                if precision in part.artefacts:
                    path = tmp_path / f"{part.name}.{precision}.onnx"
                    path.write_bytes(bundle.read(part.artefacts[precision].file))
                    assert build_engine(path, precision, Target("sm86"), part, {})


def test_the_five_million_parameter_class_is_faster_in_int8(tmp_path):
    """About five million parameters, on one thread of a machine with VNNI."""
    from pathlib import Path

    if "avx512_vnni" not in Path("/proc/cpuinfo").read_text() and "avx_vnni" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("the CPU has no VNNI")
    from five_million import samples, source_model

    model = source_model()
    model.samples = samples
    exported = export(model, tmp_path / "x.mmb", Recipe(precisions=("int8-cpu",), split="never", samples=32, unseen=8))
    (part,) = exported.manifest.parts
    rows = [row for row in exported.manifest.parity if row.scope == "chain" and row.precision == "int8-cpu"]
    assert part.cost.ms["fp32"] / part.cost.ms["int8-cpu"] >= 1.5
    assert min(row.cosine for row in rows) >= 0.999
    assert np.isfinite([row.relative_error for row in rows]).all()
