"""What an engine shows of its layers after the build: that it computes in the precision that was asked for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mm_edge.errors import WorkFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mm_edge.manifest import Precision

    from .library import Library
    from .names import EngineInspector, ICudaEngine

# As versions spell a type inside words like "Row major linear FP16 format (kLINEAR)".
_SPELLINGS = {
    "fp32": re.compile(r"\b(fp32|float32|float)\b", re.IGNORECASE),
    "fp16": re.compile(r"\b(fp16|float16|half)\b", re.IGNORECASE),
    "int8": re.compile(r"\bint8\b", re.IGNORECASE),
}
_TYPE_KEYS = ("Format/Datatype", "DataType", "Datatype", "Format")


@dataclass(frozen=True)
class Shown:
    """Layers by the types that their tensors have; one layer may count in two. Empty: the engine shows no types."""

    layers: int
    types: dict[str, int]

    def __str__(self) -> str:
        return ", ".join(f"{count} show {kind}" for kind, count in self.types.items()) or "none shows a type"


def check_layers(library: Library, engine: ICudaEngine, precision: Precision, heavy_half: int, asked: str) -> Shown:
    """Raises where the engine contradicts `precision`; a builder that fell back says nothing by itself.

    `heavy_half`: how many heavy layers the network had in half precision. An engine that fused everything into one
    layer shows no types at all; that is told and no contradiction.
    """
    inspector: EngineInspector = engine.create_engine_inspector()
    told = inspector.get_engine_information(library.trt.LayerInformationFormat.JSON)
    shown = read_layers(told, {engine.get_tensor_name(number) for number in range(engine.num_io_tensors)})
    if shown.types and not _agrees(shown.types, precision, heavy_half):
        raise WorkFailedError(
            f"of the engine's {shown.layers} layers, {shown}",
            asked=asked,
            todo="The engine does not compute in the precision that was asked for",
        )
    return shown


def _agrees(types: dict[str, int], precision: Precision, heavy_half: int) -> bool:
    if precision == "int8-trt":
        return types.get("int8", 0) > 0
    if precision == "fp16":
        return types.get("fp16", 0) > 0 or heavy_half == 0
    return types.get("fp16", 0) == 0


def read_layers(told: str, outside: set[str]) -> Shown:
    """Counts layers by type. `outside`: the engine's own inputs and outputs, whose types are asked of the engine:
    some versions call an int64 input INT8 here.
    """
    given = json.loads(told)
    outside = outside | set(_outside_by_either_key(given))
    layers = [layer for layer in given.get("Layers", []) if isinstance(layer, dict)]
    types: dict[str, int] = {}
    for layer in layers:
        spelt = " ".join(_types(layer, outside))
        for kind, pattern in _SPELLINGS.items():
            if pattern.search(spelt):
                types[kind] = types.get(kind, 0) + 1
    return Shown(len(given.get("Layers", [])), types)


def _outside_by_either_key(given: dict[str, Any]) -> Iterator[str]:
    """Names until TensorRT 10, records from 11 on."""
    yield from (name for name in given.get("Bindings", []) if isinstance(name, str))
    yield from (record["Name"] for record in given.get("I/O Tensors", []) if isinstance(record, dict))


def _types(layer: dict[str, Any], outside: set[str]) -> Iterator[str]:
    for tensor in (*layer.get("Inputs", []), *layer.get("Outputs", [])):
        if isinstance(tensor, dict) and tensor.get("Name") not in outside:
            yield from (str(tensor[key]) for key in _TYPE_KEYS if key in tensor)
    for what in ("Weights", "Bias"):
        if isinstance(layer.get(what), dict):
            yield str(layer[what].get("Type", ""))
