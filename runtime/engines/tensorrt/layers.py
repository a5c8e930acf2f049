"""What an engine shows of its layers after the build: that it computes in the precision that was asked for.

The inspector's JSON names what goes in and out of the engine by "Bindings" until TensorRT 10 and by "I/O Tensors" from
11 on; neither is read here, since the engine itself is asked. The layers and their tensors stayed where they were.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mm_edge.errors import EngineError, WorkFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mm_edge.bundle.manifest import Precision

    from .library import Library
    from .names import EngineInspector, ICudaEngine
    from .order import Order

# As versions spell a type inside words like "Row major linear FP16 format (kLINEAR)".
_SPELLINGS = {
    "fp32": re.compile(r"\b(fp32|float32|float)\b", re.IGNORECASE),
    "fp16": re.compile(r"\b(fp16|float16|half)\b", re.IGNORECASE),
    "int8": re.compile(r"\bint8\b", re.IGNORECASE),
}
_TYPE_KEYS = ("Format/Datatype", "DataType", "Datatype", "Format")
# What computes, by its type or by the nodes that it was made of. The others move values, and some versions call an
# int64 that they move INT8.
_HEAVY = re.compile(r"conv|gemm|mat_?mul|matrix_?multiply|einsum|fully_?connected|attention|mha", re.IGNORECASE)
_ELSEWHERE = "--engine onnxruntime runs everywhere"


@dataclass(frozen=True)
class Shown:
    """An engine's layers, and by type those that compute; one may count in two. No types: the engine shows none."""

    layers: int
    types: dict[str, int]

    def __str__(self) -> str:
        shown = ", ".join(f"{count} computing with {kind}" for kind, count in self.types.items())
        return f"{self.layers} layers, {shown or 'which show no types'}"


def check_layers(library: Library, engine: ICudaEngine, order: Order, heavy: Callable[[], Mapping[str, int]]) -> Shown:
    """Raises where the engine contradicts the order's precision (a builder that fell back says nothing by itself), an
    EngineError where it tells nothing that can be read.

    `heavy` gives the network's heavy layers by type, where that matters. An engine that fused everything into one layer
    may show no types at all; that is told and no contradiction.
    """
    action = f"looking at {order.label} as {library.title} built it"
    inspector: EngineInspector = engine.create_engine_inspector()
    told = inspector.get_engine_information(library.trt.LayerInformationFormat.JSON)
    try:
        shown = read_layers(told)
    except json.JSONDecodeError as error:
        raise EngineError(f"what it tells of its layers is no JSON: {error}", action=action, hint=_ELSEWHERE) from error
    if shown.types and not _agrees(shown.types, order.precision, heavy):
        raise WorkFailedError(
            f"it has {shown}",
            action=action,
            hint="The engine does not compute in the precision that was asked for",
        )
    return shown


def _agrees(types: dict[str, int], precision: Precision, heavy: Callable[[], Mapping[str, int]]) -> bool:
    if precision == "int8-trt":
        return types.get("int8", 0) > 0
    if precision == "fp16":
        return types.get("fp16", 0) > 0 or not heavy().get("HALF")
    return types.get("fp16", 0) == 0 and types.get("int8", 0) == 0


def read_layers(told: str) -> Shown:
    """Counts the layers that compute by the types of their tensors and weights."""
    layers = json.loads(told).get("Layers", [])
    types: dict[str, int] = {}
    for layer in layers:
        # Without details, which an engine of somebody else's may lack, a layer is only its name.
        if isinstance(layer, dict) and _HEAVY.search(f"{layer.get('LayerType', '')} {layer.get('Name', '')}"):
            spelt = " ".join(_types(layer))
            for kind, pattern in _SPELLINGS.items():
                if pattern.search(spelt):
                    types[kind] = types.get(kind, 0) + 1
    return Shown(len(layers), types)


def _types(layer: dict[str, Any]) -> Iterator[str]:
    for tensor in (*layer.get("Inputs", []), *layer.get("Outputs", [])):
        if isinstance(tensor, dict):
            yield from (str(tensor[key]) for key in _TYPE_KEYS if key in tensor)
    for what in ("Weights", "Bias"):
        if isinstance(layer.get(what), dict):
            yield str(layer[what].get("Type", ""))
