"""A small bundle that is whole: three inputs, four parts, graphs that add up what they take."""

import hashlib

from onnx import TensorProto, helper

from mm_edge.bundle.bundle import digest
from mm_edge.bundle.manifest import Artefact, Golden, Manifest, ParityRow, Part, Read
from mm_edge.spec import (
    AudioInput,
    AudioPrepare,
    ClassesOutput,
    ImageInput,
    ImagePrepare,
    InputSync,
    Sync,
    TensorSpec,
    TextInput,
    TextPrepare,
)

SHAPE = ("batch", 8)


def graph(*names: str, note: str = "") -> bytes:
    """An ONNX file that takes those tensors and gives `embedding`, their sum; the note makes its bytes differ."""
    takes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in names]
    gives = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, SHAPE)]
    made = helper.make_graph([helper.make_node("Sum", names, ["embedding"])], "sum", takes, gives, doc_string=note)
    opset = helper.make_opsetid("", 20)
    return bytes(helper.make_model(made, opset_imports=[opset], ir_version=10).SerializeToString())


FILES = {
    **{f"parts/encode_{name}/fp32.onnx": graph(name, note="x" * 2000) for name in ("image", "audio", "text")},
    "parts/fuse/fp32.onnx": graph("image", "audio", "text", note="x" * 2000),
    "parts/fuse/int8-cpu.onnx": graph("image", "audio", "text"),
    "tokenizer.json": b"{}",
    "golden.safetensors": bytes(range(256)) * 8,
}


def make_manifest(files=FILES, **changes) -> Manifest:
    def part(name, kind, reads, precisions=("fp32",)):
        artefacts = {}
        for precision in precisions:
            file = f"parts/{name}/{precision}.onnx"
            artefacts[precision] = Artefact(file=file, sha256=hashlib.sha256(files[file]).hexdigest())
        takes = tuple(TensorSpec(name=tensor, dtype="float32", shape=SHAPE) for tensor in reads)
        return Part(
            name=name,
            kind=kind,
            reads={tensor: Read(source=source) for tensor, source in reads.items()},
            takes=takes,
            gives=(TensorSpec(name="embedding", dtype="float32", shape=SHAPE),),
            artefacts=artefacts,
        )

    encoded = {name: f"part:encode_{name}.embedding" for name in ("image", "audio", "text")}
    given = {
        "format": 1,
        "name": "small",
        "version": 3,
        "inputs": (
            ImageInput(name="image", prepare=ImagePrepare(size=(32, 48))),
            AudioInput(name="audio", prepare=AudioPrepare(sample_rate=16_000, window=16_000, hop=1_600)),
            TextInput(name="text", prepare=TextPrepare(tokenizer="tokenizer.json", length=16)),
        ),
        "parts": (
            *(part(f"encode_{name}", "encode", {name: f"input:{name}"}) for name in encoded),
            part("fuse", "fuse", encoded, ("fp32", "int8-cpu")),
        ),
        "outputs": (ClassesOutput(name="command", reads={"logits": "part:fuse.embedding"}, labels=("stop", "go")),),
        "sync": Sync(driver="image", inputs={"audio": InputSync(max_age_ms=200.0, missing="mask")}),
        "golden": Golden(file="golden.safetensors", samples=4),
        "parity": (
            ParityRow(
                scope="chain",
                precision="int8-cpu",
                tensor="command",
                samples=4,
                max_error=0.01,
                mean_error=0.001,
                cosine=0.9999,
                agreement=1.0,
            ),
        ),
        "calibration": None,
        "digests": {name: digest(content) for name, content in files.items()},
    }
    return Manifest(**{**given, **changes})
