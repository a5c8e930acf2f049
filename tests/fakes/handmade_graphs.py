"""Small ONNX graphs made by hand: quick to build, and free to be wrong on purpose."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from mm_edge.export.feeds import Feed  # noqa: TC001
from mm_edge.export.graphs.runner import Runner
from mm_edge.export.model import SourceModel
from mm_edge.spec import ClassesOutput, ImageInput, ImagePrepare, InputSync, ModelSpec, Sync, VectorInput, VectorPrepare

IMAGE, VECTOR, WIDTH, CLASSES = (16, 24), 8, 32, 4


class Builder:
    """Adds nodes one after another; every node is called like its output."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes, self.weights = [], []
        self.random = np.random.default_rng(seed)

    def weight(self, name: str, array: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def normal(self, name: str, *shape: int, scale: float = 0.3) -> str:
        return self.weight(name, self.random.normal(0, scale, shape).astype(np.float32))

    def ints(self, name: str, *values: int) -> str:
        return self.weight(name, np.array(values, np.int64))

    def add(self, kind: str, output: str, *inputs: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def model(self, inputs: list, outputs: list) -> ModelProto:
        graph = helper.make_graph(self.nodes, "made", inputs, outputs, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def info(name: str, kind: int, *dims: int | str) -> object:
    return helper.make_tensor_value_info(name, kind, list(dims))


def picture_and_vector(*, batch_from_picture: bool = False, softmax: bool = False) -> ModelProto:
    """Two encoders and a head. `batch_from_picture`: the vector's side reads the picture's batch size."""
    b = Builder()
    b.add("Cast", "floats", "image", to=TensorProto.FLOAT)
    b.add("Transpose", "planes", "floats", perm=[0, 3, 1, 2])
    b.add("Mul", "scaled", "planes", b.weight("scale", np.float32(1 / 255)))
    b.add(
        "Conv",
        "conv1",
        "scaled",
        b.normal("conv1.w", 16, 3, 3, 3),
        b.normal("conv1.b", 16),
        strides=[2, 2],
        pads=[1, 1, 1, 1],
    )
    b.add("Relu", "relu1", "conv1")
    b.add("Conv", "conv2", "relu1", b.normal("conv2.w", WIDTH, 16, 3, 3), b.normal("conv2.b", WIDTH), pads=[1, 1, 1, 1])
    b.add("Relu", "relu2", "conv2")
    b.add("GlobalAveragePool", "pooled", "relu2")
    b.add("Flatten", "picture", "pooled")
    b.add("Gemm", "dense1", "vector", b.normal("dense1.w", VECTOR, WIDTH), b.normal("dense1.b", WIDTH))
    b.add("Relu", "relu3", "dense1")
    numbers = "relu3"
    if batch_from_picture:
        b.add("Shape", "batch_size", "image", start=0, end=1)
        b.add("Concat", "wide_shape", "batch_size", b.ints("width", WIDTH), axis=0)
        b.add("ConstantOfShape", "zeros", "wide_shape", value=helper.make_tensor("z", TensorProto.FLOAT, [1], [0.0]))
        numbers = b.add("Add", "numbers", "relu3", "zeros")
    b.add("Concat", "joined", "picture", numbers, axis=1)
    fused = "joined"
    if softmax:
        fused = b.add("Softmax", "attention", "joined", axis=1)
    b.add("Gemm", "logits", fused, b.normal("head.w", 2 * WIDTH, CLASSES), b.normal("head.b", CLASSES))
    return b.model(
        [info("image", TensorProto.UINT8, "batch", *IMAGE, 3), info("vector", TensorProto.FLOAT, "batch", VECTOR)],
        [info("logits", TensorProto.FLOAT, "batch", CLASSES)],
    )


def spec() -> ModelSpec:
    return ModelSpec(
        name="made",
        inputs=(ImageInput("image", ImagePrepare(IMAGE)), VectorInput("vector", VectorPrepare(VECTOR))),
        outputs=(ClassesOutput("command", {"logits": "logits"}, ("stop", "go", "left", "right")),),
        sync=Sync("image", {"vector": InputSync()}),
    )


def sample(seed: int) -> Feed:
    """A picture with structure and a vector."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (1, IMAGE[0] // 4, IMAGE[1] // 4, 3)).repeat(4, 1).repeat(4, 2)
    return {"image": coarse.astype(np.uint8), "vector": random.normal(0, 1, (1, VECTOR)).astype(np.float32)}


def source_model(
    graph: ModelProto | None = None, reference: ModelProto | None = None, *, samples: bool = True
) -> SourceModel:
    """`graph` is what is exported, `reference` what it is proven against; they differ in the tests of faults."""
    graph = graph or picture_and_vector()
    runner = Runner(reference or graph)
    data = (lambda count: (sample(seed) for seed in range(count))) if samples else None
    return SourceModel(spec(), graph, runner, "made in a test", samples=data)
