"""A part's graph on plain ONNX Runtime with I/O binding: the lower bound of running it on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mm_edge.onnx_runtime import import_onnxruntime
from mm_edge.runtime.engines.tensors import fixed_shapes, numpy_dtype

from .bare import numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.bundle.bundle import Bundle
    from mm_edge.bundle.manifest import Part, Precision

ort = import_onnxruntime()


WHAT = "the same graph on plain ONNX Runtime"
ERRORS_ONLY = 3


def plain_run(bundle: Bundle, part: Part, precision: Precision) -> Callable[[], None]:
    """With one thread, like the bare parts."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    graph = bundle.read(part.artefacts[precision].file)
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    shapes, binding = fixed_shapes(bundle.manifest, part), session.io_binding()
    for tensor in part.takes:
        shape, dtype = shapes[tensor.name], numpy_dtype(tensor.dtype)
        binding.bind_ortvalue_input(
            tensor.name, ort.OrtValue.ortvalue_from_numpy(numbers(shape, dtype).astype(dtype).reshape(shape))
        )
    for tensor in part.gives:
        value = ort.OrtValue.ortvalue_from_shape_and_type(shapes[tensor.name], numpy_dtype(tensor.dtype))
        binding.bind_ortvalue_output(tensor.name, value)

    def run() -> None:
        session.run_with_iobinding(binding)

    return run
