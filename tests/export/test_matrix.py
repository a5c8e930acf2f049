"""Every fusion over every kind of input, whole and in parts, in every precision; TensorRT-RTX builds them."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tensorrt_rtx")

from fusion_models import VOCABULARY, make  # noqa: E402

from mm_edge.bundle.bundle import Bundle  # noqa: E402
from mm_edge.export.feeds import graph_inputs, random_feed  # noqa: E402
from mm_edge.export.package.engines import Target, build_engine  # noqa: E402
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
    built = set()
    with Bundle.open(tmp_path / "x.mmb") as bundle:
        for part in bundle.manifest.parts:
            for precision in ("fp32", "fp16", "int8-trt"):
                if precision in part.artefacts:
                    path = tmp_path / f"{part.name}.{precision}.onnx"
                    path.write_bytes(bundle.read(part.artefacts[precision].file))
                    assert build_engine(path, precision, Target("sm86"), part, {})
                    built.add(precision)
    assert built == {"fp32", "fp16", "int8-trt"}


def test_the_five_million_parameter_class_is_faster_in_int8():
    """On one thread of a machine with VNNI."""
    from mm_edge.benchmarks.studies.export.five_million import has_vnni, int8_speed

    if not has_vnni():
        pytest.skip("the CPU has no VNNI")
    found = int8_speed()
    assert 4_000_000 < found["parameters"] < 6_000_000
    assert found["times_faster"] >= 1.5
    assert found["cosine"] >= 0.999
