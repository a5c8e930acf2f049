"""Keeps large weights in files beside a graph, named by digest: graphs that share them are small and quick to copy.

This is ONNX's own external data: a tensor names its file. The files are mapped into memory, not read, and each weight
is cast or quantized only once. `filled` returns the complete graph, as it is written to a file.

ONNX Runtime's quantizer would copy each weight several times, channel by channel. It gets only the smallest and largest
value of each channel, which determine the scales; the bytes of the result are the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import ExternalDataInfo, set_external_data, uses_external_data

from mm_edge.onnx_runtime import import_onnxruntime

from .graph import GraphIndex

if TYPE_CHECKING:
    from mm_edge.export.feeds import Array


WEIGHTS = "weights"  # the folder's name among what an export works on
LARGE_BYTES = 1 << 16  # smaller weights stay in the graph: shape inference and the converters read them
CAST_AT_ONCE = 1 << 20  # values; the converter makes a dozen copies of its argument
ROUNDED = "_quantized"  # the library's suffix for a quantized weight
LARGEST = 127


def put_aside(model: ModelProto, folder: Path) -> ModelProto:
    """Moves the large weights, in place, into files of `folder`, which must stay as long as the graph is used."""
    folder.mkdir(parents=True, exist_ok=True)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < LARGE_BYTES:
            continue
        path = folder / _digest(tensor.raw_data)
        if not path.exists():
            path.write_bytes(tensor.raw_data)
        _point(tensor, path)
    return model


def is_aside(tensor: TensorProto) -> bool:
    return bool(uses_external_data(tensor))


def array_of(tensor: TensorProto) -> Array:
    """The values of a weight; those in a file are mapped, not read."""
    if not is_aside(tensor):
        return np.asarray(numpy_helper.to_array(tensor))
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return np.asarray(np.memmap(_file_of(tensor), dtype=kind, mode="r", shape=tuple(tensor.dims)))


def constant(index: GraphIndex, name: str) -> Array | None:
    """The values of a weight or of a Constant node; None for what is computed."""
    if name in index.initializers:
        return array_of(index.initializers[name])
    node = index.graph.node[index.producer[name]] if name in index.producer else None
    if node is None or node.op_type != "Constant":
        return None
    return next((np.asarray(numpy_helper.to_array(item.t)) for item in node.attribute if item.name == "value"), None)


def cast(tensor: TensorProto, kind: int) -> None:
    """Casts in place to fp16, clamping values outside its range, or to fp32."""
    if not is_aside(tensor):
        tensor.CopyFrom(numpy_helper.from_array(_converted(array_of(tensor), kind), tensor.name))
        return
    source = _file_of(tensor)
    path = source.with_name(f"{source.name}.{TensorProto.DataType.Name(kind).lower()}")
    if not path.exists():
        values = array_of(tensor).reshape(-1)
        with path.open("wb") as file:
            for start in range(0, values.size, CAST_AT_ONCE):
                file.write(_converted(values[start : start + CAST_AT_ONCE], kind).tobytes())
    tensor.data_type = kind
    _point(tensor, path)


def rounded(tensor: TensorProto, scale: Array, axis: int, name: str) -> TensorProto:
    """The weight in int8, symmetric, with one scale for each channel; in a file if it is large."""
    result = TensorProto(name=name, data_type=TensorProto.INT8, dims=tensor.dims)
    values = array_of(tensor)
    if values.size < LARGE_BYTES:
        result.raw_data = _to_int8(values, scale, axis).tobytes()
        return result
    source = _file_of(tensor)
    path = source.with_name(f"{source.name}.int8.{axis}.{_digest(scale.tobytes())}")
    if not path.exists():
        path.write_bytes(_to_int8(values, scale, axis).tobytes())
    _point(result, path)
    return result


def filled(model: ModelProto) -> ModelProto:
    """A copy that contains all weights, for writing and for libraries that read them."""
    whole = ModelProto()
    whole.CopyFrom(model)
    for tensor in whole.graph.initializer:
        if is_aside(tensor):
            fill(tensor)
    return whole


def fill(tensor: TensorProto) -> None:
    """Reads a weight, in place, from its file into the graph."""
    content = _file_of(tensor).read_bytes()
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    tensor.raw_data = content


def digest_of_model(model: ModelProto) -> str:
    """SHA-256 of the graph and its weights, independent of where the files are."""
    named = ModelProto()
    named.CopyFrom(model)
    for tensor in named.graph.initializer:
        if is_aside(tensor):
            _point(tensor, Path(_file_of(tensor).name))
    return hashlib.sha256(named.SerializeToString(deterministic=True)).hexdigest()


def _to_int8(values: Array, scale: Array, axis: int) -> Array:
    shape = [-1 if place == axis else 1 for place in range(values.ndim)]
    numbers = np.rint(values / scale.reshape(shape))
    return np.asarray(np.clip(numbers, -128, 127, out=numbers).astype(np.int8))


def _digest(content: bytes) -> str:
    """Names a file that lives as long as one export; faster than SHA-256 on CPUs without an instruction for it."""
    return hashlib.blake2b(content, digest_size=32).hexdigest()


def _converted(values: Array, kind: int) -> Array:
    import_onnxruntime()
    from onnxruntime.transformers.float16 import convert_np_to_float16

    return np.asarray(convert_np_to_float16(values) if kind == TensorProto.FLOAT16 else values.astype(np.float32))


def _point(tensor: TensorProto, path: Path) -> None:
    tensor.raw_data = b""  # set_external_data requires the field
    set_external_data(tensor, str(path))
    tensor.ClearField("raw_data")


def _file_of(tensor: TensorProto) -> Path:
    return Path(ExternalDataInfo(tensor).location)


def save(model: ModelProto, path: Path) -> str:
    """Writes the graph with its weights as one file and returns its SHA-256."""
    content = filled(model).SerializeToString(deterministic=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def load(path: Path) -> ModelProto:
    return onnx.load(str(path))


def show_extremes(model: ModelProto, kinds: set[str]) -> dict[str, TensorProto]:
    """Replaces large weights by their extremes and returns the weights by name. `kinds`: the operators to quantize.

    Weights of other operators stay in their files; one without a single channel axis is read into the graph.
    """
    index = GraphIndex(model.graph)
    aside: dict[str, TensorProto] = {}
    for tensor in model.graph.initializer:
        readers = [model.graph.node[number] for number in index.consumers[tensor.name]]
        if not is_aside(tensor) or tensor.data_type != TensorProto.FLOAT or not kinds & {n.op_type for n in readers}:
            continue
        axes = {_channel_axis(node, tensor) for node in readers}
        axis = axes.pop() if len(axes) == 1 else None
        if axis is None:
            fill(tensor)
            continue
        aside[tensor.name] = TensorProto()
        aside[tensor.name].CopyFrom(tensor)
        low, high = _extremes(tensor, axis)
        if {node.op_type for node in readers} == {"MatMul"}:  # put_back computes the scales of all channels
            low, high = low.min(keepdims=True), high.max(keepdims=True)
        tensor.CopyFrom(numpy_helper.from_array(np.concatenate([low, high], axis=1 if axis == 0 else 0), tensor.name))
    return aside


def put_back(model: ModelProto, aside: dict[str, TensorProto], least_range: float) -> None:
    """Puts the weights back: as floats, or quantized with the scales that the quantizer chose."""
    index = GraphIndex(model.graph)
    for name, weight in aside.items():
        if name in index.initializers:
            index.initializers[name].CopyFrom(weight)
        if name + ROUNDED not in index.initializers:
            continue
        reader = model.graph.node[index.consumers[name + ROUNDED][0]]
        axis = next(helper.get_attribute_value(item) for item in reader.attribute if item.name == "axis")
        scales, zeros = (index.initializers[value] for value in reader.input[1:])
        if list(scales.dims) != [weight.dims[axis]]:
            size, found = [weight.dims[axis]], _scales(*_extremes(weight, axis), least_range)
            scales.CopyFrom(helper.make_tensor(scales.name, TensorProto.FLOAT, size, found.tolist()))
            zeros.CopyFrom(helper.make_tensor(zeros.name, TensorProto.INT8, size, [0] * len(found)))
        rounding = rounded(weight, numpy_helper.to_array(scales), axis, name + ROUNDED)
        index.initializers[name + ROUNDED].CopyFrom(rounding)


def _scales(low: Array, high: Array, least_range: float) -> Array:
    """The quantizer's formula: symmetric, at least `least_range`, and 1 for a channel of zeros."""
    low = np.minimum(low.reshape(-1), np.float32(0))
    high = np.maximum(np.maximum(high.reshape(-1), np.float32(0)), low + np.float32(least_range))
    largest = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
    scales = 2 * largest / (2 * LARGEST)
    return np.asarray(np.where(scales < np.finfo(np.float32).tiny, 1.0, scales).astype(np.float32))


def _channel_axis(node: NodeProto, tensor: TensorProto) -> int | None:
    """The axis along which the quantizer uses one scale for each index; None if it is not certain."""
    if list(node.input).index(tensor.name) != 1:
        return None
    if node.op_type == "Conv":
        return 0
    if node.op_type == "MatMul" and len(tensor.dims) == 2:
        return 1
    if node.op_type == "Gemm":
        transposed = any(item.name == "transB" and item.i for item in node.attribute)
        return 0 if transposed else 1
    return None


def _extremes(tensor: TensorProto, axis: int) -> tuple[Array, Array]:
    """The smallest and largest value of each channel, in arrays of the weight's rank."""
    values = array_of(tensor)
    others = tuple(place for place in range(values.ndim) if place != axis)
    return np.asarray(values.min(axis=others, keepdims=True)), np.asarray(values.max(axis=others, keepdims=True))
