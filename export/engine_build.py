"""Builds TensorRT-RTX engines ahead of time, without a GPU, and checks that they have the precision asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mm_edge.errors import MissingExtraError, UsageError, WorkFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mm_edge.manifest import Precision
    from mm_edge.spec import Bounds, TensorSpec

KIND: Literal["tensorrt-rtx"] = "tensorrt-rtx"
# What computes; everything else only moves or scales values.
HEAVY_LAYERS = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "EINSUM")


@dataclass(frozen=True)
class Target:
    """A family of GPUs to build for, as the command line names it: tensorrt-rtx:sm86."""

    capability: str

    @classmethod
    def read(cls, text: str) -> list[Target]:
        kind, _, rest = text.partition(":")
        capabilities = [word.strip().lower() for word in rest.split(",")]
        if kind != KIND or not all(re.fullmatch(r"sm\d{2,3}", word) for word in capabilities):
            raise UsageError(
                f"'{text}' is no target",
                asked="reading --target",
                todo="Give tensorrt-rtx:sm86, or several: tensorrt-rtx:sm86,sm89",
            )
        return [cls(word) for word in capabilities]


def import_rtx() -> Any:
    try:
        import tensorrt_rtx
    except (ImportError, OSError):
        raise MissingExtraError("tensorrt-rtx", "tensorrt-rtx") from None
    return tensorrt_rtx


def build_engine(  # noqa: PLR0917
    path: Path,
    precision: Precision,
    target: Target,
    takes: tuple[TensorSpec, ...],
    dims: Mapping[str, Bounds],
    label: str,
) -> bytes:
    """The engine of one artefact. `label` names the part in messages."""
    trt = import_rtx()
    asked = f"building {label} in {precision} for {target.capability}"
    told: list[str] = []
    logger = _logger(trt, told)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(path.read_bytes()):
        errors = [parser.get_error(number) for number in range(parser.num_errors)]
        found = "; ".join(
            f"node '{error.node_name()}' ({error.node_operator()}): {error.desc()}" for error in errors[:3]
        )
        raise WorkFailedError(
            found or _last(told), asked=asked, todo="The parser refuses the graph; see docs/exporting.md for its rules"
        )
    check_precision(network, precision, asked)
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    capability = getattr(trt.ComputeCapability, target.capability.upper(), None)
    if capability is None:
        there = sorted(name.lower() for name in dir(trt.ComputeCapability) if name.startswith("SM"))
        raise UsageError(
            f"{KIND} {trt.__version__} does not build for {target.capability}",
            asked=asked,
            todo=f"It builds for {', '.join(there)}; Jetson builds on the device",
        )
    if not config.set_compute_capability(capability, 0):
        raise WorkFailedError(_last(told), asked=asked)
    config.clear_flag(trt.BuilderFlag.TF32)
    _add_profile(builder, config, network, takes, dims, asked)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise WorkFailedError(_last(told), asked=asked, todo="The builder refuses the network")
    return bytes(engine)


def check_precision(network: Any, precision: Precision, asked: str) -> dict[str, int]:
    """Counts the heavy layers by the type they compute in; fails when the precision that was asked for is not there."""
    counts = {"FLOAT": 0, "HALF": 0, "INT8": 0}
    for layer in (network.get_layer(number) for number in range(network.num_layers)):
        if layer.type.name in HEAVY_LAYERS:
            counts[layer.get_output_type(0).name] = counts.get(layer.get_output_type(0).name, 0) + 1
        elif layer.type.name == "QUANTIZE":
            counts["INT8"] += 1
    heavy = counts["FLOAT"] + counts["HALF"]
    wanted = {"fp32": counts["HALF"] == 0, "fp16": counts["HALF"] > 0 or heavy == 0, "int8-trt": counts["INT8"] > 0}
    if not wanted.get(precision, False):
        told = ", ".join(f"{count} in {kind}" for kind, count in counts.items())
        raise WorkFailedError(
            f"its heavy layers are {told}",
            asked=asked,
            todo="The network does not have the precision that was asked for",
        )
    return counts


def _logger(trt: Any, told: list[str]) -> Any:
    class Listener(trt.ILogger):  # type: ignore[misc]  # the library ships no types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # the binding demands it

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                told.append(message)

    return Listener()


def _last(told: list[str]) -> str:
    return told[-1] if told else "the library gave no reason"


def _add_profile(  # noqa: PLR0917
    builder: Any, config: Any, network: Any, takes: tuple[TensorSpec, ...], dims: Mapping[str, Bounds], asked: str
) -> None:
    """The bounds of every dimension that varies; one that has none in the manifest is 1."""
    shapes = {tensor.name: tensor.shape for tensor in takes}
    profile = builder.create_optimization_profile()
    varies = False
    for number in range(network.num_inputs):
        tensor = network.get_input(number)
        if -1 not in tuple(tensor.shape):
            continue
        varies = True
        limits = [
            [dim if isinstance(dim, int) else pick(dims.get(dim)) for dim in shapes[tensor.name]]
            for pick in (_least, _usual, _most)
        ]
        profile.set_shape(tensor.name, *map(tuple, limits))
    if varies and config.add_optimization_profile(profile) < 0:
        raise WorkFailedError("the profile of its dimensions is refused", asked=asked)


def _least(bounds: Bounds | None) -> int:
    return bounds.least if bounds else 1


def _usual(bounds: Bounds | None) -> int:
    return bounds.usual if bounds else 1


def _most(bounds: Bounds | None) -> int:
    return bounds.most if bounds else 1
