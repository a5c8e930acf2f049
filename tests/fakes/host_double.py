"""A compiler for the test driver: its "device memory" is host memory, so ONNX Runtime computes on it, from a stream."""

import ctypes

import numpy as np
import onnxruntime as ort

from mm_edge.runtime.engines.cuda.engine import CudaEngine

HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class HostContext:
    """Computes in the stream's thread, when the stream comes to it: in a graph, whenever that is launched, and on the
    addresses that were bound when it was captured.
    """

    def __init__(self, part):
        self._part = part
        self._driver = ctypes.CDLL("libcuda.so.1")
        self._function, self._kept = None, []

    def bind(self, shapes, addresses):
        part, binding = self._part.part, self._part.session.io_binding()
        for tensor in part.takes:
            binding.bind_ortvalue_input(tensor.name, self._at(tensor, shapes, addresses))
        for tensor in part.gives:
            binding.bind_ortvalue_output(tensor.name, self._at(tensor, shapes, addresses))
        self._function = HOST_FUNCTION(lambda _data: self._compute(binding))
        self._kept.append(self._function)  # graphs hold its address

    def _at(self, tensor, shapes, addresses):
        dtype = np.dtype(tensor.dtype)
        size = int(np.prod(shapes[tensor.name])) * dtype.itemsize
        memory = (ctypes.c_char * size).from_address(addresses[tensor.name])
        array = np.frombuffer(memory, dtype).reshape(shapes[tensor.name])
        value = ort.OrtValue.ortvalue_from_numpy(array)
        self._kept.append((memory, array, value))
        return value

    def enqueue(self, stream):
        code = self._driver.cuLaunchHostFunc(ctypes.c_void_p(stream), self._function, None)
        assert code == 0, code

    def _compute(self, binding):
        self._part.computed += 1
        self._part.session.run_with_iobinding(binding)


class HostPart:
    """A part as a session on the CPU."""

    stream = None
    host_work_once = False
    runs_until_steady = 1

    def __init__(self, part, precision, graph):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.part, self.label, self.computed = part, f"'{part.name}' in {precision}", 0
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def context(self):
        return HostContext(self)


class HostCompiler:
    """Keeps what it compiled, by part."""

    def __init__(self):
        self.parts = {}

    def compile(self, part, precision, graph, shapes):
        self.parts[part.name] = made = HostPart(part, precision, graph)
        return made

    def describe(self):
        return {"library": "ONNX Runtime on the test driver's memory"}


def host_double(device, *, use_graphs=True):
    """The engine that computes on the test driver."""
    return CudaEngine("double", device, HostCompiler(), use_graphs=use_graphs)
