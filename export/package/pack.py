"""Turns proven parts into a bundle on disk, and proves again that what lies there computes what was proven."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from safetensors.numpy import load, save

import mm_edge
from mm_edge.bundle.bundle import Bundle, digest
from mm_edge.bundle.manifest import (
    Artefact,
    Calibration,
    Cost,
    EngineFile,
    FileDigest,
    Golden,
    Manifest,
    ParityRow,
    Part,
)
from mm_edge.bundle.writer import write_bundle
from mm_edge.errors import WorkFailedError
from mm_edge.export.graphs.runner import ALL_CORES, Runner
from mm_edge.export.recipe import TOLERANCES
from mm_edge.export.verify.chain import run_one_by_one
from mm_edge.export.verify.parity import relative_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.bundle.manifest import Family, Precision
    from mm_edge.export.feeds import Array
    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import PartGraph, Split

GOLDEN_FILE = "golden.safetensors"


def golden_tensors(split: Split, paths: Mapping[str, Path], samples: Sequence[Mapping[str, Array]]) -> bytes:
    """The file of golden tensors: what was fed, and what each part gave in fp32. States are zeros and are left out."""
    made = [dict(values) for values in samples]
    run_one_by_one(split.parts, lambda part: Runner(paths[part.name]), made)
    return bytes(
        save(
            {
                f"{number}/{source}": np.ascontiguousarray(value)  # safetensors writes the memory as it lies
                for number, values in enumerate(made)
                for source, value in values.items()
                if not source.startswith("state:")
            }
        )
    )


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
    searches: Mapping[str, str] | None = None,
) -> tuple[Manifest, dict[str, bytes | Path]]:
    """The manifest and every file that it names."""
    files: dict[str, bytes | Path] = {**model.files, GOLDEN_FILE: golden}
    for part in split.parts:
        files |= {_file(part.name, precision): path for precision, path in artefacts[part.name].items()}
        files |= {record.file: content for record, content in (engines or {}).get(part.name, ())}
    digests = _digests(files)
    parts = []
    for part in split.parts:
        named = {
            precision: Artefact(_file(part.name, precision), digests[_file(part.name, precision)].sha256)
            for precision in artefacts[part.name]
        }
        built = tuple(record for record, _ in (engines or {}).get(part.name, ()))
        parts.append(_part(part, named, built, costs.get(part.name, {})))
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
        digests=digests,
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
            **{f"search of {name}": told for name, told in (searches or {}).items()},
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


def _file(part: str, precision: Precision) -> str:
    return f"parts/{part}.{precision}.onnx"


def _digests(files: Mapping[str, bytes | Path]) -> dict[str, FileDigest]:
    """Several at a time: hashing lets go of the interpreter, and is slow on a CPU without an instruction for it."""
    with ThreadPoolExecutor(ALL_CORES) as pool:
        return dict(zip(files, pool.map(_digest, files.values()), strict=True))


def _digest(content: bytes | Path) -> FileDigest:
    if isinstance(content, bytes):
        return digest(content)
    with Path(content).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
        return FileDigest(hashlib.sha256(mapped).hexdigest(), len(mapped))


def write_and_reload(target: Path, manifest: Manifest, files: Mapping[str, bytes | Path], key: Path | None) -> None:
    """Writes the bundle, opens what was written, and runs its fp32 parts against its own golden tensors."""
    write_bundle(target, manifest, files, key)
    with Bundle.open(target) as bundle:
        check_golden(bundle)


def check_golden(bundle: Bundle) -> None:
    manifest = bundle.manifest
    if manifest.golden is None:
        raise WorkFailedError("it has no golden tensors", action=f"checking {bundle.path}")
    tensors = load(bundle.read(manifest.golden.file))
    for part in manifest.parts:
        _check_part(bundle, part, tensors)


def _check_part(bundle: Bundle, part: Part, tensors: Mapping[str, Array]) -> None:
    manifest = bundle.manifest
    runner = Runner(bundle.read(part.artefacts["fp32"].file))
    for sample in range(manifest.golden.samples if manifest.golden else 0):
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
                    action=f"checking {bundle.path} after it was written",
                )


def zeros(shape: tuple[int, ...], dtype: str) -> Array:
    return np.zeros(shape, np.dtype(dtype))
