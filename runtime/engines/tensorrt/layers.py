"""The layers of a built engine: verifies that it computes in the requested precision.

The inspector's JSON lists inputs and outputs as "Bindings" up to TensorRT 10 and as "I/O Tensors" from 11 on; neither
is read here, because the engine has its own functions for them. Layers and their tensors are the same in both.
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

# How versions write a type, inside text like "Row major linear FP16 format (kLINEAR)".
_SPELLINGS = {
    "fp32": re.compile(r"\b(fp32|float32|float)\b", re.IGNORECASE),
    "fp16": re.compile(r"\b(fp16|float16|half)\b", re.IGNORECASE),
    "int8": re.compile(r"\bint8\b", re.IGNORECASE),
}
_TYPE_KEYS = ("Format/Datatype", "DataType", "Datatype", "Format")
# Layers that compute, by type or by the nodes they were built from. Others move values, and some versions report an
# int64 there as INT8.
_HEAVY = re.compile(r"conv|gemm|mat_?mul|matrix_?multiply|einsum|fully_?connected|attention|mha", re.IGNORECASE)
_ELSEWHERE = "--engine onnxruntime runs on every machine"


@dataclass(frozen=True)
class LayerTypes:
    """The number of layers, and of computing layers by type; one may count in two. No types: the engine lists none."""

    layers: int
    types: dict[str, int]

    def __str__(self) -> str:
        counts = ", ".join(f"{count} computing with {kind}" for kind, count in self.types.items())
        return f"{self.layers} layers, {counts or 'without type information'}"


def check_layers(
    library: Library, engine: ICudaEngine, order: Order, heavy: Callable[[], Mapping[str, int]]
) -> LayerTypes:
    """Raises a WorkFailedError if the engine contradicts the order's precision (a builder reports no fallback), and an
    EngineError if its layers cannot be read.

    `heavy` returns the network's computing layers by type, if they are needed. An engine that is fused into one layer
    may list no types; that is reported, and is no contradiction.
    """
    action = f"inspecting {order.label} as built by {library.title}"
    inspector: EngineInspector = engine.create_engine_inspector()
    text = inspector.get_engine_information(library.trt.LayerInformationFormat.JSON)
    try:
        layers = read_layers(text)
    except json.JSONDecodeError as error:
        raise EngineError(
            f"its layer information is not valid JSON: {error}", action=action, hint=_ELSEWHERE
        ) from error
    if layers.types and not _agrees(layers.types, order.precision, heavy):
        raise WorkFailedError(
            f"it has {layers}",
            action=action,
            hint="The engine does not compute in the requested precision",
        )
    return layers


def _agrees(types: dict[str, int], precision: Precision, heavy: Callable[[], Mapping[str, int]]) -> bool:
    if precision == "int8-trt":
        return types.get("int8", 0) > 0
    if precision == "fp16":
        return types.get("fp16", 0) > 0 or not heavy().get("HALF")
    return types.get("fp16", 0) == 0 and types.get("int8", 0) == 0


def read_layers(text: str) -> LayerTypes:
    """Counts the computing layers by the types of their tensors and weights."""
    layers = json.loads(text).get("Layers", [])
    types: dict[str, int] = {}
    for layer in layers:
        # In an engine built without detailed verbosity a layer is only its name.
        if isinstance(layer, dict) and _HEAVY.search(f"{layer.get('LayerType', '')} {layer.get('Name', '')}"):
            spelt = " ".join(_types(layer))
            for kind, pattern in _SPELLINGS.items():
                if pattern.search(spelt):
                    types[kind] = types.get(kind, 0) + 1
    return LayerTypes(len(layers), types)


def _types(layer: dict[str, Any]) -> Iterator[str]:
    for tensor in (*layer.get("Inputs", []), *layer.get("Outputs", [])):
        if isinstance(tensor, dict):
            yield from (str(tensor[key]) for key in _TYPE_KEYS if key in tensor)
    for what in ("Weights", "Bias"):
        if isinstance(layer.get(what), dict):
            yield str(layer[what].get("Type", ""))
