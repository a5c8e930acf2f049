"""The manifest of a bundle: its contents, how its parts are connected, and its measured accuracy. Format 1."""

# Annotations are types, not strings: msgspec evaluates them at every start.
import json
import math
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from mm_edge.errors import BundleError
from mm_edge.spec import (
    BATCH,
    PROMPTS,
    Bounds,
    InputSpec,
    Name,
    OutputSpec,
    Shape,
    Strict,
    Sync,
    TensorSpec,
    TextInput,
    TextOutput,
    check_inputs,
)

from .container import MAX_FILE_BYTES

FORMAT = 1
MAX_MANIFEST_BYTES = 16 << 20
MAX_ELEMENTS = 1 << 28  # of one tensor: 1 GiB of float32
MAX_ALL_ELEMENTS = 1 << 30  # of all tensors that are buffered for one moment, with their histories
Precision: TypeAlias = Literal["fp32", "fp16", "int8-cpu", "int8-trt"]
Family: TypeAlias = Literal["cpu", "gpu"]
Digest: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
# A file of the bundle: relative, with forward slashes, no segment that starts with a dot, nothing above the bundle.
FileName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*\Z", max_length=255)
]
ByteCount: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_FILE_BYTES)]


class Read(Strict, frozen=True):
    """The source of one input of a part's graph.

    `source` is one of `input:NAME`, `input:NAME.mask`, `part:NAME.OUTPUT`, `presence` (float32 [batch, inputs]: 1 for
    each present input), `state:OUTPUT` (the part's own output at the previous tick, initially zeros), `loop:token` (the
    token that a decode part returned in its last step). `history` N > 1 gives the last N values, oldest first, along a
    new axis 1.
    """

    source: str
    history: Annotated[int, Meta(ge=1, le=1024)] = 1


class Artefact(Strict, frozen=True):
    """One ONNX file of a part."""

    file: FileName
    sha256: Digest


class Cost(Strict, frozen=True):
    """Measured at export: milliseconds per run on one thread by precision, FLOPs and parameters."""

    ms: dict[str, float] = {}
    flops: int = 0
    parameters: int = 0


class EngineFile(Strict, frozen=True):
    """An engine built ahead of time from one artefact, for one GPU architecture and one version."""

    engine: Literal["tensorrt-rtx"]
    target: Annotated[str, Meta(pattern=r"^sm[0-9]{2,3}\Z")]
    version: str
    precision: Precision
    file: FileName
    sha256: Digest


class Part(Strict, frozen=True):
    """One graph of the model. `reads` maps the graph's input names, `gives` lists its outputs."""

    name: Name
    kind: Literal["encode", "fuse", "decode"]
    reads: dict[str, Read]
    takes: tuple[TensorSpec, ...]
    gives: tuple[TensorSpec, ...]
    artefacts: dict[Precision, Artefact]
    engines: tuple[EngineFile, ...] = ()
    cost: Cost = Cost()
    note: str = ""


class Golden(Strict, frozen=True):
    """Inputs and fp32 reference outputs of every part and of the chain, to verify an engine. States are zeros.

    The file is safetensors. Keys: `SAMPLE/input:NAME`, `SAMPLE/presence`, `SAMPLE/part:NAME.OUTPUT`, SAMPLE = 0, 1, …
    """

    file: FileName
    samples: Annotated[int, Meta(ge=1, le=1024)]


class ParityRow(Strict, frozen=True):
    """The error of one tensor in one precision. `scope`: `part:NAME` for one part, or `chain` for the whole model."""

    scope: str
    precision: str
    tensor: str
    samples: int
    max_error: float
    mean_error: float
    cosine: float  # worst sample
    relative_error: float = 0.0  # norm of the difference over norm of the reference, worst sample; used by the gate
    agreement: float | None = None  # share of samples with the same decoded output
    accuracy: float | None = None  # with labelled data
    passed: bool = True
    data: Literal["calibration", "unseen", "random"] = "unseen"


class Calibration(Strict, frozen=True):
    """The calibration data of int8."""

    digest: Digest
    samples: int
    source: str
    method: str


