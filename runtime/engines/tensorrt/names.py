"""TensorRT's class names as type annotations: its packages ship no types.

tests/runtime/engines/tensorrt/test_names.py reads from these annotations which names the code uses, and checks each
of them in the real bindings of every supported version.
"""

from __future__ import annotations

from typing import Any, TypeAlias

TensorRT: TypeAlias = Any  # the module itself: tensorrt or tensorrt_rtx
Builder: TypeAlias = Any
EngineInspector: TypeAlias = Any
IBuilderConfig: TypeAlias = Any
ICudaEngine: TypeAlias = Any
IExecutionContext: TypeAlias = Any
IHostMemory: TypeAlias = Any
ILayer: TypeAlias = Any
ILogger: TypeAlias = Any
INetworkDefinition: TypeAlias = Any
IOptimizationProfile: TypeAlias = Any
IProgressMonitor: TypeAlias = Any
ITensor: TypeAlias = Any
ITimingCache: TypeAlias = Any
OnnxParser: TypeAlias = Any
ParserError: TypeAlias = Any
Runtime: TypeAlias = Any
