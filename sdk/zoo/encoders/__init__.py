"""Encoders: each maps one input to features: an `embedding` [batch, width], and for some a `map` or `tokens`."""

from .audio import AudioCnn, AudioRnn, AudioTransformer, LogMel
from .image import ImageCnn, ImageResNet, ImageViT
from .mobilenet import MobileNetV3, mobilenet_v3_large
from .text import TextLstm, TextTransformer
from .vector import VectorMlp

__all__ = [
    "AudioCnn",
    "AudioRnn",
    "AudioTransformer",
    "ImageCnn",
    "ImageResNet",
    "ImageViT",
    "LogMel",
    "MobileNetV3",
    "TextLstm",
    "TextTransformer",
    "VectorMlp",
    "mobilenet_v3_large",
]
