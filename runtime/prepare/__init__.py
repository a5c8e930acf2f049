"""Converts payloads to model inputs, written directly into the caller's buffers.

    prepare = preparer(spec, bundle.read)                # one per input
    prepare.fields                                       # {"": TensorSpec, "mask": the mask of a text that has one}
    prepare.check(payload, rows)                         # raises InputError for what `write` would not accept
    geometry = prepare.write(payload, {"": array, ...})  # of the shapes in `fields`, variable dimensions fixed

`write` returns the geometry that maps the prepared image back to the source image, or None for other inputs. It
allocates nothing of the payload's size. Several threads may call it at once, except for video, whose images must come
in order and one at a time. A payload of the wrong type raises InputError; audio that was overwritten in the meantime
raises OverrunError. Images are BGR, as in OpenCV, including those passed in by users.
"""

from .geometry import Geometry
from .preparer import Preparer, preparer, preparers
from .prompts import prompts_of

__all__ = ["Geometry", "Preparer", "preparer", "preparers", "prompts_of"]
