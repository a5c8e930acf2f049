"""Writes a verified model as a bundle, and checks that the written bundle computes what was verified."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from importlib.metadata import version
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from safetensors.numpy import load, save

from mm_edge.bundle.bundle import Bundle, digest
from mm_edge.bundle.manifest import Artefact, Cost, EngineFile, FileDigest, Golden, Manifest, Part
from mm_edge.bundle.writer import write_bundle
from mm_edge.errors import WorkFailedError
from mm_edge.export.graphs.runner import ALL_CORES, Runner
from mm_edge.export.verify.parity import TOLERANCES, relative_error, run_chain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mm_edge.bundle.manifest import Precision
    from mm_edge.export.feeds import Array
    from mm_edge.export.recipe import Recipe
    from mm_edge.export.split.partition import PartGraph

    from .verified_model import VerifiedModel

    Engines = Mapping[str, Sequence[tuple[EngineFile, bytes]]]  # by part

GOLDEN_FILE = "golden.safetensors"


def pack(target: Path, verified: VerifiedModel, engines: Engines, recipe: Recipe) -> Manifest:
    """Writes the bundle, opens what was written, and runs its fp32 parts against its own golden tensors."""
    manifest = write(target, verified, engines, recipe)
    with Bundle.open(target) as bundle:
        check_golden(bundle)
    return manifest


def write(target: Path, verified: VerifiedModel, engines: Engines, recipe: Recipe) -> Manifest:
    """The bundle without that check."""
    files: dict[str, bytes | Path] = {**verified.split.source.files, GOLDEN_FILE: golden_tensors(verified)}
    for part in verified.split.parts:
        files |= {_file(part.name, precision): path for precision, path in verified.artefacts[part.name].items()}
        files |= {record.file: content for record, content in engines.get(part.name, ())}
    manifest = make_manifest(verified, engines, _digests(files), recipe)
    write_bundle(target, manifest, files, Path(recipe.sign) if recipe.sign else None)
    return manifest


def golden_tensors(verified: VerifiedModel) -> bytes:
    """The file of golden tensors: what was fed, and the outputs of each fp32 part. States are zeros and left out."""
    split = verified.split
    samples = [split.values_of(feed) for feed in verified.golden]
    run_chain(split.parts, lambda part: Runner(verified.artefacts[part.name]["fp32"]), samples)
    return bytes(
        save(
            {
                f"{number}/{source}": np.ascontiguousarray(value)  # safetensors writes the memory in its own order
                for number, values in enumerate(samples)
                for source, value in values.items()
                if not source.startswith("state:")
            }
        )
    )


def make_manifest(
    verified: VerifiedModel, engines: Engines, digests: dict[str, FileDigest], recipe: Recipe
) -> Manifest:
    """`digests` has every file of the bundle but the manifest."""
    split, spec = verified.split, verified.split.source.spec
    parts = []
    for part in split.parts:
        artefacts = {
            precision: Artefact(_file(part.name, precision), digests[_file(part.name, precision)].sha256)
            for precision in verified.artefacts[part.name]
        }
        built = tuple(record for record, _ in engines.get(part.name, ()))
        parts.append(_part(part, artefacts, built, verified.costs.get(part.name, {})))
    return Manifest(
        format=1,
        name=spec.name,
        version=recipe.version,
        inputs=spec.inputs,
        parts=tuple(parts),
        outputs=tuple(
            msgspec.structs.replace(
                output, reads={role: split.outputs[tensor] for role, tensor in output.reads.items()}
            )
            for output in spec.outputs
        ),
        sync=spec.sync,
        golden=Golden(GOLDEN_FILE, len(verified.golden)),
        parity=verified.parity,
        calibration=verified.calibration,
        digests=digests,
        dims=spec.dims,
        preferred=verified.preferred,
        description=spec.description,
        card=spec.card,
        made={
            "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "by": f"mm-edge {version('mm-edge')}",
            "source": split.source.origin,
            "seed": str(recipe.seed),
            **split.source.made,
            **{f"search of {name}": result for name, result in verified.stopped_searches.items()},
        },
    )


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
    """In several threads: hashing releases the interpreter lock, and is slow on a CPU without SHA instructions."""
    with ThreadPoolExecutor(ALL_CORES) as pool:
        return dict(zip(files, pool.map(_digest, files.values()), strict=True))


def _digest(content: bytes | Path) -> FileDigest:
    if isinstance(content, bytes):
        return digest(content)
    with Path(content).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
        return FileDigest(hashlib.sha256(mapped).hexdigest(), len(mapped))


def check_golden(bundle: Bundle) -> None:
    manifest = bundle.manifest
    if manifest.golden is None:
        raise WorkFailedError("it has no golden tensors", action=f"checking {bundle.path}")
    tensors = load(bundle.read(manifest.golden.file))
    for part in manifest.parts:
        _check_part(bundle, part, manifest.golden.samples, tensors)


def _check_part(bundle: Bundle, part: Part, samples: int, tensors: Mapping[str, Array]) -> None:
    runner = Runner(bundle.read(part.artefacts["fp32"].file))
    takes = {tensor.name: tensor for tensor in part.takes}
    for sample in range(samples):
        feed = {}
        for name, read in part.reads.items():
            key, tensor = f"{sample}/{read.source}", takes[name]
            zeros = np.zeros(bundle.manifest.fixed(tensor.shape), np.dtype(tensor.dtype))
            feed[name] = tensors.get(key, zeros)
        for name, value in runner(feed).items():
            error = relative_error(value, tensors[f"{sample}/part:{part.name}.{name}"])
            if error > TOLERANCES["fp32"]:
                raise WorkFailedError(
                    f"'{name}' of part '{part.name}' differs from its golden tensor by {error:.2g}",
                    action=f"checking the written bundle {bundle.path}",
                )
