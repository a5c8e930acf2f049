"""Quantizes to int8 with ONNX Runtime: one calibration, and different graphs for TensorRT and for the CPU.

A search tries many sets of nodes that stay fp32. It restores these nodes in a quantized graph, which is faster than
quantizing again.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto

from mm_edge.errors import InputError
from mm_edge.export.graphs.folded_front_end import LARGEST_PIXEL
from mm_edge.export.graphs.fp16 import fp32_by_nature, to_fp16
from mm_edge.export.graphs.graph import GraphIndex, drop_unused, name_nodes, sort_nodes, typed
from mm_edge.export.graphs.runner import ALL_CORES, Runner
from mm_edge.export.graphs.weights import put_back, show_extremes
from mm_edge.onnx_runtime import import_onnxruntime

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from mm_edge.export.feeds import Feed
    from mm_edge.export.package.verified_model import Int8Form
    from mm_edge.export.recipe import Method


HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Operators that ONNX Runtime can run on integers between two heavy nodes, without conversion to float and back.
BETWEEN = (
    "Relu",
    "Clip",
    "MaxPool",
    "GlobalAveragePool",
    "AveragePool",
    "Add",
    "Concat",
    "Reshape",
    "Transpose",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
)
CALIBRATED = (*HEAVY, *BETWEEN)
SAMPLES_AT_ONCE = 4  # the calibrator keeps all intermediate values of this many samples in memory
LEAST_RANGE = 1e-6
ONE_AT_A_TIME = threading.Lock()


class Feeds:
    """The library's data reader: one feed at a time."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


@contextmanager
def quiet() -> Iterator[None]:
    """The library advises on the root logger (to optimize the graph first, which was done) and prints its progress.

    Both settings are global, so only one thread at a time may change them.
    """
    root = logging.getLogger()
    with ONE_AT_A_TIME:
        level = root.level
        root.setLevel(logging.ERROR)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        finally:
            root.setLevel(level)


def calibrate(base: ModelProto, feeds: Sequence[Feed], method: Method, kinds: Sequence[str] = CALIBRATED) -> Any:
    """The range of every input and output of these operators (the library's TensorsData)."""
    import_onnxruntime()
    from onnxruntime.quantization.calibrate import EntropyCalibrater, MinMaxCalibrater, PercentileCalibrater

    calibrators = {"minmax": MinMaxCalibrater, "percentile": PercentileCalibrater, "entropy": EntropyCalibrater}
    with tempfile.TemporaryDirectory(prefix="mm-edge-calibrate-") as folder, quiet():
        # The library would read the graph with all weights from a file four times. It gets a graph without nodes
        # first, then the real one with a session that uses the mapped weights.
        path = Path(folder) / "empty.onnx"
        onnx.save(_without_nodes(base), str(path))
        augmented = str(Path(folder) / "augmented.onnx")
        calibrator = calibrators[method](path, [*kinds], augmented, symmetric=False)
        calibrator.model = ModelProto()
        calibrator.model.CopyFrom(base)
        calibrator.augment_graph()
        calibrator.infer_session = Runner(calibrator.model, threads=ALL_CORES).session
        for start in range(0, len(feeds), SAMPLES_AT_ONCE):
            calibrator.collect_data(Feeds(feeds[start : start + SAMPLES_AT_ONCE]))
        ranges = calibrator.compute_data()
    if not ranges.data:
        raise InputError("no value has a range", action="calibrating")
    return ranges


def with_pixels(ranges: Any, pixels: Mapping[str, int]) -> Any:
    """The ranges, with those of pixels minus a number: in uint8, scale 1 with that number as the zero point."""
    import_onnxruntime()
    from onnxruntime.quantization.calibrate import TensorData

    known = copy.copy(ranges)
    known.data = ranges.data | {
        name: TensorData(lowest=np.float32(-middle), highest=np.float32(LARGEST_PIXEL - middle))
        for name, middle in pixels.items()
    }
    return known


def _without_nodes(model: ModelProto) -> ModelProto:
    graph = onnx.helper.make_graph([], model.graph.name, model.graph.input, model.graph.output)
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def quantizable(base: ModelProto) -> list[str]:
    """The nodes to quantize, in order: heavy ones with a weight. Products of two activations (attention) stay float."""
    index = GraphIndex(base.graph)
    floats = {name for name, tensor in index.initializers.items() if tensor.data_type == TensorProto.FLOAT}
    return [
        node.name
        for node in base.graph.node
        if node.op_type in HEAVY
        and any(name in floats and len(index.initializers[name].dims) > 1 for name in node.input)
    ]


