"""The specification of a fusion model: its inputs, its outputs, and how its inputs are synchronized."""

# Annotations are types, not strings: msgspec evaluates them at every start.
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}\Z")]
DType: TypeAlias = Literal["uint8", "int8", "int32", "int64", "float16", "float32", "bool"]
# A number is fixed; a name is a dimension that may vary within its bounds in `dims`.
Dimension: TypeAlias = Annotated[int, Meta(ge=1, le=1 << 31)] | Name
Shape: TypeAlias = tuple[Dimension, ...]
Milliseconds: TypeAlias = Annotated[float, Meta(ge=0, le=86_400_000)]
Size: TypeAlias = tuple[Annotated[int, Meta(ge=1, le=16_384)], Annotated[int, Meta(ge=1, le=16_384)]]
Unit: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
BATCH, PROMPTS = "batch", "prompts"  # the two variable dimensions of a prepared input


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A frozen record that rejects unknown fields."""


class TensorSpec(Strict, frozen=True):
    """One named tensor of a graph."""

    name: str
    dtype: DType
    shape: Shape


class Bounds(Strict, frozen=True):
    """The bounds of a named dimension; `usual` is the size that engines are tuned for and the live loop uses."""

    least: Annotated[int, Meta(ge=1)] = 1
    usual: Annotated[int, Meta(ge=1)] = 1
    most: Annotated[int, Meta(ge=1)] = 1


# --- inputs: one class per modality ------------------------------------------------------------------------------


class ImagePrepare(Strict, frozen=True):
    """A camera frame becomes uint8 [height, width, 3]; further preprocessing is part of the graph."""

    size: Size  # height, width
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    color: Literal["rgb", "bgr"] = "rgb"
    pad: Annotated[int, Meta(ge=0, le=255)] = 114  # the gray value around a letterboxed image


class VideoPrepare(Strict, frozen=True):
    """The last `frames` images, oldest first, `stride` captures apart."""

    size: Size
    frames: Annotated[int, Meta(ge=2, le=256)]
    stride: Annotated[int, Meta(ge=1, le=64)] = 1
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    color: Literal["rgb", "bgr"] = "rgb"
    pad: Annotated[int, Meta(ge=0, le=255)] = 114


class AudioPrepare(Strict, frozen=True):
    """The last `window` samples of mono audio in [-1, 1], updated every `hop` samples."""

    sample_rate: Annotated[int, Meta(ge=1_000, le=384_000)]
    window: Annotated[int, Meta(ge=1, le=1 << 24)]
    hop: Annotated[int, Meta(ge=1, le=1 << 24)]


class TextPrepare(Strict, frozen=True):
    """Token ids of a fixed length. With `mask`, the attention mask is available as `input:NAME.mask`."""

    tokenizer: str  # a file of the bundle, in the format of the `tokenizers` library
    length: Annotated[int, Meta(ge=1, le=1 << 16)]
    pad_id: Annotated[int, Meta(ge=0)] = 0
    mask: bool = False
    lowercase: bool = False
    prompts: Annotated[int, Meta(ge=1, le=1024)] = 1  # rows; the text is split at "|" if more than one is allowed


class VectorPrepare(Strict, frozen=True):
    """A sensor vector, unchanged."""

    size: Annotated[int, Meta(ge=1, le=1 << 24)]


class ImageInput(Strict, frozen=True, tag="image", tag_field="modality"):
    """uint8 [batch, height, width, 3]. The shape is derived from `prepare`: omit it."""

    name: Name
    prepare: ImagePrepare
    dtype: Literal["uint8"] = "uint8"
    shape: Shape = ()

    def __post_init__(self) -> None:
        _derive_shape(self, (BATCH, *self.prepare.size, 3))


class VideoInput(Strict, frozen=True, tag="video", tag_field="modality"):
    """uint8 [batch, frames, height, width, 3]."""

    name: Name
    prepare: VideoPrepare
    dtype: Literal["uint8"] = "uint8"
    shape: Shape = ()

    def __post_init__(self) -> None:
        _derive_shape(self, (BATCH, self.prepare.frames, *self.prepare.size, 3))


class AudioInput(Strict, frozen=True, tag="audio", tag_field="modality"):
    """float32 [batch, window]."""

    name: Name
    prepare: AudioPrepare
    dtype: Literal["float32"] = "float32"
    shape: Shape = ()

    def __post_init__(self) -> None:
        _derive_shape(self, (BATCH, self.prepare.window))


class TextInput(Strict, frozen=True, tag="text", tag_field="modality"):
    """int64 or int32 [batch, length]; with several prompts [prompts, length]."""

    name: Name
    prepare: TextPrepare
    dtype: Literal["int64", "int32"] = "int64"
    shape: Shape = ()

    def __post_init__(self) -> None:
        _derive_shape(self, (BATCH if self.prepare.prompts == 1 else PROMPTS, self.prepare.length))


class VectorInput(Strict, frozen=True, tag="vector", tag_field="modality"):
    """float32 [batch, size]."""

    name: Name
    prepare: VectorPrepare
    dtype: Literal["float32"] = "float32"
    shape: Shape = ()

    def __post_init__(self) -> None:
        _derive_shape(self, (BATCH, self.prepare.size))


InputSpec: TypeAlias = ImageInput | VideoInput | AudioInput | TextInput | VectorInput
Modality: TypeAlias = Literal["image", "video", "audio", "text", "vector"]


def _derive_shape(spec: InputSpec, derived: Shape) -> None:
    if spec.shape == ():
        force_setattr(spec, "shape", derived)
    elif spec.shape != derived:
        raise ValueError(f"input '{spec.name}': expected the shape {derived} from its preparation, found {spec.shape}")


def modality_of(spec: InputSpec) -> Modality:
    modality: Modality = spec.__struct_config__.tag  # type: ignore[assignment]  # the tag is the modality
    return modality


# --- outputs: one class per kind; `reads` maps roles to tensors --------------------------------------------------


class ClassesOutput(Strict, frozen=True, tag="classes", tag_field="kind"):
    """One of several labels. Role: `logits` [batch, labels]."""

    name: Name
    reads: dict[Literal["logits"], str]
    labels: tuple[str, ...]
    activation: Literal["softmax", "none"] = "softmax"


class LabelsOutput(Strict, frozen=True, tag="labels", tag_field="kind"):
    """Any of several labels, each with its own score. Role: `logits` [batch, labels]."""

    name: Name
    reads: dict[Literal["logits"], str]
    labels: tuple[str, ...]
    activation: Literal["sigmoid", "none"] = "sigmoid"


class BoxesOutput(Strict, frozen=True, tag="boxes", tag_field="kind"):
    """Objects with boxes. Roles: `boxes` [batch, n, 4] and `scores` [batch, n, labels]."""

    name: Name
    reads: dict[Literal["boxes", "scores"], str]
    labels: tuple[str, ...]
    input: Name  # the image input whose pixels the boxes refer to
    layout: Literal["xyxy", "cxcywh"] = "xyxy"
    scale: Literal["unit", "pixels"] = "unit"  # of the prepared image
    activation: Literal["sigmoid", "none"] = "none"
    score_threshold: Unit = 0.25
    overlap_threshold: Unit = 0.45
    most: Annotated[int, Meta(ge=1, le=10_000)] = 100


class HeatmapOutput(Strict, frozen=True, tag="heatmap", tag_field="kind"):
    """A position in the image, from a heatmap. Roles: `heatmap` [batch, h, w], optionally `score` [batch, 1]."""

    name: Name
    reads: dict[Literal["heatmap", "score"], str]
    input: Name
    activation: Literal["sigmoid", "none"] = "sigmoid"
    score_threshold: Unit = 0.5


class PointOutput(Strict, frozen=True, tag="point", tag_field="kind"):
    """A position in the image as two numbers. Roles: `point` [batch, 2] as x, y in 0..1, and `score` [batch, 1]."""

    name: Name
    reads: dict[Literal["point", "score"], str]
    input: Name
    activation: Literal["sigmoid", "none"] = "sigmoid"
    score_threshold: Unit = 0.5


class TextOutput(Strict, frozen=True, tag="text", tag_field="kind"):
    """Generated text: the decode part `part` runs until `end` or `most` tokens. Role: `logits` [batch, vocabulary]."""

    name: Name
    reads: dict[Literal["logits"], str]
    part: Name
    tokenizer: str
    start: Annotated[int, Meta(ge=0)]
    end: Annotated[int, Meta(ge=0)]
    most: Annotated[int, Meta(ge=1, le=65_536)] = 64


class EmbeddingOutput(Strict, frozen=True, tag="embedding", tag_field="kind"):
    """A vector. Role: `values`."""

    name: Name
    reads: dict[Literal["values"], str]


class ScoresOutput(Strict, frozen=True, tag="scores", tag_field="kind"):
    """Plain numbers. Role: `values`."""

    name: Name
    reads: dict[Literal["values"], str]
    labels: tuple[str, ...] = ()


class SimilarityOutput(Strict, frozen=True, tag="similarity", tag_field="kind"):
    """The score of each prompt. Role: `scores` [batch, prompts]; `input` is the text input that holds the prompts."""

    name: Name
    reads: dict[Literal["scores"], str]
    input: Name
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"


OutputSpec: TypeAlias = (
    ClassesOutput
    | LabelsOutput
    | BoxesOutput
    | HeatmapOutput
    | PointOutput
    | TextOutput
    | EmbeddingOutput
    | ScoresOutput
    | SimilarityOutput
)


# --- time ------------------------------------------------------------------------------------------------------


Missing: TypeAlias = Literal["hold", "mask", "skip", "stop"]


class InputSync(Strict, frozen=True):
    """How one input is synchronized to the driver. `max_age_ms` None: no limit."""

    max_age_ms: Milliseconds | None = None
    tolerance_ms: Milliseconds = 0.0
    missing: Missing = "hold"
    wait_ms: Milliseconds = 0.0


class Sync(Strict, frozen=True):
    """A capture of the driver input triggers a tick; every other input follows its own rule."""

    driver: Name
    inputs: dict[Name, InputSync] = {}


class State(Strict, frozen=True):
    """A recurrent state: the output `output` is fed back as the input `name` at the next tick; initially zeros."""

    name: Name
    output: str
    shape: Shape
    dtype: DType = "float32"


class ModelSpec(Strict, frozen=True):
    """A complete model as described by its author. In `outputs`, `reads` names the model's output tensors."""

    name: Name
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    sync: Sync
    presence: Name | None = (
        None  # a float32 [batch, number of inputs] input: 1 for each present input, in the order of `inputs`
    )
    states: tuple[State, ...] = ()
    dims: dict[Name, Bounds] = {}
    description: str = ""
    card: dict[str, str] = {}

    def __post_init__(self) -> None:
        check_inputs(self.inputs, self.outputs, self.sync)


def check_inputs(inputs: tuple[InputSpec, ...], outputs: tuple[OutputSpec, ...], sync: Sync) -> None:
    """Checks that names are unique and references exist."""
    names = [spec.name for spec in inputs]
    for what, all_names in (("input", names), ("output", [spec.name for spec in outputs])):
        if not all_names:
            raise ValueError(f"a model needs at least one {what}")
        if duplicates := {name for name in all_names if all_names.count(name) > 1}:
            raise ValueError(f"duplicate {what} name: {', '.join(sorted(duplicates))}")
    for where, name in [("sync.driver", sync.driver), *(("sync.inputs", name) for name in sync.inputs)]:
        if name not in names:
            raise ValueError(f"{where} names '{name}', which is not among the inputs {names}")
    for spec in outputs:
        if (shown := getattr(spec, "input", None)) is not None and shown not in names:
            raise ValueError(f"output '{spec.name}' refers to '{shown}', which is not among the inputs {names}")
