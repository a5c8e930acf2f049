"""Turns payloads into what a model's inputs take, written straight into the caller's buffers.

    prepare = preparer(spec, bundle.read)                # one an input
    prepare.fields                                       # {"": TensorSpec, "mask": the mask of a text that has one}
    geometry = prepare.write(payload, {"": array, ...})  # of the shapes in `fields`, variable dimensions fixed

`write` returns the geometry that leads from the prepared picture back to the source's, or None where there is no
picture. It allocates nothing of the payload's size. Several threads may call it at once, except for video, whose
pictures come in order and one at a time. A payload of the wrong kind raises InputError; sound that was overwritten
meanwhile raises OverrunError. Pictures are BGR, as OpenCV gives them: also those that a user hands in.
"""

from .geometry import Geometry
from .preparer import Preparer, preparer, preparers
from .prompts import prompts_of

__all__ = ["Geometry", "Preparer", "preparer", "preparers", "prompts_of"]
