"""Keeps large weights in files beside a graph, by digest: graphs that share them are small, quick to copy and to infer.

ONNX's own external data: a tensor names its file. Each file is mapped into memory, not read, and a weight that is cast
is cast once. `filled` gives the graph that is written out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import ExternalDataInfo, set_external_data, uses_external_data

from mm_edge.onnx_runtime import import_onnxruntime

if TYPE_CHECKING:
    from mm_edge.export.feeds import Array


WEIGHTS = "weights"  # the folder's name among what an export works on
LARGE_BYTES = 1 << 16  # smaller ones are read by shape inference and the converters
CAST_AT_ONCE = 1 << 20  # numbers; the converter makes a dozen copies of what it is given


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
    """The numbers of a weight, mapped where they lie in a file."""
    if not is_aside(tensor):
        return np.asarray(numpy_helper.to_array(tensor))
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return np.asarray(np.memmap(_file_of(tensor), dtype=kind, mode="r", shape=tuple(tensor.dims)))


def cast(tensor: TensorProto, kind: int) -> None:
    """In place to fp16, with what it cannot hold clamped, or to fp32."""
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
    """A weight in int8, symmetric, with a scale a channel; in a file too where it is large."""
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
    """A copy with all weights in it, as it is written to a file or given to a library that reads weights."""
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
    """Of the graph and its weights, wherever these lie."""
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
    """Names a file that lives as long as one export; quicker than SHA-256 where the CPU has no instruction for that."""
    return hashlib.blake2b(content, digest_size=32).hexdigest()


def _converted(values: Array, kind: int) -> Array:
    import_onnxruntime()
    from onnxruntime.transformers.float16 import convert_np_to_float16

    return np.asarray(convert_np_to_float16(values) if kind == TensorProto.FLOAT16 else values.astype(np.float32))


def _point(tensor: TensorProto, path: Path) -> None:
    tensor.raw_data = b""  # the library asks for the field before it lets it go
    set_external_data(tensor, str(path))
    tensor.ClearField("raw_data")


def _file_of(tensor: TensorProto) -> Path:
    return Path(ExternalDataInfo(tensor).location)
