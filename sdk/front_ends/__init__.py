"""Preprocessing as torch modules, so that it becomes part of the graph: normalisation of pictures, spectrograms."""

from .picture import Normalize
from .sound import LogMel, UnitVariance, WhisperMel

__all__ = ["LogMel", "Normalize", "UnitVariance", "WhisperMel"]
