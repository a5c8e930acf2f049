"""Turns proven parts into a bundle on disk, and proves again that what lies there computes what was proven."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from safetensors.numpy import load, save

import mm_edge
from mm_edge.bundle import Bundle, digest
from mm_edge.bundle_writer import write_bundle
from mm_edge.errors import WorkFailedError
from mm_edge.manifest import Artefact, Calibration, Cost, EngineFile, Golden, Manifest, ParityRow, Part

from .chain import run_chain
from .parity import relative_error
from .recipe import TOLERANCES
from .runner import Runner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.manifest import Family, Precision

    from .feeds import Array
    from .model import SourceModel
    from .partition import PartGraph, Split
    from .recipe import Recipe

GOLDEN_FILE = "golden.safetensors"


def golden_tensors(split: Split, runners: Mapping[str, Runner], samples: Sequence[Mapping[str, Array]]) -> bytes:
    """The file of golden tensors: what was fed, and what each part gave in fp32. States are zeros and are left out."""
    tensors = {}
    for number, values in enumerate(samples):
        for source, value in run_chain(split.parts, runners, values).items():
            if not source.startswith("state:"):
                tensors[f"{number}/{source}"] = np.ascontiguousarray(value)  # safetensors writes the memory as it lies
    return bytes(save(tensors))


def make_manifest(
    model: SourceModel,
    split: Split,
    artefacts: Mapping[str, Mapping[Precision, Path]],
    *,
    recipe: Recipe,
    costs: Mapping[str, Mapping[str, float]],
    parity: Sequence[ParityRow],
    golden: bytes,
    golden_count: int,
    preferred: dict[Family, dict[str, Precision]],
    calibration: Calibration | None,
    engines: Mapping[str, Sequence[tuple[EngineFile, bytes]]] | None = None,
) -> tuple[Manifest, dict[str, bytes | Path]]:
    """The manifest and every file that it names."""
    files: dict[str, bytes | Path] = {**model.files, GOLDEN_FILE: golden}
    parts = []
    for part in split.parts:
        named: dict[Precision, Artefact] = {}
        for precision, path in artefacts[part.name].items():
            file = f"parts/{part.name}.{precision}.onnx"
            files[file] = path
            named[precision] = Artefact(file, _sha256(path))
        built = (engines or {}).get(part.name, ())
        files |= {record.file: content for record, content in built}
        parts.append(_part(part, named, tuple(record for record, _ in built), costs.get(part.name, {})))
    manifest = Manifest(
        format=1,
        name=model.spec.name,
        version=recipe.version,
        inputs=model.spec.inputs,
        parts=tuple(parts),
        outputs=tuple(
            msgspec.structs.replace(
                output, reads={role: split.outputs[tensor] for role, tensor in output.reads.items()}
            )
            for output in model.spec.outputs
        ),
        sync=model.spec.sync,
        golden=Golden(GOLDEN_FILE, golden_count),
        parity=tuple(parity),
        calibration=calibration,
        digests={
            name: digest(content if isinstance(content, bytes) else Path(content).read_bytes())
            for name, content in files.items()
        },
        dims=model.spec.dims,
        preferred=preferred,
        description=model.spec.description,
        card=model.spec.card,
        made={
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "by": f"mm-edge {mm_edge.__version__}",
            "source": model.origin,
            "seed": str(recipe.seed),
            **model.made,
        },
    )
    return manifest, files


def _part(
    part: PartGraph, artefacts: dict[Precision, Artefact], engines: tuple[EngineFile, ...], ms: Mapping[str, float]
) -> Part:
    return Part(
        name=part.name,
        kind=part.kind,
        reads=part.reads,
        takes=part.takes,
        gives=part.gives,
        artefacts=artefacts,
        engines=engines,
        cost=Cost(ms=dict(ms), flops=part.flops, parameters=part.parameters),
        note=part.note,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        sha = hashlib.sha256()
        while chunk := file.read(1 << 22):
            sha.update(chunk)
        return sha.hexdigest()


def write_and_reload(target: Path, manifest: Manifest, files: Mapping[str, bytes | Path], key: Path | None) -> None:
    """Writes the bundle, opens what was written, and runs its fp32 parts against its own golden tensors."""
    write_bundle(target, manifest, files, key)
    with Bundle.open(target) as bundle:
        check_golden(bundle)


def check_golden(bundle: Bundle) -> None:
    manifest = bundle.manifest
    if manifest.golden is None:
        raise WorkFailedError("it has no golden tensors", asked=f"checking {bundle.path}")
    tensors = load(bundle.read(manifest.golden.file))
    for part in manifest.parts:
        runner = Runner(bundle.read(part.artefacts["fp32"].file))
        for sample in range(manifest.golden.samples):
            feed = {}
            for name, read in part.reads.items():
                key = f"{sample}/{read.source}"
                tensor = next(item for item in part.takes if item.name == name)
                feed[name] = tensors[key] if key in tensors else zeros(manifest.fixed(tensor.shape), tensor.dtype)
            for name, value in runner(feed).items():
                error = relative_error(value, tensors[f"{sample}/part:{part.name}.{name}"])
                if error > TOLERANCES["fp32"]:
                    raise WorkFailedError(
                        f"'{name}' of the part '{part.name}' is off by {error:.2g}",
                        asked=f"checking {bundle.path} after it was written",
                    )


def zeros(shape: tuple[int, ...], dtype: str) -> Array:
    return np.zeros(shape, np.dtype(dtype))
