"""From a part's graph to an engine that runs here: from the bundle or the cache if one matches, else built."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from mm_edge.errors import WorkFailedError
from mm_edge.runtime.engines.building import Watch

from .build import build_engine
from .cache import EngineCache, Key
from .compiled import TensorRtCompiled, load_engine
from .layers import check_layers
from .network import heavy_layers
from .order import Limits, Options, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mm_edge.bundle.manifest import Part, Precision

    from .cache import Lookup
    from .library import Library
    from .order import Dims


UNTRUSTED = "its signature was not checked with a trusted key (trust.keys), so it is built here"


class Device(Protocol):
    """What an engine depends on, apart from the library."""

    @property
    def name(self) -> str: ...

    @property
    def capability(self) -> str: ...

    @property
    def driver(self) -> str: ...

    def free_bytes(self) -> int: ...


@dataclass
class TensorRtCompiler:
    """Builds for the device whose context is current in the calling thread."""

    library: Library
    device: Device
    watch: Watch = field(default_factory=Watch)
    cache: EngineCache = field(default_factory=EngineCache)
    options: Options = field(default_factory=Options)
    # Of a bundle whose signature was checked with a trusted key: an engine is code, and runs when it is loaded.
    read_file: Callable[[str], bytes] | None = None
    origins: dict[str, str] = field(default_factory=dict)  # by part: where its engine comes from, and its layers
    unused: dict[str, str] = field(default_factory=dict)  # by part: why its engine in the bundle is not used

    def compile(self, part: Part, precision: Precision, graph: bytes, shapes: Mapping[str, Dims]) -> TensorRtCompiled:
        """Raises a WorkFailedError if the library rejects the part in this precision, or BuildStopped."""
        limits = {tensor.name: Limits.fixed(shapes[tensor.name]) for tensor in part.takes}
        order = Order(part, precision, graph, limits, self.options)
        if (ahead := self._from_bundle(part, order)) is not None:
            return ahead
        key = self._key(order)
        loaded, why = self._from_cache(key, order)
        if loaded is not None:
            return loaded
        with self.cache.building(self.watch.stopped):
            loaded, _ = self._from_cache(key, order)  # another process may have built it while this one waited
            return loaded if loaded is not None else self._build(key, order, why)

    def describe(self) -> dict[str, Any]:
        """The library, and where the engine of each part comes from."""
        unused = {"unused_engines": dict(self.unused)} if self.unused else {}
        return {"library": self.library.title, "level": self.options.level, "built": dict(self.origins), **unused}

    def _from_bundle(self, part: Part, order: Order) -> TensorRtCompiled | None:
        """An engine that was built in advance for this library version and family of GPUs."""
        target = f"sm{self.device.capability.replace('.', '')}"
        wanted = (self.library.kind, target, self.library.version, order.precision)
        for file in part.engines:
            if (file.engine, file.target, file.version, file.precision) != wanted:
                continue
            if self.read_file is None:
                self._leave(order, UNTRUSTED)
                return None
            try:
                loaded = load_engine(self.library, self.read_file(file.file), order)
                layers = check_layers(self.library, loaded.engine, order, partial(heavy_layers, self.library, order))
            except WorkFailedError as error:
                self._leave(order, error.found)
                return None
            self.origins[part.name] = f"from the bundle, built for {target}; {layers}"
            return loaded
        return None

    def _leave(self, order: Order, why: str) -> None:
        self.unused[order.part.name] = f"the engine of {order.label} in the bundle is not used: {why}"
        self.watch.announce(self.unused[order.part.name])

    def _from_cache(self, key: Key, order: Order) -> tuple[TensorRtCompiled | None, Lookup]:
        looked = self.cache.look_up(key)
        if looked.kept is None:
            return None, looked
        try:
            loaded = load_engine(self.library, looked.kept.engine, order)
        except WorkFailedError as error:
            return None, looked.without(f"the cached engine does not load ({error.found})")
        self.origins[order.part.name] = f"from the cache; {looked.kept.layers}"
        return loaded, looked

    def _build(self, key: Key, order: Order, looked: Lookup) -> TensorRtCompiled:
        usual = "" if looked.usual_s is None else f"; the last build took {looked.usual_s:.0f} s"
        self.watch.announce(f"building {order.label} with {self.library.title}: {looked.why}{usual}")
        started_s = time.monotonic()
        built = build_engine(
            self.library,
            order,
            self.watch,
            free_bytes=self.device.free_bytes(),
            timings=self.cache.timings(key),
            usual_s=looked.usual_s,
        )
        seconds = time.monotonic() - started_s
        loaded = load_engine(self.library, built.engine, order)
        layers = check_layers(self.library, loaded.engine, order, lambda: built.heavy)
        self.cache.keep(key, built.engine, seconds, str(layers))
        self.cache.keep_timings(key, built.timings)
        self.origins[order.part.name] = f"built in {seconds:.1f} s; {layers}"
        self.watch.announce("; ".join([f"built {order.label} in {seconds:.1f} s; {layers}", *built.notes]))
        return loaded

    def _key(self, order: Order) -> Key:
        return Key(
            onnx=order.onnx,
            library=self.library.kind,
            version=self.library.version,
            options=order.identity,
            capability=self.device.capability,
            device=self.device.name,
            driver=self.device.driver,
        )