def after_softmax(base: ModelProto) -> set[str]:
    """Nodes that read a Softmax, directly or moved: one scale rounds small probabilities to zero."""
    moving = {"Cast", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Dropout", "Identity", "Split", "Slice", "Concat"}
    values: set[str] = set()
    found: set[str] = set()
    for node in base.graph.node:
        if node.op_type in {"Softmax", "LogSoftmax"}:
            values.update(node.output)
            found.add(node.name)
        elif any(name in values for name in node.input):
            found.add(node.name)
            if node.op_type in moving:
                values.update(node.output)
    return found


# `heavy` quantizes inputs and outputs of heavy nodes, `integers` also the operators between them, and `products` leaves
# the outputs of matrix products in float, for norms and sums. Which one is fastest depends on the model.
FORMS: tuple[Int8Form, ...] = ("products", "integers", "heavy")


def to_int8_cpu(base: ModelProto, ranges: Any, keep: Collection[str] = (), *, form: Int8Form) -> ModelProto:
    """Unsigned asymmetric activations, signed weights per channel: ONNX Runtime fuses these to VNNI kernels."""
    kinds = [*HEAVY, *(BETWEEN if form == "integers" else ())]
    options = {"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]} if form == "products" else {}
    return _quantize(base, ranges, keep, kinds, activations_signed=False, options=options)


def to_int8_trt(base: ModelProto, ranges: Any, keep: Collection[str] = ()) -> ModelProto:
    """Signed symmetric Q/DQ before heavy nodes; everything else is fp16."""
    return fp16_between(to_int8_trt_in_fp32(base, ranges, keep), keep)


def fp16_between(quantized: ModelProto, keep: Collection[str] = ()) -> ModelProto:
    """Converts everything that is not int8 to fp16, except for the nodes `keep`."""
    name_nodes(quantized)
    return to_fp16(typed(quantized), keep)


def to_int8_trt_in_fp32(base: ModelProto, ranges: Any, keep: Collection[str] = ()) -> ModelProto:
    """The same, with fp32 between the heavy nodes."""
    return _quantize(
        base,
        ranges,
        set(keep) | fp32_by_nature(base),
        list(HEAVY),
        activations_signed=True,
        options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "QDQDisableWeightAdjustForInt32Bias": True,
            "OpTypesToExcludeOutputQuantization": list(HEAVY),
        },
    )


def rounded_outputs(form: Int8Form | None) -> tuple[str, ...]:
    """The operators whose outputs are quantized too, by form; None is int8 for TensorRT."""
    if form is None:
        return ()
    return ("Conv", "ConvTranspose") if form == "products" else HEAVY


def _quantize(
    base: ModelProto,
    ranges: Any,
    keep: Collection[str],
    kinds: list[str],
    *,
    activations_signed: bool,
    options: dict[str, Any],
) -> ModelProto:
    import_onnxruntime()
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import add_infer_metadata

    copy = ModelProto()
    copy.CopyFrom(base)
    weights = show_extremes(copy, set(kinds))
    add_infer_metadata(copy)  # without it the library would write the graph to a file to infer the types again
    heavy = set(quantizable(base))
    excluded = (
        set(keep)
        | after_softmax(base)
        | {node.name for node in base.graph.node if node.op_type in HEAVY and node.name not in heavy}
    )
    excluded |= _without_range(base, ranges, kinds)
    with quiet():
        quantizer = QDQQuantizer(
            copy,
            True,  # per channel
            False,  # the full range: reduced only where a CPU has no VNNI, see docs/exporting.md
            QuantType.QInt8,
            QuantType.QInt8 if activations_signed else QuantType.QUInt8,
            ranges,
            [],
            sorted(excluded),
            kinds,
            {"MinimumRealRange": LEAST_RANGE, **options},
        )
        quantizer.quantize_model()
    quantized: ModelProto = quantizer.model.model
    put_back(quantized, weights, LEAST_RANGE)
    _float_outputs(quantized)
    sort_nodes(quantized)
    drop_unused(quantized)
    return quantized


def _float_outputs(model: ModelProto) -> None:
    """Returns the outputs of the graph unrounded, except for those of convolutions, which would then run in fp32.

    Nodes inside the graph still read the rounded value.
    """
    index = GraphIndex(model.graph)
    for name in rounded_outside(model):
        maker = model.graph.node[index.producer[before_rounding(model, name)]]
        while maker.op_type in {"Relu", "Clip"} and maker.input[0] in index.producer:
            maker = model.graph.node[index.producer[maker.input[0]]]
        if maker.op_type not in {"Conv", "ConvTranspose"}:
            give_out_unrounded(model, name)
            index = GraphIndex(model.graph)


def _without_range(base: ModelProto, ranges: Any, kinds: Collection[str]) -> set[str]:
    """Nodes with values that are not floats (indices, shapes), which have no range."""
    index = GraphIndex(base.graph)
    known = set(ranges.data) | set(index.initializers)
    return {
        node.name
        for node in base.graph.node
        if node.op_type in kinds and any(name and name not in known for name in (*node.input[:2], *node.output))
    }


Q, DQ = "QuantizeLinear", "DequantizeLinear"


def restored(
    quantized: ModelProto,
    base: ModelProto,
    kept: Collection[str],
    active: Collection[str],
    rounded_outputs: Collection[str],
) -> ModelProto:
    """`quantized` as if the nodes `kept` of `base` had not been quantized.

    `active`: the nodes that are quantized in it. `rounded_outputs`: the operators whose outputs are quantized too.
    A value stays rounded for all its readers while one of them is still quantized. A bias stays in int32, which is
    exact.
    """
    graph = ModelProto()
    graph.CopyFrom(quantized)
    weights = {tensor.name: tensor for tensor in base.graph.initializer}
    still = set(active) - set(kept)
    wanted = {
        name
        for node in base.graph.node
        if node.name in still
        for name in (*node.input, *(node.output if node.op_type in rounded_outputs else ()))
    }
    for name in rounded_outside(graph):
        if name not in wanted:
            give_out_unrounded(graph, name)
    known = {name for node in base.graph.node for name in (*node.input, *node.output)} | set(weights)
    index = GraphIndex(graph.graph)
    plain = {}
    for node in index.graph.node:
        if node.op_type != DQ or node.output[0] in known:
            continue
        source = _float_name(node.input[0], index, known)
        if source is not None and source not in wanted:
            plain[node.output[0]] = source
    there = set(index.initializers)
    graph.graph.initializer.extend(
        weights[name] for name in set(plain.values()) if name in weights and name not in there
    )
    for node in graph.graph.node:
        node.input[:] = [plain.get(name, name) for name in node.input]
    drop_unused(graph)
    return graph


def rounded_outside(model: ModelProto) -> list[str]:
    """The outputs of the graph that are rounded last; the quantizer has renamed the unrounded values."""
    index = GraphIndex(model.graph)
    found = []
    for name in index.outputs:
        last = index.graph.node[index.producer[name]] if name in index.producer else None
        if last is not None and last.op_type == DQ and last.input[0] in index.producer:
            rounding = index.graph.node[index.producer[last.input[0]]]
            if rounding.op_type == Q and rounding.input[0] in index.producer:
                found.append(name)
    return found


def before_rounding(model: ModelProto, name: str) -> str:
    """The unrounded value of an output in `rounded_outside`."""
    index = GraphIndex(model.graph)
    rounding = index.producer[index.graph.node[index.producer[name]].input[0]]
    plain: str = index.graph.node[rounding].input[0]
    return plain


def give_out_unrounded(model: ModelProto, name: str) -> None:
    """Makes the output the unrounded value; nodes that read the rounded one still do, under another name."""
    plain, rounded = before_rounding(model, name), f"{name}:rounded"
    new = {plain: name, name: rounded}
    for node in model.graph.node:
        node.input[:] = [new.get(value, value) for value in node.input]
        node.output[:] = [new.get(value, value) for value in node.output]


def _float_name(rounded: str, index: GraphIndex, known: set[str]) -> str | None:
    """The name in the float graph of a rounded value; None if the quantizer did not keep it."""
    if rounded in index.producer:
        node = index.graph.node[index.producer[rounded]]
        return node.input[0] if node.op_type == Q and node.input[0] in known else None
    return rounded.removesuffix("_quantized") if rounded.removesuffix("_quantized") in known else None
