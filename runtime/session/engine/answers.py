"""Whether an engine's outputs decode to the answers of the export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.runtime.decode.agreement import agreement
from mm_edge.runtime.engines.chain import Chain, is_plain
from mm_edge.runtime.engines.golden_values import load_golden

if TYPE_CHECKING:
    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Manifest
    from mm_edge.runtime.engines.selection.select_engine import SelectedEngine


def can_be_compared(manifest: Manifest) -> bool:
    """Golden values exist for the outputs of the whole model."""
    return manifest.golden is not None and all(is_plain(part) for part in manifest.parts)


def same_answers(bundle: Bundle, selected: SelectedEngine) -> bool:
    """Every golden sample decodes to the same answer as its reference. False without golden values."""
    manifest = bundle.manifest
    if manifest.golden is None or not can_be_compared(manifest):
        return False
    golden = load_golden(bundle, manifest.golden)
    sources = {source for output in manifest.outputs for source in output.reads.values()}
    chain = Chain(manifest, selected.engine, selected.executables)
    got, wanted = [], []
    for sample in range(manifest.golden.samples):
        chain.put(golden, sample)
        chain.run()
        got.append({source: chain.value(source).host().copy() for source in sources})
        wanted.append({source: golden[f"{sample}/{source}"] for source in sources})
    chain.release()
    return all(agreement(output, got, wanted) == 1.0 for output in manifest.outputs)
