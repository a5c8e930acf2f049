"""An ONNX graph as TensorRT's network: strongly typed, and compared with the manifest before anything is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mm_edge.errors import WorkFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.bundle.manifest import Precision
    from mm_edge.spec import TensorSpec

    from .library import Library
    from .names import Builder, ILayer, INetworkDefinition, ITensor, OnnxParser, ParserError
    from .order import Order

# The layers that compute; all others only move or scale values.
HEAVY_LAYERS = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "EINSUM")
# TensorRT's own translation to numpy raises for the types that numpy lacks.
DTYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "INT64": "int64"}
DTYPES |= {"BOOL": "bool", "UINT8": "uint8"}
_SHOWN_REFUSALS = 3
_AGAIN = "Export the bundle again"


@dataclass(frozen=True)
class Parsed:
    """A network and its parser, which must live as long because it owns the weights."""

    network: INetworkDefinition
    parser: OnnxParser
    heavy: dict[str, int]  # computing layers by type


def parse(library: Library, builder: Builder, order: Order, action: str) -> Parsed:
    """Parses the graph, fixes the known shapes, and verifies types, shapes and precision."""
    trt = library.trt
    # By name: the number of the flag differs between versions.
    typed = trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    network: INetworkDefinition = builder.create_network(1 << int(typed))
    if not network.get_flag(typed):
        raise WorkFailedError("it does not support strongly typed networks", action=action, hint="mm-edge doctor")
    parser: OnnxParser = trt.OnnxParser(network, library.logger)
    mark = library.errors.mark()
    if not parser.parse(order.graph):
        raise WorkFailedError(
            _refusals(parser) or library.errors.since(mark),
            action=action,
            hint="The parser rejects the graph; docs/exporting.md lists its rules",
        )
    inputs: dict[str, ITensor] = {}
    outputs: dict[str, ITensor] = {}
    for number in range(network.num_inputs):
        tensor: ITensor = network.get_input(number)
        inputs[tensor.name] = tensor
    _check_tensors(inputs, order.part.takes, "input", action)
    for name, tensor in inputs.items():
        _build_in_shape(tensor, order, name, action)
    for number in range(network.num_outputs):
        tensor = network.get_output(number)
        outputs[tensor.name] = tensor
    _check_tensors(outputs, order.part.gives, "output", action)
    if not any(-1 in limits.known for limits in order.limits.values()):
        _check_outputs_are_known(outputs, action)
    return Parsed(network, parser, check_precision(network, order.precision, action))


def heavy_layers(library: Library, order: Order) -> dict[str, int]:
    """The computing layers of a graph by type, without building it."""
    builder: Builder = library.builder()
    return parse(library, builder, order, f"reading {order.label} with {library.title}").heavy


def _refusals(parser: OnnxParser) -> str:
    messages = []
    for number in range(min(parser.num_errors, _SHOWN_REFUSALS)):
        error: ParserError = parser.get_error(number)
        messages.append(f"node '{error.node_name()}' ({error.node_operator()}): {error.desc()}")
    return "; ".join(" ".join(line.split()) for line in messages)


def _check_tensors(there: Mapping[str, ITensor], wanted: tuple[TensorSpec, ...], what: str, action: str) -> None:
    """The graph has exactly the tensors of the manifest, with its types."""
    names = [spec.name for spec in wanted]
    if set(there) != set(names):
        raise WorkFailedError(
            f"the graph's {what}s are {', '.join(there)}; the manifest's are {', '.join(names)}",
            action=action,
            hint=_AGAIN,
        )
    for spec in wanted:
        tensor: ITensor = there[spec.name]
        kind = tensor.dtype.name
        found = DTYPES.get(kind, kind.lower())
        if found != spec.dtype:
            raise WorkFailedError(
                f"the graph's {what} '{spec.name}' is {found}, the manifest's is {spec.dtype}",
                action=action,
                hint=_AGAIN,
            )


def _build_in_shape(tensor: ITensor, order: Order, name: str, action: str) -> None:
    """Fixes a known dimension, so that the builder can fold what depends on it."""
    declared, known = tuple(tensor.shape), order.limits[name].known
    fits = len(declared) == len(known) and all(
        there in {-1, wanted} for there, wanted in zip(declared, known, strict=True)
    )
    if not fits:
        raise WorkFailedError(
            f"the graph's input '{name}' is {list(declared)}, requested is {list(order.limits[name].usual)}",
            action=action,
            hint=_AGAIN,
        )
    if known != declared:
        tensor.shape = known


def _check_outputs_are_known(outputs: Mapping[str, ITensor], action: str) -> None:
    for name in outputs:
        tensor: ITensor = outputs[name]
        if -1 in tuple(tensor.shape):
            raise WorkFailedError(
                f"the shape of the output '{name}' depends on the data: {list(tensor.shape)}",
                action=action,
                hint="Give the model an output of a fixed shape (pad it), or run it with --engine onnxruntime",
            )


def check_precision(network: INetworkDefinition, precision: Precision, action: str) -> dict[str, int]:
    """Counts the computing layers by type; fails if the requested precision is not among them."""
    counts = {"FLOAT": 0, "HALF": 0, "INT8": 0}
    for number in range(network.num_layers):
        layer: ILayer = network.get_layer(number)
        kind, computed = layer.type.name, layer.get_output_type(0).name
        if kind in HEAVY_LAYERS:
            counts[computed] = counts.get(computed, 0) + 1
        elif kind == "QUANTIZE":
            counts["INT8"] += 1
    heavy = counts["FLOAT"] + counts["HALF"]
    wanted = {"fp32": counts["HALF"] == 0, "fp16": counts["HALF"] > 0 or heavy == 0, "int8-trt": counts["INT8"] > 0}
    if not wanted.get(precision, False):
        found = ", ".join(f"{count} in {kind}" for kind, count in counts.items())
        raise WorkFailedError(
            f"its computing layers are {found}",
            action=action,
            hint="The network does not have the requested precision",
        )
    return counts
