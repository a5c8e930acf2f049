"""What is to be built: one part's graph, in one precision, for shapes and options that make it what it is."""

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
    """What is asked of a part: its name and the tensors at both of its ends."""

    @property
    def name(self) -> str: ...

    @property
    def takes(self) -> tuple[TensorSpec, ...]: ...

    @property
    def gives(self) -> tuple[TensorSpec, ...]: ...


@dataclass(frozen=True)
class Limits:
    """The least, the usual and the greatest shape of one input. Where all three are one, the engine knows no other."""

    least: Dims
    usual: Dims
    most: Dims

    @classmethod
    def fixed(cls, shape: Dims) -> Limits:
        return cls(shape, shape, shape)

    @property
    def known(self) -> Dims:
        """The shape as the builder is told it: -1 where it may vary."""
        return tuple(least if least == most else -1 for least, most in zip(self.least, self.most, strict=True))


@dataclass(frozen=True)
class Options:
    """What makes one engine differ from another of the same graph and shapes.

    `capability`: a family of GPUs to build for without having one (TensorRT-RTX alone); None: the GPU that is here.
    """

    level: int = 3  # TensorRT's own: more takes longer to build and may run faster
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
        """All that is asked for beside the graph itself, as text that is the same for the same order."""
        shapes = {name: asdict(each) for name, each in self.limits.items()}
        return json.dumps({**asdict(self.options), "precision": self.precision, "shapes": shapes}, sort_keys=True)