class FileDigest(Strict, frozen=True):
    """One file of the bundle."""

    sha256: Digest
    size: ByteCount


class Manifest(Strict, frozen=True):
    """The manifest of a bundle. `version` increases with every release of the same model."""

    format: Literal[1]
    name: Name
    version: Annotated[int, Meta(ge=1)]
    inputs: tuple[InputSpec, ...]
    parts: tuple[Part, ...]
    outputs: tuple[OutputSpec, ...]
    sync: Sync
    golden: Golden | None
    parity: tuple[ParityRow, ...]
    calibration: Calibration | None
    digests: dict[FileName, FileDigest]
    dims: dict[Name, Bounds] = {}
    preferred: dict[Family, dict[Name, Precision]] = {}  # what `--precision auto` selects, by part
    description: str = ""
    card: dict[str, str] = {}
    made: dict[str, str] = {}  # date, mm-edge version, source, commit and seeds

    def __post_init__(self) -> None:
        check_inputs(self.inputs, self.outputs, self.sync)
        _check_parts(self)
        _check_preferred(self)
        _check_shapes(self)
        _check_files(self)

    @property
    def tokenizers(self) -> set[str]:
        """Their files."""
        files = {spec.prepare.tokenizer for spec in self.inputs if isinstance(spec, TextInput)}
        return files | {output.tokenizer for output in self.outputs if isinstance(output, TextOutput)}

    def input(self, name: str) -> InputSpec:
        return next(spec for spec in self.inputs if spec.name == name)

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    def fixed(self, shape: Shape) -> tuple[int, ...]:
        """The shape in the live loop: every named dimension at its usual size."""
        return tuple(dim if isinstance(dim, int) else self.usual(dim) for dim in shape)

    def usual(self, dim: str) -> int:
        return self.dims[dim].usual if dim in self.dims else 1


def _check_parts(manifest: Manifest) -> None:
    inputs = {spec.name: spec for spec in manifest.inputs}
    given: set[str] = set()
    names: set[str] = set()
    if not manifest.parts:
        raise ValueError("a bundle needs at least one part")
    for part in manifest.parts:
        if part.name in names:
            raise ValueError(f"duplicate part name: {part.name}")
        names.add(part.name)
        if sorted(part.reads) != sorted(tensor.name for tensor in part.takes):
            raise ValueError(f"part '{part.name}': reads and takes list different graph inputs")
        if not part.artefacts:
            raise ValueError(f"part '{part.name}' has no artefact")
        own = {tensor.name for tensor in part.gives}
        for read in part.reads.values():
            _check_reference(part, read.source, inputs, given, own)
            if read.history > 1 and read.source.partition(":")[0] not in {"input", "part"}:
                raise ValueError(f"part '{part.name}' reads '{read.source}' with a history, which only data has")
        given |= {f"part:{part.name}.{name}" for name in own}
    _check_outputs(manifest, given, names)


def _check_outputs(manifest: Manifest, given: set[str], names: set[str]) -> None:
    for output in manifest.outputs:
        for role, source in output.reads.items():
            if source not in given:
                raise ValueError(f"output '{output.name}' reads {role} from '{source}', which no part outputs")
        if isinstance(output, TextOutput) and output.part not in names:
            raise ValueError(f"output '{output.name}' runs the part '{output.part}', which does not exist")


def _check_preferred(manifest: Manifest) -> None:
    artefacts = {part.name: part.artefacts for part in manifest.parts}
    for wanted in manifest.preferred.values():
        for name, precision in wanted.items():
            if precision not in artefacts.get(name, {}):
                raise ValueError(f"preferred lists part '{name}' in {precision}, which does not exist")


