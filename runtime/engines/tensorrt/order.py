"""What to build: the graph of one part in one precision, with shapes and options."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mm_edge.bundle.manifest import Precision
    from mm_edge.spec import TensorSpec

Dims: TypeAlias = tuple[int, ...]


class Ends(Protocol):
    """What a build needs of a part: its name, inputs and outputs."""

    @property
    def name(self) -> str: ...

    @property
    def takes(self) -> tuple[TensorSpec, ...]: ...

    @property
    def gives(self) -> tuple[TensorSpec, ...]: ...


@dataclass(frozen=True)
class Limits:
    """The smallest, usual and largest shape of one input. If all are equal, the engine supports only that shape."""

    least: Dims
    usual: Dims
    most: Dims

    @classmethod
    def fixed(cls, shape: Dims) -> Limits:
        return cls(shape, shape, shape)

    @property
    def known(self) -> Dims:
        """The shape for the builder: -1 where it may vary."""
        return tuple(least if least == most else -1 for least, most in zip(self.least, self.most, strict=True))


@dataclass(frozen=True)
class Options:
    """Build options, beside graph and shapes.

    `capability`: a family of GPUs to build for without having one (TensorRT-RTX only); None: the GPU of this machine.
    """

    level: int = 3  # TensorRT's default: a higher one takes longer to build and may run faster
    capability: str | None = None


@dataclass(frozen=True)
class Order:
    """`limits` by the graph's input names."""

    part: Ends
    precision: Precision
    graph: bytes
    limits: Mapping[str, Limits]
    options: Options = Options()

    @property
    def label(self) -> str:
        return f"'{self.part.name}' in {self.precision}"

    @property
    def onnx(self) -> str:
        return hashlib.sha256(self.graph).hexdigest()

    @property
    def identity(self) -> str:
        """Everything except the graph itself, as text that is equal for equal orders."""
        shapes = {name: asdict(each) for name, each in self.limits.items()}
        return json.dumps({**asdict(self.options), "precision": self.precision, "shapes": shapes}, sort_keys=True)
