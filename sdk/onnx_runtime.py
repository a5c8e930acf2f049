"""Imports ONNX Runtime with its telemetry off. Everything of ours gets the package from here."""

from __future__ import annotations

import os
import sys
from typing import Any

# Official builds for Linux from 1.29 on report sessions and models to their vendor by default: on import they write a
# device id and a database below the home directory, and later upload over HTTPS. Only this variable prevents the files
# as well, and it is read once, while the library is loaded.
VARIABLE = "ORT_DISABLE_TELEMETRY"


def import_onnxruntime() -> Any:
    """The package. The variable is set while it loads and taken back, so that the environment stays as it was.

    Whoever sets the variable themselves, or has imported the package before, has decided; then the events that this
    process would report from here on are switched off all the same, unless the variable is set to 0.
    """
    if "onnxruntime" in sys.modules or VARIABLE in os.environ:
        import onnxruntime

        if os.environ.get(VARIABLE) != "0":
            onnxruntime.disable_telemetry_events()
        return onnxruntime
    os.environ[VARIABLE] = "1"
    try:
        import onnxruntime
    finally:
        del os.environ[VARIABLE]
    return onnxruntime