def _check_shapes(manifest: Manifest) -> None:
    for name, bounds in manifest.dims.items():
        if not bounds.least <= bounds.usual <= bounds.most:
            raise ValueError(f"the bounds of the dimension '{name}' are not in order: {bounds}")
    for spec in manifest.inputs:
        _check_shape(manifest, spec.shape, f"input '{spec.name}'")
    total = 0
    for part in manifest.parts:
        for tensor in (*part.takes, *part.gives):
            elements = _check_shape(manifest, tensor.shape, f"part '{part.name}', tensor '{tensor.name}'")
            total += elements * part.reads[tensor.name].history if tensor.name in part.reads else elements
    if total > MAX_ALL_ELEMENTS:
        raise ValueError(f"the tensors of all parts have {total} elements, the limit is {MAX_ALL_ELEMENTS}")


def _check_shape(manifest: Manifest, shape: Shape, where: str) -> int:
    """Checks that named dimensions have bounds and that the tensor size is limited. Returns its elements."""
    elements = 1
    for dim in shape:
        if isinstance(dim, str) and dim not in manifest.dims and dim not in {BATCH, PROMPTS}:
            raise ValueError(f"{where}: the dimension '{dim}' has no bounds in dims")
        elements *= dim if isinstance(dim, int) else manifest.dims[dim].most if dim in manifest.dims else 1
    if elements > MAX_ELEMENTS:
        raise ValueError(f"{where}: {elements} elements are declared, the limit is {MAX_ELEMENTS}")
    return elements


def _check_reference(part: Part, source: str, inputs: dict[str, InputSpec], given: set[str], own: set[str]) -> None:
    """A part may read only inputs, earlier parts, its own state and the presence."""
    kind, _, name = source.partition(":")
    if source == "presence" or (source == "loop:token" and part.kind == "decode"):
        return
    if kind == "input":
        base, _, field = name.partition(".")
        spec = inputs.get(base)
        if spec is not None and (not field or (field == "mask" and isinstance(spec, TextInput) and spec.prepare.mask)):
            return
    elif (kind == "part" and source in given) or (kind == "state" and name in own):
        return
    raise ValueError(f"part '{part.name}' reads '{source}', which is not available before it runs")


def _check_files(manifest: Manifest) -> None:
    made: list[Artefact | EngineFile] = []
    for part in manifest.parts:
        made += [*part.artefacts.values()]
        made += part.engines
    wanted = {item.file: item.sha256 for item in made}
    files = [*wanted, *sorted(manifest.tokenizers)]
    files += [manifest.golden.file] if manifest.golden else []
    for file in files:
        if file not in manifest.digests:
            raise ValueError(f"the file '{file}' is referenced but has no digest")
        if file in wanted and manifest.digests[file].sha256 != wanted[file]:
            raise ValueError(f"the file '{file}' has two different digests")
    folded = [file.casefold() for file in manifest.digests]
    if len(set(folded)) != len(folded):
        raise ValueError("two file names differ only in case")
    prefixes = {file.rsplit("/", depth)[0] for file in manifest.digests for depth in range(1, file.count("/") + 1)}
    if clash := prefixes & set(manifest.digests):
        raise ValueError(f"'{min(clash)}' is both a file and a folder")


def encode_manifest(manifest: Manifest) -> bytes:
    """The signed bytes: deterministic and human-readable."""
    plain = msgspec.to_builtins(manifest)
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def decode_manifest(
    raw: bytes, action: str = "reading the bundle's manifest.json", hint: str = "Export the bundle again"
) -> Manifest:
    """Reads a manifest; raises only BundleError."""
    if len(raw) > MAX_MANIFEST_BYTES:
        raise BundleError(f"it has {len(raw)} bytes, the limit is {MAX_MANIFEST_BYTES}", action=action)
    try:
        version = msgspec.json.decode(raw, type=_FormatOnly).format
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"not a valid manifest: {error}", action=action, hint=hint) from None
    if version != FORMAT:
        raise BundleError(
            f"found format {version}, this version of mm-edge supports format {FORMAT}",
            action=action,
            hint="Update mm-edge, or export the bundle again",
        )
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(str(error), action=action, hint=hint) from None
    if not all(map(math.isfinite, _numbers(msgspec.to_builtins(manifest)))):
        raise BundleError("it contains a number that is not finite", action=action, hint=hint)
    return manifest


class _FormatOnly(msgspec.Struct):
    format: int


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, float) else []
